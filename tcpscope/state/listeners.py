"""Half-open connections per listener over time (row O8): how many SYNs wait for their handshake to complete."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.segment import ABSENT, Segment

MAX_LISTENERS: Final = 65_536


class Listener:
    """One server address and port. ``half_open``: SYN-ACK sent, third segment missing; ``pending``: SYN seen, not finished."""

    def __init__(self, address: bytes, port: i64) -> None:
        self.address: bytes = address
        self.port: i64 = port
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
        self.by_end: dict[int, Listener] = {}  # those of IPv4, by the number of their end
        self.latest: Listener | None = None  # that of the number ``latest_end``
        self.latest_end: i64 = ABSENT
        self.not_tracked: i64 = 0

    def called(self, seg: Segment) -> Listener | None:
        """The listener that a SYN addresses; often that of the SYN before."""
        if seg.target < 0 or seg.target != self.latest_end:
            end: int = seg.target
            found: Listener | None = self.by_end.get(end)
            if found is None:
                found = self.find(seg.key)
                if found is not None and seg.target >= 0:
                    self.by_end[end] = found
            self.latest = found
            self.latest_end = seg.target
        elif self.latest is None:
            self.not_tracked += 1
        return self.latest

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
