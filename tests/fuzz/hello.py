"""Targets of the hellos and of the record walker alone: without the stream before them, a case costs little and reaches deep.

``hello``: bodies of ClientHello and ServerHello whose lengths and lists were changed, into the parsers. ``records``: the bytes of one
direction into the walker in two ways of cutting, which must tell the same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from random import Random

from tcpscope.state.tls_log import TlsLog
from tcpscope.state.tls_side import TlsSide
from tcpscope.wire.tls_exchange import parse_server_keys
from tests.fuzz import tls
from tests.fuzz.mutate import CHANGES, NUMBERS

MAX_HELLO = 20_000  # bytes
MAX_RECORDS = 60_000
EXCHANGES = ("ECDHE_RSA", "DHE_RSA", "ECDHE_PSK", "DHE_PSK", "DH_anon", "RSA", "")


@cache
def hello_samples() -> list[bytes]:
    """Bodies of the handshake messages in clear that stand whole in one write."""
    found = []
    for sample in tls.samples():
        for _, octets in tls.unpack(sample):
            for at in tls.places(octets):
                if octets[at : at + 1] in (b"\1", b"\2", b"\x0c"):
                    size = int.from_bytes(octets[at + 1 : at + 4], "big")
                    found.append(octets[at + 4 : at + 4 + size])
    return [*dict.fromkeys(body for body in found if 4 < len(body) <= MAX_HELLO)]


def make_hello(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Other lengths, mostly: one or two bytes, near those that fit; now and then parts of another hello."""
    for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
        at = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0 | 1 | 2:
                size = random.choice((1, 2, 2, 3))
                old = int.from_bytes(data[at : at + size], "big")
                new = random.choice((random.choice(NUMBERS), old + random.choice((-2, -1, 1, 2, 4)), len(data) - at))
                data = data[:at] + (new & ((1 << 8 * size) - 1)).to_bytes(size, "big") + data[at + size :]
            case 3:
                data = random.choice(CHANGES)(data, random, [])
            case 4:
                other = random.choice(others)
                data = data[:at] + other[random.randrange(len(other) + 1) :]
            case _:
                kind, size = random.choice((0, 10, 11, 13, 16, 35, 41, 43, 44, 51, 0x0A0A)), random.choice((0, 1, 2, 9))
                data = data[:at] + struct.pack(">HH", kind, size) * random.choice((1, 300)) + data[at:]
        data = data[:MAX_HELLO]
    return data


def run_hello(data: bytes, random: Random) -> object:
    """The parsers of all hellos, and that of the key exchange, on the same bytes."""
    found = tls.check_hello(data)
    for exchange in EXCHANGES:
        keys = parse_server_keys(b"\xff" + data + b"\xff" * 8, 1, 1 + len(data), exchange, random.random() < 0.5)
        assert keys.prime_bits <= 8 * len(data)
        found += [keys.group, keys.prime_bits, keys.scheme]
    return found


@cache
def record_samples() -> list[bytes]:
    """All that one side sends, as a talk of one write."""
    found = []
    for sample in tls.samples():
        writes = tls.unpack(sample)
        for side in (0, 1):
            whole = b"".join(octets for one, octets in writes if one == side)[:MAX_RECORDS]
            found.append(tls.pack([(side, whole)]))
    return [*dict.fromkeys(found)]


def walked(octets: bytes, side: int, random: Random, step: int, gaps: float) -> list[object]:
    """What the walker tells of a direction that comes in pieces of about ``step`` bytes (0: in one), of which some are lost."""
    log = TlsLog()
    one = TlsSide(side, log, 0, clean=True)
    at, frame = 0, 0
    while at < len(octets):
        size = random.randrange(1, 2 * step) if step else len(octets)
        part = octets[at : at + size]
        frame += 1
        if random.random() >= gaps:
            one.consume(b"\x16\x03" + part + b"\x17\x03\x03", 2, 2 + len(part), at, frame, frame * 1000, 0)
            assert one.at == at + len(part)
            assert one.state != 0 or 0 <= one.left <= 0xFFFF + 2
        at += len(part)
    found = tls.check_log(log)
    events = [(event.code, event.start, event.end, event.size, event.detail) for event in log.events]
    faults = [(fault.code, fault.detail, fault.extra, fault.count) for fault in log.faults]
    return [events, faults, one.state, one.records, log.alert_count] if step == 0 or not gaps else found


def run_records(data: bytes, random: Random) -> object:
    """However a direction is cut into segments, the walker tells the same; with pieces lost it tells something."""
    told = []
    for side, octets in tls.unpack(data)[:2]:
        whole = walked(octets, side, random, 0, 0)
        assert walked(octets, side, random, random.choice((1, 2, 7, 100, 1448)), 0) == whole, (
            "cut otherwise, told otherwise"
        )
        told.append((whole, walked(octets, side, random, random.choice((3, 100, 1448)), 0.1)))
    return told
