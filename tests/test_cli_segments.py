"""``tcpscope segments``: one row a segment, the columns of the contract."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

import tcpscope
from tcpscope.cli.main import run
from tests.captures import clean, many, scenario
from tests.pcapwriter import Record, Tcp, pcap, tcp
from tests.scenario import build, parse
from tests.test_wire_wlan import IEEE802_11, OUI, subframe, wlan

Capsys = pytest.CaptureFixture[str]
HEAD = "frame,time,stream,side,source,destination,seq,ack,flags,length,window,analysis,cause,client_state,server_state"
COLUMNS = HEAD.split(",")

LOSSY = """# A lost segment that is sent again after the time-out, and a retransmission.
window: 1000
0.000  C > S  S  <mss 1460,nop,wscale 2>
+.010  S > C  S. <mss 1460,nop,wscale 3>
+.001  C > S  .
+.001  C > S  P. (100)
+.300  C > S  P. seq 1 (100)
+.010  S > C  .
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in, with a capture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("clean.pcap").write_bytes(clean())


def rows(name: str, capsys: Capsys, *options: str) -> list[dict[str, str]]:
    """The rows of the CSV output."""
    assert run(["segments", name, "--format", "csv", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    reader = csv.DictReader(io.StringIO(out))
    assert reader.fieldnames == COLUMNS
    return list(reader)


def test_csv(capsys: Capsys) -> None:
    found = rows("clean.pcap", capsys)
    assert [row["frame"] for row in found] == [str(number) for number in range(1, 10)]
    assert [row["flags"] for row in found] == ["S", "SA", "A", "PA", "PA", "A", "FA", "FA", "A"]
    assert [row["length"] for row in found] == ["0", "0", "0", "100", "2000", "0", "0", "0", "0"]
    first, second = found[:2]
    assert first["time"] == "2024-01-01T00:00:00.000000000Z"
    assert (first["source"], first["destination"]) == ("192.168.100.101:51000", "192.168.100.102:8080")
    assert (second["source"], second["destination"]) == (first["destination"], first["source"])
    assert [row["side"] for row in found[:3]] == ["client", "server", "client"]
    assert (first["seq"], first["ack"]) == ("1000", "0")
    assert (second["seq"], second["ack"]) == ("4294967295", "1001")
    assert (found[2]["seq"], found[2]["ack"]) == ("1001", "0")
    assert {row["stream"] for row in found} == {"0"}
    assert (first["client_state"], first["server_state"]) == ("SYN-SENT", "")
    assert found[3]["client_state"] == "ESTABLISHED"


def test_window_is_scaled_where_the_scale_is_known(capsys: Capsys) -> None:
    Path("lossy.pcap").write_bytes(build(parse(LOSSY)))
    assert [row["window"] for row in rows("lossy.pcap", capsys)] == ["1000", "1000", "4000", "4000", "4000", "8000"]


def test_analysis_and_cause(capsys: Capsys) -> None:
    Path("lossy.pcap").write_bytes(build(parse(LOSSY)))
    found = rows("lossy.pcap", capsys)
    assert [row["analysis"] for row in found] == ["", "", "", "", "retransmission", ""]
    assert [bool(row["cause"]) for row in found] == [False, False, False, False, True, False]


def test_ipv6_addresses_are_in_brackets(capsys: Capsys) -> None:
    Path("v6.pcap").write_bytes(scenario("ipv6-half-close"))
    assert rows("v6.pcap", capsys)[0]["source"] == "[2001:db8::1]:50000"


def test_one_connection(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(5))
    everything = rows("many.pcap", capsys)
    chosen = rows("many.pcap", capsys, "--connection", "3")
    assert chosen == [row for row in everything if row["stream"] == "3"]
    assert chosen


def test_a_range_of_frames(capsys: Capsys) -> None:
    for value, numbers in (("3-5", [3, 4, 5]), ("8-", [8, 9]), ("-2", [1, 2]), ("4", [4]), ("7-3", [])):
        assert [int(row["frame"]) for row in rows("clean.pcap", capsys, "--frames", value)] == numbers
    assert run(["segments", "clean.pcap", "--frames", "a-b"]) == 2
    assert "no range of frames" in capsys.readouterr().err


def test_only_what_is_flagged(capsys: Capsys) -> None:
    Path("lossy.pcap").write_bytes(build(parse(LOSSY)))
    found = rows("lossy.pcap", capsys, "--flagged")
    assert [(row["frame"], row["cause"]) for row in found] == [("5", "timeout")]
    everything = rows("clean.pcap", capsys)
    assert rows("clean.pcap", capsys, "--flagged") == [row for row in everything if row["analysis"] or row["cause"]]


def test_json_lines_have_the_same_cells(capsys: Capsys) -> None:
    expected = rows("clean.pcap", capsys)
    assert run(["segments", "clean.pcap", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [COLUMNS] * 9
    assert [{key: str(value) for key, value in line.items()} for line in lines] == expected
    assert {type(lines[0][key]) for key in ("frame", "stream", "seq", "ack", "length", "window")} == {int}


def test_no_cell_is_a_formula(capsys: Capsys) -> None:
    Path("lossy.pcap").write_bytes(build(parse(LOSSY)))
    for row in rows("lossy.pcap", capsys):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


@pytest.mark.parametrize(("width", "heads"), [(80, 9), (120, 12), (160, 14)])
def test_table(width: int, heads: int, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["segments", "clean.pcap"]) == 0
    head, rule, *body = capsys.readouterr().out.splitlines()
    assert len(re.split(r"  +", head.strip())) == heads
    assert len(rule) <= width
    assert len(body) == 9
    assert "0.010000" in body[1]


def test_a_long_table_repeats_its_head(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(200))
    assert run(["segments", "many.pcap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.split()[:1] == ["frame"] for line in lines) == 3
    assert sum(line.split()[0].isdigit() for line in lines) == 1200


def test_a_cut_capture_is_listed_as_far_as_it_goes(capsys: Capsys) -> None:
    Path("cut.pcap").write_bytes(clean()[:-3])
    assert run(["segments", "cut.pcap", "--format", "csv"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 9
    assert err.startswith("tcpscope: cut.pcap: cut inside a packet record at byte ")


def test_vnc_on_another_port_takes_a_second_stream_number_as_in_wireshark(capsys: Capsys) -> None:
    """tshark 4.0 gives what follows the server's version a tcp.stream of its own; numbers after it shift (RFC 6143 7.1.1)."""
    text = r"""# Two VNC servers, one on a port of its own choice.
server: 10.0.0.2:6900
client2: 10.0.0.1:40001
server2: 10.0.0.2:5900
0.000 C > S S
+.001 S > C S.
+.001 C > S .
+.001 S > C P. data "RFB 003.008\n"
+.001 C2 > S2 S
+.001 C > S P. data "RFB 003.008\n"
+.001 S > C P. (2)
+.001 S2 > C2 S.
+.001 C2 > S2 .
+.001 S2 > C2 P. data "RFB 003.008\n"
+.001 C2 > S2 P. data "RFB 003.008\n"
"""
    Path("vnc.pcap").write_bytes(build(parse(text)))
    streams = [int(row["stream"]) for row in rows("vnc.pcap", capsys)]
    assert streams == [0, 0, 0, 0, 1, 2, 2, 1, 1, 1, 1]
    late = build(parse(text.replace("5900", "80") + "+1 C > S S seq =77\n+.001 S > C S.\n"))
    Path("late.pcap").write_bytes(late)
    assert int(rows("late.pcap", capsys)[-1]["stream"]) == 4
    assert [connection.stream for connection in tcpscope.analyze("late.pcap").connections] == [0, 1, 4]


def test_every_segment_of_a_frame_has_its_row(capsys: Capsys) -> None:
    """An A-MSDU of IEEE 802.11 carries several packets in one frame."""
    ends = ("10.0.0.1", "10.0.0.2", 40000, 80)
    packets = [tcp(Tcp(*ends, seq, payload=bytes(length))) for seq, length in ((1, 100), (101, 5), (106, 0))]
    datagram = OUI + b"\x08\x06" + bytes(28)
    several = wlan(
        b"".join(subframe(OUI + b"\x08\x00" + packet) for packet in packets) + datagram, 0x88, extra=b"\x80\0"
    )
    single = wlan(OUI + b"\x08\x00" + tcp(Tcp(*ends, 106, flags=0x11)))
    Path("wlan.pcap").write_bytes(pcap([Record(0, several), Record(1, single)], IEEE802_11))
    found = rows("wlan.pcap", capsys)
    assert [(row["frame"], row["seq"], row["length"]) for row in found] == [
        ("1", "1", "100"),
        ("1", "101", "5"),
        ("1", "106", "0"),
        ("2", "106", "0"),
    ]
