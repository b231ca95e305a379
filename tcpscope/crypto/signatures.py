"""Signatures of handshake messages: SignatureScheme of RFC 8446 section 4.2.3, which keeps the pairs of RFC 5246 section 7.4.1.4.1."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

PKCS1: Final = padding.PKCS1v15()
_HASHES: Final[dict[int, hashes.HashAlgorithm]] = {
    1: hashes.MD5(),
    2: hashes.SHA1(),
    3: hashes.SHA224(),
    4: hashes.SHA256(),
    5: hashes.SHA384(),
    6: hashes.SHA512(),
}
_PSS: Final[dict[int, hashes.HashAlgorithm]] = {
    0x0804: hashes.SHA256(),
    0x0805: hashes.SHA384(),
    0x0806: hashes.SHA512(),
    0x0809: hashes.SHA256(),
    0x080A: hashes.SHA384(),
    0x080B: hashes.SHA512(),
}


# Kinds of keys by the second byte of a pair of RFC 5246
_KEYS: Final[dict[int, type[object]]] = {1: rsa.RSAPublicKey, 2: dsa.DSAPublicKey, 3: ec.EllipticCurvePublicKey}


def verify(key: object, scheme: bytes, signature: bytes, message: bytes) -> bool | None:
    """Whether a signature fits; None for keys and schemes that are not known, or that do not go together."""
    number = int.from_bytes(scheme, "big")
    if number in _PSS:
        chosen = _PSS[number]
        pss = padding.PSS(padding.MGF1(chosen), chosen.digest_size)
        return verify_with(key, chosen, signature, message, pss) if isinstance(key, rsa.RSAPublicKey) else None
    algorithm = _HASHES.get(number >> 8)
    if number in (0x0807, 0x0808):
        fits = isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    else:
        kind = _KEYS.get(number & 0xFF)
        fits = algorithm is not None and kind is not None and isinstance(key, kind)
    return verify_with(key, algorithm, signature, message) if fits else None


def verify_with(
    key: object,
    algorithm: hashes.HashAlgorithm | None,
    signature: bytes,
    message: bytes,
    rsa_padding: padding.AsymmetricPadding = PKCS1,
) -> bool | None:
    """Whether a signature of this hash fits; None for keys that are not known. Keys on Edwards curves need no hash."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, message)
        elif algorithm is None:
            return None
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, rsa_padding, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(algorithm))
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, message, algorithm)
        else:
            return None
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError):
        return None
    return True


def verify_old(key: object, signature: bytes, message: bytes) -> bool | None:
    """The same before TLS 1.2: MD5 and SHA-1 together for RSA, SHA-1 for the others (RFC 4346 section 4.7)."""
    if not isinstance(key, rsa.RSAPublicKey):
        return verify(key, b"\2\3" if isinstance(key, ec.EllipticCurvePublicKey) else b"\2\2", signature, message)
    try:
        signed = key.recover_data_from_signature(signature, padding.PKCS1v15(), None)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError):
        return None
    return signed == hashlib.md5(message).digest() + hashlib.sha1(message).digest()
