"""The gallery's entries, its report and its documents, without racing anything."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.faults import KNOWN
from orchestrator.faults.plan import parse
from orchestrator.gallery import FAILURES, Shown
from orchestrator.gallery.model import changed
from orchestrator.gallery.showing import anomalies
from orchestrator.profile import Profile
from orchestrator.reports import gallery as reports
from orchestrator.reports.result import Exit
from orchestrator.toml import checked
from orchestrator.verifier.verdict import Check, Value, Verdict, Witness
from worker.mistakes import Mistake

ROOT = Path(__file__).resolve().parents[2]


def _shown(name: str = "ghost-task", **changes: Any) -> Shown:  # noqa: ANN401 - an entry's fields
    good = Shown(
        failure=FAILURES[name],
        verdict=Value.INVALID,
        anomalies={"ghost-effect": 20},
        witness="A ghost.",
        prevented_verdict=Value.VALID,
        folders=("one", "two"),
    )
    return msgspec.structs.replace(good, **changes)


@pytest.mark.parametrize("name", FAILURES)
def test_both_races_of_a_failure_can_be_run(name: str) -> None:
    """Profiles whose keys fit, whose faults and mistakes exist, and which differ."""
    failure = FAILURES[name]
    for profile in (failure.profile, failure.prevented_profile):
        assert profile == checked(profile)
        parse(profile.faults)
        assert set(profile.mistakes) <= set(Mistake)
    assert failure.profile != failure.prevented_profile


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_is_documented(name: str) -> None:
    """docs/failures.md has a section for each, with what a verifier said."""
    text = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert "\n> " in section


def test_no_other_failure_is_documented() -> None:
    """No section without its entry."""
    text = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    assert list(FAILURES) == re.findall(r"^### (.+)$", text, re.MULTILINE)


def test_every_fault_and_mistake_is_documented() -> None:
    """docs/faults.md has a row for each."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    named = {
        name for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    assert set() == (set(KNOWN) | set(Mistake)) - named


def test_changes_reach_into_sections() -> None:
    """A section's other keys stay."""
    profile = changed(Profile(), {"retry": {"attempts": 2}})
    assert (2, Profile().retry.cap_ms) == (profile.retry.attempts, profile.retry.cap_ms)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"verdict": Value.VALID}, False),
        ({"verdict": Value.UNKNOWN}, False),
        ({"witness": None}, False),
        ({"prevented_verdict": Value.UNKNOWN}, False),
        ({"prevented_verdict": Value.INVALID}, False),
    ],
)
def test_a_failure_must_be_caught_with_a_witness_and_be_gone(change: dict[str, Any], *, expected: bool) -> None:
    """Anything less is not as expected, and the command says so by its exit code."""
    shown = _shown(**change)
    assert expected is shown.as_expected
    code = Exit.AS_EXPECTED if expected else Exit.NOT_AS_EXPECTED
    assert code is reports.exit_code([shown], 1)


def test_a_gallery_that_shows_nothing_is_no_success() -> None:
    """Nor is one that was interrupted."""
    assert Exit.NOT_AS_EXPECTED is reports.exit_code([], 0)
    assert Exit.INTERRUPTED is reports.exit_code([_shown()], 2)


def test_the_report_has_every_failure() -> None:
    """Its table, its witness, and what is not as it should be."""
    stream = io.StringIO()
    reports.render([_shown(), _shown("stuck-lock", prevented_verdict=Value.UNKNOWN, remark="overlap: none")], 3, stream)
    text = stream.getvalue()
    assert "20 ghost-effect" in text
    assert "A ghost." in text
    assert "NOT AS EXPECTED: overlap: none" in text
    assert "Provoked, caught and prevented: 1 of 2." in text
    assert "Interrupted: 2 of 3 were shown." in text


def test_the_object_has_what_machines_need() -> None:
    """Names as the issue of a gate would have them."""
    (entry,) = reports.as_json([_shown()])
    assert ("ghost-task", "INVALID", "VALID", {"ghost-effect": 20}) == (
        entry["name"],
        entry["verdict"],
        entry["prevented_verdict"],
        entry["anomalies"],
    )


def test_anomalies_are_counted_by_check() -> None:
    """Exactly where a check has one anomaly, and only of checks that are INVALID."""
    kept = Check(name="isolation kept", value=Value.VALID, summary="")
    twice = Witness(anomaly="applied-twice", sentence="")
    checks = (
        Check(name="applied once", value=Value.INVALID, summary="", found=12, witnesses=(twice,) * 10),
        Check(
            name="progress", value=Value.UNKNOWN, summary="", found=1, witnesses=(Witness(anomaly="x", sentence=""),)
        ),
    )
    assert {"applied-twice": 12} == anomalies(Verdict(value=Value.INVALID, isolation=kept, checks=checks))
