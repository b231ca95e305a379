"""Measures tcpscope beside its peers, and prints a table of goals and what was found. docs/benchmark.md says more."""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmark import goals, growth, real
from tests.benchmark.goals import GOALS, PARTS, RUNS, SMALL, Bench
from tests.benchmark.measure import ONE_BY_ONE, ROOT, Tool, compare, installed_peers, tcpscope

SAMPLES = ROOT / "sample_pcaps"
DAMAGED = {"cut-capture.pcap"}  # would end tcpscope with status 2


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--small", action="store_true", help=f"a quick look: captures {SMALL} times smaller")
    parser.add_argument(
        "--real", action="store_true", help="record ab and wrk with nginx, and measure on that, too (root)"
    )
    parser.add_argument("--only", metavar="PARTS", help=f"only these parts of the table: {', '.join(PARTS)}")
    parser.add_argument("--growth", type=Path, metavar="FILE.svg", help="draw how time and memory grow instead")
    parser.add_argument(
        "--check",
        type=int,
        metavar="COUNT",
        help="measure tcpscope check over this many small captures instead (1000 are wanted in less than 20 seconds) "
        "beside tshark's expert information, once a capture",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs (%(default)s)")
    parser.add_argument("--tcpscope", metavar="COMMAND", help="the tcpscope to measure (that beside this Python)")
    parser.add_argument(
        "--nfstream", metavar="PYTHON", default=sys.executable, help="a Python that has nfstream (this)"
    )
    parser.add_argument("--dir", type=Path, help="directory for the captures, which are kept there and used again")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="put the tables into this document, between <!-- benchmark --> and <!-- /benchmark --> (goals), runs and "
        "growth; may be given several times",
    )
    options = parser.parse_args(words)
    options.parts = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.real and (why := real.missing()):
        parser.error(f"--real: {why}")
    tables = ("growth",) if options.growth else ("check",) if options.check else ("benchmark", "runs")
    for path in options.markdown:  # not after minutes of measuring
        try:
            fill(path.read_text(encoding="utf-8"), dict.fromkeys(tables, ""))
        except (OSError, ValueError) as error:
            parser.error(f"--markdown {path}: {error}")
    return options


def machine(tool: Tool) -> str:
    """One line on what was measured, and where."""
    command = [*tool.command[: tool.command.index("analyze")], "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()
    return f"{version}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def small_captures(directory: Path, count: int) -> Path:
    """A directory with so many captures: the samples, over and over."""
    made = directory / f"small-{count}"
    if not made.exists():
        made.mkdir(parents=True)
        samples = sorted(path for path in SAMPLES.glob("*.pcap") if path.name not in DAMAGED)
        for number, sample in zip(range(count), itertools.cycle(samples), strict=False):
            shutil.copyfile(sample, made / f"{number:05}-{sample.name}")
    return made


def check(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    """A linter for many captures, and a loop around tshark."""
    words = ("check", "FILE", "--isolated", "--fail-on", "never", "--no-progress")
    tools = [tcpscope(options.tcpscope, *words)] + [ONE_BY_ONE] * bool(shutil.which("tshark"))
    results = compare(tools, small_captures(directory, options.check), options.rounds)
    own = results["tcpscope"].wall
    rows = [[name, f"{one.wall:.2f}", f"{one.processor:.2f}", f"{one.wall / own:.1f}"] for name, one in results.items()]
    title = f"{options.check:,} captures of some kilobytes, median of {options.rounds}"
    headers = ["tool", "seconds", "processor s", "time over tcpscope's"]
    return {"check": f"{title}\n\n{goals.markdown(headers, rows)}"}


def compared(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    """The table of goals, and that of the runs behind it."""
    peers, absent = installed_peers(options.nfstream)
    bench = Bench(directory, options.tcpscope, peers, options.rounds, options.small)
    for part in options.parts:
        PARTS[part](bench)
    if options.real:
        goals.real(bench)
    notes = [machine(tcpscope(options.tcpscope)), f"medians of {options.rounds}"]
    if options.small:
        notes.append(f"captures {SMALL} times smaller than the goals mean")
    if absent:
        notes.append(f"not installed: {', '.join(absent)}")
    note = "; ".join(notes) + "."
    return {
        "benchmark": f"{note}\n\n{goals.markdown(GOALS, bench.goals)}",
        "runs": goals.markdown(RUNS, bench.runs),
    }


def grown(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    """The picture of growth, and its table."""
    steps = growth.STEPS[:4] if options.small else growth.STEPS
    tool = tcpscope(options.tcpscope)
    start, points = growth.measure(tool, directory, steps, options.rounds)
    options.growth.write_text(growth.picture(points), encoding="utf-8")
    return {"growth": f"{machine(tool)}. {growth.table(start, points)}"}


def fill(document: str, tables: dict[str, str]) -> str:
    """The document with the tables that it has places for, between lines of their own; ValueError if it has none."""
    found = False
    for name, table in tables.items():
        place = re.search(rf"(?ms)^<!-- {name} -->\n(.*?)^<!-- /{name} -->$", document)
        if place is not None:
            document = f"{document[: place.start(1)]}{table}\n{document[place.end(1) :]}"
            found = True
    if not found:
        raise ValueError(f"no place for {' or '.join(tables)}, such as <!-- {next(iter(tables))} -->")
    return document


def main() -> None:
    """Measure and print."""
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        directory = (options.dir or Path(temporary)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        measured = grown if options.growth else check if options.check else compared
        tables = measured(options, directory)
    print("\n\n".join(tables.values()))
    for path in options.markdown:
        path.write_text(fill(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
