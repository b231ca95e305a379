"""Retransmissions that turn out to be needless: what had been sent before had arrived, or was still under way.

Two proofs come after the fact: an acknowledgement that echoes a timestamp from before the retransmission (the Eifel detection
algorithm, RFC 3522 section 3), and a D-SACK for its bytes (RFC 2883 section 4). A third one, the acknowledgement seen before the
retransmission, is there at once (:func:`tcpscope.state.recovery.cause_of`).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Resend, Transfer, Trouble
from tcpscope.state.facts import (
    CAUSE_PATH_MTU,
    CAUSE_SPURIOUS,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    PROOF_DSACK,
    PROOF_STEP,
    PROOF_TIMESTAMP,
    RETRANSMISSION,
)
from tcpscope.state.seq import diff
from tcpscope.wire.segment import Segment

MAX_RESENDS: Final = 32  # a direction; older ones are not proved any more


def remember(t: Transfer, resend: Resend) -> None:
    """A retransmission that may prove needless."""
    resends: list[Resend] | None = t.trouble.resends
    if resends is None:
        resends = []
        t.troubled().resends = resends
    if len(resends) >= MAX_RESENDS:
        resends.pop(0)
    resends.append(resend)


def latest(t: Transfer, left: i64, right: i64) -> Resend | None:
    """The latest retransmission that has bytes of left..right and that no D-SACK has reported."""
    resends: list[Resend] | None = t.trouble.resends
    if resends is None:
        return None
    i: i64 = len(resends) - 1
    while i >= 0:
        resend: Resend = resends[i]
        if not resend.reported and diff(resend.seq, right) < 0 and diff(resend.end, left) > 0:
            return resend
        i -= 1
    return None


def acknowledged(conn: Connection, side: i64, p: Transfer, before: i64, seg: Segment) -> None:
    """An ACK moves ``side``'s edge from ``before`` on: does it answer the retransmission at the edge, or what was sent before?

    Only the segment at the edge decides, since a delayed ACK echoes the earliest of those that it covers (RFC 7323 section 4.2).
    """
    resends: list[Resend] | None = p.trouble.resends
    if resends is None:
        return
    if p.trouble.loss_until >= 0 and diff(seg.ack, p.trouble.loss_until) >= 0:
        p.troubled().loss_until = -1
    if seg.ts_ecr < 0:
        return
    for resend in resends:
        at_edge: bool = diff(resend.seq, before) <= 0 and diff(resend.end, before) > 0
        if at_edge and not resend.needless and resend.ts_val >= 0 and diff(seg.ts_ecr, resend.ts_val) < 0:
            _prove(conn, side, p, resend, PROOF_TIMESTAMP)


def reported(conn: Connection, side: i64, p: Transfer, left: i64, right: i64) -> i64:
    """A D-SACK for bytes left..right of ``side``: they arrived twice. The frame that repeats them, 0 if none does."""
    resend: Resend | None = latest(p, left, right)
    if resend is None:
        return 0
    resend.reported = True
    if not resend.needless:
        _prove(conn, side, p, resend, PROOF_DSACK)
    return resend.frame


def _prove(conn: Connection, side: i64, p: Transfer, resend: Resend, proof: i64) -> None:
    """Tell the fact anew. A loss probe may be needless, and a smaller MTU is a cause of its own."""
    resend.needless = True
    if resend.cause == CAUSE_SPURIOUS:
        return
    trouble: Trouble = p.troubled()
    if resend.filled_hole:
        trouble.lost_before -= 1
    else:
        trouble.lost_behind -= 1
    if resend.cause == CAUSE_TAIL_LOSS_PROBE:
        trouble.needless_probes += 1
        return
    if resend.cause == CAUSE_PATH_MTU:
        return
    if resend.cause == CAUSE_TIMEOUT:
        trouble.spurious_timeouts += 1
        trouble.loss_until = -1
    if conn.log is not None:
        before: i64 = RETRANSMISSION + resend.cause
        after: i64 = RETRANSMISSION + CAUSE_SPURIOUS
        conn.log.retell(side, before, after, resend.frame, proof * PROOF_STEP + resend.cause)


def was_probe(conn: Connection, side: i64, t: Transfer, seg: Segment, end: i64, wait: i64) -> bool:
    """A time-out that comes as soon after the one before it as that came after the first sending: the earlier was a probe.

    With one segment in flight the tail loss probe fires when the time-out would have (RFC 8985 section 7.2); what tells them
    apart is that a time-out doubles the timer (RFC 6298 section 5.5) and a probe does not.
    """
    resend: Resend | None = latest(t, seg.seq, end)
    if resend is None or resend.cause != CAUSE_TIMEOUT or not resend.tail or 2 * wait >= 3 * resend.wait:
        return False
    resend.cause = CAUSE_TAIL_LOSS_PROBE
    if conn.log is not None:
        before: i64 = RETRANSMISSION + CAUSE_TIMEOUT
        conn.log.retell(side, before, RETRANSMISSION + CAUSE_TAIL_LOSS_PROBE, resend.frame, t.srtt)
    return True
