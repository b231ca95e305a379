"""The table of connections, and which columns it has on a terminal of a given width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES, ConnectionReport, HostPort
from tcpscope.report.model_tls import TlsReport
from tcpscope.report.quantities import size
from tcpscope.report.style import Style
from tcpscope.report.table import table, table_width
from tcpscope.rules import words

CODES_SHOWN: Final = 2
MEASURED_ROWS: Final = 1000
"""Rows that decide on the layout of a long table."""


class Layout(NamedTuple):
    """How much each column says; the defaults are what every table has. ``address``: the most columns of one."""

    address: int = 7
    data: bool = False  # columns for the bytes each way
    closer: bool = False  # who closed or reset
    rtt: bool = False
    codes: bool = False  # codes of the findings, else how many of each severity
    tls: int = 0  # 0: no column, 1: version, 2: and server name
    time_wait: int = 0  # 0: no column, 1: verdict, 2: and how long it was watched
    form: bool = False  # four-segment, three-segment, simultaneous


# What is added while there is room, the most useful first; what does not fit is skipped.
_ADDITIONS: Final[tuple[dict[str, int | bool], ...]] = (
    {"address": 15},  # whole IPv4 addresses
    {"data": True},
    {"closer": True},
    {"rtt": True},
    {"tls": 1},
    {"codes": True},
    {"time_wait": 1},
    {"address": 21},
    {"form": True},
    {"address": 39},
    {"tls": 2},
    {"time_wait": 2},
)


def connection_table(style: Style, connections: Sequence[ConnectionReport]) -> str:
    """One row a connection, as wide as the style allows."""
    layout = Layout()
    measured = connections[:MEASURED_ROWS]
    empty = set()
    if all(connection.tls is None for connection in measured):
        empty.add("tls")
    if all(connection.time_wait.verdict == "not-applicable" for connection in measured):
        empty.add("time_wait")
    for addition in _ADDITIONS:
        if not empty.isdisjoint(addition):
            continue
        candidate = layout._replace(**addition)  # type: ignore[arg-type]
        rows = [_row(style, candidate, connection) for connection in measured]
        if table_width(_headers(candidate), rows) <= style.width:
            layout = candidate
    rows = [_row(style, layout, connection) for connection in connections]
    return table(style, _headers(layout), rows, right=(0, 3, 4) if layout.data else (0,))


def _headers(layout: Layout) -> list[str]:
    heads = ["#", "client → server", "opened"]
    if layout.data:
        heads += ["bytes →", "←"]
    heads.append("closed")
    if layout.time_wait:
        heads.append("TIME-WAIT")
    if layout.tls:
        heads.append("TLS")
    return [*heads, "findings"]


def _row(style: Style, layout: Layout, connection: ConnectionReport) -> list[str]:
    cells = [
        str(connection.stream),
        f"{short_host(connection.client, layout.address)} → {short_host(connection.server, layout.address)}",
        opened(connection, rtt=layout.rtt),
    ]
    if layout.data:
        cells.append(size(connection.client_side.traffic.unique_bytes))
        cells.append(size(connection.server_side.traffic.unique_bytes))
    cells.append(closed(connection, closer=layout.closer, form=layout.form))
    if layout.time_wait:
        cells.append(_time_wait(connection, long=layout.time_wait > 1))
    if layout.tls:
        cells.append(_tls(connection.tls, name=layout.tls > 1))
    return [*cells, _findings(style, connection, codes=layout.codes)]


def short_host(host: HostPort, most: int) -> str:
    """``address:port`` with the middle of a long address left out."""
    address = host.address
    if len(address) > most:
        tail = (most - 1) // 2
        address = f"{address[: most - 1 - tail]}…{address[-tail:]}"
    return f"[{address}]:{host.port}" if ":" in host.address else f"{address}:{host.port}"


def opened(connection: ConnectionReport, *, rtt: bool = True) -> str:
    """The verdict on the opening, with its round-trip time."""
    handshake = connection.handshake
    if rtt and handshake.rtt_ns is not None:
        return f"{handshake.verdict} {words.span(handshake.rtt_ns)}"
    return handshake.verdict


def closed(connection: ConnectionReport, *, closer: bool = True, form: bool = True) -> str:
    """The verdict on the closing, with who closed (or sent the RST) first, and in which form."""
    teardown = connection.teardown
    reset = "aborted" in teardown.verdict or "reset" in teardown.verdict
    who = connection.reset_by if reset else teardown.active_closer
    details = [part for part, wanted in ((who, closer), (teardown.form, form)) if part and wanted]
    return f"{teardown.verdict} ({', '.join(details)})" if details else teardown.verdict


def _time_wait(connection: ConnectionReport, *, long: bool) -> str:
    time_wait = connection.time_wait
    if time_wait.verdict == "not-applicable":
        return "–"
    if long and time_wait.verdict == "not-observed" and time_wait.observed_ns is not None:
        return f"not-observed ({words.span(time_wait.observed_ns)} of {words.span(time_wait.required_ns)})"
    return time_wait.verdict


def _tls(tls: TlsReport | None, *, name: bool) -> str:
    if tls is None:
        return "–"
    words = [tls.version or "TLS"]
    if tls.verdict != "complete":
        words.append(tls.verdict)
    if name and tls.sni:
        words.append(printable(tls.sni if len(tls.sni) <= 40 else tls.sni[:39] + "…"))
    return " ".join(words)


def _findings(style: Style, connection: ConnectionReport, *, codes: bool) -> str:
    if not connection.findings:
        return "–"
    if not codes:
        counted = [(s, sum(f.severity == s for f in connection.findings)) for s in SEVERITIES]
        return " ".join(style.paint(f"{count}{severity[0].upper()}", severity) for severity, count in counted if count)
    counts = Counter(finding.code for finding in connection.findings)
    severities = {finding.code: finding.severity for finding in reversed(connection.findings)}
    shown = [
        style.paint(code, severities[code]) + (f"×{count}" if count > 1 else "")
        for code, count in list(counts.items())[:CODES_SHOWN]
    ]
    rest = len(counts) - len(shown)
    return " ".join([*shown, f"+{rest}"] if rest else shown)
