"""Certificates as they stand in Certificate messages, sound and odd ones."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tcpscope.crypto.certificates import CertificateReport, describe
from tests.tls_builder import vector

SERIAL = 0x1122334455667788


def certificate() -> bytes:
    """A self-signed one."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(name, name, key.public_key(), SERIAL)
    made = made.not_valid_before(datetime(2024, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2025, 1, 1, tzinfo=UTC))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("www.example.org")]), critical=False)
    return made.sign(key, SHA256()).public_bytes(Encoding.DER)


def described(der: bytes) -> CertificateReport:
    (found,) = describe(11, vector(3, vector(3, der)), "server", 7)
    return found


def test_what_a_certificate_says() -> None:
    found = described(certificate())
    assert (found.subject, found.issuer, found.serial) == ("CN=example.org", "CN=example.org", f"{SERIAL:x}")
    assert (found.not_before, found.not_after) == ("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
    assert (found.names, found.key) == (("www.example.org",), "EC secp256r1")


def test_a_serial_number_below_zero_is_told_and_warns_nobody() -> None:
    """RFC 5280 section 4.1.2.2 forbids it; it occurs. Found by the fuzz target "mutants"."""
    serial = SERIAL.to_bytes(8, "big")
    found = described(certificate().replace(serial, b"\xff" + serial[1:]))
    assert found.subject == "CN=example.org"
    negative = int.from_bytes(b"\xff" + serial[1:], "big", signed=True)
    assert found.serial == f"{negative:x}"


def test_what_is_no_certificate_has_a_digest_only() -> None:
    found = described(b"no certificate")
    assert (found.subject, found.serial, len(found.sha256)) == (None, None, 64)
