"""Which segments of a connection its ladder shows: a bounded choice, made while the capture is read a second time.

The first reading has judged the connection, so it is known which frames matter. Of the others only as many are kept
as may have to be shown; what is left out is counted in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tcpscope.pipeline import CollectorPause, Pipeline
from tcpscope.state.facts import (
    CAUSE_FAST,
    CAUSE_NAMES,
    CAUSE_SACK,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
)
from tcpscope.state.keys import reverse_key
from tcpscope.state.recovery import DUPLICATES_FOR_FAST
from tcpscope.state.seq import diff
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.state.connection import Connection
    from tcpscope.state.endpoint import Endpoint, Resend, Sent
    from tcpscope.wire.segment import Segment

# What is shown first if not everything can be: the lower the number, the sooner.
END: Final = 0  # the first and the last segment
ASKED_FOR: Final = 1  # frames that the user named
VITAL: Final = 2  # SYN, FIN, RST, states
FOUND: Final = 3  # the frame that a finding points to
EVIDENCE: Final = 4  # its other frames, TLS messages
EDGE: Final = 5  # the first data, the end
SAMPLE: Final = 6  # the first segment of each flag and cause
CONTEXT: Final = 7  # the neighbours of all these
MORE: Final = 8  # further samples
PLAIN: Final = 9

ROWS: Final = 40
HEAD: Final = 8
TAIL: Final = 4
SAMPLES: Final = 3

MAX_WALK: Final = 1024
MAX_LOST: Final = 64
RESENT: Final = frozenset((CAUSE_FAST, CAUSE_SACK, CAUSE_TIMEOUT, CAUSE_TAIL_LOSS_PROBE, CAUSE_UNKNOWN))
"""Causes with which a segment may repeat one that was lost."""

NO_FLAGS: Final = (0,) * (len(FLAG_NAMES) + len(CAUSE_NAMES))


class Totals(NamedTuple):
    """What a connection has sent up to some segment; ``flagged``: how often each flag of FLAG_NAMES and each cause came."""

    segments: int
    client_bytes: int
    server_bytes: int
    flagged: tuple[int, ...]


@dataclass(slots=True)
class Arrow:
    """One segment. ``side``: 0 the client sent it; ``seq`` and ``ack`` count from the initial sequence numbers.

    ``analysis`` is the bit set of Wireshark's flags, ``cause`` a CAUSE_ code or -1. ``before`` are the totals without it;
    the times of the segments around it are those of the same connection. ``lost``: the capture proves that it
    did not arrive.
    """

    frame: int
    time_ns: int
    side: int
    flags: int
    seq: int
    ack: int | None
    length: int
    window: int
    analysis: int
    cause: int
    before: Totals
    previous_time_ns: int
    next_time_ns: int = 0
    lost: bool = False

    @property
    def after(self) -> Totals:
        """The totals with it."""
        segments, client, server, flagged = self.before
        if self.analysis or self.cause >= 0:
            flagged = _counted(flagged, self)
        if self.side:
            return Totals(segments + 1, client, server + self.length, flagged)
        return Totals(segments + 1, client + self.length, server, flagged)


@dataclass(frozen=True, slots=True)
class Target:
    """The connection to draw, as the first reading found it. ``starts``: both sides' initial sequence numbers."""

    stream: int
    first_frame: int
    last_frame: int
    key: bytes
    starts: tuple[int, int]


def target_of(conn: Connection) -> Target:
    """What finds a connection again. A side whose SYN is missing counts from one below the first byte seen, as in Wireshark."""
    starts = [end.isn if end.isn >= 0 else (end.base - 1) & 0xFFFFFFFF if end.base >= 0 else -1 for end in _sides(conn)]
    return Target(conn.stream, conn.first_frame, conn.last_frame, conn.key, (starts[0], starts[1]))


def _sides(conn: Connection) -> tuple[Endpoint, Endpoint]:
    return conn.client, conn.server


class Numbers:
    """Sequence numbers of one side counted from its initial one, in more than 32 bits."""

    def __init__(self, start: int) -> None:
        self._raw = start
        self._relative = 0

    def sent(self, raw: int) -> int:
        """A sequence number of the side itself; what comes later is counted from here."""
        if self._raw < 0:
            self._raw = raw
        step = int(diff(raw, self._raw))
        if abs(step) < 1 << 30:  # RFC 7323: no window reaches further
            self._raw = raw
            self._relative += step
            return self._relative
        return self._relative + step

    def named(self, raw: int) -> int:
        """A number that the other side names."""
        return self._relative + int(diff(raw, self._raw)) if self._raw >= 0 else 0


def _forget(conn: Connection) -> None:
    """What happens to a connection that is over: nothing, it was judged in the first reading."""


class Loss(NamedTuple):
    """A segment that did not arrive, unless its repetition turns out to be needless."""

    sent: Sent
    resend: Resend


def loss_of(conn: Connection, side: int, seg: Segment) -> Loss | None:
    """The earlier segment that this one, the latest of the connection, repeats, if it was lost.

    It was if its receiver had shown that it lacks it: by a SACK block above it (RFC 2018) or by three duplicate
    acknowledgements of its first byte (RFC 5681 section 3.2), has acknowledged none of it up to now, and nothing proves
    later that the repetition was needless.
    """
    me, receiver = _sides(conn)[side], _sides(conn)[1 - side].transfer
    sent = _sending_of(me, seg.seq)
    if sent is None or receiver is None or sent.sendings != 2:
        return None
    sacked = receiver.trouble.sack_high >= 0 and diff(receiver.trouble.sack_high, sent.end) > 0
    repeated = receiver.trouble.duplicate_run >= DUPLICATES_FOR_FAST and me.una == sent.seq
    if not (sacked or repeated) or (me.una >= 0 and diff(me.una, sent.seq) > 0):
        return None
    resends = me.transfer.trouble.resends if me.transfer is not None else None
    return Loss(sent, resends[-1]) if resends and resends[-1].frame == seg.frame else None


class Observer(Protocol):
    """What is shown the segments of a connection while the capture is read again."""

    def take(self, conn: Connection, side: int, seg: Segment, analysis: int, window: int) -> None:
        """The next segment of the connection: what Wireshark says of it, and its window as scaled."""


class Chooser:
    """Chooses segments of a connection as they come; :meth:`chosen` is what to draw.

    ``wanted``: frames of which it is known how much they matter; ``most``: how many segments may be drawn, by default
    :data:`ROWS`, and of a long connection fewer: only what is worth a look; ``frames``: a range that the user wants to see.
    """

    def __init__(
        self,
        target: Target,
        wanted: Mapping[int, int],
        most: int | None = None,
        frames: tuple[int, int] | None = None,
    ) -> None:
        self._wanted = wanted
        self._most = most or ROWS
        self._fill = most is not None
        self._asked = frames
        self._asked_for = 0
        self._numbers = (Numbers(target.starts[0]), Numbers(target.starts[1]))
        self._totals = Totals(0, 0, 0, NO_FLAGS)
        self._kept: dict[
            int, tuple[int, Arrow]
        ] = {}  # by the segment's place in the connection: how it matters, itself
        self._last: deque[Arrow] = deque(maxlen=TAIL)
        self._context = False  # the next segment is context of the one before
        self._lost: list[tuple[Arrow, Resend]] = []

    def take(self, conn: Connection, side: int, seg: Segment, analysis: int, window: int) -> None:
        """The next segment of the connection: what Wireshark says of it, and its window as scaled."""
        last = self._last[-1] if self._last else None
        numbers = self._numbers
        arrow = Arrow(
            seg.frame,
            seg.time_ns,
            side,
            seg.flags & 0xFF,
            numbers[side].sent(seg.seq),
            numbers[1 - side].named(seg.ack) if seg.flags & 0x10 else None,
            seg.length,
            window,
            analysis,
            conn.last_cause,
            self._totals,
            last.time_ns if last is not None else seg.time_ns,
        )
        if last is not None:
            last.next_time_ns = seg.time_ns
        rank = self._rank(arrow)
        near = rank < CONTEXT and rank != EDGE
        if near and last is not None:
            self._keep(CONTEXT, last)
        self._keep(min(rank, CONTEXT) if self._context else rank, arrow)
        self._context = near
        self._last.append(arrow)
        self._totals = arrow.after
        if arrow.cause in RESENT:
            self._note_loss(conn, side, seg)

    def _rank(self, arrow: Arrow) -> int:
        """How much a segment matters, from END to PLAIN; more than PLAIN: not at all."""
        index = arrow.before.segments
        rank = self._wanted.get(arrow.frame, PLAIN + 1)
        if self._asked is not None and self._asked[0] <= arrow.frame <= self._asked[1] and self._asked_for < self._most:
            self._asked_for += 1
            rank = ASKED_FOR
        if index == 0:
            rank = END
        elif index < HEAD:
            rank = min(rank, EDGE)
        if arrow.analysis or arrow.cause >= 0:
            flagged = self._totals.flagged
            seen = min(flagged[slot] for slot in _slots(arrow))
            if seen < SAMPLES:
                rank = min(rank, SAMPLE if seen == 0 else MORE)
        return min(rank, PLAIN) if index < self._most else rank

    def _keep(self, rank: int, arrow: Arrow) -> None:
        """Remember a segment that may have to be shown."""
        index = arrow.before.segments
        known = self._kept.get(index)
        if rank <= PLAIN and (known is None or rank < known[0]):
            self._kept[index] = (rank, arrow)

    def _note_loss(self, conn: Connection, side: int, seg: Segment) -> None:
        """Remember the segment that this one repeats, if that was lost."""
        loss = loss_of(conn, side, seg) if len(self._lost) < MAX_LOST else None
        if loss is not None:
            first = int(loss.sent.frame)
            for arrow in (arrow for _, arrow in self._kept.values() if arrow.frame == first and arrow.side == side):
                self._lost.append((arrow, loss.resend))

    def chosen(self) -> list[Arrow]:
        """The segments to draw, in their order."""
        self._mark_lost()
        for arrow in self._last:
            self._keep(END if arrow is self._last[-1] else EDGE, arrow)
        ranked = sorted((rank, index) for index, (rank, _) in self._kept.items())
        if self._totals.segments > 2 * self._most:
            ranked = [entry for entry in ranked if entry[0] < (PLAIN if self._fill else MORE)]
        shown = sorted(index for _, index in ranked[: self._most])
        # A line that says that one segment is left out takes as much room as the segment.
        single = [one + 1 for one, two in pairwise(shown) if two - one == 2 and one + 1 in self._kept]
        return [self._kept[index][1] for index in sorted(shown + single)]

    def _mark_lost(self) -> None:
        for arrow, resend in self._lost:
            arrow.lost = not resend.needless

    @property
    def segments(self) -> int:
        """How many segments the connection has."""
        return self._totals.segments


class Neighbours(Chooser):
    """Chooses some frames, and the segments of the connection before and after each."""

    def __init__(self, target: Target, frames: Iterable[int]) -> None:
        super().__init__(target, dict.fromkeys(frames, FOUND))

    def _rank(self, arrow: Arrow) -> int:
        return self._wanted.get(arrow.frame, PLAIN + 1)

    def chosen(self) -> list[Arrow]:
        """The segments, in their order."""
        self._mark_lost()
        return [self._kept[index][1] for index in sorted(self._kept)]


class Rereader:
    """Feed the bytes of a capture once more: each segment of a target goes to its observers."""

    def __init__(self, options: Options, observers: Mapping[Target, Sequence[Observer]]) -> None:
        self.pipeline = Pipeline(
            _forget, options.msl_ns, options.verify_checksums, options.max_connections, False, options.salvage
        )
        self._analyzer = WiresharkAnalyzer()
        self._keys = frozenset(key for target in observers for key in (target.key, reverse_key(target.key)))
        self._observers = {(target.stream, target.first_frame): those for target, those in observers.items()}
        self._last_frame = max((target.last_frame for target in observers), default=0)

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        if self.pipeline.file_ended:
            self.pipeline.next_file()

    def feed(self, data: bytes) -> bool:
        """The next bytes. False: no more are needed."""
        reader = self.pipeline.reader
        if reader.frames >= self._last_frame:
            return False
        reader.feed(data)
        self._drain()
        return not reader.ended and reader.frames < self._last_frame

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file."""
        self.pipeline.reader.finish()
        self._drain()
        self.pipeline.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """No more files."""
        self.pipeline.finish()

    def _drain(self) -> None:
        pipeline, analyzer, keys, observers = self.pipeline, self._analyzer, self._keys, self._observers
        seg, flows = pipeline.seg, pipeline.flows
        with CollectorPause():
            while pipeline.next_segment():
                if seg.key not in keys:
                    continue
                analysis = analyzer.analyze(seg)
                conn = flows.current
                if conn is not None:
                    for observer in observers.get((conn.stream, conn.first_frame), ()):
                        observer.take(conn, flows.current_side, seg, analysis, analyzer.window)


def _slots(arrow: Arrow) -> list[int]:
    """Places of a segment's flags and cause in ``Totals.flagged``."""
    slots = [bit for bit in range(len(FLAG_NAMES)) if arrow.analysis >> bit & 1]
    return [*slots, len(FLAG_NAMES) + arrow.cause] if arrow.cause >= 0 else slots


def _counted(flagged: tuple[int, ...], arrow: Arrow) -> tuple[int, ...]:
    counts = list(flagged)
    for slot in _slots(arrow):
        counts[slot] += 1
    return tuple(counts)


def _sending_of(sender: Endpoint, seq: int) -> Sent | None:
    """The unacknowledged segment that begins with ``seq``."""
    sent = sender.transfer.oldest if sender.transfer is not None else None
    for _ in range(MAX_WALK):
        if sent is None or sent.seq == seq:
            return sent
        sent = sent.next
    return None
