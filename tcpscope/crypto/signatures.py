"""Signatures of handshake messages: SignatureScheme of RFC 8446 section 4.2.3, which keeps the pairs of RFC 5246 section 7.4.1.4.1."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

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


def verify(key: object, scheme: bytes, signature: bytes, message: bytes) -> bool | None:
    """Whether a signature fits; None for keys and schemes that are not known, or that do not go together."""
    number = int.from_bytes(scheme, "big")
    algorithm = _HASHES.get(number >> 8)
    try:
        if isinstance(key, rsa.RSAPublicKey) and number in _PSS:
            chosen = _PSS[number]
            key.verify(signature, message, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and number in (0x0807, 0x0808):
            key.verify(signature, message)
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None and number & 0xFF == 1:
            key.verify(signature, message, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None and number & 0xFF == 3:
            key.verify(signature, message, ec.ECDSA(algorithm))
        elif isinstance(key, dsa.DSAPublicKey) and algorithm is not None and number & 0xFF == 2:
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
