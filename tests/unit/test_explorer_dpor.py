"""DPOR: as few schedules as the dependence allows, and every outcome that there is."""

from __future__ import annotations

from functools import partial

import pytest

from orchestrator.explorer.bounded import Bounded
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.scheduler import Divergence
from tests.toy_bodies import CASES, LEVELS, ROWS, Tried, drawn, naive
from tests.toy_database import Toy, ToyArena

#: Cases that are played with a crash as well; the others have too many schedules then.
CRASHING = ("alone twice", "alone and naive", "locking twice")
PLAYED = [(name, 0) for name in CASES] + [(name, 1) for name in CRASHING]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "crashes"), PLAYED)
def test_outcomes_are_those_of_all_schedules(name: str, crashes: int, level: str) -> None:
    """DPOR is complete, runs no more schedules than there are, and reaches exactly the outcomes of all of them."""
    arena = ToyArena(Toy(level, ROWS), CASES[name], crashes=crashes)
    every, reduced = Tried(arena, Exhaustive()), Tried(arena, Dpor(level))
    assert (every.outcomes, True, True) == (reduced.outcomes, reduced.complete, every.complete)
    assert reduced.schedules <= every.schedules


def _drawn_outcomes(seeds: range, most: int = 3_000) -> tuple[list[int], int]:
    """Give the seeds where DPOR has other outcomes than all schedules, and how many seeds were compared."""
    differ, compared = [], 0
    for seed in seeds:
        level, arena = drawn(seed)
        every = Tried(arena, Exhaustive(), most)
        if every.complete:
            compared += 1
            if Tried(arena, Dpor(level)).outcomes != every.outcomes:
                differ.append(seed)
    return differ, compared


def test_outcomes_of_drawn_bodies() -> None:
    """So it is for bodies that nobody thought of."""
    differ, compared = _drawn_outcomes(range(12), most=600)
    assert differ == []
    assert compared > 7


def test_sleeper_is_no_reason_to_leave_an_order_out() -> None:
    """A step that sleeps where it should be tried first gives way to one that it comes after."""
    assert ([], 1) == _drawn_outcomes(range(29, 30))


def test_who_is_held_back_is_tried_before_the_one_that_waits() -> None:
    """A step that would queue behind a waiter can come before it, though all that is between must come first."""
    assert ([], 1) == _drawn_outcomes(range(715, 716))


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_outcomes_of_many_drawn_bodies() -> None:
    """So it is for many of them."""
    differ, compared = _drawn_outcomes(range(12, 1_000))
    assert differ == []
    assert compared > 850


@pytest.mark.parametrize(("workers", "all_of_them", "most"), [(2, 14, 6), (3, 546, 90)], ids=["twice", "three times"])
def test_reduction_is_pinned(workers: int, all_of_them: int, most: int) -> None:
    """Of naive's schedules few differ, and none is run for nothing."""
    arena = ToyArena(Toy("read committed", ROWS), [naive] * workers)
    every, reduced = Tried(arena, Exhaustive()), Tried(arena, Dpor("read committed"))
    assert (all_of_them, most, 0) == (every.schedules, reduced.schedules, reduced.redundant)


def test_independent_bodies_need_one_schedule() -> None:
    """Bodies that never meet have one schedule, whatever their number."""
    bodies = [partial(naive, key=key) for key in ROWS]
    reduced = Tried(ToyArena(Toy("read committed", ROWS), bodies), Dpor("read committed"))
    assert (1, True) == (reduced.schedules, reduced.complete)


def test_lost_update_by_the_second_schedule() -> None:
    """The first schedule runs one body after the other; the second loses an update."""
    tried = Tried(ToyArena(Toy("read committed", ROWS), [naive, naive]), Dpor("read committed"), most=2)
    assert {110, 120} == {dict(state)["a1"] for _, state, _ in tried.outcomes}  # type: ignore[call-overload]  # a toy's state


def test_each_worker_of_a_circle_is_its_victim() -> None:
    """Whoever may close a circle of waits is found to."""
    tried = Tried(ToyArena(Toy("read committed", ROWS), CASES["transfers in a circle"]), Dpor("read committed"))
    victims = {endings.index("'Victim'") for endings, _, _ in tried.outcomes if "'Victim'" in endings}  # type: ignore[attr-defined, operator]  # a toy's endings
    assert {0, 1, 2} == victims


def test_schedule_that_was_cut_is_no_proof() -> None:
    """A search in which a schedule came to the limit of steps is not complete."""
    tried = Tried(ToyArena(Toy("read committed", ROWS), [naive, naive], limit=5), Dpor("read committed"))
    assert not tried.complete


@pytest.mark.parametrize("policy", [Dpor("read committed"), Exhaustive()], ids=["dpor", "exhaustive"])
def test_bodies_that_are_not_the_same_twice_are_told(policy: Dpor | Exhaustive) -> None:
    """A choice that is there in one run and not in the next is a divergence, with the worker and the statement."""
    arena = ToyArena(Toy("read committed", ROWS), [naive, naive])
    while policy.begin() and not (execution := arena.run(policy)).records[-1].blocked:
        policy.learn(execution)
        arena.bodies = [naive, lambda _session: None]
        break
    policy.begin()
    with pytest.raises(Divergence, match=r"worker 1 \(.*\) could run before and not now"):
        arena.run(policy)


def test_every_schedule_replays() -> None:
    """What DPOR ran runs again from its choices, with the same events."""
    arena = ToyArena(Toy("repeatable read", ROWS), CASES["both rows, both orders"])
    policy = Dpor("repeatable read")
    while policy.begin():
        execution = arena.run(policy)
        policy.learn(execution)
        assert execution.events == arena.run(Replay(execution.choices)).events


@pytest.mark.parametrize("bound", [0, 1, 2])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["naive twice", "opposite transfers, again", "transfers in a circle"])
def test_outcomes_within_a_bound(name: str, level: str, bound: int) -> None:
    """Within a bound of preemptions DPOR reaches what all schedules within it reach."""
    arena = ToyArena(Toy(level, ROWS), CASES[name])
    every = Tried(arena, Bounded(Exhaustive(), bound))
    reduced = Tried(arena, Bounded(Dpor(level, within_bounds=True), bound))
    assert every.outcomes == reduced.outcomes
