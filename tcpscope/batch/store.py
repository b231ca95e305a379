"""The output directory: what is in it, how it gets there whole or not at all, and what of it can be used again.

A capture has two files, named alike: ``captures/NAME.json``, the document of the output contract, and ``rows/NAME.jsonl``, its
rows of the tables behind one line about the capture. The second is written last: where it is, the capture is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple

from tcpscope.batch.columns import FORMAT
from tcpscope.capture.remote import is_url, version_of
from tcpscope.errors import OutputError, SourceError
from tcpscope.many.inputs import Input
from tcpscope.options import Options
from tcpscope.version import __version__

DOCUMENTS, ROWS = "captures", "rows"
PART: Final = ".part"
"""How the name of a file ends that is being written."""

LOCK: Final = ".lock"
BLOCK: Final = 1 << 20


class Identity(NamedTuple):
    """Which state of a capture a result is of: ``stamp`` is its modification time, of a URL what its server says of its version.

    ``digest``: SHA-256 of the file where that was asked for, else "". A pipe has neither and is never known again.
    """

    size: int
    stamp: str
    digest: str = ""

    def same(self, other: Identity) -> bool:
        """Whether both are the same bytes, as far as it can be told."""
        if self.size != other.size:
            return False
        if self.stamp and self.stamp == other.stamp:
            return True
        return bool(self.digest) and self.digest == other.digest


def identity_of(one: Input, by_content: bool = False) -> Identity:
    """The identity of a capture as it is now, of a series that of all its files; SourceError if it cannot be opened."""
    if not one.files:
        return _identity(one.path, by_content)
    size, every, digests = 0, hashlib.sha256(), hashlib.sha256()
    for path in one.files:
        try:
            file = _identity(path, by_content)
        except SourceError:  # the others can be read
            file = Identity(0, "none")
        size += file.size
        every.update(json.dumps([path, file.size, file.stamp]).encode())
        digests.update(json.dumps([path, file.digest]).encode())
    return Identity(size, every.hexdigest(), digests.hexdigest() if by_content else "")


def _identity(path: str, by_content: bool) -> Identity:
    if is_url(path):
        size, stamp = version_of(path)
        return Identity(size, stamp)
    try:
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):
            return Identity(0, "")
        digest = ""
        if by_content:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    return Identity(status.st_size, str(status.st_mtime_ns), digest)


def fingerprint(options: Options) -> str:
    """What else a result depends on: the version, the options, and the files that they name by their content."""
    digests: list[str] = []
    for path in (*options.keylog, *options.ca_file, *options.crl):
        try:
            digests.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
    everything = json.dumps([FORMAT, __version__, options._asdict(), digests], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()


class Head(NamedTuple):
    """The first line of a file of rows: what the result is of, the capture's own row, and what its connections come to.

    ``connection_bytes``: where the rows of findings begin, counted from the end of this line.
    """

    fingerprint: str
    path: str
    identity: Identity
    damage: str
    row: dict[str, Any]
    aggregate: dict[str, Any]
    connection_bytes: int

    def line(self) -> str:
        """As it is stored."""
        return json.dumps({**self._asdict(), "identity": list(self.identity)}, separators=(",", ":")) + "\n"


class Store:
    """An output directory.

    :raises OutputError: from all methods, where something cannot be written.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Make the directories, see that nobody else writes here, and drop what an earlier run left unfinished."""
        for name in (DOCUMENTS, ROWS):
            with Writing(self.directory):
                os.makedirs(self._path(name), exist_ok=True)  # noqa: PTH103
        self._take_lock()
        for name in ("", DOCUMENTS, ROWS):
            for left in Path(self._path(name)).glob(f".*{PART}"):
                with Writing(str(left)):
                    left.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others write here."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def name(self, path: str) -> str:
        """The name of the files of a capture: readable, safe on every file system, and of this path only."""
        last = path.replace("\\", "/").rstrip("/").rpartition("/")[2].replace("*", "joined")
        readable = re.sub(r"[^A-Za-z0-9._-]+", "_", last)[:80].lstrip(".")
        digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{readable or 'capture'}-{digest}"

    def document(self, path: str) -> str:
        """Where the JSON of a capture is."""
        return self._path(DOCUMENTS, self.name(path) + ".json")

    def rows(self, path: str) -> str:
        """Where the rows of a capture are."""
        return self._path(ROWS, self.name(path) + ".jsonl")

    def head(self, path: str) -> Head | None:
        """What is known of a capture, of whatever state of it; None if nothing usable is there."""
        try:
            if not os.path.exists(self.document(path)):  # noqa: PTH110
                return None
            with open(self.rows(path), encoding="ascii") as file:  # noqa: PTH123
                fields = json.loads(file.readline())
                return Head(**{**fields, "identity": Identity(*fields["identity"])})
        except (OSError, ValueError, TypeError):
            return None

    def lines(self, path: str) -> tuple[Head, Iterable[bytes], Iterable[bytes]]:
        """What is stored of a capture: the rows of connections and then those of findings, in blocks of whole lines.

        :raises OutputError: it has gone in the meantime.
        """
        head = self.head(path)
        if head is None:
            raise OutputError(f"{self.rows(path)} has gone or was changed while it was needed")
        return head, self._blocks(path, 0, head.connection_bytes), self._blocks(path, head.connection_bytes, None)

    def _blocks(self, path: str, start: int, end: int | None) -> Iterator[bytes]:
        with Writing(self.rows(path)), open(self.rows(path), "rb") as file:  # noqa: PTH123
            file.readline()
            file.seek(start, os.SEEK_CUR)
            left = (1 << 62) if end is None else end - start
            rest = b""
            while left > 0 and (data := file.read(min(BLOCK, left))):
                left -= len(data)
                whole, line_end, tail = data.rpartition(b"\n")
                if line_end:
                    yield rest + whole + line_end
                    rest = tail
                else:
                    rest += data

    def drop(self, path: str) -> None:
        """Forget what is known of a capture."""
        for name in (self.rows(path), self.document(path)):
            with Writing(name):
                Path(name).unlink(missing_ok=True)

    def in_progress(self, paths: Iterable[str]) -> list[str]:
        """Those of the captures of which a result is being written."""
        begun = {
            name.rpartition(".")[0].rpartition(".")[0] for name in _listed(self._path(ROWS)) if name.endswith(PART)
        }
        return [path for path in paths if f".{self.name(path)}.jsonl" in begun]

    def forget_parts(self, path: str) -> None:
        """Remove what a dead process has left of a capture."""
        for directory in (DOCUMENTS, ROWS):
            for left in Path(self._path(directory)).glob(f".{self.name(path)}.*{PART}"):
                with Writing(str(left)):
                    left.unlink(missing_ok=True)

    def _path(self, *parts: str) -> str:
        return os.path.join(self.directory, *filter(None, parts))  # noqa: PTH118

    def _take_lock(self) -> None:
        try:
            import fcntl  # noqa: PLC0415 (not everywhere)
        except ImportError:
            return
        with Writing(self._path(LOCK)):
            lock = open(self._path(LOCK), "w", encoding="ascii")  # noqa: PTH123, SIM115 (closed by release)
        try:
            # Of this process only: one that it starts does not inherit it, and it ends with it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise OutputError(f"another batch is writing to {self.directory}") from None
        except OSError:  # a file system without locks
            pass
        self._lock = lock


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208
    except OSError:
        return []


class Writing:
    """Context manager: an error of the file system is one that says what could not be written."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, OSError):
            raise OutputError(f"cannot write {self._what}: {value.strerror or value}") from value


class AtomicFile:
    """A file that appears under its name when it is complete: it is written under another one, flushed to the disk and renamed.

    What has not been kept when the context ends is removed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        directory, name = os.path.split(path)
        self.temporary = os.path.join(directory, f".{name}.{secrets.token_hex(4)}{PART}")  # noqa: PTH118
        with Writing(path):
            self.file: IO[str] = open(self.temporary, "x", encoding="utf-8", newline="")  # noqa: PTH123, SIM115
        self._kept = False

    def write(self, text: str) -> None:
        """Write text as it is."""
        with Writing(self.path):
            self.file.write(text)

    def keep(self) -> None:
        """The file is complete."""
        with Writing(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.temporary, self.path)  # noqa: PTH105
        self._kept = True

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            with suppress(OSError):  # it tries to write once more
                self.file.close()
            with suppress(OSError):
                os.unlink(self.temporary)  # noqa: PTH108
