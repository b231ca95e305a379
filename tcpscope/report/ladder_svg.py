"""The ladder diagram of a connection as one standalone picture (SVG 1.1) that refers to nothing outside of itself.

Its colours follow the light or dark scheme of whoever looks at it. Every text goes through :func:`_text`, which escapes it.
"""

from __future__ import annotations

import textwrap
from typing import Final
from xml.sax.saxutils import escape

from tcpscope.report.escape import printable
from tcpscope.report.ladder import Event, Gap, Ladder, Phase, Row
from tcpscope.report.ladder_rows import Arrow
from tcpscope.report.ladder_words import Note, labels
from tcpscope.report.quantities import day_and_time, frame_list
from tcpscope.report.text_connections import short_host
from tcpscope.report.text_numbers import time_line
from tcpscope.rules import words
from tcpscope.rules.diagnosis import NOWHERE
from tcpscope.wire.segment import FIN, RST, SYN

WIDTH: Final = 1240
MARGIN: Final = 24
CLIENT_X: Final = 330
SERVER_X: Final = 790
NOTES_X: Final = 930
SLANT: Final = 10  # how much lower an arrow arrives than it leaves
ROW: Final = 38
LINE: Final = 18
SIGN: Final = 7.3  # width of a monospaced sign of 12 px, with some room
LINE_SIGNS: Final = int((WIDTH - 2 * MARGIN) / SIGN)
PHASE_SIGNS: Final = LINE_SIGNS - 22  # beside the phase's name
LOST_AT: Final = 0.78  # where on its way an arrow that does not arrive ends

FINDINGS: Final = 12

_SHAPES: Final = """
text { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12px; white-space: pre }
.title { font-size: 16px }
.title, .strong { font-weight: bold }
.middle { text-anchor: middle }
.right { text-anchor: end }
.life, .gap, .arrow { stroke-width: 1.5; fill: none }
.gap { stroke-dasharray: 2 5 }
"""

# Written out for both schemes: programs that know no variables of CSS then still show the light one.
_COLORS: Final = """
text {{ fill: {ink} }} .dim {{ fill: {dim} }} .paper {{ fill: {paper} }} .band {{ fill: {band} }}
.error {{ fill: {error} }} .warning {{ fill: {warning} }} .note {{ fill: {note} }} .good {{ fill: {good} }}
.life, .gap, .arrow {{ stroke: {line} }} .data {{ stroke: {data} }} .open {{ stroke: {good} }} .close {{ stroke: {close} }}
.reset {{ stroke: {error} }} .trouble {{ stroke: {warning} }}
"""
_LIGHT: Final = {"paper": "#fff", "ink": "#1c2128", "dim": "#656d76", "line": "#8c959f", "band": "#eef1f4"} | {
    "data": "#0550ae", "close": "#6639ba", "error": "#cf222e", "warning": "#9a6700", "note": "#0b6e8a", "good": "#116329"
}  # fmt: skip
_DARK: Final = {"paper": "#0d1117", "ink": "#e6edf3", "dim": "#9198a1", "line": "#656c76", "band": "#1b222b"} | {
    "data": "#79b8ff", "close": "#d2a8ff", "error": "#ff7b72", "warning": "#e3b341", "note": "#76d7f0", "good": "#56d364"
}  # fmt: skip
_STYLE: Final = (
    f"{_SHAPES}{_COLORS.format(**_LIGHT)}@media (prefers-color-scheme: dark) {{{_COLORS.format(**_DARK)}}}\n"
)


def ladder_svg(ladder: Ladder) -> str:
    """The whole picture."""
    picture = _Picture(ladder)
    connection = ladder.connection
    title = f"Connection {connection.stream}: {connection.client} to {connection.server}"
    body = picture.draw()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{picture.y}" '
        f'viewBox="0 0 {WIDTH} {picture.y}" role="img">\n<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{picture.y}"/>\n{body}\n</svg>\n'
    )


def ladder_part(ladder: Ladder) -> str:
    """The diagram alone, as an element of a page that says the rest. It brings no style: the page has one for its classes."""
    picture = _Picture(ladder)
    body = picture.diagram()
    connection = ladder.connection
    label = escape(f"Ladder diagram of connection {connection.stream}", {'"': "&quot;"})
    return (
        f'<svg class="ladder" width="{WIDTH}" height="{picture.y}" viewBox="0 0 {WIDTH} {picture.y}" role="img" '
        f'aria-label="{label}">\n{body}\n</svg>\n'
    )


def _escaped(text: str) -> str:
    """Text that was not escaped yet, for XML: it allows no control characters at all."""
    return escape(printable(text, backslash=False))


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{_escaped(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


class _Picture:
    """Draws from top to bottom; ``y`` is how far it got."""

    def __init__(self, ladder: Ladder) -> None:
        self.y = MARGIN
        self._ladder = ladder
        self._parts: list[str] = []

    def draw(self) -> str:
        """All elements, one a line."""
        self._head()
        self.y += 32
        self._draw()
        self._legend()
        self.y += MARGIN
        return "\n".join(self._parts)

    def diagram(self) -> str:
        """The elements of the diagram alone."""
        self._draw()
        self.y += MARGIN // 2
        return "\n".join(self._parts)

    def _draw(self) -> None:
        self._columns()
        for item in self._ladder.items:
            if isinstance(item, Phase):
                self._phase(item)
            elif isinstance(item, Row):
                self._row(item)
            elif isinstance(item, Gap):
                self._gap(item)
            else:
                self._event(item)

    def _head(self) -> None:
        ladder, connection = self._ladder, self._ladder.connection
        self.y += 12
        client, server = short_host(connection.client, 30), short_host(connection.server, 30)
        self._parts.append(_text(MARGIN, self.y, f"Connection {connection.stream}  {client} → {server}", "title"))
        span = f"{day_and_time(connection.start_ns)}, {words.span(connection.duration_ns)}"
        frames = f"frames {connection.first_frame}–{connection.last_frame}"
        diagnosis = connection.diagnosis
        told = [f"Diagnosis: {diagnosis.where} ({diagnosis.confidence} confidence): {diagnosis.summary}"]
        told += [f"Next: {diagnosis.next_step}"] if diagnosis.where != NOWHERE else []
        lines = [f"{words.plural(ladder.segments, 'segment')}, {frames}, {span}", *ladder.remarks]
        if ladder.drawn < ladder.segments:
            lines.append(f"{ladder.drawn} of them are drawn")
        for text, kind in [
            *((text, "") for text in [*told, time_line(connection)]),
            *((text, "dim") for text in lines),
        ]:
            for line in textwrap.wrap(text, LINE_SIGNS):
                self.y += LINE
                self._parts.append(_text(MARGIN, self.y, line, kind))

    def _columns(self) -> None:
        connection = self._ladder.connection
        client, server = short_host(connection.client, 30), short_host(connection.server, 30)
        self._parts.append(_text(MARGIN + 42, self.y, "frame", "dim right"))
        self._parts.append(_text(MARGIN + 150, self.y, "time, s", "dim right"))
        self._parts.append(_text(CLIENT_X, self.y, client, "strong middle"))
        self._parts.append(_text(SERVER_X, self.y, server, "strong middle"))
        self.y += 10

    def _lifelines(self, height: int, kind: str = "life") -> None:
        for x in (CLIENT_X, SERVER_X):
            self._parts.append(_line(x, self.y, x, self.y + height, kind))

    def _phase(self, phase: Phase) -> None:
        lines = textwrap.wrap(phase.text, PHASE_SIGNS)
        height = LINE * max(1, len(lines)) + 10
        self._parts.append(
            f'<rect class="band" x="{MARGIN / 2:g}" y="{self.y}" width="{WIDTH - MARGIN}" height="{height}" rx="4"/>'
        )
        self._parts.append(_text(MARGIN, self.y + 18, phase.name, "strong"))
        for number, line in enumerate(lines):
            self._parts.append(_text(MARGIN + 90, self.y + 18 + number * LINE, line))
        self.y += height

    def _states(self, states: tuple[str, str], y_client: float, y_server: float) -> None:
        if states[0]:
            self._parts.append(_text(CLIENT_X - 10, y_client, states[0], "strong right"))
        if states[1]:
            self._parts.append(_text(SERVER_X + 10, y_server, states[1], "strong"))

    def _row(self, row: Row) -> None:
        arrow = row.arrow
        notes = [*row.notes, *([Note(row.detail, "dim")] if row.detail else [])]
        lines = _note_lines(notes, int((WIDTH - MARGIN - NOTES_X) / SIGN))
        height = max(ROW, LINE * len(lines) + 12)
        self._lifelines(height)
        start, end = self.y + 19, self.y + 19 + SLANT
        seconds = (arrow.time_ns - self._ladder.connection.start_ns) / 1e9
        departure = start + 4
        self._parts.append(_text(MARGIN + 42, departure, str(arrow.frame), "dim right"))
        self._parts.append(_text(MARGIN + 150, departure, f"{seconds:.6f}", "dim right"))
        client_y, server_y = (end, start) if arrow.side else (start, end)
        self._states(row.states, client_y + 4, server_y + 4)
        self._parts += _arrow(arrow, start, end)
        for number, line in enumerate(lines):
            y = self.y + 23 + number * LINE
            spans = "".join(f'<tspan class="{note.role}">{_escaped(note.text)}</tspan>' for note in line)
            self._parts.append(f'<text x="{NOTES_X}" y="{y}">{spans}</text>')
        self.y += height

    def _gap(self, gap: Gap) -> None:
        texts = [gap.text, *([f"among them {gap.remarks}"] if gap.remarks else [])]
        lines = [line.replace("\u00a0", " ") for text in texts for line in textwrap.wrap(text, 60)]
        height = LINE * len(lines) + 10
        self._lifelines(height, "gap")
        for number, line in enumerate(lines):
            self._parts.append(_text((CLIENT_X + SERVER_X) / 2, self.y + 18 + number * LINE, line, "dim middle"))
        self.y += height

    def _event(self, event: Event) -> None:
        self._lifelines(LINE + 6)
        self._states(event.states, self.y + 16, self.y + 16)
        if event.text:
            self._parts.append(_text((CLIENT_X + SERVER_X) / 2, self.y + 16, event.text, "dim middle"))
        self.y += LINE + 6

    def _legend(self) -> None:
        self.y += 30
        findings = self._ladder.connection.findings
        title = "Findings" if findings else "Findings: none"
        self._parts.append(_text(MARGIN, self.y, title, "strong"))
        for finding in findings[:FINDINGS]:
            self.y += LINE + 4
            where = [finding.side] if finding.side else []
            where += [frame_list(finding.frames)] if finding.frames else []
            head = " · ".join([f"{finding.code} {finding.name}", *where])
            self._parts.append(_text(MARGIN, self.y, finding.severity, finding.severity))
            self._parts.append(_text(MARGIN + 70, self.y, head, "strong"))
            for line in textwrap.wrap(printable(finding.message, backslash=False), 140):
                self.y += LINE
                self._parts.append(_text(MARGIN + 70, self.y, line))
        if len(findings) > FINDINGS:
            self.y += LINE + 4
            self._parts.append(_text(MARGIN, self.y, words.plural(len(findings) - FINDINGS, "more finding"), "dim"))


def _note_lines(notes: list[Note], width: int) -> list[list[Note]]:
    """Remarks in lines of at most ``width`` signs."""
    lines: list[list[Note]] = []
    used = 0
    for note in notes:
        for number, part in enumerate(textwrap.wrap(note.text, width)):
            if number == 0 and lines and used + 3 + len(part) <= width:
                lines[-1] += [Note(" · ", "dim"), Note(part, note.role)]
                used += 3 + len(part)
            else:
                lines.append([Note(part, note.role)])
                used = len(part)
    return lines


def _arrow(arrow: Arrow, start: float, end: float) -> list[str]:
    """The line, its head or cross, and the label above it."""
    x1, x2 = (SERVER_X, CLIENT_X) if arrow.side else (CLIENT_X, SERVER_X)
    step = -1 if arrow.side else 1
    kind = f"arrow {_kind(arrow)}".rstrip()
    if arrow.lost:
        x2 = x1 + int((x2 - x1) * LOST_AT)
        end = start + SLANT * LOST_AT
        head = f"M{x2 - 6},{end - 6:g} l12,12 m0,-12 l-12,12"
    else:
        x2 -= 2 * step
        head = f"M{x2 - 9 * step},{end - 5:g} L{x2},{end:g} L{x2 - 9 * step},{end + 4:g}"
    room = int((SERVER_X - CLIENT_X - 40) / SIGN)
    label = next((text for text in labels(arrow) if len(text) <= room), "")
    middle = (CLIENT_X + SERVER_X) / 2
    return [
        _line(x1, start, x2, end, kind),
        f'<path d="{head}" class="{kind}"/>',
        _text(middle, start + SLANT / 2 - 9, label, "middle"),
    ]


def _kind(arrow: Arrow) -> str:
    """What an arrow is coloured by."""
    if arrow.flags & RST:
        return "reset"
    if arrow.lost or arrow.cause >= 0:
        return "trouble"
    if arrow.flags & SYN:
        return "open"
    if arrow.flags & FIN:
        return "close"
    return "data" if arrow.length else ""
