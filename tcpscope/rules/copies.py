"""The same packet twice: TS410 delivered twice by the network, TS920 captured twice. RFC 791, RFC 2883, RFC 9293."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import BOTH_SIDES, Context, FactRule, Finding, Rule, Seen, Severity
from tcpscope.rules.words import frames, listed, opening, party, plural, span, times
from tcpscope.state.endpoint import Copied
from tcpscope.state.facts import CAUSE_CAPTURE_COPY, CAUSE_NETWORK_DUPLICATE, RETRANSMISSION

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection


class NetworkDuplicate(FactRule):
    """The network delivered the same packet twice.

    What it does:
        Counts packets that come again with the same IP identification: a sender gives each packet a new one, so the
        second one was made on the way. Packets that the capture itself holds twice are told apart (TS920): those are
        practically all packets of a side, or packets that the receiver never answers, while a receiver acknowledges
        old bytes at once.

    Why it matters:
        It is no loss and no retransmission, though it looks like one; counted as such it hides the real ones. A
        network that copies packets has a loop, or a link layer that sends again what had arrived.

    Example:
        frame 9   client > server   100 bytes, IP id 4711
        frame 14  client > server   the same, IP id 4711   (20 ms later)
        frame 15  server > client   ACK 101, SACK 1 to 100

    How to fix:
        Look for a bridging loop, a redundant path without spanning tree, or a radio link that repeats frames.

    References:
        RFC 9293 section 3.10.7.4: old duplicates are dropped by their sequence number, and acknowledged.
        RFC 791 section 3.1: the identification field.
        RFC 2883 section 4: duplicate SACK reports what arrives twice.
    """

    code: ClassVar[str] = "TS410"
    name: ClassVar[str] = "network-duplicate"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (RETRANSMISSION + CAUSE_NETWORK_DUPLICATE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and whether the receiver confirms it."""
        copied = conn.side(seen.side).copied
        text = (
            f"{plural(seen.count, 'packet')} of {party(conn, seen.side)} {'was' if seen.count == 1 else 'were'} "
            f"delivered twice by the network ({frames(seen.frames, seen.count)}), not sent again: "
            f"{told_text(seen.count, 0 if copied is None else int(copied.unidentified))}"
        )
        if copied is not None and copied.answered:
            often = "" if copied.answered == 1 else f" {times(copied.answered)}"
            text += f"; the receiver acknowledged the second one{often}"
        return self.about(conn, seen, opening(text))


class CaptureCopies(Rule):
    """Segments are in the capture twice.

    What it does:
        Counts segments that were captured before and leaves them out of everything else. Wireshark calls most of them
        retransmissions or duplicate ACKs.

    Why it matters:
        Nothing was sent twice. A mirror port copies a packet on its way into and out of the switch, two interfaces
        were captured into one file, or a packet was captured inside and outside a tunnel or VLAN. Numbers of other
        tools for such a capture are too high.

    Example:
        frame 9   client > server   100 bytes, IP id 4711, interface 0
        frame 10  client > server   the same, IP id 4711, interface 1   (30 microseconds later)

    How to fix:
        Mirror one direction of each port only, or capture one interface. For other tools remove the copies first:
        "editcap -d" where they are equal to the last byte.

    References:
        RFC 791 section 3.1: the identification field, by which a copy is told from a segment sent again.
        RFC 9293 section 3.1: the checksum; with all other numbers it tells where there is no identification.
    """

    code: ClassVar[str] = "TS920"
    name: ClassVar[str] = "capture-copies"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.1"
    kinds: ClassVar[tuple[int, ...]] = (RETRANSMISSION + CAUSE_CAPTURE_COPY,)

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """How many of this connection, and how they were told."""
        facts = conn.facts_of(self.kinds[0])
        found = [(side, copied) for side in BOTH_SIDES if (copied := conn.side(side).copied) and copied.by_capture]
        count = sum(int(copied.by_capture) for _, copied in found)
        if not facts or not count:
            return
        whose = listed([f"{copied.by_capture:,} of {party(conn, side)}" for side, copied in found])
        where = where_text(
            sum(0 if copied.network else int(copied.same_place) for _, copied in found),
            sum(int(copied.other_interface) for _, copied in found),
            sum(int(copied.other_encapsulation) for _, copied in found),
            sum(int(copied.other_hop) for _, copied in found),
        )
        yield self.finding(
            conn,
            None,
            f"{plural(count, 'segment')} {'is' if count == 1 else 'are'} in the capture again "
            f"({whose}; {frames((fact.frame for fact in facts), count)}), {where}{delay_text(found)}, and "
            f"{'was' if count == 1 else 'were'} left out: {told_text(count, unidentified(found))}",
            (number for fact in facts for number in (fact.frame, fact.other)),
            frame=facts[0].frame,
            time_ns=facts[0].time_ns,
            count=count,
        )

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many in all."""
        copies = capture.copies
        count = int(copies.count)
        if not count:
            return
        where = where_text(copies.same_place, copies.other_interface, copies.other_encapsulation, copies.other_hop)
        late = f", up to {span(copies.longest)} later" if copies.longest > 0 else ""
        yield self.capture_finding(
            f"{count:,} of {plural(capture.segments, 'segment')} ({plural(copies.connections, 'connection')}) "
            f"{'is a copy' if count == 1 else 'are copies'} of another in this capture, {where}{late}, and "
            f"{'was' if count == 1 else 'were'} left out: {told_text(count, copies.unidentified)}",
            "tcp.analysis.retransmission || tcp.analysis.out_of_order || tcp.analysis.duplicate_ack",
            count=count,
        )


def where_text(same_place: int, other_interface: int, other_encapsulation: int, other_hop: int) -> str:
    """Where the copies were captured."""
    places = (
        (same_place, "on the same interface"),
        (other_interface, "on another interface"),
        (other_encapsulation, "within another encapsulation"),
        (other_hop, "with another TTL, behind a router"),
    )
    some = [(count, place) for count, place in places if count]
    if len(some) == 1:
        return some[0][1]
    return listed([f"{count:,} {place}" for count, place in some])


def delay_text(found: list[tuple[int, Copied]]) -> str:
    """How much later the copies come."""
    known = [copied for _, copied in found if copied.longest >= 0]
    if not known:
        return ""
    shortest, longest = min(int(copied.shortest) for copied in known), max(int(copied.longest) for copied in known)
    if longest <= 0:
        return ""
    return f" {span(longest)} later" if shortest == longest else f" {span(shortest)} to {span(longest)} later"


def unidentified(found: list[tuple[int, Copied]]) -> int:
    """How many copies have no IP identification."""
    return sum(min(int(copied.unidentified), int(copied.by_capture)) for _, copied in found)


def told_text(count: int, without: int) -> str:
    """What gave the copies away. ``without``: so many have no identification."""
    numbers = "the same checksum and header numbers, too soon for a repetition"
    if without >= count:
        return f"told by {numbers}"
    text = "told by the same IP identification, sequence number, flags and length"
    return f"{text}, and {without:,} without identification by {numbers}" if without else text
