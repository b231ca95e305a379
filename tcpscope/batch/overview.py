"""All that a report over many captures is made from: what every format of it gets, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tcpscope.batch.aggregate import Aggregate, Group, RuleTotal
from tcpscope.batch.captures import CaptureLine
from tcpscope.batch.run import Ran
from tcpscope.batch.tables import Written
from tcpscope.many.inputs import Input
from tcpscope.many.series import named_alike
from tcpscope.report.model import SEVERITIES
from tcpscope.rules.words import span
from tcpscope.version import __version__


class Problem(NamedTuple):
    """A capture that could not be read, or not in full."""

    path: str
    reason: str


class Overview(NamedTuple):
    """The batch as a whole. No clock gets into it: the same captures give the same report.

    ``errors`` to ``notes`` count findings. ``series``: captures of several files that were joined;
    ``named_alike``: files that are called as those of one are and stand alone.
    ``lines``: the captures of which most is to be said; ``faults``: how many have what
    limits what can be told, ``flawed`` how many have any of that or could not be read in full.
    """

    captures: int
    frames: int
    connections: int
    errors: int
    warnings: int
    notes: int
    with_findings: int  # captures that have an error or a warning
    unreadable: tuple[Problem, ...]
    damaged: tuple[Problem, ...]
    aggregate: Aggregate
    version: str
    series: tuple[Input, ...] = ()
    named_alike: int = 0
    lines: tuple[CaptureLine, ...] = ()
    faults: tuple[tuple[str, int], ...] = ()
    flawed: int = 0


def overview(ran: Ran, written: Written) -> Overview:
    """What a batch came to."""
    results, captures = ran.results, written.captures
    return Overview(
        captures=len(results),
        frames=sum(one.frames for one in results),
        connections=sum(one.connections for one in results),
        errors=sum(one.errors for one in results),
        warnings=sum(one.warnings for one in results),
        notes=sum(one.notes for one in results),
        with_findings=sum(bool(one.errors or one.warnings) for one in results),
        unreadable=_problems(ran, [one.error for one in results]),
        damaged=_problems(ran, [one.damage for one in results]),
        aggregate=written.aggregate,
        version=__version__,
        series=tuple(one for one in ran.inputs if one.files),
        named_alike=named_alike(one for one in ran.inputs if not one.files),
        lines=tuple(captures.in_order()),
        faults=tuple(captures.faults.items()),
        flawed=captures.flawed,
    )


def most(counts: Counter[str]) -> list[tuple[str, int]]:
    """The largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def by_severity(rules: Mapping[str, RuleTotal]) -> list[tuple[str, RuleTotal]]:
    """Rules by code: the worst and most frequent first."""
    return sorted(rules.items(), key=lambda item: (SEVERITIES.index(item[1].severity), -item[1].findings, item[0]))


def round_trips(group: Group) -> str:
    """The percentiles of a group that has some."""
    marks = (("median", 0.5), ("95 %", 0.95), ("99 %", 0.99))
    return ", ".join(f"{label} {span(group.rtt.quantile(share) or 0)}" for label, share in marks)


def _problems(ran: Ran, reasons: list[str]) -> tuple[Problem, ...]:
    both = zip(ran.inputs, reasons, strict=True)
    return tuple(Problem(one.path, reason.removeprefix(f"{one.path}: ")) for one, reason in both if reason)
