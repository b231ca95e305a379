"""The columns of the tables that a batch writes: what docs/batch.md lists, and how each is got from a report.

Columns may be added at the end; none is renamed or dropped without another :data:`FORMAT`. Durations are seconds, times
nanoseconds since 1970 here and timestamps in Parquet; a value that the capture cannot tell is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcpscope.report.model import SEVERITIES
from tcpscope.report.quantities import seconds
from tcpscope.rules.diagnosis import NOWHERE

if TYPE_CHECKING:
    from tcpscope.crypto.certificates import CertificateReport
    from tcpscope.report.model import CaptureReport, ConnectionReport, Summary
    from tcpscope.report.model_tls import TlsReport
    from tcpscope.rules.base import Finding

FORMAT: Final = 3
"""Of what a batch keeps: a result of another format is made anew."""

TEXT: Final = "text"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
TIME: Final = "time"

CONNECTIONS: Final = "connections"
FINDINGS: Final = "findings"
CAPTURES: Final = "captures"

Cell = str | int | float | bool | None
Row = dict[str, Cell]
"""A row without its nulls."""


class OfConnection(NamedTuple):
    """What a row of connections is made from."""

    path: str
    report: ConnectionReport


class OfFinding(NamedTuple):
    """What a row of findings is made from; ``report`` is None where it is about the capture.

    ``file``, ``file_frame``: where the frame is, in a capture of several files.
    """

    path: str
    finding: Finding
    report: ConnectionReport | None
    file: str | None = None
    file_frame: int | None = None


class OfCapture(NamedTuple):
    """What a row of captures is made from."""

    path: str
    document: str  # name of its JSON
    size: int
    damage: str  # why not all of it could be read
    report: CaptureReport
    summary: Summary


class Column(NamedTuple):
    """One column: its name, the kind of its cells, what they say, and how to get one."""

    name: str
    kind: str
    text: str
    get: Callable[[Any], Cell]


def row(columns: tuple[Column, ...], of: OfConnection | OfFinding | OfCapture) -> Row:
    """A row of a table. Lone surrogates, which no table can hold, are written as escapes."""
    cells: Row = {}
    for column in columns:
        value = column.get(of)
        if value is not None:
            cells[column.name] = storable(value) if isinstance(value, str) and not value.isascii() else value
    return cells


def storable(text: str) -> str:
    """The text in characters that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else seconds(duration_ns)


def _of_tls(get: Callable[[TlsReport], Cell]) -> Callable[[OfConnection], Cell]:
    return lambda of: None if of.report.tls is None else get(of.report.tls)


def _leaf(get: Callable[[CertificateReport], Cell]) -> Callable[[OfConnection], Cell]:
    def cell(of: OfConnection) -> Cell:
        for one in () if of.report.tls is None else of.report.tls.certificates:
            if one.side == "server" and one.position == 0:
                return get(one)
        return None

    return cell


def severity_count(findings: tuple[Finding, ...], severity: str) -> int:
    """How many findings there are of a severity."""
    return sum(str(finding.severity) == severity for finding in findings)


def _worst(of: OfConnection) -> str | None:
    there = {str(finding.severity) for finding in of.report.findings}
    return next((severity for severity in SEVERITIES if severity in there), None)


def _rules(of: OfConnection) -> str | None:
    return ";".join(sorted({finding.code for finding in of.report.findings})) or None


def cut_at_start(report: ConnectionReport) -> bool:
    """Whether a connection was open when the capture began."""
    return report.handshake.verdict == "not-captured"


def cut_at_end(report: ConnectionReport) -> bool:
    """Whether a connection was open when the capture ended."""
    opened = report.handshake.verdict not in {"refused", "unanswered", "half-open", "aborted"}
    return opened and report.ended_by == "capture-end" and report.teardown.verdict in {"open", "half-closed"}


def _share(name: str) -> Callable[[OfConnection], Cell]:
    return lambda of: seconds(of.report.numbers.shares()[name])


def _traffic(side: str) -> tuple[Column, ...]:
    """What one side sent."""
    place = ("client", "server").index(side)

    def of(name: str) -> Callable[[OfConnection], Cell]:
        def cell(one: OfConnection) -> Cell:
            sides = one.report.client_side, one.report.server_side
            value: int = getattr(sides[place].traffic, name)
            return value

        return cell

    def rate(one: OfConnection) -> Cell:
        numbers = one.report.numbers.client, one.report.numbers.server
        value = numbers[place].goodput
        return None if value is None else round(value, 3)

    def rtt(name: str) -> Callable[[OfConnection], Cell]:
        def cell(one: OfConnection) -> Cell:
            sides = one.report.client_side, one.report.server_side
            value: int | None = getattr(sides[place].rtt, name)
            return _seconds(value)

        return cell

    return (
        Column(f"{side}_segments", INTEGER, f"segments that the {side} sent", of("segments")),
        Column(f"{side}_data_segments", INTEGER, "of these: with data", of("payload_segments")),
        Column(
            f"{side}_bytes", INTEGER, f"bytes of data that the {side} sent, repetitions included", of("payload_bytes")
        ),
        Column(f"{side}_unique_bytes", INTEGER, "of these: new ones", of("unique_bytes")),
        Column(f"{side}_retransmitted_segments", INTEGER, "segments sent again", of("retransmitted_segments")),
        Column(f"{side}_retransmitted_bytes", INTEGER, "bytes sent again", of("retransmitted_bytes")),
        Column(f"{side}_timeouts", INTEGER, "times that the retransmission timer ran off", of("timeouts")),
        Column(f"{side}_out_of_order", INTEGER, "segments that came late", of("out_of_order")),
        Column(f"{side}_zero_windows", INTEGER, "times that it closed its window", of("zero_windows")),
        Column(f"{side}_goodput", NUMBER, "new bytes a second over the life of the connection", rate),
        Column(f"{side}_rtt_median", NUMBER, f"round trip of data of the {side}, median", rtt("median_ns")),
        Column(f"{side}_rtt_p95", NUMBER, "the same, 95th percentile", rtt("p95_ns")),
    )


CONNECTION_COLUMNS: Final[tuple[Column, ...]] = (
    Column("path", TEXT, "the capture, as it was given", lambda of: of.path),
    Column("stream", INTEGER, "number of the connection in it: Wireshark's tcp.stream", lambda of: of.report.stream),
    Column("community_id", TEXT, "Community ID of the flow", lambda of: of.report.community_id),
    Column("client", TEXT, "address of the client", lambda of: of.report.client.address),
    Column("client_port", INTEGER, "its port", lambda of: of.report.client.port),
    Column("server", TEXT, "address of the server", lambda of: of.report.server.address),
    Column("server_port", INTEGER, "its port", lambda of: of.report.server.port),
    Column("roles", TEXT, "how the two were told apart", lambda of: of.report.roles),
    Column("encapsulation", TEXT, "outermost layer first, such as vlan/gre/ipv4", lambda of: of.report.encapsulation),
    Column("first_frame", INTEGER, "first frame", lambda of: of.report.first_frame),
    Column("last_frame", INTEGER, "last frame", lambda of: of.report.last_frame),
    Column("start", TIME, "time of the first frame", lambda of: of.report.start_ns),
    Column("end", TIME, "time of the last frame", lambda of: of.report.end_ns),
    Column("duration", NUMBER, "from the first to the last", lambda of: seconds(of.report.duration_ns)),
    Column("handshake", TEXT, "how it opened", lambda of: of.report.handshake.verdict),
    Column("teardown", TEXT, "how it closed", lambda of: of.report.teardown.verdict),
    Column("teardown_form", TEXT, "four-segment, three-segment, simultaneous", lambda of: of.report.teardown.form),
    Column("active_closer", TEXT, "the side that closed first", lambda of: of.report.teardown.active_closer),
    Column("reset_by", TEXT, "the side that sent the first RST", lambda of: of.report.reset_by),
    Column("time_wait", TEXT, "whether 2 MSL were respected", lambda of: of.report.time_wait.verdict),
    Column("ended_by", TEXT, "why it was judged when it was", lambda of: of.report.ended_by),
    Column(
        "cut_at_start",
        BOOLEAN,
        "it was open when the capture began: look in the file before",
        lambda of: cut_at_start(of.report),
    ),
    Column(
        "cut_at_end",
        BOOLEAN,
        "it was open when the capture ended: look in the next file",
        lambda of: cut_at_end(of.report),
    ),
    Column("lossy", BOOLEAN, "the capture lacks segments of it", lambda of: of.report.lossy),
    Column("one_sided", BOOLEAN, "the capture shows one direction only", lambda of: of.report.one_sided),
    Column("conn_state", TEXT, "as in Zeek's conn.log", lambda of: of.report.conn_state),
    Column("history", TEXT, "as in Zeek's conn.log", lambda of: of.report.history),
    Column("completeness", INTEGER, "as Wireshark's tcp.completeness", lambda of: of.report.completeness),
    Column("rtt_handshake", NUMBER, "from SYN to ACK: the whole path", lambda of: _seconds(of.report.handshake.rtt_ns)),
    Column(
        "rtt_to_server",
        NUMBER,
        "capture point to server and back",
        lambda of: _seconds(of.report.numbers.rtt_to_server_ns),
    ),
    Column(
        "rtt_to_client",
        NUMBER,
        "capture point to client and back",
        lambda of: _seconds(of.report.numbers.rtt_to_client_ns),
    ),
    Column(
        "response_median",
        NUMBER,
        "time to an answer, median",
        lambda of: _seconds(of.report.numbers.responses.median_ns),
    ),
    *_traffic("client"),
    *_traffic("server"),
    Column("time_client_thinking", NUMBER, "where its time went: the client's program", _share("client_thinking")),
    Column("time_server_thinking", NUMBER, "the server's program", _share("server_thinking")),
    Column("time_network", NUMBER, "round trips", _share("network")),
    Column("time_transfer", NUMBER, "sending data", _share("transfer")),
    Column("time_loss", NUMBER, "waiting for what was lost", _share("loss")),
    Column("time_window", NUMBER, "waiting for a window", _share("window")),
    Column("time_idle", NUMBER, "nothing to do", _share("idle")),
    Column("tls", TEXT, "how its TLS handshake went", _of_tls(lambda tls: tls.verdict)),
    Column("tls_version", TEXT, "version of TLS", _of_tls(lambda tls: tls.version)),
    Column("tls_cipher_suite", TEXT, "the cipher suite that was chosen", _of_tls(lambda tls: tls.cipher_suite)),
    Column("sni", TEXT, "the name that the client asked for", _of_tls(lambda tls: tls.sni)),
    Column("alpn", TEXT, "the application protocol that was chosen", _of_tls(lambda tls: tls.alpn)),
    Column("tls_resumed", BOOLEAN, "it resumed an earlier session", _of_tls(lambda tls: tls.resumed)),
    Column("ja3", TEXT, "fingerprint of the ClientHello", _of_tls(lambda tls: tls.ja3)),
    Column("ja3s", TEXT, "fingerprint of the ServerHello", _of_tls(lambda tls: tls.ja3s)),
    Column("ja4", TEXT, "fingerprint of the ClientHello", _of_tls(lambda tls: tls.ja4)),
    Column("certificate_sha256", TEXT, "the server's own certificate: its hash", _leaf(lambda one: one.sha256)),
    Column("certificate_subject", TEXT, "its subject", _leaf(lambda one: one.subject)),
    Column("certificate_not_after", TEXT, "the end of its validity, RFC 3339", _leaf(lambda one: one.not_after)),
    Column("trouble_where", TEXT, "where the trouble sits", lambda of: of.report.diagnosis.where),
    Column("trouble_confidence", TEXT, "high, medium, low", lambda of: of.report.diagnosis.confidence),
    Column("summary", TEXT, "what happened, in one sentence", lambda of: of.report.diagnosis.summary),
    Column("errors", INTEGER, "findings of this severity", lambda of: severity_count(of.report.findings, "error")),
    Column("warnings", INTEGER, "findings of this severity", lambda of: severity_count(of.report.findings, "warning")),
    Column("notes", INTEGER, "findings of this severity", lambda of: severity_count(of.report.findings, "note")),
    Column("worst", TEXT, "the worst severity of its findings", _worst),
    Column("rules", TEXT, "codes of its findings, joined by semicolons", _rules),
)


def _of_report(get: Callable[[ConnectionReport], Cell]) -> Callable[[OfFinding], Cell]:
    return lambda of: None if of.report is None else get(of.report)


FINDING_COLUMNS: Final[tuple[Column, ...]] = (
    Column("path", TEXT, "the capture, as it was given", lambda of: of.path),
    Column("stream", INTEGER, "the connection; null: about the capture", _of_report(lambda report: report.stream)),
    Column("code", TEXT, "code of the rule", lambda of: of.finding.code),
    Column("name", TEXT, "name of the rule", lambda of: of.finding.name),
    Column("severity", TEXT, "error, warning, note", lambda of: str(of.finding.severity)),
    Column("message", TEXT, "what was found", lambda of: of.finding.message),
    Column("side", TEXT, "client or server", lambda of: of.finding.side),
    Column("frame", INTEGER, "the frame to look at first", lambda of: of.finding.frame),
    Column("count", INTEGER, "how often it happened", lambda of: of.finding.count),
    Column("time", TIME, "when", lambda of: of.finding.time_ns),
    Column("rfc", TEXT, "the section that it rests on", lambda of: of.finding.rfc or None),
    Column("client", TEXT, "address of the client", _of_report(lambda report: report.client.address)),
    Column("client_port", INTEGER, "its port", _of_report(lambda report: report.client.port)),
    Column("server", TEXT, "address of the server", _of_report(lambda report: report.server.address)),
    Column("server_port", INTEGER, "its port", _of_report(lambda report: report.server.port)),
    Column(
        "sni",
        TEXT,
        "the name that the client asked for",
        _of_report(lambda report: None if report.tls is None else report.tls.sni),
    ),
    Column("file", TEXT, "of joined files the one that holds the frame", lambda of: of.file),
    Column("file_frame", INTEGER, "its number there", lambda of: of.file_frame),
)

OK: Final = "read"
DAMAGED: Final = "damaged"
UNREADABLE: Final = "unreadable"

CAPTURE_COLUMNS: Final[tuple[Column, ...]] = (
    Column("path", TEXT, "the capture, as it was given", lambda of: of.path),
    Column("status", TEXT, "read, damaged (in part) or unreadable", lambda of: DAMAGED if of.damage else OK),
    Column("reason", TEXT, "what could not be read, and why", lambda of: of.damage or None),
    Column("document", TEXT, "its JSON, below captures/", lambda of: of.document),
    Column("size", INTEGER, "bytes of the file", lambda of: of.size or None),
    Column("format", TEXT, "pcap, pcapng, snoop", lambda of: of.report.format),
    Column("compression", TEXT, "such as gzip", lambda of: of.report.compression or None),
    Column("frames", INTEGER, "frames", lambda of: of.report.frames),
    Column("segments", INTEGER, "TCP segments", lambda of: of.report.segments),
    Column("skipped", INTEGER, "frames that were not analysed", lambda of: sum(of.report.skipped.values())),
    Column("connections", INTEGER, "connections", lambda of: of.summary.connections),
    Column("with_findings", INTEGER, "of these: with findings", lambda of: of.summary.with_findings),
    Column("first_time", TIME, "time of the earliest frame", lambda of: of.report.first_time_ns),
    Column("last_time", TIME, "time of the latest frame", lambda of: of.report.last_time_ns),
    Column("duration", NUMBER, "from one to the other", lambda of: _seconds(of.report.duration_ns)),
    Column("errors", INTEGER, "findings of this severity", lambda of: of.summary.findings["error"]),
    Column("warnings", INTEGER, "findings of this severity", lambda of: of.summary.findings["warning"]),
    Column("notes", INTEGER, "findings of this severity", lambda of: of.summary.findings["note"]),
    Column("dropped", INTEGER, "frames that the capturing side says it lost", lambda of: of.report.dropped),
    Column("unseen_bytes", INTEGER, "bytes acknowledged but not captured", lambda of: of.report.unseen_bytes),
    Column("truncated_frames", INTEGER, "frames cut by the snap length", lambda of: of.report.truncated_frames),
    Column(
        "one_sided", INTEGER, "connections of which one direction is there", lambda of: of.report.one_sided_connections
    ),
    Column("copies", INTEGER, "segments captured twice", lambda of: of.report.copies.count),
    Column("bad_checksums", INTEGER, "wrong TCP checksums, offloading aside", lambda of: of.report.checksums.wrong),
    Column("clock_steps_back", INTEGER, "times that the clock went back", lambda of: of.report.clock_back_count),
    Column(
        "trouble_where",
        TEXT,
        "where most of the trouble sits",
        lambda of: None if of.report.diagnosis is None else of.report.diagnosis.where,
    ),
    Column(
        "summary",
        TEXT,
        "what happened, in one sentence",
        lambda of: (
            None if of.report.diagnosis is None or of.report.diagnosis.where == NOWHERE else of.report.diagnosis.summary
        ),
    ),
    Column("files", INTEGER, "files that it consists of", lambda of: len(of.report.files)),
)

TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    CAPTURES: CAPTURE_COLUMNS,
    CONNECTIONS: CONNECTION_COLUMNS,
    FINDINGS: FINDING_COLUMNS,
}


def failed_capture(path: str, size: int, reason: str) -> Row:
    """The row of a capture that could not be read at all."""
    cells: Row = {"path": storable(path), "status": UNREADABLE, "reason": storable(reason)}
    return {**cells, "size": size} if size else cells
