"""Target of the wire layer: frames of all link types, tunnels, fragments, ICMP errors and aggregates, as they are and damaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import Segment
from tests.fuzz.mutate import mutate
from tests.fuzz.target import Digest, sample_captures, scenario_captures
from tests.pcapwriter import Interface, Record, pcapng
from tests.test_wire_fuzz import SEEDS, check, damaged, place

SECOND = 1_000_000_000
MAX_FRAMES = 1500
STEPS = (1000, 1000, 1000, SECOND, 40 * SECOND, -SECOND)  # between two frames; fragments wait 30 s for the rest


@cache
def samples() -> list[bytes]:
    """The frames of the unit tests of the wire layer, in captures of 20 frames and all in one; and recorded captures."""
    seeds = [(link_type, data) for link_type, data in SEEDS if 0 <= link_type < 1 << 16]
    captures = [capture(seeds[at : at + 20]) for at in range(0, len(seeds), 20)] + [capture(seeds)]
    return [*captures, *captures, *sample_captures(), *scenario_captures()]


def capture(frames: Sequence[tuple[int, bytes]]) -> bytes:
    """A pcapng file with an interface for each link type."""
    link_types = sorted({link_type for link_type, _ in frames})
    made = [
        Record(n * SECOND, data, interface=link_types.index(link_type)) for n, (link_type, data) in enumerate(frames)
    ]
    return pcapng(made, [Interface(link_type) for link_type in link_types])


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Mostly the sample itself: its frames are damaged one by one when they are read, and the file would hide them."""
    return mutate(data, random, others) if random.random() < 0.15 else data


def run(data: bytes, random: Random) -> object:
    """Each frame of a capture, and some damaged ones, in two decoders that see different bytes around it."""
    reader, frame, digest = CaptureReader(), Frame(), Digest()
    verify = random.random() < 0.5
    both = [(Decoder(verify), Frame(), Segment()) for _ in range(2)]
    reader.feed(data)
    reader.finish()
    number, clock = 0, 0
    while number < MAX_FRAMES and reader.advance(frame):
        octets, link_type = frame.data[frame.start : frame.end], frame.link_type
        for _ in range(random.choice((1, 1, 2, 3))):
            wire_length = frame.wire_length
            if number and random.random() < 0.8:
                if random.random() < 0.15:
                    link_type, octets = random.choice(SEEDS)
                octets = damaged(octets, random)
                wire_length = random.choice((len(octets), len(octets) + random.randrange(3000), (1 << 32) - 1))
                if random.random() < 0.03:
                    link_type = random.choice((random.randrange(300), -1, 65535))
            number += 1
            clock += random.choice(STEPS)
            found = []
            for decoder, placed, segment in both:
                place(placed, octets, random)
                placed.wire_length, placed.link_type = wire_length, link_type
                placed.number, placed.time_ns, placed.interface = number, clock, frame.interface
                found.append(check(decoder, placed, segment))
            assert found[0] == found[1], "what lies around a frame changes what is decoded"
            digest.add(found[0])
    return str(digest)
