"""``tcpscope segments``: the TCP segments of a capture, one a row."""

from __future__ import annotations

import click

from tcpscope.cli.common import make_options, output_option, reading_options
from tcpscope.cli.output import FAILED, Output, failure


@click.command(name="segments", short_help="List the TCP segments of a capture, one a row.")
@click.argument("file", metavar="FILE")
@click.option(
    "--connection", "stream", type=click.IntRange(min=0), metavar="N", help="Only this connection (tcp.stream)."
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="table: for people, times since the first segment. csv, jsonl: for programs.",
)
@output_option
@reading_options
def command(
    file: str,
    stream: int | None,
    format_name: str,
    output: str | None,
    msl: float,
    verify_checksums: bool,
    max_connections: int,
    no_progress: bool,
) -> int:
    """List the TCP segments of a capture in file order, with Wireshark's analysis and both sides' states.

    FILE is the path of a capture, or - for standard input.
    """
    from tcpscope.capture.source import open_source
    from tcpscope.cli.progress import Progress
    from tcpscope.cli.reading import problem_of, read_into
    from tcpscope.report.segments import CsvRows, JsonRows, SegmentLister, TableRows

    options = make_options(msl, verify_checksums, max_connections)
    with open_source(file) as source, Output(output, (file,)) as out:
        rows: CsvRows | JsonRows | TableRows
        if format_name == "csv":
            rows = CsvRows(out.write)
        elif format_name == "jsonl":
            rows = JsonRows(out.write)
        else:
            rows = TableRows(out.write, out.style("never"))
        lister = SegmentLister(options, rows.row, stream)
        rows.begin()
        with Progress(source.name, source.size, not no_progress and not out.on_terminal) as bar:
            stopped = read_into(source, lister.feed, bar)
        lister.finish(*stopped)
        rows.end()
    problem = problem_of(source.name, lister.pipeline)
    if problem:
        failure(problem)
    return FAILED if problem else 0
