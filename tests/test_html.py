"""The HTML report: what is in it, that nothing from the wire acts in it, and what happens where a library or a capture is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tcpscope.batch.aggregate import CLIENTS, NAMES, SERVERS, Aggregate, Certificate, Group, RuleTotal, Trouble
from tcpscope.batch.captures import Captures
from tcpscope.batch.html import document
from tcpscope.batch.listed import MOST_LISTED, Listed, Worst
from tcpscope.batch.overview import Overview
from tcpscope.batch.pages import PAGES, PAGES_A_CAPTURE, choose, make_pages, missing
from tcpscope.batch.run import run_batch
from tcpscope.batch.tables import write_tables
from tcpscope.cli.main import run
from tcpscope.many.inputs import find
from tcpscope.options import Options
from tcpscope.report.html.model import Drawing, Page, shown
from tcpscope.report.html.rfc import rfc_link
from tests.captures import SAMPLES, clean, many, unanswered
from tests.html_page import HOSTILE, HtmlPage, hostile_hello
from tests.test_cli import tcpscope_process

pytest.importorskip("jinja2")

Capsys = pytest.CaptureFixture[str]

LIMIT = 20_000_000


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with captures."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/clean.pcap").write_bytes(clean())
    Path("in/unanswered.pcap").write_bytes(unanswered())
    Path("in/many.pcap").write_bytes(many(12, range(2, 10)))
    return tmp_path


def analyze(*arguments: str) -> HtmlPage:
    """The page that ``analyze`` writes."""
    assert run(["analyze", *arguments, "--format", "html", "--no-progress", "-o", "page.html"]) in (0, 2)
    return HtmlPage(Path("page.html").read_text(encoding="utf-8"))


def batch(*arguments: str, to: str = "out") -> HtmlPage:
    """The page that a batch writes."""
    assert run(["batch", "-o", to, "-j", "1", "--tables", "csv", "--no-progress", *arguments]) in (0, 2)
    return HtmlPage(Path(to, "report.html").read_text(encoding="utf-8"))


def test_one_capture() -> None:
    page = analyze(str(SAMPLES / "timeout-retransmit.pcap"))
    page.check()
    for text in (
        "2 of 4 segments with data (50 %) of the client",
        "Where the trouble sits: network (high confidence)",
        "TS404 retransmission-timeout",
        "RFC 9293 section 3.8.1",
        "client stalled by loss",
        "FIN-WAIT-1",
        "How to fix",
        "SYN-RECEIVED",
    ):
        assert text in page.text, text
    assert [tag for tag, _ in page.elements].count("svg") == 1
    assert page.table("connections")[0][1:3] == ["warning", "TS404"]
    assert "/connection/1" in page.ids
    assert "/rule/TS404" in page.ids


def test_tls_messages_and_certificates_are_there() -> None:
    text = analyze(str(SAMPLES / "tls-fatal-alert.pcap")).text
    assert "ClientHello" in text
    assert "ended by the server's alert" in text


def test_all_samples_make_sound_pages() -> None:
    page = batch(str(SAMPLES))
    page.check()
    assert len([one for one in page.ids if one.startswith("/connection/")]) == PAGES
    captures = page.table("captures")
    assert len(captures) == len(list(SAMPLES.glob("*.pcap*")))
    assert captures[0][1] == "damaged"
    assert "1 damaged" in page.text


def test_a_capture_without_connections_or_findings() -> None:
    Path("empty.pcap").write_bytes(clean()[:24])
    page = analyze("empty.pcap")
    page.check()
    assert "No TCP connection was found" in page.text
    page = analyze("in/clean.pcap")
    page.check()
    assert "Nothing points to trouble in 1 connection" in page.text
    assert "/connection/1" in page.ids


def test_what_cannot_be_read_is_told(capsys: Capsys) -> None:
    Path("text.pcap").write_text("not a capture", encoding="utf-8")
    page = analyze("text.pcap", "nowhere.pcap", "in/unanswered.pcap")
    page.check()
    assert "0 damaged, 2 unreadable" in page.text
    assert {row[1] for row in page.table("captures")} == {"read", "unreadable"}
    assert "nowhere.pcap" in capsys.readouterr().err


def test_one_connection_gets_its_page() -> None:
    page = analyze("in/many.pcap", "--connection", "11")
    assert [one for one in page.ids if one.startswith("/connection/")] == ["/connection/1"]
    assert "in/many.pcap, connection 11" in page.text


# Nothing from the wire acts


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_the_wire_is_text(name: str) -> None:
    Path("x.pcap").write_bytes(hostile_hello(name))
    page = analyze("x.pcap")
    page.check()
    assert " ".join(shown(name).split()) in page.text
    assert shown(name) in page.strings()


@pytest.mark.skipif(os.name != "posix", reason="not a name of a file there")
def test_names_of_files_are_text() -> None:
    names = [name.replace("/", "_").replace("\0", "") for name in HOSTILE]
    Path("files").mkdir()
    for name in names:
        Path("files", f"{name}.pcap").write_bytes(unanswered())
    page = batch("files")
    page.check()
    assert len(page.table("captures")) == len(names)
    for name in names:
        assert shown(f"files/{name}.pcap") in page.strings()


def test_every_text_is_escaped() -> None:
    over, pages = hostile_overview()
    safe = [shown(text) for text in HOSTILE]
    source = render_of(document(over, pages, headline=safe[0], advice=safe, notices=safe))
    page = HtmlPage(source)
    page.check()
    for text in HOSTILE:
        assert " ".join(shown(text).split()) in page.text
    for sign in ("\x1b", "\x00", "\u202e"):
        assert sign not in source
    for _, text in page.scripts[:-1]:
        assert "<" not in text


def hostile_overview() -> tuple[Overview, list[Page]]:
    """A batch all of whose texts are attacks."""
    total, captures = Aggregate(), Captures()
    pages = []
    for number, text in enumerate(HOSTILE):
        group = Group(connections=1, error=1)
        total.total.merge(group)
        for dimension in (NAMES, SERVERS, CLIENTS):
            total.groups[dimension][text] = group
        total.total.versions[text] = total.total.ciphers[text] = 1
        total.troubles["TS105", text] = Trouble("TS105", "10.0.0.1:80", "error", text, number, 1, "", text, text)
        total.certificates[text] = Certificate("00", "2026-01-01T00:00:00Z", text, text, "10.0.0.1:80", 0)
        total.rules["TS105"] = RuleTotal("syn-unanswered", "error", 1, 1, 1)
        total.listed.add(listed(text, number, sentence=text, name=text))
        captures.add({"path": text, "status": "damaged", "reason": text, "document": "x.json", "summary": text})
        pages.append(missing(total.listed.rows[-1], text))
    lines = tuple(line._replace(document="") for line in captures.in_order())
    return Overview(9, 9, 9, 9, 0, 0, 9, (), (), total, "1", lines=lines, faults=(("a flaw", 3),), flawed=9), pages


def listed(
    path: str, stream: int, *, severity: int = 0, findings: int = 1, sentence: str = "", name: str = ""
) -> Listed:
    """A connection with findings."""
    ends = f"10.0.0.1:{stream % 60000}", "10.0.0.2:443"
    return Listed(
        severity, findings, path, stream, 1, *ends, name, "complete", "orderly", "", 0, 1, 1, 0, None, "TS105", sentence
    )


def render_of(doc: Any) -> str:
    from tcpscope.report.html.render import render

    return render(doc)


def test_the_addresses_of_rfcs() -> None:
    assert rfc_link("RFC 9293 section 3.5") == "https://www.rfc-editor.org/rfc/rfc9293#section-3.5"
    assert rfc_link("RFC 8446 appendix D.4.") == "https://www.rfc-editor.org/rfc/rfc8446#appendix-D.4"
    assert rfc_link("RFC 5961") == "https://www.rfc-editor.org/rfc/rfc5961"
    assert rfc_link("none") == ""


# The same captures give the same page


def test_two_runs_write_the_same_bytes(capsys: Capsys) -> None:
    shutil.copytree(SAMPLES, "samples", ignore=shutil.ignore_patterns("*.md", "*.keys", "[l-s]*"))
    batch("samples", to="one")
    batch("samples/dumpcap.pcapng", "samples/abort-rst.pcap", to="two")
    batch("samples", to="two")
    assert Path("one/report.html").read_bytes() == Path("two/report.html").read_bytes()
    batch("samples", "-j", "2", to="one")
    assert Path("one/report.html").read_bytes() == Path("two/report.html").read_bytes()
    first = analyze("in/many.pcap", "in/clean.pcap").source
    assert analyze("in/many.pcap", "in/clean.pcap").source == first


def test_the_worst_are_chosen_in_a_fixed_order() -> None:
    total = Aggregate()
    for number in range(30):
        one = Aggregate()
        for stream in reversed(range(20)):
            one.listed.add(listed(f"{number:02}.pcap", stream, severity=stream % 3, findings=number % 4))
        one.listed.finish()
        total.merge(Aggregate.load(json.loads(json.dumps(one.stored()))))
    chosen = choose(total)
    assert len(chosen) == PAGES
    assert [one.place for one in chosen] == [one.place for one in sorted(chosen, key=lambda one: (one.rank, one.place))]
    paths = [one.path for one in chosen]
    assert max(paths.count(path) for path in paths) == PAGES_A_CAPTURE
    assert {one.severity for one in chosen} == {0}
    assert {one.findings for one in chosen} == {3, 2}


def test_merged_lists_hold_the_worst_of_all() -> None:
    rows = [listed(f"{number // 50:02}.pcap", number % 50, severity=number % 3) for number in range(1000)]
    total = Worst(100)
    for start in range(0, 1000, 50):
        one = Worst(100)
        for row in rows[start : start + 50]:
            one.add(row)
        one.finish()
        total.merge(one)
    assert total.in_order() == sorted(rows, key=lambda one: one.severity)[:100]
    assert total.left_out == 900


# What is missing


def test_without_jinja2_a_batch_writes_the_other_report(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    batch("in")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    capsys.readouterr()
    assert run(["batch", "in", "-o", "out", "-j", "1", "--tables", "csv", "--no-progress"]) == 0
    out, err = capsys.readouterr()
    assert err == "tcpscope: report.html needs pip install 'tcpscope[html]'\n"
    assert out.endswith("report.md\n")
    assert not Path("out/report.html").exists(), "of another run: it may say something else"


def test_without_jinja2_the_format_is_an_error(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    Path("page.html").write_text("old", encoding="utf-8")
    assert run(["analyze", "in/clean.pcap", "--format", "html", "-o", "page.html"]) == 2
    assert capsys.readouterr().err == "tcpscope: HTML needs pip install 'tcpscope[html]'\n"
    assert Path("page.html").read_text(encoding="utf-8") == "old"


def test_without_vl_convert_the_graphs_are_missing_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for page in (analyze("in/many.pcap"), batch("in")):
        assert "pip install 'tcpscope[html]'" in page.text
        assert "svg" in {tag for tag, _ in page.elements}
        assert len(page.source) < 500_000


def test_the_graphs_are_there() -> None:
    pytest.importorskip("vl_convert")
    page = analyze(str(SAMPLES / "lost-data-burst.pcap"))
    graphs = next(one for one in page.data() if isinstance(one, list))
    keys = {graph["key"] for graph in graphs}
    assert {"sequence-server", "rtt"} <= keys
    assert all(graph["spec"]["$schema"].startswith("https://vega.github.io/") for graph in graphs)


def test_captures_that_are_gone_or_changed_cost_only_their_pictures() -> None:
    ran = run_batch(find(["in"]), "out", Options(), jobs=1)
    written = write_tables(ran, "out", "csv")
    Path("in/unanswered.pcap").unlink()
    Path("in/many.pcap").write_bytes(clean())
    pages = make_pages(ran.inputs, written.aggregate, "out", Options(), jobs=1)
    told = {page.path: page.missing for page in pages}
    assert "has changed since it was judged" in told["in/many.pcap"]
    assert "cannot be read any more" in told["in/unanswered.pcap"]
    assert all(page.summary and page.drawing == Drawing() for page in pages)


def test_pages_are_the_same_wherever_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run_batch(find(["in"]), "out", Options(), jobs=1)
    written = write_tables(ran, "out", "csv")
    here = make_pages(ran.inputs, written.aggregate, "out", Options(), jobs=1)
    assert [page.missing for page in here] == [""] * 6
    with ThreadPoolExecutor(2) as executor:
        assert make_pages(ran.inputs, written.aggregate, "out", Options(), executor=executor) == here
    monkeypatch.setattr("tcpscope.batch.pages.WORTH_PROCESSES", 0.0)
    assert make_pages(ran.inputs, written.aggregate, "out", Options(), jobs=2) == here


def test_what_goes_wrong_while_drawing_costs_only_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("too much")

    ran = run_batch(find(["in"]), "out", Options(), jobs=1)
    written = write_tables(ran, "out", "csv")
    monkeypatch.setattr("tcpscope.batch.pages.page", fail)
    told = [page.missing for page in make_pages(ran.inputs, written.aggregate, "out", Options(), jobs=1)]
    assert told == ["This connection could not be drawn: MemoryError: too much"] * 6


def test_a_result_that_vanished_costs_only_its_pictures() -> None:
    ran = run_batch(find(["in"]), "out", Options(), jobs=1)
    written = write_tables(ran, "out", "csv")
    shutil.rmtree("out/rows")
    assert all(page.missing for page in make_pages(ran.inputs, written.aggregate, "out", Options(), jobs=1))


def test_a_pipe_is_kept_for_the_second_reading() -> None:
    process = tcpscope_process(
        "analyze", "-", "--format", "html", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate(many(12, range(2, 10)))
    assert (process.returncode, err) == (0, b"")
    page = HtmlPage(out.decode())
    page.check()
    assert [tag for tag, _ in page.elements].count("svg") == 12


def test_parts_of_one_capture_are_joined() -> None:
    first, second = "x_00001_20261123010000.pcap", "x_00002_20261123010001.pcap"
    data = many(12, range(2, 10))
    header, body = data[:24], data[24:]
    size = 16 + int.from_bytes(body[8:12], "little")
    Path(first).write_bytes(header + body[:size])
    Path(second).write_bytes(header + body[size:])
    page = analyze(first, second, "--join")
    page.check()
    assert len(page.table("captures")) == 1
    assert [tag for tag, _ in page.elements].count("svg") == 12
    page = batch(first, second, "--join")
    page.check()
    assert len(page.table("captures")) == 1
    assert [tag for tag, _ in page.elements].count("svg") == PAGES_A_CAPTURE


# Large batches


def test_ten_thousand_captures_stay_below_20_mb() -> None:
    total, captures = Aggregate(), Captures()
    sentence = "The client 10.0.0.1:50000 sent 52 segments again that had arrived, since the ACKs were late. " * 3
    for number in range(10_000):
        path = f"/srv/captures/site-{number % 7}/2026-11-23/{'long-name-' * 9}{number:06}.pcapng.gz"
        captures.add(
            {
                "path": path,
                "status": "read",
                "document": f"{'n' * 80}-{number:016x}.json",
                "frames": 1000,
                "connections": 50,
                "errors": number % 5,
                "warnings": number,
                "first_time": 1_790_000_000_000_000_000 + number,
                "duration": 60.5,
                "summary": sentence,
                "truncated_frames": 1,
            }
        )
        one = Aggregate()
        group = Group(connections=50, error=1)
        for dimension in (NAMES, SERVERS, CLIENTS):
            one.groups[dimension][f"{dimension}-{number}.example.org"] = group
        one.total.merge(group)
        one.listed.add(listed(path, number % 50, sentence=sentence))
        total.merge(one)
    drawn = Drawing("<svg>" + "<line x1='1'/>" * 4000 + "</svg>", "", graphs(8000))
    pages = [missing(row, "")._replace(drawing=drawn) for row in total.listed.in_order()[:PAGES]]
    lines = tuple(captures.in_order())
    over = Overview(10_000, 1, 500_000, 1, 1, 1, 10_000, (), (), total, "1", lines=lines)
    source = render_of(document(over, pages, tables="parquet"))
    assert len(source.encode()) < LIMIT
    page = HtmlPage(source)
    assert "The graphs are left out, since the report would become too large" in page.text
    assert len(page.table("captures")) == 10_000
    assert len(page.table("connections")) == MOST_LISTED
    assert f"{10_000 - MOST_LISTED:,} more are not here: connections.parquet has all of them." in page.text


def graphs(points: int) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
    """A graph of so many points."""
    spec = {"mark": "line", "data": {"values": [{"t": 0.001 * number, "v": number} for number in range(points)]}}
    return [("rtt", "Round trips", spec)]


def test_more_captures_than_a_page_can_bear_are_counted() -> None:
    captures = Captures(100)
    for number in range(1000):
        captures.add(
            {"path": f"{number}.pcap", "status": "unreadable" if number == 777 else "read", "errors": number % 9}
        )
    lines = captures.in_order()
    assert len(lines) == 100
    assert lines[0].path == "777.pcap"
    assert {line.errors for line in lines[1:]} == {8}
    over = Overview(1000, 1, 1, 1, 1, 1, 1, (), (), Aggregate(), "1", lines=tuple(lines))
    assert (
        "900 more are not here: captures.csv has all of them."
        in HtmlPage(render_of(document(over, [], tables="csv"))).text
    )
