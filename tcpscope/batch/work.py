"""What a worker does: judge captures and store what they come to, one after the other."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.batch.aggregate import MOST, Aggregate
from tcpscope.batch.columns import (
    CAPTURE_COLUMNS,
    CONNECTION_COLUMNS,
    FINDING_COLUMNS,
    OfCapture,
    OfConnection,
    OfFinding,
    row,
)
from tcpscope.batch.store import AtomicFile, Head, Store, Writing, identity_of
from tcpscope.crypto.keylog import KeyLog, read_key_logs
from tcpscope.errors import SourceError, TcpscopeError
from tcpscope.many.document import JsonDocument
from tcpscope.many.inputs import Input
from tcpscope.many.processes import Tidier
from tcpscope.many.reading import read_capture, read_series
from tcpscope.many.spool import Spool
from tcpscope.options import Options
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.json_report import dumps
from tcpscope.report.problems import problems_of
from tcpscope.report.session import Session

if TYPE_CHECKING:
    from tcpscope.report.model import ConnectionReport
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


class Settings(NamedTuple):
    """What is the same for all captures. ``fingerprint``: see :func:`tcpscope.batch.store.fingerprint`."""

    directory: str
    options: Options
    fingerprint: str
    by_content: bool = False


class Task(NamedTuple):
    """A capture, and its place among the inputs."""

    number: int
    input: Input


class Done(NamedTuple):
    """What the coordinator remembers of a capture. ``error``: why there is no result; ``damage``: what is missing in it."""

    number: int
    error: str = ""
    damage: str = ""
    frames: int = 0
    connections: int = 0
    errors: int = 0
    warnings: int = 0
    notes: int = 0


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The batch ends before this capture does."""


def done(number: int, head: Head) -> Done:
    """A capture of which there is a result."""
    row = head.row
    return Done(
        number, "", head.damage, row["frames"], row["connections"], row["errors"], row["warnings"], row["notes"]
    )


# Of a process: a worker of some engines has several threads, which gain nothing from each other here.
_LOCK: Final = threading.Lock()
_TIDIER: Final = Tidier()


@lru_cache(maxsize=1)
def _keys(paths: tuple[str, ...], fingerprint: str) -> KeyLog:
    return read_key_logs(paths)


def analyse(settings: Settings, tasks: Sequence[Task], stopped: Callable[[], bool] | None = None) -> list[Done]:
    """Judge captures. One that cannot be read, or that breaks the analysis, is told and does not stop the others.

    :raises OutputError: a result cannot be stored.
    """
    results: list[Done] = []

    def between(data: bytes = b"") -> None:
        if stopped is not None and stopped():
            raise Stopped

    with _LOCK:
        for task in tasks:
            try:
                between()
                results.append(_analyse(settings, task, between))
            except Stopped:
                break
            _TIDIER.captured()
    return results


def _analyse(settings: Settings, task: Task, between: Callable[[bytes], None]) -> Done:
    path = task.input.path
    store = Store(settings.directory)
    if task.input.error:
        return Done(task.number, task.input.error)
    try:
        return done(task.number, _judge(settings, store, task.input, between))
    except SourceError as error:
        reason = str(error)
    except (Stopped, TcpscopeError):
        raise
    except Exception as error:
        reason = f"{path}: the analysis failed: {type(error).__name__}: {error}"
    store.drop(path)  # an earlier result is not of what is there now
    return Done(task.number, reason)


def _judge(settings: Settings, store: Store, one: Input, between: Callable[[bytes], None]) -> Head:
    """Judge one capture and store the result."""
    path = one.path
    with ExitStack() as stack:
        # Open before anything is read: while they are there, the capture is in progress.
        rows = stack.enter_context(AtomicFile(store.rows(path)))
        document = stack.enter_context(AtomicFile(store.document(path)))
        identity = identity_of(one, settings.by_content)
        sink = _Sink(settings, one, document)
        stack.callback(sink.close)
        session = Session(
            settings.options, sink.connection, keylog=_keys(settings.options.keylog, settings.fingerprint)
        )
        sink.session = session
        sink.document.begin()
        sink.document.start(sink.first_path)
        if one.files:
            read_series(one.files, session, between)
        else:
            read_capture(path, session, between)
        facts = session.facts
        problems = list(problems_of(session.pipeline))
        if not facts.format:
            raise SourceError(problems[0] if problems else f"{path}: {facts.damage}")
        capture = capture_report(facts, sink.first_path, session.findings, diagnosis=session.diagnosis)
        damage = "; ".join(problem.removeprefix(f"{path}: ") for problem in problems)
        sink.aggregate.capture(session.summary)
        cells = row(
            CAPTURE_COLUMNS,
            OfCapture(path, store.name(path) + ".json", identity.size, damage, capture, session.summary),
        )
        head = Head(settings.fingerprint, path, identity, damage, cells, sink.aggregate.stored(), sink.connection_bytes)
        with Writing(document.path):
            sink.document.write_capture(capture)
            sink.document.close(session.summary)
        rows.write(head.line())
        with Writing(rows.path):
            for line in sink.connections:
                rows.write(line)
        for finding in capture.findings:
            rows.write(sink.finding(finding, None))
        with Writing(rows.path):
            for line in sink.findings:
                rows.write(line)
        document.keep()
        rows.keep()
    return head


class _Sink:
    """Takes the connections of one capture as they end. ``session``: what reads it."""

    session: Session

    def __init__(self, settings: Settings, one: Input, document: AtomicFile) -> None:
        self._path = one.path
        self._files = one.files
        self.first_path = one.files[0] if one.files else one.path  # what analyze calls it
        self._msl_ns = settings.options.msl_ns
        self._where = settings.directory
        self.document = JsonDocument(document, settings.options, settings.directory)
        self.connections = Spool(settings.directory)
        self.findings = Spool(settings.directory)
        self.connection_bytes = 0
        self.aggregate = Aggregate()

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """A connection is over."""
        report: ConnectionReport = connection_report(conn, findings, self._msl_ns)
        line = dumps(row(CONNECTION_COLUMNS, OfConnection(self._path, report))) + "\n"
        self.connection_bytes += len(line)
        with Writing(f"in {self._where}"):
            self.document.add(report)
            self.connections.add(report.stream, line)
            for finding in report.findings:
                self.findings.add(report.stream, self.finding(finding, report))
        self.aggregate.connection(self._path, report)
        self.aggregate.fold(MOST)

    def finding(self, finding: Finding, report: ConnectionReport | None) -> str:
        """The row of a finding; ``report``: of its connection."""
        file, frame = self._place(finding.frame) if self._files and finding.frame is not None else (None, None)
        return dumps(row(FINDING_COLUMNS, OfFinding(self._path, finding, report, file, frame))) + "\n"

    def _place(self, frame: int) -> tuple[str, int]:
        """The file of a series in which a frame is, and its number there."""
        read = self.session.facts.files  # those that have ended
        index = bisect_right(read, frame, key=lambda file: file.first_frame) - 1
        if index + 1 == len(read) < len(self._files):
            before = read[index].first_frame + read[index].frames - 1 if read else 0
            if frame > before:
                return self._files[len(read)], frame - before
        return read[index].name, frame - read[index].first_frame + 1

    def close(self) -> None:
        """Drop the temporary files."""
        self.document.discard()
        self.connections.close()
        self.findings.close()
