"""A result as suites of test cases, for the formats that test runners write: one suite a capture, one for the expectations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tcpscope.check.formats.common import safe
from tcpscope.check.outcome import CaptureResult, CheckResult, ExpectationResult, Problem
from tcpscope.rules.words import plural

PASSED: Final = "passed"
FAILED: Final = "failed"
ERROR: Final = "error"
SKIPPED: Final = "skipped"


class Case(NamedTuple):
    """``problems`` may be there in a case that passed: those that do not make the check fail. ``said`` sums up."""

    name: str
    status: str
    problems: tuple[Problem, ...] = ()
    said: str = ""


class Suite(NamedTuple):
    """``capture`` is None for the expectations."""

    name: str
    cases: tuple[Case, ...]
    capture: CaptureResult | None = None

    def number(self, status: str) -> int:
        """How many of its cases ended so."""
        return sum(case.status == status for case in self.cases)


def suites(result: CheckResult) -> Iterator[Suite]:
    """All of them, in the order of the result."""
    for capture in result.captures:
        yield Suite(safe(capture.path), tuple(_cases(capture)), capture)
    if result.expectations:
        yield Suite("expectations", tuple(_expectation(one, result.problems) for one in result.expectations))


def _cases(capture: CaptureResult) -> Iterator[Case]:
    """The capture as a whole, then its connections with problems.

    The client's port is not in a name: tests are known by their names, and it is another one in the next recording.
    """
    own: tuple[Problem, ...] = ()
    connections = []
    for connection, problems in capture.by_connection():
        if connection is None:
            own = tuple(problems)
            continue
        name = f"connection {connection.stream} to {connection.server}"
        name += f" ({connection.sni})" if connection.sni else ""
        connections.append(Case(safe(name), _status(problems), tuple(problems), _first(problems)))
    more = ", ".join(plural(count, severity) for severity, count in capture.left_out)
    text = _first(own) or (f"{more} more of rules that are listed often enough" if more else "")
    if not capture.usable:
        yield Case("capture", ERROR, own, safe(capture.error or capture.damage[0]))
    elif capture.left_out_fails:
        yield Case("capture", FAILED, own, text)
    else:
        yield Case("capture", _status(own), own, text)
    yield from connections


def _status(problems: Sequence[Problem]) -> str:
    if any(problem.fails for problem in problems):
        return FAILED
    return SKIPPED if problems and all(problem.undecided for problem in problems) else PASSED


def _first(problems: Sequence[Problem]) -> str:
    """One line: the first that fails, or the first."""
    if not problems:
        return ""
    one = next((problem for problem in problems if problem.fails), problems[0])
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return f"{one.code} {one.name}: {safe(one.message)}{more}"


def _expectation(one: ExpectationResult, problems: Sequence[Problem]) -> Case:
    own = tuple(problem for problem in problems if problem.expectation == one.name and problem.where == one.place)
    matched = plural(one.matched, "connection")
    said = f"{one.status}: {matched} matched, {one.met:,} met, {one.broken:,} broken, {one.undecided:,} undecided"
    if one.status == "unchecked":
        said = "unchecked: none of its captures is among those that were checked"
    status = FAILED if one.fails else SKIPPED if one.status in {"undecided", "unchecked"} else PASSED
    return Case(safe(f"{one.name} ({one.place})"), status, own, said)
