"""Finds captures that were split while they were taken, and makes one input of the files of each.

Names say which files may belong together: those that ``tcpdump -C``, ``-W`` and ``-G``, ``dumpcap -b`` and ``editcap -c`` give.
What the files begin with says whether they do: one link type, and times in the order of the names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tcpscope.capture.join import Part, first_of
from tcpscope.capture.remote import is_url
from tcpscope.errors import SourceError
from tcpscope.many.inputs import PACKED, Input

# name_00001_20260101120000.pcapng, with dumpcap -b nametimenum:2 the other way round
_RING: Final = re.compile(r"(?<=_)(?:(\d{5,})_(\d{14})|(\d{14})_(\d{5,}))(?=\.|$)")

# What strftime made of the name of tcpdump -G: a day, mostly with a time, or seconds since 1970
_TIME: Final = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
    r"(?:[-_.T ]?(?:[01]\d|2[0-3])(?:[-_.:h]?[0-5]\d){0,2}Z?)?|1\d{9})(?!\d)"
)

# The count of tcpdump -C and -W stands at the very end; the first file may have none
_COUNT: Final = re.compile(r"(?<=\D)\d{1,6}$")


class _Place(NamedTuple):
    """Where a file may belong by its name: what is the same in all names of the series, and where it stands among them."""

    directory: str
    before: str
    after: str
    order: tuple[int, int]
    counted: bool
    packed: str


def _place(path: str) -> _Place:
    directory, name = os.path.split(path)
    stem, packed = os.path.splitext(name)  # noqa: PTH122
    if packed.lower() not in PACKED:
        stem, packed = name, ""
    if found := _RING.search(stem):
        # The time first: another run counts from 1 again
        order = int(found[2] or found[3]), int(found[1] or found[4])
        return _Place(directory, stem[: found.start()] + "*", stem[found.end() :], order, False, packed)
    before, stamp, after = "", 0, stem
    if found := _TIME.search(stem):
        before, after = stem[: found.start()] + "*", stem[found.end() :]
        stamp = int(re.sub(r"\D", "", found[0]).ljust(14, "0"))
    count = _COUNT.search(after)
    after = after[: count.start()] if count else after
    return _Place(directory, before, after, (stamp, int(count[0]) if count else 0), count is not None, packed)


def _alike(inputs: Iterable[Input]) -> dict[str, list[Input]]:
    """Files whose names are those of one series, in the order of the names, by the pattern of these."""
    groups: dict[tuple[str, ...], list[tuple[_Place, Input]]] = {}
    for one in inputs:
        if not one.error and not is_url(one.path) and os.path.isfile(one.path):  # noqa: PTH113 (a pipe is read once)
            place = _place(one.path)
            groups.setdefault(place[:3], []).append((place, one))
    found: dict[str, list[Input]] = {}
    for (directory, before, after), members in groups.items():
        places = sorted(members, key=lambda member: member[0].order)
        if len({place.order for place, _ in members}) == len(members) > 1:
            packed = {place.packed for place, _ in members}  # the last one may wait to be compressed
            last = "*" if len(packed) > 1 or any(place.counted for place, _ in members) else ""
            name = before + after + last + (packed.pop() if len(packed) == 1 else "")
            found[os.path.join(directory, name)] = [one for _, one in places]  # noqa: PTH118
    return found


def named_alike(inputs: Iterable[Input]) -> int:
    """How many of the files have names as the files of a split capture do. Their bytes are not looked at."""
    return sum(map(len, _alike(inputs).values()))


def join_series(inputs: Sequence[Input]) -> list[Input]:
    """The inputs with one in the place of the files of each series; it stands where the first of them stood.

    Its ``path`` is the pattern of their names. Files that only have the names of a series stay what they are.
    """
    taken = {one.path for one in inputs}
    places: dict[str, Input] = {}
    for pattern, members in _alike(inputs).items():
        paths = _in_time([one.path for one in members])
        if paths and pattern not in taken:
            series = Input(pattern, sum(one.size for one in members), "", tuple(paths))
            places.update(dict.fromkeys(paths, series))
    return list(dict.fromkeys(places.get(one.path, one) for one in inputs))


def _in_time(paths: Sequence[str]) -> list[str]:
    """The files in the order of their times, if that is the one of their names; a ring may have begun anew once. Otherwise [].

    What has no time, such as a file that cannot be read, stays behind the one before it.
    """
    parts = [_part(path) for path in paths]
    timed = [(part.first_time_ns, index) for index, part in enumerate(parts) if part.first_time_ns is not None]
    if len(timed) < 2 or len({part.link_type for part in parts if part.first_time_ns is not None}) > 1:
        return []
    back = [index for (before, _), (after, index) in pairwise([*timed, timed[0]]) if after <= before]
    if len(back) != 1:  # in a circle they go back once, from the latest to the earliest
        return []
    start = 0 if back[0] == timed[0][1] else back[0]
    return [*paths[start:], *paths[:start]]


def _part(path: str) -> Part:
    try:
        return first_of(path)
    except SourceError:
        return Part(path, None)
