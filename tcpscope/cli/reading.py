"""Reads inputs into whatever takes their bytes, with a progress bar, until their end or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from tcpscope.capture.source import open_source
from tcpscope.cli.progress import Progress
from tcpscope.errors import SourceError
from tcpscope.pipeline import CollectorPause

if TYPE_CHECKING:
    from tcpscope.capture.source import Source
    from tcpscope.pipeline import Pipeline

INTERRUPTED: Final = "interrupted"


class Taker(Protocol):
    """What the bytes of a capture are fed to."""

    pipeline: Pipeline

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""

    def feed(self, data: bytes) -> bool:
        """The next bytes. False: no more are wanted of this file."""

    def end_file(self, name: str, compression: str, stopped: str, offset: int) -> None:
        """There are no more of it."""

    def finish(self) -> None:
        """There are no more files."""


class Interrupt:
    """Context manager: the first Ctrl-C ends the reading between two chunks, so that what was read can be reported.

    While the program waits for input the wait itself is broken off. A second Ctrl-C acts as everywhere.
    """

    def __init__(self) -> None:
        self.requested = False
        self.waiting = False
        self._before: object = None
        # Only the main thread may set handlers; elsewhere Ctrl-C is not ours to handle.
        self._active = threading.current_thread() is threading.main_thread()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or self.waiting:
            self.requested = True
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> Interrupt:
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]


def read_into(source: Source, feed: Callable[[bytes], bool], progress: Progress) -> tuple[str, int]:
    """Feed the whole input. Returns one line on what ended the reading early, and the byte of the input; "" and -1 if nothing."""
    with Interrupt() as interrupt, CollectorPause():
        while not interrupt.requested:
            try:
                interrupt.waiting = True
                data = source.read()
                interrupt.waiting = False
            except KeyboardInterrupt:
                break
            except SourceError as error:
                return f"{error} at byte {source.position}", source.position
            if not data:
                return source.damage, source.damage_offset
            if not feed(data):  # what follows, such as a bomb's further zeros, is not worth decompressing
                return "", -1
            progress.reached(source.position)
    return f"{INTERRUPTED} after {source.position} bytes", source.position


def read_capture(paths: Sequence[str], taker: Taker, progress: bool) -> None:
    """Feed a whole capture: one input, or the files in which it was written, in their order.

    :raises SourceError: the first one cannot be opened; that happens to a later one: it counts as damage.
    """
    for index, path in enumerate(paths):
        if index:
            from tcpscope.capture.join import misfit

            if wrong := misfit(path, taker.pipeline.latest):
                taker.begin_file(path)
                taker.end_file(path, "", wrong, -1)
                continue
        with open_source(path) as source, Progress(source.name, source.size, progress) as bar:
            taker.begin_file(path)
            stopped, offset = read_into(source, taker.feed, bar)
            taker.end_file(source.name, source.compression, stopped, offset)
        if stopped.startswith(INTERRUPTED):
            break
    taker.finish()
