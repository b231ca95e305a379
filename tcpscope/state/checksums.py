"""Wrong TCP checksums: left to a network card, or damage?

A host that captures its own traffic sees what it sends before the card completes the checksum: the field then holds the sum of
the pseudo header alone. The same shows on loopback and virtual networks, where nobody completes it, and on segments that were
merged on arrival. So a bounded sample is always looked at: the first segments, and then one of many. With ``verify`` all are,
and a segment whose checksum is wrong, whatever the reason, is not to be used, as a receiver would drop it.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.segment import CHECKSUM_BAD, CHECKSUM_GOOD, CHECKSUM_UNFILLED, CHECKSUM_UNKNOWN, Segment
from tcpscope.wire.tcp import is_unfilled, judge_checksum

FIRST: Final = 512
"""Segments at the beginning that are all looked at."""

STEP: Final = 1024
"""Of those behind, one of so many is."""

LONGEST: Final = 2048
"""Octets of a segment whose sum is worked out for the sample; of longer ones only the pseudo header's sum is looked for."""

SURE: Final = 3
"""So many wrong checksums of a host, none right, while those of others are right, are not damage."""

MAX_HOSTS: Final = 1024
KEPT: Final = 16


class HostSums:
    """Counts of the segments of one sender by their checksums.

    ``unfilled`` hold no sum of the segment, ``wrong`` another one. Of ``blind`` ones the capture lacks bytes, so that their sum is not
    known; ``blind_unfilled`` of these look as if they were unfilled, as one of 20,000 does by chance.
    """

    def __init__(self, address: bytes) -> None:
        self.address: bytes = address
        self.good: i64 = 0
        self.wrong: i64 = 0
        self.unfilled: i64 = 0
        self.blind: i64 = 0
        self.blind_unfilled: i64 = 0

    def left_to_card(self) -> i64:
        """Segments whose checksum was left to a network card."""
        return self.unfilled + (self.blind_unfilled if 4 * self.blind_unfilled > self.blind else 0)

    def judged(self) -> i64:
        """Segments whose checksum could be judged."""
        return self.good + self.wrong + self.left_to_card()

    def looked_at(self) -> i64:
        """All segments, whether their checksum could be judged or not."""
        return self.good + self.wrong + self.unfilled + self.blind

    def all_wrong(self) -> bool:
        """Whether each of its checksums is wrong, and there are enough of them to say so."""
        return self.wrong >= SURE and self.good == 0 and self.unfilled == 0


class Checksums:
    """The checksums of a capture, by sender. ``wrong_frames`` and ``unfilled_frames`` are the first few."""

    def __init__(self, verify: bool) -> None:
        self.verify: bool = verify
        self.next: i64 = 0  # number of the segment that is to be looked at next
        self.good: i64 = 0
        self.left_out: i64 = 0
        self.wrong_frames: list[int] = []
        self.unfilled_frames: list[int] = []
        self.hosts: dict[bytes, HostSums] = {}
        self.other_hosts: HostSums = HostSums(b"")  # those beyond MAX_HOSTS

    def usable(self, seg: Segment, number: i64) -> bool:
        """Look at a segment, the ``number``-th of the capture; False if it is to be left out.

        Sets its ``checksum`` to CHECKSUM_UNFILLED where it is wrong, or looks so, and yet to be used.
        """
        self.next = number + 1 if self.verify or number < FIRST else number + STEP
        host: HostSums = self._host(seg)
        frame: int = seg.frame
        found: i64 = seg.checksum
        if found == CHECKSUM_UNKNOWN and not self.verify and seg.header_length + seg.length <= LONGEST:
            found = judge_checksum(seg)
        if found == CHECKSUM_GOOD:
            host.good += 1
            self.good += 1
            return True
        unfilled: bool = is_unfilled(seg)
        if unfilled and len(self.unfilled_frames) < KEPT:
            self.unfilled_frames.append(frame)
        if found != CHECKSUM_BAD:
            host.blind += 1
            if unfilled:
                host.blind_unfilled += 1
                seg.checksum = CHECKSUM_UNFILLED
            return True
        if unfilled:
            host.unfilled += 1
        else:
            host.wrong += 1
            if len(self.wrong_frames) < KEPT:
                self.wrong_frames.append(frame)
        if self.verify:
            self.left_out += 1
            return False
        seg.checksum = CHECKSUM_UNFILLED
        return True

    def _host(self, seg: Segment) -> HostSums:
        """The sender of a segment."""
        address: bytes = seg.key[:4] if len(seg.key) == 12 else seg.key[:16]
        host: HostSums | None = self.hosts.get(address)
        if host is not None:
            return host
        if len(self.hosts) >= MAX_HOSTS:
            return self.other_hosts
        host = HostSums(address)
        self.hosts[address] = host
        return host
