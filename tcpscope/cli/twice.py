"""Reads a capture twice: what can be read only once, a pipe or a URL, waits in a temporary file in between."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from tcpscope.cli.reading import read_capture
from tcpscope.many.kept import Kept

if TYPE_CHECKING:
    from tcpscope.cli.reading import Taker
    from tcpscope.pipeline import Pipeline


class Twice:
    """Context manager: a capture that is read first with :meth:`first`, then again with :meth:`again` if that is ``wanted``."""

    def __init__(self, paths: Sequence[str], progress: bool, *, wanted: bool = True) -> None:
        self._paths = paths
        self._progress = progress
        self._kept = Kept(paths if wanted else ())  # those of --join all are files

    def first(self, taker: Taker) -> None:
        """Read it.

        :raises SourceError: it cannot be opened.
        """
        read_capture(self._paths, _Recorder(taker, self._kept) if self._kept.needed else taker, self._progress)

    def again(self, taker: Taker) -> None:
        """Read it once more, as far as ``taker`` wants it."""
        if not self._kept.needed:
            read_capture(self._paths, taker, self._progress)
            return
        from tcpscope.many.again import feed_all

        feed_all(self._paths[0], taker, self._kept.again())

    def __enter__(self) -> Twice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()


class _Recorder:
    """Hands on what is read, and keeps it."""

    def __init__(self, taker: Taker, kept: Kept) -> None:
        self.pipeline: Pipeline = taker.pipeline
        self._taker = taker
        self._kept = kept

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        self._taker.begin_file(name)

    def feed(self, data: bytes) -> bool:
        """The next bytes."""
        self._kept.add(data)
        return self._taker.feed(data)

    def end_file(self, name: str, compression: str, stopped: str, offset: int) -> None:
        """There are no more of them."""
        self._taker.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """There are no more files."""
        self._taker.finish()
