"""Fifty slots on one row, and fifteen on one configuration: nothing lost, conflicts and give-ups counted right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from orchestrator.profile import Gates, Pool, Think
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import histories, quick
from worker.contract import CONFLICTS, Isolation, Retry

if TYPE_CHECKING:
    from orchestrator.history.model import History
    from orchestrator.profile import Profile
    from orchestrator.reports.result import Row
    from tests.acceptance.racing import Racing

#: Few enough attempts that some give up, none so few that hardly any succeeds.
CROWD = quick(
    strategies=("optimistic",),
    rows=1,
    think=Think(min_ms=0.0, max_ms=1.0),
    retry=Retry(attempts=20, base_ms=5.0, cap_ms=200.0),
    pool=Pool.THREADS,
    gates=Gates(min_done=0.1),
)


def _crowds() -> list[Profile]:
    change = msgspec.structs.replace
    users = change(CROWD, operations=500, concurrency=25, isolation=tuple(Isolation))
    configurations = change(CROWD, scenarios=("config",), operations=200, concurrency=8, nodes=2)
    return [users, configurations]


@pytest.mark.parametrize("profile", _crowds(), ids=["50 slots on one row", "16 slots on one configuration"])
def test_nothing_is_lost_in_a_crowd(racing: Racing, profile: Profile) -> None:
    """Every operation is settled, every effect is the next in its row's chain, and the figures are right."""
    report = racing.race(profile)
    assert [Value.VALID] * len(profile.isolation) == [row.verdict for row in report.rows]
    for history, row in zip(histories(report), report.rows, strict=True):
        assert profile.operations == row.ok + row.fail
        assert (0, 0, 0) == (row.info, row.lost, row.lost_updates)
        assert row.conflict_rate > 0
        _recount(history, row)
    assert [] == racing.left(report.run)


def _recount(history: History, row: Row) -> None:
    """Count conflicts, give-ups and successes again, from journals and effects, without the verifier."""
    attempts = history.attempts.to_pylist()
    conflicts = [each for each in attempts if each["reason"] in set(CONFLICTS)]
    assert pytest.approx(len(conflicts) / len(attempts)) == row.conflict_rate
    assert len({each["operation"] for each in conflicts if each["final"]}) == row.give_ups
    applied = history.effects.column("operation").to_numpy()
    assert len(np.unique(applied)) == len(applied) == row.ok  # one row, so no operation has two effects
    assert list(range(1, len(applied) + 1)) == history.effects.column("seq").to_pylist()
