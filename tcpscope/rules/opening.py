"""TS1xx, what the segments of the handshake say: RFC 9293 section 3.5."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import SIMULTANEOUS_OPEN, Context, FactRule, Finding, Rule, Seen, Severity, facts_of_side
from tcpscope.rules.words import frames, opening, party, plural
from tcpscope.state.facts import (
    CHALLENGE_ACK,
    HANDSHAKE_ACK_WRONG,
    HANDSHAKE_SEQ_WRONG,
    OLD_DUPLICATE_SYN,
    SYN_ACK_CHANGED,
    SYN_ACK_REJECTED,
    SYN_ACK_WRONG_ACK,
    SYN_DATA,
    SYN_DATA_REFUSED,
    SYN_IN_CONNECTION,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class DataOnSyn(FactRule):
    """A SYN carries data without a Fast Open cookie.

    What it does:
        Reports a SYN, or a SYN-ACK, with payload when the segment has no TCP Fast Open cookie. A SYN takes one
        sequence number; its data would take the next ones.

    Why it matters:
        RFC 9293 allows data on a SYN, but a receiver may not hand it to the application before the handshake is done,
        and ordinary stacks throw it away: the bytes have to be sent again. Firewalls drop such segments, scanners send
        them.

    Example:
        frame 1   client > server   SYN seq=x, 5 bytes of data, no Fast Open option

    How to fix:
        Find out which program or device sends these SYNs. To save the round trip, turn on TCP Fast Open on both ends,
        which makes data on the SYN lawful and useful; otherwise the data belongs behind the third segment.

    References:
        RFC 9293 section 3.5: data on a SYN is legitimate only if it waits for the end of the handshake.
        RFC 7413 section 4.2.2: Fast Open, the cookie that makes it useful.
    """

    code: ClassVar[str] = "TS101"
    name: ClassVar[str] = "data-on-syn"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5"
    kinds: ClassVar[tuple[int, ...]] = (SYN_DATA,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not with a cookie; a cookie request (length 0) must not carry data either."""
        return fact.b <= 0

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Who, how many bytes."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} put {plural(fact.a, 'byte')} of data on its SYN (frame {fact.frame}) without a "
            "Fast Open cookie, which a receiver is free to throw away"
        )
        return self.about(conn, seen, opening(text))


class SynAckAcknowledgesWrongNumber(FactRule):
    """A SYN-ACK does not acknowledge the SYN that was sent.

    What it does:
        Compares the acknowledgement number of the SYN-ACK with the client's initial sequence number plus one, and says
        whether the client rejected it with a reset, as it must.

    Why it matters:
        The client cannot accept such an answer, so the connection does not open. Typical causes are a middlebox that
        rewrites sequence numbers in one direction only, a spoofed answer, or a server that answers an older SYN.

    Example:
        frame 1   client > server   SYN seq=1000
        frame 2   server > client   SYN,ACK ack=5001   (1001 was due)
        frame 3   client > server   RST seq=5001

    How to fix:
        Capture on both sides of each firewall, load balancer or NAT between the two and look where the number changes.
        Turn off sequence number randomisation there, or make both directions pass through the same device.

    References:
        RFC 9293 section 3.10.7.3: an acknowledgement outside of what was sent is answered by a reset.
        RFC 9293 section 3.5: the three-way handshake, figure 6.
    """

    code: ClassVar[str] = "TS102"
    name: ClassVar[str] = "syn-ack-acknowledges-wrong-number"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.3"
    kinds: ClassVar[tuple[int, ...]] = (SYN_ACK_WRONG_ACK,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not the answer to an old duplicate SYN: the server is right then (TS109)."""
        return all(stale.other != fact.frame for stale in conn.facts_of(OLD_DUPLICATE_SYN) if _is_stale(stale, conn))

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """The two numbers, and what the other side made of it."""
        fact = seen.first
        answer = next((rst for rst in conn.facts_of(SYN_ACK_REJECTED) if rst.other == fact.frame), None)
        if answer is not None:
            rest = f"{party(conn, answer.side)} rejected it with a reset (frame {answer.frame})"
        else:
            rest = "no reset rejected it in the capture"
        text = (
            f"{party(conn, seen.side)} acknowledged {fact.a} in its SYN-ACK (frame {fact.frame}) where {fact.b} was "
            f"due, so the connection cannot open; {rest}"
        )
        text, severity = weigh(conn, text, self.severity, "the SYN that this answers")
        evidence = [number for one in seen.facts for number in (one.frame, one.other)]
        return self.finding(
            conn,
            seen.side,
            opening(text),
            [*evidence, answer.frame if answer else 0],
            frame=fact.frame,
            time_ns=fact.time_ns,
            count=seen.count,
            severity=severity,
        )


class HandshakeAckWrong(FactRule):
    """The third segment of the handshake acknowledges or carries a wrong number.

    What it does:
        Checks that the segment after the SYN-ACK acknowledges the server's initial sequence number plus one and begins
        at the client's own initial sequence number plus one.

    Why it matters:
        The server answers a wrong acknowledgement with a reset and stays in SYN-RECEIVED: the connection does not
        open. It points to a middlebox that rewrites numbers, to two devices that share one address, or to a forged
        segment.

    Example:
        frame 2   server > client   SYN,ACK seq=3000
        frame 3   client > server   ACK ack=3002   (3001 was due)

    How to fix:
        Capture on both sides of each device between the two and look where the number changes. If the client itself
        sends it, look for a second host with the same address or for a raw-socket program.

    References:
        RFC 9293 section 3.10.7.4: in SYN-RECEIVED an unacceptable acknowledgement is answered by a reset.
        RFC 9293 section 3.5: the three-way handshake, figure 6.
    """

    code: ClassVar[str] = "TS103"
    name: ClassVar[str] = "handshake-ack-wrong"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (HANDSHAKE_ACK_WRONG, HANDSHAKE_SEQ_WRONG)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not where the server sent two numbers and this is the other one's (TS116)."""
        numbers = {(changed.b + 1) & 0xFFFFFFFF for changed in conn.facts_of(SYN_ACK_CHANGED)}
        return fact.kind != HANDSHAKE_ACK_WRONG or fact.a not in numbers

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which number is wrong."""
        fact = seen.first
        verb = "acknowledged" if fact.kind == HANDSHAKE_ACK_WRONG else "began at sequence number"
        text = (
            f"{party(conn, seen.side)} {verb} {fact.a} in its answer to the SYN-ACK (frame {fact.frame}) where "
            f"{fact.b} was due, so the other side cannot take the handshake as complete"
        )
        text, severity = weigh(conn, text, self.severity, "another SYN-ACK")
        return self.about(conn, seen, opening(text), severity=severity)


def _is_stale(fact: Fact, conn: Connection) -> bool:
    """Whether an OLD_DUPLICATE_SYN is one: the stale SYN was captured, or the valid one got its own answer afterwards."""
    return fact.a > 0 or conn.ack_frame > fact.frame


class OldDuplicateSyn(FactRule):
    """A delayed SYN of an earlier attempt was answered, and the answer rejected.

    What it does:
        Recognises the recovery that the three-way handshake exists for: the server answers a SYN that the client no
        longer stands by, the client rejects the SYN-ACK with a reset, and the valid SYN gets its own answer.

    Why it matters:
        The protocol worked as meant: with two steps instead of three the server would now hold a connection that
        nobody wants. Many of them point to long queues or to retransmissions that overtake one another.

    Example:
        frame 1   client > server   SYN seq=90        (delayed, from an earlier attempt)
        frame 2   client > server   SYN seq=100
        frame 3   server > client   SYN,ACK ack=91
        frame 4   client > server   RST seq=91
        frame 5   server > client   SYN,ACK ack=101

    How to fix:
        Nothing for a single one. If they are frequent, look for deep queues on the path and for clients that give up
        and try again from the same port within seconds.

    References:
        RFC 9293 section 3.5: recovery from an old duplicate SYN, figure 8.
        RFC 9293 section 3.5.1: figure 11, the same on two passive sockets.
    """

    code: ClassVar[str] = "TS109"
    name: ClassVar[str] = "old-duplicate-syn"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.5"
    kinds: ClassVar[tuple[int, ...]] = (OLD_DUPLICATE_SYN,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Without proof of a stale SYN the number is simply wrong (TS102)."""
        return _is_stale(fact, conn)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which SYN-ACK was rejected, and where the stale SYN stands."""
        fact = seen.first
        origin = f"the stale SYN of frame {fact.a}" if fact.a > 0 else "a stale SYN that is not in the capture"
        text = (
            f"{party(conn, seen.side)} rejected with a reset (frame {fact.frame}) the SYN-ACK of frame {fact.other}, "
            f"which answers {origin}: the three-way handshake did its work"
        )
        evidence = [number for one in seen.facts for number in (one.frame, one.other, one.a)]
        return self.finding(
            conn, seen.side, opening(text), evidence, frame=fact.frame, time_ns=fact.time_ns, count=seen.count
        )


class SynInsideConnection(FactRule):
    """A SYN arrives inside a connection that is already open.

    What it does:
        Reports a SYN on a connection past its handshake and says whether the other side answered with a challenge ACK.

    Why it matters:
        Either the sender lost its state (it crashed or rebooted) and tries to connect again from the same port, or an
        old duplicate arrived late, or somebody tries to reset the connection with forged segments. The old connection
        is half-open.

    Example:
        frame 40  client > server   SYN seq=9000       (inside the open connection)
        frame 41  server > client   ACK                (challenge ACK)
        frame 42  client > server   RST                (the client does not know the connection)

    How to fix:
        See whether the client restarted at that time. If it did not, look for address conflicts, for NAT that reuses
        ports too early, or for forged segments. Keep-alives on the server find dead peers sooner.

    References:
        RFC 9293 section 3.10.7.4: a SYN in a synchronised state is answered by a challenge ACK.
        RFC 9293 section 3.5.1: discovery of half-open connections, figure 9.
        RFC 5961 section 4: blind reset attack with the SYN bit.
    """

    code: ClassVar[str] = "TS110"
    name: ClassVar[str] = "syn-inside-connection"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (SYN_IN_CONNECTION,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and whether they were challenged."""
        challenges = [
            fact.frame for fact in facts_of_side(conn, CHALLENGE_ACK, 1 - seen.side) if fact.other in seen.frames
        ]
        if challenges:
            rest = f"{party(conn, 1 - seen.side)} challenged it with an ACK ({frames(challenges)})"
        else:
            rest = "the capture shows no challenge ACK that answers it"
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'SYN')} ({frames(seen.frames, seen.count)}) although "
            f"this connection is open; {rest}: it lost the connection's state, or the segment is old or forged"
        )
        fact = seen.first
        evidence = [*seen.frames, *challenges]
        return self.finding(
            conn, seen.side, opening(text), evidence, frame=fact.frame, time_ns=fact.time_ns, count=seen.count
        )


class FastOpenDataRefused(FactRule):
    """Data on a Fast Open SYN was not taken.

    What it does:
        Reports a SYN with a Fast Open cookie and data whose SYN-ACK acknowledges only the SYN.

    Why it matters:
        The connection opens as usual, but the data has to be sent again: Fast Open saved nothing. The cookie may be
        stale, the server may be under load, or a middlebox strips the option.

    Example:
        frame 1   client > server   SYN seq=x, cookie, 100 bytes of data
        frame 2   server > client   SYN,ACK ack=x+1

    How to fix:
        Check that Fast Open is on at the server and its queue is not full, that all servers behind one address share
        the cookie key, and that no middlebox removes the option.

    References:
        RFC 7413 section 4.2.2: the server may refuse the data and acknowledge only the SYN.
        RFC 9293 section 3.5: data on a SYN.
    """

    code: ClassVar[str] = "TS114"
    name: ClassVar[str] = "fast-open-data-refused"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 7413 section 4.2.2"
    kinds: ClassVar[tuple[int, ...]] = (SYN_DATA_REFUSED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Without a cookie it is no Fast Open (TS101)."""
        return any(syn.b > 0 for syn in facts_of_side(conn, SYN_DATA, 1 - fact.side))

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Who refused how much."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} acknowledged only the SYN (frame {fact.frame}) and not the "
            f"{plural(fact.a, 'byte')} of Fast Open data that {party(conn, 1 - seen.side)} sent with it (frame "
            f"{fact.other}), so they have to be sent again"
        )
        return self.about(conn, seen, opening(text))


class SimultaneousOpen(Rule):
    """Both sides opened the connection at the same time.

    What it does:
        Recognises two SYNs that cross, each without ACK, and the connection that comes of them.

    Why it matters:
        It is lawful and rare: normally only programs that punch holes through NAT do it. There is no server: both
        sides open actively. Many middleboxes do not know it and drop the second SYN.

    Example:
        frame 1   A > B   SYN seq=100
        frame 2   B > A   SYN seq=300
        frame 3   A > B   SYN,ACK seq=100 ack=301
        frame 4   B > A   SYN,ACK seq=300 ack=101

    How to fix:
        Nothing, if the program means it. Otherwise look for two hosts that use fixed ports on both ends.

    References:
        RFC 9293 section 3.5: simultaneous connection synchronisation, figure 7.
    """

    code: ClassVar[str] = "TS115"
    name: ClassVar[str] = "simultaneous-open"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.5"
    occasions: ClassVar[int] = SIMULTANEOUS_OPEN

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """The two SYNs."""
        client, server = conn.client, conn.server
        text = (
            f"{party(conn, 0)} and {party(conn, 1)} opened the connection at the same time: their SYNs "
            f"({frames([client.syn_frame, server.syn_frame])}) crossed"
        )
        evidence = [client.syn_frame, server.syn_frame, client.syn_last_frame, server.syn_last_frame]
        yield self.finding(conn, None, opening(text), evidence, frame=server.syn_frame, time_ns=server.syn_time)


class IsnChangedDuringHandshake(FactRule):
    """A server answered one SYN with two different initial sequence numbers.

    What it does:
        Reports a SYN-ACK whose sequence number differs from that of an earlier SYN-ACK of the same connection.

    Why it matters:
        A repeated SYN-ACK has the number of the first. A new number means that the server forgot the first attempt, or
        that two machines answer for one address; the client can follow only one of them.

    Example:
        frame 2   server > client   SYN,ACK seq=3000 ack=x+1
        frame 3   server > client   SYN,ACK seq=8000 ack=x+1

    How to fix:
        Look for a load balancer that spreads SYNs of one connection over several servers, for two hosts with one
        address, and for a server that uses SYN cookies because its queue is full.

    References:
        RFC 9293 section 3.4.1: how the initial sequence number is selected.
        RFC 9293 section 3.8.1: a retransmission repeats the segment.
    """

    code: ClassVar[str] = "TS116"
    name: ClassVar[str] = "isn-changed-during-handshake"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.4.1"
    kinds: ClassVar[tuple[int, ...]] = (SYN_ACK_CHANGED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """After an old duplicate SYN was rejected, the real answer rightly has its own number (TS109)."""
        rejected = {stale.other for stale in conn.facts_of(OLD_DUPLICATE_SYN)}
        rejected.update(rst.other for rst in conn.facts_of(SYN_ACK_REJECTED))
        return fact.other not in rejected

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Both numbers."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} answered the same SYN with initial sequence number {fact.b} (frame "
            f"{fact.other}) and then with {fact.a} (frame {fact.frame}): it forgot the first answer, or two machines "
            "share its address"
        )
        return self.about(conn, seen, opening(text))
