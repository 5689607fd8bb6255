"""Faults of a run: one that struck nobody earns nothing, and what struck is told by the database's clock."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import group_race
from orchestrator.config import Config
from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults.striker import Striker
from orchestrator.reports.result import Exit
from orchestrator.verifier.verdict import Value
from orchestrator.watermark import Watermark
from tests.acceptance.racing import Racing, Spectator, histories, quick

if TYPE_CHECKING:
    from orchestrator.groups import Group
    from orchestrator.reports.result import Report

#: How long the disk keeps a run waiting between a group's begin and its race, seconds.
SLOW = 0.4


def test_a_failpoint_that_struck_nobody_is_unknown(shared: Racing) -> None:
    """An atomic deduction that no rule refuses reads nothing, so nothing comes after its read."""
    entry = "failpoint:after-read:action=kill:operation=0"
    row, report = shared.row(quick(strategies=("atomic",), kinds=("deduct",), operations=3, faults=(entry,)))
    (finding,) = report.findings
    (complete,) = (check for check in finding.verdict.checks if check.name == "complete")
    told = f"fault {entry} never struck: nothing was there, or the race was over"
    assert (Value.UNKNOWN, told) == (row.verdict, complete.summary)


def test_a_broker_that_was_restarted_carries_the_next_group(tmp_path: Path) -> None:
    """The nodes are asked whether they are back, over connections that the restart has not broken."""
    embedded = Racing(Config(runs_dir=tmp_path / "runs", state_dir=tmp_path / "state"))
    strategies = ("optimistic", "atomic")
    profile = quick(strategies=strategies, faults=("restart-broker:at=0s",), visibility_timeout=5.0)
    report = embedded.race(profile)
    assert ([*strategies], []) == ([row.strategy for row in report.rows], _unmet(report))


def _unmet(report: Report) -> list[str]:
    return [each for history in histories(report) for each in history.meta.unmet]


def test_groups_judged_before_a_service_failed_are_reported(shared: Racing) -> None:
    """What failed is told with them, and the exit code is the service's."""

    def fail(group: Group) -> None:
        if group.number > 1:
            raise ServiceError("The broker does not answer.")

    report = shared.race(quick(strategies=("atomic", "optimistic"), operations=20), Spectator(begin=fail))
    told = "Ended early, with 1 of 2 groups judged: The broker does not answer."
    assert (["atomic"], Exit.SERVICE, True) == (
        [row.strategy for row in report.rows],
        report.exit_code,
        told in report.notes,
    )
    written = json.loads((Path(report.folder) / "run.json").read_bytes())
    assert (4, ["atomic"]) == (written["exit_code"], [row["strategy"] for row in written["rows"]])
    assert [] == shared.left(report.run)


def test_a_service_that_fails_in_the_first_group_is_an_error(shared: Racing) -> None:
    """There is nothing to report."""

    def fail(_group: Group) -> None:
        raise ServiceError("The broker does not answer.")

    with pytest.raises(ServiceError, match=r"\AThe broker does not answer\.\Z"):
        shared.race(quick(strategies=("atomic", "optimistic"), operations=20), Spectator(begin=fail))


def test_a_clock_of_a_node_that_there_is_not_is_refused(shared: Racing) -> None:
    """Before anything is raced."""
    with pytest.raises(UsageError, match="there is no node9 whose clock could be off"):
        shared.race(quick(faults=("clock-skew:node9:skew=1s",)))


def test_strikes_are_told_by_the_database_s_clock(shared: Racing, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it took from the group's begin to its race."""
    behind: list[int] = []

    class Slow(Watermark):
        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - passed on
            time.sleep(SLOW)
            super().__init__(*arguments)

    def start(self: Striker) -> None:
        with shared.database() as connection:
            behind.append(group_race.database_now(connection) - self._clock())
        started(self)

    started = Striker.start
    monkeypatch.setattr(group_race, "Watermark", Slow)
    monkeypatch.setattr(Striker, "start", start)
    shared.race(quick(operations=20, faults=("terminate-backends:at=0s",)))
    assert SLOW * 1e6 / 2 > abs(behind[0])
