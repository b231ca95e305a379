"""Writes sample_pcaps/README.md from the scenarios."""

from __future__ import annotations

from pathlib import Path


def write_readme(folder: Path) -> None:
    _ = folder
