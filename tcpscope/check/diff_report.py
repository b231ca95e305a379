"""A comparison as text for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tcpscope.check.diff import CaptureDiff, Compared, Pair, Seen, Slip
from tcpscope.report.escape import printable
from tcpscope.report.json_report import SCHEMA, Object, dumps
from tcpscope.report.style import Style
from tcpscope.rules.words import plural, span


def same(diffs: Sequence[CaptureDiff]) -> bool:
    """Whether there is no difference."""
    return not any(diff.differs for diff in diffs)


def render_text(diffs: Sequence[CaptureDiff], style: Style) -> str:
    """The differences, and a summary of each pair of captures."""
    return style.finish("\n\n".join("\n".join(_capture(diff, style)) for diff in diffs) + "\n")


def _capture(diff: CaptureDiff, style: Style) -> Iterator[str]:
    if diff.old is None or diff.new is None:
        path, which = (diff.old.path, "OLD") if diff.old is not None else (diff.new.path if diff.new else "", "NEW")
        yield style.paint(f"{_safe(path)}: only in {which}", "head")
        return
    yield style.paint(f"{_safe(diff.old.path)} → {_safe(diff.new.path)}", "head")
    for which, capture in (("OLD", diff.old), ("NEW", diff.new)):
        if capture.damage:
            yield f"  {which} could not be read in full: {_safe(capture.damage)}"
    yield from _findings(diff.gone, "-", style)
    yield from _findings(diff.come, "+", style)
    for pair in diff.pairs:
        if pair.differs:
            yield from _pair(pair, style)
    yield _summary(diff, style)


def _pair(pair: Pair, style: Style) -> Iterator[str]:
    old, new = pair.old, pair.new
    if old is None or new is None:
        only, which, sign = (old, "OLD", "-") if old is not None else (new, "NEW", "+")
        assert only is not None
        words = ", ".join(_safe(word) for word in only.verdicts[:2] if word)
        yield style.paint(f"{sign} connection {only.stream}, {_label(only)}: only in {which} ({words})", "head")
        yield from _findings(only.findings, sign, style)
        return
    numbers = f"{old.stream}" if old.stream == new.stream else f"{old.stream} → {new.stream}"
    yield style.paint(f"  connection {numbers}, {_label(new)}", "head")
    for change in pair.changes:
        yield f"    {change.what}: {_safe(change.old or 'none')} → {_safe(change.new or 'none')}"
    yield from _findings(pair.gone, "-", style, "  ")
    yield from _findings(pair.come, "+", style, "  ")
    for slip in pair.slips:
        yield f"    {slip.what}: {_time(slip.old)} → {_time(slip.new)}{_share(slip)}"


def _findings(findings: Sequence[Seen], sign: str, style: Style, indent: str = "") -> Iterator[str]:
    for one in findings:
        severity = style.paint(_safe(one.severity), one.severity)
        yield f"{indent}{sign} {_safe(one.code)} {_safe(one.name)} {severity}: {_safe(one.message)}"


def _summary(diff: CaptureDiff, style: Style) -> str:
    both = [pair for pair in diff.pairs if pair.old is not None and pair.new is not None]
    parts = [
        f"{sum(pair.differs for pair in both)} different",
        f"{sum(pair.new is None for pair in diff.pairs)} only in OLD",
        f"{sum(pair.old is None for pair in diff.pairs)} only in NEW",
    ]
    said = [part for part in parts if not part.startswith("0 ")]
    if diff.gone or diff.come:
        said.append("other findings about the capture")
    return f"{plural(len(both), 'connection')} compared: {', '.join(said) or style.paint('no difference', 'good')}"


def _label(connection: Compared) -> str:
    return _safe(f"{connection.client} → {connection.server}" + (f" ({connection.sni})" if connection.sni else ""))


def _time(seconds: float) -> str:
    return span(round(seconds * 1e9))


def _share(slip: Slip) -> str:
    if slip.old <= 0:
        return ""
    share = (slip.new - slip.old) / slip.old * 100
    return f" ({'+' if share > 0 else '−'}{abs(share):,.0f} %)"


def render_json(diffs: Sequence[CaptureDiff]) -> str:
    """One document, schema ``tcpscope/1``, kind ``diff``: what differs, and how many were compared."""
    document: Object = {
        "schema": SCHEMA,
        "kind": "diff",
        "same": same(diffs),
        "captures": [_capture_object(diff) for diff in diffs],
    }
    return dumps(document) + "\n"


def _capture_object(diff: CaptureDiff) -> Object:
    return {
        "old": None if diff.old is None else diff.old.path,
        "new": None if diff.new is None else diff.new.path,
        "damage": {
            "old": (diff.old.damage or None) if diff.old is not None else None,
            "new": (diff.new.damage or None) if diff.new is not None else None,
        },
        "compared": sum(None not in (pair.old, pair.new) for pair in diff.pairs),
        "findings": {"gone": [one._asdict() for one in diff.gone], "new": [one._asdict() for one in diff.come]},
        "connections": [_pair_object(pair) for pair in diff.pairs if pair.differs],
    }


def _pair_object(pair: Pair) -> Object:
    old, new = pair.old, pair.new
    gone = pair.gone if new is not None or old is None else old.findings
    come = pair.come if old is not None or new is None else new.findings
    return {
        "old": None if old is None else _end(old),
        "new": None if new is None else _end(new),
        "verdicts": [change._asdict() for change in pair.changes],
        "timings": [slip._asdict() for slip in pair.slips],
        "findings": {"gone": [one._asdict() for one in gone], "new": [one._asdict() for one in come]},
    }


def _end(connection: Compared) -> Object:
    return {
        "stream": connection.stream,
        "client": connection.client,
        "server": connection.server,
        "sni": connection.sni,
    }


def _safe(text: str) -> str:
    return printable(text, backslash=False)
