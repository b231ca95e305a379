"""IPv4 (RFC 791) and IPv6 (RFC 8200), down to the TCP header.

``stop`` is where a packet ends by the lengths of the layers outside. Its own length counts before that of the frame:
padding of the link layer is left out, and a packet cut by a snap length, even one that the file does not tell of (some
devices slice packets before the capture), keeps its real length.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcpscope.wire.cursor import IP, IPV4_IN, IPV6_IN, NEXT, UNBOUNDED, UPPER, Cursor
from tcpscope.wire.fragments import Reassembler
from tcpscope.wire.protocols import (
    AUTHENTICATION,
    ENCRYPTION,
    FRAGMENT_HEADER,
    HOP_BY_HOP,
    IPV4,
    IPV6,
    ROUTING,
    TCP,
    UDP,
    is_extension,
)
from tcpscope.wire.segment import ABSENT, Segment
from tcpscope.wire.skips import (
    BAD_IP_HEADER,
    CUT_IP_HEADER,
    DECODED,
    ENCRYPTED,
    NOT_TCP,
    TOO_DEEP,
)
from tcpscope.wire.tcp import decode_tcp, u16, u32, verify_checksum
from tcpscope.wire.tunnel_udp import is_tunnel_datagram

JUMBO_PAYLOAD: Final = 0xC2  # RFC 2675

MAX_OFFLOAD: Final = 1 << 20
"""Bytes that a packet may claim whose length field is 0; Linux stops at half of it."""

MAX_PADDING: Final = 26 + 4  # an Ethernet frame of the least size has no more, with its check sequence

MAX_EXTENSIONS: Final = 16
"""IPv6 extension headers that one packet may carry."""


def direct_tcp(segment: Segment, data: bytes, o: i64, end: i64, stop: i64, verify: bool) -> i64:
    """Fill ``segment`` if TCP follows an ordinary IP header at ``o`` directly; returns 0, a skip code, or NEXT if not so.

    This is what nearly every frame has. Everything else about IP is left to :func:`decode_ip`.
    """
    if o + 40 > end:
        return NEXT
    head: i64 = read_i64_be(data, o)  # of IPv4: version, header and total length, identification, flags and offset
    version: i64 = head >> 60 & 15
    if version == 4:
        protocol: i64 = data[o + 9]
        if protocol != TCP or head & 0x3FFF:
            if protocol == UDP and head >> 56 == 0x45 and not is_tunnel_datagram(data, o + 20):
                return NEXT if head & 0x3FFF else NOT_TCP
            return NEXT
        tcp: i64 = o + ((head >> 56 & 15) << 2)
        total: i64 = o + (head >> 32 & 0xFFFF)
        if total < stop:
            stop = total
        if tcp < o + 20 or tcp > stop:
            return NEXT
        if stop < end:
            end = stop
        return finish_ipv4(segment, data, o, tcp, end, stop, verify)
    next_header: i64 = head >> 8 & 0xFF
    payload: i64 = head >> 16 & 0xFFFF
    if version != 6 or next_header != TCP or payload == 0:
        if version == 6 and next_header == UDP and o + 44 <= end and not is_tunnel_datagram(data, o + 40):
            return NOT_TCP
        return NEXT
    stop = min(stop, o + 40 + payload)
    return finish_ipv6(segment, data, o, o + 40, min(end, stop), stop, verify)


def finish_ipv4(segment: Segment, data: bytes, o: i64, tcp: i64, end: i64, stop: i64, verify: bool) -> i64:
    """Fill ``segment`` from the IPv4 header at ``o`` and the TCP header at ``tcp``; returns 0 or a skip code."""
    code: i64 = decode_tcp(segment, data, tcp, end, stop)
    if code != DECODED:
        return code
    head: i64 = read_i64_be(data, o)
    ends: i64 = read_i64_be(data, o + 12)  # both addresses
    segment.addresses = o + 12
    segment.address_size = 4
    segment.ports = tcp
    segment.source = (ends >> 16 & 0xFFFFFFFF0000) | segment.src_port
    segment.target = (ends & 0xFFFFFFFF) << 16 | segment.dst_port
    segment.ip_version = 4
    segment.ip_id = head >> 16 & 0xFFFF
    segment.ttl = data[o + 8]
    segment.ecn = head >> 48 & 3
    if verify and stop == end:
        segment.checksum = verify_checksum(data[o + 12 : o + 20], data[tcp:stop])
    return DECODED


def finish_ipv6(segment: Segment, data: bytes, o: i64, tcp: i64, end: i64, stop: i64, verify: bool) -> i64:
    """Fill ``segment`` from the IPv6 header at ``o`` and the TCP header at ``tcp``; returns 0 or a skip code."""
    code: i64 = decode_tcp(segment, data, tcp, end, stop)
    if code != DECODED:
        return code
    c1: i64 = data[o + 1]
    segment.addresses = o + 8
    segment.address_size = 16
    segment.ports = tcp
    segment.source = ABSENT
    segment.target = ABSENT
    segment.ip_version = 6
    segment.ip_id = ABSENT
    segment.ttl = data[o + 7]
    segment.ecn = c1 >> 4 & 3
    if verify and stop == end:
        segment.checksum = verify_checksum(data[o + 8 : o + 40], data[tcp:stop])
    return DECODED


def decode_ip(c: Cursor, segment: Segment, reassembler: Reassembler) -> i64:
    """An IP header of the version that ``c.kind`` asks for, or of any if that is 0."""
    if c.o >= c.end:
        return CUT_IP_HEADER if c.o < c.stop else BAD_IP_HEADER
    version: i64 = c.data[c.o]
    version >>= 4
    if (version != 4 and version != 6) or (c.kind != 0 and c.kind != version):
        return BAD_IP_HEADER
    c.tunnel = True
    c.version = version
    c.ip = c.o
    if version == 6:
        return decode_ipv6(c, segment)
    return decode_ipv4(c, segment, reassembler)


def decode_ipv4(c: Cursor, segment: Segment, reassembler: Reassembler) -> i64:
    """The IPv4 header at ``c.o``."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 20 > c.end:
        return CUT_IP_HEADER
    first: i64 = data[o]
    protocol: i64 = data[o + 9]
    fragment: i64 = u16(data, o + 6)
    header: i64 = (first & 15) << 2
    total: i64 = u16(data, o + 2)
    if c.guessed and not plausible_ipv4(c, header, total):
        return NOT_TCP
    c.extensions = 0
    if total == 0:  # left to the network card, which cuts the packet into smaller ones (segmentation offload)
        c.unsure = True
        total = c.limit - o
    elif o + total > c.stop:  # than the layer below says: what the checksum counts is not all there
        c.verify = False
    c.end_at(o + total)
    upper: i64 = o + header
    if header < 20 or upper > c.stop:
        return BAD_IP_HEADER
    if fragment & 0x3FFF:  # more fragments follow, or this one is not the first
        return reassembler.add_ipv4(c, upper, fragment)
    if protocol == TCP:
        return finish_ipv4(segment, data, o, upper, c.end, c.stop, c.verify)
    return c.to(UPPER, protocol, upper)


def decode_ipv6(c: Cursor, segment: Segment) -> i64:
    """The IPv6 header at ``c.o``."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 40 > c.end:
        return CUT_IP_HEADER
    protocol: i64 = data[o + 6]
    payload: i64 = u16(data, o + 4)
    if c.guessed and not fits_tightly(c, 40 + payload if payload > 0 else 0):
        return NOT_TCP
    c.sized = payload > 0
    if payload == 0:  # a jumbogram (RFC 2675), or left to the network card (segmentation offload)
        c.unsure = True
        c.end_at(max(c.limit, o + 40))
    else:
        if o + 40 + payload > c.stop:
            c.verify = False
        c.end_at(o + 40 + payload)
    c.extensions = 0
    if protocol == TCP:
        return finish_ipv6(segment, data, o, o + 40, c.end, c.stop, c.verify)
    return c.to(UPPER, protocol, o + 40)


def plausible_ipv4(c: Cursor, header: i64, total: i64) -> bool:
    """Whether the IPv4 header at ``c.o`` is one, and not what merely looks so: by its checksum or, without, its lengths."""
    if header < 20 or (total != 0 and total < header):
        return False
    if c.o + header > c.end or u16(c.data, c.o + 10) == 0:  # cut, or left to the network card
        return fits_tightly(c, total)
    total = 0
    at: i64 = c.o
    while at < c.o + header:  # their one's complement sum is all ones (RFC 1071)
        total += u16(c.data, at)
        at += 2
    return total % 0xFFFF == 0


def fits_tightly(c: Cursor, size: i64) -> bool:
    """Whether a packet of ``size`` octets at ``c.o`` leaves no more room in what is around it than Ethernet pads."""
    left: i64 = c.stop - c.o - size
    return size == 0 or c.stop >= UNBOUNDED or 0 <= left <= MAX_PADDING


def extension_size(data: bytes, o: i64, protocol: i64) -> i64:
    """Octets of the extension header at ``o``, of which the first two must be there."""
    words: i64 = data[o + 1]
    if protocol == FRAGMENT_HEADER:
        return 8
    if protocol == AUTHENTICATION:
        return (words + 2) << 2  # RFC 4302 section 2.2
    return (words + 1) << 3


def decode_extension(c: Cursor, reassembler: Reassembler) -> i64:
    """One extension header of IPv6, or an authentication header (RFC 4302) behind IPv4."""
    protocol: i64 = c.kind
    data: bytes = c.data
    o: i64 = c.o
    if c.extensions >= MAX_EXTENSIONS:
        return TOO_DEEP
    c.extensions += 1
    if o + 8 > c.end:
        return CUT_IP_HEADER if o + 8 <= c.stop else BAD_IP_HEADER
    third: i64 = data[o + 3]
    if protocol == FRAGMENT_HEADER:
        # Offset 0 and no more fragments: a whole packet with a header that says nothing (RFC 6946).
        if u16(data, o + 2) & 0xFFF9:
            return reassembler.add_ipv6(c)
    elif protocol == ROUTING and third > 0:
        c.unsure = True  # segments left: the checksum counts an address that is not in the IP header
    elif protocol == HOP_BY_HOP and not c.sized:
        jumbo: i64 = jumbo_length(data, o, min(c.end, o + extension_size(data, o, protocol)))
        if jumbo > 0:
            c.end_at(c.ip + 40 + jumbo)
    o += extension_size(data, o, protocol)
    if o > c.stop:
        return BAD_IP_HEADER
    return c.to(UPPER, data[c.o], o)


def jumbo_length(data: bytes, o: i64, end: i64) -> i64:
    """The length in a hop-by-hop header's jumbo payload option (RFC 2675 section 2), 0 if it has none."""
    o += 2
    while o + 2 <= end:
        kind: i64 = data[o]
        size: i64 = data[o + 1]
        if kind == 0:  # a single octet of padding
            o += 1
            continue
        if kind == JUMBO_PAYLOAD and size == 4 and o + 6 <= end:
            return u32(data, o + 2)
        o += 2 + size
    return 0


def decode_upper(c: Cursor, segment: Segment, reassembler: Reassembler) -> i64:
    """What the protocol number of an IP header announces, apart from tunnels and ICMP: then NOT_TCP."""
    protocol: i64 = c.kind
    if protocol == TCP:
        if c.version == 4:
            return finish_ipv4(segment, c.data, c.ip, c.o, c.end, c.stop, c.verify)
        return finish_ipv6(segment, c.data, c.ip, c.o, c.end, c.stop, c.verify)
    if protocol == IPV4 or protocol == IPV6:
        c.enter(IPV4_IN if c.version == 4 else IPV6_IN)
        return c.to(IP, 4 if protocol == IPV4 else 6, c.o)
    if protocol == AUTHENTICATION or (c.version == 6 and is_extension(protocol)):
        return decode_extension(c, reassembler)
    return ENCRYPTED if protocol == ENCRYPTION else NOT_TCP
