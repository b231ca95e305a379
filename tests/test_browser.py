"""The HTML report in a browser (Debian's chromium, driven by playwright), as somebody reads it."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tcpscope.cli.main import run
from tests.captures import SAMPLES, many

CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WANTED: Final = os.environ.get("TCPSCOPE_BROWSER")
""""required" where it must be there, so that nobody takes a run without it for one with it; "no" where another run does it."""

LOOKS: Final = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; without one the tests are skipped, unless it is required."""
    if WANTED == "no":
        pytest.skip("no browser: not wanted")
    try:
        api: Any = importlib.import_module("playwright.sync_api")
        importlib.import_module("jinja2")
        importlib.import_module("vl_convert")
        if not CHROMIUM.exists():
            raise ImportError(f"{CHROMIUM} is not installed")
    except ImportError as error:
        if WANTED == "required":
            raise
        pytest.skip(f"no browser: {error}")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Path:
    """A directory with the report of a batch over the samples, and those of single captures."""
    directory = tmp_path_factory.mktemp("html")
    Path(directory, "many.pcap").write_bytes(many(250, range(0, 250, 2)))
    shutil.copytree(SAMPLES, directory / "in", ignore=shutil.ignore_patterns("*.keys", "*.md"))
    out = str(directory / "out")
    assert run(["batch", str(directory / "in"), "-o", out, "-j", "1", "--no-progress", "--tables", "csv"]) == 2
    for name, path in (("many", directory / "many.pcap"), ("loss", SAMPLES / "lost-data-burst.pcap")):
        assert run(["analyze", str(path), "--format", "html", "-o", str(directory / f"{name}.html")]) == 0
    return directory


class Reader:
    """Somebody who reads a report, and hears of everything that is wrong with it."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light", **more: Any) -> None:
        self.troubles: list[str] = []
        self.page: Any = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, **more)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("request", lambda one: None if one.url == path.as_uri() else self.troubles.append(one.url))
        self.page.goto(path.as_uri())

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(message.text)

    def go(self, place: str) -> None:
        """Follow a link of the page."""
        self.page.evaluate("place => { location.hash = place }", place)
        self.arrived(place)

    # Locators wait in the browser's own world. wait_for_function() evaluates text in the page's, which the page forbids.

    def arrived(self, place: str) -> None:
        """Wait for a view."""
        self.page.locator(f".current[id='{place}']").wait_for(state="attached")

    def drawn(self) -> None:
        """Wait for three graphs."""
        self.page.locator(".current figure svg").nth(2).wait_for(state="attached")

    def texts(self, selector: str) -> list[str]:
        """The texts of what is visible."""
        found: list[str] = self.page.locator(f".current {selector}").all_inner_texts()
        return found

    def column(self, number: int) -> list[str]:
        """The cells of a column."""
        return self.texts(f"tbody td:nth-child({number})")

    def done(self) -> None:
        """There was nothing to complain about."""
        assert self.troubles == []
        self.page.close()


@pytest.mark.parametrize(("width", "scheme"), [LOOKS[0], LOOKS[-1]])
def test_every_view_of_a_batch(browser: Any, reports: Path, width: int, scheme: str) -> None:
    reader = Reader(browser, reports / "out/report.html", width, scheme)
    page = reader.page
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme
    views: list[str] = page.evaluate("[...document.querySelectorAll('.view')].map(view => view.id)")
    assert views[:4] == ["/", "/pages", "/connections", "/captures"]
    pages = [view for view in views if view.startswith("/connection/")]
    rules = [view for view in views if view.startswith("/rule/")]
    for view in [*views[: views.index(pages[0])], *pages[::7], *rules[::10]]:
        reader.go(view)
        assert reader.texts("h1")[0].strip()
        assert page.locator(".view:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the window"
    reader.done()


def test_a_table_sorts_by_mouse_and_keyboard(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "out/report.html")
    reader.go("/captures")
    heads = reader.texts("th")
    place = heads.index("frames") + 1
    button = reader.page.locator(f".current th:nth-child({place}) button")
    button.click()
    numbers = [int(text.replace(",", "")) for text in reader.column(place)]
    assert numbers == sorted(numbers, reverse=True)
    assert reader.page.locator(f".current th:nth-child({place})").get_attribute("aria-sort") == "descending"
    button.press("Enter")
    numbers = [int(text.replace(",", "")) for text in reader.column(place)]
    assert numbers == sorted(numbers)
    assert reader.page.locator(".current th[aria-sort]").count() == 1
    duration = heads.index("duration") + 1
    reader.page.locator(f".current th:nth-child({duration}) button").click()
    longest = reader.column(duration)
    assert "min" in longest[0], "durations are sorted as such, not as texts"
    assert " h" not in "".join(longest[5:])
    reader.done()


def test_a_table_is_filtered(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "out/report.html")
    page = reader.page
    reader.go("/connections")
    everything = page.locator(".current [role=status]").inner_text()
    page.locator(".current input").fill("ts404 TIMEOUT-retransmit")
    assert reader.column(3) == ["TS404"]
    page.locator(".current input").fill("no such thing")
    assert reader.column(1) == []
    page.locator(".current input").fill("")
    page.locator(".current .chip", has_text="error").click()
    assert {text.split()[-1] for text in reader.column(2)} == {"error"}
    page.locator(".current .chip", has_text="TS405").click()
    assert reader.column(2) == [], "a severity and a rule must both hold"
    page.locator(".current .chip", has_text="error").click()
    assert all("TS405" in text for text in reader.column(3))
    page.locator(".current .chip", has_text="TS405").click()
    assert page.locator(".current [role=status]").inner_text() == everything
    reader.done()


def test_a_long_table_has_pages(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "many.html")
    page = reader.page
    reader.go("/connections")
    assert len(reader.column(1)) == 100
    page.locator(".current .pager button", has_text="Next").click()
    page.locator(".current .pager button", has_text="Next").click()
    assert len(reader.column(1)) == 50
    assert page.locator(".current .pager").inner_text().splitlines()[1] == "201 to 250"
    assert page.locator(".current .pager button", has_text="Next").is_disabled()
    page.locator(".current input").fill("unanswered")
    assert page.locator(".current [role=status]").inner_text() == "125 of 250"
    reader.done()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_connection_is_opened_and_left(browser: Any, reports: Path, width: int, scheme: str) -> None:
    reader = Reader(browser, reports / "loss.html", width, scheme)
    page = reader.page
    headline = reader.texts("h1")
    page.locator(".current .worst a", has_text="segments").click()
    reader.drawn()
    text = page.locator(".current").inner_text()
    for wanted in ("Where the trouble sits: network", "TS405 fast-retransmission", "Where the time went", "SYN-SENT"):
        assert wanted in text
    assert page.locator(".current svg.ladder").is_visible()
    page.locator(".current summary").click()
    page.locator(".current details .text").wait_for()
    assert "How to fix" in page.locator(".current details").inner_text()
    page.go_back()
    reader.arrived("/")
    assert reader.texts("h1") == headline
    reader.done()


def test_graphs_are_drawn_when_they_are_looked_at_and_again_in_the_dark(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "loss.html")
    page = reader.page
    assert page.locator("figure").count() == 0
    reader.go("/connection/1")
    reader.drawn()
    light = page.locator(".current figure").first.inner_html()
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    reader.drawn()
    assert page.locator(".current figure").first.inner_html() != light
    reader.done()


def test_without_javascript_all_but_the_tables_can_be_read(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "loss.html", java_script_enabled=False)
    assert reader.page.locator("noscript").inner_text().startswith("Without JavaScript")
    for selector in ("svg.ladder", "h1 >> nth=0", ".manual >> nth=0"):
        assert reader.page.locator(selector).is_visible()
    assert not reader.page.locator(".data").first.is_visible()
    reader.done()


def test_it_prints(browser: Any, reports: Path) -> None:
    reader = Reader(browser, reports / "loss.html", scheme="dark")
    page = reader.page
    page.emulate_media(media="print")
    assert page.locator("svg.ladder").is_visible(), "with the overview the pages of connections are printed"
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("location.hash = '/rules'")
    reader.arrived("/rules")
    assert not page.locator("svg.ladder").is_visible()
    assert page.pdf()[:5] == b"%PDF-"
    reader.done()
