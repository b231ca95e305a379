"""One side of a connection as Zeek keeps it: state, sequence numbers, which of its bytes arrived or were acknowledged.

Numbers called relative count from the first sequence number (the SYN is 0, the first data byte 1) and do not wrap.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.seq import diff

# States, as Zeek names them.
INACTIVE: Final = 0  # nothing seen of this side
SYN_SENT: Final = 1
SYN_ACK_SENT: Final = 2
PARTIAL: Final = 3  # seen, but no SYN
ESTABLISHED: Final = 4
CLOSED: Final = 5  # FIN seen
RESET: Final = 6  # RST seen

NEVER: Final = 1 << 62  # a relative number that no acknowledgement reaches

UNACKNOWLEDGED_LIMIT: Final = 16384  # bytes kept or above a hole while the other side has acknowledged nothing
BUFFER_LIMIT: Final = 10 * 1024 * 1024
HOLE_LIMIT: Final = 1000
"""Holes in the data of one side. Zeek has only the limit of bytes; past either one the data is followed no longer."""


class Block:
    """Bytes from ``start`` up to, not including, ``end`` that arrived behind a hole."""

    def __init__(self, start: i64, end: i64) -> None:
        self.start: i64 = start
        self.end: i64 = end
        self.later: Block | None = None


class ZeekEndpoint:
    """One side. ``is_orig`` changes when Zeek swaps the roles."""

    def __init__(self, is_orig: bool) -> None:
        self.is_orig: bool = is_orig
        self.state: i64 = INACTIVE
        self.previous: i64 = INACTIVE  # state before the latest change
        self.start: i64 = 0  # first sequence number
        self.last: i64 = 0  # one past the highest, SYN and FIN counted
        self.last_relative: i64 = 0
        self.ack: i64 = 0  # highest acknowledgement of this side's bytes
        self.ack_relative: i64 = 0
        self.fin_seen: bool = False
        self.fin_relative: i64 = 0  # one past the latest FIN
        self.did_close: bool = False  # its end is no longer waiting for data
        self.did_eof: bool = False
        self.corrupt: i64 = 0
        self.retransmitted: i64 = 0
        self.zero_windows: i64 = 0
        self.gaps: i64 = 0
        self.last_syn: i64 = 0  # relative numbers of the latest SYN, FIN and RST that history knows
        self.last_fin: i64 = 0
        self.last_rst: i64 = 0
        # Reassembly: all below ``delivered`` arrived or is given up; what lies from ``trimmed`` on is still held.
        self.delivered: i64 = 1
        self.trimmed: i64 = 1
        self.stopped: bool = False  # too much was missing or kept; reassembly has ended for good
        self.blocks: Block | None = None  # in order, disjoint, all above ``delivered``
        self.block_count: i64 = 0
        self.block_bytes: i64 = 0
        self.block_end: i64 = 0  # end of the last block

    def begin(self, seq: i64, last: i64) -> None:
        """Count from ``seq``, with ``last`` as the highest number so far."""
        self.start = seq & 0xFFFFFFFF
        self.ack = self.start
        self.ack_relative = 0
        self.last = last & 0xFFFFFFFF
        self.last_relative = diff(self.last, self.start)

    def relative(self, seq: i64) -> i64:
        """Relative number of a sequence number of this side; negative before the start."""
        return self.last_relative + diff(seq, self.last)

    def relative_ack(self, ack: i64) -> i64:
        """Relative number of an acknowledgement of this side's bytes; negative before the start."""
        return self.ack_relative + diff(ack, self.ack)

    def advance_last(self, last: i64) -> None:
        """A higher sequence number was seen."""
        self.last_relative += (last - self.last) & 0xFFFFFFFF
        self.last = last

    def advance_ack(self, ack: i64) -> None:
        """A higher acknowledgement was seen."""
        self.ack_relative += (ack - self.ack) & 0xFFFFFFFF
        self.ack = ack

    def nothing_acknowledged(self) -> bool:
        """Whether none of this side's data was acknowledged (its SYN may be)."""
        return self.ack_relative == 0 or self.ack_relative == 1

    def size(self, peer: ZeekEndpoint) -> i64:
        """Bytes that this side sent by its sequence numbers, captured or not."""
        is_aborted: bool = self.state == RESET and self.previous == SYN_SENT and peer.state == INACTIVE
        if is_aborted and not self.nothing_acknowledged():
            return 0  # it never got to send data: its numbers are not to be trusted
        size: i64 = self.last_relative if self.last_relative > self.ack_relative else self.ack_relative
        if size != 0:
            size -= 1
        if self.fin_seen and size != 0:
            size -= 1
        return size

    def is_clean(self) -> bool:
        """Whether gaps in this side's data mean something: established, or closed from there."""
        return self.state == ESTABLISHED or (self.state == CLOSED and self.previous == ESTABLISHED)

    # Reassembly

    def receive(self, start: i64, length: i64, peer: ZeekEndpoint) -> None:
        """Data of this side arrived at relative number ``start``."""
        if self.stopped:
            return
        end: i64 = start + length
        if end <= self.ack_relative or end <= self.trimmed:
            return
        if start < self.ack_relative:
            start = self.ack_relative
        if start < self.trimmed:
            start = self.trimmed
        if start > self.delivered:
            self._insert(start, end)
        elif end > self.delivered:
            self.delivered = end
            self._absorb()
            if self.nothing_acknowledged() and self.size(peer) > UNACKNOWLEDGED_LIMIT:
                self.trimmed = self.delivered  # the other direction seems not to be captured
        above: i64 = self.block_end - self.delivered if self.blocks is not None else 0
        kept: i64 = self.block_bytes + self.delivered - self.trimmed
        is_one_sided: bool = above > UNACKNOWLEDGED_LIMIT and self.nothing_acknowledged()
        if is_one_sided or kept > BUFFER_LIMIT or self.block_count > HOLE_LIMIT:
            self._stop()

    def acknowledge(self, ack: i64, is_partial: bool) -> i64:
        """Relative number ``ack`` was acknowledged. Returns how many holes that gives up; -1 if it is nothing new."""
        if self.fin_seen and ack >= self.fin_relative:
            ack = self.fin_relative - 1
        if ack <= self.trimmed:
            return -1
        holes: i64 = 0
        # In the middle of a connection the first number was a guess: a first acknowledgement of it tells nothing.
        if ack > self.delivered and not (ack <= 2 and is_partial):
            while self.blocks is not None and self.blocks.start < ack:
                holes += 1
                self.delivered = self.blocks.start
                self._absorb()
            if self.delivered < ack:
                if not self.stopped:
                    holes += 1
                self.delivered = ack
                self._absorb()
        self.trimmed = ack
        return holes

    def holds_data(self) -> bool:
        """Whether bytes of this side wait for their acknowledgement or for a hole to be filled."""
        return not self.stopped and (self.delivered > self.trimmed or self.blocks is not None)

    def is_pending(self, peer: ZeekEndpoint) -> bool:
        """Whether data of this side is still missing, or it has still to acknowledge data of the other."""
        if self.stopped or self.last_relative < self.delivered:
            return False
        # A FIN takes one number, an RST none.
        if self.delivered != self.last_relative and self.delivered != self.last_relative - 1:
            return True
        return self.state != RESET and peer.holds_data()

    def _absorb(self) -> None:
        """Deliver the blocks that no hole separates any more."""
        block = self.blocks
        while block is not None and block.start <= self.delivered:
            if block.end > self.delivered:
                self.delivered = block.end
            self.block_count -= 1
            self.block_bytes -= block.end - block.start
            block = block.later
        self.blocks = block

    def _insert(self, start: i64, end: i64) -> None:
        """Keep a block above a hole, joined with those that it touches."""
        before: Block | None = None
        block = self.blocks
        while block is not None and block.end < start:
            before = block
            block = block.later
        new = Block(start, end)
        while block is not None and block.start <= new.end:
            if block.start < new.start:
                new.start = block.start
            if block.end > new.end:
                new.end = block.end
            self.block_count -= 1
            self.block_bytes -= block.end - block.start
            block = block.later
        new.later = block
        if before is None:
            self.blocks = new
        else:
            before.later = new
        self.block_count += 1
        self.block_bytes += new.end - new.start
        if block is None:
            self.block_end = new.end

    def _stop(self) -> None:
        self.stopped = True
        self.blocks = None
        self.block_count = 0
        self.block_bytes = 0
