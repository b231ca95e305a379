"""Holes, snap lengths, captures that begin in the middle, preambles, and input made to hurt."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.state.tls_log import MAX_ALERTS, MAX_CERTIFICATE_BYTES, MAX_EVENTS, MAX_FAULTS
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.wire.fingerprint import ja3, ja4
from tests.tls_builder import (
    ALERT,
    CERTIFICATE,
    CHANGE,
    CLIENT_KEYS,
    CLOSE,
    DATA,
    DONE,
    FINISH,
    HANDSHAKE,
    LAWFUL,
    SERVER_KEYS,
    C,
    S,
    Talk,
    Tracked,
    client_hello,
    closing,
    data,
    feed,
    full12,
    full13,
    handshake,
    message,
    record,
    server_hello,
    track,
)


def without(talk: Talk, size: int, *lost: tuple[int, int]) -> list[tuple[int, int, int, bytes]]:
    """Segments of ``size`` bytes without those that begin at the ``(side, position)`` named."""
    segments = talk.segments(size)
    left = [segment for segment in segments if segment[:2] not in lost]
    assert len(left) == len(segments) - len(lost)
    return left


def test_a_hole_inside_a_message_is_counted_through() -> None:
    """The Certificate begins at byte 60 and ends at byte 770 of the server's stream: 200 to 300 are missing."""
    got = track(without(full12(), 100, (S, 200)))
    assert got.messages(S) == track(full12()).messages(S)
    (certificate,) = [event for event in got.log.events if event.code == 11]
    assert certificate.cut
    assert not certificate.clean
    assert got.log.certificates == []
    assert got.verdict == "complete"
    assert [fault for fault in got.faults() if fault[1] == "proved" and fault[2] == S] == []


def test_a_hole_over_the_end_of_a_message_takes_the_rest_of_the_record() -> None:
    got = track(without(full12(), 100, (S, 700)))
    assert "ServerKeyExchange" not in got.messages(S)
    assert got.messages(S)[:1] == ["ServerHello"]
    assert [slug for slug, grade, _ in got.faults() if grade == "proved"] == []
    assert got.verdict == "complete", "ChangeCipherSpec and Finished of both sides are there"


def test_a_hole_in_data_is_counted_through() -> None:
    talk = full12(close=False).say(S, *[data(1400)] * 20).say(C, CLOSE).say(S, CLOSE)
    position = full12(close=False).length[S] + 5 + 100
    got = track([*without_range(talk, position, position + 1000)])
    assert got.messages(S)[-1] == "EncryptedAlert"
    assert got.verdict == "complete"


def without_range(talk: Talk, start: int, stop: int) -> list[tuple[int, int, int, bytes]]:
    """The server's bytes from ``start`` to ``stop`` are missing."""
    found = []
    for side, position, ack, octets in talk.segments():
        if side == S and position <= start and stop <= position + len(octets):
            found += [(side, position, ack, octets[: start - position]), (side, stop, ack, octets[stop - position :])]
        else:
            found.append((side, position, ack, octets))
    return [segment for segment in found if segment[3]]


def test_behind_a_hole_over_a_record_border_the_stream_is_found_again() -> None:
    talk = full12(close=False).say(S, *[data(1443)] * 20).say(S, CLOSE)
    start = full12(close=False).length[S]
    segments = [s for s in talk.segments(1448) if s[0] == C or s[1] != start + 1448 * 4]
    got = track(segments)
    server = got.tls.sniffer1
    assert server is not None
    assert server.side is not None
    assert server.side.app_records == 19
    assert got.messages(S)[-1] == "EncryptedAlert"
    assert "tls-truncation" not in [slug for slug, _, side in got.faults() if side == S]


def test_a_gap_that_is_announced_needs_no_later_bytes() -> None:
    tracker = TlsConnection()
    segments = full12().segments()
    feed(tracker, segments[0], 1)
    tracker.gap(S, 1000)
    side, _, ack, octets = segments[1]
    feed(tracker, (side, 1000, ack, octets[1000:]), 2)
    tracker.finish(True, True, False, False)
    got = Tracked(tracker)
    assert got.messages() == ["ClientHello"]
    assert got.verdict == "incomplete"
    assert [grade for _, grade, _ in got.faults()] == ["suspected"]


def test_a_snap_length_leaves_the_hellos_partly_readable() -> None:
    tracker = TlsConnection()
    for frame, segment in enumerate(full12().segments(), 1):
        feed(tracker, segment, frame, cut=max(0, len(segment[3]) - 100))
    tracker.finish(True, True, False, False)
    got = Tracked(tracker)
    assert got.messages()[:2] == ["ClientHello", "ServerHello"]
    assert got.answer.cipher == 0xC02F
    assert got.hello.server_name == b"example.org"
    assert (ja3(got.hello), ja4(got.hello)) == (None, None)
    assert [slug for slug, grade, _ in got.faults() if grade == "proved"] == []
    assert got.verdict == "complete", "the first bytes of each segment show both Finished"


@pytest.mark.parametrize("name", LAWFUL)
@given(rng=st.randoms(use_true_random=False), size=st.integers(20, 600))
def test_missing_segments_never_prove_a_fault_of_order(name: str, rng: random.Random, size: int) -> None:
    segments = LAWFUL[name]().segments(size)
    lost = rng.randrange(1, 4)
    for _ in range(min(lost, len(segments) - 1)):
        segments.pop(rng.randrange(len(segments)))
    got = track(segments, fin=(rng.random() < 0.5, rng.random() < 0.5))
    if got.tls.recognised:
        assert got.verdict != "violated"
        harmless = (
            "tls-sslv2",
            "tls-hello-retry",
            "tls-server-hello-missing",
            "tls-truncation",
            "tls-handshake-incomplete",
            "tls-no-forward-secrecy",
            "tls-version-obsolete",
        )
        assert [slug for slug, grade, _ in got.faults() if grade == "proved" and not slug.startswith(harmless)] == []


@pytest.mark.parametrize("name", LAWFUL)
def test_a_stream_without_its_syn_proves_nothing(name: str) -> None:
    got = track(LAWFUL[name](), 100, missing=(True, True))
    assert got.verdict == "complete"
    early = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), DONE))
    bad = track(early, missing=(True, True), fin=(False, False))
    assert ("tls-certificate-missing", "suspected", S) in bad.faults()
    assert bad.verdict == "incomplete"


@pytest.mark.parametrize("first", range(1, 8))
def test_a_capture_from_the_middle_is_tls_without_a_judgement(first: int) -> None:
    start = {C: 0, S: 0}
    segments = full12().segments()
    for side, position, _, octets in segments[:first]:
        start[side] = max(start[side], position + len(octets))
    left = [(side, position - start[side], ack, octets) for side, position, ack, octets in segments[first:]]
    got = track(left, missing=(True, True))
    assert got.tls.recognised
    assert got.verdict == ("complete" if first == 1 else "incomplete"), (
        "without the ClientHello the rest still shows it"
    )
    assert [fault for fault in got.faults() if fault[1] == "proved"] == []


PREAMBLES = {
    "smtp": [
        (S, b"220 mx\r\n"),
        (C, b"EHLO a\r\n"),
        (S, b"250 STARTTLS\r\n"),
        (C, b"STARTTLS\r\n"),
        (S, b"220 go\r\n"),
    ],
    "connect": [(C, b"CONNECT example.org:443 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 200 OK\r\n\r\n")],
    "socks": [(C, b"\5\1\0"), (S, b"\5\0"), (C, b"\5\1\0\1\x7f\0\0\1\1\xbb"), (S, b"\5\0\0\1\0\0\0\0\0\0")],
    "postgresql": [(C, bytes.fromhex("0000000804d2162f")), (S, b"S")],
    "mysql": [(S, b"\x4a\0\0\0\x0a8.0\0" + bytes(60)), (C, b"\x20\0\0\1\x05\xae\xff\1" + bytes(28))],
    "proxy1": [(C, b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n")],
    "proxy2": [(C, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12))],
}


def after(preamble: list[tuple[int, bytes]], talk: Talk) -> Talk:
    whole = Talk()
    for side, octets in preamble:
        whole.say(side, octets)
    base = list(whole.length)
    for side, _, ack, octets in talk.writes:
        whole.say(side, octets, ack=ack + base[1 - side])
    return whole


@pytest.mark.parametrize("size", [0, 300, 1448])
@pytest.mark.parametrize("name", PREAMBLES)
def test_tls_behind_a_plaintext_preamble(name: str, size: int) -> None:
    got = track(after(PREAMBLES[name], full12()), size)
    assert got.verdict == "complete"
    assert got.slugs() == []
    assert got.messages() == track(full12()).messages()


def test_a_proxy_header_in_the_segment_of_the_hello() -> None:
    header = PREAMBLES["proxy1"][0][1]
    segments = [(side, position + len(header) * (side == C), ack + len(header) * (side == S), octets)
                for side, position, ack, octets in full12().segments()]  # fmt: skip
    segments[0] = (C, 0, 0, header + segments[0][3])
    got = track(segments)
    assert got.verdict == "complete"
    assert got.slugs() == []


def test_late_plaintext_of_the_server_belongs_to_the_preamble() -> None:
    """The hello's segment acknowledges the greeting, which the capture has only behind it."""
    segments = after(PREAMBLES["smtp"], full12()).segments()
    hello = next(i for i, segment in enumerate(segments) if segment[3][:1] == b"\x16")
    segments.insert(hello - 1, segments.pop(hello))
    assert track(segments).verdict == "complete"


def test_other_protocols_are_let_go_after_a_bound() -> None:
    for octets in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", bytes(range(256))):
        tracker = TlsConnection()
        for n in range(64):
            assert not tracker.off
            feed(tracker, (C, n * len(octets), 0, octets), n + 1)
        assert tracker.off
        tracker.finish(True, True, False, False)
        assert not tracker.recognised
        assert tracker.log is None


def test_a_hello_behind_the_bound_is_not_looked_for() -> None:
    filler = [(C, b"x" * 1000)] * 66
    assert not track(after(filler, full12())).tls.recognised
    assert track(after(filler[:60], full12())).tls.recognised


def test_bytes_that_only_begin_like_a_hello() -> None:
    for octets in (
        b"\x16\x03\x01\x00\x20\x01not a hello" + bytes(60),
        b"\x16\x03\x01\x02",
        b"\x80\x2e\x01\x03\x01\x00\x05" + bytes(50),
    ):
        assert not track([(C, 100, 0, octets)], missing=(True, True)).tls.recognised


def test_ethernet_padding_counted_as_payload_is_skipped() -> None:
    """Zero bytes in front of the real ones at the same place of the stream."""
    segments = full12().segments()
    padded = []
    for side, position, ack, octets in segments:
        padded += [(side, position, ack, bytes(6)), (side, position, ack, octets)]
    got = track(padded)
    assert got.verdict == "complete"
    assert got.slugs() == []


def test_the_first_copy_of_retransmitted_bytes_counts() -> None:
    segments = full12().segments()
    forged = (S, segments[1][1], segments[1][2], b"\x15\x03\x03\0\2\2\x28" + bytes(100))
    assert track([*segments[:2], forged, *segments[2:]]).slugs() == []


def test_floods_are_counted_and_bounded() -> None:
    hello = Talk().say(C, handshake(client_hello()))
    alerts = track(hello.say(S, record(ALERT, b"\1\x5a") * 5000))
    assert alerts.log.alert_count == 5000
    assert len(alerts.log.alerts) == MAX_ALERTS
    assert alerts.fault("tls-alert-warning").count == MAX_ALERTS
    messages = track(Talk().say(C, handshake(client_hello())).say(S, handshake(*[message(0)] * 4000)))
    assert messages.log.event_count == 4001
    assert len(messages.log.events) == MAX_EVENTS
    empty = track(
        Talk().say(C, handshake(client_hello())).say(S, record(HANDSHAKE, b"") * 9000, record(DATA, b"") * 9000)
    )
    assert empty.fault("tls-record-empty").count == 9000
    assert len(empty.log.faults) <= MAX_FAULTS


def test_an_empty_record_is_one_only_if_another_follows() -> None:
    """Nine bytes that begin like an empty record are Modbus' answer to a request that begins like a ClientHello."""
    hello = Talk().say(C, handshake(client_hello()))
    answered = track(hello.say(S, bytes.fromhex("160301000003008001")), fin=(True, False))
    assert "tls-record-empty" not in answered.slugs()
    assert "tls-server-hello-missing-closed" in answered.slugs()
    other = Talk().say(C, handshake(client_hello())).say(S, record(HANDSHAKE, b""), b"plain text")
    assert "tls-record-empty" not in track(other).slugs()
    real = Talk().say(C, handshake(client_hello())).say(S, record(HANDSHAKE, b""), handshake(server_hello()))
    assert track(real).fault("tls-record-empty").count == 1


def test_a_message_of_sixteen_mebibytes_is_refused() -> None:
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(
        S,
        handshake(server_hello()),
        record(HANDSHAKE, b"\x0b\xff\xff\xff" + bytes(10_000)),
        *[record(HANDSHAKE, bytes(16_384))] * 40,
    )
    got = track(talk, 1448)
    server = got.tls.sniffer1
    assert got.fault("tls-handshake-length").extra == 0xFFFFFF
    assert server is not None
    assert server.side is not None
    assert len(server.side.buffer) == 0


def test_certificates_are_kept_up_to_a_bound() -> None:
    big = message(11, (79_997).to_bytes(3, "big") + bytes(79_997))
    talk = (
        Talk()
        .say(C, handshake(client_hello()))
        .say(S, handshake(server_hello()), handshake(big, big, CERTIFICATE, split=16_000))
    )
    log = track(talk).log
    assert [len(kept.body) for kept in log.certificates] == [80_000, 706]
    assert sum(len(kept.body) for kept in log.certificates) <= MAX_CERTIFICATE_BYTES
    assert log.not_kept == 1


def test_a_hello_with_a_thousand_extensions() -> None:
    got = track(Talk().say(C, handshake(client_hello([(n, b"") for n in range(1000)]))))
    assert len(got.hello.extensions) == 2 * 255
    assert "tls-handshake-length" in got.slugs()


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_give_an_answer(client: bytes, server: bytes, size: int) -> None:
    for talk in (
        Talk().say(C, client).say(S, server),
        Talk().say(C, handshake(client_hello()), client).say(S, server),
        Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello()), server).say(C, CHANGE, client),
        Talk().say(C, handshake(message(1, client))).say(S, handshake(message(2, server))),
        Talk().say(C, b"\x16\x03\x01" + client).say(S, b"\x16\x03\x03" + server),
    ):
        if any(len(octets) <= 6 and not any(octets) for *_, octets in talk.segments(size) + talk.segments()):
            continue  # would be taken for Ethernet padding
        whole, parts = track(talk), track(talk, size)
        assert whole.tls.recognised == parts.tls.recognised
        if whole.tls.recognised:
            assert whole.messages(S) == parts.messages(S)
            assert whole.messages(C) == parts.messages(C)
            assert whole.verdict == parts.verdict
            assert sorted(whole.faults()) == sorted(parts.faults())


def test_data_of_a_long_connection_costs_no_memory() -> None:
    talk = full13().say(S, *[data(16_401)] * 300)
    got = track(talk, 1448)
    server = got.tls.sniffer1
    assert server is not None
    assert server.side is not None
    assert server.side.app_records >= 300
    assert server.stream.held == 0
    assert server.stream.data == b""
    assert len(server.side.events) < 20


def test_a_full_handshake_behind_the_loss_of_a_whole_direction() -> None:
    """Only the client was captured: its own messages are listed, and nothing is held against it."""
    alone = [segment for segment in full12().segments() if segment[0] == C]
    got = track(alone)
    assert got.messages()[:3] == ["ClientHello", "ClientKeyExchange", "ChangeCipherSpec"]
    assert got.faults() == [("tls-server-hello-missing-one-sided", "suspected", S)]
    assert got.verdict == "incomplete"


def test_what_waits_behind_a_hole_at_the_end_is_read() -> None:
    talk = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE))
    talk = closing(talk.say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH), CLOSE)
    segments = without(talk, 100, (S, 100))
    got = track(segments)
    last = got.log.events[-1]
    assert got.messages(S)[-1] == "EncryptedAlert"
    assert last.side == S
    assert last.frame == len(segments), "a message behind a hole has the frame that it came in"
    done = next(event for event in got.log.events if event.code == 14)
    assert done.frame == max(
        n for n, (side, position, _, _) in enumerate(segments, 1) if side == S and position < done.end
    )


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0"])
def test_a_certificate_too_short_for_a_list_does_not_borrow_the_zeros_of_the_next_message(
    body: bytes, size: int
) -> None:
    talk = Talk().say(C, handshake(client_hello()))
    talk.say(S, handshake(server_hello(), message(11, body), message(0), SERVER_KEYS, DONE))
    assert "tls-certificate-empty" not in track(talk, size).slugs()
