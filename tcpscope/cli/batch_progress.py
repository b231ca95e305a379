"""How far a batch is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

from tcpscope.cli.output import failure

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from tcpscope.batch.work import Done

LINE_EVERY: Final = 10.0
"""Seconds between two lines where there is no terminal."""


class BatchProgress:
    """Told each capture that gets done, says how many there are, how fast it goes, how long it will take and what was found."""

    def __init__(self, total: int, wanted: bool) -> None:
        self._total = total
        self._wanted = wanted and sys.stderr is not None
        self._terminal = self._wanted and sys.stderr.isatty()
        self._reused = 0
        self._count = 0
        self._errors = self._warnings = self._failed = 0
        self._started = self._told = time.monotonic()
        self._bar: ProgressBar[int] | None = None

    def begin(self, reused: int) -> None:
        """So many are done already."""
        self._reused = reused
        self._started = self._told = time.monotonic()
        if reused and self._wanted:
            failure(f"{reused:,} of {self._total:,} captures are done already")
        if self._terminal and self._total > reused:
            import click

            self._bar = click.progressbar(
                length=self._total - reused,
                file=sys.stderr,
                show_pos=True,
                item_show_func=lambda _: self._found(),
            )
            self._bar.__enter__()

    def done(self, one: Done) -> None:
        """One more."""
        self._count += 1
        self._errors += one.errors
        self._warnings += one.warnings
        self._failed += bool(one.error or one.damage)
        if self._bar is not None:
            self._bar.update(1, 1)
        elif self._wanted and not self._terminal and time.monotonic() - self._told >= LINE_EVERY:
            self._told = time.monotonic()
            count, left = self._reused + self._count, self._total - self._reused - self._count
            eta = left * (self._told - self._started) / self._count
            failure(f"{count:,} of {self._total:,} captures, {_clock(eta)} left, {self._found()}")

    def _found(self) -> str:
        rate = self._count / max(1e-3, time.monotonic() - self._started)
        unread = f", {self._failed:,} not read in full" if self._failed else ""
        return f"{rate:.3g}/s, {self._errors:,} errors, {self._warnings:,} warnings{unread}"

    def __enter__(self) -> BatchProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.render_finish()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
