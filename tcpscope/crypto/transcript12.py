"""The transcript of TLS 1.0 to 1.2, full and abbreviated, for each handshake of a connection (RFC 5246 sections 7.3 to 7.4.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcpscope.crypto.derive import prf, transcript_hash
from tcpscope.crypto.keylog import MASTER, Keys
from tcpscope.crypto.signatures import verify, verify_old
from tcpscope.crypto.suites import suite
from tcpscope.crypto.transcript import CLIENT, SERVER, Message, Transcript
from tcpscope.wire.tls import (
    CERTIFICATE,
    CERTIFICATE_VERIFY,
    CLIENT_HELLO,
    FINISHED,
    HELLO_REQUEST,
    SERVER_HELLO,
    SERVER_HELLO_DONE,
    TLS12,
)
from tcpscope.wire.tls_hello import parse_client_hello, parse_server_hello

# Whose turn it is.
HELLO: Final = 0
ANSWER: Final = 1
CLIENT_FLIGHT: Final = 2  # of a full handshake
SERVER_FINISH: Final = 3
CLIENT_FINISH: Final = 4  # of an abbreviated one

_LABELS: Final = (b"client finished", b"server finished")


class Transcript12(Transcript):
    """``find`` gives the secrets of a client random."""

    def __init__(self, find: Callable[[bytes], Keys | None]) -> None:
        super().__init__()
        self._find = find
        self._begin()

    def _begin(self) -> None:
        self.forget()
        self._stage = HELLO
        self._master: bytes | None = None
        self._version = 0
        self._hash = ""

    def step(self) -> bool:
        """See :class:`Transcript`."""
        role = CLIENT if self._stage in (HELLO, CLIENT_FLIGHT, CLIENT_FINISH) else SERVER
        message = self.peek(role)
        if message is None:
            return False
        kind = message.kind
        if kind == HELLO_REQUEST or (self._stage == HELLO and kind != CLIENT_HELLO):
            self.skip(role)  # the former is not hashed; the latter belongs to nothing
            return True
        if kind == FINISHED:
            self.prove(role, message, self._finished(role, message))
        elif kind == CERTIFICATE_VERIFY:
            self.prove(role, message, self._certificate_verify(message))
        elif kind == CERTIFICATE:
            self.certificate(role, CERTIFICATE, message.data)
        elif kind == CLIENT_HELLO and self._stage == HELLO:
            random = parse_client_hello(message.data, 4, len(message.data), False).random
            self._master = (self._find(random) or {}).get(MASTER)
        elif kind == SERVER_HELLO:
            waiting = self.peek(CLIENT)
            if waiting is not None and waiting.kind == CLIENT_HELLO:
                self._begin()  # the server refused the handshake that the one before asked for
                return True
            hello = parse_server_hello(message.data, 4, len(message.data), False)
            known = suite(hello.cipher)
            self._version, self._hash = hello.selected, known.hash if known is not None else ""
        self.take(role)
        self._turn(kind)
        return True

    def _turn(self, kind: int) -> None:
        """Whose message comes after one of this type."""
        if self._stage == HELLO:
            self._stage = ANSWER
        elif self._stage == ANSWER and kind == SERVER_HELLO_DONE:
            self._stage = CLIENT_FLIGHT
        elif kind == FINISHED:
            if self._stage == CLIENT_FLIGHT:
                self._stage = SERVER_FINISH
            elif self._stage == ANSWER:
                self._stage = CLIENT_FINISH
            else:
                self._begin()

    def _finished(self, role: int, message: Message) -> bool | None:
        if self._master is None or not self._hash:
            return None
        digest = transcript_hash(self._version, self._hash, bytes(self.raw))
        return message.data[4:] == prf(self._version, self._hash, self._master, _LABELS[role], digest, 12)

    def _certificate_verify(self, message: Message) -> bool | None:
        """Only clients send one (RFC 5246 section 7.4.8)."""
        key, body = self.key(CLIENT), message.data[4:]
        if self._version == TLS12:
            return verify(key, body[:2], body[4:], bytes(self.raw))
        return verify_old(key, body[2:], bytes(self.raw))
