"""Order and contents of what TLS 1.3 encrypts, with keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tcpscope.report.model import ConnectionReport
from tests import tls_sealer
from tests.rule_cases import CLOSED, analyze, ended, with_keys
from tests.tls_builder import (
    CLIENT_KEYS,
    DONE,
    OFFER13,
    SELECT13,
    SERVER_KEYS,
    SHARE13,
    SID,
    C,
    S,
    client_hello,
    handshake,
    message,
    record,
    retry,
    server_hello,
)
from tests.tls_cases import SECOND
from tests.tls_sealed_cases import (
    CASES,
    CERTIFICATE,
    EXTENSIONS,
    OFFER_PSK,
    PSK,
    TICKET,
    UPDATE,
    Case,
    after,
    client_sends,
    flight,
)
from tests.tls_sealer import SUITES, Sealed, certificate_message, early, lawful
from tests.tls_sealer12 import SERVER_CERTIFICATE, Sealed12


def capture(made: Sealed) -> bytes:
    """A pcapng file with the keys inside."""
    return with_keys(made, made.log)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_a_fault_is_told_and_its_near_miss_is_not(case: Case) -> None:
    bad, good = analyze(capture(case.bad())), analyze(capture(case.good()))
    found = {(finding.name, finding.side, str(finding.severity)) for finding in bad.findings}
    assert (case.slug, case.side, case.severity) in found
    assert case.slug not in {finding.name for finding in good.findings}
    (connection,) = good.connections
    assert connection.tls is not None
    assert connection.tls.verdict == "complete"
    assert connection.tls.keys == "capture"


LAWFUL: list[Callable[[], Sealed]] = [
    early,
    lambda: early(accepted=False),
    lambda: client_sends(CERTIFICATE, b"verify", request=True),
    lambda: client_sends(certificate_message(), request=True),
    lambda: flight(EXTENSIONS, hello=(PSK,), offer=OFFER_PSK),
    lambda: after(TICKET, TICKET, UPDATE, TICKET, UPDATE),
    *(lambda suite=suite: lawful(suite) for suite in SUITES),
]


@pytest.mark.parametrize("made", LAWFUL)
def test_a_lawful_handshake_has_no_error_and_every_proof(made: Callable[[], Sealed]) -> None:
    sealed = made()
    report = analyze(capture(sealed))
    assert [finding for finding in report.findings if finding.severity == "error"] == []
    (connection,) = report.connections
    assert connection.tls is not None
    assert connection.tls.verdict == "complete"
    assert {(proof.side, proof.message) for proof in connection.tls.proofs} >= {
        ("client", "Finished"),
        ("server", "Finished"),
    }
    assert all(proof.verified for proof in connection.tls.proofs)


@pytest.mark.parametrize("padding", [1, 255, 4000])
def test_padding_is_stripped(padding: int) -> None:
    made = Sealed().hellos().authenticate().finish(S).finish(C)
    made.say(S, TICKET, padding=padding).say(C, UPDATE, padding=padding)
    made.peers[C].update()
    (connection,) = analyze(capture(made.close())).connections
    assert connection.tls is not None
    assert [m.decrypted for m in connection.tls.messages if m.side == "client"][-3:] == [
        "KeyUpdate",
        None,
        "Alert: close_notify",
    ]
    assert connection.tls.verdict == "complete"


def test_messages_over_several_records() -> None:
    """Certificate and CertificateVerify in pieces of 100 bytes."""
    made = Sealed().hellos()
    flight_bytes = EXTENSIONS + CERTIFICATE
    for at in range(0, len(flight_bytes), 100):
        made.say(S, flight_bytes[at : at + 100])
    made.say(S, made.verify(S)).finish(S).finish(C).close()
    (connection,) = analyze(capture(made)).connections
    assert connection.tls is not None
    assert all(proof.verified for proof in connection.tls.proofs)
    assert len(connection.tls.proofs) == 3
    assert not {finding.name for finding in connection.findings} & {
        "tls-handshake-interleaved",
        "tls-fragmentation-odd",
    }


def test_two_handshakes_hashed_with_the_retry() -> None:
    """After a HelloRetryRequest the first ClientHello stands in the transcript as its hash (RFC 8446 section 4.4.1)."""

    made = Sealed(offer=OFFER13)
    first = client_hello(OFFER13, sid=SID)
    asked = retry()
    made.heard = first
    made.heard = message(254, made.digest()) + asked + SECOND
    answer = server_hello((SELECT13, SHARE13), suite=made.suite, sid=SID)
    made.heard += answer
    made.talk.say(C, handshake(first)).say(S, handshake(asked)).say(C, handshake(SECOND)).say(S, handshake(answer))
    made.authenticate().finish(S).finish(C).close()
    (connection,) = analyze(capture(made)).connections
    assert connection.tls is not None
    assert [proof.verified for proof in connection.tls.proofs] == [True, True, True]


def test_a_hostile_key_log_and_hostile_records() -> None:
    """Records that a key opens may hold anything."""
    made = Sealed().hellos().authenticate().finish(S).finish(C)
    for content in (b"", b"\x0b", b"\x0b\xff\xff\xff", b"\x14" + bytes(3), bytes(16000), message(11, b"\xff" * 9)):
        made.say(S, content)
        made.say(C, content, kind=21)
    made.talk.say(S, record(23, b""), record(23, b"x"))
    report = analyze(capture(made))
    assert report.connections[0].tls is not None


# TLS 1.2


def report12(made: Sealed12) -> tuple[ConnectionReport, set[str]]:
    """The connection, and its errors."""
    report = analyze(tls_sealer.with_keys(ended(made.talk, *CLOSED), made.log))
    (connection,) = report.connections
    return connection, {finding.name for finding in connection.findings if finding.severity == "error"}


def twice() -> Sealed12:
    """A second handshake inside the first one, while data goes on."""
    made = Sealed12().flights().finish(C).finish(S).again()
    made.say(C, client_hello()).say(S, b"attack at dawn", kind=23)
    made.say(S, server_hello(suite=0xC02F), SERVER_CERTIFICATE, SERVER_KEYS, DONE).say(C, b"at noon", kind=23)
    return made.say(C, CLIENT_KEYS).finish(C).finish(S).close()


def test_two_handshakes_of_tls12_and_data_in_between() -> None:
    connection, errors = report12(twice())
    assert connection.tls is not None
    assert errors == set()
    assert [(proof.side, proof.verified) for proof in connection.tls.proofs] == [("client", True), ("server", True)] * 2
    assert "TS629" in {finding.code for finding in connection.findings}
    assert connection.tls.verdict == "complete"


@pytest.mark.parametrize(
    ("made", "errors"),
    [
        (lambda: Sealed12().flights().finish(C).finish(S).close(), set[str]()),
        (lambda: Sealed12().flights().finish(C).finish(S, wrong=True).close(), {"tls-finished-wrong"}),
        (lambda: Sealed12().flights().change(C).say(C, b"too soon", kind=23), {"tls-appdata-before-handshake"}),
        (lambda: Sealed12().flights().finish(C).finish(S).say(C, b"", kind=20), {"tls-ccs-malformed"}),
        (lambda: Sealed12().flights().finish(C).finish(S).say(S, DONE), {"tls-message-out-of-order"}),
        (lambda: Sealed12().flights().finish(C).finish(S).say(S, message(0)).close(), set[str]()),
        (
            lambda: Sealed12().flights().finish(C).finish(S).close().say(C, b"late", kind=23),
            {"tls-record-after-close-notify"},
        ),
    ],
    ids=["lawful", "finished", "data", "empty-change", "order", "hello-request", "after-close"],
)
def test_faults_inside_the_encryption_of_tls12(made: Callable[[], Sealed12], errors: set[str]) -> None:
    assert report12(made())[1] == errors
