"""What a fuzz target is, what it can begin with, and the digest by which two builds are held against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.mutate import mutate
from tests.rule_cases import scenario_paths, tls_cases
from tests.scenario import build, load
from tests.test_capture_reader import SAMPLES
from tests.test_capture_snoop import RECORDS, snoop

SAMPLE_CAPTURES = Path(__file__).parent.parent.parent / "sample_pcaps"


class Digest:
    """Takes in what a run shows. Not ``hash``: that of bytes differs from process to process."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=12)

    def add(self, *values: object) -> None:
        """Take in values whose ``repr`` says all; bytes may be long."""
        for value in values:
            octets = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(octets))
            self._hash.update(octets)

    def __str__(self) -> str:
        return self._hash.hexdigest()


class Files(Sequence[bytes]):
    """Files as samples, read when they are asked for: only their paths are in memory."""

    def __init__(self, paths: Sequence[Path], max_size: int) -> None:
        self._paths: list[Path] = []
        for path in paths:
            found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            self._paths += [file for file in found if 0 < file.stat().st_size <= max_size]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]
        return self._paths[index].read_bytes()

    def __iter__(self) -> Iterator[bytes]:
        return (path.read_bytes() for path in self._paths)


@cache
def sample_captures() -> list[bytes]:
    """The recorded captures of ``sample_pcaps``."""
    return [path.read_bytes() for path in sorted(SAMPLE_CAPTURES.glob("**/*.pcap*")) if path.is_file()]


@cache
def built_in() -> list[bytes]:
    """Captures for a run without a corpus: those of the unit tests and of ``sample_pcaps``."""
    return [*SAMPLES.values(), snoop(RECORDS), *sample_captures()]


@cache
def scenario_captures() -> list[bytes]:
    """The scenarios, and the TLS handshakes that the rules are tested with: one small capture for each."""
    tls = [capture for pair in tls_cases().values() for capture in pair]
    return [*(build(load(path)) for path in scenario_paths()), *dict.fromkeys(tls)]


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` gets a mutant and a source of choices. Any exception of it is a failure.

    What it returns must be the same in both builds: its ``repr`` is what ``--digests`` compares. ``make`` turns a sample
    into a mutant, ``samples`` gives those for a run without ``--corpus``.
    """

    run: Callable[[bytes, Random], object]
    make: Callable[[bytes, Random, Sequence[bytes]], bytes] = mutate
    samples: Callable[[], Sequence[bytes]] = built_in
