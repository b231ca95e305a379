"""Assertions about captures, for tests: ``Capture("login.pcap").connection(port=443).assert_handshake("complete")``.

For any test framework; with pytest the fixture ``tcpscope_capture`` finds files beside the test. An assertion that fails says what was
expected and what was found, and draws the segments concerned. What a capture cannot tell fails as well: an assertion
that could not be checked must not look like one that holds. ``undecided="pass"`` lets it go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tcpscope.api import fed
from tcpscope.check import expectations
from tcpscope.check.expectations import MET, UNDECIDED, Check
from tcpscope.check.keys import EXPECT
from tcpscope.check.kinds import nearest
from tcpscope.check.ladders import drawn
from tcpscope.check.policy import FRAME, Finder, codes
from tcpscope.check.selectors import parse
from tcpscope.many.inputs import Input
from tcpscope.options import Options
from tcpscope.report.build import capture_report, connection_report
from tcpscope.report.escape import printable
from tcpscope.report.ladder_rows import Target, target_of
from tcpscope.report.model import ConnectionReport, Report
from tcpscope.report.session import Session

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection as State

LISTED: Final = 8
"""Connections or findings that a message lists."""

KINDS: Final = {key.name.replace("-", "_").replace(".", "_"): key for key in EXPECT.keys if key.name not in FRAME}
"""What :meth:`Connection.assert_that` takes: the keys of an expectation, with underscores."""


class Capture:
    """A capture, read and judged by all rules. ``report`` is what :func:`tcpscope.analyze` gives.

    :raises SourceError: it cannot be opened or read.
    :raises FormatError: it is no capture.
    """

    def __init__(
        self, path: str | os.PathLike[str], options: Options | None = None, policy: str | os.PathLike[str] | None = None
    ) -> None:
        absolute = Path(path).absolute()
        self.path = os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(absolute)
        self._absolute = str(absolute)
        self._policy = None if policy is None else str(policy)
        self._options = options or Options()
        self._subjects: list[tuple[Target, ConnectionReport]] = []
        session = Session(self._options, self._keep)
        for _ in fed(session, self._absolute):
            pass
        self._subjects.sort(key=lambda subject: (subject[1].stream, subject[1].first_frame))
        reports = tuple(report for _, report in self._subjects)
        capture = capture_report(session.facts, self.path, session.findings, reports, session.diagnosis)
        self.report = Report(capture, session.summary)

    def _keep(self, conn: State, findings: list[Finding]) -> None:
        self._subjects.append((target_of(conn), connection_report(conn, findings, self._options.msl_ns)))

    def __repr__(self) -> str:
        return f"<Capture {self.path}: {len(self._subjects)} connections>"

    def connections(
        self,
        match: str = "all",
        *,
        host: str | None = None,
        port: int | str | None = None,
        sni: str | None = None,
        stream: int | None = None,
    ) -> list[Connection]:
        """The connections that fit, in the order of their numbers.

        :param match: a selector as in a policy: ``"server port 443 and not host 10.0.0.1"``.
        :param host: an address of either side.
        :param port: a port of either side, or a range ``"8000-8099"``.
        :param sni: the name that is asked for in TLS, with ``*`` and ``?``.
        :param stream: the number, as Wireshark's ``tcp.stream``.
        :raises ValueError: the selector cannot be read.
        """
        return self._matching(_selector(match, host, port, sni, stream))

    def connection(
        self,
        match: str = "all",
        *,
        host: str | None = None,
        port: int | str | None = None,
        sni: str | None = None,
        stream: int | None = None,
    ) -> Connection:
        """The one connection that fits; an assertion fails if there are none, or several. Parameters as for :meth:`connections`."""
        __tracebackhide__ = True
        text = _selector(match, host, port, sni, stream)
        found = self._matching(text)
        if len(found) != 1:
            seen = found or self._matching("all")
            says = (
                f"found {len(found)}"
                if found
                else "found none of"
                if seen
                else "found none: the capture has no connection"
            )
            _fail([f"{self.path}: expected one connection that matches {text!r}, {says}", *_list(seen, _line)])
        return found[0]

    def _matching(self, text: str) -> list[Connection]:
        selector = parse(text)
        return [
            Connection(self._absolute, self.path, self._options, target, report)
            for target, report in self._subjects
            if selector.matches(report)
        ]

    def assert_no(self, *rules: str, undecided: str = "fail") -> Capture:
        """No rule of these (by code, name or the beginning of codes; none named: any) finds anything, in any connection or the capture."""
        __tracebackhide__ = True
        wanted = codes(rules or ("TS",))
        found = [finding for finding in self.report.capture.findings if finding.code in wanted]
        lines = [f"{self.path}: {_finding(finding)}" for finding in found]
        failed = [
            one for one in self._matching("all") if one._broken({"no_findings": list(rules or ("TS",))}, undecided)
        ]
        for one in failed[:LISTED]:
            lines += one._message({"no_findings": list(rules or ("TS",))}, undecided)
        if len(failed) > LISTED:
            lines.append(f"and {len(failed) - LISTED} more connections")
        if lines:
            _fail(lines)
        return self

    def assert_findings(self, *rules: str) -> Capture:
        """Each of these rules finds something, in a connection or the capture."""
        __tracebackhide__ = True
        found = [*self.report.capture.findings, *(one for _, report in self._subjects for one in report.findings)]
        _found_all(self.path, rules, found)
        return self

    def assert_policy(self, policy: str | os.PathLike[str] | None = None) -> Capture:
        """The capture passes ``tcpscope check`` by this policy, or by ``--tcpscope-policy``, or by the one that is found upwards.

        :raises PolicyError: the policy cannot be used.
        """
        __tracebackhide__ = True
        from tcpscope.check.formats import as_full  # noqa: PLC0415
        from tcpscope.check.run import prepare, run  # noqa: PLC0415

        finder = Finder(self._policy if policy is None else str(policy))
        result = run(prepare([Input(self.path)], finder, ladders=True), jobs=1)
        if result.exit_status:
            _fail(as_full.render(result).splitlines())
        return self


class Connection:
    """One connection of a capture. ``report`` is its record in the analysis. Every assertion gives the connection back."""

    def __init__(self, path: str, shown: str, options: Options, target: Target, report: ConnectionReport) -> None:
        self.report = report
        self._path = path
        self._shown = shown
        self._options = options
        self._target = target

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules find."""
        return self.report.findings

    def __repr__(self) -> str:
        return f"<Connection {_line(self)}>"

    def assert_handshake(self, *verdicts: str, undecided: str = "fail") -> Connection:
        """It opened in one of these ways: ``complete``, ``refused``, ``unanswered``, …"""
        __tracebackhide__ = True
        return self._assert({"handshake": list(verdicts)}, undecided)

    def assert_teardown(self, *verdicts: str, undecided: str = "fail") -> Connection:
        """It closed in one of these ways: ``orderly``, ``aborted``, ``reset-after-fin``, …"""
        __tracebackhide__ = True
        return self._assert({"teardown": list(verdicts)}, undecided)

    def assert_no(self, *rules: str, undecided: str = "fail") -> Connection:
        """No rule of these (by code, name or the beginning of codes; none named: any) finds anything."""
        __tracebackhide__ = True
        return self._assert({"no_findings": list(rules or ("TS",))}, undecided)

    def assert_findings(self, *rules: str, only: bool = False) -> Connection:
        """Each of these rules finds something; with ``only`` no other does."""
        __tracebackhide__ = True
        _found_all(_line(self, self._shown), rules, self.findings, self._ladder)
        others = [one for one in self.findings if only and one.code not in codes(rules)]
        if others:
            frames = [frame for one in others for frame in one.frames]
            _fail(
                [
                    _line(self, self._shown),
                    f"  expected no other findings than {', '.join(rules)}",
                    *_list(others, _finding),
                    *self._ladder(frames),
                ]
            )
        return self

    def assert_that(self, *, undecided: str = "fail", **wanted: object) -> Connection:
        """It is as the keys of an expectation in a policy say: ``tls_version=">=1.2"``, ``max_handshake_rtt="200ms"``, …

        :raises TypeError: there is no such key.
        :raises ValueError: the value of a key makes no sense.
        """
        __tracebackhide__ = True
        return self._assert(wanted, undecided)

    def _assert(self, wanted: dict[str, Any], undecided: str) -> Connection:
        __tracebackhide__ = True
        if lines := self._message(wanted, undecided):
            _fail(lines)
        return self

    def _broken(self, wanted: dict[str, Any], undecided: str) -> list[Check]:
        """What does not hold of the keys of an expectation."""
        if undecided not in {"fail", "pass"}:
            raise ValueError(f"undecided is 'fail' or 'pass', not {undecided!r}")
        pairs = [(_key(name).name, _value(name, value)) for name, value in wanted.items()]
        checks = expectations.check(pairs, self.report, self.findings)
        return [one for one in checks if one.status != MET and not (one.status == UNDECIDED and undecided == "pass")]

    def _message(self, wanted: dict[str, Any], undecided: str) -> list[str]:
        """What does not hold, in words and drawn; empty if all does."""
        checks = self._broken(wanted, undecided)
        if not checks:
            return []
        lines = [_line(self, self._shown), *(f"  {printable(one.message, backslash=False)}" for one in checks)]
        lines += _list(self.findings, _finding)
        frames = [frame for one in checks for frame in one.frames]
        return [*lines, *self._ladder(frames or [self.report.first_frame])]

    def _ladder(self, frames: Sequence[int]) -> Iterator[str]:
        yield from drawn(self._path, self._options, self._target, self.report, frames).splitlines()


def _selector(match: str, host: str | None, port: int | str | None, sni: str | None, stream: int | None) -> str:
    given = {"host": host, "port": port, "sni": sni, "stream": stream}
    parts = [f"{word} {value}" for word, value in given.items() if value is not None]
    if match.strip().lower() != "all" or not parts:
        parse(match)  # by itself: its errors name columns in it
        parts.insert(0, f"({match})" if parts else match)
    return " and ".join(parts)


def _key(name: str) -> Any:
    if name not in KINDS:
        raise TypeError(f"{name!r} is nothing that can be expected{nearest(name, KINDS) or ': ' + ', '.join(KINDS)}")
    return KINDS[name]


def _value(name: str, value: object) -> object:
    try:
        return _key(name).kind.read(list(value) if isinstance(value, tuple) else value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _line(one: Connection, path: str = "") -> str:
    """A connection in one line."""
    report = one.report
    sni = f" ({printable(report.tls.sni)})" if report.tls is not None and report.tls.sni else ""
    verdicts = [f"handshake {report.handshake.verdict}", f"teardown {report.teardown.verdict}"]
    verdicts += [f"TLS {report.tls.verdict}"] if report.tls is not None else []
    where = f"{path}: " if path else ""
    return f"{where}connection {report.stream}, {report.client} → {report.server}{sni}: {', '.join(verdicts)}"


def _finding(finding: Finding) -> str:
    place = "" if finding.frame is None else f" (frame {finding.frame})"
    return f"{finding.code} {finding.name} {finding.severity}{place}: {printable(finding.message, backslash=False)}"


def _list(items: Sequence[Any], line: Callable[[Any], str]) -> list[str]:
    more = [f"    and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return [f"    {line(item)}" for item in items[:LISTED]] + more


def _found_all(
    where: str,
    rules: Sequence[str],
    findings: Sequence[Finding],
    ladder: Callable[[Sequence[int]], Iterator[str]] | None = None,
) -> None:
    __tracebackhide__ = True
    found = {finding.code for finding in findings}
    lacking = [rule for rule in rules if not codes((rule,)) & found]
    if lacking:
        frames = [frame for finding in findings for frame in finding.frames]
        drawing = ladder(frames) if ladder is not None and frames else ()
        seen = _list(findings, _finding) or ["    there are no findings"]
        _fail([where, f"  expected findings of {', '.join(lacking)}", *seen, *drawing])


def _fail(lines: Sequence[str]) -> None:
    __tracebackhide__ = True
    raise AssertionError("\n".join(lines))
