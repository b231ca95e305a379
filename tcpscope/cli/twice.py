"""Reads a capture twice: what can be read only once, a pipe or a URL, waits in a temporary file in between."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final

from tcpscope.capture.source import CHUNK
from tcpscope.cli.reading import read_capture

if TYPE_CHECKING:
    from tcpscope.cli.reading import Taker
    from tcpscope.pipeline import Pipeline

MEMORY: Final = 1 << 24
"""Bytes of a pipe that are kept in memory before they go to a file."""


class Twice:
    """Context manager: a capture that is read first with :meth:`first`, then again with :meth:`again`."""

    def __init__(self, paths: Sequence[str], progress: bool) -> None:
        self._paths = paths
        self._progress = progress
        self._spool: BinaryIO | None = None
        if not all(Path(path).is_file() for path in paths):  # those of --join all are
            self._spool = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # type: ignore[assignment]  # noqa: SIM115
        self._name = ""

    def first(self, taker: Taker) -> None:
        """Read it.

        :raises SourceError: it cannot be opened.
        """
        read_capture(self._paths, taker if self._spool is None else _Recorder(taker, self._spool), self._progress)

    def again(self, taker: Taker) -> None:
        """Read it once more, as far as ``taker`` wants it."""
        if self._spool is None:
            read_capture(self._paths, taker, self._progress)
            return
        self._spool.seek(0)
        taker.begin_file(self._paths[0])
        while (data := self._spool.read(CHUNK)) and taker.feed(data):
            pass
        taker.end_file(self._paths[0], "", "", -1)
        taker.finish()

    def __enter__(self) -> Twice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spool is not None:
            self._spool.close()


class _Recorder:
    """Hands on what is read, and keeps it."""

    def __init__(self, taker: Taker, spool: BinaryIO) -> None:
        self.pipeline: Pipeline = taker.pipeline
        self._taker = taker
        self._spool = spool

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        self._taker.begin_file(name)

    def feed(self, data: bytes) -> bool:
        """The next bytes."""
        self._spool.write(data)
        return self._taker.feed(data)

    def end_file(self, name: str, compression: str, stopped: str, offset: int) -> None:
        """There are no more of them."""
        self._taker.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """There are no more files."""
        self._taker.finish()
