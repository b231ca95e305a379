"""The explanation of one segment for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcpscope.report.explain import Explanation, StateChange, numbering
from tcpscope.report.explain_cause import RULES
from tcpscope.report.explain_flags import Check, Condition
from tcpscope.report.ladder_words import FLAG_ORDER, FLAG_WORDS
from tcpscope.report.model import FileReport
from tcpscope.report.style import Style
from tcpscope.report.text_findings import finding_text, in_file
from tcpscope.rules import words
from tcpscope.state.wireshark import FLAG_NAMES
from tcpscope.wire.segment import ACK

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding

FINDINGS: Final = 12


def explanation_text(
    style: Style, explanation: Explanation, findings: Sequence[Finding], files: Sequence[FileReport]
) -> str:
    """All that is said of one segment, and why."""
    parts = [
        _head(style, explanation, files),
        _states(style, explanation),
        _wireshark(style, explanation),
        _cause(style, explanation),
        _findings(style, findings, files),
    ]
    return "\n\n".join(parts)


def _head(style: Style, one: Explanation, files: Sequence[FileReport]) -> str:
    seg, report, side = one.hit.seg, one.report, one.hit.side
    ends = [f"client {report.client}", f"server {report.server}"]
    place = f" ({in_file(files, seg.frame)})" if len(files) > 1 else ""
    title = f"Frame {seg.frame}{place}, connection {report.stream}: {ends[side]} → {ends[1 - side]}"
    lines = [style.paint(line, "head") for line in style.wrap(title, "  ", "").splitlines()]
    ours, theirs = numbering(one.target.starts[side]), numbering(one.target.starts[1 - side])
    flags = ",".join(FLAG_WORDS[bit] for bit in FLAG_ORDER if seg.flags >> bit & 1) or "no flags"
    length = words.plural(seg.length, "byte") if seg.length else "no data"
    since = words.span(seg.time_ns - report.start_ns)
    lines.append(style.wrap(f"{flags}, {length}, {since} after the first segment of the connection", "    ", "  "))
    numbers = f"sequence number {ours(seg.seq)}" + (f" to {ours(seg.seq + seg.length)}" if seg.length else "")
    numbers += f" (raw {seg.seq})"
    if seg.flags & ACK:
        numbers += f", acknowledges {theirs(seg.ack)} (raw {seg.ack})"
    window = one.wireshark.window
    numbers += f", window {window:,}" + (
        f" ({seg.window:,} × {window // seg.window})" if 0 < seg.window < window else ""
    )
    lines.append(style.wrap(numbers, "    ", "  "))
    options = [f"SACK {', '.join(f'{theirs(left)}–{theirs(right)}' for left, right in seg.sack)}"] if seg.sack else []
    options += [f"timestamp {seg.ts_val}, echoes {seg.ts_ecr}"] if seg.ts_val >= 0 else []
    if options:
        lines.append(style.wrap("; ".join(options), "    ", "  "))
    lines += [style.wrap(line, "    ", "  ") for line in _consequences(one)]
    return "\n".join(lines)


def _consequences(one: Explanation) -> list[str]:
    """What became of it, and what it completes."""
    hit, lines = one.hit, []
    if hit.seg.end != hit.seg.seq:
        if hit.acknowledged is not None:
            frame, time_ns = hit.acknowledged
            lines.append(f"acknowledged in full by frame {frame}, {words.span(time_ns - hit.seg.time_ns)} later")
        else:
            lines.append("not acknowledged in full in this capture")
        if hit.again:
            lines.append(f"sent again, all of it or a part, in {words.frames(hit.again)}")
    messages = [one.known_as for one in one.report.tls.messages if one.frame == hit.seg.frame] if one.report.tls else []
    if messages:
        lines.append(f"completes of TLS: {', '.join(messages)}")
    return lines


def _states(style: Style, one: Explanation) -> str:
    lines = [style.paint("States", "head")]
    lines += [style.wrap(_change(change), "    ", "  ") for change in one.states]
    return "\n".join(lines)


def _change(change: StateChange) -> str:
    if change.old == change.new:
        known = f"stays {change.old}" if change.old != "unknown" else "has no state that the capture proves"
        return f"{change.side} {known}"
    text = f"{change.side}: {change.old} → {change.new}"
    if change.event:
        text += f' by the event "{change.event}" (RFC 9293 section {change.section}'
        text += ", a row for observers)" if change.observer else ")"
    return text


def _wireshark(style: Style, one: Explanation) -> str:
    shown = one.wireshark
    names = [name for bit, name in enumerate(FLAG_NAMES) if shown.flags >> bit & 1]
    title = style.paint("Wireshark's analysis", "head")
    lines = [f"{title}: {', '.join(names) if names else 'no flag'}"]
    told: list[Condition] = []
    for check in one.checks:
        if check.name in names:
            text = style.wrap(f"{check.name}: {check.rule}", "    ", "  ")
            lines.append(text.replace(check.name, style.paint(check.name, "warning"), 1))
            lines += _conditions(style, check.premises + check.conditions)
            told += check.premises
    for check in one.checks:
        if check.near and check.name not in names:
            lines += _not(style, check, [premise for premise in check.premises if premise not in told])
    values = []
    if shown.duplicate_number:
        values.append(f"number {shown.duplicate_number} of the duplicates of frame {shown.duplicate_of}")
    if shown.rto_frame:
        values.append(f"time-out of {words.span(shown.rto)} counted from frame {shown.rto_frame}")
    if shown.acks_frame:
        rtt = f" after {words.span(shown.ack_rtt)}" if shown.ack_rtt >= 0 else ""
        values.append(f"acknowledges frame {shown.acks_frame}{rtt}")
    if shown.in_flight >= 0:
        values.append(f"{words.plural(shown.in_flight, 'byte')} in flight")
    if values:
        lines.append(style.wrap(f"values: {'; '.join(values)}", "    ", "  "))
    return "\n".join(lines)


def _condition(style: Style, condition: Condition) -> str:
    sign = style.paint("✓", "good") if condition.holds else style.paint("✗", "error")
    return style.wrap(condition.text, "      ", "    ? ").replace("?", sign, 1)


def _conditions(style: Style, conditions: Sequence[Condition]) -> list[str]:
    """Those worth a line; of a rule that holds without any such, all."""
    shown = [condition for condition in conditions if not (condition.quiet and condition.holds)]
    return [_condition(style, condition) for condition in shown or conditions]


def _not(style: Style, check: Check, premises: Sequence[Condition]) -> list[str]:
    """Why a flag or cause nearly held and does not."""
    rule = f"; the rule: {check.rule}" if check.rule else ":"
    lines = [style.wrap(f"not {check.name}{rule}", "    ", "  ")]
    failed = [condition for condition in check.conditions if not condition.holds]
    return lines + _conditions(style, [*premises, *failed])


def _cause(style: Style, one: Explanation) -> str:
    title = style.paint("Cause", "head")
    evidence = one.evidence
    if not one.cause:
        lines = [f"{title}: none"]
    else:
        rule, rfc = RULES.get(one.cause, ("", ""))
        lines = [f"{title}: {style.paint(one.cause, 'warning')}" + (f" ({rfc})" if rfc else "")]
        if rule:
            lines.append(style.wrap(rule, "  "))
    lines += [style.wrap(value, "      ", "    ") for value in evidence.values]
    if one.hit.needless:
        lines.append(style.wrap(f"needless, as it turned out: {one.hit.needless}", "    ", "  "))
    if one.cause and evidence.repeats:
        for check in evidence.checks:
            if check.name != one.cause and not check.holds:
                lines += _not(style, check, ())
    return "\n".join(lines)


def _findings(style: Style, findings: Sequence[Finding], files: Sequence[FileReport]) -> str:
    title = style.paint("Findings that name this frame", "head")
    if not findings:
        return f"{title}: {style.paint('none', 'good')}"
    lines = [title, *(finding_text(style, finding, files) for finding in findings[:FINDINGS])]
    if len(findings) > FINDINGS:
        lines.append(style.paint(f"  {words.plural(len(findings) - FINDINGS, 'more finding')}", "dim"))
    return "\n".join(lines)
