"""How captures are spread over processes: how many there should be, and who gets what."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from tcpscope.many.inputs import Input
from tcpscope.version import compiled

COST_A_CAPTURE: Final = 0.0008 if compiled() else 0.004
COST_A_BYTE: Final = 1e-8 if compiled() else 4e-7
"""Rough seconds: a further process pays where it takes over much more than it costs to start."""

GRACE: Final = 2.0
"""Seconds that the captures in progress may take when somebody stops the work."""

COLLECT_EVERY: Final = 64
"""Captures after which memory is tidied up, where the collector is off."""


class Task(Protocol):
    """A capture with its place among all."""

    @property
    def number(self) -> int:
        """The place."""

    @property
    def input(self) -> Input:
        """The capture."""


SomeTask = TypeVar("SomeTask", bound=Task)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cost(one: Input) -> float:
    """Rough seconds that a capture takes."""
    return COST_A_CAPTURE + one.size * COST_A_BYTE


def parts(tasks: Iterable[SomeTask], most: float) -> Iterator[list[SomeTask]]:
    """The tasks in parts that cost about ``most`` seconds, or one capture, the largest captures first."""
    part: list[SomeTask] = []
    filled = 0.0
    for task in sorted(tasks, key=lambda task: (-task.input.size, task.number)):
        part.append(task)
        filled += cost(task.input)
        if filled >= most:
            yield part
            part, filled = [], 0.0
    if part:
        yield part


class Tidier:
    """Counts captures, and tidies up now and then where the collector is off: what little each leaves would add up."""

    def __init__(self) -> None:
        self._captures = 0

    def captured(self) -> None:
        """One more is done."""
        self._captures += 1
        if self._captures % COLLECT_EVERY == 0 and not gc.isenabled():
            gc.collect()


Given = ParamSpec("Given")
Result = TypeVar("Result")


class Workers(ProcessPoolExecutor):
    """Processes that work for this one. Their initializer calls :func:`start_worker`. Others must not be started meanwhile.

    A block that they are the context of is left by an exception, such as Ctrl-C, when they have been ended.
    ``grace``: see :meth:`end`; the options are those of the executor.
    """

    def __init__(self, count: int, grace: float = GRACE, **options: Any) -> None:
        self._grace = grace
        self._others = set(multiprocessing.active_children())
        super().__init__(count, **options)

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.end()

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """As documented. The processes start here, and Ctrl-C is kept from them until they know that it is not theirs."""
        if not hasattr(signal, "pthread_sigmask"):
            return super().submit(fn, *args, **kwargs)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def end(self) -> None:
        """End them all: those that are at work when ``grace`` seconds are over, or that wait for bytes, by force."""
        force = threading.Timer(self._grace, _terminate, [set(multiprocessing.active_children()) - self._others])
        force.start()
        self.shutdown(cancel_futures=True)
        force.cancel()
        force.join()


def _terminate(processes: Iterable[BaseProcess]) -> None:
    for process in processes:
        with suppress(OSError):  # it has just ended
            process.terminate()


def start_worker() -> None:
    """Prepare a process that works for another one: Ctrl-C is for the one that started it, and it ends with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when that process does: this one would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
