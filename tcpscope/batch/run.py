"""Spreads captures over an executor, the largest first, and knows what became of each; what is done already is left alone."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from multiprocessing.synchronize import Event
from typing import Final, NamedTuple

from tcpscope.batch.store import Store, fingerprint, identity_of
from tcpscope.batch.work import Done, Settings, Task, analyse, done
from tcpscope.crypto.keylog import read_key_logs
from tcpscope.errors import InterruptedWork, SourceError, TcpscopeError
from tcpscope.many.inputs import Input
from tcpscope.many.processes import Workers, cost, parts, processors, start_worker
from tcpscope.options import Options
from tcpscope.rules import judge_for

PARTS_A_WORKER: Final = 16
LONGEST_PART: Final = 1.0
"""Rough seconds of work that are given to a worker at a time: what it may lose, and how often progress is told."""

DIED: Final = "the process that read it ended (out of memory?)"
MOST_NAMED: Final = 5

Progress = Callable[[Done], None]


class Ran(NamedTuple):
    """What became of the captures, in the order of the inputs; ``reused``: how many were done already."""

    inputs: Sequence[Input]
    results: Sequence[Done]
    reused: int


def run_batch(
    inputs: Sequence[Input],
    directory: str,
    options: Options,
    *,
    executor: Executor | None = None,
    jobs: int = 0,
    force: bool = False,
    by_content: bool = False,
    started: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Ran:
    """Judge captures and store what they come to below ``directory``.

    ``executor`` may be any; its workers must see the captures and the directory under the same names. Without one, ``jobs``
    processes do the work (0: as many as there are processors). ``force``: also what is done already. ``by_content``: a capture
    is the same if its bytes are, whatever its time. ``started`` is told how many are done already, ``progress`` each capture that
    gets done.

    :raises OutputError: a result cannot be stored. All that has been is whole.
    :raises InterruptedWork: Ctrl-C. The message says what is done, and what was lost.
    :raises TcpscopeError: an option makes no sense, or the executor broke.
    """
    judge_for(options)
    read_key_logs(options.keylog)
    settings = Settings(directory, options, fingerprint(options), by_content)
    store = Store(directory)
    store.prepare()
    try:
        known, tasks = _sort_out(inputs, settings, store, force)
        if started is not None:
            started(len(known))
        runner = _Runner(settings, store, known, progress)
        workers = (
            _Given(executor) if executor is not None else _Processes(min(jobs or processors(), max(1, len(tasks))))
        )
        runner.run(tasks, workers)
    finally:
        store.release()
    return Ran(inputs, [runner.results[number] for number in range(len(inputs))], len(inputs) - len(tasks))


def _sort_out(
    inputs: Sequence[Input], settings: Settings, store: Store, force: bool
) -> tuple[dict[int, Done], list[Task]]:
    """What is done already, and what is to be done."""
    known: dict[int, Done] = {}
    tasks: list[Task] = []
    for number, one in enumerate(inputs):
        found = None if force or one.error else _stored(one, number, settings, store)
        if found is None:
            if force:
                store.drop(one.path)
            tasks.append(Task(number, one))
        else:
            known[number] = found
    return known, tasks


def _stored(one: Input, number: int, settings: Settings, store: Store) -> Done | None:
    """The result of a capture as it is now, if there is one."""
    head = store.head(one.path)
    if head is None or head.path != one.path or head.fingerprint != settings.fingerprint:
        return None
    try:
        identity = identity_of(one, settings.by_content)
    except SourceError:
        return None
    return done(number, head) if head.identity.same(identity) else None


class _Processes:
    """Processes of this batch alone. They end when it is told to stop, and when it dies."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.window = 2 * count  # what runs, and what comes next
        self._context = multiprocessing.get_context()
        try:
            self._stop = self._context.Event()
            self._pool = self._start()
        except OSError as error:
            raise TcpscopeError(f"cannot start processes: {error.strerror or error}") from error

    def submit(self, settings: Settings, part: Sequence[Task]) -> Future[list[Done]]:
        return self._pool.submit(_work, settings, part)

    def restart(self) -> bool:
        """New processes in the place of those that broke."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start()
        return True

    def close(self, *, stop: bool) -> None:
        """Wait for what runs; with ``stop`` no longer than Workers do."""
        if stop:
            self._stop.set()
            self._pool.end()
        else:
            self._pool.shutdown(cancel_futures=True)

    def _start(self) -> Workers:
        return Workers(self.count, mp_context=self._context, initializer=_start_worker, initargs=(self._stop,))


class _Given:
    """Somebody else's executor: it knows how much it can take, and mends itself or not."""

    def __init__(self, executor: Executor) -> None:
        self.count = getattr(executor, "_max_workers", None) or processors()
        self.window = 1 << 30
        self._executor = executor

    def submit(self, settings: Settings, part: Sequence[Task]) -> Future[list[Done]]:
        return self._executor.submit(analyse, settings, part)

    def restart(self) -> bool:
        return False

    def close(self, *, stop: bool) -> None:
        """It goes on living."""


class _Runner:
    """The captures on their way."""

    def __init__(self, settings: Settings, store: Store, known: dict[int, Done], progress: Progress | None) -> None:
        self.results = dict(known)
        self._settings = settings
        self._store = store
        self._progress = progress
        self._queue: deque[list[Task]] = deque()
        self._suspects: deque[Task] = deque()
        self._alone: set[int] = set()  # suspects that ran alone
        self._running: dict[Future[list[Done]], list[Task]] = {}

    def run(self, tasks: Sequence[Task], workers: _Processes | _Given) -> None:
        """Do them all."""
        total = sum(cost(task.input) for task in tasks)
        self._queue.extend(parts(tasks, min(LONGEST_PART, total / (workers.count * PARTS_A_WORKER))))
        stop = True
        try:
            while self._queue or self._suspects or self._running:
                self._step(workers)
            stop = False
        except KeyboardInterrupt:
            # Ctrl-C comes at any point: what is next in a queue may have been submitted, what runs may have been counted
            begun = [*self._running.values(), *list(self._queue)[:1], list(self._suspects)[:1]]
            unsure = {task.number: task for part in begun for task in part if task.number not in self.results}
            lost = set(self._store.in_progress([task.input.path for task in unsure.values()]))
            workers.close(stop=True)
            left = self._look(unsure.values())
            for task in left:
                self._store.forget_parts(task.input.path)
            raise InterruptedWork(
                self._farewell(tasks, [task.input.path for task in left if task.input.path in lost])
            ) from None
        finally:
            for future in self._running:
                future.cancel()
            workers.close(stop=stop)

    def _step(self, workers: _Processes | _Given) -> None:
        broken = False
        try:
            if self._suspects:
                # It runs alone: if the process dies again, it is known of what.
                if not self._running:
                    self._submit(workers, [self._suspects[0]])
                    self._alone.add(self._suspects.popleft().number)
            elif not any(part[0].number in self._alone for part in self._running.values()):
                while self._queue and len(self._running) < workers.window:
                    self._submit(workers, self._queue[0])
                    self._queue.popleft()
        except BrokenExecutor:
            broken = True
        ended, _ = wait(self._running, return_when=FIRST_COMPLETED) if self._running and not broken else ((), ())
        for future in ended:
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                broken = True
                continue
            part = self._running[future]
            if error is None:
                self._take(future.result())
            elif isinstance(error, TcpscopeError):
                raise error
            else:
                self._failed(part, f"{type(error).__name__}: {error}".strip(": "))
            del self._running[future]
        if broken:
            self._recover(workers)

    def _submit(self, workers: _Processes | _Given, part: list[Task]) -> None:
        self._running[workers.submit(self._settings, part)] = part

    def _take(self, results: Sequence[Done]) -> None:
        for one in results:
            self.results[one.number] = one
            if self._progress is not None:
                self._progress(one)

    def _failed(self, part: Sequence[Task], reason: str) -> None:
        """An engine gave up: try the captures one by one, until it is clear which it is."""
        if len(part) > 1:
            self._queue.extend([task] for task in part)
        else:
            self._fail(part[0], reason)

    def _fail(self, task: Task, reason: str) -> None:
        self._store.forget_parts(task.input.path)
        self._store.drop(task.input.path)
        self._take([Done(task.number, f"{task.input.path}: {reason}")])

    def _recover(self, workers: _Processes | _Given) -> None:
        """A process died, and the others with it: go on with new ones, and find out which capture it was."""
        unfinished = sorted((task for part in self._running.values() for task in part), key=lambda task: task.number)
        self._running.clear()
        if not workers.restart():
            raise TcpscopeError("the executor broke: the same command goes on from here, with another one")
        left = self._look(unfinished)
        if len(left) == 1 and left[0].number in self._alone:
            self._fail(left[0], DIED)
            return
        begun = set(self._store.in_progress([task.input.path for task in left]))
        suspects = [task for task in left if task.input.path in begun] or left
        for task in suspects:
            self._store.forget_parts(task.input.path)
        self._suspects.extend(suspects)
        self._queue.extendleft([task] for task in left if task not in suspects)

    def _look(self, tasks: Iterable[Task]) -> list[Task]:
        """Take what a process had stored before it ended; returns the others."""
        left: list[Task] = []
        for task in tasks:
            found = _stored(task.input, task.number, self._settings, self._store)
            if found is None:
                left.append(task)
            else:
                self._take([found])
        return left

    def _farewell(self, tasks: Sequence[Task], lost: Sequence[str]) -> str:
        finished = len(self.results)
        total = finished + sum(task.number not in self.results for task in tasks)
        named = ", ".join(lost[:MOST_NAMED]) + (f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else "")
        was = f"; not finished: {named}" if lost else ""
        return f"interrupted: {finished:,} of {total:,} captures are done{was}. The same command goes on from here."


_stop: Event | None = None  # of a worker process


def _start_worker(stop: Event) -> None:
    global _stop  # noqa: PLW0603 (a process has one)
    _stop = stop
    start_worker()


def _work(settings: Settings, part: Sequence[Task]) -> list[Done]:
    return analyse(settings, part, None if _stop is None else _stop.is_set)
