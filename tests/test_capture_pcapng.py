"""pcapng: sections, interfaces, resolutions, the three packet blocks, blocks of no interest, hostile lengths."""

from __future__ import annotations

import struct

import pytest

from tests.pcapwriter import Interface, PcapngWriter, Record, pcapng
from tests.test_capture_reader import SECOND, Packet, read, two_sections


def writer(*interfaces: Interface, big_endian: bool = False) -> PcapngWriter:
    made = PcapngWriter(big_endian)
    made.section()
    for interface in interfaces:
        made.interface(interface)
    return made


def test_sections_number_their_interfaces_anew() -> None:
    packets, reader = read(two_sections())
    assert packets == [
        Packet(1, 5 * SECOND, b"\x01" * 61, 61, 1, 0),
        Packet(2, 7205 * SECOND, b"\x02" * 40, 50, 101, 1),
        Packet(3, 7205 * SECOND, b"\x03" * 9, 9, 1, 0),
        Packet(4, 5 * SECOND, b"\x01" * 61, 61, 1, 2),
        Packet(5, 7205 * SECOND, b"\x02" * 40, 50, 101, 3),
        Packet(6, 7205 * SECOND, b"\x03" * 9, 9, 1, 2),
    ]
    assert (reader.format, reader.untimed, reader.truncated_frames, reader.dropped) == ("pcapng", 2, 2, 14)


LIMIT = 2**62 - 1  # no two times may be further apart than 64 bits can tell
TIMES = {
    "microseconds": (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
    "nanoseconds": (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
    "seconds": (0, 1_700_000_000, 1_700_000_000 * SECOND),
    "hundredths": (2, 170_000_000_012, 1_700_000_000_120_000_000),
    "picoseconds": (12, 1_999_999, 1_999),
    "finer than 64 bits can tell": (27, 5 * 10**18, 5),
    "no time at all": (127, 2**63 - 1, 0),
    "2**-10 seconds": (0x8A, 1536, 1_500_000_000),
    "2**-32 seconds": (0xA0, 1_700_000_000 << 32 | 0x80000000, 1_700_000_000_500_000_000),
    "2**-33 seconds": (0xA1, (1 << 33) - 1, 999_999_999),
    "2**-60 seconds": (0xBC, 3 << 59, 1_500_000_000),
    "2**-63 seconds": (0xBF, 1 << 62, 500_000_000),
    "2**-127 seconds": (0xFF, 2**63 - 1, 0),
    "too late in microseconds": (6, 2**63 - 1, LIMIT // 1000 * 1000),
    "too late in seconds": (0, 2**62, LIMIT // SECOND * SECOND),
    "before 1970": (6, 2**64 - 1_500_000, -1_500_000_000),
    "too early in seconds": (0, 2**63, -(LIMIT // SECOND) * SECOND),
}


@pytest.mark.parametrize(("tsresol", "ticks", "time_ns"), TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("big_endian", [False, True])
def test_resolutions(tsresol: int, ticks: int, time_ns: int, big_endian: bool) -> None:
    made = writer(Interface(tsresol=tsresol), big_endian=big_endian)
    order = ">" if big_endian else "<"
    made.block(6, struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, 4, 4) + b"data")
    (packet,), _ = read(made.pack())
    assert packet.time_ns == time_ns


@pytest.mark.parametrize(
    ("seconds", "offset_ns"),
    [(3600, 3600 * SECOND), (-3600, -3600 * SECOND), (2**62, LIMIT), (-(2**63), -LIMIT), (2**33, LIMIT)],
)
def test_offset_of_an_interface(seconds: int, offset_ns: int) -> None:
    made = writer(Interface(tsoffset=seconds))
    made.block(6, struct.pack("<IIIII", 0, 0, 5, 0, 0))
    (packet,), reader = read(made.pack())
    assert packet.time_ns == min(5 + offset_ns, LIMIT)
    assert reader.interfaces[0].offset_ns == offset_ns


@pytest.mark.parametrize("sign", [1, -1])
def test_a_time_and_an_offset_that_are_both_too_far_away(sign: int) -> None:
    made = writer(Interface(tsresol=0, tsoffset=sign * 2**62))
    made.block(6, struct.pack("<IiIII", 0, sign * 2**30, 0, 0, 0))
    (packet,), _ = read(made.pack())
    assert packet.time_ns == sign * LIMIT


def test_interface_without_options_has_microseconds_and_names_are_read() -> None:
    made = writer()
    made.block(1, struct.pack("<HHI", 1, 0, 99) + made.options((2, "größe".encode()), (9, b"bad length"), (14, b"bad")))
    made.block(1, struct.pack("<HHI", 1, 0, 0) + b"\x02\x00\xff\xffoption beyond the block")
    made.block(6, struct.pack("<IIIII", 0, 0, 5, 0, 0))
    (packet,), reader = read(made.pack())
    assert packet.time_ns == 5000
    assert [(i.name, i.snaplen) for i in reader.interfaces] == [("größe", 99), ("", 0)]


def test_simple_packets_take_the_time_of_the_frame_before() -> None:
    made = writer(Interface(snap_length=6), Interface(101))
    made.block(3, struct.pack("<I", 4) + b"abcd")
    made.packet(Record(9, b"x", interface=1), Interface())
    made.block(3, struct.pack("<I", 100) + b"abcdefgh")  # cut to the snap length of the first interface
    packets, reader = read(made.pack())
    assert packets == [Packet(1, 0, b"abcd", 4), Packet(2, 9, b"x", 1, 101, 1), Packet(3, 9, b"abcdef", 100)]
    assert (reader.untimed, reader.truncated_frames) == (2, 1)


def test_simple_packet_of_an_unlimited_interface_ends_with_its_block() -> None:
    made = writer(Interface())
    made.block(3, struct.pack("<I", 100) + b"abcdefgh")
    assert read(made.pack())[0] == [Packet(1, 0, b"abcdefgh", 100)]


@pytest.mark.parametrize("big_endian", [False, True])
def test_obsolete_packet_blocks(big_endian: bool) -> None:
    made = writer(Interface(), Interface(101), big_endian=big_endian)
    order = ">" if big_endian else "<"
    for drops in (0xFFFF, 3, 4):
        made.block(2, struct.pack(order + "HHIIII", 1, drops, 0, 77, 5, 9) + b"abcde")
    packets, reader = read(made.pack())
    assert packets == [Packet(n, 77, b"abcde", 9, 101, 1) for n in (1, 2, 3)]
    assert reader.dropped == 7


def test_drops_told_in_several_ways() -> None:
    made = writer(Interface(), Interface())
    count = struct.Struct("<Q").pack
    made.block(6, struct.pack("<IIIII", 1, 0, 0, 5, 5) + b"abcde\0\0\0" + made.options((2, b"flag"), (4, count(2))))
    assert read(made.pack())[1].dropped == 2
    made.block(5, struct.pack("<III", 0, 0, 0) + made.options((5, count(10)), (7, count(1))))
    assert read(made.pack())[1].dropped == 13
    made.block(5, struct.pack("<III", 0, 0, 0) + made.options((5, count(20))))  # a count since the start
    assert read(made.pack())[1].dropped == 22
    made.block(5, struct.pack("<III", 1, 0, 0) + made.options((5, count(2**64 - 1))))
    assert read(made.pack())[1].dropped >= 2**32 - 1


def test_blocks_without_a_packet_are_numbered_as_wireshark_does() -> None:
    made = writer(Interface())
    for kind in (9, 0xBAD, 0x40000BAD, 4, 10, 0x80000001):
        made.block(kind, struct.pack("<I", 32473) + b"whatever it is")
    made.packet(Record(9, b"abc"), Interface())
    packets, reader = read(made.pack(), (7,))
    assert [(p.number, p.link_type, p.data) for p in packets] == [
        (1, -1, b""),
        (2, -1, b""),
        (3, -1, b""),
        (4, 1, b"abc"),
    ]
    assert reader.frames == 4


@pytest.mark.parametrize("big_endian", [False, True])
def test_comments_are_counted(big_endian: bool) -> None:
    order = ">" if big_endian else "<"
    made = PcapngWriter(big_endian)
    comment = (1, b"seen by me")
    made.block(
        0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + made.options(comment, (4, b"app"), comment)
    )
    made.block(1, struct.pack(order + "HHI", 1, 0, 0) + made.options(comment, (9, b"\x09")))
    made.packet(Record(9, b"abc"), Interface())
    head = struct.pack(order + "IIIII", 0, 0, 0, 5, 5) + b"abcde\0\0\0"
    made.block(6, head + made.options(comment, comment, (2, bytes(4))))
    made.block(5, struct.pack(order + "III", 0, 0, 0) + made.options(comment))
    packets, reader = read(made.pack())
    assert [packet.data for packet in packets] == [b"abc", b"abcde"]
    assert (reader.comments, reader.damage) == (6, "")


def test_tls_secrets_are_kept_and_bounded() -> None:
    made = writer(Interface())
    made.secrets(b"CLIENT_RANDOM 01 02\n")
    made.block(10, struct.pack("<II", 0x57474B4C, 4) + b"WireGuard keys")  # another kind
    made.block(10, struct.pack("<II", 0x544C534B, 99) + b"claims too much")
    made.block(10, b"short")
    made.secrets(b"")
    made.secrets(b"x" * 700_000)
    made.secrets(b"y" * 700_000)  # more than is kept
    made.secrets(b"z" * 2_000_000)
    made.secrets(b"last")
    made.packet(Record(9, b"abc"), Interface())
    packets, reader = read(made.pack(), (100_000,))
    assert [packet.data for packet in packets] == [b"abc"]
    assert [len(secret) for secret in reader.secrets] == [20, 0, 700_000, 4]
    assert (reader.secrets[0], reader.damage) == (b"CLIENT_RANDOM 01 02\n", "")


def test_secrets_of_a_section_of_the_other_byte_order() -> None:
    assert read(pcapng([Record(9, b"abc")], big_endian=True, key_log=b"a key"))[1].secrets == [b"a key"]


FRAME = bytes(range(64))


@pytest.mark.parametrize(("told", "length"), [(32, 60), (4, 60), (16, 62), (0, 64)])
def test_frame_check_sequences_of_an_interface(told: int, length: int) -> None:
    made = writer()
    made.block(1, struct.pack("<HHI", 1, 0, 0) + made.options((13, bytes([told]))))
    made.packet(Record(9, FRAME), Interface())
    made.block(3, struct.pack("<I", 64) + FRAME)
    packets, reader = read(made.pack())
    assert [(packet.data, packet.wire_length) for packet in packets] == [(FRAME[:length], length)] * 2
    assert reader.interfaces[0].fcs_length == 64 - length


@pytest.mark.parametrize(("flags", "length"), [(4 << 5, 60), (2 << 5 | 1, 62), (1, 64)])
def test_frame_check_sequence_of_a_packet(flags: int, length: int) -> None:
    made = writer(Interface())
    head = struct.pack("<IIIII", 0, 0, 0, 64, 64) + FRAME
    made.block(6, head + made.options((1, b"comment"), (2, struct.pack("<I", flags))))
    made.packet(Record(9, FRAME), Interface())
    packets, _ = read(made.pack())
    assert [packet.data for packet in packets] == [FRAME[:length], FRAME]


def test_name_resolution_custom_and_unknown_blocks_are_stepped_over() -> None:
    made = writer(Interface())
    made.block(4, struct.pack("<HH", 1, 9) + b"\x7f\0\0\x01home\0\0\0\0" + bytes(4))
    for kind in (7, 8, 11, 0x204, 0x80000000, 0xFFFFFFFF):
        made.block(kind, b"of somebody else")
    made.packet(Record(9, b"abc"), Interface())
    assert read(made.pack(), (5,))[0] == [Packet(1, 9, b"abc", 3)]


def test_a_block_that_claims_two_gigabytes_ends_with_one_line() -> None:
    made = writer(Interface())
    made.packet(Record(9, b"abc"), Interface())
    offset = len(made.pack())
    for kind, text in ((6, "claims 2147483648 bytes"), (1, "claims 2147483648 bytes"), (0x4711, "")):
        _, reader = read(made.pack() + struct.pack("<II", kind, 1 << 31) + bytes(5000))
        assert reader.frames == 1
        assert reader.damage_offset == offset
        if text:
            assert reader.damage == f"block at byte {offset} {text}"
        else:
            assert reader.damage == f"cut inside a block at byte {offset} (5008 of 2147483648 bytes present)"


def test_huge_blocks_of_no_interest_are_not_kept() -> None:
    made = writer(Interface())
    made.block(0x4711, bytes(40_000_000))
    made.packet(Record(9, b"abc"), Interface())
    assert read(made.pack())[0] == [Packet(1, 9, b"abc", 3)]


def block(kind: int, length: int, body: bytes, closing: int | None = None) -> bytes:
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length if closing is None else closing)


PACKET_HEAD = struct.pack("<IIIII", 0, 0, 0, 4, 4)
DAMAGE = {
    "length 0": (block(6, 0, bytes(40)), "claims a length of 0"),
    "length below 12": (block(5, 8, bytes(40)), "claims a length of 8"),
    "length of no multiple of 4": (block(99, 21, bytes(40)), "claims a length of 21"),
    "packet block of absurd length": (block(6, 0xFFFFFFFC, b""), "claims 4294967292 bytes"),
    "other closing length": (block(6, 36, PACKET_HEAD + b"data", 32), "does not end with its length of 36"),
    "other closing length of no interest": (block(99, 16, b"data", 12), "does not end with its length of 16"),
    "packet block too short": (block(6, 28, bytes(16)), "is a packet block of only 28 bytes"),
    "simple packet block too short": (block(3, 12, b""), "is a packet block of only 12 bytes"),
    "packet beyond its block": (block(6, 36, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"data"), "claims a packet of 5"),
    "packet over the limit": (
        block(6, 300_032, struct.pack("<IIIII", 0, 0, 0, 300_000, 0) + bytes(300_000)),
        "claims a packet of 300000",
    ),
    "unknown interface": (block(6, 36, struct.pack("<IIIII", 1, 0, 0, 4, 4) + b"data"), "names the interface 1"),
    "unknown interface in statistics": (block(5, 24, struct.pack("<III", 7, 0, 0)), "names the interface 7"),
    "statistics too short": (block(5, 20, bytes(8)), "is an interface statistics block of only 20"),
    "interface too short": (block(1, 16, b"data"), "is an interface description of only 16 bytes"),
    "section without byte order": (block(0x0A0D0D0A, 28, bytes(16)), "is a section header without a byte-order magic"),
    "section of version 2": (
        block(0x0A0D0D0A, 28, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)),
        "is a section header of no known version",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damaged", "text"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("size", [131072, 11])
def test_damage_ends_the_reading(damaged: bytes, text: str, size: int) -> None:
    made = writer(Interface())
    made.packet(Record(9, b"abc"), Interface())
    offset = len(made.pack())
    packets, reader = read(made.pack() + damaged + bytes(64), (size,))
    assert packets == [Packet(1, 9, b"abc", 3)]
    assert reader.damage.startswith(f"block at byte {offset} {text}")
    assert reader.damage_offset == offset


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6])
def test_packets_need_a_section_and_an_interface(kind: int) -> None:
    made = writer()
    made.block(kind, bytes(32))
    packets, reader = read(made.pack())
    assert not packets or kind == 1
    assert bool(reader.damage) == (kind != 1)


def test_interfaces_are_bounded() -> None:
    made = writer()
    made.block(1, struct.pack("<HHI", 1, 0, 0))
    packets, reader = read(made.blocks[0] + made.blocks[1] * 70_000)
    assert not packets
    assert len(reader.interfaces) == 65536
    assert "more than 65536" in reader.damage
