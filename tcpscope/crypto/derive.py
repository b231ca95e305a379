"""Key schedule: the PRF of TLS 1.2 and older (RFC 5246 section 5, RFC 2246 section 5), HKDF-Expand-Label (RFC 8446 section 7.1)."""

from __future__ import annotations

import hashlib
import hmac

from tcpscope.wire.tls import TLS12


def p_hash(algorithm: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """P_hash of RFC 5246 section 5: ``size`` bytes."""
    out = b""
    a = seed
    while len(out) < size:
        a = hmac.digest(secret, a, algorithm)
        out += hmac.digest(secret, a + seed, algorithm)
    return out[:size]


def prf(version: int, algorithm: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """The PRF of a version; ``algorithm`` is that of the suite in TLS 1.2, before it was MD5 and SHA-1 together."""
    if version >= TLS12:
        return p_hash(algorithm, secret, label + seed, size)
    half = (len(secret) + 1) // 2
    first = p_hash("md5", secret[:half], label + seed, size)
    second = p_hash("sha1", secret[len(secret) - half :], label + seed, size)
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def transcript_hash(version: int, algorithm: str, messages: bytes) -> bytes:
    """Hash of the handshake messages for the Finished of TLS 1.2 and older (RFC 5246 section 7.4.9)."""
    if version >= TLS12:
        return hashlib.new(algorithm, messages).digest()
    return hashlib.md5(messages).digest() + hashlib.sha1(messages).digest()


def expand_label(algorithm: str, secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
    out = block = b""
    counter = 1
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([counter]), algorithm)
        out += block
        counter += 1
    return out[:size]
