"""TLS 1.3 handshakes with real encryption and any fault inside: keys are made up, the rest follows RFC 8446.

Written from the RFC with other primitives than the package uses, so that the two check each other.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pcapwriter import Record, pcapng
from tests.tls_builder import (
    CHANGE,
    CLIENT_RANDOM,
    OFFER13,
    SELECT13,
    SHARE13,
    SID,
    C,
    Extension,
    S,
    Talk,
    client_hello,
    extensions,
    handshake,
    message,
    server_hello,
    u16,
    vector,
)

LABELS = (
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"),
)
EARLY_LABEL = "CLIENT_EARLY_TRAFFIC_SECRET"

HANDSHAKE, TRAFFIC = 0, 1
SUITES = (0x1301, 0x1302, 0x1303, 0x1304, 0x1305)
KEY = ec.derive_private_key(0x5EED, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(0x0DD, ec.SECP256R1())


def certificate(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """A self-signed certificate for example.org in DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1)
    made = made.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("example.org")]), critical=False)
    return made.sign(key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def certificate_message(der: bytes | None = None, *, context: bytes = b"") -> bytes:
    """A Certificate of TLS 1.3; without DER its list is empty."""
    entry = b"" if der is None else vector(3, der) + u16(0)
    return message(11, vector(1, context) + vector(3, entry))


def expand(algorithm: hashes.HashAlgorithm, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1)."""
    info = u16(size) + vector(1, b"tls13 " + label) + b"\0"
    return HKDFExpand(algorithm=algorithm, length=size, info=info).derive(secret)


class Peer:
    """One direction: its secrets, and the records that it seals with the latest of them."""

    def __init__(self, suite: int, secret: bytes) -> None:
        self.suite = suite
        self.algorithm: hashes.HashAlgorithm = hashes.SHA384() if suite == 0x1302 else hashes.SHA256()
        self.sequence = 0
        self.secret = secret

    def rekey(self, secret: bytes) -> None:
        """Go on with another secret."""
        self.sequence, self.secret = 0, secret

    def update(self) -> None:
        """The next generation of the keys."""
        self.rekey(expand(self.algorithm, self.secret, b"traffic upd", self.algorithm.digest_size))

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        """A protected record."""
        size = {0x1302: 32, 0x1303: 32}.get(self.suite, 16)
        key, iv = (expand(self.algorithm, self.secret, label, n) for label, n in ((b"key", size), (b"iv", 12)))
        nonce = bytes(a ^ b for a, b in zip(iv, self.sequence.to_bytes(12, "big"), strict=True))
        self.sequence += 1
        plain = content + bytes([kind]) + bytes(padding)
        tag = 8 if self.suite == 0x1305 else 16
        header = b"\x17\x03\x03" + u16(len(plain) + tag)
        if self.suite == 0x1303:
            return header + ChaCha20Poly1305(key).encrypt(nonce, plain, header)
        if self.suite in (0x1304, 0x1305):
            return header + AESCCM(key, tag_length=tag).encrypt(nonce, plain, header)
        return header + AESGCM(key).encrypt(nonce, plain, header)


class Sealed:
    """A handshake under way: ``talk`` is what was said, ``log`` the key log."""

    def __init__(self, suite: int = 0x1301, offer: Sequence[Extension] = OFFER13, seed: int = 0) -> None:
        self.suite, self.talk, self.offer = suite, Talk(), offer
        size = 48 if suite == 0x1302 else 32
        self.secrets = [[bytes([1 + seed + 2 * side + stage]) * size for stage in range(2)] for side in range(2)]
        self.early_secret = bytes([9 + seed]) * size
        self.peers = [Peer(suite, secrets[HANDSHAKE]) for secrets in self.secrets]
        self.heard = b""

    @property
    def log(self) -> bytes:
        """All lines of the key log."""
        lines = [
            f"{label} {CLIENT_RANDOM.hex()} {secret.hex()}"
            for labels, secrets in zip(LABELS, self.secrets, strict=True)
            for label, secret in zip(labels, secrets, strict=True)
        ]
        return "\n".join([*lines, f"{EARLY_LABEL} {CLIENT_RANDOM.hex()} {self.early_secret.hex()}", ""]).encode()

    def digest(self) -> bytes:
        """The transcript hash so far."""
        return hashlib.new("sha384" if self.suite == 0x1302 else "sha256", self.heard).digest()

    def hellos(self, *chosen: Extension) -> Sealed:
        """ClientHello and ServerHello in clear, and the dummy ChangeCipherSpecs."""
        hello = client_hello(self.offer, suites=SUITES, sid=SID)
        answer = server_hello((SELECT13, SHARE13, *chosen), suite=self.suite, sid=SID)
        self.heard += hello + answer
        self.talk.say(C, handshake(hello), CHANGE).say(S, handshake(answer), CHANGE)
        return self

    def say(self, side: int, *messages: bytes, kind: int = 22, padding: int = 0) -> Sealed:
        """One protected record; handshake messages become part of the transcript."""
        content = b"".join(messages)
        if kind == 22:
            self.heard += content
        self.talk.say(side, self.peers[side].seal(kind, content, padding))
        return self

    def finished(self, side: int, *, wrong: bool = False) -> bytes:
        """A Finished over what was heard so far (RFC 8446 section 4.4.4)."""
        peer = self.peers[side]
        key = expand(peer.algorithm, self.secrets[side][HANDSHAKE], b"finished", peer.algorithm.digest_size)
        value = hmac.digest(key, self.digest(), peer.algorithm.name)
        return message(20, bytes(len(value)) if wrong else value)

    def verify(self, side: int, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
        """A CertificateVerify over what was heard so far (RFC 8446 section 4.4.3)."""
        context = b"TLS 1.3, %s CertificateVerify" % (b"client", b"server")[side]
        signature = key.sign(
            b" " * 64 + context + b"\0" + self.digest(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        return message(15, u16(0x0403) + vector(2, signature))

    def finish(self, side: int, *, wrong: bool = False) -> Sealed:
        """The Finished, and from then on the keys for application data."""
        self.say(side, self.finished(side, wrong=wrong))
        self.peers[side].rekey(self.secrets[side][TRAFFIC])
        return self

    def authenticate(self, key: ec.EllipticCurvePrivateKey = KEY) -> Sealed:
        """EncryptedExtensions, Certificate and CertificateVerify of the server."""
        self.say(S, message(8, extensions([])), certificate_message(certificate()))
        return self.say(S, self.verify(S, key))

    def data(self, side: int, text: bytes = b"attack at dawn") -> Sealed:
        """Application data."""
        return self.say(side, text, kind=23)

    def forge(self, side: int) -> Sealed:
        """A record that was changed on its way."""
        octets = self.peers[side].seal(23, b"attack at dawn")
        self.talk.say(side, octets[:-1] + bytes([octets[-1] ^ 1]))
        return self

    def close(self) -> Sealed:
        """Some data and close_notify of both sides."""
        self.data(C).data(S)
        return self.say(C, b"\1\0", kind=21).say(S, b"\1\0", kind=21)


def with_keys(capture: bytes, log: bytes) -> bytes:
    """A pcap file with Ethernet frames as pcapng, with a key log inside."""
    unit = 1 if capture[:4] == b"\x4d\x3c\xb2\xa1" else 1000
    records, at = [], 24
    while at < len(capture):
        seconds, fraction, size, _ = struct.unpack_from("<IIII", capture, at)
        records.append(Record(seconds * 10**9 + fraction * unit, capture[at + 16 : at + 16 + size]))
        at += 16 + size
    return pcapng(records, key_log=log)


def lawful(suite: int = 0x1301) -> Sealed:
    """A full handshake with data."""
    return Sealed(suite).hellos().authenticate().finish(S).finish(C).close()


def early(*, accepted: bool = True, ended: bool | None = None, seed: int = 0) -> Sealed:
    """0-RTT: early data behind the ClientHello. ``ended``: whether EndOfEarlyData is sent; as it must be, if not said."""
    offer = (*OFFER13, (42, b""), (45, b"\1\1"), (41, bytes(40)))
    made = Sealed(offer=offer, seed=seed)
    hello = client_hello(offer, suites=SUITES, sid=SID)
    first = Peer(made.suite, made.early_secret)
    made.talk.say(C, handshake(hello), CHANGE, first.seal(23, b"early attack"))
    answer = server_hello((SELECT13, SHARE13, (41, b"\0\0")), suite=made.suite, sid=SID)
    made.heard += hello + answer
    made.talk.say(S, handshake(answer), CHANGE)
    made.say(S, message(8, extensions([(42, b"")] if accepted else [])))
    made.finish(S)
    if accepted if ended is None else ended:
        end = message(5)
        made.heard += end
        made.talk.say(C, first.seal(22, end))
    return made.finish(C).close()
