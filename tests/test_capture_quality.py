"""What the capture itself lacks or gets wrong: TS9xx, and what takes the proof away from findings that rest on absence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.cli.main import run
from tcpscope.options import Options
from tcpscope.pipeline import CaptureFacts, Pipeline
from tcpscope.report.model import Report
from tcpscope.rules import find_rule
from tcpscope.rules.absence import WEAKER
from tcpscope.rules.base import Context, Severity
from tcpscope.rules.capture_limits import SENTENCES, LimitReached
from tcpscope.state import limits
from tcpscope.state.checksums import MAX_HOSTS
from tcpscope.state.ended import KEPT
from tcpscope.state.listeners import MAX_LISTENERS, Listener
from tcpscope.wire.fragments import MAX_DATAGRAMS
from tests.captures import SAMPLES, SCENARIOS, clean
from tests.pcapwriter import RAW, Interface, Ip, Record, Tcp, fragment, link, pcap, pcapng, tcp
from tests.rule_cases import CAPTURES, CLOSED, analyze, ended, ending, judged, tls_cases
from tests.scenario import build, load, parse
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
    loopback = sums("nosum", "nosum")
    assert "those of 10.0.0.1 and 10.0.0.2" in one(loopback, "TS911").message
    assert loopback.connections[0].server_side.traffic.payload_bytes == 400
    assert not findings(loopback, "TS906")


def test_verification_leaves_out_what_was_left_to_the_card_and_says_so() -> None:
    """The option's contract is that of a receiver, and of Zeek: whatever is wrong does not count."""
    strict = sums("nosum", "", verify=True)
    assert one(strict, "TS911").message.endswith("but --verify-checksums leaves them out: better not to use it here")
    assert strict.capture.checksums.left_out == 6
    assert strict.connections[0].client_side.traffic.payload_bytes == 0
    assert strict.connections[0].server_side.traffic.payload_bytes == 400


def test_segments_merged_on_arrival_have_no_checksum_either() -> None:
    finding = one(sums("", "", more="+.01 S > C P. (1000) nosum"), "TS911")
    assert "1 of 12 TCP checksums that were looked at is not filled in: the segments were merged" in finding.message


def test_a_cut_segment_shows_that_its_checksum_was_left_to_the_card() -> None:
    assert "those of 10.0.0.1" in one(sums("nosum cut 60", "cut 60"), "TS911").message
    assert not findings(sums("cut 60", "cut 60"), "TS911")


def test_all_checksums_of_one_host_are_wrong_and_none_of_the_other() -> None:
    report = sums("badsum", "")
    assert "(10.0.0.1: each one is wrong, and those of others are right)" in one(report, "TS911").message
    assert report.connections[0].client_side.traffic.payload_bytes == 400
    assert not findings(report, "TS906")
    assert sums("badsum", "", verify=True).capture.checksums.left_out == 6


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
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), *[large] * 5, split=16_000))
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
    for n in range(2 * KEPT):
        old.flows.ended.add(n.to_bytes(4, "big"), n)
    assert reached(build(parse(OPEN + "+.1 C > S R\n+99 C2 > S2 S\n+99 C2 > S2 S\n")), old) == {limits.NUMBERS: KEPT}


# What rests on absence


def with_drops(capture: bytes, dropped: int = 3500) -> bytes:
    """The same frames, and keys, in a pcapng file whose statistics say that the capturing side lost some."""
    reader, frame, records, link_type = CaptureReader(), Frame(), [], RAW
    reader.feed(capture)
    reader.finish()
    while reader.advance(frame):
        link_type = frame.link_type
        records.append(Record(frame.time_ns, frame.data[frame.start : frame.end], frame.wire_length))
    return pcapng(records, [Interface(link_type, dropped=dropped)], key_log=b"".join(reader.secrets))


def firing(code: str) -> bytes:
    """A capture that fires a rule."""
    if code not in CAPTURES:
        return tls_cases()[find_rule(code).name][0]
    name = INSTEAD.get(code, CAPTURES[code][0])
    return (SAMPLES / name).read_bytes() if "." in name else build(load(SCENARIOS / f"{name}.txt"))


# Findings that say "never", "nothing" or "not": what would refute each of them, in its own words.
ABSENCES = {
    "TS102": "the SYN that this answers",
    "TS103": "another SYN-ACK",
    "TS105": "it",
    "TS106": "the acknowledgement",
    "TS112": "the rest",
    "TS118": "that SYN",
    "TS202": "it",
    "TS204": "what it sent",
    "TS207": "the acknowledgement",
    "TS211": "the data before it",
    "TS214": "them",
    "TS301": "what the reset answers",
    "TS302": "it",
    "TS401": "it",
    "TS409": "them",
    "TS411": "them",
    "TS501": "the segment that opened it",
    "TS503": "a window update",
    "TS504": "its answers",
    "TS506": "an earlier window update",
    "TS517": "another SYN",
    "TS670": "it",
    "TS671": "it",
    "TS672": "it",
    "TS673": "it",
    "TS675": "the acknowledgement",
    "TS676": "the rest",
}

# Where the usual capture of a rule shows a kind of it that is a note anyway.
INSTEAD = {
    "TS207": "reset-with-data-under-way",
    "TS501": "zero-window-abandoned.pcap",
    "TS504": "keep-alive-unanswered",
}


@pytest.mark.parametrize(("code", "what"), ABSENCES.items())
def test_an_absence_is_no_proof_where_the_capture_dropped_frames(code: str, what: str) -> None:
    capture = firing(code)
    pairs = list(zip(findings(analyze(capture), code), findings(analyze(with_drops(capture)), code), strict=True))
    assert pairs
    weakened = [(sure, unsure) for sure, unsure in pairs if unsure.message != sure.message]
    assert weakened
    for sure, unsure in weakened:
        assert unsure.severity == WEAKER[sure.severity]
        said = sure.message.removesuffix(" (suspected: the capture does not show everything)")
        assert unsure.message == f"{said}, or the capture lost {what}: 3,500 frames dropped"
        assert (unsure.frames, unsure.count) == (sure.frames, sure.count)


PRESENCES = {*CAPTURES, *(find_rule(name).code for name in tls_cases())} - {*ABSENCES}


@pytest.mark.parametrize("code", sorted(PRESENCES - {"TS901", "TS907"}))  # which are about the file
def test_what_was_seen_stays_proved(code: str) -> None:
    capture = firing(code)
    before = [(f.severity, f.message) for f in findings(analyze(capture), code)]
    after = [(f.severity, f.message) for f in findings(analyze(with_drops(capture)), code)]
    assert after == before


def test_bytes_that_the_connection_lacks_take_the_proof_away() -> None:
    fin = "+.1 C > S F.\n+.4 C > S F. 201:201(0) stray\n+3 C2 > S2 S\n"
    sure = one(of("+.1 C > S P. (100)\n" + fin), "TS202")
    assert sure.severity == Severity.WARNING
    unsure = one(of("+.1 S > C P. (1460) nocapture\n+.1 C > S .\n+.1 C > S P. (100)\n" + fin), "TS202")
    assert unsure.severity == Severity.NOTE
    assert unsure.message.endswith(", or the capture lost it: it lacks 1,460 bytes of this connection")


def test_a_file_that_ends_early_takes_the_proof_away_from_what_goes_on() -> None:
    lines = "+.1 C > S F.\n+3 C2 > S2 S\n+{} C2 > S2 S\n"
    whole = build(parse(OPEN + lines.format("1")))
    assert one(analyze(whole), "TS202").severity == Severity.WARNING
    cut = one(analyze(whole[:-5]), "TS202")
    assert cut.severity == Severity.NOTE
    assert cut.message.endswith(", or the capture lost it: it ends early, while this connection goes on")
    # A minute of silence in a file says as much as an hour.
    long = build(parse(OPEN + lines.format("90") + "+1 C2 > S2 S\n"))[:-5]
    assert one(analyze(long), "TS202").severity == Severity.WARNING


def test_damage_that_was_stepped_over_takes_the_proof_away_from_what_had_begun() -> None:
    others = "".join(f"+.5 C{n} > S{n} S <mss 1460>\n+.01 S{n} > C{n} R.\n" for n in range(2, 12))
    silent = "+.1 C20 > S20 S <mss 1460>\n+5 C30 > S30 S <mss 1460>\n+.01 S30 > C30 R.\n"
    capture = build(parse(OPEN + "+.1 C > S F.\n" + others + silent))
    places = list(places_of(capture))
    broken = bytearray(capture)
    at = places[10]
    broken[at : at + 16] = b"\xff" * 16
    report = analyze(bytes(broken), Options(salvage=True))
    assert report.capture.gap_count == 1
    assert one(report, "TS202").message.endswith(
        ", or the capture lost it: damaged parts of the file were stepped over"
    )
    assert one(report, "TS105").severity == Severity.WARNING  # it began behind the damage


def places_of(capture: bytes) -> Iterator[int]:
    """Where the records of a classic pcap file begin."""
    at = 24
    while at < len(capture):
        yield at
        at += 16 + int.from_bytes(capture[at + 8 : at + 12], "little")


def test_verdicts_that_rest_on_absence() -> None:
    closed = build(parse(OPEN + "+.1 C > S F.\n+.1 S > C F.\n+.1 C > S .\n+5 C2 > S2 S\n"))
    short = Options(msl_seconds=2)
    assert analyze(closed, short).connections[0].time_wait.verdict == "held"
    assert analyze(with_drops(closed), short).connections[0].time_wait.verdict == "not-observed"
    unanswered = firing("TS302")
    assert analyze(unanswered).connections[0].time_wait.verdict == "violated"
    assert analyze(with_drops(unanswered)).connections[0].time_wait.verdict == "not-observed"
    failed, alert = (tls_cases()[name][0] for name in ("tls-server-hello-missing-closed", "tls-alert-fatal"))
    assert tls_verdicts(failed) == ["failed", "incomplete"]
    assert tls_verdicts(alert) == ["failed", "failed"]


def tls_verdicts(capture: bytes) -> list[str]:
    """Without and with dropped frames."""
    reports = (analyze(capture), analyze(with_drops(capture)))
    return [tls.verdict for report in reports if (tls := report.connections[0].tls) is not None]


def test_statistics_come_too_late_for_connections_that_were_judged_before() -> None:
    """pcapng has them at the end of the file, and a connection that is over is not kept until then."""
    lines = "# Silence.\n0 C > S S\n+595 C2 > S2 S\n+110 C2 > S2 S seq 0 repeat 2\n"
    report = analyze(with_drops(build(parse(lines))))
    first, second = findings(report, "TS105")
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.NOTE)


# The first section of a report


def section(capture: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The report up to the connections, without the lines on what the capture is."""
    path = tmp_path / "c.pcap"
    path.write_bytes(capture)
    run(["analyze", str(path), *options])
    return capsys.readouterr().out.split("\n\n")[0].split(" UTC\n", 1)[1]


def test_a_sound_capture_says_so_before_its_connections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = "  capture: complete, no drops reported, both directions, clock steady"
    assert section(clean(), tmp_path, capsys) == sound
    assert section(clean(), tmp_path, capsys, "--connection", "0") == sound
    assert section(with_drops(clean(), 0), tmp_path, capsys) == sound.replace("no drops reported", "no frame dropped")


def test_what_is_wrong_with_a_capture_comes_before_its_connections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = with_drops(build(load(SCENARIOS / "clock-steps-back.txt")))[:-3]
    head, *rest = section(steps, tmp_path, capsys).splitlines()
    assert head == "  capture: no drops reported, both directions"  # the statistics are in what is missing
    text = "\n".join(rest)
    assert "TS901 capture-damaged" in text
    assert "TS905 clock-went-backwards" in text
    assert text.index("TS901") < text.index("TS905")
    one_way = section((SAMPLES / "one-sided.pcap").read_bytes(), tmp_path, capsys)
    assert one_way.startswith("  capture: complete, no drops reported, clock steady\n")
    assert "TS903 one-direction-only" in one_way


def test_what_is_wrong_is_told_even_if_its_rule_is_not_selected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = with_drops((SAMPLES / "capture-loss.pcap").read_bytes())
    lines = section(capture, tmp_path, capsys, "--select", "TS1,TS902").splitlines()
    assert lines[:3] == [
        "  capture: complete, both directions, clock steady",
        "  3,500 frames dropped while capturing, says the file",
        "  17 frames cut by the snap length",
    ]
    assert "TS902" in lines[3]
