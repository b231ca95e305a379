"""Reads an HTML report as a browser would, as far as the tests need it, and builds captures whose every text is an attack."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from tests.scenario import build, parse
from tests.tls_builder import client_hello, handshake, sni

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '"onload="alert(1)',
    "'><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "a\x1b[2J\x00b\u202ec",
    "<!--",
    "]]>&amp;&#60;",
    "javascript:alert(1)",
)
"""Names that a peer or a file system may send."""


def hostile_hello(name: str) -> bytes:
    """A capture of a connection whose ClientHello asks for this name, and is never answered."""
    hello = handshake(client_hello([sni(name)])).hex()
    return build(
        parse(
            f"""# A name from the wire.
client: 10.0.0.1:51000
server: 10.0.0.2:443
0.0   C > S  S  <mss 1460>
+.01  S > C  S. <mss 1460>
+.01  C > S  .
+.01  C > S  P. hex {hello}
+.01  S > C  .
+.01  S > C  R.
"""
        )
    )


class HtmlPage(HTMLParser):
    """The elements of a page: ``elements`` as (tag, attributes), ``text`` outside of scripts and styles, ``scripts``."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.styles: list[str] = []
        self._texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag in {"script", "style"}:
            self._open.append(tag)
            if tag == "script":
                self.scripts.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open:
            self._texts.append(data)
        elif self._open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        else:
            self.styles.append(data)

    @property
    def ids(self) -> list[str]:
        """All of them."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def links(self) -> list[str]:
        """Where all links lead."""
        return [attributes["href"] for _, attributes in self.elements if "href" in attributes]

    @property
    def policy(self) -> str:
        """The Content Security Policy."""
        (found,) = (
            attributes["content"]
            for _, attributes in self.elements
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        return found

    def data(self) -> list[Any]:
        """What is embedded as JSON."""
        return [json.loads(text) for attributes, text in self.scripts if attributes.get("type") == "application/json"]

    def strings(self) -> str:
        """All texts that are embedded as JSON, a line each."""
        found: list[str] = []
        waiting: list[Any] = self.data()
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                found.append(one)
            elif isinstance(one, list | dict):
                waiting += one.values() if isinstance(one, dict) else one
        return "\n".join(found)

    def table(self, key: str) -> list[list[str]]:
        """The texts of a table's rows."""
        found = re.search(
            rf'data-table="{key}".*?<script type="application/json">(.*?)</script>', self.source, re.DOTALL
        )
        assert found is not None
        rows: list[list[Any]] = json.loads(found[1])["rows"]
        return [
            ["" if cell is None else str(cell[1] if isinstance(cell, list) else cell) for cell in row] for row in rows
        ]

    def check(self) -> None:
        """Hold what every report must hold: it loads nothing, runs only its own scripts, and its links lead somewhere."""
        ids = self.ids
        assert len(ids) == len(set(ids))
        for link in self.links:
            if link.startswith("#/"):
                assert link[1:] in ids, link
            else:
                assert re.match(r"https://www\.rfc-editor\.org/rfc/rfc\d+(#[a-z]+-[0-9A-Z.]+)?$", link), link
        tags = {tag for tag, _ in self.elements}
        assert tags.isdisjoint(
            {"img", "link", "iframe", "object", "embed", "base", "form", "image", "use", "foreignobject"}
        )
        for tag, attributes in self.elements:
            assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
            assert attributes.keys().isdisjoint({"src", "srcset", "action", "formaction", "xlink:href", "ping"})
        assert not re.search(r"url\(|@import|expression\(", "".join(self.styles))
        executed = [text for attributes, text in self.scripts if attributes.get("type") != "application/json"]
        hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in executed}
        assert set(re.findall(r"'sha256-([^']+)'", self.policy)) == hashes
        assert self.policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-inline" not in self.policy.partition("style-src")[0]
        assert "unsafe-eval" not in self.policy
        for _, text in self.scripts:
            assert "\x1b" not in text
