"""``tcpscope states``: the table of state transitions."""

from __future__ import annotations

import click

from tcpscope.cli.common import color_option, output_option
from tcpscope.cli.output import Output


@click.command(name="states", short_help="Show the TCP state machine that tcpscope checks.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "dot", "json"]),
    default="table",
    show_default=True,
    help="dot: a drawing for Graphviz.",
)
@output_option
@color_option
def command(format_name: str, output: str | None, color: str) -> None:
    """Show the state machine of RFC 9293 that every verdict rests on, with the section of the RFC for each transition.

    Transitions marked "observer" exist only for who watches from outside.
    """
    from tcpscope.report import states

    with Output(output) as out:
        if format_name == "json":
            out.write(states.states_json())
        elif format_name == "dot":
            out.write(states.states_dot())
        else:
            style = out.style(color)
            out.write(style.finish(states.states_table(style)))
