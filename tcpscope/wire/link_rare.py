"""Link types that captures of TCP seldom have; each function takes one header off (:mod:`tcpscope.wire.cursor`)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.framing import NO_PACKET
from tcpscope.wire.cursor import ETHER, ETHERTYPE, IP, LINK, LLC, PPP, WLAN, Cursor
from tcpscope.wire.link import (
    ETHERNET,
    IPV4,
    IPV6,
    LINUX_SLL,
    LINUX_SLL2,
    LOOP,
    NULL,
    RAW,
    decode_cooked,
    decode_loopback,
    decode_nlpid,
)
from tcpscope.wire.link_juniper import decode_juniper, is_juniper
from tcpscope.wire.link_ppp import decode_cisco_hdlc, decode_pppoe
from tcpscope.wire.skips import CUT_LINK_HEADER, FRAGMENT, NOT_A_PACKET, NOT_IP, UNKNOWN_LINK_TYPE
from tcpscope.wire.tcp import u16
from tcpscope.wire.wlan import decode_avs, decode_prism, decode_radiotap, u16_little, u32_little

# LINKTYPE_ numbers (draft-ietf-opsawg-pcaplinktype).
TOKEN_RING: Final = 6
ARCNET: Final = 7
SLIP: Final = 8
PPP_LINK: Final = 9
FDDI: Final = 10
PPP_HDLC: Final = 50
PPP_ETHER: Final = 51
ATM_RFC1483: Final = 100
C_HDLC: Final = 104
IEEE802_11: Final = 105
ATM_CLIP: Final = 106
FRELAY: Final = 107
ENC: Final = 109
PFLOG: Final = 117
PRISM: Final = 119
IP_OVER_FC: Final = 122
SUNATM: Final = 123
RADIOTAP: Final = 127
ARCNET_LINUX: Final = 129
APPLE_1394: Final = 138
USER_2: Final = 149  # where macOS put PKTAP before it had a number
AVS: Final = 163
PPP_PPPD: Final = 166
PPI: Final = 192
PPP_WITH_DIRECTION: Final = 204
C_HDLC_WITH_DIRECTION: Final = 205
FRELAY_WITH_DIRECTION: Final = 206
NFLOG: Final = 239
NETANALYZER: Final = 240
IPOIB: Final = 242
PKTAP: Final = 258
DSA_BROADCOM: Final = 281
DSA_BROADCOM_BEFORE: Final = 282
DSA: Final = 284
EDSA: Final = 285

NFULA_PAYLOAD: Final = 9

MAX_ATTRIBUTES: Final = 64


def decode_link(c: Cursor) -> i64:
    """A frame of link type ``c.kind``."""
    kind: i64 = c.kind
    if kind == ETHERNET:
        return c.to(ETHER, 0, c.o)
    if kind == RAW or kind == 12 or kind == 14 or kind == IPV4 or kind == IPV6 or kind == ATM_CLIP:
        # 12 and 14 are what some systems wrote for raw IP before LINKTYPE_RAW was agreed on.
        return c.to(IP, 0, c.o)
    if kind == LINUX_SLL or kind == LINUX_SLL2:
        return decode_cooked(c, kind == LINUX_SLL2)
    if kind == NULL or kind == LOOP:
        return decode_loopback(c)
    if kind == PPP_LINK or kind == PPP_HDLC or kind == PPP_PPPD:
        return c.to(PPP, 0, c.o)
    if kind == PPP_ETHER:
        return decode_pppoe(c)
    if kind == IEEE802_11:
        return c.to(WLAN, 0, c.o)
    if kind == RADIOTAP:
        return decode_radiotap(c)
    if kind == NFLOG:
        return decode_nflog(c)
    if is_juniper(kind):
        return decode_juniper(c)
    return decode_historic(c)


def decode_historic(c: Cursor) -> i64:
    """Links of another age, and those that wrap a frame of another link type."""
    kind: i64 = c.kind
    if kind == FDDI:
        return c.to(LLC, 0, c.o + 13)
    if kind == ATM_RFC1483:
        return c.to(LLC, 0, c.o)
    if kind == C_HDLC:
        return decode_cisco_hdlc(c)
    if kind == FRELAY:
        return decode_frame_relay(c)
    if kind == PRISM:
        return decode_prism(c)
    if kind == AVS:
        return decode_avs(c)
    if kind == PPI:
        return decode_ppi(c)
    if kind == PKTAP or kind == USER_2:
        return decode_pktap(c)
    if kind == ARCNET or kind == ARCNET_LINUX:
        return decode_arcnet(c, kind == ARCNET_LINUX)
    if kind == IPOIB:
        return decode_typed(c, 44, 40)
    if kind == APPLE_1394:
        return decode_typed(c, 18, 16)
    if kind == DSA:
        return decode_typed(c, 18, 16)
    if kind == EDSA:
        return decode_typed(c, 22, 20)
    if kind == DSA_BROADCOM:
        return decode_typed(c, 18, 16)
    if kind == DSA_BROADCOM_BEFORE:
        return c.to(ETHER, 0, c.o + 4)
    if kind == NETANALYZER:
        return c.to(ETHER, 0, c.o + 4)
    if kind == IP_OVER_FC:  # RFC 2625: two addresses of eight octets
        return c.to(LLC, 0, c.o + 16)
    if kind == SLIP:  # a direction and fifteen octets of the header as it was compressed
        return c.to(IP, 0, c.o + 16)
    if kind == PFLOG:
        return decode_pflog(c)
    if kind == ENC:  # OpenBSD: address family, SPI and flags
        return c.to(IP, 0, c.o + 12)
    if kind == TOKEN_RING:
        return decode_token_ring(c)
    if kind == SUNATM:
        return decode_sunatm(c)
    if kind == PPP_WITH_DIRECTION or kind == C_HDLC_WITH_DIRECTION or kind == FRELAY_WITH_DIRECTION:
        inner: i64 = PPP_LINK if kind == PPP_WITH_DIRECTION else C_HDLC if kind == C_HDLC_WITH_DIRECTION else FRELAY
        return c.to(LINK, inner, c.o + 1)
    return NOT_A_PACKET if kind == NO_PACKET else UNKNOWN_LINK_TYPE


def decode_typed(c: Cursor, size: i64, at: i64) -> i64:
    """A header of ``size`` octets, of which the EtherType is at offset ``at``."""
    if c.o + size > c.end:
        return c.short(size)
    return c.to(ETHERTYPE, u16(c.data, c.o + at), c.o + size)


def decode_frame_relay(c: Cursor) -> i64:
    """Frame relay: an address of two to four octets, then RFC 2427 or, by Cisco, an EtherType."""
    o: i64 = c.o
    if o + 4 > c.end:
        return c.short(4)
    last: i64 = c.data[o + 1]
    o += 2
    while last & 1 == 0:  # the address goes on
        if o >= c.o + 4 or o >= c.end:
            return NOT_IP
        last = c.data[o]
        o += 1
    if o + 2 > c.end:
        return c.short(o + 2 - c.o)
    control: i64 = c.data[o]
    if control == 3:
        padding: i64 = c.data[o + 1]
        return decode_nlpid(c, o + 2 if padding == 0 else o + 1)
    return c.to(ETHERTYPE, u16(c.data, o), o + 2) if control >= 6 else NOT_IP


def decode_arcnet(c: Cursor, linux: bool) -> i64:
    """ARCNET (RFC 1201): destination, source, a protocol octet and, unless it is the old one, fragmentation.

    Linux puts an offset between the addresses and the protocol.
    """
    at: i64 = c.o + 4 if linux else c.o + 2
    if at + 1 > c.end:
        return CUT_LINK_HEADER
    protocol: i64 = c.data[at]
    if protocol == 240:  # RFC 1051
        return c.to(IP, 0, at + 1)
    if protocol != 212 and protocol != 196:
        return NOT_IP
    if at + 4 > c.end:
        return CUT_LINK_HEADER
    split: i64 = c.data[at + 1]
    if split == 0xFF:  # an exception frame repeats the protocol, the split flag and the sequence number
        return c.to(IP, 0, at + 8)
    return c.to(IP, 0, at + 4) if split == 0 else FRAGMENT


def decode_token_ring(c: Cursor) -> i64:
    """Token ring (IEEE 802.5): access and frame control, addresses, perhaps a source route, LLC."""
    o: i64 = c.o
    if o + 15 > c.end:
        return c.short(15)
    control: i64 = c.data[o + 1]
    if control & 0xC0 != 0x40:
        return NOT_IP
    source: i64 = c.data[o + 8]
    route: i64 = c.data[o + 14]
    return c.to(LLC, 0, o + 14 + (route & 0x1F if source & 0x80 else 0))


def decode_sunatm(c: Cursor) -> i64:
    """ATM on Solaris: flags, virtual path and channel, then LLC or an emulated LAN's Ethernet frame."""
    if c.o + 4 > c.end:
        return c.short(4)
    flags: i64 = c.data[c.o]
    if flags & 15 == 2:
        return c.to(LLC, 0, c.o + 4)
    return c.to(ETHER, 0, c.o + 6) if flags & 15 == 1 else NOT_IP


def decode_pflog(c: Cursor) -> i64:
    """OpenBSD's packet filter log: the first octet is the length of the header, which is padded to four octets."""
    if c.o + 2 > c.end:
        return c.short(2)
    size: i64 = c.data[c.o]
    if size < 60:  # the form before OpenBSD 3.4, and what is none
        return NOT_IP
    return c.to(IP, 0, c.o + ((size + 3) & ~3))


def decode_ppi(c: Cursor) -> i64:
    """Per-packet information: version, flags, length and link type of what follows."""
    if c.o + 8 > c.end:
        return c.short(8)
    size: i64 = u16_little(c.data, c.o + 2)
    kind: i64 = u32_little(c.data, c.o + 4)
    return c.to(LINK, kind, c.o + size) if size >= 8 else NOT_IP


def decode_pktap(c: Cursor) -> i64:
    """Apple's packet tap: length of the header, a type, link type of what follows."""
    if c.o + 12 > c.end:
        return c.short(12)
    size: i64 = u32_little(c.data, c.o)
    kind: i64 = u32_little(c.data, c.o + 8)
    if size < 12 or size > 1024 or u32_little(c.data, c.o + 4) != 1:
        return NOT_IP if c.kind == PKTAP else UNKNOWN_LINK_TYPE
    return c.to(LINK, kind, c.o + size)


def decode_nflog(c: Cursor) -> i64:
    """Linux netfilter log: a header with the address family, then attributes; the packet is one of them.

    Attributes are in the byte order of the capturing machine, nearly always little-endian; a first length that is
    absurd as such tells the other order.
    """
    data: bytes = c.data
    if c.o + 8 > c.end:
        return CUT_LINK_HEADER
    family: i64 = data[c.o]
    if family != 2 and family != 10:
        return NOT_IP
    at: i64 = c.o + 4
    first: i64 = data[at + 1]
    second: i64 = data[at]
    big: bool = second == 0 and first >= 4
    seen: i64 = 0
    while at + 4 <= c.end and seen < MAX_ATTRIBUTES:
        size: i64 = u16(data, at) if big else u16_little(data, at)
        kind: i64 = u16(data, at + 2) if big else u16_little(data, at + 2)
        if kind & 0x7FFF == NFULA_PAYLOAD:
            c.end_at(at + size)
            return c.to(IP, 0, at + 4)
        if size < 4:
            return NOT_IP
        at += (size + 3) & ~3
        seen += 1
    return CUT_LINK_HEADER
