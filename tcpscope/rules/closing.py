"""TS2xx, how connections close: RFC 9293 section 3.6."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import (
    CLOSED_BY_BOTH_AT_ONCE,
    CLOSED_BY_ONE,
    PATIENCE_NS,
    Context,
    FactRule,
    Finding,
    Rule,
    Seen,
    Severity,
    frames_told_elsewhere,
)
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, intervals, opening, party, plural, span, times, too_early
from tcpscope.state.facts import (
    ACK_NEVER_CAME_TO_FIN,
    CLIENT,
    DATA_AFTER_FIN,
    FIN_MOVED,
    FIN_REPEATED,
    SERVER,
    TIME_WAIT_ACK_REPEATED,
    TIME_WAIT_FIN_RESET,
    TIME_WAIT_FIN_UNANSWERED,
    Fact,
)
from tcpscope.state.seq import diff

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

LEAKED_AFTER_NS: Final = 60_000_000_000
"""How long a side may stay in CLOSE-WAIT in silence: Linux gives up the closed other half after as long (tcp_fin_timeout)."""


SURE_AFTER: Final = 3
"""A FIN sent this often was not acknowledged in time, however short the time: the second may be a mere probe (RFC 8985)."""


SHORTEST_PROBE_NS: Final = 10_000_000
"""A FIN may be repeated as a tail loss probe, two round trips after the first (RFC 8985 section 7.2), never within one."""


class DataAfterFin(FactRule):
    """A side sent data beyond its own FIN.

    What it does:
        Reports bytes whose sequence numbers lie at or behind the FIN that their sender has already sent.

    Why it matters:
        The FIN says "no more data": it takes the last sequence number of its side. A receiver ignores what comes
        behind it, so these bytes are lost. The sender's stack or a middlebox that injects segments is broken, or the
        segment is forged.

    Example:
        frame 8   client > server   FIN seq=u
        frame 9   client > server   5 bytes of data, seq=u+1

    How to fix:
        Capture on both sides of each device between the two. If the sender itself does it, update or replace its TCP
        stack; if the bytes appear on the way, look at the proxy, firewall or injector there.

    References:
        RFC 9293 section 3.6: after CLOSE no further data is accepted for sending.
        RFC 9293 section 3.10.7.4: text that arrives after the FIN is ignored.
    """

    code: ClassVar[str] = "TS201"
    name: ClassVar[str] = "data-after-fin"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (DATA_AFTER_FIN,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many bytes, behind which FIN."""
        fact = seen.first
        sent = sum(one.a for one in seen.facts)
        more = "at least " if seen.count > len(seen.facts) else ""
        text = (
            f"{party(conn, seen.side)} sent {more}{plural(sent, 'byte')} of data ({frames(seen.frames, seen.count)}) "
            f"beyond its own FIN (frame {fact.other}); the other side has to ignore them"
        )
        return self.about(conn, seen, opening(text))


class FinNeverAcknowledged(FactRule):
    """A FIN was never acknowledged.

    What it does:
        Reports a FIN for which no ACK came, with its repetitions and how long was watched. If the capture ends within
        a second of it, a note says that it is too early to tell.

    Why it matters:
        The closer stays in FIN-WAIT-1 (or LAST-ACK), repeats its FIN for minutes and then gives up. The other side is
        gone or cannot be reached, or its answers are lost; it may still believe that the connection is open.

    Example:
        frame 8   client > server   FIN,ACK
        frame 9   client > server   FIN,ACK   (0.4 s later)
        frame 10  client > server   FIN,ACK   (0.8 s later)

    How to fix:
        See whether the other host is up and whether a firewall or NAT on the way forgot the connection (idle
        time-out). Keep-alives shorter than that time-out prevent it.

    References:
        RFC 9293 section 3.6: a FIN is repeated until it is acknowledged.
        RFC 9293 section 3.10.7.4: a FIN that arrives is acknowledged.
    """

    code: ClassVar[str] = "TS202"
    name: ClassVar[str] = "fin-never-acknowledged"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (ACK_NEVER_CAME_TO_FIN,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often the FIN was sent and how long was watched; nothing where a reset explains the silence."""
        transfer = transfer_of(conn.side(seen.side))
        if conn.aborted or conn.one_sided:
            return None
        watched = conn.watched_until - transfer.fin_time
        sent = [
            transfer.fin_frame,
            transfer.fin_last_frame,
            *(f.frame for f in conn.facts_of(FIN_REPEATED) if f.side == seen.side),
        ]
        severity = Severity.NOTE
        if watched < PATIENCE_NS and transfer.fin_count < SURE_AFTER:
            text = (
                f"the FIN of {party(conn, seen.side)} (frame {transfer.fin_frame}) is not acknowledged, but "
                f"{too_early(watched)}"
            )
        else:
            text = (
                f"{party(conn, 1 - seen.side)} never acknowledged the FIN of {party(conn, seen.side)}, which sent it "
                f"{times(transfer.fin_count)} ({frames(sent, transfer.fin_count)}) in the {span(watched)} that were "
                "watched"
            )
            text, severity = weigh(conn, text, self.severity)
        return self.finding(
            conn,
            seen.side,
            opening(text),
            sent,
            frame=transfer.fin_frame,
            time_ns=transfer.fin_time,
            count=transfer.fin_count,
            severity=severity,
        )


class CloseWaitNeverClosed(Rule):
    """One side closed, and the other never did.

    What it does:
        Reports a side that acknowledged the other side's FIN and then stayed silent in CLOSE-WAIT: no data, no FIN, no
        reset. After 60 seconds of silence it is a warning; before that, from one second on, a note.

    Why it matters:
        A program that does not notice the end of the connection leaks a socket each time; in the end the process has
        no file descriptors left. The closer waits in FIN-WAIT-2; Linux gives up after 60 seconds.

    Example:
        frame 8   client > server   FIN,ACK
        frame 9   server > client   ACK       (and nothing more)

    How to fix:
        In the program on the silent side, close the socket when a read returns end of file (0 bytes), also on error
        paths. On Linux "ss -tn state close-wait" lists the leaked sockets with their process.

    References:
        RFC 9293 section 3.6: case 2, the side that receives a FIN closes in its turn.
        RFC 9293 section 3.6.1: half-closed connections are lawful while the open side sends.
    """

    code: ClassVar[str] = "TS204"
    name: ClassVar[str] = "close-wait-never-closed"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    occasions: ClassVar[int] = CLOSED_BY_ONE

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """How long the open side has been silent."""
        side = SERVER if transfer_of(conn.client).fin_frame else CLIENT  # in CLOSE-WAIT
        closer, silent = transfer_of(conn.side(1 - side)), transfer_of(conn.side(side))
        if conn.aborted or not closer.fin_ack_frame or conn.one_sided:
            return
        since = max(closer.fin_ack_time, silent.last_data_time)
        idle = conn.watched_until - since
        if idle < PATIENCE_NS:
            return
        text = (
            f"{party(conn, side)} acknowledged the FIN of {party(conn, 1 - side)} (frame {closer.fin_ack_frame}) but "
            f"did not close its own side in the {span(idle)} of silence that followed: "
        )
        leaked = idle >= LEAKED_AFTER_NS
        text += (
            "it leaks a socket in CLOSE-WAIT"
            if leaked
            else "it is in CLOSE-WAIT, but the capture is too short to tell whether it stays there"
        )
        text, severity = weigh(conn, text, self.severity if leaked else Severity.NOTE, "what it sent")
        yield self.finding(
            conn,
            side,
            opening(text),
            [closer.fin_frame, closer.fin_ack_frame],
            frame=closer.fin_ack_frame,
            time_ns=closer.fin_ack_time,
            severity=severity,
        )


class SimultaneousClose(Rule):
    """Both sides closed at the same time.

    What it does:
        Recognises two FINs that cross: each was sent before its sender had received the other one.

    Why it matters:
        It is lawful. Both sides pass through CLOSING and both have to stay in TIME-WAIT, so a server that closes like
        this collects TIME-WAIT entries as a client does.

    Example:
        frame 8   client > server   FIN seq=u ack=w
        frame 9   server > client   FIN seq=w ack=u
        frame 10  client > server   ACK ack=w+1
        frame 11  server > client   ACK ack=u+1

    How to fix:
        Nothing. If the server's TIME-WAIT entries matter, let the protocol decide which side closes first.

    References:
        RFC 9293 section 3.6: case 3 and figure 13.
    """

    code: ClassVar[str] = "TS205"
    name: ClassVar[str] = "simultaneous-close"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    occasions: ClassVar[int] = CLOSED_BY_BOTH_AT_ONCE

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """The two FINs and their ACKs."""
        client, server = transfer_of(conn.client), transfer_of(conn.server)
        text = (
            f"{party(conn, CLIENT)} and {party(conn, SERVER)} closed at the same time: their FINs "
            f"({frames([client.fin_frame, server.fin_frame])}) crossed, so both have to stay in TIME-WAIT"
        )
        evidence = [client.fin_frame, server.fin_frame, client.fin_ack_frame, server.fin_ack_frame]
        second = max(client, server, key=lambda transfer: transfer.fin_frame)
        yield self.finding(conn, None, opening(text), evidence, frame=second.fin_frame, time_ns=second.fin_time)


class FinRetransmitted(FactRule):
    """A FIN had to be sent again before it was acknowledged.

    What it does:
        Reports repeated FINs that were acknowledged in the end. Where the acknowledgement never came, TS202 says so;
        repetitions that reach a side in TIME-WAIT belong to TS301, TS302 and TS303.

    Why it matters:
        The FIN or the ACK of it was lost: the path loses packets, and the connection closed later than it should have.

    Example:
        frame 8   client > server   FIN,ACK
        frame 9   client > server   FIN,ACK   (0.2 s later)
        frame 10  server > client   ACK

    How to fix:
        Treat it as any other loss: see whether other connections over the same path show retransmissions as well.

    References:
        RFC 9293 section 3.6: the FIN is retransmitted until it is acknowledged.
        RFC 6298 section 5: the retransmission timer.
    """

    code: ClassVar[str] = "TS208"
    name: ClassVar[str] = "fin-retransmitted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (FIN_REPEATED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not copies, nor a FIN that is in the ACK of the other one, nor those that the rules about TIME-WAIT tell of."""
        if fact.a < max(SHORTEST_PROBE_NS, transfer_of(conn.side(fact.side)).srtt):
            return False
        return fact.frame not in frames_told_elsewhere(
            conn, (TIME_WAIT_ACK_REPEATED, TIME_WAIT_FIN_RESET, TIME_WAIT_FIN_UNANSWERED)
        )

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, and after which waiting times."""
        transfer = transfer_of(conn.side(seen.side))
        if not transfer.fin_ack_frame:
            return None
        text = (
            f"{party(conn, seen.side)} had to send its FIN {times(seen.count + 1)} "
            f"({frames([transfer.fin_frame, *seen.frames], seen.count + 1)}), after waiting "
            f"{intervals([fact.a for fact in seen.facts], seen.count)}: the FIN or the ACK of it was lost"
        )
        return self.about(conn, seen, opening(text))


class FinMoved(FactRule):
    """A side sent its FIN at two different places in the stream.

    What it does:
        Reports a FIN whose sequence number is not that of the side's first FIN.

    Why it matters:
        The place of the FIN is the end of the data. With two of them the receiver cannot know where the stream ends:
        what it takes for the end depends on which arrives first, and bytes may be lost or added. Evasion tools do this
        on purpose.

    Example:
        frame 8   client > server   FIN seq=100
        frame 9   client > server   FIN seq=140

    How to fix:
        Capture on both sides of each device between the two and look which of them sends the second FIN. If it is the
        sender itself, replace its TCP stack.

    References:
        RFC 9293 section 3.6: the FIN follows the last byte; no data is sent behind it.
        RFC 9293 section 3.4: the FIN takes one sequence number.
    """

    code: ClassVar[str] = "TS209"
    name: ClassVar[str] = "fin-moved"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (FIN_MOVED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far the FIN moved."""
        fact = seen.first
        distance: int = diff(fact.a, fact.b)
        direction = "after" if distance > 0 else "before"
        text = f"{party(conn, seen.side)} sent a second FIN (frame {fact.frame}) "
        if distance == 1:
            text += (
                f"behind its first one (frame {fact.other}), as if that had been a byte of data: its stack is broken"
            )
        else:
            text += (
                f"{plural(abs(distance), 'byte')} {direction} the place of its first one (frame {fact.other}), so the "
                "end of its data is ambiguous"
            )
        return self.about(conn, seen, opening(text))
