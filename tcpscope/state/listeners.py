"""Half-open connections per listener over time (row O8): how many SYNs wait for their handshake to complete."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.segment import ABSENT, Segment

MAX_LISTENERS: Final = 65_536
SLOTS: Final = 251  # a prime: ends that differ in their port or in one octet get others


class Listener:
    """One server address and port. ``half_open``: SYN-ACK sent, third segment missing; ``pending``: SYN seen, not finished."""

    def __init__(self, address: bytes, port: i64) -> None:
        self.address: bytes = address
        self.port: i64 = port
        self.end: i64 = ABSENT  # both as one number, for IPv4
        self.syns: i64 = 0
        self.completed: i64 = 0
        self.refused: i64 = 0
        self.ignored: i64 = 0  # connections whose SYN-ACK was repeated twice after the client had acknowledged it
        self.timed_out: i64 = 0  # judged while still half-open or unanswered
        self.half_open_now: i64 = 0
        self.half_open_peak: i64 = 0
        self.pending_now: i64 = 0
        self.pending_peak: i64 = 0
        self.peak_time: i64 = 0
        self.peak_frame: i64 = 0
        self.first_time: i64 = 0
        self.first_frame: i64 = 0

    def syn(self, frame: i64, time_ns: i64) -> None:
        """A new SYN arrived."""
        if self.syns == 0:
            self.first_time = time_ns
            self.first_frame = frame
        self.syns += 1
        self.pending_now += 1
        if self.pending_now > self.pending_peak:
            self.pending_peak = self.pending_now
            self.peak_time = time_ns
            self.peak_frame = frame

    def answered(self) -> None:
        """The listener sent a SYN-ACK: one more entry in its SYN queue."""
        self.half_open_now += 1
        if self.half_open_now > self.half_open_peak:
            self.half_open_peak = self.half_open_now


class Listeners:
    """All listeners by address and port, at most MAX_LISTENERS (further ones are only counted)."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, Listener] = {}
        # One listener of IPv4 a slot: mostly that of the next SYN, which then needs no key.
        self.recent: list[Listener] = [Listener(b"", 0)] * SLOTS
        self.not_tracked: i64 = 0

    def called(self, seg: Segment) -> Listener | None:
        """The listener that a SYN addresses; None where it is one too many."""
        if seg.target < 0:
            return self.find(seg.key)
        slot: i64 = seg.target % SLOTS
        known: Listener = self.recent[slot]
        if known.end == seg.target:
            return known
        found: Listener | None = self.find(seg.key)
        if found is not None:
            found.end = seg.target
            self.recent[slot] = found
        return found

    def find(self, key: bytes) -> Listener | None:
        """The listener at the second end of a flow key."""
        half: i64 = 4 if len(key) == 12 else 16
        name: bytes = key[half : 2 * half] + key[2 * half + 2 :]
        found: Listener | None = self.by_key.get(name)
        if found is None:
            if len(self.by_key) >= MAX_LISTENERS:
                self.not_tracked += 1
                return None
            high: i64 = key[2 * half + 2]
            low: i64 = key[2 * half + 3]
            found = Listener(key[half : 2 * half], high * 256 + low)
            self.by_key[name] = found
        return found
