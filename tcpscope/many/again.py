"""The second reading of a capture: what is fed to a taker that the first one has prepared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tcpscope.capture.source import open_source

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


def feed_all(path: str, reader: Taker, read: Callable[[], bytes]) -> None:
    """Feed what ``read`` gives until it gives nothing, or no more is wanted."""
    reader.begin_file(path)
    while (data := read()) and reader.feed(data):
        pass
    reader.end_file(path, "", "", -1)
    reader.finish()
