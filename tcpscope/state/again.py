"""Bytes below the highest number sent: late by reordering, or sent again and why (RFC 9293 section 3.8.1)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state import holes, overlap, recovery
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Hole, Sent, Transfer
from tcpscope.state.facts import (
    ACK_OF_UNSENT,
    CAUSE_REORDERING,
    CAUSE_TIMEOUT,
    OUT_OF_ORDER,
    RETRANSMISSION,
)
from tcpscope.state.seq import diff
from tcpscope.wire.segment import Segment

MAX_WALK: Final = 1024  # unacknowledged segments looked at to find the one that is sent again


def again(conn: Connection, side: i64, me: Endpoint, t: Transfer, r: Transfer, seg: Segment, end: i64) -> i64:
    """A segment with bytes below nxt: late (fills a hole by reordering), or sent again. Returns how far it raises nxt."""
    fresh: i64 = 0
    late: bool = False
    beyond: i64 = diff(end, me.nxt)
    if beyond > 0 and t.probe_end == me.nxt and diff(seg.seq, me.nxt) == -1:
        # The byte of a zero-window probe comes again as the first one of the data that the open window lets through.
        t.unique_bytes += beyond
        return beyond
    hole: Hole | None = None
    if t.holes is not None:
        hole = holes.first_hole(t.holes, seg.seq, end)
    if hole is not None and hole.acknowledged and hole.right == me.nxt and hole.left == seg.seq:
        _roll_back(conn, side, me, t, hole, seg)
        t.unique_bytes += seg.length
        return seg.length
    if hole is not None:
        late = hole.acknowledged or recovery.late_or_resent(t, r, hole, seg)
        opened_frame: i64 = hole.frame
        opened_time: i64 = hole.time_ns
        fresh = holes.fill(t, seg.seq, end)
        if late:
            t.out_of_order += 1
            conn.last_cause = CAUSE_REORDERING
            conn.note(OUT_OF_ORDER, side, seg.frame, seg.time_ns, opened_frame, seg.time_ns - opened_time, fresh)
    if beyond > 0:
        fresh += beyond
    t.unique_bytes += fresh
    if not late:
        overlap.compare(conn, side, t, seg, end)
        repeated: i64 = seg.length - fresh
        sent: Sent | None = _find(t, seg.seq)
        if sent is None and t.outstanding > MAX_WALK:
            t.overlooked += 1
        cause: i64 = recovery.cause_of(me, t, r, seg, sent)
        conn.last_cause = cause
        t.retransmitted_segments += 1
        t.retransmitted_bytes += repeated
        other: i64 = sent.last_frame if sent is not None else 0
        elapsed: i64 = seg.time_ns - sent.last_time_ns if sent is not None else -1
        conn.note(RETRANSMISSION + cause, side, seg.frame, seg.time_ns, other, cause, elapsed)
        if cause == CAUSE_TIMEOUT:
            t.backoff += 1
        _resent(t, seg, end)
    return beyond


def _roll_back(conn: Connection, side: i64, me: Endpoint, t: Transfer, hole: Hole, seg: Segment) -> None:
    """The sender goes on with bytes that were "acknowledged" already: captured late, or acknowledged before they were sent.

    The latter is proved if the ACK lies beyond every window that its sender opened, or if the data answers a timestamp that
    only that ACK carried: then the sender had received it (RFC 7323 section 3.2) and still sends these bytes as new ones.
    """
    if hole.beyond_window or (hole.ts_val >= 0 and seg.ts_ecr >= 0 and diff(seg.ts_ecr, hole.ts_val) >= 0):
        conn.note(ACK_OF_UNSENT, 1 - side, hole.frame, hole.time_ns, seg.frame, hole.right, hole.left)
    size: i64 = diff(hole.right, hole.left)
    t.unseen_bytes -= size
    t.position -= size
    me.nxt = hole.left
    if t.holes is not None:
        t.holes.remove(hole)


def _find(t: Transfer, seq: i64) -> Sent | None:
    """The unacknowledged segment that holds ``seq``. A retransmission is mostly the oldest one."""
    sent: Sent | None = t.oldest
    steps: i64 = 0
    while sent is not None and steps < MAX_WALK:
        if diff(seq, sent.end) < 0:
            return sent if diff(seq, sent.seq) >= 0 else None
        sent = sent.next
        steps += 1
    return None


def _resent(t: Transfer, seg: Segment, end: i64) -> None:
    """Note the new sending on every unacknowledged segment that it repeats."""
    sent: Sent | None = t.oldest
    steps: i64 = 0
    while sent is not None and steps < MAX_WALK and diff(sent.seq, end) < 0:
        steps += 1
        if diff(sent.end, seg.seq) > 0:
            sent.sendings += 1
            sent.last_frame = seg.frame
            sent.last_time_ns = seg.time_ns
            sent.ip_id = seg.ip_id
            sent.checksum = seg.tcp_checksum
        sent = sent.next
