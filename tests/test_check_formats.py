"""The formats of ``tcpscope check``: valid by the published schemas, the same for the same capture, and safe from what they quote."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
import yaml
from markdown_it import MarkdownIt

from tcpscope.check.formats import FORMATS, renderer
from tcpscope.check.outcome import CaptureResult, CheckResult, ExpectationResult, Identity, Problem
from tcpscope.cli.main import run
from tests.captures import SAMPLES, clean, many, unanswered

SCHEMAS = Path(__file__).parent / "schemas"
Capsys = pytest.CaptureFixture[str]

POLICY = """
[[expect]]
name = "opens"
handshake = "complete"

[[expect]]
name = "TLS"
match = "port 443"
tls.version = ">=1.2"
min-connections = 0

[[expect]]
name = "elsewhere"
capture = "un*.pcap"
max-duration = "1 h"
undecided = "pass"

[[expect]]
name = "not here"
capture = "later/*.pcap"
severity = "warning"
"""

# The manual's "Code Quality report format".
GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./).+"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project: captures with and without faults, a damaged one, and a policy that is partly broken."""
    monkeypatch.chdir(tmp_path)
    Path("clean.pcap").write_bytes(clean())
    Path("unanswered.pcap").write_bytes(unanswered())
    Path("cut.pcap").write_bytes(clean()[:-10])
    Path("with, and: 100% #1.pcap").write_bytes(unanswered())
    Path("later").mkdir()
    Path("later/one.pcap").write_bytes(clean())
    Path("tcpscope.toml").write_text(POLICY, encoding="utf-8")
    return tmp_path


ALL = ("*.pcap", str(SAMPLES / "tls12-expired-certificate.pcap"), "missing.pcap")


def report(capsys: Capsys, name: str, *paths: str) -> str:
    """What a check prints in one format."""
    run(["check", *(paths or ALL), "--format", name])
    return capsys.readouterr().out


@cache
def sarif_schema() -> Any:
    """The published one."""
    return json.loads((SCHEMAS / "sarif-2.1.0.json").read_text(encoding="utf-8"))


def valid_sarif(text: str) -> Any:
    """The one run of a log that the schema accepts."""
    log = json.loads(text)
    jsonschema.Draft4Validator(sarif_schema()).validate(log)
    return log["runs"][0]


def valid_junit(text: str) -> ET.Element:
    """The root of a document that the schema accepts."""
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(ET.fromstring(text))
    return ET.fromstring(text)


# What is quoted is hostile

HOSTILE = (
    "</code></details><script>alert(1)</script> ``` `x` **b** | [a](http://evil.example) ![i](http://evil.example/i) @all #1 "
    "www.evil.example %0A%25 ::error::x ##[error]y # SKIP \\ ]]> \r\n::error file=a::b\n...\nok 1\n\x1b[31m\u202e\udcff\x00\ufffe &amp;"
)


def hostile(count: int = 1) -> CheckResult:
    """A result in which every text from the wire, and every file name, tries to break out."""
    connection = Identity(0, "10.0.0.1:1", "[fd00::1]:443", HOSTILE, "complete", "orderly", None, 1, 0)
    problem = Problem(
        kind="finding",
        code="TS105",
        name="syn-unanswered",
        severity="error",
        rated="warning",
        fails=True,
        message=HOSTILE,
        path=HOSTILE,
        frame=7,
        frames=(7, 9),
        connection=connection,
        rfc="RFC 9293",
        display_filter=HOSTILE,
        fingerprint="f",
        remark=HOSTILE,
    )
    problems = tuple(replace(problem, occurrence=number) for number in range(1, count + 1))
    broken = replace(problem, kind="expectation", code="EXPECT", name="expected-handshake", expectation=HOSTILE)
    broken = replace(broken, path="tcpscope.toml", frame=None, frames=(), line=2, connection=None)
    skipped = replace(broken, undecided=True, fails=False, path=HOSTILE, frame=3, line=None)
    captures = (
        CaptureResult(HOSTILE, 0, problems=problems),
        CaptureResult("b.pcap", 0, problems=(skipped,)),
        CaptureResult(HOSTILE, 0, error=HOSTILE, usable=False),
    )
    place = "tcpscope.toml:2"
    expectation = ExpectationResult(HOSTILE, "all", (), place, "undecided", "error", False, 1, 1, 0, 0, 1)
    return CheckResult(captures, (broken,), (expectation,), (), ("tcpscope.toml",), "1")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"json", "text", "full"}])
def test_nothing_that_is_quoted_acts_on_a_terminal_or_breaks_the_encoding(name: str) -> None:
    text = renderer(name)(hostile())
    text.encode("utf-8")
    assert not set(text) & set("\x1b\u202e\x00\r\ufffe")


def test_sarif_of_hostile_text() -> None:
    result = valid_sarif(renderer("sarif")(hostile()))["results"][0]
    assert "](" not in result["message"]["text"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9%._~/-]+", uri)


def test_junit_of_hostile_text() -> None:
    root = valid_junit(renderer("junit")(hostile()))
    assert [case.find("skipped") is not None for case in root.iter("testcase")] == [False, False, True, False, True]


def test_tap_of_hostile_text() -> None:
    text = renderer("tap")(hostile())
    assert tap(text)[0][2] == [True, False]
    assert all(
        len(re.findall(r"(?<!\\)#", line)) <= 1
        for line in text.splitlines()
        if line.lstrip().startswith(("ok", "not ok"))
    )


def test_github_of_hostile_text() -> None:
    lines = renderer("github")(hostile()).splitlines()
    commands = [line for line in lines if "::" in line]
    assert len(commands) == 3
    for line in commands:
        found = re.fullmatch(r"::(error|warning|notice) (file|title)=[^:,]*(,(line|title)=[^:,]*)*::.*", line)
        assert found is not None, line
    assert not any("##[" in line for line in lines if line not in commands)


def test_markdown_of_hostile_text() -> None:
    """Outside of code the rendered comment has no word from the wire, and only elements of our own."""
    text = renderer("markdown")(hostile())
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    for word in ("evil", "script", "alert", "@all", "#1", "SKIP", "<a ", "<img"):
        assert word not in outside
    tags = set(re.findall(r"</?([a-z0-9]+)", outside))
    assert tags <= {
        "h3",
        "p",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "strong",
        "em",
        "br",
    }
    assert html.count("<details>") == html.count("</details>") == 3
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    assert {len(re.findall("<t[hd]", row)) for row in rows} == {5}


# SARIF


def test_sarif_is_valid_and_says_where(capsys: Capsys) -> None:
    run_ = valid_sarif(report(capsys, "sarif"))
    rules = run_["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({result["ruleId"] for result in run_["results"]})
    for result in run_["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
        assert set(result["partialFingerprints"]) == {"primaryLocationLineHash", "tcpscope/v1"}
    found = next(one for one in run_["results"] if one["ruleId"] == "TS105")
    place = found["locations"][0]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "unanswered.pcap", "uriBaseId": "%SRCROOT%"}
    assert place["physicalLocation"]["region"]["startLine"] == found["properties"]["frame"] == 1
    assert found["properties"]["displayFilter"].startswith("tcp.stream eq 0")
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "10.0.0.1:40000 → 10.0.0.2:80"
    manual = next(rule for rule in rules if rule["id"] == "TS105")
    assert "## How to fix" in manual["help"]["markdown"]
    assert "How to fix:" in manual["help"]["text"]


def test_sarif_says_what_could_not_be_read(capsys: Capsys) -> None:
    invocation = valid_sarif(report(capsys, "sarif"))["invocations"][0]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    texts = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert any("missing.pcap" in text for text in texts)
    assert len(texts) == 2
    good = valid_sarif(report(capsys, "sarif", "clean.pcap", "--isolated"))
    assert good["invocations"] == [{"executionSuccessful": True, "exitCode": 0, "toolExecutionNotifications": []}]
    assert good["results"] == []


def test_a_uri_is_relative_and_encoded(capsys: Capsys, directory: Path) -> None:
    run_ = valid_sarif(report(capsys, "sarif", str(directory / "with, and: 100% #1.pcap"), "--isolated"))
    uri = run_["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "with%2C%20and%3A%20100%25%20%231.pcap"


def test_sarif_has_no_more_results_than_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpscope.check.formats.as_sarif.MAX_RESULTS", 4)
    run_ = valid_sarif(renderer("sarif")(hostile(10)))
    assert len(run_["results"]) == 4
    assert run_["invocations"][0]["toolExecutionNotifications"][-1]["message"]["text"] == "8 errors more are not listed"


def test_a_fingerprint_is_the_only_one_of_its_kind(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(5, faulty=range(1, 4)))
    results = valid_sarif(report(capsys, "sarif", "many.pcap"))["results"]
    marks = [one["partialFingerprints"]["tcpscope/v1"] for one in results]
    assert len(set(marks)) == len(marks) >= 3
    issues = json.loads(report(capsys, "gitlab", "many.pcap", "unanswered.pcap"))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


# JUnit


def test_junit_is_valid_and_counts(capsys: Capsys) -> None:
    root = valid_junit(report(capsys, "junit"))
    suites = {suite.get("name", ""): suite for suite in root}
    assert next(iter(suites)) == "clean.pcap"
    assert list(suites)[-2:] == ["missing.pcap", "expectations"]
    cases = {case.get("name"): case for case in suites["unanswered.pcap"]}
    assert list(cases) == ["capture", "connection 0 to 10.0.0.2:80"]
    failure = cases["connection 0 to 10.0.0.2:80"].find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("EXPECT expected-handshake")
    assert "TS105 syn-unanswered" in str(failure.text)
    assert suites["missing.pcap"].find("testcase/error") is not None
    assert suites["cut.pcap"].find("testcase/error") is not None
    ends = {str(case.get("name")).partition(" (")[0]: [child.tag for child in case] for case in suites["expectations"]}
    assert ends == {"opens": ["failure"], "TLS": ["system-out"], "elsewhere": ["skipped"], "not here": ["skipped"]}
    for suite in suites.values():
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{tag}"))
        assert int(suite.get("tests", "")) == len(suite)
    assert int(root.get("tests", "")) == sum(map(len, suites.values()))


# GitHub


def test_github_gives_a_command_a_problem(capsys: Capsys) -> None:
    lines = report(capsys, "github", "with, and: 100% #1.pcap", "--isolated").splitlines()
    assert lines[0].startswith(
        "::warning file=with%2C and%3A 100%25 #1.pcap,line=1,title=TS105 syn-unanswered::The server"
    )
    assert "%0AWireshark: tcp.stream eq 0 && " in lines[0]
    assert lines[1:] == ["1 capture, 1 connection, 3 frames: 1 warning"]


def test_github_gets_no_more_annotations_than_it_shows() -> None:
    lines = renderer("github")(hostile(30)).splitlines()
    assert len([line for line in lines if line.startswith("::error ")]) == 10
    assert lines[10].startswith("22 errors more")


# GitLab


def test_gitlab_is_valid(capsys: Capsys) -> None:
    issues = json.loads(report(capsys, "gitlab"))
    jsonschema.Draft7Validator(GITLAB).validate(issues)
    found = next(issue for issue in issues if issue["check_name"] == "TS105 syn-unanswered")
    assert (found["severity"], found["location"]) == ("major", {"path": "unanswered.pcap", "lines": {"begin": 1}})
    assert [one["severity"] for one in issues if one["location"]["path"] == "missing.pcap"] == ["blocker"]
    jsonschema.Draft7Validator(GITLAB).validate(json.loads(renderer("gitlab")(hostile())))


# Markdown


def test_markdown_shows_a_table_and_folds_the_rest(capsys: Capsys) -> None:
    text = report(capsys, "markdown", "clean.pcap", "unanswered.pcap", "--isolated")
    assert text.startswith("### ✅ tcpscope check\n\n2 captures, 2 connections, 12 frames: 1 warning\n")
    assert "| `unanswered.pcap` | 1 |  | 1 |  |" in text
    assert "<details><summary><code>unanswered.pcap</code>: 1 warning</summary>" in text
    assert "**TS105** syn-unanswered, frame 1, `10.0.0.1:40000 → 10.0.0.2:80`" in text
    assert "What the rules mean" in text
    assert "clean.pcap" not in text


def test_markdown_is_no_longer_than_a_comment_may_be() -> None:
    text = renderer("markdown")(hostile(400))
    assert 60_000 < len(text.encode()) <= 65_000
    shown = len(re.findall("^- ❌", text, re.MULTILINE))
    assert f"{402 - shown} errors more that are not listed here." in text
    assert text.count("\n<details>") == text.count("\n</details>")


# TAP


def tap(text: str) -> list[tuple[str, Any, list[bool]]]:
    """The subtests of a stream: the line of each test point, what stands in the YAML below the points, and the points' results."""
    lines = text.splitlines()
    assert lines[0] == "TAP version 14"
    subtests: list[tuple[str, Any, list[bool]]] = []
    points: list[bool] = []
    blocks: list[Any] = []
    block: list[str] | None = None
    plan = 0
    for line in lines[2:]:
        if line == "      ---":
            block = []
        elif line == "      ..." and block is not None:
            blocks.append(yaml.safe_load("\n".join(block)))
            block = None
        elif block is not None:
            block.append(line)
        elif found := re.match(r"    (not )?ok (\d+) - ", line):
            points.append(found[1] is None)
            assert int(found[2]) == len(points)
        elif found := re.fullmatch(r"    1\.\.(\d+)", line):
            plan = int(found[1])
        elif found := re.match(r"(not )?ok (\d+) - ", line):
            assert plan == len(points)
            assert all(points) == (found[1] is None)
            subtests.append((line, blocks, points))
            assert int(found[2]) == len(subtests)
            points, blocks = [], []
        else:
            assert line.startswith("# Subtest: "), line
    assert lines[1] == f"1..{len(subtests)}"
    return subtests


def test_tap_has_a_subtest_a_capture(capsys: Capsys) -> None:
    subtests = {line.partition(" - ")[2]: (blocks, points) for line, blocks, points in tap(report(capsys, "tap"))}
    assert subtests["clean.pcap"] == ([], [True])
    blocks, points = subtests["unanswered.pcap"]
    assert points == [True, False]
    assert [one["code"] for one in blocks[0]["problems"]] == ["EXPECT", "TS105"]
    assert blocks[0]["problems"][1]["at"] == "unanswered.pcap:1"
    assert "with, and: 100% \\#1.pcap" in subtests
    assert subtests["missing.pcap"][1] == [False]
    assert subtests["expectations"][1] == [False, True, True, True]


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_depends_on_nothing_but_the_captures(
    name: str, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = report(capsys, name)
    for variable, value in {
        "TZ": "Asia/Kolkata",
        "LC_ALL": "tr_TR.UTF-8",
        "COLUMNS": "40",
        "GITHUB_ACTIONS": "true",
    }.items():
        monkeypatch.setenv(variable, value)
    assert report(capsys, name) == first
    assert first.endswith("\n")
