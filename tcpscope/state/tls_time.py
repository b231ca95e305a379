"""What is told of TLS with a look at the whole TCP connection: where the time of the handshake went, and whether that was long."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state import tls_faults as f
from tcpscope.state.connection import Connection
from tcpscope.state.facts import CLIENT, NOBODY, SERVER
from tcpscope.state.timing import shortest
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_outcome import Outcome

SLOW_ROUND_TRIPS: Final = 3  # a full handshake of TLS 1.2 takes two; one for what is lost or comes late
SLOW_NS: Final = 300_000_000  # and that much for both programs


@mypyc_attr(acyclic=True)
class HandshakeTime:
    """From the segment that begins the ClientHello to what ended the handshake, ns.

    Sides are those of the TCP connection. ``thought0``, ``thought1`` and ``network`` add up to ``span``; -1 not known.
    """

    def __init__(self, span: i64) -> None:
        self.span: i64 = span
        self.thought0: i64 = -1
        self.thought1: i64 = -1
        self.network: i64 = -1

    def most(self) -> i64:
        """The side whose program took the largest share; NOBODY if that is the network's, or not known."""
        if self.network >= max(self.thought0, self.thought1):
            return NOBODY
        return CLIENT if self.thought0 >= self.thought1 else SERVER


def handshake_time(outcome: Outcome) -> HandshakeTime | None:
    """The time that a handshake took; None where the capture does not show both ends of it."""
    asked = outcome.asked
    over = outcome.over
    if asked is None or over is None:
        return None
    time = HandshakeTime(max(0, over.time_ns - asked.begin_ns))
    if min(asked.thought0, over.thought0) < 0:
        return time
    # A clock that steps back takes nothing from the shares (docs/numbers.md), but from the time between the two frames.
    first: i64 = min(over.thought0 - asked.thought0, time.span)
    second: i64 = min(over.thought1 - asked.thought1, time.span)
    if asked.side == CLIENT:
        second = min(second, time.span - first)
    else:
        first = min(first, time.span - second)
    time.thought0 = first
    time.thought1 = second
    time.network = time.span - first - second
    return time


def check_whole(conn: Connection, log: TlsLog, outcome: Outcome) -> None:
    """Record what a finished connection shows beyond its TLS: a handshake that took long, roles the other way round."""
    hello = log.client_hello
    if hello is not None and log.client_side == SERVER and conn.client.syn_frame != 0 and not conn.simultaneous_open:
        log.fault(f.ROLE_REVERSED, f.PROVED, SERVER, hello.frame, 0, 0, 0)
    _check_time(conn, log, outcome)


def _check_time(conn: Connection, log: TlsLog, outcome: Outcome) -> None:
    """Only what was completed, seen without a hole, on a path whose round trip is known, can be called slow."""
    asked = outcome.asked
    over = outcome.over
    time = handshake_time(outcome)
    if time is None or asked is None or over is None or not outcome.completed or time.network < 0:
        return
    if not asked.clean or not over.clean or time.span <= SLOW_NS:
        return
    there: i64 = shortest(conn, SERVER, conn.client)
    back: i64 = shortest(conn, CLIENT, conn.server)
    if there < 0 or back < 0 or time.span <= SLOW_ROUND_TRIPS * (there + back) + SLOW_NS:
        return
    log.fault(f.HANDSHAKE_SLOW, f.PROVED, time.most(), over.frame, asked.frame, time.span, there + back)
