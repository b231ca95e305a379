"""The numbers of one finished connection: where its time went, round trips, responses, rates, what was negotiated.

Durations are nanoseconds, rates bytes a second. None: the capture cannot tell. docs/numbers.md defines each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.rules.verdicts import transfer_of
from tcpscope.state.durations import SideTiming, Timing
from tcpscope.state.endpoint import OPTION_ECN, OPTION_SACK, OPTION_SCALE, OPTION_TIMESTAMPS, Endpoint
from tcpscope.state.quantiles import Quantiles

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

SECOND_NS: Final = 1_000_000_000


class Spread(NamedTuple):
    """A number of samples: the shortest and the longest are exact, median and 95 % within 1.6 % (see Quantiles)."""

    samples: int = 0
    min_ns: int | None = None
    median_ns: int | None = None
    p95_ns: int | None = None
    max_ns: int | None = None


NO_SAMPLES: Final = Spread()


class SideNumbers(NamedTuple):
    """What one side spent, and how fast it sent."""

    thinking_ns: int  # its program had the word and said nothing
    transfer_ns: int  # it sent data
    loss_ns: int  # it waited for what it then sent again, or for the answer to that
    window_ns: int  # it could not send: the other side's window was full or closed
    longest_silence_ns: int  # between two of its segments
    data_ns: int | None  # from its first data to its last
    throughput: float | None  # all its payload over the life of the connection
    goodput: float | None  # without what it sent again
    retransmitted_share: float | None  # of its segments with data
    losses: int  # episodes: from a retransmission until all sent before it is acknowledged
    min_flight_at_loss: int | None
    max_flight_at_loss: int | None
    stamp_rtt: Spread  # round trips by timestamps


class Negotiated(NamedTuple):
    """The options that both SYNs agree on; None where one of the two was not captured."""

    window_scaling: bool | None
    sack: bool | None
    timestamps: bool | None
    ecn: bool | None


class Numbers(NamedTuple):
    """All of them. ``life_ns`` is the time from the first to the last segment, and the sum of :meth:`shares`."""

    life_ns: int
    network_ns: int
    idle_ns: int
    client: SideNumbers
    server: SideNumbers
    responses: Spread  # from the end of a message of the client to the first data of the answer
    rtt_to_server_ns: int | None  # SYN to SYN-ACK: from the capture point to the server and back
    rtt_to_client_ns: int | None  # SYN-ACK to ACK
    negotiated: Negotiated

    def shares(self) -> dict[str, int]:
        """Where the time went: seven shares that add up to the life of the connection."""
        return {
            "client_thinking": self.client.thinking_ns,
            "server_thinking": self.server.thinking_ns,
            "network": self.network_ns,
            "transfer": self.client.transfer_ns + self.server.transfer_ns,
            "loss": self.client.loss_ns + self.server.loss_ns,
            "window": self.client.window_ns + self.server.window_ns,
            "idle": self.idle_ns,
        }


def numbers_of(conn: Connection) -> Numbers:
    """The numbers of a finished connection."""
    timing = conn.timing or Timing(0)
    life = conn.last_time - conn.first_time
    to_server, to_client = handshake_round_trips(conn)
    return Numbers(
        life,
        timing.network,
        timing.idle,
        _side(conn.client, timing.client, life),
        _side(conn.server, timing.server, life),
        spread(timing.responses),
        to_server,
        to_client,
        negotiated(conn),
    )


def handshake_round_trips(conn: Connection) -> tuple[int | None, int | None]:
    """From the capture point to the server and back, and to the client and back, where nothing was sent twice (Karn)."""
    client, server = conn.client, conn.server
    if not (client.syn_frame and server.syn_frame) or conn.simultaneous_open:
        return None, None
    to_server = server.syn_time - client.syn_time if client.syn_count == 1 else None
    to_client = conn.ack_time - server.syn_time if server.syn_count == 1 and conn.ack_frame else None
    return (
        None if to_server is not None and to_server < 0 else to_server,
        None if to_client is not None and to_client < 0 else to_client,
    )


def negotiated(conn: Connection) -> Negotiated:
    """What both sides may use (RFC 7323 section 1.3, RFC 2018 section 2, RFC 3168 section 6.1.1)."""
    known = conn.client.syn_frame and conn.server.syn_frame
    both = conn.client.syn_options & conn.server.syn_options

    def agreed(option: int) -> bool | None:
        return bool(both & option) if known else None

    return Negotiated(agreed(OPTION_SCALE), agreed(OPTION_SACK), agreed(OPTION_TIMESTAMPS), agreed(OPTION_ECN))


def spread(samples: Quantiles | None) -> Spread:
    """The samples of a sketch in five numbers."""
    if samples is None or samples.count == 0:
        return NO_SAMPLES
    if samples.minimum == samples.maximum:
        return Spread(samples.count, samples.minimum, samples.minimum, samples.minimum, samples.minimum)
    return Spread(samples.count, samples.minimum, samples.quantile(1, 2), samples.quantile(95, 100), samples.maximum)


def _side(end: Endpoint, timing: SideTiming, life: int) -> SideNumbers:
    transfer = transfer_of(end)
    sent: int = transfer.payload_bytes
    new: int = transfer.unique_bytes
    segments: int = transfer.payload_segments
    again: int = transfer.trouble.retransmitted_segments
    return SideNumbers(
        timing.thinking,
        timing.transfer,
        timing.loss,
        timing.window,
        end.silence,
        max(0, transfer.last_data_time - transfer.first_data_time) if segments else None,
        float(sent) * SECOND_NS / life if life > 0 else None,
        float(new) * SECOND_NS / life if life > 0 else None,
        float(again) / segments if segments else None,
        timing.losses,
        None if timing.loss_flight_min < 0 else timing.loss_flight_min,
        None if timing.loss_flight_max < 0 else timing.loss_flight_max,
        spread(transfer.stamp_rtt),
    )
