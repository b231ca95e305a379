"""The ``tcpscope`` command. Subcommands are imported when they run, so that ``--help`` answers at once."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

import click

from tcpscope.cli.output import FAILED, drop_output, failure, quiet_streams
from tcpscope.errors import TcpscopeError

# Name, module in tcpscope.cli, what `tcpscope --help` says. The command in the module is called `command`.
COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("analyze", "analyze", "Judge every connection of packet captures."),
    ("batch", "batch", "Judge many captures: tables and a report."),
    ("check", "check", "Check captures against a policy, as a linter does."),
    ("diff", "diff", "Compare two captures, or two reports of analyze --format json."),
    ("show", "show", "Draw a connection as a ladder diagram."),
    ("plot", "plot", "Draw graphs of a connection, as SVG or PNG."),
    ("explain", "explain", "Explain what is said of one segment."),
    ("segments", "segments", "List the TCP segments of a capture, one a row."),
    ("rules", "rules", "List all rules."),
    ("rule", "rule", "Show the manual of one rule."),
    ("states", "states", "Show the TCP state machine that tcpscope checks."),
)


class LazyGroup(click.Group):
    """A group whose commands are modules, imported only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of :data:`COMMANDS`."""
        return [name for name, _, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        for name, module, _ in COMMANDS:
            if name == cmd_name:
                command: click.Command = import_module(f"tcpscope.cli.{module}").command
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, text in COMMANDS])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from tcpscope.version import version_line

        click.echo(version_line())
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, and no finding at or above --fail-on; 1 findings at or above --fail-on; 2 wrong "
    "usage, unreadable or damaged input (what could be read is still reported), failed output, Ctrl-C.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version, and whether the hot modules are compiled.",
)
def tcpscope() -> None:
    """Read packet captures and judge TCP and TLS, connection by connection."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (``sys.argv`` by default) and exit with its status.

    The process ends with the one command: what it holds forms no cycles, and a collector that goes through a million
    connections, here or when the interpreter ends, takes longer than the analysis.
    """
    gc.disable()
    _populate_arenas()
    status = run(arguments)
    gc.freeze()
    if threading.active_count() == 1:
        _exit(status)
    sys.exit(status)


def _exit(status: int) -> NoReturn:
    """End the process as Python does, but without taking its objects apart: that takes a tenth of the time of most captures."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # run() has said so; ValueError: it is closed
            if stream is not None:
                stream.flush()
    os._exit(status)


def _populate_arenas() -> None:
    """A page at a time, memory for the connections of a large capture takes a third of the time."""
    try:
        from tcpscope import _arenas
    except ImportError:  # uncompiled
        return
    _arenas.populate()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    quiet_streams()
    try:
        status = tcpscope.main(arguments, prog_name="tcpscope", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        error.show()
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        failure("interrupted")
        return FAILED
    except (BrokenPipeError, SystemExit):
        # Whoever read the output has seen enough (`| head`): no message, but the report did not get out whole.
        # click meets the closed pipe first and then wants to exit by itself.
        drop_output()
        return FAILED
    except TcpscopeError as error:
        failure(str(error))
        return error.exit_status
    return status if isinstance(status, int) else 0
