"""Loss, delay and reordering of data, closed windows, keep-alive."""

from __future__ import annotations

import contextlib
import socket
import time

from .. import wire
from ..files import Writer
from ..lab import PORT, Lab, drain, start_with
from ..relay import SERVER
from ..scenario import scenario
from .opening import exchange, finish

SNAP = 110  # headers with all options, and a taste of the data


def send_and_close(sender: socket.socket, data: bytes) -> None:
    sender.sendall(data)
    sender.close()


def download(lab: Lab, client_port: int, size: int) -> None:
    """The client asks, the server sends `size` bytes and closes."""
    near, far = lab.pair(PORT, client_port)
    near.sendall(b"send it\n")
    far.recv(100)
    sender = lab.spawn(lambda: send_and_close(far, b"d" * size))
    drain(near)
    sender.join(30)
    time.sleep(0.1)
    near.close()
    time.sleep(0.05)


@scenario(
    "lost-data-fast-retransmit",
    "one data segment of the server is lost; selective acknowledgements bring a fast retransmission (seen at the "
    "sender)",
    proof=("tcp.analysis.fast_retransmission", "tcp.options.sack_le"),
    counters=("server.TcpExtTCPFastRetrans", "server.TcpExtTCPSackRecovery"),
    point="server",
    snap=SNAP,
)
def lost_data_fast_retransmit(lab: Lab) -> None:
    lab.relay.drop(wire.server(wire.data), skip=3)
    download(lab, 51007, 40_000)


@scenario(
    "lost-data-at-receiver",
    "the same loss seen at the receiver: a gap, duplicate ACKs, then the missing segment",
    proof=("tcp.analysis.lost_segment", "tcp.analysis.duplicate_ack"),
    counters=("server.TcpExtTCPFastRetrans",),
    snap=SNAP,
)
def lost_data_at_receiver(lab: Lab) -> None:
    lab.relay.drop(wire.server(wire.data), skip=3)
    download(lab, 51008, 40_000)


@scenario(
    "lost-data-without-sack",
    "the same loss with selective acknowledgement off: three duplicate ACKs bring the fast retransmission",
    proof=("tcp.analysis.fast_retransmission", "tcp.analysis.duplicate_ack_num == 3", "!tcp.options.sack_le"),
    counters=("server.TcpExtTCPFastRetrans",),
    point="server",
    snap=SNAP,
)
def lost_data_without_sack(lab: Lab) -> None:
    lab.client.sysctl("tcp_sack", 0)
    lab.relay.drop(wire.server(wire.data), skip=3)
    download(lab, 51060, 40_000)


@scenario(
    "lost-data-burst",
    "five of ten segments are lost, among them a retransmission: selective acknowledgements fill the holes (seen "
    "at the sender)",
    proof=("tcp.options.sack.count > 1", "tcp.analysis.retransmission"),
    counters=("server.TcpRetransSegs", "server.TcpExtTCPSackRecovery"),
    point="server",
    snap=SNAP,
)
def lost_data_burst(lab: Lab) -> None:
    first: dict[int, int] = {}

    def lossy(segment: wire.Segment) -> bool:
        times = first[segment.seq] = first.get(segment.seq, 0) + 1
        place = list(first).index(segment.seq)
        return (times == 1 and place in {11, 13, 15, 16}) or (times == 2 and place == 13)

    lab.relay.drop(lambda s: wire.server(wire.data)(s) and lossy(s), count=-1)
    download(lab, 51061, 60_000)


@scenario(
    "timeout-retransmit",
    "a request is lost twice; only the retransmission timer brings it again, with back-off (tail-loss probes off)",
    proof=("tcp.analysis.rto", "tcp.len > 0 && tcp.analysis.retransmission"),
    counters=("client.TcpExtTCPTimeouts",),
)
def timeout_retransmit(lab: Lab) -> None:
    lab.client.sysctl("tcp_early_retrans", 0)
    near, far = lab.pair(PORT, 51062)
    exchange(near, far)
    time.sleep(0.1)
    lab.relay.drop(wire.client(wire.data), count=2)
    exchange(near, far)
    finish(near, far)


@scenario(
    "tail-loss-probe",
    "the last two segments of an answer are lost; after two round trips, long before the time-out, a tail-loss probe "
    "repeats the last, whose selective acknowledgement brings back the other",
    proof=("tcp.srcport == 7777 && tcp.analysis.retransmission",),
    counters=("server.TcpExtTCPLossProbes",),
    point="server",
    snap=SNAP,
)
def tail_loss_probe(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51063)
    exchange(near, far)
    exchange(near, far)
    lab.relay.drop(wire.server(wire.data), count=2, skip=4)
    far.sendall(b"t" * 1448 * 6)
    for _ in range(1448 * 6):
        near.recv(1)
    time.sleep(0.1)
    finish(near, far)


@scenario(
    "reordered",
    "the network swaps data segments; nothing is lost and nothing sent again (seen at the receiver)",
    proof=("tcp.analysis.out_of_order || tcp.analysis.lost_segment",),
    counters=("client.TcpExtTCPOFOQueue",),
    snap=SNAP,
)
def reordered(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51064)
    exchange(near, far)
    exchange(near, far)
    lab.relay.slow(wire.server(wire.data), 0.001, skip=2)
    far.sendall(b"r" * 1448 * 5)
    for _ in range(1448 * 5):
        near.recv(1)
    assert not sent_twice(lab), "the swap was taken for a loss"
    finish(near, far)


def sent_twice(lab: Lab) -> bool:
    """Has the server sent any of its data twice?"""
    numbers = [segment.seq for segment in lab.relay.seen if wire.server(wire.data)(segment)]
    return len(numbers) != len(set(numbers))


@scenario(
    "duplicated",
    "the network delivers one data segment twice; the receiver says so with a D-SACK (seen at the receiver)",
    proof=("tcp.analysis.spurious_retransmission || tcp.analysis.retransmission", "tcp.options.sack_le"),
    counters=("client.TcpExtTCPDSACKOldSent", "server.TcpExtTCPDSACKRecv"),
    snap=SNAP,
)
def duplicated(lab: Lab) -> None:
    lab.relay.duplicate(wire.server(wire.data), 0.02, skip=2)
    download(lab, 51065, 12_000)


@scenario(
    "spurious-retransmit",
    "ACKs are held up for 0.4 s: the time-out repeats data that had arrived, and a D-SACK shows that it was needless",
    proof=("tcp.srcport == 7777 && tcp.analysis.retransmission", "tcp.options.sack_le"),
    counters=("server.TcpExtTCPTimeouts", "server.TcpExtTCPDSACKRecv"),
    point="server",
    snap=SNAP,
)
def spurious_retransmit(lab: Lab) -> None:
    lab.server.sysctl("tcp_early_retrans", 0)
    near, far = lab.pair(PORT, 51066)
    exchange(near, far)
    time.sleep(0.1)
    held = lab.relay.hold(wire.client(wire.pure_ack), count=-1)
    far.sendall(b"s" * 1448 * 4)
    lab.until(lambda: held.hits > 0)
    time.sleep(0.4)
    lab.relay.clear()
    lab.relay.release()
    time.sleep(0.1)
    near.recv(1448 * 4)
    finish(near, far)


@scenario(
    "ack-lost",
    "an ACK of the receiver is lost; the next one covers it, nothing is repeated (seen at the receiver)",
    proof=("!tcp.analysis.retransmission", "tcp.flags.fin == 1"),
    snap=SNAP,
)
def ack_lost(lab: Lab) -> None:
    lab.relay.drop(wire.client(wire.pure_ack), count=2, skip=4)
    download(lab, 51067, 30_000)


@scenario(
    "zero-window",
    "the server's program does not read for two seconds: its window closes, the client probes, then the window reopens",
    # Linux probes with an old sequence number and no data, which Wireshark calls a keep-alive.
    proof=("tcp.analysis.zero_window", "tcp.analysis.keep_alive", "tcp.analysis.window_update"),
    counters=("server.TcpExtTCPToZeroWindowAdv", "client.TcpExtTCPWinProbe"),
    snap=SNAP,
)
def zero_window(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT, options={(socket.SOL_SOCKET, socket.SO_RCVBUF): 8192}))
    near, far = lab.pair(PORT, 51009, listener)
    sender = lab.spawn(lambda: send_and_close(near, b"z" * 40_000))
    time.sleep(2)
    drain(far)
    sender.join(5)
    time.sleep(0.1)
    far.close()
    time.sleep(0.05)


@scenario(
    "zero-window-abandoned",
    "the window closes and never opens again; after some probes the client's program gives up and aborts",
    proof=("tcp.analysis.zero_window", "tcp.analysis.keep_alive", "tcp.flags.reset == 1 && tcp.srcport == 51068"),
    counters=("client.TcpExtTCPWinProbe",),
    snap=SNAP,
)
def zero_window_abandoned(lab: Lab) -> None:
    listener = lab.own(lab.server.listen(PORT, options={(socket.SOL_SOCKET, socket.SO_RCVBUF): 4096}))
    near, _ = lab.pair(PORT, 51068, listener)
    near.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            near.send(b"z" * 1000)
    time.sleep(3)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()


def keep_alive_on(connection: socket.socket, probes: int = 9) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)


@scenario(
    "keep-alive",
    "an idle connection kept alive by a probe every second, each answered",
    proof=("tcp.analysis.keep_alive", "tcp.analysis.keep_alive_ack", "tcp.flags.fin == 1"),
    counters=("client.TcpExtTCPKeepAlive",),
)
def keep_alive(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51069)
    keep_alive_on(near)
    exchange(near, far)
    time.sleep(3.5)
    finish(near, far)


@scenario(
    "keep-alive-dead-peer",
    "the peer is gone without a word: three keep-alive probes find no answer and the connection is reset",
    proof=("tcp.analysis.keep_alive", "tcp.flags.reset == 1 && tcp.srcport == 51070"),
    counters=("client.TcpExtTCPKeepAlive", "client.TcpExtTCPAbortOnTimeout"),
)
def keep_alive_dead_peer(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51070)
    keep_alive_on(near, probes=3)
    exchange(near, far)
    time.sleep(0.2)
    lab.relay.drop(lambda _: True, count=-1)
    time.sleep(5)


@scenario(
    "slow-server",
    "the server acknowledges a request at once, but its program answers only after a second and a half",
    proof=("tcp.srcport == 7777 && tcp.len > 0 && tcp.time_delta > 1.2", "!tcp.analysis.retransmission"),
)
def slow_server(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51077)
    exchange(near, far)
    near.sendall(b"something difficult\n")
    far.recv(100)
    time.sleep(1.5)
    far.sendall(b"done\n")
    near.recv(100)
    finish(near, far)


@scenario(
    "pause-between-requests",
    "a client that asks again after three seconds: nothing is wrong, nobody has anything to say in between",
    proof=("tcp.srcport == 51078 && tcp.len > 0 && tcp.time_delta > 2.5", "!tcp.analysis.retransmission"),
)
def pause_between_requests(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51078)
    exchange(near, far)
    time.sleep(3)
    exchange(near, far)
    finish(near, far)


@scenario(
    "jitter",
    "the way to the server takes between 5 and 500 ms, differently for every request; nothing is lost, and nothing sent "
    "again (no tail-loss probes, time-out of a second)",
    proof=("tcp.analysis.ack_rtt > 0.4", "tcp.analysis.ack_rtt < 0.05", "!tcp.analysis.retransmission"),
)
def jitter(lab: Lab) -> None:
    for host in (lab.client, lab.server):
        host.sysctl("tcp_early_retrans", 0)
        host.sysctl("tcp_rto_min_us", 1_000_000)
    near, far = lab.pair(PORT, 51079)
    delays = (0, 0.1, 0.02, 0.15, 0, 0.05, 0.495, 0.02) * 5
    lab.relay.vary(wire.client(wire.data), delays)
    for _ in delays:
        exchange(near, far)
    finish(near, far)


@scenario(
    "path-mtu",
    "a router on the path takes at most 1,400 bytes and says so by ICMP: the server sends the same data again in "
    "smaller segments",
    proof=("icmp.type == 3 && icmp.code == 4", "tcp.len == 1348"),
    point="server",
    snap=SNAP,
)
def path_mtu(lab: Lab) -> None:
    def refuse(segment: wire.Segment) -> bool:
        if segment.from_client or len(segment.frame) <= 1414:
            return False
        lab.relay.inject(SERVER, wire.too_big(segment.frame, 1400))
        return True

    lab.relay.drop(refuse, count=-1)
    download(lab, 51071, 20_000)


@scenario(
    "path-mtu-black-hole",
    "the same router says nothing: time-outs, until the server tries smaller segments by itself (RFC 4821)",
    proof=("tcp.analysis.rto", "tcp.len == 1024"),
    counters=("server.TcpExtTCPTimeouts",),
    point="server",
    snap=SNAP,
)
def path_mtu_black_hole(lab: Lab) -> None:
    lab.server.sysctl("tcp_mtu_probing", 1)
    lab.relay.drop(lambda s: not s.from_client and len(s.frame) > 1414, count=-1)
    download(lab, 51072, 8_000)


@scenario(
    "ecn",
    "both hosts negotiate explicit congestion notification (ECE and CWR on the SYN, ECE on the SYN-ACK)",
    proof=("tcp.flags.syn == 1 && tcp.flags.ece == 1 && tcp.flags.cwr == 1",),
)
def ecn(lab: Lab) -> None:
    for host in (lab.client, lab.server):
        host.sysctl("tcp_ecn", 1)
    download(lab, 51073, 5_000)


@scenario(
    "urgent",
    "one byte of urgent data (MSG_OOB) in the middle of a stream",
    proof=("tcp.flags.urg == 1",),
)
def urgent(lab: Lab) -> None:
    near, far = lab.pair(PORT, 51074)
    exchange(near, far)
    near.send(b"abc!", socket.MSG_OOB)
    exchange(near, far)
    finish(near, far)


@scenario(
    "sequence-wrap",
    "the client's sequence numbers pass 2^32 in the middle of an upload, and the segment at the turn is lost",
    proof=(
        "tcp.seq_raw > 4294960000 && tcp.len > 0",
        "tcp.seq_raw < 60000 && tcp.len > 0",
        "tcp.analysis.retransmission",
    ),
    counters=("client.TcpRetransSegs",),
    snap=SNAP,
)
def sequence_wrap(lab: Lab) -> None:
    lab.relay.drop(lambda s: s.from_client and bool(s.data) and s.seq + len(s.data) >= 1 << 32)
    listener = lab.own(lab.server.listen(PORT))
    near = lab.own(lab.client.bound(51075))
    start_with(near, (1 << 32) - 5000)
    near.connect((lab.server.address, PORT))
    far = lab.own(listener.accept()[0])
    sender = lab.spawn(lambda: send_and_close(near, b"w" * 20_000))
    drain(far)
    sender.join(5)
    far.close()
    time.sleep(0.05)


@scenario(
    "captured-twice",
    "every packet is in the capture twice, 5 ms apart (recorded where it enters and where it leaves the path)",
    proof=("tcp.analysis.duplicate_ack || tcp.analysis.retransmission",),
    counters=(),
    point="both",
    snap=SNAP,
)
def captured_twice(lab: Lab) -> None:
    inner = lab.relay.writer
    assert inner is not None
    lab.relay.writer = _OneInterface(inner)
    download(lab, 51076, 8_000)


class _OneInterface:
    """Writes whatever interface a frame came from as interface 0."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def write(self, interface: int, time_ns: int, frame: bytes) -> None:
        _ = interface
        self.writer.write(0, time_ns, frame)

    def close(self) -> None:
        self.writer.close()
