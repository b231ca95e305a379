"""Flow keys: addresses and ports as they stand in a packet, 12 bytes (IPv4) or 36 (IPv6), in the direction of travel."""

from __future__ import annotations

from mypy_extensions import i64

from tcpscope.wire.segment import Segment


def reverse_key(key: bytes) -> bytes:
    """The key of the other direction."""
    size: i64 = 4 if len(key) == 12 else 16
    ports: i64 = 2 * size
    # Put together at once: each + would copy anew what stands before it.
    return b"%b%b%b%b" % (key[size:ports], key[:size], key[ports + 2 :], key[ports : ports + 2])


def canonical_key(key: bytes) -> bytes:
    """The same for both directions of a flow: the one whose source is the lower end."""
    reverse: bytes = reverse_key(key)
    return reverse if reverse < key else key


def name_of(seg: Segment) -> bytes:
    """The canonical key of a segment's flow."""
    if seg.source >= 0:
        return seg.key if seg.source <= seg.target else reverse_key(seg.key)
    return canonical_key(seg.key)
