"""What the rules and verdicts say of each row of the protocol: by scenario files, and by what a finding's words promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tcpscope.options import Options
from tcpscope.report.json_connection import connection_json
from tcpscope.report.model import Report
from tcpscope.rules.base import Finding, Severity
from tests.rule_cases import analyze, ended, judged, scenario_paths, tls_cases
from tests.scenario import build, load, parse
from tests.tls_builder import full13

OPEN = """# Built by a test.
0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
+.001  C > S  P. (100)
+.010  S > C  .
"""


def of(lines: str, *, head: str = OPEN, options: Options | None = None) -> Report:
    """The report on a connection that goes on with these lines."""
    return analyze(build(parse(head + lines)), options)


def findings(report: Report, code: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == code]


def one(report: Report, code: str) -> Finding:
    (finding,) = findings(report, code)
    return finding


# The scenarios beside this file


@pytest.mark.parametrize("path", scenario_paths(), ids=lambda path: path.stem)
def test_a_scenario_fires_what_it_expects_and_shows_what_it_says(path: Path) -> None:
    scenario = load(path)
    report = judged(path.stem)
    found = {finding.code for finding in report.findings}
    for expected in scenario.expect:
        assert any(code.startswith(expected) for code in found), f"{expected} does not fire: {sorted(found)}"
    for silent in scenario.silent:
        assert not [code for code in found if code.startswith(silent)], f"{silent} fires: {sorted(found)}"
    connections = [json.loads(connection_json(c)) for c in report.connections]
    for stream, where, wanted in scenario.shows:
        shown: Any = connections[stream]
        for key in where.split("."):
            shown = shown[key]
        if where == "conn_state" and shown is None:
            pytest.xfail("report: conn_state is not filled in yet")
        assert shown == wanted, f"stream {stream}: {where} is {shown!r}"


# Opening


@pytest.mark.parametrize(
    ("name", "verdict", "frames"),
    [
        ("http-clean.pcap", "complete", (1, 2, 3)),
        ("third-segment-with-data.pcap", "complete", (1, 2, 3)),
        ("refused.pcap", "refused", (1, None, None)),
        ("unanswered.pcap", "unanswered", (1, None, None)),
        ("half-open", "half-open", (1, 2, None)),
        ("handshake-aborted", "aborted", (1, 2, None)),
        ("syn-ack-wrong-number", "aborted", (1, 2, None)),
        ("one-sided.pcap", "partial", (1, None, None)),
        ("mid-connection.pcap", "not-captured", (None, None, None)),
        ("fast-open.pcap", "complete", (1, 2, 3)),
    ],
)
def test_how_a_connection_opened(name: str, verdict: str, frames: tuple[int | None, ...]) -> None:
    shown = judged(name).connections[0].handshake
    assert shown.verdict == verdict
    assert (shown.syn, shown.syn_ack) == frames[:2]
    assert verdict in ("partial", "complete") or shown.ack == frames[2]


def test_both_sides_opened_at_once() -> None:
    report = judged("open-simultaneous.pcap")
    assert report.connections[0].handshake.verdict == "simultaneous"
    assert one(report, "TS115").severity == Severity.NOTE


def test_the_handshake_takes_the_whole_path_and_is_unknown_after_a_repetition() -> None:
    assert of("").connections[0].handshake.rtt_ns == 11_000_000
    assert judged("syn-lost.pcap").connections[0].handshake.rtt_ns is None


def test_a_syn_ack_without_its_syn_is_a_part() -> None:
    report = of("0.0 S > C S. ack 1\n+.1 C > S . 1:1(0)\n", head="# A capture that begins with the second segment.\n")
    assert report.connections[0].handshake.verdict == "partial"
    assert not report.findings


def test_back_off_intervals_are_told() -> None:
    finding = one(judged("syn-again-after-silence"), "TS105")
    assert finding.severity == Severity.WARNING
    assert (finding.count, finding.frames, finding.side) == (4, (1, 2, 3, 4), "server")
    assert "waiting 1 s, 2 s and 4 s" in finding.message
    assert "sent its SYN 4 times" in finding.message
    repeated = one(judged("syn-lost.pcap"), "TS107")
    assert re.search(r"twice \(frames 1 and 2\), after waiting 1\.0\d s", repeated.message)


def test_silence_that_nobody_watched_is_a_note() -> None:
    (first, second) = findings(judged("syn-just-sent"), "TS105")
    assert {first.severity, second.severity} == {Severity.NOTE}
    assert first.message.endswith("the capture ends 3 ms later: too early to tell")
    assert second.message.endswith("the capture ends there: too early to tell")
    assert one(judged("handshake-cut-off.pcap"), "TS106").severity == Severity.NOTE
    assert one(judged("data-just-sent"), "TS401").severity == Severity.NOTE
    assert one(judged("half-open"), "TS106").severity == Severity.WARNING


def test_a_wrong_acknowledgement_names_the_numbers_and_the_reset() -> None:
    finding = one(judged("syn-ack-wrong-number"), "TS102")
    assert finding.severity == Severity.ERROR
    assert "acknowledged 1010005001" not in finding.message or "where 1010000001 was due" in finding.message
    assert "rejected it with a reset (frame 3)" in finding.message
    assert finding.frames == (1, 2, 3)


def test_the_wrong_number_in_the_third_segment_is_told() -> None:
    assert "acknowledged" in one(judged("third-segment-wrong-ack"), "TS103").message
    assert "began at sequence number" in one(judged("third-segment-wrong-seq"), "TS103").message


def test_an_old_duplicate_is_told_apart_from_a_wrong_answer() -> None:
    seen = one(judged("stale-syn.pcap"), "TS109")
    assert "answers the stale SYN of frame 1" in seen.message
    unseen = one(judged("old-duplicate-syn"), "TS109")
    assert "a stale SYN that is not in the capture" in unseen.message
    assert {seen.severity, unseen.severity} == {Severity.NOTE}


def test_a_challenge_ack_is_named() -> None:
    finding = one(judged("syn-in-established.pcap"), "TS110")
    assert "challenged it with an ACK (frame 9)" in finding.message
    assert finding.frames == (8, 9)


def test_the_full_accept_queue_names_what_was_ignored() -> None:
    finding = one(judged("accept-queue-full"), "TS111")
    assert "had acknowledged it in frame 3 and ignored 78 bytes" in finding.message
    assert finding.count == 2


def test_a_flood_is_a_finding_of_the_capture() -> None:
    report = judged("half-open-flood.pcap")
    finding = one(report, "TS112")
    assert finding in report.capture.findings
    assert "121 connections waited" in finding.message
    assert finding.display_filter == (
        "ip.dst == 10.77.0.2 && tcp.dstport == 7777 && tcp.flags.syn == 1 && tcp.flags.ack == 0"
    )


def test_a_server_that_is_down_is_not_flooded() -> None:
    head = ["# Many clients of a dead server."]
    head += [f"client{n}: 10.1.{n // 200}.{n % 200 + 1}:{20000 + n}\nserver{n}: 10.0.0.9:80" for n in range(1, 151)]
    report = of("\n".join(f"+.01 C{n} > S{n} S" for n in range(1, 151)), head="\n".join(head) + "\n")
    assert len(report.connections) == 150
    assert not findings(report, "TS112")


# Closing


@pytest.mark.parametrize(
    ("name", "verdict", "form", "closer"),
    [
        ("server-closes-first.pcap", "orderly", "four-segment", "server"),
        ("close-three-segment.pcap", "orderly", "three-segment", "client"),
        ("close-simultaneous.pcap", "orderly", "simultaneous", "both"),
        ("half-close-data-after.pcap", "orderly", "four-segment", "client"),
        ("fin-never-answered.pcap", "incomplete", "four-segment", "client"),
        ("close-wait-leaked", "half-closed", None, "client"),
        ("abort-rst.pcap", "aborted", None, None),
        ("reset-instead-of-last-ack", "reset-after-fin", "three-segment", "client"),
        ("reset-outside-window", "open", None, None),
        ("data-just-sent", "open", None, None),
    ],
)
def test_how_a_connection_closed(name: str, verdict: str, form: str | None, closer: str | None) -> None:
    shown = judged(name).connections[0].teardown
    assert (shown.verdict, shown.form, shown.active_closer) == (verdict, form, closer)


def test_the_four_frames_of_the_close() -> None:
    closed = of("+.1 C > S F.\n+.1 S > C .\n+.1 S > C F.\n+.1 C > S .\n").connections[0].teardown
    assert (closed.fin, closed.fin_ack, closed.peer_fin, closed.final_ack) == (6, 7, 8, 9)
    merged = of("+.1 C > S F.\n+.1 S > C F.\n+.1 C > S .\n").connections[0].teardown
    assert (merged.fin, merged.fin_ack, merged.peer_fin, merged.final_ack) == (6, 7, 7, 8)


def test_an_abort_says_who_in_which_state_with_what_at_stake() -> None:
    report = of("+.1 S > C P. (500)\n+.1 S > C R.\n")
    finding = one(report, "TS206")
    assert (finding.severity, finding.side, finding.frame) == (Severity.WARNING, "server", 7)
    assert (
        "the server 10.0.0.2:80 aborted the connection in ESTABLISHED with a reset (frame 7)"
        in finding.message.replace("The", "the")
    )
    assert "500 bytes of its own not acknowledged" in finding.message


def test_a_reset_that_loses_nothing_is_a_note() -> None:
    assert one(judged("reset-instead-of-last-ack"), "TS207").severity == Severity.NOTE
    lost = one(judged("reset-with-data-under-way"), "TS207")
    assert lost.severity == Severity.WARNING
    assert "500 bytes not acknowledged" in lost.message


def test_a_leaked_socket_needs_a_minute() -> None:
    leaked = one(judged("close-wait-leaked"), "TS204")
    assert leaked.severity == Severity.WARNING
    assert "1 min 15 s of silence" in leaked.message
    shorter = one(of("+.1 C > S F.\n+.1 S > C .\n+30 C2 > S2 S\n"), "TS204")
    assert shorter.severity == Severity.NOTE


def test_a_closing_alert_that_comes_too_late_is_a_note() -> None:
    alert = ended(full13(), "+.01 C > S F.", "+.01 S > C P. (24)", "+.01 C > S R")
    assert one(analyze(alert), "TS203").severity == Severity.NOTE
    data = ended(full13(), "+.01 C > S F.", "+.01 S > C P. (500)", "+.01 C > S R")
    assert one(analyze(data), "TS203").severity == Severity.WARNING


def test_segments_after_a_reset_of_an_open_connection() -> None:
    assert findings(judged("segment-after-reset-while-open"), "TS210")


# TIME-WAIT


@pytest.mark.parametrize(
    ("name", "verdict", "side"),
    [
        ("time-wait-held.pcap", "held", "client"),
        ("last-ack-lost.pcap", "not-observed", "client"),
        ("close-simultaneous.pcap", "not-observed", "both"),
        ("time-wait-not-held.pcap", "violated", "client"),
        ("repeated-fin-unanswered", "violated", "client"),
        ("repeated-fin-at-the-end", "not-observed", "client"),
        ("port-reused-safely.pcap", "safely-reused", "server"),
        ("ports-reused-by-the-closer", "violated", "client"),
        ("ports-reused-after-time-wait", "held", "client"),
        ("port-reused-refused.pcap", "not-observed", "server"),
        ("time-wait-killed.pcap", "not-observed", "server"),
        ("abort-rst.pcap", "not-applicable", None),
        ("close-wait-leaked", "not-applicable", None),
    ],
)
def test_time_wait(name: str, verdict: str, side: str | None) -> None:
    shown = judged(name).connections[0].time_wait
    assert (shown.verdict, shown.side) == (verdict, side)
    assert shown.required_ns == 60_000_000_000
    assert (shown.observed_ns is None) == (verdict == "not-applicable")


def test_two_msl_are_what_the_option_says() -> None:
    lines = "+.1 C > S F.\n+.1 S > C F.\n+.1 C > S .\n+11 C2 > S2 S\n"
    assert of(lines).connections[0].time_wait.verdict == "not-observed"
    shorter = of(lines, options=Options(msl_seconds=5)).connections[0].time_wait
    assert (shorter.verdict, shorter.required_ns, shorter.observed_ns) == ("held", 10_000_000_000, 11_000_000_000)


def test_a_reset_from_time_wait_is_no_violation_once_it_is_over() -> None:
    lines = "+.1 C > S F.\n+.1 S > C F.\n+.1 C > S .\n+11 S > C F. 1:1(0) stray\n+.1 C > S R 102:102(0)\n"
    assert one(of(lines), "TS301").severity == Severity.ERROR
    assert not findings(of(lines, options=Options(msl_seconds=5)), "TS301")


def test_who_had_to_wait_decides_how_bad_an_early_reuse_is() -> None:
    assert one(judged("ports-reused-by-the-closer"), "TS305").severity == Severity.ERROR
    other = one(judged("port-reused-unsafely.pcap"), "TS305")
    assert (other.severity, other.side) == (Severity.WARNING, "client")
    refused = one(judged("port-reused-refused.pcap"), "TS305")
    assert "refused it with an ACK (frame 13)" in refused.message


# Acknowledgement, order, window


def test_data_that_nobody_acknowledged() -> None:
    finding = one(judged("data-never-acknowledged"), "TS401")
    assert (finding.severity, finding.side, finding.frames) == (Severity.WARNING, "client", (4, 5, 6))
    assert finding.message == (
        "The server 10.0.0.2:80 never acknowledged 120 bytes of the client 10.0.0.1:40000 (from frame 4 on) "
        "in the 1.2 s that were watched after the last of them"
    )


def test_loss_of_the_capture_is_not_loss_of_the_network() -> None:
    report = judged("capture-lost-segment")
    assert not [f for f in report.findings if f.code.startswith("TS4")]
    mine = one_of_connection(report, "TS902")
    assert "lacks 1,460 bytes of the client" in mine.message
    (whole,) = [f for f in report.capture.findings if f.code == "TS902"]
    assert (whole.stream, whole.severity) == (None, Severity.WARNING)


def one_of_connection(report: Report, code: str) -> Finding:
    (finding,) = [f for connection in report.connections for f in connection.findings if f.code == code]
    return finding


def test_absence_proves_nothing_in_one_direction() -> None:
    report = of("+.1 C > S P. (100)\n", head="# The server's direction was not captured.\n" + nocapture(OPEN))
    assert {f.code for f in report.findings} <= {"TS902", "TS903"}


def nocapture(lines: str) -> str:
    return "\n".join(line + " nocapture" if "S > C" in line else line for line in lines.splitlines()[1:]) + "\n"


def test_an_error_is_proved() -> None:
    """The same ACK beyond the window: taken back by what follows, or left standing at the end of the capture."""
    assert one(judged("ack-for-unsent-data"), "TS403").severity == Severity.ERROR
    far = "+.1 C > S . ack =3999999999\n"
    suspected = findings(of(far), "TS403")
    assert all(finding.severity == Severity.WARNING for finding in suspected)


def test_closed_windows_say_for_how_long() -> None:
    finding = one(judged("zero-window"), "TS501")
    assert (finding.severity, finding.side) == (Severity.WARNING, "server")
    assert "for 2.42 s in all" in finding.message
    brief = one(judged("loopback-offload.pcap"), "TS501")
    assert brief.severity == Severity.NOTE


def test_unanswered_keep_alives_are_trouble() -> None:
    assert one(judged("keep-alive-unanswered"), "TS504").severity == Severity.WARNING
    assert one(judged("keep-alive.pcap"), "TS504").severity == Severity.NOTE


# TLS


@pytest.mark.parametrize(
    ("name", "code", "severity", "words"),
    [
        ("tls-cipher-not-offered", "TS640", Severity.ERROR, "chose TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 (frame 5)"),
        ("tls-alert-fatal", "TS677", Severity.WARNING, "the fatal alert handshake_failure (40) (frame 5)"),
        ("tls-alert-warning", "TS678", Severity.NOTE, "the warning alert unrecognized_name (112)"),
        ("tls-http-answer", "TS682", Severity.WARNING, "with plain HTTP (frame 5): this port does not speak TLS"),
        (
            "tls-server-hello-missing-reset",
            "TS671",
            Severity.WARNING,
            "reset the connection 10 ms after the ClientHello",
        ),
        ("tls-server-hello-missing-timeout", "TS673", Severity.WARNING, "which had acknowledged it, in the 6.01 s"),
        ("tls-handshake-incomplete", "TS676", Severity.WARNING, "stopped before the TLS handshake was complete"),
        ("tls-truncation", "TS679", Severity.NOTE, "without a close_notify alert"),
    ],
)
def test_what_tls_findings_say(name: str, code: str, severity: Severity, words: str) -> None:
    finding = findings(analyze(tls_cases()[name][0]), code)[0]
    assert finding.severity == severity
    assert words in finding.message


def test_silence_after_a_client_hello_needs_watching() -> None:
    whole = tls_cases()["tls-server-hello-missing-timeout"][0]
    assert one(analyze(whole), "TS673").severity == Severity.WARNING
    # Without the later segment of another connection nobody watched.
    cut = one(analyze(whole[: len(whole) - 74]), "TS673")
    assert cut.severity == Severity.NOTE


def test_a_suspicion_is_no_error() -> None:
    """The same fault where the capture lacks the beginning of the connection."""
    bad = tls_cases()["tls-cipher-not-offered"][0]
    assert one(analyze(bad), "TS640").severity == Severity.ERROR
    pcap_header, first_three = 24, 3 * 16
    lengths = [int.from_bytes(bad[o : o + 4], "little") for o in record_offsets(bad, 3)]
    middle = analyze(bad[:pcap_header] + bad[pcap_header + first_three + sum(lengths) :])
    for finding in findings(middle, "TS640"):
        assert finding.severity == Severity.WARNING
        assert "suspected" in finding.message


def record_offsets(capture: bytes, count: int) -> list[int]:
    """Where the captured length of each of the first records stands in a little-endian pcap file."""
    offsets, at = [], 24
    for _ in range(count):
        offsets.append(at + 8)
        at += 16 + int.from_bytes(capture[at + 8 : at + 12], "little")
    return offsets


def test_what_was_not_kept_is_not_counted_for_a_cause() -> None:
    """Evidence is bounded, so of more retransmissions than are kept nobody knows the causes: at least so many."""
    lines = "+.1 C > S P. (100)\n" + "".join(f"+{pause} C > S P. 101:201(100)\n" for pause in [0.3] * 12)
    finding = one(of(lines), "TS404")
    total = int(findings(of(lines), "TS404")[0].count)
    assert total == 12 or finding.message.startswith("At least ")


def test_an_acknowledgement_far_beyond_everything_is_an_error_once_it_is_taken_back() -> None:
    far = "+.1 C > S . ack =500000000\n"
    assert one(of(far), "TS403").severity == Severity.WARNING
    back = one(of(far + "+.1 S > C P. 1:101(100)\n+.1 C > S . ack 101\n"), "TS403")
    assert back.severity == Severity.ERROR
    assert back.message.endswith("it takes that back in frame 8")
