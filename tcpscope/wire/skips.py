"""Why a frame gave no TCP segment: the skip codes of :meth:`tcpscope.wire.decoder.Decoder.decode` and their names."""

from __future__ import annotations

from typing import Final

DECODED: Final = 0
NOT_IP: Final = 1
NOT_TCP: Final = 2
UNKNOWN_LINK_TYPE: Final = 3
CUT_LINK_HEADER: Final = 4
CUT_IP_HEADER: Final = 5
BAD_IP_HEADER: Final = 6
FRAGMENT: Final = 7
CUT_TCP_HEADER: Final = 8
BAD_TCP_HEADER: Final = 9
TOO_DEEP: Final = 10
NOT_A_PACKET: Final = 11
CUT_TUNNEL_HEADER: Final = 12
ENCRYPTED: Final = 13
ICMP_ERROR: Final = 14
DAMAGED_FRAME: Final = 15

SKIP_NAMES: Final[tuple[str, ...]] = (
    "decoded",
    "not-ip",
    "not-tcp",
    "unknown-link-type",
    "cut-link-header",
    "cut-ip-header",
    "bad-ip-header",
    "fragment",
    "cut-tcp-header",
    "bad-tcp-header",
    "too-deep",
    "not-a-packet",
    "cut-tunnel-header",
    "encrypted",
    "icmp-error",
    "damaged-frame",
)
"""Name of each skip code, by its number.

``fragment``: one that completed no datagram; the frame that completes it counts as a segment. ``too-deep``: more
headers inside one another than any real packet has. ``not-a-packet``: a record of another kind, such as a journal entry
in pcapng, that Wireshark numbers as a frame. ``icmp-error``: an ICMP message about a TCP segment, told in
:attr:`tcpscope.wire.decoder.Decoder.icmp`. ``damaged-frame``: the capturing side found the frame's check sequence wrong.
"""
