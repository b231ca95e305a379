"""Plain tables for the terminal, in one look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tcpscope.report.style import Style

GAP: Final = "  "
"""What stands between two cells."""

_SGR = re.compile(r"\x1b\[[0-9;]*m")


def table(
    style: Style, headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = ""
) -> str:
    """A table with a line below its headers; ``right``: the columns that are aligned to the right."""
    widths = _widths(headers, rows)
    lines = [[style.paint(head, "head") for head in headers], ["─" * width for width in widths], *rows]
    return "\n".join(
        (indent + GAP.join(map(_aligned, line, widths, (column in right for column in range(len(widths)))))).rstrip()
        for line in lines
    )


def _aligned(cell: str, width: int, right: bool) -> str:
    room = " " * (width - shown_width(cell))
    return room + cell if right else cell + room


def shown_width(text: str) -> int:
    """Columns that the text takes, colours aside."""
    return len(_SGR.sub("", text)) if "\x1b" in text else len(text)


def table_width(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns that :func:`table` would need."""
    widths = _widths(headers, rows)
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(shown_width, column)) for column in zip(headers, *rows, strict=True)]
