"""``tcpscope check``: the linter for captures."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, color_option, reading_options, rule_names, rule_options, trust_options
from tcpscope.cli.output import Output, failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpscope.check.baseline import Baseline
    from tcpscope.check.outcome import CheckResult
    from tcpscope.check.policy import Finder, Policy
    from tcpscope.many.inputs import Input
    from tcpscope.options import Options

PEOPLE = ("text", "full")
"""Formats for people: with colours on a terminal."""


@click.command(name="check", short_help="Check captures against a policy, as a linter does.")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    default="text",
    show_default=True,
    help="text: one line a problem. full: with explanations. json: for programs. sarif, junit, github, gitlab, markdown "
    "(for a pull request), tap: for CI systems.",
)
@click.option(
    "-o",
    "--output",
    multiple=True,
    metavar="FORMAT=FILE",
    help="Write this format to this file, besides what goes to standard output; may be repeated. FILE alone takes what "
    "would go to standard output.",
)
@click.option("--config", metavar="FILE", help="Use this policy for all captures.")
@click.option("--isolated", is_flag=True, help="Look for no policy file.")
@rule_options
@click.option("--extend-select", multiple=True, metavar="RULES", help="Rules to use besides the selected ones.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    help="Exit with status 1 if there is a problem of this severity or a worse one. By default as the policy says, else error.",
)
@click.option(
    "--baseline",
    metavar="FILE",
    help="Report only what this file of --write-baseline does not know, and name what is gone. By default as the policy says.",
)
@click.option(
    "--write-baseline",
    metavar="FILE",
    help="Write what is found to this file: it is known from now on.",
)
@click.option("--show-config", is_flag=True, help="Show the policy that is in force, and check nothing.")
@click.option("--schema", is_flag=True, help="Show the JSON Schema of a policy, for editors.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes to use at most. 0: as many as there are processors and the work pays for.",
)
@reading_options
@trust_options
@color_option
@click.pass_context
@collected
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    format_name: str,
    output: tuple[str, ...],
    config: str | None,
    isolated: bool,
    extend_select: tuple[str, ...],
    fail_on: str | None,
    baseline: str | None,
    write_baseline: str | None,
    show_config: bool,
    schema: bool,
    jobs: int,
    no_progress: bool,
    color: str,
    options: Options,
) -> int:
    """Check captures: print only problems, and exit with status 1 if one fails the check.

    PATH is a capture, a directory that is searched for captures, a pattern such as "captures/**/*.pcap", a URL, or - for
    standard input. Of the directories from a capture upwards the first with a tcpscope.toml, or a pyproject.toml with
    [tool.tcpscope], says which rules count and what is expected.
    """
    from tcpscope.check.policy import Finder, Overrides
    from tcpscope.many.inputs import find

    if schema:
        from tcpscope.check.schema import schema_text

        click.echo(schema_text(), nl=False)
        return 0
    given = ctx.get_parameter_source("msl") is not click.core.ParameterSource.DEFAULT
    overrides = Overrides(
        options.select,
        options.ignore,
        rule_names(extend_select),
        fail_on,
        options.msl_seconds if given else None,
        options.verify_checksums,
        options.keylog,
        options.ca_file,
        options.system_ca,
        options.crl,
        options.max_connections,
        options.salvage,
    )
    finder = Finder(config, isolated, overrides)
    if show_config:
        return _show_config(paths, finder)
    if not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    ours, files = _outputs(format_name, output)
    return _check(find(paths), finder, ours, files, (baseline, write_baseline), jobs, color, not no_progress)


def _show_config(paths: Sequence[str], finder: Finder) -> int:
    from tcpscope.check.show import config_text
    from tcpscope.many.inputs import find

    policies: list[Policy] = []
    for one in find(paths) if paths else [None]:
        policy = finder.of("-" if one is None else one.path)
        if not any(policy is known for known in policies):
            policies.append(policy)
    click.echo("\n".join(config_text(policy) for policy in policies), nl=False)
    return 0


def _outputs(format_name: str, outputs: Sequence[str]) -> tuple[tuple[str, str | None], list[tuple[str, str]]]:
    """What goes to standard output (or to a file in its place), and formats with their files."""
    files: list[tuple[str, str]] = []
    instead = None
    for value in outputs:
        found = re.match(r"([a-z-]+)=(.+)", value, re.DOTALL)
        if found is not None:
            files.append((_known(found.group(1)), found.group(2)))
        elif instead is not None:
            raise click.UsageError(
                f"--output {value}: standard output goes to {instead} already; FORMAT=FILE adds another."
            )
        else:
            instead = value
    return (_known(format_name), instead), files


def _known(name: str) -> str:
    from tcpscope.check.formats import FORMATS
    from tcpscope.check.kinds import nearest

    if name in FORMATS:
        return name
    raise click.UsageError(f"{name!r} is no format{nearest(name, FORMATS)}: there are {', '.join(FORMATS)}.")


def _check(
    inputs: Sequence[Input],
    finder: Finder,
    ours: tuple[str, str | None],
    files: Sequence[tuple[str, str]],
    baselines: tuple[str | None, str | None],
    jobs: int,
    color: str,
    progress: bool,
) -> int:
    from tcpscope.check.run import prepare, run
    from tcpscope.cli.progress import Progress

    prepared = prepare(inputs, finder, ladders=any(name == "full" for name, _ in (ours, *files)))
    known = _baselines(prepared.policies, *baselines)
    captures = tuple(one.path for one in inputs)
    with ExitStack() as stack:
        streams = [(name, stack.enter_context(Output(file, captures))) for name, file in (ours, *files)]
        with Progress("checking", len(inputs), progress) as bar:
            result = _compared(run(prepared, jobs, bar.reached), known, baselines[1], captures)
        for name, stream in streams:
            stream.write(_rendered(name, result, stream, color))
    if ours[0] not in PEOPLE or ours[1] is not None:
        for capture in result.captures:
            if not capture.usable:
                failure(capture.error or capture.damage[0])
    return result.exit_status


def _baselines(policies: Sequence[Policy], given: str | None, written: str | None) -> list[Baseline | None]:
    """The baseline of each policy. One that is about to be written is not asked for, unless the command line does."""
    from tcpscope.check.baseline import read

    paths = [given or ("" if written else policy.baseline) for policy in policies]
    loaded = {path: read(path) for path in dict.fromkeys(paths) if path}
    return [loaded.get(path) for path in paths]


def _compared(
    result: CheckResult, known: Sequence[Baseline | None], written: str | None, captures: tuple[str, ...]
) -> CheckResult:
    """The result without what is known: by the baselines or else, where one is written, by that."""
    from tcpscope.check.baseline import apply, record, text

    if written:
        new = record(result, written)
        with Output(written, captures) as out:
            out.write(text(new))
        if not any(known):
            known = [new] * len(known)
    return apply(result, known)


def _rendered(name: str, result: CheckResult, stream: Output, color: str) -> str:
    if name in PEOPLE:
        from tcpscope.check.formats import as_full, as_text

        style = stream.style(color)._replace(
            width=100
        )  # whatever the terminal's: the same capture gives the same report
        return as_text.render(result, style) if name == "text" else as_full.render(result, style)
    from tcpscope.check.formats import renderer

    return renderer(name)(result)
