"""Every capture in sample_pcaps: the whole output as stored in tests/snapshots, and what must hold for any capture.

``pytest tests/test_samples.py --snapshot-update`` writes the snapshots anew; the difference is then to be read.
"""

from __future__ import annotations

import bisect
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import tcpscope
from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.cli.main import run
from tcpscope.report import json_report
from tcpscope.report.json_connection import connection_json
from tcpscope.version import __version__, compiled
from tests.captures import SAMPLES
from tests.test_report_json import SCHEMA
from tests.transforms import frames, shift_sequence_numbers, swap_directions

SNAPSHOTS = Path(__file__).parent / "snapshots"
CAPTURES = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".pcap", ".pcapng"}) if SAMPLES.is_dir() else []

every_sample = pytest.mark.parametrize("sample", CAPTURES, ids=lambda path: path.stem)


class Chunks(io.RawIOBase):
    """A file that gives its bytes in portions of the given sizes, over and over."""

    def __init__(self, data: bytes, *sizes: int) -> None:
        super().__init__()
        self._parts = self._cut(data, sizes)

    @staticmethod
    def _cut(data: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
        at = turn = 0
        while at < len(data):
            size = sizes[turn % len(sizes)]
            yield data[at : at + size]
            at, turn = at + size, turn + 1

    def read(self, size: int = -1, /) -> bytes:
        return next(self._parts, b"")


def report_of(source: Any) -> Any:
    """What ``analyze --format json`` says of a capture, as one object."""
    report = tcpscope.analyze(source)
    connections = [json.loads(connection_json(connection)) for connection in report.connections]
    capture = {**json_report.capture_object(report.capture), "path": "", "connections": connections}
    return json.loads(json_report.dumps({"capture": capture, "summary": json_report.summary_object(report.summary)}))


@cache
def report_text_of(sample: Path) -> str:
    """The report of a sample, made once."""
    return json.dumps(report_of(io.BytesIO(sample.read_bytes())))


def expected_of(sample: Path) -> Any:
    """A copy of the report of a sample that may be changed."""
    return json.loads(report_text_of(sample))


# Snapshots


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a stored one, or stores it."""

    def check(name: str, text: str) -> None:
        path = SNAPSHOTS / name
        if request.config.getoption("--snapshot-update"):
            SNAPSHOTS.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"no snapshot {name}; --snapshot-update stores it"
        assert text == path.read_text(encoding="utf-8")

    return check


@every_sample
def test_text_report(
    sample: Path,
    compare: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(SAMPLES)
    monkeypatch.setenv("COLUMNS", "100")
    parts = []
    for options in ([], ["--connection", "0"]):
        arguments = ["analyze", sample.name, *options]
        status = run(arguments)
        out, err = capsys.readouterr()
        parts.append(f"$ tcpscope {' '.join(arguments)}\n{out}{err}(exit status {status})\n")
    compare(f"{sample.name}.txt", "\n".join(parts))


LADDERS = {
    "http-clean": 6,
    "last-ack-lost": 12,
    "lost-data-fast-retransmit": 27,
    "mid-connection": 2,
    "path-mtu": 26,
    "port-reused-refused": 12,
    "refused": 2,
    "tls12": 6,
    "zero-window": 16,
}
"""Samples whose ladder diagram is stored, with a frame of each to explain."""


@pytest.mark.parametrize("name", LADDERS)
def test_ladder_and_explanation(
    name: str, compare: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SAMPLES)
    sample = f"{name}.pcap"
    parts = []
    explain = ["explain", sample, "--frame", str(LADDERS[name])]
    for width, arguments in ((80, ["show", sample]), (160, ["show", sample]), (80, explain)):
        monkeypatch.setenv("COLUMNS", str(width))
        assert run(arguments) == 0
        parts.append(f"$ tcpscope {' '.join(arguments)}   # {width} columns\n{capsys.readouterr().out}")
    compare(f"{sample}.ladder", "\n".join(parts))


@every_sample
def test_json_report(
    sample: Path,
    compare: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(SAMPLES)
    run(["analyze", sample.name, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    Draft202012Validator(SCHEMA).validate(report)
    assert report.pop("version") == __version__
    compare(f"{sample.name}.json", pretty(report) + "\n")


def pretty(value: Any, indent: str = "") -> str:
    """JSON with one key of a report, a capture or a connection a line: to be read as a difference."""
    inner = indent + " "
    if isinstance(value, dict) and (not indent or "findings" in value):
        lines = [f"{inner}{json.dumps(key)}: {pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(inner + pretty(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value)


def test_no_snapshot_without_a_sample() -> None:
    names = {path.name for path in CAPTURES}
    left_over = [path.name for path in SNAPSHOTS.iterdir() if path.name.rsplit(".", 1)[0] not in names]
    assert left_over == []


# Invariants


@every_sample
def test_chunks_do_not_matter(sample: Path) -> None:
    data = sample.read_bytes()
    expected = expected_of(sample)
    sizes = [(1, 2, 3, 5, 7, 11, 1000), (4093,)] + ([(1,)] if len(data) < 8192 or compiled() else [])
    for each in sizes:
        assert report_of(Chunks(data, *each)) == expected, f"chunks of {each}"


def cuts(data: bytes) -> list[int]:
    """Where to cut a capture: at every byte if it is shorter than 1,600 bytes, compiled 4,096.

    Else around the bounds of the records, where the headers are, and at evenly spread places, about 300 in all (uncompiled 150).
    """
    if len(data) < (4096 if compiled() else 1600):
        return list(range(len(data)))
    bounds = [start for start, _, _ in frames(data)]
    near = {start + offset for start in bounds for offset in (-17, -16, -9, -1, 0, 1, 14, 34, 54)}
    chosen = {
        *range(0, 64, 3),
        *sorted(near)[:: max(1, len(near) // (150 if compiled() else 60))],
        *range(0, len(data), max(1, len(data) // (100 if compiled() else 40))),
    }
    return sorted(cut for cut in chosen if 0 <= cut < len(data))


@every_sample
def test_every_cut_reads_the_frames_before_it(sample: Path) -> None:
    """At every byte (uncompiled: every seventh): what is cut off takes nothing from what lies before."""
    data = sample.read_bytes()
    ends = [end for _, end, _ in frames(data)]
    frame = Frame()
    for cut in range(4, len(data), 1 if compiled() else 7):
        reader = CaptureReader()
        reader.feed(data[:cut])
        reader.finish()
        count = 0
        while reader.advance(frame):
            count += 1
        # A block of pcapng ends behind the frame's bytes: with padding, options and its length.
        assert bisect.bisect_right(ends, cut) - count in ((0, 1) if reader.format == "pcapng" else (0,))


@every_sample
def test_any_cut_gives_a_report_or_one_clean_error(sample: Path) -> None:
    data = sample.read_bytes()
    whole = tcpscope.analyze(io.BytesIO(data)).capture
    before = 0
    for cut in cuts(data):
        if cut < 4:
            with pytest.raises(tcpscope.FormatError):
                tcpscope.analyze(io.BytesIO(data[:cut]))
            continue
        capture = tcpscope.analyze(io.BytesIO(data[:cut])).capture
        assert before <= capture.frames <= whole.frames
        before = capture.frames
        assert capture.complete == (not capture.damage)
        if capture.damage_offset is not None:
            assert f"byte {capture.damage_offset}" in capture.damage
            assert 0 <= capture.damage_offset <= cut


RAW = {"isn"}
"""Keys whose values are sequence numbers as they are on the wire."""


def without_raw_numbers(value: Any) -> Any:
    """The report without raw sequence numbers, also those that messages cite (nine digits or more)."""
    if isinstance(value, dict):
        return {key: without_raw_numbers(item) for key, item in value.items() if key not in RAW}
    if isinstance(value, list):
        return [without_raw_numbers(item) for item in value]
    return re.sub(r"\b\d{1,3}(,\d{3}){2,}\b|\b\d{7,10}\b", "N", value) if isinstance(value, str) else value


@every_sample
@pytest.mark.parametrize("beyond", [1, 50, 700])
def test_the_wrap_of_sequence_numbers_does_not_matter(sample: Path, beyond: int) -> None:
    expected = expected_of(sample)
    shifts: list[int] = []
    for side in ("client", "server"):
        syns = [connection["syn"][side] for connection in expected["capture"]["connections"]]
        first = next((syn["isn"] for syn in syns if syn), 0)
        shifts.append((-first - beyond - 11 * len(shifts)) % 2**32)  # two sides never share an ISN
    shifted = report_of(io.BytesIO(shift_sequence_numbers(sample.read_bytes(), *shifts)))
    assert without_raw_numbers(shifted) == without_raw_numbers(expected)


OF_LISTENERS = {"accept-queue-full", "syn-flood"}
"""Diagnoses told by what all connections to one port have in common; swapped, each goes to a port of its own."""


@every_sample
def test_swapped_directions_mirror_the_report(sample: Path) -> None:
    expected = expected_of(sample)
    mirrored = report_of(io.BytesIO(swap_directions(sample.read_bytes())))
    pairs = zip(expected["capture"]["connections"], mirrored["capture"]["connections"], strict=True)
    for connection, other in pairs:
        if connection["roles"] not in ("syn", "syn-ack"):
            continue  # who is who was told by the ports, which have changed hands
        # Each end speaks as the other did: who opened is still the client, but has the other's address.
        assert (other["client"], other["server"]) == (connection["server"], connection["client"])
        assert other["community_id"] == connection["community_id"]
        for key in connection.keys() - {"client", "server", "findings", "community_id", "diagnosis"}:
            assert other[key] == connection[key], key
        if connection["diagnosis"]["kind"] not in OF_LISTENERS:
            for name in ("kind", "where", "confidence", "frames"):  # the sentences name addresses
                assert other["diagnosis"][name] == connection["diagnosis"][name], name
        ports = {
            finding["code"] for finding in connection["findings"] + other["findings"] if "port" in finding["message"]
        }
        assert codes(other, ports) == codes(connection, ports)


def codes(connection: Any, without: set[str]) -> list[tuple[str, str, list[int]]]:
    """The findings that do not depend on who has which port."""
    findings = connection["findings"]
    return [(f["code"], f["side"], f["frames"]) for f in findings if f["code"] not in without]
