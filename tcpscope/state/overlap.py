"""Were the same bytes sent twice with different contents? Told by checksums, without keeping a byte of payload.

A TCP checksum makes header, addresses and payload add up to zero in one's complement arithmetic (RFC 9293 section 3.1). What
the header adds is known when the segment passes, so the checksum tells the sum of the payload, for a few additions a segment.
Only when bytes are sent again is payload read: its sum against the one of the first sending.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Sent, Transfer
from tcpscope.state.facts import DATA_CHANGED
from tcpscope.state.seq import diff
from tcpscope.wire.protocols import TCP
from tcpscope.wire.segment import CHECKSUM_GOOD, CHECKSUM_UNFILLED, Segment
from tcpscope.wire.tcp import PLAIN_TIMESTAMPS, judge_checksum, u32

NO_DIGEST: Final = -1
PORT_BYTES: Final = 4  # at the end of a flow key, behind the addresses
MAX_WALK: Final = 1024  # unacknowledged segments looked at for one that is sent again


def digest(seg: Segment) -> i64:
    """The checksum (16 bits) below the sum of the header without addresses; NO_DIGEST where the options are unusual or cut off."""
    header: i64 = seg.header_length
    o: i64 = seg.payload - header
    if seg.header_cut != 0 or o < 0:
        return NO_DIGEST
    data: bytes = seg.data
    offset: i64 = data[o + 12]
    total: i64 = seg.src_port + seg.dst_port + seg.seq + seg.ack
    total += (offset << 8 | seg.flags) + seg.window + seg.urgent + header + seg.length
    if header == 20:
        return total << 16 | seg.tcp_checksum
    if header == 32 and seg.ts_val >= 0 and u32(data, o + 20) == PLAIN_TIMESTAMPS:
        return (total + PLAIN_TIMESTAMPS + seg.ts_val + seg.ts_ecr) << 16 | seg.tcp_checksum
    return NO_DIGEST


def compare(conn: Connection, side: i64, t: Transfer, seg: Segment, end: i64) -> None:
    """A segment repeats bytes of the latest flights: hold its payload against what was sent first.

    Only where its own checksum is right, so that it is not one that a network card fills in later. That the two sendings
    differ is proved if both checksums are right: judged when they passed, or because the receiver took the first one.
    """
    acked: Sent | None = t.acked
    judged: bool = False
    if acked is not None and _within(acked, seg, end):
        if not _is_right(seg):
            return
        judged = True
        if _differs(acked, seg):
            _note(conn, side, seg, acked, 1)
            return
    sent: Sent | None = t.oldest
    steps: i64 = 0
    while sent is not None and steps < MAX_WALK and diff(sent.seq, end) < 0:
        if _within(sent, seg, end):
            if not judged and not _is_right(seg):
                return
            judged = True
            if _differs(sent, seg):
                _note(conn, side, seg, sent, 1 if seg.checksum == CHECKSUM_GOOD else 0)
                return
        steps += 1
        sent = sent.next


def _is_right(seg: Segment) -> bool:
    """Whether the checksum is right over the bytes that were captured, which must be all."""
    return seg.checksum != CHECKSUM_UNFILLED and judge_checksum(seg) == CHECKSUM_GOOD


def _within(sent: Sent, seg: Segment, end: i64) -> bool:
    """Whether a segment repeats all bytes of an earlier one whose sum is known."""
    return sent.digest != NO_DIGEST and diff(sent.seq, seg.seq) >= 0 and diff(sent.end, end) <= 0


def _note(conn: Connection, side: i64, seg: Segment, sent: Sent, proved: i64) -> None:
    conn.note(DATA_CHANGED, side, seg.frame, seg.time_ns, sent.frame, diff(sent.end, sent.seq), proved)


def _differs(sent: Sent, seg: Segment) -> bool:
    """Whether the bytes of an earlier segment have another sum in this one."""
    key: bytes = seg.key
    start: i64 = seg.payload + diff(sent.seq, seg.seq)
    size: i64 = diff(sent.end, sent.seq)
    content: bytes = seg.data[start : start + size]
    total: int = int.from_bytes(content, "big")
    if size & 1:
        total <<= 8
    addresses: int = int.from_bytes(key[: len(key) - PORT_BYTES], "big") + TCP
    checksum: int = sent.digest & 0xFFFF
    header: int = sent.digest >> 16
    if (total + addresses + header + checksum) % 0xFFFF == 0:
        return False
    # What stands there until a network card fills it in: nothing, or the sum of addresses and protocol, with the length or not.
    apart: int = (checksum - addresses) % 0xFFFF
    length: int = size
    return checksum != 0 and apart != 0 and apart != length + 20 and apart != length + 32
