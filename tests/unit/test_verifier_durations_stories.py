"""Durations, told whole: what has one, between which two moments, and how well it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Facts
from orchestrator.verifier.clocks import UNBOUNDED
from orchestrator.verifier.columns import prepare
from orchestrator.verifier.durations import first_attempts, last_attempts, owners
from tests.unit.histories import OFFSETS, TURN_NS, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

#: Length of each attempt of `race`, and of one that only its effect tells of.
TOOK, WITH_EFFECT = 3 * TURN_NS // 2, TURN_NS + 1000
#: Between the two processes' clocks.
SHIFT = OFFSETS[1] - OFFSETS[2]


def told(draft: Draft) -> list[tuple[int, int, int]]:
    """Place, length and error of each settled operation."""
    found = Facts(draft.history()).durations
    return list(zip(found.operation.tolist(), found.length.tolist(), found.error.tolist(), strict=True))


def ends(draft: Draft) -> tuple[list[int], list[int]]:
    """Each operation's first and last attempt."""
    columns = prepare(draft.history())
    return first_attempts(columns).tolist(), last_attempts(columns).tolist()


def twice(*, gap_ns: int = 10 * TURN_NS) -> Draft:
    """One operation that conflicted in process 1, and was done in process 2 that much later."""
    draft = race(grant(0, 1))
    first = draft.attempts[0]
    start = first["start_ns"] + SHIFT + gap_ns
    draft.attempts.append(
        {**first, "process": 2, "token": (2 << 32) + 9, "start_ns": start, "end_ns": start + TURN_NS, "attempt": 2}
    )
    first.update(outcome="fail", reason="serialization", final=False)
    draft.effects[0]["writer"] = (2 << 32) + 9
    for process, clock in enumerate(draft.clocks, 1):
        clock.update(mono_ns=first["start_ns"] if process == 1 else start, error_ns=process * 1000)
    return draft


def test_an_operation_lasts_from_its_attempt_s_start_to_its_end() -> None:
    """Refused or done; within one process its own clock is exact."""
    assert [(0, TOOK, 0), (1, TOOK, 0)] == told(race(deduct(0, 900), grant(1, 1)))


def test_an_attempt_without_end_lasts_until_its_effect() -> None:
    """By the database's clock, which is not exact; in the order of operations all the same."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    draft.crash(1, backend_ended=True)
    # A ten-thousandth of the turn since the clock was read adds to its error.
    assert [(0, TOOK, 0), (1, WITH_EFFECT, 1000 + TURN_NS // 10_000), (2, TOOK, 0)] == told(draft)


def test_times_of_this_century_are_told_to_the_nanosecond() -> None:
    """Whole numbers all along, since others are too coarse for so many nanoseconds."""
    draft = race(grant(0, 1))
    draft.crash(0, backend_ended=True)
    draft.effects[0]["at_us"] += 1_764_000_000_000_000
    draft.clocks[0]["offset_ns"] += 1_764_000_000_000_000_000
    assert [(0, WITH_EFFECT, 1000)] == told(draft)
    found = Facts(draft.history()).durations
    assert ["int64"] * 3 == [str(each.dtype) for each in (found.operation, found.length, found.error)]


def test_what_was_not_settled_by_an_attempt_has_no_duration() -> None:
    """An effect that nobody attempted, a request that was rolled back, an attempt that may commit yet."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1), grant(0, 1))
    draft.drop(0)
    draft.attempt_of(1).update(outcome="fail", reason="version", final=False)
    draft.operations[1]["requested"] = False
    draft.crash(2)
    draft.effects[1:3] = []
    assert [(3, TOOK, 0)] == told(draft)


def test_a_duration_may_be_nothing_and_is_never_less() -> None:
    """Clocks that are off don't turn time around."""
    draft = race(grant(0, 1))
    attempt = draft.attempts[0]
    for end in (attempt["start_ns"], attempt["start_ns"] - 1):
        attempt["end_ns"] = end
        assert [(0, 0, 0)] == told(draft)


def test_a_clock_may_read_zero_when_an_attempt_ends() -> None:
    """That is an end like any other."""
    draft = race(grant(0, 1))
    draft.attempts[0].update(start_ns=-TURN_NS, end_ns=0)
    assert [(0, TURN_NS, 0)] == told(draft)


def test_between_two_processes_both_clocks_errors_count() -> None:
    """Times are the database clock's."""
    assert [(0, 11 * TURN_NS, 1000 + 2000 + TURN_NS // 10_000)] == told(twice())


def test_the_first_attempt_is_the_first_by_the_database_s_clock() -> None:
    """Whatever the processes' own clocks say, and however little is known of one of them."""
    draft = twice()
    assert ([0], [1]) == ends(draft)
    draft = twice(gap_ns=-10 * TURN_NS)
    assert ([1], [0]) == ends(draft)
    # Process 1's clock is known better here, and worse there; neither makes its attempt the first one.
    draft.clocks[0]["error_ns"], draft.clocks[1]["error_ns"] = 5, 9_000
    assert ([1], [0]) == ends(draft)
    draft.clocks[0]["error_ns"], draft.clocks[1]["error_ns"] = 9_000, 5
    assert ([1], [0]) == ends(draft)


def test_in_one_process_its_own_clock_says_which_attempt_was_first() -> None:
    """It needs no mapping, so that no reading of the database's clock can turn them around."""
    draft = race(grant(0, 1))
    draft.add_attempt(0, outcome="fail", reason="duplicate")
    early, late = (attempt["start_ns"] for attempt in draft.attempts)
    draft.clocks[:] = [
        {"process": 1, "mono_ns": early, "offset_ns": 10**12, "error_ns": 5},
        {"process": 1, "mono_ns": late, "offset_ns": 0, "error_ns": 5},
    ]
    assert ([0], [1]) == ends(draft)


def test_of_attempts_that_began_at_once_the_last_number_counts() -> None:
    """However many there are, of several operations."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    starts = [attempt["start_ns"] for attempt in draft.attempts]
    for _ in range(33):
        for number, start in enumerate(starts):
            draft.add_attempt(number, start_ns=start)
    assert ([99, 100, 101], [99, 100, 101]) == ends(draft)


def test_nobody_knows_which_of_two_processes_was_first_without_a_clock() -> None:
    """So nobody knows how long it took."""
    draft = twice()
    draft.clocks.pop()
    ((_, _, error),) = told(draft)
    assert error >= UNBOUNDED


def test_one_attempt_without_a_clock_leaves_open_which_was_first() -> None:
    """Even where the one that seems to be it also settled the operation."""
    draft = twice(gap_ns=-10 * TURN_NS)
    late, early = draft.attempts
    late["outcome"], early["outcome"] = "ok", "fail"
    late.update(reason=None, final=True)
    early.update(reason="version", final=False)
    draft.effects[0]["writer"] = late["token"]
    assert [(0, 10 * TURN_NS + TOOK, 1000 + 2000 + TOOK // 10_000)] == told(draft)
    del draft.clocks[0]
    assert ([0], [1]) == ends(draft)
    ((_, _, error),) = told(draft)
    assert error >= UNBOUNDED


def test_within_one_process_no_clock_is_needed() -> None:
    """Whatever else the other ones did."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.clocks.clear()
    assert [(0, TOOK, 0), (1, TOOK, 0)] == told(draft)


@pytest.mark.parametrize("moved", [True, False])
def test_the_last_effect_of_an_operation_settles_it(*, moved: bool) -> None:
    """Its owner is its attempt's operation, or the one that its session carried; one without owner is nobody's."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    draft.crash(2, backend_ended=True)
    later = draft.effects[1]
    later.update(writer=draft.attempt_of(2)["token"] if moved else 99, operation=1 if moved else None)
    later["at_us"] = draft.effects[2]["at_us"] + 2 * TURN_NS // 1000
    draft.drop(1)
    expected = WITH_EFFECT + 2 * TURN_NS if moved else WITH_EFFECT
    assert [TOOK, expected] == [length for _, length, _ in told(draft)]
    assert [0, 2 if moved else -1, 2] == owners(prepare(draft.history())).tolist()
