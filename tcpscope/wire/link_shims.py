"""Headers that an EtherType announces and that carry IP or a whole frame further in: MPLS, TRILL, NSH, MACsec."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import (
    ETHER,
    ETHERNET_IN,
    ETHERTYPE,
    IP,
    MACSEC,
    MPLS,
    MPLS_LABELS,
    NSH,
    TRILL,
    Cursor,
)
from tcpscope.wire.skips import (
    CUT_IP_HEADER,
    ENCRYPTED,
    NOT_IP,
    TOO_DEEP,
)
from tcpscope.wire.tcp import u16

MAX_LABELS: Final = 16


def decode_mpls(c: Cursor) -> i64:
    """A stack of labels (RFC 3032). Below its bottom the first half octet tells IPv4, IPv6 and a pseudowire."""
    data: bytes = c.data
    labels: i64 = 0
    while labels < MAX_LABELS:
        if c.o + 4 > c.end:
            return c.short(4)
        bottom: i64 = data[c.o + 2]
        c.o += 4
        labels += 1
        if bottom & 1:
            c.enter(MPLS_LABELS)
            if c.o >= c.end:
                return CUT_IP_HEADER
            version: i64 = data[c.o]
            version >>= 4
            if version == 4 or version == 6:
                return c.to(IP, version, c.o)
            return decode_pseudowire(c, version)
    return TOO_DEEP


def decode_pseudowire(c: Cursor, nibble: i64) -> i64:
    """Ethernet below MPLS, behind a control word (RFC 4448 section 4.6) or without. Nothing says so but how it looks."""
    # In this order: with a VLAN tag, the header looks like one behind a control word, too.
    if ethernet_at(c, c.o):
        return c.to_ethernet(ETHERNET_IN, 0)
    if nibble == 0 and ethernet_at(c, c.o + 4):
        return c.to_ethernet(ETHERNET_IN, 4)
    return NOT_IP


def ethernet_at(c: Cursor, o: i64) -> bool:
    """Whether an Ethernet header with IP in it, perhaps behind a VLAN tag, can begin at ``o``."""
    o += 12
    if o + 2 <= c.end and u16(c.data, o) == 0x8100:
        o += 4
    if o + 3 > c.end:
        return False
    ethertype: i64 = u16(c.data, o)
    first: i64 = c.data[o + 2]
    return (ethertype == 0x0800 and first >> 4 == 4) or (ethertype == 0x86DD and first >> 4 == 6)


def decode_trill(c: Cursor) -> i64:
    """TRILL (RFC 6325 section 3): two octets with the length of options in units of four, two names, Ethernet."""
    if c.o + 6 > c.end:
        return c.short(6)
    options: i64 = u16(c.data, c.o) >> 6 & 0x1F
    return c.to_ethernet(TRILL, 6 + (options << 2))


def decode_nsh(c: Cursor) -> i64:
    """Network service header (RFC 8300 section 2.2)."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 8 > c.end:
        return c.short(8)
    size: i64 = data[o + 1]
    size = (size & 0x3F) << 2
    kind: i64 = data[o + 3]
    if size < 8:
        return NOT_IP
    c.enter(NSH)
    return next_protocol(c, kind, o + size)


def next_protocol(c: Cursor, kind: i64, o: i64) -> i64:
    """What the next protocol field of NSH and of VXLAN-GPE announces."""
    if kind == 1:
        return c.to(IP, 4, o)
    if kind == 2:
        return c.to(IP, 6, o)
    if kind == 3:
        return c.to(ETHER, 0, o)
    if kind == 4:
        return c.to(ETHERTYPE, 0x894F, o)
    if kind == 5:
        return c.to(MPLS, 0, o)
    return NOT_IP


def decode_macsec(c: Cursor) -> i64:
    """MACsec (IEEE 802.1AE section 9.3), readable where it only authenticates."""
    o: i64 = c.o
    if o + 6 > c.end:
        return c.short(6)
    flags: i64 = c.data[o]
    if flags & 0x0C:  # encrypted, or changed otherwise
        return ENCRYPTED
    header: i64 = 14 if flags & 0x20 else 6  # with the sender's identifier
    if o + header + 2 > c.end:
        return c.short(header + 2)
    c.enter(MACSEC)
    return c.to(ETHERTYPE, u16(c.data, o + header), o + header + 2)
