"""A rule's docstring as its manual: a title and five sections, the one source for the terminal, HTML and SARIF."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcpscope.rules.base import Rule

HEADINGS: Final = ("What it does", "Why it matters", "Example", "How to fix", "References")


@dataclass(frozen=True, slots=True)
class Manual:
    """``title`` is one sentence; ``sections`` are heading and text in the order of :data:`HEADINGS`, without indentation."""

    title: str
    sections: tuple[tuple[str, str], ...]

    def section(self, heading: str) -> str:
        """The text below one heading; empty if the manual lacks it."""
        return dict(self.sections).get(heading, "")

    def text(self) -> str:
        """The whole manual as plain text."""
        parts = [self.title]
        for heading, body in self.sections:
            indented = "\n".join(f"    {line}" if line else "" for line in body.splitlines())
            parts.append(f"{heading}:\n{indented}")
        return "\n\n".join(parts) + "\n"


def manual(rule: Rule | type[Rule]) -> Manual:
    """Read the manual from a rule's docstring."""
    lines = (inspect.getdoc(rule) or "").splitlines()
    title: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.rstrip(":") in HEADINGS and line.endswith(":"):
            sections.append((line.rstrip(":"), []))
        elif sections:
            sections[-1][1].append(line)
        else:
            title.append(line)
    return Manual(
        " ".join(title).strip(),
        tuple((heading, inspect.cleandoc("\n".join(body)).strip()) for heading, body in sections),
    )
