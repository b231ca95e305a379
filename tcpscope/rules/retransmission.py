"""TS4xx, repeated data by its cause: RFC 6298, RFC 5681, RFC 6675, RFC 8985, RFC 2883."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity, facts_of_side, frames_told_elsewhere
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, intervals, listed, opening, party, plural, times
from tcpscope.state.facts import (
    CAUSE_FAST,
    CAUSE_SACK,
    CAUSE_SPURIOUS,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
    DUPLICATE_SACK,
    PROOF_STEP,
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


def place_of_loss(seen: Seen, what: str) -> str:
    """Which side of the capture point lost ``what``: a first sending that was captured was lost behind it."""
    before = sum(not fact.other for fact in seen.facts)
    if not before:
        return f"{what} lost behind the capture point"
    if before == len(seen.facts):
        return "lost before the capture point"
    return f"some lost before the capture point, some {what} behind it"


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
        fired = [fact for fact in seen.facts if fact.a > 0]
        waits = [fact.b for fact in fired if fact.b >= 0]
        waited = f", after waiting {intervals(waits, len(fired))}" if waits else ""
        text = f"{share(seen, conn)} sent again after a time-out ({frames(seen.frames, seen.count)}{waited})"
        if (steps := max((fact.a for fact in fired), default=0)) > 1:
            text += f", the timer backed off {times(steps - 1)}"
        if (ran := int(transfer_of(conn.side(seen.side)).trouble.timeouts)) < seen.count:
            text += f"; the timer ran off {times(ran)} and gave up all that was in flight"
        text += f": {place_of_loss(seen, 'data or ACKs')}"
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
        kinds = {fact.kind for fact in seen.facts}
        asked = [
            "duplicate ACKs" if RETRANSMISSION + CAUSE_FAST in kinds else "",
            "SACK" if RETRANSMISSION + CAUSE_SACK in kinds else "",
        ]
        counts = sorted({fact.a for fact in seen.facts if fact.a > 0})
        after = f" after {counts[0]:,} to {counts[-1]:,} duplicates" if len(counts) > 1 else ""
        if len(counts) == 1:
            after = f" after {plural(counts[0], 'duplicate')}"
        text = (
            f"{share(seen, conn)} lost and sent again on {listed([one for one in asked if one])}{after} "
            f"({frames(seen.frames, seen.count)}): {place_of_loss(seen, 'data').removeprefix('data ')}"
        )
        return self.about(conn, seen, opening(text))


class SpuriousRetransmission(CauseRule):
    """Data was sent again although nothing was lost.

    What it does:
        Counts segments sent again that the receiver had already: because the capture shows their acknowledgement
        before, because the receiver reports the duplicate (D-SACK), or because its ACK answers the timestamp of the
        earlier sending (Eifel detection).

    Why it matters:
        The acknowledgement was lost or came too late, so that the sender took data for lost that was not. Besides the
        bytes it costs speed: after a time-out or a fast retransmission the sender halves its rate for nothing. Many of
        them show that ACKs are lost or delayed on the way to the sender, that segments overtake one another, or that
        the time-out is too short for the path.

    Example:
        frame 9   client > server   100 bytes, TSval 5000
        frame 10  client > server   the same 100 bytes, TSval 5300   (0.3 s later)
        frame 11  server > client   ACK 101, TSecr 5000

    How to fix:
        Capture at the sender: does the ACK arrive there, and when? Look for loss or long queues in the direction of
        the ACKs, and for reordering on the path.

    References:
        RFC 6298 section 5: the retransmission timer.
        RFC 2883 section 4: duplicate SACK reports needless retransmissions.
        RFC 3522 section 3: the Eifel detection algorithm.
    """

    code: ClassVar[str] = "TS406"
    name: ClassVar[str] = "spurious-retransmission"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 6298 section 5"
    causes: ClassVar[tuple[int, ...]] = (CAUSE_SPURIOUS,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, what proves it, and what it did to the sender."""
        proofs = [PROOFS[fact.a // PROOF_STEP] for fact in seen.facts]
        text = (
            f"{share(seen, conn)} sent again needlessly ({frames(seen.frames, seen.count)}): "
            f"{listed([proof for proof in PROOFS if proof in proofs])}"
        )
        if early := int(transfer_of(conn.side(seen.side)).trouble.spurious_timeouts):
            text += f"; {plural(early, 'time-out')} came too early"
        return self.about(conn, seen, opening(text))


PROOFS: Final = (
    "the capture shows the acknowledgement before",
    "the receiver reported the duplicate (D-SACK)",
    "the ACK answers the timestamp of the earlier sending",
)


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
        if needless := int(transfer_of(conn.side(seen.side)).trouble.needless_probes):
            text += f"; nothing was lost{'' if needless == seen.count == 1 else f' in {needless:,} of them'}"
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
        Counts duplicate SACK blocks of a side that report bytes of which the capture holds no repetition and no copy
        (those are TS406, TS407 and TS410).

    Why it matters:
        The receiver got bytes twice: the network copies packets behind the capture point, or the capture lacks the
        repetition.

    Example:
        frame 9   client > server   ACK 2921, SACK 1461 to 2920

    How to fix:
        Compare with a capture at the receiver to see which packets arrive twice.

    References:
        RFC 2883 section 4: reporting duplicate segments with SACK.
    """

    code: ClassVar[str] = "TS413"
    name: ClassVar[str] = "duplicate-data-reported"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 2883 section 4"
    kinds: ClassVar[tuple[int, ...]] = (DUPLICATE_SACK,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Only what nothing in the capture repeats; of a SYN or FIN that came twice other rules tell."""
        sender = conn.side(1 - fact.side)
        copied = sender.copied
        seen_twice = fact.other > 0 or (fact.other < 0 and copied is not None and copied.by_network > 0)
        return not seen_twice and fact.a not in (sender.isn, transfer_of(sender).fin_seq)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often."""
        text = (
            f"{party(conn, seen.side)} reported {times(seen.count)} ({frames(seen.frames, seen.count)}) that data of "
            f"{party(conn, 1 - seen.side)} arrived twice, though this capture holds it only once: something behind the "
            "capture point copied it"
        )
        return self.about(conn, seen, opening(text))
