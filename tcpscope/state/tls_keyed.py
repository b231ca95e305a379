"""What only opened records show: the contents of TLS 1.3's encrypted flights, proofs that fail, keys that are missing."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_causality import count, first
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_order import C13, C13_OPEN, S13, S13_OPEN, S13_PSK
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire import tls
from tcpscope.wire.tls_hello import (
    EXT_CERT_WITH_PSK,
    EXT_EARLY_DATA,
    EXT_ECH,
    EXT_PSK,
    alpn_first,
    alpn_list,
    u16,
    vector16,
)

# Extensions that RFC 8446 section 4.2 gives a place elsewhere than in EncryptedExtensions.
_ELSEWHERE: Final = frozenset((5, 13, 18, 21, 41, 43, 44, 45, 47, 48, 49, 50, 51))


def read_through(side: TlsSide) -> bool:
    """True if keys opened every protected record of the side, so that what they do not show was not sent."""
    return side.opened > 0 and side.shut_at < 0


def flow13(log: TlsLog, side: TlsSide, client: bool) -> i64:
    """Which table holds for a side of TLS 1.3."""
    if side.opened == 0:
        return C13 if client else S13
    if client:
        return C13_OPEN
    hello = log.server_hello
    # A certificate beside a pre-shared key is an extension of its own (RFC 8773 section 3).
    return S13_PSK if hello is not None and hello.has(EXT_PSK) and not hello.has(EXT_CERT_WITH_PSK) else S13_OPEN


def finished13(side: TlsSide, guess: bool) -> bool:
    """Whether the side sent its Finished; ``guess`` is what the lengths of its records say."""
    if side.finishes > 0:
        return True
    return guess and not (read_through(side) and side.gap_at < 0)


def check_keys(log: TlsLog, client: TlsSide | None, server: TlsSide | None) -> None:
    """Proofs that fail, and records that stayed closed although there is a key for the connection."""
    if log.keys == 0:
        return
    for side in (client, server):
        if side is None:
            continue
        if side.shut_at >= 0 and side.gap_at < 0 and not _forged(log, side):
            detail: i64 = 1 if log.unsupported else 0
            log.fault(f.KEY_MISSING, f.PROVED, side.side, side.shut_frame, 0, side.opened, detail)
        for proof in log.proofs:
            if proof.role == side.tls_role() and not proof.good:
                known: bool = len(side.events) > 0 and side.events[0].clean
                code: i64 = f.FINISHED_WRONG if proof.message == tls.FINISHED else f.CERTIFICATE_VERIFY_WRONG
                log.fault(code, f.PROVED if known else f.SUSPECTED, side.side, proof.frame, 0, 0, 0)


def _forged(log: TlsLog, side: TlsSide) -> bool:
    """True if the records stayed closed because of one that was changed."""
    for fault in log.faults:
        if fault.code == f.RECORD_FORGED and fault.side == side.side:
            return True
    return False


def check_contents13(log: TlsLog, client: TlsSide, server: TlsSide) -> None:
    """TLS 1.3: messages of the encrypted flights that others ask for or forbid (RFC 8446 sections 4.3 to 4.5)."""
    if server.finishes == 0:
        return
    _check_extensions(log, server)
    certificate = first(server, tls.CERTIFICATE)
    if certificate is not None and certificate.detail == 1:
        log.fault(f.CERTIFICATE_EMPTY, _grade(server), server.side, certificate.frame, 0, 0, 0)
    if client.finishes > 0 and client.gap_at < 0 and client.shut_at < 0:
        _check_client_certificate(log, client, server)
        _check_early_end(log, client)


def _grade(side: TlsSide) -> i64:
    return f.PROVED if side.clean else f.SUSPECTED


def _check_extensions(log: TlsLog, server: TlsSide) -> None:
    """EncryptedExtensions against what was offered (RFC 8446 sections 4.2 and 4.3.1; RFC 7301 section 3.2)."""
    block = log.encrypted_extensions
    event = first(server, tls.ENCRYPTED_EXTENSIONS)
    offer = log.client_hello
    # With an encrypted ClientHello the readable one is not the offer that counts.
    if block is None or event is None or offer is None or offer.defect != 0 or offer.has(EXT_ECH):
        return
    last = log.second_hello
    i: i64 = 0
    while i + 1 < len(block.types):
        kind: i64 = u16(block.types, i)
        i += 2
        if tls.is_grease(kind):
            log.fault(f.GREASE_NEGOTIATED, _grade(server), server.side, event.frame, offer.frame, kind, 3)
        elif not offer.has(kind) and not (last is not None and last.has(kind)):
            log.fault(f.EXTENSION_NOT_OFFERED, _grade(server), server.side, event.frame, offer.frame, kind, 0)
        elif int(kind) in _ELSEWHERE:
            log.fault(f.TLS13_EXTENSION_FORBIDDEN, _grade(server), server.side, event.frame, offer.frame, kind, 0)
    chosen = alpn_first(vector16(block.alpn))
    if len(chosen) > 0 and len(offer.alpn) > 0 and chosen not in alpn_list(offer.alpn):
        log.fault(f.ALPN_MISMATCH, _grade(server), server.side, event.frame, offer.frame, 0, 0)


def _check_client_certificate(log: TlsLog, client: TlsSide, server: TlsSide) -> None:
    """A Certificate of the client exactly if one was asked for (RFC 8446 sections 4.4.2 and 4.4.3)."""
    request = first(server, tls.CERTIFICATE_REQUEST)
    certificate = first(client, tls.CERTIFICATE)
    if certificate is None:
        certificate = first(client, tls.COMPRESSED_CERTIFICATE)
    finished = first(client, tls.FINISHED)
    if finished is None:
        return
    if certificate is None:
        if request is not None:
            log.fault(f.CLIENT_CERTIFICATE_MISSING, _grade(client), client.side, finished.frame, request.frame, 0, 0)
        return
    if request is None and read_through(server) and server.gap_at < 0:
        log.fault(f.CLIENT_CERTIFICATE_UNREQUESTED, _grade(client), client.side, certificate.frame, 0, 0, 0)
    if certificate.detail == 1:
        log.fault(f.CLIENT_CERTIFICATE_EMPTY, _grade(client), client.side, certificate.frame, 0, 0, 0)
    elif count(client, tls.CERTIFICATE_VERIFY) == 0:
        log.fault(f.CERTIFICATE_VERIFY_MISSING, _grade(client), client.side, finished.frame, certificate.frame, 0, 0)


def _check_early_end(log: TlsLog, client: TlsSide) -> None:
    """EndOfEarlyData exactly if the server accepted early data (RFC 8446 section 4.5)."""
    block = log.encrypted_extensions
    finished = first(client, tls.FINISHED)
    if block is None or finished is None:
        return
    end = first(client, tls.END_OF_EARLY_DATA)
    accepted: bool = block.has(EXT_EARLY_DATA)
    if accepted and end is None:
        log.fault(f.END_OF_EARLY_DATA, _grade(client), client.side, finished.frame, 0, 1, 0)
    elif end is not None and not accepted:
        log.fault(f.END_OF_EARLY_DATA, _grade(client), client.side, end.frame, 0, 2, 0)
