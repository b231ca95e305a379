"""The report over many captures as Markdown: an overview that is read in ten seconds, then tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from tcpscope.batch.aggregate import CLIENTS, HOUR_NS, HOURS, NAMES, RULES, SERVERS, Aggregate, Group
from tcpscope.batch.overview import Overview, Problem, by_severity, most, round_trips
from tcpscope.many.inputs import Input
from tcpscope.report.escape import printable
from tcpscope.report.quantities import day_and_time, size
from tcpscope.rules.words import plural, span

WORST, TOP, LISTED, ALL_HOURS = 20, 20, 50, 168
"""Rows of the tables of troubles, of groups, of captures that could not be read, and of hours (a week)."""

MOST_CHOSEN: Final = 3
"""Versions of TLS and cipher suites of a group that are named."""

MOST_FILES: Final = 10
"""Files of a series that are named; its JSON has all, with their frames."""

SOON: Final = "ends within 90 days of when it was seen last, or had ended"

_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|#&~!])")


def render(over: Overview) -> str:
    """The whole report."""
    parts = [
        _head(over),
        _worst(over.aggregate),
        _rules(over.aggregate),
        _unread("Captures that could not be read", over.unreadable),
        _unread("Captures that are damaged", over.damaged),
        _series(over.series),
        _groups(over.aggregate, "Servers", SERVERS),
        _groups(over.aggregate, "Clients", CLIENTS),
        _groups(over.aggregate, "Names asked for (SNI)", NAMES),
        _hours(over.aggregate),
        _tls(over.aggregate.total),
        _certificates(over.aggregate),
        _notes(over),
    ]
    return "\n".join(part for part in parts if part)


def sentence(text: str) -> str:
    """A sentence that may hold text from the wire, so that none of it acts as markup or as a link."""
    return _MARKUP.sub(r"\\\1", printable(text, backslash=False)).replace("://", ":\\//").replace("www.", "www\\.")


def name(text: str) -> str:
    """A name from the wire or of a file, shown as it is."""
    return "`" + printable(text).replace("`", "\\x60").replace("|", "\\x7c") + "`" if text else ""


def _head(over: Overview) -> str:
    total = over.aggregate.total
    rest = over.captures - len(over.unreadable) - len(over.damaged)
    read = [f"{rest:,} read in full"]
    read += [f"**{len(over.damaged):,} damaged**"] if over.damaged else []
    read += [f"**{len(over.unreadable):,} not readable**"] if over.unreadable else []
    clean = total.connections - total.with_findings
    judged = f"{total.error:,} with errors, {total.warning:,} with warnings, {clean:,} without findings"
    lines = [
        "# Packet captures: what was found",
        "",
        f"- **{plural(over.captures, 'capture')}**: {', '.join(read)}; {over.with_findings:,} with errors or warnings",
        f"- **{plural(over.connections, 'connection')}** in {plural(over.frames, 'frame')}, {size(total.bytes)} of data: {judged}",
        f"- **Findings**: {plural(over.errors, 'error')}, {plural(over.warnings, 'warning')}, {plural(over.notes, 'note')}",
    ]
    if total.unopened:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in most(total.unopened))
        lines.append(f"- **Not opened**: {plural(total.unopened.total(), 'connection')} ({kinds})")
    if total.resets:
        lines.append(f"- **Reset**: {total.resets['client']:,} by the client, {total.resets['server']:,} by the server")
    if total.data_segments:
        share = total.retransmitted / total.data_segments
        lines.append(f"- **Sent again**: {share:.2%} of {plural(total.data_segments, 'segment')} with data")
    if cut := over.aggregate.cut:
        lines.append(_cut(cut, over.named_alike))
    if len(total.rtt):
        lines.append(f"- **Round trip** (SYN to ACK): {round_trips(total)}")
    return "\n".join([*lines, ""])


def _cut(cut: Counter[str], named_alike: int) -> str:
    kinds = f"{cut['start']:,} began before it, {cut['end']:,} went on after it"
    text = f"- **Cut** by the edges of their capture: {plural(cut['either'], 'connection')} ({kinds})"
    if named_alike:
        text += f". {plural(named_alike, 'file')} have names as a capture has that was split: `--join` puts together what belongs together"
    return text


def _worst(aggregate: Aggregate) -> str:
    kinds = aggregate.worst()
    rows = [
        [
            one.severity,
            one.code,
            one.server + (f" {name(one.name)}" if one.name else ""),
            f"{one.connections:,}",
            f"{name(one.path)} {one.stream}",
            sentence(one.sentence),
        ]
        for one in kinds[:WORST]
    ]
    heads = ["severity", "rule", "server", "connections", "the first: capture, number", "what happened to it"]
    text = "Connections to one server with the same worst finding are one row."
    return _section("Worst connections", text, heads, rows, len(kinds), right={3})


def _rules(aggregate: Aggregate) -> str:
    rows = [
        [
            *(one.severity, code, one.name, f"{one.findings:,}", f"{one.captures:,}", f"{one.connections:,}"),
            *_group_cells(aggregate.groups[RULES].get(code, Group()))[3:],
        ]
        for code, one in by_severity(aggregate.rules)
    ]
    heads = ["severity", "rule", "name", "findings", "captures", "connections", *GROUP_HEADS[3:]]
    text = "`tcpscope rule CODE` explains a rule and how to fix what it finds. From the connections on, all is about those that have it."
    return _section("Findings by rule", text, heads, rows, len(rows), right={3, 4, 5, 8, 9, 10, 11})


def _unread(title: str, problems: Sequence[Problem]) -> str:
    rows = [[name(one.path), sentence(one.reason)] for one in problems[:LISTED]]
    return _section(title, "", ["capture", "reason"], rows, len(problems))


def _series(series: Sequence[Input]) -> str:
    rows = []
    for one in series[:LISTED]:
        files = one.files if len(one.files) <= MOST_FILES else (*one.files[: MOST_FILES - 1], one.files[-1])
        names = [name(file.rpartition("/")[2]) for file in files]
        if len(files) < len(one.files):
            names.insert(-1, f"{len(one.files) - len(files):,} more")
        rows.append([name(one.path), f"{len(one.files):,}", ", ".join(names)])
    text = "Each was read as one capture: frames are counted through all its files."
    return _section(
        "Captures of several files", text, ["capture", "files", "in this order"], rows, len(series), right={1}
    )


GROUP_HEADS: Final = (
    "connections",
    "errors",
    "warnings",
    "not opened",
    "reset by client, server",
    "data",
    "sent again",
    "RTT median",
    "RTT 95 %",
    "TLS",
    "cipher suites",
)


def _group_cells(group: Group) -> list[str]:
    return [
        f"{group.connections:,}",
        f"{group.error:,}",
        f"{group.warning:,}",
        ", ".join(f"{count:,} {kind}" for kind, count in most(group.unopened)),
        f"{group.resets['client']:,}, {group.resets['server']:,}" if group.resets else "",
        size(group.bytes),
        f"{group.retransmitted / group.data_segments:.2%}" if group.data_segments else "",
        *(span(group.rtt.quantile(share) or 0) if len(group.rtt) else "" for share in (0.5, 0.95)),
        _chosen(group.versions),
        _chosen(group.ciphers),
    ]


def _chosen(counts: Counter[str]) -> str:
    """What most connections chose, and of how many further things there are."""
    chosen = most(counts)
    more = f", {len(chosen) - MOST_CHOSEN:,} more" if len(chosen) > MOST_CHOSEN else ""
    return ", ".join(f"{count:,} {sentence(one)}" for one, count in chosen[:MOST_CHOSEN]) + more


def _groups(aggregate: Aggregate, title: str, dimension: str) -> str:
    groups = aggregate.top(dimension)
    shown = [[name(key) if dimension == NAMES else key, *_group_cells(group)] for key, group in groups[:TOP]]
    folded = aggregate.folded[dimension]
    count = len(groups) + folded
    if folded:
        shown.append([f"{folded:,} others or more", *_group_cells(aggregate.others[dimension])])
    text = "Those with most connections that have errors, then warnings, then connections."
    return _section(title, text, [dimension[:-1], *GROUP_HEADS], shown, count, right=_GROUP_RIGHT)


_GROUP_RIGHT: Final = {1, 2, 3, 6, 7, 8, 9}


def _hours(aggregate: Aggregate) -> str:
    groups = aggregate.top(HOURS)
    rows = [
        [day_and_time(int(key) * HOUR_NS)[:16] + " UTC", *_group_cells(group)] for key, group in groups[-ALL_HOURS:]
    ]
    text = "By the hour in which a connection began, the latest hours."
    return _section("Hours", text, ["hour", *GROUP_HEADS], rows, len(groups), right=_GROUP_RIGHT)


def _tls(total: Group) -> str:
    sections: list[str] = []
    for title, counts in (("TLS versions", total.versions), ("TLS cipher suites", total.ciphers)):
        rows = [[one, f"{count:,}", f"{count / counts.total():.1%}"] for one, count in most(counts)]
        sections.append(_section(title, "", ["chosen", "connections", "share"], rows[:LISTED], len(rows), right={1, 2}))
    return "\n".join(filter(None, sections))


def _certificates(aggregate: Aggregate) -> str:
    found = aggregate.expiring()
    rows = [
        [
            one.not_after,
            day_and_time(one.seen)[:10],
            name(one.names or one.subject),
            one.server,
            f"{one.connections:,}",
            f"`{one.sha256[:16]}…`",
        ]
        for one in found[:LISTED]
    ]
    heads = ["not valid after", "seen", "for", "server", "connections", "SHA-256"]
    return _section("Certificates that expire", f"A certificate that {SOON}.", heads, rows, len(found), right={4})


ABOUT: Final = (
    """- Round trips are those from SYN to ACK, one a connection where neither was sent twice. Their percentiles come from
  logarithmic buckets that are merged exactly: they are within 1.6 % of the true ones.""",
    """- A connection that is open when a capture ends and goes on in the next file is counted in both; the table of
  connections marks it (`cut_at_end`, `cut_at_start`).""",
)


def _notes(over: Overview) -> str:
    lines = ["## About these numbers", "", *ABOUT]
    if over.aggregate.folded:
        lines.append(
            "- There were too many hosts to keep all apart: those of least weight are counted together as others."
        )
    lines += ["", f"tcpscope {over.version}", ""]
    return "\n".join(lines)


def _section(
    title: str, text: str, heads: Sequence[str], rows: Sequence[Sequence[str]], count: int, right: Iterable[int] = ()
) -> str:
    """A table with its heading; nothing without rows. ``count``: how many rows there would be."""
    if not rows:
        return ""
    aligned = set(right)
    lines = [f"## {title}", "", *([text, ""] if text else []), _row(heads)]
    lines.append(_row(["---:" if column in aligned else "---" for column in range(len(heads))]))
    lines += [_row(row) for row in rows]
    if count > len(rows):
        lines += ["", f"{count - len(rows):,} more: see the tables."]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
