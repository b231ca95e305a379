"""Handshake messages of one direction, put together from the bodies of type 22 records in clear.

A message that lies inside one slice is read in place; only one that is split is copied, into a buffer that never holds more
than that message. Bytes that the capture lacks are counted through as far as the length of the message is known.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import FORM_TLS13, HELLO_RETRY_REQUEST, MAX_EVENTS, TlsBody, TlsEvent, TlsLog
from tcpscope.wire import tls
from tcpscope.wire.ciphers import key_exchange
from tcpscope.wire.tls_exchange import parse_server_keys
from tcpscope.wire.tls_hello import (
    DEFECT_CUT,
    DEFECT_NONE,
    ClientHello,
    Extensions,
    ServerHello,
    parse_client_hello,
    parse_draft_retry,
    parse_extensions,
    parse_server_hello,
    u16,
)

MAX_SIDE_EVENTS: Final = 48
ODD_RECORDS: Final = 10  # more records than this for one message are odd
ODD_LENGTH: Final = 32  # and so is a record shorter than this that does not end its message

MAX_TICKET_LIFETIME: Final = 604_800  # seconds (RFC 8446 section 4.6.1)
FLOOD_COUNT: Final = 64  # KeyUpdates of one side within ten seconds
FLOOD_NS: Final = 10_000_000_000

ROLE_UNKNOWN: Final = -1
ROLE_CLIENT: Final = 0
ROLE_SERVER: Final = 1


@mypyc_attr(acyclic=True)
class MessageReader:
    """Handshake layer of one direction. The record layer sets ``frame``, ``time_ns`` and ``ack`` before it hands on bytes."""

    def __init__(self, side: i64, log: TlsLog, clean: bool) -> None:
        self.side: i64 = side
        self.log: TlsLog = log
        self.role: i64 = ROLE_UNKNOWN
        self.clean: bool = clean  # the stream is known from the SYN on and has no hole so far
        self.gap_at: i64 = -1  # stream position of the first hole
        self.frame: i64 = 0
        self.time_ns: i64 = 0
        self.ack: i64 = -1
        # Events of this side in the order of the stream.
        self.events: list[TlsEvent] = []
        self.events_lost: bool = False
        self.timed: i64 = 0  # so many of them know how long the programs had thought
        self.last_event: i64 = -1
        self.finishes: i64 = 0  # Finished messages that were readable
        self.key_updates: i64 = 0  # in the ten seconds since key_update_ns
        self.key_update_ns: i64 = 0
        # The message that is being put together.
        self.partial: bool = False
        self.buffer: bytearray = bytearray()
        self.have: i64 = 0  # bytes of it that went by, header included; more than the buffer holds if some are lost
        self.need: i64 = 4  # its size with header as far as known
        self.message_cut: bool = False
        self.message_start: i64 = 0
        self.message_ack: i64 = -1
        self.message_frame: i64 = 0
        self.message_ns: i64 = 0
        self.message_records: i64 = 0
        self.small_record: bool = False
        self.inner: bool = False  # the messages come out of records that a key opened
        self.opening: bool = False  # such a record is at hand
        self.record_kind: i64 = -1  # its content type, as its header says
        self.inner_end: i64 = -1  # and the stream position of its end
        self.messages_off: bool = False  # message borders are lost
        self.refused: bool = False  # for good: a message was too large to be true

    def tls_role(self) -> i64:
        """Client or server, as the hellos say."""
        return ROLE_CLIENT if self.side == self.log.client_side else ROLE_SERVER

    def find_key(self, hello: ClientHello) -> None:
        """The first ClientHello: without a key for it nothing will be opened."""
        opener = self.log.opener
        if opener is None:
            return
        if opener.begin(hello.random):
            self.log.keys = opener.keys
        else:
            self.log.opener = None

    def fault(self, code: i64, detail: i64, extra: i64) -> None:
        """Record a fault of this side at the current frame; proved if nothing before it is missing."""
        grade: i64 = f.PROVED if self.clean else f.SUSPECTED
        self.log.fault(code, grade, self.side, self.frame, 0, detail, extra)

    def event(self, code: i64, start: i64, end: i64, ack: i64, size: i64) -> TlsEvent:
        """Note an event that ends in the current frame. Application data repeats in the display list only after something else."""
        event = TlsEvent(code, self.side)
        event.frame = self.frame
        event.first_frame = self.frame
        event.time_ns = self.time_ns
        event.begin_ns = self.time_ns
        event.start = start
        event.end = end
        event.ack = ack
        event.size = size
        event.clean = self.clean
        event.record = self.record_kind
        self.log.untimed = True
        if len(self.events) < MAX_SIDE_EVENTS:
            self.events.append(event)
        else:
            self.events_lost = True
        if code != self.last_event or code < HELLO_RETRY_REQUEST:
            self.log.event_count += 1
            if len(self.log.events) < MAX_EVENTS:
                self.log.events.append(event)
        self.last_event = code
        return event

    def thought(self, now: i64, first: i64, second: i64) -> None:
        """The programs of both ends had thought so long by ``now``: for the events that came with the segment of that time."""
        n: i64 = len(self.events)
        while self.timed < n:
            event = self.events[self.timed]
            self.timed += 1
            if event.time_ns == now:  # not one that waited for the other direction
                event.thought0 = first
                event.thought1 = second

    def handshake_bytes(self, data: bytes, start: i64, end: i64, position: i64) -> None:
        """Bytes of a handshake record in clear; ``position`` is the stream position of ``data[start]``."""
        o: i64 = start
        while o < end and not self.messages_off:
            if not self.partial:
                if end - o >= 4:
                    size: i64 = self._size(data, o)
                    if o + 4 + size <= end:
                        self.message_start = position + (o - start)
                        self.message_ack = self.ack
                        self.message_frame = self.frame
                        self.message_ns = self.time_ns
                        kind: i64 = data[o]
                        self._message(kind, data, o + 4, o + 4 + size, size, self.message_start + 4 + size)
                        o += 4 + size
                        continue
                self._begin(position + (o - start))
            o = self._append(data, o, end, position + (o - start))

    def handshake_lost(self, count: i64, position: i64) -> None:
        """``count`` bytes of a handshake record are missing from ``position`` on."""
        if self.messages_off:
            return
        if not self.partial or self.have < 4 or self.have + count > self.need:
            self.messages_off = True  # a message border lies in the hole
            self._forget()
            return
        self.message_cut = True
        self.have += count
        if self.have == self.need:
            self._finish(position + count)

    def record_done(self, length: i64) -> None:
        """A handshake record of ``length`` bytes ended."""
        if self.partial:
            self.message_records += 1
            if length < ODD_LENGTH:
                self.small_record = True

    def drop_partial(self) -> None:
        """Give up the message that is being put together."""
        self._forget()

    def _size(self, data: bytes, at: i64) -> i64:
        high: i64 = data[at + 1]
        middle: i64 = data[at + 2]
        low: i64 = data[at + 3]
        return high << 16 | middle << 8 | low

    def _begin(self, position: i64) -> None:
        self.partial = True
        self.have = 0
        self.need = 4
        self.message_cut = False
        self.message_start = position
        self.message_ack = self.ack
        self.message_frame = self.frame
        self.message_ns = self.time_ns
        self.message_records = 0
        self.small_record = False

    def _forget(self) -> None:
        self.partial = False
        self.buffer = bytearray()

    def _append(self, data: bytes, o: i64, end: i64, position: i64) -> i64:
        """Move bytes into the buffer up to the end of what the message needs; the offset behind them comes back."""
        take: i64 = self.need - self.have
        if take > end - o:
            take = end - o
        if not self.message_cut:
            self.buffer += data[o : o + take]
        self.have += take
        if self.have == 4 and self.need == 4:
            header = bytes(self.buffer)
            size: i64 = self._size(header, 0)
            if size > tls.MAX_MESSAGE:
                kind: i64 = header[0]
                self._refuse(kind, size)
                return o + take
            self.need = 4 + size
        if self.have == self.need:
            self._finish(position + take)
        return o + take

    def _refuse(self, kind: i64, size: i64) -> None:
        """A message too large to wait for. What follows it in this stream is as unknown as behind a hole."""
        self.fault(f.HANDSHAKE_LENGTH if tls.is_message_type(kind) else f.MESSAGE_UNKNOWN, kind, size)
        self.messages_off = True
        self.refused = True
        opener = self.log.opener
        if opener is not None:
            opener.spoiled(self.tls_role())
        self.clean = False
        if self.gap_at < 0:
            self.gap_at = self.message_start
        self._forget()

    def _finish(self, end: i64) -> None:
        """The message in the buffer is whole, apart from what the capture lacks."""
        body = bytes(self.buffer)
        kind: i64 = body[0]
        records: i64 = self.message_records + 1
        if records > ODD_RECORDS or self.small_record:
            self.fault(f.FRAGMENTATION_ODD, kind, records)
        self._forget()
        self._message(kind, body, 4, len(body), self.need - 4, end)

    def _message(self, kind: i64, data: bytes, start: i64, end: i64, size: i64, position: i64) -> None:
        """A whole message with the body ``data[start:end]`` of declared ``size``, which ends at stream ``position``."""
        cut: bool = end - start < size
        self.message_cut = False
        code: i64 = kind
        detail: i64 = 0
        if kind == tls.FINISHED:
            self.finishes += 1
        elif kind == tls.CLIENT_HELLO:
            self._client_hello(parse_client_hello(data, start, end, cut), size)
        elif kind == tls.SERVER_HELLO:
            code = self._server_hello(parse_server_hello(data, start, end, cut), size)
        elif kind == tls.DRAFT_HELLO_RETRY:
            code = self._server_hello(parse_draft_retry(data, start, end), size)
        elif kind == tls.CERTIFICATE or (self.opening and kind == tls.COMPRESSED_CERTIFICATE):
            detail = self._certificate(kind, data, start, end, cut)
        elif kind == tls.CERTIFICATE_STATUS:
            if not cut:
                self.log.keep(self.log.statuses, TlsBody(data[start:end], self.side, self.frame, self.time_ns, kind))
        elif kind == tls.SERVER_KEY_EXCHANGE:
            self._server_keys(data, start, end)
        elif kind == tls.CERTIFICATE_VERIFY:
            self._certificate_verify(data, start, end)
        elif kind == tls.NEW_SESSION_TICKET:
            if end - start >= 4:
                self.log.ticket_lifetime = int.from_bytes(data[start : start + 4], "big")
                if self.log.ticket_lifetime > MAX_TICKET_LIFETIME:
                    self.fault(f.TICKET_LIFETIME if self.log.is_tls13() else f.TICKET_LONG, self.log.ticket_lifetime, 0)
        elif kind == tls.SERVER_HELLO_DONE or kind == tls.HELLO_REQUEST:
            if size != 0:
                self.fault(f.HANDSHAKE_LENGTH, kind, size)
        elif self.opening and tls.is_inner_type(kind):
            detail = self._inner_message(kind, data, start, end, cut)
        elif not tls.is_message_type(kind):
            self.fault(f.MESSAGE_UNKNOWN, kind, 0)
        # What a record that was opened holds is there only when all of the record is.
        stop: i64 = self.inner_end if self.opening else position
        event = self.event(code, self.message_start, stop, self.message_ack, size)
        event.first_frame = self.message_frame
        event.begin_ns = self.message_ns
        event.cut = cut
        event.detail = detail
        opener = self.log.opener
        if opener is not None:
            if cut:
                opener.spoiled(self.tls_role())
            else:
                opener.message(self.tls_role(), data[start - 4 : end], self.frame)

    def _certificate(self, kind: i64, data: bytes, start: i64, end: i64, cut: bool) -> i64:
        """A Certificate message. 1 if its list is empty."""
        if cut:
            return 0
        empty: bool = end - start >= 3 and data[start : start + 3] == b"\0\0\0"
        form: i64 = kind
        if kind == tls.CERTIFICATE and self.log.is_tls13():
            form = FORM_TLS13
            empty = False
            if end > start:
                at: i64 = data[start]
                at += start + 1
                empty = at + 3 == end and data[at:end] == b"\0\0\0"
        self.log.keep(self.log.certificates, TlsBody(data[start:end], self.side, self.frame, self.time_ns, form))
        return 1 if empty else 0

    def _server_keys(self, data: bytes, start: i64, end: i64) -> None:
        """A ServerKeyExchange; that of the first handshake counts."""
        log = self.log
        hello = log.server_hello
        if hello is None or log.group >= 0 or log.prime_bits > 0:
            return
        keys = parse_server_keys(data, start, end, key_exchange(hello.cipher), hello.selected == tls.TLS12)
        log.group = keys.group
        log.prime_bits = keys.prime_bits
        log.server_scheme = keys.scheme
        if keys.explicit:
            self.fault(f.CURVE_EXPLICIT, 0, 0)

    def _certificate_verify(self, data: bytes, start: i64, end: i64) -> None:
        """The scheme of a signature over the handshake; before TLS 1.2 it has none (RFC 4346 section 7.4.8)."""
        log = self.log
        hello = log.server_hello
        if hello is None or end - start < 4 or (hello.selected != tls.TLS12 and not tls.is_tls13(hello.selected)):
            return
        if self.tls_role() == ROLE_CLIENT:
            if log.client_scheme < 0:
                log.client_scheme = u16(data, start)
        elif log.server_scheme < 0:
            log.server_scheme = u16(data, start)

    def _inner_message(self, kind: i64, data: bytes, start: i64, end: i64, cut: bool) -> i64:
        """A message that only TLS 1.3 has, and only under encryption. For a KeyUpdate: whether it wants an answer."""
        if kind == tls.ENCRYPTED_EXTENSIONS:
            # A client may send some, too (application settings, ALPS), which are not looked into.
            if not cut and self.tls_role() == ROLE_SERVER and self.log.encrypted_extensions is None:
                block = Extensions()
                parse_extensions(data, start, end, block)
                self.log.encrypted_extensions = block
                self._hello_defects(kind, block.defect, end - start, block.duplicate)
        elif kind == tls.KEY_UPDATE:
            self._key_update()
            if end - start == 1:
                return data[start]
            self.fault(f.HANDSHAKE_LENGTH, kind, end - start)
        elif kind == tls.END_OF_EARLY_DATA and end > start:
            self.fault(f.HANDSHAKE_LENGTH, kind, end - start)
        return 0

    def _key_update(self) -> None:
        """Count KeyUpdates: each costs the peer two key derivations, and an answer if it asks for one."""
        if self.time_ns - self.key_update_ns > FLOOD_NS:
            self.key_update_ns = self.time_ns
            self.key_updates = 0
        self.key_updates += 1
        if self.key_updates > FLOOD_COUNT:
            self.fault(f.KEY_UPDATE_FLOOD, self.key_updates, 0)

    def _client_hello(self, hello: ClientHello, size: i64) -> None:
        hello.frame = self.frame
        hello.size = size
        if self.log.client_side < 0:
            self.log.client_side = self.side
        if self.role == ROLE_UNKNOWN:
            self.role = ROLE_CLIENT
        if self.log.client_hello is None:
            self.log.client_hello = hello
            self.find_key(hello)
        elif self.opening:
            pass  # of a second handshake inside the encryption
        elif self.log.second_hello is None:
            self.log.second_hello = hello
        self._hello_defects(tls.CLIENT_HELLO, hello.defect, size, hello.duplicate)

    def _server_hello(self, hello: ServerHello, size: i64) -> i64:
        hello.frame = self.frame
        hello.size = size
        if self.log.client_side < 0:
            self.log.client_side = 1 - self.side
        if self.role == ROLE_UNKNOWN:
            self.role = ROLE_SERVER
        self._hello_defects(tls.SERVER_HELLO, hello.defect, size, hello.duplicate)
        if hello.retry:
            if self.log.retry is None:
                self.log.retry = hello
            return HELLO_RETRY_REQUEST
        if self.log.server_hello is None:
            self.log.server_hello = hello
        return tls.SERVER_HELLO

    def _hello_defects(self, kind: i64, defect: i64, size: i64, duplicate: i64) -> None:
        if defect != DEFECT_NONE and defect != DEFECT_CUT:
            self.fault(f.HANDSHAKE_LENGTH, kind, size)
        if duplicate >= 0:
            self.fault(f.DUPLICATE_EXTENSION, duplicate, 0)
