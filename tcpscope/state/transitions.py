"""The state machine of RFC 9293 as one literal table: (state, event, next state, RFC section).

Rule 1: every change of an endpoint's state is a row of this table, and only :func:`next_state` answers what it is;
``Endpoint.move`` in :mod:`tcpscope.state.endpoint` is the only code that writes a state.
Rule 2: the table does not know which side it serves; both ends use the same rows.

An observer is not a stack. What a side *sends* is an event when the capture shows it. What a side *receives* is an event
when the capture proves that it arrived: a SYN or FIN once the receiver acknowledges it (the step is dated to the frame
that arrived, as in figures 6 and 12 of the RFC), a bare ACK or RST when it is seen, until the receiver's later behaviour
contradicts it. The rows marked OBSERVER exist for that, and for captures that begin in the middle.

A pair that is not in the table changes nothing: it is an observation for the caller to record, never an error here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i64

CLOSED: Final = 0
LISTEN: Final = 1
SYN_SENT: Final = 2
SYN_RECEIVED: Final = 3
ESTABLISHED: Final = 4
FIN_WAIT_1: Final = 5
FIN_WAIT_2: Final = 6
CLOSE_WAIT: Final = 7
CLOSING: Final = 8
LAST_ACK: Final = 9
TIME_WAIT: Final = 10
UNKNOWN: Final = 11  # the observer's own: the capture has not proved any state yet

STATE_NAMES: Final = (
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
    "unknown",
)

PASSIVE_OPEN: Final = 0
SEND_SYN: Final = 1
RECEIVE_SYN: Final = 2
RECEIVE_SYN_ACK: Final = 3
RECEIVE_ACK_OF_SYN: Final = 4
SEND_FIN: Final = 5
RECEIVE_FIN: Final = 6
RECEIVE_ACK_OF_FIN: Final = 7
TIMEOUT_2MSL: Final = 8
SEND_RST: Final = 9
RECEIVE_RST: Final = 10
RECEIVE_RST_PASSIVE: Final = 11
CLOSE: Final = 12
REPEAT_SYN_ACK: Final = 13
REPEAT_FIN: Final = 14
REOPEN: Final = 15
SYNCHRONISED: Final = 16

EVENT_NAMES: Final = (
    "passive OPEN",
    "send SYN",
    "receive SYN",
    "receive SYN,ACK",
    "receive ACK of SYN",
    "send FIN",
    "receive FIN",
    "receive ACK of FIN",
    "2 MSL time-out",
    "send RST",
    "receive RST",
    "receive RST after passive OPEN",
    "CLOSE call",
    "repeat SYN,ACK",
    "repeat FIN",
    "new SYN on the same ports",
    "data both ways",
)

EVENT_COUNT: Final = 17
OBSERVER: Final = "observer"

# (state, event, next state, section of RFC 9293, "" or OBSERVER with the reason beside it)
TABLE: Final[tuple[tuple[int, int, int, str, str], ...]] = (
    # Opening
    (CLOSED, PASSIVE_OPEN, LISTEN, "3.10.1", ""),
    (CLOSED, SEND_SYN, SYN_SENT, "3.10.1", ""),
    (LISTEN, SEND_SYN, SYN_SENT, "3.10.2", ""),
    (LISTEN, RECEIVE_SYN, SYN_RECEIVED, "3.10.7.2", ""),
    (LISTEN, CLOSE, CLOSED, "3.10.4", ""),
    (LISTEN, SEND_RST, LISTEN, "3.10.7.2", ""),
    (CLOSED, SEND_RST, CLOSED, "3.10.7.1", ""),
    (SYN_SENT, RECEIVE_SYN, SYN_RECEIVED, "3.10.7.3", ""),
    (SYN_SENT, RECEIVE_SYN_ACK, ESTABLISHED, "3.10.7.3", ""),
    (SYN_SENT, RECEIVE_RST, CLOSED, "3.10.7.3", ""),
    (SYN_SENT, SEND_RST, CLOSED, "3.10.5", ""),
    (SYN_SENT, CLOSE, CLOSED, "3.10.4", ""),
    (SYN_RECEIVED, RECEIVE_ACK_OF_SYN, ESTABLISHED, "3.10.7.4", ""),
    (SYN_RECEIVED, RECEIVE_RST_PASSIVE, LISTEN, "3.10.7.4", ""),
    (SYN_RECEIVED, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (SYN_RECEIVED, SEND_RST, CLOSED, "3.10.5", ""),
    (SYN_RECEIVED, SEND_FIN, FIN_WAIT_1, "3.10.4", ""),
    (SYN_RECEIVED, RECEIVE_FIN, CLOSE_WAIT, "3.10.7.4", ""),
    # Closing
    (ESTABLISHED, SEND_FIN, FIN_WAIT_1, "3.10.4", ""),
    (ESTABLISHED, RECEIVE_FIN, CLOSE_WAIT, "3.10.7.4", ""),
    (FIN_WAIT_1, RECEIVE_ACK_OF_FIN, FIN_WAIT_2, "3.10.7.4", ""),
    (FIN_WAIT_1, RECEIVE_FIN, CLOSING, "3.10.7.4", ""),
    (FIN_WAIT_2, RECEIVE_FIN, TIME_WAIT, "3.10.7.4", ""),
    (CLOSE_WAIT, SEND_FIN, LAST_ACK, "3.10.4", ""),
    (CLOSING, RECEIVE_ACK_OF_FIN, TIME_WAIT, "3.10.7.4", ""),
    (LAST_ACK, RECEIVE_ACK_OF_FIN, CLOSED, "3.10.7.4", ""),
    (TIME_WAIT, RECEIVE_FIN, TIME_WAIT, "3.10.7.4", ""),
    (TIME_WAIT, TIMEOUT_2MSL, CLOSED, "3.10.8", ""),
    # Aborting
    (ESTABLISHED, SEND_RST, CLOSED, "3.10.5", ""),
    (FIN_WAIT_1, SEND_RST, CLOSED, "3.10.5", ""),
    (FIN_WAIT_2, SEND_RST, CLOSED, "3.10.5", ""),
    (CLOSE_WAIT, SEND_RST, CLOSED, "3.10.5", ""),
    (CLOSING, SEND_RST, CLOSED, "3.10.5", ""),
    (LAST_ACK, SEND_RST, CLOSED, "3.10.5", ""),
    (TIME_WAIT, SEND_RST, CLOSED, "3.10.5", ""),
    (ESTABLISHED, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (FIN_WAIT_1, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (FIN_WAIT_2, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (CLOSE_WAIT, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (CLOSING, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (LAST_ACK, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    (TIME_WAIT, RECEIVE_RST, CLOSED, "3.10.7.4", ""),
    # A new connection on the ports of one in TIME-WAIT ends the old one (MAY-2)
    (TIME_WAIT, REOPEN, CLOSED, "3.6.1", ""),
    # The ACK that was seen never arrived: its receiver repeats what it had acknowledged.
    (ESTABLISHED, REPEAT_SYN_ACK, SYN_RECEIVED, "3.8.1", OBSERVER),
    (FIN_WAIT_2, REPEAT_FIN, FIN_WAIT_1, "3.8.1", OBSERVER),
    (TIME_WAIT, REPEAT_FIN, CLOSING, "3.8.1", OBSERVER),
    (CLOSED, REPEAT_FIN, LAST_ACK, "3.8.1", OBSERVER),
    # The capture begins in the middle: data from both sides excludes every state but ESTABLISHED.
    (UNKNOWN, SYNCHRONISED, ESTABLISHED, "3.3.2", OBSERVER),
    (UNKNOWN, SEND_FIN, FIN_WAIT_1, "3.10.4", OBSERVER),
    (UNKNOWN, RECEIVE_FIN, CLOSE_WAIT, "3.10.7.4", OBSERVER),
    (UNKNOWN, SEND_RST, CLOSED, "3.10.5", OBSERVER),
    (UNKNOWN, RECEIVE_RST, CLOSED, "3.10.7.4", OBSERVER),
    # The capture lacks the SYN, the SYN-ACK or the listener's OPEN: what was sent proves what came before.
    (UNKNOWN, PASSIVE_OPEN, LISTEN, "3.10.1", OBSERVER),
    (UNKNOWN, SEND_SYN, SYN_SENT, "3.10.1", OBSERVER),
)

NO_CHANGE: Final = 255


def pack(table: tuple[tuple[int, int, int, str, str], ...]) -> bytes:
    """The table as ``bytes`` indexed by state * EVENT_COUNT + event: a look-up of 2 ns. NO_CHANGE where there is no row."""
    packed = bytearray([NO_CHANGE]) * (len(STATE_NAMES) * EVENT_COUNT)
    for row in table:
        packed[row[0] * EVENT_COUNT + row[1]] = row[2]
    return bytes(packed)


PACKED: Final[bytes] = pack(TABLE)


def next_state(state: i16, event: i64) -> i16:
    """State after ``event``, or NO_CHANGE when the table has no such row."""
    row: i64 = i64(state) * EVENT_COUNT
    found: i16 = PACKED[row + event]
    return found
