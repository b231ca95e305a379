"""Everything that is said of one segment, and why: what ``tcpscope explain`` shows.

The capture is read twice. The first reading finds the segments of the frame, and judges the connection with all that comes
after. The second one stops just before each of these segments: what the state machine and Wireshark's analysis remember
then is what their conditions are evaluated on. Nothing of this costs an ordinary reading anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tcpscope.pipeline import CollectorPause, Pipeline
from tcpscope.report.build import connection_report
from tcpscope.report.explain_cause import CauseEvidence, cause_evidence, copy_lines
from tcpscope.report.explain_flags import Check, FlagRules, Number
from tcpscope.report.ladder_rows import Target, target_of
from tcpscope.report.session import Session
from tcpscope.rules import words
from tcpscope.rules.retransmission import PROOFS
from tcpscope.state.endpoint import Endpoint
from tcpscope.state.facts import CAUSE_NAMES, CAUSE_SPURIOUS, ICMP_REPORTED, PROOF_STEP, RETRANSMISSION
from tcpscope.state.keys import reverse_key
from tcpscope.state.seq import diff
from tcpscope.state.transitions import EVENT_NAMES, OBSERVER, STATE_NAMES, TABLE, UNKNOWN
from tcpscope.state.wireshark import WiresharkAnalyzer
from tcpscope.wire.segment import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import ConnectionReport, Side
    from tcpscope.rules.base import Finding
    from tcpscope.state.connection import Connection
    from tcpscope.wire.segment import Segment

MAX_SEGMENTS: Final = 16  # of one frame
MAX_AGAIN: Final = 8
MAX_FINDINGS: Final = 200


@dataclass(frozen=True, slots=True)
class SegmentCopy:
    """The header fields of a segment that explanations need. ``sack``: blocks as raw numbers."""

    frame: int
    time_ns: int
    key: bytes
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    ip_id: int
    ts_val: int
    ts_ecr: int
    sack: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """The sequence number behind it."""
        return (self.seq + self.length + bool(self.flags & SYN) + bool(self.flags & FIN)) & 0xFFFFFFFF


def copied(seg: Segment) -> SegmentCopy:
    """The fields of a segment, out of the record that the next one overwrites."""
    blocks = (
        (seg.sack_left0, seg.sack_right0),
        (seg.sack_left1, seg.sack_right1),
        (seg.sack_left2, seg.sack_right2),
        (seg.sack_left3, seg.sack_right3),
    )
    fields = (seg.frame, seg.time_ns, seg.key, seg.seq, seg.ack, seg.flags & 0xFF, seg.window, seg.length, seg.ip_id)
    return SegmentCopy(*fields, seg.ts_val, seg.ts_ecr, tuple(blocks[: seg.sack_count]))


@dataclass(slots=True)
class Hit:
    """A segment of the frame, as the first reading found it. ``place``: how many segments came before it."""

    place: int
    seg: SegmentCopy
    stream: int
    first_frame: int
    side: int
    acknowledged: tuple[int, int] | None = None  # frame and time of the first acknowledgement of all of it
    again: list[int] = field(default_factory=list)  # frames that send some of it again
    needless: str = ""  # what proves after all that it was sent again for nothing
    report: ConnectionReport | None = None
    target: Target | None = None


class Finder:
    """First reading: judges the capture, and finds the segments of one frame with what comes of them."""

    def __init__(self, options: Options, frame: int) -> None:
        self.hits: list[Hit] = []
        self.findings: list[Finding] = []
        self._frame = frame
        self._msl_ns = options.msl_ns
        self._session = Session(options, self._over)
        self.pipeline = self._session.pipeline
        self._count = 0

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        self._session.begin_file(name)

    def feed(self, data: bytes) -> bool:
        """The next bytes."""
        self.pipeline.reader.feed(data)
        self._drain()
        return not self.pipeline.reader.ended

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file."""
        self.pipeline.reader.finish()
        self._drain()
        self._session.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """No more files."""
        self._session.finish()
        self._keep(self._session.findings)

    def _drain(self) -> None:
        pipeline, frame = self.pipeline, self._frame
        seg, flows = pipeline.seg, pipeline.flows
        with CollectorPause():
            while pipeline.next_segment():
                if seg.frame >= frame:
                    conn = flows.current
                    if seg.frame == frame and conn is not None and len(self.hits) < MAX_SEGMENTS:
                        side = int(flows.current_side)
                        self.hits.append(Hit(self._count, copied(seg), conn.stream, conn.first_frame, side))
                    elif seg.frame > frame and conn is not None:
                        for hit in self.hits:
                            if conn.first_frame == hit.first_frame and conn.stream == hit.stream:
                                _follow(hit, seg)
                self._count += 1

    def _over(self, conn: Connection, findings: list[Finding]) -> None:
        self._keep(findings)
        for hit in self.hits:
            if conn.stream == hit.stream and conn.first_frame == hit.first_frame:
                hit.report = connection_report(conn, findings, self._msl_ns)
                hit.target = target_of(conn)
                for fact in conn.facts_of(RETRANSMISSION + CAUSE_SPURIOUS):
                    if fact.frame == hit.seg.frame:
                        hit.needless = PROOFS[fact.a // PROOF_STEP]

    def _keep(self, findings: list[Finding]) -> None:
        """Those that name the frame as evidence, of whatever connection they are."""
        named = [finding for finding in findings if self._frame in finding.frames or finding.frame == self._frame]
        self.findings += named[: MAX_FINDINGS - len(self.findings)]

    @property
    def session(self) -> Session:
        """What judged the capture."""
        return self._session


def _follow(hit: Hit, seg: Segment) -> None:
    """What a later segment of the same connection means for the one that is explained."""
    first, end = hit.seg.seq, hit.seg.end
    if end == first:
        return
    if seg.key != hit.seg.key:
        if hit.acknowledged is None and seg.flags & ACK and not seg.flags & RST and diff(seg.ack, end) >= 0:
            hit.acknowledged = int(seg.frame), int(seg.time_ns)
    elif seg.length or seg.flags & (SYN | FIN):
        length = seg.length + bool(seg.flags & SYN) + bool(seg.flags & FIN)
        if diff(seg.seq, end) < 0 and diff(seg.seq + length, first) > 0 and len(hit.again) < MAX_AGAIN:
            hit.again.append(int(seg.frame))


@dataclass(frozen=True, slots=True)
class StateChange:
    """What the frame made of a side's state. ``event`` and ``section`` of RFC 9293; without a change both are ""."""

    side: str
    old: str
    new: str
    event: str = ""
    section: str = ""
    observer: bool = False


@dataclass(frozen=True, slots=True)
class Wireshark:
    """What Wireshark shows beside the flags; durations are ns, -1 (frames: 0) where it shows nothing."""

    flags: int
    window: int
    duplicate_number: int
    duplicate_of: int
    rto: int
    rto_frame: int
    acks_frame: int
    ack_rtt: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """One segment, explained. ``cause`` is a name of CAUSE_NAMES or ""."""

    hit: Hit
    report: ConnectionReport
    target: Target
    checks: tuple[Check, ...]
    wireshark: Wireshark
    cause: str
    evidence: CauseEvidence
    states: tuple[StateChange, ...]


def numbering(start: int) -> Number:
    """Writes raw sequence numbers relative to an initial one."""
    if start < 0:
        return str

    def number(raw: int) -> str:
        relative = int(diff(raw, start))
        return str(relative) if abs(relative) < 1 << 30 else f"{raw} (raw)"

    return number


class Explainer:
    """Second reading: stops just before each segment of the frame and evaluates the conditions there."""

    def __init__(self, options: Options, hits: list[Hit]) -> None:
        self.pipeline = Pipeline(
            _forget, options.msl_ns, options.verify_checksums, options.max_connections, False, options.salvage
        )
        self.explanations: list[Explanation] = []
        self._analyzer = WiresharkAnalyzer()
        self._hits = hits
        self._keys = frozenset(key for hit in hits for key in (hit.seg.key, reverse_key(hit.seg.key)))
        self._count = 0
        self._before: tuple[FlagRules, CauseEvidence] | None = None

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        if self.pipeline.file_ended:
            self.pipeline.next_file()

    def feed(self, data: bytes) -> bool:
        """The next bytes. False: no more are needed."""
        if self._done:
            return False
        self.pipeline.reader.feed(data)
        self._drain()
        return not self.pipeline.reader.ended and not self._done

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file."""
        if not self._done:
            self.pipeline.reader.finish()
            self._drain()
        self.pipeline.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """No more files."""

    @property
    def _done(self) -> bool:
        return self._count > self._hits[-1].place

    def _drain(self) -> None:
        pipeline, analyzer = self.pipeline, self._analyzer
        seg = pipeline.seg
        at = {hit.place: hit for hit in self._hits}
        with CollectorPause():
            while not self._done:
                hit = at.get(self._count)
                if hit is not None and self._before is None:
                    self._before = self._look(hit)
                if not pipeline.next_segment():
                    return
                self._count += 1
                if seg.key not in self._keys:
                    continue
                flags = analyzer.analyze(seg)
                if hit is not None and self._before is not None:
                    self._explain(hit, flags, *self._before)
                    self._before = None

    def _look(self, hit: Hit) -> tuple[FlagRules, CauseEvidence]:
        """Evaluate all conditions before the segment is applied."""
        assert hit.target is not None, "the first reading has judged every connection"
        starts = [numbering(start) for start in hit.target.starts]
        ours, theirs = starts[hit.side], starts[1 - hit.side]
        conn = self._connection(hit)
        ends = (conn.client, conn.server) if conn is not None else (Endpoint(), Endpoint())
        evidence = cause_evidence(hit.seg, ends[hit.side], ends[1 - hit.side], ours, theirs, conn is None)
        return FlagRules(hit.seg, self._analyzer.direction_of(hit.seg.key), ours, theirs), evidence

    def _connection(self, hit: Hit) -> Connection | None:
        """The segment's connection as it is before it; None if it begins with it."""
        table = self.pipeline.flows.table
        conn = table.get(hit.seg.key) or table.get(reverse_key(hit.seg.key))
        while conn is not None and (conn.stream, conn.first_frame) != (hit.stream, hit.first_frame):
            conn = conn.previous
        return conn

    def _explain(self, hit: Hit, flags: int, rules: FlagRules, evidence: CauseEvidence) -> None:
        conn, shown = self.pipeline.flows.current, self._analyzer
        if hit.report is None or hit.target is None or conn is None:
            return
        wireshark = Wireshark(
            flags,
            shown.window,
            shown.duplicate_ack_number,
            shown.duplicate_ack_frame,
            shown.rto,
            shown.rto_frame,
            shown.acks_frame,
            shown.ack_rtt,
            shown.bytes_in_flight,
        )
        cause = CAUSE_NAMES[conn.last_cause] if conn.last_cause >= 0 else ""
        if cause in ("capture-copy", "network-duplicate"):
            evidence = CauseEvidence(copy_lines(conn, hit.seg), (), False)
        if cause == "path-mtu":
            evidence = replace(evidence, values=(*evidence.values, *_icmp_lines(conn, hit)))
        states = (
            *_state_changes(hit, "client", hit.report.client_side, hit.side == 0),
            *_state_changes(hit, "server", hit.report.server_side, hit.side == 1),
        )
        checks = tuple(rules.checks)
        self.explanations.append(Explanation(hit, hit.report, hit.target, checks, wireshark, cause, evidence, states))


def _forget(conn: Connection) -> None:
    """What happens to a connection that is over: nothing, it was judged in the first reading."""


def _icmp_lines(conn: Connection, hit: Hit) -> list[str]:
    """The ICMP errors that told of a smaller MTU before."""
    told: dict[int, list[int]] = {}
    for fact in conn.facts_of(ICMP_REPORTED):
        if fact.side == hit.side and fact.b > 0 and fact.frame < hit.seg.frame:
            told.setdefault(int(fact.b), []).append(int(fact.frame))
    return [f"ICMP in {words.frames(seen)}: the next hop takes packets of {mtu} bytes" for mtu, seen in told.items()]


def _state_changes(hit: Hit, name: str, side: Side, sender: bool) -> list[StateChange]:
    """What the frame means for the state of one side, by the path that the whole capture proves."""
    old, changes = STATE_NAMES[UNKNOWN], []
    for step in side.states:
        if step.frame == hit.seg.frame:
            event, section, observer = event_of(old, step.state, sender, bool(hit.seg.flags & RST))
            changes.append(StateChange(name, old, step.state, event, section, observer))
        old = step.state
    if changes:
        return changes
    old = STATE_NAMES[UNKNOWN]
    for step in side.states:
        late = step.time_ns is not None and step.time_ns > hit.seg.time_ns
        if late if step.frame is None else step.frame > hit.seg.frame:
            break
        old = step.state
    return [StateChange(name, old, old)]


def event_of(old: str, new: str, sender: bool, reset: bool) -> tuple[str, str, bool]:
    """The row of the state table that leads from one state to another at a segment: event, section, for observers only.

    ``sender``: it is the state of the side that sent the segment; ``reset``: the segment has RST.
    """
    rows = [row for row in TABLE if STATE_NAMES[row[0]] == old and STATE_NAMES[row[2]] == new]

    def fits(row: tuple[int, int, int, str, str]) -> tuple[bool, bool]:
        name = EVENT_NAMES[row[1]]
        return ("RST" in name) == reset, name.startswith("receive") != sender

    if not rows:
        return "", "", False
    best = max(rows, key=fits)
    return EVENT_NAMES[best[1]], best[3], best[4] == OBSERVER
