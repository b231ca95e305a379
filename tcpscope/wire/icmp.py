"""ICMP errors about a TCP segment (RFC 792, RFC 1191, RFC 4443): who says what about which connection.

An error quotes the packet that caused it. RFC 792 promises eight octets of what the IP header carries: the ports and the
sequence number, no more.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import Cursor
from tcpscope.wire.ip import MAX_EXTENSIONS, extension_size
from tcpscope.wire.protocols import FRAGMENT_HEADER, ICMP, ICMPV6, TCP, is_extension
from tcpscope.wire.segment import ABSENT
from tcpscope.wire.skips import ICMP_ERROR, NOT_TCP
from tcpscope.wire.tcp import u16, u32

UNREACHABLE: Final = 3
TIME_EXCEEDED: Final = 11
FRAGMENTATION_NEEDED: Final = 4  # code of UNREACHABLE

UNREACHABLE_V6: Final = 1
PACKET_TOO_BIG_V6: Final = 2
TIME_EXCEEDED_V6: Final = 3


class IcmpError:
    """One ICMP error about a TCP segment; one object, filled for each. Type and code are those of ``ip_version``."""

    def __init__(self) -> None:
        self.frame: i64 = 0  # 1-based frame number
        self.time_ns: i64 = 0  # nanoseconds since 1970 UTC
        self.ip_version: i64 = 0
        self.type: i64 = 0
        self.code: i64 = 0
        self.mtu: i64 = ABSENT  # of the next hop; ABSENT if not told (routers older than RFC 1191 tell 0)
        self.reporter: bytes = b""  # address of the sender of the error: 4 or 16 bytes
        self.key: bytes = b""  # like Segment.key, in the direction of the quoted segment
        self.seq: i64 = ABSENT  # of the quoted segment; ABSENT if the quotation ends before


def decode_icmp(c: Cursor, error: IcmpError) -> i64:
    """Fill ``error`` from the ICMP message at ``c.o``; returns ICMP_ERROR, or NOT_TCP if it is not about TCP."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 8 > c.end:
        return NOT_TCP
    kind: i64 = data[o]
    code: i64 = data[o + 1]
    error.mtu = ABSENT
    if c.version == 4:
        if c.kind != ICMP or (kind != UNREACHABLE and kind != TIME_EXCEEDED):
            return NOT_TCP
        mtu: i64 = u16(data, o + 6)
        if kind == UNREACHABLE and code == FRAGMENTATION_NEEDED and mtu > 0:
            error.mtu = mtu
        error.reporter = data[c.ip + 12 : c.ip + 16]
    else:
        if c.kind != ICMPV6 or kind < UNREACHABLE_V6 or kind > TIME_EXCEEDED_V6:
            return NOT_TCP
        if kind == PACKET_TOO_BIG_V6:
            error.mtu = u32(data, o + 4)
        error.reporter = data[c.ip + 8 : c.ip + 24]
    error.frame = c.number
    error.time_ns = c.time_ns
    error.ip_version = c.version
    error.type = kind
    error.code = code
    return quote_ipv4(c, error, o + 8) if c.version == 4 else quote_ipv6(c, error, o + 8)


def quote_ipv4(c: Cursor, error: IcmpError, o: i64) -> i64:
    """The quoted packet, if its first fragment and TCP."""
    data: bytes = c.data
    if o + 20 > c.end:
        return NOT_TCP
    first: i64 = data[o]
    header: i64 = (first & 15) << 2
    protocol: i64 = data[o + 9]
    if first >> 4 != 4 or header < 20 or protocol != TCP or u16(data, o + 6) & 0x1FFF:
        return NOT_TCP
    return quote_tcp(c, error, data[o + 12 : o + 20], o + header)


def quote_ipv6(c: Cursor, error: IcmpError, o: i64) -> i64:
    """The quoted packet, if its first fragment and TCP."""
    data: bytes = c.data
    if o + 40 > c.end:
        return NOT_TCP
    first: i64 = data[o]
    protocol: i64 = data[o + 6]
    at: i64 = o + 40
    count: i64 = 0
    while is_extension(protocol):
        if count == MAX_EXTENSIONS or at + 8 > c.end:
            return NOT_TCP
        if protocol == FRAGMENT_HEADER and u16(data, at + 2) & 0xFFF8:
            return NOT_TCP
        size: i64 = extension_size(data, at, protocol)
        protocol = data[at]
        at += size
        count += 1
    if first >> 4 != 6 or protocol != TCP:
        return NOT_TCP
    return quote_tcp(c, error, data[o + 8 : o + 40], at)


def quote_tcp(c: Cursor, error: IcmpError, addresses: bytes, o: i64) -> i64:
    """Ports and sequence number of the quoted segment."""
    if o + 4 > c.end:
        return NOT_TCP
    error.key = addresses + c.data[o : o + 4]
    error.seq = u32(c.data, o + 4) if o + 8 <= c.end else ABSENT
    return ICMP_ERROR
