"""Runs whole programs and measures them from outside: wall clock time, processor time, peak memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]

# Where ru_maxrss counts bytes instead of kilobytes
RSS_UNIT = 1 if sys.platform == "darwin" else 1024

# Runs one program and prints its figures. A process begins with the peak memory of the one that started it: this one,
# without anything imported, is smaller than whatever it measures.
METER = """
import os, sys, time
null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program to measure; ``FILE`` in the command stands for the capture. One that is slow runs only once."""

    name: str
    command: tuple[str, ...]
    slow: bool = False

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return self.command[0] != "" and shutil.which(self.command[0]) is not None

    def words(self, capture: Path) -> list[str]:
        """The command for this capture."""
        return [str(capture) if word == "FILE" else word for word in self.command]


@dataclass(frozen=True, slots=True)
class Run:
    """One run, or the medians of several: seconds by the wall clock, seconds of processor time, bytes of peak memory."""

    wall: float
    processor: float
    memory: int


def tcpscope(command: str | None, *words: str) -> Tool:
    """The tcpscope given, or that beside this interpreter, or, if none is installed, that of the source tree."""
    beside = Path(sys.executable).with_name("tcpscope")
    program: tuple[str, ...] = (command,) if command else (str(beside),)
    if not command and not beside.exists():
        program = in_tree(ROOT)
    return Tool("tcpscope", (*program, *(words or ("analyze", "FILE", "--no-progress"))))


def in_tree(tree: Path) -> tuple[str, ...]:
    """The command that runs the tcpscope of a source tree."""
    return ("env", f"PYTHONPATH={tree}", sys.executable, "-P", "-m", "tcpscope")


def run(tool: Tool, capture: Path) -> Run:
    """Run once; raises CalledProcessError if the program fails."""
    command = tool.words(capture)
    # Not in the source tree: what is installed is measured.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", METER, *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=capture.parent,
    )
    wall, processor, memory, status = done.stdout.split()
    if int(status):
        raise subprocess.CalledProcessError(int(status), command)
    return Run(float(wall), float(processor), int(memory) * RSS_UNIT)


def warm(capture: Path) -> None:
    """Read a file, or the files of a directory, into the page cache: for the first program as for the rest."""
    for path in capture.iterdir() if capture.is_dir() else [capture]:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def compare(tools: Sequence[Tool], capture: Path, rounds: int) -> dict[str, Run]:
    """Medians of each tool. The tools take turns, so that what else the machine does meets them all alike."""
    warm(capture)
    runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    for number in range(rounds):
        for tool in tools:
            if number == 0 or not tool.slow:
                runs[tool.name].append(run(tool, capture))
    return {name: middle(found) for name, found in runs.items()}


def middle(runs: Sequence[Run]) -> Run:
    """The medians of the times, and the most memory."""
    return Run(median(r.wall for r in runs), median(r.processor for r in runs), max(r.memory for r in runs))


def installed_peers(nfstream: str) -> tuple[dict[str, Tool], list[str]]:
    """The peers that can be run here, by name, and the names of the others.

    ``nfstream`` is the Python that has nfstream.
    """
    found = {tool.name: tool for tool in PEERS if tool.installed}
    imports = [nfstream, "-c", "import nfstream"]
    if shutil.which(nfstream) and subprocess.run(imports, capture_output=True, check=False).returncode == 0:
        found["nfstream"] = Tool("nfstream", (nfstream, "-c", NFSTREAM, "FILE"))
    return found, [name for name in (*(tool.name for tool in PEERS), "nfstream") if name not in found]


NFSTREAM = """
import sys
from nfstream import NFStreamer
if __name__ == "__main__":
    for flow in NFStreamer(source=sys.argv[1]):
        pass
"""

PEERS = (
    # libpcap's read loop and a filter that nothing meets: what it costs to see every frame
    Tool("libpcap", ("tcpdump", "-n", "-r", "FILE", "tcp[13] = 255")),
    Tool("tcptrace", ("tcptrace", "-n", "FILE")),
    Tool(
        "argus",
        (shutil.which("argus") or shutil.which("argus", path="/usr/sbin") or "", "-r", "FILE", "-w", os.devnull),
    ),
    Tool("nDPI", ("ndpiReader", "-i", "FILE")),
    Tool("tshark", ("tshark", "-q", "-z", "expert", "-r", "FILE"), slow=True),
)

# What people do without a linter: tshark's expert information, once a capture
ONE_BY_ONE = Tool(
    "tshark -z expert, one by one", ("sh", "-c", 'for f in "$0"/*; do tshark -n -q -z expert -r "$f"; done', "FILE")
)
