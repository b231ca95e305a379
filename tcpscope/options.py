"""What a caller may choose, in one frozen record. Units are in the names; defaults are the contract's."""

from typing import NamedTuple

SECOND_NS = 1_000_000_000
MAX_MSL_NS = 3 * 365 * 86_400 * SECOND_NS


class Options(NamedTuple):
    """Options of an analysis.

    ``msl_seconds``: maximum segment lifetime; TIME-WAIT lasts twice as long. 30 gives Linux' 60 s, RFC 9293 says 120.
    ``verify_checksums``: segments whose checksum is wrong are counted and otherwise ignored, as Zeek does.
    ``select``/``ignore``: prefixes of rule codes or rule names; an empty ``select`` means all.
    ``max_connections``: live connections kept; beyond it the longest idle one is judged early and the report says so. 0: no limit.
    ``salvage``: behind damage in a capture, look for the next record and go on there.
    ``zeek``: fill in ``conn_state`` and ``history`` as Zeek would; without it they are None and the analysis is faster.
    ``keylog``: files in the format of SSLKEYLOGFILE; what they and the capture hold keys for is opened.
    ``ca_file``, ``system_ca``: certificates that are trusted, from files (PEM or DER) and those of the system; without any, trust
    is not judged. ``crl``: files of certificate revocation lists.
    ``zeek_server_ports``: Zeek's ``likely_server_ports``, where it does not run with its default scripts.
    """

    msl_seconds: float = 30.0
    verify_checksums: bool = False
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_connections: int = 0
    zeek: bool = True
    salvage: bool = False
    zeek_server_ports: tuple[int, ...] | None = None
    keylog: tuple[str, ...] = ()
    ca_file: tuple[str, ...] = ()
    system_ca: bool = False
    crl: tuple[str, ...] = ()

    @property
    def msl_ns(self) -> int:
        """``msl_seconds`` in nanoseconds, at most three years: the hot layers calculate with 64 bits."""
        return min(round(self.msl_seconds * SECOND_NS), MAX_MSL_NS)
