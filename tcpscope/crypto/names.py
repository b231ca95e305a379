"""Whether a certificate is for a name (RFC 9525 section 6): DNS names and addresses of subjectAltName, never the common name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def matches(name: str, dns_names: Iterable[str], addresses: Iterable[str]) -> bool:
    """Whether a certificate with these names is for ``name``, a host name or an IP address."""
    address = _address(name)
    if address is not None:
        return any(_address(one) == address for one in addresses)
    wanted = _labels(name)
    return any(_fits(wanted, _labels(pattern)) for pattern in dns_names)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _labels(name: str) -> list[str]:
    """Labels in lower case; a dot at the end of the root says nothing (RFC 9525 section 6.3, RFC 4343)."""
    return name.lower().removesuffix(".").split(".")


def _fits(wanted: list[str], pattern: list[str]) -> bool:
    """A wildcard is a whole left-most label and stands for exactly one (RFC 9525 section 6.3)."""
    if len(wanted) != len(pattern) or not all(wanted):
        return False
    return pattern[1:] == wanted[1:] and (pattern[0] in ("*", wanted[0]) if len(pattern) > 1 else pattern == wanted)
