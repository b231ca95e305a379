"""Handshakes and certificates that are made to hurt: bounded work, a finding where there is one, never a traceback."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tcpscope.cli.main import run
from tcpscope.crypto.certificates import CertificateReport
from tcpscope.crypto.x509 import MAX_EXPONENT_BITS, MAX_RSA_BITS
from tcpscope.options import Options
from tcpscope.report.model import Report
from tcpscope.state.tls_log import MAX_ALERTS, MAX_CERTIFICATE_BYTES, MAX_EVENTS
from tests.certificates import NOW, chain, intermediate, issue, key, leaf, name, ocsp_response, pem, root, rsa_key, talk
from tests.rule_cases import CLOSED, analyze, ended
from tests.tls_builder import (
    ALERT,
    DONE,
    OFFER12,
    REQUEST,
    C,
    S,
    Talk,
    client_hello,
    handshake,
    message,
    record,
    server_hello,
    track,
    u16,
    vector,
)
from tests.tls_sealer import Sealed, lawful, with_keys

EVIL = ("\x1b[2J\x1b]0;owned\x07", "=cmd('x')!A1", "<script>alert(1)</script>", "\u202eexe.", "a\r\nb", "\\x1b[2J")


def certificates(result: Report) -> tuple[CertificateReport, ...]:
    (connection,) = result.connections
    assert connection.tls is not None
    return connection.tls.certificates


def report(conversation: Talk, options: Options | None = None) -> Report:
    return analyze(ended(conversation, *CLOSED), options)


def codes(result: Report) -> set[str]:
    return {finding.code for finding in result.findings}


# Handshakes


@pytest.mark.parametrize(("count", "faulty"), [(255, False), (256, True)])
def test_as_many_extensions_as_there_may_be(count: int, faulty: bool) -> None:
    got = track(Talk().say(C, handshake(client_hello([(1000 + n, b"") for n in range(count)]))))
    assert len(got.hello.extensions) == 2 * 255
    assert ("tls-handshake-length" in got.slugs()) is faulty


def lies(octets: bytes, start: int) -> Iterator[bytes]:
    """Another number at each place where a length may stand, of one, two and three bytes."""
    for at in range(start, len(octets)):
        for size in (1, 2, 3):
            old = int.from_bytes(octets[at : at + size], "big")
            for new in (old - 1, old + 1, 0, (1 << 8 * size) - 1):
                if at + size <= len(octets) and 0 <= new < 1 << 8 * size and new != old:
                    yield octets[:at] + new.to_bytes(size, "big") + octets[at + size :]


STATUS = message(22, b"\1" + vector(3, bytes(9)))
EC_KEYS = message(12, b"\3" + u16(29) + vector(1, bytes(32)) + u16(0x0804) + vector(2, bytes(9)))
SMALL = message(11, vector(3, vector(3, bytes(20)) + vector(3, bytes(5))))


@pytest.mark.parametrize("what", ["record", "hello", "answer", "certificate", "status", "keys", "ticket", "request"])
def test_a_length_that_lies_at_any_level(what: str) -> None:
    """Whatever it leads to, all pieces give the same, and nothing is read that was not sent."""
    hello = client_hello([OFFER12[0], OFFER12[1], OFFER12[5]])
    messages = {
        "certificate": SMALL,
        "status": STATUS,
        "keys": EC_KEYS,
        "ticket": message(4, bytes(12)),
        "request": REQUEST,
    }
    good = {"record": handshake(hello)[:60], "hello": hello, "answer": server_hello()}.get(what) or messages[what]
    for bad in lies(good, 0 if what == "record" else 1):
        made = Talk()
        if what == "record":
            made.say(C, bad + handshake(hello)[60:]).say(S, handshake(server_hello(), DONE))
        elif what == "hello":
            made.say(C, handshake(bad)).say(S, handshake(server_hello(), DONE))
        else:
            flight = (bad, DONE) if what == "answer" else (server_hello(), bad, DONE)
            made.say(C, handshake(hello)).say(S, handshake(*flight))
        whole, parts = track(made), track(made, 17)
        if what != "record":  # a first record that lies is recognised by what stands in its first segment
            assert whole.tls.recognised
            assert whole.messages(C) == parts.messages(C)
            assert whole.messages(S) == parts.messages(S)
            assert sorted(whole.faults()) == sorted(parts.faults())


def test_sixteen_mebibytes_of_messages() -> None:
    one = record(22, message(11, vector(3, vector(3, bytes(16_300)))))
    made = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello()), *[one] * 1024)
    got = track(made)
    assert got.log.event_count == 1026
    assert len(got.log.events) == MAX_EVENTS
    assert sum(len(kept.body) for kept in got.log.certificates) <= MAX_CERTIFICATE_BYTES
    assert "tls-message-out-of-order" in got.slugs()


def test_sixteen_mebibytes_under_keys() -> None:
    """What is encrypted may be as long: the transcript gives up, and the records go on being opened."""
    made = Sealed().hellos().authenticate()
    content = message(4, bytes(15_990))
    for _ in range(64):
        made.say(S, content)
    made.finish(S).finish(C).close()
    result = analyze(with_keys(ended(made.talk, *CLOSED), made.log))
    (connection,) = result.connections
    assert connection.tls is not None
    assert connection.tls.keys == "capture"
    assert not any(proof.message == "Finished" and proof.verified is False for proof in connection.tls.proofs)


@pytest.mark.parametrize("alternate", [False, True])
def test_a_flood_of_a_hundred_thousand_alerts(alternate: bool) -> None:
    alerts = (record(ALERT, b"\1\x5a") + record(ALERT, b"\1\x70" if alternate else b"\1\x5a")) * 50_000
    got = track(Talk().say(C, handshake(client_hello())).say(S, alerts), 60_000)
    assert got.log.alert_count == 100_000
    assert len(got.log.alerts) == MAX_ALERTS
    assert len(got.log.events) <= MAX_EVENTS
    assert "tls-alert-warning" in got.slugs()


def test_a_flood_of_alerts_under_keys() -> None:
    made = lawful()
    for _ in range(2000):
        made.say(S, b"\1\x5a", kind=21)
    (connection,) = analyze(with_keys(ended(made.talk, *CLOSED), made.log)).connections
    assert connection.tls is not None
    assert len(connection.tls.alerts) == MAX_ALERTS
    assert connection.tls.alert_count >= 2000


# Certificates


def nested(depth: int, tag: int = 0x30) -> bytes:
    """ASN.1 in ASN.1, so deep."""
    octets = b"\5\0"
    for _ in range(depth):
        size = len(octets)
        length = bytes([size]) if size < 128 else bytes([0x83]) + size.to_bytes(3, "big")
        octets = bytes([tag]) + length + octets
    return octets


@pytest.mark.parametrize("tag", [0x30, 0xA0, 0x31, 0x24])
@pytest.mark.parametrize("depth", [10, 1000, 20_000])
def test_asn1_nested_without_end(tag: int, depth: int) -> None:
    deep = nested(depth, tag)
    result = report(talk(chain(deep, intermediate()), staple=deep))
    assert certificates(result)[0].subject is None
    assert "TS716" in codes(result)
    for oid in HIDING_PLACES:
        inside = leaf(extra=[(x509.UnrecognizedExtension(oid, deep), True)])
        assert len(certificates(report(talk(chain(inside, intermediate()))))) == 2


HIDING_PLACES = [
    x509.ObjectIdentifier(text)
    for text in (
        "2.5.29.30",
        "2.5.29.32",
        "2.5.29.36",
        "2.5.29.9",
        "1.3.6.1.5.5.7.1.1",
        "1.3.6.1.4.1.11129.2.4.2",
        "1.2.3",
    )
]
"""Name constraints, policies and others whose content is a structure."""


def large_key(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """A number of so many bits, whoever knows its factors."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits - 1) + 0x1234567).public_key()


def with_public_key(public: rsa.RSAPublicKey, common: str, issuer: str) -> bytes:
    made = x509.CertificateBuilder(
        name(issuer), name(common), public, 77, NOW - timedelta(30), NOW + timedelta(30)
    ).add_extension(x509.BasicConstraints(True, None), critical=True)
    return made.sign(rsa_key(), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("public", "usable"),
    [
        (lambda: large_key(MAX_RSA_BITS), True),
        (lambda: large_key(MAX_RSA_BITS + 1), False),
        (lambda: large_key(100_000), False),
        (lambda: large_key(3072, 1 << MAX_EXPONENT_BITS - 1 | 1), True),
        (lambda: large_key(3072, 1 << MAX_EXPONENT_BITS | 1), False),
        (lambda: large_key(3072, 1 << 3000 | 1), False),
    ],
    ids=["at the bound", "above", "huge", "exponent at the bound", "above", "huge"],
)
def test_signatures_are_not_checked_with_a_huge_key(
    public: Callable[[], rsa.RSAPublicKey], usable: bool, tmp_path: Path
) -> None:
    """It would take hundreds of times as long as with a key that anybody uses."""
    huge = with_public_key(public(), "Huge", "Huge")
    anchor = tmp_path / "root.pem"
    anchor.write_bytes(pem(root()))
    own = issue("example.org", names=("example.org",), with_key=rsa_key())
    below = with_public_key(rsa_key().public_key(), "example.org", "Huge")
    for ders in ([huge], [below, huge], [own.der, huge]):
        staple = ocsp_response(leaf())
        result = report(talk(chain(*ders), suite=0xC02F, staple=staple), Options(ca_file=(str(anchor),)))
        told = [finding for finding in result.findings if finding.code == "TS716"]
        assert [str(finding.severity) for finding in told] == ([] if usable else ["note"])
        assert all("too large" in finding.message for finding in told)
    shown = certificates(report(talk(chain(below, huge), suite=0xC02F)))
    assert shown[0].signed_by_next is (False if usable else None)


def test_a_certificate_with_ten_thousand_names() -> None:
    own = leaf(names=[*(f"n{number}" for number in range(10_000)), "example.org"])
    result = report(talk(chain(own, intermediate())))
    (shown, _) = certificates(result)
    assert len(shown.names) == 1000
    assert all(len(finding.message) < 1000 for finding in result.findings)


@pytest.mark.parametrize("evil", EVIL)
def test_names_that_want_to_be_more_than_text(evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offer = [(0, vector(2, b"\0" + vector(2, evil.encode()))), (16, vector(2, vector(1, evil.encode())))]
    label = evil.encode("ascii", "replace").decode()
    own = issue(evil, intermediate(), names=(label,), with_key=key(3))
    made = Talk().say(C, handshake(client_hello([*offer, OFFER12[1]], suites=(0xC02B,))))
    made.say(S, handshake(server_hello([(16, vector(2, vector(1, evil.encode())))], suite=0xC02B), chain(own)))
    capture, picture = tmp_path / "capture.pcap", tmp_path / "picture.svg"
    capture.write_bytes(ended(made, *CLOSED))
    for command in (
        ["analyze", str(capture)],
        ["analyze", str(capture), "--connection", "0"],
        ["analyze", str(capture), "--format", "json"],
        ["show", str(capture)],
        ["explain", str(capture), "--frame", "4"],
    ):
        run(command)
        out = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(out), command
    run(["show", str(capture), "--svg", str(picture)])
    drawn = picture.read_text(encoding="utf-8")
    assert "<script" not in drawn
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize("keys", [False, True])
def test_every_byte_of_a_certificate_changed(keys: bool) -> None:
    """With a trust store, also as the certificate whose key proves the handshake."""
    der = leaf().der
    for at in range(0, len(der), 3):
        for value in (0x00, 0x7F, 0x80, 0xFF):
            changed = der[:at] + bytes([value]) + der[at + 1 :]
            if not keys:
                assert report(talk(chain(changed, intermediate()))).connections[0].tls is not None
            elif value == 0x80 and at % 9 == 0:
                made = Sealed().hellos()
                body = b"\0" + vector(3, vector(3, changed) + u16(0))
                made.say(S, message(8, vector(2, b"")), message(11, body), made.verify(S)).finish(S).finish(C).close()
                assert analyze(with_keys(ended(made.talk, *CLOSED), made.log)).connections[0].tls is not None
