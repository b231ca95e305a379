"""Two network namespaces with a tap device each, and the relay between them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import wire
from .relay import Relay

__all__ = [
    "CLIENT_IP",
    "CLIENT_IP6",
    "LIMIT",
    "PORT",
    "SERVER_IP",
    "SERVER_IP6",
    "Host",
    "Lab",
    "drain",
    "linger_zero",
    "run",
    "start_with",
]

CLIENT_IP, SERVER_IP = "10.77.0.1", "10.77.0.2"
CLIENT_IP6, SERVER_IP6 = "fd00:77::1", "fd00:77::2"
PORT = 7777  # of servers of our own; one that Wireshark has no protocol for
LIMIT = 40.0  # seconds that any one call may block

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 1, 2, 0x1000


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT).stdout


def _add_namespace(name: str) -> None:
    """Make a namespace with a small table of connections, which Truth then reads quickly."""
    size = Path("/proc/sys/net/ipv4/tcp_child_ehash_entries")
    before = size.read_text()
    size.write_text("1024")
    try:
        run("ip", "netns", "add", name)
    finally:
        size.write_text(before)


class Host:
    """One namespace with a device eth0 whose other end is `descriptor`."""

    def __init__(self, role: str, link: int, v6: bool) -> None:
        self.role = role
        self.namespace = f"tcpscope-{role}-{os.getpid()}"
        number = 1 if role == "client" else 2
        self.address, self.address6 = f"10.77.0.{number}", f"fd00:77::{number}"
        self.peer, self.peer6 = f"10.77.0.{3 - number}", f"fd00:77::{3 - number}"
        _add_namespace(self.namespace)
        self._handle = os.open(f"/var/run/netns/{self.namespace}", os.O_RDONLY)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.descriptor = self._device(link, number, v6)

    def _device(self, link: int, number: int, v6: bool) -> int:
        with self.inside():
            # Without IPv6 its multicast chatter stays out of the captures, which should hold only what they are about.
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("0" if v6 else "1")
            Path("/proc/sys/net/ipv6/conf/default/router_solicitations").write_text("0")
            descriptor = os.open("/dev/net/tun", os.O_RDWR)
            kind = _IFF_TAP if link == wire.ETHERNET else _IFF_TUN
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"eth0", kind | _IFF_NO_PI))
            commands = ["link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"]
            if v6:
                commands.insert(1, f"-6 addr add {self.address6}/64 dev eth0 nodad")
            if link == wire.ETHERNET:
                commands.insert(0, f"link set eth0 address 02:00:00:77:00:0{number}")
                for peer in (self.peer, self.peer6) if v6 else (self.peer,):
                    commands.append(f"neigh add {peer} lladdr 02:00:00:77:00:0{3 - number} dev eth0")
            for command in commands:
                run("ip", *command.split())
        return descriptor

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in this namespace for the length of the block."""
        _setns(self._handle)
        try:
            yield
        finally:
            _setns(self._home)

    def close(self) -> None:
        # Orphaned sockets would go on repeating their FIN for minutes, and show up in the next scenario's trace.
        self.run("ss", "--kill", "--tcp", "--all", check=False)
        for descriptor in (self.descriptor, self._handle, self._home):
            os.close(descriptor)
        run("ip", "netns", "delete", self.namespace)

    def sysctl(self, key: str, value: object) -> None:
        with self.inside():
            Path("/proc/sys/net/ipv4", key).write_text(str(value))

    def unbound(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        with self.inside():
            made = socket.socket(family, kind, protocol)
        made.settimeout(LIMIT)
        return made

    def bound(
        self, port: int, options: dict[tuple[int, int], int | bytes] | None = None, v6: bool = False
    ) -> socket.socket:
        """A TCP socket bound to this host's address and a fixed port."""
        made = self.unbound(socket.AF_INET6 if v6 else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for (level, name), value in (options or {}).items():
            made.setsockopt(level, name, value)
        made.bind((self.address6 if v6 else self.address, port))
        return made

    def listen(
        self, port: int, backlog: int = 16, options: dict[tuple[int, int], int | bytes] | None = None, v6: bool = False
    ) -> socket.socket:
        made = self.bound(port, options, v6)
        made.listen(backlog)
        return made

    def popen(self, *command: str, **arguments: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["ip", "netns", "exec", self.namespace, *command], **arguments)

    def run(self, *command: str, check: bool = True, **arguments: Any) -> subprocess.CompletedProcess[bytes]:
        arguments.setdefault("capture_output", True)
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *command], timeout=LIMIT, check=False, **arguments
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{command[0]} exited with {done.returncode}: {done.stdout!r} {done.stderr!r}")
        return done


class Lab:
    """One scenario's world. `path` is the capture to be written, `work` a directory for everything else."""

    def __init__(self, path: Path, delay: float, point: str, link: int, v6: bool) -> None:
        self.path = path
        self.after: Callable[[Path], None] | None = None  # last touch to the finished file
        self._stack = contextlib.ExitStack()
        self.work = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tcpscope-record-")))
        self._threads: list[threading.Thread] = []
        try:
            self.client = Host("client", link, v6)
            self._stack.callback(self.client.close)
            self.server = Host("server", link, v6)
            self._stack.callback(self.server.close)
            self.relay = Relay((self.client.descriptor, self.server.descriptor), delay, point, link)
            self.relay.start()
            self._stack.callback(self.relay.stop)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stack.close()

    def own(self, thing: Any) -> Any:
        """Have `thing` closed with the lab (sockets that a scenario leaves open to its end)."""
        self._stack.callback(thing.close)
        return thing

    def pair(
        self, port: int, client_port: int, listener: socket.socket | None = None, v6: bool = False
    ) -> tuple[socket.socket, socket.socket]:
        """An established connection: (client's socket, server's socket)."""
        ear = listener or self.server.listen(port, v6=v6)
        near = self.client.bound(client_port, v6=v6)
        near.connect((self.server.address6 if v6 else self.server.address, port))
        far, _ = ear.accept()
        far.settimeout(LIMIT)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener is None:
            ear.close()
        return self.own(near), self.own(far)

    def spawn(self, task: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=task, daemon=True)
        thread.start()
        return thread

    def daemon(self, host: Host, *command: str, **arguments: Any) -> subprocess.Popen[bytes]:
        """A program that runs until the lab closes."""
        log = self._stack.enter_context((self.work / "daemon.log").open("ab"))
        arguments = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | arguments
        process = host.popen(*command, **arguments)

        def end() -> None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

        self._stack.callback(end)
        return process

    def wait_listening(self, host: Host, port: int) -> None:
        wanted = f":{port:04X} "
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with host.inside():
                tables = [Path(f"/proc/thread-self/net/{name}").read_text() for name in ("tcp", "tcp6")]
            for line in "".join(tables).splitlines():
                fields = line.split()
                if fields[3] == "0A" and wanted in fields[1] + " ":
                    return
            time.sleep(0.02)
        raise RuntimeError(f"nothing listens on port {port}: {(self.work / 'daemon.log').read_text()}")

    def until(self, condition: Callable[[], bool], seconds: float = LIMIT) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the scenario did not come about")
            time.sleep(0.005)

    def seen(self, match: wire.Match) -> int:
        """How many segments so far reached the relay that match."""
        return sum(1 for segment in list(self.relay.seen) if match(segment))


def drain(connection: socket.socket) -> int:
    """Read to the end of the stream; bytes read."""
    total = 0
    while chunk := connection.recv(65536):
        total += len(chunk)
    return total


def linger_zero(connection: socket.socket) -> None:
    """close() will abort: RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def start_with(connection: socket.socket, isn: int) -> None:
    """Have connect() use this initial sequence number (by TCP_REPAIR, which needs CAP_NET_ADMIN)."""
    repair, queue, queue_seq, send_queue = 19, 20, 21, 2
    connection.setsockopt(socket.IPPROTO_TCP, repair, 1)
    connection.setsockopt(socket.IPPROTO_TCP, queue, send_queue)
    connection.setsockopt(socket.IPPROTO_TCP, queue_seq, struct.pack("I", isn))
    connection.setsockopt(socket.IPPROTO_TCP, repair, 0)
