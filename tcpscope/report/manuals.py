"""Rules as a table, as a manual page and as JSON; the texts are the rules' own (:mod:`tcpscope.rules.manual`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcpscope.report.json_report import SCHEMA, Value, dumps
from tcpscope.report.style import Style
from tcpscope.report.table import table
from tcpscope.rules.manual import manual

if TYPE_CHECKING:
    from tcpscope.rules.base import Rule


def rules_table(style: Style, rules: Iterable[Rule]) -> str:
    """One row a rule."""
    rows = [
        [rule.code, rule.name, style.paint(rule.severity, rule.severity), rule.rfc.replace(" section ", " ")]
        for rule in rules
    ]
    return table(style, ["rule", "name", "severity", "rests on"], rows) + "\n"


def manual_text(style: Style, rule: Rule) -> str:
    """The manual page of one rule."""
    page = manual(rule)
    parts = [
        style.paint(f"{rule.code} {rule.name}", "head") + f"  {style.paint(rule.severity, rule.severity)}, {rule.rfc}",
        style.wrap(page.title),
    ]
    for heading, body in page.sections:
        parts.append(f"{style.paint(heading, 'head')}\n{_body(style, heading, body)}")
    return "\n\n".join(parts) + "\n"


def _body(style: Style, heading: str, body: str) -> str:
    """A section's text: prose in lines of the style's width, an example as it stands, one reference a line."""
    if heading == "Example":
        return "\n".join(f"  {line}".rstrip() for line in body.splitlines())
    if heading == "References":
        return "\n".join(style.wrap(line, "    ", "  ") for line in body.splitlines())
    return "\n\n".join(style.wrap(paragraph, "  ") for paragraph in body.split("\n\n"))


def rules_json(rules: Iterable[Rule]) -> str:
    """One object with all rules and their manuals."""
    listed: list[Value] = []
    for rule in rules:
        page = manual(rule)
        listed.append(
            {
                "code": rule.code,
                "name": rule.name,
                "severity": str(rule.severity),
                "rfc": rule.rfc,
                "title": page.title,
                "manual": dict(page.sections),
            }
        )
    return dumps({"schema": SCHEMA, "rules": listed}) + "\n"
