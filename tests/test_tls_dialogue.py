"""What leads to TLS: the request, its answer, and what stands where it should not."""

from __future__ import annotations

import io
import json

import pytest

import tcpscope
from tcpscope.report.model import CarrierReport, ConnectionReport
from tcpscope.rules.base import Finding, Severity
from tests.dialogues import (
    CONNECT_REQUEST,
    LDAP_BEFORE,
    MYSQL,
    MYSQL_PLAIN,
    PROXIES,
    PROXY_HEADERS,
    SMTP_BEFORE,
    STARTTLS,
    XMPP_BEFORE,
    Opening,
    Write,
    bind,
    greeting,
    ldap,
    on,
    said,
)
from tests.rule_cases import CLIENT_CLOSES, ending
from tests.scenario import build
from tests.tls_builder import C, S, Talk, full12, track

every_starttls = pytest.mark.parametrize("opening", STARTTLS, ids=lambda one: one.name)
every_opening = pytest.mark.parametrize("opening", [*STARTTLS, MYSQL, *PROXIES], ids=lambda one: one.name)

CODES = {f"TS6{number}" for number in range(83, 89)}


def report(talk: Talk, *lines: str, snap_length: int = 262144) -> ConnectionReport:
    """The one connection of a capture."""
    capture = build(ending(talk, *(lines or CLIENT_CLOSES), snap_length=snap_length))
    (connection,) = tcpscope.analyze(io.BytesIO(capture)).connections
    return connection


def found(connection: ConnectionReport) -> list[Finding]:
    """What the rules about dialogues say."""
    return [finding for finding in connection.findings if finding.code in CODES]


def codes(connection: ConnectionReport) -> list[str]:
    return [finding.code for finding in found(connection)]


def carrier(connection: ConnectionReport) -> CarrierReport:
    assert connection.carrier is not None
    return connection.carrier


def secured(*writes: Write) -> Talk:
    """TLS behind what was said."""
    return on(said(*writes), full12())


def agreed(opening: Opening) -> Talk:
    return opening.to_request().say(S, opening.accept) if opening.accept else opening.to_request()


@every_opening
def test_tls_behind_a_dialogue(opening: Opening) -> None:
    connection = report(on(agreed(opening), full12()))
    assert connection.tls is not None
    assert connection.tls.verdict == "complete"
    assert codes(connection) == []
    told = carrier(connection)
    assert (told.protocol, told.destination) == (opening.name, opening.destination)
    request = 3 + len(opening.before) + 1
    assert told.request_frame == request
    assert told.answer_frame == (request + 1 if opening.accept else None)
    assert told.accepted is (True if opening.accept else None)


@every_starttls
def test_what_the_server_offers(opening: Opening) -> None:
    told = carrier(report(on(agreed(opening), full12())))
    assert (told.offer_frame is not None) == (opening.name not in ("postgresql", "rdp"))


@every_opening
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_how_it_is_cut_into_segments_makes_no_difference(opening: Opening, size: int) -> None:
    talk = agreed(opening)
    while any(not octets.strip(b"\0") for _, _, _, octets in talk.segments(size)):
        size += 1  # a few zero bytes alone are taken for padding
    if max(talk.length) > 60 * size:
        size = max(talk.length) // 60 + 1  # more segments are not looked at
    tracked = track([*talk.segments(size), *later(talk)])
    assert tracked.tls.carrier is not None
    told = tracked.tls.carrier.told()
    assert told is not None
    assert told.request_frame
    assert told.answer == (1 if opening.accept else 0)
    assert tracked.verdict == "complete"


def later(before: Talk) -> list[tuple[int, int, int, bytes]]:
    """The segments of a handshake behind what was said before."""
    count = len(before.writes)
    return on(before, full12()).segments()[count:]


@every_opening
def test_a_refusal(opening: Opening) -> None:
    connection = report(opening.to_request().say(S, opening.refuse))
    (finding,) = found(connection)
    assert finding.code == ("TS688" if opening.name in ("http-connect", "socks4", "socks5") else "TS683")
    assert finding.severity == Severity.WARNING
    assert finding.side == "server"
    assert finding.frame == 3 + len(opening.before) + 2
    assert carrier(connection).accepted is False
    assert connection.tls is None


def test_a_refusal_is_quoted_and_harmless() -> None:
    connection = report(said(*SMTP_BEFORE, (C, b"STARTTLS\r\n"), (S, b"454 \x1b[2Jno\xff\r\n")))
    (finding,) = found(connection)
    assert "STARTTLS, frame 7" in finding.message
    assert "454" in finding.message
    assert "\\xff" in finding.message


def test_a_password_behind_a_refusal_is_told() -> None:
    writes: tuple[Write, ...] = (
        *SMTP_BEFORE, (C, b"STARTTLS\r\n"), (S, b"454 no\r\n"), (C, b"AUTH PLAIN AGEAYg==\r\n"), (S, b"235 ok\r\n"),
    )  # fmt: skip
    (finding,) = found(report(said(*writes)))
    assert finding.code == "TS683"
    assert "sent a password in clear (frame 9)" in finding.message


def test_a_second_request_that_is_accepted() -> None:
    before = ((S, b"220 ready\r\n"), (C, b"AUTH TLS\r\n"), (S, b"504 no\r\n"), (C, b"AUTH SSL\r\n"), (S, b"234 go\r\n"))
    connection = report(secured(*before))
    assert codes(connection) == []
    assert (carrier(connection).protocol, carrier(connection).request_frame) == ("ftp", 7)


def test_an_authenticated_connect() -> None:
    asks = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    connection = report(
        secured((C, CONNECT_REQUEST), (S, asks), (C, CONNECT_REQUEST), (S, b"HTTP/1.1 200 Established\r\n\r\n"))
    )
    assert codes(connection) == []
    assert carrier(connection).accepted is True


# Offered, and not used


@pytest.mark.parametrize(
    ("writes", "severity"),
    [
        ((*SMTP_BEFORE, (C, b"AUTH PLAIN AGEAYg==\r\n")), "warning"),
        ((*SMTP_BEFORE, (C, b"AUTH LOGIN\r\n"), (S, b"334 VXNlcm5hbWU6\r\n"), (C, b"YQ==\r\n")), "warning"),
        ((*SMTP_BEFORE, (C, b"AUTH CRAM-MD5\r\n"), (S, b"334 PDE+\r\n"), (C, b"YSBi\r\n")), "note"),
        ((*SMTP_BEFORE, (C, b"MAIL FROM:<a@b>\r\n"), (S, b"250 ok\r\n"), (C, b"RCPT TO:<c@d>\r\nDATA\r\n"),
          (S, b"250 ok\r\n354 go\r\n"), (C, b"Subject: x\r\n")), "note"),
        ((*SMTP_BEFORE, (C, b"BDAT 5 LAST\r\nabcde")), "note"),
        (((S, b"* OK [CAPABILITY IMAP4rev1 STARTTLS]\r\n"), (C, b'a LOGIN "u" "p"\r\n')), "warning"),
        (((S, b"+OK\r\n"), (C, b"CAPA\r\n"), (S, b"+OK\r\nSTLS\r\n.\r\n"), (C, b"USER u\r\n"), (S, b"+OK\r\n"), (C, b"PASS p\r\n")),
         "warning"),
        (((S, b"220 x\r\n"), (C, b"FEAT\r\n"), (S, b"211-\r\n AUTH TLS\r\n211 e\r\n"), (C, b"USER u\r\n"), (S, b"331 p\r\n"),
          (C, b"PASS p\r\n")), "warning"),
        ((*XMPP_BEFORE, (C, b"<auth xmlns='x' mechanism='PLAIN'>AGEAYg==</auth>")), "warning"),
        ((*LDAP_BEFORE, (C, bind(2, b"secret"))), "warning"),
        (((S, greeting()), (C, MYSQL_PLAIN)), "note"),
    ],
)  # fmt: skip
def test_offered_and_not_used(writes: tuple[Write, ...], severity: str) -> None:
    (finding,) = found(report(said(*writes)))
    assert (finding.code, finding.severity, finding.side) == ("TS684", severity, "client")
    assert finding.frame == 3 + len(writes)


@pytest.mark.parametrize(
    "writes",
    [
        # Nothing that wants protection; a login that was not taken up; no offer; a login as anybody.
        (*SMTP_BEFORE, (C, b"QUIT\r\n"), (S, b"221 bye\r\n")),
        (*SMTP_BEFORE, (C, b"AUTH LOGIN\r\n"), (S, b"530 STARTTLS first\r\n"), (C, b"QUIT\r\n")),
        (*SMTP_BEFORE, (C, b"MAIL FROM:<a@b>\r\n"), (S, b"530 STARTTLS first\r\n"), (C, b"QUIT\r\n")),
        (*SMTP_BEFORE, (C, b"AUTH LOGIN\r\n"), (S, b"334 VXNlcm5hbWU6\r\n"), (C, b"QUIT\r\n")),
        (*SMTP_BEFORE, (C, b"BDAT SCRAMBLE\r\n"), (S, b"501 no\r\n")),
        ((S, b"220 mx\r\n"), (C, b"EHLO a\r\n"), (S, b"250 mx\r\n"), (C, b"AUTH PLAIN AGEAYg==\r\n")),
        ((S, b"220 x\r\n"), (C, b"FEAT\r\n"), (S, b"211-\r\n AUTH TLS\r\n211 e\r\n"), (C, b"USER anonymous\r\n"), (S, b"331 p\r\n"),
         (C, b"PASS a@b\r\n")),
        (*LDAP_BEFORE, (C, bind(2, b""))),
        ((S, greeting(0xF7FF)), (C, MYSQL_PLAIN)),
    ],
)  # fmt: skip
def test_nothing_to_say_of_it(writes: tuple[Write, ...]) -> None:
    assert codes(report(said(*writes))) == []


# What stands where TLS should


@every_starttls
def test_bytes_before_the_client_hello(opening: Opening) -> None:
    talk = said(*opening.before, (C, opening.request + opening.plain), (S, opening.accept))
    (finding,) = found(report(on(talk, full12())))
    assert (finding.code, finding.severity, finding.side) == ("TS685", Severity.ERROR, "client")
    assert f"{len(opening.plain)} bytes" in finding.message


def test_a_segment_of_its_own_between_request_and_answer() -> None:
    talk = said(*SMTP_BEFORE, (C, b"STARTTLS\r\n"), (C, b"RSET\r\n"), (S, b"220 go\r\n"))
    (finding,) = found(report(on(talk, full12())))
    assert (finding.code, finding.frame) == ("TS685", 8)


def test_commands_before_the_request_are_pipelining() -> None:
    greeting, _, capabilities = SMTP_BEFORE
    talk = said(greeting, (C, b"EHLO a\r\nSTARTTLS\r\n"), (S, capabilities[1] + b"220 go\r\n"))
    connection = report(on(talk, full12()))
    assert codes(connection) == []
    assert carrier(connection).answer_frame == 6


@pytest.mark.parametrize("blank", [b"\r\n", b" \r\n"])
def test_blank_lines_are_no_injection(blank: bytes) -> None:
    assert codes(report(secured(*SMTP_BEFORE, (C, b"STARTTLS\r\n" + blank), (S, b"220 go\r\n")))) == []


def test_commands_behind_a_refused_request() -> None:
    talk = said(*SMTP_BEFORE, (C, b"STARTTLS\r\nNOOP\r\n"), (S, b"454 no\r\n250 ok\r\n"), (C, b"QUIT\r\n"))
    assert codes(report(talk)) == ["TS683"]


@every_starttls
def test_bytes_before_the_server_hello(opening: Opening) -> None:
    talk = said(*opening.before, (C, opening.request), (S, opening.accept + b"250 injected\r\n"))
    (finding,) = found(report(on(talk, full12())))
    assert (finding.code, finding.severity, finding.side) == ("TS686", Severity.ERROR, "server")


@every_starttls
def test_plain_text_after_the_agreement(opening: Opening) -> None:
    (finding,) = found(report(agreed(opening).say(C, opening.plain)))
    assert (finding.code, finding.severity, finding.side) == ("TS687", Severity.ERROR, "client")
    assert finding.frame == 3 + len(opening.before) + 3


def test_a_client_hello_that_is_answered_in_clear() -> None:
    hello = full12().writes[0][3]
    talk = said(*SMTP_BEFORE, (C, b"STARTTLS\r\n"), (S, b"220 go\r\n"), (C, hello), (S, b"500 what?\r\n"))
    (finding,) = found(report(talk))
    assert (finding.code, finding.side, finding.frame) == ("TS687", "server", 10)


def test_a_server_that_tires_of_waiting_is_not_blamed() -> None:
    assert codes(report(said(*SMTP_BEFORE, (C, b"STARTTLS\r\n"), (S, b"220 go\r\n"), (S, b"421 timeout\r\n")))) == []


def test_mysql_goes_on_in_clear() -> None:
    talk = said((S, greeting()), (C, MYSQL.request), (C, MYSQL.plain))
    assert codes(report(talk)) == ["TS687"]


# What the capture lacks


@every_opening
def test_a_hole_makes_nothing_provable(opening: Opening) -> None:
    """The segment before the answer is missing."""
    segments = said(*opening.before, (C, opening.request + opening.plain), (S, opening.accept)).segments()
    whole = [*segments, *later(said(*opening.before, (C, opening.request + opening.plain), (S, opening.accept)))]
    for missing in range(len(segments)):
        rest = [one for at, one in enumerate(whole) if at != missing]
        carried = track(rest).tls.carrier
        if carried is not None and missing < len(opening.before):
            assert not carried.notable(True)


@pytest.mark.parametrize("snap_length", [60, 70, 80])
def test_a_cut_capture_proves_nothing(snap_length: int) -> None:
    talk = said(*SMTP_BEFORE, (C, b"STARTTLS\r\nRSET\r\n"), (S, b"220 go\r\n"))
    assert codes(report(on(talk, full12()), snap_length=snap_length)) == []


def test_the_middle_of_a_connection() -> None:
    talk = on(said(*SMTP_BEFORE, (C, b"STARTTLS\r\nRSET\r\n"), (S, b"220 go\r\n")), full12())
    assert track(talk, missing=(True, True)).tls.carrier is None


# Proxies


@pytest.mark.parametrize(("header", "destination"), PROXY_HEADERS)
@pytest.mark.parametrize("apart", [False, True])
def test_the_proxy_protocol(header: bytes, destination: str | None, apart: bool) -> None:
    talk = full12()
    if apart:
        talk = on(said((C, header)), talk)
    else:
        first = talk.writes[0]
        talk = on(Talk().say(C, header + first[3]), Talk())
        for side, _, ack, octets in full12().writes[1:]:
            talk.say(side, octets, ack=ack + (len(header) if side == S else 0))
    connection = report(talk)
    told = carrier(connection)
    assert (told.protocol, told.destination, told.accepted) == ("proxy", destination, None)
    assert (told.request_frame, told.answer_frame) == (4, None)
    assert codes(connection) == []


@pytest.mark.parametrize("opening", PROXIES, ids=lambda one: one.name)
def test_starttls_behind_a_proxy(opening: Opening) -> None:
    talk = agreed(opening)
    for side, octets in (*SMTP_BEFORE, (C, b"STARTTLS\r\n"), (S, b"220 go\r\n")):
        talk.say(side, octets)
    told = carrier(report(on(talk, full12())))
    assert (told.protocol, told.destination) == ("smtp", opening.destination)
    assert told.request_frame == 3 + len(opening.before) + 2 + 4


def test_socks_without_a_method_in_common() -> None:
    (finding,) = found(report(said((C, b"\5\1\0"), (S, b"\5\xff"))))
    assert finding.code == "TS688"
    assert "no acceptable authentication" in finding.message
    assert finding.frames == (4, 5)


# Hostile


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"220 x", b"x" * 1400),
        (b"220-", b"220-\n" * 280),
        (b"* OK", b"\n" * 1400),
        (b"EHLO a\r\n", b"AUTH LOGIN\n" * 120),
        (b"<?xml ", b">" * 1400),
        (b"<stream:stream", b"<" * 1400),
        (b"CONNECT a:1 HTTP/1.1\r\n", b"x: y\r\n" * 200),
        (b"PROXY ", b"x" * 1400),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", bytes(1400)),
        (b"\4\1\0\1\0\0\0\1", b"a" * 1400),
        (b"\5\xff", b"\0" * 1400),
        (b"\x30\x84\xff\xff\xff\xff\2\1\1\x77", bytes(1400)),
        (b"\x30\x84\0\0\xff\xff\2\1\1\x60", b"\x84" * 1400),
        (b"\xff\xff\0\0\x0a8", bytes(1400)),
        (b"\0\0\0\x08\4\xd2\x16\x2f", b"\0\0\0\x08\4\xd2\x16\x2f" * 100),
    ],
)
@pytest.mark.parametrize("side", [C, S])
def test_endless_nonsense_is_bounded(first: bytes, more: bytes, side: int) -> None:
    talk = Talk().say(side, first)
    for turn in range(100):
        talk.say(side if turn % 3 else 1 - side, more)
    for size in (0, 1, 5):
        carried = track(talk, size).tls.carrier
        held = carried.current if carried is not None else None
        if held is not None:
            assert len(held.part_asker) + len(held.part_answerer) <= 2 * 4096
            assert held.units <= 1025


@pytest.mark.parametrize("cut", range(0, 260, 3))
def test_any_part_of_an_ldap_message(cut: int) -> None:
    request = LDAP_BEFORE[0][1] + ldap(2, b"\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037") + bind(3, b"x")
    track(said((C, request[:cut]), (S, request[cut:]), (C, request)))


# Shown


def test_json_and_text(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    from pathlib import Path

    from tcpscope.cli.main import run

    path = Path(str(tmp_path)) / "c.pcap"
    path.write_bytes(build(ending(on(agreed(PROXIES[0]), full12()), *CLIENT_CLOSES)))
    run(["analyze", str(path), "--format", "json"])
    (connection,) = json.loads(capsys.readouterr().out)["captures"][0]["connections"]
    assert connection["tls"]["carrier"] == {
        "protocol": "http-connect",
        "offer_frame": None,
        "request_frame": 4,
        "answer_frame": 5,
        "accepted": True,
        "destination": "example.org:443",
    }
    run(["analyze", str(path), "--connection", "0"])
    assert "begins behind HTTP: CONNECT example.org:443 (frame 4), HTTP/1.1 200 OK" in " ".join(
        capsys.readouterr().out.split()
    )
    run(["show", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert any("CONNECT example.org:443" in line for line in lines)


def test_tls_from_the_first_byte_has_no_carrier() -> None:
    assert report(full12()).carrier is None
