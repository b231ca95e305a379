"""Where keys and values stand in a TOML text, which :mod:`tomllib` does not tell.

The text has been read by tomllib before: nothing is checked here, only followed.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_BLANK: Final = re.compile(r"[ \t]*")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING: Final = re.compile(
    "|".join((r'"""(?:[^\\]|\\.)*?"{3,5}', r"'''.*?'{3,5}", r'"(?:[^"\\]|\\.)*"', r"'[^']*'")), re.DOTALL
)
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")


class Place(NamedTuple):
    """Line and column, both from 1. ``plain``: a string begins here that stands in the text as it is read."""

    line: int
    column: int
    plain: bool = False


class Places:
    """The places of all keys and values of a TOML document, by the path of keys (and indices of arrays) that leads there."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._text = text
        self._at = 0
        self._arrays: dict[Path, int] = {}
        table: Path = ()
        self._skip(_SPACE)
        while self._at < len(text):
            if text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)

    def key(self, path: Path) -> Place:
        """The place of a key, or that of the nearest thing around it which has one."""
        return self._nearest(self.keys, path)

    def value(self, path: Path) -> Place:
        """The place of a value, or that of the nearest thing around it which has one."""
        return self._nearest(self.values, path)

    def _nearest(self, known: dict[Path, Place], path: Path) -> Place:
        if path in known:
            return known[path]
        while path:
            if path in self.values or path in self.keys:
                return self.values.get(path) or self.keys[path]
            path = path[:-1]
        return Place(1, 1)

    def _place(self, plain: bool = False) -> Place:
        return Place(
            self._text.count("\n", 0, self._at) + 1, self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1, plain
        )

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _key(self, table: Path) -> Path:
        """A dotted key; each of its parts is a place."""
        path = table
        while True:
            self._skip(_BLANK)
            place = self._place()
            found = _KEY.match(self._text, self._at)
            if found is None:  # cannot be in what tomllib has read; ends rather than turns round
                self._at = len(self._text)
                return path
            self._at = found.end()
            name = found.group(1)
            path = (*path, tomllib.loads(f"x = {name}")["x"] if name[0] in "\"'" else name)
            self.keys.setdefault(path, place)
            if self._text[self._at : self._at + 1] != ".":
                return path
            self._at += 1

    def _header(self) -> Path:
        """``[table]`` or ``[[array of tables]]``; paths through arrays lead to their last table."""
        place = self._place()
        double = self._text.startswith("[[", self._at)
        self._at += 2 if double else 1
        path: Path = ()
        for part in self._key(()):
            path = (*path, part)
            self.keys.setdefault(path, place)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        if double:
            base = path[:-1] if path and isinstance(path[-1], int) else path
            self._arrays[base] = self._arrays.get(base, -1) + 1
            path = (*base, self._arrays[base])
            self.values[path] = place
        else:
            self.values.setdefault(path, place)
        self._at = self._text.find("]", self._at)
        self._at = len(self._text) if self._at < 0 else self._at + (2 if double else 1)
        return path

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._at += 1  # =
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        text = self._text
        sign = text[self._at : self._at + 1]
        found = _STRING.match(text, self._at)
        plain = found is not None and text[self._at : self._at + 3] not in {'"""', "'''"} and "\\" not in found.group()
        self.values[path] = self._place(plain)
        if found is not None:
            self._at = found.end()
        elif sign in {"[", "{"}:
            self._inside(path, "]" if sign == "[" else "}")
        else:
            found = _SCALAR.match(text, self._at)
            self._at = found.end() if found is not None else len(text)

    def _inside(self, path: Path, closing: str) -> None:
        """The items of an array, or the pairs of an inline table."""
        self._at += 1
        index = 0
        while self._at < len(self._text):
            self._skip(_SPACE)
            if self._text.startswith(closing, self._at):
                self._at += 1
                return
            if self._text.startswith(",", self._at):
                self._at += 1
            elif closing == "]":
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
