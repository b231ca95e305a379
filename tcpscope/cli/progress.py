"""A progress bar on standard error, for work that takes long and only on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

SILENT_SECONDS: Final = 0.5
"""Shorter work shows no bar."""


class Progress:
    """How far the reading of an input of ``size`` bytes is; of None (a pipe), or if it is not wanted, nothing is shown."""

    def __init__(self, name: str, size: int | None, wanted: bool) -> None:
        self._name = name
        self._size = size
        self._wanted = wanted and bool(size) and sys.stderr is not None and sys.stderr.isatty()
        self._started = time.monotonic()
        self._done = 0
        self._bar: ProgressBar[int] | None = None

    def reached(self, position: int) -> None:
        """So many bytes are done."""
        if not self._wanted:
            return
        count = position - self._done
        self._done = position
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._started > SILENT_SECONDS:
            import click

            self._bar = click.progressbar(length=self._size or 1, label=self._name, file=sys.stderr, show_pos=False)
            self._bar.__enter__()
            self._bar.update(self._done)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            # Shows the cursor again and ends the line, which is then wiped: the report begins where the bar stood.
            self._bar.render_finish()
            sys.stderr.write("\x1b[1A\r\x1b[2K")
            sys.stderr.flush()
