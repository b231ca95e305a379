"""TLS as OpenSSL, nginx and curl speak it; each scenario leaves its key log beside the capture."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import time

from ..certs import NAME, Authority
from ..lab import Lab
from ..programs import Talk, contexts, curl, nginx, s_client, s_server
from ..scenario import scenario
from .files import inject_secrets

# The server random that makes a ServerHello a HelloRetryRequest (RFC 8446 section 4.1.3).
RETRY = hashlib.sha256(b"HelloRetryRequest").hexdigest()
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def authority(lab: Lab) -> Authority:
    return Authority(lab.work / "certs")


@scenario(
    "tls12",
    "TLS 1.2 (ECDHE-ECDSA), openssl s_client and s_server: full handshake, one line each way, close_notify",
    proof=("tls.handshake.type == 12", "tls.handshake.type == 16", "tls.app_data", "tls.record.content_type == 21"),
)
def tls12(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_2")
    assert "revres ,olleh" in s_client(lab, made.root_file, 52000, "-tls1_2")


@scenario(
    "tls12-rsa-key-exchange",
    "TLS 1.2 with RSA key exchange: the ClientKeyExchange carries the premaster secret encrypted to the "
    "certificate's key",
    proof=(
        "tls.handshake.ciphersuite == 0x009c && tls.handshake.type == 2",
        "!tls.handshake.type == 12",
        "tls.app_data",
    ),
)
def tls12_rsa_key_exchange(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(with_rsa=True), "-tls1_2", "-cipher", "AES128-GCM-SHA256")
    assert "revres ,olleh" in s_client(lab, made.root_file, 52001, "-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA")


@scenario(
    "tls10-legacy",
    "TLS 1.0 with a CBC cipher suite, as old devices still speak it",
    proof=("tls.handshake.version == 0x0301 && tls.handshake.type == 2", "tls.app_data"),
)
def tls10_legacy(lab: Lab) -> None:
    made = authority(lab)
    old = ("-tls1", "-cipher", "ALL@SECLEVEL=0")
    s_server(lab, *made.issue(with_rsa=True), *old)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52002, *old)


@scenario(
    "tls13",
    "HTTPS with TLS 1.3, curl and nginx: ALPN h2, certificate chain, one request",
    proof=("tls.handshake.extensions.supported_version == 0x0304 && tls.handshake.type == 2", "tls.app_data"),
)
def tls13(lab: Lab) -> None:
    https(lab, 52003)


def https(lab: Lab, client_port: int) -> None:
    made = authority(lab)
    chain, key = made.issue()
    more = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    nginx(lab, f"{lab.server.address}:443 ssl http2", more)
    resolve = ("--cacert", str(made.root_file), "--resolve", f"{NAME}:443:{lab.server.address}")
    curl(lab, "--local-port", str(client_port), *resolve, f"https://{NAME}/index.txt", keys=True)


@scenario(
    "tls13-secrets",
    "the same as pcapng with the key log inside, as a Decryption Secrets Block",
    proof=('http2.header.value == "200"',),
    suffix="pcapng",
)  # fmt: skip
def tls13_secrets(lab: Lab) -> None:
    https(lab, 52004)
    lab.after = lambda path: inject_secrets(lab, path)


@scenario(
    "tls13-hrr",
    "TLS 1.3 on port 8443; the server wants another group than the client's key share: HelloRetryRequest, second "
    "ClientHello",
    proof=(
        f"tls.handshake.type == 2 && tls.handshake.random == {RETRY}",
        "tls.app_data",
    ),
)
def tls13_hrr(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_3", "-groups", "P-256", port=8443)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52005, "-tls1_3", "-groups", "X25519:P-256", port=8443)


@scenario(
    "tls13-resumption",
    "TLS 1.3: the second connection resumes the first by its ticket (PSK with key exchange)",
    proof=("tcp.stream == 1 && tls.handshake.type == 2 && tls.handshake.extension.type == 41",),
)
def tls13_resumption(lab: Lab) -> None:
    both = contexts(lab, authority(lab), TLS13)
    _twice(lab, both, 52006)


def _twice(lab: Lab, both: tuple[ssl.SSLContext, ssl.SSLContext], client_port: int) -> None:
    session = None
    for number in range(2):
        talk = Talk(lab, both, lab.pair(443, client_port + number), session)
        session = talk.exchange()
        assert talk.near.session_reused == bool(number)
        talk.close()


@scenario(
    "tls12-resumption",
    "TLS 1.2: the second connection resumes the first by its session ticket, in one round trip",
    proof=("tcp.stream == 0 && tls.handshake.type == 4", "!tcp.stream == 1 && tls.handshake.type == 11"),
)
def tls12_resumption(lab: Lab) -> None:
    _twice(lab, contexts(lab, authority(lab), TLS12), 52008)


@scenario(
    "tls12-resumption-session-id",
    "the same without tickets, by the session ID",
    proof=(
        "tcp.stream == 1 && tls.handshake.type == 2",
        "!tls.handshake.type == 4",
        "!tcp.stream == 1 && tls.handshake.type == 11",
    ),
)
def tls12_resumption_session_id(lab: Lab) -> None:
    both = contexts(lab, authority(lab), TLS12)
    both[1].options |= ssl.OP_NO_TICKET
    _twice(lab, both, 52010)


@scenario(
    "tls13-early-data",
    "TLS 1.3: the second connection sends its request as early data (0-RTT) with the resumption",
    proof=("tcp.stream == 1 && tls.handshake.type == 1 && tls.handshake.extension.type == 42",),
)
def tls13_early_data(lab: Lab) -> None:
    made = authority(lab)
    early_data = ("-early_data", "-max_early_data", "4096", "-no_anti_replay")
    s_server(lab, *made.issue(), "-tls1_3", *early_data, reverse=False)
    session, early = lab.work / "session.pem", lab.work / "early.txt"
    early.write_text("early question\n")
    s_client(lab, made.root_file, 52012, "-tls1_3", "-sess_out", str(session))
    resumed = s_client(lab, made.root_file, 52013, "-tls1_3", "-sess_in", str(session), "-early_data", str(early))
    assert "Early data was accepted" in resumed, resumed


@scenario(
    "tls13-key-update",
    "TLS 1.3: the client asks for new keys in the middle of the connection (KeyUpdate, to be seen with the key log)",
    proof=("tls.app_data",),
)
def tls13_key_update(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_3", reverse=False)
    output = s_client(lab, made.root_file, 52014, "-tls1_3", lines=(b"before\n", b"K\n", b"after\n"))
    assert "KEYUPDATE" in output, output


@scenario(
    "tls13-small-segments",
    "TLS 1.3 over a path with an MSS of 160 bytes: every handshake message is spread over several segments",
    proof=("tls.handshake.type == 1", "tcp.options.mss_val == 160", "tls.app_data", "!tcp.len > 160"),
)
def tls13_small_segments(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(443, options={(socket.IPPROTO_TCP, socket.TCP_MAXSEG): 160}))
    near = lab.own(lab.client.bound(52015, {(socket.IPPROTO_TCP, socket.TCP_MAXSEG): 160}))
    near.connect((lab.server.address, 443))
    far = lab.own(listener.accept()[0])
    far.settimeout(10)
    talk = Talk(lab, contexts(lab, authority(lab), TLS13), (near, far))
    talk.exchange()
    talk.close()


@scenario(
    "tls12-small-records",
    "TLS 1.2 with records of at most 512 bytes: the Certificate message is spread over several records",
    proof=("tls.record.length == 512", "tls.app_data"),
)
def tls12_small_records(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(with_rsa=True), "-tls1_2", "-max_send_frag", "512")
    assert "revres ,olleh" in s_client(lab, made.root_file, 52016, "-tls1_2")


@scenario(
    "tls-fatal-alert",
    "the client speaks at most TLS 1.2, the server only 1.3: fatal alert protocol_version",
    proof=("tls.alert_message.desc == 70",),
)
def tls_fatal_alert(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_3")
    s_client(lab, made.root_file, 52017, "-tls1_2")


@scenario(
    "tls-no-shared-cipher",
    "client and server have no cipher suite in common: fatal alert handshake_failure",
    proof=("tls.alert_message.desc == 40",),
)
def tls_no_shared_cipher(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")
    s_client(lab, made.root_file, 52018, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")


@scenario(
    "tls-no-close-notify",
    "TLS 1.2 closed by FIN alone, without close_notify: the end of the data is not authenticated",
    proof=("tls.app_data", "!tls.record.content_type == 21", "tcp.flags.fin == 1"),
)
def tls_no_close_notify(lab: Lab) -> None:
    talk = Talk(lab, contexts(lab, authority(lab), TLS12), lab.pair(443, 52019))
    talk.exchange()
    talk.far.close()
    time.sleep(0.1)
    talk.near.close()
    time.sleep(0.05)


@scenario(
    "tls-bad-record",
    "TLS 1.2: a forged record in the stream; the client answers with the fatal alert bad_record_mac",
    proof=("tls.app_data", "tls.record.content_type == 21"),
)
def tls_bad_record(lab: Lab) -> None:
    talk = Talk(lab, contexts(lab, authority(lab), TLS12), lab.pair(443, 52020))
    talk.exchange()
    with socket.socket(fileno=os.dup(talk.far.fileno())) as forger:
        forger.send(b"\x17\x03\x03\x00\x30" + bytes(48))
    with contextlib.suppress(ssl.SSLError):
        talk.near.recv(100)
    time.sleep(0.05)
    talk.near.close()
    time.sleep(0.05)
    talk.far.close()


@scenario(
    "tls-client-hello-unanswered",
    "the server accepts the connection but never answers the ClientHello; after two seconds the client gives up",
    proof=("tls.handshake.type == 1", "!tls.handshake.type == 2", "tcp.flags.fin == 1"),
)
def tls_client_hello_unanswered(lab: Lab) -> None:
    near, far = lab.pair(443, 52021)
    near.settimeout(2)
    client, _ = contexts(lab, authority(lab), TLS13)
    with contextlib.suppress(TimeoutError):
        client.wrap_socket(near, server_hostname=NAME)
    time.sleep(0.1)
    _ = far


@scenario(
    "tls12-client-auth",
    "TLS 1.2 with a client certificate: CertificateRequest, the client's Certificate and CertificateVerify",
    proof=("tls.handshake.type == 13", "tls.handshake.type == 15", "tls.app_data"),
)
def tls12_client_auth(lab: Lab) -> None:
    made = authority(lab)
    chain, key = made.issue("client@example.test")
    s_server(lab, *made.issue(), "-tls1_2", "-Verify", "2", "-CAfile", str(made.root_file))
    client = ("-cert", str(chain), "-cert_chain", str(made.intermediate_file), "-key", str(key))
    assert "revres ,olleh" in s_client(lab, made.root_file, 52022, "-tls1_2", *client)


@scenario(
    "tls12-unknown-ca",
    "the client does not know the root of the server's chain: fatal alert unknown_ca",
    proof=("tls.alert_message.desc == 48",),
)
def tls12_unknown_ca(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_2")
    stranger = Authority(lab.work / "stranger")
    s_client(lab, stranger.root_file, 52023, "-tls1_2", "-verify_return_error")


@scenario(
    "tls12-expired-certificate",
    "the server's certificate expired 20 days before; the client goes on all the same",
    proof=("tls.handshake.type == 11", "tls.app_data"),
)
def tls12_expired_certificate(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(days=-20), "-tls1_2")
    assert "certificate has expired" in s_client(lab, made.root_file, 52024, "-tls1_2")


@scenario(
    "tls12-wrong-name",
    "the client asks for www.example.test, the certificate is for other.example.test; the client goes on all the same",
    proof=("tls.handshake.type == 11", "tls.app_data"),
)
def tls12_wrong_name(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue("other.example.test"), "-tls1_2")
    assert "ostname mismatch" in s_client(lab, made.root_file, 52025, "-tls1_2", "-verify_hostname", NAME)


@scenario(
    "tls12-self-signed",
    "the server's certificate is signed by itself",
    proof=("tls.handshake.type == 11", "tls.app_data"),
)
def tls12_self_signed(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(self_signed=True), "-tls1_2")
    assert "self-signed certificate" in s_client(lab, made.root_file, 52026, "-tls1_2")


@scenario(
    "tls12-incomplete-chain",
    "the server leaves the intermediate certificate out",
    proof=("tls.handshake.type == 11", "tls.app_data"),
)
def tls12_incomplete_chain(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(chain=False), "-tls1_2")
    assert "unable to get local issuer" in s_client(lab, made.root_file, 52027, "-tls1_2")


@scenario(
    "tls12-ocsp-good",
    "TLS 1.2 with a stapled OCSP response: good",
    proof=("tls.handshake.type == 22", "tls.app_data"),
)
def tls12_ocsp_good(lab: Lab) -> None:
    _stapled(lab, 52028, revoked=False)


@scenario(
    "tls12-ocsp-revoked",
    "TLS 1.2 with a stapled OCSP response: the certificate was revoked two days before",
    proof=("tls.handshake.type == 22", "tls.app_data"),
)
def tls12_ocsp_revoked(lab: Lab) -> None:
    _stapled(lab, 52029, revoked=True)


def _stapled(lab: Lab, client_port: int, *, revoked: bool) -> None:
    made = authority(lab)
    chain, key = made.issue()
    s_server(lab, chain, key, "-tls1_2", "-status_file", str(made.ocsp_response(chain, revoked=revoked)))
    output = s_client(lab, made.root_file, client_port, "-tls1_2", "-status")
    assert f"Cert Status: {'revoked' if revoked else 'good'}" in output, output


@scenario(
    "tls12-renegotiation",
    "TLS 1.2: the client starts a second handshake inside the first connection (secure renegotiation, RFC 5746)",
    proof=("tls.app_data && frame.number > 14", "tls.record.content_type == 22 && frame.number > 14"),
)
def tls12_renegotiation(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_2", "-client_renegotiation", reverse=False)
    output = s_client(lab, made.root_file, 52030, "-tls1_2", lines=(b"before\n", b"R\n", b"after\n"))
    assert "RENEGOTIATING" in output, output


@scenario(
    "tls11-legacy",
    "TLS 1.1 with a CBC cipher suite",
    proof=("tls.handshake.version == 0x0302 && tls.handshake.type == 2", "tls.app_data"),
)
def tls11_legacy(lab: Lab) -> None:
    made = authority(lab)
    old = ("-tls1_1", "-cipher", "ALL@SECLEVEL=0")
    s_server(lab, *made.issue(with_rsa=True), *old)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52033, *old)


@scenario(
    "tls12-dhe",
    "TLS 1.2 with a Diffie-Hellman key exchange over a prime of 2,048 bits, and a CBC cipher suite",
    proof=(
        "tls.handshake.ciphersuite == 0x0033 && tls.handshake.type == 2",
        "tls.handshake.p_len == 256",
        "tls.app_data",
    ),
)
def tls12_dhe(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(with_rsa=True), "-tls1_2", "-cipher", "DHE-RSA-AES128-SHA")
    assert "revres ,olleh" in s_client(lab, made.root_file, 52034, "-tls1_2", "-cipher", "DHE-RSA-AES128-SHA")


@scenario(
    "tls12-ccm",
    "TLS 1.2 with AES in CCM mode and tags of eight bytes, as small devices have it",
    proof=("tls.handshake.ciphersuite == 0xc0ae && tls.handshake.type == 2", "tls.app_data"),
)
def tls12_ccm(lab: Lab) -> None:
    made = authority(lab)
    suite = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8@SECLEVEL=0")
    s_server(lab, *made.issue(), *suite)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52035, *suite)


@scenario(
    "tls12-chacha20",
    "TLS 1.2 with ChaCha20 and Poly1305",
    proof=("tls.handshake.ciphersuite == 0xcca9 && tls.handshake.type == 2", "tls.app_data"),
)
def tls12_chacha20(lab: Lab) -> None:
    made = authority(lab)
    suite = ("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")
    s_server(lab, *made.issue(), *suite)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52036, *suite)


@scenario(
    "tls12-psk",
    "TLS 1.2 with a pre-shared key and no certificate at all",
    proof=(
        "tls.handshake.ciphersuite == 0x00a8 && tls.handshake.type == 2",
        "!tls.handshake.type == 11",
        "tls.app_data",
    ),
)
def tls12_psk(lab: Lab) -> None:
    made = authority(lab)
    shared = ("-tls1_2", "-psk", "000102030405060708090a0b0c0d0e0f", "-cipher", "PSK-AES128-GCM-SHA256")
    s_server(lab, *made.issue(), *shared)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52037, *shared)


@scenario(
    "tls12-npn",
    "TLS 1.2 with the old way to choose a protocol: NextProtocol, encrypted, before the client's Finished",
    proof=("tls.handshake.type == 2 && tls.handshake.extension.type == 13172", "tls.app_data"),
)
def tls12_npn(lab: Lab) -> None:
    made = authority(lab)
    s_server(lab, *made.issue(), "-tls1_2", "-nextprotoneg", "spdy/3,http/1.1")
    output = s_client(lab, made.root_file, 52038, "-tls1_2", "-nextprotoneg", "http/1.1")
    assert "Next protocol: (1) http/1.1" in output, output


@scenario(
    "tls13-ccm",
    "TLS 1.3 with AES in CCM mode",
    proof=("tls.handshake.ciphersuite == 0x1304 && tls.handshake.type == 2", "tls.app_data"),
)
def tls13_ccm(lab: Lab) -> None:
    made = authority(lab)
    suite = ("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256")
    s_server(lab, *made.issue(with_rsa=True), *suite)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52039, *suite)


@scenario(
    "tls13-chacha20",
    "TLS 1.3 with ChaCha20 and Poly1305, and a key exchange on secp384r1",
    proof=("tls.handshake.ciphersuite == 0x1303 && tls.handshake.type == 2", "tls.app_data"),
)
def tls13_chacha20(lab: Lab) -> None:
    made = authority(lab)
    suite = ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384")
    s_server(lab, *made.issue(), *suite)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52040, *suite)


@scenario(
    "tls13-psk",
    "TLS 1.3 with a pre-shared key that both sides were given (external PSK): no certificate",
    proof=("tls.handshake.type == 2 && tls.handshake.extension.type == 41", "tls.app_data"),
)
def tls13_psk(lab: Lab) -> None:
    made = authority(lab)
    shared = ("-tls1_3", "-psk", "000102030405060708090a0b0c0d0e0f", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
    s_server(lab, *made.issue(), *shared)
    assert "revres ,olleh" in s_client(lab, made.root_file, 52041, *shared)


@scenario(
    "tls13-client-auth",
    "TLS 1.3 with a client certificate (all of it encrypted, to be seen with the key log)",
    proof=("tls.app_data",),
)
def tls13_client_auth(lab: Lab) -> None:
    made = authority(lab)
    chain, key = made.issue("client@example.test")
    s_server(lab, *made.issue(), "-tls1_3", "-Verify", "2", "-CAfile", str(made.root_file))
    client = ("-cert", str(chain), "-cert_chain", str(made.intermediate_file), "-key", str(key))
    assert "revres ,olleh" in s_client(lab, made.root_file, 52042, "-tls1_3", *client)


@scenario(
    "tls13-post-handshake-auth",
    "TLS 1.3: the server asks for a client certificate only after the handshake (to be seen with the key log)",
    proof=("tls.handshake.type == 1 && tls.handshake.extension.type == 49", "tls.app_data"),
)
def tls13_post_handshake_auth(lab: Lab) -> None:
    made = authority(lab)
    client, server = contexts(lab, made, TLS13)
    client.load_cert_chain(*made.issue("client@example.test"))
    client.post_handshake_auth = server.post_handshake_auth = True
    server.load_verify_locations(str(made.root_file))
    server.verify_mode = ssl.CERT_OPTIONAL
    talk = Talk(lab, (client, server), lab.pair(443, 52043))
    talk.exchange()
    talk.far.verify_client_post_handshake()
    talk.far.sendall(b"who are you?\n")
    talk.near.recv(100)
    talk.exchange()
    assert talk.far.getpeercert()
    talk.close()


@scenario(
    "smtp-starttls",
    "SMTP on port 25 that turns to TLS 1.2 by STARTTLS",
    proof=('tcp contains "STARTTLS"', "tls.handshake.type == 1", "tls.app_data"),
)  # fmt: skip
def smtp_starttls(lab: Lab) -> None:
    made = authority(lab)
    _, context = contexts(lab, made, TLS12)
    listener = lab.own(lab.server.listen(25))

    def serve() -> None:
        plain = lab.own(listener.accept()[0])
        plain.settimeout(10)
        plain.sendall(b"220 mail.example.test ESMTP\r\n")
        plain.recv(1000)
        plain.sendall(b"250-mail.example.test\r\n250 STARTTLS\r\n")
        plain.recv(1000)
        plain.sendall(b"220 ready\r\n")
        secure = lab.own(context.wrap_socket(plain, server_side=True))
        secure.recv(1000)
        secure.sendall(b"221 bye\r\n")
        with contextlib.suppress(OSError):
            secure.unwrap()
        secure.close()

    server = lab.spawn(serve)
    output = s_client(lab, made.root_file, 52031, "-starttls", "smtp", port=25, lines=(b"NOOP\r\n",))
    server.join(5)
    assert "Verify return code: 0" in output, output


@scenario(
    "not-tls-on-443",
    "plain HTTP on port 443",
    proof=("tcp.port == 443 && tcp contains \"GET /index.txt\"", "!tls"),
)  # fmt: skip
def not_tls_on_443(lab: Lab) -> None:
    nginx(lab, f"{lab.server.address}:443")
    curl(lab, "--local-port", "52032", f"http://{lab.server.address}:443/index.txt")
