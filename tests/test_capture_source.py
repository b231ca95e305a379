"""Inputs: files, standard input, open streams, and every way in which they fail."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from tcpscope.capture.source import open_source
from tcpscope.errors import SourceError


def read_all(source_path: str | Path | io.BufferedIOBase) -> bytes:
    out = b""
    with open_source(source_path) as source:  # type: ignore[arg-type]
        while data := source.read():
            assert len(data) <= 131072
            out += data
        assert source.read() == b""
    return out


def test_file(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    content = bytes(range(256)) * 2000
    file.write_bytes(content)
    assert read_all(file) == read_all(str(file)) == content
    with open_source(file) as source:
        assert (source.name, source.size) == (str(file), len(content))


def test_stream_stays_open() -> None:
    stream = io.BytesIO(b"abc")
    assert read_all(stream) == b"abc"
    assert not stream.closed


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    source = open_source("-")
    assert (source.name, source.size, source.read(), source.read()) == ("standard input", None, b"abc", b"")


def test_pipe_gives_what_is_there() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"abc")
    with os.fdopen(ours, "rb") as stream, open_source(stream) as source:
        assert source.read() == b"abc"  # although the pipe is still open
        os.close(theirs)
        assert source.read() == b""


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path, text in (
        (tmp_path / "none.pcap", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none" / "a.pcap", "No such file or directory"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(SourceError, match=text) as caught:
            open_source(path)
        assert str(caught.value).startswith("cannot open ")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_no_permission(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    file.touch(mode=0)
    with pytest.raises(SourceError, match="Permission denied"):
        open_source(file)


class Broken(io.RawIOBase):
    """A stream that fails when read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(5, "Input/output error")


def test_error_while_reading() -> None:
    source = open_source(Broken())  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="cannot read stream: Input/output error"):
        source.read()
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(SourceError, match="closed file"):
        open_source(closed).read()


def test_standard_input_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="standard input"):
        open_source("-")
