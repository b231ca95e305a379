"""The numbers of connections that ended: what a dictionary would say, in less room."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from tcpscope.state.ended import KEPT, Ended, Numbers


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 1 << 40)), max_size=3000))
def test_like_a_dictionary(pairs: list[tuple[bytes, int]]) -> None:
    known, numbers = {}, Numbers()
    for name, number in pairs:
        known[name] = number
        numbers.put(name, number)
    assert numbers.count == len(known)
    assert {name: numbers.get(name) for name in known} == known
    assert numbers.get(b"another") == -1


def test_the_latest_are_known() -> None:
    ended = Ended()
    names = [number.to_bytes(12, "big") for number in range(5 * KEPT // 2)]
    for number, name in enumerate(names):
        ended.add(name, number)
    known = [ended.number_of(name) for name in names]
    assert known[:KEPT] == [-1] * KEPT
    assert known[KEPT:] == list(range(KEPT, len(names)))
    assert ended.forgotten == KEPT


def test_a_name_that_comes_again() -> None:
    ended = Ended()
    ended.add(b"name", 1)
    for number in range(KEPT):
        ended.add(number.to_bytes(12, "big"), number)
    assert ended.number_of(b"name") == 1
    ended.add(b"name", 2)
    assert ended.number_of(b"name") == 2


def test_it_takes_little_room() -> None:
    numbers = Numbers()
    for number in range(KEPT):
        numbers.put(number.to_bytes(12, "big"), number)
    assert sys.getsizeof(numbers.hashes) + sys.getsizeof(numbers.numbers) <= 32 * KEPT + 1000
