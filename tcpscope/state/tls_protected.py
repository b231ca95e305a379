"""Protected records of one direction: counted by what their headers say, or, where there is a key, opened and read.

With a key the body of each protected record is collected and handed to the connection's :class:`Opener`. A record whose key
depends on a message of the other direction that the file holds later waits in ``queue``. What cannot be opened is
treated as without keys. Of application data nothing is kept but its length.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import (
    ALERT_SEEN,
    APPLICATION_DATA_SEEN,
    CHANGE_CIPHER_SPEC_SEEN,
    EARLY_DATA_SEEN,
    ENCRYPTED_ALERT,
    ENCRYPTED_HANDSHAKE,
    HEARTBEAT_SEEN,
    MAX_ALERTS,
    TlsAlert,
    TlsLog,
)
from tcpscope.state.tls_messages import MessageReader
from tcpscope.state.tls_secrets import FORGED, OPENED, SHUT, WAIT, Opener
from tcpscope.wire import tls

MAX_APP_MARKS: Final = 8
MAX_WAITING: Final = 256 * 1024  # bytes of records that wait for a message of the other direction
MAX_SHUT: Final = 64  # records in a row that no key opens, before it is no longer tried


@mypyc_attr(acyclic=True)
class Sealed:
    """A protected record: ``frame`` and ``time_ns`` are where it begins, ``last_frame`` and ``last_ns`` where it ends.

    ``whole``: the capture has all of its body; ``gap``: records before it may be missing.
    """

    def __init__(self, kind: i64, version: i64, length: i64, start: i64, ack: i64, frame: i64, time_ns: i64) -> None:
        self.kind: i64 = kind
        self.version: i64 = version
        self.length: i64 = length
        self.start: i64 = start
        self.ack: i64 = ack
        self.frame: i64 = frame
        self.time_ns: i64 = time_ns
        self.last_frame: i64 = frame
        self.last_ns: i64 = time_ns
        self.body: bytearray = bytearray()
        self.whole: bool = True
        self.gap: bool = False


@mypyc_attr(acyclic=True)
class ProtectedReader(MessageReader):
    """What one direction sent besides handshake messages in clear. The record layer sets ``record_start`` and what goes with it."""

    def __init__(self, side: i64, log: TlsLog, clean: bool) -> None:
        super().__init__(side, log, clean)
        # The record at hand.
        self.kind: i64 = 0
        self.version: i64 = 0
        self.length: i64 = 0
        self.record_start: i64 = 0
        self.record_ack: i64 = -1
        self.encrypted: bool = False  # this side sent its ChangeCipherSpec
        self.unsure: bool = False  # begun or found again in the middle: content must tell what is in clear
        self.alert_half: i64 = -1  # first byte of an alert that is split over two records
        self.last_alert: i64 = -1  # description of the latest one in clear
        # Counters.
        self.ccs_count: i64 = 0
        self.hidden_handshakes: i64 = 0
        self.hidden_alerts: i64 = 0
        self.plain_alerts: i64 = 0
        self.closed: bool = False  # sent close_notify, in clear or opened
        self.app_records: i64 = 0
        self.app_bytes: i64 = 0
        self.app_marks: i64 = 0
        self.app_ack: i64 = -2
        self.app_longest: i64 = 0
        self.app_longest_frame: i64 = 0
        # With keys.
        self.current: Sealed | None = None  # the record whose body is being collected
        self.queue: list[Sealed] = []
        self.queued: i64 = 0  # bytes
        self.gap: bool = False  # records may be missing before the next one
        self.blind: bool = False  # no more record is opened
        self.opened: i64 = 0
        self.shut: i64 = 0  # in a row
        self.shut_at: i64 = -1  # stream position of the first record that stayed closed, and its frame
        self.shut_frame: i64 = 0

    def seal(self) -> bool:
        """The body of the record at hand is to be collected. False: there is no key for it."""
        if self.log.opener is None or self.blind or self.length == 0:
            return False
        record = Sealed(
            self.kind, self.version, self.length, self.record_start, self.record_ack, self.frame, self.time_ns
        )
        record.gap = self.gap
        self.gap = False
        self.current = record
        return True

    def sealed(self) -> None:
        """The record that was collected is complete, or as complete as the capture has it."""
        record = self.current
        if record is None:
            return
        self.current = None
        record.last_frame = self.frame
        record.last_ns = self.time_ns
        self.queued += len(record.body)
        self.queue.append(record)
        self.open_queue()

    def open_queue(self) -> None:
        """Open what can be opened, in the order of the stream."""
        if len(self.queue) == 0:
            return
        frame: i64 = self.frame
        time_ns: i64 = self.time_ns
        ack: i64 = self.ack
        record_ack: i64 = self.record_ack
        kind: i64 = self.kind
        length: i64 = self.length
        start: i64 = self.record_start
        while len(self.queue) > 0:
            record = self.queue[0]
            opener = self.log.opener
            answer: i64 = SHUT
            if opener is not None and not self.blind:
                body = bytes(record.body) if record.whole else b""
                answer = opener.open(self.tls_role(), record.kind, record.version, body, record.gap)
                if answer == WAIT:
                    if self.queued <= MAX_WAITING:
                        break
                    self.blind = True
            self.queue.pop(0)
            self.queued -= len(record.body)
            opened: bool = answer == OPENED
            self.frame = record.last_frame if opened else record.frame
            self.time_ns = record.last_ns if opened else record.time_ns
            self.ack = record.ack
            self.record_ack = record.ack
            self.kind = record.kind
            self.length = record.length
            self.record_start = record.start
            if opened and opener is not None:
                self._opened(opener)
            else:
                self._closed(record, answer)
        self.frame = frame
        self.time_ns = time_ns
        self.ack = ack
        self.record_ack = record_ack
        self.kind = kind
        self.length = length
        self.record_start = start

    def open_rest(self) -> None:
        """Nothing more will come: what still waits stays closed."""
        self.blind = True
        self.open_queue()

    def _opened(self, opener: Opener) -> None:
        """The record at hand, with its content in ``opener``."""
        kind: i64 = opener.kind
        self.opened += 1
        self.shut = 0
        self.opening = True
        self.record_kind = self.kind
        self.inner_end = self.record_start + 5 + self.length
        if self.partial and self.inner and kind != tls.HANDSHAKE:
            message: i64 = self.buffer[0]
            self.fault(f.HANDSHAKE_INTERLEAVED, kind, message)
            if kind != tls.ALERT:
                self.drop_partial()
        if self.closed and kind != tls.ALERT:
            self.fault(f.RECORD_AFTER_CLOSE_NOTIFY, kind, 0)
        if kind == tls.APPLICATION_DATA:
            self._application_data(EARLY_DATA_SEEN if opener.early else APPLICATION_DATA_SEEN, opener.length)
        elif kind == tls.HANDSHAKE:
            self._opened_handshake(opener.data)
        elif kind == tls.ALERT:
            self._plain_alerts(opener.data)
        elif kind == tls.CHANGE_CIPHER_SPEC:
            self._change_cipher_spec(opener.data, opener.length)
        elif kind == tls.HEARTBEAT:
            self._heartbeat(opener.data, opener.length)
        else:
            self.fault(f.RECORD_TYPE_UNKNOWN, kind, 0)
        self.opening = False
        self.record_kind = -1
        self.inner_end = -1

    def _opened_handshake(self, data: bytes) -> None:
        """Handshake bytes that were encrypted. Behind a hole they count again where a message plainly begins."""
        if self.kind != tls.APPLICATION_DATA:
            self.hidden_handshakes += 1
        if len(data) == 0:
            self.fault(f.RECORD_EMPTY, tls.HANDSHAKE, 0)
            return
        if self.messages_off and not self.refused and len(data) >= 4:
            size: i64 = self._size(data, 0)
            kind: i64 = data[0]
            if (tls.is_message_type(kind) or tls.is_inner_type(kind)) and size + 4 <= len(data):
                self.messages_off = False
        self.inner = True
        self.handshake_bytes(data, 0, len(data), self.record_start)

    def _closed(self, record: Sealed, answer: i64) -> None:
        """A record that no key opened: what its header says. ``early`` without a key is taken for 0-RTT data."""
        if answer == FORGED:
            self.fault(f.RECORD_FORGED, record.kind, self.opened)
            self.blind = True
        self.shut += 1
        if self.shut >= MAX_SHUT:
            self.blind = True
        opener = self.log.opener
        if answer == SHUT and opener is not None and opener.early:
            self._application_data(EARLY_DATA_SEEN, record.length)
            return
        if self.shut_at < 0:
            self.shut_at = record.start
            self.shut_frame = record.frame
        if self.inner:
            # Whether handshake bytes were in it is not known.
            self.messages_off = True
            self.drop_partial()
        if record.kind == tls.APPLICATION_DATA:
            self._application_data(APPLICATION_DATA_SEEN, record.length)
        elif record.kind == tls.HANDSHAKE:
            self._hidden_handshake()
        elif record.kind == tls.ALERT:
            self._hidden_alert()
        elif record.kind == tls.CHANGE_CIPHER_SPEC:
            self._change_cipher_spec(b"\1", 1)

    def _application_data(self, code: i64, length: i64) -> None:
        """A record of application data; ``length`` is that of its content, or of the whole body where that is not known."""
        if self.last_event != code or (self.app_marks < MAX_APP_MARKS and self.app_ack != self.record_ack):
            self.app_marks += 1
            self.app_ack = self.record_ack
            end: i64 = self.record_start + 5 + self.length
            event = self.event(code, self.record_start, end, self.record_ack, length)
            event.before = self.app_bytes
        self.app_records += 1
        self.app_bytes += self.length
        if self.length > self.app_longest:
            self.app_longest = self.length
            self.app_longest_frame = self.frame

    def _hidden_handshake(self) -> None:
        self.hidden_handshakes += 1
        self._whole_record(ENCRYPTED_HANDSHAKE, self.length)

    def _hidden_alert(self) -> None:
        self.hidden_alerts += 1
        self._whole_record(ENCRYPTED_ALERT, self.length)
        self._alert(-1, -1)

    def _whole_record(self, code: i64, size: i64) -> None:
        """An event that is the record at hand."""
        self.event(code, self.record_start, self.record_start + 5 + self.length, self.record_ack, size)

    def _alert(self, level: i64, description: i64) -> None:
        self.log.alert_count += 1
        if len(self.log.alerts) < MAX_ALERTS:
            alert = TlsAlert(self.side, self.frame, self.time_ns, self.record_start, level, description)
            self.log.alerts.append(alert)

    def _change_cipher_spec(self, body: bytes, length: i64) -> None:
        """A ChangeCipherSpec of ``length`` bytes. In a second handshake it is encrypted itself (RFC 5246 section 7.1)."""
        value: i64 = body[0] if len(body) > 0 else 0
        hidden: bool = self.encrypted and length > 1 and not self.opening and not self.log.is_tls13()
        if (length != 1 or value != 1) and not hidden:
            self.fault(f.CCS_MALFORMED, value, length)
        self.ccs_count += 1
        self.encrypted = True
        self.unsure = False
        opener = self.log.opener
        if opener is not None:
            opener.change(self.tls_role())
        self._whole_record(CHANGE_CIPHER_SPEC_SEEN, 1)

    def _plain_alerts(self, body: bytes) -> None:
        """Readable alerts, two bytes each; a record with a single byte keeps it for the next (RFC 5246 allows the split)."""
        o: i64 = 0
        n: i64 = len(body)
        if self.alert_half >= 0 and n >= 1:
            second: i64 = body[0]
            self._plain_alert(self.alert_half, second)
            self.alert_half = -1
            o = 1
        while o + 1 < n:
            level: i64 = body[o]
            description: i64 = body[o + 1]
            self._plain_alert(level, description)
            o += 2
        if o < n:
            self.alert_half = body[o]

    def _plain_alert(self, level: i64, description: i64) -> None:
        self.plain_alerts += 1
        if description == 0:
            self.closed = True
        if description != self.last_alert:
            self.last_event = -1  # another one is listed by itself
            self.last_alert = description
        event_count: i64 = len(self.events)
        self._whole_record(ALERT_SEEN, 2)
        if len(self.events) > event_count:
            self.events[event_count].detail = description
        self._alert(level, description)

    def _heartbeat(self, body: bytes, length: i64) -> None:
        """A heartbeat must hold its payload and at least 16 bytes of padding (RFC 6520 section 4)."""
        if len(body) >= 3:
            high: i64 = body[1]
            low: i64 = body[2]
            payload: i64 = high << 8 | low
            if payload + 3 + 16 > length:
                self.fault(f.HEARTBEAT_OVERSIZE, payload, length)
        self._whole_record(HEARTBEAT_SEEN, length)
