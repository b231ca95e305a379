"""TS9xx, IP fragments: those that contradict each other, and those that are not all there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Context, Finding, Rule, Severity
from tcpscope.rules.words import frames, plural, was

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts

FRAGMENTS: Final = "ip.flags.mf == 1 || ip.frag_offset > 0 || ipv6.fraghdr"


class FragmentsOverlap(Rule):
    """IP fragments overlap.

    What it does:
        Reports fragments that carry octets which another fragment of the same datagram carries, too; a mere repetition
        of a fragment does not count. Where the octets differ, or the lengths do, the datagram is left out of
        everything else.

    Why it matters:
        No sender makes such fragments by itself. What a host makes of them depends on its system: some take the first
        copy, some the last, IPv6 hosts must drop the datagram. So they show a filter or an intrusion detection another
        segment than the receiver gets: an old way past firewalls.

    Example:
        frame 9   10.0.0.1 > 10.0.0.2   octets 0 to 23: a TCP header with port 80
        frame 10  10.0.0.1 > 10.0.0.2   octets 8 to 31: another header with port 23

    How to fix:
        Find out who sends them (the source address may be forged), and drop overlapping fragments at the border. A
        broken tunnel or load balancer makes them by accident if two datagrams with the same identification mix.

    References:
        RFC 5722 section 4: IPv6 hosts drop datagrams with overlapping fragments.
        RFC 1858 section 4: the overlapping fragment attack.
        RFC 3128: a variant of the tiny fragment attack.
        RFC 8200 section 4.5: the same in the IPv6 standard.
        RFC 791 section 3.2: fragments put together.
    """

    code: ClassVar[str] = "TS914"
    name: ClassVar[str] = "fragments-overlap"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5722 section 4"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many, and how many datagrams nobody can know."""
        seen = capture.fragments
        if seen.overlaps <= 0:
            return
        text = (
            f"{plural(seen.overlaps, 'IP fragment')} {'overlaps' if seen.overlaps == 1 else 'overlap'} another one of "
            f"the same datagram (the first in {frames([seen.first_overlap])})"
        )
        if seen.conflicts:
            text += (
                f"; {plural(seen.conflicts, 'datagram')} whose fragments contradict each other {was(seen.conflicts)} "
                "left out, as it depends on the receiver what it takes: an old way past filters"
            )
        else:
            text += "; they agree in what they carry twice"
        yield self.capture_finding(text, FRAGMENTS, frames=[seen.first_overlap], count=seen.overlaps)


class FragmentsMissing(Rule):
    """Not all fragments of an IP datagram were captured.

    What it does:
        Counts datagrams that may carry TCP and of which fragments never came, within 30 seconds, and fragments that
        the snap length cut. A datagram whose first fragment shows that it holds no TCP does not count.

    Why it matters:
        The segments in them are missing in this report as if the capture had lost them.

    Example:
        frame 9   10.0.0.1 > 10.0.0.2   octets 0 to 1479, more fragments follow   (and none does)

    How to fix:
        Do not filter the capture by port: later fragments have none (add "or ip[6:2] & 0x1fff != 0"). Capture whole
        frames. If the fragments are lost in the network, avoid fragmentation: lower the MSS on the tunnel or path.

    References:
        RFC 791 section 3.2: fragments put together.
        RFC 8200 section 4.5: the same in IPv6.
    """

    code: ClassVar[str] = "TS915"
    name: ClassVar[str] = "fragments-missing"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 791 section 3.2"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many datagrams, and how many fragments that were cut."""
        seen = capture.fragments
        missing = seen.incomplete - seen.conflicts
        told = []
        if missing > 0:
            told.append(
                f"not all fragments of {plural(missing, 'IP datagram')} were captured (the first begins in "
                f"{frames([seen.first_incomplete()])})"
            )
        if seen.cut > 0:
            told.append(
                f"the snap length cut {plural(seen.cut, 'IP fragment')} (the first in {frames([seen.first_cut])})"
            )
        if not told:
            return
        text = " and ".join(told) + ": TCP segments in them are missing here"
        evidence = [seen.first_incomplete() if missing > 0 else 0, seen.first_cut]
        yield self.capture_finding(
            text[0].upper() + text[1:], FRAGMENTS, frames=evidence, count=max(missing, 0) + seen.cut
        )
