"""FIN and RST: RFC 9293 sections 3.6, 3.5.2, 3.5.3 and 3.10.7.4, and TIME-WAIT, seen from outside."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64

from tcpscope.state import oddities, opening
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Transfer, Trouble
from tcpscope.state.facts import (
    CAUSE_FIN,
    DATA_AFTER_FIN,
    FIN_MOVED,
    FIN_REPEATED,
    HALF_CLOSE_RESET,
    OLD_DUPLICATE_SYN,
    RST_OUT_OF_WINDOW,
    RST_SENT,
    SEGMENT_AFTER_RST,
    SYN_ACK_REJECTED,
    TIME_WAIT_ACK_REPEATED,
    TIME_WAIT_FIN_RESET,
    TIME_WAIT_FIN_UNANSWERED,
    TIME_WAIT_KILLED,
)
from tcpscope.state.seq import diff
from tcpscope.state.transitions import (
    CLOSED,
    FIN_WAIT_2,
    RECEIVE_ACK_OF_FIN,
    RECEIVE_FIN,
    RECEIVE_RST,
    RECEIVE_RST_PASSIVE,
    REPEAT_FIN,
    SEND_FIN,
    SEND_RST,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    UNKNOWN,
)
from tcpscope.wire.segment import ACK, Segment

ACCEPTABLE_WITHOUT_WINDOW: Final = 65_535  # how far an RST may lie ahead while the receiver's window is not known


def fin(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """A segment with FIN: the first one (C1, C4), a repetition (T2), or one at another place."""
    t: Transfer = me.opened()
    place: i64 = (seg.seq + seg.length) & 0xFFFFFFFF
    if t.fin_frame == 0:
        if oddities.fin_before_data(conn, side, me, t, seg, place):
            me.move(SEND_FIN, seg.frame, seg.time_ns)  # sent, but not received
            return
        t.fin_seq = place
        t.fin_frame = seg.frame
        t.fin_time = seg.time_ns
        t.fin_count = 1
        t.fin_ip_id = i32(seg.ip_id)
        other: Transfer | None = peer.transfer
        t.fin_with_ack_of_fin = other is not None and other.fin_ack_frame == seg.frame
        if conn.tls is not None:
            conn.tls.closed(side, False)
        if peer.segments > 0:
            # With the other direction missing its FIN may have come before: FIN-WAIT-1 or LAST-ACK, the capture cannot tell.
            me.move(SEND_FIN, seg.frame, seg.time_ns)
        if me.nxt < 0 or diff(place, me.nxt) >= 0:
            me.nxt = (place + 1) & 0xFFFFFFFF
            t.position += 1
        return
    if place != t.fin_seq:
        conn.note(FIN_MOVED, side, seg.frame, seg.time_ns, t.fin_frame, place, t.fin_seq)
        return
    interval: i64 = seg.time_ns - t.fin_last_time
    t.fin_ip_id = i32(seg.ip_id)
    p: Transfer | None = peer.transfer
    if p is not None and p.fin_ack_frame == seg.frame and (t.srtt < 0 or interval < t.srtt):
        return  # sent again only to acknowledge the other side's FIN
    previous: i64 = t.fin_last_frame
    trouble: Trouble = t.troubled()
    trouble.fin_again_frame = seg.frame
    trouble.fin_again_time = seg.time_ns
    t.fin_count += 1
    if seg.length == 0 or conn.last_cause < 0:
        conn.because(CAUSE_FIN, previous, interval)
    conn.note(FIN_REPEATED, side, seg.frame, seg.time_ns, previous, interval, i64(t.fin_count) - 1)
    if t.fin_ack_frame != 0 and me.retract(REPEAT_FIN):
        conn.closed_time = 0
    if peer.state == TIME_WAIT:
        if conn.repeated_fin_side == side:
            _unanswered(conn, 1 - side, peer, previous, seg.time_ns)
        conn.repeated_fin_side = i16(side)


def _unanswered(conn: Connection, side: i64, me: Endpoint, frame: i64, time_ns: i64) -> None:
    """Nothing came from TIME-WAIT in answer to a repeated FIN (row T3)."""
    t: Transfer = me.opened()
    conn.note(TIME_WAIT_FIN_UNANSWERED, side, frame, time_ns, t.last_ack_frame, time_ns - t.time_wait_since, 0)


def acknowledged_fin(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """``me`` sends an ACK that covers the peer's FIN: me has received the FIN, and the peer receives the ACK of it."""
    p: Transfer = peer.opened()
    t: Transfer = me.opened()
    after: i64 = (p.fin_seq + 1) & 0xFFFFFFFF
    if diff(seg.ack, after) < 0 or diff(seg.ack, peer.nxt) > 0:
        return
    if p.fin_ack_frame == 0:
        p.fin_ack_frame = seg.frame
        p.fin_ack_time = seg.time_ns
        _receive_fin(me, t, p)
    elif conn.repeated_fin_side == 1 - side and me.state == TIME_WAIT:
        # Row T2: the last ACK was lost; it is sent again and the 2 MSL clock starts anew (section 3.10.7.4).
        conn.repeated_fin_side = -1
        me.move(RECEIVE_FIN, p.fin_last_frame, p.fin_last_time)
        t.time_wait_since = seg.time_ns
        conn.note(TIME_WAIT_ACK_REPEATED, side, seg.frame, seg.time_ns, p.fin_last_frame, 0, 0)
    peer.move(RECEIVE_ACK_OF_FIN, seg.frame, seg.time_ns)
    _enter_time_wait(conn, me, t, seg)
    _enter_time_wait(conn, peer, p, seg)
    if t.fin_ack_frame != 0 and p.fin_ack_frame != 0 and conn.closed_time == 0:
        conn.closed_time = seg.time_ns


def _receive_fin(me: Endpoint, t: Transfer, p: Transfer) -> None:
    """RECEIVE_FIN, in the order in which things arrived.

    The ACK of the own FIN may have been seen after the peer's FIN, but the proof that the peer's FIN arrived comes last.
    Then FIN-WAIT-2 was never entered: it was FIN-WAIT-1, CLOSING, TIME-WAIT (figure 13, simultaneous close).
    """
    frame: i64 = p.fin_last_frame
    if me.state == FIN_WAIT_2 and t.fin_ack_frame > frame:
        acked_frame: i64 = me.step_frame
        acked_time: i64 = me.step_time
        if me.retract(REPEAT_FIN):
            me.move(RECEIVE_FIN, frame, p.fin_last_time)
            me.move(RECEIVE_ACK_OF_FIN, acked_frame, acked_time)
            return
    me.move(RECEIVE_FIN, frame, p.fin_last_time)


def _enter_time_wait(conn: Connection, endpoint: Endpoint, transfer: Transfer, seg: Segment) -> None:
    """Start the 2 MSL clock when a side has come to TIME-WAIT."""
    if endpoint.state == TIME_WAIT and transfer.time_wait_frame == 0:
        transfer.time_wait_frame = seg.frame
        transfer.time_wait_since = seg.time_ns


def after_fin(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """Row C1: bytes beyond the own FIN. The FIN is the last sequence number a side may use (section 3.6)."""
    t: Transfer = me.opened()
    beyond: i64 = diff((seg.seq + seg.length) & 0xFFFFFFFF, t.fin_seq)
    if seg.length > 0 and beyond > 0 and t.fin_seq >= 0:
        conn.note(DATA_AFTER_FIN, side, seg.frame, seg.time_ns, t.fin_frame, min(beyond, seg.length), 0)
    elif seg.length == 0 and beyond > 1:
        oddities.beyond_fin(conn, side, t, seg)


def reset(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """A segment with RST (section 3.5.2 says when one is sent, 3.5.3 which one is believed)."""
    if _rejects_syn_ack(conn, side, me, peer, seg):
        return
    oddities.reset(conn, side, me, peer, seg)
    t: Transfer = me.opened()
    trouble: Trouble = t.troubled()
    trouble.rst_count += 1
    if conn.repeated_fin_side == 1 - side and t.time_wait_frame != 0:
        conn.repeated_fin_side = -1
        p: Transfer = peer.opened()
        waited: i64 = seg.time_ns - t.time_wait_since
        conn.note(TIME_WAIT_FIN_RESET, side, seg.frame, seg.time_ns, p.fin_last_frame, waited, 0)
    if not _believed(me, peer, seg):
        expected: i64 = peer.opened().last_ack if me.nxt < 0 else me.nxt
        conn.note(RST_OUT_OF_WINDOW, side, seg.frame, seg.time_ns, 0, seg.seq, expected)
        return
    r: Transfer | None = peer.transfer
    if r is not None and r.fin_frame != 0 and r.fin_ack_frame == 0 and seg.flags & ACK != 0:
        if seg.ack == (r.fin_seq + 1) & 0xFFFFFFFF:  # its sender had received the FIN
            _receive_fin(me, t, r)
    if trouble.rst_frame == 0:
        trouble.rst_frame = seg.frame
        trouble.rst_time = seg.time_ns
        if me.state == UNKNOWN and peer.state == SYN_SENT:
            me.start(CLOSED)  # it answers a SYN with RST: nobody listens (section 3.10.7.1)
            if conn.listener is not None:
                conn.listener.refused += 1
        trouble.rst_state = i64(me.state)
        trouble.rst_unacknowledged = me.unacknowledged()
        conn.note(RST_SENT, side, seg.frame, seg.time_ns, 0, trouble.rst_state, trouble.rst_unacknowledged)
        _half_close_reset(conn, side, t, peer, seg)
    if peer.state == TIME_WAIT:
        q: Transfer = peer.opened()
        conn.note(TIME_WAIT_KILLED, 1 - side, seg.frame, seg.time_ns, 0, seg.time_ns - q.time_wait_since, 0)
    me.move(SEND_RST, seg.frame, seg.time_ns)
    if peer.state == SYN_RECEIVED and not conn.simultaneous_open:
        peer.move(RECEIVE_RST_PASSIVE, seg.frame, seg.time_ns)
    else:
        peer.move(RECEIVE_RST, seg.frame, seg.time_ns)
    conn.aborted = True
    conn.unsettled = True
    if conn.tls is not None:
        conn.tls.closed(side, True)
    if conn.closed_time == 0:
        conn.closed_time = seg.time_ns
    opening.left_queue(conn)


def _half_close_reset(conn: Connection, side: i64, t: Transfer, peer: Endpoint, seg: Segment) -> None:
    """Row C3: data that came after the own FIN is rejected (a half-duplex close, section 3.6.1)."""
    p: Transfer = peer.opened()
    if t.fin_frame != 0 and p.last_data_frame > t.fin_frame:
        conn.note(
            HALF_CLOSE_RESET,
            side,
            seg.frame,
            seg.time_ns,
            p.last_data_frame,
            p.trouble.after_peer_fin_bytes,
            p.fin_frame,
        )


def _rejects_syn_ack(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """True if the RST only rejects what was received, and its sender stays in SYN-SENT (section 3.10.7.3, figures 8 and 9)."""
    if me.state != SYN_SENT or seg.flags & ACK != 0:
        return False
    if me.una < 0 and seg.seq != me.nxt:
        # It carries the number that the rejected segment acknowledged, which is not this SYN's.
        if peer.syn_frame != 0:
            wrong_ack: i64 = seg.seq
            conn.note(SYN_ACK_REJECTED, side, seg.frame, seg.time_ns, peer.syn_last_frame, wrong_ack, 0)
            conn.note(OLD_DUPLICATE_SYN, side, seg.frame, seg.time_ns, peer.syn_last_frame, 0, 0)
            peer.move(RECEIVE_RST_PASSIVE, seg.frame, seg.time_ns)
        return True
    if conn.reused_by >= 0 and seg.seq == me.nxt and peer.syn_frame != 0:
        # This "connection" is the stale SYN itself; the real one has another number.
        conn.note(OLD_DUPLICATE_SYN, side, seg.frame, seg.time_ns, peer.syn_last_frame, me.syn_frame, 0)
    return False


def _believed(me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """Would the receiver act on this RST? In SYN-SENT the ACK must cover the SYN; later the number must be in the window."""
    if peer.state == SYN_SENT and me.syn_frame == 0:
        if seg.flags & ACK == 0:
            return False
        return diff(seg.ack, peer.isn) > 0 and diff(seg.ack, peer.nxt) <= 0
    if me.nxt < 0:
        return True
    offset: i64 = diff(seg.seq, me.nxt)
    if offset == 0:
        return True
    if offset < 0:
        # Below the highest byte sent: in the window if it is not below what the receiver has acknowledged.
        return me.una < 0 or diff(seg.seq, me.una) >= 0
    t: Transfer | None = peer.transfer
    if t is not None and t.right_edge >= 0:
        return diff(seg.seq, t.right_edge) <= 0
    return offset <= ACCEPTABLE_WITHOUT_WINDOW


def after_reset(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """Data or FIN from a side that has reset the connection: after an RST nothing is left to send (section 3.5.3)."""
    t: Transfer = me.opened()
    conn.note(SEGMENT_AFTER_RST, side, seg.frame, seg.time_ns, t.trouble.rst_frame, seg.length, 0)


def half_closed_data(me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Row C3: count what a side goes on to send after it has received the other side's FIN."""
    p: Transfer | None = peer.transfer
    if p is None or p.fin_frame == 0 or seg.length == 0:
        return
    t: Transfer = me.opened()
    if me.nxt < 0 or diff((seg.seq + seg.length) & 0xFFFFFFFF, me.nxt) > 0:
        trouble: Trouble = t.troubled()
        if trouble.after_peer_fin_frame == 0:
            trouble.after_peer_fin_frame = seg.frame
        trouble.after_peer_fin_bytes += seg.length
