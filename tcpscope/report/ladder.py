"""The ladder diagram of a connection as a list of things to draw, from top to bottom: the input of text and picture.

Times are nanoseconds since 1970 UTC. Text from the wire is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from tcpscope.report.ladder_rows import EVIDENCE, FOUND, MORE, VITAL, Arrow, Chooser, Target, target_of
from tcpscope.report.ladder_words import (
    PHASE_TEXTS,
    Note,
    analysis_notes,
    detail_of,
    notes_of,
    remarks_of,
    tls_notes,
)
from tcpscope.report.model import ConnectionReport, StateStep
from tcpscope.report.quantities import size
from tcpscope.report.text import worst_severity
from tcpscope.rules import words
from tcpscope.state.facts import CAUSE_NAMES
from tcpscope.state.wireshark import FLAG_NAMES

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection


MAX_PARTS: Final = 1000
EVIDENCE_FRAMES: Final = 4  # of a finding that matter more than its further ones

NEVER_OPENED: Final = frozenset(("refused", "unanswered", "half-open", "aborted"))

OPENING, DATA, CLOSING, WAITING = range(4)
PHASES: Final = ("Opening", "Data", "Closing", "TIME-WAIT")


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the connection's life begins: its name, and what is to be said of it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One segment, the states that it made its two sides enter, and what is remarked about it."""

    arrow: Arrow
    states: tuple[str, str]
    notes: tuple[Note, ...]
    detail: str  # what only wide diagrams have room for


@dataclass(frozen=True, slots=True)
class Gap:
    """Segments that are left out: how many, the payload each way, for how long, and what was remarkable."""

    segments: int
    sent: tuple[int, int]
    span_ns: int
    flagged: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """One line on it; a no-break space keeps a quantity and its direction together."""
        parts = [f"… {words.plural(self.segments, 'segment')}"]
        parts += [f"{size(count)}\u00a0{way}" for count, way in zip(self.sent, "→←", strict=True) if count]
        if self.segments > 1:
            parts.append(words.span(self.span_ns))
        return ", ".join(parts)

    @property
    def remarks(self) -> str:
        """Flags and causes among them, the most frequent first, or ""."""
        shown = [f"{count:,}\u00a0{name}" for name, count in self.flagged[:4]]
        more = len(self.flagged) - len(shown)
        return ", ".join(shown) + (f" and {more} more kinds" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Event:
    """States that no segment of the diagram caused; ``text`` says why."""

    states: tuple[str, str]
    time_ns: int | None
    text: str


Item: TypeAlias = Phase | Row | Gap | Event


@dataclass(frozen=True, slots=True)
class Ladder:
    """A connection, what to draw of it, and what to say above."""

    connection: ConnectionReport
    items: tuple[Item, ...]
    remarks: tuple[str, ...]
    segments: int

    @property
    def drawn(self) -> int:
        """How many segments are drawn."""
        return sum(isinstance(item, Row) for item in self.items)


class Subject:
    """Chooses the connection to draw while the capture is read for the first time: the one with the worst finding."""

    def __init__(self, msl_ns: int) -> None:
        self.report: ConnectionReport | None = None
        self.target: Target | None = None
        self._msl_ns = msl_ns
        self._rank: tuple[int, int, int] | None = None
        self._continued: list[tuple[int, int]] = []

    def connection(self, conn: Connection, findings: list[Finding]) -> None:
        """A connection is over."""
        from tcpscope.report.build import connection_report  # noqa: PLC0415

        if conn.continued and len(self._continued) < MAX_PARTS:
            self._continued.append((conn.stream, conn.first_frame))
        rank = (worst_severity([finding.severity for finding in findings]), conn.stream, conn.first_frame)
        if self._rank is None or rank < self._rank:
            self._rank = rank
            self.target = target_of(conn)
            self.report = connection_report(conn, findings, self._msl_ns)

    @property
    def other_parts(self) -> list[int]:
        """First frames of other connections that count under the same number."""
        target = self.target
        if target is None:
            return []
        return sorted(
            frame for stream, frame in self._continued if stream == target.stream and frame != target.first_frame
        )


def wanted_frames(report: ConnectionReport) -> dict[int, int]:
    """Frames that the diagram should show, with how much each matters."""
    wanted: dict[int, int] = {}
    handshake, teardown = report.handshake, report.teardown
    vital = [handshake.syn, handshake.syn_ack, handshake.ack, report.reset, report.first_frame, report.last_frame]
    vital += [teardown.fin, teardown.fin_ack, teardown.peer_fin, teardown.final_ack]
    vital += [step.frame for side in (report.client_side, report.server_side) for step in side.states]
    for finding in report.findings:
        for number, frame in enumerate(finding.frames):
            wanted[frame] = min(wanted.get(frame, MORE), EVIDENCE if number < EVIDENCE_FRAMES else MORE)
        if finding.frame is not None:
            wanted[finding.frame] = FOUND
    for frame, _ in report.carrier.lines if report.carrier is not None else ():
        wanted[frame] = min(wanted.get(frame, MORE), EVIDENCE)
    for message in report.tls.messages if report.tls is not None else ():
        wanted[message.frame] = min(wanted.get(message.frame, MORE), EVIDENCE)
    wanted.update((frame, VITAL) for frame in vital if frame is not None)
    return wanted


def ladder(report: ConnectionReport, chooser: Chooser, other_parts: Sequence[int] = ()) -> Ladder:
    """The diagram of a connection from what both readings gave."""
    builder = Builder(report)
    for arrow in chooser.chosen():
        builder.arrow(arrow)
    builder.end()
    return Ladder(report, tuple(builder.items), tuple(remarks_of(report, other_parts)), chooser.segments)


class Builder:
    """Puts the items in their order."""

    def __init__(self, report: ConnectionReport) -> None:
        self.items: list[Item] = []
        self._report = report
        self._phase = -1
        self._bounds = _bounds(report)
        self._last: Arrow | None = None
        self._notes = notes_of(report)
        sides = (report.client_side, report.server_side)
        self._steps = [list(reversed(side.states)) for side in sides]
        self._syns = {report.handshake.syn: sides[0].syn, report.handshake.syn_ack: sides[1].syn}

    def arrow(self, arrow: Arrow) -> None:
        """The next segment that is drawn."""
        if self._last is not None and arrow.before.segments > self._last.before.segments + 1:
            self.items.append(_gap(self._last, arrow))
        self._enter(_phase_of(arrow.frame, self._bounds))
        if self._last is None:
            self._begin(arrow)
        states, later = ["", ""], []
        for side in (0, 1):
            while due := self._due(side, arrow):
                frame, state = due
                if frame is None:
                    self._event(side, state, arrow.time_ns, "not captured")
                elif states[side]:
                    later.append((side, state))
                else:
                    states[side] = state
        remarks = [
            *self._notes.dialogue.get(arrow.frame, ()),
            *tls_notes(self._notes.tls, arrow),
            *analysis_notes(arrow),
            *self._notes.found.get(arrow.frame, ()),
        ]
        if arrow.lost:
            remarks.insert(0, Note("lost behind the capture point", "warning"))
        self.items.append(
            Row(arrow, (states[0], states[1]), tuple(remarks), detail_of(arrow, self._syns.get(arrow.frame)))
        )
        for side, state in later:
            self._event(side, state, arrow.time_ns, "")
        self._last = arrow

    def end(self) -> None:
        """All segments are drawn: what the end of the capture tells."""
        if self._report.handshake.verdict not in NEVER_OPENED:
            self._enter(CLOSING)
        if self._report.time_wait.verdict != "not-applicable":
            self._enter(WAITING)
        for side in (0, 1):
            for step in reversed(self._steps[side]):
                over = step.frame is None and step.state == "CLOSED"
                cause = (
                    "2 MSL are over" if over else f"frame {step.frame}" if step.frame is not None else "not captured"
                )
                self._event(side, step.state, step.time_ns, cause)

    def _begin(self, arrow: Arrow) -> None:
        """The states in which both sides are before anything was sent."""
        first = ["", ""]
        for side in (0, 1):
            steps = self._steps[side]
            if steps and steps[-1].frame is None and steps[-1].time_ns is None:
                first[side] = steps.pop().state
        if any(first):
            self.items.append(Event((first[0], first[1]), None, ""))

    def _due(self, side: int, arrow: Arrow) -> tuple[int | None, str] | None:
        """The next step of a side that is to be shown at a segment or before it: its frame, if it has one, and state."""
        steps = self._steps[side]
        if not steps:
            return None
        step: StateStep = steps[-1]
        if step.frame is None:
            if step.time_ns is not None and step.time_ns > arrow.time_ns:
                return None
        elif step.frame > arrow.frame:
            return None
        steps.pop()
        return step.frame, step.state

    def _event(self, side: int, state: str, time_ns: int | None, text: str) -> None:
        states = (state, "") if side == 0 else ("", state)
        last = self.items[-1] if self.items else None
        if isinstance(last, Event) and last.text == text and not last.states[side] and last.time_ns == time_ns:
            self.items[-1] = Event((last.states[0] or states[0], last.states[1] or states[1]), time_ns, text)
        else:
            self.items.append(Event(states, time_ns, text))

    def _enter(self, phase: int) -> None:
        """Begin a phase, and those before it that had no segment but are worth a word."""
        traffic = (self._report.client_side.traffic, self._report.server_side.traffic)
        while self._phase < phase:
            self._phase += 1
            silent = self._phase == DATA and phase > DATA and not any(side.payload_segments for side in traffic)
            if self._phase == WAITING and self._report.time_wait.verdict == "not-applicable":
                continue
            if not silent:
                self.items.append(Phase(PHASES[self._phase], PHASE_TEXTS[self._phase](self._report)))


def _gap(before: Arrow, after: Arrow) -> Gap:
    """What lies between two segments that are drawn."""
    start, end = before.after, after.before
    flagged = [now - then for now, then in zip(end.flagged, start.flagged, strict=True)]
    names = [*FLAG_NAMES, *(f"({name})" for name in CAUSE_NAMES)]
    # Wireshark calls every fast and spurious one a retransmission as well.
    flagged[0] -= (
        flagged[FLAG_NAMES.index("fast_retransmission")] + flagged[FLAG_NAMES.index("spurious_retransmission")]
    )
    counts = sorted(
        ((name, count) for name, count in zip(names, flagged, strict=True) if count > 0), key=lambda x: -x[1]
    )
    return Gap(
        segments=end.segments - start.segments,
        sent=(end.client_bytes - start.client_bytes, end.server_bytes - start.server_bytes),
        span_ns=max(0, after.previous_time_ns - before.next_time_ns),
        flagged=tuple(counts),
    )


# Phases


def _bounds(report: ConnectionReport) -> tuple[int, int, int]:
    """First frames of data, closing and TIME-WAIT; beyond every frame where there is none."""
    never = report.last_frame + 1
    handshake = report.handshake
    ends = [frame for frame in (report.teardown.fin, report.reset) if frame is not None]
    closing = min(ends, default=never)
    opened = [frame for frame in (handshake.syn, handshake.syn_ack, handshake.ack) if frame is not None]
    if handshake.verdict in NEVER_OPENED:
        data = never
        closing = closing if report.teardown.fin is not None else never
    else:
        data = max(opened, default=-1) + 1
    sides = (report.client_side, report.server_side)
    waits = [step.frame or 0 for side in sides for step in side.states if step.state == "TIME-WAIT"]
    # The ACK by which the other side's FIN counts as received belongs to the closing.
    last = max([*waits, report.teardown.final_ack or 0, report.teardown.fin_ack or 0])
    return min(data, closing), closing, last + 1 if waits else never


def _phase_of(frame: int, bounds: tuple[int, int, int]) -> int:
    return sum(frame >= bound for bound in bounds)
