"""What opens protected records, as the tracker sees it: two classes without a body, made and filled in outside the compiled layers.

Without keys the tracker has no :class:`Secrets`; with keys it asks for an :class:`Opener` for each TLS connection and drops it as
soon as the ClientHello shows that there is no key for it. Roles are those of TLS: 0 client, 1 server.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

# Answers of Opener.open.
WAIT: Final = 0  # what it needs may still come: try again after the next message
OPENED: Final = 1
SHUT: Final = 2  # no key, or not the right one
FORGED: Final = 3  # the key opened the record before this one, and nothing is missing in between

# Where a key came from.
KEYS_NONE: Final = 0
KEYS_LOG: Final = 1
KEYS_CAPTURE: Final = 2
KEY_NAMES: Final = ("", "log", "capture")


@mypyc_attr(acyclic=True)
class TlsProof:
    """What a Finished (20) or CertificateVerify (15) came to: ``good`` if it fits the handshake as it was captured."""

    def __init__(self, role: i64, message: i64, frame: i64, good: bool) -> None:
        self.role: i64 = role
        self.message: i64 = message
        self.frame: i64 = frame
        self.good: bool = good


@mypyc_attr(allow_interpreted_subclasses=True)
class Opener:
    """Opens the records of one connection. Told of every handshake message in the order of each direction."""

    def __init__(self) -> None:
        self.keys: i64 = KEYS_NONE
        self.unsupported: bool = False  # there is a key, but the cipher suite is not known
        self.proofs: list[TlsProof] = []
        # Of the record that was opened: content type, content (none of application data) and its length.
        self.kind: i64 = 0
        self.data: bytes = b""
        self.length: i64 = 0
        self.early: bool = False  # it is 0-RTT data; behind SHUT: it is taken for such, and the key is missing

    def begin(self, random: bytes) -> bool:
        """The ClientHello has this random. False: there is no key."""
        return False

    def message(self, role: i64, data: bytes, frame: i64) -> None:
        """A whole handshake message with its header, in clear or opened."""

    def spoiled(self, role: i64) -> None:
        """The capture lacks bytes of this direction: what rests on its later messages cannot be proved."""

    def change(self, role: i64) -> None:
        """A ChangeCipherSpec: the records of this direction that follow have the keys of the handshake at hand."""

    def open(self, role: i64, kind: i64, version: i64, body: bytes, gap: bool) -> i64:
        """Open the next protected record of a direction. ``kind``, ``version``: of its header; ``body``: empty if the capture
        lacks part of it; ``gap``: records before it may be missing. Returns one of the answers above.
        """
        return SHUT


@mypyc_attr(allow_interpreted_subclasses=True)
class Secrets:
    """All keys there are."""

    def opener(self) -> Opener | None:
        """One for a new connection; None where there is no key at all."""
        return None
