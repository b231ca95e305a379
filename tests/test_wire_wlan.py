"""IEEE 802.11: data frames behind each kind of capture header, and A-MSDUs with several segments."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.capture.frame import Frame
from tcpscope.wire.address import endpoints
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import Segment
from tcpscope.wire.skips import SKIP_NAMES
from tests.pcapwriter import Ip, Tcp, tcp
from tests.test_wire_tcp import ADDRESSES, PADDING, decode

IEEE802_11, PRISM, RADIOTAP, AVS, PPI = 105, 119, 127, 163, 192
V4, V6 = (tcp(Tcp(*ADDRESSES[version], 1000, 2000, 3, payload=b"payload")) for version in (4, 6))
MACS = bytes.fromhex("020000000001 020000000002 020000000003")
OUI = bytes.fromhex("aaaa03000000")
LLC4, LLC6 = OUI + b"\x08\x00" + V4, OUI + b"\x86\xdd" + V6


def wlan(body: bytes, control: int = 0x08, flags: int = 0x01, sequence: int = 0x10, extra: bytes = b"") -> bytes:
    """A frame with three addresses; ``extra`` is what else its header has."""
    return bytes([control, flags, 0, 0]) + MACS + struct.pack("<H", sequence) + extra + body


def radiotap(frame: bytes, present: int = 0, fields: bytes = b"", more: tuple[int, ...] = ()) -> bytes:
    words = struct.pack(f"<{1 + len(more)}I", present, *more)
    return struct.pack("<BBH", 0, 0, 4 + len(words) + len(fields)) + words + fields + frame


def subframe(body: bytes, pad: bool = True) -> bytes:
    data = MACS[:12] + struct.pack("!H", len(body)) + body
    return data + bytes(-len(data) % 4 if pad else 0)


PLAIN = wlan(LLC4)
FCS = b"\x12\x34\x56\x78"
FRAMES = {
    "to the access point": (IEEE802_11, PLAIN),
    "from the access point": (IEEE802_11, wlan(LLC6, flags=0x02)),
    "between stations": (IEEE802_11, wlan(LLC4, flags=0)),
    "between access points": (IEEE802_11, wlan(LLC4, flags=0x03, extra=bytes(6))),
    "retransmission with power management": (IEEE802_11, wlan(LLC4, flags=0x19)),
    "with acknowledgement and poll": (IEEE802_11, wlan(LLC4, control=0x38)),
    "QoS": (IEEE802_11, wlan(LLC4, 0x88, extra=bytes(2))),
    "QoS with HT control": (IEEE802_11, wlan(LLC4, 0x88, 0x81, extra=bytes(6))),
    "QoS between access points": (IEEE802_11, wlan(LLC6, 0x88, 0x03, extra=bytes(8))),
    "with check sequence": (IEEE802_11, PLAIN + FCS),
    "radiotap": (RADIOTAP, radiotap(PLAIN)),
    "radiotap with time and flags": (RADIOTAP, radiotap(PLAIN + FCS, 0x03, bytes(8) + b"\x10")),
    "radiotap with flags alone": (RADIOTAP, radiotap(PLAIN + FCS, 0x02, b"\x10")),
    "radiotap with padding": (
        RADIOTAP,
        radiotap(wlan(LLC4, 0x88, extra=bytes(2) + bytes(2)), 0x02, b"\x20"),
    ),
    "radiotap with three words": (
        RADIOTAP,
        radiotap(wlan(LLC4, 0x88, extra=bytes(4)), 0x80000003, bytes(8) + b"\x20", (0xA0000000, 0)),
    ),
    "Prism": (PRISM, struct.pack("<II", 0x44, 144) + bytes(136) + PLAIN),
    "Prism big-endian": (PRISM, struct.pack(">II", 0x44, 144) + bytes(136) + PLAIN),
    "AVS": (AVS, struct.pack(">II", 0x80211001, 64) + bytes(56) + PLAIN),
    "AVS in place of Prism": (PRISM, struct.pack(">II", 0x80211001, 64) + bytes(56) + PLAIN),
    "PPI": (PPI, struct.pack("<BBHI", 0, 0, 8, IEEE802_11) + PLAIN),
    "PPI with a field": (PPI, struct.pack("<BBHIHHI", 0, 0, 16, IEEE802_11, 2, 4, 0) + PLAIN),
    "PPI with Ethernet": (PPI, struct.pack("<BBHI", 0, 0, 8, 1) + MACS[:12] + b"\x08\x00" + V4),
    "A-MSDU of one": (IEEE802_11, wlan(subframe(LLC4, pad=False), 0x88, extra=b"\x80\x00")),
}


@pytest.mark.parametrize(("link_type", "data"), FRAMES.values(), ids=FRAMES)
def test_data_frames(link_type: int, data: bytes) -> None:
    decoder = Decoder(False)
    code, segment = decode(data, link_type, decoder=decoder)
    assert (code, segment.seq, segment.length, segment.captured) == ("decoded", 3, 7, 7)
    assert segment.encapsulation == 0
    assert not decoder.pending
    for captured in range(data.index(b"payload")):
        code, _ = decode(data[:captured], link_type, wire_length=len(data))
        assert code.startswith("cut-"), captured


SKIPPED = {
    "beacon": (IEEE802_11, wlan(LLC4, 0x80, 0), "not-ip"),
    "acknowledgement": (IEEE802_11, b"\xd4\x00\x00\x00" + bytes(20), "not-ip"),
    "null": (IEEE802_11, wlan(LLC4, 0x48), "not-ip"),
    "QoS null": (IEEE802_11, wlan(LLC4, 0xC8, extra=bytes(2)), "not-ip"),
    "another version": (IEEE802_11, wlan(LLC4, 0x09), "not-ip"),
    "protected": (IEEE802_11, wlan(LLC4, flags=0x41), "encrypted"),
    "first fragment": (IEEE802_11, wlan(LLC4, flags=0x05), "fragment"),
    "second fragment": (IEEE802_11, wlan(LLC4, sequence=0x11), "fragment"),
    "EAPOL": (IEEE802_11, wlan(OUI + b"\x88\x8e" + bytes(99)), "not-ip"),
    "radiotap of version 1": (RADIOTAP, b"\x01" + radiotap(PLAIN)[1:], "not-ip"),
    "radiotap of length 7": (RADIOTAP, b"\x00\x00\x07\x00" + radiotap(PLAIN)[4:], "not-ip"),
    "radiotap, check sequence wrong": (RADIOTAP, radiotap(PLAIN + FCS, 0x02, b"\x50"), "damaged-frame"),
    "Prism of no length": (PRISM, struct.pack("<II", 0x44, 0) + bytes(136) + PLAIN, "not-ip"),
    "AVS of no length": (AVS, struct.pack(">II", 0x80211001, 0) + bytes(56) + PLAIN, "not-ip"),
    "PPI of length 7": (PPI, struct.pack("<BBHI", 0, 0, 7, IEEE802_11) + PLAIN, "not-ip"),
    "PPI in PPI without end": (PPI, struct.pack("<BBHI", 0, 0, 8, PPI) * 99, "too-deep"),
    "PPI with an unknown link": (PPI, struct.pack("<BBHI", 0, 0, 8, 9999) + PLAIN, "unknown-link-type"),
    "A-MSDU with a subframe of length 0": (IEEE802_11, wlan(MACS[:12] + bytes(99), 0x88, extra=b"\x80\x00"), "not-ip"),
}


@pytest.mark.parametrize(("link_type", "data", "code"), SKIPPED.values(), ids=SKIPPED)
def test_skipped(link_type: int, data: bytes, code: str) -> None:
    assert decode(data, link_type)[0] == code


def all_of(data: bytes, link_type: int = IEEE802_11) -> list[tuple[str, int, int]]:
    """Skip code, sequence number and length of every segment of a frame."""
    decoder, frame, segment = Decoder(False), Frame(), Segment()
    frame.data, frame.start, frame.end = PADDING + data + PADDING, len(PADDING), len(PADDING) + len(data)
    frame.wire_length, frame.link_type, frame.number = len(data), link_type, 8
    code = decoder.decode(frame, segment)
    found = [(SKIP_NAMES[code], segment.seq if code == 0 else 0, segment.length if code == 0 else 0)]
    while decoder.pending:
        if decoder.more(frame, segment):
            found.append(("decoded", segment.seq, segment.length))
            assert segment.frame == 8
            assert endpoints(segment.key)[1] == 1000
    assert not decoder.more(frame, segment)
    return found


def llc(seq: int, length: int) -> bytes:
    return OUI + b"\x08\x00" + tcp(Tcp(*ADDRESSES[4], 1000, 2000, seq, payload=bytes(length)))


ARP = OUI + b"\x08\x06" + bytes(28)
DATAGRAM = OUI + b"\x08\x00" + Ip(*ADDRESSES[4], bytes(60), protocol=17).pack()
AGGREGATES = {
    "two": ([llc(1, 5), llc(6, 7)], [1, 6]),
    "three, the first without payload": ([llc(1, 0), llc(1, 8), llc(9, 3)], [1, 1, 9]),
    "ARP first": ([ARP, llc(1, 5)], [1]),
    "UDP in the middle": ([llc(1, 5), DATAGRAM, llc(6, 9)], [1, 6]),
    "ARP last": ([llc(1, 5), ARP], [1]),
    "twenty": ([llc(n, n) for n in range(20)], list(range(20))),
}


@pytest.mark.parametrize("encapsulated", [False, True], ids=["", "in GRE"])
@pytest.mark.parametrize(("bodies", "numbers"), AGGREGATES.values(), ids=AGGREGATES)
def test_aggregates(bodies: list[bytes], numbers: list[int], encapsulated: bool) -> None:
    data = wlan(b"".join(map(subframe, bodies)), 0x88, extra=b"\x80\x00")
    link_type = IEEE802_11
    if encapsulated:
        data, link_type = Ip("203.0.113.1", "203.0.113.2", b"\x00\x00\x82\x00" + data, protocol=47).pack(), 101
    assert [seq for _, seq, _ in all_of(data, link_type)] == numbers
    assert {code for code, _, _ in all_of(data, link_type)} == {"decoded"}
    assert [seq for _, seq, _ in all_of(data + FCS * (not encapsulated), link_type)] == numbers


def test_an_aggregate_without_tcp_is_skipped() -> None:
    assert all_of(wlan(subframe(ARP) + subframe(DATAGRAM), 0x88, extra=b"\x80\x00")) == [("not-tcp", 0, 0)]


def test_an_aggregate_ends_at_a_subframe_without_length() -> None:
    empty = MACS[:12] + bytes(90)
    assert all_of(wlan(subframe(llc(1, 5)) + empty, 0x88, extra=b"\x80\x00")) == [("decoded", 1, 5)]
    assert all_of(wlan(subframe(ARP) + empty, 0x88, extra=b"\x80\x00")) == [("not-ip", 0, 0)]


def test_the_next_frame_forgets_what_was_pending() -> None:
    decoder = Decoder(False)
    decode(wlan(subframe(llc(1, 5)) * 3, 0x88, extra=b"\x80\x00"), IEEE802_11, decoder=decoder)
    assert decoder.pending
    decode(V4, decoder=decoder)
    assert not decoder.pending


@pytest.mark.parametrize("name", ["radiotap", "radiotap with time and flags", "radiotap with flags alone"])
def test_dpkt_agrees(name: str) -> None:
    frame = dpkt.radiotap.Radiotap(FRAMES[name][1]).data
    assert isinstance(frame, dpkt.ieee80211.IEEE80211)
    theirs = dpkt.llc.LLC(bytes(frame.data_frame.data)).data.data
    assert (theirs.sport, theirs.dport, theirs.seq, theirs.data[:7]) == (1000, 2000, 3, b"payload")


@given(st.sampled_from(list(FRAMES.values())), st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=5))
def test_any_frame_is_decoded_or_skipped(frame: tuple[int, bytes], changes: list[tuple[int, int]]) -> None:
    broken = bytearray(frame[1])
    for at, value in changes:
        broken[at % len(broken)] = value
    for code, _, length in all_of(bytes(broken), frame[0]):
        assert code in SKIP_NAMES
        assert 0 <= length < 65536
