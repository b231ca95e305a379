"""Real traffic at full speed: nginx, ab and wrk in two network namespaces with a veth pair between them, as root.

Nothing stays behind: the namespaces, what runs in them and the devices go when the recording ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CLIENT, SERVER = "10.78.0.1", "10.78.0.2"
NEEDED = ("ip", "nginx", "tcpdump")
LIMIT = 300  # seconds that a recording may take
SIZES = {"small": 300, "large": 200_000}
CONNECTIONS, SECONDS, FRAMES = 100_000, 10, 1_000_000
SMALL = 50

NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/error.log; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; default_type text/plain;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4;
  scgi_temp_path {work}/t5;
  server {{ listen {server}:80 backlog=4096; root {work}/www; }}
}}
"""


def missing() -> str:
    """Why nothing can be recorded here, or nothing."""
    if os.name != "posix" or os.geteuid() != 0:
        return "needs root"
    absent = [name for name in NEEDED if not shutil.which(name)]
    if not any(shutil.which(name) for name in ("ab", "wrk")):
        absent.append("ab or wrk")
    return f"not installed: {', '.join(absent)}" if absent else ""


def command(*words: str) -> None:
    """Run to the end, quietly."""
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """Two namespaces that reach each other: the client's and the server's."""
    names = tuple(f"tcpscope-bench-{role}-{os.getpid()}" for role in ("client", "server"))
    client, server = names
    with contextlib.ExitStack() as stack:
        for name in names:
            command("ip", "netns", "add", name)
            stack.callback(command, "ip", "netns", "delete", name)
        pair = f"ip link add eth0 netns {client} type veth peer name eth0 netns {server}"
        command(*pair.split())
        for name, address in ((client, CLIENT), (server, SERVER)):
            command("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            command("ip", "-n", name, "link", "set", "lo", "up")
            # One segment a frame, as on a wire: otherwise they are as long as the kernel lets them be.
            command("ip", "-n", name, "link", "set", "eth0", "gso_max_segs", "1", "up")
        # So many connections in a minute need all ports of the client.
        ports = "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range"
        command("ip", "netns", "exec", client, "sh", "-c", ports)
        yield client, server


@contextlib.contextmanager
def running(namespace: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A program in a namespace for the length of the block."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(pid: Path, nginx: subprocess.Popen[str]) -> None:
    """Until nginx has written its process number, which it does when it listens."""
    for _ in range(200):
        if pid.exists() and pid.stat().st_size:
            return
        if nginx.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError("nginx does not start")


def loads(small: bool) -> Iterator[tuple[str, list[str]]]:
    """What asks the server, by name: new connections as fast as they go, and large answers on some that stay open."""
    if shutil.which("ab"):
        count = CONNECTIONS // SMALL if small else CONNECTIONS
        yield "ab, nginx", ["ab", "-q", "-n", str(count), "-c", "20", f"http://{SERVER}/small"]
    if shutil.which("wrk"):
        seconds = 1 if small else SECONDS
        yield "wrk, nginx", ["wrk", "-t", "1", "-c", "20", "-d", str(seconds), f"http://{SERVER}/large"]


def record(directory: Path, small: bool) -> Iterator[tuple[str, Path, int, int]]:
    """Name, file, frames and frames that the kernel dropped, of one recording after the other."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tcpscope-bench-")))
        work.chmod(0o755)
        (work / "www").mkdir()
        for name, size in SIZES.items():
            (work / "www" / name).write_bytes((b"0123456789abcdef" * (size // 16 + 1))[:size])
        (work / "nginx.conf").write_text(NGINX.format(work=work, server=SERVER))
        client, server = stack.enter_context(namespaces())
        nginx = stack.enter_context(running(server, "nginx", "-c", str(work / "nginx.conf"), "-p", str(work)))
        wait_for(work / "nginx.pid", nginx)
        for name, load in loads(small):
            yield (
                name,
                *capture(directory / f"{name.split(',')[0]}.pcap", client, load, FRAMES // SMALL if small else FRAMES),
            )


def capture(path: Path, client: str, load: list[str], most: int) -> tuple[Path, int, int]:
    """Record what one load does, at the client, up to so many frames."""
    path.unlink(missing_ok=True)
    words = [
        "tcpdump",
        "-n",
        "-i",
        "eth0",
        "-s",
        "0",
        "-B",
        "262144",
        "-Z",
        "root",
        "-c",
        str(most),
        "-w",
        str(path.resolve()),
        "tcp",
    ]
    with running(client, *words) as tcpdump:
        assert tcpdump.stderr
        said = tcpdump.stderr.readline()
        if "listening on" not in said:
            raise RuntimeError(said)
        subprocess.run(["ip", "netns", "exec", client, *load], check=True, capture_output=True, timeout=LIMIT)
        time.sleep(1)  # the last FINs, and what the kernel still holds for tcpdump
        tcpdump.send_signal(signal.SIGINT)
        said = tcpdump.stderr.read()
    counts = {what: int(count) for count, what in re.findall(r"^(\d+) packets? (captured|dropped)", said, re.MULTILINE)}
    return path, counts["captured"], counts["dropped"]
