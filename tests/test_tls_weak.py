"""What was chosen lawfully but is weak: each with the nearest that is not, in several chunkings."""

from __future__ import annotations

import pytest

from tests.tls_builder import (
    ALERT,
    CERTIFICATE,
    CLOSE,
    DONE,
    FINISH,
    OFFER12,
    RENEGOTIATION,
    SELECT13,
    SERVER_KEYS,
    SID,
    TICKET,
    C,
    Extension,
    S,
    Talk,
    client_hello,
    closing,
    full12,
    full13,
    handshake,
    message,
    record,
    rsa12,
    server_hello,
    sni,
    track,
    u16,
    vector,
)
from tests.tls_cases import Case, check, chosen12, ec_keys, flights, prime_keys, talk12, talk13, version_of

TRIPLE_DES, AES, CBC, DHE, ANONYMOUS = 0xC012, 0xC02F, 0xC013, 0x009E, 0x0034
ENCRYPT_FIRST: Extension = (22, b"")
MASTER_SECRET: Extension = (23, b"")
PLAIN_OFFER = tuple(extension for extension in OFFER12 if extension != RENEGOTIATION)


def named(name: str | None) -> Talk:
    """A handshake of a client that asks for this server name."""
    others = OFFER12[1:]
    return chosen12(server_hello(), client_hello(others if name is None else (sni(name), *others)))


def cbc(*offered: int, chosen: tuple[Extension, ...] = ()) -> Talk:
    """A handshake with CBC where the client offers these suites, and what the server says of the order of MAC and cipher."""
    hello = server_hello((RENEGOTIATION, *chosen), suite=CBC)
    return chosen12(hello, client_hello((*OFFER12, ENCRYPT_FIRST), suites=offered))


def renewed(*asked: Extension) -> Talk:
    """A resumed session: its server does not say that the secret is bound to the first handshake."""
    talk = Talk().say(C, handshake(client_hello((*OFFER12, *asked), sid=SID)))
    talk.say(S, handshake(server_hello(sid=SID)), FINISH)
    return closing(talk.say(C, FINISH), CLOSE)


def turned_away(offer: bytes | None = None) -> Talk:
    return Talk().say(C, handshake(offer or client_hello())).say(S, record(ALERT, b"\2\x46"))


def share(group: int) -> Extension:
    return 51, u16(group) + vector(2, bytes(32))


def listless(keys: bytes) -> Talk:
    """A client without supported_groups leaves the choice to the server."""
    offer = client_hello(tuple(extension for extension in OFFER12 if extension[0] != 10))
    return talk12(CERTIFICATE, keys, DONE, offer=offer)


def tickets(seconds: int) -> Talk:
    ticket = message(4, seconds.to_bytes(4, "big") + vector(2, bytes(160)))
    return talk12(
        CERTIFICATE, SERVER_KEYS, DONE, hello=server_hello((RENEGOTIATION, TICKET)), end=handshake(ticket) + FINISH
    )


CASES = [
    Case("tls-version-obsolete", S, version_of(0x0302, client_hello()), full12(), "complete"),
    Case(
        "tls-cipher-weak",
        S,
        flights(ec_keys(), suite=TRIPLE_DES),
        flights(ec_keys(), suite=AES),
        "complete",
    ),
    Case("tls-no-forward-secrecy", S, rsa12(), full12(), "complete"),
    Case("tls-dh-weak", S, flights(prime_keys(2047), suite=DHE), flights(prime_keys(2048), suite=DHE), "complete"),
    Case(
        "tls-signature-weak",
        S,
        flights(ec_keys(scheme=0x0203)),
        flights(ec_keys(scheme=0x0403)),
        "complete",
    ),
    Case(
        "tls-secure-renegotiation-missing",
        S,
        chosen12(server_hello(())),
        chosen12(server_hello(()), client_hello(PLAIN_OFFER)),
        "complete",
    ),
    Case("tls-sni-missing", C, named(None), named("example.org"), "complete"),
    Case("tls-sni-ip", C, named("192.0.2.10"), named("192.0.2.example"), "complete"),
    Case("tls-sni-ip", C, named("2001:db8::1"), named("1.2.3.4.5"), "complete"),
    Case("tls-cbc-mac-then-encrypt", S, cbc(AES, CBC), cbc(CBC), "complete"),
    Case("tls-cbc-mac-then-encrypt", S, cbc(CBC, AES), cbc(CBC, AES, chosen=(ENCRYPT_FIRST,)), "complete"),
    Case("tls-cbc-mac-then-encrypt", S, cbc(CBC, AES), cbc(CBC, 0x1301), "complete"),
    Case(
        "tls-extended-master-secret-missing",
        S,
        chosen12(server_hello(), client_hello((*OFFER12, MASTER_SECRET))),
        chosen12(server_hello((RENEGOTIATION, MASTER_SECRET)), client_hello((*OFFER12, MASTER_SECRET))),
        "complete",
    ),
    Case("tls-extended-master-secret-missing", S, renewed(MASTER_SECRET), renewed(), "complete"),
    Case("tls-client-version-obsolete", C, turned_away(client_hello(version=0x0302)), turned_away(), "failed"),
    Case("tls-group-not-offered", S, flights(ec_keys(24)), flights(ec_keys(23))),
    Case("tls-group-not-offered", S, talk13(SELECT13, share(23)), talk13(SELECT13, share(29))),
    Case("tls-group-not-offered", S, flights(ec_keys(24)), listless(ec_keys(24))),
    Case("tls-curve-explicit", S, flights(message(12, b"\1" + bytes(300))), flights(ec_keys()), "complete"),
    Case(
        "tls-curve-explicit",
        S,
        flights(message(12, b"\2" + bytes(300))),
        flights(prime_keys(2048), suite=DHE),
        "complete",
    ),
    Case("tls-ticket-lifetime-long", S, tickets(7 * 86400 + 1), tickets(7 * 86400), "complete"),
]


@pytest.mark.parametrize("size", [0, 1, 7, 1448])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_each_weakness_is_told_and_its_near_miss_is_not(case: Case, size: int) -> None:
    check(case, size)


def test_tls13_has_none_of_these() -> None:
    assert track(full13()).slugs() == []


def test_a_handshake_without_a_server_hello_says_nothing_of_what_was_offered() -> None:
    offer = client_hello(suites=(TRIPLE_DES, ANONYMOUS), version=0x0301)
    talk = version_of(0x0301, offer)
    talk.writes = talk.writes[:1]
    assert "tls-version-obsolete" not in track(talk).slugs()
