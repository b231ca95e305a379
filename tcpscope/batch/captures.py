"""What a report says of the captures one by one, and how good they are."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from tcpscope.batch.columns import Row

MOST_CAPTURES: Final = 10_000
"""Captures that are listed."""

MOST_SIGNS: Final = 1000
"""Of a path or a sentence."""

FAULTS: Final = (
    ("dropped", "frames lost while capturing"),
    ("unseen_bytes", "bytes acknowledged that the capture lacks"),
    ("one_sided", "connections of which one direction is missing"),
    ("truncated_frames", "frames cut by the snap length"),
    ("copies", "segments captured twice"),
    ("bad_checksums", "wrong checksums"),
    ("clock_steps_back", "a clock that went back"),
)
"""Columns of a capture that limit what can be told, and in words what it then has."""


class CaptureLine(NamedTuple):
    """One capture. Durations and times are seconds and nanoseconds, as in the table; None: not known."""

    path: str
    document: str
    status: str
    reason: str
    frames: int
    connections: int
    with_findings: int
    errors: int
    warnings: int
    notes: int
    faults: str
    first_time: int | None
    duration: float | None
    where: str
    summary: str

    @property
    def rank(self) -> tuple[bool, int, int, int]:
        """What cannot be read first, then what most is to be said of."""
        return self.status == "read", -self.errors, -self.warnings, -self.notes


class Captures:
    """The captures of which most is to be said, how many have each fault, and how many any or could not be read in full."""

    def __init__(self, most: int = MOST_CAPTURES) -> None:
        self.lines: list[CaptureLine] = []
        self.faults: Counter[str] = Counter()
        self.flawed = 0
        self._most = most

    def add(self, row: Row) -> None:
        """A row of the table of captures."""
        faults = [words for name, words in FAULTS if row.get(name)]
        self.faults.update(faults)
        self.flawed += bool(faults) or row["status"] != "read"

        def number(name: str) -> int:
            return int(row.get(name) or 0)

        def text(name: str) -> str:
            return str(row.get(name) or "")[:MOST_SIGNS]

        first, duration = row.get("first_time"), row.get("duration")
        self.lines.append(
            CaptureLine(
                text("path"),
                text("document"),
                text("status"),
                text("reason"),
                number("frames"),
                number("connections"),
                number("with_findings"),
                number("errors"),
                number("warnings"),
                number("notes"),
                ", ".join(faults),
                None if first is None else int(first),
                None if duration is None else float(duration),
                text("trouble_where"),
                text("summary"),
            )
        )
        if len(self.lines) >= 2 * self._most:
            self.in_order()

    def in_order(self) -> list[CaptureLine]:
        """The captures, those of which most is to be said first, then in their order."""
        self.lines.sort(key=lambda line: line.rank)
        del self.lines[self._most :]
        return self.lines
