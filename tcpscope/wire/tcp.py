"""The TCP header and its options (RFC 9293 sections 3.1 and 3.2)."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcpscope.wire.protocols import TCP
from tcpscope.wire.segment import (
    ABSENT,
    BAD_LENGTH,
    CHECKSUM_BAD,
    CHECKSUM_GOOD,
    CHECKSUM_UNKNOWN,
    MISPLACED,
    REPEATED,
    SYN,
    Segment,
)
from tcpscope.wire.skips import BAD_TCP_HEADER, CUT_TCP_HEADER, DECODED

# Option kinds.
END: Final = 0
NOP: Final = 1
MSS: Final = 2  # RFC 9293
WINDOW_SCALE: Final = 3  # RFC 7323
SACK_PERMITTED: Final = 4  # RFC 2018
SACK: Final = 5  # RFC 2018
TIMESTAMPS: Final = 8  # RFC 7323
MD5: Final = 19  # RFC 2385
AUTHENTICATION: Final = 29  # RFC 5925
MPTCP: Final = 30  # RFC 8684
FAST_OPEN: Final = 34  # RFC 7413
EXPERIMENT: Final = 254  # RFC 6994
FAST_OPEN_EXPERIMENT: Final = 0xF989  # its experiment identifier (RFC 6994), used before kind 34 was assigned


PLAIN_TIMESTAMPS: Final = 0x0101080A
"""What nearly every segment with options begins them with: two NOPs and a timestamps option (RFC 7323 appendix A)."""


def decode_tcp(segment: Segment, data: bytes, o: i64, end: i64, stop: i64) -> i64:
    """Fill ``segment`` from the TCP header at ``o``; returns 0 or a skip code.

    ``end`` is where the captured bytes end, ``stop`` where the segment ends by its IP header (never before ``end``).
    """
    if o + 20 > end:
        return CUT_TCP_HEADER if o + 20 <= stop else BAD_TCP_HEADER
    # Eight octets at a time, as read_i64_be gives them; the last four of the header by those before them.
    ports: i64 = read_i64_be(data, o)
    numbers: i64 = read_i64_be(data, o + 8)
    rest: i64 = read_i64_be(data, o + 12)
    segment.src_port = ports >> 48 & 0xFFFF
    segment.dst_port = ports >> 32 & 0xFFFF
    segment.seq = ports & 0xFFFFFFFF
    segment.ack = numbers >> 32 & 0xFFFFFFFF
    segment.flags = numbers >> 16 & 0xFF
    segment.window = numbers & 0xFFFF
    segment.tcp_checksum = rest >> 16 & 0xFFFF
    segment.urgent = rest & 0xFFFF
    header: i64 = (numbers >> 28 & 15) << 2
    payload: i64 = o + header
    if header < 20 or payload > stop:
        return BAD_TCP_HEADER
    segment.header_length = header
    segment.length = stop - payload
    segment.data = data
    segment.payload = payload
    segment.captured = end - payload
    segment.header_cut = 0
    segment.checksum = CHECKSUM_UNKNOWN
    if payload > end:
        segment.captured = 0
        segment.header_cut = 1
    decode_options(segment, data, o + 20, payload, end)
    return DECODED


def decode_options(segment: Segment, data: bytes, o: i64, stop: i64, end: i64) -> None:
    """Set the option fields of ``segment`` from ``data[o:stop]``, of which nothing behind ``end`` was captured.

    An option of a known kind with a length it cannot have is passed over, as receivers do; a length that leads nowhere
    ends the options.
    """
    segment.mss = ABSENT
    segment.window_scale = ABSENT
    segment.sack_permitted = ABSENT
    segment.ts_val = ABSENT
    segment.ts_ecr = ABSENT
    segment.fast_open = ABSENT
    segment.mptcp = 0
    segment.bad_options = 0
    segment.sack_count = 0
    if o == stop:
        return
    if o + 12 == stop and stop <= end:
        first: i64 = read_i64_be(data, o)
        if first >> 32 == PLAIN_TIMESTAMPS:
            segment.ts_val = first & 0xFFFFFFFF
            segment.ts_ecr = read_i64_be(data, o + 4) & 0xFFFFFFFF
            return
    limit: i64 = min(stop, end)
    while o < limit:
        kind: i64 = data[o]
        if kind == END:
            return
        if kind == NOP:
            o += 1
            continue
        if o + 2 > limit:
            if limit == stop:
                segment.bad_options |= BAD_LENGTH
            return
        size: i64 = data[o + 1]
        if size < 2 or o + size > stop:
            segment.bad_options |= BAD_LENGTH
            return
        if o + size > limit:  # cut by the snap length
            return
        segment.bad_options |= decode_option(segment, data, o, kind, size)
        o += size


def decode_option(segment: Segment, data: bytes, o: i64, kind: i64, size: i64) -> i64:
    """Take in one option of ``size`` octets at ``o``; returns what is wrong with it, as in ``Segment.bad_options``."""
    fault: i64 = 0
    if kind == TIMESTAMPS:
        if size != 10:
            return BAD_LENGTH
        fault = repeated(segment.ts_val)
        segment.ts_val = u32(data, o + 2)
        segment.ts_ecr = u32(data, o + 6)
    elif kind == SACK:
        if (size - 2) & 7:
            return BAD_LENGTH
        if size == 2:
            return 0  # no block: a length of 8 * n + 2 with n = 0 (RFC 2018 section 3)
        fault = REPEATED if segment.sack_count > 0 else 0
        decode_sack(segment, data, o + 2, (size - 2) >> 3)
    elif kind == MSS:
        if size != 4:
            return BAD_LENGTH
        fault = repeated(segment.mss) | misplaced(segment)
        segment.mss = u16(data, o + 2)
    elif kind == WINDOW_SCALE:
        if size != 3:
            return BAD_LENGTH
        fault = repeated(segment.window_scale) | misplaced(segment)
        segment.window_scale = data[o + 2]
    elif kind == SACK_PERMITTED:
        if size != 2:
            return BAD_LENGTH
        fault = repeated(segment.sack_permitted) | misplaced(segment)
        segment.sack_permitted = 1
    elif kind == MPTCP:
        if size < 3:
            return BAD_LENGTH
        subtype: i64 = data[o + 2]
        bit: i64 = 1
        bit <<= subtype >> 4
        segment.mptcp |= bit
    elif kind == FAST_OPEN:
        return decode_fast_open(segment, size - 2)
    elif kind == EXPERIMENT and size >= 4 and u16(data, o + 2) == FAST_OPEN_EXPERIMENT:
        return decode_fast_open(segment, size - 4)
    elif (kind == MD5 and size != 18) or (kind == AUTHENTICATION and size < 4):
        return BAD_LENGTH
    return fault


def repeated(before: i64) -> i64:
    """REPEATED if the option's field is filled already."""
    return REPEATED if before != ABSENT else 0


def misplaced(segment: Segment) -> i64:
    """MISPLACED if the segment has no SYN."""
    return MISPLACED if segment.flags & SYN == 0 else 0


def decode_fast_open(segment: Segment, cookie: i64) -> i64:
    """A cookie is absent (a request for one) or an even number of 4 to 16 octets (RFC 7413 section 4.1.1)."""
    if cookie != 0 and (cookie < 4 or cookie > 16 or cookie & 1):
        return BAD_LENGTH
    fault: i64 = repeated(segment.fast_open) | misplaced(segment)
    segment.fast_open = cookie
    return fault


def decode_sack(segment: Segment, data: bytes, o: i64, count: i64) -> None:
    """The left and right edges of up to four blocks (RFC 2018 section 3); the header has no room for more."""
    segment.sack_count = min(count, 4)
    segment.sack_left0 = u32(data, o)
    segment.sack_right0 = u32(data, o + 4)
    if count > 1:
        segment.sack_left1 = u32(data, o + 8)
        segment.sack_right1 = u32(data, o + 12)
    if count > 2:
        segment.sack_left2 = u32(data, o + 16)
        segment.sack_right2 = u32(data, o + 20)
    if count > 3:
        segment.sack_left3 = u32(data, o + 24)
        segment.sack_right3 = u32(data, o + 28)


def verify_checksum(addresses: bytes, content: bytes) -> i64:
    """Judge the checksum of a whole segment (RFC 9293 section 3.1; RFC 8200 section 8.1), both given as on the wire.

    Both pseudo headers add up to the addresses, the protocol and the length. A one's complement sum of 16-bit words is
    zero exactly when the number they spell is a multiple of 65535, which spares the loop.
    """
    total: int = int.from_bytes(content, "big")
    if len(content) & 1:
        total <<= 8
    total += int.from_bytes(addresses, "big") + TCP + len(content)
    return CHECKSUM_GOOD if total % 0xFFFF == 0 else CHECKSUM_BAD


def judge_checksum(segment: Segment) -> i64:
    """The checksum of a decoded segment, like :func:`verify_checksum`; CHECKSUM_UNKNOWN if not all of it was captured."""
    if segment.captured < segment.length or segment.header_cut != 0:
        return CHECKSUM_UNKNOWN
    start: i64 = segment.payload - segment.header_length
    addresses: bytes = segment.key[:8] if len(segment.key) == 12 else segment.key[:32]
    return verify_checksum(addresses, segment.data[start : segment.payload + segment.length])


def is_unfilled(segment: Segment) -> bool:
    """Whether the checksum field holds what stacks leave there for a network card to complete: the sum of the pseudo header
    as it stands, not its complement, with the segment's length or without; or nothing.
    """
    if segment.tcp_checksum == 0:
        return True
    key: bytes = segment.key
    total: i64 = TCP
    at: i64 = 0
    end: i64 = len(key) - 4
    while at < end:
        total += u16(key, at)
        at += 2
    apart: i64 = (segment.tcp_checksum - total) % 0xFFFF
    return apart == 0 or apart == (segment.header_length + segment.length) % 0xFFFF


def checksum_right(segment: Segment) -> bool:
    """Whether the segment's checksum is right over its bytes; False too where some were not captured."""
    state: i64 = segment.checksum
    if state == CHECKSUM_UNKNOWN:
        state = judge_checksum(segment)
    return state == CHECKSUM_GOOD


def u16(data: bytes, o: i64) -> i64:
    """Two octets, big-endian."""
    b0: i64 = data[o]
    b1: i64 = data[o + 1]
    return b0 << 8 | b1


def u32(data: bytes, o: i64) -> i64:
    """Four octets, big-endian."""
    if o >= 4:
        return read_i64_be(data, o - 4) & 0xFFFFFFFF
    b0: i64 = data[o]
    b1: i64 = data[o + 1]
    b2: i64 = data[o + 2]
    b3: i64 = data[o + 3]
    return b0 << 24 | b1 << 16 | b2 << 8 | b3
