"""TS1xx, connections that open late or not at all: silence, refusal, repetition, full queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import (
    OPENING_ABORTED,
    REFUSED,
    SHORTEST_TIMEOUT_NS,
    UNANSWERED,
    Context,
    FactRule,
    Finding,
    Rule,
    Seen,
    Severity,
    facts_of_side,
)
from tcpscope.rules.queues import ignores_acknowledgement
from tcpscope.rules.verdicts import handshake_verdict, transfer_of, watched_too_briefly
from tcpscope.rules.words import frames, intervals, opening, party, span, times, too_early
from tcpscope.state.facts import (
    CLIENT,
    OLD_DUPLICATE_SYN,
    SERVER,
    SYN_ACK_REPEATED,
    SYN_REPEATED,
    Fact,
)
from tcpscope.state.transitions import STATE_NAMES, UNKNOWN

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class ConnectionRefused(Rule):
    """A SYN was answered by a reset.

    What it does:
        Reports a connection whose SYN met an RST instead of a SYN-ACK, with the time the answer took and how often it
        was tried.

    Why it matters:
        The host is reached, but no program listens on that port, or a firewall rejects the connection on its behalf.
        The application sees "connection refused".

    Example:
        frame 1   client > server   SYN
        frame 2   server > client   RST,ACK

    How to fix:
        On the server, see that the service runs and listens on this address and port (ss -ltn). If it does, look for a
        firewall rule that rejects with a reset; a TTL that differs from the server's other packets gives it away.

    References:
        RFC 9293 section 3.5.2: a reset answers a segment for which no connection exists.
        RFC 9293 section 3.10.7.3: a reset in SYN-SENT means "connection reset".
    """

    code: ClassVar[str] = "TS104"
    name: ClassVar[str] = "connection-refused"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5.2"
    occasions: ClassVar[int] = REFUSED

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """The RST and the time it took."""
        client, server = conn.client, transfer_of(conn.server)
        text = (
            f"{party(conn, SERVER)} refused the connection: its reset (frame {server.trouble.rst_frame}) came "
            f"{span(server.trouble.rst_time - client.syn_time)} after the SYN of {party(conn, CLIENT)} (frame "
            f"{client.syn_frame})"
        )
        if client.syn_count > 1:
            text += f", which tried {times(client.syn_count)}"
        text += "; no program listens there, or a firewall rejects"
        evidence = [client.syn_frame, server.trouble.rst_frame, client.syn_last_frame]
        yield self.finding(
            conn,
            SERVER,
            opening(text),
            evidence,
            frame=server.trouble.rst_frame,
            time_ns=server.trouble.rst_time,
            count=max(1, server.trouble.rst_count),
        )


class SynUnanswered(Rule):
    """A SYN was never answered.

    What it does:
        Reports a connection whose SYNs met silence, with their number and the waiting times between them. If the
        capture ends less than a second after a single SYN it says so in a note: too early to tell.

    Why it matters:
        The application hangs until it gives up, after two minutes on an ordinary Linux. Silence means that the packets
        do not arrive, or that the answers do not come back; a host that is up and merely has no such service would
        refuse at once.

    Example:
        frame 1   client > server   SYN
        frame 2   client > server   SYN   (1 s later)
        frame 3   client > server   SYN   (2 s later)

    How to fix:
        See whether the address is right and the host up (ping, ARP or neighbour table). Then look for a firewall that
        drops silently, for a route that is missing on the way back, and for a full SYN queue on the server: capture
        there as well.

    References:
        RFC 9293 section 3.8.3: an attempt to open fails after repeated SYNs.
        RFC 6298 section 2: the first retransmission comes after one second.
    """

    code: ClassVar[str] = "TS105"
    name: ClassVar[str] = "syn-unanswered"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.3"
    occasions: ClassVar[int] = UNANSWERED

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """How often, with which intervals, and for how long nothing came."""
        client = conn.client
        watched = conn.watched_until - client.syn_time
        repeats = facts_of_side(conn, SYN_REPEATED, CLIENT)
        sent = [client.syn_frame, *(fact.frame for fact in repeats)]
        if watched_too_briefly(client, conn):
            text = (
                f"the SYN of {party(conn, CLIENT)} (frame {client.syn_frame}) has no answer from "
                f"{party(conn, SERVER)}, but {too_early(watched)}"
            )
            yield self.finding(conn, SERVER, opening(text), sent, time_ns=client.syn_time, severity=Severity.NOTE)
            return
        text = (
            f"{party(conn, SERVER)} never answered {party(conn, CLIENT)}, which sent its SYN "
            f"{times(client.syn_count)} ({frames(sent, client.syn_count)}"
        )
        if repeats:
            text += f", waiting {intervals([fact.a for fact in repeats], client.syn_count - 1)}"
        text, severity = weigh(conn, f"{text}): nothing came back in {span(watched)}", self.severity)
        yield self.finding(
            conn, SERVER, opening(text), sent, time_ns=client.syn_time, count=client.syn_count, severity=severity
        )


class SynRetransmitted(FactRule):
    """A SYN had to be sent again before it was answered.

    What it does:
        Reports repeated SYNs of a connection that was answered in the end, with the waiting times between them. Where
        no answer came at all, TS105 says so.

    Why it matters:
        The first repetition comes after a second, the next after two more: a single lost SYN costs the user a second
        of waiting. The SYN or the SYN-ACK was lost, or the server's queue was full and it dropped the SYN.

    Example:
        frame 1   client > server   SYN
        frame 2   client > server   SYN       (1 s later)
        frame 3   server > client   SYN,ACK

    How to fix:
        Capture at the server. If the first SYN arrives there, look at the listener's queues (nstat: ListenDrops,
        ListenOverflows). If it does not, packets are lost on the path.

    References:
        RFC 9293 section 3.8.3: repeated SYNs.
        RFC 6298 section 5: the time-out doubles with each repetition.
    """

    code: ClassVar[str] = "TS107"
    name: ClassVar[str] = "syn-retransmitted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.3"
    kinds: ClassVar[tuple[int, ...]] = (SYN_REPEATED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Sooner, it is a copy, or the answer to a reset: nothing was lost."""
        return fact.a >= SHORTEST_TIMEOUT_NS

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, and how long each wait was."""
        if handshake_verdict(conn) in ("unanswered", "refused"):
            return None
        client = conn.side(seen.side)
        text = (
            f"{party(conn, seen.side)} had to send its SYN {times(seen.count + 1)} "
            f"({frames([client.syn_frame, *seen.frames], seen.count + 1)}), after waiting "
            f"{intervals([fact.a for fact in seen.facts], seen.count)}: the SYN or its answer was lost, or the server "
            "dropped it"
        )
        return self.about(conn, seen, opening(text))


class SynAckRetransmitted(FactRule):
    """A SYN-ACK had to be sent again.

    What it does:
        Reports repeated SYN-ACKs of a connection that opened in the end, with the waiting times between them.

    Why it matters:
        The SYN-ACK or the client's answer was lost, and the connection opened a second or more late.

    Example:
        frame 2   server > client   SYN,ACK
        frame 3   server > client   SYN,ACK   (1 s later)
        frame 4   client > server   ACK

    How to fix:
        Capture at the client to see which of the two is lost. If the client's ACK is there before the repetition, it
        is lost between the capture and the server, or the server's accept queue is full (TS111).

    References:
        RFC 9293 section 3.8.1: what is not acknowledged is sent again.
        RFC 6298 section 5: the time-out doubles with each repetition.
    """

    code: ClassVar[str] = "TS108"
    name: ClassVar[str] = "syn-ack-retransmitted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.1"
    kinds: ClassVar[tuple[int, ...]] = (SYN_ACK_REPEATED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Sooner, it is a copy; after the client's acknowledgement it is TS111."""
        return fact.a >= SHORTEST_TIMEOUT_NS and not ignores_acknowledgement(fact, conn)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, and how long each wait was."""
        if handshake_verdict(conn) == "half-open":
            return None
        server = conn.side(seen.side)
        text = (
            f"{party(conn, seen.side)} had to send its SYN-ACK {times(seen.count + 1)} "
            f"({frames([server.syn_frame, *seen.frames], seen.count + 1)}), after waiting "
            f"{intervals([fact.a for fact in seen.facts], seen.count)}: the SYN-ACK or the answer to it was lost"
        )
        return self.about(conn, seen, opening(text))


class HandshakeAborted(Rule):
    """The handshake was broken off by a reset.

    What it does:
        Reports a reset that came after the SYN-ACK, or from the client before any answer, and names who sent it in
        which state.

    Why it matters:
        A client that resets after the SYN-ACK gave up, was scanning, or got an answer it does not accept. A server
        that resets after its own SYN-ACK changed its mind: the queue is full and set to abort, or a firewall stepped
        in.

    Example:
        frame 1   client > server   SYN
        frame 2   server > client   SYN,ACK
        frame 3   client > server   RST

    How to fix:
        If the client resets: see whether its program timed out or a scanner runs. If the server resets: look at
        net.ipv4.tcp_abort_on_overflow, connection limits and firewalls in front of it.

    References:
        RFC 9293 section 3.5.3: what a reset does in SYN-SENT and SYN-RECEIVED.
        RFC 9293 section 3.10.5: the ABORT call.
    """

    code: ClassVar[str] = "TS113"
    name: ClassVar[str] = "handshake-aborted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5.3"
    occasions: ClassVar[int] = OPENING_ABORTED

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """Who, in which state, after how long."""
        # A rejected SYN-ACK is the subject of TS102 or TS109.
        if conn.facts_of(OLD_DUPLICATE_SYN):
            return
        transfers = (transfer_of(conn.client), transfer_of(conn.server))
        side = min(
            (s for s in (CLIENT, SERVER) if transfers[s].trouble.rst_frame),
            key=lambda s: transfers[s].trouble.rst_frame,
        )
        sender = transfers[side]
        after = f"{span(sender.trouble.rst_time - conn.client.syn_time)} after the SYN"
        if conn.server.syn_frame:
            after = f"{span(sender.trouble.rst_time - conn.server.syn_time)} after the SYN-ACK (frame {conn.server.syn_frame})"
        state = "" if sender.trouble.rst_state == UNKNOWN else f" in {STATE_NAMES[sender.trouble.rst_state]}"
        text = (
            f"{party(conn, side)} broke the handshake off with a reset (frame {sender.trouble.rst_frame}){state}, {after}: "
            "the connection never opened"
        )
        if side == CLIENT and conn.server.syn_frame and transfers[CLIENT].last_ack < 0:
            text += "; the client gave up or was scanning, or its SYN was an old duplicate"
        evidence = [conn.client.syn_frame, conn.server.syn_frame, sender.trouble.rst_frame]
        yield self.finding(
            conn,
            side,
            opening(text),
            evidence,
            frame=sender.trouble.rst_frame,
            time_ns=sender.trouble.rst_time,
            count=sender.trouble.rst_count,
        )
