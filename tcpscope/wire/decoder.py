"""From a captured frame to the TCP segment in it, whatever the link and however many tunnels."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.wire.cursor import (
    ETHER,
    ETHERTYPE,
    IP,
    LINK,
    LLC,
    MPLS,
    NEXT,
    PPP,
    UNBOUNDED,
    UPPER,
    VLAN,
    Cursor,
    path_name,
)
from tcpscope.wire.fragments import Reassembler
from tcpscope.wire.icmp import IcmpError, decode_icmp
from tcpscope.wire.ip import MAX_OFFLOAD, decode_ip, decode_upper, direct_tcp
from tcpscope.wire.link import (
    decode_ethernet,
    decode_ethertype,
    decode_llc,
    plain_ip,
    tagged_ip,
)
from tcpscope.wire.link_ppp import decode_ppp
from tcpscope.wire.link_rare import decode_link
from tcpscope.wire.link_shims import decode_mpls
from tcpscope.wire.protocols import ICMP, ICMPV6, UDP, is_tunnel
from tcpscope.wire.segment import CHECKSUM_UNSURE, Segment
from tcpscope.wire.skips import (
    BAD_IP_HEADER,
    BAD_TCP_HEADER,
    CUT_IP_HEADER,
    CUT_LINK_HEADER,
    CUT_TCP_HEADER,
    CUT_TUNNEL_HEADER,
    DECODED,
    ICMP_ERROR,
    NOT_IP,
    NOT_TCP,
    TOO_DEEP,
)
from tcpscope.wire.tunnel import decode_tunnel
from tcpscope.wire.tunnel_udp import decode_udp
from tcpscope.wire.wlan import decode_wlan, next_subframe

MAX_LAYERS: Final = 24
"""Headers that may lie inside one another before TCP; tags, labels and IPv6 extension headers have bounds of their own."""

PLAIN: Final = 0
OTHER: Final = 1

MAX_ENCAPSULATIONS: Final = 1024
"""Different paths that are told apart; a capture that has more is made up, and its further ones are all OTHER."""


class Decoder:
    """Decodes frames of any known link type. ``verify_checksums``: judge TCP checksums where all bytes are there.

    ``icmp`` is filled when :meth:`decode` returns ICMP_ERROR. ``reassembler`` counts what there is to say about
    fragments. ``pending``: the frame may hold further segments, see :meth:`more`.
    """

    def __init__(self, verify_checksums: bool) -> None:
        self.verify_checksums: bool = verify_checksums
        self.pending: bool = False
        self.icmp: IcmpError = IcmpError()
        self.reassembler: Reassembler = Reassembler()
        self.cursor: Cursor = Cursor()
        self.latest_path: i64 = 0
        self.latest_id: i64 = PLAIN
        self.ids: dict[int, int] = {0: PLAIN}
        self.names: list[str] = ["", "other"]
        self.unnamed: i64 = 0  # times that a path was found which has no name of its own

    def decode(self, frame: Frame, segment: Segment) -> i64:
        """Fill ``segment`` from ``frame``. Returns 0, or the code of :mod:`tcpscope.wire.skips` that says why not.

        After a code other than 0 the fields of ``segment`` mean nothing. What it points at is valid until the next call.
        """
        self.pending = False
        data: bytes = frame.data
        end: i64 = frame.end
        ip: i64 = plain_ip(data, frame.start, end, frame.link_type)
        tagged: bool = False
        if ip < 0:
            ip = tagged_ip(data, frame.start, end, frame.link_type)
            tagged = ip >= 0
        if ip >= 0:
            code: i64 = direct_tcp(segment, data, ip, end, UNBOUNDED, self.verify_checksums)
            if code != NEXT:
                segment.frame = frame.number
                segment.time_ns = frame.time_ns
                segment.interface = frame.interface
                segment.encapsulation = PLAIN
                segment.rebuilt = False
                if tagged:
                    segment.encapsulation = self._identify(VLAN)
                return code
        c: Cursor = self.cursor
        c.data = data
        c.end = end
        c.stop = UNBOUNDED
        c.limit = max(end, frame.start + min(frame.wire_length, MAX_OFFLOAD))
        c.layers = 0
        c.path = 0
        c.subframe = 0
        c.guessed = False
        c.tunnel = False
        c.number = frame.number
        c.time_ns = frame.time_ns
        if tagged:
            c.path = VLAN
        if ip >= 0:
            c.to(IP, 0, ip)
        else:
            c.to(LINK, frame.link_type, frame.start)
        code = self._unwrap(frame, segment)
        while self.pending and code != DECODED and code != ICMP_ERROR:
            code = self._next_subframe(frame, segment)
        return code

    def more(self, frame: Frame, segment: Segment) -> bool:
        """Fill ``segment`` with the next one of the same frame, while ``pending`` is set; False if there is none after all.

        Only an A-MSDU of IEEE 802.11 holds several.
        """
        while self.pending:
            if self._next_subframe(frame, segment) == DECODED:
                return True
        return False

    def encapsulation_name(self, encapsulation: i64) -> str:
        """What :attr:`Segment.encapsulation` stands for, outermost first, such as ``vlan/gre/ipv4``; "" for nothing."""
        return self.names[encapsulation]

    def _next_subframe(self, frame: Frame, segment: Segment) -> i64:
        """Decode the next packet of an A-MSDU."""
        code: i64 = next_subframe(self.cursor)
        if code == NEXT:
            return self._unwrap(frame, segment)
        self.pending = self.cursor.subframe != 0
        return code

    def _unwrap(self, frame: Frame, segment: Segment) -> i64:
        """Take off header after header, from where the cursor stands; returns 0 or a skip code."""
        c: Cursor = self.cursor
        c.verify = self.verify_checksums
        c.unsure = False
        code: i64 = NEXT
        while code == NEXT:
            if c.next == UPPER:
                code = self._upper(segment)
            elif c.layers < MAX_LAYERS:
                c.layers += 1
                code = self._layer(segment)
            else:
                code = TOO_DEEP
        if code == DECODED:
            segment.frame = frame.number
            segment.time_ns = frame.time_ns
            segment.interface = frame.interface
            segment.encapsulation = self._identify(c.path)
            segment.rebuilt = c.data is not frame.data
            if c.unsure:
                segment.checksum = CHECKSUM_UNSURE
        elif c.guessed and is_doubt(code, c.end < c.stop):
            code = NOT_TCP
        self.pending = c.subframe != 0
        return code

    def _layer(self, segment: Segment) -> i64:
        """Take one header off."""
        c: Cursor = self.cursor
        what: i64 = c.next
        if what == IP:
            return decode_ip(c, segment, self.reassembler)
        if what == ETHERTYPE:
            return decode_ethertype(c)
        if what == ETHER:
            return decode_ethernet(c)
        if what == LINK:
            return decode_link(c)
        if what == LLC:
            return decode_llc(c)
        if what == PPP:
            return decode_ppp(c)
        if what == MPLS:
            return decode_mpls(c)
        return decode_wlan(c)

    def _upper(self, segment: Segment) -> i64:
        """What an IP header carries."""
        c: Cursor = self.cursor
        if c.kind == UDP:
            return decode_udp(c)
        if c.kind == ICMP or c.kind == ICMPV6:
            return decode_icmp(c, self.icmp)
        if is_tunnel(c.kind):
            return decode_tunnel(c)
        return decode_upper(c, segment, self.reassembler)

    def _identify(self, path: i64) -> i64:
        """The number of a path of encapsulations, given on first sight."""
        if path == self.latest_path:
            return self.latest_id
        found: i64 = self.ids.get(path, -1)
        if found < 0:
            if len(self.names) < MAX_ENCAPSULATIONS:
                found = len(self.names)
                self.names.append(path_name(path))
                self.ids[path] = found
            else:
                found = OTHER
                self.unnamed += 1
        self.latest_path = path
        self.latest_id = found
        return found


def is_doubt(code: i64, cut: bool) -> bool:
    """Whether a skip code means that what only a port number announced is something else."""
    if code == CUT_TUNNEL_HEADER or code == CUT_LINK_HEADER or code == CUT_IP_HEADER or code == CUT_TCP_HEADER:
        return not cut
    return code == NOT_IP or code == BAD_IP_HEADER or code == BAD_TCP_HEADER
