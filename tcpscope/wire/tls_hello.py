"""ClientHello and ServerHello bodies into plain values (RFC 8446 sections 4.1.2 and 4.1.3; RFC 5246 section 7.4.1).

Lists keep their wire form, packed two-byte numbers in ``bytes``: small, and made by one slice. :func:`u16_list` unpacks them.
A parser never fails: ``defect`` says what was wrong, and the fields before that place are filled in.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.wire.tls import TLS12, TLS13, is_draft

# Extension types that are looked into (IANA "TLS ExtensionType Values").
EXT_SERVER_NAME: Final = 0
EXT_STATUS_REQUEST: Final = 5
EXT_GROUPS: Final = 10
EXT_POINTS: Final = 11
EXT_SIGNATURES: Final = 13
EXT_ALPN: Final = 16
EXT_STATUS_REQUEST_V2: Final = 17
EXT_ENCRYPT_THEN_MAC: Final = 22
EXT_MASTER_SECRET: Final = 23
EXT_CERT_WITH_PSK: Final = 33
EXT_TICKET: Final = 35
EXT_PSK: Final = 41
EXT_EARLY_DATA: Final = 42
EXT_VERSIONS: Final = 43
EXT_COOKIE: Final = 44
EXT_PSK_MODES: Final = 45
EXT_KEY_SHARE: Final = 51
EXT_NEXT_PROTOCOL: Final = 13172
EXT_ECH: Final = 0xFE0D
EXT_RENEGOTIATION: Final = 0xFF01

DEFECT_NONE: Final = 0
DEFECT_CUT: Final = 1  # the capture lacks the rest of the message
DEFECT_LENGTH: Final = 2  # an inner length leads beyond the message
DEFECT_TRAILING: Final = 3  # bytes behind the last field
DEFECT_TOO_MANY: Final = 4  # more than MAX_EXTENSIONS

MAX_EXTENSIONS: Final = 255

RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


class Extensions:
    """The extension block of a hello: types in order, packed, and the bodies that are looked into."""

    def __init__(self) -> None:
        self.types: bytes = b""
        self.count: i64 = 0
        self.duplicate: i64 = -1  # first type that stands there twice
        self.defect: i64 = DEFECT_NONE
        self.names: bytes = b""  # bodies
        self.groups: bytes = b""
        self.points: bytes = b""
        self.signatures: bytes = b""
        self.alpn: bytes = b""
        self.versions: bytes = b""
        self.key_share: bytes = b""
        self.psk_modes: bytes = b""
        self.psk: bytes = b""
        self.cookie: bytes = b""
        self.ticket: i64 = 0  # length of the session ticket

    def has(self, kind: i64) -> bool:
        """True if an extension of type ``kind`` is there."""
        return u16_has(self.types, kind)


class ClientHello:
    """One ClientHello. Numbers are as on the wire; GREASE values are kept."""

    def __init__(self) -> None:
        self.version: i64 = 0  # legacy_version
        self.random: bytes = b""
        self.session_id: bytes = b""
        self.ciphers: bytes = b""
        self.compressions: bytes = b""
        self.extensions: bytes = b""
        self.server_name: bytes = b""
        self.alpn: bytes = b""  # ProtocolNameList without its length
        self.groups: bytes = b""
        self.points: bytes = b""
        self.signatures: bytes = b""
        self.versions: bytes = b""
        self.key_shares: bytes = b""  # the groups of the shares
        self.psk_modes: bytes = b""
        self.cookie: bytes = b""
        self.ticket: i64 = 0  # length of the session ticket of TLS 1.2 and older (RFC 5077)
        self.duplicate: i64 = -1
        self.size: i64 = 0  # bytes of the message body
        self.defect: i64 = DEFECT_NONE
        self.ssl2: bool = False  # in SSL 2.0 format
        self.frame: i64 = 0  # that completes it

    def has(self, kind: i64) -> bool:
        """True if extension type ``kind`` is offered."""
        return u16_has(self.extensions, kind)


class ServerHello:
    """One ServerHello or HelloRetryRequest."""

    def __init__(self) -> None:
        self.version: i64 = 0  # legacy_version
        self.random: bytes = b""
        self.session_id: bytes = b""
        self.cipher: i64 = -1
        self.compression: i64 = 0
        self.extensions: bytes = b""
        self.selected: i64 = 0  # supported_versions if there, else legacy_version; 0 if the capture lacks what tells
        self.alpn: bytes = b""
        self.group: i64 = -1  # of the key share
        self.cookie: bytes = b""
        self.retry: bool = False
        self.no_session_id: bool = False  # layout of the drafts up to 21
        self.duplicate: i64 = -1
        self.size: i64 = 0
        self.defect: i64 = DEFECT_NONE
        self.frame: i64 = 0

    def has(self, kind: i64) -> bool:
        """True if extension type ``kind`` is there."""
        return u16_has(self.extensions, kind)


def u16(data: bytes, at: i64) -> i64:
    """The two-byte number at ``at``; the caller made sure that both bytes exist."""
    high: i64 = data[at]
    low: i64 = data[at + 1]
    return high << 8 | low


def u16_list(packed: bytes) -> list[int]:
    """Two-byte numbers of a packed list; an odd last byte is left out."""
    numbers: list[int] = []
    i: i64 = 0
    n: i64 = len(packed)
    while i + 1 < n:
        numbers.append(u16(packed, i))
        i += 2
    return numbers


def u16_has(packed: bytes, value: i64) -> bool:
    """True if ``value`` stands in a packed list."""
    i: i64 = 0
    n: i64 = len(packed)
    while i + 1 < n:
        if u16(packed, i) == value:
            return True
        i += 2
    return False


def vector8(body: bytes) -> bytes:
    """Content of a vector with a one-byte length at the start of ``body``; empty where the length lies."""
    n: i64 = len(body)
    if n < 1:
        return b""
    size: i64 = body[0]
    return body[1 : 1 + size] if 1 + size <= n else b""


def vector16(body: bytes) -> bytes:
    """Content of a vector with a two-byte length at the start of ``body``; empty where the length lies."""
    n: i64 = len(body)
    if n < 2:
        return b""
    size: i64 = u16(body, 0)
    return body[2 : 2 + size] if 2 + size <= n else b""


def server_name(body: bytes) -> bytes:
    """First host name of a server_name extension of a ClientHello (RFC 6066 section 3); empty if there is none."""
    names: bytes = vector16(body)
    n: i64 = len(names)
    o: i64 = 0
    while o + 3 <= n:
        kind: i64 = names[o]
        size: i64 = u16(names, o + 1)
        if o + 3 + size > n:
            return b""
        if kind == 0:
            return names[o + 3 : o + 3 + size]
        o += 3 + size
    return b""


def alpn_first(names: bytes) -> bytes:
    """First protocol of a ProtocolNameList without its length (RFC 7301 section 3.1)."""
    return vector8(names)


def alpn_list(names: bytes) -> list[bytes]:
    """All protocols of a ProtocolNameList without its length."""
    found: list[bytes] = []
    n: i64 = len(names)
    o: i64 = 0
    while o < n:
        size: i64 = names[o]
        if o + 1 + size > n:
            break
        found.append(names[o + 1 : o + 1 + size])
        o += 1 + size
    return found


def share_groups(shares: bytes) -> bytes:
    """Groups of a KeyShareClientHello without its length, packed (RFC 8446 section 4.2.8)."""
    groups: list[bytes] = []
    n: i64 = len(shares)
    o: i64 = 0
    while o + 4 <= n and len(groups) < MAX_EXTENSIONS:
        groups.append(shares[o : o + 2])
        o += 4 + u16(shares, o + 2)
    return b"".join(groups)


def parse_extensions(data: bytes, at: i64, end: i64, block: Extensions) -> None:
    """Fill ``block`` from the extension block that begins with its two-byte length at ``at``; ``end`` bounds the message.

    No bytes at all is lawful: hellos before extensions end there (RFC 8446 section 4.1.2).
    """
    if at == end:
        return
    if at + 2 > end:
        block.defect = DEFECT_LENGTH
        return
    o: i64 = at + 2
    stop: i64 = o + u16(data, at)
    if stop > end:
        block.defect = DEFECT_LENGTH
        stop = end
    elif stop < end:
        block.defect = DEFECT_TRAILING
    types: list[bytes] = []
    seen: set[int] = set()
    while o < stop:
        if o + 4 > stop:
            block.defect = DEFECT_LENGTH
            break
        kind: i64 = u16(data, o)
        size: i64 = u16(data, o + 2)
        if len(types) >= MAX_EXTENSIONS:
            block.defect = DEFECT_TOO_MANY
            break
        types.append(data[o : o + 2])
        if kind in seen:
            if block.duplicate < 0:
                block.duplicate = kind
        else:
            seen.add(kind)
            if o + 4 + size <= stop:
                _keep(block, kind, data, o + 4, o + 4 + size)
        o += 4 + size
        if o > stop:
            block.defect = DEFECT_LENGTH
    block.types = b"".join(types)
    block.count = len(types)


def _keep(block: Extensions, kind: i64, data: bytes, start: i64, end: i64) -> None:
    """Keep the body of an extension that is looked into."""
    if kind == EXT_SERVER_NAME:
        block.names = data[start:end]
    elif kind == EXT_GROUPS:
        block.groups = data[start:end]
    elif kind == EXT_POINTS:
        block.points = data[start:end]
    elif kind == EXT_SIGNATURES:
        block.signatures = data[start:end]
    elif kind == EXT_ALPN:
        block.alpn = data[start:end]
    elif kind == EXT_VERSIONS:
        block.versions = data[start:end]
    elif kind == EXT_KEY_SHARE:
        block.key_share = data[start:end]
    elif kind == EXT_PSK_MODES:
        block.psk_modes = data[start:end]
    elif kind == EXT_PSK:
        block.psk = data[start : start + 2]
    elif kind == EXT_COOKIE:
        block.cookie = data[start:end]
    elif kind == EXT_TICKET:
        block.ticket = end - start


def parse_client_hello(data: bytes, start: i64, end: i64, cut: bool) -> ClientHello:
    """The ClientHello whose body is ``data[start:end]``; ``cut`` if the capture lacks its end."""
    hello = ClientHello()
    hello.size = end - start
    short: i64 = DEFECT_CUT if cut else DEFECT_LENGTH
    hello.defect = short
    if end - start < 35:
        return hello
    hello.version = u16(data, start)
    hello.random = data[start + 2 : start + 34]
    o: i64 = start + 34
    size: i64 = data[o]
    if size > 32 or o + 1 + size + 2 > end:
        return hello
    hello.session_id = data[o + 1 : o + 1 + size]
    o += 1 + size
    size = u16(data, o)
    if o + 2 + size + 1 > end:
        return hello
    hello.ciphers = data[o + 2 : o + 2 + size]
    odd: bool = size & 1 == 1 or size == 0
    o += 2 + size
    size = data[o]
    if o + 1 + size > end:
        return hello
    hello.compressions = data[o + 1 : o + 1 + size]
    block = Extensions()
    parse_extensions(data, o + 1 + size, end, block)
    _client_extensions(hello, block)
    hello.defect = block.defect
    if cut:
        hello.defect = DEFECT_CUT
    elif odd:
        hello.defect = DEFECT_LENGTH
    return hello


def _client_extensions(hello: ClientHello, block: Extensions) -> None:
    """Move what the block holds into the hello, out of its vectors."""
    hello.extensions = block.types
    hello.duplicate = block.duplicate
    hello.server_name = server_name(block.names)
    hello.alpn = vector16(block.alpn)
    hello.groups = vector16(block.groups)
    hello.points = vector8(block.points)
    hello.signatures = vector16(block.signatures)
    hello.versions = vector8(block.versions)
    hello.key_shares = share_groups(vector16(block.key_share))
    hello.psk_modes = vector8(block.psk_modes)
    hello.cookie = vector16(block.cookie)
    hello.ticket = block.ticket


def parse_ssl2_hello(data: bytes, start: i64, end: i64) -> ClientHello:
    """The SSL 2.0 format ClientHello ``data[start:end]``, whose lengths :func:`~tcpscope.wire.tls.ssl2_hello_start` checked.

    Cipher specs are three bytes; those that begin with zero are cipher suites of SSL 3.0 and later (RFC 5246 section E.2).
    """
    hello = ClientHello()
    hello.ssl2 = True
    hello.size = end - start
    hello.version = u16(data, start + 3)
    ciphers: i64 = u16(data, start + 5)
    sid: i64 = u16(data, start + 7)
    o: i64 = start + 11
    stop: i64 = o + ciphers
    if stop > end:
        hello.defect = DEFECT_LENGTH
        return hello
    found: list[bytes] = []
    while o + 3 <= stop:
        if data[o] == 0:
            found.append(data[o + 1 : o + 3])
        o += 3
    hello.ciphers = b"".join(found)
    hello.session_id = data[stop : stop + sid]
    # The challenge is the random, right-aligned in 32 bytes.
    hello.random = data[stop + sid : end].rjust(32, b"\0")
    hello.compressions = b"\0"
    return hello


def parse_server_hello(data: bytes, start: i64, end: i64, cut: bool) -> ServerHello:
    """The ServerHello or HelloRetryRequest whose body is ``data[start:end]``; ``cut`` if the capture lacks its end."""
    hello = ServerHello()
    hello.size = end - start
    hello.defect = DEFECT_CUT if cut else DEFECT_LENGTH
    if end - start < 36:
        return hello
    hello.version = u16(data, start)
    hello.random = data[start + 2 : start + 34]
    hello.retry = hello.random == RETRY_RANDOM
    o: i64 = start + 34
    if is_draft(hello.version):
        hello.no_session_id = True
        hello.cipher = u16(data, o)
        hello.selected = hello.version
        o += 2
    else:
        size: i64 = data[o]
        if size > 32 or o + 1 + size + 3 > end:
            return hello
        hello.session_id = data[o + 1 : o + 1 + size]
        o += 1 + size
        hello.cipher = u16(data, o)
        hello.compression = data[o + 2]
        hello.selected = hello.version
        o += 3
    block = Extensions()
    parse_extensions(data, o, end, block)
    _server_extensions(hello, block)
    hello.defect = DEFECT_CUT if cut else block.defect
    if cut and hello.selected == TLS12 and (hello.retry or hello.cipher >> 8 == 0x13):
        hello.selected = TLS13  # the extension that says so is missing, but no other version has these suites
    return hello


def parse_draft_retry(data: bytes, start: i64, end: i64) -> ServerHello:
    """The HelloRetryRequest of TLS 1.3 drafts up to 21: version, from draft 19 on a cipher suite, extensions."""
    hello = ServerHello()
    hello.size = end - start
    hello.retry = True
    hello.no_session_id = True
    hello.defect = DEFECT_LENGTH
    if end - start < 4:
        return hello
    hello.version = u16(data, start)
    hello.selected = hello.version
    o: i64 = start + 2
    # Without a cipher suite the next field is the length of all that follows.
    if o + 2 + u16(data, o) != end:
        hello.cipher = u16(data, o)
        o += 2
    block = Extensions()
    parse_extensions(data, o, end, block)
    _server_extensions(hello, block)
    hello.defect = block.defect
    return hello


def _server_extensions(hello: ServerHello, block: Extensions) -> None:
    """Move what the block holds into the hello. A retry names only the group of the share (RFC 8446 section 4.2.8)."""
    hello.extensions = block.types
    hello.duplicate = block.duplicate
    if len(block.versions) == 2:
        hello.selected = u16(block.versions, 0)
    if len(block.key_share) >= 2:
        hello.group = u16(block.key_share, 0)
    hello.alpn = alpn_first(vector16(block.alpn))
    hello.cookie = vector16(block.cookie)
