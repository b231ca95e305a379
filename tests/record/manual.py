"""Writes sample_pcaps/README.md from the scenarios and from what truth.json says about their recording."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .scenario import Scenario, in_order

_HEAD = """\
# Sample captures

Real traffic of a real kernel (Linux {kernel}) and of nginx, curl and OpenSSL, recorded between two network namespaces
of one machine. The client is 10.77.0.1 or fd00:77::1, the server 10.77.0.2 or fd00:77::2; servers of our own listen on
port 7777. A relay between the two delays every frame by 5 ms and, where a scenario asks for it, loses, holds,
duplicates or reorders the segments that the scenario is about. All else, sequence numbers, timers and states, is the
kernel's own doing.

Where a capture was taken matters: at the host that sends, a lost segment is in the file and its loss shows later; at
the other it never arrived. Times are in nanoseconds, in files of tcpdump in microseconds. Payload that does not matter
is cut off.

- `NAME.keys`: the TLS key log (SSLKEYLOGFILE) of a capture.
- `truth.json`: what the kernel itself said while a capture was recorded. For each capture:
  - `sockets`: each socket's path through the states, in the names of RFC 9293, with seconds since the capture's first
    frame; a path begins with the state that the socket came from, LISTEN for an accepted one. The source is the
    tracepoint `sock:inet_sock_set_state`. To this kernel a half-open connection and one in TIME-WAIT are no sockets:
    they are read from /proc/net/tcp every 10 ms, so that SYN-RECEIVED and the end of TIME-WAIT come that much too late.
  - `retransmissions`: `[time, side, state, congestion state]`. The last is `recovery` for a fast retransmission, `loss`
    after a time-out, mostly `open` or `disorder` for a tail-loss probe, and `syn-ack` for a repeated SYN-ACK.
  - `resets`: `[time, side, reason]` of each RST sent.
  - `counters`: the Tcp and TcpExt counters of each side that moved, named as by `nstat`.

To record again, as root, from the project's root: `python -m tests.record` (about six minutes), or with names of
captures; `--list` lists them. It needs iproute2, nginx, curl, openssl, ab, tcpdump and tshark, and no network. A
capture is checked before it replaces the old one: display filters of tshark have to match and counters of the kernel
have to have moved (`proof` and `counters` in `tests/record/scenarios/`).
"""


def write_readme(folder: Path) -> None:
    """Write README.md for the captures that are in `folder`."""
    stored = folder / "truth.json"
    truth = json.loads(stored.read_text()) if stored.exists() else {}
    kernels = sorted({entry["kernel"] for entry in truth.values()}) or ["unknown"]
    lines = [_HEAD.format(kernel=", ".join(kernels))]
    section = ""
    for one in in_order():
        module = (sys.modules[one.body.__module__].__doc__ or "").strip().rstrip(".")
        if module != section:
            section = module
            lines += [f"## {section}\n", "| file | shows | recorded |", "| --- | --- | --- |"]
        elif lines[-1] == "":
            lines.pop()
        lines += [f"| `{one.name}.{one.suffix}` | {one.what} | {_where(one)} |", ""]
    (folder / "README.md").write_text("\n".join(lines).rstrip("\n") + "\n")


def _where(one: Scenario) -> str:
    if one.recorder != "relay":
        return f"`{one.recorder}`"
    return "at both hosts" if one.point == "both" else f"at the {one.point}"
