"""The cases of a run, in a process of their own that may crash, hang or eat memory, and the one that watches it.

What a case does follows from the target, the seed and the number of the case alone.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tcpscope.version import compiled
from tests.fuzz.target import Digest, Files, Target
from tests.fuzz.targets import TARGETS

COUNTER = struct.Struct("<q")
MOST_FAILURES = 10
MOST_DIGESTS = 50_000  # cases that are compared
PROGRESS = 60  # seconds
WAITING = 20  # times as long may a case take by the clock as by the processor, which others use, too
TICK = os.sysconf("SC_CLK_TCK")


def samples_of(options: argparse.Namespace) -> Sequence[bytes]:
    """The samples, in an order that does not depend on the file system."""
    if options.corpus:
        return Files(options.corpus, options.max_size)
    return [sample for sample in TARGETS[options.target].samples() if len(sample) <= options.max_size]


def mutant(target: Target, samples: Sequence[bytes], options: argparse.Namespace, case: int) -> tuple[bytes, Random]:
    """The input of a case. The files of a folder take turns; other samples are drawn."""
    random = Random(f"{options.target}/{options.seed}/{case}")
    sample = samples[case % len(samples)] if options.mutants else random.choice(samples)
    return target.make(sample, random, samples), random


def run_case(target: Target, samples: Sequence[bytes], options: argparse.Namespace, case: int) -> str:
    """One mutant: the digest of what it gave, or "" after a failure, which is printed with what repeats it."""
    data, random = mutant(target, samples, options, case)
    try:
        digest = Digest()
        digest.add(target.run(data, random))
        return str(digest)
    except BaseException:
        traceback.print_exc()
        report(data, options, case, "failed")
        return ""


def report(data: bytes, options: argparse.Namespace, case: int, what: str) -> None:
    """Keep the mutant and say how to repeat it."""
    file = options.keep / f"fuzz-{options.target}-{options.seed}-{case}"
    file.write_bytes(data)
    which = f"--mutants {options.mutants}" if options.mutants else f"--target {options.target}"
    corpus = "" if options.mutants or not options.corpus else f" --corpus {' '.join(map(str, options.corpus))}"
    print(f"{what}: python -m tests.fuzz {which}{corpus} --seed {options.seed} --case {case}")
    print(f"the mutant, {len(data)} bytes: {file}", flush=True)


def peak() -> int:
    """The most memory since :func:`forget_peak`, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def processor_time(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def forget_peak() -> None:
    """Make the memory that is used now the most."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@dataclass(slots=True)
class Totals:
    """What a worker tells of its cases."""

    cases: int = 0
    failures: int = 0
    slowest: tuple[float, int] = (0, -1)
    largest: tuple[int, int] = (0, -1)
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        minutes = (time.monotonic() - self.started) / 60
        return (
            f"{self.cases} cases, {self.failures} failed, {minutes:.1f} minutes "
            f"({time.process_time() / 60:.1f} of the processor's); "
            f"slowest {self.slowest[0]:.2f} s (case {self.slowest[1]}), "
            f"peak memory {self.largest[0]} MiB (case {self.largest[1]})"
        )


class Known:
    """The file of ``--digests``."""

    def __init__(self, path: Path | None) -> None:
        self._digests: dict[str, str] = {}
        self._out = None if path is None else path.open("a+", encoding="ascii")
        if self._out is not None:
            self._out.seek(0)
            self._digests = dict(line.split() for line in self._out)

    def agrees(self, case: int, digest: str) -> bool:
        """Whether the case gave what it gave in another run; notes it if there was none."""
        if self._out is not None and case < MOST_DIGESTS and str(case) not in self._digests:
            self._out.write(f"{case} {digest}\n")
            self._out.flush()
        return self._digests.get(str(case), digest) == digest


def work(options: argparse.Namespace) -> int:
    """Run case after case; the number of the current one is in the file ``--worker`` for the process that watches."""
    faulthandler.enable()
    target, samples, known, totals = TARGETS[options.target], samples_of(options), Known(options.digests), Totals()
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (options.memory << 20), resource.RLIM_INFINITY))
    status = os.open(options.worker, os.O_WRONLY)
    case, told, now = options.first, totals.started, totals.started
    while now < totals.started + options.minutes * 60 and (options.count is None or case < options.count):
        os.pwrite(status, COUNTER.pack(case), 0)
        forget_peak()
        before = time.process_time()
        digest = run_case(target, samples, options, case)
        used = peak()
        totals.slowest = max(totals.slowest, (time.process_time() - before, case))
        now = time.monotonic()
        totals.largest = max(totals.largest, (used, case))
        totals.cases += 1
        trouble = "differs from another run" if digest and not known.agrees(case, digest) else ""
        if used > options.memory:
            trouble = f"needs {used} MiB"
        if trouble:
            report(mutant(target, samples, options, case)[0], options, case, trouble)
        totals.failures += bool(trouble or not digest)
        if totals.failures >= MOST_FAILURES:
            break
        if now > told + PROGRESS:
            told = now
            print(totals, flush=True)
        case += options.jobs
    os.pwrite(status, COUNTER.pack(-1), 0)
    print(f"{totals}; {len(samples)} samples", flush=True)
    return 1 if totals.failures else 0


def watch(options: argparse.Namespace) -> int:
    """Start the workers. Returns the exit status."""
    build = "compiled" if compiled() else "uncompiled"
    extent = f"{options.minutes:g} minutes" if options.count is None else f"{options.count} cases"
    print(f"target {options.target}, seed {options.seed}, {build}, {extent}", flush=True)
    watched = [Watched(options, options.first + number) for number in range(options.jobs)]
    while any(one.running() for one in watched):
        time.sleep(0.2)
    return max(one.status for one in watched)


class Watched:
    """One worker: ended where a case takes too long, and started anew behind a case that ended it."""

    def __init__(self, options: argparse.Namespace, first: int) -> None:
        self.status = 0
        self._options = options
        self._end = time.monotonic() + options.minutes * 60
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        self._failures = 0
        self._seen, self._since, self._used = first, 0.0, 0.0
        self._process = self._start(first)

    def running(self) -> bool:
        """Look after it; False once there is nothing more to do."""
        code = self._process.poll()
        now = time.monotonic()
        (case,) = COUNTER.unpack(os.pread(self._file.fileno(), COUNTER.size, 0))
        used = 0.0 if code is not None else processor_time(self._process.pid)
        if case != self._seen:
            self._seen, self._since, self._used = case, now, used
        elif code is None and case >= 0 and self._is_late(now - self._since, used - self._used):
            self._process.send_signal(signal.SIGABRT)  # faulthandler shows where it is
            code = self._process.wait()
        if code is None:
            return True
        self.status = max(self.status, int(code != 0))
        if code >= 0:
            return False
        samples = samples_of(self._options)
        data, _ = mutant(TARGETS[self._options.target], samples, self._options, case)
        report(data, self._options, case, f"ended by signal {-code}, crashed or too slow")
        self._failures += 1
        if self._failures >= MOST_FAILURES or now >= self._end:
            return False
        self._process = self._start(case + self._options.jobs)
        return True

    def _is_late(self, waited: float, used: float) -> bool:
        limit: float = self._options.seconds
        return used > limit or waited > limit * WAITING

    def _start(self, first: int) -> subprocess.Popen[bytes]:
        os.pwrite(self._file.fileno(), COUNTER.pack(first), 0)
        self._seen, self._since, self._used = first, time.monotonic() + 60, 30.0  # it needs time to start
        minutes = (self._end - time.monotonic()) / 60
        added = ["--seed", str(self._options.seed), "--first", str(first), "--minutes", str(minutes)]
        command = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:], *added, "--worker", self._file.name]
        return subprocess.Popen(command)
