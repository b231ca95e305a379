"""What a connection's history is made of: kinds of facts as small integers, with the frames that show them.

A fact is no judgement and has no words; :mod:`tcpscope.rules` turns facts into findings. Kinds are counted always, and
the first :data:`KEPT` facts of a kind are kept as evidence, so that memory a connection is bounded.
The meaning of ``side``, ``frame``, ``other``, ``a`` and ``b`` stands beside each kind; ``other`` is a second frame (0: none),
times are nanoseconds.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

CLIENT: Final = 0
SERVER: Final = 1
NOBODY: Final = -1

KEPT: Final = 8
NO_NUMBER: Final = -1 << 40  # no fact has it as its a

# Opening. side: who did it.
SYN_DATA: Final = 0  # frame: SYN with payload; a: bytes, b: length of the Fast Open cookie (-1: no option)
SYN_DATA_REFUSED: Final = 1  # frame: SYN-ACK that acknowledges only the SYN, other: the SYN with data; a: bytes refused
SYN_REPEATED: Final = 2  # frame: repeated SYN, other: the one before; a: interval, b: number of this repetition
SYN_ACK_REPEATED: Final = 3  # the same for SYN-ACK
SYN_ACK_WRONG_ACK: Final = 4  # frame: SYN-ACK, other: the SYN; a: its ack, b: ack expected
SYN_ACK_REJECTED: Final = 5  # side: who sent the RST; frame: RST, other: the SYN-ACK it answers; a: ack of that SYN-ACK
SYN_ACK_CHANGED: Final = 6  # frame: SYN-ACK with a new ISN, other: first SYN-ACK; a: new ISN, b: old ISN
HANDSHAKE_ACK_WRONG: Final = 7  # frame: third segment, other: SYN-ACK; a: its ack, b: ack expected
HANDSHAKE_SEQ_WRONG: Final = 8  # frame: third segment, other: SYN-ACK; a: its seq, b: seq expected
SYN_IN_CONNECTION: Final = (
    9  # on the old connection; side: sender of the SYN; frame: SYN, other: challenge ACK (0: none)
)
SYN_ACK_IGNORES_DATA: Final = (
    10  # server repeats its SYN-ACK after the client's ACK; frame: repeat, other: the ACK; a: client bytes ignored
)
OLD_DUPLICATE_SYN: Final = (
    11  # RFC 9293 3.5 figure 8; side: who rejected; frame: RST, other: SYN-ACK; a: frame of the stale SYN (0: not seen)
)

# Closing.
DATA_AFTER_FIN: Final = 12  # frame: segment, other: FIN; a: bytes beyond the FIN
FIN_REPEATED: Final = 13  # frame: repeated FIN, other: the one before; a: interval, b: number of this repetition
FIN_MOVED: Final = 14  # frame: FIN, other: first FIN; a: new sequence number of the FIN, b: the first one
RST_SENT: Final = 15  # frame: RST; a: sender's state before, b: bytes sent by the side and not acknowledged
RST_OUT_OF_WINDOW: Final = 16  # frame: RST; a: its seq, b: seq expected
SEGMENT_AFTER_RST: Final = 17  # side: who sent data or FIN after its own RST; frame, other: the RST; a: bytes
HALF_CLOSE_RESET: Final = (
    18  # side: who sent the RST; frame: RST, other: the data after this side's FIN; a: bytes of that data
)
# Side: who answered; frame: ACK, other: the SYN answered; a, b: its ack and the one that the SYN asks for (0: another's)
CHALLENGE_ACK: Final = 19

# TIME-WAIT.
TIME_WAIT_ACK_REPEATED: Final = 20  # side: in TIME-WAIT; frame: the new ACK, other: the repeated FIN
TIME_WAIT_FIN_RESET: Final = (
    21  # side: should have been in TIME-WAIT; frame: RST, other: the repeated FIN; a: time since TIME-WAIT began
)
TIME_WAIT_FIN_UNANSWERED: Final = (
    22  # side: in TIME-WAIT; frame: repeated FIN; other: last ACK before; a: time since TIME-WAIT began
)
TIME_WAIT_KILLED: Final = 23  # side: in TIME-WAIT; frame: the RST that reached it; a: time since TIME-WAIT began
PORTS_REUSED: Final = (
    24  # on the old connection; side: sender of the new SYN; frame: new SYN; a: time since the end, b: REUSE_ code
)

# Acknowledgement and order.
NO_ACK_FLAG: Final = 25  # frame: segment without ACK after the SYN; a: its flags, b: payload bytes
ACK_OF_UNSENT: Final = 26  # proven; frame: ACK, other: proof; a: ack, b: highest sequence number ever sent
ACK_OF_UNSEEN: Final = (
    27  # the capture lacks the bytes; side: the sender of the bytes; frame: ACK; a: bytes, b: first missing seq
)
HOLE: Final = 28  # side: sender; frame: segment behind the hole; a: bytes missing, b: first missing seq
# RFC 2883; side: who reports; frame, other: what came twice (0: not seen, negative: a copy); a: left edge, b: right edge
DUPLICATE_SACK: Final = 29
OUT_OF_ORDER: Final = 30  # frame: late segment, other: segment that overtook it; a: delay, b: bytes
UNACKNOWLEDGED: Final = (
    31  # at the end; frame: first segment with bytes not acknowledged, other: last one; a: bytes, b: time watched since
)

# Window.
ZERO_WINDOW: Final = 32  # side: receiver; frame: closing segment, other: reopening one (0: never); a: duration
WINDOW_FULL: Final = 33  # side: sender; frame; a: bytes in flight
WINDOW_EXCEEDED: Final = (
    34  # side: sender; frame: data, other: receiver's next segment; a: bytes beyond its right edge, b: the edge
)
KEEP_ALIVE: Final = 35  # side: sender; frame; a: idle time before
ZERO_WINDOW_PROBE: Final = 36  # side: sender; frame; a: payload bytes
WINDOW_STALL: Final = 37  # side: sender that had to wait; frame: last data before, other: first data after; a: duration

# Odds.
ACK_NEVER_CAME_TO_FIN: Final = 38  # at the end; side: sender of the FIN; frame: FIN; a: time watched since
SACK_OF_UNSENT: Final = 39  # side: sender of the SACK; frame; a: right edge, b: highest sequence number sent

# Repeated data: one kind a cause, RETRANSMISSION + CAUSE_ code, so that many of one cause hide none of another.
# Frame, other: earlier sending (0: not seen), b: time since then (-1). The number that goes with the cause is a:
# time-out: back-off step from 1 on (0: the rest of the flight that the timer gave up), fast and SACK: duplicate ACKs, probe:
# round trip, spurious: PROOF_ code * PROOF_STEP + CAUSE_ code of the first sight, copy: COPY_ code
RETRANSMISSION: Final = 40


# An ICMP error about this connection (RFC 9293 section 3.9.2.2); side: sender of the segment that could not be delivered; frame: the
# error, other: latest segment of that side before; a: IP version * 65536 + type * 256 + code, b: MTU of the next hop (-1: not told)
ICMP_REPORTED: Final = 54

# Options (RFC 9293 section 3.2, RFC 7323, RFC 2018). side: who sent them.
OPTION_LENGTH: Final = 55  # frame: an option of a length that its kind cannot have, or that leads beyond the header
OPTION_REPEATED: Final = 56  # frame: the same option twice in one segment
OPTION_MISPLACED: Final = 57  # frame: without SYN, an option that only a SYN may carry
OPTION_NOT_OFFERED: Final = 58  # frame, other: the other side's SYN, which did not allow it; a: kind of the option
SCALE_TOO_LARGE: Final = 59  # frame: SYN; a: window shift, above 14
ABOVE_MSS: Final = 60  # frame, other: the SYN with the limit; a: bytes of data and options, b: the limit
TIMESTAMP_BACK: Final = 61  # frame: sent later than all before; a: its TSval, b: the highest one before
TIMESTAMP_MISSING: Final = 62  # frame; a: payload bytes
ECHO_OF_UNSENT: Final = (
    63  # frame: segment, other: proof (0: its own number proves it); a: its TSecr, b: TSval of the proof
)
SACK_INVALID: Final = 64  # frame; a: left edge, b: right edge

# Odd segments.
URGENT: Final = 65  # frame; a: urgent pointer, b: payload bytes
FLAGS_CONTRADICT: Final = 66  # frame; a: flags
SYN_ACK_MISPLACED: Final = (
    67  # side: has sent a SYN and got a SYN-ACK or nothing; frame, other: its SYN; a: 1 if answered
)
SYN_WHILE_OPENING: Final = 68  # side; frame: another SYN in SYN-RECEIVED, other: the server's SYN-ACK; a: its seq
RST_DATA: Final = 69  # frame; a: payload bytes
RST_ACK_WRONG: Final = 70  # frame; a: its ack, b: the highest one possible (or, below it, the lowest)
RST_TTL: Final = 71  # frame: RST, other: a segment of its side before; a: its TTL, b: that of the segments before
FIN_BEFORE_DATA: Final = (
    72  # frame: FIN, other: the segment with bytes behind it; a: bytes, b: 1 if they are acknowledged
)
BEYOND_FIN: Final = 73  # frame: segment without data, other: FIN; a: how far beyond
ACK_TOO_OLD: Final = 74  # frame; a: how far below the latest one, b: the largest window
WINDOW_SHRUNK: Final = 75  # side: receiver; frame; a: bytes taken back, b: bytes in flight that no longer fit
DATA_CHANGED: Final = 76  # frame: sent again, other: first sending; a: bytes, b: 1 if neither can have been damaged
ACK_FIELD_UNUSED: Final = 77  # frame: without ACK flag; a: acknowledgement number, b: flags
BELOW_WINDOW: Final = 78  # frame: without data, its seq acknowledged long ago; a: how far below

KIND_COUNT: Final = 79

# The rare kinds share bits of the set of kinds, which has 62: a rule for one of them is asked about all that share its bit.
OPTION_BIT: Final = 55
ODD_BIT: Final = 56
SHARED_BITS: Final[dict[int, int]] = {
    **dict.fromkeys(range(OPTION_LENGTH, SACK_INVALID + 1), OPTION_BIT),
    **dict.fromkeys(range(URGENT, DATA_CHANGED + 1), ODD_BIT),
    ACK_FIELD_UNUSED: 57,
    BELOW_WINDOW: 58,
}

# A table, because mypyc shifts a literal 1 as a 32-bit number in C.
KIND_BITS: Final[tuple[int, ...]] = tuple([1 << SHARED_BITS.get(kind, kind) for kind in range(KIND_COUNT)])

# b of PORTS_REUSED
REUSE_HIGHER_ISN: Final = 1  # safe: RFC 9293 3.6.1 MAY-2 (1)
REUSE_NEWER_TIMESTAMP: Final = 2  # safe: RFC 6191
REUSE_UNSAFE: Final = 3  # inside 2 MSL, ISN not above and no newer timestamp
REUSE_LATE: Final = 4  # after 2 MSL
REUSE_LIVE: Final = 5  # the old connection was not closed
REUSE_AFTER_RST: Final = 6  # the old connection was aborted: no TIME-WAIT to respect

# Cause of a repeated segment (contract: cause)
CAUSE_UNKNOWN: Final = 0
CAUSE_TIMEOUT: Final = 1
CAUSE_FAST: Final = 2
CAUSE_SACK: Final = 3
CAUSE_TAIL_LOSS_PROBE: Final = 4
CAUSE_SPURIOUS: Final = 5
CAUSE_NETWORK_DUPLICATE: Final = 6
CAUSE_REORDERING: Final = 7
CAUSE_KEEP_ALIVE: Final = 8
CAUSE_ZERO_WINDOW_PROBE: Final = 9
CAUSE_SYN: Final = 10
CAUSE_FIN: Final = 11
CAUSE_PATH_MTU: Final = 12
CAUSE_CAPTURE_COPY: Final = 13
CAUSE_NAMES: Final = (
    "unknown",
    "timeout",
    "fast-retransmit",
    "sack-recovery",
    "tail-loss-probe",
    "spurious",
    "network-duplicate",
    "network-reordering",
    "keep-alive",
    "zero-window-probe",
    "syn-retransmit",
    "fin-retransmit",
    "path-mtu",
    "capture-copy",
)

# What proves that a retransmission was needless
PROOF_ACK: Final = 0  # the capture shows that it was acknowledged before
PROOF_DSACK: Final = 1  # the receiver reports the duplicate (RFC 2883)
PROOF_TIMESTAMP: Final = 2  # the ACK answers the earlier sending (RFC 3522)
PROOF_STEP: Final = 16

# Where a copy of a segment was captured, against the first one of it
COPY_SAME_PLACE: Final = 0
COPY_OTHER_INTERFACE: Final = 1
COPY_OTHER_ENCAPSULATION: Final = 2
COPY_OTHER_HOP: Final = 3  # the same interface, but the TTL shows that a router lies between
COPY_LATE: Final = 4  # at the same place, but too late for the capture to have made it


@mypyc_attr(acyclic=True)
class Fact:
    """One observation. See the kind for what the fields mean."""

    def __init__(self, kind: i64, side: i64, frame: i64, time_ns: i64, other: i64, a: i64, b: i64) -> None:
        self.kind: i64 = kind
        self.side: i64 = side
        self.frame: i64 = frame
        self.time_ns: i64 = time_ns
        self.other: i64 = other
        self.a: i64 = a
        self.b: i64 = b


@mypyc_attr(acyclic=True)
class FactLog:
    """The facts of one connection: a bit set of the kinds seen (KIND_BITS), a count a kind and side, the first KEPT of each kept."""

    def __init__(self) -> None:
        self.kinds: i64 = 0
        self.facts: list[Fact] = []
        self.counts: dict[int, int] = {}  # kind * 2 + (1 if the side is the server) -> how many

    def add(self, kind: i64, side: i64, frame: i64, time_ns: i64, other: i64, a: i64, b: i64) -> None:
        """Count one fact and keep it if it is among the first KEPT of its kind and side."""
        bit: i64 = KIND_BITS[kind]
        self.kinds |= bit
        slot: i64 = kind * 2 + (1 if side == SERVER else 0)
        index: int = slot
        seen: int = self.counts.get(index, 0) + 1
        self.counts[index] = seen
        if seen <= KEPT:
            self.facts.append(Fact(kind, side, frame, time_ns, other, a, b))

    def move(self, side: i64, before: i64, after: i64, a: i64, count: i64) -> None:
        """``count`` facts of a side, those with this ``a``, turn out to be of another kind."""
        slot: i64 = before * 2 + (1 if side == SERVER else 0)
        old: int = slot
        new: int = slot + (after - before) * 2
        self.counts[old] = self.counts.get(old, 0) - count
        self.counts[new] = self.counts.get(new, 0) + count
        for fact in self.facts:
            if fact.kind == before and fact.side == side and fact.a == a:
                fact.kind = after
        bit: i64 = KIND_BITS[after]
        self.kinds |= bit
        if self.count(before, NOBODY) == 0:
            bit = KIND_BITS[before]
            self.kinds ^= bit

    def retell(self, side: i64, before: i64, after: i64, frame: i64, a: i64) -> None:
        """The fact of one frame turns out to be of another kind."""
        self.move(side, before, after, NO_NUMBER, 1)
        for fact in self.facts:
            if fact.kind == before and fact.side == side and fact.frame == frame:
                fact.kind = after
                fact.a = a

    def of(self, kind: i64) -> list[Fact]:
        """The kept facts of one kind, in order of recording."""
        return [fact for fact in self.facts if fact.kind == kind]

    def count(self, kind: i64, side: i64) -> i64:
        """How many facts of this kind the side has, kept or not; both sides with NOBODY."""
        slot: i64 = kind * 2
        first: int = slot
        if side == CLIENT:
            return self.counts.get(first, 0)
        if side == SERVER:
            return self.counts.get(first + 1, 0)
        return self.counts.get(first, 0) + self.counts.get(first + 1, 0)
