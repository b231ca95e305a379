"""``tcpscope plot``: pictures of a connection's graphs."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tcpscope.cli.main import run
from tests.captures import SAMPLES, clean, unanswered

pytest.importorskip("vl_convert")

Capsys = pytest.CaptureFixture[str]
SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    Path("clean.pcap").write_bytes(clean())


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.pcap")


def texts(path: str = "out.svg") -> str:
    """All that is written in a picture, which is well-formed."""
    root = ET.fromstring(Path(path).read_text(encoding="utf-8"))
    assert root.tag == f"{SVG}svg"
    return "\n".join(element.text or "" for element in root.iter(f"{SVG}text"))


def refused(capsys: Capsys, *arguments: str) -> str:
    """The one line on standard error of a command that fails."""
    assert run(["plot", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return str(err).strip().splitlines()[-1]


def test_an_svg_of_all_graphs(capsys: Capsys) -> None:
    assert run(["plot", sample("lost-data-burst"), "-o", "out.svg"]) == 0
    assert capsys.readouterr() == ("", "")
    said = texts()
    for text in (
        "Connection 0 of lost-data-burst.pcap",
        "Sequence numbers, server 10.77.0.2:7777 → client 10.77.0.1:51061",
        "Round-trip times from the capture point",
        "payload in spans of 1 ms",
        "time since the first segment, ms",
        "sack-recovery",
        "receiver's window",
    ):
        assert text in said


def test_a_png_has_twice_the_pixels(capsys: Capsys) -> None:
    sizes = []
    for width in (700, 900):
        assert run(["plot", "clean.pcap", "-o", "out.PNG", "--width", str(width), "--dark"]) == 0
        data = Path("out.PNG").read_bytes()
        assert data.startswith(PNG)
        sizes.append(struct.unpack(">I", data[16:20])[0])
    assert sizes[1] - sizes[0] == 400
    assert sizes[1] == pytest.approx(1800, abs=100)
    assert capsys.readouterr() == ("", "")


def test_the_graphs_that_are_asked_for(capsys: Capsys) -> None:
    assert run(["plot", "clean.pcap", "--graph", "rtt", "--graph", "window", "-o", "out.svg"]) == 0
    said = texts()
    assert "Round-trip" in said
    assert "Bytes in flight" in said
    assert "Sequence" not in said
    assert "Throughput" not in said


def test_another_connection(capsys: Capsys) -> None:
    assert run(["plot", sample("http-many"), "--connection", "3", "-o", "out.svg"]) == 0
    assert "Connection 3 of http-many.pcap" in texts()
    assert "has no connection 77: it has connections 0 to" in refused(capsys, "clean.pcap", "--connection", "77")


@pytest.mark.parametrize("form", ["svg", "png"])
def test_standard_output(form: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["plot", "clean.pcap", "--format", form]) == 0
    out, err = capfdbinary.readouterr()
    assert out.startswith(PNG if form == "png" else b"<svg")
    assert err == b""


def test_no_png_for_a_terminal(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpscope.cli.output.Output.on_terminal", True)
    assert "nothing for a terminal" in refused(capsys, "clean.pcap", "--format", "png")


def test_a_name_that_says_no_format(capsys: Capsys) -> None:
    assert "neither .svg nor .png" in refused(capsys, "clean.pcap", "-o", "out.jpeg")
    assert not Path("out.jpeg").exists()
    assert run(["plot", "clean.pcap", "-o", "out.picture", "--format", "svg"]) == 0
    assert "Connection 0" in texts("out.picture")


def test_nothing_to_draw(capsys: Capsys) -> None:
    line = refused(capsys, sample("refused"))
    assert line == "tcpscope: connection 0 has nothing to draw: it carries no data"
    Path("syn.pcap").write_bytes(unanswered())
    line = refused(capsys, "syn.pcap", "--graph", "rtt")
    assert line == "tcpscope: connection 0 has nothing to draw: there is data for sequence-client"


def test_a_damaged_capture_is_drawn_as_far_as_it_goes(capsys: Capsys) -> None:
    data = Path(sample("lost-data-burst")).read_bytes()
    Path("cut.pcap").write_bytes(data[:-40])
    assert run(["plot", "cut.pcap", "-o", "out.svg"]) == 2
    assert "cut.pcap" in capsys.readouterr().err
    assert "Sequence numbers" in texts()


def test_the_extra_is_missing(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    line = refused(capsys, "clean.pcap", "-o", "out.svg")
    assert line == "tcpscope: drawing graphs needs pip install 'tcpscope[html]'"
    assert not Path("out.svg").exists()


def test_the_name_of_a_file_is_text(capsys: Capsys) -> None:
    name = "<script>&datum\x1b[31m.pcap"
    Path(name).write_bytes(clean())
    assert run(["plot", name, "-o", "out.svg"]) == 0
    said = texts()
    assert "<script>&datum\\x1b[31m.pcap" in said
    assert "<script>" not in Path("out.svg").read_text(encoding="utf-8")


def test_the_input_is_not_overwritten(capsys: Capsys) -> None:
    assert "would overwrite the input" in refused(capsys, "clean.pcap", "-o", "clean.pcap", "--format", "svg")
    assert Path("clean.pcap").read_bytes() == clean()
