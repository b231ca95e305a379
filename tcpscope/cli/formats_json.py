"""The formats of ``analyze`` for programs: see :class:`tcpscope.cli.formats.Format` for the order of the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpscope.cli.output import Output
from tcpscope.report import json_report
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.json_connection import connection_json
from tcpscope.report.session import Threshold

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import Summary
    from tcpscope.report.session import Session
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


class JsonLinesFormat:
    """One JSON object a line: each connection as it ends, then the capture."""

    streaming = True

    def __init__(self, output: Output, options: Options) -> None:
        self._output = output
        self._msl_ns = options.msl_ns
        self._path = ""
        self.threshold = Threshold()

    def begin(self) -> None:
        """There is no head."""

    def start(self, path: str) -> None:
        """Remember whose connections come."""
        self._path = path

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """Write one connection."""
        report = connection_report(conn, findings, self._msl_ns)
        self._output.write(connection_json(report, self._path) + "\n")

    def end(self, session: Session) -> None:
        """Write the capture."""
        capture = capture_report(session.facts, self._path, session.findings, diagnosis=session.diagnosis)
        self._line({"capture": json_report.capture_object(capture)})

    def failed(self, message: str, offset: int | None) -> None:
        """Write the error in the place of the capture."""
        self._line({"error": {"path": self._path, "message": message, "offset": offset}})

    def close(self, summary: Summary) -> None:
        """There is no end."""

    def _line(self, value: json_report.Object) -> None:
        self._output.write(json_report.dumps(value) + "\n")
