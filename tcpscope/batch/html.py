"""The report over many captures as HTML: what stands where. :mod:`tcpscope.report.html` writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tcpscope.batch import html_tables
from tcpscope.batch.aggregate import HOUR_NS, HOURS, Aggregate, RuleTotal, Trouble
from tcpscope.batch.markdown import SOON
from tcpscope.batch.overview import Overview, by_severity, most, round_trips
from tcpscope.report.html.manuals import manual_views
from tcpscope.report.html.model import Bar, CaptureView, Chart, Document, Fact, Hour, Page, Tile, Worst, shown
from tcpscope.report.html.render import page_links
from tcpscope.report.quantities import day_and_time, size
from tcpscope.rules.words import plural

WORST, BARS, ALL_HOURS, SOONEST = 12, 8, 168, 3
"""Rows of the overview: kinds of trouble, bars, hours (a week), certificates."""

ROOM: Final = (("error", 3), ("warning", 8), ("note", 9))
"""Up to which bar a severity may go."""

ASIDE: Final = ("capture", "cannot-tell")
"""Places that say nothing of the network."""

UNDECIDED: Final = "capture "
"""How symptoms begin that speak of the capture and not of the network."""

ABOUT: Final = (
    "Round trips are those from SYN to ACK, one a connection where neither was sent twice; percentiles are within 1.6 %.",
    "An error is a proven violation of the protocol, a warning is trouble, a note is unusual but lawful.",
    "Where a capture lacks bytes, what rests on their absence is not claimed.",
)
OF_MANY: Final = (
    "A connection that is open when a capture ends and goes on in the next file is counted in both.",
    "There were too many hosts to keep all apart: those of least weight are counted together as others.",
)

Place = tuple[str, int, int]


def document(
    over: Overview,
    pages: Sequence[Page],
    *,
    captures: Sequence[CaptureView] = (),
    headline: str = "",
    advice: Sequence[str] = (),
    tables: str = "",
    notices: Sequence[str] = (),
) -> Document:
    """The report. ``captures``: what is said of single ones; ``tables``: the end of the names of the tables, "" if there are none.

    ``headline`` and ``advice``: what to say first, where that is known better than by counting.
    """
    aggregate = over.aggregate
    links = page_links([page.place for page in pages])
    found = by_severity(aggregate.rules)
    return Document(
        title=f"tcpscope: {plural(over.captures, 'capture')}, {plural(over.connections, 'connection')}",
        headline=headline or _headline(over),
        role="error" if over.errors else "warning" if over.warnings else "good" if over.connections else "",
        advice=advice,
        subline=_subline(over),
        tiles=tuple(_tiles(over)),
        first=tuple(_first(over)),
        captures=captures,
        charts=tuple(_charts(over)),
        worst=tuple(_worst(aggregate, links)),
        worst_text=_worst_text(aggregate),
        facts=tuple(_facts(over)),
        hours=tuple(_hours(aggregate)),
        tables=tuple(html_tables.tables(over, links, tables)),
        pages=pages,
        manuals=manual_views((code, _counts(rule)) for code, rule in found),
        about=[*ABOUT, *(OF_MANY[:1] if over.captures > 1 else ()), *(OF_MANY[1:] if aggregate.folded else ())],
        notices=notices,
        version=over.version,
    )


def _counts(rule: RuleTotal) -> str:
    found = f"{plural(rule.findings, 'finding')} in {plural(rule.captures, 'capture')}"
    return f"{found}, {plural(rule.connections, 'connection')}" if rule.connections else found


def _headline(over: Overview) -> str:
    total = over.aggregate.total
    if not total.connections:
        return "No TCP connection was found"
    bad = total.error + total.warning
    symptoms = [item for item in most(over.aggregate.symptoms) if not item[0].startswith(UNDECIDED)]
    if not bad or not symptoms:
        held = f" ({total.with_findings:,} with notes)" if total.with_findings else ""
        clean = f"Nothing points to trouble in {plural(total.connections, 'connection')}{held}"
        return clean if not bad else f"{_of(bad, total.connections)} errors or warnings"
    named = [_words(symptom, count) for symptom, count in symptoms[:2]]
    return f"{_of(bad, total.connections)} errors or warnings. Most often: {' and '.join(named)}"


def _of(bad: int, connections: int) -> str:
    return f"{bad:,} of {plural(connections, 'connection')} {'has' if bad == 1 else 'have'}"


def _words(symptom: str, count: int) -> str:
    where, _, kind = symptom.partition(" ")
    return f"{kind.replace('-', ' ')} ({count:,}, {where})"


def _subline(over: Overview) -> str:
    parts = [plural(over.captures, "capture"), plural(over.connections, "connection")]
    parts += [plural(over.frames, "frame"), f"{size(over.aggregate.total.bytes)} of data"]
    return ", ".join(parts)


def _tiles(over: Overview) -> Iterator[Tile]:
    total = over.aggregate.total
    clean = total.connections - total.with_findings
    connections = "#/connections" if over.aggregate.listed.rows else ""
    yield Tile(
        f"{over.captures:,}", "captures" if over.captures != 1 else "capture", f"{over.with_findings:,} with trouble"
    )
    noun = "connections" if over.connections != 1 else "connection"
    yield Tile(f"{over.connections:,}", noun, f"{clean:,} without findings", "", connections)
    rules = "#/rules" if over.aggregate.rules else ""
    worst = f"the worst in {plural(total.warning, 'connection')}"
    yield _severity(over.errors, "error", f"in {plural(total.error, 'connection')}", rules)
    yield _severity(over.warnings, "warning", worst, rules)
    yield _severity(over.notes, "note", "unusual but lawful", rules)
    unread = len(over.damaged) + len(over.unreadable)
    text = f"{len(over.damaged):,} damaged, {len(over.unreadable):,} unreadable" if unread else "all read in full"
    yield Tile(f"{unread:,}", "not read in full", text, "warning" if unread else "good", "#/captures" if unread else "")


def _severity(count: int, severity: str, text: str, link: str) -> Tile:
    if not count:
        return Tile("0", f"{severity}s")
    return Tile(f"{count:,}", severity if count == 1 else f"{severity}s", text, severity, link)


def _first(over: Overview) -> Iterator[Chart]:
    aggregate = over.aggregate
    if aggregate.symptoms:
        yield Chart("Where the trouble sits", _bars(_by_place(aggregate.symptoms), _kinds(aggregate.symptoms)))
    if aggregate.rules:
        yield _rules(by_severity(aggregate.rules))
    if over.faults or over.damaged or over.unreadable:
        yield _quality(over)


def _rules(found: Sequence[tuple[str, RuleTotal]]) -> Chart:
    """Some of each severity: a few errors do not hide that thousands of connections have the same warning."""
    shown_now: list[tuple[str, RuleTotal]] = []
    for severity, room in ROOM:
        shown_now += [item for item in found if item[1].severity == severity][: room - len(shown_now)]
    largest = max(rule.findings for _, rule in shown_now)
    bars = [
        Bar(
            f"{code} {rule.name}",
            f"{rule.findings:,}",
            rule.findings / largest,
            rule.severity,
            _rule_text(rule),
            f"#/rule/{code}",
        )
        for code, rule in shown_now
    ]
    return Chart("Findings by rule", bars, "", "#/rules" if len(found) > len(bars) else "")


def _charts(over: Overview) -> Iterator[Chart]:
    total = over.aggregate.total
    if total.unopened:
        yield Chart("Connections that did not open", _bars(total.unopened))
    if total.resets:
        yield Chart("Connections reset, by who sent the RST", _bars(total.resets))
    if total.versions:
        yield Chart("TLS versions", _bars(total.versions))
    if total.ciphers:
        yield Chart("TLS cipher suites", _bars(total.ciphers))


def _rule_text(rule: RuleTotal) -> str:
    places = plural(rule.captures, "capture")
    return f"{plural(rule.connections, 'connection')} of {places}" if rule.connections else places


def _by_place(symptoms: Counter[str]) -> Counter[str]:
    places: Counter[str] = Counter()
    for symptom, count in symptoms.items():
        places[symptom.partition(" ")[0]] += count
    return places


def _kinds(symptoms: Counter[str]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for symptom, count in most(symptoms):
        where, _, kind = symptom.partition(" ")
        texts.setdefault(where, []).append(f"{kind.replace('-', ' ')} ({count:,})")
    return {where: ", ".join(kinds) for where, kinds in texts.items()}


def _bars(counts: Counter[str], texts: Mapping[str, str] | None = None) -> list[Bar]:
    largest, total = max(counts.values()), counts.total()
    return [
        Bar(
            shown(name),
            f"{count:,}",
            count / largest,
            "aside" if name in ASIDE else "",
            (texts or {}).get(name) or f"{count / total:.1%}",
        )
        for name, count in sorted(most(counts)[:BARS], key=lambda item: item[0] in ASIDE)
    ]


def _quality(over: Overview) -> Chart:
    counts = Counter(dict(over.faults))
    if over.damaged:
        counts["damaged"] = len(over.damaged)
    if over.unreadable:
        counts["not readable at all"] = len(over.unreadable)
    bars = [Bar(name, f"{count:,}", count / over.captures, "warning") for name, count in most(counts)]
    good = over.captures - over.flawed
    return Chart("Quality of the captures", bars, f"{good:,} of {over.captures:,} without a flaw", "#/captures")


def _worst(aggregate: Aggregate, links: Mapping[Place, str]) -> Iterator[Worst]:
    for one in aggregate.worst()[:WORST]:
        where = f"{shown(one.path, 120)}, connection {one.stream}"
        yield Worst(
            one.severity,
            one.code,
            shown(one.name, 80),
            one.server,
            f"{one.connections:,}",
            where if one.connections == 1 else f"the first: {where}",
            shown(one.sentence),
            links.get(place_of(one), ""),
        )


def _worst_text(aggregate: Aggregate) -> str:
    text = "Connections to one server with the same worst finding are one row."
    more = len(aggregate.troubles) - WORST
    return f"{text} {more:,} more kinds: see Connections." if more > 0 else text


def place_of(trouble: Trouble) -> Place:
    """The first connection that has it."""
    return trouble.path, trouble.stream, trouble.first_frame


def _facts(over: Overview) -> Iterator[Fact]:
    aggregate, total = over.aggregate, over.aggregate.total
    judged = f"{total.error:,} with errors, {total.warning:,} with warnings"
    yield Fact("Connections", f"{judged}, {total.connections - total.with_findings:,} without findings")
    if total.data_segments:
        share = total.retransmitted / total.data_segments
        yield Fact("Sent again", f"{share:.2%} of {plural(total.data_segments, 'segment')} with data")
    if len(total.rtt):
        yield Fact("Round trip, SYN to ACK", f"{round_trips(total)}, of {plural(len(total.rtt), 'connection')}")
    if total.unopened:
        yield Fact("Not opened", ", ".join(f"{count:,} {kind}" for kind, count in most(total.unopened)))
    if total.resets:
        yield Fact("Reset", f"{total.resets['client']:,} by the client, {total.resets['server']:,} by the server")
    for one in aggregate.expiring()[:SOONEST]:
        text = f"{shown(one.names or one.subject, 120)} at {one.server}: {one.not_after}"
        yield Fact("Certificate ends", text, "warning")
    if len(aggregate.certificates) > SOONEST:
        yield Fact("", f"{len(aggregate.certificates) - SOONEST:,} more that {SOON.replace('ends', 'end', 1)}")


def _hours(aggregate: Aggregate) -> Iterator[Hour]:
    groups = aggregate.top(HOURS)[-ALL_HOURS:]
    largest = max((group.connections for _, group in groups), default=0)
    for key, group in groups:
        begin = day_and_time(int(key) * HOUR_NS)[:16]
        rest = group.connections - group.error - group.warning
        text = f"{begin} UTC: {group.connections:,} connections, {group.error:,} with errors, {group.warning:,} with warnings"
        yield Hour(begin[11:13], group.error / largest, group.warning / largest, rest / largest, text)
