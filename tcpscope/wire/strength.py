"""What a cipher suite is made of, and a word for how strong that is by RFC 9325 (docs/tls.md)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from tcpscope.wire.cipher_names import CIPHER_NAMES
from tcpscope.wire.ciphers import key_exchange

STRONG: Final = "strong"
ACCEPTABLE: Final = "acceptable"
WEAK: Final = "weak"
BROKEN: Final = "broken"

LEAST_BITS: Final = 112  # with fewer a suite must not be negotiated (RFC 9325 section 4.1)
GOOD_BITS: Final = 128  # with fewer it should not (the same section)
LEAST_PRIME: Final = 2048  # bits of a prime for DHE (RFC 9325 section 4.5)

# Key exchange, whether it gives forward secrecy, and what proves who the server is; by the name in front of _WITH_.
_EXCHANGES: Final[dict[str, tuple[str, bool, str]]] = {
    "RSA": ("RSA", False, "RSA"),
    "DHE_RSA": ("DHE", True, "RSA"),
    "DHE_DSS": ("DHE", True, "DSA"),
    "DH_RSA": ("DH", False, "RSA"),
    "DH_DSS": ("DH", False, "DSA"),
    "DH_anon": ("DHE", True, "none"),
    "ECDHE_RSA": ("ECDHE", True, "RSA"),
    "ECDHE_ECDSA": ("ECDHE", True, "ECDSA"),
    "ECDH_RSA": ("ECDH", False, "RSA"),
    "ECDH_ECDSA": ("ECDH", False, "ECDSA"),
    "ECDH_anon": ("ECDHE", True, "none"),
    "PSK": ("PSK", False, "PSK"),
    "DHE_PSK": ("DHE", True, "PSK"),
    "PSK_DHE": ("DHE", True, "PSK"),
    "ECDHE_PSK": ("ECDHE", True, "PSK"),
    "RSA_PSK": ("RSA", False, "RSA and PSK"),
    "SRP_SHA": ("SRP", True, "password"),
    "SRP_SHA_RSA": ("SRP", True, "password and RSA"),
    "SRP_SHA_DSS": ("SRP", True, "password and DSA"),
    "KRB5": ("Kerberos", False, "Kerberos"),
    "ECCPWD": ("ECCPWD", True, "password"),
    "ECJPAKE": ("ECJPAKE", True, "password"),
}
_ADDED: Final = ("_EXPORT1024", "_EXPORT", "_FIPS")

# Ciphers by how their name begins, with the bits of their strength: of 3DES 112 (RFC 9325 section 4.1).
_CIPHERS: Final[tuple[tuple[str, str, int], ...]] = (
    ("NULL", "NULL", 0),
    ("SHA", "NULL", 0),  # of TLS 1.3: integrity alone (RFC 9150)
    ("AES_128", "AES", 128),
    ("AES_256", "AES", 256),
    ("CHACHA20", "ChaCha20", 256),
    ("CAMELLIA_128", "Camellia", 128),
    ("CAMELLIA_256", "Camellia", 256),
    ("ARIA_128", "ARIA", 128),
    ("ARIA_256", "ARIA", 256),
    ("SEED", "SEED", 128),
    ("SM4", "SM4", 128),
    ("AEGIS_128", "AEGIS", 128),
    ("AEGIS_256", "AEGIS", 256),
    ("3DES", "3DES", 112),
    ("IDEA", "IDEA", 128),
    ("DES40", "DES", 40),
    ("DES_CBC_40", "DES", 40),
    ("DES", "DES", 56),
    ("RC4_40", "RC4", 40),
    ("RC4_56", "RC4", 56),
    ("RC4_128", "RC4", 128),
    ("RC2_CBC_40", "RC2", 40),
    ("RC2_CBC_56", "RC2", 56),
)
_AUTHENTICATED: Final = ("GCM", "CCM", "OCB", "POLY1305", "AEGIS")


class Properties(NamedTuple):
    """What a suite is made of. ``bits`` are those of its strength, 0 without encryption.

    ``mode``: AEAD, CBC, stream or none; ``authentication``: of the server, "none" if nothing proves who it is.
    """

    key_exchange: str
    forward_secrecy: bool
    authentication: str
    cipher: str
    bits: int
    mode: str
    short_tag: bool  # CCM_8: eight bytes prove a record


@lru_cache(maxsize=512)
def properties(suite: int, *, psk: bool = False, share: bool = True) -> Properties | None:
    """What a suite is made of; None of one that is not known.

    Of TLS 1.3 the suite says only half: ``psk`` if the server took a pre-shared key, ``share`` if it sent a key share.
    """
    name = CIPHER_NAMES.get(suite, "")
    exchange = key_exchange(suite)
    if exchange:
        for added in _ADDED:
            exchange = exchange.removesuffix(added)
        known = _EXCHANGES.get(exchange)
        rest = name.partition("_WITH_")[2]
    elif suite >> 8 == 0x13 or suite in (0x00C6, 0x00C7, 0xC0B4, 0xC0B5):
        known = ("(EC)DHE" if share else "PSK", share, "PSK" if psk else "certificate")
        rest = name.removeprefix("TLS_")
    else:
        return None
    cipher = next((row for row in _CIPHERS if rest.startswith(row[0])), None)
    if known is None or cipher is None:
        return None
    return Properties(*known, cipher[1], cipher[2], _mode(cipher[1], rest), "CCM_8" in rest)


def _mode(cipher: str, rest: str) -> str:
    if cipher == "NULL":
        return "none"
    if any(word in rest.split("_") for word in _AUTHENTICATED) or cipher == "AEGIS":
        return "AEAD"
    return "CBC" if "CBC" in rest else "stream"


def strength(made: Properties, prime_bits: int = 0) -> tuple[str, tuple[str, ...]]:
    """The word for a suite, and why it is no better. ``prime_bits``: of the prime that DHE used, 0 unknown."""
    broken = []
    if made.bits == 0:
        broken.append("no encryption")
    elif made.bits < LEAST_BITS:
        broken.append(f"{made.bits} bits")
    if made.cipher == "RC4":
        broken.append("RC4")
    if made.authentication == "none":
        broken.append("nothing proves who the server is")
    if broken:
        return BROKEN, tuple(broken)
    weak = []
    if made.bits < GOOD_BITS:
        weak.append(f"{made.bits} bits")
    if not made.forward_secrecy:
        weak.append("no forward secrecy")
    if 0 < prime_bits < LEAST_PRIME:
        weak.append(f"a prime of {prime_bits} bits")
    if weak:
        return WEAK, tuple(weak)
    lesser = []
    if made.mode != "AEAD":
        lesser.append("not AEAD")
    if made.short_tag:
        lesser.append("a short tag")
    if made.key_exchange == "DHE":
        lesser.append("DHE")
    return (ACCEPTABLE, tuple(lesser)) if lesser else (STRONG, ())
