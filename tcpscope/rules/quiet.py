"""Connections of which there is nothing to tell: found while their state is at hand, long before they are judged.

Judged at the end of a capture, a hundred thousand short connections have to be fetched from memory again, which took a sixth of
the time. Most of those that both sides have closed are as :class:`Quiet` wants them.
"""

from __future__ import annotations

from tcpscope.rules.judge import closing_occasion
from tcpscope.rules.symptoms import FEW_SAMPLES, LONG_ANSWER_NS, NOTICEABLE_NS, UNSTEADY_NS
from tcpscope.rules.tls_outcome import TLS_PORTS
from tcpscope.state.connection import Connection
from tcpscope.state.durations import Timing
from tcpscope.state.endpoint import NO_TROUBLE, Endpoint, Transfer
from tcpscope.state.facts import NOBODY
from tcpscope.state.flows import Outlook
from tcpscope.state.path import MAX_STEPS
from tcpscope.state.quantiles import Quantiles
from tcpscope.state.tls_tracker import TlsConnection


class Quiet(Outlook):
    """Tells which connections are quiet, and passes none over."""

    def is_quiet(self, conn: Connection) -> bool:
        """Whether a connection that both sides have closed will, unless more comes, end without finding, symptom or anything to count.

        False says nothing: what is looked at here is less than what rules and symptoms look at, and nothing is written to.
        """
        if conn.log is not None or conn.aborted or conn.simultaneous_open or conn.half_open or conn.pending:
            return False
        if conn.ack_frame == 0 or conn.client.syn_frame == 0 or conn.server.syn_frame == 0:
            return False
        client: Transfer | None = conn.client.transfer
        server: Transfer | None = conn.server.transfer
        if (
            client is None
            or server is None
            or not _is_smooth(conn.client, client)
            or not _is_smooth(conn.server, server)
        ):
            return False
        if closing_occasion(client, server) != 0:
            return False
        tls: TlsConnection | None = conn.tls
        if tls is not None:
            if tls.log is not None or tls.carrier is not None or tls.sniffer0 is not None or tls.sniffer1 is not None:
                return False
            if conn.server_port in TLS_PORTS:
                return False
        timing: Timing | None = conn.timing
        return timing is not None and _is_prompt(timing)


def _is_smooth(endpoint: Endpoint, t: Transfer) -> bool:
    """All that a side sent, with its FIN, was acknowledged; nothing came twice, late or not at all, nor was it ever stopped."""
    if t.trouble is not NO_TROUBLE or t.fin_ack_frame == 0 or endpoint.nxt != endpoint.una:
        return False
    if endpoint.copied is not None or endpoint.step_count >= MAX_STEPS:
        return False
    return _is_steady(t.round_trips) and _is_steady(t.stamp_rtt)


def _is_steady(rtt: Quantiles | None) -> bool:
    """Round trips that need no closer look: few, or all alike."""
    return rtt is None or rtt.count < FEW_SAMPLES or rtt.maximum - rtt.minimum < UNSTEADY_NS


def _is_prompt(timing: Timing) -> bool:
    """Nobody had to wait for long, and nobody waits now."""
    if timing.owes or timing.blocked != NOBODY or timing.recovering != NOBODY:
        return False
    if timing.server.longest_wait >= LONG_ANSWER_NS:
        return False
    return timing.client.window + timing.client.loss + timing.server.window + timing.server.loss < NOTICEABLE_NS
