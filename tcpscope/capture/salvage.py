"""Reading on behind damage: the search for the next record that is plausible and leads on to others (as pcapfix does)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.capture.framing import Framing

SEARCH: Final = 1048576
"""Bytes behind the damage within which a record must begin for the reading to go on."""

CHAIN: Final = 3
"""Records that must follow each other without a fault before the first of them is believed."""

MAX_GAPS: Final = 64
"""Gaps of which the place is kept; all are counted."""

STEP: Final = 65536
"""Input taken in at once for the search."""

MAX_WIRE: Final = 16777216
"""Length on the wire beyond which a record is not believed."""

YEAR_1990: Final = 631152000
YEAR_2040: Final = 2208988800
TEN_YEARS: Final = 315360000

MORE: Final = -1
"""Answer of :meth:`Salvage.measure` and :meth:`Salvage.chain` that further input is needed."""

BARE: Final = 0
LOOSE: Final = 1
STRICT: Final = 2
"""How critical to be of a record: its lengths alone count; what no sound record has; what hardly a sound one has."""


class Gap:
    """``length`` bytes from ``offset`` on that were stepped over; ``text`` says in one line what was wrong there.

    ``length`` is 0 where only a wrong length was put right.
    """

    def __init__(self, offset: i64, length: i64, text: str) -> None:
        self.offset: i64 = offset
        self.length: i64 = length
        self.text: str = text


class Salvage(Framing):
    """A format reader that can go on behind damage if ``salvage`` is set; without it, damage ends the reading."""

    def __init__(self, salvage: bool) -> None:
        super().__init__()
        self.salvage: bool = salvage
        self.searching: bool = False
        self.trouble: str = ""
        self.trouble_at: i64 = 0  # where the damage is: ``pos`` stays there during the search
        self.search_at: i64 = 0  # where the search has come to; offsets in the input
        self.gap_count: i64 = 0
        self.skipped_bytes: i64 = 0
        self.gap_frame: i64 = 0  # number of the latest frame before the latest gap
        self.gaps: list[Gap] = []
        self.in_vain: str = ""  # what to add to a later damage after a search that found nothing
        self.first_seconds: i64 = -1  # time of the first record, by formats that hold others against it

    def measure(self, o: i64, care: i64) -> i64:
        """Length of the record whose header may be at ``data[o]``, 0 if there is none, :data:`MORE`.

        ``care``: :data:`BARE`, :data:`LOOSE` or, for a place that nothing led to, :data:`STRICT`.
        """
        return 0

    def believable(self, seconds: i64) -> bool:
        """Whether a record may have this time: of the years in which captures are made, or near the file's first record."""
        if YEAR_1990 <= seconds < YEAR_2040:
            return True
        return self.first_seconds < 0 or -TEN_YEARS <= seconds - self.first_seconds <= TEN_YEARS

    def clip(self, o: i64) -> bool:
        """Make the record at ``pos`` end at ``data[o]``; False if that would leave nothing of its packet."""
        return False

    def fail(self, text: str, offset: i64) -> bool:
        """Note damage at ``pos``, and return False for ``advance``: the reading ends, or :meth:`resume` goes on."""
        if not self.salvage:
            return super().fail(text + self.in_vain, offset)
        self.searching = True
        self.trouble = text
        self.trouble_at = self.base + self.pos
        self.search_at = self.trouble_at + 1
        return False

    def resume(self) -> bool:
        """Whether to go on after :meth:`fail`: a record was found, which then is at ``pos``, or there is none and what is at
        ``pos`` shall be read as if nobody had asked for more. False: no damage, or more input is needed.
        """
        if not self.searching:
            return False
        o: i64 = self.search_at - self.base
        while o <= self.trouble_at + SEARCH - self.base:
            found: i64 = self.chain(o, CHAIN, STRICT)
            if found > 0:
                self._go_on(o)
                return True
            if found == 0:
                if o >= self.limit:  # the end of the input
                    break
                o += 1
                continue
            self.search_at = self.base + o
            if not self.grow(STEP):
                return False
            o = self.search_at - self.base
        self.searching = False
        self.salvage = False
        self.in_vain = f"; no other record in {o - self.pos} bytes from byte {self.trouble_at} on"
        return True

    def settle(self) -> bool:
        """Make a record that can be believed lie whole at ``pos``. False: more input is needed, or ``ended`` is set.

        For formats whose records do not end with their length: one is believed if another one follows.
        """
        while not self.ended:
            if self.searching and not self.resume():
                return False
            if not self.salvage:
                return True
            found: i64 = self.follow(2, LOOSE)
            if found == 0:
                found = self._judge()
                if found < 0 and self.grow(STEP):
                    continue
            if found != 0:
                return found > 0
        return False

    def follow(self, count: i64, care: i64) -> i64:
        """What :meth:`chain` says of ``pos``, with all the input there is."""
        while True:
            found: i64 = self.chain(self.pos, count, care)
            if found >= 0 or not self.grow(STEP):
                return found

    def chain(self, o: i64, count: i64, care: i64) -> i64:
        """1 if ``count`` records follow each other from ``data[o]`` on, or as many as there are before the end of the
        input; 0 if not; :data:`MORE`.
        """
        more: bool = not self.finished or self.queue_size > 0
        seen: i64 = 0
        while seen < count:
            size: i64 = self.measure(o, care)
            if size == 0:
                return 0
            if size < 0 or o + size > self.limit:
                if more:
                    return MORE
                # The input ends with this chain, or has been cut inside its last record.
                whole: bool = seen > 0 and o == self.limit
                return 1 if whole or seen > 1 else 0
            o += size
            seen += 1
        return 1

    def _judge(self) -> i64:
        """What about the record at ``pos``, behind which there is none? 1: it is whole, what is behind it is damaged;
        0: it is damaged itself, and the search has begun; :data:`MORE`.
        """
        if self.pos == self.limit and self.queue_size == 0 and self.finished:
            self.ended = True
            return 0
        size: i64 = self.measure(self.pos, LOOSE)
        offset: i64 = self.base + self.pos
        if size < 0 or self.pos + size > self.limit:
            self.fail(f"cut inside a packet record at byte {offset}", offset)
            return 0
        if size == 0:
            return self._odd(offset)
        # A length that lies hides other records in what it claims.
        o: i64 = self.pos + 1
        end: i64 = self.pos + size
        while o < end:
            found: i64 = self.chain(o, CHAIN, STRICT)
            if found < 0:
                return MORE
            if found > 0:
                break
            o += 1
        if o >= end:
            return 1
        if self.clip(o):
            self._note(
                offset, 0, f"record at byte {offset} claims {size} bytes, but {o - self.pos} bytes on another begins"
            )
            return 1
        self.fail(f"record at byte {offset} does not fit", offset)
        return 0

    def _odd(self, offset: i64) -> i64:
        """What about a record at ``pos`` that is not to be believed? 1: it leads to others that are; 0, :data:`MORE`."""
        size: i64 = self.measure(self.pos, BARE)
        found: i64 = 0
        if size > 0 and self.pos + size <= self.limit:
            found = self.chain(self.pos + size, CHAIN, STRICT)
        elif size > 0 and (self.queue_size > 0 or not self.finished):
            found = MORE
        if found != 0:
            return found
        self.fail(f"record at byte {offset} does not fit", offset)
        return 0

    def _go_on(self, o: i64) -> None:
        """Step over what lies between the damage and ``data[o]``."""
        self._note(self.trouble_at, o - self.pos, self.trouble)
        self.pos = o
        self.searching = False
        self.trouble = ""

    def _note(self, offset: i64, length: i64, text: str) -> None:
        self.gap_count += 1
        self.skipped_bytes += length
        if length > 0:
            self.gap_frame = self.number_base + self.frames
        if len(self.gaps) < MAX_GAPS:
            self.gaps.append(Gap(offset, length, text))
