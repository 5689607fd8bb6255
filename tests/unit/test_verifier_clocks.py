"""Clocks: local times on the database clock, with an honest bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.columns import prepare
from tests.unit.histories import Draft, deduct, race

if TYPE_CHECKING:
    from orchestrator.verifier.columns import Columns

SECOND = 1_000_000_000


def mapped(readings: list[tuple[int, int, int]], mono: int) -> tuple[int, int]:
    """One local time of process 1, by these readings of (mono, offset, error)."""
    draft = Draft(meta=race().meta)
    names = ("mono_ns", "offset_ns", "error_ns")
    draft.clocks = [{"process": 1, **dict(zip(names, reading, strict=True))} for reading in readings]
    times, errors = to_database(prepare(draft.history()), np.array([1]), np.array([mono]))
    return int(times[0]), int(errors[0])


def test_a_time_at_a_reading_has_the_readings_error() -> None:
    """Nothing has drifted yet."""
    assert mapped([(100, 5000, 7)], 100) == (5100, 7)


def test_the_error_grows_with_the_distance_to_the_reading() -> None:
    """By 100 microseconds a second, before and after."""
    assert mapped([(SECOND, 5000, 7)], 3 * SECOND) == (3 * SECOND + 5000, 200_007)
    assert mapped([(3 * SECOND, 5000, 7)], SECOND) == (SECOND + 5000, 200_007)


def test_the_better_of_two_readings_counts() -> None:
    """The nearer one, unless its own error is larger."""
    assert mapped([(0, 10, 1), (10 * SECOND, 20, 1)], 9 * SECOND) == (9 * SECOND + 20, 100_001)
    assert mapped([(0, 10, 1), (10 * SECOND, 20, 10**9)], 9 * SECOND) == (9 * SECOND + 10, 900_001)


def test_a_clock_that_was_set_widens_the_error_by_the_step() -> None:
    """Readings that contradict each other are not believed more than they agree."""
    assert mapped([(0, 0, 1), (SECOND, 50 * SECOND, 1)], 0)[1] > 49 * SECOND


def test_a_process_without_readings_has_no_bound() -> None:
    """Nothing is guessed."""
    assert mapped([], 100) == (100, UNBOUNDED)


def columns(**meta: Any) -> Columns:  # noqa: ANN401  # a run's own settings
    """Two processes' attempts."""
    return prepare(race(deduct(0, 1), deduct(0, 1), **meta).history())


def test_eager_mode_has_one_clock() -> None:
    """And so has a single process."""
    assert one_clock(columns(mode="eager"))
    assert not one_clock(columns())
    assert one_clock(prepare(race(deduct(0, 1)).history()))
