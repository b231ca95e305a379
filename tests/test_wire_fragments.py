"""Fragments: in every order, repeated, overlapping, missing, late, too many, and from whoever means harm."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.address import endpoints
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.fragments import MAX_DATAGRAMS, MAX_HELD
from tcpscope.wire.segment import CHECKSUM_GOOD, Segment
from tests.pcapwriter import ETHERNET, Ip, Tcp, link, tcp
from tests.test_wire_tcp import ADDRESSES, decode

SECOND = 10**9
PAYLOAD = bytes(range(256)) * 4
SEGMENT = {version: Tcp(*ADDRESSES[version], 1000, 2000, 3, payload=PAYLOAD).pack() for version in (4, 6)}


def fragment(
    start: int,
    data: bytes,
    more: bool,
    version: int = 4,
    identification: int = 7,
    protocol: int = 6,
    before: bytes = b"",
    kind: int = 44,
) -> bytes:
    """One fragment. For IPv6, ``before`` are the headers, the first of this ``kind``, before the fragment header."""
    source, destination = ADDRESSES[version]
    if version == 4:
        made = Ip(source, destination, data, protocol, 61, identification, dont_fragment=False, more_fragments=more)
        packed = bytearray(made.pack())
        packed[6:8] = struct.pack("!H", more << 13 | start // 8)
        return bytes(packed)
    head = struct.pack("!BBHI", protocol, 0, start | more, identification)
    return Ip(source, destination, before + head + data, kind, 61).pack()


def cut(data: bytes, *borders: int, version: int = 4, identification: int = 7, protocol: int = 6) -> list[bytes]:
    """``data`` in fragments, cut at these offsets."""
    edges = [0, *borders, len(data)]
    pairs = list(pairwise(edges))
    return [fragment(a, data[a:b], b < len(data), version, identification, protocol) for a, b in pairs]


def run(packets: Iterable[bytes], decoder: Decoder | None = None, step: int = 1) -> list[str]:
    """The codes of packets that come ``step`` nanoseconds after one another; what is decoded must be whole."""
    decoder, segment, codes = decoder or Decoder(True), Segment(), []
    for n, data in enumerate(packets):
        code, _ = decode(data, decoder=decoder, segment=segment, time_ns=SECOND + n * step)
        codes.append(code)
        if code == "decoded":
            assert segment.data[segment.payload : segment.payload + segment.captured] == PAYLOAD
            assert (segment.length, segment.captured, segment.seq) == (1024, 1024, 3)
            assert endpoints(segment.key)[1::2] == (1000, 2000)
            assert segment.checksum == CHECKSUM_GOOD
            assert segment.ttl == 61
            assert segment.encapsulation == 0
    return codes


@pytest.mark.parametrize("version", [4, 6])
def test_every_order(version: int) -> None:
    parts = cut(SEGMENT[version], 8, 16, 600, version=version)
    for order in permutations(parts):
        decoder = Decoder(True)
        assert run(order, decoder) == ["fragment"] * 3 + ["decoded"]
        assert (decoder.reassembler.completed, decoder.reassembler.incomplete) == (1, 0)
        assert (decoder.reassembler.overlaps, decoder.reassembler.held) == (0, 0)


@pytest.mark.parametrize("version", [4, 6])
def test_many_small_fragments_in_a_random_order(version: int) -> None:
    parts = cut(SEGMENT[version], *range(8, 1040, 8), version=version)
    random.Random(1).shuffle(parts)
    assert run(parts) == ["fragment"] * (len(parts) - 1) + ["decoded"]


def test_several_datagrams_at_once() -> None:
    parts = [cut(SEGMENT[4], 256, 512, identification=n) for n in range(50)]
    woven = [part for group in zip(*parts, strict=True) for part in group]
    assert run(woven) == ["fragment"] * 100 + ["decoded"] * 50


def test_protocol_and_addresses_tell_datagrams_apart() -> None:
    first, second = cut(SEGMENT[4], 512)
    other = bytearray(second)
    other[15] ^= 1
    assert run([first, bytes(other), second]) == ["fragment", "fragment", "decoded"]
    assert run([first, fragment(512, bytes(9), False, protocol=47), second]) == ["fragment", "fragment", "decoded"]


def test_repeated_fragments_are_no_overlap() -> None:
    first, middle, last = cut(SEGMENT[4], 256, 512)
    decoder = Decoder(True)
    assert run([first, first, middle, first, middle, last], decoder)[-1] == "decoded"
    assert (decoder.reassembler.overlaps, decoder.reassembler.conflicts) == (0, 0)
    # The datagram all over again is one of its own.
    assert run([first, middle, last], decoder) == ["fragment", "fragment", "decoded"]
    assert decoder.reassembler.completed == 2


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "edges",
    [
        [(0, 512), (256, 1044)],
        [(256, 1044), (0, 512)],
        [(0, 256), (512, 1044), (128, 600)],
        [(0, 1040), (8, 16), (1040, 1044)],
        [(8, 16), (24, 32), (0, 1040), (1040, 1044)],
        [(0, 256), (0, 512), (512, 1044)],
    ],
)
def test_overlaps_with_the_same_octets(version: int, edges: list[tuple[int, int]]) -> None:
    decoder, data = Decoder(True), SEGMENT[version]
    parts = [fragment(a, data[a:b], b < len(data), version) for a, b in edges]
    assert run(parts, decoder)[-1] == "decoded"
    assert decoder.reassembler.overlaps == 1
    assert (decoder.reassembler.conflicts, decoder.reassembler.incomplete) == (0, 0)
    assert decoder.reassembler.first_overlap == 17


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


CONFLICTS = {
    "other octets": lambda d: [(0, d[:512], True), (256, changed(d[256:], 5), False)],
    "other octets in the same place": lambda d: [(0, d[:512], True), (0, changed(d[:512], 30), True), (512, d[512:], False)],
    "last octet of an overlap": lambda d: [(0, d[:264], True), (256, changed(d[256:], 7), False)],
    "two ends": lambda d: [(1040, d[1040:], False), (1032, d[1032:1040], False), (0, d[:1040], True)],
    "more behind the end": lambda d: [(512, d[512:], False), (1048, bytes(8), True), (0, d[:512], True)],
    "an end before what is there": lambda d: [(520, d[520:1040], True), (512, d[512:520], False), (0, d[:512], True)],
}  # fmt: skip


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", CONFLICTS.values(), ids=CONFLICTS)
def test_contradictions_end_a_datagram(version: int, make) -> None:  # type: ignore[no-untyped-def]
    decoder, data = Decoder(True), SEGMENT[version]
    parts = [fragment(start, piece, more, version) for start, piece, more in make(data)]
    assert set(run(parts + parts, decoder)) == {"fragment"}
    found = decoder.reassembler
    assert (found.conflicts, found.completed, found.incomplete, found.held) == (1, 0, 1, 0)
    assert found.overlaps == 1
    # Once its time is over the identification may be used again.
    good = cut(data, 512, version=version)
    assert run([good[0]], decoder) == ["fragment"]
    assert decode(good[1], decoder=decoder, time_ns=40 * SECOND)[0] == "fragment"
    assert decode(good[0], decoder=decoder, time_ns=41 * SECOND)[0] == "decoded"


def test_waiting_has_an_end() -> None:
    first, last = cut(SEGMENT[4], 512)
    decoder = Decoder(True)
    assert run([first, last], decoder, step=29 * SECOND) == ["fragment", "decoded"]
    assert run([first, last, first], decoder, step=31 * SECOND) == ["fragment", "fragment", "fragment"]
    found = decoder.reassembler
    assert (found.expired, found.incomplete, len(found.waiting)) == (2, 3, 1)
    # Others that wait are given up when any fragment comes.
    decode(cut(SEGMENT[6], 512, version=6)[0], decoder=decoder, time_ns=1000 * SECOND)
    assert (found.expired, len(found.waiting)) == (3, 1)


def test_a_clock_that_steps_back_does_not_join_what_is_apart() -> None:
    first, last = cut(SEGMENT[4], 512)
    decoder = Decoder(False)
    assert decode(first, decoder=decoder, time_ns=100 * SECOND)[0] == "fragment"
    assert decode(last, decoder=decoder, time_ns=99 * SECOND)[0] == "decoded"
    assert decode(first, decoder=decoder, time_ns=100 * SECOND)[0] == "fragment"
    assert decode(last, decoder=decoder, time_ns=10 * SECOND)[0] == "fragment"


def test_the_number_of_datagrams_is_bounded() -> None:
    decoder = Decoder(True)
    starts = [cut(SEGMENT[4], 512, identification=n)[0] for n in range(MAX_DATAGRAMS + 100)]
    run(starts, decoder)
    found = decoder.reassembler
    assert (len(found.waiting), found.evicted) == (MAX_DATAGRAMS, 100)
    # The oldest are gone, the others are not.
    assert run([cut(SEGMENT[4], 512, identification=500)[1]], decoder) == ["decoded"]
    assert run([cut(SEGMENT[4], 512, identification=50)[1]], decoder) == ["fragment"]


def test_memory_is_bounded() -> None:
    decoder = Decoder(False)
    for n in range(600):
        code, _ = decode(fragment(0, bytes(65000), True, identification=n), decoder=decoder)
        assert code == "fragment"
        assert decoder.reassembler.held <= MAX_HELD
    assert decoder.reassembler.evicted > 500
    decoder = Decoder(False)
    for n in range(300):
        for start in range(0, 4000, 16):
            decode(fragment(start, bytes(8), True, 6, n), decoder=decoder)
    assert decoder.reassembler.held <= MAX_HELD
    pieces = sum(len(datagram.pieces) for datagram in decoder.reassembler.waiting.values())
    assert pieces < MAX_HELD / 128


@pytest.mark.parametrize("version", [4, 6])
def test_odd_fragments(version: int) -> None:
    data = SEGMENT[version]
    # Beyond what a length field can tell
    assert run([fragment(65528, bytes(16), False, version)]) == ["bad-ip-header"]
    # Without octets
    first, last = cut(data, 512, version=version)
    assert run([fragment(0, b"", True, version), first, last])[-1] == "decoded"
    # All but the last are multiples of eight octets; what is more has no place.
    odd = fragment(0, data[:515], True, version)
    assert run([odd, last])[-1] == "decoded"
    # Cut by the snap length
    decoder = Decoder(True)
    assert decode(first[:-1], decoder=decoder, wire_length=len(first))[0] == "fragment"
    assert run([last], decoder) == ["fragment"]
    assert (decoder.reassembler.cut, decoder.reassembler.completed) == (1, 0)


def test_options_of_the_first_fragment() -> None:
    first, last = cut(SEGMENT[4], 512)
    first = (
        b"\x47" + first[1:2] + struct.pack("!H", len(first) + 8) + first[4:20] + b"\x94\x04\x00\x00" * 2 + first[20:]
    )
    assert run([first, last]) == ["fragment", "decoded"]
    assert run([last, first]) == ["fragment", "decoded"]


def test_extension_headers_before_and_behind() -> None:
    data = SEGMENT[6]
    before = b"\x2c\x00" + bytes(6)  # destination options, then the fragment header
    parts = [fragment(a, data[a:b], b < len(data), 6, before=before, kind=60) for a, b in ((0, 512), (512, 1044))]
    assert run(parts) == ["fragment", "decoded"]
    behind = b"\x06\x00" + bytes(6) + data
    assert run(cut(behind, 504, version=6, protocol=60)) == ["fragment", "decoded"]
    # Only the first fragment's next header counts (RFC 8200 section 4.5).
    first, last = cut(data, 512, version=6)
    assert run([first, last[:40] + b"\x3b" + last[41:]]) == ["fragment", "decoded"]


def test_fragments_of_tunnels_and_fragments_in_them() -> None:
    inner = tcp(Tcp(*ADDRESSES[4], 1000, 2000, 3, payload=PAYLOAD), ttl=61)
    decoder = Decoder(True)
    outer = cut(inner, 512, protocol=4)
    codes = [decode(data, decoder=decoder)[0] for data in outer]
    assert codes == ["fragment", "decoded"]
    vxlan = struct.pack("!HHHHII", 50000, 4789, 16 + 14 + len(inner), 0, 0x08000000, 0x100) + link(inner)
    outer = cut(vxlan, 512, 1000, protocol=17)
    assert [decode(data, decoder=decoder)[0] for data in reversed(outer)] == ["fragment", "fragment", "decoded"]
    segment = Segment()
    for n, part in enumerate(cut(SEGMENT[4], 512)):
        whole = Ip("203.0.113.1", "203.0.113.2", struct.pack("!HH", 0, 0x0800) + part, 47).pack()
        code, _ = decode(link(whole), ETHERNET, decoder=decoder, segment=segment)
        assert code == ("fragment", "decoded")[n]
    assert decoder.encapsulation_name(segment.encapsulation) == "gre"
    # Fragments of a fragment
    twice = [
        part for whole in cut(inner, 512, protocol=4) for part in cut(whole[20:], 256, protocol=4, identification=9)
    ]
    assert "decoded" not in [decode(data, decoder=Decoder(False))[0] for data in twice]


def test_what_cannot_be_tcp_is_not_kept() -> None:
    decoder = Decoder(False)
    dns = struct.pack("!HHHH", 50000, 53, 2000, 0) + bytes(1992)
    for protocol, data in ((17, dns), (1, bytes(2000)), (132, bytes(2000)), (50, bytes(2000))):
        for version in (4, 6):
            parts = cut(data, 800, 1600, version=version, protocol=protocol)
            assert {decode(part, decoder=decoder)[0] for part in parts} == {"fragment"}
    found = decoder.reassembler
    assert (found.held, found.incomplete, found.conflicts, found.completed) == (0, 0, 0, 0)


@given(st.data(), st.sampled_from([4, 6]))
def test_any_fragments(data: st.DataObject, version: int) -> None:
    decoder = Decoder(True)
    whole = SEGMENT[version][:200]
    for _ in range(data.draw(st.integers(1, 12))):
        start, size = data.draw(st.integers(0, 30)) * 8, data.draw(st.integers(0, 120))
        piece = whole[start : start + size]
        if data.draw(st.integers(0, 9)) == 0:
            piece = piece[::-1]
        made = fragment(start, piece, data.draw(st.booleans()), version, data.draw(st.integers(0, 1)))
        code, segment = decode(made, decoder=decoder)
        assert code in ("fragment", "decoded", "bad-tcp-header")
        if code == "decoded":
            assert segment.length == segment.captured <= 200
        assert decoder.reassembler.held == sum(
            len(piece) + 128 for datagram in decoder.reassembler.waiting.values() for piece in datagram.pieces
        )
        assert decoder.reassembler.incomplete >= len(decoder.reassembler.waiting) - 1
