"""SOCKS and the PROXY protocol: the way to another host, in which TLS may begin."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.dialogue import ASKER, PROXY, SOCKS4, BlockDialogue

PROXY2: Final = b"\r\n\r\n\0\r\nQUIT\n"
MAX_PROXY: Final = 107  # bytes of a PROXY header in text
NO_METHOD: Final = 0xFF  # of SOCKS 5: none of those offered


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


def proxy_dialogue(protocol: i64, asker: i64, begun0: i64, begun1: i64) -> BlockDialogue:
    """The dialogue with a proxy, other than HTTP's."""
    if protocol == PROXY:
        return ProxyDialogue(protocol, asker, begun0, begun1)
    return SocksDialogue(protocol, asker, begun0, begun1)
