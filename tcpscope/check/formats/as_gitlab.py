"""GitLab's code quality report: a list of issues, each with a fingerprint that no other one has."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from tcpscope.check.formats.common import evidence, repository_path, safe, said
from tcpscope.check.outcome import INPUT, CheckResult, Problem
from tcpscope.report.json_report import Object

SEVERITIES: Final = {"error": "critical", "warning": "major", "note": "info"}


def render(result: CheckResult) -> str:
    """One document."""
    issues = [_issue(problem) for problem in result.all_problems()]
    return json.dumps(issues, indent=1, ensure_ascii=True) + "\n"


def _issue(problem: Problem) -> Object:
    path = repository_path(problem.path)
    line = problem.frame if problem.line is None else problem.line
    mark = f"{path}\0{problem.fingerprint}\0{problem.occurrence}"
    issue: Object = {
        "type": "issue",
        "description": f"{problem.code} {problem.name}: {said(problem)}",
        "check_name": problem.name if problem.kind == INPUT else f"{problem.code} {problem.name}",
        "fingerprint": hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()[:32],
        "severity": "blocker" if problem.kind == INPUT else SEVERITIES[problem.severity],
        "location": {"path": safe(path), "lines": {"begin": line or 1}},
    }
    if details := evidence(problem):
        issue["content"] = {"body": "\n".join(details)}
    return issue
