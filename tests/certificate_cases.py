"""For each TS7xx rule a chain that it is about, and one beside it that is sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import (
    CLIENT,
    another_key,
    chain,
    intermediate,
    issue,
    key,
    leaf,
    ocsp_response,
    root,
    rsa_key,
    talk,
)
from tests.tls_builder import RSA, Talk

MUST_STAPLE = (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
FORGED = issue("Intermediate", root(), authority=True, days=(-900, 900), with_key=another_key())
OF_ANOTHER_KIND = issue("Intermediate", root(), authority=True, days=(-900, 900), with_key=key(9))
ORDINARY = issue("ordinary.example", root(), names=("ordinary.example",), authority=False, with_key=key(8))


def sound() -> Talk:
    """The certificate of example.org and its intermediate."""
    return talk(chain(leaf(), intermediate()))


def old_hash(last: int) -> bytes:
    """A certificate whose signature says that it was made with another hash; it then no longer fits."""
    issued = issue("Elsewhere", authority=True, with_key=rsa_key())
    der = issue("example.org", issued, names=("example.org",), with_key=rsa_key()).der
    return der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d0101") + bytes([last]))


@dataclass(frozen=True)
class Case:
    """``slug`` is told of ``side`` in ``bad``, with this severity, and not in ``good``."""

    slug: str
    bad: Callable[[], Talk]
    good: Callable[[], Talk] = sound
    severity: str = "warning"
    side: str = "server"


CASES = [
    Case(
        "tls-certificate-expired",
        lambda: talk(chain(leaf(days=(-90, -0.5)), intermediate())),
        lambda: talk(chain(leaf(days=(-90, 0.5)), intermediate())),
    ),
    Case(
        "tls-certificate-not-yet-valid",
        lambda: talk(chain(leaf(days=(2, 90)), intermediate())),
        lambda: talk(chain(leaf(days=(6 * 365, 7 * 365)), intermediate())),  # the capture's clock is wrong
    ),
    Case(
        "tls-certificate-name-mismatch",
        lambda: talk(chain(leaf(names=("other.example", "*.example.org")), intermediate())),
        lambda: talk(chain(leaf(names=("other.example", "*.org")), intermediate())),
    ),
    Case(
        "tls-certificate-self-signed",
        lambda: talk(chain(leaf(issuer=None))),
        lambda: talk(chain(leaf())),
    ),
    Case(
        "tls-certificate-chain-order",
        lambda: talk(chain(leaf(), root(), intermediate())),
        lambda: talk(chain(leaf(), intermediate(), root())),
    ),
    Case("tls-certificate-chain-incomplete", lambda: talk(chain(leaf())), severity="note"),
    Case("tls-certificate-signature-wrong", lambda: talk(chain(leaf(), FORGED))),
    Case("tls-certificate-signature-wrong", lambda: talk(chain(leaf(), OF_ANOTHER_KIND))),
    Case(
        "tls-certificate-key-weak",
        lambda: talk(chain(leaf(with_key=rsa_key(1024)), intermediate()), suite=0xC02F),
        lambda: talk(chain(leaf(with_key=rsa_key(2048)), intermediate()), suite=0xC02F),
    ),
    Case(
        "tls-certificate-key-weak",
        lambda: talk(chain(leaf(with_key=ec.derive_private_key(7, ec.SECP192R1())), intermediate())),
        lambda: talk(chain(leaf(with_key=ec.derive_private_key(7, ec.SECP224R1())), intermediate())),
    ),
    Case("tls-certificate-signature-weak", lambda: talk(chain(old_hash(5)), suite=0xC02F)),
    Case("tls-certificate-signature-weak", lambda: talk(chain(old_hash(4)), suite=0xC02F)),
    Case(
        "tls-certificate-issuer-unfit",
        lambda: talk(chain(leaf(issuer=ORDINARY), ORDINARY)),
        lambda: talk(chain(leaf(), intermediate(), root())),
    ),
    Case(
        "tls-certificate-usage-mismatch",
        lambda: talk(chain(leaf(purposes=(CLIENT,)), intermediate())),
        lambda: talk(chain(leaf(purposes=None), intermediate())),
    ),
    Case(
        "tls-certificate-usage-mismatch",
        lambda: talk(chain(leaf(usage=("key_agreement",)), intermediate())),
        lambda: talk(chain(leaf(usage=("digital_signature",)), intermediate())),
    ),
    Case(
        "tls-certificate-usage-mismatch",
        lambda: talk(chain(leaf(with_key=rsa_key(), usage=("digital_signature",)), intermediate()), suite=RSA),
        lambda: talk(chain(leaf(with_key=rsa_key(), usage=("key_encipherment",)), intermediate()), suite=RSA),
    ),
    Case(
        "tls-certificate-usage-mismatch",
        lambda: talk(chain(leaf(), intermediate()), client=chain(leaf(), intermediate())),
        lambda: talk(chain(leaf(), intermediate()), client=chain(leaf(purposes=(CLIENT,)), intermediate())),
        side="client",
    ),
    Case(
        "tls-certificate-revoked",
        lambda: talk(chain(leaf(), intermediate()), staple=ocsp_response(leaf(), revoked=True)),
        lambda: talk(chain(leaf(), intermediate()), staple=ocsp_response(leaf())),
    ),
    Case(
        "tls-ocsp-response-unusable",
        lambda: talk(chain(leaf(), intermediate()), staple=ocsp_response(leaf(), hours=(-100, -1))),
        lambda: talk(chain(leaf(), intermediate()), staple=ocsp_response(leaf(), hours=(-100, 1))),
    ),
    Case(
        "tls-ocsp-response-missing",
        lambda: talk(chain(leaf(extra=[MUST_STAPLE]), intermediate())),
        lambda: talk(chain(leaf(extra=[MUST_STAPLE]), intermediate()), staple=ocsp_response(leaf(extra=[MUST_STAPLE]))),
    ),
    Case("tls-certificate-undecodable", lambda: talk(chain(bytes(700), intermediate()))),
    Case(
        "tls-certificate-key-type",
        lambda: talk(chain(leaf(with_key=rsa_key()), intermediate())),
        lambda: talk(chain(leaf(with_key=rsa_key()), intermediate()), suite=0xC02F),
        severity="error",
    ),
]
