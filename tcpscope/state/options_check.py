"""Options held against the rules of their RFCs: what a SYN offered, timestamps (RFC 7323), SACK (RFC 2018), and the MSS.

Called off the in-order path: for SYNs, for segments with faulty options, and where a plain comparison of numbers fails.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import (
    OPTION_CUT,
    OPTION_SACK,
    OPTION_SCALE,
    OPTION_TIMESTAMPS,
    Endpoint,
    Transfer,
    Trouble,
)
from tcpscope.state.facts import (
    ABOVE_MSS,
    ECHO_OF_UNSENT,
    OPTION_LENGTH,
    OPTION_MISPLACED,
    OPTION_NOT_OFFERED,
    OPTION_REPEATED,
    SACK_INVALID,
    SCALE_TOO_LARGE,
    TIMESTAMP_BACK,
    TIMESTAMP_MISSING,
)
from tcpscope.state.seq import diff
from tcpscope.wire.segment import BAD_LENGTH, CHECKSUM_GOOD, CHECKSUM_UNFILLED, MISPLACED, REPEATED, Segment
from tcpscope.wire.tcp import SACK, TIMESTAMPS, WINDOW_SCALE, judge_checksum

MAX_SCALE: Final = 14  # RFC 7323 section 2.3
FIXED_HEADER: Final = 20
LARGEST4: Final = 1480  # header and payload in an Ethernet frame
LARGEST6: Final = 1460
MAX_JOINED: Final = 16  # so many joined segments of a side, and the checksums of more are not worth a look
TIMESTAMP_LIFE_NS: Final = 24 * 86_400 * 1_000_000_000  # RFC 7323 section 5.5: an older TSval says nothing
TOLERANCE: Final = 1  # the ticks of two processors of one host may differ by one


def faults(conn: Connection, side: i64, seg: Segment) -> None:
    """Options that no receiver can make sense of, by ``seg.bad_options``."""
    bits: i64 = seg.bad_options
    if bits & BAD_LENGTH != 0:
        conn.note(OPTION_LENGTH, side, seg.frame, seg.time_ns, 0, seg.flags, 0)
    if bits & REPEATED != 0:
        conn.note(OPTION_REPEATED, side, seg.frame, seg.time_ns, 0, seg.flags, 0)
    if bits & MISPLACED != 0:
        conn.note(OPTION_MISPLACED, side, seg.frame, seg.time_ns, 0, seg.flags, 0)


def offered(conn: Connection, side: i64, seg: Segment) -> None:
    """What a SYN or SYN-ACK offers by itself."""
    if seg.window_scale > MAX_SCALE:
        conn.note(SCALE_TOO_LARGE, side, seg.frame, seg.time_ns, 0, seg.window_scale, 0)


def answered(conn: Connection, side: i64, peer: Endpoint, seg: Segment) -> None:
    """A SYN-ACK takes up only what the SYN offered (RFC 7323 sections 2.2 and 3.2), and echoes its timestamp."""
    if peer.syn_options & OPTION_CUT != 0:
        return
    if seg.window_scale >= 0 and peer.syn_options & OPTION_SCALE == 0:
        conn.note(OPTION_NOT_OFFERED, side, seg.frame, seg.time_ns, peer.syn_frame, WINDOW_SCALE, 0)
    if seg.ts_val < 0:
        return
    if peer.syn_options & OPTION_TIMESTAMPS == 0:
        conn.note(OPTION_NOT_OFFERED, side, seg.frame, seg.time_ns, peer.syn_frame, TIMESTAMPS, 0)
    elif seg.ts_ecr > 0:  # some stacks put nothing there
        ahead: i64 = diff(seg.ts_ecr, peer.syn_ts)
        if ahead > 0 or (ahead < 0 and peer.syn_count == 1):
            conn.note(ECHO_OF_UNSENT, side, seg.frame, seg.time_ns, 0, seg.ts_ecr, peer.syn_ts)


def _both_offered(conn: Connection, option: i64) -> bool:
    """Both SYNs were captured and carried the option."""
    return i64(conn.client.syn_options & conn.server.syn_options) & option != 0


def _known(endpoint: Endpoint) -> bool:
    """The side's SYN was captured, with all of its options."""
    return endpoint.syn_frame != 0 and endpoint.syn_options & OPTION_CUT == 0


def stamped(conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment) -> None:
    """A segment without RST whose TSval is not simply higher than the ones before (``t.ts_val`` is the highest)."""
    value: i64 = seg.ts_val
    if value < 0:
        # RFC 7323 section 3.2: once negotiated, in every segment but an RST.
        if _both_offered(conn, OPTION_TIMESTAMPS) and seg.header_cut == 0 and seg.bad_options == 0:
            conn.note(TIMESTAMP_MISSING, side, seg.frame, seg.time_ns, 0, seg.length, 0)
        return
    if t.ts_val < 0:
        t.ts_val = value
        uninvited(conn, side, seg)
        return
    ahead: i64 = diff(value, t.ts_val)
    if ahead >= 0 or seg.time_ns - me.last_time >= TIMESTAMP_LIFE_NS:
        t.ts_val = value
        return
    if not is_latest(conn, t, seg):
        return  # overtaken on the way
    trouble: Trouble = t.trouble
    if trouble.echo_frame != 0 and trouble.echo_value == t.ts_val:
        # What the other side echoed is higher than what was sent after it.
        conn.note(ECHO_OF_UNSENT, 1 - side, trouble.echo_frame, trouble.echo_time, seg.frame, t.ts_val, value)
    elif ahead < -TOLERANCE:
        conn.note(TIMESTAMP_BACK, side, seg.frame, seg.time_ns, 0, value, t.ts_val)
    if trouble.echo_frame != 0:
        trouble.echo_frame = 0
    t.ts_val = value


def uninvited(conn: Connection, side: i64, seg: Segment) -> None:
    """A segment with timestamps: one of the SYNs had none, so they were not agreed on (RFC 7323 section 3.2)."""
    unwilling: Endpoint = conn.client
    if not _known(unwilling) or unwilling.syn_options & OPTION_TIMESTAMPS != 0:
        unwilling = conn.server
        if not _known(unwilling) or unwilling.syn_options & OPTION_TIMESTAMPS != 0:
            return
    conn.note(OPTION_NOT_OFFERED, side, seg.frame, seg.time_ns, unwilling.syn_frame, TIMESTAMPS, 0)


def is_latest(conn: Connection, t: Transfer, seg: Segment) -> bool:
    """True if the segment was certainly sent after all of its side that were captured before.

    It acknowledges more than any of them, or it carries the first new bytes and nothing was sent twice: a resent segment
    might have overtaken it.
    """
    if t.una_frame == seg.frame:
        return True
    if t.highest_frame != seg.frame or conn.last_cause >= 0:
        return False
    return t.trouble.retransmitted_segments == 0 and t.trouble.keep_alives == 0 and t.trouble.window_probes == 0


def echoed(peer: Endpoint, p: Transfer, seg: Segment) -> None:
    """An echo higher than any timestamp that the peer was seen to send: lost by the capture, or never sent.

    It is held to have been sent until the peer's next segment has a lower one.
    """
    known: i64 = p.ts_val if p.ts_val >= 0 else peer.syn_ts
    if known < 0 or diff(seg.ts_ecr, known) <= 0:
        return
    p.ts_val = seg.ts_ecr
    trouble: Trouble = p.troubled()
    trouble.echo_frame = seg.frame
    trouble.echo_time = seg.time_ns
    trouble.echo_value = seg.ts_ecr


def sack(conn: Connection, side: i64, peer: Endpoint, seg: Segment) -> None:
    """SACK blocks: allowed by the other side's SYN (RFC 2018 section 2), with something in them, above the ACK.

    The first block may lie below the ACK: it reports a duplicate (RFC 2883 section 4).
    """
    if peer.syn_options & OPTION_SACK == 0 and _known(peer):
        conn.note(OPTION_NOT_OFFERED, side, seg.frame, seg.time_ns, peer.syn_frame, SACK, 0)
        return
    if diff(seg.sack_right0, seg.sack_left0) <= 0:
        conn.note(SACK_INVALID, side, seg.frame, seg.time_ns, 0, seg.sack_left0, seg.sack_right0)
    elif seg.sack_count > 1 and _invalid(seg, seg.sack_left1, seg.sack_right1):
        conn.note(SACK_INVALID, side, seg.frame, seg.time_ns, 0, seg.sack_left1, seg.sack_right1)
    elif seg.sack_count > 2 and _invalid(seg, seg.sack_left2, seg.sack_right2):
        conn.note(SACK_INVALID, side, seg.frame, seg.time_ns, 0, seg.sack_left2, seg.sack_right2)
    elif seg.sack_count > 3 and _invalid(seg, seg.sack_left3, seg.sack_right3):
        conn.note(SACK_INVALID, side, seg.frame, seg.time_ns, 0, seg.sack_left3, seg.sack_right3)


def _invalid(seg: Segment, left: i64, right: i64) -> bool:
    """A block behind the first one that is empty, or acknowledged as a whole by the same segment."""
    return diff(right, left) <= 0 or diff(right, seg.ack) <= 0


def above_mss(conn: Connection, side: i64, peer: Endpoint, t: Transfer, seg: Segment) -> None:
    """A segment larger than ``t.fits``, which is 0 until the first data is sent.

    Data and options together must not exceed the MSS of the receiver's SYN (RFC 9293 section 3.7.1). A capturing host may
    see several segments as one, before its network card cuts them or after it joined them: then the whole is larger than
    an Ethernet frame, or its checksum is not filled in.
    """
    if t.fits == 0:
        t.fits = i32(peer.takes + FIXED_HEADER)
    size: i64 = seg.length + seg.header_length
    if size <= i64(t.fits) or seg.rebuilt:
        return
    if peer.mss > 0 and peer.syn_frame != 0 and size <= (LARGEST4 if seg.ip_version == 4 else LARGEST6):
        if t.trouble.joined < MAX_JOINED:
            if seg.checksum != CHECKSUM_UNFILLED and judge_checksum(seg) == CHECKSUM_GOOD:
                conn.note(ABOVE_MSS, side, seg.frame, seg.time_ns, peer.syn_frame, size - FIXED_HEADER, peer.takes)
                return
            t.troubled().joined += 1
    if seg.length > peer.takes:
        trouble: Trouble = t.troubled()
        trouble.large_segments += 1
        if trouble.large_frame == 0:
            trouble.large_frame = seg.frame
        if seg.length > trouble.largest:
            trouble.largest = seg.length
