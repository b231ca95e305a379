"""A small project with captures and a policy, checked through the installed command: ``tests/project``.

``pytest tests/test_check_project.py --snapshot-update`` writes what is printed now; the difference is then to be read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tcpscope

TOP = Path(str(tcpscope.__file__)).parent.parent
PROJECT = Path(__file__).parent / "project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def tcpscope_check(project: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and output of ``python -m tcpscope check`` in the project's directory."""
    done = subprocess.run(
        [sys.executable, "-m", "tcpscope", "check", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(TOP), "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("form", ["text", "full"])
def test_what_a_check_prints(form: str, project: Path, request: pytest.FixtureRequest) -> None:
    status, out = tcpscope_check(project, "captures", "--format", form)
    text = f"$ tcpscope check captures --format {form}\n{out}(exit status {status})\n"
    path = PROJECT / f"expected.{form}.txt"
    if request.config.getoption("--snapshot-update"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["text", "full", "json"])
def test_neither_terminal_nor_locale_nor_directory_order_matter(form: str, project: Path) -> None:
    _, out = tcpscope_check(project, "captures", "--format", form)
    for environment in ({"COLUMNS": "40"}, {"LC_ALL": "C", "TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "7"}):
        assert tcpscope_check(project, "captures", "--format", form, **environment)[1] == out
    assert tcpscope_check(project, "captures", "--format", form, "--jobs", "2")[1] == out


def test_the_policy_is_found_from_elsewhere(project: Path) -> None:
    text = tcpscope_check(project.parent, "project/captures", "--format", "json")[1]
    here = tcpscope_check(project, "captures", "--format", "json")[1]
    assert json.loads(text)["summary"] == json.loads(here)["summary"]
    assert json.loads(text)["captures"][0]["policy"] == "project/tcpscope.toml"


def test_mended(project: Path) -> None:
    """What the report complains of is mended in the policy: then the check passes."""
    path = project / "tcpscope.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ('">=1.3"', '">=1.2"'),
        ('"1 s"', '"2 s"'),
        ('"server port 8080"', '"server port 7777"'),
        ('"not stream 99"', '"server port 443"'),
        ("2026-01-31", "2099-01-31"),
        ('TS701 = "error"', 'TS701 = "note"'),
        ('[[allow]]\nrule = "TS106"\nreason = "no longer needed"\n', ""),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    status, out = tcpscope_check(project, "captures")
    assert status == 0
    assert "expectations: 4 met" in out
    assert "unused" not in out
