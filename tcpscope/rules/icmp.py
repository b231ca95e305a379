"""TS4xx, what routers and hosts say of a connection by ICMP: RFC 9293 sections 3.7.2 and 3.9.2.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.words import frames, opening, party, plural, times
from tcpscope.state.facts import CAUSE_PATH_MTU, ICMP_REPORTED, RETRANSMISSION, Fact

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

UNREACHABLE: Final = {
    (4, 3, 0): "the network is unreachable",
    (4, 3, 1): "the host is unreachable",
    (4, 3, 2): "the host does not speak TCP",
    (4, 3, 3): "the port is unreachable",
    (4, 3, 5): "the source route failed",
    (4, 3, 9): "a filter prohibits the network",
    (4, 3, 10): "a filter prohibits the host",
    (4, 3, 13): "a filter prohibits the traffic",
    (6, 1, 0): "there is no route",
    (6, 1, 1): "a filter prohibits the traffic",
    (6, 1, 3): "the address is unreachable",
    (6, 1, 4): "the port is unreachable",
    (6, 1, 5): "a filter prohibits the source address",
    (6, 1, 6): "the route rejects the traffic",
}


def meaning(fact: Fact) -> tuple[int, int, int]:
    """IP version, type and code of the error."""
    return fact.a >> 16, fact.a >> 8 & 0xFF, fact.a & 0xFF


def is_too_big(fact: Fact) -> bool:
    """Fragmentation needed (RFC 1191 section 4), packet too big (RFC 4443 section 3.2)."""
    version, kind, code = meaning(fact)
    return (version, kind, code) == (4, 3, 4) or (version, kind) == (6, 2)


def is_expired(fact: Fact) -> bool:
    """Time exceeded (RFC 792, RFC 4443 section 3.3)."""
    version, kind, _code = meaning(fact)
    return (version, kind) in {(4, 11), (6, 3)}


class IcmpRule(FactRule):
    """Base of the rules about ICMP errors."""

    alike: ClassVar[bool] = False
    kinds: ClassVar[tuple[int, ...]] = (ICMP_REPORTED,)


class PathMtuExceeded(IcmpRule):
    """Segments were larger than the path takes.

    What it does:
        Recognises ICMP errors that say so, the MTU that they tell, and the data that was sent again because of them.

    Why it matters:
        This is path MTU discovery at work: the sender has to cut its segments smaller. It costs a round trip, once. If
        the errors go on, the sender does not get them or does not believe them, and large segments never arrive.

    Example:
        frame 10  server > client   1448 bytes
        frame 11  router > server   ICMP fragmentation needed, MTU 1400
        frame 12  server > client   1348 of these bytes again

    How to fix:
        Nothing, if the data that follows is smaller. Else let ICMP pass the firewall of the sender, or clamp the MSS at
        the router to its MTU less the headers.

    References:
        RFC 9293 section 3.7.2: path MTU discovery.
        RFC 1191 section 4: the router's message.
    """

    code: ClassVar[str] = "TS414"
    name: ClassVar[str] = "path-mtu-exceeded"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.7.2"
    kinds: ClassVar[tuple[int, ...]] = (ICMP_REPORTED, RETRANSMISSION + CAUSE_PATH_MTU)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """The errors and what they caused."""
        return fact.kind != ICMP_REPORTED or is_too_big(fact)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, which MTU, and how many segments were sent again."""
        errors = [fact for fact in seen.facts if fact.kind == ICMP_REPORTED]
        if not errors:
            return None
        told = sorted({fact.b for fact in errors if fact.b > 0})
        size = f"an MTU of {' or '.join(map(str, told))} bytes" if told else "no MTU"
        again = int(conn.count_of(RETRANSMISSION + CAUSE_PATH_MTU, seen.side))
        text = (
            f"{party(conn, seen.side)} was told {times(len(errors))} that its segments are too large for the path "
            f"({frames([fact.frame for fact in errors], len(errors))}, {size})"
        )
        if again:
            text += f", and sent {plural(again, 'segment')} again because of it"
        return self.about(conn, Seen(seen.side, errors, len(errors), more=seen.more), opening(text))


class DestinationUnreachable(IcmpRule):
    """A router or the other host says that segments cannot be delivered.

    What it does:
        Recognises ICMP errors of the type destination unreachable about a connection.

    Why it matters:
        This is an answer where silence would leave open who is at fault: a filter, a missing route, a host that is
        down. While a connection opens it mostly ends the attempt; later it may pass.

    Example:
        frame 1  client > server   SYN
        frame 2  router > client   ICMP host unreachable

    How to fix:
        Look at the sender of the error: it is the place that has no route, or the filter that says no.

    References:
        RFC 9293 section 3.9.2.2: what TCP does with ICMP errors.
        RFC 792: destination unreachable.
    """

    code: ClassVar[str] = "TS415"
    name: ClassVar[str] = "destination-unreachable"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.9.2.2"

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """All that is neither about size nor about time."""
        return not is_too_big(fact) and not is_expired(fact)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often, and why."""
        version, kind, code = meaning(seen.first)
        why = UNREACHABLE.get((version, kind, code), f"ICMP{'v6' if version == 6 else ''} type {kind} code {code}")
        text = (
            f"{party(conn, seen.side)} was told {times(seen.count)} by ICMP that its segments cannot be delivered: "
            f"{why} ({frames(seen.frames, seen.count)})"
        )
        return self.about(conn, seen, opening(text))


class TimeExceeded(IcmpRule):
    """Segments ran out of hops on their way, or fragments of them never came together.

    What it does:
        Recognises ICMP errors of the type time exceeded about a connection.

    Why it matters:
        A routing loop, or a path longer than the TTL that the sender sets. Programs that trace the path with TCP
        provoke these errors on purpose.

    Example:
        frame 1  client > server   SYN, TTL 3
        frame 2  router > client   ICMP time exceeded in transit

    How to fix:
        If nobody traces the path, follow the routes from the sender of the error: two routers send the packets to each
        other.

    References:
        RFC 9293 section 3.9.2.2: what TCP does with ICMP errors.
        RFC 792: time exceeded.
    """

    code: ClassVar[str] = "TS416"
    name: ClassVar[str] = "time-exceeded"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.9.2.2"

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Time exceeded only."""
        return is_expired(fact)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How often."""
        text = (
            f"{party(conn, seen.side)} was told {times(seen.count)} by ICMP that its segments ran out of hops or time on "
            f"the way ({frames(seen.frames, seen.count)})"
        )
        return self.about(conn, seen, opening(text))
