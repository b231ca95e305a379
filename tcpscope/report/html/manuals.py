"""The manuals of the rules that found something."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from tcpscope.errors import OptionError
from tcpscope.report.html.model import ManualView
from tcpscope.report.html.rfc import rfc_link
from tcpscope.rules import find_rule
from tcpscope.rules.manual import manual


def manual_views(found: Iterable[tuple[str, str]]) -> tuple[ManualView, ...]:
    """``found``: codes of rules, each with what is to be said of how often it fired."""
    views = []
    for code, counts in found:
        with suppress(OptionError):  # stored by a tcpscope that had it
            rule = find_rule(code)
            text = manual(rule)
            views.append(
                ManualView(
                    code, rule.name, str(rule.severity), rule.rfc, rfc_link(rule.rfc), text.title, counts, text.sections
                )
            )
    return tuple(views)
