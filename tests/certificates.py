"""Certificates, OCSP responses and revocation lists made to order, and handshakes of TLS 1.2 that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
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

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


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


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


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
    return Identity(made.sign(issuer.key if issuer else own, hashes.SHA256()), own)


def key_usage(*wanted: str) -> x509.KeyUsage:
    fields = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(*(field in wanted for field in fields))


@cache
def root() -> Identity:
    return issue("Root", authority=True, days=(-1000, 1000), with_key=key(1))


@cache
def intermediate() -> Identity:
    return issue("Intermediate", root(), authority=True, days=(-900, 900), with_key=key(2))


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
    return made.sign((responder or issuer).key, hashes.SHA256()).public_bytes(Encoding.DER)


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
    return made.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(*identities: Identity) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in identities)
