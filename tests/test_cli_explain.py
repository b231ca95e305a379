"""``tcpscope explain``: why a segment is called what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.cli.main import run
from tcpscope.report.explain import copied, event_of
from tcpscope.report.explain_cause import RULES
from tcpscope.report.explain_flags import FlagRules
from tcpscope.state.facts import CAUSE_NAMES
from tcpscope.state.transitions import EVENT_NAMES, STATE_NAMES, TABLE
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import Segment
from tests.captures import SAMPLES, clean, scenario
from tests.pcapwriter import Record, Tcp, pcap, tcp
from tests.scenario import build, parse
from tests.test_wire_wlan import IEEE802_11, OUI, subframe, wlan

Capsys = pytest.CaptureFixture[str]
SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
CAPTURES = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".pcap", ".pcapng"}) if SAMPLES.is_dir() else []


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")  # no line is broken
    Path("clean.pcap").write_bytes(clean())


def explain(capsys: Capsys, path: object, frame: int, *options: str) -> str:
    """The explanation of a frame."""
    assert run(["explain", str(path), "--frame", str(frame), *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return str(out)


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.pcap")


# The conditions say what the analyzer says


def compared(data: bytes) -> set[str]:
    """Hold the rules in words against the analyzer, segment by segment; the flags that came up."""
    reader, frame, decoder, seg, analyzer = CaptureReader(), Frame(), Decoder(False), Segment(), WiresharkAnalyzer()
    reader.feed(data)
    reader.finish()
    seen: set[str] = set()
    while reader.advance(frame):
        decoded = decoder.decode(frame, seg) == 0
        while True:
            if decoded:
                rules = FlagRules(copied(seg), analyzer.direction_of(seg.key), str, str)
                flags = analyzer.analyze(seg)
                assert rules.flags == flags, f"frame {seg.frame}"
                seen |= {name for bit, name in enumerate(FLAG_NAMES) if flags >> bit & 1}
                for check in rules.checks:
                    assert not (check.near and check.holds)
            if not decoder.pending:
                break
            decoded = decoder.more(frame, seg)
    return seen


def test_the_conditions_give_the_flags_of_the_analyzer_on_every_sample() -> None:
    seen: set[str] = set()
    for path in CAPTURES:
        seen |= compared(path.read_bytes())
    for path in SCENARIOS:
        seen |= compared(scenario(path.stem))
    assert len(seen) >= 13


PROBES = """# A window probe of one byte, its answer, and the same port again.
window: 0
0.0   C > S  S  win 1000 <mss 1460>
+.01  S > C  S. win 100 <mss 1460>
+.01  C > S  .  win 1000
+.01  C > S  P. (100) win 1000
+.01  S > C  .
+.3   C > S  P. 101:102(1) win 1000 stray
+.01  S > C  .  ack 101
+.01  S > C  .  ack 101 win 50
+.01  C > S  P. 101:151(50) win 1000
+1    C > S  S  seq =77 win 1000 <mss 1460>
"""


def test_the_conditions_give_the_flags_that_no_sample_has() -> None:
    seen = compared(build(parse(PROBES)))
    assert seen >= {"zero_window_probe", "zero_window_probe_ack", "window_update", "window_full", "reused_ports"}


# What a person reads


def test_a_fast_retransmission(capsys: Capsys) -> None:
    text = explain(capsys, sample("lost-data-fast-retransmit"), 27)
    assert text.startswith("Frame 27, connection 0: server 10.77.0.2:7777 → client 10.77.0.1:51007\n")
    assert "sequence number 4345 to 5793 (raw 2869131932)" in text
    assert "acknowledged in full by frame 35, 10.2 ms later" in text
    assert "Wireshark's analysis: retransmission, fast_retransmission" in text
    assert "    ✓ 2 duplicate acknowledgements are needed, 5 were seen\n" in text
    assert "below the highest number of its side, 17377, reached by frame 26" in text
    assert "Cause: fast-retransmit (RFC 5681 section 3.2)" in text
    assert "its first byte was sent 11.2 ms before in frame 9" in text
    assert "duplicate acknowledgements in a row; SACK blocks reach up to 14481" in text
    assert "warning TS405 fast-retransmission · server · frames 9, 27" in text
    first = explain(capsys, sample("lost-data-fast-retransmit"), 9)
    assert "sent again, all of it or a part, in frame 27" in first


def test_a_timeout_and_why_it_is_nothing_else(capsys: Capsys) -> None:
    text = explain(capsys, sample("timeout-retransmit"), 10)
    assert "Cause: timeout (RFC 6298 section 5)" in text
    assert "  not out_of_order; the rule: " in text
    assert "✗ it comes 645 ms after frame 8; the limit is 10.4 ms, the round trip of the handshake" in text
    assert "  not fast-retransmit:\n    ✗ 3 duplicate acknowledgements are needed, 0 came\n" in text
    assert "smoothed round trip 10.3 ms" in text


def test_a_repetition_that_proves_needless_later(capsys: Capsys) -> None:
    text = explain(capsys, sample("spurious-retransmit"), 12)
    assert "Cause: timeout" in text
    assert "needless, as it turned out: the ACK answers the timestamp of the earlier sending" in text
    assert "TS406" in text


def test_a_late_segment(capsys: Capsys) -> None:
    text = explain(capsys, sample("reordered"), 17)
    assert "Wireshark's analysis: out_of_order" in text
    assert "Cause: network-reordering" in text
    assert "frame 12 showed that bytes from" in text


def test_a_duplicate_acknowledgement(capsys: Capsys) -> None:
    text = explain(capsys, sample("lost-data-fast-retransmit"), 21)
    assert "Wireshark's analysis: duplicate_ack" in text
    assert "✓ it acknowledges 4345, its side's segment before 4345" in text
    assert "number 2 of the duplicates of frame" in text
    changed = explain(capsys, sample("lost-data-fast-retransmit"), 19)
    assert "window_update" in changed
    assert "  not duplicate_ack; the rule: " in changed


def test_a_probe_of_a_closed_window(capsys: Capsys) -> None:
    text = explain(capsys, sample("zero-window"), 16)
    assert "Wireshark's analysis: keep_alive" in text
    assert "Cause: zero-window-probe (RFC 9293 section 3.8.6.1)" in text
    assert "frame 15 had closed the other side's window" in text
    assert "  not zero_window_probe; the rule: " in text


def test_an_icmp_error_behind_a_retransmission(capsys: Capsys) -> None:
    text = explain(capsys, sample("path-mtu"), 26)
    assert "Cause: path-mtu" in text
    assert "ICMP in frames 7, 9, 11, 13, 15 and 3 more: the next hop takes packets of 1400 bytes" in text


def test_states_events_and_sections(capsys: Capsys) -> None:
    text = explain(capsys, "clean.pcap", 1)
    assert 'client: CLOSED → SYN-SENT by the event "send SYN" (RFC 9293 section 3.10.1)' in text
    assert 'server: LISTEN → SYN-RECEIVED by the event "receive SYN" (RFC 9293 section 3.10.7.2)' in text
    text = explain(capsys, "clean.pcap", 4)
    assert "client stays ESTABLISHED\n  server stays ESTABLISHED\n" in text
    assert "Cause: none" in text
    assert "the next number of its side: it repeats nothing" in text
    text = explain(capsys, "clean.pcap", 8)
    assert 'client: FIN-WAIT-1 → FIN-WAIT-2 by the event "receive ACK of FIN" (RFC 9293 section 3.10.7.4)' in text
    assert 'client: FIN-WAIT-2 → TIME-WAIT by the event "receive FIN" (RFC 9293 section 3.10.7.4)' in text
    assert 'server: CLOSE-WAIT → LAST-ACK by the event "send FIN" (RFC 9293 section 3.10.4)' in text
    text = explain(capsys, sample("mid-connection"), 2)
    assert (
        'server: unknown → ESTABLISHED by the event "data both ways" (RFC 9293 section 3.3.2, a row for observers)'
        in text
    )
    text = explain(capsys, sample("refused"), 2)
    assert 'client: SYN-SENT → CLOSED by the event "receive RST" (RFC 9293 section 3.10.7.3)' in text


def test_states_of_crossing_fins(capsys: Capsys) -> None:
    text = explain(capsys, sample("close-simultaneous"), 8)
    assert 'server: FIN-WAIT-1 → CLOSING by the event "receive FIN"' in text


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{STATE_NAMES[row[0]]}-{EVENT_NAMES[row[1]]}")
def test_an_event_is_found_by_the_states_around_it(row: tuple[int, int, int, str, str]) -> None:
    old, event, new, section, _ = row
    if old == new:
        return
    name = EVENT_NAMES[event]
    found, found_section, _ = event_of(
        STATE_NAMES[old], STATE_NAMES[new], not name.startswith("receive"), "RST" in name
    )
    assert found == name or (old, new) in {(r[0], r[2]) for r in TABLE if EVENT_NAMES[r[1]] == found}
    assert found_section == section or not name.startswith(("send", "receive"))


def test_ports_used_again_and_findings_of_other_connections(capsys: Capsys) -> None:
    text = explain(capsys, sample("port-reused-refused"), 12)
    assert "connection 1" in text.splitlines()[0]
    assert "Wireshark's analysis: reused_ports" in text
    assert "its raw sequence number is" in text
    assert "TS305 ports-reused-unsafely" in text  # of connection 0


def test_tls_messages(capsys: Capsys) -> None:
    text = explain(capsys, sample("tls12"), 6)
    assert "completes of TLS: ServerHello, Certificate, ServerKeyExchange, ServerHelloDone" in text


def test_every_cause_has_a_rule() -> None:
    assert set(CAUSE_NAMES) <= set(RULES)


def test_every_frame_of_every_sample_can_be_explained(capsys: Capsys) -> None:
    for path in CAPTURES[:: 1 if len(CAPTURES) < 20 else 9]:
        for frame in range(1, 40, 5):
            status = run(["explain", str(path), "--frame", str(frame)])
            out, err = capsys.readouterr()
            assert (status == 0 and f"Frame {frame}" in out) or (status == 2 and "frame" in err), (path, frame, err)


# What cannot be explained


def test_a_frame_that_is_not_there(capsys: Capsys) -> None:
    assert run(["explain", "clean.pcap", "--frame", "99"]) == 2
    assert capsys.readouterr() == ("", "tcpscope: clean.pcap has no frame 99: it has 9\n")


def test_a_frame_without_a_segment(capsys: Capsys) -> None:
    path = sample("path-mtu")
    assert run(["explain", path, "--frame", "7"]) == 2
    assert capsys.readouterr().err == f"tcpscope: frame 7 of {path} holds no TCP segment: icmp-error\n"
    assert run(["explain", sample("ipv6-http"), "--frame", "1"]) == 2
    assert "holds no TCP segment: not-tcp" in capsys.readouterr().err


def test_a_segment_that_is_not_used(capsys: Capsys) -> None:
    Path("sum.pcap").write_bytes(scenario("bad-checksum"))
    statuses = [run(["explain", "sum.pcap", "--verify-checksums", "--frame", str(frame)]) for frame in range(1, 12)]
    err = capsys.readouterr().err
    assert "holds a segment that was not used: its TCP checksum is wrong" in err
    assert 0 in statuses


def test_an_empty_capture(capsys: Capsys) -> None:
    Path("empty.pcap").write_bytes(pcap([]))
    assert run(["explain", "empty.pcap", "--frame", "1"]) == 2
    assert capsys.readouterr().err == "tcpscope: empty.pcap has no frame 1: it has 0\n"
    Path("none.pcap").write_bytes(b"no capture")
    assert run(["explain", "none.pcap", "--frame", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_several_segments_in_one_frame(capsys: Capsys) -> None:
    """An A-MSDU of IEEE 802.11 carries several packets in one frame."""
    ends = ("10.0.0.1", "10.0.0.2", 40000, 80)
    packets = [tcp(Tcp(*ends, seq, payload=bytes(length))) for seq, length in ((1, 100), (101, 5), (101, 5))]
    several = wlan(b"".join(subframe(OUI + b"\x08\x00" + packet) for packet in packets), 0x88, extra=b"\x80\0")
    Path("wlan.pcap").write_bytes(pcap([Record(0, several)], IEEE802_11))
    text = explain(capsys, "wlan.pcap", 1)
    assert text.count("Frame 1, connection 0: ") == 3
    assert [line for line in text.splitlines() if line.startswith("Wireshark's analysis")] == [
        "Wireshark's analysis: no flag",
        "Wireshark's analysis: no flag",
        "Wireshark's analysis: retransmission",
    ]


def test_joined_files_name_the_file(capsys: Capsys) -> None:
    data = clean()
    cut = 24
    for _ in range(4):
        cut += 16 + int.from_bytes(data[cut + 8 : cut + 12], "little")
    Path("a.pcap").write_bytes(data[:cut])
    Path("b.pcap").write_bytes(data[:24] + data[cut:])
    assert run(["explain", "a.pcap", "b.pcap", "--join", "--frame", "7"]) == 0
    assert capsys.readouterr().out.startswith("Frame 7 (frame 3 of b.pcap), connection 0: client ")
    assert run(["explain", "a.pcap", "b.pcap", "--frame", "7"]) == 2
