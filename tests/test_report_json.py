"""JSON and JSON lines: the schema holds, every key of the contract is there, text from the wire stays harmless."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tcpscope.cli.main import run
from tests.captures import SCENARIOS, clean, many, scenario, unanswered
from tests.scenario import build, parse

Capsys = pytest.CaptureFixture[str]
SCHEMA = json.loads(files("tcpscope.report").joinpath("schema.json").read_text(encoding="utf-8"))


def line_validator() -> Draft202012Validator:
    """Of one line of ``--format jsonl``."""
    return Draft202012Validator({**SCHEMA["$defs"]["line"], "$defs": SCHEMA["$defs"]})


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)


def report_of(capture: bytes, capsys: Capsys, *options: str) -> Any:
    """The JSON report of a capture; whatever is not in the schema's form fails here."""
    Path("c.pcap").write_bytes(capture)
    run(["analyze", "c.pcap", "--format", "json", *options])
    report = json.loads(capsys.readouterr().out)
    Draft202012Validator(SCHEMA).validate(report)
    return report


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_scenario_fits_the_schema(path: Path, capsys: Capsys) -> None:
    report = report_of(scenario(path.stem), capsys)
    for connection in report["captures"][0]["connections"]:
        line_validator().validate({"path": "c.pcap", **connection})


def test_a_clean_connection(capsys: Capsys) -> None:
    report = report_of(clean(), capsys)
    assert report["schema"] == "tcpscope/1"
    (capture,) = report["captures"]
    assert (capture["path"], capture["format"], capture["frames"], capture["segments"]) == ("c.pcap", "pcap", 9, 9)
    assert (capture["complete"], capture["damage"], capture["skipped"]) == (True, None, {})
    assert capture["first_time"] == "2024-01-01T00:00:00.000000000Z"
    assert capture["last_time"] == "2024-01-01T00:00:00.050500000Z"
    assert capture["duration"] == 0.0505
    (connection,) = capture["connections"]
    assert connection["stream"] == 0
    assert connection["client"] == {"address": "192.168.100.101", "port": 51000}
    assert connection["server"] == {"address": "192.168.100.102", "port": 8080}
    assert connection["roles"] == "syn"
    assert connection["handshake"] == {
        "verdict": "complete",
        "frames": {"syn": 1, "syn_ack": 2, "ack": 3},
        "rtt": 0.0101,
    }
    assert connection["teardown"] == {
        "verdict": "orderly",
        "form": "three-segment",
        "active_closer": "client",
        "reset_by": None,
        "frames": {"fin": 7, "fin_ack": 8, "peer_fin": 8, "final_ack": 9, "rst": None},
    }
    assert connection["time_wait"] == {"verdict": "not-observed", "side": "client", "observed": 0.0, "required": 60.0}
    assert connection["states"]["client"] == [
        ["CLOSED", None],
        ["SYN-SENT", 1],
        ["ESTABLISHED", 2],
        ["FIN-WAIT-1", 7],
        ["FIN-WAIT-2", 8],
        ["TIME-WAIT", 8],
    ]
    assert connection["states"]["server"] == [
        ["LISTEN", None],
        ["SYN-RECEIVED", 1],
        ["ESTABLISHED", 3],
        ["CLOSE-WAIT", 7],
        ["LAST-ACK", 8],
        ["CLOSED", 9],
    ]
    assert connection["completeness"] == 31
    assert connection["traffic"]["client"]["payload_bytes"] == 100
    assert connection["traffic"]["server"]["unique_bytes"] == 2000
    assert connection["rtt"]["handshake"] == 0.0101
    assert connection["rtt"]["client"]["samples"] > 0
    assert connection["tls"] is None
    assert connection["diagnosis"]["where"] == "none"
    assert connection["findings"] == []
    counts = {"error": 0, "warning": 0, "note": 0}
    assert report["summary"] == {"captures": 1, "connections": 1, "frames": 9, "findings": counts}
    assert report["errors"] == []


def test_a_finding(capsys: Capsys) -> None:
    report = report_of(unanswered(), capsys)
    (finding,) = report["captures"][0]["connections"][0]["findings"]
    assert finding["severity"] == "warning"
    assert finding["frames"] == [1, 2, 3]
    assert finding["display_filter"] == "tcp.stream eq 0 && frame.number in {1, 2, 3}"
    assert report["summary"]["findings"]["warning"] == 1


def test_connections_are_in_stream_order_however_they_end(capsys: Capsys) -> None:
    capture = many(30, faulty=range(0, 30, 3))
    report = report_of(capture, capsys, "--max-connections", "5")
    connections = report["captures"][0]["connections"]
    streams = [connection["stream"] for connection in connections]
    assert streams == sorted(streams)
    assert set(streams) == set(range(30))
    assert {connection["ended_by"] for connection in connections} >= {"evicted"}


def test_json_lines(capsys: Capsys) -> None:
    Path("many.pcap").write_bytes(many(12))
    Path("text.txt").write_text("no capture\n")
    assert run(["analyze", "many.pcap", "text.txt", "--format", "jsonl"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        line_validator().validate(line)
    assert sorted(line["stream"] for line in lines[:12]) == list(range(12))
    assert {line["path"] for line in lines[:12]} == {"many.pcap"}
    assert lines[12]["capture"]["connection_count"] == 12
    assert "connections" not in lines[12]["capture"]
    assert lines[13]["error"]["path"] == "text.txt"


def test_json_lines_and_json_say_the_same(capsys: Capsys) -> None:
    report = report_of(many(12, faulty=range(3)), capsys)["captures"][0]
    run(["analyze", "c.pcap", "--format", "jsonl"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    connections = sorted(lines[:-1], key=lambda line: line["stream"])
    assert [{k: v for k, v in line.items() if k != "path"} for line in connections] == report["connections"]
    assert lines[-1]["capture"] == {key: value for key, value in report.items() if key != "connections"}


def test_only_one_connection(capsys: Capsys) -> None:
    report = report_of(many(12, faulty=range(3)), capsys, "--connection", "2")
    assert [connection["stream"] for connection in report["captures"][0]["connections"]] == [2]
    assert report["captures"][0]["connection_count"] == 12
    assert report["summary"]["connections"] == 1
    assert report["summary"]["findings"]["warning"] == 1


HELLO = """# A ClientHello whose server name is an attack on the terminal.
server: 10.0.0.2:443
0.0   C > S  S
+.01  S > C  S.
+.01  C > S  .
+.01  C > S  P. hex {hello}
+.01  S > C  .
"""


def client_hello(name: bytes) -> bytes:
    """A TLS 1.2 ClientHello in one record."""

    def sized(body: bytes, width: int) -> bytes:
        return len(body).to_bytes(width, "big") + body

    entry = b"\0" + sized(name, 2)
    extension = b"\0\0" + sized(sized(entry, 2), 2)
    body = b"\x03\x03" + bytes(32) + b"\0" + sized(b"\xc0\x2f", 2) + b"\x01\0" + sized(extension, 2)
    return b"\x16\x03\x01" + sized(b"\x01" + sized(body, 3), 2)


@pytest.mark.parametrize(
    "name", [b"a\x1b[2J\x07.example", b"\xe2\x80\xaegpj.exe", b"\xff\xfe", b"=cmd()", b'"},{"a":"']
)
def test_server_names_are_escaped(name: bytes, capsys: Capsys) -> None:
    capture = build(parse(HELLO.format(hello=client_hello(name).hex())))
    report = report_of(capture, capsys)
    tls = report["captures"][0]["connections"][0]["tls"]
    assert tls["sni"].encode("utf-8") == name or name == b"\xff\xfe"
    for arguments in (["--all"], ["--connection", "0"], ["--format", "json"], ["--format", "jsonl"]):
        run(["analyze", "c.pcap", *arguments])
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\u202e" not in out


def test_options_change_the_report(capsys: Capsys) -> None:
    report = report_of(clean(), capsys, "--msl", "0.001")
    assert report["captures"][0]["connections"][0]["time_wait"]["required"] == 0.002
