"""Zeek's view of the connections of a capture: conn_state and history, cut where Zeek's timers cut.

Follows Zeek 9.1 with its default scripts. Zeek runs its timers when a frame arrives, at most 300 for each; here a timer
takes effect when its own connection is looked at again. That gives the same rows, unless more than 300 connections end
between two frames.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.keys import reverse_key
from tcpscope.state.zeek_connection import ZeekConnection
from tcpscope.state.zeek_endpoint import ZeekEndpoint
from tcpscope.state.zeek_history import conn_state
from tcpscope.wire.segment import ACK, SYN, Segment

SERVER_PORTS: Final[frozenset[int]] = frozenset((
    21, 22, 25, 53, 79, 80, 81, 88, 135, 139, 143, 389, 443, 445, 465, 502, 514, 563, 585, 587, 614, 631, 636, 989, 990,
    992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432, 6379, 6666, 6667, 6668, 6669,
    8000, 8080, 8888, 20000,
))  # fmt: skip
"""Ports that tell the server where no SYN does (likely_server_ports): those of the protocols that Zeek's default scripts know."""

FIRST_SWEEP: Final = 4096  # connections


class ZeekRow:
    """One row of conn.log. ``key`` is that of a segment from the originator."""

    def __init__(self, connection: ZeekConnection) -> None:
        self.key: bytes = connection.key if connection.first.is_orig else reverse_key(connection.key)
        self.conn_state: str = conn_state(connection.originator(), connection.responder(), connection.history.text)
        self.history: str = connection.history.text
        self.first_frame: i64 = connection.first_frame
        self.last_frame: i64 = connection.last_frame
        self.first_time: i64 = connection.first_time
        self.last_time: i64 = connection.last_time


class ZeekWhole:
    """conn_state and history of one connection from its first segment to its last, without Zeek's timers and reuse test."""

    def __init__(self, seg: Segment, server_ports: frozenset[int]) -> None:
        first = ZeekEndpoint(True)
        second = ZeekEndpoint(False)
        self._clock: i64 = seg.time_ns
        self._connection: ZeekConnection = ZeekConnection(seg.key, first, second, seg, seg.time_ns)
        if seg.flags & (SYN | ACK) != SYN and is_from_server(seg, server_ports):
            self._connection.swap_roles()
        self.rows: list[ZeekRow] = []  # as Zeek's timers cut the connection: set at its end

    def feed(self, seg: Segment) -> None:
        """The next segment of the connection, the first one included."""
        connection = self._connection
        if seg.time_ns > self._clock:
            self._clock = seg.time_ns
        if seg.key == connection.key:
            connection.process(seg, connection.first, connection.second, self._clock)
        else:
            connection.process(seg, connection.second, connection.first, self._clock)

    def row(self) -> ZeekRow:
        """The connection as it stands."""
        return ZeekRow(self._connection)


class ZeekSide:
    """A connection as the sender of a segment sees it, found by the segment's key."""

    def __init__(self, connection: ZeekConnection, this: ZeekEndpoint, peer: ZeekEndpoint) -> None:
        self.connection: ZeekConnection = connection
        self.this: ZeekEndpoint = this
        self.peer: ZeekEndpoint = peer


class ZeekView:
    """Takes segments in file order, gives rows. Feed every segment; :meth:`tick` tells the time of other frames."""

    def __init__(self, server_ports: frozenset[int] = SERVER_PORTS) -> None:
        self.server_ports: frozenset[int] = server_ports
        self._sides: dict[bytes, ZeekSide] = {}
        self._rows: list[ZeekRow] = []
        # Stands for a side that has not spoken yet in a connection of one SYN: a SYN flood costs one endpoint a row.
        self._silent: ZeekEndpoint = ZeekEndpoint(False)
        self._clock: i64 = 0  # never goes back
        self._before: i64 = 0
        self._sweep_at: i64 = FIRST_SWEEP

    def tick(self, time_ns: i64) -> None:
        """A frame was captured at ``time_ns``. Zeek's clock moves with every frame, TCP or not."""
        self._before = self._clock
        if time_ns > self._clock:
            self._clock = time_ns

    def feed(self, seg: Segment) -> None:
        """Take in one segment; its time is a tick."""
        self.tick(seg.time_ns)
        side = self._find(seg)
        if side is not None:
            connection = side.connection
            if connection.has_ended(self._clock, self._before) or (seg.flags & SYN and connection.is_reuse(seg)):
                self._end(connection)
                side = None
        if side is None:
            side = self._create(seg)
        side.connection.process(seg, side.this, side.peer, self._clock)

    def finish(self) -> None:
        """The capture ended: every connection that is left becomes a row, in the order in which they began."""
        for key in list(self._sides):
            side = self._sides.get(key)
            if side is not None:
                self._end(side.connection)

    def end(self, key: bytes, last_frame: i64) -> None:
        """The caller forgets a connection: what began up to ``last_frame`` becomes a row as it stands."""
        side = self._sides.get(key)
        if side is None:
            side = self._sides.get(reverse_key(key))
        if side is not None and side.connection.first_frame <= last_frame:
            self._end(side.connection)

    def take(self) -> list[ZeekRow]:
        """The rows that ended since the last call."""
        rows = self._rows
        self._rows = []
        return rows

    def _find(self, seg: Segment) -> ZeekSide | None:
        """The sender's side of the connection that is in the table, whether it still lasts or not."""
        side = self._sides.get(seg.key)
        if side is not None:
            if side.peer is self._silent:
                self._give_voice(side)
            return side
        opposite = self._sides.get(reverse_key(seg.key))
        if opposite is None:
            return None
        if opposite.peer is self._silent:
            self._give_voice(opposite)
        side = ZeekSide(opposite.connection, opposite.peer, opposite.this)
        self._sides[seg.key] = side
        return side

    def _create(self, seg: Segment) -> ZeekSide:
        if len(self._sides) >= self._sweep_at:
            self._sweep()
        is_syn: bool = seg.flags & (SYN | ACK) == SYN
        this = ZeekEndpoint(True)
        peer = self._silent if is_syn else ZeekEndpoint(False)
        connection = ZeekConnection(seg.key, this, peer, seg, self._clock)
        if not is_syn and is_from_server(seg, self.server_ports):
            connection.swap_roles()
        side = ZeekSide(connection, this, peer)
        self._sides[seg.key] = side
        return side

    def _give_voice(self, side: ZeekSide) -> None:
        """Replace the stand-in for a side that has not spoken by an endpoint of its own."""
        side.peer = ZeekEndpoint(False)
        side.connection.second = side.peer

    def _end(self, connection: ZeekConnection) -> None:
        self._rows.append(ZeekRow(connection))
        self._sides.pop(connection.key, None)
        self._sides.pop(reverse_key(connection.key), None)

    def _sweep(self) -> None:
        """End what timers have ended. Done each time the table has doubled, so that a segment pays little for it."""
        for key in list(self._sides):
            side = self._sides.get(key)
            if side is not None and side.connection.has_ended(self._clock, self._before):
                self._end(side.connection)
        self._sweep_at = max(FIRST_SWEEP, 2 * len(self._sides))


def is_from_server(seg: Segment, server_ports: frozenset[int]) -> bool:
    """Whether the ports make the sender of a first segment without a plain SYN the server."""
    if seg.src_port not in server_ports:
        return False
    if seg.dst_port in server_ports:
        return not seg.flags & SYN and seg.src_port < seg.dst_port
    return True
