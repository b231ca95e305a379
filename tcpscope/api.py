"""What :func:`tcpscope.analyze` and :func:`tcpscope.connections` do: source, session and report joined."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO, TypeAlias

from tcpscope.capture.source import open_source
from tcpscope.errors import FormatError
from tcpscope.options import Options
from tcpscope.pipeline import CollectorPause
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.model import ConnectionReport, Report
from tcpscope.report.session import Session
from tcpscope.rules.base import Finding
from tcpscope.state.connection import Connection

Input: TypeAlias = str | PathLike[str] | BinaryIO


def analyze(source: Input, options: Options | None = None) -> Report:
    """See :func:`tcpscope.analyze`."""
    options = options or Options()
    reports: list[ConnectionReport] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        reports.append(connection_report(conn, findings, options.msl_ns))

    session = Session(options, keep)
    with open_source(source) as opened, CollectorPause():
        while (data := opened.read()) and session.feed(data):
            pass
        session.finish(opened.damage, opened.damage_offset)
        _recognised(session, opened.name)
        reports.sort(key=lambda report: (report.stream, report.first_frame))
        capture = capture_report(session.facts, opened.name, session.findings, opened.compression, tuple(reports))
    return Report(capture, session.summary)


def connections(source: Input, options: Options | None = None) -> Iterator[ConnectionReport]:
    """See :func:`tcpscope.connections`."""
    options = options or Options()
    ended: list[ConnectionReport] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        ended.append(connection_report(conn, findings, options.msl_ns))

    session = Session(options, keep)
    with open_source(source) as opened:
        more = True
        while more and (data := opened.read()):
            more = session.feed(data)
            yield from ended
            ended.clear()
        session.finish(opened.damage, opened.damage_offset)
        _recognised(session, opened.name)
    yield from ended


def _recognised(session: Session, name: str) -> None:
    facts = session.facts
    if not facts.format:
        raise FormatError(f"{name}: {facts.damage}", facts.damage_offset)
