"""Baselines: what is known stays known when the same scenario is recorded again, what is new is reported, what is gone is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcpscope.check.capture import MAX_OF_A_RULE
from tcpscope.cli.main import run
from tests.captures import SAMPLES, clean, many, unanswered
from tests.scenario import build, parse
from tests.transforms import record_again

Capsys = pytest.CaptureFixture[str]

# The same as a person and a kernel would record it on another day.
MONDAY = """# A web server that loses a segment and is then stopped.
start: 2024-01-01T08:00:00Z
client: 10.0.0.1:40000
server: 10.0.0.2:80
isn: client 1000 server 5000
0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
+.001  C > S  P. (100)
+.250  C > S  P. 1:101(100)
+.010  S > C  .
+.100  S > C  R.
+1     C2 > S2 S  <mss 1460>
+1     C2 > S2 S  seq 0 <mss 1460>
"""
TUESDAY = """# A web server that loses a segment and is then stopped, recorded again.
start: 2024-01-02T19:30:05Z
client: 172.16.5.5:61234
server: 172.16.5.9:80
isn: client 4294967290 server 77
0.000  C3 > S3 S  <mss 1460>
+.013  S3 > C3 S. <mss 1460>
+.001  C3 > S3 .
+.005  C > S  S  <mss 1460>
+.017  S > C  S. <mss 1460>
+.002  C > S  .
+.003  C > S  P. (117)
+.310  C > S  P. 1:118(117)
+.012  S > C  .
+.010  C3 > S3 F.
+.010  S3 > C3 F.
+.010  C3 > S3 .
+.150  S > C  R.
+1     C2 > S2 S  <mss 1460>
+1.1   C2 > S2 S  seq 0 <mss 1460>
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with a capture that has a finding."""
    monkeypatch.chdir(tmp_path)
    Path("web.pcap").write_bytes(unanswered())
    return tmp_path


def check(capsys: Capsys, *arguments: str) -> tuple[int, list[str]]:
    """Exit status and lines of a check."""
    status = run(["check", *arguments])
    out, err = capsys.readouterr()
    return status, [*out.splitlines(), *err.splitlines()]


def findings(capsys: Capsys, *arguments: str) -> list[tuple[str, str, str, int]]:
    """Code, name, fingerprint and its number, of all problems."""
    run(["check", *arguments, "--isolated", "--format", "json"])
    captures = json.loads(capsys.readouterr().out)["captures"]
    problems = [problem for capture in captures for problem in capture["problems"]]
    return sorted((one["code"], one["name"], one["fingerprint"], one["occurrence"]) for one in problems)


def stored(name: str = "known.json") -> Any:
    """What a baseline says."""
    return json.loads(Path(name).read_text(encoding="utf-8"))


def test_what_is_known_is_not_reported(capsys: Capsys) -> None:
    assert check(capsys, "web.pcap", "--fail-on", "warning")[0] == 1
    assert check(capsys, "web.pcap", "--fail-on", "warning", "--write-baseline", "known.json") == (
        0,
        ["1 capture, 1 connection, 3 frames: no problems", "baseline: 1 known, 0 gone"],
    )
    assert check(capsys, "web.pcap", "--fail-on", "warning", "--baseline", "known.json")[0] == 0


def test_a_baseline_is_sorted_and_has_a_line_for_each_entry(capsys: Capsys) -> None:
    Path("b").mkdir()
    Path("b/again.pcap").write_bytes(unanswered())
    check(capsys, "web.pcap", "b", "--write-baseline", "known.json")
    text = Path("known.json").read_text(encoding="utf-8")
    mark = stored()["captures"]["web.pcap"][0]["fingerprint"]
    entry = (
        '{"rule": "TS105", "name": "syn-unanswered", "severity": "warning", "about": "server, port 80", '
        f'"fingerprint": "{mark}", "times": 1}}'
    )
    assert text == (
        '{\n "schema": "tcpscope-baseline/1",\n "captures": {\n'
        f'  "b/again.pcap": [\n   {entry}\n  ],\n  "web.pcap": [\n   {entry}\n  ]\n }}\n}}\n'
    )
    check(capsys, "b", "web.pcap", "--write-baseline", "same.json")
    assert Path("same.json").read_text(encoding="utf-8") == text


def test_nothing_to_know(capsys: Capsys) -> None:
    Path("web.pcap").write_bytes(clean())
    assert check(capsys, "web.pcap", "--write-baseline", "known.json")[0] == 0
    assert stored() == {"schema": "tcpscope-baseline/1", "captures": {}}
    assert check(capsys, "web.pcap", "--baseline", "known.json")[1][-1] == "baseline: 0 known, 0 gone"


def test_known_problems_survive_that_the_scenario_is_recorded_again(capsys: Capsys) -> None:
    Path("web.pcap").write_bytes(build(parse(MONDAY)))
    before = findings(capsys, "web.pcap")
    assert len({code for code, *_ in before}) >= 3
    check(capsys, "web.pcap", "--write-baseline", "known.json")
    Path("web.pcap").write_bytes(build(parse(TUESDAY)))
    assert findings(capsys, "web.pcap") == before
    status, lines = check(capsys, "web.pcap", "--baseline", "known.json", "--fail-on", "note")
    assert (status, lines[-1]) == (0, f"baseline: {len(before)} known, 0 gone")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.pcap")), ids=lambda path: path.stem)
def test_real_traffic_keeps_its_fingerprints(path: Path, capsys: Capsys) -> None:
    """Other times, initial numbers, ephemeral ports and frame numbers."""
    again = record_again(path.read_bytes(), 12_345, 1_001)
    assert again[-200:] != path.read_bytes()[-200:]
    Path("again.pcap").write_bytes(again)
    assert findings(capsys, "again.pcap") == findings(capsys, str(path))


def test_what_is_under_way_does_not_matter(capsys: Capsys) -> None:
    """The timers of a lost SYN-ACK run out on both sides at about the same time: either may be first."""
    head = "# A SYN-ACK is lost.\n0.000 C > S S <mss 1460>\n+.010 S > C S. <mss 1460>\n+1 "
    client, server = "C > S  S  seq 0 <mss 1460>\n", "S > C  S. seq 0 ack 1 <mss 1460>\n"
    tail = "+.010 C > S .\n+.010 C > S F.\n+.010 S > C F.\n+.010 C > S .\n"
    Path("web.pcap").write_bytes(build(parse(f"{head}{client}+.001 {server}{tail}")))
    first = findings(capsys, "web.pcap")
    assert {"TS107", "TS108"} <= {code for code, *_ in first}
    Path("web.pcap").write_bytes(build(parse(f"{head}{server}+.001 {client}+.001 {server}{tail}")))
    assert findings(capsys, "web.pcap") == first


def test_another_port_side_or_state_is_another_problem(capsys: Capsys) -> None:
    first = findings(capsys, "web.pcap")
    Path("web.pcap").write_bytes(unanswered().replace(bytes([0x9C, 0x40, 0, 80]), bytes([0x9C, 0x40, 0, 81])))
    assert findings(capsys, "web.pcap") != first


def test_more_of_the_same_is_new_and_fewer_are_gone(capsys: Capsys) -> None:
    for faulty, name in ((range(1, 3), "two.pcap"), (range(1, 5), "four.pcap")):
        Path(name).write_bytes(many(6, faulty=faulty))
    Path("two.pcap").replace("web.pcap")
    check(capsys, "web.pcap", "--write-baseline", "two.json")
    Path("four.pcap").replace("web.pcap")
    status, lines = check(capsys, "web.pcap", "--baseline", "two.json", "--fail-on", "warning")
    assert status == 1
    assert lines[-2:] == ["1 capture, 6 connections, 16 frames: 1 warning, 1 note", "baseline: 2 known, 0 gone"]
    assert next(line for line in lines if "TS105" in line).endswith("[the baseline knows 2 like it]")
    check(capsys, "web.pcap", "--write-baseline", "four.json")
    Path("web.pcap").write_bytes(many(6, faulty=range(1, 2)))
    status, lines = check(capsys, "web.pcap", "--baseline", "four.json", "--fail-on", "note")
    assert status == 0
    assert lines[-3:] == [
        "baseline: 1 known, 3 gone",
        "web.pcap: gone: TS105 syn-unanswered note (server, port 80)",
        "web.pcap: gone: TS105 syn-unanswered warning (server, port 80), 2 times",
    ]


def test_what_has_become_worse_is_new(capsys: Capsys) -> None:
    """The last of these SYNs was watched too briefly for more than a note."""
    Path("web.pcap").write_bytes(many(6, faulty=range(5, 6)))
    check(capsys, "web.pcap", "--write-baseline", "known.json")
    assert [one["severity"] for one in stored()["captures"]["web.pcap"]] == ["note"]
    Path("web.pcap").write_bytes(many(6, faulty=range(1, 2)))
    status, lines = check(capsys, "web.pcap", "--baseline", "known.json", "--fail-on", "warning")
    assert (status, lines[-2]) == (1, "baseline: 0 known, 1 gone")
    check(capsys, "web.pcap", "--write-baseline", "known.json")
    Path("web.pcap").write_bytes(many(6, faulty=range(5, 6)))
    status, lines = check(capsys, "web.pcap", "--baseline", "known.json", "--fail-on", "note")
    assert (status, lines[-1]) == (0, "baseline: 1 known, 0 gone")


def test_what_is_gone_is_in_the_json(capsys: Capsys) -> None:
    check(capsys, "web.pcap", "--write-baseline", "known.json")
    Path("web.pcap").write_bytes(clean())
    run(["check", "web.pcap", "--baseline", "known.json", "--format", "json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["summary"]["known"], result["summary"]["gone"], result["baselines"]) == (0, 1, ["known.json"])
    assert (result["gone"][0]["path"], result["gone"][0]["code"]) == ("web.pcap", "TS105")


def test_problems_that_are_not_listed_are_known_as_well(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpscope.check.capture.MAX_OF_A_RULE", 3)
    assert MAX_OF_A_RULE > 3
    Path("web.pcap").write_bytes(many(12, faulty=range(1, 9)))
    assert check(capsys, "web.pcap", "--write-baseline", "known.json")[1][-1] == "baseline: 8 known, 0 gone"
    assert check(capsys, "web.pcap", "--baseline", "known.json", "--fail-on", "note")[0] == 0
    Path("web.pcap").write_bytes(many(12, faulty=range(1, 11)))
    status, lines = check(capsys, "web.pcap", "--baseline", "known.json", "--fail-on", "warning")
    assert status == 1
    assert lines[-2:] == ["1 capture, 12 connections, 22 frames: 1 warning, 1 note", "baseline: 8 known, 0 gone"]


def test_expectations_are_known_too(capsys: Capsys) -> None:
    Path("tcpscope.toml").write_text('[[expect]]\nhandshake = "complete"\n[[expect]]\nmatch = "port 99"\n', "utf-8")
    assert check(capsys, "web.pcap")[0] == 1
    status, lines = check(capsys, "web.pcap", "--write-baseline", "known.json")
    assert (status, lines[-1]) == (0, "baseline: 3 known, 0 gone")
    assert sorted(stored()["captures"]) == ["tcpscope.toml", "web.pcap"]
    run(["check", "web.pcap", "--baseline", "known.json", "--format", "junit"])
    assert "<failure" not in capsys.readouterr().out
    Path("tcpscope.toml").write_text("", "utf-8")
    assert check(capsys, "web.pcap", "--baseline", "known.json")[1][-3:] == [
        "baseline: 1 known, 2 gone",
        "web.pcap: gone: EXPECT expected-handshake error (all)",
        "tcpscope.toml: gone: EXPECT expected-connections error (port 99)",
    ]


def test_paths_are_those_from_the_baseline(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ci").mkdir()
    Path("captures").mkdir()
    Path("web.pcap").replace("captures/web.pcap")
    check(capsys, "captures", "--write-baseline", "ci/known.json")
    assert list(stored("ci/known.json")["captures"]) == ["../captures/web.pcap"]
    monkeypatch.chdir("captures")
    lines = check(capsys, str(Path("web.pcap").absolute()), "--baseline", "../ci/known.json")[1]
    assert lines[-1] == "baseline: 1 known, 0 gone"


def test_a_policy_may_name_its_baseline(capsys: Capsys) -> None:
    Path("project").mkdir()
    Path("web.pcap").replace("project/web.pcap")
    Path("other.pcap").write_bytes(unanswered())
    Path("project/tcpscope.toml").write_text('baseline = "known.json"\nfail-on = "warning"\n', "utf-8")
    assert check(capsys, "project")[0] == 2
    assert check(capsys, "project", "--write-baseline", "project/known.json")[0] == 0
    status, lines = check(capsys, "project", "other.pcap")
    assert status == 0
    assert lines[-2:] == ["2 captures, 2 connections, 6 frames: 1 warning", "baseline: 1 known, 0 gone"]
    assert 'baseline = "project/known.json"' in check(capsys, "project", "--show-config")[1]


def test_what_cannot_be_read_is_never_known(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(unanswered()[:-10])
    Path("text.pcap").write_text("no capture")
    assert check(capsys, "cut.pcap", "text.pcap", "--write-baseline", "known.json")[0] == 2
    assert not {entry["rule"] for known in stored()["captures"].values() for entry in known} & {"INPUT", "TS901"}
    assert check(capsys, "cut.pcap", "text.pcap", "--baseline", "known.json")[0] == 2


ENTRY = '{"rule": "TS105", "name": "a", "severity": "note", "about": "b", "fingerprint": "c", "times": 1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the baseline bad.json: No such file or directory"),
        ("{", "cannot read the baseline bad.json: no JSON: "),
        ("\udcff", "cannot read the baseline bad.json: no JSON: "),
        ("[" * 100_000, "cannot read the baseline bad.json: "),
        ("[]", "bad.json is no baseline: `tcpscope check --write-baseline bad.json` writes one"),
        ('{"schema": "tcpscope/1"}', "bad.json is no baseline: "),
        ('{"schema": "tcpscope-baseline/1"}', "bad.json is no baseline: "),
        (
            '{"schema": "tcpscope-baseline/7"}',
            "the baseline bad.json is tcpscope-baseline/7, and this version of tcpscope",
        ),
        *(
            (
                f'{{"schema": "tcpscope-baseline/1", "captures": {{"x.pcap": {entries}}}}}',
                "bad.json is damaged: what it says of",
            )
            for entries in (
                "1",
                "[1]",
                "[{}]",
                f"[{ENTRY.replace('1}', '0}')}]",
                f"[{ENTRY.replace('1}', 'true}')}]",
                f"[{ENTRY.replace('note', 'notes')}]",
                f"[{ENTRY.replace(chr(34) + 'c' + chr(34), '3')}]",
            )
        ),
    ],
)
def test_a_baseline_that_cannot_be_used_is_one_clear_line(text: str | None, message: str, capsys: Capsys) -> None:
    if text is not None:
        Path("bad.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    status = run(["check", "web.pcap", "--baseline", "bad.json"])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("tcpscope: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_baseline_does_not_replace_a_capture(capsys: Capsys) -> None:
    status, lines = check(capsys, "web.pcap", "--write-baseline", "web.pcap")
    assert (status, lines) == (2, ["tcpscope: --output web.pcap would overwrite the input"])
