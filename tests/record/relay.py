"""The wire between the two namespaces: forwards frames, impairs chosen segments, writes the capture."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from collections.abc import Callable, Sequence

from . import wire
from .files import Writer

CLIENT, SERVER = 0, 1


class Rule:
    """What happens to the segments that `match`: after `skip` of them, the next `count` get the delays in `extra`.

    Each extra delay (seconds on top of the path's own) is one delivery: () drops, (0.3,) delays, (0, 0.001) duplicates.
    None holds the segment until Relay.release().
    """

    def __init__(self, match: wire.Match, extra: tuple[float, ...] | None, count: int = 1, skip: int = 0) -> None:
        self.match = match
        self.extra = extra
        self.count = count
        self.skip = skip
        self.hits = 0

    def takes(self, segment: wire.Segment) -> bool:
        if self.count == 0 or not self.match(segment):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.count -= 1
        self.hits += 1
        return True


class Varying(Rule):
    """A delay that changes from segment to segment."""

    def __init__(self, match: wire.Match, seconds: Sequence[float]) -> None:
        super().__init__(match, (), -1)
        self.times = itertools.cycle(seconds)

    def takes(self, segment: wire.Segment) -> bool:
        taken = super().takes(segment)
        if taken:
            self.extra = (next(self.times),)
        return taken


class Relay(threading.Thread):
    """Forwards between two tap (or tun) descriptors until stop().

    `point` is where the capture is taken: "client" (as its host sees it), "server", "middle" (on arrival at the relay,
    before it impairs), or "both" (interface 0 at the client, interface 1 at the server). `keep`, if set, says which
    segments are written; `recording` set to False writes none.
    """

    def __init__(self, descriptors: tuple[int, int], delay: float, point: str, link: int) -> None:
        super().__init__(name="relay", daemon=True)
        self.descriptors = descriptors
        self.delay = delay
        self.point = point
        self.link = link
        self.writer: Writer | None = None
        self.recording = True
        self.keep: wire.Match | None = None
        self.seen: list[wire.Segment] = []
        self.failure: BaseException | None = None
        self._rules: list[Rule] = []
        self._watches: list[Callable[[wire.Segment], object]] = []
        self._due: list[tuple[float, int, int, bytes]] = []
        self._held: list[tuple[int, bytes]] = []
        self._order = 0
        self._lock = threading.RLock()
        self._wake = os.pipe()
        self._running = True

    def drop(self, match: wire.Match, count: int = 1, skip: int = 0) -> Rule:
        return self.add(Rule(match, (), count, skip))

    def hold(self, match: wire.Match, count: int = 1, skip: int = 0) -> Rule:
        return self.add(Rule(match, None, count, skip))

    def slow(self, match: wire.Match, seconds: float, count: int = 1, skip: int = 0) -> Rule:
        return self.add(Rule(match, (seconds,), count, skip))

    def vary(self, match: wire.Match, seconds: Sequence[float]) -> Rule:
        """Delay every segment, by one of these times after the other, over and over."""
        return self.add(Varying(match, seconds))

    def duplicate(self, match: wire.Match, seconds: float, count: int = 1, skip: int = 0) -> Rule:
        return self.add(Rule(match, (0.0, seconds), count, skip))

    def add_watch(self, look: Callable[[wire.Segment], object]) -> None:
        """Have `look` called for every segment that arrives at the relay."""
        self._watches.append(look)

    def add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Take all rules away; what they hold stays held."""
        with self._lock:
            self._rules.clear()

    def release(self) -> None:
        """Deliver everything that is held, in the order of its arrival."""
        with self._lock:
            for receiver, frame in self._held:
                self._push(receiver, frame, self.delay)
            self._held.clear()
        os.write(self._wake[1], b"x")

    def inject(self, receiver: int, frame: bytes) -> None:
        """Deliver a frame of our own making, as if the network had kept it until now."""
        with self._lock:
            self._push(receiver, frame, 0.0)
        os.write(self._wake[1], b"x")

    def stop(self) -> None:
        self._running = False
        os.write(self._wake[1], b"x")
        self.join(5)
        for end in self._wake:
            os.close(end)

    def run(self) -> None:
        try:
            while self._running:
                wait = self._due[0][0] - time.monotonic() if self._due else 1.0
                ready, _, _ = select.select([*self.descriptors, self._wake[0]], [], [], max(wait, 0.0))
                for descriptor in ready:
                    if descriptor == self._wake[0]:
                        os.read(descriptor, 64)
                    else:
                        self._arrived(self.descriptors.index(descriptor))
                self._deliver()
        except BaseException as problem:  # the scenario's thread reports it
            self.failure = problem

    def _arrived(self, sender: int) -> None:
        frame = os.read(self.descriptors[sender], 65536)
        segment = wire.parse(frame, sender == CLIENT, self.link)
        self._record(sender, frame, segment, leaving=True)
        extra: tuple[float, ...] | None = (0.0,)
        with self._lock:
            if segment is not None:
                self.seen.append(segment)
                for look in self._watches:
                    look(segment)
                extra = next((rule.extra for rule in self._rules if rule.takes(segment)), extra)
            if extra is None:
                self._held.append((1 - sender, frame))
            else:
                for seconds in extra:
                    self._push(1 - sender, frame, self.delay + seconds)

    def _push(self, receiver: int, frame: bytes, seconds: float) -> None:
        self._order += 1
        heapq.heappush(self._due, (time.monotonic() + seconds, self._order, receiver, frame))

    def _deliver(self) -> None:
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > time.monotonic():
                    return
                _, _, receiver, frame = heapq.heappop(self._due)
            self._record(receiver, frame, wire.parse(frame, receiver == SERVER, self.link), leaving=False)
            os.write(self.descriptors[receiver], frame)

    def _record(self, host: int, frame: bytes, segment: wire.Segment | None, leaving: bool) -> None:
        writer = self.writer
        if (
            writer is None
            or not self.recording
            or (self.keep is not None and segment is not None and not self.keep(segment))
        ):
            return
        if self.point == "both":
            interface = host
        elif self.point == "middle":
            if not leaving:
                return
            interface = 0
        elif host != ("client", "server").index(self.point):
            return
        else:
            interface = 0
        writer.write(interface, time.time_ns(), frame)
