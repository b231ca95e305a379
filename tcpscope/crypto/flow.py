"""What the versions of TLS have in common when records are opened: a sequence number for each direction, and how to find it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.crypto.transcript import Transcript
from tcpscope.state.tls_secrets import TlsProof
from tcpscope.wire.tls import APPLICATION_DATA

if TYPE_CHECKING:
    from tcpscope.crypto.records import Protection
    from tcpscope.state.tls_secrets import Opener

MAX_GUESS: Final = 64
"""Records that may be missing in one hole: so many sequence numbers are tried behind it."""

MAX_TRIES: Final = 4096
"""Attempts with guessed numbers in one connection."""


class Half:
    """One direction. ``proven``: its key has opened a record; ``lossy``: the capture lacks bytes, so that a failure proves nothing."""

    def __init__(self) -> None:
        self.sequence = 0
        self.proven = False
        self.lossy = False
        self.guessing = False

    def rekeyed(self) -> None:
        """The next record has other keys."""
        self.sequence = 0
        self.guessing = False


class Flow:
    """Opens the records of one connection and proves its handshake."""

    def __init__(self, transcript: Transcript) -> None:
        self.halves = (Half(), Half())
        self.transcript = transcript
        self._tries = MAX_TRIES

    @property
    def proofs(self) -> list[TlsProof]:
        """What the Finished and CertificateVerify messages came to so far."""
        return self.transcript.proofs

    def lose(self, role: int) -> None:
        """The capture lacks bytes of this direction."""
        self.halves[role].lossy = True
        self.transcript.freeze(role)

    def take(self, role: int, data: bytes, frame: int) -> None:
        """A handshake message with its header, or, empty, a ChangeCipherSpec."""
        raise NotImplementedError

    def open(self, opener: Opener, role: int, kind: int, version: int, body: bytes, gap: bool) -> int:
        """See :class:`~tcpscope.state.tls_secrets.Opener`; the content goes into ``opener``."""
        raise NotImplementedError

    def attempt(self, half: Half, protection: Protection, kind: int, version: int, body: bytes) -> bytes | None:
        """Open a record with the next sequence number, or, behind a hole, with one of the next few."""
        plain = protection.open(half.sequence, kind, version, body)
        if plain is not None or not half.guessing:
            half.sequence += plain is not None
            return plain
        for number in range(half.sequence + 1, half.sequence + 1 + min(MAX_GUESS, self._tries)):
            self._tries -= 1
            plain = protection.open(number, kind, version, body)
            if plain is not None:
                half.sequence = number + 1
                half.guessing = False
                return plain
        return None


def give(opener: Opener, kind: int, content: bytes) -> None:
    """Hand on what was opened; of application data only how much it is."""
    opener.kind = kind
    opener.length = len(content)
    opener.data = b"" if kind == APPLICATION_DATA else content
