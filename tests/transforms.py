"""Changes to a whole capture after which an analysis must say the same: the same bytes, but for what is changed.

Only packets found by a small decoder of its own are changed (the usual link types, VLAN, PPPoE, IP in IP, IPv6
extension headers, TCP headers quoted by ICMP); what it does not know stays as it is. Right checksums stay right, and
wrong ones wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

TCP, ICMP, ICMPV6 = 6, 1, 58
ACK, SYN = 0x10, 0x02
IP_IN_IP, IPV6_IN_IP = 4, 41
EXTENSION_HEADERS = {0, 43, 60, 135}  # hop-by-hop, routing, destination options, mobility: length in units of 8
MODULUS = 1 << 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where an IP packet's parts are in the capture's bytes; ``payload`` is where its last header ends."""

    version: int
    start: int
    payload: int
    end: int  # of the captured bytes
    protocol: int
    first_fragment: bool

    @property
    def addresses(self) -> tuple[int, int, int]:
        """Offsets of source and destination address, and their length."""
        return (self.start + 12, self.start + 16, 4) if self.version == 4 else (self.start + 8, self.start + 24, 16)


def frames(capture: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, end and link type of each frame's bytes in a pcap or pcapng file."""
    return _pcapng_frames(capture) if capture[:4] == b"\n\r\r\n" else _pcap_frames(capture)


def shift_sequence_numbers(capture: bytes, n_client: int, n_server: int) -> bytes:
    """Add ``n_client`` to every number that counts a client's bytes, and ``n_server`` for the servers, modulo 2**32.

    The client of a connection is who sends its first segment in the capture, unless that is a SYN-ACK.
    """
    out = bytearray(capture)
    clients: dict[frozenset[bytes], bytes] = {}
    for start, end, link_type in frames(capture):
        place = locate(out, start, end, link_type)
        if place is None or not place.first_fragment:
            continue
        quoted = _quoted(out, place)
        icmp, place = place, quoted or place
        at = place.payload
        if place.protocol != TCP or place.end < at + 8:
            continue
        source, destination = _ends(out, place)
        flags = out[at + 13] if place.end > at + 13 else 0
        if not quoted:
            syn_ack = flags & (SYN | ACK) == SYN | ACK
            clients.setdefault(frozenset((source, destination)), destination if syn_ack else source)
        client = clients.get(frozenset((source, destination)))
        if client is not None:
            own, other = (n_client, n_server) if source == client else (n_server, n_client)
            before = _sum(out, icmp.payload, icmp.end)
            unfilled = not quoted and _is_unfilled(out, place)
            field = bytes(out[at + 16 : at + 18])
            _shift_segment(out, at, place.end, own, other)
            if unfilled:
                out[at + 16 : at + 18] = field
            if quoted:
                _update_checksum(out, icmp.payload + 2, before, _sum(out, icmp.payload, icmp.end))
    return bytes(out)


def swap_directions(capture: bytes) -> bytes:
    """Exchange source and destination, address and port, of every packet: each end now speaks as the other did."""
    out = bytearray(capture)
    for start, end, link_type in frames(capture):
        place = locate(out, start, end, link_type)
        while place is not None:
            source, destination, size = place.addresses
            _swap(out, source, destination, size)
            if place.protocol == TCP and place.first_fragment and place.end >= place.payload + 4:
                _swap(out, place.payload, place.payload + 2, 2)
            place = _quoted(out, place)
    return bytes(out)


def record_again(capture: bytes, seconds: int, port_shift: int) -> bytes:
    """The same scenario as another day would have it: other times, initial numbers and ephemeral ports, and frames before it.

    For pcap files of either byte order. Time goes 1 % slower; ports from 32768 on are moved by ``port_shift``.
    """
    moved = bytearray(shift_sequence_numbers(capture, 0x12345678, 0x0FEDCBA9))
    order = "<" if capture[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
    fraction = 10**9 if capture[:4] in {b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"} else 10**6
    first = None
    for start, end, link_type in frames(capture):
        time = struct.unpack_from(f"{order}II", moved, start - 16)
        total = time[0] * fraction + time[1]
        first = total if first is None else first
        total += (total - first) // 100 + seconds * fraction
        struct.pack_into(f"{order}II", moved, start - 16, *divmod(total, fraction))
        place = locate(moved, start, end, link_type)
        if place is None or not place.first_fragment:
            continue
        quoted = _quoted(moved, place)
        icmp, place = place, quoted or place
        at = place.payload
        if place.protocol != TCP or place.end < at + 4:
            continue
        before = _sum(moved, icmp.payload, icmp.end)
        for offset in (at, at + 2):
            port = struct.unpack_from(">H", moved, offset)[0]
            if port >= 32768:
                struct.pack_into(">H", moved, offset, 32768 + (port - 32768 + port_shift) % 32768)
        field = icmp.payload + 2 if quoted else at + 16
        if (quoted or not _is_unfilled(moved, place)) and field + 2 <= icmp.end:
            _update_checksum(moved, field, before, _sum(moved, icmp.payload, icmp.end))
    # Something else was recorded before, so that all frames have other numbers: an ARP request in its own words.
    link = struct.unpack_from(f"{order}I", capture, 20)[0] & 0xFFFF
    other = bytes.fromhex("ffffffffffff02000000000108060001080006040001") + bytes(20) if link == 1 else b""
    header = struct.pack(f"{order}IIII", *struct.unpack_from(f"{order}II", moved, 24), len(other), len(other))
    return bytes(moved[:24]) + (header + other) * (3 if other else 0) + bytes(moved[24:])


def locate(data: bytes | bytearray, start: int, end: int, link_type: int) -> Place | None:
    """The innermost IP packet of a frame, or None if there is none that is known here."""
    at = _network_layer(data, start, end, link_type)
    return None if at is None else _ip(data, at, end)


# Containers


def _pcap_frames(capture: bytes) -> Iterator[tuple[int, int, int]]:
    order = "<" if capture[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    if len(capture) < 24:
        return
    link_type = struct.unpack_from(order + "I", capture, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(capture):
        (length,) = struct.unpack_from(order + "I", capture, at + 8)
        at += 16
        yield at, min(at + length, len(capture)), link_type
        at += length


def _pcapng_frames(capture: bytes) -> Iterator[tuple[int, int, int]]:
    order, at, interfaces = "<", 0, list[tuple[int, int]]()
    while at + 12 <= len(capture):
        if capture[at : at + 4] == b"\n\r\r\n":
            order, interfaces = "<" if capture[at + 8] == 0x4D else ">", []
        kind, total = struct.unpack_from(order + "II", capture, at)
        if total < 12 or at + total > len(capture):
            return
        if kind == 1 and total >= 20:
            link_type, _, snap_length = struct.unpack_from(order + "HHI", capture, at + 8)
            interfaces.append((link_type, snap_length))
        elif kind in (2, 6) and total >= 32:  # Packet Block and Enhanced Packet Block
            (interface,) = struct.unpack_from(order + ("I" if kind == 6 else "H"), capture, at + 8)
            (length,) = struct.unpack_from(order + "I", capture, at + 20)
            if interface < len(interfaces):
                yield at + 28, at + 28 + min(length, total - 32), interfaces[interface][0]
        elif kind == 3 and interfaces and total >= 16:  # Simple Packet Block
            (length,) = struct.unpack_from(order + "I", capture, at + 8)
            link_type, snap_length = interfaces[0]
            yield at + 12, at + 12 + min(length, snap_length or length, total - 16), link_type
        at += total


# Layers


def _network_layer(data: bytes | bytearray, start: int, end: int, link_type: int) -> int | None:
    """Where the IP header begins."""
    if link_type == 1:
        return _ethernet(data, start, end)
    if link_type == 9:
        return start + (4 if data[start : start + 2] == b"\xff\x03" else 2)
    skips = {0: 4, 12: 0, 14: 0, 101: 0, 108: 4, 113: 16, 228: 0, 229: 0, 276: 20}
    return start + skips[link_type] if link_type in skips else None


def _ethernet(data: bytes | bytearray, start: int, end: int) -> int | None:
    at = start + 12
    while at + 6 <= end:
        ether_type = int.from_bytes(data[at : at + 2], "big")
        if ether_type in (0x8100, 0x88A8, 0x9100):
            at += 4
        elif ether_type == 0x8864:  # PPPoE: six bytes, then PPP's protocol number
            return at + 10
        else:
            return at + 2 if ether_type in (0x0800, 0x86DD) else None
    return None


def _ip(data: bytes | bytearray, at: int, end: int) -> Place | None:
    version = data[at] >> 4 if at < end else 0
    place = _ipv4(data, at, end) if version == 4 else _ipv6(data, at, end) if version == 6 else None
    if place and place.first_fragment and place.protocol in (IP_IN_IP, IPV6_IN_IP):
        return _ip(data, place.payload, place.end)
    return place


def _ipv4(data: bytes | bytearray, at: int, end: int) -> Place | None:
    header = (data[at] & 15) * 4
    if header < 20 or at + header > end:
        return None
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    first = int.from_bytes(data[at + 6 : at + 8], "big") & 0x1FFF == 0
    packet_end = min(end, at + length) if length > header else end
    return Place(4, at, at + header, packet_end, data[at + 9], first)


def _ipv6(data: bytes | bytearray, at: int, end: int) -> Place | None:
    if at + 40 > end:
        return None
    length = int.from_bytes(data[at + 4 : at + 6], "big")
    if length:
        end = min(end, at + 40 + length)
    protocol, payload, first = data[at + 6], at + 40, True
    while payload + 8 <= end:
        if protocol in EXTENSION_HEADERS:
            size = (data[payload + 1] + 1) * 8
        elif protocol == 44:
            size, first = 8, int.from_bytes(data[payload + 2 : payload + 4], "big") & 0xFFF8 == 0
        elif protocol == 51:
            size = (data[payload + 1] + 2) * 4
        else:
            break
        protocol, payload = data[payload], payload + size
    return Place(6, at, payload, end, protocol, first)


def _quoted(data: bytes | bytearray, place: Place) -> Place | None:
    """The packet that an ICMP error quotes."""
    if not place.first_fragment or place.protocol not in (ICMP, ICMPV6) or place.end < place.payload + 8:
        return None
    kind = data[place.payload]
    is_error = kind < 128 if place.protocol == ICMPV6 else kind in (3, 4, 5, 11, 12)
    return _ip(data, place.payload + 8, place.end) if is_error else None


# Changes


def _ends(data: bytes | bytearray, place: Place) -> tuple[bytes, bytes]:
    """Address and port of source and destination."""
    source, destination, size = place.addresses
    at = place.payload
    return (
        bytes(data[source : source + size] + data[at : at + 2]),
        bytes(data[destination : destination + size] + data[at + 2 : at + 4]),
    )


def _swap(data: bytearray, a: int, b: int, size: int) -> None:
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _add(data: bytearray, at: int, end: int, n: int) -> None:
    """Add to a 32-bit number, if it was captured."""
    if at + 4 <= end:
        value = (int.from_bytes(data[at : at + 4], "big") + n) % MODULUS
        data[at : at + 4] = value.to_bytes(4, "big")


def _shift_segment(data: bytearray, at: int, end: int, own: int, other: int) -> None:
    """Change the numbers of one segment, and its checksum with them."""
    header_end = min(end, at + max(20, (data[at + 12] >> 4) * 4)) if at + 12 < end else end
    before = _sum(data, at, header_end)
    _add(data, at + 4, end, own)
    if end > at + 13 and data[at + 13] & ACK:
        _add(data, at + 8, end, other)
    for edge in _sack_edges(data, at + 20, header_end):
        _add(data, edge, header_end, other)
    if end >= at + 18:
        _update_checksum(data, at + 16, before, _sum(data, at, header_end))


def _is_unfilled(data: bytearray, place: Place) -> bool:
    """Whether the TCP checksum was left to a network card: the sum of the pseudo header, or nothing."""
    at, (source, destination, size) = place.payload, place.addresses
    if place.end < at + 18:
        return False
    (length,) = struct.unpack_from("!H", data, place.start + (2 if place.version == 4 else 4))
    length += place.start + (0 if place.version == 4 else 40) - at
    pseudo = _sum(data, source, source + size) + _sum(data, destination, destination + size) + TCP
    field = int.from_bytes(data[at + 16 : at + 18], "big")
    return field == 0 or (field - pseudo) % 0xFFFF in (0, length % 0xFFFF)


def _update_checksum(data: bytearray, at: int, before: int, after: int) -> None:
    """Change a checksum by the difference of two sums (RFC 1624), which include the checksum as it stands."""
    stored = int.from_bytes(data[at : at + 2], "big")
    total = (0xFFFF - stored - before + after) % 0xFFFF or 0xFFFF
    data[at : at + 2] = (0xFFFF - total).to_bytes(2, "big")


def _sum(data: bytearray, at: int, end: int) -> int:
    """Sum of the 16-bit words, so that differences are those of the checksum."""
    piece = bytes(data[at:end]) + b"\0" * ((end - at) % 2)
    return sum(struct.unpack(f"!{len(piece) // 2}H", piece))


def _sack_edges(data: bytearray, at: int, end: int) -> list[int]:
    """Offsets of the edges of SACK blocks (RFC 2018)."""
    edges: list[int] = []
    while at < end and data[at] != 0:
        if data[at] == 1:
            at += 1
            continue
        length = data[at + 1] if at + 1 < end else 0
        if length < 2:
            break
        if data[at] == 5:
            edges += range(at + 2, min(at + length, end) - 3, 4)
        at += length
    return edges
