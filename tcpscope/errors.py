"""The exception tree. Each class carries its exit status; a message names the layer and, where there is one, the byte offset.

Damage inside a capture is data, not an exception (see :mod:`tcpscope.capture`): these are raised only where nothing
at all can be reported, or where the caller asked for something impossible.
"""

from __future__ import annotations


class TcpscopeError(Exception):
    """Base of every error that tcpscope raises on purpose. ``exit_status`` is what the command line ends with."""

    exit_status = 2


class SourceError(TcpscopeError):
    """The input could not be opened or read: missing, a directory, no permission, an I/O error."""


class FormatError(TcpscopeError):
    """The input is no capture that tcpscope knows. ``offset`` is the byte at which that became clear."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class OptionError(TcpscopeError):
    """An option has a value that makes no sense, such as an unknown rule in ``--select``."""


class OutputError(TcpscopeError):
    """The report could not be written."""


class InterruptedWork(TcpscopeError):  # noqa: N818 (not the program's error)
    """The user stopped the work (Ctrl-C). The message says how far it was."""


class BaselineError(TcpscopeError):
    """A baseline, or a report to compare with, cannot be read or is none."""


class PolicyError(TcpscopeError):
    """A policy file does not say something that can be followed. ``line`` and ``column`` are 1-based; 0: not known."""

    def __init__(self, path: str, message: str, line: int = 0, column: int = 0) -> None:
        self.path, self.line, self.column = path, line, column
        place = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{place}: {message}")
