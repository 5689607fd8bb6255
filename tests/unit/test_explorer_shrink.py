"""Shrinking: the same anomaly with fewer switches, workers and operations, within a bound of replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.judging import Anomaly, JudgeError, invariant_judge
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.scheduler import Point, Step
from orchestrator.explorer.shrink import Lenient, Variant, keeps, shrink, switches
from orchestrator.explorer.stories import tell
from orchestrator.explorer.token import write_segments
from tests.unit.arenas import Deposits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.explorer.judging import Judge, Outcome
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.search import Arena


def _complete(arena: Deposits) -> Judge:
    """Judge whether every deposit has arrived."""
    expected = {key: 0 for accounts in arena.accounts for key in accounts}
    for accounts in arena.accounts:
        for key in accounts:
            expected[key] += arena.amount

    def all_deposits_arrived(outcome: Outcome) -> bool:
        return expected == {row["id"]: row["balance"] for row in outcome.rows["account"]}

    return invariant_judge(all_deposits_arrived)


def _lost(execution: Execution) -> bool:
    return any(each.name == "lost update" for each in tell(execution))


def _first_failure(arena: Deposits) -> Execution:
    executions = (arena.run(RandomWalk(seed)) for seed in range(100))
    return next(execution for execution in executions if _complete(arena)(execution))


def _smaller(arena: Arena) -> Iterator[Variant]:
    """Leave out a worker, then an operation, then let the amount be 1."""
    assert isinstance(arena, Deposits)
    accounts, everybody = arena.accounts, range(arena.workers)
    for gone in everybody if arena.workers > 1 else ():
        kept = tuple(worker for worker in everybody if worker != gone)
        yield Variant(arena._replace(accounts=tuple(accounts[worker] for worker in kept)), kept)
    for worker in everybody:
        for at in range(len(accounts[worker]) if len(accounts[worker]) > 1 else 0):
            fewer = accounts[worker][:at] + accounts[worker][at + 1 :]
            yield Variant(arena._replace(accounts=(*accounts[:worker], fewer, *accounts[worker + 1 :])))
    if arena.amount > 1:
        yield Variant(arena._replace(amount=1))


def test_switches_are_counted_between_workers() -> None:
    """A crash of the worker that runs is no switch."""
    assert (0, 3, 1) == (switches((), 2), switches((0, 1, 1, 0, 1), 2), switches((0, 2, 1), 2))


def test_merging_reaches_the_fewest_switches() -> None:
    """A lost update among two workers needs no more than two switches."""
    arena = Deposits(((1, 2, 1, 2), (2, 1, 2, 1)))
    shrunk = shrink(arena, _first_failure(arena), _lost)
    assert (True, 2) == (shrunk.before > 5, shrunk.after)


@pytest.mark.parametrize("seed", range(20))
def test_shrunk_schedules_show_the_same_anomaly(seed: int) -> None:
    """The result fails by the same judge, is no larger, and stays within the bound of replays."""
    arena = Deposits(((1, 2), (2, 1), (1, 1)))
    execution = arena.run(RandomWalk(seed))
    judge = _complete(arena)
    same = keeps(judge, Anomaly("invariant", "", "all_deposits_arrived"))
    if not same(execution):
        execution = _first_failure(arena)
    shrunk = shrink(arena, execution, same, replays=30)
    replayed = arena.run(Replay(shrunk.execution.choices))
    assert (True, True, True) == (same(replayed), shrunk.after <= shrunk.before, shrunk.replays <= 30)


def test_everything_that_does_not_matter_is_left_out() -> None:
    """Of five workers with five deposits each, two with one each stay, and the amount is 1."""
    arena = Deposits(((1, 2, 3, 4, 5),) * 5)
    shrunk = shrink(arena, _first_failure(arena), _lost, _smaller)
    assert isinstance(shrunk.arena, Deposits)
    expected = ([1, 1], 1, 2)
    assert expected == ([len(each) for each in shrunk.arena.accounts], shrunk.arena.amount, shrunk.after)


def test_shrunk_lost_update_is_the_textbook_one() -> None:
    """One worker reads, the other does all it has to, the first goes on."""
    arena = Deposits(((1, 2, 3),) * 3)
    shrunk = shrink(arena, _first_failure(arena), _lost, _smaller)
    assert write_segments(shrunk.execution.choices) in {"AB3A2", "BA3B2"}


def test_crashes_that_do_not_matter_are_left_out() -> None:
    """A schedule whose anomaly needs no crash has none in the end."""
    arena = Deposits(((1,), (1,), (2,)), crashes=1)
    execution = arena.run(Lenient((0, 1, 2, 2, 5, 0, 0, 1, 1)))
    shrunk = shrink(arena, execution, _lost)
    assert (True, False) == (5 in execution.choices, 5 in shrunk.execution.choices)


def test_no_replay_is_taken_beyond_the_bound() -> None:
    """With no replays left the schedule is what it was."""
    arena = Deposits(((1,), (1,)))
    execution = _first_failure(arena)
    shrunk = shrink(arena, execution, _lost, _smaller, replays=0)
    assert (execution, 0) == (shrunk.execution, shrunk.replays)


def test_candidates_that_nobody_can_judge_are_not_taken() -> None:
    """A judge that can't tell keeps the schedule as it is."""

    def unsure(_: Execution) -> bool:
        raise JudgeError("can't tell")

    arena = Deposits(((1,), (1,)))
    execution = _first_failure(arena)
    assert execution == shrink(arena, execution, unsure, _smaller).execution


def test_lenient_replay_skips_what_is_not_ready() -> None:
    """A choice that can't be made is left out; after the last one the worker that runs goes on."""
    lenient = Lenient((1, 0))
    points = [Point("start")] * 3
    steps = (([0, 2], None), ([0, 2], 0), ([1, 2], 0))
    chosen = [lenient.choose(ready, Step(at, last, points)) for at, (ready, last) in enumerate(steps)]
    assert [0, 0, 1] == chosen
