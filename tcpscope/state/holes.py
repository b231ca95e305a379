"""Holes: bytes that the capture has not shown although later ones were sent or they were acknowledged.

Whether the network or the capture lost them, the acknowledgement tells: what the receiver has, the network delivered.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Hole, Transfer
from tcpscope.state.facts import ACK_OF_UNSEEN, HOLE
from tcpscope.state.seq import diff
from tcpscope.wire.segment import Segment

MAX_HOLES: Final = 64


def open_hole(conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment, size: i64) -> None:
    """Bytes nxt..seq were sent before this segment and are not in the capture (yet)."""
    _add(t, Hole(me.nxt, seg.seq, seg.frame, seg.time_ns))
    conn.note(HOLE, side, seg.frame, seg.time_ns, t.highest_frame, size, me.nxt)


def _add(t: Transfer, hole: Hole) -> None:
    """Remember one hole; the oldest is forgotten, and counted, when there are too many."""
    holes: list[Hole] | None = t.trouble.holes
    if holes is None:
        holes = []
        t.troubled().holes = holes
    if len(holes) >= MAX_HOLES:
        forgotten: Hole = holes.pop(0)
        t.troubled().hole_bytes_lost += diff(forgotten.right, forgotten.left)
    holes.append(hole)


def first_hole(holes: list[Hole], seq: i64, end: i64) -> Hole | None:
    """The first hole that the bytes seq..end touch."""
    for hole in holes:
        if diff(seq, hole.right) < 0 and diff(end, hole.left) > 0:
            return hole
    return None


def fill(t: Transfer, seq: i64, end: i64) -> i64:
    """Take seq..end out of the holes; returns how many bytes were missing until now."""
    holes: list[Hole] | None = t.trouble.holes
    if holes is None:
        return 0
    kept: list[Hole] = []
    count: i64 = len(holes)
    filled: i64 = 0
    for hole in holes:
        left: i64 = seq if diff(seq, hole.left) > 0 else hole.left
        right: i64 = end if diff(end, hole.right) < 0 else hole.right
        size: i64 = diff(right, left)
        if size <= 0:
            kept.append(hole)
            continue
        filled += size
        if hole.acknowledged:
            t.troubled().unseen_bytes -= size
        stop: i64 = hole.right
        split: bool = diff(left, hole.left) > 0
        if split:
            hole.right = left
            kept.append(hole)
        behind: i64 = diff(stop, right)
        if behind > 0:
            if split and count >= MAX_HOLES:
                t.troubled().hole_bytes_lost += behind
                continue
            if split:
                count += 1
            rest: Hole = Hole(right, stop, hole.frame, hole.time_ns)
            rest.acknowledged = hole.acknowledged
            kept.append(rest)
    t.troubled().holes = kept if len(kept) > 0 else None
    return filled


def unseen(conn: Connection, side: i64, t: Transfer, peer: Endpoint, p: Transfer, seg: Segment, size: i64) -> None:
    """An ACK covers bytes that the capture has not shown: a hole that the receiver does not have."""
    hole: Hole = Hole(peer.nxt, seg.ack, seg.frame, seg.time_ns)
    hole.acknowledged = True
    hole.beyond_window = t.right_edge >= 0 and diff(seg.ack, t.right_edge) > 1
    if t.ts_val >= 0 and seg.ts_val >= 0 and diff(seg.ts_val, t.ts_val) > 0:
        hole.ts_val = seg.ts_val
    _add(p, hole)
    p.troubled().unseen_bytes += size
    conn.note(ACK_OF_UNSEEN, 1 - side, seg.frame, seg.time_ns, p.highest_frame, size, peer.nxt)
    peer.nxt = seg.ack
    p.position += size
    if conn.tls is not None and not conn.tls.off:
        conn.tls.gap(1 - side, p.position)


def acknowledge(conn: Connection, side: i64, p: Transfer, seg: Segment) -> None:
    """Holes below the ACK: the receiver has the bytes, so it is the capture that lost them."""
    holes: list[Hole] | None = p.trouble.holes
    if holes is None:
        return
    for hole in holes:
        if not hole.acknowledged and diff(seg.ack, hole.right) >= 0:
            size: i64 = diff(hole.right, hole.left)
            hole.acknowledged = True
            p.troubled().unseen_bytes += size
            conn.note(ACK_OF_UNSEEN, 1 - side, seg.frame, seg.time_ns, hole.frame, size, hole.left)
            if conn.tls is not None and not conn.tls.off:
                end: i64 = p.position + diff(hole.right, conn.side(1 - side).nxt)
                conn.tls.gap(1 - side, end)
