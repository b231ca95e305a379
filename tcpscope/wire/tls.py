"""TLS on the wire: numbers and the tests that recognise a first record (RFC 8446 section 5.1, RFC 5246 section 6.2.1, E.2).

The recognisers look at ``data[start:end]`` only, never behind it, and answer NO, YES or MORE (too few bytes to tell).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcpscope.wire.tcp import u32

# Record content types.
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
HEARTBEAT: Final = 24

# Handshake message types.
HELLO_REQUEST: Final = 0
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
NEW_SESSION_TICKET: Final = 4
END_OF_EARLY_DATA: Final = 5
DRAFT_HELLO_RETRY: Final = 6  # TLS 1.3 up to draft 21
ENCRYPTED_EXTENSIONS: Final = 8
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12
CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
CERTIFICATE_VERIFY: Final = 15
CLIENT_KEY_EXCHANGE: Final = 16
FINISHED: Final = 20
CERTIFICATE_URL: Final = 21
CERTIFICATE_STATUS: Final = 22
SUPPLEMENTAL_DATA: Final = 23
KEY_UPDATE: Final = 24
COMPRESSED_CERTIFICATE: Final = 25
NEXT_PROTOCOL: Final = 67

SSL2: Final = 0x0002
SSL3: Final = 0x0300
TLS10: Final = 0x0301
TLS11: Final = 0x0302
TLS12: Final = 0x0303
TLS13: Final = 0x0304

MAX_PLAINTEXT: Final = 1 << 14
MAX_CIPHERTEXT: Final = (1 << 14) + 2048  # RFC 5246 section 6.2.3
MAX_CIPHERTEXT_13: Final = (1 << 14) + 256  # RFC 8446 section 5.2
MAX_MESSAGE: Final = 256 * 1024  # a handshake message larger than this is refused; the format would allow 16 MiB

NO: Final = 0
YES: Final = 1
MORE: Final = 2

# What the first bytes of a direction look like.
LOOKS_UNKNOWN: Final = 0
LOOKS_TLS: Final = 1
LOOKS_SSL2: Final = 2
LOOKS_HTTP: Final = 3
LOOKS_SSH: Final = 4
LOOKS_TEXT: Final = 5
LOOKS_OTHER: Final = 6
LOOKS_NAMES: Final = ("unknown", "tls", "ssl2", "http", "ssh", "text", "other")

_SSH: Final = 0x5353482D  # "SSH-"
# Bytes of a hello that a place in the middle of a stream must show before it counts: header, message header, version,
# random, session id length.
_HELLO_PROOF: Final = 44


def is_draft(version: i64) -> bool:
    """True for the version numbers of TLS 1.3 drafts and of the experiments that were built on them."""
    high: i64 = version >> 8
    return high == 0x7F or version == 0xFB1A or version == 0x7E01 or version == 0x7E02


def is_tls13(version: i64) -> bool:
    """True for TLS 1.3 and its drafts: the handshake is encrypted after the ServerHello."""
    return version == TLS13 or is_draft(version)


def is_grease(value: i64) -> bool:
    """True for the sixteen reserved two-byte values 0x0a0a, 0x1a1a … 0xfafa (RFC 8701)."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def is_message_type(kind: i64) -> bool:
    """True for a handshake message type that may stand in clear in some version of TLS."""
    return (
        0 <= kind <= 2
        or kind == NEW_SESSION_TICKET
        or kind == DRAFT_HELLO_RETRY
        or 11 <= kind <= 16
        or 20 <= kind <= 23
        or kind == NEXT_PROTOCOL
    )


def is_inner_type(kind: i64) -> bool:
    """True for a handshake message type that TLS 1.3 sends under encryption only, besides those of :func:`is_message_type`."""
    return (
        kind == END_OF_EARLY_DATA
        or kind == ENCRYPTED_EXTENSIONS
        or kind == KEY_UPDATE
        or kind == COMPRESSED_CERTIFICATE
    )


def record_header(data: bytes, at: i64) -> bool:
    """True if the five bytes at ``at`` (the caller made sure that they exist) are a possible TLS record header."""
    kind: i64 = data[at]
    if kind < CHANGE_CIPHER_SPEC or kind > HEARTBEAT:
        return False
    major: i64 = data[at + 1]
    minor: i64 = data[at + 2]
    high: i64 = data[at + 3]
    low: i64 = data[at + 4]
    return major == 3 and minor <= 4 and (high << 8 | low) <= MAX_CIPHERTEXT


def record_chain(data: bytes, start: i64, end: i64) -> bool:
    """True if records follow one another from ``start``: one ends exactly at ``end``, or a second header stands behind it.

    How a stream is found again after a gap over a record border, and how TLS is recognised mid-stream.
    """
    o: i64 = start
    seen: i64 = 0
    while end - o >= 5:
        if not record_header(data, o):
            return False
        high: i64 = data[o + 3]
        low: i64 = data[o + 4]
        length: i64 = high << 8 | low
        if length == 0:
            return False  # lawful, but no evidence
        seen += 1
        o += 5 + length
        if o == end or (seen == 2 and o > end):
            return True
        if seen >= 3:
            return True
    return False


def hello_start(data: bytes, start: i64, end: i64, kind: i64, first: bool) -> i64:
    """Whether a TLS record with a ClientHello (``kind`` 1) or ServerHello (2) begins at ``start``.

    ``first``: the stream begins here, so that five or six fitting bytes are proof enough (records may hold one byte each);
    elsewhere the hello must show its version and session id length too, since any bytes may begin a segment there.
    """
    n: i64 = end - start
    if n < 1:
        return MORE
    b0: i64 = data[start]
    if b0 != HANDSHAKE:
        return NO
    b1: i64 = data[start + 1] if n > 1 else 3
    b2: i64 = data[start + 2] if n > 2 else 3
    b3: i64 = data[start + 3] if n > 3 else 0
    b4: i64 = data[start + 4] if n > 4 else 1
    if b1 != 3 or b2 > 4 or b3 > 0x40 or (b3 == 0 and b4 == 0):
        return NO
    if n < 6:
        return MORE
    b5: i64 = data[start + 5]
    if b5 != kind:
        return NO
    length: i64 = b3 << 8 | b4
    if length < _HELLO_PROOF - 5:
        return YES if first else NO
    if n < 11:
        return MORE
    size0: i64 = data[start + 6]
    version0: i64 = data[start + 9]
    if size0 > 3 or (version0 != 3 and not (version0 == 0x7F and kind == SERVER_HELLO)):
        return NO
    if first:
        return YES
    if n < _HELLO_PROOF:
        return MORE
    sid: i64 = data[start + 43]
    if version0 == 3 and sid > 32:
        return NO
    size1: i64 = data[start + 7]
    size2: i64 = data[start + 8]
    size: i64 = size0 << 16 | size1 << 8 | size2
    return YES if size >= 38 else NO


def ssl2_hello_start(data: bytes, start: i64, end: i64) -> i64:
    """Whether an SSL 2.0 format ClientHello begins at ``start`` (RFC 5246 section E.2). Its lengths must add up."""
    n: i64 = end - start
    if n < 3:
        return MORE if n < 1 or data[start] & 0x80 else NO
    b0: i64 = data[start]
    b1: i64 = data[start + 1]
    b2: i64 = data[start + 2]
    if b0 & 0x80 == 0 or b2 != CLIENT_HELLO:
        return NO
    if n < 11:
        return MORE
    major: i64 = data[start + 3]
    minor: i64 = data[start + 4]
    if not (major == 3 and minor <= 4) and not (major == 0 and minor == 2):
        return NO
    c0: i64 = data[start + 5]
    c1: i64 = data[start + 6]
    s0: i64 = data[start + 7]
    s1: i64 = data[start + 8]
    k0: i64 = data[start + 9]
    k1: i64 = data[start + 10]
    ciphers: i64 = c0 << 8 | c1
    challenge: i64 = k0 << 8 | k1
    body: i64 = (b0 & 0x7F) << 8 | b1
    if ciphers == 0 or ciphers % 3 != 0 or challenge < 16 or challenge > 32:
        return NO
    return YES if 9 + ciphers + (s0 << 8 | s1) + challenge == body else NO


def all_printable(octets: i64) -> bool:
    """Whether each of eight octets is one of ASCII's printable characters, from space to tilde."""
    high: i64 = octets >> 32 & 0xFFFFFFFF
    low: i64 = octets & 0xFFFFFFFF
    # Below 32 the difference borrows its octet's top bit, above 126 the sum sets it, above 127 it is set.
    high = ((high - 0x20202020) & ~high) | (high + 0x01010101) | high
    low = ((low - 0x20202020) & ~low) | (low + 0x01010101) | low
    return (high | low) & 0x80808080 == 0


def looks(data: bytes, start: i64, end: i64) -> i64:
    """What the first bytes of a direction look like: one of the LOOKS_ codes. Any length; none gives LOOKS_UNKNOWN."""
    n: i64 = end - start
    if n <= 0:
        return LOOKS_UNKNOWN
    if n >= 5 and record_header(data, start):
        return LOOKS_TLS
    if n >= 11 and ssl2_hello_start(data, start, end) == YES:
        return LOOKS_SSL2
    c: i64 = data[start]
    if 65 <= c <= 90 and n >= 4:  # A to Z
        head: i64 = u32(data, start)
        if head == _SSH:
            return LOOKS_SSH
        if head in (  # GET, POST, HEAD, PUT, HTTP, OPTIONS, CONNECT, DELETE, PATCH, TRACE, PRI, PROPFIND
            0x47455420, 0x504F5354, 0x48454144, 0x50555420, 0x48545450, 0x4F505449, 0x434F4E4E, 0x44454C45, 0x50415443,
            0x54524143, 0x50524920, 0x50524F50,
        ):  # fmt: skip
            return LOOKS_HTTP
    if n >= 16 and all_printable(read_i64_be(data, start)) and all_printable(read_i64_be(data, start + 8)):
        return LOOKS_TEXT
    stop: i64 = start + min(n, 16)
    i: i64 = start
    while i < stop:
        c = data[i]
        if (c < 32 and c != 9 and c != 10 and c != 13) or c > 126:
            return LOOKS_OTHER
        i += 1
    return LOOKS_TEXT
