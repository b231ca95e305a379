"""What the benchmark writes into documents. No test asserts a time."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.benchmark.__main__ import arguments, fill
from tests.benchmark.growth import Point, picture
from tests.benchmark.measure import ROOT, Tool, run

DOCUMENT = (
    "between `<!-- benchmark -->` and `<!-- /benchmark -->`\n<!-- benchmark -->\nold\n<!-- /benchmark -->\nafter\n"
)


def test_tables_replace_what_is_between_the_markers() -> None:
    filled = fill(DOCUMENT, {"benchmark": r"new \1", "runs": "has no place"})
    assert filled == DOCUMENT.replace("old", r"new \1")
    assert fill(filled, {"benchmark": "old"}) == DOCUMENT


def test_a_document_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="<!-- growth -->"):
        fill(DOCUMENT, {"growth": "new"})


@pytest.mark.parametrize("text", [None, "no place for a table\n"])
def test_such_a_document_is_refused_before_anything_is_measured(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(SystemExit):
        arguments(["--small", "--markdown", str(page)])
    assert f"--markdown {page}: " in capsys.readouterr().err


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="docs/ belongs to the source tree")
def test_the_documents_have_places_and_their_commands_are_accepted() -> None:
    page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    assert fill(page, {"benchmark": "", "runs": "", "growth": ""})
    assert fill((ROOT / "README.md").read_text(encoding="utf-8"), {"benchmark": ""})
    commands = [line for line in page.splitlines() if line.startswith("python -m tests.benchmark")]
    assert commands
    for line in commands:
        arguments(shlex.split(line, comments=True)[3:])


@pytest.mark.skipif(sys.platform == "win32", reason="measures by wait4")
def test_a_run_has_time_and_memory_of_the_program_alone(tmp_path: Path) -> None:
    eat = "import sys; b = bytearray(int(open(sys.argv[1]).read()))"
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text("1000")
    large.write_text("100000000")
    tool = Tool("eats", (sys.executable, "-S", "-c", eat, "FILE"))
    here = bytearray(200_000_000)  # this process's memory does not count
    found = [run(tool, path) for path in (small, large)]
    assert 90e6 < found[1].memory - found[0].memory < 110e6
    assert found[1].memory < len(here)
    assert found[0].wall > 0


def test_the_picture_of_growth_is_svg() -> None:
    pytest.importorskip("vl_convert")
    points = [
        Point(profile, 10**n, 10.0 ** (n - 6), 10 ** (n + 2), 10 ** (n + 3))
        for profile in ("trickle", "crowd")
        for n in range(4, 7)
    ]
    drawn = picture(points)
    assert drawn.startswith("<svg")
    assert len(drawn) < 60_000
    assert "Memory grows as the live connections do" in drawn
