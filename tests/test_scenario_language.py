"""The scenario language and the capture writer: what a line says is what an independent decoder (dpkt) finds."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import dpkt
import pytest

from tests import pcapwriter, transforms
from tests.pcapwriter import Interface, Record
from tests.scenario import ScenarioError, build, load, parse

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
TITLE = "# A test.\n"
HANDSHAKE = """
0.000 C > S S <mss 1460,sackOK,nop,wscale 7>
+.010 S > C S. <mss 1400>
+.001 C > S .
"""


def segments(text: str) -> list[dpkt.tcp.TCP]:
    """The TCP headers of a scenario over Ethernet and IPv4."""
    return [dpkt.ethernet.Ethernet(frame.data).data.data for frame in parse(TITLE + text).frames]


def packet(text: str) -> dpkt.ip.IP:
    """The IP packet of a scenario's last line."""
    return dpkt.ethernet.Ethernet(parse(TITLE + text).frames[-1].data).data


def numbers(segment: dpkt.tcp.TCP) -> tuple[int, int, int]:
    """seq, ack and payload length."""
    return segment.seq, segment.ack, len(segment.data)


def tcp_checksum_is_right(ip: dpkt.ip.IP | dpkt.ip6.IP6) -> bool:
    """Recompute it over the bytes as they are."""
    segment = bytes(ip.data)
    kind = "!4s4sHH" if ip.v == 4 else "!16s16sII"
    last = (6, len(segment)) if ip.v == 4 else (len(segment), 6)
    return pcapwriter.checksum(struct.pack(kind, ip.src, ip.dst, *last) + segment) == 0


# Numbers


def test_left_out_numbers_are_those_of_a_sender_that_goes_on() -> None:
    found = segments(
        "isn: client 100 server 500" + HANDSHAKE + "+.1 C > S P. (10)\n+.1 S > C P. (7)\n+.1 C > S F.\n+.1 S > C .\n"
    )
    assert [numbers(segment) for segment in found] == [
        (100, 0, 0),
        (500, 101, 0),
        (101, 501, 0),
        (101, 501, 10),
        (501, 111, 7),
        (111, 508, 0),
        (508, 112, 0),
    ]
    assert [segment.flags for segment in found] == [0x02, 0x12, 0x10, 0x18, 0x18, 0x11, 0x10]


def test_given_numbers_are_relative_and_wrap() -> None:
    found = segments(
        "isn: client 4294967290 server 0" + HANDSHAKE + "+.1 C > S P. 1:101(100) ack 1\n+.1 S > C . seq 1 ack 101\n"
    )
    assert numbers(found[3]) == (4294967291, 1, 100)
    assert numbers(found[4]) == (1, 95, 0)


def test_raw_numbers_are_written_as_they_are() -> None:
    assert numbers(segments("0.0 C > S S\n+.1 S > C R. seq =0 ack =12345\n")[1]) == (0, 12345, 0)


def test_what_was_not_captured_and_strays() -> None:
    found = segments(HANDSHAKE + "+.1 C > S P. (10) nocapture\n+.1 C > S P. 500:505(5) stray\n+.1 C > S P. (1)\n")
    isn = found[0].seq
    assert [segment.seq - isn for segment in found[3:]] == [500, 11]


def test_a_repeated_line_goes_on_counting_and_a_retransmission_repeats_its_bytes() -> None:
    scenario = parse(TITLE + HANDSHAKE + "+.001 C > S . (100) repeat 3 every 0.5\n+.001 C > S . 101:201(100)\n")
    found = [dpkt.ethernet.Ethernet(frame.data).data.data for frame in scenario.frames[3:]]
    assert [segment.seq - found[0].seq for segment in found] == [0, 100, 200, 100]
    assert found[3].data == found[1].data != found[0].data
    times = [frame.time_ns - scenario.frames[0].time_ns for frame in scenario.frames[3:]]
    assert times == [12_000_000, 512_000_000, 1_012_000_000, 1_013_000_000]
    assert scenario.lines[3:] == [6, 6, 6, 7]


# Options, payload, overrides


def test_options_are_those_of_the_rfcs() -> None:
    text = (
        HANDSHAKE
        + "+.1 S > C . <nop,nop,ts 7:9>\n+.1 S > C . <nop,nop,sack 1:101 201:301>\n+.1 C > S . <tfo 0102,opt 253 ff>\n"
    )
    found = segments("isn: client 1000" + text)
    assert found[0].opts == bytes.fromhex("020405b4 0402 01 030307 0000")
    assert found[3].opts == bytes.fromhex("0101 080a 00000007 00000009")
    assert found[4].opts == bytes.fromhex("0101 0512 000003e9 0000044d 000004b1 00000515")
    assert found[5].opts == bytes.fromhex("2204 0102 fd03 ff 00")


def test_packetdrill_s_spelling_of_timestamps() -> None:
    assert segments("0.0 C > S S <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>")[0].opts[6:16] == struct.pack(
        "!BBII", 8, 10, 100, 0
    )


def test_timestamps_count_milliseconds_and_echo_the_other_side() -> None:
    found = segments("timestamps: yes\n0.000 C > S S\n+.010 S > C S.\n+.005 C > S .\n")
    stamps = [struct.unpack("!II", segment.opts[4:12]) for segment in found]
    (first, none), (second, echo), (third, echo_of_second) = stamps
    assert (none, echo, echo_of_second, third - first) == (0, first, second, 15)


def test_payloads_are_joined() -> None:
    text = '0.0 C > S P. data "a\\r\\n\\xff" hex 00ff @hello @hello[1:3] # and a comment\n'
    assert (
        segments("let: hello = hex 16030100 fill 2\n" + text)[0].data
        == b"a\r\n\xff\x00\xff" + b"\x16\x03\x01\x00ab" + b"\x03\x01"
    )
    assert segments('0.0 C > S P. data "a # no comment"')[0].data == b"a # no comment"


def test_header_fields_can_be_given() -> None:
    ip = packet("0.0 C > S SEW win 7 urg 3 id 9 ttl 3 tos 2 total 0 doff 4")
    assert (ip.id, ip.ttl, ip.tos, ip.len) == (9, 3, 2, 0)
    raw = parse(TITLE + "0.0 C > S SEW win 7 urg 3 doff 4").frames[0].data[34:]
    assert (raw[12] >> 4, raw[13], raw[14:16], raw[18:20]) == (4, 0xC2, b"\0\7", b"\0\3")


def test_checksums_are_right_unless_told_otherwise() -> None:
    assert tcp_checksum_is_right(packet("0.0 C > S P. (33)"))
    assert not tcp_checksum_is_right(packet("0.0 C > S P. (33) badsum"))
    good, bad = (parse(TITLE + f"0.0 C > S . {word}").frames[0].data[14:34] for word in ("", "badipsum"))
    assert pcapwriter.checksum(good) == 0 != pcapwriter.checksum(bad)


def test_a_cut_frame_keeps_its_length_on_the_wire() -> None:
    frame = parse(TITLE + "0.0 C > S P. (100) cut 60").frames[0]
    assert (len(frame.data), frame.wire_length) == (60, 154)


def test_a_second_connection_may_reuse_the_ports() -> None:
    first, second = segments("isn: client 5\nisn2: client 9\n0.0 C > S S\n1.0 C2 > S2 S\n")
    assert (first.sport, first.seq, second.sport, second.seq) == (40000, 5, 40001, 9)
    first, second = segments("client2: 10.0.0.1:40000\n0.0 C > S S\n1.0 C2 > S2 S\n")
    assert first.sport == second.sport
    assert first.seq != second.seq


def test_frames_of_any_content() -> None:
    assert parse(TITLE + "0.5 raw 0102 0304").frames[0].data == b"\1\2\3\4"


# The head


def test_settings_are_handed_over() -> None:
    scenario = parse(
        "# Two lines\n# of title.\nexpect: TS101 TS102\nexpect: TS2\nsilent: TS4\noptions: --msl 5\n"
        "shows: handshake.verdict = complete\nshows: 1 rtt.handshake = 0.5\nshows: tls = null\n"
    )
    assert scenario.title == "Two lines of title."
    assert scenario.expect == ("TS101", "TS102", "TS2")
    assert scenario.silent == ("TS4",)
    assert scenario.options == ("--msl", "5")
    assert scenario.shows == [(0, "handshake.verdict", "complete"), (1, "rtt.handshake", 0.5), (0, "tls", None)]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("0.0 C > S X", "unknown flag 'X'"),
        ("0.0 C > C S", "expected TIME FROM > TO"),
        ("0.0 C > S2 S", "expected TIME FROM > TO"),
        ("0.0 C S S", "expected TIME FROM > TO"),
        ("0.0 C >", "the line ends where TO is expected"),
        ("soon C > S S", "expected a time"),
        ("0.0000000001 C > S S", "finer than a nanosecond"),
        ("0.0000001 C > S S", "needs resolution: ns"),
        ("0.0 C > S P. 1:100(100)", "1 and 100 are 99 apart"),
        ('0.0 C > S P. (3) data "ab"', "the payload has 2 bytes, the numbers say 3"),
        ('0.0 C > S P. data "ab', "expected a text in double quotes"),
        ("0.0 C > S P. hex 123", "pairs of hex digits"),
        ("0.0 C > S P. @nothing", "there is no such let"),
        ("0.0 C > S P. ack", "the line ends where the acknowledgement number is expected"),
        ("0.0 C > S P. ack -1", "expected a sequence number"),
        ("0.0 C > S S <mss>", "unknown option 'mss'"),
        ("0.0 C > S S <mss 1460", "the options have no end"),
        ("0.0 C > S . <sack 1:2 3:4 5:6 7:8 9:10>", "TCP has room for 40"),
        ("0.0 C > S . often", "unknown word 'often'"),
        ("colour: red", "unknown setting colour"),
        ("link: carrier-pigeon", "expected one of null, ethernet"),
        ("client: 10.0.0.1", "expected ADDRESS:PORT"),
        ("client: 10.0.0.999:1", "expected ADDRESS:PORT"),
        ("isn: 5", "expected isn: client NUMBER"),
        ("start: yesterday", "expected a time such as"),
        ("shows: nothing", "expected shows:"),
        ("let: = hex 00", "expected let:"),
    ],
)
def test_mistakes_are_named_with_their_line(line: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(TITLE + "\n" + line, "mistaken")
    assert str(caught.value).startswith("mistaken.txt:3: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("line", ["link: raw", "isn: client 5", "client: 10.0.0.9:1", "format: pcapng"])
def test_settings_that_come_too_late(line: str) -> None:
    with pytest.raises(ScenarioError, match="comes after"):
        parse(TITLE + "0.0 C > S S\n" + line)


def test_a_scenario_says_what_it_shows() -> None:
    with pytest.raises(ScenarioError, match="does not begin with a comment"):
        parse("0.0 C > S S\n")


# Files


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("resolution", ["us", "ns"])
def test_pcap_files_are_read_by_dpkt(order: str, resolution: str) -> None:
    scenario = parse(
        TITLE + f"order: {order}\nresolution: {resolution}\nsnaplen: 70\n" + HANDSHAKE + "+.5 C > S . (100)\n"
    )
    reader = dpkt.pcap.Reader(io.BytesIO(build(scenario)))
    found = [(round(float(time) * 1000), data) for time, data in reader]
    assert reader.datalink() == pcapwriter.ETHERNET
    assert [data for _, data in found] == [frame.data[:70] for frame in scenario.frames]
    assert [time for time, _ in found] == [frame.time_ns // 1_000_000 for frame in scenario.frames]


@pytest.mark.parametrize("order", ["little", "big"])
def test_pcapng_files_are_read_by_dpkt(order: str) -> None:
    scenario = parse(TITLE + f"format: pcapng\norder: {order}\ndropped: 3\n" + HANDSHAKE)
    found = [(round(float(time) * 1000), data) for time, data in dpkt.pcapng.Reader(io.BytesIO(build(scenario)))]
    assert found == [(frame.time_ns // 1_000_000, frame.data) for frame in scenario.frames]


@pytest.mark.parametrize("name", pcapwriter.LINK_TYPES)
def test_every_link_type_carries_the_packet(name: str) -> None:
    address = "[fd00::1]:5" if name == "ipv6" else "10.0.0.1:5"
    peer = "[fd00::2]:6" if name == "ipv6" else "10.0.0.2:6"
    scenario = parse(TITLE + f"link: {name}\nclient: {address}\nserver: {peer}\n0.0 C > S S\n")
    data = scenario.frames[0].data
    place = transforms.locate(data, 0, len(data), scenario.link_type)
    assert place is not None
    assert struct.unpack_from("!HH", data, place.payload) == (5, 6)


def test_frames_of_several_interfaces() -> None:
    interfaces = [Interface(pcapwriter.RAW, tsresol=6), Interface(pcapwriter.NULL, tsresol=0x80 | 20, tsoffset=1)]
    data = pcapwriter.pcapng([Record(0, b"E" * 30), Record(2_500_000_000, b"F" * 30, interface=1)], interfaces)
    assert [data[start:end] for start, end, _ in transforms.frames(data)] == [b"E" * 30, b"F" * 30]
    assert [link_type for _, _, link_type in transforms.frames(data)] == [pcapwriter.RAW, pcapwriter.NULL]


# Transforms

ALL = pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)


@ALL
def test_the_scenarios_beside_this_file_can_be_built(path: Path) -> None:
    scenario = load(path)
    assert scenario.frames
    capture = build(scenario)
    assert len(list(transforms.frames(capture))) == len(scenario.frames)


@ALL
def test_shifting_there_and_back_changes_nothing(path: Path) -> None:
    capture = build(load(path))
    shifted = transforms.shift_sequence_numbers(capture, 0xFFFF_0000, 77)
    assert len(shifted) == len(capture)
    assert transforms.shift_sequence_numbers(shifted, -0xFFFF_0000, -77) == capture


def test_shifted_numbers_are_those_of_other_initial_numbers() -> None:
    text = TITLE + "isn: client 4294967000 server 5\n" + HANDSHAKE + "+.1 S > C . <nop,nop,sack 200:300 400:500>\n"
    capture = build(parse(text))
    same = build(parse(text.replace("4294967000", "4294967200").replace("server 5", "server 4294967295")))
    assert transforms.shift_sequence_numbers(capture, 200, -6) == same


def test_swapping_twice_changes_nothing_and_once_exchanges_the_ends() -> None:
    text = TITLE + "client: 10.0.0.1:40000\nserver: 10.0.0.2:80\n" + HANDSHAKE
    capture = build(parse(text))
    swapped = transforms.swap_directions(capture)
    assert transforms.swap_directions(swapped) == capture
    same = build(
        parse(text.replace("10.0.0.1:40000", "X").replace("10.0.0.2:80", "10.0.0.1:40000").replace("X", "10.0.0.2:80"))
    )
    assert swapped == same


def test_a_segment_quoted_by_icmp_moves_too() -> None:
    syn = dpkt.ethernet.Ethernet(parse(TITLE + "0.0 C > S S\n").frames[0].data).data
    error = b"\3\4\0\0\0\0\5\0" + bytes(syn)[:28]
    error = error[:2] + struct.pack("!H", pcapwriter.checksum(error)) + error[4:]
    answer = pcapwriter.Ip("10.0.0.9", "10.0.0.1", error, protocol=1).pack()
    frames = [Record(0, bytes(syn)), Record(1000, answer)]
    capture = pcapwriter.pcap(frames, pcapwriter.RAW)
    shifted = transforms.shift_sequence_numbers(capture, 1000, 0)
    (start, end, _) = list(transforms.frames(shifted))[1]
    assert pcapwriter.checksum(shifted[start + 20 : end]) == 0
    assert struct.unpack_from("!I", shifted, end - 4)[0] == (syn.data.seq + 1000) % 2**32
