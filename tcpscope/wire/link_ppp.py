"""PPP on serial lines and over Ethernet, and Cisco's HDLC."""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.wire.cursor import (
    ETHERNET_IN,
    ETHERTYPE,
    IP,
    MPLS,
    MULTILINK,
    PPP,
    PPPOE,
    Cursor,
)
from tcpscope.wire.skips import (
    ENCRYPTED,
    FRAGMENT,
    NOT_IP,
)
from tcpscope.wire.tcp import u16


def decode_pppoe(c: Cursor) -> i64:
    """A PPPoE session header (RFC 2516). Its length counts: what follows it in the frame is padding."""
    o: i64 = c.o
    if o + 6 > c.end:
        return c.short(6)
    if u16(c.data, o) != 0x1100:
        return NOT_IP
    c.enter(PPPOE)
    c.end_at(o + 6 + u16(c.data, o + 4))
    return c.to(PPP, 0, o + 6)


def decode_ppp(c: Cursor) -> i64:
    """PPP (RFC 1661), with or without the address and control octets of HDLC framing (RFC 1662)."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 2 > c.end:
        return c.short(2)
    protocol: i64 = u16(data, o)
    if protocol == 0x0F00 or protocol == 0x8F00:
        return decode_cisco_hdlc(c)
    if protocol == 0xFF03:
        if o + 4 > c.end:
            return c.short(4)
        o += 2
        protocol = u16(data, o)
    if protocol & 0x100:  # compressed to one octet, which alone is odd
        protocol >>= 8
        o -= 1
    o += 2
    if protocol == 0x21:
        return c.to(IP, 4, o)
    if protocol == 0x57:
        return c.to(IP, 6, o)
    if protocol == 0x281 or protocol == 0x283:
        return c.to(MPLS, 0, o)
    if protocol == 0x3D:
        # Multilink (RFC 1990): only packets in one piece, which have the bits of a first and of a last one
        if o + 4 > c.end:
            return c.short(o + 4 - c.o)
        bits: i64 = data[o]
        c.enter(MULTILINK)
        return c.to(PPP, 0, o + 4) if bits & 0xC0 == 0xC0 else FRAGMENT
    if protocol == 0x31:  # bridged (RFC 3518 section 4.1): flags, the kind of network, an Ethernet frame
        if o + 2 > c.end:
            return c.short(o + 2 - c.o)
        c.o = o
        return c.to_ethernet(ETHERNET_IN, 2) if c.data[o + 1] == 1 else NOT_IP
    return ENCRYPTED if protocol == 0xFD or protocol == 0x53 else NOT_IP


def decode_cisco_hdlc(c: Cursor) -> i64:
    """Cisco HDLC: an address, a control octet and an EtherType (RFC 1547 section 4.3.1)."""
    if c.o + 4 > c.end:
        return c.short(4)
    return c.to(ETHERTYPE, u16(c.data, c.o + 2), c.o + 4)
