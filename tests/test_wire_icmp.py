"""ICMP errors about TCP segments: who says what about which connection, and what is none."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.address import endpoints
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import ABSENT
from tests.pcapwriter import ETHERNET, RAW, Ip, Tcp, link, tcp
from tests.test_wire_tcp import ADDRESSES, decode

ROUTER = {4: "203.0.113.9", 6: "2001:db8:ffff::9"}
QUOTED = {version: tcp(Tcp(*ADDRESSES[version], 1000, 2000, 0xFEDCBA98, payload=bytes(20))) for version in (4, 6)}


def icmp(kind: int, code: int, rest: int = 0, quoted: bytes | None = None, version: int = 4) -> bytes:
    message = struct.pack("!BBHI", kind, code, 0, rest) + (QUOTED[version] if quoted is None else quoted)
    return Ip(ROUTER[version], ADDRESSES[version][0], message, 1 if version == 4 else 58).pack()


EMPTY = bytes(7)
EXTENDED = (
    QUOTED[6][:6] + b"\x00" + QUOTED[6][7:40] + b"\x2b" + EMPTY + b"\x3c" + EMPTY + b"\x06" + EMPTY + QUOTED[6][40:]
)
FRAGMENT6 = QUOTED[6][:6] + b"\x2c" + QUOTED[6][7:40] + b"\x06\x00\x00\x01" + bytes(4) + QUOTED[6][40:]
OPTIONS = b"\x46" + QUOTED[4][1:20] + b"\x94\x04\x00\x00" + QUOTED[4][20:]

# Packet, version, type, code, MTU
ERRORS = {
    "host unreachable": (icmp(3, 1), 4, 3, 1, ABSENT),
    "port unreachable": (icmp(3, 3), 4, 3, 3, ABSENT),
    "administratively prohibited": (icmp(3, 13), 4, 3, 13, ABSENT),
    "fragmentation needed": (icmp(3, 4, 1400), 4, 3, 4, 1400),
    "fragmentation needed of old routers": (icmp(3, 4, 0), 4, 3, 4, ABSENT),
    "another code with a number there": (icmp(3, 1, 1400), 4, 3, 1, ABSENT),
    "time exceeded": (icmp(11, 0), 4, 11, 0, ABSENT),
    "quoted with options": (icmp(3, 1, quoted=OPTIONS), 4, 3, 1, ABSENT),
    "with extensions": (icmp(3, 1, 0x00200000, QUOTED[4] + bytes(70) + b"\x20\x00" + bytes(30)), 4, 3, 1, ABSENT),
    "unreachable, IPv6": (icmp(1, 4, version=6), 6, 1, 4, ABSENT),
    "too big": (icmp(2, 0, 1280, version=6), 6, 2, 0, 1280),
    "too big by far": (icmp(2, 0, 0xFFFFFFFF, version=6), 6, 2, 0, 0xFFFFFFFF),
    "time exceeded, IPv6": (icmp(3, 0, version=6), 6, 3, 0, ABSENT),
    "quoted with extension headers": (icmp(1, 4, quoted=EXTENDED, version=6), 6, 1, 4, ABSENT),
    "quoted first fragment": (icmp(1, 4, quoted=FRAGMENT6, version=6), 6, 1, 4, ABSENT),
}


@pytest.mark.parametrize(("data", "version", "kind", "code", "mtu"), ERRORS.values(), ids=ERRORS)
def test_errors(data: bytes, version: int, kind: int, code: int, mtu: int) -> None:
    decoder = Decoder(False)
    for link_type, frame in ((RAW, data), (ETHERNET, link(data)), (ETHERNET, link(data, vlan=[5]))):
        name, _ = decode(frame, link_type, decoder=decoder)
        assert name == "icmp-error"
        error = decoder.icmp
        assert (error.ip_version, error.type, error.code, error.mtu) == (version, kind, code, mtu)
        assert error.reporter == ipaddress.ip_address(ROUTER[version]).packed
        assert endpoints(error.key) == (ADDRESSES[version][0], 1000, ADDRESSES[version][1], 2000)
        assert (error.seq, error.frame, error.time_ns) == (0xFEDCBA98, 17, 1234)


@pytest.mark.parametrize("version", [4, 6])
def test_a_short_quotation_has_the_ports_and_perhaps_the_sequence_number(version: int) -> None:
    header = 20 if version == 4 else 40
    for quoted in range(header + 20):
        decoder = Decoder(False)
        code, _ = decode(icmp(3, 0, quoted=QUOTED[version][:quoted], version=version), decoder=decoder)
        assert code == ("icmp-error" if quoted >= header + 4 else "not-tcp")
        if code == "icmp-error":
            assert decoder.icmp.seq == (0xFEDCBA98 if quoted >= header + 8 else ABSENT)


def test_errors_come_through_tunnels_and_in_fragments() -> None:
    decoder = Decoder(False)
    gre = Ip("203.0.113.1", "203.0.113.2", struct.pack("!HH", 0, 0x0800) + icmp(3, 4, 1400), 47).pack()
    assert decode(gre, decoder=decoder)[0] == "icmp-error"
    assert decoder.icmp.mtu == 1400


OTHERS = {
    "echo": icmp(8, 0),
    "redirect": icmp(5, 1),
    "source quench": icmp(4, 0),
    "parameter problem": icmp(12, 0),
    "about UDP": icmp(3, 3, quoted=Ip(*ADDRESSES[4], bytes(20), 17).pack()),
    "about ICMP": icmp(11, 0, quoted=Ip(*ADDRESSES[4], bytes(20), 1).pack()),
    "about a later fragment": icmp(3, 1, quoted=QUOTED[4][:6] + b"\x00\x10" + QUOTED[4][8:]),
    "quoting another version": icmp(3, 1, quoted=QUOTED[6]),
    "quoting a header of 16 octets": icmp(3, 1, quoted=b"\x44" + QUOTED[4][1:]),
    "without a quotation": icmp(3, 1, quoted=b""),
    "cut": icmp(3, 1)[:25],
    "ICMPv6 in IPv4": Ip(ROUTER[4], ADDRESSES[4][0], b"\x01\x04" + bytes(6) + QUOTED[4], 58).pack(),
    "ICMP in IPv6": Ip(ROUTER[6], ADDRESSES[6][0], b"\x03\x01" + bytes(6) + QUOTED[6], 1).pack(),
    "echo, IPv6": icmp(128, 0, version=6),
    "parameter problem, IPv6": icmp(4, 0, version=6),
    "neighbour": icmp(135, 0, version=6),
    "about UDP, IPv6": icmp(1, 4, quoted=Ip(*ADDRESSES[6], bytes(20), 17).pack(), version=6),
    "about a later fragment, IPv6": icmp(1, 4, quoted=FRAGMENT6[:43] + b"\x09" + FRAGMENT6[44:], version=6),
    "quoting endless extension headers": icmp(1, 4, quoted=QUOTED[6][:6] + b"\x3c" + QUOTED[6][7:40] + b"\x3c" * 1200, version=6),
}  # fmt: skip


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_others(data: bytes) -> None:
    assert decode(data)[0] == "not-tcp"


@given(
    st.sampled_from(list(ERRORS.values())), st.lists(st.tuples(st.integers(0, 140), st.integers(0, 255)), max_size=5)
)
def test_any_message(made: tuple[bytes, int, int, int, int], changes: list[tuple[int, int]]) -> None:
    broken = bytearray(made[0])
    for at, value in changes:
        broken[at % len(broken)] = value
    decoder = Decoder(False)
    code, _ = decode(bytes(broken), decoder=decoder)
    if code == "icmp-error":
        assert len(decoder.icmp.key) == (12 if decoder.icmp.ip_version == 4 else 36)
        assert ABSENT <= decoder.icmp.mtu < 2**32
