"""TS6xx, handshake messages that are missing, too many or malformed: RFC 5246 section 7.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.state import tls_faults as f

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class CertificateMissing(TlsRule):
    """A server sent no certificate although the cipher suite needs one.

    What it does:
        Reports a full handshake of TLS 1.2 or older whose server comes to ServerHelloDone without a Certificate, with
        a suite that authenticates the server.

    Why it matters:
        The client cannot know whom it talks to and must end the handshake.

    Example:
        frame 6   server > client   ServerHello (TLS_RSA_WITH_AES_128_CBC_SHA), ServerHelloDone

    How to fix:
        Update or configure the server's TLS library.

    References:
        RFC 5246 section 7.4.2: when the server must send a certificate.
    """

    code: ClassVar[str] = "TS617"
    name: ClassVar[str] = "tls-certificate-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.2"
    fault: ClassVar[int] = f.CERTIFICATE_MISSING
    sentence: ClassVar[str] = "{who} ended its flight ({frame}) without a Certificate, which {suite} needs"


class ServerKeyExchangeMissing(TlsRule):
    """A server sent no ServerKeyExchange although the key exchange needs one.

    What it does:
        Reports a full handshake with an ephemeral key exchange (DHE, ECDHE, anonymous, SRP) without ServerKeyExchange.

    Why it matters:
        The client has no key to agree on and must end the handshake.

    Example:
        frame 6   server > client   ServerHello (ECDHE), Certificate, ServerHelloDone

    How to fix:
        Update the server's TLS library. If the bytes differ at both ends, a middlebox changes them.

    References:
        RFC 5246 section 7.4.3: when ServerKeyExchange is sent.
    """

    code: ClassVar[str] = "TS618"
    name: ClassVar[str] = "tls-server-key-exchange-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.3"
    fault: ClassVar[int] = f.SERVER_KEY_EXCHANGE_MISSING
    sentence: ClassVar[str] = "{who} ended its flight ({frame}) without the ServerKeyExchange that {suite} needs"


class ServerKeyExchangeUnexpected(TlsRule):
    """A server sent a ServerKeyExchange that the key exchange does not have.

    What it does:
        Reports ServerKeyExchange in a handshake whose cipher suite uses RSA or static Diffie-Hellman keys.

    Why it matters:
        RFC 5246 forbids it. Clients that accepted it could be brought to weak keys (CVE-2015-0204, "FREAK").

    Example:
        frame 6   server > client   ServerHello (TLS_RSA_WITH_AES_128_CBC_SHA), Certificate, ServerKeyExchange

    How to fix:
        Update the server's TLS library and turn off export suites; see whether somebody changes the handshake on the
        path.

    References:
        RFC 5246 section 7.4.3: it is not legal for RSA and static DH.
    """

    code: ClassVar[str] = "TS619"
    name: ClassVar[str] = "tls-server-key-exchange-unexpected"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.3"
    fault: ClassVar[int] = f.SERVER_KEY_EXCHANGE_UNEXPECTED
    sentence: ClassVar[str] = "{who} sent a ServerKeyExchange ({frame}), which {suite} does not allow"


class CertificateStatusUnsolicited(TlsRule):
    """A server sent a certificate status that was not agreed on, or at the wrong place.

    What it does:
        Reports CertificateStatus without the status_request extension in the ServerHello, or not directly after
        Certificate.

    Why it matters:
        The client must end the handshake with an unexpected_message alert.

    Example:
        frame 6   server > client   ServerHello (no status_request), Certificate, CertificateStatus

    How to fix:
        Update the server's TLS library.

    References:
        RFC 6066 section 8: when and where CertificateStatus is sent.
    """

    code: ClassVar[str] = "TS620"
    name: ClassVar[str] = "tls-certificate-status-unsolicited"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 6066 section 8"
    fault: ClassVar[int] = f.CERTIFICATE_STATUS_UNSOLICITED
    sentence: ClassVar[str] = "{who} sent a CertificateStatus ({frame}) {reason}"

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """What is wrong with it."""
        late = faults[0].detail == 2
        reason = "that does not follow its Certificate" if late else "that its ServerHello had not announced"
        return super().words(faults, conn) | {"reason": reason}


class ServerHelloDoneMissing(TlsRule):
    """The handshake went on without the server's ServerHelloDone.

    What it does:
        Reports a full handshake of TLS 1.2 or older in which a side goes on although the server never ended its
        flight.

    Why it matters:
        The client cannot know whether the server wants a certificate of it; it must wait for ServerHelloDone.

    Example:
        frame 6   server > client   ServerHello, Certificate
        frame 7   client > server   ClientKeyExchange

    How to fix:
        Update the TLS library of the side that goes on.

    References:
        RFC 5246 section 7.4.5: ServerHelloDone.
    """

    code: ClassVar[str] = "TS621"
    name: ClassVar[str] = "tls-server-hello-done-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.5"
    fault: ClassVar[int] = f.SERVER_HELLO_DONE_MISSING
    sentence: ClassVar[str] = "{who} never sent ServerHelloDone, and the handshake went on ({frame})"


class ClientCertificateUnrequested(TlsRule):
    """A client sent a certificate that nobody had asked for.

    What it does:
        Reports a client's Certificate in TLS 1.2 or older without a CertificateRequest before it.

    Why it matters:
        The server must end the handshake with an alert; and the client shows its identity to everybody on the path.

    Example:
        frame 6   server > client   ServerHello, Certificate, ServerHelloDone
        frame 7   client > server   Certificate, ClientKeyExchange

    How to fix:
        Update the client's TLS library.

    References:
        RFC 5246 section 7.4.6: the client's certificate answers a request.
    """

    code: ClassVar[str] = "TS622"
    name: ClassVar[str] = "tls-client-certificate-unrequested"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.6"
    fault: ClassVar[int] = f.CLIENT_CERTIFICATE_UNREQUESTED
    sentence: ClassVar[str] = "{who} sent a Certificate ({frame}) although {peer} had not asked for one"


class ClientCertificateMissing(TlsRule):
    """A client did not answer the request for a certificate.

    What it does:
        Reports a ClientKeyExchange without a Certificate before it although the server had sent CertificateRequest. A
        client without a certificate must send an empty one.

    Why it matters:
        The server must end the handshake.

    Example:
        frame 6   server > client   ServerHello, Certificate, CertificateRequest, ServerHelloDone
        frame 7   client > server   ClientKeyExchange

    How to fix:
        Update the client's TLS library.

    References:
        RFC 5246 section 7.4.6: the client must send a certificate message if asked.
    """

    code: ClassVar[str] = "TS623"
    name: ClassVar[str] = "tls-client-certificate-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.6"
    fault: ClassVar[int] = f.CLIENT_CERTIFICATE_MISSING
    sentence: ClassVar[str] = "{who} went on ({frame}) without answering the CertificateRequest of {peer} ({other})"


class CertificateVerifyMissing(TlsRule):
    """A client sent a certificate but did not prove that it has the key.

    What it does:
        Reports a client's Certificate that is not empty and no CertificateVerify before its ChangeCipherSpec.

    Why it matters:
        Anybody can send somebody else's certificate; a server that accepts it lets strangers in.

    Example:
        frame 7   client > server   Certificate, ClientKeyExchange, ChangeCipherSpec

    How to fix:
        Update the client's TLS library; make sure that the server refuses it.

    References:
        RFC 5246 section 7.4.8: CertificateVerify.
    """

    code: ClassVar[str] = "TS624"
    name: ClassVar[str] = "tls-certificate-verify-missing"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.8"
    fault: ClassVar[int] = f.CERTIFICATE_VERIFY_MISSING
    sentence: ClassVar[str] = "{who} sent a certificate ({other}) but no CertificateVerify before it went on ({frame})"


class TicketUnexpected(TlsRule):
    """A server sent a session ticket that was not agreed on.

    What it does:
        Reports NewSessionTicket in clear without the session_ticket extension in the ServerHello.

    Why it matters:
        The client does not expect the message there and must end the handshake.

    Example:
        frame 9   server > client   NewSessionTicket   (ServerHello without session_ticket)

    How to fix:
        Update the server's TLS library.

    References:
        RFC 5077 section 3.3: the ticket follows the extension in the ServerHello.
        RFC 5246 section 7.4: the order of the handshake messages.
    """

    code: ClassVar[str] = "TS625"
    name: ClassVar[str] = "tls-ticket-unexpected"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5077 section 3.3"
    fault: ClassVar[int] = f.TICKET_UNEXPECTED
    sentence: ClassVar[str] = "{who} sent a NewSessionTicket ({frame}) that its ServerHello had not announced"


class Renegotiation(TlsRule):
    """The two sides shook hands again inside the connection.

    What it does:
        Reports a second handshake of TLS 1.2 or older, which is encrypted: it shows by further handshake records, or
        by a second ChangeCipherSpec. Without the renegotiation_info extension it is a warning.

    Why it matters:
        It is lawful, used to ask for a client certificate late, and gone in TLS 1.3. Without the extension an attacker
        can put his own request in front of the client's (CVE-2009-3555).

    Example:
        frame 30  client > server   handshake record   (long after the first handshake)

    How to fix:
        Use TLS 1.3, or ask for the client certificate at the start. Refuse renegotiation without the extension.

    References:
        RFC 5246 section 7.4.1.1: HelloRequest and renegotiation.
        RFC 5746 section 3: secure renegotiation.
    """

    code: ClassVar[str] = "TS629"
    name: ClassVar[str] = "tls-renegotiation"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.4.1.1"
    fault: ClassVar[int] = f.RENEGOTIATION
    sentence: ClassVar[str] = "{who} took part in a second handshake inside the encryption ({frame}), {secure} RFC 5746"

    def weigh(self, fault: TlsFault, sentence: str, conn: Connection) -> tuple[Severity, str]:
        """Worse without the extension."""
        return (Severity.NOTE if fault.detail == 1 else Severity.WARNING), sentence

    def words(self, faults: list[TlsFault], conn: Connection) -> dict[str, str]:
        """With or without the extension."""
        return super().words(faults, conn) | {
            "secure": "protected by" if faults[0].detail == 1 else "without the protection of"
        }


class ClientCertificateEmpty(TlsRule):
    """A client answered the request for a certificate with none.

    What it does:
        Reports an empty Certificate message of the client.

    Why it matters:
        It is lawful: the client has no suitable certificate. The server may go on or refuse; if the handshake fails
        right after this, that is why.

    Example:
        frame 6   server > client   CertificateRequest
        frame 7   client > server   Certificate (empty)

    How to fix:
        If the server needs one, give the client a certificate of an authority that the server's request names.

    References:
        RFC 5246 section 7.4.6: a client without a certificate sends an empty one.
    """

    code: ClassVar[str] = "TS630"
    name: ClassVar[str] = "tls-client-certificate-empty"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.4.6"
    fault: ClassVar[int] = f.CLIENT_CERTIFICATE_EMPTY
    sentence: ClassVar[str] = "{who} had no certificate to offer ({frame}) when {peer} asked for one"


class CertificateEmpty(TlsRule):
    """A server sent an empty list of certificates.

    What it does:
        Reports a server's Certificate message without any certificate.

    Why it matters:
        The client cannot know whom it talks to and must end the handshake.

    Example:
        frame 6   server > client   Certificate (empty)

    How to fix:
        Configure the server's certificate.

    References:
        RFC 5246 section 7.4.2: the server's certificate.
    """

    code: ClassVar[str] = "TS631"
    name: ClassVar[str] = "tls-certificate-empty"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.2"
    fault: ClassVar[int] = f.CERTIFICATE_EMPTY
    sentence: ClassVar[str] = "{who} sent a Certificate without any certificate in it ({frame})"
