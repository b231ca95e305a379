"""Which listener a SYN addresses: by address and port, however many there are and in whichever order they come."""

import random
from collections import Counter

import pytest

from tcpscope.state.listeners import MAX_LISTENERS, SLOTS, Listener, Listeners
from tcpscope.wire.segment import Segment


def to(address: bytes, port: int) -> Segment:
    """A segment to this end."""
    seg = Segment()
    seg.key = bytes(len(address)) + address + (40000).to_bytes(2, "big") + port.to_bytes(2, "big")
    return seg


V4 = [(bytes((10, 0, host, 1)), port) for host in range(4) for port in (80, 80 + SLOTS, 443, 7000)]
V6 = [(bytes(15) + bytes((host,)), port) for host in range(3) for port in (80, 443)]


@pytest.mark.parametrize("ends", [V4, V6, V4 + V6], ids=["IPv4", "IPv6", "both"])
def test_each_end_has_its_listener(ends: list[tuple[bytes, int]]) -> None:
    found, chosen = Listeners(), random.Random(9).choices(ends, k=500)
    for number, end in enumerate(chosen):
        listener = found.called(to(*end))
        assert listener is not None
        listener.syn(number + 1, number)
    assert {(one.address, one.port): one.syns for one in found.by_key.values()} == Counter(chosen)
    assert found.not_tracked == 0


def test_those_beyond_the_limit_are_counted_each_time() -> None:
    found = Listeners()
    found.by_key = {bytes(n.to_bytes(4, "big")): Listener(b"", 0) for n in range(MAX_LISTENERS)}
    assert [found.called(to(*V4[0])) for _ in range(3)] == [None] * 3
    assert found.not_tracked == 3
