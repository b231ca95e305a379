"""Findings as text: what, where, in which frames, and how to see it in Wireshark."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES, FileReport, RuleCount, Summary
from tcpscope.report.quantities import frame_list
from tcpscope.report.style import Style
from tcpscope.report.table import table
from tcpscope.rules import words

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding


def finding_text(style: Style, finding: Finding, files: Sequence[FileReport] = (), indent: str = "  ") -> str:
    """One finding in a few lines. ``files``: those of the capture; of several the one with the frame to look at is named."""
    where = finding_place(finding)
    if len(files) > 1 and finding.frame is not None:
        where.append(f"{finding.frame} is {in_file(files, finding.frame)}")
    name = f"{finding.severity} {finding.code} {finding.name}"
    head = style.wrap(" · ".join([name, *where]), indent + "    ", indent)
    head = head.replace(name, style.paint(finding.severity, finding.severity) + name.removeprefix(finding.severity), 1)
    lines = [head, style.wrap(printable(finding.message, backslash=False), indent + "    ")]
    if finding.display_filter:
        # Never wrapped: it is there to be copied.
        display_filter = printable(finding.display_filter, backslash=False)
        lines.append(f"{indent}    {style.paint(f'Wireshark: {display_filter}', 'dim')}")
    return "\n".join(lines)


def finding_place(finding: Finding) -> list[str]:
    """The side, the frames, and how often."""
    where = [finding.side] if finding.side else []
    if finding.frames:
        where.append(frame_list(finding.frames))
    elif finding.frame is not None:
        where.append(frame_list([finding.frame]))
    if finding.count > max(1, len(set(finding.frames))):
        where.append(words.times(finding.count))
    return where


def in_file(files: Sequence[FileReport], frame: int) -> str:
    """Where a frame is that is numbered through all files: ``frame 12 of b.pcap``."""
    file = files[bisect_right(files, frame, key=lambda file: file.first_frame) - 1]
    return f"frame {frame - file.first_frame + 1} of {printable(file.path, backslash=False)}"


class Excerpt:
    """Chooses which findings an overview spells out: of each rule, and of each connection, only the first few."""

    def __init__(self, per_rule: int, per_connection: int) -> None:
        self._per_rule = per_rule
        self._per_connection = per_connection
        self._shown: Counter[str] = Counter()
        self.left_out = 0

    def take(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those of one connection to show; the others are counted in ``left_out``."""
        taken: list[Finding] = []
        for finding in findings:
            if len(taken) < self._per_connection and self._shown[finding.code] < self._per_rule:
                self._shown[finding.code] += 1
                taken.append(finding)
            else:
                self.left_out += 1
        return taken


def by_rule_text(style: Style, summary: Summary) -> str:
    """How often each rule fired, worst first."""

    def rank(item: tuple[str, RuleCount]) -> tuple[int, int, str]:
        return SEVERITIES.index(item[1].severity), -item[1].findings, item[0]

    rows = [
        [code, rule.name, style.paint(rule.severity, rule.severity), f"{rule.findings:,}", f"{rule.connections:,}"]
        for code, rule in sorted(summary.by_rule.items(), key=rank)
    ]
    return table(style, ["rule", "name", "severity", "findings", "connections"], rows, right=(3, 4))


def severity_counts(style: Style, summary: Summary) -> str:
    """``2 errors, 1 warning, no notes`` and the like."""
    found = [style.paint(words.plural(n, severity), severity) for severity, n in summary.findings.items() if n]
    return ", ".join(found) if found else style.paint("no findings", "good")
