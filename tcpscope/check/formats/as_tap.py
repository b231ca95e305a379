"""Test Anything Protocol, version 14: a subtest a capture, and one of the expectations, with YAML below what has problems."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tcpscope.check.formats.cases import ERROR, FAILED, SKIPPED, Case, Suite, suites
from tcpscope.check.formats.common import safe, said
from tcpscope.check.outcome import CheckResult, Problem


def render(result: CheckResult) -> str:
    """One stream."""
    groups = list(suites(result))
    lines = ["TAP version 14", f"1..{len(groups)}"]
    for number, suite in enumerate(groups, 1):
        lines += _suite(suite, number)
    return "\n".join(lines) + "\n"


def _suite(suite: Suite, number: int) -> Iterator[str]:
    name = _escaped(suite.name)
    yield f"# Subtest: {name}"
    yield f"    1..{len(suite.cases)}"
    for place, case in enumerate(suite.cases, 1):
        yield from (f"    {line}" for line in _case(case, place))
    bad = any(case.status in {FAILED, ERROR} for case in suite.cases)
    yield f"{'not ok' if bad else 'ok'} {number} - {name}"


def _case(case: Case, number: int) -> Iterator[str]:
    verdict = "not ok" if case.status in {FAILED, ERROR} else "ok"
    directive = f" # SKIP {_escaped(case.said)}" if case.status == SKIPPED else ""
    yield f"{verdict} {number} - {_escaped(case.name)}{directive}"
    if case.said or case.problems:
        yield "  ---"
        yield f"  message: {_scalar(case.said)}"
        if case.problems:
            yield "  problems:"
            yield from (f"    - {_mapping(problem)}" for problem in case.problems)
        yield "  ..."


def _mapping(problem: Problem) -> str:
    """JSON, which is YAML, too."""
    values = {"at": safe(problem.where), "code": problem.code, "name": problem.name, "severity": problem.severity}
    values |= {"message": said(problem), "filter": safe(problem.display_filter)}
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in values.items() if value) + "}"


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """A description, in which a number sign would begin a directive."""
    return text.replace("\\", "\\\\").replace("#", "\\#")
