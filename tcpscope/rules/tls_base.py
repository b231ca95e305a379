"""What the TS6xx rules share: one rule for each fault of :mod:`tcpscope.state.tls_faults`, code TS6 plus the fault's number.

A fault that the capture only suggests (a hole, a start that was not captured, order known by time alone) is never an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import BOTH_SIDES, TLS_TROUBLE, Context, Finding, Rule, Severity
from tcpscope.rules.words import frames, opening, party
from tcpscope.state.tls_faults import PROVED
from tcpscope.state.tls_log import event_name
from tcpscope.wire.ciphers import cipher_name

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault, TlsLog

VERSION_NAMES: Final = {
    0x0002: "SSL 2.0",
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}

RECORD_NAMES: Final = {20: "ChangeCipherSpec", 21: "alert", 22: "handshake", 23: "application data", 24: "heartbeat"}

# IANA, TLS ExtensionType values
EXTENSION_NAMES: Final = {
    0: "server_name",
    1: "max_fragment_length",
    5: "status_request",
    10: "supported_groups",
    11: "ec_point_formats",
    13: "signature_algorithms",
    15: "heartbeat",
    16: "application_layer_protocol_negotiation",
    17: "status_request_v2",
    18: "signed_certificate_timestamp",
    21: "padding",
    22: "encrypt_then_mac",
    23: "extended_master_secret",
    27: "compress_certificate",
    28: "record_size_limit",
    35: "session_ticket",
    41: "pre_shared_key",
    42: "early_data",
    43: "supported_versions",
    44: "cookie",
    45: "psk_key_exchange_modes",
    49: "post_handshake_auth",
    51: "key_share",
    13172: "next_protocol_negotiation",
    0xFE0D: "encrypted_client_hello",
    0xFF01: "renegotiation_info",
}


def version_name(value: int) -> str:
    """``TLS 1.2``, or the number."""
    return VERSION_NAMES.get(value, f"version 0x{value & 0xFFFF:04x}")


def extension_name(value: int) -> str:
    """``extension 16 (application_layer_protocol_negotiation)``."""
    name = EXTENSION_NAMES.get(value)
    return f"extension {value} ({name})" if name else f"extension {value}"


def record_name(value: int) -> str:
    """``alert record``, or the number."""
    name = RECORD_NAMES.get(value)
    return f"{name} record" if name else f"record of type {value}"


class TlsRule(Rule):
    """A rule about one fault. ``sentence`` is its finding; the names in braces are those of :meth:`words`."""

    fault: ClassVar[int]
    sentence: ClassVar[str]
    occasions: ClassVar[int] = TLS_TROUBLE

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """One finding for each side that has the fault."""
        log = tls_log(conn)
        if log is None:
            return
        for side in BOTH_SIDES:
            faults = [fault for fault in log.faults if fault.code == self.fault and fault.side == side]
            if not faults:
                continue
            first = faults[0]
            severity, sentence = self.weigh(first, self.sentence, conn)
            yield self.finding(
                conn,
                side,
                opening(sentence.format(**self.words(faults, conn))),
                [number for fault in faults for number in (fault.frame, fault.other_frame)],
                frame=first.frame,
                time_ns=_time_of(log, first.frame),
                count=sum(fault.count for fault in faults),
                severity=severity,
            )

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Severity and sentence of this occurrence: a suspicion is no proof of a violation."""
        if fault.grade == PROVED or self.severity == Severity.NOTE:
            return self.severity, sentence
        severity = Severity.WARNING if self.severity == Severity.ERROR else self.severity
        return severity, sentence + " (suspected: the capture does not show everything)"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """What a sentence may mention of the first occurrence."""
        fault = faults[0]
        return {
            "who": party(conn, fault.side),
            "peer": party(conn, 1 - fault.side),
            "frame": frames([fault.frame]),
            "other": frames([fault.other_frame]),
            "suite": cipher_name(fault.detail & 0xFFFF),
            "suite2": cipher_name(fault.extra & 0xFFFF),
            "version": version_name(fault.detail),
            "extension": extension_name(fault.detail),
            "record": record_name(fault.detail),
            "message": event_name(fault.detail),
            "awaited": event_name(fault.extra),
            "detail": f"{fault.detail:,}",
            "extra": f"{fault.extra:,}",
        }


def tls_log(conn: Connection) -> TlsLog | None:
    """What is known of the connection's TLS; None without any."""
    return conn.tls.log if conn.tls is not None else None


def _time_of(log: TlsLog, frame: int) -> int | None:
    """The time of a frame, if an event of the log ended there."""
    return next((event.time_ns for event in log.events if event.frame == frame), None)
