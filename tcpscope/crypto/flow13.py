"""TLS 1.3 with its traffic secrets: early data, handshake and application keys, and their updates (RFC 8446 section 7)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from tcpscope.crypto.derive import expand_label
from tcpscope.crypto.flow import Flow, Half, give
from tcpscope.crypto.keylog import EARLY, HANDSHAKE, TRAFFIC, Keys
from tcpscope.crypto.records import Aead13
from tcpscope.crypto.suites import Suite, suite
from tcpscope.crypto.transcript13 import Transcript13
from tcpscope.state.tls_secrets import FORGED, OPENED, SHUT
from tcpscope.wire.tls import END_OF_EARLY_DATA, FINISHED, KEY_UPDATE
from tcpscope.wire.tls_hello import EXT_EARLY_DATA, EXT_ECH, ClientHello, u16_list

if TYPE_CHECKING:
    from tcpscope.state.tls_secrets import Opener

# Which keys a direction has.
EARLY_KEYS: Final = 0
HANDSHAKE_KEYS: Final = 1
TRAFFIC_KEYS: Final = 2


class Half13(Half):
    """One direction of TLS 1.3, with the keys that it has now."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch
        self.secret: bytes | None = None  # of application traffic, of the latest generation
        self.traffic: Aead13 | None = None


class Flow13(Flow):
    """``number``: the cipher suite that the server chose."""

    def __init__(self, secrets: Keys, offer: ClientHello, number: int) -> None:
        chosen = suite(number)
        assert chosen is not None, "the caller looked"
        self._secrets = secrets
        self._suite = chosen
        self._offer = offer
        super().__init__(Transcript13(secrets, chosen.hash, offer.has(EXT_ECH)))
        early = offer.has(EXT_EARLY_DATA)
        self._sides = (Half13(EARLY_KEYS if early else HANDSHAKE_KEYS), Half13(HANDSHAKE_KEYS))
        self.halves = self._sides
        for role, half in enumerate(self._sides):
            self._set(half, secrets.get(TRAFFIC[role]))

    def _set(self, half: Half13, secret: bytes | None) -> None:
        half.secret = secret
        half.traffic = None if secret is None else Aead13(self._suite, secret)

    @cached_property
    def _handshake(self) -> list[Aead13 | None]:
        secrets = [self._secrets.get(label) for label in HANDSHAKE]
        return [None if secret is None else Aead13(self._suite, secret) for secret in secrets]

    @cached_property
    def _early(self) -> list[Aead13]:
        """Early data has the suite of the session that goes on, which need not be the chosen one if it is refused."""
        secret = self._secrets.get(EARLY)
        if secret is None:
            return []
        offered = (suite(number) for number in u16_list(self._offer.ciphers) if number >> 8 == 0x13)
        suites: list[Suite] = [self._suite, *(one for one in offered if one is not None and one != self._suite)]
        return [Aead13(one, secret) for one in suites if len(secret) == (48 if one.hash == "sha384" else 32)][:5]

    def take(self, role: int, data: bytes, frame: int) -> None:
        """See :class:`Flow`. A ChangeCipherSpec means nothing here."""
        if not data:
            return
        half = self._sides[role]
        self.transcript.add(role, data, frame, half.secret if half.epoch == TRAFFIC_KEYS else None)
        kind = data[0]
        if kind == FINISHED and half.epoch == HANDSHAKE_KEYS:
            half.epoch = TRAFFIC_KEYS
            half.rekeyed()
        elif kind == END_OF_EARLY_DATA and half.epoch == EARLY_KEYS:
            half.epoch = HANDSHAKE_KEYS
            half.rekeyed()
        elif kind == KEY_UPDATE and half.epoch == TRAFFIC_KEYS:
            self._update(half)

    def _update(self, half: Half13) -> None:
        """The next generation of application keys (RFC 8446 section 7.2)."""
        if half.secret is not None:
            size = len(half.secret)
            self._set(half, expand_label(self._suite.hash, half.secret, b"traffic upd", b"", size))
        half.rekeyed()

    def open(self, opener: Opener, role: int, kind: int, version: int, body: bytes, gap: bool) -> int:
        """See :class:`Flow`."""
        half = self._sides[role]
        half.guessing = half.guessing or gap
        plain = self._find(half, role, kind, version, body) if body else None
        if plain is not None:
            half.proven = True
            content = plain.rstrip(b"\0")
            give(opener, content[-1] if content else 0, content[:-1])
            opener.early = half.epoch == EARLY_KEYS
            return OPENED
        if half.proven and not half.lossy and not self._key_missing(half, role):
            return FORGED
        opener.early = half.epoch == EARLY_KEYS and not self._early and not half.lossy
        half.sequence += half.proven and not body
        return SHUT

    def _key_missing(self, half: Half13, role: int) -> bool:
        """Whether the record may have a key that the log lacks."""
        if half.epoch == EARLY_KEYS:
            return self._handshake[role] is None
        return half.epoch == TRAFFIC_KEYS and half.traffic is None

    def _find(self, half: Half13, role: int, kind: int, version: int, body: bytes) -> bytes | None:
        """Open a record with the keys at hand, or with those that follow: what changes them may be missing or refused."""
        for epoch in range(half.epoch, TRAFFIC_KEYS + 1):
            sequence = half.sequence
            if epoch != half.epoch:
                half.sequence = 0
            for protection in self._protections(half, role, epoch):
                plain = self.attempt(half, protection, kind, version, body)
                if plain is not None:
                    if epoch == EARLY_KEYS:
                        self._early[:] = [protection]
                    half.epoch = epoch
                    return plain
            half.sequence = sequence
        return None

    def _protections(self, half: Half13, role: int, epoch: int) -> list[Aead13]:
        """What may open records of an epoch."""
        if epoch == EARLY_KEYS:
            return list(self._early)
        protection = self._handshake[role] if epoch == HANDSHAKE_KEYS else half.traffic
        return [] if protection is None else [protection]
