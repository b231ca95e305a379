"""The HTML report of ``analyze``: see :class:`tcpscope.cli.formats.Format` for the order of the calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tcpscope.batch.aggregate import Aggregate
from tcpscope.batch.captures import Captures
from tcpscope.batch.columns import CAPTURE_COLUMNS, OfCapture, failed_capture, row
from tcpscope.batch.html import document
from tcpscope.batch.listed import Listed, Worst
from tcpscope.batch.overview import Overview, Problem
from tcpscope.cli.output import Output
from tcpscope.errors import SourceError
from tcpscope.report import text
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.html.connection import finding_views, page
from tcpscope.report.html.drawing import Drawings, Subject
from tcpscope.report.html.model import CaptureView, Drawing, Page, shown
from tcpscope.report.html.render import GRAPHS_NEED, graphs_possible, render
from tcpscope.report.ladder_rows import target_of
from tcpscope.report.problems import problems_of
from tcpscope.report.session import Threshold
from tcpscope.report.style import Style
from tcpscope.report.text_quality import quality_lines
from tcpscope.rules.diagnosis import NOWHERE
from tcpscope.version import __version__

if TYPE_CHECKING:
    from tcpscope.cli.reading import Taker
    from tcpscope.options import Options
    from tcpscope.report.model import CaptureReport, Summary
    from tcpscope.report.session import Session
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection

PAGES: Final = 50
CAPTURES: Final = 5
"""Captures that are shown one by one; all are in the table."""

LINE: Final = Style(width=1 << 20)


class HtmlFormat:
    """One HTML page about all inputs. Of each, the connections that may get a page are remembered and drawn in a second reading."""

    streaming = False

    def __init__(self, output: Output, options: Options) -> None:
        self._output = output
        self._options = options
        self._path = ""
        self._total, self._one = Aggregate(), Aggregate()
        self._listed, self._listed_here = Worst(), Worst()
        self._captures = Captures()
        self._views: list[CaptureView] = []
        self._unreadable: list[Problem] = []
        self._damaged: list[Problem] = []
        self._subjects: list[tuple[Listed, Subject]] = []
        self._pages: list[tuple[Listed, Page]] = []
        self._headline = ""
        self._advice: list[str] = []
        self.threshold = Threshold()

    def begin(self) -> None:
        """Nothing is written before the last input is read."""

    def start(self, path: str) -> None:
        """Forget the connections of the input before."""
        self._path = path
        self._one, self._listed_here, self._subjects = Aggregate(), Worst(), []

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """Count it, and remember it if it may get a page."""
        report = connection_report(conn, findings, self._options.msl_ns)
        self._one.connection(self._path, report)
        listed = Listed.of(self._path, report)
        self._listed_here.add(listed)
        self._subjects.append((listed, Subject(target_of(conn), report)))
        if len(self._subjects) > 4 * PAGES:
            self._forget()

    def _forget(self) -> None:
        self._subjects.sort(key=lambda item: (item[0].rank, item[0].stream, item[0].first_frame))
        del self._subjects[PAGES:]

    def end(self, session: Session) -> None:
        """Count the capture."""
        capture = capture_report(session.facts, self._path, session.findings, diagnosis=session.diagnosis)
        self._one.capture(session.summary)
        self._total.merge(self._one)
        self._listed_here.finish()
        self._listed.merge(self._listed_here)
        damage = "; ".join(problem.removeprefix(f"{self._path}: ") for problem in problems_of(session.pipeline))
        self._captures.add(row(CAPTURE_COLUMNS, OfCapture(self._path, "", 0, damage, capture, session.summary)))
        if damage:
            self._damaged.append(Problem(self._path, damage))
        diagnosis = capture.diagnosis
        self._headline, self._advice = "", []
        if diagnosis is not None:
            self._headline = shown(diagnosis.summary)
            if diagnosis.where != NOWHERE:
                self._advice = [f"Where the trouble sits: {diagnosis.where} ({diagnosis.confidence} confidence)"]
                self._advice.append(f"Next: {shown(diagnosis.next_step, 2000)}")
        if len(self._views) < CAPTURES:
            self._views.append(_view(capture))

    def draw(self, again: Callable[[Taker], None]) -> None:
        """Draw what gets a page: ``again`` reads the input once more."""
        self._forget()
        before = [listed.rank for listed, _ in self._pages]
        room = PAGES - len(before)
        chosen = [item for place, item in enumerate(self._subjects) if place < room or item[0].rank < before[-1]]
        if not chosen:
            return
        drawings = Drawings(self._options, [subject for _, subject in chosen], graphs=graphs_possible())
        missing = "The capture has changed while it was read: nothing is drawn."
        try:
            again(drawings.reader)
        except SourceError as error:
            missing = f"The capture could not be read again, so nothing is drawn: {error}"
        for listed, subject in chosen:
            drawing = drawings.of(subject)
            made = page(self._path, subject.report, drawing or Drawing(), "" if drawing else missing)
            self._pages.append((listed, made))
        self._pages.sort(key=lambda item: item[0].rank)
        del self._pages[PAGES:]

    def failed(self, message: str, offset: int | None) -> None:
        """Note it."""
        self._unreadable.append(Problem(self._path, message))
        self._captures.add(failed_capture(self._path, 0, message))
        self._headline = ""

    def close(self, summary: Summary) -> None:
        """Write the page."""
        total = self._total
        total.listed = self._listed
        lines = tuple(self._captures.in_order())
        over = Overview(
            captures=len(lines),
            frames=summary.frames,
            connections=summary.connections,
            errors=summary.findings["error"],
            warnings=summary.findings["warning"],
            notes=summary.findings["note"],
            with_findings=sum(bool(line.errors or line.warnings) for line in lines),
            unreadable=tuple(self._unreadable),
            damaged=tuple(self._damaged),
            aggregate=total,
            version=__version__,
            lines=lines,
            faults=tuple(self._captures.faults.items()),
            flawed=self._captures.flawed,
        )
        self._output.write(
            render(
                document(
                    over,
                    [page for _, page in self._pages],
                    captures=self._views,
                    headline=self._headline if len(lines) == 1 else "",
                    advice=self._advice if len(lines) == 1 else (),
                    notices=() if graphs_possible() or not self._pages else (GRAPHS_NEED,),
                )
            )
        )


def _view(capture: CaptureReport) -> CaptureView:
    """What is said of a capture above its connections, as in the table for a terminal."""
    lines: list[tuple[str, str]] = []
    diagnosis = capture.diagnosis
    if diagnosis is not None:
        where = f"{diagnosis.where} ({diagnosis.confidence} confidence)"
        lines.append(
            (f"{where}: {shown(diagnosis.summary, 2000)}", "good" if diagnosis.where == NOWHERE else "warning")
        )
        if diagnosis.where != NOWHERE:
            lines.append((f"Next: {shown(diagnosis.next_step, 2000)}", ""))
    head = text.capture_head(LINE, capture._replace(diagnosis=None)).splitlines()[1:]
    lines += [(shown(line.strip(), 2000), "") for line in (*head, *quality_lines(LINE, capture, ()))]
    return CaptureView(shown(capture.path), lines, finding_views(capture.findings))
