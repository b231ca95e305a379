"""Excerpts of the ladder diagram: some frames of a connection and their neighbours, as text to stand below a finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tcpscope.report.ladder import Builder, Event, Ladder
from tcpscope.report.ladder_rows import Arrow
from tcpscope.report.ladder_text import Drawing
from tcpscope.report.model import ConnectionReport
from tcpscope.report.style import Style

FRAMES: Final = 4
"""Frames of a finding that an excerpt shows, each with its neighbours."""


class _Builder(Builder):
    """Rows without the phases; above them the states in which both sides were."""

    def _enter(self, phase: int) -> None:
        pass

    def _begin(self, arrow: Arrow) -> None:
        states = [self._skip(side, arrow) for side in (0, 1)]
        if any(states):
            self.items.append(Event((states[0], states[1]), None, ""))

    def _due(self, side: int, arrow: Arrow) -> tuple[int | None, str] | None:
        self._skip(side, arrow)
        return super()._due(side, arrow)

    def _skip(self, side: int, arrow: Arrow) -> str:
        """Leave out the steps of a side before a segment; the last of them, or ""."""
        steps, state = self._steps[side], ""
        while steps and (steps[-1].frame or 0) < arrow.frame:
            step = steps[-1]
            if step.frame is None and step.time_ns is not None and step.time_ns > arrow.time_ns:
                break
            state = steps.pop().state
        return state


def excerpt(report: ConnectionReport, arrows: Sequence[Arrow], frames: Sequence[int], style: Style) -> str:
    """The diagram of the frames that come first in ``frames``, of a connection of which :class:`Neighbours` has chosen.

    Empty if none of them is a segment of the connection.
    """
    wanted = frozenset(frames[:FRAMES])
    places = {arrow.before.segments for arrow in arrows if arrow.frame in wanted}
    beside = {place + step for place in places for step in (-1, 0, 1)}
    shown = [arrow for arrow in arrows if arrow.before.segments in beside]
    if not shown:
        return ""
    builder = _Builder(report)
    for arrow in shown:
        builder.arrow(arrow)
    lines = Drawing(style, Ladder(report, tuple(builder.items), (), len(shown))).lines()
    return "\n".join(line.rstrip() for line in lines)
