"""Where the bytes come from: a file, a pipe, standard input, an open binary stream or a URL; decompressed on the way."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Final

from tcpscope.capture.decompress import MEMORY, Decompressor, compression_of, may_be_compressed, missing_package
from tcpscope.capture.remote import is_url, open_url, reason
from tcpscope.errors import SourceError

CHUNK: Final = 131072 - 64
"""Bytes asked for at once: with its object header a chunk stays below the size from which malloc maps each one anew."""

MAX_LAYERS: Final = 2
"""Compressions one inside the other: more is no capture that somebody wants to have read."""

INNER_MEMORY: Final = MEMORY // 4
"""What the inner one of two decompressors may ask for."""


class Stream:
    """The bytes as the system gives them. ``position`` counts those that have been read."""

    def __init__(self, stream: BinaryIO | io.RawIOBase, name: str, remote: bool) -> None:
        self.position = 0
        self._name = name
        # A library that reads from a network may raise anything.
        self._expected: tuple[type[Exception], ...] = (Exception,) if remote else (OSError, ValueError)
        self._read_some = getattr(stream, "read1", stream.read)

    def read(self) -> bytes:
        """The next bytes, as many as are there but at most :data:`CHUNK`; ``b""`` at the end."""
        try:
            data: bytes | None = self._read_some(CHUNK)
        except self._expected as error:
            raise SourceError(f"cannot read {self._name}: {reason(error)}") from error
        if data is None:
            raise SourceError(f"cannot read {self._name}: it is a non-blocking stream without data")
        self.position += len(data)
        return data


class Source:
    """An open input. ``name`` is what the user called it, ``size`` its length in bytes where the system knows it.

    ``position`` says how far into those bytes the reading is. What is read is decompressed: ``compression`` names how
    it was compressed, outermost first ("gzip", "xz+gzip"), or is "". Of an input that may keep its reader waiting it
    is known after the first :meth:`read`. ``damage`` is one line on what ended the decompression early, without the
    name of the input, "" if nothing did; ``damage_offset`` is the place in the compressed bytes, or -1.
    """

    def __init__(
        self, stream: BinaryIO | io.RawIOBase, name: str, size: int | None, owned: bool, remote: bool = False
    ) -> None:
        self.name = name
        self.size = size
        self.compression = ""
        self._stream = stream
        self._owned = owned
        self._raw = Stream(stream, name, remote)
        self._read = self._raw.read
        self._head = b""
        self._recognised = False
        self._layers: list[Decompressor] = []

    def read(self) -> bytes:
        """The next bytes, as many as are there but at most :data:`CHUNK`; ``b""`` at the end, or at damage.

        :raises SourceError: the input cannot be read, or :meth:`recognise` failed.
        """
        if not self._recognised:
            self.recognise()
        if self._head:
            data, self._head = self._head, b""
            return data
        return self._read()

    def recognise(self) -> None:
        """Find out how the input is compressed. May wait for its first bytes.

        :raises SourceError: the package for its compression is not installed.
        """
        head = self._peek()
        while len(self._layers) < MAX_LAYERS and (name := compression_of(head)):
            if missing := missing_package(name):
                raise SourceError(f"cannot read {self.name}: {missing}")
            layer = Decompressor(name, _Resumed(head, self._read).read, INNER_MEMORY if self._layers else MEMORY, CHUNK)
            self._layers.append(layer)
            self._read = layer.read
            self.compression += f"+{name}" if self.compression else name
            head = self._peek()
        self._head = head
        self._recognised = True

    def _peek(self) -> bytes:
        """Enough bytes to tell a compression, or all that there are."""
        head = b""
        while may_be_compressed(head) and (data := self._read()):
            head += data
        return head

    @property
    def position(self) -> int:
        """Bytes of the input read so far, before they are decompressed."""
        return self._raw.position

    @property
    def damage(self) -> str:
        """One line on what ended the decompression early, or ""; of two compressions, what is wrong with the outer one."""
        for layer in self._layers:
            if layer.damage:
                return layer.damage if layer is self._layers[0] else f"{layer.damage} (inside {self._layers[0].name})"
        return ""

    @property
    def damage_offset(self) -> int:
        """The place of the damage in the compressed bytes, or -1."""
        return next((layer.damage_offset for layer in self._layers if layer.damage), -1)

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


class _Resumed:
    """A stream of which the first bytes have been read already."""

    def __init__(self, head: bytes, read: Callable[[], bytes]) -> None:
        self._head = head
        self._rest = read

    def read(self) -> bytes:
        """The next bytes."""
        data, self._head = self._head, b""
        return data or self._rest()


def open_source(path: str | os.PathLike[str] | BinaryIO) -> Source:
    """Open a file by its path, standard input by ``"-"``, a URL, or take an open binary stream (which stays the caller's).

    :raises SourceError: it is missing, a directory, not to be read; a package that it needs is not installed.
    """
    if not isinstance(path, str | os.PathLike):
        name = getattr(path, "name", None)
        return Source(path, name if isinstance(name, str) else "stream", None, owned=False)
    name = os.fspath(path)
    if name == "-":
        if sys.stdin is None:
            raise SourceError("cannot read standard input: it is closed")
        return Source(sys.stdin.buffer, "standard input", None, owned=False)
    if is_url(name):
        stream, size = open_url(name)
        return _recognised(Source(stream, name, size, owned=True, remote=True))
    try:
        file = io.FileIO(name)
    except OSError as error:
        raise SourceError(f"cannot open {name}: {reason(error)}") from error
    except ValueError as error:  # a zero byte in the name
        raise SourceError(f"cannot open {name!r}: {error}") from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Source(file, name, None, owned=True)
    return _recognised(Source(file, name, status.st_size, owned=True))


def _recognised(source: Source) -> Source:
    """A source that does not keep its reader waiting, its compression known."""
    try:
        source.recognise()
    except SourceError:
        source.close()
        raise
    return source
