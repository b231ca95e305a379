"""The second reading of a capture: what is fed to a taker that the first one has prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from tcpscope.capture.join import misfit
from tcpscope.capture.source import open_source
from tcpscope.errors import SourceError

if TYPE_CHECKING:
    from tcpscope.many.kept import Kept
    from tcpscope.report.ladder_rows import Rereader


class Taker(Protocol):
    """What the bytes of a capture are fed to."""

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""

    def feed(self, data: bytes) -> bool:
        """The next bytes. False: no more are wanted."""

    def end_file(self, name: str, compression: str, stopped: str, offset: int) -> None:
        """There are no more of it."""

    def finish(self) -> None:
        """There are no more files."""


def read_again(path: str, reader: Rereader, kept: Kept | None = None) -> None:
    """Feed a capture as far as the reader wants it. ``kept``: what was kept of it where it can be read only once.

    :raises SourceError: it cannot be opened any more.
    """
    if kept is not None and kept.needed:
        feed_all(path, reader, kept.again())
        return
    with open_source(path) as source:
        feed_all(path, reader, source.read)


def read_series_again(paths: Sequence[str], reader: Rereader) -> None:
    """The same with the files of one capture, as :func:`tcpscope.many.reading.read_series` has read them."""
    for index, path in enumerate(paths):
        wrong = misfit(path, reader.pipeline.latest) if index else ""
        reader.begin_file(path)
        if not wrong:
            try:
                with open_source(path) as source:
                    _feed(reader, source.read)
            except SourceError as error:
                wrong = str(error)
        reader.end_file(path, "", wrong)
    reader.finish()


def feed_all(path: str, reader: Taker, read: Callable[[], bytes]) -> None:
    """Feed what ``read`` gives until it gives nothing, or no more is wanted."""
    reader.begin_file(path)
    _feed(reader, read)
    reader.end_file(path, "", "", -1)
    reader.finish()


def _feed(reader: Taker, read: Callable[[], bytes]) -> None:
    while (data := read()) and reader.feed(data):
        pass
