"""Graphs as one picture, SVG or PNG: needs the library vl-convert, which contains all that drawing takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcpscope.errors import OptionError
from tcpscope.report.chart_parts import INK, VEGA_LITE, Spec
from tcpscope.report.escape import printable

if TYPE_CHECKING:
    from tcpscope.report.charts import Chart

SCALE: Final = 2
"""Pixels of a PNG for each of the picture, so that it is sharp on today's screens."""

WHOLE: Final = ("$schema", "background", "config")
"""Keys that only the outermost specification may have."""


def ready() -> None:
    """See whether pictures can be drawn here.

    :raises OptionError: the library is missing.
    """
    try:
        import vl_convert  # noqa: F401, PLC0415
    except ImportError as error:
        raise OptionError("drawing graphs needs pip install 'tcpscope[html]'") from error


def picture(charts: Sequence[Chart], header: Sequence[str], form: str, dark: bool = False) -> bytes:
    """The charts below each other, under a title and further lines. ``form``: svg (in UTF-8) or png.

    :raises OptionError: the library is missing.
    """
    ready()
    import vl_convert  # noqa: PLC0415

    spec = stacked(charts, header, dark)
    if form == "png":
        return bytes(vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=SCALE, allowed_base_urls=[]))
    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])).encode()


def stacked(charts: Sequence[Chart], header: Sequence[str], dark: bool) -> Spec:
    """One specification of all charts."""
    text, *more = (printable(line, backslash=False) for line in header)
    title: Spec = {
        "text": text,
        "subtitle": more,
        "anchor": "start",
        "fontSize": 15,
        "offset": 16,
        "color": INK[dark],
    }
    whole = {key: charts[0].spec[key] for key in WHOLE}
    parts = [{key: value for key, value in chart.spec.items() if key not in WHOLE} for chart in charts]
    return {"title": title, "vconcat": parts, "spacing": 28, "padding": 14, **whole}
