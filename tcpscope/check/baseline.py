"""Baselines: problems that are known, so that a check reports only others.

A baseline holds, for each capture, fingerprints and how often each may be found. Fingerprints survive that the same scenario is
recorded again (:mod:`tcpscope.check.fingerprint`). Paths are those from the baseline's directory, so that it holds wherever the
check is started. What cannot be read, and damage, is never known: the rest of such a capture is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from tcpscope.capture.remote import is_url
from tcpscope.check.fingerprint import subject
from tcpscope.check.outcome import INPUT, CaptureResult, CheckResult, Gone, Problem, Unlisted
from tcpscope.errors import BaselineError

SCHEMA: Final = "tcpscope-baseline/1"
FAMILY: Final = SCHEMA.partition("/")[0]
DAMAGED: Final = "TS901"


class Known(NamedTuple):
    """What is known of a capture: ``times`` problems of one fingerprint. ``about`` is there for people."""

    rule: str
    name: str
    about: str
    fingerprint: str
    times: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """``captures``: what is known, by the path from the baseline's directory."""

    path: str
    captures: Mapping[str, tuple[Known, ...]]

    def of(self, path: str) -> dict[str, Known]:
        """What is known of a capture, by fingerprint."""
        return {one.fingerprint: one for one in self.captures.get(_key(path, self.path), ())}


def record(result: CheckResult, path: str) -> Baseline:
    """The baseline in which all problems of a result are known."""
    captures: dict[str, dict[str, Known]] = {}

    def add(place: str, one: Known) -> None:
        known = captures.setdefault(_key(place, path), {})
        before = known.get(one.fingerprint)
        known[one.fingerprint] = one if before is None else before._replace(times=before.times + one.times)

    for problem in result.all_problems():
        if _recordable(problem):
            add(problem.path, Known(problem.code, problem.name, subject(problem), problem.fingerprint, 1))
    for capture in result.captures:
        for more in capture.unlisted:
            add(capture.path, Known(more.code, more.name, more.about, more.fingerprint, more.times))
    return Baseline(path, {place: tuple(sorted(known.values())) for place, known in sorted(captures.items())})


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
            one = Known("", "", "", "", 0)
        if not all(isinstance(word, str) for word in one[:4]) or type(one.times) is not int or one.times < 1:
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
        left = _Left(baseline.of(capture.path))
        captures.append(_without(capture, left))
        known += left.used
        if capture.usable:
            gone += left.gone(capture.path)
    problems: list[Problem] = []
    for number, path in enumerate(result.policies):
        own = [problem for problem in result.problems if problem.path == path]
        baseline = baselines[number]
        left = _Left({} if baseline is None else baseline.of(path))
        problems += left.new(own)
        known += left.used
        gone += left.gone(path)
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


class _Left:
    """What is still known of a capture, as one problem after the other uses it up."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        self._known = known
        self._left = {fingerprint: one.times for fingerprint, one in known.items()}
        self.used = 0

    def new(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems that are not known. Of those that are alike the first ones are: which, nobody can tell."""
        found = []
        for problem in problems:
            if not _recordable(problem) or not self._take(problem.fingerprint, 1):
                known = self._known.get(problem.fingerprint)
                found.append(problem if known is None else _beyond(problem, known.times))
        return found

    def beyond(self, unlisted: Iterable[Unlisted]) -> list[Unlisted]:
        """The same of those that are not listed."""
        rest = [one._replace(times=one.times - self._take(one.fingerprint, one.times)) for one in unlisted]
        return [one for one in rest if one.times]

    def gone(self, path: str) -> list[Gone]:
        """What was not found."""
        return [
            Gone(path, one.rule, one.name, one.about, one.fingerprint, self._left[one.fingerprint])
            for one in self._known.values()
            if self._left[one.fingerprint]
        ]

    def _take(self, fingerprint: str, count: int) -> int:
        taken = min(count, self._left.get(fingerprint, 0))
        if taken:
            self._left[fingerprint] -= taken
            self.used += taken
        return taken


def _without(capture: CaptureResult, left: _Left) -> CaptureResult:
    return replace(capture, problems=tuple(left.new(capture.problems)), unlisted=tuple(left.beyond(capture.unlisted)))


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
