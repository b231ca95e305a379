"""TS6xx, what was chosen lawfully, but is known to be weak: RFC 8996, RFC 9325, RFC 9155, RFC 5746."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule, version_name
from tcpscope.rules.words import party
from tcpscope.state import tls_faults as f
from tcpscope.wire.ciphers import cipher_name
from tcpscope.wire.strength import properties
from tcpscope.wire.tls_parameters import scheme_name

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault

SSL30: Final = 0x0300
BREAKABLE_PRIME: Final = 1024
"""Bits of a prime below which the exchange was broken by academics (RFC 7919 section 1)."""


class VersionObsolete(TlsRule):
    """A server chose a version of TLS that must no longer be used.

    What it does:
        Reports a ServerHello with TLS 1.1, TLS 1.0 or SSL 3.0, and the highest version that the client offered. SSL 3.0
        is an error: it must not be negotiated under any circumstances.

    Why it matters:
        These versions rest on MD5 and SHA-1 and have no authenticated encryption; attacks on them are known (BEAST,
        POODLE).

    Example:
        frame 4   client > server   ClientHello: TLS 1.0
        frame 5   server > client   ServerHello: TLS 1.0

    How to fix:
        Update the side that knows no more (the server, where the client offered a higher version), and turn TLS 1.1 and
        older off on the other.

    References:
        RFC 8996 section 4: do not use TLS 1.0; section 5: nor TLS 1.1.
        RFC 7568 section 3: do not use SSL 3.0.
    """

    code: ClassVar[str] = "TS654"
    name: ClassVar[str] = "tls-version-obsolete"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8996 section 4"
    fault: ClassVar[int] = f.VERSION_OBSOLETE
    sentence: ClassVar[str] = "{who} chose {version} ({frame}), which must no longer be used{offer}"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """SSL 3.0 is forbidden outright."""
        return (Severity.ERROR if fault.detail == SSL30 else self.severity), sentence

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Which of the two knows no more."""
        highest = faults[0].extra
        offer = f"; {party(conn, 1 - faults[0].side)} offers up to {version_name(highest)}" if highest else ""
        if highest == faults[0].detail:
            offer = f"; {party(conn, 1 - faults[0].side)} offers nothing higher"
        return super().words(faults, conn) | {"offer": offer}


class CipherWeak(TlsRule):
    """A server chose a cipher suite that protects badly, or not at all.

    What it does:
        Reports suites without encryption or without proof of who the server is, and those made weak for export: these
        are errors. RC4, RC2, DES, 3DES and IDEA are warnings.

    Why it matters:
        What is sent can be read, or changed, by who is on the path and takes some trouble; with some suites, none.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   ServerHello: TLS_RSA_WITH_3DES_EDE_CBC_SHA

    How to fix:
        Turn these suites off at both ends; ECDHE with AES-GCM or ChaCha20-Poly1305 is what remains of TLS 1.2.

    References:
        RFC 9325 section 4.1: what must not and what should not be negotiated.
        RFC 7465 section 2: no RC4.
    """

    code: ClassVar[str] = "TS655"
    name: ClassVar[str] = "tls-cipher-weak"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9325 section 4.1"
    fault: ClassVar[int] = f.CIPHER_WEAK
    sentence: ClassVar[str] = "{who} chose {suite} ({frame}): {why}"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """No protection at all, or one that was made to be broken, is an error."""
        made = properties(fault.detail)
        export = "EXPORT" in cipher_name(fault.detail & 0xFFFF)
        bad = export or (made is not None and (made.bits == 0 or made.authentication == "none"))
        return (Severity.ERROR if bad else self.severity), sentence

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """What is weak about it."""
        made = properties(faults[0].detail)
        why = []
        if made is not None:
            why += ["it does not encrypt"] if made.bits == 0 else []
            why += ["nothing proves who the server is"] if made.authentication == "none" else []
            why += [f"{made.cipher} has the strength of {made.bits} bits"] if made.bits else []
        return super().words(faults, conn) | {"why": ", and ".join(why) or "it is weak"}


class NoForwardSecrecy(TlsRule):
    """A server chose a key exchange without forward secrecy.

    What it does:
        Reports suites whose keys follow from a key that lasts: RSA key exchange, static Diffie-Hellman, a pre-shared
        key alone.

    Why it matters:
        Who records the connection today and gets the server's key years later can read all of it.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   ServerHello: TLS_RSA_WITH_AES_128_GCM_SHA256

    How to fix:
        Prefer ECDHE suites on the server, or TLS 1.3, which has no others but for pre-shared keys.

    References:
        RFC 9325 section 4.1: not key exchange by RSA or static Diffie-Hellman; suites with forward secrecy first.
        RFC 10015 section 4: key exchange by RSA must no longer be chosen; section 2: nor static Diffie-Hellman.
    """

    code: ClassVar[str] = "TS656"
    name: ClassVar[str] = "tls-no-forward-secrecy"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9325 section 4.1"
    fault: ClassVar[int] = f.NO_FORWARD_SECRECY
    sentence: ClassVar[str] = "{who} chose {suite} ({frame}): who gets its key one day can read what was recorded today"


class DhWeak(TlsRule):
    """The prime of a Diffie-Hellman key exchange is too short.

    What it does:
        Reads the prime of the ServerKeyExchange and reports one of fewer than 2,048 bits; of fewer than 1,024 it is an
        error.

    Why it matters:
        For short primes most of the work of an attack can be done once for all connections that use the same prime
        ("Logjam").

    Example:
        frame 5   server > client   ServerKeyExchange, a prime of 1,024 bits

    How to fix:
        Use ECDHE suites, or a group of RFC 7919 with 2,048 bits or more.

    References:
        RFC 9325 section 4.5: at least 2,048 bits.
    """

    code: ClassVar[str] = "TS657"
    name: ClassVar[str] = "tls-dh-weak"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9325 section 4.5"
    fault: ClassVar[int] = f.DH_WEAK
    sentence: ClassVar[str] = (
        "{who} makes its keys with a Diffie-Hellman prime of {detail} bits ({frame}); 2,048 are the least"
    )

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Short ones were broken."""
        return (Severity.ERROR if fault.detail < BREAKABLE_PRIME else self.severity), sentence


class SignatureWeak(TlsRule):
    """A side signs the handshake with MD5 or SHA-1.

    What it does:
        In TLS 1.2, reads how the ServerKeyExchange and the client's CertificateVerify are signed.

    Why it matters:
        Collisions of these hashes can be made; with them a handshake can be signed that the owner of the key never saw
        ("SLOTH").

    Example:
        frame 5   server > client   ServerKeyExchange, signed with rsa_pkcs1_sha1

    How to fix:
        Update the library of the side that signs, or of the other, if that offers nothing better.

    References:
        RFC 9155 section 4: no MD5 and SHA-1 in ServerKeyExchange; section 5: nor in CertificateVerify.
    """

    code: ClassVar[str] = "TS658"
    name: ClassVar[str] = "tls-signature-weak"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9155 section 4"
    fault: ClassVar[int] = f.SIGNATURE_WEAK
    sentence: ClassVar[str] = "{who} signed its part of the handshake ({frame}) with {scheme}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """The scheme."""
        return super().words(faults, conn) | {"scheme": scheme_name(faults[0].detail)}


class SecureRenegotiationMissing(TlsRule):
    """A server does not know secure renegotiation.

    What it does:
        Reports a server of TLS 1.2 or older that leaves the client's renegotiation_info unanswered.

    Why it matters:
        Before renegotiation an attacker can put data of his own, which the server takes for the client's
        (CVE-2009-3555). Many clients refuse such servers.

    Example:
        frame 4   client > server   ClientHello with renegotiation_info
        frame 5   server > client   ServerHello without it

    How to fix:
        Update the server's TLS library: it is older than 2010.

    References:
        RFC 5746 section 3: what client and server say.
    """

    code: ClassVar[str] = "TS659"
    name: ClassVar[str] = "tls-secure-renegotiation-missing"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5746 section 3"
    fault: ClassVar[int] = f.RENEGOTIATION_INFO_MISSING
    sentence: ClassVar[str] = "{who} did not answer ({frame}) the renegotiation_info of the ClientHello ({other})"


class SniMissing(TlsRule):
    """A client does not say which server name it wants.

    What it does:
        Reports a ClientHello without server_name.

    Why it matters:
        A server with several names cannot know which certificate to send, and sends some default or an alert. Old
        clients, scanners and malware are known by it, too.

    Example:
        frame 4   client > server   ClientHello without server_name

    How to fix:
        Let the program give the host name to its TLS library (SSL_set_tlsext_host_name, server_hostname=…). Who connects
        to an address has no name to send.

    References:
        RFC 6066 section 3: server name indication.
    """

    code: ClassVar[str] = "TS690"
    name: ClassVar[str] = "tls-sni-missing"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 6066 section 3"
    fault: ClassVar[int] = f.SNI_MISSING
    sentence: ClassVar[str] = "{who} does not say in its ClientHello ({frame}) which server name it wants"


class SniAddress(TlsRule):
    """A client sends an IP address as the server's name.

    What it does:
        Reports a server_name that is an IPv4 or IPv6 address.

    Why it matters:
        Addresses are not permitted there; some servers answer with an alert, others with their default certificate.

    Example:
        frame 4   client > server   ClientHello, server_name 192.0.2.1

    How to fix:
        Leave server_name out where only an address is known, or connect by name.

    References:
        RFC 6066 section 3: literal addresses are not permitted.
    """

    code: ClassVar[str] = "TS691"
    name: ClassVar[str] = "tls-sni-ip"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 6066 section 3"
    fault: ClassVar[int] = f.SNI_ADDRESS
    sentence: ClassVar[str] = "{who} sends an IP address as server name in its ClientHello ({frame})"
