"""How time and memory grow: over three decades of frames, and of connections that are all live."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmark.goals import MEGABYTE, TINY, make, markdown
from tests.benchmark.measure import Run, Tool, compare

# Frames of each capture. Of trickle nearly all connections are over, and forgotten; of crowd none is.
STEPS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
SMALL_ROUNDS = 9  # of captures that take less than a second: above the start they take some milliseconds
FIRST = 4_000  # of crowd, another one: a thousand connections
AGAINST = {"trickle": "frames, of which few connections are live", "crowd": "connections, all live"}
TOTALS = re.compile(r"1 capture, ([\d,]+) connections?, ([\d,]+) frames")


@dataclass(frozen=True, slots=True)
class Point:
    """One capture: how much there is of what grows, processor time and bytes of memory above the start, all the memory."""

    profile: str
    amount: int
    seconds: float
    memory: int
    peak: int


def measure(tool: Tool, directory: Path, steps: Sequence[int], rounds: int) -> tuple[Run, list[Point]]:
    """The start, which is a capture of some frames, and all points."""
    start = compare([tool], make(directory, "mixed", TINY), max(rounds, SMALL_ROUNDS))[tool.name]
    points = []
    for profile in AGAINST:
        for frames in steps if profile == "trickle" else (FIRST, *steps):
            capture = make(directory, profile, frames)
            one = compare([tool], capture, rounds if frames > 1_000_000 else max(rounds, SMALL_ROUNDS))[tool.name]
            said = subprocess.run(tool.words(capture), capture_output=True, text=True, check=True, cwd=capture.parent)
            totals = TOTALS.search(said.stdout)
            assert totals
            connections, seen = (int(number.replace(",", "")) for number in totals.groups())
            amount = seen if profile == "trickle" else connections
            points.append(
                Point(profile, amount, one.processor - start.processor, one.memory - start.memory, one.memory)
            )
            print(f"{profile}: {amount:,}: {one.processor:.2f} s, {one.memory / MEGABYTE:,.0f} MB", file=sys.stderr)
    return start, points


HEADERS = ["growing", "amount", "seconds above the start", "a million, seconds", "MB above the start", "bytes each"]


def table(start: Run, points: Sequence[Point]) -> str:
    """The points, and what each frame or connection costs."""
    rows = [
        [
            "frames" if point.profile == "trickle" else "live connections",
            f"{point.amount:,}",
            f"{point.seconds:.3f}",
            f"{point.seconds / point.amount * 1e6:.2f}",
            f"{point.memory / MEGABYTE:.1f}",
            f"{point.memory / point.amount:,.0f}" if point.profile == "crowd" else "",
        ]
        for point in points
    ]
    first = f"Start: {start.processor:.2f} s, {start.memory / MEGABYTE:.0f} MB."
    return f"{first}\n\n{markdown(HEADERS, rows)}"


def chart(points: Sequence[Point], profile: str, measure: str, title: str) -> dict[str, object]:
    """One of the four graphs, in Vega-Lite: points and the line of exact proportion through the last of them."""
    mine = [point for point in points if point.profile == profile]
    constant = profile == "trickle" and measure == "MB"
    amounts = [
        point.seconds if measure == "seconds" else (point.peak if constant else point.memory) / MEGABYTE
        for point in mine
    ]
    values = [{"x": point.amount, "y": y} for point, y in zip(mine, amounts, strict=True) if y > 0]
    first, last = values[0], values[-1]
    line = [{"x": first["x"], "y": last["y"] * (1 if constant else first["x"] / last["x"])}, last]
    # A line for each power of ten, and no others: the picture stays small.
    axis = {"grid": True, "values": [10.0**n for n in range(-4, 9)], "format": "~s", "titleFontWeight": "normal"}
    encoding = {
        "x": {"field": "x", "type": "quantitative", "scale": {"type": "log"}, "title": AGAINST[profile], "axis": axis},
        "y": {
            "field": "y",
            "type": "quantitative",
            "scale": {"type": "log", "domain": [1, 1000]} if constant else {"type": "log"},
            "title": f"{measure}, start included" if constant else f"{measure} above the start",
            "axis": axis | {"format": "~g"},
        },
    }
    return {
        "title": {"text": title, "fontWeight": "normal", "fontSize": 12},
        "width": 300,
        "height": 180,
        "layer": [
            {
                "data": {"values": line},
                "mark": {"type": "line", "color": "#999", "strokeDash": [4, 3], "clip": True},
                "encoding": encoding,
            },
            {
                "data": {"values": values},
                "mark": {"type": "line", "color": "#1f6feb", "point": {"filled": True, "size": 40}},
                "encoding": encoding,
            },
        ],
    }


def picture(points: Sequence[Point]) -> str:
    """The four graphs as SVG."""
    import vl_convert

    rows = [
        {"hconcat": [chart(points, profile, unit, title) for profile, title in zip(AGAINST, titles, strict=True)]}
        for unit, titles in (
            ("seconds", ("Time grows as the frames do", "Time grows as the connections do")),
            ("MB", ("Memory does not follow the frames", "Memory grows as the live connections do")),
        )
    ]
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "padding": 8,
        "vconcat": rows,
        "config": {"view": {"stroke": "#ddd"}, "axis": {"gridColor": "#eee", "domainColor": "#bbb"}},
    }
    return str(vl_convert.vegalite_to_svg(json.dumps(specification)))
