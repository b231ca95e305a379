"""Excerpts of ladder diagrams for the problems of a capture, for which it is read a second time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final

from tcpscope.check.outcome import CaptureResult, Problem
from tcpscope.errors import SourceError
from tcpscope.many.again import read_again
from tcpscope.many.kept import Kept
from tcpscope.report.ladder_excerpt import FRAMES, excerpt
from tcpscope.report.ladder_rows import Neighbours, Rereader, Target, target_of
from tcpscope.report.style import Style

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import ConnectionReport
    from tcpscope.state.connection import Connection

CONNECTIONS: Final = 20
"""Connections of a capture that are drawn: the first ones of those with problems."""

STYLE: Final = Style(width=96)
INDENT: Final = "    "


class Ladders:
    """Context manager. Remembers the connections to draw while a capture is read for the first time, then draws them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._subjects: list[tuple[tuple[int, int], Target, ConnectionReport]] = []
        self._kept = Kept([path])

    def read(self, data: bytes) -> None:
        """Bytes of the first reading."""
        self._kept.add(data)

    def connection(self, conn: Connection, report: ConnectionReport) -> None:
        """A connection with a problem."""
        self._subjects.append(((report.stream, report.first_frame), target_of(conn), report))
        if len(self._subjects) > 2 * CONNECTIONS:
            self._forget_the_last()

    def _forget_the_last(self) -> None:
        self._subjects.sort(key=lambda subject: subject[0])
        del self._subjects[CONNECTIONS:]

    def draw(self, result: CaptureResult, options: Options) -> CaptureResult:
        """The result with ladders, as far as they are for connections that were remembered."""
        self._forget_the_last()
        frames: dict[tuple[int, int], set[int]] = defaultdict(set)
        for problem in result.problems:
            if problem.connection is not None:
                frames[problem.connection.stream, problem.connection.first_frame].update(problem.frames[:FRAMES])
        choosers = {target: Neighbours(target, frames[place]) for place, target, _ in self._subjects if frames[place]}
        if not choosers:
            return result
        reader = Rereader(options, {target: (chooser,) for target, chooser in choosers.items()})
        read_again(self._path, reader, self._kept)
        drawn = {
            place: (report, choosers[target].chosen()) for place, target, report in self._subjects if target in choosers
        }

        def with_ladder(problem: Problem) -> Problem:
            identity = problem.connection
            found = None if identity is None else drawn.get((identity.stream, identity.first_frame))
            if found is None:
                return problem
            return replace(problem, ladder=_indented(excerpt(*found, problem.frames, STYLE)))

        return replace(result, problems=tuple(map(with_ladder, result.problems)))

    def __enter__(self) -> Ladders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()


def drawn(path: str, options: Options, target: Target, report: ConnectionReport, frames: Sequence[int]) -> str:
    """The excerpt for some frames of one connection, for which the file is read once more; "" if it is gone."""
    chooser = Neighbours(target, frames[:FRAMES])
    try:
        read_again(path, Rereader(options, {target: (chooser,)}))
    except SourceError:
        return ""
    return _indented(excerpt(report, chooser.chosen(), frames, STYLE))


def _indented(text: str) -> str:
    return "\n".join(INDENT + line for line in text.splitlines())
