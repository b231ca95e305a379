"""What of a capture could not be read, a line each: for people, and for an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcpscope.pipeline import FileFacts, Pipeline

MAX_PROBLEMS: Final = 5
"""Damaged files of one capture that are named one by one."""


def problems_of(pipeline: Pipeline) -> Iterator[str]:
    """One line on each reason why a capture, read to its end, could not be read in full."""
    facts = pipeline.facts
    damaged = [file for file in facts.files if file.damage or file.gaps]
    for file in damaged[:MAX_PROBLEMS]:
        yield _problem(file)
    if len(damaged) > MAX_PROBLEMS:
        yield f"{len(damaged) - MAX_PROBLEMS} more files are damaged"
    if facts.frames and facts.skipped.get("unknown-link-type") == facts.frames:
        yield f"{facts.files[0].name}: no frame could be read: link type {pipeline.frame.link_type} is not known"


def _problem(file: FileFacts) -> str:
    if not file.damage:
        first, places = file.gaps[0], len(file.gaps)
        count = "one damaged place" if places == 1 else f"{places} damaged places"
        return f"{file.name}: {count} stepped over, the first at byte {first.offset}: {first.text}"
    place = "" if file.damage_offset < 0 or "byte" in file.damage else f" (at byte {file.damage_offset})"
    return f"{file.damage if file.name in file.damage else f'{file.name}: {file.damage}'}{place}"
