"""``tcpscope segments``: the TCP segments of a capture, one a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, frame_range, join_option, joined, output_option, reading_options
from tcpscope.cli.output import FAILED, Output, failure

if TYPE_CHECKING:
    from tcpscope.options import Options


@click.command(name="segments", short_help="List the TCP segments of a capture, one a row.")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@click.option(
    "--connection", "stream", type=click.IntRange(min=0), metavar="N", help="Only this connection (tcp.stream)."
)
@click.option("--flagged", is_flag=True, help="Only segments that Wireshark's analysis or a cause says something of.")
@click.option("--frames", metavar="A-B", callback=frame_range, help="Only frames A to B; A, A- and -B work, too.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="table: for people, times since the first segment. csv, jsonl: for programs.",
)
@join_option
@output_option
@reading_options
@collected
def command(
    files: tuple[str, ...],
    stream: int | None,
    flagged: bool,
    frames: tuple[int, int] | None,
    format_name: str,
    join: bool,
    output: str | None,
    no_progress: bool,
    options: Options,
) -> int:
    """List the TCP segments of a capture in file order, with Wireshark's analysis and both sides' states.

    FILE is the path of a capture, or - for standard input.
    """
    from tcpscope.cli.reading import read_capture
    from tcpscope.crypto.keylog import read_key_logs
    from tcpscope.report.problems import problems_of
    from tcpscope.report.segments import Choice, CsvRows, JsonRows, SegmentLister, TableRows

    read_key_logs(options.keylog)  # nothing in the rows depends on it, but a file that is none is told
    files = joined(files, join)
    with Output(output, files) as out:
        rows: CsvRows | JsonRows | TableRows
        if format_name == "csv":
            rows = CsvRows(out.write, join)
        elif format_name == "jsonl":
            rows = JsonRows(out.write, join)
        else:
            rows = TableRows(out.write, out.style("never"))
        lister = SegmentLister(options, rows.row, Choice(stream, flagged, *(frames or ())))
        rows.begin()
        read_capture(files, lister, not no_progress and not out.on_terminal)
        rows.end()
    problems = list(problems_of(lister.pipeline))
    for problem in problems:
        failure(problem)
    return FAILED if problems else 0
