"""The path of one side through the states of RFC 9293 section 3.3.2, packed: of short connections there are many."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i64, mypyc_attr

from tcpscope.state.transitions import UNKNOWN

MAX_STEPS: Final = 64  # of a state path; a real one has at most ten, an attacker's any number
PAST: Final = 4  # entries of a Past


@mypyc_attr(acyclic=True)
class Step:
    """One entry of a state path: the state entered, the frame that made the side enter it (0: not captured) and its time."""

    def __init__(self, state: int, frame: int, time_ns: int) -> None:
        self.state: int = state
        self.frame: int = frame
        self.time_ns: int = time_ns


@mypyc_attr(acyclic=True)
class Past:
    """Up to four entries of a state path in one object, as many as most sides have between their first and their latest."""

    def __init__(self, before: Past | None) -> None:
        self.before: Past | None = before
        self.frame0: i64 = 0
        self.frame1: i64 = 0
        self.frame2: i64 = 0
        self.frame3: i64 = 0
        self.time0: i64 = 0
        self.time1: i64 = 0
        self.time2: i64 = 0
        self.time3: i64 = 0
        self.state0: i16 = UNKNOWN
        self.state1: i16 = UNKNOWN
        self.state2: i16 = UNKNOWN
        self.state3: i16 = UNKNOWN
        self.used: i16 = 0

    def add(self, state: i16, frame: i64, time_ns: i64) -> None:
        """One entry more. Only while there is room."""
        if self.used == 0:
            self.state0 = state
            self.frame0 = frame
            self.time0 = time_ns
        elif self.used == 1:
            self.state1 = state
            self.frame1 = frame
            self.time1 = time_ns
        elif self.used == 2:
            self.state2 = state
            self.frame2 = frame
            self.time2 = time_ns
        else:
            self.state3 = state
            self.frame3 = frame
            self.time3 = time_ns
        self.used += 1

    @property
    def latest(self) -> i16:
        """The state of the latest entry."""
        if self.used == 1:
            return self.state0
        if self.used == 2:
            return self.state1
        return self.state2 if self.used == 3 else self.state3

    @property
    def entries(self) -> list[Step]:
        """All of them, in order."""
        every: list[Step] = [
            Step(self.state0, self.frame0, self.time0),
            Step(self.state1, self.frame1, self.time1),
            Step(self.state2, self.frame2, self.time2),
            Step(self.state3, self.frame3, self.time3),
        ]
        return every[: self.used]
