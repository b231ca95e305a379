"""Link layers: each of them down to the same TCP segment, cut at every octet, and with what is not IP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pcapwriter import ETHERNET, LINK_TYPES, Tcp, link, tcp
from tests.test_wire_tcp import ADDRESSES, decode

V4, V6 = (tcp(Tcp(*ADDRESSES[version], 1000, 2000, 3, payload=b"payload")) for version in (4, 6))
MACS = bytes(12)


def words(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}H", *numbers)


def attribute(kind: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


PPPOE = words(0x8864, 0x1100, 7, len(V4) + 2, 0x21)
SNAP = bytes.fromhex("aaaa03000000")
LAYERS = {
    "802.1Q": (ETHERNET, MACS + words(0x8100, 5, 0x0800) + V4),
    "QinQ": (ETHERNET, MACS + words(0x88A8, 5, 0x8100, 6, 0x86DD) + V6),
    "older QinQ": (ETHERNET, MACS + words(0x9100, 5, 0x9200, 6, 0x0800) + V4),
    "15 tags": (ETHERNET, MACS + words(0x8100, 1) * 15 + words(0x0800) + V4),
    "VN-Tag and VLAN": (ETHERNET, MACS + words(0x8926, 0, 0, 0x8100, 5, 0x0800) + V4),
    "E-Tag": (ETHERNET, MACS + words(0x893F, 0, 0, 0, 0x0800) + V4),
    "HSR": (ETHERNET, MACS + words(0x892F, 0, 0, 0x0800) + V4),
    "SNAP": (ETHERNET, MACS + words(len(V4) + 8) + SNAP + words(0x0800) + V4),
    "VLAN and SNAP": (ETHERNET, MACS + words(0x8100, 5, len(V4) + 8) + SNAP + words(0x0800) + V4),
    "LLC": (ETHERNET, MACS + words(len(V4) + 3) + b"\x06\x06\x03" + V4),
    "MPLS": (ETHERNET, MACS + words(0x8847, 0, 0x0040, 0, 0x0140) + V6),
    "PPPoE": (ETHERNET, MACS + PPPOE + V4),
    "VLAN, PPPoE and MPLS": (
        ETHERNET,
        MACS + words(0x8100, 5, 0x8864, 0x1100, 7, len(V4) + 6, 0x281, 0, 0x0140) + V4,
    ),
    "SLL with VLAN": (113, bytes(14) + words(0x8100, 5, 0x0800) + V4),
    "SLL with LLC": (113, bytes(14) + words(4) + b"\x06\x06\x03" + V4),
    "NULL in the other byte order": (0, words(0, 2) + V4),
    "NULL of Linux": (0, struct.pack("<I", 10) + V6),
    "NULL of NetBSD": (0, struct.pack("<I", 24) + V6),
    "NULL of FreeBSD": (0, struct.pack("<I", 28) + V6),
    "NULL of macOS": (0, struct.pack(">I", 30) + V6),
    "raw IP of BSD": (12, V4),
    "raw IP of OpenBSD": (14, V6),
    "PPP without HDLC framing": (9, words(0x57) + V6),
    "PPP with a compressed protocol": (9, b"\xff\x03\x21" + V4),
    "PPP of Cisco": (50, words(0x0F00, 0x0800) + V4),
    "PPPoE alone": (51, PPPOE[2:] + V4),
    "Cisco HDLC": (104, words(0x0F00, 0x86DD) + V6),
    "FDDI": (10, bytes(13) + SNAP + words(0x0800) + V4),
    "ATM": (100, SNAP + words(0x0800) + V4),
    "InfiniBand": (242, bytes(40) + words(0x0800, 0) + V4),
    "NFLOG": (239, b"\x02\x00\x00\x00" + attribute(1, bytes(4)) + attribute(10, b"odd") + attribute(9, V4)),
    "NFLOG big-endian": (239, b"\x0a\x00\x00\x00" + attribute(1, bytes(4), ">") + attribute(9, V6, ">")),
    "ARCNET": (7, b"\x01\x02\xd4\x00\x00\x01" + V4),
    "ARCNET exception": (7, b"\x01\x02\xd4\xff\xff\xff\xd4\x00\x00\x01" + V4),
    "ARCNET of RFC 1051": (7, b"\x01\x02\xf0" + V4),
    "ARCNET of Linux": (129, b"\x01\x02\x00\x00\xc4\x00\x00\x01" + V6),
}
LAYERS |= {f"{name} with IPv4": (kind, link(V4, kind)) for name, kind in LINK_TYPES.items() if name != "ipv6"}
LAYERS |= {f"{name} with IPv6": (kind, link(V6, kind)) for name, kind in LINK_TYPES.items() if name != "ipv4"}


@pytest.mark.parametrize(("link_type", "data"), LAYERS.values(), ids=LAYERS)
def test_layers(link_type: int, data: bytes) -> None:
    code, segment = decode(data, link_type)
    assert (code, segment.seq, segment.length, segment.captured) == ("decoded", 3, 7, 7)
    assert segment.data[segment.payload : segment.payload + 7] == b"payload"
    for captured in range(data.index(b"payload")):
        code, _ = decode(data[:captured], link_type, wire_length=len(data))
        assert code.startswith("cut-"), captured


@given(st.sampled_from(list(LAYERS.values())), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=5))
def test_any_frame_is_decoded_or_skipped(layer: tuple[int, bytes], changes: list[tuple[int, int]]) -> None:
    broken = bytearray(layer[1])
    for at, value in changes:
        broken[at % len(broken)] = value
    code, segment = decode(bytes(broken), layer[0])
    if code == "decoded":
        assert len(segment.data[segment.payload : segment.payload + segment.captured]) == segment.captured


@given(st.integers(0, 300), st.binary(max_size=100))
def test_any_bytes_of_any_link_type(link_type: int, data: bytes) -> None:
    decode(data, link_type)


SKIPPED = {
    "ARP": (ETHERNET, link(bytes(28), ether_type=0x0806), "not-ip"),
    "spanning tree": (ETHERNET, MACS + words(38) + b"\x42\x42\x03" + bytes(40), "not-ip"),
    "SNAP of another vendor": (ETHERNET, MACS + words(40) + b"\xaa\xaa\x03\x00\x00\x0c\x20\x00" + V4, "not-ip"),
    "length between 1500 and 1536": (ETHERNET, MACS + words(1501) + V4, "not-ip"),
    "17 tags": (ETHERNET, MACS + words(0x8100, 1) * 17 + words(0x0800) + V4, "too-deep"),
    "MPLS without a bottom": (ETHERNET, MACS + words(0x8847) + bytes(200), "too-deep"),
    "MPLS with something else": (ETHERNET, MACS + words(0x8847, 0, 0x0100) + bytes(40), "not-ip"),
    "PPPoE discovery": (ETHERNET, MACS + words(0x8863, 0x1109, 0, 4) + bytes(40), "not-ip"),
    "PPP link control": (9, b"\xff\x03\xc0\x21" + bytes(20), "not-ip"),
    "neither IPv4 nor IPv6": (ETHERNET, link(b"\x00" * 40, ether_type=0x0800), "bad-ip-header"),
    "other address family": (0, struct.pack("<I", 7) + V4, "not-ip"),
    "ARCNET fragment": (7, b"\x01\x02\xd4\x03\x00\x01" + V4, "fragment"),
    "NFLOG of ARP": (239, b"\x03\x00\x00\x00" + attribute(9, V4), "not-ip"),
    "NFLOG with a length of 0": (239, b"\x02\x00\x00\x00" + bytes(60), "not-ip"),
    "unknown": (147, V4, "unknown-link-type"),
    "no packet": (-1, b"", "not-a-packet"),
}


@pytest.mark.parametrize(("link_type", "data", "code"), SKIPPED.values(), ids=SKIPPED)
def test_skipped(link_type: int, data: bytes, code: str) -> None:
    assert decode(data, link_type)[0] == code


def test_the_length_of_pppoe_counts_before_that_of_ip() -> None:
    """Some access routers count the padding of short frames into the IP length."""
    bare = bytearray(tcp(Tcp(*ADDRESSES[4], 1, 2, 3), total_length=46))
    data = MACS + words(0x8864, 0x1100, 7, 42, 0x21) + bytes(bare) + bytes(6)
    code, segment = decode(data, ETHERNET)
    assert (code, segment.length, segment.captured) == ("decoded", 0, 0)
