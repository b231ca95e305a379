"""Runs whole programs and measures them from outside: wall clock time, processor time, peak memory."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Where ru_maxrss counts bytes instead of kilobytes
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Tool:
    """A program to measure; ``FILE`` in the command stands for the capture."""

    name: str
    command: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return shutil.which(self.command[0]) is not None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds by the wall clock, seconds of processor time, bytes of peak memory.

    A child begins with its parent's memory, so less than :func:`own_memory` cannot be told apart.
    """

    wall: float
    processor: float
    memory: int


PEERS = (
    # libpcap's read loop and nothing else: what it costs to see every frame
    Tool("tcpdump (copy)", ("tcpdump", "-n", "-r", "FILE", "-w", os.devnull)),
    Tool("tcptrace", ("tcptrace", "-n", "-l", "FILE")),
    Tool("tshark", ("tshark", "-n", "-q", "-r", "FILE", "-z", "conv,tcp")),
)


MANY = (
    # What people do without a linter: tshark's expert information, once a capture
    Tool(
        "tshark -z expert, one by one", ("sh", "-c", 'for f in "$0"/*; do tshark -n -q -z expert -r "$f"; done', "FILE")
    ),
)


def own_memory() -> int:
    """Bytes of this process's peak memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def tcpscope(command: str | None) -> Tool:
    """The tcpscope beside this interpreter, or the one given: all connections, as they end, one line each."""
    beside = Path(sys.executable).with_name("tcpscope")
    program = command or (str(beside) if beside.exists() else "tcpscope")
    return Tool("tcpscope", (program, "analyze", "FILE", "--format", "jsonl", "--no-progress"))


def checker(command: str | None) -> Tool:
    """A check of a whole directory by the same tcpscope."""
    return Tool(
        "tcpscope",
        (*tcpscope(command).command[:1], "check", "FILE", "--isolated", "--fail-on", "never", "--no-progress"),
    )


def run(tool: Tool, capture: Path) -> Run:
    """Run once; raises CalledProcessError if the program fails."""
    command = [str(capture) if word == "FILE" else word for word in tool.command]
    began = time.perf_counter()
    # Not in the source tree: what is installed is measured. wait4 tells of this child alone.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=capture.parent)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT)


def compare(tools: Sequence[Tool], capture: Path, rounds: int) -> dict[str, Run]:
    """Medians of each tool. The tools take turns, so that what else the machine does meets them all alike."""
    for path in (
        capture.iterdir() if capture.is_dir() else [capture]
    ):  # into the page cache, for the first as for the rest
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
    runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            runs[tool.name].append(run(tool, capture))
    return {
        name: Run(median(r.wall for r in rs), median(r.processor for r in rs), max(r.memory for r in rs))
        for name, rs in runs.items()
    }
