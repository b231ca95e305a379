"""``tcpscope show``: the ladder diagram of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, color_option, frame_range, output_option, reading_options
from tcpscope.cli.output import FAILED, Output, failure

if TYPE_CHECKING:
    from tcpscope.options import Options
    from tcpscope.report.ladder import Subject
    from tcpscope.report.session import Session


@click.command(name="show", short_help="Draw a connection as a ladder diagram.")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@click.option(
    "--connection",
    "stream",
    type=click.IntRange(min=0),
    metavar="N",
    help="This connection (tcp.stream); by default the one with the worst finding, the first of several.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=5, max=100_000),
    metavar="N",
    help="Draw as many as N segments, by default 40 and fewer of a long connection. Those left out are counted in their place.",
)
@click.option("--frames", metavar="A-B", callback=frame_range, help="Draw frames A to B first; A, A- and -B work, too.")
@click.option("--svg", metavar="FILE", help="Write a picture (SVG) to this file, and no text; - is standard output.")
@click.option(
    "--join",
    is_flag=True,
    help="Take several FILEs: one capture that was split while it was taken. Frame numbers count through all of them.",
)
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
    from tcpscope.capture.join import in_order
    from tcpscope.cli.twice import Twice
    from tcpscope.report.build import capture_report
    from tcpscope.report.ladder import Subject, ladder, wanted_frames
    from tcpscope.report.ladder_rows import Chooser, Rereader
    from tcpscope.report.session import Session

    if svg is not None and output is not None:
        raise click.UsageError("--svg and --output exclude each other: the picture is all that --svg writes.")
    if join:
        files = tuple(part.path for part in in_order(files))
    elif len(files) > 1:
        raise click.UsageError("Several files need --join: they are then read as one capture.")
    with Output(output if svg in (None, "-") else svg, files) as out, Twice(files, not no_progress) as capture:
        subject = Subject(options.msl_ns)
        session = Session(options, subject.connection, stream)
        capture.first(session)
        status = _problems(session, subject, stream)
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


def _problems(session: Session, subject: Subject, stream: int | None) -> int:
    """Say what is wrong with the input, or with the choice; the exit status."""
    from tcpscope.report.problems import problems_of

    problems = list(problems_of(session.pipeline))
    facts = session.facts
    if not problems and subject.report is None:
        name = facts.files[0].name
        known = f"it has connections 0 to {facts.connections - 1}" if facts.connections else "it has none"
        problems.append(f"{name} has no connection {'to draw' if stream is None else stream}: {known}")
    for problem in problems:
        failure(problem)
    return FAILED if problems else 0
