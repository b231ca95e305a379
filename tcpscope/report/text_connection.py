"""One connection in full, for ``analyze --connection``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tcpscope.report.model import ConnectionReport, FileReport, StateStep, SynOptions
from tcpscope.report.quantities import day_and_time, relative
from tcpscope.report.style import Style
from tcpscope.report.table import table, table_width
from tcpscope.report.text_connections import closed
from tcpscope.report.text_findings import finding_text
from tcpscope.report.text_numbers import data_text, diagnosis_text, time_text
from tcpscope.report.text_tls import tls_text
from tcpscope.rules import words

ROLES: Final = {
    "syn": "the client is who sent the SYN",
    "syn-ack": "the client is who was sent the SYN,ACK; its SYN is not in the capture",
    "port": "no SYN in the capture; the server is who has the port of a known service",
    "first-seen": "no SYN in the capture and no known port: who spoke first is called the client, which is a guess",
}

OPENED: Final = {
    "complete": "all three segments seen",
    "simultaneous": "both sides sent a SYN, and both were acknowledged",
    "refused": "the SYN was answered by RST",
    "unanswered": "nothing answered the SYN",
    "half-open": "the SYN,ACK was never acknowledged",
    "aborted": "RST before it was complete",
    "partial": "a part of it was not captured",
    "not-captured": "the capture starts after it",
}

CLOSED: Final = {
    "orderly": "both FINs acknowledged",
    "incomplete": "both FINs seen, an acknowledgement missing",
    "half-closed": "only one side sent FIN",
    "aborted": "RST and no FIN",
    "reset-after-fin": "RST after a FIN",
    "open": "neither FIN nor RST in the capture",
}

TIME_WAIT: Final = {
    "held": "nothing spoke against it",
    "violated": "not kept",
    "safely-reused": "the ports were reused in the safe way",
    "not-observed": "not watched to its end",
    "not-applicable": "nobody entered it",
}


def connection_text(style: Style, connection: ConnectionReport, files: Sequence[FileReport] = ()) -> str:
    """Everything that is known about one connection, in the order of its life."""
    parts = [
        _head(style, connection),
        _state_path(style, connection),
        _opening(style, connection),
        time_text(style, connection),
        data_text(style, connection),
        _closing(style, connection),
    ]
    if connection.tls is not None:
        parts.append(tls_text(style, connection, connection.tls))
    parts.append(_findings(style, connection, files))
    return "\n\n".join(parts)


def _head(style: Style, connection: ConnectionReport) -> str:
    lines = [
        style.paint(
            style.wrap(f"Connection {connection.stream}  {connection.client} → {connection.server}", "  ", ""), "head"
        ),
        diagnosis_text(style, connection.diagnosis),
        f"  {when(connection)}",
    ]
    lines += [style.paint(style.wrap(text, "  "), role) for text, role in circumstances(connection)]
    return "\n".join([*lines, style.paint(style.wrap(" · ".join(marks(connection)), "  "), "dim")])


def when(connection: ConnectionReport) -> str:
    """Frames, time and duration in a line."""
    first, last = connection.first_frame, connection.last_frame
    frames = f"frame {first}" if first == last else f"frames {first}–{last}"
    return f"{frames}, {day_and_time(connection.start_ns)}, {words.span(connection.duration_ns)}"


def circumstances(connection: ConnectionReport) -> Iterator[tuple[str, str]]:
    """How the connection was captured, a line each, with "warning" where that limits what can be told, else ""."""
    yield ROLES[connection.roles], ""
    if connection.encapsulation:
        yield f"inside {connection.encapsulation}", ""
    if connection.one_sided:
        yield "only one direction was captured: much cannot be told", "warning"
    elif connection.lossy:
        yield "the capture lacks bytes of it: what is missing proves nothing", "warning"
    if connection.ended_by == "evicted":
        yield "judged early because of --max-connections", "warning"
    if connection.reused_by is not None:
        yield f"its ports were taken over by connection {connection.reused_by}", ""


def marks(connection: ConnectionReport) -> list[str]:
    """By what other programs know the connection."""
    found = [f"tcp.stream eq {connection.stream}", f"Community ID {connection.community_id}"]
    found.append(f"tcp.completeness {connection.completeness}")
    if connection.conn_state is not None:
        found.append(f"Zeek {connection.conn_state} {connection.history}")
    return found


def _frame_time(connection: ConnectionReport, frame: int | None) -> str:
    return "" if frame is None else relative(connection.start_ns, connection.frame_times.get(frame))


def state_rows(connection: ConnectionReport) -> list[list[str]]:
    """Both paths of states side by side, each step in the row of the frame that caused it: time, frame, client, server."""
    ours, theirs = connection.client_side.states, connection.server_side.states
    steps = [(step, 0) for step in ours] + [(step, 1) for step in theirs]
    rows: list[list[str]] = []
    previous: tuple[int | None, int | None] | None = None
    for step, side in sorted(steps, key=lambda item: _order(item[0])):
        moment = (step.frame, step.time_ns)
        if moment != previous or rows[-1][2 + side]:
            frame = "" if step.frame is None else str(step.frame)
            rows.append([relative(connection.start_ns, step.time_ns), frame, "", ""])
        rows[-1][2 + side] = step.state
        previous = moment
    return rows


def _state_path(style: Style, connection: ConnectionReport) -> str:
    rows = state_rows(connection)
    title = style.paint("States", "head")
    if not rows:
        return f"{title}: the capture proves none"
    heads = ["time, s", "frame", f"client {connection.client}", f"server {connection.server}"]
    if table_width(heads, rows) + 2 > style.width:
        heads[2:] = ["client", "server"]
    return f"{title}\n{table(style, heads, rows, right=(0, 1), indent='  ')}"


def _order(step: StateStep) -> tuple[int, int]:
    """Initial states first, then by time; a time-out has a time and no frame."""
    return (-1, 0) if step.time_ns is None else (step.time_ns, step.frame or 0)


def _opening(style: Style, connection: ConnectionReport) -> str:
    title = style.wrap(f"{style.paint('Handshake', 'head')}: {opening_text(connection)}", "  ", "")
    rows = opening_rows(connection)
    if not rows:
        return title
    return f"{title}\n{table(style, OPENING_HEADS, rows, right=(0, 1, 4), indent='  ')}"


def opening_text(connection: ConnectionReport) -> str:
    """How it opened, in a line."""
    handshake = connection.handshake
    text = f"{handshake.verdict}, {OPENED[handshake.verdict]}"
    return text if handshake.rtt_ns is None else f"{text}; round trip {words.span(handshake.rtt_ns)}"


OPENING_HEADS: Final = ("time, s", "frame", "from", "segment", "ISN", "options")


def opening_rows(connection: ConnectionReport) -> list[list[str]]:
    """The segments of the handshake, by :data:`OPENING_HEADS`."""
    handshake = connection.handshake
    syn, answer = connection.client_side.syn, connection.server_side.syn
    second = "SYN" if handshake.verdict == "simultaneous" else "SYN,ACK"
    steps = [
        ("SYN", "client", handshake.syn, syn),
        (second, "server", handshake.syn_ack, answer),
        ("ACK", "client", handshake.ack, None),
    ]
    return [
        [_frame_time(connection, frame), str(frame), side, name, *_syn_cells(options)]
        for name, side, frame, options in steps
        if frame is not None
    ]


def _syn_cells(syn: SynOptions | None) -> list[str]:
    if syn is None:
        return ["", ""]
    options = [f"MSS {syn.mss}"] if syn.mss is not None else []
    options += [f"scale {syn.window_scale}"] if syn.window_scale is not None else []
    flags = (("SACK", syn.sack), ("TS", syn.timestamps), ("TFO", syn.fast_open))
    options += [name for name, there in flags if there]
    if syn.sent > 1:
        options.append(f"sent ×{syn.sent}")
    return [str(syn.isn), " ".join(options)]


def _closing(style: Style, connection: ConnectionReport) -> str:
    parts = [style.wrap(f"{style.paint('Closing', 'head')}: {closing_text(connection)}", "  ", "")]
    rows = closing_rows(connection)
    if rows:
        parts.append(table(style, CLOSING_HEADS, rows, right=(0, 1), indent="  "))
    line = f"{style.paint('TIME-WAIT', 'head')}: {time_wait_text(connection)}"
    return "\n".join([*parts, "", style.wrap(line, "  ", "")])


def closing_text(connection: ConnectionReport) -> str:
    """How it closed, in a line."""
    return f"{closed(connection)}, {CLOSED[connection.teardown.verdict]}"


CLOSING_HEADS: Final = ("time, s", "frame", "from", "segment")


def closing_rows(connection: ConnectionReport) -> list[list[str]]:
    """The segments of the closing, by :data:`CLOSING_HEADS`."""
    teardown = connection.teardown
    first = connection.fin_by or ""
    other = "server" if first == "client" else "client"
    steps = [
        ("FIN", first, teardown.fin),
        ("ACK of that FIN", other, teardown.fin_ack),
        ("FIN", other, teardown.peer_fin),
        ("ACK of that FIN", first, teardown.final_ack),
        ("RST", connection.reset_by, connection.reset),
    ]
    return [
        [_frame_time(connection, frame), str(frame), side or "", name]
        for name, side, frame in steps
        if frame is not None
    ]


def time_wait_text(connection: ConnectionReport) -> str:
    """Whether TIME-WAIT was kept, in a line."""
    waited = connection.time_wait
    line = f"{waited.verdict}, {TIME_WAIT[waited.verdict]}"
    if waited.side is not None:
        who = "both sides" if waited.side == "both" else f"the {waited.side}"
        line += f"; {who} must wait {words.span(waited.required_ns)}"
        if waited.observed_ns is not None:
            watched = words.span(waited.observed_ns) if waited.observed_ns else "nothing"
            line += f", {watched} of it was watched"
    return line


def _findings(style: Style, connection: ConnectionReport, files: Sequence[FileReport]) -> str:
    title = style.paint("Findings", "head")
    if not connection.findings:
        return f"{title}: {style.paint('none', 'good')}"
    return "\n".join([title, *(finding_text(style, finding, files) for finding in connection.findings)])
