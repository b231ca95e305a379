"""Runs a target on mutants until the time is up: see ``python -m tests.fuzz --help``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tcpscope.version import compiled
from tests.fuzz.runner import run_case, samples_of, watch, work
from tests.fuzz.targets import TARGETS


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument(
        "--mutants", type=Path, metavar="DIR", help="mutants of all files in a folder, one after the other"
    )
    parser.add_argument("--minutes", type=float, default=None, help="default: 1, and no limit with --count")
    parser.add_argument("--count", type=int, default=None, help="cases to run; default: until the time is up")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the cases")
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed either way")
    parser.add_argument("--first", type=int, default=0, help="case to begin with")
    parser.add_argument("--case", type=int, default=None, help="run only this case of the seed, in this process")
    parser.add_argument(
        "--corpus", type=Path, nargs="*", default=[], help="files and folders; default: built-in samples"
    )
    parser.add_argument("--max-size", type=int, default=None, help="bytes of a sample; larger ones are left out")
    parser.add_argument("--seconds", type=float, default=5, help="of processor time that a case may take")
    parser.add_argument("--memory", type=int, default=300, help="MiB that the process may need for a case")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="folder for mutants that fail")
    parser.add_argument(
        "--digests",
        type=Path,
        help="file with a line a case; a case that it knows must give what it says: run it in both builds",
    )
    parser.add_argument("--compiled", action="store_true", help="stop if what is imported is not compiled")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if (options.target is None) == (options.mutants is None):
        parser.error("give --target or --mutants")
    if options.mutants is not None:
        options.target, options.corpus = "mutants", [options.mutants]
    if options.max_size is None:
        options.max_size = 300_000 if options.mutants is None else 1 << 30
    if options.minutes is None:
        options.minutes = 1 if options.count is None else 1e9
    if options.seed is None:
        options.seed = int(time.time())
    return options


def main() -> int:
    """Run as the command line says."""
    options = arguments()
    if options.compiled and not compiled():
        print("what is imported is not compiled")
        return 2
    if options.worker:
        return work(options)
    if options.case is not None:
        if not run_case(TARGETS[options.target], samples_of(options), options, options.case):
            return 1
        print("passed")
        return 0
    return watch(options)


if __name__ == "__main__":
    sys.exit(main())
