"""What one certificate says, as plain values; whatever cannot be read is left out, and nothing here raises (RFC 5280 section 4)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

Kind = TypeVar("Kind", bound=x509.ExtensionType)

MAX_NAME: Final = 200  # characters of a name that is shown
MAX_REMEMBERED: Final = 16 * 1024  # bytes of a certificate that is kept for the next connection
MAX_NAMES: Final = 1000  # alternative names that are looked at

# A signature is checked with no larger RSA key: a hostile one would take a hundred times as long as a real one does.
MAX_RSA_BITS: Final = 8192
MAX_EXPONENT_BITS: Final = 64

TLS_FEATURE_STATUS: Final = x509.TLSFeatureType.status_request

# Extensions that path validation here understands; a critical one beyond them makes a certificate unusable (RFC 5280 section 4.2).
_UNDERSTOOD: Final = frozenset(
    (
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.NameConstraints.oid,
        x509.CertificatePolicies.oid,
        x509.PolicyConstraints.oid,
        x509.InhibitAnyPolicy.oid,
        x509.TLSFeature.oid,
        x509.CRLDistributionPoints.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityInformationAccess.oid,
        x509.IssuerAlternativeName.oid,
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """One certificate. Times are nanoseconds since 1970. None: it has no such extension, or it cannot be read."""

    der: bytes
    parsed: x509.Certificate
    sha256: str
    subject: str
    issuer: str
    label: str  # of the subject, and of the issuer, for sentences: the common name, if there is one
    issuer_label: str
    serial: int
    not_before: int
    not_after: int
    key: str  # RSA, EC, DSA, …
    bits: int  # 0 where the kind says it all
    curve: str
    usable: bool  # its key is not too large to check signatures with
    hash: str  # of its signature: sha256, …; empty where the algorithm has none of its own
    signature: str  # OID
    self_issued: bool
    version1: bool
    sound: bool  # its extensions can be read
    dns_names: tuple[str, ...] | None
    addresses: tuple[str, ...]
    authority: bool | None
    path_length: int | None
    key_usage: x509.KeyUsage | None
    purposes: frozenset[str] | None  # OIDs
    must_staple: bool
    constrained: bool
    not_understood: tuple[str, ...]  # critical extensions

    @property
    def key_text(self) -> str:
        """Such as ``RSA 2048`` or ``EC secp256r1``."""
        return f"{self.key} {self.curve or self.bits}" if self.curve or self.bits else self.key


def read(der: bytes) -> Certificate | None:
    """The certificate; None if it cannot be read as one. Small ones are remembered: many connections show the same."""
    return _read_once(der) if len(der) <= MAX_REMEMBERED else _read_once.__wrapped__(der)


@lru_cache(maxsize=512)
def _read_once(der: bytes) -> Certificate | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cryptography thinks of a certificate is not for the user's terminal
        try:
            return _read(der, x509.load_der_x509_certificate(der))
        except Exception:
            return None


def _read(der: bytes, parsed: x509.Certificate) -> Certificate:
    found = _extensions(parsed)
    extensions = found or x509.Extensions([])
    names = _of(extensions, x509.SubjectAlternativeName)
    constraints = _of(extensions, x509.BasicConstraints)
    purposes = _of(extensions, x509.ExtendedKeyUsage)
    feature = _of(extensions, x509.TLSFeature)
    kind, bits, curve, usable = _key(parsed)
    return Certificate(
        der=der,
        parsed=parsed,
        sha256=sha256(der).hexdigest(),
        subject=short(parsed.subject.rfc4514_string()),
        issuer=short(parsed.issuer.rfc4514_string()),
        label=_label(parsed.subject),
        issuer_label=_label(parsed.issuer),
        serial=parsed.serial_number,
        not_before=_nanoseconds(parsed.not_valid_before_utc),
        not_after=_nanoseconds(parsed.not_valid_after_utc),
        key=kind,
        bits=bits,
        curve=curve,
        usable=usable,
        hash=_hash(parsed),
        signature=parsed.signature_algorithm_oid.dotted_string,
        self_issued=parsed.subject == parsed.issuer,
        version1=parsed.version == x509.Version.v1,
        sound=found is not None,
        dns_names=None if names is None else tuple(names.get_values_for_type(x509.DNSName)[:MAX_NAMES]),
        addresses=() if names is None else tuple(map(str, names.get_values_for_type(x509.IPAddress)[:MAX_NAMES])),
        authority=None if constraints is None else constraints.ca,
        path_length=None if constraints is None else constraints.path_length,
        key_usage=_of(extensions, x509.KeyUsage),
        purposes=None if purposes is None else frozenset(oid.dotted_string for oid in purposes),
        must_staple=feature is not None and TLS_FEATURE_STATUS in list(feature),
        constrained=_of(extensions, x509.NameConstraints) is not None,
        not_understood=tuple(
            one.oid.dotted_string for one in extensions if one.critical and one.oid not in _UNDERSTOOD
        ),
    )


def _extensions(parsed: x509.Certificate) -> x509.Extensions | None:
    try:
        return parsed.extensions
    except Exception:
        return None


def _of(extensions: x509.Extensions, kind: type[Kind]) -> Kind | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key(parsed: x509.Certificate) -> tuple[str, int, str, bool]:
    """Kind, size and curve of the public key, and whether signatures are checked with it."""
    try:
        key = parsed.public_key()
    except Exception:
        return "unknown", 0, "", False
    usable = is_usable(key)
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size, "", usable
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size, key.curve.name, usable
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size, "", usable
    return type(key).__name__.removesuffix("PublicKey").lstrip("_"), 0, "", usable


def is_usable(key: object) -> bool:
    """Whether checking a signature with this key takes no longer than is reasonable."""
    if not isinstance(key, rsa.RSAPublicKey):
        return True
    return key.key_size <= MAX_RSA_BITS and key.public_numbers().e.bit_length() <= MAX_EXPONENT_BITS


def _hash(parsed: x509.Certificate) -> str:
    try:
        algorithm = parsed.signature_hash_algorithm
    except Exception:
        return ""
    return "" if algorithm is None else algorithm.name


def _label(name: x509.Name) -> str:
    """What a name is best known by."""
    for oid, word in ((x509.NameOID.COMMON_NAME, "CN"), (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "OU")):
        values = name.get_attributes_for_oid(oid)
        if values:
            return short(f"{word}={values[-1].value!s}")
    return short(name.rfc4514_string()) or "(without a name)"


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000_000


def short(text: str) -> str:
    """A name from the wire, cut to a length that a sentence can bear."""
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


# Which kind of key makes signatures of an algorithm.
_SIGNERS: Final = {
    oid.dotted_string: kind
    for kind, oids in {
        "RSA": (
            x509.SignatureAlgorithmOID.RSA_WITH_MD5,
            x509.SignatureAlgorithmOID.RSA_WITH_SHA1,
            x509.SignatureAlgorithmOID.RSA_WITH_SHA224,
            x509.SignatureAlgorithmOID.RSA_WITH_SHA256,
            x509.SignatureAlgorithmOID.RSA_WITH_SHA384,
            x509.SignatureAlgorithmOID.RSA_WITH_SHA512,
            x509.SignatureAlgorithmOID.RSASSA_PSS,
        ),
        "EC": (
            x509.SignatureAlgorithmOID.ECDSA_WITH_SHA1,
            x509.SignatureAlgorithmOID.ECDSA_WITH_SHA224,
            x509.SignatureAlgorithmOID.ECDSA_WITH_SHA256,
            x509.SignatureAlgorithmOID.ECDSA_WITH_SHA384,
            x509.SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        ),
        "Ed25519": (x509.SignatureAlgorithmOID.ED25519,),
        "Ed448": (x509.SignatureAlgorithmOID.ED448,),
    }.items()
    for oid in oids
}


def signed_by(child: Certificate, parent: Certificate) -> bool | None:
    """Whether ``parent``'s key made the signature of ``child``; None where the algorithm is not known. Small ones are remembered."""
    small = len(child.der) + len(parent.der) <= MAX_REMEMBERED
    return _signed_by(child, parent) if small else _signed_by.__wrapped__(child, parent)


@lru_cache(maxsize=512)
def _signed_by(child: Certificate, parent: Certificate) -> bool | None:
    wanted = _SIGNERS.get(child.signature)
    if wanted is not None and parent.key != wanted:
        return None if parent.key == "unknown" else False
    if not parent.usable:
        return None
    try:
        child.parsed.verify_directly_issued_by(parent.parsed)
    except InvalidSignature:
        return False
    except Exception:
        return None
    return True


def is_proxy(child: Certificate, parent: Certificate) -> bool:
    """Whether ``child`` is a proxy certificate, which an ordinary one may issue: its name is that one's and one part more (RFC 3820)."""
    own, issuer = child.parsed.subject.rdns, child.parsed.issuer.rdns
    return len(own) == len(issuer) + 1 and own[:-1] == issuer and issued_by(child, parent)


def issued_by(child: Certificate, parent: Certificate) -> bool:
    """Whether ``child`` names ``parent`` as its issuer (RFC 5280 section 7.1)."""
    return child.parsed.issuer == parent.parsed.subject
