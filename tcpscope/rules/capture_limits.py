"""TS9xx, bounds on memory that were reached, so that something is missing in the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import Context, Finding, Rule, Severity
from tcpscope.rules.words import plural
from tcpscope.state import checksums, ended, holes, limits, listeners, path, stream, tls_log, transfer
from tcpscope.wire import decoder, fragments

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts

CERTIFICATES_KB: Final = tls_log.MAX_CERTIFICATE_BYTES // 1024
HELD_KB: Final = stream.MAX_HELD // 1024
HELD_MB: Final = fragments.MAX_HELD >> 20

# What is counted, and what became of it.
SENTENCES: Final[dict[int, tuple[str, str]]] = {
    limits.UNACKNOWLEDGED: (
        "connection",
        f"with over {transfer.MAX_OUTSTANDING:,} segments unacknowledged: round trips and causes are incomplete",
    ),
    limits.HOLES: ("connection", f"with over {holes.MAX_HOLES} gaps at once: the oldest are taken as lost here"),
    limits.STATES: ("connection", f"with over {path.MAX_STEPS} changes of state: the later ones are left out"),
    limits.TLS_BYTES: (
        "connection",
        f"with over {stream.MAX_PIECES} segments or {HELD_KB} KiB of TLS behind a gap: it is taken as lost here",
    ),
    limits.TLS_EVENTS: (
        "connection",
        f"with over {tls_log.MAX_EVENTS} TLS messages or {tls_log.MAX_ALERTS} alerts: the later ones are not judged",
    ),
    limits.TLS_CERTIFICATES: ("connection", f"with over {CERTIFICATES_KB} KiB of certificates: some were not kept"),
    limits.LISTENERS: ("SYN", f"to listeners beyond {listeners.MAX_LISTENERS:,}: their queues were not followed"),
    limits.NUMBERS: (
        "connection",
        f"that ended before the latest {ended.KEPT:,}: a late segment of theirs would count as a new connection",
    ),
    limits.FRAGMENTS: (
        "datagram",
        f"given up while over {fragments.MAX_DATAGRAMS:,}, or {HELD_MB} MiB, waited for fragments",
    ),
    limits.ENCAPSULATIONS: (
        "segment",
        f"in encapsulations beyond {decoder.MAX_ENCAPSULATIONS:,} kinds: shown as other",
    ),
    limits.SENDERS: ("checksum", f"of hosts beyond {checksums.MAX_HOSTS:,}: not judged host by host"),
}


class LimitReached(Rule):
    """A bound on memory was reached, and something is missing in this report.

    What it does:
        Names each bound of the analysis that the capture reached, and how often. The bounds are far above what honest
        traffic needs; without them a hostile capture could fill the memory. --max-connections has a rule of its own
        (TS908).

    Why it matters:
        What lies behind a bound was counted but not followed, so verdicts about it may be incomplete.

    Example:
        SYNs to 70,000 different ports: the queues of 4,464 of them were not followed

    How to fix:
        Filter the capture, or split it (editcap -i), so that less happens at the same time.

    References:
        RFC 9293 section 3.3.2: states are followed from segment to segment.
    """

    code: ClassVar[str] = "TS916"
    name: ClassVar[str] = "limit-reached"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.3.2"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """Each of them, with its count."""
        reached = [(*SENTENCES[limit], count) for limit, count in enumerate(capture.limits) if count > 0]
        if reached:
            told = [f"{plural(count, noun)} {what}" for noun, what, count in reached]
            yield self.capture_finding(f"Bounds on memory were reached: {'; '.join(told)}", "tcp", count=len(told))
