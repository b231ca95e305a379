"""Numbers out of place: sequence numbers and the FIN, acknowledgements that are too old, a window that shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.words import frames, opening, party, plural, times
from tcpscope.state.facts import (
    ACK_TOO_OLD,
    BELOW_WINDOW,
    BEYOND_FIN,
    FIN_BEFORE_DATA,
    WINDOW_SHRUNK,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class FinBeforeData(FactRule):
    """A FIN stands before data that its sender has already sent.

    What it does:
        Reports a FIN whose sequence number lies below bytes that its side had sent before, and whether those were
        acknowledged: then the receiver drops the FIN.

    Why it matters:
        The FIN takes the last number of its side, so one of the two is wrong: the data, if it is an old duplicate of an
        earlier connection (TS417, then this is a warning), or the FIN. Broken stacks that do not count what they send
        do it, and somebody who wants a monitor to believe that the connection is over while it goes on.

    Example:
        frame 8   client > server   100 bytes, seq 1 to 101
        frame 9   client > server   FIN seq=1

    How to fix:
        Compare TTL and IP identification of the FIN with the other segments of its side. If the host itself sends it,
        update its stack (often a tunnel or a proxy with a TCP of its own).

    References:
        RFC 9293 section 3.6: the FIN comes after all data.
        RFC 9293 section 3.10.7.4: what lies below the window is dropped.
    """

    code: ClassVar[str] = "TS216"
    name: ClassVar[str] = "fin-before-data"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (FIN_BEFORE_DATA,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many bytes lie behind it."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent a FIN (frame {fact.frame}) that stands before "
            f"{plural(fact.a, 'byte')} it had already sent (frame {fact.other})"
        )
        text += ", and that are acknowledged: the receiver drops the FIN" if fact.b else ""
        # Those bytes may be of another connection: then nothing is wrong with the FIN.
        doubtful = conn.lossy or conn.count_of(ACK_TOO_OLD, seen.side) > 0
        return self.about(conn, seen, opening(text), severity=Severity.WARNING if doubtful else None)


class NumberBeyondFin(FactRule):
    """A side uses sequence numbers beyond its own FIN.

    What it does:
        Reports segments without data whose sequence number lies beyond the FIN that their sender has sent. Data there is
        TS201.

    Why it matters:
        The FIN takes the last number of its side; none follows. The segment belongs to another connection on the same
        ports, or it or the FIN is forged.

    Example:
        frame 8   server > client   FIN seq=u
        frame 9   server > client   ACK seq=u+60000

    How to fix:
        Compare TTL and IP identification of the two segments with others of their side to see which of them the host
        itself sent.

    References:
        RFC 9293 section 3.6: after CLOSE nothing more is sent.
        RFC 9293 section 3.4: the FIN takes a sequence number.
    """

    code: ClassVar[str] = "TS217"
    name: ClassVar[str] = "number-beyond-fin"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (BEYOND_FIN,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far beyond."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) with "
            f"sequence numbers beyond its own FIN (frame {fact.other}), the first by {fact.a:,}"
        )
        return self.about(conn, seen, opening(text), severity=Severity.WARNING if conn.lossy else None)


class AcknowledgementTooOld(FactRule):
    """An acknowledgement is older than any window.

    What it does:
        Reports an acknowledgement number that lies below the latest one by more than the largest window that its sender
        ever opened, where the capture lacks nothing of the connection.

    Why it matters:
        No segment of an open connection is delayed that long. It comes from an earlier connection on the same ports, or
        somebody guesses numbers to inject data.

    Example:
        frame 90  client > server   ACK 900001, window 65535
        frame 91  client > server   ACK 100001, 20 bytes of data

    How to fix:
        Compare TTL and IP identification of the segment with the others of its side to see whether the host itself sent
        it.

    References:
        RFC 9293 section 3.10.7.4: which acknowledgements are acceptable.
        RFC 5961 section 5: blind data injection.
    """

    code: ClassVar[str] = "TS417"
    name: ClassVar[str] = "acknowledgement-too-old"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5961 section 5"
    kinds: ClassVar[tuple[int, ...]] = (ACK_TOO_OLD,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """What the capture lacks may have wrapped the numbers around."""
        return not conn.lossy

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How old."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} acknowledged a number {plural(fact.a, 'byte')} below the latest one "
            f"({frames(seen.frames, seen.count)}), more than its largest window ({plural(fact.b, 'byte')}): the "
            "segment is from an earlier connection, or forged"
        )
        return self.about(conn, seen, opening(text))


class SegmentBelowWindow(FactRule):
    """A segment without data came after its sequence number was acknowledged.

    What it does:
        Counts segments without data whose sequence number the other side had acknowledged before, by more than the one
        byte of a keep-alive.

    Why it matters:
        The receiver drops such a segment and answers with an ACK. It was overtaken on the way, or a capture from several
        places or queues is not in the order of time. Segments with data are told as retransmissions or duplicates.

    Example:
        frame 20  server > client   362 bytes up to 3488
        frame 21  client > server   ACK 3488
        frame 22  server > client   ACK, seq 3126

    How to fix:
        Nothing for single ones. If they are frequent, look for paths of unequal length, and whether the file has to be
        sorted by time (reordercap).

    References:
        RFC 9293 section 3.10.7.4: segments below the window are answered and dropped (first check).
    """

    code: ClassVar[str] = "TS420"
    name: ClassVar[str] = "segment-below-window"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (BELOW_WINDOW,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, how far below."""
        most = max(fact.a for fact in seen.facts)
        text = (
            f"{plural(seen.count, 'segment')} of {party(conn, seen.side)} ({frames(seen.frames, seen.count)}) came up to "
            f"{plural(most, 'byte')} late: what follows {'it' if seen.count == 1 else 'them'} had been acknowledged "
            "before"
        )
        return self.about(conn, seen, opening(text))


class WindowShrunk(FactRule):
    """A receiver took back a window that it had opened.

    What it does:
        Reports that the right edge of the window (acknowledgement plus window) moved back by at least one unit of the
        window scale, in a segment that was certainly sent after the one with the further edge. It is a warning if bytes
        in flight no longer fit, else a note; the window of a SYN-ACK counts only in the first case.

    Why it matters:
        A receiver should only open its window. What the sender has sent in trust of the earlier edge is dropped and has
        to be sent again. Load balancers and proxies do it that answer the SYN with a window of their own, and hosts that
        run out of memory.

    Example:
        frame 2   server > client   SYN,ACK ack=1, window 64240
        frame 5   server > client   ACK 518, window 30016

    How to fix:
        If data in flight was hit: look at the receive buffer and the memory of the receiver, and let a proxy announce
        the window of the server behind it.

    References:
        RFC 9293 section 3.8.6: a receiver should not shrink the window; a sender must cope with it.
        RFC 7323 section 2.4: shrinking by the rounding of the window scale.
    """

    code: ClassVar[str] = "TS507"
    name: ClassVar[str] = "window-shrunk"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6"
    kinds: ClassVar[tuple[int, ...]] = (WINDOW_SHRUNK,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """By how much, and what was in flight."""
        most, hit = max(fact.a for fact in seen.facts), max(fact.b for fact in seen.facts)
        text = (
            f"{party(conn, seen.side)} took back {times(seen.count)} ({frames(seen.frames, seen.count)}) a window that "
            f"it had opened, by up to {plural(most, 'byte')}"
        )
        text += (
            f", when {plural(hit, 'byte')} in flight no longer fitted: they are dropped and have to be sent again"
            if hit
            else "; nothing in flight was hit"
        )
        return self.about(conn, seen, opening(text), severity=None if hit else Severity.NOTE)
