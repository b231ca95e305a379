"""From a captured frame to the TCP segment in it."""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.wire.ip import decode_ip
from tcpscope.wire.link import network_offset
from tcpscope.wire.segment import Segment


class Decoder:
    """Decodes frames of any known link type. ``verify_checksums``: judge TCP checksums where all bytes are there."""

    def __init__(self, verify_checksums: bool) -> None:
        self.verify_checksums: bool = verify_checksums

    def decode(self, frame: Frame, segment: Segment) -> i64:
        """Fill ``segment`` from ``frame``. Returns 0, or the code of :mod:`tcpscope.wire.skips` that says why not.

        After a code other than 0 the fields of ``segment`` mean nothing.
        """
        ip: i64 = 0
        stop: i64 = 0
        ip, stop = network_offset(frame.data, frame.start, frame.end, frame.link_type)
        if ip < 0:
            return -ip
        segment.frame = frame.number
        segment.time_ns = frame.time_ns
        return decode_ip(segment, frame, ip, stop, self.verify_checksums, 0)
