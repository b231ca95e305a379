"""The table of goals: what tcpscope is to reach on each capture, beside its peers, and what was found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

from tests.benchmark.measure import ROOT, Run, Tool, compare, in_tree, run, tcpscope, warm

MEGABYTE = 1_000_000
FRAMES = 1_000_000  # 1 GB if bulk or mixed
SMALL = 50  # a quick look takes so many times fewer
STEADY = FRAMES // 10
TENTH = 10
FLOOD_LIMIT = 100_000  # of --max-connections
TINY = 10  # frames, of which the start is measured

# A peer and how many times faster tcpscope is to be; of libpcap's read loop, how many times its time may be taken.
LARGE = {"libpcap": 2.0, "tcptrace": 2.0, "argus": 2.0, "nDPI": 6.0, "nfstream": 7.0, "tshark": 30.0}
SHORT = {"tcptrace": 3.0, "argus": 3.0}
FLOOD = {"argus": 5.0}


@dataclass(slots=True)
class Bench:
    """What is measured with, and what was found so far: rows of both tables."""

    directory: Path
    command: str | None
    peers: dict[str, Tool]
    rounds: int
    small: bool
    goals: list[list[str]] = field(default_factory=list)
    runs: list[list[str]] = field(default_factory=list)

    def make(self, profile: str, frames: int) -> Path:
        """A capture of this many frames, made in a process of its own."""
        return make(self.directory, profile, frames if frames <= TINY or not self.small else frames // SMALL)

    def found(self, capture: str, measure: str, goal: str, found: str, met: bool) -> None:
        """A row of the table of goals. In a quick look the start outweighs all else, and no goal counts."""
        print(f"{capture}: {measure}: {found}", file=sys.stderr)
        self.goals.append([capture, measure, goal, found if met or self.small else f"{found}: missed"])

    def ran(self, capture: str, tool: str, one: Run, size: int, frames: int) -> None:
        """A row of the table of runs."""
        speed = [f"{frames / one.wall / 1e6:.2f}", f"{size / one.wall / MEGABYTE:,.0f}"]
        self.runs.append([capture, tool, f"{one.wall:.2f}", f"{one.processor:.2f}", *speed, megabytes(one.memory)])

    def own(self, *words: str) -> Tool:
        """tcpscope with these words, or with the defaults."""
        return tcpscope(self.command, *words)


def make(directory: Path, profile: str, frames: int) -> Path:
    """Make a capture in a process of its own, whose memory is not this one's; one that is there is used again."""
    command = [sys.executable, "-m", "tests.benchmark.traffic", profile, str(frames), str(directory.resolve())]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(done.stdout.split(" (")[0])


def megabytes(memory: float) -> str:
    """A peak memory."""
    return f"{memory / MEGABYTE:,.0f}"


def against(bench: Bench, name: str, capture: Path, frames: int, goals: dict[str, float]) -> dict[str, Run]:
    """tcpscope and the peers that have a goal for this capture, and are here."""
    tools = [bench.own(), *(bench.peers[peer] for peer in goals if peer in bench.peers)]
    results = compare(tools, capture, bench.rounds)
    own = results["tcpscope"]
    for tool in tools:
        once = ", once" if tool.slow else ""
        bench.ran(name, tool.name + once, results[tool.name], capture.stat().st_size, frames)
    for peer, goal in goals.items():
        if peer not in results:
            continue
        other, times = results[peer], f"({own.wall:.2f} s : {results[peer].wall:.2f} s)"
        if peer == "libpcap":
            ratio, processor = own.wall / other.wall, own.processor / other.processor
            measure, wanted, met = "time, libpcap's read loop", f"≤ {goal:g} × its time", ratio <= goal
        else:
            ratio, processor = other.wall / own.wall, other.processor / own.processor
            measure, wanted, met = f"time, {peer}", f"≥ {goal:g} × faster", ratio >= goal
        bench.found(name, measure, wanted, f"{ratio:.1f} × {times}, {processor:.1f} × in processor time", met)
    return results


def large(bench: Bench) -> None:
    """Large transfers, and a mixture of which a fifth is TLS."""
    for profile in ("bulk", "mixed"):
        capture = bench.make(profile, FRAMES)
        against(bench, profile, capture, frames_of(bench, FRAMES), LARGE)


def short(bench: Bench) -> None:
    """100,000 short connections."""
    against(bench, "short", bench.make("short", FRAMES), frames_of(bench, FRAMES), SHORT)


def flood(bench: Bench) -> None:
    """A million connections of which there is a SYN each: time, memory, and memory that is limited."""
    capture, frames = bench.make("flood", FRAMES), frames_of(bench, FRAMES)
    own = against(bench, "flood", capture, frames, FLOOD)["tcpscope"]
    start = run(bench.own(), bench.make("mixed", TINY))
    each = (own.memory - start.memory) / frames
    found = f"{each:,.0f} ({megabytes(own.memory)} MB, {megabytes(start.memory)} MB at the start)"
    bench.found("flood", "bytes a connection above the start", "< 600", found, each < 600)
    limit = str(frames_of(bench, FLOOD_LIMIT))
    limited = bench.own("analyze", "FILE", "--no-progress", "--max-connections", limit)
    done = run(limited, capture)
    said = subprocess.run(limited.words(capture), capture_output=True, text=True, check=True, cwd=capture.parent).stdout
    evicted = "eviction reported" if "TS908" in said else "eviction not reported"
    bench.ran("flood", f"tcpscope --max-connections {limit}", done, capture.stat().st_size, frames)
    bench.found(
        "flood",
        f"peak memory with --max-connections {limit}",
        "< 150 MB, eviction reported",
        f"{megabytes(done.memory)} MB, {evicted}",
        done.memory < 150 * MEGABYTE and "TS908" in said,
    )


def frames_of(bench: Bench, frames: int) -> int:
    """Frames, or connections, of a quick look."""
    return frames // SMALL if bench.small else frames


def steady(bench: Bench) -> None:
    """The same traffic for ten times as long needs no more memory."""
    memories = []
    for frames in (STEADY, STEADY * 10):
        capture = bench.make("steady", frames)
        warm(capture)
        done = run(bench.own(), capture)
        bench.ran("steady", "tcpscope", done, capture.stat().st_size, frames_of(bench, frames))
        memories.append(done.memory)
    more = memories[1] / memories[0] - 1
    found = f"{more:+.0%} ({megabytes(memories[0])} MB, {megabytes(memories[1])} MB)"
    bench.found("steady", "peak memory, ten times the frames", "equal within 10 %", found, abs(more) <= 0.1)


def start(bench: Bench) -> None:
    """Starting."""
    capture = bench.make("mixed", TINY)
    for measure, tool, most in (
        ("tcpscope --help", bench.own("--help"), 0.12),
        (f"a capture of {TINY} frames", bench.own(), 0.2),
    ):
        wall = compare([tool], capture, max(bench.rounds, 5))["tcpscope"].wall
        bench.found("start", measure, f"< {most * 1000:.0f} ms", f"{wall * 1000:.0f} ms", wall < most)


def uncompiled(bench: Bench) -> None:
    """The sources as they are, without the extension modules, beside tshark."""
    if "tshark" not in bench.peers:
        return
    tree = bench.directory / "uncompiled"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "tcpscope", tree / "tcpscope", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    program = in_tree(tree.resolve())
    tool = Tool("tcpscope, uncompiled", (*program, "analyze", "FILE", "--no-progress"))
    run(tool, bench.make("mixed", TINY))  # Python keeps its bytecode
    capture = bench.make("mixed", FRAMES // TENTH)
    results = compare([tool, bench.peers["tshark"]], capture, 1)
    shutil.rmtree(tree)
    own, other = results[tool.name].wall, results["tshark"].wall
    bench.ran(
        "mixed, a tenth", tool.name, results[tool.name], capture.stat().st_size, frames_of(bench, FRAMES // TENTH)
    )
    found = f"{other / own:.1f} × ({own:.1f} s : {other:.1f} s)"
    bench.found("mixed, a tenth", "time uncompiled, tshark, once", "≥ 1 × as fast", found, other >= own)


def jsonl(bench: Bench) -> None:
    """All connections as JSON."""
    if "tshark" not in bench.peers:
        return
    capture, part = bench.make("short", FRAMES), bench.make("short", FRAMES // TENTH)
    tool = bench.own("analyze", "FILE", "--no-progress", "--format", "jsonl")
    own = compare([tool], capture, bench.rounds)["tcpscope"]
    tshark = compare([Tool("tshark -T json", ("tshark", "-T", "json", "-r", "FILE"))], part, 1)["tshark -T json"]
    frames = frames_of(bench, FRAMES)
    bench.ran("short", "tcpscope --format jsonl", own, capture.stat().st_size, frames)
    bench.ran("short, a tenth", "tshark -T json, once", tshark, part.stat().st_size, frames // TENTH)
    ratio = tshark.wall * TENTH / own.wall
    found = f"{ratio:.0f} × ({own.wall:.2f} s : {tshark.wall:.1f} s on a tenth, times ten)"
    bench.found("short", "time of --format jsonl, tshark -T json", "≥ 20 × faster", found, ratio >= 20)


Part = Callable[[Bench], None]
PARTS: dict[str, Part] = {
    "large": large,
    "short": short,
    "flood": flood,
    "steady": steady,
    "start": start,
    "uncompiled": uncompiled,
    "jsonl": jsonl,
}


def real(bench: Bench) -> None:
    """Recordings of nginx, ab and wrk, made now. A tool that is made for what ab does has ab's goals."""
    from tests.benchmark.real import record

    for name, capture, frames, drops in record(bench.directory, bench.small):
        goals = SHORT if name.startswith("ab") else LARGE
        against(bench, f"{name}{f', {drops:,} dropped' if drops else ''}", capture, frames, goals)


GOALS = ["capture", "measure", "goal", "found"]
RUNS = ["capture", "tool", "seconds", "processor s", "million frames/s", "MB/s", "peak memory MB"]


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has it."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
