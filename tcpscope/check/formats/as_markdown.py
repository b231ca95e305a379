"""Markdown for a comment on a pull request: a table, the problems of each capture folded, what the rules mean.

What comes from the wire or a file name stands in code spans, where neither HTML, nor Markdown, nor a mention, a reference or an
address of a site means anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from tcpscope.check.formats.as_text import PLAIN, summary_lines
from tcpscope.check.formats.common import remaining, repository_path, safe, said
from tcpscope.check.outcome import CaptureResult, CheckResult, Problem, manual_of
from tcpscope.report.model import SEVERITIES
from tcpscope.rules import find_rule
from tcpscope.rules.words import plural

MAX_BYTES: Final = 65_000
"""GitHub takes comments of 65,536 characters; the rest is for what a caller adds."""

MAX_ROWS: Final = 50
RESERVE: Final = 300
"""For what closes the text: the end of what is folded, and how many problems are left."""

ICONS: Final = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}


def render(result: CheckResult) -> str:
    """One comment."""
    text = _Bounded(MAX_BYTES - RESERVE)
    for part in _head(result):
        text.add(part)
    shown: list[Problem] = []
    for name, problems in _groups(result):
        if not text.add(f"<details><summary>{_html(name)}: {_numbers(problems)}</summary>\n\n"):
            break
        for problem in problems:
            if not text.add(_item(problem)):
                break
            shown.append(problem)
        text.close("\n</details>\n\n")
    if more := remaining(result, shown):
        text.close(f"{more} more that are not listed here.\n\n")
    else:
        meaning = "".join(_meaning(code) for code in result.rules())
        if meaning:
            text.add(f"<details><summary>What the rules mean</summary>\n\n{meaning}</details>\n")
    return text.text()


class _Bounded:
    """Text that takes no more than fits."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._parts: list[str] = []

    def add(self, part: str) -> bool:
        """Add a part if there is room for it."""
        size = len(part.encode("utf-8", "surrogatepass"))
        if size > self._left:
            self._left = 0
            return False
        self._left -= size
        self._parts.append(part)
        return True

    def close(self, part: str) -> None:
        """Add what must be there: the reserve is for it."""
        self._parts.append(part)

    def text(self) -> str:
        """All of it, with one line end."""
        return "".join(self._parts).rstrip("\n") + "\n"


def _head(result: CheckResult) -> Iterator[str]:
    mark = ("✅", "❌", "💥")[result.exit_status]
    first, *others = summary_lines(result, PLAIN)
    yield f"### {mark} tcpscope check\n\n{first}\n\n"
    for line in others:
        yield f"- {_code(line)}\n"
    captures = [capture for capture in result.captures if capture.problems or capture.left_out or not capture.usable]
    rows = [_row(capture) for capture in captures[:MAX_ROWS]]
    if rows:
        titles = " | ".join(f"{severity}s" for severity in SEVERITIES)
        yield f"\n| capture | connections | {titles} |\n| --- | ---: | ---: | ---: | ---: |\n"
        yield from rows
        if len(captures) > MAX_ROWS:
            yield f"\n{plural(len(captures) - MAX_ROWS, 'more capture')} with problems.\n"
    yield "\n"


def _row(capture: CaptureResult) -> str:
    levels = Counter(problem.severity for problem in capture.problems)
    levels.update(dict(capture.left_out))
    cells = [f"{levels[severity]:,}" if levels[severity] else "" for severity in SEVERITIES]
    name = _code(repository_path(capture.path)).replace("|", "\\|")
    return f"| {name} | {capture.connections:,} | {' | '.join(cells)} |\n"


def _groups(result: CheckResult) -> Iterator[tuple[str, list[Problem]]]:
    for path, problems in groupby(result.all_problems(), key=lambda problem: problem.path):
        yield repository_path(path), list(problems)


def _numbers(problems: list[Problem]) -> str:
    levels = Counter(problem.severity for problem in problems)
    return ", ".join(plural(levels[severity], severity) for severity in SEVERITIES if levels[severity])


def _item(problem: Problem) -> str:
    place = f"frame {problem.frame:,}" if problem.frame else f"line {problem.line}" if problem.line else "capture"
    about = "" if problem.connection is None else f", {_code(problem.connection.label)}"
    lines = [
        f"- {ICONS[problem.severity]} **{problem.code}** {problem.name}, {place}{about}  ",
        f"  {_code(said(problem))}",
    ]
    if problem.display_filter:
        lines[-1] += "  "
        lines.append(f"  Wireshark: {_code(problem.display_filter)}")
    return "\n".join(lines) + "\n"


def _meaning(code: str) -> str:
    page = manual_of(code)
    fix = " ".join(page.section("How to fix").split())
    return f"- **{code}** {find_rule(code).name}: {_plain(page.title)} *How to fix:* {_plain(fix)}\n"


def _code(text: str) -> str:
    """A code span: its fence is longer than any run of backticks inside."""
    text = safe(text).strip() or "-"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _html(text: str) -> str:
    """Text inside of an HTML element, where Markdown is not looked for but mentions are."""
    escaped = re.sub(r"[^\w\s./-]", lambda sign: f"&#{ord(sign[0])};", safe(text))
    return f"<code>{escaped}</code>"


def _plain(text: str) -> str:
    """Text of a manual: what is no markup there is none here."""
    return re.sub(r"[<>&*_#\[\]|]", lambda sign: f"&#{ord(sign[0])};", text)
