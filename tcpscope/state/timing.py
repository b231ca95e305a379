"""Where the time went: every moment of a connection's life is given to exactly one of seven shares (docs/numbers.md).

Nothing is added up a segment: while a side sends new data in order, only the time of its latest segment is kept. The moments
at which something changes (the word passes to the other side, everything is acknowledged, something is sent again, a window
closes or opens) give the time since the moment before to the share that it belongs to, so that the shares add up exactly.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64

from tcpscope.state.connection import Connection
from tcpscope.state.durations import SideTiming, Timing
from tcpscope.state.endpoint import Endpoint, Transfer
from tcpscope.state.facts import (
    CAUSE_CAPTURE_COPY,
    CAUSE_KEEP_ALIVE,
    CAUSE_NETWORK_DUPLICATE,
    CAUSE_REORDERING,
    CAUSE_ZERO_WINDOW_PROBE,
    CLIENT,
    NOBODY,
    SERVER,
)
from tcpscope.state.quantiles import Quantiles, collected
from tcpscope.state.seq import diff
from tcpscope.wire.segment import ACK, FIN, RST, SYN, Segment

# Shorter pauses of a sender are scheduling and pacing, not a decision of its program.
PACING_NS: Final = 10_000_000
# Linux' shortest retransmission time-out stands in for twice the round trip where that is not known.
PATIENCE_WITHOUT_RTT_NS: Final = 200_000_000
# Data that is not sent again for so long was acknowledged, though the capture lacks the ACK (RFC 6298 section 2: 1 s).
UNSEEN_ACK_NS: Final = 1_000_000_000

# An ACK waits for data to go with it for less than this (RFC 9293 section 3.8.6.3).
DELAYED_ACK_NS: Final = 500_000_000

# As much as this, in TLS, may be a closing alert or a frame that steers HTTP/2: nobody waits for an answer to it.
TRIFLE: Final = 87

# What a moment belongs to
THINKING: Final = 0
TRANSFER: Final = 1
LOSS: Final = 2
WINDOW: Final = 3
NETWORK: Final = 4
IDLE: Final = 5


def segment(conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Take the time of one segment that has been applied to the connection."""
    timing: Timing | None = conn.timing
    if timing is None:
        if seg.flags & (SYN | ACK | RST) == SYN and peer.segments == 0:
            return
        timing = _begin(conn)
    t: Transfer | None = me.transfer
    if timing.special or conn.repeat is not None or seg.flags & (SYN | FIN | RST) != 0:
        _special(conn, timing, side, me, peer, seg)
    elif t is None:
        return
    elif t.highest_frame == seg.frame:
        if side == timing.owner and seg.time_ns - timing.latest < PACING_NS:
            timing.latest = seg.time_ns
            timing.quiet = 0
        else:
            _said(conn, timing, side, peer, seg)
        if t.trouble.tight_frame == seg.frame:
            _fills_window(timing, side, seg)
    elif timing.owner != NOBODY:
        if timing.quiet == 0 and not _in_flight(me if timing.owner == side else peer):
            timing.quiet = seg.time_ns
        if t.trouble.zero_frame == seg.frame:
            _closes_window(conn, timing, 1 - side, seg.time_ns)


def _begin(conn: Connection) -> Timing:
    """The timing of a connection, made when more than SYNs of one side is known."""
    timing: Timing = Timing(conn.first_time)
    conn.timing = timing
    if conn.client.syn_count > 1:
        _give(timing, LOSS, CLIENT, conn.client.syn_last_time)  # until the SYN was sent for the last time
    return timing


def _give(timing: Timing, share: i64, side: i64, until: i64) -> None:
    """Give the time from the mark on to a share. The clock of a capture may step back; time that was given stays given."""
    span: i64 = until - timing.mark
    if span <= 0:
        return
    timing.mark = until
    if share == NETWORK:
        timing.network += span
        return
    if share == IDLE:
        timing.idle += span
        return
    one: SideTiming = timing.client if side == CLIENT else timing.server
    if share == TRANSFER:
        one.transfer += span
    elif share == THINKING:
        one.thinking += span
    elif share == LOSS:
        one.loss += span
    else:
        one.window += span


def _in_flight(endpoint: Endpoint) -> bool:
    """Whether data or FIN of this side is not acknowledged."""
    t: Transfer | None = endpoint.transfer
    return t is not None and (t.oldest is not None or (t.fin_frame != 0 and t.fin_ack_frame == 0))


# New data


def _said(conn: Connection, timing: Timing, side: i64, peer: Endpoint, seg: Segment) -> None:
    """New data that begins a message, or goes on with it after a pause."""
    now: i64 = seg.time_ns
    owner: i64 = timing.owner
    if owner == side:
        _goes_on(conn, timing, side, peer, seg)
    else:
        if owner != NOBODY:
            _give(timing, TRANSFER, owner, timing.latest)
        answered: bool = owner == NOBODY or timing.quiet != 0 or not _in_flight(peer)
        asked: bool = side == CLIENT or owner != CLIENT or seg.length > TRIFLE or not _was_trifle(conn, timing)
        if answered:
            _thought(conn, timing, side, peer, seg, asked)
        else:
            _give(timing, NETWORK, side, now)  # the two messages crossed
        if side == SERVER:
            if owner == CLIENT and answered and asked:
                _response(timing, now - timing.latest)
            timing.owes = False
        else:
            timing.owes = True
            timing.asked_from = conn.client.opened().position - seg.length
    timing.owner = side
    timing.latest = now
    timing.quiet = 0


def _was_trifle(conn: Connection, timing: Timing) -> bool:
    """Whether the client's message is too small, for one in TLS, to be known as a question."""
    if conn.tls is None or conn.tls.log is None:
        return False
    return conn.client.opened().position - timing.asked_from <= TRIFLE


def _goes_on(conn: Connection, timing: Timing, side: i64, peer: Endpoint, seg: Segment) -> None:
    """The owner of the message sends more of it after :data:`PACING_NS` or more."""
    now: i64 = seg.time_ns
    if timing.quiet != 0:
        if now - timing.quiet <= _patience(peer):
            return  # the ACK had to reach it first: still the same message
        _give(timing, TRANSFER, side, timing.latest)
        _give(timing, NETWORK, side, timing.quiet)
        _give(timing, THINKING, side, now)
    elif now - timing.latest > UNSEEN_ACK_NS + _patience(peer):
        _give(timing, TRANSFER, side, timing.latest)
        _give(timing, THINKING, side, now)
    else:
        return
    timing.owes = False  # who pauses and goes on did not wait for an answer


def _patience(peer: Endpoint) -> i64:
    """Two round trips from the capture point to a side, of which ``peer`` is the other one."""
    p: Transfer | None = peer.transfer
    if p is None or p.srtt < 0:
        return PATIENCE_WITHOUT_RTT_NS
    return max(PACING_NS, 2 * p.srtt)


def _thought(conn: Connection, timing: Timing, side: i64, peer: Endpoint, seg: Segment, asked: bool) -> None:
    """``side`` answers a message (or opens the conversation): the way there and back is the network's, the rest its own."""
    proved: bool = timing.quiet != 0 and timing.owner != NOBODY
    if proved:
        _give(timing, NETWORK, side, timing.quiet)
    elif timing.owner != NOBODY or side == SERVER:
        # The ACK came with the answer: of the time since the message the shortest round trip is taken for the path.
        until: i64 = max(timing.latest, timing.mark) + max(0, shortest(conn, side, peer))
        if timing.owner != NOBODY:
            until = max(until, seg.time_ns - DELAYED_ACK_NS)  # had it thought for longer, the ACK would not have waited
        path: i64 = LOSS if timing.recovering == 1 - side else NETWORK
        _give(timing, path, 1 - side, min(until, seg.time_ns))
    if asked:
        _awaited(timing, side, peer, seg.frame, seg.time_ns, proved, True)
    else:
        _give(timing, THINKING, side, seg.time_ns)


def _awaited(timing: Timing, side: i64, asker: Endpoint, frame: i64, now: i64, proved: bool, answered: bool) -> None:
    """The other side (``asker``) has waited for ``side`` until now: the time is that of its program."""
    span: i64 = now - timing.mark
    one: SideTiming = timing.client if side == CLIENT else timing.server
    if span > one.longest_wait:
        t: Transfer | None = asker.transfer
        one.longest_wait = span
        one.wait_ended = frame
        one.wait_began = 0 if t is None else t.last_data_frame
        one.wait_proved = proved
        one.wait_answered = answered
    _give(timing, THINKING, side, now)


def shortest(conn: Connection, side: i64, peer: Endpoint) -> i64:
    """The shortest round trip seen from the capture point to ``side`` and back; -1 if none was seen. ``peer``: its peer."""
    best: i64 = -1
    if peer.syn_count == 1 and peer.syn_acked_frame != 0:
        best = (conn.server.syn_time if side == SERVER else conn.ack_time) - peer.syn_time
    p: Transfer | None = peer.transfer
    if p is not None:
        least: i64 = p.first_rtt
        if p.round_trips is not None:
            least = p.round_trips.minimum
        if least >= 0 and (best < 0 or least < best):
            best = least
    return best


def _response(timing: Timing, span: i64) -> None:
    """One more message of the client that the server answered after ``span``."""
    timing.exchanges += 1
    if timing.more_responses is not None:
        timing.more_responses.add(span)
    elif timing.first_response < 0 <= span:
        timing.first_response = span
    else:
        timing.more_responses = collected(timing.first_response)
        timing.more_responses.add(span)


# The window


def _fills_window(timing: Timing, side: i64, seg: Segment) -> None:
    """After new data there is not room left for as much again: its sender has to wait (RFC 9293 section 3.8.6.2.1)."""
    _give(timing, TRANSFER, side, seg.time_ns)
    timing.blocked = side
    timing.special = True


def _closes_window(conn: Connection, timing: Timing, side: i64, now: i64) -> None:
    """The other side has closed its window: ``side`` cannot send."""
    _pause(conn, timing, now)
    timing.blocked = side
    timing.special = True


def _opens_window(timing: Timing, side: i64, me: Endpoint, peer: Endpoint, now: i64) -> None:
    """``me`` sends a segment while ``peer`` could not send: can it now?"""
    t: Transfer | None = me.transfer
    if t is None or t.trouble.zero_frame != 0 or (t.right_edge >= 0 and diff(t.right_edge, peer.nxt) <= 0):
        return
    if timing.owner != NOBODY:
        _give(timing, TRANSFER, timing.owner, timing.latest)
    _give(timing, WINDOW, 1 - side, now)
    timing.blocked = NOBODY


# Everything else


def _special(conn: Connection, timing: Timing, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Opening, closing, what is sent again, and whatever comes while that or a closed window is not over."""
    now: i64 = seg.time_ns
    flags: i64 = seg.flags
    cause: i64 = conn.last_cause
    t: Transfer | None = me.transfer
    new: bool = t is not None and t.highest_frame == seg.frame
    if not timing.open and not _opening(conn, timing, side, seg):
        return
    if conn.closed_time > 0 and now > conn.closed_time:
        _pause(conn, timing, now)  # nobody waits for anything any more
    elif cause >= 0:
        _again(conn, timing, side, me, cause, now)
    elif flags & RST != 0:
        _pause(conn, timing, now)
        if timing.owes and not _was_trifle(conn, timing):
            timing.refused_answer = True
        timing.owes = False
    elif new and flags & SYN == 0:
        if timing.recovering == side:
            _give(timing, TRANSFER, side, now)
        elif timing.blocked == side:
            _give(timing, TRANSFER, side, timing.latest)
            _give(timing, WINDOW, side, now)
            timing.blocked = NOBODY
        elif timing.blocked != NOBODY and timing.owner != side:
            _pause(conn, timing, now)
        _said(conn, timing, side, peer, seg)
        if t is not None and t.trouble.tight_frame == seg.frame:
            _fills_window(timing, side, seg)
    elif flags & FIN != 0 and t is not None and t.fin_frame == seg.frame:
        _closed(conn, timing, side, peer, seg)
    if flags & ACK != 0 and flags & RST == 0:
        if timing.recovering == 1 - side and diff(peer.una, timing.recover) >= 0:
            _give(timing, LOSS, 1 - side, now)
            timing.recovering = NOBODY
        if timing.blocked == 1 - side:
            _opens_window(timing, side, me, peer, now)
        elif t is not None and t.trouble.zero_frame == seg.frame:
            _closes_window(conn, timing, 1 - side, now)
    if timing.quiet == 0 and timing.owner != NOBODY and not _in_flight(me if timing.owner == side else peer):
        timing.quiet = now
    timing.special = timing.recovering != NOBODY or timing.blocked != NOBODY or not timing.open


def _opening(conn: Connection, timing: Timing, side: i64, seg: Segment) -> bool:
    """The handshake: all of it is the network's but for what was sent again. True once it is over."""
    now: i64 = seg.time_ns
    if seg.flags & SYN != 0:
        _give(timing, NETWORK if conn.last_cause < 0 else LOSS, side, now)
        return False
    _give(timing, NETWORK, side, now)
    timing.open = seg.flags & RST == 0
    timing.latest = now
    asked: Transfer | None = conn.client.transfer
    if asked is not None and asked.payload_segments > 0 and asked.first_data_frame == conn.client.syn_frame:
        timing.owner = CLIENT  # it asked on its SYN (RFC 7413)
        timing.quiet = now
        timing.owes = True
    return timing.open


def _again(conn: Connection, timing: Timing, side: i64, me: Endpoint, cause: i64, now: i64) -> None:
    """A segment that brings no new data: sent again, a probe, a copy, or late."""
    if cause == CAUSE_NETWORK_DUPLICATE or cause == CAUSE_CAPTURE_COPY:
        return
    if cause == CAUSE_REORDERING:
        if timing.owner == side:
            timing.latest = now
        return
    if cause == CAUSE_KEEP_ALIVE:
        if not timing.owes or timing.quiet == 0 or _was_trifle(conn, timing):
            _pause(conn, timing, now)
        return
    if timing.owner != NOBODY:
        _give(timing, TRANSFER, timing.owner, timing.latest)
    if cause == CAUSE_ZERO_WINDOW_PROBE or timing.blocked == side:
        _give(timing, WINDOW, side, now)
        timing.blocked = side
        return
    _give(timing, LOSS, side, now)
    if timing.recovering == side:
        return
    mine: SideTiming = timing.client if side == CLIENT else timing.server
    flight: i64 = me.unacknowledged()
    if flight == 0:
        return  # it was acknowledged already
    timing.recovering = side
    timing.recover = me.nxt
    mine.losses += 1
    if mine.loss_flight_min < 0 or flight < i64(mine.loss_flight_min):
        mine.loss_flight_min = i32(flight)
    if flight > i64(mine.loss_flight_max):
        mine.loss_flight_max = i32(flight)


def _pause(conn: Connection, timing: Timing, now: i64) -> None:
    """Silence that ends without new data: by a keep-alive, an RST, a closing window or the end of the capture."""
    if timing.owner != NOBODY:
        _give(timing, TRANSFER, timing.owner, timing.latest)
    if timing.blocked != NOBODY:
        _give(timing, WINDOW, timing.blocked, now)
    elif timing.recovering != NOBODY:
        _give(timing, LOSS, timing.recovering, now)
    elif timing.owner == NOBODY:
        _give(timing, IDLE if timing.open else NETWORK, NOBODY, now)
    elif timing.quiet == 0:
        _give(timing, NETWORK, NOBODY, now)
    else:
        _give(timing, NETWORK, NOBODY, timing.quiet)
        if timing.owes and not _was_trifle(conn, timing):
            _awaited(timing, SERVER, conn.client, conn.last_frame, now, True, False)
        else:
            _give(timing, IDLE, NOBODY, now)


def _closed(conn: Connection, timing: Timing, side: i64, peer: Endpoint, seg: Segment) -> None:
    """The first FIN of a side, without data: it ends a message, or is one."""
    now: i64 = seg.time_ns
    p: Transfer | None = peer.transfer
    since: i64 = timing.quiet if timing.quiet != 0 else timing.latest
    if timing.owner == side and not timing.special and now - since <= _patience(peer):
        _give(timing, TRANSFER, side, now)
    elif p is not None and p.fin_frame != 0 and timing.owner != NOBODY:
        _give(timing, TRANSFER, timing.owner, timing.latest)
        _thought(conn, timing, side, peer, seg, False)  # the other side has closed: it had the word
    else:
        _pause(conn, timing, now)
    timing.owner = side
    timing.latest = now
    timing.quiet = 0
    timing.owes = False


def timestamps(conn: Connection, t: Transfer, peer: Endpoint, seg: Segment) -> None:
    """Round trips by timestamps (RFC 7323 section 4): from the first data with a new timestamp to its first echo.

    The echo has to come with the first ACK of that data: the timestamp of a segment that the receiver did not expect next is
    echoed later, or never. One measurement is under way at a time a side; what is sent again begins anew.
    """
    p: Transfer | None = peer.transfer
    if p is not None and p.stamp >= 0 and seg.ts_ecr >= 0 and seg.flags & ACK != 0:
        later: i64 = diff(seg.ts_ecr, p.stamp)
        if later >= 0 or diff(seg.ack, p.stamp_end) >= 0:
            p.stamp = -1
            if later == 0 and diff(seg.ack, p.stamp_end) >= 0:
                rtt: Quantiles | None = p.stamp_rtt
                if rtt is None:
                    rtt = Quantiles()
                    p.stamp_rtt = rtt
                rtt.add(seg.time_ns - p.stamp_time)
    if seg.length > 0 and seg.ts_val != t.ts_val and (t.stamp < 0 or conn.last_cause >= 0):
        t.stamp = seg.ts_val
        t.stamp_time = seg.time_ns
        t.stamp_end = (seg.seq + seg.length) & 0xFFFFFFFF


def finish(conn: Connection) -> None:
    """The connection is over: give away what is left, so that the shares add up to the time from its first to its last segment."""
    timing: Timing | None = conn.timing
    if timing is None:
        if conn.last_time == conn.first_time:
            return
        timing = _begin(conn)  # nothing but SYNs of one side
    _pause(conn, timing, conn.last_time)
