"""What an HTML report shows, ready to be written: texts are made safe for a reader's eyes, but not yet for HTML.

The templates and :mod:`tcpscope.report.html.render` escape all of it; the only markup that is taken as it is are ``ladder``,
which :mod:`tcpscope.report.ladder_svg` has escaped, and what comes with tcpscope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from tcpscope.report.escape import printable

TEXT: Final = "text"
NUMBER: Final = "number"
SEVERITY: Final = "severity"
RULES: Final = "rules"

Cell: TypeAlias = "str | int | float | tuple[int | float, str] | tuple[int | None, str, str] | None"
"""A text or a number; or what it is sorted by and what is shown; or these two (None: by the text) and where it leads."""


class Column(NamedTuple):
    """A column of a table. ``kind``: one of the constants above; columns of severities and of rules can be filtered by them."""

    name: str
    kind: str = TEXT
    about: str = ""


class Table(NamedTuple):
    """A table that can be sorted and filtered. ``left_out``: rows that there is no room for; ``elsewhere``: where all are."""

    key: str
    title: str
    text: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    left_out: int = 0
    elsewhere: str = ""


class Tile(NamedTuple):
    """A number of the overview, what it counts, and what is to be said below it. ``role``: a severity, "good", "aside" or ""."""

    value: str
    label: str
    text: str = ""
    role: str = ""
    link: str = ""


class Bar(NamedTuple):
    """A bar as long as ``share`` (of 1). ``role``: as of a tile."""

    label: str
    value: str
    share: float
    role: str = ""
    text: str = ""
    link: str = ""


class Chart(NamedTuple):
    """Bars below each other."""

    title: str
    bars: Sequence[Bar]
    text: str = ""
    link: str = ""


class Fact(NamedTuple):
    """A line of the overview: a name, and what is to be said."""

    name: str
    text: str
    role: str = ""


class Worst(NamedTuple):
    """One line on connections with the same trouble. ``link``: the page of the first of them, or ""."""

    severity: str
    code: str
    name: str
    server: str
    connections: str
    where: str
    sentence: str
    link: str = ""


class Hour(NamedTuple):
    """Connections that began in an hour, as shares of the busiest one: with errors, with warnings, others."""

    label: str
    error: float
    warning: float
    rest: float
    text: str


class FindingView(NamedTuple):
    """A finding. ``link``: where the RFC's section can be read."""

    severity: str
    code: str
    name: str
    message: str
    where: str
    rfc: str
    link: str
    display_filter: str


class Lines(NamedTuple):
    """A part of a page: a heading, a line on it, further lines, and a table whose first ``right`` columns hold numbers."""

    title: str
    text: str = ""
    lines: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    right: Sequence[int] = ()


class Share(NamedTuple):
    """Where time went. ``width`` in percent; ``kind``: the place in the order of shares, for its colour."""

    name: str
    span: str
    percent: str
    width: float
    kind: int


class Drawing(NamedTuple):
    """What a second reading gave: the ladder (SVG), a line on it, and the graphs: key, title, specification in light."""

    ladder: str = ""
    text: str = ""
    graphs: Sequence[tuple[str, str, Mapping[str, Any]]] = ()


class Page(NamedTuple):
    """One connection. ``missing``: why it could not be drawn, or ""."""

    path: str
    stream: int
    first_frame: int
    severity: str
    title: str
    where: str
    summary: str
    next_step: str
    when: str
    circumstances: Sequence[tuple[str, str]]
    marks: str
    findings: Sequence[FindingView]
    shares: Sequence[Share]
    time: Lines
    parts: Sequence[Lines]
    drawing: Drawing = Drawing()
    missing: str = ""

    @property
    def place(self) -> tuple[str, int, int]:
        """What names the connection among all."""
        return self.path, self.stream, self.first_frame


class CaptureView(NamedTuple):
    """What is said of a capture that is shown by itself."""

    title: str
    lines: Sequence[tuple[str, str]]  # text and role
    findings: Sequence[FindingView]


class ManualView(NamedTuple):
    """A rule that found something, and its manual: heading, and lines that are prose or, of an example, stand as they are."""

    code: str
    name: str
    severity: str
    rfc: str
    link: str
    title: str
    counts: str
    sections: Sequence[tuple[str, str]]


class Document(NamedTuple):
    """A whole report. ``first``: the charts that say what is wrong; ``notices``: what to know of the report itself."""

    title: str
    headline: str
    role: str
    advice: Sequence[str]
    subline: str
    tiles: Sequence[Tile]
    first: Sequence[Chart]
    captures: Sequence[CaptureView]
    charts: Sequence[Chart]
    worst: Sequence[Worst]
    worst_text: str
    facts: Sequence[Fact]
    hours: Sequence[Hour]
    tables: Sequence[Table]
    pages: Sequence[Page]
    manuals: Sequence[ManualView]
    about: Sequence[str]
    notices: Sequence[str]
    version: str


MOST_SIGNS: Final = 300


def shown(text: str, most: int = MOST_SIGNS) -> str:
    """Text from the wire or of a file name, for a reader: without what could hide or reorder other text, in bounded length."""
    safe = printable(text if len(text) <= 4 * most else text[: 4 * most] + "…", backslash=False)
    if len(safe) <= most:
        return safe
    tail = most // 3
    return f"{safe[: most - tail - 1]}…{safe[-tail:]}"
