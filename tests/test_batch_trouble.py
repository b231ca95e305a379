"""What a batch loses when a process dies, the disk is full or somebody presses Ctrl-C: the captures in progress at most."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tcpscope
from tcpscope.batch.run import run_batch
from tcpscope.batch.work import Done
from tcpscope.cli.main import run
from tcpscope.errors import InterruptedWork
from tcpscope.many.inputs import find
from tcpscope.options import Options
from tcpscope.report.session import Session
from tests.captures import clean, many, unanswered

Capsys = pytest.CaptureFixture[str]
TABLES = ("captures.csv", "connections.csv", "findings.csv", "report.md")
COUNT = 40


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with captures of several sizes."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number in range(COUNT):
        data = [clean(), unanswered(), many(5, range(2, 4)), many(40)][number % 4]
        Path(f"in/{number:02}.pcap").write_bytes(data)
    return tmp_path


def arguments(directory: str, *more: str) -> list[str]:
    """A batch with two processes."""
    return ["batch", "in", "-o", directory, "-j", "2", "--tables", "csv", "--no-progress", *more]


def results(directory: str) -> list[bytes]:
    """Everything that is written over all captures."""
    return [Path(directory, name).read_bytes() for name in TABLES]


def stored(directory: str) -> int:
    """How many captures are done."""
    rows = Path(directory, "rows")
    return sum(path.suffix == ".jsonl" for path in rows.iterdir()) if rows.exists() else 0


def start(*command: str) -> subprocess.Popen[bytes]:
    """A batch in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(str(tcpscope.__file__)).parent.parent)}
    return subprocess.Popen([sys.executable, "-m", "tcpscope", *command], stderr=subprocess.PIPE, env=environment)


def wait_until(count: int, directory: str, process: subprocess.Popen[bytes]) -> None:
    """Until so many captures are done, or the batch is over."""
    while stored(directory) < count and process.poll() is None:
        time.sleep(0.002)


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(number) for number in text.split()]


def is_alive(process: int) -> bool:
    """Whether a process does anything yet."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except OSError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc")


@linux
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_points_the_tables_are_those_of_an_undisturbed_run(seed: int) -> None:
    run(arguments("undisturbed"))
    chance = random.Random(seed)
    done = 0
    for victim in ("coordinator", "worker", "coordinator"):
        process = start(*arguments("out"))
        wait_until(done + chance.randint(1, 12), "out", process)
        time.sleep(chance.random() / 50)
        workers = children(process.pid) if process.poll() is None else []
        if victim == "worker" and workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            assert process.wait() == 0
        process.kill()
        process.communicate()
        until = time.monotonic() + 20
        while any(map(is_alive, workers)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(map(is_alive, workers)), "workers outlive their batch"
        assert stored("out") >= done
        done = stored("out")
    assert run(arguments("out")) == 0
    assert results("out") == results("undisturbed")
    assert not list(Path("out").rglob("*.part"))


def test_ctrl_c_says_what_is_done_and_what_is_lost(capsys: Capsys) -> None:
    os.mkfifo("in/pipe.pcap")  # nobody writes to it: whoever reads it waits for ever
    process = start(*arguments("out", "in/pipe.pcap"))
    wait_until(3, "out", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.decode().startswith("tcpscope: interrupted: ")
    assert err.count(b"\n") == 1
    assert f"{stored('out'):,} of {COUNT + 1} captures are done" in err.decode()
    assert "The same command goes on from here" in err.decode()
    assert not list(Path("out").rglob("*.part"))
    assert run(arguments("out")) == 0
    assert f"{COUNT} captures, " in capsys.readouterr().out


@pytest.mark.parametrize("when", [1, 2, 5])
def test_ctrl_c_while_results_are_counted_miscounts_none(when: int) -> None:
    seen: list[int] = []

    def progress(one: Done) -> None:
        seen.append(one.number)
        if len(seen) == when:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedWork) as caught:
        run_batch(find(["in"]), "out", Options(), jobs=1, progress=progress)
    assert str(caught.value).startswith(f"interrupted: {stored('out')} of {COUNT} captures are done")
    assert len(seen) == stored("out")


class Deadly:
    """Kills the process that reads a capture: as often as it is asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: str, times: int) -> None:
        self._path, self._times = path, times
        self._feed: Callable[[Session, bytes], bool] = Session.feed
        read = sys.modules["tcpscope.many.reading"].read_capture

        def deadly(name: str, session: Session, seen: Callable[[bytes], object] | None = None) -> None:
            if name == self._path and not Path("healed").exists() and len(list(Path().glob("death*"))) < self._times:
                Path(f"death{os.getpid()}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            read(name, session, seen)

        monkeypatch.setattr("tcpscope.batch.work.read_capture", deadly)


forked = pytest.mark.skipif(sys.version_info >= (3, 14) or sys.platform != "linux", reason="needs processes that fork")


@forked
def test_a_worker_that_dies_once_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run(arguments("undisturbed"))
    Deadly(monkeypatch, "in/11.pcap", 1)
    assert run(arguments("out")) == 0
    assert len(list(Path().glob("death*"))) == 1
    assert results("out") == results("undisturbed")


@forked
def test_a_capture_that_kills_its_worker_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    Deadly(monkeypatch, "in/11.pcap", 1000)
    assert run(arguments("out")) == 2
    assert len(list(Path().glob("death*"))) == 2, "once among others, once alone"
    assert capsys.readouterr().err == ("tcpscope: in/11.pcap: the process that read it ended (out of memory?)\n")
    assert stored("out") == COUNT - 1
    assert "in/11.pcap" in results("out")[0].decode()
    Path("healed").touch()
    assert run(arguments("out")) == 0
    run(arguments("undisturbed"))
    assert results("out") == results("undisturbed")


@forked
def test_a_capture_that_breaks_the_analysis_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    def broken(name: str, session: Session, seen: Callable[[bytes], object] | None = None) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr("tcpscope.batch.work.read_capture", broken)
    assert run(["batch", "in/00.pcap", "-o", "out", "--no-progress"]) == 2
    assert "in/00.pcap: the analysis failed: MemoryError: no more" in capsys.readouterr().err


def limited(size: int) -> Callable[[], None]:
    """Lets a process write files of so many bytes only."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [100, 20_000])
def test_where_nothing_more_can_be_written_what_is_there_is_valid(size: int, capsys: Capsys) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(str(tcpscope.__file__)).parent.parent)}
    command = [sys.executable, "-m", "tcpscope", *arguments("out")]
    done = subprocess.run(command, capture_output=True, env=environment, preexec_fn=limited(size), check=False)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tcpscope: cannot write ")
    assert lines[0].endswith("File too large")
    assert not list(Path("out").rglob("*.part"))
    run(arguments("undisturbed"))
    for path in Path("out").rglob("*.json"):
        assert path.read_bytes() == Path("undisturbed", *path.parts[1:]).read_bytes()
    assert run(arguments("out")) == 0
    assert results("out") == results("undisturbed")


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts a file system in memory at ``disk``, with these options; for root only. It goes after the test."""
    Path("disk").mkdir()

    def mounted(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", "disk"]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs root, and the right to mount")

    yield mounted
    subprocess.run(["umount", "disk"], capture_output=True, check=False)


@linux
@pytest.mark.parametrize(("share", "least"), [(0.01, 0), (0.5, 5), (0.93, COUNT), (0.98, COUNT)])
def test_a_full_disk_leaves_what_is_there_valid(
    share: float, least: int, mount: Callable[[str], None], capsys: Capsys
) -> None:
    run(arguments("undisturbed"))
    capsys.readouterr()
    pages = sum(-(-path.stat().st_size // 4096) for path in Path("undisturbed").rglob("*") if path.is_file())
    mount(f"size={round(pages * share) * 4}k")
    assert run(arguments("disk/out")) == 2
    err = capsys.readouterr().err
    assert err.startswith("tcpscope: cannot write ")
    assert err.endswith("No space left on device\n")
    assert err.count("\n") == 1
    assert not list(Path("disk/out").rglob("*.part"))
    for path in Path("disk/out").rglob("*.json*"):
        assert path.read_bytes() == Path("undisturbed", *path.parts[2:]).read_bytes()
    done = stored("disk/out")
    assert least <= done < COUNT or least == done
    subprocess.run(["mount", "-o", "remount,size=9m", "disk"], check=True)
    assert run(arguments("disk/out")) == 0
    assert results("disk/out") == results("undisturbed")
    assert not done or f"{COUNT} captures, {done} of them done before" in capsys.readouterr().out


@linux
def test_a_disk_that_became_read_only(mount: Callable[[str], None], capsys: Capsys) -> None:
    mount("size=9m")
    run(arguments("disk/out"))
    before = {path: path.read_bytes() for path in Path("disk").rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
    for directory in ("disk/out", "disk/other"):
        capsys.readouterr()
        assert run(arguments(directory, "--force")) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"tcpscope: cannot write {directory}")
        assert err.endswith("Read-only file system\n")
        assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path("disk").rglob("*") if path.is_file()} == before


def test_a_directory_without_the_right_to_write(capsys: Capsys) -> None:
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind this user")
    Path("out").mkdir(mode=0o500)
    assert run(arguments("out")) == 2
    assert capsys.readouterr().err == "tcpscope: cannot write out: Permission denied\n"


def test_an_output_directory_that_cannot_be_one(capsys: Capsys) -> None:
    Path("file").write_bytes(b"")
    for name in ("file", "file/below", "/proc/none"):
        assert run(arguments(name)) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"tcpscope: cannot write {name}: ")
        assert err.count("\n") == 1


def test_two_batches_do_not_write_to_one_directory(capsys: Capsys) -> None:
    pytest.importorskip("fcntl")
    os.mkfifo("in/pipe.pcap")  # keeps its reader waiting
    process = start(*arguments("out", "in/pipe.pcap"))
    wait_until(COUNT, "out", process)
    assert run(arguments("out")) == 2
    assert "another batch is writing to out" in capsys.readouterr().err
    process.kill()
    process.communicate()
    os.unlink("in/pipe.pcap")  # noqa: PTH108
    assert run(arguments("out")) == 0
