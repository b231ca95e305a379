"""Each fault of choice and of the record layer, with a near miss, in several chunkings."""

from __future__ import annotations

import pytest

from tests.tls_builder import (
    HANDSHAKE,
    HEARTBEAT,
    OFFER12,
    OFFER13,
    PSK_MODES,
    PSK_OFFER,
    RENEGOTIATION,
    SELECT13,
    SHARE13,
    SID,
    SUITES,
    C,
    S,
    alpn,
    client_hello,
    data,
    full12,
    full13,
    record,
    server_hello,
    shares,
    sni,
    u16,
    versions,
)
from tests.tls_cases import Case, check, chosen12, in_server_flight, sentinel, talk13, version_of

CASES = [
    Case("tls-cipher-not-offered", S, chosen12(server_hello(suite=0xC030)), full12()),
    Case(
        "tls-version-not-offered",
        S,
        version_of(0x0303, client_hello(version=0x0302)),
        version_of(0x0302, client_hello()),
    ),
    Case(
        "tls-version-not-offered",
        S,
        talk13((43, u16(0x0304)), SHARE13, offer=client_hello((*OFFER12, versions(0x0303), shares(29)), sid=SID)),
        full13(),
    ),
    Case("tls-extension-not-offered", S, chosen12(server_hello((RENEGOTIATION, (23, b"")))), full12()),
    Case(
        "tls-extension-not-offered",
        S,
        chosen12(server_hello(), client_hello(OFFER12[:2])),
        chosen12(server_hello(), client_hello(OFFER12[:2], suites=(*SUITES, 0x00FF))),
    ),
    Case("tls13-server-hello-extension-forbidden", S, talk13(SELECT13, SHARE13, alpn("h2")), full13()),
    Case("tls13-sid-not-echoed", S, talk13(sid=b""), talk13()),
    Case(
        "tls-compression-not-null",
        S,
        chosen12(server_hello(compression=1), client_hello(compressions=b"\1\0")),
        full12(),
        "complete",
    ),
    Case("tls-downgrade-sentinel", C, sentinel(1, 0x0304, 0x0303), sentinel(1)),
    Case(
        "tls-fallback-scsv", C, chosen12(server_hello(), client_hello(suites=(*SUITES, 0x5600))), full12(), "complete"
    ),
    Case("tls-alpn-mismatch", S, chosen12(server_hello((alpn("smtp"),))), chosen12(server_hello((alpn("http/1.1"),)))),
    Case(
        "tls-grease-negotiated",
        S,
        chosen12(server_hello(suite=0x4A4A), client_hello(suites=(0x4A4A, *SUITES))),
        chosen12(server_hello(), client_hello(suites=(0x4A4A, *SUITES))),
    ),
    Case(
        "tls-duplicate-extension",
        C,
        chosen12(server_hello(), client_hello((*OFFER12, sni("b.example")))),
        full12(),
        "complete",
    ),
    Case(
        "tls-psk-binder-position",
        C,
        talk13(offer=client_hello((*OFFER13, PSK_OFFER, PSK_MODES), sid=SID)),
        talk13(offer=client_hello((*OFFER13, PSK_MODES, PSK_OFFER), sid=SID)),
        "complete",
    ),
    Case(
        "tls-record-overflow",
        S,
        full12(close=False).say(S, record(23, bytes(18433))),
        full12(close=False).say(S, record(23, bytes(18432))),
        "complete",
    ),
    Case(
        "tls-record-overflow",
        S,
        full13().say(S, record(23, bytes(16641))),
        full13().say(S, record(23, bytes(16640))),
        "complete",
    ),
    Case(
        "tls-record-version",
        C,
        full12(close=False).say(C, record(23, b"xyz", 0x0403)),
        full12(close=False).say(C, record(23, b"xyz", 0x0302)),
        "complete",
    ),
    Case("tls-record-type-unknown", C, full12(close=False).say(C, record(99, b"xyz")), full12(), "complete"),
    Case(
        "tls-record-empty", S, in_server_flight(record(HANDSHAKE, b"")), full12(close=False).say(S, data(0)), "complete"
    ),
    Case(
        "tls-heartbeat-before-handshake",
        S,
        in_server_flight(record(HEARTBEAT, b"\1\0\1x" + bytes(16))),
        full12(close=False).say(S, record(HEARTBEAT, bytes(50))),
        "complete",
    ),
    Case(
        "tls-heartbeat-oversize",
        S,
        in_server_flight(record(HEARTBEAT, b"\1\0\2x" + bytes(16))),
        in_server_flight(record(HEARTBEAT, b"\1\0\1x" + bytes(16))),
        "complete",
    ),
]


@pytest.mark.parametrize("size", [0, 1, 5, 100, 1448])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_the_fault_is_proved_and_its_near_miss_is_silent(case: Case, size: int) -> None:
    check(case, size)
