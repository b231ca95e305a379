"""``tcpscope check --format full``: the segments concerned below each problem, and what the manual says."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from tcpscope.check.ladders import CONNECTIONS
from tests.captures import SAMPLES, clean, many, unanswered
from tests.test_check import check, policy
from tests.test_check_expect import FATES

Capsys = pytest.CaptureFixture[str]
ROW = re.compile(r" {4} *(\d+) +-?\d+\.\d+ ")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(lines: list[str]) -> list[int]:
    """The frames that are drawn."""
    return [int(found[1]) for line in lines if (found := ROW.match(line))]


def problem(lines: list[str], code: str) -> list[str]:
    """The lines of the first problem of a rule."""
    start = next(number for number, line in enumerate(lines) if re.search(rf":\d+: {code} ", line))
    return lines[start : lines.index("", start)]


@pytest.mark.parametrize(
    ("sample", "code", "frames"),
    [
        ("timeout-retransmit", "TS404", [7, 8, 9, 10, 11]),
        ("refused", "TS104", [1, 2]),
        ("zero-window", "TS506", [12, 13, 14]),
        ("tls-no-shared-cipher", "TS677", [5, 6, 7]),
    ],
)
def test_the_frames_and_their_neighbours(sample: str, code: str, frames: list[int], capsys: Capsys) -> None:
    _, lines = check(capsys, str(SAMPLES / f"{sample}.pcap"), "--format", "full")
    found = rows(problem(lines, code))
    assert [frame for frame in found if frame in frames] == frames
    assert len(found) <= 12


def test_the_neighbours_are_those_of_the_connection(capsys: Capsys) -> None:
    """Frames of other connections in between are no neighbours."""
    path = SAMPLES / "half-open-flood.pcap"
    _, lines = check(capsys, str(path), "--format", "full")
    heads = [number for number, line in enumerate(lines) if ": connection " in line]
    drawn = [number for number, line in enumerate(lines) if line.startswith("    frame  time, s ")]
    assert len(heads) > CONNECTIONS
    assert sum(number < heads[CONNECTIONS] for number in drawn) >= CONNECTIONS
    assert not [number for number in drawn if number > heads[CONNECTIONS]]
    first = rows(lines[heads[0] : heads[1]])
    assert len(first) > 1
    assert first != list(range(first[0], first[0] + len(first)))


def test_states_stand_above_and_beside(capsys: Capsys) -> None:
    _, lines = check(capsys, str(SAMPLES / "abort-rst.pcap"), "--format", "full")
    found = problem(lines, "TS206")
    assert any("ESTABLISHED │" in line and "│ ESTABLISHED" in line for line in found)
    assert any("CLOSED │" in line and "RST" in line for line in found)


def test_a_rule_is_explained_once(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(3, faulty=range(3)))
    _, lines = check(capsys, "many.pcap", "--format", "full")
    codes = [line.split()[1] for line in lines if line.startswith("many.pcap:") and " connection " not in line[:30]]
    assert codes.count("TS105") == 3
    assert sum(line.startswith("    Why it matters: ") for line in lines) == len(set(codes))


def test_only_captures_with_problems_are_read_twice(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clean.pcap").write_bytes(clean())

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("tcpscope.check.ladders.Rereader", never)
    assert check(capsys, "clean.pcap", "--format", "full")[0] == 0


@pytest.mark.parametrize("behind", [b"", b"\xff" * 40], ids=["whole", "damaged"])
def test_standard_input_is_drawn_as_well(behind: bytes, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.pcap").write_bytes(unanswered() + behind)
    Path("-").write_bytes(clean())  # has nothing to do with it
    _, wanted = check(capsys, "x.pcap", "--format", "full")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(unanswered() + behind)))
    _, lines = check(capsys, "-", "--format", "full")
    assert [line.replace("-:", "x.pcap:", 1) if line.startswith("-:") else line for line in lines] == wanted
    assert rows(lines) == [1, 2, 3]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_every_sample(jobs: str, capsys: Capsys) -> None:
    _, lines = check(capsys, str(SAMPLES), "--format", "full", "--jobs", jobs)
    assert all(line.isprintable() for line in lines)
    assert len(rows(lines)) > 200


@pytest.mark.parametrize("text", [text for text, _ in FATES[:4]])
def test_problems_that_the_policy_does_without_are_not_drawn(text: str, capsys: Capsys) -> None:
    Path("x.pcap").write_bytes(unanswered())
    policy(text)
    _, lines = check(capsys, "x.pcap", "--format", "full")
    assert bool(rows(lines)) == any(" TS105 " in line for line in lines if line.startswith("x.pcap:1"))
