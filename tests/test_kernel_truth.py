"""The state paths that the capture proves against those that the kernel took while it was recorded (sample_pcaps/truth.json)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint
from tcpscope.wire.address import endpoints
from tests.paths import connections, names

SAMPLES = Path(__file__).parent.parent / "sample_pcaps"
TRUTH = json.loads((SAMPLES / "truth.json").read_text())

# Where the capture cannot show all that the kernel did: what it shows must be a part of the kernel's path, in one piece.
LESS_VISIBLE = {
    "accept-queue-full": "a request that times out in the listener sends nothing",
    "cut-capture": "the file ends before the connection does",
    "fin-never-answered": "the peer's FIN was dropped after the capture point for good; giving up sends nothing",
    "half-open-flood": "a request that times out in the listener sends nothing; the clients are raw sockets",
    "handshake-cut-off": "the file ends before the connection does",
    "mid-connection": "the file begins in the middle",
    "one-sided": "one direction is missing",
    "unanswered": "giving up sends nothing",
    "unanswered-linear": "giving up sends nothing",
}
# Where the capture proves something else than what one kernel did, on purpose.
DIFFERENT = {
    "accept-queue-full-rst": "an RST in SYN-RECEIVED looks like one in ESTABLISHED: the client's ACK was seen",
    "port-reused-unsafely": "Linux was made to forget the TIME-WAIT of the first connection",
    "http-many": "the tracepoint does not show the first state of the sockets of one program",
    "keep-alive-dead-peer": "the RST was dropped behind the capture point",
    "raw-ip": "the listener's request sockets have the same name as the connection",
    "stale-syn-nobody-there": "a reset request returns to LISTEN (RFC 9293 3.10.7.4); Linux closes its request socket",
    "time-wait-not-held": "Linux was told to hold no TIME-WAIT; the protocol puts the side into it (row T3)",
}


def place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sides(conn: Connection) -> list[tuple[str, str, Endpoint]]:
    source, source_port, target, target_port = endpoints(conn.key)
    client, server = place(source, source_port), place(target, target_port)
    return [(client, server, conn.client), (server, client, conn.server)]


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_paths_are_the_kernel_s(name: str) -> None:
    truth = TRUTH[name]
    found = connections((SAMPLES / truth["file"]).read_bytes())
    for socket in truth["sockets"]:
        expected = " ".join(state for state, _ in socket["states"])
        ours = [
            names(endpoint)
            for conn in found
            for local, remote, endpoint in sides(conn)
            if (local, remote) == (socket["local"], socket["remote"])
        ]
        if name in LESS_VISIBLE:
            assert not ours or any(path in expected for path in ours), f"{socket['local']}: {expected}, capture {ours}"
            continue
        assert expected in ours or name in DIFFERENT, (
            f"{socket['side']} {socket['local']}: kernel {expected}, capture {ours}"
        )
