"""``tcpscope batch`` as a user meets it: what it writes, what it does again and what not, and the exit status."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tcpscope.batch.run import Ran, run_batch
from tcpscope.batch.tables import write_tables
from tcpscope.cli.main import run
from tcpscope.many.inputs import find
from tcpscope.options import Options
from tests.captures import SAMPLES, clean, many, unanswered

Capsys = pytest.CaptureFixture[str]
SCHEMA = files("tcpscope.report").joinpath("schema.json")
TABLES = ("captures", "connections", "findings")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with captures."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/clean.pcap").write_bytes(clean())
    Path("in/unanswered.pcap").write_bytes(unanswered())
    Path("in/many.pcap").write_bytes(many(5, range(2, 4)))
    return tmp_path


def batch(*arguments: str) -> int:
    """A batch with one process and CSV tables, into the directory ``out``."""
    return run(["batch", "-o", "out", "-j", "1", "--tables", "csv", "--no-progress", *arguments])


def table(name: str, directory: str = "out") -> list[dict[str, str]]:
    """A table that was written as CSV."""
    with Path(directory, f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tables(directory: str = "out") -> list[bytes]:
    """All tables as they are."""
    return [Path(directory, f"{name}.csv").read_bytes() for name in TABLES]


def done() -> dict[str, tuple[int, int]]:
    """The results of captures, each with what changes when it is made anew."""
    found = ((path.name, path.stat()) for path in Path("out/rows").iterdir())
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found}


def test_the_tables_hold_what_analyze_says(capsys: Capsys) -> None:
    assert batch("in") == 0
    assert capsys.readouterr().out.startswith("3 captures, 7 connections: 0 errors, 2 warnings, 1 note. Report: out")
    captures, connections, findings = (table(name) for name in TABLES)
    assert [one["path"] for one in captures] == ["in/clean.pcap", "in/many.pcap", "in/unanswered.pcap"]
    assert [one["connections"] for one in captures] == ["1", "5", "1"]
    assert [(one["path"], one["stream"]) for one in connections] == [
        ("in/clean.pcap", "0"),
        *(("in/many.pcap", str(number)) for number in range(5)),
        ("in/unanswered.pcap", "0"),
    ]
    assert [one["handshake"] for one in connections[:4]] == ["complete", "complete", "complete", "unanswered"]
    assert [(one["path"], one["stream"], one["code"]) for one in findings] == [
        ("in/many.pcap", "2", "TS105"),
        ("in/many.pcap", "3", "TS105"),
        ("in/unanswered.pcap", "0", "TS105"),
    ]
    run(["analyze", "in/clean.pcap", "--format", "json"])
    told = json.loads(capsys.readouterr().out)["captures"][0]["connections"][0]
    first = connections[0]
    assert (first["start"], first["community_id"]) == (told["start"], told["community_id"])
    assert float(first["rtt_handshake"]) == told["rtt"]["handshake"]
    assert int(first["server_bytes"]) == told["traffic"]["server"]["payload_bytes"]
    assert (first["conn_state"], first["history"]) == (told["conn_state"], told["history"])


def test_the_document_of_a_capture_is_that_of_analyze(capsys: Capsys) -> None:
    batch("in")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for row in table("captures"):
        capsys.readouterr()
        run(["analyze", row["path"], "--format", "json"])
        text = Path("out/captures", row["document"]).read_text(encoding="utf-8")
        assert text == capsys.readouterr().out
        jsonschema.validate(json.loads(text), schema)


def test_inputs_are_files_directories_patterns_lists_and_urls(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://deep/clean.pcap", "wb") as file:
        file.write(clean())
    Path("list").write_text("in/clean.pcap\n\nin/un*.pcap\n", encoding="utf-8")
    with ThreadPoolExecutor(1) as executor:  # a process that is started anew does not see this one's memory
        paths = ["memory://deep/clean.pcap", "in/many.pcap"]
        ran = run_batch(find(paths), "out", Options(), executor=executor)
        assert [one.connections for one in ran.results] == [1, 5]
        assert run_batch(find(paths), "out", Options(), executor=executor).reused == 2
    assert batch("--from", "list", "in/many.pcap") == 0
    assert [row["path"] for row in table("captures")] == ["in/many.pcap", "in/clean.pcap", "in/unanswered.pcap"]
    Path("list").write_bytes(b"in/clean.pcap\0in/a\nb.pcap\0")
    shutil.copy("in/clean.pcap", "in/a\nb.pcap")
    with Path("list").open(encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert batch("--from", "-") == 0
    assert [row["path"] for row in table("captures")] == ["in/clean.pcap", "in/a\nb.pcap"]


@pytest.mark.parametrize("arguments", [[], ["-"], ["in", "--select", "nonsense"], ["--from", "nowhere"]])
def test_wrong_usage(arguments: list[str], capsys: Capsys) -> None:
    assert batch(*arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("note", 1)])
def test_fail_on(level: str, status: int) -> None:
    assert batch("in", "--fail-on", level) == status


def test_a_bad_capture_is_listed_and_stops_nothing(capsys: Capsys) -> None:
    Path("in/bad.pcap").write_bytes(b"this is no capture")
    Path("in/cut.pcap").write_bytes(clean()[:-5])
    assert batch("in", "nowhere.pcap", "no*thing") == 2
    err = capsys.readouterr().err
    rows = {row["path"]: row for row in table("captures")}
    assert {path: row["status"] for path, row in rows.items()} == {
        "in/bad.pcap": "unreadable",
        "in/clean.pcap": "read",
        "in/cut.pcap": "damaged",
        "in/many.pcap": "read",
        "in/unanswered.pcap": "read",
        "nowhere.pcap": "unreadable",
        "no*thing": "unreadable",
    }
    assert "cut inside a packet record" in rows["in/cut.pcap"]["reason"]
    for path in ("in/bad.pcap", "in/cut.pcap", "nowhere.pcap", "no*thing"):
        assert path in err
        assert f"`{path}`" in Path("out/report.md").read_text(encoding="utf-8")
    assert len(table("connections")) == 8
    assert not any(path.name.startswith(".") and path.name != ".lock" for path in Path("out").rglob("*"))


def test_what_is_done_is_not_done_again(capsys: Capsys) -> None:
    batch("in")
    before, first = done(), tables()
    capsys.readouterr()
    assert batch("in") == 0
    assert "3 captures, 3 of them done before" in capsys.readouterr().out
    assert done() == before
    assert tables() == first
    assert batch("in", "--force") == 0
    assert not set(done().values()) & set(before.values())
    assert tables() == first


def changed(change: Callable[[], object], *arguments: str) -> set[str]:
    """The captures that are judged again after a change."""
    before = done()
    change()
    batch("in", *arguments)
    return {name.partition(".")[0] for name, number in done().items() if before.get(name) != number}


def test_what_changed_is_done_again() -> None:
    batch("in")
    everything = {"clean", "many", "unanswered"}
    status = Path("in/many.pcap").stat()
    assert changed(lambda: os.utime("in/many.pcap", ns=(0, status.st_mtime_ns + 1))) == {"many"}
    assert changed(lambda: Path("in/many.pcap").write_bytes(many(3))) == {"many"}
    assert [row["connections"] for row in table("captures")] == ["1", "3", "1"]
    assert changed(lambda: Path("in/new.pcap").write_bytes(clean())) == {"new"}
    assert changed(lambda: None, "--msl", "60") == everything | {"new"}
    assert changed(lambda: None, "--msl", "60") == set()
    assert changed(lambda: None, "--msl", "60", "--ignore", "TS105") == everything | {"new"}
    assert table("findings") == []


def test_another_version_is_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    batch("in")
    monkeypatch.setattr("tcpscope.batch.store.__version__", "another")
    assert changed(lambda: None) == {"clean", "many", "unanswered"}


def test_a_key_log_counts_by_its_content(tmp_path: Path) -> None:
    log = tmp_path / "keys"
    log.write_text(f"CLIENT_RANDOM {'00' * 32} {'11' * 48}\n", encoding="ascii")
    batch("in", "--keylog", "keys")
    assert changed(log.touch, "--keylog", "keys") == set()
    text = log.read_text(encoding="ascii")
    assert len(changed(lambda: log.write_text(text + "# more\n", encoding="ascii"), "--keylog", "keys")) == 3


def test_by_content_a_new_time_is_no_change() -> None:
    batch("in", "--by-content")
    assert changed(lambda: os.utime("in/many.pcap", ns=(0, 1)), "--by-content") == set()
    same_size = many(5)[:-1] + b"x"
    Path("in/many.pcap").write_bytes(many(5))
    batch("in", "--by-content")
    assert changed(lambda: Path("in/many.pcap").write_bytes(same_size), "--by-content") == {"many"}


def test_a_capture_that_went_bad_leaves_no_old_result() -> None:
    batch("in")
    Path("in/many.pcap").write_bytes(b"gone")
    assert batch("in") == 2
    assert {row["path"]: row["status"] for row in table("captures")}["in/many.pcap"] == "unreadable"
    assert not any(path.name.startswith("many") for path in Path("out/captures").iterdir())
    assert len(table("connections")) == 2


def test_two_runs_give_the_same_tables() -> None:
    for directory in ("one", "two"):
        run(["batch", str(SAMPLES), "-o", directory, "-j", "2", "--tables", "csv", "--no-progress"])
    assert tables("one") == tables("two")
    assert Path("one/report.md").read_bytes() == Path("two/report.md").read_bytes()


def test_any_executor_does(tmp_path: Path) -> None:
    batch("in")
    inputs = find(["in"])
    seen: list[int] = []
    with ThreadPoolExecutor(3) as executor:
        ran = run_batch(inputs, "other", Options(), executor=executor, progress=lambda one: seen.append(one.number))
    assert sorted(seen) == [0, 1, 2]
    assert [one.number for one in ran.results] == [0, 1, 2]
    write_tables(ran, "other", "csv")
    assert tables("other") == tables("out")


def test_names_that_are_alike_do_not_meet() -> None:
    paths = ["a/x.pcap", "b/x.pcap", "a/X.pcap", "a/x?.pcap", "a/.hidden", "a/" + "long" * 60 + ".pcap", "a/日本.pcap"]
    for path in paths:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(clean())
    assert batch(*paths) == 0
    names = [row["document"] for row in table("captures")]
    assert len({name.lower() for name in names}) == len(paths)
    assert all(name.isascii() and len(name) < 120 and not name.startswith(".") for name in names)
    assert table("captures")[-1]["path"] == "a/日本.pcap"


def test_a_spreadsheet_calculates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("=1+1.pcap", "@x.pcap", "-x.pcap", "+x.pcap", "\tx.pcap"):
        Path(path).write_bytes(clean())
    assert batch("--", "=1+1.pcap", "@x.pcap", "-x.pcap", "+x.pcap", "\tx.pcap") == 0
    assert [row["path"] for row in table("captures")] == ["'=1+1.pcap", "'@x.pcap", "'-x.pcap", "'+x.pcap", "'\tx.pcap"]


def test_a_name_that_is_no_text_gets_into_every_table() -> None:
    name = os.fsencode("in/") + b"\xff|`<b>.pcap"
    Path(os.fsdecode(name)).write_bytes(unanswered())
    for kind in ("csv", "parquet"):
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        assert batch(os.fsdecode(name), "--tables", kind) == 0
    report = Path("out/report.md").read_text(encoding="utf-8")
    assert "\\x7c\\x60<b>.pcap" in report
    assert all(line.count("`") % 2 == 0 for line in report.splitlines())


def test_parquet_and_csv_say_the_same() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow_csv = pytest.importorskip("pyarrow.csv")
    shutil.copytree(SAMPLES, "in/samples")
    batch("in", "--tables", "parquet")
    read = {name: parquet.read_table(f"out/{name}.parquet") for name in TABLES}
    assert batch("in", "--tables", "csv") == 2
    assert not list(Path("out").glob("*.parquet"))
    for name in TABLES:
        schema = read[name].schema
        options = arrow_csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
        again = arrow_csv.read_csv(f"out/{name}.csv", convert_options=options)
        assert again.schema.names == schema.names
        for column in schema.names:
            assert again[column].equals(read[name][column]), column


def test_row_groups_follow_the_rows_and_not_the_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("tcpscope.batch.tables.ROW_GROUP", 3)
    monkeypatch.setattr("tcpscope.batch.tables.BLOCK", 2000)
    monkeypatch.setattr("tcpscope.batch.store.BLOCK", 100)
    batch("in", "--tables", "parquet")
    file = parquet.ParquetFile("out/connections.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [3, 3, 1]
    assert file.read()["stream"].to_pylist() == [0, 0, 1, 2, 3, 4, 0]


def test_rows_stay_in_order_however_many_threads_make_columns_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("tcpscope.batch.tables.PART_OF_BLOCK", 1000)
    monkeypatch.setattr("tcpscope.batch.store.BLOCK", 1000)
    Path("in/more.pcap").write_bytes(many(60))
    batch("in/more.pcap", "--tables", "parquet")
    assert parquet.read_table("out/connections.parquet")["stream"].to_pylist() == list(range(60))
    first = Path("out/connections.parquet").read_bytes()
    batch("in/more.pcap", "--tables", "parquet")
    assert Path("out/connections.parquet").read_bytes() == first


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_take_no_more_memory_for_more_connections(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("tcpscope.batch.tables.ROW_GROUP", 200)
    monkeypatch.setattr("tcpscope.batch.tables.BLOCK", 50_000)
    monkeypatch.setattr("tcpscope.batch.store.BLOCK", 10_000)
    Path("in/more.pcap").write_bytes(many(60))
    ran = run_batch(find(["in/more.pcap"]), "out", Options(), jobs=1)
    peaks: list[int] = []
    for times in (2, 4, 40):  # the first one loads libraries
        tracemalloc.start()
        write_tables(Ran(list(ran.inputs) * times, list(ran.results) * times, 0), "out", kind)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_parquet_without_pyarrow_is_a_line(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpscope.batch.tables.find_spec", lambda _: None)
    assert batch("in", "--tables", "parquet") == 2
    assert "pip install 'tcpscope[parquet]'" in capsys.readouterr().err
    assert run(["batch", "in", "-o", "out", "-j", "1", "--no-progress"]) == 0
    assert len(table("captures")) == 3


@pytest.fixture
def report() -> Callable[[], str]:
    """The text of the report."""
    return lambda: Path("out/report.md").read_text(encoding="utf-8")


def test_the_report_begins_with_what_matters(report: Callable[[], str]) -> None:
    batch("in")
    lines = report().splitlines()
    assert lines[2] == "- **3 captures**: 3 read in full; 2 with errors or warnings"
    assert lines[3].startswith("- **7 connections** in ")
    assert lines[3].endswith("0 with errors, 2 with warnings, 4 without findings")
    assert "- **Not opened**: 3 connections (3 unanswered)" in lines
    assert any(line.startswith("| warning | TS105 | 10.1.0.1:80 | 1 | `in/many.pcap` 2 | ") for line in lines)
    assert any(line.startswith("| warning | TS105 | syn-unanswered | 3 | 2 | 3 | 3 unanswered |") for line in lines)


def test_an_empty_list_is_an_empty_report(report: Callable[[], str]) -> None:
    Path("list").write_text("\n", encoding="utf-8")
    assert batch("--from", "list") == 0
    assert "**0 captures**" in report()
    assert [len(table(name)) for name in TABLES] == [0, 0, 0]


def test_progress_is_lines_where_there_is_no_terminal(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpscope.cli.batch_progress.LINE_EVERY", 0.0)
    arguments = ["batch", "in", "-o", "out", "-j", "1", "--tables", "csv"]
    run(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("tcpscope: 3 of 3 captures, 0:00 left, ")
    assert lines[-1].endswith("0 errors, 2 warnings")
    run(arguments)
    assert capsys.readouterr().err == "tcpscope: 3 of 3 captures are done already\n"
    run([*arguments, "--force", "--no-progress"])
    assert capsys.readouterr().err == ""


def test_joined_columns_are_null_where_nothing_is_known() -> None:
    batch("in/unanswered.pcap")
    row: dict[str, Any] = table("connections")[0]
    assert row["rtt_handshake"] == row["sni"] == row["tls"] == row["reset_by"] == ""
    assert (row["cut_at_start"], row["cut_at_end"]) == ("false", "false")
