"""Where the time went: the shares of a connection's life, response times, and round trips by timestamps."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpscope.capture.source import open_source
from tcpscope.state.connection import Connection
from tcpscope.state.durations import Timing
from tcpscope.version import compiled
from tests.captures import SAMPLES, SCENARIOS, scenario
from tests.paths import HANDSHAKE, connections, of
from tests.pcapwriter import Interface, Record, pcapng
from tests.tls_builder import DATA, full12, record
from tests.transforms import frames

MS = 1_000_000
SHARES = ("thinking", "transfer", "loss", "window")


def timing(text: str, stream: int = 0) -> Timing:
    """The timing of one connection of a scenario."""
    found = of(text)[stream].timing
    assert found is not None
    return found


def shares(text: str, stream: int = 0) -> dict[str, float]:
    """All shares that are not zero, in milliseconds; what they add up to is checked."""
    conn = of(text)[stream]
    found = {name: span / MS for name, span in all_shares(conn) if span}
    assert_whole(conn)
    return found


def all_shares(conn: Connection) -> Iterator[tuple[str, int]]:
    """Name and length of each share."""
    known = conn.timing
    if known is None:
        return
    for name, side in (("client", known.client), ("server", known.server)):
        for share in SHARES:
            yield f"{name} {share}", getattr(side, share)
    yield "network", known.network
    yield "idle", known.idle


def assert_whole(conn: Connection) -> None:
    """The shares add up to the time from the first to the last segment, to the nanosecond, and none is negative."""
    spans = [span for _, span in all_shares(conn)]
    assert min(spans, default=0) >= 0
    assert sum(spans) == conn.last_time - conn.first_time


OPENED_10 = "0.000 C > S S <mss 1460>\n+.010 S > C S. <mss 1460>\n+0 C > S .\n"
"""A handshake seen at the client; the way to the server and back takes 10 ms."""

ARRIVED_10 = "0.000 C > S S <mss 1460>\n+0 S > C S. <mss 1460>\n+.010 C > S .\n"
"""The same, seen at the server."""


def test_a_request_that_is_acknowledged_at_once_and_answered_late() -> None:
    text = (
        OPENED_10
        + """+.005 C > S P. (100)
        +.010 S > C .
        +.300 S > C P. (200)
        +0    C > S .
        +.020 C > S F.
        +.010 S > C F.
        +0    C > S .
        """
    )
    assert shares(text) == {"client thinking": 5, "network": 30, "server thinking": 300, "idle": 20}
    server = timing(text).server
    assert server.longest_wait == 300 * MS
    assert (server.wait_began, server.wait_ended) == (4, 6)
    assert (server.wait_answered, server.wait_proved) == (True, True)


def test_an_answer_with_the_acknowledgement_in_it_is_the_paths_up_to_its_round_trip() -> None:
    text = OPENED_10 + "+.005 C > S P. (100)\n+.050 S > C P. (200)\n+0 C > S .\n"
    assert shares(text) == {"client thinking": 5, "network": 20, "server thinking": 40}
    assert not timing(text).server.wait_proved


def test_an_acknowledgement_never_waits_for_an_answer_longer_than_half_a_second() -> None:
    text = OPENED_10 + "+.005 C > S P. (100)\n+2 S > C P. (200)\n+0 C > S .\n"
    assert shares(text) == {"client thinking": 5, "network": 1510, "server thinking": 500}


def test_at_the_server_the_way_to_it_takes_no_time() -> None:
    text = ARRIVED_10 + "+.005 C > S P. (100)\n+.050 S > C P. (200)\n+.010 C > S .\n"
    assert shares(text) == {"client thinking": 5, "network": 20, "server thinking": 50}


def test_a_greeting_needs_the_round_trip_too() -> None:
    assert shares(OPENED_10 + "+.110 S > C P. (20)\n+0 C > S .\n") == {"network": 20, "server thinking": 100}


def test_a_transfer_lasts_from_its_first_data_to_its_last() -> None:
    """Waiting for ACKs in between is part of it; the wait for the last one is the network's."""
    text = (
        ARRIVED_10
        + """+0  C > S P. (100)
        +0    S > C . (1460) repeat 10 every 0.001
        +.008 C > S . repeat 2 every 0.002
        +0    S > C . (1460) repeat 10 every 0.001
        +.010 C > S .
        """
    )
    assert shares(text) == {"network": 20, "server transfer": 28}


def test_at_the_receiver_a_round_trip_between_two_flights_is_transfer() -> None:
    text = (
        OPENED_10
        + """+0  C > S P. (100)
        +.010 S > C . (1460) repeat 10 every 0.001
        +0    C > S .
        +.009 S > C . (1460) repeat 20 every 0.001
        +0    C > S .
        """
    )
    assert shares(text) == {"network": 20, "server transfer": 37}


def test_a_pause_of_the_sender_is_its_programs() -> None:
    text = OPENED_10 + "+0 C > S P. (100)\n+.010 S > C . (1460)\n+0 C > S .\n+.500 S > C . (1460)\n+0 C > S .\n"
    assert shares(text) == {"network": 20, "server thinking": 500}


def test_a_client_that_goes_on_did_not_wait_for_an_answer() -> None:
    """So the silence before it closes is nobody's thinking."""
    text = (
        OPENED_10
        + "+0 C > S P. (100)\n+.010 S > C .\n+.500 C > S P. (100)\n+.010 S > C .\n+1 C > S F.\n+.010 S > C .\n"
    )
    assert shares(text) == {"network": 40, "client thinking": 500, "idle": 1000}


def test_a_request_never_answered_is_the_servers_time() -> None:
    text = OPENED_10 + "+0 C > S P. (100)\n+.010 S > C .\n+2 C > S F.\n+.010 S > C .\n"
    assert shares(text) == {"network": 30, "server thinking": 2000}
    server = timing(text).server
    assert (server.longest_wait, server.wait_answered, server.wait_proved) == (2000 * MS, False, True)


def test_keep_alives_do_not_answer_a_request() -> None:
    text = OPENED_10 + "+0 C > S P. (100)\n+.010 S > C .\n+2 C > S . seq 100 stray\n+.010 S > C .\n+2 S > C P. (5)\n"
    assert shares(text) == {"network": 20, "server thinking": 4010}
    assert timing(text).server.longest_wait == 4010 * MS


def test_keep_alives_show_that_nobody_has_anything_to_say() -> None:
    text = (
        OPENED_10
        + """+0  C > S P. (100)
        +.010 S > C P. (100)
        +0    C > S .
        +1    C > S . seq 100 stray
        +.010 S > C .
        +1    C > S . seq 100 stray
        +.010 S > C .
        """
    )
    assert shares(text) == {"network": 20, "idle": 2020}


def test_a_time_out_costs_from_the_data_to_its_acknowledgement() -> None:
    text = OPENED_10 + "+0 C > S P. (100)\n+.300 C > S P. 1:101(100)\n+.600 C > S P. 1:101(100)\n+.010 S > C .\n"
    assert shares(text) == {"network": 10, "client loss": 910}
    client = timing(text).client
    assert (client.losses, client.loss_flight_min, client.loss_flight_max) == (1, 100, 100)


def test_an_answer_to_what_was_sent_again() -> None:
    """The answer carries the ACK: the round trip belongs to the loss, the rest to the server."""
    text = OPENED_10 + "+0 C > S P. (100)\n+.300 C > S P. 1:101(100)\n+.050 S > C P. (10)\n+0 C > S .\n"
    assert shares(text) == {"network": 10, "client loss": 310, "server thinking": 40}


def test_a_fast_recovery_is_loss_only_while_nothing_new_is_sent() -> None:
    text = (
        ARRIVED_10.replace("<mss 1460>", "<mss 1460,sackOK>")
        + """+0  C > S P. (100)
        +0    S > C . (1460) repeat 5 every 0.001
        +.006 C > S . ack 1461 <sack 2921:7301>
        +0    C > S . ack 1461 <sack 2921:7301>
        +0    C > S . ack 1461 <sack 2921:7301>
        +0    S > C . 1461:2921(1460)
        +0    S > C . (1460)
        +.010 C > S .
        """
    )
    assert shares(text) == {"network": 10, "server transfer": 4, "server loss": 16}
    server = timing(text).server
    assert (server.losses, server.loss_flight_max) == (1, 4 * 1460)


def test_a_closed_window_stops_the_sender() -> None:
    text = (
        ARRIVED_10
        + """+0  C > S P. (100)
        +0    S > C . (1460)
        +.010 C > S . win 0
        +2    C > S . win 5000
        +0    S > C . (1460)
        +.010 C > S .
        """
    )
    assert shares(text) == {"network": 30, "server window": 2000}


def test_a_window_too_small_for_the_path_stops_the_sender() -> None:
    small = ARRIVED_10.replace("<mss 1460>\n+.010 C > S .", "<mss 1460>\n+.010 C > S . win 2920")
    text = small + "+0 C > S P. (100) win 2920\n" + "+0 S > C . (1460)\n+0 S > C . (1460)\n+.050 C > S . win 2920\n" * 3
    assert shares(text) == {"network": 10, "server window": 150}


def test_silence_before_the_opening_is_complete() -> None:
    assert shares("0 C > S S\n+1 C > S S seq 0\n+2 C > S S seq 0\n") == {"client loss": 3000}
    assert shares("0 C > S S\n+1 C > S S seq 0\n+.010 S > C S.\n+0 C > S .\n") == {"client loss": 1000, "network": 10}
    assert shares("0 C > S S\n+.010 S > C S.\n+1 S > C S. seq 0\n") == {"network": 10, "server loss": 1000}


def test_a_lone_syn_has_no_timing() -> None:
    assert of("0 C > S S\n")[0].timing is None


def test_who_closes_last_had_the_word() -> None:
    text = OPENED_10 + "+0 C > S F.\n+.010 S > C .\n+5 S > C F.\n+0 C > S .\n"
    assert shares(text) == {"network": 20, "server thinking": 5000}


def tls(*lines: str) -> str:
    """A TLS connection seen at the client, its handshake done, and further lines."""
    names = ("C > S", "S > C")
    said = [f"+.010 {names[side]} P. hex {data.hex()}" for side, _, _, data in full12(close=False).segments()]
    return "\n".join([OPENED_10, *said, "+.010 S > C .", *lines, ""])


def test_small_records_of_tls_ask_for_nothing() -> None:
    """A window update of HTTP/2, answered by a closing alert a minute later: that is no slow answer."""
    small, large = f"hex {record(DATA, bytes(30)).hex()}", f"hex {record(DATA, bytes(300)).hex()}"
    before = timing(tls())
    for answer, asked, waited in ((small, small, 0), (large, small, 60_000), (small, large, 60_000)):
        text = tls(f"+0 C > S P. {asked}", "+.010 S > C .", f"+60 S > C P. {answer}", "+0 C > S .")
        found = timing(text)
        assert found.server.thinking - before.server.thinking == 60_000 * MS
        assert found.server.longest_wait // (60_000 * MS) == waited // 60_000
        assert found.exchanges - before.exchanges == (1 if waited else 0)
    closed = tls(f"+0 C > S P. {small}", "+.010 S > C .", "+60 C > S F.", "+.010 S > C .")
    assert timing(closed).idle - before.idle == 60_000 * MS


def test_response_times() -> None:
    text = HANDSHAKE + "".join(
        f"+.1 C > S P. (100)\n+.010 S > C .\n+{wait} S > C P. (200)\n+.001 S > C P. (200)\n+0 C > S .\n"
        for wait in (".090", ".190", ".990")
    )
    found = timing(text)
    assert found.exchanges == 3
    assert found.responses is not None
    assert (found.responses.minimum, found.responses.maximum) == (100 * MS, 1000 * MS)
    assert found.responses.quantile(1, 2) == pytest.approx(200 * MS, rel=0.032)


def test_round_trips_by_timestamps_know_which_sending_was_answered() -> None:
    """Karn's rule takes no sample from what was sent twice; the echoed timestamp tells the two sendings apart."""
    conn = of(
        """timestamps: yes
        0.000 C > S S <mss 1460>
        +.010 S > C S. <mss 1460>
        +0    C > S .
        +1    C > S P. (100)
        +.3   C > S P. 1:101(100)
        +.020 S > C .
        """
    )[0]
    sent = conn.client.transfer
    assert sent is not None
    assert sent.rtt is None
    assert sent.trouble.retransmitted_segments == 1
    assert sent.stamp_rtt is not None
    assert (sent.stamp_rtt.count, sent.stamp_rtt.minimum) == (1, 20 * MS)
    conn = of(
        "timestamps: yes\n" + OPENED_10 + "+1 C > S P. (100)\n+.020 S > C .\n+1 C > S P. (9)\n+.030 S > C P. (5)\n"
    )[0]
    sent = conn.client.transfer
    assert sent is not None
    assert sent.stamp_rtt is not None
    assert (sent.stamp_rtt.count, sent.stamp_rtt.minimum, sent.stamp_rtt.maximum) == (2, 20 * MS, 30 * MS)


def test_longest_silence_of_a_side() -> None:
    conn = of(OPENED_10 + "+0 C > S P. (100)\n+.010 S > C .\n+2 C > S P. (100)\n+.010 S > C .\n")[0]
    assert (conn.client.silence, conn.server.silence) == (2010 * MS, 2010 * MS)


# What holds for any capture


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_the_shares_of_every_scenario_add_up(path: Path) -> None:
    for conn in connections(scenario(path.stem)):
        assert_whole(conn)


CAPTURES = sorted(SAMPLES.glob("*.pcap*")) if SAMPLES.is_dir() else []
PCAPS = [path for path in CAPTURES if path.suffix == ".pcap"]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_the_shares_of_every_sample_add_up(path: Path) -> None:
    for conn in connections(path.read_bytes()):
        assert_whole(conn)


CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
LARGEST = 50_000_000 if compiled() else 200_000


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not part of the project")
def test_the_shares_of_all_the_corpus_add_up() -> None:
    """Connections of captures from everywhere; uncompiled the small ones only."""
    seen = 0
    for path in sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size <= LARGEST):
        with open_source(path) as source:
            for conn in connections(b"".join(iter(source.read, b""))):
                assert_whole(conn)
                seen += 1
    assert seen > 1000


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.name)
@pytest.mark.parametrize("years", [-100, 50])
def test_the_shares_do_not_depend_on_the_date(path: Path, years: int) -> None:
    """Also before 1970, where times are negative: interfaces of pcapng may shift theirs."""
    data = path.read_bytes()
    unit = 1 if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1000
    link_type = struct.unpack_from("<I", data, 20)[0]
    seconds = years * 365 * 86400
    records = []
    for start, end, _ in frames(data):
        whole, fraction, _, wire_length = struct.unpack_from("<IIII", data, start - 16)
        records.append(Record((whole + seconds) * 1000 * MS + fraction * unit, data[start:end], wire_length))
    moved = pcapng(records, [Interface(link_type, tsoffset=seconds)])
    for conn, other in zip(connections(data), connections(moved), strict=True):
        assert_whole(other)
        assert dict(all_shares(other)) == dict(all_shares(conn))


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.name)
def test_the_shares_add_up_whatever_the_order_and_the_clock(path: Path) -> None:
    """Frames in disorder, twice or not at all, and a clock that steps back: a stranger life, and still all of it."""
    data, choice = path.read_bytes(), random.Random(path.name)
    records = [data[start - 16 : end] for start, end, _ in frames(data)]
    for _ in range(3):
        mixed = [record for record in records for _ in range(choice.choice((0, 1, 1, 1, 2)))]
        for at in range(len(mixed)):
            other = min(len(mixed) - 1, at + choice.choice((0, 0, 0, 1, 5)))
            mixed[at], mixed[other] = mixed[other], mixed[at]
            if choice.random() < 0.05:
                seconds = struct.unpack_from("<I", mixed[at])[0] + choice.randrange(-3, 4)
                mixed[at] = struct.pack("<I", seconds) + mixed[at][4:]
        for conn in connections(data[:24] + b"".join(mixed)):
            assert_whole(conn)
