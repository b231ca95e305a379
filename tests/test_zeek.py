"""Zeek's rows on hand-made segments: conn_state, history, and where one connection ends and the next begins."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import tcpscope
from tcpscope.state.zeek import ZeekRow, ZeekView
from tcpscope.state.zeek_endpoint import HOLE_LIMIT, ZeekEndpoint
from tcpscope.wire.segment import ACK, CHECKSUM_BAD, FIN, PSH, RST, SYN, Segment
from tests.scenario import build, parse

MASK = 0xFFFFFFFF
SECOND = 1_000_000_000
CLIENT = bytes([10, 0, 0, 1])
SERVER = bytes([10, 0, 0, 2])
LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK}
# side, flags, sequence number and acknowledgement relative to the two first ones, payload length
Sent = tuple[str, str, int, int, int]
HANDSHAKE: list[Sent] = [("c", "S", 0, 0, 0), ("s", "SA", 0, 1, 0), ("c", "A", 1, 1, 0)]


class Wire:
    """Feeds one view. Port 40000 of the client talks to port 80 of the server unless told otherwise."""

    def __init__(self, ports: tuple[int, int] = (40000, 80), client_isn: int = 1000, server_isn: int = 5000) -> None:
        self.view = ZeekView()
        self.ports = ports
        self.isn = {"c": client_isn, "s": server_isn}
        self.now = 1_700_000_000 * SECOND
        self.frame = 0
        self.rows: list[ZeekRow] = []

    def send(
        self,
        side: str,
        flags: str,
        seq: int,
        ack: int = 0,
        length: int = 0,
        *,
        after: float = 0.001,
        window: int = 1000,
        checksum: int = 0,
        captured: int | None = None,
        header_cut: int = 0,
    ) -> None:
        """One segment, ``after`` seconds."""
        self.frame += 1
        self.now += round(after * SECOND)
        seg = Segment()
        seg.frame = self.frame
        seg.time_ns = self.now
        source, target = self.ports if side == "c" else self.ports[::-1]
        seg.src_port = source
        seg.dst_port = target
        seg.key = CLIENT + SERVER if side == "c" else SERVER + CLIENT
        seg.key += source.to_bytes(2, "big") + target.to_bytes(2, "big")
        seg.flags = sum(LETTERS[letter] for letter in flags)
        seg.seq = (self.isn[side] + seq) & MASK
        seg.ack = (self.isn["s" if side == "c" else "c"] + ack) & MASK if "A" in flags else 0
        seg.length = length
        seg.captured = length if captured is None else captured
        seg.window = window
        seg.checksum = checksum
        seg.header_cut = header_cut
        self.view.feed(seg)

    def play(self, script: list[Sent]) -> Wire:
        """Several segments, one millisecond apart."""
        for sent in script:
            self.send(*sent)
        return self

    def end(self) -> list[str]:
        """The rows as "conn_state history", a "-" before the history where it is empty."""
        self.view.finish()
        self.rows = self.view.take()
        return [f"{row.conn_state} {row.history or '-'}" for row in self.rows]


def play(*scripts: list[Sent]) -> list[str]:
    wire = Wire()
    for script in scripts:
        wire.play(script)
    return wire.end()


# Whole connections

MIDDLE: list[Sent] = [("c", "PA", 1, 1, 5), ("s", "PA", 1, 6, 5)]


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        ([*HANDSHAKE, *MIDDLE, ("c", "FA", 6, 6, 0), ("s", "FA", 6, 7, 0), ("c", "A", 7, 7, 0)], ["SF ShADdFf"]),
        ([*HANDSHAKE], ["S1 ShA"]),
        (HANDSHAKE[:2], ["S1 Sh"]),  # Zeek does not wait for the third segment
        ([*HANDSHAKE, ("c", "FA", 1, 1, 0)], ["S2 ShAF"]),
        ([*HANDSHAKE, ("s", "FA", 1, 1, 0)], ["S3 ShAf"]),
        ([("c", "S", 0, 0, 0), ("s", "RA", 0, 1, 0)], ["REJ Sr"]),
        ([("c", "S", 0, 0, 0), ("c", "R", 1, 0, 0)], ["RSTOS0 SR"]),
        ([("c", "S", 0, 0, 0), ("c", "FA", 1, 1, 0)], ["SH SF"]),
        ([*HANDSHAKE, ("c", "R", 1, 0, 0)], ["RSTO ShAR"]),
        ([*HANDSHAKE, ("s", "R", 1, 0, 0)], ["RSTR ShAr"]),
        ([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("s", "R", 1, 0, 0)], ["RSTR ShAFr"]),
        ([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("s", "FA", 1, 2, 0), ("c", "R", 2, 0, 0)], ["SF ShAFfR"]),
        # The FIN of the other side makes FIN and RST of one side a normal end.
        ([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("c", "R", 2, 0, 0), ("s", "FA", 1, 2, 0)], ["SF ShAFRf"]),
        ([*HANDSHAKE, ("c", "FRA", 1, 1, 0)], ["RSTO ShAI"]),
        ([*MIDDLE], ["OTH Dd"]),
        ([*MIDDLE, ("c", "FA", 6, 6, 0), ("s", "FA", 6, 7, 0)], ["SF DdFf"]),
        ([("c", "PA", 1, 1, 5), ("c", "FA", 6, 1, 0)], ["SH DF"]),
        ([("c", "A", 1, 1, 0), ("s", "R", 1, 0, 0)], ["RSTRH Ar"]),
        ([("c", "R", 1, 0, 0)], ["OTH R"]),
        # A SYN with FIN and another number ends the row before it.
        ([*HANDSHAKE, ("c", "SF", 700, 0, 0)], ["S1 ShA", "SH Q"]),
    ],
)
def test_conn_state_and_history(script: list[Sent], rows: list[str]) -> None:
    assert play(script) == rows


def test_a_row_names_its_originator_and_frames() -> None:
    wire = Wire().play([*HANDSHAKE, *MIDDLE])
    wire.end()
    row = wire.rows[0]
    assert row.key == CLIENT + SERVER + (40000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    assert (row.first_frame, row.last_frame) == (1, 5)


@pytest.mark.parametrize("client_isn", [0, 0x7FFFFFF0, 0xFFFFFFF0, MASK])
def test_passing_zero_changes_nothing(client_isn: int) -> None:
    script: list[Sent] = [*HANDSHAKE, ("c", "PA", 1, 1, 50), ("c", "PA", 101, 1, 50), ("s", "A", 1, 151, 0)]
    script += [("c", "PA", 51, 1, 50), ("c", "FA", 151, 1, 0), ("s", "FA", 1, 152, 0), ("c", "A", 152, 2, 0)]
    assert Wire(client_isn=client_isn).play(script).end() == ["SF ShADaGTFf"]


# Roles


def test_ports_tell_the_server_where_the_syn_is_missing() -> None:
    assert Wire((40000, 80)).play([("s", "PA", 1, 1, 5)]).end() == ["OTH ^d"]
    assert Wire((40000, 50000)).play([("s", "PA", 1, 1, 5)]).end() == ["OTH D"]
    assert Wire((443, 80)).play([("s", "PA", 1, 1, 5)]).end() == ["OTH ^d"]  # both: the lower port
    assert Wire((443, 80)).play([("s", "SA", 0, 1, 0)]).end() == ["OTH H"]  # but not on a SYN-ACK


def test_syn_ack_first_on_a_known_port_swaps_roles_at_once() -> None:
    assert play([("s", "SA", 0, 1, 0), ("c", "S", 0, 0, 0), ("c", "A", 1, 1, 0)]) == ["OTH ^hSA"]


def test_syn_ack_first_on_another_port_swaps_roles_with_the_next_plain_segment() -> None:
    wire = Wire((40000, 50000)).play([("s", "SA", 0, 1, 0), ("c", "A", 1, 1, 0), ("c", "PA", 1, 1, 9)])
    assert wire.end() == ["OTH ^hAD"]
    assert wire.rows[0].key[:4] == CLIENT


def test_syn_ack_before_its_syn_establishes_both_sides() -> None:
    wire = Wire((40000, 50000)).play([("s", "SA", 0, 1, 0), ("c", "S", 0, 0, 0)])
    assert wire.end() == ["S1 Hs^"]
    assert wire.rows[0].key[:4] == CLIENT


def test_answer_without_the_syn_is_established_by_the_clients_ack() -> None:
    wire = Wire().play([("s", "SA", 0, 1, 0), ("c", "A", 1, 1, 0), ("c", "PA", 1, 1, 10), ("s", "A", 1, 11, 0)])
    assert wire.end() == ["S1 ^hADa"]


# History letters


def test_zero_windows_retransmissions_and_checksums_are_written_at_powers_of_ten() -> None:
    for count, letters in ((1, 1), (9, 1), (10, 2), (99, 2), (100, 3)):
        wire = Wire().play(HANDSHAKE)
        for _ in range(count):
            wire.send("c", "A", 1, 1, window=0)
        assert wire.end() == ["S1 ShA" + "W" * letters]
        wire = Wire().play([*HANDSHAKE, ("c", "PA", 1, 1, 5)])
        for _ in range(count):
            wire.send("c", "PA", 1, 1, 5)
        assert wire.end() == ["S1 ShAD" + "T" * letters]
        wire = Wire().play(HANDSHAKE)
        for _ in range(count):
            wire.send("s", "A", 1, 1, checksum=CHECKSUM_BAD)
        assert wire.end() == ["S1 ShA" + "c" * letters]


def test_a_zero_window_after_the_peers_fin_or_with_an_rst_is_not_written() -> None:
    wire = Wire().play([*HANDSHAKE, ("s", "FA", 1, 1, 0)])
    wire.send("c", "A", 1, 2, window=0)
    wire.send("c", "R", 1, window=0)
    assert wire.end() == ["RSTO ShAfR"]


def test_control_letters_are_written_again_for_a_new_sequence_number() -> None:
    assert play([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("c", "FA", 1, 1, 0)]) == ["S2 ShAF"]
    assert play([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("c", "FA", 9, 1, 0)]) == ["S2 ShAFF"]
    # Its end counts: the same FIN repeated with the last data bytes.
    assert play([*HANDSHAKE, ("c", "PA", 1, 1, 4), ("c", "FA", 5, 1, 0), ("c", "FA", 1, 1, 4)]) == ["S2 ShADFT"]
    assert play([*HANDSHAKE, ("c", "R", 1, 0, 0), ("c", "R", 1, 0, 0), ("c", "R", 2, 0, 0)]) == ["RSTO ShARR"]


def test_a_bad_checksum_changes_nothing_but_the_history() -> None:
    wire = Wire().play(HANDSHAKE)
    wire.send("c", "R", 1, checksum=CHECKSUM_BAD)
    assert wire.end() == ["S1 ShAC"]
    wire = Wire()
    wire.send("c", "S", 0, checksum=CHECKSUM_BAD)
    assert wire.end() == ["OTH C"]


def test_a_header_cut_by_the_capture_makes_a_row_and_nothing_else() -> None:
    wire = Wire((40000, 50000))
    wire.send("c", "S", 0, header_cut=1)
    assert wire.end() == ["OTH -"]


def test_late_segments_and_keep_alives_count_as_retransmitted() -> None:
    assert play([*HANDSHAKE, ("c", "PA", 11, 1, 10), ("c", "PA", 1, 1, 10), ("s", "A", 1, 21, 0)]) == ["S1 ShADTa"]
    assert play([*HANDSHAKE, ("c", "PA", 1, 1, 10), ("s", "A", 1, 11, 0), ("c", "A", 10, 1, 1)]) == ["S1 ShADaT"]


def test_history_has_an_end_however_long_a_sender_goes_on() -> None:
    wire = Wire().play([*HANDSHAKE, ("c", "R", 1, 0, 0)])
    for n in range(3000):
        wire.send("c", "R", n, after=0)
    assert len(wire.end()[0]) < 1100


# Gaps


def test_an_acknowledged_hole_is_a_gap() -> None:
    assert play([*HANDSHAKE, ("c", "PA", 11, 1, 10), ("s", "A", 1, 21, 0)]) == ["S1 ShADaG"]
    assert play([*HANDSHAKE, ("s", "PA", 11, 1, 10), ("c", "A", 1, 21, 0)]) == ["S1 ShAdg"]
    assert play([*HANDSHAKE, ("c", "PA", 11, 1, 10)]) == ["S1 ShAD"]  # nobody acknowledged it


def test_each_hole_counts() -> None:
    script = [*HANDSHAKE]
    script += [("c", "PA", 11 + 20 * n, 1, 10) for n in range(10)]
    assert play(script, [("s", "A", 1, 201, 0)]) == ["S1 ShADaGG"]  # the first and the tenth


def test_no_gap_where_the_start_was_not_captured() -> None:
    assert play([("c", "PA", 1, 1, 10), ("c", "PA", 31, 1, 10), ("s", "A", 1, 41, 0)]) == ["OTH Da"]


def test_a_resets_acknowledgement_shows_no_gap() -> None:
    assert play([*HANDSHAKE, ("c", "PA", 11, 1, 10), ("s", "RA", 1, 21, 0)]) == ["RSTR ShADr"]


def test_a_segment_cut_by_the_capture_is_a_gap() -> None:
    wire = Wire().play(HANDSHAKE)
    wire.send("c", "PA", 1, 1, 100, captured=40)
    wire.send("s", "A", 1, 101)
    assert wire.end() == ["S1 ShADaG"]


# Where rows end


def test_unanswered_syns_make_a_row_every_five_seconds() -> None:
    wire = Wire()
    for after in (1, 1, 2, 4, 8):
        wire.send("c", "S", 0, after=after)
    assert wire.end() == ["S0 S", "S0 S", "S0 S"]
    assert [(row.first_frame, row.last_frame) for row in wire.rows] == [(1, 3), (4, 4), (5, 5)]


def test_crossing_syns_are_two_rows() -> None:
    wire = Wire((40000, 50000))
    wire.play([("c", "S", 0, 0, 0), ("s", "S", 0, 0, 0), ("c", "SA", 0, 1, 0), ("s", "SA", 0, 1, 0)])
    assert wire.end() == ["S0 S", "S1 Sh"]
    assert [row.key[:4] for row in wire.rows] == [CLIENT, SERVER]


@pytest.mark.parametrize(("after", "rows"), [(4.9, ["SF ShAFfa"]), (5.1, ["SF ShAFf", "OTH ^a"])])
def test_a_closed_connection_ends_five_seconds_later(after: float, rows: list[str]) -> None:
    wire = Wire().play([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("s", "FA", 1, 2, 0)])
    wire.send("s", "A", 2, 2, after=after)
    assert wire.end() == rows


@pytest.mark.parametrize(("after", "rows"), [(299, 1), (300, 2)])
def test_five_idle_minutes_end_a_connection(after: float, rows: int) -> None:
    wire = Wire().play(HANDSHAKE)
    wire.send("c", "PA", 1, 1, 5, after=after)
    assert len(wire.end()) == rows


@pytest.mark.parametrize("port", [21, 22, 23, 513])
def test_a_login_may_be_idle_for_an_hour(port: int) -> None:
    for after, rows in ((3599, 1), (3600, 2)):
        wire = Wire((40000, port)).play(HANDSHAKE)
        wire.send("c", "PA", 1, 1, 5, after=after)
        assert len(wire.end()) == rows


def test_fin_then_rst_of_one_side_ends_within_six_seconds() -> None:
    for after, rows in ((4.9, 1), (6.1, 2)):
        wire = Wire().play([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("c", "R", 2, 0, 0)])
        wire.send("s", "A", 1, 2, after=after)
        assert len(wire.end()) == rows


def test_a_half_closed_connection_goes_on() -> None:
    wire = Wire().play([*HANDSHAKE, ("c", "FA", 1, 1, 0), ("s", "A", 1, 2, 0)])
    for n in range(5):
        wire.send("s", "PA", 1 + 5 * n, 2, 5, after=100)
    assert wire.end() == ["S2 ShAFad"]


def test_other_frames_move_the_clock() -> None:
    wire = Wire().play([("c", "S", 0, 0, 0)])
    wire.view.tick(wire.now + 10 * SECOND)
    wire.send("c", "S", 0, after=1)  # an earlier time than the clock has reached
    assert wire.end() == ["S0 S", "S0 S"]


def test_a_syn_with_another_number_is_a_new_connection() -> None:
    assert play(HANDSHAKE, [("c", "S", 900, 0, 0)]) == ["S1 ShA", "S0 S"]
    assert play(HANDSHAKE, [("c", "S", 0, 0, 0)]) == ["S1 ShA"]


def test_after_a_close_even_the_same_syn_is_a_new_connection() -> None:
    refused: list[Sent] = [("c", "S", 0, 0, 0), ("s", "RA", 0, 1, 0)]
    assert play(refused, refused, refused) == ["REJ Sr"] * 3


def test_a_close_waits_for_missing_data() -> None:
    hole: list[Sent] = [*HANDSHAKE, ("c", "PA", 11, 1, 10), ("c", "FA", 21, 1, 0)]
    # Both FINs, but bytes before one of them are missing: a late segment still belongs to the connection.
    wire = Wire().play([*hole, ("s", "FA", 1, 1, 0)])
    wire.send("s", "A", 2, 1, after=60)
    assert wire.end() == ["SF ShADFfa"]
    # With the hole filled and acknowledged, five seconds are enough.
    wire = Wire().play([*hole, ("c", "PA", 1, 1, 10), ("s", "FA", 1, 22, 0)])
    wire.send("s", "A", 2, 22, after=60)
    assert wire.end() == ["SF ShADFTf", "OTH ^a"]


def test_rows_come_out_when_they_end() -> None:
    wire = Wire().play([("c", "S", 0, 0, 0), ("s", "RA", 0, 1, 0), ("c", "S", 0, 0, 0)])
    assert [row.conn_state for row in wire.view.take()] == ["REJ"]
    assert wire.view.take() == []
    assert wire.end() == ["S0 S"]


def test_dead_connections_are_let_go_in_a_long_flood() -> None:
    wire = Wire()
    taken = 0
    for n in range(20_000):
        wire.ports = (1024 + n, 80)
        wire.send("c", "S", 0, after=0.01)
        taken += len(wire.view.take())
    assert taken > 10_000
    assert taken + len(wire.end()) == 20_000


# Hostile input and the reassembly behind the gaps


def test_arbitrary_segments_give_rows_and_no_error() -> None:
    rng = random.Random(3)
    wire = Wire()
    for n in range(20_000):
        wire.ports = (rng.choice([1, 40000]), 80)
        flags = "".join(letter for letter in "FSRPA" if rng.random() < 0.25)
        seq, ack = rng.choice([0, 1, 5, rng.getrandbits(32)]), rng.choice([0, 1, 5, rng.getrandbits(32)])
        length = rng.choice([0, 0, 1, 10, 65535])
        after = rng.choice([0, 0.001, 1, 7, 400]) if n % 50 == 0 else 0.0001
        wire.send(rng.choice("cs"), flags, seq, ack, length, after=after, window=rng.choice([0, 9]))
    states = {row.split()[0] for row in wire.end()}
    known = {"S0", "S1", "S2", "S3", "SF", "SH", "SHR", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "OTH"}
    assert states <= known
    assert len(states) > 8


def test_reassembly_agrees_with_a_plain_set_of_bytes() -> None:
    rng = random.Random(11)
    for _ in range(200):
        side, peer = ZeekEndpoint(True), ZeekEndpoint(False)
        side.begin(0, 1)
        arrived: set[int] = set()
        acked = 1
        for _ in range(60):
            if rng.random() < 0.7:
                start = acked + rng.randrange(60)
                length = rng.randrange(1, 20)
                side.receive(start, length, peer)
                arrived |= set(range(start, start + length))
            else:
                ack = acked + rng.randrange(40)
                missing = [n for n in range(acked, ack) if n not in arrived]
                holes = sum(1 for n in missing if n - 1 not in missing)
                result = side.acknowledge(ack, False)
                assert result == (holes if ack > acked else -1)
                acked = max(acked, ack)
                side.advance_ack(acked)
            delivered = acked
            while delivered in arrived:
                delivered += 1
            assert side.delivered == delivered
            assert side.holds_data() == any(n >= acked for n in arrived)


def test_reassembly_gives_up_on_too_many_holes() -> None:
    side, peer = ZeekEndpoint(True), ZeekEndpoint(False)
    side.begin(0, 1)
    side.advance_ack(100)
    for n in range(HOLE_LIMIT + 10):
        side.receive(200 + 2 * n, 1, peer)
    assert side.stopped
    assert not side.holds_data()


def test_ports_that_tell_the_server_can_be_given(tmp_path: Path) -> None:
    """zeek -b knows no server ports: who speaks first is the originator (Zeek's likely_server_ports)."""
    text = "# The middle of a connection.\nserver: 10.0.0.2:443\n0.0 S > C P. 1:101(100) ack 1\n0.1 C > S . 1:1(0) ack 101\n"
    (tmp_path / "a.pcap").write_bytes(build(parse(text)))
    for ports, history in ((None, "^dA"), ((), "Da"), ((80,), "Da"), ((80, 443), "^dA")):
        report = tcpscope.analyze(tmp_path / "a.pcap", tcpscope.Options(zeek_server_ports=ports))
        assert report.connections[0].history == history
