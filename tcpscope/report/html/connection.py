"""The page of one connection, in the words of the text report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tcpscope.report.html.model import Drawing, FindingView, Lines, Page, Share, shown
from tcpscope.report.html.rfc import rfc_link
from tcpscope.report.model import ConnectionReport
from tcpscope.report.text_connection import (
    CLOSING_HEADS,
    OPENING_HEADS,
    circumstances,
    closing_rows,
    closing_text,
    marks,
    opening_rows,
    opening_text,
    state_rows,
    time_wait_text,
    when,
)
from tcpscope.report.text_findings import finding_place
from tcpscope.report.text_numbers import SHARES, data_rows, exchanges, percent, sent_text, time_shares
from tcpscope.report.text_tls import (
    MESSAGE_HEADS,
    certificate_lines,
    fingerprints,
    keys_text,
    message_rows,
    tls_lines,
    tls_title,
)
from tcpscope.rules import words
from tcpscope.rules.diagnosis import NOWHERE

if TYPE_CHECKING:
    from tcpscope.report.model_tls import TlsReport
    from tcpscope.rules.base import Finding

MOST_MESSAGES = 200
LONG = 2000
"""Characters of a sentence with text from the wire."""


def page(path: str, report: ConnectionReport, drawing: Drawing, missing: str = "") -> Page:
    """The page of a connection of the capture ``path``. ``missing``: why there is no drawing."""
    diagnosis = report.diagnosis
    return Page(
        path=path,
        stream=report.stream,
        first_frame=report.first_frame,
        severity=str(report.findings[0].severity) if report.findings else "",
        title=f"{report.client} → {report.server}",
        where="" if diagnosis.where == NOWHERE else f"{diagnosis.where} ({diagnosis.confidence} confidence)",
        summary=shown(diagnosis.summary, LONG),
        next_step="" if diagnosis.where == NOWHERE else shown(diagnosis.next_step, LONG),
        when=when(report),
        circumstances=tuple(circumstances(report)),
        marks=" · ".join(marks(report)),
        findings=finding_views(report.findings),
        shares=tuple(_shares(report)),
        time=Lines(
            "Where the time went",
            f"{words.span(report.numbers.life_ns)} from the first segment to the last",
            tuple(exchanges(report)),
        ),
        parts=tuple(_parts(report)),
        drawing=drawing,
        missing=missing,
    )


def finding_views(findings: Sequence[Finding]) -> tuple[FindingView, ...]:
    """Findings as they are shown."""
    return tuple(
        FindingView(
            str(one.severity),
            one.code,
            one.name,
            shown(one.message, LONG),
            " · ".join(finding_place(one)),
            one.rfc,
            rfc_link(one.rfc),
            shown(one.display_filter, LONG),
        )
        for one in findings
    )


def _shares(report: ConnectionReport) -> Iterator[Share]:
    life = report.numbers.life_ns
    for name, span in time_shares(report):
        yield Share(name, words.span(span), percent(span, life), round(100 * span / life, 2), SHARES.index(name))


def _parts(report: ConnectionReport) -> Iterator[Lines]:
    states = state_rows(report)
    heads = ("time, s", "frame", "client", "server")
    yield Lines("States", "" if states else "the capture proves none", (), heads, states, (0, 1))
    yield Lines("Handshake", opening_text(report), (), OPENING_HEADS, opening_rows(report), (0, 1, 4))
    if report.tls is not None:
        yield _tls(report, report.tls)
    yield Lines("Data", sent_text(report), (), ("sent by", "client", "server"), data_rows(report), (1, 2))
    waited = f"TIME-WAIT: {time_wait_text(report)}"
    yield Lines("Closing", closing_text(report), (waited,), CLOSING_HEADS, closing_rows(report), (0, 1))


def _tls(report: ConnectionReport, tls: TlsReport) -> Lines:
    lines = [*tls_lines(tls, report.carrier), *fingerprints(tls)]
    if tls.keys is not None:
        lines.append(keys_text(tls))
    lines += certificate_lines(tls)
    rows = message_rows(report, tls)
    more = tls.message_count - min(len(rows), MOST_MESSAGES)
    if more:
        lines.append(words.plural(more, "more message"))
    return Lines(
        "TLS",
        shown(tls_title(tls), LONG),
        tuple(shown(line, LONG) for line in lines),
        MESSAGE_HEADS,
        [[shown(cell) for cell in row] for row in rows[:MOST_MESSAGES]],
        (0, 1),
    )
