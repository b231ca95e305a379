"""One side of a connection: what it sent, what the other side acknowledged, and its state.

``Endpoint`` is what even an unanswered SYN needs; ``Transfer`` (data, window, closing) is made when the side sends anything
after its SYN, so that a million half-open connections stay small.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64, mypyc_attr

from tcpscope.state.path import MAX_STEPS, PAST, Past, Step
from tcpscope.state.quantiles import Quantiles, collected
from tcpscope.state.seq import diff
from tcpscope.state.transitions import NO_CHANGE, UNKNOWN, next_state
from tcpscope.wire.segment import Segment

ETHERNET_PAYLOAD: Final = 1460
"""Bytes that a segment in an ordinary Ethernet frame carries at most: 1,500 without the headers of IPv4 and TCP."""

MIN_MSS: Final = 48
"""An MSS below this is a lie: no sender makes smaller segments (Linux draws the same line)."""

# Bits of Endpoint.syn_options: what the SYN offered
OPTION_SACK: Final = 1
OPTION_TIMESTAMPS: Final = 2
OPTION_SCALE: Final = 4
OPTION_FAST_OPEN: Final = 8
OPTION_CUT: Final = 16  # the capture cut its options: what is missing may have been there
OPTION_ECN: Final = 32  # by flags: ECE and CWR, in a SYN-ACK ECE alone (RFC 3328 section 6.1.1)


class Sent:  # not acyclic: ten thousand in a row are freed one by one, not one inside the other
    """A segment that is not yet acknowledged: bytes seq..end, when it was sent first and last, and how often."""

    def __init__(self) -> None:
        self.seq: i64 = 0
        self.end: i64 = 0
        self.frame: i64 = 0
        self.time_ns: i64 = 0
        self.last_frame: i64 = 0
        self.last_time_ns: i64 = 0
        self.digest: i64 = -1  # of the first sending: see tcpscope.state.overlap
        self.next: Sent | None = None
        # Small ones last, side by side: they would each take as much room as a large one.
        self.sendings: i32 = 0
        self.ip_id: i32 = -1
        self.checksum: i32 = 0


@mypyc_attr(acyclic=True)
class Hole:
    """Bytes left..right that the capture has not shown although later ones were seen.

    ``acknowledged``: the receiver acknowledged them, so it has them and the capture lost them (or they were never sent).
    """

    def __init__(self, left: i64, right: i64, frame: i64, time_ns: i64) -> None:
        self.left: i64 = left
        self.right: i64 = right
        self.frame: i64 = frame  # the segment behind the hole, or the ACK for bytes unseen
        self.time_ns: i64 = time_ns
        self.acknowledged: bool = False
        self.ts_val: i64 = -1  # of the ACK for bytes unseen, if no earlier segment carried it
        self.beyond_window: bool = False  # that ACK lies beyond every window its sender had opened


@mypyc_attr(acyclic=True)
class Resend:
    """A retransmission, remembered for what may prove it needless."""

    def __init__(self, seg: Segment, end: i64, cause: i64, wait: i64, tail: bool, filled_hole: bool) -> None:
        self.seq: i64 = seg.seq
        self.end: i64 = end
        self.frame: i64 = seg.frame
        self.ts_val: i64 = seg.ts_val
        self.cause: i64 = cause
        self.wait: i64 = wait  # since the sending before
        self.tail: bool = tail  # the end of all data, sent again for the first time: may be a tail loss probe
        self.filled_hole: bool = filled_hole  # the sending before is not in the capture
        self.needless: bool = False
        self.reported: bool = False  # by a D-SACK


@mypyc_attr(acyclic=True)
class Copied:
    """Segments of one side that the capture holds again, left out of everything else. All numbers are of copies."""

    def __init__(self) -> None:
        self.same_place: i64 = 0
        self.other_interface: i64 = 0
        self.other_encapsulation: i64 = 0
        self.other_hop: i64 = 0  # another TTL
        self.late: i64 = 0  # at the same place, but so much later that only the network can have held them
        self.unidentified: i64 = 0  # of all these: told without an IP identification
        self.called_network: i64 = 0  # of same_place: blamed on the network when they were seen
        self.untold: i64 = 0  # segments of which a copy cannot be told
        self.shortest: i64 = 0  # time after the first of the same
        self.longest: i64 = -1  # -1: no time known
        # Does the receiver get them? A receiver acknowledges old bytes at once (RFC 9293 section 3.10.7.4).
        self.asked: i64 = 0  # of same_place: with data or FIN
        self.asked_frame: i64 = 0  # the latest of these, and its time
        self.asked_ns: i64 = 0
        self.end: i64 = 0  # and its last byte plus one
        self.answered: i64 = 0
        self.reported: i64 = 0  # of the answers: by D-SACK, which nothing else explains (RFC 2883 section 4)
        self.reported_frame: i64 = 0  # the latest of these
        self.network: bool = False  # at the end: the network made the copies at the same place

    @property
    def by_capture(self) -> i64:
        """Copies that the capture made. Final at the end of the connection."""
        elsewhere: i64 = self.other_interface + self.other_encapsulation + self.other_hop
        return elsewhere if self.network else elsewhere + self.same_place

    @property
    def by_network(self) -> i64:
        """Packets that the network delivered again."""
        return self.late + self.same_place if self.network else self.late


@mypyc_attr(acyclic=True)
class Trouble:
    """What one side's data, window and closing have only if something is amiss: loss, disorder, closed windows, resets.

    Most sides of most connections have nothing of it and share :data:`NO_TROUBLE`; see :meth:`Transfer.troubled`.
    """

    def __init__(self) -> None:
        # Retransmissions of this side
        self.retransmitted_segments: i64 = 0
        self.retransmitted_bytes: i64 = 0
        self.timeouts: i64 = 0  # times that the timer ran off
        self.backoff: i64 = 0  # in a row, for the oldest segment
        self.loss_until: i64 = -1  # highest sequence number at a time-out, until that is acknowledged
        self.resends: list[Resend] | None = None  # the latest ones
        self.lost_before: i64 = 0  # whose bytes the capture had not shown: lost before they came here
        self.lost_behind: i64 = 0  # whose bytes had been captured: they or the ACK were lost behind the capture point
        self.spurious_timeouts: i64 = 0
        self.lost_length: i64 = -1  # the shortest that timed out; -1: none
        self.cut_to: i64 = 0  # what timed out was sent again in pieces of this length
        self.needless_probes: i64 = 0  # tail loss probes that found nothing lost
        # An ICMP error told a smaller MTU: what lies below this number is sent again, smaller
        self.too_big_until: i64 = -1
        # Order, and what the capture lacks
        self.out_of_order: i64 = 0
        self.holes: list[Hole] | None = None
        self.unseen_bytes: i64 = 0  # acknowledged by the peer, never captured
        self.hole_bytes_lost: i64 = 0  # bytes of holes that were forgotten because there were too many
        self.overlooked: i64 = 0  # segments that the list had no room for, or that were not found in it
        # Acknowledgements that this side sent
        self.duplicate_acks: i64 = 0
        self.duplicate_run: i64 = 0  # consecutive duplicates of last_ack
        self.sack_high: i64 = -1  # highest right edge of a SACK block sent by this side since last_ack moved
        # Window that this side advertised
        self.zero_windows: i64 = 0
        self.zero_since: i64 = 0  # time of the segment that closed the window
        self.zero_frame: i64 = 0  # 0: the window is open
        self.zero_time_total: i64 = 0
        self.shrunk_from: i64 = -1  # the edge was taken back: where it stood, and to where
        self.shrunk_to: i64 = -1
        # What this side did with the other side's window
        self.keep_alives: i64 = 0
        self.window_probes: i64 = 0
        self.probe_end: i64 = -1  # end of the latest zero-window probe that carried a new byte
        self.window_full: i64 = 0  # times this side's data filled the other side's window
        self.exceeded_frame: i64 = 0  # data beyond the window known then, until the receiver speaks again
        self.exceeded_time: i64 = 0
        self.exceeded_end: i64 = 0
        self.tight_frame: i64 = 0  # the latest data after which there was not room for as much again
        self.full_since: i64 = 0
        self.full_frame: i64 = 0  # 0: there is room
        # Size
        self.large_segments: i64 = 0  # that carry more than the other side takes at once
        self.large_frame: i64 = 0
        self.largest: i64 = 0  # bytes that one of them carries
        self.joined: i64 = 0  # segments above the MSS that a network card cuts, or has joined
        # Timestamps
        self.echo_frame: i64 = 0  # the other side echoed a timestamp that was not seen
        self.echo_time: i64 = 0
        self.echo_value: i64 = -1
        # Closing
        self.fin_again_frame: i64 = 0  # the latest repetition of its FIN
        self.fin_again_time: i64 = 0
        self.after_peer_fin_bytes: i64 = 0  # half-close: new bytes sent after the other side's FIN was received
        self.after_peer_fin_frame: i64 = 0
        self.rst_frame: i64 = 0
        self.rst_time: i64 = 0
        self.rst_count: i64 = 0
        self.rst_state: i64 = UNKNOWN  # own state when it sent its first RST
        self.rst_unacknowledged: i64 = 0  # bytes this side had sent that were not acknowledged at its first RST


NO_TROUBLE: Final = Trouble()
"""Nothing amiss: one object for all, which nobody writes to."""


@mypyc_attr(acyclic=True)
class Transfer:
    """Data, window and closing of one side. Times are ns; frames 0 and sequence numbers -1 mean "not seen"."""

    def __init__(self) -> None:
        self.trouble: Trouble = NO_TROUBLE  # to read; to write there is troubled()
        # Data sent by this side
        self.payload_segments: i64 = 0
        self.payload_bytes: i64 = 0
        self.unique_bytes: i64 = 0
        self.first_data_frame: i64 = 0
        self.first_data_time: i64 = 0
        self.last_data_frame: i64 = 0
        self.last_data_time: i64 = 0
        self.highest_frame: i64 = 0  # the segment that raised nxt
        self.highest_time: i64 = 0
        self.position: i64 = 0  # stream position of nxt, in 64 bits: bytes since base
        self.ts_val: i64 = -1  # highest timestamp sent, or echoed by the other side
        # Not yet acknowledged, oldest first
        self.oldest: Sent | None = None
        self.acked: Sent | None = None  # the latest one that was acknowledged
        self.newest: Sent | None = None
        self.spare: Sent | None = None  # acknowledged ones, to use again
        # Acknowledgements that this side sent
        self.last_ack: i64 = -1
        self.last_ack_frame: i64 = 0
        self.last_ack_time: i64 = 0
        self.una_frame: i64 = 0  # the latest one that acknowledged more than before
        # Window that this side advertised
        self.right_edge: i64 = -1  # highest last_ack + scaled window; -1 while the scale is unknown
        self.syn_edge: i64 = -1  # right edge that the SYN-ACK gave
        # Closing
        self.fin_seq: i64 = -1  # sequence number of the FIN itself
        self.fin_frame: i64 = 0
        self.fin_time: i64 = 0
        self.fin_ack_frame: i64 = 0  # the other side's first ACK that covers the FIN
        self.fin_ack_time: i64 = 0
        self.time_wait_since: i64 = 0  # 2 MSL clock: start, restarted by T2
        self.time_wait_frame: i64 = 0  # 0: never in TIME-WAIT
        # Round trips from the capture point to the other side and back
        # By Karn's rule (RFC 6298 section 3). The first one has no record of its own: many a connection has no other.
        self.first_rtt: i64 = -1
        self.round_trips: Quantiles | None = None  # all, once there are two
        self.stamp_rtt: Quantiles | None = None  # by timestamps (RFC 7323 section 4)
        self.stamp: i64 = -1  # timestamp sent whose echo is awaited; -1: none
        self.stamp_time: i64 = 0
        self.stamp_end: i64 = 0  # and the end of the data that it went with
        self.srtt: i64 = -1  # smoothed, RFC 6298
        self.rttvar: i64 = 0
        # Small ones last, side by side: they would each take as much room as a large one.
        self.highest_ip_id: i32 = -1
        self.earlier_ip_id: i32 = -1  # of the segment before that one
        self.fits: i32 = 0  # header and payload that a segment may have; 0: not worked out yet
        self.outstanding: i32 = 0  # segments from oldest to newest
        self.spares: i32 = 0
        self.max_in_flight: i32 = 0  # bytes
        self.last_window: i32 = -1  # raw
        self.min_window: i32 = -1  # scaled, without SYN and RST segments
        self.max_window: i32 = -1
        self.fin_count: i32 = 0
        self.fin_ip_id: i32 = -1
        self.delivered: i32 = 0  # payload of the longest segment that was sent once and acknowledged
        self.fin_with_ack_of_fin: bool = (
            False  # the first FIN segment also carried the first ACK of the other side's FIN
        )

    @property
    def fin_last_frame(self) -> i64:
        """The frame in which its FIN was sent for the last time."""
        again: i64 = self.trouble.fin_again_frame
        return self.fin_frame if again == 0 else again

    @property
    def fin_last_time(self) -> i64:
        """The time of that frame."""
        return self.fin_time if self.trouble.fin_again_frame == 0 else self.trouble.fin_again_time

    @property
    def rtt(self) -> Quantiles | None:
        """The round trips by Karn's rule; None without any."""
        if self.round_trips is None and self.first_rtt >= 0:
            return collected(self.first_rtt)
        return self.round_trips

    def timed(self, rtt: i64) -> None:
        """One more round trip, in nanoseconds and not negative."""
        if self.round_trips is not None:
            self.round_trips.add(rtt)
        elif self.first_rtt < 0:
            self.first_rtt = rtt
        else:
            self.round_trips = collected(self.first_rtt)
            self.round_trips.add(rtt)

    def troubled(self) -> Trouble:
        """The record of what is amiss, made on first use: the one to write to."""
        if self.trouble is NO_TROUBLE:
            self.trouble = Trouble()
        return self.trouble


@mypyc_attr(acyclic=True)
class Endpoint:
    """One side. ``isn`` is -1 when its SYN was not captured; ``nxt`` is the highest sequence number sent plus one."""

    def __init__(self) -> None:
        # The path: first_state (UNKNOWN: where it begins is not known), the steps between, and the latest step.
        self.between: Past | None = None
        self.step_frame: i64 = 0
        self.step_time: i64 = 0
        self.segments: i64 = 0
        self.isn: i64 = -1
        self.base: i64 = -1  # sequence number of stream position 0 (isn + 1, or the first byte seen); -1: nothing sent
        self.nxt: i64 = -1
        self.una: i64 = -1  # highest acknowledgement from the other side; -1: none
        self.syn_frame: i64 = 0  # first SYN or SYN-ACK of this side
        self.syn_time: i64 = 0
        self.syn_last_frame: i64 = 0
        self.syn_last_time: i64 = 0
        self.other_isn: i64 = -1  # of a later SYN-ACK with another number, until the client says which one it took
        self.syn_acked_frame: i64 = 0  # the other side's first segment that acknowledges the SYN
        self.syn_ts: i64 = -1  # TSval of the latest SYN
        self.last_time: i64 = 0
        self.first_interface: i64 = 0
        self.copied: Copied | None = None
        self.silence: i64 = 0  # longest time between two of its segments
        self.bad_checksums: i64 = 0
        self.transfer: Transfer | None = None
        # Small numbers last, side by side: of a flood there are a million.
        self.syn_count: i32 = 0
        self.mss: i32 = -1
        self.first_ip_id: i32 = -1  # of the first segment, or of the latest SYN
        self.first_encapsulation: i32 = 0
        self.state: i16 = UNKNOWN
        self.first_state: i16 = UNKNOWN
        self.step_state: i16 = UNKNOWN  # of the latest step (UNKNOWN: none)
        self.step_count: i16 = 0
        self.scale: i16 = -1  # window shift in use for this side's windows: -1 unknown, else 0..14
        self.syn_options: i16 = 0  # OPTION_ bits of the SYN
        self.ttl: i16 = -1  # of the latest segment but RSTs
        self.ttl_before: i16 = -1  # of those before, where it was another

    @property
    def takes(self) -> i64:
        """Bytes that a segment to this side may carry."""
        if self.mss < 0:
            return ETHERNET_PAYLOAD
        return max(i64(self.mss), MIN_MSS)

    def begin(self, base: i64) -> None:
        """The stream begins at ``base``. What was counted from there on stands: then the SYN was captured late."""
        if self.base == base and self.nxt >= 0:
            return
        self.base = base
        self.nxt = base
        t: Transfer | None = self.transfer
        if t is not None:
            # Sent under other numbers: what they said of the order says nothing any more.
            t.position = 0
            if t.trouble is not NO_TROUBLE:
                t.trouble.holes = None
            t.oldest = None
            t.newest = None
            t.outstanding = 0

    def move(self, event: i64, frame: i64, time_ns: i64) -> bool:
        """Apply one event of the table; True if there is a row. The only writer of ``state`` and of the path."""
        following: i16 = next_state(self.state, event)
        if following == NO_CHANGE:
            return False
        if following != self.state:
            self.state = following
            if self.step_count < MAX_STEPS:
                if self.step_state != UNKNOWN:
                    past: Past | None = self.between
                    if past is None or past.used == PAST:
                        past = Past(past)
                        self.between = past
                    past.add(self.step_state, self.step_frame, self.step_time)
                self.step_state = following
                self.step_frame = frame
                self.step_time = time_ns
                self.step_count += 1
        return True

    def start(self, state: i16) -> None:
        """The state before the first segment (row O1: nothing has happened yet). Only from UNKNOWN."""
        if self.state == UNKNOWN:
            self.state = state
            self.first_state = state
            self.step_count = 1

    def retract(self, event: i64) -> bool:
        """Take back the latest step by one of the observer's REPEAT_ rows: what was thought received never arrived."""
        following: i16 = next_state(self.state, event)
        if following == NO_CHANGE or self.step_count < 2:
            return False
        past: Past | None = self.between
        if (self.first_state if past is None else past.latest) != following:
            return False
        if past is None:
            self.step_state = UNKNOWN
        else:
            step: Step = past.entries[-1]
            self.step_state = i16(step.state)
            self.step_frame = step.frame
            self.step_time = step.time_ns
            past.used -= 1
            if past.used == 0:
                self.between = past.before
        self.step_count -= 1
        self.state = following
        return True

    @property
    def steps(self) -> list[Step]:
        """The state path, at most :data:`MAX_STEPS` entries."""
        path: list[Step] = []
        if self.first_state != UNKNOWN:
            path.append(Step(self.first_state, 0, 0))
        blocks: list[Past] = []
        past: Past | None = self.between
        while past is not None:
            blocks.append(past)
            past = past.before
        blocks.reverse()
        for block in blocks:
            path.extend(block.entries)
        if self.step_state != UNKNOWN:
            path.append(Step(self.step_state, self.step_frame, self.step_time))
        return path

    def opened(self) -> Transfer:
        """The transfer part, made on first use."""
        transfer: Transfer | None = self.transfer
        if transfer is None:
            transfer = Transfer()
            self.transfer = transfer
        return transfer

    def unacknowledged(self) -> i64:
        """Bytes of sequence space sent and not acknowledged by the other side, as far as the capture shows."""
        if self.nxt < 0 or self.una < 0:
            return 0
        return max(0, diff(self.nxt, self.una))


# What stands for the server while there is no more than one SYN, and for what a side sent that sent nothing else: one object
# each for all connections, which nobody writes to, so that a million half-open connections stay small.
NOTHING_SENT: Final = Transfer()
SILENT: Final = Endpoint()
SILENT.transfer = NOTHING_SENT
