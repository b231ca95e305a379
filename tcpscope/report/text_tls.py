"""The TLS part of one connection in full, for ``analyze --connection``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tcpscope.crypto.certificates import CertificateReport
from tcpscope.report.escape import printable
from tcpscope.report.model import CarrierReport, ConnectionReport, TlsReport
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

MAX_NAME: Final = 80  # characters of one of a certificate's names


def tls_text(style: Style, connection: ConnectionReport, tls: TlsReport) -> str:
    """The handshake, its messages and certificates."""
    facts = [tls.verdict, tls.version, tls.cipher_suite]
    facts.append(f"server name {printable(tls.sni)}" if tls.sni else None)
    facts.append(f"ALPN {printable(tls.alpn)}" if tls.alpn else None)
    facts.append("resumed" if tls.resumed else None)
    title = style.paint("TLS", "head") + ": " + ", ".join(fact for fact in facts if fact)
    prints = [f"{name} {value}" for name, value in (("JA3", tls.ja3), ("JA3S", tls.ja3s), ("JA4", tls.ja4)) if value]
    lines = [style.wrap(title, "  ", ""), *(style.paint(f"  {line}", "dim") for line in prints)]
    if connection.carrier is not None:
        lines.append(style.wrap(_carrier(connection.carrier), "    ", "  "))
    if tls.keys is not None:
        lines.append(style.wrap(_keys(tls), "    ", "  "))
    rows = [
        [relative(connection.start_ns, one.time_ns), str(one.frame), one.side, one.known_as] for one in tls.messages
    ]
    if rows:
        lines.append(table(style, ["time, s", "frame", "from", "message"], rows, right=(0, 1), indent="  "))
    lines.extend(_certificate(style, one) for one in tls.certificates)
    if tls.version is not None and tls.version.startswith("TLS 1.3") and not tls.certificates and not tls.resumed:
        lines.append("  certificates: encrypted; they are judged with a key log (--keylog)")
    if tls.message_count > len(tls.messages):
        lines.append(f"  {words.plural(tls.message_count - len(tls.messages), 'more message')}")
    return "\n".join(lines)


def _carrier(carrier: CarrierReport) -> str:
    """What led to TLS: ``begins behind SMTP: STARTTLS (frame 7), 220 ready (frame 8)``."""
    steps = ", ".join(f"{printable(text)} (frame {frame})" for frame, text in carrier.lines)
    named = carrier.destination is None or any(carrier.destination in text for _, text in carrier.lines)
    aim = "" if named else f"; to {printable(carrier.destination or '')}"
    name = CARRIERS.get(carrier.protocol, carrier.protocol.upper())
    return f"begins behind {name}{': ' if steps else ''}{steps}{aim}"


def _keys(tls: TlsReport) -> str:
    """Where the keys came from, and what they prove."""
    origin = "the key log" if tls.keys == "log" else "the capture"
    good = [f"{proof.message} of the {proof.side}" for proof in tls.proofs if proof.verified]
    wrong = [f"{proof.message} of the {proof.side}" for proof in tls.proofs if not proof.verified]
    parts = [f"keys from {origin}", f"verified: {', '.join(good)}" if good else ""]
    parts.append(f"wrong: {', '.join(wrong)}" if wrong else "")
    return "; ".join(part for part in parts if part)


def _certificate(style: Style, one: CertificateReport) -> str:
    """What one certificate says, and how it stood at the time of the capture."""
    start = f"{one.side} certificate {one.position} (frame {one.frame}): "
    if one.subject is None:
        return style.wrap(f"{start}not readable as X.509", "    ", "  ")
    shown = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in one.names[:4]]
    names = f", for {', '.join(shown)}" if one.names else ""
    text = (
        f"{start}{printable(one.subject)}, issued by {printable(one.issuer or '')}, valid {one.not_before} to "
        f"{one.not_after}, {one.key}{printable(names)}; {', '.join(_standing(one))}"
    )
    return style.wrap(text, "    ", "  ")


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
