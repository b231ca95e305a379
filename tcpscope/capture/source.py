"""Where the bytes come from: a file, a pipe, standard input or an open binary stream."""

from __future__ import annotations

import os
import stat
import sys
from types import TracebackType
from typing import BinaryIO, Final

from tcpscope.errors import SourceError

CHUNK: Final = 131072 - 64
"""Bytes asked for at once: with its object header a chunk stays below the size from which malloc maps each one anew."""


class Source:
    """An open input. ``name`` is what the user called it, ``size`` its length in bytes where the system knows it."""

    def __init__(self, stream: BinaryIO, name: str, size: int | None, owned: bool) -> None:
        self.name = name
        self.size = size
        self._stream = stream
        self._owned = owned
        self._read_some = getattr(stream, "read1", stream.read)

    def read(self) -> bytes:
        """The next bytes, as many as are there but at most :data:`CHUNK`; ``b""`` at the end."""
        try:
            data: bytes | None = self._read_some(CHUNK)
        except OSError as error:
            raise SourceError(f"cannot read {self.name}: {_reason(error)}") from error
        except ValueError as error:
            raise SourceError(f"cannot read {self.name}: {error}") from error
        if data is None:
            raise SourceError(f"cannot read {self.name}: it is a non-blocking stream without data")
        return data

    def close(self) -> None:
        """Close the input, unless it was open already when it came."""
        if self._owned:
            self._stream.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(path: str | os.PathLike[str] | BinaryIO) -> Source:
    """Open a file by its path, standard input by ``"-"``, or take an open binary stream (which stays the caller's).

    :raises SourceError: it is missing, a directory, not to be read.
    """
    if not isinstance(path, str | os.PathLike):
        name = getattr(path, "name", None)
        return Source(path, name if isinstance(name, str) else "stream", None, owned=False)
    name = os.fspath(path)
    if name == "-":
        if sys.stdin is None:
            raise SourceError("cannot read standard input: it is closed")
        return Source(sys.stdin.buffer, "standard input", None, owned=False)
    try:
        stream = open(name, "rb", buffering=0)  # noqa: SIM115 (the Source closes it)
    except OSError as error:
        raise SourceError(f"cannot open {name}: {_reason(error)}") from error
    except ValueError as error:  # a zero byte in the name
        raise SourceError(f"cannot open {name!r}: {error}") from error
    status = os.fstat(stream.fileno())
    return Source(stream, name, status.st_size if stat.S_ISREG(status.st_mode) else None, owned=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
