"""Link layers: from the start of a frame to its IP header.

Every function takes the captured bytes ``data[o:end]`` and where the packet ends by the lengths of the layers outside
(``stop``, :data:`UNBOUNDED` if none of them has one). It returns the offset of the IP header, or the negative of a skip
code, and the ``stop`` for it.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.framing import NO_PACKET
from tcpscope.wire.skips import (
    BAD_IP_HEADER,
    CUT_IP_HEADER,
    CUT_LINK_HEADER,
    FRAGMENT,
    NOT_A_PACKET,
    NOT_IP,
    TOO_DEEP,
    UNKNOWN_LINK_TYPE,
)

# LINKTYPE_ numbers (draft-ietf-opsawg-pcaplinktype).
NULL: Final = 0
ETHERNET: Final = 1
ARCNET: Final = 7
PPP: Final = 9
FDDI: Final = 10
PPP_HDLC: Final = 50
PPP_ETHER: Final = 51
ATM_RFC1483: Final = 100
RAW: Final = 101
C_HDLC: Final = 104
LOOP: Final = 108
LINUX_SLL: Final = 113
ARCNET_LINUX: Final = 129
IPV4: Final = 228
IPV6: Final = 229
NFLOG: Final = 239
IPOIB: Final = 242
LINUX_SLL2: Final = 276

NFULA_PAYLOAD: Final = 9

MAX_SHIMS: Final = 16
"""VLAN tags, MPLS labels and the like that one frame may carry before its IP header."""

UNBOUNDED: Final = 1 << 40


def network_offset(data: bytes, o: i64, end: i64, link_type: i64) -> tuple[i64, i64]:
    """Find the IP header in a frame of ``link_type``."""
    if link_type == ETHERNET:
        return ethernet(data, o, end)
    if link_type == LINUX_SLL:
        if o + 16 > end:
            return -CUT_LINK_HEADER, 0
        return by_ethertype(data, o + 16, end, UNBOUNDED, word(data, o + 14))
    if link_type == LINUX_SLL2:
        if o + 20 > end:
            return -CUT_LINK_HEADER, 0
        return by_ethertype(data, o + 20, end, UNBOUNDED, word(data, o))
    if link_type in (NULL, LOOP):
        return loopback(data, o, end)
    # 12 and 14 are what some systems wrote for raw IP before LINKTYPE_RAW was agreed on.
    if link_type in (RAW, 12, 14, IPV4, IPV6):
        return ip_header(data, o, end, UNBOUNDED)
    return rare_link(data, o, end, link_type)


def rare_link(data: bytes, o: i64, end: i64, link_type: i64) -> tuple[i64, i64]:
    """The link types that captures of TCP seldom have."""
    if link_type in (PPP, PPP_HDLC):
        return ppp(data, o, end, UNBOUNDED)
    if link_type == PPP_ETHER:
        return pppoe(data, o, end)
    if link_type == C_HDLC:
        return cisco_hdlc(data, o, end)
    if link_type == FDDI:
        return llc(data, o + 13, end, UNBOUNDED)
    if link_type == ATM_RFC1483:
        return llc(data, o, end, UNBOUNDED)
    if link_type == NFLOG:
        return nflog(data, o, end)
    if link_type == IPOIB:
        if o + 44 > end:
            return -CUT_LINK_HEADER, 0
        return by_ethertype(data, o + 44, end, UNBOUNDED, word(data, o + 40))
    if link_type in (ARCNET, ARCNET_LINUX):
        return arcnet(data, o, end, link_type == ARCNET_LINUX)
    return -NOT_A_PACKET if link_type == NO_PACKET else -UNKNOWN_LINK_TYPE, 0


def ethernet(data: bytes, o: i64, end: i64) -> tuple[i64, i64]:
    """Ethernet II, or IEEE 802.3 with a length and LLC; with any VLAN tags."""
    if o + 14 > end:
        return -CUT_LINK_HEADER, 0
    t0: i64 = data[o + 12]
    t1: i64 = data[o + 13]
    if t0 == 8 and t1 == 0:
        return ip_header(data, o + 14, end, UNBOUNDED)
    return by_ethertype(data, o + 14, end, UNBOUNDED, t0 << 8 | t1)


def by_ethertype(data: bytes, o: i64, end: i64, stop: i64, ethertype: i64) -> tuple[i64, i64]:
    """What an EtherType announces, or a length in its place (up to 1500); steps over VLAN tags and the like."""
    shims: i64 = 0
    while shims < MAX_SHIMS:
        if ethertype in (0x0800, 0x86DD):
            return ip_header(data, o, end, stop)
        shim: i64 = shim_length(ethertype)
        if shim > 0:
            o += shim
            if o > end:
                return -CUT_LINK_HEADER, 0
            ethertype = word(data, o - 2)
            shims += 1
            continue
        if ethertype in (0x8847, 0x8848):
            return mpls(data, o, end, stop)
        if ethertype == 0x8864:
            return pppoe(data, o, end)
        if ethertype <= 1500:
            # Linux "cooked" captures have 4 (LLC) here, which is no length.
            return llc(data, o, end, o + ethertype if ethertype > 4 else stop)
        return -NOT_IP, 0
    return -TOO_DEEP, 0


def shim_length(ethertype: i64) -> i64:
    """Length of a header, the next EtherType at its end, that stands between Ethernet and what it carries; else 0."""
    if ethertype in (0x8100, 0x88A8, 0x9100, 0x9200, 0x9300):  # VLAN tags: IEEE 802.1Q, 802.1ad, older QinQ
        return 4
    if ethertype in (0x8926, 0x892F):  # VN-Tag; the redundancy protocol HSR (IEC 62439-3)
        return 6
    if ethertype == 0x893F:  # E-Tag (IEEE 802.1BR)
        return 8
    return 0


def llc(data: bytes, o: i64, end: i64, stop: i64) -> tuple[i64, i64]:
    """IEEE 802.2 LLC: IP by its own service access point, or by SNAP with an EtherType (RFC 1042)."""
    if o + 3 > end:
        return -CUT_LINK_HEADER, 0
    access: i64 = word(data, o)
    control: i64 = data[o + 2]
    if access == 0x0606 and control == 3:
        return ip_header(data, o + 3, end, stop)
    if access != 0xAAAA or control != 3:
        return -NOT_IP, 0
    if o + 8 > end:
        return -CUT_LINK_HEADER, 0
    # An EtherType follows if the organisation is 0, or 0000F8 for frames bridged from Ethernet (IEEE 802.1H).
    vendor: i64 = data[o + 3]
    organisation: i64 = word(data, o + 4)
    ethertype: i64 = word(data, o + 6)
    if vendor != 0 or organisation not in (0, 0xF8) or ethertype < 1536:
        return -NOT_IP, 0
    return by_ethertype(data, o + 8, end, stop, ethertype)


def mpls(data: bytes, o: i64, end: i64, stop: i64) -> tuple[i64, i64]:
    """A stack of MPLS labels (RFC 3032); below its bottom the first half octet tells IPv4 and IPv6."""
    labels: i64 = 0
    while labels < MAX_SHIMS:
        if o + 4 > end:
            return -CUT_LINK_HEADER, 0
        bottom: i64 = data[o + 2]
        o += 4
        labels += 1
        if bottom & 1:
            if o >= end:
                return -CUT_IP_HEADER, 0
            version: i64 = data[o]
            if version >> 4 in (4, 6):
                return o, stop
            return -NOT_IP, 0
    return -TOO_DEEP, 0


def pppoe(data: bytes, o: i64, end: i64) -> tuple[i64, i64]:
    """A PPPoE session header (RFC 2516). Its length counts: what follows it in the frame is padding."""
    if o + 6 > end:
        return -CUT_LINK_HEADER, 0
    if word(data, o) != 0x1100:
        return -NOT_IP, 0
    return ppp(data, o + 6, end, o + 6 + word(data, o + 4))


def ppp(data: bytes, o: i64, end: i64, stop: i64) -> tuple[i64, i64]:
    """PPP (RFC 1661), with or without the address and control octets of HDLC framing (RFC 1662)."""
    if o + 2 > end:
        return -CUT_LINK_HEADER, 0
    protocol: i64 = word(data, o)
    if protocol in (0x0F00, 0x8F00):
        return cisco_hdlc(data, o, end)
    if protocol == 0xFF03:
        if o + 4 > end:
            return -CUT_LINK_HEADER, 0
        o += 2
        protocol = word(data, o)
    if protocol & 0x100:  # compressed to one octet, which alone is odd
        protocol >>= 8
        o -= 1
    if protocol in (0x21, 0x57):
        return ip_header(data, o + 2, end, stop)
    if protocol == 0x281:
        return mpls(data, o + 2, end, stop)
    return -NOT_IP, 0


def cisco_hdlc(data: bytes, o: i64, end: i64) -> tuple[i64, i64]:
    """Cisco HDLC: an address, a control octet and an EtherType (RFC 1547 section 4.3.1)."""
    if o + 4 > end:
        return -CUT_LINK_HEADER, 0
    return by_ethertype(data, o + 4, end, UNBOUNDED, word(data, o + 2))


def arcnet(data: bytes, o: i64, end: i64, linux: bool) -> tuple[i64, i64]:
    """ARCNET (RFC 1201): destination, source, a protocol octet and, unless it is the old one, fragmentation.

    Linux puts an offset between the addresses and the protocol.
    """
    at: i64 = o + 4 if linux else o + 2
    if at + 1 > end:
        return -CUT_LINK_HEADER, 0
    protocol: i64 = data[at]
    if protocol == 240:  # RFC 1051
        return ip_header(data, at + 1, end, UNBOUNDED)
    if protocol not in (212, 196):
        return -NOT_IP, 0
    if at + 4 > end:
        return -CUT_LINK_HEADER, 0
    split: i64 = data[at + 1]
    if split == 0xFF:  # an exception frame repeats the protocol, the split flag and the sequence number
        return ip_header(data, at + 8, end, UNBOUNDED)
    if split != 0:
        return -FRAGMENT, 0
    return ip_header(data, at + 4, end, UNBOUNDED)


def nflog(data: bytes, o: i64, end: i64) -> tuple[i64, i64]:
    """Linux netfilter log: a header with the address family, then attributes; the packet is one of them.

    Attributes are in the byte order of the capturing machine, nearly always little-endian; a first length that is
    absurd as such tells the other order.
    """
    if o + 8 > end:
        return -CUT_LINK_HEADER, 0
    family: i64 = data[o]
    if family not in (2, 10):
        return -NOT_IP, 0
    at: i64 = o + 4
    first: i64 = data[at + 1]
    second: i64 = data[at]
    big: bool = second == 0 and first >= 4
    while at + 4 <= end:
        size: i64 = word(data, at)
        kind: i64 = word(data, at + 2)
        if not big:
            size = size >> 8 | (size & 0xFF) << 8
            kind = kind >> 8 | (kind & 0xFF) << 8
        if kind & 0x7FFF == NFULA_PAYLOAD:
            return ip_header(data, at + 4, end, at + size)
        if size < 4:
            return -NOT_IP, 0
        at += (size + 3) & ~3
    return -CUT_LINK_HEADER, 0


def loopback(data: bytes, o: i64, end: i64) -> tuple[i64, i64]:
    """BSD loopback: four octets with the address family, in the byte order of the capturing machine or big-endian."""
    if o + 4 > end:
        return -CUT_LINK_HEADER, 0
    family: i64 = word(data, o + 2)
    if family == 0:  # little-endian
        family = word(data, o)
        family = family >> 8 | (family & 0xFF) << 8
    # AF_INET is 2 everywhere; AF_INET6 is 10 (Linux), 24 (NetBSD, OpenBSD), 28 (FreeBSD), 30 (macOS).
    if family in (2, 10, 24, 28, 30):
        return ip_header(data, o + 4, end, UNBOUNDED)
    return -NOT_IP, 0


def ip_header(data: bytes, o: i64, end: i64, stop: i64) -> tuple[i64, i64]:
    """``o`` if an IP header can begin there."""
    if o >= end:
        return -CUT_IP_HEADER, 0
    version: i64 = data[o]
    version >>= 4
    if version in (4, 6):
        return o, stop
    return -BAD_IP_HEADER, 0


def word(data: bytes, o: i64) -> i64:
    """Two octets, big-endian."""
    b0: i64 = data[o]
    b1: i64 = data[o + 1]
    return b0 << 8 | b1
