"""JA3, JA3S and JA4 of TLS hellos over TCP. Both methods are free to use (BSD 3-Clause); the other JA4+ methods are not.

Made when a report asks for them: hashing has no place on the way of a packet.
"""

from __future__ import annotations

from tcpscope.wire.tls import is_grease
from tcpscope.wire.tls_hello import (
    DEFECT_CUT,
    EXT_ALPN,
    EXT_SERVER_NAME,
    ClientHello,
    ServerHello,
    alpn_first,
    u16_list,
)

_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NOTHING = "000000000000"


def _known(packed: bytes) -> list[int]:
    return [value for value in u16_list(packed) if not is_grease(value)]


def ja3_text(hello: ClientHello) -> str | None:
    """The string under the JA3 hash: version, suites, extensions, groups and point formats, without GREASE.

    None where the capture lacks part of the hello.
    """
    if hello.defect == DEFECT_CUT:
        return None
    fields = (_known(hello.ciphers), _known(hello.extensions), _known(hello.groups), list(hello.points))
    return ",".join([str(hello.version), *("-".join(map(str, field)) for field in fields)])


def ja3s_text(hello: ServerHello) -> str | None:
    """The string under the JA3S hash: version, suite, extensions; None where the capture lacks part of it, or it names no suite."""
    if hello.defect == DEFECT_CUT or hello.cipher < 0:
        return None
    return f"{hello.version},{hello.cipher},{'-'.join(map(str, u16_list(hello.extensions)))}"


def ja3_of(text: str | None) -> str | None:
    """JA3 or JA3S, 32 hex digits, from the string under it."""
    if text is None:
        return None
    import hashlib  # noqa: PLC0415 (heavy: OpenSSL)

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ja3(hello: ClientHello) -> str | None:
    """JA3 of a ClientHello; None as :func:`ja3_text`."""
    return ja3_of(ja3_text(hello))


def ja3s(hello: ServerHello) -> str | None:
    """JA3S of a ServerHello; None as :func:`ja3s_text`."""
    return ja3_of(ja3s_text(hello))


def _hash12(text: str) -> str:
    import hashlib  # noqa: PLC0415 (heavy: OpenSSL)

    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else _NOTHING


def _alpn(hello: ClientHello) -> str:
    name = alpn_first(hello.alpn)
    if not name:
        return "00"
    ends = bytes((name[0], name[-1]))
    if ends.isalnum():
        return ends.decode("ascii")
    digits = name.hex()
    return digits[0] + digits[-1]


def ja4_text(hello: ClientHello) -> tuple[str, str, str] | None:
    """The head of JA4 and the strings under its two hashes, of the first ClientHello of a connection.

    None for one that is cut or in SSL 2.0 format (JA4 is not defined there).
    """
    if hello.ssl2 or hello.defect == DEFECT_CUT:
        return None
    ciphers = _known(hello.ciphers)
    extensions = _known(hello.extensions)
    versions = _known(hello.versions)
    version = _JA4_VERSIONS.get(max(versions) if versions else hello.version, "00")
    name = "d" if hello.has(EXT_SERVER_NAME) else "i"
    head = f"t{version}{name}{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{_alpn(hello)}"
    suites = ",".join(sorted(f"{value:04x}" for value in ciphers))
    kinds = ",".join(sorted(f"{kind:04x}" for kind in extensions if kind not in (EXT_SERVER_NAME, EXT_ALPN)))
    schemes = ",".join(f"{value:04x}" for value in _known(hello.signatures))
    return head, suites, f"{kinds}_{schemes}" if kinds and schemes else kinds


def ja4_of(text: tuple[str, str, str] | None) -> str | None:
    """JA4 from what :func:`ja4_text` gives."""
    return None if text is None else f"{text[0]}_{_hash12(text[1])}_{_hash12(text[2])}"


def ja4(hello: ClientHello) -> str | None:
    """JA4 of a ClientHello; None as :func:`ja4_text`."""
    return ja4_of(ja4_text(hello))
