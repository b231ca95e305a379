"""Compressed captures: gzip, bzip2, xz, zstd and lz4, recognised by their content and decompressed as they are read.

There is no bound on the ratio: a capture whose payload is zeros lawfully shrinks to a thousandth and less. What bounds
a bomb is that little is decompressed at a time and nothing of it is kept, and that the capture reader ends at the first
bytes that are no capture. Decompressors that ask for more memory than :data:`MEMORY` are not fed.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

MEMORY: Final = 128 << 20
"""Bytes of window that compressed data may ask for: what ``zstd --long`` and ``--ultra`` use; ``xz -9`` needs half."""

HEAD: Final = 10
"""Bytes from which every compression can be told."""

_SIGNATURES: Final = (
    ("gzip", b"\x1f\x8b\x08"),
    ("bzip2", b"BZh"),
    ("xz", b"\xfd7zXZ\x00"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("lz4", b"\x04\x22\x4d\x18"),
)
_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after an octet 0x50 to 0x5F: a frame of zstd or lz4 without data of ours
_SKIPPABLE_FIRST: Final = tuple(bytes([octet]) for octet in range(0x50, 0x60))
_BZIP2_BLOCK: Final = (b"1AY&SY", b"\x17rE8P\x90")

_PACKAGES: Final = {"zstd": "zstandard", "lz4": "lz4.frame"}

# Small pieces bound what a decompressor can give at once where it takes no limit itself: 512 bytes are at most 128 zstd
# blocks of 128 KiB. They also bound what is lost where the data turn out to be corrupt.
_PIECE: Final = 4096
_ZSTD_PIECE: Final = 512

# A member up to these sizes is kept and gone through once more byte by byte where it is corrupt.
_REPLAY_IN: Final = 65536
_REPLAY_OUT: Final = 1 << 20


class Codec(Protocol):
    """A decompressor of one member, as :class:`bz2.BZ2Decompressor` is."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing more to get without further input."""

    @property
    def unused_data(self) -> bytes | None:
        """Input behind the end of the member."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most about ``max_length`` bytes of what ``data`` and the input before hold."""


class _Gzip:
    """zlib's decompressor leaves it to the caller to keep the input that it has not used yet."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)  # a gzip header and trailer
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length and not self._inner.unconsumed_tail
        return out


class _Zstd:
    """zstandard's decompressor takes no limit: :data:`_ZSTD_PIECE` sets one."""

    needs_input = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._inner.decompress(data))


def compression_of(head: bytes) -> str:
    """The name of the compression of what begins with ``head``, or ""."""
    for name, signature in _SIGNATURES:
        if head.startswith(signature):
            known = name != "bzip2" or (b"1" <= head[3:4] <= b"9" and head[4:10] in _BZIP2_BLOCK)
            return name if known else ""
    return "zstd" if _is_skippable(head) else ""


def may_be_compressed(head: bytes) -> bool:
    """Whether ``head`` is too short to tell, but may be the beginning of compressed data."""
    if len(head) >= HEAD:
        return False
    starts = any(signature.startswith(head) or head.startswith(signature) for _, signature in _SIGNATURES)
    return starts or (len(head) < 4 and head[:1] in _SKIPPABLE_FIRST and _SKIPPABLE.startswith(head[1:]))


def _is_skippable(head: bytes) -> bool:
    return head[:1] in _SKIPPABLE_FIRST and head[1:4] == _SKIPPABLE


def missing_package(name: str) -> str:
    """One line on the package that this compression needs and that is not installed, or ""."""
    try:
        importlib.import_module(_PACKAGES.get(name, "zlib"))
    except ImportError:
        return f"{name}-compressed data needs pip install 'tcpscope[compression]'"
    return ""


def _codec(name: str, memory: int) -> Codec:
    """A decompressor for one member."""
    if name == "gzip":
        return _Gzip()
    if name == "bzip2":
        import bz2  # noqa: PLC0415 (takes time, and most captures are not compressed so)

        return bz2.BZ2Decompressor()
    if name == "xz":
        import lzma  # noqa: PLC0415 (the same)

        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=memory)
    if name == "zstd":
        return _Zstd(importlib.import_module(_PACKAGES[name]).ZstdDecompressor(max_window_size=memory).decompressobj())
    codec: Codec = importlib.import_module(_PACKAGES[name]).LZ4FrameDecompressor()
    return codec


class Decompressor:
    """One layer of compression: takes bytes from ``fetch`` until it gives none, and hands out what they hold.

    ``memory`` bounds what the decompressor may ask for, ``chunk`` what :meth:`read` gives at once.

    Members that follow each other count as one, zero bytes behind the last one as nothing. ``damage`` is one line on
    what ended the reading early, or ""; ``damage_offset`` the place in the compressed bytes, or -1.
    """

    def __init__(self, name: str, fetch: Callable[[], bytes], memory: int, chunk: int) -> None:
        self.name = name
        self.damage = ""
        self.damage_offset = -1
        self._fetch = fetch
        self._memory = memory
        self._chunk = chunk
        self._codec: Codec | None = None
        self._input = b""
        self._at = 0  # how much of it is used
        self._base = 0  # its offset in the compressed bytes
        self._out = b""  # decompressed, not handed out yet
        self._out_at = 0
        self._ended = False
        self._member = b""  # the input of this member, while it is short
        self._member_out = 0  # what it gave; beyond _REPLAY_OUT the input is kept no longer

    def read(self) -> bytes:
        """The next bytes, as many as are there but at most ``chunk``; ``b""`` at the end, or at damage."""
        while True:
            if self._out_at < len(self._out):
                data = self._out[self._out_at : self._out_at + self._chunk]
                self._out_at += len(data)
                return data
            if self._ended:
                return b""
            self._out, self._out_at = self._step(), 0

    def _step(self) -> bytes:
        """Decompress one piece. It may give nothing, without being the end."""
        codec = self._codec
        if codec is None:
            if not self._next_member():
                self._ended = True
                return b""
            codec = self._codec = _codec(self.name, self._memory)
        piece = b""
        if codec.needs_input:
            piece = self._take(_ZSTD_PIECE if self.name == "zstd" else _PIECE)
            if not piece:
                self._damaged(f"{self.name} data cut at byte {self._base}: the end is missing", self._base)
                return b""
            if self._member_out <= _REPLAY_OUT:
                self._member += piece
        try:
            out = codec.decompress(piece, self._chunk)
            eof = codec.eof
        except Exception as error:  # each package has its own, RuntimeError and OSError among them
            return self._corrupt(error, len(piece))
        self._member_out += len(out)
        if len(self._member) > _REPLAY_IN or self._member_out > _REPLAY_OUT:
            self._member, self._member_out = b"", _REPLAY_OUT + 1
        if eof:
            self._at -= len(codec.unused_data or b"")
            self._codec = None
        return out

    def _next_member(self) -> bool:
        """Whether another member begins behind the last one."""
        first = self._base == 0 and self._at == 0
        while True:
            while self._at < len(self._input) and self._input[self._at] == 0:
                self._at += 1
            if self._at < len(self._input) or not self._more():
                break
        head = self._input[self._at : self._at + HEAD]
        while may_be_compressed(head) and head and self._more():
            head = self._input[self._at : self._at + HEAD]
        if not head and not first:
            return False
        if compression_of(head) == self.name or (self.name == "lz4" and _is_skippable(head)):
            self._member, self._member_out = b"", 0
            return True
        offset = self._base + self._at
        self._damaged(f"the {self.name} data end at byte {offset}, and what follows is no {self.name} data", offset)
        return False

    def _more(self) -> bool:
        """Append further input to what is not used yet; False if there is none."""
        data = self._fetch()
        self._base += self._at
        self._input = self._input[self._at :] + data
        self._at = 0
        return bool(data)

    def _take(self, most: int) -> bytes:
        """The next compressed bytes, as many as are there but at most ``most``; ``b""`` at the end."""
        if self._at >= len(self._input):
            self._more()
        piece = self._input[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def _corrupt(self, error: Exception, size: int) -> bytes:
        """Note that the last ``size`` bytes of the input do not fit; returns what the bytes before still give."""
        offset, place, out = self._base + self._at - size, "near", b""
        if self._member:
            start = self._base + self._at - len(self._member)
            out, used = self._replay()
            offset, place = start + used, "at"
        reason = str(error).rpartition(": ")[2].strip() or type(error).__name__
        if "memory" in reason.lower():
            text = f"{self.name} data at byte {offset} need more than {self._memory >> 20} MiB of memory"
        else:
            text = f"{self.name} data corrupt {place} byte {offset}: {reason}"
        self._damaged(text, offset)
        return out

    def _replay(self) -> tuple[bytes, int]:
        """Decompress a short member again, byte by byte: what it gives more than before, and how far it gets."""
        codec = _codec(self.name, self._memory)
        out = bytearray()
        for index in range(len(self._member)):
            try:
                out += codec.decompress(self._member[index : index + 1], _REPLAY_OUT)
                while not codec.needs_input and not codec.eof and len(out) <= 2 * _REPLAY_OUT:
                    out += codec.decompress(b"", _REPLAY_OUT)
            except Exception:  # the same as before, or an earlier form of it
                return bytes(out[self._member_out :]), index
        return bytes(out[self._member_out :]), len(self._member)

    def _damaged(self, text: str, offset: int) -> None:
        self.damage, self.damage_offset, self._ended = text, offset, True
