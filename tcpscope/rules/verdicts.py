"""The verdicts on one finished connection, in the words of the output contract: how it opened, how it closed, TIME-WAIT.

Every verdict says what the capture proves. Where a part is missing it says so (``partial``, ``not-captured``,
``not-observed``) and never guesses. Frames are 1-based, durations nanoseconds; None: not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.rules.base import BOTH_SIDES, PATIENCE_NS, SIDE_NAMES, proves_absence
from tcpscope.state.facts import (
    CHALLENGE_ACK,
    PORTS_REUSED,
    REUSE_HIGHER_ISN,
    REUSE_NEWER_TIMESTAMP,
    REUSE_UNSAFE,
    SYN_ACK_REJECTED,
    TIME_WAIT_FIN_RESET,
    TIME_WAIT_FIN_UNANSWERED,
    TIME_WAIT_KILLED,
    Fact,
)
from tcpscope.state.tls_outcome import FAILED, INCOMPLETE, VERDICT_NAMES
from tcpscope.state.transitions import ESTABLISHED

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.endpoint import Endpoint, Transfer

BOTH: Final = "both"


class Handshake(NamedTuple):
    """How the connection opened (V1), the frames of the three steps and the round trip from SYN to ACK."""

    verdict: str
    syn: int | None
    syn_ack: int | None
    ack: int | None
    rtt_ns: int | None


class Teardown(NamedTuple):
    """How the connection closed (V2). ``form`` needs both FINs, ``active_closer`` one."""

    verdict: str
    form: str | None
    active_closer: str | None
    fin: int | None
    fin_ack: int | None
    peer_fin: int | None
    final_ack: int | None


class TimeWait(NamedTuple):
    """Whether 2 MSL were respected (V3), by whom, and how long that was watched."""

    verdict: str
    side: str | None
    observed_ns: int | None
    required_ns: int


def transfer_of(endpoint: Endpoint) -> Transfer:
    """The transfer part, which every side of a finished connection has."""
    transfer = endpoint.transfer
    assert transfer is not None, "a connection is completed before it is judged"
    return transfer


def handshake(conn: Connection) -> Handshake:
    """V1 and the frames of figure 6 of RFC 9293 section 3.5."""
    return Handshake(
        handshake_verdict(conn),
        conn.client.syn_frame or None,
        conn.server.syn_frame or None,
        conn.ack_frame or None,
        _handshake_rtt(conn),
    )


def _handshake_rtt(conn: Connection) -> int | None:
    """From SYN to ACK: both halves of the path, wherever the capture was taken. None where a repetition makes it a guess."""
    client, server = conn.client, conn.server
    if not (client.syn_frame and server.syn_frame and conn.ack_frame) or conn.simultaneous_open:
        return None
    if client.syn_count != 1 or server.syn_count != 1:
        return None  # Karn's rule, RFC 6298 section 3: which of them was answered is not known
    rtt: int = conn.ack_time - client.syn_time
    return rtt if rtt >= 0 else None


def handshake_verdict(conn: Connection) -> str:
    """V1 alone."""
    client, server = conn.client, conn.server
    if not client.syn_frame and not server.syn_frame:
        return "not-captured"
    if conn.simultaneous_open:
        return "simultaneous" if conn.ack_frame else _unfinished(conn)
    if client.syn_frame and server.syn_frame and conn.ack_frame:
        # A server that goes on repeating its SYN-ACK has not taken the third segment (row O9).
        refused = conn.syn_acks_after_ack and not any(step.state == ESTABLISHED for step in server.steps)
        return _unfinished(conn) if refused else "complete"
    if not client.syn_frame:
        return "partial"
    return _unfinished(conn)


def _unfinished(conn: Connection) -> str:
    """The SYN was seen, the three steps were not."""
    ours, theirs = transfer_of(conn.client), transfer_of(conn.server)
    if ours.last_ack >= 0 and not conn.server.syn_frame:
        return "partial"  # the client acknowledged a SYN-ACK that the capture lacks
    if conn.server.syn_frame:
        if ours.trouble.rst_frame or theirs.trouble.rst_frame or conn.facts_of(SYN_ACK_REJECTED):
            return "aborted"
        # The server speaks on only once it has the third segment, which then the capture lacks.
        return "partial" if theirs.payload_segments or theirs.fin_frame else "half-open"
    if theirs.trouble.rst_frame and conn.server.segments <= theirs.trouble.rst_count:
        return "refused"
    if ours.trouble.rst_frame:
        return "aborted"
    if conn.server.segments:
        return "partial"
    return "partial" if conn.one_sided else "unanswered"


def watched_too_briefly(end: Endpoint, conn: Connection) -> bool:
    """Whether the only SYN (or SYN-ACK) of a side came so late in the capture that silence after it says nothing."""
    return end.syn_count == 1 and conn.watched_until - end.syn_time < PATIENCE_NS


def teardown(conn: Connection) -> Teardown:
    """V2, the form of the closing and its four frames (RFC 9293 section 3.6, figures 12 and 13)."""
    sides = [transfer_of(conn.client), transfer_of(conn.server)]
    first = _first_closer(sides)
    if first is None:
        return Teardown(_teardown_verdict(sides), None, None, None, None, None, None)
    closer, peer = sides[first], sides[1 - first]
    form = _form(closer, peer)
    return Teardown(
        _teardown_verdict(sides),
        form,
        BOTH if form == "simultaneous" else SIDE_NAMES[first],
        closer.fin_frame,
        closer.fin_ack_frame or None,
        peer.fin_frame or None,
        peer.fin_ack_frame or None,
    )


def _first_closer(sides: list[Transfer]) -> int | None:
    """The side whose FIN came first."""
    closed = [side for side in BOTH_SIDES if sides[side].fin_frame]
    return min(closed, key=lambda side: sides[side].fin_frame) if closed else None


def _form(closer: Transfer, peer: Transfer) -> str | None:
    """Row C6: are ACK and FIN of the passive side one segment, two, or did both FINs cross?"""
    if not peer.fin_frame:
        return None
    if peer.fin_with_ack_of_fin:
        return "three-segment"
    if closer.fin_ack_frame and closer.fin_ack_frame < peer.fin_frame:
        return "four-segment"
    return "simultaneous"


def _teardown_verdict(sides: list[Transfer]) -> str:
    fins = [transfer.fin_frame for transfer in sides if transfer.fin_frame]
    if len(fins) == 2 and all(transfer.fin_ack_frame for transfer in sides):
        return "orderly"
    resets = [transfer.trouble.rst_frame for transfer in sides if transfer.trouble.rst_frame]
    if resets:
        return "reset-after-fin" if fins and min(fins) < min(resets) else "aborted"
    if len(fins) == 2:
        return "incomplete"
    return "half-closed" if fins else "open"


def time_wait(conn: Connection, msl_ns: int) -> TimeWait:
    """V3: rows T1, T3 and T4. ``msl_ns``: maximum segment lifetime."""
    required = 2 * msl_ns
    waiting = [side for side in BOTH_SIDES if transfer_of(conn.side(side)).time_wait_frame]
    if not waiting:
        return TimeWait("not-applicable", None, None, required)
    side = BOTH if len(waiting) == 2 else SIDE_NAMES[waiting[0]]
    since = max(transfer_of(conn.side(one)).time_wait_since for one in waiting)
    reuse = _reuse(conn)
    if reuse is not None and refused_by(reuse, conn):
        reuse = None
    until = reuse.time_ns if reuse is not None else conn.watched_until
    observed = max(0, until - since)
    broken = violation(conn, required)
    if broken is not None:
        return TimeWait(
            "violated", SIDE_NAMES[broken.side] if broken.kind != PORTS_REUSED else side, observed, required
        )
    if reuse is not None and reuse.b in (REUSE_HIGHER_ISN, REUSE_NEWER_TIMESTAMP):
        return TimeWait("safely-reused", side, observed, required)
    # A reset that reached TIME-WAIT may have ended it (RFC 1337), and nothing after it would show.
    if observed < required or not proves_absence(conn) or conn.facts_of(TIME_WAIT_KILLED):
        return TimeWait("not-observed", side, observed, required)
    return TimeWait("held", side, observed, required)


def _reuse(conn: Connection) -> Fact | None:
    """The new connection on the same ports, if one came."""
    facts = conn.facts_of(PORTS_REUSED)
    return facts[0] if facts else None


def violation(conn: Connection, required_ns: int) -> Fact | None:
    """The fact that shows TIME-WAIT violated: a repeated FIN met an RST or nobody, or the ports were reused unsafely."""
    for fact in conn.facts_of(TIME_WAIT_FIN_RESET):
        if fact.a < required_ns:
            return fact
    for fact in conn.facts_of(TIME_WAIT_FIN_UNANSWERED):
        if fact.a < required_ns and proves_absence(conn) and is_unanswered(fact, conn):
            return fact
    for fact in conn.facts_of(PORTS_REUSED):
        if fact.b == REUSE_UNSAFE and not refused_by(fact, conn):
            return fact
    return None


def refused_by(syn: Fact, conn: Connection) -> int:
    """The frame by which the side in TIME-WAIT refused a new SYN, as it should an unsafe one; 0 if it did not."""
    return next((fact.frame for fact in conn.facts_of(CHALLENGE_ACK) if fact.other == syn.frame), 0)


def is_unanswered(fact: Fact, conn: Connection) -> bool:
    """Whether the silence after a repeated FIN means anything: it was repeated again, or watched for a second."""
    fin = transfer_of(conn.side(1 - fact.side))
    if fact.frame == transfer_of(conn.side(fact.side)).time_wait_frame:
        return False  # this FIN, with the ACK in it, is what began TIME-WAIT
    return fact.frame != fin.fin_last_frame or conn.watched_until - fin.fin_last_time >= PATIENCE_NS


def tls(conn: Connection) -> str | None:
    """V4; None where the connection shows no TLS."""
    followed = conn.tls
    if followed is None or not followed.recognised or followed.outcome is None:
        return None
    verdict = followed.outcome.verdict
    if verdict == FAILED and not followed.outcome.fatal and not proves_absence(conn):
        verdict = INCOMPLETE  # what would have completed it may be what the capture lost
    return VERDICT_NAMES[verdict]
