"""The graphs of a connection: what their series say, and that they stay small whatever comes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tcpscope.options import Options
from tcpscope.report.charts import Chart, charts
from tcpscope.report.graph import BINS, MARKED, Direction, Graph, GraphCollector
from tcpscope.report.ladder import Subject, ladder, wanted_frames
from tcpscope.report.ladder_rows import Chooser, Rereader
from tcpscope.report.session import Session
from tcpscope.report.thinning import POINTS, Thinned
from tests.captures import SAMPLES, clean
from tests.scenario import build, parse

MS = 1_000_000
HANDSHAKE = """# A connection.
0.0   C > S  S  <mss 1460,sackOK,wscale 7>
+.01  S > C  S. <mss 1460,sackOK,wscale 7>
+.01  C > S  .
"""


def read(data: bytes, *, with_ladder: bool = False) -> Graph:
    """The graph of the connection with the worst finding."""
    options = Options()
    subject = Subject(options.msl_ns)
    feed(Session(options, subject.connection, None), data)
    assert subject.target is not None
    assert subject.report is not None
    collector = GraphCollector(subject.target)
    chooser = Chooser(subject.target, wanted_frames(subject.report))
    observers = (chooser, collector) if with_ladder else (collector,)
    feed(Rereader(options, {subject.target: observers}), data)
    if with_ladder:
        assert ladder(subject.report, chooser).segments > 0
    return collector.graph(subject.report)


def feed(taker: Any, data: bytes) -> None:
    stream = io.BytesIO(data)
    taker.begin_file("")
    while (chunk := stream.read(65536)) and taker.feed(chunk):
        pass
    taker.end_file("", "", "", -1)
    taker.finish()


def sample(name: str) -> Graph:
    return read((SAMPLES / f"{name}.pcap").read_bytes())


def written(text: str) -> Graph:
    return read(build(parse(text)))


def keys(graph: Graph) -> list[str]:
    return [chart.key for chart in charts(graph)]


def rows(chart: Chart) -> Iterator[dict[str, Any]]:
    """The data of a chart, layer for layer."""
    todo: list[Any] = [chart.spec]
    while todo:
        one = todo.pop(0)
        todo += one.get("layer", [])
        yield from one.get("data", {}).get("values", [])


def test_a_clean_connection() -> None:
    graph = read(clean(), with_ladder=True)
    client, server = graph.directions
    assert (graph.client, graph.server) == ("192.168.100.101:51000", "192.168.100.102:8080")
    assert [(piece.seq, piece.end, piece.frame) for piece in client.sent] == [(1, 101, 4)]
    assert sum(piece.end - piece.seq for piece in server.sent) == 2000
    assert [point.value for point in client.acks] == [1, 101, 102]
    assert client.marked == server.marked == client.lost == ()
    assert [event.kind for event in client.events] == ["SYN", "FIN"]
    assert sum(one.new for one in client.bins) == 100
    assert sum(one.new for one in server.bins) == 2000
    assert max(point.value for point in server.flight) <= 2000
    assert client.flight[-1].value == server.flight[-1].value == 0
    assert keys(graph) == ["sequence-client", "sequence-server", "rtt", "throughput", "window"]


def test_times_count_from_the_first_segment_and_round_trips_are_those_of_the_capture_point() -> None:
    graph = written(
        HANDSHAKE
        + "+.1 C > S P. (100)\n+.03 S > C .\n+.1 C > S P. (100)\n+.04 S > C .\n+.1 S > C P. (700)\n+.005 C > S .\n"
    )
    client, server = graph.directions
    assert [piece.time_ns for piece in client.sent] == [120 * MS, 250 * MS]
    assert [(point.time_ns, point.value) for point in client.rtt] == [(150 * MS, 30 * MS), (290 * MS, 40 * MS)]
    assert [point.value for point in server.rtt] == [5 * MS]
    assert graph.duration_ns == 395 * MS


def test_what_was_lost_and_why_it_was_sent_again() -> None:
    _, server = sample("lost-data-fast-retransmit").directions
    assert [piece.frame for piece in server.lost] == [9]
    assert [(piece.frame, piece.cause) for piece in server.marked] == [(27, "fast-retransmit")]
    lost, again = server.lost[0], server.marked[0]
    assert (lost.seq, lost.end) == (again.seq, again.end)
    assert lost.time_ns < again.time_ns
    assert sum(one.resent for one in server.bins) == again.end - again.seq
    assert server.sacks
    assert all(block.left >= lost.end for block in server.sacks)
    assert sum(event.kind == "duplicate ACK" for event in server.events) >= 3


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("timeout-retransmit", "timeout"),
        ("tail-loss-probe", "tail-loss-probe"),
        ("reordered", "network-reordering"),
        ("syn-lost", "syn-retransmit"),
        ("keep-alive", "keep-alive"),
    ],
)
def test_a_cause_has_a_sign_of_its_own(name: str, cause: str) -> None:
    graph = sample(name)
    assert any(piece.cause == cause for one in graph.directions for piece in one.marked)
    drawn = [row["kind"] for chart in charts(graph) if chart.key.startswith("sequence") for row in rows(chart)]
    assert cause in drawn


def test_a_needless_repetition_proves_no_loss() -> None:
    assert all(one.lost == () for one in sample("spurious-retransmit").directions)


def test_a_zero_window_is_marked_where_the_sender_had_to_stop() -> None:
    client, _ = sample("zero-window").directions
    zero = [event for event in client.events if event.kind == "zero window"]
    assert zero
    assert all(
        event.seq == max(point.value for point in client.acks if point.time_ns <= event.time_ns) for event in zero
    )
    assert min(point.value for point in client.windows) == 0
    assert any(piece.cause == "zero-window-probe" for piece in client.marked)
    window = next(chart for chart in charts(sample("zero-window")) if chart.key == "window")
    assert any(row["kind"] == "zero window" and row["y"] == 0 for row in rows(window))


def test_tls_messages() -> None:
    graph = sample("tls13-client-auth")
    assert [message.name for message in graph.messages[:2]] == ["ClientHello", "ServerHello"]
    assert [message.side for message in graph.messages[:2]] == [0, 1]
    named = [row["name"] for chart in charts(graph) for row in rows(chart) if row["kind"] == "TLS handshake"]
    assert named[0] == "ClientHello"


def test_sequence_numbers_go_on_beyond_32_bits() -> None:
    graph = sample("sequence-wrap")
    for one in graph.directions:
        assert all(0 <= piece.seq <= piece.end < 1 << 31 for piece in one.sent)
        assert all(before.value < after.value for before, after in pairwise(one.acks))


def test_the_window_of_an_unknown_scale_is_not_drawn() -> None:
    graph = sample("mid-connection")
    assert all(one.windows == () == one.edges for one in graph.directions)
    window = next(chart for chart in charts(graph) if chart.key == "window")
    assert "not known" in json.dumps(window.spec["title"])


def test_a_window_that_dwarfs_what_is_in_flight_is_said_and_not_drawn() -> None:
    graph = written(HANDSHAKE + "+.01 C > S P. (100)\n+.01 S > C .\n+.01 C > S P. (100)\n+.01 S > C .\n")
    window = next(chart for chart in charts(graph) if chart.key == "window")
    assert {row["kind"] for row in rows(window)} == {"in flight"}
    assert "above what is drawn: 65.5 kB at least" in json.dumps(window.spec["title"])


def test_a_chart_without_data_is_left_out() -> None:
    assert keys(written("# A SYN.\n0.0 C > S S <mss 1460>\n")) == []
    assert keys(sample("refused")) == []
    assert keys(sample("one-sided"))


def test_acknowledgements_alone_show_how_far_it_got() -> None:
    lines = "".join(f"+.01 C > S P. (1000) nocapture\n+.01 S > C . ack {1 + 1000 * n}\n" for n in range(1, 20))
    graph = written(HANDSHAKE + lines)
    assert graph.directions[0].sent == ()
    assert graph.directions[0].acks[-1].value == 19_001
    assert "sequence-client" in keys(graph)


@pytest.mark.parametrize(
    ("after", "sent"),
    [(0, 200), (999_999_997, 200), (1_000_000_003, 200), (1_000_010_000, 200), (4_000_000_000, 100)],
)
def test_a_clock_that_jumps(after: int, sent: int) -> None:
    """What comes a century later is another connection."""
    start = 1_000_000_000
    data = build(parse(HANDSHAKE + "+.1 C > S P. (100)\n+.01 S > C .\n+.01 C > S P. (100)\n+.01 S > C .\n"))
    # From the sixth record on, the seconds with which each begins are others.
    places = [24]
    while places[-1] < len(data):
        places.append(places[-1] + 16 + int.from_bytes(data[places[-1] + 8 : places[-1] + 12], "little"))
    changed = bytearray(data)
    for number, place in enumerate(places[:-1]):
        changed[place : place + 4] = (start if number < 5 else after).to_bytes(4, "little")
    graph = read(bytes(changed))
    assert sum(one.new for one in graph.directions[0].bins) == sent
    assert all(one.number < BINS for one in graph.directions[0].bins)
    json.dumps([chart.spec for chart in charts(graph)], allow_nan=False)


def check_bounds(one: Direction) -> None:
    for series in (one.sent, one.acks, one.edges, one.sacks, one.flight, one.windows, one.rtt):
        assert len(series) <= POINTS
    assert len(one.lost) <= MARKED
    assert len(one.bins) <= BINS


def test_a_long_connection_stays_small_and_loses_nothing() -> None:
    text = HANDSHAKE + "+.01 C > S P. (100)\n+.01 S > C P. (1000) repeat 5000 every 0.001\n+.05 C > S .\n"
    graph = written(text)
    server = graph.directions[1]
    check_bounds(server)
    assert len(server.sent) >= POINTS // 2
    assert server.strides.sent == 8
    assert sum(piece.segments for piece in server.sent) == 5000
    assert server.sent[0].seq == 1
    assert server.sent[-1].end == 5_000_001
    assert all(one.end == two.seq for one, two in pairwise(server.sent))
    assert sum(one.new for one in server.bins) == 5_000_000
    (chart,) = [chart for chart in charts(graph) if chart.key == "sequence-server"]
    assert "each line stands for up to 8 segments in a row" in json.dumps(chart.spec["title"])


def test_what_is_marked_is_thinned_only_beyond_a_bound_of_its_own() -> None:
    text = HANDSHAKE + "+.01 C > S P. (100)\n+.01 S > C P. (1000) repeat 4000 every 0.001\n"
    text += "+1 S > C P. seq 1 (1000) stray\n" + "+1 C > S .\n"
    _, server = written(text).directions
    assert [piece.seq for piece in server.marked] == [1]
    text = HANDSHAKE + "+.01 C > S P. (100)\n" + "+.5 C > S P. seq 1 (100) stray\n" * 600
    client, _ = written(text).directions
    assert len(client.marked) <= MARKED
    assert sum(piece.segments for piece in client.marked) == 600


def test_thinning_is_even() -> None:
    series: Thinned[tuple[int, int]] = Thinned(lambda one, two: (one[0], two[1]), 8)
    for number in range(100):
        series.add((number, number + 1))
    assert series.stride == 16
    assert series.items[0][0] == 0
    assert series.items[-1][1] == 100
    assert {end - start for start, end in series.items[:-1]} == {16}
    assert all(one[1] == two[0] for one, two in pairwise(series.items))


def test_a_specification_is_data_only() -> None:
    """No expression, no address of anything to load."""
    for name in ("zero-window", "tls13-client-auth", "lost-data-burst"):
        for chart in charts(sample(name)):
            text = json.dumps(chart.spec, allow_nan=False)
            for word in ('"expr"', '"signal"', '"url"', '"href"', "datum.", '"calculate"', '"labelExpr"'):
                assert word not in text


def test_light_and_dark_show_the_same() -> None:
    graph = sample("lost-data-burst")
    for light, dark in zip(charts(graph), charts(graph, dark=True), strict=True):
        assert (light.key, light.title) == (dark.key, dark.title)
        assert list(rows(light)) == list(rows(dark))
        assert light.spec["background"] != dark.spec["background"]
