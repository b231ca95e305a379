"""``tcpscope diff``: which connection is which, what counts as a difference, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcpscope.cli.main import run
from tests.captures import CLEAN, SAMPLES, clean, many, unanswered
from tests.scenario import build, parse
from tests.transforms import record_again

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    Path("old.pcap").write_bytes(clean())
    return tmp_path


def diff(capsys: Capsys, *arguments: str) -> tuple[int, list[str]]:
    """Exit status and lines."""
    status = run(["diff", *arguments])
    out, err = capsys.readouterr()
    return status, [*out.splitlines(), *err.splitlines()]


def document(capsys: Capsys, *arguments: str) -> Any:
    """The JSON of a comparison."""
    run(["diff", *arguments, "--format", "json"])
    return json.loads(capsys.readouterr().out)


def analyzed(capsys: Capsys, name: str, *paths: str) -> None:
    """Write the report of captures."""
    run(["analyze", *paths, "--format", "json", "--output", name])
    capsys.readouterr()


def test_the_same_capture_has_no_difference(capsys: Capsys) -> None:
    assert diff(capsys, "old.pcap", "old.pcap") == (
        0,
        ["old.pcap → old.pcap", "1 connection compared: no difference"],
    )
    assert document(capsys, "old.pcap", "old.pcap")["same"] is True


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.pcap"))[::3], ids=lambda path: path.stem)
def test_a_scenario_that_is_recorded_again_is_the_same(path: Path, capsys: Capsys) -> None:
    """Other days, addresses' ports, initial numbers and frame numbers, and everything 1 % slower."""
    Path("again.pcap").write_bytes(record_again(path.read_bytes(), 86_400, 777))
    assert diff(capsys, str(path), "again.pcap")[0] == 0


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("tls1*.pcap"))[::4], ids=lambda path: path.stem)
def test_a_report_stands_for_its_capture(path: Path, capsys: Capsys) -> None:
    analyzed(capsys, "report.json", str(path))
    assert diff(capsys, str(path), "report.json")[0] == 0
    Path("other.pcap").write_bytes(clean())
    expected = diff(capsys, str(path), "other.pcap")
    assert expected[0] == 1
    assert diff(capsys, "report.json", "other.pcap") == expected


def test_verdicts_findings_and_times_are_told(capsys: Capsys) -> None:
    text = CLEAN.replace("+.010000   S > C  P. (2000)", "+1.01000   S > C  P. (2000)")
    text = text.replace("+.010000   S > C  F.\n+.000100   C > S  .\n", "+.010000   S > C  R.\n")
    Path("new.pcap").write_bytes(build(parse(text)))
    status, lines = diff(capsys, "old.pcap", "new.pcap")
    assert status == 1
    assert lines[1] == "  connection 0, 192.168.100.101:51000 → 192.168.100.102:8080"
    assert "    teardown: orderly → reset-after-fin" in lines
    assert any(line.startswith("  + TS2") for line in lines)
    assert "    response, median: 10 ms → 1.01 s (+10,000 %)" in lines
    assert lines[-1] == "1 connection compared: 1 different"
    told = document(capsys, "old.pcap", "new.pcap")
    assert told["same"] is False
    pair = told["captures"][0]["connections"][0]
    assert {"what": "teardown", "old": "orderly", "new": "reset-after-fin"} in pair["verdicts"]
    assert {"what": "response, median", "old": 0.01, "new": 1.01} in pair["timings"]
    assert pair["findings"]["new"]
    assert not pair["findings"]["gone"]
    back = document(capsys, "new.pcap", "old.pcap")["captures"][0]["connections"][0]
    assert back["findings"] == {"gone": pair["findings"]["new"], "new": []}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 1),
        (("--tolerance", "500%"), 1),
        (("--tolerance", "9.5", "--floor", "95ms"), 0),
        (("--floor", "50ms"), 1),
        (("--floor", "0.2"), 0),
        (("--no-timings",), 0),
        (("--tolerance", "0%", "--floor", "0"), 1),
    ],
)
def test_times_count_beyond_the_share_and_the_floor(options: tuple[str, ...], status: int, capsys: Capsys) -> None:
    """A response takes 100 ms and not 10 ms."""
    Path("new.pcap").write_bytes(build(parse(CLEAN.replace("+.010000   S > C  P.", "+.100000   S > C  P."))))
    assert diff(capsys, "old.pcap", "new.pcap", *options)[0] == status


def test_rules_can_be_chosen(capsys: Capsys) -> None:
    old, new = str(SAMPLES / "tls12.pcap"), str(SAMPLES / "tls12-expired-certificate.pcap")
    assert any("TS701" in line for line in diff(capsys, old, new)[1])
    assert not any("TS7" in line for line in diff(capsys, old, new, "--ignore", "TS7")[1])
    analyzed(capsys, "new.json", new)
    assert not any("TS7" in line for line in diff(capsys, old, "new.json", "--select", "TS2")[1])


def test_connections_are_matched_by_service_in_order(capsys: Capsys) -> None:
    """Numbers, addresses and ephemeral ports are others; the servers' ports tell which is which."""
    parts = ["0.0 {0} > {1} S <mss 1460>", "+.01 {1} > {0} S. <mss 1460>", "+.01 {0} > {1} .", "+.01 {1} > {0} R."]
    alone = ["+1 C2 > S2 S <mss 1460>"]
    http = [part.format("C", "S") for part in parts]
    head = "# Two services.\nclient: {0}:40001\nserver: {0}9:80\nclient2: {0}:50002\nserver2: {0}9:22\n"
    Path("old.pcap").write_bytes(build(parse(head.format("10.0.0.1") + "\n".join([*http, *alone]))))
    first = [alone[0].replace("+1", "0.0"), *(line.replace("0.0 ", "+1 ") for line in http)]
    Path("new.pcap").write_bytes(build(parse(head.format("172.16.0.1") + "\n".join(first))))
    told = document(capsys, "old.pcap", "new.pcap", "--no-timings")["captures"][0]
    assert told["compared"] == 2
    assert [(pair["old"]["stream"], pair["new"]["stream"]) for pair in told["connections"]] in ([], [(1, 0)])
    assert all(not pair["verdicts"] or pair["verdicts"][0]["what"] != "handshake" for pair in told["connections"])


def test_one_connection_more_is_told_as_that(capsys: Capsys) -> None:
    Path("old.pcap").write_bytes(many(6))
    Path("new.pcap").write_bytes(many(7, faulty=range(2, 3)))
    status, lines = diff(capsys, "old.pcap", "new.pcap", "--no-timings")
    assert status == 1
    assert lines[1] == "+ connection 2, 10.0.0.3:40002 → 10.1.0.1:80: only in NEW (unanswered, open)"
    assert lines[2].startswith("+ TS105 syn-unanswered")
    assert lines[-1] == "6 connections compared: 1 only in NEW"
    assert diff(capsys, "new.pcap", "old.pcap", "--no-timings")[1][-1] == "6 connections compared: 1 only in OLD"


def test_reports_of_several_captures_are_compared_by_path(capsys: Capsys) -> None:
    Path("a.pcap").write_bytes(clean())
    Path("b.pcap").write_bytes(unanswered())
    analyzed(capsys, "old.json", "a.pcap", "b.pcap")
    analyzed(capsys, "new.json", "b.pcap", "old.pcap")
    status, lines = diff(capsys, "old.json", "new.json")
    assert status == 1
    assert [line for line in lines if line] == [
        "a.pcap: only in OLD",
        "b.pcap → b.pcap",
        "1 connection compared: no difference",
        "old.pcap: only in NEW",
    ]


def test_damage_is_told_and_gives_status_2(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(clean()[:-10])
    status, lines = diff(capsys, "old.pcap", "cut.pcap")
    assert status == 2
    assert lines[1].startswith("  NEW could not be read in full: ")
    analyzed(capsys, "cut.json", "cut.pcap")
    assert diff(capsys, "old.pcap", "cut.json")[0] == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"schema":"tcpscope/1","captures":{}}',
        '{"schema":"tcpscope/1","captures":[1]}',
        '{"schema":"tcpscope/2","captures":[]}',
        '{"schema":"tcpscope/1","kind":"check","captures":[]}',
        '{"a":' * 100_000,
        "neither capture nor report",
        "",
    ],
)
def test_what_is_neither_capture_nor_report(text: str, capsys: Capsys) -> None:
    Path("bad").write_text(text, encoding="utf-8")
    status, lines = diff(capsys, "old.pcap", "bad")
    assert (status, len(lines)) == (2, 1)
    assert diff(capsys, "old.pcap", "missing.pcap")[0] == 2


def test_a_strange_report_does_no_harm(capsys: Capsys) -> None:
    """Values of other kinds are as if they could not be told; text cannot act on the terminal."""
    strange: list[Any] = [
        None,
        7,
        [],
        {"client": 1, "server": {"port": "x"}, "stream": 1e300, "findings": [1, {"code": 2}]},
    ]
    evil = {
        "tls": {"sni": "\x1b[2J\u202e"},
        "findings": [{"code": "\x1b", "name": "\r", "severity": "\x07", "message": "\n\x1b"}],
    }
    capture = {"path": "x\x1b", "connections": [*strange, evil], "findings": "none", "complete": True}
    Path("bad.json").write_text(json.dumps({"schema": "tcpscope/1", "captures": [capture]}), encoding="utf-8")
    status = run(["diff", "old.pcap", "bad.json"])
    out = capsys.readouterr().out
    assert status == 1
    assert not set(out) & set("\x1b\u202e\r\x07")
    assert diff(capsys, "bad.json", "bad.json")[0] == 0


@pytest.mark.parametrize("options", [("--tolerance", "much"), ("--tolerance", "-1"), ("--floor", "3 parsecs")])
def test_wrong_tolerances(options: tuple[str, str], capsys: Capsys) -> None:
    assert diff(capsys, "old.pcap", "old.pcap", *options)[0] == 2
