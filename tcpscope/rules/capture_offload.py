"""TS9xx, what network cards do to a capture: wrong checksums that are none, and segments that were never on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Context, Finding, Rule, Severity
from tcpscope.rules.words import frames, listed, opening, plural, was
from tcpscope.state.checksums import SURE
from tcpscope.wire.address import format_address

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.checksums import Checksums, HostSums

WRONG: Final = 'tcp.checksum.status == "Bad"'


def senders(sums: Checksums) -> list[HostSums]:
    """Everybody whose checksums were looked at."""
    return [*sums.hosts.values(), sums.other_hosts]


def shown_by_others(host: HostSums, sums: Checksums) -> bool:
    """All of this host's checksums are wrong and those of others are right: its network card fills them in."""
    return host.all_wrong() and sums.good > 0


def damaged(sums: Checksums) -> int:
    """Segments whose checksum is wrong in a way that offloading does not explain."""
    return sum(host.wrong for host in senders(sums) if not shown_by_others(host, sums))


def offloaded(host: HostSums, sums: Checksums) -> int:
    """Segments of a host whose checksum was left to its network card."""
    return host.left_to_card() + (host.wrong if shown_by_others(host, sums) else 0)


class BadChecksums(Rule):
    """Segments have wrong checksums.

    What it does:
        Counts segments whose TCP checksum is wrong and was not simply left to the network card (TS911): among the
        first 512 segments and one of 1,024 behind them, or with --verify-checksums among all. With the option they are
        left out of everything else, as a receiver would. If not a single checksum is right it is a note: the file was
        changed after the capture.

    Why it matters:
        A receiver drops such segments; they come again later, like lost ones. A few of any host are damage: bad memory
        or hardware on the path. Without a right one, somebody made the addresses anonymous and forgot the checksums.

    Example:
        frame 9   client > server   checksum 0x1234, 0xabcd would be right

    How to fix:
        Compare captures on both sides of each device on the path: which one lets wrong checksums out? Look at its
        memory and its interface counters.

    References:
        RFC 9293 section 3.1: the checksum.
    """

    code: ClassVar[str] = "TS906"
    name: ClassVar[str] = "bad-checksums"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many of those that were looked at, and what becomes of them."""
        sums = capture.checksums
        wrong = damaged(sums)
        if wrong <= 0:
            return
        judged = sum(host.judged() for host in senders(sums))
        where = frames(sums.wrong_frames, wrong)
        severity = None
        if sums.good == 0:
            severity = Severity.NOTE
            text = f"none of {plural(judged, 'TCP checksum')} is right ({where}): "
            changed = "the file was changed after the capture, as to make addresses anonymous"
            text += changed if wrong >= SURE else f"{changed}, or the few that were looked at are damaged"
            if sums.verify:
                severity = Severity.WARNING
                text += f"; --verify-checksums leaves {plural(wrong, 'segment')} out for that"
        elif sums.verify:
            text = (
                f"{plural(wrong, 'segment')} of {capture.segments:,} {'has' if wrong == 1 else 'have'} a wrong TCP "
                f"checksum ({where}) and {was(wrong)} left out, as their receiver would"
            )
        else:
            text = (
                f"{wrong:,} of {plural(judged, 'TCP checksum')} that {was(judged)} looked at {'is' if wrong == 1 else 'are'} "
                f"wrong ({where}), so the receiver drops the segment; --verify-checksums looks at all, and leaves out what "
                "is wrong"
            )
        yield self.capture_finding(opening(text), WRONG, frames=sums.wrong_frames, count=wrong, severity=severity)


class ChecksumOffload(Rule):
    """The checksums of a host were captured before its network card filled them in.

    What it does:
        Recognises checksum fields that hold only the sum of the pseudo header, or nothing, which is what an operating
        system leaves there for its network card; and hosts all of whose checksums are wrong while those of others are
        right. Looks at the first 512 segments and one of 1,024 behind them, or with --verify-checksums at all.

    Why it matters:
        Nothing is wrong with these segments. It shows where the capture was taken: on the sending host, or on a
        loopback or virtual network, where nobody fills them in. --verify-checksums leaves them out like all with a
        wrong checksum, and half of each connection seems to be missing then.

    Example:
        frame 9   client > server   checksum 0x9c4e: the sum of addresses, protocol and length

    How to fix:
        Nothing. Do not use --verify-checksums here, or turn offloading off during the capture (ethtool -K eth0 tx off).

    References:
        RFC 9293 section 3.1: the checksum and its pseudo header.
    """

    code: ClassVar[str] = "TS911"
    name: ClassVar[str] = "checksum-offload"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many, and of which hosts."""
        sums = capture.checksums
        found = sorted(
            ((offloaded(host, sums), host) for host in senders(sums)), key=lambda item: (-item[0], item[1].address)
        )
        count = sum(number for number, _ in found)
        if count <= 0:
            return
        judged = sum(host.judged() for host in senders(sums))
        most = [host for number, host in found if number and 2 * number >= host.judged()]
        names = [format_address(host.address) if host.address else "others" for host in most]
        text = (
            f"{count:,} of {plural(judged, 'TCP checksum')} that {was(judged)} looked at {'is' if count == 1 else 'are'} not "
            "filled in"
        )
        if names:
            text += f", {'that' if count == 1 else 'those'} of {listed(names)}: left to the network card, or to nobody on a virtual network"
        else:
            text += ": the segments were merged on arrival"
        strange = [format_address(host.address) for host in most if shown_by_others(host, sums)]
        if strange:
            text += f" ({listed(strange)}: each one is wrong, and those of others are right)"
        text += ". Nothing is damaged"
        if sums.verify:
            text += ", but --verify-checksums leaves them out: better not to use it here"
        evidence = sums.unfilled_frames or sums.wrong_frames
        yield self.capture_finding(text, WRONG, frames=evidence, count=count)


class SegmentationOffload(Rule):
    """Segments are larger than any that was on the wire.

    What it does:
        Counts segments that carry more than the MSS that their receiver announced in its SYN or, where that is not in
        the capture, more than an Ethernet frame of 1,500 bytes does. Segments put together from IP fragments do not
        count.

    Why it matters:
        The capture was taken above the network card, which splits what a host sends (TSO) and merges what it receives
        (LRO, or GRO in the system). Numbers of segments, retransmissions and duplicate ACKs, and round-trip times, are
        those that the system sees; on the wire there were more segments. Bytes, order and verdicts are right.

    Example:
        frame 2   server > client   SYN,ACK, MSS 1460
        frame 9   client > server   14,480 bytes of data

    How to fix:
        Nothing, unless single packets matter: then turn offloading off during the capture (ethtool -K eth0 tso off gso
        off gro off lro off), or capture at a mirror port. Without the SYNs it may also be a network with jumbo frames.

    References:
        RFC 9293 section 3.7.1: the maximum segment size option.
    """

    code: ClassVar[str] = "TS912"
    name: ClassVar[str] = "segmentation-offload"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.7.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many, how large, and what they were measured against."""
        large = capture.large
        if large.segments <= 0:
            return
        limit = "an Ethernet frame can" if large.unknown == large.segments else "the receiver's MSS"
        text = (
            f"{plural(large.segments, 'segment')} of {plural(large.connections, 'connection')} "
            f"{'carries' if large.segments == 1 else 'carry'} more than {limit}, up to {plural(large.largest, 'byte')} (the "
            f"first is {frames([large.frame])})"
        )
        if large.unknown:
            text += "; where the MSS is not in the capture, larger frames may be lawful there"
        text += (
            ": the network card or the system splits them after the capture, or merged them before it (TSO, GRO, LRO), so "
            "numbers of segments and retransmissions, and round-trip times, are those of the host and not of the wire"
        )
        yield self.capture_finding(text, f"tcp.len > {large.limit}", frames=[large.frame], count=large.segments)
