"""TLS 1.2 with AES-128-GCM and real encryption, and any fault inside: the master secret is made up, the rest follows RFC 5246."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.tls_builder import (
    CHANGE,
    CLIENT_KEYS,
    CLIENT_RANDOM,
    DONE,
    ECDHE,
    SERVER_KEYS,
    SERVER_RANDOM,
    C,
    S,
    Talk,
    client_hello,
    handshake,
    message,
    server_hello,
    u16,
)

MASTER = bytes(range(48))


def prf(label: bytes, seed: bytes, size: int) -> bytes:
    """RFC 5246 section 5, with SHA-256."""
    out, a = b"", label + seed
    while len(out) < size:
        a = hmac.digest(MASTER, a, "sha256")
        out += hmac.digest(MASTER, a + label + seed, "sha256")
    return out[:size]


class Sealed12:
    """A handshake under way: ``talk`` is what was said, ``heard`` the messages of the handshake at hand."""

    log = f"CLIENT_RANDOM {CLIENT_RANDOM.hex()} {MASTER.hex()}\n".encode()

    def __init__(self) -> None:
        self.talk = Talk()
        self.heard = b""
        self.sequence: list[int | None] = [None, None]  # None: in clear

    def say(self, side: int, *messages: bytes, kind: int = 22) -> Sealed12:
        """One record, protected behind the ChangeCipherSpec of that side."""
        content = b"".join(messages)
        if kind == 22:
            self.heard += content
        number = self.sequence[side]
        if number is None:
            self.talk.say(
                side, handshake(content) if kind == 22 else bytes([kind]) + u16(0x0303, len(content)) + content
            )
        else:
            self.talk.say(side, self.seal(side, kind, content, number))
            self.sequence[side] = number + 1
        return self

    def seal(self, side: int, kind: int, content: bytes, number: int) -> bytes:
        """A record of AES-128-GCM (RFC 5288 section 3); both handshakes have the same randoms here, and so the same keys."""
        block = prf(b"key expansion", SERVER_RANDOM + CLIENT_RANDOM, 40)
        key, fixed = block[16 * side : 16 * side + 16], block[32 + 4 * side : 36 + 4 * side]
        explicit = number.to_bytes(8, "big")
        header = explicit + bytes([kind]) + u16(0x0303, len(content))
        octets = explicit + AESGCM(key).encrypt(fixed + explicit, content, header)
        return bytes([kind]) + u16(0x0303, len(octets)) + octets

    def change(self, side: int) -> Sealed12:
        """ChangeCipherSpec: in clear the first time, then under the old keys."""
        number = self.sequence[side]
        self.talk.say(side, CHANGE if number is None else self.seal(side, 20, b"\1", number))
        self.sequence[side] = 0
        return self

    def finish(self, side: int, *, wrong: bool = False) -> Sealed12:
        """ChangeCipherSpec and Finished."""
        self.change(side)
        digest = hashlib.sha256(self.heard).digest()
        value = prf((b"client finished", b"server finished")[side], digest, 12)
        return self.say(side, message(20, bytes(12) if wrong else value))

    def flights(self) -> Sealed12:
        """A full handshake up to the Finished messages."""
        self.say(C, client_hello()).say(S, server_hello(suite=ECDHE), SERVER_CERTIFICATE, SERVER_KEYS, DONE)
        return self.say(C, CLIENT_KEYS)

    def again(self) -> Sealed12:
        """Another handshake begins."""
        self.heard = b""
        return self

    def close(self) -> Sealed12:
        """Some data and close_notify of both sides."""
        self.say(C, b"attack at dawn", kind=23).say(S, b"attack at dawn", kind=23)
        return self.say(C, b"\1\0", kind=21).say(S, b"\1\0", kind=21)


SERVER_CERTIFICATE = message(11, b"\0\2\0" + b"\0\1\xfd" + bytes(509))
