"""The formats of ``tcpscope check``: each is a module with ``render(result) -> str``, imported when it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, TypeAlias

from tcpscope.check.outcome import CheckResult

Renderer: TypeAlias = Callable[[CheckResult], str]

FORMATS: Final[dict[str, str]] = {
    "text": "as_text",
    "full": "as_full",
    "json": "as_json",
    "sarif": "as_sarif",
    "junit": "as_junit",
    "github": "as_github",
    "gitlab": "as_gitlab",
    "markdown": "as_markdown",
    "tap": "as_tap",
}
"""Name of a format to its module in this package."""


def renderer(name: str) -> Renderer:
    """The function that renders a result in a format of :data:`FORMATS`."""
    module = import_module(f"tcpscope.check.formats.{FORMATS[name]}")
    render: Renderer = module.render
    return render
