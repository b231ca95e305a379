"""Why a segment is sent again, late or a probe: the cause with its evidence, and the verdicts that Wireshark is known to get wrong.

Section 8 of the project's reference on Wireshark's analysis lists those; each has its test here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcpscope.cli.main import run
from tcpscope.report.model import Traffic
from tcpscope.rules.base import Finding
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer
from tests.captures import SAMPLES
from tests.rule_cases import analyze
from tests.scenario import build, parse
from tests.test_copies import causes

OPEN = """# Built by a test.
0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
"""
SACK = OPEN.replace("<mss 1460>", "<mss 1460,sackOK>")
STAMPED = SACK.replace("0.000 ", "timestamps: yes\n0.000 ", 1)


def scenario(lines: str, head: str = OPEN) -> bytes:
    return build(parse(head + lines))


def found(capture: bytes) -> list[Finding]:
    return [finding for connection in analyze(capture).connections for finding in connection.findings]


def codes(capture: bytes) -> set[str]:
    return {finding.code for finding in found(capture)}


def one(capture: bytes, code: str) -> Finding:
    (finding,) = (finding for finding in found(capture) if finding.code == code)
    return finding


def traffic(capture: bytes, side: str) -> Traffic:
    (connection,) = analyze(capture).connections
    return connection.client_side.traffic if side == "client" else connection.server_side.traffic


def flags(capture: bytes) -> list[set[str]]:
    """What Wireshark's rules say of each segment."""
    from tcpscope.pipeline import Pipeline

    pipeline, analyzer = Pipeline(lambda conn: None, 30_000_000_000, False, 0), WiresharkAnalyzer()
    pipeline.reader.feed(capture)
    pipeline.reader.finish()
    out = []
    while pipeline.next_segment():
        bits = analyzer.analyze(pipeline.seg)
        out.append({name for bit, name in enumerate(FLAG_NAMES) if bits >> bit & 1})
    return out


# Known wrong verdicts of Wireshark


def test_a_resend_within_the_initial_round_trip_is_not_out_of_order() -> None:
    """Issues 13843 and 13863: an exact copy of an older segment, sent again within the first round trip."""
    lines = (
        "+.001 C > S P. (100)\n+.0001 C > S P. (100)\n+.0001 C > S P. (100)\n+.005 C > S P. 1:101(100)\n+.005 S > C .\n"
    )
    capture = scenario(lines)
    assert flags(capture)[6] == {"out_of_order"}
    assert causes(capture)[6] == "unknown"
    assert "TS408" not in codes(capture)
    assert traffic(capture, "client").retransmitted_segments == 1


LATE = "+.0001 C > S P. (100) id 50\n+.00005 C > S P. 201:301(100) id 52\n+{delay} C > S P. 101:201(100) {how}\n+.001 S > C .\n"
SHORT = OPEN.replace("+.010", "+.0002").replace("+.001", "+.0001")


@pytest.mark.parametrize(
    ("delay", "how", "cause"),
    [
        (".002", "id 51", "network-reordering"),  # sent before the one that overtook it
        (".002", "id 53", "unknown"),  # sent after it
        (".0002", "id 0", "network-reordering"),  # too soon to be sent again
        (".002", "id 0", "unknown"),
    ],
)
def test_reordering_over_a_short_path(delay: str, how: str, cause: str) -> None:
    """Issue 15993: later than the first round trip, and yet only reordered."""
    capture = scenario(LATE.format(delay=delay, how=how), SHORT)
    assert causes(capture)[5] == cause
    assert traffic(capture, "client").out_of_order == (cause == "network-reordering")


@pytest.mark.parametrize(("stamp", "cause"), [("1005", "network-reordering"), ("1011", "unknown")])
def test_timestamps_tell_what_was_sent_first(stamp: str, cause: str) -> None:
    head = SHORT.replace("<mss 1460>", "<mss 1460,ts 1000:0>", 1)
    lines = "+.001 C > S P. (100) <ts 1004:1> id 0\n+.001 C > S P. 201:301(100) <ts 1006:1> id 0\n"
    capture = scenario(lines + f"+.004 C > S P. 101:201(100) <ts {stamp}:1> id 0\n", head)
    assert causes(capture)[5] == cause


NARROW = OPEN.replace("0.000 ", "window: 1000\n0.000 ", 1)
ZERO = "+.001 S > C P. (1000)\n+.001 C > S . win 0\n"


def test_a_linux_zero_window_probe_is_no_keep_alive() -> None:
    """It has no payload and the number before the next one, like a keep-alive."""
    capture = scenario(
        ZERO + "+.3 S > C . seq 1000\n+.001 C > S . win 0\n+.6 S > C . seq 1000\n+.001 C > S . win 0\n", NARROW
    )
    assert "keep_alive" in flags(capture)[5]
    assert causes(capture)[5] == causes(capture)[7] == "zero-window-probe"
    assert "TS505" in codes(capture)
    assert "TS504" not in codes(capture)


def test_a_probe_byte_that_is_accepted() -> None:
    """Issues 10745, 8404 and 15427: its ACK is no ACK of unseen bytes, and what follows leaves no gap."""
    lines = (
        ZERO
        + "+.3 S > C . 1001:1002(1) ack 1\n+.001 C > S . ack 1002 win 65535\n+.001 S > C P. 1002:2002(1000) ack 1\n"
    )
    capture = scenario(lines + "+.001 C > S . ack 2002 win 65535\n", NARROW)
    assert flags(capture)[6] & {"ack_lost_segment"}
    assert causes(capture)[5] == "zero-window-probe"
    assert codes(capture) <= {"TS501", "TS502", "TS505"}
    sent = traffic(capture, "server")
    assert (sent.unique_bytes, sent.unseen_bytes, sent.retransmitted_segments) == (2001, 0, 0)


def test_a_probe_byte_that_was_not_accepted_comes_again_as_the_first_of_the_data() -> None:
    lines = ZERO + "+.3 S > C . 1001:1002(1) ack 1\n+.001 C > S . ack 1001 win 0\n+.2 C > S . ack 1001 win 65535\n"
    capture = scenario(lines + "+.001 S > C P. 1001:2001(1000) ack 1\n+.001 C > S . ack 2001\n", NARROW)
    assert causes(capture)[8] == ""
    assert traffic(capture, "server").unique_bytes == 2000


def test_two_directions_captured_with_a_time_skew() -> None:
    """The ACK stands before the data that it acknowledges: neither side did anything wrong, and nothing is missing."""
    lines = "+.010 C > S . ack 2001\n+.0001 S > C P. 1:1001(1000) ack 1\n+.0001 S > C P. 1001:2001(1000) ack 1\n+.1 S > C F.\n"
    capture = scenario(lines + "+.001 C > S . ack 2002\n")
    assert {"ack_lost_segment"} <= flags(capture)[3]
    assert "spurious_retransmission" in flags(capture)[4]
    assert causes(capture) == [""] * 8
    assert not codes(capture) & {"TS403", "TS406", "TS902"}


def test_a_time_skew_over_several_acknowledgements() -> None:
    """With timestamps as well: nothing overtook these segments, so that theirs is newer does not make them repetitions."""
    lines = (
        "+.010 S > C P. (100)\n+.010 C > S . ack 1101\n+.0001 C > S . ack 2101\n+.0005 S > C P. 101:601(500) ack 1\n"
    )
    capture = scenario(lines + "+.0001 S > C P. 601:1101(500) ack 1\n+.0001 S > C P. 1101:2101(1000) ack 1\n", STAMPED)
    assert causes(capture)[6:] == ["", "", ""]
    sent = traffic(capture, "server")
    assert (sent.retransmitted_segments, sent.out_of_order, sent.unseen_bytes) == (0, 0, 0)
    assert not codes(capture) & {"TS403", "TS406", "TS408", "TS902"}


def test_what_the_capture_lost_and_the_sender_repeats_in_vain() -> None:
    """The receiver had it: the sender repeats it because the ACK was lost, and the capture lacks the first sending."""
    lines = "+.01 S > C . (500)\n+.0001 S > C . (500) nocapture\n+.0001 S > C . (500)\n+.0005 C > S . ack 1501\n"
    capture = scenario(lines + "+.3 S > C . 501:1001(500)\n+.0005 C > S . ack 1501\n")
    assert causes(capture)[6] == "spurious"
    assert traffic(capture, "server").unseen_bytes == 0


def test_a_syn_ack_with_another_number_reuses_no_ports() -> None:
    """Issue 19771."""
    capture = scenario(
        "", OPEN.replace("+.001  C > S  .", "+.5 S > C S. seq =77 ack 1 <mss 1460>\n+.001 C > S . seq 1 ack =78")
    )
    assert "reused_ports" in flags(capture)[2]
    assert len(analyze(capture).connections) == 1
    assert "TS304" not in codes(capture) | codes(capture)
    assert "TS116" in codes(capture)


def test_the_time_of_a_time_out_counts_from_the_last_sending() -> None:
    """Issue 17714: not from the oldest segment that is not acknowledged."""
    lines = "+.010 C > S P. (100)\n+.190 C > S P. (100)\n+.300 C > S P. 101:201(100)\n+.700 C > S P. 101:201(100)\n"
    told = evidence(scenario(lines))
    assert [round(row["since"], 6) for row in told.values()] == [0.3, 0.7]
    assert [row["frame"] for row in told.values()] == [5, 6]


def test_edges_of_a_duplicate_sack() -> None:
    """Issue 17315: a block that ends where the acknowledgement stands is a duplicate, one that begins there is not."""
    lines = "+.010 S > C P. (1000)\n+.001 C > S .\n"
    edge = scenario(lines + "+.01 C > S . <sack 1:1001>\n", SACK)
    assert "TS413" in codes(edge)
    above = scenario(
        lines + "+.01 S > C P. (100) nocapture\n+.01 S > C P. (100)\n+.01 C > S . ack 1001 <sack 1101:1201>\n", SACK
    )
    assert "TS413" not in codes(above)
    inside = "+.01 S > C P. (100) nocapture\n+.01 S > C P. (100)\n+.01 C > S . ack 1001 <sack 1101:1201 1101:1201>\n"
    assert "TS413" in codes(scenario(lines + inside, SACK))


def test_a_window_filled_by_the_first_data_is_held_against_the_unscaled_window() -> None:
    """Issue 14690: the window of a SYN is never scaled (RFC 7323 section 2.2)."""
    head = "# Test.\nwindow: 1000\n0.000 C > S S <mss 1460,nop,wscale 7>\n+.010 S > C S. <mss 1460,nop,wscale 7>\n"
    capture = scenario("+.001 C > S . win 1000\n+.001 C > S P. (1000)\n+.01 S > C .\n", head)
    assert traffic(capture, "client").window_full == 1


# Causes and their evidence


def evidence(capture: bytes) -> dict[int, Any]:
    """The evidence of ``segments --format jsonl`` by frame."""
    Path("e.pcap").write_bytes(capture)
    run(["segments", "e.pcap", "--format", "jsonl", "--output", "e.jsonl"])
    rows = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
    return {row["frame"]: row["evidence"] for row in rows if "evidence" in row}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)


def test_evidence_of_a_time_out() -> None:
    lines = "+.01 C > S P. (100)\n+.3 C > S P. seq 1 (100)\n+.6 C > S P. seq 1 (100)\n+1.2 C > S P. seq 1 (100)\n+.01 S > C .\n"
    capture = scenario(lines)
    told = evidence(capture)
    assert [row["backoff"] for row in told.values()] == [1, 2, 3]
    assert [row["frame"] for row in told.values()] == [4, 5, 6]
    assert told[5]["rtt"] == 0.01
    message = one(capture, "TS404").message
    assert "after waiting 300 ms, 600 ms and 1.2 s), the timer backed off twice" in message
    assert message.endswith("data or ACKs lost behind the capture point")
    sent = traffic(capture, "client")
    assert (sent.timeouts, sent.spurious_timeouts, sent.lost_before, sent.lost_behind) == (3, 0, 0, 3)


def test_the_rest_of_the_flight_that_a_time_out_gave_up() -> None:
    """The sender begins anew with one segment, and each ACK brings the next ones: one time-out, not four."""
    lines = "+.01 C > S P. (100)\n" + "+.0001 C > S P. (100)\n" * 3 + "+.3 C > S P. 1:101(100)\n+.01 S > C . ack 101\n"
    lines += "+.0001 C > S P. 101:201(100)\n+.0001 C > S P. 201:301(100)\n+.01 S > C . ack 301\n"
    capture = scenario(lines + "+.0001 C > S P. 301:401(100)\n+.01 S > C .\n")
    assert [cause for cause in causes(capture) if cause] == ["timeout"] * 4
    assert traffic(capture, "client").timeouts == 1
    assert "the timer ran off once and gave up all that was in flight" in one(capture, "TS404").message


def test_evidence_of_duplicate_acks_and_sack() -> None:
    lines = (
        "+.01 S > C . (100)\n+.0001 S > C . (100) nocapture\n"
        + "+.0001 S > C . (100)\n" * 4
        + "+.001 C > S . ack 101\n"
    )
    for edge in (301, 401, 501):
        lines += f"+.0001 C > S . ack 101 <sack 201:{edge}>\n"
    capture = scenario(lines + "+.02 S > C . 101:201(100)\n+.001 C > S .\n", SACK)
    (told,) = evidence(capture).values()
    assert told["duplicate_acks"] == 3
    assert (told["sack_edge"] - 3_010_000_000) % (1 << 32) == 501
    assert "on duplicate ACKs after 3 duplicates" in one(capture, "TS405").message
    assert one(capture, "TS405").message.endswith("lost before the capture point")
    assert traffic(capture, "server").lost_before == 1


def test_a_loss_probe_is_told_from_a_time_out_by_what_follows() -> None:
    """With one segment in flight both fire at the same time; a time-out doubles the timer, a probe does not."""
    lines = "+.01 C > S P. (100)\n+.22 C > S P. seq 1 (100)\n+.22 C > S P. seq 1 (100)\n+.44 C > S P. seq 1 (100)\n+.01 S > C .\n"
    probe = scenario(lines, SACK)
    assert causes(probe)[4:7] == ["timeout"] * 3
    assert (one(probe, "TS407").frames, one(probe, "TS404").count) == ((4, 5), 2)
    assert "the timer backed off once" in one(probe, "TS404").message
    assert traffic(probe, "client").timeouts == 2
    without = scenario(lines)
    assert "TS407" not in codes(without)
    assert one(without, "TS404").count == 3


# Needless retransmissions


def test_an_ack_that_answers_the_first_sending_proves_the_second_needless() -> None:
    """Eifel detection, RFC 3522: the echoed timestamp is older than the retransmission."""
    lines = "+.001 C > S P. (100) <ts 2000:500>\n+.300 C > S P. 1:101(100) <ts 2300:500>\n+.01 S > C . <ts 700:2000>\n"
    capture = scenario(lines, STAMPED)
    assert causes(capture)[4] == "timeout"
    assert codes(capture) == {"TS406"}
    message = one(capture, "TS406").message
    assert message.endswith("the ACK answers the timestamp of the earlier sending; 1 time-out came too early")
    sent = traffic(capture, "client")
    assert (sent.timeouts, sent.spurious_timeouts, sent.lost_behind) == (1, 1, 0)


def test_an_ack_that_answers_the_second_sending_proves_nothing() -> None:
    lines = "+.001 C > S P. (100) <ts 2000:500>\n+.300 C > S P. 1:101(100) <ts 2300:500>\n+.01 S > C . <ts 700:2300>\n"
    assert codes(scenario(lines, STAMPED)) == {"TS404"}


def test_a_delayed_ack_echoes_the_earliest_segment_that_it_covers() -> None:
    """So the echo of the first of two retransmissions says nothing of the second one (RFC 7323 section 4.2)."""
    lines = "+.001 C > S P. (100) <ts 2000:500>\n+.0001 C > S P. (100) <ts 2000:500>\n"
    lines += "+.300 C > S P. 1:101(100) <ts 2300:500>\n+.002 C > S P. 101:201(100) <ts 2302:500>\n+.01 S > C . <ts 700:2300>\n"
    assert codes(scenario(lines, STAMPED)) == {"TS404"}


def test_a_duplicate_sack_proves_it_too() -> None:
    lines = "+.001 C > S P. (100)\n+.300 C > S P. 1:101(100)\n+.01 S > C .\n+.29 S > C . <sack 1:101>\n"
    capture = scenario(lines, SACK)
    assert codes(capture) == {"TS406"}
    assert "the receiver reported the duplicate (D-SACK); 1 time-out came too early" in one(capture, "TS406").message


def test_both_proofs_for_one_retransmission_count_once() -> None:
    capture = (SAMPLES / "spurious-retransmit.pcap").read_bytes()
    assert one(capture, "TS406").count == 1
    assert not codes(capture) & {"TS404", "TS413"}


def test_a_needless_loss_probe() -> None:
    """The receiver only delayed its ACK: no loss, and still a probe."""
    lines = "+.010 S > C P. (500)\n+.010 C > S .\n+.010 S > C P. (500)\n+.0001 S > C P. (500)\n"
    lines += "+.030 S > C P. 1001:1501(500)\n+.005 C > S .\n+.025 C > S . <sack 1001:1501>\n"
    capture = scenario(lines, SACK)
    assert codes(capture) == {"TS407"}
    assert one(capture, "TS407").message.endswith("after sending it; nothing was lost")


def test_proofs_go_on_when_evidence_is_full() -> None:
    """More retransmissions than are kept as facts: all of them are counted as needless."""
    lines = ""
    for n in range(12):
        left, right = 1 + 100 * n, 101 + 100 * n
        lines += f"+.5 C > S P. {left}:{right}(100)\n+.300 C > S P. {left}:{right}(100)\n+.01 S > C . ack {right}\n"
        lines += f"+.2 S > C . ack {right} <sack {left}:{right}>\n"
    capture = scenario(lines, SACK)
    assert one(capture, "TS406").count == 12
    assert "TS404" not in codes(capture)
    assert traffic(capture, "client").spurious_timeouts == 12
