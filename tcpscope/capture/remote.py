"""Captures behind a URL (``s3://``, ``gs://``, ``https://`` …), read through fsspec as they come and never fetched whole."""

from __future__ import annotations

import importlib
import os
import re
from typing import Any, BinaryIO, Final

from tcpscope.errors import SourceError

# Two letters at least: C:\ is a drive. A chain such as zip://a.pcap::s3://bucket/b.zip is fsspec's own notation.
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]+)*://"

_LOGGERS: Final = ("fsspec", "gcsfs", "s3fs", "aiobotocore", "aiohttp")

_VERSION_KEYS: Final = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")
"""What file systems call what changes with a file, the surest first."""

BLOCK: Final = 4 << 20
"""Bytes that a file system which reads in blocks asks for at once; some ask for 50 MiB unless told otherwise."""


def is_url(name: str) -> bool:
    """Whether a name is a URL, and not a file that happens to look like one."""
    return "://" in name and re.match(_SCHEME, name) is not None and not os.path.lexists(name)


def open_url(url: str) -> tuple[BinaryIO, int | None]:
    """The bytes behind a URL as a stream, and their number where the other side tells it.

    :raises SourceError: fsspec or the package for this kind of URL is not installed; there is no such thing, or no access.
    """
    files, path = _file_system(url)
    try:
        # One request whose answer is read as it comes, instead of one for each block.
        blocks = 0 if url.lower().startswith(("http://", "https://")) else BLOCK
        stream: BinaryIO = files.open(path, "rb", block_size=blocks)
    except Exception as error:
        raise SourceError(f"cannot open {url}: {reason(error)}") from error
    size = getattr(stream, "size", None)
    return stream, size if isinstance(size, int) else None


def version_of(url: str) -> tuple[int, str]:
    """Bytes behind a URL (0 where that is not known), and what its server says to tell its state from others ("" if nothing).

    :raises SourceError: as :func:`open_url`.
    """
    files, path = _file_system(url)
    try:
        known = files.info(path)
    except Exception as error:
        raise SourceError(f"cannot open {url}: {reason(error)}") from error
    size = known.get("size")
    stamp = next((str(known[key]) for key in _VERSION_KEYS if known.get(key)), "")
    return size if isinstance(size, int) else 0, stamp


def _file_system(url: str) -> tuple[Any, str]:
    """Fsspec's file system for a URL, and the path in it."""
    import logging  # noqa: PLC0415 (heavy)

    # What they have to say of an error is in its message; without a handler it would be shown twice.
    for name in _LOGGERS:
        if not logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        core: Any = importlib.import_module("fsspec.core")
        files, path = core.url_to_fs(url)
    except ImportError as error:
        raise SourceError(f"cannot open {url}: URLs need pip install 'tcpscope[cloud]'") from error
    except Exception as error:  # each file system has its own
        raise SourceError(f"cannot open {url}: {reason(error)}") from error
    return files, path


def reason(error: BaseException) -> str:
    """One line on what went wrong."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return reason(error.__cause__)  # fsspec says so also of a server that does not answer
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError):  # of a library, with the name alone
        return "No such file"
    if isinstance(error, PermissionError):
        return "Permission denied"
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
