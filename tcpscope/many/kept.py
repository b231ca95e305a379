"""What can be read only once, a pipe or a URL, kept for a second reading."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from tcpscope.capture.source import CHUNK


class Kept:
    """``needed``: whether some of the inputs can be read only once; then the bytes go to a temporary file."""

    def __init__(self, paths: Sequence[str]) -> None:
        # pathlib would take longer to load than a small capture to read.
        self.needed = any(path == "-" or not os.path.isfile(path) for path in paths)  # noqa: PTH113
        self._file: BinaryIO | None = None
        if self.needed:
            from tempfile import SpooledTemporaryFile  # noqa: PLC0415 (heavy, and a file needs none)

            from tcpscope.many.spool import MEMORY  # noqa: PLC0415 (the same)

            self._file = SpooledTemporaryFile(max_size=MEMORY)  # type: ignore[assignment]  # noqa: SIM115

    def add(self, data: bytes) -> None:
        """Bytes of the first reading."""
        if self._file is not None:
            self._file.write(data)

    def again(self) -> Callable[[], bytes]:
        """Begin the second reading: what gives the next bytes, none at the end."""
        if self._file is None:
            return bytes
        file = self._file
        file.seek(0)
        return lambda: file.read(CHUNK)

    def close(self) -> None:
        """Drop the temporary file."""
        if self._file is not None:
            self._file.close()
