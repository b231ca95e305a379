"""What :func:`tcpscope.analyze` and :func:`tcpscope.connections` do: source, session and report joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import BinaryIO, TypeAlias

from tcpscope.capture.join import in_order
from tcpscope.capture.source import open_source
from tcpscope.errors import FormatError
from tcpscope.options import Options
from tcpscope.pipeline import CollectorPause
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.model import ConnectionReport, Report
from tcpscope.report.session import Session
from tcpscope.rules.base import Finding
from tcpscope.state.connection import Connection

Input: TypeAlias = str | PathLike[str] | BinaryIO | Sequence[str | PathLike[str]]


def analyze(source: Input, options: Options | None = None) -> Report:
    """See :func:`tcpscope.analyze`."""
    options = options or Options()
    reports: list[ConnectionReport] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        reports.append(connection_report(conn, findings, options.msl_ns))

    session = Session(options, keep)
    with CollectorPause():
        for _ in fed(session, source):
            pass
    reports.sort(key=lambda report: (report.stream, report.first_frame))
    capture = capture_report(
        session.facts, session.facts.files[0].name, session.findings, tuple(reports), session.diagnosis
    )
    return Report(capture, session.summary)


def connections(source: Input, options: Options | None = None) -> Iterator[ConnectionReport]:
    """See :func:`tcpscope.connections`."""
    options = options or Options()
    ended: list[ConnectionReport] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        ended.append(connection_report(conn, findings, options.msl_ns))

    for _ in fed(Session(options, keep), source):
        yield from ended
        ended.clear()
    yield from ended


def fed(session: Session, source: Input) -> Iterator[None]:
    """Feed a whole capture; yields between two chunks."""
    parts = (
        [part.path for part in in_order(source)]
        if isinstance(source, Sequence) and not isinstance(source, str)
        else [source]
    )
    for part in parts:
        with open_source(part) as opened:
            session.begin_file(opened.name)
            while (data := opened.read()) and session.feed(data):
                yield
            session.end_file(opened.name, opened.compression, opened.damage, opened.damage_offset)
    session.finish()
    facts = session.facts
    if not facts.format:
        raise FormatError(f"{facts.files[0].name}: {facts.damage}", facts.damage_offset)
