"""docs/check.md is true: its tables come from the table of keys, its examples give what it says.

``pytest tests/test_check_docs.py --snapshot-update`` writes the tables of keys anew.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tcpscope.check.policy import load
from tcpscope.check.schema import manual_tables
from tcpscope.check.selectors import parse
from tcpscope.cli.main import run
from tests.captures import SAMPLES
from tests.test_check import policy, result
from tests.test_check_project import PROJECT

Capsys = pytest.CaptureFixture[str]
PAGE = Path(__file__).parent.parent / "docs" / "check.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = re.findall(r"<!-- ([^>]*pcap: [^>]*?) -->\n```toml\n(.*?)```", TEXT, re.DOTALL)
KEYS = re.compile(
    r"(?<=<!-- keys: made by tcpscope\.check\.schema\.manual_tables -->\n\n).*(?=\n<!-- end of keys -->)", re.DOTALL
)

pytestmark = pytest.mark.skipif(not TEXT, reason="the documents are not beside the tests")


def test_the_tables_of_keys(request: pytest.FixtureRequest) -> None:
    found = KEYS.search(TEXT)
    assert found is not None
    if request.config.getoption("--snapshot-update"):
        PAGE.write_text(KEYS.sub(lambda _: manual_tables(), TEXT), encoding="utf-8", newline="\n")
    else:
        assert found.group() == manual_tables()


@pytest.mark.parametrize("text", BLOCKS)
def test_every_policy_can_be_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tcpscope.toml"
    path.write_text(text, encoding="utf-8")
    load(str(path))


CASES = [(name, status, text) for cases, text in EXAMPLES for name, status in re.findall(r"([\w.-]+): (\w+)", cases)]


@pytest.mark.parametrize(("name", "status", "text"), CASES, ids=[f"{name}-{status}" for name, status, _ in CASES])
def test_examples_of_expectations(
    name: str, status: str, text: str, capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy(text)
    found = result(capsys, str(SAMPLES / name), "--config", "tcpscope.toml")
    assert [one["status"] for one in found["expectations"]] == [status]


def test_there_are_examples() -> None:
    assert len(CASES) > 12
    assert tomllib.loads(BLOCKS[0])


@pytest.mark.parametrize(
    "selector", re.findall(r"`([^`]+)`", TEXT.partition("## Selectors")[2].partition("`capture`")[0])
)
def test_selectors(selector: str) -> None:
    if selector not in {"match", "tcp.stream", "and", "or", "not"}:
        parse(selector)


def test_outputs(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    outputs = re.findall(r"<!-- output: tcpscope (.*?) -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert outputs
    for command, wanted in outputs:
        run(command.split())
        assert wanted in capsys.readouterr().out


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links(link: str) -> None:
    assert (PAGE.parent / link).exists()
