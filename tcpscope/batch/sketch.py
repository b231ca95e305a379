"""Durations of many connections in bounded memory, which can be merged."""

from __future__ import annotations

from collections.abc import Iterable

from tcpscope.state.quantiles import bucket_of, middle_of


class Sketch:
    """Counts by the logarithmic buckets of :mod:`tcpscope.state.quantiles`, each at most 3.2 % wide.

    Merging two gives exactly what counting all samples in one would have given.
    """

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self.buckets: dict[int, int] = dict(buckets)

    def __len__(self) -> int:
        return sum(self.buckets.values())

    def add(self, nanoseconds: int) -> None:
        """Count one duration of at least 0."""
        bucket = bucket_of(nanoseconds)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Sketch) -> None:
        """Count all that another one has counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def quantile(self, share: float) -> int | None:
        """The duration below which this share of the samples lies, within 1.6 %; None without samples."""
        wanted = max(1, round(share * len(self) + 0.4999999))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return middle_of(bucket)
        return None

    def pairs(self) -> list[tuple[int, int]]:
        """The buckets in their order, to be stored."""
        return sorted(self.buckets.items())
