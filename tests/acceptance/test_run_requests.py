"""Runs of the scenario `requests`: right as they are, and each of the producer's mistakes caught by its check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.profile import Think
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import histories, quick

if TYPE_CHECKING:
    from orchestrator.profile import Profile
    from orchestrator.reports.result import Report
    from orchestrator.verifier import Check
    from tests.acceptance.racing import Racing


def _profile(*mistakes: str, **changes: object) -> Profile:
    keys = {"strategies": ("optimistic",), "operations": 90, "rows": 4, "think": Think(min_ms=2, max_ms=10), **changes}
    return quick(scenarios=("requests",), mistakes=mistakes, **keys)


def _check(report: Report, name: str) -> Check:
    (finding,) = report.findings
    return next(check for check in finding.verdict.checks if check.name == name)


@pytest.mark.parametrize("mistakes", [(), ("trusting-task",), ("publish-before-rollback",)])
def test_requests_are_fulfilled(shared: Racing, mistakes: tuple[str, ...]) -> None:
    """Two of three commit and are done, by tasks that met each other; neither mistake does harm alone."""
    row, report = shared.row(_profile(*mistakes))
    assert (Value.VALID, 60, 30, 30) == (row.verdict, row.ok, row.fail, row.refused)
    assert "60 of 90 requests committed" == _check(report, "requests").summary
    (history,) = histories(report)
    assert [number % 3 != 1 for number in range(90)] == history.operations["requested"].to_pylist()
    published = "publish-before-rollback" in mistakes
    assert [published or number % 3 != 1 for number in range(90)] == history.operations["confirmed"].to_pylist()
    assert [] == shared.left(report.run)


def test_publishing_before_commit_leaves_requests_unfulfilled(shared: Racing) -> None:
    """Each worker looks before the COMMIT, finds nothing and drops its task."""
    row, report = shared.row(_profile("publish-before-commit"))
    found = _check(report, "requests")
    assert (Value.INVALID, 60, {"unfulfilled-request"}) == (
        row.verdict,
        found.found,
        {each.anomaly for each in found.witnesses},
    )
    assert [] == shared.left(report.run)


def test_publishing_before_rollback_has_effects_that_nobody_asked_for(shared: Racing) -> None:
    """Where the task trusts its message."""
    row, report = shared.row(_profile("publish-before-rollback", "trusting-task"))
    found = _check(report, "requests")
    assert (Value.INVALID, 30, {"ghost-effect"}) == (
        row.verdict,
        found.found,
        {each.anomaly for each in found.witnesses},
    )


def test_the_operations_of_a_message_share_a_transaction(shared: Racing) -> None:
    """All of them are asked for, or none."""
    row, report = shared.row(_profile(per_message=4))
    (history,) = histories(report)
    assert [number // 4 % 3 != 1 for number in range(90)] == history.operations["requested"].to_pylist()
    assert Value.VALID is row.verdict
