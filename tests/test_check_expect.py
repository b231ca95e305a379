"""What a policy makes of findings, and what it expects: ``tcpscope check`` held against captures of a known content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tcpscope
from tcpscope.check.keys import EXPECT
from tcpscope.check.policy import FRAME
from tcpscope.check.selectors import SelectorError, parse
from tests.captures import SAMPLES, clean, many, unanswered
from tests.test_check import check, policy, result
from tests.transforms import frames

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with captures."""
    monkeypatch.chdir(tmp_path)
    Path("clean.pcap").write_bytes(clean())
    Path("unanswered.pcap").write_bytes(unanswered())
    return tmp_path


def sample(name: str) -> str:
    """A sample, or the beginning of one: ``tls13[:7]`` has seven frames."""
    whole, _, count = name.rstrip("]").partition("[:")
    path = SAMPLES / f"{whole}.pcap"
    if not count:
        return str(path)
    capture = path.read_bytes()
    end = list(frames(capture))[int(count) - 1][1]
    Path(f"{whole}-{count}.pcap").write_bytes(capture[:end])
    return f"{whole}-{count}.pcap"


# Selectors


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("all", True),
        ("ALL", True),
        ("port 443", True),
        ("PORT 443", True),
        ("port 52003", True),
        ("port 80", False),
        ("port 400-500", True),
        ("port 444-500", False),
        ("server port 443", True),
        ("client port 443", False),
        ("client port 52003", True),
        ("host 10.77.0.1", True),
        ("client host 10.77.0.1", True),
        ("server host 10.77.0.1", False),
        ("net 10.77.0.0/16", True),
        ("net 0.0.0.0/0", True),
        ("net ::/0", False),
        ("server net 10.77.0.2/32", True),
        ("sni www.example.test", True),
        ("sni WWW.Example.test", True),
        ("sni *.test", True),
        ("sni example.test", False),
        ("stream 0", True),
        ("stream 1", False),
        ("not port 80", True),
        ("not not port 443", True),
        ("port 80 or port 443", True),
        ("port 80 and port 443", False),
        ("port 443 and port 52003", True),
        ("port 80 and port 81 or port 443", True),
        ("port 443 or port 80 and port 81", True),
        ("(port 443 or port 80) and port 81", False),
        ("not (port 443 or port 80)", False),
        ("not port 443 or port 52003", True),
        ("( ( port 443 ) )", True),
    ],
)
def test_selectors(selector: str, matches: bool) -> None:
    (connection,) = tcpscope.analyze(sample("tls13")).connections
    assert parse(selector).matches(connection) is matches


def test_selectors_of_ipv6_and_without_tls() -> None:
    connection = tcpscope.analyze(sample("ipv6-http")).connections[0]
    client = connection.client.address
    assert parse(f"host {client} and client host [{client}]").matches(connection)
    assert parse("net ::/0 and not net 0.0.0.0/0").matches(connection)
    assert not parse("sni *").matches(connection)


SIGNS = "( ) and or not all host net port sni stream client server 443 10.0.0.1 ::1 [ * é"
WORDS = st.sampled_from(SIGNS.split())


@given(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=30)))
def test_any_text_is_a_selector_or_says_where_it_is_none(text: str) -> None:
    try:
        column = len(parse(text).text)
    except SelectorError as error:
        column = error.column
    assert 0 <= column <= len(text) + 1


# Expectations: the sample, what is expected of it, how that ends, what the report says

EXPECTATIONS = [
    ("tls13", 'handshake = "complete"', "met", ""),
    ("tls13", 'handshake = ["refused", "complete"]', "met", ""),
    ("refused", 'handshake = "complete"', "broken", "expected handshake complete, was refused"),
    ("mid-connection", 'handshake = "complete"', "undecided", "the capture cannot tell: the capture begins later"),
    ("one-sided", 'handshake = "complete"', "undecided", "part of it was not captured"),
    ("one-sided", 'handshake = "partial"', "met", ""),
    ("tls13", 'teardown = "orderly"', "met", ""),
    ("abort-rst", 'teardown = ["orderly", "reset-after-fin"]', "broken", "expected teardown orderly or reset-after-fin, was abo"),
    ("half-open-flood", 'teardown = "orderly"', "undecided", "the capture ends before it is closed"),
    ("tls13", 'active-closer = "client"', "met", ""),
    ("tls13", 'active-closer = "server"', "broken", "expected active-closer server, was client"),
    ("abort-rst", 'active-closer = "client"', "broken", "was nobody: it was reset"),
    ("half-open-flood", 'active-closer = "client"', "undecided", "no FIN was captured"),
    ("time-wait-not-held", 'time-wait = "held"', "broken", "expected time-wait held, was violated"),
    ("http-clean", 'time-wait = "not-observed"', "met", ""),
    ("tls13", 'time-wait = "held"', "undecided", "the capture is too short, or lacks too much"),
    ("tls13", 'tls.version = ">=1.2"', "met", ""),
    ("tls13", 'tls.version = "<1.3"', "broken", "expected tls.version <1.3, was TLS 1.3"),
    ("tls-no-shared-cipher", 'tls.version = "1.2"', "undecided", "no ServerHello was captured"),
    ("reordered", 'tls.version = "1.2"', "broken", "expected tls.version 1.2, was no TLS"),
    ("mid-connection", 'tls.version = "1.2"', "undecided", "no TLS was captured"),
    ("tls13", 'tls.cipher-suite = "TLS_*"', "met", ""),
    ("tls13", 'tls.cipher-suite = ["TLS_X*", "*_CBC_*"]', "broken", "expected tls.cipher-suite TLS_X* or *_CBC_*, was TLS_"),
    ("tls13", 'tls.verdict = "complete"', "met", ""),
    ("tls-no-shared-cipher", 'tls.verdict = "complete"', "broken", "expected tls.verdict complete, was failed"),
    ("tls13[:7]", 'tls.verdict = "complete"', "undecided", "the handshake is cut off by a gap, or the end of the capture"),
    ("tls13", 'tls.alpn = "h2"', "undecided", "no choice was captured, or it is encrypted"),
    ("tls13", "tls.resumed = false", "met", ""),
    ("tls13", "tls.resumed = true", "broken", "expected tls.resumed yes, was no"),
    ("tls-no-shared-cipher", "tls.resumed = true", "undecided", "the answer to the ClientHello was not captured"),
    ("tls13", 'max-handshake-rtt = "16ms"', "met", ""),
    ("tls13", 'max-handshake-rtt = "15ms"', "broken", "expected handshake-rtt at most 15 ms, was 16"),
    ("mid-connection", 'max-handshake-rtt = "15ms"', "undecided", "no round trip could be measured"),
    ("slow-server", 'max-response-time = "10 s"', "met", ""),
    ("slow-server", 'max-response-time = "1 s"', "broken", "expected response-time at most 1 s, was 1.5"),
    ("refused", 'max-response-time = "1 s"', "undecided", "no request with an answer was captured"),
    ("tls13", "max-retransmissions = 0", "met", ""),
    ("timeout-retransmit", "max-retransmissions = 1", "broken", "expected retransmissions at most 1, was 2"),
    ("one-sided", "max-retransmissions = 10000", "undecided", "only one direction was captured"),
    ("timeout-retransmit", 'max-retransmitted-share = "1%"', "broken", "expected retransmitted-share at most 0.01, was 0.5 (cl"),
    ("tls13", "max-retransmitted-share = 0", "met", ""),
    ("http-clean", "min-throughput = 1", "met", ""),
    ("http-clean", 'min-throughput = "1 Gbit/s"', "broken", "expected throughput at least 125 MB/s, was "),
    ("one-sided", 'min-throughput = "1 Gbit/s"', "undecided", "only one direction was captured"),
    ("tls13", 'min-duration = "55ms"', "met", ""),
    ("tls13", 'min-duration = "57ms"', "broken", "expected duration at least 57 ms, was 55.8 ms"),
    ("half-open-flood", 'min-duration = "1 h"', "undecided", "the capture ends before it is closed"),
    ("tls13", 'max-duration = "1 s"', "met", ""),
    ("tls13", 'max-duration = "1 ms"', "broken", "expected duration at most 1 ms, was 55.8 ms"),
    ("half-open-flood", 'max-duration = "1 h"', "undecided", "the capture ends before it is closed"),
    ("tls13", 'diagnosis = "none"', "met", ""),
    ("refused", 'diagnosis = "none"', "broken", "expected diagnosis none, was server-application ("),
    ("capture-loss", 'diagnosis = "none"', "undecided", ""),
    ("tls13", 'no-findings = ["TS1", "TS4"]', "met", ""),
    ("zero-window", 'no-findings = "TS5"', "broken", "expected findings no findings of TS5, was TS5"),
    ("one-sided", 'no-findings = "TS5"', "undecided", "only one direction was captured"),
    ("tls13", "max-findings = { TS679 = 2 }", "met", ""),
    ("tls13", "max-findings = { TS679 = 1 }", "broken", "expected findings at most 1 TS679, was 2"),
    ("tls13", 'max-findings = { "TS1" = 0, "tls-truncation" = 0 }', "broken", "expected findings at most 0 tls-truncation, was 2"),
    ("tls13", "min-connections = 1", "met", ""),
    ("tls13", "min-connections = 2", "broken", "expected at least 2 connections that match 'all', found 1"),
    ("half-open-flood", "max-connections = 3", "broken", "expected at most 3 connections that match 'all', found "),
    ("tls13", 'match = "port 80"', "broken", "expected at least 1 connection that matches 'port 80', found none"),
    ("tls13", 'match = "port 80"\nmax-connections = 0', "met", ""),
    ("tls13", 'match = "port 443"\nmax-connections = 0', "broken", "expected at most 0 connections that match 'port 443', found 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "status", "message"), EXPECTATIONS)
def test_expectations(name: str, text: str, status: str, message: str, capsys: Capsys) -> None:
    policy(f'select = ["TS105"]\n[[expect]]\n{text}\n')
    found = result(capsys, sample(name), "--config", "tcpscope.toml")
    (expectation,) = found["expectations"]
    problems = [one for capture in found["captures"] for one in capture["problems"] if one["kind"] == "expectation"]
    problems += found["problems"]
    assert expectation["status"] == status
    assert bool(problems) == (status != "met")
    assert found["summary"]["exit_status"] == (status != "met")
    for problem in problems:
        assert problem["code"] == "EXPECT"
        assert message in problem["message"]
        assert problem["undecided"] == (status == "undecided")


@pytest.mark.parametrize("status", ["met", "broken", "undecided"])
def test_every_key_was_seen_to_be(status: str) -> None:
    # What is compared with a number that any capture has cannot be left open, and so on.
    never = {
        "undecided": {"min-connections", "max-connections", "max-findings", "max-retransmitted-share", "tls.cipher-suite"},
        "met": {"tls.alpn"},
        "broken": {"tls.alpn"},
    }[status]  # fmt: skip
    wanted = {key.name for key in EXPECT.keys} - (FRAME - {"min-connections", "max-connections"}) - never
    seen = {text.split("\n")[-1].split(" =", 1)[0] for _, text, how, _ in EXPECTATIONS if how == status}
    assert wanted <= seen


@pytest.mark.parametrize(
    ("extra", "status", "severities"),
    [
        ("", 1, ["error"]),
        ('undecided = "pass"', 0, []),
        ('severity = "warning"', 0, ["warning"]),
        ('severity = "note"', 0, ["note"]),
    ],
)
def test_what_the_capture_cannot_tell(extra: str, status: int, severities: list[str], capsys: Capsys) -> None:
    policy(f'select = ["TS105"]\n[[expect]]\nhandshake = "complete"\n{extra}\n')
    found = result(capsys, sample("mid-connection"), "--config", "tcpscope.toml")
    assert [one["severity"] for one in found["captures"][0]["problems"]] == severities
    assert found["expectations"][0]["undecided"] == 1
    assert found["expectations"][0]["status"] == "undecided"
    assert found["summary"]["exit_status"] == status


def test_an_expectation_is_over_all_captures_and_with_capture_over_each(capsys: Capsys) -> None:
    Path("other").mkdir()
    Path("other/x.pcap").write_bytes(clean())
    policy('[[expect]]\nname = "web"\nmatch = "port 80"\n')
    assert check(capsys, ".")[0] == 0  # unanswered.pcap has one
    policy('[[expect]]\nname = "web"\nmatch = "port 80"\ncapture = ["clean.pcap", "other/*"]\n')
    status, lines = check(capsys, ".")
    assert status == 1
    assert [line for line in lines if "EXPECT" in line] == [
        "clean.pcap: EXPECT expected-connections error: 'web': expected at least 1 connection that matches 'port 80', found none",
        "other/x.pcap: EXPECT expected-connections error: 'web': expected at least 1 connection that matches 'port 80', found none",
    ]
    policy('[[expect]]\nmatch = "port 8080"\nmax-connections = 1\n')
    status, lines = check(capsys, ".")
    assert (status, "expectations: 1 broken") == (1, lines[-1])
    assert any(line.startswith("tcpscope.toml:1: EXPECT expected-connections error: ") for line in lines)


def test_an_expectation_for_a_capture_that_does_not_exist(capsys: Capsys) -> None:
    policy('[[expect]]\ncapture = "login-*.pcap"\nhandshake = "complete"\n')
    status, lines = check(capsys, "clean.pcap")
    assert status == 1
    assert (
        "tcpscope.toml:1: EXPECT expected-capture error: 'all': expected captures login-*.pcap, of which there is none"
        in lines
    )
    policy('[[expect]]\ncapture = "unanswered.pcap"\nhandshake = "complete"\n')
    status, lines = check(capsys, "clean.pcap")  # it is there, but was not to be checked
    assert (status, lines[-1]) == (0, "expectations: 1 unchecked")


def test_what_is_expected_of_a_damaged_capture(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(clean()[:-1])
    for capture in ("", 'capture = "cut.pcap"\n'):
        policy(f'[[expect]]\n{capture}min-connections = 2\n[[allow]]\nrule = "TS901"\nreason = "so it is"\n')
        status, lines = check(capsys, "cut.pcap")
        assert status == 1
        assert any("found 1, but the capture is damaged" in line for line in lines)
        assert "expectations: 1 undecided" in lines


# What becomes of findings


def counts(capsys: Capsys, *arguments: str) -> dict[str, int]:
    """The numbers of a check that say what became of findings."""
    summary = result(capsys, *arguments)["summary"]
    names = ("error", "warning", "note", "ignored", "unselected", "rerated", "allowed", "expired", "exit_status")
    return {name: summary[name] for name in names if summary[name]}


FATES = [
    ("", {"warning": 1}),
    ('select = ["TS2"]', {"unselected": 1}),
    ('select = ["TS2"]\nextend-select = ["TS105"]', {"warning": 1}),
    ('ignore = ["TS1"]', {"ignored": 1}),
    ('ignore = ["TS1"]\nselect = ["TS105"]', {"ignored": 1}),
    ('severities = { TS105 = "off" }', {"ignored": 1}),
    ('severities = { TS105 = "error" }', {"error": 1, "rerated": 1, "exit_status": 1}),
    ('severities = { TS105 = "warning" }', {"warning": 1}),
    ('severities = { TS105 = "note", TS1 = "error", TS = "off" }', {"note": 1, "rerated": 1}),
    ('severities = { TS = "off", TS1 = "error" }', {"error": 1, "rerated": 1, "exit_status": 1}),
    ('severities = { syn-unanswered = "note", TS10 = "error" }', {"note": 1, "rerated": 1}),
    ('fail-on = "warning"', {"warning": 1, "exit_status": 1}),
    ('[per-capture-ignores]\n"un*.pcap" = ["TS105"]', {"ignored": 1}),
    ('[per-capture-ignores]\n"./un*.pcap" = ["TS105"]', {"ignored": 1}),
    ('[per-capture-ignores]\n"**/*.pcap" = ["TS105"]', {"ignored": 1}),
    ('[per-capture-ignores]\n"cl*.pcap" = ["TS105"]', {"warning": 1}),
    ('[[per-connection]]\nmatch = "port 80"\nignore = ["TS1"]', {"ignored": 1}),
    ('[[per-connection]]\nmatch = "port 81"\nignore = ["TS1"]', {"warning": 1}),
    ('[[per-connection]]\nmatch = "port 80"\ncapture = "x*"\nignore = ["TS1"]', {"warning": 1}),
    ('[[per-connection]]\nmatch = "port 80"\nselect = ["TS2"]', {"unselected": 1}),
    ('select = ["TS2"]\n[[per-connection]]\nmatch = "port 80"\nselect = ["TS1"]', {"warning": 1}),
    ('[[per-connection]]\nmatch = "port 80"\nseverities = { TS1 = "note" }', {"note": 1, "rerated": 1}),
    (
        """[[per-connection]]
match = "port 80"
severities = { TS1 = "note" }
[[per-connection]]
match = "stream 0"
severities = { TS1 = "error" }""",
        {"error": 1, "rerated": 1, "exit_status": 1},
    ),
    ('[[allow]]\nrule = "TS105"\nreason = "x"', {"allowed": 1}),
    ('ignore = ["TS105"]\n[[allow]]\nrule = "TS105"\nreason = "x"', {"allowed": 1}),
    ('[[allow]]\nrule = "TS105"\nmatch = "port 81"\nreason = "x"', {"warning": 1}),
    ('[[allow]]\nrule = "TS105"\ncapture = "clean.pcap"\nreason = "x"', {"warning": 1}),
]


@pytest.mark.parametrize(("text", "wanted"), FATES, ids=[text.replace("\n", " ") for text, _ in FATES])
def test_what_becomes_of_a_finding(text: str, wanted: dict[str, int], capsys: Capsys) -> None:
    policy(text)
    assert counts(capsys, "unanswered.pcap") == wanted


@pytest.mark.parametrize(("text", "wanted"), FATES, ids=[text.replace("\n", " ") for text, _ in FATES])
def test_nothing_disappears(text: str, wanted: dict[str, int], capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(6, faulty=range(2, 5)))
    paths = ["unanswered.pcap", "many.pcap", *map(sample, ("tls13", "zero-window", "abort-rst"))]
    plain = result(capsys, *paths, "--isolated")["summary"]
    total = plain["error"] + plain["warning"] + plain["note"]
    policy(text)
    found = result(capsys, *paths, "--config", "tcpscope.toml")["summary"]
    kept = found["error"] + found["warning"] + found["note"]
    assert kept + found["ignored"] + found["unselected"] + found["allowed"] == total
    _, lines = check(capsys, *paths, "--config", "tcpscope.toml")
    for word, number in (
        ("ignored", found["ignored"]),
        ("not selected", found["unselected"]),
        ("allowed", found["allowed"]),
    ):
        assert not number or any(f"{number:,} {word}" in line for line in lines if line.startswith("by the policy: "))


@pytest.mark.parametrize(
    ("until", "wanted"),
    [("2099-01-01", {"allowed": 1}), ("START", {"allowed": 1}), ("BEFORE", {"warning": 1, "expired": 1})],
)
def test_until_is_held_against_the_capture(until: str, wanted: dict[str, int], capsys: Capsys) -> None:
    first = result(capsys, "unanswered.pcap")["captures"][0]["first_time"][:10]
    year, rest = first.split("-", 1)
    until = {"START": first, "BEFORE": f"{int(year) - 1}-{rest}"}.get(until, until)
    policy(f'[[allow]]\nrule = "TS105"\nreason = "OPS-12"\nuntil = {until}\n')
    assert counts(capsys, "unanswered.pcap") == wanted
    _, lines = check(capsys, "unanswered.pcap")
    if "expired" in wanted:
        assert any(line.endswith(f"[was allowed until {until} (OPS-12), tcpscope.toml:1]") for line in lines)
        assert lines[-1] == "by the policy: 1 no longer allowed"


def test_an_allow_that_nothing_needs_is_said(capsys: Capsys) -> None:
    policy('[[allow]]\nrule = "TS105"\nreason = "OPS-12"\n')
    status, lines = check(capsys, "clean.pcap")
    assert (status, lines[-1]) == (0, "tcpscope.toml:1: unused: nothing needs this allow of TS105 (OPS-12)")
    assert "unused" not in "\n".join(check(capsys, "unanswered.pcap")[1])


def test_very_many_problems_of_a_rule_are_counted_and_not_listed(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(1200, faulty=range(1200)))
    found: Any = result(capsys, "many.pcap", "--fail-on", "warning")
    (capture,) = found["captures"]
    listed = [one for one in capture["problems"] if one["code"] == "TS105"]
    others = [one for one in capture["problems"] if one["code"] != "TS105"]
    assert len(listed) == 1000
    assert sum(capture["left_out"].values()) == 200
    assert found["summary"]["warning"] + found["summary"]["note"] == 1200 + len(others)
    assert found["summary"]["left_out"] == 200
    (line,) = [line for line in check(capsys, "many.pcap")[1] if "listed above often enough" in line]
    assert line.startswith(f"many.pcap: {capture['left_out']['warning']} warnings, ")


def test_text_of_the_wire_and_of_the_policy_cannot_move_the_cursor(capsys: Capsys) -> None:
    Path("a\x1b[31m.pcap").write_bytes(unanswered())
    policy('[[allow]]\nrule = "TS104"\nreason = "a \\u001b[31m"\n[[expect]]\nname = "\\u001b]0;x"\nmatch = "port 9"\n')
    for form in ("text", "full"):
        _, lines = check(capsys, ".", "--format", form)
        assert not [line for line in lines if not line.isprintable()]
