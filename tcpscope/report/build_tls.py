"""From what the TLS tracker remembers of a connection to :class:`tcpscope.report.model.TlsReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.report.model import TlsMessage, TlsReport
from tcpscope.rules import verdicts
from tcpscope.state.facts import SERVER
from tcpscope.state.tls_log import TlsLog, event_name
from tcpscope.state.tls_outcome import CANNOT_TELL, YES
from tcpscope.wire.cipher_names import CIPHER_NAMES
from tcpscope.wire.fingerprint import ja3, ja3s, ja4
from tcpscope.wire.tls import is_draft, is_grease
from tcpscope.wire.tls_hello import ClientHello, alpn_list

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

SIDES: Final = ("client", "server")
VERSION_NAMES: Final = {
    0x0002: "SSL 2.0",
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}


def tls_report(conn: Connection) -> TlsReport | None:
    """What there is to say about TLS on a finished connection; None where there is none."""
    tls, verdict = conn.tls, verdicts.tls(conn)
    if tls is None or tls.outcome is None or tls.log is None or verdict is None:
        return None
    log, outcome = tls.log, tls.outcome
    hello, answer = log.client_hello, log.server_hello or log.retry
    return TlsReport(
        verdict=verdict,
        version=version_name(outcome.version) if outcome.version else None,
        cipher_suite=None if outcome.cipher < 0 else cipher_name(outcome.cipher),
        sni=text(hello.server_name) if hello is not None and hello.server_name else None,
        alpn=text(answer.alpn) if answer is not None and answer.alpn else None,
        resumed=None if outcome.resumed == CANNOT_TELL else outcome.resumed == YES,
        ja3=None if hello is None else ja3(hello),
        ja3s=None if answer is None else ja3s(answer),
        ja4=None if hello is None else ja4(hello),
        messages=_messages(log),
        message_count=log.event_count,
        certificate_messages=_certificates(log),
        versions_offered=tuple(version_name(version) for version in _offered(hello)),
        ciphers_offered=() if hello is None else tuple(cipher_name(number) for number in _numbers(hello.ciphers)),
        alpn_offered=() if hello is None else tuple(text(name) for name in alpn_list(hello.alpn)),
        client_random=hello.random.hex() if hello is not None and hello.random else None,
        server_random=answer.random.hex() if answer is not None and answer.random else None,
    )


def _role(log: TlsLog, side: int) -> str:
    """The TLS role of a side: the sender of the ClientHello is the client, whoever opened the connection."""
    return SIDES[side if log.client_side != SERVER else 1 - side]


def _messages(log: TlsLog) -> tuple[TlsMessage, ...]:
    events = sorted(log.events, key=lambda event: event.frame)
    return tuple(
        TlsMessage(event.frame, _role(log, event.side), event_name(event.code), event.time_ns) for event in events
    )


def _certificates(log: TlsLog) -> tuple[tuple[bytes, str, int], ...]:
    bodies = zip(log.certificates, log.certificate_sides, log.certificate_frames, strict=True)
    return tuple((body, _role(log, side), frame) for body, side, frame in bodies)


def _numbers(octets: bytes) -> list[int]:
    """Two-byte numbers in a row, GREASE values left out (RFC 8701)."""
    numbers = [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets) - 1, 2)]
    return [number for number in numbers if not is_grease(number)]


def _offered(hello: ClientHello | None) -> list[int]:
    """Versions of supported_versions, or the one of the hello itself (RFC 8446 section 4.2.1)."""
    if hello is None:
        return []
    return _numbers(hello.versions) or [hello.version]


def version_name(version: int) -> str:
    """Name of a protocol version; one that is not known as its number."""
    if is_draft(version):
        return f"TLS 1.3 draft {version & 0xFF}" if version >> 8 == 0x7F else "TLS 1.3 draft"
    return VERSION_NAMES.get(version, f"0x{version:04x}")


def cipher_name(number: int) -> str:
    """Name of a cipher suite; one that is not known as its number."""
    return CIPHER_NAMES.get(number, f"0x{number:04X}")


def text(octets: bytes) -> str:
    """Bytes from the wire as text; what is not UTF-8 stands there as an escape."""
    return octets.decode("utf-8", "backslashreplace")
