"""Faults of what TLS 1.3 encrypts: for each a handshake that has it, and a lawful one beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.tls_builder import OFFER13, SHARE13, C, Extension, S, alpn, extensions, message, u16, vector
from tests.tls_sealer import KEY, OTHER_KEY, Sealed, certificate, certificate_message, early, lawful

PSK: Extension = (41, b"\0\0")
OFFER_PSK = (*OFFER13, (45, b"\1\1"), (41, bytes(40)))
TICKET = message(4, (604_800).to_bytes(4, "big") + bytes(4) + vector(1, b"") + vector(2, bytes(32)) + u16(0))
LONG_TICKET = message(4, (604_801).to_bytes(4, "big") + TICKET[8:])
EXTENSIONS = message(8, extensions([]))
REQUEST = message(13, vector(1, b"") + extensions([(13, vector(2, u16(0x0403)))]))
UPDATE = message(24, b"\0")


def flight(*messages: bytes, hello: tuple[Extension, ...] = (), offer: tuple[Extension, ...] = OFFER13) -> Sealed:
    """A handshake in which the server sends these before its Finished; b"verify" stands for a CertificateVerify."""
    made = Sealed(offer=offer).hellos(*hello)
    for one in messages:
        made.say(S, made.verify(S) if one == b"verify" else one)
    return made.finish(S).finish(C).close()


CERTIFICATE = certificate_message(certificate())


def client_sends(*messages: bytes, request: bool) -> Sealed:
    """What the client sends before its Finished, to a server that asked for a certificate or not."""
    made = Sealed().hellos().say(S, EXTENSIONS, *([REQUEST] if request else []), CERTIFICATE)
    made.say(S, made.verify(S)).finish(S)
    for one in messages:
        made.say(C, made.verify(C) if one == b"verify" else one)
    return made.finish(C).close()


def after(*messages: bytes, times: int = 1) -> Sealed:
    """Messages of the server behind the handshake."""
    made = Sealed().hellos().authenticate().finish(S).finish(C)
    for _ in range(times):
        for one in messages:
            made.say(S, one)
            if one == UPDATE:
                made.peers[S].update()
    return made.close()


def proofs(*, finished: bool = False, key: object = KEY) -> Sealed:
    made = Sealed().hellos().authenticate(OTHER_KEY if key is OTHER_KEY else KEY)
    return made.finish(S, wrong=finished).finish(C).close()


def data_too_soon() -> Sealed:
    """Application data under the keys of the handshake."""
    made = Sealed().hellos().authenticate().finish(S)
    return made.data(C).finish(C).close()


@dataclass(frozen=True)
class Case:
    """``slug`` is told of ``side`` in ``bad`` and not in ``good``."""

    slug: str
    side: str
    bad: Callable[[], Sealed]
    good: Callable[[], Sealed] = lawful
    severity: str = "error"


CASES = [
    # Order of the server's flight
    Case("tls-message-out-of-order", "server", lambda: flight(CERTIFICATE, b"verify")),
    Case("tls-message-out-of-order", "server", lambda: flight(EXTENSIONS, CERTIFICATE)),
    Case("tls-message-out-of-order", "server", lambda: flight(EXTENSIONS)),
    Case("tls-message-out-of-order", "server", lambda: flight(EXTENSIONS, CERTIFICATE, REQUEST, b"verify")),
    Case(
        "tls-message-out-of-order",
        "server",
        lambda: flight(EXTENSIONS, TICKET, CERTIFICATE, b"verify"),
        lambda: after(TICKET),
    ),
    Case(
        "tls-message-out-of-order",
        "server",
        lambda: flight(EXTENSIONS, CERTIFICATE, b"verify", hello=(PSK,), offer=OFFER_PSK),
        lambda: flight(EXTENSIONS, hello=(PSK,), offer=OFFER_PSK),
    ),
    Case("tls-message-out-of-order", "server", lambda: after(CERTIFICATE), lambda: after(TICKET, UPDATE, TICKET)),
    # Order of the client's
    Case(
        "tls-message-out-of-order",
        "client",
        lambda: client_sends(b"verify", CERTIFICATE, request=True),
        lambda: client_sends(CERTIFICATE, b"verify", request=True),
    ),
    Case("tls-appdata-before-handshake", "client", data_too_soon),
    Case("tls-message-unknown", "server", lambda: after(message(99, b"x"))),
    # Contents
    Case(
        "tls-client-certificate-missing",
        "client",
        lambda: client_sends(request=True),
        lambda: client_sends(certificate_message(), request=True),
    ),
    Case(
        "tls-client-certificate-unrequested",
        "client",
        lambda: client_sends(CERTIFICATE, b"verify", request=False),
        lambda: client_sends(CERTIFICATE, b"verify", request=True),
    ),
    Case(
        "tls-certificate-verify-missing",
        "client",
        lambda: client_sends(CERTIFICATE, request=True),
        lambda: client_sends(certificate_message(), request=True),
    ),
    Case(
        "tls-client-certificate-empty",
        "client",
        lambda: client_sends(certificate_message(), request=True),
        lambda: client_sends(CERTIFICATE, b"verify", request=True),
        "note",
    ),
    Case("tls-certificate-empty", "server", lambda: flight(EXTENSIONS, certificate_message(), b"verify")),
    Case(
        "tls-extension-not-offered",
        "server",
        lambda: flight(message(8, extensions([(28, u16(16384))])), CERTIFICATE, b"verify"),
        lambda: flight(message(8, extensions([(0, b"")])), CERTIFICATE, b"verify"),
    ),
    Case(
        "tls13-server-hello-extension-forbidden",
        "server",
        lambda: flight(message(8, extensions([SHARE13])), CERTIFICATE, b"verify"),
        lambda: flight(message(8, extensions([(10, vector(2, u16(29)))])), CERTIFICATE, b"verify"),
    ),
    Case(
        "tls-alpn-mismatch",
        "server",
        lambda: flight(message(8, extensions([alpn("smtp")])), CERTIFICATE, b"verify"),
        lambda: flight(message(8, extensions([alpn("h2")])), CERTIFICATE, b"verify"),
    ),
    Case("tls13-early-data-end-wrong", "client", lambda: early(ended=False), early),
    Case(
        "tls13-early-data-end-wrong", "client", lambda: early(accepted=False, ended=True), lambda: early(accepted=False)
    ),
    Case("tls13-ticket-lifetime-exceeded", "server", lambda: after(LONG_TICKET), lambda: after(TICKET)),
    # Proofs
    Case("tls-finished-wrong", "server", lambda: proofs(finished=True)),
    Case("tls-certificate-verify-wrong", "server", lambda: proofs(key=OTHER_KEY)),
    # Records
    Case(
        "tls-record-authentication-failed",
        "server",
        lambda: Sealed().hellos().authenticate().finish(S).finish(C).forge(S),
        severity="warning",
    ),
    Case(
        "tls13-key-update-flood", "server", lambda: after(UPDATE, times=70), lambda: after(UPDATE, times=60), "warning"
    ),
    Case(
        "tls-heartbeat-oversize",
        "server",
        lambda: Sealed().hellos().authenticate().finish(S).finish(C).say(S, b"\1\x40\0", kind=24),
        severity="error",
    ),
    Case(
        "tls-truncation",
        "server",
        lambda: Sealed().hellos().authenticate().finish(S).finish(C).data(S),
        severity="note",
    ),
    Case(
        "tls-record-type-unknown",
        "server",
        lambda: Sealed().hellos().authenticate().finish(S).finish(C).say(S, b"x", kind=99),
    ),
]
