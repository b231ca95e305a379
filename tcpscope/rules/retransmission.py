"""TS4xx, repeated data by its cause: RFC 6298, RFC 5681, RFC 6675, RFC 8985, RFC 2883."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity, facts_of_side, frames_told_elsewhere
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, intervals, opening, party, plural, times
from tcpscope.state.facts import (
    CAUSE_FAST,
    CAUSE_NETWORK_DUPLICATE,
    CAUSE_SACK,
    CAUSE_SPURIOUS,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
    DUPLICATE_SACK,
    RETRANSMISSION,
    SYN_DATA,
    ZERO_WINDOW_PROBE,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class CauseRule(FactRule):
    """Base of the rules about repeated data: one rule for each set of causes."""

    causes: ClassVar[tuple[int, ...]]

    def __init_subclass__(cls) -> None:
        cls.kinds = tuple(RETRANSMISSION + cause for cause in cls.causes)


def share(seen: Seen, conn: Connection) -> str:
    """``3 of 120 segments with data of the server … were``."""
    sent = plural(transfer_of(conn.side(seen.side)).payload_segments, "segment")
    verb = "was" if seen.count == 1 else "were"
    return f"{'at least ' if seen.more else ''}{seen.count:,} of {sent} with data of {party(conn, seen.side)} {verb}"


class RetransmissionTimeout(CauseRule):
    """Data was sent again because no acknowledgement came in time.

    What it does:
        Counts retransmissions after a time-out, with the waiting times before them.

    Why it matters:
        A time-out is the slow way to recover: the sender waits for 200 ms or more, doubles the wait each time, and
        starts again with one segment in flight. The user sees a stall. It happens when the last segments of a burst
        are lost, when nearly all of a flight is lost, or when the path is down for a moment.

    Example:
        frame 9   client > server   100 bytes
        frame 10  client > server   the same 100 bytes   (0.3 s later)

    How to fix:
        Find where packets are lost: interface error counters, overloaded links, policers, radio. If only large
        segments are repeated, suspect the path MTU. Tail loss probes and SACK (on by default in current systems) avoid
        many time-outs.

    References:
        RFC 6298 section 5: the retransmission timer.
        RFC 9293 section 3.8.1: retransmission time-out.
    """

    code: ClassVar[str] = "TS404"
    name: ClassVar[str] = "retransmission-timeout"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.1"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_TIMEOUT,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """The byte of a zero-window probe rightly comes again once the window is open (TS505)."""
        return fact.other not in frames_told_elsewhere(conn, (ZERO_WINDOW_PROBE,))

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and after how long."""
        waits = [fact.b for fact in seen.facts if fact.b >= 0]
        waited = f", after waiting {intervals(waits, seen.count)}" if waits else ""
        text = (
            f"{share(seen, conn)} sent again after a time-out ({frames(seen.frames, seen.count)}{waited}): a segment "
            "or its ACK was lost"
        )
        return self.about(conn, seen, opening(text))


class FastRetransmission(CauseRule):
    """Data was lost and sent again as soon as the receiver's ACKs showed it.

    What it does:
        Counts retransmissions that duplicate ACKs or SACK blocks asked for.

    Why it matters:
        Segments are lost on the path. The recovery is quick, about a round trip, but the sender halves its rate each
        time: a few in a thousand already limit the throughput of a long path.

    Example:
        frame 20  client > server   ACK 1461   (third duplicate)
        frame 21  server > client   bytes 1461 to 2920 again

    How to fix:
        Find where packets are lost: interface error counters, overloaded links, policers, radio. Compare captures at
        both ends.

    References:
        RFC 5681 section 3.2: fast retransmit and fast recovery.
        RFC 6675 section 5: loss recovery with SACK.
    """

    code: ClassVar[str] = "TS405"
    name: ClassVar[str] = "fast-retransmission"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5681 section 3.2"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_FAST, CAUSE_SACK)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many of all."""
        text = f"{share(seen, conn)} lost and sent again on duplicate ACKs ({frames(seen.frames, seen.count)})"
        return self.about(conn, seen, opening(text))


class SpuriousRetransmission(CauseRule):
    """Data was sent again although the receiver had acknowledged it.

    What it does:
        Counts segments all of whose bytes were already acknowledged in the capture when they were sent again.

    Why it matters:
        The acknowledgement was lost or came too late, so nothing but the repetition itself was wasted. Many of them
        show that ACKs are lost or delayed on the way to the sender, or that its time-out is too short for the path.

    Example:
        frame 9   client > server   100 bytes
        frame 10  server > client   ACK 101
        frame 11  client > server   the same 100 bytes

    How to fix:
        Capture at the sender: does the ACK arrive there, and when? Look for loss or long queues in the direction of
        the ACKs.

    References:
        RFC 6298 section 5: the retransmission timer.
        RFC 2883 section 4: duplicate SACK reports needless retransmissions.
    """

    code: ClassVar[str] = "TS406"
    name: ClassVar[str] = "spurious-retransmission"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 6298 section 5"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_SPURIOUS,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and whether the receiver says so too."""
        text = (
            f"{share(seen, conn)} sent again although the capture shows them acknowledged "
            f"({frames(seen.frames, seen.count)}): the ACK was lost or came late"
        )
        reported = int(conn.count_of(DUPLICATE_SACK, 1 - seen.side))
        if reported:
            text += f"; the receiver reported duplicates {times(reported)}"
        return self.about(conn, seen, opening(text))


class TailLossProbe(CauseRule):
    """The last segment was sent again as a probe.

    What it does:
        Counts retransmissions of the last segment in flight that come about two round trips after it, before the
        time-out.

    Why it matters:
        The sender saw no ACK for the end of its data and asks early instead of waiting for the time-out. Either the
        tail was lost, or the receiver delays its ACKs for longer than the sender expects; alone it costs next to
        nothing.

    Example:
        frame 9   server > client   bytes 1461 to 1500, the last ones
        frame 10  server > client   the same bytes   (two round trips later)

    How to fix:
        Nothing, unless time-outs or fast retransmissions show loss as well.

    References:
        RFC 8985 section 7: tail loss probe.
    """

    code: ClassVar[str] = "TS407"
    name: ClassVar[str] = "tail-loss-probe"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8985 section 7"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_TAIL_LOSS_PROBE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and after how long."""
        waits = [fact.b for fact in seen.facts if fact.b >= 0]
        text = (
            f"{party(conn, seen.side)} probed for the loss of its last segment {times(seen.count)} "
            f"({frames(seen.frames, seen.count)}), {intervals(waits, seen.count)} after sending it"
        )
        return self.about(conn, seen, opening(text))


class RetransmissionUnexplained(CauseRule):
    """Data was sent again, and the capture does not show why.

    What it does:
        Counts retransmissions that fit none of the known causes, mostly because the first sending is not in the
        capture or no round trip is known.

    Why it matters:
        Something was lost, or the sender is impatient; which of the two this capture cannot tell.

    Example:
        frame 1   client > server   bytes 1 to 100   (the capture begins here)
        frame 2   client > server   bytes 1 to 100   (80 ms later)

    How to fix:
        Take a capture from the beginning of the connection, at the sender if possible.

    References:
        RFC 9293 section 3.8.1: retransmission.
    """

    code: ClassVar[str] = "TS412"
    name: ClassVar[str] = "retransmission-unexplained"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.1"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_UNKNOWN,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Data of a SYN that was not taken rightly comes again (TS101, TS114)."""
        again = facts_of_side(conn, SYN_DATA, fact.side) and fact.other <= conn.side(fact.side).syn_last_frame
        return not again

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many."""
        text = (
            f"{share(seen, conn)} sent again ({frames(seen.frames, seen.count)}) for no reason that the capture shows"
        )
        return self.about(conn, seen, opening(text))


class DuplicateDataReported(FactRule):
    """The receiver reports that data arrived twice.

    What it does:
        Counts duplicate SACK blocks of a side, if no spurious retransmission and no duplicate packet in the capture
        explains them (TS406, TS410).

    Why it matters:
        The receiver got bytes twice: the network copied packets behind the capture point, or the sender repeated what
        was not lost, mostly because segments overtook one another.

    Example:
        frame 9   client > server   ACK 2921, SACK 1461 to 2920

    How to fix:
        Compare with a capture at the receiver to see which packets arrive twice. Look for reordering on the path.

    References:
        RFC 2883 section 4: reporting duplicate segments with SACK.
    """

    code: ClassVar[str] = "TS413"
    name: ClassVar[str] = "duplicate-data-reported"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 2883 section 4"
    kinds: ClassVar[tuple[int, ...]] = (DUPLICATE_SACK,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not a SYN or FIN that came twice: other rules tell of those."""
        sender = conn.side(1 - fact.side)
        return fact.a not in (sender.isn, transfer_of(sender).fin_seq)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, against how many repetitions."""
        told = (RETRANSMISSION + CAUSE_SPURIOUS, RETRANSMISSION + CAUSE_NETWORK_DUPLICATE)  # by TS406 and TS410
        if any(conn.count_of(kind, 1 - seen.side) for kind in told):
            return None
        sender = party(conn, 1 - seen.side)
        repeated = transfer_of(conn.side(1 - seen.side)).retransmitted_segments
        text = (
            f"{party(conn, seen.side)} reported {times(seen.count)} ({frames(seen.frames, seen.count)}) that data of "
            f"{sender} arrived twice"
        )
        if repeated:
            needless = (
                "the one repetition was" if repeated == 1 else f"{seen.count:,} of the {repeated:,} repetitions were"
            )
            text += f": {needless} not needed"
        else:
            text += ", though it was sent only once in this capture: something behind the capture point copied it"
        return self.about(conn, seen, opening(text))
