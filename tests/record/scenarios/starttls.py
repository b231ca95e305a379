"""Dialogues that lead to TLS, spoken by openssl s_client, curl and servers of our own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from ..certs import NAME, Authority
from ..lab import LIMIT, Lab
from ..programs import contexts, curl, s_client
from ..scenario import scenario

TLS13 = ssl.TLSVersion.TLSv1_3
HELLO = "tls.handshake.type == 1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"


def serve(
    lab: Lab, context: ssl.SSLContext, port: int, greeting: bytes, *answers: bytes, last: bytes = b"bye\r\n"
) -> threading.Thread:
    """A server that greets, answers each message with the next answer, and then speaks TLS: one message each way."""
    listener = lab.own(lab.server.listen(port))

    def talk() -> None:
        plain: socket.socket = lab.own(listener.accept()[0])
        plain.settimeout(LIMIT)
        if greeting:
            plain.sendall(greeting)
        for answer in answers:
            plain.recv(2000)
            if answer:
                plain.sendall(answer)
        secure = lab.own(context.wrap_socket(plain, server_side=True))
        secure.recv(2000)
        secure.sendall(last)
        with contextlib.suppress(OSError):
            secure.unwrap()
        secure.close()

    return lab.spawn(talk)


def with_s_client(lab: Lab, protocol: str, port: int, client_port: int, greeting: bytes, *answers: bytes) -> None:
    """openssl s_client -starttls against :func:`serve`."""
    made = Authority(lab.work / "certs")
    _, context = contexts(lab, made, TLS13)
    server = serve(lab, context, port, greeting, *answers)
    more = ("-xmpphost", NAME) if protocol == "xmpp" else ()
    output = s_client(lab, made.root_file, client_port, "-starttls", protocol, *more, port=port, lines=(b"NOOP\r\n",))
    server.join(5)
    assert "Verify return code: 0" in output, output


@scenario("imap-starttls", "IMAP that turns to TLS 1.3 by STARTTLS", proof=('tcp contains "STARTTLS"', HELLO))
def imap_starttls(lab: Lab) -> None:
    with_s_client(
        lab, "imap", 143, 52050, b"* OK ready\r\n",
        b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n. OK done\r\n", b". OK begin TLS\r\n",
    )  # fmt: skip


@scenario("pop3-stls", "POP3 that turns to TLS 1.3 by STLS", proof=('tcp contains "STLS"', HELLO))
def pop3_stls(lab: Lab) -> None:
    with_s_client(lab, "pop3", 110, 52051, b"+OK ready\r\n", b"+OK begin TLS\r\n")


@scenario("ftp-auth-tls", "FTP that turns to TLS 1.3 by AUTH TLS", proof=('tcp contains "AUTH TLS"', HELLO))
def ftp_auth_tls(lab: Lab) -> None:
    with_s_client(lab, "ftp", 21, 52052, b"220-welcome\r\n220 ready\r\n", b"234 go on\r\n")


@scenario("ldap-starttls", "LDAP that turns to TLS 1.3 by the StartTLS operation", proof=("ldap.requestName", HELLO))
def ldap_starttls(lab: Lab) -> None:
    with_s_client(lab, "ldap", 389, 52053, b"", b"\x30\x0c\2\1\1\x78\7\n\1\0\4\0\4\0")


@scenario("xmpp-starttls", "XMPP that turns to TLS 1.3 by <starttls/>", proof=('tcp contains "proceed"', HELLO))
def xmpp_starttls(lab: Lab) -> None:
    features = (
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        b"id='1' version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
    )
    with_s_client(
        lab, "xmpp", 5222, 52054, b"", features, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    )  # fmt: skip


@scenario(
    "irc-starttls",
    "IRC that turns to TLS 1.3 by STARTTLS",
    proof=('tcp contains "670"', "tcp.payload[0:3] == 16:03:01"),
)
def irc_starttls(lab: Lab) -> None:
    with_s_client(lab, "irc", 6667, 52055, b"", b":irc.example.test 670 * :STARTTLS successful\r\n")


@scenario("postgresql-ssl", "PostgreSQL's SSLRequest, answered S, and TLS 1.3", proof=("pgsql.type", HELLO))
def postgresql_ssl(lab: Lab) -> None:
    with_s_client(lab, "postgres", 5432, 52056, b"", b"S")


@scenario(
    "mysql-ssl", "MySQL's greeting with the TLS flag, SSLRequest, and TLS 1.3", proof=("mysql.server_greeting", HELLO)
)
def mysql_ssl(lab: Lab) -> None:
    payload = b"\x0a8.0.36\0" + b"\x08\0\0\0" + b"12345678\0" + b"\xff\xff" + b"\xff\2\0\xff\xdf\x15" + bytes(10)
    payload += b"123456789012\0caching_sha2_password\0"
    with_s_client(lab, "mysql", 3306, 52057, len(payload).to_bytes(3, "little") + b"\0" + payload, b"")


def by_proxy(lab: Lab, port: int, client_port: int, option: str, *answers: bytes) -> None:
    """curl over a proxy that is its own destination."""
    made = Authority(lab.work / "certs")
    _, context = contexts(lab, made, TLS13)
    server = serve(lab, context, port, b"", *answers, last=ANSWER)
    address = f"{lab.server.address}:{port}"
    arguments = (option, address, "--local-port", str(client_port), "--cacert", str(made.root_file), f"https://{NAME}/")
    curl(lab, *arguments, keys=True)
    server.join(5)


@scenario(
    "http-connect", "HTTPS over an HTTP proxy: CONNECT, 200, TLS 1.3", proof=('http.request.method == "CONNECT"', HELLO)
)
def http_connect(lab: Lab) -> None:
    by_proxy(lab, 3128, 52058, "--proxy", b"HTTP/1.1 200 Connection established\r\n\r\n")


@scenario("socks5", "HTTPS over a SOCKS 5 proxy that is given the host's name", proof=("socks.version == 5", HELLO))
def socks5(lab: Lab) -> None:
    by_proxy(lab, 1080, 52059, "--socks5-hostname", b"\5\0", b"\5\0\0\1\0\0\0\0\0\0")


def smtp(lab: Lab, port: int, client_port: int, *writes: tuple[bytes, bytes]) -> tuple[socket.socket, socket.socket]:
    """An SMTP client and server that said so much to each other: (request, answer) behind the greeting."""
    client, server = lab.pair(port, client_port)
    server.sendall(b"220 mail.example.test ESMTP\r\n")
    client.recv(1000)
    for request, answer in writes:
        client.sendall(request)
        server.recv(1000)
        server.sendall(answer)
        client.recv(1000)
    return client, server


CAPABILITIES = b"250-mail.example.test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"


@scenario(
    "smtp-starttls-refused",
    "the server cannot do TLS although it said so, and the client sends its password in clear",
    proof=('tcp contains "454"', 'tcp contains "AUTH PLAIN"', "!tls"),
)
def smtp_starttls_refused(lab: Lab) -> None:
    client, server = smtp(
        lab, 587, 52060,
        (b"EHLO client.example.test\r\n", CAPABILITIES),
        (b"STARTTLS\r\n", b"454 4.7.0 TLS not available\r\n"),
        (b"AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\n", b"235 2.7.0 ok\r\n"),
        (b"QUIT\r\n", b"221 bye\r\n"),
    )  # fmt: skip
    server.close()
    client.close()


@scenario(
    "smtp-starttls-not-used",
    "the server offers STARTTLS, and the client sends its password in clear",
    proof=('tcp contains "AUTH PLAIN"', "!tls"),
)
def smtp_starttls_not_used(lab: Lab) -> None:
    client, server = smtp(
        lab, 587, 52061,
        (b"EHLO client.example.test\r\n", CAPABILITIES),
        (b"AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\n", b"235 2.7.0 ok\r\n"),
        (b"QUIT\r\n", b"221 bye\r\n"),
    )  # fmt: skip
    server.close()
    client.close()


@scenario(
    "smtp-starttls-injection",
    "somebody put a command behind STARTTLS into the client's segment, before TLS begins (CVE-2011-0411)",
    proof=('tcp contains "STARTTLS\\r\\nRSET"', HELLO),
)
def smtp_starttls_injection(lab: Lab) -> None:
    made = Authority(lab.work / "certs")
    near, far = contexts(lab, made, TLS13)
    client, server = smtp(
        lab, 587, 52062,
        (b"EHLO client.example.test\r\n", CAPABILITIES),
        (b"STARTTLS\r\nRSET\r\n", b"220 ready\r\n"),
    )  # fmt: skip

    def answer() -> None:
        secure = lab.own(far.wrap_socket(server, server_side=True))
        secure.recv(1000)
        secure.sendall(b"221 bye\r\n")
        with contextlib.suppress(OSError):
            secure.unwrap()
        secure.close()

    there = lab.spawn(answer)
    secure = lab.own(near.wrap_socket(client, server_hostname=NAME))
    secure.sendall(b"QUIT\r\n")
    secure.recv(1000)
    with contextlib.suppress(OSError):
        secure.unwrap()
    secure.close()
    there.join(5)
