"""Durations of one kind, in bounded memory."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

NO_SAMPLES: Final[list[int]] = []  # an empty row


@mypyc_attr(acyclic=True)
class Quantiles:
    """Round-trip times in logarithmic buckets of 1/32 octave (at most 3.2 % wide), with exact count, minimum and maximum."""

    def __init__(self) -> None:
        self.count: i64 = 0
        self.minimum: i64 = 0
        self.maximum: i64 = 0
        # How many samples a bucket has, 32 buckets a row, empty rows shared. None while minimum and maximum are all samples.
        self.rows: list[list[int]] | None = None

    def add(self, value: i64) -> None:
        """Count one sample in nanoseconds (negative values, from a clock that stepped back, are not counted)."""
        if value < 0:
            return
        if self.count == 2 and self.rows is None:
            self.rows = self._spread()
        if self.rows is not None:
            place(self.rows, value)
        if self.count == 0 or value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.count += 1

    def quantile(self, numerator: i64, denominator: i64) -> i64:
        """The value below which numerator/denominator of the samples lie, as the middle of its bucket; -1 without samples."""
        if self.count == 0:
            return -1
        wanted: i64 = (self.count * numerator + denominator - 1) // denominator
        seen: i64 = 0
        rows: list[list[int]] = self._spread() if self.rows is None else self.rows
        for number, row in enumerate(rows):
            for column, count in enumerate(row):
                seen += count
                if seen >= wanted:
                    middle: i64 = middle_of(number * 32 + column)
                    return max(self.minimum, min(self.maximum, middle))
        return self.maximum

    def _spread(self) -> list[list[int]]:
        """Rows with the first two samples at most, which are the minimum and the maximum."""
        rows: list[list[int]] = []
        place(rows, self.minimum)
        if self.count > 1:
            place(rows, self.maximum)
        return rows


def collected(value: i64) -> Quantiles:
    """Durations of which there is one so far."""
    found: Quantiles = Quantiles()
    found.add(value)
    return found


def place(rows: list[list[int]], value: i64) -> None:
    """Count a value of at least 0 in its bucket; a row holds 32 of them."""
    bucket: i64 = bucket_of(value)
    row: i64 = bucket >> 5
    while len(rows) <= row:
        rows.append(NO_SAMPLES)
    counts: list[int] = rows[row]
    if len(counts) == 0:
        counts = [0] * 32
        rows[row] = counts
    before: int = counts[bucket & 31]  # with += mypyc would add objects
    counts[bucket & 31] = before + 1


def bucket_of(value: i64) -> i64:
    """The number of the bucket of a value of at least 0: 0 to 31 have buckets of their own, each further octave has 32."""
    shift: i64 = 0
    mantissa: i64 = value
    while mantissa >= 16384:
        mantissa >>= 8
        shift += 8
    # Six bits are to be left of now up to fourteen.
    if mantissa >= 1024:
        mantissa >>= 5
        shift += 5
    if mantissa >= 512:
        mantissa >>= 4
        shift += 4
    elif mantissa >= 256:
        mantissa >>= 3
        shift += 3
    elif mantissa >= 128:
        mantissa >>= 2
        shift += 2
    elif mantissa >= 64:
        mantissa >>= 1
        shift += 1
    return (shift + (mantissa >> 5)) * 32 + (mantissa & 31)


def middle_of(bucket: i64) -> i64:
    """The middle of a bucket."""
    row: i64 = bucket >> 5
    column: i64 = bucket & 31
    if row < 2:
        return row * 32 + column
    low: i64 = (column + 32) << (row - 1)
    return low + low // (column + 32) // 2  # the sum of both ends may be too large
