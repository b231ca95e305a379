"""The graphs of a connection as Vega-Lite specifications: the same for pictures and for pages that can be zoomed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tcpscope.report.chart_parts import (
    BLUE,
    GREEN,
    GREY,
    LEGEND_ENTRY,
    ORANGE,
    PURPLE,
    VERMILION,
    Rows,
    Spec,
    TimeAxis,
    chart_spec,
    headroom,
    layer,
    lines,
    signs,
    time_axis,
    tooltip,
    unit_of,
    value_axis,
)
from tcpscope.report.escape import printable
from tcpscope.report.graph import ZERO, Direction, Graph, Point
from tcpscope.report.quantities import SECOND_NS, size
from tcpscope.rules import words

SENT: Final = "sent"
AGAIN: Final = "again or out of order"
ACKNOWLEDGED: Final = "acknowledged"
EDGE: Final = "window's edge"
SACKED: Final = "SACK block"
LOST: Final = "lost"
FLIGHT: Final = "in flight"
WINDOW: Final = "receiver's window"
TLS: Final = "TLS handshake"

FIN_ALONE: Final = 2
WIDE: Final = 10
TALL: Final = 320
LOW: Final = 190
SOME: Final = 8
"""Segments that are not many: they do with a low picture."""

NAMES: Final = ("client", "server")


class Chart(NamedTuple):
    """One graph. ``key``: sequence-client, sequence-server, rtt, throughput or window; ``spec``: Vega-Lite."""

    key: str
    title: str
    spec: Spec


def charts(graph: Graph, dark: bool = False, width: int = 760) -> list[Chart]:
    """The graphs that there is data for. ``width``: of the pictures, in pixels."""
    times = [0, graph.duration_ns]
    times += [piece.time_ns for direction in graph.directions for piece in (*direction.sent, *direction.marked)]
    plotter = _Plotter(graph, time_axis(min(times), max(times)), dark, width)
    drawn = [plotter.sequence(0), plotter.sequence(1), plotter.round_trips(), plotter.throughput(), plotter.windows()]
    return [chart for chart in drawn if chart is not None]


class _Plotter:
    """Draws one connection's charts, all with the same time axis."""

    def __init__(self, graph: Graph, times: TimeAxis, dark: bool, width: int) -> None:
        self._graph = graph
        self._times = times
        self._dark = dark
        self._width = width
        self._columns = max(1, (width - 60) // LEGEND_ENTRY)
        self._ends = (printable(graph.client, backslash=False), printable(graph.server, backslash=False))

    def _way(self, side: int) -> str:
        return f"{NAMES[side]} {self._ends[side]} → {NAMES[1 - side]} {self._ends[1 - side]}"

    def _chart(self, key: str, title: str, notes: Sequence[str], layers: list[Spec], height: int) -> Chart:
        return Chart(key, title, chart_spec(key, title, notes, layers, self._width, height, self._dark))

    def _steps(self, points: Sequence[Point], kind: str) -> Rows:
        """Values that hold until the next one, the last to the end."""
        if not points:
            return []
        last = points[-1]._replace(time_ns=max(points[-1].time_ns, self._graph.duration_ns))
        return [
            {"t": self._times.at(point.time_ns), "y": point.value, "kind": kind, "frame": point.frame}
            for point in (*points, last)
        ]

    def _time_tip(self) -> str:
        return f"time, {self._times.unit}"

    def sequence(self, side: int) -> Chart | None:
        """Sequence numbers over time, as tcptrace and Wireshark draw them."""
        one = self._graph.directions[side]
        # An acknowledgement of SYN and FIN alone says nothing; of more, where the capture lacks what was sent, it does.
        if not (one.sent or one.marked) and (not one.acks or one.acks[-1].value - one.acks[0].value <= FIN_ALONE):
            return None
        at, x = self._times.at, self._times.channel
        numbers = [number for piece in (*one.sent, *one.marked) for number in (piece.seq, piece.end)]
        numbers += [] if numbers else [point.value for point in one.acks]
        low, high = min(numbers), max(numbers)
        room = max(2, (high - low) // 25)
        y = value_axis("sequence number, bytes", {"domain": [low - room, high + 2 * room], "nice": False})
        sent: Rows = [
            {
                "t": at(piece.time_ns),
                "u": at(piece.until_ns),
                "y": piece.seq,
                "z": piece.end,
                "kind": AGAIN if piece.cause else SENT,
                "frame": piece.frame,
                "length": piece.end - piece.seq,
                "segments": piece.segments,
                "cause": piece.cause,
            }
            for piece in (*one.sent, *(piece for piece in one.marked if piece.end > piece.seq))
        ]
        tips = tooltip(frame="frame", t=self._time_tip(), y="seq", length="length", cause="cause", segments="segments")
        kinds = [(SENT, BLUE)] if one.sent else []
        kinds += [(AGAIN, VERMILION)] if len(sent) > len(one.sent) else []
        layers: list[Spec] = []
        edges = self._steps(one.edges, EDGE)
        acks = self._steps(one.acks, ACKNOWLEDGED)
        sacks: Rows = [
            {"t": at(block.time_ns), "y": block.left, "z": block.right, "kind": SACKED, "frame": block.frame}
            for block in one.sacks
        ]
        kinds += [(ACKNOWLEDGED, GREEN)] if acks else []
        above = bool(edges) and min(point.value for point in one.edges) > high + 2 * room
        kinds += [(EDGE, GREY)] if edges and not above else []
        kinds += [(SACKED, PURPLE)] if sacks else []
        color = lines(kinds, self._dark, self._columns)
        step_tips = tooltip(frame="frame", t=self._time_tip(), y="number", kind="what")
        for rows, style in ((edges, {"strokeDash": [4, 3]}), (acks, {})):
            if rows and not (above and rows is edges):
                mark: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.2} | style
                layers.append(layer(mark, rows, {"x": x, "y": y, "color": color, "tooltip": step_tips}))
        if sacks:
            encoding: Spec = {"x": x, "y": y, "y2": {"field": "z"}, "color": color, "tooltip": step_tips}
            layers.append(layer({"type": "rule", "strokeWidth": 1.5, "opacity": 0.6}, sacks, encoding))
        if sent:
            encoding = {"x": x, "x2": {"field": "u"}, "y": y, "y2": {"field": "z"}, "color": color, "tooltip": tips}
            layers.append(layer({"type": "rule", "strokeWidth": 2.2, "strokeCap": "round"}, sent, encoding))
        parts: list[Spec] = [{"layer": layers}] if layers else []
        marked = list(self._marks(side, low - room / 2))
        if marked:
            tips = tooltip(
                name="what", frame="frame", t=self._time_tip(), y="seq", length="length", segments="segments"
            )
            parts.append(signs(marked, x, y, tips, self._dark, self._columns))
        height = TALL if len(sent) + len(acks) > SOME else LOW
        notes = _thinned(one)
        notes += ["the receiver's window lies above what is drawn"] if above else []
        return self._chart(f"sequence-{NAMES[side]}", f"Sequence numbers, {self._way(side)}", notes, parts, height)

    def _marks(self, side: int, bottom: float) -> Iterator[dict[str, object]]:
        """What a time–sequence graph points out."""
        one = self._graph.directions[side]
        for kind, pieces in ((LOST, one.lost), ("", one.marked)):
            for piece in pieces:
                row = self._sign(kind or piece.cause, piece.time_ns, piece.seq, piece.frame)
                yield row | {"length": piece.end - piece.seq, "segments": piece.segments}
        for event in one.events:
            yield self._sign(event.kind, event.time_ns, event.seq, event.frame)
        for message in self._graph.messages:
            if message.side == side:
                yield self._sign(TLS, message.time_ns, bottom, message.frame) | {"name": message.name}

    def _sign(self, kind: str, time_ns: int, y: float, frame: int) -> dict[str, object]:
        """The row of a sign, with all that is said of any."""
        at = self._times.at(time_ns)
        return {"t": at, "y": y, "kind": kind, "name": kind, "frame": frame, "length": 0, "segments": 1}

    def round_trips(self) -> Chart | None:
        """Round trips from the capture point to both sides and back."""
        slowest = max((point.value for one in self._graph.directions for point in one.rtt), default=-1)
        if slowest < 0:
            return None
        unit, unit_ns = unit_of(slowest)
        rows: Rows = []
        kinds = []
        for side, color in ((0, BLUE), (1, ORANGE)):
            points = self._graph.directions[side].rtt
            kind = f"to the {NAMES[1 - side]} and back"
            kinds += [(kind, color)] if points else []
            rows += [
                {
                    "t": self._times.at(point.time_ns),
                    "y": round(point.value / unit_ns, 3),
                    "kind": kind,
                    "frame": point.frame,
                }
                for point in points
            ]
        encoding: Spec = {
            "x": self._times.channel,
            "y": value_axis(f"round trip, {unit}", headroom(rows), ",.6~f"),
            "color": lines(kinds, self._dark, self._columns),
            "tooltip": tooltip(frame="frame of the ACK", t=self._time_tip(), y=f"round trip, {unit}", kind="way"),
        }
        mark: Spec = {"type": "line", "strokeWidth": 1, "opacity": 0.5, "point": {"size": 18, "opacity": 1}}
        title = f"Round-trip times from the capture point, {self._ends[0]} and {self._ends[1]}"
        most = max(one.strides.rtt for one in self._graph.directions)
        notes = [f"each point is the longest of up to {most:,}"] if most > 1 else []
        return self._chart("rtt", title, notes, [layer(mark, rows, encoding)], LOW)

    def throughput(self) -> Chart | None:
        """Bytes a second: what is new above the axis for both sides, what is sent again in colours of its own."""
        graph, width_ns = self._graph, self._graph.bin_ns
        kinds, rows = [], []
        for side, new_color, resent_color in ((0, BLUE, VERMILION), (1, ORANGE, PURPLE)):
            for kind, color, place in (
                (f"{NAMES[side]}: new", new_color, 1),
                (f"{NAMES[side]}: sent again", resent_color, 2),
            ):
                steps = _rates({one.number: one[place] for one in graph.directions[side].bins}, width_ns)
                kinds += [(kind, color)] if steps else []
                rows += [{"t": self._times.at(time_ns), "y": rate, "kind": kind} for time_ns, rate in steps]
        if not rows:
            return None
        encoding: Spec = {
            "x": self._times.channel,
            "y": value_axis("bytes per second", headroom(rows)),
            "color": lines(kinds, self._dark, self._columns),
            "tooltip": tooltip(t=f"from, {self._times.unit}", y="bytes per second", kind="what"),
        }
        mark: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.4}
        ends = f"client {self._ends[0]} and server {self._ends[1]}"
        notes = [f"payload in spans of {words.span(width_ns)}"]
        return self._chart("throughput", f"Throughput, {ends}", notes, [layer(mark, rows, encoding)], LOW)

    def windows(self) -> Chart | None:
        """Bytes in flight against the receiver's window, for the side that sent more."""
        side = max((0, 1), key=lambda side: sum(one.new for one in self._graph.directions[side].bins))
        one = self._graph.directions[side]
        if len(one.flight) < 2:
            return None
        at = self._times.at
        flight = self._steps(one.flight, FLIGHT)
        # A window that dwarfs what is in flight limits nothing, and would leave nothing to see of it.
        smallest = min((point.value for point in one.windows), default=0)
        wide = smallest > WIDE * max(point.value for point in one.flight)
        windows = [] if wide else self._steps(one.windows, WINDOW)
        kinds = [(FLIGHT, BLUE), *([(WINDOW, GREEN)] if windows else [])]
        color = lines(kinds, self._dark, self._columns)
        x, y = self._times.channel, value_axis("bytes", headroom(flight + windows))
        tips = tooltip(frame="frame", t=self._time_tip(), y="bytes", kind="what")
        encoding: Spec = {"x": x, "y": y, "color": color, "tooltip": tips}
        step: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.4}
        parts: list[Spec] = [{"layer": [layer(step, rows, encoding) for rows in (flight, windows) if rows]}]
        zero: Rows = [
            {"t": at(event.time_ns), "y": 0, "kind": event.kind, "frame": event.frame}
            for event in one.events
            if event.kind == ZERO
        ]
        if zero:
            parts.append(signs(zero, x, y, tips, self._dark, self._columns))
        notes = []
        if wide:
            notes = [f"the receiver's window lies above what is drawn: {size(smallest)} at least"]
        elif not windows:
            notes = ["the receiver's window is not known: the capture lacks the handshake that scales it"]
        most = max(one.strides.flight, one.strides.windows)
        notes += [f"of up to {most:,} in a row, the most in flight and the smallest window"] if most > 1 else []
        return self._chart("window", f"Bytes in flight, {self._way(side)}", notes, parts, LOW)


def _rates(sizes: dict[int, int], width_ns: int) -> list[tuple[int, int]]:
    """Bytes a second from each time on, where that changes; empty if there are none."""
    rates: list[tuple[int, int]] = []
    if not any(sizes.values()):
        return rates
    for index in sorted(index for index, count in sizes.items() if count):
        start = index * width_ns
        if not rates or rates[-1][0] != start:
            rates += [] if index == 0 else [(start, 0)]
            rates.append((start, 0))
        rates[-1] = (start, sizes[index] * SECOND_NS // width_ns)
        rates.append((start + width_ns, 0))
    return rates


def _thinned(one: Direction) -> list[str]:
    """What is left out of a time–sequence graph."""
    lines, marks = one.strides.sent, one.strides.marked
    notes = [f"each line stands for up to {lines:,} segments in a row"] if lines > 1 else []
    return [*notes, f"each sign for up to {marks:,} of its kind"] if marks > 1 else notes
