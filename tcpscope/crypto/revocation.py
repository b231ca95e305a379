"""Whether a certificate was revoked: by an OCSP response that came with it (RFC 6960), or by a list (RFC 5280 section 5)."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from tcpscope.crypto.signatures import verify_with
from tcpscope.crypto.trust import PEM, read_file
from tcpscope.crypto.x509 import Certificate, is_usable
from tcpscope.errors import SourceError

GOOD: Final = "good"
REVOKED: Final = "revoked"
UNKNOWN: Final = "unknown"

SKEW: Final = timedelta(minutes=5)  # between the clocks of the responder and of the capture

OCSP_SIGNING: Final = "1.3.6.1.5.5.7.3.9"


class Status(NamedTuple):
    """What a source says of a certificate. ``status`` is None if it says nothing; ``problem``: why it cannot be used.

    ``since``: of a revocation; ``proved``: the signature of the source was checked.
    """

    status: str | None
    problem: str = ""
    since: str = ""
    proved: bool = False


def stapled(octets: bytes, certificate: Certificate, issuer: Certificate | None, time_ns: int | None) -> Status:
    """What an OCSP response says of ``certificate`` at a time (RFC 6960 section 3.2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _stapled(ocsp.load_der_ocsp_response(octets), certificate, issuer, _moment(time_ns))
        except Exception:
            return Status(None, "it cannot be read")


def _stapled(
    response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate | None, moment: datetime | None
) -> Status:
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Status(None, f"the responder had none ({response.response_status.name.lower()})")
    single = next((one for one in response.responses if _is_about(one, certificate, issuer)), None)
    if single is None:
        return Status(None, "it is about another certificate")
    signed = None if issuer is None else _signed(response, issuer)
    if signed is False:
        return Status(None, "its signature is wrong")
    if moment is not None:
        if moment + SKEW < single.this_update_utc:
            return Status(None, f"it is from {_text(single.this_update_utc)}, after the capture")
        if single.next_update_utc is not None and moment - SKEW > single.next_update_utc:
            return Status(None, f"it was good until {_text(single.next_update_utc)}")
    if single.certificate_status == ocsp.OCSPCertStatus.REVOKED and single.revocation_time_utc is not None:
        return Status(REVOKED, since=_text(single.revocation_time_utc), proved=signed is True)
    good = single.certificate_status == ocsp.OCSPCertStatus.GOOD
    return Status(GOOD if good else UNKNOWN, proved=signed is True)


def _is_about(single: ocsp.OCSPSingleResponse, certificate: Certificate, issuer: Certificate | None) -> bool:
    """The serial number, and, where the issuer is known, the hashes of its name and key (RFC 6960 section 4.1.1)."""
    if single.serial_number != certificate.serial:
        return False
    name = certificate.parsed.issuer.public_bytes()
    if hashlib.new(single.hash_algorithm.name, name).digest() != single.issuer_name_hash:
        return False
    if issuer is None:
        return True
    key = issuer.parsed.public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _key_hash(info, single.hash_algorithm.name) == single.issuer_key_hash


def _key_hash(info: bytes, algorithm: str) -> bytes:
    """Hash of the BIT STRING in a SubjectPublicKeyInfo, without its tag, length and unused bits."""
    at = 1 + _length(info, 1)[1]  # into the outer sequence
    size, width = _length(info, at + 1)
    at += 1 + width + size  # over the algorithm
    _, width = _length(info, at + 1)
    return hashlib.new(algorithm, info[at + 2 + width :]).digest()


def _length(der: bytes, at: int) -> tuple[int, int]:
    """A DER length and how many bytes it takes."""
    first = der[at]
    if first < 0x80:
        return first, 1
    count = first & 0x7F
    return int.from_bytes(der[at + 1 : at + 1 + count], "big"), 1 + count


def _signed(response: ocsp.OCSPResponse, issuer: Certificate) -> bool | None:
    """By the issuer itself, or by a responder that it appointed (RFC 6960 section 4.2.2.2)."""
    if not issuer.usable:
        return None
    keys = [issuer.parsed.public_key()]
    for responder in response.certificates[:5]:
        try:
            responder.verify_directly_issued_by(issuer.parsed)
            purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except Exception:
            continue
        if OCSP_SIGNING in {oid.dotted_string for oid in purposes} and is_usable(responder.public_key()):
            keys.append(responder.public_key())
    hashed, signature, octets = response.signature_hash_algorithm, response.signature, response.tbs_response_bytes
    answers = [verify_with(key, hashed, signature, octets) for key in keys]
    if True in answers:
        return True
    return None if None in answers else False


class Lists:
    """Certificate revocation lists that the user gave."""

    def __init__(self, lists: Iterable[x509.CertificateRevocationList]) -> None:
        self._lists = tuple(lists)

    def status(self, certificate: Certificate, issuers: Sequence[Certificate], time_ns: int | None) -> Status:
        """What the lists say of ``certificate`` at a time. ``issuers``: certificates that may have issued it."""
        said = Status(None)
        for one in self._lists:
            if one.issuer != certificate.parsed.issuer:
                continue
            try:
                found = _listed(one, certificate, issuers, _moment(time_ns))
            except Exception:
                found = Status(None, "the list cannot be read")
            if found.status == REVOKED:
                return found
            if said.status is None:
                said = found
        return said


def _listed(
    one: x509.CertificateRevocationList,
    certificate: Certificate,
    issuers: Sequence[Certificate],
    moment: datetime | None,
) -> Status:
    keys = [issuer.parsed.public_key() for issuer in issuers if issuer.usable and issuer.parsed.subject == one.issuer]
    if not any(one.is_signature_valid(key) for key in keys):  # type: ignore[arg-type]
        return Status(None, "the signature of the list cannot be checked")
    entry = one.get_revoked_certificate_by_serial_number(certificate.serial)
    if entry is not None and (moment is None or entry.revocation_date_utc <= moment):
        return Status(REVOKED, since=_text(entry.revocation_date_utc), proved=True)
    if moment is None or one.next_update_utc is None or not one.last_update_utc <= moment <= one.next_update_utc:
        return Status(None, "the list is of another time than the capture")
    return Status(GOOD, proved=True)


def load_lists(paths: Iterable[str]) -> Lists:
    """The lists of some files, PEM (any number in a file) or DER. SourceError if one cannot be read or has none."""
    found: list[x509.CertificateRevocationList] = []
    for path in paths:
        octets = read_file(path)
        try:
            if PEM in octets:
                end = b"-----END X509 CRL-----"
                parts = [part + end for part in octets.split(end) if b"-----BEGIN X509 CRL-----" in part]
                found += [x509.load_pem_x509_crl(part) for part in parts]
            else:
                parts = [octets]
                found.append(x509.load_der_x509_crl(octets))
        except ValueError as error:
            raise SourceError(f"{path}: holds no revocation list that can be read") from error
        if not parts:
            raise SourceError(f"{path}: holds no revocation list")
    return Lists(found)


def _moment(time_ns: int | None) -> datetime | None:
    return None if time_ns is None else datetime.fromtimestamp(time_ns / 1e9, UTC)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
