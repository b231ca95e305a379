"""Writes a report as one HTML file that refers to nothing outside of itself; see templates beside this module.

Whatever came from the wire is escaped: by Jinja where it is part of the page, as JSON where scripts use it. A Content Security
Policy forbids the page everything but its own scripts, which it names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from tcpscope.errors import OptionError
from tcpscope.report.chart_parts import DARKER, VEGA_LITE
from tcpscope.report.html.model import Document, Page, Table, shown

GRAPHS_NEED: Final = "The graphs over time need pip install 'tcpscope[html]' (vl-convert-python is missing)."
GRAPHS_SIZE: Final = 6_000_000
"""Characters that the graphs of a report may take: with all else, a page that a browser opens at once."""

GRAPHS_LEFT_OUT: Final = "The graphs are left out, since the report would become too large: tcpscope plot draws them."
NEEDED: Final = "needs pip install 'tcpscope[html]'"

SYMBOLS: Final = {"error": "✖", "warning": "▲", "note": "●", "good": "✓", "aside": "", "": ""}
"""Severities are told by these signs as well as by colours."""

# What ends a script or begins markup, in JSON, where it can only stand within a string
_IN_SCRIPT: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def check_installed() -> None:
    """See that HTML can be written.

    :raises OptionError: Jinja2 is not installed.
    """
    _jinja()


def html_possible() -> bool:
    """Whether HTML can be written."""
    try:
        _jinja()
    except OptionError:
        return False
    return True


def _jinja() -> Any:
    try:
        return importlib.import_module("jinja2")
    except ImportError as error:
        raise OptionError(f"HTML {NEEDED}") from error


def graphs_possible() -> bool:
    """Whether the library that draws graphs is there."""
    return _vega() is not None


def _vega() -> Any:
    try:
        return importlib.import_module("vl_convert")
    except ImportError:
        return None


def embedded(value: object) -> str:
    """JSON that can stand between script tags: ASCII, without any sign that HTML knows."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)


def render(document: Document) -> str:
    """The whole report."""
    jinja = _jinja()
    environment = jinja.Environment(
        loader=jinja.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = any(page.drawing.graphs for page in document.pages)
    vega = _vega() if drawn else None
    scripts = [_resource("report.js")]
    if vega is not None:
        scripts.insert(0, vega.javascript_bundle(vl_version=VEGA_LITE))
    environment.filters["shown"] = shown
    ids = {page.place: _id(number) for number, page in enumerate(document.pages, 1)}
    text: str = environment.get_template("report.html").render(
        doc=document,
        css=_resource("report.css"),
        scripts=scripts,
        policy=_policy(scripts),
        data={table.key: _data(table) for table in document.tables},
        specs=dict(zip(ids.values(), _all_specs(document.pages), strict=True)),
        graphs_left_out=GRAPHS_LEFT_OUT,
        darker=embedded(DARKER) if drawn else "",
        ids=ids,
        links={place: f"#{one}" for place, one in ids.items()},
        symbols=SYMBOLS,
    )
    return text


def page_links(places: Sequence[tuple[str, int, int]]) -> dict[tuple[str, int, int], str]:
    """Where within the report the pages of connections will be, by their places in the document's order."""
    return {place: f"#{_id(number)}" for number, place in enumerate(places, 1)}


def _id(number: int) -> str:
    return f"/connection/{number}"


def _data(table: Table) -> str:
    columns = [column._asdict() for column in table.columns]
    return embedded({"columns": columns, "rows": table.rows})


def _all_specs(pages: Sequence[Page]) -> list[str | None]:
    """The graphs of each page as JSON, "" where there are none; None where there is no room left for them."""
    found: list[str | None] = []
    room = GRAPHS_SIZE
    for page in pages:
        text = _specs(page.drawing.graphs)
        room -= len(text)
        found.append(text if room >= 0 or not text else None)
    return found


def _specs(graphs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """The graphs in light, as JSON; the page itself takes other colours in dark."""
    if not graphs:
        return ""
    return embedded([{"key": key, "title": title, "spec": spec} for key, title, spec in graphs])


def _policy(scripts: Sequence[str]) -> str:
    """Nothing may be loaded, and no script runs but those given."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _resource(name: str) -> str:
    return files("tcpscope.report.html").joinpath(name).read_text(encoding="utf-8")
