"""What connections come to: merged it is the same as counted at once, in bounded memory, and shown without harm."""

from __future__ import annotations

import json
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

import tcpscope
from tcpscope.batch import aggregate
from tcpscope.batch.aggregate import CLIENTS, HOURS, NAMES, RULES, SERVERS, Aggregate, Certificate, Group, Trouble
from tcpscope.batch.markdown import name, render, sentence
from tcpscope.batch.overview import Overview
from tcpscope.batch.sketch import Sketch
from tcpscope.state.quantiles import bucket_of, middle_of
from tests.captures import SAMPLES

durations = st.lists(st.integers(0, 10**15), min_size=1, max_size=200)


@given(durations, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_a_bucket(values: list[int], share: float) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    wanted = sorted(values)[max(0, -(-round(share * 100) * len(values) // 100) - 1)]
    found = sketch.quantile(share)
    assert found is not None
    assert abs(found - wanted) <= wanted * 0.016 + 0.5


@given(durations, durations)
def test_merged_sketches_are_one_of_all_samples(first: list[int], second: list[int]) -> None:
    parts = [Sketch(), Sketch(), Sketch()]
    for sketch, values in zip(parts, (first, second, first + second), strict=True):
        for value in values:
            sketch.add(value)
    parts[0].merge(Sketch(parts[1].pairs()))
    assert parts[0].pairs() == parts[2].pairs()
    assert len(parts[0]) == len(first) + len(second)


def test_no_samples_have_no_percentile() -> None:
    assert Sketch().quantile(0.5) is None


@given(st.integers(0, 10**18))
def test_buckets_are_in_order(value: int) -> None:
    assert bucket_of(value) <= bucket_of(value + 1) <= bucket_of(value) + 1
    assert bucket_of(middle_of(bucket_of(value))) == bucket_of(value)


def of(*paths: str) -> Aggregate:
    """The aggregate of some samples, each merged as it comes from its file."""
    total = Aggregate()
    for path in paths:
        one = Aggregate()
        report = tcpscope.analyze(SAMPLES / path)
        for connection in report.connections:
            one.connection(path, connection)
        one.capture(report.summary)
        total.merge(Aggregate.load(json.loads(json.dumps(one.stored()))))
    return total


def test_it_says_what_the_samples_show() -> None:
    total = of("refused.pcap", "abort-rst.pcap", "timeout-retransmit.pcap", "tls-fatal-alert.pcap").total
    assert (total.connections, dict(total.unopened)) == (4, {"refused": 1})
    assert total.resets == {"client": 1, "server": 1}
    assert 0 < total.retransmitted < total.data_segments


def test_by_every_dimension_there_is_everything() -> None:
    total = of("refused.pcap", "timeout-retransmit.pcap", "tls13.pcap", "tls12.pcap")
    assert dict(total.groups[RULES]["TS104"].unopened) == {"refused": 1}
    assert total.groups[RULES]["TS404"].retransmitted == 2
    assert total.groups[RULES]["TS404"].connections == total.rules["TS404"].connections == 1
    for dimension in (SERVERS, CLIENTS, HOURS):
        versions = sum((group.versions for group in total.groups[dimension].values()), Counter[str]())
        assert versions == total.total.versions == {"TLS 1.3": 1, "TLS 1.2": 1}
        assert sum(len(group.rtt) for group in total.groups[dimension].values()) == len(total.total.rtt) == 3
    text = render(Overview(4, 1, 4, 0, 2, 0, 2, (), (), total, "1"))
    (row,) = (line for line in text.splitlines() if line.startswith("| `www.example.test` |"))
    assert "1 TLS 1.2, 1 TLS 1.3 |" in row


def test_the_order_of_captures_changes_no_number() -> None:
    paths = [path.name for path in sorted(SAMPLES.glob("t*.pcap"))]
    ordered = of(*paths)
    random.Random(1).shuffle(paths)
    mixed = of(*paths)
    for key in ("total", "groups", "others", "rules"):
        assert ordered.stored()[key] == mixed.stored()[key]
    assert [(one.code, one.connections) for one in ordered.worst()] == [
        (one.code, one.connections) for one in mixed.worst()
    ]
    assert ordered.expiring() == mixed.expiring()


def test_hosts_without_end_are_folded_and_counted() -> None:
    total = Aggregate()
    for start in range(0, 10 * aggregate.MOST, 500):
        one = Aggregate()
        for number in range(start, start + 500):
            group = Group(connections=1, error=number == 77)
            one.groups[CLIENTS][f"10.0.0.{number}"] = group
            one.total.merge(group)
            certificate = Certificate(str(number), f"2026-01-01T00:00:{number % 60:02}Z", "", "", "", 0)
            one.certificates[certificate.sha256] = certificate
            trouble = Trouble("TS105", f"10.0.0.1:{number}", "warning", "x.pcap", number, 1, "", "", "")
            one.troubles[trouble.code, trouble.server] = trouble
        total.merge(one)
    clients = total.groups[CLIENTS]
    assert len(clients) <= aggregate.MOST * 1.5
    assert clients["10.0.0.77"].error == 1
    assert len(clients) + total.folded[CLIENTS] == 10 * aggregate.MOST
    kept = sum(group.connections for group in clients.values())
    assert kept + total.others[CLIENTS].connections == total.total.connections == 10 * aggregate.MOST
    assert len(total.certificates) <= aggregate.MOST
    assert len(total.troubles) <= aggregate.MOST * 1.5


HOSTILE = ["`<script>alert(1)</script>`", "a|b", "[x](http://evil)", "www.evil.example", "a\nb\x1b[2J", "\\`", "\u202e"]


def test_text_from_the_wire_is_no_markup() -> None:
    total = Aggregate()
    for text in HOSTILE:
        total.groups[NAMES][text] = total.groups[SERVERS]["10.0.0.1:80"] = Group(connections=1)
        total.troubles["TS1", text] = Trouble("TS1", "10.0.0.1:80", "error", text, 0, 1, "", text, text)
        total.certificates[text] = Certificate("00", "2026-01-01T00:00:00Z", text, text, "10.0.0.1:80", 0)
    report = render(Overview(1, 1, 1, 1, 0, 0, 1, (), (), total, "1"))
    assert "\x1b" not in report
    assert "\u202e" not in report
    for line in report.splitlines():
        outside = "".join(line.replace("\\`", "").split("`")[::2])  # what is no code
        assert line.replace("\\`", "").count("`") % 2 == 0, line
        assert "<script" not in outside.replace("\\<", "")
        assert "http://" not in outside
        assert "www.evil" not in outside
        assert "](" not in outside.replace("\\]", "")
    rows = [line for line in report.splitlines() if line.startswith("| error | TS1 |")]
    assert len(rows) == len(HOSTILE)
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows)


def test_what_names_and_sentences_look_like() -> None:
    assert name("www.example.org") == "`www.example.org`"
    assert name("a`b|c") == "`a\\x60b\\x7cc`"
    assert name("") == ""
    assert sentence("3 of 4 segments (75 %)") == "3 of 4 segments (75 %)"
    assert sentence("<b> http://x www.y") == "\\<b\\> http:\\//x www\\.y"
