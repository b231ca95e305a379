"""pcapng framing (draft-ietf-opsawg-pcapng): a chain of blocks, each with its type, length, body and length again."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import MAX_RECORD, NO_PACKET, Interface, strip_fcs
from tcpscope.capture.octets import u16, u32
from tcpscope.capture.salvage import MORE, SEARCH, Salvage

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6
DECRYPTION_SECRETS: Final = 10

# Blocks without a packet that Wireshark nevertheless numbers as frames: systemd journal entries and custom blocks.
JOURNAL_ENTRY: Final = 9
CUSTOM: Final = 0xBAD
CUSTOM_NO_COPY: Final = 0x40000BAD

BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

MAX_BLOCK: Final = 16777216
"""Length of a block that is read as a whole; Wireshark draws the same line. Blocks of no interest may be longer."""

MAX_INTERFACES: Final = 65536

MAX_SECRETS: Final = 1048576
"""Bytes of TLS key logs that are kept of a file; a longer block is stepped over."""

TLS_KEY_LOG: Final = 0x544C534B

OPTION_END: Final = 0
COMMENT: Final = 1
IF_NAME: Final = 2
IF_TSRESOL: Final = 9
IF_FCSLEN: Final = 13
IF_TSOFFSET: Final = 14
ISB_IFDROP: Final = 5
ISB_OSDROP: Final = 7
EPB_FLAGS: Final = 2
EPB_DROPCOUNT: Final = 4

MAX_COUNT: Final = 0xFFFFFFFF
"""Where a hostile count of lost packets is clamped."""


class PcapngReader(Salvage):
    """Reads the packet blocks of a pcapng file; interfaces are numbered over all sections."""

    def __init__(self, salvage: bool) -> None:
        super().__init__(salvage)
        self.big: bool = False
        self.section: i64 = -1  # index of the first interface of this section; -1 before the first section
        self.time_ns: i64 = 0  # time of the latest packet that has one
        self.secrets_size: i64 = 0
        self.kind: i64 = 0  # of the block at ``pos``
        self.skipping: i64 = 0  # length of the uninteresting block that is being stepped over
        self.skip_kind: i64 = 0
        self.skip_left: i64 = 0  # bytes of it before its closing length
        self.skip_start: i64 = 0  # its file offset

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        while True:
            length: i64 = 0 if self.searching else self._block()
            if length == 0:
                if not self.resume():
                    return False
                continue
            if length < 0:
                self._fill(frame, 0, NO_PACKET, 0, 0)
                return True
            kind: i64 = self.kind
            if kind == ENHANCED_PACKET or kind == OLD_PACKET:
                if self._packet(frame, kind, length):
                    return True
            elif kind == SIMPLE_PACKET:
                if self._simple_packet(frame, length):
                    return True
            elif self._information(kind, length):
                self.pos += length
            if self.ended:
                return False

    def measure(self, o: i64, care: i64) -> i64:
        """See :meth:`Salvage.measure`: a block that begins with a type and ends with its length."""
        if o + 12 > self.limit:
            return MORE
        kind: i64 = u32(self.data, o, self.big)
        if not is_of_interest(kind) and not is_known(kind):
            return 0
        length: i64 = u32(self.data, o + 4, self.big)
        if length < 12 or length & 3 or length > SEARCH:
            return 0
        if o + length > self.limit:
            return MORE if self.queue_size > 0 or not self.finished else length
        return length if u32(self.data, o + length - 4, self.big) == length else 0

    def _block(self) -> i64:
        """Length of the next block of interest, which then lies whole at ``pos``; 0 if there is none (yet).

        -1 if a block was stepped over that has no packet, but counts as a frame.
        """
        while not self.ended:
            if self.skipping > 0:
                if not self._skip():
                    return 0
                if self.skip_kind in (JOURNAL_ENTRY, CUSTOM, CUSTOM_NO_COPY):
                    return -1
            if self.pos + 12 > self.limit and not self.refill(12):
                self.starved("a block", 12)
                return 0
            kind: i64 = u32(self.data, self.pos, self.big)
            if kind == SECTION_HEADER:
                magic: i64 = u32(self.data, self.pos + 8, False)
                self.big = magic != BYTE_ORDER_MAGIC
                if self.big and u32(self.data, self.pos + 8, True) != BYTE_ORDER_MAGIC:
                    self._broken("is a section header without a byte-order magic")
                    return 0
            length: i64 = u32(self.data, self.pos + 4, self.big)
            if length < 12 or length & 3:
                self._broken(f"claims a length of {length}, which no block can have")
                return 0
            wanted: bool = kind == ENHANCED_PACKET
            if not wanted:
                wanted = is_of_interest(kind) and (kind != DECRYPTION_SECRETS or length <= MAX_SECRETS)
            if wanted or self.salvage:
                if length > MAX_BLOCK:
                    self._broken(f"claims {length} bytes")
                    return 0
                if self.pos + length > self.limit and not self.refill(length):
                    self.starved("a block", length)
                    return 0
                if u32(self.data, self.pos + length - 4, self.big) != length:
                    self._broken(f"does not end with its length of {length}")
                    return 0
                if wanted:
                    self.kind = kind
                    return length
            self.skipping = length
            self.skip_kind = kind
            self.skip_left = length - 4
            self.skip_start = self.base + self.pos
        return 0

    def _skip(self) -> bool:
        """Step over a block without keeping its bytes; False if there is more of it to come, or it is damaged."""
        self.skip_left = self.drop(self.skip_left)
        start: i64 = self.skip_start
        length: i64 = self.skipping
        if self.skip_left > 0 or not self.refill(4):
            if self.finished:
                have: i64 = self.base + self.limit + self.queue_size - start
                self.fail(f"cut inside a block at byte {start} ({have} of {length} bytes present)", start)
            return False
        if u32(self.data, self.pos, self.big) != length:
            return self.fail(f"block at byte {start} does not end with its length of {length}", start)
        self.pos += 4
        self.skipping = 0
        return True

    def _packet(self, frame: Frame, kind: i64, length: i64) -> bool:
        """An Enhanced Packet Block, or its forerunner with a shorter interface number and a drop count beside it."""
        data: bytes = self.data
        o: i64 = self.pos
        big: bool = self.big
        if length < 32:
            return self._broken(f"is a packet block of only {length} bytes")
        index: i64 = u32(data, o + 8, big) if kind == ENHANCED_PACKET else u16(data, o + 8, big)
        captured: i64 = u32(data, o + 20, big)
        if captured > MAX_RECORD or captured > length - 32:
            return self._broken(f"claims a packet of {captured} bytes")
        index += self.section
        if self.section < 0 or index >= len(self.interfaces):
            return self._broken(f"names the interface {index - self.section}, which its section does not describe")
        interface: Interface = self.interfaces[index]
        self.time_ns = interface.nanoseconds(u32(data, o + 12, big), u32(data, o + 16, big))
        self._fill(frame, index, interface.link_type, captured, u32(data, o + 24, big))
        frame.start = o + 28
        frame.end = o + 28 + captured
        fcs: i64 = interface.fcs_length
        if kind == OLD_PACKET or captured + 35 < length:
            fcs = self._packet_options(interface, kind, o + 28 + ((captured + 3) & ~3), o + length - 4)
        if fcs > 0:
            strip_fcs(frame, fcs)
        self.pos = o + length
        return True

    def _simple_packet(self, frame: Frame, length: i64) -> bool:
        """A Simple Packet Block: the section's first interface, no time, the captured length only implied."""
        if length < 16:
            return self._broken(f"is a packet block of only {length} bytes")
        if self.section < 0 or self.section >= len(self.interfaces):
            return self._broken("needs an interface, and its section does not describe one")
        interface: Interface = self.interfaces[self.section]
        wire: i64 = u32(self.data, self.pos + 8, self.big)
        captured: i64 = min(wire, length - 16)
        if 0 < interface.snaplen < captured:
            captured = interface.snaplen
        if captured > MAX_RECORD:
            return self._broken(f"claims a packet of {captured} bytes")
        self.untimed += 1
        self._fill(frame, self.section, interface.link_type, captured, wire)
        frame.start = self.pos + 12
        frame.end = self.pos + 12 + captured
        if interface.fcs_length > 0:
            strip_fcs(frame, interface.fcs_length)
        self.pos += length
        return True

    def _fill(self, frame: Frame, interface: i64, link_type: i64, captured: i64, wire: i64) -> None:
        """Set everything in ``frame`` but where its bytes are."""
        if captured < wire:
            self.truncated_frames += 1
        self.frames += 1
        frame.data = self.data
        frame.start = 0
        frame.end = 0
        frame.wire_length = wire
        frame.time_ns = self.time_ns
        frame.number = self.number_base + self.frames
        frame.link_type = link_type
        frame.interface = interface

    def _information(self, kind: i64, length: i64) -> bool:
        """A block without a packet. False: it is damaged."""
        if kind == INTERFACE_DESCRIPTION:
            return self._interface(length)
        if kind == INTERFACE_STATISTICS:
            return self._statistics(length)
        if kind == DECRYPTION_SECRETS:
            self._secrets(length)
            return True
        self.section = len(self.interfaces)
        if length < 28 or u16(self.data, self.pos + 12, self.big) != 1:
            return self._broken("is a section header of no known version")
        self._count_comments(self.pos + 24, self.pos + length - 4)
        return True

    def _secrets(self, length: i64) -> None:
        """A Decryption Secrets Block: TLS key logs are kept, as long as they are not too many. No packet depends on it."""
        if length < 20 or u32(self.data, self.pos + 8, self.big) != TLS_KEY_LOG:
            return
        size: i64 = u32(self.data, self.pos + 12, self.big)
        if size <= length - 20 and self.secrets_size + size <= MAX_SECRETS:
            self.secrets_size += size
            self.secrets.append(self.data[self.pos + 16 : self.pos + 16 + size])

    def _count_comments(self, start: i64, end: i64) -> None:
        """Add the comments among the options in ``data[start:end]``."""
        at: i64 = find_option(self.data, start, end, self.big, COMMENT)
        while at > 0:
            self.comments += 1
            at = find_option(self.data, at + ((u16(self.data, at - 2, self.big) + 3) & ~3), end, self.big, COMMENT)

    def _interface(self, length: i64) -> bool:
        """An Interface Description Block."""
        if self.section < 0:
            return self._broken("comes before the first section header")
        if length < 20:
            return self._broken(f"is an interface description of only {length} bytes")
        if len(self.interfaces) >= MAX_INTERFACES:
            return self._broken(f"is one interface description more than {MAX_INTERFACES}")
        data: bytes = self.data
        big: bool = self.big
        start: i64 = self.pos + 16
        end: i64 = self.pos + length - 4
        interface = Interface(u16(data, start - 8, big), u32(data, start - 4, big))
        at: i64 = find_option(data, start, end, big, IF_NAME)
        if at > 0:
            interface.name = data[at : at + u16(data, at - 2, big)].decode("utf-8", "replace").rstrip("\0")
        at = find_option(data, start, end, big, IF_TSRESOL)
        if at > 0 and u16(data, at - 2, big) == 1:
            interface.set_resolution(data[at])
        at = find_option(data, start, end, big, IF_TSOFFSET)
        if at > 0 and u16(data, at - 2, big) == 8:
            interface.set_offset(u32(data, at if big else at + 4, big), u32(data, at + 4 if big else at, big))
        at = find_option(data, start, end, big, IF_FCSLEN)
        if at > 0 and u16(data, at - 2, big) == 1:
            bits: i64 = data[at]
            interface.fcs_length = bits >> 3 if bits >= 8 else bits  # some writers take it for octets
        self._count_comments(start, end)
        self.interfaces.append(interface)
        return True

    def _statistics(self, length: i64) -> bool:
        """An Interface Statistics Block: its counts run from the start, so the latest of an interface is its sum."""
        if length < 24:
            return self._broken(f"is an interface statistics block of only {length} bytes")
        data: bytes = self.data
        big: bool = self.big
        index: i64 = u32(data, self.pos + 8, big) + self.section
        if self.section < 0 or index >= len(self.interfaces):
            return self._broken(f"names the interface {index - self.section}, which its section does not describe")
        start: i64 = self.pos + 20
        end: i64 = self.pos + length - 4
        self._count_comments(start, end)
        by_interface: i64 = count_option(data, start, end, big, ISB_IFDROP)
        by_system: i64 = count_option(data, start, end, big, ISB_OSDROP)
        if by_interface >= 0 or by_system >= 0:
            interface: Interface = self.interfaces[index]
            self._count_dropped(interface, max(by_interface, 0) + max(by_system, 0), interface.dropped_before)
        return True

    def _packet_options(self, interface: Interface, kind: i64, start: i64, end: i64) -> i64:
        """What a packet block says besides its packet, with options in ``data[start:end]``: comments, and how many packets
        the capturing side lost right before. Returns the octets of frame check sequence.
        """
        data: bytes = self.data
        big: bool = self.big
        fcs: i64 = interface.fcs_length
        drops: i64 = -1
        if kind == OLD_PACKET:
            drops = u16(data, self.pos + 10, big)
            if drops == 0xFFFF:  # not known
                drops = -1
        o: i64 = start
        while o + 4 <= end:
            code: i64 = u16(data, o, big)
            size: i64 = u16(data, o + 2, big)
            o += 4
            if code == OPTION_END or o + size > end:
                break
            if code == COMMENT:
                self.comments += 1
            elif code == EPB_FLAGS and size == 4:
                told: i64 = (u32(data, o, big) >> 5) & 15
                if told > 0:
                    fcs = told
            elif code == EPB_DROPCOUNT and size == 8 and kind == ENHANCED_PACKET and drops < 0:
                drops = count_at(data, o, big)
            o += (size + 3) & ~3
        if drops >= 0:
            before: i64 = min(max(interface.dropped_before, 0) + drops, MAX_COUNT)
            self._count_dropped(interface, interface.dropped_in_all, before)
        return fcs

    def _count_dropped(self, interface: Interface, in_all: i64, before: i64) -> None:
        """Take over new counts of an interface; where it has both, the larger one is what was lost."""
        known: i64 = max(interface.dropped_in_all, interface.dropped_before, 0)
        interface.dropped_in_all = in_all
        interface.dropped_before = before
        self.dropped = max(self.dropped, 0) + max(in_all, before, 0) - known

    def _broken(self, what: str) -> bool:
        """Note that the block at ``pos`` is damaged, and return False for ``advance``."""
        offset: i64 = self.base + self.pos
        return self.fail(f"block at byte {offset} {what}", offset)


def is_of_interest(kind: i64) -> bool:
    """Whether a block type is one that :class:`PcapngReader` reads."""
    return kind in (
        ENHANCED_PACKET, SIMPLE_PACKET, OLD_PACKET, SECTION_HEADER, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS,
        DECRYPTION_SECRETS,
    )  # fmt: skip


def is_known(kind: i64) -> bool:
    """Whether a block type is one that occurs, though :class:`PcapngReader` steps over it."""
    return kind in (NAME_RESOLUTION, JOURNAL_ENTRY, CUSTOM, CUSTOM_NO_COPY)


def find_option(data: bytes, start: i64, end: i64, big: bool, wanted: i64) -> i64:
    """Offset of the value of the first option ``wanted`` in ``data[start:end]``, or -1; its length stands before it."""
    o: i64 = start
    while o + 4 <= end:
        code: i64 = u16(data, o, big)
        size: i64 = u16(data, o + 2, big)
        o += 4
        if code == OPTION_END or o + size > end:
            break
        if code == wanted:
            return o
        o += (size + 3) & ~3
    return -1


def count_option(data: bytes, start: i64, end: i64, big: bool, wanted: i64) -> i64:
    """Value of a 64-bit counter among the options, at most :data:`MAX_COUNT`; -1 if it is not there."""
    at: i64 = find_option(data, start, end, big, wanted)
    return count_at(data, at, big) if at >= 0 and u16(data, at - 2, big) == 8 else -1


def count_at(data: bytes, at: i64, big: bool) -> i64:
    """A 64-bit counter, at most :data:`MAX_COUNT`."""
    if u32(data, at if big else at + 4, big) > 0:
        return MAX_COUNT
    return u32(data, at + 4 if big else at, big)
