"""Wireshark's tcp.analysis flags, tcp.stream and tcp.completeness, as tshark 4.0 gives them.

This is the compatible view, for people who compare with Wireshark: its known wrong verdicts are kept on purpose. The
rules are Wireshark's own heuristics, as measured; no RFC defines them. "Later" is tested as ``diff(b, a) < 0``, which
holds, as in Wireshark, also for two numbers exactly half the sequence space apart.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.keys import canonical_key, reverse_key
from tcpscope.state.seq import diff
from tcpscope.state.wireshark_flow import (
    DUPLICATES_STALLED,
    MAX_UNACKED,
    MAX_UNACKED_TOTAL,
    SCALE_NOT_USED,
    SCALE_UNKNOWN,
    Conversation,
    Direction,
    Flow,
    UnackedPool,
    sacked_bytes,
)
from tcpscope.state.wireshark_streams import VNC_VERSION, begins_conversation
from tcpscope.wire.segment import ACK, FIN, RST, SYN, Segment

FLAG_NAMES: Final[tuple[str, ...]] = (
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
    "lost_segment",
    "ack_lost_segment",
    "duplicate_ack",
    "keep_alive",
    "keep_alive_ack",
    "window_update",
    "window_full",
    "zero_window",
    "zero_window_probe",
    "zero_window_probe_ack",
    "reused_ports",
)
"""Names without the prefix ``tcp.analysis.``; the flag of ``FLAG_NAMES[n]`` is ``1 << n``."""

RETRANSMISSION: Final = 0x0001
FAST_RETRANSMISSION: Final = 0x0002  # always with RETRANSMISSION
SPURIOUS_RETRANSMISSION: Final = 0x0004  # always with RETRANSMISSION
OUT_OF_ORDER: Final = 0x0008
LOST_SEGMENT: Final = 0x0010
ACK_LOST_SEGMENT: Final = 0x0020
DUPLICATE_ACK: Final = 0x0040
KEEP_ALIVE: Final = 0x0080
KEEP_ALIVE_ACK: Final = 0x0100
WINDOW_UPDATE: Final = 0x0200
WINDOW_FULL: Final = 0x0400
ZERO_WINDOW: Final = 0x0800
ZERO_WINDOW_PROBE: Final = 0x1000
ZERO_WINDOW_PROBE_ACK: Final = 0x2000
REUSED_PORTS: Final = 0x4000

COMPLETE_SYN: Final = 0x01
COMPLETE_SYN_ACK: Final = 0x02
COMPLETE_ACK: Final = 0x04
COMPLETE_DATA: Final = 0x08
COMPLETE_FIN: Final = 0x10
COMPLETE_RST: Final = 0x20

FAST_RETRANSMISSION_NS: Final = 20_000_000
DEFAULT_REORDER_NS: Final = 3_000_000  # used as long as the initial round-trip time is unknown
MAX_SHIFT: Final = 14  # RFC 7323 section 2.3
MAX_IN_FLIGHT: Final = 2_000_000_000
TIME_LIMIT: Final = 0x3FFFFFFFFFFFFFFF  # keeps the difference of any two times inside 64 bits

UNKNOWN: Final = -1


class WiresharkAnalyzer:
    """Gives each segment, in file order, the flags that Wireshark would show.

    After :meth:`analyze` the attributes describe that segment; durations are nanoseconds, and -1 (frames: 0) means that
    Wireshark shows no such value. State is kept for every stream to the end, as Wireshark never forgets one.
    """

    def __init__(self) -> None:
        self.stream: i64 = UNKNOWN  # tcp.stream, less the numbers that Wireshark spends on TCP quoted in ICMP
        self.window: i64 = 0  # scaled if the shift is known, else raw
        self.duplicate_ack_number: i64 = 0
        self.duplicate_ack_frame: i64 = 0
        self.rto: i64 = UNKNOWN
        self.rto_frame: i64 = 0
        self.acks_frame: i64 = 0
        self.ack_rtt: i64 = UNKNOWN
        self.bytes_in_flight: i64 = UNKNOWN
        self.initial_rtt: i64 = UNKNOWN
        self._directions: dict[bytes, Direction] = {}
        self._completeness: bytearray = bytearray()
        self._pool: UnackedPool = UnackedPool()
        # Stands for a side that has not spoken yet in a conversation of one SYN: a SYN flood costs one flow a stream.
        self._silent: Flow = Flow()
        self._is_first: bool = False
        self._is_reused: bool = False
        self._now: i64 = 0
        self._recognised: dict[bytes, bool] = {}  # canonical keys of flows whose next segment begins a further stream

    @property
    def streams(self) -> int:
        """How many streams there are so far."""
        return len(self._completeness)

    def completeness_of(self, stream: i64) -> i64:
        """tcp.completeness of a stream as far as analysed: 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST."""
        return self._completeness[stream]

    def direction_of(self, key: bytes) -> Direction | None:
        """What is remembered of the conversation, as the sender of a segment with this key sees it; None: it begins one."""
        found = self._directions.get(key)
        if found is None:
            opposite = self._directions.get(reverse_key(key))
            if opposite is not None:
                return Direction(opposite.conversation, opposite.peer, opposite.this)
        return found

    def analyze(self, seg: Segment) -> i64:
        """The bit set of flags for this segment, bit n being ``FLAG_NAMES[n]``."""
        now: i64 = seg.time_ns
        if now > TIME_LIMIT:
            now = TIME_LIMIT
        elif now < -TIME_LIMIT:
            now = -TIME_LIMIT
        self._now = now
        self.duplicate_ack_number = 0
        self.duplicate_ack_frame = 0
        self.rto = UNKNOWN
        self.rto_frame = 0
        self.acks_frame = 0
        self.ack_rtt = UNKNOWN
        self.bytes_in_flight = UNKNOWN
        flags: i64 = 0
        self._is_first = False
        self._is_reused = False
        found = self._directions.get(seg.key)
        direction = self._open(seg) if found is None else found
        if seg.flags & SYN and direction.this.base_known and self._is_reuse(seg, direction):
            flags = REUSED_PORTS
            if not seg.flags & ACK:
                direction = self._replace(seg, direction)
        if direction.peer is self._silent and not self._is_first:
            self._give_voice(direction)
        conversation = direction.conversation
        this = direction.this
        peer = direction.peer
        self.stream = conversation.stream
        self._note_completeness(seg, conversation)
        self.window = seg.window
        if this.window_scale > 0 and not seg.flags & SYN:
            self.window = seg.window << this.window_scale
        flags |= self._judge(seg, conversation, this, peer)
        self._update(seg, this, peer, flags)
        self._read_options(seg, conversation, this, peer)
        self.initial_rtt = conversation.initial_rtt if conversation.initial_rtt != 0 else UNKNOWN
        if seg.length == VNC_VERSION and not conversation.recognised and begins_conversation(seg):
            self._recognised[canonical_key(seg.key)] = True
            self._forget(seg, direction)
        return flags

    # Streams

    def _open(self, seg: Segment) -> Direction:
        """The direction of a key not seen before: the other side of a known conversation, or a new conversation."""
        opposite = self._directions.get(reverse_key(seg.key))
        if opposite is None:
            return self._create(seg)
        if opposite.peer is self._silent:
            self._give_voice(opposite)
        direction = Direction(opposite.conversation, opposite.peer, opposite.this)
        self._directions[seg.key] = direction
        return direction

    def _create(self, seg: Segment) -> Direction:
        conversation = Conversation(len(self._completeness))
        if len(self._recognised) > 0 and self._recognised.pop(canonical_key(seg.key), False):
            conversation.recognised = True
        self._completeness.append(0)
        peer = self._silent
        # Only a lone SYN leaves nothing to remember of the silent side.
        if seg.flags & (SYN | ACK) != SYN:
            peer = Flow()
        direction = Direction(conversation, Flow(), peer)
        self._directions[seg.key] = direction
        self._is_first = True
        return direction

    def _give_voice(self, direction: Direction) -> None:
        """Replace the stand-in for a side that has not spoken by a flow of its own."""
        peer = Flow()
        if direction.this.window_scale == SCALE_NOT_USED:
            peer.window_scale = SCALE_NOT_USED
        direction.peer = peer

    def _is_reuse(self, seg: Segment, direction: Direction) -> bool:
        """Whether a SYN on known ports has another sequence number than this direction began with."""
        this = direction.this
        if seg.seq == this.base:
            if not seg.flags & ACK:
                # Undoes the effect of an RST with a foreign sequence number, so that the SYN is a plain repetition.
                this.next_seq = this.max_seq_to_be_acked
            return False
        if seg.flags & ACK:
            this.base = seg.seq  # flagged, but no new stream
        return True

    def _replace(self, seg: Segment, old: Direction) -> Direction:
        """Begin a new stream on the ports of an old one."""
        self._forget(seg, old)
        self._is_reused = True
        return self._create(seg)

    def _forget(self, seg: Segment, direction: Direction) -> None:
        """Whatever comes next on these ports begins a new stream."""
        direction.this.drop_all(self._pool)
        direction.peer.drop_all(self._pool)
        self._directions.pop(seg.key, None)
        self._directions.pop(reverse_key(seg.key), None)

    def _note_completeness(self, seg: Segment, conversation: Conversation) -> None:
        bits: i64 = 0
        flags: i64 = seg.flags
        if self._is_first and not self._is_reused:
            # Of a frame that begins a conversation only the SYN counts, and the data beside it.
            if flags & (SYN | ACK) == SYN:
                bits = COMPLETE_SYN
                if seg.length > 0:
                    bits |= COMPLETE_DATA
        else:
            if self._is_reused:
                bits = COMPLETE_SYN
            elif flags & ACK:
                if flags & SYN:
                    bits = COMPLETE_SYN_ACK
                elif seg.length > 0:
                    bits = COMPLETE_DATA
                else:
                    bits = COMPLETE_ACK
                if flags & FIN:
                    bits |= COMPLETE_FIN
            if flags & RST:
                bits |= COMPLETE_RST
        if bits & ~conversation.completeness:
            conversation.completeness |= bits
            self._completeness[conversation.stream] = conversation.completeness

    # Flags

    def _judge(self, seg: Segment, conversation: Conversation, this: Flow, peer: Flow) -> i64:
        """All flags but ``reused_ports``. Changes only what later rules of the same segment need changed."""
        bits: i64 = seg.flags
        ack: i64 = seg.ack
        if not this.base_known:
            this.base_known = True
            this.base = seg.seq if bits & SYN else (seg.seq - 1) & 0xFFFFFFFF
        if bits & ACK:
            if not peer.base_known:
                peer.base_known = True
                peer.base = (ack - 1) & 0xFFFFFFFF
            peer.in_flight_valid = True
        flags: i64 = 0
        if seg.length == 1 and seg.seq == this.next_seq and peer.window == 0:
            flags = ZERO_WINDOW_PROBE
        else:
            flags = self._window_and_order(seg, this, peer)
            if seg.length == 0 and not bits & (SYN | FIN | RST):
                flags |= self._repeated_ack(seg, this, peer, conversation)
        if ack != this.last_ack:
            this.last_nondup_frame = seg.frame
            this.duplicate_acks = 0
        if bits & ACK and peer.max_seq_to_be_acked != 0 and diff(peer.max_seq_to_be_acked, ack) < 0:
            flags |= self._ack_beyond(peer)
        if (seg.length > 0 or bits & (SYN | FIN)) and not flags & KEEP_ALIVE:
            flags |= self._repeated_bytes(seg, this, peer, conversation)
        return flags

    def _window_and_order(self, seg: Segment, this: Flow, peer: Flow) -> i64:
        """zero_window, lost_segment, keep_alive and window_full: they do not exclude one another."""
        flags: i64 = 0
        plain: bool = not seg.flags & (SYN | FIN | RST)
        if seg.window == 0 and plain:
            flags = ZERO_WINDOW
        if this.next_seq != 0 and diff(this.next_seq, seg.seq) < 0 and not seg.flags & RST:
            flags |= LOST_SEGMENT
            this.in_flight_valid = False
        if not plain:
            return flags
        if seg.length <= 1 and seg.seq == (this.next_seq - 1) & 0xFFFFFFFF:
            flags |= KEEP_ALIVE
        if seg.length > 0 and peer.window_scale != SCALE_UNKNOWN:
            shift: i64 = 0
            if peer.window_scale > 0 and not peer.first_ack_pending:
                shift = peer.window_scale
            edge: i64 = (peer.last_ack + (peer.window << shift)) & 0xFFFFFFFF
            if (seg.seq + seg.length) & 0xFFFFFFFF == edge:
                flags |= WINDOW_FULL
        return flags

    def _repeated_ack(self, seg: Segment, this: Flow, peer: Flow, conversation: Conversation) -> i64:
        """What a segment without data, SYN, FIN or RST tells if neither its sequence number nor its ack moved."""
        if seg.seq != this.next_seq or seg.ack != this.last_ack:
            return 0
        if seg.window == 0:
            if this.window == 0 and peer.last_analysis & ZERO_WINDOW_PROBE:
                return ZERO_WINDOW_PROBE_ACK
            return 0
        if seg.window != this.window:
            return WINDOW_UPDATE
        if peer.last_analysis & KEEP_ALIVE:
            return KEEP_ALIVE_ACK
        if conversation.mptcp != this.mptcp:
            return 0  # RFC 8684 section 3.3.1: several subflows repeat acknowledgements for reasons of their own
        if this.duplicate_acks == DUPLICATES_STALLED:
            this.duplicate_acks = 0
        this.duplicate_acks += 1
        self.duplicate_ack_number = this.duplicate_acks
        self.duplicate_ack_frame = this.last_nondup_frame
        return DUPLICATE_ACK

    def _ack_beyond(self, peer: Flow) -> i64:
        """An acknowledgement beyond what was seen: flagged once a stall."""
        if diff(peer.max_seq_to_be_acked, peer.next_seq) < 0:
            peer.max_seq_to_be_acked = peer.next_seq
            return ACK_LOST_SEGMENT
        flags: i64 = ACK_LOST_SEGMENT if peer.duplicate_acks == 0 else 0
        peer.duplicate_acks = DUPLICATES_STALLED
        return flags

    def _repeated_bytes(self, seg: Segment, this: Flow, peer: Flow, conversation: Conversation) -> i64:
        """The retransmission family, for a segment that takes sequence space; at most one kind holds."""
        seq: i64 = seg.seq
        end: i64 = (seq + seg.length) & 0xFFFFFFFF
        # Needs no look at what this side sent before: the other side has acknowledged all of it.
        if seg.length > 0 and peer.last_ack != 0 and diff(end, peer.last_ack) <= 0:
            return RETRANSMISSION | SPURIOUS_RETRANSMISSION
        if this.next_seq == 0 or diff(seq, this.next_seq) >= 0:
            return 0
        if seg.length > 1 and seq == (this.next_seq - 1) & 0xFFFFFFFF:
            return 0  # data that begins with the byte of an earlier window probe
        since: i64 = self._now - peer.last_ack_time
        # A stalled flow counts as many duplicates: Wireshark's counter is unsigned.
        repeated: bool = peer.duplicate_acks >= 2 or peer.duplicate_acks == DUPLICATES_STALLED
        if repeated and peer.last_ack == seq and 0 <= since < FAST_RETRANSMISSION_NS:
            return RETRANSMISSION | FAST_RETRANSMISSION
        since = self._now - this.next_seq_time
        limit: i64 = conversation.initial_rtt
        if limit == 0:
            limit = DEFAULT_REORDER_NS
        if seg.flags & (SYN | FIN):
            end = (end + 1) & 0xFFFFFFFF
        # Wireshark compares these times unsigned: a negative one is larger than any other.
        early: bool = since < limit
        if (since < 0) != (limit < 0):
            early = limit < 0
        if early and this.next_seq != end:
            return OUT_OF_ORDER
        oldest = this.oldest
        if oldest is not None:
            self.rto_frame = oldest.frame
            self.rto = self._now - oldest.time_ns
        else:
            self.rto_frame = this.next_seq_frame
            self.rto = since
        if self.rto == 0:
            self.rto = UNKNOWN
            self.rto_frame = 0
        return RETRANSMISSION

    # State

    def _update(self, seg: Segment, this: Flow, peer: Flow, flags: i64) -> None:
        """Take over the numbers of a segment that has been judged."""
        now: i64 = self._now
        seq: i64 = seg.seq
        end: i64 = (seq + seg.length) & 0xFFFFFFFF
        one_more: bool = seg.flags & (SYN | FIN) != 0
        if (seg.length > 0 or one_more) and this.unacked < MAX_UNACKED:
            if one_more:
                end = (end + 1) & 0xFFFFFFFF
            if self._pool.in_use < MAX_UNACKED_TOTAL:
                this.add_unacked(self._pool, seq, end, now, seg.frame)
        if not flags & ZERO_WINDOW_PROBE:
            if this.next_seq == 0 or diff(this.next_seq, end) < 0:
                this.next_seq = end
                this.next_seq_frame = seg.frame
                this.next_seq_time = now
            if seq == this.max_seq_to_be_acked or this.max_seq_to_be_acked == 0:
                this.max_seq_to_be_acked = this.next_seq
        this.window = seg.window
        this.last_ack = seg.ack
        this.last_ack_time = now
        this.last_analysis = flags
        if peer.oldest is not None:
            acked = peer.acknowledge(self._pool, seg.ack)
            if acked is not None:
                self.acks_frame = acked.frame
                if acked.time_ns != now:
                    self.ack_rtt = now - acked.time_ns
        if seg.length > 0 and this.oldest is not None and this.in_flight_valid:
            in_flight: i64 = this.bytes_between_ends() - peer.sacked
            if one_more:
                in_flight -= 1
            if 0 < in_flight < MAX_IN_FLIGHT:
                self.bytes_in_flight = in_flight

    def _read_options(self, seg: Segment, conversation: Conversation, this: Flow, peer: Flow) -> None:
        """Window scale, SACK, MPTCP and the handshake's round-trip time: Wireshark reads them after the rules above."""
        bits: i64 = seg.flags
        this.sacked = sacked_bytes(seg) if seg.sack_count > 0 else 0
        this.mptcp = conversation.mptcp
        conversation.mptcp |= seg.mptcp
        if seg.window_scale >= 0:
            this.window_scale = seg.window_scale if seg.window_scale < MAX_SHIFT else MAX_SHIFT
        if bits & SYN:
            this.first_ack_pending = True
            if not bits & ACK:
                conversation.syn_time = self._now
            if this.window_scale == SCALE_UNKNOWN:
                this.window_scale = SCALE_NOT_USED
                if peer is not self._silent:
                    peer.window_scale = SCALE_NOT_USED
            elif bits & ACK and peer.window_scale == SCALE_NOT_USED:
                this.window_scale = SCALE_NOT_USED
        elif bits & ACK:
            this.first_ack_pending = False
            if conversation.initial_rtt == 0 and conversation.syn_time != 0:
                conversation.initial_rtt = self._now - conversation.syn_time
