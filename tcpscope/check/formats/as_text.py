"""Text for people and editors: ``path:frame: CODE name severity: message``, one line a problem, connection by connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tcpscope.check.outcome import CaptureResult, CheckResult, Identity, Problem
from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES
from tcpscope.report.style import Style
from tcpscope.rules.words import plural

PLAIN = Style()


def render(result: CheckResult, style: Style = PLAIN) -> str:
    """The report."""
    parts = ["\n".join(lines) + "\n" for capture in result.captures if (lines := list(_capture(capture, style)))]
    if result.problems:
        parts.append("\n".join(problem_line(problem, style) for problem in result.problems) + "\n")
    parts.append("\n".join(summary_lines(result, style)) + "\n")
    return style.finish("\n".join(parts))


def _capture(capture: CaptureResult, style: Style) -> Iterator[str]:
    for connection, problems in capture.by_connection():
        if connection is not None:
            yield style.paint(connection_line(capture.path, connection), "head")
        for problem in problems:
            yield problem_line(problem, style)
    if capture.left_out:
        yield left_out_line(capture)


def connection_line(path: str, connection: Identity) -> str:
    """What stands above the problems of a connection."""
    return f"{_safe(path)}: connection {connection.stream}, {_safe(connection.label)}"


def left_out_line(capture: CaptureResult) -> str:
    """How many problems are not listed."""
    more = ", ".join(plural(count, severity) for severity, count in capture.left_out)
    return f"{_safe(capture.path)}: {more} more of rules that are listed above often enough"


def problem_line(problem: Problem, style: Style) -> str:
    """One line."""
    severity = style.paint(problem.severity, problem.severity)
    remark = f" [{_safe(problem.remark)}]" if problem.remark else ""
    what = f"{problem.expectation!r}: {problem.message}" if problem.expectation is not None else problem.message
    return f"{_safe(problem.where)}: {problem.code} {problem.name} {severity}: {_safe(what)}{remark}"


def summary_lines(result: CheckResult, style: Style) -> Iterator[str]:
    """What was checked and found, and what the policy had to do with it."""
    counts = result.counts
    found = [
        style.paint(plural(number, severity), severity)
        for severity, number in zip(SEVERITIES, (counts.error, counts.warning, counts.note), strict=True)
        if number
    ]
    total = ", ".join(found) or style.paint("no problems", "good")
    looked = [
        plural(counts.captures, "capture"),
        plural(counts.connections, "connection"),
        plural(counts.frames, "frame"),
    ]
    yield f"{', '.join(looked)}: {total}"
    if counts.unreadable:
        yield f"could not be read: {plural(counts.unreadable, 'capture')}"
    if result.expectations:
        states = Counter(one.status for one in result.expectations)
        words = [f"{states[word]} {word}" for word in ("met", "broken", "undecided", "unchecked") if states[word]]
        yield f"expectations: {', '.join(words)}"
    if result.baselines:
        yield f"baseline: {counts.known:,} known, {counts.gone:,} gone"
    if done := list(_policy_did(result)):
        yield f"by the policy: {'; '.join(done)}"
    for one in result.gone:
        often = f", {plural(one.times, 'time')}" if one.times > 1 else ""
        yield _safe(f"{one.path}: gone: {one.code} {one.name} {one.severity} ({one.about}){often}")
    for allow in result.allows:
        if allow.unused:
            yield f"{_safe(allow.place)}: unused: nothing needs this allow of {', '.join(allow.rule)} ({_safe(allow.reason)})"


def _policy_did(result: CheckResult) -> Iterator[str]:
    counts = result.counts
    if counts.ignored:
        yield f"{counts.ignored:,} ignored ({_by_code(pair for one in result.captures for pair in one.ignored)})"
    if counts.unselected:
        yield f"{counts.unselected:,} not selected"
    if counts.rerated:
        changes: Counter[str] = Counter()
        for one in (one for capture in result.captures for one in capture.rerated):
            changes[f"{one.code} {one.rated} → {one.severity}"] += one.findings
        yield f"{counts.rerated:,} re-rated ({', '.join(f'{what}: {number:,}' for what, number in sorted(changes.items()))})"
    if counts.allowed:
        yield f"{counts.allowed:,} allowed"
    if counts.expired:
        yield f"{counts.expired:,} no longer allowed"


def _by_code(pairs: Iterable[tuple[str, int]]) -> str:
    total: Counter[str] = Counter()
    for code, count in pairs:
        total[code] += count
    return ", ".join(f"{code}: {count:,}" for code, count in sorted(total.items()))


def _safe(text: str) -> str:
    return printable(text, backslash=False)
