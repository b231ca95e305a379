"""Where the time of one connection went, and what was timed on the way: the records that :mod:`tcpscope.state.timing` fills.

Made when a second kind of segment comes, so that a SYN that nobody answers costs nothing. Times and durations are nanoseconds.
"""

from __future__ import annotations

from mypy_extensions import i32, i64, mypyc_attr

from tcpscope.state.facts import NOBODY
from tcpscope.state.quantiles import Quantiles, collected


@mypyc_attr(acyclic=True)
class SideTiming:
    """What one side spent, and what was timed of the data that it sent."""

    def __init__(self) -> None:
        self.thinking: i64 = 0  # its program had the word and said nothing
        self.transfer: i64 = 0  # it sent data
        self.loss: i64 = 0  # it waited for what it then sent again, or for the answer to that
        self.window: i64 = 0  # it could not send: the other side's window was full or closed
        self.longest_wait: i64 = 0  # that the other side had for its answer (or greeting), the path not counted
        self.wait_began: i64 = 0  # frame of the other side's latest data before that (0: none)
        self.wait_ended: i64 = 0  # frame of the answer, or of what ended the wait for it
        self.losses: i32 = 0  # episodes: retransmissions until all that was sent before them is acknowledged
        self.loss_flight_min: i32 = -1  # bytes in flight when an episode began
        self.loss_flight_max: i32 = -1
        self.wait_answered: bool = False
        self.wait_proved: bool = False  # an ACK of its own shows that it had the other side's data


@mypyc_attr(acyclic=True)
class Timing:
    """The shares of one connection's life. Everything up to ``mark`` is given to one of them; see docs/numbers.md."""

    def __init__(self, begin: i64) -> None:
        self.client: SideTiming = SideTiming()
        self.server: SideTiming = SideTiming()
        self.network: i64 = 0
        self.idle: i64 = 0
        self.mark: i64 = begin
        # The message under way: new data (or FIN) of one side, until the other side says something new
        self.owner: i64 = NOBODY
        self.latest: i64 = 0  # time of its latest segment
        self.quiet: i64 = 0  # since when all of it is acknowledged; 0: it is not
        self.asked_from: i64 = 0  # where that message begins, in 64 bits
        self.blocked: i64 = NOBODY  # who cannot send for want of window
        self.recovering: i64 = NOBODY  # who has sent something again that is not acknowledged yet
        self.recover: i64 = 0  # its highest sequence number then
        self.exchanges: i64 = 0  # messages of the client that the server answered
        # From the end of such a message to the first data of the answer. The first one has no record of its own.
        self.first_response: i64 = -1
        self.more_responses: Quantiles | None = None  # all, once there are two
        # Small ones last, side by side: they would each take as much room as a large one.
        self.open: bool = False  # a segment without SYN was seen
        self.special: bool = True  # the next segment needs a closer look: opening, recovery or a closed window
        self.owes: bool = False  # the client has asked, the server has not answered
        self.refused_answer: bool = False  # an RST came instead of the answer

    @property
    def responses(self) -> Quantiles | None:
        """How long answers took; None without any."""
        if self.more_responses is None and self.first_response >= 0:
            return collected(self.first_response)
        return self.more_responses

    def side(self, side: i64) -> SideTiming:
        """The part of a side."""
        return self.client if side == 0 else self.server
