"""Is the diagnosis right? ``python -m tests.diagnosis`` prints it for every sample beside what is to be expected.

What is expected was worked out from how a sample was recorded (sample_pcaps/README.md, tests/record/scenarios), not from what
comes out. Exit status 1 if one of them differs.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from tabulate import tabulate

import tcpscope
from tcpscope.rules.diagnosis import Diagnosis
from tests.captures import SAMPLES

EVERY = -1

NONE, NETWORK, CAPTURE = "none", "network", "capture"
CLIENT_HOST, SERVER_HOST = "client-host", "server-host"
CLIENT_PROGRAM, SERVER_PROGRAM = "client-application", "server-application"


class Expected(NamedTuple):
    """Where the trouble of the whole capture sits, and of those of its connections that have any (EVERY: of each)."""

    where: str
    connections: dict[int, str]
    why: str


def only(where: str, why: str, stream: int = 0) -> Expected:
    """One connection is in trouble, and that is what there is to say of the capture."""
    return Expected(where, {stream: where}, why)


def clean(why: str) -> Expected:
    """Nothing is wrong."""
    return Expected(NONE, {}, why)


TLS_WORKS = "the handshake succeeds"
CLOSED_WELL = "closed as it should be"

EXPECTED: dict[str, Expected] = {
    # Opening
    "refused.pcap": only(SERVER_PROGRAM, "nothing listens: RST"),
    "rejected-by-icmp.pcap": only(NETWORK, "a filter says no by ICMP"),
    "unanswered.pcap": only(NETWORK, "black hole: five SYNs, no answer"),
    "unanswered-linear.pcap": only(NETWORK, "black hole: six SYNs, no answer"),
    "syn-lost.pcap": only(NETWORK, "the SYN is lost"),
    "syn-ack-lost.pcap": only(NETWORK, "the SYN-ACK is lost"),
    "handshake-ack-lost.pcap": only(NETWORK, "the third segment is lost"),
    "third-segment-with-data.pcap": clean("the request comes with the third segment"),
    "open-simultaneous.pcap": clean("both open at once, lawfully"),
    "handshake-cut-off.pcap": only(CAPTURE, "the capture ends before the ACK"),
    "half-open-flood.pcap": Expected(SERVER_HOST, {EVERY: SERVER_HOST}, "the queue of half-open connections is full"),
    "accept-queue-full.pcap": Expected(
        SERVER_PROGRAM, {3: SERVER_PROGRAM, 4: SERVER_PROGRAM}, "the program does not accept: ACK ignored, SYN dropped"
    ),
    "accept-queue-full-rst.pcap": Expected(
        SERVER_PROGRAM, {3: SERVER_PROGRAM, 4: CAPTURE}, "the program does not accept: RST; one SYN too late to judge"
    ),
    "fast-open.pcap": clean("data on the SYN, accepted"),
    "fast-open-refused.pcap": clean("data on the SYN comes again, as it should"),
    "stale-syn.pcap": only(NETWORK, "the network delivers an old SYN"),
    "stale-syn-nobody-there.pcap": only(CLIENT_PROGRAM, "the client had given up"),
    "syn-in-established.pcap": Expected(NONE, {1: CAPTURE}, "a forged SYN does no harm; it is seen for 0.2 s only"),
    "client-restarted.pcap": only(CLIENT_HOST, "the client lost the connection"),
    # Closing
    "server-closes-first.pcap": clean(CLOSED_WELL),
    "half-close-data-after.pcap": clean(CLOSED_WELL),
    "close-three-segment.pcap": clean(CLOSED_WELL),
    "close-simultaneous.pcap": clean(CLOSED_WELL),
    "abort-rst.pcap": only(CLIENT_PROGRAM, "the client's program aborts with data under way"),
    "unread-data-rst.pcap": only(SERVER_PROGRAM, "the server's program closes without reading"),
    "fin-lost.pcap": only(NETWORK, "the FIN is lost"),
    "data-after-close-rst.pcap": only(CLIENT_PROGRAM, "the client closes before the server has said all"),
    "close-wait-leak.pcap": only(SERVER_PROGRAM, "the server's program never closes"),
    "fin-never-answered.pcap": only(NETWORK, "the client falls silent: the relay drops all"),
    "last-ack-lost.pcap": only(NETWORK, "the last ACK is lost"),
    "time-wait-not-held.pcap": only(CLIENT_HOST, "the client's host keeps no TIME-WAIT"),
    "time-wait-held.pcap": clean("TIME-WAIT kept"),
    "time-wait-killed.pcap": clean("a late duplicate ends TIME-WAIT; nobody loses anything"),
    "port-reused-safely.pcap": clean("reuse that RFC 6191 allows"),
    "port-reused-unsafely.pcap": only(SERVER_HOST, "the server's host keeps no TIME-WAIT"),
    "port-reused-refused.pcap": clean("TIME-WAIT refuses the reuse, the second SYN succeeds"),
    # Data
    "lost-data-fast-retransmit.pcap": only(NETWORK, "a segment is lost behind the capture"),
    "lost-data-at-receiver.pcap": only(NETWORK, "a segment is lost before the capture"),
    "lost-data-without-sack.pcap": only(NETWORK, "a segment is lost"),
    "lost-data-burst.pcap": only(NETWORK, "five segments are lost"),
    "timeout-retransmit.pcap": only(NETWORK, "a request is lost twice"),
    "tail-loss-probe.pcap": only(NETWORK, "the last two segments are lost"),
    "reordered.pcap": only(NETWORK, "segments overtake one another"),
    "duplicated.pcap": clean("a copy arrives as well, which costs nothing"),
    "spurious-retransmit.pcap": only(NETWORK, "ACKs are held up for 0.4 s"),
    "ack-lost.pcap": clean("an ACK is lost, the next one covers it"),
    "jitter.pcap": only(NETWORK, "the path takes 5 to 500 ms"),
    "slow-server.pcap": only(SERVER_PROGRAM, "the request is acknowledged at once, answered after 1.5 s"),
    "pause-between-requests.pcap": clean("the client pauses for 3 s"),
    "zero-window.pcap": only(SERVER_HOST, "the server does not read for 2 s"),
    "zero-window-abandoned.pcap": only(SERVER_HOST, "the server does not read at all"),
    "keep-alive.pcap": clean("idle, and alive"),
    "keep-alive-dead-peer.pcap": only(NETWORK, "the server falls silent: the relay drops all"),
    "path-mtu.pcap": clean("path MTU discovery at work"),
    "path-mtu-black-hole.pcap": only(NETWORK, "large segments vanish without ICMP"),
    "ecn.pcap": clean("ECN negotiated"),
    "urgent.pcap": clean("urgent data"),
    "sequence-wrap.pcap": only(NETWORK, "a segment is lost"),
    "captured-twice.pcap": clean("every packet is there twice: the capture's doing"),
    # TLS
    "tls12.pcap": clean(TLS_WORKS),
    "tls12-rsa-key-exchange.pcap": clean(TLS_WORKS),
    "tls10-legacy.pcap": clean(TLS_WORKS),
    "tls13.pcap": clean(TLS_WORKS),
    "tls13-secrets.pcapng": clean(TLS_WORKS),
    "tls13-hrr.pcap": clean(TLS_WORKS),
    "tls13-resumption.pcap": clean(TLS_WORKS),
    "tls12-resumption.pcap": clean(TLS_WORKS),
    "tls12-resumption-session-id.pcap": clean(TLS_WORKS),
    "tls13-early-data.pcap": clean(TLS_WORKS),
    "tls13-key-update.pcap": clean(TLS_WORKS),
    "tls13-small-segments.pcap": clean(TLS_WORKS),
    "tls12-small-records.pcap": clean(TLS_WORKS),
    "tls-fatal-alert.pcap": only(SERVER_PROGRAM, "the server refuses the version"),
    "tls-no-shared-cipher.pcap": only(SERVER_PROGRAM, "the server finds no common cipher suite"),
    "tls-no-close-notify.pcap": clean("no close_notify; nothing is lost"),
    "tls-bad-record.pcap": clean("the alert that would tell of the forged record is encrypted"),
    "tls-client-hello-unanswered.pcap": only(SERVER_PROGRAM, "the server's program never answers"),
    "tls12-client-auth.pcap": clean(TLS_WORKS),
    "tls11-legacy.pcap": clean(TLS_WORKS),
    "tls12-dhe.pcap": clean(TLS_WORKS),
    "tls12-ccm.pcap": clean(TLS_WORKS),
    "tls12-chacha20.pcap": clean(TLS_WORKS),
    "tls12-psk.pcap": clean(TLS_WORKS),
    "tls12-npn.pcap": clean(TLS_WORKS),
    "tls13-ccm.pcap": clean(TLS_WORKS),
    "tls13-chacha20.pcap": clean(TLS_WORKS),
    "tls13-psk.pcap": clean(TLS_WORKS),
    "tls13-client-auth.pcap": clean(TLS_WORKS),
    "tls13-post-handshake-auth.pcap": clean(TLS_WORKS),
    "tls12-unknown-ca.pcap": only(CLIENT_PROGRAM, "the client refuses the certificate"),
    "tls12-expired-certificate.pcap": clean("the client does not mind"),
    "tls12-wrong-name.pcap": clean("the client does not mind"),
    "tls12-self-signed.pcap": clean("the client does not mind"),
    "tls12-incomplete-chain.pcap": clean("the client does not mind"),
    "tls12-ocsp-good.pcap": clean(TLS_WORKS),
    "tls12-ocsp-revoked.pcap": clean("the client does not mind"),
    "tls12-renegotiation.pcap": clean(TLS_WORKS),
    "smtp-starttls.pcap": clean(TLS_WORKS),
    "imap-starttls.pcap": clean(TLS_WORKS),
    "pop3-stls.pcap": clean(TLS_WORKS),
    "ftp-auth-tls.pcap": clean(TLS_WORKS),
    "ldap-starttls.pcap": clean(TLS_WORKS),
    "xmpp-starttls.pcap": clean(TLS_WORKS),
    "irc-starttls.pcap": clean(TLS_WORKS),
    "postgresql-ssl.pcap": clean(TLS_WORKS),
    "mysql-ssl.pcap": clean(TLS_WORKS),
    "http-connect.pcap": clean(TLS_WORKS),
    "socks5.pcap": clean(TLS_WORKS),
    "smtp-starttls-refused.pcap": clean("the mail goes on in clear"),
    "smtp-starttls-not-used.pcap": clean("the mail goes on in clear"),
    "smtp-starttls-injection.pcap": clean(TLS_WORKS),
    "not-tls-on-443.pcap": clean("plain HTTP, answered"),
    # Link types, formats, parts
    "http-clean.pcap": clean("two requests, answered"),
    "http-many.pcap": clean("24 requests, answered"),
    "ipv6-http.pcap": clean("answered"),
    "vlan.pcap": clean("answered"),
    "raw-ip.pcap": clean("answered"),
    "sll.pcap": clean("answered"),
    "sll2.pcap": clean("answered"),
    "loopback-offload.pcap": clean("on the loopback"),
    "self-connect.pcap": clean("a socket that is its own peer"),
    "mid-connection.pcap": clean("what there is of it works"),
    "one-sided.pcap": only(CAPTURE, "one direction only"),
    "capture-loss.pcap": only(CAPTURE, "every fifth segment is missing in the capture"),
    "cut-capture.pcap": only(CAPTURE, "the file ends early"),
    "two-interfaces.pcapng": only(NETWORK, "a segment is lost between the two hosts"),
    "dumpcap.pcapng": clean("answered"),
}


class Row(NamedTuple):
    """One capture, or one of its connections: what was expected and what came out."""

    sample: str
    expected: str
    got: str
    said: str

    @property
    def right(self) -> bool:
        """Whether the two are the same."""
        return self.expected == self.got


def rows_of(sample: str) -> list[Row]:
    """The capture, and those of its connections that are in trouble or should be."""
    expected = EXPECTED.get(sample, Expected("?", {}, ""))
    report = tcpscope.analyze(SAMPLES / sample)
    rows = [_row(sample, expected.where, report.capture.diagnosis)]
    if len(report.connections) == 1:
        return rows
    for connection in report.connections:
        where = expected.connections.get(connection.stream, expected.connections.get(EVERY, NONE))
        row = _row(f"  connection {connection.stream}", where, connection.diagnosis)
        if not row.right or (where != NONE and EVERY not in expected.connections):
            rows.append(row)
    return rows


def _row(name: str, expected: str, diagnosis: Diagnosis | None) -> Row:
    if diagnosis is None:
        return Row(name, expected, "no connection", "")
    said = "" if diagnosis.where == NONE else f"{diagnosis.kind}, {diagnosis.confidence}"
    return Row(name, expected, diagnosis.where, said)


def samples() -> list[str]:
    """The recorded captures, and those that are expected."""
    recorded = {path.name for path in SAMPLES.iterdir() if path.suffix in {".pcap", ".pcapng"}}
    return sorted(recorded | EXPECTED.keys())


def main() -> int:
    """Print the table; 1 if something is not as expected."""
    rows = [row for sample in samples() for row in rows_of(sample)]
    table = [[row.sample, row.expected, row.got, row.said, "" if row.right else "WRONG"] for row in rows]
    print(tabulate(table, ["sample", "expected", "got", "kind, confidence", ""], tablefmt="simple"))
    wrong = sum(not row.right for row in rows)
    print(f"\n{len(rows) - wrong} of {len(rows)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
