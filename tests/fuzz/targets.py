"""What is fuzzed: for each target how to run it on a mutant. Any exception of a run is a failure."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.source import CHUNK, open_source
from tests.fuzz.mutate import mutate
from tests.test_capture_reader import SAMPLES
from tests.test_capture_snoop import RECORDS, snoop

SAMPLE_CAPTURES = Path(__file__).parent.parent.parent / "sample_pcaps"


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` gets a mutant and a source of choices. ``make`` turns a sample into a mutant."""

    run: Callable[[bytes, Random], None]
    make: Callable[[bytes, Random, Sequence[bytes]], bytes] = mutate


def built_in() -> list[bytes]:
    """Samples for a run without a corpus: those of the unit tests and of ``sample_pcaps``."""
    captures = [path.read_bytes() for path in sorted(SAMPLE_CAPTURES.glob("**/*.pcap*")) if path.is_file()]
    return [*SAMPLES.values(), snoop(RECORDS), *captures]


def read(data: bytes, size: int, salvage: bool) -> tuple[object, ...]:
    """Everything a reader says of a capture that comes ``size`` bytes at a time, and what must hold of any."""
    reader, frame, start, digest, count = CaptureReader(salvage), Frame(), 0, 0, 0
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
            assert frame.number == count
            assert 0 <= frame.start <= frame.end <= len(frame.data), (frame.start, frame.end, len(frame.data))
            assert 0 <= frame.wire_length < 1 << 32
            assert -(1 << 63) <= frame.time_ns < 1 << 63
            digest = hash(
                (digest, frame.data[frame.start : frame.end], frame.time_ns, frame.wire_length, frame.link_type)
            )
    assert not reader.advance(frame)
    assert count == reader.frames
    assert 0 <= reader.consumed <= len(data)
    assert "\n" not in reader.damage
    assert len(reader.damage) < 300
    assert (reader.damage == "") == (reader.damage_offset < 0)
    assert -1 <= reader.damage_offset <= len(data)
    assert 0 <= reader.skipped_bytes <= len(data)
    assert len(reader.gaps) <= min(reader.gap_count, 64)
    assert sum(map(len, reader.secrets)) <= 1 << 20
    counts = reader.untimed, reader.truncated_frames, reader.dropped, reader.comments
    return digest, count, reader.format, reader.damage, reader.consumed, reader.gap_count, reader.skipped_bytes, counts


def run_reader(data: bytes, random: Random) -> None:
    """The capture reader: how the bytes come in changes nothing; salvage gives a report, too."""
    sizes = random.sample((1 << 17, 4096, 977, 64), 2)
    for salvage in (False, True):
        first = read(data, sizes[0], salvage)
        if len(data) < 50_000:
            assert first == read(data, sizes[1], salvage), "chunks change something"


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    """Those that are installed."""
    found: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 1),
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


def run_source(data: bytes, random: Random) -> None:
    """Decompression: a bounded piece at a time, and one line of damage at the most."""
    size = random.choice((1, 100, 4096, 1 << 20))

    class Pipe(io.BytesIO):
        """Gives few bytes at a time."""

        def read1(self, most: int | None = -1, /) -> bytes:
            return self.read(min(size, most or size))

    source = open_source(Pipe(data))
    total = 0
    while (piece := source.read()) and total < 1 << 26:
        assert len(piece) <= CHUNK
        total += len(piece)
    assert "\n" not in source.damage
    assert len(source.damage) < 300
    assert -1 <= source.damage_offset <= (len(data) if "inside" not in source.damage else 1 << 26)
    assert source.compression.count("+") <= 1


TARGETS: dict[str, Target] = {
    "reader": Target(run_reader),
    "source": Target(run_source, make_compressed),
}
