"""IP protocol numbers (IANA), as far as they lead to TCP or say why not."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

ICMP: Final = 1
IPV4: Final = 4  # IP inside IP
TCP: Final = 6
UDP: Final = 17
IPV6: Final = 41
GRE: Final = 47
ENCRYPTION: Final = 50
AUTHENTICATION: Final = 51
ICMPV6: Final = 58
ETHERIP: Final = 97
L2TP: Final = 115
MPLS: Final = 137
ETHERNET: Final = 143

# Extension headers of IPv6
HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT_HEADER: Final = 44
DESTINATION: Final = 60
MOBILITY: Final = 135
HIP: Final = 139
SHIM6: Final = 140


def is_extension(protocol: i64) -> bool:
    """Whether an IPv6 header of this number is followed by another one (RFC 8200 section 4)."""
    return (
        protocol == HOP_BY_HOP
        or protocol == ROUTING
        or protocol == DESTINATION
        or protocol == FRAGMENT_HEADER
        or protocol == AUTHENTICATION
        or protocol == MOBILITY
        or protocol == HIP
        or protocol == SHIM6
    )


def is_tunnel(protocol: i64) -> bool:
    """Whether the number is that of a tunnel other than IP inside IP."""
    return protocol == GRE or protocol == ETHERIP or protocol == L2TP or protocol == MPLS or protocol == ETHERNET


def may_carry_tcp(protocol: i64) -> bool:
    """Whether TCP may come behind a header of this number: if not, its fragments need not be put together."""
    if protocol == TCP or protocol == UDP or protocol == IPV4 or protocol == IPV6:
        return True
    return is_extension(protocol) or is_tunnel(protocol)
