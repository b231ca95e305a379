"""Frames of every kind, damaged in every way: what is decoded lies within what was captured, and nothing grows.

The target ``decoder`` of ``python -m tests.fuzz`` damages frames and checks them in the same way.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tcpscope.capture.frame import Frame
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.fragments import MAX_DATAGRAMS, MAX_HELD
from tcpscope.wire.segment import ABSENT, Segment
from tcpscope.wire.skips import ICMP_ERROR, SKIP_NAMES
from tests.test_wire_fragments import SEGMENT, cut
from tests.test_wire_icmp import ERRORS
from tests.test_wire_ip import DECODED
from tests.test_wire_link import LAYERS
from tests.test_wire_link import SKIPPED as LINKS_SKIPPED
from tests.test_wire_tunnel import NEAR_MISSES, TUNNELS
from tests.test_wire_wlan import AGGREGATES, FRAMES, subframe, wlan

RAW, WLAN = 101, 105
SEEDS: list[tuple[int, bytes]] = [
    *LAYERS.values(),
    *FRAMES.values(),
    *((link_type, data) for link_type, data, _ in LINKS_SKIPPED.values()),
    *((link_type, data) for _, link_type, data in TUNNELS.values()),
    *((RAW, data) for data, _ in NEAR_MISSES.values()),
    *((RAW, data) for data in DECODED.values()),
    *((RAW, made[0]) for made in ERRORS.values()),
    *((RAW, part) for version in (4, 6) for part in cut(SEGMENT[version], 8, 16, 512, version=version)),
    *((WLAN, wlan(b"".join(map(subframe, bodies)), 0x88, extra=b"\x80\x00")) for bodies, _ in AGGREGATES.values()),
]
WORDS = [
    b"\0\0",
    b"\0\1",
    b"\xff\xff",
    b"\x08\0",
    b"\x86\xdd",
    b"\x81\0",
    b"\x88\x47",
    b"\x88\x64",
    b"\x65\x58",
    b"\x12\xb5",
]
NOISE = b"\x45" * 60


def damaged(data: bytes, random: Random) -> bytes:
    """``data`` with octets changed, cut off, left out, repeated, or taken from another frame."""
    out = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        at = random.randrange(len(out) + 1)
        to = at + random.randrange(1, 40)
        match random.randrange(8):
            case 0 | 1 | 2:
                out[at : at + 1] = random.randbytes(1)
            case 3:
                out[at : at + 2] = random.choice(WORDS)
            case 4:
                del out[at:]
            case 5:
                del out[at:to]
            case 6:
                out[at:at] = out[at:to] * random.choice((1, 2, 30))
            case _:
                out[at:] = random.choice(SEEDS)[1][random.randrange(60) :]
    return bytes(out[:70_000])


def check(decoder: Decoder, frame: Frame, segment: Segment) -> list[tuple[object, ...]]:
    """Decode one frame and hold what comes out against what must be; returns it."""
    code = decoder.decode(frame, segment)
    assert SKIP_NAMES[code]
    found: list[tuple[object, ...]] = [(code,)]
    counts = code == 0
    while counts:
        end = segment.payload + segment.captured
        assert 0 <= segment.captured <= segment.length < 1 << 20
        assert segment.payload >= 0
        if segment.captured:
            assert end <= len(segment.data)
            if segment.data is frame.data:
                assert frame.start < segment.payload < end <= frame.end
        assert len(segment.key) == (12 if segment.ip_version == 4 else 36)
        assert (segment.frame, segment.time_ns, segment.interface) == (frame.number, frame.time_ns, frame.interface)
        path = decoder.encapsulation_name(segment.encapsulation)
        found.append(
            (segment.key, segment.seq, segment.flags, segment.length, segment.captured, segment.checksum, path)
        )
        counts = decoder.more(frame, segment)
        assert len(found) < 2000
    if code == ICMP_ERROR:
        error = decoder.icmp
        assert len(error.key) == (12 if error.ip_version == 4 else 36)
        assert len(error.reporter) == (4 if error.ip_version == 4 else 16)
        assert ABSENT <= error.mtu < 1 << 32
        found.append((error.type, error.code, error.mtu, error.key, error.seq))
    waiting = decoder.reassembler
    assert 0 <= waiting.held <= MAX_HELD
    assert len(waiting.waiting) <= MAX_DATAGRAMS
    return found


def place(frame: Frame, data: bytes, random: Random) -> None:
    """Put ``data`` somewhere in a chunk."""
    frame.start = random.choice((0, 7, 60))
    frame.data = NOISE[: frame.start] + data + NOISE[: random.choice((0, 60))]
    frame.end = frame.start + len(data)
    frame.wire_length = random.choice((len(data), len(data) + random.randrange(3000), (1 << 32) - 1))


@settings(max_examples=400)
@given(seed=st.integers(0, 1 << 40))
def test_any_frames_one_after_another(seed: int) -> None:
    random, frame, segment = Random(seed), Frame(), Segment()
    decoder = Decoder(random.random() < 0.5)
    for number in range(1, 40):
        frame.link_type, data = random.choice(SEEDS)
        if random.random() < 0.05:
            frame.link_type = random.randrange(300)
        place(frame, damaged(data, random), random)
        frame.number, frame.interface = number, random.randrange(3)
        frame.time_ns += random.choice((1000, 10**9, 40 * 10**9, -(10**9)))
        check(decoder, frame, segment)


def test_what_a_frame_gives_does_not_depend_on_what_lies_around_it() -> None:
    frame, segment = Frame(), Segment()
    for link_type, data in SEEDS:
        frame.link_type = link_type
        results = []
        for before, behind in ((b"", b""), (NOISE, NOISE), (b"\xff" * 9, b"\0" * 99)):
            frame.data, frame.start = before + data + behind, len(before)
            frame.end, frame.wire_length = len(before) + len(data), len(data)
            results.append(check(Decoder(True), frame, segment))
        assert results[0] == results[1] == results[2]
