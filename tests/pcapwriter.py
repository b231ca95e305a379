"""Packets and capture files byte for byte, for tests; nothing here is tcpscope's, so one can be held against the other.

From the inside out: :func:`tcp`, :func:`ip`, :func:`link`, then :func:`pcap` or :func:`pcapng` over a list of
:class:`Record`. Every length and checksum is right unless the caller asks for a wrong one.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NULL, ETHERNET, PPP, RAW, LOOP, SLL, SLL2, IPV4, IPV6 = 0, 1, 9, 101, 108, 113, 276, 228, 229
"""LINKTYPE_ numbers that :func:`link` can write."""

LINK_TYPES = {
    "null": NULL,
    "ethernet": ETHERNET,
    "ppp": PPP,
    "raw": RAW,
    "loop": LOOP,
    "sll": SLL,
    "sll2": SLL2,
    "ipv4": IPV4,
    "ipv6": IPV6,
}

CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TCP_PROTOCOL = 6


@dataclass(frozen=True, slots=True)
class Record:
    """One frame of a capture file. ``wire_length`` is its length on the wire where the file holds less of it."""

    time_ns: int
    data: bytes
    wire_length: int | None = None
    interface: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a pcapng file.

    ``tsresol`` is the if_tsresol byte: 6 for microseconds, 9 for nanoseconds, 0x80 | n for 2**-n seconds.
    """

    link_type: int = ETHERNET
    snap_length: int = 0
    tsresol: int = 9
    tsoffset: int = 0
    dropped: int | None = None  # written as isb_ifdrop of an Interface Statistics Block at the end


def checksum(data: bytes) -> int:
    """The Internet checksum of ``data`` (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo_header(source: str, destination: str, length: int) -> bytes:
    """What the TCP checksum covers besides the segment (RFC 9293 section 3.1)."""
    src, dst = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    if len(src) == 4:
        return src + dst + struct.pack("!HH", TCP_PROTOCOL, length)
    return src + dst + struct.pack("!II", length, TCP_PROTOCOL)


@dataclass(frozen=True, slots=True)
class Tcp:
    """One TCP segment. ``options`` are as on the wire, and are padded with zeros to a multiple of four bytes."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int
    ack: int = 0
    flags: int = 0x10
    window: int = 65535
    options: bytes = b""
    payload: bytes = b""
    urgent: int = 0
    data_offset: int | None = None  # in 32-bit words, where it shall lie
    bad_checksum: bool = False
    no_checksum: bool = False  # left to the network card, which would add the segment to the sum of the pseudo header

    def pack(self) -> bytes:
        """The segment as on the wire."""
        options = self.options + b"\0" * (-len(self.options) % 4)
        words = 5 + len(options) // 4 if self.data_offset is None else self.data_offset
        ports = struct.pack("!HH", self.source_port, self.destination_port)
        numbers = struct.pack("!II", self.seq & 0xFFFFFFFF, self.ack & 0xFFFFFFFF)
        head = ports + numbers + struct.pack("!BBH", words << 4, self.flags & 0xFF, self.window & 0xFFFF)
        rest = struct.pack("!H", self.urgent & 0xFFFF) + options + self.payload
        length = len(head) + 2 + len(rest)
        value = checksum(pseudo_header(self.source, self.destination, length) + head + b"\0\0" + rest)
        if self.bad_checksum:
            value = (value + 1) & 0xFFFF
        if self.no_checksum:
            value = checksum(pseudo_header(self.source, self.destination, length)) ^ 0xFFFF
        return head + struct.pack("!H", value) + rest


@dataclass(frozen=True, slots=True)
class Ip:
    """One IPv4 or IPv6 packet, after the form of its addresses."""

    source: str
    destination: str
    payload: bytes
    protocol: int = TCP_PROTOCOL
    ttl: int = 64
    identification: int = 0
    tos: int = 0
    dont_fragment: bool = True
    more_fragments: bool = False
    fragment_offset: int = 0  # in bytes
    total_length: int | None = None  # the length field (IPv6: payload length), where it shall lie
    bad_checksum: bool = False

    def pack(self) -> bytes:
        """The packet as on the wire."""
        src, dst = ipaddress.ip_address(self.source), ipaddress.ip_address(self.destination)
        if src.version == 6:
            length = len(self.payload) if self.total_length is None else self.total_length
            head = struct.pack("!IHBB", 6 << 28 | self.tos << 20, length, self.protocol, self.ttl)
            return head + src.packed + dst.packed + self.payload
        length = 20 + len(self.payload) if self.total_length is None else self.total_length
        fragment = self.dont_fragment << 14 | self.more_fragments << 13 | self.fragment_offset // 8
        head = struct.pack("!BBHHH", 0x45, self.tos, length, self.identification & 0xFFFF, fragment)
        head += struct.pack("!BB", self.ttl, self.protocol)
        value = checksum(head + b"\0\0" + src.packed + dst.packed) ^ self.bad_checksum
        return head + struct.pack("!H", value) + src.packed + dst.packed + self.payload


def tcp(segment: Tcp, **ip_fields: int | bool | None) -> bytes:
    """A TCP segment in its IP packet; ``ip_fields`` are fields of :class:`Ip` such as ``ttl``."""
    return Ip(segment.source, segment.destination, segment.pack(), **ip_fields).pack()  # type: ignore[arg-type]


def fragment(packet: bytes, start: int, end: int) -> bytes:
    """The fragment of an IPv4 packet without options that carries the octets from ``start`` to ``end`` of its payload."""
    part = packet[20 + start : 20 + end]
    more = 20 + end < len(packet)
    head = packet[:2] + struct.pack("!H2sH", 20 + len(part), packet[4:6], more << 13 | start // 8) + packet[8:10]
    return head + struct.pack("!H", checksum(head + packet[12:20])) + packet[12:20] + part


def link(
    packet: bytes,
    link_type: int = ETHERNET,
    *,
    from_client: bool = True,
    vlan: Sequence[int] = (),
    ether_type: int = 0,
    pad: bool = False,
) -> bytes:
    """An IP packet in a frame of this link type.

    ``vlan``: VLAN identifiers, outermost first; ``ether_type``: for what is not IP; ``pad``: to the shortest frame, as
    received frames are and sent ones are not yet where a host captures its own. ``vlan`` and ``pad`` are for Ethernet.
    """
    v6 = packet[:1] != b"" and packet[0] >> 4 == 6
    ether_type = ether_type or (0x86DD if v6 else 0x0800)
    if link_type == ETHERNET:
        ends = SERVER_MAC + CLIENT_MAC if from_client else CLIENT_MAC + SERVER_MAC
        tags = [struct.pack("!HH", 0x88A8 if n + 1 < len(vlan) else 0x8100, tag) for n, tag in enumerate(vlan)]
        frame = ends + b"".join(tags) + struct.pack("!H", ether_type) + packet
        return frame + b"\0" * (60 - len(frame)) if pad else frame
    if link_type == NULL:
        return struct.pack("<I", 30 if v6 else 2) + packet
    if link_type == LOOP:
        return struct.pack("!I", 30 if v6 else 2) + packet
    if link_type == PPP:
        return struct.pack("!BBH", 0xFF, 0x03, 0x57 if v6 else 0x21) + packet
    mac = CLIENT_MAC if from_client else SERVER_MAC
    kind = 4 if from_client else 0  # "sent by us" or "to us"
    if link_type == SLL:
        return struct.pack("!HHH8sH", kind, 1, 6, mac, ether_type) + packet
    if link_type == SLL2:
        return struct.pack("!HHIHBB8s", ether_type, 0, 1, 1, kind, 6, mac) + packet
    if link_type in (RAW, IPV4, IPV6):
        return packet
    raise ValueError(f"no frame for link type {link_type}")


def pcap(
    records: Iterable[Record],
    link_type: int = ETHERNET,
    *,
    big_endian: bool = False,
    nanoseconds: bool = False,
    snap_length: int = 262144,
) -> bytes:
    """A classic pcap file. A record longer than ``snap_length`` is cut to it."""
    order, unit = ">" if big_endian else "<", 1 if nanoseconds else 1000
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap_length, link_type)]
    head = struct.Struct(order + "IIII")
    for record in records:
        data = record.data[:snap_length]
        seconds, fraction = divmod(record.time_ns, 1_000_000_000)
        wire_length = len(record.data) if record.wire_length is None else record.wire_length
        out += (head.pack(seconds, fraction // unit, len(data), wire_length), data)
    return b"".join(out)


@dataclass(slots=True)
class PcapngWriter:
    """Blocks of a pcapng file, for files that :func:`pcapng` does not make; ``blocks`` may be added to."""

    big_endian: bool = False
    blocks: list[bytes] = field(default_factory=list)

    def block(self, kind: int, body: bytes) -> None:
        """Add a block of this type: its body is padded and its two lengths are right."""
        order = ">" if self.big_endian else "<"
        body += b"\0" * (-len(body) % 4)
        length = len(body) + 12
        self.blocks.append(struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length))

    def options(self, *options: tuple[int, bytes]) -> bytes:
        """Options with their end mark, or nothing if there are none."""
        order = ">" if self.big_endian else "<"
        out = [struct.pack(order + "HH", code, len(v)) + v + b"\0" * (-len(v) % 4) for code, v in options]
        return b"".join([*out, b"\0\0\0\0"]) if out else b""

    def section(self) -> None:
        """Add a Section Header Block of unknown section length."""
        order = ">" if self.big_endian else "<"
        self.block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(self, interface: Interface) -> None:
        """Add an Interface Description Block."""
        order = ">" if self.big_endian else "<"
        options = [(9, bytes([interface.tsresol]))]
        if interface.tsoffset:
            options.append((14, struct.pack(order + "q", interface.tsoffset)))
        head = struct.pack(order + "HHI", interface.link_type, 0, interface.snap_length)
        self.block(1, head + self.options(*options))

    def packet(self, record: Record, interface: Interface) -> None:
        """Add an Enhanced Packet Block; the time is rounded down to the interface's resolution."""
        order = ">" if self.big_endian else "<"
        exponent = interface.tsresol & 0x7F
        per_second = 2**exponent if interface.tsresol & 0x80 else 10**exponent
        ticks = (record.time_ns - interface.tsoffset * 1_000_000_000) * per_second // 1_000_000_000
        data = record.data[: interface.snap_length or None]
        wire_length = len(record.data) if record.wire_length is None else record.wire_length
        head = struct.pack(order + "IIIII", record.interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire_length)
        self.block(6, head + data)

    def statistics(self, number: int, time_ns: int, dropped: int) -> None:
        """Add an Interface Statistics Block with isb_ifdrop. Its time is right for interfaces of nanoseconds."""
        order = ">" if self.big_endian else "<"
        head = struct.pack(order + "III", number, time_ns >> 32, time_ns & 0xFFFFFFFF)
        self.block(5, head + self.options((5, struct.pack(order + "Q", dropped))))

    def secrets(self, key_log: bytes) -> None:
        """Add a Decryption Secrets Block that holds a TLS key log."""
        order = ">" if self.big_endian else "<"
        self.block(0x0A, struct.pack(order + "II", 0x544C534B, len(key_log)) + key_log)

    def pack(self) -> bytes:
        """The file."""
        return b"".join(self.blocks)


def pcapng(
    records: Iterable[Record],
    interfaces: Sequence[Interface] = (Interface(),),
    *,
    big_endian: bool = False,
    key_log: bytes = b"",
) -> bytes:
    """A pcapng file of one section."""
    writer = PcapngWriter(big_endian)
    writer.section()
    for interface in interfaces:
        writer.interface(interface)
    if key_log:
        writer.secrets(key_log)
    last = 0
    for record in records:
        writer.packet(record, interfaces[record.interface])
        last = record.time_ns
    for number, interface in enumerate(interfaces):
        if interface.dropped is not None:
            writer.statistics(number, last, interface.dropped)
    return writer.pack()
