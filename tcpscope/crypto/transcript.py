"""Handshake messages of both directions in the order in which both sides hashed them, and what they prove.

Each direction's messages come in the order of its stream; how the two interleave is known from the protocol, not from the file.
So a transcript is a queue for each direction, and steps that take the next message from the one whose turn it is.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from tcpscope.crypto.certificates import entries
from tcpscope.crypto.x509 import read
from tcpscope.state.tls_secrets import TlsProof
from tcpscope.wire.tls import CERTIFICATE_VERIFY, FINISHED

CLIENT: Final = 0
SERVER: Final = 1

MAX_BYTES: Final = 512 * 1024
"""Of messages that are kept for one connection; with more nothing more is proved."""


class Message(NamedTuple):
    """One handshake message with its header. ``secret``: of the application traffic of its sender at that time."""

    data: bytes
    frame: int
    secret: bytes | None

    @property
    def kind(self) -> int:
        """The message type."""
        return self.data[0]


class Transcript:
    """What both versions share. ``raw`` is what was hashed so far; ``proofs`` what came out."""

    def __init__(self) -> None:
        self.proofs: list[TlsProof] = []
        self.raw = bytearray()
        self._queues: tuple[deque[Message], deque[Message]] = (deque(), deque())
        self._size = 0
        self._frozen = [False, False]
        self._certificates: list[tuple[int, bytes]] = [(0, b""), (0, b"")]  # message type and body of each side's

    def add(self, role: int, data: bytes, frame: int, secret: bytes | None = None) -> None:
        """The next message of a direction."""
        self._size += len(data)
        if self._frozen[role] or self._size > MAX_BYTES:
            return
        self._queues[role].append(Message(data, frame, secret))
        while self.step():
            pass

    def freeze(self, role: int) -> None:
        """Bytes of this direction are missing: its later messages prove nothing."""
        self._frozen[role] = True

    def step(self) -> bool:
        """Take one message whose turn it is. False: it has not come yet."""
        raise NotImplementedError

    def peek(self, role: int) -> Message | None:
        """The next message of a direction."""
        return self._queues[role][0] if self._queues[role] else None

    def take(self, role: int) -> Message:
        """Take the next message of a direction, which is there, and hash it."""
        message = self._queues[role].popleft()
        self.raw += message.data
        return message

    def skip(self, role: int) -> None:
        """Drop the next message of a direction, which is there and is not hashed."""
        self._size -= len(self._queues[role].popleft().data)

    def forget(self) -> None:
        """A handshake is over: its messages need no more room."""
        self._size -= len(self.raw)
        self.raw.clear()

    def prove(self, role: int, message: Message, good: bool | None) -> None:
        """Note what a message came to; None: it cannot be told."""
        if good is not None and message.kind in (FINISHED, CERTIFICATE_VERIFY) and len(self.proofs) < 64:
            self.proofs.append(TlsProof(role, message.kind, message.frame, good))

    def certificate(self, role: int, form: int, data: bytes) -> None:
        """The Certificate message that a CertificateVerify will be about."""
        self._certificates[role] = (form, data[4:])

    def key(self, role: int) -> object | None:
        """The public key of a side's certificate; None if it cannot be read, or is too large to be used."""
        chain = entries(*self._certificates[role])
        certificate = read(chain[0].der) if chain else None
        return certificate.parsed.public_key() if certificate is not None and certificate.usable else None
