"""Which connections a part of a policy is about: ``port 443 and not host 10.0.0.1``, in the manner of tcpdump's filters.

::

    selector  = term { "or" term }
    term      = factor { "and" factor }
    factor    = "not" factor | "(" selector ")" | "all" | [ "client" | "server" ] end | "sni" PATTERN | "stream" NUMBER
    end       = "host" ADDRESS | "net" NETWORK | "port" PORT[-PORT]

``host``, ``net`` and ``port`` are about either side, unless ``client`` or ``server`` stands before them. A pattern of ``sni``
has the wildcards ``*`` and ``?``; a connection without SNI matches none.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tcpscope.check.globs import check_pattern, name_matches

if TYPE_CHECKING:
    from tcpscope.report.model import ConnectionReport

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

WORDS: Final = ("all", "client", "host", "net", "not", "port", "server", "sni", "stream")
SIDES: Final = ("client", "server")
MAX_DEPTH: Final = 50
_WORD: Final = re.compile(r"[()]|[^\s()]+")


class SelectorError(ValueError):
    """It cannot be read. ``column`` is the 1-based place in the text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column} of the selector)")
        self.column = column


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector as it was written; :meth:`matches` says which connections it is about."""

    text: str
    tree: Node

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether it is about this connection."""
        return self.tree.matches(connection)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Every:
    """All connections."""

    def matches(self, connection: ConnectionReport) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Host:
    """An address, or one of a network; ``side`` is "" for either."""

    network: Network
    side: str

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether a side that it is about has such an address."""
        return any(_address(getattr(connection, side).address) in self.network for side in _sides(self.side))


@dataclass(frozen=True, slots=True)
class Port:
    """A range of ports."""

    first: int
    last: int
    side: str

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether a side that it is about has such a port."""
        return any(self.first <= getattr(connection, side).port <= self.last for side in _sides(self.side))


@dataclass(frozen=True, slots=True)
class Sni:
    """A pattern for the server name that the ClientHello asks for."""

    pattern: str

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether it asks for such a name."""
        name = None if connection.tls is None else connection.tls.sni
        return name is not None and name_matches(self.pattern, name)


@dataclass(frozen=True, slots=True)
class Stream:
    """A number as in Wireshark's tcp.stream."""

    number: int

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether it has the number."""
        return connection.stream == self.number


@dataclass(frozen=True, slots=True)
class Not:
    """What another one is not about."""

    of: Node

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether the other does not match."""
        return not self.of.matches(connection)


@dataclass(frozen=True, slots=True)
class Both:
    """All of several."""

    of: tuple[Node, ...]

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether all match."""
        return all(node.matches(connection) for node in self.of)


@dataclass(frozen=True, slots=True)
class Either:
    """Any of several."""

    of: tuple[Node, ...]

    def matches(self, connection: ConnectionReport) -> bool:
        """Whether one matches."""
        return any(node.matches(connection) for node in self.of)


Node: TypeAlias = Every | Host | Port | Sni | Stream | Not | Both | Either
ALL: Final = Selector("all", Every())


def _sides(side: str) -> tuple[str, ...]:
    return (side,) if side else SIDES


def _address(text: str) -> Address:
    return ipaddress.ip_address(text)


def parse(text: str) -> Selector:
    """Read a selector.

    :raises SelectorError: it is none.
    """
    return Selector(text, _Parser(text).whole())


class _Word(NamedTuple):
    text: str
    column: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._words = [_Word(found.group(), found.start() + 1) for found in _WORD.finditer(text)]
        self._end = _Word("", len(text) + 1)
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        """The whole text."""
        if not self._words:
            raise SelectorError("an empty selector selects nothing; 'all' selects every connection", 1)
        tree = self._either()
        if self._next.text:
            hint = "there is no '(' before it" if self._next.text == ")" else "'and' or 'or' is missing before it"
            raise SelectorError(f"{self._next.text!r} is not expected here: {hint}", self._next.column)
        return tree

    @property
    def _next(self) -> _Word:
        return self._words[self._place] if self._place < len(self._words) else self._end

    def _take(self) -> _Word:
        word = self._next
        self._place += 1
        return word

    def _either(self) -> Node:
        nodes = [self._both()]
        while self._next.text.lower() == "or":
            self._take()
            nodes.append(self._both())
        return nodes[0] if len(nodes) == 1 else Either(tuple(nodes))

    def _both(self) -> Node:
        nodes = [self._factor()]
        while self._next.text.lower() == "and":
            self._take()
            nodes.append(self._factor())
        return nodes[0] if len(nodes) == 1 else Both(tuple(nodes))

    def _factor(self) -> Node:
        word = self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SelectorError("it is nested too deeply", word.column)
        node = self._of(word)
        self._depth -= 1
        return node

    def _of(self, word: _Word) -> Node:
        match word.text.lower():
            case "(":
                inside = self._either()
                if self._next.text != ")":
                    raise SelectorError(f"the '(' at column {word.column} is not closed", self._next.column)
                self._take()
                return inside
            case "not":
                return Not(self._factor())
            case "all":
                return Every()
            case "client" | "server":
                side, word = word.text.lower(), self._take()
                if word.text.lower() not in {"host", "net", "port"}:
                    raise SelectorError(f"'host', 'net' or 'port' is missing after '{side}'", word.column)
                return self._end_of(word, side)
            case "host" | "net" | "port":
                return self._end_of(word, "")
            case "sni":
                return Sni(_pattern(self._value(word, "a name such as *.example.org")))
            case "stream":
                return Stream(_number(self._value(word, "a number"), 1 << 62))
        raise _unexpected(word)

    def _end_of(self, word: _Word, side: str) -> Node:
        match word.text.lower():
            case "host":
                return Host(_network(self._value(word, "an address"), single=True), side)
            case "net":
                return Host(_network(self._value(word, "a network such as 10.0.0.0/8"), single=False), side)
        value = self._value(word, "a port")
        first, dash, last = value.text.partition("-")
        low = _number(_Word(first, value.column), 65535)
        high = _number(_Word(last, value.column + len(first) + 1), 65535) if dash else low
        if low > high:
            raise SelectorError(f"the range {value.text} ends before it begins", value.column)
        return Port(low, high, side)

    def _value(self, after: _Word, wanted: str) -> _Word:
        word = self._take()
        if word.text in {"", "(", ")"}:
            raise SelectorError(f"{wanted} is missing after '{after.text}'", word.column)
        return word


def _unexpected(word: _Word) -> SelectorError:
    if not word.text:
        return SelectorError("something is missing at the end", word.column)
    near = difflib.get_close_matches(word.text.lower(), WORDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"it begins with one of {', '.join(WORDS)} or '('"
    return SelectorError(f"{word.text!r} is not known; {hint}", word.column)


def _pattern(word: _Word) -> str:
    try:
        check_pattern(word.text)
    except ValueError as error:
        raise SelectorError(str(error), word.column) from None
    return word.text


def _number(word: _Word, most: int) -> int:
    if not word.text.isascii() or not word.text.isdecimal() or len(word.text) > 20 or int(word.text) > most:
        raise SelectorError(f"{word.text!r} is no number from 0 to {most}", word.column)
    return int(word.text)


def _network(word: _Word, *, single: bool) -> Network:
    text = word.text[1:-1] if word.text.startswith("[") and word.text.endswith("]") else word.text
    try:
        return ipaddress.ip_network(ipaddress.ip_address(text)) if single else ipaddress.ip_network(text)
    except ValueError as error:
        kind = "IP address (names are not looked up)" if single else "network"
        detail = f": {str(error).removeprefix(f'{text} ')}" if "host bits" in str(error) else ""
        raise SelectorError(f"{word.text!r} is no {kind}{detail}", word.column) from None
