"""TIME-WAIT over time: held, cut short, and the same pair of ports used again."""

from __future__ import annotations

import contextlib
import socket
import time

from .. import wire
from ..lab import PORT, Lab, drain, start_with
from ..relay import SERVER
from ..scenario import scenario
from .opening import exchange, finish


def server_first(near: socket.socket, far: socket.socket) -> None:
    """Close in order, the server first, so that it keeps TIME-WAIT."""
    far.close()
    drain(near)
    time.sleep(0.1)
    near.close()
    time.sleep(0.05)


@scenario(
    "time-wait-held",
    "TIME-WAIT watched for all of Linux's 60 s; then the same ports carry a new connection",
    proof=("frame.time_relative > 60 && tcp.flags.syn == 1 && tcp.srcport == 51051", "!tcp.flags.reset == 1"),
    limit=100,
)
def time_wait_held(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    for pause in (61.5, 0.0):
        near, far = lab.pair(PORT, 51051, listener)
        exchange(near, far)
        finish(near, far)
        time.sleep(pause)


@scenario(
    "port-reused-safely",
    "half a second into the server's TIME-WAIT the client uses the same port again: higher ISN, newer timestamp "
    "(RFC 6191)",
    proof=("tcp.analysis.reused_ports", "!tcp.flags.reset == 1", "tcp.stream == 1 && tcp.flags.fin == 1"),
    counters=("server.TcpExtTW",),
)
def port_reused_safely(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    for pause in (0.5, 0.0):
        near, far = lab.pair(PORT, 51052, listener)
        exchange(near, far)
        server_first(near, far)
        time.sleep(pause)


@scenario(
    "port-reused-unsafely",
    "no TIME-WAIT and no timestamps at the server: the same ports come back with an ISN inside the old sequence "
    "numbers, and a delayed duplicate of the old connection is taken for data of the new one",
    proof=("tcp.analysis.reused_ports", "tcp.stream == 1 && tcp contains \"old data\""),
    counters=("server.TcpExtTCPTimeWaitOverflow",),
    point="server",
)  # fmt: skip
def port_reused_unsafely(lab: Lab) -> None:
    lab.server.sysctl("tcp_max_tw_buckets", 0)
    for host in (lab.client, lab.server):
        host.sysctl("tcp_timestamps", 0)
    listener = lab.own(lab.server.listen(PORT))
    isn = 0x20000000
    old: list[bytes] = []
    lab.relay.add_watch(lambda s: old.append(s.frame) if s.from_client and b"old data" in s.data else None)
    near = lab.own(lab.client.bound(51053))
    start_with(near, isn)
    near.connect((lab.server.address, PORT))
    far = lab.own(listener.accept()[0])
    exchange(near, far)
    near.sendall(b"old data of the first connection\n")
    far.recv(100)
    far.shutdown(socket.SHUT_WR)
    drain(near)
    time.sleep(0.1)
    near.close()
    drain(far)
    far.close()
    time.sleep(0.3)
    near = lab.own(lab.client.bound(51053))
    start_with(near, isn - len(b"question\n"))
    near.connect((lab.server.address, PORT))
    far = lab.own(listener.accept()[0])
    exchange(near, far)
    exchange(near, far)
    lab.relay.inject(SERVER, old[0])
    assert b"old data" in far.recv(100), "the old duplicate was not accepted"
    time.sleep(0.1)
    far.close()
    time.sleep(0.1)
    near.close()


@scenario(
    "port-reused-refused",
    "the same ports again inside TIME-WAIT with a lower ISN and no timestamp: the server's TIME-WAIT answers with its "
    "old ACK, the client resets it and its repeated SYN succeeds",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51054", "tcp.flags.fin == 1"),
)
def port_reused_refused(lab: Lab) -> None:
    for host in (lab.client, lab.server):
        host.sysctl("tcp_timestamps", 0)
    listener = lab.own(lab.server.listen(PORT))
    for isn in (0x30000000, 0x2FFFFF00):
        near = lab.own(lab.client.bound(51054))
        start_with(near, isn)
        near.connect((lab.server.address, PORT))
        far = lab.own(listener.accept()[0])
        exchange(near, far)
        server_first(near, far)


@scenario(
    "time-wait-killed",
    "a delayed duplicate reaches the server's TIME-WAIT, its ACK finds no socket at the client, whose RST ends "
    "TIME-WAIT early (RFC 1337)",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51055",),
    counters=("client.TcpOutRsts",),
    point="server",
)
def time_wait_killed(lab: Lab) -> None:
    lab.server.sysctl("tcp_rfc1337", 0)
    listener = lab.own(lab.server.listen(PORT))
    near, far = lab.pair(PORT, 51055, listener)
    lab.relay.duplicate(wire.client(wire.data), 0.8)
    exchange(near, far)
    server_first(near, far)
    time.sleep(1)
    with contextlib.suppress(OSError):
        near, far = lab.pair(PORT, 51056, listener)
        exchange(near, far)
        finish(near, far)
