"""Whatever a correct store does is VALID; whatever is planted in its history is found by the right check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.verifier import CONSISTENT, Value, verify
from tests.unit.histories import deduct, grant, increment, race, set_field, transfer
from tests.unit.storms import Chances, storm

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft

USERS = st.integers(0, 2)
AMOUNTS = st.integers(1, 120)
CREDITS = st.one_of(
    st.builds(deduct, USERS, AMOUNTS),
    st.builds(grant, USERS, AMOUNTS),
    st.permutations(range(3)).flatmap(lambda users: st.builds(transfer, st.just(users[0]), st.just(users[1]), AMOUNTS)),
)
CONFIGS = st.one_of(
    st.builds(increment, USERS, st.integers(1, 5)),
    st.builds(set_field, USERS, st.just("max_tokens"), st.integers(1, 8192)),
    st.builds(set_field, USERS, st.just("enabled"), st.booleans()),
)
RACES = st.one_of(st.lists(CREDITS, min_size=1, max_size=30), st.lists(CONFIGS, min_size=1, max_size=30))


@given(
    planned=st.one_of(st.lists(CREDITS, min_size=20, max_size=40), st.lists(CONFIGS, min_size=20, max_size=40)),
    seed=st.integers(0, 10**6),
    chances=st.builds(Chances, kill=st.sampled_from((0, 0.01, 0.05)), cut=st.sampled_from((0, 0.05, 0.2))),
    isolation=st.sampled_from(("read committed", "repeatable read")),
)
@settings(max_examples=80, deadline=None)
def test_a_correct_store_in_a_storm_is_never_accused(
    planned: list[tuple[str, dict[str, Any]]], seed: int, chances: Chances, isolation: str
) -> None:
    """Killed processes, lost answers, redeliveries, retries, give-ups and stale refusals prove nothing against it."""
    verdict = verify(storm(planned, seed, chances, isolation=isolation).history())
    assert [] == [check for check in verdict.checks if check.name in CONSISTENT and check.value is not Value.VALID]
    assert verdict.isolation.value is not Value.INVALID
    assert next(check for check in verdict.checks if check.name == "complete").value is Value.VALID


@given(planned=RACES)
@settings(max_examples=150, deadline=None)
def test_a_correct_store_is_never_accused(planned: list[tuple[str, dict[str, Any]]]) -> None:
    """Every check of consistency holds on every history that a correct store makes."""
    verdict = verify(race(*planned).history())
    assert [] == [check for check in verdict.checks if check.name in CONSISTENT and check.value is not Value.VALID]
    assert verdict.isolation.value is not Value.INVALID


def _drop_effect(draft: Draft, at: int) -> None:
    del draft.effects[at]


def _duplicate_effect(draft: Draft, at: int) -> None:
    draft.effects.append(draft.effects[at])


def _change_value(draft: Draft, at: int) -> None:
    draft.effects[at]["after"] = draft.effects[at]["after"].replace('"credits": ', '"credits": 1')


def _change_version(draft: Draft, at: int) -> None:
    draft.effects[at]["version_after"] += 1


def _renumber(draft: Draft, at: int) -> None:
    draft.effects[at]["seq"] += 1


def _lose_message(draft: Draft, _at: int) -> None:
    draft.add_operation(grant(0, 1))


def _lose_writer(draft: Draft, at: int) -> None:
    draft.effects[at].update(writer=0, operation=-1)


def _deny(draft: Draft, at: int) -> None:
    draft.refuse(draft.effects[at]["operation"], "error")


def _claim(draft: Draft, at: int) -> None:
    draft.add_attempt(draft.effects[at]["operation"])


def _refuse_for_nothing(draft: Draft, at: int) -> None:
    number = draft.add_operation(deduct(int(draft.effects[at]["key"]), 1))
    token = draft.effects[at]["writer"]
    attempt = draft.add_attempt(number, outcome="fail", reason="insufficient")
    draft.accesses.append({**next(a for a in draft.accesses if a["token"] == token), "token": attempt["token"]})


def _apply_twice(draft: Draft, at: int) -> None:
    effect = draft.effects[at]
    number = draft.add_operation(grant(0, 1))
    draft.add_attempt(number)
    draft.add_attempt(number)
    for attempt in draft.attempts[-2:]:
        draft.effects.append({**effect, "operation": number, "writer": attempt["token"], "txid": attempt["token"]})


def _stale_read(draft: Draft, at: int) -> None:
    effect = draft.effects[at]
    for access in draft.accesses:
        if access["token"] == effect["writer"] and access["mode"] == "r" and access["key"] == effect["key"]:
            access["seq"] = -1 + effect["seq"] - 1


def _change_final(draft: Draft, at: int) -> None:
    row = next(row for row in draft.rows if row["key"] == draft.effects[at]["key"])
    row["final"] = row["final"].replace('"credits": ', '"credits": 1')


MUTATIONS: dict[Callable[[Draft, int], None], str] = {
    _drop_effect: "row chains",
    _duplicate_effect: "row chains",
    _change_value: "intents",
    _change_version: "row chains",
    _renumber: "row chains",
    _lose_message: "lost operations",
    _lose_writer: "accounting",
    _deny: "accounting",
    _claim: "accounting",
    _refuse_for_nothing: "refusals",
    _apply_twice: "applied once",
    _stale_read: "lost updates",
    _change_final: "conserved",
}


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@given(planned=st.lists(st.builds(grant, USERS, AMOUNTS), min_size=8, max_size=20), pick=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_whatever_is_planted_is_found(
    mutate: Callable[[Draft, int], None], planned: list[tuple[str, dict[str, Any]]], pick: int
) -> None:
    """The right check is INVALID, with a witness."""
    draft = race(*planned)
    # A stale read needs something older to have read.
    places = [at for at, effect in enumerate(draft.effects) if effect["seq"] > 1]
    mutate(draft, places[pick % len(places)])
    verdict = verify(draft.history())
    found = next(check for check in verdict.checks if check.name == MUTATIONS[mutate])
    assert verdict.value is Value.INVALID
    assert found.value is Value.INVALID
    assert found.witnesses
