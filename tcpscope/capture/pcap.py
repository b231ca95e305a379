"""Classic pcap framing (draft-ietf-opsawg-pcap): a 24-byte file header, then records with a 16-byte header each."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be, read_i64_le
from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import MAX_RECORD, Interface, strip_fcs
from tcpscope.capture.octets import four, u16, u32
from tcpscope.capture.salvage import BARE, CHAIN, LOOSE, MAX_WIRE, MORE, STEP, STRICT, Salvage

FILE_HEADER: Final = 24
RECORD_HEADER: Final = 16
PATCHED_RECORD_HEADER: Final = 24
"""Record header of Kuznetzov's patched tcpdump: interface index, protocol and packet type follow the usual fields."""

SUSE_RECORD_HEADER: Final = 28
NOKIA_RECORD_HEADER: Final = 20
"""Of the tcpdump of SuSE 6.3, and of Nokia's firewalls; Red Hat 6.1 wrote the patched one under the usual magic number."""

MAGIC_MICROSECONDS: Final = 0xA1B2C3D4
MAGIC_NANOSECONDS: Final = 0xA1B23C4D
MAGIC_PATCHED: Final = 0xA1B2CD34


def is_pcap_magic(magic: i64) -> bool:
    """Whether a number is one of the magic numbers that :class:`PcapReader` reads."""
    return magic in (MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_PATCHED)


class PcapReader(Salvage):
    """Reads the records of a classic pcap file whose magic number has been recognised."""

    def __init__(self, salvage: bool) -> None:
        super().__init__(False)  # no record is worth looking for before the file header
        self.wanted: bool = salvage
        self.started: bool = False
        self.chosen: bool = False  # whether the length of the record header is known
        self.plain: bool = False  # whether a record may be taken as it stands
        self.big: bool = False
        self.fraction: i64 = 1000  # nanoseconds in a unit of the second half of a time stamp
        self.header: i64 = RECORD_HEADER
        self.old: bool = False  # before version 2.4 the two lengths may stand in the other order
        self.link_type: i64 = 0
        self.fcs_length: i64 = 0

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        if (not self.plain or self.pos + self.header > self.limit) and not self._ready():
            return False
        o: i64 = self.pos
        data: bytes = self.data
        seconds: i64
        fraction: i64
        captured: i64
        wire: i64
        if self.big:
            seconds = read_i64_be(data, o)
            captured = read_i64_be(data, o + 8)
            fraction = seconds & 0xFFFFFFFF
            seconds = seconds >> 32 & 0xFFFFFFFF
            wire = captured & 0xFFFFFFFF
            captured = captured >> 32 & 0xFFFFFFFF
        else:
            seconds = read_i64_le(data, o)
            captured = read_i64_le(data, o + 8)
            fraction = seconds >> 32 & 0xFFFFFFFF
            seconds &= 0xFFFFFFFF
            wire = captured >> 32 & 0xFFFFFFFF
            captured &= 0xFFFFFFFF
        if captured > wire and self.old:
            captured, wire = wire, captured
        end: i64 = o + self.header + captured
        if captured > MAX_RECORD or end > self.limit:
            if not self._fetch(captured):
                return False
            data = self.data
            o = self.pos
            end = o + self.header + captured
        if captured < wire:
            self.truncated_frames += 1
        self.frames += 1
        self.pos = end
        frame.data = data
        frame.start = o + self.header
        frame.end = end
        frame.wire_length = wire
        frame.time_ns = seconds * 1000000000 + fraction * self.fraction
        frame.number = self.number_base + self.frames
        frame.link_type = self.link_type
        frame.interface = 0
        if self.fcs_length > 0:
            strip_fcs(frame, self.fcs_length)
        return True

    def measure(self, o: i64, care: i64) -> i64:
        """See :meth:`Salvage.measure`."""
        if o + self.header > self.limit:
            return MORE
        data: bytes = self.data
        seconds: i64 = u32(data, o, self.big)
        fraction: i64 = u32(data, o + 4, self.big) * self.fraction
        captured: i64 = u32(data, o + 8, self.big)
        wire: i64 = u32(data, o + 12, self.big)
        if captured > wire and self.old:
            captured, wire = wire, captured
        if captured > MAX_RECORD:
            return 0
        if care == BARE:
            return self.header + captured
        if wire > MAX_WIRE or not self.believable(seconds) or fraction >= 10000000000:
            return 0
        if seconds == 0 and captured == 0 and wire == 0:  # a hole filled with zeros
            return 0
        if care == STRICT and (captured == 0 or wire < captured or fraction >= 1000000000):
            return 0
        return self.header + captured

    def clip(self, o: i64) -> bool:
        """See :meth:`Salvage.clip`."""
        captured: i64 = o - self.pos - self.header
        if captured <= 0:
            return False
        at: i64 = self.pos + 8
        if self.old and u32(self.data, at, self.big) > u32(self.data, at + 4, self.big):
            at += 4
        self.data = self.data[:at] + four(captured, self.big) + self.data[at + 4 :]
        return True

    def _ready(self) -> bool:
        """Make the next record header readable, after the file header."""
        if self.ended:
            return False
        if not self.started:
            if not self.refill(FILE_HEADER):
                return self.starved("the file header", FILE_HEADER)
            self._start()
        if not self.chosen and not self._choose():
            return False
        if self.salvage or self.searching:
            if not self.settle():
                return False
            if self.first_seconds < 0 and self.salvage:
                self.first_seconds = u32(self.data, self.pos, self.big)
            self.plain = not self.salvage
        if not self.refill(self.header):
            return self.starved("a record header", self.header)
        return True

    def _choose(self) -> bool:
        """Find out how long the record headers are: some writers added fields without changing the magic number.

        False: more input is needed to tell.
        """
        usual: i64 = self.header
        found: i64 = self._fits()
        if found == 0 and usual == PATCHED_RECORD_HEADER:
            self.header = SUSE_RECORD_HEADER
            found = self.follow(CHAIN, STRICT)
        elif found == 0 and self.fraction == 1000:
            self.header = PATCHED_RECORD_HEADER
            found = self.follow(CHAIN, STRICT)
            if found == 0:
                self.header = NOKIA_RECORD_HEADER
                found = self.follow(CHAIN, STRICT)
        if found != 1:
            self.header = usual
        self.chosen = found != MORE
        self.plain = self.chosen and not self.salvage
        return self.chosen

    def _fits(self) -> i64:
        """Whether the first two record headers are plausible as far as they are there: 1, 0, :data:`MORE`."""
        while True:
            size: i64 = self.measure(self.pos, LOOSE)
            if size > 0:
                size = self.measure(self.pos + size, LOOSE)
            if size >= 0 or not self.grow(STEP):
                break
        if size == MORE and not self.finished:
            return MORE
        return 0 if size == 0 else 1

    def _fetch(self, captured: i64) -> bool:
        """Make the whole record readable whose header says ``captured``."""
        if captured > MAX_RECORD:
            offset: i64 = self.base + self.pos
            return self.fail(f"record at byte {offset} claims {captured} bytes", offset)
        if not self.refill(self.header + captured):
            return self.starved("a packet record", self.header + captured)
        return True

    def _start(self) -> None:
        """Take in the file header."""
        data: bytes = self.data
        o: i64 = self.pos
        magic: i64 = u32(data, o, False)
        if not is_pcap_magic(magic):
            self.big = True
            magic = u32(data, o, True)
        if magic == MAGIC_NANOSECONDS:
            self.fraction = 1
        elif magic == MAGIC_PATCHED:
            self.header = PATCHED_RECORD_HEADER
        self.old = u16(data, o + 4, self.big) == 2 and u16(data, o + 6, self.big) < 4
        # The upper half tells how many 16-bit words of frame check sequence each frame ends with, if its bit 26 is set.
        word: i64 = u32(data, o + 20, self.big)
        self.link_type = word & 0xFFFF
        if word & 0x04000000:
            self.fcs_length = (word >> 28) * 2
        interface = Interface(self.link_type, u32(data, o + 16, self.big))
        interface.set_resolution(9 if self.fraction == 1 else 6)
        interface.fcs_length = self.fcs_length
        self.interfaces.append(interface)
        self.pos += FILE_HEADER
        self.started = True
        self.salvage = self.wanted
