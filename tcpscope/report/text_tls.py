"""The TLS part of one connection in full, for ``analyze --connection``; the gist of it for ``show``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tcpscope.crypto.certificates import CertificateReport
from tcpscope.report.escape import printable
from tcpscope.report.model import CarrierReport, ConnectionReport
from tcpscope.report.model_tls import TlsReport, TlsSuite
from tcpscope.report.quantities import relative
from tcpscope.report.style import Style
from tcpscope.report.table import table
from tcpscope.rules import words

VALIDITY: Final = {
    "valid": "valid at that time",
    "expired": "expired at that time",
    "not-yet-valid": "not valid yet at that time",
    None: "whether valid at that time cannot be told, since the capture's clock is not plausible",
}

CARRIERS: Final = {
    "http-connect": "HTTP",
    "mysql": "MySQL",
    "postgresql": "PostgreSQL",
    "proxy": "a PROXY header",
    "sieve": "ManageSieve",
}
"""Names of the protocols that TLS begins behind; of the others it is their abbreviation in capitals."""

MAX_NAME: Final = 80  # characters of one of a certificate's names, or of a protocol
MAX_LISTED: Final = 8  # of what the client offered

RESUMED: Final = {
    "session-id": "resumed by session ID",
    "ticket": "resumed by ticket",
    "psk": "by a pre-shared key",
}


def tls_text(style: Style, connection: ConnectionReport, tls: TlsReport) -> str:
    """The handshake, its messages and certificates."""
    lines = [style.wrap(f"{style.paint('TLS', 'head')}: {tls_title(tls)}", "  ", "")]
    lines += [style.wrap(line, "    ", "  ") for line in tls_lines(tls, connection.carrier)]
    lines += [style.paint(f"  {line}", "dim") for line in fingerprints(tls)]
    if tls.keys is not None:
        lines.append(style.wrap(keys_text(tls), "    ", "  "))
    rows = message_rows(connection, tls)
    if rows:
        lines.append(table(style, MESSAGE_HEADS, rows, right=(0, 1), indent="  "))
    lines += [style.wrap(line, "    ", "  ") for line in certificate_lines(tls)]
    if tls.message_count > len(tls.messages):
        lines.append(f"  {words.plural(tls.message_count - len(tls.messages), 'more message')}")
    return "\n".join(lines)


def tls_title(tls: TlsReport) -> str:
    """What came of the handshake, in a line."""
    facts: list[str | None] = [tls.verdict, tls.version, tls.cipher_suite]
    facts.append(f"server name {printable(tls.sni)}" if tls.sni else None)
    facts.append(f"ALPN {printable(tls.alpn)}" if tls.alpn else None)
    facts.append(RESUMED.get(tls.resumption or "", "resumed") if tls.resumed else None)
    return ", ".join(fact for fact in facts if fact)


def tls_lines(tls: TlsReport, carrier: CarrierReport | None) -> Iterator[str]:
    """What led to TLS, what protects the connection, how the handshake came out, what was offered: a sentence each."""
    if carrier is not None:
        yield _carrier(carrier)
    yield from tls_summary(tls)
    yield from _offered(tls)


def fingerprints(tls: TlsReport) -> list[str]:
    """JA3 and the like."""
    return [f"{name} {value}" for name, value in (("JA3", tls.ja3), ("JA3S", tls.ja3s), ("JA4", tls.ja4)) if value]


MESSAGE_HEADS: Final = ("time, s", "frame", "from", "message")


def message_rows(connection: ConnectionReport, tls: TlsReport) -> list[list[str]]:
    """The messages of the handshake, by :data:`MESSAGE_HEADS`."""
    return [
        [relative(connection.start_ns, one.time_ns), str(one.frame), one.side, one.known_as] for one in tls.messages
    ]


def certificate_lines(tls: TlsReport) -> Iterator[str]:
    """The certificates, one a line."""
    yield from map(_certificate, tls.certificates)
    if tls.version is not None and tls.version.startswith("TLS 1.3") and not tls.certificates and not tls.resumed:
        yield "certificates: encrypted; they are judged with a key log (--keylog)"


def _carrier(carrier: CarrierReport) -> str:
    """What led to TLS: ``begins behind SMTP: STARTTLS (frame 7), 220 ready (frame 8)``."""
    steps = ", ".join(f"{printable(text)} (frame {frame})" for frame, text in carrier.lines)
    named = carrier.destination is None or any(carrier.destination in text for _, text in carrier.lines)
    aim = "" if named else f"; to {printable(carrier.destination or '')}"
    name = CARRIERS.get(carrier.protocol, carrier.protocol.upper())
    return f"begins behind {name}{': ' if steps else ''}{steps}{aim}"


def tls_summary(tls: TlsReport) -> Iterator[str]:
    """What protects the connection, and how the handshake came out and where its time went: a sentence each."""
    if tls.suite is not None:
        yield _protection(tls, tls.suite)
    if tls.client_signature:
        yield f"client proved by {tls.client_signature}"
    ended = _ended(tls)
    if ended:
        yield f"handshake: {ended}"


def _protection(tls: TlsReport, suite: TlsSuite) -> str:
    """The cipher suite by its parts."""
    exchange = f"key exchange {suite.key_exchange}"
    exchange += f" on {tls.group}" if tls.group else ""
    exchange += f" with a prime of {tls.prime_bits} bits" if tls.prime_bits else ""
    secrecy = "forward secrecy" if suite.forward_secrecy else "no forward secrecy"
    proof = f"server proved by {suite.authentication}" if suite.authentication != "none" else "server not proved"
    proof += f" ({tls.server_signature})" if tls.server_signature else ""
    if tls.resumption in ("session-id", "ticket"):
        proof += ", all this when the session began"
    cipher = f"{suite.cipher} with {suite.bits} bits, {suite.mode}" if suite.bits else "no encryption"
    reasons = f" ({', '.join(suite.reasons)})" if suite.reasons else ""
    return f"cipher suite: {suite.strength}{reasons}: {exchange}, {secrecy}, {proof}; {cipher}"


def _ended(tls: TlsReport) -> str:
    """Who ended the handshake, and where its time went."""
    handshake = tls.handshake
    who = f"the {handshake.ended_by}" if handshake.ended_by else "a side"
    ways = {
        "finished": f"completed by {who}'s Finished" if handshake.ended_by else "completed",
        "alert": f"ended by {who}'s alert {handshake.alert}",
        "fin": f"ended by {who}'s FIN",
        "reset": f"ended by {who}'s RST",
    }
    text = ways.get(handshake.ended_how or "", "")
    if text and handshake.ended_frame is not None:
        text += f" ({words.frames([handshake.ended_frame])})"
    if handshake.duration_ns is not None:
        text += f", {words.span(handshake.duration_ns)} after the ClientHello"
    shares = (handshake.client_ns, handshake.server_ns, handshake.network_ns)
    names = ("the client thought", "the server thought", "on the network")
    spans = [f"{name} {words.span(span)}" for name, span in zip(names, shares, strict=True) if span]
    return f"{text}: {', '.join(spans)}" if spans else text


def _offered(tls: TlsReport) -> Iterator[str]:
    """What the client offered."""
    lists = [list(tls.versions_offered)]
    lists.append([words.plural(len(tls.ciphers_offered), "cipher suite")] if tls.ciphers_offered else [])
    lists.append([f"groups {_some(tls.groups_offered)}"] if tls.groups_offered else [])
    lists.append([f"key shares {_some(tls.key_shares)}"] if tls.key_shares else [])
    lists.append([f"ALPN {printable(_some(tls.alpn_offered))}"] if tls.alpn_offered else [])
    text = "; ".join(", ".join(some) for some in lists if some)
    if text:
        yield f"offered: {text}"


def _some(names: Sequence[str]) -> str:
    """The first of a list, each cut to a length that a line can bear."""
    shown = ", ".join(name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in names[:MAX_LISTED])
    rest = len(names) - MAX_LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown


def keys_text(tls: TlsReport) -> str:
    """Where the keys came from, and what they prove."""
    origin = "the key log" if tls.keys == "log" else "the capture"
    good = [f"{proof.message} of the {proof.side}" for proof in tls.proofs if proof.verified]
    wrong = [f"{proof.message} of the {proof.side}" for proof in tls.proofs if not proof.verified]
    parts = [f"keys from {origin}", f"verified: {', '.join(good)}" if good else ""]
    parts.append(f"wrong: {', '.join(wrong)}" if wrong else "")
    return "; ".join(part for part in parts if part)


def _certificate(one: CertificateReport) -> str:
    """What one certificate says, and how it stood at the time of the capture."""
    start = f"{one.side} certificate {one.position} (frame {one.frame}): "
    if one.subject is None:
        return f"{start}not readable as X.509"
    shown = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in one.names[:4]]
    names = f", for {', '.join(shown)}" if one.names else ""
    return (
        f"{start}{printable(one.subject)}, issued by {printable(one.issuer or '')}, valid {one.not_before} to "
        f"{one.not_after}, {one.key}{printable(names)}; {', '.join(_standing(one))}"
    )


def _standing(one: CertificateReport) -> Iterator[str]:
    """The verdicts on a certificate in words."""
    yield VALIDITY[one.validity]
    if one.matches_name is not None:
        yield "for the name asked for" if one.matches_name else "not for the name asked for"
    if one.self_signed:
        yield "self-signed"
    if one.signed_by_next is not None:
        yield "signed by the next" if one.signed_by_next else "not signed by the next"
    if one.trust is not None or one.trust_reason is not None:
        reason = f": {printable(one.trust_reason)}" if one.trust_reason else ""
        yield f"{one.trust or 'trust cannot be told'}{reason}"
    if one.revocation is not None:
        yield f"{(one.revocation_source or '').upper()} says {one.revocation}"
