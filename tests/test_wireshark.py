"""Wireshark's flags, streams and completeness, rule by rule, on hand-made segments. Expected values: tshark 4.0.17."""

from __future__ import annotations

import random

import pytest

from tcpscope.state.keys import reverse_key
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer
from tcpscope.state.wireshark_flow import Flow, Unacked, UnackedPool
from tcpscope.wire.segment import ACK, FIN, PSH, RST, SYN, Segment

MS = 1_000_000
MASK = 0xFFFFFFFF
CLIENT = bytes([10, 0, 0, 1])
SERVER = bytes([10, 0, 0, 2])
C0 = 1000  # the client's first sequence number
S0 = 5000
LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK}
# A segment: side, flag letters, sequence number and ack relative to the two first ones, payload length.
Sent = tuple[str, str, int, int, int]
HANDSHAKE: tuple[Sent, ...] = (("c", "S", 0, 0, 0), ("s", "SA", 0, 1, 0), ("c", "A", 1, 1, 0))


class Wire:
    """Feeds segments to one analyser. Numbers are relative to the first ones, as Wireshark shows them."""

    def __init__(self, client_isn: int = C0, server_isn: int = S0) -> None:
        self.analyzer = WiresharkAnalyzer()
        self.isn = {"c": client_isn, "s": server_isn}
        self.windows = {"c": 1000, "s": 1000}
        self.now = 1_700_000_000_000 * MS
        self.frame = 0
        self.port = 40000

    def send(
        self,
        side: str,
        flags: str,
        seq: int,
        ack: int = 0,
        length: int = 0,
        *,
        window: int | None = None,
        after: float = 1,
        scale: int = -1,
        sack: tuple[tuple[int, int], ...] = (),
        mptcp: int = 0,
    ) -> set[str]:
        """One segment, ``after`` milliseconds; returns its flags by name."""
        other = "s" if side == "c" else "c"
        self.frame += 1
        self.now += int(after * MS)
        if window is not None:
            self.windows[side] = window
        seg = Segment()
        seg.frame = self.frame
        seg.time_ns = self.now
        ports = (self.port.to_bytes(2, "big"), (80).to_bytes(2, "big"))
        seg.key = CLIENT + SERVER + ports[0] + ports[1] if side == "c" else SERVER + CLIENT + ports[1] + ports[0]
        seg.flags = sum(LETTERS[letter] for letter in flags)
        seg.seq = (self.isn[side] + seq) & MASK
        seg.ack = (self.isn[other] + ack) & MASK if "A" in flags else 0
        seg.length = length
        seg.window = self.windows[side]
        seg.window_scale = scale
        seg.mptcp = mptcp
        seg.sack_count = len(sack)
        for n, (left, right) in enumerate(sack):
            setattr(seg, f"sack_left{n}", (self.isn[other] + left) & MASK)
            setattr(seg, f"sack_right{n}", (self.isn[other] + right) & MASK)
        bits = self.analyzer.analyze(seg)
        return {name for n, name in enumerate(FLAG_NAMES) if bits >> n & 1}

    def play(self, *script: Sent) -> list[set[str]]:
        """Several segments, one millisecond apart."""
        return [self.send(*sent) for sent in script]

    def handshake(self, scale: int = -1) -> Wire:
        """SYN, SYN-ACK, ACK without a flag; 2 ms of initial round-trip time."""
        for sent in HANDSHAKE:
            assert self.send(*sent, scale=scale if "S" in sent[1] else -1) == set()
        return self


# A whole connection


def test_clean_connection_has_no_flag_and_every_value() -> None:
    wire = Wire().handshake()
    a = wire.analyzer
    assert (a.acks_frame, a.ack_rtt, a.initial_rtt) == (2, 1 * MS, 2 * MS)
    assert wire.send("c", "PA", 1, 1, 100) == set()
    assert a.bytes_in_flight == 100
    assert wire.send("c", "PA", 101, 1, 50) == set()
    assert a.bytes_in_flight == 150
    assert wire.send("s", "A", 1, 151, after=5) == set()
    assert (a.acks_frame, a.ack_rtt) == (5, 5 * MS)
    assert wire.send("c", "FA", 151, 1) == set()
    assert wire.send("s", "FA", 1, 152) == set()
    assert wire.send("c", "A", 152, 2) == set()
    assert a.stream == 0
    assert a.streams == 1
    assert a.completeness_of(0) == 31


def test_names_are_in_the_order_of_the_bits() -> None:
    assert len(FLAG_NAMES) == 15
    assert FLAG_NAMES[:4] == ("retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order")
    assert FLAG_NAMES[14] == "reused_ports"


# Streams


def test_streams_are_numbered_as_they_begin() -> None:
    wire = Wire()
    numbers = []
    for port in (1, 2, 1, 3, 2):
        wire.port = port
        wire.send("s", "A", 1, 1)
        numbers.append(wire.analyzer.stream)
    assert numbers == [0, 1, 0, 2, 1]


def test_both_directions_share_a_stream_whoever_is_first() -> None:
    wire = Wire()
    wire.play(("s", "SA", 0, 1, 0), ("c", "S", 0, 0, 0))
    assert (wire.analyzer.stream, wire.analyzer.streams) == (0, 1)


@pytest.mark.parametrize("size", [12, 36])
def test_reverse_key_swaps_addresses_and_ports(size: int) -> None:
    half = (size - 4) // 2
    key = bytes([1]) * half + bytes([2]) * half + b"\x03\x04\x05\x06"
    assert reverse_key(key) == bytes([2]) * half + bytes([1]) * half + b"\x05\x06\x03\x04"
    assert reverse_key(reverse_key(key)) == key


def test_a_host_that_talks_to_its_own_port_is_one_direction() -> None:
    analyzer = WiresharkAnalyzer()
    seg = Segment()
    seg.key = CLIENT + CLIENT + b"\x00\x50\x00\x50"
    for frame, flags in enumerate((SYN, SYN, SYN | ACK, ACK), start=1):
        seg.frame = frame
        seg.flags = flags
        analyzer.analyze(seg)
    assert analyzer.streams == 1


# Reused ports


def test_syn_with_another_number_begins_a_stream() -> None:
    wire = Wire().handshake()
    wire.send("c", "PA", 1, 1, 10)
    assert wire.send("c", "S", 7000) == {"reused_ports"}
    assert wire.analyzer.stream == 1
    # Nothing of the old stream is left in either direction.
    assert wire.send("s", "SA", 9000, 7001) == set()
    assert wire.send("c", "A", 7001, 9001) == set()
    assert wire.analyzer.stream == 1
    assert wire.analyzer.completeness_of(0) == 15
    assert wire.analyzer.completeness_of(1) == 7


def test_syn_with_the_same_number_is_a_retransmission() -> None:
    wire = Wire()
    wire.send("c", "S", 0)
    assert wire.send("c", "S", 0, after=1000) == {"retransmission"}
    assert wire.analyzer.stream == 0
    assert (wire.analyzer.rto_frame, wire.analyzer.rto) == (1, 1000 * MS)


def test_syn_after_an_rst_with_a_foreign_number_is_still_a_retransmission() -> None:
    wire = Wire()
    wire.play(("c", "S", 0, 0, 0), ("c", "R", 900, 0, 0))
    assert wire.send("c", "S", 0, after=1000) == {"retransmission"}
    # The RST's number is forgotten: the handshake goes on without a loss.
    assert wire.send("s", "SA", 0, 1) == set()
    assert wire.send("c", "A", 1, 1) == set()


def test_syn_ack_with_another_number_stays_in_the_stream() -> None:
    wire = Wire()
    wire.play(("c", "S", 0, 0, 0), ("s", "SA", 0, 1, 0))
    assert wire.send("s", "SA", 700, 1) == {"reused_ports", "lost_segment"}
    assert wire.send("c", "A", 1, 701) == {"ack_lost_segment"}
    assert wire.analyzer.stream == 0


def test_the_first_number_of_a_silent_side_is_taken_from_the_ack() -> None:
    wire = Wire()
    wire.send("s", "SA", 0, 1)
    assert wire.send("c", "S", 0) == set()
    wire = Wire()
    wire.send("s", "SA", 0, 50)
    assert wire.send("c", "S", 0) == {"reused_ports"}


# Lost segments


def test_one_hole_gives_one_lost_segment() -> None:
    wire = Wire().handshake()
    assert wire.send("c", "A", 101, 1, 100) == {"lost_segment"}
    assert wire.analyzer.bytes_in_flight == -1  # withheld until the server acknowledges something
    assert wire.send("c", "A", 201, 1, 100) == set()
    assert wire.analyzer.bytes_in_flight == -1


def test_a_pure_ack_that_jumps_counts_as_lost_segment_and_an_rst_does_not() -> None:
    wire = Wire().handshake()
    assert wire.send("c", "A", 11, 1) == {"lost_segment"}
    assert wire.send("c", "R", 21) == set()


def test_two_numbers_half_the_space_apart_count_as_ahead_and_behind() -> None:
    wire = Wire().handshake()
    names = wire.send("c", "A", 1 + 0x80000000, 1, 10, after=100)
    assert names == {"lost_segment", "retransmission", "spurious_retransmission"}


def test_ack_of_bytes_behind_a_hole_is_flagged_and_makes_them_known() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 101, 1, 100)
    assert wire.send("s", "A", 1, 201) == {"ack_lost_segment"}
    assert wire.send("s", "A", 1, 201, window=999) == {"window_update"}


def test_ack_of_bytes_never_seen_is_flagged_once_a_stall() -> None:
    wire = Wire().handshake()
    assert wire.send("s", "A", 1, 101) == {"ack_lost_segment"}
    assert wire.send("s", "A", 1, 201) == set()
    # The client's own acknowledgement moves: the next stall is told again.
    wire.send("s", "A", 1, 201, 10)
    wire.send("c", "A", 201, 11)
    assert wire.send("s", "A", 11, 301) == {"ack_lost_segment"}


# Repeated acknowledgements


def test_duplicate_acks_are_numbered_and_name_the_first() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("s", "A", 1, 101)
    for number in (1, 2, 3):
        assert wire.send("s", "A", 1, 101) == {"duplicate_ack"}
        assert (wire.analyzer.duplicate_ack_number, wire.analyzer.duplicate_ack_frame) == (number, 5)
    wire.send("c", "A", 101, 1, 100)
    assert wire.send("s", "A", 1, 201) == set()
    assert wire.send("s", "A", 1, 201) == {"duplicate_ack"}
    assert (wire.analyzer.duplicate_ack_number, wire.analyzer.duplicate_ack_frame) == (1, 10)


def test_a_repeated_handshake_ack_is_a_duplicate_although_nothing_is_outstanding() -> None:
    wire = Wire().handshake()
    assert wire.send("c", "A", 1, 1) == {"duplicate_ack"}


def test_an_ack_with_new_sack_blocks_is_a_duplicate_and_with_another_window_an_update() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 101, 1, 100)
    wire.send("s", "A", 1, 1, sack=((101, 201),))
    assert wire.send("s", "A", 1, 1, sack=((101, 201), (301, 401))) == {"duplicate_ack"}
    assert wire.send("s", "A", 1, 1, sack=((101, 501),), window=900) == {"window_update"}
    assert wire.send("s", "A", 1, 1, window=800) == {"window_update"}  # smaller counts as well


def test_the_window_of_the_syn_is_the_first_to_compare_with() -> None:
    wire = Wire().handshake()
    wire.send("s", "A", 1, 1)  # same window as the SYN-ACK, and the same ack
    assert wire.send("s", "A", 1, 1, window=77) == {"window_update"}


def test_duplicate_is_not_counted_when_mptcp_options_changed_since() -> None:
    wire = Wire().handshake()
    wire.send("s", "A", 1, 1, mptcp=4)
    assert wire.send("c", "A", 1, 1) == set()
    assert wire.send("c", "A", 1, 1) == {"duplicate_ack"}


# Retransmissions


def test_exact_copy_of_the_newest_segment_is_a_retransmission_however_early() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    assert wire.send("c", "A", 1, 1, 100, after=0.1) == {"retransmission"}


def test_early_copy_of_an_older_segment_is_out_of_order_to_wireshark() -> None:
    wire = Wire().handshake()
    wire.play(("c", "A", 1, 1, 100), ("c", "A", 101, 1, 100))
    assert wire.send("c", "A", 1, 1, 100, after=0.1) == {"out_of_order"}


@pytest.mark.parametrize(
    ("known_rtt", "delay", "flag"),
    [
        (True, 1.999999, "out_of_order"),
        (True, 2, "retransmission"),
        (False, 2.999999, "out_of_order"),
        (False, 3, "retransmission"),
    ],
)
def test_out_of_order_is_decided_by_the_initial_rtt_or_3_ms(known_rtt: bool, delay: float, flag: str) -> None:
    wire = Wire()
    if known_rtt:
        wire.handshake()
    wire.play(("c", "A", 1, 1, 100), ("c", "A", 201, 1, 100))
    assert wire.send("c", "A", 101, 1, 100, after=delay) == {flag}


def test_rto_counts_from_the_oldest_unacknowledged_segment() -> None:
    wire = Wire().handshake()
    wire.play(("c", "A", 1, 1, 100), ("c", "A", 101, 1, 100), ("s", "A", 1, 101, 0), ("c", "A", 201, 1, 100))
    assert wire.send("c", "A", 101, 1, 100, after=300) == {"retransmission"}
    assert (wire.analyzer.rto_frame, wire.analyzer.rto) == (5, 302 * MS)


@pytest.mark.parametrize(
    ("duplicates", "delay", "fast"), [(2, 19.999999, True), (2, 20, False), (1, 1, False), (5, 0, True)]
)
def test_fast_retransmission_needs_two_duplicates_and_less_than_20_ms(
    duplicates: int, delay: float, fast: bool
) -> None:
    wire = Wire().handshake()
    for n in range(4):
        wire.send("c", "A", 1 + 100 * n, 1, 100)
    wire.send("s", "A", 1, 101, after=50)
    for _ in range(duplicates):
        assert wire.send("s", "A", 1, 101, after=0) == {"duplicate_ack"}
    names = wire.send("c", "A", 101, 1, 100, after=delay)
    assert names == ({"retransmission", "fast_retransmission"} if fast else {"retransmission"})


def test_fast_retransmission_must_be_of_the_bytes_asked_for() -> None:
    wire = Wire().handshake()
    for n in range(4):
        wire.send("c", "A", 1 + 100 * n, 1, 100)
    wire.play(*[("s", "A", 1, 101, 0)] * 4)
    assert wire.send("c", "A", 201, 1, 100) == {"retransmission"}


def test_a_stalled_direction_counts_as_many_duplicates() -> None:
    wire = Wire()
    wire.send("s", "A", 1, 501)
    assert wire.send("c", "A", 1001, 101) == {"ack_lost_segment"}
    assert wire.send("c", "A", 501, 101, 100) == {"retransmission", "fast_retransmission"}


def test_bytes_already_acknowledged_are_spurious() -> None:
    wire = Wire().handshake()
    wire.play(("c", "A", 1, 1, 100), ("s", "A", 1, 101, 0))
    assert wire.send("c", "A", 1, 1, 100) == {"retransmission", "spurious_retransmission"}
    assert wire.send("c", "A", 51, 1, 51, after=100) == {"retransmission"}  # one byte more than acknowledged


def test_spurious_needs_no_earlier_segment_of_that_side() -> None:
    wire = Wire()
    wire.send("s", "A", 1, 500)
    assert wire.send("c", "A", 100, 1, 50) == {"retransmission", "spurious_retransmission"}


def test_repeated_fin_is_a_retransmission() -> None:
    wire = Wire().handshake()
    wire.send("c", "FA", 1, 1)
    assert wire.send("c", "FA", 1, 1, after=200) == {"retransmission"}
    assert wire.send("s", "A", 1, 2) == set()


@pytest.mark.parametrize("back", [-0.001, -1, -10_000])
def test_clock_going_back_is_never_fast_and_never_out_of_order(back: float) -> None:
    wire = Wire().handshake()
    wire.play(("c", "A", 1, 1, 100), ("c", "A", 101, 1, 100), *[("s", "A", 1, 1, 0)] * 3)
    wire.send("c", "A", 201, 1, 100)
    assert wire.send("c", "A", 1, 1, 100, after=back - 1) == {"retransmission"}


def test_negative_initial_rtt_makes_everything_out_of_order() -> None:
    wire = Wire()
    wire.play(("c", "S", 0, 0, 0), ("s", "SA", 0, 1, 0))
    wire.send("c", "A", 1, 1, after=-2)
    wire.play(("c", "A", 1, 1, 100), ("c", "A", 101, 1, 100))
    assert wire.send("c", "A", 1, 1, 100, after=5000) == {"out_of_order"}
    assert wire.analyzer.initial_rtt == -1 * MS


def test_initial_rtt_begins_at_the_latest_syn_and_never_changes_later() -> None:
    wire = Wire()
    wire.send("c", "S", 0)
    wire.send("c", "S", 0, after=1000)
    wire.send("s", "SA", 0, 1, after=30)
    assert wire.analyzer.initial_rtt == -1
    wire.send("c", "A", 1, 1, after=2)
    wire.send("c", "A", 1, 1, 10, after=500)
    assert wire.analyzer.initial_rtt == 32 * MS


# Keep-alive and windows


@pytest.mark.parametrize("length", [0, 1])
def test_keep_alive_and_its_answer(length: int) -> None:
    wire = Wire().handshake()
    wire.play(("c", "A", 1, 1, 100), ("s", "A", 1, 101, 0))
    for _ in range(2):
        assert wire.send("c", "A", 100, 1, length, after=45_000) == {"keep_alive"}
        assert wire.send("s", "A", 1, 101) == {"keep_alive_ack"}
    # The next one answers nothing, so it is a duplicate, the first one.
    wire.send("c", "A", 101, 1, 10)
    assert wire.send("s", "A", 1, 101) == {"duplicate_ack"}
    assert wire.analyzer.duplicate_ack_number == 1


def test_two_bytes_from_one_back_are_data_that_follow_a_probe() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    assert wire.send("c", "A", 100, 1, 2, after=1000) == set()


@pytest.mark.parametrize("flags", ["FA", "RA", "SA"])
def test_zero_window_and_keep_alive_need_a_plain_segment(flags: str) -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("s", "A", 1, 101)
    assert not {"zero_window", "keep_alive"} & wire.send("c", flags, 100, 1, window=0)


def test_zero_window_probe_and_its_answers() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    assert wire.send("s", "A", 1, 101, window=0) == {"zero_window"}
    for _ in range(2):
        assert wire.send("c", "A", 101, 1, 1, after=200) == {"zero_window_probe"}
        assert wire.send("s", "A", 1, 101) == {"zero_window", "zero_window_probe_ack"}
    assert wire.send("s", "A", 1, 101, window=500) == {"window_update"}


def test_an_accepted_probe_byte_looks_lost_to_wireshark() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("s", "A", 1, 101, window=0)
    assert wire.send("c", "A", 101, 1, 1) == {"zero_window_probe"}
    assert wire.send("s", "A", 1, 102, window=500) == {"ack_lost_segment"}
    assert wire.send("c", "A", 102, 1, 100) == {"lost_segment"}


def test_linux_zero_window_probe_is_a_keep_alive_to_wireshark() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("s", "A", 1, 101, window=0)
    assert wire.send("c", "A", 100, 1) == {"keep_alive"}
    assert wire.send("s", "A", 1, 101) == {"zero_window"}


def test_window_full_only_when_the_window_is_met_exactly() -> None:
    wire = Wire().handshake()  # no scaling: 1000 bytes
    assert wire.send("c", "A", 1, 1, 999) == set()
    assert wire.send("c", "A", 1000, 1, 1) == {"window_full"}
    assert wire.send("c", "A", 1001, 1, 1) == set()


def test_window_full_uses_the_scale_from_the_first_ack_on() -> None:
    wire = Wire().handshake(scale=2)
    # The server has sent nothing but its SYN-ACK, whose window is never scaled (RFC 7323 section 2.2).
    assert wire.send("c", "A", 1, 1, 1000) == {"window_full"}
    wire.send("s", "A", 1, 1001)
    assert wire.analyzer.window == 4000
    assert wire.send("c", "A", 1001, 1, 1000) == set()
    assert wire.send("c", "A", 2001, 1, 3000) == {"window_full"}


def test_window_full_is_never_raised_without_a_handshake() -> None:
    wire = Wire()
    wire.send("s", "A", 1, 1, window=100)
    assert wire.analyzer.window == 100
    assert wire.send("c", "A", 1, 1, 100) == set()


@pytest.mark.parametrize(
    ("client", "server", "window"), [(3, 4, 16000), (3, -1, 1000), (-1, 4, 1000), (0, 0, 1000), (3, 15, 16384000)]
)
def test_window_is_scaled_when_both_sides_offer_it(client: int, server: int, window: int) -> None:
    wire = Wire()
    wire.send("c", "S", 0, scale=client)
    wire.send("s", "SA", 0, 1, scale=server)
    assert wire.analyzer.window == 1000
    wire.send("c", "A", 1, 1)
    wire.send("s", "A", 1, 1, 5)
    assert wire.analyzer.window == window


# Bytes in flight, acknowledged frames


def test_sacked_bytes_are_not_in_flight() -> None:
    wire = Wire().handshake()
    for n in range(4):
        wire.send("c", "A", 1 + 100 * n, 1, 100)
    wire.send("s", "A", 1, 101, sack=((201, 301),))
    wire.send("c", "A", 401, 1, 100)
    assert wire.analyzer.bytes_in_flight == 300
    wire.send("s", "A", 1, 101)
    wire.send("c", "A", 501, 1, 100)
    assert wire.analyzer.bytes_in_flight == 500  # only the blocks of the latest acknowledgement count


def test_round_trip_time_is_that_of_the_first_transmission() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("c", "A", 1, 1, 100, after=300)
    wire.send("s", "A", 1, 101, after=10)
    assert (wire.analyzer.acks_frame, wire.analyzer.ack_rtt) == (4, 310 * MS)


def test_partly_acknowledged_segment_stays_with_the_rest() -> None:
    wire = Wire().handshake()
    wire.send("c", "A", 1, 1, 100)
    wire.send("s", "A", 1, 51)
    assert wire.analyzer.acks_frame == 0
    wire.send("c", "A", 101, 1, 10)
    assert wire.analyzer.bytes_in_flight == 60
    wire.send("s", "A", 1, 101)
    assert wire.analyzer.acks_frame == 4


def test_beyond_ten_thousand_unacknowledged_segments_a_fin_takes_no_number() -> None:
    for count, expected in ((9_998, set()), (9_999, {"ack_lost_segment"})):
        wire = Wire()
        wire.play(("c", "S", 0, 0, 0))
        for n in range(count):
            wire.send("c", "A", 1 + n, 1, 1)
        assert wire.send("c", "FA", 1 + count, 1) == set()
        assert wire.send("s", "A", 1, 2 + count) == expected


# Sequence numbers


@pytest.mark.parametrize("client_isn", [0, 0x7FFFFFF0, 0xFFFFFF00, 0xFFFFFFF1])
@pytest.mark.parametrize("server_isn", [17, 0xFFFFFFC1])
def test_passing_zero_changes_no_flag(client_isn: int, server_isn: int) -> None:
    script: list[Sent] = [*HANDSHAKE, ("c", "A", 1, 1, 100), ("c", "A", 201, 1, 100), ("s", "A", 1, 101, 0)]
    script += [("s", "A", 1, 101, 0)] * 2
    script += [("c", "A", 101, 1, 100), ("s", "A", 1, 301, 120), ("c", "A", 300, 121, 0), ("s", "A", 121, 301, 0)]
    script += [("s", "A", 131, 301, 9), ("c", "A", 301, 140, 0), ("c", "FA", 301, 140, 0), ("s", "FA", 140, 302, 0)]
    script += [("c", "A", 302, 141, 0)]
    wire = Wire(client_isn, server_isn)
    assert wire.play(*script) == Wire(1_000_000, 2_000_000).play(*script)
    assert wire.analyzer.completeness_of(0) == 31


def test_an_expected_number_of_zero_reads_as_unknown() -> None:
    wire = Wire(client_isn=0xFFFFFFFF)
    wire.handshake()  # the client's next number is 0 now
    assert wire.send("c", "A", 101, 1, 10) == set()  # a hole that Wireshark cannot see
    assert wire.send("c", "A", 211, 1, 10) == {"lost_segment"}


# Completeness


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ([("c", "S", 0, 0, 0)], 1),
        ([("c", "S", 0, 0, 5)], 9),  # Fast Open: data on the SYN
        ([("c", "S", 0, 0, 0), ("s", "SA", 0, 1, 0)], 3),
        ([*HANDSHAKE], 7),
        ([*HANDSHAKE, ("c", "PA", 1, 1, 5)], 15),
        ([*HANDSHAKE, ("c", "FA", 1, 1, 0)], 23),
        ([*HANDSHAKE, ("c", "PA", 1, 1, 5), ("s", "FA", 1, 6, 0)], 31),
        ([*HANDSHAKE, ("c", "PA", 1, 1, 5), ("s", "R", 1, 0, 0)], 47),
        ([*HANDSHAKE, ("c", "PA", 1, 1, 5), ("s", "FA", 1, 6, 0), ("c", "R", 6, 0, 0)], 63),
        ([*HANDSHAKE, ("c", "F", 1, 0, 0)], 7),  # a FIN without ACK is not counted
        ([("c", "S", 0, 0, 0), ("s", "RA", 0, 1, 0)], 37),
        ([("c", "R", 1, 0, 0)], 0),  # the first frame counts only if it is a SYN
        ([("c", "PA", 1, 1, 5)], 0),
        ([("c", "PA", 1, 1, 5), ("s", "A", 1, 6, 0)], 4),
        ([("s", "SA", 0, 1, 0), ("c", "A", 1, 1, 0)], 4),
        ([("c", "S", 0, 0, 0), ("c", "S", 50, 0, 9)], 1),  # the new stream of a reuse: data on its SYN is not counted
    ],
)
def test_completeness(script: list[Sent], value: int) -> None:
    wire = Wire()
    wire.play(*script)
    assert wire.analyzer.completeness_of(wire.analyzer.stream) == value


# Hostile input


def test_arbitrary_numbers_and_times_give_flags_and_no_error() -> None:
    rng = random.Random(7)
    analyzer = WiresharkAnalyzer()
    seg = Segment()
    for frame in range(1, 5_000):
        seg.frame = frame
        seg.time_ns = rng.choice([0, 1, -1, 2**63 - 1, -(2**63), rng.getrandbits(62)])
        ends = [CLIENT, SERVER] if rng.random() < 0.5 else [SERVER, CLIENT]
        seg.key = b"".join(ends) + b"\x00\x01\x00\x01"
        seg.flags = rng.getrandbits(8)
        seg.seq = rng.choice([0, MASK, 0x80000000, rng.getrandbits(32)])
        seg.ack = rng.choice([0, MASK, 0x7FFFFFFF, rng.getrandbits(32)])
        seg.window = rng.choice([0, 65535])
        seg.length = rng.choice([0, 1, 65535])
        seg.window_scale = rng.choice([-1, 0, 14, 255])
        seg.sack_count = rng.randrange(5)
        seg.sack_left0 = rng.getrandbits(32)
        assert 0 <= analyzer.analyze(seg) < 1 << 15
        assert analyzer.bytes_in_flight < 2_000_000_000
    assert analyzer.streams > 1


class Model:
    """The unacknowledged segments of one direction as a plain list: [seq, end, frame], the newest first."""

    def __init__(self) -> None:
        self.records: list[list[int]] = []

    def acknowledge(self, ack: int) -> int:
        kept, frame = [], 0
        for record in self.records:
            if record[1] == ack:
                frame = record[2]
            elif (ack - record[1]) & 0x80000000:
                if (record[0] - ack) & 0x80000000:
                    record[0] = ack
                kept.append(record)
        self.records = kept
        return frame

    def extent(self, base: int) -> int:
        if not self.records:
            return 0
        return max((end - base) & MASK for _, end, _ in self.records) - min(
            (s - base) & MASK for s, _, _ in self.records
        )


@pytest.mark.parametrize("start", [1000, 0xFFFFFE00, 0x7FFFFE00])
@pytest.mark.parametrize("disorder", [0.0, 0.02, 0.5])
def test_unacknowledged_segments_agree_with_a_plain_list(start: int, disorder: float) -> None:
    rng = random.Random(f"{start} {disorder}")
    for _ in range(30):
        flow, pool, model = Flow(), UnackedPool(), Model()
        flow.base = start
        first = top = 0
        for frame in range(1, 200):
            seq = rng.randrange(max(0, first - 30), top + 60) if rng.random() < disorder else top
            end = seq + rng.randrange(1, 40)
            top = max(top, end)
            flow.add_unacked(pool, (start + seq) & MASK, (start + end) & MASK, 0, frame)
            model.records.insert(0, [(start + seq) & MASK, (start + end) & MASK, frame])
            while rng.random() < 0.4:
                ack = first if rng.random() < 0.3 else rng.randrange(first, top + 1)
                if rng.random() < 0.1:
                    ack = rng.choice([end, 0x80000000 + rng.randrange(top + 1), rng.getrandbits(32)])
                else:
                    first = ack
                acked: Unacked | None = flow.acknowledge(pool, (start + ack) & MASK)
                assert (acked.frame if acked is not None else 0) == model.acknowledge((start + ack) & MASK)
            if rng.random() < 0.05:
                flow.base = (start - rng.randrange(1, 1000)) & MASK
            assert flow.bytes_between_ends() == model.extent(flow.base)
            assert flow.unacked == len(model.records) == pool.in_use
        flow.drop_all(pool)
        assert pool.in_use == 0
