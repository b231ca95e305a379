"""TS6xx, TLS with a look at the TCP connection below it: a handshake that took long, roles the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import Context, Finding, Severity
from tcpscope.rules.tls_base import TlsRule, tls_log
from tcpscope.rules.words import frames, opening, party, span
from tcpscope.state import tls_faults as f
from tcpscope.state.facts import CLIENT, NOBODY, SERVER
from tcpscope.state.tls_time import SLOW_NS, SLOW_ROUND_TRIPS, HandshakeTime, handshake_time

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.tls_log import TlsFault


class RoleReversed(TlsRule):
    """The side that accepted the TCP connection is the TLS client.

    What it does:
        Reports a ClientHello from the side that did not open the TCP connection. In all that is said of TLS, client is
        who sent the ClientHello.

    Why it matters:
        It is lawful and rare: data connections of active FTP, servers that connect back to an agent. Where nothing like
        that is known, a program inside may have opened a way in for somebody outside (a reverse tunnel).

    Example:
        frame 1   10.0.0.1 > 10.0.0.2   SYN
        frame 4   10.0.0.2 > 10.0.0.1   ClientHello

    How to fix:
        Nothing, if the program is known to do so. Otherwise find out which one opened the connection.

    References:
        RFC 8446 section 1.1: the client is who initiates the TLS connection.
    """

    code: ClassVar[str] = "TS635"
    name: ClassVar[str] = "tls-role-reversed"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8446 section 1.1"
    fault: ClassVar[int] = f.ROLE_REVERSED
    sentence: ClassVar[str] = "{who} accepted the TCP connection, but sent the ClientHello ({frame})"


class HandshakeSlow(TlsRule):
    """A TLS handshake took long.

    What it does:
        Reports a completed handshake that took, from the ClientHello to the last Finished, more than three round trips
        and 300 ms, with its shares: how long the client's and the server's program thought, and what went by on the
        network (the way, loss, closed windows). The largest comes first. Nothing is said where the capture lacks part of
        the handshake, or the round trip is not known.

    Why it matters:
        A user waits for it at the start of each connection. The largest share says where to look.

    Example:
        frame 4   client > server   ClientHello
        frame 6   server > client   ServerHello   (1.2 s later, acknowledged at once)

    How to fix:
        The server thinks: it signs on a loaded processor, waits for a back end or for OCSP, or asks a remote key store.
        The client thinks: it checks revocation over the network, or asks its user for a PIN or a certificate. The
        network: look for retransmissions and round trips; resumption and TLS 1.3 save one round trip each. A proxy that
        ends TCP close to the client (a VPN on the host, an accelerator) makes the round trip short, and the way behind
        it counts as the server's.

    References:
        RFC 8446 section 2: a handshake of TLS 1.3 takes one round trip.
        RFC 5246 section 7.3: one of TLS 1.2 takes two.
    """

    code: ClassVar[str] = "TS689"
    name: ClassVar[str] = "tls-handshake-slow"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 2"
    fault: ClassVar[int] = f.HANDSHAKE_SLOW
    sentence: ClassVar[str] = (
        "the TLS handshake took {span} ({frames}): {shares}; the round trip is {rtt}, so that up to {limit} would be usual"
    )

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """If the network took most of the time, the finding has no side."""
        log, outcome = tls_log(conn), conn.tls.outcome if conn.tls is not None else None
        time = handshake_time(outcome) if outcome is not None else None
        for fault in log.faults if log is not None else ():
            if fault.code == self.fault and time is not None:
                yield self._tell(fault, time, conn)

    def _tell(self, fault: TlsFault, time: HandshakeTime, conn: Connection) -> Finding:
        shares = [
            (time.thought0, f"{party(conn, CLIENT)} thought for {span(time.thought0)}"),
            (time.thought1, f"{party(conn, SERVER)} thought for {span(time.thought1)}"),
            (time.network, f"{span(time.network)} went by on the network"),
        ]
        told = sorted(shares, key=lambda share: -share[0])
        text = self.sentence.format(
            span=span(time.span),
            frames=frames([fault.other_frame, fault.frame]),
            shares=", ".join(words for share, words in told if share > 0),
            rtt=span(fault.extra),
            limit=span(SLOW_ROUND_TRIPS * fault.extra + SLOW_NS),
        )
        side = None if fault.side == NOBODY else fault.side
        return self.finding(conn, side, opening(text), [fault.other_frame, fault.frame], frame=fault.frame)
