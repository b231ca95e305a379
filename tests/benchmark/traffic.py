"""Makes large captures quickly: seeded, so that every run reads the same bytes.

Connections are those of ordinary hosts: handshake with options, requests and answers (HTTP, TLS 1.3 or plain bulk), an
acknowledgement for every second segment, now and then a loss that SACK blocks and a retransmission mend, sequence
numbers that wrap, and an ending by FIN or, rarely, RST. A flood is SYNs that nobody answers. The capture point is at
the client. All checksums are right.

    python -m tests.benchmark.traffic PROFILE FRAMES DIRECTORY
"""

from __future__ import annotations

import heapq
import itertools
import random
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

VERSION = 2  # part of the file names: a change of the traffic makes new files

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
MSS = 1448  # payload of a full segment beside the timestamp option
MILLISECOND = 1_000_000
LOSS = 1 / 1500  # of a server's segments
TIMEOUT = 250 * MILLISECOND
START_NS = 1_700_000_000 * 1_000_000_000

# Ethernet, IPv4 and TCP header; the options follow
HEADERS = struct.Struct("!14sHHHHBBHIIHHIIHHHH")
TIMESTAMPS = struct.Struct("!HHII")  # NOP, NOP, kind, length; TSval; TSecr
SACK = struct.Struct("!HHIIHHII")  # the same, and NOP, NOP, kind, length; left and right edge
OPENING = struct.Struct("!HHHHIIBBBB")  # MSS; SACK permitted, kind, length of timestamps; …; NOP, window scale
RECORD = struct.Struct("<IIII")

Step = tuple[int, bytes]  # nanoseconds since the connection's last frame, and the frame


@dataclass(frozen=True, slots=True)
class Profile:
    """What a capture holds. Rates are connections that begin in a second of the capture's time."""

    bulk: float  # long transfers
    web: float  # HTTP and TLS
    short: float  # one small question and answer
    flood: float = 0  # a SYN that nobody answers


PROFILES = {
    "bulk": Profile(bulk=6, web=0, short=0),
    "mixed": Profile(bulk=6, web=400, short=100),
    "short": Profile(bulk=0, web=0, short=5000),
    # So few at a time that connections can end and be forgotten within the capture: for measuring memory
    "steady": Profile(bulk=0, web=4, short=16),
    # For growth: so many that none is forgotten within the capture, and so few that nearly all are
    "crowd": Profile(bulk=0, web=0, short=20_000),
    "trickle": Profile(bulk=0, web=0, short=2),
    "flood": Profile(bulk=0, web=0, short=0, flood=100_000),
}


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes and the sum of their 16-bit words, for the checksum."""

    data: bytes
    total: int

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """Sum the bytes up once."""
        padded = data + b"\0" * (len(data) % 2)
        return cls(data, sum(struct.unpack(f"!{len(padded) // 2}H", padded)))


NOTHING = Payload(b"", 0)
FILLER = Payload.of((b"The quick brown fox jumps over the lazy dog. " * 40)[:MSS])
QUESTION, ANSWER = Payload.of(b"PING 0123456789 abcdef\r\n"), Payload.of(b"PONG 0123456789 abcdef\r\n" * 8)
GET = Payload.of(b"GET /a/page HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: traffic/1\r\nAccept: */*\r\n\r\n")


def tls_record(kind: int, length: int) -> bytes:
    """A record of this type with letters in it."""
    return struct.pack("!BHH", kind, 0x0303, length) + FILLER.data[:length]


def handshake_message(kind: int, body: bytes) -> bytes:
    """A handshake message in a record of its own."""
    return struct.pack("!BHHB", 22, 0x0303, len(body) + 4, kind) + len(body).to_bytes(3, "big") + body


def extensions(*pairs: tuple[int, bytes]) -> bytes:
    """TLS extensions with the length before them."""
    out = b"".join(struct.pack("!HH", kind, len(body)) + body for kind, body in pairs)
    return struct.pack("!H", len(out)) + out


def hellos() -> tuple[bytes, bytes]:
    """ClientHello and ServerHello of TLS 1.3 (RFC 8446 section 4.1), from fixed bytes."""
    key = struct.pack("!HH", 29, 32) + bytes(range(32))
    name = b"www.example.org"
    offered = extensions(
        (0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name),
        (10, struct.pack("!HH", 2, 29)),
        (13, struct.pack("!HHH", 4, 0x0403, 0x0804)),
        (16, b"\0\3\2h2"),
        (43, b"\2\3\4"),
        (51, struct.pack("!H", len(key)) + key),
    )
    chosen = extensions((43, b"\3\4"), (51, key))
    session = b"\x20" + bytes(range(64, 96))
    client = b"\3\3" + bytes(range(32)) + session + struct.pack("!HHH", 4, 0x1301, 0x1303) + b"\1\0" + offered
    server = b"\3\3" + bytes(range(32, 64)) + session + struct.pack("!HB", 0x1301, 0) + chosen
    return handshake_message(1, client), handshake_message(2, server)


CHANGE_CIPHER = b"\x14\3\3\0\1\1"
CLIENT_HELLO = Payload.of(hellos()[0])
SERVER_FLIGHT = Payload.of(hellos()[1] + CHANGE_CIPHER + tls_record(23, 900))
CLIENT_FINISHED = Payload.of(CHANGE_CIPHER + tls_record(23, 53) + tls_record(23, 120))
TLS_QUESTION = Payload.of(tls_record(23, 120))
CLOSE_NOTIFY = Payload.of(tls_record(23, 19))  # an alert as TLS 1.3 encrypts it
FULL_RECORD = Payload.of(tls_record(23, MSS - 5))


class Side:
    """One end: what stays the same in its headers, and its numbers."""

    def __init__(self, rng: random.Random, address: int, port: int, peer: int, peer_port: int, ethernet: bytes) -> None:
        self.address, self.port, self.peer, self.peer_port, self.ethernet = address, port, peer, peer_port, ethernet
        # One connection in fifty wraps early on.
        self.next = rng.randrange(1 << 32) if rng.random() > 0.02 else (1 << 32) - rng.randrange(1, 20_000)
        self.received = 0  # what it acknowledges
        self.identification = rng.randrange(1 << 16)
        self.clock_ms = rng.randrange(1 << 31)
        self.addresses = sum(divmod(address, 65536)) + sum(divmod(peer, 65536))
        self.last_stamp = 0

    def pack(self, flags: int, seq: int, options: bytes, option_sum: int, payload: Payload, window: int) -> bytes:
        """A frame. Checksums are sums modulo 65535, where 2**16 is 1: numbers of any size can be added as they are."""
        self.identification = (self.identification + 1) & 0xFFFF
        size = 20 + len(options) + len(payload.data)
        ip_sum = 0x4500 + size + 20 + self.identification + 0x4000 + 0x4006 + self.addresses
        words = (size - len(payload.data)) << 10 | flags
        acknowledged = self.received if flags & ACK else 0
        ports = self.port + self.peer_port
        total = self.addresses + 6 + size + ports + seq + acknowledged + words + window + option_sum + payload.total
        head = HEADERS.pack(
            self.ethernet,
            0x4500,
            size + 20,
            self.identification,
            0x4000,
            64,
            6,
            0xFFFF - (ip_sum % 0xFFFF or 0xFFFF),
            self.address,
            self.peer,
            self.port,
            self.peer_port,
            seq,
            acknowledged,
            words,
            window,
            0xFFFF - (total % 0xFFFF or 0xFFFF),
            0,
        )
        return head + options + payload.data


class Connection:
    """Two sides that hear each other at once; time passes between the steps that the plans below make of it."""

    def __init__(self, rng: random.Random, number: int, server_port: int) -> None:
        client, server = 0x0A000000 + (number // 28_000) % 65536 + 256, 0x0A800001 + number % 50
        port = 32768 + number % 28_000
        to_server, to_client = (
            bytes.fromhex("0200000000020200000000010800"),
            bytes.fromhex("0200000000010200000000020800"),
        )
        self.client = Side(rng, client, port, server, server_port, to_server)
        self.server = Side(rng, server, server_port, client, port, to_client)
        self.rng = rng
        self.rtt = rng.randrange(2, 60) * MILLISECOND
        self.now = 0

    def stamps(self, side: Side, other: Side) -> tuple[int, int]:
        """TSval and TSecr."""
        side.last_stamp = (side.clock_ms + self.now // MILLISECOND) & 0xFFFFFFFF
        return side.last_stamp, other.last_stamp

    def syn(self, side: Side, other: Side, flags: int, delay: int) -> Step:
        """A SYN or SYN-ACK."""
        self.now += delay
        value, echo = self.stamps(side, other)
        options = OPENING.pack(0x0204, 1460, 0x0402, 0x080A, value, echo, 1, 3, 3, 7)
        total = 0x0204 + 1460 + 0x0402 + 0x080A + value + echo + 0x0103 + 0x0307
        frame = side.pack(flags, side.next, options, total, NOTHING, 64240)
        side.next = other.received = (side.next + 1) & 0xFFFFFFFF
        return delay, frame

    def say(self, side: Side, flags: int, delay: int, payload: Payload = NOTHING, seq: int = -1) -> Step:
        """A segment; with ``seq`` one that is sent again."""
        self.now += delay
        other = self.server if side is self.client else self.client
        value, echo = self.stamps(side, other)
        options = TIMESTAMPS.pack(0x0101, 0x080A, value, echo)
        again = seq >= 0
        number = seq if again else side.next
        frame = side.pack(flags, number, options, 0x0101 + 0x080A + value + echo, payload, 501)
        if not again:
            side.next = (number + len(payload.data) + (flags & FIN)) & 0xFFFFFFFF
        return delay, frame

    def acknowledge(self, side: Side, delay: int, sack: tuple[int, int] | None = None) -> Step:
        """A bare acknowledgement of what the side has received."""
        if sack is None:
            return self.say(side, ACK, delay)
        self.now += delay
        value, echo = self.stamps(side, self.server if side is self.client else self.client)
        options = SACK.pack(0x0101, 0x080A, value, echo, 0x0101, 0x050A, *sack)
        total = 0x0101 + 0x080A + value + echo + 0x0101 + 0x050A + sum(sack)
        return delay, side.pack(ACK, side.next, options, total, NOTHING, 501)

    def open(self) -> Iterator[Step]:
        """The three segments of the handshake."""
        client, server = self.client, self.server
        yield self.syn(client, server, SYN, 0)
        yield self.syn(server, client, SYN | ACK, self.rtt)
        yield self.acknowledge(client, 50_000)

    def ask(self, payload: Payload) -> Iterator[Step]:
        """The client says something, and the server acknowledges it."""
        yield self.say(self.client, PSH | ACK, 300_000, payload)
        self.server.received = self.client.next
        yield self.acknowledge(self.server, self.rtt)

    def answer(self, payloads: Iterator[Payload], gap: int) -> Iterator[Step]:
        """The server's segments, of which one in 1,500 is lost on its way to the client."""
        client, server = self.client, self.server
        unacknowledged = 0
        for payload in payloads:
            if self.rng.random() < LOSS:
                yield from self.lose(payload, payloads, gap)
                unacknowledged = 0
                continue
            yield self.say(server, ACK, gap, payload)
            client.received = server.next
            unacknowledged += 1
            if unacknowledged == 2:
                yield self.acknowledge(client, 20_000)
                unacknowledged = 0
        if unacknowledged:
            yield self.acknowledge(client, 40 * MILLISECOND)

    def lose(self, payload: Payload, behind: Iterator[Payload], gap: int) -> Iterator[Step]:
        """A segment that never arrives, duplicate acknowledgements for those behind it, and its retransmission.

        Where nothing is sent behind it, the retransmission waits for the time-out.
        """
        client, server = self.client, self.server
        lost = server.next
        server.next = left = (lost + len(payload.data)) & 0xFFFFFFFF
        wait = TIMEOUT
        for following in itertools.islice(behind, self.rng.randrange(4, 12)):
            yield self.say(server, ACK, gap, following)
            yield self.acknowledge(client, 20_000, (left, server.next))
            wait = self.rtt
        yield self.say(server, ACK, wait, payload, seq=lost)
        client.received = server.next
        yield self.acknowledge(client, 20_000)

    def close(self) -> Iterator[Step]:
        """FIN from either side first, the other's at once or after its acknowledgement; one in fifty by RST."""
        chance = self.rng.random()
        first, second = (self.client, self.server) if chance < 0.7 else (self.server, self.client)
        if chance < 0.02:
            yield self.say(first, RST | ACK, MILLISECOND)
            return
        yield self.say(first, FIN | ACK, MILLISECOND)
        second.received = first.next
        if chance > 0.5:
            yield self.acknowledge(second, self.rtt)
        yield self.say(second, FIN | ACK, self.rtt)
        first.received = second.next
        yield self.acknowledge(first, 50_000)


def bulk(connection: Connection) -> Iterator[Step]:
    """A transfer of 3 to 18 megabytes."""
    yield from connection.open()
    yield from connection.ask(QUESTION)
    yield from connection.answer(itertools.repeat(FILLER, connection.rng.randrange(2_000, 12_000)), 100_000)
    yield from connection.close()


def http(connection: Connection) -> Iterator[Step]:
    """Some requests on one connection."""
    yield from connection.open()
    for _ in range(connection.rng.randrange(1, 5)):
        yield from connection.ask(GET)
        full = connection.rng.randrange(1, 40)
        header = Payload.of(f"HTTP/1.1 200 OK\r\nContent-Length: {full * MSS}\r\n\r\n".encode())
        yield from connection.answer(itertools.chain([header], itertools.repeat(FILLER, full)), 30_000)
    yield from connection.close()


def tls(connection: Connection) -> Iterator[Step]:
    """A TLS 1.3 handshake, and then records of one segment each."""
    yield from connection.open()
    yield from connection.ask(CLIENT_HELLO)
    yield from connection.answer(iter([SERVER_FLIGHT]), 30_000)
    question = CLIENT_FINISHED
    for _ in range(connection.rng.randrange(1, 5)):
        yield from connection.ask(question)
        question = TLS_QUESTION
        yield from connection.answer(itertools.repeat(FULL_RECORD, connection.rng.randrange(1, 40)), 30_000)
    yield from connection.ask(CLOSE_NOTIFY)
    yield from connection.answer(iter([CLOSE_NOTIFY]), 30_000)
    yield from connection.close()


def short(connection: Connection) -> Iterator[Step]:
    """One small question and answer."""
    yield from connection.open()
    yield from connection.ask(QUESTION)
    yield from connection.answer(iter([ANSWER]), 30_000)
    yield from connection.close()


def half(connection: Connection) -> Iterator[Step]:
    """The SYN of a flood."""
    yield connection.syn(connection.client, connection.server, SYN, 0)


def arrivals(rng: random.Random, profile: Profile) -> Iterator[tuple[int, Iterator[Step]]]:
    """When connections begin, in nanoseconds, and their frames; without end."""
    total = profile.bulk + profile.web + profile.short + profile.flood
    now = 0
    for number in itertools.count():
        now += int(rng.expovariate(total) * 1e9)
        kind = rng.random() * total
        if kind < profile.bulk:
            yield now, bulk(Connection(rng, number, 5001))
        elif kind < profile.bulk + profile.web:
            secure = rng.random() < 0.7
            yield now, tls(Connection(rng, number, 443)) if secure else http(Connection(rng, number, 80))
        elif kind < profile.bulk + profile.web + profile.short:
            yield now, short(Connection(rng, number, 7000))
        else:
            yield now, half(Connection(rng, number, 80))


def frames(profile: Profile, seed: int = 1) -> Iterator[Step]:
    """All connections' frames in the order of time, without end: nanoseconds since the start, and the frame."""
    rng = random.Random(seed)
    beginnings = arrivals(rng, profile)
    begins, steps = next(beginnings)
    order = itertools.count()  # of connections whose next frames have the same time
    live: list[tuple[int, int, bytes, Iterator[Step]]] = []
    while True:
        while not live or begins <= live[0][0]:
            heapq.heappush(live, (begins, next(order), next(steps)[1], steps))
            begins, steps = next(beginnings)
        now, number, frame, rest = live[0]
        yield now, frame
        following = next(rest, None)
        if following is None:
            heapq.heappop(live)
        else:
            heapq.heapreplace(live, (now + following[0], number, following[1], rest))


def write(file: BinaryIO, profile: Profile, count: int, seed: int = 1) -> None:
    """A pcap file of ``count`` frames."""
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    pack = RECORD.pack
    pieces: list[bytes] = []
    for now, frame in itertools.islice(frames(profile, seed), count):
        seconds, rest = divmod(START_NS + now, 1_000_000_000)
        size = len(frame)
        pieces += (pack(seconds, rest // 1000, size, size), frame)
        if len(pieces) > 2000:
            file.write(b"".join(pieces))
            pieces.clear()
    file.write(b"".join(pieces))


def capture(directory: Path, profile: str, count: int) -> Path:
    """The file of this traffic in ``directory``, made now unless it is there."""
    path = directory / f"{profile}-{count}-v{VERSION}.pcap"
    if not path.exists():
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            write(file, PROFILES[profile], count)
        partial.rename(path)
    return path


if __name__ == "__main__":
    began = time.perf_counter()
    made = capture(Path(sys.argv[3]), sys.argv[1], int(sys.argv[2]))
    print(f"{made} ({made.stat().st_size / 1e6:.0f} MB, {time.perf_counter() - began:.1f} s)")
