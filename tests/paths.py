"""State paths of a capture written as a scenario: what the tests of the state machine compare."""

from __future__ import annotations

from tcpscope.pipeline import Pipeline
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint
from tcpscope.state.transitions import STATE_NAMES
from tests.scenario import build, parse

MSL_NS = 30_000_000_000
HANDSHAKE = """
0.000 C > S S <mss 1460>
+.010 S > C S. <mss 1460>
+.001 C > S .
"""


def connections(capture: bytes, chunk: int = 0) -> list[Connection]:
    """All connections of a capture, in order of their numbers. ``chunk``: feed so many bytes at a time (0: all at once)."""
    found: list[Connection] = []
    pipeline = Pipeline(found.append, MSL_NS, False, 0)
    step = chunk or max(1, len(capture))
    for start in range(0, len(capture), step):
        pipeline.feed(capture[start : start + step])
    pipeline.finish()
    return sorted(found, key=lambda conn: (conn.stream, conn.first_frame))


def of(text: str) -> list[Connection]:
    """All connections of a scenario."""
    return connections(build(parse("# Built by a test.\n" + "\n".join(line.strip() for line in text.splitlines()))))


def path(endpoint: Endpoint) -> list[tuple[str, int]]:
    """The states of a side with the frames that made it enter them (0: not in the capture)."""
    return [(STATE_NAMES[step.state], step.frame) for step in endpoint.steps]


def names(endpoint: Endpoint) -> str:
    """The states of a side in order, as one string."""
    return " ".join(STATE_NAMES[step.state] for step in endpoint.steps)
