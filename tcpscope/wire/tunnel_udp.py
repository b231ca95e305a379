"""Tunnels that are known by a UDP port alone; the ports are those that IANA assigned or Wireshark uses.

A port proves nothing: anything may use it. So every header here must look as its specification says to the last
reserved bit, and the IP header behind it must fit the datagram exactly (``Cursor.guessed``); otherwise the datagram is
none of ours.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire import protocols
from tcpscope.wire.cursor import (
    AYIYA,
    CAPWAP,
    ETHER,
    ETHERTYPE,
    GENEVE,
    GTP,
    IP,
    L2TP,
    LISP,
    LWAPP,
    MPLS,
    PPP,
    TEREDO,
    TZSP,
    UDP,
    UPPER,
    VXLAN,
    VXLAN_GPE,
    WLAN,
    Cursor,
)
from tcpscope.wire.link_shims import next_protocol
from tcpscope.wire.skips import CUT_TUNNEL_HEADER, FRAGMENT, NOT_TCP
from tcpscope.wire.tcp import u16, u32
from tcpscope.wire.tunnel import l2tp_session
from tcpscope.wire.wlan import SWAPPED

L2TP_PORT: Final = 1701
GTP_PORT: Final = 2152
TEREDO_PORT: Final = 3544
LISP_PORT: Final = 4341
GRE_PORT: Final = 4754
VXLAN_PORT: Final = 4789
VXLAN_GPE_PORT: Final = 4790
AYIYA_PORT: Final = 5072
CAPWAP_PORT: Final = 5247
GENEVE_PORT: Final = 6081
MPLS_PORT: Final = 6635
VXLAN_PORT_OF_LINUX: Final = 8472  # its default from before the port was assigned, which container networks still use
LWAPP_PORT: Final = 12222
TZSP_PORT: Final = 37008


def decode_udp(c: Cursor) -> i64:
    """A UDP header (RFC 768): the destination port tells the tunnel, else the source port."""
    o: i64 = c.o
    if o + 8 > c.end:
        return NOT_TCP
    source: i64 = u16(c.data, o)
    destination: i64 = u16(c.data, o + 2)
    length: i64 = u16(c.data, o + 4)
    port: i64 = destination
    if not is_tunnel(destination):
        if not is_tunnel(source):
            return NOT_TCP
        port = source
    if length >= 8:
        c.end_at(o + length)
    elif length != 0:  # 0: left to the network card, or a jumbogram
        return NOT_TCP
    c.o = o + 8
    c.guessed = True
    if c.o + 8 > c.end:  # none of the headers and nothing that they carry is shorter
        return CUT_TUNNEL_HEADER if c.o + 8 <= c.stop else NOT_TCP
    return decode_port(c, port)


def is_tunnel_datagram(data: bytes, o: i64) -> bool:
    """Whether one of the ports of the UDP header at ``o`` belongs to a tunnel."""
    return is_tunnel(u16(data, o + 2)) or is_tunnel(u16(data, o))


def is_tunnel(port: i64) -> bool:
    """Whether a port belongs to a tunnel."""
    if port < 4000:
        return port == GTP_PORT or port == L2TP_PORT or port == TEREDO_PORT
    if port < 5000:
        return port == VXLAN_PORT or port == VXLAN_GPE_PORT or port == LISP_PORT or port == GRE_PORT
    return (
        port == GENEVE_PORT
        or port == VXLAN_PORT_OF_LINUX
        or port == AYIYA_PORT
        or port == CAPWAP_PORT
        or port == MPLS_PORT
        or port == LWAPP_PORT
        or port == LWAPP_PORT + 1
        or port == TZSP_PORT
    )


def decode_port(c: Cursor, port: i64) -> i64:
    """The payload of a datagram to or from the port of a tunnel; at least eight octets of it are there."""
    if port == VXLAN_PORT or port == VXLAN_PORT_OF_LINUX:
        return decode_vxlan(c)
    if port == GENEVE_PORT:
        return decode_geneve(c)
    if port == GTP_PORT:
        return decode_gtp(c)
    if port == L2TP_PORT:
        return decode_l2tp(c)
    if port == TEREDO_PORT:
        return decode_teredo(c)
    if port == VXLAN_GPE_PORT:
        return decode_vxlan_gpe(c)
    if port == AYIYA_PORT:
        return decode_ayiya(c)
    if port == LISP_PORT:
        return decode_lisp(c)
    if port == CAPWAP_PORT:
        return decode_capwap(c)
    if port == TZSP_PORT:
        return decode_tzsp(c)
    if port == GRE_PORT:  # RFC 8086
        c.enter(UDP)
        return c.to(UPPER, protocols.GRE, c.o)
    if port == MPLS_PORT:  # RFC 7510
        c.enter(UDP)
        return c.to(MPLS, 0, c.o)
    return decode_lwapp(c)


def decode_vxlan(c: Cursor) -> i64:
    """VXLAN (RFC 7348 section 5), also with a group policy (draft-smith-vxlan-group-policy)."""
    flags: i64 = u32(c.data, c.o)
    last: i64 = c.data[c.o + 7]
    if last != 0 or (flags != 0x08000000 and flags & 0xFFB70000 != 0x88000000):
        return NOT_TCP
    c.enter(VXLAN)
    return c.to(ETHER, 0, c.o + 8)


def decode_vxlan_gpe(c: Cursor) -> i64:
    """VXLAN with a next protocol field (draft-ietf-nvo3-vxlan-gpe): version 0, a network identifier, a protocol."""
    flags: i64 = u32(c.data, c.o)
    last: i64 = c.data[c.o + 7]
    if last != 0 or flags & 0xF8FFFF00 != 0x08000000:
        return NOT_TCP
    c.enter(VXLAN_GPE)
    return next_protocol(c, flags & 0xFF if flags & 0x04000000 else 3, c.o + 8)


def decode_geneve(c: Cursor) -> i64:
    """Geneve (RFC 8926 section 3.4): version 0, length of the options in units of four, an EtherType."""
    word: i64 = u32(c.data, c.o)
    last: i64 = c.data[c.o + 7]
    if word >> 30 != 0 or word & 0x003F0000 or last != 0 or word & 0xFFFF < 0x0600:
        return NOT_TCP
    c.enter(GENEVE)
    header: i64 = 8 + ((word >> 24 & 0x3F) << 2)
    if word & 0xFFFF == 0x6558:
        return c.to(ETHER, 0, c.o + header)
    return c.to(ETHERTYPE, word & 0xFFFF, c.o + header)


def decode_gtp(c: Cursor) -> i64:
    """GTP-U (3GPP TS 29.281 section 5): version 1, a G-PDU; extension headers chained by their last octets."""
    data: bytes = c.data
    o: i64 = c.o
    flags: i64 = data[o]
    kind: i64 = data[o + 1]
    length: i64 = u16(data, o + 2)
    if flags & 0xF0 != 0x30 or kind != 0xFF or (o + 8 + length > c.stop and length != 0):
        return NOT_TCP
    if length > 0:
        c.end_at(o + 8 + length)
    at: i64 = o + 8
    if flags & 7:  # sequence number, N-PDU number and next extension header are there if one of them is
        at += 4
        if at > c.end:
            return c.short(12)
        following: i64 = data[at - 1] if flags & 4 else 0
        while following != 0:
            if at >= c.end:
                return c.short(at + 1 - o)
            size: i64 = data[at]
            at += size << 2
            if size == 0:
                return NOT_TCP
            if at > c.end:
                return c.short(at - o)
            following = data[at - 1]
    c.enter(GTP)
    return c.to(IP, 0, at)


def decode_l2tp(c: Cursor) -> i64:
    """L2TP: version 2 (RFC 2661 section 3.1) carries PPP, version 3 (RFC 3931 section 4.1.2) anything."""
    data: bytes = c.data
    o: i64 = c.o
    flags: i64 = u16(data, o)
    if flags & 0x800F == 3 and flags & 0x7FF0 == 0:
        return l2tp_session(c, o + 8) if u32(data, o + 4) != 0 else NOT_TCP
    if flags & 0x800F != 2 or flags & 0x34F0:  # a control message, or reserved bits
        return NOT_TCP
    at: i64 = o + 2
    if flags & 0x4000:
        length: i64 = u16(data, at)
        if o + length > c.stop or length < 8:
            return NOT_TCP
        c.end_at(o + length)
        at += 2
    at += 4  # tunnel and session
    if flags & 0x0800:
        at += 4  # sequence numbers
    if flags & 0x0200:
        if at + 2 > c.end:
            return c.short(at + 2 - o)
        at += 2 + u16(data, at)
    c.enter(L2TP)
    return c.to(PPP, 0, at)


def decode_teredo(c: Cursor) -> i64:
    """Teredo (RFC 4380 section 5.1.1): IPv6 with a Teredo address, perhaps behind authentication and origin."""
    data: bytes = c.data
    o: i64 = c.o
    if u16(data, o) == 1:
        # Authentication: the lengths of a client identifier and of a value, both of these, a nonce, a confirmation
        client: i64 = data[o + 2]
        value: i64 = data[o + 3]
        o += 13 + client + value
    if o + 2 <= c.end and u16(data, o) == 0:  # origin: the port and address that the server saw
        o += 8
    if o + 40 > c.end:
        return c.short(o + 40 - c.o)
    first: i64 = data[o]
    if first >> 4 != 6 or o + 40 + u16(data, o + 4) != c.stop:
        return NOT_TCP
    if u32(data, o + 8) != 0x20010000 and u32(data, o + 24) != 0x20010000:
        return NOT_TCP
    c.enter(TEREDO)
    return c.to(IP, 6, o)


def decode_ayiya(c: Cursor) -> i64:
    """AYIYA (draft-massar-v6ops-ayiya section 4): lengths of identity and signature, an operation, a protocol, a time."""
    data: bytes = c.data
    identity: i64 = data[c.o]
    signature: i64 = data[c.o + 1]
    operation: i64 = data[c.o + 2]
    protocol: i64 = data[c.o + 3]
    if operation & 15 != 1 or (protocol != protocols.IPV6 and protocol != protocols.IPV4):  # 1: forward
        return NOT_TCP
    size: i64 = 1
    size <<= identity >> 4  # its length is told as a power of two
    c.enter(AYIYA)
    return c.to(IP, 6 if protocol == protocols.IPV6 else 4, c.o + 8 + size + (signature >> 4 << 2))


def decode_lisp(c: Cursor) -> i64:
    """LISP (RFC 9300 section 5): eight octets of flags, nonce or map version, and locator status bits."""
    flags: i64 = c.data[c.o]
    if flags & 0x80 and flags & 0x10:  # a nonce and a map version exclude one another
        return NOT_TCP
    c.enter(LISP)
    return c.to(IP, 0, c.o + 8)


def decode_capwap(c: Cursor) -> i64:
    """CAPWAP data (RFC 5415 section 4.3): version 0, length of the header, the kind of frame. Not if DTLS hides it."""
    word: i64 = u32(c.data, c.o)
    header: i64 = word >> 19 & 0x1F
    binding: i64 = word >> 9 & 0x1F
    if word >> 24 != 0 or header < 2 or word & 7:
        return NOT_TCP
    if word & 0x08:  # keep-alive
        return NOT_TCP
    if word & 0x80:
        return FRAGMENT
    c.enter(CAPWAP)
    if word & 0x100 == 0:
        return c.to(ETHER, 0, c.o + (header << 2))
    return c.to(WLAN, SWAPPED, c.o + (header << 2)) if binding == 1 else NOT_TCP


def decode_lwapp(c: Cursor) -> i64:
    """LWAPP data (RFC 5412 section 3.3): version 0, no control message, not a fragment, length, IEEE 802.11."""
    flags: i64 = c.data[c.o]
    length: i64 = u16(c.data, c.o + 2)
    if flags & 0xC4 or length != c.stop - c.o - 6:
        return NOT_TCP
    if flags & 0x03:
        return FRAGMENT
    c.enter(LWAPP)
    return c.to(WLAN, SWAPPED, c.o + 6)


def decode_tzsp(c: Cursor) -> i64:
    """TaZmen sniffer protocol: version 1, a received packet, what it is, then tagged fields up to an end mark."""
    data: bytes = c.data
    o: i64 = c.o
    kind: i64 = u16(data, o + 2)
    if u16(data, o) >> 1 != 0x80 or (kind != 1 and kind != 18):  # types 0 and 1 are packets received and sent
        return NOT_TCP
    at: i64 = o + 4
    while at < c.end:
        tag: i64 = data[at]
        if tag == 1:
            c.enter(TZSP)
            return c.to(ETHER if kind == 1 else WLAN, 0, at + 1)
        if tag == 0:  # padding
            at += 1
            continue
        if at + 1 >= c.end:
            break
        size: i64 = data[at + 1]
        at += 2 + size
    return c.short(at + 1 - o)
