"""One capture, read, judged by all rules and held against a policy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from tcpscope.check import expectations
from tcpscope.check.expectations import BROKEN, MET, UNDECIDED, Check
from tcpscope.check.fingerprint import fingerprint, numbered, unlisted
from tcpscope.check.outcome import (
    EXPECT_CODE,
    EXPECTATION,
    FINDING,
    INPUT,
    INPUT_CODE,
    CaptureResult,
    Identity,
    Problem,
    Rerated,
    Tally,
    Unlisted,
)
from tcpscope.check.policy import CapturePolicy, Expectation, Policy
from tcpscope.check.selectors import ALL
from tcpscope.errors import SourceError
from tcpscope.many.reading import read_capture
from tcpscope.options import SECOND_NS
from tcpscope.report.build import connection_report, ordered
from tcpscope.report.model import SEVERITIES
from tcpscope.report.problems import problems_of
from tcpscope.report.session import Session
from tcpscope.rules.words import plural

if TYPE_CHECKING:
    from tcpscope.check.ladders import Ladders
    from tcpscope.crypto.keylog import KeyLog
    from tcpscope.report.model import ConnectionReport
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection

MAX_OF_A_RULE: Final = 1000
"""Problems of one rule in one capture that are listed; the others are counted."""

DAMAGED: Final = "TS901"


def fails(severity: str, fail_on: str) -> bool:
    """Whether a problem of such a severity makes a check with such a ``fail-on`` fail."""
    return fail_on in SEVERITIES and SEVERITIES.index(severity) <= SEVERITIES.index(fail_on)


def unreadable(
    path: str, policy: int, message: str, offset: int | None = None, name: str = "unreadable"
) -> CaptureResult:
    """What there is to say of an input that is no capture, or cannot be opened."""
    message = message.removeprefix(f"{path}: ")
    mark = fingerprint(INPUT, INPUT_CODE, name, None, None, None)
    problem = Problem(INPUT, INPUT_CODE, name, "error", "error", True, message, path, fingerprint=mark)
    return CaptureResult(path, policy, error=message, error_offset=offset, usable=False, problems=(problem,))


def check_capture(path: str, number: int, policy: Policy, keys: KeyLog, ladders: bool = False) -> CaptureResult:
    """Check one capture. ``number``: the policy's among all; ``keys``: what was read of its key logs.

    ``ladders``: with excerpts of the ladder diagram. For these a capture that has problems is read once more.
    """
    if not ladders:
        return _check(path, number, policy, keys, None)
    from tcpscope.check.ladders import Ladders  # noqa: PLC0415 (only few checks want it)

    with Ladders(path) as drawing:
        result = _check(path, number, policy, keys, drawing)
        try:
            return drawing.draw(result, policy.options)
        except SourceError:  # it is gone
            return result


def _check(path: str, number: int, policy: Policy, keys: KeyLog, ladders: Ladders | None) -> CaptureResult:
    held = _Held(path, policy, ladders)
    session = Session(policy.options, held.connection, keylog=keys)
    try:
        read_capture(path, session, None if ladders is None else ladders.read)
    except SourceError as error:
        return unreadable(path, number, str(error))
    damage = tuple(problems_of(session.pipeline))
    facts = session.facts
    if not facts.format:
        return unreadable(
            path,
            number,
            damage[0] if damage else facts.damage,
            None if facts.damage_offset < 0 else facts.damage_offset,
        )
    return held.result(number, session, damage)


class _Held:
    """Holds the connections of one capture against the policy, as they end."""

    def __init__(self, path: str, policy: Policy, ladders: Ladders | None) -> None:
        self._path = path
        self._ladders = ladders
        self._policy = policy
        self._for: CapturePolicy = policy.for_capture(path)
        self._needs_all = bool(self._for.expectations)
        self._problems: list[tuple[tuple[int, int], list[Problem]]] = []
        self._listed: Counter[str] = Counter()
        self._unlisted: Counter[Unlisted] = Counter()
        self._unselected = 0
        self._ignored: Counter[str] = Counter()
        self._rerated: Counter[tuple[str, str, str]] = Counter()
        self._allowed: Counter[int] = Counter()
        self._expired: Counter[int] = Counter()
        self._tallies = {number: Counter[str]() for number in self._for.expectations}
        self._enough: dict[int, str] = {}

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """A connection is over."""
        if not findings and not self._needs_all:
            return
        report = connection_report(conn, findings, self._policy.options.msl_ns)
        problems: list[Problem] = []
        identity: Identity | None = None
        for problem in self._expected(report):
            identity = identity or _identity(report)
            problems.append(replace(problem, connection=identity))
        for finding in report.findings:
            one = self._finding(finding, report, None)
            if one is not None:
                identity = identity or _identity(report)
                problems.append(replace(one, connection=identity))
        kept = [problem for problem in problems if self._room_for(problem)]
        if kept:
            kept.sort(key=lambda problem: SEVERITIES.index(problem.severity))
            self._problems.append(((report.stream, report.first_frame), kept))
            if self._ladders is not None:
                self._ladders.connection(conn, report)

    def result(self, number: int, session: Session, damage: tuple[str, ...]) -> CaptureResult:
        """What the capture comes to."""
        facts = session.facts
        first = None if facts.first_time < 0 else facts.first_time
        found = [self._finding(finding, None, first) for finding in ordered(session.findings)]
        whole = [problem for problem in found if problem is not None]
        accepted = not facts.complete and any(DAMAGED in self._policy.allows[one].codes for one in self._allowed)
        usable = not damage or accepted
        if not usable and not any(problem.code == DAMAGED for problem in whole):
            # Whatever the policy ignores: what makes the exit status 2 is to be seen.
            name = "unreadable" if facts.complete else "damaged"
            whole[:0] = [one for text in damage for one in unreadable(self._path, number, text, name=name).problems]
        whole += self._found_too_few(complete=facts.complete)
        self._problems.sort(key=lambda pair: pair[0])
        listed = [*whole, *(problem for _, problems in self._problems for problem in problems)]
        return CaptureResult(
            path=self._path,
            policy=number,
            format=facts.format,
            frames=facts.frames,
            segments=facts.segments,
            connections=session.summary.connections,
            first_time_ns=first,
            last_time_ns=None if facts.last_time < 0 else facts.last_time,
            damage=damage,
            usable=usable,
            problems=numbered(listed),
            unlisted=tuple(sorted(one._replace(times=count) for one, count in self._unlisted.items())),
            unselected=self._unselected,
            ignored=tuple(sorted(self._ignored.items())),
            rerated=tuple(Rerated(*key, count) for key, count in sorted(self._rerated.items())),
            allowed=tuple(sorted(self._allowed.items())),
            expired=tuple(sorted(self._expired.items())),
            tallies=tuple(
                Tally(one, tally.total(), tally[MET], tally[BROKEN], tally[UNDECIDED], self._enough.get(one, ""))
                for one, tally in self._tallies.items()
            ),
        )

    def _room_for(self, problem: Problem) -> bool:
        what = problem.code if problem.expectation is None else f"{problem.code} {problem.expectation}"
        self._listed[what] += 1
        if self._listed[what] <= MAX_OF_A_RULE:
            return True
        self._unlisted[unlisted(problem)] += 1
        return False

    # Findings

    def _finding(self, finding: Finding, report: ConnectionReport | None, first: int | None) -> Problem | None:
        """The problem that a finding is, unless the policy does without it. ``report`` is None for one about the capture."""
        code = finding.code
        selected, ignored = code in self._policy.selected, code in self._for.ignored
        severity = self._policy.severities.get(code, finding.severity)
        if report is not None:
            for one in self._for.per_connection:
                if one.match.matches(report):
                    if one.selected is not None:
                        selected = code in one.selected
                    ignored = ignored or code in one.ignored
                    severity = one.severities.get(code, severity)
        allowed, expired = self._allowances(code, report, first)
        if allowed is not None:
            self._allowed[allowed] += 1
            return None
        if not selected:
            self._unselected += 1
            return None
        if ignored:
            self._ignored[code] += 1
            return None
        remark = ""
        if expired is not None:
            self._expired[expired] += 1
            allow = self._policy.allows[expired]
            remark = f"was allowed until {allow.until} ({allow.reason}), {allow.place}"
        if severity != finding.severity:
            self._rerated[code, str(finding.severity), str(severity)] += 1
        return Problem(
            kind=FINDING,
            code=code,
            name=finding.name,
            severity=str(severity),
            rated=str(finding.severity),
            fails=fails(severity, self._policy.fail_on),
            message=finding.message,
            path=self._path,
            frame=finding.frame,
            frames=finding.frames,
            count=finding.count,
            side=finding.side,
            time_ns=finding.time_ns,
            rfc=finding.rfc,
            display_filter=finding.display_filter,
            remark=remark,
            fingerprint=fingerprint(FINDING, code, "", finding.side, report, finding.frame),
        )

    def _allowances(
        self, code: str, report: ConnectionReport | None, first: int | None
    ) -> tuple[int | None, int | None]:
        """Which of the policy's allows accepts a finding, and which one did up to a day that is over."""
        time_ns = first if report is None else report.start_ns
        expired = None
        for number in self._for.allows:
            allow = self._policy.allows[number]
            about = allow.match.text == ALL.text if report is None else allow.match.matches(report)
            if code not in allow.codes or not about:
                continue
            if allow.until is None or time_ns is None or _day(time_ns) <= allow.until:
                return number, None
            expired = number
        return None, expired

    # Expectations

    def _expected(self, report: ConnectionReport) -> list[Problem]:
        """What a connection does not keep of the expectations that are about it."""
        problems = []
        for number in self._for.expectations:
            expectation = self._policy.expectations[number]
            if not expectation.match.matches(report):
                continue
            checks = expectations.check(expectation.wanted, report, report.findings)
            states = {one.status for one in checks}
            self._tallies[number][BROKEN if BROKEN in states else UNDECIDED if UNDECIDED in states else MET] += 1
            problems += [
                self._broken(expectation, one, report)
                for one in checks
                if one.status == BROKEN or (one.status == UNDECIDED and expectation.undecided_fails)
            ]
        return problems

    def _broken(self, expectation: Expectation, check: Check, report: ConnectionReport | None) -> Problem:
        frames = check.frames or (() if report is None else (report.first_frame,))
        return Problem(
            kind=EXPECTATION,
            code=EXPECT_CODE,
            name=f"expected-{check.key.replace('.', '-')}",
            severity=expectation.severity,
            rated=expectation.severity,
            fails=fails(expectation.severity, self._policy.fail_on),
            message=check.message,
            path=self._path,
            frame=frames[0] if frames else None,
            frames=frames,
            time_ns=None if report is None else report.frame_times.get(frames[0]),
            expectation=expectation.name,
            expected=check.expected,
            actual=check.actual,
            undecided=check.status == UNDECIDED,
            fingerprint=fingerprint(EXPECTATION, EXPECT_CODE, f"{expectation.name}\0{check.key}", None, report, None),
        )

    def _found_too_few(self, *, complete: bool) -> list[Problem]:
        """Expectations with captures of their own: whether this one has the connections that they want."""
        problems = []
        for number in self._for.expectations:
            expectation = self._policy.expectations[number]
            if expectation.capture:
                check = count_check(expectation, self._tallies[number].total(), complete=complete)
                self._enough[number] = check.status
                if check.status == BROKEN or (check.status == UNDECIDED and expectation.undecided_fails):
                    problems.append(self._broken(expectation, check, None))
        return problems


def count_check(expectation: Expectation, count: int, *, complete: bool) -> Check:
    """Whether as many connections match as are expected; in a damaged capture there may have been more."""
    least, most = expectation.min_connections, expectation.max_connections
    if count < least or most is None:
        bound, number = "at least", least
    else:
        bound, number = "at most", most
    expected, actual = f"{bound} {number:,}", f"{count:,}" if count else "none"
    matching = f"{plural(number, 'connection')} that {'matches' if number == 1 else 'match'} {expectation.match.text!r}"
    said = f"expected {bound} {matching}, found {actual}"
    if count < least or (most is not None and count > most):
        status = UNDECIDED if count < least and not complete else BROKEN
    else:
        status = MET if complete or most is None else UNDECIDED
    lacking = ", but the capture is damaged" if status == UNDECIDED else ""
    return Check("connections", status, expected, actual, said=f"{said}{lacking}")


def _day(time_ns: int) -> date:
    """The day of a time, in UTC."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).date()


def _identity(report: ConnectionReport) -> Identity:
    return Identity(
        report.stream,
        str(report.client),
        str(report.server),
        None if report.tls is None else report.tls.sni,
        report.handshake.verdict,
        report.teardown.verdict,
        None if report.tls is None else report.tls.verdict,
        report.first_frame,
        report.start_ns,
    )
