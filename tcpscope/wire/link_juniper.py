"""Captures of Juniper routers: a header that JUNOS adds, then the frame of one of many kinds of interface.

The link types and the layout are as tcpdump and Wireshark know them; there is no public specification. Interfaces whose
frames begin with a "cookie" that only the router's cards understand are decoded where the cookie says what follows.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import ETHER, IP, LINK, LLC, MPLS, PPP, Cursor
from tcpscope.wire.skips import NOT_IP
from tcpscope.wire.tcp import u16, u32
from tcpscope.wire.wlan import u16_little, u32_little

# LINKTYPE_JUNIPER_… numbers.
MLPPP: Final = 130
GGSN: Final = 133
ATM2: Final = 135
SERVICES: Final = 136
ATM1: Final = 137
PPPOE: Final = 167
PPPOE_ATM: Final = 168
ETHER_LINK: Final = 178
PPP_LINK: Final = 179
FRELAY: Final = 180
CHDLC: Final = 181
VOICE: Final = 183

MAGIC: Final = 0x4D4743
INCOMING: Final = 0x01
NO_LINK_HEADER: Final = 0x02
EXTENSIONS: Final = 0x80

PLAIN_FRELAY: Final = 107
PLAIN_CHDLC: Final = 104


def is_juniper(kind: i64) -> bool:
    """Whether a link type is one of Juniper's that is decoded here."""
    return (MLPPP <= kind <= ATM1 and kind not in (131, 132, 134)) or kind in (
        PPPOE,
        PPPOE_ATM,
        ETHER_LINK,
        PPP_LINK,
        FRELAY,
        CHDLC,
        VOICE,
    )


def decode_juniper(c: Cursor) -> i64:
    """The header of JUNOS: magic number, flags, perhaps extensions; then the frame, or a protocol without one."""
    o: i64 = c.o
    if o + 6 > c.end:
        return c.short(6)
    flags: i64 = 0
    if u32(c.data, o) >> 8 == MAGIC:  # older releases have no header at all
        flags = c.data[o + 3]
        o += 4
        if flags & EXTENSIONS:
            o += 2 + u16(c.data, o)
    if o + 4 > c.end:
        return c.short(o + 4 - c.o)
    if flags & NO_LINK_HEADER:
        return juniper_payload(c, u32_little(c.data, o), o + 4)
    kind: i64 = c.kind
    if kind == ETHER_LINK or kind == PPPOE:
        return c.to(ETHER, 0, o)
    if kind == PPP_LINK:
        return c.to(PPP, 0, o + 2)
    if kind == FRELAY:
        return c.to(LINK, PLAIN_FRELAY, o)
    if kind == CHDLC:
        return c.to(LINK, PLAIN_CHDLC, o)
    if kind == VOICE:
        return c.to(IP, 0, o + 18)
    if kind == SERVICES:
        return c.to(IP, 0, o + 16 if flags & INCOMING else o + 12)
    if kind == GGSN:
        return juniper_payload(c, u16_little(c.data, o), o + 4)
    if kind == MLPPP:
        return juniper_mlppp(c, o)
    return juniper_atm(c, o + 8 if kind == ATM2 else o + 4)


def juniper_payload(c: Cursor, protocol: i64, o: i64) -> i64:
    """What one of JUNOS's own protocol numbers announces; MPLS labels are mostly stripped already."""
    if protocol in (2, 3):
        return c.to(IP, 4, o)
    if protocol in (6, 7):
        return c.to(IP, 6, o)
    if protocol in (4, 5, 8, 32):
        return c.to(MPLS, 0, o)
    if protocol == 200:
        return c.to(PPP, 0, o)
    if protocol in (202, 203):
        return c.to(LLC, 0, o)
    if protocol == 204:
        return c.to(ETHER, 0, o)
    if protocol == 207:
        return c.to(LINK, PLAIN_FRELAY, o)
    return c.to(LINK, PLAIN_CHDLC, o) if protocol == 208 else NOT_IP


def juniper_mlppp(c: Cursor, o: i64) -> i64:
    """Multilink PPP: behind a cookie of 4 or 2 octets, or none, stands the protocol field of PPP."""
    if o + 8 > c.end:
        return c.short(o + 8 - c.o)
    first: i64 = c.data[o]
    if first == 0x54:
        return c.to(PPP, 0, o + 4)
    if ppp_protocol(u16(c.data, o)):
        return c.to(PPP, 0, o)
    return c.to(PPP, 0, o + 2) if ppp_protocol(u16(c.data, o + 2)) else NOT_IP


def ppp_protocol(word: i64) -> bool:
    """Whether two octets are a protocol that PPP carries IP in, or HDLC's framing before it."""
    return word in (0x0021, 0x0057, 0x0281, 0x0283, 0xFF03)


def juniper_atm(c: Cursor, o: i64) -> i64:
    """ATM behind the cookie: LLC, PPP or bare IP, told apart by how it begins."""
    if o + 4 > c.end:
        return c.short(o + 4 - c.o)
    word: i64 = u32(c.data, o)
    if word >> 8 in (0xAAAA03, 0xFEFE03):
        return c.to(LLC, 0, o)
    if ppp_protocol(word >> 16):
        return c.to(PPP, 0, o)
    first: i64 = word >> 24
    if 0x45 <= first <= 0x4F or first >> 4 == 6:
        return c.to(IP, 0, o)
    return NOT_IP
