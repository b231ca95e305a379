"""Arithmetic on sequence numbers modulo 2**32 (RFC 9293 section 3.4). The only place that compares them."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

MODULUS: Final = 0x100000000
MASK: Final = 0xFFFFFFFF


def diff(a: i64, b: i64) -> i64:
    """Signed distance from ``b`` to ``a``, from -2**31 to 2**31 - 1: positive when ``a`` is the later number."""
    d: i64 = (a - b) & 0xFFFFFFFF
    if d >= 0x80000000:
        return d - 0x100000000
    return d


def add(a: i64, n: i64) -> i64:
    """``a + n`` modulo 2**32."""
    return (a + n) & 0xFFFFFFFF
