"""The real programs that scenarios run: nginx, curl, openssl."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

from .certs import NAME, Authority
from .lab import LIMIT, Host, Lab

_PEM_END = "-----END CERTIFICATE-----\n"

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
    lab.wait_listening(where, int(listen.split(maxsplit=1)[0].rsplit(":", 1)[-1]))


def curl(lab: Lab, *arguments: str, check: bool = True, keys: bool = False) -> int:
    """Run curl in the client's namespace; its exit status."""
    environment = dict(os.environ)
    environment.pop("SSLKEYLOGFILE", None)
    if keys:
        environment["SSLKEYLOGFILE"] = str(lab.work / "keys")
    output = ["--silent", "--show-error", "--max-time", "20", "--output", os.devnull]
    return lab.client.run("curl", *output, *arguments, check=check, env=environment).returncode


def s_server(lab: Lab, chain: Path, key: Path, *arguments: str, port: int = 443, reverse: bool = True) -> None:
    """openssl's test server; it answers every line with the line reversed, or (`reverse` False) not at all."""
    blocks = [block + _PEM_END for block in chain.read_text().split(_PEM_END)[:-1]]
    command = ["openssl", "s_server", "-accept", f"{lab.server.address}:{port}", "-cert", str(chain), "-key", str(key)]
    if len(blocks) > 1:
        rest = lab.work / "rest.pem"
        rest.write_text("".join(blocks[1:]))
        command += ["-cert_chain", str(rest)]
    if reverse:
        command.append("-rev")
    lab.daemon(lab.server, *command, *arguments, stdin=subprocess.PIPE)  # at the end of its input it would quit
    lab.wait_listening(lab.server, port)


def s_client(
    lab: Lab,
    root: Path,
    client_port: int,
    *arguments: str,
    lines: tuple[bytes, ...] = (b"hello, server\n",),
    port: int = 443,
) -> str:
    """openssl's test client: handshake, some lines there and back, close. Returns its output."""
    command = [
        "openssl", "s_client", "-connect", f"{lab.server.address}:{port}",
        "-bind", f"{lab.client.address}:{client_port}",
        "-servername", NAME, "-CAfile", str(root), "-keylogfile", str(lab.work / "keys"), *arguments,
    ]  # fmt: skip
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with lab.client.popen(*command, **pipes) as process:
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                for line in lines:
                    time.sleep(0.4)
                    process.stdin.write(line)
                    process.stdin.flush()
            time.sleep(0.4)
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    text: str = output.decode(errors="replace")
    return text


def contexts(
    lab: Lab, authority: Authority, version: ssl.TLSVersion, chain: tuple[Path, Path] | None = None
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(client's, server's) contexts for exactly one version; the client's writes the key log."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*(chain or authority.issue()))
    client = ssl.create_default_context(cafile=str(authority.root_file))
    client.keylog_filename = str(lab.work / "keys")
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
    return client, server


class Talk:
    """A TLS connection between two sockets of ours, with both handshakes run side by side."""

    def __init__(
        self,
        lab: Lab,
        both: tuple[ssl.SSLContext, ssl.SSLContext],
        sockets: tuple[socket.socket, socket.socket],
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.lab = lab
        self.failure: Exception | None = None
        accepted: list[ssl.SSLSocket] = []

        def accept() -> None:
            try:
                accepted.append(both[1].wrap_socket(sockets[1], server_side=True))
            except (ssl.SSLError, OSError) as problem:
                self.failure = problem

        server = lab.spawn(accept)
        try:
            self.near: ssl.SSLSocket = lab.own(both[0].wrap_socket(sockets[0], server_hostname=NAME, session=session))
        finally:
            server.join(10)
        if self.failure is not None:
            raise self.failure
        self.far: ssl.SSLSocket = lab.own(accepted[0])

    def exchange(self) -> ssl.SSLSession:
        """A question and an answer; the session to be resumed later."""
        self.near.sendall(b"question\n")
        self.far.recv(100)
        self.far.sendall(b"answer\n")
        self.near.recv(100)
        session: ssl.SSLSession | None = self.near.session
        assert session is not None
        return session

    def close(self) -> None:
        """close_notify from both, the client first, then FINs."""
        notified = self.lab.spawn(self.far.unwrap)
        self.near.unwrap()
        notified.join(5)
        self.near.close()
        time.sleep(0.02)
        self.far.close()
        time.sleep(0.05)
