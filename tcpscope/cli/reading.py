"""Reads one input into whatever takes its bytes, with a progress bar, until its end or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from tcpscope.cli.progress import Progress
from tcpscope.errors import SourceError
from tcpscope.pipeline import CollectorPause

if TYPE_CHECKING:
    from tcpscope.capture.source import Source
    from tcpscope.pipeline import Pipeline


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
    return f"interrupted after {source.position} bytes", source.position


def problem_of(name: str, pipeline: Pipeline) -> str:
    """One line on why an input, read to its end, could not be read in full; "" if it could."""
    facts = pipeline.facts
    if not facts.complete:
        place = "" if facts.damage_offset < 0 or "byte" in facts.damage else f" (at byte {facts.damage_offset})"
        return f"{facts.damage if name in facts.damage else f'{name}: {facts.damage}'}{place}"
    if facts.frames and facts.skipped.get("unknown-link-type") == facts.frames:
        return f"{name}: no frame could be read: link type {pipeline.frame.link_type} is not known"
    return ""
