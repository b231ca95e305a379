"""A TLS handshake that takes long: when that is said, and what of it; and the TLS client that did not open the connection."""

from __future__ import annotations

import pytest

from tests.rule_cases import CLOSED, OPENED, analyze, ended, ending, swapped
from tests.scenario import build, parse
from tests.tls_builder import C, S, Talk, full12, full13, retried13

UNSEEN = "\n".join(OPENED.splitlines()[:2])  # the capture begins behind the handshake of TCP
PATH_MS = 6  # 1 ms to the client by the handshake of TCP, 5 ms to the server by its quickest answer


def slow(capture: bytes) -> list[str]:
    """What TS689 says."""
    return [finding.message for finding in analyze(capture).findings if finding.code == "TS689"]


def flights(*pauses: str, opened: str = OPENED, made: Talk | None = None) -> bytes:
    """A handshake whose flights come after these pauses; between them each side acknowledges what it got after 1 ms."""
    text, next_byte = [opened.rstrip()], {C: 1, S: 1}
    talk = made or full12()
    for index, (side, position, ack, octets) in enumerate(talk.writes):
        way, back = ("C > S", "S > C") if side == C else ("S > C", "C > S")
        wait = pauses[index] if index < len(pauses) else "+.005"
        end = position + len(octets)
        text.append(f"{wait} {way} P. {1 + position}:{1 + end}({len(octets)}) ack {1 + ack} hex {octets.hex()}")
        next_byte[side] = 1 + end
        text.append(f"+.001 {back} . {next_byte[1 - side]}:{next_byte[1 - side]}(0) ack {1 + end}")
    return build(parse("\n".join([*text, *CLOSED])))


@pytest.mark.parametrize("make", [full12, full13, retried13])
def test_a_quick_handshake_is_not_told(make: object) -> None:
    assert slow(flights(made=make())) == []  # type: ignore[operator]


def test_the_server_that_thinks_is_named_first() -> None:
    (text,) = slow(flights("+.005", "+.800"))
    assert "thought" in text
    assert text.index("the server") < text.index("the client") < text.index("on the network")
    assert "the server 10.0.0.2:443 thought for 805 ms" in text  # 5 ms of them before its Finished


def test_the_client_that_thinks_is_named_first() -> None:
    capture = flights("+.005", "+.005", "+2.500")
    (text,) = slow(capture)
    assert text.index("the client") < text.index("the server")
    (finding,) = [finding for finding in analyze(capture).findings if finding.code == "TS689"]
    assert finding.side == "client"


def test_a_network_that_loses_a_flight_has_no_side() -> None:
    hello, *rest = full12().segments(0)
    text = [OPENED.rstrip()]
    side, position, ack, octets = hello
    line = f"C > S P. 1:{1 + len(octets)}({len(octets)}) ack 1 hex {octets.hex()}"
    text += [f"+.005 {line}", f"+1.000 {line}", "+.010 S > C ."]
    for side, position, ack, octets in rest:
        way, end = "C > S" if side == C else "S > C", position + len(octets)
        text.append(f"+.005 {way} P. {1 + position}:{1 + end}({len(octets)}) ack {1 + ack} hex {octets.hex()}")
    capture = build(parse("\n".join([*text, *CLOSED])))
    (finding,) = [finding for finding in analyze(capture).findings if finding.code == "TS689"]
    assert finding.side is None
    assert "1.03 s" in finding.message or "1.02 s" in finding.message


def test_three_round_trips_and_300_ms_are_the_limit() -> None:
    (text,) = slow(build(ending(full12(), *CLOSED, pause="+.330")))
    assert f"the round trip is {PATH_MS} ms, so that up to {3 * PATH_MS + 300} ms" in text
    (text,) = slow(flights("+.005", "+.800"))
    assert "the round trip is 2 ms" in text  # the shortest that was seen


def test_a_connection_from_its_middle_on_is_not_judged() -> None:
    assert slow(flights("+.005", "+.800", opened=UNSEEN)) == []


def test_a_handshake_with_a_hole_is_not_judged() -> None:
    lines = ending(full12(), *CLOSED, pause="+.800")
    whole = build(lines)
    assert slow(whole)
    # The server's flight is never seen; the client acknowledges it.
    del lines.frames[4:5]
    assert slow(build(lines)) == []


def test_a_handshake_that_is_not_completed_is_not_called_slow() -> None:
    talk = full12()
    talk.writes = talk.writes[:2]
    assert slow(flights("+.005", "+.800", made=talk)) == []


def test_what_comes_after_the_handshake_takes_as_long_as_it_likes() -> None:
    assert slow(flights("+.005", "+.005", "+.005", "+.005", "+3.000", "+9.000")) == []


def test_the_time_before_the_hello_is_no_handshake() -> None:
    assert slow(flights("+4.000")) == []


def test_a_tls_client_that_accepted_the_connection_is_told() -> None:
    report = analyze(ended(swapped(full12()), *CLOSED))
    (finding,) = [finding for finding in report.findings if finding.code == "TS635"]
    assert finding.message.startswith("The server 10.0.0.2:443 accepted the TCP connection, but sent the ClientHello")
    assert finding.side == "server"


def test_who_opened_a_connection_from_its_middle_on_is_not_known() -> None:
    capture = build(ending(swapped(full12()), *CLOSED, opened=UNSEEN))
    assert [finding.code for finding in analyze(capture).findings if finding.code == "TS635"] == []
