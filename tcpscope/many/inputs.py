"""From the paths of a command line to captures: files, directories, patterns, standard input, URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tcpscope.capture.remote import is_url

SUFFIXES: Final = (".pcap", ".pcapng", ".snoop")
"""A file of a directory that is called so is meant to be a capture: if it is none, that is to be seen."""

PACKED: Final = (".gz", ".zst", ".lz4", ".xz", ".bz2")

MAGICS: Final = frozenset(
    bytes.fromhex(magic)
    for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "34cdb2a1", "a1b2cd34", "0a0d0d0a", "736e6f6f")
)
"""How captures begin, whatever they are called: pcap, its variants, pcapng, snoop."""


class Input(NamedTuple):
    """A capture. ``size`` in bytes, 0 where it is not known; ``error``: why there is none.

    ``files``: those that it was split into while it was taken, in their order; then ``path`` is a pattern that they match.
    """

    path: str
    size: int = 0
    error: str = ""
    files: tuple[str, ...] = ()


def find(paths: Sequence[str]) -> list[Input]:
    """The captures of all paths, each once, in the order of the paths, those of a directory or pattern in that of their names.

    A path that leads to no capture at all is an input with an error.
    """
    found: dict[str, Input] = {}
    for path in paths:
        for one in _of(path):
            found.setdefault(one.path if is_url(one.path) else os.path.normpath(one.path), one)
    return list(found.values())


def is_pattern(text: str) -> bool:
    """Whether a path is meant as a pattern."""
    return any(sign in text for sign in "*?[")


def _of(path: str) -> Iterator[Input]:
    if path == "-" or is_url(path):
        yield Input(path)
        return
    try:
        directory, there = os.path.isdir(path), os.path.lexists(path)  # noqa: PTH112
    except ValueError:  # a zero byte
        directory, there = False, False
    if directory:
        yield from _directory(path)
    elif there or not is_pattern(path):
        yield Input(path, _size(path))
    else:
        yield from _pattern(path)


def _pattern(pattern: str) -> Iterator[Input]:
    names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (as the shell would give them)
    for name in names:
        if not Path(name).is_dir():
            yield Input(name, _size(name))
    if not names:
        yield Input(pattern, 0, f"no file matches {pattern}")


def _directory(top: str) -> Iterator[Input]:
    empty = True
    for directory, below, names in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(directory, name)  # noqa: PTH118
            if not name.startswith(".") and _is_capture(path):
                empty = False
                yield Input(os.path.normpath(path), _size(path))
    if empty:
        yield Input(top, 0, f"there is no capture in the directory {top}")


def _is_capture(path: str) -> bool:
    """Whether a file is a capture by its name or by its first bytes."""
    name, packed = os.path.splitext(path.lower())  # noqa: PTH122
    if (
        (name if packed in PACKED else name + packed).rstrip("0123456789").endswith(SUFFIXES)
    ):  # tcpdump -C counts at the end
        return os.path.isfile(path)  # noqa: PTH113
    try:
        if not os.path.isfile(path):  # noqa: PTH113 (a pipe would keep us waiting)
            return False
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(4) in MAGICS
    except OSError:
        return False


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except (OSError, ValueError):
        return 0
