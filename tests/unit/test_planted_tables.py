"""What is planted in the tables of a run, where workers and database wrote, is found by the name that it has."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Facts
from tests.unit.histories import deduct, grant, transfer
from tests.unit.storms import Chances, storm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.unit.histories import Draft, Row

#: How many runs each is planted in: in short, and `prove`.
MANY = [pytest.param(10, id="short"), pytest.param(300, id="long", marks=pytest.mark.prove)]


def _run(random: Random) -> Draft:
    """A run of a correct store in a storm, long enough that each kind of place is there."""
    planned = []
    for _ in range(40):
        source, target = random.sample(range(3), 2)
        planned.append(random.choice((deduct(source, 1), grant(source, 1), transfer(source, target, 1))))
    return storm(planned, random.randrange(10**6), Chances(kill=0.02, cut=0.1))


def _tokens(draft: Draft, outcome: str) -> set[int]:
    return {attempt["token"] for attempt in draft.attempts if attempt["outcome"] == outcome}


def _reads(draft: Draft, tokens: Iterable[int]) -> list[Row]:
    """Reads of these attempts that saw a state that somebody wrote."""
    return [a for a in draft.accesses if a["token"] in set(tokens) and a["mode"] == "r" and a["seq"]]


def _dirty_read(draft: Draft, random: Random) -> None:
    read = random.choice(_reads(draft, _tokens(draft, "ok")))
    read.update(seq=read["seq"] + 1, writer=random.choice(sorted(_tokens(draft, "fail") - {read["token"]})))


def _garbage_read(draft: Draft, random: Random) -> None:
    read = random.choice(_reads(draft, _tokens(draft, "ok")))
    read.update(seq=read["seq"] + 1, writer=10**15)


def _same_version(draft: Draft, random: Random) -> None:
    effect = random.choice(draft.effects)
    others = _tokens(draft, "ok") - {each["writer"] for each in draft.effects if each["key"] == effect["key"]}
    token = random.choice(sorted(others))
    attempt = next(attempt for attempt in draft.attempts if attempt["token"] == token)
    draft.effects.append({**effect, "writer": token, "operation": attempt["operation"], "txid": 10**6})


def _missing_version(draft: Draft, random: Random) -> None:
    top = {row["key"]: row["final_seq"] for row in draft.rows}
    places = [at for at, effect in enumerate(draft.effects) if effect["seq"] < top[effect["key"]]]
    del draft.effects[random.choice(places)]


def _stale_read(draft: Draft, random: Random) -> None:
    """A writer saw the state before the one that it overwrote."""
    effects = {(effect["writer"], effect["key"]): effect["seq"] for effect in draft.effects}
    writers = {(effect["key"], effect["seq"]): effect["writer"] for effect in draft.effects}
    read = random.choice([r for r in _reads(draft, _tokens(draft, "ok")) if (r["token"], r["key"]) in effects])
    seq = read["seq"] - 1
    read.update(seq=seq, version=read["version"] - 1, writer=writers.get((read["key"], seq), 0))


#: How each is planted, what must be found, and whether that is all.
PLANTS: dict[Callable[[Draft, Random], None], tuple[str, bool]] = {
    _dirty_read: ("G1a", True),
    _garbage_read: ("garbage-read", True),
    _same_version: ("duplicate-version", False),
    _missing_version: ("version-gap", False),
    _stale_read: ("G-single-item", False),
}


@pytest.mark.parametrize("many", MANY)
@pytest.mark.parametrize("change", PLANTS, ids=lambda change: change.__name__)
def test_what_is_planted_in_the_tables_is_found(change: Callable[[Draft, Random], None], many: int) -> None:
    """Nothing was there before; afterwards it is."""
    anomaly, alone = PLANTS[change]
    for seed in range(many):
        random = Random(seed)  # noqa: S311 - no secret
        draft = _run(random)
        assert {} == Facts(draft.history()).dependencies.anomalies, seed
        change(draft, random)
        found = Facts(draft.history()).dependencies.anomalies
        assert anomaly in found, seed
        assert {anomaly: 1} == found or not alone, seed
