"""Certificates in the handshake: what they say, how they stood at the time of the capture, and what is hostile about them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tcpscope.cli.main import run
from tcpscope.crypto.certificates import CertificateReport
from tcpscope.crypto.names import matches
from tcpscope.options import Options
from tcpscope.report.model import Report
from tests.captures import SAMPLES
from tests.certificate_cases import CASES, Case, sound
from tests.certificates import (
    CLIENT,
    Identity,
    chain,
    intermediate,
    issue,
    key,
    leaf,
    ocsp_response,
    pem,
    revocation_list,
    root,
    talk,
)
from tests.rule_cases import CLOSED, analyze, ended
from tests.tls_builder import C, S, Talk, client_hello, handshake, message, server_hello, vector
from tests.tls_sealer import Sealed, with_keys


def report(conversation: Talk, options: Options | None = None) -> Report:
    return analyze(ended(conversation, *CLOSED), options)


def names(result: Report) -> set[str]:
    """The names of the findings about certificates."""
    return {finding.name for finding in result.findings if finding.code.startswith("TS7")}


def certificates(result: Report) -> tuple[CertificateReport, ...]:
    (connection,) = result.connections
    assert connection.tls is not None
    return connection.tls.certificates


def first(result: Report) -> CertificateReport:
    return certificates(result)[0]


def stored(folder: Path, octets: bytes, stem: str = "file") -> str:
    path = folder / stem
    path.write_bytes(octets)
    return str(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_a_trouble_is_told_and_its_near_miss_is_not(case: Case) -> None:
    bad, good = report(case.bad()), report(case.good())
    assert (case.slug, case.side, case.severity) in {(f.name, f.side, str(f.severity)) for f in bad.findings}
    assert case.slug not in names(good)


def test_a_sound_chain() -> None:
    result = report(sound())
    assert names(result) == set()
    ours, above = certificates(result)
    assert (ours.subject, ours.issuer, ours.serial) == ("CN=example.org", "CN=Intermediate", "3e9")
    assert (ours.not_before, ours.not_after) == ("2023-12-02T00:00:00Z", "2024-03-01T00:00:00Z")
    assert (ours.names, ours.key, ours.side, ours.position) == (("example.org",), "EC secp256r1", "server", 0)
    assert (ours.validity, ours.matches_name, ours.signed_by_next, ours.self_signed) == ("valid", True, True, False)
    assert (ours.trust, ours.revocation) == (None, None)
    assert (above.position, above.matches_name, above.signed_by_next) == (1, None, None)


# The recorded samples


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ("tls12", set[str]()),
        ("tls12-client-auth", set[str]()),
        ("tls12-unknown-ca", set[str]()),  # sound in itself: only the client does not know the root
        ("tls12-expired-certificate", {"tls-certificate-expired"}),
        ("tls12-self-signed", {"tls-certificate-self-signed"}),
        ("tls12-wrong-name", {"tls-certificate-name-mismatch"}),
        ("tls12-incomplete-chain", {"tls-certificate-chain-incomplete"}),
        ("tls12-ocsp-good", set[str]()),
        ("tls12-ocsp-revoked", {"tls-certificate-revoked"}),
    ],
)
def test_recorded_certificates(sample: str, told: set[str]) -> None:
    result = analyze((SAMPLES / f"{sample}.pcap").read_bytes())
    assert names(result) == told
    status = {"tls12-ocsp-good": "good", "tls12-ocsp-revoked": "revoked"}.get(sample)
    assert first(result).revocation == status


def test_what_tls13_encrypts_needs_keys(capsys: pytest.CaptureFixture[str]) -> None:
    capture = SAMPLES / "tls13.pcap"
    assert run(["analyze", str(capture), "--connection", "0"]) == 0
    assert "certificates: encrypted" in capsys.readouterr().out
    assert run(["analyze", str(capture), "--connection", "0", "--keylog", str(SAMPLES / "tls13.keys")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "certificates: encrypted" not in out
    assert "valid at that time, for the name asked for, signed by the next" in out


def sealed(der: bytes, extensions: bytes = b"") -> Report:
    """A handshake of TLS 1.3 with keys and this certificate."""
    entry = vector(3, der) + vector(2, extensions)
    made = Sealed().hellos()
    made.say(S, message(8, vector(2, b"")), message(11, b"\0" + vector(3, entry)), made.verify(S))
    made.finish(S).finish(C).close()
    return analyze(with_keys(ended(made.talk, *CLOSED), made.log))


def test_certificates_of_tls13_with_keys() -> None:
    response = ocsp_response(leaf(), revoked=True)
    extensions = b"\0\5" + vector(2, b"\1" + vector(3, response))
    result = sealed(leaf().der, extensions)
    assert {"tls-certificate-revoked", "tls-certificate-chain-incomplete"} <= names(result)
    assert first(result).matches_name is True
    assert names(sealed(leaf(names=("other.example",)).der)) >= {"tls-certificate-name-mismatch"}


def test_a_compressed_certificate() -> None:
    """RFC 8879, with zlib; what is compressed otherwise cannot be told."""
    import zlib

    plain = b"\0" + vector(3, vector(3, leaf(names=("other.example",)).der) + b"\0\0")
    for algorithm, count in ((1, 1), (2, 0)):
        body = algorithm.to_bytes(2, "big") + len(plain).to_bytes(3, "big") + vector(3, zlib.compress(plain))
        made = Sealed().hellos()
        made.say(S, message(8, vector(2, b"")), message(25, body), made.verify(S)).finish(S).finish(C).close()
        result = analyze(with_keys(ended(made.talk, *CLOSED), made.log))
        assert len(certificates(result)) == count
        assert ("tls-certificate-name-mismatch" in names(result)) is bool(count)


# Names


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("example.org", "example.org", True),
        ("EXAMPLE.org", "example.ORG", True),
        ("example.org.", "example.org", True),
        ("www.example.org", "*.example.org", True),
        ("example.org", "*.example.org", False),
        ("a.b.example.org", "*.example.org", False),
        ("www.example.org", "w*.example.org", False),
        ("www.example.org", "www.*.org", False),
        ("www.example.org", "*", False),
        ("localhost", "*", False),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", True),
        ("example.org", "", False),
        ("", "", False),
    ],
)
def test_host_names(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, [pattern], []) is fits


def test_addresses_are_compared_with_addresses_alone() -> None:
    assert matches("192.0.2.1", [], ["192.0.2.1"])
    assert matches("2001:db8::1", [], ["2001:0db8:0:0::1"])
    assert not matches("192.0.2.1", ["192.0.2.1"], ["192.0.2.2"])
    assert not matches("example.org", [], ["192.0.2.1"])


def test_the_common_name_does_not_count() -> None:
    result = report(talk(chain(leaf(names=None), intermediate())))
    (told,) = [finding for finding in result.findings if finding.name == "tls-certificate-name-mismatch"]
    assert "its common name does not count" in told.message


def test_an_address_as_server_name() -> None:
    own = leaf(extra=[(x509.SubjectAlternativeName([x509.IPAddress(ip_address("192.0.2.1"))]), False)], names=None)
    assert "tls-certificate-name-mismatch" not in names(report(talk(chain(own, intermediate()), host="192.0.2.1")))
    assert "tls-certificate-name-mismatch" in names(report(talk(chain(own, intermediate()), host="192.0.2.2")))


def test_without_a_server_name_nothing_is_said_of_names() -> None:
    result = report(talk(chain(leaf(names=("other.example",)), intermediate()), host=None))
    assert first(result).matches_name is None
    assert names(result) == set()


# Dates and clocks


def test_the_dates_are_held_against_the_capture_not_the_clock_on_the_wall() -> None:
    """The certificate expired long before this test runs, but not before the capture."""
    result = report(sound())
    assert datetime.fromisoformat(first(result).not_after or "") < datetime.now(UTC)
    assert first(result).validity == "valid"


def test_a_clock_that_cannot_be_right_judges_no_date(tmp_path: Path) -> None:
    young = leaf(days=(6 * 365, 7 * 365))
    result = report(talk(chain(young, intermediate())), Options(ca_file=(stored(tmp_path, pem(root())),)))
    assert (first(result).validity, first(result).trust) == (None, None)
    assert "clock" in (first(result).trust_reason or "")
    assert names(result) == set()


def test_an_expired_cross_certificate_is_a_note() -> None:
    """Behind the issuer of the first certificate clients may go another way."""
    crossed = issue("Root", issue("Old root", authority=True), authority=True, days=(-900, -3), with_key=key(1))
    result = report(talk(chain(leaf(), intermediate(), crossed)))
    assert [(f.name, str(f.severity)) for f in result.findings if f.code == "TS701"] == [
        ("tls-certificate-expired", "note")
    ]


# Trust


def test_a_chain_to_a_trusted_root(tmp_path: Path) -> None:
    options = Options(ca_file=(stored(tmp_path, pem(issue("Another", authority=True), root())),))
    result = report(sound(), options)
    assert (first(result).trust, first(result).trust_reason) == ("trusted", None)
    assert names(result) == set()


def test_a_root_in_der(tmp_path: Path) -> None:
    assert first(report(sound(), Options(ca_file=(stored(tmp_path, root().der),)))).trust == "trusted"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((leaf(),), "the certificate of CN=Intermediate is neither sent nor"),
        ((leaf(issuer=issue("Stray", authority=True)), issue("Stray", authority=True)), "CN=Stray, is not among"),
        ((leaf(days=(-90, -1)), intermediate()), "CN=example.org had expired"),
        (
            (leaf(issuer=issue("Late", root(), authority=True, days=(1, 9))), issue("Late", root(), authority=True, days=(1, 9))),
            "CN=Late was not valid yet",
        ),
        (
            (leaf(issuer=issue("Plain", root(), authority=False)), issue("Plain", root(), authority=False)),
            "is not the certificate of an authority",
        ),
        (
            (leaf(issuer=issue("Mute", root(), authority=True, signs=False)), issue("Mute", root(), authority=True, signs=False)),
            "is not for signing certificates",
        ),
        (
            (leaf(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)]), intermediate()),
            "critical extension that is not known (1.2.3.4)",
        ),
    ],
)  # fmt: skip
def test_why_a_chain_is_not_trusted(tmp_path: Path, sent: tuple[Identity, ...], reason: str) -> None:
    result = report(talk(chain(*sent)), Options(ca_file=(stored(tmp_path, pem(root())),)))
    assert first(result).trust == "untrusted"
    assert reason in (first(result).trust_reason or "")
    (told,) = [finding for finding in result.findings if finding.name == "tls-certificate-untrusted"]
    assert reason in told.message


def test_path_length_and_order_do_not_confuse_the_search(tmp_path: Path) -> None:
    short = issue("Short", root(), authority=True, path_length=0, with_key=key(5))
    below = issue("Below", short, authority=True, with_key=key(6))
    options = Options(ca_file=(stored(tmp_path, pem(root())),))
    assert "allows fewer" in (first(report(talk(chain(leaf(issuer=below), below, short)), options)).trust_reason or "")
    assert first(report(talk(chain(leaf(), root(), intermediate())), options)).trust == "trusted"


def test_constraints_on_names_are_kept(tmp_path: Path) -> None:
    for permitted, trust in (("example.org", "trusted"), ("example.net", "untrusted")):
        allowed = x509.NameConstraints([x509.DNSName(permitted)], None)
        bound = issue("Bound", root_with_identifiers(), authority=True, with_key=key(7), extra=[(allowed, True)])
        own = leaf(issuer=bound, extra=[identified(bound)])
        options = Options(ca_file=(stored(tmp_path, pem(root_with_identifiers())),))
        assert first(report(talk(chain(own, bound)), options)).trust == trust


def identified(issuer: Identity) -> tuple[x509.ExtensionType, bool]:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.certificate.public_key()), False  # type: ignore[arg-type]


def root_with_identifiers() -> Identity:
    own = x509.SubjectKeyIdentifier.from_public_key(key(1).public_key())
    return issue("Root", authority=True, days=(-1000, 1000), with_key=key(1), extra=[(own, False)])


def test_a_self_signed_certificate_that_is_trusted_itself(tmp_path: Path) -> None:
    own = leaf(issuer=None)
    result = report(talk(chain(own)), Options(ca_file=(stored(tmp_path, pem(own)),)))
    assert first(result).trust == "trusted"
    assert names(result) == set()


def test_the_authorities_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", stored(tmp_path, pem(root())))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert first(report(sound(), Options(system_ca=True))).trust == "trusted"


def test_a_certificate_signed_by_itself_in_a_circle(tmp_path: Path) -> None:
    """Two authorities that certify each other: the search ends."""
    options = Options(ca_file=(stored(tmp_path, pem(issue("Another", authority=True))),))
    one = issue("One", issue("Two", authority=True, with_key=key(12)), authority=True, with_key=key(11))
    two = issue("Two", issue("One", authority=True, with_key=key(11)), authority=True, with_key=key(12))
    result = report(talk(chain(leaf(issuer=one), *[one, two] * 9)), options)
    assert first(result).trust == "untrusted"


# Revocation


def test_a_response_that_a_delegate_signed() -> None:
    signing = [ExtendedKeyUsageOID.OCSP_SIGNING]
    delegate = issue("Responder", intermediate(), purposes=signing, with_key=key(20))
    stranger = issue("Responder", intermediate(), purposes=[CLIENT], with_key=key(20))
    for responder, status in ((delegate, "good"), (stranger, None)):
        staple = ocsp_response(leaf(), responder=responder)
        result = report(talk(chain(leaf(), intermediate()), staple=staple))
        assert first(result).revocation == status
        assert ("tls-ocsp-response-unusable" in names(result)) is (status is None)


def with_last_bit_flipped(octets: bytes) -> bytes:
    """A signature is another one each time: any fixed last octet is the right one now and then."""
    return octets[:-1] + bytes([octets[-1] ^ 1])


@pytest.mark.parametrize(
    ("staple", "problem"),
    [
        (b"nonsense", "cannot be read"),
        (ocsp_response(leaf(serial=77)), "about another certificate"),
        (with_last_bit_flipped(ocsp_response(leaf())), "signature is wrong"),
        (ocsp_response(leaf(), hours=(2, 9)), "after the capture"),
        (b"\x30\x03\x0a\x01\x03", "had none (try_later)"),
    ],
)
def test_a_response_that_cannot_be_used(staple: bytes, problem: str) -> None:
    result = report(talk(chain(leaf(), intermediate()), staple=staple))
    (told,) = [finding for finding in result.findings if finding.name == "tls-ocsp-response-unusable"]
    assert problem in told.message
    assert first(result).revocation is None


def test_a_revocation_whose_signature_nobody_can_check() -> None:
    result = report(talk(chain(leaf()), staple=ocsp_response(leaf(), revoked=True)))
    (told,) = [finding for finding in result.findings if finding.name == "tls-certificate-revoked"]
    assert "whose signature cannot be checked" in told.message


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (revocation_list(leaf()), "revoked"),
        (revocation_list(leaf(serial=5)), "good"),
        (revocation_list(leaf(), since=0.5), "good"),  # revoked after the capture
        (revocation_list(leaf(), days=(-9, -5)), "revoked"),  # an old list still knows
        (revocation_list(leaf(serial=5), days=(-9, -5)), None),
        (revocation_list(leaf(), issuer=root()), None),
        (revocation_list(leaf(), issuer=Identity(intermediate().certificate, key(30))), None),  # forged
    ],
)
def test_revocation_lists(tmp_path: Path, octets: bytes, status: str | None) -> None:
    result = report(sound(), Options(crl=(stored(tmp_path, octets),)))
    assert first(result).revocation == status
    assert first(result).revocation_source == (None if status is None else "crl")
    assert ("tls-certificate-revoked" in names(result)) is (status == "revoked")


def test_a_list_in_der_and_several_in_a_file(tmp_path: Path) -> None:
    parsed = x509.load_pem_x509_crl(revocation_list(leaf()))
    der = stored(tmp_path, parsed.public_bytes(Encoding.DER), "der")
    both = stored(tmp_path, revocation_list(issuer=root()) + revocation_list(leaf()), "both")
    for path in (der, both):
        assert first(report(sound(), Options(crl=(path,)))).revocation == "revoked"


# Options


@pytest.mark.parametrize("option", ["--ca-file", "--crl"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM and no DER", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_a_file_that_holds_nothing_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, content: bytes | None
) -> None:
    path = str(tmp_path / "absent") if content is None else stored(tmp_path, content)
    assert run(["analyze", str(SAMPLES / "tls12.pcap"), option, path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert path in err
    assert err.count("\n") == 1


# Hostile certificates


def test_what_is_no_certificate_has_a_digest_only() -> None:
    odd = first(report(talk(chain(b"no certificate", intermediate()))))
    assert (odd.subject, odd.serial, odd.validity, len(odd.sha256)) == (None, None, None, 64)


def test_a_serial_number_below_zero_is_told_and_warns_nobody() -> None:
    """RFC 5280 section 4.1.2.2 forbids it; it occurs. Found by the fuzz target "mutants"."""
    own = leaf(serial=0x1122334455667788).der
    serial = (0x1122334455667788).to_bytes(8, "big")
    negative = b"\xff" + serial[1:]
    odd = first(report(talk(chain(own.replace(serial, negative), intermediate()))))
    assert odd.subject == "CN=example.org"
    assert odd.serial == f"{int.from_bytes(negative, 'big', signed=True):x}"


def test_names_that_could_move_a_terminal_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "evil\x1b[2J\u202e\n.example"
    own = issue(evil, intermediate(), names=("x\x1b]0;owned\x07.example",), with_key=key(3))
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(ended(talk(chain(own, intermediate())), *CLOSED))
    out = ""
    for options in ([], ["--connection", "0"], ["--format", "json"]):
        run(["analyze", str(capture), *options])
        out = capsys.readouterr().out
        assert "\x1b" not in out.replace("\\x1b", "").replace("\\u001b", "")
        assert "\u202e" not in out
        assert "\x07" not in out
    assert "evil" in json.dumps(json.loads(out))


def test_a_certificate_of_a_hundred_kilobytes() -> None:
    many = [f"{number:05}.{'x' * 60}.example.org" for number in range(1300)]
    own = leaf(names=[*many, "example.org"])
    assert len(own.der) > 100_000
    result = report(talk(chain(own, intermediate())))
    assert len(certificates(result)) == 2
    assert all(len(finding.message) < 1000 for finding in result.findings)
    too_large = report(talk(chain(own, own, intermediate())))
    assert certificates(too_large) == ()


def test_a_chain_of_many_certificates() -> None:
    result = report(talk(chain(*[leaf()] * 60)))
    assert 1 < len(certificates(result)) <= 20


def test_damaged_certificates_never_fail() -> None:
    """Any byte of the chain changed: still a report, and the same one each time."""
    choose = random.Random(7)
    whole = chain(leaf(extra=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)]), intermediate())
    staple = ocsp_response(leaf(), revoked=True)
    for _ in range(200):
        octets, status = bytearray(whole), bytearray(staple)
        for part, start in ((octets, 4), (status, 0)):
            for _ in range(choose.randrange(1, 4)):
                part[choose.randrange(start, len(part))] = choose.randrange(256)
        result = report(talk(bytes(octets), staple=bytes(status)))
        assert result.connections[0].tls is not None


def test_bare_keys_are_no_bad_certificates() -> None:
    """RFC 7250: the sides agreed on raw public keys."""
    offer = (20, b"\1\2")
    made = Talk().say(C, handshake(client_hello([offer])))
    made.say(S, handshake(server_hello([(20, b"\2")]), chain(b"a bare key"), message(12, bytes(300)), message(14)))
    assert "tls-certificate-undecodable" not in names(report(made))
