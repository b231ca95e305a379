"""What is written on and beside the arrows of a ladder diagram, above it and at the beginning of each of its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tcpscope.report.escape import printable
from tcpscope.report.model import SEVERITIES, ConnectionReport, SynOptions
from tcpscope.report.quantities import size
from tcpscope.report.text_connection import CLOSED, OPENED, TIME_WAIT
from tcpscope.report.text_connections import closed
from tcpscope.report.text_tls import tls_summary
from tcpscope.rules import words
from tcpscope.state.facts import CAUSE_NAMES
from tcpscope.state.wireshark import FLAG_NAMES
from tcpscope.wire.segment import SYN

if TYPE_CHECKING:
    from tcpscope.report.ladder_rows import Arrow

FLAG_WORDS: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
FLAG_ORDER: Final = (1, 0, 2, 3, 4, 5, 6, 7)
LETTERS: Final = "FSRPAUEC"
HARMLESS: Final = frozenset(("window_update", "keep_alive", "keep_alive_ack"))
MAX_NAME: Final = 48  # characters of a server name
MAX_CODES: Final = 4  # of findings at one segment
MAX_MESSAGES: Final = 6  # of TLS at one segment
NEAR_SHARE: Final = 10  # a tenth of the round trip or less lies between the capture point and the side that it is near
TELLING_NS: Final = 200_000  # shorter round trips are mostly the hosts' own time, and tell nothing of the place


@dataclass(frozen=True, slots=True)
class Note:
    """A remark beside a segment. ``role`` is a role of :meth:`tcpscope.report.style.Style.paint`."""

    text: str
    role: str


def _opening_text(report: ConnectionReport) -> str:
    handshake = report.handshake
    text = f"{handshake.verdict}, {OPENED[handshake.verdict]}"
    return text if handshake.rtt_ns is None else f"{text}; round trip {words.span(handshake.rtt_ns)}"


def _data_text(report: ConnectionReport) -> str:
    ours, theirs = report.client_side.traffic, report.server_side.traffic
    text = f"{size(ours.unique_bytes)} from the client, {size(theirs.unique_bytes)} from the server"
    for side, traffic in (("client", ours), ("server", theirs)):
        if traffic.retransmitted_segments:
            text += f"; the {side} sent {words.plural(traffic.retransmitted_segments, 'segment')} again"
    if report.tls is not None:
        text += f"; {report.tls.version or 'TLS'}, handshake {report.tls.verdict}"
    return text


def _closing_text(report: ConnectionReport) -> str:
    return f"{closed(report)}, {CLOSED[report.teardown.verdict]}"


def _waiting_text(report: ConnectionReport) -> str:
    waited = report.time_wait
    text = f"{waited.verdict}, {TIME_WAIT[waited.verdict]}"
    if waited.side is not None:
        who = "both sides" if waited.side == "both" else f"the {waited.side}"
        text += f"; {who} must wait {words.span(waited.required_ns)}"
        if waited.observed_ns is not None:
            text += f", {words.span(waited.observed_ns) if waited.observed_ns else 'nothing'} of it was watched"
    return text


PHASE_TEXTS: Final = (_opening_text, _data_text, _closing_text, _waiting_text)
"""What is to be said of each part of a connection's life, in their order."""


def remarks_of(report: ConnectionReport, other_parts: Sequence[int]) -> list[str]:
    """What is said above the diagram: what the capture lacks, where it was taken, how TLS came out."""
    remarks = []
    if report.one_sided:
        remarks.append("only one direction was captured: much cannot be told")
    elif report.lossy:
        remarks.append("the capture lacks bytes of it: what is missing proves nothing")
    if report.reused_by is not None:
        remarks.append(f"its ports were taken over by connection {report.reused_by}")
    if other_parts:
        begin = ", ".join(map(str, other_parts[:5])) + (" and more" if len(other_parts) > 5 else "")
        remarks.append(f"it was over once and went on: further parts begin at frame {begin}")
    point = capture_point(report)
    if point:
        remarks.append(point)
    if report.tls is not None:
        remarks += [f"TLS {line}" for line in tls_summary(report.tls)]
    return remarks


def capture_point(report: ConnectionReport) -> str:
    """Where the capture was taken, by the shortest round trip to either side of that point. "" if it does not tell."""
    handshake, times = report.handshake, report.frame_times
    to_client, to_server = report.server_side.rtt.min_ns, report.client_side.rtt.min_ns
    if handshake.rtt_ns is not None:
        syn, answer, ack = (times.get(frame or 0) for frame in (handshake.syn, handshake.syn_ack, handshake.ack))
        if syn is not None and answer is not None and ack is not None:
            to_server = min(answer - syn, to_server if to_server is not None else answer - syn)
            to_client = min(ack - answer, to_client if to_client is not None else ack - answer)
    if to_client is None or to_server is None or min(to_client, to_server) < 0:
        return ""
    spans = f"the shortest round trip is {words.span(to_client)} to the client, {words.span(to_server)} to the server"
    both = to_client + to_server
    if both < TELLING_NS:
        return f"{spans}: too short to tell where it was captured"
    if to_client * NEAR_SHARE <= both:
        return f"captured near the client: {spans}"
    return f"captured {'near the server' if to_server * NEAR_SHARE <= both else 'between the two'}: {spans}"


@dataclass(frozen=True, slots=True)
class Notes:
    """Remarks by frame."""

    tls: dict[int, list[str]]
    found: dict[int, tuple[Note, ...]]
    dialogue: dict[int, list[Note]]  # what leads to TLS


def notes_of(report: ConnectionReport) -> Notes:
    """What is remarked about the frames of a connection, apart from flags and causes."""
    tls: dict[int, list[str]] = {}
    if report.tls is not None:
        named = False
        for message in report.tls.messages:
            text = message.known_as
            if text == "ClientHello" and report.tls.sni and not named:
                text, named = f"{text} ({_short(report.tls.sni)})", True
            tls.setdefault(message.frame, []).append(text)
    found: dict[int, dict[str, str]] = {}
    for finding in report.findings:
        for frame in {*finding.frames, *([finding.frame] if finding.frame is not None else [])}:
            found.setdefault(frame, {}).setdefault(finding.code, str(finding.severity))
    codes = {frame: tuple(_codes(of_frame)) for frame, of_frame in found.items()}
    dialogue: dict[int, list[Note]] = {}
    for frame, text in report.carrier.lines if report.carrier is not None else ():
        dialogue.setdefault(frame, []).append(Note(_short(text), "good"))
    return Notes(tls, codes, dialogue)


def _codes(codes: dict[str, str]) -> list[Note]:
    ordered = sorted(codes.items(), key=lambda item: (SEVERITIES.index(item[1]), item[0]))
    notes = [Note(code, severity) for code, severity in ordered[:MAX_CODES]]
    return notes if len(ordered) <= MAX_CODES else [*notes, Note(f"+{len(ordered) - MAX_CODES}", "dim")]


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def tls_notes(messages: dict[int, list[str]], arrow: Arrow) -> list[Note]:
    """The TLS messages that a segment completes."""
    counts = Counter(messages.get(arrow.frame, ()))
    texts = [text if count == 1 else f"{text} ×{count}" for text, count in counts.items()]
    if len(texts) > MAX_MESSAGES:
        texts[MAX_MESSAGES:] = [f"{len(texts) - MAX_MESSAGES} more"]
    return [Note("TLS " + ", ".join(texts), "good")] if texts else []


def flag_names(arrow: Arrow) -> list[str]:
    """Wireshark's flags for a segment, without the one that another of them includes."""
    names = [name for bit, name in enumerate(FLAG_NAMES) if arrow.analysis >> bit & 1]
    narrower = {"fast_retransmission", "spurious_retransmission"}
    return [name for name in names if name != "retransmission" or narrower.isdisjoint(names)]


def analysis_notes(arrow: Arrow) -> list[Note]:
    """Wireshark's flags and the cause."""
    names = flag_names(arrow)
    cause = f"({CAUSE_NAMES[arrow.cause]})" if arrow.cause >= 0 else ""
    text = " ".join([*([", ".join(names)] if names else []), *([cause] if cause else [])])
    return [Note(text, "dim" if HARMLESS.issuperset(names) and arrow.cause < 0 else "warning")] if text else []


def detail_of(arrow: Arrow, syn: SynOptions | None) -> str:
    """The options of a SYN."""
    if syn is None or not arrow.flags & SYN:
        return ""
    parts = [f"MSS {syn.mss}"] if syn.mss is not None else []
    parts += [f"scale {syn.window_scale}"] if syn.window_scale is not None else []
    parts += [name for name, there in (("SACK", syn.sack), ("timestamps", syn.timestamps)) if there]
    return ", ".join(parts)


def labels(arrow: Arrow) -> list[str]:
    """What is written on an arrow, from the longest form to the shortest."""
    flags = ",".join(FLAG_WORDS[bit] for bit in FLAG_ORDER if arrow.flags >> bit & 1) or "no flags"
    letters = "".join(letter for bit, letter in enumerate(LETTERS) if arrow.flags >> bit & 1) or "-"
    ack = "" if arrow.ack is None else f" ack={arrow.ack}"
    length = f" len={arrow.length}" if arrow.length else ""
    numbers = f"seq={arrow.seq}{ack}{length}"
    short = (
        f"{arrow.seq}{'' if arrow.ack is None else f' ack {arrow.ack}'}{f' ({arrow.length})' if arrow.length else ''}"
    )
    bare = f"{letters} {arrow.seq}{f' ({arrow.length})' if arrow.length else ''}"
    named = [f"{flags} {numbers} win={arrow.window}", f"{flags} {numbers}", f"{letters} {numbers}"]
    return [*named, f"{letters} {short}", bare, letters]
