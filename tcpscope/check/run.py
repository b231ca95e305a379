"""Checks many captures, in one process or several, and puts the results together. Their order is that of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from typing import Final, NamedTuple

from tcpscope.check.capture import check_capture, count_check, fails, unreadable
from tcpscope.check.expectations import BROKEN, MET, UNDECIDED
from tcpscope.check.fingerprint import fingerprint
from tcpscope.check.globs import exists
from tcpscope.check.outcome import (
    EXPECT_CODE,
    EXPECTATION,
    AllowResult,
    CaptureResult,
    CheckResult,
    ExpectationResult,
    Problem,
)
from tcpscope.check.policy import Expectation, Finder, Policy
from tcpscope.crypto.keylog import KeyLog, read_key_logs
from tcpscope.errors import InterruptedWork
from tcpscope.many.inputs import Input
from tcpscope.many.processes import Tidier, Workers, cost, parts, processors, start_worker
from tcpscope.rules import judge_for
from tcpscope.rules.words import plural
from tcpscope.version import __version__

UNCHECKED: Final = "unchecked"

OUT_OF_MEMORY: Final = "not checked: there is not enough memory for it"
NAMED: Final = 3
"""Captures that are named where there may be many."""

KILLED: Final = "not checked: the process that was to do it was killed, perhaps for its memory"

WORTH: Final = 1.0
"""Seconds of work for which a further process pays."""

PARTS_A_WORKER: Final = 8


class Task(NamedTuple):
    """A capture to check: its place among the inputs, what it is, and the place of its policy."""

    number: int
    input: Input
    policy: int


class Checker:
    """Checks captures of several policies; one in each process. Key logs are read once."""

    def __init__(self, policies: Sequence[Policy], ladders: bool) -> None:
        self._policies = policies
        self._ladders = ladders
        self._keys: dict[int, KeyLog] = {}
        self._tidier = Tidier()

    def check(self, task: Task) -> CaptureResult:
        """One capture."""
        if task.input.error:
            return unreadable(task.input.path, task.policy, task.input.error, name="no-capture")
        policy = self._policies[task.policy]
        if task.policy not in self._keys:
            self._keys[task.policy] = read_key_logs(policy.options.keylog)
        try:
            result = check_capture(task.input.path, task.policy, policy, self._keys[task.policy], self._ladders)
        except MemoryError:
            result = unreadable(task.input.path, task.policy, OUT_OF_MEMORY, name="not-checked")
        self._tidier.captured()
        return result


class Prepared(NamedTuple):
    """Captures and the policies that they are held against, all of them read. ``ladders``: with excerpts of the diagram."""

    policies: list[Policy]
    tasks: list[Task]
    ladders: bool = False

    def of(self, tasks: list[Task]) -> Prepared:
        """The same for some of the captures."""
        return self._replace(tasks=tasks)


def prepare(inputs: Sequence[Input], finder: Finder, ladders: bool = False) -> Prepared:
    """Find the policy of each capture.

    :raises TcpscopeError: a policy, or a file that it names, cannot be used. No capture has been read then.
    """
    policies: list[Policy] = []
    places: dict[int, int] = {}
    tasks: list[Task] = []
    for number, one in enumerate(inputs):
        policy = finder.of(one.path)
        if id(policy) not in places:
            places[id(policy)] = len(policies)
            policies.append(policy)
            judge_for(policy.options)
            read_key_logs(policy.options.keylog)
        tasks.append(Task(number, one, places[id(policy)]))
    return Prepared(policies, tasks, ladders)


def run(prepared: Prepared, jobs: int = 0, progress: Callable[[int], None] | None = None) -> CheckResult:
    """Check captures. ``jobs``: processes at most, 0 for as many as pay; ``progress`` is told how many captures are done.

    :raises InterruptedWork: Ctrl-C; the message names captures that have not been checked.
    """
    tasks = prepared.tasks
    workers = _workers([task.input for task in tasks], jobs)
    results: dict[int, CaptureResult] = {}
    try:
        for number, result in _here(prepared) if workers < 2 else _spread(prepared, workers):
            results[number] = result
            if progress is not None:
                progress(len(results))
    except KeyboardInterrupt:
        raise InterruptedWork(_interrupted(tasks, results)) from None
    return _together(prepared.policies, [results[number] for number in range(len(tasks))])


def _interrupted(tasks: Sequence[Task], results: Mapping[int, CaptureResult]) -> str:
    left = [task.input.path for task in tasks if task.number not in results]
    more = f" and {plural(len(left) - NAMED, 'more capture')}" if len(left) > NAMED else ""
    done = f"{len(results):,} of {plural(len(tasks), 'capture')} checked"
    return f"interrupted: {done}, but not {', '.join(left[:NAMED])}{more}"


def _workers(inputs: Sequence[Input], jobs: int) -> int:
    """How many processes to use: never more than the work pays for, unless that was asked for."""
    most = min(jobs or processors(), len(inputs))
    if jobs:
        return most
    work = sum(map(cost, inputs))
    return max(1, min(most, int(work / WORTH)))


def _here(prepared: Prepared) -> Iterator[tuple[int, CaptureResult]]:
    checker = Checker(prepared.policies, prepared.ladders)
    for task in prepared.tasks:
        yield task.number, checker.check(task)


_checker: Checker | None = None  # of a worker process


def _start_worker(policies: Sequence[Policy], ladders: bool) -> None:
    global _checker  # noqa: PLW0603 (a process has one)
    start_worker()
    _checker = Checker(policies, ladders)


def _work(batch: Sequence[Task]) -> list[tuple[int, CaptureResult]]:
    assert _checker is not None
    return [(task.number, _checker.check(task)) for task in batch]


def _pool(prepared: Prepared, workers: int) -> Workers:
    """Processes whose work is not kept: there is nothing to wait for where they are stopped."""
    return Workers(workers, grace=0, initializer=_start_worker, initargs=(prepared.policies, prepared.ladders))


def _spread(prepared: Prepared, workers: int) -> Iterator[tuple[int, CaptureResult]]:
    """The captures of several processes as they get done. Standard input belongs to this one."""
    ours, theirs = ([task for task in prepared.tasks if (task.input.path == "-") is here] for here in (True, False))
    left = {task.number for task in prepared.tasks}
    part = sum(cost(task.input) for task in theirs) / (workers * PARTS_A_WORKER)
    try:
        with _pool(prepared, workers) as pool:
            waiting = [pool.submit(_work, batch) for batch in parts(theirs, part)]
            for number, result in chain(_here(prepared.of(ours)), _as_they_end(waiting)):
                left.remove(number)
                yield number, result
    except BrokenProcessPool:
        yield from _here(prepared.of([task for task in ours if task.number in left]))
        yield from _one_by_one(prepared.of([task for task in theirs if task.number in left]))


def _as_they_end(futures: Sequence[Future[list[tuple[int, CaptureResult]]]]) -> Iterator[tuple[int, CaptureResult]]:
    for future in as_completed(futures):
        yield from future.result()


def _one_by_one(prepared: Prepared) -> Iterator[tuple[int, CaptureResult]]:
    """After a process was killed: what is left in one other process, capture by capture, so that the culprit can be named."""
    left = prepared.tasks[::-1]
    while left:
        started = False
        try:
            with _pool(prepared, 1) as pool:
                started = pool.submit(bool, 1).result()
                while left:
                    yield from pool.submit(_work, left[-1:]).result()
                    left.pop()
        except BrokenProcessPool:
            if not started:  # no process can be had here
                yield from _here(prepared.of(left[::-1]))
                return
            task = left.pop()
            yield task.number, unreadable(task.input.path, task.policy, KILLED, name="not-checked")


def _together(policies: Sequence[Policy], captures: Sequence[CaptureResult]) -> CheckResult:
    problems: list[Problem] = []
    expectations: list[ExpectationResult] = []
    allows: list[AllowResult] = []
    for number, policy in enumerate(policies):
        own = [capture for capture in captures if capture.policy == number]
        for place, expectation in enumerate(policy.expectations):
            result, problem = _expectation(policy, expectation, place, own)
            expectations.append(result)
            if problem is not None:
                problems.append(problem)
        allows += [_allow(policy, place, own) for place in range(len(policy.allows))]
    return CheckResult(
        tuple(captures),
        tuple(problems),
        tuple(expectations),
        tuple(allows),
        tuple(policy.path for policy in policies),
        __version__,
    )


def _expectation(
    policy: Policy, expectation: Expectation, place: int, captures: Sequence[CaptureResult]
) -> tuple[ExpectationResult, Problem | None]:
    """An expectation over all captures, and what is wrong with it as a whole."""
    concerned = [capture for capture in captures if place in policy.for_capture(capture.path).expectations]
    tallies = [tally for capture in concerned for tally in capture.tallies if tally.expectation == place]
    matched, met = sum(tally.matched for tally in tallies), sum(tally.met for tally in tallies)
    broken, undecided = sum(tally.broken for tally in tallies), sum(tally.undecided for tally in tallies)
    problem = None
    if expectation.capture:
        states = {tally.enough for tally in tallies}
        if not concerned and not any(exists(pattern, policy.root) for pattern in expectation.capture):
            wanted = " or ".join(expectation.capture)
            problem = _of_policy(policy, expectation, "capture", f"expected captures {wanted}, of which there is none")
    else:
        check = count_check(expectation, matched, complete=all(not one.damage and not one.error for one in concerned))
        states = {check.status}
        if concerned and (check.status == BROKEN or (check.status == UNDECIDED and expectation.undecided_fails)):
            problem = _of_policy(policy, expectation, check.key, check.message)
    if problem is None and not concerned:
        status = UNCHECKED
    elif broken or BROKEN in states or (problem is not None and not concerned):
        status = BROKEN
    else:
        status = UNDECIDED if undecided or UNDECIDED in states else MET
    bad = status == BROKEN or (status == UNDECIDED and expectation.undecided_fails)
    result = ExpectationResult(
        expectation.name,
        expectation.match.text,
        expectation.capture,
        expectation.place,
        status,
        expectation.severity,
        bad and fails(expectation.severity, policy.fail_on),
        len(concerned),
        matched,
        met,
        broken,
        undecided,
    )
    return result, problem


def _of_policy(policy: Policy, expectation: Expectation, key: str, message: str) -> Problem:
    """A problem of an expectation as a whole, shown where the policy states it."""
    return Problem(
        kind=EXPECTATION,
        code=EXPECT_CODE,
        name=f"expected-{key}",
        severity=expectation.severity,
        rated=expectation.severity,
        fails=fails(expectation.severity, policy.fail_on),
        message=message,
        path=policy.path,
        line=int(expectation.place.rpartition(":")[2]),
        expectation=expectation.name,
        fingerprint=fingerprint(EXPECTATION, EXPECT_CODE, f"{expectation.name}\0{key}", None, None, None),
    )


def _allow(policy: Policy, place: int, captures: Sequence[CaptureResult]) -> AllowResult:
    allow = policy.allows[place]
    return AllowResult(
        allow.rule,
        allow.match.text,
        allow.reason,
        None if allow.until is None else allow.until.isoformat(),
        allow.place,
        sum(not capture.error and place in policy.for_capture(capture.path).allows for capture in captures),
        sum(count for capture in captures for number, count in capture.allowed if number == place),
        sum(count for capture in captures for number, count in capture.expired if number == place),
    )
