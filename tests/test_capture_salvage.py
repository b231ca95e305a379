"""Reading on behind damage: what is found again, what is said of the gap, and what it must never cost."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tests.pcapwriter import Interface, PcapngWriter, Record, pcap, pcapng
from tests.test_capture_snoop import snoop

SECOND = 1_000_000_000
RANDOM = random.Random(4)
RECORDS = [Record((1_700_000_000 + n) * SECOND, RANDOM.randbytes(60 + n)) for n in range(40)]
CONTENTS = [record.data for record in RECORDS]
FORMATS: dict[str, Callable[[list[Record]], bytes]] = {
    "pcap": pcap,
    "pcap-big-endian": lambda records: pcap(records, big_endian=True),
    "pcap-nanoseconds": lambda records: pcap(records, nanoseconds=True),
    "pcapng": pcapng,
    "pcapng-big-endian": lambda records: pcapng(records, big_endian=True),
    "snoop": snoop,
}
formats = pytest.mark.parametrize("name", FORMATS)


def read(data: bytes, sizes: Sequence[int] = (131072,), salvage: bool = True) -> tuple[list[bytes], CaptureReader]:
    """The frames of a capture that is fed in chunks of these sizes."""
    reader, frame, frames, start, turn = CaptureReader(salvage), Frame(), [], 0, 0
    while not reader.ended:
        size = sizes[turn % len(sizes)]
        turn += 1
        if start < len(data):
            reader.feed(data[start : start + size])
            start += size
        else:
            reader.finish()
        while reader.advance(frame):
            frames.append(frame.data[frame.start : frame.end])
            assert len(frames[-1]) == frame.end - frame.start
            assert frame.number == len(frames)
        assert start < len(data) + size or turn < 3 * len(data) + 10, "neither a frame nor an end"
    return frames, reader


def place(data: bytes | bytearray, index: int) -> int:
    """Where the packet of a record lies."""
    return data.index(CONTENTS[index])


@formats
def test_sound_captures_are_read_as_ever(name: str) -> None:
    data = FORMATS[name](RECORDS)
    for sizes in ((131072,), (1,), (50, 7)):
        frames, reader = read(data, sizes)
        assert frames == CONTENTS
        assert (reader.gap_count, reader.skipped_bytes, reader.gaps, reader.damage) == (0, 0, [], "")
        assert reader.consumed == len(data)


@formats
@pytest.mark.parametrize("sizes", [(131072,), (1,), (300,)], ids=str)
def test_an_overwritten_header_costs_one_record(name: str, sizes: Sequence[int]) -> None:
    data = bytearray(FORMATS[name](RECORDS))
    at = place(data, 10)
    data[at - 16 : at] = b"\xff" * 16
    frames, reader = read(bytes(data), sizes)
    assert frames == CONTENTS[:10] + CONTENTS[11:]
    assert reader.damage == ""
    (gap,) = reader.gaps
    assert gap.offset == at - {"pcap": 16, "snoop": 24}.get(
        name.removesuffix("-big-endian").removesuffix("-nanoseconds"), 28
    )
    assert (reader.gap_count, reader.skipped_bytes) == (1, gap.length)
    assert gap.offset + gap.length <= place(data, 11)
    assert f"at byte {gap.offset} " in gap.text
    assert len(read(bytes(data), salvage=False)[0]) == 10


@formats
@pytest.mark.parametrize("change", ["cut out", "put in"])
def test_bytes_that_are_missing_or_too_many(name: str, change: str) -> None:
    data = FORMATS[name](RECORDS)
    at = place(data, 20) + 30
    data = data[:at] + (data[at + 13 :] if change == "cut out" else b"another few bytes" + data[at:])
    frames, reader = read(data, (97,))
    assert frames[:20] == CONTENTS[:20]
    assert frames[-18:] == CONTENTS[-18:]
    assert len(frames) >= 39 if name.startswith("pcap") and "ng" not in name else 38
    assert (reader.gap_count > 0, reader.damage) == (True, "")


@pytest.mark.parametrize("name", ["pcap", "pcap-big-endian", "snoop"])
def test_a_length_that_lies_hides_no_record(name: str) -> None:
    data = bytearray(FORMATS[name](RECORDS))
    at = place(data, 5) - (8 if name != "snoop" else 20)
    order = "<" if name == "pcap" else ">"
    data[at : at + 4] = struct.pack(order + "I", 2000)
    if name == "snoop":
        data[at + 4 : at + 8] = struct.pack(">I", 2024)
    frames, reader = read(bytes(data), (500,))
    assert frames[:5] == CONTENTS[:5]
    assert frames[6:] == CONTENTS[6:]
    assert frames[5].startswith(CONTENTS[5])
    (gap,) = reader.gaps
    assert (gap.length, reader.skipped_bytes, reader.damage) == (0, 0, "")
    claimed, real = (2024, 92) if name == "snoop" else (2016, 81)
    assert gap.text == f"record at byte {gap.offset} claims {claimed} bytes, but {real} bytes on another begins"


@formats
def test_several_gaps_are_counted_and_their_list_is_bounded(name: str) -> None:
    records = [Record((1_700_000_000 + n) * SECOND, RANDOM.randbytes(60)) for n in range(1000)]
    data = bytearray(FORMATS[name](records))
    for record in records[5:995:10]:
        at = data.index(record.data)
        data[at - 16 : at] = b"\xfe" * 16
    frames, reader = read(bytes(data), (4000,))
    assert len(frames) == 901
    assert (reader.gap_count, len(reader.gaps), reader.damage) == (99, 64, "")
    assert reader.skipped_bytes > 99 * 60


@formats
def test_a_cut_end_is_still_told(name: str) -> None:
    frames, reader = read(FORMATS[name](RECORDS)[:-30])
    assert frames == CONTENTS[:-1]
    assert reader.damage.startswith("cut inside a ")
    assert (reader.gap_count, reader.damage_offset > 0) == (0, True)
    assert "no other record in " in reader.damage


@pytest.mark.parametrize("name", ["pcap", "pcapng", "snoop"])
def test_damage_beyond_the_bound_ends_the_reading(name: str) -> None:
    data = FORMATS[name](RECORDS)
    at = place(data, 20)
    hole = b"\xff" * 1_100_000
    frames, reader = read(data[: at - 40] + hole + data[at - 40 :])
    assert frames[:19] == CONTENTS[:19]
    assert len(frames) <= 20
    assert "no other record in 1048577 bytes from byte " in reader.damage
    assert (reader.gap_count, reader.damage_offset > 0) == (0, True)
    frames, reader = read(data[: at - 40] + hole[:900_000] + data[at - 40 :], (50_000,))
    assert frames[-18:] == CONTENTS[-18:]
    assert (reader.gap_count, reader.damage) == (1, "")


@pytest.mark.parametrize("name", ["pcap", "pcapng", "snoop"])
def test_a_hole_of_zeros_holds_no_frames(name: str) -> None:
    data = bytearray(FORMATS[name](RECORDS))
    at = place(data, 12)
    data[at - 32 : at + 64] = bytes(96)
    frames, reader = read(bytes(data))
    assert (frames[:11], frames[-27:]) == (CONTENTS[:11], CONTENTS[13:])
    assert len(frames) <= 39
    assert (reader.gap_count > 0, reader.damage, frames.count(b"")) == (True, "", 0)


def test_a_record_with_an_odd_time_among_sound_ones_is_kept() -> None:
    records = list(RECORDS)
    records[7] = Record(5 * SECOND, CONTENTS[7])
    frames, reader = read(pcap(records))
    assert (frames, reader.gap_count) == (CONTENTS, 0)


def test_a_block_that_says_nonsense_costs_only_itself() -> None:
    made = PcapngWriter()
    made.section()
    made.interface(Interface())
    for record in RECORDS[:4]:
        made.packet(record, Interface())
    made.packet(Record(9, b"of an interface that is not there", interface=3), Interface())
    made.block(0x4711, bytes(5000))
    for record in RECORDS[4:]:
        made.packet(record, Interface())
    frames, reader = read(made.pack(), (1000,))
    assert frames == CONTENTS
    (gap,) = reader.gaps
    assert gap.text.endswith("names the interface 3, which its section does not describe")


def test_what_is_no_capture_is_not_searched() -> None:
    frames, reader = read(b"no capture at all" + pcap(RECORDS))
    assert not frames
    assert reader.damage.startswith("not a capture")


@pytest.mark.parametrize("head", [b"\xd4\xc3\xb2\xa1\x02\0", b"snoop\0\0\0\0", b"\n\r\r\n\x1c\0"])
def test_a_cut_file_header(head: bytes) -> None:
    frames, reader = read(head)
    assert not frames
    assert reader.damage.startswith("cut inside ")


@given(
    st.sampled_from(list(FORMATS)),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=40), st.integers(0, 40)), max_size=4),
    st.integers(1, 700),
)
def test_damage_of_any_kind(name: str, changes: list[tuple[int, bytes, int]], size: int) -> None:
    data = FORMATS[name](RECORDS[:20])
    for at, new, old in changes:
        at %= len(data)  # noqa: PLW2901
        data = data[:at] + new + data[at + old :]
    frames, reader = read(data)
    again, other = read(data, (size,))
    assert frames == again
    said = reader.damage, reader.damage_offset, reader.gap_count, reader.skipped_bytes, reader.frames
    assert said == (other.damage, other.damage_offset, other.gap_count, other.skipped_bytes, other.frames)
    ends = [gap.offset + gap.length for gap in reader.gaps]
    assert ends == sorted(ends)
    assert all(0 <= gap.offset <= len(data) and gap.length >= 0 and "\n" not in gap.text for gap in reader.gaps)
    assert reader.skipped_bytes == sum(gap.length for gap in reader.gaps) <= len(data)
