"""Dialogues that lead to TLS, byte for byte: for each protocol what comes before, the request, and both answers."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tls_builder import C, S, Talk, u16, vector

Write = tuple[int, bytes]

OID = b"1.3.6.1.4.1.1466.20037"
TLS_FEATURE = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'"


def ber(tag: int, *parts: bytes) -> bytes:
    return bytes([tag]) + vector(1, b"".join(parts))


def ldap(number: int, operation: bytes) -> bytes:
    return ber(0x30, ber(2, bytes([number])), operation)


def ldap_result(number: int, code: int) -> bytes:
    return ldap(number, ber(0x78, ber(10, bytes([code])), ber(4), ber(4)))


def bind(number: int, password: bytes) -> bytes:
    return ldap(number, ber(0x60, ber(2, b"\3"), ber(4, b"cn=admin"), ber(0x80, password)))


def rdp(kind: int, negotiation: bytes) -> bytes:
    body = bytes([6 + len(negotiation), kind]) + bytes(5) + negotiation
    return b"\3\0" + u16(4 + len(body)) + body


def mysql(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(low: int = 0xFFFF) -> bytes:
    return mysql(0, b"\x0a8.0.36\0" + bytes(4) + b"abcdefgh\0" + low.to_bytes(2, "little") + bytes(40))


MYSQL_SSL = mysql(1, b"\x05\xae\xff\1" + bytes(28))
MYSQL_LOGIN = mysql(2, b"\x05\xae\xff\1" + bytes(28) + b"root\0\0")
MYSQL_PLAIN = mysql(1, b"\x05\xa6\xff\1" + bytes(28) + b"root\0\0")
PG_SSL = bytes.fromhex("0000000804d2162f")
PG_LOGIN = b"\0\0\0\x13\0\3\0\0user\0root\0\0\0"[:19]


@dataclass(frozen=True)
class Opening:
    """One protocol: what comes first, the request, an acceptance and a refusal; what the client says in clear."""

    name: str
    before: tuple[Write, ...]
    request: bytes
    accept: bytes
    refuse: bytes
    plain: bytes
    destination: str | None = None

    def to_request(self) -> Talk:
        return said(*self.before, (C, self.request))


def said(*writes: Write) -> Talk:
    talk = Talk()
    for side, octets in writes:
        talk.say(side, octets)
    return talk


def on(before: Talk, talk: Talk) -> Talk:
    """What ``talk`` says, behind what was said before."""
    base = list(before.length)
    for side, _, ack, octets in talk.writes:
        before.say(side, octets, ack=ack + base[1 - side])
    return before


SMTP_BEFORE = (
    (S, b"220 mx.example.org ESMTP\r\n"),
    (C, b"EHLO a\r\n"),
    (S, b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"),
)
IMAP_BEFORE = ((S, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),)
POP3_BEFORE = ((S, b"+OK ready\r\n"), (C, b"CAPA\r\n"), (S, b"+OK list\r\nUSER\r\nSTLS\r\n.\r\n"))
FTP_BEFORE = (
    (S, b"220-hello\r\n220 ready\r\n"),
    (C, b"FEAT\r\n"),
    (S, b"211-Features:\r\n AUTH TLS\r\n PBSZ\r\n211 End\r\n"),
)
XMPP_BEFORE = (
    (C, b"<?xml version='1.0'?><stream:stream to='example.org' version='1.0'>"),
    (S, b"<?xml version='1.0'?><stream:stream id='1'><stream:features>" + TLS_FEATURE + b"/></stream:features>"),
)
NNTP_BEFORE = ((S, b"200 ready\r\n"), (C, b"CAPABILITIES\r\n"), (S, b"101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n"))
SIEVE_BEFORE = ((S, b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\n"STARTTLS"\r\nOK "ready"\r\n'),)
IRC_BEFORE = ((C, b"CAP LS 302\r\n"), (S, b":irc.example.org CAP * LS :multi-prefix tls\r\n"))
LDAP_BEFORE = (
    (C, ldap(1, ber(0x63, ber(4), ber(10, b"\0"), ber(10, b"\0"), ber(2, b"\0"), ber(2, b"\0"), ber(1, b"\0")))),
    (S, ldap(1, ber(0x64, ber(4), ber(0x30, ber(0x30, ber(4, b"supportedExtension"), ber(0x31, ber(4, OID))))))),
    (S, ldap(1, ber(0x65, ber(10, b"\0"), ber(4), ber(4)))),
)
SOCKS5_BEFORE = ((C, b"\5\2\0\2"), (S, b"\5\2"), (C, b"\1\4user\4pass"), (S, b"\1\0"))

STARTTLS = (
    Opening("smtp", SMTP_BEFORE, b"STARTTLS\r\n", b"220 go\r\n", b"454 not now\r\n", b"MAIL FROM:<a@b>\r\n"),
    Opening("lmtp", ((S, b"220 x LMTP\r\n"), (C, b"LHLO a\r\n"), (S, b"250 STARTTLS\r\n")), b"STARTTLS\r\n", b"220 go\r\n",
            b"502 no\r\n", b"MAIL FROM:<a@b>\r\n"),
    Opening("imap", IMAP_BEFORE, b"a1 STARTTLS\r\n", b"a1 OK begin\r\n", b"a1 NO not now\r\n", b"a2 LOGIN u p\r\n"),
    Opening("pop3", POP3_BEFORE, b"STLS\r\n", b"+OK begin\r\n", b"-ERR no\r\n", b"USER u\r\n"),
    Opening("ftp", FTP_BEFORE, b"AUTH TLS\r\n", b"234 go\r\n", b"534 no\r\n", b"USER u\r\n"),
    Opening("ldap", LDAP_BEFORE, ldap(2, ber(0x77, ber(0x80, OID))), ldap_result(2, 0), ldap_result(2, 52), bind(3, b"pw")),
    Opening("xmpp", XMPP_BEFORE, TLS_FEATURE + b"/>", b"<proceed xmlns='x'/>", b"<failure xmlns='x'/>", b"<iq type='get'>"),
    Opening("postgresql", (), PG_SSL, b"S", b"N", PG_LOGIN),
    Opening("irc", IRC_BEFORE, b"STARTTLS\r\n", b":irc 670 * :go\r\n", b":irc 691 * :no\r\n", b"NICK a\r\n"),
    Opening("nntp", NNTP_BEFORE, b"STARTTLS\r\n", b"382 go\r\n", b"580 no\r\n", b"GROUP x\r\n"),
    Opening("sieve", SIEVE_BEFORE, b"STARTTLS\r\n", b'OK "go"\r\n', b'NO "no"\r\n', b"LISTSCRIPTS\r\n"),
    Opening("rdp", (), rdp(0xE0, b"\1\0\x08\0\3\0\0\0"), rdp(0xD0, b"\2\x1f\x08\0\1\0\0\0"), rdp(0xD0, b"\3\0\x08\0\2\0\0\0"),
            b"\3\0\0\x0c\2\xf0\x80\x7f\x65\x82\1\0"),
)  # fmt: skip

MYSQL = Opening("mysql", ((S, greeting()),), MYSQL_SSL, b"", mysql(2, b"\xff\x15\4#28000no"), MYSQL_LOGIN)

CONNECT_REQUEST = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
SOCKS5_NAME = b"\5\1\0\3" + vector(1, b"example.org") + u16(443)
SOCKS5_SIX = b"\5\1\0\4" + bytes.fromhex("20010db8000000000000000000000001") + u16(853)

PROXIES = (
    Opening("http-connect", (), CONNECT_REQUEST, b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n\r\n", b"",
            "example.org:443"),
    Opening("socks4", (), b"\4\1\1\xbb\xc0\0\2\1me\0", b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6), b"", "192.0.2.1:443"),
    Opening("socks4", (), b"\4\1\1\xbb\0\0\0\1\0example.org\0", b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6), b"",
            "example.org:443"),
    Opening("socks5", SOCKS5_BEFORE, SOCKS5_NAME, b"\5\0\0\1" + bytes(6), b"\5\5\0\1" + bytes(6), b"", "example.org:443"),
    Opening("socks5", ((C, b"\5\1\0"), (S, b"\5\0")), SOCKS5_SIX, b"\5\0\0\3\1a\0\0", b"\5\2\0\1" + bytes(6), b"",
            "[2001:db8:0:0:0:0:0:1]:853"),
)  # fmt: skip

PROXY_HEADERS = (
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.2:443"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::2]:443"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2" + u16(56324, 443), "192.0.2.2:443"),
    (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", None),
)
