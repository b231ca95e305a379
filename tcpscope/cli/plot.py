"""``tcpscope plot``: graphs of one connection."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, connection_option, join_option, joined, output_option, reading_options
from tcpscope.cli.output import FAILED, Output, failure

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.model import ConnectionReport


@click.command(name="plot", short_help="Draw graphs of a connection, as SVG or PNG.")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@connection_option
@click.option(
    "--graph",
    "graphs",
    type=click.Choice(["sequence", "rtt", "throughput", "window", "all"]),
    multiple=True,
    default=["all"],
    show_default=True,
    help="What to draw; may be given several times. A graph for which the capture has no data is left out.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["svg", "png"]),
    help="By default what the name of the output ends in, else svg.",
)
@click.option("--dark", is_flag=True, help="Light lines on a dark ground.")
@click.option(
    "--width",
    type=click.IntRange(min=300, max=4000),
    default=760,
    show_default=True,
    metavar="PIXELS",
    help="Width of the picture; a PNG has twice as many, for sharp screens.",
)
@join_option
@output_option
@reading_options
@collected
def command(
    files: tuple[str, ...],
    stream: int | None,
    graphs: tuple[str, ...],
    format_name: str | None,
    dark: bool,
    width: int,
    join: bool,
    output: str | None,
    no_progress: bool,
    options: Options,
) -> int:
    """Draw graphs of one connection: sequence numbers of both sides over time, with what was lost and sent again and why,
    round-trip times, throughput, and bytes in flight against the receiver's window.

    FILE is the path of a capture, or - for standard input. It is read twice; what comes from a pipe or a URL is kept in a
    temporary file in between. Needs pip install 'tcpscope[html]'.
    """
    from tcpscope.cli.choice import choose
    from tcpscope.cli.twice import Twice
    from tcpscope.report.charts import charts
    from tcpscope.report.draw import picture, ready
    from tcpscope.report.graph import GraphCollector
    from tcpscope.report.ladder_rows import Rereader

    ready()  # before anything is read
    form = _format_of(output, format_name)
    files = joined(files, join)
    with Output(output, files) as out, Twice(files, not no_progress) as capture:
        if form == "png" and out.on_terminal:
            raise click.UsageError("A PNG is nothing for a terminal: name a file with --output.")
        session, subject, status = choose(capture, options, stream)
        if subject.report is None or subject.target is None:
            return status
        collector = GraphCollector(subject.target)
        capture.again(Rereader(options, {subject.target: (collector,)}))
        drawn = charts(collector.graph(subject.report), dark, width)
        chosen = [chart for chart in drawn if "all" in graphs or chart.key.partition("-")[0] in graphs]
        if chosen:
            header = _header(subject.report, session.facts.files[0].name)
            out.write_bytes(picture(chosen, header, form, dark))
        else:
            why = f"there is data for {', '.join(chart.key for chart in drawn)}" if drawn else "it carries no data"
            failure(f"connection {subject.report.stream} has nothing to draw: {why}")
            status = FAILED
    return status


def _format_of(output: str | None, name: str | None) -> str:
    """The format that is asked for, or that the name of the output says."""
    suffix = PurePath(output or "").suffix[1:].lower()
    if name is None and output is not None and suffix not in {"svg", "png"}:
        raise click.UsageError(f"--output {output} ends in neither .svg nor .png: say with --format what it shall be.")
    return name or suffix or "svg"


def _header(report: ConnectionReport, name: str) -> list[str]:
    """What the picture shows, in two lines."""
    from tcpscope.report.quantities import day_and_time
    from tcpscope.rules.words import span

    return [
        f"Connection {report.stream} of {PurePath(name).name or name}",
        f"{report.client} → {report.server}, {day_and_time(report.start_ns)}, {span(report.duration_ns)}",
    ]
