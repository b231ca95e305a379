"""What the capture itself lacks or gets wrong: TS9xx, and what takes the proof away from findings that rest on absence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcpscope.options import Options
from tcpscope.pipeline import CaptureFacts, Pipeline
from tcpscope.report.model import Report
from tcpscope.rules.base import Context, Severity
from tcpscope.rules.capture_limits import SENTENCES, LimitReached
from tcpscope.state import limits
from tcpscope.state.checksums import MAX_HOSTS
from tcpscope.state.flows import ENDED_KEPT
from tcpscope.state.listeners import MAX_LISTENERS, Listener
from tcpscope.wire.fragments import MAX_DATAGRAMS
from tests.pcapwriter import RAW, Ip, Record, Tcp, fragment, link, pcap, tcp
from tests.rule_cases import CLOSED, analyze, ended, ending, judged
from tests.scenario import build, parse
from tests.test_rules import OPEN, findings, of, one
from tests.tls_builder import ALERT, C, S, Talk, client_hello, full12, handshake, message, record, server_hello, vector


def test_contradicting_fragments_are_told_and_left_out() -> None:
    opened = parse(OPEN + "+.1 C > S P. (100)\n")
    frame = opened.frames.pop()
    packet = frame.data[14:]
    other = packet[:20] + packet[20:52] + b"evil" + packet[56:]
    parts = [fragment(packet, 0, 48), fragment(other, 32, 120)]
    opened.frames += [Record(frame.time_ns, frame.data[:14] + part) for part in parts]
    finding = one(analyze(build(opened)), "TS914")
    assert (finding.severity, finding.frames, finding.count) == (Severity.WARNING, (7,), 1)
    assert "1 datagram whose fragments contradict each other was left out" in finding.message


def test_missing_fragments_say_where_the_first_begins() -> None:
    finding = one(judged("fragments-missing"), "TS915")
    assert finding.message == (
        "Not all fragments of 1 IP datagram were captured (the first begins in frame 4): TCP segments in them are "
        "missing here"
    )
    cut = one(of("+.1 C > S P. (100) fragments 0:48 48:120 cut 60\n"), "TS915")
    assert cut.message.startswith("The snap length cut 2 IP fragments (the first in frame 6)")


def sums(client: str, server: str, *, more: str = "", verify: bool = False) -> Report:
    """A conversation whose sides' checksums are as these words of the scenario language say."""
    lines = ["# Checksums.", f"0.0 C > S S <mss 1460> {client}", f"+.01 S > C S. <mss 1460> {server}"]
    lines += [
        f"+.01 C > S . {client}",
        f"+.01 C > S P. (100) {client} repeat 4",
        f"+.01 S > C P. (100) {server} repeat 4",
    ]
    return analyze(build(parse("\n".join([*lines, more]))), Options(verify_checksums=verify))


def test_offloading_is_told_from_damage_without_being_asked() -> None:
    finding = one(sums("nosum", ""), "TS911")
    assert finding.message == (
        "6 of 11 TCP checksums that were looked at are not filled in, those of 10.0.0.1: left to the network card, or to "
        "nobody on a virtual network. Nothing is damaged"
    )
    assert (finding.severity, finding.frames) == (Severity.NOTE, (1, 3, 4, 5, 6, 7))
    loopback = sums("nosum", "nosum", verify=True)
    assert "those of 10.0.0.1 and 10.0.0.2" in one(loopback, "TS911").message
    assert loopback.connections[0].server_side.traffic.payload_bytes == 400
    assert not findings(loopback, "TS906")


def test_segments_merged_on_arrival_have_no_checksum_either() -> None:
    finding = one(sums("", "", more="+.01 S > C P. (1000) nosum"), "TS911")
    assert "1 of 12 TCP checksums that were looked at is not filled in: the segments were merged" in finding.message


def test_a_cut_segment_shows_that_its_checksum_was_left_to_the_card() -> None:
    assert "those of 10.0.0.1" in one(sums("nosum cut 60", "cut 60"), "TS911").message
    assert not findings(sums("cut 60", "cut 60"), "TS911")


def test_all_checksums_of_one_host_are_wrong_and_none_of_the_other() -> None:
    report = sums("badsum", "", verify=True)
    assert "(10.0.0.1: each one is wrong, and those of others are right)" in one(report, "TS911").message
    assert one(report, "TS911").message.endswith("and they are used but for the first 3")
    assert report.capture.checksums.left_out == 3
    assert report.connections[0].client_side.traffic.payload_bytes == 300
    assert not findings(report, "TS906")
    assert not findings(sums("badsum", ""), "TS906")


def test_a_file_without_a_right_checksum_was_changed() -> None:
    finding = one(sums("badsum", "badsum"), "TS906")
    assert finding.severity == Severity.NOTE
    assert "None of 11 TCP checksums is right" in finding.message
    strict = one(sums("badsum", "badsum", verify=True), "TS906")
    assert strict.severity == Severity.WARNING
    assert "leaves 11 segments out" in strict.message


def test_damage_is_looked_for_in_a_sample_unless_all_is_asked_for() -> None:
    early = one(sums("", "", more="+.01 C > S P. (100) badsum"), "TS906")
    assert early.severity == Severity.WARNING
    assert early.message.startswith("1 of 12 TCP checksums that were looked at is wrong (frame 12)")
    late = "+.01 C > S P. (100) repeat 600\n+.01 C > S P. (100) badsum"
    assert not findings(sums("", "", more=late), "TS906")
    assert one(sums("", "", more=late, verify=True), "TS906").frames == (612,)


def test_large_segments_are_measured_against_what_is_known() -> None:
    known = one(judged("segmentation-offload"), "TS912")
    assert known.severity == Severity.NOTE
    assert known.message.startswith(
        "1 segment of 1 connection carries more than the receiver's MSS, up to 4,380 bytes (the first is frame 6): "
    )
    assert known.display_filter == "tcp.len > 1460"
    middle = "# The SYNs are missing.\n0.0 C > S P. 1:1461(1460)\n+.1 C > S P. (1461)\n"
    unknown = one(of("", head=middle), "TS912")
    assert "1 segment of 1 connection carries more than an Ethernet frame can, up to 1,461 bytes" in unknown.message
    assert "larger frames may be lawful" in unknown.message


def test_cut_hellos_are_named() -> None:
    report = analyze(build(ending(full12(), *CLOSED, snap_length=100)))
    whole, client, server = findings(report, "TS913")
    assert (whole.severity, whole.stream, whole.frames) == (Severity.WARNING, None, (4, 5))
    assert "The snap length cut 2 TLS hellos (frames 4 and 5)" in whole.message
    assert (client.severity, client.side, client.frames) == (Severity.NOTE, "client", (4,))
    assert "the ClientHello of the client 10.0.0.1:40000 (frame 4)" in client.message
    assert "the ServerHello of the server 10.0.0.2:443 (frame 5)" in server.message


@pytest.mark.parametrize("captured", [54, 55, 58, 60, 63, 64, 100])
def test_an_answer_without_its_hello_was_cut(captured: int) -> None:
    scenario = ending(full12(), *CLOSED)
    hello = scenario.frames[4]
    scenario.frames[4] = replace(hello, data=hello.data[:captured], wire_length=len(hello.data))
    assert [finding.side for finding in findings(analyze(build(scenario)), "TS913")] == [None, "server"]
    del scenario.frames[4]  # a hole is no cut
    assert not findings(analyze(build(scenario)), "TS913")


@pytest.mark.parametrize("limit", SENTENCES)
def test_every_bound_that_was_reached_is_named(limit: int) -> None:
    facts = CaptureFacts()
    facts.limits[limit] = 4464
    (finding,) = LimitReached().judge_capture(facts, Context(Options(), 30_000_000_000))
    assert finding.severity == Severity.NOTE
    assert finding.message.startswith("Bounds on memory were reached: 4,464 ")
    assert len(SENTENCES) == len(facts.limits) == limits.LIMIT_COUNT


def reached(capture: bytes, pipeline: Pipeline | None = None) -> dict[int, int]:
    """The bounds that a capture reaches, and how often."""
    pipeline = pipeline or new_pipeline()
    pipeline.feed(capture)
    return {limit: count for limit, count in enumerate(pipeline.finish().limits) if count}


def new_pipeline(verify_checksums: bool = False) -> Pipeline:
    return Pipeline(lambda conn: None, 30_000_000_000, verify_checksums, 0)


def test_bounds_are_reached() -> None:
    flight = "+.001 C > S . (1) repeat {}\n+.1 S > C . ack 101\n"
    assert reached(build(parse(OPEN + flight.format(10_001)))) == {limits.UNACKNOWLEDGED: 1}
    assert reached(build(parse(OPEN + flight.format(10_000)))) == {}
    again = flight.format(2000) + "+.5 C > S . 1500:1501(1)\n"
    assert reached(build(parse(OPEN + again))) == {limits.UNACKNOWLEDGED: 1}
    large = message(11, vector(3, vector(3, bytes(30_000))))
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), *[large] * 3, split=16_000))
    assert reached(ended(talk)) == {limits.TLS_CERTIFICATES: 1}
    alerts = Talk().say(C, handshake(client_hello())).say(S, *[record(ALERT, b"\1\x70")] * 17)
    assert reached(ended(alerts)) == {limits.TLS_EVENTS: 1}


def test_bounds_of_the_whole_capture_are_reached() -> None:
    parts = [fragment(Ip("10.0.0.1", "10.0.0.2", bytes(64), identification=n).pack(), 0, 32) for n in range(1200)]
    held = pcap([Record(0, link(part)) for part in parts])
    assert reached(held) == {limits.FRAGMENTS: 1200 - MAX_DATAGRAMS}
    senders = [tcp(Tcp(f"10.1.{n >> 8}.{n & 255}", "10.0.0.2", 1000, 80, 1, flags=2)) for n in range(1030)]
    many = pcap([Record(0, packet) for packet in senders], RAW)
    assert reached(many) == {}
    assert reached(many, new_pipeline(verify_checksums=True)) == {limits.SENDERS: 1030 - MAX_HOSTS}
    full = new_pipeline()
    full.flows.listeners.by_key = {bytes(n.to_bytes(4, "big")): Listener(b"", 0) for n in range(MAX_LISTENERS)}
    assert reached(build(parse(OPEN)), full) == {limits.LISTENERS: 1}
    old = new_pipeline()
    old.flows.ended, old.flows.ended_before = ({n.to_bytes(4, "big"): n for n in range(ENDED_KEPT)} for _ in range(2))
    assert reached(build(parse(OPEN + "+.1 C > S R\n+99 C2 > S2 S\n+99 C2 > S2 S\n")), old) == {
        limits.NUMBERS: ENDED_KEPT
    }
