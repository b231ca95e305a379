"""The JSON Schema of a policy, for editors, and the tables of its manual: both from the table of keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from tcpscope.check.keys import POLICY, TABLES, Key

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""The one that editors' TOML plug-ins take."""


def policy_schema() -> dict[str, object]:
    """The schema of ``tcpscope.toml``, which is that of ``[tool.tcpscope]``, too."""
    schema = _object(POLICY)
    properties: dict[str, object] = dict(schema["properties"])  # type: ignore[call-overload]
    for table in TABLES:
        properties[table.name] = {"type": "array", "description": table.meaning, "items": _object(table.keys)}
    head = {"$schema": DRAFT, "title": "tcpscope.toml", "description": "The policy of tcpscope check"}
    return {**head, **schema, "properties": properties}


def _object(keys: Sequence[Key], prefix: str = "") -> dict[str, object]:
    properties: dict[str, object] = {}
    for key in keys:
        name = key.name.removeprefix(prefix)
        group, dot, _ = name.partition(".")
        if not dot:
            properties[name] = {**key.kind.schema, "description": key.meaning}
        elif group not in properties:
            inside = [one for one in keys if one.name.startswith(f"{prefix}{group}.")]
            properties[group] = _object(inside, f"{prefix}{group}.")
    required = [key.name for key in keys if key.required]
    rest: dict[str, object] = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **rest, "additionalProperties": False}


def schema_text() -> str:
    """The schema as it stands in ``policy.schema.json``."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=True) + "\n"


def manual_tables() -> str:
    """The tables of docs/check.md, in Markdown."""
    parts = ["\n".join(_rows(POLICY))]
    for table in TABLES:
        parts.append(f"### `[[{table.name}]]`\n\n{table.meaning}\n\n" + "\n".join(_rows(table.keys)))
    return "\n\n".join(parts) + "\n"


def _rows(keys: Sequence[Key]) -> Iterator[str]:
    yield "| key | value | meaning | without it | example |"
    yield "| --- | --- | --- | --- | --- |"
    for key in keys:
        without = "must be given" if key.required else key.default or "not looked at"
        cells = [f"`{key.name}`", key.kind.words, key.meaning, without, f"`{key.example}`"]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
