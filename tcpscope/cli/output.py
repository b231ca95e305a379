"""Where output goes: standard output or a file, and standard error for messages. The only place that writes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

from tcpscope.errors import OptionError, OutputError

if TYPE_CHECKING:
    from tcpscope.report.style import Style

FOUND: Final = 1
"""Exit status where there are findings at or above ``--fail-on``."""

FAILED: Final = 2
"""Exit status for wrong usage, unreadable or damaged input, and failed output."""


def failure(message: str) -> None:
    """One line on standard error."""
    from tcpscope.report.escape import printable

    if sys.stderr is not None:
        sys.stderr.write(f"tcpscope: {printable(message, backslash=False)}\n")


def quiet_streams() -> None:
    """Characters that a stream cannot take are written as escapes instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Send what is still buffered for standard output nowhere, so that the interpreter's end does not trip over it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Output:
    """Text to standard output, or to a file where ``path`` is given (created or overwritten when the first text comes).

    :raises OutputError: it cannot be written. A closed pipe raises BrokenPipeError.
    """

    def __init__(self, path: str | None, inputs: tuple[str, ...] = ()) -> None:
        self.path = path
        self._stream: TextIO = sys.stdout
        if path is None:
            if sys.stdout is None:
                raise OutputError("cannot write standard output: it is closed")
            return
        for name in inputs:
            if name != "-" and _same_file(name, path):
                raise OptionError(f"--output {path} would overwrite the input")
        from pathlib import Path

        try:
            self._stream = Path(path).open("w", encoding="utf-8", newline="")  # noqa: SIM115 (closed by close)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {path}: {_reason(error)}") from error

    def write(self, text: str) -> None:
        """Write text as it is."""
        try:
            self._stream.write(text)
        except OSError as error:
            raise self._failed(error) from error

    def write_bytes(self, data: bytes) -> None:
        """Write data that is no text, after what was written before."""
        try:
            self._stream.flush()
            self._stream.buffer.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Flush, and close a file."""
        try:
            self._stream.flush()
            if self.path is not None:
                self._stream.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OSError | OutputError:
        if self.path is not None:
            with suppress(OSError):  # it tries to write once more
                self._stream.close()
        if isinstance(error, BrokenPipeError):
            return error
        return OutputError(f"cannot write {self.path or 'standard output'}: {_reason(error)}")

    @property
    def on_terminal(self) -> bool:
        """Whether text appears on a terminal as it is written."""
        return self.path is None and self._stream.isatty()

    def style(self, color: str) -> Style:
        """How a text report should look here. ``color``: auto, always or never."""
        from tcpscope.report.style import Style

        # https://no-color.org: set and not empty, whatever its value
        wanted = color == "always" or (color == "auto" and self.on_terminal and not os.environ.get("NO_COLOR"))
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower().replace("-", "")
        return Style(terminal_width(), wanted, encoding in {"utf8", "utf16", "utf32"})

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def terminal_width() -> int:
    """Columns of the terminal (also of one behind a pager), of $COLUMNS, or else 80."""
    told = os.environ.get("COLUMNS", "")
    columns = int(told[:9]) if told.isascii() and told.isdecimal() else 0
    for descriptor in (1, 2, 0):
        if columns:
            break
        with suppress(OSError):
            columns = os.get_terminal_size(descriptor).columns
    return min(max(columns or 80, 40), 400)


def _same_file(one: str, other: str) -> bool:
    from pathlib import Path

    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
