"""``tcpscope show``: the ladder diagram of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import (
    collected,
    color_option,
    connection_option,
    frame_range,
    join_option,
    joined,
    output_option,
    reading_options,
)
from tcpscope.cli.output import Output

if TYPE_CHECKING:
    from tcpscope.options import Options


@click.command(name="show", short_help="Draw a connection as a ladder diagram.")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@connection_option
@click.option(
    "--rows",
    type=click.IntRange(min=5, max=100_000),
    metavar="N",
    help="Draw as many as N segments, by default 40 and fewer of a long connection. Those left out are counted in their place.",
)
@click.option("--frames", metavar="A-B", callback=frame_range, help="Draw frames A to B first; A, A- and -B work, too.")
@click.option("--svg", metavar="FILE", help="Write a picture (SVG) to this file, and no text; - is standard output.")
@join_option
@output_option
@reading_options
@color_option
@collected
def command(
    files: tuple[str, ...],
    stream: int | None,
    rows: int | None,
    frames: tuple[int, int] | None,
    svg: str | None,
    join: bool,
    output: str | None,
    no_progress: bool,
    color: str,
    options: Options,
) -> int:
    """Draw one connection as a ladder diagram: who sent what and when, and the states that it led to.

    Of a long connection the opening, the first data, the places of trouble and the closing are drawn. An arrow that ends
    in a cross is a segment that was captured, but as its receiver's acknowledgements prove never arrived.

    FILE is the path of a capture, or - for standard input. It is read twice; what comes from a pipe or a URL is kept in a
    temporary file in between.
    """
    from tcpscope.cli.choice import choose
    from tcpscope.cli.twice import Twice
    from tcpscope.report.build import capture_report
    from tcpscope.report.ladder import ladder, wanted_frames
    from tcpscope.report.ladder_rows import Chooser, Rereader

    if svg is not None and output is not None:
        raise click.UsageError("--svg and --output exclude each other: the picture is all that --svg writes.")
    files = joined(files, join)
    with Output(output if svg in (None, "-") else svg, files) as out, Twice(files, not no_progress) as capture:
        session, subject, status = choose(capture, options, stream)
        if subject.report is not None and subject.target is not None:
            chooser = Chooser(subject.target, wanted_frames(subject.report), rows, frames)
            capture.again(Rereader(options, {subject.target: (chooser,)}))
            drawing = ladder(subject.report, chooser, subject.other_parts)
            if svg is not None:
                from tcpscope.report.ladder_svg import ladder_svg

                out.write(ladder_svg(drawing))
            else:
                from tcpscope.report.ladder_text import ladder_text

                style = out.style(color)
                facts = capture_report(session.facts, files[0], ())
                out.write(style.finish(ladder_text(style, drawing, facts.files) + "\n"))
    return status
