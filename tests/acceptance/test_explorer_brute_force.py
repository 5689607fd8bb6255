"""Partial-order reduction against brute force: fewer schedules, the same outcomes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.dpor import Dpor, Redundant
from orchestrator.explorer.exhaustive import Exhaustive
from tests.configurations import CONFIGURATIONS, on_postgres, on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.controlled.arena import BodiesArena
    from orchestrator.explorer.scheduler import Policy
    from tests.configurations import Configuration

    #: How a schedule may end: each body's ending, every table's rows, and who was stuck.
    Outcomes = set[tuple[object, ...]]


def outcomes(arena: BodiesArena, policy: Policy) -> Outcomes:
    """Run every schedule that the policy has; it must know then that it is complete."""
    found: Outcomes = set()
    while policy.begin():
        with suppress(Redundant):
            execution = arena.run(policy)
            policy.learn(execution)
            found.add((tuple(ending.shown for ending in execution.endings), repr(execution.state)))
    assert policy.complete
    return found


def _on(backend: str) -> list[object]:
    return [
        pytest.param(each, id=each.name, marks=[pytest.mark.prove] if each.long else [])
        for each in CONFIGURATIONS
        if each.backend == backend
    ]


def test_there_are_many_configurations() -> None:
    """At least sixty are small enough for every run of the tests, on either backend and at each level."""
    short = [each for each in CONFIGURATIONS if not each.long]
    assert len(short) >= 60
    assert len({each.name for each in CONFIGURATIONS}) == len(CONFIGURATIONS)
    assert {each.isolation for each in short} == {"sqlite", "read committed", "repeatable read", "serializable"}


@pytest.mark.parametrize("configuration", _on("sqlite"))
def test_reduction_finds_every_outcome_on_sqlite(configuration: Configuration, tmp_path: Path) -> None:
    """What brute force finds over all schedules, partial-order reduction finds over a few."""
    with on_sqlite(configuration, tmp_path) as arena:
        assert outcomes(arena, Exhaustive()) == outcomes(arena, Dpor(arena.isolation))


@pytest.mark.parametrize("configuration", _on("postgres"))
def test_reduction_finds_every_outcome_on_postgres(configuration: Configuration, database_url: str) -> None:
    """What brute force finds over all schedules, partial-order reduction finds over a few."""
    with on_postgres(configuration, database_url) as arena:
        assert outcomes(arena, Exhaustive()) == outcomes(arena, Dpor(arena.isolation))
