"""What ails a finished connection, as one number: the symptom that explains most. The words are those of rules.diagnosis.

The order is that of proof and of harm: what kept the connection from opening; what the capture cannot show; what broke the
path or a host; what cost the most time; how it ended; small losses. Compiled, since every connection passes here; one that
is clean costs a few comparisons. Thresholds stand here with their reasons.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.rules.base import PATIENCE_NS, proves_absence
from tcpscope.rules.icmp import is_too_big
from tcpscope.rules.queues import ignores_acknowledgement, is_flooded
from tcpscope.rules.verdicts import handshake_verdict, transfer_of, violation, watched_too_briefly
from tcpscope.state.connection import Connection
from tcpscope.state.durations import SideTiming, Timing
from tcpscope.state.endpoint import Transfer, Trouble
from tcpscope.state.facts import (
    CAUSE_SPURIOUS,
    CLIENT,
    HALF_CLOSE_RESET,
    ICMP_REPORTED,
    KEEP_ALIVE,
    KIND_BITS,
    OLD_DUPLICATE_SYN,
    PORTS_REUSED,
    RETRANSMISSION,
    RST_TTL,
    SEGMENT_AFTER_RST,
    SERVER,
    SYN_ACK_IGNORES_DATA,
    SYN_DATA_REFUSED,
    SYN_IN_CONNECTION,
    TIME_WAIT_FIN_RESET,
)
from tcpscope.state.keys import reverse_key
from tcpscope.state.quantiles import Quantiles
from tcpscope.state.timing import TRIFLE
from tcpscope.state.tls_faults import ALERT_FATAL
from tcpscope.state.tls_tracker import TlsConnection

# Half of a symptom's number; the other bit is the side that it is about.
NONE: Final = 0
REFUSED: Final = 1
REJECTED: Final = 2
OVERFLOW: Final = 3
FLOOD: Final = 4
UNANSWERED: Final = 5
HALF_OPEN: Final = 6
OLD_DUPLICATE: Final = 7
OPENING_RESET: Final = 8
TOO_EARLY: Final = 9
ONE_SIDED: Final = 10
PATH_MTU: Final = 11
FORGED_RESET: Final = 12
RESTARTED: Final = 13
TIME_WAIT_BROKEN: Final = 14
VANISHED: Final = 15
SLOW_ANSWER: Final = 16
SLOW_READER: Final = 17
SMALL_WINDOW: Final = 18
LOSS: Final = 19
LATE_ACKS: Final = 20
TLS_CORRUPT: Final = 21
TLS_REFUSED: Final = 22
BROKEN_OFF: Final = 23
LEFT_OPEN: Final = 24
REORDERED: Final = 25
JITTER: Final = 26
BYTES_MISSING: Final = 27
CUT_OFF: Final = 28
NAMES: Final = (
    "none", "refused", "rejected", "accept-queue-full", "syn-flood", "unanswered", "half-open", "old-duplicate",
    "opening-reset", "too-early", "one-sided", "path-mtu-black-hole", "forged-reset", "host-restarted",
    "time-wait-not-kept", "vanished", "slow-answer", "slow-reader", "small-window", "loss", "late-acks",
    "tls-corrupted", "tls-refused", "broken-off", "left-open", "reordering", "jitter", "bytes-missing", "cut-off",
)  # fmt: skip

LONG_ANSWER_NS: Final = 1_000_000_000
"""An answer that takes a second interrupts whoever waits for it (Nielsen), and no delayed ACK is as long (RFC 9293 section
3.8.6.3: 0.5 s)."""

NOTICEABLE_NS: Final = 200_000_000
"""A shorter stall is no more than one retransmission time-out at its shortest (Linux)."""

STALLED_SHARE: Final = 10
"""A stall matters if it took more than one part in so many of the time in which anything was to be done."""

LOSS_SHARE: Final = 100
"""One segment lost in so many bounds the rate of a long path: RFC 5348 section 3.1 gives 12 segments a round trip."""

DEFAULT_MSS: Final = 536
"""Segments up to this size pass everywhere (RFC 9293 section 3.7.1)."""

UNCLOSED_NS: Final = 10_000_000_000
"""A program that has not closed its side so long after the other one did has hardly noticed."""

FEW_SAMPLES: Final = 20
"""With fewer round trips the 95 % are those of a single one."""

UNSTEADY_NS: Final = 250_000_000
"""A round trip that is longer than others by more than any delayed ACK in use (200 ms) shows a queue or a radio link."""

GARBLED: Final = (20, 21, 50, 51)
"""TLS alerts of a side that could not read what it was sent (RFC 8446 section 6): bad_record_mac, decryption_failed,
decode_error, decrypt_error."""


def symptom(conn: Connection, msl_ns: i64) -> i64:
    """Twice the code of the symptom that explains most of a finished connection, plus the side that it is about."""
    found: i64 = _opening(conn)
    if found == NONE and conn.one_sided and not _is_own_peer(conn):
        found = 2 * ONE_SIDED
    if found == NONE and conn.log is not None:
        found = _broken(conn, msl_ns)
    if found == NONE and conn.timing is not None:
        found = _costly(conn, conn.timing)
    return found or _ended(conn) or _small(conn) or _incomplete(conn)


def _is_own_peer(conn: Connection) -> bool:
    """A socket that is connected to itself has but one direction."""
    return conn.key == reverse_key(conn.key)


def _has(conn: Connection, kind: i64) -> bool:
    """Whether there may be facts of this kind."""
    return conn.fact_kinds & KIND_BITS[kind] != 0


def _opening(conn: Connection) -> i64:
    """What kept the connection from opening."""
    if conn.client.syn_frame == 0:
        return NONE
    if conn.ack_frame != 0 and not _has(conn, SYN_ACK_IGNORES_DATA) and not conn.aborted:
        return NONE
    if _ignored(conn):
        return 2 * OVERFLOW + SERVER
    verdict: str = handshake_verdict(conn)
    if verdict in ("complete", "simultaneous"):
        return _reset_at_once(conn)
    if _has(conn, ICMP_REPORTED) and rejection(conn, CLIENT) != 0:
        return 2 * REJECTED + CLIENT
    if verdict == "refused":
        return 2 * REFUSED + SERVER
    if verdict == "unanswered":
        return _silent(conn)
    if verdict == "half-open":
        if conn.listener is not None and is_flooded(conn.listener):
            return 2 * FLOOD + SERVER
        if watched_too_briefly(conn.server, conn) or conn.cut_off:
            return 2 * TOO_EARLY
        return 2 * HALF_OPEN + CLIENT
    if verdict == "aborted":
        if _has(conn, OLD_DUPLICATE_SYN):
            return 2 * OLD_DUPLICATE
        return 2 * OPENING_RESET + (CLIENT if transfer_of(conn.client).trouble.rst_frame != 0 else SERVER)
    return NONE


def _ignored(conn: Connection) -> bool:
    """The server goes on as if the client's ACK had not come. Once, without data ignored, only the ACK may be lost."""
    if not _has(conn, SYN_ACK_IGNORES_DATA):
        return False
    ignored: i64 = 0
    for fact in conn.facts_of(SYN_ACK_IGNORES_DATA):
        if ignores_acknowledgement(fact, conn):
            ignored += 1
            if fact.a > 0:
                return True
    return ignored > 1


def _silent(conn: Connection) -> i64:
    """No answer to the SYN at all."""
    if watched_too_briefly(conn.client, conn) or conn.cut_off:
        return 2 * TOO_EARLY
    if conn.listener is not None:
        if conn.listener.ignored > 0:
            return 2 * OVERFLOW + SERVER
        if is_flooded(conn.listener):
            return 2 * FLOOD + SERVER
    return 2 * UNANSWERED + SERVER


def _reset_at_once(conn: Connection) -> i64:
    """The server completed the handshake and reset the connection without a word."""
    server: Transfer = transfer_of(conn.server)
    if server.trouble.rst_frame == 0 or server.payload_segments > 0 or server.fin_frame != 0:
        return NONE
    if transfer_of(conn.client).fin_frame != 0 or server.trouble.rst_time - conn.ack_time >= LONG_ANSWER_NS:
        return NONE
    return 2 * OPENING_RESET + SERVER


def rejection(conn: Connection, side: i64) -> i64:
    """The frame of the first ICMP error that says that segments of a side cannot be delivered at all; 0 without."""
    for fact in conn.facts_of(ICMP_REPORTED):
        if fact.side == side and not is_too_big(fact):
            return fact.frame
    return 0


def _told_too_big(conn: Connection, side: i64) -> bool:
    """Whether a router told a side that its segments are too big: then the path is no black hole."""
    return any(fact.side == side and is_too_big(fact) for fact in conn.facts_of(ICMP_REPORTED))


def _broken(conn: Connection, msl_ns: i64) -> i64:
    """The path swallows what is large, or everything; a host has forgotten the connection; a reset is not its side's."""
    found: i64 = _black_hole(conn, CLIENT) or _black_hole(conn, SERVER)
    if found != NONE:
        return found
    if _has(conn, SEGMENT_AFTER_RST):
        for fact in conn.facts_of(SEGMENT_AFTER_RST):
            return 2 * FORGED_RESET + fact.side
    if _has(conn, RST_TTL):
        for fact in conn.facts_of(RST_TTL):
            if fact.a - fact.b > 1 or fact.b - fact.a > 1:
                return 2 * FORGED_RESET + fact.side
    if _has(conn, SYN_IN_CONNECTION) and conn.aborted:
        for fact in conn.facts_of(SYN_IN_CONNECTION):
            if transfer_of(conn.side(fact.side)).trouble.rst_frame > fact.frame:
                return 2 * RESTARTED + fact.side
    if _has(conn, TIME_WAIT_FIN_RESET) or _has(conn, PORTS_REUSED):
        broken = violation(conn, 2 * msl_ns)
        if broken is not None and broken.kind not in (PORTS_REUSED, TIME_WAIT_FIN_RESET):
            broken = None  # silence proves nothing
        if broken is not None:
            return 2 * TIME_WAIT_BROKEN + (CLIENT if transfer_of(conn.client).time_wait_frame != 0 else SERVER)
    return _deserted(conn, CLIENT) or _deserted(conn, SERVER)


def _black_hole(conn: Connection, side: i64) -> i64:
    """The path swallows what is large of a side."""
    if swallows_large(transfer_of(conn.side(side))) and not _told_too_big(conn, side):
        return 2 * PATH_MTU + side
    return NONE


def _deserted(conn: Connection, side: i64) -> i64:
    """The path, or the other host, has gone while a side still sends."""
    if _has(conn, ICMP_REPORTED) and rejection(conn, side) != 0 and conn.side(side).unacknowledged() > 0:
        return 2 * REJECTED + side
    if _talks_to_nobody(conn, side):
        return 2 * VANISHED + 1 - side
    return NONE


def swallows_large(t: Transfer) -> bool:
    """All that timed out was larger than whatever arrived, and smaller pieces passed (RFC 4821, RFC 2923 section 2.1)."""
    passed: i64 = max(i64(t.delivered), t.trouble.cut_to)
    return t.trouble.timeouts > 1 and t.trouble.lost_length > DEFAULT_MSS and 0 < passed < t.trouble.lost_length


def _talks_to_nobody(conn: Connection, side: i64) -> bool:
    """A side has repeated itself, and for a second or more nothing at all has come back."""
    t: Transfer = transfer_of(conn.side(side))
    peer: Transfer = transfer_of(conn.side(1 - side))
    if peer.trouble.rst_frame != 0 or peer.trouble.zero_frame != 0 or not proves_absence(conn):
        return False
    if conn.watched_until - conn.side(1 - side).last_time < PATIENCE_NS:
        return False
    if conn.side(side).unacknowledged() > 0 and (t.trouble.backoff > 1 or (t.fin_ack_frame == 0 and t.fin_count > 2)):
        return True
    probes: i64 = 0
    if _has(conn, KEEP_ALIVE):
        for fact in conn.facts_of(KEEP_ALIVE):
            if fact.side == side and fact.time_ns > conn.side(1 - side).last_time:
                probes += 1
    return probes > 1


def _costly(conn: Connection, timing: Timing) -> i64:
    """What took most of the time, if it took enough of it."""
    found: i64 = NONE
    cost: i64 = 0
    if timing.server.longest_wait >= LONG_ANSWER_NS:
        cost = timing.server.longest_wait
        found = 2 * SLOW_ANSWER + SERVER
    busy: i64 = conn.last_time - conn.first_time - timing.idle - timing.client.thinking
    least: i64 = max(NOTICEABLE_NS, busy // STALLED_SHARE)
    least = max(least, cost + 1)
    if timing.client.window + timing.client.loss + timing.server.window + timing.server.loss < least:
        return found
    for side in (CLIENT, SERVER):
        one: SideTiming = timing.side(side)
        if one.window >= least:
            least = one.window + 1
            closed: i64 = transfer_of(conn.side(1 - side)).trouble.zero_time_total
            found = 2 * (SLOW_READER if 2 * closed >= one.window else SMALL_WINDOW) + 1 - side
        if one.loss >= least:
            least = one.loss + 1
            found = 2 * _loss_of(conn, side) + side
    return found


def _loss_of(conn: Connection, side: i64) -> i64:
    """Were segments lost, or did only their ACKs come late?"""
    t: Transfer = transfer_of(conn.side(side))
    needless: i64 = sent_for_nothing(conn, side)
    return LATE_ACKS if needless > 0 and 2 * needless >= t.trouble.retransmitted_segments else LOSS


def _ended(conn: Connection) -> i64:
    """How the connection came to its end, where that was not the ordinary one."""
    if conn.tls is not None and conn.tls.log is not None:
        for fault in conn.tls.log.faults:
            if fault.code == ALERT_FATAL:
                return 2 * (TLS_CORRUPT if fault.detail in GARBLED else TLS_REFUSED) + fault.side
    if conn.aborted:
        return _broken_off(conn)
    client: Transfer = transfer_of(conn.client)
    server: Transfer = transfer_of(conn.server)
    if (client.fin_frame == 0) != (server.fin_frame == 0) and proves_absence(conn):
        side: i64 = SERVER if client.fin_frame != 0 else CLIENT
        if unclosed(conn, side) >= UNCLOSED_NS:
            return 2 * LEFT_OPEN + side
    return NONE


def _broken_off(conn: Connection) -> i64:
    """A reset that took something with it: bytes under way, or an answer that was due."""
    client: Transfer = transfer_of(conn.client)
    server: Transfer = transfer_of(conn.server)
    side: i64 = CLIENT
    if client.trouble.rst_frame == 0 or 0 < server.trouble.rst_frame < client.trouble.rst_frame:
        side = SERVER
    if conn.timing is not None and conn.timing.refused_answer and not _said_goodbye(conn):
        return 2 * BROKEN_OFF + side
    t: Transfer = transfer_of(conn.side(side))
    timing: Timing | None = conn.timing
    just_sent: bool = (
        timing is not None and timing.owner == side and t.trouble.rst_time - timing.latest < LONG_ANSWER_NS
    )
    if just_sent and t.fin_frame == 0 and not _said_goodbye(conn):
        return 2 * BROKEN_OFF + side  # the reset throws away what the other side had not read yet
    least: i64 = TRIFLE if _said_goodbye(conn) else 0
    lost: i64 = under_way(conn, CLIENT) + under_way(conn, SERVER)
    if lost > least or (_has(conn, HALF_CLOSE_RESET) and least == 0):
        return 2 * BROKEN_OFF + side
    return NONE


def _said_goodbye(conn: Connection) -> bool:
    """After a whole TLS handshake the last word may be a closing alert: nobody waits for an answer, nor misses it."""
    tls: TlsConnection | None = conn.tls
    return tls is not None and tls.recognised and tls.outcome is not None and tls.outcome.completed


def under_way(conn: Connection, side: i64) -> i64:
    """Bytes of a side that were never acknowledged, its FIN not counted."""
    t: Transfer = transfer_of(conn.side(side))
    missing: i64 = conn.side(side).unacknowledged()
    return missing - 1 if missing > 0 and t.fin_frame != 0 and t.fin_ack_frame == 0 else missing


def unclosed(conn: Connection, side: i64) -> i64:
    """For how long a side has been silent in CLOSE-WAIT; 0 if it is not known to be there."""
    closer: Transfer = transfer_of(conn.side(1 - side))
    if closer.fin_ack_frame == 0:
        return 0
    return conn.watched_until - max(closer.fin_ack_time, transfer_of(conn.side(side)).last_data_time)


def _small(conn: Connection) -> i64:
    """Losses, disorder and unsteady delays that took little time."""
    resent: i64 = _resent(conn, CLIENT) or _resent(conn, SERVER)
    return resent or _unsteady(conn, CLIENT) or _unsteady(conn, SERVER)


def _resent(conn: Connection, side: i64) -> i64:
    """Losses of one side, or what it sent again because ACKs came late."""
    t: Transfer = transfer_of(conn.side(side))
    trouble: Trouble = t.trouble
    if trouble.retransmitted_segments == 0:
        return NONE
    refused: i64 = conn.count_of(SYN_DATA_REFUSED, 1 - side)
    lost: i64 = trouble.lost_before + trouble.lost_behind - trouble.needless_probes - refused
    if lost > 0 and lost * LOSS_SHARE >= t.payload_segments:
        return 2 * LOSS + side
    needless: i64 = sent_for_nothing(conn, side)
    if needless > 0 and needless * LOSS_SHARE >= t.payload_segments:
        return 2 * LATE_ACKS + side
    return NONE


def _unsteady(conn: Connection, side: i64) -> i64:
    """Disorder and unsteady delays of what one side sent."""
    t: Transfer = transfer_of(conn.side(side))
    late: i64 = t.trouble.out_of_order
    if late > 0 and late * LOSS_SHARE >= t.payload_segments:
        return 2 * REORDERED + side
    rtt: Quantiles | None = t.stamp_rtt if t.stamp_rtt is not None else t.round_trips
    if rtt is not None and is_unsteady(rtt) and _acknowledges_alone(conn, 1 - side):
        return 2 * JITTER + side
    return NONE


def _acknowledges_alone(conn: Connection, side: i64) -> bool:
    """Whether the capture has ACKs without data: where they were filtered out, a round trip is the time to an answer."""
    t: Transfer = transfer_of(conn.side(side))
    control: i64 = i64(conn.side(side).syn_count) + i64(t.fin_count) + t.trouble.rst_count
    return conn.side(side).segments > t.payload_segments + control


def sent_for_nothing(conn: Connection, side: i64) -> i64:
    """Segments sent again that had arrived; not what comes when all is over, which the network has held back."""
    kind: i64 = RETRANSMISSION + CAUSE_SPURIOUS
    late: i64 = 0
    if conn.closed:
        for fact in conn.facts_of(kind):
            if fact.side == side and fact.time_ns > conn.closed_time:
                late += 1
    return conn.count_of(kind, side) - late


def is_unsteady(rtt: Quantiles) -> bool:
    """More than one round trip in twenty is longer than half of them by what no delayed ACK explains."""
    if rtt.count < FEW_SAMPLES or rtt.maximum - rtt.minimum < UNSTEADY_NS:
        return False
    return rtt.quantile(95, 100) - rtt.quantile(1, 2) >= UNSTEADY_NS


def _incomplete(conn: Connection) -> i64:
    """Nothing wrong is seen, but the capture has not seen all."""
    if conn.lossy and not _is_own_peer(conn):
        return 2 * BYTES_MISSING
    if conn.cut_off and not conn.closed:
        return 2 * CUT_OFF
    return NONE
