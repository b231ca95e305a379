"""TS3xx, TIME-WAIT and what it protects: RFC 9293 section 3.6.1, RFC 6191, RFC 1337."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.verdicts import is_unanswered, refused_by, transfer_of
from tcpscope.rules.words import frames, opening, party, plural, span, times
from tcpscope.state.facts import (
    PORTS_REUSED,
    REUSE_HIGHER_ISN,
    REUSE_NEWER_TIMESTAMP,
    REUSE_UNSAFE,
    TIME_WAIT_ACK_REPEATED,
    TIME_WAIT_FIN_RESET,
    TIME_WAIT_FIN_UNANSWERED,
    TIME_WAIT_KILLED,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class TimeWaitNotHeld(FactRule):
    """A side that had to be in TIME-WAIT answered a repeated FIN with a reset.

    What it does:
        Reports a reset from the active closer in answer to a repeated FIN, less than 2 MSL after it entered TIME-WAIT
        (see --msl).

    Why it matters:
        The last ACK may be lost; then the other side repeats its FIN and the closer must acknowledge again. A closer
        that does not wait does not know the connection any more and answers with a reset: the other side sees an error
        on a connection that had closed in order. And old duplicates may reach the next connection on the same ports.

    Example:
        frame 10  server > client   FIN,ACK
        frame 11  client > server   ACK       (lost)
        frame 12  server > client   FIN,ACK   (repeated)
        frame 13  client > server   RST

    How to fix:
        Do not close with SO_LINGER set to zero. Check tcp_max_tw_buckets (too few TIME-WAIT entries make Linux drop
        them) and firewalls or NAT that forget the connection at the first FIN.

    References:
        RFC 9293 section 3.6.1: the active closer must stay in TIME-WAIT for 2 MSL.
        RFC 9293 section 3.10.7.4: in TIME-WAIT a repeated FIN is acknowledged.
    """

    code: ClassVar[str] = "TS301"
    name: ClassVar[str] = "time-wait-not-held"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6.1"
    kinds: ClassVar[tuple[int, ...]] = (TIME_WAIT_FIN_RESET,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How long it had been in TIME-WAIT, against how long it must."""
        early = [fact for fact in seen.facts if fact.a < 2 * ctx.msl_ns]
        if not early:
            return None
        fact = early[0]
        text = (
            f"{party(conn, seen.side)} answered the repeated FIN of {party(conn, 1 - seen.side)} (frame {fact.other}) "
            f"with a reset (frame {fact.frame}) {span(fact.a)} after it entered TIME-WAIT, which it must hold for "
            f"{span(2 * ctx.msl_ns)}"
        )
        text, severity = weigh(conn, text, self.severity, "what the reset answers")
        return self.about(conn, Seen(seen.side, early, len(early)), opening(text), severity=severity)


class RepeatedFinUnanswered(FactRule):
    """A side that had to be in TIME-WAIT did not answer a repeated FIN.

    What it does:
        Reports repeated FINs to which no acknowledgement came although the other side should still be in TIME-WAIT. If
        the capture ends within a second of the repetition, nothing is said.

    Why it matters:
        The side that repeats its FIN stays in LAST-ACK until it gives up and never closes in order. Either the closer
        left TIME-WAIT too early, or the repeated FIN or its answer is lost between the capture and the closer.

    Example:
        frame 10  server > client   FIN,ACK
        frame 11  client > server   ACK       (lost)
        frame 12  server > client   FIN,ACK   (repeated, never answered)

    How to fix:
        Capture at the closer. If the repeated FIN arrives there and is not answered, its stack or the firewall in
        front of it forgets connections too early. If it does not arrive, it is lost on the path.

    References:
        RFC 9293 section 3.10.7.4: in TIME-WAIT a repeated FIN is acknowledged and restarts the 2 MSL time-out.
        RFC 9293 section 3.6.1: the active closer must stay in TIME-WAIT for 2 MSL.
    """

    code: ClassVar[str] = "TS302"
    name: ClassVar[str] = "repeated-fin-unanswered"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (TIME_WAIT_FIN_UNANSWERED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Only where somebody watched long enough for an answer."""
        return is_unanswered(fact, conn)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, and for how long no answer came."""
        early = [fact for fact in seen.facts if fact.a < 2 * ctx.msl_ns]
        if not early or conn.one_sided:
            return None
        fin = transfer_of(conn.side(1 - seen.side))
        text = (
            f"{party(conn, seen.side)} did not answer the FIN that {party(conn, 1 - seen.side)} repeated "
            f"{times(len(early))} ({frames([fact.frame for fact in early])}), although it must hold TIME-WAIT for "
            f"{span(2 * ctx.msl_ns)}: nothing came in the {span(conn.watched_until - fin.fin_last_time)} after the "
            "last one"
        )
        text, severity = weigh(conn, text, self.severity)
        return self.about(conn, Seen(seen.side, early, len(early)), opening(text), severity=severity)


class LastAckRepeated(FactRule):
    """The last ACK was lost, and TIME-WAIT did its work.

    What it does:
        Recognises a FIN that was repeated because its ACK was lost, and the new ACK from TIME-WAIT, which restarts the
        2 MSL clock.

    Why it matters:
        This is what TIME-WAIT is for; nothing is wrong with the two hosts. The path lost a segment.

    Example:
        frame 10  server > client   FIN,ACK
        frame 11  client > server   ACK       (lost)
        frame 12  server > client   FIN,ACK
        frame 13  client > server   ACK

    How to fix:
        Nothing, unless many connections show it: then look for the loss.

    References:
        RFC 9293 section 3.10.7.4: acknowledge the repeated FIN and restart the 2 MSL time-out.
        RFC 9293 section 3.6: the normal close sequence, figure 12.
    """

    code: ClassVar[str] = "TS303"
    name: ClassVar[str] = "last-ack-repeated"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (TIME_WAIT_ACK_REPEATED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which FIN, which ACK."""
        fins = [fact.other for fact in seen.facts]
        text = (
            f"{party(conn, seen.side)} acknowledged the repeated FIN of {party(conn, 1 - seen.side)} "
            f"({frames(fins, seen.count)}) again from TIME-WAIT ({frames(seen.frames, seen.count)}): its first ACK "
            "was lost, and the 2 MSL clock starts anew"
        )
        return self.about(conn, seen, opening(text))


class PortsReusedSafely(FactRule):
    """A new connection took the ports of one in TIME-WAIT, in a safe way.

    What it does:
        Recognises a SYN on the same addresses and ports less than 2 MSL after the close whose sequence number lies
        above the old connection's, or whose timestamp is newer.

    Why it matters:
        It is lawful: no old duplicate can be mistaken for new data. It shows that the client opens connections to this
        server faster than its ports become free.

    Example:
        frame 11  client > server   ACK       (of the last FIN)
        frame 12  client > server   SYN       (same ports, 5 s later, higher sequence number)

    How to fix:
        Nothing. If connections fail for lack of ports, keep connections open and use them again (HTTP keep-alive,
        connection pools).

    References:
        RFC 9293 section 3.6.1: a new SYN may reopen the connection directly from TIME-WAIT.
        RFC 6191 section 2: the same with timestamps.
    """

    code: ClassVar[str] = "TS304"
    name: ClassVar[str] = "ports-reused-safely"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.6.1"
    kinds: ClassVar[tuple[int, ...]] = (PORTS_REUSED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Inside 2 MSL and safe."""
        return fact.b in (REUSE_HIGHER_ISN, REUSE_NEWER_TIMESTAMP)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """After how long, and what makes it safe."""
        fact = seen.first
        reason = "a higher sequence number" if fact.b == REUSE_HIGHER_ISN else "a newer timestamp"
        text = (
            f"{party(conn, seen.side)} opened a new connection on the same ports (frame {fact.frame}) {span(fact.a)} "
            f"after this one closed; {reason} makes that safe within the {span(2 * ctx.msl_ns)} of TIME-WAIT"
        )
        return self.about(conn, seen, opening(text))


class PortsReusedUnsafely(FactRule):
    """A new connection took the ports of one in TIME-WAIT, and old segments may be taken for new ones.

    What it does:
        Reports a SYN on the same addresses and ports less than 2 MSL after the close (see --msl) whose sequence number
        does not lie above the old connection's and whose timestamp is not newer. If the side that sends it had to be
        in TIME-WAIT itself, it is an error; otherwise a warning.

    Why it matters:
        A delayed segment of the old connection may fall into the new one's window and corrupt its data. And the other
        side, still in TIME-WAIT, answers such a SYN with an ACK or not at all: the new connection opens late or never.

    Example:
        frame 11  client > server   ACK       (of the last FIN)
        frame 12  client > server   SYN       (same ports, 5 s later, lower sequence number)

    How to fix:
        Turn on TCP timestamps on both sides. Look for a NAT that maps different clients to the same port too soon, or
        for a program that binds a fixed source port; let the system choose it.

    References:
        RFC 9293 section 3.6.1: what a reopening SYN needs.
        RFC 6191 section 2: timestamps in TIME-WAIT.
    """

    code: ClassVar[str] = "TS305"
    name: ClassVar[str] = "ports-reused-unsafely"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6.1"
    kinds: ClassVar[tuple[int, ...]] = (PORTS_REUSED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Inside 2 MSL and not safe."""
        return fact.b == REUSE_UNSAFE

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """After how long, and against which time."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} opened a new connection on the same ports (frame {fact.frame}) {span(fact.a)} "
            f"after this one closed, within the {span(2 * ctx.msl_ns)} of TIME-WAIT, with neither a higher sequence "
            "number nor a newer timestamp"
        )
        refusal = refused_by(fact, conn)
        if refusal:
            text += f"; {party(conn, 1 - seen.side)} refused it with an ACK (frame {refusal})"
        own_wait = transfer_of(conn.side(seen.side)).time_wait_frame != 0
        return self.about(conn, seen, opening(text), severity=None if own_wait else Severity.WARNING)


class TimeWaitKilledByReset(FactRule):
    """A reset reached a side in TIME-WAIT.

    What it does:
        Reports an acceptable reset that was sent to a side in TIME-WAIT less than 2 MSL after it got there.

    Why it matters:
        Many stacks drop the connection then, and the protection against old duplicates is gone ("TIME-WAIT
        assassination"). Mostly the reset answers an old duplicate or comes from a middlebox.

    Example:
        frame 11  client > server   ACK       (of the last FIN; the client is in TIME-WAIT)
        frame 12  server > client   RST

    How to fix:
        Let hosts ignore resets in TIME-WAIT (on Linux net.ipv4.tcp_rfc1337=1), and find out who sends them: mostly a
        firewall that "cleans up" or a server that closes with unread data.

    References:
        RFC 9293 section 3.10.7.4: a reset in TIME-WAIT ends it.
        RFC 9293 section 3.6.1: the active closer must stay in TIME-WAIT for 2 MSL.
        RFC 1337: TIME-WAIT assassination hazards.
    """

    code: ClassVar[str] = "TS306"
    name: ClassVar[str] = "time-wait-killed-by-reset"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (TIME_WAIT_KILLED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How long TIME-WAIT had lasted."""
        early = [fact for fact in seen.facts if fact.a < 2 * ctx.msl_ns]
        if not early:
            return None
        fact = early[0]
        text = (
            f"{party(conn, 1 - seen.side)} sent {plural(seen.count, 'reset')} "
            f"({frames([one.frame for one in early], seen.count)}) to {party(conn, seen.side)}, which was in "
            f"TIME-WAIT for {span(fact.a)} of {span(2 * ctx.msl_ns)} and may have left it"
        )
        return self.about(conn, Seen(seen.side, early, seen.count), opening(text))
