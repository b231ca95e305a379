"""One connection: two endpoints and the facts of its life. What a segment does to it stands in machine, control and transfer."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64, mypyc_attr, u8

from tcpscope.state.durations import Timing
from tcpscope.state.endpoint import NOTHING_SENT, SILENT, Endpoint, Transfer
from tcpscope.state.facts import CLIENT, SERVER, Fact, FactLog
from tcpscope.state.keys import reverse_key
from tcpscope.state.listeners import Listener
from tcpscope.state.tls_secrets import Secrets
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.state.zeek import ZeekWhole
from tcpscope.wire.segment import ABSENT, Segment

# How client and server were told apart
ROLES_SYN: Final = 0
ROLES_SYN_ACK: Final = 1
ROLES_PORT: Final = 2
ROLES_FIRST_SEEN: Final = 3
ROLE_NAMES: Final = ("syn", "syn-ack", "port", "first-seen")

# Why the connection was judged when it was
END_CAPTURE: Final = 0  # the capture ended
END_CLOSED: Final = 1  # closed, and 2 MSL over
END_IDLE: Final = 2  # silent for longer than the idle time-out
END_EVICTED: Final = 3  # the limit on live connections was reached
END_REUSED: Final = 4  # a new connection took its ports
END_NAMES: Final = ("capture-end", "closed", "idle", "evicted", "reused")

# Bits of Wireshark's tcp.completeness
COMPLETE_SYN: Final = 1
COMPLETE_SYN_ACK: Final = 2
COMPLETE_ACK: Final = 4
COMPLETE_DATA: Final = 8
COMPLETE_FIN: Final = 16
COMPLETE_RST: Final = 32


@mypyc_attr(acyclic=True)
class Repeat:
    """Why a segment repeats, reorders or probes: CAUSE_ code, the frame that it repeats or follows (0), the time since (-1)."""

    def __init__(self, cause: i64, other: i64, since: i64) -> None:
        self.cause: i64 = cause
        self.other: i64 = other
        self.since: i64 = since


@mypyc_attr(acyclic=True)
class Connection:
    """``client`` and ``server`` are side 0 and side 1 of every fact.

    ``name`` is the canonical flow key; it is in the client's direction if the client is the lower end (``from_lower``).
    Frames are 0 and times meaningless where the thing was not seen. After the end every endpoint has its transfer part.
    """

    def __init__(
        self, stream: i64, name: bytes, from_lower: bool, roles: i64, frame: i64, time_ns: i64, alone: bool
    ) -> None:
        self.stream: i64 = stream  # Wireshark's tcp.stream
        self.name: bytes = name
        self.source: i64 = ABSENT  # the client's end, as Segment.source
        self.target: i64 = ABSENT
        self.first_frame: i64 = frame
        self.last_frame: i64 = frame
        self.first_time: i64 = time_ns
        self.last_time: i64 = time_ns  # the latest time; the clock of a capture may step back
        self.client: Endpoint = Endpoint()
        self.server: Endpoint = SILENT if alone else Endpoint()  # until a second segment comes
        self.log: FactLog | None = None
        self.timing: Timing | None = None  # where the time went; None while there is no more than SYNs of one side
        self.tls: TlsConnection | None = None
        self.secrets: Secrets | None = None  # keys for TLS
        self.zeek: ZeekWhole | None = None  # only where it was asked for
        self.listener: Listener | None = None
        self.previous: Connection | None = None  # the live connection whose ports this one's SYN took
        self.encapsulation_name: str = ""  # outermost layer first; "" for none
        self.ack_frame: i64 = 0  # third segment of the handshake
        self.ack_time: i64 = 0
        self.watched_until: i64 = time_ns
        self.reused_by: i64 = -1  # number of the connection whose SYN came on the same ports
        self.closed_time: i64 = 0  # when both FINs were acknowledged or an RST ended it
        self.repeat: Repeat | None = None  # what the latest segment is, if it is not simply the next one
        self.frames_dropped: i64 = 0  # by the capturing side, by the time this connection is judged
        # Small numbers last, side by side: of a flood there are a million.
        self.repeated_fin_side: i16 = -1  # who repeated its FIN and waits for the answer from TIME-WAIT
        self.reuse_accepted: bool = False  # that SYN was answered with SYN-ACK
        self.unsettled: bool = True  # a SYN or FIN is under way: segments must pass through control
        self.simultaneous_open: bool = False
        self.mid_stream: bool = False
        self.continued: bool = False
        self.aborted: bool = False  # an acceptable RST was seen
        self.half_open: bool = False  # counted at the listener as waiting for the third segment
        self.pending: bool = False  # counted at the listener as SYN not answered for good
        self.one_sided: bool = False
        self.lossy: bool = False
        self.file_damaged: bool = False  # frames after its first one are missing: damage was stepped over
        self.quiet: bool = False  # closed, and so far there is nothing to tell of it (flows.Outlook)
        self.cut_off: bool = False  # the file ended early, or reading stopped, while this connection went on
        self.from_lower: bool = from_lower
        self.roles: u8 = u8(roles)
        self.completeness: u8 = 0
        self.end_reason: u8 = END_CAPTURE
        self.renumbering: u8 = 0  # 1: Wireshark gives its next segment a tcp.stream of its own, 2: it has done so
        self.encapsulation: i32 = 0  # of the first segment, as the decoder numbers it
        self.syn_acks_after_ack: i32 = 0  # the server repeated its SYN-ACK although the client had acknowledged it

    def note(self, kind: i64, side: i64, frame: i64, time_ns: i64, other: i64, a: i64, b: i64) -> None:
        """Record one fact (see tcpscope.state.facts for the meaning of the fields)."""
        self.quiet = False
        log: FactLog | None = self.log
        if log is None:
            log = FactLog()
            self.log = log
        log.add(kind, side, frame, time_ns, other, a, b)

    def because(self, cause: i64, other: i64, since: i64) -> None:
        """Why the latest segment repeats, reorders or probes."""
        self.repeat = Repeat(cause, other, since)

    @property
    def last_cause(self) -> i64:
        """CAUSE_ code of the latest segment (-1: it repeats nothing)."""
        repeat: Repeat | None = self.repeat
        if repeat is None:
            return -1
        return repeat.cause

    @property
    def key(self) -> bytes:
        """The flow key in the client's direction."""
        return self.name if self.from_lower else reverse_key(self.name)

    @property
    def server_port(self) -> i64:
        """The port of the server."""
        name: bytes = self.name
        last: i64 = len(name) - 1 if self.from_lower else len(name) - 3
        high: i64 = name[last - 1]
        low: i64 = name[last]
        return high << 8 | low

    @property
    def fact_kinds(self) -> i64:
        """Bit set of the kinds of facts recorded (KIND_BITS)."""
        if self.log is None:
            return 0
        return self.log.kinds

    def facts_of(self, kind: i64) -> list[Fact]:
        """The kept facts of one kind."""
        if self.log is None:
            return []
        return self.log.of(kind)

    def count_of(self, kind: i64, side: i64) -> i64:
        """How often the side did it (NOBODY: both sides together)."""
        if self.log is None:
            return 0
        return self.log.count(kind, side)

    def side_of(self, seg: Segment) -> i64:
        """Which side sent a segment of this connection."""
        if seg.source >= 0:
            return CLIENT if seg.source == self.source and seg.target == self.target else SERVER
        return CLIENT if (seg.key == self.name) == self.from_lower else SERVER

    def side(self, side: i64) -> Endpoint:
        """The endpoint of a side."""
        return self.client if side == CLIENT else self.server

    @property
    def closed(self) -> bool:
        """True when nothing more is to come by the protocol: both FINs acknowledged, or aborted."""
        return self.closed_time > 0

    def both_sides(self) -> None:
        """Make the server's endpoint, now that there may be something to note in it."""
        if self.server is SILENT:
            self.server = Endpoint()

    def complete_sides(self) -> None:
        """Give every side its transfer part, so that judges need not ask."""
        if self.client.transfer is None:
            self.client.transfer = NOTHING_SENT if self.server is SILENT else Transfer()
        if self.server.transfer is None:
            self.server.transfer = Transfer()
