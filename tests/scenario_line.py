"""The words of a scenario's lines, read but not yet numbered; see :mod:`tests.scenario` for the language."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import TypeVar

FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, ".": 0x10, "U": 0x20, "E": 0x40, "W": 0x80}
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345678"  # 61, a prime: no period fits a segment

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|<[^>]*>|[^\s"]+|"')
TIME = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
RANGE = re.compile(r"(?:(=?)([0-9]+):([0-9]+))?\(([0-9]+)\)")
NUMBER = re.compile(r"(=?)([0-9]+)")
BLOB = re.compile(r"@([a-z_][a-z0-9_]*)(?:\[([0-9]*):([0-9]*)\])?")
ADDRESS = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]+)")
VALUES = {"win", "urg", "cut", "id", "ttl", "tos", "total", "doff"}
WORDS = {"nocapture", "stray", "badsum", "nosum", "badipsum"}

Value = TypeVar("Value")


class LineError(ValueError):
    """What is wrong with a line; whoever knows the file and the line's number adds them."""


@dataclass(frozen=True, slots=True)
class Number:
    """A sequence number: relative to its side's initial one, or raw."""

    value: int
    raw: bool = False


@dataclass(slots=True)
class Option:
    """One TCP option: ``values`` are its numbers in order, ``data`` what was given as hex digits."""

    name: str
    values: list[Number] = field(default_factory=list)
    data: bytes = b""


@dataclass(slots=True)
class Line:
    """A segment's line: None where it says nothing, and a number is to be worked out."""

    flags: int = 0
    seq: Number | None = None
    ack: Number | None = None
    length: int | None = None
    payload: bytes | None = None
    options: list[Option] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    fragments: list[tuple[int, int]] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    repeat: int = 1
    every_ns: int | None = None


def filler(start: int, length: int) -> bytes:
    """``length`` bytes from stream offset ``start`` on: a retransmission carries what was sent first."""
    offset = start % len(LETTERS)
    return (LETTERS * (length // len(LETTERS) + 2))[offset : offset + length]


def nanoseconds(word: str) -> int:
    """Decimal seconds, with or without the ``+``, in nanoseconds."""
    if not TIME.fullmatch(word):
        raise LineError(f"expected a time in seconds, not {word!r}")
    seconds, _, fraction = word.lstrip("+").partition(".")
    if len(fraction) > 9:
        raise LineError(f"{word} is finer than a nanosecond")
    return int(seconds or 0) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def integer(word: str) -> int:
    """A decimal number without sign."""
    if not re.fullmatch(r"[0-9]+", word):
        raise LineError(f"expected a number, not {word!r}")
    return int(word)


def number(word: str) -> Number:
    """``5`` or ``=5``."""
    match = NUMBER.fullmatch(word)
    if not match:
        raise LineError(f"expected a sequence number such as 5 or =5, not {word!r}")
    return Number(int(match[2]), match[1] == "=")


def hexadecimal(word: str) -> bytes:
    """Pairs of hex digits."""
    try:
        return bytes.fromhex(word)
    except ValueError:
        raise LineError(f"expected pairs of hex digits, not {word!r}") from None


class Words:
    """The rest of a line, taken word by word."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __bool__(self) -> bool:
        return bool(self.words)

    def peek(self) -> str:
        """The next word, or nothing at the end."""
        return self.words[0] if self.words else ""

    def take(self, what: str = "a word") -> str:
        """The next word; ``what`` names it where the line ends too early."""
        if not self.words:
            raise LineError(f"the line ends where {what} is expected")
        return self.words.pop(0)


def read_line(words: Words, blobs: dict[str, bytes]) -> Line:
    """A segment's line from its flags on."""
    line = Line(flags=read_flags(words.take("the flags")))
    while words:
        word = words.peek()
        if word in ("data", "hex", "fill") or word.startswith("@"):
            if line.payload is not None:
                raise LineError("the parts of a payload stand side by side")
            line.payload = read_payload(words, blobs)
            continue
        words.take()
        if word == "seq":
            line.seq = number(words.take("the sequence number"))
        elif word == "ack":
            line.ack = number(words.take("the acknowledgement number"))
        elif word in VALUES:
            line.values[word] = integer(words.take(f"the number of {word}"))
        elif word in WORDS:
            line.words.add(word)
        elif word == "fragments":
            line.fragments = read_fragments(words)
        elif word == "repeat":
            line.repeat = integer(words.take("the number of times"))
        elif word == "every":
            line.every_ns = nanoseconds(words.take("the time between"))
        elif word.startswith("<"):
            line.options = read_options(word)
        elif word.endswith(")"):
            read_range(line, word)
        else:
            raise LineError(f"unknown word {word!r}")
    if line.payload is not None and line.length is not None and len(line.payload) != line.length:
        raise LineError(f"the payload has {len(line.payload)} bytes, the numbers say {line.length}")
    return line


def read_flags(word: str) -> int:
    """``S.`` or ``-``."""
    flags = 0
    for letter in "" if word == "-" else word:
        if letter not in FLAGS:
            raise LineError(f"unknown flag {letter!r} in {word!r}: flags are letters of {''.join(FLAGS)}, or -")
        flags |= FLAGS[letter]
    return flags


def read_range(line: Line, word: str) -> None:
    """``1:101(100)`` or ``(100)``."""
    match = RANGE.fullmatch(word)
    if not match:
        raise LineError(f"expected START:END(LENGTH) or (LENGTH), not {word!r}")
    line.length = int(match[4])
    if match[2] is None:
        return
    start, end = int(match[2]), int(match[3])
    if end - start != line.length:
        raise LineError(f"{word}: {start} and {end} are {end - start} apart")
    line.seq = Number(start, match[1] == "=")


def read_fragments(words: Words) -> list[tuple[int, int]]:
    """``0:24 24:120``, as many as stand side by side."""
    pieces = []
    while match := re.fullmatch(r"([0-9]+):([0-9]+)", words.peek()):
        words.take()
        pieces.append((int(match[1]), int(match[2])))
        if pieces[-1][0] % 8 or pieces[-1][0] >= pieces[-1][1]:
            raise LineError("a fragment begins at a multiple of 8, before its end")
    if not pieces:
        raise LineError("expected fragments START:END …")
    return pieces


def read_payload(words: Words, blobs: dict[str, bytes]) -> bytes:
    """Payload parts, as many as stand side by side."""
    out = b""
    while words.peek() in ("data", "hex", "fill") or words.peek().startswith("@"):
        word = words.take()
        if word == "data":
            out += read_text(words.take("a text in quotes"))
        elif word == "hex":
            out += hexadecimal(words.take("hex digits"))
        elif word == "fill":
            out += filler(0, integer(words.take("a length")))
        else:
            match = BLOB.fullmatch(word)
            if not match or match[1] not in blobs:
                raise LineError(f"{word}: there is no such let")
            blob = blobs[match[1]]
            out += blob[int(match[2] or 0) : int(match[3]) if match[3] else len(blob)]
    return out


def read_text(word: str) -> bytes:
    """A text in double quotes with Python's escapes; ``\\xff`` is that byte."""
    if len(word) < 2 or word[0] != '"':
        raise LineError(f"expected a text in double quotes, not {word}")
    try:
        text = ast.literal_eval("b" + word)
    except (SyntaxError, ValueError):
        raise LineError(f"not a text of ASCII characters and escapes: {word}") from None
    assert isinstance(text, bytes)
    return text


def read_options(word: str) -> list[Option]:
    """``<mss 1460,sackOK,ts 1:0>``."""
    if not word.endswith(">"):
        raise LineError("the options have no end: >")
    return [read_option(part.split()) for part in word[1:-1].split(",") if part.strip()]


def read_option(words: list[str]) -> Option:
    """One option."""
    name, rest = words[0].lower(), words[1:]
    if name in ("nop", "eol") or (name in ("sackok", "sack") and not rest):
        if rest:
            raise LineError(f"{name} has no value")
        return Option("sackok" if name == "sack" else name)
    if name in ("mss", "wscale") and len(rest) == 1:
        return Option(name, [Number(integer(rest[0]))])
    if name == "ts":
        # ``ts 1:0``, or packetdrill's ``TS val 1 ecr 0``
        if len(rest) == 4 and rest[0::2] == ["val", "ecr"]:
            rest = [f"{rest[1]}:{rest[3]}"]
        if len(rest) == 1 and rest[0].count(":") == 1:
            return Option(name, [Number(integer(part)) for part in rest[0].split(":")])
    if name == "sack" and all(part.count(":") == 1 for part in rest):
        return Option(name, [number(edge) for part in rest for edge in part.split(":")])
    if name == "tfo" and len(rest) <= 1:
        return Option(name, data=hexadecimal("".join(rest)))
    if name == "opt" and len(rest) in (1, 2):
        return Option(name, [Number(integer(rest[0]))], hexadecimal("".join(rest[1:])))
    raise LineError(f"unknown option {' '.join(words)!r}")


def read_claim(value: str) -> tuple[int, str, object]:
    """``[STREAM] PATH = VALUE``; the value is JSON, or a bare word for a string."""
    match = re.fullmatch(r"(?:([0-9]+)\s+)?([a-z0-9_.]+)\s*=\s*(.+)", value)
    if not match:
        raise LineError("expected shows: [STREAM] PATH = VALUE")
    try:
        wanted = json.loads(match[3])
    except ValueError:
        wanted = match[3]
    return int(match[1] or 0), match[2], wanted


def read_address(value: str) -> tuple[str, int]:
    """``10.0.0.1:80`` or ``[fd00::1]:80``."""
    match = ADDRESS.fullmatch(value)
    try:
        if match:
            return str(ip_address(match[1] or match[2])), int(match[3])
    except ValueError:
        pass
    raise LineError(f"expected ADDRESS:PORT, not {value!r}")


def read_start(value: str) -> int:
    """An RFC 3339 time, to the second, in nanoseconds since 1970."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise LineError(f"expected a time such as 2024-01-01T00:00:00Z, not {value!r}") from None
    if moment.tzinfo is None or moment.microsecond:
        raise LineError("the start is a whole second with its time zone")
    return int(moment.timestamp()) * 1_000_000_000


def choice(value: str, values: Mapping[str, Value]) -> Value:
    """The value that has this name."""
    if value not in values:
        raise LineError(f"expected one of {', '.join(values)}, not {value!r}")
    return values[value]
