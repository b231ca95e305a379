"""What an input that is no capture looks like, so that the message can say what to do about it."""

from __future__ import annotations

import codecs
from typing import Final

HEAD: Final = 512
"""Bytes that :func:`describe` wants to see, unless the input is shorter."""

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data"),
    (b"\xfd7zXZ\x00", "xz-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"GMBU", "a Network Monitor capture, which tcpscope does not read (editcap -F pcapng converts it)"),
    (b"RTSS", "a Network Monitor capture, which tcpscope does not read (editcap -F pcapng converts it)"),
    (b"TRSNIFF data", "a Sniffer capture, which tcpscope does not read (editcap -F pcapng converts it)"),
    (b"XCP\x00", "a NetXRay capture, which tcpscope does not read (editcap -F pcapng converts it)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
)


def describe(head: bytes) -> str:
    """One line without a file name on an input that begins with ``head`` and is neither pcap nor pcapng."""
    if len(head) < 4:
        return f"not a capture: only {len(head)} bytes"
    for signature, text in _SIGNATURES:
        if head.startswith(signature):
            return f"not a capture: {text}"
    if looks_like_text(head):
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        kind = "HTML" if start[:1] == b"<" else "JSON" if start[:1] in (b"{", b"[") else "text"
        return f"not a capture: it looks like {kind}"
    if not head.strip(b"\x00"):
        return "not a capture: it begins with zero bytes"
    return f"not a capture: unknown magic number {head[:4].hex()}"


def looks_like_text(head: bytes) -> bool:
    """Whether ``head`` is UTF-8 (cut inside a character, perhaps) without control characters other than white space."""
    for octet in head:
        if octet == 127 or (octet < 32 and octet not in (9, 10, 12, 13, 27)):
            return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
