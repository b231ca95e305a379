"""TS213 to TS215, what a reset shows beside its sequence number: its payload, its acknowledgement number, its TTL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.words import frames, opening, party, plural
from tcpscope.state.facts import RST_ACK_WRONG, RST_DATA, RST_TTL, Fact
from tcpscope.state.seq import diff

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class ResetWithData(FactRule):
    """A reset carries data.

    What it does:
        Reports resets with payload.

    Why it matters:
        It is lawful, but only a few stacks and devices do it: the text says in plain words why they refuse. No receiver
        hands it to its program, so it may also hide a message from everything but a monitor.

    Example:
        frame 8   server > client   RST, 13 bytes: "Port blocked"

    How to fix:
        Read the payload: it may name the device that reset the connection, and its reason.

    References:
        RFC 9293 section 3.5.3: a reset may carry data.
    """

    code: ClassVar[str] = "TS213"
    name: ClassVar[str] = "reset-with-data"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.5.3"
    kinds: ClassVar[tuple[int, ...]] = (RST_DATA,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How much."""
        text = (
            f"{plural(seen.count, 'reset')} of {party(conn, seen.side)} ({frames(seen.frames, seen.count)}) "
            f"{'carries' if seen.count == 1 else 'carry'} data, the first {plural(seen.first.a, 'byte')}: it may say why"
        )
        return self.about(conn, seen, opening(text))


class ResetAcknowledgesWrongNumber(FactRule):
    """A reset acknowledges what cannot be acknowledged.

    What it does:
        Reports a reset of an open connection whose acknowledgement number lies beyond all that the other side has sent,
        or below it by more than the largest window. Only where the capture lacks nothing of the connection.

    Why it matters:
        The receiver looks at the sequence number only and is reset. But a host that knows the connection acknowledges
        what it has received: the reset was made by somebody who guesses, or by a device that does not follow the
        connection.

    Example:
        frame 20  client > server   100 bytes, up to 101
        frame 21  server > client   RST,ACK ack=90001

    How to fix:
        Compare TTL and IP identification of the reset with that side's other segments (TS215).

    References:
        RFC 9293 section 3.5.3: a reset is judged by its sequence number.
        RFC 9293 section 3.10.7.4: which acknowledgements are acceptable.
    """

    code: ClassVar[str] = "TS214"
    name: ClassVar[str] = "reset-acknowledges-wrong-number"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5.3"
    kinds: ClassVar[tuple[int, ...]] = (RST_ACK_WRONG,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """What the capture lacks may have been sent."""
        return not conn.lossy

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How far off."""
        fact = seen.first
        off = diff(fact.a, fact.b)
        where = "beyond what" if off > 0 else "below all that"
        text = (
            f"{plural(seen.count, 'reset')} of {party(conn, seen.side)} ({frames(seen.frames, seen.count)}) "
            f"{'acknowledges' if seen.count == 1 else 'acknowledge'} a number that lies {plural(max(off, -off), 'byte')} "
            f"{where} {party(conn, 1 - seen.side)} "
        )
        text += "has sent" if off > 0 else "can still expect to be acknowledged"
        text, severity = weigh(conn, text, self.severity, "them")
        return self.about(conn, seen, opening(text), severity=severity)


INITIAL_TTLS: Final = (32, 64, 128, 255)
"""What hosts begin to count the TTL down from."""


def _hops(ttl: int) -> int:
    """How many routers a segment has passed: what is missing to the next usual beginning."""
    return next(first for first in INITIAL_TTLS if first >= ttl) - ttl


class ResetOfOtherOrigin(FactRule):
    """A reset came from another place than its side's other segments.

    What it does:
        Compares the TTL (IPv6: hop limit) of a reset with the side's segments before. Counted from the nearest of 32,
        64, 128 and 255 down, at least two routers must lie between, so that a stack that begins resets with another TTL
        does not count.

    Why it matters:
        The host itself did not send the reset. A firewall, a load balancer or an intrusion prevention system did it in
        its name, or an attacker.

    Example:
        frame 19  server > client   ACK, TTL 232
        frame 20  server > client   RST, TTL 59

    How to fix:
        The TTL says how far away the device is: look at that distance on the path, or at what stands in front of the
        server.

    References:
        RFC 9293 section 3.5.3: a reset is judged by its sequence number alone.
        RFC 5961 section 3: blind reset attacks.
    """

    code: ClassVar[str] = "TS215"
    name: ClassVar[str] = "reset-of-other-origin"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.5.3"
    kinds: ClassVar[tuple[int, ...]] = (RST_TTL,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Not for a change of route by one router."""
        far, near = sorted((_hops(fact.a), _hops(fact.b)), reverse=True)
        return far - near >= 2

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """The two TTLs."""
        fact = seen.first
        text = (
            f"{plural(seen.count, 'reset')} of {party(conn, seen.side)} ({frames(seen.frames, seen.count)}) came with "
            f"TTL {fact.a} where {'its' if seen.count == 1 else 'their'} side's segments have {fact.b} "
            f"(frame {fact.other}): something else on the path sent it in that side's name"
        )
        return self.about(conn, seen, opening(text))
