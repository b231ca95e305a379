"""The fact log and the quantile sketch: what they answer, compiled and uncompiled alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpscope.state.facts import CLIENT, KEPT, KIND_BITS, KIND_COUNT, NOBODY, SERVER, FactLog
from tcpscope.state.quantiles import Quantiles


@pytest.mark.parametrize("kind", range(KIND_COUNT))
def test_a_kind_has_a_bit_and_is_told_from_those_that_share_it(kind: int) -> None:
    log = FactLog()
    log.add(kind, CLIENT, 1, 2, 3, 4, 5)
    assert log.kinds == KIND_BITS[kind]
    assert log.count(kind, CLIENT) == 1
    assert [(fact.kind, fact.frame) for fact in log.of(kind)] == [(kind, 1)]


def test_the_bits_fit_into_a_signed_number_of_64_bits() -> None:
    assert all(0 < bit < 1 << 62 and bit.bit_count() == 1 for bit in KIND_BITS)
    assert len(set(KIND_BITS[:54])) == 54


def test_counts_go_on_when_no_more_are_kept() -> None:
    log = FactLog()
    for frame in range(1, 101):
        log.add(3, SERVER, frame, 0, 0, 0, 0)
    log.add(3, CLIENT, 200, 0, 0, 0, 0)
    assert (log.count(3, SERVER), log.count(3, CLIENT), log.count(3, NOBODY)) == (100, 1, 101)
    assert [fact.frame for fact in log.of(3)] == [*range(1, KEPT + 1), 200]


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=300), st.integers(1, 100))
def test_quantiles_lie_within_one_bucket(samples: list[int], percent: int) -> None:
    """A bucket is 1/32 of its octave wide, so the middle is within 1/64 of the true value or better."""
    sketch = Quantiles()
    for sample in samples:
        sketch.add(sample)
    exact = sorted(samples)[(len(samples) * percent + 99) // 100 - 1]
    assert abs(int(sketch.quantile(percent, 100)) - exact) <= exact / 32 + 1
    assert (sketch.minimum, sketch.maximum, sketch.count) == (min(samples), max(samples), len(samples))


def test_quantiles_of_the_longest_times_that_can_be() -> None:
    sketch = Quantiles()
    for value in (90_906, 6_407_083_930_787_843_000):
        sketch.add(value)
    assert sketch.quantile(95, 100) >= 6_407_083_930_787_843_000 * 31 // 32
