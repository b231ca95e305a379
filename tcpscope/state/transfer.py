"""Data, acknowledgements and windows of one segment: RFC 9293 sections 3.4, 3.8 and 3.10.7.4, seen from outside.

Runs for every segment: the in-order path comes first and touches as little as possible. Memory a direction is bounded by
MAX_OUTSTANDING unacknowledged segments and MAX_HOLES holes (tcpscope.state.holes).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64

from tcpscope.state import again, holes, oddities, options_check, overlap, recovery, spurious, window
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import NO_TROUBLE, Endpoint, Sent, Transfer, Trouble
from tcpscope.state.facts import (
    ACK_OF_UNSENT,
    CAUSE_KEEP_ALIVE,
    CAUSE_ZERO_WINDOW_PROBE,
    DUPLICATE_SACK,
    KEEP_ALIVE,
    SACK_OF_UNSENT,
    WINDOW_STALL,
    ZERO_WINDOW_PROBE,
)
from tcpscope.state.seq import diff
from tcpscope.wire.segment import FIN, RST, SYN, Segment

MAX_OUTSTANDING: Final = 10_000
MAX_SPARES: Final = 8  # Sent objects to use again, for a direction with more than a FEW segments
FEW: Final = 8
PLAUSIBLE_JUMP: Final = 0x40000000  # the largest window RFC 7323 allows: nothing honest lies further ahead


def payload(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, t: Transfer, r: Transfer, seg: Segment) -> None:
    """Account for the payload of one segment: new, behind a hole, late, or sent again. ``t``: of ``me``, ``r``: of ``peer``."""
    length: i64 = seg.length
    if length + seg.header_length > i64(t.fits):
        options_check.above_mss(conn, side, peer, t, seg)
    seq: i64 = seg.seq
    end: i64 = (seq + length) & 0xFFFFFFFF
    if me.nxt < 0:
        me.nxt = seq
        if me.base < 0:
            me.base = seq
    ahead: i64 = diff(seq, me.nxt)
    if t.trouble.zero_frame == 0 and r.trouble.zero_frame != 0 and length == 1 and ahead <= 0:
        _probe(conn, side, me, t, seg, length)
        if ahead < 0:
            return
        t.troubled().probe_end = end
    elif length == 1 and ahead == -1 and me.una == me.nxt:
        _probe(conn, side, me, t, seg, length)
        return
    t.payload_segments += 1
    t.payload_bytes += length
    if t.first_data_frame == 0:
        t.first_data_frame = seg.frame
        t.first_data_time = seg.time_ns
    if ahead == 0:
        t.unique_bytes += length
        _advance(conn, side, me, t, r, seg, end, length)
    elif ahead > 0:
        if ahead < PLAUSIBLE_JUMP:
            holes.open_hole(conn, side, me, t, seg, ahead)
            t.unique_bytes += length
            _advance(conn, side, me, t, r, seg, end, ahead + length)
    else:
        fresh: i64 = again.again(conn, side, me, t, r, seg, end)
        if fresh > 0:
            _advance(conn, side, me, t, r, seg, end, fresh)
    t.last_data_frame = seg.frame
    t.last_data_time = seg.time_ns


def _advance(
    conn: Connection, side: i64, me: Endpoint, t: Transfer, r: Transfer, seg: Segment, end: i64, advance: i64
) -> None:
    """New data: remember it until it is acknowledged, and hold it against the receiver's window (section 3.8.6)."""
    me.nxt = end
    t.position += advance
    t.highest_frame = seg.frame
    t.highest_time = seg.time_ns
    t.earlier_ip_id = t.highest_ip_id
    t.highest_ip_id = i32(seg.ip_id)
    if me.una < 0 or diff(end, me.una) > 0:
        if t.outstanding < MAX_OUTSTANDING:
            _remember(t, seg, seg.seq, end)
        else:
            t.troubled().overlooked += 1
    flight: i64 = diff(end, me.una if me.una >= 0 else me.base)
    if flight > i64(t.max_in_flight):
        t.max_in_flight = i32(flight)
    if t.trouble.full_frame != 0:
        if r.trouble.zero_frame == 0 and t.srtt >= 0 and seg.time_ns - t.trouble.full_since > 2 * t.srtt + 100_000_000:
            conn.note(
                WINDOW_STALL,
                side,
                t.trouble.full_frame,
                t.trouble.full_since,
                seg.frame,
                seg.time_ns - t.trouble.full_since,
                0,
            )
        t.troubled().full_frame = 0
    if r.right_edge >= 0:
        over: i64 = diff(end, r.right_edge)
        if over + seg.length > 0:
            window.filled(conn, side, me, t, r, seg, end, over)


def _remember(t: Transfer, seg: Segment, seq: i64, end: i64) -> None:
    """Append to the list of segments that are not acknowledged."""
    spare: Sent | None = t.spare
    sent: Sent
    if spare is None:
        sent = Sent()
    else:
        sent = spare
        t.spare = sent.next
        t.spares -= 1
        sent.next = None
    sent.seq = seq
    sent.end = end
    sent.frame = seg.frame
    sent.time_ns = seg.time_ns
    sent.last_frame = seg.frame
    sent.last_time_ns = seg.time_ns
    sent.sendings = 1
    sent.ip_id = i32(seg.ip_id)
    sent.checksum = i32(seg.tcp_checksum)
    sent.digest = overlap.digest(seg)
    newest: Sent | None = t.newest
    if newest is None:
        t.oldest = sent
    else:
        newest.next = sent
    t.newest = sent
    t.outstanding += 1


def _probe(conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment, length: i64) -> None:
    """Keep-alive (section 3.8.4) or zero-window probe (section 3.8.6.1): old or single bytes that ask for an ACK."""
    r: Transfer = conn.side(1 - side).opened()
    if r.trouble.zero_frame != 0:
        t.troubled().window_probes += 1
        conn.because(CAUSE_ZERO_WINDOW_PROBE, r.trouble.zero_frame, seg.time_ns - me.last_time)
        conn.note(ZERO_WINDOW_PROBE, side, seg.frame, seg.time_ns, r.trouble.zero_frame, length, 0)
        return
    t.troubled().keep_alives += 1
    conn.because(CAUSE_KEEP_ALIVE, 0, seg.time_ns - me.last_time)
    conn.note(KEEP_ALIVE, side, seg.frame, seg.time_ns, 0, seg.time_ns - me.last_time, length)


def bare(conn: Connection, side: i64, me: Endpoint, seg: Segment) -> None:
    """A segment without payload, SYN or RST: its sequence number still tells what its sender had sent before."""
    if me.nxt < 0:
        me.nxt = seg.seq
        if me.base < 0:
            me.base = seg.seq
        return
    ahead: i64 = diff(seg.seq, me.nxt)
    if ahead == 0:
        return
    if ahead == -1 and me.una == me.nxt and seg.flags & FIN == 0:
        _probe(conn, side, me, me.opened(), seg, 0)
    elif 0 < ahead < PLAUSIBLE_JUMP:
        t: Transfer = me.opened()
        holes.open_hole(conn, side, me, t, seg, ahead)
        me.nxt = seg.seq
        t.position += ahead
    else:
        oddities.below_window(conn, side, me, seg)


def acknowledge(
    conn: Connection, side: i64, me: Endpoint, peer: Endpoint, t: Transfer, p: Transfer, seg: Segment
) -> None:
    """``me`` acknowledges bytes of ``peer``: what is no longer outstanding, round trips, duplicates, SACK (RFC 2018, 2883)."""
    ack: i64 = seg.ack
    if seg.ts_ecr > p.ts_val:
        options_check.echoed(peer, p, seg)
    if peer.nxt < 0:
        peer.nxt = ack
        if peer.base < 0:
            peer.base = ack
    if peer.una < 0:
        peer.una = peer.base if diff(ack, peer.base) >= 0 else ack
    moved: i64 = diff(ack, peer.una)
    if moved > 0:
        beyond: i64 = diff(ack, peer.nxt)
        if beyond > 0:
            if beyond >= PLAUSIBLE_JUMP:
                # No window reaches that far (RFC 7323 section 2.3), so nobody can have sent these bytes.
                conn.note(ACK_OF_UNSENT, side, seg.frame, seg.time_ns, 0, ack, peer.nxt)
                return
            if p.fin_frame != 0 and diff(peer.nxt, p.fin_seq) == 1:
                # Nothing lies behind a FIN (section 3.6).
                conn.note(ACK_OF_UNSENT, side, seg.frame, seg.time_ns, p.fin_frame, ack, peer.nxt)
                return
            holes.unseen(conn, side, t, peer, p, seg, beyond)
        before: i64 = peer.una
        peer.una = ack
        t.una_frame = seg.frame
        if p.trouble.resends is not None:
            spurious.acknowledged(conn, 1 - side, p, before, seg)
        if p.trouble.too_big_until >= 0 and diff(ack, p.trouble.too_big_until) >= 0:
            p.troubled().too_big_until = -1
        if p.oldest is not None:
            _retire(p, ack, seg.time_ns)
        if p.trouble.holes is not None:
            holes.acknowledge(conn, side, p, seg)
        if t.trouble is not NO_TROUBLE:
            t.trouble.duplicate_run = 0
            t.trouble.sack_high = -1
        if p.trouble is not NO_TROUBLE:
            p.trouble.backoff = 0
    elif moved == 0 and seg.length == 0 and p.oldest is not None and seg.flags & (SYN | FIN | RST) == 0:
        # RFC 5681 section 2: data outstanding, no payload, same number, same window.
        if t.last_ack == ack and (t.last_window == seg.window or seg.sack_count > 0):
            trouble: Trouble = t.troubled()
            trouble.duplicate_acks += 1
            trouble.duplicate_run += 1
    elif moved < 0:
        oddities.old_ack(conn, side, me, t, seg, moved)
    if seg.sack_count > 0:
        _selective(conn, side, t, peer, seg)
    t.last_ack = ack
    t.last_ack_frame = seg.frame
    t.last_ack_time = seg.time_ns


def _retire(p: Transfer, ack: i64, now: i64) -> None:
    """Drop what is acknowledged; the newest of it gives a round trip unless it was sent twice (Karn, RFC 6298 section 3)."""
    sample: i64 = -1
    sent: Sent | None = p.oldest
    while sent is not None and diff(ack, sent.end) >= 0:
        # Not as one expression: mypyc would make an object of each of its values.
        sample = -1
        if sent.sendings == 1:
            sample = now - sent.time_ns
        p.outstanding -= 1
        before: Sent | None = p.acked
        p.acked = sent
        if before is not None and p.spares < MAX_SPARES and p.payload_segments > FEW:
            before.next = p.spare
            p.spare = before
            p.spares += 1
        sent = sent.next
    p.oldest = sent
    if sent is None:
        p.newest = None
    elif diff(ack, sent.seq) > 0:
        sent.seq = ack
        sent.digest = overlap.NO_DIGEST
    if sample >= 0:
        p.timed(sample)
        recovery.update_rtt(p, sample)
        acked: Sent | None = p.acked
        if acked is not None and diff(acked.end, acked.seq) > i64(p.delivered):
            p.delivered = i32(diff(acked.end, acked.seq))


def _selective(conn: Connection, side: i64, t: Transfer, peer: Endpoint, seg: Segment) -> None:
    """SACK blocks: the highest edge of the run, duplicates (RFC 2883), and blocks that nobody sent."""
    options_check.sack(conn, side, peer, seg)
    left: i64 = seg.sack_left0
    right: i64 = seg.sack_right0
    inside: bool = seg.sack_count > 1 and diff(left, seg.sack_left1) >= 0 and diff(right, seg.sack_right1) <= 0
    if diff(left, seg.ack) < 0 or inside:
        _duplicate(conn, side, peer, seg, left, right)
    elif t.trouble.sack_high < 0 or diff(right, t.trouble.sack_high) > 0:
        t.troubled().sack_high = right
    if seg.sack_count > 1 and (t.trouble.sack_high < 0 or diff(seg.sack_right1, t.trouble.sack_high) > 0):
        t.troubled().sack_high = seg.sack_right1
    if peer.nxt >= 0 and diff(right, peer.nxt) > 0:
        conn.note(SACK_OF_UNSENT, side, seg.frame, seg.time_ns, 0, right, peer.nxt)


def _duplicate(conn: Connection, side: i64, peer: Endpoint, seg: Segment, left: i64, right: i64) -> None:
    """A D-SACK (RFC 2883): which packet did ``side`` receive in vain?"""
    p: Transfer = peer.opened()
    if p.trouble.keep_alives > 0 and diff(right, left) == 1 and diff(right, peer.nxt) == 0:
        return  # the old byte of a keep-alive
    repeated: i64 = 0
    if peer.copied is not None and peer.copied.reported_frame == seg.frame:
        repeated = -peer.copied.asked_frame
    elif p.trouble.resends is not None:
        repeated = spurious.reported(conn, 1 - side, p, left, right)
    conn.note(DUPLICATE_SACK, side, seg.frame, seg.time_ns, repeated, left, right)
