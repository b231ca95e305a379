"""Segments that no healthy stack sends: contradictory flags, SYNs out of place, bytes that change when they are sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import (
    BOTH_SIDES,
    NO_CONNECTION,
    Context,
    FactRule,
    Finding,
    Rule,
    Seen,
    Severity,
)
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, opening, party, plural, times
from tcpscope.state.facts import (
    ACK_FIELD_UNUSED,
    DATA_CHANGED,
    FLAGS_CONTRADICT,
    SYN_ACK_MISPLACED,
    SYN_WHILE_OPENING,
    URGENT,
    Fact,
)

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection

FLAG_NAMES: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")


def _flag_names(bits: int) -> str:
    """``SYN,FIN``; the flags of a segment."""
    return ",".join(name for place, name in enumerate(FLAG_NAMES) if bits >> place & 1) or "no flag"


class FlagsContradictory(FactRule):
    """A segment opens and ends a connection at once.

    What it does:
        Reports segments with SYN together with FIN or RST.

    Why it matters:
        No stack sends them. Scanners do, to tell systems apart, and tools that hope that a firewall looks at one of the
        flags and the host at the other.

    Example:
        frame 1   client > server   SYN,FIN

    How to fix:
        Drop such segments at the edge of the network, and look at who sends them.

    References:
        RFC 9293 section 3.10.7.3: RST is looked at before SYN.
        RFC 9293 section 3.10.7.4: a FIN is not processed in LISTEN or SYN-SENT.
    """

    code: ClassVar[str] = "TS117"
    name: ClassVar[str] = "flags-contradictory"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (FLAGS_CONTRADICT,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which flags."""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) with "
            f"flags that exclude one another, the first with {_flag_names(seen.first.a)}: a scan, or an attempt to "
            "pass by a firewall"
        )
        return self.about(conn, seen, opening(text))


class SynAckMisplaced(FactRule):
    """The side that opened the connection sends a SYN-ACK.

    What it does:
        Reports a SYN-ACK from a side that had sent a plain SYN, though no plain SYN of the other side crossed it. Where
        the other side is not seen to answer it is a note: its SYN may be missing in the capture.

    Why it matters:
        Only two SYNs that cross are both answered by a SYN-ACK. A SYN-ACK in the wrong direction makes firewalls and
        monitors exchange client and server, which is what tools for evasion want.

    Example:
        frame 1   client > server   SYN
        frame 2   server > client   SYN,ACK
        frame 3   client > server   SYN,ACK

    How to fix:
        Find out which program sends it. A firewall should drop it.

    References:
        RFC 9293 section 3.5: the three-way handshake, and figure 7, two SYNs that cross.
        RFC 9293 section 3.10.7.3: an acceptable SYN-ACK is answered by an ACK.
    """

    code: ClassVar[str] = "TS118"
    name: ClassVar[str] = "syn-ack-misplaced"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.3"
    kinds: ClassVar[tuple[int, ...]] = (SYN_ACK_MISPLACED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """After which SYN."""
        fact = seen.first
        severity = Severity.NOTE
        text = (
            f"{party(conn, seen.side)} opened the connection (frame {fact.other}) and then sent a SYN-ACK itself "
            f"({frames(seen.frames, seen.count)})"
        )
        if fact.a:
            text += f", although {party(conn, 1 - seen.side)} had sent no SYN that it could answer"
            text, severity = weigh(conn, text, self.severity, "that SYN")
        else:
            text += "; a SYN of the other side, which it would answer, may be missing in the capture"
        return self.about(conn, seen, opening(text), severity=severity)


class SynWhileOpening(FactRule):
    """Another SYN came while a handshake was under way.

    What it does:
        Reports a plain SYN after the SYN-ACK and before the handshake was complete: from the client with another initial
        sequence number, or from the server.

    Why it matters:
        A client that gave up and tries again does this, lawfully; the server forgets the first attempt. From the server
        it is a second connection in the other direction, or an attempt to confuse whoever watches.

    Example:
        frame 1   client > server   SYN seq=100
        frame 2   server > client   SYN,ACK ack=101
        frame 3   client > server   SYN seq=900

    How to fix:
        Nothing for a single one. If they are frequent, look why SYN-ACKs do not reach the client.

    References:
        RFC 9293 section 3.10.7.4: a SYN in SYN-RECEIVED takes a passive side back to LISTEN.
        RFC 9293 section 3.5.1: what a side does that does not know a connection.
    """

    code: ClassVar[str] = "TS119"
    name: ClassVar[str] = "syn-while-opening"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.4"
    kinds: ClassVar[tuple[int, ...]] = (SYN_WHILE_OPENING,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Who, while which handshake."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent another SYN ({frames(seen.frames, seen.count)}) while the handshake that "
            f"the SYN-ACK of frame {fact.other} answers was not complete"
        )
        return self.about(conn, seen, opening(text))


class ClosedWithoutConnection(Rule):
    """A FIN or reset belongs to no connection in the capture.

    What it does:
        Reports a FIN or a reset with which the capture of its addresses and ports begins.

    Why it matters:
        Where the capture began in the middle of a connection this is its end, and nothing is wrong. In the middle of a
        long capture it is a scan (FIN, or none of SYN, ACK and RST), the echo of a flood with forged addresses, or a
        firewall that clears up connections that it had forgotten.

    Example:
        frame 1   client > server   FIN
        frame 2   server > client   RST,ACK

    How to fix:
        Nothing for single ones. For many from one address look for a scanner; for many to one, for a flood that
        somebody sends in its name.

    References:
        RFC 9293 section 3.10.7.1: what a closed port does with a segment.
        RFC 9293 section 3.5.2: when a reset is sent.
    """

    code: ClassVar[str] = "TS212"
    name: ClassVar[str] = "closed-without-connection"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.10.7.1"
    occasions: ClassVar[int] = NO_CONNECTION

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """Which of the two, by whom."""
        first = conn.first_frame
        for side in BOTH_SIDES:
            transfer = transfer_of(conn.side(side))
            if first in (transfer.fin_frame, transfer.trouble.rst_frame):
                what = "a FIN" if first == transfer.fin_frame else "a reset"
                text = (
                    f"{party(conn, side)} sent {what} (frame {first}) for a connection of which the capture shows "
                    "nothing before: it began earlier, or there is none"
                )
                yield self.finding(conn, side, opening(text), [first], time_ns=conn.first_time)


class ResentDataDiffers(FactRule):
    """The same bytes of the stream were sent twice with different contents.

    What it does:
        Compares data that is sent again with the first sending, by the sums that their TCP checksums contain. It is an
        error if neither of the two can have been damaged on the way: the receiver had taken the first one, or
        --verify-checksums found both right. Nothing is said where a checksum is not filled in, or where the capture
        lacks segments of the connection.

    Why it matters:
        Each byte of a connection has one sequence number and one value. Whoever sends a second value wants the receiver
        and a monitor to see different data, or races the server's answer with a forged one. Broken stacks and tunnels
        that reuse sequence numbers do it, too.

    Example:
        frame 5   server > client   seq 1, 43 bytes   (a redirect that somebody injected)
        frame 9   server > client   seq 1, 348 bytes  (the server's own answer)

    How to fix:
        Compare TTL, IP identification and options of the two segments: they tell whether both are of the same host. If
        not, look for the injector on the path, and use TLS.

    References:
        RFC 9293 section 3.4: every byte has a sequence number.
        RFC 9293 section 3.10.7.4: of bytes that come twice only the new ones are processed.
    """

    code: ClassVar[str] = "TS418"
    name: ClassVar[str] = "resent-data-differs"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.4"
    kinds: ClassVar[tuple[int, ...]] = (DATA_CHANGED,)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """What the capture lacks may have wrapped the numbers around."""
        return not conn.lossy

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which two sendings."""
        proved = [fact for fact in seen.facts if fact.b]
        fact = proved[0] if proved else seen.first
        text = (
            f"{party(conn, seen.side)} sent {plural(fact.a, 'byte')} in frame {fact.other} and other ones with the same "
            f"sequence numbers in frame {fact.frame}"
        )
        if seen.count > 1:
            text += f", and so {times(seen.count)} in all"
        text += (
            ": one of the two is forged, or a stack is broken"
            if proved
            else ", unless the first sending was damaged on the way"
        )
        return self.about(conn, seen, opening(text), severity=Severity.ERROR if proved else None)


class AckNumberWithoutFlag(FactRule):
    """A segment without the ACK flag has an acknowledgement number.

    What it does:
        Reports segments without ACK whose acknowledgement field is not zero.

    Why it matters:
        The field means nothing without the flag. Some stacks leave a number there in resets, which is harmless; in SYNs
        and data it is the mark of hand-made segments, and can carry hidden messages.

    Example:
        frame 9   client > server   RST, no ACK, acknowledgement field 3001

    How to fix:
        Nothing. With many of them from one host, see which program makes its own segments.

    References:
        RFC 9293 section 3.1: the acknowledgement number counts if the ACK flag is set.
    """

    code: ClassVar[str] = "TS419"
    name: ClassVar[str] = "ack-number-without-flag"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.1"
    kinds: ClassVar[tuple[int, ...]] = (ACK_FIELD_UNUSED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, with which flags."""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) with an "
            f"acknowledgement number but without the ACK flag, the first with {_flag_names(seen.first.b)}"
        )
        return self.about(conn, seen, opening(text))


class UrgentData(FactRule):
    """A side sent urgent data.

    What it does:
        Counts segments with the URG flag, with the place that the urgent pointer names.

    Why it matters:
        Stacks and middleboxes disagree on which byte is the urgent one and whether it stays in the stream, so receiver
        and monitor may see different data. Only old programs use it: Telnet, rlogin, FTP's ABOR.

    Example:
        frame 9   client > server   URG, urgent pointer 1, 1 byte

    How to fix:
        New programs should not use it. Firewalls can clear the flag.

    References:
        RFC 9293 section 3.8.5: urgent data; new programs should not use it.
        RFC 6093 section 3: what implementations make of the urgent pointer.
    """

    code: ClassVar[str] = "TS520"
    name: ClassVar[str] = "urgent-data"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.5"
    kinds: ClassVar[tuple[int, ...]] = (URGENT,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, and the first pointer."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} with urgent data "
            f"({frames(seen.frames, seen.count)}), the first with its urgent pointer at {fact.a} of "
            f"{plural(fact.b, 'byte')}: receivers differ in what they make of it"
        )
        return self.about(conn, seen, opening(text))


class MalformedTcpHeaders(Rule):
    """Packets announce TCP but hold no TCP header.

    What it does:
        Counts IP packets with protocol 6 that are shorter than a TCP header, or whose data offset is below 5 or leads
        beyond the packet. They belong to no connection.

    Why it matters:
        Receivers drop them. They come from broken hardware or drivers, from tools that test how stacks and monitors cope,
        and from captures whose bytes were changed afterwards.

    Example:
        frame 9   TCP, data offset 4

    How to fix:
        Look at the packet and at who sends such ones. If the capture was anonymised or cut by a tool, capture anew.

    References:
        RFC 9293 section 3.1: the header has 20 bytes at least, and the data offset says where it ends.
    """

    code: ClassVar[str] = "TS910"
    name: ClassVar[str] = "malformed-tcp-headers"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many."""
        if capture.bad_headers <= 0:
            return
        yield self.capture_finding(
            f"{plural(capture.bad_headers, 'packet')} (the first is frame {capture.first_bad_header}) "
            f"{'announces' if capture.bad_headers == 1 else 'announce'} TCP but "
            f"{'holds' if capture.bad_headers == 1 else 'hold'} no TCP header of a possible length",
            "ip.proto == 6 && (tcp.hdr_len < 20 || _ws.malformed)",
            frames=[capture.first_bad_header],
            count=capture.bad_headers,
        )
