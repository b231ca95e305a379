"""TLS 1.0 to 1.2 with the master secret: keys begin with each ChangeCipherSpec (RFC 5246 section 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpscope.crypto.flow import Flow, Half, give
from tcpscope.crypto.keylog import MASTER, Keys
from tcpscope.crypto.records import Protection, protections12
from tcpscope.crypto.suites import suite
from tcpscope.crypto.transcript12 import Transcript12
from tcpscope.state.tls_secrets import FORGED, OPENED, SHUT, WAIT
from tcpscope.wire.tls import CLIENT_HELLO, SERVER_HELLO
from tcpscope.wire.tls_hello import ServerHello, parse_client_hello, parse_server_hello

if TYPE_CHECKING:
    from tcpscope.state.tls_secrets import Opener

ENCRYPT_THEN_MAC = 22


class Flow12(Flow):
    """``find`` gives the secrets of a client random; a second handshake inside the connection has its own."""

    def __init__(self, find: Callable[[bytes], Keys | None]) -> None:
        super().__init__(Transcript12(find))
        self._find = find
        self._random = b""
        self._answers: list[ServerHello] = []
        self._changes = [0, 0]
        self._armed = [False, False]
        self._protection: list[Protection | None] = [None, None]

    def take(self, role: int, data: bytes, frame: int) -> None:
        """See :class:`Flow`."""
        if not data:
            self._armed[role] = True
            self._changes[role] += 1
            return
        if role == 0 and data[0] == CLIENT_HELLO:
            self._random = parse_client_hello(data, 4, len(data), False).random
        elif role == 1 and data[0] == SERVER_HELLO:
            self._answers.append(parse_server_hello(data, 4, len(data), False))
        self.transcript.add(role, data, frame)

    def open(self, opener: Opener, role: int, kind: int, version: int, body: bytes, gap: bool) -> int:
        """See :class:`Flow`."""
        half = self.halves[role]
        if self._armed[role]:
            if len(self._answers) < self._changes[role]:
                return WAIT
            self._arm(role, half)
        protection = self._protection[role]
        if protection is None:
            return SHUT
        half.guessing = half.guessing or gap
        plain = self.attempt(half, protection, kind, version, body) if body else None
        if plain is not None:
            half.proven = True
            give(opener, kind, plain)
            return OPENED
        if half.proven and not half.lossy:
            return FORGED
        half.sequence += half.proven  # the record counts, whatever is wrong with it
        return SHUT

    def _arm(self, role: int, half: Half) -> None:
        """The keys of the handshake at hand."""
        self._armed[role] = False
        answer = self._answers[self._changes[role] - 1]
        known, master = suite(answer.cipher), (self._find(self._random) or {}).get(MASTER)
        half.rekeyed()
        self._protection[role] = None
        if known is not None and master is not None and not answer.compression:
            randoms = (self._random, answer.random)
            both = protections12(known, answer.selected, master, randoms, answer.has(ENCRYPT_THEN_MAC))
            self._protection[role] = both[role]
