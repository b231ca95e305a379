"""Runs a target on mutants until the time is up, in a process of its own that may crash, hang or eat memory."""

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
from pathlib import Path
from random import Random

from tcpscope.version import compiled
from tests.fuzz.targets import TARGETS, Target, built_in

COUNTER = struct.Struct("<Q")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed either way")
    parser.add_argument("--case", type=int, default=None, help="run only this case of the seed, in this process")
    parser.add_argument(
        "--corpus", type=Path, nargs="*", default=[], help="files and folders; default: built-in samples"
    )
    parser.add_argument("--max-size", type=int, default=300_000, help="bytes of a sample; larger ones are left out")
    parser.add_argument("--seconds", type=float, default=5, help="that a case may take")
    parser.add_argument("--memory", type=int, default=300, help="MiB that a case may need")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="folder for mutants that fail")
    parser.add_argument("--compiled", action="store_true", help="stop if what is imported is not compiled")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def load(options: argparse.Namespace) -> list[bytes]:
    """The samples, in an order that does not depend on the file system."""
    if not options.corpus:
        return built_in()
    files: list[Path] = []
    for path in options.corpus:
        files += sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    return [file.read_bytes() for file in files if 0 < file.stat().st_size <= options.max_size]


def mutant(target: Target, samples: Sequence[bytes], options: argparse.Namespace, case: int) -> tuple[bytes, Random]:
    """The input of a case, which follows from the seed and its number alone."""
    random = Random(f"{options.target}/{options.seed}/{case}")
    return target.make(random.choice(samples), random, samples), random


def run_case(target: Target, samples: Sequence[bytes], options: argparse.Namespace, case: int) -> None:
    """One mutant. A failure is printed with what repeats it, and ends the process."""
    data, random = mutant(target, samples, options, case)
    try:
        target.run(data, random)
    except BaseException:
        traceback.print_exc()
        report(data, options, case, "failed")
        os._exit(1)


def report(data: bytes, options: argparse.Namespace, case: int, what: str) -> None:
    """Keep the mutant and say how to repeat it."""
    file = options.keep / f"fuzz-{options.target}-{options.seed}-{case}"
    file.write_bytes(data)
    print(
        f"{what}: --target {options.target} --seed {options.seed} --case {case}; mutant of {len(data)} bytes in {file}"
    )
    sys.stdout.flush()


def work(options: argparse.Namespace) -> None:
    """Run case after case; the number of the current one is in the file ``--worker`` for the process that watches."""
    faulthandler.enable()
    target, samples = TARGETS[options.target], load(options)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (options.memory << 20), resource.RLIM_INFINITY))
    end = time.monotonic() + options.minutes * 60
    status = os.open(options.worker, os.O_WRONLY)
    case = 0
    while time.monotonic() < end:
        os.pwrite(status, COUNTER.pack(case), 0)
        run_case(target, samples, options, case)
        case += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{case} cases of {len(samples)} samples passed; peak memory with all samples {peak} MiB")


def watch(options: argparse.Namespace) -> int:
    """Start the worker, and end it where a case takes too long. Returns the exit status."""
    build = "compiled" if compiled() else "uncompiled"
    print(f"target {options.target}, seed {options.seed}, {build}, {options.minutes:g} minutes", flush=True)
    with tempfile.NamedTemporaryFile() as status:
        status.write(COUNTER.pack(0))
        status.flush()
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            *sys.argv[1:],
            "--seed",
            str(options.seed),
            "--worker",
            status.name,
        ]
        with subprocess.Popen(command) as worker:
            seen, since = -1, time.monotonic() + 20  # it needs time to start
            while worker.poll() is None:
                time.sleep(0.2)
                (case,) = COUNTER.unpack(Path(status.name).read_bytes())
                if case != seen:
                    seen, since = case, max(since, time.monotonic())
                elif time.monotonic() - since > options.seconds:
                    worker.send_signal(signal.SIGABRT)  # faulthandler shows where it is
        if worker.returncode < 0:
            samples = load(options)
            data, _ = mutant(TARGETS[options.target], samples, options, seen)
            report(data, options, seen, f"ended by signal {-worker.returncode}, crashed or too slow")
        return 1 if worker.returncode else 0


def main() -> int:
    """Run as the command line says."""
    options = arguments()
    if options.seed is None:
        options.seed = int(time.time())
    if options.compiled and not compiled():
        print("what is imported is not compiled")
        return 2
    if options.worker:
        work(options)
        return 0
    if options.case is not None:
        run_case(TARGETS[options.target], load(options), options, options.case)
        print("passed")
        return 0
    return watch(options)


if __name__ == "__main__":
    sys.exit(main())
