"""The flow table: which connection a segment belongs to, who is its client, when it begins anew and when it is over.

A connection is numbered as Wireshark numbers ``tcp.stream``: from 0 in order of appearance, by addresses and ports only; a SYN
whose sequence number differs from the direction's first one begins a new connection. Memory follows live connections: what is
closed and past 2 MSL, or idle for too long, is handed to the sink and forgotten but for its number (a bounded list).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import i32, i64, u8

from tcpscope.state import ending, machine
from tcpscope.state.connection import (
    END_CAPTURE,
    END_CLOSED,
    END_EVICTED,
    END_IDLE,
    END_REUSED,
    ROLES_FIRST_SEEN,
    ROLES_PORT,
    ROLES_SYN,
    ROLES_SYN_ACK,
    Connection,
)
from tcpscope.state.copies import CopyWatch
from tcpscope.state.ended import Ended
from tcpscope.state.endpoint import SILENT, Endpoint
from tcpscope.state.facts import (
    CHALLENGE_ACK,
    CLIENT,
    ICMP_REPORTED,
    NOBODY,
    PORTS_REUSED,
    SERVER,
    SYN_IN_CONNECTION,
    SYN_WHILE_OPENING,
)
from tcpscope.state.keys import canonical_key, name_of
from tcpscope.state.listeners import Listeners
from tcpscope.state.seq import diff
from tcpscope.state.tls_secrets import Secrets
from tcpscope.state.transitions import ESTABLISHED, REOPEN, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from tcpscope.state.wireshark_streams import VNC_VERSION, begins_conversation
from tcpscope.wire.icmp import IcmpError
from tcpscope.wire.segment import ACK, FIN, RST, SYN, Segment

SWEEP_INTERVAL_NS: Final = 10_000_000_000
IDLE_OPENING_NS: Final = (
    600_000_000_000  # beyond the SYN back-off of every stack (RFC 9293 section 3.8.3: at least 3 min)
)
IDLE_OPEN_NS: Final = 3 * 3_600_000_000_000  # beyond the keep-alive interval of RFC 9293 section 3.8.4 (2 hours)
RECENT: Final = 4096  # a power of two
NEAR: Final = 0x1000000  # a segment this close to an old connection's numbers belongs to it

# Ports below this are assigned by IANA for services; a port that a client picks is above (RFC 6335 section 6).
FIRST_USER_PORT: Final = 1024
WELL_KNOWN_USER_PORTS: Final = frozenset(
    (
        1080,
        1433,
        1521,
        1883,
        3128,
        3268,
        3306,
        3389,
        5060,
        5222,
        5269,
        5432,
        5900,
        6379,
        6667,
        8000,
        8080,
        8443,
        8888,
        9200,
    )
)


def is_service(port: i64) -> bool:
    """True if a server is likelier than a client on this port."""
    number: int = port
    return number < FIRST_USER_PORT or number in WELL_KNOWN_USER_PORTS


class Outlook:
    """What can be told of connections that both sides have closed, while their state is at hand. This one knows of nothing."""

    def is_quiet(self, conn: Connection) -> bool:
        """Whether there will be nothing to tell of it, unless more comes. Asked with each segment from then on."""
        return False

    def pass_over(self, conn: Connection) -> bool:
        """Count one that stayed quiet. True: that is enough, so it is not finished, and the sink does not get it."""
        return False


class FlowTable:
    """All live connections. ``sink`` is called with each connection once it is over."""

    def __init__(self, sink: Callable[[Connection], None], msl_ns: i64, max_connections: i64) -> None:
        self.sink = sink
        self.msl_ns: i64 = msl_ns
        self.max_connections: i64 = max_connections
        self.table: dict[bytes, Connection] = {}  # by canonical key
        # One connection of IPv4 a slot: mostly that of the next segment, which then needs no key.
        self.nobody: Connection = Connection(-1, b"", True, ROLES_FIRST_SEEN, 0, 0, True)
        self.recent: list[Connection] = [self.nobody] * RECENT
        self.ended: Ended = Ended()  # of connections already handed over
        self.listeners: Listeners = Listeners()
        self.copies: CopyWatch = CopyWatch()
        self.streams: i64 = 0
        self.live: i64 = 0
        self.evicted: i64 = 0
        self.secrets: Secrets | None = None  # keys for TLS; the owner may set them before the first segment
        self.now: i64 = 0  # the capture's clock: never goes back
        self.next_sweep: i64 = 0
        self.since_sweep: i64 = 0
        self.outlook: Outlook = Outlook()
        self.last: bool = False  # the process ends with this capture: nobody needs the memory of its connections again
        self.current: Connection | None = None  # of the latest segment
        self.current_side: i64 = CLIENT

    def segment(self, seg: Segment) -> None:
        """Apply one segment to its connection."""
        if seg.time_ns > self.now:
            self.now = seg.time_ns
            if self.now >= self.next_sweep and self.since_sweep >= self.live:
                self._sweep()
        self.since_sweep += 1
        conn: Connection = self.recent[slot_of(seg.source, seg.target)]
        side: i64 = CLIENT
        if seg.source < 0 or seg.source != conn.source or seg.target != conn.target:
            side = SERVER
            if seg.source < 0 or seg.source != conn.target or seg.target != conn.source:
                conn = self._find(seg)
                side = conn.side_of(seg)
        if seg.flags & (SYN | ACK | RST) == SYN and self._is_new(conn, side, seg):
            conn = self._reuse(conn, side, seg)
            side = CLIENT
        elif conn.previous is not None:
            conn = self._choose(conn, side, seg)
            side = conn.side_of(seg)
        if conn.renumbering == 1:
            conn.renumbering = 2
            self.streams += 1
        elif seg.length == VNC_VERSION and conn.renumbering == 0 and begins_conversation(seg):
            conn.renumbering = 1
        self.current = conn
        self.current_side = side
        if conn.server is SILENT and (
            seg.flags & (SYN | ACK | FIN | RST) != SYN or conn.client.segments > 0 or side == SERVER
        ):
            conn.both_sides()  # more than the first SYN, which may have been a copy and not have counted
        me: Endpoint = conn.client if side == CLIENT else conn.server
        copies: CopyWatch = self.copies
        if copies.watching or seg.seq != me.nxt:
            if copies.is_copy(conn, side, seg):
                machine.copy(conn, seg)
                conn.quiet = False
                return
            if copies.watching:
                copies.remember(conn, me, seg)
        machine.segment(conn, side, seg)
        if conn.unsettled:
            conn.quiet = conn.closed_time > 0 and self.outlook.is_quiet(conn)

    def left_out(self, seg: Segment) -> None:
        """Count a segment with a wrong checksum at its sender; it says nothing else."""
        conn: Connection | None = self.table.get(name_of(seg))
        if conn is not None:
            conn.both_sides()
            conn.side(conn.side_of(seg)).bad_checksums += 1
            conn.quiet = False

    def icmp(self, error: IcmpError) -> None:
        """Note an ICMP error on the connection whose segment it quotes, if that is known."""
        conn: Connection | None = self.table.get(canonical_key(error.key))
        if conn is None:
            return
        side: i64 = CLIENT if error.key == conn.key else SERVER
        endpoint: Endpoint = conn.side(side)
        what: i64 = error.ip_version * 65536 + error.type * 256 + error.code
        conn.note(ICMP_REPORTED, side, error.frame, error.time_ns, conn.last_frame, what, error.mtu)
        if error.mtu > 0 and endpoint.nxt >= 0:
            endpoint.opened().troubled().too_big_until = endpoint.nxt

    def finish(self) -> None:
        """The capture is over: judge every connection that is left, in order of their numbers."""
        left: list[Connection] = []
        in_order: bool = True
        highest: i64 = -1
        for conn in self.table.values():
            in_order = in_order and conn.previous is None and conn.stream > highest
            highest = conn.stream
            left.append(conn)
            older: Connection | None = conn.previous
            while older is not None:
                left.append(older)
                older = older.previous
        self.table = {}
        self.recent = [self.nobody] * RECENT
        if in_order:  # as where nothing ended early: no need to compare a million of them
            left.reverse()
        else:
            left.sort(key=_stream, reverse=True)
        if self.last:
            _leave(left)
        while len(left) > 0:  # from the end, so that each is freed once it is judged
            conn = left.pop()
            conn.previous = None
            self._hand_over(conn, END_CAPTURE)

    def _find(self, seg: Segment) -> Connection:
        """The connection of a segment that is none of the recent ones: by its key, or a new one."""
        name: bytes = name_of(seg)
        found: Connection | None = self.table.get(name)
        if found is None:
            if self.max_connections > 0 and self.live >= self.max_connections:
                self._evict()
            return self._create(name, seg)
        self._remember(found)
        return found

    def _remember(self, conn: Connection) -> None:
        """The next segments are likely to belong to this connection."""
        if conn.source >= 0:
            self.recent[slot_of(conn.source, conn.target)] = conn

    def _create(self, name: bytes, seg: Segment) -> Connection:
        """A new connection, with its number and the roles of its sides (row O11)."""
        roles: i64
        from_client: bool = True
        if seg.flags & (SYN | ACK) == SYN:
            roles = ROLES_SYN
        elif seg.flags & SYN != 0:
            roles = ROLES_SYN_ACK
            from_client = False
        else:
            source: bool = is_service(seg.src_port)
            destination: bool = is_service(seg.dst_port)
            if source != destination:
                roles = ROLES_PORT
                from_client = destination
            elif source and destination and seg.src_port != seg.dst_port:
                roles = ROLES_PORT
                from_client = seg.dst_port < seg.src_port
            else:
                roles = ROLES_FIRST_SEEN
        from_lower: bool = (seg.key == name) == from_client
        number: i64 = self.streams
        continued: bool = False
        if seg.flags & (SYN | ACK) != SYN:
            # A late segment of a connection that was judged already keeps its number, as in Wireshark.
            before: i64 = self.ended.number_of(name)
            if before >= 0:
                number = before
                continued = True
        if not continued:
            self.streams += 1
        alone: bool = seg.flags & (SYN | ACK | FIN | RST) == SYN
        conn: Connection = Connection(number, name, from_lower, roles, seg.frame, seg.time_ns, alone)
        if seg.source >= 0:
            conn.source = seg.source if from_client else seg.target
            conn.target = seg.target if from_client else seg.source
        conn.continued = continued
        conn.secrets = self.secrets
        conn.encapsulation = i32(seg.encapsulation)
        self.table[name] = conn
        self._remember(conn)
        self.live += 1
        if roles == ROLES_SYN:
            conn.listener = self.listeners.called(seg)
        return conn

    def _is_new(self, conn: Connection, side: i64, seg: Segment) -> bool:
        """A SYN on a known pair of ports: a repetition has the number of the first one."""
        me: Endpoint = conn.side(side)
        if me.isn >= 0:
            return seg.seq != me.isn
        if me.base >= 0:
            return (seg.seq + 1) & 0xFFFFFFFF != me.base
        return False

    def _reuse(self, old: Connection, side: i64, seg: Segment) -> Connection:
        """A new connection on the ports of an old one (row T4)."""
        reuse: i64 = ending.reuse_code(old, side, seg, self.msl_ns)
        since: i64 = seg.time_ns - (old.closed_time if old.closed else old.last_time)
        old.note(PORTS_REUSED, side, seg.frame, seg.time_ns, old.last_frame, since, reuse)
        old.reused_by = self.streams
        self._forget_keys(old)
        if old.previous is not None:
            self._hand_over(old.previous, END_REUSED)
            old.previous = None
        keep: bool = not old.closed or old.client.state == TIME_WAIT or old.server.state == TIME_WAIT
        if not keep:
            self._hand_over(old, END_REUSED)
        elif not old.closed and old.client.state >= ESTABLISHED:
            old.note(SYN_IN_CONNECTION, side, seg.frame, seg.time_ns, 0, seg.seq, 0)
        elif not old.closed and old.server.state == SYN_RECEIVED:
            old.note(SYN_WHILE_OPENING, side, seg.frame, seg.time_ns, old.server.syn_last_frame, seg.seq, 0)
        conn: Connection = self._create(name_of(seg), seg)
        if keep:
            conn.previous = old
        return conn

    def _choose(self, conn: Connection, side: i64, seg: Segment) -> Connection:
        """After a SYN on the ports of a connection that still had state: is a segment for the new one or for the old one?"""
        old: Connection | None = conn.previous
        if old is None:
            return conn
        if conn.server.state >= ESTABLISHED and conn.client.state >= ESTABLISHED and conn.client.segments > 1:
            conn.previous = None
            self._hand_over(old, END_REUSED)
            return conn
        old_side: i64 = side if old.from_lower == conn.from_lower else 1 - side
        me: Endpoint = conn.side(side)
        peer: Endpoint = conn.side(1 - side)
        before: Endpoint = old.side(old_side)
        if seg.flags & SYN != 0:
            opener: Endpoint = old.side(1 - old_side)
            if side == SERVER and seg.ack != peer.nxt and opener.state == SYN_SENT and seg.ack == opener.nxt:
                return old  # the answer to a stale SYN (figure 8)
            if side == SERVER and old.closed:
                # The new SYN is accepted: it ends TIME-WAIT (RFC 9293 section 3.6.1, MAY-2).
                old.reuse_accepted = True
                old.client.move(REOPEN, conn.first_frame, conn.first_time)
                old.server.move(REOPEN, conn.first_frame, conn.first_time)
            return conn
        if me.nxt >= 0 and seg.seq == me.nxt:
            return conn
        if seg.flags & RST != 0 and seg.flags & ACK != 0 and seg.ack == peer.nxt:
            return conn
        if before.nxt < 0:
            return conn
        distance: i64 = diff(seg.seq, before.nxt)
        if distance > -NEAR and distance < NEAR:
            if seg.length == 0 and seg.flags & (RST | FIN) == 0 and side == SERVER:
                waiting: Endpoint = old.side(1 - old_side)
                if seg.ack == waiting.una and old.count_of(CHALLENGE_ACK, NOBODY) == 0:
                    machine.challenge(old, old_side, seg, conn.client.syn_last_frame)
            return old
        return conn

    def _forget_keys(self, conn: Connection) -> None:
        """Take a connection out of the table."""
        self.table.pop(conn.name, None)
        slot: i64 = slot_of(conn.source, conn.target)
        if self.recent[slot] is conn:
            self.recent[slot] = self.nobody

    def _hand_over(self, conn: Connection, reason: i64) -> None:
        """A connection is over: complete its facts and give it away."""
        self.live -= 1
        passed_over: bool = conn.quiet and self.outlook.pass_over(conn)
        if not passed_over:
            conn.end_reason = u8(reason)
            ending.finish(conn, self.now, self.msl_ns)
        if reason != END_CAPTURE and reason != END_REUSED:
            self.ended.add(conn.name, conn.stream)
        if not passed_over:
            self.sink(conn)

    def _sweep(self) -> None:
        """Hand over what is closed and past 2 MSL, or idle too long. Paid for by at least as many segments as it visits."""
        self.next_sweep = self.now + SWEEP_INTERVAL_NS
        self.since_sweep = 0
        over: list[Connection] = []
        for conn in self.table.values():
            if self._is_over(conn):
                over.append(conn)
        for conn in over:
            self._end(conn, END_CLOSED if conn.closed else END_IDLE)

    def _is_over(self, conn: Connection) -> bool:
        """Closed for 2 MSL, or silent for longer than any back-off or keep-alive."""
        idle: i64 = self.now - conn.last_time
        if conn.closed:
            return idle > 2 * self.msl_ns
        if conn.client.state < ESTABLISHED or conn.server.state < ESTABLISHED:
            return idle > IDLE_OPENING_NS
        return idle > IDLE_OPEN_NS

    def _end(self, conn: Connection, reason: i64) -> None:
        """Judge a connection before the capture's end, with the older one that waits behind it."""
        self._forget_keys(conn)
        old: Connection | None = conn.previous
        conn.previous = None
        if old is not None:
            self._hand_over(old, reason)
        self._hand_over(conn, reason)

    def _evict(self) -> None:
        """Too many live connections: judge a tenth of them, the longest idle ones, early."""
        self._sweep()
        if self.live < self.max_connections:
            return
        everyone: list[Connection] = list(self.table.values())
        everyone.sort(key=_last_time)
        count: i64 = self.max_connections // 10 + 1
        for conn in everyone[:count]:
            self.evicted += 1
            self._end(conn, END_EVICTED)


def slot_of(source: i64, target: i64) -> i64:
    """The same for both directions; others for neighbouring addresses and ports, which a prime spreads over all bits."""
    both: i64 = source + target  # below 2**49
    return (both * 7919 >> 10) & (RECENT - 1)


def _leave(connections: list[Connection]) -> None:
    """Let these objects be until the process ends: taking a hundred thousand of them apart costs a tenth of the analysis.

    A list that holds itself is freed by Python's collector alone, which does not run where the process ends (cli.main).
    """
    forever: list[object] = []
    forever.append(forever)
    forever.extend(connections)


def _stream(conn: Connection) -> int:
    """Sort key: the number."""
    return conn.stream


def _last_time(conn: Connection) -> int:
    """Sort key: the longest idle first."""
    return conn.last_time
