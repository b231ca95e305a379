"""Captures that the tests of the front ends share, built from scenarios, and the command line run in this process."""

from __future__ import annotations

from pathlib import Path

from tests.scenario import build, load, parse

SCENARIOS = Path(__file__).parent / "scenarios"
SAMPLES = Path(__file__).parent.parent / "sample_pcaps"

CLEAN = """# A connection without a fault.
client: 192.168.100.101:51000
server: 192.168.100.102:8080
isn: client 1000 server 4294967295
0.000000   C > S  S  <mss 8960,sackOK,nop,wscale 7>
+.010000   S > C  S. <mss 8960,sackOK,nop,wscale 7>
+.000100   C > S  .
+.000200   C > S  P. (100)
+.010000   S > C  P. (2000)
+.000100   C > S  .
+.020000   C > S  F.
+.010000   S > C  F.
+.000100   C > S  .
"""

UNANSWERED = """# A SYN that nobody answers.
0.0  C > S  S  <mss 1460>
+1   C > S  S  seq 0 <mss 1460>
+2   C > S  S  seq 0 <mss 1460>
"""


def scenario(name: str) -> bytes:
    """The capture of ``tests/scenarios/NAME.txt``."""
    return build(load(SCENARIOS / f"{name}.txt"))


def clean() -> bytes:
    """One connection without findings."""
    return build(parse(CLEAN))


def unanswered() -> bytes:
    """One connection with a finding."""
    return build(parse(UNANSWERED))


def many(count: int, faulty: range = range(0)) -> bytes:
    """``count`` connections one after the other; those numbered in ``faulty`` are SYNs that nobody answers."""
    lines = ["# Many connections."]
    for number in range(count):
        lines.append(f"client{number + 1}: 10.0.{number // 250}.{number % 250 + 1}:{40000 + number}")
        lines.append(f"server{number + 1}: 10.1.0.1:80")
    for number in range(count):
        c, s = f"C{number + 1}", f"S{number + 1}"
        lines.append(f"+.5 {c} > {s} S <mss 1460>")
        if number not in faulty:
            lines += [f"+.01 {s} > {c} S. <mss 1460>", f"+.01 {c} > {s} .", f"+.01 {c} > {s} F."]
            lines += [f"+.01 {s} > {c} F.", f"+.01 {c} > {s} ."]
    return build(parse("\n".join(lines)))
