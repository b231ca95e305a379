"""Sun snoop framing (RFC 1761): a 16-byte file header, then records with a 24-byte header each, all big-endian."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import ETHERNET, MAX_RECORD, Interface
from tcpscope.capture.octets import four, u32
from tcpscope.capture.salvage import BARE, MAX_WIRE, MORE, STRICT, Salvage

FILE_HEADER: Final = 16
RECORD_HEADER: Final = 24

MAGIC: Final = b"snoop\x00\x00\x00"

MAX_PADDING: Final = 4096
"""Octets between two packets that are still padding; RFC 1761 wants up to 3, but leaves it to the length of the record."""

UNKNOWN_LINK: Final = 0x10000
"""Added to the snoop datalink types that have no LINKTYPE_ number: those have 16 bits."""


def link_type_of(datalink: i64) -> i64:
    """The LINKTYPE_ number of a snoop datalink type (RFC 1761; those above 9 are from Solaris' dlpi.h)."""
    if datalink in (0, 4, 0x18, 0x19):  # IEEE 802.3, Ethernet, both, 100BASE-T
        return ETHERNET
    if datalink == 2:
        return 6  # token ring
    if datalink == 8:
        return 10  # FDDI
    if datalink in (9, 14):
        return 0  # other, loopback
    if datalink == 0x10:
        return 122  # IP over Fibre Channel
    if datalink == 0x12:
        return 123  # classical IP over ATM
    if datalink == 0x1A:
        return 242  # IP over InfiniBand
    if datalink == 0x80000005:
        return 226  # ipnet
    return UNKNOWN_LINK + datalink


class SnoopReader(Salvage):
    """Reads the records of a snoop file whose magic number has been recognised."""

    def __init__(self, salvage: bool) -> None:
        super().__init__(False)  # no record is worth looking for before the file header
        self.wanted: bool = salvage
        self.started: bool = False
        self.link_type: i64 = 0

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        if not self._ready():
            return False
        o: i64 = self.pos
        data: bytes = self.data
        wire: i64 = u32(data, o, True)
        captured: i64 = u32(data, o + 4, True)
        drops: i64 = u32(data, o + 12, True)
        if drops > self.dropped:  # a count since the start
            self.dropped = drops
        if captured < wire:
            self.truncated_frames += 1
        self.frames += 1
        self.pos = o + u32(data, o + 8, True)
        frame.data = data
        frame.start = o + RECORD_HEADER
        frame.end = o + RECORD_HEADER + captured
        frame.wire_length = wire
        frame.time_ns = u32(data, o + 16, True) * 1000000000 + u32(data, o + 20, True) * 1000
        frame.number = self.number_base + self.frames
        frame.link_type = self.link_type
        frame.interface = 0
        return True

    def measure(self, o: i64, care: i64) -> i64:
        """See :meth:`Salvage.measure`."""
        if o + RECORD_HEADER > self.limit:
            return MORE
        data: bytes = self.data
        wire: i64 = u32(data, o, True)
        captured: i64 = u32(data, o + 4, True)
        length: i64 = u32(data, o + 8, True)
        seconds: i64 = u32(data, o + 16, True)
        micros: i64 = u32(data, o + 20, True)
        if misfit(captured, length) != "":
            return 0
        if care == BARE:
            return length
        if wire > MAX_WIRE or not self.believable(seconds) or micros >= 10000000:
            return 0
        if care == STRICT and (captured == 0 or wire < captured or micros >= 1000000):
            return 0
        return length

    def clip(self, o: i64) -> bool:
        """See :meth:`Salvage.clip`."""
        length: i64 = o - self.pos
        if length <= RECORD_HEADER:
            return False
        captured: i64 = min(u32(self.data, self.pos + 4, True), length - RECORD_HEADER)
        at: i64 = self.pos + 4
        self.data = self.data[:at] + four(captured, True) + four(length, True) + self.data[at + 8 :]
        return True

    def _ready(self) -> bool:
        """Make the next record lie whole at ``pos``."""
        if self.ended or (not self.started and not self._start()):
            return False
        if self.salvage or self.searching:
            if not self.settle():
                return False
            if self.first_seconds < 0 and self.salvage:
                self.first_seconds = u32(self.data, self.pos + 16, True)
        if not self.refill(RECORD_HEADER):
            return self.starved("a record header", RECORD_HEADER)
        captured: i64 = u32(self.data, self.pos + 4, True)
        length: i64 = u32(self.data, self.pos + 8, True)
        wrong: str = misfit(captured, length)
        if wrong != "":
            offset: i64 = self.base + self.pos
            return self.fail(f"record at byte {offset} {wrong}", offset)
        if self.refill(length):
            return True
        return self.starved("a packet record", length)

    def _start(self) -> bool:
        """Take in the file header."""
        if not self.refill(FILE_HEADER):
            return self.starved("the file header", FILE_HEADER)
        version: i64 = u32(self.data, self.pos + 8, True)
        if version != 2:
            return self.fail(f"snoop version {version} is not known, only 2", 8)
        self.link_type = link_type_of(u32(self.data, self.pos + 12, True))
        self.interfaces.append(Interface(self.link_type, 0))
        self.pos += FILE_HEADER
        self.started = True
        self.salvage = self.wanted
        return True


def misfit(captured: i64, length: i64) -> str:
    """What is wrong with the two lengths of a record, or ""."""
    if captured > MAX_RECORD:
        return f"claims {captured} bytes"
    if not RECORD_HEADER + captured <= length <= RECORD_HEADER + captured + MAX_PADDING:
        return f"claims to be {length} bytes long with a packet of {captured}"
    return ""
