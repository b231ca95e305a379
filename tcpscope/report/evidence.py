"""What the cause of a segment rests on, in numbers: for ``segments --format jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.report.quantities import seconds
from tcpscope.state.endpoint import Transfer
from tcpscope.state.facts import (
    CAUSE_CAPTURE_COPY,
    CAUSE_FAST,
    CAUSE_NETWORK_DUPLICATE,
    CAUSE_SACK,
    CAUSE_TIMEOUT,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.wire.segment import Segment

Evidence = dict[str, int | float]

ASKED: Final = (CAUSE_FAST, CAUSE_SACK)
COPIED: Final = (CAUSE_CAPTURE_COPY, CAUSE_NETWORK_DUPLICATE)


def evidence_of(conn: Connection, side: int, seg: Segment) -> Evidence | None:
    """The numbers behind the cause of the latest segment, None if it has no cause. Durations are seconds.

    ``frame``: the earlier sending, or what overtook the segment or closed the window; ``since``: the time since then (of a
    probe since the side's last segment); ``rtt``: the smoothed round trip that the sender may have seen from here;
    ``backoff``: how often the timer has run off in a row, 0 for the rest of the flight; ``duplicate_acks`` and
    ``sack_edge`` (a raw sequence number): what the receiver had said; ``tsval`` and ``tsecr``; ``ip_id``.
    """
    repeat = conn.repeat
    if repeat is None:
        return None
    cause = repeat.cause
    sender = conn.side(side).transfer or Transfer()
    receiver = conn.side(1 - side).transfer or Transfer()
    found: Evidence = {}
    if repeat.other:
        found["frame"] = int(repeat.other)
    if repeat.since >= 0:
        found["since"] = seconds(repeat.since)
    if sender.srtt >= 0:
        found["rtt"] = seconds(sender.srtt)
    if cause == CAUSE_TIMEOUT:
        found["backoff"] = int(sender.trouble.backoff)
    if cause in ASKED:
        found["duplicate_acks"] = int(receiver.trouble.duplicate_run)
        if receiver.trouble.sack_high >= 0:
            found["sack_edge"] = int(receiver.trouble.sack_high)
    if cause in COPIED and seg.ip_id >= 0:
        found["ip_id"] = int(seg.ip_id)
    if seg.ts_val >= 0:
        found["tsval"], found["tsecr"] = int(seg.ts_val), int(seg.ts_ecr)
    return found
