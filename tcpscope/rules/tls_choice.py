"""TS6xx, what a server chose against what its client offered: RFC 8446 sections 4.1.3 and 4.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule, version_name
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class CipherNotOffered(TlsRule):
    """A server chose a cipher suite that the client had not offered.

    What it does:
        Compares the suite of the ServerHello with the list of the ClientHello that it answers.

    Why it matters:
        The client must end the handshake with an illegal_parameter alert. The server is broken, or somebody changed
        the hello on the path.

    Example:
        frame 4   client > server   ClientHello: TLS_AES_128_GCM_SHA256
        frame 5   server > client   ServerHello: TLS_AES_256_GCM_SHA384

    How to fix:
        Compare captures at both ends. If the hellos are the same there, update the server's TLS library.

    References:
        RFC 8446 section 4.1.3: the suite is one of those offered.
        RFC 5246 section 7.4.1.3: the same in TLS 1.2.
    """

    code: ClassVar[str] = "TS640"
    name: ClassVar[str] = "tls-cipher-not-offered"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.3"
    fault: ClassVar[int] = f.CIPHER_NOT_OFFERED
    sentence: ClassVar[str] = "{who} chose {suite} ({frame}), which the ClientHello ({other}) does not offer"


class VersionNotOffered(TlsRule):
    """A server chose a version that the client had not offered.

    What it does:
        Compares the version of the ServerHello with what the ClientHello offers, by its supported_versions extension
        or its version field.

    Why it matters:
        The client must end the handshake. A version below the offer may also be a downgrade by somebody on the path.

    Example:
        frame 4   client > server   ClientHello: TLS 1.2
        frame 5   server > client   ServerHello: TLS 1.3

    How to fix:
        Compare captures at both ends. If the hellos are the same there, update or configure the server.

    References:
        RFC 8446 section 4.2.1: supported versions.
        RFC 5246 section 7.4.1.3: the server's version.
    """

    code: ClassVar[str] = "TS641"
    name: ClassVar[str] = "tls-version-not-offered"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2.1"
    fault: ClassVar[int] = f.VERSION_NOT_OFFERED
    sentence: ClassVar[str] = "{who} chose {version} ({frame}), which the ClientHello ({other}) does not offer"


class ExtensionNotOffered(TlsRule):
    """A server answered with an extension that the client had not sent.

    What it does:
        Compares the extensions of the ServerHello with those of the ClientHello.

    Why it matters:
        The client must end the handshake with an unsupported_extension alert.

    Example:
        frame 4   client > server   ClientHello without application_layer_protocol_negotiation
        frame 5   server > client   ServerHello with application_layer_protocol_negotiation

    How to fix:
        Update the server's TLS library.

    References:
        RFC 8446 section 4.2: extensions are answers to the client's.
        RFC 5246 section 7.4.1.4: the same in TLS 1.2.
    """

    code: ClassVar[str] = "TS642"
    name: ClassVar[str] = "tls-extension-not-offered"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2"
    fault: ClassVar[int] = f.EXTENSION_NOT_OFFERED
    sentence: ClassVar[str] = "{who} answered with {extension} ({frame}), which the ClientHello ({other}) does not have"


class Tls13ExtensionForbidden(TlsRule):
    """A ServerHello of TLS 1.3 has an extension that must not stand there.

    What it does:
        Reports any extension but supported_versions, key_share and pre_shared_key in a ServerHello of TLS 1.3 (in a
        HelloRetryRequest: supported_versions, key_share, cookie).

    Why it matters:
        All others belong into EncryptedExtensions; in clear they give away what TLS 1.3 hides, and the client must end
        the handshake.

    Example:
        frame 5   server > client   ServerHello (TLS 1.3) with application_layer_protocol_negotiation

    How to fix:
        Update the server's TLS library.

    References:
        RFC 8446 section 4.2: which extension stands in which message.
    """

    code: ClassVar[str] = "TS643"
    name: ClassVar[str] = "tls13-server-hello-extension-forbidden"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2"
    fault: ClassVar[int] = f.TLS13_EXTENSION_FORBIDDEN
    sentence: ClassVar[str] = "{who} sent {extension} in its hello of TLS 1.3 ({frame}), where it must not stand"


class Tls13SidNotEchoed(TlsRule):
    """A ServerHello of TLS 1.3 does not repeat the client's session id.

    What it does:
        Compares the session id of the ServerHello with that of the ClientHello.

    Why it matters:
        The client must end the handshake with an illegal_parameter alert.

    Example:
        frame 4   client > server   ClientHello, session id of 32 bytes
        frame 5   server > client   ServerHello (TLS 1.3), empty session id

    How to fix:
        Update the server's TLS library.

    References:
        RFC 8446 section 4.1.3: legacy_session_id_echo.
    """

    code: ClassVar[str] = "TS644"
    name: ClassVar[str] = "tls13-sid-not-echoed"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.3"
    fault: ClassVar[int] = f.TLS13_SID_NOT_ECHOED
    sentence: ClassVar[str] = (
        "{who} did not repeat in its ServerHello ({frame}) the session id of the ClientHello ({other})"
    )


class CompressionNotNull(TlsRule):
    """TLS compression is offered or chosen where it must not or should not be.

    What it does:
        Reports a ServerHello that chooses compression, and a ClientHello for TLS 1.3 alone that offers it.

    Why it matters:
        Compressed secrets can be guessed from the length of the records (CVE-2012-4929, "CRIME"). TLS 1.3 has no
        compression.

    Example:
        frame 5   server > client   ServerHello, compression DEFLATE

    How to fix:
        Turn TLS compression off on the server, or update its library; compress inside the application where no secrets
        are mixed in.

    References:
        RFC 8446 section 4.1.2: only the null method is offered.
        RFC 9325 section 3.3: do not use compression.
    """

    code: ClassVar[str] = "TS645"
    name: ClassVar[str] = "tls-compression-not-null"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.2"
    fault: ClassVar[int] = f.COMPRESSION_NOT_NULL
    sentence: ClassVar[str] = "{who} {verb} TLS compression in {hello} ({frame})"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Offered or chosen, in which version."""
        fault = faults[0]
        verb = "offers" if fault.detail < 0 else "chose"
        return super().words(faults, conn) | {"verb": verb, "hello": f"a hello of {version_name(fault.extra)}"}


class DowngradeSentinel(TlsRule):
    """The server says that it could do better, and the client went on.

    What it does:
        Looks for the mark in the last bytes of the ServerHello's random by which a server shows that it supports a
        newer version, while the client had offered one, and the handshake went on.

    Why it matters:
        Somebody on the path lowered the version of the offer; the client must end the handshake with an
        illegal_parameter alert.

    Example:
        frame 4   client > server   ClientHello: up to TLS 1.3
        frame 5   server > client   ServerHello: TLS 1.2, random ends with DOWNGRD 01
        frame 6   client > server   ClientKeyExchange

    How to fix:
        Compare captures at both ends: a middlebox that breaks up TLS lowers the version. Update the client so that it
        refuses.

    References:
        RFC 8446 section 4.1.3: downgrade protection.
    """

    code: ClassVar[str] = "TS646"
    name: ClassVar[str] = "tls-downgrade-sentinel"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.3"
    fault: ClassVar[int] = f.DOWNGRADE_SENTINEL
    sentence: ClassVar[str] = (
        "{who} went on although {peer} marked its ServerHello ({frame}) as a downgrade from the version that was "
        "offered ({other})"
    )


class FallbackScsv(TlsRule):
    """A client says that it tries again with an older version.

    What it does:
        Reports the fallback signal in the list of cipher suites.

    Why it matters:
        The client's first attempt failed, so it now offers less. A server that can do better refuses the connection.

    Example:
        frame 4   client > server   ClientHello: TLS 1.1, TLS_FALLBACK_SCSV

    How to fix:
        Find out why the first attempt fails: look for the connection just before this one.

    References:
        RFC 7507 section 4: the client's fallback.
    """

    code: ClassVar[str] = "TS647"
    name: ClassVar[str] = "tls-fallback-scsv"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 7507 section 4"
    fault: ClassVar[int] = f.FALLBACK_SCSV
    sentence: ClassVar[str] = (
        "{who} tries again with only {version} ({frame}), so an earlier attempt with a newer version failed"
    )


class AlpnMismatch(TlsRule):
    """A server chose an application protocol that the client had not offered.

    What it does:
        Compares the ALPN answer of the ServerHello with the client's list (TLS 1.2 and older; in TLS 1.3 it is
        encrypted).

    Why it matters:
        The two sides would speak different protocols; the client must end the handshake.

    Example:
        frame 4   client > server   ClientHello: http/1.1
        frame 5   server > client   ServerHello: h2

    How to fix:
        Configure or update the server.

    References:
        RFC 7301 section 3.2: the server selects one of the client's protocols.
    """

    code: ClassVar[str] = "TS648"
    name: ClassVar[str] = "tls-alpn-mismatch"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7301 section 3.2"
    fault: ClassVar[int] = f.ALPN_MISMATCH
    sentence: ClassVar[str] = (
        "{who} chose an application protocol ({frame}) that the ClientHello ({other}) does not offer"
    )


class GreaseNegotiated(TlsRule):
    """A server chose a value that exists only to be ignored.

    What it does:
        Reports a GREASE value as the chosen version, suite, extension or group.

    Why it matters:
        Clients offer these values to find servers that do not ignore the unknown. Such a server will break with real
        new values too; the client must end the handshake.

    Example:
        frame 5   server > client   ServerHello, cipher suite 0x2a2a

    How to fix:
        Update the server's TLS library.

    References:
        RFC 8701 section 3.2: a server must not choose a GREASE value.
    """

    code: ClassVar[str] = "TS649"
    name: ClassVar[str] = "tls-grease-negotiated"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8701 section 3.2"
    fault: ClassVar[int] = f.GREASE_NEGOTIATED
    sentence: ClassVar[str] = "{who} chose the reserved value {value} ({frame}) as {what}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Which value, as what."""
        fault = faults[0]
        what = {1: "the version", 2: "the cipher suite", 3: "an extension", 4: "the group"}.get(
            fault.extra, "a parameter"
        )
        return super().words(faults, conn) | {"value": f"0x{fault.detail & 0xFFFF:04x}", "what": what}


class DuplicateExtension(TlsRule):
    """A hello has the same extension twice.

    What it does:
        Reports an extension type that stands more than once in one hello.

    Why it matters:
        Which of the two counts is not defined; receivers must end the handshake.

    Example:
        frame 4   client > server   ClientHello with two server_name extensions

    How to fix:
        Update the TLS library of that side; see whether a middlebox adds extensions.

    References:
        RFC 8446 section 4.2: no more than one extension of a type.
    """

    code: ClassVar[str] = "TS650"
    name: ClassVar[str] = "tls-duplicate-extension"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2"
    fault: ClassVar[int] = f.DUPLICATE_EXTENSION
    sentence: ClassVar[str] = "{who} sent {extension} more than once in one hello ({frame})"


class PskBinderPosition(TlsRule):
    """The pre_shared_key extension is not the last one of a ClientHello.

    What it does:
        Reports a ClientHello of TLS 1.3 in which another extension follows pre_shared_key.

    Why it matters:
        Its binders cover the hello up to there; what follows would not be protected. The server must end the
        handshake.

    Example:
        frame 4   client > server   ClientHello: pre_shared_key, server_name

    How to fix:
        Update the client's TLS library; see whether a middlebox adds extensions.

    References:
        RFC 8446 section 4.2.11: pre_shared_key must be the last extension.
    """

    code: ClassVar[str] = "TS651"
    name: ClassVar[str] = "tls-psk-binder-position"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2.11"
    fault: ClassVar[int] = f.PSK_BINDER_POSITION
    sentence: ClassVar[str] = "{who} sent a ClientHello ({frame}) in which pre_shared_key is not the last extension"


class Sslv2(TlsRule):
    """A hello has the format of SSL 2.0.

    What it does:
        Reports a ClientHello in the old format, which programs of the 1990s and 2000s sent for compatibility, with the
        version it offers.

    Why it matters:
        SSL 2.0 is broken and forbidden. A server that still accepts it endangers even its TLS connections
        (CVE-2016-0800, "DROWN").

    Example:
        frame 4   client > server   SSLv2 ClientHello, offers TLS 1.0

    How to fix:
        Update the client. Make sure that no server accepts SSL 2.0.

    References:
        RFC 8446 appendix D.5: hellos in the format of SSL 2.0 must not be sent.
        RFC 6176 section 3: SSL 2.0 must not be used.
        RFC 5246 appendix E.2: the compatible hello.
    """

    code: ClassVar[str] = "TS652"
    name: ClassVar[str] = "tls-sslv2"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 appendix D.5"
    fault: ClassVar[int] = f.SSLV2
    sentence: ClassVar[str] = (
        "{who} sent a ClientHello in the format of SSL 2.0 ({frame}); the highest version that it offers is {version}"
    )
