"""Tunnels that have an IP protocol number of their own: GRE with what it carries, EtherIP, L2TP version 3, MPLS.

Each function takes one header off; see :mod:`tcpscope.wire.cursor`.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire import protocols
from tcpscope.wire.cursor import (
    ERSPAN,
    ETHER,
    ETHERIP,
    ETHERNET_IN,
    ETHERTYPE,
    GRE,
    IP,
    L2TP,
    MPLS,
    PPP,
    PPP_IN,
    WCCP,
    WLAN,
    WLAN_IN,
    Cursor,
)
from tcpscope.wire.skips import NOT_TCP
from tcpscope.wire.tcp import u16, u32
from tcpscope.wire.wlan import SWAPPED

# Flags of the first two octets (RFC 2784, RFC 2890; routing by RFC 1701; acknowledgement by RFC 2637)
CHECKSUM: Final = 0x8000
ROUTED: Final = 0x4000
KEY: Final = 0x2000
SEQUENCE: Final = 0x1000
ACKNOWLEDGED: Final = 0x0080

MAX_ROUTES: Final = 16


def decode_tunnel(c: Cursor) -> i64:
    """What a tunnel's IP protocol number ``c.kind`` announces."""
    protocol: i64 = c.kind
    if protocol == protocols.GRE:
        return decode_gre(c)
    if protocol == protocols.ETHERIP:
        return decode_etherip(c)
    if protocol == protocols.L2TP:
        return decode_l2tp_over_ip(c)
    if protocol == protocols.MPLS:  # RFC 4023
        return c.to(MPLS, 0, c.o)
    c.enter(ETHERNET_IN)  # RFC 8986 section 10.1
    return c.to(ETHER, 0, c.o)


def decode_gre(c: Cursor) -> i64:
    """GRE version 0, and version 1 as PPTP uses it."""
    data: bytes = c.data
    o: i64 = c.o
    if o + 4 > c.end:
        return c.short(4)
    flags: i64 = u16(data, o)
    kind: i64 = u16(data, o + 2)
    version: i64 = flags & 7
    if version > 1:
        return NOT_TCP
    o += 4
    if version == 0 and flags & (CHECKSUM | ROUTED):
        o += 4
    key: i64 = o
    if flags & KEY:
        o += 4
    if flags & SEQUENCE:
        o += 4
    if version == 1 and flags & ACKNOWLEDGED:
        o += 4
    if o > c.end:
        return c.short(o - c.o)
    c.enter(GRE)
    if version == 1:
        # The upper half of the key is the payload's length; without a sequence number there is none (RFC 2637 section 4.1).
        if kind != 0x880B or not flags & KEY or not flags & SEQUENCE:
            return NOT_TCP
        c.end_at(o + u16(data, key))
        return c.to(PPP, 0, o)
    if flags & ROUTED:
        routes: i64 = 0
        size: i64 = 1
        while size > 0:
            if o + 4 > c.end:
                c.o = o
                return c.short(4)
            size = data[o + 3]
            o += 4 + size
            routes += 1
            if routes > MAX_ROUTES:
                return NOT_TCP
    return gre_payload(c, kind, o, flags & SEQUENCE != 0)


def gre_payload(c: Cursor, kind: i64, o: i64, sequenced: bool) -> i64:
    """What GRE's protocol type announces: an EtherType, or a number that is used in GRE alone."""
    if kind == 0x880B:
        c.enter(PPP_IN)
        return c.to(PPP, 0, o)
    if kind == 0x88BE:
        # ERSPAN type I has no header of its own, and no sequence number in GRE.
        return decode_erspan(c, o, 1) if sequenced else erspan_frame(c, o)
    if kind == 0x22EB:
        return decode_erspan(c, o, 2)
    if kind == 0x883E:  # WCCP: version 2 has a redirect header of four octets before the packet, version 1 has none
        c.enter(WCCP)
        if o >= c.end:
            return c.short(o + 1 - c.o)
        first: i64 = c.data[o]
        return c.to(IP, 4, o if first >> 4 == 4 else o + 4)
    if 0x8200 <= kind <= 0x8370 and kind & 15 == 0:  # Aruba
        c.enter(WLAN_IN)
        return c.to(WLAN, SWAPPED, o)
    if kind == 0x6558 or kind == 0x6400:  # transparent Ethernet, also NVGRE (RFC 7637); MikroTik
        c.enter(ETHERNET_IN)
        return c.to(ETHER, 0, o)
    return c.to(ETHERTYPE, kind, o) if kind >= 0x0600 else NOT_TCP


def decode_erspan(c: Cursor, o: i64, version: i64) -> i64:
    """ERSPAN type II (version 1) and type III (version 2; draft-foschiano-erspan)."""
    size: i64 = 8 if version == 1 else 12
    if o + size > c.end:
        return c.short(o + size - c.o)
    first: i64 = c.data[o]
    if first >> 4 != version:
        return NOT_TCP
    if version == 1:
        return erspan_frame(c, o + 8)
    options: i64 = u16(c.data, o + 10)
    if options & 1:  # a platform-specific header follows
        size = 20
    frame: i64 = options >> 10 & 0x1F
    if frame == 2:  # no link header
        c.enter(ERSPAN)
        return c.to(IP, 0, o + size)
    return erspan_frame(c, o + size) if frame == 0 else NOT_TCP


def erspan_frame(c: Cursor, o: i64) -> i64:
    """The mirrored Ethernet frame."""
    c.enter(ERSPAN)
    return c.to(ETHER, 0, o)


def decode_etherip(c: Cursor) -> i64:
    """EtherIP (RFC 3378): version 3 and twelve bits of zero."""
    if c.o + 2 > c.end:
        return c.short(2)
    if u16(c.data, c.o) != 0x3000 and u16(c.data, c.o) != 0x0300:  # some wrote the version into the other half
        return NOT_TCP
    c.enter(ETHERIP)
    return c.to(ETHER, 0, c.o + 2)


def decode_l2tp_over_ip(c: Cursor) -> i64:
    """L2TP version 3 over IP (RFC 3931 section 4.1.1): a session, 0 for control messages, then as :func:`l2tp_session`."""
    if c.o + 4 > c.end:
        return c.short(4)
    if u32(c.data, c.o) == 0:
        return NOT_TCP
    return l2tp_session(c, c.o + 4)


def l2tp_session(c: Cursor, o: i64) -> i64:
    """What an L2TP version 3 session carries at ``o``.

    The lengths of its cookie (0, 4 or 8) and of the layer between (0 or 4), and what it carries, are agreed on when the
    tunnel is set up. So the first arrangement counts in which an IP header stands where it should.
    """
    c.guessed = True
    skip: i64 = 0
    while skip <= 12:
        at: i64 = o + skip
        if ethernet_with_ip(c, at):
            c.enter(L2TP)
            return c.to(ETHER, 0, at)
        if at + 4 < c.end:
            word: i64 = u32(c.data, at)
            if word == 0xFF030021 or word == 0xFF030057:
                c.enter(L2TP)
                return c.to(PPP, 0, at)
            if word == 0x0F000800:
                c.enter(L2TP)
                return c.to(ETHERTYPE, 0x0800, at + 4)
        skip += 4
    return NOT_TCP


def ethernet_with_ip(c: Cursor, o: i64) -> bool:
    """Whether an Ethernet header stands at ``o`` with IP in it, perhaps behind a VLAN tag."""
    at: i64 = o + 12
    if at + 2 <= c.end and u16(c.data, at) == 0x8100:
        at += 4
    if at + 3 > c.end:
        return False
    kind: i64 = u16(c.data, at)
    first: i64 = c.data[at + 2]
    return (kind == 0x0800 and 0x45 <= first <= 0x4F) or (kind == 0x86DD and first >> 4 == 6)
