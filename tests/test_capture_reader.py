"""What holds for every capture format: chunking, truncation, hostile bytes, and what is no capture at all."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tests.pcapwriter import Interface, PcapngWriter, Record, pcap, pcapng

SECOND = 1_000_000_000


class Packet(NamedTuple):
    """A copy of what a frame held."""

    number: int
    time_ns: int
    data: bytes
    wire_length: int
    link_type: int = 1
    interface: int = 0


def read(data: bytes, sizes: Sequence[int] = (131072,), salvage: bool = False) -> tuple[list[Packet], CaptureReader]:
    """Everything in a capture that is fed in chunks of these sizes, over and over."""
    reader, frame, packets, start = CaptureReader(salvage), Frame(), [], 0
    for size in itertools.cycle(sizes):
        if start < len(data):
            reader.feed(data[start : start + size])
            start += size
        else:
            reader.finish()
        while reader.advance(frame):
            assert not reader.ended
            content = frame.data[frame.start : frame.end]
            assert len(content) == frame.end - frame.start
            head = frame.number, frame.time_ns, content, frame.wire_length, frame.link_type, frame.interface
            packets.append(Packet(*head))
        if reader.ended:
            assert not reader.advance(frame)
            return packets, reader
        assert start < len(data) + size, "neither a frame nor an end after the last byte"
    raise AssertionError


def state(data: bytes, sizes: Sequence[int] = (131072,)) -> tuple[object, ...]:
    """Everything that a reader says about a capture."""
    packets, r = read(data, sizes)
    counts = r.frames, r.untimed, r.truncated_frames, r.dropped
    interfaces = [(i.link_type, i.snaplen, i.name, i.offset_ns, i.ticks_per_second) for i in r.interfaces]
    return packets, r.format, r.damage, r.damage_offset, r.consumed, counts, interfaces


def two_sections() -> bytes:
    """A pcapng file with a section of each byte order, several interfaces and blocks that are none of ours."""
    out = b""
    for big_endian in (False, True):
        writer = PcapngWriter(big_endian)
        writer.section()
        interfaces = [Interface(1, tsresol=6), Interface(101, snap_length=40, tsresol=0x80 | 20, tsoffset=3600)]
        for interface in interfaces:
            writer.interface(interface)
        writer.block(4, b"names")
        writer.packet(Record(5 * SECOND, b"\x01" * 61), interfaces[0])
        writer.block(0x4711, bytes(300))
        writer.packet(Record(7205 * SECOND, b"\x02" * 50, interface=1), interfaces[1])
        writer.block(3, (9).to_bytes(4, "big" if big_endian else "little") + b"\x03" * 9)
        writer.statistics(0, 0, 7)
        out += writer.pack()
    return out


RECORDS = [Record(n * SECOND + n * 1000, bytes([n]) * (n * 7 % 50), wire_length=60) for n in range(1, 9)]
SAMPLES = {
    "pcap": pcap(RECORDS),
    "pcap-big-endian-nanoseconds": pcap(RECORDS, 101, big_endian=True, nanoseconds=True),
    "pcapng": pcapng(RECORDS),
    "pcapng-two-sections": two_sections(),
}
samples = pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES)


@samples
@pytest.mark.parametrize("sizes", [(1,), (2, 1, 17), (64, 3, 100)], ids=str)
def test_chunks_change_nothing(data: bytes, sizes: Sequence[int]) -> None:
    assert state(data, sizes) == state(data)


@samples
def test_many_chunks_may_be_fed_at_once(data: bytes) -> None:
    reader, frame, times = CaptureReader(), Frame(), []
    for n in range(len(data)):
        reader.feed(data[n : n + 1])
    reader.finish()
    while reader.advance(frame):
        times.append(frame.time_ns)
    assert times == [packet.time_ns for packet in read(data)[0]]
    assert reader.ended
    assert reader.consumed == len(data)


@samples
@pytest.mark.parametrize("sizes", [(131072,), (13,)], ids=str)
def test_every_truncation_keeps_the_frames_before_it(data: bytes, sizes: Sequence[int]) -> None:
    packets, _ = read(data)
    ends = set()
    for cut in range(1, len(data)):
        kept, reader = read(data[:cut], sizes)
        assert kept == packets[: len(kept)]
        if reader.damage:
            assert reader.damage_offset <= cut
            assert reader.damage.startswith(("cut inside", "not a capture"))
            assert reader.consumed <= cut
        else:
            assert reader.consumed == cut
            ends.add(cut)
    # Only between two records is the end of the file no damage, and there are more of those than packets.
    assert len(packets) <= len(ends) < len(packets) + 14


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=200)), max_size=12),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
)
def test_what_was_written_is_read(
    packets: list[tuple[int, bytes]], big_endian: bool, nanoseconds: bool, sizes: list[int]
) -> None:
    records = [Record(seconds * SECOND + 999_999_000, data) for seconds, data in packets]
    expected = [Packet(n, r.time_ns, r.data, len(r.data)) for n, r in enumerate(records, 1)]
    for data in (
        pcap(records, big_endian=big_endian, nanoseconds=nanoseconds),
        pcapng(records, [Interface(tsresol=9 if nanoseconds else 6)], big_endian=big_endian),
    ):
        found, reader = read(data, sizes)
        assert found == expected
        assert not reader.damage


@given(
    st.sampled_from(list(SAMPLES.values())), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6)
)
def test_broken_bytes_are_damage_and_never_an_exception(data: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for at, value in changes:
        broken[at % len(broken)] = value
    whole = state(bytes(broken))
    assert whole == state(bytes(broken), (5, 50))


@given(st.sampled_from([b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\n\r\r\n", b""]), st.binary(max_size=300))
def test_any_bytes_end(magic: bytes, rest: bytes) -> None:
    assert state(magic + rest) == state(magic + rest, (1,))


TEXT = "Ein Mitschnitt, übersetzt: 抓包。\n"
NO_CAPTURES = {
    "nothing": (b"", "empty: not a single byte"),
    "short": (b"\xd4\xc3", "not a capture: only 2 bytes"),
    "gzip": (gzip.compress(SAMPLES["pcap"]), "not a capture: gzip-compressed data"),
    "xz": (lzma.compress(SAMPLES["pcap"]), "not a capture: xz-compressed data"),
    "bzip2": (bz2.compress(SAMPLES["pcap"]), "not a capture: bzip2-compressed data"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "not a capture: zstd-compressed data"),
    "text": (b"tcpdump: listening on eth0\n", "not a capture: it looks like text"),
    "text cut inside a character": ((TEXT * 40).encode()[:511], "not a capture: it looks like text"),
    "html": (b"<!DOCTYPE html><title>Login</title>", "not a capture: it looks like HTML"),
    "json": (b'{"schema": 1}', "not a capture: it looks like JSON"),
    "zeros": (bytes(4096), "not a capture: it begins with zero bytes"),
    "binary": (b"\x01\x02\xfe\xff" * 200, "not a capture: unknown magic number 0102feff"),
}


@pytest.mark.parametrize(("data", "text"), NO_CAPTURES.values(), ids=NO_CAPTURES)
@pytest.mark.parametrize("sizes", [(131072,), (1,), (3, 7)], ids=str)
def test_what_is_no_capture_is_named(data: bytes, text: str, sizes: Sequence[int]) -> None:
    packets, reader = read(data, sizes)
    assert not packets
    assert reader.damage.startswith(text)
    assert (reader.format, reader.damage_offset, reader.frames) == ("", 0, 0)
