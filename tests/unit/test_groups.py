"""Groups: what a profile multiplies out to, and what is expected of each."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.groups import EAGER_STRATEGIES, LOSES, PRODUCED, groups
from orchestrator.profile import Expect, Mode, Profile
from orchestrator.verifier.verdict import Value
from worker.contract import Isolation
from worker.scenarios import SCENARIOS as BODIES
from worker.strategies import STRATEGIES

ALL_LEVELS = tuple(Isolation)


def test_names_are_those_that_workers_know() -> None:
    """The table covers the strategies that bodies exist for, no more and no less."""
    assert sorted(STRATEGIES) == sorted(LOSES)


def test_planned_scenarios_are_those_that_workers_know() -> None:
    """Every scenario that can be planned can be run."""
    from orchestrator.plan import SCENARIOS  # noqa: PLC0415 - two modules have a table of this name

    assert sorted(BODIES) == sorted(SCENARIOS)


def test_order_and_names() -> None:
    """Scenario, strategy, isolation; numbered from 1."""
    profile = Profile(scenarios=("credits", "config"), strategies=("naive", "atomic"))
    assert [
        "1-credits-naive-read-committed",
        "2-credits-atomic-read-committed",
        "3-config-naive-read-committed",
        "4-config-atomic-read-committed",
    ] == [group.name for group in groups(profile)]


def test_all_stands_for_every_strategy() -> None:
    """`all` is every strategy once."""
    assert list(LOSES) == [group.strategy for group in groups(Profile(strategies=("all",)))]


def test_serializable_stands_once_at_the_level_that_it_trusts() -> None:
    """The strategy `serializable` combines with no other level."""
    found = groups(Profile(strategies=("serializable",), isolation=ALL_LEVELS))
    assert [Isolation.SERIALIZABLE] == [group.isolation for group in found]


def test_names_given_twice_race_once() -> None:
    """Repeating a name repeats nothing."""
    assert 1 == len(groups(Profile(strategies=("atomic", "atomic"))))


def test_expected_verdicts_are_the_published_table() -> None:
    """Naive loses at read committed, naive-autocommit everywhere, nobody else anywhere."""
    found = groups(Profile(strategies=("all",), isolation=ALL_LEVELS))
    losing = {(group.strategy, group.isolation) for group in found if group.expected is Value.INVALID}
    assert {("naive", Isolation.READ_COMMITTED)} | {("naive-autocommit", level) for level in ALL_LEVELS} == losing


@pytest.mark.parametrize("expect", [Expect.VALID, Expect.INVALID])
def test_expect_overrules_the_table(expect: Expect) -> None:
    """What the profile expects counts for every group."""
    found = groups(Profile(strategies=("naive", "atomic"), expect=expect))
    assert {Value(expect.value.upper())} == {group.expected for group in found}


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(scenarios=("loans",)), "Unknown scenario loans: the known ones are credits, config, requests."),
        (Profile(strategies=("optimstic",)), "Unknown strategy optimstic: did you mean optimistic?"),
    ],
)
def test_unknown_names_list_the_known_ones(profile: Profile, said: str) -> None:
    """A wrong name is answered with the right ones."""
    with pytest.raises(UsageError) as raised:
        groups(profile)
    assert str(raised.value).startswith(said)


def test_all_is_what_sqlite_can_express_in_eager_mode() -> None:
    """On the lowest rung `all` asks for nothing that is not there."""
    found = groups(Profile(strategies=("all",), mode=Mode.EAGER), eager=True)
    assert list(EAGER_STRATEGIES) == [group.strategy for group in found]


def test_other_strategies_in_eager_mode_are_refused_with_the_reason() -> None:
    """SQLite has no row locks, and says so rather than doing something else."""
    with pytest.raises(UsageError, match="pessimistic is not on this rung: SQLite has no row locks"):
        groups(Profile(strategies=("pessimistic",), mode=Mode.EAGER), eager=True)


def test_what_needs_a_producer_is_refused_in_eager_mode() -> None:
    """There is nobody beside the workers to insert and to publish."""
    with pytest.raises(UsageError, match=r"Scenario requests is not on this rung: it needs a producer .* distributed"):
        groups(Profile(scenarios=("credits", "requests"), mode=Mode.EAGER), eager=True)


def test_what_needs_a_producer_is_what_needs_a_request() -> None:
    """The table says the same as the scenarios."""
    assert sorted(PRODUCED) == [name for name, scenario in sorted(BODIES.items()) if scenario.request is not None]


def test_other_levels_in_eager_mode_are_refused_with_the_reason() -> None:
    """SQLite gives read committed's outcomes only."""
    with pytest.raises(UsageError, match="repeatable read is not on this rung"):
        groups(Profile(isolation=(Isolation.REPEATABLE_READ,), mode=Mode.EAGER), eager=True)
