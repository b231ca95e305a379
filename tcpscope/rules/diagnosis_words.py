"""What the sentences of a diagnosis are made of."""

from __future__ import annotations

from typing import Final, NamedTuple

HIGH: Final = "high"
MEDIUM: Final = "medium"
LOW: Final = "low"


class Said(NamedTuple):
    """A diagnosis in words. ``summary`` may begin in lower case; ``frames``: the evidence, zeros are left out."""

    confidence: str
    summary: str
    next_step: str
    frames: tuple[int, ...]
