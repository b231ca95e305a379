"""The connections of a batch that get a page of their own: which, and what is drawn of them when their captures are read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.batch.aggregate import Aggregate
from tcpscope.batch.html import WORST, place_of
from tcpscope.batch.listed import Listed
from tcpscope.batch.store import Identity, Store, identity_of
from tcpscope.errors import SourceError
from tcpscope.many.again import read_again, read_series_again
from tcpscope.many.inputs import Input
from tcpscope.many.processes import Workers, cost, processors, start_worker
from tcpscope.many.reading import read_capture, read_series
from tcpscope.report.build import connection_report
from tcpscope.report.html.connection import page
from tcpscope.report.html.drawing import Drawings, Subject
from tcpscope.report.html.model import Drawing, Lines, Page, shown
from tcpscope.report.html.render import graphs_possible
from tcpscope.report.ladder_rows import target_of
from tcpscope.report.model import SEVERITIES
from tcpscope.report.session import Session

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection

PAGES: Final = 50
PAGES_A_CAPTURE: Final = 5

WORTH_PROCESSES: Final = 2.0
"""Rough seconds of reading from which on further processes pay."""

CHANGED: Final = (
    "The capture has changed since it was judged, or cannot be read twice: nothing is drawn. Run the batch again."
)
GONE: Final = "The capture cannot be read any more, so nothing is drawn"
FAILED: Final = "This connection could not be drawn"


class Work(NamedTuple):
    """Connections of one capture to draw: stream and first frame of each. ``identity``: of the capture that was judged."""

    input: Input
    identity: Identity | None
    places: tuple[tuple[int, int], ...]
    options: Options
    by_content: bool
    graphs: bool


class Made(NamedTuple):
    """The pages of one capture by stream and first frame, and why others are missing."""

    pages: dict[tuple[int, int], Page]
    missing: str = ""


def choose(aggregate: Aggregate) -> list[Listed]:
    """The connections that get a page, the worst first: those that the overview names, then those with the worst findings."""
    listed = {one.place: one for one in aggregate.listed.in_order()}
    named = [listed[place_of(one)] for one in aggregate.worst()[:WORST] if place_of(one) in listed]
    chosen: dict[tuple[str, int, int], None] = {}
    of_capture: Counter[str] = Counter()
    for one in [*named, *listed.values()]:
        if len(chosen) >= PAGES:
            break
        if one.place not in chosen and of_capture[one.path] < PAGES_A_CAPTURE:
            of_capture[one.path] += 1
            chosen[one.place] = None
    return [one for place, one in listed.items() if place in chosen]


def make_pages(
    inputs: Sequence[Input],
    aggregate: Aggregate,
    directory: str,
    options: Options,
    *,
    executor: Executor | None = None,
    jobs: int = 0,
    by_content: bool = False,
) -> list[Page]:
    """The pages of a batch of ``inputs`` whose results are below ``directory``. What cannot be drawn any more says so.

    ``executor``, ``jobs``: as for :func:`tcpscope.batch.run.run_batch`.
    """
    chosen = choose(aggregate)
    places: dict[str, list[tuple[int, int]]] = {}
    for one in chosen:
        places.setdefault(one.path, []).append((one.stream, one.first_frame))
    store, graphs = Store(directory), graphs_possible()
    known = {one.path: one for one in inputs if one.path in places}
    work = []
    for path, those in places.items():
        head = store.head(path)
        work.append(Work(known[path], head and head.identity, tuple(those), options, by_content, graphs))
    made = dict(zip(places, _spread(work, executor, jobs or processors()), strict=True))
    return [
        made[one.path].pages.get((one.stream, one.first_frame)) or missing(one, made[one.path].missing)
        for one in chosen
    ]


def _spread(work: Sequence[Work], executor: Executor | None, jobs: int) -> list[Made]:
    size = sum(cost(one.input) for one in work)
    jobs = min(jobs, len(work))
    with ExitStack() as stack:
        if executor is None:
            if jobs < 2 or size < WORTH_PROCESSES:
                return [draw(one) for one in work]
            executor = stack.enter_context(Workers(jobs, initializer=start_worker))
        return [_result(future) for future in [executor.submit(draw, one) for one in work]]


def _result(future: Future[Made]) -> Made:
    """What a worker made. Whatever happened to it costs its pages and no more."""
    try:
        return future.result()
    except Exception as error:
        return Made({}, f"{FAILED}: {type(error).__name__}: {error}".strip(": "))


def draw(work: Work) -> Made:
    """Judge the connections once more, and draw them: the capture is read twice."""
    try:
        return _draw(work)
    except SourceError as error:
        return Made({}, f"{GONE}: {error}")
    except Exception as error:
        return Made({}, f"{FAILED}: {type(error).__name__}: {error}")


def _draw(work: Work) -> Made:
    files, path = work.input.files, work.input.path
    now = identity_of(work.input, work.by_content)
    if work.identity is None or not work.identity.same(now):
        return Made({}, CHANGED)
    subjects: list[Subject] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        if (conn.stream, conn.first_frame) in work.places:
            subjects.append(Subject(target_of(conn), connection_report(conn, findings, work.options.msl_ns)))

    session = Session(work.options, keep)
    if files:
        read_series(files, session)
    else:
        read_capture(path, session)
    drawings = Drawings(work.options, subjects, graphs=work.graphs)
    if files:
        read_series_again(files, drawings.reader)
    else:
        read_again(path, drawings.reader)
    pages: dict[tuple[int, int], Page] = {}
    for subject in subjects:
        drawing = drawings.of(subject)
        if drawing is not None:
            report = subject.report
            pages[report.stream, report.first_frame] = page(path, report, drawing)
    return Made(pages, CHANGED)


def missing(one: Listed, reason: str) -> Page:
    """The page of a connection of which there is only what the batch has stored."""
    return Page(
        path=one.path,
        stream=one.stream,
        first_frame=one.first_frame,
        severity=SEVERITIES[one.severity] if one.severity < len(SEVERITIES) else "",
        title=f"{one.client} → {one.server}",
        where="",
        summary=shown(one.sentence),
        next_step="",
        when="",
        circumstances=((f"Rules: {one.codes}", ""),),
        marks="",
        findings=(),
        shares=(),
        time=Lines(""),
        parts=(),
        drawing=Drawing(),
        missing=shown(reason),
    )
