"""Plain tables for the terminal, in one look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

from tcpscope.report.style import Style

GAP: Final = 2
"""Columns between two cells."""

_SGR = re.compile(r"\x1b\[[0-9;]*m")

_FORMAT: Final = TableFormat(
    lineabove=None,
    linebelowheader=Line("", "─", " " * GAP, ""),
    linebetweenrows=None,
    linebelow=None,
    headerrow=DataRow("", " " * GAP, ""),
    datarow=DataRow("", " " * GAP, ""),
    padding=0,
    with_header_hide=None,
)


def table(
    style: Style, headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = ""
) -> str:
    """A table with a line below its headers; ``right``: the columns that are aligned to the right."""
    align = ["right" if column in right else "left" for column in range(len(headers))]
    # The headers go in as a row: tabulate makes the columns of real ones two wider than they need to be.
    heads = [style.paint(head, "head") for head in headers]
    text = tabulate([heads, SEPARATING_LINE, *rows], tablefmt=_FORMAT, disable_numparse=True, colalign=align)
    return "\n".join((indent + line).rstrip() for line in text.splitlines())


def shown_width(text: str) -> int:
    """Columns that the text takes, colours aside."""
    return len(_SGR.sub("", text)) if "\x1b" in text else len(text)


def table_width(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns that :func:`table` would need."""
    widths = [max(shown_width(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    return sum(widths) + GAP * (len(widths) - 1)
