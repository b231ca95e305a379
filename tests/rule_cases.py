"""For every rule a capture that fires it and a near miss that does not, and how captures are judged from end to end.

A capture is named by its file: ``NAME.pcap`` in sample_pcaps, or ``NAME`` for tests/scenarios/NAME.txt. The rules about TLS
have handshakes of their own, built with :mod:`tests.tls_builder`.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import tcpscope
from tcpscope.options import Options
from tcpscope.report.model import Report
from tests import (
    certificate_cases,
    certificates,
    test_tls_choice,
    test_tls_order,
    test_tls_weak,
    tls_sealed_cases,
    tls_sealer,
)
from tests.captures import SAMPLES, SCENARIOS
from tests.dialogues import PROXIES, SMTP_BEFORE, Write, on, said
from tests.scenario import Scenario, build, load, parse
from tests.tls_builder import (
    ALERT,
    CERTIFICATE,
    CLOSE,
    DONE,
    OFFER13,
    SERVER_KEYS,
    SID,
    C,
    S,
    Talk,
    client_hello,
    closing,
    full12,
    handshake,
    record,
    server_hello,
    ssl2_start,
)

# rule: (a capture that fires it, a near miss that does not)
CAPTURES: dict[str, tuple[str, str]] = {
    "TS101": ("data-on-syn", "fast-open-accepted"),
    "TS102": ("syn-ack-wrong-number", "stale-syn.pcap"),
    "TS103": ("third-segment-wrong-ack", "third-segment-with-data.pcap"),
    "TS104": ("refused.pcap", "unanswered.pcap"),
    "TS105": ("unanswered.pcap", "refused.pcap"),
    "TS106": ("half-open", "opened-late"),
    "TS107": ("syn-lost.pcap", "client-restarted.pcap"),
    "TS108": ("syn-ack-lost.pcap", "syn-ack-crosses-ack"),
    "TS109": ("stale-syn.pcap", "syn-ack-wrong-number"),
    "TS110": ("syn-in-established.pcap", "port-reused-safely.pcap"),
    "TS111": ("accept-queue-full.pcap", "syn-ack-crosses-ack"),
    "TS112": ("half-open-flood.pcap", "http-many.pcap"),
    "TS113": ("handshake-aborted", "refused.pcap"),
    "TS114": ("fast-open-refused.pcap", "fast-open.pcap"),
    "TS115": ("open-simultaneous.pcap", "syn-in-established.pcap"),
    "TS116": ("isn-changed", "old-duplicate-syn"),
    "TS117": ("flags-contradictory", "refused.pcap"),
    "TS118": ("syn-ack-from-client", "open-simultaneous.pcap"),
    "TS119": ("syn-other-number-while-opening", "syn-lost.pcap"),
    "TS201": ("data-after-fin", "half-close-data-after.pcap"),
    "TS202": ("fin-never-answered.pcap", "fin-lost.pcap"),
    "TS203": ("data-after-close-rst.pcap", "half-close-data-after.pcap"),
    "TS204": ("close-wait-leaked", "close-wait-sending"),
    "TS205": ("close-simultaneous.pcap", "close-three-segment.pcap"),
    "TS206": ("abort-rst.pcap", "reset-instead-of-last-ack"),
    "TS207": ("reset-instead-of-last-ack", "abort-rst.pcap"),
    "TS208": ("fin-lost.pcap", "last-ack-lost.pcap"),
    "TS209": ("fin-moved", "fin-lost.pcap"),
    "TS210": ("segment-after-reset", "unread-data-rst.pcap"),
    "TS211": ("reset-outside-window", "abort-rst.pcap"),
    "TS212": ("fin-without-connection", "mid-connection.pcap"),
    "TS213": ("reset-with-data", "abort-rst.pcap"),
    "TS214": ("reset-acknowledges-unsent", "unread-data-rst.pcap"),
    "TS215": ("reset-of-other-origin", "reset-from-same-distance"),
    "TS216": ("fin-before-data", "data-after-fin"),
    "TS217": ("closing-number-beyond-fin", "data-after-fin"),
    "TS301": ("time-wait-not-held.pcap", "last-ack-lost.pcap"),
    "TS302": ("repeated-fin-unanswered", "repeated-fin-at-the-end"),
    "TS303": ("last-ack-lost.pcap", "time-wait-not-held.pcap"),
    "TS304": ("port-reused-safely.pcap", "ports-reused-after-time-wait"),
    "TS305": ("ports-reused-by-the-closer", "two-connections-one-reuses-ports"),
    "TS306": ("time-wait-killed.pcap", "time-wait-held.pcap"),
    "TS401": ("data-never-acknowledged", "timeout-retransmit.pcap"),
    "TS402": ("segment-without-ack", "handshake-aborted"),
    "TS403": ("ack-for-unsent-data", "capture-lost-segment"),
    "TS404": ("timeout-retransmit.pcap", "zero-window"),
    "TS405": ("lost-data-fast-retransmit.pcap", "reordered.pcap"),
    "TS406": ("spurious-retransmit.pcap", "duplicated.pcap"),
    "TS407": ("tail-loss-probe.pcap", "timeout-retransmit.pcap"),
    "TS408": ("reordered.pcap", "lost-data-at-receiver.pcap"),
    "TS409": ("missing-segment", "capture-lost-segment"),
    "TS410": ("duplicated.pcap", "captured-twice.pcap"),
    "TS411": ("sack-for-unsent-data", "loss-with-sack-over-wrap"),
    "TS412": ("retransmission-first-sending-unseen", "data-on-syn"),
    "TS413": ("duplicate-behind-the-capture", "spurious-retransmit.pcap"),
    "TS414": ("path-mtu.pcap", "path-mtu-black-hole.pcap"),
    "TS415": ("destination-unreachable", "path-mtu.pcap"),
    "TS416": ("time-exceeded", "icmp-about-another"),
    "TS417": ("acknowledgement-too-old", "segment-below-window"),
    "TS418": ("resent-data-differs", "resent-data-not-filled-in"),
    "TS419": ("ack-number-without-flag", "abort-rst.pcap"),
    "TS420": ("segment-below-window", "keep-alive.pcap"),
    "TS501": ("zero-window.pcap", "small-window"),
    "TS502": ("window-full-briefly", "small-window"),
    "TS503": ("window-exceeded", "zero-window"),
    "TS504": ("keep-alive.pcap", "zero-window.pcap"),
    "TS505": ("zero-window.pcap", "keep-alive.pcap"),
    "TS506": ("stalled-by-window", "window-full-briefly"),
    "TS507": ("window-shrunk", "window-rounded"),
    "TS510": ("option-length-invalid", "clean-http"),
    "TS511": ("option-repeated", "clean-http"),
    "TS512": ("option-outside-syn", "clean-http"),
    "TS513": ("option-not-offered", "header-cut-by-snap-length"),
    "TS514": ("window-scale-too-large", "clean-http"),
    "TS515": ("timestamp-went-back", "timestamp-overtaken"),
    "TS516": ("timestamp-missing", "reset-without-timestamp"),
    "TS517": ("timestamp-echo-unsent", "capture-loss.pcap"),
    "TS518": ("sack-block-invalid", "loss-with-sack-over-wrap"),
    "TS519": ("data-above-mss", "data-of-mss"),
    "TS520": ("urgent-data", "clean-http"),
    "TS681": ("not-tls-on-443.pcap", "tls12.pcap"),
    "TS901": ("cut-capture.pcap", "clean-http"),
    "TS902": ("capture-loss.pcap", "lost-data-at-receiver.pcap"),
    "TS903": ("one-sided.pcap", "unanswered.pcap"),
    "TS904": ("header-cut-by-snap-length", "abort-rst.pcap"),
    "TS905": ("clock-steps-back", "clean-http"),
    "TS906": ("bad-checksum", "checksum-offload"),
    "TS907": ("capture-lost-segment", "dumpcap.pcapng"),
    "TS908": ("too-many-connections", "two-connections-one-reuses-ports"),
    "TS909": ("abort-rst.pcap", "clean-http"),
    "TS910": ("malformed-tcp-headers", "header-cut-by-snap-length"),
    "TS911": ("checksum-offload", "bad-checksum-not-asked-for"),
    "TS912": ("segmentation-offload", "jumbo-frames"),
    "TS914": ("fragments-overlap", "fragments-missing"),
    "TS915": ("fragments-missing", "fragments-overlap"),
    "TS920": ("captured-twice.pcap", "duplicated.pcap"),
    "TS916": ("many-gaps", "missing-segment"),
}

OPENED = """# Built by a test.
server: 10.0.0.2:443
0.000  C > S  S  <mss 1460>
+.010  S > C  S. <mss 1460>
+.001  C > S  .
"""

HELLO = handshake(client_hello())
HELLO_13 = handshake(client_hello(OFFER13, sid=SID))
ANSWER = handshake(server_hello(), CERTIFICATE, SERVER_KEYS, DONE)


def begun(*answers: bytes) -> Talk:
    """A ClientHello, and what the server says to it."""
    talk = Talk().say(C, HELLO)
    return talk.say(S, *answers) if answers else talk


def swapped(talk: Talk) -> Talk:
    """The same with the server as the one that opens the TCP connection."""
    other = Talk()
    for side, _, ack, octets in talk.writes:
        other.say(1 - side, octets, ack=ack)
    return other


def ended(talk: Talk, *lines: str) -> bytes:
    """The capture of a talk on port 443 that ends with these lines of a scenario."""
    return build(ending(talk, *lines))


def ending(talk: Talk, *lines: str, snap_length: int = 262144, pause: str = "+.005", opened: str = OPENED) -> Scenario:
    """The scenario of :func:`ended`. ``pause``: before the first segment of the server."""
    text = [opened.rstrip()]
    for side, position, ack, octets in talk.segments(1448):
        way = "C > S" if side == C else "S > C"
        end = position + len(octets)
        wait = pause if side == S and position == 0 else "+.005"
        text.append(f"{wait} {way} P. {1 + position}:{1 + end}({len(octets)}) ack {1 + ack} hex {octets.hex()}")
    scenario = parse("\n".join([*text, *lines]))
    scenario.snap_length = snap_length
    return scenario


CLOSED = ("+.005 C > S .", "+.005 S > C .", "+.005 C > S F.", "+.005 S > C F.", "+.005 C > S .")
CLIENT_CLOSES = ("+.005 C > S F.", "+.005 S > C F.", "+.005 C > S .")
LATER = "+6.00 C2 > S2 S <mss 1460>"  # the capture goes on


def with_keys(made: tls_sealer.Sealed, log: bytes) -> bytes:
    """The capture of a handshake as pcapng with a key log inside."""
    return tls_sealer.with_keys(ended(made.talk, *CLOSED), log)


def dialogue_captures() -> dict[str, tuple[bytes, bytes]]:
    """The same for what leads to TLS."""

    def smtp(*writes: Write, secured: bool = True) -> bytes:
        talk = said(*SMTP_BEFORE, *writes)
        return ended(on(talk, full12()) if secured else talk, *CLOSED)

    asked, agreed = (C, b"STARTTLS\r\n"), (S, b"220 go\r\n")
    lawful = smtp(asked, agreed)
    proxy, refusal = PROXIES[0], PROXIES[0].to_request().say(S, PROXIES[0].refuse)
    return {
        "starttls-refused": (smtp(asked, (S, b"454 no\r\n"), secured=False), lawful),
        "starttls-offered-not-used": (
            smtp((C, b"AUTH PLAIN AGEAYg==\r\n"), secured=False),
            smtp((C, b"QUIT\r\n"), secured=False),
        ),
        "starttls-injection": (
            smtp((C, b"STARTTLS\r\nRSET\r\n"), agreed),
            smtp((C, b"NOOP\r\nSTARTTLS\r\n"), (S, b"250 ok\r\n"), agreed),
        ),
        "starttls-response-injection": (smtp(asked, (S, b"220 go\r\n250 ok\r\n")), lawful),
        "starttls-plaintext-after": (
            smtp(asked, agreed, (C, b"MAIL FROM:<a@b>\r\n"), secured=False),
            smtp(asked, (S, b"454 no\r\n"), (C, b"MAIL FROM:<a@b>\r\n"), secured=False),
        ),
        "proxy-refused": (
            ended(refusal, *CLOSED),
            ended(on(proxy.to_request().say(S, proxy.accept), full12()), *CLOSED),
        ),
    }


def tls_captures() -> dict[str, tuple[bytes, bytes]]:
    """By the name of the rule: a handshake with the fault, and a lawful one."""
    cases = [*test_tls_order.CASES, *test_tls_choice.CASES, *test_tls_weak.CASES]
    found = {case.slug: (ended(case.bad, *CLOSED), ended(case.good, *CLOSED)) for case in reversed(cases)}
    lawful = ended(full12(), *CLOSED)
    found["tls-server-hello-without-client-hello"] = (ended(Talk().say(C, b"x" * 60).say(S, ANSWER), *CLOSED), lawful)
    second = Talk().say(C, HELLO_13).say(C, record(20, b"\1"), HELLO_13, ack=3000)
    found["tls-hello-retry-inferred"] = (ended(second), lawful)
    found["tls-sslv2"] = (ended(ssl2_start(), *CLOSED), lawful)
    pieces = Talk().say(C, handshake(client_hello(), split=8)).say(S, ANSWER)
    found["tls-fragmentation-odd"] = (ended(pieces), lawful)
    found["tls-server-hello-missing"] = (ended(begun(ANSWER[:20]), LATER), lawful)
    found["tls-server-hello-missing-reset"] = (ended(begun(), "+.010 S > C R."), lawful)
    found["tls-server-hello-missing-closed"] = (ended(begun(), *CLIENT_CLOSES), lawful)
    found["tls-server-hello-missing-timeout"] = (ended(begun(), "+.010 S > C .", LATER), lawful)
    found["tls-server-hello-missing-one-sided"] = (ended(begun(), "+.010 C > S . ack 3001", LATER), lawful)
    found["tls-client-hello-unacked"] = (ended(begun(), "+.010 S > C . ack 101", LATER), lawful)
    found["tls-handshake-incomplete"] = (ended(begun(ANSWER), *CLIENT_CLOSES), lawful)
    found["tls-alert-fatal"] = (ended(begun(record(ALERT, b"\2\x28")), *CLIENT_CLOSES), lawful)
    named = Talk().say(C, HELLO).say(S, record(ALERT, b"\1\x70"), ANSWER)
    found["tls-alert-warning"] = (ended(named), lawful)
    found["tls-truncation"] = (ended(full12(close=False), *CLOSED), lawful)
    half = closing(full12(close=False), CLOSE)
    half.writes.pop()
    found["tls-half-close-unanswered"] = (ended(half, *CLOSED), lawful)
    found["tls-hello-cut"] = (build(ending(full12(), *CLOSED, snap_length=100)), lawful)
    slow, usual = (build(ending(full12(), *CLOSED, pause=pause)) for pause in ("+.330", "+.300"))
    found["tls-handshake-slow"] = (slow, usual)
    found["tls-role-reversed"] = (ended(swapped(full12()), *CLOSED), lawful)
    found.update(dialogue_captures())
    keyed = tls_sealer.lawful()
    found["tls-key-missing"] = (with_keys(keyed, keyed.log[:400]), with_keys(keyed, keyed.log))
    found["tls-http-answer"] = (ended(begun(b"HTTP/1.1 400 Bad Request\r\n\r\n"), *CLIENT_CLOSES), lawful)
    for case in certificate_cases.CASES:
        found.setdefault(case.slug, (ended(case.bad(), *CLOSED), ended(case.good(), *CLOSED)))
    found["tls-certificate-untrusted"] = (
        found["tls-certificate-self-signed"][0],
        ended(certificate_cases.sound(), *CLOSED),
    )
    for sealed in tls_sealed_cases.CASES:
        bad, good = sealed.bad(), sealed.good()
        found.setdefault(sealed.slug, (with_keys(bad, bad.log), with_keys(good, good.log)))
    return found


@cache
def tls_cases() -> dict[str, tuple[bytes, bytes]]:
    """:func:`tls_captures`, built once."""
    return tls_captures()


def tls_options(name: str, folder: Path) -> Options | None:
    """The options that a case of :func:`tls_captures` needs; files go to ``folder``."""
    if name != "tls-certificate-untrusted":
        return None
    path = folder / "root.pem"
    path.write_bytes(certificates.pem(certificates.root()))
    return Options(ca_file=(str(path),))


def options_of(scenario: Scenario) -> Options:
    """The options that a scenario's command line asks for."""
    words = list(scenario.options)
    options = Options()
    while words:
        word = words.pop(0)
        if word == "--verify-checksums":
            options = Options(options.msl_seconds, True, max_connections=options.max_connections)
        elif word == "--msl":
            options = Options(float(words.pop(0)), options.verify_checksums, max_connections=options.max_connections)
        elif word == "--max-connections":
            options = Options(options.msl_seconds, options.verify_checksums, max_connections=int(words.pop(0)))
        else:
            raise ValueError(f"no such option in a scenario: {word}")
    return options


def judged(name: str) -> Report:
    """The report on a capture that :data:`CAPTURES` names."""
    if "." in name:
        return analyze((SAMPLES / name).read_bytes())
    scenario = load(SCENARIOS / f"{name}.txt")
    return analyze(build(scenario), options_of(scenario))


def analyze(capture: bytes, options: Options | None = None) -> Report:
    """The report on the bytes of a capture."""
    return tcpscope.analyze(io.BytesIO(capture), options)


def scenario_paths() -> list[Path]:
    """All scenarios that are files."""
    return sorted(SCENARIOS.glob("*.txt"))
