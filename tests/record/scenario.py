"""The registry of scenarios and how one is recorded."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import wire
from .files import PcapngWriter, PcapWriter, Writer
from .lab import Lab
from .truth import Truth

Body = Callable[[Lab], None]


@dataclass(frozen=True)
class Scenario:
    """One capture. `proof` are display filters of Wireshark that must each match a frame of the finished file, with `!`
    in front: no frame. `counters` are counters of the kernel, as "client.TcpRetransSegs", that must have moved.
    """

    name: str
    what: str
    body: Body
    delay: float
    point: str
    snap: int
    link: int
    suffix: str
    recorder: str
    proof: tuple[str, ...]
    counters: tuple[str, ...]
    limit: int
    v6: bool


REGISTRY: dict[str, Scenario] = {}


def scenario(
    name: str,
    what: str,
    *,
    proof: tuple[str, ...],
    counters: tuple[str, ...] = (),
    delay: float = 0.005,
    point: str = "client",
    snap: int = 0,
    link: int = wire.ETHERNET,
    suffix: str = "pcap",
    recorder: str = "relay",
    limit: int = 60,
    v6: bool = False,
) -> Callable[[Body], Body]:
    """Register a scenario. `delay` is the path's, one way, in seconds; `recorder` "relay" or the program that the body
    itself runs to write `lab.path`; `limit` is the time, in seconds, that it may take; `v6` has the namespaces speak
    IPv6 too.
    """

    def register(body: Body) -> Body:
        if name in REGISTRY:
            raise ValueError(f"two scenarios named {name}")
        REGISTRY[name] = Scenario(
            name, what, body, delay, point, snap, link, suffix, recorder, proof, counters, limit, v6
        )
        return body

    return register


def in_order() -> list[Scenario]:
    """All scenarios in the order of the README: by module, then as they stand there."""
    from .scenarios import ORDER

    return [one for module in ORDER for one in REGISTRY.values() if one.body.__module__ == module.__name__]


def record(one: Scenario, folder: Path) -> dict[str, Any]:
    """Run a scenario, prove its capture, move it (and its key log) into `folder`; the truth to be stored."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"{one.name}: longer than {one.limit} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(one.limit)
    temporary = Path(os.path.realpath(folder)) / f".{one.name}.{one.suffix}"
    lab = Lab(temporary, one.delay, one.point, one.link, one.v6)
    try:
        with Truth(lab) as truth:
            writer = _writer(one, temporary)
            lab.relay.writer = writer
            one.body(lab)
            time.sleep(one.delay * 2 + 0.05)
            lab.relay.writer = None
            if writer is not None:
                writer.close()
            if lab.after is not None:
                lab.after(temporary)
            if lab.relay.failure is not None:
                raise lab.relay.failure
            story = truth.finish(first_time(temporary))
        prove(one, temporary, story)
        target = folder / f"{one.name}.{one.suffix}"
        temporary.replace(target)
        target.chmod(0o644)
        keys = lab.work / "keys"
        if keys.exists() and keys.stat().st_size:
            shutil.copyfile(keys, folder / f"{one.name}.keys")
        return {"what": one.what, "file": target.name} | story
    finally:
        signal.alarm(0)
        lab.relay.writer = None
        lab.close()
        temporary.unlink(missing_ok=True)


def _writer(one: Scenario, path: Path) -> Writer | None:
    if one.recorder != "relay":
        return None
    if one.suffix == "pcapng":
        names = ["client-eth0", "server-eth0"] if one.point == "both" else [f"{one.point}-eth0"]
        return PcapngWriter(path, one.link, names, one.snap, one.what)
    return PcapWriter(path, one.link, one.snap)


def prove(one: Scenario, path: Path, story: dict[str, Any]) -> None:
    """Have Wireshark and the kernel's counters confirm that the capture shows what it claims."""
    for given in one.proof:
        wanted = not given.startswith("!")
        done = subprocess.run(
            ["tshark", "-n", "-r", str(path), "-Y", given.lstrip("!"), "-o", "tcp.relative_sequence_numbers:TRUE"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if bool(done.stdout.strip()) != wanted:
            keep = path.with_name(path.name.lstrip(".") + ".failed")
            shutil.copyfile(path, keep)
            raise AssertionError(f"{one.name}: {'no' if wanted else 'a'} frame matches {given!r} (kept as {keep.name})")
    for counter in one.counters:
        side, name = counter.split(".")
        if not story["counters"][side].get(name):
            raise AssertionError(f"{one.name}: counter {counter} did not move: {story['counters'][side]}")


def first_time(path: Path) -> int:
    """Time of the first frame of a little-endian pcap or pcapng, in nanoseconds."""
    raw = path.read_bytes()
    if raw[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        seconds, fraction = struct.unpack_from("<II", raw, 24)
        return int(seconds * 10**9 + fraction * (1000 if raw[0] == 0xD4 else 1))
    at, unit = 0, 1000
    while at < len(raw):
        kind, length = struct.unpack_from("<II", raw, at)
        if kind == 1 and b"\x09\x00\x01\x00\x09" in raw[at : at + length]:
            unit = 1
        if kind == 6:
            high, low = struct.unpack_from("<II", raw, at + 12)
            return int((high << 32 | low) * unit)
        at += length
    raise ValueError(f"{path}: no frame")
