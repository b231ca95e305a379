"""State paths, retransmissions and their causes against those of the kernel while it was recorded: see :mod:`tests.kernel`."""

from __future__ import annotations

from functools import cache

import pytest

from tests import kernel
from tests.kernel import CAUSES_GOAL, TRUTH, Comparison


@cache
def compared(name: str) -> Comparison:
    """One sample, compared once."""
    return kernel.compare(name)


every_sample = pytest.mark.parametrize("name", sorted(TRUTH))


@every_sample
def test_paths_are_the_kernel_s(name: str) -> None:
    assert compared(name).paths != "WRONG", compared(name).reason


@every_sample
def test_as_many_retransmissions_as_the_kernel_sent(name: str) -> None:
    found = compared(name)
    assert {side: counts.total() for side, counts in found.ours.items()} == {
        side: counts.total() for side, counts in found.kernel.items()
    }


@every_sample
def test_what_the_kernel_took_back_was_needless(name: str) -> None:
    assert compared(name).spurious == compared(name).undone


def test_the_causes_are_those_that_the_kernel_counted() -> None:
    found = [compared(name) for name in TRUTH]
    assert sum(one.matched for one in found) >= CAUSES_GOAL * sum(one.sent for one in found)


def test_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernel.main(["timeout-retransmit", "unanswered"]) == 0
    first, second, totals = capsys.readouterr().out.splitlines()
    assert "paths equal" in first
    assert "retransmissions 2 of 2, causes 2 (client loss 2)" in first
    assert second.endswith("[giving up sends nothing]")
    assert totals.endswith("6 of 6; causes equal 6 of 6 (100.0 %)")
    assert kernel.main(["no-such-sample"]) == 2
