"""Series of any length in bounded memory: when one is full, its neighbours are joined pairwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

POINTS: Final = 1000
"""Items of a series at most: half of them, and up to all, once there are more."""

T = TypeVar("T")


class Thinned(Generic[T]):
    """A series of at most ``most`` items (an even number); each stands for up to ``stride`` that came.

    ``join`` makes one of two neighbours. The same items always give the same series.
    """

    def __init__(self, join: Callable[[T, T], T], most: int = POINTS) -> None:
        self.items: list[T] = []
        self.stride = 1
        self._join = join
        self._most = most
        self._room = 0  # how many more the last one stands for

    def add(self, item: T) -> None:
        """The next item."""
        items = self.items
        if self._room:
            self._room -= 1
            items[-1] = self._join(items[-1], item)
            return
        items.append(item)
        self._room = self.stride - 1
        if len(items) == self._most:
            # The last one stands for itself only, so its pair has as much room left as it had.
            self.items = [self._join(one, two) for one, two in zip(items[::2], items[1::2], strict=True)]
            self.stride *= 2


def first(one: T, _: T) -> T:
    """Of two neighbours the first."""
    return one


def last(_: T, two: T) -> T:
    """Of two neighbours the last."""
    return two
