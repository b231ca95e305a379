"""Segments that no healthy stack sends, or that their receiver must drop: RFC 9293 section 3.10.7.4, RFC 5961.

Called off the in-order path only.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Transfer
from tcpscope.state.facts import (
    ACK_FIELD_UNUSED,
    ACK_TOO_OLD,
    BELOW_WINDOW,
    BEYOND_FIN,
    FIN_BEFORE_DATA,
    FLAGS_CONTRADICT,
    RST_ACK_WRONG,
    RST_DATA,
    RST_TTL,
    SYN_ACK_MISPLACED,
    URGENT,
    WINDOW_SHRUNK,
)
from tcpscope.state.keys import reverse_key
from tcpscope.state.options_check import is_latest, uninvited
from tcpscope.state.seq import diff
from tcpscope.state.transitions import CLOSED, ESTABLISHED, LISTEN
from tcpscope.wire.segment import ACK, FIN, RST, SYN, URG, Segment


def flags(conn: Connection, side: i64, seg: Segment) -> None:
    """Flags that contradict one another, urgent data, and an acknowledgement number that no flag makes valid."""
    bits: i64 = seg.flags
    if bits & SYN != 0 and bits & (FIN | RST) != 0:
        conn.note(FLAGS_CONTRADICT, side, seg.frame, seg.time_ns, 0, bits, 0)
    if bits & URG != 0:
        conn.note(URGENT, side, seg.frame, seg.time_ns, 0, seg.urgent, seg.length)
    if bits & ACK == 0 and seg.ack != 0:
        conn.note(ACK_FIELD_UNUSED, side, seg.frame, seg.time_ns, 0, seg.ack, bits)


def misplaced_syn_ack(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """True if ``me``, which opened with a plain SYN, now sends a SYN-ACK though the other side has sent no plain SYN.

    Only two SYNs that cross are both answered by a SYN-ACK (section 3.5, figure 7).
    """
    if len(me.steps) == 0 or me.steps[0].state != CLOSED or conn.simultaneous_open:
        return False
    if conn.key == reverse_key(conn.key):
        return False  # connected to itself: all segments seem to be one side's (section 3.5, figure 7)
    if peer.syn_frame != 0 and (len(peer.steps) == 0 or peer.steps[0].state != LISTEN):
        return False
    conn.note(SYN_ACK_MISPLACED, side, seg.frame, seg.time_ns, me.syn_frame, 1 if peer.syn_frame != 0 else 0, 0)
    return True


def reset(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """What an RST shows beside its sequence number: payload, acknowledgement number, and the TTL of its origin."""
    if seg.length > 0:
        conn.note(RST_DATA, side, seg.frame, seg.time_ns, 0, seg.length, 0)
    if seg.ts_val >= 0:
        uninvited(conn, side, seg)
    if me.ttl >= 0 and seg.ttl != me.ttl and seg.ttl != me.ttl_before:
        before: i64 = me.syn_last_frame
        if me.transfer is not None:
            before = max(before, me.transfer.last_ack_frame, me.transfer.highest_frame)
        conn.note(RST_TTL, side, seg.frame, seg.time_ns, before, i64(seg.ttl), i64(me.ttl))
    if seg.flags & ACK == 0 or seg.ack == 0 or me.state < ESTABLISHED or peer.state < ESTABLISHED:
        return
    if peer.nxt >= 0 and diff(seg.ack, peer.nxt) > 0:
        conn.note(RST_ACK_WRONG, side, seg.frame, seg.time_ns, 0, seg.ack, peer.nxt)
    elif peer.una >= 0 and me.transfer is not None and me.scale >= 0:
        lowest: i64 = (peer.una - max(i64(me.transfer.max_window), 0)) & 0xFFFFFFFF
        if diff(seg.ack, lowest) < 0:
            conn.note(RST_ACK_WRONG, side, seg.frame, seg.time_ns, 0, seg.ack, lowest)


def fin_before_data(conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment, place: i64) -> bool:
    """The first FIN stands at ``place``, before bytes already sent. True if those are acknowledged: then the peer drops it."""
    behind: i64 = diff(me.nxt, place)
    if behind <= 0 or t.trouble.holes is not None or t.trouble.unseen_bytes > 0 or t.payload_segments == 0:
        return False
    old: bool = me.una >= 0 and diff(place, me.una) < 0
    conn.note(FIN_BEFORE_DATA, side, seg.frame, seg.time_ns, t.highest_frame, behind, 1 if old else 0)
    return old


def beyond_fin(conn: Connection, side: i64, t: Transfer, seg: Segment) -> None:
    """A segment without data whose sequence number lies beyond the own FIN, the last one there is (section 3.6)."""
    beyond: i64 = diff(seg.seq, t.fin_seq) - 1
    if beyond > 0:
        conn.note(BEYOND_FIN, side, seg.frame, seg.time_ns, t.fin_frame, beyond, 0)


def old_ack(conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment, moved: i64) -> None:
    """An acknowledgement below the latest one. By more than the largest window ever it is too old (RFC 5961 section 5)."""
    if me.scale >= 0 and t.max_window >= 0 and -moved > i64(t.max_window):
        conn.note(ACK_TOO_OLD, side, seg.frame, seg.time_ns, 0, -moved, i64(t.max_window))


def below_window(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """A segment without data whose sequence number the receiver has acknowledged: it came late, and is dropped."""
    if me.una >= 0 and seg.flags & FIN == 0:
        below: i64 = diff(me.una, seg.seq)
        if below > 1:  # one is a keep-alive
            conn.note(BELOW_WINDOW, side, seg.frame, seg.time_ns, 0, below, 0)


def window_below_edge(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, t: Transfer, seg: Segment) -> None:
    """The right edge of the window lies further back than it did: shrunk, if this segment is the latest (section 3.8.6)."""
    scale: i64 = i64(me.scale)
    edge: i64 = (seg.ack + (seg.window << scale)) & 0xFFFFFFFF
    back: i64 = diff(t.right_edge, edge)
    if back >> scale == 0 or seg.flags & (SYN | FIN | RST) != 0:
        return  # a window is told in units of the scale
    if peer.una >= 0 and diff(seg.ack, peer.una) < 0:
        return  # an older acknowledgement says nothing about the window (section 3.10.7.4, SND.WL2)
    p: Transfer | None = peer.transfer
    if p is not None and p.fin_frame != 0:
        return  # nothing more is to come
    hit: i64 = max(0, diff(peer.nxt, edge))
    if hit == 0 and t.right_edge == t.syn_edge:
        return  # nobody had used the window of the SYN-ACK, which many stacks choose before they know better
    if t.trouble.shrunk_from == t.right_edge and diff(edge, t.trouble.shrunk_to) >= 0:
        return  # told already
    if is_latest(conn, t, seg):
        t.troubled().shrunk_from = t.right_edge
        t.troubled().shrunk_to = edge
        conn.note(WINDOW_SHRUNK, side, seg.frame, seg.time_ns, 0, back, hit)
