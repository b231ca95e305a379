"""The capture reader: bytes in, frames out. It finds out by the magic number which format the bytes have.

Damage is data here, never an exception: reading ends, ``damage`` says where and why, the frames before it stay valid.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.capture.frame import Frame
from tcpscope.capture.framing import Interface
from tcpscope.capture.octets import u32
from tcpscope.capture.pcap import PcapReader, is_pcap_magic
from tcpscope.capture.pcapng import MAX_SECRETS, SECTION_HEADER, PcapngReader
from tcpscope.capture.salvage import Gap, Salvage
from tcpscope.capture.sniff import HEAD, describe
from tcpscope.capture.snoop import MAGIC as SNOOP_MAGIC
from tcpscope.capture.snoop import SnoopReader


class CaptureReader:
    """Reads one pcap, pcapng or snoop input, fed in chunks of any size, or several that are one capture.

    ``feed`` chunks and ``finish`` after the last; ``advance`` fills a frame in place, whose bytes stay valid until the
    next ``feed``. ``format`` is "" until known, then "pcap", "pcapng" or "snoop". With ``salvage`` damage does not end
    the reading where a further record is found behind it.

    ``next_file`` after the last frame of an input makes the next one another file of the same capture: numbers and counts
    of frames go on, while ``format``, ``ended``, ``consumed``, ``damage``, ``damage_offset``, ``gaps`` and ``interfaces``
    are those of the file that is being read.
    """

    def __init__(self, salvage: bool = False) -> None:
        self.format: str = ""
        self._salvage: bool = salvage
        self._known: bool = False
        self._framing: Salvage = Salvage(salvage)
        self._before: Totals = Totals()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the input."""
        self._framing.feed(data)

    def finish(self) -> None:
        """Say that there is no more input."""
        self._framing.finished = True

    def next_file(self) -> None:
        """Go on with another file of the same capture; the one before must have ended."""
        self._before.add(self._framing)
        self.format = ""
        self._known = False
        self._framing = Salvage(self._salvage)
        self._framing.number_base = self._before.frames

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
        return self._before.frames + self._framing.frames

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
        return self._before.untimed + self._framing.untimed

    @property
    def truncated_frames(self) -> i64:
        """Frames of which fewer bytes were captured than were on the wire."""
        return self._before.truncated_frames + self._framing.truncated_frames

    @property
    def dropped(self) -> i64:
        """Packets that the capture itself says were lost while capturing; -1 if it says nothing of it.

        Of several files the largest number, as a capturing program counts from its start.
        """
        return max(self._before.dropped, self._framing.dropped)

    @property
    def comments(self) -> i64:
        """Comments of the user in a pcapng file: of sections, interfaces, statistics and packets."""
        return self._before.comments + self._framing.comments

    @property
    def secrets(self) -> list[bytes]:
        """TLS key logs that the capture carries (pcapng's Decryption Secrets Blocks), at most 1 MiB."""
        return self._before.secrets + self._framing.secrets

    @property
    def gap_count(self) -> i64:
        """Places at which damage was stepped over."""
        return self._before.gap_count + self._framing.gap_count

    @property
    def gap_frame(self) -> i64:
        """Number of the latest frame before the latest of them; 0 if no bytes were stepped over."""
        return max(self._before.gap_frame, self._framing.gap_frame)

    @property
    def skipped_bytes(self) -> i64:
        """Bytes that were stepped over there."""
        return self._before.skipped_bytes + self._framing.skipped_bytes

    @property
    def gaps(self) -> list[Gap]:
        """The first of these places in this file."""
        return self._framing.gaps

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces described so far, in the order that :attr:`Frame.interface` counts them."""
        return self._framing.interfaces

    def _recognise(self) -> bool:
        """Choose the format by the first four bytes; False until they are there, and for what is no capture."""
        held: Salvage = self._framing
        if held.ended:
            return False
        if not held.refill(4):
            if held.finished:
                self._reject()
            return False
        framing: Salvage
        if u32(held.data, 0, False) == SECTION_HEADER:
            framing = PcapngReader(self._salvage)
            self.format = "pcapng"
        elif is_pcap_magic(u32(held.data, 0, False)) or is_pcap_magic(u32(held.data, 0, True)):
            framing = PcapReader(self._salvage)
            self.format = "pcap"
        elif held.refill(len(SNOOP_MAGIC)) and held.data.startswith(SNOOP_MAGIC):
            framing = SnoopReader(self._salvage)
            self.format = "snoop"
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
        held: Salvage = self._framing
        held.refill(min(held.limit - held.pos + held.queue_size, HEAD))
        head: bytes = held.data[:HEAD]
        held.salvage = False
        held.fail(describe(head) if len(head) > 0 else "empty: not a single byte", 0)


class Totals:
    """What the files before add to the counts of a capture of several files."""

    def __init__(self) -> None:
        self.frames: i64 = 0
        self.untimed: i64 = 0
        self.truncated_frames: i64 = 0
        self.dropped: i64 = -1
        self.comments: i64 = 0
        self.gap_count: i64 = 0
        self.gap_frame: i64 = 0
        self.skipped_bytes: i64 = 0
        self.secrets: list[bytes] = []

    def add(self, file: Salvage) -> None:
        """Count one more file."""
        self.frames += file.frames
        self.untimed += file.untimed
        self.truncated_frames += file.truncated_frames
        self.dropped = max(self.dropped, file.dropped)
        self.comments += file.comments
        self.gap_count += file.gap_count
        self.gap_frame = max(self.gap_frame, file.gap_frame)
        self.skipped_bytes += file.skipped_bytes
        size: i64 = 0
        for secret in self.secrets:
            size += len(secret)
        for secret in file.secrets:
            if size + len(secret) <= MAX_SECRETS:
                size += len(secret)
                self.secrets.append(secret)
