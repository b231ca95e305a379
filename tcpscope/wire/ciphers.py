"""Cipher suites: name, key exchange, and what that asks of the handshake (RFC 5246 sections 7.4.2 and 7.4.3)."""

from __future__ import annotations

from typing import Final

from tcpscope.wire.cipher_names import CIPHER_NAMES

MUST: Final = 1
MUST_NOT: Final = 0
MAY: Final = -1

FALLBACK_SCSV: Final = 0x5600
RENEGOTIATION_SCSV: Final = 0x00FF

# Key exchange: server Certificate, ServerKeyExchange. Sources: RFC 5246 7.4.2 and 7.4.3; RFC 4279 (PSK); RFC 5489 (ECDHE_PSK);
# RFC 8422 (EC); RFC 5054 (SRP); RFC 2712 (Kerberos). A temporary RSA key made RSA_EXPORT send a ServerKeyExchange at times.
_RULES: Final[dict[str, tuple[int, int]]] = {
    "RSA": (MUST, MUST_NOT),
    "RSA_EXPORT": (MUST, MAY),
    "RSA_EXPORT1024": (MUST, MAY),
    "RSA_FIPS": (MUST, MUST_NOT),
    "DHE_RSA": (MUST, MUST),
    "DHE_DSS": (MUST, MUST),
    "DHE_RSA_EXPORT": (MUST, MUST),
    "DHE_DSS_EXPORT": (MUST, MUST),
    "DHE_DSS_EXPORT1024": (MUST, MUST),
    "DH_RSA": (MUST, MUST_NOT),
    "DH_DSS": (MUST, MUST_NOT),
    "DH_RSA_EXPORT": (MUST, MAY),
    "DH_DSS_EXPORT": (MUST, MAY),
    "DH_anon": (MUST_NOT, MUST),
    "DH_anon_EXPORT": (MUST_NOT, MUST),
    "ECDHE_RSA": (MUST, MUST),
    "ECDHE_ECDSA": (MUST, MUST),
    "ECDH_RSA": (MUST, MUST_NOT),
    "ECDH_ECDSA": (MUST, MUST_NOT),
    "ECDH_anon": (MUST_NOT, MUST),
    "PSK": (MUST_NOT, MAY),
    "DHE_PSK": (MUST_NOT, MUST),
    "PSK_DHE": (MUST_NOT, MUST),
    "ECDHE_PSK": (MUST_NOT, MUST),
    "RSA_PSK": (MUST, MAY),
    "SRP_SHA": (MUST_NOT, MUST),
    "SRP_SHA_RSA": (MUST, MUST),
    "SRP_SHA_DSS": (MUST, MUST),
    "KRB5": (MUST_NOT, MAY),
    "KRB5_EXPORT": (MUST_NOT, MAY),
}


def cipher_name(value: int) -> str:
    """IANA name of a suite; a number without a name is shown as ``0x1234``."""
    return CIPHER_NAMES.get(value, f"0x{value:04x}")


def key_exchange(value: int) -> str:
    """Key exchange and authentication as they stand in the name, such as ``ECDHE_RSA``, ``RSA`` or ``DH_anon``.

    Empty for a suite without them: those of TLS 1.3, the signalling values, unknown numbers.
    """
    name = CIPHER_NAMES.get(value, "")
    middle = name.find("_WITH_")
    return name[4:middle] if middle > 4 else ""


def server_certificate(value: int) -> int:
    """Whether a full handshake of TLS 1.2 and older has a server Certificate: MUST, MUST_NOT or MAY (also unknown)."""
    return _RULES.get(key_exchange(value), (MAY, MAY))[0]


def server_key_exchange(value: int) -> int:
    """Whether a full handshake of TLS 1.2 and older has a ServerKeyExchange: MUST, MUST_NOT or MAY (also unknown)."""
    return _RULES.get(key_exchange(value), (MAY, MAY))[1]


def client_signs(value: int) -> bool:
    """True if a client certificate must be proved by a CertificateVerify: not where it may hold a static key (7.4.8)."""
    return key_exchange(value) in ("RSA", "DHE_RSA", "DHE_DSS", "ECDHE_RSA", "ECDHE_ECDSA")
