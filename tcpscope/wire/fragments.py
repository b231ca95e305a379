"""IP fragments put together again (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5), within bounds.

A datagram is handed on at the fragment that completes it. Of octets that came twice the first copy counts; where the
copies differ, the receiver's choice cannot be known (an old way to get past filters), so the datagram is given up.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from mypy_extensions import i64

from tcpscope.wire.cursor import UPPER, Cursor
from tcpscope.wire.protocols import UDP, may_carry_tcp
from tcpscope.wire.skips import BAD_IP_HEADER, FRAGMENT
from tcpscope.wire.tunnel_udp import is_tunnel_datagram

TIMEOUT_NS: Final = 30_000_000_000
"""How long fragments wait for the others, by the capture's clock: as in Linux (RFC 8200: a minute)."""

MAX_DATAGRAMS: Final = 1024
MAX_HELD: Final = 4 << 20
"""Bytes that all waiting fragments may take; the datagram that has waited longest is given up first."""

OVERHEAD: Final = 128
"""What a fragment costs in memory besides its octets."""

MAX_PAYLOAD: Final = 65535


class Datagram:
    """The fragments of one datagram: ``pieces[n]`` begins at ``starts[n]``; they ascend and do not overlap."""

    def __init__(self, time_ns: i64, frame: i64) -> None:
        self.time_ns: i64 = time_ns  # of the fragment that came first
        self.frame: i64 = frame
        self.header: bytes = b""  # IP header of the fragment with offset 0
        self.protocol: i64 = 0  # what begins in that fragment
        self.starts: list[int] = []
        self.pieces: list[bytes] = []
        self.received: i64 = 0
        self.total: i64 = -1  # known once the last fragment has come
        self.held: i64 = 0
        self.dropped: bool = False  # contradictory, or without TCP: its fragments are not kept


class Reassembler:
    """All datagrams of a capture that wait for fragments, and what was noticed about them."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, Datagram] = {}  # in the order of their first fragments
        self.held: i64 = 0
        self.completed: i64 = 0
        self.incomplete: i64 = 0  # datagrams begun and not completed, for whatever reason
        self.expired: i64 = 0  # of these: waited for too long
        self.evicted: i64 = 0  # of these: given up because memory ran short
        self.conflicts: i64 = 0  # of these: given up because fragments contradicted each other
        self.overlaps: i64 = 0  # fragments that overlapped an earlier one, contradicting or not; not mere repetitions
        self.cut: i64 = 0  # fragments that the snap length cut, which are of no use
        self.first_overlap: i64 = 0  # frame of the first fragment that overlapped, 0 without
        self.first_given_up: i64 = 0  # frame in which the first datagram begins that waited too long or in vain
        self.first_cut: i64 = 0

    def first_incomplete(self) -> i64:
        """Frame in which the first datagram begins that lacks fragments so far; 0 without."""
        first: i64 = self.first_given_up
        for datagram in self.waiting.values():
            if not datagram.dropped and (first == 0 or datagram.frame < first):
                first = datagram.frame
        return first

    def add_ipv4(self, c: Cursor, o: i64, fragment: i64) -> i64:
        """Take the fragment whose payload is at ``o``; ``fragment`` are its flags and offset. NEXT if it was the last."""
        data: bytes = c.data
        ip: i64 = c.ip
        protocol: i64 = data[ip + 9]
        if not may_carry_tcp(protocol):
            return FRAGMENT
        key: bytes = data[ip + 12 : ip + 20] + data[ip + 4 : ip + 6] + data[ip + 9 : ip + 10]
        return self._add(c, key, data[ip:o], protocol, o, (fragment & 0x1FFF) << 3, fragment & 0x2000 != 0)

    def add_ipv6(self, c: Cursor) -> i64:
        """Take the fragment whose fragment header is at ``c.o``; what lies between it and the IP header is left out."""
        data: bytes = c.data
        ip: i64 = c.ip
        o: i64 = c.o
        high: i64 = data[o + 2]
        low: i64 = data[o + 3]
        key: bytes = data[ip + 8 : ip + 40] + data[o + 4 : o + 8]
        return self._add(c, key, data[ip : ip + 40], data[o], o + 8, high << 8 | (low & 0xF8), low & 1 != 0)

    def _add(self, c: Cursor, key: bytes, header: bytes, protocol: i64, o: i64, start: i64, more: bool) -> i64:
        if c.end < c.stop:
            self.cut += 1
            if self.first_cut == 0:
                self.first_cut = c.number
            return FRAGMENT
        size: i64 = c.stop - o
        if more:
            size &= ~7  # offsets count in units of eight octets, so the rest has no place
        if start + size > MAX_PAYLOAD:
            return BAD_IP_HEADER
        if size <= 0:
            return FRAGMENT
        datagram: Datagram = self._find(key, c.time_ns, c.number)
        if datagram.dropped:
            return FRAGMENT
        if start == 0 and not datagram.header:
            datagram.header = header
            datagram.protocol = protocol
            if not of_interest(c.data, o, size, protocol):
                self._drop(datagram)
                self.incomplete -= 1
                return FRAGMENT
        if not self._insert(datagram, start, c.data[o : o + size], more, c.number):
            self._drop(datagram)
            self.conflicts += 1
            return FRAGMENT
        if datagram.received != datagram.total:
            self._bound()
            return FRAGMENT
        del self.waiting[key]
        self.held -= datagram.held
        self.completed += 1
        self.incomplete -= 1
        return resume(c, datagram)

    def _find(self, key: bytes, now: i64, frame: i64) -> Datagram:
        """The datagram of ``key``, begun if there is none yet; drops those that have waited for too long."""
        while self.waiting:
            oldest: bytes = next(iter(self.waiting))
            if now - self.waiting[oldest].time_ns <= TIMEOUT_NS:
                break
            self._expire(oldest)
        found: Datagram | None = self.waiting.get(key)
        if found is not None:
            # The clock of a capture may step back, too; an identification is soon used again.
            if -TIMEOUT_NS <= now - found.time_ns <= TIMEOUT_NS:
                return found
            self._expire(key)
        made: Datagram = Datagram(now, frame)
        self.waiting[key] = made
        self.incomplete += 1
        return made

    def _insert(self, d: Datagram, start: i64, piece: bytes, more: bool, number: i64) -> bool:
        """Store what of ``piece`` is new. False if it contradicts what is there."""
        size: i64 = len(piece)
        end: i64 = start + size
        count: i64 = len(d.starts)
        highest: i64 = 0
        if count > 0:
            highest = d.starts[count - 1] + len(d.pieces[count - 1])
        fits: bool = (d.total < 0 or end <= d.total) if more else (end >= highest and (d.total < 0 or end == d.total))
        if not more:
            d.total = end
        n: i64 = bisect_left(d.starts, start)
        if n < count and d.starts[n] == start and d.pieces[n] == piece and fits:
            return True  # the same fragment again
        if n > 0 and d.starts[n - 1] + len(d.pieces[n - 1]) > start:
            n -= 1
        at: i64 = start
        overlaps: bool = not fits
        while at < end and fits:
            begin: i64 = d.starts[n] if n < count else end
            if begin > at:  # nobody has these octets yet
                upto: i64 = min(begin, end)
                d.starts.insert(n, at)
                d.pieces.insert(n, piece[at - start : upto - start])
                d.received += upto - at
                d.held += upto - at + OVERHEAD
                self.held += upto - at + OVERHEAD
                count += 1
            else:
                known: bytes = d.pieces[n]
                upto = min(begin + len(known), end)
                overlaps = True
                fits = known[at - begin : upto - begin] == piece[at - start : upto - start]
            at = upto
            n += 1
        if overlaps:
            self.overlaps += 1
            if self.first_overlap == 0:
                self.first_overlap = number
        return fits

    def _bound(self) -> None:
        """Give up the datagrams that have waited longest until the others fit into the bounds."""
        while self.waiting and (len(self.waiting) > MAX_DATAGRAMS or self.held > MAX_HELD):
            oldest: Datagram = self.waiting.pop(next(iter(self.waiting)))
            self.held -= oldest.held
            if not oldest.dropped:
                self.evicted += 1
                self._give_up(oldest)

    def _expire(self, key: bytes) -> None:
        old: Datagram = self.waiting.pop(key)
        self.held -= old.held
        if not old.dropped:
            self.expired += 1
            self._give_up(old)

    def _give_up(self, datagram: Datagram) -> None:
        if self.first_given_up == 0 or datagram.frame < self.first_given_up:
            self.first_given_up = datagram.frame

    def _drop(self, datagram: Datagram) -> None:
        """Keep none of its octets, but remember it: more of its fragments are to come."""
        self.held -= datagram.held
        datagram.held = 0
        datagram.starts = []
        datagram.pieces = []
        datagram.dropped = True
        self._bound()


def of_interest(data: bytes, o: i64, size: i64, protocol: i64) -> bool:
    """Whether TCP may be in a datagram that begins with these ``size`` octets; most UDP that comes in fragments has none."""
    if protocol == UDP and size >= 8:
        return is_tunnel_datagram(data, o)
    return may_carry_tcp(protocol)


def resume(c: Cursor, datagram: Datagram) -> i64:
    """Go on with the rebuilt packet: its first fragment's IP header and all of the payload."""
    header: bytes = datagram.header
    data: bytes = header + b"".join(datagram.pieces)
    size: i64 = len(data)
    c.data = data
    c.ip = 0
    c.end = size
    c.stop = size
    c.limit = size
    c.sized = True
    return c.to(UPPER, datagram.protocol, len(header))
