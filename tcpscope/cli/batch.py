"""``tcpscope batch``: many captures, one answer."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tcpscope.cli.common import collected, fail_on_option, fails, reading_options, rule_options, trust_options
from tcpscope.cli.output import FAILED, FOUND, failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpscope.batch.overview import Overview, Problem
    from tcpscope.many.inputs import Input
    from tcpscope.options import Options

MOST_FAILURES = 20
"""Captures that could not be read and are named on standard error; all are in the report."""


@click.command(name="batch", short_help="Judge many captures: tables and a report.")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Where everything goes.")
@click.option(
    "--from",
    "lists",
    multiple=True,
    metavar="FILE",
    help="Take further PATHs from the lines of this file; - is standard input. With a zero byte in it, it is split at those.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes to use. 0: as many as there are processors.",
)
@click.option(
    "--join",
    is_flag=True,
    help="Read the files of a capture that was split while it was taken (dumpcap -b, tcpdump -C/-W/-G) as one. Their names and times "
    "tell which.",
)
@click.option("--force", is_flag=True, help="Judge again what is done already.")
@click.option(
    "--by-content",
    is_flag=True,
    help="A capture is done if its content was judged before, whatever its time says. Reads each capture once more.",
)
@click.option(
    "--tables",
    type=click.Choice(["parquet", "csv"]),
    help="Format of the tables. By default Parquet where pyarrow is installed, else CSV.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Let the workers of this Dask cluster do it; local starts one here. They must see captures and DIR under the same "
    "names.",
)
@rule_options
@fail_on_option
@reading_options
@trust_options
@collected
def command(
    paths: tuple[str, ...],
    directory: str,
    lists: tuple[str, ...],
    jobs: int,
    join: bool,
    force: bool,
    by_content: bool,
    tables: str | None,
    dask: str | None,
    fail_on: str | None,
    no_progress: bool,
    options: Options,
) -> int:
    """Judge many captures, and write tables and a report over all of them to a directory.

    PATH is a capture, a directory that is searched for captures, a pattern such as "captures/**/*.pcap", or a URL. What is done
    stays done: the same command goes on where it was interrupted, and looks only at what is new or has changed.
    """
    from tcpscope.batch.tables import table_format
    from tcpscope.many.inputs import find
    from tcpscope.many.series import join_series

    wanted = [*paths, *(path for one in lists for path in _listed(one))]
    if not wanted and not lists:
        raise click.UsageError("Missing argument 'PATH...'.")
    if "-" in wanted:
        raise click.UsageError("A batch cannot read a capture from standard input; analyze can. --from - takes a list.")
    table_format(tables)
    inputs = find(wanted)
    over = _run(
        join_series(inputs) if join else inputs,
        directory,
        options._replace(zeek=True),
        jobs,
        force,
        by_content,
        tables,
        dask,
        progress=not no_progress,
    )
    status = FAILED if over.unreadable or over.damaged else 0
    if status == 0 and fails({"error": over.errors, "warning": over.warnings, "note": over.notes}, fail_on):
        status = FOUND
    return status


def _listed(path: str) -> list[str]:
    """The paths of a list."""
    from tcpscope.errors import SourceError

    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the list {path}: {getattr(error, 'strerror', None) or error}") from error
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [line.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()) for line in lines if line.strip()]


def _run(
    inputs: Sequence[Input],
    directory: str,
    options: Options,
    jobs: int,
    force: bool,
    by_content: bool,
    tables: str | None,
    dask: str | None,
    *,
    progress: bool,
) -> Overview:
    from tcpscope.batch.html import document
    from tcpscope.batch.markdown import render
    from tcpscope.batch.overview import overview
    from tcpscope.batch.pages import make_pages
    from tcpscope.batch.run import run_batch
    from tcpscope.batch.store import Writing
    from tcpscope.batch.tables import table_format, write_tables
    from tcpscope.cli.batch_progress import BatchProgress
    from tcpscope.report.html.render import GRAPHS_NEED, NEEDED, graphs_possible, html_possible
    from tcpscope.report.html.render import render as render_html
    from tcpscope.rules.words import plural

    with ExitStack() as stack:
        executor = None
        if dask is not None:
            from tcpscope.batch.cluster import dask_executor

            executor = stack.enter_context(dask_executor(dask, jobs))
        with BatchProgress(len(inputs), progress) as bar:
            ran = run_batch(
                inputs,
                directory,
                options,
                executor=executor,
                jobs=jobs,
                force=force,
                by_content=by_content,
                progress=bar.done,
                started=bar.begin,
            )
        over = overview(ran, write_tables(ran, directory, tables))
        report = _write(directory, "report.md", render(over))
        if html_possible():
            pages = make_pages(
                inputs, over.aggregate, directory, options, executor=executor, jobs=jobs, by_content=by_content
            )
            notices = (GRAPHS_NEED,) if pages and not graphs_possible() else ()
            kind = table_format(tables)
            report = _write(directory, "report.html", render_html(document(over, pages, tables=kind, notices=notices)))
        else:
            with Writing(directory):
                Path(directory, "report.html").unlink(missing_ok=True)  # of an earlier run: it says something else
            failure(f"report.html {NEEDED}")
    _failures(over.unreadable, over.damaged)
    reused = f", {ran.reused:,} of them done before" if ran.reused else ""
    counts = f"{plural(over.errors, 'error')}, {plural(over.warnings, 'warning')}, {plural(over.notes, 'note')}"
    click.echo(
        f"{plural(over.captures, 'capture')}{reused}, {plural(over.connections, 'connection')}: {counts}. Report: {report}"
    )
    return over


def _write(directory: str, name: str, text: str) -> str:
    from tcpscope.batch.store import AtomicFile

    path = str(Path(directory, name))
    with AtomicFile(path) as file:
        file.write(text)
        file.keep()
    return path


def _failures(*problems: Sequence[Problem]) -> None:
    together = [problem for some in problems for problem in some]
    for problem in together[:MOST_FAILURES]:
        failure(problem.reason if problem.path in problem.reason else f"{problem.path}: {problem.reason}")
    if len(together) > MOST_FAILURES:
        failure(f"{len(together) - MOST_FAILURES:,} more captures could not be read in full: see the report")
