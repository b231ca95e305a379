"""The table of state transitions as text, as a Graphviz drawing and as JSON."""

from __future__ import annotations

from tcpscope.report.json_report import SCHEMA, dumps
from tcpscope.report.style import Style
from tcpscope.report.table import table
from tcpscope.state.transitions import EVENT_NAMES, OBSERVER, STATE_NAMES, TABLE


def states_table(style: Style) -> str:
    """One row a transition."""
    rows = [
        [STATE_NAMES[state], EVENT_NAMES[event], STATE_NAMES[following], section, mark]
        for state, event, following, section, mark in TABLE
    ]
    return table(style, ["state", "event", "next state", "RFC 9293", ""], rows) + "\n"


def states_dot() -> str:
    """A drawing for Graphviz; what only an observer needs is dashed."""
    lines = [
        "digraph tcp {",
        '  label="TCP connection states (RFC 9293); dashed: for an observer only";',
        "  node [shape=box, style=rounded];",
    ]
    for state, event, following, section, mark in TABLE:
        dashed = ", style=dashed" if mark == OBSERVER else ""
        label = f"{EVENT_NAMES[event]}\\n§{section}"
        lines.append(f'  "{STATE_NAMES[state]}" -> "{STATE_NAMES[following]}" [label="{label}"{dashed}];')
    return "\n".join([*lines, "}"]) + "\n"


def states_json() -> str:
    """One object with all transitions."""
    transitions = [
        {
            "state": STATE_NAMES[state],
            "event": EVENT_NAMES[event],
            "next_state": STATE_NAMES[following],
            "rfc": f"RFC 9293 section {section}",
            "observer": mark == OBSERVER,
        }
        for state, event, following, section, mark in TABLE
    ]
    return dumps({"schema": SCHEMA, "states": list(STATE_NAMES), "transitions": transitions}) + "\n"
