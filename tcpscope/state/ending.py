"""The end of a connection: what only the end can tell, and what a new connection on its ports means (row T4)."""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.state import timing
from tcpscope.state.connection import Connection
from tcpscope.state.copies import settle
from tcpscope.state.endpoint import Endpoint, Transfer
from tcpscope.state.facts import (
    ACK_NEVER_CAME_TO_FIN,
    CLIENT,
    REUSE_AFTER_RST,
    REUSE_HIGHER_ISN,
    REUSE_LATE,
    REUSE_LIVE,
    REUSE_NEWER_TIMESTAMP,
    REUSE_UNSAFE,
    SERVER,
    TIME_WAIT_FIN_UNANSWERED,
    UNACKNOWLEDGED,
    ZERO_WINDOW,
)
from tcpscope.state.opening import left_queue
from tcpscope.state.seq import diff
from tcpscope.state.tls_time import check_whole
from tcpscope.state.transitions import TIMEOUT_2MSL
from tcpscope.wire.segment import Segment


def reuse_code(old: Connection, side: i64, seg: Segment, msl_ns: i64) -> i64:
    """REUSE_ code of a SYN from ``side`` on the ports of ``old`` (RFC 9293 section 3.6.1, RFC 6191)."""
    if not old.closed:
        return REUSE_LIVE
    if old.aborted:
        return REUSE_AFTER_RST
    waits: i64 = max(_waits_since(old.client), _waits_since(old.server))
    began: i64 = max(old.closed_time, waits)  # of three at once mypyc would make objects
    if seg.time_ns - began >= 2 * msl_ns:
        return REUSE_LATE
    me: Endpoint = old.side(side)
    mine: Transfer | None = me.transfer
    if mine is not None and mine.ts_val >= 0 and seg.ts_val >= 0:
        # With timestamps on both sides of the comparison the timestamp decides (RFC 6191 section 2).
        if diff(seg.ts_val, mine.ts_val) > 0:
            return REUSE_NEWER_TIMESTAMP
    if me.nxt >= 0 and diff(seg.seq, me.nxt) > 0:
        return REUSE_HIGHER_ISN
    return REUSE_UNSAFE


def _waits_since(endpoint: Endpoint) -> i64:
    """When a side's 2 MSL clock was last started; 0 if it was not."""
    t: Transfer | None = endpoint.transfer
    return 0 if t is None else t.time_wait_since


def finish(conn: Connection, now: i64, msl_ns: i64) -> None:
    """Complete the facts of a connection that is over. ``now``: the capture's clock, ns."""
    conn.watched_until = now
    conn.complete_sides()
    if conn.listener is not None and (conn.half_open or conn.pending):
        conn.listener.timed_out += 1
    left_queue(conn)
    settle(conn)
    _finish_side(conn, CLIENT, now, msl_ns)
    _finish_side(conn, SERVER, now, msl_ns)
    timing.finish(conn)
    client: Transfer = conn.client.opened()
    server: Transfer = conn.server.opened()
    silent: bool = conn.client.segments == 0 or conn.server.segments == 0
    # A silent side whose bytes were acknowledged did speak: the capture has one direction only.
    conn.one_sided = silent and _answered(conn)
    lost: i64 = (
        client.trouble.unseen_bytes
        + server.trouble.unseen_bytes
        + client.trouble.hole_bytes_lost
        + server.trouble.hole_bytes_lost
    )
    conn.lossy = conn.one_sided or lost > 0
    if conn.tls is not None:
        conn.tls.acked0 = _acknowledged(conn.client)
        conn.tls.acked1 = _acknowledged(conn.server)
        conn.tls.finish(
            client.fin_frame > 0, server.fin_frame > 0, client.trouble.rst_frame > 0, server.trouble.rst_frame > 0
        )
        if conn.tls.log is not None and conn.tls.outcome is not None:
            check_whole(conn, conn.tls.log, conn.tls.outcome)


def _acknowledged(endpoint: Endpoint) -> i64:
    """Bytes of a side's stream that the other side has acknowledged, in 64 bits; -1 if it acknowledged nothing."""
    if endpoint.una < 0 or endpoint.nxt < 0:
        return -1
    return endpoint.opened().position + diff(endpoint.una, endpoint.nxt)


def _answered(conn: Connection) -> bool:
    """One side is silent in the capture, but the other one acknowledges it or goes on as if answered."""
    speaker: Endpoint = conn.client if conn.client.segments > 0 else conn.server
    t: Transfer = speaker.opened()
    if t.last_ack >= 0 and speaker.segments > 1:
        return True
    return speaker.syn_frame != 0 and t.payload_segments > 0 and t.first_data_frame != speaker.syn_frame


def _finish_side(conn: Connection, side: i64, now: i64, msl_ns: i64) -> None:
    """What one side left open."""
    me: Endpoint = conn.side(side)
    t: Transfer = me.opened()
    if t.trouble.zero_frame != 0:
        duration: i64 = now - t.trouble.zero_since
        t.troubled().zero_time_total += duration
        conn.note(ZERO_WINDOW, side, t.trouble.zero_frame, t.trouble.zero_since, 0, duration, 0)
    missing: i64 = me.unacknowledged()
    if t.fin_frame != 0 and t.fin_ack_frame == 0:
        conn.note(ACK_NEVER_CAME_TO_FIN, side, t.fin_last_frame, t.fin_last_time, t.fin_frame, now - t.fin_last_time, 0)
        missing -= 1
    if missing > 0 and t.payload_segments > 0:
        frame: i64 = t.oldest.frame if t.oldest is not None else t.first_data_frame
        since: i64 = now - t.last_data_time
        conn.note(UNACKNOWLEDGED, side, frame, t.last_data_time, t.last_data_frame, missing, since)
    if conn.repeated_fin_side == 1 - side and t.time_wait_frame != 0:
        p: Transfer = conn.side(1 - side).opened()
        waited: i64 = now - t.time_wait_since
        conn.note(
            TIME_WAIT_FIN_UNANSWERED,
            side,
            p.fin_last_frame,
            p.fin_last_time,
            t.last_ack_frame,
            waited,
            now - p.fin_last_time,
        )
    if t.time_wait_frame != 0 and not conn.aborted and now - t.time_wait_since >= 2 * msl_ns:
        me.move(TIMEOUT_2MSL, 0, t.time_wait_since + 2 * msl_ns)
