"""The diagnosis: right on every sample, and for each symptom a capture that shows it beside one that almost does."""

from __future__ import annotations

import io
import re

import pytest

import tcpscope
from tcpscope.rules import symptoms
from tcpscope.rules.diagnosis import PLACES, WORDS, Diagnosis
from tests import diagnosis
from tests.captures import SCENARIOS, many, scenario
from tests.scenario import build, parse

OPENED = "0.000 C > S S <mss 1460,sackOK>\n+.010 S > C S. <mss 1460,sackOK>\n+0 C > S .\n"
ARRIVED = "0.000 C > S S <mss 1460,sackOK>\n+0 S > C S. <mss 1460,sackOK>\n+.010 C > S .\n"
ASKED = "+0 C > S P. (100)\n+.010 S > C .\n"
CLOSED = "+0 C > S F.\n+.010 S > C F.\n+0 C > S .\n"


def of(text: str, stream: int = 0) -> Diagnosis:
    """The diagnosis of one connection of a scenario."""
    report = tcpscope.analyze(io.BytesIO(build(parse("# Built by a test.\n" + text))))
    return report.connections[stream].diagnosis


def scenario_text(name: str) -> str:
    """The file of a scenario."""
    return (SCENARIOS / f"{name}.txt").read_text(encoding="utf-8")


def bulk(segments: int, lost: int = -1) -> str:
    """A transfer of the server in flights of ten segments, seen at the server; one segment is lost and sent again."""
    lines = [ARRIVED, ASKED.replace(".010", "0")]
    for number in range(segments):
        lines.append("+.0001 S > C . (1000)")
        if number == lost:
            left, right = number * 1000 + 1001, number * 1000 + 4001
            lines += ["+.0001 S > C . (1000)"] * 3
            lines += [f"+.003 C > S . ack {left - 1000} <sack {left}:{right}>"] * 3
            lines += [f"+.0001 S > C . {left - 1000}:{left}(1000)", "+.010 C > S ."]
        elif number % 10 == 9:
            lines.append("+.010 C > S .")
    return "\n".join([*lines, "+.010 C > S .", ""]) + CLOSED


@pytest.mark.parametrize("sample", diagnosis.samples())
def test_the_diagnosis_of_every_sample(sample: str) -> None:
    for row in diagnosis.rows_of(sample):
        assert row.right, row


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "samples", lambda: ["refused.pcap", "http-clean.pcap"])
    assert diagnosis.main() == 0
    monkeypatch.setitem(diagnosis.EXPECTED, "http-clean.pcap", diagnosis.only(diagnosis.NETWORK, "which is not true"))
    assert diagnosis.main() == 1
    assert "WRONG" in capsys.readouterr().out


# Each symptom, and a near miss


def test_nothing() -> None:
    said = of(OPENED + ASKED + "+.020 S > C P. (100)\n+0 C > S .\n" + CLOSED)
    assert (said.where, said.confidence) == ("none", "high")
    assert "opened in 10 ms" in said.summary
    assert "1 request answered after 30 ms" in said.summary


def test_a_slow_answer() -> None:
    slow = of(OPENED + ASKED + "+1.2 S > C P. (100)\n+0 C > S .\n" + CLOSED)
    assert (slow.kind, slow.where, slow.confidence) == ("slow-answer", "server-application", "high")
    assert "1.2 s later (frame 6)" in slow.summary
    assert slow.frames == (4, 6)
    assert of(OPENED + ASKED + "+.9 S > C P. (100)\n+0 C > S .\n" + CLOSED).where == "none"
    assert slow.confidence == "high"
    never = of(OPENED + ASKED + "+2 C > S F.\n+.010 S > C F.\n+0 C > S .\n")
    assert (never.kind, never.where, never.confidence) == ("slow-answer", "server-application", "medium")
    again = of(OPENED + ASKED + "+.010 S > C P. (9)\n" + ASKED + "+2 C > S F.\n+.010 S > C F.\n+0 C > S .\n")
    assert (again.kind, again.confidence) == ("slow-answer", "low"), "perhaps the client has said its last word"
    greeting = of(OPENED + "+5 S > C P. (20)\n+0 C > S .\n" + CLOSED)
    assert (greeting.kind, greeting.confidence) == ("slow-answer", "medium")
    # The client takes its time, or the server speaks without being asked: nobody waits.
    answered = OPENED + ASKED + "+.020 S > C P. (100)\n+0 C > S .\n"
    assert of(answered + "+9 C > S P. (100)\n+.010 S > C P. (9)\n+0 C > S .\n" + CLOSED).where == "none"
    assert of(answered + "+9 S > C P. (100)\n+0 C > S .\n" + CLOSED).where == "none"


def test_a_slow_reader() -> None:
    text = ARRIVED + "+0 C > S P. (100)\n+0 S > C . (1000)\n+.010 C > S . win 0\n+{} C > S . win 9000\n" + CLOSED
    closed = of(text.format("2"))
    assert (closed.kind, closed.where, closed.confidence) == ("slow-reader", "client-host", "high")
    assert "2 s" in closed.summary
    assert of(text.format(".1")).where == "none"


def test_a_small_window() -> None:
    text = ARRIVED.replace("C > S .", "C > S . win 2000") + "+0 C > S P. (100) win 2000\n"
    text += "+0 S > C . (1000)\n+0 S > C . (1000)\n+.050 C > S . win 2000\n" * 8
    small = of(text + CLOSED)
    assert (small.kind, small.where) == ("small-window", "client-host")
    assert "at most 2,000 bytes under way" in small.summary


def test_a_loss_that_matters() -> None:
    lost = of(bulk(50, lost=20))
    assert (lost.kind, lost.where, lost.confidence) == ("loss", "network", "medium")
    assert "1 of 54 segments" in lost.summary
    assert "behind the capture point" in lost.summary
    assert of(bulk(200, lost=20)).where == "none"
    assert of(bulk(50)).where == "none"


def test_a_loss_that_costs_time() -> None:
    """One segment of many, but the connection stood still for most of its life."""
    text = bulk(200).replace(CLOSED, "+0 S > C . (1000)\n+2 S > C . 200001:201001(1000)\n+.010 C > S .\n" + CLOSED)
    stalled = of(text)
    assert (stalled.kind, stalled.where) == ("loss", "network")
    assert "stalled it for 2.01 s" in stalled.summary


def test_late_acknowledgements() -> None:
    text = OPENED + ASKED + "+.3 C > S P. 1:101(100)\n+.010 S > C .\n+0 S > C P. (10)\n+0 C > S .\n"
    late = of(text + CLOSED)
    assert (late.kind, late.where) == ("late-acks", "network")


def test_a_path_that_swallows_what_is_large() -> None:
    first = "+0 S > C P. (200)\n+.010 C > S .\n"
    large = "+0 S > C . (1400)\n+.3 S > C . 201:1601(1400)\n+.6 S > C . 201:1601(1400)\n+1.2 S > C . 201:601(400)\n"
    hole = of(ARRIVED + ASKED + first + large + "+.010 C > S . ack 601\n+0 S > C . 601:1601(1000)\n+.010 C > S .\n")
    assert (hole.kind, hole.where, hole.confidence) == ("path-mtu-black-hole", "network", "high")
    assert "1,400 bytes" in hole.summary
    # The same with segments that pass everywhere is a loss like any other.
    assert (
        of(ARRIVED + ASKED + first + large.replace("1601(1400)", "701(500)").replace("(1400)", "(500)")).kind
        != hole.kind
    )
    # And if segments of that size have arrived before.
    before = "+0 S > C . (1400)\n+.010 C > S .\n"
    later = "+0 S > C . (1400)\n+.3 S > C . 1601:3001(1400)\n+.6 S > C . 1601:3001(1400)\n+.010 C > S .\n"
    assert of(ARRIVED + ASKED + first + before + later + CLOSED).kind == "loss"


def test_silence_after_repetitions() -> None:
    lines = OPENED + ASKED + "+.020 S > C P. (9)\n+0 C > S P. (100)\n"
    again = "+.3 C > S P. 101:201(100)\n+.6 C > S P. 101:201(100)\n+1.2 C > S P. 101:201(100)\n"
    gone = of(lines + again)
    assert (gone.kind, gone.where, gone.confidence) == ("vanished", "network", "low")
    assert of(lines + again + "+.010 S > C .\n" + CLOSED).kind == "loss", "it came back"
    assert of(lines + "+.1 C > S P. 101:201(100)\n").kind != "vanished", "watched for too short a time"


def test_who_broke_it_off() -> None:
    answered = OPENED + ASKED + "+.020 S > C P. (100)\n+0 C > S .\n"
    assert of(answered + "+2 C > S R.\n").where == "none", "all was said, and nothing is lost"
    asked = of(answered + ASKED + "+.2 S > C R.\n")
    assert (asked.kind, asked.where) == ("broken-off", "server-application")
    assert "no answer" in asked.summary
    sending = of(answered + "+.2 C > S P. (100)\n+.001 C > S R.\n")
    assert (sending.kind, sending.where) == ("broken-off", "client-application")
    assert "100 bytes of its own" in sending.summary


def test_a_program_that_does_not_close() -> None:
    text = OPENED + ASKED + "+.020 S > C P. (9)\n+0 C > S .\n+0 C > S F.\n+.010 S > C .\n"
    other = "client2: 10.0.0.9:1234\n"
    for wait, confidence in ((12, "low"), (70, "high")):
        leaked = of(other + text + f"+{wait} C2 > S2 S\n")
        assert (leaked.kind, leaked.where, leaked.confidence) == ("left-open", "server-application", confidence)
    assert of(other + text + "+5 C2 > S2 S\n").where == "none"


def test_unsteady_round_trips() -> None:
    def exchanges(count: int, slow: str) -> str:
        quick = "+0 C > S P. (10)\n+.010 S > C P. (10)\n"
        return "".join(quick if number % 8 else quick.replace(".010", slow) for number in range(count))

    begun = OPENED + ASKED + "+.010 S > C P. (10)\n"
    assert of(begun + exchanges(40, ".300") + "+0 C > S .\n" + CLOSED).kind == "jitter"
    assert of(begun + exchanges(40, ".200") + "+0 C > S .\n" + CLOSED).where == "none", "a delayed ACK may be as late"
    assert of(begun + exchanges(16, ".300") + "+0 C > S .\n" + CLOSED).where == "none", "too few to say"
    assert of(OPENED + exchanges(40, ".300") + "+0 C > S .\n").where == "none", (
        "all ACKs without data were filtered out"
    )


def test_icmp_while_a_connection_goes_on_says_little() -> None:
    """A soft error (RFC 9293 section 3.9.2.2): what counts is whether data still arrives."""
    error = next(line for line in scenario_text("destination-unreachable").splitlines() if " raw " in line).split()[-1]
    ends = "client: 10.0.0.1:40000\nserver: 10.0.0.2:80\nisn: client 1000 server 5000\n"
    assert of(f"{ends}0 C > S S\n+.010 raw {error}\n").kind == "rejected"
    answered = f"+.010 raw {error}\n+0 S > C P. (9)\n+0 C > S .\n"
    assert of(ends + OPENED + ASKED + answered + CLOSED).where == "none"


def test_a_syn_without_an_answer() -> None:
    alone = "0 C > S S\n"
    assert of(alone).kind == "too-early"
    assert of(alone + "+1 C > S S seq 0\n+2 C > S S seq 0\n").kind == "unanswered"
    silent = of(alone + "+.010 S > C S.\n+1 S > C S. seq 0\n+2 S > C S. seq 0\n")
    assert (silent.kind, silent.where, silent.confidence) == ("half-open", "cannot-tell", "low")


def test_one_repeated_syn_ack_is_a_lost_ack_two_are_a_full_queue() -> None:
    opened = OPENED + "+1 S > C S. seq 0\n+0 C > S .\n"
    assert of(opened + ASKED + "+0 S > C P. (9)\n+0 C > S .\n" + CLOSED).kind == "loss"
    assert of(opened + "+2 S > C S. seq 0\n+0 C > S .\n").kind == "accept-queue-full"


def test_what_the_capture_lacks() -> None:
    text = OPENED + ASKED + "+0 S > C . (1000) nocapture\n+0 S > C . (1000)\n+0 C > S .\n" + CLOSED
    missing = of(text)
    assert (missing.kind, missing.where) == ("bytes-missing", "capture")
    assert "1,000 bytes" in missing.summary
    one = of("0 C > S S\n+.010 C > S . seq 1 ack 1\n+0 C > S P. seq 1 ack 1 (100)\n+1 C > S P. seq 101 ack 51 (9)\n")
    assert (one.kind, one.where) == ("one-sided", "capture")


# The whole capture


def test_the_capture_says_what_most_of_its_troubled_connections_have() -> None:
    report = tcpscope.analyze(io.BytesIO(many(6, faulty=range(2, 4))))
    said = report.capture.diagnosis
    assert said is not None
    assert (said.kind, said.where) == ("unanswered", "network")
    assert said.summary.startswith("2 of 6 connections: unanswered. Connection 2: Nothing came back")
    clean = tcpscope.analyze(io.BytesIO(many(6))).capture.diagnosis
    assert clean is not None
    assert (clean.where, clean.confidence, clean.summary) == (
        "none",
        "high",
        "Nothing points to trouble in 6 connections",
    )


def test_a_capture_without_connections_has_none() -> None:
    assert tcpscope.analyze(io.BytesIO(build(parse("# Nothing.\n0 raw 00\n")))).capture.diagnosis is None


# What holds of all


def test_every_symptom_has_its_place_and_its_words() -> None:
    codes = set(range(len(symptoms.NAMES)))
    assert PLACES.keys() == WORDS.keys() == codes
    contract = {"network", "client-host", "server-host", "client-application", "server-application", "capture"}
    contract |= {"cannot-tell", "none"}
    assert {place.format(side) for place in PLACES.values() for side in ("client", "server")} <= contract
    assert len(set(symptoms.NAMES)) == len(symptoms.NAMES)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_diagnosis_is_a_sentence_with_numbers_and_frames_of_its_connection(path: object) -> None:
    report = tcpscope.analyze(io.BytesIO(scenario(getattr(path, "stem"))))  # noqa: B009
    for connection in report.connections:
        said = connection.diagnosis
        assert said.summary[0].isupper() or said.summary[0].isdigit()
        assert not said.summary.endswith(".")
        assert said.next_step
        assert all(1 <= frame <= report.capture.frames for frame in said.frames)
        if said.where not in ("none", "capture"):
            assert said.frames
            assert re.search(r"\d", said.summary)
