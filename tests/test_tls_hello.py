"""Hellos: fields, damaged lengths, and the fingerprints against published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire import tls
from tcpscope.wire.fingerprint import ja3, ja3_text, ja3s, ja3s_text, ja4
from tcpscope.wire.tls_hello import (
    DEFECT_CUT,
    DEFECT_LENGTH,
    DEFECT_NONE,
    DEFECT_TOO_MANY,
    DEFECT_TRAILING,
    ClientHello,
    ServerHello,
    alpn_first,
    alpn_list,
    parse_client_hello,
    parse_server_hello,
    u16_list,
)
from tests.tls_builder import (
    CLIENT_RANDOM,
    OFFER12,
    OFFER13,
    SELECT13,
    SHARE13,
    SID,
    Extension,
    alpn,
    client_hello,
    extensions,
    groups,
    old_hello,
    retry,
    server_hello,
    sni,
    u16,
    vector,
    versions,
)


def client(octets: bytes, *, cut: bool = False) -> ClientHello:
    """Parse a whole ClientHello message, among foreign bytes."""
    return parse_client_hello(b"\xff" + octets + b"\xff\xff", 5, 1 + len(octets), cut)


def server(octets: bytes, *, cut: bool = False) -> ServerHello:
    return parse_server_hello(b"\xff" + octets + b"\xff\xff", 5, 1 + len(octets), cut)


def test_fields_of_a_client_hello() -> None:
    hello = client(client_hello(OFFER13, sid=SID))
    assert hello.defect == DEFECT_NONE
    assert (hello.version, hello.random, hello.session_id) == (0x0303, CLIENT_RANDOM, SID)
    assert hello.server_name == b"example.org"
    assert alpn_list(hello.alpn) == [b"h2", b"http/1.1"]
    assert alpn_first(hello.alpn) == b"h2"
    assert u16_list(hello.groups) == [29, 23]
    assert u16_list(hello.versions) == [0x0304, 0x0303]
    assert u16_list(hello.key_shares) == [29]
    assert u16_list(hello.extensions) == [kind for kind, _ in OFFER13]
    assert hello.compressions == b"\0"
    assert hello.has(43)
    assert not hello.has(41)


def test_a_hello_without_extensions_is_whole() -> None:
    for octets in (client_hello(None), client_hello(())):
        assert client(octets).defect == DEFECT_NONE
        assert client(octets).extensions == b""
    assert server(server_hello(None)).defect == DEFECT_NONE


def test_fields_of_a_server_hello() -> None:
    hello = server(server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID))
    assert hello.defect == DEFECT_NONE
    assert (hello.version, hello.selected, hello.cipher, hello.group) == (0x0303, 0x0304, 0x1301, 29)
    assert not hello.retry
    assert server(server_hello((alpn("h2"),))).alpn == b"h2"
    again = server(retry(24))
    assert again.retry
    assert again.group == 24


@pytest.mark.parametrize(
    ("octets", "defect"),
    [
        (client_hello(tail=b"x"), DEFECT_TRAILING),
        (client_hello()[:-1], DEFECT_LENGTH),
        (client_hello(suites=[])[:4] + client_hello(suites=[])[4:], DEFECT_LENGTH),
        (client_hello([(n, b"") for n in range(256)]), DEFECT_TOO_MANY),
        (client_hello([(n, b"") for n in range(255)]), DEFECT_NONE),
        (b"\1\0\0\0", DEFECT_LENGTH),
    ],
)
def test_a_length_that_lies_is_told(octets: bytes, defect: int) -> None:
    assert client(octets).defect == defect


@pytest.mark.parametrize("octets", [client_hello(OFFER13, sid=SID), client_hello(None), old_hello()])
def test_every_shorter_hello_is_cut_and_gives_what_is_there(octets: bytes) -> None:
    whole = client(octets)
    for end in range(4, len(octets)):
        hello = client(octets[:end], cut=True)
        assert hello.defect == DEFECT_CUT
        assert whole.ciphers.startswith(hello.ciphers)
        assert whole.extensions.startswith(hello.extensions)
        assert hello.server_name in (b"", whole.server_name)
        assert ja3(hello) is None
        assert ja4(hello) is None


def test_every_shorter_server_hello_is_cut() -> None:
    octets = server_hello((SELECT13, SHARE13), suite=0x1301, sid=SID)
    for end in range(4, len(octets)):
        hello = server(octets[:end], cut=True)
        assert hello.defect == DEFECT_CUT
        assert hello.selected in (0, 0x0304), "a cut hello of TLS 1.3 is never taken for one of TLS 1.2"
        assert ja3s(hello) is None


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_parsed(body: bytes, cut: bool) -> None:
    for octets in (body, b"\3\3" + bytes(32) + body, client_hello(None)[4:-1] + b"\1\0" + body):
        parse_client_hello(octets, 0, len(octets), cut)
        parse_server_hello(octets, 0, len(octets), cut)


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=30)), max_size=20))
def test_extensions_in_order_and_the_first_repeated_type(items: list[Extension]) -> None:
    hello = client(client_hello(items))
    kinds = [kind for kind, _ in items]
    assert u16_list(hello.extensions) == kinds
    twice = [kind for i, kind in enumerate(kinds) if kind in kinds[:i]]
    assert hello.duplicate == (twice[0] if twice else -1)


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\5", b"\0\3\0\0\5", b"\0\4\1\0\1x", vector(2, b"\0" + vector(2, b"") + b"\0")]
)
def test_a_server_name_that_is_damaged_or_of_another_type_is_none(body: bytes) -> None:
    assert client(client_hello([(0, body)])).server_name == b""


def test_the_client_hello_of_chrome() -> None:
    """The worked example of the JA4 description: GREASE in every list, both fingerprints published there."""
    suites = [
        0x8A8A,
        0x1301,
        0x1302,
        0x1303,
        0xC02B,
        0xC02F,
        0xC02C,
        0xC030,
        0xCCA9,
        0xCCA8,
        0xC013,
        0xC014,
        0x9C,
        0x9D,
        0x2F,
        0x35,
    ]
    schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
    offer: list[Extension] = [
        (0x5A5A, b""),
        sni("example.org"),
        (0x17, b""),
        (0xFF01, b"\0"),
        groups(0xCACA, 29, 23, 24),
    ]
    offer += [(11, b"\1\0"), (35, b""), alpn("h2", "http/1.1"), (5, b"\1\0\0\0\0"), (13, vector(2, u16(*schemes)))]
    offer += [(18, b""), (51, vector(2, b"")), (45, b"\1\1"), versions(0x0A0A, 0x0304, 0x0303), (27, b"\2\0\2")]
    offer += [(0x4469, b"\0\3\2h2"), (0x2A2A, b"\0"), (21, bytes(9))]
    hello = client(client_hello(offer, suites=suites, sid=SID))
    assert ja4(hello) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja3_text(hello) == (
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
        "0-23-65281-10-11-35-16-5-13-18-51-45-43-27-17513-21,29-23-24,0"
    )
    assert ja3(hello) == "cd08e31494f9531f560d64c695473da9"


def test_ja3_of_its_own_description() -> None:
    """Both examples of the JA3 description; the second has no extensions at all."""
    offer = [(0, b""), groups(23, 24, 25), (11, b"\1\0")]
    first = client(
        client_hello(offer, version=0x0301, suites=[47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4])
    )
    assert ja3_text(first) == "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
    assert ja3(first) == "ada70206e40642a3e4461f35503241d5"
    second = client(client_hello(None, version=0x0301, suites=[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99]))
    assert ja3_text(second) == "769,4-5-10-9-100-98-3-6-19-18-99,,,"
    assert ja3(second) == "de350869b8c85de67a350c8d186f11e6"


def test_ja3s_keeps_the_order() -> None:
    hello = server(server_hello(((0xFF01, b"\0"), (0, b""), (11, b"\1\0")), suite=0xC02F))
    assert ja3s_text(hello) == "771,49199,65281-0-11"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("h2", "h2"), ("http/1.1", "h1"), ("x", "xx"), ("-h", "2d"[0] + "68"[1]), ("\u00e9", "c9"), ("", "00")],
)
def test_ja4_shows_the_ends_of_the_first_alpn(name: str, shown: str) -> None:
    offer: list[Extension] = [alpn(name)] if name else []
    text = ja4(client(client_hello(offer)))
    assert text is not None
    assert text.split("_")[0][-2:] == shown


@pytest.mark.parametrize(
    ("offer", "version", "head"),
    [
        (OFFER13, 0x0303, "t13d0608h2"),
        (OFFER12, 0x0303, "t12d0606h2"),
        ((), 0x0301, "t10i060000"),
        (None, 0x0300, "ts3i060000"),
        ((versions(0x0A0A),), 0x0302, "t11i060100"),
        ((versions(0x7F17),), 0x0303, "t00i060100"),
    ],
)
def test_the_head_of_ja4(offer: tuple[Extension, ...] | None, version: int, head: str) -> None:
    text = ja4(client(client_hello(offer, version=version)))
    assert text is not None
    assert text.split("_")[0] == head


def test_ja4_without_extensions_has_zeros() -> None:
    text = ja4(client(client_hello(None)))
    assert text is not None
    assert text.split("_")[2] == "000000000000"


def test_ja4_counts_to_99() -> None:
    text = ja4(client(client_hello([(n, b"") for n in range(1000, 1150)], suites=range(1, 200))))
    assert text is not None
    assert text.startswith("t12i9999")


@pytest.mark.parametrize("value", [0x0A0A, 0x1A1A, 0xFAFA])
def test_grease_values(value: int) -> None:
    assert tls.is_grease(value)
    assert not tls.is_grease(value + 1)
    assert not tls.is_grease(value ^ 0x1000)


def test_extensions_block_with_a_short_header() -> None:
    octets = client_hello(None) + vector(2, extensions([])[:1] + b"\0\0")
    assert client(octets).defect == DEFECT_LENGTH


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", "unknown"),
        (b"GET / HTTP/1.1\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\n", "http"),
        (b"SSH-2.0-OpenSSH\r\n", "ssh"),
        (b"220 mx ESMTP\r\n", "text"),
        (b"\x16\x03\x01\x00\x05\x01", "tls"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "tls"),
        (old_hello(), "ssl2"),
        (b"\x16\x04\x01\x00\x05\x01", "other"),
        (b"\x00\x00\x00\x2a\xffSMB", "other"),
        ("é".encode(), "other"),
    ],
)
def test_what_first_bytes_look_like(octets: bytes, expected: str) -> None:
    assert tls.LOOKS_NAMES[tls.looks(b"G" + octets + b"ET /", 1, 1 + len(octets))] == expected


@pytest.mark.parametrize("size", [3, 15, 16, 40])
def test_text_is_printable_in_its_first_sixteen_octets(size: int) -> None:
    for at in range(size):
        for octet in range(256):
            octets = b"tell me " * 5
            octets = octets[:at] + bytes([octet]) + octets[at + 1 : size]
            printable = 32 <= octet <= 126 or octet in b"\t\n\r" or at >= 16
            assert tls.LOOKS_NAMES[tls.looks(octets, 0, size)] == ("text" if printable else "other"), octets
