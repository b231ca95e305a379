"""The connections with findings that a report lists one by one: the worst, as many as a page can bear."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

from tcpscope.report.model import SEVERITIES
from tcpscope.rules.diagnosis import NOWHERE

if TYPE_CHECKING:
    from tcpscope.report.model import ConnectionReport

MOST_LISTED: Final = 5000
"""Connections that are listed."""

MOST_SIGNS: Final = 400
"""Of a sentence or a name: text from the wire has no end."""


@dataclass(slots=True)
class Listed:
    """One connection. Times are nanoseconds; ``severity`` is a place in SEVERITIES, beyond them for one without findings."""

    severity: int
    findings: int
    path: str
    stream: int
    first_frame: int
    client: str
    server: str
    name: str
    handshake: str
    teardown: str
    tls: str
    start_ns: int
    duration_ns: int
    bytes: int
    retransmitted: int
    rtt_ns: int | None
    codes: str
    sentence: str

    @classmethod
    def of(cls, path: str, report: ConnectionReport) -> Listed:
        """What is listed of a connection."""
        findings, tls = report.findings, report.tls
        sides = (report.client_side.traffic, report.server_side.traffic)
        told = report.diagnosis.where != NOWHERE or not findings
        return cls(
            SEVERITIES.index(str(findings[0].severity)) if findings else len(SEVERITIES),
            sum(finding.count for finding in findings),
            path,
            report.stream,
            report.first_frame,
            str(report.client),
            str(report.server),
            ((tls.sni if tls is not None else None) or "")[:MOST_SIGNS],
            report.handshake.verdict,
            report.teardown.verdict,
            "" if tls is None else f"{tls.version or 'TLS'} {tls.verdict}",
            report.start_ns,
            report.duration_ns,
            sum(side.unique_bytes for side in sides),
            sum(side.retransmitted_segments for side in sides),
            report.handshake.rtt_ns,
            " ".join(dict.fromkeys(finding.code for finding in findings)),
            (report.diagnosis.summary if told else findings[0].message)[:MOST_SIGNS],
        )

    @property
    def place(self) -> tuple[str, int, int]:
        """What names the connection among all."""
        return self.path, self.stream, self.first_frame

    @property
    def rank(self) -> tuple[int, int]:
        """The worst finding, then how much there is to say."""
        return self.severity, -self.findings


class Worst:
    """The worst of many connections: of equally bad ones those that come first. ``left_out`` counts the others."""

    def __init__(self, most: int = MOST_LISTED) -> None:
        self.rows: list[Listed] = []
        self.left_out = 0
        self._most = most

    def add(self, one: Listed) -> None:
        """One connection of a capture; those of a capture come in any order."""
        self.rows.append(one)
        if len(self.rows) >= 2 * self._most:
            self.finish()

    def finish(self) -> None:
        """All connections of a capture are there."""
        self.rows.sort(key=lambda one: (one.rank, one.stream, one.first_frame))
        self._cut()

    def merge(self, other: Worst) -> None:
        """Those of the next capture."""
        self.left_out += other.left_out
        self.rows += other.rows
        if len(self.rows) >= 2 * self._most:
            self.in_order()

    def in_order(self) -> list[Listed]:
        """The worst first."""
        self.rows.sort(key=lambda one: one.rank)  # it keeps the order of captures
        self._cut()
        return self.rows

    def _cut(self) -> None:
        self.left_out += len(self.rows[self._most :])
        del self.rows[self._most :]

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"rows": [astuple(one) for one in self.rows], "left_out": self.left_out}

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Worst:
        """What :meth:`stored` gave."""
        new = cls()
        new.rows = [Listed(*fields) for fields in stored["rows"]]
        new.left_out = stored["left_out"]
        return new
