"""Unsigned numbers read from bytes. The caller has checked that they are there."""

from __future__ import annotations

from librt.strings import read_i64_be, read_i64_le
from mypy_extensions import i64


def u16(data: bytes, offset: i64, big: bool) -> i64:
    """Two octets at ``offset``, big-endian or little-endian."""
    b0: i64 = data[offset]
    b1: i64 = data[offset + 1]
    if big:
        return b0 << 8 | b1
    return b1 << 8 | b0


def u32(data: bytes, offset: i64, big: bool) -> i64:
    """Four octets at ``offset``, big-endian or little-endian."""
    if offset >= 4:  # read with those before them: there is no function for 32 unsigned bits
        if big:
            return read_i64_be(data, offset - 4) & 0xFFFFFFFF
        return read_i64_le(data, offset - 4) >> 32 & 0xFFFFFFFF
    b0: i64 = data[offset]
    b1: i64 = data[offset + 1]
    b2: i64 = data[offset + 2]
    b3: i64 = data[offset + 3]
    if big:
        return b0 << 24 | b1 << 16 | b2 << 8 | b3
    return b3 << 24 | b2 << 16 | b1 << 8 | b0


def four(value: i64, big: bool) -> bytes:
    """The four octets of a number below 2**32."""
    b0: i64 = value & 0xFF
    b1: i64 = (value >> 8) & 0xFF
    b2: i64 = (value >> 16) & 0xFF
    b3: i64 = (value >> 24) & 0xFF
    return bytes([b3, b2, b1, b0]) if big else bytes([b0, b1, b2, b3])
