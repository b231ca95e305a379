"""How connections open, or fail to."""

from __future__ import annotations

import contextlib
import socket
import time

from .. import wire
from ..lab import PORT, Lab, drain, linger_zero, run
from ..relay import CLIENT
from ..scenario import scenario


def exchange(near: socket.socket, far: socket.socket) -> None:
    """A question and an answer, so that an open connection is seen to work."""
    near.sendall(b"question\n")
    far.recv(100)
    far.sendall(b"answer\n")
    near.recv(100)


def finish(near: socket.socket, far: socket.socket) -> None:
    """Close in order, the client first."""
    near.close()
    drain(far)
    far.close()
    time.sleep(0.05)


@scenario(
    "refused",
    "SYN to a port where nobody listens, answered by RST",
    proof=("tcp.flags.reset == 1 && tcp.flags.ack == 1 && tcp.ack == 1",),
    counters=("server.TcpOutRsts", "client.TcpAttemptFails"),
)
def refused(lab: Lab) -> None:
    with contextlib.suppress(ConnectionRefusedError), lab.client.bound(51001) as near:
        near.connect((lab.server.address, 81))


@scenario(
    "rejected-by-icmp",
    "a filter on the path rejects the SYN by ICMP (communication administratively prohibited)",
    proof=("icmp.type == 3 && icmp.code == 13", "!tcp.flags.ack == 1"),
    counters=("client.TcpAttemptFails",),
)
def rejected_by_icmp(lab: Lab) -> None:
    def refuse(segment: wire.Segment) -> bool:
        lab.relay.inject(CLIENT, wire.prohibited(segment.frame))
        return True

    lab.relay.drop(refuse, count=-1)
    with contextlib.suppress(OSError), lab.client.bound(51080) as near:
        near.connect((lab.server.address, PORT))


@scenario(
    "unanswered",
    "SYN repeated four times after 1, 2, 4 and 8 seconds (exponential back-off); nobody ever answers",
    proof=("tcp.analysis.retransmission && frame.number == 5", "!tcp.flags.ack == 1"),
    counters=("client.TcpExtTCPTimeouts",),
)
def unanswered(lab: Lab) -> None:
    lab.relay.drop(wire.syn, count=-1)
    lab.client.sysctl("tcp_syn_retries", 4)
    lab.client.sysctl("tcp_syn_linear_timeouts", 0)
    with contextlib.suppress(TimeoutError), lab.client.bound(51002) as near:
        near.connect((lab.server.address, PORT))


@scenario(
    "unanswered-linear",
    "the same with the setting that Linux has had since 6.5: the SYN is repeated every second, without back-off",
    proof=("tcp.analysis.retransmission && frame.number == 4", "!tcp.flags.ack == 1"),
    counters=("client.TcpExtTCPTimeouts",),
)
def unanswered_linear(lab: Lab) -> None:
    lab.relay.drop(wire.syn, count=-1)
    lab.client.sysctl("tcp_syn_retries", 2)
    lab.client.sysctl("tcp_syn_linear_timeouts", 4)
    with contextlib.suppress(TimeoutError), lab.client.bound(51003) as near:
        near.connect((lab.server.address, PORT))


@scenario(
    "syn-lost",
    "the first SYN is lost on the way; the client repeats it after a second and the connection works",
    proof=("tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.analysis.retransmission", "tcp.flags.fin == 1"),
    counters=("client.TcpExtTCPSynRetrans",),
)
def syn_lost(lab: Lab) -> None:
    lab.relay.drop(wire.syn)
    near, far = lab.pair(PORT, 51010)
    exchange(near, far)
    finish(near, far)


@scenario(
    "syn-ack-lost",
    "the first SYN-ACK is lost; client and server both repeat theirs (seen at the server)",
    proof=("tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.analysis.retransmission", "tcp.flags.fin == 1"),
    counters=("server.TcpRetransSegs",),
    point="server",
)
def syn_ack_lost(lab: Lab) -> None:
    lab.relay.drop(wire.syn_ack)
    near, far = lab.pair(PORT, 51011)
    exchange(near, far)
    finish(near, far)


@scenario(
    "handshake-ack-lost",
    "the third segment is lost and the client has nothing to send: the server repeats its SYN-ACK after a second",
    proof=("tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.analysis.retransmission", "tcp.flags.fin == 1"),
    counters=("server.TcpRetransSegs",),
)
def handshake_ack_lost(lab: Lab) -> None:
    lab.relay.drop(wire.client(wire.pure_ack))
    near, far = lab.pair(PORT, 51012)
    exchange(near, far)
    finish(near, far)


@scenario(
    "third-segment-with-data",
    "the third segment of the handshake carries the request (TCP_QUICKACK off at the client)",
    proof=("frame.number == 3 && tcp.len > 0", "tcp.flags.fin == 1", "!tcp.analysis.flags"),
)
def third_segment_with_data(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    near = lab.own(lab.client.bound(51013, {(socket.IPPROTO_TCP, socket.TCP_QUICKACK): 0}))
    near.connect((lab.server.address, PORT))
    near.sendall(b"question\n")
    far = lab.own(listener.accept()[0])
    far.recv(100)
    far.sendall(b"answer\n")
    near.recv(100)
    finish(near, far)


@scenario(
    "open-simultaneous",
    "both sides connect() to each other at once and their SYNs cross: simultaneous open, four segments",
    proof=("tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.srcport == 7777", "tcp.flags.fin == 1"),
)
def open_simultaneous(lab: Lab) -> None:
    near, far = lab.own(lab.client.bound(51014)), lab.own(lab.server.bound(PORT))
    crossing = lab.relay.hold(wire.syn, count=2)
    for side, target in ((near, (lab.server.address, PORT)), (far, (lab.client.address, 51014))):
        side.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            side.connect(target)
    lab.until(lambda: crossing.hits == 2)
    lab.relay.release()
    lab.until(lambda: lab.seen(wire.syn_ack) == 2)
    time.sleep(0.1)
    for side in (near, far):
        side.settimeout(10)
    exchange(near, far)
    finish(near, far)


@scenario(
    "half-open-flood",
    "120 SYNs from as many forged sources fill the half-open queue (SYN cookies off); an honest client gets no answer",
    proof=("ip.src == 10.77.0.1 && tcp.analysis.retransmission", "!ip.src == 10.77.0.2 && ip.dst == 10.77.0.1"),
    counters=("server.TcpRetransSegs", "server.TcpExtListenDrops"),
    point="server",
)
def half_open_flood(lab: Lab) -> None:
    run("ip", "netns", "exec", lab.server.namespace, "ip", "route", "add", "10.78.0.0/16", "via", lab.client.address)
    lab.server.sysctl("tcp_syncookies", 0)
    lab.server.sysctl("tcp_max_syn_backlog", 64)
    lab.server.sysctl("tcp_synack_retries", 2)
    lab.client.sysctl("tcp_syn_retries", 1)
    lab.own(lab.server.listen(PORT, backlog=64))
    raw = lab.own(lab.client.unbound(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW))
    for number in range(120):
        source = (f"10.78.{number % 7}.{number + 1}", 20000 + 7 * number)
        packet = wire.tcp_packet(
            source, (lab.server.address, PORT), wire.SYN, 0x10000000 + number * 7919, options=b"\x02\x04\x05\xb4"
        )
        raw.sendto(packet, (lab.server.address, 0))
        time.sleep(0.004)
    with contextlib.suppress(TimeoutError), lab.client.bound(51015) as near:
        near.connect((lab.server.address, PORT))
    time.sleep(6)


def _overflow(lab: Lab, first_port: int, seconds: float) -> None:
    """Two clients, then two at once, then one more, towards a listener with room for three that does not accept()."""
    lab.own(lab.server.listen(PORT, backlog=2))
    nears = [lab.own(lab.client.bound(first_port + number)) for number in range(5)]

    def connect(near: socket.socket) -> None:
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            near.connect((lab.server.address, PORT))

    for near in nears[:2]:
        connect(near)
        time.sleep(0.05)
    # Both of the next two get a SYN-ACK while there is room for one of them.
    held = lab.relay.hold(wire.client(wire.pure_ack), count=2)
    for near in nears[2:4]:
        connect(near)
    lab.until(lambda: held.hits == 2)
    lab.relay.release()
    time.sleep(0.03)
    for near in nears[:4]:
        with contextlib.suppress(ConnectionResetError):
            near.send(b"question\n")
    connect(nears[4])
    time.sleep(seconds)


@scenario(
    "accept-queue-full",
    "the program does not accept(): a fourth client finds the accept queue full, the server ignores its ACK and data "
    "and repeats its SYN-ACK; a fifth client's SYN is dropped",
    proof=(
        "tcp.dstport == 51023 && tcp.flags.syn == 1 && tcp.analysis.retransmission",
        "tcp.srcport == 51023 && tcp.len > 0 && tcp.analysis.retransmission",
        "!tcp.dstport == 51024",
    ),
    counters=("server.TcpExtListenOverflows",),
)
def accept_queue_full(lab: Lab) -> None:
    lab.server.sysctl("tcp_abort_on_overflow", 0)
    lab.server.sysctl("tcp_synack_retries", 2)
    lab.client.sysctl("tcp_syn_retries", 2)
    _overflow(lab, 51020, 8)


@scenario(
    "accept-queue-full-rst",
    "the same with tcp_abort_on_overflow=1: the server answers the fourth client with RST",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 7777 && tcp.dstport == 51028",),
    counters=("server.TcpExtListenOverflows",),
)
def accept_queue_full_rst(lab: Lab) -> None:
    lab.server.sysctl("tcp_abort_on_overflow", 1)
    _overflow(lab, 51025, 0.5)


def _fast_open(lab: Lab, listener: socket.socket, client_port: int) -> None:
    near = lab.own(lab.client.bound(client_port))
    near.setblocking(True)
    near.sendto(b"question\n" * 20, socket.MSG_FASTOPEN, (lab.server.address, PORT))
    far = lab.own(listener.accept()[0])
    far.settimeout(10)
    far.recv(1000)
    far.sendall(b"answer\n")
    near.recv(100)
    finish(near, far)


def _fast_open_listener(lab: Lab) -> socket.socket:
    for host in (lab.client, lab.server):
        host.sysctl("tcp_fastopen", 3)
    lab.server.sysctl("tcp_fastopen_key", "0123abcd-11112222-33334444-55556666")
    listener: socket.socket = lab.own(lab.server.listen(PORT, options={(socket.IPPROTO_TCP, socket.TCP_FASTOPEN): 8}))
    return listener


@scenario(
    "fast-open",
    "TCP Fast Open (RFC 7413): the first connection asks for a cookie, the second sends it with data on its SYN",
    proof=(
        "tcp.options.tfo.request",
        "tcp.flags.syn == 1 && tcp.len > 0",
        "tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.ack == 181",
    ),
    counters=("server.TcpExtTCPFastOpenPassive", "client.TcpExtTCPFastOpenActive"),
)
def fast_open(lab: Lab) -> None:
    listener = _fast_open_listener(lab)
    _fast_open(lab, listener, 51030)
    _fast_open(lab, listener, 51031)


@scenario(
    "fast-open-refused",
    "the server changed its key: it acknowledges only the SYN, and the client sends the data again after the handshake",
    proof=(
        "tcp.flags.syn == 1 && tcp.len > 0",
        "tcp.stream == 1 && tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.ack == 1",
    ),
    counters=("server.TcpExtTCPFastOpenPassiveFail",),
)
def fast_open_refused(lab: Lab) -> None:
    listener = _fast_open_listener(lab)
    _fast_open(lab, listener, 51032)
    lab.server.sysctl("tcp_fastopen_key", "89abcdef-55556666-77778888-9999aaaa")
    _fast_open(lab, listener, 51033)


@scenario(
    "stale-syn",
    "an old SYN arrives, the new one is lost (as in RFC 9293 figure 8): the client answers the SYN-ACK of the old one "
    "with RST, and its repeated SYN succeeds",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51034", "tcp.flags.fin == 1"),
    counters=("client.TcpOutRsts",),
)
def stale_syn(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    old = lab.relay.hold(wire.syn)
    with lab.client.bound(51034) as given_up:
        given_up.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            given_up.connect((lab.server.address, PORT))
        lab.until(lambda: old.hits == 1)
    time.sleep(0.2)
    lab.relay.drop(wire.syn)
    near = lab.own(lab.client.bound(51034))
    near.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        near.connect((lab.server.address, PORT))
    lab.until(lambda: lab.seen(wire.syn) == 2)
    lab.relay.release()
    far = lab.own(listener.accept()[0])
    near.settimeout(10)
    exchange(near, far)
    finish(near, far)


@scenario(
    "stale-syn-nobody-there",
    "a SYN arrives after its client has given up: the SYN-ACK is answered by RST because that socket is gone",
    proof=("frame.number == 3 && tcp.flags.reset == 1 && tcp.flags.ack == 0",),
    counters=("client.TcpOutRsts",),
)
def stale_syn_nobody_there(lab: Lab) -> None:
    lab.own(lab.server.listen(PORT))
    old = lab.relay.hold(wire.syn)
    with lab.client.bound(51035) as given_up:
        given_up.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            given_up.connect((lab.server.address, PORT))
        lab.until(lambda: old.hits == 1)
    time.sleep(0.2)
    lab.relay.release()
    lab.until(lambda: lab.seen(lambda s: bool(s.flags & wire.RST)) == 1)


@scenario(
    "syn-in-established",
    "a forged SYN on an open connection: the server answers with a challenge ACK (RFC 5961) and the connection goes on",
    proof=("frame.number > 5 && tcp.flags.syn == 1", "!tcp.flags.reset == 1", "tcp.flags.fin == 1"),
    counters=("server.TcpExtTCPChallengeACK",),
)
def syn_in_established(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51036)
    exchange(near, far)
    raw = lab.own(lab.client.unbound(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW))
    packet = wire.tcp_packet(
        (lab.client.address, 51036), (lab.server.address, PORT), wire.SYN, 0x12345678, options=b"\x02\x04\x05\xb4"
    )
    raw.sendto(packet, (lab.server.address, 0))
    time.sleep(0.2)
    exchange(near, far)
    finish(near, far)


@scenario(
    "client-restarted",
    "the client loses the connection without a word and opens it again: challenge ACK, RST, new handshake (RFC "
    "9293 figure 9)",
    proof=("tcp.flags.reset == 1 && tcp.srcport == 51037", "tcp.flags.fin == 1"),
    counters=("server.TcpExtTCPChallengeACK",),
    point="server",
)
def client_restarted(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT))
    near, far = lab.pair(PORT, 51037, listener)
    exchange(near, far)
    silence = lab.relay.drop(lambda s: s.from_client and bool(s.flags & wire.RST))
    linger_zero(near)
    near.close()
    lab.until(lambda: silence.hits == 1)
    time.sleep(0.2)
    near, second = lab.pair(PORT, 51037, listener)
    exchange(near, second)
    finish(near, second)
