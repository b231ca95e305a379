"""One segment, one connection: the order in which a segment is looked at (RFC 9293 section 3.10.7.4).

A data segment in the middle of an open connection goes straight to transfer; only SYN, FIN, RST and what comes while one of
them is unanswered passes through the opening and closing parts.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64, u8

from tcpscope.state import closing, oddities, opening, options_check, timing, transfer, window
from tcpscope.state.connection import (
    COMPLETE_ACK,
    COMPLETE_DATA,
    COMPLETE_FIN,
    COMPLETE_RST,
    COMPLETE_SYN,
    COMPLETE_SYN_ACK,
    Connection,
)
from tcpscope.state.durations import Timing
from tcpscope.state.endpoint import Endpoint, Transfer
from tcpscope.state.facts import CHALLENGE_ACK, CLIENT, NO_ACK_FLAG
from tcpscope.state.seq import diff
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.state.transitions import ESTABLISHED, SYNCHRONISED, UNKNOWN
from tcpscope.wire.segment import ACK, FIN, RST, SYN, URG, Segment

HALF: Final = 0x80000000  # of the sequence space
SPECIAL: Final = FIN | SYN | RST | ACK | URG  # without any of them but ACK a segment is an ordinary one


def segment(conn: Connection, side: i64, seg: Segment) -> None:
    """Apply one segment that ``side`` sent to the connection."""
    me: Endpoint
    peer: Endpoint
    if side == CLIENT:
        me = conn.client
        peer = conn.server
    else:
        me = conn.server
        peer = conn.client
    flags: i64 = seg.flags
    _completeness(conn, seg)
    conn.last_frame = seg.frame
    conn.repeat = None
    if me.segments == 0:
        me.first_ip_id = i32(seg.ip_id)
        me.first_interface = seg.interface
        me.first_encapsulation = i32(seg.encapsulation)
    me.segments += 1
    if seg.bad_options != 0:
        options_check.faults(conn, side, seg)
    if conn.unsettled or flags & SPECIAL != ACK:
        if not _control(conn, side, me, peer, seg):
            if flags & RST == 0 and seg.ttl != me.ttl:
                me.ttl_before = me.ttl
                me.ttl = seg.ttl
            timing.segment(conn, side, me, peer, seg)
            _passed(conn, me, seg)
            return
    if seg.length == 0 and flags & ACK == 0:
        _neither(conn, side, me, peer, seg)
        return
    t: Transfer | None = me.transfer
    if t is None:
        t = me.opened()
    p: Transfer | None = peer.transfer
    if p is None:
        p = peer.opened()
    if seg.length > 0:
        if conn.tls is None or not conn.tls.off:
            _tls(conn, side, me, peer, seg)
        transfer.payload(conn, side, me, peer, t, p, seg)
    else:
        transfer.bare(conn, side, me, seg)
    if flags & FIN != 0:
        closing.fin(conn, side, me, peer, seg)
    if flags & ACK != 0:
        transfer.acknowledge(conn, side, me, peer, t, p, seg)
        window.advertised(conn, side, me, t, peer, seg)
    timing.segment(conn, side, me, peer, seg)
    if seg.length > 0:
        _thought(conn, seg)
    _stamped(conn, side, me, t, peer, seg)


def _neither(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """A segment without payload and without ACK."""
    transfer.bare(conn, side, me, seg)
    if seg.flags & FIN != 0:
        closing.fin(conn, side, me, peer, seg)
    timing.segment(conn, side, me, peer, seg)
    _stamped(conn, side, me, me.opened(), peer, seg)


def _stamped(conn: Connection, side: i64, me: Endpoint, t: Transfer, peer: Endpoint, seg: Segment) -> None:
    """Timestamps, TTL and clock of a segment that was taken in."""
    if seg.ts_val >= 0:
        timing.timestamps(conn, t, peer, seg)
    if seg.ts_val != t.ts_val:
        if 0 <= t.ts_val < seg.ts_val and seg.ts_val - t.ts_val < HALF:
            t.ts_val = seg.ts_val
        else:
            options_check.stamped(conn, side, me, t, seg)
    if seg.ttl != me.ttl:
        me.ttl_before = me.ttl
        me.ttl = seg.ttl
    _passed(conn, me, seg)


def _passed(conn: Connection, me: Endpoint, seg: Segment) -> None:
    """The clock of the connection, which does not go back where that of the capture does."""
    if me.segments > 1 and seg.time_ns - me.last_time > me.silence:
        me.silence = seg.time_ns - me.last_time
    me.last_time = seg.time_ns
    if seg.time_ns > conn.last_time:
        conn.last_time = seg.time_ns


def copy(conn: Connection, seg: Segment) -> None:
    """A segment that was captured before (see copies): nothing has happened, but Wireshark counts it."""
    _completeness(conn, seg)
    conn.last_frame = seg.frame
    if seg.time_ns > conn.last_time:
        conn.last_time = seg.time_ns


def _completeness(conn: Connection, seg: Segment) -> None:
    """Wireshark's tcp.completeness; the first frame counts only if it is a SYN (reference section 7)."""
    flags: i64 = seg.flags
    bits: i64 = 0
    if conn.client.segments + conn.server.segments == 0:
        if flags & (SYN | ACK) == SYN:
            bits = COMPLETE_SYN
            if seg.length > 0:
                bits |= COMPLETE_DATA
        conn.completeness |= u8(bits)
        return
    if flags & SYN != 0:
        if flags & ACK != 0:
            bits = COMPLETE_SYN_ACK
    elif flags & ACK != 0:
        bits = COMPLETE_DATA if seg.length > 0 else COMPLETE_ACK
    if flags & (FIN | ACK) == FIN | ACK:
        bits |= COMPLETE_FIN
    if flags & RST != 0:
        bits |= COMPLETE_RST
    conn.completeness |= u8(bits)


def _control(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """SYN, FIN, RST and whatever comes while one of them is open. False: the segment says nothing about data."""
    flags: i64 = seg.flags
    if flags & SPECIAL != ACK:
        oddities.flags(conn, side, seg)
    if flags & RST != 0:
        closing.reset(conn, side, me, peer, seg)
        return False
    t: Transfer | None = me.transfer
    if flags & SYN != 0:
        opening.syn(conn, side, me, peer, seg)
        if flags & ACK != 0:
            opening.acknowledged_by_syn(conn, me, peer, seg)
            if conn.unsettled and conn.simultaneous_open and conn.client.state >= ESTABLISHED:
                if conn.server.state >= ESTABLISHED:
                    opening.opened(conn, seg)
            # The window of a SYN-ACK counts, its ACK was judged by the opening.
            window.advertised(conn, side, me, me.opened(), peer, seg)
        _syn_data(conn, side, me, peer, seg)
        return False
    if flags & ACK == 0:
        # Row A1: every segment but the first SYN and some RSTs carries ACK (section 3.10.7.4, fifth check).
        conn.note(NO_ACK_FLAG, side, seg.frame, seg.time_ns, 0, flags, seg.length)
    elif not _proofs(conn, side, me, peer, seg):
        return False
    if t is not None and t.trouble.rst_frame != 0 and (seg.length > 0 or flags & FIN != 0):
        closing.after_reset(conn, side, me, seg)
    if t is not None and t.fin_frame != 0:
        closing.after_fin(conn, side, me, seg)
    closing.half_closed_data(me, peer, seg)
    conn.unsettled = _is_unsettled(conn, me, peer, seg)
    return True


def _proofs(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """What the ACK of a segment proves about the peer's SYN and FIN. False: the ACK belongs to no handshake of this one."""
    if me.state == UNKNOWN and peer.state == UNKNOWN and conn.client.syn_frame == 0 and conn.server.syn_frame == 0:
        conn.mid_stream = True
    elif conn.client.state < ESTABLISHED or conn.server.state < ESTABLISHED:
        if not opening.acknowledged_syn(conn, side, me, peer, seg):
            return False
    if conn.mid_stream and me.state == UNKNOWN and seg.length > 0:
        _synchronised(conn, me, peer, seg)
    p: Transfer | None = peer.transfer
    if p is not None and p.fin_frame != 0:
        closing.acknowledged_fin(conn, side, me, peer, seg)
    return True


def _synchronised(conn: Connection, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Mid-stream: once both sides have sent data neither can have sent a FIN before, so both were ESTABLISHED."""
    p: Transfer | None = peer.transfer
    if p is None or p.first_data_frame == 0:
        return
    me.move(SYNCHRONISED, seg.frame, seg.time_ns)
    peer.move(SYNCHRONISED, p.first_data_frame, p.first_data_time)


def _is_unsettled(conn: Connection, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
    """False once both sides are ESTABLISHED and nobody closes: then only SYN, FIN and RST come back to control."""
    if seg.flags & FIN != 0 or conn.aborted:
        return True
    if conn.mid_stream and me.state == UNKNOWN:
        return True
    if me.state != ESTABLISHED or peer.state != ESTABLISHED:
        return True
    return False


def _syn_data(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Payload on a SYN (row O3, RFC 7413) is data like any other, one sequence number later."""
    if seg.length == 0 or me.syn_last_frame != me.syn_frame or me.syn_frame != seg.frame:
        return
    t: Transfer = me.opened()
    t.payload_segments += 1
    t.payload_bytes += seg.length
    t.unique_bytes += seg.length
    t.first_data_frame = seg.frame
    t.first_data_time = seg.time_ns
    t.last_data_frame = seg.frame
    t.last_data_time = seg.time_ns
    me.nxt = (me.base + seg.length) & 0xFFFFFFFF
    t.position = seg.length
    if conn.tls is None:
        conn.tls = TlsConnection()
        conn.tls.secrets = conn.secrets
    conn.tls.segment(side, seg, 0, -1)


def _tls(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Hand the payload to TLS with its place in the stream, in 64 bits, and what it acknowledges of the other stream."""
    tls: TlsConnection | None = conn.tls
    t: Transfer = me.opened()
    if tls is None:
        tls = TlsConnection()
        conn.tls = tls
        tls.secrets = conn.secrets
        if conn.client.syn_frame == 0 and conn.server.syn_frame == 0:
            tls.missing_start0 = True
            tls.missing_start1 = True
    position: i64 = t.position
    if me.nxt >= 0:
        position += diff(seg.seq, me.nxt)
    acked: i64 = -1
    if seg.flags & ACK != 0 and peer.nxt >= 0:
        p: Transfer | None = peer.transfer
        acked = diff(seg.ack, peer.nxt)
        if p is not None:
            acked += p.position
    tls.segment(side, seg, position, acked)


def _thought(conn: Connection, seg: Segment) -> None:
    """Tell TLS how long the programs had thought by the time of the messages that a segment completed."""
    tls: TlsConnection | None = conn.tls
    if tls is None:
        return
    log: TlsLog | None = tls.log
    known: Timing | None = conn.timing
    if log is not None and log.untimed and known is not None:
        tls.thought(log, seg.time_ns, known.client.thinking, known.server.thinking)


def challenge(conn: Connection, side: i64, seg: Segment, answered: i64) -> None:
    """An ACK that answers an unacceptable SYN or RST (RFC 5961): a fact of the connection that it protects."""
    conn.note(CHALLENGE_ACK, side, seg.frame, seg.time_ns, answered, 0, 0)
