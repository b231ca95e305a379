"""What is remembered of one TLS connection: events, alerts, faults, hellos. Bounded: all are counted, the first are kept."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.tls_faults import ALERT_FATAL, ALERT_WARNING
from tcpscope.state.tls_secrets import KEYS_NONE, Opener, TlsProof
from tcpscope.wire.tls import is_tls13
from tcpscope.wire.tls_hello import ClientHello, Extensions, ServerHello

MAX_EVENTS: Final = 64
MAX_ALERTS: Final = 16
MAX_FAULTS: Final = 64
MAX_CERTIFICATE_BYTES: Final = 128 * 1024

FORM_TLS13: Final = 13 << 8  # RFC 8446 section 4.4.2: with a context, and extensions for each certificate

# Events: 0 to 255 are handshake message types in clear; the rest are these.
HELLO_RETRY_REQUEST: Final = 256
CHANGE_CIPHER_SPEC_SEEN: Final = 257
ENCRYPTED_HANDSHAKE: Final = 258
APPLICATION_DATA_SEEN: Final = 259
ALERT_SEEN: Final = 260
ENCRYPTED_ALERT: Final = 261
HEARTBEAT_SEEN: Final = 262
EARLY_DATA_SEEN: Final = 263  # known as such only with keys

EVENT_NAMES: Final[dict[int, str]] = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    5: "EndOfEarlyData",
    6: "HelloRetryRequest",
    8: "EncryptedExtensions",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
    21: "CertificateURL",
    22: "CertificateStatus",
    23: "SupplementalData",
    24: "KeyUpdate",
    25: "CompressedCertificate",
    67: "NextProtocol",
    256: "HelloRetryRequest",
    257: "ChangeCipherSpec",
    258: "EncryptedHandshake",
    259: "ApplicationData",
    260: "Alert",
    261: "EncryptedAlert",
    262: "Heartbeat",
    263: "EarlyData",
}


def event_name(code: int) -> str:
    """Name of an event as the report prints it; a message type without a name is shown as its number."""
    return EVENT_NAMES.get(code, str(code))


@mypyc_attr(acyclic=True)
class TlsEvent:
    """One handshake message or one record that matters for the order.

    ``frame`` and ``time_ns`` are of the segment that completes it; of a record whose body stays closed, that begins it.
    ``start``, ``end``: stream positions. ``ack``: how many bytes of the other direction its first segment acknowledges, -1
    unknown. ``clean``: no byte before its end is missing.
    """

    def __init__(self, code: i64, side: i64) -> None:
        self.code: i64 = code
        self.side: i64 = side
        self.frame: i64 = 0
        self.first_frame: i64 = 0
        self.time_ns: i64 = 0
        self.start: i64 = 0
        self.end: i64 = 0
        self.ack: i64 = -1
        self.size: i64 = 0  # body bytes
        self.detail: i64 = (
            0  # Certificate: 1 if its list is empty; alert: its description; KeyUpdate: 1 if it wants an answer
        )
        self.record: i64 = -1  # content type of the record that a key opened, as its header says; -1 if it was in clear
        self.clean: bool = False
        self.cut: bool = False  # the capture lacks part of it
        self.before: i64 = 0  # application bytes that this side had sent before
        self.begin_ns: i64 = 0  # time of the segment that begins it
        # How long the programs of both ends of the connection had thought by then (see durations); -1 not known.
        self.thought0: i64 = -1
        self.thought1: i64 = -1


@mypyc_attr(acyclic=True)
class TlsAlert:
    """One alert record. ``level`` and ``description`` are -1 where it is encrypted."""

    def __init__(self, side: i64, frame: i64, time_ns: i64, position: i64, level: i64, description: i64) -> None:
        self.side: i64 = side
        self.frame: i64 = frame
        self.time_ns: i64 = time_ns
        self.position: i64 = position
        self.level: i64 = level
        self.description: i64 = description

    def encrypted(self) -> bool:
        """True if only its presence is known."""
        return self.description < 0


@mypyc_attr(acyclic=True)
class TlsBody:
    """Body of a Certificate or CertificateStatus message; ``form`` is the message type, FORM_TLS13 for Certificate of TLS 1.3."""

    def __init__(self, body: bytes, side: i64, frame: i64, time_ns: i64, form: i64) -> None:
        self.body: bytes = body
        self.side: i64 = side
        self.frame: i64 = frame
        self.time_ns: i64 = time_ns
        self.form: i64 = form


@mypyc_attr(acyclic=True)
class TlsFault:
    """One kind of fault of one side: the first occurrence, and how many there were."""

    def __init__(self, code: i64, grade: i64, side: i64, frame: i64, other_frame: i64, detail: i64, extra: i64) -> None:
        self.code: i64 = code
        self.grade: i64 = grade
        self.side: i64 = side
        self.frame: i64 = frame
        self.other_frame: i64 = other_frame  # 0 none
        self.detail: i64 = detail
        self.extra: i64 = extra
        self.count: i64 = 1


@mypyc_attr(acyclic=True)
class TlsLog:
    """Facts of one connection, written by both directions."""

    def __init__(self) -> None:
        self.events: list[TlsEvent] = []
        self.event_count: i64 = 0
        self.alerts: list[TlsAlert] = []
        self.alert_count: i64 = 0
        self.faults: list[TlsFault] = []
        self.client_side: i64 = -1
        self.client_hello: ClientHello | None = None
        self.second_hello: ClientHello | None = None  # after a HelloRetryRequest
        self.server_hello: ServerHello | None = None
        self.retry: ServerHello | None = None
        self.encrypted_extensions: Extensions | None = None  # of the server, if a key opened them
        # Bodies of readable Certificate and CertificateStatus messages, for the checks of certificates.
        self.certificates: list[TlsBody] = []
        self.statuses: list[TlsBody] = []
        self.kept: i64 = 0
        self.examined: object = None  # what the judge's look at them came to
        self.not_kept: i64 = 0  # bodies beyond the bound
        self.ticket_lifetime: i64 = -1
        # Of the key exchange: what the first ServerKeyExchange says, and how each role signed (RFC 8446 section 4.2.3).
        self.group: i64 = -1
        self.prime_bits: i64 = 0
        self.client_scheme: i64 = -1
        self.server_scheme: i64 = -1
        self.untimed: bool = False  # there are events since the owner last said how long the programs had thought
        # With keys.
        self.opener: Opener | None = None
        self.keys: i64 = KEYS_NONE
        self.unsupported: bool = False  # there is a key, but the cipher suite is not known
        self.proofs: list[TlsProof] = []

    def fault(self, code: i64, grade: i64, side: i64, frame: i64, other_frame: i64, detail: i64, extra: i64) -> None:
        """Record a fault once for each side, an alert once for each description. A repetition counts; a proof replaces a suspicion."""
        for known in self.faults:
            if (
                known.code == code
                and known.side == side
                and (known.detail == detail or (code != ALERT_FATAL and code != ALERT_WARNING))
            ):
                known.count += 1
                if grade < known.grade:
                    known.grade = grade
                    known.frame = frame
                    known.other_frame = other_frame
                    known.detail = detail
                    known.extra = extra
                return
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(TlsFault(code, grade, side, frame, other_frame, detail, extra))

    def keep(self, kept: list[TlsBody], body: TlsBody) -> None:
        """Keep the body of a Certificate or CertificateStatus message while the bound allows."""
        if self.kept + len(body.body) <= MAX_CERTIFICATE_BYTES:
            self.kept += len(body.body)
            kept.append(body)
        else:
            self.not_kept += 1

    def is_tls13(self) -> bool:
        """True if the ServerHello chose TLS 1.3 or a draft of it."""
        hello = self.server_hello
        return hello is not None and is_tls13(hello.selected)
