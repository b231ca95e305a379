"""Key logs as TLS libraries write them to SSLKEYLOGFILE (RFC 9850): a label, the client random and a secret in each line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tcpscope.errors import SourceError

MASTER: Final = b"CLIENT_RANDOM"  # the master secret of TLS 1.2 and older
EARLY: Final = b"CLIENT_EARLY_TRAFFIC_SECRET"
HANDSHAKE: Final = (b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"SERVER_HANDSHAKE_TRAFFIC_SECRET")
TRAFFIC: Final = (b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0")

_LABELS: Final = {label: label for label in (MASTER, EARLY, *HANDSHAKE, *TRAFFIC)}
_OTHERS: Final = (b"EXPORTER_SECRET", b"EARLY_EXPORTER", b"EARLY_EXPORTER_MASTER_SECRET", b"ECH_SECRET", b"ECH_CONFIG")
_SIZES: Final = (32, 48, 64)  # of a hash, or of a master secret

Keys = dict[bytes, bytes]
"""Secrets of one connection by label."""


class KeyLog:
    """Secrets by client random. Lines that are no secret of a record's key are passed over, as RSA lines are."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Keys] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, random: bytes) -> Keys | None:
        """The secrets of the connection whose ClientHello has this random; None without any."""
        return self._keys.get(random)

    def read(self, lines: Iterable[bytes]) -> bool:
        """Take in lines. False if there were some and none was a line of a key log."""
        blank = known = True
        for line in lines:
            words = line.split()
            if not words or words[0].startswith(b"#"):
                continue
            if blank:
                blank = known = False
            known = self._line(words) or known
        return known

    def _line(self, words: list[bytes]) -> bool:
        """Take in one line, in words. False if it does not belong into a key log."""
        if words[0] == b"RSA" or words[0] in _OTHERS:
            return True
        label = _LABELS.get(words[0])
        if label is None or len(words) != 3 or len(words[1]) != 64 or len(words[2]) // 2 not in _SIZES:
            return False
        try:
            random, secret = bytes.fromhex(words[1].decode("ascii")), bytes.fromhex(words[2].decode("ascii"))
        except ValueError:
            return False
        self._keys.setdefault(random, {})[label] = secret
        return True


def read_key_logs(paths: Iterable[str]) -> KeyLog:
    """The key logs of some files together. SourceError for one that cannot be read or is something else."""
    log = KeyLog()
    for path in paths:
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (pathlib takes time to load, and most captures come without keys)
                if not log.read(file):
                    raise SourceError(f"{path}: no key log: none of its lines is in the format of SSLKEYLOGFILE")
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
    return log
