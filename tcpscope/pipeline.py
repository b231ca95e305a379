"""The loop: bytes in, finished connections out. Knows no file, no rule and no format (sans I/O)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.capture.salvage import Gap
from tcpscope.state import limits
from tcpscope.state.checksums import Checksums
from tcpscope.state.connection import Connection
from tcpscope.state.copies import CopyTotals
from tcpscope.state.endpoint import ETHERNET_PAYLOAD, Transfer
from tcpscope.state.flows import FlowTable, Outlook
from tcpscope.state.keys import canonical_key
from tcpscope.state.listeners import Listener
from tcpscope.state.zeek import SERVER_PORTS, ZeekRow, ZeekView, ZeekWhole
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.fragments import Reassembler
from tcpscope.wire.segment import Segment
from tcpscope.wire.skips import BAD_TCP_HEADER, ICMP_ERROR, SKIP_NAMES

KEPT_FRAMES: Final = 16
"""Frames that are named of what happens often."""


SETTLED_NS: Final = 60_000_000_000
"""A connection that was silent for so long before the file ended early would not have gone on right behind."""


class FileFacts:
    """One file of a capture, as far as it was read. ``frames`` are those from ``first_frame`` on; damage: see CaptureReader."""

    def __init__(self, name: str, compression: str, first_frame: i64) -> None:
        self.name: str = name
        self.compression: str = compression
        self.first_frame: i64 = first_frame
        self.frames: i64 = 0
        self.format: str = ""
        self.damage: str = ""
        self.damage_offset: i64 = -1
        self.gaps: list[Gap] = []


class LargeSegments:
    """Segments that carry more than their receiver takes at once (its MSS) or, where that is not known, than Ethernet does."""

    def __init__(self) -> None:
        self.segments: i64 = 0
        self.unknown: i64 = 0  # of these: the MSS is not known
        self.connections: i64 = 0
        self.frame: i64 = 0  # the first
        self.largest: i64 = 0  # bytes of payload
        self.limit: i64 = ETHERNET_PAYLOAD  # the least that one of them exceeds

    def add(self, sender: Transfer, mss: i64) -> None:
        """Count those of one sender, whose receiver told this MSS (-1: not known)."""
        self.segments += sender.trouble.large_segments
        if mss < 0:
            self.unknown += sender.trouble.large_segments
        elif mss < self.limit:
            self.limit = mss
        if self.frame == 0 or sender.trouble.large_frame < self.frame:
            self.frame = sender.trouble.large_frame
        self.largest = max(self.largest, sender.trouble.largest)


class CaptureFacts:
    """What there is to say about a capture as a whole. Times are ns since 1970 UTC, -1 without a frame."""

    def __init__(self) -> None:
        self.format: str = ""
        self.frames: i64 = 0
        self.segments: i64 = 0
        self.skipped: dict[str, int] = {}
        self.first_time: i64 = -1
        self.last_time: i64 = -1
        self.complete: bool = True
        self.damage: str = ""
        self.damage_offset: i64 = -1
        self.files: list[FileFacts] = []
        self.gap_count: i64 = 0  # places at which damage was stepped over
        self.skipped_bytes: i64 = 0
        self.truncated_frames: i64 = 0
        self.dropped: i64 = -1
        self.untimed: i64 = 0
        self.clock_back_count: i64 = 0
        self.clock_back_max_ns: i64 = 0
        self.clock_back_frame: i64 = 0
        self.checksums: Checksums = Checksums(False)
        self.bad_headers: i64 = 0
        self.first_bad_header: i64 = 0
        self.cut_headers: i64 = 0
        self.cut_hellos: i64 = 0  # of TLS
        self.cut_hello_frames: list[int] = []  # the first few
        self.fragments: Reassembler = Reassembler()
        self.unseen_bytes: i64 = 0
        self.large: LargeSegments = LargeSegments()
        self.one_sided_connections: i64 = 0
        self.two_sided_connections: i64 = 0  # of which the capture has segments of both sides
        self.connections: i64 = 0
        self.evicted: i64 = 0
        self.limits: list[int] = [0] * limits.LIMIT_COUNT  # by the codes of tcpscope.state.limits
        self.listeners: list[Listener] = []
        self.copies: CopyTotals = CopyTotals()
        self.interfaces: i64 = 0


class Pipeline:
    """Feed bytes, get connections. ``sink`` is called with each connection when it is over, not in order of numbers."""

    def __init__(
        self,
        sink: Callable[[Connection], None],
        msl_ns: i64,
        verify_checksums: bool,
        max_connections: i64,
        zeek: bool = False,
        salvage: bool = False,
        zeek_ports: frozenset[int] = SERVER_PORTS,
    ) -> None:
        self.sink = sink
        self.zeek: ZeekView | None = (
            ZeekView(zeek_ports) if zeek else None
        )  # costs as much as all the rest of a plain segment
        self.zeek_rows: dict[bytes, list[ZeekRow]] = {}
        self.facts: CaptureFacts = CaptureFacts()
        self.reader: CaptureReader = CaptureReader(salvage)
        self.decoder: Decoder = Decoder(verify_checksums)
        self.flows: FlowTable = FlowTable(self._over, msl_ns, max_connections)
        self.frame: Frame = Frame()
        self.seg: Segment = Segment()
        self.checksums: Checksums = Checksums(verify_checksums)
        self.facts.checksums = self.checksums
        self.facts.fragments = self.decoder.reassembler
        self.skips: list[int] = [0] * len(SKIP_NAMES)
        self.latest: i64 = -1
        self.file_ended: bool = False
        self.cut_frame: i64 = 0  # the latest frame before a file ended early
        self.cut_time: i64 = 0

    def look_ahead(self, outlook: Outlook) -> None:
        """Ask early for connections of which there is nothing to tell. ``outlook`` has each of those that it passes over counted."""
        if self.zeek is None:
            self.flows.outlook = outlook

    def feed(self, data: bytes) -> None:
        """The next bytes of the capture, in chunks of any size."""
        self.reader.feed(data)
        self._drain()

    def end_file(self, name: str, compression: str, stopped: str, offset: i64) -> None:
        """No more bytes of this file. ``stopped``: one line on why its input was not read to the end ("": it was), ``offset``: where."""
        self.reader.finish()
        self._drain()
        reader: CaptureReader = self.reader
        before: i64 = 0
        for earlier in self.facts.files:
            before += earlier.frames
        file: FileFacts = FileFacts(name, compression, before + 1)
        file.frames = reader.frames - before
        file.format = reader.format
        file.damage = stopped if stopped != "" else reader.damage
        file.damage_offset = offset if stopped != "" else reader.damage_offset
        file.gaps = reader.gaps
        if file.damage != "":
            self.cut_frame = reader.frames
            self.cut_time = self.latest
        self.facts.files.append(file)
        self.file_ended = True

    def next_file(self) -> None:
        """The bytes that come belong to the next file of the same capture."""
        self.reader.next_file()
        self.file_ended = False

    def finish(self) -> CaptureFacts:
        """No more files: judge what is left and return the capture's own facts."""
        if not self.file_ended:
            self.end_file("", "", "", -1)
        if self.zeek is not None:
            self.zeek.finish()
        self.flows.finish()
        return self._summary()

    def next_segment(self) -> bool:
        """Advance to the next TCP segment and apply it; False when more bytes are needed. For callers that look at each."""
        while True:
            if self.decoder.pending:
                found: bool = self.decoder.more(self.frame, self.seg)
            elif self.reader.advance(self.frame):
                found = self._decode()
            else:
                return False
            if found and self._apply():
                return True

    def _drain(self) -> None:
        while self.reader.advance(self.frame):
            if self._decode():
                self._apply()
            while self.decoder.pending and self.decoder.more(self.frame, self.seg):
                self._apply()

    def _decode(self) -> bool:
        """Decode the current frame. True if it holds a segment."""
        frame: Frame = self.frame
        facts: CaptureFacts = self.facts
        time: i64 = frame.time_ns
        if facts.first_time < 0:
            facts.first_time = time
            self.latest = time
        if time < self.latest:
            facts.clock_back_count += 1
            step: i64 = self.latest - time
            if step > facts.clock_back_max_ns:
                facts.clock_back_max_ns = step
                facts.clock_back_frame = frame.number
        else:
            self.latest = time
        code: i64 = self.decoder.decode(frame, self.seg)
        if code != 0:
            self.skips[code] += 1
            if self.zeek is not None:
                self.zeek.tick(time)
            if code == ICMP_ERROR:
                self.flows.icmp(self.decoder.icmp)
            elif code == BAD_TCP_HEADER:
                facts.bad_headers += 1
                if facts.first_bad_header == 0:
                    facts.first_bad_header = frame.number
            return False
        return True

    def _apply(self) -> bool:
        """Take in the current segment. True if it counts."""
        facts: CaptureFacts = self.facts
        seg: Segment = self.seg
        facts.segments += 1
        usable: bool = facts.segments < self.checksums.next or self.checksums.usable(seg, facts.segments)
        if self.zeek is not None:
            self.zeek.feed(seg)
        if not usable:
            self.flows.left_out(seg)
            return False
        if seg.header_cut != 0:
            facts.cut_headers += 1
        self.flows.segment(seg)
        if self.zeek is not None and self.flows.current is not None:
            conn: Connection = self.flows.current
            if conn.zeek is None:
                conn.zeek = ZeekWhole(seg, self.zeek.server_ports)
            conn.zeek.feed(seg)
        return True

    def _over(self, conn: Connection) -> None:
        """One connection is over."""
        facts: CaptureFacts = self.facts
        facts.connections += 1
        if conn.client.copied is not None or conn.server.copied is not None:
            facts.copies.add(conn)
        client: Transfer = conn.client.opened()
        server: Transfer = conn.server.opened()
        facts.unseen_bytes += client.trouble.unseen_bytes + server.trouble.unseen_bytes
        if client.trouble.large_segments + server.trouble.large_segments > 0:
            facts.large.connections += 1
            if client.trouble.large_segments > 0:
                facts.large.add(client, i64(conn.server.mss))
            if server.trouble.large_segments > 0:
                facts.large.add(server, i64(conn.client.mss))
        if conn.encapsulation != 0:
            conn.encapsulation_name = self.decoder.encapsulation_name(i64(conn.encapsulation))
        limits.reached(conn, facts.limits)
        self._doubts(conn)
        if conn.tls is not None:
            self._cut_hello(conn.tls.cut_hello0)
            self._cut_hello(conn.tls.cut_hello1)
        if conn.one_sided:
            facts.one_sided_connections += 1
        elif conn.client.segments > 0 and conn.server.segments > 0:
            facts.two_sided_connections += 1
        if self.zeek is not None:
            self._collect_rows(self.zeek, conn)
        self.sink(conn)

    def count_quiet(self, conn: Connection) -> bool:
        """Count a connection of which there is nothing to tell. False: it is to be judged like any other."""
        reader: CaptureReader = self.reader
        if reader.dropped > 0 or conn.first_frame <= reader.gap_frame:
            return False
        self.facts.connections += 1
        self.facts.two_sided_connections += 1
        return True

    def _doubts(self, conn: Connection) -> None:
        """What the capture says of itself so far that takes the proof away from an absence in this connection."""
        conn.frames_dropped = max(self.reader.dropped, 0)
        conn.file_damaged = conn.first_frame <= self.reader.gap_frame
        settled: bool = conn.closed or conn.last_time <= self.cut_time - SETTLED_NS
        conn.cut_off = conn.first_frame <= self.cut_frame and not settled

    def _cut_hello(self, frame: i64) -> None:
        """Count a hello of TLS that the snap length cut; 0 is none."""
        if frame == 0:
            return
        self.facts.cut_hellos += 1
        if len(self.facts.cut_hello_frames) < KEPT_FRAMES:
            number: int = frame
            self.facts.cut_hello_frames.append(number)

    def _collect_rows(self, zeek: ZeekView, conn: Connection) -> None:
        """Give a connection the rows that Zeek makes of it; those of the others wait for theirs."""
        zeek.end(conn.key, conn.last_frame)
        for row in zeek.take():
            self.zeek_rows.setdefault(canonical_key(row.key), []).append(row)
        name: bytes = conn.name
        waiting: list[ZeekRow] = self.zeek_rows.pop(name, [])
        if conn.zeek is not None:
            conn.zeek.rows = [row for row in waiting if row.first_frame <= conn.last_frame]
        later: list[ZeekRow] = [row for row in waiting if row.first_frame > conn.last_frame]
        if len(later) > 0:
            self.zeek_rows[name] = later

    def _summary(self) -> CaptureFacts:
        facts: CaptureFacts = self.facts
        reader: CaptureReader = self.reader
        for file in facts.files:
            if facts.format == "":
                facts.format = file.format
            if facts.damage == "" and file.damage != "":
                facts.damage = file.damage if len(facts.files) == 1 else file.name + ": " + file.damage
                facts.damage_offset = file.damage_offset
        facts.frames = reader.frames
        facts.last_time = self.latest
        facts.gap_count = reader.gap_count
        facts.skipped_bytes = reader.skipped_bytes
        facts.complete = facts.damage == "" and facts.gap_count == 0
        facts.truncated_frames = reader.truncated_frames
        facts.untimed = reader.untimed
        facts.dropped = reader.dropped
        facts.evicted = self.flows.evicted
        facts.limits[limits.LISTENERS] = self.flows.listeners.not_tracked
        facts.limits[limits.NUMBERS] = self.flows.ended.forgotten
        facts.limits[limits.FRAGMENTS] = self.decoder.reassembler.evicted
        facts.limits[limits.ENCAPSULATIONS] = self.decoder.unnamed
        facts.limits[limits.SENDERS] = self.checksums.other_hosts.looked_at()
        facts.listeners = list(self.flows.listeners.by_key.values())
        for code, count in enumerate(self.skips):
            if count > 0:
                facts.skipped[SKIP_NAMES[code]] = count
        return facts


class CollectorPause:
    """Context manager: no garbage collection in the loop. The objects form no cycles, and with a million flows it dominates."""

    def __init__(self) -> None:
        self.was_enabled: bool = False

    def __enter__(self) -> CollectorPause:
        self.was_enabled = gc.isenabled()
        gc.disable()
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if self.was_enabled:
            gc.enable()
