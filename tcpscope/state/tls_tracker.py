"""TLS of one TCP connection: found by content on any port, then followed to its end.

Until a hello is seen only the start of each segment is looked at, for the first 64 segments and 64 KiB of each direction; after
that :attr:`TlsConnection.off` tells the caller to stop feeding it. A plaintext preamble (STARTTLS, CONNECT, SOCKS, a database
greeting) needs no knowledge of its protocol: the hello begins a segment, and the segment's acknowledgement number says which
bytes of the other direction still belong to the preamble.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64, mypyc_attr

from tcpscope.state import tls_detect
from tcpscope.state import tls_faults as f
from tcpscope.state.stream import MAX_HELD
from tcpscope.state.tls_carrier import UNKNOWN, Carrier, recognise
from tcpscope.state.tls_detect import Sniffer, is_exhausted, may_be_proxy
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_outcome import Ending, Outcome, assess
from tcpscope.state.tls_secrets import Opener, Secrets
from tcpscope.state.tls_side import DEAD_PROTOCOL, DEAD_SSL2, TlsSide
from tcpscope.wire import tls
from tcpscope.wire.segment import Segment
from tcpscope.wire.tls_hello import DEFECT_CUT

MAX_PADDING: Final = 6  # bytes of Ethernet padding that some capture points count into the IP length


@mypyc_attr(acyclic=True)
class TlsConnection:
    """Follow one connection. Sides are 0 and 1 as the caller numbers its endpoints; the roles come from the hellos.

    After :meth:`finish` the results are in ``recognised``, ``client_side``, ``outcome`` and ``log``.
    """

    def __init__(self) -> None:
        # Bytes of each side's stream that the other acknowledged; the owner may set them before finish, -1 unknown.
        self.acked0: i64 = -1
        self.acked1: i64 = -1
        self.server_from: i64 = -1  # where the server's TLS begins, by the acknowledgement in the ClientHello's segment
        # Frame of a hello of that side that cannot be read whole because the snap length cut it; 0 if there is none.
        self.cut_hello0: i64 = 0
        self.cut_hello1: i64 = 0
        # A direction that begins in clear needs no more than these, as long as its segments come in order and none may be a hello:
        # its bytes so far, their segments, and the highest acknowledgement that came with them.
        self.next0: i64 = 0
        self.next1: i64 = 0
        self.data_ack0: i64 = -1
        self.data_ack1: i64 = -1
        self.sniffer0: Sniffer | None = None
        self.sniffer1: Sniffer | None = None
        self.carrier: Carrier | None = None  # the dialogue that may lead to TLS
        self.secrets: Secrets | None = None  # set by the owner, if there are keys
        self.log: TlsLog | None = None
        self.outcome: Outcome | None = None
        # Small ones last, side by side: they would each take as much room as a large one.
        self.segments0: i32 = 0
        self.segments1: i32 = 0
        # What the first bytes of each direction look like (wire.tls.LOOKS_…); unknown if the start is not in the capture.
        self.looks0: i16 = tls.LOOKS_UNKNOWN
        self.looks1: i16 = tls.LOOKS_UNKNOWN
        self.client_side: i16 = -1
        self.end_side: i16 = -1
        self.end_reset: bool = False
        self.off: bool = False  # nothing more to find: the caller may stop feeding
        self.recognised: bool = False
        # Set by the owner before the first segment of that side: the direction does not begin at its SYN.
        self.missing_start0: bool = False
        self.missing_start1: bool = False
        self.preamble: bool = False  # the ClientHello was not the first of its direction
        self.lost0: bool = False  # bytes of that side were acknowledged that the capture lacks
        self.lost1: bool = False
        self.spoken: bool = False  # somebody has spoken, so it is known whether there is a dialogue

    def segment(self, side: i64, seg: Segment, position: i64, acked: i64) -> None:
        """One segment with payload. ``position``: offset of its first byte in the stream of ``side``, 0 behind the SYN;
        ``acked``: how many bytes of the other stream it acknowledges, -1 unknown.
        """
        if self.off:
            return
        s = self.sniffer0 if side == 0 else self.sniffer1
        if s is None:
            if self.log is None and self._in_clear(side, seg, position, acked):
                return
            s = self._open(side)
        stream = s.stream
        length: i64 = seg.length
        if acked > s.acked:
            s.acked = acked
        if seg.captured < length and s.cut_frame == 0:
            s.cut_frame = seg.frame
        t = s.side
        if t is not None:
            if (
                position == stream.next
                and position + length <= t.skip_end
                and stream.count == 0
                and seg.captured == length
            ):
                # Inside an encrypted record.
                stream.next = position + length
                t.at = position + length
                t.left -= length
                return
            if t.state >= DEAD_PROTOCOL:
                if position + length > stream.next:
                    stream.next = position + length
                    t.at = stream.next
                return
        else:
            if s.exhausted():
                return
            s.segments += 1
            s.bytes += length
        if length <= MAX_PADDING and s.is_padding(seg):
            return
        stream.now_frame = seg.frame
        stream.now_ns = seg.time_ns
        ready: bool = stream.offer(seg.data, seg.payload, seg.captured, length, position, acked)
        while ready:
            self._slice(side, s)
            ready = stream.more()
        t = s.side
        if t is None:
            if s.exhausted():
                self._give_up()
        elif stream.next > t.at:
            t.lose(stream.next - t.at)  # the snap length cut the rest, or a hole was given up

    def gap(self, side: i64, position: i64) -> None:
        """Bytes of ``side`` before ``position`` were acknowledged but are not in the capture."""
        if side == 0:
            self.lost0 = True
        else:
            self.lost1 = True
        s = self.sniffer0 if side == 0 else self.sniffer1
        if s is None and (self.next0 if side == 0 else self.next1) > 0 and not self.off:
            s = self._open(side)
        if s is not None and not self.off:
            self._deliver(side, s, s.stream.gap(position))

    def thought(self, log: TlsLog, now: i64, first: i64, second: i64) -> None:
        """How long the programs of both ends have thought since the connection began, behind a segment that brought events."""
        log.untimed = False
        a = self.sniffer0
        b = self.sniffer1
        if a is not None and a.side is not None:
            a.side.thought(now, first, second)
        if b is not None and b.side is not None:
            b.side.thought(now, first, second)

    def closed(self, side: i64, reset: bool) -> None:
        """The side sent a FIN or RST. Only the first call counts; it tells who ended the connection. Optional."""
        if self.end_side < 0:
            self.end_side = i16(side)
            self.end_reset = reset

    def finish(self, side_fin0: bool, side_fin1: bool, rst0: bool, rst1: bool) -> None:
        """The connection, or the capture, is over: deliver what waits and judge."""
        self._drain(0, self.sniffer0)
        self._drain(1, self.sniffer1)
        log = self.log
        if log is None:
            return
        if self.sniffer0 is None and self.next0 > 0:
            self._open(0)
        if self.sniffer1 is None and self.next1 > 0:
            self._open(1)
        if log.opener is not None:
            self._close_opener(log, log.opener)
        self.client_side = i16(log.client_side)
        swapped: bool = log.client_side == 1
        near = self.sniffer1 if swapped else self.sniffer0
        far = self.sniffer0 if swapped else self.sniffer1
        ending = Ending()
        ending.fin_client = side_fin1 if swapped else side_fin0
        ending.fin_server = side_fin0 if swapped else side_fin1
        ending.rst_client = rst1 if swapped else rst0
        ending.rst_server = rst0 if swapped else rst1
        ending.acked_client = self.acked1 if swapped else self.acked0
        ending.acked_server = self.acked0 if swapped else self.acked1
        ending.lost_server = self.lost0 if swapped else self.lost1
        ending.server_looks = i64(self.looks0 if swapped else self.looks1)
        if self.end_side >= 0:
            ending.first = 0 if (self.end_side == 1) == swapped else 1
            ending.first_reset = self.end_reset
        client: TlsSide | None = None
        server: TlsSide | None = None
        if near is not None:
            client = near.side
            if near.acked > ending.acked_server:
                ending.acked_server = near.acked
        if far is not None:
            server = far.side
            ending.seen_server = far.stream.next
            if server is None and far.stream.next > self.server_from:
                ending.lost_server = True  # it has bytes, but where TLS begins in them cannot be told
            if far.acked > ending.acked_client:
                ending.acked_client = far.acked
        self.outcome = assess(log, client, server, ending)
        self._cut_hellos(log, near, far)

    def _cut_hellos(self, log: TlsLog, near: Sniffer | None, far: Sniffer | None) -> None:
        """Find the hellos that the snap length cut. ``near``: the client's direction."""
        asked: i64 = 0
        answer: i64 = 0
        offer = log.client_hello
        if near is not None and near.cut_frame != 0 and offer is not None and offer.defect == DEFECT_CUT:
            asked = offer.frame
        if far is not None and far.cut_frame != 0:
            hello = log.server_hello if log.server_hello is not None else log.retry
            if hello is not None:
                answer = hello.frame if hello.defect == DEFECT_CUT else 0
            elif offer is not None and (far.side is None or far.side.nothing_before(far.cut_frame)):
                answer = far.cut_frame
        self.cut_hello0 = answer if log.client_side == 1 else asked
        self.cut_hello1 = asked if log.client_side == 1 else answer

    def _in_clear(self, side: i64, seg: Segment, position: i64, acked: i64) -> bool:
        """Take a segment in whose direction nothing calls for a Sniffer yet. False: this one does.

        It is the next one of a direction seen from its start, and its first byte begins no hello and no PROXY header.
        """
        length: i64 = seg.length
        if position != (self.next0 if side == 0 else self.next1) or seg.captured != length or length <= MAX_PADDING:
            return False
        if self.missing_start0 if side == 0 else self.missing_start1:
            return False
        first: i64 = seg.data[seg.payload]
        if first == tls.HANDSHAKE or first >= 0x80:
            return False
        looks: i64 = tls.LOOKS_UNKNOWN
        if position == 0:
            if may_be_proxy(seg.data, seg.payload):
                return False
            looks = tls.looks(seg.data, seg.payload, seg.payload + length)
        exhausted: bool
        if side == 0:
            if position == 0:
                self.looks0 = i16(looks)
            self.next0 = position + length
            self.segments0 += 1
            if acked > self.data_ack0:
                self.data_ack0 = acked
            exhausted = is_exhausted(i64(self.segments0), self.next0)
        else:
            if position == 0:
                self.looks1 = i16(looks)
            self.next1 = position + length
            self.segments1 += 1
            if acked > self.data_ack1:
                self.data_ack1 = acked
            exhausted = is_exhausted(i64(self.segments1), self.next1)
        if self.carrier is not None or not self.spoken:
            self._plain(side, seg.data, seg.payload, seg.payload + length, position, seg.frame, seg.time_ns, acked)
        if exhausted:
            self._give_up()
        return True

    def _plain(
        self, side: i64, data: bytes, start: i64, end: i64, position: i64, frame: i64, time_ns: i64, ack: i64
    ) -> None:
        """Bytes in order that belong to no TLS: who speaks first tells whether there is a dialogue that leads there."""
        carrier = self.carrier
        if carrier is None:
            if self.spoken:
                return
            self.spoken = True
            if position != 0 or recognise(data, start, end) == UNKNOWN:
                return
            carrier = Carrier()
            self.carrier = carrier
        carrier.feed(side, data, start, end, position, frame, time_ns, ack)

    def _close_opener(self, log: TlsLog, opener: Opener) -> None:
        for sniffer in (self.sniffer0, self.sniffer1):
            if sniffer is not None and sniffer.side is not None:
                sniffer.side.open_rest()
        log.proofs = opener.proofs
        log.unsupported = opener.unsupported
        log.opener = None

    def _open(self, side: i64) -> Sniffer:
        """From here on a direction needs a Sniffer, which learns what was there before."""
        if side == 0:
            s = Sniffer(self.missing_start0)
            self.sniffer0 = s
            s.resume(i64(self.segments0), self.next0, i64(self.looks0))
            s.acked = self.data_ack0
        else:
            s = Sniffer(self.missing_start1)
            self.sniffer1 = s
            s.resume(i64(self.segments1), self.next1, i64(self.looks1))
            s.acked = self.data_ack1
        return s

    def _drain(self, side: i64, s: Sniffer | None) -> None:
        if s is not None and not self.off:
            self._deliver(side, s, s.stream.drain())

    def _deliver(self, side: i64, s: Sniffer, ready: bool) -> None:
        """Hand on what a gap set free; what it leaves out is lost."""
        while ready:
            self._slice(side, s)
            ready = s.stream.more()
        t = s.side
        if t is not None and s.stream.next > t.at:
            t.lose(s.stream.next - t.at)

    def _give_up(self) -> None:
        """No TLS in the first bytes of this direction. If the other one has TLS, that is followed on."""
        a = self.sniffer0
        b = self.sniffer1
        if (a is None or a.side is None) and (b is None or b.side is None):
            self._stop()

    def _stop(self) -> None:
        self.off = True
        if not self.recognised:
            self.sniffer0 = None
            self.sniffer1 = None

    def _slice(self, side: i64, s: Sniffer) -> None:
        """The next in-order bytes of a direction are ready in its stream."""
        stream = s.stream
        t = s.side
        if t is not None:
            t.consume(stream.data, stream.start, stream.end, stream.position, stream.frame, stream.time_ns, stream.ack)
            if self.log is not None and self.log.opener is not None:
                self._open_other(side)
            if t.state >= DEAD_PROTOCOL:
                self._side_dead()
            return
        known: i64 = self._known(1 - side)
        answers: bool = known == tls_detect.CLIENT_FIRST or known == tls_detect.CLIENT_LATER
        held: bytes = s.pending
        held_frame: i64 = s.pending_frame
        held_ack: i64 = s.pending_ack
        found: bool = s.examine(known, self.server_from if answers else -1)
        if not s.missing and (self.carrier is not None or not self.spoken):
            before: i64 = stream.position - len(held)
            if len(held) > 0 and not (found and s.found_at == before) and len(s.pending) <= stream.end - stream.start:
                self._plain(side, held, 0, len(held), before, held_frame, stream.time_ns, held_ack)
            self._settle(side, s, found)
        if stream.position == 0:
            if side == 0:
                self.looks0 = i16(s.looks)
            else:
                self.looks1 = i16(s.looks)
        if found:
            self._begin(side, s, known)

    def _settle(self, side: i64, s: Sniffer, found: bool) -> None:
        """Those bytes of the slice at hand that are now known to be no TLS go to the dialogue."""
        stream = s.stream
        start: i64 = stream.start
        size: i64 = stream.end - start - len(s.pending)
        if found:
            size = s.found_at - stream.position
        if size > 0:
            position: i64 = stream.position
            self._plain(side, stream.data, start, start + size, position, stream.frame, stream.time_ns, stream.ack)

    def _open_other(self, side: i64) -> None:
        """Records of the other direction may have waited for what was just read of this one."""
        other = self.sniffer1 if side == 0 else self.sniffer0
        if other is not None and other.side is not None:
            other.side.open_queue()

    def _known(self, side: i64) -> i64:
        """What this side is known to be, for the one that looks at the other."""
        log = self.log
        if log is None:
            return tls_detect.NOTHING
        if log.client_side == side:
            return tls_detect.CLIENT_LATER if self.preamble else tls_detect.CLIENT_FIRST
        return tls_detect.SERVER if log.client_side == 1 - side else tls_detect.RECORDS

    def _begin(self, side: i64, s: Sniffer, known: i64) -> None:
        """TLS was found in this direction. Bytes that waited go first, with the frame and acknowledgement they came with."""
        stream = s.stream
        log = self.log
        if log is None:
            log = TlsLog()
            self.log = log
            if self.secrets is not None:
                log.opener = self.secrets.opener()
        self.recognised = True
        self.spoken = True
        t = TlsSide(side, log, s.found_at, s.clean)
        s.side = t
        stream.limit = MAX_HELD
        pending = s.pending
        s.pending = b""
        head: bytes = pending + stream.data[s.found_offset : s.found_offset + 16]
        kind: i64 = head[0]
        message: i64 = head[5] if len(head) > 5 else -1
        if known == tls_detect.CLIENT_FIRST or known == tls_detect.CLIENT_LATER:
            hello = log.client_hello
            if hello is not None and hello.ssl2 and kind & 0x80 != 0 and head[2:3] == b"\x04":
                # An SSL 2.0 SERVER-HELLO: what follows has no TLS records.
                t.frame = stream.frame
                t.fault(f.SSLV2, tls.SSL2, 0)
                t.state = DEAD_SSL2
                self._side_dead()
                return
            t.unsure = not s.clean and message != tls.SERVER_HELLO
        elif kind & 0x80 != 0 or (kind == tls.HANDSHAKE and message == tls.CLIENT_HELLO):
            log.client_side = side
            if self.carrier is not None:
                self.carrier.tls_began(side, s.found_at, s.pending_frame if len(pending) > 0 else stream.frame)
            self.preamble = s.found_at > 0
            self.server_from = s.pending_ack if len(pending) > 0 else stream.ack
            if kind & 0x80 != 0:
                t.expect_old_hello(head, s.found_at, self.server_from)
        elif kind == tls.HANDSHAKE and message == tls.SERVER_HELLO:
            log.client_side = 1 - side
        else:
            t.unsure = True
        if len(pending) > 0:
            t.consume(pending, 0, len(pending), s.found_at, s.pending_frame, s.pending_time, s.pending_ack)
        position: i64 = s.found_at + len(pending)
        t.consume(stream.data, s.found_offset, stream.end, position, stream.frame, stream.time_ns, stream.ack)
        if log.opener is not None:
            self._open_other(side)
        if t.state >= DEAD_PROTOCOL:
            self._side_dead()

    def _side_dead(self) -> None:
        """Nothing more to read in one direction; with both so the caller may stop."""
        a = self.sniffer0
        b = self.sniffer1
        if a is None or b is None:
            return
        x = a.side
        y = b.side
        if x is not None and y is not None and x.state >= DEAD_PROTOCOL and y.state >= DEAD_PROTOCOL:
            self._stop()
