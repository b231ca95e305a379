"""Throw-away certificates for the TLS scenarios: a root, an intermediate, and whatever they are asked to issue."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "www.example.test"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tcpscope samples"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


class Authority:
    """A root and an intermediate; root.pem, intermediate.pem and what issue() makes are files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.root_key: Key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign(
            _name("sample root"), self.root_key, _name("sample root"), self.root_key, 3650, authority=True
        )
        self.intermediate_key: Key = ec.generate_private_key(ec.SECP256R1())
        self.intermediate = self._sign(
            _name("sample intermediate"), self.intermediate_key, self.root.subject, self.root_key, 1825, authority=True
        )
        self.root_file = self._write("root.pem", self.root)
        self.intermediate_file = self._write("intermediate.pem", self.intermediate)

    def _write(self, name: str, *certificates: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates))
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: Key,
        issuer: x509.Name,
        issuer_key: Key,
        days: int,
        *,
        authority: bool = False,
        dns: str = "",
    ) -> x509.Certificate:
        """A certificate valid until `days` from now, from a day (or, if already expired, a year) before."""
        end = self.now + datetime.timedelta(days=days)
        start = self.now - datetime.timedelta(days=1) if days > 0 else end - datetime.timedelta(days=365)
        usage = x509.KeyUsage(not authority, False, not authority, False, False, authority, authority, False, False)
        builder = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), start, end)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if dns:
            purpose = ExtendedKeyUsageOID.CLIENT_AUTH if "@" in dns else ExtendedKeyUsageOID.SERVER_AUTH
            alternative: x509.GeneralName = x509.RFC822Name(dns) if "@" in dns else x509.DNSName(dns)
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def issue(
        self,
        dns: str = NAME,
        *,
        days: int = 90,
        with_rsa: bool = False,
        self_signed: bool = False,
        chain: bool = True,
    ) -> tuple[Path, Path]:
        """(certificate chain file, key file) of a new server certificate, or a client's if `dns` is a mail address.

        Negative `days`: already expired; `chain` False leaves the intermediate out of the file.
        """
        key: Key = rsa.generate_private_key(65537, 2048) if with_rsa else ec.generate_private_key(ec.SECP256R1())
        issuer, issuer_key = self.intermediate.subject, self.intermediate_key
        if self_signed:
            issuer, issuer_key = _name(dns), key
        certificate = self._sign(_name(dns), key, issuer, issuer_key, days, dns=dns)
        extra = [self.intermediate] if chain and not self_signed else []
        stem = dns.replace("@", "-at-")
        private = serialization.PrivateFormat.PKCS8
        key_file = self.folder / f"{stem}.key"
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
        return self._write(f"{stem}.pem", certificate, *extra), key_file

    def ocsp_response(self, chain: Path, *, revoked: bool) -> Path:
        """A signed OCSP response about the first certificate of a chain file, good for a week."""
        certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self.intermediate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=self.now - datetime.timedelta(hours=1),
            next_update=self.now + datetime.timedelta(days=7),
            revocation_time=self.now - datetime.timedelta(days=2) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.intermediate)
        response = builder.sign(self.intermediate_key, hashes.SHA256())
        path = self.folder / "ocsp.der"
        path.write_bytes(response.public_bytes(serialization.Encoding.DER))
        return path
