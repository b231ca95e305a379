"""Several files as one capture: their order, frame numbers, and what counts for all of them or for one."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tcpscope.capture.frame import Frame
from tcpscope.capture.join import Part, first_of, in_order, overlap
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.source import open_source
from tcpscope.errors import SourceError
from tests.pcapwriter import Interface, PcapngWriter, Record, pcap, pcapng

SECOND = 1_000_000_000


def part(start: int, count: int = 3) -> list[Record]:
    return [Record((start + n) * SECOND, bytes([start + n]) * 20, wire_length=30) for n in range(count)]


def test_order_is_that_of_the_first_frames(tmp_path: Path) -> None:
    contents = {
        "b": pcapng(part(20)),
        "c": gzip.compress(pcap(part(30))),
        "empty": pcap([]),
        "a": pcap(part(10)),
        "no-capture": b"text",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    ordered = in_order([tmp_path / name for name in contents])
    names = [os.path.basename(found.path) for found in ordered]  # noqa: PTH119
    assert names == ["a", "no-capture", "b", "c", "empty"]
    assert [found.first_time_ns for found in ordered] == [10 * SECOND, None, 20 * SECOND, 30 * SECOND, None]


def test_equal_times_keep_the_order_given(tmp_path: Path) -> None:
    for name in "dcba":
        (tmp_path / name).write_bytes(pcap(part(7)))
    assert [found.path[-1] for found in in_order([tmp_path / name for name in "dbca"])] == list("dbca")


def test_frames_without_a_time_are_no_first_time(tmp_path: Path) -> None:
    made = PcapngWriter()
    made.section()
    made.interface(Interface())
    made.block(3, b"\x04\0\0\0data")
    (tmp_path / "simple").write_bytes(made.pack())
    assert first_of(str(tmp_path / "simple")) == Part(str(tmp_path / "simple"), None)


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(pcap(part(1)))
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    for names, text in (
        (["-"], "cannot join standard input: it can be read only once"),
        ([file, file], f"cannot join {file}: it is given twice"),
        ([file, tmp_path / "link"], f"cannot join {tmp_path / 'link'}: it is given twice"),
        ([tmp_path / "pipe"], f"cannot join {tmp_path / 'pipe'}: it can be read only once"),
        ([tmp_path / "none"], f"cannot open {tmp_path / 'none'}: No such file or directory"),
        ([tmp_path], f"cannot open {tmp_path}: Is a directory"),
    ):
        with pytest.raises(SourceError) as caught:
            in_order(names)
        assert str(caught.value) == text


def test_files_that_overlap_are_no_pieces_of_one_capture() -> None:
    assert overlap(10 * SECOND, Part("b.pcap", 10 * SECOND - 5)) == ""
    assert overlap(10 * SECOND, Part("b.pcap", 9 * SECOND)) == ""
    assert overlap(10 * SECOND, Part("b.pcap", None)) == ""
    assert overlap(10 * SECOND, Part("b.pcap", 8 * SECOND)) == (
        "b.pcap begins 2.000 s before the end of the files before it: no pieces of one capture"
    )


def test_one_reader_goes_through_all_files(tmp_path: Path) -> None:
    made = PcapngWriter()
    made.section()
    made.interface(Interface(101))
    made.secrets(b"key log")
    for record in part(20):
        made.packet(record, Interface())
    made.statistics(0, 0, 5)
    for name, content in (("a", pcap(part(10))), ("b", made.pack()), ("c", pcap([])), ("d", pcap(part(40))[:-5])):
        (tmp_path / name).write_bytes(content)
    reader, frame, seen, formats = CaptureReader(), Frame(), [], []
    for index, found in enumerate(in_order([tmp_path / name for name in "dcba"])):
        if index > 0:
            reader.next_file()
        assert (reader.format, reader.damage, reader.ended, reader.consumed) == ("", "", False, 0)
        with open_source(found.path) as source:
            while data := source.read():
                reader.feed(data)
                while reader.advance(frame):
                    seen.append((index, frame.number, frame.time_ns // SECOND))
        reader.finish()
        assert not reader.advance(frame)
        formats.append((reader.format, len(reader.interfaces), bool(reader.damage)))
    assert seen == [(0, 1, 10), (0, 2, 11), (0, 3, 12), (1, 4, 20), (1, 5, 21), (1, 6, 22), (2, 7, 40), (2, 8, 41)]
    assert formats == [("pcap", 1, False), ("pcapng", 1, False), ("pcap", 1, True), ("pcap", 1, False)]
    assert (reader.frames, reader.truncated_frames, reader.untimed, reader.dropped) == (8, 8, 0, 5)
    assert reader.secrets == [b"key log"]


def test_numbers_of_a_single_file_are_plain() -> None:
    reader, frame = CaptureReader(), Frame()
    reader.feed(pcap(part(1)))
    reader.finish()
    numbers = []
    while reader.advance(frame):
        numbers.append(frame.number)
    assert numbers == [1, 2, 3]


def test_salvage_goes_on_in_the_next_file() -> None:
    broken = bytearray(pcap(part(10, 8)))
    broken[24 + 36 * 3 + 8 : 24 + 36 * 3 + 16] = b"\xff" * 8
    reader, frame, count = CaptureReader(salvage=True), Frame(), 0
    for index in range(2):
        if index:
            reader.next_file()
        reader.feed(bytes(broken))
        reader.finish()
        while reader.advance(frame):
            count += 1
        assert (len(reader.gaps), reader.gap_count, reader.damage) == (1, index + 1, "")
    assert (count, reader.skipped_bytes) == (14, 72)
