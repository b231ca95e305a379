"""``--join`` and ``--salvage``: a capture in pieces, and one with damage in its middle, as a user sees them."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tcpscope
from tcpscope.cli import main
from tests.captures import SAMPLES

HEADER = 24


class Result(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def run(*arguments: str) -> Result:
    """The command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main.run(arguments)
    return Result(status, out.getvalue(), err.getvalue())


def records(data: bytes) -> list[bytes]:
    """The records of a little-endian classic pcap file."""
    found, place = [], HEADER
    while place < len(data):
        size = 16 + int.from_bytes(data[place + 8 : place + 12], "little")
        found.append(data[place : place + size])
        place += size
    return found


def pieces(directory: Path, sample: str, count: int) -> list[str]:
    """A sample cut into files of equal numbers of frames, as ``dumpcap -b`` writes them, in reverse order."""
    data = (SAMPLES / sample).read_bytes()
    frames = records(data)
    size = -(-len(frames) // count)
    names = []
    for index in range(count):
        path = directory / f"part_{index + 1:05}.pcap"
        path.write_bytes(data[:HEADER] + b"".join(frames[index * size : (index + 1) * size]))
        names.append(str(path))
    return names[::-1]


def document(*arguments: str) -> dict[str, Any]:
    result = run("analyze", "--format", "json", *arguments)
    assert result.status == 0, result.err
    capture: dict[str, Any] = json.loads(result.out)["captures"][0]
    return capture


@pytest.mark.parametrize("sample", ["http-clean.pcap", "lost-data-burst.pcap", "tls13.pcap", "zero-window.pcap"])
def test_a_capture_in_pieces_gives_the_verdicts_of_the_whole(tmp_path: Path, sample: str) -> None:
    whole = document(str(SAMPLES / sample))
    names = pieces(tmp_path, sample, 3)
    joined = document("--join", *names)
    files = joined.pop("files")
    assert joined.pop("path") == names[-1]
    del whole["path"]
    assert joined == whole
    assert [file["path"] for file in files] == names[::-1]
    assert sum(file["frames"] for file in files) == whole["frames"]
    assert files[1]["first_frame"] == files[0]["frames"] + 1
    assert tcpscope.analyze(names).connections == tcpscope.analyze(SAMPLES / sample).connections


def test_the_report_names_file_and_frame(tmp_path: Path) -> None:
    names = pieces(tmp_path, "timeout-retransmit.pcap", 2)
    text = run("analyze", "--join", *names).out
    first, second = names[1], names[0]
    assert f"{first} and 1 further file" in text
    half = len(records(Path(first).read_bytes()))
    assert f"frames 1-{half}: {first}" in text
    finding = document("--join", *names)["connections"][0]["findings"][0]
    place = finding["frame"]
    where = f"frame {place} of {first}" if place <= half else f"frame {place - half} of {second}"
    assert where in " ".join(text.split())


def test_segments_of_joined_files_tell_the_frame_in_its_file(tmp_path: Path) -> None:
    names = pieces(tmp_path, "http-clean.pcap", 2)
    rows = list(csv.DictReader(io.StringIO(run("segments", "--join", "--format", "csv", *names).out)))
    whole = list(csv.DictReader(io.StringIO(run("segments", "--format", "csv", str(SAMPLES / "http-clean.pcap")).out)))
    assert [{name: row[name] for name in whole[0]} for row in rows] == whole
    half = len(records(Path(names[1]).read_bytes()))
    for row in rows:
        first = int(row["frame"]) <= half
        assert row["file"] == (names[1] if first else names[0])
        assert int(row["file_frame"]) == int(row["frame"]) - (0 if first else half)


def test_several_files_without_join_are_refused_by_segments(tmp_path: Path) -> None:
    result = run("segments", *pieces(tmp_path, "http-clean.pcap", 2))
    assert result.status == 2
    assert "--join" in result.err


def test_a_file_of_another_time_is_left_out(tmp_path: Path) -> None:
    names = pieces(tmp_path, "keep-alive.pcap", 2)
    other = tmp_path / "whole.pcap"
    other.write_bytes((SAMPLES / "keep-alive.pcap").read_bytes())
    result = run("analyze", "--join", *names, str(other))
    assert result.status == 2
    assert "no pieces of one capture" in result.err
    assert "1 connection" in result.out


def test_salvage_goes_on_behind_damage_and_says_where(tmp_path: Path) -> None:
    data = bytearray((SAMPLES / "http-many.pcap").read_bytes())
    place = HEADER + sum(map(len, records(bytes(data))[:20]))
    data[place + 8 : place + 16] = b"\xff" * 8
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(data)
    stopped = run("analyze", str(broken))
    assert stopped.status == 2
    assert f"at byte {place}" in stopped.err
    salvaged = run("analyze", "--salvage", "--format", "json", str(broken))
    assert salvaged.status == 2
    assert salvaged.err.count("\n") == 1
    assert f"one damaged place stepped over, the first at byte {place}" in salvaged.err
    capture = json.loads(salvaged.out)["captures"][0]
    assert capture["frames"] == len(records((SAMPLES / "http-many.pcap").read_bytes())) - 1
    assert not capture["complete"]
    assert [gap["offset"] for gap in capture["files"][0]["skipped"]] == [place]
    assert any(finding["code"] == "TS901" for finding in capture["findings"])
    assert not tcpscope.analyze(broken, tcpscope.Options(salvage=True)).capture.complete
