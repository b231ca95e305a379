"""What a ServerKeyExchange says of the key exchange: the group, or the length of the prime, and how it is signed (RFC 5246
section 7.4.3, RFC 8422 section 5.4, RFC 4279 section 2, RFC 5489 section 2).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.tls_hello import u16

EXPLICIT_PRIME: Final = 1
EXPLICIT_CHAR2: Final = 2
NAMED_CURVE: Final = 3

FORM_UNKNOWN: Final = 0
FORM_EC: Final = 1
FORM_PRIME: Final = 2

_FORMS: Final = {
    "ECDHE_RSA": FORM_EC,
    "ECDHE_ECDSA": FORM_EC,
    "ECDH_anon": FORM_EC,
    "ECDHE_PSK": FORM_EC,
    "DHE_RSA": FORM_PRIME,
    "DHE_DSS": FORM_PRIME,
    "DHE_RSA_EXPORT": FORM_PRIME,
    "DHE_DSS_EXPORT": FORM_PRIME,
    "DHE_DSS_EXPORT1024": FORM_PRIME,
    "DH_anon": FORM_PRIME,
    "DH_anon_EXPORT": FORM_PRIME,
    "DHE_PSK": FORM_PRIME,
    "PSK_DHE": FORM_PRIME,
}


class ServerKeys:
    """What is known of it. -1 and 0: nothing."""

    def __init__(self) -> None:
        self.group: i64 = -1
        self.explicit: bool = False  # a curve of its own, by its parameters
        self.prime_bits: i64 = 0
        self.scheme: i64 = -1  # with TLS 1.2; before that the kind of key says it all


def parse_server_keys(data: bytes, start: i64, end: i64, exchange: str, schemes: bool) -> ServerKeys:
    """The ServerKeyExchange whose body is ``data[start:end]``. ``exchange``: key exchange as in the suite's name; ``schemes``: in
    TLS 1.2 signatures say how they were made. What a length leads beyond the end is left out.
    """
    keys = ServerKeys()
    form: i64 = _FORMS.get(exchange, FORM_UNKNOWN)
    o: i64 = start
    if "PSK" in exchange:
        o = _behind(data, o, end)  # psk_identity_hint
    if form == FORM_EC:
        if o < 0 or o + 4 > end:
            return keys
        if data[o] != NAMED_CURVE:
            keys.explicit = data[o] == EXPLICIT_PRIME or data[o] == EXPLICIT_CHAR2
            return keys
        keys.group = u16(data, o + 1)
        point: i64 = data[o + 3]
        o += 4 + point
    elif form == FORM_PRIME:
        stop: i64 = _behind(data, o, end)
        if stop < 0:
            return keys
        keys.prime_bits = _bits(data, o + 2, stop)
        o = _behind(data, _behind(data, stop, end), end)
    else:
        return keys
    signed: bool = "anon" not in exchange and "PSK" not in exchange
    if schemes and signed and o >= 0 and o + 4 <= end:
        keys.scheme = u16(data, o)
    return keys


def _behind(data: bytes, at: i64, end: i64) -> i64:
    """Where a vector with a two-byte length ends; -1 if it leads beyond the end."""
    if at < 0 or at + 2 > end:
        return -1
    stop: i64 = at + 2 + u16(data, at)
    return stop if stop <= end else -1


def _bits(data: bytes, start: i64, end: i64) -> i64:
    """Length of the number ``data[start:end]``."""
    o: i64 = start
    while o < end and data[o] == 0:
        o += 1
    if o >= end:
        return 0
    top: i64 = data[o]
    bits: i64 = (end - o - 1) * 8
    while top > 0:
        top >>= 1
        bits += 1
    return bits
