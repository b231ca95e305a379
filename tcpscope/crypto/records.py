"""Protection of records: each class opens those of one direction with one set of keys (RFC 5246 section 6.2.3, RFC 8446 section 5.2)."""

from __future__ import annotations

import hmac
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from tcpscope.crypto.derive import expand_label, prf
from tcpscope.crypto.suites import CBC, CCM, CHACHA, GCM, Suite
from tcpscope.wire.tls import TLS11


class Protection(Protocol):
    """Opens records of one direction."""

    def open(self, sequence: int, kind: int, version: int, body: bytes) -> bytes | None:
        """The content of the record of this sequence number, or None if it does not authenticate."""


class Aead12:
    """AEAD of TLS 1.2: the nonce is partly in the record (GCM, CCM), or made from the sequence number (ChaCha20; RFC 7905)."""

    def __init__(self, suite: Suite, key: bytes, fixed: bytes) -> None:
        self._aead = _aead(suite, key)
        self._fixed = fixed
        self._explicit = 0 if suite.mode == CHACHA else 8
        self._overhead = self._explicit + suite.tag

    def open(self, sequence: int, kind: int, version: int, body: bytes) -> bytes | None:
        """See :class:`Protection`."""
        size = len(body) - self._overhead
        if size < 0:
            return None
        explicit = body[: self._explicit]
        nonce = self._fixed + explicit if explicit else _mixed(self._fixed, sequence)
        header = sequence.to_bytes(8, "big") + bytes([kind]) + version.to_bytes(2, "big") + size.to_bytes(2, "big")
        return _opened(self._aead, nonce, body[self._explicit :], header)


class Aead13:
    """AEAD of TLS 1.3. What comes out still has its content type and padding behind it."""

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._aead = _aead(suite, expand_label(suite.hash, secret, b"key", b"", suite.key))
        self._iv = expand_label(suite.hash, secret, b"iv", b"", 12)
        self._tag = suite.tag

    def open(self, sequence: int, kind: int, version: int, body: bytes) -> bytes | None:
        """See :class:`Protection`."""
        if len(body) <= self._tag:
            return None
        header = bytes([kind]) + version.to_bytes(2, "big") + len(body).to_bytes(2, "big")
        return _opened(self._aead, _mixed(self._iv, sequence), body, header)


class Cbc:
    """CBC with HMAC; ``iv``: of the first record in TLS 1.0, where each record goes on from the last; empty if records have their own.

    ``encrypt_then_mac``: RFC 7366.
    """

    def __init__(self, suite: Suite, key: bytes, mac_key: bytes, iv: bytes, encrypt_then_mac: bool) -> None:
        self._algorithm = _block_cipher(suite.cipher, key)
        self._block = self._algorithm.block_size // 8
        self._mac = suite.mac
        self._mac_key = mac_key
        self._mac_size = mac_size(suite)
        self._chained = bool(iv)
        self._iv = iv
        self._encrypt_then_mac = encrypt_then_mac

    def open(self, sequence: int, kind: int, version: int, body: bytes) -> bytes | None:
        """See :class:`Protection`."""
        header = sequence.to_bytes(8, "big") + bytes([kind]) + version.to_bytes(2, "big")
        if self._encrypt_then_mac:
            body, tag = body[: -self._mac_size], body[-self._mac_size :]
            if not self._authentic(header, body, tag):
                return None
        iv, text = (self._iv, body) if self._chained else (body[: self._block], body[self._block :])
        if not text or len(text) % self._block or len(iv) != self._block:
            return None
        decryptor = Cipher(self._algorithm, modes.CBC(iv)).decryptor()
        plain = decryptor.update(text) + decryptor.finalize()
        if self._chained:
            self._iv = text[-self._block :]
        padding = plain[-1] + 1
        if padding > len(plain) or plain[-padding:] != bytes([padding - 1]) * padding:
            return None
        plain = plain[:-padding]
        if self._encrypt_then_mac:
            return plain
        if len(plain) < self._mac_size:
            return None
        plain, tag = plain[: -self._mac_size], plain[-self._mac_size :]
        return plain if self._authentic(header, plain, tag) else None

    def _authentic(self, header: bytes, octets: bytes, tag: bytes) -> bool:
        expected = hmac.digest(self._mac_key, header + len(octets).to_bytes(2, "big") + octets, self._mac)
        return hmac.compare_digest(expected, tag)


def protections12(
    suite: Suite, version: int, master: bytes, randoms: tuple[bytes, bytes], encrypt_then_mac: bool
) -> tuple[Protection, Protection]:
    """Client's and server's protection from the master secret (RFC 5246 section 6.3). ``randoms``: the client's, the server's."""
    mac = mac_size(suite) if suite.mode == CBC else 0
    iv = {GCM: 4, CCM: 4, CHACHA: 12}.get(suite.mode, 0)
    if suite.mode == CBC and version < TLS11:
        iv = 8 if suite.cipher == "TripleDES" else 16
    block = prf(version, suite.hash, master, b"key expansion", randoms[1] + randoms[0], 2 * (mac + suite.key + iv))
    keys, ivs = block[2 * mac :], block[2 * (mac + suite.key) :]
    made: list[Protection] = []
    for side in range(2):
        key, own_iv = keys[side * suite.key : (side + 1) * suite.key], ivs[side * iv : (side + 1) * iv]
        if suite.mode == CBC:
            made.append(Cbc(suite, key, block[side * mac : (side + 1) * mac], own_iv, encrypt_then_mac))
        else:
            made.append(Aead12(suite, key, own_iv))
    return made[0], made[1]


def mac_size(suite: Suite) -> int:
    """Bytes of a CBC suite's HMAC."""
    return {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48}[suite.mac]


def _aead(suite: Suite, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
    if suite.mode == CHACHA:
        return ChaCha20Poly1305(key)
    return AESCCM(key, suite.tag) if suite.mode == CCM else AESGCM(key)


def _mixed(iv: bytes, sequence: int) -> bytes:
    """The nonce of a sequence number (RFC 8446 section 5.3)."""
    return (int.from_bytes(iv, "big") ^ sequence).to_bytes(12, "big")


def _opened(aead: AESGCM | AESCCM | ChaCha20Poly1305, nonce: bytes, body: bytes, header: bytes) -> bytes | None:
    try:
        return aead.decrypt(nonce, body, header)
    except (InvalidTag, ValueError):
        return None


def _block_cipher(name: str, key: bytes) -> AES:
    """The block cipher of a name; those that are no longer recommended have moved from release to release."""
    if name == "AES":
        return AES(key)
    module = "cryptography.hazmat.decrepit.ciphers.algorithms"
    if find_spec("cryptography.hazmat.decrepit") is None:
        module = "cryptography.hazmat.primitives.ciphers.algorithms"
    made: AES = getattr(import_module(module), name)(key)
    return made
