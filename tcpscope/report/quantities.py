"""Times, sizes and frame numbers, as machines and people read them; durations: :mod:`tcpscope.rules.words`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

SECOND_NS: Final = 1_000_000_000
EXACT: Final = 1 << 53
"""Below this a float holds every integer."""
LEAST_PLAIN: Final = 100_000
MOST_PLAIN: Final = 10**15
"""Nanoseconds: below the first Python writes seconds with an exponent; below the second they have at most fifteen digits, which
a float keeps, so that they are its shortest text: several times as fast as to ask for that."""


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(time_ns: int) -> str:
    """A time as RFC 3339 in UTC with nanoseconds, such as ``2026-11-23T01:05:07.000000250Z``."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{_to_the_second(seconds)}.{rest:09}Z"


def seconds(duration_ns: int) -> float:
    """Nanoseconds as seconds for a machine reader: the number nearest to them, which shows no more than nine digits."""
    if -EXACT < duration_ns < EXACT:
        return float(duration_ns) / SECOND_NS
    return float(f"{duration_ns}e-9")  # a division would round twice


def seconds_text(duration_ns: int) -> str:
    """:func:`seconds` as JSON."""
    if duration_ns == 0:
        return "0.0"
    if LEAST_PLAIN <= duration_ns < MOST_PLAIN:
        whole, part = divmod(duration_ns, SECOND_NS)
        return f"{whole}.{str(SECOND_NS + part)[1:].rstrip('0')}" if part else f"{whole}.0"
    if 0 < duration_ns < LEAST_PLAIN:
        digits = str(duration_ns)
        rest = digits[1:].rstrip("0")
        return f"{digits[0]}.{rest}e-0{10 - len(digits)}" if rest else f"{digits[0]}e-0{10 - len(digits)}"
    return repr(seconds(duration_ns))


def day_and_time(time_ns: int) -> str:
    """A time for people: to the millisecond, in UTC."""
    second, rest = divmod(time_ns, SECOND_NS)
    return f"{_to_the_second(second).replace('T', ' ')}.{rest // 1_000_000:03} UTC"


def size(count: int) -> str:
    """Bytes in decimal units, three digits at most: ``78 B``, ``1.5 kB``, ``12 MB``."""
    if count < 1000:
        return f"{count} B"
    value, text = float(count), ""
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        text = f"{value:.3g} {unit}"
        if value < 999.5:
            break
    return text


def frame_list(frames: Sequence[int], most: int = 8) -> str:
    """``frame 3`` or ``frames 3, 7–9 and 12 more``: in order, runs joined."""
    numbers = sorted(set(frames))
    runs: list[list[int]] = []
    for frame in numbers:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    shown = runs[:most]
    parts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in shown]
    rest = len(numbers) - sum(map(len, shown))
    return f"frame{'s' if len(numbers) > 1 else ''} {', '.join(parts)}" + (f" and {rest} more" if rest else "")


def relative(start_ns: int, time_ns: int | None) -> str:
    """Seconds since a start, to the microsecond; empty without a time."""
    return "" if time_ns is None else f"{(time_ns - start_ns) / 1e9:.6f}"
