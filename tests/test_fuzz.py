"""A short look with each fuzz target, and the tool for the long one: ``python -m tests.fuzz``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.captures import clean
from tests.fuzz.mutate import damage_records, mutate, records
from tests.fuzz.target import Digest, built_in
from tests.fuzz.targets import TARGETS

SAMPLES = [sample for sample in built_in() if len(sample) < 20_000]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 40))
def test_mutants_give_a_report_or_one_line(name: str, seed: int) -> None:
    random, target = Random(seed), TARGETS[name]
    samples = [sample for sample in target.samples() if len(sample) < 20_000]
    target.run(target.make(random.choice(samples), random, samples), random)


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_repeats(name: str) -> None:
    target, digests = TARGETS[name], []
    samples = [sample for sample in target.samples() if len(sample) < 20_000]
    for _ in range(2):
        random, digest = Random(7), Digest()
        for sample in random.sample(samples, 5):
            digest.add(target.run(target.make(sample, random, samples), random))
        digests.append(str(digest))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("change", [mutate, damage_records])
def test_mutants_follow_from_the_seed(change: object) -> None:
    assert callable(change)
    first = [change(SAMPLES[0], Random(n)) for n in range(200)]
    assert first == [change(SAMPLES[0], Random(n)) for n in range(200)]
    assert len(set(first)) > 120


def test_records_of_every_format_are_found() -> None:
    for sample in SAMPLES:
        assert len(records(sample)) > 2, sample[:8]


def fuzz(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and output of the tool."""
    command = [sys.executable, "-m", "tests.fuzz", *map(str, arguments), "--seed", "7"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=root)
    return done.returncode, done.stdout


def test_the_long_run_says_what_it_did_and_repeats_a_case(tmp_path: Path) -> None:
    status, told = fuzz("--target", "reader", "--minutes", "0.02", "--keep", tmp_path)
    assert status == 0, told
    assert told.startswith("target reader, seed 7, ")
    assert " cases, 0 failed, " in told
    assert fuzz("--target", "reader", "--case", "3", "--keep", tmp_path) == (0, "passed\n")


def test_builds_are_held_against_each_other_by_digests(tmp_path: Path) -> None:
    digests = tmp_path / "digests"
    arguments = ("--target", "decoder", "--count", "5", "--digests", digests, "--keep", tmp_path)
    assert fuzz(*arguments)[0] == 0
    lines = digests.read_text(encoding="ascii").splitlines()
    assert [line.split()[0] for line in lines] == list("01234")
    assert fuzz(*arguments)[0] == 0
    digests.write_text("\n".join([*lines[:3], "3 other", lines[4], ""]), encoding="ascii")
    status, told = fuzz(*arguments)
    assert status == 1
    assert "differs from another run: python -m tests.fuzz --target decoder --seed 7 --case 3" in told
    assert "5 cases, 1 failed" in told
    assert (tmp_path / "fuzz-decoder-7-3").stat().st_size > 0


def test_the_files_of_a_folder_take_turns(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.pcap").write_bytes(clean())
    (tmp_path / "sub" / "b.txt").write_bytes(b"no capture")
    (tmp_path / "empty").write_bytes(b"")
    status, told = fuzz("--mutants", tmp_path, "--count", "7", "--jobs", "2", "--keep", tmp_path)
    assert status == 0, told
    assert sorted(line.partition(" cases")[0] for line in told.splitlines()[1:]) == ["3", "4"]
    assert told.count("; 2 samples") == 2
