"""Real runs: nothing is found in what sound strategies did, and everything that is planted in it is."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from orchestrator.eager import run_group
from orchestrator.groups import Group
from orchestrator.profile import Profile
from orchestrator.verifier import Facts, Value
from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.native import transactions
from tests.acceptance.racing import histories, quick
from tests.planting import Ground
from tests.plants import PLANTS, mistakes, plant
from worker.contract import Isolation

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.history.transactions import Transactions
    from tests.acceptance.racing import Racing

#: Sound in eager mode: strategy and isolation level.
SOUND = (
    ("atomic", Isolation.READ_COMMITTED),
    ("optimistic", Isolation.READ_COMMITTED),
    ("optimistic", Isolation.REPEATABLE_READ),
    ("naive", Isolation.REPEATABLE_READ),
    ("naive", Isolation.SERIALIZABLE),
)


def eager(seed: int, folder: Path, operations: int = 40) -> Transactions:
    """What one eager run did, by chance of which strategy and scenario."""
    random = _chance(seed)
    strategy, isolation = random.choice(SOUND)
    scenario, rows = random.choice(("credits", "config")), random.randint(2, 5)
    group = Group(number=1, scenario=scenario, strategy=strategy, isolation=isolation, expected=Value.VALID)
    history = run_group(Profile(operations=operations, rows=rows, seed=seed), group, folder / str(seed))
    return transactions(Facts(history), outside_reads_apart=False)


def _chance(seed: object) -> Random:
    return Random(str(seed))  # noqa: S311 - no secret


@pytest.mark.parametrize("runs", [10, pytest.param(1000, marks=pytest.mark.prove)])
def test_eager_runs_are_accused_of_nothing(runs: int, tmp_path: Path) -> None:
    """Sound strategies leave no anomaly at all, by the strictest level."""
    for seed in range(runs):
        judged = judge(eager(seed, tmp_path))
        assert (Value.VALID, {}, ()) == (judged.value, judged.anomalies, judged.witnesses), seed


@pytest.mark.parametrize("places", [1, pytest.param(20, marks=pytest.mark.prove)])
def test_all_that_is_planted_in_eager_runs_is_found(places: int, tmp_path: Path) -> None:
    """Each anomaly at random places of random runs, and nothing else."""
    runs = [eager(seed, tmp_path) for seed in range(6)]
    _plant_each(runs, places)


@pytest.mark.parametrize("places", [1, pytest.param(20, marks=pytest.mark.prove)])
def test_all_that_is_planted_in_distributed_runs_is_found(places: int, shared: Racing) -> None:
    """Each anomaly at random places of what several processes did on PostgreSQL, and nothing else."""
    report = shared.race(quick(strategies=("optimistic", "pessimistic"), operations=150, rows=5))
    assert [Value.VALID, Value.VALID] == [row.verdict for row in report.rows]
    runs = [transactions(Facts(history), outside_reads_apart=False) for history in histories(report)]
    assert [{}, {}] == [judge(run).anomalies for run in runs]
    _plant_each(runs, places)


def _plant_each(runs: list[Transactions], places: int) -> None:
    for anomaly in PLANTS:
        for place in range(places):
            random = _chance((anomaly, place))
            ground = Ground(random.choice(runs), random)
            planted = plant(ground, anomaly)
            assert [] == mistakes(judge(ground.history()), ground, [planted]), place
