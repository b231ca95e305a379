"""The ladder diagram of a connection for a terminal of any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tcpscope.report.ladder import Event, Gap, Ladder, Phase, Row
from tcpscope.report.ladder_rows import Arrow
from tcpscope.report.ladder_words import Note, labels
from tcpscope.report.model import FileReport
from tcpscope.report.quantities import day_and_time
from tcpscope.report.style import Style
from tcpscope.report.table import shown_width
from tcpscope.report.text_connections import short_host
from tcpscope.report.text_findings import finding_text
from tcpscope.report.text_numbers import diagnosis_text, time_line
from tcpscope.rules import words
from tcpscope.wire.segment import RST

FINDINGS: Final = 8
"""Findings that the legend spells out."""

WIDE_ARROW: Final = 44
LONG_ARROW: Final = 64
NOTES_COLUMN: Final = 28
NARROW_ARROW: Final = 30
"""With less room than this for the arrows, the states get lines of their own."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths in columns: of frame numbers, of times (with so many decimals), both states, arrows, notes beside them.

    States of width 0 stand below the arrows, and so do notes of width 0.
    """

    frame: int
    time: int
    decimals: int
    client: int
    server: int
    arrow: int
    notes: int

    @property
    def left(self) -> int:
        """Columns before the client's lifeline."""
        return self.frame + 1 + self.time + 1 + (self.client + 2 if self.client else 0)


def layout_of(ladder: Ladder, width: int) -> Layout:
    """The layout for a terminal of this width."""
    rows = [item for item in ladder.items if isinstance(item, Row)]
    start = ladder.connection.start_ns
    seconds = max([abs(row.arrow.time_ns - start) for row in rows], default=0) / 1e9
    decimals = 6 if width >= 100 or seconds < 100 else 3
    time = max(6, *(len(f"{(row.arrow.time_ns - start) / 1e9:.{decimals}f}") for row in rows), 0)
    frame = max(5, *(len(str(row.arrow.frame)) for row in rows), 0)
    entered = [item.states for item in ladder.items if isinstance(item, Row | Event)]
    client, server = (max([6, *(len(states[side]) for states in entered)]) for side in (0, 1))
    room = width - (frame + 1 + time + 1 + client + 2) - 2 - (server + 1)
    if room < NARROW_ARROW:
        bare = width - (frame + 1 + time + 1) - 2
        return Layout(frame, time, decimals, 0, 0, max(4, bare), 0)
    if room >= WIDE_ARROW + 2 + NOTES_COLUMN:
        arrow = min(LONG_ARROW, max(WIDE_ARROW, room // 2))
        return Layout(frame, time, decimals, client, server, arrow, room - arrow - 2)
    return Layout(frame, time, decimals, client, server, room, 0)


def ladder_text(style: Style, ladder: Ladder, files: Sequence[FileReport] = ()) -> str:
    """The whole diagram, with a heading above and the findings below."""
    return "\n".join([*_head(style, ladder), "", *Drawing(style, ladder).lines(), "", *_legend(style, ladder, files)])


def _head(style: Style, ladder: Ladder) -> list[str]:
    connection = ladder.connection
    room = max(12, (style.width - len(f"Connection {connection.stream}  [] → []:65535:65535")) // 2)
    ends = f"{short_host(connection.client, room)} → {short_host(connection.server, room)}"
    frames = f"frames {connection.first_frame}–{connection.last_frame}"
    span = f"{day_and_time(connection.start_ns)}, {words.span(connection.duration_ns)}"
    title = style.wrap(f"Connection {connection.stream}  {ends}", "  ", "")
    lines = [style.paint(line, "head") for line in title.splitlines()]
    lines.append(diagnosis_text(style, connection.diagnosis))
    if time := time_line(connection):
        lines.append(style.wrap(time, "    ", "  "))
    lines.append(style.wrap(f"{words.plural(ladder.segments, 'segment')}, {frames}, {span}", "  "))
    lines += [style.wrap(remark, "    ", "  ") for remark in ladder.remarks]
    if ladder.drawn < ladder.segments:
        text = f"{ladder.drawn} of them are drawn: --rows draws more, --frames those of a range"
        lines.append(style.wrap(text, "    ", "  "))
    return lines


def _legend(style: Style, ladder: Ladder, files: Sequence[FileReport]) -> list[str]:
    findings = ladder.connection.findings
    title = style.paint("Findings", "head")
    if not findings:
        return [f"{title}: {style.paint('none', 'good')}"]
    lines = [title, *(finding_text(style, finding, files) for finding in findings[:FINDINGS])]
    if (rest := len(findings) - FINDINGS) > 0:
        more = f"{words.plural(rest, 'more finding')}: tcpscope analyze --connection {ladder.connection.stream}"
        lines.append(style.paint(f"  {more}", "dim"))
    return lines


class Drawing:
    """The lines between heading and legend."""

    def __init__(self, style: Style, ladder: Ladder) -> None:
        self._style = style
        self._ladder = ladder
        self._layout = layout_of(ladder, style.width)

    def lines(self) -> list[str]:
        """Everything from the names of the hosts downwards."""
        lines = self._names()
        for item in self._ladder.items:
            if isinstance(item, Phase):
                text = self._style.wrap(f"{item.name}: {item.text}", "  ", "")
                lines += text.replace(item.name, self._style.paint(item.name, "head"), 1).splitlines()
            elif isinstance(item, Row):
                lines += self._row(item)
            elif isinstance(item, Gap):
                lines += self._gap(item)
            else:
                lines += self._event(item)
        return lines

    def _names(self) -> list[str]:
        """The heads of the columns: both hosts, beside or below each other."""
        layout, connection = self._layout, self._ladder.connection
        left, end = layout.left - layout.client - (2 if layout.client else 0), self._end()
        client, server = str(connection.client), str(connection.server)
        numbers = f"{'frame':>{layout.frame}} {'time, s':>{layout.time}}"
        half = (end - left - 2) // 2
        if len(client) + len(server) + 2 > end - left:
            client, server = short_host(connection.client, half - 8), short_host(connection.server, half - 8)
        gap = max(2, end - left - len(client) - len(server))
        names = f"{self._style.paint(client, 'head')}{' ' * gap}{self._style.paint(server, 'head')}"
        if len(numbers) > left - 1:  # times that need less room than their head
            numbers = numbers[: left - 1]
        return [f"{numbers:<{left}}{names}"]

    def _end(self) -> int:
        """Columns up to the end of the server's states."""
        layout = self._layout
        return layout.left + layout.arrow + 2 + (layout.server + 1 if layout.server else 0)

    def _line(self, numbers: str, states: tuple[str, str], middle: str, bars: str = "││") -> str:
        """One line: what stands left, the states, what lies between the lifelines."""
        layout, paint = self._layout, self._style.paint
        line = f"{numbers:<{layout.frame + 1 + layout.time + 1}}"
        if layout.client:
            line += " " * (layout.client - len(states[0])) + " " + paint(states[0], "head") + " "
        line += f"{bars[0]}{middle}{bars[1]}"
        return f"{line} {paint(states[1], 'head')}" if layout.server and states[1] else line

    def _row(self, row: Row) -> list[str]:
        layout, style, arrow = self._layout, self._style, row.arrow
        seconds = (arrow.time_ns - self._ladder.connection.start_ns) / 1e9
        numbers = f"{arrow.frame:>{layout.frame}} {seconds:>{layout.time}.{layout.decimals}f}"
        drawn = draw(arrow, layout.arrow)
        line = self._line(numbers, row.states, style.paint(drawn, _role(arrow)))
        if not layout.notes:
            notes = [*row.notes]
            if not layout.client and any(row.states):
                entered = zip(("client", "server"), row.states, strict=True)
                notes[:0] = [Note(f"{side}: {state}", "head") for side, state in entered if state]
            indent = "    " if layout.client else "  "
            below = self._wrapped(notes, layout.arrow - len(indent), indent)
            return [line, *(self._line("", ("", ""), _padded(text, layout.arrow)) for text in below)]
        notes = [*row.notes, *([Note(row.detail, "dim")] if row.detail else [])]
        beside = self._wrapped(notes, layout.notes, "")
        if not beside:
            return [line]
        column = self._end() + 2
        lines = [line + " " * (column - shown_width(line)) + beside[0]]
        empty = self._line("", ("", ""), " " * layout.arrow)
        return lines + [empty + " " * (column - shown_width(empty)) + text for text in beside[1:]]

    def _wrapped(self, notes: Sequence[Note], width: int, indent: str) -> list[str]:
        """Remarks one after the other, in lines of the width; a remark that does not fit begins a line."""
        lines: list[str] = []
        used = 0
        for note in notes:
            parts = self._style._replace(width=width).wrap(note.text).splitlines()
            parts = [piece for part in parts for piece in _pieces(part, width)]
            painted = [self._style.paint(part, note.role) for part in parts]
            if lines and used + 3 + len(parts[0]) <= width:
                lines[-1] += " · " + painted.pop(0)
                used += 3 + len(parts[0])
            if painted:
                lines += [indent + part for part in painted]
                used = len(parts[-1])
        return lines

    def _gap(self, gap: Gap) -> list[str]:
        layout = self._layout
        inner = self._style._replace(width=max(20, layout.arrow - 2))
        texts = inner.wrap(gap.text).splitlines()
        if gap.remarks:
            texts += inner.wrap(f"among them {gap.remarks}").splitlines()
        pieces = [piece for text in texts for piece in _pieces(text, layout.arrow)]
        return [self._line("", ("", ""), self._style.paint(f"{text:^{layout.arrow}}", "dim"), "⋮⋮") for text in pieces]

    def _event(self, event: Event) -> list[str]:
        layout = self._layout
        if layout.client:
            return [self._line("", event.states, f"{event.text:^{layout.arrow}}")]
        entered = zip(("client", "server"), event.states, strict=True)
        texts = [*(f"{side}: {state}" for side, state in entered if state), *([event.text] if event.text else [])]
        wrapped = self._wrapped([Note(text, "head") for text in texts], layout.arrow - 2, "  ")
        return [self._line("", ("", ""), _padded(text, layout.arrow)) for text in wrapped]


def _pieces(text: str, width: int) -> list[str]:
    """A text without a place to break it, cut into pieces of the width."""
    return [text[start : start + width] for start in range(0, len(text), width)]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - shown_width(text))


def _role(arrow: Arrow) -> str:
    if arrow.lost or arrow.cause >= 0:
        return "warning"
    return "error" if arrow.flags & RST else ""


def draw(arrow: Arrow, width: int) -> str:
    """The arrow, ``width`` columns long. One that does not arrive ends in a cross before it gets there."""
    room = width - (9 if arrow.lost else 5)
    label = next((label for label in labels(arrow)[0 if width >= LONG_ARROW else 1 :] if len(label) <= room), "")
    head = "✕" if arrow.lost else "◀" if arrow.side else "▶"
    length = max(min(width - 3, len(label) + 8), width * 4 // 5) if arrow.lost else width
    if arrow.side:
        body = f"{head}─ {label} " if label else head
        return " " * (width - length) + body + "─" * (length - len(body))
    body = f"── {label} " if label else ""
    return body + "─" * (length - 1 - len(body)) + head + " " * (width - length)
