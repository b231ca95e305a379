"""``tcpscope check`` as a user meets it: what it prints, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tcpscope
from tcpscope.check.formats import FORMATS
from tcpscope.check.schema import schema_text
from tcpscope.cli.main import run
from tests.captures import SAMPLES, clean, many, unanswered

Capsys = pytest.CaptureFixture[str]
PACKAGE = Path(str(tcpscope.__file__)).parent


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with captures and no policy."""
    monkeypatch.chdir(tmp_path)
    Path("clean.pcap").write_bytes(clean())
    Path("unanswered.pcap").write_bytes(unanswered())
    return tmp_path


def check(capsys: Capsys, *arguments: str) -> tuple[int, list[str]]:
    """Exit status and lines of a check."""
    status = run(["check", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    return status, out.splitlines()


def result(capsys: Capsys, *arguments: str) -> Any:
    """The JSON of a check."""
    run(["check", *arguments, "--format", "json"])
    return json.loads(capsys.readouterr().out)


def policy(text: str, name: str = "tcpscope.toml") -> None:
    """Write a policy."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def test_a_clean_capture_says_nothing_but_the_summary(capsys: Capsys) -> None:
    assert check(capsys, "clean.pcap") == (0, ["1 capture, 1 connection, 9 frames: no problems"])


def test_one_line_a_problem_below_its_connection(capsys: Capsys) -> None:
    status, lines = check(capsys, "clean.pcap", "unanswered.pcap")
    assert status == 0
    assert lines[0] == "unanswered.pcap: connection 0, 10.0.0.1:40000 → 10.0.0.2:80"
    assert lines[1].startswith("unanswered.pcap:1: TS105 syn-unanswered warning: The server 10.0.0.2:80 never answered")
    assert lines[-1] == "2 captures, 2 connections, 12 frames: 1 warning"


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("note", 1), ("never", 0)])
def test_fail_on(level: str, status: int, capsys: Capsys) -> None:
    assert check(capsys, "unanswered.pcap", "--fail-on", level)[0] == status
    policy(f'fail-on = "{level}"')
    assert check(capsys, "unanswered.pcap")[0] == status
    assert check(capsys, "unanswered.pcap", "--fail-on", "note")[0] == 1


def test_a_directory_is_searched_by_name_and_by_content(capsys: Capsys) -> None:
    policy("no capture", "notes.txt")
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/dump").write_bytes(clean())
    Path(".hidden").mkdir()
    Path(".hidden/x.pcap").write_bytes(clean())
    paths = [capture["path"] for capture in result(capsys, ".")["captures"]]
    assert paths == ["clean.pcap", "unanswered.pcap", "deep/er/dump"]
    assert [one["path"] for one in result(capsys, "**/d*", ".", "./clean.pcap")["captures"]] == [
        "deep/er/dump",
        "clean.pcap",
        "unanswered.pcap",
    ]


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_checked(capsys: Capsys) -> None:
    Path("pointer.pcap").write_text("version https://git-lfs.github.com/spec/v1\n")
    Path("cut.pcap").write_bytes(clean()[:-10])
    Path("empty").mkdir()
    status, lines = check(capsys, "pointer.pcap", "missing.pcap", "no*.pcap", "empty", "cut.pcap", "unanswered.pcap")
    assert status == 2
    text = "\n".join(lines)
    assert "pointer.pcap: INPUT unreadable error: not a capture: it looks like text" in text
    assert "missing.pcap: INPUT unreadable error: cannot open missing.pcap: No such file or directory" in text
    assert "no*.pcap: INPUT no-capture error: no file matches no*.pcap" in text
    assert "empty: INPUT no-capture error: there is no capture in the directory empty" in text
    assert "TS901 capture-damaged" in text
    assert "unanswered.pcap:1: TS105" in text


@pytest.mark.parametrize("jobs", ["2", "3"])
def test_several_processes_give_the_same_bytes(jobs: str, capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(5, faulty=range(1, 3)))
    policy('[[expect]]\nhandshake = "complete"\n[severities]\nTS1 = "error"\n')
    arguments = [str(SAMPLES / "tls12.pcap"), ".", str(SAMPLES / "zero-window.pcap"), "missing.pcap"]
    for name in FORMATS:
        run(["check", *arguments, "--format", name, "--jobs", "1"])
        one = capsys.readouterr().out
        run(["check", *arguments, "--format", name, "--jobs", jobs])
        assert capsys.readouterr().out == one


def test_several_formats_at_once(capsys: Capsys) -> None:
    status, lines = check(capsys, "unanswered.pcap", "--output", "json=a.json", "-o", "full=a.txt")
    assert status == 0
    assert lines[-1] == "1 capture, 1 connection, 3 frames: 1 warning"
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["summary"]["warning"] == 1
    assert "How to fix:" in Path("a.txt").read_text(encoding="utf-8")


def test_the_schema_of_a_policy_is_that_of_the_table(capsys: Capsys) -> None:
    assert run(["check", "--schema"]) == 0
    out = capsys.readouterr().out
    assert out == schema_text() == (PACKAGE / "check" / "policy.schema.json").read_text(encoding="utf-8")
    jsonschema.Draft7Validator.check_schema(json.loads(out))
