"""Lawful order of the events of one direction: one literal table, read by :func:`check_order`.

Rows are (flow, state, event, next state, RFC section). A pair of state and event that is not in the table is a fault; which one
says :func:`_classify`. Alerts, heartbeats and a HelloRequest may come anywhere and are not in it. Order across the two directions is in
``tls_causality``: files do not give it.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_log import (
    ALERT_SEEN,
    APPLICATION_DATA_SEEN,
    CHANGE_CIPHER_SPEC_SEEN,
    EARLY_DATA_SEEN,
    ENCRYPTED_ALERT,
    ENCRYPTED_HANDSHAKE,
    HEARTBEAT_SEEN,
    HELLO_RETRY_REQUEST,
    TlsEvent,
    TlsLog,
)
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire import tls

# Flows: TLS 1.2 and older, and TLS 1.3, as each side sends it.
C12: Final = 0
S12: Final = 1
C13: Final = 2
S13: Final = 3
# TLS 1.3 with its records opened; the server's with certificate and with a pre-shared key.
C13_OPEN: Final = 4
S13_OPEN: Final = 5
S13_PSK: Final = 6

START: Final = 0
HELLO: Final = 1
SUPPLEMENT: Final = 2
CERT: Final = 3
STATUS: Final = 4
KEYS: Final = 5
REQUEST: Final = 6
DONE: Final = 7
VERIFY: Final = 8
TICKET: Final = 9
CCS: Final = 10
FINISHED: Final = 11
RETRY: Final = 12
EXTENSIONS: Final = 13
EARLY_END: Final = 14
LATER_CERT: Final = 15  # authentication after the handshake
LATER_VERIFY: Final = 16
STATE_NAMES: Final = (
    "start", "hello", "supplemental-data", "certificate", "certificate-status", "key-exchange", "certificate-request",
    "hello-done", "certificate-verify", "ticket", "change-cipher-spec", "finished", "hello-retry", "encrypted-extensions",
    "end-of-early-data", "later-certificate", "later-certificate-verify",
)  # fmt: skip

ORDER: Final[tuple[tuple[int, int, int, int, str], ...]] = (
    # The server of TLS 1.2 and older; full handshake.
    (S12, START, tls.SERVER_HELLO, HELLO, "RFC 5246 7.4.1.3"),
    (S12, HELLO, tls.SUPPLEMENTAL_DATA, SUPPLEMENT, "RFC 4680 2"),
    (S12, HELLO, tls.CERTIFICATE, CERT, "RFC 5246 7.4.2"),
    (S12, HELLO, tls.SERVER_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.3"),
    (S12, HELLO, tls.CERTIFICATE_REQUEST, REQUEST, "RFC 5246 7.4.4"),
    (S12, HELLO, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, SUPPLEMENT, tls.CERTIFICATE, CERT, "RFC 5246 7.4.2"),
    (S12, SUPPLEMENT, tls.SERVER_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.3"),
    (S12, SUPPLEMENT, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, CERT, tls.CERTIFICATE_STATUS, STATUS, "RFC 6066 8"),
    (S12, CERT, tls.SERVER_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.3"),
    (S12, CERT, tls.CERTIFICATE_REQUEST, REQUEST, "RFC 5246 7.4.4"),
    (S12, CERT, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, STATUS, tls.SERVER_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.3"),
    (S12, STATUS, tls.CERTIFICATE_REQUEST, REQUEST, "RFC 5246 7.4.4"),
    (S12, STATUS, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, KEYS, tls.CERTIFICATE_REQUEST, REQUEST, "RFC 5246 7.4.4"),
    (S12, KEYS, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, REQUEST, tls.SERVER_HELLO_DONE, DONE, "RFC 5246 7.4.5"),
    (S12, DONE, tls.NEW_SESSION_TICKET, TICKET, "RFC 5077 3.3"),
    (S12, DONE, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    # The same, abbreviated: straight from the hello to the ChangeCipherSpec.
    (S12, HELLO, tls.NEW_SESSION_TICKET, TICKET, "RFC 5077 3.3"),
    (S12, HELLO, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.3"),
    (S12, TICKET, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    (S12, CCS, ENCRYPTED_HANDSHAKE, FINISHED, "RFC 5246 7.4.9"),
    (S12, CCS, tls.FINISHED, FINISHED, "RFC 5246 7.4.9"),
    # Behind the Finished: data, and a new handshake inside the encryption.
    (S12, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 5246 10"),
    (S12, FINISHED, ENCRYPTED_HANDSHAKE, FINISHED, "RFC 5246 7.4.1.1"),
    (S12, FINISHED, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    (S12, FINISHED, tls.SERVER_HELLO, HELLO, "RFC 5246 7.4.1.3"),
    # The client of TLS 1.2 and older.
    (C12, START, tls.CLIENT_HELLO, HELLO, "RFC 5246 7.4.1.2"),
    (C12, HELLO, tls.SUPPLEMENTAL_DATA, SUPPLEMENT, "RFC 4680 2"),
    (C12, HELLO, tls.CERTIFICATE, CERT, "RFC 5246 7.4.6"),
    (C12, HELLO, tls.CLIENT_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.7"),
    (C12, HELLO, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.3"),
    (C12, SUPPLEMENT, tls.CERTIFICATE, CERT, "RFC 5246 7.4.6"),
    (C12, SUPPLEMENT, tls.CLIENT_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.7"),
    (C12, CERT, tls.CERTIFICATE_URL, CERT, "RFC 6066 5"),
    (C12, HELLO, tls.CERTIFICATE_URL, CERT, "RFC 6066 5"),
    (C12, CERT, tls.CLIENT_KEY_EXCHANGE, KEYS, "RFC 5246 7.4.7"),
    (C12, KEYS, tls.CERTIFICATE_VERIFY, VERIFY, "RFC 5246 7.4.8"),
    (C12, KEYS, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    (C12, VERIFY, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    (C12, CCS, ENCRYPTED_HANDSHAKE, FINISHED, "RFC 5246 7.4.9"),
    (C12, CCS, tls.NEXT_PROTOCOL, CCS, "RFC 5246 7.4.9"),  # draft-agl-tls-nextprotoneg section 3: before the Finished
    (C12, CCS, tls.FINISHED, FINISHED, "RFC 5246 7.4.9"),
    (C12, FINISHED, tls.CLIENT_HELLO, HELLO, "RFC 5246 7.4.1.2"),
    (C12, FINISHED, ENCRYPTED_HANDSHAKE, FINISHED, "RFC 5246 7.4.1.2"),
    (C12, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 5246 10"),
    (C12, FINISHED, CHANGE_CIPHER_SPEC_SEEN, CCS, "RFC 5246 7.1"),
    # The server of TLS 1.3. All behind the ServerHello is encrypted and looks like application data.
    (S13, START, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13, START, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13, RETRY, CHANGE_CIPHER_SPEC_SEEN, RETRY, "RFC 8446 D.4"),
    (S13, RETRY, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13, RETRY, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13, HELLO, CHANGE_CIPHER_SPEC_SEEN, HELLO, "RFC 8446 D.4"),
    (S13, HELLO, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2"),
    (S13, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2"),
    # Misplaced there, a fault of its own: see check_ccs13.
    (S13, FINISHED, CHANGE_CIPHER_SPEC_SEEN, FINISHED, "RFC 8446 5"),
    # The client of TLS 1.3. Its first data may be 0-RTT data, or its flight with the Finished.
    (C13, START, tls.CLIENT_HELLO, HELLO, "RFC 8446 4.1.2"),
    (C13, HELLO, tls.CLIENT_HELLO, HELLO, "RFC 8446 4.1.2"),
    (C13, HELLO, CHANGE_CIPHER_SPEC_SEEN, HELLO, "RFC 8446 D.4"),
    (C13, HELLO, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2.3"),
    (C13, FINISHED, tls.CLIENT_HELLO, HELLO, "RFC 8446 4.1.2"),
    (C13, FINISHED, CHANGE_CIPHER_SPEC_SEEN, FINISHED, "RFC 8446 5"),
    (C13, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2.3"),
    # The server of TLS 1.3 with its records opened.
    (S13_OPEN, START, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13_OPEN, START, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13_OPEN, RETRY, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13_OPEN, RETRY, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13_OPEN, HELLO, tls.ENCRYPTED_EXTENSIONS, EXTENSIONS, "RFC 8446 4.3.1"),
    (S13_OPEN, EXTENSIONS, tls.CERTIFICATE_REQUEST, REQUEST, "RFC 8446 4.3.2"),
    (S13_OPEN, EXTENSIONS, tls.CERTIFICATE, CERT, "RFC 8446 4.4.2"),
    (S13_OPEN, EXTENSIONS, tls.COMPRESSED_CERTIFICATE, CERT, "RFC 8879 4"),
    (S13_OPEN, REQUEST, tls.CERTIFICATE, CERT, "RFC 8446 4.4.2"),
    (S13_OPEN, REQUEST, tls.COMPRESSED_CERTIFICATE, CERT, "RFC 8879 4"),
    (S13_OPEN, CERT, tls.CERTIFICATE_VERIFY, VERIFY, "RFC 8446 4.4.3"),
    (S13_OPEN, VERIFY, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (S13_OPEN, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2"),
    (S13_OPEN, FINISHED, tls.NEW_SESSION_TICKET, FINISHED, "RFC 8446 4.6.1"),
    (S13_OPEN, FINISHED, tls.CERTIFICATE_REQUEST, FINISHED, "RFC 8446 4.6.2"),
    (S13_OPEN, FINISHED, tls.KEY_UPDATE, FINISHED, "RFC 8446 4.6.3"),
    # The same with a pre-shared key, which takes the place of the certificate.
    (S13_PSK, START, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13_PSK, START, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13_PSK, RETRY, HELLO_RETRY_REQUEST, RETRY, "RFC 8446 4.1.4"),
    (S13_PSK, RETRY, tls.SERVER_HELLO, HELLO, "RFC 8446 4.1.3"),
    (S13_PSK, HELLO, tls.ENCRYPTED_EXTENSIONS, EXTENSIONS, "RFC 8446 4.3.1"),
    (S13_PSK, EXTENSIONS, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (S13_PSK, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2"),
    (S13_PSK, FINISHED, tls.NEW_SESSION_TICKET, FINISHED, "RFC 8446 4.6.1"),
    (S13_PSK, FINISHED, tls.CERTIFICATE_REQUEST, FINISHED, "RFC 8446 4.6.2"),
    (S13_PSK, FINISHED, tls.KEY_UPDATE, FINISHED, "RFC 8446 4.6.3"),
    # The client of TLS 1.3 with its records opened.
    (C13_OPEN, START, tls.CLIENT_HELLO, HELLO, "RFC 8446 4.1.2"),
    (C13_OPEN, HELLO, tls.CLIENT_HELLO, HELLO, "RFC 8446 4.1.2"),
    (C13_OPEN, HELLO, EARLY_DATA_SEEN, HELLO, "RFC 8446 2.3"),
    (C13_OPEN, HELLO, tls.END_OF_EARLY_DATA, EARLY_END, "RFC 8446 4.5"),
    (C13_OPEN, HELLO, tls.ENCRYPTED_EXTENSIONS, EXTENSIONS, "RFC 8446 4.3.1"),  # of application settings, ALPS
    (C13_OPEN, HELLO, tls.CERTIFICATE, CERT, "RFC 8446 4.4.2"),
    (C13_OPEN, HELLO, tls.COMPRESSED_CERTIFICATE, CERT, "RFC 8879 4"),
    (C13_OPEN, HELLO, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (C13_OPEN, EARLY_END, tls.ENCRYPTED_EXTENSIONS, EXTENSIONS, "RFC 8446 4.3.1"),
    (C13_OPEN, EARLY_END, tls.CERTIFICATE, CERT, "RFC 8446 4.4.2"),
    (C13_OPEN, EARLY_END, tls.COMPRESSED_CERTIFICATE, CERT, "RFC 8879 4"),
    (C13_OPEN, EARLY_END, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (C13_OPEN, EXTENSIONS, tls.CERTIFICATE, CERT, "RFC 8446 4.4.2"),
    (C13_OPEN, EXTENSIONS, tls.COMPRESSED_CERTIFICATE, CERT, "RFC 8879 4"),
    (C13_OPEN, EXTENSIONS, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (C13_OPEN, CERT, tls.CERTIFICATE_VERIFY, VERIFY, "RFC 8446 4.4.3"),
    (C13_OPEN, CERT, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),  # lawful behind an empty Certificate: see tls_keyed
    (C13_OPEN, VERIFY, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (C13_OPEN, FINISHED, APPLICATION_DATA_SEEN, FINISHED, "RFC 8446 2"),
    (C13_OPEN, FINISHED, tls.KEY_UPDATE, FINISHED, "RFC 8446 4.6.3"),
    (C13_OPEN, FINISHED, tls.CERTIFICATE, LATER_CERT, "RFC 8446 4.6.2"),
    (C13_OPEN, FINISHED, tls.COMPRESSED_CERTIFICATE, LATER_CERT, "RFC 8879 4"),
    (C13_OPEN, LATER_CERT, tls.CERTIFICATE_VERIFY, LATER_VERIFY, "RFC 8446 4.4.3"),
    (C13_OPEN, LATER_CERT, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
    (C13_OPEN, LATER_VERIFY, tls.FINISHED, FINISHED, "RFC 8446 4.4.4"),
)  # fmt: skip

# Where the walk goes on after an event that the table does not have in that state: each fault is told once.
_AFTER: Final[dict[int, int]] = {
    tls.SERVER_HELLO: HELLO,
    tls.CLIENT_HELLO: HELLO,
    tls.SUPPLEMENTAL_DATA: SUPPLEMENT,
    tls.CERTIFICATE: CERT,
    tls.CERTIFICATE_STATUS: STATUS,
    tls.SERVER_KEY_EXCHANGE: KEYS,
    tls.CLIENT_KEY_EXCHANGE: KEYS,
    tls.CERTIFICATE_REQUEST: REQUEST,
    tls.SERVER_HELLO_DONE: DONE,
    tls.CERTIFICATE_VERIFY: VERIFY,
    tls.NEW_SESSION_TICKET: TICKET,
    CHANGE_CIPHER_SPEC_SEEN: CCS,
    ENCRYPTED_HANDSHAKE: FINISHED,
    APPLICATION_DATA_SEEN: FINISHED,
    HELLO_RETRY_REQUEST: RETRY,
    tls.ENCRYPTED_EXTENSIONS: EXTENSIONS,
    tls.COMPRESSED_CERTIFICATE: CERT,
    tls.END_OF_EARLY_DATA: EARLY_END,
    tls.FINISHED: FINISHED,
}


def _key(flow: i64, state: i64, event: i64) -> i64:
    return flow << 24 | state << 16 | event


_NEXT: Final[dict[int, int]] = {_key(row[0], row[1], row[2]): row[3] for row in ORDER}


def check_order(log: TlsLog, side: TlsSide, flow: i64) -> None:
    """Walk the events of ``side`` through the table and record what is not lawful.

    Stops at the first hole: behind it an absence proves nothing. A side that was met in the middle, without its hello, is not
    judged at all.
    """
    state: i64 = START
    again: bool = False  # in a second handshake inside the encryption
    for event in side.events:
        code: i64 = event.code
        if code == ALERT_SEEN or code == ENCRYPTED_ALERT or code == HEARTBEAT_SEEN:
            continue
        if code == tls.HELLO_REQUEST and flow == S12:
            continue  # may come at any time (RFC 5246 section 7.4.1.1)
        if not solid(side, event) or (flow >= C13_OPEN and 0 <= side.shut_at < event.end):
            return
        if flow >= C13_OPEN and code == CHANGE_CIPHER_SPEC_SEEN and state != START:
            continue  # dropped wherever it comes (RFC 8446 section 5); too many of them: see check_ccs13
        if again and code == APPLICATION_DATA_SEEN and state != CCS:
            continue  # data goes on while new keys are agreed upon
        if flow <= S12 and state == FINISHED:
            again = True
        following = _NEXT.get(_key(flow, state, code))
        if following is not None:
            state = following
            continue
        if state == START and not event.clean:
            return
        known: bool = tls.is_message_type(code) or (event.record >= 0 and tls.is_inner_type(code))
        if known or code > 255:  # an unknown type has its own fault already
            _classify(log, side, flow, state, event)
            state = _AFTER.get(code, state)


def solid(side: TlsSide, event: TlsEvent) -> bool:
    """True if no byte from the start of TLS on that side up to the end of the event is missing."""
    return side.gap_at < 0 or event.end <= side.gap_at


def _classify(log: TlsLog, side: TlsSide, flow: i64, state: i64, event: TlsEvent) -> None:
    """Record the fault that an event stands for which must not come in ``state``."""
    code: i64 = event.code
    fault: i64 = f.MESSAGE_OUT_OF_ORDER
    detail: i64 = code
    extra: i64 = state
    if code == APPLICATION_DATA_SEEN:
        if side.ccs_count == 0 and flow <= S12 and state != START:
            fault = f.CCS_MISSING
        else:
            fault = f.APPDATA_BEFORE_HANDSHAKE
            detail = 2 if state == START or state == RETRY else 1
    elif code == CHANGE_CIPHER_SPEC_SEEN:
        fault = f.CCS_PREMATURE
        if flow == S12 and CERT <= state <= REQUEST:
            fault = f.SERVER_HELLO_DONE_MISSING
    elif code == tls.CERTIFICATE_STATUS and flow == S12:
        fault = f.CERTIFICATE_STATUS_UNSOLICITED
        detail = 2
    elif code == tls.CLIENT_HELLO and state != START:
        return  # a repeated hello may follow a retry that the capture lacks: judged with both sides
    log.fault(fault, f.PROVED if event.clean else f.SUSPECTED, side.side, event.frame, 0, detail, extra)
