"""Certificate messages as they stand on the wire, and what each certificate says (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2).

``cryptography`` parses the X.509 and is imported only when there is a certificate. Nothing is judged here.
"""

from __future__ import annotations

import warnings
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.state.tls_log import FORM_TLS13
from tcpscope.wire.tls import COMPRESSED_CERTIFICATE, MAX_MESSAGE

if TYPE_CHECKING:
    from cryptography import x509

MAX_CERTIFICATES: Final = 20
"""Of one chain; a real one has two to five."""

STATUS_REQUEST: Final = 5
ZLIB: Final = 1  # RFC 8879 section 7.3


class Entry(NamedTuple):
    """One certificate in DER, and the OCSP response that TLS 1.3 sends with it."""

    der: bytes
    status: bytes


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


def entries(form: int, body: bytes) -> list[Entry]:
    """The certificates of a message of this form (see :class:`~tcpscope.state.tls_log.TlsBody`), as far as its lengths fit."""
    if form == COMPRESSED_CERTIFICATE:
        return entries(FORM_TLS13, _uncompressed(body))
    found: list[Entry] = []
    at = 1 + body[0] if form == FORM_TLS13 and body else 0
    end = min(len(body), at + 3 + int.from_bytes(body[at : at + 3], "big"))
    at += 3
    while at + 3 <= end and len(found) < MAX_CERTIFICATES:
        size = int.from_bytes(body[at : at + 3], "big")
        at += 3
        if size == 0 or at + size > end:
            break
        der = body[at : at + size]
        at += size
        extensions = b""
        if form == FORM_TLS13:
            size = 2 + int.from_bytes(body[at : at + 2], "big")
            extensions = body[at + 2 : min(end, at + size)]
            at += size
        found.append(Entry(der, _status(extensions)))
    return found


def _uncompressed(body: bytes) -> bytes:
    """A Certificate message out of a CompressedCertificate (RFC 8879 section 4); empty where the compression is not known."""
    size = int.from_bytes(body[2:5], "big")
    if int.from_bytes(body[:2], "big") != ZLIB or size > MAX_MESSAGE:
        return b""
    try:
        return zlib.decompressobj().decompress(body[8:], size)
    except zlib.error:
        return b""


def _status(extensions: bytes) -> bytes:
    """The OCSP response among the extensions of a certificate (RFC 8446 section 4.4.2.1)."""
    at = 0
    while at + 4 <= len(extensions):
        kind = int.from_bytes(extensions[at : at + 2], "big")
        size = int.from_bytes(extensions[at + 2 : at + 4], "big")
        if kind == STATUS_REQUEST:
            return ocsp_response(extensions[at + 4 : at + 4 + size])
        at += 4 + size
    return b""


def ocsp_response(body: bytes) -> bytes:
    """The first OCSP response of a CertificateStatus (RFC 6066 section 8, RFC 6961 section 2.2); empty if there is none."""
    if body[:1] == b"\x02":
        body = b"\x01" + body[4:]  # a list of responses, one for each certificate
    size = int.from_bytes(body[1:4], "big")
    return body[4 : 4 + size] if body[:1] == b"\x01" and 4 + size <= len(body) else b""


def load(der: bytes) -> x509.Certificate | None:
    """The certificate, or None if it cannot be read as one."""
    from cryptography import x509  # noqa: PLC0415 - slow to load, and most captures have no readable certificate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cryptography thinks of a certificate is not for the user's terminal
        try:
            return x509.load_der_x509_certificate(der)
        except Exception:
            return None


def leaf_key(form: int, body: bytes) -> object | None:
    """The public key of the first certificate of a message; None if it cannot be read."""
    found = entries(form, body)
    certificate = load(found[0].der) if found else None
    try:
        return None if certificate is None else certificate.public_key()
    except Exception:
        return None


def describe(form: int, body: bytes, side: str, frame: int) -> list[CertificateReport]:
    """What the certificates of one Certificate message say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_one(entry.der, side, frame, position) for position, entry in enumerate(entries(form, body))]


def _one(der: bytes, side: str, frame: int, position: int) -> CertificateReport:
    from hashlib import sha256  # noqa: PLC0415 (heavy: OpenSSL)

    digest = sha256(der).hexdigest()
    unreadable = CertificateReport(frame=frame, side=side, position=position, sha256=digest)
    certificate = load(der)
    if certificate is None:
        return unreadable
    try:
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
        return unreadable


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
