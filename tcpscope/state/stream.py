"""One direction of a connection as an in-order byte stream.

``offer`` takes a segment, ``more`` steps to the next piece that became deliverable; both leave the bytes that are ready in
``data[start:end]`` at stream position ``position``. In the in-order case that is the segment itself: nothing is copied.
A slice that begins behind the end of the one before it means that the bytes in between are lost for good.
The first copy of a byte wins: it is what a receiver that acknowledged it has kept.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

MAX_HELD: Final = 256 * 1024
MAX_PIECES: Final = 64


@mypyc_attr(acyclic=True)
class Piece:
    """Bytes that arrived ahead of a hole. ``length`` counts also those that the snap length cut off the end of ``data``."""

    def __init__(self, position: i64, data: bytes, length: i64, ack: i64, frame: i64, time_ns: i64) -> None:
        self.position: i64 = position
        self.data: bytes = data
        self.length: i64 = length
        self.ack: i64 = ack
        self.frame: i64 = frame
        self.time_ns: i64 = time_ns


@mypyc_attr(acyclic=True)
class ByteStream:
    """In-order delivery with bounded memory: at most ``limit`` bytes and 64 pieces wait behind a hole.

    When the bound is reached the hole is taken as lost, since a capture that lacks it will not show it any more.
    """

    def __init__(self, limit: i64) -> None:
        self.limit: i64 = limit
        self.next: i64 = 0  # position of the first byte that was not delivered yet
        self.passed: i64 = 0  # up to here holes are known to stay open
        self.count: i64 = 0
        self.held: i64 = 0
        self.overflows: i64 = 0
        self.pieces: list[Piece] | None = None
        self.gave_up: bool = False  # what is delivered now was set free by giving up a hole
        # Frame and time of the segment that is offered; the caller sets them.
        self.now_frame: i64 = 0
        self.now_ns: i64 = 0
        # The slice that is ready.
        self.data: bytes = b""
        self.start: i64 = 0
        self.end: i64 = 0
        self.position: i64 = 0
        self.ack: i64 = -1
        # Of the segment that made it ready: the one that filled the hole before it, or its own where the hole was given up.
        self.frame: i64 = 0
        self.time_ns: i64 = 0

    def offer(self, data: bytes, start: i64, captured: i64, length: i64, position: i64, ack: i64) -> bool:
        """One segment: ``captured`` of its ``length`` bytes stand at ``data[start:]``. True if a slice is ready.

        ``ack`` is handed on with the slice. After True, ``more`` must be called until it says False.
        """
        stop: i64 = position + length
        if stop <= self.next:
            return False
        if position > self.next:
            self._hold(data, start, captured, position, stop, ack)
            self.gave_up = True
            return self.passed > self.next and self.more()
        self.gave_up = False
        self.frame = self.now_frame
        self.time_ns = self.now_ns
        skip: i64 = self.next - position
        if skip > captured:
            skip = captured
        self.data = data
        self.start = start + skip
        self.end = start + captured
        self.position = self.next  # also where the snap length cut off all that is new
        self.ack = ack
        self.next = stop
        return True

    def more(self) -> bool:
        """True if another slice is ready. False also lets go of the bytes of the last one."""
        pieces = self.pieces
        while pieces is not None and self.count > 0:
            piece = pieces[0]
            if piece.position > self.next:
                if piece.position > self.passed:
                    break
                self.next = piece.position
            pieces.pop(0)
            self.count -= 1
            have: i64 = len(piece.data)
            self.held -= have
            stop: i64 = piece.position + piece.length
            if stop <= self.next:
                continue
            skip: i64 = self.next - piece.position
            if skip > have:
                skip = have
            self.data = piece.data
            self.start = skip
            self.end = have
            self.position = self.next
            self.ack = piece.ack
            if self.gave_up:
                self.frame = piece.frame
                self.time_ns = piece.time_ns
            self.next = stop
            return True
        if self.next < self.passed:
            self.next = self.passed
        self.data = b""  # the reader's chunk must not outlive its use here
        return False

    def gap(self, position: i64) -> bool:
        """Bytes before ``position`` that are missing will not come any more. True if a slice is ready."""
        if position > self.passed:
            self.passed = position
        self.gave_up = True
        return self.passed > self.next and self.more()

    def drain(self) -> bool:
        """The capture is over: what waits is delivered, its holes are lost. True if a slice is ready."""
        pieces = self.pieces
        if pieces is None or self.count == 0:
            return False
        return self.gap(pieces[self.count - 1].position)

    def _hold(self, data: bytes, start: i64, captured: i64, position: i64, stop: i64, ack: i64) -> None:
        """Keep those parts of a segment ahead of a hole that no held piece covers."""
        pieces = self.pieces
        if pieces is None:
            pieces = []
            self.pieces = pieces
        if self.count >= MAX_PIECES or self.held + captured > self.limit:
            self._make_room(pieces, captured, position)
        at: i64 = position
        i: i64 = 0
        while i < len(pieces) and at < stop:
            piece = pieces[i]
            if piece.position > at:
                upto: i64 = piece.position if piece.position < stop else stop
                self._insert(pieces, i, data, start, captured, position, at, upto, ack)
                at = upto
                i += 1
            if piece.position + piece.length > at:
                at = piece.position + piece.length
            i += 1
        if at < stop:
            self._insert(pieces, i, data, start, captured, position, at, stop, ack)

    def _make_room(self, pieces: list[Piece], captured: i64, position: i64) -> None:
        """Give up as many holes, from the first on, as a segment of ``captured`` bytes needs to be held behind the others.

        Where that is not enough, the one before the segment, so that it need not be held.
        """
        self.overflows += 1
        upto: i64 = position
        held: i64 = self.held
        i: i64 = 0
        while i < self.count and pieces[i].position < position:
            held -= len(pieces[i].data)
            i += 1
            if self.count - i < MAX_PIECES and held + captured <= self.limit:
                upto = pieces[i - 1].position
                break
        if upto > self.passed:
            self.passed = upto

    def _insert(
        self,
        pieces: list[Piece],
        index: i64,
        data: bytes,
        start: i64,
        captured: i64,
        position: i64,
        at: i64,
        stop: i64,
        ack: i64,
    ) -> None:
        low: i64 = at - position
        high: i64 = stop - position
        if low > captured:
            low = captured
        if high > captured:
            high = captured
        piece = Piece(at, data[start + low : start + high], stop - at, ack, self.now_frame, self.now_ns)
        pieces.insert(index, piece)
        self.count += 1
        self.held += high - low
