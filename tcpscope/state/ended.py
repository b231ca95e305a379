"""The numbers of connections that are over, for late segments of theirs: many, so each takes little room."""

from __future__ import annotations

from array import array
from typing import Final

from mypy_extensions import i64

KEPT: Final = 32_768
"""At least so many of the latest connections are known, at most twice as many."""

FEW: Final = 1024  # slots to begin with, a power of two


class Ended:
    """Names and numbers of the latest connections that ended, in 32 bytes each where a dictionary takes over a hundred.

    Not the name is kept but Python's 64-bit hash of it. That two of 65,536 names share one has a probability of 1 in
    8 thousand million; then a late segment counts for the wrong connection.
    """

    def __init__(self) -> None:
        self.latest: Numbers = Numbers()
        self.before: Numbers = Numbers()
        self.forgotten: i64 = 0  # connections whose number is not kept any more

    def add(self, name: bytes, number: i64) -> None:
        """A connection is over."""
        if self.latest.count >= KEPT:
            self.forgotten += self.before.count
            self.before = self.latest
            self.latest = Numbers()
        self.latest.put(name, number)

    def number_of(self, name: bytes) -> i64:
        """The number that the latest connection of this name had; -1 if it is not known."""
        found: i64 = self.latest.get(name)
        if found >= 0 or self.before.count == 0:
            return found
        return self.before.get(name)


class Numbers:
    """A hash table with open addressing, at most half full: one array for the hashes, one for the numbers (-1: free)."""

    def __init__(self) -> None:
        self.count: i64 = 0
        self.hashes: array[int] = array("q", [0]) * FEW
        self.numbers: array[int] = array("q", [-1]) * FEW

    def get(self, name: bytes) -> i64:
        """The number of a name; -1 if there is none."""
        if self.count == 0:
            return -1
        return self.numbers[self._slot(hash(name))]

    def put(self, name: bytes, number: i64) -> None:
        """Keep the number of a name, instead of the one that it had."""
        if 2 * self.count >= len(self.numbers):
            self._grow()
        key: int = hash(name)
        slot: int = self._slot(key)
        if self.numbers[slot] < 0:
            self.count += 1
            self.hashes[slot] = key
        self.numbers[slot] = number

    def _slot(self, key: int) -> int:
        """Where a hash is, or would be."""
        numbers: array[int] = self.numbers
        mask: int = len(numbers) - 1
        slot: int = key & mask
        while numbers[slot] >= 0 and self.hashes[slot] != key:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        hashes: array[int] = self.hashes
        numbers: array[int] = self.numbers
        self.hashes = array("q", [0]) * (2 * len(numbers))
        self.numbers = array("q", [-1]) * (2 * len(numbers))
        for old, number in enumerate(numbers):
            if number >= 0:
                key: int = hashes[old]
                slot: int = self._slot(key)
                self.hashes[slot] = key
                self.numbers[slot] = number
