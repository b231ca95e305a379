"""Targets of the capture layer: the reader, salvage, files that are joined, decompression."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tcpscope.capture.frame import Frame
from tcpscope.capture.join import in_order, overlap
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.source import CHUNK, open_source
from tests.fuzz.mutate import CHANGES, damage_records, mutate, records
from tests.fuzz.target import Digest

SIZES = (1 << 17, 4096, 977, 64)


def read(data: bytes, size: int, salvage: bool) -> tuple[object, ...]:
    """Everything a reader says of a capture that comes ``size`` bytes at a time, and what must hold of any."""
    reader, frame, start, digest, count, last = CaptureReader(salvage), Frame(), 0, Digest(), 0, -1
    while not reader.ended:
        if start < len(data):
            reader.feed(data[start : start + size])
            start += size
        else:
            assert start < len(data) + 5 * size, "no end"
            start += size
            reader.finish()
        while reader.advance(frame):
            count += 1
            check_frame(frame)
            assert frame.number == count
            assert last < reader.consumed <= len(data), "a frame where the one before was"
            last = reader.consumed
            digest.add(frame.data[frame.start : frame.end])
            digest.add((frame.time_ns, frame.wire_length, frame.link_type, frame.interface, last))
    assert not reader.advance(frame)
    assert count == reader.frames
    check_end(reader, data)
    counts = reader.untimed, reader.truncated_frames, reader.dropped, reader.comments
    gaps = [(gap.offset, gap.length, gap.text) for gap in reader.gaps]
    return str(digest), count, reader.format, reader.damage, reader.consumed, reader.skipped_bytes, counts, gaps


def check_frame(frame: Frame) -> None:
    """What holds of any frame."""
    assert 0 <= frame.start <= frame.end <= len(frame.data), (frame.start, frame.end, len(frame.data))
    assert 0 <= frame.wire_length < 1 << 32
    assert -(1 << 62) < frame.time_ns < 1 << 62
    assert frame.interface >= 0


def check_end(reader: CaptureReader, data: bytes, first: bool = True) -> None:
    """What holds of any reader at the end of an input, be it the first of its files or another one."""
    assert reader.ended
    assert 0 <= reader.consumed <= len(data)
    assert "\n" not in reader.damage
    assert len(reader.damage) < 300
    assert (reader.damage == "") == (reader.damage_offset < 0)
    assert -1 <= reader.damage_offset <= len(data)
    assert sum(map(len, reader.secrets)) <= 1 << 20
    assert len(reader.gaps) <= 64
    end = 0
    for gap in reader.gaps:
        assert end <= gap.offset <= gap.offset + gap.length <= len(data), "gaps in order, none inside another"
        assert gap.text
        assert "\n" not in gap.text
        end = gap.offset + gap.length
    if first:
        assert len(reader.gaps) == min(reader.gap_count, 64)
        kept = sum(gap.length for gap in reader.gaps)
        assert kept == reader.skipped_bytes if reader.gap_count <= 64 else kept <= reader.skipped_bytes <= len(data)


def run_reader(data: bytes, random: Random) -> object:
    """The capture reader: how the bytes come in changes nothing; salvage gives a report, too."""
    sizes = random.sample(SIZES, 2)
    found = []
    for salvage in (False, True):
        found.append(read(data, sizes[0], salvage))
        if len(data) < 50_000:
            assert found[-1] == read(data, sizes[1], salvage), "chunks change something"
    return found


# Salvage, and several files as one capture.


def make_damaged(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A capture with damage in several records, as of a bad disk or a lost block; now and then a mutant of another kind."""
    if random.random() < 0.2:
        return mutate(data, random, others)
    return damage_records(data, random)


def run_salvage(data: bytes, random: Random) -> object:
    """Reading on behind damage, and files that are joined: the capture itself and pieces of it, some damaged."""
    plain = read(data, SIZES[0], salvage=False)
    sizes = random.sample(SIZES[1:], 2) if len(data) < 50_000 else SIZES[:1]
    found = [read(data, size, salvage=True) for size in sizes]
    assert found[0] == found[-1], "chunks change something"
    count, gaps = found[0][1], found[0][-1]
    assert isinstance(count, int)
    assert isinstance(plain[1], int)
    if plain[3] == "" and not gaps:
        assert plain[:3] == found[0][:3], "nothing was wrong, yet something else was read"
    return found[0], join(pieces(data, random), random)


def pieces(data: bytes, random: Random) -> list[bytes]:
    """The capture as files of a ring buffer, in any order; some of them damaged, and one that is none."""
    places = records(data)
    if len(places) < 4 or not data.startswith((b"\xa1\xb2", b"\xd4\xc3", b"\x4d\x3c", b"snoop")):
        return [data, mutate(data, random)]
    head = data[: places[1]]
    cuts = sorted(random.sample(range(2, len(places)), min(len(places) - 2, random.randrange(1, 4))))
    ends = [*(places[cut] for cut in cuts), len(data)]
    starts = [places[1], *ends[:-1]]
    files = [head + data[start:end] for start, end in zip(starts, ends, strict=True)]
    for _ in range(random.choice((0, 0, 1, 2))):
        index = random.randrange(len(files))
        files[index] = random.choice(CHANGES)(files[index], random, records(files[index]))
    if random.random() < 0.2:
        files.append(random.choice((b"", b"x", head, bytes(2000))))
    random.shuffle(files)
    return files


def join(files: Sequence[bytes], random: Random) -> object:
    """Read files as ``--join`` does: in the order of their times, one reader for all of them."""
    salvage = random.random() < 0.5
    reader, frame, digest, told = CaptureReader(salvage), Frame(), Digest(), []
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        parts = in_order(paths)
        assert sorted(part.path for part in parts) == sorted(map(str, paths))
        latest, total = -(1 << 63), 0
        for index, part in enumerate(parts):
            assert "\n" not in overlap(latest, part)
            if index > 0:
                reader.next_file()
            content, count = Path(part.path).read_bytes(), 0
            with open_source(part.path) as source:
                while not reader.ended:
                    if octets := source.read():
                        reader.feed(octets)
                    else:
                        reader.finish()
                    while reader.advance(frame):
                        count += 1
                        check_frame(frame)
                        assert frame.number == total + count
                        if count == 1 and not reader.untimed:
                            assert part.first_time_ns is None or part.first_time_ns == frame.time_ns or salvage
                        latest = max(latest, frame.time_ns)
                        digest.add(frame.data[frame.start : frame.end])
            if not source.compression:
                check_end(reader, content, index == 0)
            total += count
            assert reader.frames == total
            told.append((Path(part.path).name, count, reader.format, reader.damage, part.first_time_ns))
    return str(digest), told, reader.untimed, reader.dropped, reader.gap_count


def memory_folder() -> str | None:
    """Where small files cost no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


# Decompression.


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    """Those that are installed."""
    found: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 1, mtime=0),
        "bzip2": lambda data: bz2.compress(data, 1),
        "xz": lambda data: lzma.compress(data, preset=0),
    }
    try:
        found["zstd"] = importlib.import_module("zstandard").ZstdCompressor(write_checksum=True).compress
        found["lz4"] = importlib.import_module("lz4.frame").compress
    except ImportError:
        pass
    return found


COMPRESSORS = compressors()


def make_compressed(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A compressed sample, changed after it was compressed, and now and then before."""
    del others
    if random.random() < 0.3:
        data = mutate(data, random)
    data = random.choice(list(COMPRESSORS.values()))(data[:100_000])
    if random.random() < 0.1:
        data = random.choice(list(COMPRESSORS.values()))(data)
    return mutate(data, random) if random.random() < 0.9 else data


def run_source(data: bytes, random: Random) -> object:
    """Decompression: a bounded piece at a time, and one line of damage at the most."""
    size = random.choice((1, 100, 4096, 1 << 20))

    class Pipe(io.BytesIO):
        """Gives few bytes at a time."""

        def read1(self, most: int | None = -1, /) -> bytes:
            return self.read(min(size, most or size))

    source, digest = open_source(Pipe(data)), Digest()
    total = 0
    while (piece := source.read()) and total < 1 << 26:
        assert len(piece) <= CHUNK
        total += len(piece)
        digest.add(piece)
    assert "\n" not in source.damage
    assert len(source.damage) < 300
    assert -1 <= source.damage_offset <= (len(data) if "inside" not in source.damage else 1 << 26)
    assert source.compression.count("+") <= 1
    return str(digest), source.damage, source.damage_offset, source.compression
