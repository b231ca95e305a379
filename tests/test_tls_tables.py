"""The literal tables of TLS: unique, complete, and with sections that exist."""

from __future__ import annotations

import pytest

from tcpscope.state import tls_faults, tls_log, tls_order
from tcpscope.state.tls_faults import FAULTS, breaks_order, slug
from tcpscope.wire import ciphers
from tcpscope.wire.cipher_names import CIPHER_NAMES
from tcpscope.wire.ciphers import MAY, MUST, MUST_NOT

# Sections that the tables may cite, read off the headings of the documents.
SECTIONS = {
    "RFC 4680": "2",
    "RFC 5077": "3.3",
    "RFC 5246": "6.2.1 7.1 7.2 7.2.1 7.3 7.4 7.4.1.1 7.4.1.2 7.4.1.3 7.4.2 7.4.3 7.4.4 7.4.5 7.4.6 7.4.7 7.4.8 7.4.9 10",
    "RFC 5746": "3",
    "RFC 6066": "3 5 8",
    "RFC 6520": "3 4",
    "RFC 7301": "3.2",
    "RFC 7366": "2",
    "RFC 7507": "4",
    "RFC 7627": "5.2",
    "RFC 8422": "5.4",
    "RFC 8446": "1.1 2 2.3 4.1.1 4.1.2 4.1.3 4.1.4 4.2 4.2.1 4.2.8 4.2.11 4.3.1 4.3.2 4.4.2 4.4.3 4.4.4 4.5 4.6.1 4.6.2 4.6.3 5 5.1 5.2 "
    "6 6.2 D.4 D.5",
    "RFC 8701": "3.2",
    "RFC 8879": "4",
    "RFC 8996": "4 5",
    "RFC 9155": "4 5",
    "RFC 9325": "4.1 4.5",
    "RFC 9850": "2",
}


def exists(citation: str) -> bool:
    document, section = citation.rsplit(" ", 1)
    return section in SECTIONS[document].split()


def test_fault_codes_and_slugs_are_unique() -> None:
    assert len({row[0] for row in FAULTS}) == len(FAULTS)
    assert len({row[1] for row in FAULTS}) == len(FAULTS)


def test_every_code_has_a_row() -> None:
    grades = ("PROVED", "SUSPECTED")
    constants = {value for name, value in vars(tls_faults).items() if isinstance(value, int) and name not in grades}
    assert {row[0] for row in FAULTS} == constants


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[1])
def test_a_row_cites_a_section_and_says_what_it_records(row: tuple[int, str, str, int, bool, str]) -> None:
    code, name, section, grade, breaks, meaning = row
    assert name.startswith("tls")
    assert exists(section)
    assert grade in (tls_faults.PROVED, tls_faults.SUSPECTED)
    assert meaning
    assert slug(code) == name
    assert breaks_order(code) is breaks


def test_an_unknown_code_has_no_slug_of_another() -> None:
    assert slug(999) == "tls-unknown"
    assert not breaks_order(999)


@pytest.mark.parametrize("row", tls_order.ORDER)
def test_a_row_of_the_order_is_sound(row: tuple[int, int, int, int, str]) -> None:
    _flow, state, event, following, section = row
    assert exists(section)
    assert 0 <= state < len(tls_order.STATE_NAMES)
    assert 0 <= following < len(tls_order.STATE_NAMES)
    assert event in tls_log.EVENT_NAMES


def test_no_pair_of_state_and_event_is_there_twice() -> None:
    assert len({row[:3] for row in tls_order.ORDER}) == len(tls_order.ORDER)


def test_every_state_of_a_flow_can_be_reached() -> None:
    for flow in {row[0] for row in tls_order.ORDER}:
        rows = [row for row in tls_order.ORDER if row[0] == flow]
        reached = {tls_order.START}
        for _ in rows:
            reached |= {row[3] for row in rows if row[1] in reached}
        assert {row[1] for row in rows} <= reached


def test_event_names() -> None:
    assert tls_log.event_name(1) == "ClientHello"
    assert tls_log.event_name(256) == "HelloRetryRequest"
    assert tls_log.event_name(99) == "99"


@pytest.mark.parametrize(
    ("value", "name", "exchange", "certificate", "keys"),
    [
        (0x1301, "TLS_AES_128_GCM_SHA256", "", MAY, MAY),
        (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE_RSA", MUST, MUST),
        (0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256", "RSA", MUST, MUST_NOT),
        (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "RSA_EXPORT", MUST, MAY),
        (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA", "DH_anon", MUST_NOT, MUST),
        (0x008C, "TLS_PSK_WITH_AES_128_CBC_SHA", "PSK", MUST_NOT, MAY),
        (0xC035, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", "ECDHE_PSK", MUST_NOT, MUST),
        (0xC004, "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA", "ECDH_ECDSA", MUST, MUST_NOT),
        (0x00FF, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "", MAY, MAY),
        (0xABCD, "0xabcd", "", MAY, MAY),
    ],
)
def test_what_a_suite_asks_of_the_handshake(value: int, name: str, exchange: str, certificate: int, keys: int) -> None:
    assert ciphers.cipher_name(value) == name
    assert ciphers.key_exchange(value) == exchange
    assert ciphers.server_certificate(value) == certificate
    assert ciphers.server_key_exchange(value) == keys


def test_names_are_unique_apart_from_numbers_used_twice() -> None:
    names = [name for value, name in CIPHER_NAMES.items() if value < 0xC100 and not 0xCC13 <= value <= 0xCC15]
    assert len(set(names)) == len(names)
