"""TS7xx, certificates by themselves: dates, names, strength, form."""

from __future__ import annotations

from typing import ClassVar

from tcpscope.crypto import certificates as c
from tcpscope.rules.base import Severity
from tcpscope.rules.certificate_base import CertificateRule


class CertificateExpired(CertificateRule):
    """A certificate had expired when it was used.

    What it does:
        Compares the validity of each certificate with the time of the frame that holds it, never with the time of the
        analysis. An expired certificate behind the issuer of the first one is a note, since clients may know another
        way to a root. If the clock of the capture cannot be right, nothing is said.

    Why it matters:
        Clients refuse it, mostly with the alert certificate_expired.

    Example:
        frame 6   server > client   Certificate, valid to 2026-11-03   (captured on 2026-11-23)

    How to fix:
        Renew the certificate and let the program load the new one. If it was renewed long ago, the program still holds
        the old one, or another machine answers.

    References:
        RFC 5280 section 4.1.2.5: the validity of a certificate.
    """

    code: ClassVar[str] = "TS701"
    name: ClassVar[str] = "tls-certificate-expired"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 4.1.2.5"
    trouble: ClassVar[int] = c.EXPIRED
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which had expired {ago} before, on {until}"


class CertificateNotYetValid(CertificateRule):
    """A certificate was used before its time.

    What it does:
        Compares the beginning of the validity of each certificate with the time of the frame that holds it. If that is
        more than five years before, or before 2001, the clock of the capture is to blame and nothing is said.

    Why it matters:
        Clients refuse it. Mostly the clock of the machine that made it, of the client or of the capture is wrong.

    Example:
        frame 6   server > client   Certificate, valid from 2026-11-24   (captured on 2026-11-23)

    How to fix:
        Compare the clocks of both ends, of the certificate authority and of the machine that captured.

    References:
        RFC 5280 section 4.1.2.5: the validity of a certificate.
    """

    code: ClassVar[str] = "TS702"
    name: ClassVar[str] = "tls-certificate-not-yet-valid"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 4.1.2.5"
    trouble: ClassVar[int] = c.NOT_YET_VALID
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which is valid only from {since} on, {ahead} later"


class CertificateNameMismatch(CertificateRule):
    """The server's certificate is not for the name that the client asked for.

    What it does:
        Compares the server name in the ClientHello with the DNS names and addresses in the certificate's
        subjectAltName. A wildcard stands for exactly one whole label; the common name does not count. Without a server
        name, and with an encrypted ClientHello, nothing is said.

    Why it matters:
        Clients refuse it: they cannot know whether they talk to the server that they want.

    Example:
        frame 4   client > server   ClientHello, server name www.example.org
        frame 6   server > client   Certificate for other.example.org

    How to fix:
        Use a certificate that has the name, or the right virtual host. If an unknown device answers, find out which.

    References:
        RFC 9525 section 6.3: how DNS names are compared.
        RFC 6066 section 3: the server name in the ClientHello.
    """

    code: ClassVar[str] = "TS703"
    name: ClassVar[str] = "tls-certificate-name-mismatch"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9525 section 6.3"
    trouble: ClassVar[int] = c.NAME_MISMATCH
    sentence: ClassVar[str] = "{who} was asked for {name}, but {which} {has} ({frame})"


class CertificateKeyWeak(CertificateRule):
    """A certificate has a weak key.

    What it does:
        Reports RSA keys of less than 2048 bits, elliptic curves of less than 224 bits and DSA keys.

    Why it matters:
        RSA with 1024 bits can be broken with much effort, with 512 bits at home. Clients refuse such certificates.

    Example:
        frame 6   server > client   Certificate, RSA 1024

    How to fix:
        Make a new key (EC secp256r1, or RSA 2048 or more) and have it certified.

    References:
        RFC 9325 section 4.5: lengths of public keys.
    """

    code: ClassVar[str] = "TS708"
    name: ClassVar[str] = "tls-certificate-key-weak"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9325 section 4.5"
    trouble: ClassVar[int] = c.KEY_WEAK
    sentence: ClassVar[str] = "{who} sent {which} ({frame}) with a weak key, {key}"


class CertificateSignatureWeak(CertificateRule):
    """A certificate was signed with a broken hash.

    What it does:
        Reports certificates that were signed with MD5 or SHA-1, other than roots, whose signature nobody checks. SHA-1
        is a note if the certificate was made before 2016, when authorities stopped using it.

    Why it matters:
        Both hashes have collisions: a certificate for another name can be made that has the same signature. Clients
        refuse them.

    Example:
        frame 6   server > client   Certificate, sha1WithRSAEncryption

    How to fix:
        Have the certificate issued anew, with SHA-256.

    References:
        RFC 8446 section 4.4.2.4: what receivers do with MD5 and SHA-1.
    """

    code: ClassVar[str] = "TS709"
    name: ClassVar[str] = "tls-certificate-signature-weak"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.4.2.4"
    trouble: ClassVar[int] = c.SIGNATURE_WEAK
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which was signed with {algorithm}"


class CertificateUsageMismatch(CertificateRule):
    """A certificate is not meant for what it is used for.

    What it does:
        Reports a first certificate whose extendedKeyUsage lacks servers (or clients) of TLS, or whose keyUsage lacks
        what the key exchange needs: signatures, or with RSA key exchange the encryption of keys.

    Why it matters:
        Clients and servers that check it refuse the certificate, others do not: it works with one and fails with
        another.

    Example:
        frame 6   server > client   Certificate with extendedKeyUsage clientAuth

    How to fix:
        Have a certificate issued for TLS servers (serverAuth) or clients (clientAuth), with digitalSignature.

    References:
        RFC 5280 section 4.2.1.12: extendedKeyUsage.
        RFC 5280 section 4.2.1.3: keyUsage.
    """

    code: ClassVar[str] = "TS711"
    name: ClassVar[str] = "tls-certificate-usage-mismatch"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 4.2.1.12"
    trouble: ClassVar[int] = c.USAGE_MISMATCH
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which is not meant {what}"


class CertificateUndecodable(CertificateRule):
    """A certificate cannot be read.

    What it does:
        Reports certificates that are not X.509 in DER, whose extensions cannot be read, or whose RSA key is too large
        to check signatures with (more than 8,192 bits, or an exponent of more than 64). Where the sides agreed on
        another form of certificate (RFC 7250), nothing is said.

    Why it matters:
        Nobody can check it: strict clients refuse it with bad_certificate or decode_error, lax ones may be tricked.

    Example:
        frame 6   server > client   Certificate of 700 bytes that is no X.509

    How to fix:
        Have the certificate issued anew with another tool.

    References:
        RFC 5280 section 4.1: the form of a certificate.
        RFC 5246 section 7.4.2: certificates of TLS are X.509.
    """

    code: ClassVar[str] = "TS716"
    name: ClassVar[str] = "tls-certificate-undecodable"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 5280 section 4.1"
    trouble: ClassVar[int] = c.UNDECODABLE
    sentence: ClassVar[str] = "{who} sent {which} ({frame}), which {what}"


class CertificateKeyType(CertificateRule):
    """The key of the server's certificate does not fit the cipher suite.

    What it does:
        Compares the kind of key with what a suite of TLS 1.2 or older authenticates the server with: RSA, ECDSA or DSS.

    Why it matters:
        The handshake cannot succeed: the client expects a signature of the other kind.

    Example:
        frame 6   server > client   ServerHello (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), Certificate (EC secp256r1)

    How to fix:
        Update the server's TLS library, or give it a certificate of each kind.

    References:
        RFC 5246 section 7.4.2: which key a suite needs.
    """

    code: ClassVar[str] = "TS717"
    name: ClassVar[str] = "tls-certificate-key-type"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.4.2"
    trouble: ClassVar[int] = c.KEY_TYPE
    sentence: ClassVar[str] = "{who} chose {suite} but sent {which} with the key {key} ({frame})"
