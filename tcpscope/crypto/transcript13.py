"""The transcript of TLS 1.3 (RFC 8446 section 4.4.1), also of an authentication after the handshake."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from tcpscope.crypto.derive import expand_label
from tcpscope.crypto.keylog import HANDSHAKE, Keys
from tcpscope.crypto.signatures import verify
from tcpscope.crypto.transcript import CLIENT, SERVER, Message, Transcript
from tcpscope.state.tls_log import FORM_TLS13
from tcpscope.wire.tls import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CLIENT_HELLO,
    COMPRESSED_CERTIFICATE,
    FINISHED,
    SERVER_HELLO,
)
from tcpscope.wire.tls_hello import parse_server_hello

# Whose turn it is.
HELLO: Final = 0
ANSWER: Final = 1
SERVER_FLIGHT: Final = 2
CLIENT_FLIGHT: Final = 3
LATER: Final = 4

MESSAGE_HASH: Final = 254
MAX_REQUESTS: Final = 16  # for authentication after the handshake that are kept

_CONTEXTS: Final = (b"TLS 1.3, client CertificateVerify", b"TLS 1.3, server CertificateVerify")


class Transcript13(Transcript):
    """``algorithm``: hash of the suite. ``uncertain``: an inner ClientHello may have taken the place of the readable one."""

    def __init__(self, secrets: Keys, algorithm: str, uncertain: bool) -> None:
        super().__init__()
        self._secrets = secrets
        self._algorithm = algorithm
        self._uncertain = uncertain
        self._stage = HELLO
        self._handshake = hashlib.new(algorithm)  # all of it, once it is over
        self._requests: dict[bytes, bytes] = {}  # by their context

    def step(self) -> bool:
        """See :class:`Transcript`."""
        if self._stage == LATER:
            return self._later()
        role = CLIENT if self._stage in (HELLO, CLIENT_FLIGHT) else SERVER
        message = self.peek(role)
        if message is None:
            return False
        kind = message.kind
        if self._stage == HELLO and kind != CLIENT_HELLO:
            self.skip(role)
            return True
        if kind == SERVER_HELLO and parse_server_hello(message.data, 4, len(message.data), False).retry:
            digest = self._digest()
            self.raw[:] = bytes([MESSAGE_HASH, 0, 0, len(digest)]) + digest
            self.take(role)
            self._stage = HELLO
            return True
        if self._stage == CLIENT_FLIGHT and kind == CLIENT_HELLO:
            self.skip(role)
            return True
        secret = self._secrets.get(HANDSHAKE[role])
        self._judge(role, message, secret)
        self.take(role)
        if kind == FINISHED:
            self._stage = CLIENT_FLIGHT if role == SERVER else LATER
            if self._stage == LATER:
                self._handshake.update(self.raw)
                self.forget()
        elif self._stage in (HELLO, ANSWER):
            self._stage += 1
        return True

    def _judge(self, role: int, message: Message, secret: bytes | None) -> None:
        """Prove a message by what was hashed before it."""
        if message.kind == FINISHED:
            self.prove(role, message, self._certain(self._finished(message, secret)))
        elif message.kind == CERTIFICATE_VERIFY:
            self.prove(role, message, self._certain(self._certificate_verify(role, message)))
        elif message.kind in (CERTIFICATE, COMPRESSED_CERTIFICATE):
            form = FORM_TLS13 if message.kind == CERTIFICATE else COMPRESSED_CERTIFICATE
            self.certificate(role, form, message.data)

    def _certain(self, good: bool | None) -> bool | None:
        """With an encrypted ClientHello a misfit is no proof: the sides may have hashed the inner one."""
        return None if self._uncertain and not good else good

    def _digest(self) -> bytes:
        both = self._handshake.copy()
        both.update(self.raw)
        return both.digest()

    def _finished(self, message: Message, secret: bytes | None) -> bool | None:
        if secret is None:
            return None
        key = expand_label(self._algorithm, secret, b"finished", b"", len(secret))
        return message.data[4:] == hmac.digest(key, self._digest(), self._algorithm)

    def _certificate_verify(self, role: int, message: Message) -> bool | None:
        body = message.data[4:]
        return verify(self.key(role), body[:2], body[4:], b" " * 64 + _CONTEXTS[role] + b"\0" + self._digest())

    def _later(self) -> bool:
        """Behind the handshake: the server may ask for a certificate, and the client answers (RFC 8446 section 4.6.2)."""
        message = self.peek(SERVER)
        if message is not None:
            if message.kind == CERTIFICATE_REQUEST and len(self._requests) < MAX_REQUESTS:
                self._requests[_context(message.data)] = message.data
            self.skip(SERVER)
            return True
        message = self.peek(CLIENT)
        if message is None:
            return False
        if message.kind in (CERTIFICATE, COMPRESSED_CERTIFICATE):
            request = self._requests.pop(_context(message.data), None) if message.kind == CERTIFICATE else None
            if request is None:
                return False  # it may be in bytes of the server that come later in the file
            self.raw += request
        elif message.kind not in (CERTIFICATE_VERIFY, FINISHED) or not self.raw:
            self.skip(CLIENT)
            return True
        self._judge(CLIENT, message, message.secret)
        self.take(CLIENT)
        if message.kind == FINISHED:
            self.forget()
        return True


def _context(data: bytes) -> bytes:
    """certificate_request_context, with which a CertificateRequest and its answer begin."""
    return data[5 : 5 + data[4]] if len(data) > 4 else b""
