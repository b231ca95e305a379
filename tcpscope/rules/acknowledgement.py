"""TS4xx, what is acknowledged and in which order it comes: RFC 9293 sections 3.4 and 3.10.7.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import (
    PATIENCE_NS,
    Context,
    FactRule,
    Finding,
    Seen,
    Severity,
    facts_of_side,
    proves_absence,
)
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, opening, party, plural, span, too_early
from tcpscope.state.facts import (
    ACK_OF_UNSENT,
    CAUSE_NAMES,
    CAUSE_TIMEOUT,
    HOLE,
    NO_ACK_FLAG,
    OUT_OF_ORDER,
    RETRANSMISSION,
    SACK_OF_UNSENT,
    UNACKNOWLEDGED,
    Fact,
)
from tcpscope.state.seq import diff

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


NEAR: Final = 1 << 24
"""Acknowledgements this close to what was sent before go on from there."""


class DataNeverAcknowledged(FactRule):
    """Data was sent and never acknowledged.

    What it does:
        Reports bytes that the other side had not acknowledged when the connection or the capture ended, with how long
        was watched. If the capture ends within a second of the data, and the sender had not yet repeated it, a note
        says that it is too early to tell.

    Why it matters:
        The sender does not know whether the bytes arrived; it repeats them with growing pauses and gives up after
        minutes. The application hangs. The data or its acknowledgements are lost, or the other side is gone.

    Example:
        frame 9   client > server   120 bytes of data
        frame 10  client > server   the same 120 bytes   (0.3 s later)
        ...       nothing from the server

    How to fix:
        Capture at the receiver. If the data arrives there, its acknowledgements get lost on the way back; if it does
        not, look at the way there: a firewall that forgot the connection, or large segments that exceed the path MTU
        (small ones pass).

    References:
        RFC 9293 section 3.4: an acknowledgement covers all bytes before it.
        RFC 9293 section 3.8.1: what is not acknowledged is sent again.
        RFC 9293 section 3.8.3: when a connection is given up.
    """

    code: ClassVar[str] = "TS401"
    name: ClassVar[str] = "data-never-acknowledged"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.4"
    kinds: ClassVar[tuple[int, ...]] = (UNACKNOWLEDGED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many bytes, for how long; nothing where the capture lacks the other direction."""
        if conn.one_sided:
            return None
        fact = seen.first
        receiver = conn.side(1 - seen.side)
        repeats = [
            one for cause in range(len(CAUSE_NAMES)) for one in facts_of_side(conn, RETRANSMISSION + cause, seen.side)
        ]
        timeout = RETRANSMISSION + CAUSE_TIMEOUT
        given_up = any(one.kind == timeout and one.frame >= fact.frame for one in repeats)
        early = fact.b < PATIENCE_NS and not given_up and not conn.aborted
        amount = f"{plural(fact.a, 'byte')} of {party(conn, seen.side)} (from frame {fact.frame} on)"
        severity = Severity.NOTE
        if early:
            text = f"{amount} {'is' if fact.a == 1 else 'are'} not acknowledged, but {too_early(fact.b)}"
        else:
            ended = (
                "before the connection was reset"
                if conn.aborted
                else f"in the {span(fact.b)} that were watched after the last of them"
            )
            text = f"{party(conn, 1 - seen.side)} never acknowledged {amount} {ended}"
            if not receiver.segments:
                text += "; it is silent in the whole capture"
            text, severity = weigh(conn, text, self.severity)
        evidence = [fact.frame, fact.other, *(one.frame for one in repeats if one.frame >= fact.frame)]
        return self.finding(
            conn,
            seen.side,
            opening(text),
            evidence,
            frame=fact.frame,
            time_ns=fact.time_ns,
            severity=severity,
        )


class SegmentWithoutAck(FactRule):
    """A segment inside a connection has no ACK flag.

    What it does:
        Reports segments other than the first SYN and resets that do not carry the ACK flag.

    Why it matters:
        Once a connection is open every segment acknowledges; receivers drop those that do not, so their data is lost.
        Scanners and evasion tools send them, and broken embedded stacks.

    Example:
        frame 9   client > server   PSH, 5 bytes of data, no ACK

    How to fix:
        Find the program that sends them. If it is an ordinary application, capture at its host: a middlebox may clear
        the flag.

    References:
        RFC 9293 section 3.1: the ACK field is always sent once a connection is established.
        RFC 9293 section 3.10.7.4: a segment without ACK is dropped (fifth check).
    """

    code: ClassVar[str] = "TS402"
    name: ClassVar[str] = "segment-without-ack"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.1"
    kinds: ClassVar[tuple[int, ...]] = (NO_ACK_FLAG,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, with how much data."""
        lost = sum(fact.b for fact in seen.facts)
        data = f" with {plural(lost, 'byte')} of data" if lost else ""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')}{data} without the ACK flag "
            f"({frames(seen.frames, seen.count)}), which the receiver has to drop"
        )
        return self.about(conn, seen, opening(text))


class AckForUnsentData(FactRule):
    """A side acknowledged bytes that were never sent.

    What it does:
        Reports acknowledgements beyond anything that the other side can have sent, where the capture proves it: the
        number lies beyond the window that the acknowledging side ever opened, or beyond the FIN of the sender, or the
        sender later sends these bytes as new ones. Bytes that the capture merely lacks are TS902.

    Why it matters:
        The receiver of such an ACK drops the segment and answers with an ACK. It is the mark of optimistic ACK
        attacks, of forged segments, and of middleboxes that rewrite sequence numbers in one direction only.

    Example:
        frame 9   server > client   100 bytes, up to 101
        frame 10  client > server   ACK ack=90000001

    How to fix:
        Capture on both sides of each device between the two and look where the acknowledgement number changes.

    References:
        RFC 9293 section 3.10.7.4: an ACK of something not yet sent is answered and dropped.
        RFC 9293 section 3.4: acceptable acknowledgements.
    """

    code: ClassVar[str] = "TS403"
    name: ClassVar[str] = "ack-for-unsent-data"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (ACK_OF_UNSENT,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far beyond."""
        fact = seen.first
        beyond = diff(fact.a, fact.b)
        text = (
            f"{party(conn, seen.side)} acknowledged {plural(beyond, 'byte')} that {party(conn, 1 - seen.side)} had "
            f"not sent ({frames(seen.frames, seen.count)})"
        )
        later = transfer_of(conn.side(seen.side))
        fin = transfer_of(conn.side(1 - seen.side)).fin_frame
        proved = fact.other > 0
        if proved and fact.other == fin and fin < fact.frame:
            text += f": nothing lies behind its FIN (frame {fin})"
            return self.about(conn, seen, opening(text), severity=Severity.WARNING if conn.lossy else None)
        if proved:
            text += f": they were sent only afterwards, in frame {fact.other}"
        elif (
            later.last_ack_frame > fact.frame
            and abs(int(diff(later.last_ack, fact.b))) < NEAR
            and (proves_absence(conn))
        ):
            proved = True
            text += f": it takes that back in frame {later.last_ack_frame}"
        else:
            text += ", as far as this capture shows: the number lies beyond the window that it had opened"
        return self.about(conn, seen, opening(text), severity=None if proved else Severity.WARNING)


class OutOfOrderSegments(FactRule):
    """Segments overtook one another.

    What it does:
        Counts segments that arrived after later ones although they had been sent before them: not repeated, only late.

    Why it matters:
        The receiver holds what came early and sends duplicate ACKs; three of them make the sender repeat data that was
        not lost, and slow down. Occasional reordering is normal; much of it costs throughput.

    Example:
        frame 9   server > client   bytes 1461 to 2920
        frame 10  server > client   bytes 1 to 1460

    How to fix:
        Look for links that spread packets of one connection: per-packet load balancing, bonding in round-robin mode,
        multi-queue capture (then only the capture is out of order, and no duplicate ACKs follow).

    References:
        RFC 9293 section 3.10.7.4: segments beyond the next expected one are held.
        RFC 5681 section 3.2: three duplicate ACKs trigger a retransmission.
    """

    code: ClassVar[str] = "TS408"
    name: ClassVar[str] = "out-of-order-segments"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (OUT_OF_ORDER,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and how late."""
        latest = max(fact.a for fact in seen.facts)
        sent = transfer_of(conn.side(seen.side)).payload_segments
        text = (
            f"{plural(seen.count, 'segment')} of the {sent:,} with data that {party(conn, seen.side)} sent arrived "
            f"out of order ({frames(seen.frames, seen.count)}), up to {span(latest)} late"
        )
        return self.about(conn, seen, opening(text))


class MissingSegment(FactRule):
    """Bytes are missing in the middle of a stream and never came.

    What it does:
        Reports gaps in what a side sent that were neither filled by a late or repeated segment nor acknowledged by the
        receiver. Gaps that the receiver acknowledged are the capture's own loss: TS902.

    Why it matters:
        The receiver cannot hand anything behind the gap to the application: the connection stands still although
        segments arrive. If the sender does not repeat the bytes, it is gone, or its retransmissions are lost too.

    Example:
        frame 9   server > client   bytes 1 to 1460
        frame 10  server > client   bytes 2921 to 4380   (1461 to 2920 never come)

    How to fix:
        Capture at the sender: does it repeat the bytes? If it does, the path drops them every time; look for something
        that drops by size or content. If the capture ends soon after the gap, take a longer one.

    References:
        RFC 9293 section 3.10.7.4: data is delivered in order.
        RFC 9293 section 3.8.1: lost data is sent again.
    """

    code: ClassVar[str] = "TS409"
    name: ClassVar[str] = "missing-segment"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (HOLE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """What is still missing at the end, and what it holds up."""
        holes = [hole for hole in transfer_of(conn.side(seen.side)).trouble.holes or () if not hole.acknowledged]
        if not holes or conn.one_sided:
            return None
        missing = sum(diff(hole.right, hole.left) for hole in holes)
        first = holes[0]
        watched = conn.watched_until - first.time_ns
        early = watched < PATIENCE_NS
        text = (
            f"{plural(missing, 'byte')} of {party(conn, seen.side)} are missing before "
            f"{frames([hole.frame for hole in holes])}"
        )
        severity = Severity.NOTE
        if early:
            text += f", but {too_early(watched)}"
        else:
            text += f" and never came in the {span(watched)} that were watched: all that follows has to wait for them"
            text, severity = weigh(conn, text, self.severity, "them")
        return self.finding(
            conn,
            seen.side,
            opening(text),
            [hole.frame for hole in holes],
            frame=first.frame,
            time_ns=first.time_ns,
            count=len(holes),
            severity=severity,
        )


class SackForUnsentData(FactRule):
    """A side reported data as received that was never sent.

    What it does:
        Reports SACK blocks that reach beyond the highest sequence number that the other side has sent, if the capture
        lost nothing.

    Why it matters:
        The sender must ignore such blocks. They come from middleboxes that rewrite sequence numbers but forget those
        in the SACK option; recovery from loss then falls back to time-outs, and transfers with loss become slow.

    Example:
        frame 9   server > client   bytes up to 2921
        frame 10  client > server   ACK 1461, SACK 700001 to 701461

    How to fix:
        Turn off sequence number randomisation on the firewall between the two, or update it so that it rewrites SACK
        blocks too.

    References:
        RFC 2018 section 3: the edges of a SACK block are sequence numbers of received data.
        RFC 9293 section 3.4: sequence numbers.
    """

    code: ClassVar[str] = "TS411"
    name: ClassVar[str] = "sack-for-unsent-data"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 2018 section 3"
    kinds: ClassVar[tuple[int, ...]] = (SACK_OF_UNSENT,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """What the capture lacks may have been sent."""
        return not conn.lossy

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far beyond."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} reported bytes as received (SACK, {frames(seen.frames, seen.count)}) that "
            f"reach {plural(diff(fact.a, fact.b), 'byte')} beyond what {party(conn, 1 - seen.side)} had sent"
        )
        text, severity = weigh(conn, text, self.severity, "them")
        return self.about(conn, seen, opening(text), severity=severity)
