"""``tcpscope rules``: all rules in a table."""

from __future__ import annotations

import click

from tcpscope.cli.common import color_option, output_option, rule_names, rule_options
from tcpscope.cli.output import Output


@click.command(name="rules", short_help="List all rules.")
@click.option("--format", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@output_option
@rule_options
@color_option
def command(
    format_name: str,
    output: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    color: str,
) -> None:
    """List the rules with their code, name, severity and the section of the RFC that they rest on."""
    from tcpscope.report import manuals
    from tcpscope.rules import select as selected

    rules = selected(rule_names(select), rule_names(ignore))
    with Output(output) as out:
        if format_name == "json":
            out.write(manuals.rules_json(rules))
        else:
            style = out.style(color)
            out.write(style.finish(manuals.rules_table(style, rules)))
