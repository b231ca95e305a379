"""What was chosen lawfully but is weak: each with the nearest that is not, in several chunkings."""

from __future__ import annotations

import pytest

from tests.tls_builder import (
    OFFER12,
    RENEGOTIATION,
    C,
    S,
    Talk,
    client_hello,
    full12,
    full13,
    rsa12,
    server_hello,
    sni,
    track,
)
from tests.tls_cases import Case, check, chosen12, ec_keys, flights, prime_keys, version_of

TRIPLE_DES, AES, DHE, ANONYMOUS = 0xC012, 0xC02F, 0x009E, 0x0034
PLAIN_OFFER = tuple(extension for extension in OFFER12 if extension != RENEGOTIATION)


def named(name: str | None) -> Talk:
    """A handshake of a client that asks for this server name."""
    others = OFFER12[1:]
    return chosen12(server_hello(), client_hello(others if name is None else (sni(name), *others)))


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
