"""What Wireshark's TCP analysis remembers: a flow a direction with its unacknowledged segments, and what both share.

Values follow tshark 4.0. In ``next_seq``, ``max_seq_to_be_acked`` and ``last_ack`` a zero means "unknown", also where
the true sequence number is zero: Wireshark does the same, and agreement with it needs the quirk.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.seq import diff
from tcpscope.wire.segment import Segment

SCALE_UNKNOWN: Final = -1  # no SYN of this side seen
SCALE_NOT_USED: Final = -2  # the handshake shows that window scaling is off
WINDOW_UNKNOWN: Final = 0xFFFFFFFF
DUPLICATES_STALLED: Final = -1  # duplicate_acks of a flow whose missing bytes were already reported

MAX_UNACKED: Final = 10_000
"""Unacknowledged segments remembered in one direction; Wireshark's own limit, which its results depend on."""

MAX_UNACKED_TOTAL: Final = 2_000_000
"""The same over all directions (200 MB). Past it only round-trip times and bytes in flight go missing."""


class Unacked:
    """One segment that took sequence space and is not acknowledged yet: ``seq`` up to, not including, ``end``."""

    def __init__(self) -> None:
        self.seq: i64 = 0
        self.end: i64 = 0
        self.time_ns: i64 = 0
        self.frame: i64 = 0
        self.newer: Unacked | None = None


class UnackedPool:
    """Used-up :class:`Unacked` records, kept for the next segment, and how many records exist in all."""

    def __init__(self) -> None:
        self._free: Unacked | None = None
        self.in_use: i64 = 0

    def take(self) -> Unacked:
        """A record whose fields the caller fills."""
        self.in_use += 1
        record = self._free
        if record is None:
            return Unacked()
        self._free = record.newer
        record.newer = None
        return record

    def give_back(self, record: Unacked) -> None:
        """Return one record."""
        self.in_use -= 1
        record.newer = self._free
        self._free = record


class Flow:
    """One direction of a conversation, and the list of its unacknowledged segments from the oldest to the newest."""

    def __init__(self) -> None:
        self.base_known: bool = False
        self.base: i64 = 0  # first sequence number; one less than the first seen where that was no SYN
        self.next_seq: i64 = 0
        self.next_seq_frame: i64 = 0  # the frame that raised next_seq
        self.next_seq_time: i64 = 0
        self.max_seq_to_be_acked: i64 = 0  # end of the contiguous bytes seen
        self.last_ack: i64 = 0
        self.last_ack_time: i64 = 0
        self.duplicate_acks: i64 = 0
        self.last_nondup_frame: i64 = 0  # the frame that duplicate ACKs refer to
        self.window: i64 = WINDOW_UNKNOWN  # raw, of the latest segment
        self.window_scale: i64 = SCALE_UNKNOWN
        self.first_ack_pending: bool = False
        self.last_analysis: i64 = 0  # flags of the latest segment
        self.mptcp: i64 = 0
        self.sacked: i64 = 0  # bytes in the SACK blocks of the latest segment
        self.in_flight_valid: bool = True
        self.oldest: Unacked | None = None
        self.newest: Unacked | None = None
        self.unacked: i64 = 0
        # True while both ends of the records never step back from the oldest to the newest, and all lie within 2**31.
        self.ordered: bool = True
        # The newest record that the latest walk over the whole list left alone, and the acknowledgement it was for:
        # the same acknowledgement again need not look at the records up to there.
        self.settled: Unacked | None = None
        self.settled_ack: i64 = -1
        # Extent of the records, counted from base. Used only while not ordered; right while extent_base is base.
        self.extent_base: i64 = -1
        self.lowest: i64 = 0
        self.highest: i64 = 0

    def add_unacked(self, pool: UnackedPool, seq: i64, end: i64, time_ns: i64, frame: i64) -> None:
        """Remember a segment that takes the sequence numbers from ``seq`` up to ``end``."""
        record = pool.take()
        record.seq = seq
        record.end = end
        record.time_ns = time_ns
        record.frame = frame
        newest = self.newest
        oldest = self.oldest
        if newest is None or oldest is None:
            self.oldest = record
            self.ordered = True
            self.extent_base = -1
        else:
            newest.newer = record
            if self.ordered:
                self.extent_base = -1
                if not in_order(newest, record) or diff(end, oldest.seq) <= 0:
                    self.ordered = False
            elif self.extent_base == self.base:
                self._extend(record)
        self.newest = record
        self.unacked += 1

    def acknowledge(self, pool: UnackedPool, ack: i64) -> Unacked | None:
        """Drop what ``ack`` covers, cut down what it covers in part. Returns the oldest record that ends at ``ack``.

        The record returned is already given back to the pool: read it before the next one is taken.
        """
        oldest = self.oldest
        newest = self.newest
        if oldest is None or newest is None:
            return None
        # Against an acknowledgement half the sequence space away even ordered records compare out of order.
        if self.ordered and diff(oldest.seq, ack) <= diff(newest.end, ack):
            return self._acknowledge_ordered(pool, ack)
        return self._acknowledge_all(pool, ack)

    def _acknowledge_ordered(self, pool: UnackedPool, ack: i64) -> Unacked | None:
        """As :meth:`acknowledge` where the covered records are the oldest ones: looks at no more than those and one."""
        matched: Unacked | None = None
        record = self.oldest
        while record is not None and diff(ack, record.end) >= 0:
            if record.end == ack and matched is None:
                matched = record
            newer = record.newer
            pool.give_back(record)
            self.unacked -= 1
            record = newer
        self.oldest = record
        self.settled = None
        self.settled_ack = -1
        self.extent_base = -1
        if record is None:
            self.newest = None
        while record is not None and diff(record.seq, ack) < 0:
            record.seq = ack
            record = record.newer
        return matched

    def _acknowledge_all(self, pool: UnackedPool, ack: i64) -> Unacked | None:
        """As :meth:`acknowledge`, looking at every record, or at those added since the same acknowledgement came."""
        matched: Unacked | None = None
        kept: Unacked | None = None
        record = self.oldest
        if ack == self.settled_ack and self.settled is not None:
            kept = self.settled
            record = kept.newer
        else:
            self.ordered = True  # until shown otherwise below
        while record is not None:
            newer = record.newer
            if diff(ack, record.end) >= 0:
                if record.end == ack and matched is None:
                    matched = record
                self.extent_base = -1
                self.unacked -= 1
                if kept is None:
                    self.oldest = newer
                else:
                    kept.newer = newer
                pool.give_back(record)
            else:
                if diff(record.seq, ack) < 0:
                    record.seq = ack
                    self.extent_base = -1
                if kept is not None and not in_order(kept, record):
                    self.ordered = False
                kept = record
            record = newer
        self.newest = kept
        self.settled = kept
        self.settled_ack = ack
        oldest = self.oldest
        if oldest is not None and kept is not None and diff(kept.end, oldest.seq) <= 0:
            self.ordered = False
        return matched

    def bytes_between_ends(self) -> i64:
        """Highest end minus lowest start of the unacknowledged segments, counted from the base; 0 if there are none."""
        oldest = self.oldest
        newest = self.newest
        if oldest is None or newest is None:
            return 0
        if self.ordered:
            low: i64 = (oldest.seq - self.base) & 0xFFFFFFFF
            high: i64 = (newest.end - self.base) & 0xFFFFFFFF
            if low <= high:
                return high - low
        if self.extent_base != self.base:
            self._measure()
        return (self.highest - self.lowest) & 0xFFFFFFFF

    def _measure(self) -> None:
        """Find the extent of the records anew, after some were dropped or the base moved."""
        self.lowest = 0xFFFFFFFF
        self.highest = 0
        self.extent_base = self.base
        record = self.oldest
        while record is not None:
            self._extend(record)
            record = record.newer

    def _extend(self, record: Unacked) -> None:
        """Stretch the extent over one more record."""
        low: i64 = (record.seq - self.base) & 0xFFFFFFFF
        high: i64 = (record.end - self.base) & 0xFFFFFFFF
        if low < self.lowest:
            self.lowest = low
        if high > self.highest:
            self.highest = high

    def drop_all(self, pool: UnackedPool) -> None:
        """Forget every unacknowledged segment."""
        record = self.oldest
        while record is not None:
            newer = record.newer
            pool.give_back(record)
            record = newer
        self.oldest = None
        self.newest = None
        self.settled = None
        self.settled_ack = -1
        self.unacked = 0


def in_order(older: Unacked, newer: Unacked) -> bool:
    """Whether neither end of the later record steps back."""
    return diff(newer.seq, older.seq) >= 0 and diff(newer.end, older.end) >= 0


class Conversation:
    """What both directions share. ``stream`` is tcp.stream; times are nanoseconds, 0 where they are unknown."""

    def __init__(self, stream: i64) -> None:
        self.stream: i64 = stream
        self.completeness: i64 = 0
        self.syn_time: i64 = 0
        self.initial_rtt: i64 = 0
        self.mptcp: i64 = 0  # bit set of the MPTCP subtypes seen
        self.recognised: bool = False  # a dissector began it in the middle of a connection


class Direction:
    """A conversation as the sender of a segment sees it, found by the segment's key. No object points back to it."""

    def __init__(self, conversation: Conversation, this: Flow, peer: Flow) -> None:
        self.conversation: Conversation = conversation
        self.this: Flow = this
        self.peer: Flow = peer


def sacked_bytes(seg: Segment) -> i64:
    """Sum of the sizes of a segment's SACK blocks (RFC 2018), each modulo 2**32."""
    total: i64 = (seg.sack_right0 - seg.sack_left0) & 0xFFFFFFFF
    if seg.sack_count > 1:
        total += (seg.sack_right1 - seg.sack_left1) & 0xFFFFFFFF
    if seg.sack_count > 2:
        total += (seg.sack_right2 - seg.sack_left2) & 0xFFFFFFFF
    if seg.sack_count > 3:
        total += (seg.sack_right3 - seg.sack_left3) & 0xFFFFFFFF
    return total
