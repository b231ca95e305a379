"""What leads to TLS in one connection: a request in clear, and its answer. Base of the protocols that have one.

A dialogue reads both directions as the tracker hands them on, in order and without holes; at the first hole it stops, and what
it noted before stays true. It holds no more than the beginning of one line or message of each direction, and reads a bounded
number of them.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

# Protocols.
REPLIES: Final = 0  # a "220" greeting: SMTP, LMTP or FTP, which the client's first command tells
SMTP: Final = 1
LMTP: Final = 2
IMAP: Final = 3
POP3: Final = 4
FTP: Final = 5
LDAP: Final = 6
XMPP: Final = 7
POSTGRESQL: Final = 8
MYSQL: Final = 9
IRC: Final = 10
NNTP: Final = 11
SIEVE: Final = 12
RDP: Final = 13
CONNECT: Final = 14
SOCKS4: Final = 15
SOCKS5: Final = 16
PROXY: Final = 17
PROTOCOL_NAMES: Final = (
    "unknown", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgresql", "mysql", "irc", "nntp", "sieve", "rdp",
    "http-connect", "socks4", "socks5", "proxy",
)  # fmt: skip

ASKER: Final = 0  # who asks for TLS: the protocol's client
ANSWERER: Final = 1

ANSWER_NONE: Final = 0
ACCEPTED: Final = 1
REFUSED: Final = 2

# What the client sent in clear that wants protection, the worst last.
PLAIN_NOTHING: Final = 0
PLAIN_MAIL: Final = 1
PLAIN_LOGIN: Final = 2  # a name, or a proof of a password that does not show it
PLAIN_PASSWORD: Final = 3

MAX_LINE: Final = 512  # of a longer line only the beginning is read
MAX_HEAD: Final = 4096  # the same of a message with a length
MAX_UNITS: Final = 1024  # lines or messages
MAX_MESSAGE: Final = 1 << 26
MAX_SHOWN: Final = 80  # bytes of a request or answer that a report may show


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class Dialogue:
    """``asker``: side that asks, 0 or 1; ``begun0``, ``begun1``: stream positions at which the dialogue begins."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        self.protocol: i64 = protocol
        self.asker: i64 = asker
        self.over: bool = False  # nothing more is read
        self.tunnel: bool = False  # a proxy has agreed: what follows is another protocol
        self.destination: bytes = b""
        self.offer_frame: i64 = 0  # the server said that it can do TLS
        self.request_frame: i64 = 0
        self.request_time: i64 = 0
        self.request_text: bytes = b""
        self.request_end: i64 = -1  # stream position behind it; -1 if there is none that waits or was accepted
        self.answer: i64 = ANSWER_NONE
        self.answer_frame: i64 = 0
        self.answer_text: bytes = b""
        self.answer_code: i64 = 0  # of binary protocols
        self.answer_end: i64 = -1
        self.plain: i64 = PLAIN_NOTHING
        self.plain_frame: i64 = 0
        # Plain text behind the request: before its sender knew the answer, and after.
        self.early_frame: i64 = 0
        self.early_bytes: i64 = 0
        self.early_ack: i64 = -1
        self.late_frame: i64 = 0
        self.late_bytes: i64 = 0
        # The same behind the acceptance: before and after the server had the ClientHello.
        self.reply_early_frame: i64 = 0
        self.reply_early_bytes: i64 = 0
        self.reply_late_frame: i64 = 0
        self.hello_frame: i64 = 0
        self.hello_at: i64 = -1
        self.units: i64 = 0
        self.at0: i64 = begun0
        self.at1: i64 = begun1
        # The segment at hand.
        self.frame: i64 = 0
        self.time_ns: i64 = 0
        self.ack: i64 = -1
        self.origin: i64 = 0  # stream position of data[0]
        self.place: i64 = 0  # stream position behind the unit at hand
        # The beginning of a unit that is not whole, and bytes of one that are left out.
        self.part_asker: bytes = b""
        self.part_answerer: bytes = b""
        self.skip_asker: i64 = 0
        self.skip_answerer: i64 = 0

    def feed(
        self, side: i64, data: bytes, start: i64, end: i64, position: i64, frame: i64, time_ns: i64, ack: i64
    ) -> None:
        """In-order bytes ``data[start:end]`` of a side; ``ack``: how many bytes of the other stream they acknowledge."""
        if self.over:
            return
        if position != (self.at0 if side == 0 else self.at1):
            self.over = True  # bytes are missing: nothing that follows proves anything
            return
        if side == 0:
            self.at0 = position + (end - start)
        else:
            self.at1 = position + (end - start)
        self.frame = frame
        self.time_ns = time_ns
        self.ack = ack
        self.origin = position - start
        role: i64 = ASKER if side == self.asker else ANSWERER
        self.read(role, data, start, end)
        if self.request_end >= 0 and not self.is_proxy():
            self._behind(role, data, start, end)

    def read(self, role: i64, data: bytes, start: i64, end: i64) -> None:
        """Split into units and look at each."""
        self.over = True

    def is_proxy(self) -> bool:
        """True if an agreement opens a way to another host instead of beginning TLS."""
        return self.protocol >= CONNECT

    def accepted(self) -> bool:
        """True if TLS is what must come next. MySQL has no answer: the request is followed by the ClientHello."""
        return self.answer == ACCEPTED or (self.protocol == MYSQL and self.request_end >= 0)

    def requested(self, place: i64, text: bytes) -> None:
        """The request is whole. One that follows a refused one takes its place."""
        if self.request_end >= 0:
            return
        self.request_frame = self.frame
        self.request_time = self.time_ns
        self.request_end = place
        self.request_text = text[:MAX_SHOWN]
        self.answer = ANSWER_NONE
        self.answer_frame = 0
        self.answer_end = -1

    def answered(self, good: bool, place: i64, text: bytes) -> None:
        """The answer to the request is whole."""
        if self.request_end < 0 or self.answer != ANSWER_NONE:
            return
        self.answer = ACCEPTED if good else REFUSED
        self.answer_frame = self.frame
        self.answer_text = text[:MAX_SHOWN]
        self.answer_end = place
        if not good:
            self.request_end = -1
            self.early_frame = 0
            self.early_bytes = 0
        elif self.is_proxy():
            self.tunnel = True
        elif self.early_frame != 0 and self.early_ack >= place:
            # The capture has it before the answer, but its sender knew that.
            self.late_frame = self.early_frame
            self.late_bytes = self.early_bytes
            self.early_frame = 0
            self.early_bytes = 0

    def offered(self) -> None:
        """The server says that it can do TLS."""
        if self.offer_frame == 0:
            self.offer_frame = self.frame

    def revealed(self, what: i64) -> None:
        """The client sent something in clear that wants protection. Behind it nobody turns to TLS any more."""
        if self.request_end >= 0:
            return  # noted as what comes behind the request
        if what > self.plain:
            self.plain = what
            self.plain_frame = self.frame
        self.over = True

    def tls_began(self, side: i64, position: i64, frame: i64) -> None:
        """A ClientHello at this stream position."""
        if side == self.asker and not self.over and position == (self.at0 if side == 0 else self.at1):
            self.hello_frame = frame
            self.hello_at = position

    def _behind(self, role: i64, data: bytes, start: i64, end: i64) -> None:
        """Note what comes behind the request or the acceptance in clear."""
        after: i64 = self.request_end if role == ASKER else self.answer_end
        if self.over or after < 0 or (role == ANSWERER and self.answer != ACCEPTED):
            return
        o: i64 = start
        if after - self.origin > o:
            o = after - self.origin
        if self.protocol not in (LDAP, POSTGRESQL, MYSQL, RDP):
            while o < end and (data[o] == 10 or data[o] == 13 or data[o] == 32 or data[o] == 9):
                o += 1
        if o >= end:
            return
        first: i64 = data[o]
        if self.ack < 0 or 20 <= first <= 24 or first >= 0x80:
            self.over = True  # what it answers is not known, or it may be a record that was not recognised
        elif role == ANSWERER:
            if 0 <= self.hello_at < self.ack:
                if self.reply_late_frame == 0:
                    self.reply_late_frame = self.frame
            else:
                if self.reply_early_frame == 0:
                    self.reply_early_frame = self.frame
                self.reply_early_bytes += end - o
        elif self.answer == ACCEPTED and self.ack >= self.answer_end:
            if self.late_frame == 0:
                self.late_frame = self.frame
            self.late_bytes += end - o
        else:
            if self.early_frame == 0:
                self.early_frame = self.frame
                self.early_ack = self.ack
            self.early_bytes += end - o

    def part(self, role: i64) -> bytes:
        """The beginning of the unit that is not whole."""
        return self.part_asker if role == ASKER else self.part_answerer

    def keep(self, role: i64, octets: bytes) -> None:
        """Remember the beginning of a unit."""
        if role == ASKER:
            self.part_asker = octets
        else:
            self.part_answerer = octets

    def count(self) -> None:
        """One more unit; too many of them are no dialogue."""
        self.units += 1
        if self.units > MAX_UNITS:
            self.over = True

    def reading(self) -> bool:
        """True while units tell something: not behind the acceptance."""
        return not self.over and self.answer != ACCEPTED


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class TextDialogue(Dialogue):
    """Units that end with a sign: lines, or the tags of XML."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64, mark: bytes) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        self.mark: bytes = mark

    def read(self, role: i64, data: bytes, start: i64, end: i64) -> None:
        """Hand each line to :meth:`line`, without its end."""
        o: i64 = start
        while o < end and self.reading():
            head: bytes = self.part(role)
            room: i64 = MAX_LINE - len(head)
            stop: i64 = data.find(self.mark, o, end)
            upto: i64 = end if stop < 0 else stop
            text: bytes = head + data[o : upto if upto - o < room else o + room]
            if stop < 0:
                self.keep(role, text)
                return
            self.keep(role, b"")
            o = stop + 1
            self.place = self.origin + o
            self.count()
            self.line(role, text)

    def line(self, role: i64, text: bytes) -> None:
        """One line."""
        self.over = True


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class BlockDialogue(Dialogue):
    """Units whose beginning tells their length."""

    def read(self, role: i64, data: bytes, start: i64, end: i64) -> None:
        """Hand the beginning of each message to :meth:`block`."""
        o: i64 = start
        while o < end and self.reading():
            if role == ASKER and self.request_end >= 0:
                return  # nothing should come before the answer
            skip: i64 = self.skip_asker if role == ASKER else self.skip_answerer
            if skip > 0:
                n: i64 = skip if skip < end - o else end - o
                self._skip(role, skip - n)
                o += n
                continue
            head: bytes = self.part(role)
            have: i64 = len(head)
            room: i64 = MAX_HEAD - have
            octets: bytes = head + data[o : end if end - o < room else o + room]
            self.place = self.origin + o - have
            used: i64 = self.block(role, octets)
            if used < 0 or (used == 0 and len(octets) >= MAX_HEAD):
                self.over = True
            if used <= 0:
                self.keep(role, octets)
                return
            self.keep(role, b"")
            self.count()
            o += used - have
            if o > end:
                self._skip(role, o - end)

    def block(self, role: i64, octets: bytes) -> i64:
        """The message that begins with ``octets``, at stream position ``place``: its length, 0 too few bytes, -1 none of ours.

        A length may go beyond the bytes at hand: the rest is left out.
        """
        return -1

    def _skip(self, role: i64, count: i64) -> None:
        if role == ASKER:
            self.skip_asker = count
        else:
            self.skip_answerer = count
