"""How a TLS connection came out: failed and by whom, cut off, closed cleanly or not, answered in another protocol."""

from __future__ import annotations

import pytest

from tcpscope.state.tls_outcome import END_NAMES
from tcpscope.state.tls_tracker import TlsConnection
from tcpscope.wire import tls
from tests.tls_builder import (
    ALERT,
    CERTIFICATE,
    CHANGE,
    CLIENT_KEYS,
    CLOSE,
    DONE,
    FINISH,
    FLIGHT13,
    OFFER13,
    SELECT13,
    SERVER_KEYS,
    SHARE13,
    SHORT13,
    SID,
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
    record,
    resumed12,
    server_hello,
    track,
)

HELLO = handshake(client_hello())
FLIGHT = handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE)


def alert(level: int, description: int) -> bytes:
    return record(ALERT, bytes([level, description]))


def ended(got: Tracked) -> tuple[int, str]:
    return got.outcome.ended_side, END_NAMES[got.outcome.ended_how]


@pytest.mark.parametrize("size", [0, 1])
def test_a_fatal_alert_instead_of_the_server_hello(size: int) -> None:
    got = track(Talk().say(C, HELLO).say(S, alert(2, 70)), size)
    assert got.verdict == "failed"
    assert got.faults() == [("tls-alert-fatal", "proved", S)]
    assert got.fault("tls-alert-fatal").detail == 70
    assert ended(got) == (S, "alert")
    assert [(a.side, a.level, a.description, a.encrypted()) for a in got.log.alerts] == [(S, 2, 70, False)]


def test_a_fatal_alert_of_the_client_after_the_certificate() -> None:
    got = track(Talk().say(C, HELLO).say(S, FLIGHT).say(C, alert(2, 48)))
    assert got.verdict == "failed"
    assert got.slugs() == ["tls-alert-fatal"]
    assert ended(got) == (C, "alert")
    assert got.messages()[-1] == "Alert"


def test_a_warning_before_the_server_hello_is_harmless() -> None:
    talk = Talk().say(C, HELLO).say(S, alert(1, 112), FLIGHT).say(C, handshake(CLIENT_KEYS), FINISH).say(S, FINISH)
    got = track(closing(talk, CLOSE))
    assert got.verdict == "complete"
    assert got.slugs() == ["tls-alert-warning"]


def test_in_tls13_the_level_of_an_alert_does_not_matter() -> None:
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID)))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)), CHANGE, FLIGHT13)
    got = track(talk.say(C, alert(1, 42)))
    assert got.slugs() == ["tls-alert-fatal"]
    assert got.verdict == "failed"


def test_an_alert_over_two_records_is_read() -> None:
    got = track(Talk().say(C, HELLO).say(S, record(ALERT, b"\2"), record(ALERT, b"\x28")))
    assert got.fault("tls-alert-fatal").detail == 40


def test_an_encrypted_alert_keeps_its_value() -> None:
    got = track(full12())
    assert [(a.side, a.level, a.description) for a in got.log.alerts] == [(C, -1, -1), (S, -1, -1)]


def test_tls13_that_ends_in_a_short_record_of_the_client_failed() -> None:
    """All that the client sends behind the ServerHello is one record with room for an alert only."""
    talk = Talk().say(C, handshake(client_hello(OFFER13, sid=SID)))
    talk.say(S, handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)), CHANGE, FLIGHT13)
    got = track(talk.say(C, CHANGE, SHORT13))
    assert got.verdict == "failed"
    assert got.slugs() == ["tls-handshake-incomplete"]


def answerless(acked: int = -1, *, talk: Talk | None = None, fin: str = "", rst: str = "", seen: int = -1) -> Tracked:
    """A ClientHello, and then the endings that are named by c and s; ``seen``: server bytes that the client acknowledged."""
    tracker = TlsConnection()
    for frame, segment in enumerate((talk or Talk().say(C, HELLO)).segments(100), 1):
        feed(tracker, segment, frame)
    tracker.acked0, tracker.acked1 = acked, seen
    tracker.finish("c" in fin, "s" in fin, "c" in rst, "s" in rst)
    return Tracked(tracker)


@pytest.mark.parametrize(
    ("fin", "rst", "slug", "grade", "side", "verdict"),
    [
        ("", "s", "tls-server-hello-missing-reset", "proved", S, "failed"),
        ("c", "s", "tls-server-hello-missing-reset", "proved", S, "failed"),
        ("s", "", "tls-server-hello-missing-closed", "proved", S, "failed"),
        ("c", "", "tls-server-hello-missing-closed", "proved", C, "failed"),
        ("", "", "tls-server-hello-missing-timeout", "proved", S, "incomplete"),
    ],
)
def test_a_client_hello_without_an_answer(fin: str, rst: str, slug: str, grade: str, side: int, verdict: str) -> None:
    got = answerless(len(HELLO), fin=fin, rst=rst, seen=0)
    assert got.faults() == [(slug, grade, side)]
    assert got.verdict == verdict


def test_server_bytes_that_the_capture_lacks_are_no_silence() -> None:
    got = answerless(len(HELLO), fin="c", seen=3000)
    assert got.faults() == [("tls-server-hello-missing-one-sided", "suspected", S)]
    assert got.verdict == "incomplete"


def test_a_client_hello_of_which_the_end_is_never_acknowledged() -> None:
    got = answerless(100, fin="c", seen=0)
    assert got.slugs() == ["tls-client-hello-unacked", "tls-server-hello-missing-closed"]
    fault = got.fault("tls-client-hello-unacked")
    assert (fault.detail, fault.extra) == (100, len(HELLO))
    assert "tls-client-hello-unacked" not in answerless(len(HELLO), fin="c", seen=0).slugs()


@pytest.mark.parametrize(
    ("answer", "looks"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", tls.LOOKS_HTTP),
        (b"220 mail.example.org ESMTP\r\n", tls.LOOKS_TEXT),
        (b"SSH-2.0-OpenSSH_9.6\r\n", tls.LOOKS_SSH),
        (b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60), tls.LOOKS_OTHER),
    ],
)
def test_an_answer_in_another_protocol(answer: bytes, looks: int) -> None:
    got = track(Talk().say(C, HELLO).say(S, answer))
    assert got.faults() == [("tls-http-answer", "proved", S)]
    assert got.fault("tls-http-answer").detail == looks
    assert got.tls.looks1 == looks
    assert got.tls.looks0 == tls.LOOKS_TLS
    assert got.verdict == "failed"


def test_who_stopped_and_after_what() -> None:
    got = track(Talk().say(C, HELLO).say(S, FLIGHT), fin=(True, False))
    assert got.faults() == [("tls-handshake-incomplete", "proved", C)]
    fault = got.fault("tls-handshake-incomplete")
    assert (fault.detail, fault.extra) == (1, 14)  # ClientHello, ServerHelloDone
    assert got.verdict == "failed"
    assert ended(got) == (C, "fin")


def test_the_first_to_end_is_told_by_its_owner() -> None:
    tracker = TlsConnection()
    for frame, segment in enumerate(full12().segments(), 1):
        feed(tracker, segment, frame)
    tracker.closed(S, False)
    tracker.closed(C, True)
    tracker.finish(True, True, True, False)
    assert ended(Tracked(tracker)) == (S, "fin")


def test_a_capture_that_stops_early_is_incomplete() -> None:
    got = track(Talk().say(C, HELLO).say(S, FLIGHT), fin=(False, False))
    assert got.verdict == "incomplete"
    assert got.faults() == [("tls-handshake-incomplete", "suspected", -1)]


def test_a_fin_without_a_closing_alert() -> None:
    talk = full12(close=False).say(C, data()).say(S, data())
    got = track(talk)
    assert got.faults() == [("tls-truncation", "proved", C), ("tls-truncation", "proved", S)]
    assert got.verdict == "complete"
    assert track(talk, fin=(False, False)).slugs() == []
    one = track(talk.say(C, CLOSE))
    assert one.faults() == [("tls-half-close-unanswered", "suspected", S)]


def test_a_fin_inside_a_record() -> None:
    whole = data(900)
    got = track(full12(close=False).say(C, CLOSE).say(S, whole[:500]))
    fault = got.fault("tls-truncation")
    assert (fault.side, fault.detail, fault.extra) == (S, 1, 405)


def test_tls13_hides_its_alerts_so_a_missing_one_is_only_suspected() -> None:
    talk = Talk()
    talk.length, talk.writes = full13().length, full13().writes[:4]
    got = track(talk)
    assert got.faults() == [("tls-truncation", "suspected", C), ("tls-truncation", "suspected", S)]
    assert track(full13()).slugs() == []


def test_plaintext_behind_the_closing_alerts_is_lawful() -> None:
    """FTP's CCC goes back to plaintext."""
    assert track(full12().say(C, b"PASV\r\n").say(S, b"227 Entering Passive Mode\r\n")).slugs() == []
    open_yet = full12(close=False).say(C, b"PASV\r\n")
    assert track(open_yet, fin=(False, False)).slugs() == ["tls-record-type-unknown"]


def test_a_server_hello_without_a_client_hello() -> None:
    alone = [segment for segment in full12().segments() if segment[0] == S]
    got = track(alone)
    assert got.tls.client_side == C
    assert ("tls-server-hello-without-client-hello", "suspected", S) in got.faults()
    assert got.verdict == "incomplete"


def test_a_second_hello_behind_a_ccs_in_a_one_sided_capture_means_a_retry() -> None:
    from tests.tls_builder import retried13

    alone = [segment for segment in retried13().segments() if segment[0] == C]
    got = track(alone)
    assert "tls-hello-retry-inferred" in got.slugs()
    assert "tls-client-hello-repeated" not in got.slugs()
    assert got.messages() == ["ClientHello", "ChangeCipherSpec", "ClientHello", "ApplicationData"]


def test_a_lost_finished_leaves_an_abbreviated_handshake_open() -> None:
    talk = Talk()
    talk.length, talk.writes = resumed12().length, resumed12().writes[:2]
    got = track(talk, fin=(False, False))
    assert got.verdict == "incomplete"
    assert got.outcome.resumed == 1
