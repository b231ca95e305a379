"""TS2xx, connections that end by a reset: RFC 9293 sections 3.5.2 and 3.5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import BOTH_SIDES, Context, FactRule, Finding, Seen, Severity, frames_told_elsewhere
from tcpscope.rules.verdicts import handshake_verdict, transfer_of
from tcpscope.rules.words import frames, opening, party, plural, span
from tcpscope.state.facts import (
    CLIENT,
    HALF_CLOSE_RESET,
    RST_OUT_OF_WINDOW,
    RST_SENT,
    SEGMENT_AFTER_RST,
    SERVER,
    TIME_WAIT_FIN_RESET,
    TIME_WAIT_KILLED,
    Fact,
)
from tcpscope.state.seq import diff
from tcpscope.state.transitions import STATE_NAMES, UNKNOWN

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


def _state(code: int) -> str:
    """`` in ESTABLISHED``; nothing where the state is not known."""
    return "" if code == UNKNOWN else f" in {STATE_NAMES[code]}"


def _data_under_way(conn: Connection, side: int) -> int:
    """Bytes that the side sent and that were not acknowledged, without its FIN."""
    endpoint, transfer = conn.side(side), transfer_of(conn.side(side))
    missing: int = endpoint.unacknowledged()
    return missing - 1 if missing > 0 and transfer.fin_frame and not transfer.fin_ack_frame else missing


MAX_LATE: Final = 65_535
"""A reset at most one unscaled window behind what was expected is a late one."""

MAX_ALERT: Final = 87
"""Bytes of a record with a TLS alert at most: header 5, vector 16, alert 2, authentication code 48, padding 16."""


class HalfClosedDataReset(FactRule):
    """Data that came after a side's FIN was answered by a reset.

    What it does:
        Reports a side that closed its half of the connection, received more data from the other side, and reset the
        connection. If the data can only be the closing alert of TLS it is a note.

    Why it matters:
        After a FIN the other direction stays open, and the closer should go on to read. A program that closes the
        socket altogether cannot: its stack answers late data with a reset, and the other side loses what it was
        sending.

    Example:
        frame 8   client > server   FIN,ACK
        frame 9   server > client   ACK, 500 bytes of data
        frame 10  client > server   RST

    How to fix:
        In the closing program use shutdown(SHUT_WR), read to the end of file and only then close. If it means to break
        off (a user who cancels), this is harmless.

    References:
        RFC 9293 section 3.6.1: half-closed connections; a reset shows that data was lost.
        RFC 9293 section 3.5.2: when a reset is sent.
    """

    code: ClassVar[str] = "TS203"
    name: ClassVar[str] = "half-closed-data-reset"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.6.1"
    kinds: ClassVar[tuple[int, ...]] = (HALF_CLOSE_RESET,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How much was rejected."""
        fact = seen.first
        data = f"{plural(fact.a, 'byte')} of data" if fact.a > 0 else "data"
        text = (
            f"{party(conn, seen.side)} had closed its side (frame {transfer_of(conn.side(seen.side)).fin_frame}) and "
            f"then reset the connection (frame {fact.frame}) when {party(conn, 1 - seen.side)} still sent {data} "
            f"(frame {fact.other}), which is lost"
        )
        alert = conn.tls is not None and conn.tls.recognised and 0 < fact.a <= MAX_ALERT
        if alert:
            text += "; by its size it is only the TLS alert that says goodbye"
        return self.about(conn, seen, opening(text), severity=Severity.NOTE if alert else None)


class ConnectionAborted(FactRule):
    """A reset ended an open connection.

    What it does:
        Reports a reset on a connection that had opened (or was open when the capture began) and that neither side had
        closed, with who sent it, in which state, and how many bytes were not yet acknowledged.

    Why it matters:
        A reset throws away everything still under way; the application sees "connection reset by peer". The program
        may have crashed or closed with unread data, a middlebox may have lost patience, or the host may have rebooted.

    Example:
        frame 20  server > client   RST,ACK   (1,200 bytes of the client not acknowledged)

    How to fix:
        Look at the log of the program that sent it. If nobody there did, compare the TTL of the reset with that side's
        other segments: a different one means that a firewall or load balancer sent it, mostly after its idle time-out.

    References:
        RFC 9293 section 3.10.5: the ABORT call sends a reset.
        RFC 9293 section 3.5.3: what a reset does to its receiver.
        RFC 9293 section 3.6: a connection ends by FIN or by reset.
    """

    code: ClassVar[str] = "TS206"
    name: ClassVar[str] = "connection-aborted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.5"
    kinds: ClassVar[tuple[int, ...]] = (RST_SENT,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Nobody had closed before, and the other side had not reset it already."""
        sides = (transfer_of(conn.client), transfer_of(conn.server))
        if any(transfer.fin_frame and transfer.fin_frame < fact.frame for transfer in sides):
            return False
        other = sides[1 - fact.side]
        return not (other.trouble.rst_frame and other.trouble.rst_frame < fact.frame)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Who, in which state, with how much at stake."""
        if handshake_verdict(conn) in ("refused", "aborted"):
            return None
        fact = seen.first
        lost = []
        if fact.b:
            lost.append(f"{plural(fact.b, 'byte')} of its own")
        if other := _data_under_way(conn, 1 - seen.side):
            lost.append(f"{plural(other, 'byte')} of {party(conn, 1 - seen.side)}")
        rest = f"{' and '.join(lost)} not acknowledged" if lost else "everything sent had been acknowledged"
        text = (
            f"{party(conn, seen.side)} aborted the connection{_state(fact.a)} with a reset (frame {fact.frame}) "
            f"{span(fact.time_ns - conn.first_time)} after it began, {rest}"
        )
        return self.finding(
            conn,
            seen.side,
            opening(text),
            seen.frames,
            frame=fact.frame,
            time_ns=fact.time_ns,
            count=max(1, transfer_of(conn.side(seen.side)).trouble.rst_count),
        )


class ResetAfterFin(FactRule):
    """A connection that was closing ended by a reset.

    What it does:
        Reports a reset after the first FIN, if no other rule explains it. It is a note if everything sent had been
        acknowledged, and a warning if bytes were still under way.

    Why it matters:
        Many programs cut the closing short like this, to skip TIME-WAIT or because unread data is left in the socket.
        If bytes were under way they may be lost, although the sender believes that it closed in order.

    Example:
        frame 8   client > server   FIN,ACK
        frame 9   server > client   FIN,ACK
        frame 10  client > server   RST

    How to fix:
        With nothing lost, nothing. Otherwise read the socket to the end before closing it, and do not set SO_LINGER to
        zero.

    References:
        RFC 9293 section 3.6: the closing takes a FIN and an ACK in each direction.
        RFC 9293 section 3.6.1: a reset on close shows that data was lost.
    """

    code: ClassVar[str] = "TS207"
    name: ClassVar[str] = "reset-after-fin"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.6"
    kinds: ClassVar[tuple[int, ...]] = (RST_SENT,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """After a FIN, before the closing was complete, and not the subject of another rule."""
        closed = [t for t in (transfer_of(conn.client), transfer_of(conn.server)) if t.fin_frame]
        if not closed or min(t.fin_frame for t in closed) > fact.frame:
            return False
        if len(closed) == 2 and all(0 < t.fin_ack_frame < fact.frame for t in closed):
            return False
        return fact.frame not in frames_told_elsewhere(conn, (HALF_CLOSE_RESET, TIME_WAIT_FIN_RESET, TIME_WAIT_KILLED))

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Who, in which state, and whether anything was lost."""
        fact = seen.first
        lost = _data_under_way(conn, CLIENT) + _data_under_way(conn, SERVER)
        rest = f"with {plural(lost, 'byte')} not acknowledged, which may be lost" if lost else "with no data under way"
        fin, closer = min((t.fin_frame, side) for side in BOTH_SIDES if (t := transfer_of(conn.side(side))).fin_frame)
        text = (
            f"{party(conn, seen.side)} reset the connection{_state(fact.a)} (frame {fact.frame}) after the FIN of "
            f"{party(conn, closer)} (frame {fin}) instead of finishing the close, {rest}"
        )
        severity = Severity.NOTE
        if lost:
            text, severity = weigh(conn, text, self.severity, "the acknowledgement")
        return self.finding(
            conn,
            seen.side,
            opening(text),
            [fin, *seen.frames],
            frame=fact.frame,
            time_ns=fact.time_ns,
            count=max(1, transfer_of(conn.side(seen.side)).trouble.rst_count),
            severity=severity,
        )


class SegmentAfterReset(FactRule):
    """A side went on sending after its own reset.

    What it does:
        Reports data or a FIN from a side that had already reset the connection.

    Why it matters:
        A host that resets a connection forgets it and sends nothing more. If more comes, the reset was not its own: a
        firewall, a proxy or an attacker forged it in its name, and the real host knows nothing of it.

    Example:
        frame 20  server > client   RST
        frame 21  server > client   1,460 bytes of data

    How to fix:
        Compare TTL and IP identification of the reset with that side's other segments. If they differ, look for the
        device on the path that sends resets: a firewall with a content rule, an intrusion prevention system, a
        censoring middlebox.

    References:
        RFC 9293 section 3.5.3: a reset ends the connection on both ends.
        RFC 9293 section 3.10.5: after ABORT nothing is left to send.
    """

    code: ClassVar[str] = "TS210"
    name: ClassVar[str] = "segment-after-reset"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.5"
    kinds: ClassVar[tuple[int, ...]] = (SEGMENT_AFTER_RST,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How much came after which reset."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'more segment')} ({frames(seen.frames, seen.count)}) "
            f"after its own reset (frame {fact.other}), so the reset was probably forged by something on the path"
        )
        return self.about(conn, seen, opening(text))


class ResetOutsideWindow(FactRule):
    """A reset has a sequence number that its receiver does not expect.

    What it does:
        Reports a reset whose sequence number lies outside of the receiver's window, so that it must be ignored.

    Why it matters:
        A reset that is a little behind answers an older segment and is harmless (a note). A series with changing
        numbers is a blind attack, or a middlebox that resets connections without following them.

    Example:
        frame 20  server > client   RST seq=5000   (expected 901200)

    How to fix:
        Compare TTL and IP identification of the reset with that side's other segments to see whether the host itself
        sent it.

    References:
        RFC 9293 section 3.5.3: a reset is valid if its sequence number is in the window.
        RFC 9293 section 3.10.7.4: the three checks of a reset.
        RFC 5961 section 3: blind reset attacks.
    """

    code: ClassVar[str] = "TS211"
    name: ClassVar[str] = "reset-outside-window"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5.3"
    kinds: ClassVar[tuple[int, ...]] = (RST_OUT_OF_WINDOW,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far off the number is."""
        fact = seen.first
        text = (
            f"{plural(seen.count, 'reset')} of {party(conn, seen.side)} ({frames(seen.frames, seen.count)}) "
            f"{'lies' if seen.count == 1 else 'lie'} outside of the receiver's window (sequence number {fact.a}"
        )
        text += f" where {fact.b} was due)" if fact.b >= 0 else ")"
        # Just below the expected number: the answer to a segment that was on its way before the latest ones.
        late = fact.b >= 0 and 0 < diff(fact.b, fact.a) <= MAX_LATE
        if late:
            return self.about(conn, seen, opening(text + ": it answers an older segment"), severity=Severity.NOTE)
        text, severity = weigh(conn, text + ", and must be ignored", self.severity, "the data before it")
        return self.about(conn, seen, opening(text), severity=severity)
