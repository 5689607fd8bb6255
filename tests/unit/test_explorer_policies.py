"""The policies that sample, the bound, and the portfolio."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.bounded import Bounded
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.partial_order_sampling import PartialOrderSampling
from orchestrator.explorer.pct import Pct
from orchestrator.explorer.portfolio import Portfolio, portfolio
from orchestrator.explorer.random_walk import RandomWalks
from orchestrator.explorer.replay import Replay, Retrace
from orchestrator.explorer.scheduler import Step
from tests.toy_bodies import CASES, ROWS, Tried, naive, reader
from tests.toy_database import Toy, ToyArena

if TYPE_CHECKING:
    from orchestrator.explorer.scheduler import Policy
    from tests.toy_database import Body

LEVEL = "read committed"

#: Three schedules of each sampler.
PINNED = [
    ["211012200", "212102100", "111000222"],
    ["222111000", "000122211", "220012011"],
    ["222010011", "010120122", "101102202"],
]


def _samplers(seed: int) -> list[Policy]:
    return [PartialOrderSampling(seed, LEVEL), Pct(seed), RandomWalks(seed)]


def _arena(name: str = "naive three times", crashes: int = 0) -> ToyArena:
    return ToyArena(Toy(LEVEL, ROWS), CASES[name], crashes=crashes)


def _choices(policy: Policy, arena: ToyArena, schedules: int = 10) -> list[tuple[int, ...]]:
    made = []
    for _ in range(schedules):
        assert policy.begin()
        execution = arena.run(policy)
        policy.learn(execution)
        made.append(execution.choices)
    return made


@pytest.mark.parametrize("number", range(3), ids=["pos", "pct", "random"])
def test_samples_are_decided_by_the_seed(number: int) -> None:
    """A seed means the same schedules each time, and another seed others; no sample is complete."""
    one, again, other = (_samplers(seed)[number] for seed in (1, 1, 2))
    arena = _arena()
    schedules = _choices(one, arena)
    assert schedules == _choices(again, arena)
    assert schedules != _choices(other, arena)
    assert not one.complete


@pytest.mark.parametrize("number", range(3), ids=["pos", "pct", "random"])
def test_samples_are_pinned(number: int) -> None:
    """The schedules of a seed are part of what a seed means, on every Python version."""
    expected = PINNED[number]
    assert expected == ["".join(map(str, each)) for each in _choices(_samplers(7)[number], _arena(), 3)]


@pytest.mark.parametrize("number", range(3), ids=["pos", "pct", "random"])
def test_samples_reach_every_outcome(number: int) -> None:
    """Two naive bodies have three outcomes, and a hundred samples meet them all."""
    arena = _arena("naive twice")
    assert Tried(arena, Exhaustive()).outcomes == Tried(arena, _samplers(3)[number], 100).outcomes


@pytest.mark.parametrize("number", range(3), ids=["pos", "pct", "random"])
def test_samples_crash(number: int) -> None:
    """Where a worker may crash, some schedules have a crash, and none more than are allowed."""
    made = _choices(_samplers(5)[number], _arena("naive twice", crashes=1), 40)
    crashes = Counter(sum(choice >= 2 for choice in each) for each in made)
    assert {0, 1} >= set(crashes)
    assert crashes[1] > 5


def test_pct_lowers_a_priority_depth_less_one_times() -> None:
    """At depth 1 a worker runs until it waits or ends: nobody is preempted."""
    tried = Tried(ToyArena(Toy(LEVEL, ROWS), [naive, naive]), Pct(1, depth=1), 30)
    assert {120} == {dict(state)["a1"] for _, state, _ in tried.outcomes}  # type: ignore[call-overload]  # a toy's state
    with pytest.raises(ValueError, match="at least 1"):
        Pct(1, depth=0)


def test_pos_is_not_thinned_out_by_independent_steps() -> None:
    """Both orders of two dependent steps stay likely, however many independent steps one of the bodies has before."""
    bodies: list[Body] = [partial(reader, keys=("a2",) * 20 + ("a1",)), naive]
    tried: Counter[object] = Counter()
    arena, policy = ToyArena(Toy(LEVEL, ROWS), bodies), PartialOrderSampling(1, LEVEL)
    for _ in range(200):
        policy.begin()
        tried[arena.run(policy).endings[0].value[-1]] += 1  # type: ignore[index]  # the reader's rows
    assert min(tried[100], tried[110]) > 10  # of a random walk's schedules, one in a million


@pytest.mark.parametrize("inner", [Exhaustive(), Dpor(LEVEL, within_bounds=True)], ids=["exhaustive", "dpor"])
def test_bound_is_kept(inner: Exhaustive | Dpor) -> None:
    """No schedule has more preemptions; what was left out is never called complete."""
    policy = Bounded(inner, 1)
    most = 0
    arena = _arena()
    while policy.begin():
        execution = arena.run(policy)
        policy.learn(execution)
        steps = list(zip(execution.choices, execution.choices[1:], execution.ready[1:], strict=False))
        most = max(most, sum(last != choice and last in ready for last, choice, ready in steps))
    assert (1, True, False) == (most, policy.bounded, policy.complete)
    assert policy.name.endswith("at most 1 preemption")


def test_bound_that_forbids_nothing_is_complete() -> None:
    """Where every schedule is within the bound, the bound is not worth a word."""
    policy = Bounded(Exhaustive(), 20)
    Tried(_arena("naive twice"), policy)
    assert (False, True) == (policy.bounded, policy.complete)


def test_portfolio_ends_with_a_complete_search() -> None:
    """Where the first policy is done within its share, nothing is sampled."""
    policy = portfolio(LEVEL, 1, schedules=100)
    tried = Tried(_arena("naive twice"), policy, 100)
    assert (6, True, "dpor") == (tried.schedules, tried.complete, policy.name)


def test_portfolio_samples_after_its_share() -> None:
    """Where it is not, the samplers take turns, and the search is not complete."""
    policy = portfolio(LEVEL, 1, schedules=20)
    tried = Tried(_arena(), policy, 20)
    assert (20, False, "dpor, then pos, pct, random") == (tried.schedules, tried.complete, policy.name)


def test_portfolio_has_a_share_of_the_time() -> None:
    """The share may be seconds, on whatever clock."""
    seconds = iter(range(100))
    policy = Portfolio(Dpor(LEVEL), [RandomWalks(1)], seconds=4, clock=lambda: next(seconds))
    names = []
    arena = _arena()
    for _ in range(5):
        _choices(policy, arena, 1)
        names.append(policy.name)
    assert ["dpor", "dpor", "dpor", "dpor, then random", "dpor, then random"] == names


def test_retrace_goes_its_own_way_where_the_choices_end() -> None:
    """A retrace follows what fits, and takes the first who is ready where nothing does."""
    arena = _arena("naive twice")
    whole = arena.run(Retrace((1, 0))).choices
    assert (1, 0) == whole[:2]
    assert whole == arena.run(Replay(whole)).choices
    assert 0 == Retrace((5,)).choose([0, 1], Step(0, None, ()))
