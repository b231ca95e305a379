"""TS6xx, what was offered and chosen: groups that were not offered, and what a newer or better set up side would do otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.rules.words import span
from tcpscope.state import tls_faults as f
from tcpscope.wire.ciphers import cipher_name
from tcpscope.wire.tls_parameters import group_name

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault

SECOND_NS = 1_000_000_000


class CbcMacThenEncrypt(TlsRule):
    """A server chose a CBC suite although the client offered better ones.

    What it does:
        Reports a server of TLS 1.2 that chose a suite with CBC, which proves each record before it encrypts it (no
        encrypt_then_mac), while the client also offered one with authenticated encryption (GCM, CCM, ChaCha20-Poly1305)
        for the same kind of certificate.

    Why it matters:
        Decryption of such records is hard to do without telling by its time, or by alerts, how the padding was: again
        and again programs were found to leak data that way (Lucky Thirteen, and POODLE against TLS).

    Example:
        frame 4   client > server   ClientHello: suites with AES-GCM and AES-CBC
        frame 5   server > client   ServerHello: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA

    How to fix:
        Put suites with GCM or ChaCha20-Poly1305 first in the server's list, and let the server's order count.

    References:
        RFC 7366 section 2: encrypt_then_mac is negotiated by an extension.
        RFC 9325 section 4.2: the suites that are recommended for TLS 1.2, all with authenticated encryption.
    """

    code: ClassVar[str] = "TS692"
    name: ClassVar[str] = "tls-cbc-mac-then-encrypt"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 7366 section 2"
    fault: ClassVar[int] = f.CBC_MAC_FIRST
    sentence: ClassVar[str] = "{who} chose {suite} ({frame}), with CBC, although {peer} also offered {better} ({other})"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """The first of the better ones."""
        return super().words(faults, conn) | {"better": cipher_name(faults[0].extra & 0xFFFF)}


class ExtendedMasterSecretMissing(TlsRule):
    """A server does not know the extended master secret.

    What it does:
        Reports a server of TLS 1.2 or older that leaves the client's extended_master_secret unanswered.

    Why it matters:
        Without it the keys do not depend on the whole handshake: a server in the middle can make two connections share
        their keys ("triple handshake"), which breaks client certificates, channel bindings and renegotiation.

    Example:
        frame 4   client > server   ClientHello with extended_master_secret
        frame 5   server > client   ServerHello without it

    How to fix:
        Update the server's TLS library: it is older than 2016, or was told not to use it. TLS 1.3 always has it.

    References:
        RFC 7627 section 5.2: what client and server say.
        RFC 9325 section 3.5: TLS 1.2 must support it.
    """

    code: ClassVar[str] = "TS693"
    name: ClassVar[str] = "tls-extended-master-secret-missing"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 7627 section 5.2"
    fault: ClassVar[int] = f.MASTER_SECRET_OLD
    sentence: ClassVar[str] = "{who} did not answer ({frame}) the extended_master_secret of the ClientHello ({other})"


class ClientVersionObsolete(TlsRule):
    """A client that was turned away offers only old versions of TLS.

    What it does:
        Reports a ClientHello that offers nothing above TLS 1.1 and got no ServerHello: a fatal alert came, or the server
        ended the connection.

    Why it matters:
        Servers of today refuse these versions; many do so without saying why.

    Example:
        frame 4   client > server   ClientHello: TLS 1.0
        frame 5   server > client   alert: fatal, protocol_version

    How to fix:
        Update the client's TLS library, or turn TLS 1.2 on in it. Do not turn the old versions on in the server again.

    References:
        RFC 8996 section 4: do not use TLS 1.0; section 5: nor TLS 1.1.
    """

    code: ClassVar[str] = "TS694"
    name: ClassVar[str] = "tls-client-version-obsolete"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8996 section 4"
    fault: ClassVar[int] = f.CLIENT_OBSOLETE
    sentence: ClassVar[str] = "{who} offers no version above {version} ({frame}), and got no ServerHello"


class GroupNotOffered(TlsRule):
    """A server chose a group that the client did not offer.

    What it does:
        Holds the group of the server's key share (TLS 1.3) against the client's key shares, and the curve of its
        ServerKeyExchange (TLS 1.2 and older) against the client's supported_groups, if it sent that list.

    Why it matters:
        The client cannot compute the keys, and must end the handshake.

    Example:
        frame 4   client > server   ClientHello: supported_groups x25519
        frame 5   server > client   ServerKeyExchange: secp256r1

    How to fix:
        Update the server's TLS library; see whether a middlebox changes the hellos.

    References:
        RFC 8446 section 4.2.8: the server's share is in the group of one of the client's.
        RFC 8422 section 5.1: the client's list guides the server's choice.
    """

    code: ClassVar[str] = "TS695"
    name: ClassVar[str] = "tls-group-not-offered"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.2.8"
    fault: ClassVar[int] = f.GROUP_NOT_OFFERED
    sentence: ClassVar[str] = "{who} chose the group {group} ({frame}), which {peer} did not offer ({other})"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """The group."""
        return super().words(faults, conn) | {"group": group_name(faults[0].detail)}


class CurveExplicit(TlsRule):
    """A server makes its keys on a curve of its own.

    What it does:
        Reports a ServerKeyExchange that describes its elliptic curve by parameters, in place of the name of one.

    Why it matters:
        Nobody has examined such a curve, and a client cannot do so in passing: whoever made it may know how to break it.
        These forms were taken out of TLS; most clients end the handshake.

    Example:
        frame 5   server > client   ServerKeyExchange: explicit_prime

    How to fix:
        Use x25519 or secp256r1 on the server.

    References:
        RFC 8422 section 5.4: only named curves are left.
    """

    code: ClassVar[str] = "TS696"
    name: ClassVar[str] = "tls-curve-explicit"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8422 section 5.4"
    fault: ClassVar[int] = f.CURVE_EXPLICIT
    sentence: ClassVar[str] = "{who} makes its keys on a curve of its own ({frame}), which it describes by parameters"


class TicketLifetimeLong(TlsRule):
    """A server of TLS 1.2 lets its session tickets live for more than a week.

    What it does:
        Reads the lifetime hint of the NewSessionTicket and reports one of more than seven days, the most that TLS 1.3
        allows (there it is an error: TS653).

    Why it matters:
        Who gets the key of the tickets can read all connections that were resumed with them, forward secrecy or not.

    Example:
        frame 9   server > client   NewSessionTicket, lifetime 30 days

    How to fix:
        Set the lifetime to a day or less, and change the key of the tickets as often.

    References:
        RFC 5077 section 3.3: the hint.
        RFC 9325 section 3.4: tickets must be valid for a reasonable time only, and their keys change, as once a week.
        RFC 8446 section 4.6.1: at most seven days in TLS 1.3.
    """

    code: ClassVar[str] = "TS697"
    name: ClassVar[str] = "tls-ticket-lifetime-long"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5077 section 3.3"
    fault: ClassVar[int] = f.TICKET_LONG
    sentence: ClassVar[str] = "{who} sent a session ticket ({frame}) that may be used for {lifetime}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """The lifetime in words."""
        return super().words(faults, conn) | {"lifetime": span(faults[0].detail * SECOND_NS)}
