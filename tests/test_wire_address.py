"""Addresses as text (RFC 5952)."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.wire.address import endpoints, format_address

TEXTS = [
    "0.0.0.0",
    "255.255.255.255",
    "192.0.2.1",
    "::",
    "::1",
    "2001:db8::1",
    "2001:db8:0:1:1:1:1:1",  # a single group of zeros stays
    "2001:0:0:1::1",  # the longer run of zeros is shortened
    "2001:db8::1:0:0:1",  # of two equal runs the first
    "fe80::ab:cdef",
    "::ffff:192.0.2.1",
]


@pytest.mark.parametrize("text", TEXTS)
def test_canonical_form(text: str) -> None:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    assert format_address(socket.inet_pton(family, text)) == text


@given(st.binary(min_size=16, max_size=16))
def test_text_means_the_same_address(packed: bytes) -> None:
    assert ipaddress.ip_address(format_address(packed)).packed == packed


def test_endpoints() -> None:
    ports = bytes.fromhex("01bbffff")
    assert endpoints(bytes([192, 0, 2, 1, 10, 0, 0, 2]) + ports) == ("192.0.2.1", 443, "10.0.0.2", 65535)
    assert endpoints(bytes(31) + b"\x01" + ports) == ("::", 443, "::1", 65535)
