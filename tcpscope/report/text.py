"""The report of ``analyze`` for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES, CaptureReport, ConnectionReport, FileReport, ListenerReport, Summary
from tcpscope.report.quantities import day_and_time
from tcpscope.report.style import Style
from tcpscope.report.table import table
from tcpscope.report.text_connections import connection_table, short_host
from tcpscope.report.text_findings import Excerpt, by_rule_text, finding_text, severity_counts
from tcpscope.report.text_numbers import diagnosis_text
from tcpscope.report.text_quality import quality_lines
from tcpscope.rules import words
from tcpscope.rules.diagnosis import NOWHERE

ROWS: Final = 20
"""Connections that the table shows without ``--all``."""
FINDINGS_PER_CONNECTION: Final = 5
FINDINGS_PER_RULE: Final = 3
LISTENERS: Final = 5
FILES: Final = 6
UNLIMITED: Final = 1 << 60


def rank(connection: ConnectionReport) -> tuple[int, int]:
    """Sorts the connection with the worst finding first, then by stream number."""
    return worst_severity([f.severity for f in connection.findings]), connection.stream


def worst_severity(severities: Sequence[str]) -> int:
    """Index in SEVERITIES of the worst one; len(SEVERITIES) where there is none."""
    return min((SEVERITIES.index(severity) for severity in severities), default=len(SEVERITIES))


def capture_text(style: Style, capture: CaptureReport, summary: Summary, *, show_all: bool = False) -> str:
    """One capture: its quality, the table of its connections, their findings.

    ``capture.connections`` are those to show, in the order of :func:`rank`; ``summary`` counts all of this capture.
    """
    shown = capture.connections
    excerpt = Excerpt(UNLIMITED, UNLIMITED) if show_all else Excerpt(FINDINGS_PER_RULE, FINDINGS_PER_CONNECTION)
    parts = [capture_head(style, capture), *quality_lines(style, capture, excerpt.take(capture.findings))]
    if listeners := _listeners(style, capture.listeners, UNLIMITED if show_all else LISTENERS):
        parts += ["", listeners]
    if shown:
        parts += ["", connection_table(style, shown)]
    shown_with_findings = sum(bool(connection.findings) for connection in shown)
    if hidden := summary.connections - len(shown):
        clean = hidden - (summary.with_findings - shown_with_findings)
        without = "all" if clean == hidden > 1 else f"{clean:,}" if clean else "none"
        parts.append(f"{words.plural(hidden, 'more connection')}, {without} without findings: --all shows them")
    for connection in shown:
        if taken := excerpt.take(connection.findings):
            parts += ["", connection_line(style, connection)]
            if not _is_told(capture, connection):
                parts.append(diagnosis_text(style, connection.diagnosis, next_step=False))
            parts += [finding_text(style, finding, capture.files) for finding in taken]
            if rest := len(connection.findings) - len(taken):
                more = f"  {words.plural(rest, 'more finding')}: --connection {connection.stream} shows all"
                parts.append(style.paint(more, "dim"))
    if excerpt.left_out or summary.with_findings > shown_with_findings:
        parts += ["", style.paint("All findings by rule", "head"), by_rule_text(style, summary)]
    return "\n".join(parts)


def _is_told(capture: CaptureReport, connection: ConnectionReport) -> bool:
    """Whether the diagnosis of the capture has said that of the connection, or there is nothing to say."""
    told = capture.diagnosis is not None and connection.diagnosis.summary in capture.diagnosis.summary
    return told or connection.diagnosis.where == NOWHERE


def connection_line(style: Style, connection: ConnectionReport) -> str:
    """The heading of what is said about one connection."""
    room = max(12, (style.width - len(f"Connection {connection.stream}  [] → []:65535:65535")) // 2)
    ends = f"{short_host(connection.client, room)} → {short_host(connection.server, room)}"
    return style.paint(f"Connection {connection.stream}  {ends}", "head")


def capture_head(style: Style, capture: CaptureReport) -> str:
    """The first lines: what ails the capture, and what it is."""
    kind = f"{capture.format} in {capture.compression}" if capture.compression else capture.format
    title = (
        capture.path
        if len(capture.files) < 2
        else f"{capture.path} and {words.plural(len(capture.files) - 1, 'further file')}"
    )
    counts = [kind, words.plural(capture.frames, "frame"), words.plural(capture.segments, "TCP segment")]
    counts.append(words.plural(capture.connection_count, "connection"))
    lines = [style.paint(printable(title, backslash=False), "head")]
    if capture.diagnosis is not None:
        lines.append(diagnosis_text(style, capture.diagnosis))
    lines.append(style.wrap(", ".join(counts), "  "))
    if capture.first_time_ns is not None and capture.duration_ns is not None:
        lines.append(f"  {words.span(capture.duration_ns)} from {day_and_time(capture.first_time_ns)}")
    if skipped := sum(capture.skipped.values()):
        reasons = sorted(capture.skipped.items(), key=lambda item: (-item[1], item[0]))
        text = ", ".join(f"{count:,} {name}" for name, count in reasons)
        lines.append(style.wrap(f"{words.plural(skipped, 'frame')} not analysed: {text}", "    ", "  "))
    if len(capture.files) > 1:
        lines += _files(capture.files)
    return "\n".join(lines)


def _files(files: Sequence[FileReport]) -> list[str]:
    """Which frames are in which file: the first and the last few of many."""
    shown = list(files) if len(files) <= FILES else [*files[: FILES // 2], *files[-FILES // 2 :]]
    lines = []
    for file in shown:
        frames = f"frames {file.first_frame:,}–{file.first_frame + file.frames - 1:,}" if file.frames else "no frames"
        lines.append(f"  {frames}: {printable(file.path, backslash=False)}")
    if len(files) > FILES:
        lines.insert(FILES // 2, f"  … {words.plural(len(files) - FILES, 'file')} between them")
    return lines


def _listeners(style: Style, listeners: Sequence[ListenerReport], most: int) -> str:
    """Listening ports on which handshakes stayed unfinished, the longest queue first."""
    queued = [listener for listener in listeners if listener.timed_out]
    rows = [
        [
            short_host(li.listener, 24),
            f"{li.syns:,}",
            f"{li.completed:,}",
            f"{li.refused:,}",
            f"{li.timed_out:,}",
            f"{li.pending_peak:,} at frame {li.peak_frame}" if li.peak_frame else f"{li.pending_peak:,}",
        ]
        for li in queued[:most]
    ]
    if not rows:
        return ""
    title = style.paint("Handshakes that were never completed", "head")
    heads = ["listener", "SYNs", "completed", "refused", "not completed", "most at once"]
    return f"{title}\n{table(style, heads, rows, right=(1, 2, 3, 4))}"


def summary_line(style: Style, summary: Summary) -> str:
    """The last line: everything that was judged, and what was found."""
    counts = f"{words.plural(summary.captures, 'capture')}, {words.plural(summary.connections, 'connection')}"
    return f"{counts}, {words.plural(summary.frames, 'frame')}: {severity_counts(style, summary)}"
