"""The numbers of one connection for a terminal: what each side sent, and where the time went."""

from __future__ import annotations

from typing import Final

from tcpscope.report.model import ConnectionReport, Traffic
from tcpscope.report.quantities import size
from tcpscope.report.style import Style
from tcpscope.report.table import table, table_width
from tcpscope.rules import words
from tcpscope.rules.diagnosis import NOWHERE, Diagnosis
from tcpscope.rules.measures import Negotiated, Spread

UNSURE: Final = ("capture", "cannot-tell")

MAX_BAR: Final = 60
"""Columns of a bar that stands for all of the time."""

FEW: Final = 5
"""So many samples have a median and 95 % that are worth a word."""

# Rows of the table of data; those with False are left out where both sides have nothing to show.
_COUNTERS: Final[tuple[tuple[str, str, bool], ...]] = (
    ("segments", "segments", True),
    ("payload_segments", "segments with data", True),
    ("large_segments", "larger than the MSS", False),
    ("unique_bytes", "bytes", True),
    ("unseen_bytes", "bytes acknowledged, not captured", False),
    ("retransmitted_segments", "retransmitted segments", False),
    ("retransmitted_bytes", "retransmitted bytes", False),
    ("lost_before", "lost before the capture", False),
    ("lost_behind", "lost behind the capture", False),
    ("timeouts", "time-outs", False),
    ("spurious_timeouts", "of these too early", False),
    ("out_of_order", "out of order", False),
    ("duplicate_acks", "duplicate ACKs", False),
    ("keep_alives", "keep-alives", False),
    ("zero_windows", "zero windows", False),
    ("window_probes", "window probes", False),
    ("window_full", "window filled", False),
    ("max_in_flight", "most bytes in flight", False),
    ("bad_checksums", "wrong checksums", False),
    ("network_duplicates", "delivered twice, counted once", False),
    ("copies", "captured twice, counted once", False),
)


def diagnosis_text(style: Style, diagnosis: Diagnosis, *, next_step: bool = True) -> str:
    """Where the trouble sits, how sure that is, why, and what to look at next."""
    where = f"{diagnosis.where} ({diagnosis.confidence} confidence)"
    text = style.wrap(f"Diagnosis: {where}: {diagnosis.summary}", "    ", "  ")
    role = "good" if diagnosis.where == NOWHERE else "note" if diagnosis.where in UNSURE else "warning"
    lines = [text.replace(diagnosis.where, style.paint(diagnosis.where, role), 1)]
    if next_step and diagnosis.where != NOWHERE:
        lines.append(style.wrap(f"Next: {diagnosis.next_step}", "    "))
    return "\n".join(lines)


def data_text(style: Style, connection: ConnectionReport) -> str:
    """What each side sent: counts, rates, windows, round trips."""
    rows = data_rows(connection)
    title = f"{style.paint('Data', 'head')}: {sent_text(connection)}"
    return f"{title}\n{table(style, ['sent by', 'client', 'server'], rows, right=(1, 2), indent='  ')}"


def sent_text(connection: ConnectionReport) -> str:
    """How much each side sent, in a line."""
    total = connection.client_side.traffic.unique_bytes, connection.server_side.traffic.unique_bytes
    return f"{size(total[0])} from the client, {size(total[1])} from the server"


def data_rows(connection: ConnectionReport) -> list[list[str]]:
    """What each side sent: name, client, server."""
    ours, theirs = connection.client_side, connection.server_side
    rows = []
    for field, name, always in _COUNTERS:
        values: list[int] = [getattr(side.traffic, field) for side in (ours, theirs)]
        if always or any(values):
            rows.append([name, *(f"{value:,}" for value in values)])
    rows += _rates(connection)
    if ours.traffic.zero_window_ns or theirs.traffic.zero_window_ns:
        rows.append(["time with the window closed", *(words.span(s.traffic.zero_window_ns) for s in (ours, theirs))])
    rows.append(["window advertised", _window(ours.traffic), _window(theirs.traffic)])
    rows += _round_trips("round trip", ours.rtt, theirs.rtt)
    stamped = connection.numbers.client.stamp_rtt, connection.numbers.server.stamp_rtt
    if any(side.samples for side in stamped):
        rows.append(["by timestamps: median, longest", *(_pair(side.median_ns, side.max_ns) for side in stamped)])
    return rows


def _rates(connection: ConnectionReport) -> list[list[str]]:
    """Rows on how fast the data went, and what was in flight when it was lost."""
    sides = (connection.numbers.client, connection.numbers.server)
    rows = []
    if any(side.losses for side in sides):
        rows.append(["episodes of loss", *(f"{side.losses:,}" for side in sides)])
        flights = [(side.min_flight_at_loss, side.max_flight_at_loss) for side in sides]
        rows.append(["bytes in flight at a loss", *(_range(*flight) for flight in flights)])
    if any(side.data_ns for side in sides):
        rows.append(["first to last data", *(_span(side.data_ns) for side in sides)])
    if any(side.goodput for side in sides):
        rows.append(["goodput", *(_rate(side.goodput) for side in sides)])
    return rows


def _round_trips(name: str, ours: Spread, theirs: Spread) -> list[list[str]]:
    """Rows on the samples of a kind of measurement."""
    if not ours.samples and not theirs.samples:
        return []
    return [
        [f"{name}: samples", f"{ours.samples:,}", f"{theirs.samples:,}"],
        [f"{name}: shortest, median", _pair(ours.min_ns, ours.median_ns), _pair(theirs.min_ns, theirs.median_ns)],
        [f"{name}: 95 %, longest", _pair(ours.p95_ns, ours.max_ns), _pair(theirs.p95_ns, theirs.max_ns)],
    ]


SHARES: Final = (
    "client thinking",
    "server thinking",
    "network",
    "transfer by the client",
    "transfer by the server",
    "client stalled by loss",
    "server stalled by loss",
    "client stalled by window",
    "server stalled by window",
    "idle",
)
"""What takes time, in the order of docs/numbers.md."""


def time_shares(connection: ConnectionReport) -> list[tuple[str, int]]:
    """What took time and how many ns of it, in the order of docs/numbers.md, without what took none."""
    numbers = connection.numbers
    client, server = numbers.client, numbers.server
    spans = (
        client.thinking_ns,
        server.thinking_ns,
        numbers.network_ns,
        client.transfer_ns,
        server.transfer_ns,
        client.loss_ns,
        server.loss_ns,
        client.window_ns,
        server.window_ns,
        numbers.idle_ns,
    )
    return [(name, span) for name, span in zip(SHARES, spans, strict=True) if span]


def time_line(connection: ConnectionReport) -> str:
    """Where the time went, in a line, the largest share first; "" where there is nothing to give out."""
    shares = sorted(time_shares(connection), key=lambda share: -share[1])
    parts = [f"{name} {percent(span, connection.numbers.life_ns)}" for name, span in shares]
    return f"Time: {', '.join(parts)}" if parts else ""


def time_text(style: Style, connection: ConnectionReport) -> str:
    """Where the time went, as a table with bars."""
    numbers = connection.numbers
    title = f"{style.paint('Where the time went', 'head')}: {words.span(numbers.life_ns)} from the first segment to the last"
    present = time_shares(connection)
    if not present:
        return title
    rows = [[name, words.span(span), percent(span, numbers.life_ns), ""] for name, span in present]
    heads = ["", "time", "share", ""]
    room = min(MAX_BAR, style.width - 2 - table_width(heads, rows))
    for row, (_, span) in zip(rows, present, strict=True):
        row[3] = "█" * round(room * span / numbers.life_ns)
    lines = [title, table(style, heads, rows, right=(1, 2), indent="  ")]
    lines += [style.wrap(line, "  ") for line in exchanges(connection)]
    return "\n".join(lines)


def exchanges(connection: ConnectionReport) -> list[str]:
    """What there is to say of requests and answers, and of the handshake's two halves."""
    numbers, lines = connection.numbers, []
    if numbers.rtt_to_server_ns is not None and numbers.rtt_to_client_ns is not None:
        lines.append(
            f"From the capture point to the server and back {words.span(numbers.rtt_to_server_ns)}, to the client and "
            f"back {words.span(numbers.rtt_to_client_ns)}, says the handshake"
        )
    found = numbers.responses
    if found.samples == 1:
        lines.append(f"One request was answered, after {_span(found.min_ns)}")
    elif 0 < found.samples < FEW:
        lines.append(
            f"{found.samples:,} requests were answered, each after {_span(found.min_ns)} to {_span(found.max_ns)}"
        )
    elif found.samples:
        lines.append(
            f"{found.samples:,} requests were answered, the quickest after {_span(found.min_ns)}, half of them within "
            f"{_span(found.median_ns)}, 95 % within {_span(found.p95_ns)}, the slowest after {_span(found.max_ns)}"
        )
    agreed = _agreed(numbers.negotiated)
    if agreed:
        lines.append(agreed)
    return lines


def _agreed(negotiated: Negotiated) -> str:
    """Which options both sides agreed on; nothing where a SYN is missing."""
    options = (
        ("window scaling", negotiated.window_scaling),
        ("SACK", negotiated.sack),
        ("timestamps", negotiated.timestamps),
        ("ECN", negotiated.ecn),
    )
    if any(there is None for _, there in options):
        return ""
    present = [name for name, there in options if there]
    absent = [name for name, there in options if not there]
    text = f"Negotiated: {', '.join(present) or 'none of the options'}"
    return f"{text}; not: {', '.join(absent)}" if absent and present else text


def percent(part: int, whole: int) -> str:
    """``92 %``, ``0.4 %``; what is there is never 0 %."""
    value = 100 * part / whole
    if value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.05 else "< 0.1 %"


def _window(traffic: Traffic) -> str:
    return _range(traffic.min_window, traffic.max_window)


def _range(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return "–"
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _pair(first: int | None, second: int | None) -> str:
    return "–" if first is None or second is None else f"{words.span(first)}, {words.span(second)}"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{size(round(value))}/s"


def _span(value: int | None) -> str:
    return "–" if value is None else words.span(value)
