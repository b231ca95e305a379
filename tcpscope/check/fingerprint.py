"""What a problem is known by when the same scenario is recorded again.

It rests on the rule (or the expectation), the roles, the service and the state that the side was in which it is about, or both of
them; not on times, frame numbers, addresses or ephemeral ports. The other side's state is left out because it depends on what
was under way at that moment. The capture's path is not in it: who compares reports adds that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tcpscope.check.outcome import Problem, Unlisted

if TYPE_CHECKING:
    from tcpscope.report.model import ConnectionReport, Side

EPHEMERAL: Final = 32768
"""Ports from here on are given out anew for each connection by common systems (Linux; RFC 6335 says from 49152)."""


def fingerprint(
    kind: str, code: str, what: str, side: str | None, connection: ConnectionReport | None, frame: int | None
) -> str:
    """32 hexadecimal digits. ``what``: the part of an expectation; ``frame``: the one at which states are looked at."""
    parts = ["tcpscope/1", kind, code, what, side or ""]
    if connection is not None:
        port = connection.server.port
        parts.append("ephemeral" if port >= EPHEMERAL else str(port))
        if frame is not None and kind == "finding":
            sides = {"client": connection.client_side, "server": connection.server_side}
            parts += [_state(one, frame) for name, one in sides.items() if side in {None, name}]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _state(side: Side, frame: int) -> str:
    """The state that a side had entered by a frame."""
    state = ""
    for step in side.states:
        if step.frame is not None and step.frame > frame:
            break
        state = step.state
    return state


def subject(problem: Problem) -> str:
    """What of its connection is in a problem's fingerprint, for people: ``client, port 443``; of an expectation its name."""
    if problem.expectation is not None:
        return problem.expectation
    if problem.connection is None:
        return "capture"
    port = problem.connection.server.rpartition(":")[2]
    place = f"port {port}" if int(port) < EPHEMERAL else "ephemeral port"
    return f"{problem.side}, {place}" if problem.side else place


def unlisted(problem: Problem) -> Unlisted:
    """What is kept of a problem that is not listed; equal ones are counted."""
    one = problem
    return Unlisted(one.code, one.name, one.severity, one.rated, one.fails, one.fingerprint, subject(one), 1)


def numbered(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems of one capture; those with the same fingerprint count from 1."""
    seen: dict[str, int] = {}
    result = []
    for problem in problems:
        number = seen[problem.fingerprint] = seen.get(problem.fingerprint, 0) + 1
        result.append(problem if number == 1 else replace(problem, occurrence=number))
    return tuple(result)
