"""Target of certificates: Certificate and CertificateStatus messages whose DER was changed, into the look at them with a trust store
and a revocation list, and now and then from end to end.

A sample holds the bodies of such messages, packed as the writes of :mod:`tests.fuzz.tls`; the number in front says which form.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from tcpscope.crypto.certificates import MAX_CERTIFICATES, entries
from tcpscope.crypto.examine import Connection, examine
from tcpscope.crypto.revocation import Lists
from tcpscope.crypto.trust import Store
from tcpscope.crypto.x509 import MAX_NAMES, read
from tcpscope.state.tls_log import FORM_TLS13, TlsBody, TlsLog
from tcpscope.wire.tls_hello import ClientHello
from tests import certificate_cases
from tests.certificates import intermediate, leaf, revocation_list, root, talk
from tests.fuzz import tls
from tests.fuzz.mutate import CHANGES
from tests.fuzz.whole import run_session
from tests.rule_cases import CLOSED, ended
from tests.tls_builder import message, track, u16, vector

CERTIFICATES, STAPLE = 0, 1
FORMS: Final = (11, 11, 11, 11, FORM_TLS13, 25)
VERSIONS: Final = (0x0304, 0x0303, 0x0301, 0)
SUITES: Final = (0xC02B, 0xC02F, 0x009C, 0x1301, -1)
TIMES: Final = (
    0,
    1_704_067_200,
    1_704_067_200,
    1_704_067_200,
    1_900_000_000,
)  # seconds; the middle ones when most are valid
MOST_WORDS: Final = 1000  # characters in what a sentence is made of
MAX_DEPTH: Final = 40

Node = tuple[int, "bytes | list[Node]"]
"""Tag and content of one element of DER."""


@cache
def samples() -> list[bytes]:
    """The chains and responses that the rules are tested with."""
    found = []
    for case in certificate_cases.CASES:
        for made in (case.bad(), case.good()):
            log = track(made).log
            kept = [(CERTIFICATES, one.body) for one in log.certificates]
            found.append(tls.pack([*kept, *((STAPLE, one.body) for one in log.statuses)]))
    return [*dict.fromkeys(found)]


# Mutants


def parsed(der: bytes, depth: int = 0) -> list[Node] | None:
    """The elements of DER, with what is in those that hold others; None if it is none."""
    nodes: list[Node] = []
    at = 0
    while at < len(der):
        if at + 2 > len(der):
            return None
        tag, size = der[at], der[at + 1]
        at += 2
        if size >= 0x80:
            width = size & 0x7F
            if not 1 <= width <= 3 or at + width > len(der):
                return None
            size = int.from_bytes(der[at : at + width], "big")
            at += width
        if at + size > len(der):
            return None
        content = der[at : at + size]
        at += size
        inner = parsed(content, depth + 1) if depth < MAX_DEPTH and (tag & 0x20 or tag == 4) and content else None
        nodes.append((tag, content if inner is None else inner))
    return nodes


def encoded(nodes: Sequence[Node]) -> bytes:
    """DER with the right lengths."""
    found = b""
    for tag, content in nodes:
        octets = content if isinstance(content, bytes) else encoded(content)
        size = len(octets)
        width = (size.bit_length() + 7) // 8
        length = bytes([size]) if size < 0x80 else bytes([0x80 | width]) + size.to_bytes(width, "big")
        found += bytes([tag]) + length + octets
    return found


def places(nodes: list[Node]) -> list[tuple[list[Node], int]]:
    """Every element as its list and the place in it."""
    found: list[tuple[list[Node], int]] = []
    for index, (_, content) in enumerate(nodes):
        found.append((nodes, index))
        if isinstance(content, list):
            found += places(content)
    return found


def size_of(nodes: Sequence[Node]) -> int:
    """About how many bytes :func:`encoded` gives."""
    return sum(2 + (len(content) if isinstance(content, bytes) else size_of(content)) for _, content in nodes)


def changed(der: bytes, random: Random, other: bytes) -> bytes:
    """Elements changed, left out, repeated or taken from elsewhere, in lengths that fit."""
    nodes = parsed(der)
    if not nodes:
        return random.choice(CHANGES)(der, random, [0])
    for _ in range(random.choice((1, 1, 2, 4))):
        where = places(nodes)
        if not where:
            break
        around, index = random.choice(where)
        tag, content = around[index]
        octets = content if isinstance(content, bytes) else encoded(content)
        match random.randrange(9):
            case 0:
                around[index] = (random.choice((tag ^ 0x20, tag ^ 1, random.randrange(256))), content)
            case 1 | 2 | 3:
                around[index] = (tag, random.choice(CHANGES)(octets, random, [0]))
            case 4:
                del around[index]
            case 5:
                around[index:index] = [around[index]] * random.choice((1, 2, 50))
            case 6:
                strange = places(parsed(other) or []) or [(around, index)]
                holder, place = random.choice(strange)
                around[index] = holder[place]
            case 7:
                deep: Node = (tag, content)
                for _ in range(random.choice((1, 10, 300))):
                    deep = (random.choice((0x30, 0x31, 0xA0)), encoded([deep]))
                around[index] = deep
            case _:
                around[index] = (tag, random.choice((b"", b"\0", b"\xff" * 200, random.randbytes(40), octets * 3)))
        if size_of(nodes) > tls.MAX_TALK:
            break
    made = encoded(nodes)
    return signed(made) if random.random() < 0.4 else made


def signed(der: bytes) -> bytes:
    """A certificate with a new signature by the intermediate, so that what is in it counts."""
    nodes, key = parsed(der), intermediate().key
    if not nodes or not isinstance(nodes[0][1], list) or len(nodes[0][1]) != 3:
        return der
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    nodes[0][1][2] = (3, b"\0" + key.sign(encoded(nodes[0][1][:1])))
    return encoded(nodes)


def ders(body: bytes) -> list[bytes]:
    """The certificates of a message of TLS 1.2."""
    return [entry.der for entry in entries(11, body)]


def listed(found: Sequence[bytes]) -> bytes:
    return vector(3, b"".join(vector(3, der[: tls.MAX_TALK]) for der in found))


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Other certificates, in another order, or messages whose own lengths lie."""
    writes = []
    strange = [der for side, body in tls.unpack(random.choice(others)) if side == CERTIFICATES for der in ders(body)]
    for side, body in tls.unpack(data):
        if side == STAPLE:
            inner = changed(body[4:], random, random.choice(strange or [b""])) if random.random() < 0.7 else body[4:]
            made = b"\1" + vector(3, inner[:60_000])
        else:
            chain = ders(body)
            for _ in range(random.choice((0, 1, 1, 2))):
                if chain:
                    index = random.randrange(len(chain))
                    chain[index] = changed(chain[index], random, random.choice(strange or chain))
            if random.random() < 0.2:
                chain += random.sample(strange, random.randrange(len(strange) + 1))
                random.shuffle(chain)
            made = listed(chain[:30])
        writes.append((side, random.choice(CHANGES)(made, random, [0]) if random.random() < 0.1 else made))
    return tls.pack(writes)[: tls.MAX_TALK]


# Runs


@cache
def trusted() -> tuple[Store, Lists]:
    """A store, and revocation lists of both authorities."""
    anchors = [read(one) for one in (root().der, certificate_cases.ORDINARY.der)]
    lists = [revocation_list(leaf()), revocation_list(intermediate(), issuer=root())]
    return Store([one for one in anchors if one is not None]), Lists([x509.load_pem_x509_crl(one) for one in lists])


def formed(body: bytes, form: int, random: Random) -> bytes:
    """The certificates of a message in another form."""
    if form == 11:
        return body
    parts = b"".join(
        vector(3, der) + vector(2, random.choice((b"", b"\0\5" + vector(2, body[:90])))) for der in ders(body)
    )
    whole = b"\0" + vector(3, parts)
    if form == FORM_TLS13:
        return whole
    packed = zlib.compress(whole[:60_000] if random.random() < 0.9 else bytes(1 << 22))
    return u16(1) + random.choice((len(whole), 1 << 18, 0)).to_bytes(3, "big") + vector(3, packed)


def run(data: bytes, random: Random) -> object:
    """Look at the certificates of both sides; what comes out is bounded and can be shown."""
    writes = tls.unpack(data)
    if random.random() < 0.1:
        bodies = [body for side, body in writes if side == CERTIFICATES]
        staples = [body[4:] for side, body in writes if side == STAPLE]
        made = talk(message(11, bodies[0][:60_000] if bodies else b""), staple=staples[0][:60_000] if staples else None)
        return run_session(ended(made, *CLOSED), random)
    log, form = TlsLog(), random.choice(FORMS)
    log.client_side = 0
    log.client_hello = ClientHello()
    log.client_hello.server_name = random.choice((b"example.org", b"192.0.2.1", b"", b"\xff\x1b[2J", b"a" * 3000))
    for side, body in writes:
        when = random.choice(TIMES) * 1_000_000_000
        if side == CERTIFICATES:
            log.certificates.append(TlsBody(formed(body, form, random), random.choice((0, 1, 1, 1)), 4, when, form))
        else:
            log.statuses.append(TlsBody(body, 1, 4, when, 22))
    store, lists = trusted() if random.random() < 0.8 else (None, None)
    found = examine(Connection(log, random.choice(VERSIONS), random.choice(SUITES), store, lists))
    assert len(found.certificates) <= MAX_CERTIFICATES * len(log.certificates)
    for one in found.certificates:
        assert len(one.sha256) == 64
        assert len(one.names) <= 2 * MAX_NAMES
        assert all(len(text) <= MOST_WORDS for text in (one.subject or "", one.issuer or "", one.trust_reason or ""))
    for trouble in found.troubles:
        assert all(len(word) <= MOST_WORDS for word in trouble.words.values()), trouble.code
    return found.certificates, [tuple(trouble) for trouble in found.troubles]
