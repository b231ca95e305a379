"""What the graphs of one connection show: bounded series, collected while the capture is read a second time.

Times are nanoseconds since the connection's first segment (negative where the clock stepped back), sequence numbers count
from the initial ones, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.report.ladder_rows import RESENT, Numbers, loss_of
from tcpscope.report.thinning import Thinned, first, last
from tcpscope.state.facts import CAUSE_CAPTURE_COPY, CAUSE_NAMES
from tcpscope.state.wireshark import FLAG_NAMES
from tcpscope.wire.segment import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from tcpscope.report.ladder_rows import Loss, Target
    from tcpscope.report.model import ConnectionReport
    from tcpscope.state.connection import Connection
    from tcpscope.state.endpoint import Resend, Transfer
    from tcpscope.wire.segment import Segment

MARKED: Final = 250  # of a cause or a kind of event, a side
BINS: Final = 200

DUPLICATE_ACK: Final = 1 << FLAG_NAMES.index("duplicate_ack")
ZERO_WINDOW: Final = 1 << FLAG_NAMES.index("zero_window")

SIDES: Final = ("client", "server")
EVENTS: Final = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"))
ZERO: Final = "zero window"
DUPLICATE: Final = "duplicate ACK"


class Piece(NamedTuple):
    """Bytes ``seq`` to ``end``, sent from ``time_ns`` to ``until_ns``: one segment, or several neighbours.

    ``frame`` is the first one. ``cause``: why it was sent again or out of order, or "".
    """

    time_ns: int
    until_ns: int
    seq: int
    end: int
    frame: int
    segments: int = 1
    cause: str = ""


class Point(NamedTuple):
    """A value at a time."""

    time_ns: int
    value: int
    frame: int


class Block(NamedTuple):
    """Bytes ``left`` to ``right`` that the receiver reports as arrived (RFC 2018)."""

    time_ns: int
    left: int
    right: int
    frame: int


class Event(NamedTuple):
    """Something at a place of the sequence space: SYN, FIN and RST of the sender, a zero window or duplicate ACK of the receiver."""

    time_ns: int
    kind: str
    seq: int
    frame: int


class Bin(NamedTuple):
    """Bytes sent in one span of time, which begins ``number`` times the width of a bin after the start."""

    number: int
    new: int
    resent: int


class Message(NamedTuple):
    """A TLS message or record, and the segment that completed it."""

    time_ns: int
    side: int
    name: str
    frame: int


class Strides(NamedTuple):
    """How many things an item of the longer series stands for at most.

    Of several values ``flight`` and ``rtt`` keep the largest and ``windows`` the smallest; ``marked`` keeps the first of
    several segments, losses or events of a kind.
    """

    sent: int
    marked: int
    rtt: int
    flight: int
    windows: int


@dataclass(frozen=True, slots=True)
class Direction:
    """What one side sent, and what the other side, its receiver, said of it.

    ``sent``: data in order; ``marked``: segments that have a cause, also without data; ``lost``: those that the capture
    proves did not arrive. ``acks``: each step of the receiver's acknowledgement number; ``edges``: of the edge of its window.
    ``flight``: bytes sent and not acknowledged; ``windows``: the receiver's window as scaled. ``rtt``: from the capture point
    to the receiver and back. ``strides``: how many things an item of a series stands for.
    """

    sent: tuple[Piece, ...]
    marked: tuple[Piece, ...]
    lost: tuple[Piece, ...]
    acks: tuple[Point, ...]
    edges: tuple[Point, ...]
    sacks: tuple[Block, ...]
    events: tuple[Event, ...]
    flight: tuple[Point, ...]
    windows: tuple[Point, ...]
    rtt: tuple[Point, ...]
    bins: tuple[Bin, ...]
    strides: Strides


@dataclass(frozen=True, slots=True)
class Graph:
    """One connection. ``client`` and ``server``: addresses with ports; ``directions``: what the client sends, what the server."""

    stream: int
    client: str
    server: str
    start_ns: int
    duration_ns: int
    directions: tuple[Direction, Direction]
    bin_ns: int
    messages: tuple[Message, ...]


def _joined(one: Piece, two: Piece) -> Piece:
    return Piece(
        min(one.time_ns, two.time_ns),
        max(one.until_ns, two.until_ns),
        min(one.seq, two.seq),
        max(one.end, two.end),
        one.frame,
        one.segments + two.segments,
        one.cause,
    )


def _counted(one: Piece, two: Piece) -> Piece:
    return one._replace(segments=one.segments + two.segments)


def _larger(one: Point, two: Point) -> Point:
    return one if one.value >= two.value else two


def _smaller(one: Point, two: Point) -> Point:
    return one if one.value <= two.value else two


def _first_loss(one: tuple[Piece, Resend], two: tuple[Piece, Resend]) -> tuple[Piece, Resend]:
    return _counted(one[0], two[0]), one[1]


class _Bins:
    """Bytes a span of time, for both sides; the spans become 2, 10, 20, 100 … times as long when there are too many."""

    def __init__(self) -> None:
        self.width_ns = 10_000
        self.sums: list[dict[int, list[int]]] = [{}, {}]
        self._factor = 2
        self._latest = 0

    def add(self, side: int, time_ns: int, new: int, resent: int) -> None:
        """Bytes that one segment carries. What the clock puts before the start is counted at the start."""
        time_ns = max(0, time_ns)
        while time_ns // self.width_ns >= BINS:
            self.width_ns *= self._factor
            self.sums = [_wider(sums, self._factor) for sums in self.sums]
            self._factor = 7 - self._factor
        total = self.sums[side].setdefault(time_ns // self.width_ns, [0, 0])
        total[0] += new
        total[1] += resent

    def of(self, side: int) -> tuple[Bin, ...]:
        """Those of a side that are not empty."""
        return tuple(Bin(index, *total) for index, total in sorted(self.sums[side].items()))


def _wider(sums: dict[int, list[int]], factor: int) -> dict[int, list[int]]:
    wider: dict[int, list[int]] = {}
    for index, (new, resent) in sums.items():
        total = wider.setdefault(index // factor, [0, 0])
        total[0] += new
        total[1] += resent
    return wider


class _Side:
    """Collects one direction."""

    def __init__(self) -> None:
        self.sent = Thinned(_joined)
        self.marked: dict[str, Thinned[Piece]] = {}
        self.lost = Thinned(_first_loss, MARKED)
        self.acks: Thinned[Point] = Thinned(last)
        self.edges: Thinned[Point] = Thinned(last)
        self.sacks: Thinned[Block] = Thinned(first)
        self.events: dict[str, Thinned[Event]] = {}
        self.flight = Thinned(_larger)
        self.windows = Thinned(_smaller)
        self.rtt = Thinned(_larger)
        self.bytes = (0, 0)  # all and new ones, before the segment
        self.samples = 0  # of the round trip

    def event(self, event: Event) -> None:
        """Something happens."""
        if event.kind not in self.events:
            self.events[event.kind] = Thinned(first, MARKED)
        self.events[event.kind].add(event)

    def direction(self, bins: tuple[Bin, ...]) -> Direction:
        """All that was collected."""
        causes = (one.stride for one in self.marked.values())
        events = (one.stride for one in self.events.values())
        marked = max((self.lost.stride, *causes, *events))
        strides = Strides(self.sent.stride, marked, self.rtt.stride, self.flight.stride, self.windows.stride)
        return Direction(
            sent=tuple(self.sent.items),
            marked=tuple(sorted(piece for kind in self.marked.values() for piece in kind.items)),
            lost=tuple(piece for piece, resend in self.lost.items if not resend.needless),
            acks=tuple(self.acks.items),
            edges=tuple(self.edges.items),
            sacks=tuple(self.sacks.items),
            events=tuple(sorted(event for kind in self.events.values() for event in kind.items)),
            flight=tuple(self.flight.items),
            windows=tuple(self.windows.items),
            rtt=tuple(self.rtt.items),
            bins=bins,
            strides=strides,
        )


class GraphCollector:
    """An observer of a :class:`~tcpscope.report.ladder_rows.Rereader`; :meth:`graph` is what it has seen."""

    def __init__(self, target: Target) -> None:
        self._numbers = (Numbers(target.starts[0]), Numbers(target.starts[1]))
        self._sides = (_Side(), _Side())
        self._bins = _Bins()
        self._start_ns: int | None = None
        self._end_ns = 0

    def take(self, conn: Connection, side: int, seg: Segment, analysis: int, window: int) -> None:
        """The next segment of the connection: what Wireshark says of it, and its window as scaled."""
        if self._start_ns is None:
            self._start_ns = int(seg.time_ns)
        time_ns = int(seg.time_ns) - self._start_ns
        self._end_ns = max(self._end_ns, time_ns)
        seq = self._numbers[side].sent(seg.seq)
        self._send(conn, side, seg, time_ns, seq)
        if seg.flags & ACK and conn.last_cause != CAUSE_CAPTURE_COPY:
            self._acknowledge(conn, side, seg, time_ns, analysis, window)

    def _send(self, conn: Connection, side: int, seg: Segment, time_ns: int, seq: int) -> None:
        """What the segment says of its sender's direction."""
        me, frame, length = self._sides[side], int(seg.frame), int(seg.length)
        sender = conn.side(side)
        cause = CAUSE_NAMES[conn.last_cause] if conn.last_cause >= 0 else ""
        piece = Piece(time_ns, time_ns, seq, seq + length, frame, 1, cause)
        if cause:
            if cause not in me.marked:
                me.marked[cause] = Thinned(_counted, MARKED)
            me.marked[cause].add(piece)
        elif length:
            me.sent.add(piece)
        if conn.last_cause in RESENT:
            loss = loss_of(conn, side, seg)
            if loss is not None:
                self._lose(side, loss, int(loss.sent.time_ns) - int(seg.time_ns) + time_ns)
        for flag, kind in EVENTS:
            if seg.flags & flag:
                me.event(Event(time_ns, kind, seq + length if flag == FIN else seq, frame))
        transfer = sender.transfer
        if transfer is not None:
            all_bytes, new_bytes = int(transfer.payload_bytes), int(transfer.unique_bytes)
            sent, new = all_bytes - me.bytes[0], new_bytes - me.bytes[1]
            me.bytes = all_bytes, new_bytes
            if sent > 0:
                new = min(max(0, new), sent)
                self._bins.add(side, time_ns, new, sent - new)
                me.flight.add(Point(time_ns, int(sender.unacknowledged()), frame))

    def _lose(self, side: int, loss: Loss, time_ns: int) -> None:
        """An earlier segment was lost, ``time_ns`` after the start or before."""
        sent = loss.sent  # is used again for another segment
        seq = self._numbers[side].named(sent.seq)
        end = seq + (int(sent.end - sent.seq) & 0xFFFFFFFF)
        piece = Piece(time_ns, time_ns, seq, end, int(sent.frame))
        self._sides[side].lost.add((piece, loss.resend))

    def _acknowledge(self, conn: Connection, side: int, seg: Segment, time_ns: int, analysis: int, window: int) -> None:
        """What the segment says of the other side's direction."""
        other, sender, frame = self._sides[1 - side], conn.side(1 - side), int(seg.frame)
        if sender.una < 0:
            return
        numbers = self._numbers[1 - side]
        acknowledged = numbers.named(sender.una)
        if not other.acks.items or other.acks.items[-1].value != acknowledged:
            other.acks.add(Point(time_ns, acknowledged, frame))
            other.flight.add(Point(time_ns, int(sender.unacknowledged()), frame))
        if analysis & DUPLICATE_ACK:
            other.event(Event(time_ns, DUPLICATE, acknowledged, frame))
        self._round_trip(other, sender.transfer, seg, time_ns)
        if seg.flags & RST or (conn.side(side).scale < 0 and not seg.flags & SYN):
            return  # an RST has no window (RFC 9293 section 3.10.7), and of an unknown scale there is no size
        other.windows.add(Point(time_ns, window, frame))
        edge = acknowledged + window
        if seg.ack == sender.una and (not other.edges.items or other.edges.items[-1].value != edge):
            other.edges.add(Point(time_ns, edge, frame))
        if analysis & ZERO_WINDOW:
            other.event(Event(time_ns, ZERO, edge, frame))
        for left, right in _blocks(seg):
            other.sacks.add(Block(time_ns, numbers.named(left), numbers.named(right), frame))

    def _round_trip(self, other: _Side, transfer: Transfer | None, seg: Segment, time_ns: int) -> None:
        """The acknowledgement may have given a sample."""
        rtt = transfer.rtt if transfer is not None else None
        if transfer is None or rtt is None or rtt.count == other.samples:
            return
        other.samples = int(rtt.count)
        if transfer.acked is not None:
            other.rtt.add(Point(time_ns, int(seg.time_ns - transfer.acked.time_ns), int(seg.frame)))

    def graph(self, report: ConnectionReport) -> Graph:
        """What was collected of the connection that ``report`` is about."""
        start_ns = report.start_ns if self._start_ns is None else self._start_ns
        client, server = (side.direction(self._bins.of(number)) for number, side in enumerate(self._sides))
        messages = report.tls.messages if report.tls is not None else ()
        return Graph(
            stream=report.stream,
            client=str(report.client),
            server=str(report.server),
            start_ns=start_ns,
            duration_ns=self._end_ns,
            directions=(client, server),
            bin_ns=self._bins.width_ns,
            messages=tuple(
                Message(one.time_ns - start_ns, SIDES.index(one.side), one.known_as, one.frame)
                for one in messages
                if one.time_ns is not None
            ),
        )


def _blocks(seg: Segment) -> list[tuple[int, int]]:
    """The SACK blocks that a segment carries."""
    blocks = (
        (seg.sack_left0, seg.sack_right0),
        (seg.sack_left1, seg.sack_right1),
        (seg.sack_left2, seg.sack_right2),
        (seg.sack_left3, seg.sack_right3),
    )
    return [(int(left), int(right)) for left, right in blocks[: seg.sack_count]]
