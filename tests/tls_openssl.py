"""Real TLS, spoken in memory by two endpoints of the ssl module: what goes over the wire as a talk, and the key log."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.tls_builder import C, S, Talk

NAME = "www.example.test"
SECRET_TEXT = b"attack at dawn"


def write_identity(folder: Path, stem: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    """A self-signed certificate with its key, as one file."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{stem}.pem"
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class Pair:
    """A client's and a server's context with a common key log."""

    client: ssl.SSLContext
    server: ssl.SSLContext
    log: Path


def contexts(folder: Path, identity: Path, version: ssl.TLSVersion, ciphers: str = "", *, ask: bool = False) -> Pair:
    """Contexts for one version. ``ask``: the server wants a certificate of the client, which then has the same one."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(identity)
    client.load_verify_locations(identity)
    log = folder / "keys.log"
    client.keylog_filename = str(log)
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
    if ask:
        client.load_cert_chain(identity)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(identity)
    return Pair(client, server, log)


class Wire:
    """Two endpoints; every write of either becomes part of ``talk``."""

    def __init__(self, pair: Pair, session: ssl.SSLSession | None = None) -> None:
        self.talk = Talk()
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._from_client, self._from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = pair.client.wrap_bio(self.to_client, self._from_client, server_hostname=NAME, session=session)
        self.server = pair.server.wrap_bio(self.to_server, self._from_server, server_side=True)

    def pump(self) -> None:
        """Carry what both sides have written."""
        if octets := self._from_client.read():
            self.talk.say(C, octets)
            self.to_server.write(octets)
        if octets := self._from_server.read():
            self.talk.say(S, octets)
            self.to_client.write(octets)

    def until_done(self, *steps: Callable[[], object]) -> None:
        """Call each step again until it no longer waits for the other side."""
        waiting = list(steps)
        for _ in range(20):
            for step in list(waiting):
                try:
                    step()
                    waiting.remove(step)
                except ssl.SSLWantReadError:
                    pass
                self.pump()
            if not waiting:
                return
        raise AssertionError("the handshake does not end")

    def handshake(self) -> None:
        """Both sides' handshake."""
        self.until_done(self.client.do_handshake, self.server.do_handshake)

    def send(self, octets: bytes = SECRET_TEXT, *, back: bool = True) -> None:
        """Data from the client, and back."""
        self.client.write(octets)
        self.pump()
        assert self.server.read(len(octets)) == octets
        if back:
            self.server.write(octets)
            self.pump()
            assert self.client.read(len(octets)) == octets

    def close(self) -> None:
        """close_notify of both."""
        self.until_done(self.client.unwrap, self.server.unwrap)


def conversation(pair: Pair, session: ssl.SSLSession | None = None) -> Wire:
    """A handshake, some data each way and a close."""
    wire = Wire(pair, session)
    wire.handshake()
    wire.send()
    wire.close()
    return wire
