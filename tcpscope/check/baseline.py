"""Baselines: problems that are known, so that a check reports only others.

A baseline holds, for each capture, fingerprints and how often each may be found. Fingerprints survive that the same scenario is
recorded again (:mod:`tcpscope.check.fingerprint`). Paths are those from the baseline's directory, so that it holds wherever the
check is started. What cannot be read, and damage, is never known: the rest of such a capture is not.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from tcpscope.capture.remote import is_url
from tcpscope.check.fingerprint import unlisted
from tcpscope.check.outcome import INPUT, CheckResult, Gone, Problem, Unlisted
from tcpscope.errors import BaselineError
from tcpscope.report.model import SEVERITIES

SCHEMA: Final = "tcpscope-baseline/1"
FAMILY: Final = SCHEMA.partition("/")[0]
DAMAGED: Final = "TS901"


class Known(NamedTuple):
    """What is known of a capture: ``times`` problems of one fingerprint and one severity, the rule's own. ``about`` is for people."""

    rule: str
    name: str
    severity: str
    about: str
    fingerprint: str
    times: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """``captures``: what is known, by the path from the baseline's directory."""

    path: str
    captures: Mapping[str, tuple[Known, ...]]

    def of(self, path: str) -> tuple[Known, ...]:
        """What is known of a capture."""
        return self.captures.get(_key(path, self.path), ())


def record(result: CheckResult, path: str) -> Baseline:
    """The baseline in which all problems of a result are known."""
    captures: dict[str, Counter[Known]] = {}

    def add(place: str, one: Known, times: int) -> None:
        captures.setdefault(_key(place, path), Counter())[one] += times

    for problem in result.all_problems():
        if _recordable(problem):
            add(problem.path, _known(unlisted(problem)), 1)
    for capture in result.captures:
        for more in capture.unlisted:
            add(capture.path, _known(more), more.times)
    return Baseline(
        path,
        {
            place: tuple(sorted(one._replace(times=times) for one, times in known.items()))
            for place, known in sorted(captures.items())
        },
    )


def _known(one: Unlisted) -> Known:
    return Known(one.code, one.name, one.rated, one.about, one.fingerprint, 1)


def text(baseline: Baseline) -> str:
    """The file: a line for each entry, sorted, so that what changes is what a diff shows."""
    parts = [
        f"  {json.dumps(place)}: [\n" + ",\n".join(f"   {json.dumps(one._asdict())}" for one in known) + "\n  ]"
        for place, known in baseline.captures.items()
    ]
    inside = "{\n" + ",\n".join(parts) + "\n }" if parts else "{}"
    return f'{{\n "schema": "{SCHEMA}",\n "captures": {inside}\n}}\n'


def read(path: str) -> Baseline:
    """Read a baseline.

    :raises BaselineError: it cannot be read, or is none.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"no JSON: {error}"
        raise BaselineError(f"cannot read the baseline {path}: {reason or error}") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, str) and schema.startswith(f"{FAMILY}/") and schema != SCHEMA:
        raise BaselineError(
            f"the baseline {path} is {schema}, and this version of tcpscope reads {SCHEMA}: write it anew"
        )
    captures = document.get("captures") if schema == SCHEMA else None
    if not isinstance(captures, dict):
        raise BaselineError(f"{path} is no baseline: `tcpscope check --write-baseline {path}` writes one")
    return Baseline(path, {place: _entries(path, place, entries) for place, entries in captures.items()})


def _entries(path: str, place: str, entries: Any) -> tuple[Known, ...]:
    """The entries of one capture."""
    known = []
    for entry in entries if isinstance(entries, list) else ({},):
        try:
            one = Known(*(entry[name] for name in Known._fields))
        except (TypeError, KeyError):
            one = Known("", "", "", "", "", 0)
        words = all(isinstance(word, str) for word in one[:-1]) and one.severity in SEVERITIES
        if not words or type(one.times) is not int or one.times < 1:
            raise BaselineError(f"the baseline {path} is damaged: what it says of {place!r} makes no sense")
        known.append(one)
    return tuple(known)


def apply(result: CheckResult, baselines: Sequence[Baseline | None]) -> CheckResult:
    """Take out what is known. ``baselines``: that of each policy of the result."""
    if not any(baselines):
        return result
    known, gone = 0, []
    captures = []
    for capture in result.captures:
        baseline = baselines[capture.policy]
        if baseline is None:
            captures.append(capture)
            continue
        left = _Left(baseline.of(capture.path), capture.path)
        captures.append(replace(capture, **left.take(capture.problems, capture.unlisted)._asdict()))
        known += left.used
        if capture.usable:
            gone += left.gone()
    problems: list[Problem] = []
    for number, path in enumerate(result.policies):
        own = [problem for problem in result.problems if problem.path == path]
        baseline = baselines[number]
        left = _Left(() if baseline is None else baseline.of(path), path)
        problems += left.take(own).problems
        known += left.used
        gone += left.gone()
    names = {one.path: None for one in baselines if one is not None}
    result = replace(
        result,
        captures=tuple(captures),
        problems=tuple(problems),
        baselines=tuple(names),
        known=known,
        gone=tuple(gone),
    )
    failing = {problem.expectation for problem in result.all_problems()}
    return replace(
        result,
        expectations=tuple(replace(one, fails=one.fails and one.name in failing) for one in result.expectations),
    )


class _New(NamedTuple):
    """What a capture has that is not known."""

    problems: tuple[Problem, ...]
    unlisted: tuple[Unlisted, ...]


class _Left:
    """What is still known of a capture, as its problems use it up.

    A problem takes an entry of its own severity or, if there is none left, of a worse one: what has become worse is new.
    """

    def __init__(self, known: Sequence[Known], path: str) -> None:
        self._path = path
        self._known = known
        self._left: dict[tuple[str, str], Known] = {}
        for one in known:  # the lines of two branches may stand side by side
            before = self._left.get((one.fingerprint, one.severity))
            self._left[one.fingerprint, one.severity] = (
                one if before is None else one._replace(times=one.times + before.times)
            )
        self.used = 0

    def take(self, problems: Sequence[Problem], more: Sequence[Unlisted] = ()) -> _New:
        """What is not known. Of problems that are alike the first ones are: which, nobody can tell."""
        listed: dict[int, Problem] = dict(enumerate(problems))
        rest = list(more)
        for worse in range(len(SEVERITIES)):
            for number, problem in list(listed.items()):
                if _recordable(problem) and self._take(problem.fingerprint, problem.rated, worse, 1):
                    del listed[number]
            rest = [
                one._replace(times=one.times - self._take(one.fingerprint, one.rated, worse, one.times)) for one in rest
            ]
        return _New(
            tuple(self._remarked(problem) for problem in listed.values()), tuple(one for one in rest if one.times)
        )

    def gone(self) -> list[Gone]:
        """What was not found."""
        left = self._left.values()
        return [
            Gone(self._path, one.rule, one.name, one.severity, one.about, one.fingerprint, one.times)
            for one in left
            if one.times
        ]

    def _take(self, fingerprint: str, severity: str, worse: int, times: int) -> int:
        """How many of so many problems are known by the entries of a severity so much worse than theirs."""
        rank = SEVERITIES.index(severity) - worse
        one = self._left.get((fingerprint, SEVERITIES[rank])) if rank >= 0 else None
        if one is None:
            return 0
        taken = min(times, one.times)
        self._left[fingerprint, one.severity] = one._replace(times=one.times - taken)
        self.used += taken
        return taken

    def _remarked(self, problem: Problem) -> Problem:
        times = sum(one.times for one in self._known if one.fingerprint == problem.fingerprint)
        return _beyond(problem, times) if times else problem


def _beyond(problem: Problem, count: int) -> Problem:
    remark = f"the baseline knows {count:,} like it"
    return replace(problem, remark=f"{problem.remark}; {remark}" if problem.remark else remark)


def _recordable(problem: Problem) -> bool:
    return problem.kind != INPUT and problem.code != DAMAGED


def _key(path: str, baseline: str) -> str:
    """A path as it stands in a baseline."""
    if path == "-" or is_url(path):
        return path
    try:
        path = os.path.relpath(path, os.path.dirname(baseline) or os.curdir)  # noqa: PTH120
    except ValueError:  # another drive
        path = os.path.abspath(path)  # noqa: PTH100
    return path.replace(os.sep, "/")
