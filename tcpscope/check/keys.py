"""Everything that a policy may say, in one table: the reader, the JSON Schema for editors and the manual come from it.

A key with a dot is one of a table inside the table: ``tls.version`` is ``version`` in ``[expect.tls]``, or written as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tcpscope.check import kinds
from tcpscope.check.kinds import Kind
from tcpscope.report.model import SEVERITIES
from tcpscope.rules.diagnosis import PLACES

HANDSHAKES: Final = (
    "complete",
    "simultaneous",
    "refused",
    "unanswered",
    "half-open",
    "aborted",
    "partial",
    "not-captured",
)
TEARDOWNS: Final = ("orderly", "incomplete", "half-closed", "aborted", "reset-after-fin", "open")
TIME_WAITS: Final = ("held", "violated", "safely-reused", "not-observed", "not-applicable")
TLS_VERDICTS: Final = ("complete", "incomplete", "failed", "violated")
WHERES: Final = tuple(sorted({where.format(side) for where in PLACES.values() for side in ("client", "server")}))
OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it is called, the kind of its value, what it means, an example as it stands in a policy, what holds without it."""

    name: str
    kind: Kind
    meaning: str
    example: str
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """An array of tables: its name, what one of them is, its keys."""

    name: str
    meaning: str
    keys: tuple[Key, ...]


SELECT: Final = Key("select", kinds.RULES, "Rules to use.", '["TS1", "TS604"]', "all")
IGNORE: Final = Key(
    "ignore", kinds.RULES, "Rules to leave out of those. What is ignored is counted.", '["TS4"]', "none"
)
LEVELS: Final = kinds.severities((*SEVERITIES, OFF))

POLICY: Final = (
    SELECT,
    IGNORE,
    Key("extend-select", kinds.RULES, "Rules to use besides those of `select`.", '["keep-alive"]', "none"),
    Key(
        "severities",
        LEVELS,
        "Severities that the project gives to rules; the longest beginning of a code wins, a whole code or name over all. "
        "`off` is the same as to ignore the rule.",
        '{ TS4 = "note", zero-window = "error" }',
        "those of the rules",
    ),
    Key(
        "per-capture-ignores",
        kinds.IGNORES,
        "Rules to leave out in the captures whose path matches. A pattern without a slash is held against the name, another "
        "one against the path from the policy's directory.",
        '{ "legacy/**" = ["TS6"] }',
        "none",
    ),
    Key(
        "fail-on",
        kinds.word((*SEVERITIES, "never"), "severity"),
        "Problems of this severity, and worse ones, make the exit status 1.",
        '"warning"',
        "`error`",
    ),
    Key(
        "baseline",
        kinds.TEXT,
        "The file of `--write-baseline` whose problems are known: only others are reported. A path from the policy's directory.",
        '"baseline.json"',
        "none",
    ),
    Key("msl", kinds.DURATION, "Maximum segment lifetime: TIME-WAIT lasts twice as long.", "120", "30"),
    Key(
        "verify-checksums",
        kinds.BOOLEAN,
        "Leave out segments whose TCP checksum is wrong, and count them.",
        "true",
        "false",
    ),
    Key(
        "keylog",
        kinds.PATHS,
        "Keys of TLS connections in the format of SSLKEYLOGFILE; paths from the policy's directory.",
        '["session.keys"]',
        "none",
    ),
    Key(
        "ca-file",
        kinds.PATHS,
        "Certificates of authorities to trust, PEM or DER: chains must then lead to one of them.",
        '["ca.pem"]',
        "none",
    ),
    Key("system-ca", kinds.BOOLEAN, "Trust the authorities that the system trusts.", "true", "false"),
    Key("crl", kinds.PATHS, "Certificate revocation lists, PEM or DER.", '["ca.crl"]', "none"),
)

MATCH: Final = Key("match", kinds.SELECTOR, "Which connections.", '"port 443"', '"all"')
CAPTURE: Final = Key(
    "capture", kinds.PATTERNS, "Which captures, as in `per-capture-ignores`.", '"login-*.pcap"', "all that are checked"
)

PER_CONNECTION: Final = Table(
    "per-connection",
    "Other rules and severities for some connections. Of several that match the later ones come on top.",
    (
        Key("match", kinds.SELECTOR, "Which connections.", '"client net 10.9.0.0/16"', required=True),
        CAPTURE,
        Key("select", kinds.RULES, "Rules to use, in place of those of the policy.", '["TS2"]', "as the policy"),
        Key("ignore", kinds.RULES, "Rules to leave out, besides those of the policy.", '["reset-after-fin"]', "none"),
        Key("severities", LEVELS, "Severities, over those of the policy.", '{ TS2 = "error" }', "as the policy"),
    ),
)

ALLOW: Final = Table(
    "allow",
    "A known finding that is accepted. What is allowed is counted; so is an allow that nothing needs any more.",
    (
        Key("rule", kinds.RULE_OR_RULES, "The rule that finds it.", '"reset-after-fin"', required=True),
        MATCH,
        CAPTURE,
        Key("reason", kinds.TEXT, "Why, for whoever reads the policy next.", '"load balancer, OPS-12"', required=True),
        Key(
            "until",
            kinds.DATE,
            "The last day (UTC) on which it holds, for connections that began then. The clock is the capture's, so that the "
            "same capture gives the same result next year.",
            "2027-01-31",
            "for ever",
        ),
    ),
)

EXPECT: Final = Table(
    "expect",
    "What must hold for each connection that matches; that none matches, fails as well. With `capture` each such capture must "
    "have one, without it any of the captures that are checked together.",
    (
        Key("name", kinds.TEXT, "What reports call it.", '"login over TLS"', "`match`"),
        MATCH,
        CAPTURE,
        Key("min-connections", kinds.COUNT, "At least so many connections match.", "3", "1"),
        Key("max-connections", kinds.COUNT, "No more than so many match.", "10", "any number"),
        Key("handshake", kinds.words(HANDSHAKES, "verdict on a handshake"), "How it opened.", '"complete"'),
        Key(
            "teardown",
            kinds.words(TEARDOWNS, "verdict on a teardown"),
            "How it closed.",
            '["orderly", "reset-after-fin"]',
        ),
        Key("active-closer", kinds.words(("client", "server", "both"), "side"), "Who closed first.", '"client"'),
        Key("time-wait", kinds.words(TIME_WAITS, "verdict on TIME-WAIT"), "Whether TIME-WAIT was kept.", '"held"'),
        Key("tls.version", kinds.TLS_VERSION, "The version that was agreed on.", '">=1.2"'),
        Key("tls.cipher-suite", kinds.PATTERNS, "The cipher suite that was agreed on.", '"TLS_AES_*"'),
        Key("tls.verdict", kinds.words(TLS_VERDICTS, "verdict on TLS"), "How the TLS handshake went.", '"complete"'),
        Key("tls.alpn", kinds.PATTERNS, "The protocol that was agreed on by ALPN.", '"h2"'),
        Key("tls.resumed", kinds.BOOLEAN, "Whether a session was resumed.", "true"),
        Key("max-handshake-rtt", kinds.DURATION, "From SYN to the third segment.", '"200ms"'),
        Key("max-response-time", kinds.DURATION, "From a request to the first data of its answer.", '"1 s"'),
        Key(
            "max-retransmitted-share",
            kinds.SHARE,
            "Share of its data segments that either side sent again.",
            "0.01",
        ),
        Key("max-retransmissions", kinds.COUNT, "Segments that both sides sent again.", "0"),
        Key(
            "min-throughput", kinds.RATE, "Payload over the connection's life, of the side that sent more.", '"1 MB/s"'
        ),
        Key("min-duration", kinds.DURATION, "From the first to the last segment, at least.", '"10 s"'),
        Key("max-duration", kinds.DURATION, "From the first to the last segment, at most.", '"2 min"'),
        Key("diagnosis", kinds.words(WHERES, "place of a diagnosis"), "Where the diagnosis puts trouble.", '"none"'),
        Key("no-findings", kinds.RULE_OR_RULES, "These rules find nothing, whatever the policy ignores.", '["TS2"]'),
        Key(
            "max-findings",
            kinds.RULE_COUNTS,
            "A rule finds it no more often than this, in one connection.",
            "{ zero-window = 2 }",
        ),
        Key(
            "severity",
            kinds.word(SEVERITIES, "severity"),
            "How bad it is that it does not hold.",
            '"warning"',
            "`error`",
        ),
        Key(
            "undecided",
            kinds.word(("fail", "pass"), "way to treat what a capture cannot tell"),
            "What it means that a capture cannot tell: `fail` is as bad as broken, for a check that cannot be made must not look "
            "like one that was passed; `pass` only counts it.",
            '"pass"',
            "`fail`",
        ),
    ),
)

TABLES: Final = (PER_CONNECTION, EXPECT, ALLOW)


def names(keys: Sequence[Key]) -> list[str]:
    """What the keys of a table are called."""
    return [key.name for key in keys]
