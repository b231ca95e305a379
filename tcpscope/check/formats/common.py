"""What several formats share: paths as CI systems know them, what is said of a problem, and the choice of the worst."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from tcpscope.capture.remote import is_url
from tcpscope.check.outcome import CheckResult, Problem
from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES
from tcpscope.report.quantities import frame_list
from tcpscope.rules.words import plural


def repository_path(path: str) -> str:
    """A path as the repository has it: from the working directory where it lies below that, with slashes, without ``./``."""
    if not path or path == "-" or is_url(path):
        return path
    if os.path.isabs(path):  # noqa: PTH117
        inside = os.path.relpath(path)
        path = path if inside.split(os.sep, 1)[0] == os.pardir else inside
    return os.path.normpath(path).replace(os.sep, "/")


def uri(path: str) -> str:
    """The same as a URI reference (RFC 3986): relative to the repository, or absolute where the file is not in it."""
    path = repository_path(path)
    if is_url(path):
        return quote(path, safe=":/?#[]@!$&'()*+,;=%")
    return ("file://" if path.startswith("/") else "") + quote(os.fsencode(path), safe="/")


def safe(text: str) -> str:
    """Text from the wire without what could act on a reader: one line, nothing that hides or reorders."""
    return printable(text, backslash=False)


def said(problem: Problem) -> str:
    """What a problem says, made safe: of an expectation with its name in front."""
    what = problem.message if problem.expectation is None else f"{problem.expectation!r}: {problem.message}"
    return safe(what + (f" [{problem.remark}]" if problem.remark else ""))


def evidence(problem: Problem) -> list[str]:
    """Lines that say where it is to be seen: connection, frames, section of the RFC, Wireshark's filter."""
    lines = []
    if problem.connection is not None:
        lines.append(f"Connection {problem.connection.stream}: {safe(problem.connection.label)}")
    if problem.frames:
        lines.append(frame_list(problem.frames))
    if problem.rfc:
        lines.append(problem.rfc)
    if problem.display_filter:
        lines.append(f"Wireshark: {safe(problem.display_filter)}")
    return lines


def worst(problems: Sequence[Problem], most: int) -> list[Problem]:
    """At most so many, the worst of them, in the order in which they came."""
    ranked = sorted(range(len(problems)), key=lambda number: SEVERITIES.index(problems[number].severity))
    return [problems[number] for number in sorted(ranked[:most])]


def remaining(result: CheckResult, listed: Sequence[Problem]) -> str:
    """How many problems are not among those that are listed: ``2 errors, 1 note``, or ""."""
    counts = result.counts
    here = Counter(problem.severity for problem in listed)
    left = zip(SEVERITIES, (counts.error, counts.warning, counts.note), strict=True)
    return ", ".join(plural(total - here[severity], severity) for severity, total in left if total > here[severity])
