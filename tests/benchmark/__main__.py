"""``python -m tests.benchmark``: measures, and prints tables that can go into a document."""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from tests.benchmark.measure import MANY, PEERS, Run, Tool, checker, compare, own_memory, tcpscope

ROOT = Path(__file__).resolve().parents[2]
FRAMES, MEMORY_FRAMES, SMALL_FRAMES = 1_100_000, 110_000, 20_000
MEGABYTE = 1_000_000
SAMPLES = ROOT / "sample_pcaps"
DAMAGED = {"cut-capture.pcap"}  # would end tcpscope with status 2


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--profile", default="mixed,short", help="kinds of traffic: mixed, short, steady (%(default)s)")
    parser.add_argument("--frames", type=int, help=f"frames of a capture ({FRAMES:,}, which are 1.1 GB if mixed)")
    parser.add_argument("--small", action="store_true", help=f"a quick look: {SMALL_FRAMES} frames")
    parser.add_argument("--scale", default="1", help="multiples of the number of frames, such as 1,10")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs (%(default)s)")
    parser.add_argument("--only", action="store_true", help="tcpscope alone, without its peers")
    parser.add_argument(
        "--memory",
        action="store_true",
        help=f"tcpscope's peak memory over {MEMORY_FRAMES} frames of steady traffic and ten times as many",
    )
    parser.add_argument(
        "--check",
        type=int,
        metavar="COUNT",
        help="tcpscope check over this many small captures (1000 are wanted in less than 20 seconds) beside tshark's "
        "expert information, once a capture",
    )
    parser.add_argument("--tcpscope", metavar="COMMAND", help="the tcpscope to measure (that beside this Python)")
    parser.add_argument("--dir", type=Path, help="directory for the captures, which are kept there and used again")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file, too")
    options = parser.parse_args(words)
    if options.memory:
        options.profile, options.scale, options.only, options.rounds = "steady", "1,10", True, 1
    options.frames = options.frames or (SMALL_FRAMES if options.small else MEMORY_FRAMES if options.memory else FRAMES)
    return options


def make(directory: Path, profile: str, frames: int) -> Path:
    """Make the capture in a process of its own: memory of this one would count as its children's."""
    command = [sys.executable, "-m", "tests.benchmark.traffic", profile, str(frames), str(directory.resolve())]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(done.stdout.split(" (")[0])


def machine(tool: Tool) -> str:
    """One line on what was measured, and where."""
    version = subprocess.run([tool.command[0], "--version"], capture_output=True, text=True, check=True, cwd="/")
    return f"{version.stdout.strip()}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def table(results: dict[str, Run], frames: int, size: int) -> list[list[object]]:
    """A row for each tool; the ratio is its time over tcpscope's."""
    own = results["tcpscope"].wall
    return [
        [
            name,
            f"{run.wall:.2f}",
            f"{run.processor:.2f}",
            f"{frames / run.wall / 1e6:.2f}",
            f"{size / run.wall / MEGABYTE:,.0f}",
            f"{'' if run.memory > own_memory() else '≤ '}{run.memory / MEGABYTE:,.0f}",
            f"{run.wall / own:.2f}",
        ]
        for name, run in results.items()
    ]


def small_captures(directory: Path, count: int) -> Path:
    """A directory with so many captures: the samples, over and over."""
    made = directory / f"small-{count}"
    if not made.exists():
        made.mkdir(parents=True)
        samples = sorted(path for path in SAMPLES.glob("*.pcap") if path.name not in DAMAGED)
        for number, sample in zip(range(count), itertools.cycle(samples), strict=False):
            shutil.copyfile(sample, made / f"{number:05}-{sample.name}")
    return made


def check(options: argparse.Namespace, directory: Path) -> list[str]:
    """One table: a linter for many captures, and a loop around tshark."""
    own = checker(options.tcpscope)
    tools = [own] if options.only else [own, *(tool for tool in MANY if shutil.which("tshark"))]
    captures = small_captures(directory, options.check)
    results = compare(tools, captures, options.rounds)
    rows = [
        [name, f"{run.wall:.2f}", f"{run.processor:.2f}", f"{run.wall / results['tcpscope'].wall:.1f}"]
        for name, run in results.items()
    ]
    title = f"{options.check:,} captures of some kilobytes, median of {options.rounds}"
    return [
        machine(own),
        title,
        tabulate(
            rows,
            ["tool", "seconds", "processor s", "time over tcpscope's"],
            tablefmt="github",
            disable_numparse=True,
        ),
    ]


HEADERS = ["tool", "seconds", "processor s", "million frames/s", "MB/s", "peak memory MB", "time over tcpscope's"]


def measure(options: argparse.Namespace, directory: Path) -> list[str]:
    """All tables, in Markdown."""
    own = tcpscope(options.tcpscope)
    tools = [own] if options.only else [own, *(tool for tool in PEERS if tool.installed)]
    missing = [] if options.only else [tool.name for tool in PEERS if not tool.installed]
    out = [machine(own) + (f"; not installed: {', '.join(missing)}" if missing else "")]
    for profile in options.profile.split(","):
        for scale in options.scale.split(","):
            frames = options.frames * int(scale)
            capture = make(directory, profile, frames)
            size = capture.stat().st_size
            results = compare(tools, capture, options.rounds)
            out.append(f"{profile}: {frames:,} frames, {size / MEGABYTE:,.0f} MB, median of {options.rounds}")
            out.append(tabulate(table(results, frames, size), HEADERS, tablefmt="github", disable_numparse=True))
    return out


def main() -> None:
    """Measure and print."""
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.dir or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join((check if options.check else measure)(options, directory)) + "\n"
    print(text, end="")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
