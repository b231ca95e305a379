"""The formats of ``analyze`` and the one for people: each takes connections as they end, and writes what it can as early as it can.

Calls come as ``begin``; for each input ``start``, any number of ``connection``, ``end`` or ``failed``; then ``close``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tcpscope.cli.output import Output
from tcpscope.report import text
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.model import SEVERITIES, ConnectionReport, Summary
from tcpscope.report.session import Threshold
from tcpscope.report.text_quality import quality_lines

if TYPE_CHECKING:
    from tcpscope.cli.reading import Taker
    from tcpscope.options import Options
    from tcpscope.report.session import Session
    from tcpscope.report.style import Style
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


class Format(Protocol):
    """What ``analyze`` drives."""

    streaming: bool
    """Whether output comes while the input is still being read."""

    threshold: Threshold
    """Which connections of the current input are not wanted any more."""

    def begin(self) -> None:
        """Before the first input."""

    def start(self, path: str) -> None:
        """An input begins."""

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """A connection of the current input is over."""

    def end(self, session: Session) -> None:
        """The current input is over."""

    def failed(self, message: str, offset: int | None) -> None:
        """The current input could not be read at all."""

    def close(self, summary: Summary) -> None:
        """After the last input."""


@runtime_checkable
class Drawer(Protocol):
    """A format that needs each input a second time."""

    def draw(self, again: Callable[[Taker], None]) -> None:
        """After ``end``: ``again`` reads the input once more."""


class TableFormat:
    """Text for people. Holds the worst connections of an input (all with ``show_all``) and counts the others."""

    streaming = False

    def __init__(self, output: Output, options: Options, style: Style, show_all: bool, stream: int | None) -> None:
        self._output = output
        self._msl_ns = options.msl_ns
        self._style = style
        self._rows = None if show_all else text.ROWS
        self._full = stream is not None
        self._path = ""
        self._inputs = 0
        # A heap with the least bad connection on top; the counter keeps equal ranks from comparing what follows.
        self._kept: list[tuple[tuple[int, int], int, ConnectionReport]] = []
        self._counter = count()
        self.threshold = self._threshold()

    def begin(self) -> None:
        """Nothing is written before the first input is read."""

    def start(self, path: str) -> None:
        """Forget the connections of the input before."""
        self._path = path
        self._kept = []
        self.threshold = self._threshold()

    def _threshold(self) -> Threshold:
        return Threshold(rises=self._rows is not None)

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """Keep it if it is among the worst."""
        severity = text.worst_severity([f.severity for f in findings]) if findings else len(SEVERITIES)
        rank = (-severity, -conn.stream)
        full = self._rows is not None and len(self._kept) >= self._rows
        if full and rank <= self._kept[0][0]:
            return
        entry = (rank, next(self._counter), connection_report(conn, findings, self._msl_ns))
        if full:
            heapq.heapreplace(self._kept, entry)
        else:
            heapq.heappush(self._kept, entry)
        if self._rows is not None and len(self._kept) >= self._rows:
            severity, stream = self._kept[0][0]
            self.threshold.severity, self.threshold.stream = -severity, -stream

    def end(self, session: Session) -> None:
        """Write the report of the input."""
        connections = tuple(entry[2] for entry in sorted(self._kept, key=lambda entry: (text.rank(entry[2]), entry[1])))
        diagnosis = None if self._full else session.diagnosis  # the connection's own says it
        capture = capture_report(session.facts, self._path, session.findings, connections, diagnosis)
        if self._full:
            from tcpscope.report.text_connection import connection_text

            parts = [text.capture_head(self._style, capture)]
            parts += quality_lines(self._style, capture, capture.findings)
            parts += ["\n" + connection_text(self._style, connection, capture.files) for connection in connections]
            report = "\n".join(parts)
        else:
            report = text.capture_text(self._style, capture, session.summary, show_all=self._rows is None)
        self._write(("\n" if self._inputs else "") + report + "\n")
        self._inputs += 1

    def failed(self, message: str, offset: int | None) -> None:
        """Nothing to show; the message goes to standard error."""

    def close(self, summary: Summary) -> None:
        """Write the summary."""
        if self._inputs:
            self._write("\n" + text.summary_line(self._style, summary) + "\n")

    def _write(self, report: str) -> None:
        self._output.write(self._style.finish(report))
