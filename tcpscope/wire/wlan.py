"""IEEE 802.11: the headers that capturing adds (radiotap, Prism, AVS), data frames, and several packets in one of them.

Section numbers are of IEEE 802.11-2020.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import LLC, WLAN, Cursor
from tcpscope.wire.skips import DAMAGED_FRAME, ENCRYPTED, FRAGMENT, NOT_IP
from tcpscope.wire.tcp import u16, u32

# Flags of the second octet (section 9.2.4.1).
TO_DS: Final = 0x01
FROM_DS: Final = 0x02
MORE_FRAGMENTS: Final = 0x04
PROTECTED: Final = 0x40
ORDER: Final = 0x80

# c.kind of a WLAN layer: bit set of what the header before it told.
PADDED: Final = 1  # the header is padded to a multiple of four octets
SWAPPED: Final = 2  # the two octets of the frame control may be exchanged

RADIOTAP_TSFT: Final = 0x01
RADIOTAP_FLAGS: Final = 0x02
RADIOTAP_MORE: Final = 0x80000000
DATA_PAD: Final = 0x20
BAD_FCS: Final = 0x40

AVS_MAGIC: Final = 0x80211000


def u16_little(data: bytes, o: i64) -> i64:
    """Two octets, little-endian."""
    b0: i64 = data[o]
    b1: i64 = data[o + 1]
    return b1 << 8 | b0


def u32_little(data: bytes, o: i64) -> i64:
    """Four octets, little-endian."""
    return u16_little(data, o + 2) << 16 | u16_little(data, o)


def decode_radiotap(c: Cursor) -> i64:
    """Radiotap (radiotap.org): version 0, length, bits of the fields that follow; of these the flags matter here."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 8 > c.end:
        return c.short(8)
    size: i64 = u16_little(data, o + 2)
    if data[o] != 0 or size < 8:
        return NOT_IP
    if o + size > c.end:
        return c.short(size)
    present: i64 = u32_little(data, o + 4)
    at: i64 = o + 8
    more: i64 = present
    while more & RADIOTAP_MORE and at + 4 <= o + size:
        more = u32_little(data, at)
        at += 4
    kind: i64 = 0
    if present & RADIOTAP_FLAGS:
        if present & RADIOTAP_TSFT:  # eight octets, aligned as counted from the header's start
            at = o + ((at - o + 7) & ~7) + 8
        if at < o + size:
            flags: i64 = data[at]
            if flags & BAD_FCS:  # what was received is not what was sent
                return DAMAGED_FRAME
            if flags & DATA_PAD:
                kind = PADDED
    return c.to(WLAN, kind, o + size)


def decode_prism(c: Cursor) -> i64:
    """The Prism header: a message code, its length, then fields; or AVS in its place, as some drivers wrote."""
    if c.o + 8 > c.end:
        return c.short(8)
    if u32(c.data, c.o) & 0xFFFFF000 == AVS_MAGIC:
        return decode_avs(c)
    size: i64 = u32_little(c.data, c.o + 4)
    if size > 0xFFFF:  # in the byte order of the capturing machine
        size = u32(c.data, c.o + 4)
    return c.to(WLAN, 0, c.o + size) if 8 <= size <= 0xFFFF else NOT_IP


def decode_avs(c: Cursor) -> i64:
    """The AVS header: version and length."""
    if c.o + 8 > c.end:
        return c.short(8)
    size: i64 = u32(c.data, c.o + 4)
    return c.to(WLAN, 0, c.o + size) if 8 <= size <= 0xFFFF else NOT_IP


def decode_wlan(c: Cursor) -> i64:
    """A data frame down to LLC; with an A-MSDU, to that of its first subframe (sections 9.3.2.1 and 9.3.2.2)."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 24 > c.end:
        return c.short(24)
    control: i64 = data[o]
    flags: i64 = data[o + 1]
    if c.kind & SWAPPED and not is_data(control) and is_data(flags):
        control = data[o + 1]
        flags = data[o]
    if not is_data(control):
        return NOT_IP
    if flags & PROTECTED:
        return ENCRYPTED
    sequence: i64 = u16_little(data, o + 22)
    if flags & MORE_FRAGMENTS or sequence & 15:
        return FRAGMENT
    header: i64 = 24
    if flags & TO_DS and flags & FROM_DS:
        header += 6
    aggregate: bool = False
    if control & 0x80:  # quality of service
        if o + header + 2 > c.end:
            return c.short(header + 2)
        quality: i64 = data[o + header]
        aggregate = quality & 0x80 != 0
        header += 2
        if flags & ORDER:  # HT control
            header += 4
    if c.kind & PADDED:
        header = (header + 3) & ~3
    if not aggregate:
        return c.to(LLC, 0, o + header)
    c.subframe = o + header
    c.subframe_data = data
    c.subframe_end = c.end
    c.subframe_stop = c.stop
    c.subframe_limit = c.limit
    c.subframe_path = c.path
    c.subframe_layers = c.layers
    return next_subframe(c)


def is_data(control: i64) -> bool:
    """Whether the first octet of a frame control is that of a data frame that carries data."""
    return control & 0x0F == 0x08 and control & 0x40 == 0


def next_subframe(c: Cursor) -> i64:
    """Go on with the next subframe of the A-MSDU: two addresses, a length, LLC, padding to four octets."""
    data: bytes = c.subframe_data
    o: i64 = c.subframe
    c.data = data
    c.o = o
    c.end = c.subframe_end
    c.stop = c.subframe_stop
    c.limit = c.subframe_limit
    c.path = c.subframe_path
    c.layers = c.subframe_layers
    c.subframe = 0
    if o + 14 > c.end:
        return c.short(14)
    size: i64 = u16(data, o + 12)
    if size == 0:
        return NOT_IP
    following: i64 = o + ((14 + size + 3) & ~3)
    # A subframe header, LLC and the smallest packet of TCP: less is the frame check sequence
    if following + 62 <= c.end:
        c.subframe = following
    c.end_at(o + 14 + size)
    return c.to(LLC, 0, o + 14)
