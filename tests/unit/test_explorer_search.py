"""The search: what it runs, counts, groups, and when it stops."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.bounded import Bounded
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.hub import Hub
from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.model import Footprint, Place, Point
from orchestrator.explorer.random_walk import RandomWalks
from orchestrator.explorer.search import Budget, Enough, search
from tests.toy_bodies import CASES, ROWS, naive
from tests.toy_database import Toy, ToyArena

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler
    from tests.toy_database import Session

LEVEL = "read committed"
NO_BUDGET = Budget()


def _arena(name: str = "naive twice") -> ToyArena:
    return ToyArena(Toy(LEVEL, ROWS), CASES[name])


def _lost(execution: Execution) -> Sequence[Anomaly]:
    """Find lost updates, and say which worker's it was."""
    if dict(execution.state)["a1"] == 100 + 10 * execution.workers:
        return ()
    return (Anomaly("lost update", "an update is gone", f"committed last: worker {execution.choices[-1]}"),)


def _nothing(_execution: Execution) -> Sequence[Anomaly]:
    return ()


def test_first_failure_stops_the_search() -> None:
    """The lost update of two naive bodies is found by the second schedule, and the search ends there."""
    findings = search(_arena(), Dpor(LEVEL), _lost, NO_BUDGET)
    assert (2, False, "dpor", "") == (findings.schedules, findings.complete, findings.policy, findings.unstable)
    assert [(2, 1)] == [(failure.schedule, failure.times) for failure in findings.failures]


def test_failures_are_grouped() -> None:
    """All failures of one name and witness are one, with the first schedule that had it and their number."""
    findings = search(_arena(), Dpor(LEVEL), _lost, NO_BUDGET, keep_going=True)
    assert (6, True, 3) == (findings.schedules, findings.complete, findings.distinct)
    assert [2, 2] == [failure.times for failure in findings.failures]
    assert len({failure.anomaly.witness for failure in findings.failures}) == 2
    assert all(_lost(failure.execution) for failure in findings.failures)


def test_complete_search_that_finds_nothing() -> None:
    """A search to the policy's end proves that there is nothing."""
    findings = search(_arena("optimistic twice"), Dpor(LEVEL), _lost, NO_BUDGET)
    assert ((), True, False, 0) == (findings.failures, findings.complete, findings.bounded, findings.cut)


def test_bounded_search_says_so() -> None:
    """A search to a bound's end is bounded and not complete."""
    findings = search(_arena(), Bounded(Exhaustive(), 0), _nothing, NO_BUDGET)
    assert (2, False, True) == (findings.schedules, findings.complete, findings.bounded)


def test_redundant_schedules_are_counted_apart() -> None:
    """What would repeat another schedule is given up and is no schedule."""
    findings = search(_arena("transfers in a circle"), Dpor(LEVEL), _nothing, NO_BUDGET)
    assert (60, 2, True) == (findings.schedules, findings.redundant, findings.complete)


def test_budget_of_schedules() -> None:
    """No more schedules are run than given."""
    assert 7 == search(_arena(), RandomWalks(1), _nothing, Budget(schedules=7)).schedules


def test_budget_of_seconds_and_telling() -> None:
    """No more seconds are taken than given, on the clock given; who wants to know is told on the way and at the end."""
    ticks, told = count(), list[tuple[int, float, int]]()

    def tell(schedules: int, seconds: float, distinct: int) -> None:
        told.append((schedules, seconds, distinct))

    findings = search(_arena(), RandomWalks(1), _nothing, Budget(seconds=4), clock=lambda: next(ticks), tell=tell)
    assert (3, 5) == (findings.schedules, findings.seconds)
    assert [0, 1, 2, 3, 3] == [schedules for schedules, _, _ in told]


def test_cut_schedules_are_no_proof() -> None:
    """A schedule that came to the limit of steps is counted, and the search is not complete."""
    arena = _arena("naive on two rows")
    arena.limit = 3
    findings = search(arena, Dpor(LEVEL), _nothing, NO_BUDGET)
    assert (findings.schedules, False) == (findings.cut, findings.complete)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (lambda number: (f"a{number}", 1), "not replayable because at step 1, "),
        (lambda number: ("a1", number), "not replayable because after the last step, "),
    ],
    ids=["another statement", "another end"],
)
def test_two_runs_that_differ_end_the_search(changes: object, sentence: str) -> None:
    """Where two runs of one schedule differ, nothing is proven, and one sentence says where they part."""
    runs = count(1)

    def body(session: Session) -> object:
        key, value = changes(next(runs))  # type: ignore[operator]  # one of the two above
        session.read(key)
        return value

    findings = search(ToyArena(Toy(LEVEL, ROWS), [body]), Dpor(LEVEL), _nothing, NO_BUDGET)
    assert (True, False) == (findings.unstable.startswith(sentence), findings.complete)


def test_choices_that_are_gone_end_the_search() -> None:
    """Where a schedule's choices are not there any more, so it is too."""
    runs = count(1)

    def fickle(session: Session) -> object:
        return naive(session) if next(runs) < 3 else None

    findings = search(ToyArena(Toy(LEVEL, ROWS), [naive, fickle]), Dpor(LEVEL), _nothing, NO_BUDGET)
    assert findings.unstable.startswith("not replayable because at step ")
    assert "worker 1" in findings.unstable


def test_state_that_cannot_be_hashed_is_told_apart() -> None:
    """Rows may hold lists and dictionaries; outcomes are counted all the same."""
    arena = _arena()

    class Listed:
        workers = 2

        def run(self, scheduler: object) -> Execution:
            execution = arena.run(scheduler)  # type: ignore[arg-type]  # passed on
            return execution._replace(state={"a": (([dict(execution.state)],),)})

    assert 3 == search(Listed(), Dpor(LEVEL), _nothing, NO_BUDGET).distinct


def test_a_wait_that_nobody_foresaw_is_no_proof() -> None:
    """Where a statement waited for no known reason, the search says so and is never complete."""

    class Surprised(ToyArena):
        def run(self, scheduler: Scheduler) -> Execution:
            return super().run(scheduler)._replace(unforeseen=(0,))

    findings = search(Surprised(Toy(LEVEL, ROWS), CASES["optimistic twice"]), Dpor(LEVEL), _nothing, NO_BUDGET)
    assert (False, False) == (findings.complete, findings.bounded)
    assert "of worker 0 waited for something" in findings.unforeseen


class _Behind:
    """A reader, and a writer that waits for the reader's end though no footprint says why."""

    workers = 2

    def run(self, scheduler: Scheduler) -> Execution:
        hub, reading = Hub(scheduler), set[int]()
        there, rows = frozenset([Place("there")]), frozenset([Place("rows")])

        class Shut:
            def over(self) -> bool:
                return not reading

            def by(self) -> tuple[int, ...]:
                return tuple(reading)

            def cancel(self, why: str) -> None:
                raise AssertionError(why)

        def reader() -> None:
            hub.stand(Point("statement", "read there", footprint=Footprint(there)))
            reading.add(0)
            hub.stand(Point("statement", "read rows", footprint=Footprint(rows)))
            hub.stand(Point("commit"))
            reading.clear()

        def writer() -> None:
            hub.stand(Point("statement", "shut there", footprint=Footprint(frozenset(), frozenset(), there)))
            if reading:
                hub.block(Shut())
            hub.stand(Point("statement", "write rows", footprint=Footprint(frozenset(), rows, rows)))
            hub.stand(Point("commit"))

        return hub.run([reader, writer])


def test_a_wait_that_nobody_foresaw_is_heard_of_in_a_schedule_that_would_repeat_another() -> None:
    """Where the wait leaves only who sleeps, the schedule is run all the same: else the search would pass for whole."""
    findings = search(_Behind(), Dpor(LEVEL), _nothing, NO_BUDGET)
    assert (False, True) == (findings.complete, "«shut there»" in findings.unforeseen)


def test_who_is_told_may_end_the_search() -> None:
    """Enough ends it with what it has, and it is not complete."""
    left, ticks = iter([False, False, True, True]), count()

    def tell(_schedules: int, _seconds: float, _distinct: int) -> None:
        if next(left):
            raise Enough

    findings = search(_arena(), Dpor(LEVEL), _nothing, NO_BUDGET, clock=lambda: next(ticks), tell=tell)
    assert (2, True, False) == (findings.schedules, findings.interrupted, findings.complete)


def test_ctrl_c_keeps_what_was_found() -> None:
    """A search that is interrupted gives what it has, and is not complete."""
    left = iter([False, False, True])

    def judge(execution: Execution) -> Sequence[Anomaly]:
        if next(left):
            raise KeyboardInterrupt
        return _lost(execution)

    findings = search(_arena(), Dpor(LEVEL), judge, NO_BUDGET, keep_going=True)
    assert (3, True, False) == (findings.schedules, findings.interrupted, findings.complete)
    assert ["lost update"] == [each.anomaly.name for each in findings.failures]
