"""TCP headers and options, with dpkt as the oracle for what is well-formed; keys, checksums and cut headers."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.capture.frame import Frame
from tcpscope.wire.address import endpoints
from tcpscope.wire.decoder import Decoder
from tcpscope.wire.segment import (
    ABSENT,
    ACK,
    BAD_LENGTH,
    CHECKSUM_BAD,
    CHECKSUM_GOOD,
    CHECKSUM_UNKNOWN,
    MISPLACED,
    REPEATED,
    SYN,
    Segment,
)
from tcpscope.wire.skips import SKIP_NAMES
from tests.pcapwriter import ETHERNET, RAW, Ip, Tcp, link, tcp

PADDING = b"\xaa" * 7  # before and behind the frame: none of it may ever be read


def decode(
    data: bytes,
    link_type: int = RAW,
    *,
    wire_length: int | None = None,
    verify: bool = False,
    segment: Segment | None = None,
    decoder: Decoder | None = None,
    time_ns: int = 1234,
) -> tuple[str, Segment]:
    """The name of the skip code and the segment of one frame that lies in the middle of a chunk."""
    frame, segment = Frame(), segment or Segment()
    frame.data = PADDING + data + PADDING
    frame.start, frame.end = len(PADDING), len(PADDING) + len(data)
    frame.wire_length = len(data) if wire_length is None else wire_length
    frame.number, frame.time_ns, frame.link_type, frame.interface = 17, time_ns, link_type, 3
    return SKIP_NAMES[(decoder or Decoder(verify)).decode(frame, segment)], segment


def options_of(segment: Segment) -> dict[str, int]:
    """The option fields that are not absent."""
    names = ("mss", "window_scale", "sack_permitted", "ts_val", "ts_ecr", "fast_open")
    found = {name: getattr(segment, name) for name in names if getattr(segment, name) != ABSENT}
    found |= {name: getattr(segment, name) for name in ("mptcp", "bad_options") if getattr(segment, name)}
    edges = [
        (segment.sack_left0, segment.sack_right0),
        (segment.sack_left1, segment.sack_right1),
        (segment.sack_left2, segment.sack_right2),
        (segment.sack_left3, segment.sack_right3),
    ]
    for left, right in edges[: segment.sack_count]:
        found[f"sack {left}"] = right
    return found


ADDRESSES = {4: ("192.0.2.1", "198.51.100.2"), 6: ("2001:db8::1", "2001:db8:0:1::2")}
U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@given(
    st.sampled_from([4, 6]),
    st.tuples(U16, U16, U32, U32, st.integers(0, 255), U16, U16),
    st.tuples(st.integers(0, 255), U16, st.integers(0, 255)),
    st.binary(max_size=40),
    st.binary(max_size=60),
    st.booleans(),
)
def test_fields_agree_with_dpkt(
    version: int,
    numbers: tuple[int, ...],
    network: tuple[int, int, int],
    options: bytes,
    payload: bytes,
    pad: bool,
) -> None:
    sport, dport, seq, ack, flags, window, urgent = numbers
    ttl, identification, tos = network
    source, destination = ADDRESSES[version]
    made = Tcp(source, destination, sport, dport, seq, ack, flags, window, options, payload, urgent)
    data = link(tcp(made, ttl=ttl, identification=identification, tos=tos), ETHERNET, pad=pad)
    code, segment = decode(data, ETHERNET, verify=True)
    assert code == "decoded"
    ip = dpkt.ethernet.Ethernet(data).data
    theirs = ip.data
    assert (segment.src_port, segment.dst_port) == (theirs.sport, theirs.dport)
    assert (segment.seq, segment.ack, segment.flags) == (theirs.seq, theirs.ack, theirs.flags)
    assert (segment.window, segment.urgent, segment.header_length) == (theirs.win, theirs.urp, theirs.off * 4)
    assert (segment.length, segment.captured) == (len(theirs.data), len(theirs.data))
    assert segment.data[segment.payload : segment.payload + segment.captured] == theirs.data
    assert (segment.frame, segment.time_ns, segment.header_cut) == (17, 1234, 0)
    assert (segment.interface, segment.encapsulation, segment.tcp_checksum) == (3, 0, theirs.sum)
    assert endpoints(segment.key) == (source, sport, destination, dport)
    assert segment.checksum == CHECKSUM_GOOD
    if version == 4:
        assert (segment.ip_version, segment.ttl, segment.ip_id, segment.ecn) == (4, ip.ttl, ip.id, ip.tos & 3)
    else:
        assert (segment.ip_version, segment.ttl, segment.ip_id, segment.ecn) == (6, ip.hlim, ABSENT, tos & 3)


OPTION = st.one_of(
    st.just(b"\x01"),
    st.tuples(st.just(2), st.binary(min_size=2, max_size=2)),
    st.tuples(st.just(3), st.binary(min_size=1, max_size=1)),
    st.just((4, b"")),
    st.tuples(st.just(5), st.sampled_from([8, 16, 24, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n))),
    st.tuples(st.just(8), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(30), st.binary(min_size=1, max_size=18)),
    st.tuples(st.just(34), st.sampled_from([0, 4, 8, 16]).flatmap(lambda n: st.binary(min_size=n, max_size=n))),
    st.tuples(st.sampled_from([6, 14, 19, 69, 253]), st.binary(max_size=12)),
).map(lambda o: o if isinstance(o, bytes) else bytes([o[0], len(o[1]) + 2]) + o[1])


@given(st.lists(OPTION, max_size=8))
def test_options_agree_with_dpkt(options: list[bytes]) -> None:
    kept: list[bytes] = []
    for option in options:
        if sum(map(len, kept)) + len(option) <= 40:
            kept.append(option)
    _, segment = decode(tcp(Tcp(*ADDRESSES[4], 1, 2, 3, flags=SYN, options=b"".join(kept))))
    expected: dict[str, int] = {}
    for kind, value in dpkt.tcp.parse_opts(b"".join(kept)):
        match kind:
            case 2:
                expected["mss"] = int.from_bytes(value, "big")
            case 3:
                expected["window_scale"] = value[0]
            case 4:
                expected["sack_permitted"] = 1
            case 5:
                edges = struct.unpack(f"!{len(value) // 4}I", value)
                expected = {name: number for name, number in expected.items() if not name.startswith("sack ")}
                expected |= {f"sack {left}": right for left, right in zip(edges[::2], edges[1::2], strict=True)}
            case 8:
                expected["ts_val"], expected["ts_ecr"] = struct.unpack("!II", value)
            case 30:
                expected["mptcp"] = expected.get("mptcp", 0) | 1 << (value[0] >> 4)
            case 34:
                expected["fast_open"] = len(value)
    kinds = [option[0] for option in kept]
    faults = BAD_LENGTH if any(option[0] == 19 and len(option) != 18 for option in kept) else 0
    faults |= REPEATED if any(kinds.count(kind) > 1 for kind in (2, 3, 4, 5, 8, 34)) else 0
    assert options_of(segment) == expected | ({"bad_options": faults} if faults else {})


TIMESTAMPS = "080a0000000a0000000b"
OPTIONS = {
    "none": ("", {}),
    "usual timestamps": ("0101" + TIMESTAMPS, {"ts_val": 10, "ts_ecr": 11}),
    "timestamps and more": ("0101" + TIMESTAMPS + "0204ffff", {"ts_val": 10, "ts_ecr": 11, "mss": 65535}),
    "usual SYN": (
        "020405b40402" + TIMESTAMPS + "01030307",
        {"mss": 1460, "sack_permitted": 1, "ts_val": 10, "ts_ecr": 11, "window_scale": 7},
    ),
    "window scale as carried": ("0303ff00", {"window_scale": 255}),
    "nothing behind the end": ("01000204ffff0000", {}),
    "four SACK blocks": (
        "0101" + "0522" + "".join(f"{left:08x}{left + 1:08x}" for left in (1, 3, 5, 7)),
        {"sack 1": 2, "sack 3": 4, "sack 5": 6, "sack 7": 8},
    ),
    "MPTCP subtypes": ("1e04010001011e0420001e04f000", {"mptcp": 1 | 4 | 1 << 15}),
    "fast open request": ("22020101", {"fast_open": 0}),
    "fast open cookie": ("220a1122334455667788" + "0101", {"fast_open": 8}),
    "fast open by experiment": ("fe08f98911223344", {"fast_open": 4}),
    "fast open request by experiment": ("fe04f989", {"fast_open": 0}),
    "other experiment": ("fe04abcd", {}),
    "unknown kind": ("4506000000000303020000", {"window_scale": 2}),
    # A known kind with a length that it cannot have is passed over, the rest counts.
    "MSS of 3": ("0203050303020000", {"window_scale": 2, "bad_options": 1}),
    "window scale of 2": ("030204020000", {"sack_permitted": 1, "bad_options": 1}),
    "SACK permitted of 3": ("04030003030200", {"window_scale": 2, "bad_options": 1}),
    "timestamps of 6": ("0806000000000303020000", {"window_scale": 2, "bad_options": 1}),
    "SACK of no block": ("050203030200", {"window_scale": 2}),
    "SACK of half a block": ("0506000000000303020000", {"window_scale": 2, "bad_options": 1}),
    "MPTCP without a subtype": ("1e0203030200", {"window_scale": 2, "bad_options": 1}),
    "fast open of an odd cookie": ("2207000000000003030200", {"window_scale": 2, "bad_options": 1}),
    "fast open of a short cookie": ("2204000003030200", {"window_scale": 2, "bad_options": 1}),
    # A length that leads nowhere ends the options.
    "length 0": ("0303020200040204000000", {"window_scale": 2, "bad_options": 1}),
    "length 1": ("0303020201040204000000", {"window_scale": 2, "bad_options": 1}),
    "length beyond the header": ("03030202ff040204", {"window_scale": 2, "bad_options": 1}),
    "kind without a length": ("01010102", {"bad_options": 1}),
    "MD5 signature of 6": ("1306000000000303020000", {"window_scale": 2, "bad_options": 1}),
    "authentication of 3": ("1d0300030302", {"window_scale": 2, "bad_options": 1}),
    "authentication": ("1d0400000303020000", {"window_scale": 2}),
    # Of two the last one counts.
    "two MSS": ("020405b402040500", {"mss": 1280, "bad_options": 2}),
    "two window scales": ("0303010303020000", {"window_scale": 2, "bad_options": 2}),
    "two timestamps": ("0101" + TIMESTAMPS + TIMESTAMPS + "0101", {"ts_val": 10, "ts_ecr": 11, "bad_options": 2}),
    "two cookies, one wrong": ("2202220322030000", {"fast_open": 0, "bad_options": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_options(options: str, expected: dict[str, int]) -> None:
    segment = Segment()
    full = bytes.fromhex("020405b40402" + TIMESTAMPS + "030307" + "2202" + "1e030003")
    decode(tcp(Tcp(*ADDRESSES[4], 1, 2, 3, options=full)), segment=segment)
    code, _ = decode(tcp(Tcp(*ADDRESSES[4], 1, 2, 3, flags=SYN, options=bytes.fromhex(options))), segment=segment)
    assert (code, options_of(segment)) == ("decoded", expected)  # and nothing is left of the segment before


@pytest.mark.parametrize("options", ["020405b4", "03030200", "04020101", "22020101", "fe04f989"])
def test_options_of_a_syn_elsewhere(options: str) -> None:
    made = [Tcp(*ADDRESSES[4], 1, 2, 3, flags=flags, options=bytes.fromhex(options)) for flags in (ACK, SYN, SYN | ACK)]
    assert [decode(tcp(one))[1].bad_options for one in made] == [MISPLACED, 0, 0]


@given(st.binary(max_size=40))
def test_any_options_are_decoded(options: bytes) -> None:
    code, segment = decode(tcp(Tcp(*ADDRESSES[6], 1, 2, 3, options=options, payload=b"abc")))
    assert (code, segment.length) == ("decoded", 3)


@pytest.mark.parametrize("version", [4, 6])
def test_a_snap_length_cuts_payload_options_and_header(version: int) -> None:
    options = bytes.fromhex("020405b4" + "0101" + TIMESTAMPS)
    whole = tcp(Tcp(*ADDRESSES[version], 1, 2, 3, flags=SYN, options=options, payload=b"0123456789"))
    ip_header = len(whole) - 46
    for captured in range(ip_header, len(whole)):
        code, segment = decode(whole[:captured], wire_length=len(whole), verify=True)
        tcp_part = captured - ip_header
        if tcp_part < 20:
            assert code == "cut-tcp-header"
            continue
        assert (code, segment.length, segment.header_length) == ("decoded", 10, 36)
        assert segment.captured == max(tcp_part - 36, 0)
        assert segment.header_cut == (tcp_part < 36)
        expected = {"mss": 1460} if tcp_part >= 24 else {}
        assert options_of(segment) == expected | ({"ts_val": 10, "ts_ecr": 11} if tcp_part >= 36 else {})
        assert segment.checksum == CHECKSUM_UNKNOWN


@pytest.mark.parametrize(
    ("words", "code"),
    [(0, "bad-tcp-header"), (4, "bad-tcp-header"), (5, "decoded"), (6, "decoded"), (7, "bad-tcp-header")],
)
def test_data_offset(words: int, code: str) -> None:
    assert decode(tcp(Tcp(*ADDRESSES[4], 1, 2, 3, payload=bytes(4), data_offset=words)))[0] == code


def test_segment_shorter_than_a_header_by_its_ip_length() -> None:
    packet = Ip(*ADDRESSES[4], Tcp(*ADDRESSES[4], 1, 2, 3).pack(), total_length=39).pack()
    assert decode(packet)[0] == "bad-tcp-header"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_checksums(version: int, payload: bytes) -> None:
    good, bad = (tcp(Tcp(*ADDRESSES[version], 1, 2, 3, payload=payload, bad_checksum=wrong)) for wrong in (False, True))
    assert decode(good, verify=True)[1].checksum == CHECKSUM_GOOD
    assert decode(good + b"trailer", verify=True)[1].checksum == CHECKSUM_GOOD
    assert decode(bad, verify=True)[1].checksum == CHECKSUM_BAD
    assert decode(bad)[1].checksum == CHECKSUM_UNKNOWN
