"""Faults of a run: one that struck nobody earns nothing, and what struck is told by the database's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import group_race
from orchestrator.errors import UsageError
from orchestrator.faults.striker import Striker
from orchestrator.verifier.verdict import Value
from orchestrator.watermark import Watermark
from tests.acceptance.racing import quick

if TYPE_CHECKING:
    from tests.acceptance.racing import Racing

#: How long the disk keeps a run waiting between a group's begin and its race, seconds.
SLOW = 0.4


def test_a_failpoint_that_struck_nobody_is_unknown(shared: Racing) -> None:
    """An atomic grant reads nothing, so nothing comes after its read."""
    entry = "failpoint:after-read:action=kill:operation=9"
    row, report = shared.row(quick(strategies=("atomic",), kinds=("grant",), faults=(entry,)))
    (finding,) = report.findings
    (complete,) = (check for check in finding.verdict.checks if check.name == "complete")
    told = f"fault {entry} never struck: nothing was there, or the race was over"
    assert (Value.UNKNOWN, told) == (row.verdict, complete.summary)


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
