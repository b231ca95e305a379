"""Link layers: each of them down to the same TCP segment, cut at every octet, and with what is not IP."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import CHECKSUM_UNKNOWN
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
JUNIPER = b"MGC"
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
    "R-Tag": (ETHERNET, MACS + words(0xF1C1, 0, 1, 0x0800) + V4),
    "security group tag": (ETHERNET, MACS + words(0x8909, 0x0101, 1, 5, 0x0800) + V4),
    "time stamp of a switch": (ETHERNET, MACS + words(0xD28B, 1, 0x0010) + bytes(8) + words(0x86DD) + V6),
    "short time stamp of a switch": (ETHERNET, MACS + words(0xD28B, 1, 0x0120) + bytes(6) + words(0x0800) + V4),
    "MAC in MAC": (ETHERNET, MACS + words(0x88A8, 5, 0x88E7, 0, 7) + MACS + words(0x8100, 5, 0x0800) + V4),
    "FabricPath": (ETHERNET, MACS + words(0x8903, 0x4060) + MACS + words(0x0800) + V4),
    "TRILL": (ETHERNET, MACS + words(0x22F3, 0x0001, 3, 4) + MACS + words(0x86DD) + V6),
    "TRILL with options": (ETHERNET, MACS + words(0x22F3, 0x0081, 3, 4) + bytes(8) + MACS + words(0x0800) + V4),
    "ISL": (ETHERNET, b"\x01\x00\x0c\x00\x00" + bytes(7) + words(99) + SNAP[:3] + bytes(9) + MACS + words(0x0800) + V4),
    "NSH with MPLS": (ETHERNET, MACS + words(0x894F, 0x0FC2, 0x0105, 0, 0, 0, 0x0140) + V4),
    "NSH": (ETHERNET, MACS + words(0x894F, 0x0FC6, 0x0103) + bytes(20) + MACS + words(0x0800) + V4),
    "MACsec without encryption": (ETHERNET, MACS + words(0x88E5, 0x2000, 0, 1) + bytes(8) + words(0x0800) + V4),
    "short MACsec": (ETHERNET, MACS + words(0x88E5, 0, 0, 1, 0x0800) + V4 + bytes(16)),
    "LLC behind an EtherType": (ETHERNET, MACS + words(0x8870) + SNAP + words(0x0800) + V4),
    "PPP behind an EtherType": (ETHERNET, MACS + words(0x880B, 0x21) + V4),
    "Ethernet in Ethernet": (ETHERNET, MACS + words(0x6558) + MACS + words(0x0800) + V4),
    "pseudowire": (ETHERNET, MACS + words(0x8847, 0, 0x0140, 0, 1) + MACS + words(0x0800) + V4),
    "pseudowire without control word": (ETHERNET, MACS + words(0x8847, 0, 0x0140) + MACS + words(0x8100, 5, 0x0800) + V4),
    "multilink PPP": (9, b"\xff\x03\x00\x3d\xc0\x00\x00\x01\x00\x21" + V4),
    "bridged PPP": (9, words(0x31) + b"\x00\x01" + MACS + words(0x0800) + V4),
    "PPP with MPLS": (9, words(0x0281, 0, 0x0140) + V6),
    "PPP of pppd": (166, b"\x00\x21" + V4),
    "PPP with a direction": (204, b"\x01\xff\x03\x00\x21" + V4),
    "Cisco HDLC with a direction": (205, b"\x00" + words(0x0F00, 0x86DD) + V6),
    "frame relay": (107, b"\x18\x41\x03\xcc" + V4),
    "frame relay with IPv6": (107, b"\x18\x41\x03\x8e" + V6),
    "frame relay with padding and SNAP": (107, b"\x18\x41\x03\x00\x80" + bytes(3) + words(0x0800) + V4),
    "frame relay with PPP": (107, b"\x18\x41\x03\xcf\x00\x21" + V4),
    "frame relay with a long address": (107, b"\x18\x40\x00\x01\x03\xcc" + V4),
    "frame relay of Cisco": (107, b"\x18\x41" + words(0x0800) + V4),
    "frame relay with bridging": (107, b"\x18\x41\x03\x00\x80\x00\x80\xc2\x00\x07" + MACS + words(0x0800) + V4),
    "frame relay with a direction": (206, b"\x01\x18\x41\x03\xcc" + V4),
    "ATM with bridging": (100, b"\xaa\xaa\x03\x00\x80\xc2\x00\x07" + bytes(2) + MACS + words(0x0800) + V4),
    "ATM with a protocol identifier": (100, b"\xfe\xfe\x03\xcc" + V4),
    "ATM of Linux": (106, V4),
    "ATM of Solaris": (123, b"\x02\x00\x00\x20" + SNAP + words(0x0800) + V4),
    "ATM of Solaris, emulated LAN": (123, b"\x01\x00\x00\x20\x00\x01" + MACS + words(0x0800) + V4),
    "token ring": (6, b"\x10\x40" + MACS + SNAP + words(0x0800) + V4),
    "token ring with a route": (6, b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\x06\x30" + bytes(4) + SNAP + words(0x0800) + V4),
    "Fibre Channel": (122, bytes(16) + SNAP + words(0x0800) + V4),
    "FireWire": (138, bytes(16) + words(0x0800) + V4),
    "SLIP": (8, b"\x00" + bytes(15) + V4),
    "OpenBSD filter log": (117, b"\x3d" + bytes(63) + V4),
    "OpenBSD IPsec": (109, bytes(12) + V6),
    "netANALYZER": (240, bytes(4) + MACS + words(0x0800) + V4),
    "PKTAP": (258, struct.pack("<III", 108, 1, 1) + bytes(96) + MACS + words(0x0800) + V4),
    "PKTAP with raw IP": (258, struct.pack("<III", 108, 1, 12) + bytes(96) + V6),
    "PKTAP before it had a number": (149, struct.pack("<III", 108, 1, 0) + bytes(96) + struct.pack("<I", 2) + V4),
    "DSA": (284, MACS + bytes(4) + words(0x0800) + V4),
    "EDSA": (285, MACS + bytes(8) + words(0x0800) + V4),
    "Broadcom tag": (281, MACS + bytes(4) + words(0x86DD) + V6),
    "Broadcom tag in front": (282, bytes(4) + MACS + words(0x0800) + V4),
    "Juniper Ethernet": (178, JUNIPER + b"\x00" + MACS + words(0x0800) + V4),
    "Juniper Ethernet with extensions": (178, JUNIPER + b"\x80\x00\x06\x03\x04" + bytes(4) + MACS + words(0x0800) + V4),
    "Juniper without a link header": (178, JUNIPER + b"\x02" + struct.pack("<I", 2) + V4),
    "Juniper without a link header, IPv6": (179, JUNIPER + b"\x03" + struct.pack("<I", 6) + V6),
    "Juniper PPP": (179, JUNIPER + b"\x01\xff\x03" + words(0x21) + V4),
    "Juniper frame relay": (180, JUNIPER + b"\x01\x18\x41\x03\xcc" + V4),
    "Juniper Cisco HDLC": (181, JUNIPER + b"\x01" + words(0x0F00, 0x0800) + V4),
    "Juniper PPPoE": (167, JUNIPER + b"\x01" + MACS + PPPOE + V4),
    "Juniper services": (136, JUNIPER + b"\x00" + bytes(12) + V4),
    "Juniper services, received": (136, JUNIPER + b"\x01" + bytes(16) + V4),
    "Juniper GGSN": (133, JUNIPER + b"\x01" + struct.pack("<HH", 2, 5) + V4),
    "Juniper voice": (183, JUNIPER + b"\x01" + bytes(18) + V4),
    "Juniper ATM1": (137, JUNIPER + b"\x01" + bytes(4) + SNAP + words(0x0800) + V4),
    "Juniper ATM2": (135, JUNIPER + b"\x01" + bytes(8) + V4),
    "Juniper ATM2 with PPP": (135, JUNIPER + b"\x01" + bytes(8) + words(0x21) + V4),
    "Juniper MLPPP": (130, JUNIPER + b"\x01" + words(7, 0x21) + V4),
    "Juniper MLPPP of a child link": (130, JUNIPER + b"\x01" + words(0x21) + V4),
    "Juniper's number for MPLS": (178, JUNIPER + b"\x02" + struct.pack("<I", 32) + words(0, 0x0140) + V4),
    "Juniper's number for PPP": (178, JUNIPER + b"\x02" + struct.pack("<I", 200) + words(0x21) + V4),
    "Juniper's number for LLC": (178, JUNIPER + b"\x02" + struct.pack("<I", 203) + SNAP + words(0x0800) + V4),
    "Juniper's number for Ethernet": (180, JUNIPER + b"\x02" + struct.pack("<I", 204) + MACS + words(0x0800) + V4),
    "Juniper's number for frame relay": (178, JUNIPER + b"\x02" + struct.pack("<I", 207) + b"\x18\x41\x03\xcc" + V4),
    "Juniper's number for Cisco HDLC": (178, JUNIPER + b"\x02" + struct.pack("<I", 208) + words(0x0F00, 0x0800) + V4),
    "Juniper MLPPP with a cookie": (130, JUNIPER + b"\x01\x54\x00\x00\x00" + words(0x21) + V4),
}  # fmt: skip
LAYERS |= {f"{name} with IPv4": (kind, link(V4, kind)) for name, kind in LINK_TYPES.items() if name != "ipv6"}
LAYERS |= {f"{name} with IPv6": (kind, link(V6, kind)) for name, kind in LINK_TYPES.items() if name != "ipv4"}


@pytest.mark.parametrize(("link_type", "data"), LAYERS.values(), ids=LAYERS)
def test_layers(link_type: int, data: bytes) -> None:
    code, segment = decode(data, link_type)
    assert (code, segment.seq, segment.length, segment.captured) == ("decoded", 3, 7, 7)
    assert segment.data[segment.payload : segment.payload + 7] == b"payload"
    if any(data[at : at + 2] == b"\x88\x47" for at in (12, 16)):
        return  # what is below MPLS labels can only be told by how it looks
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
    "ARCNET with Novell's protocol": (7, b"\x01\x02\xfa\x00\x00\x01" + V4, "not-ip"),
    "ARCNET fragment": (7, b"\x01\x02\xd4\x03\x00\x01" + V4, "fragment"),
    "NFLOG of ARP": (239, b"\x03\x00\x00\x00" + attribute(9, V4), "not-ip"),
    "NFLOG with a length of 0": (239, b"\x02\x00\x00\x00" + bytes(60), "not-ip"),
    "unknown": (147, V4, "unknown-link-type"),
    "no packet": (-1, b"", "not-a-packet"),
    "TRILL with options beyond the end": (ETHERNET, MACS + words(0x22F3, 0x07C1, 3, 4) + MACS + words(0x0800) + V4, "cut-link-header"),
    "NSH of no length": (ETHERNET, MACS + words(0x894F, 0x0FC0, 0x0101, 0, 0) + V4, "not-ip"),
    "NSH with something else": (ETHERNET, MACS + words(0x894F, 0x0FC2, 0x0109, 0, 0) + V4, "not-ip"),
    "MACsec": (ETHERNET, MACS + words(0x88E5, 0x2C00, 0, 1) + bytes(8) + words(0x0800) + V4, "encrypted"),
    "unknown time stamp": (ETHERNET, MACS + words(0xD28B, 2, 0x0010) + bytes(8) + words(0x0800) + V4, "not-ip"),
    "ISL's address with LLC": (ETHERNET, b"\x01\x00\x0c\x00\x00" + bytes(7) + words(99) + b"\x42\x42\x03" + bytes(99), "not-ip"),
    "pseudowire with spanning tree": (ETHERNET, MACS + words(0x8847, 0, 0x0140, 0, 1) + MACS + words(38, 0x4242) + bytes(40), "not-ip"),
    "fragment of multilink PPP": (9, b"\xff\x03\x00\x3d\x80\x00\x00\x01\x00\x21" + V4, "fragment"),
    "compressed PPP": (9, b"\xff\x03\x00\xfd" + bytes(40), "encrypted"),
    "frame relay with an endless address": (107, bytes(99), "not-ip"),
    "frame relay's link management": (107, b"\x00\x01\x03\x08\x00\x75" + bytes(40), "not-ip"),
    "SNAP bridging token ring": (100, b"\xaa\xaa\x03\x00\x80\xc2\x00\x09" + bytes(99), "not-ip"),
    "token ring's own frames": (6, b"\x10\x00" + MACS + SNAP + words(0x0800) + V4, "not-ip"),
    "ATM signalling of Solaris": (123, b"\x06\x00\x00\x05" + bytes(50), "not-ip"),
    "old OpenBSD filter log": (117, b"\x1c" + bytes(63) + V4, "not-ip"),
    "PKTAP without a packet": (258, struct.pack("<III", 108, 0, 1) + bytes(196), "not-ip"),
    "something else on PKTAP's old number": (149, MACS + words(0x0800) + V4, "unknown-link-type"),
    "PKTAP in PKTAP without end": (258, struct.pack("<III", 12, 1, 258) * 99, "too-deep"),
    "Juniper with IS-IS": (178, JUNIPER + b"\x02" + struct.pack("<I", 10) + bytes(40), "not-ip"),
    "Juniper with extensions beyond the end": (178, JUNIPER + b"\x80\xff\xff" + bytes(90), "cut-link-header"),
    "Juniper ATM cell": (137, JUNIPER + b"\x01\x80" + bytes(60), "not-ip"),
    "Juniper MLPPP with something else": (130, JUNIPER + b"\x01" + bytes(60), "not-ip"),
}  # fmt: skip


@pytest.mark.parametrize(("link_type", "data", "code"), SKIPPED.values(), ids=SKIPPED)
def test_skipped(link_type: int, data: bytes, code: str) -> None:
    assert decode(data, link_type)[0] == code


def test_the_length_of_pppoe_counts_before_that_of_ip() -> None:
    """Some access routers count the padding of short frames into the IP length."""
    bare = bytearray(tcp(Tcp(*ADDRESSES[4], 1, 2, 3), total_length=46))
    data = MACS + words(0x8864, 0x1100, 7, 42, 0x21) + bytes(bare) + bytes(6)
    code, segment = decode(data, ETHERNET)
    assert (code, segment.length, segment.captured) == ("decoded", 0, 0)
    assert decode(data, ETHERNET, verify=True)[1].checksum == CHECKSUM_UNKNOWN, "it may count bytes that are not there"


PATHS = {
    "802.1Q": "vlan",
    "QinQ": "vlan/vlan",
    "VN-Tag and VLAN": "vntag/vlan",
    "E-Tag": "etag",
    "HSR": "hsr",
    "MPLS": "mpls",
    "VLAN, PPPoE and MPLS": "vlan/pppoe/mpls",
    "MAC in MAC": "vlan/pbb/vlan",
    "FabricPath": "fabricpath",
    "TRILL": "trill",
    "ISL": "isl",
    "NSH": "nsh",
    "short MACsec": "macsec",
    "pseudowire": "mpls/ethernet",
    "pseudowire without control word": "mpls/ethernet/vlan",
    "multilink PPP": "multilink",
    "SNAP": "",
    "PPP with MPLS": "mpls",
    "Juniper PPPoE": "pppoe",
    "FDDI": "",
    "PKTAP": "",
    "ethernet with IPv4": "",
    "sll with IPv6": "",
}


@pytest.mark.parametrize("name", PATHS)
def test_the_path_says_what_lies_between_link_and_ip(name: str) -> None:
    decoder = Decoder(False)
    link_type, data = LAYERS[name]
    _, segment = decode(data, link_type, decoder=decoder)
    assert decoder.encapsulation_name(segment.encapsulation) == PATHS[name]


@pytest.mark.parametrize(
    "name", ["802.1Q", "QinQ", "SNAP", "LLC", "MPLS", "PPPoE", "ethernet with IPv4", "ethernet with IPv6"]
)
def test_dpkt_agrees(name: str) -> None:
    layer = dpkt.ethernet.Ethernet(LAYERS[name][1])
    while not isinstance(layer, dpkt.tcp.TCP):
        layer = layer.data
    assert (layer.sport, layer.dport, layer.seq, layer.data) == (1000, 2000, 3, b"payload")
