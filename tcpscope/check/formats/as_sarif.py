"""SARIF 2.1.0 (OASIS) as code scanning services take it.

A capture has no lines. Services ask for a line all the same, and show it: it is the frame, which the properties name as what it
is. They know a result again by ``primaryLocationLineHash``; where it is missing, GitHub makes one of the line's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from tcpscope.check.formats.common import remaining, safe, said, uri, worst
from tcpscope.check.outcome import EXPECTATION, FINDING, UNUSABLE, CheckResult, Problem
from tcpscope.report.json_report import Object, Value
from tcpscope.rules import find_rule

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

MAX_RESULTS: Final = 25_000
"""GitHub refuses a run with more."""

FAMILIES: Final = {
    "TS1": "opening",
    "TS2": "closing",
    "TS3": "time-wait",
    "TS4": "acknowledgement",
    "TS5": "window",
    "TS6": "tls",
    "TS7": "certificate",
    "TS9": "capture-quality",
}


def render(result: CheckResult) -> str:
    """One log with one run."""
    problems = worst(list(result.all_problems()), MAX_RESULTS)
    codes = sorted({problem.code for problem in problems})
    places = {code: place for place, code in enumerate(codes)}
    descriptors = {problem.code: problem for problem in reversed(problems)}
    run: Object = {
        "tool": {
            "driver": {
                "name": "tcpscope",
                "version": result.version,
                "rules": [_descriptor(descriptors[code]) for code in codes],
            }
        },
        "invocations": [
            {
                "executionSuccessful": result.exit_status != UNUSABLE,
                "exitCode": result.exit_status,
                "toolExecutionNotifications": list(_notifications(result, problems)),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(problem, places[problem.code]) | ({"baselineState": "new"} if result.baselines else {})
            for problem in problems
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=True) + "\n"


def _descriptor(problem: Problem) -> Object:
    """What SARIF calls a rule: of a finding from its manual."""
    page = problem.manual
    if page is None:
        broken = problem.kind == EXPECTATION
        title = "A connection is not as the policy expects it" if broken else "A capture could not be read"
        fix = (
            "Change what sends the traffic or, where the policy asks for too much, the expectation."
            if broken
            else "Look whether the path is right and the file is a whole capture."
        )
        return {
            "id": problem.code,
            "name": "expectation-broken" if broken else "capture-unreadable",
            "shortDescription": {"text": title},
            "fullDescription": {"text": title},
            "help": {"text": fix, "markdown": fix},
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": ["policy" if broken else "capture-quality"]},
        }
    rule = find_rule(problem.code)
    markdown = "\n\n".join(
        f"## {heading}\n\n" + (f"```text\n{body}\n```" if heading == "Example" else body)
        for heading, body in page.sections
    )
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": " ".join(page.section("What it does").split())},
        "help": {"text": page.text(), "markdown": f"{page.title}\n\n{markdown}\n"},
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": [FAMILIES.get(rule.code[:3], "tcp")]},
    }


def _result(problem: Problem, place: int) -> Object:
    result: Object = {
        "ruleId": problem.code,
        "ruleIndex": place,
        "level": problem.severity,
        "message": {"text": _text(said(problem))},
        "locations": [_location(problem)],
    }
    if problem.fingerprint:
        mark = f"{problem.fingerprint}:{problem.occurrence}"
        result["partialFingerprints"] = {"primaryLocationLineHash": mark, "tcpscope/v1": mark}
    result["properties"] = _properties(problem)
    return result


def _location(problem: Problem) -> Object:
    line = problem.frame if problem.line is None else problem.line
    location: Object = {
        "physicalLocation": {
            "artifactLocation": _artifact(problem.path),
            "region": {"startLine": line or 1},
        }
    }
    if problem.connection is not None:
        name = safe(problem.connection.label)
        location["logicalLocations"] = [
            {"name": f"connection {problem.connection.stream}", "fullyQualifiedName": name, "kind": "connection"}
        ]
    return location


def _artifact(path: str) -> Object:
    reference = uri(path)
    return {"uri": reference} if "://" in reference else {"uri": reference, "uriBaseId": "%SRCROOT%"}


def _properties(problem: Problem) -> Object:
    known: Object = {
        "name": problem.name,
        "fails": problem.fails,
        "frame": problem.frame,
        "frames": list(problem.frames),
        "count": problem.count if problem.kind == FINDING else None,
        "side": problem.side,
        "rated": problem.rated,
        "rfc": problem.rfc,
        "displayFilter": safe(problem.display_filter),
        "expectation": problem.expectation,
        "expected": problem.expected,
        "actual": problem.actual,
        "undecided": problem.undecided or None,
        "remark": problem.remark,
    }
    if problem.connection is not None:
        one = problem.connection
        known |= {"stream": one.stream, "client": one.client, "server": one.server, "sni": one.sni}
        known |= {"handshake": one.handshake, "teardown": one.teardown, "tls": one.tls}
    return {
        name: safe(value) if isinstance(value, str) else value
        for name, value in known.items()
        if value not in (None, "", [])
    }


def _notifications(result: CheckResult, listed: list[Problem]) -> Iterator[Value]:
    """What could not be read, and how much is not listed."""
    for capture in result.captures:
        for text in capture.damage or ((capture.error,) if capture.error else ()):
            yield {
                "level": "note" if capture.usable else "error",
                "message": {"text": _text(safe(text))},
                "locations": [{"physicalLocation": {"artifactLocation": _artifact(capture.path)}}],
            }
    if more := remaining(result, listed):
        yield {"level": "warning", "message": {"text": f"{more} more are not listed"}}


def _text(text: str) -> str:
    """Safe from being taken for a link, which SARIF writes as ``[text](target)``."""
    return text.replace("](", "] (")
