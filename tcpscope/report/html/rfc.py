"""Where a section of an RFC can be read."""

from __future__ import annotations

import re
from typing import Final

_SECTION: Final = re.compile(r"RFC (\d{1,5})(?: (?:section|appendix) ([0-9A-Z.]+))?")


def rfc_link(text: str) -> str:
    """The address of what a text such as ``RFC 9293 section 3.5`` names first; "" if it names none."""
    found = _SECTION.search(text)
    if found is None:
        return ""
    number, section = found[1], (found[2] or "").rstrip(".")
    kind = "appendix" if section[:1].isalpha() else "section"
    return f"https://www.rfc-editor.org/rfc/rfc{number}" + (f"#{kind}-{section}" if section else "")
