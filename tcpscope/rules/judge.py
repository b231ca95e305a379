"""Which rules look at a connection: those of its facts and occasions, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcpscope.crypto.certificates import Examined
from tcpscope.crypto.examiner import Examiner
from tcpscope.rules.base import (
    CLOSED_BY_BOTH_AT_ONCE,
    CLOSED_BY_ONE,
    HALF_OPEN,
    NO_CONNECTION,
    NOT_TLS,
    OPENING_ABORTED,
    REFUSED,
    SIMULTANEOUS_OPEN,
    STARTTLS,
    TLS_HELLO_CUT,
    TLS_TROUBLE,
    UNANSWERED,
    Context,
    Finding,
    Rule,
    Severity,
)
from tcpscope.rules.certificate_base import CertificateRule
from tcpscope.rules.tls_base import TlsRule
from tcpscope.rules.tls_outcome import TLS_PORTS
from tcpscope.rules.verdicts import handshake_verdict, watched_too_briefly
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Transfer
from tcpscope.state.facts import (
    KIND_BITS,
    PORTS_REUSED,
    REUSE_HIGHER_ISN,
    REUSE_NEWER_TIMESTAMP,
    RST_SENT,
    Fact,
    FactLog,
)
from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_tracker import TlsConnection

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.pipeline import CaptureFacts

SEVERITIES: Final = tuple(Severity)
CLEAN: Final = len(SEVERITIES)
"""What stands for the severity of a connection without findings."""

MAX_TRIGGERS: Final = 10_000
"""Different sets of triggers for which the rules are remembered; a capture that has more is made up."""


class Opinion:
    """What the rules say of connections that they cannot tell apart, but for names and numbers in the sentences.

    ``severity`` is the place of the worst finding in :data:`SEVERITIES`; ``connections`` is the caller's, to count with.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings: list[Finding] = findings
        self.severity: i64 = worst_severity(findings)
        self.connections: i64 = 0


class Judge:
    """Applies rules to finished connections and to captures. ``rules``: in the order in which their findings come."""

    def __init__(self, options: Options, rules: Sequence[Rule]) -> None:
        self.context: Context = Context(options, options.msl_ns)
        self._capture_rules: list[Rule] = list(rules)
        self._rules: list[Rule] = [
            rule for rule in rules if not isinstance(rule, TlsRule) and not isinstance(rule, CertificateRule)
        ]
        self._tls_rules: dict[int, Rule] = {rule.fault: rule for rule in rules if isinstance(rule, TlsRule)}
        self._certificate_rules: dict[int, Rule] = {
            rule.trouble: rule for rule in rules if isinstance(rule, CertificateRule)
        }
        self._examiner: Examiner = Examiner(options.ca_file, options.system_ca, options.crl)
        self._by_trigger: dict[tuple[int, int], list[Rule]] = {}
        self._kinds: i64 = 0
        self._reuse: i64 = KIND_BITS[PORTS_REUSED]
        self._reset: i64 = KIND_BITS[RST_SENT]
        self._occasions: i64 = TLS_TROUBLE if self._tls_rules else 0
        for rule in self._rules:
            self._kinds |= rule.kind_bits()
            self._occasions |= rule.occasions
        self.clean: Opinion = Opinion([])
        self.alike: dict[int, Opinion] = {}

    def connection(self, conn: Connection) -> list[Finding]:
        """What the rules say of one finished connection, in their order, the client's side first."""
        kinds: i64 = conn.fact_kinds & self._kinds
        occasions: i64 = occasions_of(conn) & self._occasions
        findings: list[Finding] = []
        codes: list[int] = self._certificate_troubles(conn)
        if kinds | occasions == 0 and len(codes) == 0:
            return findings
        for rule in self._rules_for(kinds, occasions):
            findings.extend(rule.judge(conn, self.context))
        if occasions & TLS_TROUBLE != 0 and conn.tls is not None and conn.tls.log is not None:
            for code in sorted({fault.code for fault in conn.tls.log.faults}):
                tls_rule = self._tls_rules.get(code)
                if tls_rule is not None:
                    findings.extend(tls_rule.judge(conn, self.context))
        for code in codes:
            findings.extend(self._certificate_rules[code].judge(conn, self.context))
        return findings

    def _certificate_troubles(self, conn: Connection) -> list[int]:
        """What is wrong with the certificates of a connection, as far as the rules are chosen; looked at once."""
        tls: TlsConnection | None = conn.tls
        if tls is None or tls.log is None or tls.outcome is None or len(tls.log.certificates) == 0:
            return []
        log: TlsLog = tls.log
        if log.examined is None:
            log.examined = self._examiner.examine(log, tls.outcome.version, tls.outcome.cipher)
        examined: object = log.examined
        if not isinstance(examined, Examined):
            return []
        return sorted({one.code for one in examined.troubles if one.code in self._certificate_rules})

    def opinion(self, conn: Connection) -> Opinion | None:
        """What :meth:`connection` would say, but for names and numbers, if that takes no look at the rules; else None.

        So it is with clean connections, and with those of which there may be many: nobody answered, one side aborted what was
        open, or the ports were used again.
        """
        kinds: i64 = conn.fact_kinds & self._kinds
        occasions: i64 = occasions_of(conn) & self._occasions
        if conn.tls is not None and len(self._certificate_troubles(conn)) > 0:
            return None
        if kinds | occasions == 0:
            return self.clean
        if conn.lossy or conn.frames_dropped > 0 or conn.file_damaged or conn.cut_off:
            return None  # what is absent is weighed against what the capture lost
        if kinds != 0:
            if occasions != 0:
                return None
            return self._reused(conn) if kinds == self._reuse else self._aborted(conn) if kinds == self._reset else None
        if occasions & ~(UNANSWERED | HALF_OPEN) != 0:
            return None
        # All that TS105 and TS106 look at where nothing was repeated.
        sort: int = (
            occasions * 16
            + (8 if conn.server.syn_count == 1 else 0)
            + (4 if conn.one_sided else 0)
            + (2 if watched_too_briefly(conn.client, conn) else 0)
            + (1 if watched_too_briefly(conn.server, conn) else 0)
        )
        return self._like(sort, conn)

    def _reused(self, conn: Connection) -> Opinion | None:
        """The same for a connection of which nothing is to be told but that its ports were used again, safely (TS304)."""
        log: FactLog | None = conn.log
        if log is None or len(log.facts) != 1:
            return None
        fact: Fact = log.facts[0]
        if fact.kind != PORTS_REUSED or fact.b not in (REUSE_HIGHER_ISN, REUSE_NEWER_TIMESTAMP):
            return None
        return self._like(-1 - fact.side, conn)

    def _aborted(self, conn: Connection) -> Opinion | None:
        """The same for a connection of which nothing is to be told but that a side reset it while it was open (TS206)."""
        log: FactLog | None = conn.log
        if log is None or len(log.facts) != 1 or conn.syn_acks_after_ack != 0:
            return None
        begun: bool = conn.client.syn_frame != 0 or conn.server.syn_frame != 0
        if begun and (conn.client.syn_frame == 0 or conn.server.syn_frame == 0 or conn.ack_frame == 0):
            return None
        client: Transfer | None = conn.client.transfer
        server: Transfer | None = conn.server.transfer
        if client is None or server is None or client.fin_frame != 0 or server.fin_frame != 0:
            return None
        return self._like(-3 - log.facts[0].side, conn)

    def _like(self, sort: int, conn: Connection) -> Opinion:
        """What the rules say of this sort, worked out for the first one."""
        found = self.alike.get(sort)
        if found is None:
            found = Opinion(self.connection(conn))
            self.alike[sort] = found
        return found

    def capture(self, facts: CaptureFacts) -> list[Finding]:
        """What the rules say of a whole capture."""
        return [finding for rule in self._capture_rules for finding in rule.judge_capture(facts, self.context)]

    def _rules_for(self, kinds: int, occasions: int) -> list[Rule]:
        """The rules that a set of triggers calls. Few sets occur, so each is worked out once."""
        found = self._by_trigger.get((kinds, occasions))
        if found is None:
            found = [rule for rule in self._rules if rule.kind_bits() & kinds or rule.occasions & occasions]
            if len(self._by_trigger) < MAX_TRIGGERS:
                self._by_trigger[kinds, occasions] = found
        return found


def worst_severity(findings: Sequence[Finding]) -> int:
    """The place of the worst finding's severity in :data:`SEVERITIES`; :data:`CLEAN` without findings."""
    return min([SEVERITIES.index(finding.severity) for finding in findings], default=CLEAN)


def occasions_of(conn: Connection) -> i64:
    """Bit set of the properties of a finished connection that call rules. A clean connection has none, and costs no more."""
    bits: i64 = 0
    if conn.ack_frame == 0 and conn.client.syn_frame != 0:
        bits |= opening_occasion(handshake_verdict(conn))
    if conn.simultaneous_open:
        bits |= SIMULTANEOUS_OPEN
    client: Transfer | None = conn.client.transfer
    server: Transfer | None = conn.server.transfer
    if client is not None and server is not None:
        if has_no_beginning(conn, client, server):
            bits |= NO_CONNECTION
        bits |= closing_occasion(client, server)
    tls: TlsConnection | None = conn.tls
    if tls is not None:
        if tls.cut_hello0 or tls.cut_hello1:
            bits |= TLS_HELLO_CUT
        if tls.carrier is not None and tls.carrier.notable(tls.recognised):
            bits |= STARTTLS
        if tls.recognised:
            if tls.log is not None and len(tls.log.faults) > 0:
                bits |= TLS_TROUBLE
        elif conn.server_port in TLS_PORTS:
            bits |= NOT_TLS
    return bits


def opening_occasion(verdict: str) -> i64:
    """What a verdict on the opening calls."""
    if verdict == "refused":
        return REFUSED
    if verdict == "unanswered":
        return UNANSWERED
    if verdict == "half-open":
        return HALF_OPEN
    if verdict == "aborted":
        return OPENING_ABORTED
    return 0


def closing_occasion(client: Transfer, server: Transfer) -> i64:
    """What the FINs call: only one of the two, or both at once."""
    if client.fin_frame == 0 and server.fin_frame == 0:
        return 0
    if client.fin_frame == 0 or server.fin_frame == 0:
        return CLOSED_BY_ONE
    if client.fin_with_ack_of_fin or server.fin_with_ack_of_fin:
        return 0
    first: Transfer = client
    second: Transfer = server
    if server.fin_frame < client.fin_frame:
        first = server
        second = client
    return 0 if 0 < first.fin_ack_frame < second.fin_frame else CLOSED_BY_BOTH_AT_ONCE


def has_no_beginning(conn: Connection, client: Transfer, server: Transfer) -> bool:
    """Whether a FIN or reset comes first, of a connection that is not a late piece of one that was judged already."""
    if conn.client.syn_frame != 0 or conn.server.syn_frame != 0 or conn.continued:
        return False
    first: i64 = conn.first_frame
    return first in (client.fin_frame, server.fin_frame, client.trouble.rst_frame, server.trouble.rst_frame)
