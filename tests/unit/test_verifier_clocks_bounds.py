"""Clocks: bounds to the nanosecond, several processes, and readings that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.verifier.clocks import DRIFT_PPM, UNBOUNDED, to_database
from orchestrator.verifier.columns import prepare
from tests.unit.histories import Draft, race

SECOND = 1_000_000_000

Reading = tuple[int, int, int, int]


def mapped(readings: list[Reading], *times: tuple[int, int]) -> list[tuple[int, int]]:
    """Times of (process, mono) by readings of (process, mono, offset, error)."""
    draft = Draft(meta=race().meta)
    names = ("process", "mono_ns", "offset_ns", "error_ns")
    draft.clocks = [dict(zip(names, reading, strict=True)) for reading in readings]
    process, mono = (np.array(column, dtype=np.int64) for column in zip(*times, strict=True))
    found, errors = to_database(prepare(draft.history()), process, mono)
    return list(zip(found.tolist(), errors.tolist(), strict=True))


def test_each_process_has_readings_of_its_own() -> None:
    """Times keep their order, and one of a process without readings stays as it is, without a bound."""
    readings = [(1, 0, 1_000, 1), (3, 0, 3_000, 3)]
    times = [(3, 5), (1, 5), (2, 5), (3, 7), (1, 9)]
    assert [(3_005, 3), (1_005, 1), (5, UNBOUNDED), (3_007, 3), (1_009, 1)] == mapped(readings, *times)


def test_no_times_are_mapped_to_none() -> None:
    """There is nothing to order."""
    draft = Draft(meta=race().meta)
    nothing = np.zeros(0, dtype=np.int64)
    assert [[], []] == [array.tolist() for array in to_database(prepare(draft.history()), nothing, nothing)]


@pytest.mark.parametrize(
    ("mono", "expected"),
    [
        (0, (10, 100)),
        (4 * SECOND, (4 * SECOND + 10, 400_100)),
        (5 * SECOND, (5 * SECOND + 10, 500_100)),
        (5 * SECOND + 10_000, (5 * SECOND + 10_020, 500_099)),
        (10 * SECOND, (10 * SECOND + 20, 100)),
        (12 * SECOND, (12 * SECOND + 20, 200_100)),
        (-SECOND, (-SECOND + 10, 100_100)),
    ],
)
def test_the_nearer_of_two_equal_readings_counts(mono: int, expected: tuple[int, int]) -> None:
    """The earlier one where both are as near, and the only one beside them before the first and after the last."""
    assert [expected] == mapped([(1, 0, 10, 100), (1, 10 * SECOND, 20, 100)], (1, mono))


def test_of_several_readings_only_those_beside_a_time_count() -> None:
    """A better one further away has drifted since, for all that anybody measured."""
    readings = [(1, 0, 0, 0), (1, SECOND, 5, 300_000), (1, 3 * SECOND, 7, 400_000)]
    assert [(2 * SECOND + 5, 400_000)] == mapped(readings, (1, 2 * SECOND))


@pytest.mark.parametrize(
    ("offset", "step"),
    [
        (0, 0),
        (100_000 + 30, 0),
        (100_000 + 31, 1),
        (-(100_000 + 30), 0),
        (-(100_000 + 31), 1),
        (SECOND, SECOND - 100_030),
    ],
)
def test_readings_may_differ_by_their_errors_and_the_drift(offset: int, step: int) -> None:
    """What goes beyond is a clock that was set, and widens every error of the process by the step."""
    readings = [(1, 0, 0, 10), (1, SECOND, offset, 20)]
    assert [(0, 10 + step), (SECOND + offset, 20 + step)] == mapped(readings, (1, 0), (1, SECOND))


def test_each_step_is_held_against_the_errors_on_either_side_of_it() -> None:
    """Not against those of readings further away."""
    readings = [(1, 0, 0, 5), (1, SECOND, 0, 70), (1, 2 * SECOND, 100_100, 0)]
    assert [(0, 35)] == mapped(readings, (1, 0))


def test_the_largest_step_counts() -> None:
    """For the whole process, and for no other one."""
    readings = [(1, 0, 0, 0), (1, SECOND, 150_000, 0), (1, 2 * SECOND, 1_250_000, 0), (2, 0, 0, 7)]
    assert [(0, 1_000_000), (0, 7)] == mapped(readings, (1, 0), (2, 0))


def test_clocks_may_drift_apart_by_a_known_rate() -> None:
    """100 microseconds a second; what has no bound is far enough away from every time, and can be added to one."""
    assert 100 == DRIFT_PPM
    assert 2**61 == UNBOUNDED
