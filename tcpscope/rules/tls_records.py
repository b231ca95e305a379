"""TS6xx, the record layer: RFC 8446 section 5, RFC 5246 section 6.2, RFC 6520."""

from __future__ import annotations

from typing import ClassVar

from tcpscope.rules.base import Severity
from tcpscope.rules.tls_base import TlsRule
from tcpscope.state import tls_faults as f


class HandshakeInterleaved(TlsRule):
    """Another record stands between the parts of a handshake message.

    What it does:
        Reports a record of another type before a handshake message that spans records is complete.

    Why it matters:
        TLS 1.3 forbids it, and many libraries end the connection. In TLS 1.2 an alert there is not forbidden but odd.

    Example:
        frame 6   server > client   first half of a Certificate
        frame 7   server > client   alert
        frame 8   server > client   second half of the Certificate

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 8446 section 5.1: handshake messages are not interleaved with other records.
    """

    code: ClassVar[str] = "TS626"
    name: ClassVar[str] = "tls-handshake-interleaved"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 5.1"
    fault: ClassVar[int] = f.HANDSHAKE_INTERLEAVED
    sentence: ClassVar[str] = "{who} sent a {record} ({frame}) in the middle of its {awaited}"


class HandshakeLength(TlsRule):
    """The lengths inside a handshake message contradict one another.

    What it does:
        Reports handshake messages whose inner fields lead beyond their end, leave bytes over, or whose size is
        impossible.

    Why it matters:
        The receiver must end the handshake with a decode_error alert. It is a broken library, damaged data, or
        somebody who looks for holes in parsers.

    Example:
        frame 4   client > server   ClientHello whose extensions are longer than the message

    How to fix:
        Update the TLS library of that side; see whether a fuzzer or scanner is at work.

    References:
        RFC 8446 section 6: messages that cannot be parsed end the connection.
        RFC 5246 section 7.4: the sizes of handshake messages.
    """

    code: ClassVar[str] = "TS627"
    name: ClassVar[str] = "tls-handshake-length"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 6"
    fault: ClassVar[int] = f.HANDSHAKE_LENGTH
    sentence: ClassVar[str] = "{who} sent a {message} of {extra} bytes ({frame}) whose lengths contradict one another"


class RecordAfterCloseNotify(TlsRule):
    """A side sent more after its own close_notify.

    What it does:
        Reports records behind a close_notify alert of the same side.

    Why it matters:
        The alert says "no more data"; whatever comes behind it must be ignored.

    Example:
        frame 9   client > server   alert: close_notify
        frame 10  client > server   handshake record

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 5246 section 7.2.1: data received after a closure alert is ignored.
    """

    code: ClassVar[str] = "TS628"
    name: ClassVar[str] = "tls-record-after-close-notify"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 7.2.1"
    fault: ClassVar[int] = f.RECORD_AFTER_CLOSE_NOTIFY
    sentence: ClassVar[str] = "{who} sent a {record} ({frame}) after its own close_notify"


class RecordOverflow(TlsRule):
    """A record is longer than TLS allows.

    What it does:
        Reports records above 16,384 bytes in clear, 18,432 protected in TLS 1.2 and older, 16,640 in TLS 1.3.

    Why it matters:
        The receiver must end the connection with a record_overflow alert. The stream is damaged, or not TLS.

    Example:
        frame 9   server > client   record of 20,000 bytes

    How to fix:
        Update the TLS library of that side.

    References:
        RFC 8446 section 5.2: the limit in TLS 1.3.
        RFC 5246 section 6.2.3: the limit in TLS 1.2.
    """

    code: ClassVar[str] = "TS660"
    name: ClassVar[str] = "tls-record-overflow"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 5.2"
    fault: ClassVar[int] = f.RECORD_OVERFLOW
    sentence: ClassVar[str] = "{who} sent a record of {detail} bytes ({frame}); {extra} is the limit"


class RecordVersion(TlsRule):
    """A record has an impossible version number.

    What it does:
        Reports a record header whose version is not 3.0 to 3.4. What follows is not looked at.

    Why it matters:
        The stream is damaged at that point, or TLS was left for another protocol.

    Example:
        frame 9   server > client   record of version 7.1

    How to fix:
        See what the program does at that point; compare captures at both ends.

    References:
        RFC 8446 section 5.1: the version field of a record.
    """

    code: ClassVar[str] = "TS661"
    name: ClassVar[str] = "tls-record-version"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 5.1"
    fault: ClassVar[int] = f.RECORD_VERSION
    sentence: ClassVar[str] = (
        "{who} sent a record of the impossible {version} ({frame}): from there on its stream is no TLS"
    )


class RecordTypeUnknown(TlsRule):
    """A record has a type that TLS does not know.

    What it does:
        Reports a byte that is no content type where a record must begin. What follows is not looked at.

    Why it matters:
        The receiver must end the connection. The stream is damaged at that point, or TLS was left for another
        protocol.

    Example:
        frame 9   server > client   "HTTP/1.1 400" in the middle of a TLS connection

    How to fix:
        See what the program does at that point; compare captures at both ends.

    References:
        RFC 8446 section 5: unexpected record types end the connection.
    """

    code: ClassVar[str] = "TS662"
    name: ClassVar[str] = "tls-record-type-unknown"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 8446 section 5"
    fault: ClassVar[int] = f.RECORD_TYPE_UNKNOWN
    sentence: ClassVar[str] = (
        "{who} sent a record of the unknown type {detail} ({frame}): from there on its stream is no TLS"
    )


class RecordEmpty(TlsRule):
    """A record that must hold something is empty.

    What it does:
        Reports handshake, alert and ChangeCipherSpec records of length zero. Empty application data is lawful.

    Why it matters:
        Such records are forbidden; they are used to keep receivers busy.

    Example:
        frame 9   client > server   handshake record of length 0

    How to fix:
        Update the TLS library of that side; if there are many, somebody attacks the receiver.

    References:
        RFC 5246 section 6.2.1: zero-length fragments.
        RFC 8446 section 5.1: the same in TLS 1.3.
    """

    code: ClassVar[str] = "TS663"
    name: ClassVar[str] = "tls-record-empty"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 5246 section 6.2.1"
    fault: ClassVar[int] = f.RECORD_EMPTY
    sentence: ClassVar[str] = "{who} sent an empty {record} ({frame})"


class FragmentationOdd(TlsRule):
    """A handshake message is cut into many small records.

    What it does:
        Reports a handshake message in more records, or smaller ones, than any ordinary library makes.

    Why it matters:
        It is lawful, but mostly done to hide the server name or the certificate from devices on the path; some of
        those then drop the connection.

    Example:
        frame 4   client > server   ClientHello in 30 records of 16 bytes

    How to fix:
        If the connection fails, try without the tool that cuts the hello.

    References:
        RFC 5246 section 6.2.1: messages may be fragmented.
    """

    code: ClassVar[str] = "TS664"
    name: ClassVar[str] = "tls-fragmentation-odd"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 5246 section 6.2.1"
    fault: ClassVar[int] = f.FRAGMENTATION_ODD
    sentence: ClassVar[str] = "{who} cut its {message} into {extra} records ({frame})"


class HeartbeatOversize(TlsRule):
    """A heartbeat asks for more bytes than it sends.

    What it does:
        Reports heartbeat messages in clear whose payload length exceeds the record.

    Why it matters:
        A server with an unpatched OpenSSL of 2012 to 2014 answers with bytes of its memory, keys included
        (CVE-2014-0160, "Heartbleed"). No lawful program sends this.

    Example:
        frame 7   client > server   heartbeat request, record of 3 bytes, payload length 16,384

    How to fix:
        Find who sends it. If the server answered with a large heartbeat, its keys and passwords are to be replaced.

    References:
        RFC 6520 section 4: a message whose payload length is too large is discarded.
    """

    code: ClassVar[str] = "TS665"
    name: ClassVar[str] = "tls-heartbeat-oversize"
    severity: ClassVar[Severity] = Severity.ERROR
    rfc: ClassVar[str] = "RFC 6520 section 4"
    fault: ClassVar[int] = f.HEARTBEAT_OVERSIZE
    sentence: ClassVar[str] = (
        "{who} sent a heartbeat of {extra} bytes that claims a payload of {detail} ({frame}), as the Heartbleed "
        "attack does"
    )


class HeartbeatBeforeHandshake(TlsRule):
    """A heartbeat came before the handshake was done.

    What it does:
        Reports heartbeat records in clear.

    Why it matters:
        They should not be sent during a handshake; scanners for Heartbleed do so.

    Example:
        frame 6   client > server   heartbeat request   (after the ServerHello)

    How to fix:
        Find the scanner. Turn the heartbeat extension off: hardly any program needs it.

    References:
        RFC 6520 section 3: no heartbeats during handshakes.
    """

    code: ClassVar[str] = "TS666"
    name: ClassVar[str] = "tls-heartbeat-before-handshake"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 6520 section 3"
    fault: ClassVar[int] = f.HEARTBEAT_BEFORE_HANDSHAKE
    sentence: ClassVar[str] = "{who} sent a heartbeat in clear ({frame}), before the handshake was done"
