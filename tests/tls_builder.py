"""TLS connections byte for byte: records and hellos, and a talk of two sides that is fed to the tracker in any pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tcpscope.state.tls_faults import GRADE_NAMES, slug
from tcpscope.state.tls_log import TlsFault, TlsLog, event_name
from tcpscope.state.tls_outcome import VERDICT_NAMES, Outcome
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.wire.segment import Segment
from tcpscope.wire.tls_hello import RETRY_RANDOM, ClientHello, ServerHello

C, S = 0, 1
CCS, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24

CLIENT_RANDOM = bytes(range(32))
SERVER_RANDOM = bytes(range(100, 132))
SID = bytes(range(200, 232))

ECDHE, RSA, ANON, PSK, AES13, CHACHA13 = 0xC02F, 0x009C, 0x0034, 0x008C, 0x1301, 0x1303
SUITES = (AES13, CHACHA13, ECDHE, RSA, ANON, PSK)

Extension = tuple[int, bytes]


def u16(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def vector(size: int, body: bytes) -> bytes:
    return len(body).to_bytes(size, "big") + body


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes([kind]) + u16(version, len(body)) + body


def message(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + vector(3, body)


def handshake(*messages: bytes, version: int = 0x0303, split: int = 0) -> bytes:
    """Messages in one record, or in records of ``split`` bytes each."""
    body = b"".join(messages)
    step = split or max(1, len(body))
    return b"".join(record(HANDSHAKE, body[o : o + step], version) for o in range(0, len(body), step))


def extensions(items: Iterable[Extension]) -> bytes:
    return vector(2, b"".join(u16(kind) + vector(2, body) for kind, body in items))


def sni(name: str) -> Extension:
    return 0, vector(2, b"\0" + vector(2, name.encode()))


def alpn(*names: str) -> Extension:
    return 16, vector(2, b"".join(vector(1, name.encode()) for name in names))


def groups(*values: int) -> Extension:
    return 10, vector(2, u16(*values))


def versions(*values: int) -> Extension:
    return 43, vector(1, u16(*values))


def shares(*values: int) -> Extension:
    return 51, vector(2, b"".join(u16(value) + vector(2, bytes(32)) for value in values))


RENEGOTIATION: Extension = (0xFF01, b"\0")
TICKET: Extension = (35, b"")
EARLY: Extension = (42, b"")
STATUS: Extension = (5, b"\1\0\0\0\0")
PSK_MODES: Extension = (45, b"\1\1")
PSK_OFFER: Extension = (41, bytes(40))

OFFER12: tuple[Extension, ...] = (
    sni("example.org"),
    groups(29, 23),
    RENEGOTIATION,
    TICKET,
    STATUS,
    alpn("h2", "http/1.1"),
)
OFFER13: tuple[Extension, ...] = (*OFFER12, versions(0x0304, 0x0303), shares(29))
SELECT13: Extension = (43, u16(0x0304))
SHARE13: Extension = (51, u16(29) + vector(2, bytes(32)))
SHARE13_AGAIN: Extension = (51, u16(23) + vector(2, bytes(65)))  # in the group that a retry asks for


def client_hello(
    offer: Sequence[Extension] | None = OFFER12,
    *,
    version: int = 0x0303,
    suites: Sequence[int] = SUITES,
    sid: bytes = b"",
    compressions: bytes = b"\0",
    tail: bytes = b"",
) -> bytes:
    body = u16(version) + CLIENT_RANDOM + vector(1, sid) + vector(2, u16(*suites)) + vector(1, compressions)
    return message(1, body + (b"" if offer is None else extensions(offer)) + tail)


def server_hello(
    chosen: Sequence[Extension] | None = (RENEGOTIATION,),
    *,
    version: int = 0x0303,
    suite: int = ECDHE,
    sid: bytes = b"",
    random: bytes = SERVER_RANDOM,
    compression: int = 0,
) -> bytes:
    body = u16(version) + random + vector(1, sid) + u16(suite) + bytes([compression])
    return message(2, body + (b"" if chosen is None else extensions(chosen)))


def retry(group: int = 23, *, suite: int = AES13, sid: bytes = SID, extra: Sequence[Extension] = ()) -> bytes:
    return server_hello((SELECT13, (51, u16(group)), *extra), suite=suite, sid=sid, random=RETRY_RANDOM)


CERTIFICATE = message(11, vector(3, vector(3, bytes(700))))
NO_CERTIFICATE = message(11, vector(3, b""))
SERVER_KEYS = message(12, bytes(300))
REQUEST = message(13, bytes(40))
DONE = message(14)
CLIENT_KEYS = message(16, bytes(65))
VERIFY = message(15, bytes(260))
NEW_TICKET = message(4, u16(0, 7200) + vector(2, bytes(160)))
STAPLE = message(22, b"\1" + vector(3, bytes(400)))

CHANGE = record(CCS, b"\1")
FINISHED = record(HANDSHAKE, b"\xee" * 40)  # encrypted
CLOSE = record(ALERT, b"\xee" * 26)  # encrypted
FINISH = CHANGE + FINISHED
SHORT13 = record(DATA, b"\xee" * 19)  # an alert of TLS 1.3
FLIGHT13 = record(DATA, b"\xee" * 900)
FINISHED13 = record(DATA, b"\xee" * 53)


def data(size: int = 500) -> bytes:
    return record(DATA, b"\xee" * size)


class Talk:
    """Two byte streams, and for each write how much of the other one its segments acknowledge: all of it, if not said."""

    def __init__(self) -> None:
        self.length = [0, 0]
        self.writes: list[tuple[int, int, int, bytes]] = []

    def say(self, side: int, *parts: bytes, ack: int | None = None) -> Talk:
        """One write of ``side``."""
        octets = b"".join(parts)
        self.writes.append((side, self.length[side], self.length[1 - side] if ack is None else ack, octets))
        self.length[side] += len(octets)
        return self

    def segments(self, size: int = 0) -> list[tuple[int, int, int, bytes]]:
        """``(side, position, ack, bytes)``: one for each write, or several of at most ``size`` bytes."""
        found = []
        for side, position, ack, octets in self.writes:
            step = size or max(1, len(octets))
            found += [(side, position + o, ack, octets[o : o + step]) for o in range(0, len(octets), step)]
        return found


class Tracked:
    """A finished tracker with readable results."""

    def __init__(self, tls: TlsConnection) -> None:
        self.tls = tls

    @property
    def verdict(self) -> str:
        return VERDICT_NAMES[self.outcome.verdict]

    @property
    def outcome(self) -> Outcome:
        assert self.tls.outcome is not None
        return self.tls.outcome

    @property
    def log(self) -> TlsLog:
        assert self.tls.log is not None
        return self.tls.log

    @property
    def hello(self) -> ClientHello:
        assert self.log.client_hello is not None
        return self.log.client_hello

    @property
    def answer(self) -> ServerHello:
        assert self.log.server_hello is not None
        return self.log.server_hello

    def messages(self, side: int | None = None) -> list[str]:
        """Names of the events, of one side or both, in the order in which they were completed."""
        return [event_name(event.code) for event in self.log.events if side is None or event.side == side]

    def faults(self) -> list[tuple[str, str, int]]:
        """Slug, grade and side of each fault."""
        return [(slug(fault.code), GRADE_NAMES[fault.grade], fault.side) for fault in self.log.faults]

    def slugs(self) -> list[str]:
        return [slug(fault.code) for fault in self.log.faults]

    def fault(self, name: str) -> TlsFault:
        """The one fault of that name."""
        (found,) = [fault for fault in self.log.faults if slug(fault.code) == name]
        return found


def feed(tls: TlsConnection, segment: tuple[int, int, int, bytes], frame: int, cut: int = 0) -> None:
    """Hand one segment to the tracker, between foreign bytes as in a reader's chunk; ``cut`` bytes fell to the snap length."""
    side, position, ack, octets = segment
    seg = Segment()
    seg.frame = frame
    seg.time_ns = frame * 1_000_000
    seg.data = b"\x16\x03\x01" + octets + b"\x16\x03\x01\x00\x05\x01"
    seg.payload = 3
    seg.length = len(octets)
    seg.captured = len(octets) - cut
    if cut:
        seg.data = seg.data[: 3 + seg.captured]
    if not tls.off:
        tls.segment(side, seg, position, ack)


def track(
    talk: Talk | Sequence[tuple[int, int, int, bytes]],
    size: int = 0,
    *,
    fin: tuple[bool, bool] = (True, True),
    rst: tuple[bool, bool] = (False, False),
    missing: tuple[bool, bool] = (False, False),
) -> Tracked:
    """Feed a talk, or segments, and finish."""
    tls = TlsConnection()
    tls.missing_start0, tls.missing_start1 = missing
    segments = talk.segments(size) if isinstance(talk, Talk) else talk
    for frame, segment in enumerate(segments, 1):
        feed(tls, segment, frame)
    tls.finish(*fin, *rst)
    return Tracked(tls)


# Lawful handshakes. Each is a function, since a talk goes on growing.


def full12(*, close: bool = True, version: int = 0x0303) -> Talk:
    """TLS 1.2 and older with ECDHE."""
    talk = Talk()
    talk.say(C, handshake(client_hello(version=version), version=0x0301))
    talk.say(S, handshake(server_hello(version=version), CERTIFICATE, SERVER_KEYS, DONE))
    talk.say(C, handshake(CLIENT_KEYS), FINISH)
    talk.say(S, FINISH)
    return closing(talk, CLOSE) if close else talk


def closing(talk: Talk, close: bytes) -> Talk:
    """Some data both ways, then the closing alerts."""
    return talk.say(C, data()).say(S, data(1400), data(9)).say(C, close).say(S, close)


def ticket12() -> Talk:
    """A full handshake with CertificateStatus and NewSessionTicket."""
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(
        S, handshake(server_hello((RENEGOTIATION, TICKET, STATUS)), CERTIFICATE, STAPLE, SERVER_KEYS), handshake(DONE)
    )
    talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, handshake(NEW_TICKET), FINISH)
    return closing(talk, CLOSE)


def resumed12(*, ticket: bool = False) -> Talk:
    """Abbreviated: the server finishes first."""
    talk = Talk().say(C, handshake(client_hello(sid=SID)))
    chosen = (RENEGOTIATION, TICKET) if ticket else (RENEGOTIATION,)
    talk.say(S, handshake(server_hello(chosen, sid=SID), *([NEW_TICKET] if ticket else [])), FINISH)
    return closing(talk.say(C, FINISH), CLOSE)


def client_auth12(certificate: bytes = CERTIFICATE, verify: bytes = VERIFY) -> Talk:
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, REQUEST, DONE))
    talk.say(C, handshake(certificate, CLIENT_KEYS, verify), FINISH).say(S, FINISH)
    return closing(talk, CLOSE)


def rsa12() -> Talk:
    """RSA key exchange: no ServerKeyExchange."""
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(suite=RSA), CERTIFICATE, DONE))
    return closing(talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)


def false_start12() -> Talk:
    """The client sends data before the server's Finished (RFC 7918)."""
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))
    talk.say(C, handshake(CLIENT_KEYS), FINISH, data()).say(S, FINISH, data())
    return talk.say(C, CLOSE).say(S, CLOSE)


def full13(*, compatible: bool = True) -> Talk:
    sid = SID if compatible else b""
    dummy = CHANGE if compatible else b""
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=sid), version=0x0301))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13), suite=AES13, sid=sid)), dummy, FLIGHT13)
    return closing(talk.say(C, dummy, FINISHED13), SHORT13)


def retried13() -> Talk:
    """HelloRetryRequest for another group."""
    again = client_hello((*OFFER12, versions(0x0304, 0x0303), shares(23)), sid=SID)
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID))).say(S, handshake(retry()), CHANGE)
    talk.say(C, CHANGE, handshake(again))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13_AGAIN), suite=AES13, sid=SID)), FLIGHT13)
    return closing(talk.say(C, FINISHED13), SHORT13)


def early13() -> Talk:
    """0-RTT: data behind the ClientHello."""
    offer = (*OFFER13, EARLY, PSK_MODES, PSK_OFFER)
    talk = Talk().say(C, handshake(client_hello(offer, sid=SID)), CHANGE, data(300))
    talk.say(
        S,
        handshake(server_hello((SELECT13, SHARE13, (41, b"\0\0")), suite=AES13, sid=SID)),
        CHANGE,
        data(120),
        data(60),
    )
    return closing(talk.say(C, data(21), FINISHED13), SHORT13)


def old_hello(version: int = 0x0301) -> bytes:
    """A ClientHello in SSL 2.0 format that offers three suites of SSL 3.0 and one of SSL 2.0."""
    ciphers = bytes.fromhex("00002f 000035 00000a 010080".replace(" ", ""))
    body = b"\1" + u16(version, len(ciphers), 0, 16) + ciphers + bytes(range(16))
    return u16(0x8000 | len(body)) + body


def ssl2_start() -> Talk:
    """TLS 1.0 begun with an SSL 2.0 format hello (RFC 5246 section E.2)."""
    talk = Talk().say(C, old_hello())
    talk.say(S, handshake(server_hello(None, version=0x0301, suite=0x002F), CERTIFICATE, DONE, version=0x0301))
    return closing(talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)


LAWFUL = {
    "full12": full12,
    "ticket12": ticket12,
    "resumed12": resumed12,
    "client_auth12": client_auth12,
    "rsa12": rsa12,
    "false_start12": false_start12,
    "full13": full13,
    "retried13": retried13,
    "early13": early13,
    "ssl2_start": ssl2_start,
}
