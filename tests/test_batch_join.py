"""``tcpscope batch --join``: which files are one capture, what is made of it, and what is said of those that are none."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tcpscope.cli.main import run
from tcpscope.many.inputs import find
from tcpscope.many.series import join_series, named_alike
from tests.captures import clean, many, unanswered
from tests.pcapwriter import Record, pcap
from tests.transforms import frames

Capsys = pytest.CaptureFixture[str]
DAY = "2026010112000"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return tmp_path


def split(capture: bytes, *counts: int) -> list[bytes]:
    """A capture in files of so many frames; the last one has the rest."""
    ends = [end for _, end, _ in frames(capture)]
    cuts = [24, *(ends[sum(counts[: index + 1]) - 1] for index in range(len(counts))), len(capture)]
    return [capture[:24] + capture[start:end] for start, end in pairwise(cuts)]


def write(names: Sequence[str], contents: Sequence[bytes]) -> None:
    """Files below ``in``."""
    for name, content in zip(names, contents, strict=True):
        Path("in", name).write_bytes(content)


def at(*seconds: int, link_type: int = 1) -> list[bytes]:
    """Captures of one frame each, at these times."""
    return [pcap([Record(second * 10**9, bytes(60))], link_type=link_type) for second in seconds]


def batch(*arguments: str) -> int:
    """A batch over ``in``, with one process and CSV tables."""
    return run(["batch", "in", "-o", "out", "-j", "1", "--tables", "csv", "--no-progress", *arguments])


def table(name: str) -> list[dict[str, str]]:
    """A table."""
    with Path(f"out/{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report() -> str:
    """The report."""
    return Path("out/report.md").read_text(encoding="utf-8")


SERIES = {
    "tcpdump -C": (["x.pcap", "x.pcap1", "x.pcap2", "x.pcap10"], "x.pcap*"),
    "tcpdump -C -W": (["x.pcap00", "x.pcap01", "x.pcap02"], "x.pcap*"),
    "tcpdump -C -W without an extension": (["x0", "x1", "x2"], "x*"),
    "tcpdump -C -z gzip": (["x.pcap.gz", "x.pcap1.gz", "x.pcap2.gz"], "x.pcap*.gz"),
    "tcpdump -C -z gzip, still running": (["x.pcap.gz", "x.pcap1.gz", "x.pcap2"], "x.pcap*"),
    "tcpdump -G": (["a-20260101-235900.pcap", "a-20260102-000000.pcap"], "a-*.pcap"),
    "tcpdump -G, other times": (["a_2026-01-01_23:59:00.b.pcap", "a_2026-01-02_00:00:00.b.pcap"], "a_*.b.pcap"),
    "tcpdump -G, days": (["2026-01-01.pcap", "2026-01-02.pcap"], "*.pcap"),
    "tcpdump -G, seconds since 1970": (["log.pcap.1767225600", "log.pcap.1767225660"], "log.pcap.*"),
    "tcpdump -G -C": (["20260101.pcap", "20260101.pcap1", "20260102.pcap", "20260102.pcap1"], "*.pcap*"),
    "dumpcap -b": ([f"a_00009_{DAY}1.pcapng", f"a_00010_{DAY}2.pcapng", f"a_00011_{DAY}2.pcapng"], "a_*.pcapng"),
    "dumpcap -b, run twice": ([f"a_00001_{DAY}1.pcap", f"a_00002_{DAY}2.pcap", f"a_00001_{DAY}3.pcap"], "a_*.pcap"),
    "dumpcap -b nametimenum:2": ([f"a_{DAY}1_00001.pcap", f"a_{DAY}2_00002.pcap"], "a_*.pcap"),
}


@pytest.mark.parametrize(("names", "pattern"), SERIES.values(), ids=SERIES)
def test_the_names_that_programs_give_are_known(names: list[str], pattern: str) -> None:
    contents = at(*range(100, 100 + len(names)))
    write(
        names, [gzip.compress(one) if name.endswith(".gz") else one for name, one in zip(names, contents, strict=True)]
    )
    write(["other.pcap"], at(101))
    series, other = sorted(join_series(find(["in"])), key=lambda one: not one.files)
    assert series.path == f"in/{pattern}"
    assert series.files == tuple(f"in/{name}" for name in names)
    assert series.size == sum(Path("in", name).stat().st_size for name in names)
    assert other.path == "in/other.pcap"


def test_a_ring_that_began_anew_is_put_in_the_order_of_its_times() -> None:
    write(["x.pcap0", "x.pcap1", "x.pcap2", "x.pcap3"], at(104, 105, 102, 103))
    (series,) = join_series(find(["in"]))
    assert [path[-1] for path in series.files] == ["2", "3", "0", "1"]


NO_SERIES = {
    "numbers before the extension": (["host1.pcap", "host2.pcap"], at(1, 2)),
    "another stem": (["a.pcap0", "b.pcap1"], at(1, 2)),
    "copies": (["x.pcap0", "x.pcap1"], at(1, 1)),
    "a file and its compressed copy": (["x.pcap", "x.pcap.xz"], at(1, 1)),
    "times in another order": (["x.pcap0", "x.pcap1", "x.pcap2", "x.pcap3"], at(1, 3, 2, 4)),
    "another link type": (["x.pcap0", "x.pcap1"], at(1) + at(2, link_type=101)),
    "no times": (["x.pcap0", "x.pcap1"], [pcap([]), pcap([])]),
    "no date": ([f"a_{one}.pcap" for one in ("20261301", "20261302")], at(1, 2)),
}


@pytest.mark.parametrize(("names", "contents"), NO_SERIES.values(), ids=NO_SERIES)
def test_what_is_no_series_stays_apart(names: list[str], contents: list[bytes]) -> None:
    write(names, contents)
    found = find([f"in/{name}" for name in names])
    assert join_series(found) == found


def test_files_of_several_directories_are_no_series() -> None:
    for name, content in zip("ab", at(1, 2), strict=True):
        Path("in", name).mkdir()
        Path("in", name, f"x.pcap{'ab'.index(name)}").write_bytes(content)
    assert len(join_series(find(["in"]))) == 2


def test_what_can_be_read_once_is_left_alone() -> None:
    os.mkfifo("in/x.pcap0")
    write(["x.pcap1", "x.pcap2"], at(1, 2))
    pipe, series = join_series(find(["in/x.pcap0", "in/x.pcap1", "in/x.pcap2", "memory://x.pcap3", "in/x.pcap9"]))[:2]
    assert (pipe.path, pipe.files) == ("in/x.pcap0", ())
    assert series.files == ("in/x.pcap1", "in/x.pcap2")


def test_a_series_is_judged_as_the_capture_it_was(capsys: Capsys) -> None:
    names = [f"ring_0000{number}_{DAY}{number}.pcap" for number in range(1, 4)]
    write(names, split(many(4, range(3, 4)), 2, 6))
    write(["alone.pcap"], [unanswered()])
    assert batch("--join") == 0
    assert "2 captures, 5 connections: 0 errors, 1 warning, 1 note" in capsys.readouterr().out
    alone, series = table("captures")
    assert (alone["path"], alone["files"]) == ("in/alone.pcap", "1")
    assert (series["path"], series["files"], series["status"]) == ("in/ring_*.pcap", "3", "read")
    assert "ring_joined" in series["document"]
    run(["analyze", "--join", *(f"in/{name}" for name in names), "--format", "json"])
    text = capsys.readouterr().out
    assert Path("out/captures", series["document"]).read_text(encoding="utf-8") == text
    assert [one["path"] for one in json.loads(text)["captures"][0]["files"]] == [f"in/{name}" for name in names]
    Path("whole.pcap").write_bytes(many(4, range(3, 4)))
    joined = [{**row, "path": ""} for row in table("connections") if row["path"] == series["path"]]
    run(["batch", "whole.pcap", "-o", "out", "-j", "1", "--tables", "csv", "--no-progress"])
    assert joined == [{**row, "path": ""} for row in table("connections")]


def test_a_finding_names_the_file_and_the_frame_in_it() -> None:
    # The first SYN is in one file, those that repeat it are in the next; another one stands between them and is empty.
    first, last = split(unanswered(), 1)
    write(["x.pcap0", "x.pcap1", "x.pcap2", "x.pcap3"], [first, first[:24], last, at(4 * 10**9)[0]])
    write(["y.pcap"], [unanswered()])
    assert batch("--join") == 0
    (one, other) = table("findings")
    assert (one["path"], one["frame"], one["file"], one["file_frame"]) == ("in/x.pcap*", "1", "in/x.pcap0", "1")
    assert (other["path"], other["frame"], other["file"], other["file_frame"]) == ("in/y.pcap", "1", "", "")
    text = report()
    assert "| `in/x.pcap*` | 4 | `x.pcap0`, `x.pcap1`, `x.pcap2`, `x.pcap3` |" in text


@pytest.mark.parametrize("number", range(12))
def test_every_finding_is_found_in_its_file(number: int) -> None:
    contents = split(many(12, range(number, number + 1)), 4, 9, 1, 20)
    contents.insert(1, contents[0][:24])  # without frames
    write([f"x.pcap{index}" for index in range(6)], contents)
    assert batch("--join") == 0
    (finding,) = table("findings")
    numbered = [(f"in/x.pcap{index}", str(n + 1)) for index in range(6) for n, _ in enumerate(frames(contents[index]))]
    assert (finding["file"], finding["file_frame"]) == numbered[int(finding["frame"]) - 1]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_bad_file_is_told_and_the_rest_is_judged(bad: int, capsys: Capsys) -> None:
    contents = split(many(6), 9, 9)
    contents.insert(bad, b"this is no capture")
    write([f"x.pcap{number}" for number in range(4)], contents)
    assert batch("in/x.pcap0", "in/x.pcap1", "in/x.pcap2", "in/x.pcap3", "--join") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"in/x.pcap{bad}: " in err
    (capture,) = table("captures")
    assert (capture["status"], capture["files"], capture["connections"]) == ("damaged", "4", "6")
    assert f"in/x.pcap{bad}" in capture["reason"]


def test_files_that_overlap_are_told(capsys: Capsys) -> None:
    write(["x0", "x1"], [at(100)[0] + at(200)[0][24:], at(150)[0]])
    assert batch("--join") == 2
    assert (
        "in/x1 begins 50.000 s before the end of the files before it: no pieces of one capture"
        in capsys.readouterr().err
    )
    assert [(row["frames"], row["status"]) for row in table("captures")] == [("2", "damaged")]


def test_what_is_known_of_a_series_is_known_of_all_its_files(capsys: Capsys) -> None:
    names = [f"x.pcap{number}" for number in range(3)]
    contents = split(many(4), 5, 5)
    write(names, contents)
    batch("--join")
    changes: list[tuple[Callable[[], object], bool]] = [
        (lambda: None, True),
        (lambda: os.utime("in/x.pcap1", ns=(0, 1)), False),
        (lambda: write(["x.pcap3"], at(4 * 10**9)), False),
        (lambda: Path("in/x.pcap0").unlink(), False),
        (lambda: None, True),
    ]
    for change, reused in changes:
        change()
        capsys.readouterr()
        batch("--join")
        assert ("1 of them done before" in capsys.readouterr().out) is reused
    assert len(list(Path("out/rows").iterdir())) == 1, "a ring that goes on has one result"
    capsys.readouterr()
    batch("--join", "--by-content", "--force")
    os.utime("in/x.pcap1", ns=(0, 2))
    capsys.readouterr()
    batch("--join", "--by-content")
    assert "1 of them done before" in capsys.readouterr().out


def test_without_join_connections_at_the_edges_are_marked_and_counted() -> None:
    write(["x.pcap0", "x.pcap1"], split(clean(), 5))
    assert named_alike(find(["in"])) == 2
    batch()
    assert [(row["cut_at_start"], row["cut_at_end"]) for row in table("connections")] == [
        ("false", "true"),
        ("true", "false"),
    ]
    line = next(line for line in report().splitlines() if "**Cut**" in line)
    assert line == (
        "- **Cut** by the edges of their capture: 2 connections (1 began before it, 1 went on after it). 2 files have names as a "
        "capture has that was split: `--join` puts together what belongs together"
    )
    batch("--join")
    assert [(row["cut_at_start"], row["cut_at_end"]) for row in table("connections")] == [("false", "false")]
    assert "**Cut**" not in report()
    Path("in/x.pcap0").unlink()
    batch()
    assert "--join" not in report(), "there is nothing to join"
