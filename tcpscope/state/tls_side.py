"""Record layer of one direction (RFC 8446 section 5.1, RFC 5246 section 6.2).

Records in clear are read; of the others only the five header bytes are looked at and the body is counted past. ``skip_end`` is
the stream position up to which no byte needs a look: the caller takes a segment that ends before it without calling in here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import APPLICATION_DATA_SEEN, TlsLog
from tcpscope.state.tls_messages import ROLE_CLIENT, ROLE_SERVER
from tcpscope.state.tls_protected import ProtectedReader
from tcpscope.wire import tls
from tcpscope.wire.tls_hello import EXT_VERSIONS, parse_ssl2_hello

MAX_PLAIN_ALERT: Final = 16  # a longer alert record is encrypted, whatever came before
PEEK_BYTES: Final = 6

# What is done with the body of the current record.
SKIP: Final = 0
MESSAGES: Final = 1
PEEK: Final = 2  # its first bytes tell whether it is encrypted
SMALL: Final = 3  # collected: change cipher spec, alert in clear, heartbeat
OLD_HELLO: Final = 4  # collected: a hello in SSL 2.0 format
SEALED: Final = 5  # collected, to be opened with a key

LIVE: Final = 0
LOST: Final = 1  # a record border lies in a hole; the next segment that shows a chain of records ends this
DEAD_PROTOCOL: Final = 2  # what follows is no TLS
DEAD_SSL2: Final = 3  # goes on in SSL 2.0


@mypyc_attr(acyclic=True)
class TlsSide(ProtectedReader):
    """One direction from the first byte of TLS on. ``position`` is the stream position of that byte."""

    def __init__(self, side: i64, log: TlsLog, position: i64, clean: bool) -> None:
        super().__init__(side, log, clean)
        self.at: i64 = position  # all bytes before this are dealt with
        self.start: i64 = position
        self.skip_end: i64 = 0
        self.state: i64 = LIVE
        # The current record.
        self.header: bytes = b""  # the first bytes of a header that is split over segments
        self.left: i64 = 0
        self.body: i64 = SKIP
        self.small: bytes = b""
        self.records: i64 = 0
        self.first_empty: i64 = -1  # content type of the first record, if that is empty where it must not be
        self.last_kind: i64 = -1
        self.last_length: i64 = 0
        self.last_frame: i64 = 0

    def consume(self, data: bytes, start: i64, end: i64, position: i64, frame: i64, time_ns: i64, ack: i64) -> None:
        """In-order bytes ``data[start:end]`` at stream ``position``; a position beyond ``at`` means that bytes are missing."""
        self.frame = frame
        self.time_ns = time_ns
        self.ack = ack
        if position > self.at:
            self.lose(position - self.at)
        o: i64 = start
        shift: i64 = position - start  # stream position of data[0]
        if self.state == LOST and tls.record_chain(data, start, end):
            self._found_again()
        while o < end and self.state == LIVE:
            if self.left > 0:
                n: i64 = end - o
                if n > self.left:
                    n = self.left
                if self.body != SKIP:
                    self._body(data, o, o + n, shift + o)
                self.left -= n
                o += n
                if self.left == 0 and self.body != SKIP:
                    self._record_end()
            elif end - o >= 5 and len(self.header) == 0:
                self.record_ack = ack
                kind: i64 = data[o]
                major: i64 = data[o + 1]
                minor: i64 = data[o + 2]
                high: i64 = data[o + 3]
                low: i64 = data[o + 4]
                self._record(kind, major << 8 | minor, high << 8 | low, shift + o)
                o += 5
            else:
                o = self._split_header(data, o, end, shift + o)
        self.at = shift + end
        self.skip_end = self.at + self.left if self.body == SKIP and self.left > 0 and self.state == LIVE else 0

    def expect_old_hello(self, head: bytes, position: i64, ack: i64) -> None:
        """The side begins with a hello in SSL 2.0 format; ``head`` are its first bytes, at least two."""
        b0: i64 = head[0]
        b1: i64 = head[1]
        self.left = ((b0 & 0x7F) << 8 | b1) + 2
        self.body = OLD_HELLO
        self.record_ack = ack
        self.record_start = position

    def lose(self, count: i64) -> None:
        """The next ``count`` bytes are missing: counted through if the current record is known to hold them all."""
        if self.gap_at < 0:
            self.gap_at = self.at
        self.clean = False
        opener = self.log.opener
        if opener is not None:
            opener.spoiled(self.tls_role())
        if self.state == LIVE:
            if count > self.left or len(self.header) > 0:
                self.state = LOST
                self.left = 0
                self.header = b""
                self.gap = True
                self.drop_partial()
                self.messages_off = True
            else:
                if self.body == MESSAGES:
                    self.handshake_lost(count, self.at)
                elif self.body == SEALED and self.current is not None:
                    self.current.whole = False
                elif self.body != SKIP:
                    self.body = SKIP
                self.left -= count
                if self.left == 0 and self.body != SKIP:
                    self._record_end()
        self.at += count
        self.skip_end = 0

    def nothing_before(self, frame: i64) -> bool:
        """True if no message or record of this side was complete before ``frame``."""
        return len(self.events) == 0 or self.events[0].frame >= frame

    def in_record(self) -> bool:
        """True if the stream so far ends inside a record."""
        return self.state == LIVE and (self.left > 0 or len(self.header) > 0)

    def _found_again(self) -> None:
        self.state = LIVE
        self.left = 0
        self.header = b""
        self.body = SKIP
        self.unsure = True

    def _split_header(self, data: bytes, o: i64, end: i64, position: i64) -> i64:
        if len(self.header) == 0:
            self.record_ack = self.ack
        have: i64 = len(self.header)
        take: i64 = 5 - have
        if take > end - o:
            take = end - o
        self.header += data[o : o + take]
        if have + take == 5:
            h = self.header
            self.header = b""
            kind: i64 = h[0]
            major: i64 = h[1]
            minor: i64 = h[2]
            high: i64 = h[3]
            low: i64 = h[4]
            self._record(kind, major << 8 | minor, high << 8 | low, position - have)
        return o + take

    def _record(self, kind: i64, version: i64, length: i64, position: i64) -> None:
        """A record header at stream ``position``."""
        if kind < tls.CHANGE_CIPHER_SPEC or kind > tls.HEARTBEAT or version >> 8 != 3 or version & 0xFF > 4:
            self._no_record(kind, version)
            return
        if length > tls.MAX_CIPHERTEXT:
            self.fault(f.RECORD_OVERFLOW, length, tls.MAX_CIPHERTEXT)
            self.state = DEAD_PROTOCOL
            return
        self.records += 1
        if self.first_empty >= 0:
            self.fault(f.RECORD_EMPTY, self.first_empty, 0)
            self.first_empty = -1
        self.kind = kind
        self.version = version
        self.length = length
        self.left = length
        self.record_start = position
        self.last_kind = kind
        self.last_length = length
        self.last_frame = self.frame
        self.body = SKIP
        if self.partial and not self.inner and kind != tls.HANDSHAKE:
            message: i64 = self.buffer[0]
            self.fault(f.HANDSHAKE_INTERLEAVED, kind, message)
            if kind != tls.ALERT:
                self.drop_partial()
        if self.closed and kind != tls.ALERT:
            self.fault(f.RECORD_AFTER_CLOSE_NOTIFY, kind, 0)
        if kind == tls.APPLICATION_DATA:
            if not self._seal():
                self._application_data(APPLICATION_DATA_SEEN, length)
        elif length == 0:
            self._empty(kind)
        elif kind == tls.HANDSHAKE:
            self._handshake(length)
        elif kind == tls.ALERT:
            if length == 2 or (not self.encrypted and length <= MAX_PLAIN_ALERT):
                self.body = SMALL
            elif not self._seal():
                self._hidden_alert()
        elif not self.encrypted:
            self.body = SMALL
        elif kind == tls.CHANGE_CIPHER_SPEC:
            if length == 1 or not self._seal():
                self.body = SMALL
        else:
            self._seal()

    def _empty(self, kind: i64) -> None:
        """A record without a body. Five bytes alone prove none: that it is the first one counts once another follows."""
        if self.records == 1:
            self.first_empty = kind
        else:
            self.fault(f.RECORD_EMPTY, kind, 0)

    def _seal(self) -> bool:
        """Have the body of the record collected, if there is a key for it."""
        if not self.seal():
            return False
        self.body = SEALED
        return True

    def _no_record(self, kind: i64, version: i64) -> None:
        """No record header where one must stand; what follows is not looked at.

        No fault behind an alert, which may have closed TLS for good (FTP goes back to plaintext with its CCC command), nor as
        the first bytes of all: an answer in another protocol is told as such.
        """
        self.state = DEAD_PROTOCOL
        if self.last_kind == tls.ALERT or self.records == 0 or self.first_empty >= 0:
            return
        if kind < tls.CHANGE_CIPHER_SPEC or kind > tls.HEARTBEAT:
            self.fault(f.RECORD_TYPE_UNKNOWN, kind, 0)
        else:
            self.fault(f.RECORD_VERSION, version, 0)

    def _handshake(self, length: i64) -> None:
        """A type 22 record: in clear before this side's ChangeCipherSpec, but a second hello of TLS 1.3 may follow one."""
        if self.inner and self._seal():
            return
        if self.unsure or (self.messages_off and not self.refused):
            self.body = PEEK
            self.small = b""
            return
        if self.encrypted and not self._clear_after_ccs(length):
            if not self._seal():
                self._hidden_handshake()
            return
        if length > tls.MAX_PLAINTEXT:
            self.fault(f.RECORD_OVERFLOW, length, tls.MAX_PLAINTEXT)
        self.body = PEEK if self.encrypted and not self.partial and self.role != ROLE_SERVER else MESSAGES
        self.small = b""

    def _clear_after_ccs(self, length: i64) -> bool:
        """Whether a handshake record behind the ChangeCipherSpec may be a hello in clear (RFC 8446 sections 4.1.4 and D.4)."""
        log = self.log
        if self.partial and not self.inner:
            return True
        if self.role == ROLE_SERVER:
            return log.retry is not None and log.server_hello is None
        hello = log.client_hello
        if log.server_hello is not None and not log.is_tls13():
            return False
        return hello is not None and log.second_hello is None and hello.has(EXT_VERSIONS) and length >= 42

    def _body(self, data: bytes, start: i64, end: i64, position: i64) -> None:
        """Body bytes of a record that is not skipped."""
        if self.body == SEALED:
            if self.current is not None:
                self.current.body += data[start:end]
        elif self.body == MESSAGES:
            self.handshake_bytes(data, start, end, position)
        elif self.body == SMALL:
            if len(self.small) < 64:
                self.small += data[start : end if end - start < 64 else start + 64]
        elif self.body == OLD_HELLO:
            self.buffer += data[start:end]
        else:
            have: i64 = len(self.small)
            take: i64 = PEEK_BYTES - have
            if take > end - start:
                take = end - start
            self.small += data[start : start + take]
            if have + take == PEEK_BYTES or self.left == end - start:
                self._peeked(data, start + take, end, position + take)

    def _peeked(self, data: bytes, start: i64, end: i64, position: i64) -> None:
        """The first bytes of a handshake record of unknown state are there: message in clear, or encrypted?"""
        head = self.small
        self.small = b""
        clear: bool = False
        lost: bool = self.unsure or self.messages_off
        if len(head) >= 4:
            kind: i64 = head[0]
            size: i64 = self._size(head, 0)
            if lost:
                fits: bool = size + 4 <= self.length or self.length > 16000
                clear = tls.is_message_type(kind) and fits and (size > 0 or kind == tls.SERVER_HELLO_DONE)
            else:
                clear = kind == tls.CLIENT_HELLO and 38 <= size <= tls.MAX_MESSAGE and head[4:5] == b"\x03"
        if clear:
            self.messages_off = False
            self.unsure = False
            self.body = MESSAGES
            self.handshake_bytes(head, 0, len(head), position - len(head))
            self.handshake_bytes(data, start, end, position)
        elif self.encrypted:
            if self._seal() and self.current is not None:
                self.current.body += head
                self.current.body += data[start:end]
            else:
                self.body = SKIP
                self._hidden_handshake()
        else:
            self.body = SKIP  # encrypted, or the middle of a message: the hole hides which

    def _record_end(self) -> None:
        if self.body == SEALED:
            self.sealed()
        elif self.body == MESSAGES:
            self.record_done(self.length)
        elif self.body == OLD_HELLO:
            self._old_hello_end()
        elif self.body == SMALL:
            small = self.small
            self.small = b""
            if self.kind == tls.CHANGE_CIPHER_SPEC:
                self._change_cipher_spec(small, self.length)
            elif self.kind == tls.ALERT:
                self._plain_alerts(small)
            else:
                self.fault(f.HEARTBEAT_BEFORE_HANDSHAKE, self.length, 0)
                self._heartbeat(small, self.length)

    def _old_hello_end(self) -> None:
        body = bytes(self.buffer)
        self.buffer = bytearray()
        self.body = SKIP
        self.records += 1
        hello = parse_ssl2_hello(body, 0, len(body))
        hello.frame = self.frame
        self.role = ROLE_CLIENT
        self.log.client_side = self.side
        if self.log.client_hello is None:
            self.log.client_hello = hello
            self.find_key(hello)
        opener = self.log.opener
        if opener is not None:
            opener.spoiled(ROLE_CLIENT)  # the transcript begins otherwise (RFC 5246 section E.2)
        self.fault(f.SSLV2, hello.version, 0)
        end: i64 = self.record_start + len(body)
        self.event(tls.CLIENT_HELLO, self.record_start, end, self.record_ack, hello.size)
