"""The transition table: what it says, and that the packed form says the same."""

from __future__ import annotations

import pytest

from tcpscope.state import transitions as table
from tcpscope.state.endpoint import Endpoint

ROWS = [pytest.param(row, id=f"{table.STATE_NAMES[row[0]]} + {table.EVENT_NAMES[row[1]]}") for row in table.TABLE]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_moves_an_endpoint(row: tuple[int, int, int, str, str]) -> None:
    state, event, following, _section, _note = row
    endpoint = Endpoint()
    if state != table.UNKNOWN:
        endpoint.start(state)
    assert endpoint.move(event, 7, 1000)
    assert endpoint.state == following
    if following != state:
        assert (endpoint.steps[-1].state, endpoint.steps[-1].frame, endpoint.steps[-1].time_ns) == (following, 7, 1000)


def test_pairs_outside_the_table_change_nothing() -> None:
    rows = {(row[0], row[1]) for row in table.TABLE}
    for state in range(len(table.STATE_NAMES)):
        for event in range(table.EVENT_COUNT):
            if (state, event) in rows:
                continue
            endpoint = Endpoint()
            endpoint.start(state)
            before = len(endpoint.steps)
            assert not endpoint.move(event, 1, 1)
            assert endpoint.state == state
            assert len(endpoint.steps) == before


def test_each_pair_has_one_row() -> None:
    pairs = [(row[0], row[1]) for row in table.TABLE]
    assert len(pairs) == len(set(pairs))


def test_every_state_of_figure_5_can_be_reached_and_left() -> None:
    states = set(range(table.UNKNOWN))
    assert {row[2] for row in table.TABLE} >= states
    assert {row[0] for row in table.TABLE} >= states


def test_names_are_complete() -> None:
    assert len(table.EVENT_NAMES) == table.EVENT_COUNT
    assert len(table.STATE_NAMES) == table.UNKNOWN + 1
