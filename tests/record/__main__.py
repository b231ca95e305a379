"""Record sample captures: `python -m tests.record [NAME ...]` as root; without names, all of them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
import traceback
from pathlib import Path

from .manual import write_readme
from .scenario import REGISTRY, in_order, record

FOLDER = Path(__file__).resolve().parents[2] / "sample_pcaps"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.record", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to record (default: all)")
    parser.add_argument("--list", action="store_true", help="only list the scenarios")
    parser.add_argument("--readme", action="store_true", help="only write the README again")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for the captures")
    given = parser.parse_args()
    known = [one.name for one in in_order()]
    if given.list:
        print("\n".join(f"{name:32} {REGISTRY[name].what}" for name in known))
        return 0
    unknown = [name for name in given.names if name not in REGISTRY]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    given.output.mkdir(parents=True, exist_ok=True)
    if given.readme:
        write_readme(given.output)
        return 0
    if os.geteuid() != 0:
        parser.error("namespaces, tap devices and tracefs need root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is also taken down
    failed = _record_all(given.names or known, given.output)
    write_readme(given.output)
    return 1 if failed else 0


def _record_all(names: list[str], folder: Path) -> list[str]:
    sys.setswitchinterval(0.0005)  # the relay is a thread: its timestamps must not wait for the scenario's
    failed = []
    for name in names:
        began = time.monotonic()
        try:
            story = record(REGISTRY[name], folder)
        except (Exception, KeyboardInterrupt) as problem:
            traceback.print_exc()
            failed.append(name)
            if isinstance(problem, KeyboardInterrupt):
                break
            continue
        _store(folder / "truth.json", name, story)
        print(f"{name:32} {time.monotonic() - began:6.1f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return failed


def _store(path: Path, name: str, story: dict[str, object]) -> None:
    """Put one capture's truth into truth.json, one line for each list of numbers so that differences are readable."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known[name] = {"kernel": platform.release().split("-")[0]} | story
    known = {key: known[key] for key in sorted(known) if key in REGISTRY}
    lines = []
    for capture, fields in known.items():
        body = ",\n".join(f"  {json.dumps(key)}: {_value(value)}" for key, value in fields.items())
        lines.append(f" {json.dumps(capture)}: {{\n{body}\n }}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _value(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n   " + ",\n   ".join(json.dumps(one) for one in value) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    sys.exit(main())
