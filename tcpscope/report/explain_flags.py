"""Why a segment has, or has not, each of Wireshark's flags: the rules of :mod:`tcpscope.state.wireshark` once more, with words.

They are evaluated on what the analyzer remembers before it sees the segment; for every segment they agree with what the
analyzer then says (a test compares them on all samples). A rule has *premises*, which make one ask for the flag at all,
and *conditions*, which decide. Where the premises hold and a condition does not, the flag nearly held, and why it does not
is worth a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tcpscope.rules import words
from tcpscope.state import wireshark as w
from tcpscope.state.seq import add, diff
from tcpscope.state.wireshark_flow import (
    DUPLICATES_STALLED,
    SCALE_NOT_USED,
    SCALE_UNKNOWN,
    Conversation,
    Direction,
    Flow,
)
from tcpscope.wire.segment import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from tcpscope.report.explain import SegmentCopy

NEAR_EDGE: Final = 1460  # data that ends this close to the window's edge nearly filled it

Number = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a rule asks, with the values compared, and whether it is so. ``quiet``: worth a line only if it is not."""

    text: str
    holds: bool
    quiet: bool = False


def unless(name: str, held: bool) -> Condition:
    """One flag excludes another: Wireshark has decided for it before."""
    return Condition(f"{name} holds, and Wireshark asks for that first", not held, True)


def _plain(flags: int) -> Condition:
    names = [name for bit, name in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST")) if flags & bit]
    return Condition(f"{' and '.join(names)} set: none may be" if names else "no SYN, FIN or RST", not names, True)


@dataclass(slots=True)
class Check:
    """One flag or cause: the rule in a sentence, what makes one ask for it, and what decides."""

    name: str
    rule: str
    premises: list[Condition] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    @property
    def asked(self) -> bool:
        """Whether the question arises."""
        return all(premise.holds for premise in self.premises)

    @property
    def holds(self) -> bool:
        """Whether the flag holds."""
        return self.asked and all(condition.holds for condition in self.conditions)

    @property
    def near(self) -> bool:
        """Whether the question arises and the answer is no."""
        return self.asked and not self.holds


class FlagRules:
    """The rules, evaluated on one segment. ``direction``: what the analyzer remembers before it, None for nothing.

    ``ours`` and ``theirs`` write a sequence number of the sender's and of the other side's.
    """

    def __init__(self, seg: SegmentCopy, direction: Direction | None, ours: Number, theirs: Number) -> None:
        self._seg = seg
        self._ours, self._theirs = ours, theirs
        self._this, self._peer = Flow(), Flow()
        self._conversation = Conversation(0)
        self._now = max(-w.TIME_LIMIT, min(w.TIME_LIMIT, seg.time_ns))
        self._plain = _plain(seg.flags)
        self.checks = [self._reused_ports(direction)]
        self._next = self._this.next_seq
        if self._same_syn:  # Wireshark takes back what an RST with a foreign number did
            self._next = self._this.max_seq_to_be_acked
        self._peer_duplicates = self._peer.duplicate_acks
        self._scale = self._peer.window_scale
        if self._scale == SCALE_UNKNOWN and not self._peer.base_known and self._this.window_scale == SCALE_NOT_USED:
            self._scale = SCALE_NOT_USED
        self._end = int(add(seg.seq, seg.length))
        self.checks += self._window_and_order()
        self.checks += self._repeated_ack()
        self.checks.append(self._ack_beyond())
        self.checks += self._repeated_bytes()

    @property
    def flags(self) -> int:
        """The bit set that follows: that of :meth:`tcpscope.state.wireshark.WiresharkAnalyzer.analyze`."""
        return sum(1 << w.FLAG_NAMES.index(check.name) for check in self.checks if check.holds)

    def _holds(self, name: str) -> bool:
        return any(check.name == name and check.holds for check in self.checks)

    def _reused_ports(self, direction: Direction | None) -> Check:
        """Also decides what the other rules compare with: a SYN with another number begins anew."""
        seg = self._seg
        known = direction is not None and direction.this.base_known
        base = int(direction.this.base) if direction is not None else 0
        reused = bool(seg.flags & SYN) and known and seg.seq != base
        self._same_syn = seg.flags & (SYN | ACK) == SYN and known and seg.seq == base
        if direction is not None and not (reused and not seg.flags & ACK):
            self._this, self._peer, self._conversation = direction.this, direction.peer, direction.conversation
        return Check(
            "reused_ports",
            "a SYN on ports in use whose sequence number is not the one that its side began with",
            [
                Condition("SYN is set", bool(seg.flags & SYN), True),
                Condition("its side has sent on these ports before", known),
            ],
            [Condition(f"its raw sequence number is {seg.seq}, that of the first one was {base}", seg.seq != base)],
        )

    def _reached(self) -> str:
        """The highest sequence number of the sender so far, and who brought it."""
        frame = self._this.next_seq_frame
        return f"{self._ours(self._next)}{f', reached by frame {frame}' if frame else ''}"

    def _window_and_order(self) -> list[Check]:
        seg, nxt, peer = self._seg, self._next, self._peer
        known = Condition("the next number due is known", nxt != 0, True)
        probe = Check(
            "zero_window_probe",
            "one byte, the next one due, sent although the other side's window is closed",
            [Condition("the other side's latest window was 0", peer.window == 0)],
            [
                Condition(f"it has {words.plural(seg.length, 'byte')}, a probe has 1", seg.length == 1),
                Condition(f"it begins at {self._ours(seg.seq)}; due is {self._reached()}", seg.seq == nxt),
            ],
        )
        no_probe = unless("zero_window_probe", probe.holds)
        ahead = int(diff(seg.seq, nxt))
        lost = Check(
            "lost_segment",
            "it begins beyond the highest number seen from its side: what lies between was not captured",
            [
                known,
                Condition(
                    f"it begins at {self._ours(seg.seq)}, {words.plural(abs(ahead), 'byte')} beyond the "
                    f"next number due, {self._reached()}",
                    diff(nxt, seg.seq) < 0,
                ),
            ],
            [Condition("RST is set" if seg.flags & RST else "no RST", not seg.flags & RST, True), no_probe],
        )
        alive = Check(
            "keep_alive",
            "no byte or one, one number below the next one due: it asks for an acknowledgement",
            [
                self._plain,
                Condition(
                    f"it begins at {self._ours(seg.seq)}, one below the next number due, {self._reached()}",
                    seg.seq == add(nxt, -1),
                ),
            ],
            [
                Condition(f"it has {words.plural(seg.length, 'byte')}, a keep-alive has 1 at most", seg.length <= 1),
                no_probe,
            ],
        )
        zero = Check(
            "zero_window",
            "it says that its sender can take no more bytes",
            [Condition("its window is 0", seg.window == 0)],
            [self._plain, no_probe],
        )
        return [probe, zero, lost, alive, self._window_full(no_probe)]

    def _window_full(self, no_probe: Condition) -> Check:
        seg, peer = self._seg, self._peer
        shift = self._scale if self._scale > 0 and not peer.first_ack_pending else 0
        edge = (peer.last_ack + (peer.window << shift)) & 0xFFFFFFFF
        left = int(diff(edge, self._end))
        return Check(
            "window_full",
            "its data ends exactly where the other side's window ends",
            [
                Condition("it carries data", seg.length > 0, True),
                self._plain,
                Condition("the scale of the other side's window is known", self._scale != SCALE_UNKNOWN, True),
                Condition("it ends near the window's end", abs(left) < NEAR_EDGE, True),
            ],
            [
                Condition(
                    f"it ends at {self._ours(self._end)}; the other side acknowledged {self._ours(peer.last_ack)} with a "
                    f"window of {peer.window << shift:,}, which ends at {self._ours(edge)}",
                    left == 0,
                ),
                no_probe,
            ],
        )

    def _repeated_ack(self) -> list[Check]:
        seg, this, peer = self._seg, self._this, self._peer
        bare = Condition("it carries data" if seg.length else "it carries no data", seg.length == 0, True)
        seq_same = Condition(f"it begins at {self._ours(seg.seq)}; due is {self._reached()}", seg.seq == self._next)
        ack_same = Condition(
            f"it acknowledges {self._theirs(seg.ack)}, its side's segment before {self._theirs(this.last_ack)}",
            seg.ack == this.last_ack,
        )
        same = [bare, self._plain, seq_same, ack_same]
        opened = Condition("its window is 0" if seg.window == 0 else "its window is open", seg.window != 0, True)
        before = "not known" if this.window == 0xFFFFFFFF else f"{this.window:,}"
        windows = f"its window field is {seg.window:,}, that of its side's segment before {before}"
        alive = Condition("the other side's latest segment was a keep_alive", bool(peer.last_analysis & w.KEEP_ALIVE))
        probed = bool(peer.last_analysis & w.ZERO_WINDOW_PROBE)
        no_probe = unless("zero_window_probe", self._holds("zero_window_probe"))
        changed, kept = Condition(windows, seg.window != this.window), Condition(windows, seg.window == this.window)
        answers = Check(
            "keep_alive_ack",
            "it answers a keep-alive with the same acknowledgement and the same window",
            [alive, bare, self._plain],
            [seq_same, ack_same, opened, kept, no_probe],
        )
        return [
            Check(
                "window_update",
                "neither its number nor its acknowledgement moved, only the window",
                [*same, opened],
                [changed, no_probe],
            ),
            answers,
            Check(
                "zero_window_probe_ack",
                "it answers a probe of its closed window: still closed",
                [Condition("the other side's latest segment was a zero_window_probe", probed), bare, self._plain],
                [
                    seq_same,
                    ack_same,
                    Condition("its window is 0", seg.window == 0),
                    Condition(f"its side's window before was {this.window}", this.window == 0),
                    no_probe,
                ],
            ),
            Check(
                "duplicate_ack",
                "neither its number nor its acknowledgement nor its window moved: something behind a hole may have arrived",
                same,
                [
                    opened,
                    kept,
                    unless("keep_alive_ack", answers.holds),
                    Condition(
                        "new kinds of MPTCP options came up since its side's segment before",
                        self._conversation.mptcp == this.mptcp,
                        True,
                    ),
                    no_probe,
                ],
            ),
        ]

    def _ack_beyond(self) -> Check:
        seg, peer = self._seg, self._peer
        beyond = bool(seg.flags & ACK) and peer.max_seq_to_be_acked != 0 and diff(peer.max_seq_to_be_acked, seg.ack) < 0
        contiguous = diff(peer.max_seq_to_be_acked, peer.next_seq) >= 0
        first = not contiguous or self._peer_duplicates == 0
        if beyond and contiguous:
            self._peer_duplicates = DUPLICATES_STALLED
        return Check(
            "ack_lost_segment",
            "it acknowledges bytes that the capture has not shown",
            [
                Condition(
                    f"it acknowledges {self._theirs(seg.ack)}, and what was captured without a hole ends at "
                    f"{self._theirs(peer.max_seq_to_be_acked)}",
                    beyond,
                )
            ],
            [Condition("Wireshark has flagged this stall already", first, True)],
        )

    def _repeated_bytes(self) -> list[Check]:
        seg, peer, nxt, seq = self._seg, self._peer, self._next, self._seg.seq
        takes = seg.length > 0 or bool(seg.flags & (SYN | FIN))
        room = Condition("it takes sequence numbers: data, SYN or FIN", takes, True)
        no_keep_alive = unless("keep_alive", self._holds("keep_alive"))
        behind = Condition(
            f"it begins at {self._ours(seg.seq)}, below the highest number of its side, {self._reached()}",
            nxt != 0 and diff(seq, nxt) < 0,
        )
        continues = Condition(
            "it begins with the byte of a window probe", not (seg.length > 1 and seq == add(nxt, -1)), True
        )
        spurious = Check(
            "spurious_retransmission",
            "the other side had acknowledged all of it before",
            [
                Condition("it carries data", seg.length > 0, True),
                Condition(
                    f"it ends at {self._ours(self._end)}, the other side had acknowledged {self._ours(peer.last_ack)}",
                    peer.last_ack != 0 and diff(self._end, peer.last_ack) <= 0,
                ),
            ],
            [no_keep_alive],
        )
        not_spurious = unless("spurious_retransmission", spurious.holds)
        asks, decides = [room, behind], [no_keep_alive, not_spurious, continues]
        duplicates, since = self._peer_duplicates, self._now - peer.last_ack_time
        stalled = duplicates == DUPLICATES_STALLED
        count = "it counts as many (a stall)" if stalled else f"{duplicates} were seen"
        fast = Check(
            "fast_retransmission",
            "it follows duplicate acknowledgements of its first byte at once",
            asks,
            [
                *decides,
                Condition(f"2 duplicate acknowledgements are needed, {count}", duplicates >= 2 or stalled),
                Condition(
                    f"it begins at {self._ours(seq)}, the other side's latest acknowledgement is "
                    f"{self._ours(peer.last_ack) if peer.last_ack else 'not known'}",
                    peer.last_ack == seq,
                ),
                Condition(
                    f"it comes {words.span(since)} after that acknowledgement, less than "
                    f"{words.span(w.FAST_RETRANSMISSION_NS)} are asked for",
                    0 <= since < w.FAST_RETRANSMISSION_NS,
                ),
            ],
        )
        late = self._out_of_order([*decides, unless("fast_retransmission", fast.holds)], asks)
        kinds = [check for check in (spurious, fast) if check.holds]
        again = Check(
            "retransmission",
            "bytes below the highest number of its side are sent again",
            [] if kinds else asks,
            [Condition(f"every {kinds[0].name} is one", True)]
            if kinds
            else [*decides, unless("out_of_order", late.holds)],
        )
        return [again, fast, spurious, late]

    def _out_of_order(self, decides: list[Condition], asks: list[Condition]) -> Check:
        since, limit = self._now - self._this.next_seq_time, int(self._conversation.initial_rtt)
        source = "the round trip of the handshake" if limit else "assumed as long as no round trip is known"
        limit = limit or w.DEFAULT_REORDER_NS
        early = limit < 0 if (since < 0) != (limit < 0) else since < limit
        end = add(self._end, 1) if self._seg.flags & (SYN | FIN) else self._end
        return Check(
            "out_of_order",
            "it comes so soon after a segment behind it that it is more likely late than sent again",
            asks,
            [
                *decides,
                Condition(
                    f"it comes {words.span(since)} after frame {self._this.next_seq_frame}; the limit is "
                    f"{words.span(limit)}, {source}",
                    early,
                ),
                Condition("it ends where the newest segment ended", self._next != end, True),
            ],
        )
