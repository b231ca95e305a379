"""Bounds on memory that were reached, so that the report can say what it therefore lacks."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Transfer
from tcpscope.state.path import MAX_STEPS
from tcpscope.state.tls_detect import Sniffer
from tcpscope.state.tls_log import MAX_FAULTS, TlsLog
from tcpscope.state.tls_tracker import TlsConnection

# What was reached; the count beside it is of connections up to TLS_CERTIFICATES, of what the name says behind it.
UNACKNOWLEDGED: Final = 0
HOLES: Final = 1
STATES: Final = 2
TLS_BYTES: Final = 3
TLS_EVENTS: Final = 4
TLS_CERTIFICATES: Final = 5
LISTENERS: Final = 6  # SYNs to listeners that were not followed
NUMBERS: Final = 7  # connections whose number was forgotten
FRAGMENTS: Final = 8  # datagrams given up
ENCAPSULATIONS: Final = 9  # segments in paths that have no name
SENDERS: Final = 10  # segments whose sender was not told apart, of those whose checksum was looked at
LIMIT_COUNT: Final = 11


def reached(conn: Connection, counts: list[int]) -> None:
    """Add a finished connection to the bounds that it reached."""
    client: Transfer = conn.client.opened()
    server: Transfer = conn.server.opened()
    if client.trouble.overlooked + server.trouble.overlooked > 0:
        counts[UNACKNOWLEDGED] += 1
    if client.trouble.hole_bytes_lost + server.trouble.hole_bytes_lost > 0:
        counts[HOLES] += 1
    if conn.client.step_count >= MAX_STEPS or conn.server.step_count >= MAX_STEPS:
        counts[STATES] += 1
    tls: TlsConnection | None = conn.tls
    if tls is not None and tls.log is not None:
        log: TlsLog = tls.log
        if _overflows(tls.sniffer0) + _overflows(tls.sniffer1) > 0:
            counts[TLS_BYTES] += 1
        lost: bool = _events_lost(tls.sniffer0) or _events_lost(tls.sniffer1)
        if (
            lost
            or log.event_count > len(log.events)
            or log.alert_count > len(log.alerts)
            or len(log.faults) >= MAX_FAULTS
        ):
            counts[TLS_EVENTS] += 1
        if log.not_kept > 0:
            counts[TLS_CERTIFICATES] += 1


def _overflows(sniffer: Sniffer | None) -> i64:
    return 0 if sniffer is None else sniffer.stream.overflows


def _events_lost(sniffer: Sniffer | None) -> bool:
    return sniffer is not None and sniffer.side is not None and sniffer.side.events_lost
