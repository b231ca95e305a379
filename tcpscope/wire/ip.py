"""IPv4 (RFC 791) and IPv6 (RFC 8200), also inside one another (RFC 2003, RFC 4213, RFC 2473), down to the TCP header.

``stop`` is where a packet ends by the lengths of the layers outside. Its own length counts before that of the frame:
padding of the link layer is left out, and a packet cut by a snap length, even one that the file does not tell of (some
devices slice packets before the capture), keeps its real length.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.wire.segment import ABSENT, Segment
from tcpscope.wire.skips import BAD_IP_HEADER, CUT_IP_HEADER, DECODED, FRAGMENT, NOT_TCP, TOO_DEEP
from tcpscope.wire.tcp import TCP, decode_tcp, verify_checksum

IPV4: Final = 4  # protocol numbers of IP inside IP
IPV6: Final = 41

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT_HEADER: Final = 44
AUTHENTICATION: Final = 51
DESTINATION: Final = 60
MOBILITY: Final = 135
HIP: Final = 139
SHIM6: Final = 140

MAX_DEPTH: Final = 4
"""IP headers that may lie inside one another, beside the outermost."""

MAX_OFFLOAD: Final = 1 << 20
"""Bytes that a packet without a length of its own may claim by the length of its frame; Linux stops at half of it."""

MAX_EXTENSIONS: Final = 16
"""IPv6 extension headers that one packet may carry."""


def decode_ip(segment: Segment, frame: Frame, o: i64, stop: i64, verify: bool, depth: i64) -> i64:
    """Fill ``segment`` from the IP packet at ``o``; returns 0 or a skip code."""
    if o >= frame.end:
        return CUT_IP_HEADER
    version: i64 = frame.data[o]
    version >>= 4
    if version == 4:
        return decode_ipv4(segment, frame, o, stop, verify, depth)
    if version == 6:
        return decode_ipv6(segment, frame, o, stop, verify, depth)
    return BAD_IP_HEADER


def decode_ipv4(segment: Segment, frame: Frame, o: i64, stop: i64, verify: bool, depth: i64) -> i64:
    """Fill ``segment`` from the IPv4 packet at ``o``; returns 0 or a skip code."""
    data: bytes = frame.data
    end: i64 = min(frame.end, stop)
    if o + 20 > end:
        return CUT_IP_HEADER
    first: i64 = data[o]
    t0: i64 = data[o + 2]
    t1: i64 = data[o + 3]
    f0: i64 = data[o + 6]
    f1: i64 = data[o + 7]
    protocol: i64 = data[o + 9]
    header: i64 = (first & 15) << 2
    total: i64 = t0 << 8 | t1
    if total == 0:  # left to the network card, which cuts the packet into smaller ones (segmentation offload)
        verify = False
        total = max(frame.end, frame.start + min(frame.wire_length, MAX_OFFLOAD)) - o
    stop = min(stop, o + total)
    end = min(end, stop)
    tcp: i64 = o + header
    if header < 20 or tcp > stop:
        return BAD_IP_HEADER
    if f0 & 0x3F or f1:  # more fragments follow, or this one is not the first
        return FRAGMENT
    if protocol != TCP:
        if protocol in (IPV4, IPV6):
            return decode_inner(segment, frame, tcp, stop, verify, depth, protocol)
        return NOT_TCP
    code: i64 = decode_tcp(segment, data, tcp, end, stop)
    if code != DECODED:
        return code
    i0: i64 = data[o + 4]
    i1: i64 = data[o + 5]
    service: i64 = data[o + 1]
    segment.key = data[o + 12 : o + 24] if header == 20 else data[o + 12 : o + 20] + data[tcp : tcp + 4]
    segment.ip_version = 4
    segment.ip_id = i0 << 8 | i1
    segment.ttl = data[o + 8]
    segment.ecn = service & 3
    if verify and stop == end:
        segment.checksum = verify_checksum(data[o + 12 : o + 20], data[tcp:stop])
    return DECODED


def decode_ipv6(segment: Segment, frame: Frame, o: i64, stop: i64, verify: bool, depth: i64) -> i64:
    """Fill ``segment`` from the IPv6 packet at ``o``; returns 0 or a skip code."""
    data: bytes = frame.data
    end: i64 = min(frame.end, stop)
    if o + 40 > end:
        return CUT_IP_HEADER
    p0: i64 = data[o + 4]
    p1: i64 = data[o + 5]
    protocol: i64 = data[o + 6]
    total: i64 = 40 + (p0 << 8 | p1)
    if total == 40:  # a jumbogram (RFC 2675), or left to the network card (segmentation offload)
        verify = False
        total = max(frame.end, frame.start + min(frame.wire_length, MAX_OFFLOAD)) - o
    stop = min(stop, o + total)
    end = min(end, stop)
    tcp: i64 = o + 40
    direct: bool = protocol == TCP
    if not direct:
        tcp, protocol, verify = skip_extensions(data, tcp, end, stop, protocol, verify)
        if protocol < 0:
            return -protocol
        if protocol in (IPV4, IPV6):
            return decode_inner(segment, frame, tcp, stop, verify, depth, protocol)
        if protocol != TCP:
            return NOT_TCP
    code: i64 = decode_tcp(segment, data, tcp, end, stop)
    if code != DECODED:
        return code
    c1: i64 = data[o + 1]
    segment.key = data[o + 8 : o + 44] if direct else data[o + 8 : o + 40] + data[tcp : tcp + 4]
    segment.ip_version = 6
    segment.ip_id = ABSENT
    segment.ttl = data[o + 7]
    segment.ecn = c1 >> 4 & 3
    if verify and stop == end:
        segment.checksum = verify_checksum(data[o + 8 : o + 40], data[tcp:stop])
    return DECODED


def skip_extensions(data: bytes, o: i64, end: i64, stop: i64, protocol: i64, verify: bool) -> tuple[i64, i64, bool]:
    """Step over IPv6 extension headers from ``o`` on, the first of them being ``protocol`` (RFC 8200 section 4).

    Returns where the upper layer begins, its protocol or the negative of a skip code, and ``verify``, cleared by a
    routing header under way: the checksum then counts an address that is not in the IP header (section 8.1).
    """
    count: i64 = 0
    while count <= MAX_EXTENSIONS:
        if protocol not in (HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT_HEADER, AUTHENTICATION, MOBILITY, HIP, SHIM6):
            return o, protocol, verify
        if o + 8 > end:
            return o, -CUT_IP_HEADER if o + 8 <= stop else -BAD_IP_HEADER, False
        words: i64 = data[o + 1]
        third: i64 = data[o + 3]
        size: i64 = (words + 1) << 3
        if protocol == FRAGMENT_HEADER:
            size = 8
            offset: i64 = data[o + 2]
            # Offset 0 and no more fragments: a whole packet with a header that says nothing (RFC 6946).
            if offset or third & 0xF9:
                return o, -FRAGMENT, False
        elif protocol == AUTHENTICATION:
            size = (words + 2) << 2
        elif protocol == ROUTING and third > 0:  # segments left
            verify = False
        protocol = data[o]
        o += size
        count += 1
        if o > stop:
            return o, -BAD_IP_HEADER, False
    return o, -TOO_DEEP, False


def decode_inner(segment: Segment, frame: Frame, o: i64, stop: i64, verify: bool, depth: i64, protocol: i64) -> i64:
    """Fill ``segment`` from an IP packet that is the payload of another one."""
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    if protocol == IPV4:
        return decode_ipv4(segment, frame, o, stop, verify, depth + 1)
    return decode_ipv6(segment, frame, o, stop, verify, depth + 1)
