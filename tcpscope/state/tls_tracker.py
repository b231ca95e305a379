"""TLS of one TCP connection: found by content on any port, then followed to its end.

Until a hello is seen only the start of each segment is looked at, for the first 64 segments and 64 KiB of each direction; after
that :attr:`TlsConnection.off` tells the caller to stop feeding it. A plaintext preamble (STARTTLS, CONNECT, SOCKS, a database
greeting) needs no knowledge of its protocol: the hello begins a segment, and the segment's acknowledgement number says which
bytes of the other direction still belong to the preamble.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.stream import MAX_HELD, ByteStream
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_outcome import COMPLETE, INCOMPLETE, Ending, Outcome, assess
from tcpscope.state.tls_side import DEAD_SSL2, LIVE, TlsSide
from tcpscope.wire import tls
from tcpscope.wire.segment import Segment

MAX_SNIFFED_SEGMENTS: Final = 64
MAX_SNIFFED_BYTES: Final = 64 * 1024
MAX_SNIFFED_HELD: Final = 16 * 1024
MAX_PADDING: Final = 6  # bytes of Ethernet padding that some capture points count into the IP length

__all__ = ["COMPLETE", "INCOMPLETE", "TlsConnection"]


class Sniffer:
    """One direction before TLS is found in it."""

    def __init__(self) -> None:
        self.stream: ByteStream = ByteStream(MAX_SNIFFED_HELD)
        self.side: TlsSide | None = None  # set once TLS is found
        self.segments: i64 = 0
        self.bytes: i64 = 0
        self.at: i64 = 0  # in-order bytes up to here were looked at
        self.clean: bool = True
        self.looks: i64 = tls.LOOKS_UNKNOWN
        self.acked: i64 = -1  # highest acknowledgement that this side sent with data
        # Bytes that may be the beginning of a hello, and where they came from.
        self.pending: bytes = b""
        self.pending_at: i64 = 0
        self.pending_ack: i64 = -1
        self.pending_frame: i64 = 0
        self.pending_time: i64 = 0


class TlsConnection:
    """Follow one connection. Sides are 0 and 1 as the caller numbers its endpoints; the roles come from the hellos.

    After :meth:`finish` the results are in ``recognised``, ``client_side``, ``outcome`` and ``log``.
    """

    def __init__(self) -> None:
        self.off: bool = False  # nothing more to find: the caller may stop feeding
        self.recognised: bool = False
        self.client_side: i64 = -1
        self.missing_start0: bool = False  # that direction does not begin at its SYN
        self.missing_start1: bool = False
        # What the first bytes of each direction look like (wire.tls.LOOKS_…); unknown if the start is not in the capture.
        self.looks0: i64 = tls.LOOKS_UNKNOWN
        self.looks1: i64 = tls.LOOKS_UNKNOWN
        # Bytes of each side's stream that the other acknowledged at the end; the owner may set them, -1 unknown.
        self.acked0: i64 = -1
        self.acked1: i64 = -1
        self.end_side: i64 = -1
        self.end_reset: bool = False
        self.server_from: i64 = -1  # where the server's TLS begins, by the acknowledgement in the ClientHello's segment
        self.preamble: bool = False  # the hello was not the first of its direction
        self.lost0: bool = False  # bytes of that side are known to be missing
        self.lost1: bool = False
        self.sniffer0: Sniffer | None = None
        self.sniffer1: Sniffer | None = None
        self.log: TlsLog | None = None
        self.outcome: Outcome | None = None

    def segment(self, side: i64, seg: Segment, position: i64, acked: i64) -> None:
        """One segment with payload. ``position``: stream offset of its first byte; ``acked``: bytes of the other stream it
        acknowledges, -1 unknown."""
        if self.off:
            return
        s = self.sniffer0 if side == 0 else self.sniffer1
        if s is None:
            s = Sniffer()
            if side == 0:
                s.clean = not self.missing_start0
                self.sniffer0 = s
            else:
                s.clean = not self.missing_start1
                self.sniffer1 = s
        stream = s.stream
        t = s.side
        length: i64 = seg.length
        if acked > s.acked:
            s.acked = acked
        if t is not None:
            if (
                position == stream.next
                and position + length <= t.skip_end
                and stream.count == 0
                and seg.captured == length
            ):
                # In the middle of an encrypted record.
                stream.next = position + length
                t.at = position + length
                t.left -= length
                return
        else:
            s.segments += 1
            s.bytes += length
        if length <= MAX_PADDING and self._is_padding(s, seg):
            return
        ready: bool = stream.offer(seg.data, seg.payload, seg.captured, length, position, acked)
        while ready:
            self._slice(side, s, seg.frame, seg.time_ns)
            ready = stream.more()
        if s.side is None and (s.segments >= MAX_SNIFFED_SEGMENTS or s.bytes >= MAX_SNIFFED_BYTES):
            self._give_up()

    def gap(self, side: i64, position: i64) -> None:
        """Bytes of ``side`` before ``position`` were acknowledged but are not in the capture."""
        if side == 0:
            self.lost0 = True
        else:
            self.lost1 = True
        s = self.sniffer0 if side == 0 else self.sniffer1
        if s is None or self.off:
            return
        ready: bool = s.stream.gap(position)
        while ready:
            self._slice(side, s, self._frame(s), self._time(s))
            ready = s.stream.more()

    def closed(self, side: i64, reset: bool) -> None:
        """Optional: this side sent a FIN or RST. Only the first call counts; it tells who ended the connection."""
        if self.end_side < 0:
            self.end_side = side
            self.end_reset = reset

    def finish(self, side_fin0: bool, side_fin1: bool, rst0: bool, rst1: bool) -> None:
        """The connection, or the capture, is over: deliver what waits and judge."""
        self._drain(0, self.sniffer0)
        self._drain(1, self.sniffer1)
        log = self.log
        if log is None or not self.recognised:
            return
        self.client_side = log.client_side
        near = self.sniffer0
        far = self.sniffer1
        ending = Ending()
        fin_near = side_fin0
        fin_far = side_fin1
        rst_near = rst0
        rst_far = rst1
        if log.client_side == 1:
            near = self.sniffer1
            far = self.sniffer0
            fin_near = side_fin1
            fin_far = side_fin0
            rst_near = rst1
            rst_far = rst0
        ending.fin_client = fin_near
        ending.fin_server = fin_far
        ending.rst_client = rst_near
        ending.rst_server = rst_far
        self._fill_ending(ending, near, far)
        client = near.side if near is not None else None
        server = far.side if far is not None else None
        self.outcome = assess(log, client, server, ending)

    def _fill_ending(self, ending: Ending, near: Sniffer | None, far: Sniffer | None) -> None:
        swapped: bool = self.client_side == 1
        if self.end_side >= 0:
            ending.first = 0 if (self.end_side == 1) == swapped else 1
            ending.first_reset = self.end_reset
        ending.acked_client = self.acked1 if swapped else self.acked0
        ending.acked_server = self.acked0 if swapped else self.acked1
        ending.lost_server = self.lost0 if swapped else self.lost1
        ending.server_looks = self.looks0 if swapped else self.looks1
        if near is not None and near.acked > ending.acked_server:
            ending.acked_server = near.acked
        if far is not None:
            ending.seen_server = far.stream.next
            if far.acked > ending.acked_client:
                ending.acked_client = far.acked

    def _drain(self, side: i64, s: Sniffer | None) -> None:
        if s is None or self.off:
            return
        ready: bool = s.stream.drain()
        while ready:
            self._slice(side, s, self._frame(s), self._time(s))
            ready = s.stream.more()
        t = s.side
        if t is not None and s.stream.next > t.at:
            t.lose(s.stream.next - t.at)

    def _frame(self, s: Sniffer) -> i64:
        """Frame to put to bytes that a gap sets free: the last one looked at."""
        t = s.side
        return t.frame if t is not None else s.pending_frame

    def _time(self, s: Sniffer) -> i64:
        t = s.side
        return t.time_ns if t is not None else s.pending_time

    def _give_up(self) -> None:
        """No TLS in the first bytes of this direction. The other one, if it has TLS, is followed on."""
        a = self.sniffer0
        b = self.sniffer1
        if (a is None or a.side is None) and (b is None or b.side is None):
            self.off = True
            self.sniffer0 = None
            self.sniffer1 = None

    def _is_padding(self, s: Sniffer, seg: Segment) -> bool:
        """Zero bytes where a record header is due: Ethernet padding that was counted as payload. No record begins with them."""
        t = s.side
        if t is not None and (t.state != LIVE or t.left > 0 or len(t.header) > 0):
            return False
        if t is None and len(s.pending) > 0:
            return False
        i: i64 = seg.payload
        end: i64 = seg.payload + seg.captured
        while i < end:
            if seg.data[i] != 0:
                return False
            i += 1
        return seg.captured > 0

    def _slice(self, side: i64, s: Sniffer, frame: i64, time_ns: i64) -> None:
        """The next in-order bytes of a direction are ready in its stream."""
        stream = s.stream
        t = s.side
        if t is not None:
            t.consume(stream.data, stream.start, stream.end, stream.position, frame, time_ns, stream.ack)
        else:
            self._sniff(side, s, frame, time_ns)

    def _sniff(self, side: i64, s: Sniffer, frame: i64, time_ns: i64) -> None:
        """Look at the start of a slice for a hello; bytes that are too few to tell wait for the next slice."""
        stream = s.stream
        data = stream.data
        start: i64 = stream.start
        end: i64 = stream.end
        position: i64 = stream.position
        if end <= start:
            return
        if position > s.at:
            s.clean = False
            s.pending = b""
        if position == 0:
            missing: bool = self.missing_start0 if side == 0 else self.missing_start1
            s.looks = tls.LOOKS_UNKNOWN if missing else tls.looks(data, start, end)
            if side == 0:
                self.looks0 = s.looks
            else:
                self.looks1 = s.looks
        s.at = position + (end - start)
        if len(s.pending) == 0:
            s.pending_at = position
            s.pending_ack = stream.ack
            s.pending_frame = frame
            s.pending_time = time_ns
        else:
            data = s.pending + data[start : end if end - start < 512 else start + 512]
            start = 0
            position = s.pending_at
        whole_end: i64 = len(data) if len(s.pending) > 0 else end
        start = self._skip_preamble(side, s, data, start, whole_end, position)
        if start < 0:
            return
        if start > 0 and len(s.pending) == 0 and start > stream.start:
            position += start - stream.start
        found: i64 = self._recognise(side, s, data, start, whole_end, position)
        if found == tls.MORE and whole_end - start < 64:
            s.pending = data[start:whole_end]
            return
        old = s.pending
        s.pending = b""
        if found == tls.YES:
            self._begin(side, s, position, frame, time_ns, old, data, start)
        elif len(old) > 0 and found == tls.NO:
            # What waited is no hello; the slice itself may still begin with one.
            s.at = stream.position
            self._sniff(side, s, frame, time_ns)

    def _skip_preamble(self, side: i64, s: Sniffer, data: bytes, start: i64, end: i64, position: i64) -> i64:
        """Offset at which TLS may begin in ``data[start:end]``; -1 if all of it belongs to a preamble.

        Bytes of the server that the ClientHello's segment acknowledges were sent before it. A PROXY header stands in front of
        the hello in the same segment.
        """
        if self.server_from >= 0 and self.recognised and position < self.server_from:
            if position + (end - start) <= self.server_from:
                s.pending = b""
                return -1
            return start + (self.server_from - position)
        if position == 0 and not self.recognised and end - start >= 16:
            if data[start : start + 6] == b"PROXY ":
                stop: i64 = data.find(b"\r\n", start, start + 107 if start + 107 < end else end)
                if stop > 0 and stop + 2 < end:
                    return stop + 2
            elif data[start : start + 12] == b"\r\n\r\n\0\r\nQUIT\n":
                high: i64 = data[start + 14]
                low: i64 = data[start + 15]
                if start + 16 + (high << 8 | low) < end:
                    return start + 16 + (high << 8 | low)
        return start

    def _recognise(self, side: i64, s: Sniffer, data: bytes, start: i64, end: i64, position: i64) -> i64:
        """Whether TLS begins at ``data[start]``: NO, YES, or MORE."""
        missing: bool = self.missing_start0 if side == 0 else self.missing_start1
        if self.recognised and self.log is not None and self.log.client_side == 1 - side:
            # The other side sent its ClientHello: this is the answer, whatever it is, unless a preamble may still go on.
            if not self.preamble or end - start < 5:
                return tls.YES
            return tls.YES if tls.record_header(data, start) else tls.NO
        first: bool = position == 0 and not missing
        found: i64 = tls.hello_start(data, start, end, tls.CLIENT_HELLO, first)
        if found == tls.NO:
            found = tls.ssl2_hello_start(data, start, end)
        if found == tls.NO:
            found = tls.hello_start(data, start, end, tls.SERVER_HELLO, first)
        if found == tls.NO and (missing or self.recognised or not s.clean) and tls.record_chain(data, start, end):
            return tls.YES
        return found

    def _begin(
        self, side: i64, s: Sniffer, position: i64, frame: i64, time_ns: i64, old: bytes, data: bytes, start: i64
    ) -> None:
        """TLS begins at ``data[start]``, which is stream ``position``. Bytes that waited go first, with their own origin."""
        stream = s.stream
        log = self.log
        if log is None:
            log = TlsLog()
            self.log = log
        self.recognised = True
        t = TlsSide(side, log, position, s.clean)
        s.side = t
        stream.limit = MAX_HELD
        known: bool = log.client_side == 1 - side
        if known and tls.ssl2_hello_start(data, start, len(data) if len(old) > 0 else stream.end) != tls.YES:
            hello = log.client_hello
            if hello is not None and hello.ssl2 and self._ssl2_answer(t, data, start, frame):
                return
        if not known and position > 0:
            self.preamble = True
        kind: i64 = data[start]
        if not known and kind & 0x80 != 0:
            log.client_side = side
            self.server_from = s.pending_ack
            if len(old) > 0:
                t.old_hello(old, 0, len(old), position, s.pending_frame, s.pending_time, s.pending_ack)
            else:
                t.old_hello(data, start, stream.end, position, frame, time_ns, stream.ack)
        else:
            if not known and kind == tls.HANDSHAKE and self._is_client_hello(data, start):
                log.client_side = side
                self.server_from = s.pending_ack
            elif not known and log.client_side < 0:
                t.unsure = not self._is_hello(data, start)
                if not t.unsure:
                    log.client_side = 1 - side
            if len(old) > 0:
                t.consume(old, 0, len(old), position, s.pending_frame, s.pending_time, s.pending_ack)
            else:
                t.consume(data, start, stream.end, position, frame, time_ns, stream.ack)
        if len(old) > 0:
            t.consume(stream.data, stream.start, stream.end, stream.position, frame, time_ns, stream.ack)

    def _is_client_hello(self, data: bytes, start: i64) -> bool:
        return data[start + 5 : start + 6] == b"\x01"

    def _is_hello(self, data: bytes, start: i64) -> bool:
        return data[start] == tls.HANDSHAKE and data[start + 5 : start + 6] == b"\x02"

    def _ssl2_answer(self, t: TlsSide, data: bytes, start: i64, frame: i64) -> bool:
        """True if the server answers in SSL 2.0: a two-byte header and message type 4 (SERVER-HELLO)."""
        if data[start] & 0x80 == 0 or data[start + 2 : start + 3] != b"\x04":
            return False
        t.frame = frame
        t.fault(f.SSLV2, tls.SSL2, 0)
        t.state = DEAD_SSL2
        return True
