"""The window that a side advertises, and what the other side did with it: RFC 9293 section 3.8.6, RFC 7323 section 2."""

from __future__ import annotations

from mypy_extensions import i32, i64

from tcpscope.state import oddities
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Transfer, Trouble
from tcpscope.state.facts import WINDOW_EXCEEDED, WINDOW_FULL, ZERO_WINDOW
from tcpscope.state.seq import diff
from tcpscope.wire.segment import FIN, RST, SYN, Segment


def advertised(conn: Connection, side: i64, me: Endpoint, t: Transfer, peer: Endpoint, seg: Segment) -> None:
    """The window that ``me`` advertises (section 3.8.6; scaled by RFC 7323 section 2.2 unless the segment is a SYN)."""
    size: i64 = seg.window
    t.last_window = i32(size)
    if me.scale > 0 and seg.flags & SYN == 0:
        size <<= i64(me.scale)
    if seg.flags & (SYN | RST) == 0:
        if t.max_window < 0 or size > i64(t.max_window):
            t.max_window = i32(size)
        if t.min_window < 0 or size < i64(t.min_window):
            t.min_window = i32(size)
        if size == 0:
            closed: Trouble = t.troubled()
            closed.zero_windows += 1
            if closed.zero_frame == 0 and seg.flags & FIN == 0:
                closed.zero_frame = seg.frame
                closed.zero_since = seg.time_ns
        elif t.trouble.zero_frame != 0:
            opened: Trouble = t.trouble
            duration: i64 = seg.time_ns - opened.zero_since
            opened.zero_time_total += duration
            conn.note(ZERO_WINDOW, side, opened.zero_frame, opened.zero_since, seg.frame, duration, 0)
            opened.zero_frame = 0
    if me.scale >= 0:
        edge: i64 = (seg.ack + size) & 0xFFFFFFFF
        p: Transfer | None = peer.transfer
        if p is not None and p.trouble.exceeded_frame != 0:
            # The receiver's edge never moves back, so what it says now bounds what it had ever said before.
            past: Trouble = p.trouble
            over: i64 = diff(past.exceeded_end, edge)
            if over > 0:
                conn.note(WINDOW_EXCEEDED, 1 - side, past.exceeded_frame, past.exceeded_time, seg.frame, over, edge)
            past.exceeded_frame = 0
        if seg.flags & SYN != 0:
            t.syn_edge = edge
        if t.right_edge < 0 or diff(edge, t.right_edge) > 0:
            t.right_edge = edge
        elif edge != t.right_edge:
            oddities.window_below_edge(conn, side, me, peer, t, seg)


def filled(
    conn: Connection, side: i64, me: Endpoint, t: Transfer, r: Transfer, seg: Segment, end: i64, over: i64
) -> None:
    """The window has no room for as much again after this segment, which ends ``over`` bytes beyond its edge."""
    trouble: Trouble = t.troubled()
    trouble.tight_frame = seg.frame
    if over == 0:
        trouble.window_full += 1
        trouble.full_frame = seg.frame
        trouble.full_since = seg.time_ns
        conn.note(WINDOW_FULL, side, seg.frame, seg.time_ns, 0, diff(end, me.una) if me.una >= 0 else 0, 0)
    elif over > 0 and trouble.exceeded_frame == 0 and not (r.trouble.zero_frame != 0 and over == 1):
        # Not yet proved: the ACK that opened the window may be missing in the capture.
        trouble.exceeded_frame = seg.frame
        trouble.exceeded_time = seg.time_ns
        trouble.exceeded_end = end
