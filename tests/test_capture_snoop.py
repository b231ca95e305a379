"""Sun snoop (RFC 1761): records, link types, drops, hostile records."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from tests.pcapwriter import Record
from tests.test_capture_reader import Packet, read, state

SECOND = 1_000_000_000


def record(made: Record, drops: int = 0, padding: int | None = None) -> bytes:
    """A record of a snoop file; padded to a multiple of four octets."""
    data = made.data
    wire = len(data) if made.wire_length is None else made.wire_length
    padding = -len(data) % 4 if padding is None else padding
    seconds, rest = divmod(made.time_ns, SECOND)
    head = struct.pack(">IIIIII", wire, len(data), 24 + len(data) + padding, drops, seconds, rest // 1000)
    return head + data + bytes(padding)


def snoop(records: Sequence[Record], datalink: int = 4, version: int = 2) -> bytes:
    """A snoop file."""
    return b"snoop\0\0\0" + struct.pack(">II", version, datalink) + b"".join(map(record, records))


RECORDS = [Record(n * SECOND + n * 1000, bytes([n]) * (n * 7), wire_length=60) for n in range(1, 9)]


@pytest.mark.parametrize("sizes", [(131072,), (1,), (7, 30)], ids=str)
def test_records(sizes: Sequence[int]) -> None:
    packets, reader = read(snoop(RECORDS), sizes)
    assert packets == [Packet(n, r.time_ns, r.data, 60) for n, r in enumerate(RECORDS, 1)]
    assert (reader.format, reader.damage, reader.frames, reader.truncated_frames) == ("snoop", "", 8, 8)
    assert reader.consumed == len(snoop(RECORDS))


@pytest.mark.parametrize(
    ("datalink", "link_type"),
    [(0, 1), (4, 1), (2, 6), (8, 10), (9, 0), (16, 122), (18, 123), (26, 242), (0x80000005, 226), (5, 0x10005)],
)
def test_link_types(datalink: int, link_type: int) -> None:
    packets, reader = read(snoop(RECORDS, datalink))
    assert {packet.link_type for packet in packets} == {link_type}
    assert [interface.link_type for interface in reader.interfaces] == [link_type]


def test_drops_are_a_count_since_the_start() -> None:
    head = snoop([])
    for drops, total in (((0, 0), 0), ((0, 5, 7), 7), ((7, 3), 7)):
        _, reader = read(head + b"".join(record(RECORDS[0], drops=count) for count in drops))
        assert reader.dropped == total


def test_padding_of_any_length_up_to_a_page() -> None:
    data = snoop([]) + record(RECORDS[0], padding=0) + record(RECORDS[1], padding=100) + record(RECORDS[2])
    assert [packet.number for packet in read(data, (11,))[0]] == [1, 2, 3]


DAMAGE = {
    "absurd length": (struct.pack(">IIIIII", 60, 0xFFFFFFFF, 24, 0, 0, 0), "record at byte 48 claims 4294967295 bytes"),
    "record shorter than its packet": (
        struct.pack(">IIIIII", 60, 60, 83, 0, 0, 0),
        "record at byte 48 claims to be 83 bytes long with a packet of 60",
    ),
    "record of length 0": (bytes(24), "record at byte 48 claims to be 0 bytes long with a packet of 0"),
    "record far longer": (
        struct.pack(">IIIIII", 60, 60, 0x7FFFFFFF, 0, 0, 0),
        "record at byte 48 claims to be 2147483647 bytes long with a packet of 60",
    ),
    "cut header": (b"1234567", "cut inside a record header at byte 48 (7 of 24 bytes present)"),
    "cut record": (
        struct.pack(">IIIIII", 60, 60, 84, 0, 0, 0) + b"abc",
        "cut inside a packet record at byte 48 (27 of 84 bytes present)",
    ),
}


@pytest.mark.parametrize(("rest", "text"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("size", [131072, 1])
def test_damage_ends_the_reading(rest: bytes, text: str, size: int) -> None:
    packets, reader = read(snoop(RECORDS[:1]) + rest, (size,))
    assert len(packets) == 1
    assert (reader.damage, reader.damage_offset, reader.consumed) == (text, 48, 48)


def test_unknown_versions_are_named() -> None:
    packets, reader = read(snoop(RECORDS, version=3))
    assert not packets
    assert (reader.damage, reader.damage_offset) == ("snoop version 3 is not known, only 2", 8)


def test_every_truncation_keeps_the_frames_before_it() -> None:
    data = snoop(RECORDS)
    packets, _ = read(data)
    for cut in range(8, len(data)):
        kept, reader = read(data[:cut], (13,))
        assert kept == packets[: len(kept)]
        assert reader.damage.startswith("cut inside") or reader.consumed == cut
        assert state(data[:cut]) == state(data[:cut], (5, 50))
