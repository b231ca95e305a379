"""What the server chose against what the client offered (RFC 8446 section 4.1; RFC 5246 section 7.4.1)."""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire import tls
from tcpscope.wire.ciphers import FALLBACK_SCSV, RENEGOTIATION_SCSV
from tcpscope.wire.tls_hello import (
    DEFECT_NONE,
    EXT_COOKIE,
    EXT_EARLY_DATA,
    EXT_ECH,
    EXT_KEY_SHARE,
    EXT_PSK,
    EXT_RENEGOTIATION,
    EXT_VERSIONS,
    ClientHello,
    ServerHello,
    alpn_list,
    u16,
    u16_has,
)


def check_choice(log: TlsLog, client: TlsSide | None, server: TlsSide, goes_on: bool) -> None:
    """Record every choice that was not offered. ``goes_on``: the client went on with the handshake after the ServerHello."""
    offer = log.client_hello
    if offer is None or client is None:
        return
    if offer.defect == DEFECT_NONE:
        _check_offer(log, client, offer)
    second = log.second_hello
    retry = log.retry
    hello = log.server_hello
    usable: bool = offer.defect == DEFECT_NONE and (second is None or second.defect == DEFECT_NONE)
    if not usable:
        return
    if retry is not None:
        if retry.defect == DEFECT_NONE:
            _check_server(log, client, server, offer, offer, retry)
        group: i64 = retry.group
        _fault(log, f.HELLO_RETRY, client, server, server.side, retry.frame, offer.frame, group, 0)
        if second is not None:
            _check_second(log, client, server, retry, second)
    if hello is None or hello.defect != DEFECT_NONE:
        return
    # Without the retry the second hello belongs to nothing that can be checked.
    last = second if second is not None and retry is not None else offer
    if second is not None and retry is None:
        return
    _check_server(log, client, server, offer, last, hello)
    if retry is not None and retry.cipher >= 0 and retry.cipher != hello.cipher:
        _fault(
            log,
            f.HELLO_RETRY_CIPHER_CHANGED,
            client,
            server,
            server.side,
            hello.frame,
            retry.frame,
            retry.cipher,
            hello.cipher,
        )
    _check_group(log, client, server, last, hello)
    if goes_on:
        _check_sentinel(log, client, server, last, hello)


def _fault(
    log: TlsLog, code: i64, client: TlsSide, server: TlsSide, side: i64, frame: i64, other: i64, detail: i64, extra: i64
) -> None:
    """Both hellos were read whole; only a stream without its start takes the proof away."""
    clean: bool = _known_start(client) and _known_start(server)
    log.fault(code, f.PROVED if clean else f.SUSPECTED, side, frame, other, detail, extra)


def _known_start(side: TlsSide) -> bool:
    return len(side.events) > 0 and side.events[0].clean


def _check_offer(log: TlsLog, client: TlsSide, offer: ClientHello) -> None:
    """Faults of the ClientHello alone."""
    grade: i64 = f.PROVED if _known_start(client) else f.SUSPECTED
    if u16_has(offer.ciphers, FALLBACK_SCSV):
        log.fault(f.FALLBACK_SCSV, grade, client.side, offer.frame, 0, offer.version, 0)
    if not offer.ssl2:
        if len(offer.server_name) == 0:
            log.fault(f.SNI_MISSING, f.PROVED, client.side, offer.frame, 0, 0, 0)
        elif is_address(offer.server_name):
            log.fault(f.SNI_ADDRESS, f.PROVED, client.side, offer.frame, 0, 0, 0)
    n: i64 = len(offer.extensions)
    if n >= 4 and offer.has(EXT_PSK) and u16(offer.extensions, n - 2) != EXT_PSK and u16_has(offer.versions, tls.TLS13):
        log.fault(f.PSK_BINDER_POSITION, grade, client.side, offer.frame, 0, 0, 0)
    if u16_has(offer.versions, tls.TLS13) and offer.compressions != b"\0" and not _offers_older(offer):
        log.fault(f.COMPRESSION_NOT_NULL, grade, client.side, offer.frame, 0, -1, tls.TLS13)


def _offers_older(offer: ClientHello) -> bool:
    """True if the hello may also be meant for TLS 1.2 or older."""
    i: i64 = 0
    while i + 1 < len(offer.versions):
        version: i64 = u16(offer.versions, i)
        if not tls.is_tls13(version) and not tls.is_grease(version):
            return True
        i += 2
    return False


def _check_server(
    log: TlsLog, client: TlsSide, server: TlsSide, first: ClientHello, last: ClientHello, hello: ServerHello
) -> None:
    """A ServerHello, or a retry, against the hello that it answers."""
    side: i64 = server.side
    frame: i64 = hello.frame
    if hello.cipher >= 0:
        if tls.is_grease(hello.cipher):
            _fault(log, f.GREASE_NEGOTIATED, client, server, side, frame, last.frame, hello.cipher, 2)
        elif not u16_has(last.ciphers, hello.cipher):
            _fault(log, f.CIPHER_NOT_OFFERED, client, server, side, frame, last.frame, hello.cipher, 0)
    _check_version(log, client, server, last, hello)
    if hello.compression != 0:
        _fault(log, f.COMPRESSION_NOT_NULL, client, server, side, frame, last.frame, hello.compression, hello.selected)
    if hello.selected == tls.TLS13:
        if hello.session_id != last.session_id:
            _fault(log, f.TLS13_SID_NOT_ECHOED, client, server, side, frame, last.frame, 0, 0)
        if tls.is_grease(hello.group):
            _fault(log, f.GREASE_NEGOTIATED, client, server, side, frame, last.frame, hello.group, 4)
    names = alpn_list(last.alpn)
    if len(hello.alpn) > 0 and len(names) > 0 and hello.alpn not in names:
        _fault(log, f.ALPN_MISMATCH, client, server, side, frame, last.frame, 0, 0)
    i: i64 = 0
    while i + 1 < len(hello.extensions):
        _check_extension(log, client, server, first, last, hello, u16(hello.extensions, i))
        i += 2


def _check_version(log: TlsLog, client: TlsSide, server: TlsSide, offer: ClientHello, hello: ServerHello) -> None:
    """The selected version (RFC 8446 section 4.2.1; RFC 5246 section 7.4.1.3).

    An old server does not know supported_versions and goes by legacy_version, so a version that only the list rules out is
    no proof against it.
    """
    version: i64 = hello.selected
    if tls.is_grease(version):
        _fault(log, f.GREASE_NEGOTIATED, client, server, server.side, hello.frame, offer.frame, version, 1)
        return
    listed: bool = len(offer.versions) > 0
    if hello.has(EXT_VERSIONS) or tls.is_draft(version):
        wrong: bool = not u16_has(offer.versions, version) if listed else not tls.is_draft(offer.version)
    else:
        wrong = version > offer.version
    if wrong:
        _fault(log, f.VERSION_NOT_OFFERED, client, server, server.side, hello.frame, offer.frame, version, 0)
    elif listed and not u16_has(offer.versions, version):
        log.fault(f.VERSION_NOT_OFFERED, f.SUSPECTED, server.side, hello.frame, offer.frame, version, 0)


def _check_extension(
    log: TlsLog, client: TlsSide, server: TlsSide, first: ClientHello, last: ClientHello, hello: ServerHello, kind: i64
) -> None:
    """One extension of the server: offered, and in its place (RFC 8446 section 4.2)."""
    side: i64 = server.side
    frame: i64 = hello.frame
    if tls.is_grease(kind):
        _fault(log, f.GREASE_NEGOTIATED, client, server, side, frame, last.frame, kind, 3)
        return
    if not last.has(kind) and not first.has(kind):
        signalled: bool = kind == EXT_RENEGOTIATION and u16_has(last.ciphers, RENEGOTIATION_SCSV)
        if not signalled and not (kind == EXT_COOKIE and hello.retry):
            _fault(log, f.EXTENSION_NOT_OFFERED, client, server, side, frame, last.frame, kind, 0)
    if hello.selected != tls.TLS13:
        return
    if hello.retry:
        lawful: bool = kind == EXT_VERSIONS or kind == EXT_KEY_SHARE or kind == EXT_COOKIE or kind == EXT_ECH
    else:
        lawful = kind == EXT_VERSIONS or kind == EXT_KEY_SHARE or kind == EXT_PSK
    if not lawful:
        _fault(log, f.TLS13_EXTENSION_FORBIDDEN, client, server, side, frame, last.frame, kind, 0)


def _check_second(log: TlsLog, client: TlsSide, server: TlsSide, retry: ServerHello, second: ClientHello) -> None:
    """The second ClientHello must do what the retry asked for (RFC 8446 section 4.1.2)."""
    detail: i64 = 0
    if retry.group >= 0 and not u16_has(second.key_shares, retry.group):
        detail = 2
    elif len(retry.cookie) > 0 and second.cookie != retry.cookie:
        detail = 3
    elif second.has(EXT_EARLY_DATA):
        detail = 4
    if detail != 0:
        _fault(log, f.HELLO_RETRY_IGNORED, client, server, client.side, second.frame, retry.frame, detail, 0)


def _check_group(log: TlsLog, client: TlsSide, server: TlsSide, offer: ClientHello, hello: ServerHello) -> None:
    """The group of the server's key share, or of its ServerKeyExchange, whose finite-field groups have no number.

    The client's key shares count only where no hole may hide a HelloRetryRequest with its answer.
    """
    group: i64 = log.group
    offered: bytes = offer.groups
    if tls.is_tls13(hello.selected):
        group = hello.group
        if client.gap_at < 0 and server.gap_at < 0 and (log.retry is None) == (log.second_hello is None):
            offered = offer.key_shares
    # Without a list the client leaves the choice to the server (RFC 8422 section 4).
    if group >= 0 and len(offered) > 0 and not tls.is_grease(group) and not u16_has(offered, group):
        _fault(log, f.GROUP_NOT_OFFERED, client, server, server.side, hello.frame, offer.frame, group, 0)


def _check_sentinel(log: TlsLog, client: TlsSide, server: TlsSide, offer: ClientHello, hello: ServerHello) -> None:
    """The downgrade marker in the server's random (RFC 8446 section 4.1.3): only a client that offered more must heed it."""
    if len(hello.random) != 32 or hello.random[24:31] != b"DOWNGRD" or hello.random[31] > 1:
        return
    last: i64 = hello.random[31]
    offered13: bool = u16_has(offer.versions, tls.TLS13)
    if tls.is_tls13(hello.selected):
        return
    if offered13:
        _fault(log, f.DOWNGRADE_SENTINEL, client, server, client.side, hello.frame, offer.frame, last, 0)
    elif last == 0 and offer.version >= tls.TLS12 and hello.selected < tls.TLS12:
        # A TLS 1.2 client only SHOULD look at it.
        log.fault(f.DOWNGRADE_SENTINEL, f.SUSPECTED, client.side, hello.frame, offer.frame, last, 0)


def is_address(name: bytes) -> bool:
    """True for what looks like an IPv4 or IPv6 address: RFC 6066 section 3 allows neither as a server name."""
    digits: i64 = 0
    dots: i64 = 0
    for octet in name:
        if octet == 0x3A:
            return True  # a colon is in no host name
        if octet == 0x2E:
            dots += 1
        elif 0x30 <= octet <= 0x39:
            digits += 1
        else:
            return False
    return dots == 3 and digits > 3
