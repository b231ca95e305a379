"""What the kernel itself says about a scenario: state changes, retransmissions, resets, counters.

State changes come from the tracepoint sock:inet_sock_set_state. The kernel turns a socket in TIME-WAIT (and an orphan
in FIN-WAIT-2) into a small record that the tracepoint does not follow, and keeps a half-open connection as a request
without a socket: those are read from /proc/net/tcp every few milliseconds.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import subprocess
import tempfile
import threading
import time
from io import FileIO
from pathlib import Path
from typing import Any

from .lab import CLIENT_IP, CLIENT_IP6, SERVER_IP, SERVER_IP6, Host, Lab

NAMES = {
    "TCP_ESTABLISHED": "ESTABLISHED",
    "TCP_SYN_SENT": "SYN-SENT",
    "TCP_SYN_RECV": "SYN-RECEIVED",
    "TCP_FIN_WAIT1": "FIN-WAIT-1",
    "TCP_FIN_WAIT2": "FIN-WAIT-2",
    "TCP_TIME_WAIT": "TIME-WAIT",
    "TCP_CLOSE": "CLOSED",
    "TCP_CLOSE_WAIT": "CLOSE-WAIT",
    "TCP_LAST_ACK": "LAST-ACK",
    "TCP_LISTEN": "LISTEN",
    "TCP_CLOSING": "CLOSING",
}
POLLED = {"03": "SYN-RECEIVED", "05": "FIN-WAIT-2", "06": "TIME-WAIT"}
CONGESTION = ("open", "disorder", "cwr", "recovery", "loss")
EVENTS = (
    "sock/inet_sock_set_state",
    "tcp/tcp_retransmit_skb",
    "tcp/tcp_retransmit_synack",
    "tcp/tcp_send_reset",
    "tcp/tcp_cong_state_set",
)
SHOWN = 12  # sockets a capture; a flood has hundreds alike

_LINE = re.compile(r"\s(\d+\.\d+): (\w+): (.*)$")
Tuple = tuple[str, int, str, int]  # local address and port, remote address and port


class Polled:
    """A record without a socket, as /proc/net/tcp shows it over time."""

    def __init__(self, key: Tuple, state: str, first: float) -> None:
        self.key, self.state, self.first, self.last = key, state, first, first
        self.alive = True


class Truth:
    """Collects between start() and finish(); used as a context manager around a scenario."""

    def __init__(self, lab: Lab) -> None:
        self.hosts: tuple[Host, Host] = (lab.client, lab.server)
        self._stack = contextlib.ExitStack()
        self._stop = threading.Event()
        self._polled: list[Polled] = []
        self._before = [counters(host) for host in self.hosts]
        self.wall_offset = time.time() - time.monotonic()

    def __enter__(self) -> Truth:
        self._instance = self._trace()
        self._pollers = [threading.Thread(target=self._poll, args=(host,), daemon=True) for host in self.hosts]
        for poller in self._pollers:
            poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._stack.close()

    def _trace(self) -> Path:
        root = Path(tempfile.mkdtemp(prefix="tcpscope-trace-"))
        self._stack.callback(root.rmdir)  # not a tree removal: never inside a tracefs that is still mounted
        subprocess.run(["mount", "-t", "tracefs", "none", str(root)], check=True)
        self._stack.callback(subprocess.run, ["umount", str(root)], check=True)
        instance = root / "instances" / f"tcpscope-{os.getpid()}"
        instance.mkdir()
        self._stack.callback(instance.rmdir)
        (instance / "trace_clock").write_text("mono")
        for event in EVENTS:
            (instance / "events" / event / "enable").write_text("1")
            self._stack.callback((instance / "events" / event / "enable").write_text, "0")
        return instance

    def _poll(self, host: Host) -> None:
        with contextlib.ExitStack() as stack:
            with host.inside():  # a table once open stays that of its namespace
                paths = [Path(f"/proc/thread-self/net/{name}") for name in ("tcp", "tcp6")]
                tables = [stack.enter_context(path.open("rb", buffering=0)) for path in paths]
            self._watch(tables)

    def _watch(self, tables: list[FileIO]) -> None:
        live: dict[tuple[Tuple, str], Polled] = {}
        while not self._stop.wait(0.01):
            now = time.monotonic()
            found = set()
            for table in tables:
                table.seek(0)
                for line in table.readall().decode().splitlines()[1:]:
                    fields = line.split()
                    if fields[3] in POLLED and fields[9] == "0":
                        found.add(((*_address(fields[1]), *_address(fields[2])), POLLED[fields[3]]))
            for mark in found:
                if mark not in live:
                    live[mark] = Polled(*mark, now)
                    self._polled.append(live[mark])
                live[mark].last = now
            for mark in [mark for mark in live if mark not in found]:
                live.pop(mark).alive = False

    def finish(self, first_ns: int) -> dict[str, Any]:
        """The truth of the scenario that just ended; times in seconds since the capture's first frame."""
        self._stop.set()
        for poller in self._pollers:
            poller.join(5)
        origin = first_ns / 1e9 - self.wall_offset
        events = _events((self._instance / "trace").read_text())
        sockets = self._paths(events, origin)
        truth: dict[str, Any] = {"sockets": sockets[:SHOWN]}
        if len(sockets) > SHOWN:
            truth["sockets_not_listed"] = len(sockets) - SHOWN
        truth |= _sent_again(events, origin)
        truth["counters"] = {
            host.role: _difference(before, counters(host))
            for host, before in zip(self.hosts, self._before, strict=True)
        }
        return truth

    def _paths(self, events: list[tuple[float, str, dict[str, str]]], origin: float) -> list[dict[str, Any]]:
        live: dict[Tuple, list[tuple[str, float]]] = {}
        done: list[tuple[Tuple, list[tuple[str, float]]]] = []
        for when, event, fields in events:
            if event != "inet_sock_set_state" or fields["protocol"] != "IPPROTO_TCP":
                continue
            key, old, new = _key(fields), NAMES[fields["oldstate"]], NAMES[fields["newstate"]]
            if key[0] not in SIDES or not key[3]:
                continue  # other traffic of the machine, and listeners
            path = live.setdefault(key, [(old, when)])
            if path[-1][0] != new:
                path.append((new, when))
            if new == "CLOSED":
                done.append((key, live.pop(key)))
        done += live.items()
        for polled in sorted(self._polled, key=lambda one: one.first):
            _attach(done, polled)
        done.sort(key=lambda path: path[1][0][1])
        return [
            {
                "side": SIDES[key[0]],
                "local": _text(key[0], key[1]),
                "remote": _text(key[2], key[3]),
                "states": [
                    [state, None if state in ("LISTEN", "CLOSED") and i == 0 else round(when - origin, 6)]
                    for i, (state, when) in enumerate(path)
                ],
            }
            for key, path in done
        ]


SIDES = {CLIENT_IP: "client", CLIENT_IP6: "client", SERVER_IP: "server", SERVER_IP6: "server"}


def _attach(paths: list[tuple[Tuple, list[tuple[str, float]]]], polled: Polled) -> None:
    """Put a polled record where it belongs in the path of its connection, or make it a path of its own."""
    same = [path for key, path in paths if key == polled.key]
    if polled.state == "SYN-RECEIVED":
        # The socket made at the end of the handshake reports SYN-RECEIVED itself, in passing.
        if not any(path[0][0] == "LISTEN" and -0.1 < path[1][1] - polled.last < 0.1 for path in same):
            path = [("LISTEN", polled.first), ("SYN-RECEIVED", polled.first)]
            paths.append((polled.key, path if polled.alive else [*path, ("CLOSED", polled.last)]))
        else:
            path = next(path for path in same if path[0][0] == "LISTEN" and -0.1 < path[1][1] - polled.last < 0.1)
            path[1] = ("SYN-RECEIVED", polled.first)
        return
    earlier = [path for path in same if path[0][1] <= polled.first]
    if not earlier:
        return
    path = earlier[-1]
    if path[-1][0] == "CLOSED":
        closed = path.pop()[1]
        began = closed if polled.first - closed < 0.1 else polled.first
    else:
        began = polled.first
    if path[-1][0] != polled.state:
        path.append((polled.state, began))
    if not polled.alive:
        path.append(("CLOSED", polled.last))


def _events(trace: str) -> list[tuple[float, str, dict[str, str]]]:
    events = []
    for line in trace.splitlines():
        if not line.startswith("#") and (match := _LINE.search(line)):
            fields = dict(word.split("=", 1) for word in match[3].split() if "=" in word)
            events.append((float(match[1]), match[2], fields))
    return sorted(events, key=lambda event: event[0])


def _key(fields: dict[str, str]) -> Tuple:
    v6 = fields["family"] == "AF_INET6"
    local, remote = (fields["saddrv6"], fields["daddrv6"]) if v6 else (fields["saddr"], fields["daddr"])
    # An IPv4 connection to a socket that listens on [::] has mapped addresses.
    local, remote = local.removeprefix("::ffff:"), remote.removeprefix("::ffff:")
    return local, int(fields["sport"]), remote, int(fields["dport"])


def _sent_again(events: list[tuple[float, str, dict[str, str]]], origin: float) -> dict[str, Any]:
    """Retransmissions with the sender's congestion state (in effect the cause), resets with the kernel's reason."""
    congestion: dict[Tuple, str] = {}
    again: list[list[object]] = []
    resets: list[list[object]] = []
    for when, event, fields in events:
        at = round(when - origin, 6)
        if event == "tcp_cong_state_set":
            congestion[_key(fields)] = CONGESTION[int(fields["cong_state"])]
        elif event == "tcp_retransmit_skb" and (side := SIDES.get(_key(fields)[0])):
            again.append([at, side, NAMES.get(fields["state"], fields["state"]), congestion.get(_key(fields), "open")])
        elif event == "tcp_retransmit_synack" and (side := SIDES.get(_key(fields)[0])):
            again.append([at, side, "SYN-RECEIVED", "syn-ack"])
        elif event == "tcp_send_reset":
            source = fields["src"].rpartition(":")[0].strip("[]")
            if source in SIDES:
                resets.append([at, SIDES[source], fields["reason"].lower().replace("_", "-")])
    return {"retransmissions": again[:60], "resets": resets[:20]}


def _address(text: str) -> tuple[str, int]:
    """An address and port of /proc/net/tcp: 32-bit words in host order."""
    words, port = text.split(":")
    raw = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), int(port, 16)


def _text(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def counters(host: Host) -> dict[str, int]:
    """Tcp* and TcpExt* counters of a namespace, as nstat names them."""
    with host.inside():
        text = "".join(Path(f"/proc/thread-self/net/{name}").read_text() for name in ("snmp", "netstat"))
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *keys = names.split()
        if group in ("Tcp:", "TcpExt:"):
            found |= {group[:-1] + key: int(value) for key, value in zip(keys, values.split()[1:], strict=True)}
    return found


# Sizes of tables and queue statistics of the machine, not of what happened on the wire.
_DULL = (
    "TcpRto",
    "TcpMaxConn",
    "TcpCurrEstab",
    "TcpExtTCPHPHits",
    "TcpExtTCPHPAcks",
    "TcpExtTCPAutoCorking",
    "TcpExtTCPOrigDataSent",
    "TcpExtTCPDelivered",
    "TcpExtDelayedACKLocked",
    "TcpExtTCPRcvCoalesce",
    "TcpExtTCPHystart",
    "TcpExtTCPPureAcks",
)


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0) and not name.startswith(_DULL)
    }
