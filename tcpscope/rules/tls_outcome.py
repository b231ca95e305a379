"""TS6xx, how TLS connections fail and end: alerts, cut short, not TLS at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import BOTH_SIDES, NOT_TLS, Context, Finding, Rule, Severity
from tcpscope.rules.tls_base import TlsRule, tls_log
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, listed, opening, party
from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import event_name
from tcpscope.wire.tls import LOOKS_HTTP, LOOKS_OTHER, LOOKS_SSH, LOOKS_TEXT

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault

# RFC 8446 section 6, and those of RFC 5246 section 7.2 that it no longer has
ALERT_NAMES: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


def alert_name(description: int) -> str:
    """``close_notify`` and so on."""
    return ALERT_NAMES.get(description, "unknown")


LOOK_WORDS: Final = {LOOKS_HTTP: "plain HTTP", LOOKS_SSH: "SSH", LOOKS_TEXT: "plain text", LOOKS_OTHER: "no TLS record"}

# IANA, Service Name and Transport Protocol Port Number Registry: services that begin with TLS
TLS_PORTS: Final = {
    443: "HTTPS",
    465: "SMTP over TLS",
    563: "NNTP over TLS",
    636: "LDAP over TLS",
    853: "DNS over TLS",
    989: "FTP data over TLS",
    990: "FTP over TLS",
    992: "Telnet over TLS",
    993: "IMAP over TLS",
    995: "POP3 over TLS",
    5061: "SIP over TLS",
    8443: "HTTPS",
    8883: "MQTT over TLS",
}


class HandshakeIncomplete(TlsRule):
    """A TLS handshake began and was not completed.

    What it does:
        Reports a ServerHello without a completed handshake, with what each side sent last and who stopped. If the
        connection was not closed, or the capture has holes, it is a note: the capture may just end too early.

    Why it matters:
        Mostly the client did not accept the certificate, or the server wanted one of the client; in TLS 1.3 the alert
        that says so is encrypted. The last messages show which.

    Example:
        frame 5   server > client   ServerHello, Certificate, ServerHelloDone
        frame 6   client > server   FIN,ACK

    How to fix:
        Look at the log of the side that stopped. If it stopped after the Certificate, check the chain, the dates and
        the name (tcpscope shows the certificates of TLS 1.2 and older).

    References:
        RFC 5246 section 7.3: the messages of a handshake.
        RFC 8446 section 2: the same in TLS 1.3.
    """

    code: ClassVar[str] = "TS676"
    name: ClassVar[str] = "tls-handshake-incomplete"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5246 section 7.3"
    fault: ClassVar[int] = f.HANDSHAKE_INCOMPLETE
    sentence: ClassVar[str] = "{stopped} before the TLS handshake was complete: {last}"

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """The side that stopped may be unknown; then the finding has none."""
        log = tls_log(conn)
        for fault in log.faults if log is not None else ():
            if fault.code == self.fault:
                yield self._tell(fault, conn, max(0, int(log.client_side) if log is not None else 0))

    def _tell(self, fault: TlsFault, conn: Connection, tls_client: int) -> Finding:
        """``tls_client``: the side whose last message the fault names first where nobody is known to have stopped."""
        named = fault.side if fault.side in BOTH_SIDES else tls_client
        ends = {named: (fault.detail, fault.frame), 1 - named: (fault.extra, fault.other_frame)}
        side = fault.side if fault.side in BOTH_SIDES else first_to_end(conn)
        order = (side, 1 - side) if side is not None else (named, 1 - named)
        last = [f"{party(conn, who)} sent {event_name(ends[who][0])} last ({frames([ends[who][1]])})" for who in order]
        text = self.sentence.format(
            stopped=f"{party(conn, side)} stopped" if side is not None else "the connection ends",
            last=" and ".join(last),
        )
        severity = Severity.NOTE
        if fault.grade == f.PROVED:
            text, severity = weigh(conn, text, self.severity, "the rest")
        else:
            text += "; the capture may lack the rest"
        return self.finding(
            conn,
            side,
            opening(text),
            [fault.frame, fault.other_frame],
            frame=ends[order[0]][1],
            severity=severity,
        )


def first_to_end(conn: Connection) -> int | None:
    """The side whose FIN or RST came first."""
    ends = [
        (frame, side)
        for side in BOTH_SIDES
        for frame in (transfer_of(conn.side(side)).fin_frame, transfer_of(conn.side(side)).trouble.rst_frame)
        if frame
    ]
    return min(ends)[1] if ends else None


class AlertRule(TlsRule):
    """Base of the rules about readable alerts."""

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """The names of the alerts."""
        names = [f"{alert_name(fault.detail)} ({fault.detail})" for fault in faults]
        where = frames([fault.frame for fault in faults])
        return super().words(faults, conn) | {"alerts": listed(names), "where": where}


class AlertFatal(AlertRule):
    """A side ended the connection with a fatal alert.

    What it does:
        Reports fatal alerts, with their names. Alerts inside the encryption are read only with keys (--keylog).

    Why it matters:
        The alert says what that side did not accept: handshake_failure (no common cipher suite or version), unknown_ca
        and certificate_expired (the certificate), unrecognized_name (the server name), protocol_version and so on.

    Example:
        frame 5   server > client   alert: fatal, handshake_failure

    How to fix:
        Act on the alert's name: offer what the other side supports, or correct the certificate or the name.

    References:
        RFC 8446 section 6.2: error alerts.
        RFC 5246 section 7.2.2: the same in TLS 1.2.
    """

    code: ClassVar[str] = "TS677"
    name: ClassVar[str] = "tls-alert-fatal"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 6.2"
    fault: ClassVar[int] = f.ALERT_FATAL
    sentence: ClassVar[str] = "{who} ended the TLS connection with the fatal alert {alerts} ({where})"


class AlertWarning(AlertRule):
    """A side sent a warning alert.

    What it does:
        Reports readable warning alerts other than close_notify, with their names.

    Why it matters:
        The connection may go on. unrecognized_name says that the server has no certificate for the name and will send
        another one.

    Example:
        frame 5   server > client   alert: warning, unrecognized_name

    How to fix:
        If the client complains as well, correct the name or the server's configuration.

    References:
        RFC 5246 section 7.2: alert levels.
        RFC 6066 section 3: unrecognized_name.
    """

    code: ClassVar[str] = "TS678"
    name: ClassVar[str] = "tls-alert-warning"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.2"
    fault: ClassVar[int] = f.ALERT_WARNING
    sentence: ClassVar[str] = "{who} sent the warning alert {alerts} ({where})"


class Truncation(TlsRule):
    """A side closed the TCP connection without a close_notify alert.

    What it does:
        Reports a FIN without a closing alert before it. Inside a record it is a warning, since data is missing;
        otherwise a note. In TLS 1.3 the alert is encrypted, so its absence is a suspicion.

    Why it matters:
        Without the alert the other side cannot know whether it got everything or somebody cut the connection. Many
        programs leave it out, and protocols that say how long their data is do not suffer.

    Example:
        frame 30  server > client   application data
        frame 31  server > client   FIN,ACK

    How to fix:
        Shut TLS down before closing the socket (SSL_shutdown). If a record is cut, look for a program that ended too
        early.

    References:
        RFC 5246 section 7.2.1: closure alerts.
        RFC 8446 section 6.1: the same in TLS 1.3.
    """

    code: ClassVar[str] = "TS679"
    name: ClassVar[str] = "tls-truncation"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.2.1"
    fault: ClassVar[int] = f.TRUNCATION
    sentence: ClassVar[str] = "{who} closed the TCP connection {seems}without a close_notify alert{inside} ({frame})"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """A record cut in two is trouble."""
        return (Severity.WARNING if fault.detail == 1 else Severity.NOTE), sentence

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Inside a record or not."""
        fault = faults[0]
        inside = f" in the middle of a record, {fault.extra:,} bytes before its end" if fault.detail == 1 else ""
        seems = "" if fault.grade == f.PROVED else "as it seems "
        return super().words(faults, conn) | {"inside": inside, "seems": seems}


class HalfCloseUnanswered(TlsRule):
    """A side did not answer a close_notify with its own.

    What it does:
        Reports a FIN without an alert from a side whose peer had sent one.

    Why it matters:
        Most programs do so and nothing is lost: the peer had said that it was done.

    Example:
        frame 30  client > server   alert: close_notify
        frame 31  server > client   FIN,ACK

    How to fix:
        Nothing.

    References:
        RFC 5246 section 7.2.1: each side sends a close_notify.
        RFC 8446 section 6.1: in TLS 1.3 the answer is not required.
    """

    code: ClassVar[str] = "TS680"
    name: ClassVar[str] = "tls-half-close-unanswered"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.2.1"
    fault: ClassVar[int] = f.HALF_CLOSE_UNANSWERED
    sentence: ClassVar[str] = "{who} closed without answering the close_notify of {peer} ({frame})"


class NotTls(Rule):
    """A port for TLS carries something else.

    What it does:
        Looks at the first bytes of a connection to a port that is assigned to a service over TLS (443, 465, 636, 853,
        993, 995, 8443 and others), if the capture has them, and reports what they look like.

    Why it matters:
        A client that speaks plain HTTP to port 443 gets an error or nothing, and sends its data unprotected. Tunnels
        and malware use the port because firewalls let it pass.

    Example:
        frame 4   client > 10.0.0.2:443   GET / HTTP/1.1

    How to fix:
        Use https:// in the client, or the right port. If it is a tunnel, find out whose.

    References:
        RFC 8446 section 5.1: what a TLS record looks like.
        RFC 9110 section 4.2.2: the https scheme uses TLS, by default on port 443.
    """

    code: ClassVar[str] = "TS681"
    name: ClassVar[str] = "tls-not-tls"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 5.1"
    occasions: ClassVar[int] = NOT_TLS

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """What the first bytes look like, the client's if it spoke."""
        tls = conn.tls
        if tls is None or tls.recognised:
            return
        port = int.from_bytes(conn.key[-2:], "big")
        for side, looks in ((0, tls.looks0), (1, tls.looks1)):
            if looks not in LOOK_WORDS:
                continue
            transfer = transfer_of(conn.side(side))
            text = (
                f"{party(conn, side)} began with {LOOK_WORDS[looks]} ({frames([transfer.first_data_frame])}) on port "
                f"{port}, which is for {TLS_PORTS[port]}"
            )
            yield self.finding(conn, side, opening(text), [transfer.first_data_frame], time_ns=transfer.first_data_time)
            return


class HttpAnswer(TlsRule):
    """A ClientHello was answered in plain text.

    What it does:
        Reports a server that answers a ClientHello with plain HTTP or another protocol in clear.

    Why it matters:
        The client speaks TLS to a port that does not: it reports something like "wrong version number". The address,
        the port or the server's configuration is wrong.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   HTTP/1.1 400 Bad Request

    How to fix:
        Use the TLS port of the service, turn TLS on for this port, or use http:// in the client.

    References:
        RFC 8446 section 5.1: what a TLS record looks like.
    """

    code: ClassVar[str] = "TS682"
    name: ClassVar[str] = "tls-http-answer"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 5.1"
    fault: ClassVar[int] = f.HTTP_ANSWER
    sentence: ClassVar[str] = (
        "{who} answered the ClientHello ({other}) with {looks} ({frame}): this port does not speak TLS"
    )

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """What the answer looks like."""
        return super().words(faults, conn) | {"looks": LOOK_WORDS.get(faults[0].detail, "something that is no TLS")}
