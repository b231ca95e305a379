"""A policy as it is in force, in TOML: what ``tcpscope check --show-config`` prints."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tcpscope.check.keys import EXPECT
from tcpscope.check.kinds import VersionRange
from tcpscope.check.policy import Allow, Expectation, PerConnection, Policy
from tcpscope.options import SECOND_NS
from tcpscope.report.escape import printable
from tcpscope.rules import RULES
from tcpscope.rules.words import plural

DURATIONS = frozenset(key.name for key in EXPECT.keys if key.kind.words.startswith("duration"))


def config_text(policy: Policy) -> str:
    """All that is in force, also what nobody has said."""
    options = policy.options
    inputs = {"keylog": options.keylog, "ca-file": options.ca_file, "crl": options.crl}
    lines = [f"# {printable(policy.path, backslash=False) or 'no policy file'}"]
    lines += [f"# {name} is given by the command line" for name, _, source in policy.given if source == "command line"]
    lines += [
        f"# {plural(len(policy.selected - policy.ignored), 'rule')} in use",
        _pair("select", _codes(policy.selected)),
        _pair("ignore", _codes(policy.ignored)),
        _pair("fail-on", policy.fail_on),
        *([_pair("baseline", policy.baseline)] if policy.baseline else []),
        _pair("msl", options.msl_seconds),
        _pair("verify-checksums", options.verify_checksums),
        _pair("system-ca", options.system_ca),
        *(_pair(name, list(paths)) for name, paths in inputs.items() if paths),
        _pair("severities", dict(sorted(policy.severities.items()))),
        _pair("per-capture-ignores", {pattern: _codes(ignored) for pattern, ignored in policy.per_capture_ignores}),
    ]
    for one in policy.per_connection:
        lines += ["", "[[per-connection]]", *_per_connection(one)]
    for expectation in policy.expectations:
        lines += ["", "[[expect]]", *_expectation(expectation)]
    for allow in policy.allows:
        lines += ["", "[[allow]]", *_allow(allow)]
    return "\n".join(lines) + "\n"


def _codes(codes: frozenset[str]) -> list[str]:
    """Families of which all are among them by their beginning: ``TS`` for all, ``TS4``."""
    every = [rule.code for rule in RULES]
    listed: list[str] = []
    for code in sorted(codes):
        whole = (code[:length] for length in range(2, len(code)))
        listed.append(next((head for head in whole if all(c in codes for c in every if c.startswith(head))), code))
    return list(dict.fromkeys(listed))


def _per_connection(one: PerConnection) -> Iterator[str]:
    yield _pair("match", one.match.text)
    if one.capture:
        yield _pair("capture", list(one.capture))
    if one.selected is not None:
        yield _pair("select", _codes(one.selected))
    yield _pair("ignore", _codes(one.ignored))
    yield _pair("severities", dict(sorted(one.severities.items())))


def _expectation(one: Expectation) -> Iterator[str]:
    yield f"# {printable(one.place, backslash=False)}"
    yield _pair("name", one.name)
    yield _pair("match", one.match.text)
    if one.capture:
        yield _pair("capture", list(one.capture))
    yield _pair("min-connections", one.min_connections)
    if one.max_connections is not None:
        yield _pair("max-connections", one.max_connections)
    for key, value in one.wanted:
        if key in DURATIONS:
            yield _pair(key, value / SECOND_NS)
        elif key == "max-findings":
            yield _pair(key, dict(value))
        else:
            yield _pair(key, list(value) if isinstance(value, tuple) else value)
    yield _pair("severity", one.severity)
    yield _pair("undecided", "fail" if one.undecided_fails else "pass")


def _allow(one: Allow) -> Iterator[str]:
    yield f"# {printable(one.place, backslash=False)}"
    yield _pair("rule", list(one.rule))
    yield _pair("match", one.match.text)
    if one.capture:
        yield _pair("capture", list(one.capture))
    yield _pair("reason", one.reason)
    if one.until is not None:
        yield _pair("until", one.until)


def _pair(key: str, value: Any) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, VersionRange):
        return json.dumps(str(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value).replace("\x7f", "\\u007f")
