"""JUnit XML as CI systems take it (the schema of Jenkins' xUnit plug-in): a suite a capture, and one of the expectations."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import chain

from tcpscope.check.formats.cases import ERROR, FAILED, PASSED, SKIPPED, Case, Suite, suites
from tcpscope.check.formats.common import evidence, safe, said
from tcpscope.check.outcome import CheckResult
from tcpscope.report.quantities import rfc3339

TAGS = {FAILED: "failure", ERROR: "error", SKIPPED: "skipped"}


def render(result: CheckResult) -> str:
    """One document."""
    groups = list(suites(result))
    root = ET.Element(
        "testsuites",
        name="tcpscope",
        tests=str(sum(len(suite.cases) for suite in groups)),
        failures=str(sum(suite.number(FAILED) for suite in groups)),
        errors=str(sum(suite.number(ERROR) for suite in groups)),
    )
    for suite in groups:
        _suite(root, suite)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, suite: Suite) -> None:
    element = ET.SubElement(
        root,
        "testsuite",
        name=suite.name,
        tests=str(len(suite.cases)),
        failures=str(suite.number(FAILED)),
        errors=str(suite.number(ERROR)),
        skipped=str(suite.number(SKIPPED)),
    )
    if suite.capture is not None and suite.capture.first_time_ns is not None:
        # When the traffic was recorded: a clock of this run would make every report another one.
        element.set("timestamp", rfc3339(suite.capture.first_time_ns)[:19])
    for case in suite.cases:
        _case(element, case, suite.name)


def _case(suite: ET.Element, case: Case, name: str) -> None:
    element = ET.SubElement(suite, "testcase", classname=name, name=case.name)
    text = "\n\n".join(
        "\n".join(chain((f"{safe(one.where)}: {one.code} {one.name} {one.severity}: {said(one)}",), evidence(one)))
        for one in case.problems
    )
    if case.status == PASSED:
        if text or case.said:
            ET.SubElement(element, "system-out").text = text or case.said
        return
    outcome = ET.SubElement(element, TAGS[case.status], message=case.said)
    if case.problems:
        outcome.set("type", " ".join(sorted({one.code for one in case.problems})))
    outcome.text = text or case.said
