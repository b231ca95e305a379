"""What a rule is and what it says: :class:`Rule`, :class:`Finding`, and the evidence that a rule works from.

A rule names what triggers it: kinds of facts (:mod:`tcpscope.state.facts`) or *occasions*, which are properties of a finished
connection that no single fact shows. A connection that has none of a rule's triggers never meets the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from mypy_extensions import mypyc_attr

from tcpscope.state.facts import CLIENT, KIND_BITS, SERVER, Fact

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection

SIDE_NAMES: Final = ("client", "server")
BOTH_SIDES: Final = (CLIENT, SERVER)

MAX_EVIDENCE: Final = 16
"""Frames that a finding names. The count is exact however many there are."""

PATIENCE_NS: Final = 1_000_000_000
"""How long silence must be watched before it says anything: the first retransmission time-out (RFC 6298 section 2.1)."""

SHORTEST_TIMEOUT_NS: Final = 100_000_000
"""A segment that comes again sooner was not repeated by a timer: half of Linux' shortest retransmission time-out. It is a copy,
or its sender was told to repeat it."""

# Occasions: properties of a whole connection that trigger rules as facts do, as bits of a set of their own.
REFUSED: Final = 1
UNANSWERED: Final = 2
HALF_OPEN: Final = 4
OPENING_ABORTED: Final = 8
SIMULTANEOUS_OPEN: Final = 16
CLOSED_BY_ONE: Final = 32
CLOSED_BY_BOTH_AT_ONCE: Final = 64
TLS_TROUBLE: Final = 128
NOT_TLS: Final = 256
TLS_HELLO_CUT: Final = 512
NO_CONNECTION: Final = 1024
STARTTLS: Final = 2048


class Severity(StrEnum):
    """SARIF's levels. Error: a proven violation of the protocol. Warning: trouble. Note: unusual but lawful."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One thing worth saying. ``frame`` is the frame to look at first, ``frames`` all evidence that was kept, in order.

    ``side``, ``frame``, ``time_ns`` and ``stream`` are None where the finding has none. ``count`` is how often it happened.
    ``display_filter`` shows the evidence in Wireshark.
    """

    code: str
    name: str
    severity: Severity
    message: str
    side: str | None
    frame: int | None
    frames: tuple[int, ...]
    count: int  # type: ignore[assignment]  # nobody counts in a finding as in a tuple
    time_ns: int | None
    stream: int | None
    rfc: str
    display_filter: str


class Context(NamedTuple):
    """What rules may know beyond the connection. ``msl_ns``: maximum segment lifetime in nanoseconds."""

    options: Options
    msl_ns: int


class Seen(NamedTuple):
    """The facts of one side that trigger a rule: the kept ones, and how many there were (at least so many, if ``more``)."""

    side: int
    facts: Sequence[Fact]
    count: int  # type: ignore[assignment]  # as in a finding
    more: bool = False

    @property
    def first(self) -> Fact:
        """The earliest kept fact."""
        return self.facts[0]

    @property
    def frames(self) -> list[int]:
        """The frames of the facts themselves, without those that they refer to."""
        return [fact.frame for fact in self.facts]


@mypyc_attr(allow_interpreted_subclasses=True)
class Rule:
    """Base of every rule. The docstring of a rule is its manual (:mod:`tcpscope.rules.manual`)."""

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    rfc: ClassVar[str]
    kinds: ClassVar[tuple[int, ...]] = ()
    occasions: ClassVar[int] = 0

    @classmethod
    def kind_bits(cls) -> int:
        """The fact kinds that call :meth:`judge`, as a bit set. With ``occasions`` 0, too, it is a rule about captures alone."""
        return sum({KIND_BITS[kind] for kind in cls.kinds})

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """What the rule says of a finished connection that has one of its triggers."""
        return ()

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """What the rule says of the whole capture."""
        return ()

    def finding(
        self,
        conn: Connection,
        side: int | None,
        message: str,
        frames: Iterable[int],
        *,
        frame: int = 0,
        time_ns: int | None = None,
        count: int = 1,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding about a connection. ``frames``: the evidence, zeros are left out; ``frame`` (or the first) is the one to look at."""
        evidence = bounded(frames)
        shown = frame or (evidence[0] if evidence else conn.first_frame)
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            message=message,
            side=None if side is None else SIDE_NAMES[side],
            frame=shown,
            frames=evidence or (shown,),
            count=count,
            time_ns=time_ns,
            stream=conn.stream,
            rfc=self.rfc,
            display_filter=frame_filter(conn.stream, evidence or (shown,)),
        )

    def about(self, conn: Connection, seen: Seen, message: str, *, severity: Severity | None = None) -> Finding:
        """A finding whose evidence is the facts of one side."""
        frames = [number for fact in seen.facts for number in (fact.frame, fact.other)]
        first = seen.first
        return self.finding(
            conn,
            seen.side,
            message,
            frames,
            frame=first.frame,
            time_ns=first.time_ns,
            count=seen.count,
            severity=severity,
        )

    def capture_finding(
        self,
        message: str,
        display_filter: str,
        *,
        frames: Iterable[int] = (),
        time_ns: int | None = None,
        count: int = 1,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding about the capture: no stream, no side."""
        evidence = bounded(frames)
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            message=message,
            side=None,
            frame=evidence[0] if evidence else None,
            frames=evidence,
            count=count,
            time_ns=time_ns,
            stream=None,
            rfc=self.rfc,
            display_filter=display_filter,
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class FactRule(Rule):
    """A rule that says one thing a side about all facts of its kinds.

    ``alike``: facts that were counted but not kept are like those that were.
    """

    alike: ClassVar[bool] = True

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """One finding for each side that has facts which the rule applies to."""
        for side in BOTH_SIDES:
            seen = self.seen(conn, side)
            if seen is not None:
                said = self.say(seen, conn, ctx)
                if said is not None:
                    yield said

    def seen(self, conn: Connection, side: int) -> Seen | None:
        """The side's facts of the rule's kinds that it applies to; None without any."""
        log = conn.log
        if log is None:
            return None
        facts = [fact for fact in log.facts if fact.side == side and fact.kind in self.kinds]
        kept = [fact for fact in facts if self.applies(fact, conn)]
        if not kept:
            return None
        beyond = sum(log.count(kind, side) for kind in self.kinds) - len(facts)
        if beyond == 0 or (self.alike and len(kept) == len(facts)):
            return Seen(side, kept, len(kept) + beyond)
        return Seen(side, kept, len(kept), more=True)

    def applies(self, fact: Fact, conn: Connection) -> bool:
        """Whether the rule is about this fact; others of its kind may belong to another rule."""
        return True

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """The finding, or None where the evidence does not carry one."""
        raise NotImplementedError


def proves_absence(conn: Connection) -> bool:
    """Whether what the capture does not show up to its end did not happen: nothing lost by it, both directions there."""
    return not (conn.lossy or conn.one_sided or conn.frames_dropped or conn.file_damaged)


def facts_of_side(conn: Connection, kind: int, side: int) -> list[Fact]:
    """The kept facts of one kind and side."""
    return [fact for fact in conn.facts_of(kind) if fact.side == side]


def frames_told_elsewhere(conn: Connection, kinds: Sequence[int]) -> set[int]:
    """Frames that facts of ``kinds`` already account for."""
    return {number for kind in kinds for fact in conn.facts_of(kind) for number in (fact.frame, fact.other) if number}


def bounded(frames: Iterable[int]) -> tuple[int, ...]:
    """Frame numbers in order, each once, at most :data:`MAX_EVIDENCE`."""
    return tuple(sorted({number for number in frames if number > 0})[:MAX_EVIDENCE])


def frame_filter(stream: int, frames: Sequence[int]) -> str:
    """Wireshark display filter for frames of one stream."""
    if len(frames) == 1:
        return f"tcp.stream eq {stream} && frame.number == {frames[0]}"
    return f"tcp.stream eq {stream} && frame.number in {{{', '.join(map(str, frames))}}}"
