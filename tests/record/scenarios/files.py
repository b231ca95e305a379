"""Link types, capture formats and captures that show only a part."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from .. import wire
from ..files import TaggingWriter
from ..lab import PORT, Host, Lab, drain, run
from ..programs import curl, nginx
from ..scenario import scenario
from .data import SNAP, download, send_and_close
from .opening import exchange, finish


@scenario(
    "http-clean",
    "two HTTP requests on one connection, curl and nginx; opened and closed in order, the client closes first",
    proof=("http.response.code == 200", "tcp.flags.fin == 1", "!tcp.analysis.flags && !tcp.analysis.window_update"),
)
def http_clean(lab: Lab) -> None:
    nginx(lab, f"{lab.server.address}:80")
    url = f"http://{lab.server.address}"
    curl(lab, "--local-port", "51000", f"{url}/index.txt", f"{url}/large.txt")


@scenario(
    "http-many",
    "ab: 24 requests to nginx, each on a connection of its own, six at a time, and a last one unused; the server closes first",
    proof=("tcp.stream == 23 && tcp.flags.fin == 1", "!tcp.flags.reset == 1"),
    snap=SNAP,
)
def http_many(lab: Lab) -> None:
    nginx(lab, f"{lab.server.address}:80")
    lab.client.run("ab", "-n", "24", "-c", "6", "-q", f"http://{lab.server.address}/index.txt")
    time.sleep(0.1)


@scenario(
    "ipv6-http",
    "HTTP over IPv6, curl and nginx, with the neighbour discovery that came with it",
    proof=("ipv6 && http.response.code == 200", "icmpv6", "tcp.flags.fin == 1"),
    v6=True,
)
def ipv6_http(lab: Lab) -> None:
    nginx(lab, f"[{lab.server.address6}]:80")
    for host in (lab.client, lab.server):
        host.run("ip", "-6", "neigh", "del", host.peer6, "dev", "eth0")
    curl(lab, "--local-port", "53000", f"http://[{lab.server.address6}]/index.txt")


@scenario(
    "vlan",
    "HTTP on VLAN 77, as on a trunk between two switches (802.1Q tags put on by the relay), with the ARP that "
    "came first",
    proof=("vlan.id == 77 && http.response.code == 200", "vlan && arp"),
)
def vlan(lab: Lab) -> None:
    assert lab.relay.writer is not None
    lab.relay.writer = TaggingWriter(lab.relay.writer, 77)
    nginx(lab, f"{lab.server.address}:80")
    for host in (lab.client, lab.server):
        host.run("ip", "neigh", "del", host.peer, "dev", "eth0")
    curl(lab, "--local-port", "53001", f"http://{lab.server.address}/index.txt")


@scenario(
    "raw-ip",
    "packets of a tun device: no link layer at all (LINKTYPE_RAW), IPv4 and IPv6 in one file",
    proof=("ip && http.response.code == 200", "ipv6 && http.response.code == 200", "!eth"),
    link=wire.RAW_IP,
    v6=True,
)
def raw_ip(lab: Lab) -> None:
    nginx(lab, "[::]:80 ipv6only=off")
    curl(lab, "--local-port", "53002", f"http://{lab.server.address}/index.txt")
    curl(lab, "--local-port", "53003", f"http://[{lab.server.address6}]/index.txt")


def _tcpdump(lab: Lab, host: Host, *arguments: str) -> subprocess.Popen[bytes]:
    """tcpdump in a namespace, writing lab.path; returns when it captures."""
    process = host.popen(
        "tcpdump", "-n", "--immediate-mode", "-Z", "root", "-w", str(lab.path), *arguments, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"listening on" in line:
            break
    time.sleep(0.3)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


def _tcpdump_any(lab: Lab, link: str) -> None:
    nginx(lab, "80")
    capture = _tcpdump(lab, lab.server, "-i", "any", "-y", link, "tcp")
    curl(lab, "--local-port", "53004", f"http://{lab.server.address}/index.txt")
    lab.server.run("curl", "-s", "-o", "/dev/null", "--local-port", "53005", "http://127.0.0.1/index.txt")
    _stop(capture)


@scenario(
    "sll",
    "tcpdump -i any at the server, Linux cooked capture version 1: a request over eth0 and one over the loopback",
    proof=("sll && http.response.code == 200", "ip.addr == 127.0.0.1"),
    recorder="tcpdump -i any -y LINUX_SLL",
)
def sll(lab: Lab) -> None:
    _tcpdump_any(lab, "LINUX_SLL")


@scenario(
    "sll2",
    "the same in Linux cooked capture version 2",
    proof=("sll && http.response.code == 200", "ip.addr == 127.0.0.1"),
    recorder="tcpdump -i any -y LINUX_SLL2",
)
def sll2(lab: Lab) -> None:
    _tcpdump_any(lab, "LINUX_SLL2")


@scenario(
    "loopback-offload",
    "loopback at the server: segments of up to 64 KiB and checksums that are not filled in yet, as with "
    "offloading; cut to 110 bytes",
    proof=("tcp.len > 20000", "tcp.flags.fin == 1"),
    recorder="tcpdump -i lo -s 110",
)
def loopback_offload(lab: Lab) -> None:
    listener = lab.own(lab.server.unbound())
    listener.bind(("127.0.0.1", PORT))
    listener.listen(1)
    capture = _tcpdump(lab, lab.server, "-i", "lo", "-s", str(SNAP))
    near = lab.own(lab.server.unbound())
    near.connect(("127.0.0.1", PORT))
    far = lab.own(listener.accept()[0])
    sender = lab.spawn(lambda: send_and_close(far, b"o" * 400_000))
    drain(near)
    sender.join(5)
    near.close()
    _stop(capture)


@scenario(
    "self-connect",
    "a socket on the loopback connects to its own port: a connection with itself, both ends are one address and port",
    proof=("tcp.flags.syn == 1 && tcp.srcport == 53006 && tcp.dstport == 53006",),
    recorder="tcpdump -i lo",
)
def self_connect(lab: Lab) -> None:
    capture = _tcpdump(lab, lab.client, "-i", "lo")
    near = lab.own(lab.client.unbound())
    near.bind(("127.0.0.1", 53006))
    near.connect(("127.0.0.1", 53006))
    near.sendall(b"hello, me\n")
    near.recv(100)
    time.sleep(0.1)
    near.close()
    _stop(capture)


@scenario(
    "mid-connection",
    "the capture begins when the connection has been open and busy for a while",
    proof=("!tcp.flags.syn == 1", "frame.number == 1 && tcp.len > 0", "tcp.flags.fin == 1"),
    snap=200,
)
def mid_connection(lab: Lab) -> None:
    lab.relay.recording = False
    near, far = lab.pair(PORT, 53007)
    exchange(near, far)
    time.sleep(0.1)
    lab.relay.recording = True
    exchange(near, far)
    far.sendall(b"m" * 3000)
    time.sleep(0.1)
    near.recv(5000)
    finish(near, far)


@scenario(
    "one-sided",
    "only what the client sends was captured (asymmetric routing, or a mirror port for one direction)",
    proof=("!tcp.srcport == 7777", "tcp.ack > 4000", "tcp.flags.fin == 1"),
    snap=200,
)
def one_sided(lab: Lab) -> None:
    lab.relay.keep = lambda segment: segment.from_client
    download(lab, 53008, 20_000)


@scenario(
    "capture-loss",
    "the capture lacks every fifth data segment although the receiver acknowledged it: loss in the capture, not "
    "in the network",
    proof=("tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment", "!tcp.analysis.retransmission"),
    snap=SNAP,
)
def capture_loss(lab: Lab) -> None:
    count = 0

    def keep(segment: wire.Segment) -> bool:
        nonlocal count
        count += wire.server(wire.data)(segment)
        return not wire.server(wire.data)(segment) or count % 5 != 0

    lab.relay.keep = keep
    download(lab, 53009, 30_000)


@scenario(
    "handshake-cut-off",
    "the capture ends between SYN-ACK and ACK: whether the connection opened cannot be told",
    proof=("frame.number == 2 && tcp.flags.syn == 1 && tcp.flags.ack == 1", "!frame.number == 3"),
)
def handshake_cut_off(lab: Lab) -> None:
    lab.relay.keep = lambda segment: bool(segment.flags & wire.SYN)
    near, far = lab.pair(PORT, 53010)
    exchange(near, far)
    finish(near, far)


@scenario(
    "cut-capture",
    "the file ends in the middle of a record, as after a crash or a full disk",
    proof=("tcp.flags.syn == 1",),
    snap=200,
)
def cut_capture(lab: Lab) -> None:
    lab.after = lambda path: os.truncate(path, path.stat().st_size - 100)
    download(lab, 53011, 12_000)


@scenario(
    "two-interfaces",
    "one connection captured at both hosts: pcapng with two interfaces, nanoseconds, comment and statistics; one "
    "segment lost between",
    proof=("frame.interface_name == \"server-eth0\"", "frame.interface_id == 0"),
    counters=("server.TcpRetransSegs",),
    point="both",
    suffix="pcapng",
    snap=200,
)  # fmt: skip
def two_interfaces(lab: Lab) -> None:
    lab.relay.drop(wire.server(wire.data), skip=2)
    download(lab, 53012, 12_000)


@scenario(
    "dumpcap",
    "pcapng as dumpcap writes it at the server",
    proof=("http.response.code == 200", "tcp.flags.fin == 1"),
    suffix="pcapng",
    recorder="dumpcap -i eth0",
)
def dumpcap(lab: Lab) -> None:
    nginx(lab, f"{lab.server.address}:80")
    lab.path.touch(mode=0o666)
    capture = lab.server.popen("dumpcap", "-q", "-i", "eth0", "-w", str(lab.path), stderr=subprocess.DEVNULL)
    time.sleep(1.5)
    curl(lab, "--local-port", "53013", f"http://{lab.server.address}/index.txt")
    _stop(capture)


def inject_secrets(lab: Lab, path: Path) -> None:
    """Put the key log into a pcapng as a Decryption Secrets Block."""
    output = path.with_suffix(".secrets")
    run("editcap", "--inject-secrets", f"tls,{lab.work / 'keys'}", str(path), str(output))
    output.replace(path)
