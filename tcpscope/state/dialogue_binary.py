"""Protocols with lengths that turn to TLS: LDAP, PostgreSQL, MySQL; and SOCKS and the PROXY protocol."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.dialogue import (
    ASKER,
    LDAP,
    MAX_MESSAGE,
    MYSQL,
    PLAIN_LOGIN,
    PLAIN_PASSWORD,
    POSTGRESQL,
    PROXY,
    SOCKS4,
    SOCKS5,
    BlockDialogue,
)

START_TLS_OID: Final = b"1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14.1
PG_SSL: Final = 80877103
PG_GSS: Final = 80877104
CLIENT_SSL: Final = 0x0800  # of MySQL's capabilities
PROXY2: Final = b"\r\n\r\n\0\r\nQUIT\n"
MAX_PROXY: Final = 107  # bytes of a PROXY header in text
NO_METHOD: Final = 0xFF  # of SOCKS 5: none of those offered
LDAP_LOOK: Final = 256  # bytes of a message that tell what it is
LDAP_ENTRY: Final = 4000  # and of a search result, which may list the extensions


def big32(octets: bytes, at: i64) -> i64:
    """Four bytes, most significant first; the caller made sure that they exist."""
    a: i64 = octets[at]
    b: i64 = octets[at + 1]
    c: i64 = octets[at + 2]
    d: i64 = octets[at + 3]
    return a << 24 | b << 16 | c << 8 | d


def port_text(octets: bytes, at: i64) -> bytes:
    """Two bytes as ``:port``."""
    high: i64 = octets[at]
    low: i64 = octets[at + 1]
    port: int = high << 8 | low
    return b":" + str(port).encode()


def address_text(octets: bytes) -> bytes:
    """Four bytes as ``192.0.2.1``, sixteen as ``[2001:db8:0:0:0:0:0:1]``."""
    if len(octets) == 4:
        return ".".join([str(octet) for octet in octets]).encode()
    groups: list[str] = []
    i: i64 = 0
    while i + 1 < len(octets):
        high: i64 = octets[i]
        low: i64 = octets[i + 1]
        group: int = high << 8 | low
        groups.append(f"{group:x}")
        i += 2
    return f"[{':'.join(groups)}]".encode()


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class LdapDialogue(BlockDialogue):
    """LDAP (RFC 4511): the StartTLS operation, found by its OID; the answer bears its message ID."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        self.message_id: bytes = b""

    def block(self, role: i64, octets: bytes) -> i64:
        """One LDAPMessage: SEQUENCE of message ID and operation."""
        n: i64 = len(octets)
        if octets[0] != 0x30:
            return -1
        if n < 2:
            return 0
        header: i64 = length_size(octets, 1)
        if header == 0:
            return -1
        if n < 1 + header:
            return 0
        length: i64 = length_at(octets, 1)
        total: i64 = 1 + header + length
        if total > MAX_MESSAGE or length < 5:
            return -1
        if n < total and n < LDAP_LOOK:
            return 0
        at: i64 = 1 + header
        size: i64 = octets[at + 1]
        if octets[at] != 2 or size > 4:
            return -1
        number: bytes = octets[at + 2 : at + 2 + size]
        at += 2 + size
        if at >= n:
            return -1
        kind: i64 = octets[at]
        if kind == 0x64 and n < total and n < LDAP_ENTRY:
            return 0
        place: i64 = self.place + total
        if role == ASKER:
            self._request(kind, octets[: total if total < n else n], at, number, place)
        elif kind == 0x64 and octets.find(START_TLS_OID, at, total) >= 0:
            self.offered()
        elif kind == 0x78 and len(self.message_id) > 0 and number == self.message_id:
            self.message_id = b""
            at += 1 + length_size(octets, at + 1)
            if at + 2 < n and octets[at] == 10 and octets[at + 1] == 1:
                self.answer_code = octets[at + 2]
                self.answered(self.answer_code == 0, place, b"")
        return total

    def _request(self, kind: i64, octets: bytes, at: i64, number: bytes, place: i64) -> None:
        if kind == 0x77 and octets.find(START_TLS_OID, at) >= 0:
            if self.request_end < 0:
                self.message_id = number
            self.requested(place, b"")
        elif kind == 0x60:
            # Version, name, and the password or SASL's mechanism (section 4.2).
            at += 1 + length_size(octets, at + 1)
            at += 3
            if at + 2 > len(octets) or octets[at] != 4:
                return
            size: i64 = length_size(octets, at + 1)
            at += 1 + size + length_at(octets, at + 1)
            if at + 1 >= len(octets):
                return
            if octets[at] == 0xA3:
                self.revealed(PLAIN_LOGIN)
            elif octets[at] == 0x80 and octets[at + 1] > 0:
                self.revealed(PLAIN_PASSWORD)


def length_size(octets: bytes, at: i64) -> i64:
    """How many bytes the BER length at ``at`` takes; 0 if it is of a form that LDAP does not allow."""
    if at >= len(octets):
        return 1
    first: i64 = octets[at]
    if first < 0x80:
        return 1
    return first - 0x80 + 1 if 0x80 < first <= 0x84 else 0


def length_at(octets: bytes, at: i64) -> i64:
    """The BER length at ``at``; 0 where it is not there."""
    count: i64 = length_size(octets, at) - 1
    if at + count >= len(octets) or count < 0:
        return 0
    if count == 0:
        return octets[at]
    value: i64 = 0
    i: i64 = at + 1
    while i <= at + count:
        octet: i64 = octets[i]
        value = value << 8 | octet
        i += 1
    return value


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class PostgresDialogue(BlockDialogue):
    """PostgreSQL: SSLRequest, which one byte answers, S or N. A GSSENCRequest before it is answered N."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        self.gss: bool = False

    def block(self, role: i64, octets: bytes) -> i64:
        """A packet of the client before any login, or an answer of one byte."""
        if role != ASKER:
            first: i64 = octets[0]
            if self.gss and first == 0x4E:
                self.gss = False
            elif self.request_end >= 0 and (first == 0x53 or first == 0x4E or first == 0x45):
                self.answered(first == 0x53, self.place + 1, octets[:1])
                self.over = first == 0x45
            else:
                return -1
            return 1
        if len(octets) < 8:
            return 0
        length: i64 = big32(octets, 0)
        code: i64 = big32(octets, 4)
        if length == 8 and code == PG_SSL:
            self.requested(self.place + 8, b"")
        elif length == 8 and code == PG_GSS:
            self.gss = True
        elif code == 0x30000 and 8 < length < 10000:
            self.revealed(PLAIN_LOGIN)
            return length
        else:
            return -1
        return 8


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class MysqlDialogue(BlockDialogue):
    """MySQL: the greeting offers TLS by a flag, a short login packet with that flag asks for it, and nothing answers."""

    def block(self, role: i64, octets: bytes) -> i64:
        """One packet: length and number, then its payload."""
        n: i64 = len(octets)
        if n < 5:
            return 0
        a: i64 = octets[0]
        b: i64 = octets[1]
        c: i64 = octets[2]
        number: i64 = octets[3]
        length: i64 = a | b << 8 | c << 16
        first: i64 = octets[4]
        if role != ASKER:
            if self.request_end >= 0:
                if first == 0xFF:
                    self.answered(False, self.place + 4 + length, b"")
                self.over = True
                return 4 + length
            if number != 0 or first != 10:
                return -1
            if n < 4 + length and n < LDAP_LOOK:
                return 0
            stop: i64 = octets.find(b"\0", 5)
            if stop < 0 or stop + 15 > n:
                return -1
            flags: i64 = octets[stop + 15] if stop + 15 < n else 0
            if flags & (CLIENT_SSL >> 8) != 0:
                self.offered()
            return 4 + length
        if number != 1 or n < 6:
            return -1 if n >= 6 else 0
        high: i64 = octets[5]
        if high & (CLIENT_SSL >> 8) != 0 and (length == 32 or length == 5):
            self.requested(self.place + 4 + length, b"")
        else:
            self.revealed(PLAIN_LOGIN)
        return 4 + length


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class SocksDialogue(BlockDialogue):
    """SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): a request for a way to a host, and its answer."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        # What comes next of each side: 0 the methods, 1 the password, 2 the request or its answer.
        self.asks: i64 = 2 if protocol == SOCKS4 else 0
        self.answers: i64 = 2 if protocol == SOCKS4 else 0
        self.greeting_frame: i64 = 0

    def block(self, role: i64, octets: bytes) -> i64:
        """One of its messages."""
        if self.protocol == SOCKS4:
            return self._ask4(octets) if role == ASKER else self._answer4(octets)
        return self._ask5(octets) if role == ASKER else self._answer5(octets)

    def _ask4(self, octets: bytes) -> i64:
        n: i64 = len(octets)
        if octets[0] != 4 or (n > 1 and octets[1] != 1):
            return -1
        stop: i64 = octets.find(b"\0", 8)
        if n < 9 or stop < 0:
            return 0
        host: bytes = address_text(octets[4:8])
        if octets[4] == 0 and octets[5] == 0 and octets[6] == 0 and octets[7] != 0:
            last: i64 = octets.find(b"\0", stop + 1)
            if last < 0:
                return 0
            host = octets[stop + 1 : last]
            stop = last
        self.destination = host + port_text(octets, 2)
        self.requested(self.place + stop + 1, b"")
        return stop + 1

    def _answer4(self, octets: bytes) -> i64:
        if len(octets) < 8:
            return 0
        if octets[0] != 0 or self.request_end < 0:
            return -1
        self.answer_code = octets[1]
        self.answered(self.answer_code == 0x5A, self.place + 8, b"")
        return 8

    def _ask5(self, octets: bytes) -> i64:
        n: i64 = len(octets)
        if n < 2:
            return 0
        size: i64 = octets[1]
        if self.asks == 0:
            if octets[0] != 5 or size == 0:
                return -1
            if n < 2 + size:
                return 0
            self.asks = 2
            self.greeting_frame = self.frame
            return 2 + size
        if octets[0] == 1 and self.answers != 2:
            # Name and password.
            if n < 3 + size:
                return 0
            secret: i64 = octets[2 + size]
            return 3 + size + secret
        if octets[0] != 5 or size != 1:
            return -1  # another command than CONNECT
        if n < 5:
            return 0
        kind: i64 = octets[3]
        length: i64 = address_size(octets)
        if length == 0:
            return -1
        end: i64 = 4 + length
        if n < end + 2:
            return 0
        host: bytes = octets[5:end] if kind == 3 else address_text(octets[4:end])
        self.destination = host + port_text(octets, end)
        self.requested(self.place + end + 2, b"")
        return end + 2

    def _answer5(self, octets: bytes) -> i64:
        n: i64 = len(octets)
        if n < 2:
            return 0
        status: i64 = octets[1]
        if self.answers == 0:
            if octets[0] != 5:
                return -1
            if status == NO_METHOD:
                self._refuse_early(NO_METHOD)
            elif status == 0:
                self.answers = 2
            elif status == 2:
                self.answers = 1
            else:
                return -1
            return 2
        if self.answers == 1:
            if status != 0:
                self._refuse_early(NO_METHOD)
            self.answers = 2
            return 2
        if octets[0] != 5 or self.request_end < 0:
            return -1
        if n < 5:
            return 0
        length: i64 = address_size(octets)
        if length == 0:
            return -1
        if n < 6 + length:
            return 0
        self.answer_code = status
        self.answered(status == 0, self.place + 6 + length, b"")
        return 6 + length

    def _refuse_early(self, code: i64) -> None:
        """The proxy wants nothing of this client: there will be no request."""
        if self.request_end < 0:
            self.requested(self.at0 if self.asker == 0 else self.at1, b"")
            self.request_frame = self.greeting_frame
        self.answer_code = code
        self.answered(False, self.place + 2, b"")
        self.over = True


def address_size(octets: bytes) -> i64:
    """Bytes of the address at offset 4 of a SOCKS 5 message, by its type at 3, with the length of a name; 0 unknown."""
    kind: i64 = octets[3]
    if kind == 1:
        return 4
    if kind == 4:
        return 16
    size: i64 = octets[4]
    return 1 + size if kind == 3 else 0


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class ProxyDialogue(BlockDialogue):
    """The header of the PROXY protocol, version 1 (a line) or 2: a proxy tells its server whom it speaks for. No answer."""

    def block(self, role: i64, octets: bytes) -> i64:
        """The header."""
        if role != ASKER:
            return -1
        n: i64 = len(octets)
        if octets[0] == 0x50:
            stop: i64 = octets.find(b"\r\n")
            if stop < 0:
                return 0 if n < MAX_PROXY else -1
            words: list[bytes] = octets[:stop].split(b" ")
            if len(words) == 6:
                host: bytes = words[3]
                self.destination = (b"[" + host + b"]" if b":" in host else host) + b":" + words[5]
            return self._passed(stop + 2)
        if n < 16:
            return 0
        high: i64 = octets[14]
        low: i64 = octets[15]
        length: i64 = 16 + (high << 8 | low)
        family: i64 = octets[13]
        size: i64 = 4 if family == 0x11 else 16 if family == 0x21 else 0
        if n < 20 + 2 * size and n < length:
            return 0
        if size > 0 and length >= 20 + 2 * size:
            self.destination = address_text(octets[16 + size : 16 + 2 * size]) + port_text(octets, 18 + 2 * size)
        return self._passed(length)

    def _passed(self, length: i64) -> i64:
        self.requested(self.place + length, b"")
        self.answered(True, self.at1 if self.asker == 0 else self.at0, b"")
        self.answer_frame = 0
        return length


def binary_dialogue(protocol: i64, asker: i64, begun0: i64, begun1: i64) -> BlockDialogue:
    """The dialogue of a protocol with lengths."""
    if protocol == LDAP:
        return LdapDialogue(protocol, asker, begun0, begun1)
    if protocol == POSTGRESQL:
        return PostgresDialogue(protocol, asker, begun0, begun1)
    if protocol == MYSQL:
        return MysqlDialogue(protocol, asker, begun0, begun1)
    if protocol == PROXY:
        return ProxyDialogue(protocol, asker, begun0, begun1)
    return SocksDialogue(SOCKS5 if protocol == SOCKS5 else SOCKS4, asker, begun0, begun1)
