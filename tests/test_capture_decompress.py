"""Compressed captures: every compression, members, damage with its place, bombs, and packages that are missing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.source import CHUNK, Source, open_source
from tcpscope.errors import SourceError
from tests.pcapwriter import Record, pcap


def zstd(data: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)
    return compressed


def lz4(data: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("lz4.frame").compress(data, content_checksum=True)
    return compressed


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "lz4": lz4,
}
every = pytest.mark.parametrize("name", COMPRESS)
RANDOM = random.Random(1)
CAPTURE = pcap(Record(n * 1000, RANDOM.randbytes(40) + bytes(60)) for n in range(300))


class Slow(io.RawIOBase):
    """A stream that gives few bytes at a time, as pipes may."""

    def __init__(self, data: bytes, size: int) -> None:
        self.rest = io.BytesIO(data)
        self.size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.rest.read(min(self.size, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def decompressed(data: bytes, size: int = 1 << 20) -> tuple[bytes, Source]:
    """All that comes out of compressed bytes which arrive ``size`` at a time."""
    source = open_source(Slow(data, size))  # type: ignore[arg-type]
    out = bytearray()
    while piece := source.read():
        assert len(piece) <= CHUNK
        out += piece
    assert source.read() == b""
    return bytes(out), source


@every
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_every_compression_is_recognised_by_its_content(name: str, size: int) -> None:
    packed = COMPRESS[name](CAPTURE)
    data, source = decompressed(packed, size)
    assert data == CAPTURE
    assert (source.compression, source.damage, source.damage_offset) == (name, "", -1)
    assert source.position == len(packed)


@every
def test_a_file_tells_its_compression_when_it_is_opened(name: str, tmp_path: Path) -> None:
    file = tmp_path / "named.pcap"
    file.write_bytes(COMPRESS[name](CAPTURE))
    with open_source(file) as source:
        assert (source.compression, source.size) == (name, file.stat().st_size)


@every
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_members_that_follow_each_other_are_one(name: str, size: int) -> None:
    parts = [CAPTURE[:1000], b"", CAPTURE[1000:20_000], CAPTURE[20_000:]]
    data, source = decompressed(b"".join(map(COMPRESS[name], parts)), size)
    assert (data, source.damage) == (CAPTURE, "")


@every
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_zeros_behind_the_data_are_nothing(name: str, size: int) -> None:
    data, source = decompressed(COMPRESS[name](CAPTURE) + bytes(512), size)
    assert (data, source.damage) == (CAPTURE, "")


@every
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_other_bytes_behind_the_data_are_named(name: str, size: int) -> None:
    packed = COMPRESS[name](CAPTURE)
    data, source = decompressed(packed + b"\0\0garbage", size)
    assert data == CAPTURE
    assert source.damage == (f"the {name} data end at byte {len(packed) + 2}, and what follows is no {name} data")
    assert source.damage_offset == len(packed) + 2


@every
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_cut_data_give_what_is_there(name: str, size: int) -> None:
    packed = COMPRESS[name](CAPTURE)
    for cut in (len(packed) - 1, len(packed) // 2, 14):
        data, source = decompressed(packed[:cut], size)
        assert CAPTURE.startswith(data)
        assert source.damage == f"{name} data cut at byte {cut}: the end is missing"
        assert source.damage_offset == cut
    assert len(decompressed(packed[: len(packed) - 1])[0]) > 0


def test_half_a_gzip_gives_about_half_of_the_capture() -> None:
    packed = gzip.compress(CAPTURE)
    assert len(decompressed(packed[: len(packed) // 2])[0]) > len(CAPTURE) // 3


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd", "lz4"])
def test_a_wrong_checksum_at_the_end_costs_no_byte(name: str) -> None:
    packed = bytearray(COMPRESS[name](CAPTURE))
    packed[{"gzip": -8, "xz": -40, "zstd": -4, "lz4": -4}[name]] ^= 0x55
    data, source = decompressed(bytes(packed))
    assert source.damage.startswith(f"{name} data corrupt at byte ")
    assert 0 < source.damage_offset < len(packed)
    if name != "xz":
        assert data == CAPTURE


@every
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_corrupt_data_end_with_one_line(name: str, size: int) -> None:
    packed = COMPRESS[name](CAPTURE)
    damaged = 0
    for at in range(15, len(packed), len(packed) // 40):
        data, source = decompressed(packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :], size)
        damaged += bool(source.damage)
        assert "\n" not in source.damage
        assert source.damage_offset <= len(packed)
        assert source.damage or data == CAPTURE
    assert damaged > 30


def test_corrupt_data_in_a_long_capture() -> None:
    capture = pcap(Record(n, RANDOM.randbytes(400) * 3) for n in range(2000))
    packed = bytearray(gzip.compress(capture, 1))
    packed[len(packed) // 2 :] = RANDOM.randbytes(len(packed) // 2)
    data, source = decompressed(bytes(packed))
    assert source.damage.startswith("gzip data corrupt near byte ")
    assert abs(source.damage_offset - len(packed) // 2) < 10_000
    assert len(capture) // 3 < len(data) < len(capture)


@pytest.mark.parametrize(("outer", "inner"), [("gzip", "xz"), ("xz", "gzip"), ("bzip2", "bzip2")])
def test_two_compressions_and_no_more(outer: str, inner: str) -> None:
    once = COMPRESS[inner](CAPTURE)  # gzip writes the time into its header: not to be repeated a second later
    twice = COMPRESS[outer](once)
    data, source = decompressed(twice, 500)
    assert (data, source.compression) == (CAPTURE, f"{outer}+{inner}")
    data, source = decompressed(gzip.compress(twice))
    assert (data, source.compression) == (once, f"gzip+{outer}")


def test_damage_of_two_compressions() -> None:
    inner = gzip.compress(CAPTURE)
    packed = lzma.compress(inner)
    _, source = decompressed(packed[:-20])
    assert source.damage.startswith("xz data cut at byte ")
    _, source = decompressed(lzma.compress(inner[:-20]))
    assert source.damage == f"gzip data cut at byte {len(inner) - 20}: the end is missing (inside xz)"


def test_what_only_begins_like_compressed_data_is_left_alone() -> None:
    for data in (b"BZh9 is no bzip2 at all", b"BZ", b"\x1f\x8b", b"\xfd7zXY\0", b"P*M", b"\x28\xb5\x2f", b""):
        assert decompressed(data, 1)[0] == data
        assert decompressed(data)[1].compression == ""


def test_zstd_frames_without_data_of_ours() -> None:
    skippable = struct.pack("<II", 0x184D2A5F, 5) + b"hello"
    data, source = decompressed(skippable + zstd(CAPTURE) + skippable)
    assert (data, source.compression, source.damage) == (CAPTURE, "zstd", "")


def frames_of(source: Source) -> tuple[int, CaptureReader, int]:
    """Read as every front end should: no further once the reader has ended. Frames, the reader, bytes that came out."""
    reader, frame, count, size = CaptureReader(), Frame(), 0, 0
    while not reader.ended:
        if data := source.read():
            size += len(data)
            reader.feed(data)
        else:
            reader.finish()
        while reader.advance(frame):
            count += 1
    return count, reader, size


def gzip_of_zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def test_a_bomb_ends_at_once() -> None:
    bomb = gzip_of_zeros(64 << 20)
    for data in (bomb, bz2.compress(bytes(64 << 20)), gzip.compress(bomb)):
        count, reader, size = frames_of(open_source(io.BytesIO(data)))
        assert (count, reader.damage) == (0, "not a capture: it begins with zero bytes")
        assert size <= CHUNK


def test_zstd_gives_little_at_a_time_whatever_it_holds() -> None:
    # Each block of four bytes stands for 128 KiB of zeros: window and content of 16 GiB.
    blocks = b"".join(struct.pack("<I", (131072 << 3) | 2)[:3] + b"\0" for _ in range(100_000))
    bomb = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x88]) + blocks
    pytest.importorskip("zstandard")
    source = open_source(io.BytesIO(bomb))
    assert frames_of(source)[1].damage == "not a capture: it begins with zero bytes"
    assert source.read() == bytes(CHUNK)


@pytest.mark.parametrize("name", ["xz", "zstd"])
def test_data_that_need_too_much_memory(name: str) -> None:
    if name == "xz":
        packed = bytearray(lzma.compress(b"x", check=lzma.CHECK_NONE, preset=0))
        # The dictionary's size stands in the block header, which has a checksum of its own.
        header = packed[12:24]
        header[header.index(b"\x21\x01") + 2] = 32  # 256 MiB
        header[-4:] = struct.pack("<I", zlib.crc32(header[:-4]))
        packed[12:24] = header
    else:
        pytest.importorskip("zstandard")
        packed = bytearray(b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x98]) + bytes(100))
    data, source = decompressed(bytes(packed))
    assert data == b""
    assert source.damage == f"{name} data at byte {source.damage_offset} need more than 128 MiB of memory"


@pytest.mark.parametrize(
    ("name", "module", "magic"), [("zstd", "zstandard", b"\x28\xb5\x2f\xfd"), ("lz4", "lz4.frame", b"\x04\x22\x4d\x18")]
)
def test_missing_packages_are_named(
    name: str, module: str, magic: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    file = tmp_path / "a.pcap"
    file.write_bytes(magic + bytes(100))
    text = f"{name}-compressed data needs pip install 'tcpscope[compression]'"
    with pytest.raises(SourceError) as caught:
        open_source(file)
    assert str(caught.value) == f"cannot read {file}: {text}"
    with pytest.raises(SourceError, match="cannot read stream: "):
        open_source(io.BytesIO(file.read_bytes())).read()


def test_a_pipe_is_recognised_without_waiting_for_more_than_it_needs() -> None:
    ours, theirs = os.pipe()
    packed = gzip.compress(CAPTURE[:24] + bytes(2000))
    with os.fdopen(ours, "rb") as stream, open_source(stream) as source:
        os.write(theirs, packed)
        assert source.read()[:4] == CAPTURE[:4]  # although the pipe is still open
        os.close(theirs)
        assert source.compression == "gzip"
