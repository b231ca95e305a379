"""Addresses and ports as text, from the bytes on the wire."""

from __future__ import annotations

_MAPPED = b"\x00" * 10 + b"\xff\xff"


def format_address(packed: bytes) -> str:
    """Text of an IPv4 (4 bytes) or IPv6 address (16 bytes, in the canonical form of RFC 5952)."""
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    if packed.startswith(_MAPPED):  # RFC 5952 section 5; the standard library does so only in its newer versions
        return f"::ffff:{format_address(packed[12:])}"
    import ipaddress  # noqa: PLC0415 (takes time, and many captures hold IPv4 alone)

    return str(ipaddress.IPv6Address(packed))


def endpoints(key: bytes) -> tuple[str, int, str, int]:
    """Source address, source port, destination address and destination port of :attr:`Segment.key`."""
    size = (len(key) - 4) // 2
    source, destination = format_address(key[:size]), format_address(key[size : 2 * size])
    return source, int.from_bytes(key[-4:-2], "big"), destination, int.from_bytes(key[-2:], "big")
