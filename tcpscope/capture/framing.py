"""What the capture formats have in common: a window over the chunks fed so far, the counters, the first damage.

No input or output happens here. The caller feeds chunks and calls ``advance`` until it says False; a record that
straddles two chunks is joined into a small buffer of its own, everything else is read where it lies.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame

ETHERNET: Final = 1

MAX_RECORD: Final = 262144
"""Captured bytes that one packet may claim; libpcap and Wireshark draw the same line (MAXIMUM_SNAPLEN)."""

NO_PACKET: Final = -1
"""Link type of a frame that is no packet at all, but a record of another kind that Wireshark numbers as a frame."""

MAX_TICKS_NS: Final = (1 << 62) - 1
"""Bound of times in nanoseconds (the year 2116): neither a sum nor a difference of two of them leaves 64 bits."""

NS_PER_SECOND: Final = 1000000000


class Interface:
    """One capture interface: ``link_type`` is a LINKTYPE_ number, ``snaplen`` 0 if unlimited, ``name`` "" if not told.
    ``fcs_length`` octets at the end of each of its frames are a frame check sequence.

    ``ticks_per_second`` is the resolution of its time stamps and ``offset_ns`` what is added to each of them. The two
    ``dropped`` counts are packets that the capturing side says it lost, -1 if it does not say.
    """

    def __init__(self, link_type: i64, snaplen: i64) -> None:
        self.link_type: i64 = link_type
        self.snaplen: i64 = snaplen
        self.name: str = ""
        self.fcs_length: i64 = 0
        self.ticks_per_second: int = 1000000
        self.offset_ns: i64 = 0
        self.dropped_in_all: i64 = -1  # by statistics of the whole capture
        self.dropped_before: i64 = -1  # summed over packets that tell what was lost right before them
        self.multiplier: i64 = 1000  # nanoseconds a tick; 0 if a tick is no whole number of nanoseconds
        self.divisor: i64 = 1  # ticks a nanosecond, where a tick is a shorter power of ten
        self.shift: i64 = -1  # the resolution 2**-shift seconds; -1 for powers of ten

    def set_resolution(self, code: i64) -> None:
        """Take over an ``if_tsresol`` octet: a negative power of ten, or of two if the top bit is set."""
        power: i64 = code & 0x7F
        self.multiplier = 0
        self.divisor = 1
        self.shift = -1
        if code & 0x80:
            self.ticks_per_second = 2**power
            self.shift = power
            return
        self.ticks_per_second = 10**power
        if power <= 9:
            while power < 9:
                self.divisor *= 10
                power += 1
            self.multiplier = self.divisor
            self.divisor = 1
        elif power <= 27:
            while power > 9:
                self.divisor *= 10
                power -= 1
        else:
            self.divisor = 0  # finer than any 64-bit count can tell apart from zero

    def set_offset(self, high: i64, low: i64) -> None:
        """Take over an ``if_tsoffset``: signed seconds, given as two 32-bit halves. Clamped to 146 years."""
        limit: i64 = MAX_TICKS_NS
        if high == 0xFFFFFFFF:
            self.offset_ns = max((low - 0x100000000) * NS_PER_SECOND, -limit)
        elif high == 0:
            self.offset_ns = min(low * NS_PER_SECOND, limit)
        else:
            self.offset_ns = limit if high < 0x80000000 else -limit

    def nanoseconds(self, high: i64, low: i64) -> i64:
        """Time of a 64-bit count of ticks, given as two 32-bit halves. What nanoseconds cannot hold is clamped.

        The count is unsigned by the specification, but one with its top bit set is later than 2037 at any resolution.
        Files that hold such counts mean times before 1970; read so, the distances between their packets stay right.
        """
        if high >= 0x80000000:
            high -= 0x100000000
        ticks: i64 = high * 0x100000000 + low
        limit: i64 = MAX_TICKS_NS
        ns: i64 = 0
        if self.multiplier > 0:
            most: i64 = limit // self.multiplier
            ns = max(min(ticks, most), -most) * self.multiplier
        elif self.shift < 0:
            ns = ticks // self.divisor if self.divisor > 0 else 0
        else:
            ns = binary_nanoseconds(ticks, self.shift)
        ns = max(min(ns, limit), -limit) + self.offset_ns
        return max(min(ns, limit), -limit)


def binary_nanoseconds(ticks: i64, shift: i64) -> i64:
    """Nanoseconds in ``ticks`` of 2**-shift seconds, rounded down, between plus and minus :data:`MAX_TICKS_NS`."""
    limit: i64 = MAX_TICKS_NS // NS_PER_SECOND
    bits: i64 = min(shift, 62)
    seconds: i64 = ticks >> bits
    fraction: i64 = ticks - (seconds << bits)
    if shift > 62:  # a count of 62 bits or more is less than a second
        seconds = 0
        fraction = ticks >> min(shift - 62, 62)
    seconds = max(min(seconds, limit), -limit)
    # 2**33 times 10**9 still fits in 63 bits; finer parts of a second are less than a nanosecond.
    if bits > 33:
        fraction >>= bits - 33
        bits = 33
    return seconds * NS_PER_SECOND + ((fraction * NS_PER_SECOND) >> bits)


def strip_fcs(frame: Frame, length: i64) -> None:
    """Take a frame check sequence of ``length`` octets off an Ethernet frame, as far as it was captured."""
    whole: i64 = frame.wire_length - length
    if frame.link_type == ETHERNET and whole >= 14 and frame.end - frame.start <= frame.wire_length:
        frame.wire_length = whole
        if frame.end - frame.start > whole:
            frame.end = frame.start + whole


class Framing:
    """Base of the format readers: ``data[pos:limit]`` can be read at once, ``base`` is the offset of ``data[0]``."""

    def __init__(self) -> None:
        self.data: bytes = b""
        self.pos: i64 = 0
        self.limit: i64 = 0
        self.base: i64 = 0
        self.queue: list[bytes] = []  # chunks behind ``data``, oldest first
        self.queue_head: i64 = 0  # bytes of the oldest one that are used already
        self.queue_size: i64 = 0  # bytes in the queue that are not used yet
        self.finished: bool = False
        self.ended: bool = False
        self.damage: str = ""
        self.damage_offset: i64 = -1
        self.frames: i64 = 0
        self.number_base: i64 = 0  # what is added to the numbers of frames
        self.untimed: i64 = 0
        self.truncated_frames: i64 = 0
        self.dropped: i64 = -1
        self.comments: i64 = 0
        self.secrets: list[bytes] = []
        self.interfaces: list[Interface] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the input; they are dropped if the reading has ended."""
        if self.ended:
            return
        if self.pos >= self.limit and self.queue_size == 0:
            self.base += self.pos
            self.data = data
            self.pos = 0
            self.limit = len(data)
        elif len(data) > 0:
            self.queue.append(data)
            self.queue_size += len(data)

    def take_over(self, other: Framing) -> None:
        """Go on where ``other`` stopped, with the input that it still holds."""
        self.data = other.data
        self.pos = other.pos
        self.limit = other.limit
        self.base = other.base
        self.queue = other.queue
        self.queue_head = other.queue_head
        self.queue_size = other.queue_size
        self.finished = other.finished
        self.number_base = other.number_base

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        return False

    def refill(self, need: i64) -> bool:
        """Make ``need`` bytes readable at ``pos``, copying only those of a record that straddles chunks."""
        left: i64 = self.limit - self.pos
        if left >= need:
            return True
        if left + self.queue_size < need:
            return False
        if left == 0:
            self._next_chunk()
            left = self.limit - self.pos
            if left >= need:
                return True
        parts: list[bytes] = [self.data[self.pos :]]
        used: i64 = 0
        while left < need:
            chunk: bytes = self.queue[used]
            take: i64 = len(chunk) - self.queue_head
            if take <= need - left:
                parts.append(chunk[self.queue_head :])
                self.queue_head = 0
                used += 1
            else:
                take = need - left
                parts.append(chunk[self.queue_head : self.queue_head + take])
                self.queue_head += take
            self.queue_size -= take
            left += take
        if used > 0:
            del self.queue[:used]
        self.base += self.pos
        self.data = b"".join(parts)
        self.pos = 0
        self.limit = left
        return True

    def grow(self, step: i64) -> bool:
        """Make up to ``step`` bytes more readable behind ``limit``; False if none are there (yet)."""
        if self.queue_size == 0:
            return False
        return self.refill(self.limit - self.pos + min(step, self.queue_size))

    def drop(self, count: i64) -> i64:
        """Step over up to ``count`` bytes without keeping them; returns how many of them have not been fed yet."""
        while True:
            left: i64 = self.limit - self.pos
            if left >= count:
                self.pos += count
                return 0
            self.pos = self.limit
            count -= left
            if self.queue_size == 0:
                return count
            self._next_chunk()

    def fail(self, text: str, offset: i64) -> bool:
        """Note the damage that ends the reading, and return False for ``advance``."""
        self.damage = text
        self.damage_offset = offset
        self.ended = True
        return False

    def starved(self, what: str, need: i64) -> bool:
        """Return False for ``advance`` because ``need`` bytes are not there; at the end of the input, say why not."""
        if not self.finished:
            return False
        have: i64 = self.limit - self.pos + self.queue_size
        if have > 0:
            offset: i64 = self.base + self.pos
            return self.fail(f"cut inside {what} at byte {offset} ({have} of {need} bytes present)", offset)
        self.ended = True
        return False

    def _next_chunk(self) -> None:
        self.base += self.pos - self.queue_head
        self.data = self.queue.pop(0)
        self.pos = self.queue_head
        self.limit = len(self.data)
        self.queue_head = 0
        self.queue_size -= self.limit - self.pos
