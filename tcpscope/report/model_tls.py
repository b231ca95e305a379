"""The TLS part of :mod:`tcpscope.report.model`: what is told of the handshake of one connection."""

from typing import NamedTuple

from tcpscope.crypto.certificates import CertificateReport
from tcpscope.wire.fingerprint import ja3_of, ja4_of


class TlsMessage(NamedTuple):
    """A TLS handshake message, alert or first record of its kind, with the frame that completed it."""

    frame: int
    side: str
    message: str
    time_ns: int | None = None
    decrypted: str | None = None  # the message inside, where ``message`` is an encrypted record that a key opened
    alert: str | None = None  # name of an alert in clear

    @property
    def known_as(self) -> str:
        """What is known of it: the message inside, if a key opened the record; which alert it is."""
        return self.decrypted or (f"{self.message}: {self.alert}" if self.alert else self.message)


class TlsProof(NamedTuple):
    """A Finished or CertificateVerify that was checked with keys: ``verified`` if it fits the handshake."""

    frame: int
    side: str
    message: str
    verified: bool


class TlsSuite(NamedTuple):
    """What the cipher suite that was chosen is made of, how strong that is, and why it is no better (docs/tls.md)."""

    strength: str
    reasons: tuple[str, ...]
    key_exchange: str
    forward_secrecy: bool
    authentication: str
    cipher: str
    bits: int
    mode: str


class TlsAlert(NamedTuple):
    """An alert. ``alert`` is its name and ``level`` warning or fatal; both None where it is encrypted."""

    frame: int
    side: str
    alert: str | None
    level: str | None
    time_ns: int


class TlsHandshake(NamedTuple):
    """How the handshake ended, and how long it took, from the first segment of the ClientHello to what ended it.

    ``ended_how``: finished, alert, fin or reset; ``client_ns``, ``server_ns``: their programs thought; with ``network_ns`` they
    add up to ``duration_ns``. All three are None together.
    """

    ended_how: str | None = None
    ended_by: str | None = None
    ended_frame: int | None = None
    alert: str | None = None
    duration_ns: int | None = None
    client_ns: int | None = None
    server_ns: int | None = None
    network_ns: int | None = None


class TlsReport(NamedTuple):
    """The TLS handshake on top of a connection."""

    verdict: str
    version: str | None
    cipher_suite: str | None
    sni: str | None
    alpn: str | None
    resumed: bool | None
    ja3_text: str | None  # the strings under the fingerprints: hashed where one is asked for
    ja3s_text: str | None
    ja4_text: tuple[str, str, str] | None
    messages: tuple[TlsMessage, ...]
    message_count: int  # more than len(messages) where the list was cut
    certificates: tuple[CertificateReport, ...] = ()
    versions_offered: tuple[str, ...] = ()
    ciphers_offered: tuple[str, ...] = ()
    alpn_offered: tuple[str, ...] = ()
    client_random: str | None = None
    server_random: str | None = None
    keys: str | None = None  # where a key came from: "log", "capture"; None without one
    proofs: tuple[TlsProof, ...] = ()
    suite: TlsSuite | None = None
    groups_offered: tuple[str, ...] = ()
    key_shares: tuple[str, ...] = ()  # the groups of those that the ClientHello holds, in TLS 1.3
    group: str | None = None  # of the key exchange
    prime_bits: int | None = None  # of one with a prime of its own (DHE)
    client_signature: str | None = None  # scheme with which a side signed the handshake
    server_signature: str | None = None
    resumption: str | None = None  # "session-id", "ticket" (TLS 1.2 and older), "psk" (TLS 1.3); None: a full handshake
    handshake: TlsHandshake = TlsHandshake()
    alerts: tuple[TlsAlert, ...] = ()
    alert_count: int = 0  # more than len(alerts) where the list was cut

    @property
    def ja3(self) -> str | None:
        """JA3 of the ClientHello; None where the capture lacks part of it."""
        return ja3_of(self.ja3_text)

    @property
    def ja3s(self) -> str | None:
        """JA3S of the ServerHello; None where the capture lacks part of it, or it names no suite."""
        return ja3_of(self.ja3s_text)

    @property
    def ja4(self) -> str | None:
        """JA4 of the ClientHello; None where the capture lacks part of it, or its format is that of SSL 2.0."""
        return ja4_of(self.ja4_text)
