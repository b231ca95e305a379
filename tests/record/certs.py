"""Throw-away certificates for the TLS scenarios: a root, an intermediate and server or client certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAME = "www.example.test"

_CONFIG = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:{dns}
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = email:client@example.test
"""


class Authority:
    """Makes PEM files in `folder`: root.pem, intermediate.pem and what issue() is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._make("root", "/O=tcpscope samples/CN=tcpscope sample root", "ca", "root", days=3650)
        self._make("intermediate", "/O=tcpscope samples/CN=tcpscope sample intermediate", "ca", "root", days=1825)
        self.root = folder / "root.pem"

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def _make(
        self, name: str, subject: str, section: str, issuer: str, days: int = 397, dns: str = NAME, rsa: bool = False
    ) -> None:
        (self.folder / f"{name}.cnf").write_text(_CONFIG.format(dns=dns))
        kind = ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self.openssl("genpkey", "-algorithm", *kind, "-out", f"{name}.key")
        common = ["-config", f"{name}.cnf", "-subj", subject, "-key", f"{name}.key"]
        if name == issuer:
            self.openssl(
                "req", "-x509", "-new", *common, "-extensions", section, "-days", str(days), "-out", f"{name}.pem"
            )
            return
        self.openssl("req", "-new", *common, "-out", f"{name}.csr")
        self.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial",
            "-extfile", f"{name}.cnf", "-extensions", section, "-days", str(days), "-out", f"{name}.pem",
        )  # fmt: skip

    def issue(
        self, name: str = "server", dns: str = NAME, section: str = "server", days: int = 397, rsa: bool = False,
        issuer: str = "intermediate",
    ) -> tuple[Path, Path]:  # fmt: skip
        """(certificate chain, key) of a new end-entity certificate; negative `days`: already expired."""
        subject = f"/CN={dns}" if section == "server" else "/CN=sample client"
        self._make(name, subject, section, issuer, days, dns, rsa)
        chain = self.folder / f"{name}-chain.pem"
        text = (self.folder / f"{name}.pem").read_text()
        if issuer == "intermediate":
            text += (self.folder / "intermediate.pem").read_text()
        chain.write_text(text)
        return chain, self.folder / f"{name}.key"
