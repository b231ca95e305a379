"""Copies: the same segment in the capture twice, as mirror ports, several interfaces and tunnels make them.

A copy is no event of the connection, so it never reaches the state machine. What gives it away is the IP identification: a
sender gives each packet another one (RFC 791 section 3.1). IPv6 has none, some packets carry 0 and some senders always the same
(RFC 6864 section 4.1 allows that where nothing is fragmented); there the checksum and all numbers must be equal, within a time
in which no sender repeats anything.

:class:`CopyWatch` remembers the latest segments of the whole capture, in bounded memory, at the beginning and as long as it
finds copies. After that only what looks like a repetition is held against what its connection knows, until the next copy.
Times are nanoseconds.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i64, mypyc_attr

from tcpscope.state import spurious
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Copied, Endpoint, Sent, Transfer
from tcpscope.state.facts import (
    CAUSE_CAPTURE_COPY,
    CAUSE_NETWORK_DUPLICATE,
    CLIENT,
    COPY_LATE,
    COPY_OTHER_ENCAPSULATION,
    COPY_OTHER_HOP,
    COPY_OTHER_INTERFACE,
    COPY_SAME_PLACE,
    RETRANSMISSION,
    SERVER,
)
from tcpscope.state.holes import first_hole
from tcpscope.state.recovery import DUPLICATES_FOR_FAST, ip_id_order
from tcpscope.state.seq import diff
from tcpscope.wire.segment import FIN, RST, SYN, Segment

# How much later a copy may come. Longer than that it may be sent again, as some senders give it the same identification
# (RFC 1122 section 3.2.1.5), but none the same timestamp: with both it is a packet that the network held for so long.
COPY_LIMIT_NS: Final = 100_000_000
LATE_LIMIT_NS: Final = 30_000_000_000
GENERATION: Final = 4096  # segments remembered at least; at most twice as many
PLAIN_LIMIT_NS: Final = 1_000_000  # no sender repeats anything so soon unless the other side asks for it
ANSWER_LIMIT_NS: Final = 500_000_000  # a receiver acknowledges old bytes at once, a round trip later at most
MAX_WALK: Final = 1024
KEY_MASK: Final = 0x3FFFFFFFFFFFFFFF


@mypyc_attr(acyclic=True)
class Seen:
    """A segment that may come again."""

    def __init__(self, conn: Connection, seg: Segment, number: i64) -> None:
        self.key: bytes = seg.key
        self.since: i64 = conn.first_frame  # where its connection begins
        self.frame: i64 = seg.frame
        self.time_ns: i64 = seg.time_ns  # of its latest copy
        self.number: i64 = number  # among the segments of its side, from 1
        self.interface: i64 = seg.interface
        self.encapsulation: i64 = seg.encapsulation
        self.ttl: i16 = seg.ttl
        self.ip_id: i64 = seg.ip_id
        self.seq: i64 = seg.seq
        self.ack: i64 = seg.ack
        self.flags: i64 = seg.flags
        self.window: i64 = seg.window
        self.length: i64 = seg.length
        self.checksum: i64 = seg.tcp_checksum
        self.ts_val: i64 = seg.ts_val
        self.ts_ecr: i64 = seg.ts_ecr


def looks_like(seen: Seen, seg: Segment) -> bool:
    """True if all is equal that a copy cannot change; a checksum may be filled in on the way to another place."""
    if seen.seq != seg.seq or seen.ack != seg.ack or seen.flags != seg.flags or seen.length != seg.length:
        return False
    if seen.ip_id != seg.ip_id or seen.window != seg.window or seen.ts_val != seg.ts_val or seen.ts_ecr != seg.ts_ecr:
        return False
    if seen.checksum != seg.tcp_checksum:
        if seg.ip_id <= 0 or place_of(seg, seen.interface, seen.encapsulation, seen.ttl) == COPY_SAME_PLACE:
            return False
    return seen.key == seg.key


def place_of(seg: Segment, interface: i64, encapsulation: i64, ttl: i16) -> i64:
    """COPY_ code of a segment against the first one of it."""
    if seg.interface != interface:
        return COPY_OTHER_INTERFACE
    if seg.encapsulation != encapsulation:
        return COPY_OTHER_ENCAPSULATION
    return COPY_SAME_PLACE if seg.ttl == ttl else COPY_OTHER_HOP


class CopyWatch:
    """Tells copies from segments. ``watching``: every segment must be shown to :meth:`is_copy`, not only suspicious ones."""

    def __init__(self) -> None:
        self.watching: bool = True
        self.latest: dict[int, Seen] = {}
        self.before: dict[int, Seen] = {}
        self.found: bool = False  # a copy, since the latest generation began
        self.delay: i64 = 0  # the longest at one place, if practically everything is copied there; 0: not known

    def is_copy(self, conn: Connection, side: i64, seg: Segment) -> bool:
        """True if this segment of ``side`` was captured before: then it is counted here and is to go nowhere else."""
        me: Endpoint = conn.side(side)
        peer: Endpoint = conn.side(1 - side)
        if self.watching:
            if self._remembered(conn, side, me, peer, seg):
                return True
            _answer(me, peer, seg)
        if me.nxt >= 0 and diff(seg.seq, me.nxt) < 0:
            return self._old(conn, side, me, peer, seg)
        return False

    def remember(self, conn: Connection, me: Endpoint, seg: Segment) -> None:
        """A segment that is no copy, while :attr:`watching`."""
        if me.copied is not None and says_nothing(seg):
            me.copied.untold += 1
        if len(self.latest) >= GENERATION:
            self.watching = self.found
            self.found = False
            self.before = self.latest
            self.latest = {}
            if not self.watching:
                self.before = {}
                return
        self.latest[fingerprint(seg)] = Seen(conn, seg, me.segments + 1)

    def _remembered(self, conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
        """A copy of one of the latest segments of the capture."""
        name: int = fingerprint(seg)
        seen: Seen | None = self.latest.get(name)
        if seen is None:
            seen = self.before.get(name)
        if seen is None or not looks_like(seen, seg):
            return False
        interval: i64 = seg.time_ns - seen.time_ns
        if interval >= COPY_LIMIT_NS and seen.since != conn.first_frame:
            return False  # to a new connection on the same ports an old packet is news
        place: i64 = place_of(seg, seen.interface, seen.encapsulation, seen.ttl)
        constant: bool = seen.number > 1 and seg.ip_id == me.first_ip_id
        if not self._is_same(me, peer, seg, place, interval, constant):
            return False
        self._count(conn, side, me, seg, seen.frame, place, interval, seen.number)
        seen.time_ns = seg.time_ns
        return True

    def _old(self, conn: Connection, side: i64, me: Endpoint, peer: Endpoint, seg: Segment) -> bool:
        """A copy of a SYN, a FIN or data further back: the first one in a capture, or one that comes late."""
        t: Transfer | None = me.transfer
        frame: i64 = 0
        time_ns: i64 = 0
        ip_id: i64 = -1
        number: i64 = me.segments
        if seg.flags & SYN != 0:
            if seg.seq == me.isn and seg.ip_id > 0:
                frame = me.syn_last_frame
                time_ns = me.syn_last_time
                ip_id = i64(me.first_ip_id)
                number = 1
        elif t is None:
            return False
        elif seg.flags & FIN != 0 and t.fin_frame != 0:
            if (seg.seq + seg.length) & 0xFFFFFFFF == t.fin_seq and seg.ip_id > 0:
                frame = t.fin_last_frame
                time_ns = t.fin_last_time
                ip_id = i64(t.fin_ip_id)
        elif seg.length > 0 and ip_id_order(i64(t.highest_ip_id), seg.ip_id) != 1:
            sent: Sent | None = _find(t, seg.seq)
            if sent is None:
                return self._acknowledged(conn, side, me, t, seg)
            if sent.checksum == seg.tcp_checksum:
                frame = sent.last_frame
                time_ns = sent.last_time_ns
                ip_id = i64(sent.ip_id)
                number = 1 if frame == conn.first_frame else me.segments
        if frame == 0 or ip_id != seg.ip_id:
            return False
        place: i64 = place_of(seg, me.first_interface, i64(me.first_encapsulation), seg.ttl)
        interval: i64 = seg.time_ns - time_ns
        if not self._is_same(me, peer, seg, place, interval, number > 1 and ip_id == i64(me.first_ip_id)):
            return False
        self._count(conn, side, me, seg, frame, place, interval, number)
        return True

    def _acknowledged(self, conn: Connection, side: i64, me: Endpoint, t: Transfer, seg: Segment) -> bool:
        """Data that was acknowledged, in a packet older than the latest: not sent again, then, but delivered again."""
        end: i64 = (seg.seq + seg.length) & 0xFFFFFFFF
        if me.una < 0 or diff(end, me.una) > 0 or seg.ip_id == me.first_ip_id:
            return False
        interval: i64 = seg.time_ns - t.highest_time  # at least
        if interval <= -COPY_LIMIT_NS or interval >= COPY_LIMIT_NS:
            return False
        if seg.ip_id != t.highest_ip_id:
            # The order of identifications says something only if this sender counts them up.
            if (
                ip_id_order(i64(t.earlier_ip_id), i64(t.highest_ip_id)) != 1
                or ip_id_order(i64(t.highest_ip_id), seg.ip_id) != -1
            ):
                return False
        if t.trouble.holes is not None and first_hole(t.trouble.holes, seg.seq, end) is not None:
            return False
        self._count(conn, side, me, seg, 0, COPY_SAME_PLACE, interval, me.segments)
        return True

    def _is_same(self, me: Endpoint, peer: Endpoint, seg: Segment, place: i64, interval: i64, constant: bool) -> bool:
        """Is an equal segment a copy, or did its sender mean it? ``constant``: the identification says nothing."""
        if interval <= -COPY_LIMIT_NS or interval >= LATE_LIMIT_NS:
            return False
        if seg.ip_id > 0 and not constant:
            return interval < COPY_LIMIT_NS or seg.ts_val >= 0
        if interval >= COPY_LIMIT_NS:
            return False
        r: Transfer | None = peer.transfer
        if seg.length > 0 and r is not None and r.trouble.duplicate_run >= DUPLICATES_FOR_FAST:
            return False  # asked for again
        if place != COPY_SAME_PLACE:
            return True
        if seg.length == 0 and seg.flags & SYN == 0:
            # Whoever only answers may well say the same again; if everything is captured twice, it is a copy.
            return self.delay > 0 and interval <= 2 * self.delay and not says_nothing(seg)
        if self.delay > 0 and interval <= 2 * self.delay:
            return True
        return interval < PLAIN_LIMIT_NS and peer.last_time <= seg.time_ns - interval

    def _count(
        self,
        conn: Connection,
        side: i64,
        me: Endpoint,
        seg: Segment,
        frame: i64,
        place: i64,
        interval: i64,
        number: i64,
    ) -> None:
        """Count a copy of frame ``frame``, the segment ``number`` of its side, and say whose it is as far as is known."""
        self.found = True
        self.watching = True
        copied: Copied | None = me.copied
        if copied is None:
            copied = Copied()
            me.copied = copied
        if seg.ip_id <= 0:
            copied.unidentified += 1
        cause: i64 = CAUSE_CAPTURE_COPY
        if place == COPY_OTHER_INTERFACE:
            copied.other_interface += 1
        elif place == COPY_OTHER_ENCAPSULATION:
            copied.other_encapsulation += 1
        elif place == COPY_OTHER_HOP:
            copied.other_hop += 1
        elif interval >= COPY_LIMIT_NS or (self.delay > 0 and interval > 4 * self.delay + PLAIN_LIMIT_NS):
            copied.late += 1
            place = COPY_LATE
            cause = CAUSE_NETWORK_DUPLICATE
        else:
            copied.same_place += 1
            if (seg.length > 0 and not is_probe(me, seg)) or seg.flags & FIN != 0:
                copied.asked += 1
                copied.end = (seg.seq + seg.length) & 0xFFFFFFFF
                copied.asked_frame = seg.frame
                copied.asked_ns = seg.time_ns
            if copied.reported > 0 or not is_most(copied.same_place, number - copied.untold):
                copied.called_network += 1
                cause = CAUSE_NETWORK_DUPLICATE
            else:
                self.delay = max(self.delay, interval, 1)
        if cause == CAUSE_CAPTURE_COPY:
            if copied.longest < 0 or interval < copied.shortest:
                copied.shortest = interval
            copied.longest = max(copied.longest, interval)
        conn.because(cause, frame, interval)
        conn.note(RETRANSMISSION + cause, side, seg.frame, seg.time_ns, frame, place, interval)


class CopyTotals:
    """The capture's own copies over all connections that are over."""

    def __init__(self) -> None:
        self.connections: i64 = 0
        self.same_place: i64 = 0
        self.other_interface: i64 = 0
        self.other_encapsulation: i64 = 0
        self.other_hop: i64 = 0
        self.unidentified: i64 = 0  # of all these
        self.longest: i64 = -1  # time after the first of the same

    def add(self, conn: Connection) -> None:
        """Take in a finished connection."""
        before: i64 = self.count
        for endpoint in (conn.client, conn.server):
            copied: Copied | None = endpoint.copied
            if copied is None or copied.by_capture == 0:
                continue
            self.same_place += 0 if copied.network else copied.same_place
            self.other_interface += copied.other_interface
            self.other_encapsulation += copied.other_encapsulation
            self.other_hop += copied.other_hop
            self.unidentified += min(copied.unidentified, copied.by_capture)
            self.longest = max(self.longest, copied.longest)
        if self.count > before:
            self.connections += 1

    @property
    def count(self) -> i64:
        """All copies."""
        return self.same_place + self.other_interface + self.other_encapsulation + self.other_hop


def fingerprint(seg: Segment) -> int:
    """A number that copies of a segment share, and hardly any others."""
    mixed: i64 = seg.seq * 0x2545F491 ^ seg.ack * 0x1B873593 ^ (seg.ts_val & 0xFFFFFFFF) * 0x0E9552B1
    mixed ^= seg.flags << 40 ^ seg.window << 32
    return (mixed ^ seg.length << 24 ^ (seg.ip_id & 0xFFFF) << 8 ^ seg.src_port << 16 ^ seg.dst_port) & KEY_MASK


def is_most(copies: i64, segments: i64) -> bool:
    """Practically all, but for what the second place of capture missed."""
    return 4 * copies >= 3 * segments


def is_probe(me: Endpoint, seg: Segment) -> bool:
    """A keep-alive with one old byte: every one is answered as a duplicate."""
    return seg.length == 1 and diff(seg.seq, me.nxt) == -1


def says_nothing(seg: Segment) -> bool:
    """A pure ACK without identification and timestamp: the next one may be the same to the last bit."""
    return seg.ip_id <= 0 and seg.ts_val < 0 and seg.length == 0 and seg.flags & (SYN | FIN | RST) == 0


def _find(t: Transfer, seq: i64) -> Sent | None:
    """The unacknowledged segment that begins at ``seq``."""
    sent: Sent | None = t.oldest
    steps: i64 = 0
    while sent is not None and steps < MAX_WALK:
        behind: i64 = diff(seq, sent.seq)
        if behind <= 0:
            return sent if behind == 0 else None
        sent = sent.next
        steps += 1
    return None


def _answer(me: Endpoint, peer: Endpoint, seg: Segment) -> None:
    """Does ``me`` acknowledge again what the copy of a peer's segment repeats? Then the copy has reached it."""
    copied: Copied | None = peer.copied
    t: Transfer | None = me.transfer
    if copied is None or copied.answered >= copied.asked or t is None:
        return
    if seg.length > 0 or seg.flags & (SYN | FIN | RST) != 0 or seg.time_ns - copied.asked_ns > ANSWER_LIMIT_NS:
        return
    if diff(seg.ack, copied.end) < 0:
        return
    if seg.sack_count > 0 and diff(seg.sack_left0, seg.ack) < 0:
        if spurious.latest(peer.opened(), seg.sack_left0, seg.sack_right0) is not None:
            return  # sent again, which explains it
        copied.reported += 1
        copied.reported_frame = seg.frame
        copied.answered += 1
    elif seg.ack == t.last_ack and seg.window == t.last_window and seg.ip_id > 0 and seg.ip_id != me.first_ip_id:
        copied.answered += 1


def settle(conn: Connection) -> None:
    """The connection is over: were the copies at one place made by the capture or by the network?"""
    if conn.client.copied is None and conn.server.copied is None:
        return
    copied: i64 = 0
    segments: i64 = 0
    for endpoint in (conn.client, conn.server):
        segments += endpoint.segments
        if endpoint.copied is not None:
            copied += endpoint.copied.same_place
            segments -= endpoint.copied.untold
    if copied == 0:
        return
    most: bool = is_most(copied, segments)
    _settle_side(conn, CLIENT, most)
    _settle_side(conn, SERVER, most)


def _settle_side(conn: Connection, side: i64, most: bool) -> None:
    """Attribute one side's copies, and move the facts that were noted otherwise."""
    me: Endpoint = conn.side(side)
    copied: Copied | None = me.copied
    if copied is None or copied.same_place == 0:
        return
    all_twice: bool = most or is_most(copied.same_place, me.segments - copied.untold)
    if copied.reported > 0 or (copied.answered > 0 and not all_twice):
        copied.network = 2 * copied.answered >= copied.asked
    else:
        # Nobody answers what is delivered only once; but one or two answers can be missing.
        copied.network = not all_twice and copied.asked < 3
    called_capture: i64 = copied.same_place - copied.called_network
    if conn.log is None:
        return
    network: i64 = RETRANSMISSION + CAUSE_NETWORK_DUPLICATE
    capture: i64 = RETRANSMISSION + CAUSE_CAPTURE_COPY
    if copied.network and called_capture > 0:
        conn.log.move(side, capture, network, COPY_SAME_PLACE, called_capture)
    elif not copied.network and copied.called_network > 0:
        conn.log.move(side, network, capture, COPY_SAME_PLACE, copied.called_network)
