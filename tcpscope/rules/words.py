"""The words that findings are made of: who, how long, how much, which frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tcpscope.rules.base import SIDE_NAMES
from tcpscope.state.facts import CLIENT
from tcpscope.wire.address import endpoints

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
MAX_LISTED: Final = 5  # frames or times in one sentence


def party(conn: Connection, side: int) -> str:
    """``the client 10.0.0.1:51000``."""
    return f"the {SIDE_NAMES[side]} {host_port(conn.key, side)}"


def opening(sentence: str) -> str:
    """The sentence with its first letter as a capital."""
    return sentence[:1].upper() + sentence[1:]


@lru_cache(maxsize=256)
def host_port(key: bytes, side: int) -> str:
    """Address and port of one side of a flow key."""
    client, client_port, server, server_port = endpoints(key)
    return address_port(client, client_port) if side == CLIENT else address_port(server, server_port)


def address_port(address: str, port: int) -> str:
    """``10.0.0.1:80`` or ``[2001:db8::1]:80``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def span(nanoseconds: int) -> str:
    """A duration with three significant digits: ``310 µs``, ``1.25 s``, ``2 min 5 s``."""
    if nanoseconds < 0:
        return "-" + span(-nanoseconds)
    if nanoseconds < 1000:
        return f"{nanoseconds} ns"
    if nanoseconds >= MINUTE_NS - SECOND_NS // 2:
        return _long_span((nanoseconds + SECOND_NS // 2) // SECOND_NS)
    # A unit is used up to 999.5 of it: what rounds to 1000 is one of the next.
    unit, size = (
        ("µs", 1000) if nanoseconds < 999_500 else ("ms", 1_000_000) if nanoseconds < 999_500_000 else ("s", SECOND_NS)
    )
    return f"{_three_digits(float(nanoseconds) / size)} {unit}"


def _three_digits(value: float) -> str:
    text = f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _long_span(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    values = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    parts = [f"{value} {unit}" for value, unit in values if value]
    return " ".join(parts[:2])


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 byte``, ``12,345 bytes``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def was(count: int) -> str:
    """``was`` or ``were``."""
    return "was" if count == 1 else "were"


def too_early(watched_ns: int) -> str:
    """Why silence says nothing: it was watched for too short a time."""
    if watched_ns <= 0:
        return "the capture ends there: too early to tell"
    return f"the capture ends {span(watched_ns)} later: too early to tell"


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; past :data:`MAX_LISTED` items the rest is counted."""
    if len(items) > MAX_LISTED:
        return ", ".join(items[:MAX_LISTED]) + f" and {len(items) - MAX_LISTED} more"
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def frames(numbers: Iterable[int], total: int = 0) -> str:
    """``frame 9``, ``frames 9 and 10``, ``frames 1, 2, 3, 4, 5 and 23 more``. ``total``: how many there are, where not all are given."""
    known = [str(number) for number in sorted({number for number in numbers if number > 0})]
    total = max(total, len(known))
    if total <= 1:
        return f"frame {known[0]}" if known else "no captured frame"
    if total > min(len(known), MAX_LISTED):
        shown = known[:MAX_LISTED]
        return f"frames {', '.join(shown)} and {total - len(shown):,} more"
    return "frames " + listed(known)


def intervals(spans: Sequence[int], total: int = 0) -> str:
    """Waiting times in order: ``1 s, 2 s and 4 s``. ``total``: how many there were, where not all are given."""
    known = [span(value) for value in spans]
    if max(total, len(known)) > min(len(known), MAX_LISTED):
        return ", ".join(known[:MAX_LISTED]) + ", …"
    return listed(known)
