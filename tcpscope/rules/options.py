"""TS51x, TCP options: RFC 9293 section 3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.absence import weigh
from tcpscope.rules.base import Context, FactRule, Finding, Seen, Severity
from tcpscope.rules.words import frames, opening, party, plural
from tcpscope.state.facts import (
    ABOVE_MSS,
    ECHO_OF_UNSENT,
    OPTION_LENGTH,
    OPTION_MISPLACED,
    OPTION_NOT_OFFERED,
    OPTION_REPEATED,
    SACK_INVALID,
    SCALE_TOO_LARGE,
    TIMESTAMP_BACK,
    TIMESTAMP_MISSING,
)
from tcpscope.wire.tcp import SACK, TIMESTAMPS, WINDOW_SCALE

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

OPTION_NAMES: Final = {WINDOW_SCALE: "window scale", TIMESTAMPS: "timestamps", SACK: "SACK blocks"}


def _unless_lossy(conn: Connection) -> Severity | None:
    """A warning where the capture lacks segments of the connection; else the rule's own severity."""
    return Severity.WARNING if conn.lossy else None


class OptionLengthInvalid(FactRule):
    """A TCP option has a length that it cannot have.

    What it does:
        Reports segments with an option whose length octet is below 2 or leads beyond the header, or is not the one of
        its kind: MSS 4, window scale 3, SACK permitted 2, SACK 2 to 34 by steps of 8, timestamps 10, MD5 18, Fast Open
        2 or an even 6 to 18.

    Why it matters:
        Receivers end the list there or drop the segment, each in its own way: options behind it are not seen. A broken
        middlebox rewrites options like this, and tools that look for parsing faults in a stack.

    Example:
        frame 9   client > server   option 8 (timestamps) with length 6

    How to fix:
        Capture on both sides of each device between the two and see which of them changes the options. Update it.

    References:
        RFC 9293 section 3.1: the length counts kind, length and data; illegal lengths must be handled.
        RFC 9293 section 3.2: lengths of the basic options.
        RFC 7323 section 3.2: the timestamps option.
    """

    code: ClassVar[str] = "TS510"
    name: ClassVar[str] = "option-length-invalid"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.1"
    kinds: ClassVar[tuple[int, ...]] = (OPTION_LENGTH,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many segments."""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) with a "
            "TCP option of an impossible length, behind which receivers see nothing or what they like"
        )
        return self.about(conn, seen, opening(text))


class OptionRepeated(FactRule):
    """A segment carries the same TCP option twice.

    What it does:
        Reports segments with two options of one kind: MSS, window scale, SACK permitted, SACK, timestamps or Fast Open.

    Why it matters:
        No RFC says which one counts, so the two ends and everything between them may disagree, on the window scale for
        example. Middleboxes that add an option without looking do this, and tools that want to pass by a firewall.

    Example:
        frame 1   client > server   SYN, MSS 1460, MSS 1300

    How to fix:
        Find the device that adds the second one (MSS clamping, for example) and let it rewrite the first instead.

    References:
        RFC 9293 section 3.2: the options and what each may occur in.
    """

    code: ClassVar[str] = "TS511"
    name: ClassVar[str] = "option-repeated"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.2"
    kinds: ClassVar[tuple[int, ...]] = (OPTION_REPEATED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many segments."""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) with "
            "the same TCP option twice; which of the two counts, no standard says"
        )
        return self.about(conn, seen, opening(text))


class OptionOutsideSyn(FactRule):
    """A segment without SYN carries an option that only a SYN may carry.

    What it does:
        Reports MSS, window scale, SACK permitted and Fast Open options on segments without the SYN flag.

    Why it matters:
        Receivers ignore them, so nothing breaks. It shows an unusual stack, often of an embedded device, or a middlebox
        that adds options to the wrong segments.

    Example:
        frame 3   client > server   ACK, MSS 1452

    How to fix:
        Nothing, if the connection works. Otherwise update the stack or the device that adds the option.

    References:
        RFC 9293 section 3.2: MSS must not be sent in other segments than SYNs.
        RFC 7323 section 2.2: window scale in a segment without SYN is ignored.
        RFC 2018 section 2: SACK permitted must not be sent on other segments.
    """

    code: ClassVar[str] = "TS512"
    name: ClassVar[str] = "option-outside-syn"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 9293 section 3.2"
    kinds: ClassVar[tuple[int, ...]] = (OPTION_MISPLACED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many segments."""
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} without SYN "
            f"({frames(seen.frames, seen.count)}) with an option that only a SYN may carry; receivers ignore it"
        )
        return self.about(conn, seen, opening(text))


class OptionNotOffered(FactRule):
    """A side uses an option that the other side's SYN did not offer.

    What it does:
        Reports window scale or timestamps in a SYN-ACK whose SYN had none, timestamps on a connection whose two SYNs did
        not both carry them, and SACK blocks to a side that did not permit them. Only where both SYNs were captured with
        all their options.

    Why it matters:
        The receiver ignores the option, but the sender counts on it: windows are then read wrongly, or loss is not
        repaired. Mostly a middlebox removed the option from the SYN in one direction only.

    Example:
        frame 1   client > server   SYN, MSS 1460
        frame 2   server > client   SYN,ACK, MSS 1460, window scale 7

    How to fix:
        Capture at the client and at the server and compare the options of the SYNs. Stop the device between them from
        rewriting options, or let it do so in both directions.

    References:
        RFC 7323 section 2.2: window scale in a SYN-ACK only if the SYN had it.
        RFC 7323 section 3.2: timestamps in a SYN-ACK only if the SYN had them.
        RFC 2018 section 4: SACK only after SACK permitted was received.
    """

    code: ClassVar[str] = "TS513"
    name: ClassVar[str] = "option-not-offered"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7323 section 3.2"
    kinds: ClassVar[tuple[int, ...]] = (OPTION_NOT_OFFERED,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which option, and the SYN without it."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} uses {OPTION_NAMES.get(fact.a, f'option {fact.a}')} "
            f"({frames(seen.frames, seen.count)}), which the SYN of frame {fact.other} did not offer"
        )
        return self.about(conn, seen, opening(text))


class WindowScaleTooLarge(FactRule):
    """A SYN offers a window scale above 14.

    What it does:
        Reports a window scale option with a shift above 14. The analysis reads it as 14, as a receiver must.

    Why it matters:
        With a larger shift the window would exceed half of the sequence space. A receiver that does not limit it reads
        the window wrongly; scanners send such values to tell stacks apart.

    Example:
        frame 1   client > server   SYN, window scale 15

    How to fix:
        Update the stack that sends it.

    References:
        RFC 7323 section 2.3: a shift above 14 is an error, and read as 14.
    """

    code: ClassVar[str] = "TS514"
    name: ClassVar[str] = "window-scale-too-large"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7323 section 2.3"
    kinds: ClassVar[tuple[int, ...]] = (SCALE_TOO_LARGE,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """The shift."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} offers a window scale of {fact.a} (frame {fact.frame}); 14 is the most there is"
        )
        return self.about(conn, seen, opening(text))


class TimestampWentBack(FactRule):
    """A side's timestamps went backwards.

    What it does:
        Reports a segment with a lower timestamp (TSval) than an earlier one of its side, if it was certainly sent later:
        it acknowledges more than all before it, or carries new data when nothing had been sent twice. Reordered
        segments do not count, and neither does one tick.

    Why it matters:
        A receiver takes a segment with an old timestamp for a duplicate of long ago and drops it (PAWS): the connection
        stalls without any loss. Two hosts or two processors with different clocks answer for one address, or a
        middlebox replaces timestamps; attackers do it to make a monitor take data that the receiver drops.

    Example:
        frame 20  client > server   ACK 5001, TSval 9000
        frame 22  client > server   ACK 7001, TSval 4000

    How to fix:
        See what stands behind the address: a load balancer whose members have clocks of their own, or a SYN proxy that
        hands connections over. Let it keep one timestamp clock a connection, or turn timestamps off.

    References:
        RFC 7323 section 5.2: timestamps do not decrease in time.
        RFC 7323 section 5.3: a segment with an older timestamp is not acceptable.
    """

    code: ClassVar[str] = "TS515"
    name: ClassVar[str] = "timestamp-went-back"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7323 section 5.3"
    kinds: ClassVar[tuple[int, ...]] = (TIMESTAMP_BACK,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """From where to where."""
        fact = seen.first
        text = (
            f"the timestamps of {party(conn, seen.side)} went back ({frames(seen.frames, seen.count)}), first from "
            f"{fact.b} to {fact.a}: the receiver takes such a segment for an old duplicate and drops it"
        )
        return self.about(conn, seen, opening(text), severity=_unless_lossy(conn))


class TimestampMissing(FactRule):
    """A segment lacks the timestamps that both sides agreed on.

    What it does:
        Reports segments without the timestamps option, except resets, on a connection whose two SYNs carried it. If none
        of them carries data it is a note.

    Why it matters:
        A receiver should drop such a segment in silence. Data then has to be sent again until the connection fails.
        Keep-alives of Apple's systems lack timestamps; they are answered nevertheless.

    Example:
        frame 1   client > server   SYN, TSval 100
        frame 2   server > client   SYN,ACK, TSval 900, TSecr 100
        frame 9   client > server   100 bytes of data, no timestamps

    How to fix:
        If data is concerned: capture at both ends and look for the device that takes the option away in the middle of
        the connection, and update it.

    References:
        RFC 7323 section 3.2: once agreed on, in every segment but a reset.
    """

    code: ClassVar[str] = "TS516"
    name: ClassVar[str] = "timestamp-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7323 section 3.2"
    kinds: ClassVar[tuple[int, ...]] = (TIMESTAMP_MISSING,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many, with how much data."""
        data = sum(fact.a for fact in seen.facts)
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) without "
            "the timestamps that both SYNs agreed on, "
        )
        text += f"with {plural(data, 'byte')} of data that the receiver should drop" if data else "none with data"
        return self.about(conn, seen, opening(text), severity=None if data else Severity.NOTE)


class TimestampEchoUnsent(FactRule):
    """A side echoed a timestamp that was never sent.

    What it does:
        Compares TSecr with what the other side sent. A SYN-ACK must echo the SYN, and it is a warning if it does not; a
        higher value than any sent so far is an error once the next segment of that side has a lower one, because
        timestamps never go back.

    Why it matters:
        The sender computes its round-trip time from the echo, so a wrong one spoils its retransmission time-out.
        Segments with invented echoes are forged, or pass a middlebox that replaces timestamps in one direction only.

    Example:
        frame 1   client > server   SYN, TSval 100
        frame 2   server > client   SYN,ACK, TSecr 77

    How to fix:
        Capture on both sides of the device between the two and compare TSval and TSecr; make it rewrite both or none.

    References:
        RFC 7323 section 3.2: TSecr echoes a timestamp that the other side sent.
        RFC 7323 section 4.3: which timestamp to echo.
    """

    code: ClassVar[str] = "TS517"
    name: ClassVar[str] = "timestamp-echo-unsent"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 7323 section 3.2"
    kinds: ClassVar[tuple[int, ...]] = (ECHO_OF_UNSENT,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """What was echoed, and what proves that it was never sent."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} echoed the timestamp {fact.a} (TSecr, {frames(seen.frames, seen.count)}), which "
            f"{party(conn, 1 - seen.side)} never sent: "
        )
        if fact.other:
            text += f"its next segment has {fact.b} (frame {fact.other})"
            return self.about(conn, seen, opening(text), severity=_unless_lossy(conn))
        text, severity = weigh(conn, f"{text}its SYN has {fact.b}", Severity.WARNING, "another SYN")
        return self.about(conn, seen, opening(text), severity=severity)


class SackBlockInvalid(FactRule):
    """A SACK block is empty, inverted, or below the acknowledgement.

    What it does:
        Reports SACK blocks whose right edge is not above the left one, and blocks behind the first one that the same
        segment acknowledges anyway. The first block may lie below the acknowledgement: it reports a duplicate.

    Why it matters:
        The sender cannot use such a block, and recovery from loss may stall. A middlebox that changes sequence numbers
        but not those in the option makes them, or a broken stack.

    Example:
        frame 10  client > server   ACK 5001, SACK 7001 to 6001

    How to fix:
        Turn off sequence number randomisation on the firewall between the two, or update the stack.

    References:
        RFC 2018 section 3: left edge and right edge of a block.
        RFC 2883 section 4: the first block may report a duplicate.
    """

    code: ClassVar[str] = "TS518"
    name: ClassVar[str] = "sack-block-invalid"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 2018 section 3"
    kinds: ClassVar[tuple[int, ...]] = (SACK_INVALID,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """Which block."""
        fact = seen.first
        text = (
            f"{party(conn, seen.side)} sent SACK blocks that report nothing ({frames(seen.frames, seen.count)}), the "
            f"first from {fact.a} to {fact.b}"
        )
        return self.about(conn, seen, opening(text))


class DataAboveMss(FactRule):
    """A segment is larger than the receiver's maximum segment size.

    What it does:
        Reports segments whose data and options exceed the MSS of the other side's SYN. What the capturing host's
        network card cuts or joins does not count (TS912): larger than an Ethernet frame, or with a wrong checksum.

    Why it matters:
        Behind a tunnel with a smaller MTU such segments are fragmented or lost: small answers pass and large ones hang.
        The sender ignores the limit, or a middlebox lowered it in the SYN and only one of the two ends was told.

    Example:
        frame 2   server > client   SYN,ACK, MSS 1380
        frame 9   client > server   1,448 bytes of data and 12 of options

    How to fix:
        Compare the MSS of the SYN at both ends. Clamp it where the small link begins, in both directions, and see that
        ICMP "too big" messages pass.

    References:
        RFC 9293 section 3.7.1: the effective send MSS, options included.
    """

    code: ClassVar[str] = "TS519"
    name: ClassVar[str] = "data-above-mss"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.7.1"
    kinds: ClassVar[tuple[int, ...]] = (ABOVE_MSS,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """The largest one and the limit."""
        fact = max(seen.facts, key=lambda one: one.a)
        text = (
            f"{party(conn, seen.side)} sent {plural(seen.count, 'segment')} ({frames(seen.frames, seen.count)}) of up "
            f"to {plural(fact.a, 'byte')} of data and options, although the MSS of {party(conn, 1 - seen.side)} "
            f"is {fact.b:,} (frame {fact.other})"
        )
        return self.about(conn, seen, opening(text))
