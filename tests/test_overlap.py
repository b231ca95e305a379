"""Bytes that come again are told from other ones by the sums in the checksums alone, however they were cut and numbered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpscope.options import Options
from tcpscope.rules.base import Finding
from tests.rule_cases import analyze
from tests.scenario import build, parse

ENDS = {4: "", 6: "client: [fd00::1]:40000\nserver: [fd00::2]:80\n"}
OPEN = """# Built by a test.
{ends}isn: client {isn} server 7
timestamps: {timestamps}

0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
"""


def differing(lines: list[str], version: int = 4, isn: int = 99, timestamps: bool = False) -> list[Finding]:
    """What TS418 says of a connection that goes on with these lines."""
    head = OPEN.format(ends=ENDS[version], isn=isn, timestamps="yes" if timestamps else "no")
    report = analyze(build(parse(head + "\n".join(lines))))
    return [finding for finding in report.findings if finding.code == "TS418"]


@given(
    st.lists(st.binary(min_size=2, max_size=40), min_size=1, max_size=5),
    st.sampled_from([4, 6]),
    st.sampled_from([99, 2**32 - 30]),
    st.booleans(),
    st.data(),
)
def test_what_is_sent_again_as_one_segment(
    parts: list[bytes], version: int, isn: int, timestamps: bool, data: st.DataObject
) -> None:
    whole = b"".join(parts)
    sent = [f"+.001  C > S  P. hex {part.hex()}" for part in parts]
    again = "+.300  C > S  P. seq 1 hex {}"
    end = "+.010  S > C  ."
    assert differing([*sent, again.format(whole.hex()), end], version, isn, timestamps) == []
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 254))
    (finding,) = differing([*sent, again.format(changed.hex()), end], version, isn, timestamps)
    assert finding.severity.value == "warning"


def test_the_first_sending_was_acknowledged_so_neither_is_damaged() -> None:
    lines = ['+.001 C > S P. data "abcd"', "+.010 S > C .", '+.300 C > S P. seq 1 data "abce"', "+.010 S > C ."]
    (finding,) = differing(lines)
    assert finding.severity.value == "error"


def test_a_part_of_a_segment_cannot_be_told() -> None:
    """Neither what is cut otherwise, nor what was acknowledged in part: its sum is not known."""
    assert differing(['+.001 C > S P. data "abcdef"', '+.300 C > S P. 1:4(3) data "xyz"', "+.010 S > C ."]) == []
    half = ['+.001 C > S P. data "abcdef"', "+.010 S > C . ack 4", '+.300 C > S P. 4:7(3) data "xyz"', "+.010 S > C ."]
    assert differing(half) == []


def test_unusual_options_hide_the_sum() -> None:
    lines = ['+.001 C > S P. data "abcd" <nop,nop,sack 1:1>', '+.300 C > S P. 1:5(4) data "xbcd"', "+.010 S > C ."]
    assert differing(lines) == []


def test_a_checksum_that_is_not_filled_in_says_nothing() -> None:
    """Wrong where it is sent first, right where it is sent again, and the other way round."""
    for first, second in (("badsum", ""), ("", "badsum"), ("badsum", "badsum")):
        lines = [f'+.001 C > S P. data "abcd" {first}', f'+.300 C > S P. 1:5(4) data "abcd" {second}', "+.010 S > C ."]
        told = differing(lines)
        assert [finding.severity.value for finding in told] == (["warning"] if first and not second else [])


def test_verified_checksums_prove_the_difference() -> None:
    text = (
        OPEN.format(ends="", isn=99, timestamps="no") + '+.001 C > S P. data "abcd"\n+.3 C > S P. 1:5(4) data "abce"\n'
    )
    report = analyze(build(parse(text + "+.010 S > C .\n")), Options(verify_checksums=True))
    assert [f.severity.value for f in report.findings if f.code == "TS418"] == ["error"]
