"""What a frame holds that gave no TCP segment: asked when somebody wants to see just that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.pipeline import Pipeline
from tcpscope.wire.segment import CHECKSUM_BAD
from tcpscope.wire.skips import SKIP_NAMES

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.state.connection import Connection

UNREAD: Final = "could not be read"


def _forget(conn: Connection) -> None:
    """There are no connections here."""


class FrameReader:
    """Feed a capture; ``answer`` then says why the frame gave no segment, such as "holds no TCP segment: not-ip"."""

    def __init__(self, options: Options, frame: int) -> None:
        self.answer = UNREAD
        # Only its reader and decoder are used: nothing comes to the connections.
        self.pipeline = Pipeline(_forget, options.msl_ns, options.verify_checksums, 0, False, options.salvage)
        self._frame = frame

    def begin_file(self, name: str) -> None:
        """The bytes that come are those of this file."""
        if self.pipeline.file_ended:
            self.pipeline.next_file()

    def feed(self, data: bytes) -> bool:
        """The next bytes. False: the frame has been found."""
        reader = self.pipeline.reader
        if reader.frames >= self._frame:
            return False
        reader.feed(data)
        self._drain()
        return not reader.ended and reader.frames < self._frame

    def end_file(self, name: str, compression: str = "", stopped: str = "", offset: int = -1) -> None:
        """No more bytes of this file."""
        self.pipeline.reader.finish()
        self._drain()
        self.pipeline.end_file(name, compression, stopped, offset)

    def finish(self) -> None:
        """No more files."""

    def _drain(self) -> None:
        pipeline = self.pipeline
        frame, seg, decoder = pipeline.frame, pipeline.seg, pipeline.decoder
        while pipeline.reader.frames < self._frame and pipeline.reader.advance(frame):
            code = decoder.decode(frame, seg)
            if frame.number == self._frame:
                bad = code == 0 and seg.checksum == CHECKSUM_BAD
                self.answer = (
                    "holds a segment that was not used: its TCP checksum is wrong"
                    if bad
                    else f"holds no TCP segment: {SKIP_NAMES[code]}"
                )
            while decoder.pending and decoder.more(frame, seg):
                pass
