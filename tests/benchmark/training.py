"""What a compiler that learns from a run gets to see (docs/wheels.md): the recordings in sample_pcaps.

Not the traffic of the benchmark: that says whether what was learned holds elsewhere. Needs nothing beyond what builds a wheel.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tcpscope.options import Options
from tcpscope.report.build import connection_report
from tcpscope.report.json_connection import connection_json
from tcpscope.report.session import Session, Threshold

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection

ROUNDS = 20
"""Most of it ordinary segments: a recording is read so often for each time that its connections are written."""


def judge(capture: bytes, options: Options, *, written: bool) -> None:
    """Read a capture as ``analyze`` does; with ``written`` every connection becomes a line of JSON."""
    threshold = Threshold(rises=not written)
    if not written:
        threshold.severity = -1

    def take(conn: Connection, findings: list[Finding]) -> None:
        if written:
            connection_json(connection_report(conn, findings, options.msl_ns))

    session = Session(options, take, threshold=threshold)
    session.feed(capture)
    session.end_file("training")
    session.finish()


def main(directory: Path) -> int:
    """Judge every recording; returns how many could be."""
    done = 0
    for path in sorted(directory.glob("*.pcap*")):
        try:
            for number in range(ROUNDS):
                judge(path.read_bytes(), Options(zeek=number % 2 == 0), written=number == 0)
        except ImportError:  # certificates: the library for them need not be where wheels are built
            continue
        done += 1
    return done


if __name__ == "__main__":
    gc.disable()
    print(f"{main(Path(sys.argv[1]))} captures")
