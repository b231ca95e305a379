"""A project's policy: what ``tcpscope.toml`` (or ``[tool.tcpscope]`` of ``pyproject.toml``) says, checked and frozen.

Of a capture's directory and those above it the nearest with a policy counts; one further up is not looked at any more.
"""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tcpscope.check import keys as table_of_keys
from tcpscope.check.globs import path_matches
from tcpscope.check.keys import EXPECT, OFF, POLICY, Key, Table
from tcpscope.check.kinds import ItemError, nearest, shown
from tcpscope.check.locate import Path as KeyPath
from tcpscope.check.locate import Places
from tcpscope.check.selectors import ALL, Selector
from tcpscope.errors import PolicyError
from tcpscope.options import SECOND_NS, Options
from tcpscope.rules import RULES, select

NAMES: Final = ("tcpscope.toml", "pyproject.toml")
MAX_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class PerConnection:
    """Rules and severities for some connections. ``selected`` is None where the policy's own rules stay."""

    match: Selector
    capture: tuple[str, ...]
    selected: frozenset[str] | None
    ignored: frozenset[str]
    severities: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Allow:
    """A finding that is accepted. ``codes`` are all that ``rule`` names; ``place`` is where the policy says it."""

    rule: tuple[str, ...]
    codes: frozenset[str]
    match: Selector
    capture: tuple[str, ...]
    reason: str
    until: datetime.date | None
    place: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must hold. ``wanted`` are the keys that say what, each with its value, in the order of the table of keys."""

    name: str
    match: Selector
    capture: tuple[str, ...]
    min_connections: int
    max_connections: int | None
    wanted: tuple[tuple[str, Any], ...]
    severity: str
    undecided_fails: bool
    place: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that a policy says. ``path`` is "" for the one without a file; ``root`` is the directory that patterns are seen from.

    ``selected`` and ``severities`` have codes of rules, ``off`` taken out of both; ``given`` keeps what the file and the command
    line said, as (key, value, where from).
    """

    path: str = ""
    root: str = "."
    selected: frozenset[str] = frozenset(rule.code for rule in RULES)
    ignored: frozenset[str] = frozenset()
    severities: Mapping[str, str] = field(default_factory=dict)
    per_capture_ignores: tuple[tuple[str, frozenset[str]], ...] = ()
    per_connection: tuple[PerConnection, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    allows: tuple[Allow, ...] = ()
    fail_on: str = "error"
    baseline: str = ""
    options: Options = field(default_factory=lambda: Options(zeek=False))
    given: tuple[tuple[str, Any, str], ...] = ()

    def for_capture(self, path: str) -> CapturePolicy:
        """What of it concerns one capture."""

        def concerns(patterns: Sequence[str]) -> bool:
            return not patterns or any(path_matches(pattern, path, self.root) for pattern in patterns)

        ignored = self.ignored.union(*(codes for pattern, codes in self.per_capture_ignores if concerns((pattern,))))
        return CapturePolicy(
            self,
            ignored,
            tuple(one for one in self.per_connection if concerns(one.capture)),
            tuple(number for number, one in enumerate(self.expectations) if concerns(one.capture)),
            tuple(number for number, one in enumerate(self.allows) if concerns(one.capture)),
        )


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """What of a policy concerns one capture; ``expectations`` and ``allows`` by their places in the policy."""

    policy: Policy
    ignored: frozenset[str]
    per_connection: tuple[PerConnection, ...]
    expectations: tuple[int, ...]
    allows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says over every policy. None: nothing."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    fail_on: str | None = None
    msl_seconds: float | None = None
    verify_checksums: bool = False
    keylog: tuple[str, ...] = ()
    ca_file: tuple[str, ...] = ()
    system_ca: bool = False
    crl: tuple[str, ...] = ()
    max_connections: int = 0
    salvage: bool = False

    def given(self) -> dict[str, Any]:
        """The keys of a policy that it sets."""
        values = {
            "select": self.select,
            "ignore": self.ignore,
            "extend-select": self.extend_select,
            "fail-on": self.fail_on,
            "msl": None if self.msl_seconds is None else round(self.msl_seconds * SECOND_NS),
            "verify-checksums": self.verify_checksums,
            "keylog": self.keylog,
            "ca-file": self.ca_file,
            "system-ca": self.system_ca,
            "crl": self.crl,
        }
        return {name: value for name, value in values.items() if value}


def codes(words: Sequence[str]) -> frozenset[str]:
    """The codes of all rules that the words name."""
    return frozenset(rule.code for rule in select(words)) if words else frozenset()


def load(path: str, overrides: Overrides = Overrides()) -> Policy:
    """Read a policy file.

    :raises PolicyError: it cannot be read, or says something that makes no sense.
    """
    text, document = _document(path)
    return _Reader(path, text).policy(document, overrides)


def without_file(overrides: Overrides = Overrides()) -> Policy:
    """The policy where there is no file: all rules, and what the command line says."""
    return _assemble({}, (), (), (), overrides, "", os.getcwd())  # noqa: PTH109


class Finder:
    """Finds the policy of each capture. ``config``: the file to use for all; ``isolated``: none is looked for."""

    def __init__(self, config: str | None = None, isolated: bool = False, overrides: Overrides = Overrides()) -> None:
        self._overrides = overrides
        self._fixed = load(config, overrides) if config else without_file(overrides) if isolated else None
        self._loaded: dict[str, Policy] = {}
        self._found: dict[str, str] = {}

    def of(self, path: str) -> Policy:
        """The policy of a capture, or of standard input or a URL: that of the working directory."""
        if self._fixed is not None:
            return self._fixed
        here = Path.cwd()
        directory = here if path == "-" or "://" in path else (here / path).parent
        found = self._nearest(os.path.normpath(directory))
        if found not in self._loaded:
            self._loaded[found] = load(found, self._overrides) if found else without_file(self._overrides)
        return self._loaded[found]

    def _nearest(self, directory: str) -> str:
        """The nearest policy file of a directory and those above it, or "" if there is none."""
        if directory not in self._found:
            above = os.path.dirname(directory)  # noqa: PTH120
            own = policy_file(directory)
            self._found[directory] = own or ("" if above == directory else self._nearest(above))
        return self._found[directory]


def policy_file(directory: str) -> str:
    """The policy in a directory, or "". It is called by its path from the working directory where it lies below that."""
    for name in NAMES:
        path = Path(directory, name)
        if path.is_file() and (name != "pyproject.toml" or _has_table(path)):
            return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    return ""


def _has_table(path: Path) -> bool:
    """Whether a pyproject.toml speaks of tcpscope. One that cannot be read and mentions it does: the error is to be seen."""
    try:
        text = path.read_bytes()
        return "tcpscope" in tomllib.loads(text.decode("utf-8")).get("tool", {}) if b"tcpscope" in text else False
    except (OSError, ValueError, AttributeError):
        return True


def _document(path: str) -> tuple[str, dict[str, Any]]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PolicyError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise PolicyError(path, f"is larger than {MAX_BYTES >> 20} MiB, which no policy is")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyError(path, "is not UTF-8", line, error.start - data.rfind(b"\n", 0, error.start)) from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = _syntax_error(str(error), text)
        raise PolicyError(path, message, line, column) from None
    except RecursionError:
        raise PolicyError(path, "is nested too deeply") from None


def _syntax_error(message: str, text: str) -> tuple[str, int, int]:
    """Tomllib's message taken apart: what, line, column."""
    what, _, where = message.rpartition(" (at ")
    numbers = [int(part) for part in where.rstrip(")").replace(",", " ").split() if part.isdecimal()]
    line, column = (numbers[0], numbers[1]) if len(numbers) == 2 else (text.count("\n") + 1, 1)
    return (what or message)[:1].lower() + (what or message)[1:], line, column


class _Reader:
    """Reads one document."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._known: Places | None = None
        self._base: KeyPath = ()

    def policy(self, document: dict[str, Any], overrides: Overrides) -> Policy:
        """The policy that it holds."""
        if Path(self._path).name == "pyproject.toml":
            self._base = ("tool", "tcpscope")
            tool = document.get("tool", {})
            document = tool.get("tcpscope", {}) if isinstance(tool, dict) else {}
            if not isinstance(document, dict):
                raise self._error("tool.tcpscope is no table", (), of_key=True)
        tables = table_of_keys.TABLES
        values = self._read(document, POLICY, (), [table.name for table in tables])
        per_connection, expect, allow = (self._array(document, table) for table in tables)
        return _assemble(
            values,
            [_per_connection(one) for one, _ in per_connection],
            [_expectation(one, place) for one, place in expect],
            [_allow(one, place) for one, place in allow],
            overrides,
            self._path,
            str(Path(self._path).absolute().parent),
        )

    @property
    def _places(self) -> Places:
        if self._known is None:
            self._known = Places(self._text)
        return self._known

    def _error(self, message: str, path: KeyPath, *, of_key: bool = False, offset: int = 0) -> PolicyError:
        whole = (*self._base, *path)
        place = self._places.key(whole) if of_key else self._places.value(whole)
        return PolicyError(self._path, message, place.line, place.column + (offset if place.plain else 0))

    def _array(self, document: dict[str, Any], table: Table) -> list[tuple[dict[str, Any], str]]:
        """The tables of an array, with their places."""
        given = document.get(table.name, [])
        if not isinstance(given, list):
            raise self._error(f"'{table.name}' is an array of tables: [[{table.name}]]", (table.name,), of_key=True)
        found: list[tuple[dict[str, Any], str]] = []
        for index, one in enumerate(given):
            path: KeyPath = (table.name, index)
            if not isinstance(one, dict):
                raise self._error(f"{shown(one)} is no table", path)
            values = self._read(one, table.keys, path, [])
            place = self._places.value((*self._base, *path))
            for key in table.keys:
                if key.required and key.name not in values:
                    raise self._error(f"'{key.name}' is missing in this [[{table.name}]]", path)
            found.append((values, f"{self._path}:{place.line}"))
        return found

    def _read(
        self, given: dict[str, Any], keys: Sequence[Key], path: KeyPath, elsewhere: Sequence[str], prefix: str = ""
    ) -> dict[str, Any]:
        """The values of a table by the names of its keys; ``elsewhere``: further keys, which somebody else reads."""
        known = {key.name: key for key in keys}
        groups = {name.rpartition(".")[0] for name in known} - {""}
        values: dict[str, Any] = {}
        for name, value in given.items():
            full = prefix + name
            if full in groups and isinstance(value, dict):
                values |= self._read(value, keys, (*path, name), (), f"{full}.")
            elif full in known:
                values[full] = self._value(known[full], value, (*path, name))
            elif full in groups:
                inside = ", ".join(one for one in known if one.startswith(f"{full}."))
                raise self._error(f"{full!r} is a table: {inside}", (*path, name))
            elif full not in elsewhere:
                candidates = [*known, *elsewhere]
                hint = nearest(full, candidates) or f"; the keys here are {', '.join(candidates)}"
                raise self._error(f"unknown key {full!r}{hint}", (*path, name), of_key=True)
        return values

    def _value(self, key: Key, value: object, path: KeyPath) -> object:
        try:
            return key.kind.read(value)
        except ItemError as error:
            place = (*path, *error.path)
            raise self._error(f"'{key.name}': {error}", place, of_key=error.of_key, offset=error.column) from None
        except ValueError as error:
            raise self._error(f"'{key.name}': {error}", path) from None


def _severities(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Code of a rule to severity: shorter beginnings of codes first, so that longer ones and names have the last word."""

    def weight(pair: tuple[str, str]) -> tuple[bool, int]:
        return len(codes((pair[0],))) == 1, len(pair[0])

    return {code: severity for word, severity in sorted(given, key=weight) for code in sorted(codes((word,)))}


def _per_connection(values: Mapping[str, Any]) -> PerConnection:
    severities = _severities(values.get("severities", ()))
    return PerConnection(
        values["match"],
        values.get("capture", ()),
        codes(values["select"]) if "select" in values else None,
        codes(values.get("ignore", ())) | {code for code, severity in severities.items() if severity == OFF},
        {code: severity for code, severity in severities.items() if severity != OFF},
    )


def _allow(values: Mapping[str, Any], place: str) -> Allow:
    return Allow(
        values["rule"],
        codes(values["rule"]),
        values.get("match", ALL),
        values.get("capture", ()),
        values["reason"],
        values.get("until"),
        place,
    )


FRAME: Final = frozenset(("name", "match", "capture", "min-connections", "max-connections", "severity", "undecided"))
"""Keys of an expectation that say for what it is meant, and not what should hold for a connection."""


def _expectation(values: Mapping[str, Any], place: str) -> Expectation:
    match: Selector = values.get("match", ALL)
    return Expectation(
        values.get("name", match.text),
        match,
        values.get("capture", ()),
        values.get("min-connections", 1 if values.get("max-connections") != 0 else 0),
        values.get("max-connections"),
        tuple((key.name, values[key.name]) for key in EXPECT.keys if key.name in values and key.name not in FRAME),
        values.get("severity", "error"),
        values.get("undecided", "fail") == "fail",
        place,
    )


def _assemble(
    values: Mapping[str, Any],
    per_connection: Sequence[PerConnection],
    expectations: Sequence[Expectation],
    allows: Sequence[Allow],
    overrides: Overrides,
    path: str,
    root: str,
) -> Policy:
    """What the file says, and what the command line says over it."""
    selected = overrides.select or values.get("select", ())
    extended = (*(() if overrides.select else values.get("extend-select", ())), *overrides.extend_select)
    severities = _severities(values.get("severities", ()))
    off = {code for code, severity in severities.items() if severity == OFF}

    def files(name: str) -> tuple[str, ...]:
        return tuple(os.path.relpath(Path(root, file)) for file in values.get(name, ()))

    said = overrides.given()
    from_file = [(name, value, path) for name, value in values.items() if name not in said or name == "ignore"]
    return Policy(
        path=path,
        root=root,
        selected=(codes(selected) if selected else Policy().selected) | codes(extended),
        ignored=codes(values.get("ignore", ())) | codes(overrides.ignore) | off,
        severities={code: severity for code, severity in severities.items() if severity != OFF},
        per_capture_ignores=tuple((one, codes(words)) for one, words in values.get("per-capture-ignores", ())),
        per_connection=tuple(per_connection),
        expectations=tuple(expectations),
        allows=tuple(allows),
        fail_on=overrides.fail_on or values.get("fail-on", "error"),
        baseline=os.path.relpath(Path(root, values["baseline"])) if "baseline" in values else "",
        options=Options(
            msl_seconds=values.get("msl", 30 * SECOND_NS) / SECOND_NS
            if overrides.msl_seconds is None
            else overrides.msl_seconds,
            verify_checksums=overrides.verify_checksums or values.get("verify-checksums", False),
            max_connections=overrides.max_connections,
            zeek=False,
            salvage=overrides.salvage,
            keylog=overrides.keylog or files("keylog"),
            ca_file=overrides.ca_file or files("ca-file"),
            system_ca=overrides.system_ca or values.get("system-ca", False),
            crl=overrides.crl or files("crl"),
        ),
        given=(*from_file, *((name, value, "command line") for name, value in said.items())),
    )
