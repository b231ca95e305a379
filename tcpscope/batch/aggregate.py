"""What all connections of many captures come to: by server, client, name, hour and rule. Made a capture, then merged.

Merging is exact as long as a dimension has at most :data:`MOST` keys; beyond that, keys of little weight are put together, and
``folded`` says how many, so that memory follows neither the connections nor the hosts of a scan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tcpscope.batch.columns import cut_at_end, cut_at_start
from tcpscope.batch.listed import Listed, Worst
from tcpscope.batch.sketch import Sketch
from tcpscope.report.model import SEVERITIES
from tcpscope.rules.diagnosis import NOWHERE

if TYPE_CHECKING:
    from tcpscope.crypto.certificates import CertificateReport
    from tcpscope.report.model import ConnectionReport, Summary

MOST: Final = 2000
"""Keys of a dimension that are kept apart."""

MOST_EXPIRING: Final = 500
SOON_NS: Final = 90 * 86_400 * 10**9
"""A certificate that ends so long after it was seen, or before, is told."""

HOUR_NS: Final = 3600 * 10**9
UNOPENED: Final = ("refused", "unanswered", "half-open", "aborted")
"""Verdicts on a handshake that failed, and by which it failed."""

SERVERS, CLIENTS, NAMES, HOURS, RULES = "servers", "clients", "names", "hours", "rules"
DIMENSIONS: Final = (SERVERS, CLIENTS, NAMES, HOURS, RULES)


@dataclass(slots=True)
class Group:
    """Connections with something in common. ``rtt``: from SYN to ACK, one sample a connection."""

    connections: int = 0
    with_findings: int = 0
    error: int = 0  # connections whose worst finding is one
    warning: int = 0
    data_segments: int = 0
    retransmitted: int = 0
    bytes: int = 0
    unopened: Counter[str] = field(default_factory=Counter)
    resets: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    ciphers: Counter[str] = field(default_factory=Counter)
    rtt: Sketch = field(default_factory=Sketch)

    def add(self, report: ConnectionReport, worst: str) -> None:
        """Count one connection."""
        self.connections += 1
        self.with_findings += bool(worst)
        self.error += worst == "error"
        self.warning += worst == "warning"
        for side in (report.client_side.traffic, report.server_side.traffic):
            self.data_segments += side.payload_segments
            self.retransmitted += side.retransmitted_segments
            self.bytes += side.payload_bytes
        if report.handshake.verdict in UNOPENED:
            self.unopened[report.handshake.verdict] += 1
        if report.reset_by is not None:
            self.resets[report.reset_by] += 1
        if report.tls is not None:
            if report.tls.version is not None:
                self.versions[report.tls.version] += 1
            if report.tls.cipher_suite is not None:
                self.ciphers[report.tls.cipher_suite] += 1
        if report.handshake.rtt_ns is not None:
            self.rtt.add(report.handshake.rtt_ns)

    def merge(self, other: Group) -> None:
        """Count the connections of another group."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.rtt.merge(other.rtt)

    @property
    def weight(self) -> tuple[int, int, int]:
        """How much a report has to say of it."""
        return self.error, self.warning, self.connections

    def stored(self) -> list[Any]:
        """As JSON: numbers, counters, sketch."""
        counters = [dict(sorted(getattr(self, name).items())) for name in _COUNTERS]
        return [[getattr(self, name) for name in _NUMBERS], counters, self.rtt.pairs()]

    @classmethod
    def load(cls, stored: list[Any]) -> Group:
        """What :meth:`stored` gave."""
        numbers, counters, pairs = stored
        group = cls(*numbers)
        for name, counts in zip(_COUNTERS, counters, strict=True):
            getattr(group, name).update(counts)
        group.rtt = Sketch((bucket, count) for bucket, count in pairs)
        return group


_NUMBERS: Final = ("connections", "with_findings", "error", "warning", "data_segments", "retransmitted", "bytes")
_COUNTERS: Final = ("unopened", "resets", "versions", "ciphers")


@dataclass(slots=True)
class RuleTotal:
    """How often a rule fired, and where."""

    name: str
    severity: str
    findings: int = 0
    connections: int = 0
    captures: int = 0


@dataclass(slots=True)
class Trouble:
    """Connections to one server with the same worst finding: how many, and the first of them."""

    code: str
    server: str
    severity: str
    path: str
    stream: int
    first_frame: int
    client: str
    name: str
    sentence: str
    connections: int = 1


@dataclass(slots=True)
class Certificate:
    """A certificate that ends soon, or had ended when it was ``seen`` last (nanoseconds since 1970)."""

    sha256: str
    not_after: str
    subject: str
    names: str
    server: str
    seen: int
    connections: int = 1


class Aggregate:
    """All of it, of one capture or of many. ``cut``: connections that were open at the ``start`` or ``end`` of a capture, and at either."""

    def __init__(self) -> None:
        self.total = Group()
        self.groups: dict[str, dict[str, Group]] = {name: {} for name in DIMENSIONS}
        self.others: dict[str, Group] = {name: Group() for name in DIMENSIONS}
        self.folded: Counter[str] = Counter()
        self.rules: dict[str, RuleTotal] = {}
        self.troubles: dict[tuple[str, str], Trouble] = {}
        self.certificates: dict[str, Certificate] = {}
        self.cut: Counter[str] = Counter()
        self.symptoms: Counter[str] = Counter()  # where the trouble sits and its kind, such as "network loss"
        self.listed = Worst()

    def connection(self, path: str, report: ConnectionReport) -> None:
        """Count one connection."""
        worst = str(report.findings[0].severity) if report.findings else ""  # the first one is the worst
        self.total.add(report, worst)
        name = report.tls.sni if report.tls is not None else None
        self._group(SERVERS, str(report.server)).add(report, worst)
        self._group(CLIENTS, report.client.address).add(report, worst)
        self._group(HOURS, str(report.start_ns // HOUR_NS)).add(report, worst)
        if name:
            self._group(NAMES, name).add(report, worst)
        for code in {finding.code for finding in report.findings}:
            self._group(RULES, code).add(report, worst)
        if worst in SEVERITIES[:2]:
            self._trouble(path, report, name or "")
        start, end = cut_at_start(report), cut_at_end(report)
        if start or end:
            self.cut.update({"start": int(start), "end": int(end), "either": 1})
        for one in () if report.tls is None else report.tls.certificates:
            self._certificate(one, report)
        if report.diagnosis.where != NOWHERE:
            self.symptoms[f"{report.diagnosis.where} {report.diagnosis.kind}"] += 1
        if worst:
            self.listed.add(Listed.of(path, report))

    def capture(self, summary: Summary) -> None:
        """Count the findings by rule of one capture, and keep what is kept of it."""
        for code, count in summary.by_rule.items():
            self.rules[code] = RuleTotal(count.name, str(count.severity), count.findings, count.connections, 1)
        self.listed.finish()
        self.fold()

    def merge(self, other: Aggregate) -> None:
        """Add another one. The order in which several are merged says which connection stands for its like."""
        self.total.merge(other.total)
        for dimension in DIMENSIONS:
            for key, group in other.groups[dimension].items():
                self._group(dimension, key).merge(group)
            self.others[dimension].merge(other.others[dimension])
        self.folded.update(other.folded)
        for code, rule in other.rules.items():
            mine = self.rules.setdefault(code, RuleTotal(rule.name, rule.severity))
            mine.severity = min(mine.severity, rule.severity, key=SEVERITIES.index)
            mine.findings += rule.findings
            mine.connections += rule.connections
            mine.captures += rule.captures
        for place, trouble in other.troubles.items():
            self._merge_trouble(place, trouble)
        for certificate in other.certificates.values():
            self._merge_certificate(certificate)
        self.cut.update(other.cut)
        self.symptoms.update(other.symptoms)
        self.listed.merge(other.listed)
        self.fold(MOST // 2)

    def fold(self, slack: int = 0) -> None:
        """Put keys of little weight together where there are more than :data:`MOST` and ``slack``."""
        for dimension, groups in self.groups.items():
            if len(groups) > MOST + slack:
                for key in sorted(groups, key=lambda key: (groups[key].weight, key))[: len(groups) - MOST]:
                    self.others[dimension].merge(groups.pop(key))
                    self.folded[dimension] += 1
        if len(self.troubles) > MOST + slack:
            self.troubles = {(one.code, one.server): one for one in self.worst()[:MOST]}
        if len(self.certificates) > MOST_EXPIRING + slack:
            self.certificates = {one.sha256: one for one in self.expiring()[:MOST_EXPIRING]}

    def worst(self) -> list[Trouble]:
        """Kinds of trouble: errors first, then what most connections have."""
        return sorted(
            self.troubles.values(),
            key=lambda one: (SEVERITIES.index(one.severity), -one.connections, one.code, one.server),
        )

    def expiring(self) -> list[Certificate]:
        """Certificates, the one that ends first at the top."""
        return sorted(self.certificates.values(), key=lambda one: (one.not_after, one.sha256))

    def top(self, dimension: str) -> list[tuple[str, Group]]:
        """The groups of a dimension: hours in their order, others by what there is to say of them."""
        groups = self.groups[dimension].items()
        if dimension == HOURS:
            return sorted(groups, key=lambda item: int(item[0]))
        return sorted(groups, key=lambda item: ([-number for number in item[1].weight], item[0]))

    def _group(self, dimension: str, key: str) -> Group:
        groups = self.groups[dimension]
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group()
        return group

    def _trouble(self, path: str, report: ConnectionReport, name: str) -> None:
        finding, server = report.findings[0], str(report.server)
        sentence = report.diagnosis.summary if report.diagnosis.where != NOWHERE else finding.message
        severity, client = str(finding.severity), str(report.client)
        trouble = Trouble(
            finding.code, server, severity, path, report.stream, report.first_frame, client, name, sentence
        )
        self._merge_trouble((finding.code, server), trouble)

    def _merge_trouble(self, place: tuple[str, str], other: Trouble) -> None:
        mine = self.troubles.get(place)
        if mine is None:
            self.troubles[place] = other
            return
        connections = mine.connections + other.connections
        if SEVERITIES.index(other.severity) < SEVERITIES.index(mine.severity):
            self.troubles[place] = mine = other
        mine.connections = connections

    def _certificate(self, one: CertificateReport, report: ConnectionReport) -> None:
        if one.not_after is not None and _nanoseconds(one.not_after) < report.start_ns + SOON_NS:
            names = ", ".join(one.names[:3])
            self._merge_certificate(
                Certificate(one.sha256, one.not_after, one.subject or "", names, str(report.server), report.start_ns)
            )

    def _merge_certificate(self, other: Certificate) -> None:
        mine = self.certificates.get(other.sha256)
        if mine is None:
            self.certificates[other.sha256] = other
            return
        mine.connections += other.connections
        mine.server = min(mine.server, other.server)
        mine.seen = max(mine.seen, other.seen)

    def stored(self) -> dict[str, Any]:
        """As JSON, in an order that depends on nothing but what was counted."""
        return {
            "total": self.total.stored(),
            "groups": {name: {key: one.stored() for key, one in _sorted(self.groups[name])} for name in DIMENSIONS},
            "others": {name: self.others[name].stored() for name in DIMENSIONS},
            "folded": dict(self.folded),
            "rules": {code: _fields(rule) for code, rule in _sorted(self.rules)},
            "troubles": [_fields(one) for one in self.worst()],
            "certificates": [_fields(one) for one in self.expiring()],
            "cut": dict(sorted(self.cut.items())),
            "symptoms": dict(_sorted(self.symptoms)),
            "listed": self.listed.stored(),
        }

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Aggregate:
        """What :meth:`stored` gave."""
        new = cls()
        new.total = Group.load(stored["total"])
        for name in DIMENSIONS:
            new.groups[name] = {key: Group.load(one) for key, one in stored["groups"][name].items()}
            new.others[name] = Group.load(stored["others"][name])
        new.folded.update(stored["folded"])
        new.rules = {code: RuleTotal(*fields) for code, fields in stored["rules"].items()}
        troubles: Iterable[Trouble] = (Trouble(*fields) for fields in stored["troubles"])
        new.troubles = {(one.code, one.server): one for one in troubles}
        certificates: Iterable[Certificate] = (Certificate(*fields) for fields in stored["certificates"])
        new.certificates = {one.sha256: one for one in certificates}
        new.cut.update(stored["cut"])
        new.symptoms.update(stored["symptoms"])
        new.listed = Worst.load(stored["listed"])
        return new


def _fields(record: RuleTotal | Trouble | Certificate) -> list[str | int]:
    return [getattr(record, name) for name in record.__slots__]


def _sorted(items: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return iter(sorted(items.items()))


def _nanoseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp()) * 10**9
