"""The real programs that scenarios run: nginx, curl, openssl."""

from __future__ import annotations

import os
import subprocess
import time

from .certs import NAME, Authority
from .lab import LIMIT, Host, Lab

_NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; default_type text/plain; server_tokens off;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4;
  scgi_temp_path {work}/t5;
  server {{ listen {listen}; server_name {name}; root {work}/www; {more} }}
}}
"""


def nginx(lab: Lab, listen: str, more: str = "", host: Host | None = None) -> None:
    """Start nginx in the server's namespace with /index.txt (1,200 bytes) and /large.txt (20,000 bytes)."""
    where = host or lab.server
    www = lab.work / "www"
    www.mkdir()
    lab.work.chmod(0o755)
    (www / "index.txt").write_text("tcpscope sample line 0123456789\n" * 37 + "the end of it.\n")
    (www / "large.txt").write_text("tcpscope sample line 0123456789\n" * 625)
    config = lab.work / "nginx.conf"
    config.write_text(_NGINX.format(work=lab.work, listen=listen, name=NAME, more=more))
    lab.daemon(where, "nginx", "-c", str(config), "-p", str(lab.work))
    lab.wait_listening(where, int(listen.split(maxsplit=1)[0].rsplit(":", 1)[1]))


def curl(lab: Lab, *arguments: str, check: bool = True, keys: bool = False) -> int:
    """Run curl in the client's namespace; its exit status."""
    environment = dict(os.environ)
    environment.pop("SSLKEYLOGFILE", None)
    if keys:
        environment["SSLKEYLOGFILE"] = str(lab.work / "keys")
    output = ["--silent", "--show-error", "--max-time", "20", "--output", os.devnull]
    return lab.client.run("curl", *output, *arguments, check=check, env=environment).returncode


def s_server(lab: Lab, authority: Authority, *arguments: str, rsa: bool = False, port: int = 443) -> None:
    """openssl's test server; it answers every line with the line reversed."""
    chain, key = authority.issue(rsa=rsa)
    lab.daemon(
        lab.server, "openssl", "s_server", "-accept", f"{lab.server.address}:{port}", "-cert", str(chain),
        "-cert_chain", str(authority.folder / "intermediate.pem"), "-key", str(key), "-rev", *arguments,
    )  # fmt: skip
    lab.wait_listening(lab.server, port)


def s_client(
    lab: Lab, authority: Authority, client_port: int, *arguments: str, line: bytes = b"hello, server\n", port: int = 443,
    keys: bool = True,
) -> tuple[int, bytes]:  # fmt: skip
    """openssl's test client: handshake, one line there and back, close; its exit status and output."""
    command = [
        "openssl", "s_client", "-connect", f"{lab.server.address}:{port}", "-bind", f"{lab.client.address}:{client_port}",
        "-servername", NAME, "-verify_hostname", NAME, "-CAfile", str(authority.root), *arguments,
    ]  # fmt: skip
    if keys:
        command += ["-keylogfile", str(lab.work / "keys")]
    with lab.client.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None
        try:
            time.sleep(0.5)
            if line and process.poll() is None:
                process.stdin.write(line)
                process.stdin.flush()
                time.sleep(0.3)
            output, _ = process.communicate(timeout=LIMIT)
        except BrokenPipeError:
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    return process.returncode, output
