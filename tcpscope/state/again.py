"""Bytes below the highest number sent: late by reordering, or sent again and why (RFC 9293 section 3.8.1)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64

from tcpscope.state import holes, overlap, recovery, spurious
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import OPTION_SACK, Endpoint, Hole, Resend, Sent, Transfer, Trouble
from tcpscope.state.facts import (
    ACK_OF_UNSENT,
    CAUSE_FAST,
    CAUSE_PATH_MTU,
    CAUSE_REORDERING,
    CAUSE_SACK,
    CAUSE_SPURIOUS,
    CAUSE_SYN,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
    OUT_OF_ORDER,
    PROOF_ACK,
    PROOF_STEP,
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
    if beyond > 0 and t.trouble.probe_end == me.nxt and diff(seg.seq, me.nxt) == -1:
        # The byte of a zero-window probe comes again as the first one of the data that the open window lets through.
        t.unique_bytes += beyond
        return beyond
    hole: Hole | None = None
    if t.trouble.holes is not None:
        hole = holes.first_hole(t.trouble.holes, seg.seq, end)
    if hole is not None and hole.acknowledged and hole.right == me.nxt and hole.left == seg.seq:
        _roll_back(conn, side, me, t, hole, seg)
        t.unique_bytes += seg.length
        return seg.length
    since: i64 = -1  # the bytes that the capture lacked were missing
    if hole is not None:
        since = seg.time_ns - hole.time_ns
        late = recovery.late_or_resent(me, t, r, hole, seg)
        opened_frame: i64 = hole.frame
        captured_late: bool = hole.acknowledged  # behind its ACK: that is the capture's doing
        fresh = holes.fill(t, seg.seq, end)
        if late and not captured_late:
            t.troubled().out_of_order += 1
            conn.because(CAUSE_REORDERING, opened_frame, since)
            conn.note(OUT_OF_ORDER, side, seg.frame, seg.time_ns, opened_frame, since, fresh)
    if beyond > 0:
        fresh += beyond
    t.unique_bytes += fresh
    if not late:
        overlap.compare(conn, side, t, seg, end)
        trouble: Trouble = t.troubled()
        trouble.retransmitted_segments += 1
        trouble.retransmitted_bytes += seg.length - fresh
        _sent_again(conn, side, me, t, r, seg, end, since)
        _resent(t, seg, end)
    return beyond


def _sent_again(
    conn: Connection, side: i64, me: Endpoint, t: Transfer, r: Transfer, seg: Segment, end: i64, since: i64
) -> None:
    """Name the cause, and remember the retransmission. ``since``: time since a hole that it fills was seen (-1: none)."""
    trouble: Trouble = t.troubled()
    sent: Sent | None = _find(t, seg.seq)
    if sent is None and t.outstanding > MAX_WALK:
        trouble.overlooked += 1
    filled_hole: bool = since >= 0
    other: i64 = 0
    if sent is not None:
        other = sent.last_frame
        since = seg.time_ns - sent.last_time_ns
    tail: bool = recovery.is_tail(me, t, end) and (sent is None or sent.sendings == 1) and r.trouble.duplicate_run == 0
    if me.syn_frame != 0 and me.syn_options & conn.side(1 - side).syn_options & OPTION_SACK == 0:
        tail = False  # loss probes need SACK (RFC 8985 section 4)
    cause: i64 = recovery.cause_of(me, t, r, seg, sent, since)
    if cause == CAUSE_UNKNOWN and sent is None and t.first_data_frame == me.syn_frame and seg.seq == me.base:
        cause = CAUSE_SYN  # the data that the SYN had carried, and that was not taken (RFC 7413 section 4.2.2)
    number: i64 = 0
    if cause == CAUSE_TIMEOUT and recovery.timer_fired(t, seg.time_ns, since):
        if trouble.backoff == 1 and spurious.was_probe(conn, side, t, seg, end, since):
            trouble.backoff = 0
            trouble.timeouts -= 1
        trouble.timeouts += 1
        trouble.backoff += 1
        _too_long(trouble, seg, sent)
        number = trouble.backoff
        if trouble.loss_until < 0:
            trouble.loss_until = me.nxt
    elif cause == CAUSE_FAST or cause == CAUSE_SACK:
        number = r.trouble.duplicate_run
    elif cause == CAUSE_TAIL_LOSS_PROBE:
        number = t.srtt
    elif cause == CAUSE_SPURIOUS:
        number = PROOF_ACK * PROOF_STEP + CAUSE_SPURIOUS
    if cause != CAUSE_SPURIOUS and cause != CAUSE_PATH_MTU and cause != CAUSE_SYN:
        if filled_hole:
            trouble.lost_before += 1
        else:
            trouble.lost_behind += 1
    conn.because(cause, other, since)
    conn.note(RETRANSMISSION + cause, side, seg.frame, seg.time_ns, other, number, since)
    spurious.remember(t, Resend(seg, end, cause, since, tail, filled_hole))


def _too_long(trouble: Trouble, seg: Segment, sent: Sent | None) -> None:
    """Remember how long what timed out was, and to which length its sender has cut it."""
    length: i64 = seg.length
    if sent is not None:
        length = diff(sent.end, sent.seq)
        if seg.seq == sent.seq and seg.length < length:
            trouble.cut_to = seg.length
    if trouble.lost_length < 0 or length < trouble.lost_length:
        trouble.lost_length = length


def _roll_back(conn: Connection, side: i64, me: Endpoint, t: Transfer, hole: Hole, seg: Segment) -> None:
    """The sender goes on with bytes that were "acknowledged" already: captured late, or acknowledged before they were sent.

    The latter is proved if the ACK lies beyond every window that its sender opened, or if the data answers a timestamp that
    only that ACK carried: then the sender had received it (RFC 7323 section 3.2) and still sends these bytes as new ones.
    """
    if hole.beyond_window or (hole.ts_val >= 0 and seg.ts_ecr >= 0 and diff(seg.ts_ecr, hole.ts_val) >= 0):
        conn.note(ACK_OF_UNSENT, 1 - side, hole.frame, hole.time_ns, seg.frame, hole.right, hole.left)
    size: i64 = diff(hole.right, hole.left)
    t.troubled().unseen_bytes -= size
    t.position -= size
    me.nxt = hole.left
    if t.trouble.holes is not None:
        t.trouble.holes.remove(hole)


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
            sent.ip_id = i32(seg.ip_id)
            sent.checksum = i32(seg.tcp_checksum)
        sent = sent.next
