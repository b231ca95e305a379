"""What tcpscope says of the sample captures against what the kernel itself counted and traced while they were recorded.

``python -m tests.kernel [NAME …]`` prints for each sample the state paths, the number of retransmissions and their causes, and ends
with the totals; it exits with 1 below the goals: every path equal or different for a known reason, every number of retransmissions
equal, and :data:`CAUSES_GOAL` of the causes.

The kernel's side is sample_pcaps/truth.json: tracepoints for the paths, and for retransmissions the counters that ``nstat`` shows.
TcpRetransSegs counts segments, of which TCPSynRetrans, TCPFastRetrans (in the state Recovery), TCPSlowStartRetrans (in the state
Loss) and TCPLossProbes have counters of their own; what is left is what the retransmission timer itself sends.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcpscope.pipeline import Pipeline
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint
from tcpscope.state.facts import CAUSE_NAMES, CAUSE_SPURIOUS, CLIENT, PROOF_ACK, PROOF_STEP, RETRANSMISSION
from tcpscope.wire.address import endpoints
from tests.paths import MSL_NS, names

SAMPLES = Path(__file__).parent.parent / "sample_pcaps"
TRUTH: dict[str, Any] = json.loads((SAMPLES / "truth.json").read_text())
CAUSES_GOAL = 0.95

# Where the capture cannot show all that the kernel did: what it shows must be a part of the kernel's path, in one piece.
LESS_VISIBLE = {
    "accept-queue-full": "a request that times out in the listener sends nothing",
    "cut-capture": "the file ends before the connection does",
    "fin-never-answered": "the peer's FIN was dropped after the capture point for good; giving up sends nothing",
    "half-open-flood": "a request that times out in the listener sends nothing; the clients are raw sockets",
    "handshake-cut-off": "the file ends before the connection does",
    "mid-connection": "the file begins in the middle",
    "one-sided": "one direction is missing",
    "rejected-by-icmp": "an ICMP error may end an attempt (RFC 9293 3.9.2.2); that it did sends nothing",
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

# How the kernel counts a cause. A FIN that is sent again is the timer's or a loss probe; the contract names it apart.
KERNEL_CLASS = {
    "syn-retransmit": "syn",
    "fast-retransmit": "recovery",
    "sack-recovery": "recovery",
    "tail-loss-probe": "probe",
    "timeout": "loss",
    "path-mtu": "loss",
    "fin-retransmit": "fin",
    "spurious": "spurious",
    "unknown": "unknown",
}


@dataclass(frozen=True, slots=True)
class Resent:
    """One segment that tcpscope calls sent again: its cause at the end, and the one before it was proved spurious."""

    frame: int
    side: str
    cause: str
    first_cause: str


@dataclass(slots=True)
class Comparison:
    """One sample."""

    name: str
    paths: str = "equal"  # or "part" and "different", both with a reason, or "WRONG"
    reason: str = ""
    kernel: dict[str, Counter[str]] = field(default_factory=dict)  # side -> class -> how many
    ours: dict[str, Counter[str]] = field(default_factory=dict)
    matched: int = 0  # causes
    undone: int = 0  # reactions that the kernel took back
    spurious: int = 0  # retransmissions that tcpscope calls needless

    @property
    def sent(self) -> int:
        """Retransmissions by the kernel's count."""
        return sum(counts.total() for counts in self.kernel.values())

    @property
    def seen(self) -> int:
        """Retransmissions by ours."""
        return sum(counts.total() for counts in self.ours.values())


def place(address: str, port: int) -> str:
    """An end as truth.json names it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sides(conn: Connection) -> list[tuple[str, str, Endpoint]]:
    """Both ends of a connection: its own place, the other's, and its state."""
    source, source_port, target, target_port = endpoints(conn.key)
    client, server = place(source, source_port), place(target, target_port)
    return [(client, server, conn.client), (server, client, conn.server)]


def read(capture: bytes) -> tuple[list[Connection], list[Resent]]:
    """The connections of a capture, and all that was sent again."""
    connections: list[Connection] = []
    pipeline = Pipeline(connections.append, MSL_NS, False, 0)
    pipeline.reader.feed(capture)
    pipeline.reader.finish()
    at_once: dict[int, tuple[str, str]] = {}
    while pipeline.next_segment():
        conn = pipeline.flows.current
        if conn is not None and conn.last_cause >= 0 and CAUSE_NAMES[conn.last_cause] in KERNEL_CLASS:
            side = "client" if pipeline.flows.current_side == CLIENT else "server"
            at_once[pipeline.seg.frame] = side, CAUSE_NAMES[conn.last_cause]
    pipeline.finish()
    told: dict[int, tuple[str, str]] = {}  # what the facts say in the end
    for conn in connections:
        for cause, name in enumerate(CAUSE_NAMES):
            for fact in conn.facts_of(RETRANSMISSION + cause):
                proved = cause == CAUSE_SPURIOUS and fact.a // PROOF_STEP != PROOF_ACK
                told[fact.frame] = name, CAUSE_NAMES[fact.a % PROOF_STEP] if proved else name
    return connections, [Resent(frame, side, *told.get(frame, (name, name))) for frame, (side, name) in at_once.items()]


def kernel_causes(counters: dict[str, int]) -> Counter[str]:
    """The retransmitted segments of one host by the counter that they went to."""
    total = counters.get("TcpRetransSegs", 0)
    found = Counter(
        syn=counters.get("TcpExtTCPSynRetrans", 0),
        recovery=counters.get("TcpExtTCPFastRetrans", 0),
        loss=counters.get("TcpExtTCPSlowStartRetrans", 0),
    )
    left = total - found.total()
    found["probe"] = min(left, counters.get("TcpExtTCPLossProbes", 0))
    found["loss"] += left - found["probe"]
    return found


def matching(kernel: Counter[str], ours: Counter[str]) -> int:
    """How many causes agree; a FIN that is sent again agrees with what is left of the timer and the probes."""
    equal = (kernel & ours).total()
    left = kernel - ours
    return equal + min(ours["fin"], left["loss"] + left["probe"])


def compare(name: str) -> Comparison:
    """One sample against the truth about it."""
    truth = TRUTH[name]
    connections, resent = read((SAMPLES / truth["file"]).read_bytes())
    found = Comparison(name)
    _compare_paths(found, truth, connections)
    for side in ("client", "server"):
        counters = truth["counters"].get(side, {})
        found.kernel[side] = kernel_causes(counters)
        found.ours[side] = Counter(KERNEL_CLASS[one.first_cause] for one in resent if one.side == side)
        found.matched += matching(found.kernel[side], found.ours[side])
        undo = ("TCPLossUndo", "TCPFullUndo", "TCPDSACKUndo", "TCPSpuriousRTOs")
        found.undone += sum(counters.get(f"TcpExt{counter}", 0) for counter in undo)
    found.spurious = sum(one.cause == "spurious" for one in resent)
    return found


def _compare_paths(found: Comparison, truth: dict[str, Any], connections: list[Connection]) -> None:
    """Each socket's path against those of the ends with its name."""
    for socket in truth["sockets"]:
        expected = " ".join(state for state, _ in socket["states"])
        ours = [
            names(endpoint)
            for conn in connections
            for local, remote, endpoint in sides(conn)
            if (local, remote) == (socket["local"], socket["remote"])
        ]
        if expected in ours:
            continue
        if found.name in LESS_VISIBLE and (not ours or any(path in expected for path in ours)):
            found.paths, found.reason = "part", LESS_VISIBLE[found.name]
        elif found.name in DIFFERENT:
            found.paths, found.reason = "different", DIFFERENT[found.name]
        else:
            found.paths, found.reason = (
                "WRONG",
                f"{socket['side']} {socket['local']}: kernel {expected}, capture {ours}",
            )
            return


def listed(counts: dict[str, Counter[str]]) -> str:
    """``client syn 2, loss 3``."""
    parts = []
    for side, counter in counts.items():
        some = [f"{name} {count}" for name, count in sorted(counter.items()) if count]
        parts += [f"{side} {', '.join(some)}"] if some else []
    return "; ".join(parts)


def line(one: Comparison) -> str:
    """One sample's line."""
    text = f"{one.name:28} paths {one.paths:9} retransmissions {one.seen} of {one.sent}"
    if one.sent or one.seen:
        text += f", causes {one.matched} ({listed(one.kernel)})"
        if one.matched < one.sent or one.seen != one.sent:
            text += f" DIFFERENT: {listed(one.ours)}"
    if one.undone or one.spurious:
        text += f", needless {one.spurious} of {one.undone}"
    return f"{text}  [{one.reason}]" if one.reason else text


def percent(part: int, whole: int) -> str:
    """``97.5 %``."""
    return f"{100 * part / whole if whole else 100:.1f} %"


def main(arguments: Iterable[str]) -> int:
    """Compare the samples with these names, or all; returns the exit status."""
    chosen = list(arguments) or sorted(TRUTH)
    unknown = [name for name in chosen if name not in TRUTH]
    if unknown:
        print(f"truth.json knows no {', '.join(unknown)}", file=sys.stderr)
        return 2
    found = [compare(name) for name in chosen]
    for one in found:
        print(line(one))
    paths = Counter(one.paths for one in found)
    sent, matched = sum(one.sent for one in found), sum(one.matched for one in found)
    counted = sum(one.sent == one.seen for one in found)
    known = len(found) - paths["WRONG"]
    print(
        f"{len(found)} samples: paths equal {paths['equal']}, part {paths['part']}, different on purpose "
        f"{paths['different']}, wrong {paths['WRONG']} (explained {percent(known, len(found))}); number of retransmissions "
        f"equal in {counted} ({percent(counted, len(found))}), {sum(one.seen for one in found)} of {sent}; causes equal "
        f"{matched} of {sent} ({percent(matched, sent)})"
    )
    return int(bool(paths["WRONG"]) or counted < len(found) or matched < CAUSES_GOAL * sent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
