"""Community ID version 1 (github.com/corelight/community-id-spec): one name for a flow in all tools."""

from __future__ import annotations

from typing import Final

TCP: Final = 6
SEED: Final = b"\0\0"


def community_id(key: bytes) -> str:
    """The Community ID of a TCP flow key: source and destination address, source and destination port, as on the wire.

    Both directions give the same name: the lower address, and between equal addresses the lower port, comes first.
    """
    # Few reports have it: their start does not wait for these.
    import hashlib  # noqa: PLC0415
    from binascii import b2a_base64  # noqa: PLC0415

    size = (len(key) - 4) // 2
    one, two = (key[:size], key[2 * size : 2 * size + 2]), (key[size : 2 * size], key[2 * size + 2 :])
    (low, low_port), (high, high_port) = sorted((one, two))
    text = SEED + low + high + bytes((TCP, 0)) + low_port + high_port
    return "1:" + b2a_base64(hashlib.sha1(text, usedforsecurity=False).digest(), newline=False).decode("ascii")
