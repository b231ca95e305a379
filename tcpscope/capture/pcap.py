"""Classic pcap framing (draft-ietf-opsawg-pcap): a 24-byte file header, then records with a 16-byte header each."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import MAX_RECORD, Framing, Interface
from tcpscope.capture.octets import u16, u32

FILE_HEADER: Final = 24
RECORD_HEADER: Final = 16
PATCHED_RECORD_HEADER: Final = 24
"""Record header of Kuznetzov's patched tcpdump: interface index, protocol and packet type follow the usual fields."""

MAGIC_MICROSECONDS: Final = 0xA1B2C3D4
MAGIC_NANOSECONDS: Final = 0xA1B23C4D
MAGIC_PATCHED: Final = 0xA1B2CD34


def is_pcap_magic(magic: i64) -> bool:
    """Whether a number is one of the magic numbers that :class:`PcapReader` reads."""
    return magic in (MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_PATCHED)


class PcapReader(Framing):
    """Reads the records of a classic pcap file whose magic number has been recognised."""

    def __init__(self) -> None:
        super().__init__()
        self.started: bool = False
        self.big: bool = False
        self.fraction: i64 = 1000  # nanoseconds in a unit of the second half of a time stamp
        self.header: i64 = RECORD_HEADER
        self.old: bool = False  # before version 2.4 the two lengths may stand in the other order
        self.link_type: i64 = 0

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        if (not self.started or self.pos + self.header > self.limit) and not self._ready():
            return False
        o: i64 = self.pos
        data: bytes = self.data
        big: bool = self.big
        seconds: i64 = u32(data, o, big)
        fraction: i64 = u32(data, o + 4, big)
        captured: i64 = u32(data, o + 8, big)
        wire: i64 = u32(data, o + 12, big)
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
        frame.number = self.frames
        frame.link_type = self.link_type
        frame.interface = 0
        return True

    def _ready(self) -> bool:
        """Make the next record header readable, after the file header."""
        if self.ended:
            return False
        if not self.started:
            if not self.refill(FILE_HEADER):
                return self.starved("the file header", FILE_HEADER)
            self._start()
        if not self.refill(self.header):
            return self.starved("a record header", self.header)
        return True

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
        # The upper half holds the length of the frame check sequence and reserved bits.
        self.link_type = u32(data, o + 20, self.big) & 0xFFFF
        interface = Interface(self.link_type, u32(data, o + 16, self.big))
        interface.set_resolution(9 if self.fraction == 1 else 6)
        self.interfaces.append(interface)
        self.pos += FILE_HEADER
        self.started = True
