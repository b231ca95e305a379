"""Texts that wait on disk for their turn."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final

MEMORY: Final = 1 << 24
"""Bytes that are kept in memory before a file is used."""


class Spool:
    """Texts kept in a temporary file until they are all there, then given back in the order of their numbers.

    ``directory``: where that file is; the system's for such files if None.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._file: BinaryIO = SpooledTemporaryFile(max_size=MEMORY, dir=directory)  # type: ignore[assignment]  # noqa: SIM115
        self._numbers = array("q")
        self._offsets = array("q", [0])

    def add(self, number: int, text: str) -> None:
        """Keep one text. Texts of the same number stay in the order in which they came."""
        data = text.encode("utf-8")
        self._file.write(data)
        self._numbers.append(number)
        self._offsets.append(self._offsets[-1] + len(data))

    def __iter__(self) -> Iterator[str]:
        for index in sorted(range(len(self._numbers)), key=self._numbers.__getitem__):
            start = self._offsets[index]
            self._file.seek(start)
            yield self._file.read(self._offsets[index + 1] - start).decode("utf-8")

    def close(self) -> None:
        """Drop the temporary file."""
        self._file.close()
