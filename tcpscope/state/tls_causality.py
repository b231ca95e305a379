"""What one side must wait for from the other, and what a handshake of TLS 1.2 and older must hold.

The order of two events of different sides is proved by acknowledgement numbers alone: a segment that does not acknowledge the
end of a peer's message was sent before its TCP had that message. Position in the file and time stamps prove nothing, since a
capture point may deliver one direction late.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import (
    APPLICATION_DATA_SEEN,
    CHANGE_CIPHER_SPEC_SEEN,
    EARLY_DATA_SEEN,
    ENCRYPTED_HANDSHAKE,
    HELLO_RETRY_REQUEST,
    TlsEvent,
    TlsLog,
)
from tcpscope.state.tls_order import solid
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire import ciphers, tls
from tcpscope.wire.tls_hello import EXT_EARLY_DATA, EXT_STATUS_REQUEST, EXT_STATUS_REQUEST_V2, EXT_TICKET


def first(side: TlsSide, code: i64) -> TlsEvent | None:
    """First event of a kind, if it lies before any hole. A message is looked for in the first handshake alone."""
    for event in side.events:
        if event.code == code:
            return event if solid(side, event) else None
        if event.code == tls.FINISHED and code <= 255:
            return None
    return None


def count(side: TlsSide, code: i64) -> i64:
    """How many events of a kind a side has; messages are counted in the first handshake alone."""
    n: i64 = 0
    for event in side.events:
        if event.code == code:
            n += 1
        if event.code == tls.FINISHED and code <= 255:
            break
    return n


def finish(side: TlsSide) -> TlsEvent | None:
    """The side's Finished in TLS 1.2 and older, opened or not: its first encrypted handshake message."""
    finished = first(side, tls.FINISHED)
    return finished if finished is not None else first(side, ENCRYPTED_HANDSHAKE)


def grade(one: TlsEvent, other: TlsEvent) -> i64:
    """Grade of a fault that rests on two events."""
    return f.PROVED if one.clean and other.clean else f.SUSPECTED


def sent_before(one: TlsEvent | None, other: TlsEvent | None) -> bool:
    """True if the acknowledgement number proves that ``one`` was sent without having received all of the peer's ``other``."""
    return one is not None and other is not None and 0 <= one.ack < other.end


def premature(log: TlsLog, code: i64, one: TlsEvent | None, other: TlsEvent | None, detail: i64, extra: i64) -> None:
    """Record fault ``code`` if ``one`` did not wait for ``other``."""
    if one is not None and other is not None and sent_before(one, other):
        log.fault(code, grade(one, other), one.side, one.frame, other.frame, detail, extra)


def check_hellos(log: TlsLog, client: TlsSide | None, server: TlsSide) -> None:
    """ServerHello and HelloRetryRequest against the ClientHello that they answer (RFC 8446 sections 4.1.1 to 4.1.4)."""
    answer = first(server, HELLO_RETRY_REQUEST)
    hello = first(server, tls.SERVER_HELLO)
    if answer is None:
        answer = hello
    if client is None or log.client_hello is None:
        if answer is not None:
            bare: bool = client is not None and client.clean and client.start == 0 and client.at > 0
            log.fault(
                f.SERVER_HELLO_WITHOUT_CLIENT_HELLO, f.PROVED if bare and answer.clean else f.SUSPECTED,
                server.side, answer.frame, 0, 0, 0,
            )  # fmt: skip
        return
    asked = first(client, tls.CLIENT_HELLO)
    if answer is not None and asked is not None and sent_before(answer, asked):
        missing: i64 = asked.end - answer.ack
        premature(log, f.SERVER_HELLO_BEFORE_CLIENT_HELLO, answer, asked, missing, 0)
    if count(server, HELLO_RETRY_REQUEST) >= 2:
        log.fault(
            f.SECOND_HELLO_RETRY, _clean_grade(server), server.side, _frame(server, HELLO_RETRY_REQUEST, 2), 0, 0, 0
        )
    _check_repeated(log, client, server)


def _clean_grade(side: TlsSide) -> i64:
    return f.PROVED if side.clean else f.SUSPECTED


def _frame(side: TlsSide, code: i64, which: i64) -> i64:
    """Frame of the ``which``-th event of a kind; 0 if there are fewer."""
    for event in side.events:
        if event.code == code:
            which -= 1
            if which == 0:
                return event.frame
    return 0


def _check_repeated(log: TlsLog, client: TlsSide, server: TlsSide | None) -> None:
    """A second ClientHello in clear needs a HelloRetryRequest before it (RFC 8446 section 4.1.2)."""
    hellos: i64 = count(client, tls.CLIENT_HELLO)
    if hellos < 2:
        return
    again: TlsEvent | None = None
    n: i64 = 0
    for event in client.events:
        if event.code == tls.CLIENT_HELLO:
            n += 1
            if n == 2:
                again = event
    if again is None or not solid(client, again):
        return
    if log.retry is not None and server is not None:
        asked = first(server, HELLO_RETRY_REQUEST)
        if sent_before(again, asked):
            premature(log, f.CLIENT_HELLO_REPEATED, again, asked, 0, 0)
        elif hellos >= 3:
            log.fault(
                f.CLIENT_HELLO_REPEATED, _clean_grade(client), client.side, _frame(client, tls.CLIENT_HELLO, 3), 0, 0, 0
            )
        return
    # Without a retry in the file: a fault only if every server byte that the client had by then is there to look at.
    seen: bool = server is not None and server.clean and 0 <= again.ack <= server.at
    if again.ack == 0 or (seen and again.clean):
        log.fault(f.CLIENT_HELLO_REPEATED, f.PROVED if again.clean else f.SUSPECTED, client.side, again.frame, 0, 0, 0)
    else:
        log.fault(f.HELLO_RETRY_INFERRED, f.SUSPECTED, client.side, again.frame, 0, 0, 0)


def check_repeated_alone(log: TlsLog, client: TlsSide) -> None:
    """The same where the capture holds no server bytes at all."""
    _check_repeated(log, client, None)


def check_waiting12(log: TlsLog, client: TlsSide, server: TlsSide, full: bool) -> None:
    """TLS 1.2 and older: the flights wait for one another (RFC 5246 section 7.3)."""
    client_ccs = first(client, CHANGE_CIPHER_SPEC_SEEN)
    server_ccs = first(server, CHANGE_CIPHER_SPEC_SEEN)
    if not full:
        # Abbreviated: the server finishes first.
        premature(log, f.CCS_PREMATURE, client_ccs, server_ccs, CHANGE_CIPHER_SPEC_SEEN, 0)
        return
    done = first(server, tls.SERVER_HELLO_DONE)
    keys = first(client, tls.CLIENT_KEY_EXCHANGE)
    flight = first(client, tls.CERTIFICATE)
    if flight is None:
        flight = keys
    if flight is not None:
        premature(log, f.MESSAGE_PREMATURE, flight, done, flight.code, tls.SERVER_HELLO_DONE)
    if client_ccs is not None and solid(client, client_ccs):
        # The client needs its ClientKeyExchange before its ChangeCipherSpec (CVE-2014-0224 works by leaving that open).
        if keys is None or keys.start > client_ccs.start:
            log.fault(
                f.CCS_PREMATURE, _event_grade(client_ccs), client.side, client_ccs.frame, 0, tls.CLIENT_KEY_EXCHANGE, 0
            )
    finished = finish(client)
    if finished is None:
        finished = client_ccs
    premature(log, f.CCS_PREMATURE, server_ccs, finished, CHANGE_CIPHER_SPEC_SEEN, 0)


def _event_grade(event: TlsEvent) -> i64:
    return f.PROVED if event.clean else f.SUSPECTED


def check_contents12(log: TlsLog, client: TlsSide | None, server: TlsSide) -> None:
    """TLS 1.2 and older: messages that the cipher suite and the extensions ask for or forbid (RFC 5246 section 7.4)."""
    hello = log.server_hello
    if hello is None:
        return
    suite: i64 = hello.cipher
    side: i64 = server.side
    certificate = first(server, tls.CERTIFICATE)
    keys = first(server, tls.SERVER_KEY_EXCHANGE)
    done = first(server, tls.SERVER_HELLO_DONE)
    status = first(server, tls.CERTIFICATE_STATUS)
    ticket = first(server, tls.NEW_SESSION_TICKET)
    if done is not None:
        level: i64 = _event_grade(done)
        if certificate is None and ciphers.server_certificate(suite) == ciphers.MUST:
            log.fault(f.CERTIFICATE_MISSING, level, side, done.frame, 0, suite, 0)
        if keys is None and ciphers.server_key_exchange(suite) == ciphers.MUST:
            log.fault(f.SERVER_KEY_EXCHANGE_MISSING, level, side, done.frame, 0, suite, 0)
    if keys is not None and ciphers.server_key_exchange(suite) == ciphers.MUST_NOT:
        log.fault(f.SERVER_KEY_EXCHANGE_UNEXPECTED, _event_grade(keys), side, keys.frame, 0, suite, 0)
    if certificate is not None and certificate.detail == 1:
        log.fault(f.CERTIFICATE_EMPTY, _event_grade(certificate), side, certificate.frame, 0, 0, 0)
    if status is not None and not hello.has(EXT_STATUS_REQUEST) and not hello.has(EXT_STATUS_REQUEST_V2):
        log.fault(f.CERTIFICATE_STATUS_UNSOLICITED, _event_grade(status), side, status.frame, 0, 1, 0)
    if ticket is not None and not hello.has(EXT_TICKET):
        log.fault(f.TICKET_UNEXPECTED, _event_grade(ticket), side, ticket.frame, 0, 0, 0)
    if client is not None:
        _check_client_certificate(log, client, server, suite, done)


def _check_client_certificate(log: TlsLog, client: TlsSide, server: TlsSide, suite: i64, done: TlsEvent | None) -> None:
    """Client Certificate and CertificateVerify (RFC 5246 sections 7.4.6 and 7.4.8)."""
    certificate = first(client, tls.CERTIFICATE)
    keys = first(client, tls.CLIENT_KEY_EXCHANGE)
    ccs = first(client, CHANGE_CIPHER_SPEC_SEEN)
    request = first(server, tls.CERTIFICATE_REQUEST)
    if keys is not None and done is None and server.clean and 0 <= keys.ack <= server.at and server.gap_at < 0:
        log.fault(f.SERVER_HELLO_DONE_MISSING, _event_grade(keys), server.side, keys.frame, 0, 0, 0)
    if certificate is not None and done is not None and request is None:
        log.fault(
            f.CLIENT_CERTIFICATE_UNREQUESTED, grade(certificate, done), client.side, certificate.frame, done.frame, 0, 0
        )
    if certificate is None and request is not None and keys is not None and first(client, tls.CERTIFICATE_URL) is None:
        hello = log.server_hello
        # SSL 3.0 answers with a warning, no_certificate, in its place.
        if hello is not None and hello.selected > tls.SSL3:
            log.fault(f.CLIENT_CERTIFICATE_MISSING, grade(keys, request), client.side, keys.frame, request.frame, 0, 0)
    if certificate is None or certificate.cut:
        return
    if certificate.detail == 1:
        log.fault(f.CLIENT_CERTIFICATE_EMPTY, _event_grade(certificate), client.side, certificate.frame, 0, 0, 0)
    elif ccs is not None and first(client, tls.CERTIFICATE_VERIFY) is None and ciphers.client_signs(suite):
        log.fault(f.CERTIFICATE_VERIFY_MISSING, _event_grade(ccs), client.side, ccs.frame, certificate.frame, 0, 0)


def check_client13(log: TlsLog, client: TlsSide, server: TlsSide) -> bool:
    """TLS 1.3: application records before the ServerHello need an offer of early data. True if there is early data.

    RFC 8446 sections 2.3 and 4.2.10; none may follow a HelloRetryRequest (section 4.1.2).
    """
    hello = log.client_hello
    answer = first(server, tls.SERVER_HELLO)
    if hello is None or answer is None:
        return False
    early: bool = False
    hellos: i64 = 0
    for event in client.events:
        if event.code == tls.CLIENT_HELLO:
            hellos += 1
        if (
            (event.code != APPLICATION_DATA_SEEN and event.code != EARLY_DATA_SEEN)
            or hellos == 0
            or not solid(client, event)
        ):
            continue
        if not sent_before(event, answer):
            break
        early = True
        if hellos >= 2 or not hello.has(EXT_EARLY_DATA):
            premature(log, f.APPDATA_BEFORE_HANDSHAKE, event, answer, 3, 0)
            break
    return early


def check_ccs13(log: TlsLog, client: TlsSide | None, server: TlsSide) -> None:
    """TLS 1.3: dummy ChangeCipherSpec records, at most one of a side and one more for a retry (RFC 8446 section 5, D.4)."""
    allowed: i64 = 2 if log.retry is not None else 1
    if server.ccs_count > allowed:
        frame: i64 = _frame(server, CHANGE_CIPHER_SPEC_SEEN, allowed + 1)
        log.fault(f.TLS13_CCS_MISPLACED, _clean_grade(server), server.side, frame, 0, server.ccs_count, 0)
    if client is None:
        return
    if client.ccs_count > allowed:
        frame = _frame(client, CHANGE_CIPHER_SPEC_SEEN, allowed + 1)
        log.fault(f.TLS13_CCS_MISPLACED, _clean_grade(client), client.side, frame, 0, client.ccs_count, 0)
        return
    answer = first(server, tls.SERVER_HELLO)
    finished: bool = False
    for event in client.events:
        late: bool = event.code == APPLICATION_DATA_SEEN and answer is not None and event.ack >= answer.end
        if late or event.code == tls.FINISHED:
            finished = True
        elif event.code == CHANGE_CIPHER_SPEC_SEEN and finished and solid(client, event):
            log.fault(f.TLS13_CCS_MISPLACED, _event_grade(event), client.side, event.frame, 0, client.ccs_count, 0)
            return
