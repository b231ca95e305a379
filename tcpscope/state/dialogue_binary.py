"""Protocols with lengths that turn to TLS: LDAP, PostgreSQL, MySQL and RDP."""

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
    BlockDialogue,
)
from tcpscope.wire.tcp import u32

RDP_REQUEST: Final = 0xE0  # X.224 connection request and confirm
RDP_CONFIRM: Final = 0xD0
START_TLS_OID: Final = b"1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14.1
PG_SSL: Final = 80877103
PG_GSS: Final = 80877104
CLIENT_SSL: Final = 0x0800  # of MySQL's capabilities
LDAP_LOOK: Final = 256  # bytes of a message that tell what it is
LDAP_ENTRY: Final = 4000  # and of a search result, which may list the extensions


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
        length: i64 = u32(octets, 0)
        code: i64 = u32(octets, 4)
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
class RdpDialogue(BlockDialogue):
    """RDP: an X.224 connection request that names the kinds of security its sender can do, and the choice in the confirm."""

    def block(self, role: i64, octets: bytes) -> i64:
        """One TPKT packet (RFC 1006 section 6); its last eight bytes are the negotiation, if there is one."""
        n: i64 = len(octets)
        if n < 6:
            return 0
        high: i64 = octets[2]
        low: i64 = octets[3]
        length: i64 = high << 8 | low
        if octets[0] != 3 or octets[1] != 0 or length < 11:
            return -1
        if n < length:
            return 0
        kind: i64 = octets[5]
        at: i64 = length - 8
        negotiates: bool = length >= 19 and octets[at + 2] == 8 and octets[at + 3] == 0
        if role == ASKER:
            if kind != RDP_REQUEST:
                return -1
            if negotiates and octets[at] == 1 and octets[at + 4] != 0:
                self.requested(self.place + length, b"")
        elif kind != RDP_CONFIRM or self.request_end < 0:
            return -1
        else:
            chosen: bool = negotiates and octets[at] == 2
            self.answer_code = octets[at + 4] if chosen else 0
            self.answered(self.answer_code != 0, self.place + length, b"")
            self.over = self.answer_code == 0
        return length


def binary_dialogue(protocol: i64, asker: i64, begun0: i64, begun1: i64) -> BlockDialogue:
    """The dialogue of a protocol with lengths."""
    if protocol == LDAP:
        return LdapDialogue(protocol, asker, begun0, begun1)
    if protocol == POSTGRESQL:
        return PostgresDialogue(protocol, asker, begun0, begun1)
    if protocol == MYSQL:
        return MysqlDialogue(protocol, asker, begun0, begun1)
    return RdpDialogue(protocol, asker, begun0, begun1)
