"""Draws the connections that get a page, while their capture is read a second time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tcpscope.report.charts import charts
from tcpscope.report.graph import GraphCollector
from tcpscope.report.html.model import Drawing
from tcpscope.report.ladder import ladder, wanted_frames
from tcpscope.report.ladder_rows import Chooser, Observer, Rereader, Target
from tcpscope.report.ladder_svg import ladder_part
from tcpscope.rules.words import plural

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import ConnectionReport


class Subject(NamedTuple):
    """A connection to draw: how it is found again, and what the first reading found."""

    target: Target
    report: ConnectionReport


class Drawings:
    """Feed ``reader`` the capture; then :meth:`of` is what to show of each connection. ``graphs``: whether those are wanted."""

    def __init__(self, options: Options, subjects: Sequence[Subject], *, graphs: bool) -> None:
        self._choosers = {one.target: Chooser(one.target, wanted_frames(one.report)) for one in subjects}
        self._graphs = {one.target: GraphCollector(one.target) for one in subjects} if graphs else {}
        observers: dict[Target, list[Observer]] = {target: [chooser] for target, chooser in self._choosers.items()}
        for target, collector in self._graphs.items():
            observers[target].append(collector)
        self.reader = Rereader(options, observers)

    def of(self, subject: Subject) -> Drawing | None:
        """What to show of a connection; None if the capture does not hold it any more."""
        chooser = self._choosers[subject.target]
        if chooser.segments == 0:
            return None
        drawn = ladder(subject.report, chooser)
        text = plural(drawn.segments, "segment")
        if drawn.drawn < drawn.segments:
            text += f", {drawn.drawn:,} of them drawn: the opening, the closing, and what is worth a look"
        collector = self._graphs.get(subject.target)
        if collector is None:
            return Drawing(ladder_part(drawn), text)
        graph = collector.graph(subject.report)
        return Drawing(ladder_part(drawn), text, [(one.key, one.title, one.spec) for one in charts(graph)])
