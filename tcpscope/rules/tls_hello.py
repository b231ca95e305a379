"""TS6xx, the order of the hellos: RFC 8446 section 4.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class ServerHelloBeforeClientHello(TlsRule):
    """A ServerHello was sent before the ClientHello had arrived.

    What it does:
        Reports a ServerHello in a segment whose acknowledgement number does not cover the whole ClientHello.

    Why it matters:
        The ServerHello chooses from what the client offers; a server that has not read the offer cannot choose. It is
        broken, or something on the path answers in its place.

    Example:
        frame 4   server > client   ServerHello   (acknowledges nothing of the ClientHello)
        frame 5   client > server   ClientHello

    How to fix:
        Compare TTL and timing of the answer with other segments of the server; look for a proxy or an injector on the
        path.

    References:
        RFC 8446 section 4.1.1: the server answers the client's offer.
        RFC 5246 section 7.3: the order of the handshake messages.
    """

    code: ClassVar[str] = "TS601"
    name: ClassVar[str] = "tls-server-hello-before-client-hello"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_BEFORE_CLIENT_HELLO
    sentence: ClassVar[str] = (
        "{who} sent its ServerHello ({frame}) when the last {detail} bytes of the ClientHello ({other}) had not "
        "reached it"
    )


class ServerHelloWithoutClientHello(TlsRule):
    """A ServerHello has no ClientHello.

    What it does:
        Reports a ServerHello on a connection whose client sent none. If the client's bytes were captured from the
        start it is an error; otherwise the capture probably lacks the ClientHello, and this is a note.

    Why it matters:
        Without the offer the choice cannot be judged. Mostly the capture has only one direction or began too late.

    Example:
        frame 1   server > client   ServerHello   (the capture begins here)

    How to fix:
        Capture both directions, from the beginning of the connection.

    References:
        RFC 8446 section 4.1.1: the server answers the client's offer.
    """

    code: ClassVar[str] = "TS602"
    name: ClassVar[str] = "tls-server-hello-without-client-hello"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.1"
    fault: ClassVar[int] = f.SERVER_HELLO_WITHOUT_CLIENT_HELLO
    sentence: ClassVar[str] = "{who} sent a ServerHello ({frame}) to which there is no ClientHello"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Proved only if the client's stream was captured from its start."""
        if fault.grade == f.PROVED:
            return Severity.ERROR, sentence
        return Severity.NOTE, sentence + " in this capture, which lacks bytes of the client"


class ClientHelloRepeated(TlsRule):
    """A client sent a second ClientHello in clear that nobody had asked for.

    What it does:
        Reports a second ClientHello without a HelloRetryRequest between the two.

    Why it matters:
        The server must end such a handshake with an alert. A client does this if its TLS library is broken, or if two
        programs share one socket.

    Example:
        frame 4   client > server   ClientHello
        frame 5   client > server   ClientHello

    How to fix:
        Update the client's TLS library; see whether a wrapper starts the handshake twice.

    References:
        RFC 8446 section 4.1.2: when a client may send a second ClientHello.
        RFC 5246 section 7.4.1.2: ClientHello.
    """

    code: ClassVar[str] = "TS603"
    name: ClassVar[str] = "tls-client-hello-repeated"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.2"
    fault: ClassVar[int] = f.CLIENT_HELLO_REPEATED
    sentence: ClassVar[str] = (
        "{who} sent another ClientHello in clear ({frame}) although no HelloRetryRequest asked for it"
    )


class SecondHelloRetry(TlsRule):
    """A server asked for a second retry of the ClientHello.

    What it does:
        Reports a second HelloRetryRequest on one connection.

    Why it matters:
        The client must end the handshake with an unexpected_message alert: one retry is all there may be.

    Example:
        frame 5   server > client   HelloRetryRequest
        frame 6   client > server   ClientHello
        frame 7   server > client   HelloRetryRequest

    How to fix:
        Update the server's TLS library. Behind a load balancer, see that both ClientHellos reach the same
        configuration.

    References:
        RFC 8446 section 4.1.4: a second HelloRetryRequest is answered by an alert.
    """

    code: ClassVar[str] = "TS604"
    name: ClassVar[str] = "tls-second-hello-retry"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.4"
    fault: ClassVar[int] = f.SECOND_HELLO_RETRY
    sentence: ClassVar[str] = "{who} sent a second HelloRetryRequest ({frame}); only one is allowed"


class HelloRetry(TlsRule):
    """The server asked the client to try again with other parameters.

    What it does:
        Reports a HelloRetryRequest: the client's key share was for a group that the server does not take, or the
        server wants its cookie back.

    Why it matters:
        It is lawful and costs one more round trip on each new connection.

    Example:
        frame 4   client > server   ClientHello, key share for x25519
        frame 5   server > client   HelloRetryRequest for secp256r1

    How to fix:
        Let the client send a key share for the group that the server prefers, or let the server take the client's
        first group.

    References:
        RFC 8446 section 4.1.4: HelloRetryRequest.
        RFC 8446 section 2.1: incorrect DHE share.
    """

    code: ClassVar[str] = "TS605"
    name: ClassVar[str] = "tls-hello-retry"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8446 section 4.1.4"
    fault: ClassVar[int] = f.HELLO_RETRY
    sentence: ClassVar[str] = "{who} asked {peer} to send its ClientHello again ({frame}), which costs a round trip"


class HelloRetryIgnored(TlsRule):
    """A client did not do what a HelloRetryRequest asked for.

    What it does:
        Reports a second ClientHello without the group or the cookie that the retry asked for, or with early data, or
        none at all.

    Why it matters:
        The server must end the handshake with an alert.

    Example:
        frame 5   server > client   HelloRetryRequest for secp256r1
        frame 6   client > server   ClientHello, key share for x25519 again

    How to fix:
        Update the client's TLS library.

    References:
        RFC 8446 section 4.1.2: what the second ClientHello must change.
        RFC 8446 section 4.1.4: HelloRetryRequest.
    """

    code: ClassVar[str] = "TS606"
    name: ClassVar[str] = "tls-hello-retry-ignored"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.2"
    fault: ClassVar[int] = f.HELLO_RETRY_IGNORED
    sentence: ClassVar[str] = "{who} answered the HelloRetryRequest ({other}) wrongly: {ignored} ({frame})"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """What was ignored."""
        ignored = {
            1: "it sent no second ClientHello",
            2: "its second ClientHello has no key share for the group asked for",
            3: "its second ClientHello does not return the cookie",
            4: "its second ClientHello offers early data",
        }
        return super().words(faults, conn) | {"ignored": ignored.get(faults[0].detail, "it went on")}


class HelloRetryCipherChanged(TlsRule):
    """A server chose another cipher suite after its HelloRetryRequest.

    What it does:
        Compares the cipher suite of the ServerHello with that of the HelloRetryRequest before it.

    Why it matters:
        The client must end the handshake with an illegal_parameter alert.

    Example:
        frame 5   server > client   HelloRetryRequest, TLS_AES_128_GCM_SHA256
        frame 7   server > client   ServerHello, TLS_AES_256_GCM_SHA384

    How to fix:
        Update the server's TLS library. Behind a load balancer, see that all servers have the same configuration.

    References:
        RFC 8446 section 4.1.4: the cipher suite must stay the same.
    """

    code: ClassVar[str] = "TS607"
    name: ClassVar[str] = "tls-hello-retry-cipher-changed"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 4.1.4"
    fault: ClassVar[int] = f.HELLO_RETRY_CIPHER_CHANGED
    sentence: ClassVar[str] = (
        "{who} chose {suite} in its HelloRetryRequest ({other}) and {suite2} in its ServerHello ({frame})"
    )


class HelloRetryInferred(TlsRule):
    """A second ClientHello shows that the server asked for a retry, which the capture lacks.

    What it does:
        Reports a second ClientHello behind a ChangeCipherSpec on a connection whose server direction was not captured.

    Why it matters:
        It explains the second ClientHello: nothing is wrong, but the capture has one direction only.

    Example:
        frame 4   client > server   ClientHello
        frame 5   client > server   ChangeCipherSpec, ClientHello

    How to fix:
        Capture both directions.

    References:
        RFC 8446 section 4.1.4: HelloRetryRequest.
        RFC 8446 appendix D.4: the ChangeCipherSpec before the second ClientHello.
    """

    code: ClassVar[str] = "TS608"
    name: ClassVar[str] = "tls-hello-retry-inferred"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8446 section 4.1.4"
    fault: ClassVar[int] = f.HELLO_RETRY_INFERRED
    sentence: ClassVar[str] = (
        "{who} sent a second ClientHello ({frame}), so {peer} must have sent a HelloRetryRequest that the capture lacks"
    )
