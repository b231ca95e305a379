"""Reads packet captures and judges TCP and TLS, connection by connection.

>>> report = tcpscope.analyze("capture.pcap")
>>> [(c.stream, c.handshake.verdict, c.teardown.verdict) for c in report.connections]
>>> for connection in tcpscope.connections("huge.pcap"):  # each as it ends, in bounded memory
...     print(connection.server, [finding.message for finding in connection.findings])

Importing this package loads nothing heavy; the machinery is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tcpscope.errors import FormatError, OptionError, OutputError, SourceError, TcpscopeError
from tcpscope.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpscope.api import Input
    from tcpscope.options import Options
    from tcpscope.report.model import CaptureReport, ConnectionReport, Report
    from tcpscope.rules.base import Finding, Severity

__all__ = [
    "CaptureReport",
    "ConnectionReport",
    "Finding",
    "FormatError",
    "OptionError",
    "Options",
    "OutputError",
    "Report",
    "Severity",
    "SourceError",
    "TcpscopeError",
    "__version__",
    "analyze",
    "connections",
]

_LAZY = {
    "Options": "tcpscope.options",
    "CaptureReport": "tcpscope.report.model",
    "ConnectionReport": "tcpscope.report.model",
    "Report": "tcpscope.report.model",
    "Finding": "tcpscope.rules.base",
    "Severity": "tcpscope.rules.base",
}


def analyze(source: Input, options: Options | None = None) -> Report:
    """Judge a whole capture.

    :param source: path of a pcap or pcapng file, ``"-"`` for standard input, or an open binary file; a list of paths: the
        files in which one capture was written, in any order.
    :param options: see :class:`Options`; None for the defaults.
    :returns: the capture with its connections in stream order. Damage in the capture is no exception: the report holds
        what could be read, ``report.capture.complete`` is False and ``report.capture.damage`` says why.
    :raises SourceError: the source cannot be opened or read.
    :raises FormatError: it is no capture at all.
    :raises OptionError: an option makes no sense, such as an unknown rule.
    """
    from tcpscope import api  # noqa: PLC0415 (heavy)

    return api.analyze(source, options)


def connections(source: Input, options: Options | None = None) -> Iterator[ConnectionReport]:
    """Judge a capture and give each connection as it ends, which is not the order of their numbers.

    Memory follows the connections that are alive at the same time. Parameters and exceptions are those of
    :func:`analyze`; a damaged capture gives the connections up to the damage.
    """
    from tcpscope import api  # noqa: PLC0415 (heavy)

    return api.connections(source, options)


def __getattr__(name: str) -> object:
    if name in _LAZY:
        value: object = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
