"""Handshakes with keys: what is decrypted, in which order it is shown, and what it proves."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import tcpscope
from tcpscope.cli.main import run
from tcpscope.options import Options
from tcpscope.report.model import ConnectionReport
from tcpscope.report.model_tls import TlsReport
from tests.captures import SAMPLES
from tests.rule_cases import CLOSED, ended
from tests.tls_builder import C, S, Talk
from tests.tls_openssl import SECRET_TEXT, Pair, Wire, contexts, conversation, write_identity
from tests.tls_sealer import Sealed, lawful

KEY_LOGS = sorted(SAMPLES.glob("*.keys"))


def capture_of(keys: Path) -> Path:
    """The sample that a key log belongs to."""
    path = keys.with_suffix(".pcap")
    return path if path.exists() else keys.with_suffix(".pcapng")


def connections(capture: Path | bytes, *keys: Path) -> list[ConnectionReport]:
    source = io.BytesIO(capture) if isinstance(capture, bytes) else capture
    return list(tcpscope.analyze(source, Options(keylog=tuple(map(str, keys)))).connections)


def tls_of(connection: ConnectionReport) -> TlsReport:
    assert connection.tls is not None
    return connection.tls


def said(tls: TlsReport, side: str) -> str:
    """The messages of a side; in braces what was decrypted."""
    return " ".join(f"{{{m.decrypted}}}" if m.decrypted else m.message for m in tls.messages if m.side == side)


def proved(tls: TlsReport) -> set[tuple[str, str]]:
    """What was checked, all of it with the result "fits"."""
    assert all(proof.verified for proof in tls.proofs), tls.proofs
    return {(proof.side, proof.message) for proof in tls.proofs}


def codes(connection: ConnectionReport) -> set[str]:
    return {finding.code for finding in connection.findings}


FLIGHT12 = "ServerHello Certificate ServerKeyExchange ServerHelloDone"
FLIGHT13 = "{EncryptedExtensions} {Certificate} {CertificateVerify} {Finished}"
TICKETS = "{NewSessionTicket} {NewSessionTicket}"
CLOSE = "{Alert: close_notify}"
CLIENT12 = "ClientHello ClientKeyExchange ChangeCipherSpec {Finished}"
CLIENT13 = "ClientHello ChangeCipherSpec {Finished}"

# What each side of a recorded connection said, with keys.
RECORDED = {
    ("tls13", 0): (
        f"{CLIENT13} ApplicationData",
        f"ServerHello ChangeCipherSpec {FLIGHT13} {TICKETS} ApplicationData",
    ),
    ("tls13-hrr", 0): (
        f"ClientHello ChangeCipherSpec ClientHello {{Finished}} ApplicationData {CLOSE}",
        f"HelloRetryRequest ChangeCipherSpec ServerHello {FLIGHT13} {TICKETS} ApplicationData {CLOSE}",
    ),
    ("tls13-resumption", 1): (
        f"{CLIENT13} ApplicationData {CLOSE}",
        "ServerHello ChangeCipherSpec {EncryptedExtensions} {Finished} {NewSessionTicket} ApplicationData " + CLOSE,
    ),
    ("tls13-early-data", 1): (
        f"ClientHello ChangeCipherSpec {{EarlyData}} {{EndOfEarlyData}} {{Finished}} ApplicationData {CLOSE}",
        f"ServerHello ChangeCipherSpec {{EncryptedExtensions}} {{Finished}} {{NewSessionTicket}} {CLOSE}",
    ),
    ("tls13-key-update", 0): (
        f"{CLIENT13} ApplicationData {{KeyUpdate}} ApplicationData {CLOSE}",
        f"ServerHello ChangeCipherSpec {FLIGHT13} {TICKETS} {CLOSE}",
    ),
    ("tls13-small-segments", 0): (
        f"{CLIENT13} ApplicationData {CLOSE}",
        f"ServerHello ChangeCipherSpec {FLIGHT13} {TICKETS} ApplicationData {CLOSE}",
    ),
    ("tls12", 0): (
        f"{CLIENT12} ApplicationData {CLOSE}",
        f"{FLIGHT12} NewSessionTicket ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
    ),
    ("tls10-legacy", 0): (
        f"{CLIENT12} ApplicationData {CLOSE}",
        f"{FLIGHT12} NewSessionTicket ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
    ),
    ("tls12-resumption-session-id", 1): (
        f"ClientHello ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
        f"ServerHello ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
    ),
    ("tls12-renegotiation", 0): (
        (
            f"{CLIENT12} ApplicationData {{ClientHello}} {{ClientKeyExchange}} {{ChangeCipherSpec}} {{Finished}} "
            f"ApplicationData {CLOSE}"
        ),
        (
            f"{FLIGHT12} NewSessionTicket ChangeCipherSpec {{Finished}} {{ServerHello}} {{Certificate}} "
            f"{{ServerKeyExchange}} {{ServerHelloDone}} {{NewSessionTicket}} {{ChangeCipherSpec}} {{Finished}} {CLOSE}"
        ),
    ),
    ("tls12-npn", 0): (
        f"ClientHello ClientKeyExchange ChangeCipherSpec {{NextProtocol}} {{Finished}} ApplicationData {CLOSE}",
        f"{FLIGHT12} NewSessionTicket ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
    ),
    ("tls12-psk", 0): (
        f"{CLIENT12} ApplicationData {CLOSE}",
        f"ServerHello ServerHelloDone NewSessionTicket ChangeCipherSpec {{Finished}} ApplicationData {CLOSE}",
    ),
    ("tls13-psk", 0): (
        f"{CLIENT13} ApplicationData {CLOSE}",
        "ServerHello ChangeCipherSpec {EncryptedExtensions} {Finished} {NewSessionTicket} ApplicationData " + CLOSE,
    ),
    ("tls13-client-auth", 0): (
        f"ClientHello ChangeCipherSpec {{Certificate}} {{CertificateVerify}} {{Finished}} ApplicationData {CLOSE}",
        (
            "ServerHello ChangeCipherSpec {EncryptedExtensions} {CertificateRequest} {Certificate} {CertificateVerify} "
            f"{{Finished}} {TICKETS} ApplicationData {CLOSE}"
        ),
    ),
    ("tls13-post-handshake-auth", 0): (
        f"{CLIENT13} ApplicationData {{Certificate}} {{CertificateVerify}} {{Finished}} ApplicationData {CLOSE}",
        (
            f"ServerHello ChangeCipherSpec {FLIGHT13} {TICKETS} ApplicationData {{CertificateRequest}} ApplicationData "
            f"{TICKETS} ApplicationData {CLOSE}"
        ),
    ),
    ("tls-bad-record", 0): (
        f"{CLIENT12} ApplicationData {{Alert: bad_record_mac}}",
        f"{FLIGHT12} NewSessionTicket ChangeCipherSpec {{Finished}} ApplicationData",
    ),
}


@pytest.mark.parametrize(("name", "stream"), RECORDED)
def test_the_messages_of_a_recorded_connection(name: str, stream: int) -> None:
    keys = SAMPLES / f"{name}.keys"
    tls = tls_of(connections(capture_of(keys), keys)[stream])
    assert (said(tls, "client"), said(tls, "server")) == RECORDED[name, stream]
    assert tls.keys == "log"


UNPROVED = {
    "tls-fatal-alert": "the server refuses the version",
    "tls-no-shared-cipher": "the server refuses the cipher suites",
    "tls-client-hello-unanswered": "the server says nothing",
    "tls12-unknown-ca": "the client refuses the certificate",
}
"""Samples with a key log in which no Finished was sent, and why."""


@pytest.mark.parametrize("keys", KEY_LOGS, ids=lambda path: path.stem)
def test_every_recorded_handshake_is_proved(keys: Path) -> None:
    """Both Finished of each; CertificateVerify where there is one."""
    for connection in connections(capture_of(keys), keys):
        tls = tls_of(connection)
        seen = {(m.side, m.decrypted or m.message) for m in tls.messages}
        wanted = {(side, what) for side, what in seen if what in ("Finished", "CertificateVerify")}
        assert proved(tls) == wanted
        finished = {("client", "Finished"), ("server", "Finished")}
        assert wanted & finished == (set() if keys.stem in UNPROVED else finished)
        assert not codes(connection) & {"TS632", "TS633", "TS668"}


def test_a_changed_record_is_told() -> None:
    (connection,) = connections(SAMPLES / "tls-bad-record.pcap", SAMPLES / "tls-bad-record.keys")
    found = {finding.code: finding for finding in connection.findings}
    assert (found["TS667"].side, found["TS667"].frame) == ("server", 12)
    assert "bad_record_mac" in found["TS677"].message


def test_what_the_wire_shows_stays_as_it_is() -> None:
    """The names in ``message`` are those of a run without keys; only more of them."""
    for keys in KEY_LOGS:
        for with_keys, without in zip(connections(capture_of(keys), keys), connections(capture_of(keys)), strict=True):
            names = [{(m.side, m.message) for m in tls_of(one).messages} for one in (with_keys, without)]
            assert names[0] >= names[1]
            for field in ("ja3", "ja3s", "ja4", "version", "cipher_suite", "sni"):
                assert getattr(tls_of(with_keys), field) == getattr(tls_of(without), field)


def test_the_protocol_chosen_under_encryption() -> None:
    keys = SAMPLES / "tls13.keys"
    assert tls_of(connections(capture_of(keys), keys)[0]).alpn == "h2"
    assert tls_of(connections(capture_of(keys))[0]).alpn is None


# Keys that are missing or wrong


def key_log(tmp_path: Path, text: bytes) -> Path:
    path = tmp_path / "keys"
    path.write_bytes(text)
    return path


def test_keys_in_the_capture_are_used_by_themselves() -> None:
    tls = tls_of(connections(SAMPLES / "tls13-secrets.pcapng")[0])
    assert (tls.keys, tls.alpn) == ("capture", "h2")
    assert len(proved(tls)) == 3


def test_the_key_log_goes_before_the_keys_in_the_capture() -> None:
    (connection,) = connections(SAMPLES / "tls13-secrets.pcapng", SAMPLES / "tls13-secrets.keys")
    assert tls_of(connection).keys == "log"


@pytest.mark.parametrize("name", ["tls13", "tls12", "tls10-legacy", "tls13-early-data"])
def test_a_wrong_key_tells_nothing_and_claims_nothing(tmp_path: Path, name: str) -> None:
    lines = (SAMPLES / f"{name}.keys").read_text().splitlines()
    wrong = [" ".join([*line.split()[:2], line.split()[2][::-1]]) for line in lines if line and line[0] != "#"]
    keys = key_log(tmp_path, "\n".join(wrong).encode())
    capture = capture_of(SAMPLES / f"{name}.keys")
    for connection, before in zip(connections(capture, keys), connections(capture), strict=True):
        tls, plain = tls_of(connection), tls_of(before)
        assert codes(connection) == codes(before) | {"TS668"}
        assert (tls.verdict, tls.proofs, tls.keys) == (plain.verdict, (), "log")
        if name != "tls13-early-data":  # whose first records are taken for what they may be
            assert tls.messages == plain.messages


@pytest.mark.parametrize(
    ("kept", "client", "server"),
    [
        (("SERVER_",), "ApplicationData", f"{FLIGHT13} {TICKETS} ApplicationData"),
        (("CLIENT_",), "{Finished} ApplicationData", "ApplicationData"),
        (("CLIENT_HAND", "SERVER_HAND"), "{Finished} ApplicationData", f"{FLIGHT13} ApplicationData"),
        (("CLIENT_TRAFFIC", "SERVER_TRAFFIC"), "ApplicationData", f"ApplicationData {TICKETS} ApplicationData"),
    ],
    ids=["server", "client", "handshake", "traffic"],
)
def test_half_of_the_keys(tmp_path: Path, kept: tuple[str, ...], client: str, server: str) -> None:
    lines = [line for line in (SAMPLES / "tls13.keys").read_text().splitlines() if line.startswith(kept)]
    (connection,) = connections(SAMPLES / "tls13.pcap", key_log(tmp_path, "\n".join(lines).encode()))
    tls = tls_of(connection)
    assert said(tls, "client") == f"ClientHello ChangeCipherSpec {client}"
    assert said(tls, "server") == f"ServerHello ChangeCipherSpec {server}"
    assert tls.verdict == "complete"
    assert "TS668" in codes(connection)
    assert {finding.severity for finding in connection.findings} == {"note"}
    proved(tls)


def test_other_connections_have_no_key(tmp_path: Path) -> None:
    keys = (SAMPLES / "tls13-resumption.keys").read_bytes().splitlines()
    random = tls_of(connections(SAMPLES / "tls13-resumption.pcap")[1]).client_random or ""
    mine = [line for line in keys if random.encode() in line]
    first, second = connections(SAMPLES / "tls13-resumption.pcap", key_log(tmp_path, b"\n".join(mine)))
    assert (tls_of(first).keys, tls_of(second).keys) == (None, "log")
    assert "TS668" not in codes(first) | codes(second)


def test_lines_that_are_no_secret_are_passed_over(tmp_path: Path) -> None:
    text = b"# comment\r\n\r\nRSA 0123456789abcdef 0303\r\nCLIENT_RANDOM zz 00\r\nEXPORTER_SECRET 00 11\r\n"
    keys = key_log(tmp_path, text + (SAMPLES / "tls12.keys").read_bytes().replace(b"\n", b"\r\n"))
    assert len(proved(tls_of(connections(SAMPLES / "tls12.pcap", keys)[0]))) == 2


def test_an_empty_key_log_is_one(tmp_path: Path) -> None:
    assert tls_of(connections(SAMPLES / "tls12.pcap", key_log(tmp_path, b"# nothing yet\n"))[0]).keys is None


@pytest.mark.parametrize("command", ["analyze", "segments"])
@pytest.mark.parametrize("content", [None, b"\xd4\xc3\xb2\xa1 no key log", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_file_that_is_no_key_log_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: bytes | None
) -> None:
    path = tmp_path / "absent" if content is None else key_log(tmp_path, content)
    assert run([command, str(SAMPLES / "tls12.pcap"), "--keylog", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(path) in err
    assert err.count("\n") == 1


def test_without_a_key_nothing_of_cryptography_is_loaded() -> None:
    script = f"""
import sys; sys.path.insert(0, {str(Path(str(tcpscope.__file__)).parent.parent)!r})
import tcpscope
tcpscope.analyze({str(SAMPLES / "tls13.pcap")!r}, tcpscope.Options(keylog=({str(SAMPLES / "tls12.keys")!r},)))
print("cryptography" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# OpenSSL, spoken in memory


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("identities")
    return {
        "RSA": write_identity(folder, "rsa", rsa.generate_private_key(65537, 2048)),
        "ECDSA": write_identity(folder, "ecdsa", ec.generate_private_key(ec.SECP256R1())),
    }


def opened(wire: Wire, log: Path, *end: str) -> ConnectionReport:
    """The report on a conversation with its key log."""
    (connection,) = connections(ended(wire.talk, *(end or CLOSED)), log)
    return connection


SUITES12 = [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA384",
    "AES256-SHA256",
    "ECDHE-RSA-CAMELLIA128-SHA256",
]


@pytest.mark.parametrize("suite", SUITES12)
def test_every_kind_of_suite(tmp_path: Path, identities: dict[str, Path], suite: str) -> None:
    """OpenSSL agrees on encrypt-then-MAC for the suites with CBC."""
    identity = identities["ECDSA" if "ECDSA" in suite else "RSA"]
    try:
        pair = contexts(tmp_path, identity, ssl.TLSVersion.TLSv1_2, suite)
    except ssl.SSLError:
        pytest.skip("this OpenSSL does not have it")
    connection = opened(conversation(pair), pair.log)
    tls = tls_of(connection)
    assert said(tls, "client") == f"{CLIENT12} ApplicationData {CLOSE}"
    assert proved(tls) == {("client", "Finished"), ("server", "Finished")}
    assert "TS668" not in codes(connection)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_client_certificates(tmp_path: Path, identities: dict[str, Path], version: ssl.TLSVersion, kind: str) -> None:
    pair = contexts(tmp_path, identities[kind], version, ask=True)
    connection = opened(conversation(pair), pair.log)
    tls = tls_of(connection)
    assert {("client", "CertificateVerify"), ("client", "Finished"), ("server", "Finished")} <= proved(tls)
    assert [one.side for one in tls.certificates] == ["server", "client"]
    assert tls.verdict == "complete"


def asked_later(pair: Pair) -> Wire:
    """Authentication after the handshake (RFC 8446 section 4.6.2)."""
    pair.client.post_handshake_auth = True
    pair.server.verify_mode = ssl.CERT_OPTIONAL
    pair.server.post_handshake_auth = True
    wire = Wire(pair)
    wire.handshake()
    wire.send()
    wire.server.verify_client_post_handshake()
    wire.server.write(b"who are you?")
    wire.pump()
    wire.client.read(100)
    wire.send()
    wire.send()
    wire.close()
    return wire


def test_authentication_after_the_handshake(tmp_path: Path, identities: dict[str, Path]) -> None:
    pair = contexts(tmp_path, identities["ECDSA"], ssl.TLSVersion.TLSv1_3, ask=True)
    connection = opened(asked_later(pair), pair.log)
    tls = tls_of(connection)
    assert "{Certificate} {CertificateVerify} {Finished} ApplicationData" in said(tls, "client")
    assert [proof.message for proof in tls.proofs if proof.side == "client"] == [
        "Finished",
        "CertificateVerify",
        "Finished",
    ]
    proved(tls)
    assert not [finding for finding in connection.findings if finding.severity == "error"]


def test_a_client_that_refuses_the_certificate(tmp_path: Path, identities: dict[str, Path]) -> None:
    """In TLS 1.3 the alert that says why is encrypted."""
    pair = contexts(tmp_path, identities["RSA"], ssl.TLSVersion.TLSv1_3)
    pair.client.load_verify_locations(identities["ECDSA"])
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.load_verify_locations(identities["ECDSA"])
    stranger.keylog_filename = str(pair.log)
    wire = Wire(Pair(stranger, pair.server, pair.log))
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.handshake()
    wire.pump()
    (connection,) = connections(ended(wire.talk, *CLOSED), pair.log)
    tls = tls_of(connection)
    assert tls.verdict == "failed"
    found = {finding.code: finding for finding in connection.findings}
    assert found["TS677"].side == "client"
    assert "unknown_ca" in found["TS677"].message
    assert proved(tls) == {("server", "CertificateVerify"), ("server", "Finished")}


def test_application_data_is_nowhere(
    tmp_path: Path, identities: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pair = contexts(tmp_path, identities["RSA"], ssl.TLSVersion.TLSv1_3)
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(ended(conversation(pair).talk, *CLOSED))
    for options in (["--connection", "0"], ["--format", "json"]):
        assert run(["analyze", str(capture), "--keylog", str(pair.log), *options]) == 0
        out = capsys.readouterr().out
        assert "Finished" in out
        assert SECRET_TEXT.decode() not in out
        assert SECRET_TEXT.hex() not in out
        for line in pair.log.read_text().split():
            assert (
                len(line) < 64 or line not in out or line in json.dumps(tls_of(connections(capture)[0]).client_random)
            )


# Segments, directions, holes


def reordered(talk: Talk, server_first: bool) -> Talk:
    """The same writes, but one direction comes late in the file."""
    late = Talk()
    late.length = list(talk.length)
    sides = (S, C) if server_first else (C, S)
    late.writes = [write for side in sides for write in talk.writes if write[0] == side]
    return late


@pytest.mark.parametrize("server_first", [True, False])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_direction_may_come_late(
    tmp_path: Path, identities: dict[str, Path], version: ssl.TLSVersion, server_first: bool
) -> None:
    pair = contexts(tmp_path, identities["RSA"], version)
    wire = conversation(pair)
    expected = tls_of(opened(wire, pair.log))
    (connection,) = connections(ended(reordered(wire.talk, server_first), *CLOSED), pair.log)
    tls = tls_of(connection)
    assert [said(tls, side) for side in ("client", "server")] == [said(expected, side) for side in ("client", "server")]
    assert proved(tls) == proved(expected)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pieces_do_not_matter(tmp_path: Path, size: int) -> None:
    made = lawful()
    keys = key_log(tmp_path, made.log)
    (whole,) = connections(ended(made.talk, *CLOSED), keys)
    pieces = Talk()
    for side, _, ack, octets in made.talk.writes:
        for at in range(0, len(octets), size):
            pieces.say(side, octets[at : at + size], ack=ack)
    (cut,) = connections(ended(pieces, *CLOSED), keys)
    assert [said(tls_of(cut), side) for side in ("client", "server")] == [
        said(tls_of(whole), side) for side in ("client", "server")
    ]
    assert proved(tls_of(cut)) == proved(tls_of(whole))


def without_writes(talk: Talk, *dropped: int) -> Talk:
    """The capture lacks some writes; the numbers go on as if they had been there."""
    holed = Talk()
    holed.length = list(talk.length)
    holed.writes = [write for index, write in enumerate(talk.writes) if index not in dropped]
    return holed


def test_behind_a_hole_records_are_opened_again(tmp_path: Path, identities: dict[str, Path]) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        pair = contexts(tmp_path, identities["RSA"], version)
        wire = Wire(pair)
        wire.handshake()
        for _ in range(6):
            wire.send()
        wire.close()
        data = [index for index, write in enumerate(wire.talk.writes) if write[0] == C][3:6]
        (connection,) = connections(ended(without_writes(wire.talk, *data), *CLOSED), pair.log)
        assert said(tls_of(connection), "client").endswith(f"ApplicationData {CLOSE}")
        assert "TS667" not in codes(connection)
        assert {finding.severity for finding in connection.findings} <= {"note", "warning"}


def test_a_hole_in_the_handshake_takes_the_proof_away(tmp_path: Path) -> None:
    made = lawful()
    flight = [index for index, write in enumerate(made.talk.writes) if write[0] == S][1]
    (connection,) = connections(ended(without_writes(made.talk, flight), *CLOSED), key_log(tmp_path, made.log))
    assert tls_of(connection).proofs == ()
    assert "{Alert: close_notify}" in said(tls_of(connection), "server")
    assert not codes(connection) & {"TS609", "TS632", "TS633"}


def test_a_changed_hello_breaks_every_proof(tmp_path: Path) -> None:
    made = lawful()
    side, position, ack, octets = made.talk.writes[0]
    made.talk.writes[0] = (side, position, ack, octets.replace(b"example.org", b"example.net"))
    (connection,) = connections(ended(made.talk, *CLOSED), key_log(tmp_path, made.log))
    assert not any(proof.verified for proof in tls_of(connection).proofs)
    found = {(finding.code, finding.side, str(finding.severity)) for finding in connection.findings}
    assert found >= {
        ("TS632", "client", "error"),
        ("TS632", "server", "error"),
        ("TS633", "server", "error"),
    }
    assert tls_of(connection).verdict == "violated"


def test_with_an_encrypted_hello_a_misfit_is_no_proof(tmp_path: Path) -> None:
    """The sides may have hashed the inner ClientHello (RFC 9849)."""
    made = Sealed(offer=(*lawful().offer, (0xFE0D, bytes(40)))).hellos()
    made.heard = b"of the inner hello"
    made.authenticate().finish(S).finish(C).close()
    (connection,) = connections(ended(made.talk, *CLOSED), key_log(tmp_path, made.log))
    assert tls_of(connection).proofs == ()
    assert not codes(connection) & {"TS632", "TS633"}
