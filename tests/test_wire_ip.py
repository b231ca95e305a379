"""IPv4 and IPv6 headers: lengths that lie, fragments, extension headers, IP inside IP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.address import endpoints
from tcpscope.wire.segment import CHECKSUM_GOOD, CHECKSUM_UNSURE, Segment
from tests.pcapwriter import ETHERNET, Ip, Tcp, link, tcp
from tests.test_wire_tcp import ADDRESSES, decode

SEGMENT = {version: Tcp(*ADDRESSES[version], 1000, 2000, 3, payload=b"payload") for version in (4, 6)}


def packet(version: int = 4, **fields: int | bool) -> bytes:
    return tcp(SEGMENT[version], **fields)


def with_options(options: bytes) -> bytes:
    plain = packet()
    head = struct.pack("!BBH", 0x45 + len(options) // 4, 0, len(plain) + len(options))
    return head + plain[4:20] + options + plain[20:]


def extended(*headers: tuple[int, bytes], last: int = 6) -> bytes:
    """An IPv6 packet with extension headers, each given by its number and what follows its next-header octet."""
    kinds = [kind for kind, _ in headers] + [last]
    chain = b"".join(bytes([after]) + body for (_, body), after in zip(headers, kinds[1:], strict=True))
    return Ip(*ADDRESSES[6], chain + SEGMENT[6].pack(), protocol=kinds[0]).pack()


def wrapped(inner: bytes, outer: int, times: int = 1) -> bytes:
    for _ in range(times):
        inner = Ip(*ADDRESSES[outer], inner, protocol=41 if inner[0] >> 4 == 6 else 4).pack()
    return inner


EMPTY = b"\x00" + bytes(6)  # an extension header of 8 octets
DECODED = {
    "plain IPv4": packet(),
    "plain IPv6": packet(6),
    "IPv4 options": with_options(b"\x94\x04\x00\x00" * 3),
    "longest IPv4 header": with_options(b"\x01" * 40),
    "hop-by-hop": extended((0, EMPTY)),
    "all the others": extended((60, EMPTY), (43, EMPTY), (135, EMPTY), (139, EMPTY), (140, EMPTY), (60, EMPTY)),
    "longer header": extended((60, b"\x02" + bytes(22))),
    "authentication": extended((51, b"\x04" + bytes(22))),
    "atomic fragment": extended((44, b"\x00\x00\x00" + b"\x00\x00\x00\x09")),
    "IPv4 in IPv4": wrapped(packet(), 4),
    "IPv6 in IPv4": wrapped(packet(6), 4),
    "IPv4 in IPv6": wrapped(packet(), 6),
    "IPv6 in IPv6 four times": wrapped(packet(6), 6, 4),
    "IPv4 in IPv4 ten times": wrapped(packet(), 4, 10),
    "IPv6 in extended IPv6": Ip(*ADDRESSES[6], bytes([41]) + EMPTY + packet(6), protocol=60).pack(),
}


@pytest.mark.parametrize("data", DECODED.values(), ids=DECODED)
@pytest.mark.parametrize("trailer", [b"", b"\x00" * 9], ids=["", "with padding"])
def test_decoded(data: bytes, trailer: bytes) -> None:
    code, segment = decode(data + trailer, verify=True)
    assert code == "decoded"
    version = segment.ip_version
    assert endpoints(segment.key) == (ADDRESSES[version][0], 1000, ADDRESSES[version][1], 2000)
    assert (segment.seq, segment.length, segment.captured) == (3, 7, 7)
    assert segment.data[segment.payload : segment.payload + 7] == b"payload"
    assert segment.checksum == CHECKSUM_GOOD
    # Captured without its last bytes it keeps its length.
    code, segment = decode(data[:-3], wire_length=len(data))
    assert (code, segment.length, segment.captured) == ("decoded", 7, 4)
    # And so it does where the file does not tell that the frame is cut.
    code, segment = decode(data[:-3])
    assert (code, segment.length, segment.captured) == ("decoded", 7, 4)


SKIPPED = {
    "UDP": (packet(protocol=17), "not-tcp"),
    "ICMP": (packet(protocol=1), "not-tcp"),
    "ICMPv6": (packet(6, protocol=58), "not-tcp"),
    "no next header": (extended((60, EMPTY), last=59), "not-tcp"),
    "encrypted": (extended((0, EMPTY), last=50), "encrypted"),
    "first fragment": (packet(more_fragments=True), "fragment"),
    "later fragment": (packet(fragment_offset=8), "fragment"),
    "last fragment of the largest datagram": (packet(fragment_offset=65504), "fragment"),
    "fragment beyond the largest datagram": (packet(fragment_offset=65528), "bad-ip-header"),
    "first IPv6 fragment": (extended((44, b"\x00\x00\x01" + bytes(4))), "fragment"),
    "later IPv6 fragment": (extended((44, b"\x00\x01\x00" + bytes(4))), "fragment"),
    "fragment of a tunnel": (
        Ip(*ADDRESSES[4], packet(), protocol=4, more_fragments=True).pack(),
        "fragment",
    ),
    "version 5": (b"\x55" + packet()[1:], "bad-ip-header"),
    "header of 16 octets": (b"\x44" + packet()[1:], "bad-ip-header"),
    "total length below the header": (packet(total_length=19), "bad-ip-header"),
    "options beyond the total length": (b"\x4f\x00\x00\x2f" + packet()[4:], "bad-ip-header"),
    "nothing but a version": (b"\x45", "cut-ip-header"),
    "nothing at all": (b"", "cut-ip-header"),
    "extension header beyond the packet": (extended((60, b"\xff" + bytes(6))), "bad-ip-header"),
    "extension header behind the end": (extended((60, EMPTY), last=60)[:48], "cut-ip-header"),
    "payload of 4 octets with an extension header": (packet(6, protocol=60, total_length=4), "bad-ip-header"),
    "17 extension headers": (extended(*[(60, EMPTY)] * 17), "too-deep"),
    "25 IPv4 headers": (wrapped(packet(), 4, 24), "too-deep"),
    "inner header cut": (wrapped(packet(), 4)[:30], "cut-ip-header"),
    "inner header of another version": (Ip(*ADDRESSES[4], packet(6), protocol=4).pack(), "bad-ip-header"),
}


@pytest.mark.parametrize(("data", "code"), SKIPPED.values(), ids=SKIPPED)
def test_skipped(data: bytes, code: str) -> None:
    assert decode(data)[0] == code


@pytest.mark.parametrize("version", [4, 6])
def test_length_0_means_offloading(version: int) -> None:
    data = packet(version, total_length=0)
    code, segment = decode(data, verify=True)
    assert (code, segment.length, segment.captured) == ("decoded", 7, 7)
    assert segment.checksum == CHECKSUM_UNSURE
    code, segment = decode(data, wire_length=len(data) + 60_000)
    assert (code, segment.length, segment.captured) == ("decoded", 60_007, 7)
    code, segment = decode(data, wire_length=2**32 - 1)
    assert (code, segment.captured) == ("decoded", 7)
    assert segment.length < 2**20


def jumbogram(option: bytes, payload: bytes, wire_length: int | None = None) -> tuple[str, Segment]:
    chain = b"\x06\x00" + option + Tcp(*ADDRESSES[6], 1000, 2000, 3, payload=payload).pack()
    data = Ip(*ADDRESSES[6], chain, protocol=0, total_length=0).pack()
    return decode(data + b"\xee" * 8, wire_length=wire_length)


def test_jumbograms() -> None:
    payload = bytes(70_000)
    code, segment = jumbogram(b"\xc2\x04" + struct.pack("!I", 70_028), payload)
    assert (code, segment.length, segment.captured) == ("decoded", 70_000, 70_000)
    code, segment = jumbogram(b"\xc2\x04" + struct.pack("!I", 90_028), payload, wire_length=90_068)
    assert (code, segment.length, segment.captured) == ("decoded", 90_000, 70_008)
    # A length that the frame contradicts
    code, segment = jumbogram(b"\xc2\x04" + struct.pack("!I", 2**32 - 1), payload)
    assert (code, segment.length) == ("decoded", 70_008)
    # Without the option the frame tells the length.
    code, segment = jumbogram(b"\x00" * 6, payload)
    assert (code, segment.length) == ("decoded", 70_008)
    code, segment = jumbogram(b"\x01\x04" + bytes(4), payload)
    assert (code, segment.length) == ("decoded", 70_008)
    code, segment = jumbogram(b"\xc2\x04" + struct.pack("!I", 8), payload)
    assert code == "bad-tcp-header"


def test_a_tunnel_bounds_what_is_in_it() -> None:
    lying = Ip(*ADDRESSES[4], SEGMENT[4].pack(), total_length=9000).pack()
    code, segment = decode(wrapped(lying, 4) + bytes(50))
    assert (code, segment.length, segment.captured) == ("decoded", 7, 7)


def test_a_source_route_under_way_hides_the_address_that_the_checksum_counts() -> None:
    code, segment = decode(extended((43, b"\x02\x00\x01" + bytes(20))), verify=True)
    assert (code, segment.checksum) == ("decoded", CHECKSUM_UNSURE)


def test_padding_of_short_frames_is_no_payload() -> None:
    bare = tcp(Tcp(*ADDRESSES[4], 1, 2, 3))
    code, segment = decode(link(bare, pad=True), ETHERNET)
    assert (code, segment.length, segment.captured) == ("decoded", 0, 0)


@pytest.mark.parametrize("data", DECODED.values(), ids=DECODED)
def test_every_truncation_is_a_cut_header_or_a_cut_payload(data: bytes) -> None:
    for captured in range(len(data)):
        code, segment = decode(data[:captured], wire_length=len(data))
        assert code in ("cut-ip-header", "cut-tcp-header", "decoded")
        if code == "decoded":
            assert captured >= len(data) - 7
            assert segment.length == 7


@given(
    st.sampled_from(list(DECODED.values())), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=8)
)
def test_any_header_is_decoded_or_skipped(data: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for at, value in changes:
        broken[at % len(broken)] = value
    code, segment = decode(bytes(broken), verify=True)
    if code == "decoded":
        assert 0 <= segment.captured <= segment.length < 2**20
        assert len(segment.key) in (12, 36)
        assert len(segment.data[segment.payload : segment.payload + segment.captured]) == segment.captured
