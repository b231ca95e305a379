"""Classic pcap: byte orders, units, header variants, hostile records."""

from __future__ import annotations

import struct

import pytest

from tests.pcapwriter import Record, pcap
from tests.test_capture_reader import SECOND, Packet, read

RECORD = Record(1_700_000_000_123_456_789, b"packet")


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("nanoseconds", "time_ns"), [(False, 1_700_000_000_123_456_000), (True, RECORD.time_ns)])
def test_byte_order_and_unit(big_endian: bool, nanoseconds: bool, time_ns: int) -> None:
    packets, reader = read(pcap([RECORD], 113, big_endian=big_endian, nanoseconds=nanoseconds, snap_length=4))
    assert packets == [Packet(1, time_ns, b"pack", 6, 113)]
    assert (reader.format, reader.truncated_frames, reader.dropped, reader.untimed) == ("pcap", 1, -1, 0)
    (interface,) = reader.interfaces
    assert (interface.link_type, interface.snaplen) == (113, 4)
    assert interface.ticks_per_second == (1_000_000_000 if nanoseconds else 1_000_000)


def header(magic: int = 0xA1B2C3D4, minor: int = 4, link_type: int = 1) -> bytes:
    return struct.pack("<IHHiIII", magic, 2, minor, 0, 0, 65535, link_type)


VARIANTS = {
    # The upper half of the link type tells the length of the frame check sequence: here 4 octets, more than there are.
    "link type with FCS length": (header(link_type=0x24000001), struct.pack("<IIII", 1, 2, 3, 3), (3, 3)),
    "fraction of more than a second": (header(), struct.pack("<IIII", 1, 2_000_002, 3, 3), (3, 3)),
    "more captured than on the wire": (header(), struct.pack("<IIII", 1, 2, 3, 1), (3, 1)),
    "lengths swapped before 2.4": (header(minor=3), struct.pack("<IIII", 1, 2, 9, 3), (3, 9)),
    "lengths in order before 2.4": (header(minor=2), struct.pack("<IIII", 1, 2, 3, 9), (3, 9)),
    "patched tcpdump": (header(0xA1B2CD34), struct.pack("<IIIIIHBB", 1, 2, 3, 9, 4, 8, 0, 0), (3, 9)),
}


@pytest.mark.parametrize(("head", "record", "lengths"), VARIANTS.values(), ids=VARIANTS)
def test_header_variants(head: bytes, record: bytes, lengths: tuple[int, int]) -> None:
    packets, reader = read((head + (record + b"abc") * 2), (5,))
    assert [(p.data, p.wire_length, p.link_type) for p in packets] == [(b"abc", lengths[1], 1)] * 2
    assert not reader.damage


DAMAGE = {
    "absurd length": (struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 60), "record at byte 46 claims 4294967295 bytes"),
    "over the limit": (struct.pack("<IIII", 0, 0, 262145, 60), "record at byte 46 claims 262145 bytes"),
    "cut header": (b"1234567", "cut inside a record header at byte 46 (7 of 16 bytes present)"),
    "cut record": (
        struct.pack("<IIII", 0, 0, 262144, 9) + b"abcd",
        "cut inside a packet record at byte 46 (20 of 262160 bytes present)",
    ),
}


@pytest.mark.parametrize(("rest", "text"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("size", [131072, 1])
def test_damage_ends_the_reading(rest: bytes, text: str, size: int) -> None:
    packets, reader = read(pcap([RECORD]) + rest, (size,))
    assert [p.data for p in packets] == [b"packet"]
    assert (reader.damage, reader.damage_offset, reader.consumed, reader.frames) == (text, 46, 46, 1)


def test_the_largest_record_is_read_from_small_chunks() -> None:
    data = bytes(range(256)) * 1024
    packets, reader = read(pcap([Record(0, data), RECORD]), (1000,))
    assert [p.data for p in packets] == [data, b"packet"]
    assert not reader.damage


def test_a_file_of_a_header_alone_is_whole() -> None:
    packets, reader = read(header())
    assert (packets, reader.damage, reader.format, reader.consumed) == ([], "", "pcap", 24)


ETHERNET_FRAME = bytes(range(64))
FCS = {
    "four octets": (0x24000001, 64, 64, 60, 60),
    "cut inside": (0x24000001, 62, 64, 60, 60),
    "cut before": (0x24000001, 50, 64, 50, 60),
    "two octets": (0x14000001, 64, 64, 62, 62),
    "length without its flag": (0x20000001, 64, 64, 64, 64),
    "not Ethernet": (0x24000065, 64, 64, 64, 64),
    "wire length that lies": (0x24000001, 64, 20, 64, 20),
    "shorter than a header": (0x24000001, 17, 17, 17, 17),
}


@pytest.mark.parametrize(("link_type", "captured", "wire", "length", "wire_length"), FCS.values(), ids=FCS)
def test_frame_check_sequences_are_taken_off(
    link_type: int, captured: int, wire: int, length: int, wire_length: int
) -> None:
    record = struct.pack("<IIII", 1, 2, captured, wire) + ETHERNET_FRAME[:captured]
    packets, reader = read(header(link_type=link_type) + record * 2)
    assert [(p.data, p.wire_length) for p in packets] == [(ETHERNET_FRAME[:length], wire_length)] * 2
    assert reader.interfaces[0].fcs_length == {0x2: 4, 0x1: 2}.get(link_type >> 28, 0) * (link_type >> 26 & 1)


# Writers that added fields to the record header without changing the magic number: Nokia, Red Hat 6.1 and SuSE 6.3.
UNDECLARED = {"nokia": (0xA1B2C3D4, 4), "red hat": (0xA1B2C3D4, 8), "suse": (0xA1B2CD34, 12)}


@pytest.mark.parametrize(("magic", "fields"), UNDECLARED.values(), ids=UNDECLARED)
@pytest.mark.parametrize("size", [131072, 1, 50])
@pytest.mark.parametrize("salvage", [False, True])
def test_record_headers_with_undeclared_fields(magic: int, fields: int, size: int, salvage: bool) -> None:
    contents = [bytes([n]) * (n + 30) for n in range(1, 6)]
    records = [
        struct.pack("<IIII", 1_000_000_000, 7, len(c), len(c)) + b"\0\7\0\0" * (fields // 4) + c for c in contents
    ]
    packets, reader = read(header(magic) + b"".join(records), (size,), salvage)
    assert [packet.data for packet in packets] == contents
    assert not reader.damage


@pytest.mark.parametrize("size", [131072, 1, 50])
def test_a_damaged_capture_is_not_taken_for_one_with_other_headers(size: int) -> None:
    data = pcap([Record(1_000_000_000 * SECOND, bytes([n]) * 60) for n in range(5)])
    data = data[: 24 + 76 + 5] + b"\xff" * 30 + data[24 + 76 + 35 :]
    packets, reader = read(data, (size,))
    assert [packet.data for packet in packets] == [b"\0" * 60]
    assert reader.damage == "record at byte 100 claims 4294967295 bytes"
