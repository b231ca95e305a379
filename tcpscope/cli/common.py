"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

MAX_FRAME: Final = 1 << 62

# The parameters of a command that are about the analysis, and the fields of Options that they fill
OF_ANALYSIS: Final = {
    "msl": "msl_seconds",
    "verify_checksums": "verify_checksums",
    "max_connections": "max_connections",
    "select": "select",
    "ignore": "ignore",
    "salvage": "salvage",
    "zeek_server_ports": "zeek_server_ports",
    "keylog": "keylog",
    "ca_file": "ca_file",
    "system_ca": "system_ca",
    "crl": "crl",
}

Command = TypeVar("Command", bound=Callable[..., object])


def _a_number(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("not a number", ctx, param)
    return value


def frame_range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """The first and the last number of a range such as ``10-20``, ``10``, ``10-`` or ``-20``."""
    if value is None:
        return None
    first, dash, last = value.strip().partition("-")
    numbers = first or "1", last if dash else first
    if not all(number.isdecimal() or not number for number in numbers):
        raise click.BadParameter(f"{value!r} is no range of frames such as 10-20", ctx, param)
    return int(numbers[0]), int(numbers[1] or MAX_FRAME)


def connection_option(command: Command) -> Command:
    """``--connection``, for commands that draw one."""
    return click.option(
        "--connection",
        "stream",
        type=click.IntRange(min=0),
        metavar="N",
        help="This connection (tcp.stream); by default the one with the worst finding, the first of several.",
    )(command)


def join_option(command: Command) -> Command:
    """``--join``; :func:`joined` does it."""
    return click.option(
        "--join",
        is_flag=True,
        help="Take several FILEs: one capture that was split while it was taken. Frame numbers count through all of them.",
    )(command)


def joined(files: tuple[str, ...], join: bool) -> tuple[str, ...]:
    """The files in the order in which they were written."""
    from tcpscope.capture.join import in_order

    if join:
        return tuple(part.path for part in in_order(files))
    if len(files) > 1:
        raise click.UsageError("Several files need --join: they are then read as one capture.")
    return files


def reading_options(command: Command) -> Command:
    """``--msl``, ``--verify-checksums``, ``--keylog``, ``--max-connections``, ``--salvage``, ``--no-progress``."""
    for option in (
        click.option(
            "--salvage",
            is_flag=True,
            help="Where a capture is damaged, look for the next record and go on there, instead of stopping.",
        ),
        click.option(
            "--keylog",
            multiple=True,
            metavar="FILE",
            help="Keys of TLS connections, in the format of SSLKEYLOGFILE: their handshakes are decrypted, checked and "
            "proved. Keys inside a pcapng file are used without this option.",
        ),
        click.option("--no-progress", is_flag=True, help="Show no progress bar."),
        click.option(
            "--max-connections",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="Live connections to keep in memory; the longest idle ones are judged early. 0: no limit.",
        ),
        click.option(
            "--verify-checksums",
            is_flag=True,
            help="Ignore segments whose TCP checksum is wrong, and count them. Off by default: with offloading, "
            "the checksums of sent segments are wrong in most captures.",
        ),
        click.option(
            "--msl",
            type=click.FloatRange(min=0, max=86400),
            callback=_a_number,
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="Maximum segment lifetime: TIME-WAIT lasts twice as long. RFC 9293 says 120.",
        ),
    ):
        command = option(command)
    return command


def rule_options(command: Command) -> Command:
    """``--select`` and ``--ignore``."""
    for option in (
        click.option("--ignore", multiple=True, metavar="RULES", help="Rules to leave out, in the same notation."),
        click.option(
            "--select",
            multiple=True,
            metavar="RULES",
            help="Rules to use: codes, beginnings of codes or names, separated by commas, such as TS1,TS604. "
            "All by default.",
        ),
    ):
        command = option(command)
    return command


def trust_options(command: Command) -> Command:
    """``--ca-file``, ``--system-ca`` and ``--crl``."""
    for option in (
        click.option("--crl", multiple=True, metavar="FILE", help="Certificate revocation list, PEM or DER."),
        click.option("--system-ca", is_flag=True, help="Trust the certificate authorities that the system trusts."),
        click.option(
            "--ca-file",
            multiple=True,
            metavar="FILE",
            help="Certificates of authorities to trust, PEM or DER. With this or --system-ca, chains must lead to one of them.",
        ),
    ):
        command = option(command)
    return command


def fail_on_option(command: Command) -> Command:
    """``--fail-on``; :func:`fails` says what follows from it."""
    return click.option(
        "--fail-on",
        type=click.Choice(["error", "warning", "note"]),
        help="Exit with status 1 if there is a finding of this severity or a worse one.",
    )(command)


def fails(findings: Mapping[str, int], fail_on: str | None) -> bool:
    """Whether there are findings at or above ``--fail-on``. ``findings``: how many there are of each severity."""
    from tcpscope.report.model import SEVERITIES

    return fail_on is not None and any(findings[severity] for severity in SEVERITIES[: SEVERITIES.index(fail_on) + 1])


def output_option(command: Command) -> Command:
    """``--output``."""
    return click.option("-o", "--output", metavar="FILE", help="Write to this file, not to standard output.")(command)


def color_option(command: Command) -> Command:
    """``--color``."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours in a report for people. auto: on a terminal where NO_COLOR is not set.",
    )(command)


def rule_names(values: Sequence[str]) -> tuple[str, ...]:
    """The rules of an option that may be repeated, each time with several rules between commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def collected(command: Callable[..., int]) -> Callable[..., int]:
    """Hand the values of those options above that are about the analysis to a command as one, ``options``, without Zeek's view."""

    @functools.wraps(command)
    def with_options(*arguments: object, **values: Any) -> int:
        from tcpscope.options import Options

        chosen = {field: values.pop(name) for name, field in OF_ANALYSIS.items() if name in values}
        for field in ("select", "ignore"):
            chosen[field] = rule_names(chosen.get(field, ()))
        return command(*arguments, options=Options(zeek=False, **chosen), **values)

    return with_options
