"""TS5xx, the receive window: RFC 9293 section 3.8.6, and keep-alives: section 3.8.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import PATIENCE_NS, Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, opening, party, plural, span, times
from tcpscope.state.facts import (
    KEEP_ALIVE,
    WINDOW_EXCEEDED,
    WINDOW_FULL,
    WINDOW_STALL,
    ZERO_WINDOW,
    ZERO_WINDOW_PROBE,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

NOTICEABLE_NS: Final = 200_000_000
"""A window that was closed for less than the shortest retransmission time-out (Linux: 200 ms) delays nobody noticeably."""


class ZeroWindow(FactRule):
    """A receiver closed its window.

    What it does:
        Reports each time a side advertised a window of zero, and for how long. Shorter than 200 ms in all it is a
        note.

    Why it matters:
        The program on that side reads more slowly than data arrives, so its buffer is full and the sender must stop.
        The network is not at fault: the time is lost in the receiving application, which is busy, blocked, or waiting
        for its disk.

    Example:
        frame 40  client > server   ACK, window 0
        frame 41  client > server   ACK, window 65535   (2.4 s later)

    How to fix:
        Look at what the receiving program does at that time (profile it, look at its disk and its locks). A larger
        receive buffer helps only against short pauses.

    References:
        RFC 9293 section 3.8.6: managing the window.
        RFC 9293 section 3.8.6.1: zero-window probing.
    """

    code: ClassVar[str] = "TS501"
    name: ClassVar[str] = "zero-window"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6"
    kinds: ClassVar[tuple[int, ...]] = (ZERO_WINDOW,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, for how long, and whether it opened again."""
        total = transfer_of(conn.side(seen.side)).trouble.zero_time_total
        closed = [fact for fact in seen.facts if not fact.other]
        text = (
            f"{party(conn, seen.side)} closed its receive window {times(seen.count)} "
            f"({frames(seen.frames, seen.count)}) for {span(total)} in all"
        )
        if closed:
            text += f" and had not opened it again when the watching ended {span(closed[-1].a)} later"
        short = total < NOTICEABLE_NS
        if short:
            return self.about(conn, seen, opening(text + ": too short to matter"), severity=Severity.NOTE)
        text, severity = f"{text}: its program reads too slowly, and the other side has to wait", self.severity
        if closed:
            text, severity = weigh(conn, text, severity, "the segment that opened it")
        return self.about(conn, seen, opening(text), severity=severity)


class WindowFull(FactRule):
    """A sender filled the receiver's window.

    What it does:
        Counts the times that a side had sent all that the other side's window allowed.

    Why it matters:
        The sender has to wait for an ACK although the network could carry more: the window limits the throughput to
        one window a round trip. On a long path the receive buffer is too small; on a short one the receiving program
        is slow.

    Example:
        frame 40  server > client   the last byte that the window of 65,535 allows

    How to fix:
        Let the receiver's buffer grow (on Linux tcp_rmem; do not set SO_RCVBUF in the program), and see that window
        scaling is on in both SYNs.

    References:
        RFC 9293 section 3.8.6: the window bounds what may be sent.
        RFC 7323 section 2: window scaling.
    """

    code: ClassVar[str] = "TS502"
    name: ClassVar[str] = "window-full"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6"
    kinds: ClassVar[tuple[int, ...]] = (WINDOW_FULL,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, with how many bytes in flight."""
        most = max(fact.a for fact in seen.facts)
        text = (
            f"{party(conn, seen.side)} filled the window of {party(conn, 1 - seen.side)} {times(seen.count)} "
            f"({frames(seen.frames, seen.count)}), with up to {plural(most, 'byte')} in flight: the window limits the "
            "throughput"
        )
        return self.about(conn, seen, opening(text))


class WindowExceeded(FactRule):
    """A sender sent more than the receiver's window allows.

    What it does:
        Reports bytes beyond the right edge (acknowledgement plus window) that the receiver had advertised, if its next
        segment shows that there was no room for them either. Probes of a closed window do not count.

    Why it matters:
        The receiver drops what it has no room for, so these bytes have to be sent again. The sender ignores flow
        control, or a middlebox changes the window or strips the scale option from one SYN only, so that the two sides
        disagree on its meaning.

    Example:
        frame 20  client > server   ACK 1, window 1000
        frame 21  server > client   bytes 1 to 1460
        frame 22  client > server   ACK 1001, window 0

    How to fix:
        Capture on both sides of the middlebox and compare window and window scale of the SYNs. Update or replace what
        changes them.

    References:
        RFC 9293 section 3.8.6: the window bounds what may be sent.
        RFC 7323 section 2.2: window scaling needs the option in both SYNs.
    """

    code: ClassVar[str] = "TS503"
    name: ClassVar[str] = "window-exceeded"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6"
    kinds: ClassVar[tuple[int, ...]] = (WINDOW_EXCEEDED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """By how much; only a suspicion where the capture lacks segments."""
        most = max(fact.a for fact in seen.facts)
        text = (
            f"{party(conn, seen.side)} sent up to {plural(most, 'byte')} beyond the window of "
            f"{party(conn, 1 - seen.side)} ({frames(seen.frames, seen.count)}), which the receiver is free to drop"
        )
        if seen.first.other:
            text += f": its next segment (frame {seen.first.other}) has no room for them"
        text, severity = weigh(conn, text, self.severity, "a window update")
        return self.about(conn, seen, opening(text), severity=severity)


class KeepAlive(FactRule):
    """A side probed whether the other one is still there.

    What it does:
        Counts keep-alive segments: empty or with one old byte, just below the next sequence number, on an idle
        connection. If none of them is answered it is a warning.

    Why it matters:
        It is normal on idle connections and keeps NAT and firewall entries alive. Unanswered probes show that the
        other side is gone.

    Example:
        frame 50  client > server   ACK, seq one below the next   (after 60 s without a segment)
        frame 51  server > client   ACK

    How to fix:
        Nothing, if they are answered. Otherwise see whether the other host is up and whether a firewall or NAT on the
        way forgot the connection.

    References:
        RFC 9293 section 3.8.4: keep-alives.
    """

    code: ClassVar[str] = "TS504"
    name: ClassVar[str] = "keep-alive"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.4"
    kinds: ClassVar[tuple[int, ...]] = (KEEP_ALIVE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, after which pause."""
        first = seen.first
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'keep-alive')} ({frames(seen.frames, seen.count)}), "
            f"the first after {span(first.a)} of silence"
        )
        watched = conn.watched_until - first.time_ns
        severity = Severity.NOTE
        if conn.side(1 - seen.side).last_time < first.time_ns and watched >= PATIENCE_NS and not conn.one_sided:
            text += (
                f", and {party(conn, 1 - seen.side)} answered none of them in {span(watched)}: it is gone or cannot "
                "be reached"
            )
            text, severity = weigh(conn, text, Severity.WARNING, "its answers")
        return self.about(conn, seen, opening(text), severity=severity)


class ZeroWindowProbe(FactRule):
    """A sender probed whether a closed window has opened.

    What it does:
        Counts probes into a window of zero.

    Why it matters:
        It is what a sender must do, so that a lost window update does not stop the connection for good. The fault, if
        any, is on the side that closed its window (TS501).

    Example:
        frame 40  client > server   ACK, window 0
        frame 41  server > client   1 byte   (0.4 s later)

    How to fix:
        Nothing here; see TS501 for the receiver.

    References:
        RFC 9293 section 3.8.6.1: zero-window probing.
    """

    code: ClassVar[str] = "TS505"
    name: ClassVar[str] = "zero-window-probe"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6.1"
    kinds: ClassVar[tuple[int, ...]] = (ZERO_WINDOW_PROBE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, over which time."""
        text = (
            f"{party(conn, seen.side)} probed the closed window of {party(conn, 1 - seen.side)} {times(seen.count)} "
            f"({frames(seen.frames, seen.count)})"
        )
        return self.about(conn, seen, opening(text))


class StalledByWindow(FactRule):
    """A sender stood still because the receiver's window was full.

    What it does:
        Reports pauses of a sender that had filled the window and went on only when it opened, where they are longer
        than the path explains (two round trips and 100 ms).

    Why it matters:
        For that time the transfer stood still and the receiver was the cause: its program did not take the data,
        though its window was not quite closed.

    Example:
        frame 40  server > client   fills the window
        frame 41  server > client   goes on   (1.3 s later)

    How to fix:
        Look at what the receiving program does at that time, and at the size of its receive buffer.

    References:
        RFC 9293 section 3.8.6: the window bounds what may be sent.
        RFC 9293 section 3.8.6.2.2: when a receiver updates its window.
    """

    code: ClassVar[str] = "TS506"
    name: ClassVar[str] = "stalled-by-window"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.8.6"
    kinds: ClassVar[tuple[int, ...]] = (WINDOW_STALL,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often and for how long."""
        longest = max(seen.facts, key=_duration)
        text = (
            f"{party(conn, seen.side)} stood still {times(seen.count)} because the window of "
            f"{party(conn, 1 - seen.side)} was full, for {span(longest.a)} at the longest (from frame {longest.frame} "
            f"to frame {longest.other})"
        )
        text, severity = weigh(conn, text, self.severity, "an earlier window update")
        return self.about(conn, seen, opening(text), severity=severity)


def _duration(fact: Fact) -> int:
    return fact.a
