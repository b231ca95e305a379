"""TS6xx, a ClientHello without an answer: who is silent, and does the hello arrive at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.absence import doubt, weigh
from tcpscope.rules.base import PATIENCE_NS, Severity
from tcpscope.rules.tls_base import TlsRule, tls_log
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, span
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class NoAnswerRule(TlsRule):
    """Base of the rules about a ClientHello that nobody answered. ``missing``: what the capture may have lost instead."""

    missing: ClassVar[str] = "it"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """No proof where the capture may have lost the answer."""
        if self.severity == Severity.NOTE or not doubt(conn):
            return super().weigh(fault, sentence, conn)
        sentence, severity = weigh(conn, sentence, self.severity, self.missing)
        return severity, sentence

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """Whether the hello arrived, and how long was watched."""
        log = tls_log(conn)
        hello = log.client_hello if log is not None else None
        frame = hello.frame if hello is not None else faults[0].frame
        arrived = "which had acknowledged it" if faults[0].detail == 1 else "which had not acknowledged all of it"
        return super().words(faults, conn) | {
            "hello": frames([frame]),
            "arrived": arrived,
            "watched": span(watched(conn)),
            "after": _after(faults[0], conn, frame),
        }


def _after(fault: TlsFault, conn: Connection, hello_frame: int) -> str:
    """``5 s after``: from the ClientHello to the side's FIN or RST."""
    log, transfer = tls_log(conn), transfer_of(conn.side(fault.side))
    ended = transfer.fin_time if transfer.fin_frame else transfer.trouble.rst_time
    sent = next((event.time_ns for event in (log.events if log else ()) if event.frame == hello_frame), ended)
    return f"{span(ended - sent)} after" if ended > sent else "after"


def watched(conn: Connection) -> int:
    """How long the connection was watched after its last data, in ns."""
    sides = (transfer_of(conn.client), transfer_of(conn.server))
    return max(0, conn.watched_until - max(transfer.last_data_time for transfer in sides))


class ServerHelloMissing(NoAnswerRule):
    """The server answered a ClientHello with something that is no ServerHello.

    What it does:
        Reports a ClientHello after which the server sent TLS records but no ServerHello, and nothing says why.

    Why it matters:
        The handshake cannot go on.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   half a record, and nothing more

    How to fix:
        Look at the server's log; take a longer capture.

    References:
        RFC 8446 section 4.1.1: the server answers the client's offer.
    """

    code: ClassVar[str] = "TS670"
    name: ClassVar[str] = "tls-server-hello-missing"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_MISSING
    sentence: ClassVar[str] = (
        "{who} did not answer the ClientHello ({hello}) with a ServerHello in the {watched} that were watched after "
        "the last data"
    )


class ServerHelloMissingReset(NoAnswerRule):
    """A ClientHello was answered by a reset.

    What it does:
        Reports a connection that was reset after the ClientHello and before any ServerHello, with who sent the reset.

    Why it matters:
        A server that crashes or refuses does so, but also a firewall that does not like the server name or the hello:
        then the reset comes from the path.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   RST

    How to fix:
        Compare the TTL of the reset with the server's other segments. If it differs, something on the path resets: try
        another server name. If not, look at the server's log.

    References:
        RFC 8446 section 4.1.1: the server answers with a hello or an alert.
        RFC 9293 section 3.5.2: resets.
    """

    code: ClassVar[str] = "TS671"
    name: ClassVar[str] = "tls-server-hello-missing-reset"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_MISSING_RESET
    sentence: ClassVar[str] = "{who} reset the connection {after} the ClientHello ({hello}) and before any ServerHello"


class ServerHelloMissingClosed(NoAnswerRule):
    """The connection was closed after the ClientHello, without an answer.

    What it does:
        Reports a FIN after the ClientHello and before any ServerHello or alert, with who closed first.

    Why it matters:
        If the server closes, it did not like the hello but does not say so, or a proxy in front of it has nobody to
        pass it on to. If the client closes, it lost patience.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   FIN,ACK

    How to fix:
        Look at the server's log; see whether the port really speaks TLS and whether a backend is missing.

    References:
        RFC 8446 section 4.1.1: the server answers with a hello or an alert.
        RFC 8446 section 6.1: closing needs an alert first.
    """

    code: ClassVar[str] = "TS672"
    name: ClassVar[str] = "tls-server-hello-missing-closed"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_MISSING_CLOSED
    sentence: ClassVar[str] = "{who} closed the connection {after} the ClientHello ({hello}) and before any ServerHello"


class ServerHelloMissingTimeout(NoAnswerRule):
    """A ClientHello was met by silence.

    What it does:
        Reports a ClientHello to which nothing came, and whether the server had acknowledged it. If less than a second
        was watched, a note says that it is too early to tell.

    Why it matters:
        If it was acknowledged, the server's program hangs: overload, a name look-up, a backend that does not answer.
        If not, large hellos may not fit through the path (MTU), or the way back is broken.

    Example:
        frame 4   client > server   ClientHello
        frame 5   server > client   ACK   (and nothing more)

    How to fix:
        If it was acknowledged, look at the server's program. If not, lower the MSS on the path or let ICMP "packet too
        big" pass.

    References:
        RFC 8446 section 4.1.1: the server answers with a hello or an alert.
    """

    code: ClassVar[str] = "TS673"
    name: ClassVar[str] = "tls-server-hello-missing-timeout"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_MISSING_TIMEOUT
    sentence: ClassVar[str] = (
        "no answer to the ClientHello ({hello}) came from {who}, {arrived}, in the {watched} that were watched"
    )

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Silence needs watching."""
        if watched(conn) < PATIENCE_NS:
            return Severity.NOTE, sentence + ": too early to tell"
        sentence, severity = weigh(conn, sentence, self.severity, self.missing)
        return severity, sentence


class ServerHelloMissingOneSided(NoAnswerRule):
    """The answer to a ClientHello is not in the capture.

    What it does:
        Reports a ClientHello whose answer the capture lacks: the client acknowledged bytes of the server that were not
        captured.

    Why it matters:
        Nothing is wrong with the connection as far as one can tell; the capture has one direction, or holes.

    Example:
        frame 4   client > server   ClientHello
        frame 5   client > server   ACK of 3,000 bytes that the capture lacks

    How to fix:
        Capture both directions without loss.

    References:
        RFC 8446 section 4.1.1: the server answers the client's offer.
    """

    code: ClassVar[str] = "TS674"
    name: ClassVar[str] = "tls-server-hello-missing-one-sided"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_MISSING_ONE_SIDED
    sentence: ClassVar[str] = (
        "the answer of {who} to the ClientHello ({hello}) is not in the capture, so the handshake cannot be judged"
    )


class ClientHelloUnacked(NoAnswerRule):
    """Part of a ClientHello was never acknowledged.

    What it does:
        Reports a ClientHello of which the server acknowledged only the beginning, or nothing.

    Why it matters:
        Hellos with post-quantum keys need two segments. If the second, or a full-sized one, never arrives, the path
        drops large packets or a middlebox cannot cope with hellos in two parts.

    Example:
        frame 4   client > server   ClientHello, bytes 1 to 1460
        frame 5   client > server   ClientHello, bytes 1461 to 1800
        frame 6   server > client   ACK 1

    How to fix:
        Lower the MSS on the path or let ICMP "packet too big" pass. Update firewalls that inspect the server name.

    References:
        RFC 8446 section 4.1.2: ClientHello.
        RFC 9293 section 3.7.2: path MTU discovery.
    """

    code: ClassVar[str] = "TS675"
    name: ClassVar[str] = "tls-client-hello-unacked"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.2"
    fault: ClassVar[int] = f.CLIENT_HELLO_UNACKED
    missing: ClassVar[str] = "the acknowledgement"
    sentence: ClassVar[str] = (
        "{peer} acknowledged only {detail} of the {extra} bytes of the ClientHello of {who} ({frame})"
    )

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Silence needs watching."""
        if watched(conn) < PATIENCE_NS:
            return Severity.NOTE, sentence + ", but the capture ends too early to tell"
        sentence, severity = weigh(conn, sentence, self.severity, self.missing)
        return severity, sentence
