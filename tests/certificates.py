"""Certificates, OCSP responses and revocation lists made to order, and handshakes of TLS 1.2 that hold them.

The same bytes each time: keys are constants, and signatures those that leave nothing to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.tls_builder import (
    CLIENT_KEYS,
    CLOSE,
    DONE,
    FINISH,
    OFFER12,
    RENEGOTIATION,
    REQUEST,
    RSA,
    SERVER_KEYS,
    STATUS,
    VERIFY,
    C,
    Extension,
    S,
    Talk,
    client_hello,
    closing,
    handshake,
    message,
    server_hello,
    sni,
    vector,
)

NOW = datetime(2024, 1, 1, tzinfo=UTC)
"""When the captures that scenarios make were taken."""

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


@cache
def key(number: int = 0) -> Key:
    """Elliptic keys, always the same by number."""
    return ec.derive_private_key(0x1000 + number, ec.SECP256R1())


PRIMES = {
    1024: (
        (
            "dc39928c4662b6143e379810d4cc1a14b003c4235d5081c8105e56924d958759"
            "6bf731b49d526af53d44d88a41d1aee768ef0a70993a39a0503276da0a14755b"
        ),
        (
            "c90fc1d2a39df977269eb69e4bda784941b0a0b2a6fcedd79f52515b6fc55f12"
            "6d4024b07f72da18e5f132d2afab202ac594a1381bee4935b31af389b1d45ab5"
        ),
    ),
    2048: (
        (
            "c85a67851260e4bcb147d8a1acf8dedeab3669ee0fa7d6429396328d6d296051"
            "95f3d0a96781a47f44b201a7d789cca061aa0a051932c59bd2fde070265a0f4a"
            "0525af79e0178bb632d188e1e184efeae63440966c3b1e1af144792dd635f0d7"
            "f7d10f071d82458b90aef60a7744cd9d63de94021e64823916494bc0b91aa29d"
        ),
        (
            "bd53ecb37a7fd4b398c69ac328b90f38fad5820bc5b0679b8b45112328022e96"
            "8cc8ea61c91a8bbb32cd6d91b9d32eef2845e42522241d26adff79c1ce7dd0cc"
            "dacc6c3b728fe2b62dee69261f06c44f31dd80fa33b4ead6a6f7e3f6fe44d9db"
            "97e92c68ad70dd289dceeec9845cdd8c7f4ef95185bebdc3bc9572db838784c3"
        ),
    ),
}


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    p, q = (int(prime, 16) for prime in PRIMES[bits])
    d = rsa.rsa_recover_private_exponent(65537, p, q)
    rest = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *rest, rsa.RSAPublicNumbers(65537, p * q)).private_key()


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def issue(
    common: str,
    issuer: Identity | None = None,
    *,
    names: Sequence[str] | None = None,
    days: tuple[float, float] = (-30, 60),
    with_key: Key | None = None,
    authority: bool | None = None,
    path_length: int | None = None,
    signs: bool = True,
    usage: Sequence[str] | None = None,
    purposes: Sequence[x509.ObjectIdentifier] | None = (SERVER,),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    serial: int = 1001,
) -> Identity:
    """A certificate for ``common`` or ``names``, signed by ``issuer`` or itself, valid from and to so many days from NOW."""
    own = with_key or key(len(common))
    made = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else name(common),
        name(common),
        own.public_key(),
        serial,
        NOW + timedelta(days[0]),
        NOW + timedelta(days[1]),
    )
    if names is not None:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    if authority is not None:
        made = made.add_extension(x509.BasicConstraints(authority, path_length), critical=True)
    if authority:
        made = made.add_extension(key_usage("key_cert_sign", "crl_sign") if signs else key_usage("crl_sign"), True)
    if usage is not None:
        made = made.add_extension(key_usage(*usage), critical=True)
    if purposes is not None and not authority:
        made = made.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension, critical in extra:
        made = made.add_extension(extension, critical)
    return Identity(signed(made, issuer.key if issuer else own), own)


def signed(made: x509.CertificateBuilder, with_key: Key) -> x509.Certificate:
    if isinstance(with_key, ed25519.Ed25519PrivateKey):
        return made.sign(with_key, None)
    elliptic = isinstance(with_key, ec.EllipticCurvePrivateKey)
    return made.sign(with_key, hashes.SHA256(), ecdsa_deterministic=elliptic or None)


def key_usage(*wanted: str) -> x509.KeyUsage:
    fields = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(*(field in wanted for field in fields))


def another_key() -> Key:
    """Of the kind that the intermediate has."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@cache
def root() -> Identity:
    return issue("Root", authority=True, days=(-1000, 1000), with_key=key(1))


@cache
def intermediate() -> Identity:
    with_key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return issue("Intermediate", root(), authority=True, days=(-900, 900), with_key=with_key)


def leaf(**changes: object) -> Identity:
    """A certificate for example.org by the intermediate, sound but for the changes."""
    given: dict[str, object] = {"names": ("example.org",), "with_key": key(3), "issuer": intermediate(), **changes}
    return issue("example.org", **given)  # type: ignore[arg-type]


def chain(*identities: Identity | bytes) -> bytes:
    """A Certificate message of TLS 1.2."""
    ders = [one if isinstance(one, bytes) else one.der for one in identities]
    return message(11, vector(3, b"".join(vector(3, der) for der in ders)))


def talk(
    certificates: bytes,
    *,
    host: str | None = "example.org",
    suite: int = 0xC02B,
    staple: bytes | None = None,
    client: bytes | None = None,
    offer: Sequence[Extension] = (),
) -> Talk:
    """A handshake of TLS 1.2 (ECDHE_ECDSA) whose server sends these certificates."""
    offered = ([] if host is None else [sni(host)]) + [one for one in OFFER12 if one[0] != 0] + list(offer)
    suites = (suite, 0xC02F, RSA)
    made = Talk().say(C, handshake(client_hello(offered, suites=suites)))
    chosen = (RENEGOTIATION, STATUS) if staple is not None else (RENEGOTIATION,)
    status = [] if staple is None else [message(22, b"\1" + vector(3, staple))]
    keys = [] if suite == RSA else [SERVER_KEYS]
    ask = [] if client is None else [REQUEST]
    flight = [server_hello(chosen, suite=suite), certificates, *status, *keys, *ask, DONE]
    made.say(S, handshake(*flight, split=16_000))
    answer = [CLIENT_KEYS] if client is None else [client, CLIENT_KEYS, VERIFY]
    return closing(made.say(C, handshake(*answer), FINISH).say(S, FINISH), CLOSE)


def ocsp_response(
    about: Identity,
    issuer: Identity | None = None,
    *,
    revoked: bool = False,
    hours: tuple[float, float] = (-1, 100),
    responder: Identity | None = None,
) -> bytes:
    """A response in DER; ``hours``: thisUpdate and nextUpdate from NOW."""
    issuer = issuer or intermediate()
    made = ocsp.OCSPResponseBuilder().add_response(
        cert=about.certificate,
        issuer=issuer.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        this_update=NOW + timedelta(hours=hours[0]),
        next_update=NOW + timedelta(hours=hours[1]),
        revocation_time=NOW - timedelta(2) if revoked else None,
        revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
    )
    made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, (responder or issuer).certificate)
    if responder is not None:
        made = made.certificates([responder.certificate])
    with_key = (responder or issuer).key
    algorithm = None if isinstance(with_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(with_key, algorithm).public_bytes(Encoding.DER)


def revocation_list(
    *revoked: Identity, issuer: Identity | None = None, since: float = -2, days: tuple[float, float] = (-1, 1)
) -> bytes:
    """A list in PEM. ``since``: days from NOW of the revocations, ``days``: of lastUpdate and nextUpdate."""
    issuer = issuer or intermediate()
    made = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    made = made.last_update(NOW + timedelta(days[0])).next_update(NOW + timedelta(days[1]))
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        made = made.add_revoked_certificate(entry.revocation_date(NOW + timedelta(since)).build())
    algorithm = None if isinstance(issuer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(issuer.key, algorithm).public_bytes(Encoding.PEM)


def pem(*identities: Identity) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in identities)
