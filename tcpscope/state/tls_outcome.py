"""How a TLS connection came out: completed or not, who ended it and how, resumed, closed cleanly. Run once, at its end."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state import tls_faults as f
from tcpscope.state.tls_causality import (
    check_ccs13,
    check_client13,
    check_contents12,
    check_hellos,
    check_repeated_alone,
    check_waiting12,
    finish,
    first,
    sent_before,
)
from tcpscope.state.tls_choice import check_choice
from tcpscope.state.tls_keyed import check_contents13, check_keys, finished13, flow13, read_through
from tcpscope.state.tls_log import (
    ALERT_SEEN,
    APPLICATION_DATA_SEEN,
    CHANGE_CIPHER_SPEC_SEEN,
    ENCRYPTED_HANDSHAKE,
    TlsEvent,
    TlsLog,
)
from tcpscope.state.tls_order import C12, S12, check_order, solid
from tcpscope.state.tls_side import DEAD_PROTOCOL, DEAD_SSL2, LIVE, TlsSide
from tcpscope.state.tls_weak import check_parameters, check_unanswered
from tcpscope.wire import tls
from tcpscope.wire.tls_hello import DEFECT_CUT, EXT_EARLY_DATA, EXT_NEXT_PROTOCOL, EXT_PSK, EXT_RENEGOTIATION

# Verdicts (output contract, V4).
COMPLETE: Final = 0
INCOMPLETE: Final = 1
FAILED: Final = 2
VIOLATED: Final = 3
VERDICT_NAMES: Final = ("complete", "incomplete", "failed", "violated")

END_NONE: Final = 0
END_ALERT: Final = 1
END_FIN: Final = 2
END_RESET: Final = 3
END_NAMES: Final = ("none", "alert", "fin", "reset")

MIN_FINISHED: Final = 53  # bytes of a TLS 1.3 record with a Finished: 4 + 32 + 1 + 16 (RFC 8446 sections 4.4.4 and 5.2)
ALERT_RECORD: Final = 19  # and of one with an alert: 2 + 1 + 16

NO: Final = 0
YES: Final = 1
CANNOT_TELL: Final = -1


@mypyc_attr(acyclic=True)
class Ending:
    """How the TCP connection ended, told by its owner. Sides are TLS roles here: 0 client, 1 server."""

    def __init__(self) -> None:
        self.fin_client: bool = False
        self.fin_server: bool = False
        self.rst_client: bool = False
        self.rst_server: bool = False
        self.first: i64 = -1  # role that ended first, if known
        self.first_reset: bool = False
        self.acked_client: i64 = -1  # bytes of the client's stream that the server acknowledged; -1 unknown
        self.acked_server: i64 = -1
        self.seen_server: i64 = 0  # end of the server's bytes that the capture holds
        self.lost_server: bool = False  # server bytes were acknowledged that the capture lacks
        self.server_looks: i64 = tls.LOOKS_UNKNOWN

    def closed(self) -> bool:
        """True if either side ended the connection."""
        return self.fin_client or self.fin_server or self.rst_client or self.rst_server


@mypyc_attr(acyclic=True)
class Outcome:
    """Results of one connection."""

    def __init__(self) -> None:
        self.verdict: i64 = INCOMPLETE
        self.version: i64 = 0  # negotiated; 0 unknown
        self.cipher: i64 = -1
        self.completed: bool = False
        self.resumed: i64 = CANNOT_TELL
        self.false_start: bool = False
        self.early_data: bool = False
        self.fatal: bool = False
        self.ended_side: i64 = -1  # as the tracker numbers sides
        self.ended_how: i64 = END_NONE
        self.alert: i64 = -1  # that ended it
        # The ClientHello, and what completed the handshake or, by a fatal alert in it, ended it.
        self.asked: TlsEvent | None = None
        self.over: TlsEvent | None = None


def assess(log: TlsLog, client: TlsSide | None, server: TlsSide | None, ending: Ending) -> Outcome:
    """Judge the collected facts: order, choice, completion, closing. Faults go into the log."""
    out = Outcome()
    hello = log.server_hello if log.server_hello is not None else log.retry
    if hello is not None:
        out.version = hello.selected
        out.cipher = hello.cipher
    is13: bool = log.is_tls13() or log.retry is not None
    _alerts(log, out, is13)
    check_keys(log, client, server)
    if log.client_side < 0:
        return out  # only records from the middle of a connection: not even the roles are known
    if is13:
        _judge13(log, client, server, out)
    else:
        _judge12(log, client, server, out)
    if client is not None and server is None:
        check_repeated_alone(log, client)
    if log.server_hello is None and log.client_hello is not None and client is not None:
        _no_answer(log, client, server, ending, out)
        if out.fatal or (ending.first == 1 and not ending.lost_server):
            check_unanswered(log)
    elif not out.completed and log.server_hello is not None:
        _unfinished(log, client, server, ending, out)
    if out.completed:
        _closing(log, client, ending.fin_client, server, is13)
        _closing(log, server, ending.fin_server, client, is13)
    _who_ended(log, client, ending, out)
    if client is not None:
        out.asked = first(client, tls.CLIENT_HELLO)
        out.over = _over(log, client, server, is13, out)
    out.verdict = _verdict(log, client, server, ending, out)
    return out


def _alerts(log: TlsLog, out: Outcome, is13: bool) -> None:
    """Alerts in clear as faults. In TLS 1.3 every alert but close_notify and user_canceled is fatal (RFC 8446 section 6)."""
    for alert in log.alerts:
        if alert.description <= 0:
            continue
        fatal: bool = alert.level == 2 or (is13 and alert.description != 90)
        code: i64 = f.ALERT_FATAL if fatal else f.ALERT_WARNING
        out.fatal = out.fatal or fatal
        log.fault(code, f.PROVED, alert.side, alert.frame, 0, alert.description, alert.level)


def _judge12(log: TlsLog, client: TlsSide | None, server: TlsSide | None, out: Outcome) -> None:
    offer = log.client_hello
    # Early data for a server that then chose TLS 1.2 is an accident, not a fault (RFC 8446 section D.3).
    early: bool = offer is not None and offer.has(EXT_EARLY_DATA)
    hello = log.server_hello
    if client is not None and hello is not None and hello.selected != 0 and not early:
        check_order(log, client, C12)
    if server is None:
        return
    check_hellos(log, client, server)
    if hello is not None and hello.selected == 0:
        return  # cut: not even the version is known
    check_order(log, server, S12)
    full: bool = _is_full(server)
    check_contents12(log, client, server)
    check_parameters(log, server)
    if client is not None:
        if not early:
            check_waiting12(log, client, server, full)
        goes_on: bool = client.hidden_handshakes > 0 or first(client, tls.CLIENT_KEY_EXCHANGE) is not None
        check_choice(log, client, server, goes_on)
        _false_start(client, server, full, out)
        _renegotiation(log, client, server)
        out.completed = _finished12(client) and _finished12(server) and log.server_hello is not None
    if full:
        out.resumed = NO
    elif server.ccs_count > 0 and log.server_hello is not None and server.gap_at < 0:
        out.resumed = YES


def _is_full(server: TlsSide) -> bool:
    """A full handshake shows by its messages, not by the session id, which a server may echo either way (RFC 5077 section 3.4)."""
    for event in server.events:
        if event.code == tls.FINISHED:
            break
        if tls.CERTIFICATE <= event.code <= tls.SERVER_HELLO_DONE:
            return True
    return False


def _finished12(side: TlsSide) -> bool:
    """True if the side finished: ChangeCipherSpec and an encrypted message behind it, or data where a hole may hide them."""
    if side.ccs_count > 0 and side.hidden_handshakes > 0:
        return True
    return side.gap_at >= 0 and side.app_records > 0


def _judge13(log: TlsLog, client: TlsSide | None, server: TlsSide | None, out: Outcome) -> None:
    if client is not None:
        check_order(log, client, flow13(log, client, True))
    if server is None:
        return
    check_order(log, server, flow13(log, server, False))
    check_hellos(log, client, server)
    check_ccs13(log, client, server)
    hello = log.server_hello
    if hello is not None:
        if hello.defect != DEFECT_CUT:
            out.resumed = YES if hello.has(EXT_PSK) else NO
    _check_length13(log, server)
    check_parameters(log, server)
    if client is None:
        return
    _check_length13(log, client)
    check_choice(log, client, server, True)
    out.early_data = check_client13(log, client, server)
    check_contents13(log, client, server)
    out.completed = (
        hello is not None
        and finished13(server, server.app_records > 0)
        and finished13(client, _finished13(log, client, server) is not None)
    )
    retry = log.retry
    if retry is not None and log.second_hello is None and client.app_records > 0 and client.gap_at < 0:
        asked = first(server, tls.SERVER_HELLO)
        if asked is not None:
            log.fault(f.HELLO_RETRY_IGNORED, f.SUSPECTED, client.side, client.last_frame, retry.frame, 1, 0)


def _check_length13(log: TlsLog, side: TlsSide) -> None:
    """Protected records of TLS 1.3 are shorter than those before (RFC 8446 section 5.2)."""
    longest: i64 = side.app_longest
    if longest > tls.MAX_CIPHERTEXT_13:
        grade: i64 = f.PROVED if side.clean else f.SUSPECTED
        log.fault(f.RECORD_OVERFLOW, grade, side.side, side.app_longest_frame, 0, longest, tls.MAX_CIPHERTEXT_13)


def _finished13(log: TlsLog, client: TlsSide, server: TlsSide) -> TlsEvent | None:
    """The record with which the client sent, behind the ServerHello, enough for a Finished. A single alert record is shorter."""
    answer = first(server, tls.SERVER_HELLO)
    hellos: i64 = 1 if log.retry is None else 2
    for event in client.events:
        if event.code == tls.CLIENT_HELLO:
            hellos -= 1
        if event.code != APPLICATION_DATA_SEEN or (hellos > 0 and solid(client, event)):
            continue
        if answer is None or not sent_before(event, answer):
            return event if client.app_bytes - event.before >= MIN_FINISHED else None
    return None


def _false_start(client: TlsSide, server: TlsSide, full: bool, out: Outcome) -> None:
    """The client sent data before the server's Finished: lawful (RFC 7918)."""
    data = first(client, APPLICATION_DATA_SEEN)
    finished = finish(server)
    out.false_start = full and client.hidden_handshakes > 0 and sent_before(data, finished)


def _renegotiation(log: TlsLog, client: TlsSide, server: TlsSide) -> None:
    """A second handshake inside the encryption (RFC 5246 section 7.4.1.1): proved by a second ChangeCipherSpec."""
    hello = log.server_hello
    if hello is None:
        return
    secure: i64 = 1 if hello.has(EXT_RENEGOTIATION) else 0
    for side in (client, server):
        if side.ccs_count >= 2 and side.hidden_handshakes >= 2:
            grade: i64 = f.PROVED if side.clean else f.SUSPECTED
            log.fault(f.RENEGOTIATION, grade, side.side, _last_frame(side, CHANGE_CIPHER_SPEC_SEEN), 0, secure, 1)
            return
    if client.opened > 0 or server.opened > 0:
        asked: i64 = 0
        for event in client.events:
            if event.code == tls.CLIENT_HELLO and event.record >= 0:
                asked = event.frame
        if asked > 0:
            log.fault(f.RENEGOTIATION, f.PROVED if client.clean else f.SUSPECTED, client.side, asked, 0, secure, 1)
        return
    lawful: i64 = 2 if hello.has(EXT_NEXT_PROTOCOL) else 1
    if client.hidden_handshakes > lawful and client.app_records > 0:
        log.fault(f.RENEGOTIATION, f.SUSPECTED, client.side, _last_frame(client, ENCRYPTED_HANDSHAKE), 0, secure, 0)
    elif server.hidden_handshakes > 1:
        log.fault(f.RENEGOTIATION, f.SUSPECTED, server.side, _last_frame(server, ENCRYPTED_HANDSHAKE), 0, secure, 0)


def _last_frame(side: TlsSide, code: i64) -> i64:
    frame: i64 = 0
    for event in side.events:
        if event.code == code:
            frame = event.frame
    return frame


def _no_answer(log: TlsLog, client: TlsSide, server: TlsSide | None, ending: Ending, out: Outcome) -> None:
    """A ClientHello without a ServerHello: say why, as far as the capture shows it."""
    if server is not None and server.state == DEAD_SSL2:
        out.version = tls.SSL2
        return
    asked = first(client, tls.CLIENT_HELLO)
    if asked is None or out.fatal or log.retry is not None:
        if log.retry is not None and not out.fatal and server is not None:
            _unfinished(log, client, server, ending, out)
        return
    other: i64 = 1 - client.side
    if server is not None and server.state == DEAD_PROTOCOL and server.records == 0:
        if ending.server_looks >= tls.LOOKS_HTTP:
            shown: i64 = f.PROVED if server.gap_at < 0 else f.SUSPECTED
            log.fault(f.HTTP_ANSWER, shown, other, server.frame, asked.frame, ending.server_looks, 0)
        return
    lacking: bool = ending.lost_server or ending.acked_server > ending.seen_server + 1
    if lacking or (server is not None and server.gap_at >= 0):
        log.fault(f.SERVER_HELLO_MISSING_ONE_SIDED, f.SUSPECTED, other, asked.frame, 0, 0, 0)
        return
    if 0 <= ending.acked_client < asked.end:
        log.fault(f.CLIENT_HELLO_UNACKED, f.SUSPECTED, client.side, asked.frame, 0, ending.acked_client, asked.end)
    level: i64 = f.PROVED if client.clean else f.SUSPECTED
    known: i64 = 1 if ending.acked_client >= asked.end else 0
    if ending.rst_server or ending.rst_client:
        by: i64 = other if ending.rst_server else client.side
        log.fault(f.SERVER_HELLO_MISSING_RESET, level, by, asked.frame, 0, known, 0)
    elif ending.fin_server or ending.fin_client:
        by = other if ending.fin_server else client.side
        if ending.fin_server and ending.fin_client and ending.first == 0:
            by = client.side
        log.fault(f.SERVER_HELLO_MISSING_CLOSED, level, by, asked.frame, 0, known, 0)
    elif server is None:
        log.fault(f.SERVER_HELLO_MISSING_TIMEOUT, level if known == 1 else f.SUSPECTED, other, asked.frame, 0, known, 0)
    else:
        log.fault(f.SERVER_HELLO_MISSING, f.SUSPECTED, other, asked.frame, 0, 0, 0)


def _unfinished(log: TlsLog, client: TlsSide | None, server: TlsSide | None, ending: Ending, out: Outcome) -> None:
    """A ServerHello, but no completion: who stopped, and what each side sent last."""
    if client is None or server is None or out.fatal:
        return
    stopped: i64 = -1
    if ending.first >= 0:
        stopped = client.side if ending.first == 0 else server.side
    elif ending.fin_client != ending.fin_server:
        stopped = client.side if ending.fin_client else server.side
    elif ending.rst_client != ending.rst_server:
        stopped = client.side if ending.rst_client else server.side
    whole: bool = client.clean and server.clean and ending.closed()
    me = server if stopped == server.side else client
    peer = client if stopped == server.side else server
    log.fault(
        f.HANDSHAKE_INCOMPLETE, f.PROVED if whole else f.SUSPECTED, stopped, me.last_frame, peer.last_frame,
        me.last_event, peer.last_event,
    )  # fmt: skip


def _closing(log: TlsLog, side: TlsSide | None, fin: bool, peer: TlsSide | None, is13: bool) -> None:
    """A FIN without a closing alert before it (RFC 5246 section 7.2.1, RFC 8446 section 6.1)."""
    if (
        side is None
        or not fin
        or side.state != LIVE
        or not side.clean
        or side.hidden_alerts > 0
        or side.plain_alerts > 0
    ):
        return
    inside: i64 = 1 if side.in_record() else 0
    if inside == 1:
        log.fault(f.TRUNCATION, f.PROVED, side.side, side.last_frame, 0, 1, side.left)
    elif is13 and not read_through(side):
        if side.last_kind != tls.APPLICATION_DATA or side.last_length != ALERT_RECORD:
            log.fault(f.TRUNCATION, f.SUSPECTED, side.side, side.last_frame, 0, 0, 0)
    elif peer is not None and (peer.hidden_alerts > 0 or peer.closed):
        log.fault(f.HALF_CLOSE_UNANSWERED, f.SUSPECTED, side.side, side.last_frame, 0, 0, 0)
    else:
        log.fault(f.TRUNCATION, f.PROVED, side.side, side.last_frame, 0, 0, 0)


def _over(log: TlsLog, client: TlsSide, server: TlsSide | None, is13: bool, out: Outcome) -> TlsEvent | None:
    """What ended the handshake: the later Finished of the two, or a fatal alert in it. None if the capture does not show it."""
    if out.completed and server is not None:
        if is13 and client.finishes == 0:
            return _finished13(log, client, server)
        ours = finish(client)
        theirs = finish(server)
        if ours is None or theirs is None:
            return None
        # Abbreviated, and in TLS 1.3, the client finishes last (RFC 5246 section 7.3, RFC 8446 section 2).
        return ours if is13 or out.resumed == YES else theirs
    if out.ended_how != END_ALERT:
        return None
    by = client if out.ended_side == client.side else server
    for event in by.events if by is not None else []:
        if event.code == ALERT_SEEN and event.detail == out.alert:
            return event
    return None


def _who_ended(log: TlsLog, client: TlsSide | None, ending: Ending, out: Outcome) -> None:
    """The first fatal alert ends a connection; else the FIN or RST that is known to be first, or the only one."""
    for alert in log.alerts:
        if alert.description > 0 and (alert.level == 2 or out.version == tls.TLS13) and alert.description != 90:
            out.ended_side = alert.side
            out.ended_how = END_ALERT
            out.alert = alert.description
            return
    near: i64 = log.client_side
    role: i64 = ending.first
    reset: bool = ending.first_reset
    if role < 0:
        fins: i64 = (1 if ending.fin_client else 0) + (1 if ending.fin_server else 0)
        if fins == 1:
            role = 0 if ending.fin_client else 1
        elif fins == 0 and ending.rst_client != ending.rst_server:
            role = 0 if ending.rst_client else 1
            reset = True
    if role >= 0 and near >= 0:
        out.ended_side = near if role == 0 else 1 - near
        out.ended_how = END_RESET if reset else END_FIN


def _verdict(log: TlsLog, client: TlsSide | None, server: TlsSide | None, ending: Ending, out: Outcome) -> i64:
    for fault in log.faults:
        if fault.grade == f.PROVED and f.breaks_order(fault.code):
            return VIOLATED
    if out.completed:
        return COMPLETE
    if out.fatal:
        return FAILED
    if log.client_hello is None or not ending.closed() or ending.lost_server:
        return INCOMPLETE
    if client is None or client.gap_at >= 0 or not (len(client.events) > 0 and client.events[0].clean):
        return INCOMPLETE
    if server is None:
        return INCOMPLETE if ending.acked_server > 1 else FAILED
    if server.state == DEAD_SSL2:
        return INCOMPLETE  # goes on in a protocol that is not followed
    return INCOMPLETE if server.gap_at >= 0 or not server.clean else FAILED
