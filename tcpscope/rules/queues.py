"""TS1xx, what waits at a listener: half-open connections, full queues, floods (rows O8 and O9 of RFC 9293 section 3.5 in practice)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import WEAKER, weigh
from tcpscope.rules.base import (
    HALF_OPEN,
    SHORTEST_TIMEOUT_NS,
    Context,
    FactRule,
    Finding,
    Rule,
    Seen,
    Severity,
    facts_of_side,
)
from tcpscope.rules.verdicts import watched_too_briefly
from tcpscope.rules.words import address_port, frames, opening, party, plural, span, times, too_early
from tcpscope.state.facts import CLIENT, SERVER, SYN_ACK_IGNORES_DATA, SYN_ACK_REPEATED, Fact
from tcpscope.wire.address import format_address

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection
    from tcpscope.state.listeners import Listener

FLOOD_WAITING: Final = 100
"""Connections that wait for their handshake at one listener and count as a flood. The backlog that programs ask for begins at
50 to 128 entries (Java 50, Python 128, many others 100 to 128): with as many waiting, real clients are turned away."""


class HandshakeHalfOpen(Rule):
    """The server answered the SYN, and the client never completed the handshake.

    What it does:
        Reports a SYN-ACK to which no third segment came, with its repetitions. If the capture ends within a second of
        the SYN-ACK it says so in a note: too early to tell.

    Why it matters:
        Each such connection waits in SYN-RECEIVED in the server's SYN queue until it times out, after a minute or so.
        Either the SYN-ACK does not reach the client, or the client's ACK is lost, or the client never meant to
        connect: a scan or a flood.

    Example:
        frame 1   client > server   SYN
        frame 2   server > client   SYN,ACK
        frame 3   server > client   SYN,ACK   (1 s later)

    How to fix:
        Capture at the client: does the SYN-ACK arrive? If not, look at the way back (asymmetric routes, stateful
        firewalls). If it arrives unasked, the source address of the SYN was forged; SYN cookies protect the server.

    References:
        RFC 9293 section 3.5: the three-way handshake.
        RFC 4987 section 2: what half-open connections cost a server.
    """

    code: ClassVar[str] = "TS106"
    name: ClassVar[str] = "handshake-half-open"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5"
    occasions: ClassVar[int] = HALF_OPEN

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """How long the server waited, and how often it tried."""
        server = conn.server
        watched = conn.watched_until - server.syn_time
        sent = [server.syn_frame, *(fact.frame for fact in facts_of_side(conn, SYN_ACK_REPEATED, SERVER))]
        text = (
            f"{party(conn, CLIENT)} never acknowledged the SYN-ACK of {party(conn, SERVER)} "
            f"({frames(sent, server.syn_count)}), sent {times(server.syn_count)} and watched for {span(watched)}: the "
            "connection stays half-open in the server's queue"
        )
        text, severity = weigh(conn, text, self.severity, "the acknowledgement")
        if watched_too_briefly(server, conn) or (server.syn_count == 1 and conn.one_sided):
            severity = Severity.NOTE
            text = (
                f"{party(conn, CLIENT)} has not acknowledged the SYN-ACK of {party(conn, SERVER)} (frame "
                f"{server.syn_frame}), but {too_early(watched)}"
            )
        yield self.finding(
            conn,
            CLIENT,
            opening(text),
            [conn.client.syn_frame, *sent],
            frame=server.syn_frame,
            time_ns=server.syn_time,
            count=server.syn_count,
            severity=severity,
        )


def ignores_acknowledgement(fact: Fact, conn: Connection) -> bool:
    """Whether a repeated SYN-ACK comes so late after the client's acknowledgement that this should have been there."""
    round_trip = conn.ack_time - conn.client.syn_last_time
    return 0 < conn.ack_frame < fact.frame and fact.time_ns - conn.ack_time >= max(SHORTEST_TIMEOUT_NS, round_trip)


class AcceptQueueOverflow(FactRule):
    """The server repeats its SYN-ACK although the client has answered it.

    What it does:
        Recognises a full accept queue from outside: the capture shows the client's acknowledgement of the SYN-ACK,
        perhaps data too, yet the server goes on as if it had not come.

    Why it matters:
        A server whose queue of completed connections is full drops the third segment. The client takes the connection
        for open and sends its request into the void; the user waits for seconds. The network is not at fault.

    Example:
        frame 2   server > client   SYN,ACK
        frame 3   client > server   ACK
        frame 4   client > server   78 bytes of data
        frame 5   server > client   SYN,ACK   (1 s later)

    How to fix:
        Make the server accept faster (threads, workers, a blocked event loop) and raise the backlog: the listen()
        argument and net.core.somaxconn. On Linux nstat TcpExtListenOverflows counts these drops. If that counter
        stands still, the segments are lost between the capture and the server.

    References:
        RFC 9293 section 3.10.7.4: in SYN-RECEIVED an acceptable ACK opens the connection.
        RFC 9293 section 3.8.1: what is not acknowledged is sent again.
    """

    code: ClassVar[str] = "TS111"
    name: ClassVar[str] = "accept-queue-overflow"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (SYN_ACK_IGNORES_DATA,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Only once the acknowledgement had the time to arrive."""
        return ignores_acknowledgement(fact, conn)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often it repeated, and what it ignored."""
        fact = seen.first
        ignored = max(one.a for one in seen.facts)
        lost = f" and ignored {plural(ignored, 'byte')} of its data" if ignored > 0 else ""
        text = (
            f"{party(conn, seen.side)} repeated its SYN-ACK {times(seen.count)} ({frames(seen.frames, seen.count)}) "
            f"although {party(conn, 1 - seen.side)} had acknowledged it in frame {fact.other}{lost}: its accept queue "
            "is full, or segments to it are lost"
        )
        return self.about(conn, seen, opening(text))


class SynFlood(Rule):
    """A listener had more unfinished handshakes at once than its queue may hold.

    What it does:
        Counts for each listening address and port how many connections wait for their handshake to complete at the
        same time. Reports a listener that answers, at which 100 or more waited at once and fewer than half of all
        attempts ever completed.

    Why it matters:
        Each half-open connection holds an entry in the server's SYN queue for about a minute. Once the queue is full
        the server turns real clients away, unless it uses SYN cookies. Forged source addresses make such a flood
        cheap.

    Example:
        4,000 SYNs from as many addresses to 10.0.0.2:80 within a second, each answered, none completed

    How to fix:
        Turn on SYN cookies (net.ipv4.tcp_syncookies=1) and raise the backlog; filter upstream. If the addresses are
        your own clients, their ACKs do not arrive: look at the way from them to the server.

    References:
        RFC 4987 section 2: the attack; section 3: the defences.
        RFC 9293 section 3.10.7.2: a SYN in LISTEN makes a connection in SYN-RECEIVED.
    """

    code: ClassVar[str] = "TS112"
    name: ClassVar[str] = "syn-flood"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 4987 section 2"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """One finding a flooded listener, the worst first."""
        flooded = [one for one in capture.listeners if is_flooded(one)]
        for listener in sorted(flooded, key=lambda one: (-_waiting(one), one.address, one.port)):
            address = format_address(listener.address)
            dropped = f", or the capture lost the rest: {plural(capture.dropped, 'frame')} dropped"
            protocol = "ip" if len(listener.address) == 4 else "ipv6"
            yield self.capture_finding(
                f"At the server {address_port(address, listener.port)} {plural(_waiting(listener), 'connection')} "
                f"waited for the end of their handshake at once (frame {listener.peak_frame}), "
                f"{listener.half_open_peak:,} of them half-open in its SYN queue; "
                f"of {plural(listener.syns, 'attempt')} to connect {listener.completed:,} completed"
                f"{dropped if capture.dropped > 0 else ''}",
                f"{protocol}.dst == {address} && tcp.dstport == {listener.port} && tcp.flags.syn == 1 && tcp.flags.ack "
                "== 0",
                frames=[listener.peak_frame],
                time_ns=listener.peak_time or None,
                count=listener.syns,
                severity=WEAKER[self.severity] if capture.dropped > 0 else None,
            )


def _waiting(listener: Listener) -> int:
    """Most connections that waited at once, whether the capture has the SYN-ACKs or not."""
    return max(listener.half_open_peak, listener.pending_peak)


def is_flooded(listener: Listener) -> bool:
    """Whether as many connections wait at the listener as its queue may hold, and few ever complete."""
    # A server that answers nobody is not flooded but down, or its answers were not captured (TS105).
    answers = listener.half_open_peak > 0
    return answers and _waiting(listener) >= FLOOD_WAITING and 2 * listener.completed < listener.syns
