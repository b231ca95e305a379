"""``tcpscope analyze``: judge the connections of captures."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click

from tcpscope.cli.common import (
    collected,
    color_option,
    fail_on_option,
    fails,
    output_option,
    reading_options,
    rule_options,
    trust_options,
)
from tcpscope.cli.output import FAILED, FOUND, Output, failure
from tcpscope.errors import SourceError

COLLECT_EVERY: Final = 16
"""Inputs after which memory is tidied up."""

if TYPE_CHECKING:
    from tcpscope.cli.formats import Format
    from tcpscope.crypto.keylog import KeyLog
    from tcpscope.options import Options
    from tcpscope.report.model import Summary


def _ports(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        ports = tuple(int(port) for port in value.split(",")) if value != "none" else ()
    except ValueError:
        raise click.BadParameter("not a list of ports, nor none", ctx, param) from None
    if not all(0 <= port <= 65535 for port in ports):
        raise click.BadParameter("a port is from 0 to 65535", ctx, param)
    return ports


@click.command(name="analyze", short_help="Judge every connection of packet captures.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--connection",
    "stream",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only this connection (tcp.stream), in full.",
)
@click.option(
    "--join",
    is_flag=True,
    help="The files are one capture that was split while it was taken (dumpcap -b, tcpdump -C or -G). They are put in "
    "order by time; frame numbers count through all of them, as in the output of mergecap -a.",
)
@click.option("--all", "show_all", is_flag=True, help="Show all connections and all findings in the table.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "json", "jsonl", "html"]),
    default="table",
    show_default=True,
    help="table: for people. json: one document. jsonl: one connection a line, as each ends, then the capture. "
    "html: one page for a browser, with a picture of each of the worst connections; FILE is read twice.",
)
@click.option(
    "--zeek-server-ports",
    metavar="PORTS",
    callback=_ports,
    help="For conn_state and history: Zeek's likely_server_ports, if it does not run with its default scripts. "
    "80,443 or, for zeek -b, none.",
)
@output_option
@rule_options
@fail_on_option
@reading_options
@trust_options
@color_option
@collected
def command(
    files: tuple[str, ...],
    stream: int | None,
    join: bool,
    show_all: bool,
    format_name: str,
    output: str | None,
    fail_on: str | None,
    no_progress: bool,
    color: str,
    options: Options,
) -> int:
    """Judge every TCP connection of packet captures (pcap, pcapng or snoop): how it opened, carried data and closed, and TLS.

    FILE is the path of a capture, or - for standard input.
    """
    from tcpscope.crypto.keylog import read_key_logs
    from tcpscope.report.model import Summary
    from tcpscope.rules import judge_for

    # The table has no room for Zeek's view
    options = options._replace(zeek=format_name != "table" or stream is not None)
    if format_name == "html":
        from tcpscope.report.html.render import check_installed

        check_installed()  # before the output is opened
    keys = read_key_logs(options.keylog)
    judge_for(options)  # says now, not after the first input, that a rule or a file does not exist
    status = 0
    total = Summary()
    with Output(output, files) as out:
        report = _make_format(format_name, out, options, color, show_all, stream)
        progress = not no_progress and not (report.streaming and out.on_terminal)
        report.begin()
        captures = [files] if join else [(path,) for path in files]
        for number, capture in enumerate(captures, 1):
            last = number == len(captures)
            status = max(status, _analyze(capture, options, report, total, stream, progress, keys, last))
            if number % COLLECT_EVERY == 0:
                gc.collect()  # it is off (see main); of thousands of inputs what little each leaves would add up
        report.close(total)
    if status == 0 and fails(total.findings, fail_on):
        status = FOUND
    return status


def _make_format(name: str, out: Output, options: Options, color: str, show_all: bool, stream: int | None) -> Format:
    if name == "table":
        from tcpscope.cli.formats import TableFormat

        return TableFormat(out, options, out.style(color), show_all, stream)
    if name == "json":
        from tcpscope.many.document import JsonDocument

        return JsonDocument(out, options)
    if name == "html":
        from tcpscope.cli.formats_html import HtmlFormat

        return HtmlFormat(out, options)
    from tcpscope.cli.formats_json import JsonLinesFormat

    return JsonLinesFormat(out, options)


def _analyze(
    paths: tuple[str, ...],
    options: Options,
    report: Format,
    total: Summary,
    stream: int | None,
    progress: bool,
    keys: KeyLog,
    last: bool,
) -> int:
    """Report one capture, of one file or several; returns its exit status, without regard to findings."""
    from tcpscope.cli.formats import Drawer
    from tcpscope.cli.twice import Twice
    from tcpscope.report.problems import problems_of
    from tcpscope.report.session import Session

    report.start(paths[0])
    session = Session(options, report.connection, stream, report.threshold, keys)
    drawer = report if isinstance(report, Drawer) else None
    session.pipeline.flows.last = last and drawer is None  # who reads twice needs the memory of the first time
    with ExitStack() as stack:
        try:
            if len(paths) > 1:
                from tcpscope.capture.join import in_order

                paths = tuple(part.path for part in in_order(paths))
                report.start(paths[0])
            capture = stack.enter_context(Twice(paths, progress, wanted=drawer is not None))
            capture.first(session)
        except SourceError as error:
            failure(str(error))
            report.failed(str(error), None)
            return FAILED
        facts = session.facts
        problems = list(problems_of(session.pipeline))
        if not problems and stream is not None and session.summary.connections == 0:
            known = f"connections 0 to {facts.connections - 1}" if facts.connections else "no connection"
            problems.append(f"{facts.files[0].name} has no connection {stream}: it has {known}")
        for problem in problems:
            failure(problem)
        if not facts.format:
            report.failed(facts.damage, facts.damage_offset)
            return FAILED
        report.end(session)
        if drawer is not None:
            drawer.draw(capture.again)
    total.add(session.summary)
    return FAILED if problems else 0
