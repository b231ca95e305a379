"""The capture reader: bytes in, frames out. It finds out by the magic number which format the bytes have.

Damage is data here, never an exception: reading ends, ``damage`` says where and why, the frames before it stay valid.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import Framing, Interface
from tcpscope.capture.octets import u32
from tcpscope.capture.pcap import PcapReader, is_pcap_magic
from tcpscope.capture.pcapng import SECTION_HEADER, PcapngReader
from tcpscope.capture.sniff import HEAD, describe


class CaptureReader:
    """Reads one pcap or pcapng input, fed in chunks of any size.

    ``feed`` chunks and ``finish`` after the last; ``advance`` fills a frame in place, whose bytes stay valid until the
    next ``feed``. ``format`` is "" until known, then "pcap" or "pcapng".
    """

    def __init__(self) -> None:
        self.format: str = ""
        self._known: bool = False
        self._framing: Framing = Framing()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the input."""
        self._framing.feed(data)

    def finish(self) -> None:
        """Say that there is no more input."""
        self._framing.finished = True

    def advance(self, frame: Frame) -> bool:
        """Fill ``frame`` with the next packet. False: more input is needed, or ``ended`` is set."""
        if not self._known and not self._recognise():
            return False
        return self._framing.advance(frame)

    @property
    def ended(self) -> bool:
        """Whether no further frame can come: the input is used up, or damaged."""
        return self._framing.ended

    @property
    def frames(self) -> i64:
        """Frames read so far."""
        return self._framing.frames

    @property
    def consumed(self) -> i64:
        """Offset in the input up to which everything has been used."""
        return self._framing.base + self._framing.pos

    @property
    def damage(self) -> str:
        """One line on what ended the reading early, without the name of the file; "" if nothing did."""
        return self._framing.damage

    @property
    def damage_offset(self) -> i64:
        """Offset in the input of the damage, or -1."""
        return self._framing.damage_offset

    @property
    def untimed(self) -> i64:
        """Frames without a time stamp; they carry the time of the frame before."""
        return self._framing.untimed

    @property
    def truncated_frames(self) -> i64:
        """Frames of which fewer bytes were captured than were on the wire."""
        return self._framing.truncated_frames

    @property
    def dropped(self) -> i64:
        """Packets that the capture itself says were lost while capturing; -1 if it says nothing of it."""
        return self._framing.dropped

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces described so far, in the order that :attr:`Frame.interface` counts them."""
        return self._framing.interfaces

    def _recognise(self) -> bool:
        """Choose the format by the first four bytes; False until they are there, and for what is no capture."""
        held: Framing = self._framing
        if held.ended:
            return False
        if not held.refill(4):
            if held.finished:
                self._reject()
            return False
        framing: Framing
        if u32(held.data, 0, False) == SECTION_HEADER:
            framing = PcapngReader()
            self.format = "pcapng"
        elif is_pcap_magic(u32(held.data, 0, False)) or is_pcap_magic(u32(held.data, 0, True)):
            framing = PcapReader()
            self.format = "pcap"
        else:
            if held.refill(HEAD) or held.finished:
                self._reject()
            return False
        framing.take_over(held)
        self._framing = framing
        self._known = True
        return True

    def _reject(self) -> None:
        """Say what the input is instead of a capture."""
        held: Framing = self._framing
        held.refill(min(held.limit - held.pos + held.queue_size, HEAD))
        head: bytes = held.data[:HEAD]
        held.fail(describe(head) if len(head) > 0 else "empty: not a single byte", 0)
