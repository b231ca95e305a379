"""The quality of a capture, the first section of its report: what is as it should be, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcpscope.report.escape import printable
from tcpscope.report.model import CaptureReport
from tcpscope.report.style import Style
from tcpscope.report.text_findings import finding_text
from tcpscope.rules import words

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding


def quality_lines(style: Style, capture: CaptureReport, findings: Sequence[Finding]) -> list[str]:
    """One line on what is right, one on each fault that no finding of this capture tells, then ``findings``, those to show."""
    good = _good(capture)
    lines = [style.wrap(f"capture: {', '.join(good)}", "    ", "  ")] if good else []
    told = {finding.code for finding in capture.findings}
    lines += [
        style.paint(style.wrap(problem, "    ", "  "), "warning")
        for code, problem in _problems(capture)
        if code not in told
    ]
    return lines + [finding_text(style, finding, capture.files) for finding in findings]


def _good(capture: CaptureReport) -> list[str]:
    """What a capture should be, as far as this one is."""
    good = []
    if capture.complete:
        good.append("complete")
    if not capture.dropped:
        good.append("no drops reported" if capture.dropped is None else "no frame dropped")
    if capture.two_sided_connections and not capture.one_sided_connections:
        good.append("both directions")
    if capture.frames > 1 and not capture.untimed and not capture.clock_back_count:
        good.append("clock steady")
    return good


def _problems(capture: CaptureReport) -> list[tuple[str, str]]:
    """What limits the verdicts, with the code of the rule that tells it unless it is not selected."""
    damage = capture.damage or f"{words.plural(capture.skipped_bytes, 'byte')} could not be read"
    steps = f"{words.times(capture.clock_back_count)}, by {words.span(capture.clock_back_max_ns)} at most"
    # The rule; how many; what to say of so many
    checks = [
        ("", capture.untimed, f"{words.plural(capture.untimed, 'frame')} without a time: durations are lower bounds"),
        ("TS901", not capture.complete, f"damaged, what follows is what could be read: {printable(damage, backslash=False)}"),
        ("TS902", capture.unseen_bytes, f"{words.plural(capture.unseen_bytes, 'byte')} acknowledged that the capture lacks"),
        ("TS903", capture.one_sided_connections, "of some connections only one direction was captured"),
        ("TS905", capture.clock_back_count, f"the clock stepped back {steps}"),
        ("TS906", capture.checksums.wrong, f"{words.plural(capture.checksums.wrong, 'segment')} with a wrong checksum"),
        ("TS907", capture.dropped, f"{words.plural(capture.dropped or 0, 'frame')} dropped while capturing, says the file"),
        ("TS908", capture.evicted, f"{words.plural(capture.evicted, 'connection')} judged early (--max-connections)"),
        ("TS909", capture.truncated_frames, f"{words.plural(capture.truncated_frames, 'frame')} cut by the snap length"),
    ]  # fmt: skip
    return [(code, problem) for code, count, problem in checks if count]
