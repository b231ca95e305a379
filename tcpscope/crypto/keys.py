"""Keys for the tracker: where they come from, and one :class:`~tcpscope.state.tls_secrets.Opener` for each connection that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.crypto.keylog import KeyLog, Keys
from tcpscope.state.tls_secrets import KEYS_CAPTURE, KEYS_LOG, SHUT, WAIT, Opener, Secrets
from tcpscope.wire.tls import CLIENT_HELLO, SERVER_HELLO, TLS10, TLS12, TLS13
from tcpscope.wire.tls_hello import ClientHello, ServerHello, parse_client_hello, parse_server_hello

if TYPE_CHECKING:
    from tcpscope.capture.reader import CaptureReader
    from tcpscope.crypto.flow import Flow


MAX_EARLY: Final = 512 * 1024  # bytes of messages that wait until the version is known
_CLIENT_HELLO: Final = bytes([CLIENT_HELLO])
_SERVER_HELLO: Final = bytes([SERVER_HELLO])


class KeyStore(Secrets):
    """The user's key log, and what the capture holds itself: the Decryption Secrets Blocks that ``reader`` has seen so far."""

    def __init__(self, log: KeyLog, reader: CaptureReader) -> None:
        super().__init__()
        self._log = log
        self._reader = reader
        self._inside = KeyLog()
        self._taken = 0

    def opener(self) -> Opener | None:
        """One for a new connection; None where there is no key at all."""
        blocks = self._reader.secrets
        for block in blocks[self._taken :]:
            self._inside.read(block.splitlines())
        self._taken = len(blocks)
        return ConnectionOpener(self._log, self._inside) if self._log or self._inside else None


class ConnectionOpener(Opener):
    """Waits for the hellos, then leaves the work to the :class:`~tcpscope.crypto.flow.Flow` of their version."""

    def __init__(self, log: KeyLog, inside: KeyLog) -> None:
        super().__init__()
        self._sources = (log, inside)
        self._secrets: Keys | None = None
        self._flow: Flow | None = None
        self._hopeless = False
        self._early: list[
            tuple[int, bytes, int]
        ] = []  # messages before the version is known; empty: a ChangeCipherSpec
        self._early_size = 0
        self._spoiled: set[int] = set()

    def begin(self, random: bytes) -> bool:
        """See :class:`Opener`. The user's key log comes first."""
        log, inside = self._sources
        self._secrets = log.find(random)
        self.keys = KEYS_LOG
        if self._secrets is None:
            self._secrets = inside.find(random)
            self.keys = KEYS_CAPTURE
        return self._secrets is not None

    def message(self, role: int, data: bytes, frame: int) -> None:
        """See :class:`Opener`."""
        self._take(role, data, frame)

    def change(self, role: int) -> None:
        """See :class:`Opener`."""
        self._take(role, b"", 0)

    def spoiled(self, role: int) -> None:
        """See :class:`Opener`."""
        self._spoiled.add(role)
        if self._flow is not None:
            self._flow.lose(role)

    def open(self, role: int, kind: int, version: int, body: bytes, gap: bool) -> int:
        """See :class:`Opener`."""
        self.early = False
        if self._flow is None:
            return SHUT if self._hopeless else WAIT
        return self._flow.open(self, role, kind, version, body, gap)

    def _take(self, role: int, data: bytes, frame: int) -> None:
        if self._hopeless:
            return
        if self._flow is not None:
            self._flow.take(role, data, frame)
            return
        self._early.append((role, data, frame))
        self._early_size += len(data) + 64
        if (role == 1 and data[:1] == _SERVER_HELLO) or (role == 0 and data[:1] == _CLIENT_HELLO):
            self._choose()
        elif self._early_size > MAX_EARLY:
            self._give_up()

    def _give_up(self) -> None:
        self._hopeless = True
        self._early.clear()

    def _choose(self) -> None:
        """Make the flow once both hellos are there. What is neither TLS 1.0 to 1.3 nor of a known suite stays closed."""
        offers = (data for role, data, _ in self._early if role == 0 and data[:1] == _CLIENT_HELLO)
        answers = (data for role, data, _ in self._early if role == 1 and data[:1] == _SERVER_HELLO)
        chosen = (parse_server_hello(data, 4, len(data), False) for data in answers)
        answer = next((hello for hello in chosen if not hello.retry), None)
        offer = next(offers, None)
        if answer is None or offer is None or self._secrets is None:
            return
        flow = self._flow_of(answer, parse_client_hello(offer, 4, len(offer), False), self._secrets)
        if flow is None:
            self.unsupported = True
            self._give_up()
            return
        for role in self._spoiled:
            flow.lose(role)
        for role, data, frame in self._early:
            flow.take(role, data, frame)
        self._early.clear()
        self.proofs = flow.proofs
        self._flow = flow

    def _flow_of(self, answer: ServerHello, offer: ClientHello, secrets: Keys) -> Flow | None:
        # These load cryptography: for connections with a key alone.
        from tcpscope.crypto.flow12 import Flow12  # noqa: PLC0415
        from tcpscope.crypto.flow13 import Flow13  # noqa: PLC0415
        from tcpscope.crypto.suites import suite  # noqa: PLC0415

        if suite(answer.cipher) is None or answer.compression:
            return None
        if answer.selected == TLS13:
            return Flow13(secrets, offer, answer.cipher)
        if TLS10 <= answer.selected <= TLS12:
            log, inside = self._sources
            return Flow12(lambda random: log.find(random) or inside.find(random))
        return None
