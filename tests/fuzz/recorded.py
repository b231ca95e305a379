"""What recorded captures give the targets behind the decoder: their segments, and the bytes that a connection carried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.state.keys import canonical_key
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import SYN, Segment


def each_segment(capture: bytes, use: Callable[[Segment], None]) -> None:
    """Call ``use`` with each TCP segment of a capture; the object is the same each time."""
    reader, decoder, frame, seg = CaptureReader(), Decoder(False), Frame(), Segment()
    reader.feed(capture)
    reader.finish()
    while reader.advance(frame):
        if decoder.decode(frame, seg) == 0:
            use(seg)
            while decoder.pending and decoder.more(frame, seg):
                use(seg)


def streams(path: Path) -> list[list[tuple[int, bytes]]]:
    """For each connection of a capture what its sides wrote, in the order of the file: ``(side, bytes)``."""
    talks: dict[bytes, list[tuple[int, bytes]]] = {}
    following: dict[bytes, int] = {}

    def take(seg: Segment) -> None:
        if seg.flags & SYN or seg.key not in following:
            following[seg.key] = (seg.seq + (seg.flags & SYN != 0)) & 0xFFFFFFFF
        if seg.captured and seg.seq == following[seg.key]:
            following[seg.key] = (seg.seq + seg.captured) & 0xFFFFFFFF
            talk = talks.setdefault(canonical_key(seg.key), [])
            side = int(seg.key != canonical_key(seg.key))
            talk.append((side, seg.data[seg.payload : seg.payload + seg.captured]))

    each_segment(path.read_bytes(), take)
    return list(talks.values())
