"""Unsigned numbers read from bytes. The caller has checked that they are there."""

from __future__ import annotations

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
    b0: i64 = data[offset]
    b1: i64 = data[offset + 1]
    b2: i64 = data[offset + 2]
    b3: i64 = data[offset + 3]
    if big:
        return b0 << 24 | b1 << 16 | b2 << 8 | b3
    return b3 << 24 | b2 << 16 | b1 << 8 | b0
