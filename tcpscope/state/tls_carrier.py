"""Which protocol leads to TLS in a connection: told by the first bytes of whoever speaks first, behind a proxy once more."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.dialogue import (
    ACCEPTED,
    CONNECT,
    IMAP,
    IRC,
    LDAP,
    MYSQL,
    NNTP,
    PLAIN_NOTHING,
    POP3,
    POSTGRESQL,
    PROXY,
    RDP,
    REFUSED,
    REPLIES,
    SIEVE,
    SMTP,
    SOCKS4,
    SOCKS5,
    XMPP,
    Dialogue,
)
from tcpscope.state.dialogue_binary import PG_GSS, PG_SSL, RDP_REQUEST, binary_dialogue
from tcpscope.state.dialogue_proxy import PROXY2, proxy_dialogue
from tcpscope.state.dialogue_text import text_dialogue
from tcpscope.wire.tcp import u32

UNKNOWN: Final = -1
MORE: Final = -2  # too few bytes to tell

MAX_FIRST: Final = 64
MAX_LAYERS: Final = 4  # proxies behind one another

_Beginning = tuple[bytes, int, bool]
# How the first line of whoever speaks first begins: protocol, and whether the speaker is the one who asks for TLS.
_BEGINNINGS: Final[tuple[_Beginning, ...]] = (
    (b"220 ", REPLIES, False),
    (b"220-", REPLIES, False),
    (b"120 ", REPLIES, False),
    (b"EHLO ", SMTP, True),
    (b"LHLO ", REPLIES, True),
    (b"* OK", IMAP, False),
    (b"* PREAUTH", IMAP, False),
    (b"+OK", POP3, False),
    (b"200 ", NNTP, False),
    (b"201 ", NNTP, False),
    (b'"IMPLEMENTATION"', SIEVE, False),
    (b'"SASL"', SIEVE, False),
    (b'"SIEVE"', SIEVE, False),
    (b'"VERSION"', SIEVE, False),
    (b'"STARTTLS"', SIEVE, False),
    (b"NICK ", IRC, True),
    (b"USER ", IRC, True),
    (b"PASS ", IRC, True),
    (b"CAP LS", IRC, True),
    (b"CAP REQ", IRC, True),
    (b"STARTTLS", IRC, True),
    (b"NOTICE AUTH ", IRC, False),
    (b"<?xml ", XMPP, True),
    (b"<stream:stream", XMPP, True),
    (b"CONNECT ", CONNECT, True),
    (b"PROXY ", PROXY, True),
    (PROXY2, PROXY, True),
)
_BEGINNINGS_OF: Final[list[list[_Beginning]]] = [
    [row for row in _BEGINNINGS if row[0][0] == octet] for octet in range(256)
]
_BINARY: Final = frozenset((LDAP, POSTGRESQL, MYSQL, RDP))
# First bytes that are worth a look; of MySQL's greeting it is the length.
_WORTH: Final = frozenset(
    [row[0][0] for row in _BEGINNINGS]
    + [0, 3, 4, 5, 0x30, 0x3A]  # PostgreSQL, RDP, SOCKS 4, SOCKS 5, LDAP, an IRC prefix
)
_FIRST: Final = bytes([1 if octet in _WORTH else 0 for octet in range(256)])
_FIRST_TWO: Final = frozenset([row[0][0] << 8 | row[0][1] for row in _BEGINNINGS])


def recognise(data: bytes, start: i64, end: i64) -> i64:
    """What begins with ``data[start:end]``: a protocol, doubled, plus 1 if its speaker asks for TLS; UNKNOWN or MORE."""
    n: i64 = end - start
    first: i64 = data[start]
    if n > 5 and data[start + 2] == 0 and data[start + 3] == 0 and data[start + 4] == 10 and data[start + 5] != 0:
        return MYSQL * 2
    if _FIRST[first] == 0:
        return UNKNOWN
    if first == 0:
        if n < 8:
            return MORE if n < 4 or u32(data, start) == 8 else UNKNOWN
        code: i64 = u32(data, start + 4)
        return POSTGRESQL * 2 + 1 if u32(data, start) == 8 and (code == PG_SSL or code == PG_GSS) else UNKNOWN
    if first == 3:
        if n < 6:
            return MORE if n < 2 or data[start + 1] == 0 else UNKNOWN
        return RDP * 2 + 1 if data[start + 1] == 0 and data[start + 5] == RDP_REQUEST else UNKNOWN
    if first == 4 or first == 5:
        return _socks(data, start, n)
    if first == 0x30:
        return _ldap(data, start, n)
    if first != 0x3A and n > 1 and (first << 8 | i64(data[start + 1])) not in _FIRST_TWO:
        return UNKNOWN
    head: bytes = data[start : start + (n if n < MAX_FIRST else MAX_FIRST)]
    if first == 0x3A:
        return IRC * 2 if b" NOTICE " in head else UNKNOWN
    short: bool = False
    for beginning, protocol, asks in _BEGINNINGS_OF[first]:
        if head.startswith(beginning):
            return protocol * 2 + (1 if asks else 0)
        if n < len(beginning) and beginning.startswith(head):
            short = True
    return MORE if short else UNKNOWN


def _socks(data: bytes, start: i64, n: i64) -> i64:
    if n < 2:
        return MORE
    second: i64 = data[start + 1]
    if data[start] == 4:
        return SOCKS4 * 2 + 1 if second == 1 and n >= 9 else MORE if second == 1 else UNKNOWN
    # The client waits for the choice of a method before it goes on.
    return SOCKS5 * 2 + 1 if second > 0 and n <= 2 + second else UNKNOWN


def _ldap(data: bytes, start: i64, n: i64) -> i64:
    """A message: SEQUENCE, length, message ID, and one of the client's operations."""
    if n < 2:
        return MORE
    size: i64 = data[start + 1]
    at: i64 = start + 2
    if size >= 0x80:
        if size < 0x81 or size > 0x84:
            return UNKNOWN
        at += size - 0x80
    if at + 2 > start + n:
        return MORE
    digits: i64 = data[at + 1]
    if data[at] != 2 or digits < 1 or digits > 4:
        return UNKNOWN
    at += 2 + digits
    if at >= start + n:
        return MORE
    kind: i64 = data[at]
    return LDAP * 2 + 1 if kind == 0x60 or kind == 0x63 or kind == 0x77 else UNKNOWN


@mypyc_attr(acyclic=True)
class Carrier:
    """The dialogues of one connection: behind a proxy that agreed, another one begins."""

    def __init__(self) -> None:
        self.off: bool = False  # nothing more can be told
        self.proxy: Dialogue | None = None  # the last one that agreed
        self.current: Dialogue | None = None
        self.layers: i64 = 0
        self.begun0: i64 = 0
        self.begun1: i64 = 0
        # The first bytes of a dialogue that do not yet tell its protocol.
        self.head: bytes = b""
        self.head_side: i64 = -1

    def feed(
        self, side: i64, data: bytes, start: i64, end: i64, position: i64, frame: i64, time_ns: i64, ack: i64
    ) -> None:
        """In-order bytes ``data[start:end]`` of a side, at stream ``position``; all of them in clear."""
        while start < end and not self.off:
            d = self.current
            if d is None:
                if not self._meet(side, data, start, end, position):
                    return
                d = self.current
                head: bytes = self.head
                self.head = b""
                if d is not None and len(head) > 0:
                    d.feed(side, head, 0, len(head), position - len(head), frame, time_ns, ack)
            if d is None:
                return
            d.feed(side, data, start, end, position, frame, time_ns, ack)
            if d.over and not d.tunnel:
                self.off = True
            if not d.tunnel:
                return
            self._enter(d)
            begun: i64 = self.begun0 if side == 0 else self.begun1
            if begun < position:
                return  # it spoke into the tunnel before that was open: told by what is behind
            start += begun - position
            position = begun

    def tls_began(self, side: i64, position: i64, frame: i64) -> None:
        """A ClientHello of a side at this stream position."""
        d = self.current
        if d is not None:
            d.tls_began(side, position, frame)

    def told(self) -> Dialogue | None:
        """The dialogue that led to TLS: the last one with a request."""
        d = self.current
        if d is None or (d.request_frame == 0 and self.proxy is not None):
            return self.proxy
        return d

    def destination(self) -> bytes:
        """Host and port that a proxy was asked for, or that a PROXY header names; empty if there is none."""
        d = self.current
        if d is not None and len(d.destination) > 0:
            return d.destination
        return self.proxy.destination if self.proxy is not None else b""

    def notable(self, secured: bool) -> bool:
        """True if a rule has something to say of it. ``secured``: the connection has TLS."""
        d = self.current
        if d is None:
            return False
        if d.answer == REFUSED or d.late_frame != 0 or d.reply_late_frame != 0:
            return True
        if d.early_frame != 0 or d.reply_early_frame != 0:
            return d.accepted()
        return not secured and d.offer_frame != 0 and d.request_frame == 0 and d.plain != PLAIN_NOTHING

    def _meet(self, side: i64, data: bytes, start: i64, end: i64, position: i64) -> bool:
        """Find out the protocol by the first bytes. False: not yet, or never."""
        begun: i64 = self.begun0 if side == 0 else self.begun1
        if position != begun + len(self.head) or (self.head_side >= 0 and side != self.head_side):
            self.off = True
            return False
        told: i64
        if len(self.head) == 0:
            told = recognise(data, start, end)
        else:
            whole: bytes = self.head + data[start : end if end - start < MAX_FIRST else start + MAX_FIRST]
            told = recognise(whole, 0, len(whole))
        if told == MORE and len(self.head) + end - start < MAX_FIRST:
            self.head += data[start:end]
            self.head_side = side
            return False
        if told < 0:
            self.off = True
            return False
        self.head_side = -1
        asker: i64 = side if told & 1 != 0 else 1 - side
        protocol: i64 = told >> 1
        if protocol > CONNECT:
            self.current = proxy_dialogue(protocol, asker, self.begun0, self.begun1)
        elif protocol in _BINARY:
            self.current = binary_dialogue(protocol, asker, self.begun0, self.begun1)
        else:
            self.current = text_dialogue(protocol, asker, self.begun0, self.begun1)
        return True

    def _enter(self, d: Dialogue) -> None:
        """The proxy agreed: what follows in both directions is of another protocol."""
        self.proxy = d
        self.current = None
        self.layers += 1
        if self.layers > MAX_LAYERS or d.answer != ACCEPTED:
            self.off = True
        self.begun0 = d.request_end if d.asker == 0 else d.answer_end
        self.begun1 = d.answer_end if d.asker == 0 else d.request_end
