"""Target of TLS: talks whose bytes were changed, in segments of any size and order, into the stream, the tracker and the parsers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from tcpscope.state.stream import MAX_HELD, MAX_PIECES, ByteStream
from tcpscope.state.tls_faults import GRADE_NAMES, slug
from tcpscope.state.tls_log import MAX_ALERTS, MAX_CERTIFICATE_BYTES, MAX_EVENTS, MAX_FAULTS, TlsLog, event_name
from tcpscope.state.tls_outcome import VERDICT_NAMES
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.wire import tls_hello
from tcpscope.wire.fingerprint import ja3, ja4
from tcpscope.wire.segment import Segment
from tcpscope.wire.tls import YES, ssl2_hello_start
from tests import test_tls_choice, test_tls_order
from tests.fuzz.mutate import CHANGES, NUMBERS
from tests.fuzz.recorded import streams
from tests.fuzz.target import SAMPLE_CAPTURES, Digest
from tests.tls_builder import LAWFUL

WRITE = struct.Struct(">BI")
"""Side and length before the bytes of each write of a talk."""

Writes = list[tuple[int, bytes]]
MAX_TALK = 150_000  # bytes
MOST_PIECES = 2 * MAX_PIECES + 1  # a segment over all pieces that wait fills the holes between them
PREAMBLES = (b"220 ready\r\n", b"STARTTLS\r\n", b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"S", b"\0\0\0\x08\x04\xd2\x16\x2f")


class Slice(NamedTuple):
    """One segment: ``captured`` of its bytes are there."""

    side: int
    position: int
    acked: int
    octets: bytes
    captured: int


def pack(writes: Writes) -> bytes:
    """A talk as one sample."""
    return b"".join(WRITE.pack(side, len(octets)) + octets for side, octets in writes)


def unpack(data: bytes) -> Writes:
    """What :func:`pack` made; of anything else as much as there is."""
    writes, at = [], 0
    while at + WRITE.size <= len(data):
        side, size = WRITE.unpack_from(data, at)
        at += WRITE.size
        writes.append((side & 1, data[at : at + size]))
        at += size
    return writes


@cache
def samples() -> list[bytes]:
    """Lawful handshakes, those with a fault, and the recorded ones."""
    cases = [*test_tls_order.CASES, *test_tls_choice.CASES]
    talks = [make() for make in LAWFUL.values()] + [talk for case in cases for talk in (case.bad, case.good)]
    built = [pack([(side, octets) for side, _, _, octets in talk.writes]) for talk in talks]
    recorded = [pack(writes) for path in sorted(SAMPLE_CAPTURES.glob("*tls*.pcap*")) for writes in streams(path)]
    return [*dict.fromkeys(built), *recorded * 3]


# Mutants


def places(octets: bytes) -> list[int]:
    """Where records begin, and the messages inside those of the handshake."""
    found: list[int] = []
    at = 0
    while at + 5 <= len(octets) and len(found) < 2000:
        found.append(at)
        end = at + 5 + int.from_bytes(octets[at + 3 : at + 5], "big")
        inner = at + 5
        while octets[at] == 22 and inner + 4 <= min(end, len(octets)):
            found.append(inner)
            inner += 4 + int.from_bytes(octets[inner + 1 : inner + 4], "big")
        at = end
    return found


def field(octets: bytes, random: Random) -> bytes:
    """Another value in a header, in a length inside a message, or of one byte."""
    if not octets:
        return octets
    near = random.choice(places(octets) or [0]) + random.choice((0, 1, 2, 3, 4, 5, 38, 39, random.randrange(200)))
    at = min(near, len(octets) - 1)
    size = random.choice((1, 1, 2, 2, 3))
    old = int.from_bytes(octets[at : at + size], "big")
    new = random.choice((random.choice(NUMBERS), old + random.choice((-2, -1, 1, 2, 4)), random.randrange(256)))
    return octets[:at] + (new & ((1 << 8 * size) - 1)).to_bytes(size, "big") + octets[at + size :]


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Writes changed, repeated, left out, in another order, split, joined, or from another talk."""
    writes = unpack(data)
    for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
        index = random.randrange(len(writes)) if writes else 0
        side, octets = writes[index] if writes else (0, b"")
        here = slice(index, index + 1)
        match random.randrange(14):
            case 0 | 1 | 2 | 3:
                writes[here] = [(side, field(octets, random))]
            case 4 | 5:
                writes[here] = [(side, random.choice(CHANGES)(octets, random, places(octets)))]
            case 6:
                writes[here] = [(side, octets)] * random.choice((0, 2, 3))
            case 7:
                writes[here] = [(1 - side, octets)]
            case 8:
                other = unpack(random.choice(others))
                writes[index:index] = other[random.randrange(len(other) + 1) :][: random.choice((1, 2, 20))]
            case 9:
                random.shuffle(writes)
            case 10:
                at = random.choice(places(octets) or [0])
                writes[here] = [(side, octets[:at]), (side, octets[at:])]
            case 11:
                writes[0:0] = [(random.randrange(2), random.choice(PREAMBLES)) for _ in range(random.randrange(3))]
            case 12:
                found = places(octets) or [0]
                parts = [octets[a:b] for a, b in zip(found, [*found[1:], len(octets)], strict=True)]
                random.shuffle(parts)
                writes[here] = [(side, b"".join(parts))]
            case _:
                noise = random.choice((random.randbytes(40), b"\x17\x03\x03\x00\x00" * 50, bytes(6)))
                writes[index:index] = [(random.randrange(2), noise)]
    return pack(writes)[:MAX_TALK]


# Runs


def slices(writes: Writes, random: Random) -> list[Slice]:
    """The talk in segments: cut anywhere, some lost, repeated, late, longer than what was captured, or out of this world."""
    step = random.choice((0, 1, 5, 100, 536, 1448, 9000))
    loss, twice, cut, wild = (random.choice((0, 0, 0, rate)) for rate in (0.1, 0.2, 0.1, 0.03))
    known = random.random() < 0.8
    length, found = [0, 0], list[Slice]()
    for side, octets in writes:
        at = 0
        while at < len(octets) and len(found) < 4000:
            size = random.randrange(1, step * 2) if step else len(octets)
            part = octets[at : at + size]
            acked = length[1 - side] if known else random.choice((-1, length[1 - side], random.randrange(100_000)))
            position, captured = length[side] + at, len(part)
            if random.random() < cut:
                captured = random.randrange(len(part) + 1)
            if random.random() < wild:
                position += random.choice((-1, 1, -1000, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 40))
            for _ in range((random.random() >= loss) + (random.random() < twice)):
                found.append(Slice(side, position, acked, part, captured))
            if random.random() < twice:
                back = random.randrange(3000)
                found.append(Slice(side, position - back, acked, octets[max(0, at - back) : at + size], captured))
            at += size
        length[side] += len(octets)
    for _ in range(random.choice((0, 0, 1, 10, len(found)))):
        index = random.randrange(max(1, len(found)))
        moved = found[index : index + 1]
        del found[index : index + 1]
        at = min(index + random.choice((1, 2, 5, 70)), len(found))
        found[at:at] = moved
    return [part._replace(captured=min(part.captured, len(part.octets))) for part in found]


def segment_of(part: Slice, frame: int) -> Segment:
    """The segment between foreign bytes, as in a reader's chunk."""
    seg = Segment()
    seg.frame, seg.time_ns = frame, frame * 1_000_000
    seg.data = b"\x16\x03\x01" + part.octets[: part.captured] + b"\x16\x03\x01\x00\x05\x01"
    seg.payload, seg.length, seg.captured = 3, len(part.octets), part.captured
    return seg


def check_stream(parts: Sequence[Slice], random: Random) -> None:
    """One direction by the assembler alone: its slices go forward, and each byte is one that was offered for its place."""
    stream, offered = ByteStream(random.choice((500, MAX_HELD))), dict[int, set[int]]()
    last = 0
    for part in parts:
        for at, octet in enumerate(part.octets[: part.captured], part.position):
            offered.setdefault(at, set()).add(octet)
        ready = stream.offer(b"!" + part.octets, 1, part.captured, len(part.octets), part.position, part.acked)
        for final in (False, True):
            while ready:
                assert stream.position >= last, "a slice begins before the end of the one before"
                assert 0 <= stream.start <= stream.end <= len(stream.data)
                for at, octet in enumerate(stream.data[stream.start : stream.end], stream.position):
                    assert octet in offered.get(at, ()), "a byte that nobody sent there"
                last = stream.position + stream.end - stream.start
                assert last <= stream.next
                ready = stream.more()
            assert stream.data == b""
            assert 0 <= stream.count <= MOST_PIECES
            assert 0 <= stream.held <= stream.limit
            if final or random.random() < 0.97:
                break
            ready = stream.gap(stream.next + random.choice((0, 1, 100, 3000)))
    ready = stream.drain()
    while ready:
        ready = stream.more()
    assert (stream.count, stream.held) == (0, 0)


def check_log(log: TlsLog) -> list[object]:
    """What holds of any log; returns what it says."""
    assert len(log.events) <= min(MAX_EVENTS, log.event_count)
    assert len(log.alerts) <= min(MAX_ALERTS, log.alert_count)
    assert len(log.faults) <= MAX_FAULTS
    bodies = [kept.body for kept in log.certificates + log.statuses]
    assert sum(map(len, bodies)) == log.kept <= MAX_CERTIFICATE_BYTES
    found: list[object] = [log.client_side, log.ticket_lifetime, *bodies]
    for event in log.events:
        assert event.first_frame > 0
        assert event.frame > 0
        assert event.start <= event.end
        assert event.size >= 0
        found.append((event_name(event.code), event.side, event.frame, event.start, event.end, event.ack, event.size))
    for fault in log.faults:
        assert fault.count > 0
        assert fault.side in (-1, 0, 1)
        found.append((slug(fault.code), GRADE_NAMES[fault.grade], fault.side, fault.frame, fault.detail, fault.extra))
    found += [(alert.side, alert.frame, alert.level, alert.description) for alert in log.alerts]
    return found


def check_hello(octets: bytes) -> list[object]:
    """The parsers on any bytes: never beyond the end, and what they give can be named."""
    found: list[object] = []
    for cut in (False, True):
        client = tls_hello.parse_client_hello(b"\xff" + octets + b"\xff" * 8, 1, 1 + len(octets), cut)
        assert client.random in octets
        assert client.ciphers in octets
        found += [client.defect, ja3(client), ja4(client), client.server_name]
        server = tls_hello.parse_server_hello(b"\xff" + octets + b"\xff" * 8, 1, 1 + len(octets), cut)
        assert server.random in octets
        found += [server.defect, server.version, server.selected, server.cipher]
    draft = tls_hello.parse_draft_retry(octets, 0, len(octets))
    found += [draft.version, draft.defect, ssl2_hello_start(octets, 0, len(octets))]
    if found[-1] == YES:
        old = tls_hello.parse_ssl2_hello(octets, 0, len(octets))
        found += [old.ciphers, old.version, old.random]
    found += [tls_hello.u16_list(octets), tls_hello.alpn_list(octets), tls_hello.server_name(octets)]
    return [*found, tls_hello.share_groups(octets), tls_hello.vector8(octets), tls_hello.vector16(octets)]


def run(data: bytes, random: Random) -> object:
    """A talk through the stream, the tracker, and its messages through the parsers."""
    writes, digest = unpack(data), Digest()
    parts = slices(writes, random)
    if random.random() < 0.3 and sum(len(part.octets) for part in parts) < 20_000:
        for side in (0, 1):
            check_stream([part for part in parts if part.side == side], random)
    tls = TlsConnection()
    tls.missing_start0, tls.missing_start1 = random.random() < 0.1, random.random() < 0.1
    gaps, longest = random.choice((0, 0, 0.02)), max((len(part.octets) for part in parts), default=0)
    for frame, part in enumerate(parts, 1):
        if tls.off:
            break
        if part.octets:
            tls.segment(part.side, segment_of(part, frame), part.position, part.acked)
        if random.random() < gaps:
            tls.gap(random.randrange(2), max(0, part.position) + random.randrange(3000))
        for sniffer in (tls.sniffer0, tls.sniffer1):
            assert sniffer is None or (sniffer.stream.count <= MOST_PIECES and len(sniffer.pending) <= longest + 600)
    if random.random() < 0.3:
        tls.acked0, tls.acked1 = random.randrange(50_000), random.randrange(50_000)
    if random.random() < 0.7:
        tls.closed(random.randrange(2), random.random() < 0.3)
    tls.finish(*(random.random() < 0.5 for _ in range(4)))
    assert tls.recognised == (tls.log is not None) == (tls.outcome is not None)
    if tls.log is not None and tls.outcome is not None:
        digest.add(check_log(tls.log), VERDICT_NAMES[tls.outcome.verdict], tls.client_side)
        for hello in (tls.log.client_hello, tls.log.second_hello):
            digest.add(None if hello is None else (ja3(hello), ja4(hello), hello.server_name, hello.defect))
    _, octets = random.choice(writes or [(0, b"")])
    at = random.choice(places(octets) or [0]) + random.choice((0, 4, 5, 9))
    digest.add(check_hello(octets[at : at + random.choice((50, 300, 2000))]))
    return str(digest), tls.looks0, tls.looks1
