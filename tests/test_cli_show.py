"""``tcpscope show``: the ladder diagram of a connection, as text and as a picture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import tcpscope
from tcpscope.cli.main import run
from tcpscope.cli.twice import Twice
from tcpscope.options import Options
from tcpscope.report.ladder import Gap, Ladder, Phase, Row, Subject, ladder, wanted_frames
from tcpscope.report.ladder_rows import Chooser, Rereader
from tcpscope.report.ladder_svg import ladder_svg
from tcpscope.report.ladder_text import ladder_text
from tcpscope.report.session import Session
from tcpscope.report.style import Style
from tests.captures import SAMPLES, clean, many, scenario
from tests.pcapwriter import Record, pcap
from tests.scenario import build, parse

Capsys = pytest.CaptureFixture[str]
SVG = "{http://www.w3.org/2000/svg}"
EVERY = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".pcap", ".pcapng"}) if SAMPLES.is_dir() else []
FRAME = re.compile(r" *(\d+) +(-?\d+\.\d+) ")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("clean.pcap").write_bytes(clean())


def show(capsys: Capsys, path: object, *options: str) -> list[str]:
    """The lines of a diagram."""
    assert run(["show", str(path), *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return str(out).splitlines()


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.pcap")


def row(lines: list[str], frame: int) -> str:
    """The line of a frame, without its time, runs of blanks and of what arrows are made of shortened."""
    found = [line for line in lines if (match := FRAME.match(line)) and int(match[1]) == frame]
    assert len(found) == 1, found
    return re.sub(r"─+", "─", re.sub(r" +", " ", FRAME.sub("", found[0]))).strip()


def notes(lines: list[str], frame: int) -> str:
    """What stands below the arrow of a frame."""
    numbers = [int(match[1]) if (match := FRAME.match(line)) else 0 for line in lines]
    below = []
    for line in lines[numbers.index(frame) + 1 :]:
        if "│" not in line or FRAME.match(line):
            break
        below.append(line.strip(" │"))
    return " ".join(below)


def drawn(path: Path | str, rows: int | None = None, stream: int | None = None) -> Ladder:
    """The diagram before it is text."""
    options = Options()
    with Twice((str(path),), False) as capture:
        subject = Subject(options.msl_ns)
        capture.first(Session(options, subject.connection, stream))
        assert subject.report is not None
        assert subject.target is not None
        chooser = Chooser(subject.target, wanted_frames(subject.report), rows)
        capture.again(Rereader(options, {subject.target: (chooser,)}))
        return ladder(subject.report, chooser, subject.other_parts)


# What it teaches


def test_a_clean_connection(capsys: Capsys) -> None:
    lines = show(capsys, "clean.pcap")
    assert row(lines, 1) == "SYN-SENT │─ SYN seq=0 ─▶│ SYN-RECEIVED"
    assert row(lines, 2) == "ESTABLISHED │◀─ SYN,ACK seq=0 ack=1 ─│"
    assert row(lines, 3) == "│─ ACK seq=1 ack=1 ─▶│ ESTABLISHED"
    assert row(lines, 4) == "│─ PSH,ACK seq=1 ack=1 len=100 ─▶│"
    assert row(lines, 7) == "FIN-WAIT-1 │─ FIN,ACK seq=101 ack=2001 ─▶│ CLOSE-WAIT"
    assert row(lines, 8) == "FIN-WAIT-2 │◀─ FIN,ACK seq=2001 ack=102 ─│ LAST-ACK"
    assert row(lines, 9) == "│─ ACK seq=102 ack=2002 ─▶│ CLOSED"
    assert any(line.split() == ["CLOSED", "│", "│", "LISTEN"] for line in lines)
    assert any(line.split() == ["TIME-WAIT", "│", "│"] for line in lines)
    heads = [line for line in lines if line.startswith("frame")]
    assert heads[0].split()[-2:] == ["192.168.100.101:51000", "192.168.100.102:8080"]
    assert lines[-1] == "Findings: none"


def test_each_part_of_its_life_has_a_name_and_a_line(capsys: Capsys) -> None:
    lines = show(capsys, "clean.pcap")
    parts = [line for line in lines if re.match(r"(Opening|Data|Closing|TIME-WAIT): ", line)]
    assert [part.split(":")[0] for part in parts] == ["Opening", "Data", "Closing", "TIME-WAIT"]
    assert parts[0] == "Opening: complete, all three segments seen; round trip 10.1 ms"
    assert parts[1] == "Data: 100 B from the client, 2 kB from the server"
    assert parts[2] == "Closing: orderly (client, three-segment), both FINs acknowledged"
    order = [lines.index(part) for part in parts]
    numbers = [int(match[1]) if (match := FRAME.match(line)) else 0 for line in lines]
    assert order[0] < numbers.index(1) < numbers.index(3) < order[1] < numbers.index(4)
    assert numbers.index(6) < order[2] < numbers.index(7) < numbers.index(9) < order[3]


def test_where_it_was_captured(capsys: Capsys) -> None:
    assert "captured near the client: the shortest round trip is" in " ".join(show(capsys, sample("last-ack-lost")))
    assert "captured near the server: the shortest round trip is" in " ".join(
        show(capsys, sample("lost-data-fast-retransmit"))
    )


def test_a_lost_segment_does_not_arrive(capsys: Capsys) -> None:
    lines = show(capsys, sample("lost-data-fast-retransmit"))
    assert [FRAME.match(line)[1] for line in lines if "✕" in line] == ["9"]  # type: ignore[index]
    assert row(lines, 9).startswith("│ ✕─")
    assert notes(lines, 9) == "lost behind the capture point TS405"
    assert notes(lines, 27) == "fast_retransmission (fast-retransmit) · TS405"
    assert "  warning TS405 fast-retransmission · server · frames 9, 27" in lines


def test_a_probe_that_arrives_proves_the_loss_before_it(capsys: Capsys) -> None:
    lines = show(capsys, sample("tail-loss-probe"))
    assert [FRAME.match(line)[1] for line in lines if "✕" in line] == ["14"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["timeout-retransmit", "spurious-retransmit", "duplicated", "syn-lost"])
def test_what_may_have_arrived_is_not_drawn_as_lost(name: str, capsys: Capsys) -> None:
    assert not any("✕" in line for line in show(capsys, sample(name)))


SACKED = """# The second of four segments is sent again, SACK blocks above it.
0.0    C > S  S  <mss 1460,sackOK>
+.01   S > C  S. <mss 1460,sackOK>
+.001  C > S  .
+.001  C > S  P. (1000)
+.0001 C > S  P. (1000)
+.0001 C > S  P. (1000)
+.0001 C > S  P. (1000)
+.01   S > C  . ack 1001
+.0001 S > C  . ack 1001 <sack 2001:3001>
+.0001 S > C  . ack 1001 <sack 2001:4001>
+.001  C > S  P. 1001:2001(1000)
+.01   S > C  . ack 4001{}
"""


def test_a_reported_duplicate_takes_the_proof_of_a_loss_back(capsys: Capsys) -> None:
    Path("lost.pcap").write_bytes(build(parse(SACKED.format(""))))
    assert notes(show(capsys, "lost.pcap"), 5).startswith("lost behind the capture point")
    Path("late.pcap").write_bytes(build(parse(SACKED.format(" <sack 1001:2001>"))))
    assert not any("✕" in line for line in show(capsys, "late.pcap"))


def test_a_closed_window(capsys: Capsys) -> None:
    lines = show(capsys, sample("zero-window"))
    assert notes(lines, 15).startswith("zero_window · TS501")
    assert notes(lines, 16) == "keep_alive (zero-window-probe) TS505"
    assert notes(lines, 21) == "window_update · TS501"


def test_tls_messages_stand_at_the_segment_that_completes_them(capsys: Capsys) -> None:
    lines = show(capsys, sample("tls12"))
    assert notes(lines, 4) == "TLS ClientHello (www.example.test)"
    assert notes(lines, 6) == "TLS ServerHello, Certificate, ServerKeyExchange, ServerHelloDone"
    assert any(line.startswith("Data:") and "TLS 1.2" in line for line in lines)


def test_a_reset(capsys: Capsys) -> None:
    lines = show(capsys, sample("refused"))
    assert row(lines, 2) == "CLOSED │◀─ RST,ACK seq=0 ack=1 ─│"
    assert "Opening: refused, the SYN was answered by RST" in lines


def test_a_handshake_that_is_never_finished(capsys: Capsys) -> None:
    Path("half.pcap").write_bytes(scenario("half-open"))
    lines = show(capsys, "half.pcap")
    assert "Opening: half-open, the SYN,ACK was never acknowledged" in lines
    assert not any(line.startswith(("Data", "Closing")) for line in lines)
    assert "TS106" in notes(lines, 2)


def test_ports_that_are_used_again(capsys: Capsys) -> None:
    lines = show(capsys, sample("port-reused-refused"), "--connection", "0")
    assert "  its ports were taken over by connection 1" in lines
    assert row(lines, 14) == "│─ RST seq=11 ─▶│ CLOSED"  # it is frame 12 that belongs to the other connection
    assert not any((match := FRAME.match(line)) and match[1] == "12" for line in lines)
    other = show(capsys, sample("port-reused-refused"), "--connection", "1")
    assert row(other, 12).startswith("SYN-SENT │─ SYN seq=0 ─▶│")


def test_ipv6_and_frames_of_others_between(capsys: Capsys) -> None:
    lines = show(capsys, sample("ipv6-http"))
    assert next(line for line in lines if line.startswith("frame")).split()[-2:] == [
        "[fd00:77::1]:53000",
        "[fd00:77::2]:80",
    ]
    assert row(lines, 4) == "SYN-SENT │─ SYN seq=0 ─▶│ SYN-RECEIVED"


def test_a_capture_that_begins_in_the_middle(capsys: Capsys) -> None:
    lines = show(capsys, sample("mid-connection"))
    assert "Opening: not-captured, the capture starts after it" in lines
    assert row(lines, 1) == "ESTABLISHED │─ PSH,ACK seq=1 ack=1 len=9 ─▶│"


def test_a_state_that_only_time_ends(capsys: Capsys) -> None:
    lines = show(capsys, sample("time-wait-held"), "--connection", "0")
    assert any("2 MSL are over" in line and line.split()[0] == "CLOSED" for line in lines)


# Which connection


def test_the_worst_connection_is_drawn_unless_another_is_asked_for(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(6, faulty=range(4, 5)))
    assert show(capsys, "many.pcap")[0].startswith("Connection 4 ")
    assert show(capsys, "many.pcap", "--connection", "2")[0].startswith("Connection 2 ")


def test_a_connection_that_is_not_there(capsys: Capsys) -> None:
    assert run(["show", "clean.pcap", "--connection", "7"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "tcpscope: clean.pcap has no connection 7: it has connections 0 to 0\n")


def test_a_capture_without_connections(capsys: Capsys) -> None:
    Path("empty.pcap").write_bytes(pcap([]))
    assert run(["show", "empty.pcap"]) == 2
    assert capsys.readouterr().err == "tcpscope: empty.pcap has no connection to draw: it has none\n"
    Path("none.pcap").write_bytes(b"no capture at all, whatever its name says")
    assert run(["show", "none.pcap"]) == 2
    assert capsys.readouterr().err.startswith("tcpscope: none.pcap: ")


def test_a_damaged_capture_is_drawn_as_far_as_it_goes(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(clean()[:-3])
    assert run(["show", "cut.pcap"]) == 2
    out, err = capsys.readouterr()
    assert FRAME.search(out)
    assert err.startswith("tcpscope: cut.pcap: cut inside a packet record at byte ")


def test_files_that_are_joined(capsys: Capsys) -> None:
    data = clean()
    size, cut = 24, 24
    for _ in range(4):
        cut += 16 + int.from_bytes(data[cut + 8 : cut + 12], "little")
    Path("a.pcap").write_bytes(data[:cut])
    Path("b.pcap").write_bytes(data[:size] + data[cut:])
    whole, joined = show(capsys, "clean.pcap"), show(capsys, "b.pcap", "a.pcap", "--join")
    assert joined == whole
    assert run(["show", "a.pcap", "b.pcap"]) == 2
    assert "--join" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["show", "-"], ["explain", "-", "--frame", "9"]])
def test_a_pipe_gives_what_the_file_gives(command: list[str]) -> None:
    name = sample("lost-data-fast-retransmit")

    def result(arguments: list[str], data: bytes) -> bytes:
        call = [sys.executable, "-m", "tcpscope", *arguments]
        root = Path(__file__).parent.parent
        return subprocess.run(call, input=data, capture_output=True, check=True, cwd=root).stdout

    from_file = result([command[0], name, *command[2:]], b"")
    assert from_file
    assert result(command, Path(name).read_bytes()) == from_file


# How much


def long_connection(rounds: int) -> bytes:
    """Handshake, many requests with answers, every hundredth of which comes out of order, a FIN of each side."""
    lines = ["# A long connection.", "0.0 C > S S <mss 1460>", "+.01 S > C S. <mss 1460>", "+.01 C > S ."]
    for number in range(rounds):
        lines.append("+.001 C > S P. (100)")
        if number % 100 == 99:
            first = 1000 * number + 1
            lines.append(f"+.001 S > C . {first + 500}:{first + 1000}(500)")
            lines.append(f"+.0001 S > C . {first}:{first + 500}(500)")
        else:
            lines.append("+.001 S > C . (1000)")
        lines.append("+.001 C > S .")
    return build(parse("\n".join([*lines, "+.01 C > S F.", "+.01 S > C F.", "+.01 C > S ."])))


def test_a_long_connection_is_a_screen_or_two(capsys: Capsys) -> None:
    Path("long.pcap").write_bytes(long_connection(600))
    lines = show(capsys, "long.pcap")
    assert len(lines) < 110
    assert row(lines, 1).startswith("SYN-SENT")
    assert row(lines, 4).startswith("│─ PSH,ACK seq=1 ")
    assert any("out_of_order" in line for line in lines)
    assert any("FIN-WAIT-1" in line for line in lines)
    assert len(show(capsys, "long.pcap", "--rows", "120")) > len(lines)


def test_what_is_left_out_is_counted(capsys: Capsys) -> None:
    Path("long.pcap").write_bytes(long_connection(300))
    for rows in (5, 10, 40, 100, 1000):
        picture = drawn("long.pcap", rows)
        gaps = [item for item in picture.items if isinstance(item, Gap)]
        shown = [item.arrow for item in picture.items if isinstance(item, Row)]
        traffic = (picture.connection.client_side.traffic, picture.connection.server_side.traffic)
        assert len(shown) + sum(gap.segments for gap in gaps) == picture.segments
        for side in (0, 1):
            left_out = sum(gap.sent[side] for gap in gaps)
            assert sum(arrow.length for arrow in shown if arrow.side == side) + left_out == traffic[side].payload_bytes
        late = sum(count for gap in gaps for name, count in gap.flagged if name == "out_of_order")
        assert late + sum(arrow.analysis >> 3 & 1 for arrow in shown) == 3
        assert len(shown) <= 2 * rows
    text = " ".join(" ".join(show(capsys, "long.pcap")).replace("⋮", " ").split())
    assert re.search(r"… [\d,]+ segments, [\d.]+ kB →, [\d.]+ kB ←, [\d.]+ m?s", text)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_sample_fits_every_width(path: Path) -> None:
    picture = drawn(path)
    gaps = sum(item.segments for item in picture.items if isinstance(item, Gap))
    assert picture.drawn + gaps == picture.segments
    names = [item.name for item in picture.items if isinstance(item, Phase)]
    assert names == sorted(set(names), key=["Opening", "Data", "Closing", "TIME-WAIT"].index)
    for width in (40, 60, 80, 100, 120, 160, 400):
        style = Style(width)
        for line in ladder_text(style, picture).splitlines():
            assert len(line) <= max(width, 44) or "Wireshark:" in line, line
        assert Style(width, unicode=False).finish(ladder_text(style, picture)).isascii()
    ET.fromstring(ladder_svg(picture))


def test_frames_that_are_asked_for(capsys: Capsys) -> None:
    Path("long.pcap").write_bytes(long_connection(300))
    lines = show(capsys, "long.pcap", "--frames", "500-510")
    numbers = [int(match[1]) for line in lines if (match := FRAME.match(line))]
    assert set(range(500, 511)) <= set(numbers)
    assert numbers[0] == 1
    assert run(["show", "long.pcap", "--frames", "x"]) == 2
    assert "no range of frames" in capsys.readouterr().err


# How it looks


def test_narrow_terminals_name_the_sides(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = show(capsys, "clean.pcap")
    assert row(lines, 1) == "│─ SYN seq=0 ─▶│"
    assert notes(lines, 1) == "client: SYN-SENT server: SYN-RECEIVED"
    assert row(lines, 5) == "│◀─ PA seq=1 (2000) ─│" or "PA" in row(lines, 5)


def test_wide_terminals_have_remarks_beside_the_arrows(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    lines = show(capsys, sample("lost-data-fast-retransmit"))
    assert row(lines, 27).endswith("│ fast_retransmission (fast-retransmit) · TS405")
    assert "MSS 1460" in row(lines, 1)


def test_colours_change_nothing_else(capsys: Capsys) -> None:
    plain = show(capsys, sample("tls12"))
    painted = show(capsys, sample("tls12"), "--color", "always")
    assert any("\x1b[" in line for line in painted)
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in painted] == plain


EVIL = b"\x1b[2J\n\xe2\x80\xae<bb>&\"'y"


@pytest.fixture
def evil() -> str:
    """A capture in which a server name holds an escape sequence, a line feed, a sign that turns text round, and markup."""
    data = Path(sample("tls12")).read_bytes()
    name = b"www.example.test"
    assert len(EVIL) == len(name)
    assert name in data
    Path("evil.pcap").write_bytes(data.replace(name, EVIL))
    return "evil.pcap"


def test_text_from_the_wire_is_escaped(evil: str, capsys: Capsys) -> None:
    lines = show(capsys, evil)
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)
    assert r"\x1b[2J\x0a\u{202e}<bb>&" in notes(lines, 4)


def test_a_picture_stands_alone(evil: str, capsys: Capsys) -> None:
    assert show(capsys, evil, "--svg", "ladder.svg") == []
    text = Path("ladder.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "style", "rect", "text", "tspan", "line", "path")
    }
    assert not any(name.endswith("href") or name.startswith("on") for element in root.iter() for name in element.attrib)
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    words = [("".join(element.itertext())) for element in root.iter(f"{SVG}text")]
    assert r"(\x1b[2J\x0a\u{202e}<bb>&" + "\"'y)" in words
    assert {"SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "SYN seq=0 win=64240", "10.77.0.1:52000"} <= set(words)


def test_a_picture_shows_a_loss(capsys: Capsys) -> None:
    name = sample("lost-data-fast-retransmit")
    root = ET.fromstring("\n".join(show(capsys, name, "--svg", "-")))
    lines = [element for element in root.iter(f"{SVG}line") if "arrow" in element.get("class", "")]
    lives = {element.get("x1") for element in root.iter(f"{SVG}line") if element.get("class") == "life"}
    assert len(lines) == 40
    assert sum(min(abs(float(line.get("x2", "")) - float(x or "")) for x in lives) > 5 for line in lines) == 1


def test_a_picture_takes_no_other_output(capsys: Capsys) -> None:
    assert run(["show", "clean.pcap", "--svg", "a.svg", "-o", "b.txt"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert not Path("a.svg").exists()
    assert run(["show", "clean.pcap", "--svg", "clean.pcap"]) == 2
    assert "would overwrite the input" in capsys.readouterr().err


@pytest.mark.parametrize("change", [lambda data: data[:40], lambda data: data[:2000], lambda data: bytes(64)])
def test_garbage_is_one_clean_error(change: Callable[[bytes], bytes], capsys: Capsys) -> None:
    Path("bad.pcap").write_bytes(change(Path(sample("tls12")).read_bytes()))
    assert run(["show", "bad.pcap"]) == 2
    assert capsys.readouterr().err.startswith("tcpscope: bad.pcap")


def test_time_that_goes_backwards_is_drawn(capsys: Capsys) -> None:
    data = Path("clean.pcap").read_bytes()
    records: list[Record] = []
    at = 24
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        records.append(Record((20 - len(records)) * 1_000_000_000, data[at + 16 : at + 16 + size]))
        at += 16 + size
    Path("back.pcap").write_bytes(pcap(records))
    lines = show(capsys, "back.pcap")
    assert sum(bool(FRAME.match(line)) for line in lines) == 9


def test_standard_input_is_drawn_even_beside_a_file_called_dash(tmp_path: Path) -> None:
    capture = (SAMPLES / "ecn.pcap").read_bytes()
    command = [sys.executable, "-m", "tcpscope", "show", "-"]
    environment = os.environ | {"PYTHONPATH": str(Path(str(tcpscope.__file__)).parent.parent)}
    drawn = []
    for _ in range(2):
        done = subprocess.run(command, input=capture, capture_output=True, check=False, cwd=tmp_path, env=environment)
        assert (done.returncode, done.stderr) == (0, b"")
        drawn.append(done.stdout)
        (tmp_path / "-").write_bytes(b"")
    assert drawn[0] == drawn[1]
    assert b"SYN-SENT" in drawn[0]
