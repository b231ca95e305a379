"""Finds the place in one direction where TLS begins, by content. Only the start of an in-order slice is looked at."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.stream import ByteStream
from tcpscope.state.tls_side import LIVE, TlsSide
from tcpscope.wire import tls
from tcpscope.wire.segment import Segment

MAX_SEGMENTS: Final = 64
MAX_BYTES: Final = 64 * 1024
MAX_HELD: Final = 16 * 1024
MAX_PENDING: Final = 64

# What is known of the other direction.
NOTHING: Final = 0
CLIENT_FIRST: Final = 1  # it sent a ClientHello as its very first bytes: this direction answers it, whatever it says
CLIENT_LATER: Final = 2  # it sent a ClientHello behind a preamble, of which this direction may still send some
SERVER: Final = 3  # it sent a ServerHello
RECORDS: Final = 4  # it has records, met in the middle


@mypyc_attr(acyclic=True)
class Sniffer:
    """One direction: its stream, and, until TLS is found, what is needed to find it.

    ``missing`` says that the stream does not begin at its SYN.
    """

    def __init__(self, missing: bool) -> None:
        self.stream: ByteStream = ByteStream(MAX_HELD)
        self.side: TlsSide | None = None  # set once TLS is found
        self.missing: bool = missing
        self.clean: bool = not missing
        self.segments: i64 = 0
        self.bytes: i64 = 0
        self.at: i64 = 0  # bytes up to here were looked at
        self.looks: i64 = tls.LOOKS_UNKNOWN
        self.acked: i64 = -1  # highest acknowledgement that came with its data
        self.cut_frame: i64 = 0  # first segment of which the snap length cut bytes
        # Where TLS was found: stream position, and offset into the slice at hand.
        self.found_at: i64 = 0
        self.found_offset: i64 = 0
        # Bytes that may be the beginning of a hello, and where they came from.
        self.pending: bytes = b""
        self.pending_ack: i64 = -1
        self.pending_frame: i64 = 0
        self.pending_time: i64 = 0

    def resume(self, segments: i64, size: i64, looks: i64) -> None:
        """Go on behind so many bytes in order, which were looked at and begin no TLS."""
        self.segments = segments
        self.bytes = size
        self.at = size
        self.stream.next = size
        self.looks = looks

    def exhausted(self) -> bool:
        """True if the bound for looking is reached."""
        return is_exhausted(self.segments, self.bytes)

    def is_padding(self, seg: Segment) -> bool:
        """Zero bytes where a record header is due: Ethernet padding that was counted as payload. No record begins with them."""
        t = self.side
        if t is not None and (t.state != LIVE or t.left > 0 or len(t.header) > 0):
            return False
        if t is None and len(self.pending) > 0:
            return False
        i: i64 = seg.payload
        end: i64 = seg.payload + seg.captured
        while i < end:
            if seg.data[i] != 0:
                return False
            i += 1
        return seg.captured > 0

    def examine(self, known: i64, floor: i64) -> bool:
        """Look at the slice that is ready. True if TLS begins here: ``found_at`` and, behind ``pending``, ``found_offset``.

        ``known``: what the other direction is; ``floor``: bytes of this one before it belong to a preamble, -1 unknown.
        """
        stream = self.stream
        data = stream.data
        start: i64 = stream.start
        end: i64 = stream.end
        position: i64 = stream.position
        if end <= start:
            return False
        if position > self.at:
            self.clean = False
            self.pending = b""
        if position == 0 and not self.missing:
            self.looks = tls.looks(data, start, end)
        self.at = position + (end - start)
        if floor > position:
            self.pending = b""
            if floor >= position + (end - start):
                return False
            start += floor - position
            position = floor
        elif position == 0 and known == NOTHING:
            skip: i64 = proxy_header(data, start, end)
            start += skip
            position += skip
        found: i64 = tls.NO
        if len(self.pending) > 0:
            blob = self.pending + data[start : end if end - start < 512 else start + 512]
            found = self._test(known, blob, 0, len(blob), self.found_at)
            if found == tls.YES:
                self.found_offset = start
                return True
            if found == tls.MORE and len(blob) < MAX_PENDING:
                self.pending = blob
                return False
            self.pending = b""  # no hello; the slice itself may begin with one
        found = self._test(known, data, start, end, position)
        self.found_at = position
        self.found_offset = start
        if found == tls.MORE:
            self.pending = data[start:end]
            self.pending_ack = stream.ack
            self.pending_frame = stream.frame
            self.pending_time = stream.time_ns
        return found == tls.YES

    def _test(self, known: i64, data: bytes, start: i64, end: i64, position: i64) -> i64:
        """Whether TLS begins at ``data[start]``, stream ``position``: NO, YES or MORE."""
        if known == CLIENT_FIRST and self.clean:
            return tls.YES
        if known == CLIENT_FIRST or known == CLIENT_LATER:
            if end - start < 5:
                kind: i64 = data[start]
                return tls.MORE if tls.CHANGE_CIPHER_SPEC <= kind <= tls.HEARTBEAT else tls.NO
            if not tls.record_header(data, start):
                return tls.NO
            if self.clean or tls.record_chain(data, start, end):
                return tls.YES
            return tls.hello_start(data, start, end, tls.SERVER_HELLO, False)
        first: bool = position == 0 and not self.missing
        found: i64 = tls.hello_start(data, start, end, tls.CLIENT_HELLO, first)
        if found == tls.NO:
            found = tls.ssl2_hello_start(data, start, end)
        if found == tls.NO and known != SERVER:
            found = tls.hello_start(data, start, end, tls.SERVER_HELLO, first)
        # Only where the hello may be missing do bare records prove TLS.
        if found == tls.NO and (known != NOTHING or not self.clean) and tls.record_chain(data, start, end):
            found = tls.YES
        return found


def is_exhausted(segments: i64, size: i64) -> bool:
    """Whether so many segments with so many bytes in all are enough to look at."""
    return segments >= MAX_SEGMENTS or size >= MAX_BYTES


def may_be_proxy(data: bytes, start: i64) -> bool:
    """Whether bytes, three at least, may begin a PROXY protocol header: of version 1 (``PROXY``; not ``POST``) or 2."""
    first: i64 = data[start]
    if first == 0x50:
        return data[start + 1] == 0x52 and data[start + 2] == 0x4F
    return first == 0x0D


def proxy_header(data: bytes, start: i64, end: i64) -> i64:
    """Length of a PROXY protocol header (version 1 or 2) that stands in front of other bytes; 0 if there is none."""
    n: i64 = end - start
    if n < 16:
        return 0
    if data[start : start + 6] == b"PROXY ":
        stop: i64 = data.find(b"\r\n", start, start + 107 if n > 107 else end)
        return stop + 2 - start if stop > 0 and stop + 2 < end else 0
    if data[start : start + 12] == b"\r\n\r\n\0\r\nQUIT\n":
        high: i64 = data[start + 14]
        low: i64 = data[start + 15]
        length: i64 = 16 + (high << 8 | low)
        return length if length < n else 0
    return 0
