"""How a text report looks: width, colour, and signs that the output can show."""

from __future__ import annotations

import re
import textwrap
from typing import Final, NamedTuple

_SGR: Final = {"error": "1;31", "warning": "33", "note": "36", "good": "32", "head": "1", "dim": "2"}

_ASCII: Final = str.maketrans("→←▶◀✕✓✗│⋮…–·×─µ█", "><><X+-|:~--x-u#")

_NO_BREAK: Final = "\u00a0"
_QUANTITY: Final = re.compile(r"(\d) (ns|µs|ms|s|min|h|d|B|[kMGTP]B|frames?|bytes?)\b")


class Style(NamedTuple):
    """``width`` in columns; ``color``: SGR sequences may be used; ``unicode``: the output takes more than ASCII."""

    width: int = 80
    color: bool = False
    unicode: bool = True

    def paint(self, text: str, role: str) -> str:
        """``text`` in the colour of a severity (or "good", "head", "dim"), where colour is wanted."""
        sequence = _SGR.get(role)
        return f"\x1b[{sequence}m{text}\x1b[0m" if self.color and text and sequence else text

    def wrap(self, text: str, indent: str = "", first: str | None = None) -> str:
        """``text`` in lines of at most the width, each behind ``indent`` (the first behind ``first``, if given)."""
        lines = textwrap.wrap(
            _QUANTITY.sub(f"\\1{_NO_BREAK}\\2", text),
            max(self.width, len(indent) + 20),
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return "\n".join(lines).replace(_NO_BREAK, " ")

    def finish(self, text: str) -> str:
        """The text as the output takes it. Each sign has an ASCII stand-in as wide as itself: tables stay straight."""
        return text if self.unicode else text.translate(_ASCII)
