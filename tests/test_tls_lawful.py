"""Lawful handshakes: recognised, followed to the end, without a fault, however the bytes are cut into segments and records."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.fingerprint import ja3, ja4
from tests.tls_builder import (
    CERTIFICATE,
    CHANGE,
    CLOSE,
    DONE,
    FINISH,
    LAWFUL,
    NO_CERTIFICATE,
    SHORT13,
    C,
    S,
    Talk,
    client_auth12,
    client_hello,
    closing,
    data,
    early13,
    false_start12,
    full12,
    full13,
    handshake,
    old_hello,
    resumed12,
    retried13,
    rsa12,
    server_hello,
    shares,
    ssl2_start,
    ticket12,
    track,
)

SIZES = (1, 2, 3, 5, 7, 44, 100, 1448)
# Not faults: what is lawful but said all the same.
REMARKS = {"tls-hello-retry", "tls-sslv2", "tls-no-forward-secrecy", "tls-version-obsolete"}


def serious(slugs: list[str]) -> list[str]:
    return [slug for slug in slugs if slug not in REMARKS]


@pytest.mark.parametrize("size", [0, *SIZES])
@pytest.mark.parametrize("name", LAWFUL)
def test_a_lawful_handshake_completes_without_a_fault(name: str, size: int) -> None:
    whole = track(LAWFUL[name]())
    parts = track(LAWFUL[name](), size)
    assert parts.verdict == "complete"
    assert serious(parts.slugs()) == []
    for side in (C, S):
        assert parts.messages(side) == whole.messages(side)
    assert parts.tls.client_side == C
    assert parts.outcome.resumed == whole.outcome.resumed


@pytest.mark.parametrize("name", LAWFUL)
@given(rng=st.randoms(use_true_random=False))
def test_segments_out_of_order_and_sent_twice_change_nothing(name: str, rng: random.Random) -> None:
    segments = LAWFUL[name]().segments(150)
    for _ in range(6):
        i = rng.randrange(1, len(segments))
        segments.insert(min(len(segments), i + rng.randrange(4)), segments[i])  # a copy
        j = rng.randrange(1, len(segments) - 1)
        segments.insert(j + rng.randrange(3), segments.pop(j))  # a move
    got = track(segments)
    assert got.verdict == "complete"
    assert serious(got.slugs()) == []
    for side in (C, S):
        assert got.messages(side) == track(LAWFUL[name]()).messages(side)


@pytest.mark.parametrize("name", LAWFUL)
def test_one_direction_captured_late_proves_nothing(name: str) -> None:
    """All of one side in the file before all of the other: order across sides comes from acknowledgements."""
    segments = LAWFUL[name]().segments(700)
    for first in (C, S):
        late = [s for s in segments if s[0] == first] + [s for s in segments if s[0] != first]
        got = track(late)
        assert serious(got.slugs()) == []
        assert got.verdict == "complete"


@pytest.mark.parametrize("name", LAWFUL)
def test_the_side_that_opened_tcp_need_not_be_the_tls_client(name: str) -> None:
    got = track([(1 - side, position, ack, octets) for side, position, ack, octets in LAWFUL[name]().segments()])
    assert got.tls.client_side == 1
    assert got.verdict == "complete"
    assert got.messages(1) == track(LAWFUL[name]()).messages(0)


@pytest.mark.parametrize(
    ("talk", "client", "server"),
    [
        (
            full12(close=False),
            "ClientHello ClientKeyExchange ChangeCipherSpec EncryptedHandshake",
            "ServerHello Certificate ServerKeyExchange ServerHelloDone ChangeCipherSpec EncryptedHandshake",
        ),
        (
            ticket12(),
            "ClientHello ClientKeyExchange ChangeCipherSpec EncryptedHandshake ApplicationData EncryptedAlert",
            (
                "ServerHello Certificate CertificateStatus ServerKeyExchange ServerHelloDone NewSessionTicket ChangeCipherSpec "
                "EncryptedHandshake ApplicationData EncryptedAlert"
            ),
        ),
        (
            resumed12(ticket=True),
            "ClientHello ChangeCipherSpec EncryptedHandshake ApplicationData EncryptedAlert",
            "ServerHello NewSessionTicket ChangeCipherSpec EncryptedHandshake ApplicationData EncryptedAlert",
        ),
        (
            client_auth12(),
            (
                "ClientHello Certificate ClientKeyExchange CertificateVerify ChangeCipherSpec EncryptedHandshake ApplicationData "
                "EncryptedAlert"
            ),
            (
                "ServerHello Certificate ServerKeyExchange CertificateRequest ServerHelloDone ChangeCipherSpec EncryptedHandshake "
                "ApplicationData EncryptedAlert"
            ),
        ),
        (
            full13(),
            "ClientHello ChangeCipherSpec ApplicationData",
            "ServerHello ChangeCipherSpec ApplicationData",
        ),
        (
            retried13(),
            "ClientHello ChangeCipherSpec ClientHello ApplicationData",
            "HelloRetryRequest ChangeCipherSpec ServerHello ApplicationData",
        ),
    ],
)
def test_messages_are_listed_in_order(talk: Talk, client: str, server: str) -> None:
    got = track(talk)
    assert " ".join(got.messages(C)) == client
    assert " ".join(got.messages(S)) == server


def test_a_message_has_the_frame_that_completes_it() -> None:
    got = track(full12(), 100)
    segments = full12().segments(100)
    sent = {(side, position): frame for frame, (side, position, _, _) in enumerate(segments, 1)}
    for event in got.log.events:
        ends = event.end if event.code < 256 else event.start + 1  # of an encrypted record only the header is looked at
        last = [frame for (side, position), frame in sent.items() if side == event.side and position < ends]
        assert event.frame == max(last)
        assert event.first_frame <= event.frame
        assert event.time_ns == event.frame * 1_000_000


@pytest.mark.parametrize(
    ("version", "talk"), [(0x0300, full12(version=0x0300)), (0x0302, full12(version=0x0302)), (0x0304, full13())]
)
def test_the_negotiated_version_is_told(version: int, talk: Talk) -> None:
    assert track(talk).outcome.version == version


def test_what_the_hellos_say_is_kept() -> None:
    got = track(full13())
    hello, answer = got.hello, got.answer
    assert hello.server_name == b"example.org"
    assert answer.cipher == 0x1301
    assert answer.group == 29
    assert got.outcome.cipher == 0x1301


@pytest.mark.parametrize(
    ("make", "resumed"),
    [(full12, 0), (rsa12, 0), (resumed12, 1), (lambda: resumed12(ticket=True), 1), (full13, 0), (early13, 1)],
)
def test_resumption_shows_by_the_messages(make: Callable[[], Talk], resumed: int) -> None:
    assert track(make()).outcome.resumed == resumed


def test_an_echoed_session_id_is_no_resumption() -> None:
    talk = Talk().say(C, handshake(client_hello(sid=b"x" * 32)))
    talk.say(S, handshake(server_hello(sid=b"x" * 32, suite=0x009C), CERTIFICATE, DONE))
    assert track(talk, fin=(False, False)).outcome.resumed == 0


def test_false_start_and_early_data_are_told() -> None:
    assert track(false_start12()).outcome.false_start
    assert not track(full12()).outcome.false_start
    assert track(early13()).outcome.early_data
    assert not track(full13()).outcome.early_data


def test_records_of_one_byte() -> None:
    talk = Talk().say(C, handshake(client_hello(), split=1))
    talk.say(S, handshake(server_hello(suite=0x009C), CERTIFICATE, DONE, split=1))
    talk.say(C, handshake(b"\x10\0\0\x03abc", split=1), FINISH).say(S, FINISH)
    for size in (0, 1, 7, 1448):
        got = track(closing_of(talk), size)
        assert got.verdict == "complete"
        assert set(serious(got.slugs())) == {"tls-fragmentation-odd"}
        assert got.messages(S)[:3] == ["ServerHello", "Certificate", "ServerHelloDone"]


def closing_of(talk: Talk) -> Talk:
    copy = Talk()
    copy.length, copy.writes = list(talk.length), list(talk.writes)
    return closing(copy, CLOSE)


def test_a_message_over_two_full_records_is_not_odd() -> None:
    big = b"\x0b" + (20_000).to_bytes(3, "big") + (19_997).to_bytes(3, "big") + bytes(19_997)
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(S, handshake(server_hello(suite=0x009C)), handshake(big, split=16384), handshake(DONE))
    talk.say(C, handshake(b"\x10\0\0\x03abc"), FINISH).say(S, FINISH)
    got = track(closing(talk, CLOSE), 1448)
    assert serious(got.slugs()) == []
    assert got.verdict == "complete"


@pytest.mark.parametrize("size", [0, 1, 1448])
def test_a_draft_of_tls13_is_followed(size: int) -> None:
    """Draft 18: no session id in the ServerHello, no compression method; HelloRetryRequest was a type of its own."""
    offer = ((43, b"\4\x7f\x12\x03\x03"), (51, b"\0\0"))
    hello = (
        b"\2" + (46).to_bytes(3, "big") + b"\x7f\x12" + bytes(32) + b"\x13\x01" + b"\0\x08" + b"\0\x33\0\4\0\x1d\0\0"
    )
    again = (offer[0], shares(29))
    retry = b"\6\0\0\x0a\x7f\x12\0\6\0\x33\0\2\0\x1d"
    talk = Talk().say(C, handshake(client_hello(offer))).say(S, handshake(retry)).say(C, handshake(client_hello(again)))
    talk.say(S, handshake(hello), data(900)).say(C, data(53))
    got = track(closing(talk, SHORT13), size)
    assert got.messages(S)[:2] == ["HelloRetryRequest", "ServerHello"]
    assert got.outcome.version == 0x7F12
    assert got.outcome.cipher == 0x1301
    assert got.verdict == "complete"


def test_a_hello_in_ssl2_format_is_read() -> None:
    got = track(ssl2_start(), 1)
    hello = got.hello
    assert hello.ssl2
    assert hello.version == 0x0301
    assert hello.ciphers == bytes.fromhex("002f 0035 000a")
    assert got.outcome.version == 0x0301
    weak = [(slug, "proved", S) for slug in ("tls-version-obsolete", "tls-no-forward-secrecy")]
    assert got.faults() == [("tls-sslv2", "proved", C), *weak]
    assert ja3(hello)
    assert ja4(hello) is None


def test_ssl2_on_both_sides_is_not_followed() -> None:
    talk = Talk().say(C, old_hello(0x0002)).say(S, b"\x80\x20\x04" + bytes(31))
    got = track(talk)
    assert got.outcome.version == 0x0002
    assert got.faults() == [("tls-sslv2", "proved", C), ("tls-sslv2", "proved", S)]
    assert got.verdict == "incomplete"


def test_an_empty_client_certificate_needs_no_verify() -> None:
    got = track(client_auth12(NO_CERTIFICATE, b""))
    assert got.slugs() == ["tls-client-certificate-empty"]
    assert got.verdict == "complete"


def test_early_data_for_a_server_that_chose_tls12_is_an_accident() -> None:
    offer = ((43, b"\4\3\4\3\3"), (42, b""))
    talk = Talk().say(C, handshake(client_hello(offer)), CHANGE, data(300)).say(S, handshake(server_hello(None)))
    assert "tls-ccs-premature" not in track(talk).slugs()
    assert track(talk).verdict == "failed"
