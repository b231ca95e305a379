"""Rows of ``tcpscope segments``: what Wireshark's analysis, the flow table and the header say about each segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.pipeline import CollectorPause, Pipeline
from tcpscope.report.build import host_ports
from tcpscope.report.evidence import Evidence, evidence_of
from tcpscope.report.json_report import dumps
from tcpscope.report.quantities import rfc3339
from tcpscope.report.table import table
from tcpscope.state.facts import CAUSE_NAMES
from tcpscope.state.transitions import STATE_NAMES, UNKNOWN
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.style import Style
    from tcpscope.state.connection import Connection

COLUMNS: Final = (
    "frame",
    "time",
    "stream",
    "side",
    "source",
    "destination",
    "seq",
    "ack",
    "flags",
    "length",
    "window",
    "analysis",
    "cause",
    "client_state",
    "server_state",
)
JOINED: Final = ("file", "file_frame")
"""Columns that the rows of joined files have, too."""

MAX_HOSTS: Final = 65_536  # flow keys whose text is remembered
MAX_FRAME: Final = 1 << 62
BLOCK: Final = 500  # rows of a table that are aligned with each other


class Row(NamedTuple):
    """One segment; the fields are those of the output contract, but ``time`` is nanoseconds since 1970 UTC."""

    frame: int
    time: int
    stream: int
    side: str
    source: str
    destination: str
    seq: int
    ack: int
    flags: str
    length: int
    window: int
    analysis: str
    cause: str
    client_state: str
    server_state: str
    file: str  # of joined files the one that holds the frame, and its number there
    file_frame: int
    evidence: Evidence | None  # numbers behind the cause


class Choice(NamedTuple):
    """Which segments are listed: of one connection, with flags or a cause only, of the frames ``first`` to ``last``."""

    stream: int | None = None
    flagged: bool = False
    first: int = 1
    last: int = MAX_FRAME


def _letters(flags: int) -> str:
    return "".join(letter for bit, letter in enumerate("FSRPAUEC") if flags >> bit & 1)


FLAG_LETTERS: Final = tuple(_letters(flags) for flags in range(256))
_STATES: Final = tuple("" if state == UNKNOWN else name for state, name in enumerate(STATE_NAMES))


def _forget(conn: Connection) -> None:
    """What happens to a connection that is over: nothing, its segments have been listed."""


class SegmentLister:
    """Feed the bytes of one capture; ``row`` is called with each segment that is chosen."""

    def __init__(self, options: Options, row: Callable[[Row], None], choice: Choice) -> None:
        self._row = row
        self._choice = choice
        self.pipeline = Pipeline(
            _forget, options.msl_ns, options.verify_checksums, options.max_connections, False, options.salvage
        )
        self._analyzer = WiresharkAnalyzer()
        self._hosts: dict[bytes, tuple[str, str]] = {}
        self._analyses: dict[int, str] = {0: ""}
        self._file = ""
        self._frames_before = 0

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        if self.pipeline.file_ended:
            self.pipeline.next_file()
        self._file = name

    def feed(self, data: bytes) -> bool:
        """The next bytes, in chunks of any size. False: the capture has ended, by damage or since it is none."""
        self.pipeline.reader.feed(data)
        self._drain()
        return not self.pipeline.reader.ended

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file. ``stopped``: one line on why not, where it would have gone on, and at which byte."""
        self.pipeline.reader.finish()
        self._drain()
        self.pipeline.end_file(name, compression, stopped, offset)
        self._frames_before = self.pipeline.reader.frames

    def finish(self) -> None:
        """No more files."""
        self.pipeline.finish()

    def _drain(self) -> None:
        pipeline, analyzer, row, choice = self.pipeline, self._analyzer, self._row, self._choice
        seg, flows = pipeline.seg, pipeline.flows
        with CollectorPause():
            while pipeline.next_segment():
                flags = analyzer.analyze(seg)
                conn = flows.current
                if conn is None or (choice.stream is not None and analyzer.stream != choice.stream):
                    continue
                if not choice.first <= seg.frame <= choice.last or (
                    choice.flagged and not flags and conn.last_cause < 0
                ):
                    continue
                source, destination = self._hosts.get(seg.key) or self._name(seg.key)
                analysis = self._analyses.get(flags)
                row(
                    Row(
                        seg.frame,
                        seg.time_ns,
                        analyzer.stream,
                        "server" if flows.current_side else "client",
                        source,
                        destination,
                        seg.seq,
                        seg.ack,
                        FLAG_LETTERS[seg.flags & 0xFF],
                        seg.length,
                        analyzer.window,
                        self._analysis(flags) if analysis is None else analysis,
                        CAUSE_NAMES[conn.last_cause] if conn.last_cause >= 0 else "",
                        _STATES[conn.client.state],
                        _STATES[conn.server.state],
                        self._file,
                        seg.frame - self._frames_before,
                        evidence_of(conn, flows.current_side, seg),
                    )
                )

    def _name(self, key: bytes) -> tuple[str, str]:
        if len(self._hosts) >= MAX_HOSTS:
            self._hosts.clear()
        source, destination = host_ports(key)
        names = self._hosts[key] = (str(source), str(destination))
        return names

    def _analysis(self, flags: int) -> str:
        text = ";".join(name for bit, name in enumerate(FLAG_NAMES) if flags >> bit & 1)
        self._analyses[flags] = text
        return text


class CsvRows:
    """Comma-separated values with a header line. No cell but the name of a file needs quotes: none has text of a sender's."""

    def __init__(self, write: Callable[[str], None], joined: bool = False) -> None:
        self._write = write
        self._joined = joined

    def begin(self) -> None:
        """Write the header."""
        self._write(",".join(COLUMNS + JOINED if self._joined else COLUMNS) + "\n")

    def row(self, row: Row) -> None:
        """Write one segment."""
        frame, time, *rest, file, file_frame, _ = row
        end = f',"{file.replace(chr(34), chr(34) * 2)}",{file_frame}' if self._joined else ""
        self._write(f"{frame},{rfc3339(time)},{','.join(map(str, rest))}{end}\n")

    def end(self) -> None:
        """There is no end."""


class JsonRows:
    """One JSON object a line."""

    def __init__(self, write: Callable[[str], None], joined: bool = False) -> None:
        self._write = write
        self._joined = joined

    def begin(self) -> None:
        """There is no head."""

    def row(self, row: Row) -> None:
        """Write one segment."""
        fields = {**row._asdict(), "time": rfc3339(row.time)}
        if not self._joined:
            del fields["file"], fields["file_frame"]
        if row.evidence is None:
            del fields["evidence"]
        self._write(dumps(fields) + "\n")

    def end(self) -> None:
        """There is no end."""


class TableRows:
    """A table for people, in blocks of :data:`BLOCK` rows: as many columns as the width has room for."""

    def __init__(self, write: Callable[[str], None], style: Style) -> None:
        self._write = write
        self._style = style
        self._block: list[list[str]] = []
        self._first: int | None = None

    def begin(self) -> None:
        """There is no head before the first block."""

    def row(self, row: Row) -> None:
        """Take one segment."""
        if self._first is None:
            self._first = row.time
        seconds = f"{(row.time - self._first) / 1e9:.6f}"
        analysis = " ".join(filter(None, [row.analysis.replace(";", " "), f"({row.cause})" if row.cause else ""]))
        cells = [str(row.frame), seconds, str(row.stream), row.side, row.flags, str(row.seq), str(row.ack)]
        cells.append(str(row.length))
        if self._style.width >= 110:
            cells += [str(row.window), row.client_state, row.server_state]
        if self._style.width >= 150:
            cells[4:4] = [row.source, row.destination]
        self._block.append([*cells, analysis])
        if len(self._block) >= BLOCK:
            self.end()

    def end(self) -> None:
        """Write what is held back."""
        if self._block:
            self._write(self._style.finish(table(self._style, self._heads(), self._block, self._right())) + "\n")
            self._block = []

    def _heads(self) -> list[str]:
        heads = ["frame", "time, s", "#", "from", "flags", "seq", "ack", "length"]
        if self._style.width >= 110:
            heads += ["window", "client", "server"]
        if self._style.width >= 150:
            heads[4:4] = ["source", "destination"]
        return [*heads, "analysis"]

    def _right(self) -> Sequence[int]:
        numbers = {"frame", "time, s", "#", "seq", "ack", "length", "window"}
        return [index for index, head in enumerate(self._heads()) if head in numbers]
