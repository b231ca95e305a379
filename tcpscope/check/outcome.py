"""What a check comes to: the records that every format renders, and nothing else that a format needs.

Order is fixed: captures as they were given, problems of the capture first, then connection by connection in the order of
their numbers, the worst first. No clock, locale or width is in here. Text from the wire stands here as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final, NamedTuple

from tcpscope.report.model import SEVERITIES
from tcpscope.rules import find_rule
from tcpscope.rules.manual import Manual, manual

FINDING: Final = "finding"
EXPECTATION: Final = "expectation"
INPUT: Final = "input"

EXPECT_CODE: Final = "EXPECT"
INPUT_CODE: Final = "INPUT"

PASSED, FAILED, UNUSABLE = 0, 1, 2  # exit statuses of the contract


@dataclass(frozen=True, slots=True)
class Identity:
    """A connection: ``client`` and ``server`` as address:port, ``stream`` as Wireshark numbers it, and its verdicts."""

    stream: int
    client: str
    server: str
    sni: str | None
    handshake: str
    teardown: str
    tls: str | None
    first_frame: int
    start_ns: int

    @property
    def label(self) -> str:
        """``10.0.0.1:51000 → 10.0.0.2:443 (example.org)``."""
        return f"{self.client} → {self.server}" + (f" ({self.sni})" if self.sni else "")


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of a report.

    ``kind``: a ``finding`` of a rule, a broken ``expectation``, or an ``input`` that could not be read. ``code`` is a rule's, or
    EXPECT or INPUT; ``name`` the rule's, or ``expected-handshake`` and so on, ``unreadable``, ``damaged``, ``no-capture``.
    ``path`` and ``frame`` are where it is to be seen. ``line`` stands in place of ``frame`` where ``path`` is the policy, because it
    is about an expectation as a whole. ``severity`` is the policy's, ``rated`` what the rule itself gave. ``fails``: by the
    policy's ``fail-on`` it makes the check fail. ``connection`` is None for what is about the capture. ``expected`` and
    ``actual`` are those of an expectation, ``undecided`` that the capture cannot tell. ``remark``: what the policy has to say,
    such as that an allow has expired. ``fingerprint``: see :mod:`tcpscope.check.fingerprint`; equal ones of a capture differ in
    ``occurrence``, from 1. ``ladder``: an excerpt of the diagram, where it was asked for.
    """

    kind: str
    code: str
    name: str
    severity: str
    rated: str
    fails: bool
    message: str
    path: str
    line: int | None = None
    frame: int | None = None
    frames: tuple[int, ...] = ()
    count: int = 1
    side: str | None = None
    time_ns: int | None = None
    connection: Identity | None = None
    rfc: str = ""
    display_filter: str = ""
    expectation: str | None = None
    expected: str | None = None
    actual: str | None = None
    undecided: bool = False
    remark: str = ""
    fingerprint: str = ""
    occurrence: int = 1
    ladder: str = ""

    @property
    def where(self) -> str:
        """``path:frame``, or as much of it as there is."""
        place = self.frame if self.line is None else self.line
        return self.path if place is None else f"{self.path}:{place}"

    @property
    def manual(self) -> Manual | None:
        """The manual of the rule: what it does, why it matters, how to fix it. None for what is no finding of a rule."""
        return manual_of(self.code) if self.kind == FINDING else None


@cache
def manual_of(code: str) -> Manual:
    """The manual of a rule, by its code."""
    return manual(find_rule(code))


class Unlisted(NamedTuple):
    """Problems of a capture that are alike in all of this, beyond those that are listed. ``about`` says of what, for people."""

    code: str
    name: str
    severity: str
    rated: str
    fails: bool
    fingerprint: str
    about: str
    times: int


class Gone(NamedTuple):
    """What a baseline knows of a capture and is no longer found there. ``about`` says of what, for people."""

    path: str
    code: str
    name: str
    severity: str
    about: str
    fingerprint: str
    times: int


class Rerated(NamedTuple):
    """Findings of a rule to which the policy gives another severity."""

    code: str
    rated: str
    severity: str
    findings: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How the connections of one capture fared with one expectation (its place in the policy).

    ``enough``: whether there were as many as are expected, of an expectation that names captures; else "".
    """

    expectation: int
    matched: int
    met: int
    broken: int
    undecided: int
    enough: str = ""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """One capture. ``error``: why it could not be read at all; ``damage``: what of it could not be read, a line each.

    ``connections`` counts all, ``problems`` holds what is to be reported; ``unlisted`` counts further problems of rules that had
    very many. The rest says what became of findings that are not among them: by code, and by the places of
    the policy's allows. ``usable`` is False where the contract wants exit status 2.
    """

    path: str
    policy: int  # place in CheckResult.policies
    format: str = ""
    frames: int = 0
    segments: int = 0
    connections: int = 0
    first_time_ns: int | None = None
    last_time_ns: int | None = None
    error: str = ""
    error_offset: int | None = None
    damage: tuple[str, ...] = ()
    usable: bool = True
    problems: tuple[Problem, ...] = ()
    unlisted: tuple[Unlisted, ...] = ()
    unselected: int = 0
    ignored: tuple[tuple[str, int], ...] = ()
    rerated: tuple[Rerated, ...] = ()
    allowed: tuple[tuple[int, int], ...] = ()
    expired: tuple[tuple[int, int], ...] = ()
    tallies: tuple[Tally, ...] = ()

    @property
    def left_out(self) -> tuple[tuple[str, int], ...]:
        """How many problems are not listed, by severity."""
        levels = Counter[str]()
        for one in self.unlisted:
            levels[one.severity] += one.times
        return tuple((severity, levels[severity]) for severity in SEVERITIES if levels[severity])

    @property
    def left_out_fails(self) -> bool:
        """Whether one of those makes the check fail."""
        return any(one.fails for one in self.unlisted)

    @property
    def failed(self) -> bool:
        """Whether it has a problem that makes the check fail, or could not be read."""
        return not self.usable or self.left_out_fails or any(problem.fails for problem in self.problems)

    def by_connection(self) -> Iterator[tuple[Identity | None, list[Problem]]]:
        """The problems, a group for the capture itself (None) and for each connection that has some."""
        for connection, group in groupby(self.problems, key=lambda problem: problem.connection):
            yield connection, list(group)


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """An expectation over all captures that it is for. ``status``: ``met``, ``broken``, ``undecided``, or ``unchecked`` where none of
    its captures was among those that were checked. ``place``: file and line of the policy. The counts are of connections.
    """

    name: str
    match: str
    capture: tuple[str, ...]
    place: str
    status: str
    severity: str
    fails: bool
    captures: int
    matched: int
    met: int
    broken: int
    undecided: int


@dataclass(frozen=True, slots=True)
class AllowResult:
    """An allow over all captures. ``allowed`` findings were accepted; ``expired`` ones would have been, up to a day that is over.
    ``concerned``: captures for which it is meant.
    """

    rule: tuple[str, ...]
    match: str
    reason: str
    until: str | None
    place: str
    concerned: int
    allowed: int
    expired: int

    @property
    def unused(self) -> bool:
        """Whether no finding needs it, in captures for which it is meant."""
        return self.concerned > 0 and self.allowed == 0 and self.expired == 0


class Counts(NamedTuple):
    """The numbers of a summary. ``error`` to ``note`` are problems that are reported, those left out of the list included."""

    captures: int
    unreadable: int
    connections: int
    frames: int
    error: int
    warning: int
    note: int
    ignored: int
    unselected: int
    rerated: int
    allowed: int
    expired: int
    left_out: int
    known: int
    gone: int

    @property
    def problems(self) -> int:
        """All of them."""
        return self.error + self.warning + self.note


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Everything. ``policies``: the files that were used ("" without one); ``problems``: those of no capture, about expectations as
    a whole; ``version`` of tcpscope. ``baselines``: the files that were compared with; ``known`` problems of theirs are not among
    the problems here, ``gone`` ones were not found.
    """

    captures: tuple[CaptureResult, ...]
    problems: tuple[Problem, ...]
    expectations: tuple[ExpectationResult, ...]
    allows: tuple[AllowResult, ...]
    policies: tuple[str, ...]
    version: str
    baselines: tuple[str, ...] = ()
    known: int = 0
    gone: tuple[Gone, ...] = ()

    def all_problems(self) -> Iterator[Problem]:
        """Every problem: capture by capture, then those about expectations as a whole."""
        for capture in self.captures:
            yield from capture.problems
        yield from self.problems

    def rules(self) -> list[str]:
        """The codes of all rules that have a problem here, in order."""
        return sorted({problem.code for problem in self.all_problems() if problem.kind == FINDING})

    @property
    def counts(self) -> Counts:
        """The numbers of the summary."""
        levels = dict.fromkeys(SEVERITIES, 0)
        for problem in self.all_problems():
            levels[problem.severity] += 1
        captures = self.captures
        left_out = [pair for capture in captures for pair in capture.left_out]
        for severity, count in left_out:
            levels[severity] += count
        return Counts(
            captures=len(captures),
            unreadable=sum(bool(capture.error) for capture in captures),
            connections=sum(capture.connections for capture in captures),
            frames=sum(capture.frames for capture in captures),
            error=levels["error"],
            warning=levels["warning"],
            note=levels["note"],
            ignored=sum(count for capture in captures for _, count in capture.ignored),
            unselected=sum(capture.unselected for capture in captures),
            rerated=sum(one.findings for capture in captures for one in capture.rerated),
            allowed=sum(count for capture in captures for _, count in capture.allowed),
            expired=sum(count for capture in captures for _, count in capture.expired),
            left_out=sum(count for _, count in left_out),
            known=self.known,
            gone=sum(one.times for one in self.gone),
        )

    @property
    def exit_status(self) -> int:
        """As the contract says: 2 if an input could not be read in full, else 1 if a problem fails the check, else 0."""
        if not all(capture.usable for capture in self.captures):
            return UNUSABLE
        failed = any(capture.failed for capture in self.captures) or any(problem.fails for problem in self.problems)
        return FAILED if failed else PASSED
