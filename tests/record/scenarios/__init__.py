"""The scenarios, by what they are about; importing registers them."""

from __future__ import annotations

from . import closing, data, files, opening, timewait, tls

__all__ = ["closing", "data", "files", "opening", "timewait", "tls"]
