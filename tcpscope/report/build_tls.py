"""From what the TLS tracker remembers of a connection to :class:`tcpscope.report.model.TlsReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.crypto.certificates import CertificateReport, Examined
from tcpscope.report.model_tls import TlsAlert, TlsHandshake, TlsMessage, TlsProof, TlsReport, TlsSuite
from tcpscope.rules import verdicts
from tcpscope.rules.tls_outcome import alert_name
from tcpscope.state.facts import SERVER
from tcpscope.state.tls_log import (
    ALERT_SEEN,
    APPLICATION_DATA_SEEN,
    CHANGE_CIPHER_SPEC_SEEN,
    ENCRYPTED_ALERT,
    ENCRYPTED_HANDSHAKE,
    HEARTBEAT_SEEN,
    TlsEvent,
    TlsLog,
    event_name,
)
from tcpscope.state.tls_outcome import CANNOT_TELL, END_ALERT, END_FIN, END_NAMES, END_NONE, YES, Outcome
from tcpscope.state.tls_secrets import KEY_NAMES
from tcpscope.state.tls_time import handshake_time
from tcpscope.wire import strength, tls
from tcpscope.wire.cipher_names import CIPHER_NAMES
from tcpscope.wire.fingerprint import ja3_text, ja3s_text, ja4_text
from tcpscope.wire.tls import is_draft, is_grease
from tcpscope.wire.tls_hello import EXT_PSK, ClientHello, alpn_first, alpn_list, vector16
from tcpscope.wire.tls_parameters import group_name, scheme_name

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

SIDES: Final = ("client", "server")
LEVEL_NAMES: Final = {1: "warning", 2: "fatal"}
VERSION_NAMES: Final = {
    0x0002: "SSL 2.0",
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}


def tls_report(conn: Connection) -> TlsReport | None:
    """What there is to say about TLS on a finished connection; None where there is none."""
    followed, verdict = conn.tls, verdicts.tls(conn)
    if followed is None or followed.outcome is None or followed.log is None or verdict is None:
        return None
    log, outcome = followed.log, followed.outcome
    hello, answer = log.client_hello, log.server_hello or log.retry
    return TlsReport(
        verdict=verdict,
        version=version_name(outcome.version) if outcome.version else None,
        cipher_suite=None if outcome.cipher < 0 else cipher_name(outcome.cipher),
        sni=text(hello.server_name) if hello is not None and hello.server_name else None,
        alpn=text(_alpn(log)) or None,
        resumed=None if outcome.resumed == CANNOT_TELL else outcome.resumed == YES,
        ja3_text=None if hello is None else ja3_text(hello),
        ja3s_text=None if answer is None else ja3s_text(answer),
        ja4_text=None if hello is None else ja4_text(hello),
        messages=_messages(log),
        message_count=log.event_count,
        certificates=_certificates(log),
        versions_offered=tuple(version_name(version) for version in _offered(hello)),
        ciphers_offered=() if hello is None else tuple(cipher_name(number) for number in _numbers(hello.ciphers)),
        alpn_offered=() if hello is None else tuple(text(name) for name in alpn_list(hello.alpn)),
        client_random=hello.random.hex() if hello is not None and hello.random else None,
        server_random=answer.random.hex() if answer is not None and answer.random else None,
        keys=KEY_NAMES[log.keys] or None,
        proofs=tuple(TlsProof(one.frame, SIDES[one.role], event_name(one.message), one.good) for one in log.proofs),
        suite=_suite(log, outcome),
        groups_offered=() if hello is None else tuple(group_name(number) for number in _numbers(hello.groups)),
        key_shares=() if hello is None else tuple(group_name(number) for number in _numbers(hello.key_shares)),
        group=_group(log),
        prime_bits=log.prime_bits or None,
        client_signature=None if log.client_scheme < 0 else scheme_name(log.client_scheme),
        server_signature=None if log.server_scheme < 0 else scheme_name(log.server_scheme),
        resumption=_resumption(log, outcome),
        handshake=_handshake(conn, log, outcome),
        alerts=_alerts(log),
        alert_count=log.alert_count,
    )


def _suite(log: TlsLog, outcome: Outcome) -> TlsSuite | None:
    """The suite that the server chose; None of one that is not known."""
    answer = log.server_hello or log.retry
    if answer is None or outcome.cipher < 0:
        return None
    made = strength.properties(outcome.cipher, psk=answer.has(EXT_PSK), share=answer.group >= 0)
    if made is None:
        return None
    word, reasons = strength.strength(made, log.prime_bits)
    return TlsSuite(word, reasons, *made[:6])


def _group(log: TlsLog) -> str | None:
    """The group of the server's key share, or of its ServerKeyExchange."""
    hello = log.server_hello
    number = hello.group if hello is not None and hello.group >= 0 else log.group
    return None if number < 0 else group_name(number)


def _resumption(log: TlsLog, outcome: Outcome) -> str | None:
    """By what a session was resumed. A client with a ticket does not count on its session ID (RFC 5077 section 3.4)."""
    if outcome.resumed != YES:
        return None
    if log.is_tls13():
        return "psk"
    hello = log.client_hello
    return "ticket" if hello is not None and hello.ticket > 0 else "session-id"


def _alerts(log: TlsLog) -> tuple[TlsAlert, ...]:
    return tuple(
        TlsAlert(
            one.frame,
            _role(log, one.side),
            None if one.encrypted() else alert_name(one.description),
            None if one.encrypted() else LEVEL_NAMES.get(one.level, str(one.level)),
            one.time_ns,
        )
        for one in log.alerts
    )


def _handshake(conn: Connection, log: TlsLog, outcome: Outcome) -> TlsHandshake:
    """Who ended the handshake and how, and where its time went."""
    over = outcome.over
    if outcome.completed:
        side = None if over is None else _role(log, over.side)
        ended = TlsHandshake("finished", side, None if over is None else over.frame)
    elif outcome.ended_how == END_NONE or outcome.ended_side < 0:
        return TlsHandshake()
    else:
        frame = over.frame if over is not None else None
        if outcome.ended_how != END_ALERT:
            sent = conn.side(outcome.ended_side).opened()
            frame = (sent.fin_frame if outcome.ended_how == END_FIN else sent.trouble.rst_frame) or None
        alert = alert_name(outcome.alert) if outcome.alert >= 0 else None
        ended = TlsHandshake(END_NAMES[outcome.ended_how], _role(log, outcome.ended_side), frame, alert)
    time = handshake_time(outcome)
    if time is None:
        return ended
    if time.network < 0:
        return ended._replace(duration_ns=time.span)
    thought = (time.thought0, time.thought1)
    client = 1 if log.client_side == SERVER else 0
    return ended._replace(
        duration_ns=time.span, client_ns=thought[client], server_ns=thought[1 - client], network_ns=time.network
    )


def _role(log: TlsLog, side: int) -> str:
    """The TLS role of a side: the sender of the ClientHello is the client, whoever opened the connection."""
    return SIDES[side if log.client_side != SERVER else 1 - side]


# What a record whose body stays closed is listed as, by its content type.
_CLOSED: Final = {
    tls.CHANGE_CIPHER_SPEC: CHANGE_CIPHER_SPEC_SEEN,
    tls.ALERT: ENCRYPTED_ALERT,
    tls.HANDSHAKE: ENCRYPTED_HANDSHAKE,
    tls.APPLICATION_DATA: APPLICATION_DATA_SEEN,
    tls.HEARTBEAT: HEARTBEAT_SEEN,
}


def _messages(log: TlsLog) -> tuple[TlsMessage, ...]:
    return tuple(_message(log, event) for event in sorted(log.events, key=lambda event: event.frame))


def _message(log: TlsLog, event: TlsEvent) -> TlsMessage:
    """``message`` is what the wire shows, with or without keys."""
    name, inside = event_name(event.code), None
    if event.record < 0 and event.code == ALERT_SEEN:
        return TlsMessage(event.frame, _role(log, event.side), name, event.time_ns, alert=alert_name(event.detail))
    if event.record >= 0 and event.code != APPLICATION_DATA_SEEN:
        inside = f"Alert: {alert_name(event.detail)}" if event.code == ALERT_SEEN else name
        name = event_name(_CLOSED[event.record])
    return TlsMessage(event.frame, _role(log, event.side), name, event.time_ns, inside)


def _certificates(log: TlsLog) -> tuple[CertificateReport, ...]:
    """What the judge found out about them."""
    return log.examined.certificates if isinstance(log.examined, Examined) else ()


def _alpn(log: TlsLog) -> bytes:
    """The protocol that the server chose; TLS 1.3 says so under encryption (RFC 8446 section 4.3.1)."""
    block, answer = log.encrypted_extensions, log.server_hello or log.retry
    if block is not None and block.alpn:
        return alpn_first(vector16(block.alpn))
    return answer.alpn if answer is not None else b""


def _numbers(octets: bytes) -> list[int]:
    """Two-byte numbers in a row, GREASE values left out (RFC 8701)."""
    numbers = [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets) - 1, 2)]
    return [number for number in numbers if not is_grease(number)]


def _offered(hello: ClientHello | None) -> list[int]:
    """Versions of supported_versions, or the one of the hello itself (RFC 8446 section 4.2.1)."""
    if hello is None:
        return []
    return _numbers(hello.versions) or [hello.version]


def version_name(version: int) -> str:
    """Name of a protocol version; one that is not known as its number."""
    if is_draft(version):
        return f"TLS 1.3 draft {version & 0xFF}" if version >> 8 == 0x7F else "TLS 1.3 draft"
    return VERSION_NAMES.get(version, f"0x{version:04x}")


def cipher_name(number: int) -> str:
    """Name of a cipher suite; one that is not known as its number."""
    return CIPHER_NAMES.get(number, f"0x{number:04X}")


def text(octets: bytes) -> str:
    """Bytes from the wire as text; what is not UTF-8 stands there as an escape."""
    return octets.decode("utf-8", "backslashreplace")
