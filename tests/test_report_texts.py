"""The small parts of a report: escaping, sizes, frame lists, tables, names of flows."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.report.community_id import community_id
from tcpscope.report.escape import printable
from tcpscope.report.model import HostPort
from tcpscope.report.quantities import day_and_time, frame_list, rfc3339, seconds, seconds_text, size
from tcpscope.report.style import Style
from tcpscope.report.table import shown_width, table, table_width
from tcpscope.report.text_connections import short_host


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("www.example.org", "www.example.org"),
        ("münchen.example", "münchen.example"),
        ("例え.jp", "例え.jp"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\nb\tc\x00", r"a\x0d\x0ab\x09c\x00"),
        ("gpj.\u202eexe", r"gpj.\u{202e}exe"),
        ("zero\u200bwidth", r"zero\u{200b}width"),
        ("Z\u0351\u036b", r"Z\u{351}\u{36b}"),
        ("\udcff", r"\u{dcff}"),
        (r"C:\x1b", r"C:\\x1b"),
        ("\x85\x9b31m", r"\x85\x9b31m"),
    ],
)
def test_text_from_the_wire_is_harmless(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_text_keeps_a_control_character(text: str) -> None:
    shown = printable(text)
    assert shown == "" or shown.isprintable()


@given(st.text(), st.text())
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (12**12, "8.92 TB"),
    ],
)
def test_size(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ([4], "frame 4"),
        ([4, 4], "frame 4"),
        ([9, 3], "frames 3, 9"),
        ([3, 4], "frames 3, 4"),
        ([3, 4, 5, 9], "frames 3–5, 9"),
        (list(range(1, 40, 2)), "frames 1, 3, 5, 7, 9, 11, 13, 15 and 12 more"),
    ],
)
def test_frame_list(frames: list[int], shown: str) -> None:
    assert frame_list(frames) == shown


def test_times() -> None:
    assert rfc3339(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000000Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999999999Z"
    assert day_and_time(1_700_000_000_123_999_999) == "2023-11-14 22:13:20.123 UTC"
    assert seconds(1_250_000_001) == 1.250000001


EDGES = [100_000, 100_001, 10**9, 10**15, 10**15 + 1, 1 << 53]


@given(
    st.one_of(
        st.integers(-(10**19), 10**19), st.integers(0, 10**10), st.sampled_from([*EDGES, *(one - 1 for one in EDGES)])
    )
)
def test_seconds_as_json(duration_ns: int) -> None:
    assert seconds_text(duration_ns) == json.dumps(seconds(duration_ns))


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_any_time_can_be_shown(time_ns: int) -> None:
    assert len(rfc3339(time_ns)) == len("2023-11-14T22:13:20.000000001Z")


@pytest.mark.parametrize(
    ("source", "source_port", "destination", "destination_port", "name"),
    [
        # From the specification's baseline, and from Zeek's own test of its implementation.
        ("128.232.110.120", 34855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ("1.2.3.4", 1122, "5.6.7.8", 3344, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
        (
            "2001:470:e5bf:dead:4957:2174:e82c:4887",
            63943,
            "2607:f8b0:400c:c03::1a",
            25,
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        ),
    ],
)
def test_community_id(source: str, source_port: int, destination: str, destination_port: int, name: str) -> None:
    one, other = ip_address(source).packed, ip_address(destination).packed
    port, other_port = source_port.to_bytes(2, "big"), destination_port.to_bytes(2, "big")
    assert community_id(one + other + port + other_port) == name
    assert community_id(other + one + other_port + port) == name


def test_a_table_is_as_wide_as_announced() -> None:
    style = Style(80, color=True)
    heads, rows = ["#", "name"], [["1", style.paint("red", "error")], ["200", "–"]]
    lines = table(style, heads, rows, right=(0,)).splitlines()
    assert [shown_width(line) for line in lines] == [9, 9, 8, 6]
    assert table_width(heads, rows) == 9
    assert lines[1] == "───  ────"


def test_colour_only_where_wanted() -> None:
    assert Style(color=False).paint("x", "error") == "x"
    assert Style(color=True).paint("x", "error") == "\x1b[1;31mx\x1b[0m"


def test_ascii_stand_ins_keep_the_width() -> None:
    text = "→ ← … – · × ─ µ"
    plain = Style(unicode=False).finish(text)
    assert plain.isascii()
    assert len(plain) == len(text)
    assert Style(unicode=True).finish(text) == text


@pytest.mark.parametrize(
    ("host", "most", "shown"),
    [
        (HostPort("192.168.100.101", 443), 15, "192.168.100.101:443"),
        (HostPort("2001:db8:85a3:8d3:1319:8a2e:370:7348", 443), 39, "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:443"),
        (HostPort("2001:db8:85a3:8d3:1319:8a2e:370:7348", 443), 15, "[2001:db…70:7348]:443"),
        (HostPort("2001:db8:85a3:8d3:1319:8a2e:370:7348", 443), 7, "[200…348]:443"),
    ],
)
def test_long_addresses_lose_their_middle(host: HostPort, most: int, shown: str) -> None:
    assert short_host(host, most) == shown
