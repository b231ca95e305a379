"""``tcpscope explain``: why a segment is called what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, color_option, join_option, joined, output_option, reading_options
from tcpscope.cli.output import FAILED, Output, failure

if TYPE_CHECKING:
    from tcpscope.cli.twice import Twice
    from tcpscope.options import Options
    from tcpscope.report.explain import Finder


@click.command(name="explain", short_help="Explain what is said of one segment.")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@click.option("--frame", type=click.IntRange(min=1), required=True, metavar="N", help="The frame to explain.")
@join_option
@output_option
@reading_options
@color_option
@collected
def command(
    files: tuple[str, ...],
    frame: int,
    join: bool,
    output: str | None,
    no_progress: bool,
    color: str,
    options: Options,
) -> int:
    """Explain one segment: its effect on both states, why it has or has not Wireshark's flags and a cause, with the values
    that were compared and the frames that they come from, and the findings that name it.

    FILE is the path of a capture, or - for standard input. It is read twice; what comes from a pipe or a URL is kept in a
    temporary file in between.
    """
    from tcpscope.cli.twice import Twice
    from tcpscope.report.build import capture_report
    from tcpscope.report.explain import Explainer, Finder
    from tcpscope.report.explain_text import explanation_text
    from tcpscope.report.problems import problems_of

    files = joined(files, join)
    with Output(output, files) as out, Twice(files, not no_progress) as capture:
        finder = Finder(options, frame)
        capture.first(finder)
        problems = list(problems_of(finder.pipeline))
        if finder.hits:
            explainer = Explainer(options, finder.hits)
            capture.again(explainer)
            style = out.style(color)
            facts = capture_report(finder.session.facts, files[0], ())
            texts = [explanation_text(style, one, finder.findings, facts.files) for one in explainer.explanations]
            out.write(style.finish("\n\n".join(texts) + "\n"))
        elif finder.pipeline.facts.format or not problems:
            problems.append(_why_not(finder, capture, options, frame))
    for problem in problems:
        failure(problem)
    return FAILED if problems else 0


def _why_not(finder: Finder, capture: Twice, options: Options, frame: int) -> str:
    """Why there is no segment to explain."""
    from tcpscope.report.frames import FrameReader

    facts = finder.session.facts
    name = facts.files[0].name
    if frame > facts.frames:
        return f"{name} has no frame {frame}: it has {facts.frames}"
    reader = FrameReader(options, frame)
    capture.again(reader)
    return f"frame {frame} of {name} {reader.answer}"
