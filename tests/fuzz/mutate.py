"""What happens to a sample: bytes flipped, cut, put in; records and blocks repeated; lengths set to what no length may be."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

NUMBERS = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0xFFFF, 0x10000, 262144, 262145, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)
MAX_SIZE = 2_000_000
"""Bytes beyond which no sample grows."""


def mutate(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """A mutant of ``data``: up to six changes, of which the first ones are the likeliest. ``others`` lend it parts."""
    places, most = records(data) if random.random() < 0.7 else [], max(MAX_SIZE, len(data))
    for _ in range(min(random.choice((1, 1, 1, 2, 2, 3, 4, 6)), 6)):
        change = random.choice(CHANGES)
        data = change(data, random, places)
        if others and random.random() < 0.03:
            data = splice(data, random.choice(others), random)
        data = data[:most]
    return data


def records(data: bytes) -> list[int]:
    """Where the records of a capture begin, or the blocks; as far as its lengths lead, and at most 5,000."""
    found: list[int] = []
    at = 0
    magic = data[:4]
    big = magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xcd\x34")
    while at + 28 <= len(data) and len(found) < 5000:
        found.append(at)
        if magic == b"\n\r\r\n":
            order = ">" if data[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
            step = struct.unpack_from(order + "I", data, at + 4)[0]
        elif magic == b"snoo":
            step = struct.unpack_from(">I", data, at + 8)[0] if at else 16
        else:
            step = 16 + struct.unpack_from((">" if big else "<") + "I", data, at + 8)[0] if at else 24
        if step <= 0:
            break
        at += step
    return found


def place(data: bytes, random: Random, places: list[int]) -> int:
    """Somewhere in the data, mostly in the first fields of a record."""
    if places and random.random() < 0.8:
        return min(
            random.choice(places) + random.choice((0, 4, 8, 8, 12, 12, 16, 20, 24, random.randrange(100))), len(data)
        )
    return random.randrange(len(data) + 1)


def flip(data: bytes, random: Random, places: list[int]) -> bytes:
    """One bit."""
    at = place(data, random, places)
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :] if at < len(data) else data


def number(data: bytes, random: Random, places: list[int]) -> bytes:
    """A number of two or four bytes."""
    at = place(data, random, places)
    value, form = random.choice(NUMBERS), random.choice(("<I", ">I", "<I", ">I", "<H", ">H"))
    new = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return data[:at] + new + data[at + len(new) :]


def add(data: bytes, random: Random, places: list[int]) -> bytes:
    """A little more or less in a number of four bytes."""
    at = place(data, random, places)
    if at + 4 > len(data):
        return data
    form = random.choice(("<I", ">I"))
    (value,) = struct.unpack_from(form, data, at)
    return data[:at] + struct.pack(form, (value + random.randrange(-20, 21)) & 0xFFFFFFFF) + data[at + 4 :]


def overwrite(data: bytes, random: Random, places: list[int]) -> bytes:
    """A stretch of other bytes."""
    at = place(data, random, places)
    size = random.choice((1, 2, 4, 16, 40, 300))
    new = random.choice((random.randbytes(size), bytes(size), b"\xff" * size))
    return data[:at] + new + data[at + size :]


def insert(data: bytes, random: Random, places: list[int]) -> bytes:
    """Bytes too many."""
    at = place(data, random, places)
    return data[:at] + random.randbytes(random.choice((1, 2, 3, 4, 17, 1000))) + data[at:]


def delete(data: bytes, random: Random, places: list[int]) -> bytes:
    """Bytes that are missing."""
    at = place(data, random, places)
    return data[:at] + data[at + random.choice((1, 2, 3, 4, 16, 100, 5000)) :]


def cut(data: bytes, random: Random, places: list[int]) -> bytes:
    """Nothing behind a place."""
    return data[: place(data, random, places)]


def repeat(data: bytes, random: Random, places: list[int]) -> bytes:
    """A record, or a stretch, several times."""
    if len(places) > 1 and random.random() < 0.8:
        index = random.randrange(len(places) - 1)
        start, end = places[index], places[min(index + random.choice((1, 1, 2, 5)), len(places) - 1)]
    else:
        start = random.randrange(len(data) + 1)
        end = min(start + random.randrange(2000), len(data))
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 10, 300)) + data[end:]


def exchange(data: bytes, random: Random, places: list[int]) -> bytes:
    """Two neighbouring records in the other order."""
    if len(places) < 3:
        return data
    index = random.randrange(len(places) - 2)
    a, b, c = places[index : index + 3]
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def splice(data: bytes, other: bytes, random: Random) -> bytes:
    """A part of another sample."""
    start = random.randrange(len(other) + 1)
    at = random.randrange(len(data) + 1)
    return data[:at] + other[start : start + random.randrange(1, 5000)] + data[at:]


def damage_records(data: bytes, random: Random) -> bytes:
    """Damage inside several records: their headers, their first bytes, or stretches of zeros and noise over some of them."""
    places = records(data)
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.choice(places[1:] or [0])
        match random.randrange(6):
            case 0:
                out[at + 8 : at + 16] = struct.pack("<II", random.choice(NUMBERS), random.choice(NUMBERS))
            case 1:
                out[at : at + 16] = random.randbytes(16)
            case 2:
                size = random.choice((1, 3, 16, 200, 512, 4096))
                start = at + random.randrange(40)
                out[start : start + size] = bytes(min(size, max(0, len(out) - start)))
            case 3:
                del out[at + random.randrange(20) : at + random.randrange(20, 600)]
            case 4:
                out[at + random.randrange(20) : at] = random.randbytes(random.choice((1, 7, 100, 5000)))
            case _:
                start = at + random.randrange(20)
                out[start : start + 1] = random.randbytes(1)
    return bytes(out[:MAX_SIZE])


CHANGES = (number, number, number, add, flip, flip, overwrite, insert, delete, cut, repeat, exchange)
