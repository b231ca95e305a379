"""TS6xx, what only keys show: proofs of the handshake, records that were changed, keys that are missing (--keylog)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.rules.words import plural
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class FinishedWrong(TlsRule):
    """A Finished message does not fit the handshake.

    What it does:
        With keys, computes the value that each Finished must have from the secret and from all handshake messages in
        the capture, and reports one that differs.

    Why it matters:
        The Finished proves that both sides saw the same handshake. If it differs, somebody between sender and capture
        changed a message, or one side computes it wrongly; the other side must end the connection.

    Example:
        frame 8   client > server   Finished   (of another ClientHello than the one in frame 4)

    How to fix:
        Compare captures of both ends: where they differ, a device on the path changes TLS messages. If they do not,
        update the TLS library of the side that sent the Finished.

    References:
        RFC 8446 section 4.4.4: how the Finished of TLS 1.3 is computed.
        RFC 5246 section 7.4.9: the same in TLS 1.2.
    """

    code: ClassVar[str] = "TS632"
    name: ClassVar[str] = "tls-finished-wrong"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.4.4"
    fault: ClassVar[int] = f.FINISHED_WRONG
    sentence: ClassVar[str] = "{who} sent a Finished ({frame}) that does not fit the handshake messages in the capture"


class CertificateVerifyWrong(TlsRule):
    """The signature in a CertificateVerify does not fit.

    What it does:
        With keys, checks the signature of each CertificateVerify with the public key of the sender's certificate over
        the handshake so far, and reports one that is wrong.

    Why it matters:
        The signature proves that the sender has the private key of the certificate. Without it, it is not who the
        certificate says; the other side must end the connection.

    Example:
        frame 6   server > client   Certificate, CertificateVerify   (made with the key of another certificate)

    How to fix:
        Check that certificate and private key of that side belong together. If they do, look for a device on the path
        that changes TLS messages.

    References:
        RFC 8446 section 4.4.3: what is signed in TLS 1.3.
        RFC 5246 section 7.4.8: the same in TLS 1.2.
    """

    code: ClassVar[str] = "TS633"
    name: ClassVar[str] = "tls-certificate-verify-wrong"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.4.3"
    fault: ClassVar[int] = f.CERTIFICATE_VERIFY_WRONG
    sentence: ClassVar[str] = (
        "{who} sent a CertificateVerify ({frame}) whose signature was not made with the key of its certificate over this "
        "handshake"
    )


class EarlyDataEndWrong(TlsRule):
    """EndOfEarlyData is missing, or was sent although the early data was refused.

    What it does:
        With keys, compares the server's answer to the offer of early data (in its EncryptedExtensions) with what the
        client sends before its Finished.

    Why it matters:
        EndOfEarlyData says where the early data ends and the handshake keys begin. With one too many or too few the two
        sides do not agree on the handshake, and the server must end the connection.

    Example:
        frame 6   server > client   EncryptedExtensions (early_data)
        frame 8   client > server   Finished

    How to fix:
        Update the TLS library of the client.

    References:
        RFC 8446 section 4.5: when EndOfEarlyData must be sent.
        RFC 8446 section 4.2.10: how a server accepts early data.
    """

    code: ClassVar[str] = "TS634"
    name: ClassVar[str] = "tls13-early-data-end-wrong"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.5"
    fault: ClassVar[int] = f.END_OF_EARLY_DATA
    sentence: ClassVar[str] = "{who} sent {what} ({frame})"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Missing or too many."""
        missing = faults[0].detail == 1
        what = (
            "its Finished without an EndOfEarlyData, although its early data was accepted"
            if missing
            else "an EndOfEarlyData, although its early data was not accepted"
        )
        return super().words(faults, conn) | {"what": what}


class TicketLifetimeExceeded(TlsRule):
    """A server gives out session tickets for longer than seven days.

    What it does:
        With keys, reads the lifetime of each NewSessionTicket of TLS 1.3 and reports one above 604,800 seconds.

    Why it matters:
        TLS 1.3 forbids it: who steals the ticket key of a server can take over sessions for as long, and clients drop
        the ticket after seven days anyway.

    Example:
        frame 9   server > client   NewSessionTicket, lifetime 1,209,600 s

    How to fix:
        Set the ticket lifetime of the server to seven days or less.

    References:
        RFC 8446 section 4.6.1: the lifetime of tickets.
    """

    code: ClassVar[str] = "TS653"
    name: ClassVar[str] = "tls13-ticket-lifetime-exceeded"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.6.1"
    fault: ClassVar[int] = f.TICKET_LIFETIME
    sentence: ClassVar[str] = (
        "{who} gave out a session ticket for {detail} seconds ({frame}); TLS 1.3 allows 604,800, which is seven days"
    )


class RecordAuthenticationFailed(TlsRule):
    """A protected record does not authenticate.

    What it does:
        With keys, reports a record that the key does not open although it opened those before, in a stream that the
        capture has without a hole. From there on nothing of that side is decrypted.

    Why it matters:
        The record was changed or put in by somebody after it left the sender, or the capture has it wrong. The receiver
        ends the connection with the alert bad_record_mac.

    Example:
        frame 13  server > client   48 bytes of application data that nobody encrypted
        frame 14  client > server   alert: fatal, bad_record_mac

    How to fix:
        Look for a device on the path that changes or injects data, and for bad memory or a faulty network card. Compare
        captures of both ends.

    References:
        RFC 8446 section 5.2: what the receiver does with such a record.
        RFC 5246 section 7.2.2: bad_record_mac.
    """

    code: ClassVar[str] = "TS667"
    name: ClassVar[str] = "tls-record-authentication-failed"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 5.2"
    fault: ClassVar[int] = f.RECORD_FORGED
    sentence: ClassVar[str] = (
        "{who} seems to have sent a record ({frame}) that does not authenticate with the key of the {before} before: it "
        "was changed or put in on the way, or the capture has it wrong"
    )

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """How many records the key opened."""
        return super().words(faults, conn) | {"before": plural(faults[0].extra, "record")}


class KeyMissing(TlsRule):
    """There are keys for a connection, but not for all of its records.

    What it does:
        Reports a side whose protected records no key of the key log opens, or not all of them, although the log knows
        the connection. What they hold cannot be told; all that does not need keys is judged as always.

    Why it matters:
        The key log was cut, was written for one direction only, or holds the key of another run with the same client
        random. Cipher suites with RC4, NULL or compression are not decrypted at all.

    Example:
        frame 6   server > client   a record that SERVER_HANDSHAKE_TRAFFIC_SECRET does not open

    How to fix:
        Give the whole key log of the program that wrote it (SSLKEYLOGFILE), in the version that belongs to the capture.

    References:
        RFC 9850 section 2: which lines a key log needs.
    """

    code: ClassVar[str] = "TS668"
    name: ClassVar[str] = "tls-key-missing"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9850 section 2"
    fault: ClassVar[int] = f.KEY_MISSING
    sentence: ClassVar[str] = "What {who} sent under encryption from {frame} on cannot be told: {trouble}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """None at all, some, or a suite that is not supported."""
        fault = faults[0]
        trouble = "no key for this connection opens it"
        if fault.extra == 1:
            trouble = "its cipher suite is not one that can be decrypted"
        elif fault.detail:
            trouble = f"after {plural(fault.detail, 'record')} the key for the next is missing"
        return super().words(faults, conn) | {"trouble": trouble}


class KeyUpdateFlood(TlsRule):
    """A side changes its keys again and again.

    What it does:
        With keys, reports more than 64 KeyUpdate messages of one side within ten seconds.

    Why it matters:
        Each KeyUpdate costs the receiver a derivation of keys, and an answer if it asks for one: a cheap way to keep a
        server busy. No library updates its keys more often than every few gigabytes.

    Example:
        frames 20-90   client > server   KeyUpdate (update_requested), 400 times

    How to fix:
        Limit KeyUpdates in the server, as current TLS libraries do, and find out what the client is.

    References:
        RFC 8446 section 4.6.3: KeyUpdate.
        RFC 8446 section 5.5: when keys need to change.
    """

    code: ClassVar[str] = "TS669"
    name: ClassVar[str] = "tls13-key-update-flood"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.6.3"
    fault: ClassVar[int] = f.KEY_UPDATE_FLOOD
    sentence: ClassVar[str] = "{who} sent more than 64 KeyUpdates within ten seconds (from {frame} on)"
