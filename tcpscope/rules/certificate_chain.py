"""TS7xx, chains of certificates: how they hang together, whom they lead to, whether they were revoked."""

from __future__ import annotations

from typing import ClassVar

from tcpscope.crypto import certificates as c
from tcpscope.rules.base import Severity
from tcpscope.rules.certificate_base import CertificateRule


class CertificateSelfSigned(CertificateRule):
    """A certificate was signed by its own key.

    What it does:
        Reports a first certificate that names itself as issuer and whose signature was made with its own key, unless
        it is among those that --ca-file names.

    Why it matters:
        Nobody vouches for it: a client must know this very certificate, or cannot tell the server from somebody who
        made a similar one.

    Example:
        frame 6   server > client   Certificate, issuer and subject CN=www.example.org

    How to fix:
        Use a certificate of an authority that the clients know, or give them this one.

    References:
        RFC 5280 section 3.2: self-signed certificates and paths.
    """

    code: ClassVar[str] = "TS704"
    name: ClassVar[str] = "tls-certificate-self-signed"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 3.2"
    trouble: ClassVar[int] = c.SELF_SIGNED
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which is signed by its own key and by nobody else"


class CertificateChainOrder(CertificateRule):
    """The certificates of a chain are not in order.

    What it does:
        Reports a certificate that is not the one that the certificate before it names as issuer. In TLS 1.3, where
        clients should cope with any order, it is a note.

    Why it matters:
        Some clients look for the issuer only in the next place, find none and refuse the chain.

    Example:
        frame 6   server > client   Certificate: www.example.org, a root, the intermediate

    How to fix:
        Write the server's chain file in order: its own certificate, then the issuer of each. Leave out the others.

    References:
        RFC 5246 section 7.4.2: each certificate certifies the one before it.
        RFC 8446 section 4.4.2: the same in TLS 1.3, with more tolerance.
    """

    code: ClassVar[str] = "TS705"
    name: ClassVar[str] = "tls-certificate-chain-order"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5246 section 7.4.2"
    trouble: ClassVar[int] = c.CHAIN_ORDER
    sentence: ClassVar[str] = "{who} sent {which} ({frame}) behind {before}, whose issuer is {wanted}"


class CertificateChainIncomplete(CertificateRule):
    """The issuer of a certificate was not sent.

    What it does:
        Reports a chain that holds nobody whom the first certificate names as issuer. With --ca-file or --system-ca it
        is lawful if that issuer is trusted itself.

    Why it matters:
        Roots need not be sent, but most certificates are issued by an intermediate, which clients do not know. Browsers
        often have it from elsewhere; programs refuse the chain ("unable to get local issuer certificate").

    Example:
        frame 6   server > client   Certificate: www.example.org alone, issued by CN=Some intermediate

    How to fix:
        Let the server send the full chain, the certificate and its intermediates.

    References:
        RFC 5246 section 7.4.2: what a chain holds and may leave out.
        RFC 8446 section 4.4.2: the same in TLS 1.3.
    """

    code: ClassVar[str] = "TS706"
    name: ClassVar[str] = "tls-certificate-chain-incomplete"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 7.4.2"
    trouble: ClassVar[int] = c.CHAIN_INCOMPLETE
    sentence: ClassVar[str] = (
        "{who} sent {which} ({frame}) without that of its issuer, {issuer}: unless it is a root that {peer} knows, the chain "
        "cannot be checked"
    )


class CertificateSignatureWrong(CertificateRule):
    """The signature of a certificate does not fit the key of its issuer.

    What it does:
        Checks the signature of each certificate with the key of the one behind it, if that is whom it names.

    Why it matters:
        The chain proves nothing: the issuer's key was renewed under the same name and the old certificate is sent, or
        somebody forged the certificate.

    Example:
        frame 6   server > client   Certificate: www.example.org, and an intermediate that did not sign it

    How to fix:
        Send the intermediate that belongs to the certificate, as the authority delivered it.

    References:
        RFC 5280 section 6.1.3: the signature of each certificate of a path is checked.
    """

    code: ClassVar[str] = "TS707"
    name: ClassVar[str] = "tls-certificate-signature-wrong"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 6.1.3"
    trouble: ClassVar[int] = c.SIGNATURE_WRONG
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which was not signed with the key of {by}, as it says"


class CertificateIssuerUnfit(CertificateRule):
    """A certificate was issued by one that must not issue any.

    What it does:
        Reports a certificate of the chain that issued another one but is not marked as an authority in basicConstraints,
        or whose keyUsage does not allow it to sign certificates.

    Why it matters:
        Whoever has the key of an ordinary certificate could issue others with it. Clients refuse such a chain.

    Example:
        frame 6   server > client   Certificate: other.example.org, issued by CN=www.example.org

    How to fix:
        Have the certificate issued by an authority. A private authority needs basicConstraints CA and keyCertSign.

    References:
        RFC 5280 section 4.2.1.9: basicConstraints.
        RFC 5280 section 4.2.1.3: keyUsage.
    """

    code: ClassVar[str] = "TS710"
    name: ClassVar[str] = "tls-certificate-issuer-unfit"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 4.2.1.9"
    trouble: ClassVar[int] = c.NOT_AN_AUTHORITY
    sentence: ClassVar[str] = "{who} sent {below}, issued by {which} ({frame}); but {reason}"


class CertificateUntrusted(CertificateRule):
    """A chain leads to nobody who is trusted.

    What it does:
        With --ca-file or --system-ca, looks for a path from the first certificate to a trusted one that was valid at the
        time of the capture, and says why there is none.

    Why it matters:
        A client with the same trust store refuses the connection, mostly with the alert unknown_ca.

    Example:
        frame 6   server > client   Certificate: www.example.org, issued by a private authority

    How to fix:
        Act on the reason: send the missing intermediate, renew what has expired, or give clients the root.

    References:
        RFC 5280 section 6.1: how a path is validated.
    """

    code: ClassVar[str] = "TS712"
    name: ClassVar[str] = "tls-certificate-untrusted"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 6.1"
    trouble: ClassVar[int] = c.UNTRUSTED
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which leads to no trusted certificate: {reason}"


class CertificateRevoked(CertificateRule):
    """A certificate had been revoked.

    What it does:
        Reads the OCSP response that the server sends with its certificate, and the lists that --crl names, checks their
        signature, that they are about this certificate and of the time of the capture, and reports a revocation.

    Why it matters:
        The issuer says that the certificate must no longer be used, often because its key was stolen.

    Example:
        frame 6   server > client   Certificate, CertificateStatus: revoked on 2026-11-21

    How to fix:
        Replace key and certificate.

    References:
        RFC 6960 section 2.2: what an OCSP response says.
        RFC 5280 section 6.3: how revocation lists are used.
    """

    code: ClassVar[str] = "TS713"
    name: ClassVar[str] = "tls-certificate-revoked"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 6960 section 2.2"
    trouble: ClassVar[int] = c.REVOKED
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which was revoked on {since}, according to {source}"


class OcspResponseUnusable(CertificateRule):
    """The OCSP response that came with a certificate cannot be used.

    What it does:
        Reports an OCSP response that cannot be read, is about another certificate, was not valid at the time of the
        capture or has a wrong signature.

    Why it matters:
        Clients ignore it and ask the responder themselves, which costs time; with a certificate that demands a
        response (must-staple) they refuse the connection.

    Example:
        frame 6   server > client   CertificateStatus that was good until 2026-11-20   (captured on 2026-11-23)

    How to fix:
        Find out why the server does not renew the response: it must reach the responder of its authority.

    References:
        RFC 6960 section 3.2: when a response may be accepted.
        RFC 6066 section 8: responses in the handshake.
    """

    code: ClassVar[str] = "TS714"
    name: ClassVar[str] = "tls-ocsp-response-unusable"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 6960 section 3.2"
    trouble: ClassVar[int] = c.STAPLE_UNUSABLE
    sentence: ClassVar[str] = "{who} sent an OCSP response for {which} ({frame}) that cannot be used: {problem}"


class OcspResponseMissing(CertificateRule):
    """A certificate demands an OCSP response, and the server sent none.

    What it does:
        Reports a certificate with the extension TLS feature status_request (must-staple) in a handshake whose client
        asks for the status and whose server does not send it.

    Why it matters:
        The extension tells clients to refuse the certificate without a response; Firefox does.

    Example:
        frame 4   client > server   ClientHello with status_request
        frame 6   server > client   Certificate (must-staple), ServerKeyExchange, ServerHelloDone

    How to fix:
        Turn on OCSP stapling in the server, or have the certificate issued without the extension.

    References:
        RFC 7633 section 4: the extension TLS feature.
        RFC 6066 section 8: responses in the handshake.
    """

    code: ClassVar[str] = "TS715"
    name: ClassVar[str] = "tls-ocsp-response-missing"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 7633 section 4"
    trouble: ClassVar[int] = c.STAPLE_MISSING
    sentence: ClassVar[str] = "{who} sent {which} ({frame}) without the OCSP response that it demands (must-staple)"
