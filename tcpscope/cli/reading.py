"""Reads inputs into whatever takes their bytes, with a progress bar, until their end or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from tcpscope.capture.source import open_source
from tcpscope.cli.progress import Progress
from tcpscope.errors import SourceError
from tcpscope.pipeline import CollectorPause

if TYPE_CHECKING:
    from tcpscope.capture.source import Source
    from tcpscope.pipeline import FileFacts, Pipeline

INTERRUPTED: Final = "interrupted"
MAX_PROBLEMS: Final = 5
"""Damaged files of one capture that are named one by one."""


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
        if index and (wrong := _misfit(path, taker.pipeline.latest)):
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


def _misfit(path: str, latest: int) -> str:
    """Why a file does not continue a capture that has come to the time ``latest``, or ""."""
    from tcpscope.capture.join import Part, first_time, overlap

    try:
        return overlap(latest, Part(path, first_time(path)))
    except SourceError as error:
        return str(error)


def problems_of(pipeline: Pipeline) -> Iterator[str]:
    """One line on each reason why a capture, read to its end, could not be read in full."""
    facts = pipeline.facts
    damaged = [file for file in facts.files if file.damage or file.gaps]
    for file in damaged[:MAX_PROBLEMS]:
        yield _problem(file)
    if len(damaged) > MAX_PROBLEMS:
        yield f"{len(damaged) - MAX_PROBLEMS} more files are damaged"
    if facts.frames and facts.skipped.get("unknown-link-type") == facts.frames:
        yield f"{facts.files[0].name}: no frame could be read: link type {pipeline.frame.link_type} is not known"


def _problem(file: FileFacts) -> str:
    if not file.damage:
        first, places = file.gaps[0], len(file.gaps)
        count = "one damaged place" if places == 1 else f"{places} damaged places"
        return f"{file.name}: {count} stepped over, the first at byte {first.offset}: {first.text}"
    place = "" if file.damage_offset < 0 or "byte" in file.damage else f" (at byte {file.damage_offset})"
    return f"{file.damage if file.name in file.damage else f'{file.name}: {file.damage}'}{place}"
