"""Where Wireshark gives one TCP connection a second ``tcp.stream``: dissectors that begin a conversation of their own.

Numbers of the connections after it shift with it, so whoever wants to filter by ``tcp.stream`` needs this quirk.
"""

from __future__ import annotations

from typing import Final

from tcpscope.wire.segment import Segment

VNC_VERSION: Final = 12
"""Length of the message with which both sides of VNC begin (RFC 6143 section 7.1.1)."""


def begins_conversation(seg: Segment) -> bool:
    """Whether Wireshark's VNC heuristics recognise this segment and begin a conversation for what follows it.

    They are not asked on VNC's own ports. For segments with :data:`VNC_VERSION` bytes of payload.
    """
    if seg.captured != VNC_VERSION or _is_vnc_port(seg.src_port) or _is_vnc_port(seg.dst_port):
        return False
    text = seg.data[seg.payload : seg.payload + VNC_VERSION]
    return text.startswith(b"RFB ") and text[7] == 46 and text[11] == 10


def _is_vnc_port(port: int) -> bool:
    return 5900 <= port <= 5901 or 5500 <= port <= 5501
