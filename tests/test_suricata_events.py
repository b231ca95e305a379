"""docs/suricata.md against the program: every event has a row, and every capture that a row names shows what the row says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tcpscope.report.model import Report
from tcpscope.rules import find_rule
from tests.captures import SAMPLES, SCENARIOS
from tests.rule_cases import judged

TABLE = Path(__file__).parent.parent / "docs" / "suricata.md"
ROW = re.compile(r"\| `([^`]+)` \| (.+?) \| (TS.+?) \| (same|stricter|looser|otherwise) \| (.*?) ?\|")
OURS = re.compile(r"(TS\d{3}) (error|warning|note) \(`([\w.-]+)`\)")

# The stream events that a capture can show, by the state in which they are raised, and those of the TCP decoder.
NAMES = """
pkt_broken_ack pkt_invalid_ack pkt_invalid_timestamp pkt_spurious_retransmission pkt_retransmission pkt_bad_window_update
rst_with_data rst_invalid_ack suspected_rst_inject
rst_but_no_session fin_but_no_session 3whs_synack_in_wrong_direction 3whs_synack_with_wrong_ack 3whs_synack_tfo_data_ignored
3whs_syn_flood 4whs_synack_with_wrong_ack 4whs_synack_with_wrong_syn 3whs_synack_toserver_on_syn_recv
3whs_synack_resend_with_diff_ack 3whs_synack_flood 3whs_syn_toclient_on_syn_recv 3whs_syn_resend_diff_seq_on_syn_recv
4whs_wrong_seq 4whs_invalid_ack 3whs_right_seq_wrong_ack_evasion 3whs_wrong_seq_wrong_ack
est_invalid_ack est_ack_zwp_data est_pkt_before_last_ack est_packet_out_of_window est_synack_toserver
est_synack_resend_with_diff_ack est_synack_resend_with_diff_seq est_synack_resend est_syn_toclient est_syn_resend_diff_seq
est_syn_resend
fin_invalid_ack fin_out_of_window fin_syn shutdown_syn_resend fin1_fin_wrong_seq fin1_invalid_ack fin1_ack_wrong_seq
fin2_fin_wrong_seq fin2_invalid_ack fin2_ack_wrong_seq closing_ack_wrong_seq closing_invalid_ack closewait_fin_out_of_window
closewait_pkt_before_last_ack closewait_ack_out_of_window closewait_invalid_ack lastack_invalid_ack lastack_ack_wrong_seq
timewait_ack_wrong_seq timewait_invalid_ack
reassembly_seq_gap reassembly_overlap_different_data reassembly_depth_reached reassembly_urgent_oob_limit_reached
tcp.pkt_too_small tcp.hlen_too_small tcp.invalid_optlen tcp.opt_invalid_len tcp.opt_duplicate
"""
EVENTS = NAMES.split()


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Event, our rules, relation and reason of each row."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            row = ROW.fullmatch(line)
            assert row, f"not a row of the table: {line}"
            yield row[1], row[3], row[4], row[5]


ROWS = list(rows())


@cache
def report(capture: str) -> Report:
    """What we say of a scenario or sample, made once."""
    path = SAMPLES / capture if "." in capture else SCENARIOS / f"{capture}.txt"
    assert path.exists(), f"{capture} is no capture"
    return judged(capture)


def test_every_event_has_one_row() -> None:
    assert len(EVENTS) == 61 + 5
    assert [event for event, *_ in ROWS] == EVENTS


@pytest.mark.parametrize(("event", "rules", "relation", "why"), ROWS, ids=[event for event, *_ in ROWS])
def test_a_row_holds(event: str, rules: str, relation: str, why: str) -> None:
    ours = OURS.findall(rules)
    assert ", ".join(f"{code} {severity} (`{capture}`)" for code, severity, capture in ours) == rules
    for code, severity, capture in ours:
        assert find_rule(code).code == code
        found = {(finding.code, finding.severity.value) for finding in report(capture).findings}
        assert (code, severity) in found, f"{event}: {capture} shows {sorted(found)}"
    if relation == "otherwise":
        assert all(severity != "error" for _, severity, _ in ours)
        assert "RFC" in why or why.startswith("As "), f"{event}: without a reason"
    assert why or relation == "same"


def test_a_row_that_refers_to_another_names_one() -> None:
    for event, _, _, why in ROWS:
        for name in re.findall(r"^As `([^`]+)`", why):
            assert name in EVENTS
            assert name != event
