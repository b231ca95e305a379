"""Handshakes of TLS 1.2 and 1.3 with a place to put a fault, and the check that a fault is told and its near miss is not."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tls_builder import (
    CERTIFICATE,
    CHANGE,
    CLIENT_KEYS,
    CLOSE,
    DONE,
    FINISH,
    FINISHED,
    FINISHED13,
    FLIGHT13,
    HANDSHAKE,
    OFFER12,
    OFFER13,
    SELECT13,
    SERVER_KEYS,
    SERVER_RANDOM,
    SHARE13,
    SHARE13_AGAIN,
    SHORT13,
    SID,
    C,
    Extension,
    S,
    Talk,
    client_hello,
    closing,
    data,
    full12,
    handshake,
    message,
    record,
    retry,
    server_hello,
    shares,
    track,
    u16,
    vector,
    versions,
)


def talk12(
    *flight: bytes,
    hello: bytes | None = None,
    client: bytes | None = None,
    end: bytes = FINISH,
    offer: bytes | None = None,
) -> Talk:
    """TLS 1.2 with the server's messages behind its hello, the client's messages before its ChangeCipherSpec, and the end."""
    talk = Talk().say(C, handshake(offer or client_hello()))
    talk.say(S, handshake(server_hello() if hello is None else hello, *flight))
    talk.say(C, handshake(CLIENT_KEYS) if client is None else client, FINISH)
    return closing(talk.say(S, end), CLOSE)


def chosen12(hello: bytes, offer: bytes | None = None) -> Talk:
    return talk12(CERTIFICATE, SERVER_KEYS, DONE, hello=hello, offer=offer)


def talk13(*chosen: Extension, offer: bytes | None = None, suite: int = 0x1301, sid: bytes = SID) -> Talk:
    talk = Talk().say(C, handshake(offer or client_hello(OFFER13, sid=SID)))
    talk.say(S, handshake(server_hello(chosen or (SELECT13, SHARE13), suite=suite, sid=sid)), CHANGE, FLIGHT13)
    return closing(talk.say(C, CHANGE, FINISHED13), SHORT13)


def again13(second: bytes, asked: bytes | None = None, suite: int = 0x1301) -> Talk:
    """A HelloRetryRequest and what the client makes of it."""
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID))).say(S, handshake(asked or retry()), CHANGE)
    talk.say(C, CHANGE, handshake(second))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13_AGAIN), suite=suite, sid=SID)), FLIGHT13)
    return closing(talk.say(C, FINISHED13), SHORT13)


SECOND = client_hello((*OFFER12, versions(0x0304, 0x0303), shares(23)), sid=SID)
COOKIE: Extension = (44, vector(2, b"cookie"))


def hello_early() -> Talk:
    """The ServerHello's segment acknowledges all but the last byte of the ClientHello."""
    asked = handshake(client_hello())
    talk = Talk().say(C, asked).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE), ack=len(asked) - 1)
    return closing(talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)


def keys_early(missing: int) -> Talk:
    """The client's second flight acknowledges all but ``missing`` bytes of the server's."""
    flight = handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE)
    talk = Talk().say(C, handshake(client_hello())).say(S, flight)
    talk.say(C, handshake(CLIENT_KEYS), FINISH, ack=len(flight) - missing).say(S, FINISH)
    return closing(talk, CLOSE)


def server_finish_early(missing: int) -> Talk:
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))
    talk.say(C, handshake(CLIENT_KEYS), FINISH)
    return closing(talk.say(S, FINISH, ack=talk.length[C] - missing), CLOSE)


def client_finish_early(missing: int) -> Talk:
    """Abbreviated: the client must wait for the server."""
    talk = Talk().say(C, handshake(client_hello(sid=SID))).say(S, handshake(server_hello(sid=SID)), FINISH)
    return closing(talk.say(C, FINISH, ack=talk.length[S] - missing), CLOSE)


def ccs_injected() -> Talk:
    """CVE-2014-0224: a ChangeCipherSpec before the ClientKeyExchange."""
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))
    return closing(talk.say(C, CHANGE, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)


def data_in_flight() -> Talk:
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE), data(30))
    talk.say(S, handshake(SERVER_KEYS, DONE)).say(C, handshake(CLIENT_KEYS), FINISH)
    return closing(talk.say(S, FINISH), CLOSE)


def no_ccs() -> Talk:
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))
    return talk.say(C, handshake(CLIENT_KEYS), data(40)).say(S, FINISH)


def early_without_offer() -> Talk:
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID)), CHANGE, data(300))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)), CHANGE, FLIGHT13)
    return closing(talk.say(C, FINISHED13), SHORT13)


def server_data_first() -> Talk:
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID)))
    talk.say(
        S, record(HANDSHAKE, b"\0\0\0\0"), data(40), handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID))
    )
    return talk.say(S, CHANGE, FLIGHT13).say(C, CHANGE, FINISHED13)


def second_hello_in_clear() -> Talk:
    talk = Talk().say(C, handshake(client_hello()), handshake(client_hello()))
    return talk.say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))


def two_retries() -> Talk:
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID))).say(S, handshake(retry()), CHANGE)
    return talk.say(C, CHANGE, handshake(SECOND)).say(S, handshake(retry(24)))


def closed_then_data(first: bytes) -> Talk:
    talk = full12(close=False).say(C, data()).say(S, data())
    return talk.say(C, first, data(5)).say(S, CLOSE)


def sentinel(last: int, *offered: int, suite: int = 0xC02F) -> Talk:
    offer = client_hello((*OFFER12, versions(*offered))) if offered else client_hello()
    return chosen12(server_hello(random=SERVER_RANDOM[:24] + b"DOWNGRD" + bytes([last]), suite=suite), offer)


def misplaced_ccs() -> Talk:
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID)))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)), CHANGE, FLIGHT13)
    return closing(talk.say(C, FINISHED13, CHANGE), SHORT13)


def split_by(middle: bytes) -> Talk:
    """Something between the two halves of a Certificate."""
    talk = (
        Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello()), record(HANDSHAKE, CERTIFICATE[:300]))
    )
    talk.say(S, middle, record(HANDSHAKE, CERTIFICATE[300:]), handshake(SERVER_KEYS, DONE))
    return closing(talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)


def in_server_flight(extra: bytes) -> Talk:
    """Records of the server before its ServerHelloDone."""
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS), extra)
    talk.say(S, handshake(DONE)).say(C, handshake(CLIENT_KEYS), FINISH)
    return closing(talk.say(S, FINISH), CLOSE)


def renegotiated(second: bytes) -> Talk:
    talk = full12(close=False).say(C, data()).say(S, data()).say(C, FINISHED + second).say(S, FINISHED + second)
    return closing(talk, CLOSE)


def version_of(selected: int, offered: bytes) -> Talk:
    return chosen12(server_hello(version=selected), offered)


def ec_keys(group: int = 23, scheme: int = 0x0403) -> bytes:
    return message(12, b"\3" + u16(group) + vector(1, bytes(65)) + u16(scheme) + vector(2, bytes(70)))


def prime_keys(bits: int, scheme: int = 0x0804) -> bytes:
    prime = (1 << bits - 1 | 1).to_bytes((bits + 7) // 8, "big")
    return message(
        12, vector(2, b"\0" + prime) + vector(2, b"\2") + vector(2, bytes(30)) + u16(scheme) + vector(2, b"")
    )


def flights(keys: bytes, *, suite: int = 0xC02F, version: int = 0x0303, client: bytes = b"") -> Talk:
    """A handshake of TLS 1.2 and older with this ServerKeyExchange."""
    offer = client_hello(suites=(suite,), version=version)
    talk = Talk().say(C, handshake(offer))
    talk.say(S, handshake(server_hello(suite=suite, version=version), CERTIFICATE, keys, DONE))
    return closing(talk.say(C, handshake(CLIENT_KEYS) + client, FINISH).say(S, FINISH), CLOSE)


@dataclass(frozen=True)
class Case:
    """``bad`` has the fault ``slug`` of ``side`` and the verdict; ``good`` is the near miss."""

    slug: str
    side: int
    bad: Talk
    good: Talk
    verdict: str = "violated"


def check(case: Case, size: int) -> None:
    """The bad handshake shows the fault, proved, and the good one does not, in segments of ``size`` bytes."""
    bad, good = track(case.bad, size), track(case.good, size)
    assert (case.slug, "proved", case.side) in bad.faults()
    assert bad.verdict == case.verdict
    assert bad.fault(case.slug).frame > 0
    assert case.slug not in good.slugs()
    assert good.verdict != "violated"
