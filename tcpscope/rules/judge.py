"""Which rules look at a connection: those of its facts and occasions, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcpscope.rules.base import (
    CLOSED_BY_BOTH_AT_ONCE,
    CLOSED_BY_ONE,
    HALF_OPEN,
    NOT_TLS,
    OPENING_ABORTED,
    REFUSED,
    SIMULTANEOUS_OPEN,
    TLS_TROUBLE,
    UNANSWERED,
    Context,
    Finding,
    Rule,
)
from tcpscope.rules.tls_base import TlsRule
from tcpscope.rules.tls_outcome import TLS_PORTS
from tcpscope.rules.verdicts import handshake_verdict

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection

VERDICT_OCCASIONS: Final = {
    "refused": REFUSED,
    "unanswered": UNANSWERED,
    "half-open": HALF_OPEN,
    "aborted": OPENING_ABORTED,
}


class Judge:
    """Applies rules to finished connections and to captures. ``rules``: in the order in which their findings come."""

    def __init__(self, options: Options, rules: Sequence[Rule]) -> None:
        self.context = Context(options, options.msl_ns)
        self._rules = [rule for rule in rules if not isinstance(rule, TlsRule)]
        self._tls_rules = {rule.fault: rule for rule in rules if isinstance(rule, TlsRule)}
        self._capture_rules = rules
        self._by_trigger: dict[int, list[Rule]] = {}
        self._triggers = TLS_TROUBLE if self._tls_rules else 0
        for rule in self._rules:
            self._triggers |= rule.triggers()

    def connection(self, conn: Connection) -> list[Finding]:
        """What the rules say of one finished connection, in their order, the client's side first."""
        present = (conn.fact_kinds | occasions(conn)) & self._triggers
        if not present:
            return []
        findings = [finding for rule in self._rules_for(present) for finding in rule.judge(conn, self.context)]
        if present & TLS_TROUBLE and conn.tls is not None and conn.tls.log is not None:
            for code in sorted({fault.code for fault in conn.tls.log.faults}):
                rule = self._tls_rules.get(code)
                if rule is not None:
                    findings.extend(rule.judge(conn, self.context))
        return findings

    def capture(self, facts: CaptureFacts) -> list[Finding]:
        """What the rules say of a whole capture."""
        return [finding for rule in self._capture_rules for finding in rule.judge_capture(facts, self.context)]

    def _rules_for(self, present: int) -> list[Rule]:
        """The rules that a set of triggers calls. Few sets occur, so each is worked out once."""
        found = self._by_trigger.get(present)
        if found is None:
            found = [rule for rule in self._rules if rule.triggers() & present]
            if len(self._by_trigger) < 10_000:
                self._by_trigger[present] = found
        return found


def occasions(conn: Connection) -> int:
    """Bit set of the properties of a finished connection that call rules. A clean connection has none, and costs no more."""
    bits = 0
    if not conn.ack_frame and conn.client.syn_frame:
        bits |= VERDICT_OCCASIONS.get(handshake_verdict(conn), 0)
    if conn.simultaneous_open:
        bits |= SIMULTANEOUS_OPEN
    client, server = conn.client.transfer, conn.server.transfer
    if client is not None and server is not None and (client.fin_frame or server.fin_frame):
        if not (client.fin_frame and server.fin_frame):
            bits |= CLOSED_BY_ONE
        elif not (client.fin_with_ack_of_fin or server.fin_with_ack_of_fin):
            first, second = (client, server) if client.fin_frame < server.fin_frame else (server, client)
            if not 0 < first.fin_ack_frame < second.fin_frame:
                bits |= CLOSED_BY_BOTH_AT_ONCE
    tls = conn.tls
    if tls is not None:
        if tls.recognised:
            if tls.log is not None and tls.log.faults:
                bits |= TLS_TROUBLE
        elif int.from_bytes(conn.key[-2:], "big") in TLS_PORTS:
            bits |= NOT_TLS
    return bits
