"""Which connection a command draws: found by the first of two readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpscope.cli.output import FAILED, failure
from tcpscope.report.ladder import Subject
from tcpscope.report.problems import problems_of
from tcpscope.report.session import Session

if TYPE_CHECKING:
    from tcpscope.cli.twice import Twice
    from tcpscope.options import Options


def choose(capture: Twice, options: Options, stream: int | None) -> tuple[Session, Subject, int]:
    """Read the capture for the first time: what it holds, the connection to draw and the exit status.

    What is wrong with the input, or with the choice, is said on standard error.
    """
    subject = Subject(options.msl_ns)
    session = Session(options, subject.connection, stream)
    capture.first(session)
    problems = list(problems_of(session.pipeline))
    facts = session.facts
    if not problems and subject.report is None:
        name = facts.files[0].name
        known = f"it has connections 0 to {facts.connections - 1}" if facts.connections else "it has none"
        problems.append(f"{name} has no connection {'to draw' if stream is None else stream}: {known}")
    for problem in problems:
        failure(problem)
    return session, subject, FAILED if problems else 0
