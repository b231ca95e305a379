"""What was chosen lawfully, but is known to be weak: versions, cipher suites, primes, signatures (RFC 8996, RFC 9325, RFC 9155)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire import tls
from tcpscope.wire.ciphers import RENEGOTIATION_SCSV
from tcpscope.wire.strength import GOOD_BITS, LEAST_PRIME, Properties, properties
from tcpscope.wire.tls_hello import (
    DEFECT_NONE,
    EXT_ENCRYPT_THEN_MAC,
    EXT_KEY_SHARE,
    EXT_MASTER_SECRET,
    EXT_PSK,
    EXT_RENEGOTIATION,
    ClientHello,
    ServerHello,
    u16,
    u16_has,
)

SSL30: Final = 0x0300
# Schemes of RFC 5246 section 7.4.1.4.1 with these hashes, in their first byte.
HASH_MD5: Final = 1
HASH_SHA1: Final = 2
TLS13_SUITES: Final = 0x13  # their first byte
WEAK_CIPHERS: Final = frozenset(("RC4", "RC2", "IDEA"))


def check_parameters(log: TlsLog, server: TlsSide) -> None:
    """Record what is weak in the choice of a ServerHello that was read whole."""
    hello = log.server_hello
    if hello is None or hello.defect != DEFECT_NONE or hello.selected < SSL30:
        return
    side: i64 = server.side
    old: bool = not tls.is_tls13(hello.selected)
    offer = log.client_hello
    if offer is not None and offer.defect != DEFECT_NONE:
        offer = None
    if old and hello.selected < tls.TLS12:
        highest: i64 = 0 if offer is None else highest_offered(offer)
        log.fault(f.VERSION_OBSOLETE, f.PROVED, side, hello.frame, 0, hello.selected, highest)
    if hello.cipher >= 0:
        _check_suite(log, side, hello, old)
    if 0 < log.prime_bits < LEAST_PRIME:
        log.fault(f.DH_WEAK, f.PROVED, side, hello.frame, 0, log.prime_bits, 0)
    if hello.selected == tls.TLS12:
        _check_signature(log, side, hello.frame, log.server_scheme)
        _check_signature(log, 1 - side, hello.frame, log.client_scheme)
    if not old or offer is None:
        return
    if _asks_for_renegotiation_info(offer) and not hello.has(EXT_RENEGOTIATION):
        log.fault(f.RENEGOTIATION_INFO_MISSING, f.PROVED, side, hello.frame, offer.frame, 0, 0)
    if hello.selected > SSL30 and offer.has(EXT_MASTER_SECRET) and not hello.has(EXT_MASTER_SECRET):
        log.fault(f.MASTER_SECRET_OLD, f.PROVED, side, hello.frame, offer.frame, 0, 0)
    if hello.selected == tls.TLS12 and not hello.has(EXT_ENCRYPT_THEN_MAC):
        _check_mac(log, side, hello, offer)


def _check_mac(log: TlsLog, side: i64, hello: ServerHello, offer: ClientHello) -> None:
    """CBC where the client offered AEAD with the same proof of who the server is: with nothing better it is no choice."""
    made: Properties | None = properties(hello.cipher)
    if made is None or made.mode != "CBC":
        return
    i: i64 = 0
    while i + 1 < len(offer.ciphers):
        suite: i64 = u16(offer.ciphers, i)
        better: Properties | None = properties(suite)
        fits: bool = better is not None and better.mode == "AEAD" and better.authentication == made.authentication
        if fits and suite >> 8 != TLS13_SUITES:
            log.fault(f.CBC_MAC_FIRST, f.PROVED, side, hello.frame, offer.frame, hello.cipher, suite)
            return
        i += 2


def check_unanswered(log: TlsLog) -> None:
    """A ClientHello without a ServerHello: what it offers may be why."""
    offer = log.client_hello
    if offer is None or offer.defect != DEFECT_NONE:
        return
    highest: i64 = highest_offered(offer)
    if SSL30 <= highest < tls.TLS12:
        log.fault(f.CLIENT_OBSOLETE, f.PROVED, log.client_side, offer.frame, 0, highest, 0)


def highest_offered(offer: ClientHello) -> i64:
    """The highest version that a client offers (RFC 8446 section 4.2.1); a draft of TLS 1.3 counts as that."""
    highest: i64 = 0
    i: i64 = 0
    while i + 1 < len(offer.versions):
        version: i64 = u16(offer.versions, i)
        if tls.is_draft(version):
            version = tls.TLS13
        if not tls.is_grease(version) and highest < version <= tls.TLS13:
            highest = version
        i += 2
    return highest if highest > 0 else offer.version


def _check_suite(log: TlsLog, side: i64, hello: ServerHello, old: bool) -> None:
    share: bool = old or hello.has(EXT_KEY_SHARE)
    made: Properties | None = properties(hello.cipher, psk=not old and hello.has(EXT_PSK), share=share)
    if made is None:
        return
    if made.bits < GOOD_BITS or made.cipher in WEAK_CIPHERS or made.authentication == "none":
        log.fault(f.CIPHER_WEAK, f.PROVED, side, hello.frame, 0, hello.cipher, 0)
    if not made.forward_secrecy:
        log.fault(f.NO_FORWARD_SECRECY, f.PROVED, side, hello.frame, 0, hello.cipher, 0)


def _check_signature(log: TlsLog, side: i64, frame: i64, scheme: i64) -> None:
    if scheme >= 0 and (scheme >> 8 == HASH_MD5 or scheme >> 8 == HASH_SHA1):
        log.fault(f.SIGNATURE_WEAK, f.PROVED, side, frame, 0, scheme, 0)


def _asks_for_renegotiation_info(offer: ClientHello) -> bool:
    """RFC 5746 section 3.4: a client says so by the extension or by a cipher suite that is none."""
    return offer.has(EXT_RENEGOTIATION) or u16_has(offer.ciphers, RENEGOTIATION_SCSV)
