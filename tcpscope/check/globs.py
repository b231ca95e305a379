"""Patterns for paths and names: ``*`` and ``?`` within one part of a path, ``**`` across parts, ``[…]`` one of several signs."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "*":
            if pattern[place : place + 1] != "*":
                parts.append("[^/]*")
            elif pattern[place + 1 : place + 2] == "/":
                parts.append("(?:.*/)?")
                place += 2
            else:
                parts.append(".*")
                place += 1
        elif sign == "?":
            parts.append("[^/]")
        elif sign == "[" and (end := pattern.find("]", place + 1)) > 0:
            inside = pattern[place:end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[^{inside[1:]}]" if inside[0] == "!" else f"[{inside}]")
            place = end + 1
        else:
            parts.append(re.escape(sign))
    return re.compile("".join(parts), re.DOTALL)


def check_pattern(pattern: str) -> None:
    """ValueError if it cannot be one."""
    if not pattern:
        raise ValueError("an empty pattern matches nothing")
    try:
        _expression(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None


def name_matches(pattern: str, name: str) -> bool:
    """Whether a whole name matches, whatever the case of its letters: cipher suites, host names."""
    return _expression(pattern.lower()).fullmatch(name.lower()) is not None


def path_matches(pattern: str, path: str, root: str) -> bool:
    """Whether a path matches: a pattern without a slash its last part, another one the path as it is seen from ``root``.

    ``-``, standard input, is matched by itself.
    """
    if "/" not in pattern:
        return _expression(pattern).fullmatch(path if path == "-" else os.path.basename(path)) is not None  # noqa: PTH119
    seen = os.path.relpath(path, root).replace(os.sep, "/")
    absolute = os.path.abspath(path).replace(os.sep, "/")  # noqa: PTH100
    pattern = pattern.removeprefix("./")
    return any(_expression(pattern).fullmatch(name) is not None for name in (seen, absolute))


def exists(pattern: str, root: str) -> bool:
    """Whether there is any file below ``root`` that the pattern names."""
    if Path(pattern).is_absolute():
        return any(True for _ in Path(Path(pattern).anchor).glob(str(Path(pattern).relative_to(Path(pattern).anchor))))
    wanted = pattern.removeprefix("./") if "/" in pattern else f"**/{pattern}"
    try:
        return any(found.is_file() for found in Path(root).glob(wanted))
    except (OSError, ValueError):
        return False
