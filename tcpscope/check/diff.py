"""Two captures, or reports of ``analyze --format json``, compared connection by connection: verdicts, findings, timings.

Connections are matched by what they are, not by numbers, addresses or ephemeral ports, which the next recording has others of:
those whose server has the same port and that ask for the same host (SNI) in the order in which they began, then, of what is left,
those with the same port. Where a service has more connections on one side, those that are alike are matched first, so that one
connection more is told as that. A value that one side cannot tell is no difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcpscope.capture.remote import is_url
from tcpscope.check.fingerprint import EPHEMERAL
from tcpscope.crypto.keylog import read_key_logs
from tcpscope.errors import BaselineError, FormatError
from tcpscope.many.reading import read_capture
from tcpscope.report.build import connection_report, ordered
from tcpscope.report.json_connection import connection_json
from tcpscope.report.json_report import SCHEMA
from tcpscope.report.problems import problems_of
from tcpscope.report.session import Session
from tcpscope.rules.words import address_port

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection

# What is compared: what it is called, and where it stands in a connection of the JSON report.
VERDICTS: Final = (
    ("handshake", "handshake.verdict"),
    ("teardown", "teardown.verdict"),
    ("active closer", "teardown.active_closer"),
    ("TIME-WAIT", "time_wait.verdict"),
    ("TLS", "tls.verdict"),
    ("TLS version", "tls.version"),
    ("cipher suite", "tls.cipher_suite"),
    ("SNI", "tls.sni"),
    ("ALPN", "tls.alpn"),
    ("TLS resumed", "tls.resumed"),
    ("trouble", "diagnosis.where"),
)
TIMINGS: Final = (
    ("handshake", "handshake.rtt"),
    ("duration", "duration"),
    ("round trip of the client, median", "rtt.client.median"),
    ("round trip of the server, median", "rtt.server.median"),
    ("response, median", "responses.median"),
    ("response, slowest", "responses.max"),
    ("client thinking", "time.shares.client_thinking"),
    ("server thinking", "time.shares.server_thinking"),
    ("stalled by loss", "time.shares.loss"),
    ("stalled by window", "time.shares.window"),
)

MAX_ALIGNED: Final = 1000
"""Connections of a service that are matched by likeness: the work grows with the square."""


class Seen(NamedTuple):
    """A finding. Two are the same if rule and side are."""

    code: str
    name: str
    severity: str
    side: str | None
    message: str
    frame: int | None

    @property
    def kind(self) -> tuple[str, str]:
        """What makes it the same in another capture."""
        return self.code, self.side or ""


class Compared(NamedTuple):
    """What is compared of a connection. ``timings`` are seconds; both are in the order of the tables above."""

    stream: int
    client: str
    server: str
    port: int
    verdicts: tuple[str | None, ...]
    timings: tuple[float | None, ...]
    findings: tuple[Seen, ...]

    @property
    def sni(self) -> str | None:
        """The host that the client asked for."""
        return self.verdicts[7]

    @property
    def shape(self) -> tuple[object, ...]:
        """What likeness is judged by: all but times."""
        return self.verdicts, tuple(sorted(finding.kind for finding in self.findings))


class Capture(NamedTuple):
    """One capture of a side. ``damage``: what of it could not be read."""

    path: str
    connections: tuple[Compared, ...]
    findings: tuple[Seen, ...]
    damage: str


class Change(NamedTuple):
    """A verdict that is another one."""

    what: str
    old: str | None
    new: str | None


class Slip(NamedTuple):
    """A time beyond the tolerance, in seconds."""

    what: str
    old: float
    new: float


class Pair(NamedTuple):
    """Two connections, or one that the other side lacks, and how they differ."""

    old: Compared | None
    new: Compared | None
    changes: tuple[Change, ...] = ()
    slips: tuple[Slip, ...] = ()
    gone: tuple[Seen, ...] = ()
    come: tuple[Seen, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether there is anything to say."""
        return None in (self.old, self.new) or bool(self.changes or self.slips or self.gone or self.come)


class CaptureDiff(NamedTuple):
    """Two captures compared; one of them is None where it has no counterpart. ``gone`` and ``come`` are about the captures."""

    old: Capture | None
    new: Capture | None
    pairs: tuple[Pair, ...] = ()
    gone: tuple[Seen, ...] = ()
    come: tuple[Seen, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether they differ."""
        lacking = self.old is None or self.new is None
        return lacking or bool(self.gone or self.come) or any(pair.differs for pair in self.pairs)


class Tolerance(NamedTuple):
    """Times differ if they do so by more than ``share`` of the old one and by more than ``floor`` seconds. None: they never do."""

    share: float
    floor: float

    def exceeded(self, old: float, new: float) -> bool:
        """Whether the difference counts."""
        return abs(new - old) > max(self.floor, self.share * old)


def compare(old: Sequence[Capture], new: Sequence[Capture], tolerance: Tolerance | None) -> list[CaptureDiff]:
    """Compare captures: two by themselves, several by their paths."""
    if len(old) == len(new) == 1:
        return [_captures(old[0], new[0], tolerance)]
    others: dict[str, list[Capture]] = {}
    for capture in new:
        others.setdefault(capture.path, []).append(capture)
    result = [
        _captures(capture, others[capture.path].pop(0), tolerance)
        if others.get(capture.path)
        else CaptureDiff(capture, None)
        for capture in old
    ]
    return [*result, *(CaptureDiff(None, capture) for left in others.values() for capture in left)]


def _captures(old: Capture, new: Capture, tolerance: Tolerance | None) -> CaptureDiff:
    pairs = tuple(_pair(one, other, tolerance) for one, other in match(old.connections, new.connections))
    return CaptureDiff(old, new, pairs, _lacking(old.findings, new.findings), _lacking(new.findings, old.findings))


def _pair(old: Compared | None, new: Compared | None, tolerance: Tolerance | None) -> Pair:
    if old is None or new is None:
        return Pair(old, new)
    verdicts = zip(VERDICTS, old.verdicts, new.verdicts, strict=True)
    times = zip(TIMINGS, old.timings, new.timings, strict=True)
    return Pair(
        old,
        new,
        tuple(Change(what, one, other) for (what, _), one, other in verdicts if one != other),
        tuple(
            Slip(what, one, other)
            for (what, _), one, other in times
            if tolerance is not None and one is not None and other is not None and tolerance.exceeded(one, other)
        ),
        _lacking(old.findings, new.findings),
        _lacking(new.findings, old.findings),
    )


def _lacking(findings: Sequence[Seen], others: Iterable[Seen]) -> tuple[Seen, ...]:
    """The findings that are not among the others."""
    left = Counter(finding.kind for finding in others)
    lacking = []
    for finding in findings:
        left[finding.kind] -= 1
        if left[finding.kind] < 0:
            lacking.append(finding)
    return tuple(lacking)


# Matching

Matched = list[tuple[Compared | None, Compared | None]]


def match(old: Sequence[Compared], new: Sequence[Compared]) -> Matched:
    """Which connection is which, in the order of the old ones; those that only one side has stand where they began."""

    def port(one: Compared) -> tuple[object, ...]:
        return (min(one.port, EPHEMERAL),)

    def service(one: Compared) -> tuple[object, ...]:
        return (*port(one), one.sni)

    matched, old_left, new_left = _by(service, old, new)
    more, old_left, new_left = _by(port, old_left, new_left)
    pairs: Matched = [*matched, *more, *((one, None) for one in old_left), *((None, one) for one in new_left)]
    return sorted(pairs, key=_order)


def _order(pair: tuple[Compared | None, Compared | None]) -> tuple[int, bool]:
    old, new = pair
    return (old.stream, False) if old is not None else (-1 if new is None else new.stream, True)


def _by(
    key: Callable[[Compared], tuple[object, ...]], old: Sequence[Compared], new: Sequence[Compared]
) -> tuple[Matched, list[Compared], list[Compared]]:
    """Pairs of connections with the same key, and what is left on both sides."""
    ours, theirs = _grouped(key, old), _grouped(key, new)
    pairs: Matched = []
    for name, group in ours.items():
        pairs += _aligned(group, theirs.get(name, []))
    taken = {id(one) for pair in pairs for one in pair}
    return pairs, [one for one in old if id(one) not in taken], [one for one in new if id(one) not in taken]


def _grouped(
    key: Callable[[Compared], tuple[object, ...]], connections: Iterable[Compared]
) -> dict[tuple[object, ...], list[Compared]]:
    groups: dict[tuple[object, ...], list[Compared]] = {}
    for one in connections:
        groups.setdefault(key(one), []).append(one)
    return groups


def _aligned(old: Sequence[Compared], new: Sequence[Compared]) -> Iterator[tuple[Compared, Compared]]:
    """Pairs of two groups, in order."""
    if len(old) == len(new) or max(len(old), len(new)) > MAX_ALIGNED:
        yield from zip(old, new, strict=False)
        return
    blocks = SequenceMatcher(None, [one.shape for one in old], [one.shape for one in new], autojunk=False)
    for _, old_from, old_to, new_from, new_to in blocks.get_opcodes():
        yield from zip(old[old_from:old_to], new[new_from:new_to], strict=False)


# Reading


def read_side(path: str, options: Options, codes: frozenset[str] | None = None) -> list[Capture]:
    """The captures of a file that is a capture or a report. ``codes``: rules whose findings are compared; None: all.

    :raises TcpscopeError: it cannot be read, or is neither.
    """
    if is_report(path):
        return list(_report(path, codes))
    return [_capture(path, options, codes)]


def is_report(path: str) -> bool:
    """Whether a file begins as a JSON document does, which no capture does."""
    if path == "-" or is_url(path):
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except (OSError, ValueError):
        return False


def _capture(path: str, options: Options, codes: frozenset[str] | None) -> Capture:
    connections: list[tuple[int, Compared]] = []

    def keep(conn: Connection, findings: list[Finding]) -> None:
        report = connection_report(conn, findings, options.msl_ns)
        connections.append((report.first_frame, _connection(json.loads(connection_json(report)), codes)))

    session = Session(options, keep, keylog=read_key_logs(options.keylog))
    read_capture(path, session)
    if not session.facts.format:
        raise FormatError(f"{path}: {session.facts.damage}", session.facts.damage_offset)
    connections.sort(key=lambda pair: (pair[1].stream, pair[0]))
    findings = [
        Seen(one.code, one.name, str(one.severity), one.side, one.message, one.frame)
        for one in ordered(session.findings)
        if codes is None or one.code in codes
    ]
    damage = "; ".join(problems_of(session.pipeline))
    return Capture(path, tuple(connection for _, connection in connections), tuple(findings), damage)


def _report(path: str, codes: frozenset[str] | None) -> Iterator[Capture]:
    """The captures of a report of ``analyze --format json``."""
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BaselineError(f"cannot read the report {path}: {error}") from None
    captures = _at(document, "captures")
    if _at(document, "schema") != SCHEMA or not isinstance(captures, list) or _at(document, "kind") is not None:
        raise BaselineError(f"{path} is no report of `tcpscope analyze --format json` (schema {SCHEMA})")
    for capture in captures:
        listed = _at(capture, "connections")
        if not isinstance(listed, list):
            raise BaselineError(f"the report {path} is damaged: a capture without connections")
        damage = "" if _at(capture, "complete") is not False else _word(_at(capture, "damage")) or "damaged"
        connections = tuple(_connection(connection, codes) for connection in listed)
        yield Capture(_word(_at(capture, "path")) or path, connections, _findings(capture, codes), damage)


def _connection(connection: Any, codes: frozenset[str] | None) -> Compared:
    """From the object that the JSON report has of it. What is not there, or no such value, is as if it could not be told."""
    client, server = (_end(_at(connection, side)) for side in ("client", "server"))
    return Compared(
        int(_number(_at(connection, "stream")) or 0),
        address_port(*client),
        address_port(*server),
        server[1],
        tuple(_word(_at(connection, place)) for _, place in VERDICTS),
        tuple(_number(_at(connection, place)) for _, place in TIMINGS),
        _findings(connection, codes),
    )


def _end(end: Any) -> tuple[str, int]:
    return _word(_at(end, "address")) or "?", int(_number(_at(end, "port")) or 0)


def _findings(holder: Any, codes: frozenset[str] | None) -> tuple[Seen, ...]:
    listed = _at(holder, "findings")
    seen = []
    for one in listed if isinstance(listed, list) else ():
        code, name, severity, side, message = (
            _word(_at(one, key)) for key in ("code", "name", "severity", "side", "message")
        )
        frame = _number(_at(one, "frame"))
        if code and (codes is None or code in codes):
            number = None if frame is None else int(frame)
            seen.append(Seen(code, name or "", severity or "note", side, message or "", number))
    return tuple(seen)


def _at(value: Any, place: str) -> Any:
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18 else None
