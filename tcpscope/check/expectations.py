"""Whether a connection is as a policy expects it. Three-valued: what the capture cannot tell is neither met nor broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcpscope.check.globs import name_matches
from tcpscope.check.kinds import VersionRange, version_number
from tcpscope.check.policy import codes
from tcpscope.report.quantities import size
from tcpscope.rules import words
from tcpscope.rules.base import bounded

if TYPE_CHECKING:
    from tcpscope.report.model import ConnectionReport
    from tcpscope.report.model_tls import TlsReport
    from tcpscope.rules.base import Finding

MET: Final = "met"
BROKEN: Final = "broken"
UNDECIDED: Final = "undecided"


class Check(NamedTuple):
    """One key of an expectation, held against one connection. ``frames``: where it shows; ``why``: what the capture lacks."""

    key: str
    status: str
    expected: str
    actual: str
    frames: tuple[int, ...] = ()
    why: str = ""
    said: str = ""

    @property
    def message(self) -> str:
        """One sentence: ``expected handshake complete, was refused``."""
        if self.said:
            return self.said
        if self.status == UNDECIDED:
            return f"expected {self.key} {self.expected}, which the capture cannot tell: {self.why or self.actual}"
        return f"expected {self.key} {self.expected}, was {self.actual}"


def check(wanted: Iterable[tuple[str, Any]], connection: ConnectionReport, findings: Sequence[Finding]) -> list[Check]:
    """Hold all keys of an expectation against a connection. ``findings``: all of it, whatever the policy ignores."""
    connection = connection._replace(findings=tuple(findings))
    return [CHECKS[key](key, value, connection) for key, value in wanted]


def _verdict(
    key: str, wanted: tuple[str, ...], actual: str, cannot_tell: dict[str, str], frames: Iterable[int | None]
) -> Check:
    """A verdict that is to be one of several. ``cannot_tell``: verdicts that leave it open, and why."""
    status = MET if actual in wanted else UNDECIDED if actual in cannot_tell else BROKEN
    evidence = bounded(frame for frame in frames if frame is not None)
    return Check(key, status, " or ".join(wanted), actual, evidence, cannot_tell.get(actual, ""))


def _handshake(key: str, wanted: tuple[str, ...], connection: ConnectionReport) -> Check:
    seen = connection.handshake
    cannot_tell = {"partial": "part of it was not captured", "not-captured": "the capture begins later"}
    frames = [seen.syn, seen.syn_ack, seen.ack]
    if seen.verdict in {"refused", "aborted"}:
        frames.append(connection.reset)
    return _verdict(key, wanted, seen.verdict, cannot_tell, frames)


def _teardown(key: str, wanted: tuple[str, ...], connection: ConnectionReport) -> Check:
    seen = connection.teardown
    frames = [seen.fin, seen.fin_ack, seen.peer_fin, seen.final_ack, connection.reset]
    return _verdict(key, wanted, seen.verdict, _unfinished(connection), frames)


def _unfinished(connection: ConnectionReport) -> dict[str, str]:
    """The verdicts on a teardown that may be no more than the end of what was captured."""
    if connection.lossy or connection.one_sided:
        return dict.fromkeys(("open", "half-closed", "incomplete", "aborted", "reset-after-fin"), _lack(connection))
    if connection.ended_by in {"capture-end", "evicted"}:
        return dict.fromkeys(("open", "half-closed", "incomplete"), "the capture ends before it is closed")
    return {}


def _lack(connection: ConnectionReport) -> str:
    return "only one direction was captured" if connection.one_sided else "the capture lacks bytes of it"


def _closer(key: str, wanted: tuple[str, ...], connection: ConnectionReport) -> Check:
    seen = connection.teardown
    actual = seen.active_closer
    if actual is not None:
        return _verdict(key, wanted, actual, {}, [seen.fin, seen.peer_fin])
    if connection.reset is not None and seen.verdict == "aborted" and not connection.lossy:
        return Check(key, BROKEN, " or ".join(wanted), "nobody: it was reset", (connection.reset,))
    return Check(key, UNDECIDED, " or ".join(wanted), "unknown", (), "no FIN was captured")


def _time_wait(key: str, wanted: tuple[str, ...], connection: ConnectionReport) -> Check:
    seen = connection.time_wait
    cannot_tell = {"not-observed": "the capture is too short, or lacks too much"}
    if connection.teardown.verdict in _unfinished(connection):
        cannot_tell["not-applicable"] = "the capture ends before it is closed"
    return _verdict(key, wanted, seen.verdict, cannot_tell, [connection.teardown.final_ack])


def _tls(of: Callable[[str, Any, ConnectionReport, TlsReport], Check]) -> Callable[[str, Any, ConnectionReport], Check]:
    """A check of TLS: without TLS it is broken where data proves that there was none."""

    def either(key: str, wanted: Any, connection: ConnectionReport) -> Check:
        if connection.tls is not None:
            return of(key, wanted, connection, connection.tls)
        text = " or ".join(wanted) if isinstance(wanted, tuple) else _yes_no(wanted)
        data = connection.client_side.traffic.payload_bytes + connection.server_side.traffic.payload_bytes
        if data and connection.handshake.verdict in {"complete", "simultaneous"} and not connection.lossy:
            return Check(key, BROKEN, text, "no TLS")
        return Check(key, UNDECIDED, text, "no TLS", (), "no TLS was captured")

    return either


def _yes_no(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _tls_frames(tls: TlsReport, *messages: str) -> tuple[int, ...]:
    return bounded(message.frame for message in tls.messages if message.known_as in messages)


def _tls_verdict(key: str, wanted: tuple[str, ...], connection: ConnectionReport, tls: TlsReport) -> Check:
    cannot_tell = {"incomplete": "the handshake is cut off by a gap, or the end of the capture"}
    return _verdict(key, wanted, tls.verdict, cannot_tell, [message.frame for message in tls.messages[-1:]])


def _tls_version(key: str, wanted: VersionRange, connection: ConnectionReport, tls: TlsReport) -> Check:
    expected = str(wanted)
    if tls.version is None:
        return Check(key, UNDECIDED, expected, "unknown", (), "no ServerHello was captured")
    try:
        status = MET if wanted.holds(version_number(tls.version)) else BROKEN
    except ValueError:  # a draft, or a number that nobody has given out
        return Check(key, UNDECIDED, expected, tls.version, (), f"{tls.version} is no published version")
    return Check(key, status, expected, tls.version, _tls_frames(tls, "ServerHello"))


def _tls_name(actual_of: Callable[[TlsReport], str | None], lacking: str) -> Callable[..., Check]:
    def named(key: str, wanted: tuple[str, ...], connection: ConnectionReport, tls: TlsReport) -> Check:
        actual = actual_of(tls)
        if actual is None:
            return Check(key, UNDECIDED, " or ".join(wanted), "unknown", (), lacking)
        status = MET if any(name_matches(one, actual) for one in wanted) else BROKEN
        return Check(key, status, " or ".join(wanted), actual, _tls_frames(tls, "ServerHello", "EncryptedExtensions"))

    return _tls(named)


def _tls_resumed(key: str, wanted: bool, connection: ConnectionReport, tls: TlsReport) -> Check:
    if tls.resumed is None:
        return Check(key, UNDECIDED, _yes_no(wanted), "unknown", (), "the answer to the ClientHello was not captured")
    return Check(
        key,
        MET if tls.resumed == wanted else BROKEN,
        _yes_no(wanted),
        _yes_no(tls.resumed),
        _tls_frames(tls, "ServerHello"),
    )


def _at_most(key: str, most: int, actual: int | None, lacking: str, frames: Iterable[int | None] = ()) -> Check:
    """A duration with an upper bound."""
    expected = f"at most {words.span(most)}"
    if actual is None:
        return Check(key, UNDECIDED, expected, "unknown", (), lacking)
    evidence = bounded(frame for frame in frames if frame is not None)
    return Check(key, MET if actual <= most else BROKEN, expected, words.span(actual), evidence)


def _handshake_rtt(key: str, most: int, connection: ConnectionReport) -> Check:
    seen = connection.handshake
    lacking = "no round trip could be measured: a part was repeated, or not captured"
    return _named("handshake-rtt", _at_most(key, most, seen.rtt_ns, lacking, [seen.syn, seen.syn_ack, seen.ack]))


def _response_time(key: str, most: int, connection: ConnectionReport) -> Check:
    longest = connection.numbers.responses.max_ns
    return _named("response-time", _at_most(key, most, longest, "no request with an answer was captured"))


def _named(name: str, one: Check) -> Check:
    """What is bounded by a ``max-`` or ``min-`` key is called by itself in the message."""
    return one._replace(key=name)


RESENT: Final = frozenset(("TS404", "TS405", "TS406", "TS407", "TS412"))
"""Rules about segments that were sent again: their frames are evidence."""


def _resent(connection: ConnectionReport) -> tuple[int, ...]:
    return bounded(finding.frame or 0 for finding in connection.findings if finding.code in RESENT)


def _fewer(
    name: str, expected: str, holds: bool, actual: str, connection: ConnectionReport, frames: tuple[int, ...] = ()
) -> Check:
    """Something with an upper bound that a capture with gaps shows too little of."""
    if holds and (connection.lossy or connection.one_sided):
        return Check(name, UNDECIDED, expected, actual, (), _lack(connection))
    return Check(name, MET if holds else BROKEN, expected, actual, frames)


def _retransmitted_share(key: str, most: float, connection: ConnectionReport) -> Check:
    numbers = connection.numbers
    shares = {"client": numbers.client.retransmitted_share, "server": numbers.server.retransmitted_share}
    side, worst = max(((side, share or 0.0) for side, share in shares.items()), key=lambda pair: pair[1])
    actual = f"{worst:.4g} ({side})" if worst else "0"
    return _fewer("retransmitted-share", f"at most {most:.4g}", worst <= most, actual, connection, _resent(connection))


def _retransmissions(key: str, most: int, connection: ConnectionReport) -> Check:
    sides = (connection.client_side, connection.server_side)
    count = sum(side.traffic.retransmitted_segments for side in sides)
    return _fewer("retransmissions", f"at most {most:,}", count <= most, f"{count:,}", connection, _resent(connection))


def _throughput(key: str, least: float, connection: ConnectionReport) -> Check:
    rates = (connection.numbers.client.throughput, connection.numbers.server.throughput)
    expected = f"at least {size(round(least))}/s"
    measured = [rate for rate in rates if rate is not None]
    if not measured:
        return Check("throughput", UNDECIDED, expected, "unknown", (), "it has no duration")
    actual = max(measured)
    if actual < least and (connection.lossy or connection.one_sided):
        return Check("throughput", UNDECIDED, expected, f"{size(round(actual))}/s", (), _lack(connection))
    return Check("throughput", MET if actual >= least else BROKEN, expected, f"{size(round(actual))}/s")


def _min_duration(key: str, least: int, connection: ConnectionReport) -> Check:
    actual, expected = connection.duration_ns, f"at least {words.span(least)}"
    if actual < least and connection.teardown.verdict in _unfinished(connection):
        return Check("duration", UNDECIDED, expected, words.span(actual), (), "the capture ends before it is closed")
    return Check("duration", MET if actual >= least else BROKEN, expected, words.span(actual))


def _max_duration(key: str, most: int, connection: ConnectionReport) -> Check:
    actual, expected = connection.duration_ns, f"at most {words.span(most)}"
    if actual <= most and connection.teardown.verdict in _unfinished(connection):
        return Check("duration", UNDECIDED, expected, words.span(actual), (), "the capture ends before it is closed")
    return Check("duration", MET if actual <= most else BROKEN, expected, words.span(actual))


def _diagnosis(key: str, wanted: tuple[str, ...], connection: ConnectionReport) -> Check:
    seen = connection.diagnosis
    cannot_tell = {"capture": seen.summary, "cannot-tell": seen.summary}
    one = _verdict(key, wanted, seen.where, cannot_tell, seen.frames)
    return one._replace(actual=f"{seen.where} ({seen.summary})") if one.status == BROKEN else one


def _no_findings(key: str, rules: tuple[str, ...], connection: ConnectionReport) -> Check:
    found = [finding for finding in connection.findings if finding.code in codes(rules)]
    expected = f"no findings of {', '.join(rules)}"
    if found:
        actual = ", ".join(dict.fromkeys(f"{finding.code} {finding.name}" for finding in found))
        return Check("findings", BROKEN, expected, actual, bounded(f for finding in found for f in finding.frames))
    return _fewer("findings", expected, True, "none", connection)


def _max_findings(key: str, most: tuple[tuple[str, int], ...], connection: ConnectionReport) -> Check:
    texts = []
    for word, limit in most:
        found = [finding for finding in connection.findings if finding.code in codes((word,))]
        count = sum(finding.count for finding in found)
        texts.append(f"at most {words.times(limit)} {word}" if limit > 1 else f"at most {limit} {word}")
        if count > limit:
            evidence = bounded(frame for finding in found for frame in finding.frames)
            return Check("findings", BROKEN, texts[-1], f"{count:,}", evidence)
    return _fewer("findings", ", ".join(texts), True, "fewer", connection)


CHECKS: Final[dict[str, Callable[[str, Any, ConnectionReport], Check]]] = {
    "handshake": _handshake,
    "teardown": _teardown,
    "active-closer": _closer,
    "time-wait": _time_wait,
    "tls.version": _tls(_tls_version),
    "tls.cipher-suite": _tls_name(lambda tls: tls.cipher_suite, "no ServerHello was captured"),
    "tls.verdict": _tls(_tls_verdict),
    "tls.alpn": _tls_name(lambda tls: tls.alpn, "no choice was captured, or it is encrypted"),
    "tls.resumed": _tls(_tls_resumed),
    "max-handshake-rtt": _handshake_rtt,
    "max-response-time": _response_time,
    "max-retransmitted-share": _retransmitted_share,
    "max-retransmissions": _retransmissions,
    "min-throughput": _throughput,
    "min-duration": _min_duration,
    "max-duration": _max_duration,
    "diagnosis": _diagnosis,
    "no-findings": _no_findings,
    "max-findings": _max_findings,
}
