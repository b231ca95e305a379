"""Writers for pcap with nanoseconds and for pcapng with several interfaces."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Protocol


class Writer(Protocol):
    def write(self, interface: int, time_ns: int, frame: bytes) -> None: ...

    def close(self) -> None: ...


class PcapWriter:
    """Classic pcap, little-endian, nanosecond magic; `snap` 0 keeps whole frames."""

    def __init__(self, path: Path, link: int, snap: int = 0) -> None:
        self.snap = snap or 262144
        self.file: BinaryIO = path.open("wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, self.snap, link))

    def write(self, interface: int, time_ns: int, frame: bytes) -> None:
        kept = frame[: self.snap]
        self.file.write(struct.pack("<IIII", *divmod(time_ns, 10**9), len(kept), len(frame)) + kept)

    def close(self) -> None:
        self.file.close()


class PcapngWriter:
    """pcapng with one Interface Description Block for each of `names`, timestamps in nanoseconds."""

    def __init__(self, path: Path, link: int, names: list[str], snap: int = 0, comment: str = "") -> None:
        self.snap = snap or 262144
        self.received = [0] * len(names)
        self.last_ns = 0
        self.file: BinaryIO = path.open("wb")
        options = _option(1, comment.encode()) if comment else b""
        options += _option(4, b"tcpscope tests.record")
        self._block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options + _option(0))
        for name in names:
            described = _option(2, name.encode()) + _option(9, b"\x09") + _option(0)
            self._block(1, struct.pack("<HHI", link, 0, self.snap) + described)

    def _block(self, kind: int, body: bytes) -> None:
        total = struct.pack("<I", 12 + len(body))
        self.file.write(struct.pack("<I", kind) + total + body + total)

    def write(self, interface: int, time_ns: int, frame: bytes) -> None:
        kept = frame[: self.snap]
        self.received[interface] += 1
        self.last_ns = time_ns
        head = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(kept), len(frame))
        self._block(6, head + kept + b"\0" * (-len(kept) % 4))

    def close(self) -> None:
        """Interface Statistics Blocks last: what was received, nothing dropped."""
        for interface, received in enumerate(self.received):
            counts = _option(4, struct.pack("<Q", received)) + _option(5, struct.pack("<Q", 0)) + _option(0)
            self._block(5, struct.pack("<III", interface, self.last_ns >> 32, self.last_ns & 0xFFFFFFFF) + counts)
        self.file.close()


class TaggingWriter:
    """Hands frames on with an IEEE 802.1Q tag, as a switch sends them on a trunk."""

    def __init__(self, writer: Writer, vlan: int) -> None:
        self.writer = writer
        self.tag = struct.pack(">HH", 0x8100, vlan)

    def write(self, interface: int, time_ns: int, frame: bytes) -> None:
        self.writer.write(interface, time_ns, frame[:12] + self.tag + frame[12:])

    def close(self) -> None:
        self.writer.close()


def _option(code: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)
