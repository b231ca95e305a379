"""TLS with real programs; each leaves its key log beside the capture."""

from __future__ import annotations

from ..certs import NAME, Authority
from ..lab import Lab
from ..programs import curl, nginx, s_client, s_server
from ..scenario import scenario


@scenario(
    "tls12",
    "TLS 1.2 (ECDHE-ECDSA) between openssl s_client and s_server: full handshake, one line each way, close_notify",
    proof=("tls.handshake.type == 12", "tls.handshake.type == 16", "tls.app_data", "tls.record.content_type == 21"),
)
def tls12(lab: Lab) -> None:
    authority = Authority(lab.work / "certs")
    s_server(lab, authority, "-tls1_2")
    status, output = s_client(lab, authority, 52000, "-tls1_2")
    assert status == 0 and b"revres ,olleh" in output, output


@scenario(
    "tls13",
    "HTTPS with TLS 1.3, curl and nginx: ALPN h2, certificate chain, one request",
    proof=("tls.handshake.extensions.supported_version == 0x0304 && tls.handshake.type == 2", "tls.app_data"),
)
def tls13(lab: Lab) -> None:
    authority = Authority(lab.work / "certs")
    chain, key = authority.issue()
    more = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    nginx(lab, f"{lab.server.address}:443 ssl http2", more)
    curl(
        lab, "--local-port", "52001", "--cacert", str(authority.root), "--resolve", f"{NAME}:443:{lab.server.address}",
        f"https://{NAME}/index.txt", keys=True,
    )  # fmt: skip
