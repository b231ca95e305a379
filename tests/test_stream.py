"""The in-order byte stream: whatever order and overlap the segments come in, the bytes come out once, in order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tcpscope.state.stream import MAX_HELD, MAX_PIECES, ByteStream

TEXT = bytes(random.Random(5).randrange(256) for _ in range(400))


class Reader:
    """Feeds a stream and keeps what it delivers, by position."""

    def __init__(self, limit: int = MAX_HELD) -> None:
        self.stream = ByteStream(limit)
        self.slices: list[tuple[int, bytes, int]] = []

    def offer(self, position: int, octets: bytes, *, length: int | None = None, ack: int = -1) -> None:
        ready = self.stream.offer(b"xx" + octets + b"y", 2, len(octets), length or len(octets), position, ack)
        self.take(ready)

    def take(self, ready: bool) -> None:
        stream = self.stream
        while ready:
            self.slices.append((stream.position, stream.data[stream.start : stream.end], stream.ack))
            ready = stream.more()

    @property
    def octets(self) -> bytes:
        return b"".join(octets for _, octets, _ in self.slices)


def test_in_order_segments_are_handed_on_without_a_copy() -> None:
    stream = ByteStream(MAX_HELD)
    chunk = b"--" + TEXT
    assert stream.offer(chunk, 2, 100, 100, 0, 7)
    assert stream.data is chunk
    assert (stream.start, stream.end, stream.position, stream.ack) == (2, 102, 0, 7)
    assert not stream.more()
    assert stream.data == b"", "the reader's chunk is let go"


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_any_order_and_overlap_gives_the_stream_once(rng: random.Random, size: int) -> None:
    pieces = [(o, TEXT[o : o + size + rng.randrange(20)]) for o in range(0, len(TEXT), size)]
    pieces += [rng.choice(pieces) for _ in range(10)]
    rng.shuffle(pieces)
    reader = Reader()
    for position, octets in pieces[:MAX_PIECES]:
        reader.offer(position, octets)
    for position, octets in sorted(pieces):
        reader.offer(position, octets)
    assert reader.octets == TEXT
    assert reader.stream.next == len(TEXT)
    assert reader.stream.held == 0
    ends = [position + len(octets) for position, octets, _ in reader.slices]
    assert [position for position, _, _ in reader.slices] == [0, *ends[:-1]], "no slice leaves a hole"


def test_the_first_copy_of_a_byte_wins() -> None:
    reader = Reader()
    reader.offer(2, b"cd")
    reader.offer(1, b"BCDE")
    reader.offer(0, b"a")
    assert reader.octets == b"aBcdE"


def test_what_is_behind_is_dropped_and_an_overlap_is_trimmed() -> None:
    reader = Reader()
    reader.offer(0, b"abcd")
    reader.offer(-2, b"zzAB")
    reader.offer(2, b"CDef")
    assert reader.octets == b"abcdef"


def test_each_slice_has_the_acknowledgement_of_its_own_segment() -> None:
    reader = Reader()
    reader.offer(1, b"b", ack=20)
    reader.offer(0, b"a", ack=10)
    assert reader.slices == [(0, b"a", 10), (1, b"b", 20)]


def test_a_gap_shows_as_a_jump_and_keeps_what_lies_inside_it() -> None:
    reader = Reader()
    reader.offer(0, b"ab")
    reader.offer(4, b"ef")
    reader.offer(10, b"kl")
    reader.take(reader.stream.gap(8))
    assert [position for position, _, _ in reader.slices] == [0, 4]
    assert reader.stream.next == 8
    reader.offer(8, b"ij")
    assert [position for position, _, _ in reader.slices] == [0, 4, 8, 10]


def test_a_gap_that_is_announced_first_lets_the_next_bytes_through() -> None:
    reader = Reader()
    reader.take(reader.stream.gap(100))
    reader.offer(100, b"abc")
    assert reader.slices == [(100, b"abc", -1)]
    reader.take(reader.stream.gap(50))
    assert reader.stream.next == 103


def test_bytes_that_the_snap_length_cut_are_a_gap() -> None:
    reader = Reader()
    reader.offer(0, b"ab", length=10)
    reader.offer(10, b"kl")
    assert reader.slices == [(0, b"ab", -1), (10, b"kl", -1)]
    reader.offer(20, b"uv", length=5)
    reader.offer(25, b"z")
    reader.offer(12, b"mnopqrst")
    assert [position for position, _, _ in reader.slices] == [0, 10, 12, 20, 25]


def test_an_overlap_of_which_only_old_bytes_were_captured_takes_the_stream_not_back() -> None:
    reader = Reader()
    reader.offer(0, TEXT[:100])
    reader.offer(50, TEXT[50:70], length=100)
    assert reader.slices[1:] == [(100, b"", -1)]
    reader.offer(200, TEXT[200:300])
    reader.offer(190, TEXT[190:195], length=150)
    reader.offer(150, TEXT[150:200])
    assert [position for position, _, _ in reader.slices[2:]] == [150, 200, 300]
    assert reader.stream.next == 340


def test_too_much_behind_a_hole_gives_the_hole_up() -> None:
    reader = Reader(limit=1000)
    for o in range(10, 2000, 100):
        reader.offer(o, bytes(100))
        assert reader.stream.held <= 1100
    assert reader.stream.overflows == 1
    assert reader.stream.next == 2010
    assert reader.slices[0][0] == 10


def test_a_large_piece_behind_many_small_ones_gives_up_as_many_holes_as_it_needs() -> None:
    """Found by the fuzz target "tls": each large segment set but one small piece free."""
    reader = Reader(limit=1000)
    for o in range(10, 400, 20):
        reader.offer(o, b"x")
    for o in range(1000, 9000, 450):
        reader.offer(o, bytes(400))
        assert reader.stream.held <= 1000
    positions = [position for position, _, _ in reader.slices]
    assert positions == sorted(positions)
    reader.take(reader.stream.drain())
    assert len(reader.octets) == 20 + 400 * 18, "what was captured is delivered, and nothing twice"


def test_what_fills_the_first_hole_gives_no_other_up() -> None:
    reader = Reader(limit=1000)
    for o in range(100, 1000, 100):
        reader.offer(o, bytes(95))
    reader.offer(0, bytes(100))
    reader.offer(1100, bytes(95))
    assert reader.stream.next == 195
    reader.offer(50, bytes(200))
    assert reader.stream.next == 295


def test_too_many_pieces_give_the_hole_up() -> None:
    reader = Reader()
    for n in range(1000):
        reader.offer(1 + 2 * n, b"x")
        assert reader.stream.count <= MAX_PIECES
    assert reader.stream.next > 1800


def test_a_piece_over_many_holes_fills_only_them() -> None:
    reader = Reader()
    for o in range(2, 120, 2):
        reader.offer(o, b"o")
    reader.offer(1, b"." * 130)
    reader.offer(0, b"a")
    assert reader.octets == b"a" + b".o" * 59 + b"." * 12


def test_at_the_end_the_rest_is_delivered() -> None:
    reader = Reader()
    reader.offer(5, b"f")
    reader.offer(9, b"j")
    reader.take(reader.stream.drain())
    assert reader.slices == [(5, b"f", -1), (9, b"j", -1)]
    reader.take(reader.stream.drain())
    assert len(reader.slices) == 2
