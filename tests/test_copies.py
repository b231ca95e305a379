"""Copies in a capture: left out wherever they come from, told from what is sent again, and blamed on whom they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcpscope.capture.frame import Frame
from tcpscope.capture.reader import CaptureReader
from tcpscope.pipeline import Pipeline
from tcpscope.report import json_report
from tcpscope.report.json_connection import connection_json
from tcpscope.report.model import ConnectionReport, Report
from tcpscope.state.facts import CAUSE_NAMES
from tests.captures import SAMPLES
from tests.pcapwriter import Interface, Record, pcapng
from tests.rule_cases import analyze
from tests.scenario import build, parse

MSL_NS = 30_000_000_000
OPEN = """# Built by a test.
0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
"""


def causes(capture: bytes) -> list[str]:
    """What ``segments`` says of each segment."""
    pipeline = Pipeline(lambda conn: None, MSL_NS, False, 0)
    pipeline.reader.feed(capture)
    pipeline.reader.finish()
    found = []
    while pipeline.next_segment():
        conn = pipeline.flows.current
        assert conn is not None
        found.append(CAUSE_NAMES[conn.last_cause] if conn.last_cause >= 0 else "")
    return found


def scenario(lines: str, head: str = OPEN) -> bytes:
    return build(parse(head + lines))


def again(capture: bytes, delay_ns: int, *, elsewhere: bool = False) -> bytes:
    """The capture with each frame a second time: ``delay_ns`` later, at the same interface or at another one."""
    reader, frame = CaptureReader(), Frame()
    reader.feed(capture)
    reader.finish()
    links: dict[int, int] = {}
    records = []
    while reader.advance(frame):
        links[frame.interface] = frame.link_type
        data = frame.data[frame.start : frame.end]
        records.append(Record(frame.time_ns, data, frame.wire_length, frame.interface))
    count = max(links) + 1
    interfaces = [Interface(links.get(number, 1)) for number in range(count)]
    copies = [
        Record(r.time_ns + delay_ns, r.data, r.wire_length, r.interface + (count if elsewhere else 0)) for r in records
    ]
    return pcapng(sorted(records + copies, key=lambda record: record.time_ns), interfaces * 2)


def essence(report: Report) -> list[Any]:
    """What a report says of its connections, without frame numbers, and without what counts copies by design."""
    return [without_frames(connection) for connection in report.connections]


def without_frames(connection: ConnectionReport) -> Any:
    shown = json.loads(connection_json(connection))
    for key in ("first_frame", "last_frame", "end", "duration", "conn_state", "history", "zeek", "time"):
        shown.pop(key, None)
    for what in ("handshake", "teardown", "time_wait"):
        shown[what].pop("frames", None)
    shown["time_wait"].pop("observed")
    shown["states"] = {side: [state for state, _ in steps] for side, steps in shown["states"].items()}
    for traffic in shown["traffic"].values():
        del traffic["copies"]
        for lasting in ("zero_window_time", "throughput", "goodput"):  # the capture ends a little later
            del traffic[lasting]
    diagnosis = shown.pop("diagnosis")
    shown["diagnosis"] = [diagnosis[key] for key in ("kind", "where", "confidence")]
    tls = shown.pop("tls")
    shown["tls"] = tls and [message["message"] for message in tls["messages"]]
    shown["findings"] = sorted(
        (finding["code"], finding["side"], finding["count"])
        for finding in shown["findings"]
        if finding["code"] != "TS920"
    )
    return shown


APART = {
    "captured-twice": "holds copies itself",
    "two-interfaces": "holds copies itself",
    "path-mtu": "holds ICMP errors, which are counted twice",
    "rejected-by-icmp": "holds ICMP errors, which are counted twice",
    "cut-capture": "is cut, which the file with the copies is not",
    "self-connect": "both directions are one",
    "tls13-secrets": "holds its keys, which are not copied",
}
# Pure ACKs without identification and timestamp: a receiver may say the same again, so at one place none is called a copy.
UNTOLD = {"port-reused-refused": 3}
samples = pytest.mark.parametrize(
    "sample",
    [path for path in sorted(SAMPLES.glob("*.pcap*")) if path.stem not in APART],
    ids=lambda path: path.stem,
)


@samples
@pytest.mark.parametrize(("delay_ns", "elsewhere"), [(20_000, False), (3_000_000, True)], ids=["mirror", "interfaces"])
def test_a_capture_of_everything_twice_says_the_same(sample: Path, delay_ns: int, elsewhere: bool) -> None:
    capture = sample.read_bytes()
    once, twice = analyze(capture), analyze(again(capture, delay_ns, elsewhere=elsewhere))
    untold = 0 if elsewhere else UNTOLD.get(sample.stem, 0)
    assert twice.capture.copies.count == once.capture.segments - untold
    if not untold:
        assert essence(twice) == essence(once)


def finding(capture: bytes, code: str) -> Any:
    """The one finding of this code about a connection, or None."""
    found = [f for connection in analyze(capture).connections for f in connection.findings if f.code == code]
    assert len(found) <= 1
    return found[0] if found else None


# Where a copy was captured


def test_a_copy_on_another_interface() -> None:
    capture = build(
        parse(
            "# Test.\nformat: pcapng\n0.000 C > S S <mss 1460>\n+.005 again 1 on 1\n+.01 S > C S.\n+.005 again 3 on 1\n"
        )
    )
    assert causes(capture) == ["", "capture-copy", "", "capture-copy"]
    told = finding(capture, "TS920")
    assert (told.count, told.frames) == (2, (1, 2, 3, 4))
    assert "on another interface 5 ms later" in told.message
    assert "1 of the client 10.0.0.1:40000 and 1 of the server 10.0.0.2:80" in told.message
    assert told.message.endswith("told by the same IP identification, sequence number, flags and length")


def test_a_copy_within_a_vlan() -> None:
    capture = scenario("+.001 C > S P. (100)\n+.00002 again 4 vlan 7\n+.01 S > C .\n")
    assert causes(capture)[4] == "capture-copy"
    assert "within another encapsulation 20 µs later" in finding(capture, "TS920").message


def test_a_copy_behind_a_router_has_another_ttl() -> None:
    """By its identification even with a checksum that the network card filled in only later."""
    capture = scenario(
        "+.001 C > S P. (100) id 77 ttl 64 badsum\n+.00002 C > S P. 1:101(100) id 77 ttl 63\n+.01 S > C .\n"
    )
    assert causes(capture)[4] == "capture-copy"
    assert "with another TTL, behind a router" in finding(capture, "TS920").message


def test_totals_of_a_capture() -> None:
    twice = again(scenario("+.001 C > S P. (100)\n+.01 S > C .\n"), 20_000)
    report = analyze(twice)
    (told,) = (f for f in report.capture.findings if f.code == "TS920")
    assert (
        "5 of 10 segments (1 connection) are copies of another in this capture, on the same interface" in told.message
    )
    assert json_report.capture_object(report.capture)["copies"] == {
        "count": 5,
        "connections": 1,
        "same_interface": 5,
        "other_interface": 0,
        "other_encapsulation": 0,
        "other_hop": 0,
        "without_identification": 0,
        "longest_delay": 0.00002,
    }
    assert [c.client_side.traffic.copies for c in report.connections] == [3]


# The network's duplicates


REPLY = "+.001 C > S P. (10)\n+.010 S > C P. (1000)\n+.001 S > C P. (1000)\n+.001 C > S . ack 2001\n"


def test_the_receiver_reports_what_the_network_delivered_twice() -> None:
    capture = scenario(REPLY + "+.005 again 5\n+.001 C > S . ack 2001 <sack 1:1001>\n+.1 S > C F.\n+.01 C > S .\n")
    assert causes(capture)[7] == "network-duplicate"
    assert finding(capture, "TS920") is None
    assert "the receiver acknowledged the second one" in finding(capture, "TS410").message
    assert finding(capture, "TS413") is None
    (connection,) = analyze(capture).connections
    traffic = connection.server_side.traffic
    assert (traffic.network_duplicates, traffic.copies, traffic.retransmitted_segments) == (1, 0, 0)
    assert (traffic.segments, traffic.payload_bytes) == (4, 2000)


def test_copies_that_nobody_answers_are_the_captures() -> None:
    """Too few to be told at once; that they are never acknowledged shows it in the end."""
    lines = "".join(f"+.010 S > C P. (1000) id {n}\n+.001 C > S .\n" for n in range(100, 120))
    capture = scenario(
        lines + "".join(f"+.010 S > C P. (500)\n+.0001 again {44 + 3 * n}\n+.01 C > S .\n" for n in range(3))
    )
    assert causes(capture)[44] == "network-duplicate"
    assert finding(capture, "TS410") is None
    assert finding(capture, "TS920").count == 3


def test_what_is_answered_is_the_networks() -> None:
    """The same, but each copy is acknowledged at once."""
    lines = "".join(f"+.010 S > C P. (1000) id {n}\n+.001 C > S .\n" for n in range(100, 120))
    more = "".join(f"+.010 S > C P. (500)\n+.01 C > S .\n+.0001 again {44 + 4 * n}\n+.0001 C > S .\n" for n in range(3))
    capture = scenario(lines + more)
    assert finding(capture, "TS410").count == 3
    assert "the receiver acknowledged the second one 3 times" in finding(capture, "TS410").message
    assert finding(capture, "TS920") is None


def test_a_duplicate_among_captured_copies() -> None:
    """Everything is captured twice, 20 microseconds apart; one packet comes a third time after 20 milliseconds."""
    twice = again((SAMPLES / "duplicated.pcap").read_bytes(), 20_000)
    assert finding(twice, "TS410").count == 1
    assert finding(twice, "TS920").count == 28


# What looks like a copy and is none


V6 = """# Built by a test: no identification.
client: [fd00::1]:40000
server: [fd00::2]:80
0.000  C > S  S  <mss 1440>
+.010  S > C  S. <mss 1440>
+.001  C > S  .
"""


def test_without_identification_data_is_told_by_its_time() -> None:
    data = "+.001 C > S P. (100)\n"
    assert causes(scenario(data + "+.00002 again 4\n", V6))[4] == "network-duplicate"
    assert causes(scenario(data + "+.25 again 4\n", V6))[4] == "timeout"
    told = finding(scenario(data + "+.00002 again 4\n+.01 S > C .\n", V6), "TS410")
    assert "told by the same checksum and header numbers" in told.message


def test_equal_duplicate_acks_are_no_copies() -> None:
    lines = "+.010 S > C P. (1000)\n+.0001 S > C P. (1000) nocapture\n+.0001 S > C P. (1000)\n+.0001 S > C P. (1000)\n"
    lines += "+.0001 S > C P. (1000)\n+.001 C > S . ack 1001\n+.00001 C > S . ack 1001 repeat 3 every .00001\n"
    assert causes(scenario(lines, V6)) == [""] * 11
    (connection,) = analyze(scenario(lines, V6)).connections
    assert connection.client_side.traffic.duplicate_acks == 3


def test_an_equal_ack_on_another_interface_is_a_copy() -> None:
    head = V6.replace("client:", "format: pcapng\nclient:", 1)
    capture = scenario("+.010 S > C P. (1000)\n+.001 C > S .\n+.0001 again 5 on 1\n", head)
    assert causes(capture)[5] == "capture-copy"
    assert (
        "told by the same checksum and header numbers, too soon for a repetition" in finding(capture, "TS920").message
    )


def test_equal_resets_are_no_copies() -> None:
    """Each segment that reaches a closed port is answered by its own RST; Linux gives those no identification."""
    lines = "+.001 C > S P. (10)\n+.00001 C > S P. (10)\n+.010 S > C R seq 1 id 0\n+.00001 S > C R seq 1 id 0\n"
    assert causes(scenario(lines))[-2:] == ["", ""]


def test_a_sender_that_keeps_the_identification_when_it_repeats() -> None:
    """RFC 1122 section 3.2.1.5 allows that, so after the time of a time-out the identification proves nothing."""
    lines = (
        "+.001 C > S P. (100) id 50\n+.300 C > S P. 1:101(100) id 50\n+.600 C > S P. 1:101(100) id 50\n+.01 S > C .\n"
    )
    assert causes(scenario(lines))[4:6] == ["timeout", "timeout"]


def test_a_packet_with_the_old_timestamp_was_held_by_the_network() -> None:
    """However late: what is sent again has a new timestamp, whatever its identification."""
    head = OPEN.replace("0.000 ", "timestamps: yes\n0.000 ", 1)
    data = "+.001 C > S P. (100)\n+.01 S > C .\n"
    assert causes(scenario(data + "+.500 again 4\n+.01 S > C .\n", head))[5] == "network-duplicate"
    assert causes(scenario(data + "+.500 C > S P. 1:101(100) id 4099\n", head))[5] == "spurious"


def test_an_identification_that_is_always_the_same_proves_nothing() -> None:
    open_ = "# Test.\n0.000 C > S S id 1\n+.010 S > C S.\n+.001 C > S . id 1\n"
    lines = "+.001 C > S P. (100) id 1\n+.0001 C > S P. (100) id 1\n+.0001 C > S P. (100) id 1\n+.0001 C > S P. (100) id 1\n"
    lines += "+.010 S > C . ack 1 repeat 4 every .0001\n+.0001 C > S P. 1:101(100) id 1\n+.01 S > C .\n"
    assert causes(scenario(lines, open_))[11] == "fast-retransmit"


def test_other_bytes_under_the_same_identification_are_no_copy() -> None:
    lines = '+.001 C > S P. data "aaaa" id 9\n+.0001 C > S P. seq 1 data "bbbb" id 9\n'
    assert causes(scenario(lines))[4] != "capture-copy"


def test_copies_long_after_the_beginning() -> None:
    """The first copy comes when segments are no longer remembered; the next one is told of any segment."""
    lines = "+.0001 C > S P. (100)\n+.0001 S > C .\n" * 4200
    first = 3 + 2 * 4200 + 1
    more = f"+.0001 C > S P. (100)\n+.0001 again {first}\n+.0001 S > C .\n+.0001 again {first + 2}\n"
    assert causes(scenario(lines + more))[-4:] == ["", "network-duplicate", "", "network-duplicate"]


def test_memory_does_not_grow_with_copies() -> None:
    capture = scenario("+.0001 C > S P. (10)\n" * 9000)
    pipeline = Pipeline(lambda conn: None, MSL_NS, False, 0)
    pipeline.feed(again(capture, 20_000))
    watch = pipeline.flows.copies
    assert watch.watching
    assert len(watch.latest) + len(watch.before) <= 8192
    conn = pipeline.flows.current
    assert conn is not None
    assert conn.log is not None
    assert len(conn.log.facts) <= 16
