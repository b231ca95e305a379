"""Protocols in lines that turn to TLS: SMTP and its like, IMAP, IRC, XMPP; and HTTP's CONNECT."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcpscope.state.dialogue import (
    ASKER,
    CONNECT,
    FTP,
    IMAP,
    IRC,
    LMTP,
    NNTP,
    PLAIN_LOGIN,
    PLAIN_MAIL,
    PLAIN_NOTHING,
    PLAIN_PASSWORD,
    POP3,
    REPLIES,
    SIEVE,
    SMTP,
    XMPP,
    TextDialogue,
)

# SASL mechanisms that show the password (RFC 4616, and the LOGIN of old clients)
_SHOWN: Final = frozenset((b"PLAIN", b"LOGIN", b'"PLAIN"', b'"LOGIN"'))
# What a client says that does not want to go on with its login
_NO_LOGIN: Final = frozenset((b"*", b"QUIT", b"RSET", b"NOOP"))
# Commands that tell FTP from SMTP behind the same greeting (RFC 959, RFC 2389, RFC 4217)
_FTP_COMMANDS: Final = frozenset(
    (b"USER", b"PASS", b"AUTH", b"FEAT", b"SYST", b"OPTS", b"PBSZ", b"PROT", b"ACCT", b"CLNT")
)
MAX_CHUNK: Final = 1 << 32  # bytes of mail that BDAT announces (RFC 3030)
_ANONYMOUS: Final = frozenset((b"ANONYMOUS", b"FTP"))
# Replies of NNTP that a list follows (RFC 3977 section 3.1.1)
_NNTP_LISTS: Final = frozenset((b"100", b"101", b"215", b"220", b"221", b"222", b"224", b"225", b"230", b"231"))


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class LoginDialogue(TextDialogue):
    """Lines, with a login or mail that comes in a further line of the client."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1, b"\n")
        self.login: i64 = PLAIN_NOTHING  # what the client's next line will reveal, once the server asks for it
        self.wanted: bool = False  # the server has asked

    def sasl(self, words: list[bytes]) -> None:
        """AUTH or AUTHENTICATE with its mechanism and perhaps the first answer (RFC 4954 section 4)."""
        if len(words) < 2:
            return
        self.login = PLAIN_PASSWORD if words[1] in _SHOWN else PLAIN_LOGIN
        if len(words) > 2 and words[2] != b"=":
            self.revealed(self.login)

    def login_line(self, text: bytes) -> bool:
        """True if this line of the client is the login or mail that the server has asked for."""
        if not self.wanted:
            return False
        self.wanted = False
        line: bytes = text.strip().upper()
        if self.login == PLAIN_MAIL:
            if line != b".":
                self.revealed(PLAIN_MAIL)
        elif len(line) > 0 and line not in _NO_LOGIN:
            self.revealed(self.login)
        self.login = PLAIN_NOTHING
        return True

    def asks_login(self) -> None:
        """The server wants the client to go on with the login."""
        self.wanted = self.login != PLAIN_NOTHING


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class ReplyDialogue(LoginDialogue):
    """SMTP, LMTP, FTP, POP3, NNTP and ManageSieve: a greeting, then one reply for each command, in their order.

    So the answer to the request is known by its number, also with pipelining (RFC 2920).
    """

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        self.commands: i64 = 0
        self.replies: i64 = -1  # the greeting is number 0
        self.awaited: i64 = -1  # number of the reply to the request
        self.lines_of: bytes = b""  # code of the reply whose lines go on
        self.listing: bool = False  # lines up to a single dot
        self.anonymous: bool = False

    def line(self, role: i64, text: bytes) -> None:
        """A command, or a line of a reply."""
        if role == ASKER:
            self.commands += 1
            if not self.login_line(text):
                words: list[bytes] = text.upper().split()
                if len(words) > 0:
                    self._command(words, text)
        elif self.protocol == POP3:
            self._status(text, b"+OK", b"-ERR")
        elif self.protocol == SIEVE:
            self._status(text, b"OK", b"NO")
        else:
            self._coded(text)

    def _command(self, words: list[bytes], text: bytes) -> None:
        verb: bytes = words[0]
        if self.protocol == REPLIES:
            self._tell(verb)
        if self._asks_for_tls(verb, words):
            if self.request_end < 0:
                self.awaited = self.commands
            self.requested(self.place, text.strip())
        elif verb == b"AUTHENTICATE" or (verb == b"AUTH" and self.protocol != FTP):
            self.sasl(words)
        elif verb == b"USER":
            self.anonymous = len(words) > 1 and words[1] in _ANONYMOUS and self.protocol == FTP
        elif verb == b"PASS":
            if self.anonymous:
                self.over = True
            else:
                self.revealed(PLAIN_PASSWORD)
        elif verb == b"APOP" and self.protocol == POP3:
            self.revealed(PLAIN_LOGIN)
        elif verb == b"AUTHINFO" and len(words) > 2:
            if words[1] == b"PASS":
                self.revealed(PLAIN_PASSWORD)
            elif words[1] == b"SASL":
                self.sasl(words[1:])
        elif verb == b"BDAT" and len(words) > 1 and words[1].isdigit() and 0 < int(words[1][:20]) < MAX_CHUNK:
            if len(words) == 2 or words[2] == b"LAST":
                self.revealed(PLAIN_MAIL)

    def _tell(self, verb: bytes) -> None:
        """Which of the protocols with a "220" greeting it is."""
        if verb == b"LHLO":
            self.protocol = LMTP
        elif verb in (b"EHLO", b"HELO", b"STARTTLS", b"MAIL"):
            self.protocol = SMTP
        elif verb in _FTP_COMMANDS:
            self.protocol = FTP

    def _asks_for_tls(self, verb: bytes, words: list[bytes]) -> bool:
        if self.protocol == FTP:
            return verb == b"AUTH" and len(words) > 1 and words[1][:3] in (b"TLS", b"SSL")
        return verb == (b"STLS" if self.protocol == POP3 else b"STARTTLS")

    def _status(self, text: bytes, good: bytes, bad: bytes) -> None:
        """A line of POP3 or ManageSieve."""
        line: bytes = text.strip().upper()
        first: bytes = line.split(b" ", 1)[0]
        if first == good or first == bad:
            self._reply(first == good, text)
        elif first == b"+":
            self.asks_login()
        elif line == b"STLS" or line.startswith(b'"STARTTLS"'):
            self.offered()

    def _coded(self, text: bytes) -> None:
        """A line of a reply with a code of three digits."""
        line: bytes = text.strip().upper()
        if self.listing:
            if line == b".":
                self.listing = False
            elif line == b"STARTTLS":
                self.offered()
            return
        code: bytes = line[:3]
        digits: bool = len(code) == 3 and code.isdigit()
        if self.protocol != NNTP and code == b"250" and line[4:] == b"STARTTLS":
            self.offered()
        if len(self.lines_of) > 0:
            if b"AUTH TLS" in line or b"AUTH SSL" in line:
                self.offered()  # in the answer to FEAT (RFC 4217 section 6)
            if code != self.lines_of or line[3:4] == b"-":
                return
            self.lines_of = b""
        elif not digits:
            self.over = True
            return
        elif line[3:4] == b"-":
            self.lines_of = code
            return
        if self.protocol == NNTP:
            self.listing = code in _NNTP_LISTS
        elif code[:1] == b"1":
            return  # preliminary
        if code == b"354":
            self.login = PLAIN_MAIL
        good: bool = code == b"220"
        if self.protocol == FTP:
            good = code == b"234" or code == b"334"
        elif self.protocol == NNTP:
            good = code == b"382"
        self._reply(good, text)
        if code == b"334" or code == b"383" or code == b"354":
            self.asks_login()

    def _reply(self, good: bool, text: bytes) -> None:
        """The last line of a reply. More replies than commands: one was not asked for, so their numbers tell nothing more."""
        self.replies += 1
        if self.replies > self.commands:
            self.over = True
        elif self.replies == self.awaited:
            self.answered(good, self.place, text.strip())


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class ImapDialogue(LoginDialogue):
    """IMAP (RFC 9051): the answer bears the tag of its command."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1)
        self.tag: bytes = b""

    def line(self, role: i64, text: bytes) -> None:
        """A command, or a response."""
        line: bytes = text.strip().upper()
        if role == ASKER:
            if not self.login_line(text):
                self._command(line.split(), text)
            return
        if b"CAPABILITY" in line and b" STARTTLS" in line:
            self.offered()
        words: list[bytes] = line.split(b" ", 2)
        if words[0] == b"+":
            self.asks_login()
        elif len(self.tag) > 0 and words[0] == self.tag and len(words) > 1:
            self.tag = b""
            self.answered(words[1] == b"OK", self.place, text.strip())

    def _command(self, words: list[bytes], text: bytes) -> None:
        if len(words) < 2:
            return
        if words[1] == b"STARTTLS":
            if self.request_end < 0:
                self.tag = words[0]
            self.requested(self.place, text.strip())
        elif words[1] == b"AUTHENTICATE":
            self.sasl(words[1:])
        elif words[1] == b"LOGIN" and len(words) > 2:
            last: bytes = words[len(words) - 1]
            if last.endswith(b"}") and not last.endswith(b"+}"):
                self.login = PLAIN_PASSWORD  # the server may refuse to take the literal
            else:
                self.revealed(PLAIN_PASSWORD)


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class IrcDialogue(TextDialogue):
    """IRC with the STARTTLS command: 670 accepts, 691 refuses."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1, b"\n")

    def line(self, role: i64, text: bytes) -> None:
        """A message with or without its prefix."""
        words: list[bytes] = text.upper().split()
        if len(words) > 0 and words[0][:1] == b":":
            words = words[1:]
        if len(words) == 0:
            return
        verb: bytes = words[0]
        if role == ASKER:
            if verb == b"STARTTLS":
                self.requested(self.place, text.strip())
            elif verb == b"PASS":
                self.revealed(PLAIN_PASSWORD)
        elif verb == b"670" or verb == b"691":
            self.answered(verb == b"670", self.place, text.strip())
        elif (verb == b"421" or verb == b"451") and b"STARTTLS" in words:
            self.answered(False, self.place, text.strip())
        elif verb == b"CAP" and (b"TLS" in words or b":TLS" in words):
            self.offered()


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class XmppDialogue(TextDialogue):
    """XMPP (RFC 6120 section 5). A unit is a tag with the text before it."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1, b">")
        self.begun: bool = False

    def line(self, role: i64, text: bytes) -> None:
        """One tag, without its last sign."""
        tag: bytes = text.strip()
        if not self.begun:
            if tag[:5] != b"<?xml":
                self.begun = b"stream" in tag[:16]
                self.over = not self.begun
            return
        if role == ASKER:
            if tag[:9] == b"<starttls":
                self.requested(self.place, b"<starttls/>")
            elif tag[:10] == b"</starttls" and self.request_end >= 0:
                self.request_end = self.place
            elif tag[:6] == b"<auth ":
                self.revealed(PLAIN_PASSWORD if b"PLAIN" in tag else PLAIN_LOGIN)
            elif tag[:9] == b"<password":
                self.revealed(PLAIN_PASSWORD)
        elif tag[:9] == b"<starttls":
            self.offered()
        elif (tag[:8] == b"<proceed" and tag.endswith(b"/")) or tag[:9] == b"</proceed":
            self.answered(True, self.place, b"<proceed/>")
        elif tag[:8] == b"<failure":
            self.answered(False, self.place, b"<failure/>")


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=False)
class ConnectDialogue(TextDialogue):
    """HTTP's CONNECT (RFC 9110 section 9.3.6): the tunnel begins behind the header section of an answer 2xx."""

    def __init__(self, protocol: i64, asker: i64, begun0: i64, begun1: i64) -> None:
        super().__init__(protocol, asker, begun0, begun1, b"\n")
        self.wanted: bytes = b""  # request line whose header lines go on
        self.status: bytes = b""  # the same of the answer

    def line(self, role: i64, text: bytes) -> None:
        """A line of a request's or an answer's header."""
        line: bytes = text.strip()
        if role == ASKER:
            if len(self.wanted) > 0:
                if len(line) == 0:
                    self.requested(self.place, self.wanted)
                    self.wanted = b""
            elif line[:8] == b"CONNECT ":
                self.wanted = line
                self.destination = line.split(b" ")[1]
            elif len(line) > 0:
                self.over = True
        elif len(self.status) > 0:
            if len(line) == 0:
                if self.status.split(b" ")[1][:1] != b"1":
                    self.answered(self.status.split(b" ")[1][:1] == b"2", self.place, self.status)
                self.status = b""
        elif line[:7] == b"HTTP/1." and line[8:9] == b" " and self.request_end >= 0:
            self.status = line


def text_dialogue(protocol: i64, asker: i64, begun0: i64, begun1: i64) -> TextDialogue:
    """The dialogue of a protocol in lines."""
    if protocol == IMAP:
        return ImapDialogue(protocol, asker, begun0, begun1)
    if protocol == IRC:
        return IrcDialogue(protocol, asker, begun0, begun1)
    if protocol == XMPP:
        return XmppDialogue(protocol, asker, begun0, begun1)
    if protocol == CONNECT:
        return ConnectDialogue(protocol, asker, begun0, begun1)
    return ReplyDialogue(protocol, asker, begun0, begun1)
