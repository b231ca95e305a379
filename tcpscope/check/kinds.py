"""The kinds of values that a policy has: how each is read, what an editor may know of it (JSON Schema), and its name in the manual.

``read`` turns a TOML value into what the program works with, or raises ValueError with one line on what is wrong.
"""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tcpscope.check import selectors
from tcpscope.check.globs import check_pattern
from tcpscope.errors import OptionError
from tcpscope.rules import select

Value: TypeAlias = object
Schema: TypeAlias = dict[str, object]

SECOND_NS: Final = 1_000_000_000
_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "min": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_PREFIXES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-zµ%/]*)")
_RATE_UNIT: Final = re.compile(r"(k|M|G|Ki|Mi|Gi|)(B|bit|bits|bps)(?:/s)?")
_COMPARISON: Final = re.compile(r"(>=|<=|==|!=|>|<|=)?\s*(?:TLS\s*|SSL\s*)?(\d\.\d)", re.IGNORECASE)
MAX_NUMBER: Final = 10**15


class ItemError(ValueError):
    """What is wrong with one item of a list or table. ``path`` leads to it; ``column``: a place within its text."""

    def __init__(
        self, message: str, path: tuple[str | int, ...] = (), *, of_key: bool = False, column: int = 0
    ) -> None:
        super().__init__(message)
        self.path, self.of_key, self.column = path, of_key, column


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of values. ``words``: what the manual calls it."""

    words: str
    read: Callable[[Value], object]
    schema: Mapping[str, object]


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'select'?``, or ""."""
    near = difflib.get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: Value) -> str:
    """A value in an error message."""
    text = "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _text(value: Value) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{shown(value)} is no text")
    return value


def _boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false")
    return value


def _count(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{shown(value)} is no count: a whole number from 0")
    return value


def _number(value: Value, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{shown(value)} is no {what}")
    return value


def _split(value: str, what: str) -> tuple[float, str]:
    found = _QUANTITY.fullmatch(value.strip())
    if found is None or len(found.group(1)) > 30:
        raise ValueError(f"{value!r} is no {what}")
    return float(found.group(1)), found.group(2)


def duration(value: Value) -> int:
    """A duration in nanoseconds, from seconds or from text with a unit."""
    what = 'duration such as "200ms", "1.5 s" or 2 (seconds)'
    if not isinstance(value, str):
        return _bounded(_number(value, what) * SECOND_NS, what)
    number, unit = _split(value, what)
    if unit not in _UNITS_NS:
        raise ValueError(f"{value!r} is no {what}: the units are {', '.join(_UNITS_NS)}")
    return _bounded(number * _UNITS_NS[unit], what)


def _bounded(number: float, what: str) -> int:
    if number > 10**18:
        raise ValueError(f"it is too large for a {what.split(maxsplit=1)[0]}")
    return round(number)


def share(value: Value) -> float:
    """A share from 0 to 1, also as text in per cent."""
    what = 'share from 0 to 1, such as 0.01 or "1%"'
    if isinstance(value, str):
        number, unit = _split(value, what)
        if unit not in {"", "%"}:
            raise ValueError(f"{value!r} is no {what}")
        number = number / 100 if unit else number
    else:
        number = _number(value, what)
    if number > 1:
        raise ValueError(f"{shown(value)} is no {what}")
    return number


def rate(value: Value) -> float:
    """A rate in bytes a second."""
    what = 'rate such as "10 Mbit/s", "1.5 MB/s" or 1000000 (bytes a second)'
    if not isinstance(value, str):
        return _number(value, what)
    number, unit = _split(value, what)
    found = _RATE_UNIT.fullmatch(unit)
    if found is None:
        raise ValueError(f"{value!r} is no {what}")
    return number * _PREFIXES[found.group(1)] / (1 if found.group(2) == "B" else 8)


def date(value: Value) -> datetime.date:
    """A date, of TOML's own or as text."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date.fromisoformat(_text(value))
    except ValueError:
        raise ValueError(f"{shown(value)} is no date such as 2027-01-31") from None


def rule_word(value: Value) -> str:
    """A code, the beginning of codes or a rule's name, if there is such a rule."""
    word = _text(value).strip()
    try:
        select((word,))
    except OptionError as error:
        raise ValueError(str(error)) from None
    return word


def pattern(value: Value) -> str:
    """A pattern for paths or names."""
    text = _text(value)
    check_pattern(text)
    return text


def selector(value: Value) -> selectors.Selector:
    """Which connections."""
    try:
        return selectors.parse(_text(value))
    except selectors.SelectorError as error:
        raise ItemError(str(error), column=error.column) from None


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Versions of TLS, by comparison with one: ``>= 1.2``."""

    comparison: str
    version: tuple[int, int]

    def holds(self, version: tuple[int, int]) -> bool:
        """Whether a version lies in it."""
        match self.comparison:
            case ">=":
                return version >= self.version
            case "<=":
                return version <= self.version
            case ">":
                return version > self.version
            case "<":
                return version < self.version
            case "!=":
                return version != self.version
        return version == self.version

    def __str__(self) -> str:
        comparison = "" if self.comparison == "==" else self.comparison
        return f"{comparison}{self.version[0]}.{self.version[1]}"


def tls_version(value: Value) -> VersionRange:
    """A comparison with a version of TLS; SSL 3.0 counts as older than TLS 1.0."""
    found = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found.group(2) not in {"2.0", "3.0", "1.0", "1.1", "1.2", "1.3"}:
        raise ValueError(f'{shown(value)} is no version of TLS such as "1.3" or ">=1.2"')
    comparison = found.group(1) if found.group(1) not in {None, "="} else "=="
    return VersionRange(comparison, version_number(found.group(2)))


def version_number(text: str) -> tuple[int, int]:
    """``TLS 1.2`` and ``1.2`` as (1, 2); SSL 2.0 and 3.0 as (0, 2) and (0, 3), for they are older."""
    major, _, minor = text.rpartition(" ")[2].partition(".")
    return (int(major), int(minor)) if int(major) == 1 else (0, int(major))


def word_of(words: Sequence[str], what: str) -> Callable[[Value], str]:
    """One of a few words."""

    def read(value: Value) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            near = nearest(value, words) if isinstance(value, str) else ""
            raise ValueError(f"{shown(value)} is no {what}{near or '; it is one of ' + ', '.join(words)}")
        return value.lower()

    return read


def listed(read: Callable[[Value], object], *, single: bool = True) -> Callable[[Value], tuple[object, ...]]:
    """A list of such values; with ``single`` one of them alone will do."""

    def several(value: Value) -> tuple[object, ...]:
        if not isinstance(value, list):
            if single:
                return (read(value),)
            raise ValueError(f"{shown(value)} is no list")
        if single and not value:
            raise ValueError("the list is empty")
        found: list[object] = []
        for index, item in enumerate(value):
            try:
                found.append(read(item))
            except ItemError as error:
                raise ItemError(str(error), (index, *error.path), of_key=error.of_key, column=error.column) from None
            except ValueError as error:
                raise ItemError(str(error), (index,)) from None
        return tuple(found)

    return several


def mapped(
    key: Callable[[Value], str], read: Callable[[Value], object]
) -> Callable[[Value], tuple[tuple[str, object], ...]]:
    """A table whose keys are of a kind of their own."""

    def table(value: Value) -> tuple[tuple[str, object], ...]:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)} is no table")
        pairs: list[tuple[str, object]] = []
        for name, item in value.items():
            try:
                word = key(name)
            except ValueError as error:
                raise ItemError(str(error), (name,), of_key=True) from None
            try:
                pairs.append((word, read(item)))
            except ItemError as error:
                raise ItemError(str(error), (name, *error.path), of_key=error.of_key, column=error.column) from None
            except ValueError as error:
                raise ItemError(str(error), (name,)) from None
        return tuple(pairs)

    return table


def _one_or_list(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


_STRING: Final[Schema] = {"type": "string", "minLength": 1}
_RULE: Final[Schema] = {
    "type": "string",
    "minLength": 2,
    "description": "A rule's code, name, or the beginning of codes",
}
_AMOUNT: Final[Schema] = {"type": ["string", "number"], "minimum": 0}

TEXT: Final = Kind("text", _text, _STRING)
BOOLEAN: Final = Kind("true or false", _boolean, {"type": "boolean"})
COUNT: Final = Kind("count", _count, {"type": "integer", "minimum": 0})
DURATION: Final = Kind('duration: `"200ms"`, `"1.5 s"`, or seconds', duration, _AMOUNT)
SHARE: Final = Kind('share: 0 to 1, or `"1%"`', share, {"type": ["string", "number"], "minimum": 0, "maximum": 1})
RATE: Final = Kind('rate: `"10 Mbit/s"`, `"1 MB/s"`, or bytes a second', rate, _AMOUNT)
DATE: Final = Kind("date", date, {"type": "string", "format": "date"})
SELECTOR: Final = Kind("selector", selector, _STRING)
RULES: Final = Kind("list of rules", listed(rule_word, single=False), {"type": "array", "items": _RULE})
RULE_OR_RULES: Final = Kind("rule, or list of rules", listed(rule_word), _one_or_list(_RULE))
PATHS: Final = Kind("list of paths", listed(_text), _one_or_list(_STRING))
PATTERNS: Final = Kind("pattern, or list of patterns", listed(pattern), _one_or_list(_STRING))
TLS_VERSION: Final = Kind(
    'version: `"1.3"`, `">=1.2"`',
    tls_version,
    {"type": "string", "pattern": r"^(>=|<=|==|!=|>|<|=)?\s*(TLS |SSL )?\d\.\d$"},
)
RULE_COUNTS: Final = Kind(
    "table: rule to count",
    mapped(rule_word, _count),
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
)
IGNORES: Final = Kind(
    "table: pattern to list of rules",
    mapped(pattern, listed(rule_word)),
    {"type": "object", "additionalProperties": _one_or_list(_RULE)},
)


def word(words: Sequence[str], what: str) -> Kind:
    """The kind that is one of a few words."""
    return Kind(", ".join(f"`{one}`" for one in words), word_of(words, what), {"enum": list(words)})


def words(known: Sequence[str], what: str) -> Kind:
    """The kind that is one of a few words, or several of them of which one must hold."""
    return Kind(
        ", ".join(f"`{one}`" for one in known) + "; one or a list",
        listed(word_of(known, what)),
        _one_or_list({"enum": list(known)}),
    )


def severities(levels: Sequence[str]) -> Kind:
    """The table from rules to severities."""
    return Kind(
        f"table: rule to {', '.join(f'`{level}`' for level in levels)}",
        mapped(rule_word, word_of(levels, "severity")),
        {"type": "object", "additionalProperties": {"enum": list(levels)}},
    )
