"""All rules: their codes, names, manuals and references, and a capture that fires each of them beside one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tcpscope.crypto import certificates
from tcpscope.errors import OptionError
from tcpscope.options import Options
from tcpscope.report.model import Report
from tcpscope.rules import RULES, find_rule, judge_for, select
from tcpscope.rules.base import MAX_EVIDENCE, Context, Finding, Rule, Severity
from tcpscope.rules.certificate_base import CertificateRule
from tcpscope.rules.judge import Judge
from tcpscope.rules.manual import HEADINGS, manual
from tcpscope.rules.resets import ConnectionAborted
from tcpscope.rules.tls_base import TlsRule
from tcpscope.state import facts
from tcpscope.state.connection import Connection
from tcpscope.state.tls_faults import FAULTS, NOT_TLS
from tests.captures import SAMPLES
from tests.paths import connections
from tests.rfc_headings import RFC_SECTIONS
from tests.rule_cases import CAPTURES, analyze, ended, judged, scenario_paths, tls_cases, tls_options
from tests.scenario import build, load
from tests.tls_builder import closing, full12

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)

FAMILIES = {"TS1", "TS2", "TS3", "TS4", "TS5", "TS6", "TS7", "TS9"}

# What a rule is not called: the advice, or the check.
BANNED = ("avoid", "use", "do", "dont", "fix", "prefer", "check", "no", "should", "must", "detect", "bad")

# Sections of other RFCs that rules cite.
OTHER_RFCS = {
    "791": {"3.1", "3.2"},
    "792": set[str](),
    "1191": {"4"},
    "1928": {"6"},
    "3128": set[str](),
    "3207": {"4", "4.1", "4.2"},
    "3522": {"3"},
    "4443": {"3.2", "3.3"},
    "1337": set[str](),
    "1858": {"4"},
    "2018": {"2", "3", "4"},
    "2883": {"4"},
    "4511": {"4.14"},
    "4987": {"2", "3"},
    "5077": {"3.3"},
    "5280": {"3.2", "4.1", "4.1.2.5", "4.2.1.3", "4.2.1.9", "4.2.1.12", "6.1", "6.1.3", "6.3"},
    "5681": {"3.2"},
    "5722": {"4"},
    "5746": {"3"},
    "5961": {"3", "4", "5"},
    "6093": {"3"},
    "6176": {"3"},
    "6191": {"2"},
    "6298": {"2", "5"},
    "6520": {"3", "4"},
    "6675": {"5"},
    "6960": {"2.2", "3.2"},
    "7301": {"3.2"},
    "7323": {"2", "2.2", "2.3", "2.4", "3.2", "4.3", "5.2", "5.3"},
    "7366": {"2"},
    "7413": {"4.2.2"},
    "7465": {"2"},
    "7507": {"4"},
    "7568": {"3"},
    "7627": {"5.2"},
    "7633": {"4"},
    "8314": {"5"},
    "8422": {"5.1", "5.4"},
    "8200": {"4.5"},
    "8701": {"3.2"},
    "8985": {"7"},
    "9051": {"6.2.1"},
    "9110": {"4.2.2", "9.3.6"},
    "8996": {"4", "5"},
    "9155": {"4", "5"},
    "9325": {"3.3", "3.4", "3.5", "4.1", "4.2", "4.5"},
    "9525": {"6.3"},
    "9850": {"2"},
    "10015": {"2", "3", "4"},
}

# Numbers of tcpscope.crypto.certificates that mean something else.
NO_TROUBLE = {"COMPRESSED_CERTIFICATE", "FORM_TLS13", "MAX_CERTIFICATES", "MAX_MESSAGE", "STATUS_REQUEST", "ZLIB"}

CITATION = re.compile(r"RFC (\d+)(?: (section|appendix) ([0-9A-Z]+(?:\.[0-9]+)*))?")


def test_codes_are_unique_ordered_and_in_their_family() -> None:
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"TS[1-9]\d\d", code) and code[:3] in FAMILIES for code in codes)


def test_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@every_rule
def test_the_name_states_the_fault(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    allowed = {"no", "bad"} if rule.name in ("bad-checksums",) else set[str]()
    assert rule.name.split("-")[0] not in set(BANNED) - allowed


@every_rule
def test_the_manual_is_whole(rule: Rule) -> None:
    page = manual(rule)
    assert re.fullmatch(r"[A-Z].*[^.]\.", page.title)
    assert [heading for heading, _ in page.sections] == list(HEADINGS)
    for heading, body in page.sections:
        assert body, f"{rule.code}: nothing below {heading}"
        assert "\t" not in body
        assert max(map(len, body.splitlines())) <= 116
    assert page.text().startswith(page.title)


def citations(text: str) -> list[tuple[str, str, str]]:
    return [(match[1], match[2] or "", match[3] or "") for match in CITATION.finditer(text)]


@every_rule
def test_every_cited_section_exists(rule: Rule) -> None:
    references = manual(rule).section("References")
    cited = citations(references)
    assert cited
    assert CITATION.fullmatch(rule.rfc), f"{rule.rfc!r} names no section"
    assert citations(rule.rfc)[0] in cited, f"{rule.code}: {rule.rfc} is not among its references"
    for number, kind, section in cited:
        known = set(RFC_SECTIONS[number]) if number in RFC_SECTIONS else OTHER_RFCS[number]
        assert not section or section in known, f"{rule.code}: RFC {number} has no {kind} {section}"
        assert (kind == "appendix") == section[:1].isalpha()


def test_every_kind_of_fact_is_judged() -> None:
    judged_kinds = {kind for rule in RULES for kind in rule.kinds}
    # Told as part of the rules about what they answer.
    helpers = {facts.SYN_ACK_REJECTED, facts.CHALLENGE_ACK}
    # Repetitions that are facts of their own: SYN, FIN, probes, and late segments.
    told = ("SYN", "FIN", "KEEP_ALIVE", "ZERO_WINDOW_PROBE", "REORDERING")
    helpers |= {facts.RETRANSMISSION + getattr(facts, f"CAUSE_{cause}") for cause in told}
    assert judged_kinds | helpers == set(range(facts.KIND_COUNT))


def test_every_tls_fault_has_its_rule() -> None:
    rules = {rule.fault: rule for rule in RULES if isinstance(rule, TlsRule)}
    for code, slug, rfc, *_ in FAULTS:
        number, section = rfc.removeprefix("RFC ").split(" ")
        kind = "appendix" if section[0].isalpha() else "section"
        rule = find_rule(slug) if code == NOT_TLS else rules[code]
        assert (rule.code, rule.name, rule.rfc) == (f"TS6{code:02}", slug, f"RFC {number} {kind} {section}")


def test_every_trouble_with_a_certificate_has_its_rule() -> None:
    troubles = {value for name, value in vars(certificates).items() if name.isupper() and name not in NO_TROUBLE}
    rules = {rule.trouble: rule.code for rule in RULES if isinstance(rule, CertificateRule)}
    assert rules == {trouble: f"TS7{trouble:02}" for trouble in troubles}


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_every_rule_has_a_capture_that_fires_it_and_a_near_miss() -> None:
    tls = {find_rule(name).code for name in tls_cases()}
    assert set(CAPTURES) | tls == {rule.code for rule in RULES}


@pytest.mark.parametrize("code", CAPTURES)
def test_a_rule_fires_and_its_near_miss_does_not(code: str) -> None:
    fires, silent = CAPTURES[code]
    assert code in codes(judged(fires)), f"{code} does not fire on {fires}"
    assert code not in codes(judged(silent)), f"{code} fires on {silent}"


@pytest.mark.parametrize("name", tls_cases())
def test_a_tls_rule_fires_and_its_near_miss_does_not(name: str, tmp_path: Path) -> None:
    code, options = find_rule(name).code, tls_options(name, tmp_path)
    fires, silent = tls_cases()[name]
    assert code in codes(analyze(fires, options)), f"{code} {name} does not fire"
    assert code not in codes(analyze(silent, options)), f"{code} {name} fires on the near miss"


# What every finding is like


def assert_well_formed(finding: Finding) -> None:
    rule = find_rule(finding.code)
    assert (finding.name, finding.rfc) == (rule.name, rule.rfc)
    assert finding.severity in list(Severity)
    assert re.fullmatch(r"[A-Z0-9\[].*[^.;:,\s]", finding.message), finding.message
    assert "  " not in finding.message
    assert "None" not in finding.message
    assert finding.count >= 1
    assert list(finding.frames) == sorted(set(finding.frames))
    assert all(frame > 0 for frame in finding.frames)
    assert len(finding.frames) <= MAX_EVIDENCE
    assert finding.frame is None or finding.frame in finding.frames
    assert finding.display_filter
    if finding.stream is None:
        assert finding.side is None
        return
    assert finding.side in (None, "client", "server")
    assert finding.display_filter.startswith(f"tcp.stream eq {finding.stream} && frame.number ")
    assert re.findall(r"\d+", finding.display_filter)[1:] == [str(frame) for frame in finding.frames]
    # The message says who: by role and address.
    assert re.search(r"[Tt]he (client|server) [0-9\[]", finding.message)


def every_report() -> Iterable[Report]:
    yield from (judged(name) for name in sorted({name for pair in CAPTURES.values() for name in pair}))
    yield from (judged(path.stem) for path in scenario_paths())
    yield from (analyze(capture) for pair in tls_cases().values() for capture in pair)


def test_every_finding_is_well_formed() -> None:
    for report in every_report():
        for finding in report.findings:
            assert_well_formed(finding)
        for connection in report.connections:
            seen = [(finding.code, finding.side) for finding in connection.findings]
            assert len(seen) == len(set(seen)), f"a rule says the same thing twice: {seen}"


def test_findings_come_in_the_same_order_each_time() -> None:
    assert judged("captured-twice.pcap").findings == judged("captured-twice.pcap").findings


def test_evidence_is_bounded_and_counts_are_not() -> None:
    lines = ["# Many segments without ACK.", "0.0 C > S S", "+.1 S > C S.", "+.1 C > S ."]
    report = analyze(ended_lines([*lines, "+.1 C > S P (5) repeat 100"]))
    (finding,) = [finding for finding in report.findings if finding.code == "TS402"]
    assert finding.count == 100
    assert len(finding.frames) <= MAX_EVIDENCE


def ended_lines(lines: list[str]) -> bytes:
    from tests.scenario import parse

    return build(parse("\n".join(lines)))


# Only those rules look that have something to look at


class Curious(Rule):
    """Remembers what it was asked about."""

    code, name, severity, rfc = "TS199", "curious-rule", Severity.NOTE, "RFC 9293 section 3.5"
    kinds = tuple(range(facts.KIND_COUNT))
    occasions = -1  # everything
    asked = 0

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        Curious.asked += 1
        return ()


@pytest.mark.parametrize(
    ("capture", "asked"),
    [
        (build(load(next(path for path in scenario_paths() if path.stem == "clean-http"))), 0),
        (ended(full12(), "+.005 C > S F.", "+.005 S > C F.", "+.005 C > S ."), 0),
        (ended(closing(full12(), b""), "+.005 C > S R"), 1),
    ],
    ids=["clean", "clean-tls", "reset"],
)
def test_a_clean_connection_costs_no_rule(capture: bytes, asked: int) -> None:
    Curious.asked = 0
    judge = Judge(Options(), [Curious()])
    for connection in connections(capture):
        judge.connection(connection)
    assert Curious.asked == asked


def test_an_opinion_is_what_the_rules_say() -> None:
    # One judge for all, so that what it worked out for one connection is held against all others of the sort.
    judge = judge_for(Options())
    captures = [build(load(path)) for path in scenario_paths()]
    captures += [path.read_bytes() for path in sorted(SAMPLES.glob("*.pcap*"))]
    for capture in captures:
        for connection in connections(capture):
            opinion = judge.opinion(connection)
            if opinion is not None:
                said = [(finding.code, finding.severity) for finding in judge.connection(connection)]
                assert [(finding.code, finding.severity) for finding in opinion.findings] == said


@pytest.mark.parametrize("way", ["C > S", "S > C"])
def test_of_many_aborted_connections_one_is_judged(way: str) -> None:
    judge = Judge(Options(), [ConnectionAborted()])
    lines = ["# One side gives up.", "0.0 C > S S", "+.1 S > C S.", "+.1 C > S .", "+.1 C > S P. (5)", "+.1 S > C ."]
    first, second = (connections(ended_lines([*lines, f"+{wait} {way} R."]))[0] for wait in (0.1, 0.2))
    opinion = judge.opinion(first)
    assert opinion is not None
    assert [finding.code for finding in opinion.findings] == ["TS206"]
    assert judge.opinion(second) is opinion


# Selection


def test_a_rule_is_found_by_code_and_by_name() -> None:
    assert find_rule("ts204") is find_rule("close-wait-never-closed") is find_rule("TS204")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("TS24", "TS204"), ("close-wait-never-close", "close-wait-never-closed"), ("zero-windows", "zero-window")],
)
def test_an_unknown_rule_is_an_error_with_the_nearest_name(wanted: str, near: str) -> None:
    with pytest.raises(OptionError, match=rf"did you mean TS|{near}"):
        find_rule(wanted)
    with pytest.raises(OptionError):
        select([wanted])
    with pytest.raises(OptionError):
        select([], [wanted])


@pytest.mark.parametrize(
    ("selected", "ignored", "first", "count"),
    [
        ((), (), "TS101", len(RULES)),
        (("TS3",), (), "TS301", sum(rule.code.startswith("TS3") for rule in RULES)),
        (("TS3", "TS401"), ("TS30",), "TS401", 1),
        (("zero-window", "ts604"), (), "TS501", 2),
        ((), ("TS",), None, 0),
    ],
)
def test_rules_are_selected_by_prefix_and_name(
    selected: tuple[str, ...], ignored: tuple[str, ...], first: str | None, count: int
) -> None:
    chosen = select(selected, ignored)
    assert len(chosen) == count
    assert [rule.code for rule in chosen] == sorted(rule.code for rule in chosen)
    assert first is None or chosen[0].code == first


def test_only_selected_rules_report() -> None:
    report = analyze(
        build(load(next(p for p in scenario_paths() if p.stem == "data-never-acknowledged"))),
        Options(select=("TS404",)),
    )
    assert codes(report) == {"TS404"}
