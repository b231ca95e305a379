"""Captures that were split while they were taken (``dumpcap -b``, ``tcpdump -C`` and ``-G``), put back in order.

The files are read one after the other with one :class:`tcpscope.capture.reader.CaptureReader`, its ``next_file`` between
them. Nothing of a file but the time of its first frame is looked at before that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.remote import is_url
from tcpscope.capture.source import open_source
from tcpscope.errors import SourceError

MAX_OVERLAP_NS: Final = 1_000_000_000
"""Frames that wait in buffers may reach two files in the wrong order, but not by more than this."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a split capture. ``first_time_ns`` is the time of its first frame, None if it has none; then ``link_type``
    is -1.
    """

    path: str
    first_time_ns: int | None
    link_type: int = -1


def in_order(paths: Sequence[str | os.PathLike[str]]) -> list[Part]:
    """The files of one capture in the order in which they were written: by the time of their first frames.

    What has no such time, such as a file without frames, stays behind the file that was given before it.

    :raises SourceError: a file cannot be opened, or is given twice, or is none that can be opened twice.
    """
    names = [os.fspath(path) for path in paths]
    _check(names)
    parts = [first_of(name) for name in names]
    keys: list[tuple[int, int]] = []
    latest = -(1 << 63)
    for index, part in enumerate(parts):
        latest = latest if part.first_time_ns is None else part.first_time_ns
        keys.append((latest, index))
    return [part for _, part in sorted(zip(keys, parts, strict=True), key=lambda pair: pair[0])]


def first_of(path: str) -> Part:
    """A file with what its first frame says: nothing if there is none, or none with a time.

    :raises SourceError: it cannot be opened or read.
    """
    reader, frame = CaptureReader(), Frame()
    with open_source(path) as source:
        while not reader.ended:
            if data := source.read():
                reader.feed(data)
            else:
                reader.finish()
            if reader.advance(frame):
                return Part(path, None) if reader.untimed else Part(path, frame.time_ns, frame.link_type)
    return Part(path, None)


def misfit(path: str, latest_ns: int) -> str:
    """Why a file does not continue a capture that has come to the time ``latest_ns``, or ""."""
    try:
        return overlap(latest_ns, first_of(path))
    except SourceError as error:
        return str(error)


def overlap(latest_ns: int, part: Part) -> str:
    """One line if a file begins before ``latest_ns``, the latest time in the files before it, by more than a moment:
    then they were taken side by side, and are not pieces of one capture. Otherwise "".
    """
    if part.first_time_ns is None or part.first_time_ns >= latest_ns - MAX_OVERLAP_NS:
        return ""
    seconds = (latest_ns - part.first_time_ns) / 1_000_000_000
    return f"{part.path} begins {seconds:.3f} s before the end of the files before it: no pieces of one capture"


def _check(names: Iterable[str]) -> None:
    seen: set[object] = set()
    for name in names:
        if name == "-":
            raise SourceError("cannot join standard input: it can be read only once")
        identity: object = name
        if not is_url(name):
            try:
                status = Path(name).stat()
            except (OSError, ValueError):
                continue  # opening it says why
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise SourceError(f"cannot join {name}: it can be read only once")
            identity = status.st_dev, status.st_ino
        if identity in seen:
            raise SourceError(f"cannot join {name}: it is given twice")
        seen.add(identity)
