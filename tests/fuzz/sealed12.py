"""Target of encrypted TLS 1.2: two handshakes with records that belong nowhere, records that are missing, and key logs that lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from tests.fuzz.mutate import mutate
from tests.fuzz.whole import run_session
from tests.rule_cases import CLOSED, ended
from tests.tls_builder import CLIENT_KEYS, DONE, NEW_TICKET, VERIFY, C, S, client_hello, message, server_hello
from tests.tls_sealer import with_keys
from tests.tls_sealer12 import SERVER_CERTIFICATE, Sealed12

KINDS = (22, 22, 22, 22, 21, 23, 23, 20, 24, 0, 99)


@cache
def samples() -> list[bytes]:
    """Messages, and bytes that are none."""
    messages = (client_hello(), server_hello(), SERVER_CERTIFICATE, DONE, CLIENT_KEYS, VERIFY, NEW_TICKET)
    return [b"", b"\1\0", *messages, message(0), message(20, bytes(12)), message(67, bytes(32)), bytes(range(256)) * 60]


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A message, perhaps changed."""
    return data if random.random() < 0.3 else mutate(data, random)


def run(data: bytes, random: Random) -> object:
    """The handshakes with a step left out here and something else in between there, and the report on them."""
    made = Sealed12()
    one: list[Callable[[], object]] = [made.flights, lambda: made.finish(C), lambda: made.finish(S)]
    for step in [*one, made.again, *one, made.close]:
        if random.random() < 0.9:
            step()
        while random.random() < 0.3:
            content = random.choice((data, random.choice(samples()), random.choice(samples()) + data))
            made.say(random.choice((C, S)), content[:16_000], kind=random.choice(KINDS))
            if random.random() < 0.2:
                made.change(random.choice((C, S)))
    talk = made.talk
    if talk.writes and random.random() < 0.3:
        talk.writes.pop(random.randrange(len(talk.writes)))
    if random.random() < 0.2:
        talk.writes.sort(key=lambda write: write[0], reverse=random.random() < 0.5)
    log = mutate(made.log, random) if random.random() < 0.2 else made.log
    return run_session(with_keys(ended(talk, *CLOSED), log), random)
