"""The certificates of one connection: what each says, how the chain hangs together, and what is wrong at the time of the capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpscope.crypto import certificates as c
from tcpscope.crypto.certificates import CertificateReport, Examined, Trouble, entries, ocsp_response
from tcpscope.crypto.names import matches
from tcpscope.crypto.revocation import REVOKED, Status, stapled
from tcpscope.crypto.trust import Verdict, not_an_issuer
from tcpscope.crypto.x509 import Certificate, is_proxy, issued_by, read, short, signed_by
from tcpscope.wire.ciphers import cipher_name, key_exchange
from tcpscope.wire.tls import FINISHED, SERVER_HELLO_DONE, is_tls13
from tcpscope.wire.tls_hello import EXT_ECH, EXT_STATUS_REQUEST

if TYPE_CHECKING:
    from tcpscope.crypto.revocation import Lists
    from tcpscope.crypto.trust import Store
    from tcpscope.state.tls_log import TlsBody, TlsLog

SECOND_NS: Final = 1_000_000_000
EARLIEST_NS: Final = 978_307_200 * SECOND_NS  # 2001: clocks before were never set
FIVE_YEARS_NS: Final = 5 * 365 * 86_400 * SECOND_NS
SHA1_DEPRECATED_NS: Final = 1_451_606_400 * SECOND_NS  # 2016: since then no public authority signs with SHA-1

WEAK_RSA: Final = 2048  # bits; RFC 9325 section 4.5
WEAK_EC: Final = 224

SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
ANY_PURPOSE: Final = "2.5.29.37.0"

CERTIFICATE_TYPE: Final = 20  # server_certificate_type: what is sent may be a bare key (RFC 7250)

_KINDS: Final = {"RSA": ("RSA",), "ECDSA": ("EC", "Ed25519", "Ed448"), "DSS": ("DSA",)}


class Chain(NamedTuple):
    """One Certificate message. ``time_ns``: when it was captured, None if the clock was wrong; ``name``: that was asked for."""

    sent: TlsBody
    server: bool
    found: tuple[Certificate | None, ...]
    time_ns: int | None
    name: str | None
    staple: bytes

    @property
    def known(self) -> list[Certificate]:
        """Those that can be read."""
        return [one for one in self.found if one is not None]

    def trouble(self, code: int, position: int, *, serious: bool = True, **words: str) -> Trouble:
        """Something that is wrong with one of the chain."""
        one = self.found[position]
        place = "its certificate" if position == 0 else f"certificate {position} of its chain,"
        which = f"{place} {one.label}" if one else place.rstrip(",")
        about = {"which": which, "issuer": one.issuer_label if one else "", **words}
        sent = self.sent
        return Trouble(code, sent.side, sent.frame, sent.time_ns, about, serious)


class Connection(NamedTuple):
    """What is known of the connection besides its certificates."""

    log: TlsLog
    version: int
    cipher: int
    store: Store | None
    lists: Lists | None


def examine(about: Connection) -> Examined:
    """Look at all certificates of a connection."""
    reports: list[CertificateReport] = []
    troubles: list[Trouble] = []
    for chain in _chains(about):
        trust, revoked = _trust(chain, about), _revocation(chain, about)
        reports += _reports(chain, trust, revoked)
        if not _bare_key(about):
            for check in (_decoding, _dates, _names, _structure, _strength, _usage):
                troubles += check(chain, about)
            troubles += _standing(chain, about, trust, revoked)
    return Examined(tuple(reports), tuple(troubles))


def _chains(about: Connection) -> Iterator[Chain]:
    log = about.log
    staples = iter(log.statuses)
    for sent in log.certificates:
        listed = entries(sent.form, sent.body)
        server = sent.side != log.client_side
        staple = listed[0].status if listed else b""
        if server and not staple and not is_tls13(about.version):
            status = next(staples, None)
            staple = b"" if status is None else ocsp_response(status.body)
        found = tuple(read(entry.der) for entry in listed)
        yield Chain(sent, server, found, _plausible(sent.time_ns, found), _name(about) if server else None, staple)


def _plausible(time_ns: int, found: Sequence[Certificate | None]) -> int | None:
    """The time of the capture, or None if it cannot be right: no certificate is used years before it was made."""
    leaf = found[0] if found else None
    if time_ns < EARLIEST_NS or (leaf is not None and leaf.not_before - time_ns > FIVE_YEARS_NS):
        return None
    return time_ns


def _name(about: Connection) -> str | None:
    """The name that the client asked for. With an encrypted ClientHello the readable one is another (RFC 9849)."""
    hello = about.log.client_hello
    if hello is None or not hello.server_name or (hello.has(EXT_ECH) and is_tls13(about.version)):
        return None
    try:
        return hello.server_name.decode("ascii")
    except UnicodeDecodeError:
        return None


def _bare_key(about: Connection) -> bool:
    """Whether the sides agreed on another form than X.509."""
    answer, block = about.log.server_hello, about.log.encrypted_extensions
    return (answer is not None and answer.has(CERTIFICATE_TYPE)) or (block is not None and block.has(CERTIFICATE_TYPE))


def _decoding(chain: Chain, about: Connection) -> Iterator[Trouble]:
    for position, one in enumerate(chain.found):
        if one is None:
            yield chain.trouble(c.UNDECODABLE, position, what="cannot be read as X.509")
        elif not one.sound:
            what = "has an extension that cannot be read: what it is for is not judged"
            yield chain.trouble(c.UNDECODABLE, position, serious=False, what=what)
        elif not one.usable and one.key != "unknown":
            what = f"has a key that is too large for signatures to be checked with it ({one.key_text})"
            yield chain.trouble(c.UNDECODABLE, position, serious=False, what=what)


def _dates(chain: Chain, about: Connection) -> Iterator[Trouble]:
    """Validity (RFC 5280 section 4.1.2.5). A root that was sent along is trusted for itself, not for its dates."""
    if chain.time_ns is None:
        return
    for position, one in enumerate(chain.found):
        if one is None or (position > 0 and one.self_issued):
            continue
        # What stands behind the issuer of the first one may be a way to a root that the client does not go.
        serious = position == 0 or (position == 1 and _needed(chain, one))
        if chain.time_ns > one.not_after:
            ago = _days(chain.time_ns - one.not_after)
            yield chain.trouble(c.EXPIRED, position, serious=serious, until=_day(one.not_after), ago=ago)
        elif chain.time_ns < one.not_before:
            ahead = _days(one.not_before - chain.time_ns)
            yield chain.trouble(c.NOT_YET_VALID, position, serious=serious, since=_day(one.not_before), ahead=ahead)


def _needed(chain: Chain, one: Certificate) -> bool:
    """Whether the leaf, or what is between, names this certificate as its issuer and no other one could stand in."""
    return not any(
        other is not one and other.subject == one.subject and other.not_after > (chain.time_ns or 0)
        for other in chain.known
    )


def _names(chain: Chain, about: Connection) -> Iterator[Trouble]:
    if _name_verdict(chain) is not False:
        return
    leaf = chain.found[0]
    assert leaf is not None, "there is a verdict"
    names = [*(leaf.dns_names or ()), *leaf.addresses]
    shown = ", ".join(map(short, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    has = f"is for {shown}" if names else "has no subjectAltName, and its common name does not count"
    yield chain.trouble(c.NAME_MISMATCH, 0, name=short(chain.name or ""), has=has)


def _name_verdict(chain: Chain) -> bool | None:
    leaf = chain.found[0] if chain.found else None
    if leaf is None or chain.name is None or not leaf.sound:
        return None
    return matches(chain.name, leaf.dns_names or (), leaf.addresses)


def _structure(chain: Chain, about: Connection) -> Iterator[Trouble]:
    """How the chain hangs together (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2; RFC 5280 section 6.1.3)."""
    leaf = chain.found[0] if chain.found else None
    if leaf is None:
        return
    if leaf.self_issued:
        if signed_by(leaf, leaf) and not (about.store is not None and about.store.holds(leaf)):
            yield chain.trouble(c.SELF_SIGNED, 0)
    elif not _has_issuer(leaf, chain, about):
        yield chain.trouble(c.CHAIN_INCOMPLETE, 0)
    for position, (one, following) in enumerate(zip(chain.found, chain.found[1:], strict=False)):
        if one is None or following is None:
            continue
        if not issued_by(one, following):
            relaxed = is_tls13(about.version)
            yield chain.trouble(
                c.CHAIN_ORDER, position + 1, serious=not relaxed, before=one.label, wanted=one.issuer_label
            )
            break
        if signed_by(one, following) is False:
            yield chain.trouble(c.SIGNATURE_WRONG, position, by=following.label)
        reason = not_an_issuer(following)
        if reason and not is_proxy(one, following):
            yield chain.trouble(c.NOT_AN_AUTHORITY, position + 1, reason=reason, below=one.label)


def _has_issuer(leaf: Certificate, chain: Chain, about: Connection) -> bool:
    """Whether the issuer of the first certificate is there, or may be among those that cannot be read."""
    if len(chain.known) < len(chain.found) or any(issued_by(leaf, one) for one in chain.known[1:]):
        return True
    return about.store is not None and bool(about.store.issuers(leaf))


def _strength(chain: Chain, about: Connection) -> Iterator[Trouble]:
    for position, one in enumerate(chain.found):
        if one is None:
            continue
        weak_rsa = one.key == "RSA" and one.bits < WEAK_RSA
        if weak_rsa or (one.key == "EC" and one.bits < WEAK_EC) or one.key == "DSA":
            # A root that is sent along is trusted, or not, by itself.
            yield chain.trouble(c.KEY_WEAK, position, serious=position == 0 or not one.self_issued, key=one.key_text)
        if one.hash in ("md5", "sha1", "md2", "md4") and not one.self_issued:
            serious = one.hash != "sha1" or one.not_before >= SHA1_DEPRECATED_NS
            algorithm = {"sha1": "SHA-1"}.get(one.hash, one.hash.upper())
            yield chain.trouble(c.SIGNATURE_WEAK, position, serious=serious, algorithm=algorithm)


def _usage(chain: Chain, about: Connection) -> Iterator[Trouble]:
    """What the first certificate may be used for (RFC 5280 sections 4.2.1.3 and 4.2.1.12), and whether it fits the suite."""
    leaf = chain.found[0] if chain.found else None
    if leaf is None:
        return
    wanted, role = (SERVER_AUTH, "servers") if chain.server else (CLIENT_AUTH, "clients")
    if leaf.purposes is not None and not leaf.purposes & {wanted, ANY_PURPOSE}:
        yield chain.trouble(c.USAGE_MISMATCH, 0, what=f"for {role} of TLS (extendedKeyUsage)")
    exchange = key_exchange(about.cipher)
    usage = leaf.key_usage
    if usage is not None and exchange in ("RSA", "RSA_PSK") and chain.server:
        if not usage.key_encipherment:
            yield chain.trouble(c.USAGE_MISMATCH, 0, what="for a key exchange by RSA (keyUsage)")
    elif usage is not None and not usage.digital_signature and ("DHE" in exchange or is_tls13(about.version)):
        yield chain.trouble(c.USAGE_MISMATCH, 0, what="for signatures, which the handshake needs (keyUsage)")
    kinds = _KINDS.get(exchange.rpartition("_")[2]) if chain.server else None
    if kinds is not None and leaf.key not in kinds and leaf.key != "unknown":
        yield chain.trouble(c.KEY_TYPE, 0, key=leaf.key_text, suite=cipher_name(about.cipher))


def _trust(chain: Chain, about: Connection) -> Verdict | None:
    leaf = chain.found[0] if chain.found else None
    if about.store is None or leaf is None:
        return None
    name = chain.name or (leaf.dns_names[0] if leaf.dns_names and chain.server else None)
    return about.store.path(leaf, chain.known[1:], chain.time_ns, name)


def _revocation(chain: Chain, about: Connection) -> tuple[Status, str] | None:
    """What is known of the revocation of the first certificate, and from where. None: there is no source."""
    leaf = chain.found[0] if chain.found else None
    if leaf is None:
        return None
    issuers = [one for one in chain.known[1:] if issued_by(leaf, one)]
    issuers += [] if about.store is None else about.store.issuers(leaf)
    issuer = next((one for one in issuers if signed_by(leaf, one)), None)
    said = (stapled(chain.staple, leaf, issuer, chain.time_ns), "ocsp") if chain.staple else None
    if about.lists is not None and (said is None or said[0].status != REVOKED):
        listed = about.lists.status(leaf, issuers, chain.time_ns)
        if listed.status == REVOKED or said is None:
            return listed, "crl"
    return said


def _standing(
    chain: Chain, about: Connection, trust: Verdict | None, revoked: tuple[Status, str] | None
) -> Iterator[Trouble]:
    """Trust and revocation."""
    if trust is not None and trust.trusted is False:
        yield chain.trouble(c.UNTRUSTED, 0, reason=trust.reason)
    if revoked is not None:
        status, source = revoked
        if status.status == REVOKED:
            named = "the OCSP response that it came with" if source == "ocsp" else "the revocation list"
            proved = "" if status.proved else ", whose signature cannot be checked"
            yield chain.trouble(c.REVOKED, 0, source=named + proved, since=status.since)
        elif source == "ocsp" and status.problem:
            yield chain.trouble(c.STAPLE_UNUSABLE, 0, problem=status.problem)
    leaf = chain.found[0] if chain.found else None
    if leaf is not None and leaf.must_staple and chain.server and not chain.staple and _staple_due(chain, about):
        yield chain.trouble(c.STAPLE_MISSING, 0)


def _staple_due(chain: Chain, about: Connection) -> bool:
    """Whether the client asked for a status and the capture has the server's whole flight."""
    hello = about.log.client_hello
    last = FINISHED if is_tls13(about.version) else SERVER_HELLO_DONE
    whole = any(event.code == last and event.side == chain.sent.side and event.clean for event in about.log.events)
    return hello is not None and hello.has(EXT_STATUS_REQUEST) and whole and about.log.not_kept == 0


def _reports(chain: Chain, trust: Verdict | None, revoked: tuple[Status, str] | None) -> Iterator[CertificateReport]:
    side = "server" if chain.server else "client"
    for position, (entry, one) in enumerate(zip(entries(chain.sent.form, chain.sent.body), chain.found, strict=True)):
        if one is None:
            from hashlib import sha256  # noqa: PLC0415 (heavy: OpenSSL)

            yield CertificateReport(int(chain.sent.frame), side, position, sha256(entry.der).hexdigest())
            continue
        following = chain.found[position + 1] if position + 1 < len(chain.found) else None
        first = position == 0
        status = revoked if first else None
        yield CertificateReport(
            frame=int(chain.sent.frame),
            side=side,
            position=position,
            sha256=one.sha256,
            subject=one.subject,
            issuer=one.issuer,
            serial=f"{one.serial:x}",
            not_before=_moment(one.not_before),
            not_after=_moment(one.not_after),
            names=(*(one.dns_names or ()), *one.addresses),
            key=one.key_text,
            signature=one.signature,
            validity=_validity(one, chain.time_ns),
            matches_name=_name_verdict(chain) if first else None,
            self_signed=signed_by(one, one) if one.self_issued else False,
            signed_by_next=None if following is None else issued_by(one, following) and signed_by(one, following),
            trust=_trust_word(trust) if first else None,
            trust_reason=(trust.reason or None) if first and trust is not None else None,
            revocation=None if status is None else status[0].status,
            revocation_source=None if status is None or status[0].status is None else status[1],
        )


def _validity(one: Certificate, time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    if time_ns > one.not_after:
        return "expired"
    return "not-yet-valid" if time_ns < one.not_before else "valid"


def _trust_word(trust: Verdict | None) -> str | None:
    if trust is None or trust.trusted is None:
        return None
    return "trusted" if trust.trusted else "untrusted"


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(time_ns: int) -> str:
    return _moment(time_ns)[:10]


def _days(span_ns: int) -> str:
    days = span_ns // (86_400 * SECOND_NS)
    return "less than a day" if days < 1 else "1 day" if days == 1 else f"{days:,} days"
