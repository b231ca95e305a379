"""Targets of the whole program: a capture from end to end, through every command and every format that there is."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import click
from jsonschema import Draft202012Validator

from tcpscope import FormatError, Options, analyze, connections
from tcpscope.cli.main import COMMANDS, run, tcpscope
from tcpscope.report import json_report, text
from tcpscope.report.json_connection import connection_json
from tcpscope.report.model import Report
from tcpscope.report.style import Style
from tcpscope.report.text_connection import connection_text
from tests.fuzz.capture import COMPRESSORS, memory_folder, pieces
from tests.fuzz.mutate import damage_records, mutate
from tests.fuzz.state import refuse
from tests.fuzz.target import built_in, scenario_captures
from tests.html_page import HtmlPage

SCHEMA = Draft202012Validator(json.loads(files("tcpscope.report").joinpath("schema.json").read_text(encoding="utf-8")))
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
EVERY_NTH_BY_SCHEMA = 20  # checking a report against the schema takes longer than making it


@cache
def samples() -> list[bytes]:
    """All captures, the small ones of the scenarios too."""
    return [*built_in(), *scenario_captures()]


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A mutant of a capture, now and then compressed."""
    data = damage_records(data, random) if random.random() < 0.3 else mutate(data, random, others)
    if random.random() < 0.02:
        data = random.choice(list(COMPRESSORS.values()))(data)
    return data


def document(report: Report) -> str:
    """One JSON document of a report, as the command line writes it."""
    capture = json_report.capture_object(report.capture)
    found = [json.loads(connection_json(connection)) for connection in report.capture.connections]
    return json_report.dumps({**capture, "connections": found, "summary": json_report.summary_object(report.summary)})


def run_session(data: bytes, random: Random) -> object:
    """Analysis, rules, the report as text and as JSON; one line where the input is no capture."""
    options = Options(
        verify_checksums=random.random() < 0.2,
        max_connections=random.choice((0, 0, 0, 5)),
        salvage=random.random() < 0.2,
    )
    try:
        report = analyze(io.BytesIO(data), options)
    except FormatError as error:
        return one_line(str(error))
    encoded = document(report)
    json.loads(encoded, parse_constant=refuse)
    capture = report.capture
    shown = text.capture_text(Style(), capture, report.summary, show_all=random.random() < 0.3)
    check_text(shown)
    if capture.connections:
        check_text(connection_text(Style(width=100), random.choice(capture.connections)))
    return encoded, shown


def one_line(message: str) -> str:
    """A message, which must be one line."""
    assert message
    assert message.isprintable()
    return message


def check_text(shown: str) -> None:
    """Nothing in a text may steer the terminal."""
    assert not STEERING.search(shown)


# The command line


def command_of(name: str) -> click.Command | None:
    """A subcommand, if there is one of that name."""
    return tcpscope.get_command(click.Context(tcpscope), name) if name in (known for known, _, _ in COMMANDS) else None


@cache
def choices(name: str, option: str) -> tuple[str, ...]:
    """What an option of a subcommand may be; nothing if there is no such option."""
    command = command_of(name)
    for parameter in command.params if command else ():
        if option in parameter.opts:
            kind = parameter.type
            return tuple(map(str, kind.choices)) if isinstance(kind, click.Choice) else ("",)
    return ()


def command_line(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that runs in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run(arguments)
        out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return status, out.buffer.getvalue().decode("utf-8"), err.getvalue()


def check_output(name: str, shown: str, schema: bool) -> None:
    """What a format promises of any report."""
    if name == "json":
        found = json.loads(shown, parse_constant=refuse)
        if schema and found.get("schema") == "tcpscope/1":
            SCHEMA.validate(found)
    elif name in ("jsonl", "sarif"):
        for line in shown.splitlines() if name == "jsonl" else [shown]:
            json.loads(line, parse_constant=refuse)
    elif name == "html" and "Content-Security-Policy" in shown:
        HtmlPage(shown).check()
    elif name in ("svg", "html", "junit"):
        ElementTree.fromstring(shown)
    else:
        check_text(shown)


def run_whole(data: bytes, random: Random) -> object:
    """Every command that takes captures, in every format, and the streaming interface."""
    found: list[object] = []
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            Path("c.pcap").write_bytes(data)
            for number, piece in enumerate(pieces(data, random)):
                Path(f"{number}.pcap").write_bytes(piece)
            for command in ("analyze", "segments", "check"):
                for name in choices(command, "--format"):
                    found.append(one([command, "--format", name], name, random))
            if choices("show", "--svg"):
                found.append(one(["show"], "", random))
                found.append(one(["show", "--svg", "-"], "svg", random))
            if choices("explain", "--frame"):
                found.append(one(["explain", "--frame", str(random.choice((1, 2, 3, 5, 20, 100)))], "", random))
        finally:
            os.chdir(before)
    try:
        found.append(sum(1 for _ in connections(io.BytesIO(data))))
    except FormatError as error:
        found.append(one_line(str(error)))
    return found


def one(begun: Sequence[str], name: str, random: Random) -> object:
    """One command in one format, with some of its options."""
    command, arguments = begun[0], [*begun, "--no-progress"]
    os.environ["COLUMNS"] = str(random.choice((40, 80, 80, 120, 200)))
    if random.random() < 0.15 and choices(command, "--join"):
        arguments += ["--join", *(path.name for path in sorted(Path().glob("[0-9].pcap")))]
    else:
        arguments.append("c.pcap")
    for option, rate in (("--all", 0.3), ("--verify-checksums", 0.1), ("--salvage", 0.3)):
        if random.random() < rate and choices(command, option):
            arguments.append(option)
    if random.random() < 0.2 and choices(command, "--connection"):
        arguments += ["--connection", str(random.choice((0, 0, 1, 7)))]
    if random.random() < 0.1:
        arguments += ["--max-connections", "2"]
    status, shown, told = command_line(arguments)
    assert status in (0, 1, 2), status
    assert "Traceback" not in told
    assert told.count("\n") <= 8, told
    assert (status == 2) >= bool(told), (status, told)
    if shown:
        check_output(name, shown, random.randrange(EVERY_NTH_BY_SCHEMA) == 0)
    return status, shown, told
