"""Whatever is planted in a valid history, wherever, is found and nothing else is; nothing is found in a valid one."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest

from benchmarks import histories
from orchestrator.history import plain
from orchestrator.verifier import Facts, Value
from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.native import transactions
from tests.brute_force import check, objections
from tests.planting import Ground
from tests.plants import ITEM_CYCLES, PLANTS, PREDICATE_CYCLES, mistakes, plant
from tests.unit.histories import deduct, grant, increment, set_field, transfer
from tests.unit.storms import Chances, storm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.history.transactions import Transactions
    from tests.unit.histories import Planned

#: Of each anomaly: a level that prohibits it and one that permits it, the closest there are (Adya 1999; Alvaro,
#: Kingsbury 2020; the last four Terry et al. 1994).
LEVELS = {
    "G0": ("read-uncommitted", "PRAM"),
    "G0-process": ("strong-session-read-uncommitted", "serializable"),
    "G0-realtime": ("strong-read-uncommitted", "strong-session-serializable"),
    "G1c": ("read-committed", "read-uncommitted"),
    "G1c-process": ("strong-session-read-committed", "serializable"),
    "G1c-realtime": ("strong-read-committed", "strong-session-serializable"),
    "G-single-item": ("consistent-view", "read-committed"),
    "G-single-item-process": ("strong-session-snapshot-isolation", "serializable"),
    "G-single-item-realtime": ("strong-snapshot-isolation", "strong-session-serializable"),
    "G-nonadjacent-item": ("snapshot-isolation", "read-committed"),
    "G-nonadjacent-item-process": ("strong-session-snapshot-isolation", "serializable"),
    "G-nonadjacent-item-realtime": ("strong-snapshot-isolation", "strong-session-serializable"),
    "G2-item": ("repeatable-read", "strong-snapshot-isolation"),
    "G2-item-process": ("strong-session-serializable", "strong-snapshot-isolation"),
    "G2-item-realtime": ("strong-serializable", "strong-session-serializable"),
    "G-single": ("consistent-view", "repeatable-read"),
    "G-single-process": ("strong-session-snapshot-isolation", "serializable"),
    "G-single-realtime": ("strong-snapshot-isolation", "strong-session-serializable"),
    "G-nonadjacent": ("snapshot-isolation", "repeatable-read"),
    "G-nonadjacent-process": ("strong-session-snapshot-isolation", "serializable"),
    "G-nonadjacent-realtime": ("strong-snapshot-isolation", "strong-session-serializable"),
    "G2": ("serializable", "strong-snapshot-isolation"),
    "G2-process": ("strong-session-serializable", "strong-snapshot-isolation"),
    "G2-realtime": ("strong-serializable", "strong-session-serializable"),
    "duplicate-version": ("read-uncommitted", "PRAM"),
    "version-gap": ("read-uncommitted", "PRAM"),
    "dirty-update": ("read-committed", "read-uncommitted"),
    "lost-update": ("cursor-stability", "read-committed"),
    "G1a": ("read-committed", "read-uncommitted"),
    "G1b": ("read-committed", "read-uncommitted"),
    "internal": ("read-atomic", "read-committed"),
    "garbage-read": ("read-committed", "read-uncommitted"),
    "future-read": ("read-committed", "read-uncommitted"),
    "monotonic-reads-violation": ("monotonic-reads", "serializable"),
    "read-your-writes-violation": ("read-your-writes", "serializable"),
    "monotonic-writes-violation": ("monotonic-writes", "serializable"),
    "writes-follow-reads-violation": ("writes-follow-reads", "serializable"),
}

#: How many histories each test takes: in short, and `prove`.
MANY = [pytest.param(6, id="short"), pytest.param(300, id="long", marks=pytest.mark.prove)]
VALID = [pytest.param(50, id="short"), pytest.param(500, id="long", marks=pytest.mark.prove)]


def chosen(*seed: object) -> Random:
    """Chance that is the same every time."""
    return Random(str(seed))  # noqa: S311 - no secret


def generated(random: Random) -> Transactions:
    """A valid history of a database that answers late, with few rows or many."""
    late, active = random.choice((0, 0.5, 0.9)), random.choice((4, 5, 8, 100))
    return histories.valid(random.choice((30, 90, 200)), random.randrange(10**6), late=late, active=active)


def stormy(random: Random) -> Transactions:
    """A run's history: a correct store whose workers are killed, lose answers, and get messages twice."""
    planned = [_planned(random) for _ in range(random.randint(15, 30))]
    if random.random() < 1 / 4:
        planned = [random.choice((increment(0, 1), set_field(1, "max_tokens", 5))) for _ in planned]
    chances = Chances(kill=random.choice((0, 0.01, 0.05)), cut=random.choice((0, 0.05, 0.2)))
    isolation = random.choice(("read committed", "repeatable read"))
    draft = storm(planned, random.randrange(10**6), chances, isolation=isolation)
    return transactions(Facts(draft.history()), outside_reads_apart=False)


def _planned(random: Random) -> Planned:
    source, target = random.sample(range(3), 2)
    amount = random.randint(1, 20)
    return random.choice((deduct(source, amount), grant(source, amount), transfer(source, target, amount)))


def test_every_anomaly_that_is_planted_has_its_levels() -> None:
    """The table of levels holds each of them."""
    assert set(PLANTS) == set(LEVELS)
    assert {*ITEM_CYCLES, *PREDICATE_CYCLES} < set(LEVELS)


@pytest.mark.parametrize("anomaly", PLANTS)
def test_what_is_planted_is_what_its_definition_says(anomaly: str) -> None:
    """All that a checker by brute force finds in a tiny history is what was planted, and what that can't be without."""
    for seed in range(4):
        random = chosen(anomaly, seed)
        ground = Ground(histories.valid(12, seed, active=random.choice((4, 5, 8))), random)
        planted = plant(ground, anomaly)
        found = check(ground.history())
        assert planted.comes == {*found.counts, *found.sessions, *found.reported}


@pytest.mark.parametrize("many", MANY)
@pytest.mark.parametrize("make", [generated, stormy])
@pytest.mark.parametrize("anomaly", PLANTS)
def test_what_is_planted_is_found(anomaly: str, make: Callable[[Random], Transactions], many: int) -> None:
    """By its name, with the planted transactions as its witness, and nothing else is found."""
    for seed in range(many):
        random = chosen(anomaly, seed)
        ground = Ground(make(random), random)
        planted = plant(ground, anomaly)
        history = ground.history()
        assert [] == mistakes(judge(history), ground, [planted]), seed


@pytest.mark.parametrize("anomaly", PLANTS)
def test_it_is_held_to_the_level(anomaly: str) -> None:
    """The verdict is INVALID where the level prohibits it, and VALID where it doesn't, though it is told there too."""
    prohibits, permits = LEVELS[anomaly]
    for seed in range(3):
        random = chosen(anomaly, seed)
        ground = Ground(generated(random), random)
        plant(ground, anomaly)
        history = ground.history()
        judged = judge(history), judge(history, prohibits), judge(history, permits)
        assert [Value.INVALID, Value.INVALID, Value.VALID] == [each.value for each in judged]
        assert all(anomaly in each.anomalies for each in judged)


@pytest.mark.parametrize("many", MANY)
@pytest.mark.parametrize("make", [generated, stormy])
def test_several_in_one_history_are_all_found(make: Callable[[Random], Transactions], many: int) -> None:
    """Each by its name and its transactions."""
    for seed in range(5 * many):
        random = chosen(seed)
        ground = Ground(make(random), random)
        planted = [plant(ground, anomaly) for anomaly in random.sample(sorted(PLANTS), random.randint(2, 8))]
        assert [] == mistakes(judge(ground.history()), ground, planted), seed


@pytest.mark.parametrize("anomaly", PLANTS)
def test_its_witnesses_hold(anomaly: str, tmp_path: Path) -> None:
    """A witness follows from the definitions, and its smallest history, judged again, shows the same."""
    for seed in range(3):
        random = chosen(anomaly, seed)
        ground = Ground(generated(random), random)
        plant(ground, anomaly)
        history = ground.history()
        for witness in judge(history).witnesses:
            assert [] == objections(history, witness)
            if anomaly in PREDICATE_CYCLES:
                continue  # the plain form has no words for a dependency beside versions
            path = tmp_path / "smallest.jsonl"
            path.write_text("".join(f"{json.dumps(line)}\n" for line in witness.history), encoding="utf-8")
            assert witness.anomaly in judge(plain.read(path)).anomalies


@pytest.mark.parametrize("many", VALID)
@pytest.mark.parametrize("make", [generated, stormy])
def test_a_valid_history_is_never_accused(make: Callable[[Random], Transactions], many: int) -> None:
    """Of anything at all, by the strictest level."""
    for seed in range(many):
        judged = judge(make(chosen(seed)))
        assert (Value.VALID, {}, ()) == (judged.value, judged.anomalies, judged.witnesses), seed


def test_write_skews_are_all_that_snapshot_isolation_leaves() -> None:
    """Of the history that the benchmark explains, each skew is found, and the level that permits them is kept."""
    history = histories.skewed(800, 30)
    assert {"G2-item": 30} == judge(history).anomalies
    assert Value.VALID is judge(history, "strong-snapshot-isolation").value


def test_long_forks_are_told_from_write_skews() -> None:
    """They are not adjacent, so snapshot isolation is lost with them."""
    judged = judge(histories.skewed(800, 10, 20), "snapshot-isolation")
    assert Value.INVALID is judged.value
    assert {"G2-item": 10, "G-nonadjacent-item": 20} == judged.anomalies
