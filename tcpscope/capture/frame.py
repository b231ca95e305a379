"""The one reused record that a capture reader fills for each frame.

Bytes are never copied: ``data[start:end]`` are the captured bytes, ``data`` is the chunk that the reader holds.
"""

from __future__ import annotations

from mypy_extensions import i64


class Frame:
    """One captured frame. Offsets are into ``data``; ``time_ns`` is nanoseconds since 1970 UTC.

    ``number`` is 1-based; where files are joined it is counted through all of them, as in the output of ``mergecap -a``.
    ``wire_length`` is the length on the wire, at least ``end - start`` unless the file lies. ``link_type`` is the LINKTYPE_
    number of the frame's interface, ``interface`` its index in the file (0 in classic pcap), counted over all sections.
    """

    def __init__(self) -> None:
        self.data: bytes = b""
        self.start: i64 = 0
        self.end: i64 = 0
        self.wire_length: i64 = 0
        self.time_ns: i64 = 0
        self.number: i64 = 0
        self.link_type: i64 = 0
        self.interface: i64 = 0
