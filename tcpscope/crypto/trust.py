"""Trust: certificates that the user takes for granted, and whether a chain leads to one of them (RFC 5280 section 6)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from tcpscope.crypto.x509 import Certificate, issued_by, read, signed_by
from tcpscope.errors import SourceError

MAX_STEPS: Final = 200
"""Certificates that are looked at on the way to an anchor: chains may be cross-signed, hostile ones endlessly so."""

MAX_DEPTH: Final = 10

PEM: Final = b"-----BEGIN "


class Verdict(NamedTuple):
    """What came of a search. ``trusted`` is None if it cannot be told; ``reason``: why not True; ``anchor``: where it ended."""

    trusted: bool | None
    reason: str
    anchor: Certificate | None = None


class Store:
    """Trust anchors."""

    def __init__(self, anchors: Iterable[Certificate]) -> None:
        self.anchors = tuple(anchors)
        self._by_subject: dict[bytes, list[Certificate]] = {}
        for anchor in self.anchors:
            self._by_subject.setdefault(anchor.parsed.subject.public_bytes(), []).append(anchor)
        self._ders = {anchor.der for anchor in self.anchors}

    def holds(self, certificate: Certificate) -> bool:
        """Whether a certificate is itself an anchor."""
        return certificate.der in self._ders

    def issuers(self, certificate: Certificate) -> list[Certificate]:
        """The anchors that a certificate names as its issuer."""
        return self._by_subject.get(certificate.parsed.issuer.public_bytes(), [])

    @cached_property
    def _verifying(self) -> verification.Store:
        return verification.Store([anchor.parsed for anchor in self.anchors])

    def path(self, leaf: Certificate, others: Sequence[Certificate], time_ns: int | None, name: str | None) -> Verdict:
        """Look for a path from ``leaf`` over ``others`` to an anchor. ``time_ns``: when it must be valid, None unknown.

        ``name``: of the server, for constraints on names; None for a client.
        """
        search = _Search(self, others, time_ns)
        found = search.run(leaf)
        if found is None:
            return Verdict(False, search.reason)
        if time_ns is None:
            return Verdict(None, "the capture's clock is not plausible")
        if any(one.constrained for one in (leaf, *found)):
            reason = self._strict(leaf, others, time_ns, name)
            if reason:
                return Verdict(None if name is None else False, reason)
        return Verdict(True, "", found[-1] if found else leaf)

    def _strict(self, leaf: Certificate, others: Sequence[Certificate], time_ns: int, name: str | None) -> str:
        """Validation by ``cryptography``, which knows name constraints; why it refuses, or ""."""
        if name is None:
            return "its issuer is constrained to some names, which is not checked for clients"
        if not all(one.usable for one in (leaf, *others)):
            return "one of its chain has a key that is too large to be used"
        moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
        try:
            subject = x509.DNSName(name)
            builder = verification.PolicyBuilder().store(self._verifying).time(moment)
            builder.build_server_verifier(subject).verify(leaf.parsed, [one.parsed for one in others])
        except Exception as error:
            return " ".join(str(error).split())[:200] or type(error).__name__
        return ""


class _Search:
    """One search, depth first. ``reason`` says what stood in the way that came nearest."""

    def __init__(self, store: Store, others: Sequence[Certificate], time_ns: int | None) -> None:
        self._store = store
        self._others = others
        self._time_ns = time_ns
        self._steps = 0
        self.reason = ""

    def run(self, leaf: Certificate) -> list[Certificate] | None:
        """The certificates above the leaf up to the anchor; None without a path."""
        if leaf.not_understood:
            self.reason = f"it has a critical extension that is not known ({leaf.not_understood[0]})"
            return None
        if self._store.holds(leaf):
            return []
        wrong = self._untimely(leaf)
        if wrong:
            self.reason = wrong
            return None
        return self._above(leaf, [leaf])

    def _above(self, child: Certificate, path: list[Certificate]) -> list[Certificate] | None:
        self._steps += 1
        if self._steps > MAX_STEPS or len(path) > MAX_DEPTH:
            self._note("the chain is too long")
            return None
        for anchor in self._store.issuers(child):
            if signed_by(child, anchor) and not self._unfit(anchor, path):
                return [anchor]
        for parent in self._others:
            if parent in path or not issued_by(child, parent) or not signed_by(child, parent):
                continue
            wrong = self._unfit(parent, path)
            if wrong:
                self._note(wrong)
                continue
            above = self._above(parent, [*path, parent])
            if above is not None:
                return [parent, *above]
        if child.self_issued:
            self._note(f"its root, {child.label}, is not among the trusted certificates")
        else:
            self._note(f"the certificate of {child.issuer_label} is neither sent nor among the trusted ones")
        return None

    def _note(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _untimely(self, certificate: Certificate) -> str:
        if self._time_ns is None:
            return ""
        if self._time_ns > certificate.not_after:
            return f"{certificate.label} had expired"
        return f"{certificate.label} was not valid yet" if self._time_ns < certificate.not_before else ""

    def _unfit(self, parent: Certificate, path: list[Certificate]) -> str:
        """Why a certificate must not have issued the last of ``path`` (RFC 5280 section 6.1.4)."""
        wrong = self._untimely(parent) or not_an_issuer(parent)
        if wrong:
            return wrong
        between = sum(not one.self_issued for one in path[1:])
        if parent.path_length is not None and between > parent.path_length:
            return f"{parent.label} allows fewer certificates below it"
        if parent.not_understood:
            return f"{parent.label} has a critical extension that is not known ({parent.not_understood[0]})"
        return ""


def not_an_issuer(certificate: Certificate) -> str:
    """Why a certificate must not issue others (RFC 5280 sections 4.2.1.3 and 4.2.1.9), or "". Version 1 has no way to say it."""
    if certificate.version1:
        return ""
    if not certificate.authority:
        return f"{certificate.label} is not the certificate of an authority (basicConstraints)"
    usage = certificate.key_usage
    if usage is not None and not usage.key_cert_sign:
        return f"the key of {certificate.label} is not for signing certificates (keyUsage)"
    return ""


def load_store(files: Iterable[str], system: bool) -> Store:
    """The certificates of some files, PEM or DER, and those of the system. SourceError if one cannot be read or has none."""
    found: list[Certificate] = []
    for path in files:
        found += read_certificates(path)
    if system:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        known = [read(der) for der in context.get_ca_certs(binary_form=True)]
        if not known:
            raise SourceError("no trusted certificates of the system were found; name a file with --ca-file")
        found += [one for one in known if one is not None]
    return Store(found)


def read_certificates(path: str) -> list[Certificate]:
    """The certificates of a file, PEM or DER."""
    octets = read_file(path)
    try:
        parsed = x509.load_pem_x509_certificates(octets) if PEM in octets else [x509.load_der_x509_certificate(octets)]
    except ValueError as error:
        raise SourceError(f"{path}: holds no certificate that can be read") from error
    known = [read(one.public_bytes(Encoding.DER)) for one in parsed]
    return [one for one in known if one is not None]


def read_file(path: str) -> bytes:
    """The bytes of a file; SourceError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
