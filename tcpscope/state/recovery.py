"""Why a segment repeats bytes: the cause, as far as one capture point can prove it.

Time-out and back-off: RFC 6298. Fast retransmit: RFC 5681 section 3.2. SACK: RFC 6675. Tail loss probe: RFC 8985 section 7.
Times are nanoseconds.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.endpoint import Endpoint, Hole, Sent, Transfer
from tcpscope.state.facts import (
    CAUSE_FAST,
    CAUSE_PATH_MTU,
    CAUSE_SACK,
    CAUSE_SPURIOUS,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
)
from tcpscope.state.seq import diff
from tcpscope.wire.segment import Segment

DUPLICATES_FOR_FAST: Final = 3  # RFC 5681 section 3.2
MINIMUM_RTO: Final = 200_000_000  # Linux' lower bound; RFC 6298 section 2.4 would have 1 s
REORDERING_WITHOUT_RTT: Final = 3_000_000  # how late a segment may be when no round trip is known
NEAR_IP_ID: Final = 4096  # identifications of one flow lie this close


def update_rtt(transfer: Transfer, sample: i64) -> None:
    """One round-trip sample into the smoothed estimate (RFC 6298 section 2)."""
    if sample < 0:
        return
    if transfer.srtt < 0:
        transfer.srtt = sample
        transfer.rttvar = sample // 2
        return
    error: i64 = sample - transfer.srtt
    transfer.srtt += error // 8
    if error < 0:
        error = -error
    transfer.rttvar += (error - transfer.rttvar) // 4


def ip_id_order(earlier: i64, later: i64) -> i64:
    """-1: ``later`` was stamped before ``earlier``, 1: after, 0: the same, 2: the identifications tell nothing."""
    if earlier <= 0 or later <= 0:
        return 2
    distance: i64 = (later - earlier) & 0xFFFF
    if distance == 0:
        return 0
    if distance < NEAR_IP_ID:
        return 1
    if distance > 0x10000 - NEAR_IP_ID:
        return -1
    return 2


def late_or_resent(sender: Endpoint, transfer: Transfer, receiver: Transfer, hole: Hole, seg: Segment) -> bool:
    """A segment fills a hole: True if it is only late (reordered), False if it was sent again after the loss.

    Timestamps and identifications that count up tell what was sent first. Otherwise it is the time: nothing can be sent again
    for a hole before an ACK of what lies behind it has gone from here to the sender and a segment has come back.
    """
    delay: i64 = seg.time_ns - hole.time_ns
    limit: i64 = REORDERING_WITHOUT_RTT
    if transfer.srtt > 0 and receiver.srtt > 0:  # the ways to both ends and back; jitter takes a quarter
        limit = (transfer.srtt + receiver.srtt) * 3 // 4
    if hole.acknowledged:
        # Nothing was lost: it is captured late, behind its ACK, or the sender repeats it in vain.
        return delay <= max(limit, REORDERING_WITHOUT_RTT)
    if seg.ts_val >= 0 and transfer.ts_val >= 0 and seg.ts_val != transfer.ts_val:
        return diff(seg.ts_val, transfer.ts_val) < 0
    if ip_id_order(i64(transfer.earlier_ip_id), i64(transfer.highest_ip_id)) == 1 and seg.ip_id != sender.first_ip_id:
        order: i64 = ip_id_order(i64(transfer.highest_ip_id), seg.ip_id)
        if order == -1 or order == 1:
            return order == -1
    return receiver.trouble.duplicate_run < DUPLICATES_FOR_FAST and delay <= limit


def timeout_of(transfer: Transfer) -> i64:
    """The shortest retransmission time-out that the round trips seen here allow (RFC 6298 section 2)."""
    if transfer.srtt < 0:
        return MINIMUM_RTO
    return max(MINIMUM_RTO, transfer.srtt + 4 * transfer.rttvar)


def is_tail(sender: Endpoint, transfer: Transfer, end: i64) -> bool:
    """Nothing but a FIN was sent behind it."""
    return end == sender.nxt or (transfer.fin_seq >= 0 and end == transfer.fin_seq)


def timer_fired(transfer: Transfer, now: i64, since: i64) -> bool:
    """Nothing was sent for so long that the timer must have run off. ``since``: time since the sending before."""
    timeout: i64 = timeout_of(transfer)
    idle: i64 = now - transfer.last_data_time
    if transfer.trouble.loss_until >= 0 and transfer.trouble.backoff == 0 and idle < timeout:
        return False  # an ACK has come since the time-out and brings the next one
    return since >= timeout - timeout // 8 and idle >= timeout // 2


def cause_of(
    sender: Endpoint, transfer: Transfer, receiver: Transfer, seg: Segment, sent: Sent | None, since: i64
) -> i64:
    """CAUSE_ code of a segment that is sent again.

    ``sent``: its earlier sending, if known; ``since``: the time since then, or since the hole that it fills was seen, or -1.
    """
    end: i64 = (seg.seq + seg.length) & 0xFFFFFFFF
    if sender.una >= 0 and diff(end, sender.una) <= 0:
        return CAUSE_SPURIOUS
    if transfer.trouble.too_big_until >= 0 and diff(end, transfer.trouble.too_big_until) <= 0:
        return CAUSE_PATH_MTU  # RFC 1191 section 6.4: the packets in flight are known to be lost
    if transfer.trouble.loss_until >= 0 and diff(seg.seq, transfer.trouble.loss_until) < 0:
        return CAUSE_TIMEOUT  # the rest of the flight that the time-out declared lost (RFC 5681 section 3.1)
    first: bool = sent is None or sent.sendings == 1
    if receiver.trouble.duplicate_run >= DUPLICATES_FOR_FAST and sender.una == seg.seq and first:
        return CAUSE_FAST
    if first and receiver.trouble.sack_high >= 0 and diff(receiver.trouble.sack_high, end) >= 0:
        return CAUSE_SACK
    if since < 0:
        return CAUSE_UNKNOWN
    timeout: i64 = timeout_of(transfer)
    idle: i64 = seg.time_ns - transfer.last_data_time
    if first and receiver.trouble.duplicate_run == 0 and transfer.srtt >= 0 and is_tail(sender, transfer, end):
        # The probe fires two round trips after the last segment, well before the time-out (RFC 8985 section 7.2).
        if idle >= transfer.srtt and since < timeout + transfer.srtt:
            return CAUSE_TAIL_LOSS_PROBE
    if timer_fired(transfer, seg.time_ns, since):
        return CAUSE_TIMEOUT
    if receiver.trouble.duplicate_run > 0 or receiver.trouble.sack_high >= 0:
        return CAUSE_SACK if receiver.trouble.sack_high >= 0 else CAUSE_FAST
    if transfer.srtt >= 0 and since >= timeout // 2:
        return CAUSE_TIMEOUT
    return CAUSE_UNKNOWN
