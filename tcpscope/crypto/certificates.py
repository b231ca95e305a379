"""Certificate messages as they stand on the wire (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2), and what is told of them.

Nothing is parsed here that needs the package cryptography: that is in :mod:`tcpscope.crypto.examine`, loaded with the first
certificate.
"""

import zlib
from typing import Final, NamedTuple

from tcpscope.state.tls_log import FORM_TLS13
from tcpscope.wire.tls import COMPRESSED_CERTIFICATE, MAX_MESSAGE

MAX_CERTIFICATES: Final = 20
"""Of one chain; a real one has two to five."""

STATUS_REQUEST: Final = 5
ZLIB: Final = 1  # RFC 8879 section 7.3


class Entry(NamedTuple):
    """One certificate in DER, and the OCSP response that TLS 1.3 sends with it."""

    der: bytes
    status: bytes


class CertificateReport(NamedTuple):
    """One certificate. Names are RFC 4514 strings, times RFC 3339; all but ``sha256`` are None if its DER cannot be read.

    The verdicts are those at the time of the capture, None where it cannot be told: ``validity`` (valid, expired,
    not-yet-valid), ``matches_name`` (of a server's own certificate: the name that the client asked for), ``signed_by_next``
    (the certificate behind it in the chain), ``trust`` (trusted, untrusted; with a trust store, of the first of a chain) and
    ``revocation`` (good, revoked, unknown) with its source (ocsp, crl).
    """

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
    validity: str | None = None
    matches_name: bool | None = None
    self_signed: bool | None = None
    signed_by_next: bool | None = None
    trust: str | None = None
    trust_reason: str | None = None
    revocation: str | None = None
    revocation_source: str | None = None


class Trouble(NamedTuple):
    """One thing that is wrong with a certificate or its chain: a TROUBLE code below, and what the sentence about it needs."""

    code: int
    side: int  # as the tracker numbers them
    frame: int
    time_ns: int
    words: dict[str, str]
    serious: bool = True


class Examined(NamedTuple):
    """What the certificates of a connection came to."""

    certificates: tuple[CertificateReport, ...]
    troubles: tuple[Trouble, ...]


# What may be wrong: TS7 and this number is the code of the rule.
EXPIRED: Final = 1
NOT_YET_VALID: Final = 2
NAME_MISMATCH: Final = 3
SELF_SIGNED: Final = 4
CHAIN_ORDER: Final = 5
CHAIN_INCOMPLETE: Final = 6
SIGNATURE_WRONG: Final = 7
KEY_WEAK: Final = 8
SIGNATURE_WEAK: Final = 9
NOT_AN_AUTHORITY: Final = 10
USAGE_MISMATCH: Final = 11
UNTRUSTED: Final = 12
REVOKED: Final = 13
STAPLE_UNUSABLE: Final = 14
STAPLE_MISSING: Final = 15
UNDECODABLE: Final = 16
KEY_TYPE: Final = 17


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
