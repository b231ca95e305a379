"""The certificates of a TLS connection as far as they are readable on the wire: TLS 1.2 and older (row H3, RFC 5246 section 7.4.2).

``cryptography`` parses the X.509 and is imported only when there is a certificate. Nothing is judged here.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509

MAX_CERTIFICATES: Final = 20
"""Of one chain; a real one has two to five."""


class CertificateReport(NamedTuple):
    """One certificate. Names are RFC 4514 strings, times RFC 3339; all but ``sha256`` are None if its DER cannot be read."""

    frame: int
    side: str
    position: int  # in its chain; 0 is the end entity's
    sha256: str
    subject: str | None = None
    issuer: str | None = None
    serial: str | None = None
    not_before: str | None = None
    not_after: str | None = None
    names: tuple[str, ...] = ()
    key: str | None = None
    signature: str | None = None


def chain(body: bytes) -> list[bytes]:
    """The DER certificates of a Certificate message's body; what its lengths do not cover is left out."""
    found: list[bytes] = []
    end = min(len(body), 3 + int.from_bytes(body[:3], "big"))
    at = 3
    while at + 3 <= end and len(found) < MAX_CERTIFICATES:
        size = int.from_bytes(body[at : at + 3], "big")
        at += 3
        if size == 0 or at + size > end:
            break
        found.append(body[at : at + size])
        at += size
    return found


def describe(body: bytes, side: str, frame: int) -> list[CertificateReport]:
    """What the certificates of one Certificate message say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cryptography thinks of a certificate is not for the user's terminal
        return [_one(der, side, frame, position) for position, der in enumerate(chain(body))]


def _one(der: bytes, side: str, frame: int, position: int) -> CertificateReport:
    from hashlib import sha256  # noqa: PLC0415 (heavy: OpenSSL)

    from cryptography import x509  # noqa: PLC0415 - slow to load, and most captures have no readable certificate

    digest = sha256(der).hexdigest()
    try:
        certificate = x509.load_der_x509_certificate(der)
        return CertificateReport(
            frame=frame,
            side=side,
            position=position,
            sha256=digest,
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            names=_names(certificate),
            key=_key(certificate),
            signature=certificate.signature_algorithm_oid.dotted_string,
        )
    except Exception:
        return CertificateReport(frame=frame, side=side, position=position, sha256=digest)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names and addresses of the subject alternative name."""
    from cryptography import x509  # noqa: PLC0415

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses))


def _key(certificate: x509.Certificate) -> str | None:
    """Kind and size of the public key, such as ``RSA 2048``."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # noqa: PLC0415

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")
