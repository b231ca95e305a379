"""Text with an explanation of the problems: the segments concerned, what it means, how to fix it, how to see it in Wireshark."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tcpscope.check.formats.as_text import PLAIN, connection_line, left_out_line, problem_line, summary_lines
from tcpscope.check.outcome import CaptureResult, CheckResult, Problem
from tcpscope.report.escape import printable
from tcpscope.report.quantities import frame_list
from tcpscope.report.style import Style


def render(result: CheckResult, style: Style = PLAIN) -> str:
    """The report. What a rule means is explained where it first has something to say."""
    explained: set[str] = set()

    def lines(problem: Problem) -> str:
        new = problem.code not in explained
        explained.add(problem.code)
        return "\n".join(problem_lines(problem, style, explain=new))

    parts = [part for capture in result.captures for part in _capture(capture, style, lines)]
    parts += map(lines, result.problems)
    parts.append("\n".join(summary_lines(result, style)))
    return style.finish("\n\n".join(parts) + "\n")


def _capture(capture: CaptureResult, style: Style, lines: Callable[[Problem], str]) -> Iterator[str]:
    for connection, problems in capture.by_connection():
        if connection is not None:
            yield style.paint(connection_line(capture.path, connection), "head")
        yield from map(lines, problems)
    if capture.left_out:
        yield left_out_line(capture)


def problem_lines(problem: Problem, style: Style, *, explain: bool = True) -> Iterator[str]:
    """A problem with everything that is known of it; ``explain``: also what the manual says of its rule."""
    yield problem_line(problem, style)
    if len(problem.frames) > 1:
        yield f"    {frame_list(problem.frames)}"
    if problem.ladder:
        yield problem.ladder
    page = problem.manual
    if page is not None and explain:
        why, fix = (" ".join(page.section(name).split()) for name in ("Why it matters", "How to fix"))
        yield style.wrap(page.title, "    ")
        yield style.wrap(f"Why it matters: {why}", "    ")
        yield style.wrap(f"How to fix: {fix}", "    ")
        yield f"    {problem.rfc}"
    if problem.display_filter:
        # Never wrapped: it is there to be copied.
        yield f"    {style.paint(f'Wireshark: {printable(problem.display_filter, backslash=False)}', 'dim')}"
