"""The command line as a user meets it: exit status, standard output, standard error."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tcpscope
from tcpscope.cli.main import COMMANDS, run
from tcpscope.report.session import Session
from tests.captures import SAMPLES, clean, many, unanswered
from tests.pcapwriter import Record, pcap

Capsys = pytest.CaptureFixture[str]
PACKAGE = Path(str(tcpscope.__file__)).parent


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with captures, and no settings of the terminal that runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    Path("clean.pcap").write_bytes(clean())
    Path("unanswered.pcap").write_bytes(unanswered())
    return tmp_path


def tcpscope_process(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """The command in a process of its own, with the same tcpscope."""
    start = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from tcpscope.cli import start; start()"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.Popen(command, **options)  # type: ignore[call-overload, no-any-return]


# Exit status


def test_clean_capture(capsys: Capsys) -> None:
    assert run(["analyze", "clean.pcap"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "192.168.100.101:51000 → 192.168.100.102:8080" in out
    assert "complete" in out
    assert "orderly" in out
    assert out.splitlines()[-1] == "1 capture, 1 connection, 9 frames: no findings"


def test_findings_do_not_fail_unless_asked(capsys: Capsys) -> None:
    assert run(["analyze", "unanswered.pcap"]) == 0
    assert "1 warning" in capsys.readouterr().out


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("note", 1)])
def test_fail_on(level: str, status: int, capsys: Capsys) -> None:
    assert run(["analyze", "unanswered.pcap", "--fail-on", level]) == status
    assert run(["analyze", "clean.pcap", "--fail-on", level]) == 0
    assert run(["analyze", "clean.pcap", "unanswered.pcap", "--fail-on", level]) == status
    assert capsys.readouterr().err == ""


def test_ignored_rules_do_not_fail(capsys: Capsys) -> None:
    arguments = ["analyze", "unanswered.pcap", "--fail-on", "note"]
    assert run([*arguments, "--ignore", "TS1,TS9"]) == 0
    assert run([*arguments, "--select", "TS2", "--select", "TS3,TS4"]) == 0
    assert run([*arguments, "--select", "TS1"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze"],
        ["analyse", "clean.pcap"],
        ["analyze", "clean.pcap", "--format", "xml"],
        ["analyze", "clean.pcap", "--fail-on", "everything"],
        ["analyze", "clean.pcap", "--msl", "-1"],
        ["analyze", "clean.pcap", "--msl", "nan"],
        ["analyze", "clean.pcap", "--connection", "first"],
        ["analyze", "clean.pcap", "--select", "TS99X"],
        ["analyze", "clean.pcap", "--no-such-option"],
        ["segments"],
        ["segments", "clean.pcap", "clean.pcap"],
        ["rule"],
        ["rule", "no-such-rule-at-all"],
        ["states", "--format", "png"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: Capsys) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert "Traceback" not in err


def test_an_unknown_rule_is_told_the_nearest_one(capsys: Capsys) -> None:
    assert run(["rule", "zero-windo"]) == 2
    assert "zero-window" in capsys.readouterr().err


# Bad input

BAD = {
    "empty.pcap": b"",
    "short.pcap": b"\xd4\xc3\xb2",
    "text.txt": b"This is no capture.\n" * 50,
    "page.html": b"<!doctype html><title>x</title>",
    "zeros.pcap": bytes(4096),
    "noise.pcap": bytes(range(256)) * 4,
    "compressed.pcap.gz": bytes.fromhex("1f8b0800000000000003") + bytes(100),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["analyze", "segments"])
def test_what_is_no_capture(name: str, command: str, capsys: Capsys) -> None:
    Path(name).write_bytes(BAD[name])
    assert run([command, name]) == 2
    out, err = capsys.readouterr()
    assert "capture," not in out
    assert err.startswith(f"tcpscope: {name}: ")
    assert " byte " in err or "not a capture" in err or "empty" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["analyze", "segments"])
def test_files_that_cannot_be_opened(command: str, directory: Path, capsys: Capsys) -> None:
    assert run([command, "missing.pcap"]) == 2
    assert capsys.readouterr().err == "tcpscope: cannot open missing.pcap: No such file or directory\n"
    assert run([command, str(directory)]) == 2
    assert capsys.readouterr().err == f"tcpscope: cannot open {directory}: Is a directory\n"
    assert run([command, "\0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_no_permission(capsys: Capsys) -> None:
    Path("clean.pcap").chmod(0)
    assert run(["analyze", "clean.pcap"]) == 2
    assert capsys.readouterr().err == "tcpscope: cannot open clean.pcap: Permission denied\n"


def test_a_cut_capture_is_reported_as_far_as_it_goes(capsys: Capsys) -> None:
    whole = clean()
    Path("cut.pcap").write_bytes(whole[:-10])
    assert run(["analyze", "cut.pcap"]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"tcpscope: cut\.pcap: cut inside a packet record at byte \d+ \(\d+ of \d+ bytes present\)\n", err
    )
    assert "8 frames" in out
    assert "damaged" in out
    assert run(["analyze", "cut.pcap", "--format", "json"]) == 2
    capture = json.loads(capsys.readouterr().out)["captures"][0]
    assert capture["complete"] is False
    assert 0 < capture["damage"]["offset"] < len(whole)
    assert capture["frames"] == 8
    assert len(capture["connections"]) == 1


def test_a_record_of_4_gigabytes(capsys: Capsys) -> None:
    whole = bytearray(clean())
    whole[24 + 8 : 24 + 16] = b"\xff" * 8
    Path("huge.pcap").write_bytes(whole)
    assert run(["analyze", "huge.pcap"]) == 2
    out, err = capsys.readouterr()
    assert err == "tcpscope: huge.pcap: record at byte 24 claims 4294967295 bytes\n"
    assert "0 frames" in out


def test_an_unknown_link_type(capsys: Capsys) -> None:
    Path("odd.pcap").write_bytes(pcap([Record(0, bytes(60))] * 3, 147))
    assert run(["analyze", "odd.pcap"]) == 2
    out, err = capsys.readouterr()
    assert err == "tcpscope: odd.pcap: no frame could be read: link type 147 is not known\n"
    assert "unknown-link-type" in out


def test_a_capture_without_frames(capsys: Capsys) -> None:
    Path("none.pcap").write_bytes(pcap([]))
    assert run(["analyze", "none.pcap"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1] == "1 capture, 0 connections, 0 frames: no findings"


def test_each_file_is_reported_and_the_worst_status_counts(capsys: Capsys) -> None:
    Path("text.txt").write_text("no capture\n")
    assert run(["analyze", "clean.pcap", "text.txt", "missing.pcap", "unanswered.pcap", "--fail-on", "note"]) == 2
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 2
    assert "clean.pcap" in out
    assert "unanswered.pcap" in out
    assert out.splitlines()[-1].startswith("2 captures, 2 connections, 12 frames: ")


def test_json_names_what_could_not_be_read(capsys: Capsys) -> None:
    Path("text.txt").write_text("no capture\n")
    assert run(["analyze", "text.txt", "clean.pcap", "missing.pcap", "--format", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [capture["path"] for capture in report["captures"]] == ["clean.pcap"]
    assert [(error["path"], error["offset"]) for error in report["errors"]] == [("text.txt", 0), ("missing.pcap", None)]


def test_a_name_cannot_act_on_the_terminal(capsys: Capsys) -> None:
    name = "a\x1b[2J\u202e.pcap"
    Path(name).write_bytes(clean()[:-1])
    assert run(["analyze", name]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert r"a\x1b[2J\u{202e}.pcap" in out


# One connection


def test_one_connection_in_full(capsys: Capsys) -> None:
    assert run(["analyze", "clean.pcap", "--connection", "0"]) == 0
    out = capsys.readouterr().out
    for part in ("SYN-SENT", "TIME-WAIT", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "MSS 8960", "1:", "Findings: none"):
        assert part in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_connection_that_is_not_there(capsys: Capsys) -> None:
    assert run(["analyze", "clean.pcap", "--connection", "1"]) == 2
    assert capsys.readouterr().err == "tcpscope: clean.pcap has no connection 1: it has connections 0 to 0\n"


# The table


def test_the_worst_connections_come_first_and_the_rest_is_counted(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(40, faulty=range(30, 33)))
    assert run(["analyze", "many.pcap"]) == 0
    out = capsys.readouterr().out
    streams = [
        int(line.split()[0]) for line in out.splitlines() if "→ 10.1.0.1:80  " in line and line[0] in " 0123456789"
    ]
    assert streams == [30, 31, 32, *range(17)]
    assert "20 more connections, all without findings: --all shows them" in out
    assert run(["analyze", "many.pcap", "--all"]) == 0
    out = capsys.readouterr().out
    assert out.count("→ 10.1.0.1:80  ") >= 40
    assert "more connection" not in out


def test_many_findings_of_a_rule_are_counted_not_listed(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(40, faulty=range(5, 38)))
    assert run(["analyze", "many.pcap"]) == 0
    out = capsys.readouterr().out
    assert "20 more connections, 7 without findings" in out
    assert out.count("Wireshark:") < 20
    assert "All findings by rule" in out
    assert run(["analyze", "many.pcap", "--all"]) == 0
    out = capsys.readouterr().out
    assert out.count("Wireshark:") >= 33
    assert "All findings by rule" not in out


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 220])
def test_the_table_fits_the_terminal(width: int, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    Path("many.pcap").write_bytes(many(3))
    assert run(["analyze", "clean.pcap", "many.pcap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if "→" in line or "──" in line]
    assert tables
    assert max(map(len, tables)) <= max(width, 66)
    if width >= 160:
        assert "orderly (client, three-segment)" in "".join(lines)


# Colour and encoding


def test_no_colour_without_a_terminal(capsys: Capsys) -> None:
    assert run(["analyze", "unanswered.pcap"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_colour_on_request_even_with_no_color(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["analyze", "unanswered.pcap", "--color", "always"]) == 0
    colored = capsys.readouterr().out
    assert "\x1b[33mwarning\x1b[0m" in colored
    assert run(["analyze", "unanswered.pcap", "--color", "never"]) == 0
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("no_color", "colored"), [(None, True), ("1", False), ("", True)])
def test_colour_on_a_terminal(no_color: str | None, colored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty()
    process = tcpscope_process("analyze", "unanswered.pcap", stdout=theirs, stderr=theirs)
    os.close(theirs)
    out = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(ours)
    assert process.wait() == 0
    assert (b"\x1b[33mwarning" in out) is colored


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_outputs_that_cannot_take_unicode(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    process = tcpscope_process("analyze", "clean.pcap", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"192.168.100.101:51000 > 192.168.100.102:8080" in out
    assert out.isascii()


# Output


def test_output_to_a_file(capsys: Capsys) -> None:
    assert run(["analyze", "clean.pcap"]) == 0
    shown = capsys.readouterr().out
    assert run(["analyze", "clean.pcap", "--output", "report.txt"]) == 0
    assert capsys.readouterr().out == ""
    assert Path("report.txt").read_text(encoding="utf-8") == shown


@pytest.mark.parametrize("command", ["analyze", "segments"])
def test_output_never_overwrites_the_input(command: str, capsys: Capsys) -> None:
    Path("link.pcap").symlink_to("clean.pcap")
    for name in ("clean.pcap", "link.pcap", "./clean.pcap"):
        assert run([command, "clean.pcap", "--output", name]) == 2
        assert capsys.readouterr().err == f"tcpscope: --output {name} would overwrite the input\n"
    assert Path("clean.pcap").read_bytes() == clean()


def test_output_that_cannot_be_written(directory: Path, capsys: Capsys) -> None:
    assert run(["analyze", "clean.pcap", "--output", "no/such/folder"]) == 2
    assert capsys.readouterr().err == "tcpscope: cannot write no/such/folder: No such file or directory\n"
    assert run(["analyze", "clean.pcap", "--output", str(directory)]) == 2
    assert capsys.readouterr().err == f"tcpscope: cannot write {directory}: Is a directory\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["analyze", "clean.pcap"], ["segments", "clean.pcap"], ["states"]])
def test_full_disk(arguments: list[str], capsys: Capsys) -> None:
    assert run([*arguments, "--output", "/dev/full"]) == 2
    assert capsys.readouterr().err == "tcpscope: cannot write /dev/full: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_standard_output_on_a_full_disk() -> None:
    with Path("/dev/full").open("wb") as full:
        process = tcpscope_process("analyze", "clean.pcap", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate()
    assert (process.returncode, err) == (2, b"tcpscope: cannot write standard output: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "arguments", [["analyze", "--all"], ["analyze", "--format", "jsonl"], ["segments"], ["analyze"]]
)
def test_a_closed_pipe_is_no_drama(arguments: list[str]) -> None:
    Path("many.pcap").write_bytes(many(300))
    process = tcpscope_process(*arguments, "many.pcap", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 2


@pytest.mark.skipif(os.name != "posix", reason="file descriptors of POSIX")
def test_closed_standard_output() -> None:
    process = tcpscope_process("analyze", "clean.pcap", stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    _, err = process.communicate()
    assert (process.returncode, err) == (2, b"tcpscope: cannot write standard output: it is closed\n")


class Interrupted(io.BytesIO):
    """A capture at whose end Ctrl-C is pressed instead of more bytes coming."""

    def read1(self, size: int | None = -1, /) -> bytes:
        if self.tell() == len(self.getvalue()):
            signal.raise_signal(signal.SIGINT)
        return super().read1(size)


@pytest.mark.parametrize("arguments", [["analyze"], ["analyze", "--format", "json"], ["segments"]])
def test_interrupted_while_waiting_for_input(
    arguments: list[str], capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted(clean())))
    assert run([*arguments, "-"]) == 2
    out, err = capsys.readouterr()
    assert err == f"tcpscope: standard input: interrupted after {len(clean())} bytes\n"
    assert "192.168.100.101" in out or "SA" in out
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupted_while_working(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(session: Session, data: bytes) -> bool:
        signal.raise_signal(signal.SIGINT)
        return feed(session, data)

    feed = Session.feed
    monkeypatch.setattr(Session, "feed", work)
    assert run(["analyze", "clean.pcap", "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert err == f"tcpscope: clean.pcap: interrupted after {len(clean())} bytes\n"
    capture = json.loads(out)["captures"][0]
    assert capture["complete"] is False
    assert capture["connections"][0]["teardown"]["verdict"] == "orderly"


def test_a_second_interrupt_ends_it_at_once(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(session: Session, data: bytes) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Session, "feed", work)
    assert run(["analyze", "clean.pcap"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "tcpscope: interrupted")


# Standard input


@pytest.mark.parametrize("arguments", [["analyze", "-", "--format", "json"], ["segments", "-", "--format", "csv"]])
def test_standard_input(arguments: list[str], capsys: Capsys) -> None:
    process = tcpscope_process(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(clean())
    assert (process.returncode, err) == (0, b"")
    assert run([argument.replace("-", "clean.pcap") if argument == "-" else argument for argument in arguments]) == 0
    assert capsys.readouterr().out.replace('"path":"clean.pcap"', '"path":"-"') == out.decode()


# Help and version


def test_version(capsys: Capsys) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"tcpscope \d+\.\d+\S* \((un)?compiled\)\n", capsys.readouterr().out)


def test_help(capsys: Capsys) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, _, text in COMMANDS:
        assert re.search(rf"^  {name} +{re.escape(text)}$", out, re.MULTILINE)
    assert re.search(r"Exit status: 0 .* 1 .* 2 ", out.replace("\n", " "))


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_help_of_each_command(name: str, capsys: Capsys) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: tcpscope {name} ")
    assert max(map(len, out.splitlines())) <= 100


def test_no_command_shows_the_help(capsys: Capsys) -> None:
    assert run([]) == 2
    assert "Commands:" in "".join(capsys.readouterr())


def test_module_runs(directory: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "tcpscope", "analyze", "clean.pcap"], capture_output=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_inputs_that_are_over_leave_nothing_behind() -> None:
    """The process that ends with one command has no garbage collector running; thousands of inputs still need no memory."""
    capture = str(SAMPLES / "tls12.pcap")
    peaks = []
    for count in (20, 420):
        process = tcpscope_process("analyze", "--format", "jsonl", *[capture] * count, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(used.ru_maxrss)
    assert peaks[1] - peaks[0] < 6 * 1024
