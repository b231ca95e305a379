"""A short look with the fuzz targets of the capture layer (``python -m tests.fuzz`` is the long one), and what it found."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate, records
from tests.fuzz.targets import TARGETS, built_in, read
from tests.pcapwriter import Record, pcap

SAMPLES = [sample for sample in built_in() if len(sample) < 20_000]
SECOND = 1_000_000_000


@pytest.mark.parametrize("name", ["reader", "source"])
@settings(max_examples=150)
@given(seed=st.integers(0, 1 << 40))
def test_mutants_give_a_report_or_one_line(name: str, seed: int) -> None:
    random = Random(seed)
    target = TARGETS[name]
    target.run(target.make(random.choice(SAMPLES), random, SAMPLES), random)


def test_mutants_follow_from_the_seed() -> None:
    first = [mutate(SAMPLES[0], Random(n), SAMPLES) for n in range(200)]
    assert first == [mutate(SAMPLES[0], Random(n), SAMPLES) for n in range(200)]
    assert len(set(first)) > 150


def test_records_of_every_format_are_found() -> None:
    for sample in SAMPLES:
        assert len(records(sample)) > 2, sample[:8]


def test_the_long_run_says_what_it_did_and_repeats_a_case(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--target", "reader", "--seed", "7", "--keep", str(tmp_path)]
    root = Path(__file__).parent.parent
    done = subprocess.run([*command, "--minutes", "0.02"], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("target reader, seed 7, ")
    assert " samples passed; peak memory " in done.stdout
    done = subprocess.run([*command, "--case", "3"], capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stdout) == (0, "passed\n")


def test_an_odd_record_is_judged_alike_whatever_the_chunks() -> None:
    # Found by the target "reader": the wire length alone is absurd, and the record was not yet whole when it was judged.
    data = bytearray(pcap(Record((1_700_000_000 + n) * SECOND, bytes([n]) * 200) for n in range(8)))
    data[24 + 216 * 3 + 12 : 24 + 216 * 3 + 16] = struct.pack("<I", 201_328_106)
    for size in (7, 64, 4096):
        assert read(bytes(data), size, salvage=True) == read(bytes(data), 1 << 17, salvage=True)
    assert read(bytes(data), 64, salvage=True)[1] == 8
