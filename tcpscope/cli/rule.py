"""``tcpscope rule``: the manual of one rule."""

from __future__ import annotations

import click

from tcpscope.cli.common import color_option, output_option
from tcpscope.cli.output import Output


@click.command(name="rule", short_help="Show the manual of one rule.")
@click.argument("rule", metavar="CODE|NAME")
@click.option("--format", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@output_option
@color_option
def command(rule: str, format_name: str, output: str | None, color: str) -> None:
    """Show what a rule does, why it matters, an example, how to fix what it finds, and references.

    The rule is given by its code (TS204) or its name.
    """
    from tcpscope.report import manuals
    from tcpscope.rules import find_rule

    found = find_rule(rule)
    with Output(output) as out:
        if format_name == "json":
            out.write(manuals.rules_json([found]))
        else:
            style = out.style(color)
            out.write(style.finish(manuals.manual_text(style, found)))
