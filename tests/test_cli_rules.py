"""``tcpscope rules``, ``rule`` and ``states``: the manuals and the table of transitions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcpscope.cli.main import run
from tcpscope.rules import RULES
from tcpscope.rules.base import Rule
from tcpscope.rules.manual import HEADINGS
from tcpscope.state.transitions import EVENT_NAMES, STATE_NAMES, TABLE

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def test_all_rules_are_listed(capsys: Capsys) -> None:
    assert run(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [rule.code for rule in RULES]
    assert all(rule.name in line and rule.severity in line for rule, line in zip(RULES, lines[2:], strict=True))
    assert max(map(len, lines)) <= 80


def test_selected_rules(capsys: Capsys) -> None:
    assert run(["rules", "--select", "TS3", "--ignore", "TS301"]) == 0
    codes = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert codes == [rule.code for rule in RULES if rule.code.startswith("TS3") and rule.code != "TS301"]


def test_rules_as_json(capsys: Capsys) -> None:
    assert run(["rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["code"] for rule in listed] == [rule.code for rule in RULES]
    assert all(set(rule["manual"]) == set(HEADINGS) for rule in listed)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_manual(rule: Rule, capsys: Capsys) -> None:
    assert run(["rule", rule.code]) == 0
    by_code = capsys.readouterr().out
    assert run(["rule", rule.name]) == 0
    assert capsys.readouterr().out == by_code
    assert by_code.startswith(f"{rule.code} {rule.name}  {rule.severity}, ")
    for heading in HEADINGS:
        assert f"\n{heading}\n  " in by_code
    prose = by_code.split("\nExample\n")[0] + by_code.split("\nHow to fix\n")[1]
    assert max(map(len, prose.splitlines())) <= 80


def test_codes_in_small_letters(capsys: Capsys) -> None:
    assert run(["rule", "ts101"]) == 0
    assert "TS101" in capsys.readouterr().out


def test_rule_as_json(capsys: Capsys) -> None:
    assert run(["rule", "TS101", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["code"] == "TS101"


def test_states(capsys: Capsys) -> None:
    assert run(["states"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == len(TABLE)
    assert any(line.split() == ["CLOSED", "send", "SYN", "SYN-SENT", "3.10.1"] for line in lines)
    assert max(map(len, lines)) <= 80


def test_states_as_a_drawing(capsys: Capsys) -> None:
    assert run(["states", "--format", "dot"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("digraph tcp {")
    assert out.endswith("}\n")
    assert out.count(" -> ") == len(TABLE)
    assert out.count("style=dashed") == sum(row[4] != "" for row in TABLE)


def test_states_as_json(capsys: Capsys, tmp_path: Path) -> None:
    assert run(["states", "--format", "json", "--output", str(tmp_path / "states.json")]) == 0
    assert capsys.readouterr().out == ""
    table = json.loads((tmp_path / "states.json").read_text())
    assert table["states"] == list(STATE_NAMES)
    assert [(row["state"], row["event"], row["next_state"]) for row in table["transitions"]] == [
        (STATE_NAMES[state], EVENT_NAMES[event], STATE_NAMES[following]) for state, event, following, _, _ in TABLE
    ]
