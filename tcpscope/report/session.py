"""One capture from bytes to judged connections, without input or output: what every front end feeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpscope.pipeline import CaptureFacts, CollectorPause, Pipeline
from tcpscope.report.model import Summary
from tcpscope.rules import Judge
from tcpscope.state.zeek import SERVER_PORTS

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


class Session:
    """Feed the bytes of one capture and end its file, or of several files with ``next_file`` between them; then finish.

    ``sink`` gets each connection with its findings when it is over; ``stream`` limits judging and counting to the
    connection of that number. After :meth:`finish`, ``facts`` and ``findings`` are those of the capture.
    """

    def __init__(
        self, options: Options, sink: Callable[[Connection, list[Finding]], None], stream: int | None = None
    ) -> None:
        self.summary = Summary(captures=1)
        self.findings: list[Finding] = []
        self._sink = sink
        self._stream = stream
        self._judge = Judge(options)
        self.pipeline = Pipeline(
            self._over,
            options.msl_ns,
            options.verify_checksums,
            options.max_connections,
            options.zeek,
            options.salvage,
            SERVER_PORTS if options.zeek_server_ports is None else frozenset(options.zeek_server_ports),
        )

    @property
    def facts(self) -> CaptureFacts:
        """The facts of the capture so far; complete after :meth:`finish`."""
        return self.pipeline.facts

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        if self.pipeline.file_ended:
            self.pipeline.next_file()

    def feed(self, data: bytes) -> bool:
        """The next bytes, in chunks of any size. False: the capture has ended, by damage or since it is none."""
        with CollectorPause():
            self.pipeline.feed(data)
        return not self.pipeline.reader.ended

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file. ``stopped``: one line on why not, where it would have gone on, and at which byte."""
        with CollectorPause():
            self.pipeline.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """No more files."""
        with CollectorPause():
            facts = self.pipeline.finish()
        self.summary.frames = facts.frames
        self.findings = self._judge.capture(facts)
        self.summary.count(self.findings, of_connection=False)

    def _over(self, conn: Connection) -> None:
        if self._stream is not None and conn.stream != self._stream:
            return
        findings = self._judge.connection(conn)
        self.summary.connections += 1
        if findings:
            self.summary.with_findings += 1
            self.summary.count(findings, of_connection=True)
        self._sink(conn, findings)
