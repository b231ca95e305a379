"""Writes the tables over all captures: Parquet with pyarrow, CSV without it. Memory holds some blocks of rows, never a table."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol

from tcpscope.batch.aggregate import Aggregate
from tcpscope.batch.captures import Captures
from tcpscope.batch.columns import (
    BOOLEAN,
    CAPTURES,
    CONNECTIONS,
    FINDINGS,
    INTEGER,
    NUMBER,
    TABLES,
    TEXT,
    TIME,
    Cell,
    Column,
    Row,
    failed_capture,
)
from tcpscope.batch.run import Ran
from tcpscope.batch.store import PART, AtomicFile, Store, Writing
from tcpscope.errors import OptionError
from tcpscope.report.json_report import dumps
from tcpscope.report.quantities import rfc3339

PARQUET, CSV = "parquet", "csv"

ROW_GROUP: Final = 65_536
"""Rows of a row group: what is held before it is written."""

BLOCK: Final = 16 << 20
"""Bytes of rows that are made columns at a time."""

PART_OF_BLOCK: Final = 1 << 20
"""Bytes that one thread makes columns of; how many there are does not depend on the threads."""

FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""


class Written(NamedTuple):
    """What went over the desk while the tables were written: all connections come to ``aggregate``."""

    aggregate: Aggregate
    captures: Captures


class TableFile(Protocol):
    """One table on its way to the disk."""

    def add(self, lines: bytes) -> None:
        """Rows as lines of JSON."""

    def keep(self) -> None:
        """All rows are there: the table appears under its name."""

    def __enter__(self) -> TableFile: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def table_format(wanted: str | None = None) -> str:
    """The format of the tables: what is wanted, or Parquet where pyarrow is installed.

    :raises OptionError: Parquet is wanted without pyarrow.
    """
    there = find_spec("pyarrow") is not None
    if wanted == PARQUET and not there:
        raise OptionError("Parquet needs pip install 'tcpscope[parquet]'; CSV does without it")
    return wanted or (PARQUET if there else CSV)


def write_tables(ran: Ran, directory: str, wanted: str | None = None) -> Written:
    """Write all tables in the order of the inputs, and merge what the captures come to.

    :raises OutputError: a table cannot be written; those that are there are whole.
    """
    kind = table_format(wanted)
    store = Store(directory)
    total, captures = Aggregate(), Captures()
    with ExitStack() as stack:
        files: dict[str, TableFile] = {}
        for name, columns in TABLES.items():
            path = os.path.join(directory, f"{name}.{kind}")  # noqa: PTH118
            file: TableFile = ParquetFile(path, columns) if kind == PARQUET else CsvFile(path, columns)
            files[name] = stack.enter_context(file)
        for one, result in zip(ran.inputs, ran.results, strict=True):
            if result.error:
                failed = failed_capture(one.path, one.size, result.error)
                files[CAPTURES].add(_line(failed))
                captures.add(failed)
                continue
            head, connections, findings = store.lines(one.path)
            files[CAPTURES].add(_line(head.row))
            captures.add(head.row)
            _add_all(files[CONNECTIONS], connections)
            _add_all(files[FINDINGS], findings)
            total.merge(Aggregate.load(head.aggregate))
        for file in files.values():
            file.keep()
    for name in TABLES:
        stale = Path(directory, f"{name}.{CSV if kind == PARQUET else PARQUET}")
        with Writing(str(stale)):
            stale.unlink(missing_ok=True)
    return Written(total, captures)


def _line(row: Row) -> bytes:
    return dumps(row).encode() + b"\n"


def _add_all(file: TableFile, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        file.add(block)


class ParquetFile:
    """A table in row groups of :data:`ROW_GROUP` rows, compressed with Zstandard."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._path = path
        self._temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}{PART}")  # noqa: PTH118, PTH119, PTH120
        self._arrow: Any = importlib.import_module("pyarrow")
        self._json: Any = importlib.import_module("pyarrow.json")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._schema, self._raw = _schema(self._arrow, columns), _schema(self._arrow, columns, raw=True)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._waiting: list[Any] = []  # tables that are less than a row group
        self._rows = 0
        with Writing(path):
            self._writer: Any = parquet.ParquetWriter(self._temporary, self._schema, compression="zstd")

    def add(self, lines: bytes) -> None:
        """Rows as lines of JSON."""
        self._lines.append(lines)
        self._bytes += len(lines)
        if self._bytes >= BLOCK:
            self._convert()

    def keep(self) -> None:
        """Write what waits, and give the file its name."""
        self._convert()
        with Writing(self._path):
            if self._rows:
                self._writer.write_table(self._joined(), row_group_size=ROW_GROUP)
            self._writer.close()
            with open(self._temporary, "rb") as file:  # noqa: PTH123
                os.fsync(file.fileno())
            os.replace(self._temporary, self._path)  # noqa: PTH105

    def _convert(self) -> None:
        if not self._lines:
            return
        part = max(PART_OF_BLOCK, *map(len, self._lines))  # no line is longer
        data = b"".join(self._lines)
        table = self._json.read_json(
            self._arrow.BufferReader(data),
            read_options=self._json.ReadOptions(use_threads=True, block_size=part),
            parse_options=self._json.ParseOptions(explicit_schema=self._raw, unexpected_field_behavior="error"),
        )
        self._waiting.append(table.cast(self._schema))
        self._rows += table.num_rows
        self._lines, self._bytes = [], 0
        while self._rows >= ROW_GROUP:
            joined = self._joined()
            with Writing(self._path):
                self._writer.write_table(joined.slice(0, ROW_GROUP), row_group_size=ROW_GROUP)
            self._waiting = [joined.slice(ROW_GROUP)]
            self._rows -= ROW_GROUP

    def _joined(self) -> Any:
        return self._arrow.concat_tables(self._waiting)

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._writer.close()
        with suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108


def _schema(arrow: Any, columns: Sequence[Column], *, raw: bool = False) -> Any:
    """The schema of a table; ``raw``: with times as the numbers that the rows hold."""
    kinds = {
        TEXT: arrow.string(),
        INTEGER: arrow.int64(),
        NUMBER: arrow.float64(),
        BOOLEAN: arrow.bool_(),
        TIME: arrow.int64() if raw else arrow.timestamp("ns", tz="UTC"),
    }
    return arrow.schema([(column.name, kinds[column.kind]) for column in columns])


class CsvFile:
    """A table as comma-separated values in UTF-8 with a line of names. Times are RFC 3339, nulls empty.

    A text that a spreadsheet would take for a formula has an apostrophe in front.
    """

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._file = AtomicFile(path)
        self._columns = columns
        self._add([[column.name for column in columns]])

    def add(self, lines: bytes) -> None:
        """Rows as lines of JSON."""
        rows = (json.loads(line) for line in lines.splitlines())
        self._add([[_cell(column.kind, row.get(column.name)) for column in self._columns] for row in rows])

    def keep(self) -> None:
        """Give the file its name."""
        self._file.keep()

    def _add(self, rows: list[list[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue())

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, value, trace)


def _cell(kind: str, value: Cell) -> str:
    if value is None:
        return ""
    if kind == TIME:
        return rfc3339(int(value))
    if kind == BOOLEAN:
        return "true" if value else "false"
    text = str(value)
    return "'" + text if kind == TEXT and text.startswith(FORMULAS) else text
