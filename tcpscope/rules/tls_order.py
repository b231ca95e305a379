"""TS6xx, the order of messages and of ChangeCipherSpec: RFC 5246 sections 7.1, 7.3 and 7.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class MessageOutOfOrder(TlsRule):
    """A handshake message came where it must not stand.

    What it does:
        Follows the messages of each side through the order that the negotiated version and key exchange prescribe.

    Why it matters:
        Each message takes its meaning from those before it; the receiver must end the handshake with an
        unexpected_message alert. Libraries that did not were open to attacks that skip messages.

    Example:
        frame 6   server > client   ServerHello, ServerKeyExchange, Certificate

    How to fix:
        Update the TLS library of the side that sends it. If the bytes differ at both ends, a middlebox changes them.

    References:
        RFC 5246 section 7.4: the order of the handshake messages.
        RFC 8446 section 4: the same for TLS 1.3.
    """

    code: ClassVar[str] = "TS609"
    name: ClassVar[str] = "tls-message-out-of-order"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4"
    fault: ClassVar[int] = f.MESSAGE_OUT_OF_ORDER
    sentence: ClassVar[str] = "{who} sent a {message} ({frame}) where the handshake does not allow one"


class MessagePremature(TlsRule):
    """A side sent a handshake message without waiting for the other side's.

    What it does:
        Reports a message in a segment whose acknowledgement number does not cover the message that it must answer.

    Why it matters:
        The sender cannot have read what it answers: it is broken, or it replays a recorded handshake.

    Example:
        frame 6   client > server   ClientKeyExchange   (acknowledges nothing of the ServerHelloDone)

    How to fix:
        Update the TLS library of the side that sends it.

    References:
        RFC 5246 section 7.3: who waits for whom.
    """

    code: ClassVar[str] = "TS610"
    name: ClassVar[str] = "tls-message-premature"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.3"
    fault: ClassVar[int] = f.MESSAGE_PREMATURE
    sentence: ClassVar[str] = "{who} sent its {message} ({frame}) before it had the {awaited} of {peer} ({other})"


class MessageUnknown(TlsRule):
    """A handshake message has a type that TLS does not know.

    What it does:
        Reports handshake messages in clear whose type is assigned to no message of TLS.

    Why it matters:
        The receiver must end the handshake with an unexpected_message alert. The stream is damaged, or it is not TLS
        after all.

    Example:
        frame 6   server > client   handshake message of type 99

    How to fix:
        Update the TLS library of the side that sends it, or find the program that speaks something else here.

    References:
        RFC 5246 section 7.4: the types of handshake messages.
    """

    code: ClassVar[str] = "TS611"
    name: ClassVar[str] = "tls-message-unknown"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4"
    fault: ClassVar[int] = f.MESSAGE_UNKNOWN
    sentence: ClassVar[str] = "{who} sent a handshake message of the unknown type {detail} ({frame})"


class CcsPremature(TlsRule):
    """A ChangeCipherSpec came before the keys can be known.

    What it does:
        Reports a ChangeCipherSpec of TLS 1.2 or older that its sender sends before the key exchange, or without
        waiting for the other side where it must.

    Why it matters:
        A library that accepts it switches to keys that everybody knows (CVE-2014-0224, "CCS injection"). No lawful
        side sends it.

    Example:
        frame 5   client > server   ChangeCipherSpec   (before its ClientKeyExchange)

    How to fix:
        See whether somebody tests or attacks the server. Update TLS libraries older than 2014.

    References:
        RFC 5246 section 7.1: when ChangeCipherSpec is sent.
    """

    code: ClassVar[str] = "TS612"
    name: ClassVar[str] = "tls-ccs-premature"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.1"
    fault: ClassVar[int] = f.CCS_PREMATURE
    sentence: ClassVar[str] = (
        "{who} sent ChangeCipherSpec ({frame}) too early: the {message} that must come first was not there"
    )


class CcsMissing(TlsRule):
    """A side sent data without a ChangeCipherSpec before it.

    What it does:
        Reports application data of TLS 1.2 or older from a side that never sent ChangeCipherSpec.

    Why it matters:
        Without it the data is not protected by the new keys; the receiver must refuse it.

    Example:
        frame 8   client > server   ClientKeyExchange, application data

    How to fix:
        Update the TLS library of that side. If the bytes differ at both ends, a middlebox drops records.

    References:
        RFC 5246 section 7.1: ChangeCipherSpec.
        RFC 5246 section 7.3: the order of the handshake.
    """

    code: ClassVar[str] = "TS613"
    name: ClassVar[str] = "tls-ccs-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.1"
    fault: ClassVar[int] = f.CCS_MISSING
    sentence: ClassVar[str] = "{who} sent application data ({frame}) but never a ChangeCipherSpec"


class CcsMalformed(TlsRule):
    """A ChangeCipherSpec is not the single byte 1.

    What it does:
        Reports ChangeCipherSpec records of another length or with another value.

    Why it matters:
        The receiver must end the connection with an alert.

    Example:
        frame 8   client > server   ChangeCipherSpec with the value 2

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 5246 section 7.1: one byte of value 1.
        RFC 8446 section 5: the same in TLS 1.3.
    """

    code: ClassVar[str] = "TS614"
    name: ClassVar[str] = "tls-ccs-malformed"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.1"
    fault: ClassVar[int] = f.CCS_MALFORMED
    sentence: ClassVar[str] = (
        "{who} sent a ChangeCipherSpec of {extra} bytes with the value {detail} ({frame}); it must be the single byte 1"
    )


class Tls13CcsMisplaced(TlsRule):
    """A ChangeCipherSpec of TLS 1.3 stands where none may.

    What it does:
        Reports ChangeCipherSpec records of TLS 1.3 before the ClientHello, after the handshake, or more of them than
        middlebox compatibility explains.

    Why it matters:
        Inside the handshake they are dropped without harm; elsewhere the receiver must end the connection.

    Example:
        frame 20  client > server   ChangeCipherSpec   (after application data)

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 8446 section 5: where ChangeCipherSpec may appear.
        RFC 8446 appendix D.4: middlebox compatibility mode.
    """

    code: ClassVar[str] = "TS615"
    name: ClassVar[str] = "tls13-ccs-misplaced"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 5"
    fault: ClassVar[int] = f.TLS13_CCS_MISPLACED
    sentence: ClassVar[str] = "{who} sent a ChangeCipherSpec of TLS 1.3 where none may stand ({frame}; {detail} in all)"


class AppdataBeforeHandshake(TlsRule):
    """A side sent application data before the handshake allowed it.

    What it does:
        Reports application data before the sender's own Finished (TLS 1.2 and older), before any hello, or before the
        ServerHello without an offer of 0-RTT (TLS 1.3). False Start and 0-RTT are lawful and not reported.

    Why it matters:
        The data is sent before the other side is authenticated, or before there are keys to protect it.

    Example:
        frame 4   client > server   ClientHello
        frame 5   client > server   application data   (no early_data extension)

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 5246 section 7.3: application data follows the handshake.
        RFC 8446 section 2.3: 0-RTT data.
    """

    code: ClassVar[str] = "TS616"
    name: ClassVar[str] = "tls-appdata-before-handshake"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.3"
    fault: ClassVar[int] = f.APPDATA_BEFORE_HANDSHAKE
    sentence: ClassVar[str] = "{who} sent application data ({frame}) too early: {reason}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Why it is too early."""
        reasons = {
            1: "its own Finished had not been sent",
            2: "no hello had been sent",
            3: "no ServerHello had come, and no early data was offered",
        }
        return super().words(faults, conn) | {"reason": reasons.get(faults[0].detail, "the handshake was not done")}
