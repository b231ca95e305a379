"""Workflow commands of GitHub Actions: an annotation a problem, as many as GitHub shows, and the summary as plain text."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tcpscope.check.formats.as_text import PLAIN, summary_lines
from tcpscope.check.formats.common import evidence, remaining, repository_path, safe, said
from tcpscope.check.outcome import CheckResult, Problem

COMMANDS: Final = {"error": "error", "warning": "warning", "note": "notice"}

MAX_OF_A_LEVEL: Final = 10
"""Annotations of each level that GitHub shows of one step."""


def render(result: CheckResult) -> str:
    """Lines for the log of a step."""
    used: Counter[str] = Counter()
    shown = []
    for problem in result.all_problems():
        used[problem.severity] += 1
        if used[problem.severity] <= MAX_OF_A_LEVEL:
            shown.append(problem)
    lines = [_command(problem) for problem in shown]
    if more := remaining(result, shown):
        lines.append(f"{more} more: GitHub shows {MAX_OF_A_LEVEL} annotations of a level in each step")
    return "\n".join((*lines, *(_log(line) for line in summary_lines(result, PLAIN)))) + "\n"


def _command(problem: Problem) -> str:
    line = problem.frame if problem.line is None else problem.line
    properties = {"title": f"{problem.code} {problem.name}"}
    if problem.path not in {"", "-"}:
        properties = {"file": safe(repository_path(problem.path)), "line": str(line or 1), **properties}
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{COMMANDS[problem.severity]} {given}::{_data(chr(10).join((said(problem), *evidence(problem))))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _log(line: str) -> str:
    """A line that is no command, neither of the kind that begins a line nor of the old kind that may stand anywhere."""
    line = line.replace("##[", "# #[")
    return f"> {line}" if line.lstrip().startswith("::") else line
