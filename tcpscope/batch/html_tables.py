"""The tables of the HTML report: their columns, and the rows of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tcpscope.batch.aggregate import CLIENTS, HOUR_NS, HOURS, NAMES, SERVERS, Aggregate, Group
from tcpscope.batch.listed import Listed
from tcpscope.batch.overview import Overview, by_severity, most
from tcpscope.report.html.model import NUMBER, RULES, SEVERITY, Cell, Column, Table, shown
from tcpscope.report.model import SEVERITIES
from tcpscope.report.quantities import SECOND_NS, day_and_time, size
from tcpscope.rules.words import span

if TYPE_CHECKING:
    from tcpscope.batch.captures import CaptureLine

MOST_ROWS: Final = 1000
"""Hosts, names and hours that are listed."""

Place = tuple[str, int, int]

_PATH_SIGNS: Final = 120
_NAME_SIGNS: Final = 100


def tables(over: Overview, links: Mapping[Place, str], kind: str) -> Iterator[Table]:
    """All of them; one without rows is not shown. ``kind``: the end of the names of the files that hold all, "" if there are none."""
    aggregate = over.aggregate
    yield _connections(over, links, kind)
    yield _captures(over, kind)
    yield _rules(aggregate)
    for title, dimension in (("Servers", SERVERS), ("Clients", CLIENTS), ("Names (SNI)", NAMES), ("Hours", HOURS)):
        yield _groups(aggregate, title, dimension)
    yield _certificates(aggregate)


def _elsewhere(name: str, kind: str) -> str:
    return f"{name}.{kind} has all of them" if kind else "--format json has all of them"


def _connections(over: Overview, links: Mapping[Place, str], kind: str) -> Table:
    columns = (
        Column("connection", about="client and server"),
        Column("worst", SEVERITY, "the worst severity of its findings"),
        Column("rules", RULES, "codes of its findings"),
        Column("what happened"),
        Column("name", about="the name that the client asked for (SNI)"),
        Column("opened", about="how it opened"),
        Column("closed", about="how it closed"),
        Column("TLS"),
        Column("data", NUMBER, "new bytes of both sides"),
        Column("sent again", NUMBER, "segments"),
        Column("RTT", NUMBER, "from SYN to ACK"),
        Column("duration", NUMBER),
        Column("start"),
        Column("capture, number"),
    )
    rows = [_connection(one, links) for one in over.aggregate.listed.in_order()]
    text = "The worst come first."
    if kind:
        text = "Those with findings, the worst first. Connections without findings are in the tables on disk."
    return Table(
        "connections",
        "Connections",
        text,
        columns,
        rows,
        over.aggregate.listed.left_out,
        _elsewhere("connections", kind),
    )


def _connection(one: Listed, links: Mapping[Place, str]) -> list[Cell]:
    ends = f"{one.client} → {one.server}"
    link = links.get(one.place)
    return [
        (None, ends, link) if link else ends,
        SEVERITIES[one.severity] if one.severity < len(SEVERITIES) else "",
        one.codes,
        shown(one.sentence),
        shown(one.name, _NAME_SIGNS),
        one.handshake,
        one.teardown,
        one.tls,
        (one.bytes, size(one.bytes)),
        one.retransmitted or None,
        None if one.rtt_ns is None else (one.rtt_ns, span(one.rtt_ns)),
        (one.duration_ns, span(one.duration_ns)),
        (one.start_ns // 1_000_000, day_and_time(one.start_ns)[:-4]),
        f"{shown(one.path, _PATH_SIGNS)} {one.stream}",
    ]


def _captures(over: Overview, kind: str) -> Table:
    columns = (
        Column("capture"),
        Column("status", about="read, damaged (in part) or unreadable"),
        Column("trouble", about="where most of the trouble sits"),
        Column("what happened"),
        Column("connections", NUMBER),
        Column("with findings", NUMBER),
        Column("errors", NUMBER),
        Column("warnings", NUMBER),
        Column("notes", NUMBER),
        Column("frames", NUMBER),
        Column("start"),
        Column("duration", NUMBER),
        Column("flaws", about="what limits what can be told"),
    )
    text = "Those with most to say first."
    if kind:
        text += " The name leads to what tcpscope analyze --format json says, as long as this report stays in its directory."
    rows = [_capture(line) for line in over.lines]
    return Table("captures", "Captures", text, columns, rows, over.captures - len(rows), _elsewhere("captures", kind))


def _capture(line: CaptureLine) -> list[Cell]:
    name = shown(line.path, _PATH_SIGNS)
    duration = None if line.duration is None else round(line.duration * SECOND_NS)
    begin: Cell = None
    if line.first_time is not None:
        begin = line.first_time // 1_000_000, day_and_time(line.first_time)[:-4]
    return [
        (None, name, f"captures/{line.document}") if line.document else name,
        line.status,
        "" if line.where == "none" else line.where,
        shown(line.summary),
        line.connections,
        line.with_findings or None,
        line.errors or None,
        line.warnings or None,
        line.notes or None,
        line.frames,
        begin,
        None if duration is None else (duration, span(duration)),
        shown("; ".join(part for part in (line.reason, line.faults) if part)),
    ]


def _rules(aggregate: Aggregate) -> Table:
    columns = (
        Column("worst", SEVERITY),
        Column("rule", RULES),
        Column("name"),
        Column("findings", NUMBER),
        Column("connections", NUMBER),
        Column("captures", NUMBER),
    )
    rows: list[list[Cell]] = [
        [rule.severity, code, rule.name, rule.findings, rule.connections, rule.captures]
        for code, rule in by_severity(aggregate.rules)
    ]
    return Table("rules", "Findings by rule", "A rule's code leads to its manual.", columns, rows)


def _groups(aggregate: Aggregate, title: str, dimension: str) -> Table:
    columns = (
        Column(dimension[:-1]),
        Column("connections", NUMBER),
        Column("with errors", NUMBER),
        Column("with warnings", NUMBER),
        Column("not opened", NUMBER, "refused, unanswered, half-open or aborted"),
        Column("how", about="refused, unanswered, half-open or aborted"),
        Column("reset by client", NUMBER),
        Column("reset by server", NUMBER),
        Column("data", NUMBER),
        Column("sent again", NUMBER, "share of the segments with data"),
        Column("RTT median", NUMBER),
        Column("RTT 95 %", NUMBER),
    )
    groups = aggregate.top(dimension)
    chosen = groups[-MOST_ROWS:] if dimension == HOURS else groups[:MOST_ROWS]
    rows = [[_key(dimension, key), *_numbers(group)] for key, group in chosen]
    folded = aggregate.folded[dimension]
    left_out = len(groups) - len(rows) + folded
    if folded:
        rows.append([f"{folded:,} others or more", *_numbers(aggregate.others[dimension])])
    text = "In the order of time, UTC." if dimension == HOURS else "Those with most errors, then warnings, come first."
    return Table(dimension, title, text, columns, rows, left_out, "they have the least to say")


def _key(dimension: str, key: str) -> Cell:
    if dimension == HOURS:
        return int(key), day_and_time(int(key) * HOUR_NS)[:16]
    return shown(key, _NAME_SIGNS)


def _numbers(group: Group) -> list[Cell]:
    again = group.retransmitted / group.data_segments if group.data_segments else None
    quantiles = [group.rtt.quantile(share) for share in (0.5, 0.95)]
    return [
        group.connections,
        group.error or None,
        group.warning or None,
        group.unopened.total() or None,
        ", ".join(f"{count:,} {kind}" for kind, count in most(group.unopened)),
        group.resets["client"] or None,
        group.resets["server"] or None,
        (group.bytes, size(group.bytes)),
        None if again is None else (round(again, 6), f"{again:.2%}"),
        *(None if one is None else (one, span(one)) for one in quantiles),
    ]


def _certificates(aggregate: Aggregate) -> Table:
    columns = (
        Column("not valid after"),
        Column("seen"),
        Column("for"),
        Column("server"),
        Column("connections", NUMBER),
        Column("SHA-256"),
    )
    rows: list[list[Cell]] = [
        [
            one.not_after,
            (one.seen // 1_000_000, day_and_time(one.seen)[:10]),
            shown(one.names or one.subject, _NAME_SIGNS),
            one.server,
            one.connections,
            one.sha256[:16] + "…",
        ]
        for one in aggregate.expiring()
    ]
    text = "Certificates that end within 90 days of when they were seen last, or had ended."
    return Table("certificates", "Certificates", text, columns, rows)
