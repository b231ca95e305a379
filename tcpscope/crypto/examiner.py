"""Looks at the certificates of connections; what that needs is loaded with the first one, or with the files that the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcpscope.crypto.certificates import Examined

if TYPE_CHECKING:
    from tcpscope.crypto.revocation import Lists
    from tcpscope.crypto.trust import Store
    from tcpscope.state.tls_log import TlsLog


class Examiner:
    """``ca_files``, ``system_ca``: what is trusted; ``crl_files``: revocation lists. SourceError if one cannot be read."""

    def __init__(self, ca_files: Sequence[str] = (), system_ca: bool = False, crl_files: Sequence[str] = ()) -> None:
        self._store: Store | None = None
        self._lists: Lists | None = None
        if ca_files or system_ca:
            from tcpscope.crypto.trust import load_store  # noqa: PLC0415 (heavy)

            self._store = load_store(ca_files, system_ca)
        if crl_files:
            from tcpscope.crypto.revocation import load_lists  # noqa: PLC0415 (heavy)

            self._lists = load_lists(crl_files)

    def examine(self, log: TlsLog, version: int, cipher: int) -> Examined:
        """The certificates of a connection: of this version and cipher suite, 0 and -1 where they are not known."""
        from tcpscope.crypto.examine import Connection, examine  # noqa: PLC0415 (heavy)

        return examine(Connection(log, version, cipher, self._store, self._lists))
