"""How connections close, in order or not, and what TIME-WAIT is for."""

from __future__ import annotations

import contextlib
import socket
import time

from .. import wire
from ..lab import PORT, Lab, drain, linger_zero
from ..scenario import scenario
from .opening import exchange, finish


@scenario(
    "server-closes-first",
    "HTTP/1.0 style: the server closes first, in four segments, and has to keep TIME-WAIT",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 7777 && frame.number < 9", "!tcp.analysis.flags"),
    counters=("server.TcpExtTW",),
)
def server_closes_first(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51005)
    near.sendall(b"GET / HTTP/1.0\r\n\r\n")
    far.recv(100)
    far.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
    far.close()
    drain(near)
    time.sleep(0.15)  # longer than a delayed acknowledgement: the FIN is acknowledged on its own
    near.close()
    time.sleep(0.05)


@scenario(
    "half-close-data-after",
    "the client shuts down its sending side; the server goes on sending for 0.4 s, acknowledged, before it closes too",
    proof=(
        "tcp.flags.fin == 1 && tcp.srcport == 51040",
        "tcp.srcport == 7777 && tcp.len > 0 && frame.number > 12",
        "!tcp.analysis.flags",
    ),
)
def half_close_data_after(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51040)
    near.sendall(b"send me everything\n")
    near.shutdown(socket.SHUT_WR)
    drain(far)
    for number in range(4):
        time.sleep(0.1)
        far.sendall(b"part %d of 4\n" % number)
    far.close()
    drain(near)
    time.sleep(0.05)
    near.close()


@scenario(
    "close-three-segment",
    "the server has nothing left to send: its ACK and FIN are one segment, the close takes three",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 7777 && tcp.ack == 11", "!tcp.analysis.flags"),
)
def close_three_segment(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51041)
    exchange(near, far)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    finish(near, far)


@scenario(
    "close-simultaneous",
    "both sides close at once and their FINs cross: both pass through CLOSING into TIME-WAIT",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 51042", "tcp.flags.fin == 1 && tcp.srcport == 7777 && tcp.ack == 10"),
    counters=("client.TcpExtTW", "server.TcpExtTW"),
)
def close_simultaneous(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51042)
    exchange(near, far)
    time.sleep(0.1)
    crossing = lab.relay.hold(wire.fin, count=2)
    near.close()
    far.close()
    lab.until(lambda: crossing.hits == 2)
    lab.relay.release()
    time.sleep(0.1)


@scenario(
    "abort-rst",
    "the client aborts (SO_LINGER 0) while what it sent last is not acknowledged: RST instead of FIN",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51004", "!tcp.flags.fin == 1"),
    counters=("client.TcpOutRsts",),
    snap=200,
)
def abort_rst(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51004)
    exchange(near, far)
    time.sleep(0.1)
    near.sendall(b"x" * 3000)
    linger_zero(near)
    near.close()
    with contextlib.suppress(ConnectionResetError):
        drain(far)


@scenario(
    "unread-data-rst",
    "the server closes without having read all of the request: RST instead of FIN, and the client loses the answer",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 7777",),
    counters=("server.TcpExtTCPAbortOnClose",),
    snap=200,
)
def unread_data_rst(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51043)
    near.sendall(b"POST /upload HTTP/1.1\r\n\r\n" + b"u" * 4000)
    time.sleep(0.1)
    far.recv(24)
    far.sendall(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
    far.close()
    time.sleep(0.1)
    near.close()


@scenario(
    "fin-lost",
    "the client's FIN is lost and repeated",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 51044 && tcp.analysis.retransmission",),
    counters=("client.TcpRetransSegs",),
)
def fin_lost(lab: Lab) -> None:
    lab.relay.drop(wire.client(wire.fin))
    near, far = lab.pair(PORT, 51044)
    exchange(near, far)
    finish(near, far)


@scenario(
    "data-after-close-rst",
    "the client has closed both directions; data of the server that comes later is answered by RST",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51045", "tcp.flags.fin == 1 && tcp.srcport == 51045"),
    counters=("client.TcpOutRsts",),
)
def data_after_close_rst(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51045)
    exchange(near, far)
    near.close()
    drain(far)
    time.sleep(0.2)
    far.sendall(b"one more thing\n")
    time.sleep(0.1)
    with contextlib.suppress(OSError):
        far.sendall(b"and another\n")


@scenario(
    "close-wait-leak",
    "the client closes, the server's program never does: CLOSE-WAIT for the 30 s that the capture still lasts",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 51046", "!tcp.flags.fin == 1 && tcp.dstport == 51046",
           "tcp.flags.fin == 1 && tcp.srcport == 51047"),
)  # fmt: skip
def close_wait_leak(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    near, far = lab.pair(PORT, 51046, listener)
    exchange(near, far)
    near.close()
    drain(far)
    time.sleep(30)
    later, other = lab.pair(PORT, 51047, listener)
    exchange(later, other)
    finish(later, other)


@scenario(
    "fin-never-answered",
    "after its last ACK is lost the client falls silent: the server repeats its FIN five times with back-off, "
    "then gives up",
    proof=("frame.number > 12 && tcp.flags.fin == 1 && tcp.srcport == 7777 && tcp.analysis.retransmission",),
    counters=("server.TcpExtTCPTimeouts",),
    point="server",
)
def fin_never_answered(lab: Lab) -> None:
    lab.server.sysctl("tcp_orphan_retries", 4)
    near, far = lab.pair(PORT, 51048)
    exchange(near, far)
    near.close()
    drain(far)
    time.sleep(0.15)
    lab.relay.drop(lambda s: s.from_client, count=-1)
    far.close()
    time.sleep(15)


def lose_last_ack(lab: Lab, near: socket.socket, far: socket.socket) -> None:
    """The client closes first, in four segments, and the last of them is lost once."""
    near.shutdown(socket.SHUT_WR)  # a socket still open can miss its TIME-WAIT only when the FIN of the server is there
    drain(far)
    time.sleep(0.15)
    seen = lab.seen(wire.server(wire.fin))
    lost = lab.relay.drop(lambda s: wire.client(wire.pure_ack)(s) and lab.seen(wire.server(wire.fin)) > seen)
    far.close()
    lab.until(lambda: lost.hits == 1 and lab.seen(wire.server(wire.fin)) > seen + 1)
    time.sleep(0.1)
    near.close()


@scenario(
    "last-ack-lost",
    "the last ACK is lost; the server repeats its FIN and the client, in TIME-WAIT, acknowledges again",
    proof=("tcp.flags.fin == 1 && tcp.srcport == 7777 && tcp.analysis.retransmission", "!tcp.flags.reset == 1"),
    counters=("server.TcpRetransSegs", "client.TcpExtTW"),
)
def last_ack_lost(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51006)
    exchange(near, far)
    lose_last_ack(lab, near, far)


@scenario(
    "time-wait-not-held",
    "the client keeps no TIME-WAIT (tcp_max_tw_buckets=0): its last ACK is lost and the repeated FIN is answered "
    "by RST",
    proof=(
        "tcp.flags.fin == 1 && tcp.srcport == 7777 && tcp.analysis.retransmission",
        "tcp.flags.reset == 1 && tcp.srcport == 51050",
    ),
    counters=("client.TcpExtTCPTimeWaitOverflow", "client.TcpOutRsts"),
)
def time_wait_not_held(lab: Lab) -> None:
    lab.client.sysctl("tcp_max_tw_buckets", 0)
    near, far = lab.pair(PORT, 51050)
    exchange(near, far)
    lose_last_ack(lab, near, far)
