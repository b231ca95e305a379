"""The JSON document of the output contract, written capture by capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tcpscope.many.spool import Spool
from tcpscope.report import json_report
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.json_connection import connection_json
from tcpscope.report.session import Threshold
from tcpscope.version import __version__

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import CaptureReport, ConnectionReport, Summary
    from tcpscope.report.session import Session
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


class Writer(Protocol):
    """Where text goes."""

    def write(self, text: str) -> object:
        """The next text."""


class JsonDocument:
    """One JSON document. Connections wait, encoded, in a temporary file: they end in another order than they began.

    It is one of the formats of ``analyze``. ``directory``: where the temporary file is.
    """

    streaming = False

    def __init__(self, output: Writer, options: Options, directory: str | None = None) -> None:
        self._output = output
        self._msl_ns = options.msl_ns
        self._path = ""
        self._captures = 0
        self._directory = directory
        self._spool = Spool(directory)
        self._errors: list[json_report.Value] = []
        self.threshold = Threshold()

    def begin(self) -> None:
        """Write the head of the document."""
        schema, version = json_report.dumps(json_report.SCHEMA), json_report.dumps(__version__)
        self._output.write(f'{{"schema":{schema},"version":{version},"captures":[')

    def start(self, path: str) -> None:
        """Forget the connections of the input before."""
        self._path = path
        self._spool.close()
        self._spool = Spool(self._directory)

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """Encode one connection."""
        self.add(connection_report(conn, findings, self._msl_ns))

    def add(self, report: ConnectionReport) -> None:
        """Encode one connection of which there is a report."""
        self._spool.add(report.stream, connection_json(report))

    def end(self, session: Session) -> None:
        """Write the capture with its connections, one a line."""
        self.write_capture(capture_report(session.facts, self._path, session.findings, diagnosis=session.diagnosis))

    def write_capture(self, capture: CaptureReport) -> None:
        """Write a capture of which there is a report, with its connections."""
        head = json_report.dumps(json_report.capture_object(capture))
        self._output.write((",\n" if self._captures else "\n") + head[:-1] + ',"connections":[')
        for index, connection in enumerate(self._spool):
            self._output.write((",\n" if index else "\n") + connection)
        self._output.write("]}")
        self._captures += 1

    def failed(self, message: str, offset: int | None) -> None:
        """Note it for the end of the document."""
        self._errors.append({"path": self._path, "message": message, "offset": offset})

    def close(self, summary: Summary) -> None:
        """Write what could not be read, and the summary."""
        errors, counts = json_report.dumps(self._errors), json_report.dumps(json_report.summary_object(summary))
        self._output.write(f'],\n"errors":{errors},\n"summary":{counts}}}\n')
        self.discard()

    def discard(self) -> None:
        """Drop the temporary file."""
        self._spool.close()
