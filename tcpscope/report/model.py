"""Everything that is printed or serialised, as plain frozen records: the only input of every report format.

Times are nanoseconds since 1970 UTC, durations nanoseconds, frames 1-based. None: the capture cannot tell.
The words of the verdicts are those of :mod:`tcpscope.rules.verdicts`. Text from the wire stands here as it was.
"""

# No "from __future__ import annotations" in modules of many records: typing compiles each annotation that is a text.
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.report.community_id import community_id
from tcpscope.report.model_tls import TlsReport
from tcpscope.rules.words import address_port

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding
    from tcpscope.rules.diagnosis import Diagnosis
    from tcpscope.rules.measures import Numbers, Spread
    from tcpscope.rules.verdicts import Handshake, Teardown, TimeWait

SEVERITIES: Final = ("error", "warning", "note")
"""Worst first."""


class HostPort(NamedTuple):
    """One end of a connection."""

    address: str
    port: int

    def __str__(self) -> str:
        return address_port(self.address, self.port)


class StateStep(NamedTuple):
    """A state that a side entered, by the frame that made it do so (None: before the first frame, or by a time-out)."""

    state: str
    frame: int | None
    time_ns: int | None


class SynOptions(NamedTuple):
    """What a side's SYN said. ``mss`` and ``window_scale`` are None where the option was absent."""

    isn: int
    mss: int | None
    window_scale: int | None
    sack: bool
    timestamps: bool
    fast_open: bool
    sent: int  # how often the SYN was sent


class Traffic(NamedTuple):
    """What one side sent. ``unseen_bytes``: acknowledged by the other side but not in the capture."""

    segments: int
    payload_segments: int
    payload_bytes: int
    large_segments: int  # that carry more than the other side takes at once (MSS): split or merged by a network card
    unique_bytes: int
    unseen_bytes: int
    retransmitted_segments: int
    retransmitted_bytes: int
    lost_before: int  # retransmissions of what the capture had not shown: lost on the way to it
    lost_behind: int  # of what it had shown: lost behind it, or the acknowledgement was
    timeouts: int  # times that the retransmission timer ran off
    spurious_timeouts: int  # of these: too early, nothing was lost
    out_of_order: int
    duplicate_acks: int
    keep_alives: int
    zero_windows: int
    zero_window_ns: int
    window_probes: int
    window_full: int
    min_window: int | None
    max_window: int | None
    max_in_flight: int
    bad_checksums: int
    copies: int  # captured again, and left out of all other counts
    network_duplicates: int  # delivered again by the network, left out as well


class Side(NamedTuple):
    """One side of a connection. ``syn`` is None where its SYN was not captured; ``rtt``: round trips of its data by Karn's rule."""

    states: tuple[StateStep, ...]
    syn: SynOptions | None
    traffic: Traffic
    rtt: "Spread"


class CarrierReport(NamedTuple):
    """What led from plain text to TLS: who asked for it, and the answer. ``lines``: both in words, with their frames.

    ``accepted`` is None where there is no answer; ``destination`` is the ``host:port`` that a proxy was asked for.
    """

    protocol: str
    offer_frame: int | None
    request_frame: int | None
    answer_frame: int | None
    accepted: bool | None
    destination: str | None
    lines: tuple[tuple[int, str], ...]


class ZeekCut(NamedTuple):
    """One of the rows into which Zeek's timers cut a connection."""

    conn_state: str
    history: str
    originator: str


class ConnectionReport(NamedTuple):
    """One connection, judged.

    ``fin_by`` is the side that sent the first FIN, ``reset_by`` the one that sent the first RST, ``reset`` its frame.
    ``frame_times``: when the frames named in ``handshake``, ``teardown``, ``reset`` and the state paths were captured.
    """

    stream: int
    key: bytes  # addresses and ports of client and server as on the wire
    client: HostPort
    server: HostPort
    roles: str
    encapsulation: str | None  # outermost layer first, such as "vlan/gre/ipv4"
    first_frame: int
    last_frame: int
    start_ns: int
    end_ns: int
    handshake: "Handshake"
    teardown: "Teardown"
    time_wait: "TimeWait"
    fin_by: str | None
    reset_by: str | None
    reset: int | None
    client_side: Side
    server_side: Side
    conn_state: str | None
    history: str | None
    zeek: tuple[ZeekCut, ...]  # empty where Zeek makes one row of it, with the client as originator
    completeness: int
    ended_by: str  # why it was judged when it was: END_NAMES of tcpscope.state.connection
    reused_by: int | None  # stream that took over the ports
    lossy: bool
    one_sided: bool
    frame_times: Mapping[int, int]
    numbers: "Numbers"
    carrier: CarrierReport | None
    tls: TlsReport | None
    diagnosis: "Diagnosis"
    findings: tuple["Finding", ...]

    @property
    def community_id(self) -> str:
        """The flow's Community ID, version 1."""
        return community_id(self.key)

    @property
    def duration_ns(self) -> int:
        """From the first to the last segment."""
        return max(0, self.end_ns - self.start_ns)


class ListenerReport(NamedTuple):
    """One listening port: how its queue of half-open connections filled.

    ``half_open``: waiting for the third segment of the handshake; ``pending``: SYN seen, not finished, answered or not.
    ``peak_frame`` and ``peak_time_ns`` are those of ``pending_peak``.
    """

    listener: HostPort
    syns: int
    completed: int
    refused: int
    timed_out: int
    half_open_now: int
    half_open_peak: int
    pending_peak: int
    peak_frame: int | None
    peak_time_ns: int | None


class Gap(NamedTuple):
    """``length`` damaged bytes at ``offset`` of a file that were stepped over, and what was wrong with them."""

    offset: int
    length: int
    text: str


class FileReport(NamedTuple):
    """One of the files that a capture consists of. Its frames are numbered from ``first_frame`` on."""

    path: str
    format: str
    compression: str  # such as "gzip"; "" if the input was not compressed
    first_frame: int
    frames: int
    damage: str
    damage_offset: int | None
    gaps: tuple[Gap, ...]


class Checksums(NamedTuple):
    """TCP checksums that were judged: a sample, or with ``verify_checksums`` all.

    ``offloaded`` ones were left to a network card, ``wrong`` are others; segments with those are ``left_out`` if asked for.
    """

    judged: int
    wrong: int
    offloaded: int
    left_out: int


class LargeSegments(NamedTuple):
    """Segments that carry more than their receiver's MSS or, where it is ``mss_unknown``, than an Ethernet frame can."""

    segments: int
    mss_unknown: int
    connections: int
    largest: int


class Fragments(NamedTuple):
    """IP datagrams in fragments that may carry TCP, and single fragments that overlap others or that the snap length cut."""

    reassembled: int
    incomplete: int
    contradictory: int
    overlapping: int
    cut: int


class Copies(NamedTuple):
    """Segments that the capture holds again; see :mod:`tcpscope.state.copies`."""

    connections: int
    same_place: int
    other_interface: int
    other_encapsulation: int
    other_hop: int
    without_identification: int
    longest_ns: int | None

    @property
    def count(self) -> int:  # type: ignore[override]  # nobody counts in it as in a tuple
        """All of them."""
        return self.same_place + self.other_interface + self.other_encapsulation + self.other_hop


class CaptureReport(NamedTuple):
    """One capture: what it holds, what is wrong with it, and the connections that were asked for.

    ``connection_count`` counts all connections, ``connections`` may hold fewer. ``dropped`` is what the file says the
    capturing side lost.
    """

    path: str
    format: str
    files: tuple[FileReport, ...]  # more than one where they were joined
    frames: int
    segments: int
    skipped: dict[str, int]
    first_time_ns: int | None
    last_time_ns: int | None
    complete: bool
    damage: str
    damage_offset: int | None
    gap_count: int  # damaged places that were stepped over
    skipped_bytes: int
    truncated_frames: int
    cut_hellos: int  # of TLS
    dropped: int | None
    untimed: int
    clock_back_count: int
    clock_back_max_ns: int
    checksums: Checksums
    large_segments: LargeSegments
    fragments: Fragments
    unseen_bytes: int
    one_sided_connections: int
    copies: Copies
    two_sided_connections: int  # of which both sides speak in the capture
    connection_count: int
    evicted: int
    listeners: tuple[ListenerReport, ...]
    findings: tuple["Finding", ...]
    connections: tuple[ConnectionReport, ...] = ()
    diagnosis: "Diagnosis | None" = None  # None without connections

    @property
    def compression(self) -> str:
        """Such as "gzip"; "" if the input was not compressed."""
        return self.files[0].compression if self.files else ""

    @property
    def duration_ns(self) -> int | None:
        """From the earliest to the latest frame, None without a timed frame."""
        if self.first_time_ns is None or self.last_time_ns is None:
            return None
        return self.last_time_ns - self.first_time_ns


class RuleCount:
    """How often a rule fired, in how many connections, and the worst severity that it gave."""

    __slots__ = ("connections", "findings", "name", "severity")

    def __init__(self, name: str, severity: str, findings: int = 0, connections: int = 0) -> None:
        self.name = name
        self.severity = severity
        self.findings = findings
        self.connections = connections


class Summary:
    """Counts over everything that was judged, whether it is shown or not. ``findings`` counts by severity."""

    __slots__ = ("by_rule", "captures", "connections", "findings", "frames", "with_findings")

    def __init__(self, captures: int = 0) -> None:
        self.captures = captures
        self.connections = 0
        self.with_findings = 0  # connections
        self.frames = 0
        self.findings = dict.fromkeys(SEVERITIES, 0)
        self.by_rule: dict[str, RuleCount] = {}

    def count(self, findings: Sequence["Finding"], *, of_connection: bool, times: int = 1) -> None:
        """Add the findings of one connection, or of a capture; of so many connections with the same findings."""
        codes = set()
        for finding in findings:
            self.findings[finding.severity] += times
            rule = self.by_rule.setdefault(finding.code, RuleCount(finding.name, finding.severity))
            rule.findings += times
            rule.severity = min(rule.severity, finding.severity, key=SEVERITIES.index)
            codes.add(finding.code)
        if of_connection:
            for code in codes:
                self.by_rule[code].connections += times

    def add(self, other: "Summary") -> None:
        """Add the counts of another capture, but for those by rule."""
        self.captures += other.captures
        self.connections += other.connections
        self.with_findings += other.with_findings
        self.frames += other.frames
        for severity, count in other.findings.items():
            self.findings[severity] += count


class Report(NamedTuple):
    """What :func:`tcpscope.analyze` returns: one capture with all its connections in stream order, and the counts."""

    capture: CaptureReport
    summary: Summary

    @property
    def connections(self) -> tuple[ConnectionReport, ...]:
        """The connections in the order of their stream numbers."""
        return self.capture.connections

    @property
    def findings(self) -> tuple["Finding", ...]:
        """All findings: those about the capture first, then connection by connection."""
        return self.capture.findings + tuple(f for connection in self.capture.connections for f in connection.findings)
