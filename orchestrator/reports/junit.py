"""The report as JUnit XML, so that a CI server lists groups as test cases."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from orchestrator.reports.result import Exit
from orchestrator.reports.table import words

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.reports.result import Finding, Report


def build(report: Report) -> ET.Element:
    """Build a suite with a case per group: failed where exit code 1 is due, an error where nothing was shown."""
    cases = [_case(finding) for finding in report.findings]
    suite = ET.Element(
        "testsuite",
        name="rowrace",
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
    )
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = "\n".join(words(report))
    return suite


def write(report: Report, path: Path) -> None:
    """Write the suite into a file."""
    tree = ET.ElementTree(build(report))
    ET.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _case(finding: Finding) -> ET.Element:
    row = finding.row
    case = ET.Element("testcase", classname=f"rowrace.{row.scenario}", name=f"{row.strategy} at {row.isolation}")
    if row.exit is not Exit.AS_EXPECTED:
        kind = "failure" if row.exit is Exit.NOT_AS_EXPECTED else "error"
        message = f"{row.verdict.value}, expected {row.expected.value}: {row.remark}"
        said = [each.sentence for check in finding.verdict.checks for each in check.witnesses[:1]]
        ET.SubElement(case, kind, message=message).text = "\n".join([*row.gates, *said])
    return case
