"""TS6xx, what leads to TLS in a connection that begins in clear: STARTTLS and its like, and proxies.

All of it rests on what the capture shows: a dialogue is read no further than its first missing byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from tcpscope.rules.base import STARTTLS, Context, Finding, Rule, Severity
from tcpscope.rules.words import opening, party, plural
from tcpscope.state.dialogue import (
    CONNECT,
    LDAP,
    MYSQL,
    PLAIN_MAIL,
    PLAIN_NOTHING,
    PLAIN_PASSWORD,
    POSTGRESQL,
    PROXY,
    RDP,
    REFUSED,
    SOCKS4,
    SOCKS5,
    XMPP,
    Dialogue,
)

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

# What a request and its answer are called where the wire has no words for them.
REQUEST_NAMES: Final = {
    LDAP: "StartTLS request",
    POSTGRESQL: "SSLRequest",
    MYSQL: "SSLRequest",
    RDP: "X.224 connection request",
    SOCKS4: "SOCKS4 request",
    SOCKS5: "SOCKS5 request",
    PROXY: "PROXY header",
    XMPP: "<starttls/>",
}
ANSWER_NAMES: Final = {
    LDAP: "StartTLS response",
    POSTGRESQL: "SSL answer",
    MYSQL: "error packet",
    RDP: "X.224 connection confirm",
    SOCKS4: "SOCKS4 reply",
    SOCKS5: "SOCKS5 reply",
}
# RFC 1928 section 6, and the replies of SOCKS 4
SOCKS_REPLIES: Final = {
    1: "general failure",
    2: "not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
    0x5B: "rejected or failed",
    0x5C: "no identd at the client",
    0x5D: "identd names another user",
    0xFF: "no acceptable authentication",
}
# RFC 4511 section 4.1.9
LDAP_RESULTS: Final = {
    1: "operationsError",
    2: "protocolError",
    8: "strongerAuthRequired",
    10: "referral",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
}
PLAIN_NAMES: Final = ("", "mail", "a login", "a password")


def request_name(dialogue: Dialogue) -> str:
    """The request in words: the client's own line, or its name."""
    if dialogue.protocol == CONNECT:
        return f"CONNECT {text_of(dialogue.destination)}"
    if dialogue.request_text:
        # An IMAP command without its tag
        return (
            " ".join(word for word in text_of(dialogue.request_text).split() if word.upper() in _COMMANDS) or "STARTTLS"
        )
    return REQUEST_NAMES.get(int(dialogue.protocol), "request")


_COMMANDS: Final = frozenset(("STARTTLS", "STLS", "AUTH", "TLS", "SSL", "TLS-C", "TLS-P", "<STARTTLS/>"))


def answer_name(dialogue: Dialogue) -> str:
    """The answer in words: the server's own line, or what its code means."""
    protocol, code = int(dialogue.protocol), int(dialogue.answer_code)
    if protocol in (SOCKS4, SOCKS5, LDAP):
        good = 0x5A if protocol == SOCKS4 else 0
        meaning = "success" if code == good else (LDAP_RESULTS if protocol == LDAP else SOCKS_REPLIES).get(code, "")
        return f"{ANSWER_NAMES[protocol]} {code}" + (f" ({meaning})" if meaning else "")
    if dialogue.answer_text:
        return text_of(dialogue.answer_text)
    return ANSWER_NAMES.get(protocol, "answer")


def text_of(octets: bytes) -> str:
    """Bytes from the wire as text; what is not UTF-8 stands there as an escape."""
    return octets.decode("utf-8", "backslashreplace")


class DialogueRule(Rule):
    """A rule about the dialogue before TLS."""

    occasions: ClassVar[int] = STARTTLS

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """What :meth:`say` makes of the dialogue."""
        tls = conn.tls
        dialogue = tls.carrier.current if tls is not None and tls.carrier is not None else None
        if tls is not None and dialogue is not None:
            yield from self.say(dialogue, conn, tls.recognised)

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """The finding, if there is one. ``secured``: the connection has TLS."""
        raise NotImplementedError


class StarttlsRefused(DialogueRule):
    """The server refused to begin TLS.

    What it does:
        Reports a client that asks for TLS on a connection that began in clear (STARTTLS, STLS, AUTH TLS, LDAP's
        StartTLS, PostgreSQL's SSLRequest), and a server that says no. If the client then sent mail or a password in
        clear, that is told, too.

    Why it matters:
        The client must go on in clear or give up. Many go on, and nobody notices. An attacker on the path can forge the
        refusal.

    Example:
        frame 9   client > server   STARTTLS
        frame 10  server > client   454 TLS not available due to temporary reason

    How to fix:
        Give the server a certificate and turn TLS on. Let the client require TLS, so that it does not go on without.

    References:
        RFC 3207 section 4: the STARTTLS command of SMTP and its answers.
        RFC 9051 section 6.2.1: STARTTLS of IMAP.
        RFC 4511 section 4.14: StartTLS of LDAP.
    """

    code: ClassVar[str] = "TS683"
    name: ClassVar[str] = "starttls-refused"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 3207 section 4"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """What it said, and what the client did then."""
        if dialogue.is_proxy() or dialogue.answer != REFUSED:
            return
        text = (
            f"{party(conn, 1 - dialogue.asker)} refused to begin TLS, which {party(conn, dialogue.asker)} had asked for "
            f"({request_name(dialogue)}, frame {dialogue.request_frame}): {answer_name(dialogue)} (frame {dialogue.answer_frame})"
        )
        if dialogue.plain:
            text += f"; the client then sent {PLAIN_NAMES[dialogue.plain]} in clear (frame {dialogue.plain_frame})"
        evidence = [dialogue.request_frame, dialogue.answer_frame, dialogue.plain_frame]
        yield self.finding(conn, 1 - dialogue.asker, opening(text), evidence, frame=dialogue.answer_frame)


class StarttlsOfferedNotUsed(DialogueRule):
    """The client did not turn to TLS, although the server had offered it.

    What it does:
        Reports a client that logs in or delivers mail in clear after the server had said that it can do TLS. If the
        password can be read, it is a warning.

    Why it matters:
        Whoever is on the path can read the mail, and the password.

    Example:
        frame 6   server > client   250-STARTTLS
        frame 9   client > server   AUTH PLAIN …

    How to fix:
        Turn TLS on in the client ("STARTTLS, required"), or let the server refuse logins without it.

    References:
        RFC 3207 section 4.1: what both sides decide by whether TLS began.
        RFC 8314 section 5: mail clients and TLS.
    """

    code: ClassVar[str] = "TS684"
    name: ClassVar[str] = "starttls-offered-not-used"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 3207 section 4.1"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """What went in clear."""
        if secured or not dialogue.offer_frame or dialogue.request_frame or dialogue.plain == PLAIN_NOTHING:
            return
        text = (
            f"{party(conn, 1 - dialogue.asker)} offered TLS (frame {dialogue.offer_frame}), but "
            f"{party(conn, dialogue.asker)} sent {PLAIN_NAMES[dialogue.plain]} in clear (frame {dialogue.plain_frame})"
        )
        severity = Severity.WARNING if dialogue.plain == PLAIN_PASSWORD else Severity.NOTE
        if dialogue.plain == PLAIN_MAIL:
            text += "; between mail servers, that is up to the sender"
        evidence = [dialogue.offer_frame, dialogue.plain_frame]
        yield self.finding(conn, dialogue.asker, opening(text), evidence, frame=dialogue.plain_frame, severity=severity)


class StarttlsInjection(DialogueRule):
    """Plain text stands between the request for TLS and the ClientHello.

    What it does:
        Reports bytes in clear that the client sent behind its STARTTLS, before it knew the answer, where the server
        agreed and the ClientHello follows. Blank lines do not count.

    Why it matters:
        A server that keeps those bytes in its buffer takes them as sent under TLS: an attacker on the path can put
        commands of his own before those of the client (CVE-2011-0411 and its like, CVE-2021-23214 in PostgreSQL). An
        honest client sends nothing behind STARTTLS until it has the answer.

    Example:
        frame 7   client > server   STARTTLS and RSET
        frame 8   server > client   220 ready
        frame 9   client > server   ClientHello

    How to fix:
        Let the server drop what it has read behind STARTTLS, before TLS begins: update it. Then find out who put the
        bytes there.

    References:
        RFC 3207 section 4: STARTTLS ends a group of commands, and after the answer comes TLS, no other command.
        RFC 9051 section 6.2.1: no further commands before the answer.
    """

    code: ClassVar[str] = "TS685"
    name: ClassVar[str] = "starttls-injection"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 3207 section 4"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """How many bytes, and where."""
        if dialogue.early_frame and dialogue.accepted() and dialogue.hello_frame:
            text = (
                f"{party(conn, dialogue.asker)} sent {plural(dialogue.early_bytes, 'byte')} in clear (frame "
                f"{dialogue.early_frame}) between its {request_name(dialogue)} (frame {dialogue.request_frame}) and its "
                f"ClientHello (frame {dialogue.hello_frame})"
            )
            evidence = [dialogue.request_frame, dialogue.early_frame, dialogue.answer_frame, dialogue.hello_frame]
            yield self.finding(conn, dialogue.asker, opening(text), evidence, frame=dialogue.early_frame)


class StarttlsResponseInjection(DialogueRule):
    """Plain text stands between the server's agreement to TLS and its ServerHello.

    What it does:
        Reports bytes in clear that the server sent behind its agreement, before it had the ClientHello.

    Why it matters:
        A client that keeps those bytes takes them as sent under TLS: an attacker on the path can put answers of his own
        before those of the server (CVE-2021-23222 in PostgreSQL, and the like in mail clients).

    Example:
        frame 8   server > client   220 ready, and 250 in the same segment
        frame 9   client > server   ClientHello

    How to fix:
        Let the client drop what it has read behind the agreement, before TLS begins: update it. Then find out who put
        the bytes there.

    References:
        RFC 3207 section 4.2: what was learned before TLS counts no more.
        RFC 9051 section 6.2.1: TLS begins behind the tagged OK.
    """

    code: ClassVar[str] = "TS686"
    name: ClassVar[str] = "starttls-response-injection"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 3207 section 4.2"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """How many bytes, and where."""
        if dialogue.reply_early_frame and dialogue.hello_frame:
            text = (
                f"{party(conn, 1 - dialogue.asker)} agreed to TLS (frame {dialogue.answer_frame}) and sent "
                f"{plural(dialogue.reply_early_bytes, 'byte')} more in clear (frame {dialogue.reply_early_frame}) before it "
                f"had the ClientHello (frame {dialogue.hello_frame})"
            )
            evidence = [dialogue.answer_frame, dialogue.reply_early_frame, dialogue.hello_frame]
            yield self.finding(conn, 1 - dialogue.asker, opening(text), evidence, frame=dialogue.reply_early_frame)


class StarttlsPlaintextAfter(DialogueRule):
    """A side went on in clear where TLS had been agreed on.

    What it does:
        Reports a client that, knowing that the server agreed, sends plain text instead of a ClientHello; and a server
        that answers the ClientHello so.

    Why it matters:
        The two no longer understand each other, and what should have been protected is not.

    Example:
        frame 7   client > server   STARTTLS
        frame 8   server > client   220 ready
        frame 9   client > server   MAIL FROM:<a@example.org>

    How to fix:
        Find the program that does so. Look for a proxy or firewall on the path that removes TLS. Captures out of which a
        tool took the TLS ("decrypted") look the same.

    References:
        RFC 3207 section 4: after the answer 220 comes TLS, no other command.
        RFC 9051 section 6.2.1: TLS begins behind the tagged OK.
    """

    code: ClassVar[str] = "TS687"
    name: ClassVar[str] = "starttls-plaintext-after"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 3207 section 4"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """Who, and where."""
        agreed = f"after TLS was agreed on (frame {dialogue.answer_frame})"
        late = dialogue.late_frame
        if dialogue.protocol == MYSQL and not dialogue.hello_frame and dialogue.answer != REFUSED:
            late, agreed = dialogue.early_frame, f"after its SSLRequest (frame {dialogue.request_frame})"
        if late:
            text = f"{party(conn, dialogue.asker)} went on in clear (frame {late}) {agreed}"
            yield self._found(conn, dialogue, int(dialogue.asker), text, int(late))
        if dialogue.reply_late_frame:
            text = (
                f"{party(conn, 1 - dialogue.asker)} answered the ClientHello (frame {dialogue.hello_frame}) in clear "
                f"(frame {dialogue.reply_late_frame}) {agreed}"
            )
            yield self._found(conn, dialogue, int(1 - dialogue.asker), text, int(dialogue.reply_late_frame))

    def _found(self, conn: Connection, dialogue: Dialogue, side: int, text: str, frame: int) -> Finding:
        evidence = [dialogue.request_frame, dialogue.answer_frame, dialogue.hello_frame, frame]
        return self.finding(conn, side, opening(text), evidence, frame=frame)


class ProxyRefused(DialogueRule):
    """A proxy refused to open the way to a host.

    What it does:
        Reports HTTP's CONNECT and SOCKS 4 and 5 that the proxy answers with a refusal, with its reason.

    Why it matters:
        The connection to the proxy is fine, and so may the host be: it is the proxy that does not want to or cannot. The
        client mostly shows no more than "connection failed".

    Example:
        frame 4   client > proxy   CONNECT example.org:443 HTTP/1.1
        frame 6   proxy > client   HTTP/1.1 403 Forbidden

    How to fix:
        407, and "no acceptable authentication": give the client the proxy's user name and password. 403, and "not
        allowed": change the proxy's rules. 502, 503, 504, and "unreachable" or "refused": look from the proxy on to the
        host.

    References:
        RFC 9110 section 9.3.6: CONNECT.
        RFC 1928 section 6: the replies of SOCKS 5.
    """

    code: ClassVar[str] = "TS688"
    name: ClassVar[str] = "proxy-refused"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9110 section 9.3.6"

    def say(self, dialogue: Dialogue, conn: Connection, secured: bool) -> Iterable[Finding]:
        """Which host, and why."""
        if not dialogue.is_proxy() or dialogue.answer != REFUSED:
            return
        proxy, client = party(conn, 1 - dialogue.asker), party(conn, dialogue.asker)
        text = f"{proxy}, a proxy, turned {client} away (frame {dialogue.request_frame})"
        if dialogue.destination:
            where = text_of(dialogue.destination)
            text = (
                f"{proxy}, a proxy, refused the way to {where} that {client} asked for (frame {dialogue.request_frame})"
            )
        text += f": {answer_name(dialogue)} (frame {dialogue.answer_frame})"
        evidence = [dialogue.request_frame, dialogue.answer_frame]
        yield self.finding(conn, 1 - dialogue.asker, opening(text), evidence, frame=dialogue.answer_frame)
