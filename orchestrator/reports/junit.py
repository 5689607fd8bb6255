"""The report as JUnit XML, so that a CI server lists groups as test cases."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from orchestrator.errors import UsageError
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


def check(path: Path) -> None:
    """Raise a `UsageError` unless the file can be written; nothing is left, and what is there stays."""
    if path.exists() and not path.is_file():
        if path.is_dir() or not os.access(path, os.W_OK):  # a pipe's reader would take an opening for the whole
            raise UsageError(f"--junit {path}: it can't be written.")
        return
    new = not path.exists()
    try:
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def write(report: Report, path: Path) -> None:
    """Write the suite into a file; a `UsageError` if that can't be done."""
    tree = ET.ElementTree(build(report))
    ET.indent(tree)
    try:
        tree.write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"--junit {path}: it can't be written ({(error.strerror or 'error').lower()}).")


def _case(finding: Finding) -> ET.Element:
    row = finding.row
    case = ET.Element("testcase", classname=f"rowrace.{row.scenario}", name=f"{row.strategy} at {row.isolation}")
    if row.exit is not Exit.AS_EXPECTED:
        kind = "failure" if row.exit is Exit.NOT_AS_EXPECTED else "error"
        message = f"{row.verdict.value}, expected {row.expected.value}: {row.remark}"
        said = [each.sentence for check in finding.verdict.checks for each in check.witnesses[:1]]
        ET.SubElement(case, kind, message=message).text = "\n".join([*row.gates, *said])
    return case
