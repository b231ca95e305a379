"""JSON: the whole result, one capture a line. Keys may be added; none is renamed or dropped without a new schema number."""

from __future__ import annotations

from dataclasses import asdict

from tcpscope.check.outcome import AllowResult, CaptureResult, CheckResult, ExpectationResult, Identity, Problem
from tcpscope.report.json_report import SCHEMA, Object, dumps
from tcpscope.report.quantities import rfc3339


def render(result: CheckResult) -> str:
    """One document."""
    captures = ",\n".join(dumps(_capture(capture, result)) for capture in result.captures)
    rest: Object = {
        "problems": [_problem(problem) for problem in result.problems],
        "expectations": [_expectation(one) for one in result.expectations],
        "allows": [_allow(one) for one in result.allows],
        "baselines": list(result.baselines),
        "gone": [one._asdict() for one in result.gone],
        "summary": {**result.counts._asdict(), "exit_status": result.exit_status},
    }
    head = f'{{"schema":{dumps(SCHEMA)},"kind":"check","version":{dumps(result.version)},"captures":['
    return f"{head}\n{captures}],\n{dumps(rest)[1:]}\n"


def _capture(capture: CaptureResult, result: CheckResult) -> Object:
    return {
        "path": capture.path,
        "policy": result.policies[capture.policy] or None,
        "format": capture.format or None,
        "frames": capture.frames,
        "segments": capture.segments,
        "connection_count": capture.connections,
        "first_time": _time(capture.first_time_ns),
        "last_time": _time(capture.last_time_ns),
        "error": {"message": capture.error, "offset": capture.error_offset} if capture.error else None,
        "damage": list(capture.damage),
        "failed": capture.failed,
        "problems": [_problem(problem) for problem in capture.problems],
        "left_out": dict(capture.left_out),
        "unselected": capture.unselected,
        "ignored": dict(capture.ignored),
        "rerated": [one._asdict() for one in capture.rerated],
    }


def _problem(problem: Problem) -> Object:
    return {
        "kind": problem.kind,
        "code": problem.code,
        "name": problem.name,
        "severity": problem.severity,
        "rated": problem.rated,
        "fails": problem.fails,
        "message": problem.message,
        "path": problem.path,
        "line": problem.line,
        "frame": problem.frame,
        "frames": list(problem.frames),
        "count": problem.count,
        "side": problem.side,
        "time": _time(problem.time_ns),
        "connection": None if problem.connection is None else _identity(problem.connection),
        "rfc": problem.rfc or None,
        "display_filter": problem.display_filter or None,
        "expectation": problem.expectation,
        "expected": problem.expected,
        "actual": problem.actual,
        "undecided": problem.undecided,
        "remark": problem.remark or None,
        "fingerprint": problem.fingerprint,
        "occurrence": problem.occurrence,
    }


def _identity(connection: Identity) -> Object:
    return {
        "stream": connection.stream,
        "client": connection.client,
        "server": connection.server,
        "sni": connection.sni,
        "handshake": connection.handshake,
        "teardown": connection.teardown,
        "tls": connection.tls,
        "first_frame": connection.first_frame,
        "start": rfc3339(connection.start_ns),
    }


def _expectation(one: ExpectationResult) -> Object:
    return {**asdict(one), "capture": list(one.capture)}


def _allow(one: AllowResult) -> Object:
    return {**asdict(one), "rule": list(one.rule), "unused": one.unused}


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339(time_ns)
