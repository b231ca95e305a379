"""docs/batch.md is true: its columns are those of the tables, and its examples run on a real batch."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tcpscope.batch.columns import TABLES
from tcpscope.cli.main import run
from tests.captures import SAMPLES

DOCS = Path(__file__).parent.parent / "docs" / "batch.md"
TEXT = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""

pytestmark = pytest.mark.skipif(not TEXT, reason="docs/ belongs to the source tree")


def examples(language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_are_those_of_the_table(name: str) -> None:
    section = TEXT.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", section, re.MULTILINE)
    assert listed == [(column.name, column.kind, column.text) for column in TABLES[name]]
    assert len({column.name for column in TABLES[name]}) == len(listed)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch over the samples, with Parquet tables."""
    pytest.importorskip("pyarrow")
    directory: Path = tmp_path_factory.mktemp("batch")
    run(["batch", str(SAMPLES), "-o", str(directory), "-j", "1", "--no-progress"])
    return directory


def test_the_questions_to_duckdb_have_answers(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    monkeypatch.chdir(batch)
    opening, hours, findings = (duckdb.sql(text).fetchall() for text in examples("sql"))
    assert opening[0][1:] == (7777, "unanswered", 78)
    assert ("10.77.0.2", 81, "refused", 1) in opening
    assert sum(row[1] for row in hours) == duckdb.sql("SELECT count(*) FROM 'connections.parquet'").fetchall()[0][0]
    assert all(0 <= row[2] < 0.5 for row in hours if row[2] is not None)
    assert [row[:2] for row in findings] == [("TS685", "error"), ("TS301", "error")]


def test_the_question_to_polars_has_an_answer(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("polars")
    monkeypatch.chdir(batch)
    names: dict[str, Any] = {}
    (example,) = (text for text in examples("python") if "polars" in text)
    exec(example, names)
    rows = names["by_version"].rows()
    assert rows[0][:2] == ("TLS 1.3", "TLS_AES_256_GCM_SHA384")
    assert ("TLS 1.0", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 1, 1) in rows


def test_the_example_for_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("captures").mkdir()
    Path("captures/refused.pcap").write_bytes((SAMPLES / "refused.pcap").read_bytes())
    (example,) = (text for text in examples("python") if "run_batch" in text)
    with ThreadPoolExecutor(1) as executor:
        names: dict[str, Any] = {"executor": executor}
        exec(example, names)
    assert names["ran"].results[0].connections == 1
    assert list(Path("report").glob("connections.*"))
