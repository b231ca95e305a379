"""The public API: what a program that imports tcpscope relies on."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tcpscope
from tests.captures import clean, many, unanswered


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A file with one clean connection."""
    path = tmp_path / "clean.pcap"
    path.write_bytes(clean())
    return path


def test_analyze(capture: Path) -> None:
    report = tcpscope.analyze(capture)
    assert isinstance(report, tcpscope.Report)
    (connection,) = report.connections
    assert isinstance(connection, tcpscope.ConnectionReport)
    assert connection.handshake.verdict == "complete"
    assert connection.teardown.verdict == "orderly"
    assert str(connection.client) == "192.168.100.101:51000"
    assert report.capture.complete
    assert report.findings == ()
    assert report.summary.connections == 1


def test_sources(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = capture.read_bytes()
    expected = tcpscope.analyze(capture).connections
    assert tcpscope.analyze(str(capture)).connections == expected
    with capture.open("rb") as stream:
        assert tcpscope.analyze(stream).connections == expected
        assert not stream.closed
    assert tcpscope.analyze(io.BytesIO(data)).connections == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert tcpscope.analyze("-").connections == expected


def test_findings() -> None:
    report = tcpscope.analyze(io.BytesIO(unanswered()))
    (finding,) = report.findings
    assert isinstance(finding, tcpscope.Finding)
    assert finding.severity is tcpscope.Severity.WARNING
    assert str(finding.severity) == "warning"
    assert finding.stream == 0


def test_options() -> None:
    options = tcpscope.Options(msl_seconds=60, ignore=("TS1",))
    report = tcpscope.analyze(io.BytesIO(unanswered()), options)
    assert report.findings == ()
    assert report.connections[0].time_wait.required_ns == 120_000_000_000
    with pytest.raises(tcpscope.OptionError, match="TS99X"):
        tcpscope.analyze(io.BytesIO(clean()), tcpscope.Options(select=("TS99X",)))


def test_connections_come_as_they_end() -> None:
    data = many(60)

    class Recorder(io.BytesIO):
        """A file that gives little at a time."""

        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(500)

    source = Recorder(data)
    connections = tcpscope.connections(source, tcpscope.Options(msl_seconds=1))
    assert isinstance(connections, Iterator)
    first = next(connections)
    assert source.tell() < len(data)
    assert {first.stream, *(connection.stream for connection in connections)} == set(range(60))


def test_connections_equal_those_of_analyze() -> None:
    data = many(40, faulty=range(10, 12))
    streamed = sorted(tcpscope.connections(io.BytesIO(data)), key=lambda connection: connection.stream)
    assert tuple(streamed) == tcpscope.analyze(io.BytesIO(data)).connections


def test_what_is_no_capture() -> None:
    for data in (b"", b"text\n" * 100):
        with pytest.raises(tcpscope.FormatError) as caught:
            tcpscope.analyze(io.BytesIO(data))
        assert caught.value.offset == 0
        assert isinstance(caught.value, tcpscope.TcpscopeError)
        with pytest.raises(tcpscope.FormatError):
            list(tcpscope.connections(io.BytesIO(data)))
    with pytest.raises(tcpscope.SourceError, match="missing"):
        tcpscope.analyze("missing.pcap")


def test_damage_is_no_exception() -> None:
    report = tcpscope.analyze(io.BytesIO(clean()[:-5]))
    assert not report.capture.complete
    assert "cut inside a packet record" in report.capture.damage
    assert len(report.connections) == 1
    assert len(list(tcpscope.connections(io.BytesIO(clean()[:-5])))) == 1


def test_all_names_exist() -> None:
    for name in tcpscope.__all__:
        assert getattr(tcpscope, name) is not None
    assert set(tcpscope.__all__) <= set(dir(tcpscope))
    with pytest.raises(AttributeError, match="no_such_name"):
        tcpscope.no_such_name  # noqa: B018


def test_the_import_is_light() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(str(tcpscope.__file__)).parent.parent)!r})\n"
        "before = set(sys.modules)\n"
        "import tcpscope\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("tcpscope")}
    assert ours <= {"tcpscope", "tcpscope.errors", "tcpscope.version"}
    assert not {"click", "tabulate", "cryptography", "dpkt", "json", "dataclasses"} & set(loaded)
