"""One capture from bytes to judged connections, without input or output: what every front end feeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcpscope.crypto.keylog import KeyLog, read_key_logs
from tcpscope.crypto.keys import KeyStore
from tcpscope.pipeline import CaptureFacts, CollectorPause, Pipeline
from tcpscope.report.model import Summary
from tcpscope.rules import judge_for
from tcpscope.rules.diagnosis import Tally
from tcpscope.rules.judge import CLEAN, Judge, Opinion
from tcpscope.rules.quiet import Quiet
from tcpscope.rules.symptoms import NAMES, NONE, symptom
from tcpscope.state.connection import Connection
from tcpscope.state.zeek import SERVER_PORTS

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.rules.base import Finding
    from tcpscope.rules.diagnosis import Diagnosis

ALL_STREAMS: Final = -1


class Threshold:
    """What a sink still wants: connections worse than ``severity``, or as bad and with a number below ``stream``.

    A sink that shows only the worst raises it as it goes (``rises``). Connections behind it are judged and counted, and no more.
    """

    def __init__(self, *, rises: bool = False) -> None:
        self.rises: bool = rises
        self.severity: i64 = CLEAN + 1
        self.stream: i64 = 0

    def passes(self, severity: i64, stream: i64) -> bool:
        """Whether the sink wants a connection with such a worst finding."""
        return severity < self.severity or (severity == self.severity and stream < self.stream)


class Session:
    """Feed the bytes of one capture and end its file, or of several files with ``next_file`` between them; then finish.

    ``sink`` gets each connection with its findings when it is over; ``stream`` limits judging and counting to the
    connection of that number; ``threshold`` says which connections the sink can do without; ``keylog`` holds what was read
    of the options' key logs, for a caller who has done so.
    After :meth:`finish`, ``facts``, ``findings`` and ``diagnosis`` are those of the capture.
    """

    def __init__(
        self,
        options: Options,
        sink: Callable[[Connection, list[Finding]], None],
        stream: int | None = None,
        threshold: Threshold | None = None,
        keylog: KeyLog | None = None,
    ) -> None:
        self.summary: Summary = Summary(captures=1)
        self.findings: list[Finding] = []
        self.diagnosis: Diagnosis | None = None
        self._sink = sink
        self._symptoms: list[int] = [0] * len(NAMES)  # connections that have each
        self._passed_over: i64 = 0  # connections without symptom or finding
        self._tally: Tally = Tally()
        self._msl_ns: i64 = options.msl_ns
        self._stream: i64 = ALL_STREAMS if stream is None else stream
        self._threshold: Threshold = Threshold() if threshold is None else threshold
        self._judge: Judge = judge_for(options)
        self.pipeline: Pipeline = Pipeline(
            self._over,
            options.msl_ns,
            options.verify_checksums,
            options.max_connections,
            options.zeek,
            options.salvage,
            SERVER_PORTS if options.zeek_server_ports is None else frozenset(options.zeek_server_ports),
        )
        if self._threshold.rises and stream is None:
            self.pipeline.look_ahead(_Outlook(self))
        log: KeyLog = read_key_logs(options.keylog) if keylog is None else keylog
        self.pipeline.flows.secrets = KeyStore(log, self.pipeline.reader)

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
        self._symptoms[NONE] += self._passed_over
        self._judge.clean.connections += self._passed_over
        for opinion in (self._judge.clean, *self._judge.alike.values()):
            self._count(opinion.findings, opinion.connections)
        self.diagnosis = self._tally.diagnosis(self._symptoms)
        self.findings = self._judge.capture(facts)
        self.summary.count(self.findings, of_connection=False)

    def _over(self, conn: Connection) -> None:
        if self._stream >= 0 and conn.stream != self._stream:
            return
        found: i64 = symptom(conn, self._msl_ns)
        code: i64 = found >> 1
        before: int = self._symptoms[code]
        if code != NONE and before == 0:
            self._tally.first(conn, found)
        self._symptoms[code] = before + 1
        opinion: Opinion | None = self._judge.opinion(conn)
        if opinion is not None and not self._threshold.passes(opinion.severity, conn.stream):
            opinion.connections += 1
            return
        findings = self._judge.connection(conn)
        self._count(findings, 1)
        self._sink(conn, findings)

    def pass_over(self, conn: Connection) -> bool:
        """Count a connection of which there is nothing to tell, if the sink can do without it."""
        if self._threshold.passes(CLEAN, conn.stream) or not self.pipeline.count_quiet(conn):
            return False
        self._passed_over += 1
        return True

    def _count(self, findings: list[Finding], times: int) -> None:
        """Count the findings of one connection, or of several alike."""
        self.summary.connections += times
        if findings and times:
            self.summary.with_findings += times
            self.summary.count(findings, of_connection=True, times=times)


class _Outlook(Quiet):
    """Has connections of which there is nothing to tell counted by their session."""

    def __init__(self, session: Session) -> None:
        self.session: Session = session

    def pass_over(self, conn: Connection) -> bool:
        """See :meth:`Session.pass_over`."""
        return self.session.pass_over(conn)
