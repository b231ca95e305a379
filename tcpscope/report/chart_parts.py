"""What the charts are made of: colours, shapes, axes, layers of Vega-Lite (https://vega.github.io/vega-lite/docs/).

A specification is data only: no text in it is an expression, so none that came from the wire can be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

Spec: TypeAlias = dict[str, object]
Rows: TypeAlias = list[dict[str, Any]]

VEGA_LITE: Final = "6.1"
"""The version that graphs are written for. It goes with Vega 6, which draws them in a page."""

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"

LEGEND_ENTRY: Final = 125  # pixels
MARGIN: Final = 96  # what axis and padding take of a picture's width
Y_AXIS: Final = 56

# Colours of Okabe and Ito, https://jfly.uni-koeln.de/color/: told apart whatever colours somebody sees. The blue is too dark
# and the black invisible on a dark ground, the yellow too light on a white one.
ORANGE: Final = ("#E69F00", "#E69F00")
SKY: Final = ("#2E93CC", "#56B4E9")
GREEN: Final = ("#009E73", "#00B887")
BLUE: Final = ("#0072B2", "#56B4E9")
VERMILION: Final = ("#D55E00", "#F07F2E")
PURPLE: Final = ("#CC79A7", "#DD93BD")
GREY: Final = ("#8C959F", "#7D8590")
INK: Final = ("#1C2128", "#E6EDF3")
DIM: Final = ("#57606A", "#9198A1")
GRID: Final = ("#E4E8EC", "#262C36")
PAPER: Final = ("#FFFFFF", "#0D1117")

DARKER: Final = {
    light: dark
    for light, dark in (ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, GREY, INK, DIM, GRID, PAPER)
    if light != dark
}
"""What each colour of a light ground is on a dark one. Nothing else of a chart is different there."""

# Paths of signs that Vega has no name for, in a square from -1 to 1
SAINT_ANDREW: Final = "M-1,-1L1,1M-1,1L1,-1"
BAR: Final = "M0,-1.4L0,1.4"
HOURGLASS: Final = "M-1,-1L1,-1L-1,1L1,1Z"


class Sign(NamedTuple):
    """How a kind of thing looks: a colour for light and dark, a shape."""

    color: tuple[str, str]
    shape: str


SIGNS: Final[dict[str, Sign]] = {
    "lost": Sign(VERMILION, SAINT_ANDREW),
    "timeout": Sign(VERMILION, "triangle-up"),
    "fast-retransmit": Sign(ORANGE, "triangle-right"),
    "sack-recovery": Sign(PURPLE, "diamond"),
    "tail-loss-probe": Sign(SKY, "triangle-down"),
    "spurious": Sign(GREY, "circle"),
    "syn-retransmit": Sign(VERMILION, "triangle-left"),
    "fin-retransmit": Sign(PURPLE, "triangle-left"),
    "path-mtu": Sign(ORANGE, HOURGLASS),
    "network-reordering": Sign(SKY, "circle"),
    "network-duplicate": Sign(SKY, "square"),
    "capture-copy": Sign(GREY, "square"),
    "keep-alive": Sign(GREEN, "cross"),
    "zero-window-probe": Sign(GREEN, "triangle-down"),
    "unknown": Sign(VERMILION, "circle"),
    "duplicate ACK": Sign(GREEN, BAR),
    "zero window": Sign(INK, "square"),
    "SYN": Sign(INK, "triangle-right"),
    "FIN": Sign(INK, "triangle-left"),
    "RST": Sign(VERMILION, "square"),
    "TLS handshake": Sign(PURPLE, BAR),
}
"""The things that are marked in graphs, in the order of the legend."""


class TimeAxis(NamedTuple):
    """How a graph counts time: ``unit`` is what it is called, ``unit_ns`` how long it is."""

    unit: str
    unit_ns: int
    low_ns: int
    high_ns: int

    def at(self, time_ns: int) -> float:
        """A time in this unit."""
        return round(time_ns / self.unit_ns, 6)

    @property
    def channel(self) -> Spec:
        """The axis."""
        return {
            "field": "t",
            "type": "quantitative",
            "title": f"time since the first segment, {self.unit}",
            "scale": {"domain": [self.at(self.low_ns), self.at(self.high_ns)], "nice": False},
            "axis": {"format": ",.6~f", "tickCount": 8},
        }


UNITS: Final = (("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("h", 3_600_000_000_000))


def unit_of(duration_ns: int) -> tuple[str, int]:
    """The unit in which a duration has at least two digits before the point, as far as there is one: name and nanoseconds."""
    fitting = [unit for unit in UNITS if duration_ns >= 2 * unit[1]]
    if not fitting:
        return UNITS[0]
    return fitting[-1]


def time_axis(low_ns: int, high_ns: int) -> TimeAxis:
    """The axis from one time to another, with a little room."""
    span = max(high_ns - low_ns, 1_000)
    return TimeAxis(*unit_of(span), low_ns - span // 100, high_ns + span // 50)


def value_axis(title: str, scale: Spec | None = None, form: str = "~s") -> Spec:
    """The vertical axis of a series in ``y``."""
    axis: Spec = {"format": form, "minExtent": Y_AXIS, "tickCount": 6}
    return {"field": "y", "type": "quantitative", "title": title, "axis": axis, "scale": scale or {}}


def headroom(rows: Rows) -> Spec:
    """A scale from zero to a little above the highest value."""
    high = max((row["y"] for row in rows), default=0)
    return {"domain": [0, high * 1.06 or 1], "nice": False}


def legend(columns: int, line: bool) -> Spec:
    """A legend below the picture."""
    entries: Spec = {"title": None, "orient": "bottom", "columns": columns, "symbolOpacity": 1}
    return entries | {"symbolType": "stroke"} if line else entries


def tooltip(**titles: str) -> list[Spec]:
    """What is said of the thing under the pointer: fields of its row and what they are called."""
    return [{"field": field, "title": title.replace("_", " ")} for field, title in titles.items()]


def layer(mark: Spec, rows: Rows, encoding: Spec) -> Spec:
    """One layer."""
    return {"data": {"values": rows}, "mark": {"clip": True} | mark, "encoding": encoding}


def lines(kinds: Sequence[tuple[str, tuple[str, str]]], dark: bool, columns: int) -> Spec:
    """The colour of the series of a chart, by the ``kind`` of their rows."""
    scale = {"domain": [kind for kind, _ in kinds], "range": [color[dark] for _, color in kinds]}
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": legend(columns, line=True)}


def signs(rows: Rows, x: Spec, y: Spec, tips: list[Spec], dark: bool, columns: int) -> Spec:
    """A layer of signs, one for each row, with its legend."""
    there = {row["kind"] for row in rows}
    kinds = [kind for kind in SIGNS if kind in there]
    color = {"domain": kinds, "range": [SIGNS[kind].color[dark] for kind in kinds]}
    shape = {"domain": kinds, "range": [SIGNS[kind].shape for kind in kinds]}
    key = legend(columns, line=False)
    encoding: Spec = {
        "x": x,
        "y": y,
        "shape": {"field": "kind", "type": "nominal", "scale": shape, "legend": key},
        "color": {"field": "kind", "type": "nominal", "scale": color, "legend": key},
        "tooltip": tips,
    }
    return layer({"type": "point", "filled": False, "size": 70, "strokeWidth": 1.8, "opacity": 1}, rows, encoding)


def chart_spec(
    key: str, title: str, notes: Sequence[str], layers: list[Spec], width: int, height: int, dark: bool
) -> Spec:
    """A whole chart, which can be zoomed with the wheel and dragged where it is shown by a program that can do so."""
    zoom = {"name": f"zoom_{key.replace('-', '_')}", "select": "interval", "bind": "scales"}
    deepest = layers[0]
    while isinstance(inner := deepest.get("layer"), list):
        deepest = inner[0]
    deepest["params"] = [zoom]
    head: Spec = {"text": title, "anchor": "start"} | ({"subtitle": list(notes)} if notes else {})
    return {
        "$schema": SCHEMA,
        "title": head,
        "width": max(200, width - MARGIN),
        "height": height,
        "layer": layers,
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "background": PAPER[dark],
        "config": config(dark),
    }


def config(dark: bool) -> Spec:
    """Fonts and colours of what is not data."""
    ink, dim, grid = INK[dark], DIM[dark], GRID[dark]
    return {
        "font": "Helvetica, Arial, sans-serif",
        "view": {"stroke": grid},
        "title": {"color": ink, "subtitleColor": dim, "fontSize": 13, "subtitleFontSize": 11, "offset": 8},
        "axis": {
            "gridColor": grid,
            "domainColor": GREY[dark],
            "tickColor": GREY[dark],
            "labelColor": dim,
            "titleColor": ink,
            "titleFontWeight": "normal",
        },
        "legend": {"labelColor": ink, "labelLimit": 260, "symbolStrokeWidth": 1.8, "columnPadding": 14}
        | {"layout": {"bottom": {"anchor": "start", "direction": "vertical", "margin": 4}}},
    }
