"""``tcpscope diff``: what is different between two captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import (
    collected,
    color_option,
    output_option,
    reading_options,
    rule_options,
    trust_options,
)
from tcpscope.cli.output import FAILED, FOUND, Output

if TYPE_CHECKING:
    from tcpscope.options import Options


def _share(ctx: click.Context, param: click.Parameter, value: str) -> float:
    number, percent = (value[:-1].strip(), True) if value.endswith("%") else (value, False)
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1e6:
        raise click.BadParameter(f"{value!r} is no share such as 20% or 0.2", ctx, param)
    return share


def _duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    from tcpscope.check.kinds import SECOND_NS, duration

    try:
        return duration(float(value) if value.replace(".", "", 1).isdecimal() else value) / SECOND_NS
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(name="diff", short_help="Compare two captures, or two reports of analyze --format json.")
@click.argument("old")
@click.argument("new")
@click.option("--format", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--tolerance",
    metavar="SHARE",
    callback=_share,
    default="20%",
    show_default=True,
    help="Times are different if they differ by more than this share of the old one …",
)
@click.option(
    "--floor",
    metavar="DURATION",
    callback=_duration,
    default="10ms",
    show_default=True,
    help="… and by more than this.",
)
@click.option("--no-timings", is_flag=True, help="Compare no times.")
@output_option
@rule_options
@reading_options
@trust_options
@color_option
@collected
def command(
    old: str,
    new: str,
    format_name: str,
    tolerance: float,
    floor: float,
    no_timings: bool,
    output: str | None,
    no_progress: bool,
    color: str,
    options: Options,
) -> int:
    """Compare two captures: verdicts, findings and times, connection by connection.

    OLD and NEW are captures or reports of `tcpscope analyze --format json`, one of each will do. Connections are matched by the
    port and the host name (SNI) of their servers, in order. Exit status: 0 no difference, 1 differences, 2 one of them
    cannot be read in full.
    """
    from tcpscope.check.diff import Tolerance, compare, read_side
    from tcpscope.check.diff_report import render_json, render_text, same
    from tcpscope.rules import select as chosen

    codes = None
    if options.select or options.ignore:
        codes = frozenset(rule.code for rule in chosen(options.select, options.ignore))
    with Output(output, (old, new)) as out:
        sides = [read_side(path, options, codes) for path in (old, new)]
        diffs = compare(sides[0], sides[1], None if no_timings else Tolerance(tolerance, floor))
        out.write(render_json(diffs) if format_name == "json" else render_text(diffs, out.style(color)))
    if any(capture.damage for side in sides for capture in side):
        return FAILED
    return 0 if same(diffs) else FOUND
