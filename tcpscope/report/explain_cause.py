"""Why tcpscope gives a segment that repeats or reorders bytes its cause: what is known just before it, in words and numbers.

The cause itself comes from :mod:`tcpscope.state`; here stand the values that were compared, and for the causes that it was
not, the condition that failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tcpscope.report.explain_flags import Check, Condition, Number
from tcpscope.rules import words
from tcpscope.state.endpoint import Transfer
from tcpscope.state.recovery import DUPLICATES_FOR_FAST, MINIMUM_RTO, is_tail, timeout_of, timer_fired
from tcpscope.state.seq import add, diff
from tcpscope.wire.segment import FIN, SYN

if TYPE_CHECKING:
    from tcpscope.report.explain import SegmentCopy
    from tcpscope.state.connection import Connection
    from tcpscope.state.endpoint import Endpoint, Hole, Sent

MAX_WALK: Final = 1024

RULES: Final = {
    "unknown": (
        "It repeats bytes, and none of the known reasons fits what the capture shows.",
        "RFC 9293 section 3.8.1",
    ),
    "timeout": (
        "Nothing acknowledged these bytes until the sender's timer ran out, or they are of the flight that it gave up.",
        "RFC 6298 section 5",
    ),
    "fast-retransmit": ("Three duplicate acknowledgements asked for its first byte.", "RFC 5681 section 3.2"),
    "sack-recovery": ("A SACK block said that later bytes had arrived and these had not.", "RFC 6675 section 5"),
    "tail-loss-probe": ("The last segment in flight was sent again before the time-out.", "RFC 8985 section 7"),
    "spurious": ("All of its bytes had been acknowledged before it was sent again.", "RFC 9293 section 3.8.1"),
    "network-duplicate": (
        "The network delivered the same packet again: copied on the way, not sent again.",
        "RFC 9293 section 3.10.7.4",
    ),
    "capture-copy": (
        "The same packet was captured before: it is left out of everything else, since nothing was sent.",
        "RFC 9293 section 3.1",
    ),
    "network-reordering": (
        "It fills a hole, and was sent before what overtook it or comes too soon to have been sent again.",
        "RFC 9293 section 3.10.7.4",
    ),
    "keep-alive": ("It asks for an acknowledgement on an idle connection.", "RFC 9293 section 3.8.4"),
    "zero-window-probe": ("It probes the closed window of the other side.", "RFC 9293 section 3.8.6.1"),
    "syn-retransmit": ("The SYN was not acknowledged, and comes again.", "RFC 9293 section 3.8.1"),
    "fin-retransmit": ("The FIN was not acknowledged, and comes again.", "RFC 9293 section 3.8.1"),
    "path-mtu": ("An ICMP error said that a router could not pass packets of this size on.", "RFC 1191 section 6.4"),
}
"""What each cause of CAUSE_NAMES means, and the section that it rests on."""


@dataclass(frozen=True, slots=True)
class CauseEvidence:
    """What is known before the segment. ``values``: one line each; ``repeats``: it has bytes or flags sent before."""

    values: tuple[str, ...]
    checks: tuple[Check, ...]
    repeats: bool


def cause_evidence(
    seg: SegmentCopy, me: Endpoint, peer: Endpoint, ours: Number, theirs: Number, fresh: bool
) -> CauseEvidence:
    """The evidence for one segment of ``me``, before it is applied. ``fresh``: the connection begins with it."""
    t, r = me.transfer or Transfer(), peer.transfer or Transfer()
    if seg.flags & (SYN | FIN) and not seg.length:
        return _control(seg, me, t, fresh)
    end = int(add(seg.seq, seg.length))
    if fresh or me.nxt < 0:
        return CauseEvidence(("It is the first segment of its side: it repeats nothing.",), (), False)
    ahead = int(diff(seg.seq, me.nxt))
    if ahead == 0:
        if seg.length == 1 and r.trouble.zero_frame:
            return CauseEvidence((_window_line(seg, r),), (), False)
        text = f"It begins at {ours(seg.seq)}, the next number of its side: it repeats nothing."
        return CauseEvidence((text,), (), False)
    if ahead > 0:
        text = f"It begins at {ours(seg.seq)}, {words.plural(ahead, 'byte')} beyond {ours(me.nxt)}: it repeats nothing."
        return CauseEvidence((text,), (), False)
    if seg.length == 0 or (seg.length == 1 and ahead == -1 and me.una == me.nxt):
        values = [f"it begins at {ours(seg.seq)}; its side has sent all up to {ours(me.nxt)}"]
        values.append(f"the other side has acknowledged {ours(me.una)}" if me.una >= 0 else "nothing was acknowledged")
        values.append(_window_line(seg, r) if r.trouble.zero_frame else "the other side's window is open")
        values.append(f"{words.span(seg.time_ns - me.last_time)} have passed since its side's segment before")
        return CauseEvidence(tuple(values), (), False)
    sent, hole = _sending(t, seg.seq), _hole(t, seg.seq, end)
    evidence = _Repeat(seg, me, t, r, sent, hole, end)
    return CauseEvidence(tuple(evidence.values(ours)), tuple(evidence.checks(ours)), True)


def copy_lines(conn: Connection, seg: SegmentCopy) -> tuple[str, ...]:
    """How the latest segment was told as a copy of an earlier one."""
    lines = []
    if conn.repeat is not None and conn.repeat.other:
        lines.append(f"frame {conn.repeat.other} is the same, {words.span(conn.repeat.since)} before")
    if seg.ip_id > 0:
        lines.append(f"IP identification {seg.ip_id} of both")
    else:
        lines.append("without IP identification; checksum and all numbers of the header are equal")
    return tuple(lines)


def _window_line(seg: SegmentCopy, r: Transfer) -> str:
    return f"frame {r.trouble.zero_frame} had closed the other side's window {words.span(seg.time_ns - r.trouble.zero_since)} before"


def _control(seg: SegmentCopy, me: Endpoint, t: Transfer, fresh: bool) -> CauseEvidence:
    """SYN and FIN without data."""
    syn = bool(seg.flags & SYN)
    name = "SYN" if syn else "FIN"
    frame, time_ns = (me.syn_last_frame, me.syn_last_time) if syn else (t.fin_last_frame, t.fin_last_time)
    number = me.isn if syn else t.fin_seq
    if fresh or not frame:
        return CauseEvidence((f"It is the first {name} of its side: it repeats nothing.",), (), False)
    values = [
        f"its side's {name} before is frame {frame}, {words.span(seg.time_ns - time_ns)} earlier",
        f"its raw sequence number is {seg.seq}, that of the first {name} {number}",
    ]
    return CauseEvidence(tuple(values), (), seg.seq == number)


def _sending(t: Transfer, seq: int) -> Sent | None:
    """The unacknowledged segment that holds ``seq``."""
    sent = t.oldest
    for _ in range(MAX_WALK):
        if sent is None or diff(seq, sent.end) < 0:
            break
        sent = sent.next
    return sent if sent is not None and diff(seq, sent.seq) >= 0 and diff(seq, sent.end) < 0 else None


def _hole(t: Transfer, seq: int, end: int) -> Hole | None:
    for hole in t.trouble.holes or ():
        if diff(seq, hole.right) < 0 and diff(end, hole.left) > 0:
            return hole
    return None


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A segment with bytes below the highest number of its side, and what is known of them."""

    seg: SegmentCopy
    me: Endpoint
    t: Transfer
    r: Transfer
    sent: Sent | None
    hole: Hole | None
    end: int

    @property
    def elapsed(self) -> int | None:
        """Since its bytes were sent last, or since the hole was seen that it fills."""
        if self.sent is not None:
            return self.seg.time_ns - self.sent.last_time_ns
        return None if self.hole is None else self.seg.time_ns - self.hole.time_ns

    @property
    def timeout(self) -> int:
        """The sender's retransmission time-out, as far as the capture tells (RFC 6298 section 2)."""
        return timeout_of(self.t)

    def values(self, ours: Number) -> list[str]:
        """One line on each value that may have been compared."""
        seg, me, t, r, sent, hole = self.seg, self.me, self.t, self.r, self.sent, self.hole
        lines = [
            f"it holds bytes {ours(seg.seq)} to {ours(add(self.end, -1))}; its side had sent all up to {ours(me.nxt)}"
        ]
        if sent is not None:
            again = f", sent {words.times(int(sent.sendings))} so far" if sent.sendings > 1 else ""
            lines.append(
                f"its first byte was sent {words.span(self.elapsed or 0)} before in frame {sent.last_frame}{again}"
            )
        elif hole is not None:
            known = ", which the other side has acknowledged all the same" if hole.acknowledged else ""
            lines.append(
                f"the capture lacks the sending before: frame {hole.frame} showed that bytes from {ours(hole.left)} on were "
                f"missing, {words.span(seg.time_ns - hole.time_ns)} before{known}"
            )
        else:
            lines.append("its sending before is not among the segments waiting for an acknowledgement")
        if me.una >= 0:
            lines.append(f"the other side has acknowledged {ours(me.una)}")
        sacked = (
            f"; SACK blocks reach up to {ours(r.trouble.sack_high)}"
            if r.trouble.sack_high >= 0
            else "; no SACK block lies above it"
        )
        lines.append(f"{words.plural(int(r.trouble.duplicate_run), 'duplicate acknowledgement')} in a row{sacked}")
        if t.srtt >= 0:
            lines.append(
                f"smoothed round trip {words.span(t.srtt)}, variation {words.span(t.rttvar)}: time-out after "
                f"{words.span(self.timeout)}, at least {words.span(MINIMUM_RTO)}"
            )
        else:
            lines.append(f"no round trip is known: time-out after {words.span(MINIMUM_RTO)} at least")
        lines.append(f"{words.span(seg.time_ns - t.last_data_time)} have passed since its side's data before")
        if t.trouble.loss_until >= 0:
            lines.append(f"a time-out before gave up all that had been sent, up to {ours(t.trouble.loss_until)}")
        if seg.ts_val >= 0 and t.ts_val >= 0:
            lines.append(f"timestamp {seg.ts_val}, that of its side's segment before {t.ts_val}")
        earlier = sent.ip_id if sent is not None else t.highest_ip_id
        if earlier > 0 and seg.ip_id > 0:
            lines.append(f"IP identification {seg.ip_id}, that of the segment before {earlier}")
        return lines

    def checks(self, ours: Number) -> list[Check]:
        """What would have made it another cause; the time-out last."""
        me, t, r, sent = self.me, self.t, self.r, self.sent
        elapsed = self.elapsed
        sendings = 1 if sent is None else int(sent.sendings)
        first = Condition(f"it was sent {words.times(sendings)} before, not just once", sendings == 1)
        acked = f"the other side had acknowledged {ours(me.una)}" if me.una >= 0 else "nothing had been acknowledged"
        ends = f"it ends at {ours(self.end)}"
        run = int(r.trouble.duplicate_run)
        late = "none is known" if elapsed is None else f"it comes after {words.span(elapsed)}"
        probe_ns = t.srtt if t.srtt >= 0 else 0
        return [
            Check("spurious", "", [], [Condition(f"{ends}, {acked}", me.una >= 0 and diff(self.end, me.una) <= 0)]),
            Check(
                "fast-retransmit",
                "",
                [],
                [
                    Condition(f"{DUPLICATES_FOR_FAST} duplicate acknowledgements are needed, {run} came", run >= 3),
                    Condition(
                        f"they ask for {ours(me.una)}, it begins at {ours(self.seg.seq)}", me.una == self.seg.seq
                    ),
                    first,
                ],
            ),
            Check(
                "sack-recovery",
                "",
                [],
                [
                    Condition(
                        "no SACK block said that later bytes had arrived"
                        if r.trouble.sack_high < 0
                        else f"{ends}, SACK blocks reach up to {ours(r.trouble.sack_high)}",
                        r.trouble.sack_high >= 0 and diff(r.trouble.sack_high, self.end) >= 0,
                    ),
                    first,
                ],
            ),
            Check(
                "tail-loss-probe",
                "",
                [],
                [
                    Condition(
                        f"{ends}, and only the last segment, up to {ours(me.nxt)}, is sent as a probe",
                        is_tail(me, t, self.end),
                    ),
                    first,
                    Condition(
                        f"a probe comes between {words.span(probe_ns)} and {words.span(self.timeout + probe_ns)}, {late}",
                        elapsed is not None and probe_ns <= elapsed < self.timeout + probe_ns,
                    ),
                ],
            ),
            Check(
                "timeout",
                "",
                [],
                [
                    Condition(
                        f"the time-out is {words.span(self.timeout)}, {late}",
                        elapsed is not None and timer_fired(t, self.seg.time_ns, elapsed),
                    )
                ],
            ),
        ]
