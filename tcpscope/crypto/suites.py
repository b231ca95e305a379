"""What the name of a cipher suite says about the protection of records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from tcpscope.wire.cipher_names import CIPHER_NAMES

GCM: Final = "gcm"
CCM: Final = "ccm"
CHACHA: Final = "chacha20-poly1305"
CBC: Final = "cbc"

_CIPHERS: Final = {
    "AES_128": ("AES", 16),
    "AES_256": ("AES", 32),
    "CAMELLIA_128": ("Camellia", 16),
    "CAMELLIA_256": ("Camellia", 32),
    "3DES_EDE": ("TripleDES", 24),
}
_MACS: Final = {"MD5": "md5", "SHA": "sha1", "SHA256": "sha256", "SHA384": "sha384"}


@dataclass(frozen=True, slots=True)
class Suite:
    """``cipher`` as the package cryptography calls it; ``tag``: bytes of an AEAD's tag; ``mac``: hash of a CBC suite's HMAC.

    ``hash``: of the PRF or HKDF and of the transcript.
    """

    mode: str
    cipher: str
    key: int
    tag: int
    mac: str
    hash: str


@cache
def suite(number: int) -> Suite | None:
    """The protection of a suite; None if it is not one that can be opened."""
    name = CIPHER_NAMES.get(number, "")
    words = name.partition("_WITH_")[2] or (name.removeprefix("TLS_") if number >> 8 == 0x13 else "")
    if words.startswith("CHACHA20_POLY1305"):
        return Suite(CHACHA, "ChaCha20", 32, 16, "", "sha256")
    for start, (cipher, key) in _CIPHERS.items():
        if words.startswith(f"{start}_"):
            return _block(words.removeprefix(f"{start}_"), cipher, key)
    return None


def _block(rest: str, cipher: str, key: int) -> Suite | None:
    """A block cipher with its mode and hash, such as ``GCM_SHA384``, ``CCM_8`` or ``CBC_SHA``."""
    mode, _, last = rest.partition("_")
    if mode == "GCM" and cipher == "AES":
        return Suite(GCM, cipher, key, 16, "", _MACS.get(last, "sha256"))
    if mode == "CCM" and cipher == "AES":
        return Suite(CCM, cipher, key, 8 if last.startswith("8") else 16, "", "sha256")
    if mode == "CBC" and last in _MACS:
        return Suite(CBC, cipher, key, 0, _MACS[last], "sha384" if last == "SHA384" else "sha256")
    return None
