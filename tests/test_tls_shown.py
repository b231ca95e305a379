"""What is shown of a TLS connection besides its messages: strength, group, signatures, resumption, alerts, where the time went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tcpscope
from tcpscope.cli.main import run
from tcpscope.options import Options
from tcpscope.report.json_connection import connection_json
from tcpscope.report.model_tls import TlsHandshake, TlsReport
from tcpscope.wire.cipher_names import CIPHER_NAMES
from tcpscope.wire.strength import ACCEPTABLE, BROKEN, STRONG, WEAK, properties, strength
from tcpscope.wire.tls_exchange import parse_server_keys
from tests.captures import SAMPLES
from tests.rule_cases import CLIENT_CLOSES, CLOSED, analyze, ended
from tests.scenario import build, parse
from tests.tls_builder import (
    ALERT,
    CERTIFICATE,
    CLIENT_KEYS,
    CLOSE,
    DONE,
    FINISH,
    FINISHED13,
    FLIGHT13,
    LAWFUL,
    OFFER12,
    OFFER13,
    SELECT13,
    SHARE13,
    SID,
    C,
    Extension,
    S,
    Talk,
    client_hello,
    closing,
    false_start12,
    full12,
    full13,
    handshake,
    message,
    record,
    resumed12,
    server_hello,
    u16,
    vector,
)
from tests.tls_cases import ec_keys, flights, prime_keys

MS = 1_000_000


def tls_of(capture: bytes, options: Options | None = None) -> TlsReport:
    (connection,) = analyze(capture, options).connections
    assert connection.tls is not None
    return connection.tls


def shown(talk: Talk, *lines: str) -> TlsReport:
    return tls_of(ended(talk, *(lines or CLOSED)))


# Strength


@pytest.mark.parametrize(
    ("name", "word", "reasons"),
    [
        ("TLS_AES_128_GCM_SHA256", STRONG, ()),
        ("TLS_CHACHA20_POLY1305_SHA256", STRONG, ()),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", STRONG, ()),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", STRONG, ()),
        ("TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", STRONG, ()),
        ("TLS_AES_128_CCM_8_SHA256", ACCEPTABLE, ("a short tag",)),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", ACCEPTABLE, ("not AEAD",)),
        ("TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", ACCEPTABLE, ("DHE",)),
        ("TLS_DHE_RSA_WITH_AES_128_CBC_SHA", ACCEPTABLE, ("not AEAD", "DHE")),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", WEAK, ("no forward secrecy",)),
        ("TLS_ECDH_ECDSA_WITH_AES_256_GCM_SHA384", WEAK, ("no forward secrecy",)),
        ("TLS_PSK_WITH_AES_128_GCM_SHA256", WEAK, ("no forward secrecy",)),
        ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", WEAK, ("112 bits",)),
        ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", WEAK, ("112 bits", "no forward secrecy")),
        ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", BROKEN, ("RC4",)),
        ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", BROKEN, ("40 bits", "RC4")),
        ("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", BROKEN, ("40 bits",)),
        ("TLS_KRB5_EXPORT_WITH_DES_CBC_40_SHA", BROKEN, ("40 bits",)),
        ("TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", BROKEN, ("40 bits",)),
        ("TLS_RSA_WITH_DES_CBC_SHA", BROKEN, ("56 bits",)),
        ("TLS_RSA_WITH_NULL_SHA256", BROKEN, ("no encryption",)),
        ("TLS_SHA256_SHA256", BROKEN, ("no encryption",)),
        ("TLS_DH_anon_WITH_AES_128_GCM_SHA256", BROKEN, ("nothing proves who the server is",)),
    ],
)
def test_the_word_for_a_suite(name: str, word: str, reasons: tuple[str, ...]) -> None:
    number = next(number for number, known in CIPHER_NAMES.items() if known == name)
    made = properties(number)
    assert made is not None
    assert strength(made) == (word, reasons)


@pytest.mark.parametrize("number", CIPHER_NAMES)
def test_what_a_suite_is_made_of_follows_from_its_name(number: int) -> None:
    """Of those that are named like the ones of the IANA registry nothing is guessed, and nothing contradicts the name."""
    name, made = CIPHER_NAMES[number], properties(number)
    if made is None:
        assert "AES_" not in name
        assert "CHACHA" not in name
        return
    assert (made.mode == "AEAD") == any(word in name for word in ("GCM", "CCM", "OCB", "POLY1305", "AEGIS"))
    assert (made.mode == "CBC") == ("CBC" in name)
    assert made.forward_secrecy == (not name.startswith(("TLS_RSA", "SSL_RSA", "TLS_DH_RSA", "TLS_DH_DSS", "TLS_ECDH_RSA",
                                                          "TLS_ECDH_ECDSA", "TLS_PSK_WITH", "TLS_KRB5")))  # fmt: skip
    for bits in (128, 256):
        assert made.bits == bits or f"AES_{bits}" not in name


def test_a_short_prime_makes_it_weak_and_a_suite_of_tls13_depends_on_the_keys() -> None:
    made = properties(0x009E)
    assert made is not None
    assert strength(made, 2048) == (ACCEPTABLE, ("DHE",))
    assert strength(made, 1024) == (WEAK, ("a prime of 1024 bits",))
    alone = properties(0x1301, psk=True, share=False)
    assert alone is not None
    assert (alone.key_exchange, alone.authentication) == ("PSK", "PSK")
    assert strength(alone) == (WEAK, ("no forward secrecy",))
    assert properties(0x00FF) is None
    assert properties(0xABCD) is None


# Key exchange


def test_the_group_and_the_signature_of_a_server_key_exchange() -> None:
    tls = shown(flights(ec_keys()))
    assert (tls.group, tls.prime_bits, tls.server_signature) == ("secp256r1", None, "ecdsa_secp256r1_sha256")
    assert shown(flights(ec_keys(0x1234, 0x1111))).group == "0x1234"
    assert shown(flights(ec_keys(), version=0x0302)).server_signature is None, "only TLS 1.2 says it"
    tls = shown(flights(prime_keys(1024), suite=0x009E))
    assert (tls.group, tls.prime_bits, tls.server_signature) == (None, 1024, "rsa_pss_rsae_sha256")
    assert tls.suite is not None
    assert (tls.suite.strength, tls.suite.reasons) == ("weak", ("a prime of 1024 bits",))
    anonymous = shown(flights(prime_keys(2048), suite=0x0034))
    assert (anonymous.prime_bits, anonymous.server_signature) == (2048, None)


def test_the_group_of_a_key_share_and_what_was_offered() -> None:
    tls = shown(full13())
    assert (tls.group, tls.groups_offered, tls.key_shares) == ("x25519", ("x25519", "secp256r1"), ("x25519",))
    assert tls.suite is not None
    assert (tls.suite.key_exchange, tls.suite.forward_secrecy, tls.suite.authentication) == (
        "(EC)DHE",
        True,
        "certificate",
    )


@given(st.binary(max_size=60), st.sampled_from(["ECDHE_RSA", "DHE_RSA", "DHE_PSK", "ECDHE_PSK", "DH_anon", "RSA", ""]))
def test_a_server_key_exchange_with_any_bytes(body: bytes, exchange: str) -> None:
    for end in range(len(body) + 1):
        keys = parse_server_keys(body + b"\xff" * 9, 0, end, exchange, True)
        assert -1 <= keys.group <= 0xFFFF
        assert 0 <= keys.prime_bits <= 8 * end
        assert -1 <= keys.scheme <= 0xFFFF


def test_the_client_s_signature() -> None:
    signed = message(15, u16(0x0804) + vector(2, bytes(256)))
    made = Talk().say(C, handshake(client_hello()))
    made.say(S, handshake(server_hello(), CERTIFICATE, ec_keys(), message(13, bytes(9)), DONE))
    made.say(C, handshake(CERTIFICATE, CLIENT_KEYS, signed), FINISH).say(S, FINISH)
    tls = shown(closing(made, CLOSE))
    assert (tls.client_signature, tls.server_signature) == ("rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256")


# Resumption


def by_ticket() -> Talk:
    """Abbreviated, by a ticket that the client brought; the server echoes the session ID that came with it."""
    offer: tuple[Extension, ...] = (*(one for one in OFFER12 if one[0] != 35), (35, bytes(160)))
    talk = Talk().say(C, handshake(client_hello(offer, sid=SID)))
    return closing(talk.say(S, handshake(server_hello(sid=SID)), FINISH).say(C, FINISH), CLOSE)


def by_psk(*, share: bool = True) -> Talk:
    talk = Talk().say(C, handshake(client_hello((*OFFER13, (45, b"\1\1"), (41, bytes(40))), sid=SID)))
    chosen = (SELECT13, *([SHARE13] if share else []), (41, b"\0\0"))
    talk.say(S, handshake(server_hello(chosen, suite=0x1301, sid=SID)), FLIGHT13)
    return closing(talk.say(C, FINISHED13), record(23, bytes(19)))


@pytest.mark.parametrize(
    ("talk", "kind"),
    [(full12(), None), (full13(), None), (resumed12(), "session-id"), (by_ticket(), "ticket"), (by_psk(), "psk")],
)
def test_by_what_a_session_is_resumed(talk: Talk, kind: str | None) -> None:
    tls = shown(talk)
    assert tls.resumption == kind
    assert tls.resumed is (kind is not None)


def test_a_pre_shared_key_without_a_key_exchange_has_no_forward_secrecy() -> None:
    tls = shown(by_psk(share=False))
    assert tls.suite is not None
    assert (tls.suite.strength, tls.suite.authentication, tls.group) == ("weak", "PSK", None)


# Alerts, and who ended it


def test_alerts_by_name() -> None:
    talk = Talk().say(C, handshake(client_hello())).say(S, record(ALERT, b"\1\x70"), record(ALERT, b"\2\x28"))
    tls = shown(talk, *CLIENT_CLOSES)
    assert [(one.side, one.alert, one.level) for one in tls.alerts] == [
        ("server", "unrecognized_name", "warning"),
        ("server", "handshake_failure", "fatal"),
    ]
    assert [one.known_as for one in tls.messages] == [
        "ClientHello",
        "Alert: unrecognized_name",
        "Alert: handshake_failure",
    ]
    ended_by = tls.handshake
    assert (ended_by.ended_how, ended_by.ended_by, ended_by.alert) == ("alert", "server", "handshake_failure")
    assert ended_by.ended_frame == tls.alerts[1].frame
    closed = shown(full12())
    assert [(one.side, one.alert, one.level) for one in closed.alerts] == [
        ("client", None, None),
        ("server", None, None),
    ]


@pytest.mark.parametrize(
    ("lines", "how", "side"),
    [
        (CLIENT_CLOSES, "fin", "client"),
        (("+.010 S > C R.",), "reset", "server"),
        (("+.010 C > S R.",), "reset", "client"),
        (("+.010 S > C .",), None, None),
    ],
)
def test_who_ended_a_handshake_that_was_not_completed(
    lines: tuple[str, ...], how: str | None, side: str | None
) -> None:
    begun = Talk().say(C, handshake(client_hello())).say(S, handshake(server_hello(), CERTIFICATE, ec_keys(), DONE))
    found = shown(begun, *lines).handshake
    assert (found.ended_how, found.ended_by) == (how, side)
    assert (found.ended_frame is None) is (how is None)
    assert found.duration_ns is None


# Where the time of the handshake went


def hex_of(*parts: bytes) -> str:
    return "hex " + b"".join(parts).hex()


OPENED = "0.000 C > S S <mss 1460>\n+.010 S > C S. <mss 1460>\n+0 C > S .\n"


def timed(text: str) -> TlsHandshake:
    return tls_of(build(parse(f"# One handshake.\n{text}"))).handshake


def test_the_shares_of_a_full_handshake() -> None:
    """The way to the server and back takes 10 ms; it thinks 300 and 20 ms, the client 7."""
    text = f"""{OPENED}
        +.005 C > S P. {hex_of(handshake(client_hello()))}
        +.010 S > C .
        +.300 S > C P. {hex_of(handshake(server_hello(), CERTIFICATE, ec_keys(), DONE))}
        +0    C > S .
        +.007 C > S P. {hex_of(handshake(CLIENT_KEYS), FINISH)}
        +.010 S > C .
        +.020 S > C P. {hex_of(FINISH)}
        +.500 C > S F.
        """
    found = timed(text)
    assert (found.ended_how, found.ended_by, found.ended_frame) == ("finished", "server", 10)
    assert found.duration_ns == 347 * MS
    assert (found.client_ns, found.server_ns, found.network_ns) == (7 * MS, 320 * MS, 20 * MS)


def test_an_answer_that_brings_the_acknowledgement_is_cut_by_the_shortest_round_trip() -> None:
    text = f"""{OPENED}
        +.005 C > S P. {hex_of(handshake(client_hello(OFFER13, sid=SID)))}
        +.090 S > C P. {hex_of(handshake(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)), FLIGHT13)}
        +.002 C > S P. {hex_of(FINISHED13)}
        +.010 S > C .
        """
    found = timed(text)
    assert (found.ended_by, found.ended_frame, found.duration_ns) == ("client", 6, 92 * MS)
    assert (found.client_ns, found.server_ns, found.network_ns) == (2 * MS, 80 * MS, 10 * MS)


def test_a_hello_in_two_segments_counts_from_the_first() -> None:
    hello = handshake(client_hello())
    text = f"""{OPENED}
        +.005 C > S .  {hex_of(hello[:50])}
        +.004 C > S P. {hex_of(hello[50:])}
        +.010 S > C .
        +.030 S > C P. {hex_of(record(ALERT, bytes((2, 40))))}
        +0    S > C F.
        """
    found = timed(text)
    assert (found.ended_how, found.alert, found.duration_ns) == ("alert", "handshake_failure", 44 * MS)
    assert (found.client_ns, found.server_ns, found.network_ns) == (0, 30 * MS, 14 * MS)


def test_a_clock_that_steps_back_leaves_the_sum_right() -> None:
    for step in (-5, -0.2, -0.05, 0.001):
        text = f"""{OPENED}
            +.005 C > S P. {hex_of(handshake(client_hello()))}
            +.010 S > C .
            +.300 S > C P. {hex_of(handshake(server_hello(), CERTIFICATE, ec_keys(), DONE))}
            {5 + step} C > S P. {hex_of(handshake(CLIENT_KEYS), FINISH)}
            +.020 S > C P. {hex_of(FINISH)}
            """
        assert_whole(timed(text))


def assert_whole(found: TlsHandshake) -> None:
    """The shares add up to the duration exactly, and none is negative; they are known together."""
    shares = (found.client_ns, found.server_ns, found.network_ns)
    if found.duration_ns is None or None in shares:
        assert shares == (None, None, None)
        return
    known = [share for share in shares if share is not None]
    assert min(known) >= 0
    assert sum(known) == found.duration_ns


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*tls*.pcap*")), ids=lambda path: path.stem)
def test_the_shares_of_recorded_handshakes(sample: Path, keys: bool) -> None:
    log = sample.with_suffix(".keys")
    options = Options(keylog=(str(log),) if keys and log.exists() else ())
    for connection in tcpscope.analyze(str(sample), options).connections:
        if connection.tls is None:
            continue
        found = connection.tls.handshake
        assert_whole(found)
        if connection.tls.verdict == "complete":
            assert (found.ended_how, found.client_ns is not None) == ("finished", True)


@pytest.mark.parametrize("name", LAWFUL)
@pytest.mark.parametrize("size", [0, 100])
def test_every_lawful_handshake_has_a_duration(name: str, size: int) -> None:
    whole = LAWFUL[name]()
    talk = Talk()
    for side, _, ack, octets in whole.writes:
        for at in range(0, len(octets), size or len(octets)):
            talk.say(side, octets[at : at + (size or len(octets))], ack=ack)
    found = shown(talk).handshake
    assert found.ended_how == "finished"
    assert found.ended_by == ("client" if name in ("resumed12", "full13", "retried13", "early13") else "server")
    assert found.duration_ns is not None
    assert_whole(found)


def test_a_capture_without_the_server_tells_no_duration() -> None:
    alone = Talk()
    alone.writes = [write for write in full12().writes if write[0] == C]
    alone.length = full12().length
    assert shown(alone).handshake.duration_ns is None
    assert shown(false_start12()).handshake.ended_by == "server"


# In the reports


def test_json_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    (connection,) = tcpscope.analyze(str(SAMPLES / "tls12.pcap")).connections
    tls = json.loads(connection_json(connection))["tls"]
    assert tls["suite"] == {
        "strength": "strong",
        "reasons": [],
        "key_exchange": "ECDHE",
        "forward_secrecy": True,
        "authentication": "ECDSA",
        "cipher": "AES",
        "bits": 256,
        "mode": "AEAD",
    }
    assert (tls["group"], tls["signature"]) == ("x25519", {"client": None, "server": "ecdsa_secp256r1_sha256"})
    assert tls["handshake"]["ended"] == {"how": "finished", "by": "server", "frame": 9, "alert": None}
    assert set(tls["handshake"]["shares"]) == {"client", "server", "network"}
    assert len(tls["client_random"]) == len(tls["server_random"]) == 64
    assert [alert["alert"] for alert in tls["alerts"]] == [None, None]


def test_both_texts_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    sample = str(SAMPLES / "tls12.pcap")
    for command in (["analyze", sample, "--connection", "0"], ["show", sample]):
        assert run(command) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "cipher suite: strong: key exchange ECDHE on x25519, forward secrecy, server proved by ECDSA" in out
        assert "handshake: completed by the server's Finished (frame 9)" in out
        assert "the server thought" in out


def test_names_from_the_wire_do_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    evil = "\x1b[31m<script>\u202e"
    offer = [one for one in OFFER12 if one[0] != 16] + [(16, vector(2, vector(1, evil.encode())))]
    talk = Talk().say(C, handshake(client_hello(offer))).say(S, handshake(server_hello()))
    path = tmp_path / "evil.pcap"
    path.write_bytes(ended(talk, *CLIENT_CLOSES))
    for command in (["analyze", str(path), "--connection", "0"], ["show", str(path)]):
        run(command)
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\u202e" not in out
