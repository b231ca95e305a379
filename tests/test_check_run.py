"""``tcpscope check`` of many captures: what cannot be read, processes that are killed, Ctrl-C."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import tcpscope
from tcpscope.check.capture import check_capture
from tcpscope.cli.main import run
from tcpscope.many.inputs import find
from tests.captures import clean, unanswered
from tests.test_check import check, policy, result

Capsys = pytest.CaptureFixture[str]
TOP = Path(str(tcpscope.__file__)).parent.parent
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Inputs


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_standard_input(jobs: str, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clean.pcap").write_bytes(clean())
    policy('[per-capture-ignores]\n"-" = ["TS105"]\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(unanswered())))
    status, lines = check(capsys, "clean.pcap", "-", "--jobs", jobs)
    assert (status, lines) == (
        0,
        ["2 captures, 2 connections, 12 frames: no problems", "by the policy: 1 ignored (TS105: 1)"],
    )


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"", "unreadable", "empty: not a single byte"),
        (b"\x00" * 100, "unreadable", "not a capture"),
        (clean()[:20], "capture-damaged", "TS901"),
        (clean()[:24], "", ""),
        (clean()[:-1], "capture-damaged", "TS901"),
        (clean() + b"\xff" * 16, "capture-damaged", "TS901"),
    ],
    ids=["empty", "zeros", "half-a-header", "no-frames", "cut", "rubbish-behind"],
)
def test_damage(content: bytes, name: str, text: str, capsys: Capsys) -> None:
    Path("x.pcap").write_bytes(content)
    Path("unanswered.pcap").write_bytes(unanswered())
    status, lines = check(capsys, "x.pcap", "unanswered.pcap", "--fail-on", "never")
    assert status == (2 if name else 0)
    assert any(name in line and text in line for line in lines)
    assert any(line.startswith("unanswered.pcap:1: TS105") for line in lines)


def test_damage_is_accepted_by_an_allow_and_not_by_an_ignore(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(clean()[:-1])
    policy('ignore = ["TS901"]')
    status, lines = check(capsys, "cut.pcap")
    assert status == 2
    assert any("INPUT damaged error" in line for line in lines)
    policy('[[allow]]\nrule = "TS901"\nreason = "the recorder is stopped hard"\n')
    status, lines = check(capsys, "cut.pcap", "--fail-on", "error")
    assert status == 0
    assert "by the policy: 1 allowed" in lines


def test_a_file_without_permission_and_a_dangling_link(capsys: Capsys) -> None:
    Path("link.pcap").symlink_to("nowhere.pcap")
    Path("locked.pcap").write_bytes(clean())
    Path("locked.pcap").chmod(0)
    locked = not os.access("locked.pcap", os.R_OK)  # to the superuser nothing is
    status, lines = check(capsys, ".", "link.pcap", "nul\0.pcap")
    assert status == 2
    assert any(line.startswith("link.pcap: INPUT unreadable error") for line in lines)
    assert lines[-1] == f"could not be read: {3 if locked else 2} captures"


def test_patterns_are_expanded_like_the_shell_would(capsys: Capsys) -> None:
    for name in ("b.pcap", "a.pcap", "deep/c.pcap", "deep/er/d.pcap", "[x].pcap"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(clean())
    paths = [one.path for one in find(["*.pcap"])]
    assert paths == ["[x].pcap", "a.pcap", "b.pcap"]
    assert [one.path for one in find(["deep/**/*.pcap", "deep"])] == ["deep/c.pcap", "deep/er/d.pcap"]
    assert [one.path for one in find(["[x].pcap"])] == ["[x].pcap"]  # the file, where there is one of that name


def test_too_little_memory_is_a_problem_of_the_capture(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.pcap").write_bytes(clean())
    Path("b.pcap").write_bytes(unanswered())

    def full(path: str, *rest: object) -> object:
        if path == "a.pcap":
            raise MemoryError
        return check_capture(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("tcpscope.check.run.check_capture", full)
    status, lines = check(capsys, "a.pcap", "b.pcap", "--jobs", "1")
    assert status == 2
    assert lines[0] == "a.pcap: INPUT not-checked error: not checked: there is not enough memory for it"
    assert any(line.startswith("b.pcap:1: TS105") for line in lines)


# Processes


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        # One that was killed holds its files until the last of its threads is gone, though the first is dead (Z) before.
        state, parent, threads = fields[0], int(fields[1]), int(fields[17])
        if parent == pid and (state != "Z" or threads > 1):
            found.append(int(path.parent.name))
    return found


@contextmanager
def checking(*arguments: str, start: Sequence[str] = ("-m", "tcpscope")) -> Iterator[subprocess.Popen[str]]:
    """A check in a process of its own, and in a group of its own, as a shell would start it."""
    command = [sys.executable, *start, "check", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def reader_of(pipe: str) -> int:
    """Wait until somebody reads the named pipe; keeps it waiting."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError):  # nobody does so far
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.005)
    raise AssertionError(f"nobody reads {pipe}")


@linux
def test_a_process_that_is_killed_takes_only_its_capture_along() -> None:
    os.mkfifo("waits.pcap")
    for number in range(20):
        Path(f"{number:02}.pcap").write_bytes(unanswered())
    paths = [f"{number:02}.pcap" for number in range(10)]
    more = [f"{number:02}.pcap" for number in range(10, 20)]
    with checking(*paths, "waits.pcap", *more, "--jobs", "2", "--format", "json") as process:
        for _ in range(2):  # in the pool, then alone
            held = reader_of("waits.pcap")
            process.send_signal(signal.SIGSTOP)  # so that it starts no other one before the pipe is let go
            killed = children(process.pid)
            for child in killed:
                os.kill(child, signal.SIGKILL)
            while set(killed) & set(children(process.pid)):
                time.sleep(0.01)
            os.close(held)
            process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in err
    document = json.loads(out)
    codes = {one["path"]: [problem["code"] for problem in one["problems"]] for one in document["captures"]}
    assert codes == {**{path: ["TS105"] for path in [*paths, *more]}, "waits.pcap": ["INPUT"]}
    (problem,) = document["captures"][10]["problems"]
    assert problem["name"] == "not-checked"
    assert "killed" in problem["message"]


@linux
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
def test_ctrl_c(jobs: int, whole_group: bool) -> None:
    os.mkfifo("waits.pcap")
    Path("a.pcap").write_bytes(clean())
    Path("b.pcap").write_bytes(clean())
    with checking("a.pcap", "waits.pcap", "b.pcap", "--jobs", str(jobs)) as process:
        held = reader_of("waits.pcap")
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        os.close(held)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("tcpscope: interrupted: ")
    assert "waits.pcap" in line


SLOWLY = """
import os, time
os.register_at_fork(after_in_child=lambda: time.sleep(1))
from tcpscope.cli.main import main
main()
"""


@linux
@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="slow only where processes are forked")
def test_ctrl_c_while_processes_start() -> None:
    os.mkfifo("waits.pcap")
    Path("a.pcap").write_bytes(clean())
    with checking("a.pcap", "waits.pcap", "--jobs", "2", start=("-c", SLOWLY)) as process:
        while len(children(process.pid)) < 2:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60) == (
            "",
            "tcpscope: interrupted: 0 of 2 captures checked, but not a.pcap, waits.pcap\n",
        )


@linux
def test_no_process_stays_behind_one_that_is_killed() -> None:
    os.mkfifo("waits.pcap")
    Path("a.pcap").write_bytes(clean())
    with checking("a.pcap", "waits.pcap", "--jobs", "2") as process:
        held = reader_of("waits.pcap")
        process.kill()
        # The workers hold the other ends of these pipes: this ends when they do.
        assert process.communicate(timeout=60) == ("", "")
        os.close(held)


def test_where_no_process_can_be_started_this_one_does_the_work(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unready:
        """Standard input that no child can close: each ends before it begins."""

        def close(self) -> None:
            raise RuntimeError

    Path("a.pcap").write_bytes(clean())
    Path("b.pcap").write_bytes(clean())
    monkeypatch.setattr(sys, "stdin", Unready())
    run(["check", "a.pcap", "b.pcap", "--jobs", "2"])
    assert capsys.readouterr().out == "2 captures, 2 connections, 18 frames: no problems\n"


def test_an_empty_list_of_captures_is_wrong_usage(capsys: Capsys) -> None:
    assert run(["check"]) == 2
    assert "Missing argument 'PATH...'" in capsys.readouterr().err


def test_what_is_given_twice_is_checked_once(capsys: Capsys) -> None:
    Path("a.pcap").write_bytes(clean())
    assert len(result(capsys, "a.pcap", "./a.pcap", "*.pcap", ".")["captures"]) == 1
