"""Link layers that captures of TCP often have: Ethernet with its tags, LLC, Linux cooked captures, loopback.

Each function takes one header off; see :mod:`tcpscope.wire.cursor`.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import (
    CMD,
    E_TAG,
    ETHERNET_IN,
    ETHERTYPE,
    FABRICPATH,
    HSR,
    IP,
    ISL,
    LLC,
    MPLS,
    PBB,
    PPP,
    R_TAG,
    TIMESTAMP,
    VLAN,
    VN_TAG,
    Cursor,
)
from tcpscope.wire.link_ppp import decode_pppoe
from tcpscope.wire.link_shims import decode_macsec, decode_nsh, decode_trill
from tcpscope.wire.skips import (
    NOT_IP,
    TOO_DEEP,
)
from tcpscope.wire.tcp import u16, u32

# LINKTYPE_ numbers (draft-ietf-opsawg-pcaplinktype).
NULL: Final = 0
ETHERNET: Final = 1
RAW: Final = 101
LOOP: Final = 108
LINUX_SLL: Final = 113
IPV4: Final = 228
IPV6: Final = 229
LINUX_SLL2: Final = 276

MAX_SHIMS: Final = 16
"""VLAN tags and the like that may follow one another."""

SHORTEST_ETHERTYPE: Final = 1536  # IEEE 802.3 section 3.2.6; smaller values are lengths


def plain_ip(data: bytes, o: i64, end: i64, link_type: i64) -> i64:
    """Offset of the IP header in a frame that has nothing between its link header and IP; -1 if not so or not known."""
    ethertype: i64 = 12  # where it stands
    size: i64 = 14  # of the link header
    if link_type != ETHERNET:
        if link_type == RAW or link_type == IPV4 or link_type == IPV6:
            return o
        if link_type == NULL:
            if o + 4 > end or not is_internet(data, o):
                return -1
            return o + 4
        if link_type == LINUX_SLL:
            ethertype = 14
            size = 16
        elif link_type == LINUX_SLL2:
            ethertype = 0
            size = 20
        else:
            return -1
    if o + size > end:
        return -1
    t0: i64 = data[o + ethertype]
    t1: i64 = data[o + ethertype + 1]
    # A conditional expression would make an object of the number here.
    if (t0 == 0x08 and t1 == 0x00) or (t0 == 0x86 and t1 == 0xDD):
        return o + size
    return -1


def tagged_ip(data: bytes, o: i64, end: i64, link_type: i64) -> i64:
    """Offset of the IP header behind a single VLAN tag of an Ethernet frame; -1 if there is none."""
    o += 18
    if link_type != ETHERNET or o > end:
        return -1
    if u16(data, o - 6) != 0x8100:
        return -1
    ethertype: i64 = u16(data, o - 2)
    if ethertype == 0x0800 or ethertype == 0x86DD:
        return o
    return -1


def is_internet(data: bytes, o: i64) -> bool:
    """Whether four octets are an address family of IP, in the byte order of the capturing machine or big-endian."""
    family: i64 = u16(data, o + 2)
    if family == 0:  # little-endian
        family = u16(data, o)
        family = family >> 8 | (family & 0xFF) << 8
    # AF_INET is 2 everywhere; AF_INET6 is 10 (Linux), 24 (NetBSD, OpenBSD), 28 (FreeBSD), 30 (macOS).
    return family == 2 or family == 10 or family == 24 or family == 28 or family == 30


def decode_ethernet(c: Cursor) -> i64:
    """Ethernet II, or IEEE 802.3 with a length and LLC."""
    if c.o + 14 > c.end:
        return c.short(14)
    return c.to(ETHERTYPE, u16(c.data, c.o + 12), c.o + 14)


def decode_ethertype(c: Cursor) -> i64:
    """What an EtherType announces, or a length in its place (up to 1500); steps over VLAN tags and the like."""
    ethertype: i64 = c.kind
    shims: i64 = 0
    while shims < MAX_SHIMS:
        if ethertype == 0x0800 or ethertype == 0x86DD:
            return c.to(IP, 0, c.o)
        shim: i64 = enter_shim(c, ethertype)
        if shim == 0:
            return announced(c, ethertype)
        if c.o + shim > c.end:
            return c.short(shim)
        c.o += shim
        ethertype = u16(c.data, c.o - 2)
        shims += 1
    return TOO_DEEP


def enter_shim(c: Cursor, ethertype: i64) -> i64:
    """Length of a header, the next EtherType at its end, that stands between Ethernet and what it carries; else 0."""
    # VLAN tags: IEEE 802.1Q, 802.1ad, older QinQ
    if ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100 or ethertype == 0x9200 or ethertype == 0x9300:
        c.enter(VLAN)
        return 4
    if ethertype == 0x8926:  # VN-Tag
        c.enter(VN_TAG)
        return 6
    if ethertype == 0x893F:  # IEEE 802.1BR
        c.enter(E_TAG)
        return 8
    if ethertype == 0x892F:  # IEC 62439-3
        c.enter(HSR)
        return 6
    if ethertype == 0xF1C1:  # IEEE 802.1CB
        c.enter(R_TAG)
        return 6
    if ethertype == 0x8909:  # Cisco MetaData, a security group tag
        c.enter(CMD)
        return 8
    if ethertype == 0xD28B:
        return switch_timestamp(c)
    return 0


def switch_timestamp(c: Cursor) -> i64:
    """Length of the header that Arista's switches add: subtype, version, a time stamp of 64 or 48 bits; 0 if unknown."""
    if c.o + 4 > c.end:
        return 14
    version: i64 = u32(c.data, c.o) & 0xFFFFFEEE  # but for the time scale and the kind of hardware
    if version != 0x00010000 and version != 0x00010020:
        return 0
    c.enter(TIMESTAMP)
    return 12 if version & 0x20 else 14


def announced(c: Cursor, ethertype: i64) -> i64:
    """What an EtherType announces that is neither IP nor a header with another EtherType at its end."""
    if ethertype < SHORTEST_ETHERTYPE:
        return length_field(c, ethertype)
    if ethertype == 0x8847 or ethertype == 0x8848:
        return c.to(MPLS, 0, c.o)
    if ethertype == 0x8864:
        return decode_pppoe(c)
    if ethertype == 0x880B:
        return c.to(PPP, 0, c.o)
    if ethertype == 0x88E7:  # IEEE 802.1ah: a service tag of four octets, then the customer's Ethernet header
        return c.to_ethernet(PBB, 4)
    if ethertype == 0x8903:  # Cisco FabricPath: tag and time to live, then the whole frame
        return c.to_ethernet(FABRICPATH, 2)
    if ethertype == 0x6558:  # transparent Ethernet bridging
        return c.to_ethernet(ETHERNET_IN, 0)
    if ethertype == 0x22F3:
        return decode_trill(c)
    if ethertype == 0x894F:
        return decode_nsh(c)
    if ethertype == 0x88E5:
        return decode_macsec(c)
    if ethertype == 0x8870:  # LLC of a frame longer than a length field can tell
        return c.to(LLC, 0, c.o)
    return NOT_IP


def length_field(c: Cursor, length: i64) -> i64:
    """An IEEE 802.3 length, so LLC follows; or Cisco's inter-switch link, which wraps a whole frame."""
    if length > 1500:
        return NOT_IP
    if length > 26 and c.o >= 14:
        # ISL has a multicast address of its own and an LLC header with its vendor's prefix
        o: i64 = c.o - 14
        address: i64 = u32(c.data, o)
        last: i64 = c.data[o + 4]
        if (address == 0x01000C00 or address == 0x03000C00) and last == 0 and o + 17 <= c.end:
            if u16(c.data, o + 14) == 0xAAAA and c.data[o + 16] == 3:
                return c.to_ethernet(ISL, 12)
    if length > 4:  # Linux "cooked" captures have 4 (LLC) here, which is no length
        c.end_at(c.o + length)
    return c.to(LLC, 0, c.o)


def decode_llc(c: Cursor) -> i64:
    """IEEE 802.2 LLC: IP by its own service access point, or by SNAP with an EtherType (RFC 1042)."""
    o: i64 = c.o
    if o + 3 > c.end:
        return c.short(3)
    data: bytes = c.data
    access: i64 = u16(data, o)
    control: i64 = data[o + 2]
    if control != 3:
        return NOT_IP
    if access == 0x0606:
        return c.to(IP, 0, o + 3)
    if access == 0xFEFE:  # RFC 2684 section 5.1: a network layer protocol identifier
        return decode_nlpid(c, o + 3)
    if access != 0xAAAA:
        return NOT_IP
    return decode_snap(c, o + 3, 2)


def decode_snap(c: Cursor, o: i64, padding: i64) -> i64:
    """The organisation and protocol behind LLC or in frame relay; ``padding`` is what stands before bridged frames."""
    if o + 5 > c.end:
        return c.short(o + 5 - c.o)
    vendor: i64 = u32(c.data, o) >> 8
    ethertype: i64 = u16(c.data, o + 3)
    # An EtherType follows if the organisation is 0, or 0000F8 for frames bridged from Ethernet (IEEE 802.1H).
    if vendor == 0 or vendor == 0xF8:
        return c.to(ETHERTYPE, ethertype, o + 5) if ethertype >= SHORTEST_ETHERTYPE else NOT_IP
    # Bridged Ethernet, with or without check sequence (RFC 2427 section 4.2, RFC 2684 section 5.2)
    if vendor == 0x0080C2 and (ethertype == 1 or ethertype == 7):
        c.o = o + 5
        return c.to_ethernet(ETHERNET_IN, padding)
    return NOT_IP


def decode_nlpid(c: Cursor, o: i64) -> i64:
    """A network layer protocol identifier (ISO/IEC TR 9577), as in frame relay (RFC 2427)."""
    if o >= c.end:
        return c.short(o + 1 - c.o)
    identifier: i64 = c.data[o]
    if identifier == 0xCC:
        return c.to(IP, 4, o + 1)
    if identifier == 0x8E:
        return c.to(IP, 6, o + 1)
    if identifier == 0xCF:
        return c.to(PPP, 0, o + 1)
    if identifier == 0x80:
        return decode_snap(c, o + 1, 0)
    return NOT_IP


def decode_cooked(c: Cursor, version2: bool) -> i64:
    """Linux "cooked" captures: the EtherType is at the end of the first header and at the beginning of the second."""
    size: i64 = 20 if version2 else 16
    if c.o + size > c.end:
        return c.short(size)
    return c.to(ETHERTYPE, u16(c.data, c.o if version2 else c.o + 14), c.o + size)


def decode_loopback(c: Cursor) -> i64:
    """BSD loopback: four octets with the address family."""
    if c.o + 4 > c.end:
        return c.short(4)
    return c.to(IP, 0, c.o + 4) if is_internet(c.data, c.o) else NOT_IP
