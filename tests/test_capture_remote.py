"""URLs: read through fsspec as they come, their errors in one line, and fsspec loaded for nothing else."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tcpscope.capture.remote import is_url
from tcpscope.capture.source import CHUNK, open_source
from tcpscope.errors import SourceError
from tests.pcapwriter import Record, pcap

CAPTURE = pcap(Record(n, bytes(1000)) for n in range(400))


def read_all(url: str) -> bytes:
    out = b""
    with open_source(url) as source:
        while data := source.read():
            assert len(data) <= CHUNK
            out += data
    return out


@pytest.fixture
def memory() -> Any:
    """fsspec's file system in memory."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.store.clear()
    return files


def test_what_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3://bucket/a.pcap", "https://host/a", "memory://a", "zip://a.pcap::s3://bucket/b.zip", "GS://a/b"):
        assert is_url(name)
    for name in ("a.pcap", "-", "C:\\a.pcap", "/a://b", "a:b", "://a", "c://a", "1a://b"):
        assert not is_url(name)
    monkeypatch.chdir(tmp_path)
    Path("ab:").mkdir()
    Path("ab:/c").touch()
    assert not is_url("ab://c")


def test_url(memory: Any) -> None:
    memory.pipe("/dir/a.pcap", CAPTURE)
    assert read_all("memory://dir/a.pcap") == CAPTURE
    with open_source("memory://dir/a.pcap") as source:
        assert (source.name, source.compression) == ("memory://dir/a.pcap", "")


def test_compressed_url(memory: Any) -> None:
    memory.pipe("/a", gzip.compress(CAPTURE))
    assert read_all("memory://a") == CAPTURE


def test_url_is_read_piece_by_piece(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/a.pcap", CAPTURE)
    asked: list[int] = []

    class Watched:
        """A file whose reads are noted."""

        size = len(CAPTURE)

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def read(self, size: int) -> bytes:
            asked.append(size)
            data: bytes = self.inner.read(size)
            return data

        def close(self) -> None:
            self.inner.close()

    opened = memory.open
    monkeypatch.setattr(type(memory), "open", lambda _, *args, **options: Watched(opened(*args, **options)))
    with open_source("memory://a.pcap") as source:
        assert source.size == len(CAPTURE)
        source.read()
    assert asked == [CHUNK]


def test_nothing_there(memory: Any) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("memory://none/a.pcap")
    assert str(caught.value) == "cannot open memory://none/a.pcap: No such file"


def test_unknown_kind_of_url(memory: Any) -> None:
    with pytest.raises(SourceError, match=r"^cannot open nonsense://a: Protocol not known: nonsense") as caught:
        open_source("nonsense://a")
    assert "\n" not in str(caught.value)


class CredentialsError(Exception):
    """As the libraries of cloud providers have them: related to no OSError."""


def because(error: Exception, cause: Exception) -> Exception:
    """An error with its cause."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CredentialsError("Unable to locate credentials\nin all the places"), "Unable to locate credentials"),
        (CredentialsError(), "CredentialsError"),
        (PermissionError("bucket"), "Permission denied"),
        (FileNotFoundError("bucket/a"), "No such file"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (
            because(FileNotFoundError("https://host/a"), ConnectionError("Cannot connect to host")),
            "Cannot connect to host",
        ),
        (because(FileNotFoundError("https://host/a"), FileNotFoundError("https://host/a")), "No such file"),
    ],
)
def test_errors_are_one_line(error: Exception, text: str, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    memory.pipe("/a.pcap", CAPTURE)
    source = open_source("memory://a.pcap")
    source.read()
    source._raw._read_some = fail
    with pytest.raises(SourceError) as caught:
        source.read()
    assert str(caught.value) == f"cannot read memory://a.pcap: {text}"
    monkeypatch.setattr(type(memory), "open", fail)
    with pytest.raises(SourceError) as caught:
        open_source("memory://a.pcap")
    assert str(caught.value) == f"cannot open memory://a.pcap: {text}"


def test_missing_fsspec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SourceError) as caught:
        open_source("s3://bucket/a.pcap")
    assert str(caught.value) == "cannot open s3://bucket/a.pcap: URLs need pip install 'tcpscope[cloud]'"


def test_missing_package_for_a_kind_of_url_is_named(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SourceError, match=r"^cannot open s3://bucket/a: URLs need pip install 'tcpscope\[cloud\]'$"):
        open_source("s3://bucket/a")


def test_files_load_no_fsspec(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    file.write_bytes(gzip.compress(CAPTURE))
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tcpscope.capture.source import open_source\n"
        "open_source(sys.argv[1]).read()\n"
        "print([name for name in ('fsspec', 'zstandard', 'lz4') if name in sys.modules])"
    )
    import tcpscope

    package = str(Path(str(tcpscope.__file__)).parent.parent)
    done = subprocess.run([sys.executable, "-c", script, file, package], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
