"""SYN segments and the three-way handshake: RFC 9293 section 3.5, seen from outside."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64

from tcpscope.state import oddities, options_check
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import (
    OPTION_CUT,
    OPTION_ECN,
    OPTION_FAST_OPEN,
    OPTION_SACK,
    OPTION_SCALE,
    OPTION_TIMESTAMPS,
    Endpoint,
)
from tcpscope.state.facts import (
    CAUSE_SYN,
    CHALLENGE_ACK,
    HANDSHAKE_ACK_WRONG,
    HANDSHAKE_SEQ_WRONG,
    SYN_ACK_CHANGED,
    SYN_ACK_IGNORES_DATA,
    SYN_ACK_REPEATED,
    SYN_ACK_WRONG_ACK,
    SYN_DATA,
    SYN_DATA_REFUSED,
    SYN_IN_CONNECTION,
    SYN_REPEATED,
    SYN_WHILE_OPENING,
)
from tcpscope.state.recovery import update_rtt
from tcpscope.state.seq import diff
from tcpscope.state.transitions import (
    CLOSED,
    ESTABLISHED,
    LISTEN,
    RECEIVE_ACK_OF_SYN,
    RECEIVE_SYN,
    RECEIVE_SYN_ACK,
    REPEAT_SYN_ACK,
    SEND_SYN,
    SYN_RECEIVED,
    SYN_SENT,
    UNKNOWN,
)
from tcpscope.wire.segment import ACK, CWR, ECE, Segment

DISTRUST: Final = 2  # so many SYN-ACKs after the client's ACK, and an ACK no longer counts as received when it is seen


def syn(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """A segment with SYN: the first of its side, a repetition, or one with another ISN."""
    answer: bool = seg.flags & ACK != 0
    if me.syn_frame == 0:
        if answer:
            _first_syn_ack(conn, side, me, peer, seg)
        else:
            _first_syn(conn, side, me, seg)
        return
    if answer and oddities.misplaced_syn_ack(conn, side, me, peer, seg):
        return
    previous_frame: i64 = me.syn_last_frame
    interval: i64 = seg.time_ns - me.syn_last_time
    if seg.seq != me.isn:
        if answer:
            _changed_syn_ack(conn, side, me, peer, seg)
        return
    if answer and peer.isn >= 0 and not _acknowledges_syn(peer, seg):
        _wrong_ack(conn, side, peer, seg)
        return
    me.first_ip_id = i32(seg.ip_id)
    me.syn_last_frame = seg.frame
    me.syn_last_time = seg.time_ns
    me.syn_ts = seg.ts_val
    if answer and me.state == SYN_SENT:
        # Simultaneous open (figure 7): the own SYN again, now with the ACK of the SYN that crossed it.
        if peer.syn_frame == 0:
            return  # which is not in the capture, or is the own one of a socket that connects to itself
        me.move(RECEIVE_SYN, peer.syn_frame, peer.syn_time)
        conn.simultaneous_open = True
        if peer.state == SYN_RECEIVED:
            # The other side's SYN-ACK came first; it acknowledges this side's SYN.
            me.move(RECEIVE_ACK_OF_SYN, peer.syn_last_frame, peer.syn_last_time)
        return
    conn.because(CAUSE_SYN, previous_frame, interval)
    if not answer and me.state == SYN_RECEIVED and not conn.simultaneous_open:
        conn.note(SYN_WHILE_OPENING, side, seg.frame, seg.time_ns, previous_frame, seg.seq, 0)
        return
    if not answer and me.state > SYN_SENT and me.state != UNKNOWN:
        conn.note(SYN_IN_CONNECTION, side, seg.frame, seg.time_ns, 0, seg.seq, 0)
        return
    me.syn_count += 1
    if not answer:
        conn.note(SYN_REPEATED, side, seg.frame, seg.time_ns, previous_frame, interval, i64(me.syn_count) - 1)
        return
    conn.note(SYN_ACK_REPEATED, side, seg.frame, seg.time_ns, previous_frame, interval, i64(me.syn_count) - 1)
    if conn.ack_frame != 0:
        # The server has not taken the third segment: it was lost, or the accept queue is full (row O9).
        conn.syn_acks_after_ack += 1
        if conn.listener is not None and conn.syn_acks_after_ack == 2:
            conn.listener.ignored += 1
        waiting: i64 = peer.unacknowledged()
        conn.note(
            SYN_ACK_IGNORES_DATA, side, seg.frame, seg.time_ns, conn.ack_frame, waiting, i64(conn.syn_acks_after_ack)
        )
        if me.state == ESTABLISHED and me.nxt == (me.isn + 1) & 0xFFFFFFFF:
            me.retract(REPEAT_SYN_ACK)
            conn.unsettled = True
            if conn.listener is not None and not conn.half_open:
                conn.half_open = True
                conn.listener.completed -= 1
                conn.listener.answered()


def _begin(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """Numbers and options of a side's SYN. A SYN takes one sequence number, its data the next ones (row O3)."""
    me.syn_frame = seg.frame
    me.syn_time = seg.time_ns
    me.syn_last_frame = seg.frame
    me.syn_last_time = seg.time_ns
    me.syn_count = 1
    me.first_ip_id = i32(seg.ip_id)
    me.isn = seg.seq
    me.begin((seg.seq + 1) & 0xFFFFFFFF)
    me.mss = i32(seg.mss)
    me.scale = i16(min(seg.window_scale, 14))  # RFC 7323 section 2.3
    me.syn_ts = seg.ts_val
    options: i64 = OPTION_CUT if seg.header_cut != 0 else 0
    if seg.sack_permitted == 1:
        options |= OPTION_SACK
    if seg.ts_val >= 0:
        options |= OPTION_TIMESTAMPS
    if seg.window_scale >= 0:
        options |= OPTION_SCALE
    if seg.fast_open >= 0:
        options |= OPTION_FAST_OPEN
    if seg.flags & (ECE | CWR) == (ECE if seg.flags & ACK != 0 else ECE | CWR):
        options |= OPTION_ECN
    me.syn_options = i16(options)
    options_check.offered(conn, side, seg)
    if seg.length > 0:
        conn.note(SYN_DATA, side, seg.frame, seg.time_ns, 0, seg.length, seg.fast_open)


def _settle_scales(me: Endpoint, peer: Endpoint) -> None:
    """Window scaling is in use only if both SYNs carried it (RFC 7323 section 2.2)."""
    if (me.syn_options | peer.syn_options) & OPTION_CUT != 0:
        me.scale = -1
        peer.scale = -1
    elif me.syn_options & OPTION_SCALE == 0 or peer.syn_options & OPTION_SCALE == 0:
        me.scale = 0
        peer.scale = 0


def _first_syn(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """Second step of figure 6: CLOSED to SYN-SENT."""
    _begin(conn, side, me, seg)
    me.start(CLOSED)
    me.move(SEND_SYN, seg.frame, seg.time_ns)
    if conn.listener is not None and side == 0:
        conn.listener.syn(seg.frame, seg.time_ns)
        conn.pending = True


def _first_syn_ack(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Third step of figure 6: the SYN arrived, LISTEN to SYN-RECEIVED. The ACK must cover exactly the SYN (and its data)."""
    _begin(conn, side, me, seg)
    me.start(LISTEN)
    if peer.syn_frame == 0:
        # The SYN was not captured: what it was follows from the answer.
        me.move(RECEIVE_SYN, 0, seg.time_ns)
        peer.start(CLOSED)
        peer.move(SEND_SYN, 0, seg.time_ns)
        if peer.base < 0:
            peer.base = seg.ack
            peer.nxt = seg.ack
        peer.una = seg.ack
        return
    _settle_scales(me, peer)
    if conn.listener is not None and not conn.half_open:
        conn.listener.answered()
        conn.half_open = True
    if not _acknowledges_syn(peer, seg):
        _wrong_ack(conn, side, peer, seg)
        me.move(RECEIVE_SYN, 0, seg.time_ns)  # of another SYN than the one captured
        return
    me.move(RECEIVE_SYN, peer.syn_last_frame, peer.syn_last_time)
    _accept_syn_ack(conn, side, peer, seg)


def _wrong_ack(conn: Connection, side: i64, peer: Endpoint, seg: Segment) -> None:
    """A SYN-ACK that acknowledges another number than the SYN's."""
    expected: i64 = (peer.isn + 1) & 0xFFFFFFFF
    conn.note(SYN_ACK_WRONG_ACK, side, seg.frame, seg.time_ns, peer.syn_last_frame, seg.ack, expected)


def _acknowledges_syn(peer: Endpoint, seg: Segment) -> bool:
    """ISN + 1, or with Fast Open up to the end of the SYN's data (RFC 7413 section 4.2.1)."""
    return diff(seg.ack, peer.isn) > 0 and diff(seg.ack, peer.nxt) <= 0


def _accept_syn_ack(conn: Connection, side: i64, peer: Endpoint, seg: Segment) -> None:
    """An acceptable SYN-ACK: round trip on the server's side of the capture point; was data on the SYN taken?"""
    peer.una = seg.ack
    options_check.answered(conn, side, peer, seg)
    if peer.syn_acked_frame == 0:
        peer.syn_acked_frame = seg.frame
    unsent: i64 = diff(peer.nxt, seg.ack)
    if unsent > 0 and diff(seg.ack, peer.isn) == 1:
        conn.note(SYN_DATA_REFUSED, side, seg.frame, seg.time_ns, peer.syn_last_frame, unsent, 0)
    if peer.syn_count == 1:
        update_rtt(peer.opened(), seg.time_ns - peer.syn_time)


def _changed_syn_ack(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """A SYN-ACK with another ISN: the answer to the real SYN after a stale one (figure 8), or a server that forgot."""
    old: i64 = me.isn
    old_frame: i64 = me.syn_frame
    stale: bool = peer.syn_frame != 0 and peer.una < 0
    conn.note(SYN_ACK_CHANGED, side, seg.frame, seg.time_ns, old_frame, seg.seq, old)
    if conn.ack_frame != 0:
        return
    if not stale:
        me.other_isn = seg.seq  # the client's ACK will say which of the two it took
        return
    _begin(conn, side, me, seg)
    _settle_scales(me, peer)
    if _acknowledges_syn(peer, seg):
        me.move(RECEIVE_SYN, peer.syn_last_frame, peer.syn_last_time)
        _accept_syn_ack(conn, side, peer, seg)


def acknowledged_syn(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """``me`` sends an ACK without SYN or RST while the opening is not complete. False: the ACK is not acceptable.

    Fourth step of figure 6. ``me`` proves that it received the peer's SYN; the peer receives the ACK of its own.
    """
    if peer.syn_frame == 0:
        if me.state == SYN_SENT:
            # No SYN-ACK in the capture, but me goes on: it must have received one.
            me.move(RECEIVE_SYN_ACK, 0, seg.time_ns)
            peer.start(LISTEN)
            peer.move(RECEIVE_SYN, me.syn_last_frame, me.syn_last_time)
            peer.move(RECEIVE_ACK_OF_SYN, seg.frame, seg.time_ns)
            peer.begin(seg.ack)
            me.una = me.nxt
            opened(conn, seg)
        return True
    if me.state == SYN_RECEIVED and conn.ack_frame != 0 and peer.transfer is not None:
        # Only a side that has taken the third segment sends anything but its SYN-ACK.
        me.move(RECEIVE_ACK_OF_SYN, peer.transfer.last_ack_frame, peer.transfer.last_ack_time)
    if peer.syn_acked_frame != 0 and peer.state != SYN_RECEIVED:
        if conn.client.state >= ESTABLISHED and conn.server.state >= ESTABLISHED:
            opened(conn, seg)
        return True
    if peer.other_isn >= 0 and conn.ack_frame == 0 and seg.ack == (peer.other_isn + 1) & 0xFFFFFFFF:
        peer.isn = peer.other_isn
        peer.begin(seg.ack)
    low: i64 = (peer.isn + 1) & 0xFFFFFFFF
    if diff(seg.ack, low) < 0 or diff(seg.ack, peer.nxt) > 0:
        if me.syn_frame == 0:
            # A SYN answered without SYN: the other side still has an older connection on these ports (figure 9).
            conn.note(CHALLENGE_ACK, side, seg.frame, seg.time_ns, peer.syn_last_frame, seg.ack, low)
            return False
        conn.note(HANDSHAKE_ACK_WRONG, side, seg.frame, seg.time_ns, peer.syn_last_frame, seg.ack, low)
        return False
    if me.nxt >= 0 and me.isn >= 0:
        # Before its SYN-ACK is acknowledged the peer can have opened no more than the SYN-ACK's unscaled window.
        offset: i64 = diff(seg.seq, (me.isn + 1) & 0xFFFFFFFF)
        sent: i64 = diff(me.nxt, (me.isn + 1) & 0xFFFFFFFF)
        if offset < 0 or offset > max(sent, 65535):
            conn.note(HANDSHAKE_SEQ_WRONG, side, seg.frame, seg.time_ns, peer.syn_last_frame, seg.seq, me.nxt)
            return False
    if peer.syn_acked_frame == 0:
        peer.syn_acked_frame = seg.frame
        if peer.syn_count == 1:
            update_rtt(peer.opened(), seg.time_ns - peer.syn_time)
    if me.state == SYN_SENT:
        me.move(RECEIVE_SYN_ACK, peer.syn_last_frame, peer.syn_last_time)
    if peer.state == SYN_RECEIVED and conn.syn_acks_after_ack < DISTRUST:
        peer.move(RECEIVE_ACK_OF_SYN, seg.frame, seg.time_ns)
    if conn.ack_frame == 0:
        conn.ack_frame = seg.frame
        conn.ack_time = seg.time_ns
    if conn.client.state >= ESTABLISHED and conn.server.state >= ESTABLISHED:
        opened(conn, seg)
    return True


def acknowledged_by_syn(conn: Connection, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """In a simultaneous open the peer's SYN-ACK is the ACK of the own SYN (figure 7, line 6)."""
    if peer.state == SYN_RECEIVED and peer.isn >= 0 and diff(seg.ack, (peer.isn + 1) & 0xFFFFFFFF) >= 0:
        if conn.simultaneous_open and me.state >= SYN_RECEIVED:
            peer.move(RECEIVE_ACK_OF_SYN, seg.frame, seg.time_ns)
            peer.syn_acked_frame = seg.frame


def opened(conn: Connection, seg: Segment) -> None:
    """The handshake is complete: the listener's queue has one entry less."""
    if conn.ack_frame == 0:
        conn.ack_frame = seg.frame
        conn.ack_time = seg.time_ns
    if conn.listener is not None and (conn.pending or conn.half_open):
        conn.listener.completed += 1
    left_queue(conn)


def left_queue(conn: Connection) -> None:
    """Take the connection out of its listener's counts."""
    if conn.listener is None:
        return
    if conn.half_open:
        conn.half_open = False
        conn.listener.half_open_now -= 1
    if conn.pending:
        conn.pending = False
        conn.listener.pending_now -= 1
