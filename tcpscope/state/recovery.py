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


def late_or_resent(transfer: Transfer, receiver: Transfer, hole: Hole, seg: Segment) -> bool:
    """A segment fills a hole: True if it is only late (reordered), False if it was sent again after the loss.

    The IP identification decides where the sender counts it up; otherwise the delay against half a round trip and the
    duplicate acknowledgements that a loss would have caused.
    """
    order: i64 = ip_id_order(transfer.highest_ip_id, seg.ip_id)
    if order == -1:
        return True
    if order == 1:
        return False
    if receiver.duplicate_run >= DUPLICATES_FOR_FAST:
        return False
    delay: i64 = seg.time_ns - hole.time_ns
    limit: i64 = transfer.srtt // 2 if transfer.srtt > 0 else REORDERING_WITHOUT_RTT
    return delay <= limit


def cause_of(sender: Endpoint, transfer: Transfer, receiver: Transfer, seg: Segment, sent: Sent | None) -> i64:
    """CAUSE_ code of a segment with bytes below the highest sequence number sent. ``sent``: its earlier sending, if known."""
    end: i64 = (seg.seq + seg.length) & 0xFFFFFFFF
    elapsed: i64 = seg.time_ns - sent.last_time_ns if sent is not None else -1
    if sender.una >= 0 and diff(end, sender.una) <= 0:
        return CAUSE_SPURIOUS
    if transfer.too_big_until >= 0 and diff(end, transfer.too_big_until) <= 0:
        return CAUSE_PATH_MTU  # RFC 1191 section 6.4: the packets in flight are known to be lost
    first: bool = sent is None or sent.sendings == 1
    if receiver.duplicate_run >= DUPLICATES_FOR_FAST and sender.una == seg.seq and first:
        return CAUSE_FAST
    if first and receiver.sack_high >= 0 and diff(receiver.sack_high, end) >= 0:
        return CAUSE_SACK
    if elapsed < 0:
        return CAUSE_UNKNOWN
    timeout: i64 = MINIMUM_RTO
    if transfer.srtt >= 0:
        timeout = max(MINIMUM_RTO, transfer.srtt + 4 * transfer.rttvar)
    idle: i64 = seg.time_ns - transfer.last_data_time
    tail: bool = end == sender.nxt or (transfer.fin_seq >= 0 and end == transfer.fin_seq)
    if tail and first and receiver.duplicate_run == 0 and transfer.srtt >= 0:
        # The probe fires two round trips after the last segment, well before the time-out (RFC 8985 section 7.2).
        if idle >= transfer.srtt and elapsed < timeout + transfer.srtt:
            return CAUSE_TAIL_LOSS_PROBE
    if elapsed >= timeout - timeout // 8 and idle >= timeout // 2:
        return CAUSE_TIMEOUT
    if sender.una >= 0 and diff(seg.seq, sender.una) > 0 and transfer.backoff > 0:
        return CAUSE_TIMEOUT  # the rest of the flight that the time-out declared lost
    if receiver.duplicate_run > 0 or receiver.sack_high >= 0:
        return CAUSE_SACK if receiver.sack_high >= 0 else CAUSE_FAST
    if transfer.srtt >= 0 and elapsed >= timeout // 2:
        return CAUSE_TIMEOUT
    return CAUSE_UNKNOWN
