"""Just enough of Ethernet, IP and TCP to pick segments by a predicate and to make raw ones.

Kept apart from tcpscope.wire on purpose: the recorder must not depend on the code that its captures test.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETHERNET, RAW_IP, LINUX_SLL = 1, 101, 113


class Segment:
    """One TCP segment on its way through the relay."""

    def __init__(
        self, frame: bytes, from_client: bool, sport: int, dport: int, seq: int, ack: int, flags: int, data: bytes
    ) -> None:
        self.frame = frame
        self.from_client = from_client
        self.sport = sport
        self.dport = dport
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.data = data


def parse(frame: bytes, from_client: bool, link: int) -> Segment | None:
    """The TCP segment in a frame of ours (no VLAN, no IPv6 extension headers), or None."""
    start = 0
    if link == ETHERNET:
        if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
            return None
        start = 14
    packet = frame[start:]
    if packet[0] >> 4 == 4:
        if packet[9] != socket.IPPROTO_TCP:
            return None
        tcp = packet[(packet[0] & 15) * 4 : struct.unpack_from(">H", packet, 2)[0]]
    else:
        if packet[6] != socket.IPPROTO_TCP:
            return None
        tcp = packet[40 : 40 + struct.unpack_from(">H", packet, 4)[0]]
    sport, dport, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", tcp)
    return Segment(frame, from_client, sport, dport, seq, ack, flags, tcp[(offset >> 4) * 4 :])


Match = Callable[[Segment], bool]


def syn(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN


def syn_ack(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN | ACK


def fin(segment: Segment) -> bool:
    return bool(segment.flags & FIN)


def data(segment: Segment) -> bool:
    return len(segment.data) > 0


def pure_ack(segment: Segment) -> bool:
    return segment.flags & (SYN | FIN | RST | ACK) == ACK and not segment.data


def client(match: Match) -> Match:
    return lambda segment: segment.from_client and match(segment)


def server(match: Match) -> Match:
    return lambda segment: not segment.from_client and match(segment)


def checksum(packet: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    padded = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_packet(
    source: tuple[str, int],
    destination: tuple[str, int],
    flags: int,
    seq: int,
    ack: int = 0,
    options: bytes = b"",
    payload: bytes = b"",
    window: int = 64240,
) -> bytes:
    """An IPv4 packet with one TCP segment, for a raw socket."""
    head = 20 + len(options)
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], seq, ack, head // 4 << 4, flags, window, 0, 0)
    tcp += options + payload
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    total = checksum(addresses + struct.pack(">BBH", 0, socket.IPPROTO_TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0x7770, 0x4000, 64, socket.IPPROTO_TCP, 0) + addresses
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + tcp


def too_big(frame: bytes, mtu: int) -> bytes:
    """ICMP "fragmentation needed" (RFC 1191) from a router 10.77.0.254 to the sender of an Ethernet frame."""
    return _unreachable(frame, 4, mtu)


def prohibited(frame: bytes) -> bytes:
    """ICMP "communication administratively prohibited" (RFC 1812) from the same router: a filter that says no."""
    return _unreachable(frame, 13, 0)


def _unreachable(frame: bytes, code: int, mtu: int) -> bytes:
    icmp = struct.pack(">BBHHH", 3, code, 0, 0, mtu) + frame[14:42]
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    addresses = socket.inet_aton("10.77.0.254") + frame[26:30]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(icmp), 1, 0, 63, socket.IPPROTO_ICMP, 0) + addresses
    return frame[6:12] + frame[:6] + b"\x08\0" + ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + icmp
