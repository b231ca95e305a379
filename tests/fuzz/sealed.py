"""Target of encrypted TLS: the capture brings its own keys, so its author chooses what is inside of the protected records.

A sample is a talk as in :mod:`tests.fuzz.tls`; the first byte of each write is the type of its record, or says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Final

from tests.fuzz import tls
from tests.fuzz.mutate import mutate
from tests.fuzz.target import SAMPLE_CAPTURES
from tests.fuzz.whole import run_session
from tests.rule_cases import CLIENT_CLOSES, CLOSED, ended
from tests.tls_builder import OFFER13, C, S, message
from tests.tls_sealed_cases import CERTIFICATE, EXTENSIONS, LONG_TICKET, OFFER_PSK, PSK, REQUEST, TICKET, UPDATE
from tests.tls_sealer import SUITES, Sealed, with_keys

STEPS: Final[dict[int, Callable[[Sealed, int], object]]] = {
    0xF0: lambda made, side: made.finish(side),
    0xF1: lambda made, side: made.say(side, made.verify(side)),
    0xF2: lambda made, side: made.peers[side].update(),
    0xF3: lambda made, side: made.authenticate(),
    0xF4: lambda made, side: made.forge(side),
    0xF5: lambda made, side: made.finish(side, wrong=True),
}
FINISH, VERIFY, REKEY, AUTHENTICATE, FORGE = b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4"
DATA, CLOSE = b"\x17GET / HTTP/1.1", b"\x15\1\0"
MOST_WRITES = 60


def told(*messages: bytes) -> bytes:
    """Handshake messages in one record."""
    return b"\x16" + b"".join(messages)


@cache
def samples() -> list[bytes]:
    """Lawful handshakes with everything that may come in one, and recorded captures that bring their keys."""
    opened = [(S, AUTHENTICATE), (S, FINISH), (C, FINISH)]
    asked = [(S, told(EXTENSIONS, REQUEST, CERTIFICATE)), (S, VERIFY), (S, FINISH), (C, told(CERTIFICATE)), (C, VERIFY)]
    closed = [(C, DATA), (S, DATA), (C, CLOSE), (S, CLOSE)]
    after = [
        (S, told(TICKET)),
        (S, told(LONG_TICKET, TICKET)),
        (S, told(UPDATE)),
        (S, REKEY),
        (C, told(UPDATE)),
        (C, REKEY),
    ]
    talks = [
        [*opened, *closed],
        [*asked, (C, FINISH), *closed],
        [*opened, *after, *closed],
        [*opened, (S, told(REQUEST)), (C, told(CERTIFICATE)), (C, VERIFY), (C, FINISH), *closed],
        [*opened, (C, FORGE), (S, FORGE), *closed],
        [(S, told(EXTENSIONS)), (S, FINISH), (C, told(message(5))), (C, FINISH), *closed],
        [(S, told(EXTENSIONS[:3])), (S, told(EXTENSIONS[3:])), (S, b"\x15\2\x28")],
    ]
    return [*map(tls.pack, talks), *recorded()]


@cache
def recorded() -> list[bytes]:
    """Recorded captures with their keys."""
    files = sorted(SAMPLE_CAPTURES.glob("*.keys"))
    pairs = [(file.with_suffix(".pcap"), file.read_bytes()) for file in files]
    return [with_keys(capture.read_bytes(), keys) for capture, keys in pairs if capture.exists()]


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Other plaintext in other records; a recorded capture is changed as it is."""
    if data.startswith(b"\n\r\r\n"):
        return mutate(data, random)
    return tls.make(data, random, [other for other in others if not other.startswith(b"\n\r\r\n")])


def seal(data: bytes, random: Random) -> bytes:
    """The talk under encryption, as a capture with its key log."""
    suite = random.choice((0x1301, *SUITES))
    psk = random.random() < 0.2
    made = Sealed(suite, OFFER_PSK if psk else OFFER13).hellos(*([PSK] if psk else []))
    for side, octets in tls.unpack(data)[:MOST_WRITES]:
        kind, content = octets[:1], octets[1:16_000]
        step = STEPS.get(kind[0]) if kind else None
        if step is not None:
            step(made, side)
        elif kind:
            made.say(side, content, kind=kind[0], padding=random.choice((0, 0, 0, 1, 500)))
    log = mutate(made.log, random) if random.random() < 0.1 else made.log
    return with_keys(ended(made.talk, *random.choice((CLOSED, CLIENT_CLOSES, ()))), log)


def run(data: bytes, random: Random) -> object:
    """Seal the talk and analyse the capture from end to end."""
    return run_session(data if data.startswith(b"\n\r\r\n") else seal(data, random), random)
