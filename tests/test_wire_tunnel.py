"""Tunnels: each down to the same TCP segment, cut at every octet, and what resembles one but is none."""

from __future__ import annotations

import random
import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.address import endpoints
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import CHECKSUM_GOOD, Segment
from tests.pcapwriter import ETHERNET, RAW, Ip, Tcp, link, tcp
from tests.test_wire_tcp import ADDRESSES, decode

OUTER = {4: ("203.0.113.1", "203.0.113.2"), 6: ("2001:db8:ffff::1", "2001:db8:ffff::2")}
V4, V6 = (tcp(Tcp(*ADDRESSES[version], 1000, 2000, 3, payload=b"payload")) for version in (4, 6))
TEREDO = Tcp("2001:0:cb00:7101::1", "2001:db8::2", 1000, 2000, 3, payload=b"payload")
ETHER4, ETHER6 = link(V4), link(V6)
PPP4, PPP6 = b"\xff\x03\x00\x21" + V4, b"\x00\x57" + V6
SNAP4 = bytes.fromhex("aaaa030000000800") + V4


def words(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}H", *numbers)


def longs(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}I", *numbers)


def ip(payload: bytes, protocol: int, version: int = 4) -> bytes:
    return Ip(*OUTER[version], payload, protocol=protocol).pack()


def udp(payload: bytes, port: int, source: int = 50000, version: int = 4, length: int | None = None) -> bytes:
    size = len(payload) + 8 if length is None else length
    return ip(words(source, port, size, 0) + payload, 17, version)


def gre(payload: bytes, kind: int, flags: int = 0, options: bytes = b"") -> bytes:
    return ip(words(flags, kind) + options + payload, 47)


def gtp(payload: bytes, flags: int = 0x30, options: bytes = b"", kind: int = 0xFF) -> bytes:
    return bytes([flags, kind]) + words(len(options) + len(payload)) + longs(7) + options + payload


def wlan(payload: bytes, swapped: bool = False) -> bytes:
    control = b"\x01\x08" if swapped else b"\x08\x01"
    return control + bytes(22) + payload


VXLAN = longs(0x08000000, 0x00007B00)
GENEVE = longs(0x00006558, 0x00007B00)
CAPWAP = longs(0x00100300, 0)  # header of two words, IEEE 802.11 in its own form
ROUTE = words(0x0800, 4 << 8 | 4) + bytes(4) + bytes(4)
TEREDO_AUTH = bytes([0, 1, 3, 4]) + b"idn" + b"auth" + bytes(9)
AYIYA = bytes([0x42, 0x52, 0x11, 41]) + bytes(4 + 16 + 20)

# Path, link type, frame
TUNNELS = {
    "IPv4 in IPv4": ("ipv4", RAW, ip(V4, 4)),
    "IPv6 in IPv4": ("ipv4", RAW, ip(V6, 41)),
    "IPv4 in IPv6": ("ipv6", RAW, ip(V4, 4, 6)),
    "GRE": ("gre", RAW, gre(V4, 0x0800)),
    "GRE over IPv6": ("gre", RAW, ip(words(0, 0x86DD) + V6, 47, 6)),
    "GRE with checksum": ("gre", RAW, gre(V4, 0x0800, 0x8000, bytes(4))),
    "GRE with key": ("gre", RAW, gre(V6, 0x86DD, 0x2000, longs(99))),
    "GRE with all options": ("gre", RAW, gre(V4, 0x0800, 0xF000, bytes(12) + ROUTE)),
    "GRE with MPLS": ("gre/mpls", RAW, gre(longs(0x00010140) + V4, 0x8847)),
    "GRE with VLAN": ("gre/vlan", RAW, gre(words(5, 0x0800) + V4, 0x8100)),
    "NVGRE": ("gre/ethernet", RAW, gre(ETHER4, 0x6558, 0x2000, longs(0x123400))),
    "GRE of MikroTik": ("gre/ethernet", RAW, gre(ETHER6, 0x6400)),
    "GRE with PPP": ("gre/ppp", RAW, gre(PPP4, 0x880B)),
    "PPTP": ("gre", RAW, gre(PPP4, 0x880B, 0x3001, words(len(PPP4), 9) + longs(1))),
    "PPTP with acknowledgement": ("gre", RAW, gre(PPP6, 0x880B, 0x3081, words(len(PPP6), 9) + longs(1, 2))),
    "ERSPAN I": ("gre/erspan", RAW, gre(ETHER4, 0x88BE)),
    "ERSPAN II": ("gre/erspan", RAW, gre(longs(0x10640003, 5) + ETHER4, 0x88BE, 0x1000, longs(1))),
    "ERSPAN III": ("gre/erspan", RAW, gre(longs(0x20640003, 5, 0) + ETHER6, 0x22EB, 0x1000, longs(1))),
    "ERSPAN III with more": ("gre/erspan", RAW, gre(longs(0x20640003, 5, 1) + bytes(8) + ETHER6, 0x22EB)),
    "ERSPAN III with bare IP": ("gre/erspan", RAW, gre(longs(0x20640003, 5, 0x0800) + V4, 0x22EB)),
    "WCCP": ("gre/wccp", RAW, gre(V4, 0x883E)),
    "WCCP with redirect header": ("gre/wccp", RAW, gre(longs(0x00500000) + V4, 0x883E)),
    "GRE with 802.11": ("gre/wlan", RAW, gre(wlan(SNAP4), 0x8200)),
    "EtherIP": ("etherip", RAW, ip(b"\x30\x00" + ETHER4, 97)),
    "MPLS in IP": ("mpls", RAW, ip(longs(0x00010140) + V4, 137)),
    "Ethernet in IPv6": ("ethernet", RAW, ip(ETHER4, 143, 6)),
    "L2TPv3 over IP": ("l2tp", RAW, ip(longs(7) + ETHER4, 115)),
    "L2TPv3 over IP with cookie": ("l2tp", RAW, ip(longs(7, 8, 9) + ETHER6, 115)),
    "L2TPv3 over IP with VLAN": ("l2tp/vlan", RAW, ip(longs(7, 8) + link(V4, vlan=[5]), 115)),
    "L2TPv3 over IP with PPP": ("l2tp", RAW, ip(longs(7, 8) + PPP4, 115)),
    "L2TPv3 over IP with HDLC": ("l2tp", RAW, ip(longs(7, 8, 9) + words(0x0F00, 0x0800) + V4, 115)),
    "VXLAN": ("vxlan", RAW, udp(VXLAN + ETHER4, 4789)),
    "VXLAN over IPv6": ("vxlan", RAW, udp(VXLAN + ETHER6, 4789, version=6)),
    "VXLAN of Linux": ("vxlan", RAW, udp(VXLAN + ETHER6, 8472)),
    "VXLAN, source port": ("vxlan", RAW, udp(VXLAN + ETHER4, 50001, 4789)),
    "VXLAN with group policy": ("vxlan", RAW, udp(longs(0x88481234, 0x7B00) + ETHER4, 4789)),
    "VXLAN with VLAN": ("vxlan/vlan", RAW, udp(VXLAN + link(V4, vlan=[5]), 4789)),
    "VXLAN of a short frame": ("vxlan", RAW, udp(VXLAN + link(V4, pad=True), 4789)),
    "VXLAN without UDP length": ("vxlan", RAW, udp(VXLAN + ETHER6, 4789, version=6, length=0)),
    "VXLAN-GPE": ("vxlan-gpe", RAW, udp(longs(0x0C000001, 0x7B00) + V4, 4790)),
    "VXLAN-GPE with IPv6": ("vxlan-gpe", RAW, udp(longs(0x0C000002, 0x7B00) + V6, 4790)),
    "VXLAN-GPE with Ethernet": ("vxlan-gpe", RAW, udp(longs(0x0C000003, 0x7B00) + ETHER4, 4790)),
    "VXLAN-GPE with NSH": ("vxlan-gpe/nsh", RAW, udp(longs(0x0C000004, 0x7B00, 0x0FC20201, 1) + V4, 4790)),
    "VXLAN-GPE as VXLAN": ("vxlan-gpe", RAW, udp(VXLAN + ETHER4, 4790)),
    "Geneve": ("geneve", RAW, udp(GENEVE + ETHER4, 6081)),
    "Geneve with options": ("geneve", RAW, udp(longs(0x02406558, 0x7B00, 0x01020001, 9) + ETHER4, 6081)),
    "Geneve with IPv6": ("geneve", RAW, udp(longs(0x000086DD, 0x7B00) + V6, 6081)),
    "GTP": ("gtp", RAW, udp(gtp(V4), 2152, 2152)),
    "GTP with IPv6": ("gtp", RAW, udp(gtp(V6), 2152)),
    "GTP with sequence": ("gtp", RAW, udp(gtp(V4, 0x32, longs(0x00050000)), 2152)),
    "GTP with extensions": (
        "gtp",
        RAW,
        udp(gtp(V4, 0x34, longs(0x85, 0x01001085) + longs(0x02001011, 0x22334400)), 2152),
    ),
    "L2TP": ("l2tp", RAW, udp(words(2, 1, 2) + PPP4, 1701, 1701)),
    "L2TP with length": ("l2tp", RAW, udp(words(0x4002, len(PPP6) + 8, 1, 2) + PPP6, 1701)),
    "L2TP with all fields": ("l2tp", RAW, udp(words(0x4A02, len(PPP4) + 16, 1, 2, 3, 4, 2, 0) + PPP4, 1701)),
    "L2TPv3": ("l2tp", RAW, udp(words(3, 0) + longs(7, 8) + ETHER4, 1701)),
    "Teredo": ("teredo", RAW, udp(tcp(TEREDO), 3544)),
    "Teredo with origin": ("teredo", RAW, udp(bytes(8) + tcp(TEREDO), 50001, 3544)),
    "Teredo with authentication": ("teredo", RAW, udp(TEREDO_AUTH + bytes(8) + tcp(TEREDO), 3544)),
    "AYIYA": ("ayiya", RAW, udp(AYIYA + V6, 5072)),
    "LISP": ("lisp", RAW, udp(longs(0x80123456, 1) + V4, 4341)),
    "LISP with IPv6": ("lisp", RAW, udp(longs(0, 0) + V6, 4341)),
    "CAPWAP": ("capwap", RAW, udp(CAPWAP + wlan(SNAP4), 5247)),
    "CAPWAP with swapped octets": ("capwap", RAW, udp(CAPWAP + wlan(SNAP4, swapped=True), 5247)),
    "CAPWAP with a radio address": ("capwap", RAW, udp(longs(0x00200310, 0, 0x06112233, 0x44556600) + wlan(SNAP4), 5247)),
    "CAPWAP with Ethernet": ("capwap", RAW, udp(longs(0x00100200, 0) + ETHER4, 5247)),
    "LWAPP": ("lwapp", RAW, udp(words(0, len(SNAP4) + 24, 0) + wlan(SNAP4, swapped=True), 12222)),
    "TZSP": ("tzsp", RAW, udp(bytes.fromhex("01000001 0a01c4 0000 01") + ETHER4, 37008)),
    "TZSP with 802.11": ("tzsp", RAW, udp(bytes.fromhex("01000012 01") + wlan(SNAP4), 37008)),
    "GRE in UDP": ("udp/gre", RAW, udp(words(0, 0x0800) + V4, 4754)),
    "MPLS in UDP": ("udp/mpls", RAW, udp(longs(0x00010140) + V4, 6635)),
    "AH behind IPv4": ("", RAW, Ip(*ADDRESSES[4], b"\x06\x04" + bytes(22) + V4[20:], protocol=51).pack()),
    "mirrored cloud": (
        "gre/erspan/vlan/vxlan/ipv4",
        ETHERNET,
        link(gre(longs(0x10640003, 5) + link(udp(VXLAN + link(ip(V4, 4)), 4789), vlan=[7]), 0x88BE, 0x1000, longs(1))),
    ),
    "access network": (
        "vlan/pppoe/l2tp/ipv4",
        ETHERNET,
        link(
            words(0x1100, 7) + words(len(udp(words(2, 1, 2) + b"\x00\x21" + ip(V6, 41), 1701)) + 2, 0x21)
            + udp(words(2, 1, 2) + b"\x00\x21" + ip(V6, 41), 1701),
            vlan=[5],
            ether_type=0x8864,
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "link_type", "data"), TUNNELS.values(), ids=TUNNELS)
def test_the_innermost_segment_counts(path: str, link_type: int, data: bytes) -> None:
    decoder = Decoder(True)
    code, segment = decode(data, link_type, decoder=decoder)
    assert code == "decoded"
    assert decoder.encapsulation_name(segment.encapsulation) == path
    assert (segment.encapsulation == 0) == (path == "")
    expected = ADDRESSES[segment.ip_version] if "Teredo" not in path and path != "teredo" else TEREDO_ADDRESSES
    assert endpoints(segment.key) == (expected[0], 1000, expected[1], 2000)
    assert (segment.seq, segment.length, segment.captured) == (3, 7, 7)
    assert segment.data[segment.payload : segment.payload + 7] == b"payload"
    assert segment.checksum == CHECKSUM_GOOD


TEREDO_ADDRESSES = (TEREDO.source, TEREDO.destination)


@pytest.mark.parametrize(("path", "link_type", "data"), TUNNELS.values(), ids=TUNNELS)
def test_cut_anywhere(path: str, link_type: int, data: bytes) -> None:
    for captured in range(len(data)):
        code, segment = decode(data[:captured], link_type, wire_length=len(data))
        if code == "decoded":
            assert captured >= data.index(b"payload")
            assert segment.length == 7
        else:
            # Where a tunnel can only be told by its content, too little of it tells nothing.
            assert code.startswith("cut-") or code == "not-tcp", captured


PADDED4 = V4 + bytes(20)
NEAR_MISSES = {
    "GRE of version 2": (gre(V4, 0x0800, 2), "not-tcp"),
    "GRE with an unknown type": (gre(V4, 0x0123), "not-tcp"),
    "GRE with ARP": (gre(bytes(28), 0x0806), "not-ip"),
    "GRE with endless routes": (gre(V4, 0x0800, 0x4000, bytes(4) + ROUTE[:-4] * 200), "not-tcp"),
    "PPTP that only acknowledges": (gre(PPP4, 0x880B, 0x2081, words(0, 9) + longs(2)), "not-tcp"),
    "PPTP with another protocol": (gre(V4, 0x0800, 0x3001, words(len(V4), 9) + longs(2)), "not-tcp"),
    "PPTP with link control": (gre(b"\xff\x03\xc0\x21" + bytes(9), 0x880B, 0x3001, words(13, 9) + longs(2)), "not-ip"),
    "PPTP, compressed": (gre(b"\x00\xfd" + bytes(9), 0x880B, 0x3001, words(11, 9) + longs(2)), "encrypted"),
    "ERSPAN II of version 3": (gre(longs(0x30640003, 5) + ETHER4, 0x88BE, 0x1000, longs(1)), "not-tcp"),
    "ERSPAN III of version 1": (gre(longs(0x10640003, 5, 0) + ETHER4, 0x22EB), "not-tcp"),
    "ERSPAN III with another kind": (gre(longs(0x20640003, 5, 0x1C00) + V4, 0x22EB), "not-tcp"),
    "EtherIP of version 2": (ip(b"\x20\x00" + ETHER4, 97), "not-tcp"),
    "L2TPv3 control over IP": (ip(longs(0) + ETHER4, 115), "not-tcp"),
    "L2TPv3 with something else": (ip(longs(7, 8, 9) + bytes(range(80)), 115), "not-tcp"),
    "ESP": (ip(V4, 50), "encrypted"),
    "VXLAN on another port": (udp(VXLAN + ETHER4, 5353), "not-tcp"),
    "VXLAN without the flag": (udp(longs(0, 0x7B00) + ETHER4, 4789), "not-tcp"),
    "VXLAN with a reserved flag": (udp(longs(0x0A000000, 0x7B00) + ETHER4, 4789), "not-tcp"),
    "VXLAN with a reserved octet": (udp(longs(0x08000000, 0x7B01) + ETHER4, 4789), "not-tcp"),
    "VXLAN with a wrong inner checksum": (udp(VXLAN + link(tcp(Tcp(*ADDRESSES[4], 1, 2, 3), bad_checksum=True)), 4789), "not-tcp"),
    "VXLAN with IPv6 of another length": (udp(VXLAN + ETHER6 + bytes(99), 4789), "not-tcp"),
    "VXLAN with a UDP length of 7": (udp(VXLAN + ETHER4, 4789, length=7), "not-tcp"),
    "VXLAN with ARP": (udp(VXLAN + link(bytes(28), ether_type=0x0806), 4789), "not-tcp"),
    "VXLAN-GPE of version 1": (udp(longs(0x1C000001, 0x7B00) + V4, 4790), "not-tcp"),
    "VXLAN-GPE with an unknown protocol": (udp(longs(0x0C000009, 0x7B00) + V4, 4790), "not-tcp"),
    "Geneve of version 1": (udp(longs(0x40006558, 0x7B00) + ETHER4, 6081), "not-tcp"),
    "Geneve with a reserved bit": (udp(longs(0x00016558, 0x7B00) + ETHER4, 6081), "not-tcp"),
    "Geneve with options beyond the end": (udp(longs(0x3F006558, 0x7B00) + ETHER4, 6081), "not-tcp"),
    "GTP of version 2": (udp(gtp(V4, 0x50), 2152), "not-tcp"),
    "GTP echo": (udp(gtp(V4, kind=1), 2152), "not-tcp"),
    "GTP with a length beyond the end": (udp(gtp(PADDED4)[:-8], 2152), "not-tcp"),
    "GTP with an extension of length 0": (udp(gtp(V4, 0x34, longs(0x85, 0x00001085)), 2152), "not-tcp"),
    "GTP with extensions beyond the end": (udp(gtp(V4, 0x34, longs(0x85, 0xFF001085)), 2152), "not-tcp"),
    "L2TP control": (udp(words(0xC802, len(PPP4) + 12, 1, 2, 3, 4) + PPP4, 1701), "not-tcp"),
    "L2TP with a reserved bit": (udp(words(0x1002, 1, 2) + PPP4, 1701), "not-tcp"),
    "L2TP with a length beyond the end": (udp(words(0x4002, 999, 1, 2) + PPP4, 1701), "not-tcp"),
    "L2TP with an offset beyond the end": (udp(words(0x0202, 1, 2, 999) + PPP4, 1701), "not-tcp"),
    "L2TPv3 control": (udp(words(0xC803, 20) + longs(0, 0) + ETHER4, 1701), "not-tcp"),
    "Teredo without its prefix": (udp(V6, 3544), "not-tcp"),
    "Teredo with trailing octets": (udp(tcp(TEREDO) + b"\0", 3544), "not-tcp"),
    "AYIYA with another operation": (udp(AYIYA[:2] + b"\x10" + AYIYA[3:] + V6, 5072), "not-tcp"),
    "AYIYA with another protocol": (udp(AYIYA[:3] + b"\x3b" + AYIYA[4:] + V6, 5072), "not-tcp"),
    "LISP with nonce and map version": (udp(longs(0x90123456, 1) + V4, 4341), "not-tcp"),
    "CAPWAP within DTLS": (udp(longs(0x01000000) + ETHER4, 5247), "not-tcp"),
    "CAPWAP keep-alive": (udp(longs(0x00100308, 0) + wlan(SNAP4), 5247), "not-tcp"),
    "CAPWAP fragment": (udp(longs(0x00100380, 0) + wlan(SNAP4), 5247), "fragment"),
    "CAPWAP of another radio": (udp(longs(0x00100500, 0) + wlan(SNAP4), 5247), "not-tcp"),
    "CAPWAP with a beacon": (udp(CAPWAP + b"\x80\x00" + wlan(SNAP4)[2:], 5247), "not-tcp"),
    "LWAPP control": (udp(words(4 << 8, len(SNAP4) + 24, 0) + wlan(SNAP4), 12222), "not-tcp"),
    "LWAPP fragment": (udp(words(1 << 8, len(SNAP4) + 24, 0) + wlan(SNAP4), 12222), "fragment"),
    "TZSP without an end mark": (udp(bytes.fromhex("01000001 0a01c4 0000"), 37008), "not-tcp"),
    "TZSP with another medium": (udp(bytes.fromhex("01000007 01") + ETHER4, 37008), "not-tcp"),
    "GRE in UDP that is none": (udp(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 4754), "not-tcp"),
    "MPLS in UDP that is none": (udp(b"some text that is long enough", 6635), "not-tcp"),
    "sFlow with a sampled header": (udp(longs(5, 1, 0x0A000001) + bytes(60) + ETHER4, 6343), "not-tcp"),
    "DNS over IPv6": (udp(bytes(60), 53, version=6), "not-tcp"),
    "TZSP that ends in a tag": (udp(bytes.fromhex("01000001 0a01c4 28"), 37008), "not-tcp"),
    "datagram of 7 octets": (udp(b"1234567", 4789), "not-tcp"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code"), NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_near_miss(data: bytes, code: str) -> None:
    assert decode(data)[0] == code


PORTS = (1701, 2152, 3544, 4341, 4754, 4789, 4790, 5072, 5247, 6081, 6635, 8472, 12222, 12223, 37008)
HEADERS = [VXLAN, longs(0x0C000001, 0), GENEVE, longs(0x000086DD, 0), AYIYA, CAPWAP, words(2, 1, 2), longs(0x00010140)]


@pytest.mark.parametrize("port", PORTS)
def test_what_uses_the_port_of_a_tunnel_without_being_one_is_no_segment(port: int) -> None:
    chance = random.Random(port)
    for _ in range(1000):
        data = chance.randbytes(chance.randrange(120))
        # Not even behind what a tunnel begins with, or with the IP header that it should have.
        for content in (data, chance.choice(HEADERS) + data, b"\x45\x00" + words(len(data)) + data):
            code, _ = decode(udp(content, port))
            assert code not in ("decoded", "icmp-error")
            assert not code.startswith("cut-")


@given(
    st.sampled_from(list(TUNNELS.values())), st.lists(st.tuples(st.integers(20, 180), st.integers(0, 255)), max_size=6)
)
def test_any_tunnel_is_decoded_or_skipped(tunnel: tuple[str, int, bytes], changes: list[tuple[int, int]]) -> None:
    broken = bytearray(tunnel[2])
    for at, value in changes:
        broken[at % len(broken)] = value
    code, segment = decode(bytes(broken), tunnel[1], verify=True)
    if code == "decoded":
        assert 0 <= segment.captured <= segment.length < 2**20
        assert len(segment.data[segment.payload : segment.payload + segment.captured]) == segment.captured


def test_nesting_has_an_end() -> None:
    data = V4
    for _ in range(200):
        data = gre(data, 0x0800)
    assert decode(data)[0] == "too-deep"
    assert decode(link(words(0x88E7, 0, 0) + bytes(12)) * 300, ETHERNET)[0] in ("too-deep", "bad-ip-header", "not-ip")
    for wrapped, link_type in ((longs(0x08000000, 1 << 8), 4789), (b"\x00\x00\x65\x58" + longs(1 << 8), 6081)):
        frame = ETHER4
        for _ in range(30):
            frame = link(udp(wrapped + frame, link_type))
        assert decode(frame, ETHERNET)[0] == "too-deep"


def test_paths_are_numbered_on_first_sight() -> None:
    decoder, segment = Decoder(False), Segment()
    numbers: dict[str, int] = {}
    for _ in range(2):
        for name, (path, link_type, data) in TUNNELS.items():
            decode(data, link_type, decoder=decoder, segment=segment)
            assert decoder.encapsulation_name(segment.encapsulation) == path
            assert numbers.setdefault(path, segment.encapsulation) == segment.encapsulation, name
    decode(V4, decoder=decoder, segment=segment)
    assert segment.encapsulation == 0
    assert decoder.encapsulation_name(0) == ""


def test_long_paths_end_and_many_paths_share_a_number() -> None:
    decoder, segment = Decoder(False), Segment()
    tags = [0x8100, 0x8926, 0x893F, 0x892F, 0xF1C1, 0x8909]
    sizes = {0x8100: 4, 0x8926: 6, 0x893F: 8, 0x892F: 6, 0xF1C1: 6, 0x8909: 8}
    chance, seen = random.Random(1), set()
    for _ in range(3000):
        chosen = chance.choices(tags, k=12)
        data = bytes(12)
        for tag in chosen:
            data += words(tag) + bytes(sizes[tag] - 2)
        code, _ = decode(data + words(0x0800) + V4, ETHERNET, decoder=decoder, segment=segment)
        assert code == "decoded"
        seen.add(segment.encapsulation)
        assert decoder.encapsulation_name(segment.encapsulation).count("/") in (9, 0)
    assert len(seen) < 1025
    assert decoder.encapsulation_name(segment.encapsulation) == "other"


def test_dpkt_agrees() -> None:
    """Where dpkt knows the format, it finds the same segment."""
    for name in ("GRE", "GRE with checksum", "GRE with key", "IPv4 in IPv4", "IPv6 in IPv4"):
        packet = dpkt.ip.IP(TUNNELS[name][2]).data
        theirs = packet.data if isinstance(packet, dpkt.gre.GRE) else packet
        theirs = theirs if isinstance(theirs, (dpkt.ip.IP, dpkt.ip6.IP6)) else dpkt.ip.IP(bytes(theirs))
        assert (theirs.data.sport, theirs.data.dport, theirs.data.data) == (1000, 2000, b"payload")
