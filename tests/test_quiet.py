"""Connections of which there is nothing to tell: that what is said of them early is true, and that it changes no report."""

import pytest

from tcpscope.options import Options
from tcpscope.pipeline import Pipeline
from tcpscope.report.session import Session, Threshold
from tcpscope.rules import judge_for
from tcpscope.rules.base import Finding
from tcpscope.rules.quiet import Quiet
from tcpscope.rules.symptoms import NONE, symptom
from tcpscope.state.connection import Connection
from tests.captures import SAMPLES, many
from tests.rule_cases import options_of, scenario_paths
from tests.scenario import build, load

OPTIONS = Options(zeek=False)
CASES = {
    **{path.name: (path.read_bytes(), OPTIONS) for path in sorted(SAMPLES.glob("*.pcap*"))},
    **{path.stem: (build(load(path)), options_of(load(path))._replace(zeek=False)) for path in scenario_paths()},
}


def said(capture: bytes, options: Options, *, rises: bool) -> tuple[object, ...]:
    """What is told of a capture whose connections nobody wants to see."""
    threshold = Threshold(rises=rises)
    threshold.severity = -1
    shown: list[tuple[int, list[Finding]]] = []
    session = Session(options, lambda conn, findings: shown.append((conn.stream, findings)), threshold=threshold)
    session.feed(capture)
    session.end_file("")
    session.finish()
    facts, summary = session.facts, session.summary
    counted = [summary.connections, summary.with_findings, summary.findings, summary.frames]
    rules = {code: (rule.findings, rule.connections, rule.severity) for code, rule in summary.by_rule.items()}
    capture_facts = [facts.connections, facts.two_sided_connections, facts.one_sided_connections, facts.unseen_bytes]
    listeners = [(one.syns, one.completed, one.timed_out, one.pending_peak) for one in facts.listeners]
    return counted, rules, shown, session.findings, session.diagnosis, capture_facts, facts.limits, listeners


def quiet_ones(capture: bytes, options: Options) -> int:
    """How many are quiet; of each of them the rules say nothing once it is over, and it has no symptom."""
    judge, quiet = judge_for(options), 0

    def over(conn: Connection) -> None:
        nonlocal quiet
        if conn.quiet:
            quiet += 1
            assert judge.connection(conn) == []
            assert symptom(conn, options.msl_ns) >> 1 == NONE
            assert not conn.lossy
            assert not conn.one_sided

    pipeline = Pipeline(over, options.msl_ns, options.verify_checksums, options.max_connections, False)
    pipeline.flows.outlook = Quiet()
    pipeline.feed(capture)
    pipeline.finish()
    return quiet


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_early_is_true(name: str) -> None:
    quiet_ones(*CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_told_otherwise(name: str) -> None:
    capture, options = CASES[name]
    assert said(capture, options, rises=True) == said(capture, options, rises=False)


def test_ordinary_connections_are_quiet() -> None:
    assert quiet_ones(many(50), OPTIONS) == 50


def test_they_are_not_handed_over_where_nobody_wants_them() -> None:
    threshold = Threshold(rises=True)
    threshold.severity = -1
    taken: list[Connection] = []
    session = Session(OPTIONS, lambda conn, findings: None, threshold=threshold)
    session.pipeline.sink = taken.append
    session.feed(many(50))
    session.end_file("")
    session.finish()
    assert taken == []
    assert session.summary.connections == session.facts.connections == 50
