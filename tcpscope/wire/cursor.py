"""Where the decoder stands in a frame: what it has unwrapped so far and what comes next.

Each decoder of a layer takes one header off: it moves ``o`` behind it, narrows ``stop`` by the lengths it finds, says
what follows in ``next`` and returns :data:`NEXT`; or it returns a skip code. No decoder calls one of another layer, so
layers nest in any order without recursion, and one place bounds how deep.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.skips import CUT_LINK_HEADER, CUT_TUNNEL_HEADER, NOT_IP, NOT_TCP

NEXT: Final = -1
"""What a decoder returns instead of a skip code: go on with ``cursor.next``."""

# What stands at ``cursor.o``. ``cursor.kind`` says more about those that are marked with (kind).
LINK: Final = 0  # a frame of a link type (kind: LINKTYPE_ number)
ETHER: Final = 1  # an Ethernet header
ETHERTYPE: Final = 2  # what an EtherType announces (kind)
LLC: Final = 3  # IEEE 802.2
PPP: Final = 4  # the protocol field of PPP, perhaps with HDLC's address and control before it
MPLS: Final = 5  # a stack of labels
IP: Final = 6  # an IP header (kind: 4, 6 or 0 for any)
UPPER: Final = 7  # what an IP header announces (kind: IP protocol number)
WLAN: Final = 8  # an IEEE 802.11 header

# Encapsulations, as numbers that fit in six bits of a path; 0 ends it.
VLAN: Final = 1
VN_TAG: Final = 2
E_TAG: Final = 3
HSR: Final = 4
CMD: Final = 5
MPLS_LABELS: Final = 6
PPPOE: Final = 7
PBB: Final = 8
FABRICPATH: Final = 9
TRILL: Final = 10
ISL: Final = 11
NSH: Final = 12
MACSEC: Final = 13
ETHERNET_IN: Final = 14
PPP_IN: Final = 15
WLAN_IN: Final = 16
IPV4_IN: Final = 17
IPV6_IN: Final = 18
GRE: Final = 19
ERSPAN: Final = 20
WCCP: Final = 21
ETHERIP: Final = 22
L2TP: Final = 23
VXLAN: Final = 24
VXLAN_GPE: Final = 25
GENEVE: Final = 26
GTP: Final = 27
TEREDO: Final = 28
AYIYA: Final = 29
LISP: Final = 30
CAPWAP: Final = 31
LWAPP: Final = 32
TZSP: Final = 33
UDP: Final = 34
TIMESTAMP: Final = 35
R_TAG: Final = 36
MULTILINK: Final = 37

ENCAPSULATION_NAMES: Final[tuple[str, ...]] = (
    "",
    "vlan",
    "vntag",
    "etag",
    "hsr",
    "cmd",
    "mpls",
    "pppoe",
    "pbb",
    "fabricpath",
    "trill",
    "isl",
    "nsh",
    "macsec",
    "ethernet",
    "ppp",
    "wlan",
    "ipv4",
    "ipv6",
    "gre",
    "erspan",
    "wccp",
    "etherip",
    "l2tp",
    "vxlan",
    "vxlan-gpe",
    "geneve",
    "gtp",
    "teredo",
    "ayiya",
    "lisp",
    "capwap",
    "lwapp",
    "tzsp",
    "udp",
    "timestamp",
    "rtag",
    "multilink",
)
"""Name of each encapsulation, by its number."""

FULL_PATH: Final = 1 << 54
"""A path of this size or more has ten encapsulations; further ones are not written down."""

UNBOUNDED: Final = 1 << 40
"""``stop`` where no layer so far has told a length."""


class Cursor:
    """The state of unwrapping one frame; one object, used for all of them.

    ``data[o:end]`` are captured bytes, ``stop`` is where the packet ends by the lengths of the layers outside, which
    may lie behind ``end``. After reassembly ``data`` is the rebuilt packet instead of the chunk.
    """

    def __init__(self) -> None:
        self.data: bytes = b""
        self.o: i64 = 0
        self.end: i64 = 0
        self.stop: i64 = 0
        self.limit: i64 = 0  # where a packet whose own length field is 0 can end at most
        self.next: i64 = LINK
        self.kind: i64 = 0
        self.layers: i64 = 0  # headers taken off
        self.path: i64 = 0  # encapsulations, six bits each, the outermost in the highest
        self.verify: bool = False  # judge the TCP checksum
        self.unsure: bool = False  # it cannot be judged
        self.guessed: bool = False  # only a port number announced what is here, so it must prove itself
        self.tunnel: bool = False  # inside a tunnel: an IP header lies outside
        self.ip: i64 = 0  # the latest IP header, in ``data``
        self.version: i64 = 0  # and its version
        self.extensions: i64 = 0  # IPv6 extension headers behind it
        self.sized: bool = False  # its length field is not 0
        self.time_ns: i64 = 0  # of the frame
        self.number: i64 = 0  # of the frame
        # An A-MSDU (IEEE 802.11 section 9.3.2.2): what is needed to go on with its next subframe, 0 if there is none.
        self.subframe: i64 = 0
        self.subframe_end: i64 = 0
        self.subframe_stop: i64 = 0
        self.subframe_limit: i64 = 0
        self.subframe_path: i64 = 0
        self.subframe_layers: i64 = 0
        self.subframe_data: bytes = b""

    def enter(self, encapsulation: i64) -> None:
        """Note that what follows lies within ``encapsulation``."""
        if self.path < FULL_PATH:
            self.path = self.path << 6 | encapsulation

    def short(self, need: i64) -> i64:
        """The skip code if the next ``need`` octets of a header are not all there: cut, or ended before them."""
        if self.o + need <= self.stop:
            return CUT_TUNNEL_HEADER if self.tunnel else CUT_LINK_HEADER
        return NOT_TCP if self.tunnel else NOT_IP

    def to(self, what: i64, kind: i64, o: i64) -> i64:
        """Go on with ``what`` at ``o``; returns :data:`NEXT`."""
        self.next = what
        self.kind = kind
        self.o = o
        return NEXT

    def to_ethernet(self, encapsulation: i64, header: i64) -> i64:
        """Go on with an Ethernet header that ``encapsulation`` carries, ``header`` octets further on."""
        self.enter(encapsulation)
        return self.to(ETHER, 0, self.o + header)

    def end_at(self, stop: i64) -> None:
        """Narrow the bounds to ``stop``, a length that a header told."""
        if stop < self.stop:
            self.stop = stop
            if stop < self.end:
                self.end = stop


def path_name(path: i64) -> str:
    """Readable form of ``Cursor.path``, outermost first: ``vlan/gre/ipv4``."""
    names: list[str] = []
    while path > 0:
        code: i64 = path & 63
        names.append(ENCAPSULATION_NAMES[code])
        path >>= 6
    names.reverse()
    return "/".join(names)
