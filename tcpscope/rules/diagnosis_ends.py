"""The words of a diagnosis about how a connection opened, or failed to, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpscope.rules.base import facts_of_side
from tcpscope.rules.diagnosis_words import HIGH, LOW, MEDIUM, Said
from tcpscope.rules.icmp import UNREACHABLE, is_expired, meaning
from tcpscope.rules.measures import handshake_round_trips
from tcpscope.rules.symptoms import rejection, unclosed, under_way
from tcpscope.rules.tls_outcome import ALERT_NAMES
from tcpscope.rules.verdicts import handshake_verdict, transfer_of
from tcpscope.rules.words import frames, party, plural, span, times
from tcpscope.state.facts import (
    CAUSE_PATH_MTU,
    CLIENT,
    ICMP_REPORTED,
    NOBODY,
    RETRANSMISSION,
    RST_TTL,
    SEGMENT_AFTER_RST,
    SERVER,
    SYN_ACK_IGNORES_DATA,
    SYN_ACK_REPEATED,
    SYN_IN_CONNECTION,
    SYN_REPEATED,
    TIME_WAIT_FIN_RESET,
)
from tcpscope.state.tls_faults import ALERT_FATAL

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

LEAKED_NS = 60_000_000_000
"""Linux gives up the closed other half after as long (tcp_fin_timeout)."""


def nothing(conn: Connection, side: int) -> Said:
    """No symptom. Sure where the whole of the connection was seen."""
    whole = handshake_verdict(conn) in ("complete", "simultaneous") and conn.closed and not conn.aborted
    parts = []
    to_server, to_client = handshake_round_trips(conn)
    if to_server is not None and to_client is not None:
        parts.append(f"opened in {span(to_server + to_client)}")
    responses = conn.timing.responses if conn.timing is not None else None
    if responses is not None:
        requests = plural(responses.count, "request")
        slowest = "" if responses.count == 1 else " at most"
        parts.append(f"{requests} answered after {span(responses.maximum)}{slowest}")
    sent = conn.client.opened().trouble.retransmitted_segments + conn.server.opened().trouble.retransmitted_segments
    parts.append(f"{plural(sent, 'segment')} sent again" if sent else "nothing sent again")
    if conn.count_of(RETRANSMISSION + CAUSE_PATH_MTU, NOBODY):
        parts.append("smaller, as a router asked")
    return Said(
        HIGH if whole else MEDIUM,
        f"nothing points to trouble: {', '.join(parts)}",
        "Look elsewhere: at name resolution, at other connections, at the programs",
        (),
    )


def refused(conn: Connection, side: int) -> Said:
    """An RST is proof that the host is there and wants none of it."""
    client, server = conn.client, transfer_of(conn.server)
    after = span(max(0, server.trouble.rst_time - client.syn_last_time))
    return Said(
        HIGH,
        f"{party(conn, SERVER)} refused the connection: its reset came {after} after the SYN, so the host is reached and "
        "nothing listens on that port",
        "On the server, see what listens there and on which address (ss -ltn); if the service does run, look for a firewall "
        "rule that rejects with a reset",
        (client.syn_frame, server.trouble.rst_frame),
    )


def rejected(conn: Connection, side: int) -> Said:
    """An ICMP error is an answer, by whoever sent it."""
    frame = rejection(conn, side)
    fact = next(one for one in facts_of_side(conn, ICMP_REPORTED, side) if one.frame == frame)
    version, kind, code = meaning(fact)
    why = UNREACHABLE.get((version, kind, code), f"type {kind}, code {code}")
    if is_expired(fact):
        why = "the hops or the time ran out on the way"
    return Said(
        HIGH,
        f"segments of {party(conn, side)} were rejected by ICMP (frame {frame}): {why}",
        "Look at the sender of that ICMP message: it is the filter that says no, or the router that knows no way",
        (conn.side(side).syn_frame, frame),
    )


def overflow(conn: Connection, side: int) -> Said:
    """The listener's queue of connections that its program has not accepted is full."""
    ignored = facts_of_side(conn, SYN_ACK_IGNORES_DATA, SERVER)
    if not ignored:
        client = conn.client
        return Said(
            MEDIUM,
            f"{party(conn, SERVER)} left {plural(client.syn_count, 'SYN')} unanswered while it took no more of the handshakes "
            "that it had answered: its accept queue is full",
            "On the server, see why the program does not accept (a blocked or overloaded process) and compare nstat's "
            "TcpExtListenOverflows before and after",
            (client.syn_frame, client.syn_last_frame),
        )
    data = max(fact.a for fact in ignored)
    lost = f" and {plural(data, 'byte')} of its data" if data > 0 else ""
    return Said(
        HIGH if data > 0 and len(ignored) > 1 else MEDIUM,
        f"{party(conn, SERVER)} repeated its SYN-ACK {times(len(ignored))} as if the client's ACK (frame {conn.ack_frame})"
        f"{lost} had not come: its accept queue is full",
        "On the server, see why the program does not accept (a blocked or overloaded process) and compare nstat's "
        "TcpExtListenOverflows before and after; if that stands still, segments are lost before the server",
        (conn.ack_frame, *(fact.frame for fact in ignored)),
    )


def flood(conn: Connection, side: int) -> Said:
    """More half-open connections than a queue holds, and hardly one that completes."""
    listener = conn.listener
    assert listener is not None, "a flood is seen at a listener"
    waiting = max(listener.half_open_peak, listener.pending_peak)
    return Said(
        HIGH,
        f"at {party(conn, SERVER)} {waiting:,} handshakes were under way at once and {listener.completed:,} of "
        f"{listener.syns:,} were ever completed: its SYN queue is full of half-open connections",
        "Turn on SYN cookies at the server and filter upstream; if the addresses are your own clients, look at the way "
        "back to them",
        (conn.client.syn_frame, listener.peak_frame),
    )


def unanswered(conn: Connection, side: int) -> Said:
    """Silence: the packets, the answers or the host are missing."""
    client = conn.client
    sent = [client.syn_frame, *(fact.frame for fact in facts_of_side(conn, SYN_REPEATED, CLIENT))]
    watched = span(conn.watched_until - client.syn_time)
    return Said(
        LOW,
        f"nothing came back from {party(conn, SERVER)} in {watched}, though the SYN was sent {times(client.syn_count)}: a "
        "filter drops it, the answer gets lost, or the host is down",
        "Capture at the server: if the SYN arrives there, look at its firewall and its queues (nstat), else along the path",
        tuple(sent),
    )


def half_open(conn: Connection, side: int) -> Said:
    """The SYN-ACK was not answered."""
    server = conn.server
    sent = [server.syn_frame, *(fact.frame for fact in facts_of_side(conn, SYN_ACK_REPEATED, SERVER))]
    return Said(
        LOW,
        f"{party(conn, CLIENT)} never answered the SYN-ACK, which was sent {times(server.syn_count)} in "
        f"{span(conn.watched_until - server.syn_time)}: it does not arrive, or the client did not mean to connect",
        "Capture at the client: does the SYN-ACK arrive there? If not, look at the way back (asymmetric routes, stateful "
        "firewalls)",
        (conn.client.syn_frame, *sent),
    )


def old_duplicate(conn: Connection, side: int) -> Said:
    """A SYN that the network held back."""
    return Said(
        MEDIUM,
        f"the SYN in frame {conn.client.syn_frame} is an old duplicate that came late: {party(conn, CLIENT)} rejected the "
        f"answer to it (frame {transfer_of(conn.client).trouble.rst_frame or conn.last_frame})",
        "Nothing, if it happens once; else look for what holds packets back for so long (queues, a route that flaps)",
        (conn.client.syn_frame, conn.server.syn_frame, transfer_of(conn.client).trouble.rst_frame),
    )


def opening_reset(conn: Connection, side: int) -> Said:
    """A side broke the handshake off, or the connection right behind it."""
    transfer = transfer_of(conn.side(side))
    if side == SERVER and conn.ack_frame:
        after = span(max(0, transfer.trouble.rst_time - conn.ack_time))
        return Said(
            MEDIUM,
            f"{party(conn, SERVER)} reset the connection (frame {transfer.trouble.rst_frame}) {after} after the handshake and before "
            "it had said a word: its queue is full and set to abort, or its program turns the client away",
            "On the server, look at net.ipv4.tcp_abort_on_overflow, nstat's TcpExtListenOverflows and the program's limits",
            (conn.ack_frame, transfer.trouble.rst_frame),
        )
    since = conn.server.syn_time if conn.server.syn_frame else conn.client.syn_time
    return Said(
        LOW if side == CLIENT else MEDIUM,
        f"{party(conn, side)} broke the handshake off with a reset (frame {transfer.trouble.rst_frame}), "
        f"{span(max(0, transfer.trouble.rst_time - since))} after the {'SYN-ACK' if conn.server.syn_frame else 'SYN'}",
        f"See on the {'client whether its program gave up' if side == CLIENT else 'server what turns the client away'} "
        "(limits, time-outs, a scanner, a firewall in between)",
        (conn.client.syn_frame, conn.server.syn_frame, transfer.trouble.rst_frame),
    )


def ends_too_early(conn: Connection, side: int) -> Said:
    """The capture ends before an answer was due."""
    since = conn.server.syn_time if conn.server.syn_frame else conn.client.syn_time
    last = "SYN-ACK" if conn.server.syn_frame else "SYN"
    watched = max(0, conn.watched_until - since)
    return Said(
        HIGH,
        f"the capture ends {f'{span(watched)} after' if watched else 'with'} the {last}: whether the connection opens cannot be told",
        "Capture for longer: the first repetition of a SYN comes after a second",
        (conn.last_frame,),
    )


def forged_reset(conn: Connection, side: int) -> Said:
    """Something on the path resets in a host's name."""
    after = facts_of_side(conn, SEGMENT_AFTER_RST, side)
    if after:
        what = (
            f"it went on sending after the reset in frame {after[0].other} ({frames([fact.frame for fact in after])})"
        )
        evidence = [after[0].other, *(fact.frame for fact in after)]
    else:
        odd = facts_of_side(conn, RST_TTL, side)[0]
        what = f"the reset in frame {odd.frame} has TTL {odd.a}, its segments before have {odd.b}"
        evidence = [odd.frame, odd.other]
    return Said(
        MEDIUM,
        f"a reset in the name of {party(conn, side)} is not its own: {what}",
        "Look for the device that sends resets: a firewall, an intrusion prevention system, a load balancer",
        tuple(evidence),
    )


def restarted(conn: Connection, side: int) -> Said:
    """A host has lost its side of the connection and begins anew."""
    fact = facts_of_side(conn, SYN_IN_CONNECTION, side)[0]
    reset = transfer_of(conn.side(side)).trouble.rst_frame
    return Said(
        MEDIUM,
        f"{party(conn, side)} had forgotten the connection: it sent a SYN in the middle of it (frame {fact.frame}) and reset "
        f"it (frame {reset})",
        f"See whether the {'client' if side == CLIENT else 'server'}'s host or program was restarted at that time",
        (fact.frame, reset),
    )


def time_wait_broken(conn: Connection, side: int) -> Said:
    """A host does not keep TIME-WAIT."""
    fact = next(iter(conn.facts_of(TIME_WAIT_FIN_RESET)), None)
    if fact is not None:
        what = f"it answered the repeated FIN (frame {fact.other}) with a reset (frame {fact.frame})"
        evidence = (fact.other, fact.frame)
    else:
        what = f"its ports were used again too early, by connection {conn.reused_by}"
        evidence = (conn.last_frame, 0)
    return Said(
        HIGH,
        f"{party(conn, side)} did not keep TIME-WAIT: {what}",
        "On that host, look at what shortens TIME-WAIT (net.ipv4.tcp_max_tw_buckets, tcp_tw_reuse, SO_LINGER of zero)",
        evidence,
    )


def tls_corrupt(conn: Connection, side: int) -> Said:
    """A side could not read what arrived."""
    name, frame = _alert(conn, side)
    return Said(
        LOW,
        f"{party(conn, side)} could not read what it was sent and ended TLS with {name} (frame {frame}): bytes were changed "
        "or put in on the way, or the other side made them wrong",
        "Compare captures of both hosts byte for byte; look at proxies and inspecting firewalls in between",
        (frame,),
    )


def tls_refused(conn: Connection, side: int) -> Said:
    """A side did not accept the other one's TLS."""
    name, frame = _alert(conn, side)
    return Said(
        MEDIUM,
        f"{party(conn, side)} ended the TLS handshake with the alert {name} (frame {frame}): TCP did its part",
        f"Compare what the {'client' if side == CLIENT else 'server'} accepts with what the other side offers: versions, cipher "
        "suites, names, the certificate and its chain",
        (frame,),
    )


def _alert(conn: Connection, side: int) -> tuple[str, int]:
    """Name and frame of the fatal alert of a side."""
    assert conn.tls is not None, "an alert is seen in TLS only"
    assert conn.tls.log is not None, "an alert is noted there"
    fault = next(one for one in conn.tls.log.faults if one.code == ALERT_FATAL and one.side == side)
    return ALERT_NAMES.get(fault.detail, f"alert {fault.detail}"), fault.frame


def broken_off(conn: Connection, side: int) -> Said:
    """A reset that took something with it."""
    transfer = transfer_of(conn.side(side))
    lost = []
    if own := under_way(conn, side):
        lost.append(f"{plural(own, 'byte')} of its own")
    if other := under_way(conn, 1 - side):
        lost.append(f"{plural(other, 'byte')} of {party(conn, 1 - side)}")
    if lost:
        what = f"{' and '.join(lost)} were never acknowledged"
    elif conn.timing is not None and conn.timing.refused_answer:
        what = "the client's last request has no answer"
    elif transfer.fin_frame:
        what = "data was still on its way to it"
    else:
        what = "what it had sent just before may be lost"
    return Said(
        MEDIUM,
        f"{party(conn, side)} broke the connection off with a reset (frame {transfer.trouble.rst_frame}), and {what}",
        f"Look at the log of the {'client' if side == CLIENT else 'server'}'s program at that time: a crash, a time-out of its "
        "own, or a close without reading to the end",
        (transfer.trouble.rst_frame,),
    )


def left_open(conn: Connection, side: int) -> Said:
    """A program does not notice that the other side has closed."""
    closer = transfer_of(conn.side(1 - side))
    idle = unclosed(conn, side)
    return Said(
        HIGH if idle >= LEAKED_NS else LOW,
        f"{party(conn, side)} has acknowledged the FIN of the other side (frame {closer.fin_ack_frame}) and not closed its own "
        f"in the {span(idle)} since",
        "In that program, close the socket when a read returns nothing; ss -tn state close-wait lists such sockets with "
        "their processes",
        (closer.fin_frame, closer.fin_ack_frame),
    )
