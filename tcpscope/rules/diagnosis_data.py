"""The words of a diagnosis about data: late answers, full windows, losses, delays, and what the capture lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.rules.base import facts_of_side
from tcpscope.rules.diagnosis_words import HIGH, LOW, MEDIUM, Said
from tcpscope.rules.symptoms import sent_for_nothing
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import listed, party, plural, span, times
from tcpscope.state.facts import (
    ACK_OF_UNSEEN,
    CAUSE_FAST,
    CAUSE_PATH_MTU,
    CAUSE_SACK,
    CAUSE_SPURIOUS,
    CAUSE_TAIL_LOSS_PROBE,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN,
    CLIENT,
    FIN_REPEATED,
    KEEP_ALIVE,
    OUT_OF_ORDER,
    RETRANSMISSION,
    SYN_ACK_REPEATED,
    SYN_REPEATED,
    WINDOW_FULL,
    ZERO_WINDOW,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcpscope.state.connection import Connection
    from tcpscope.state.durations import SideTiming
    from tcpscope.state.quantiles import Quantiles

LOST: Final = tuple(
    RETRANSMISSION + cause for cause in (CAUSE_TIMEOUT, CAUSE_FAST, CAUSE_SACK, CAUSE_TAIL_LOSS_PROBE, CAUSE_UNKNOWN)
)
SHOWN: Final = (RETRANSMISSION + CAUSE_FAST, RETRANSMISSION + CAUSE_SACK)
REPEATED: Final = {SYN_REPEATED: "SYN", SYN_ACK_REPEATED: "SYN-ACK", FIN_REPEATED: "FIN"}


def _frames(conn: Connection, side: int, kinds: Iterable[int]) -> tuple[int, ...]:
    """The frames of a side's facts."""
    return tuple(fact.frame for kind in kinds for fact in facts_of_side(conn, kind, side))


def _timing(conn: Connection, side: int) -> SideTiming:
    assert conn.timing is not None, "what cost time was timed"
    return conn.timing.side(side)


def slow_answer(conn: Connection, side: int) -> Said:
    """The other side had the request, and the program took its time."""
    wait = _timing(conn, side)
    took = span(wait.longest_wait)
    asked = f"the {'client' if side != CLIENT else 'server'}'s data (frame {wait.wait_began})"
    confidence = HIGH if wait.wait_proved else MEDIUM
    end = f"(frame {wait.wait_ended}): its host is reached, its program is slow"
    if not wait.wait_began:
        summary = f"{party(conn, side)} said nothing for {took} after the connection had opened (until frame {wait.wait_ended})"
    elif not wait.wait_answered:
        # Silence: a ClientHello wants an answer, and so does what is said first; later it may have been the last word.
        before = transfer_of(conn.side(side)).payload_segments > 0
        confidence = LOW if before else HIGH if conn.tls is not None and conn.tls.recognised else MEDIUM
        summary = (
            f"{party(conn, side)} acknowledged {asked} at once and did not answer in the {took} until it ended {end}"
        )
    elif wait.wait_proved:
        summary = f"{party(conn, side)} acknowledged {asked} at once and answered only {took} later {end}"
    else:
        summary = f"{party(conn, side)} answered {asked} {took} later than the path explains (frame {wait.wait_ended})"
    return Said(
        confidence,
        summary,
        "Look at what that program did in the meantime: its log, its database, its locks; the network is not at fault",
        (wait.wait_began, wait.wait_ended),
    )


def slow_reader(conn: Connection, side: int) -> Said:
    """A zero window is proof: the receiver says itself that it takes no more."""
    transfer = transfer_of(conn.side(side))
    stalled = _timing(conn, 1 - side).window
    return Said(
        HIGH,
        f"{party(conn, side)} stopped reading its socket: its window was closed {times(max(1, transfer.trouble.zero_windows))} for "
        f"{span(transfer.trouble.zero_time_total)}, and the other side stood still for {span(stalled)}",
        "Look at what the receiving program and its host did at that time: processor, disk, memory, locks",
        _frames(conn, side, (ZERO_WINDOW,)),
    )


def small_window(conn: Connection, side: int) -> Said:
    """The window is open but small: it, and not the path, bounds the rate."""
    flight = transfer_of(conn.side(1 - side)).max_in_flight
    stalled = _timing(conn, 1 - side).window
    return Said(
        MEDIUM,
        f"{party(conn, 1 - side)} waited {span(stalled)} for room in the window of {party(conn, side)}, with at most "
        f"{plural(flight, 'byte')} under way",
        "Let the receive buffer grow (Linux: tcp_rmem, no SO_RCVBUF in the program), see that both SYNs offer window scaling, "
        "and whether the program reads fast enough",
        _frames(conn, 1 - side, (WINDOW_FULL,)),
    )


def loss(conn: Connection, side: int) -> Said:
    """Segments were sent again because they or their ACKs did not arrive."""
    transfer, timing = transfer_of(conn.side(side)), _timing(conn, side)
    lost = transfer.trouble.lost_before + transfer.trouble.lost_behind - transfer.trouble.needless_probes
    data: int = max(0, lost)
    parts = []
    if data:
        segments: int = transfer.payload_segments
        share = 100 * data / max(1, segments)
        parts.append(f"{data:,} of {plural(segments, 'segment')} with data ({share:.2g} %)")
    parts += [f"the {name}" for kind, name in REPEATED.items() if facts_of_side(conn, kind, side)]
    one = max(1, data) + len(parts) == 2
    # Duplicate ACKs, SACK blocks and holes show what is missing; a time-out may as well have missed the ACK.
    sure = data and (transfer.trouble.lost_before or any(facts_of_side(conn, kind, side) for kind in SHOWN))
    acks = "" if sure else " or the ACK for it" if one else " or the ACKs for them"
    where = "on the path"
    if transfer.trouble.lost_before > transfer.trouble.lost_behind:
        where = "on the way to the capture point"
    elif transfer.trouble.lost_behind:
        where = "behind the capture point"
    cost = f", which stalled it for {span(timing.loss)}" if timing.loss else ""
    return Said(
        HIGH if data > 1 else MEDIUM,
        f"{listed(parts) or 'something'} of {party(conn, side)}{acks} {'was' if one else 'were'} lost {where}{cost}",
        f"Look for the loss {_stretch(conn, side)}: interface counters, overloaded links, policers, radio",
        _frames(conn, side, (*LOST, *REPEATED)),
    )


def _stretch(conn: Connection, side: int) -> str:
    """Which part of the path lost something."""
    transfer = transfer_of(conn.side(side))
    if transfer.trouble.lost_before > transfer.trouble.lost_behind:
        return f"between {party(conn, side)} and the capture point"
    if transfer.trouble.lost_behind:
        return f"between the capture point and {party(conn, 1 - side)}, both ways"
    return "on the whole path"


def late_acks(conn: Connection, side: int) -> Said:
    """What was sent again had arrived: the ACKs were late or lost."""
    needless = sent_for_nothing(conn, side)
    timing = _timing(conn, side)
    return Said(
        MEDIUM,
        f"{party(conn, side)} sent {plural(needless, 'segment')} again that had arrived, since the ACKs were late or lost"
        + (f": it stood still for {span(timing.loss)}" if timing.loss else ""),
        f"Look for long queues or loss on the way from {party(conn, 1 - side)} back",
        _frames(conn, side, (RETRANSMISSION + CAUSE_SPURIOUS,)),
    )


def path_mtu(conn: Connection, side: int) -> Said:
    """Only what is large gets lost, and nobody says so."""
    transfer = transfer_of(conn.side(side))
    passed = max(int(transfer.delivered), int(transfer.trouble.cut_to))
    return Said(
        HIGH if transfer.trouble.cut_to else MEDIUM,
        f"the path swallows large segments of {party(conn, side)} without an ICMP error: none of {transfer.trouble.lost_length:,} bytes "
        f"arrived in {times(transfer.trouble.timeouts)} that it timed out, what passed had at most {plural(passed, 'byte')}",
        "Let ICMP (fragmentation needed, packet too big) pass all firewalls on the path, or clamp the MSS at the tunnel or router "
        "with the small MTU",
        _frames(conn, side, (RETRANSMISSION + CAUSE_TIMEOUT, RETRANSMISSION + CAUSE_PATH_MTU)),
    )


def vanished(conn: Connection, side: int) -> Said:
    """Nothing comes back any more. Silence does not say whose it is."""
    speaker = conn.side(1 - side)
    transfer = transfer_of(speaker)
    silence = conn.watched_until - conn.side(side).last_time
    repeats = transfer.trouble.backoff + max(0, int(transfer.fin_count) - 1)
    what = "repeated itself"
    if not repeats:
        what = "sent keep-alives"
        repeats = len(
            [one for one in facts_of_side(conn, KEEP_ALIVE, 1 - side) if one.time_ns > conn.side(side).last_time]
        )
    return Said(
        LOW,
        f"{party(conn, side)} fell silent: {party(conn, 1 - side)} {what} {times(repeats)}, and "
        f"nothing came back in {span(silence)}",
        "See whether that host is up; capture there, and look for a firewall or NAT on the way that forgot the connection",
        _frames(conn, 1 - side, (RETRANSMISSION + CAUSE_TIMEOUT, FIN_REPEATED, KEEP_ALIVE)),
    )


def reordered(conn: Connection, side: int) -> Said:
    """Segments overtook one another."""
    transfer = transfer_of(conn.side(side))
    late = facts_of_side(conn, OUT_OF_ORDER, side)
    delay = max((fact.a for fact in late), default=0)
    verb = "was" if transfer.trouble.out_of_order == 1 else "were"
    return Said(
        LOW if transfer.trouble.out_of_order == 1 else MEDIUM,
        f"{transfer.trouble.out_of_order:,} of {plural(transfer.payload_segments, 'segment')} with data of {party(conn, side)} {verb} "
        f"overtaken on the way, by up to {span(delay)}; nothing was lost",
        "Look for several paths that one connection is spread over (per-packet load balancing, bonded links)",
        tuple(fact.frame for fact in late),
    )


def jitter(conn: Connection, side: int) -> Said:
    """The round trip is anything but steady."""
    transfer = transfer_of(conn.side(side))
    rtt: Quantiles | None = transfer.stamp_rtt or transfer.rtt
    assert rtt is not None, "unsteady is what was measured"
    return Said(
        MEDIUM,
        f"the round trip to {party(conn, 1 - side)} is unsteady: {span(rtt.quantile(1, 2))} in the median, more than "
        f"{span(rtt.quantile(95, 100))} for one in twenty, {span(rtt.maximum)} at the longest",
        "Look for a full queue on a slow link (buffer bloat), for radio, or for a busy host",
        (),
    )


def one_sided(conn: Connection, side: int) -> Said:
    """Half of the conversation is missing."""
    speaker = "client" if conn.client.segments else "server"
    return Said(
        HIGH,
        f"only what the {speaker} sent was captured, so nothing can be said of the other side or of the path",
        "Capture both directions: at one of the hosts, or at a mirror port that has both (asymmetric routes show one)",
        (conn.first_frame,),
    )


def bytes_missing(conn: Connection, side: int) -> Said:
    """The capture lost segments that the receiver got."""
    missing = [
        transfer_of(end).trouble.unseen_bytes + transfer_of(end).trouble.hole_bytes_lost
        for end in (conn.client, conn.server)
    ]
    return Said(
        MEDIUM,
        f"the capture lacks {plural(sum(missing), 'byte')} that were acknowledged: what it does not show may have happened all "
        "the same",
        "Capture again with a larger buffer, a filter or a snap length, or at another place",
        tuple(fact.frame for fact in conn.facts_of(ACK_OF_UNSEEN)),
    )


def cut_off(conn: Connection, side: int) -> Said:
    """The file ends while the connection goes on."""
    return Said(
        MEDIUM,
        "up to where the file ends early nothing points to trouble; how the connection went on cannot be told",
        "Read a complete copy of the file",
        (conn.last_frame,),
    )
