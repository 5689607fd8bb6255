"""Witnesses and summaries of business rules, conservation and intents, whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.verifier import Check, Value, Witness
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.states import ABSENT, FITS, STRAY, UNFIT, UNJUDGED
from tests.unit.histories import (
    CONFIG,
    check,
    deduct,
    grant,
    increment,
    race,
    set_field,
    set_fields,
    transfer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 to 2.
FIRST, SECOND, THIRD = (1 << 32) + 1, (2 << 32) + 2, (1 << 32) + 3

ZERO = "operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0"
CHANGED = "A changed users/0 at seq 1"


def valid(name: str, summary: str) -> Check:
    """A finding of nothing."""
    return Check(name=name, value=Value.VALID, summary=summary)


def invalid(name: str, summary: str, *witnesses: Witness) -> Check:
    """A finding of these, all of them shown."""
    return Check(name=name, value=Value.INVALID, summary=summary, found=len(witnesses), witnesses=witnesses)


def test_states_that_break_no_rule_are_counted() -> None:
    """Initial ones and those after effects."""
    assert valid("business rules", "4 states looked at") == check(race(deduct(0, 5)), "business rules")


def test_a_state_that_breaks_a_rule_is_told_whole() -> None:
    """Which change made it, and which rule it breaks; initial states stand last."""
    draft = race(deduct(0, 5), grant(0, 5))
    draft.effects[0]["after"] = '{"id": 0, "credits": -1}'
    first = Witness(
        anomaly="rule-broken",
        sentence=f"{CHANGED} from credits 100 to credits -1, which breaks a rule: credits are below zero. A is {ZERO}.",
        attempts=(FIRST,),
        row="users/0",
    )
    expected = invalid("business rules", "5 states looked at, 1 breaks a rule", first)
    assert expected == check(draft, "business rules")
    draft.rows[1]["initial"] = "[1]"
    second = Witness(
        anomaly="rule-broken-at-first",
        sentence="users/1 broke a rule before the first operation ran: it is no object ([1]).",
        row="users/1",
    )
    expected = invalid("business rules", "5 states looked at, 2 break a rule", first, second)
    assert expected == check(draft, "business rules")


def test_ten_broken_rules_are_shown_and_all_are_counted() -> None:
    """Effects before initial states."""
    draft = race(*(grant(key, 1) for key in range(8)), rows=12)
    for effect in draft.effects:
        effect["after"] = '{"id": 0, "credits": -1}'
    for row in draft.rows[8:]:
        row["initial"] = '{"id": 0, "credits": -1}'
    found = check(draft, "business rules")
    assert 12 == found.found
    assert ["rule-broken"] * 8 + ["rule-broken-at-first"] * 2 == [witness.anomaly for witness in found.witnesses]


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("business rules", "the verifier knows no rules of this scenario"),
        ("conserved", "the verifier knows no intents of this scenario"),
        ("intents", "the verifier knows no intents of scenario warehouse"),
    ],
)
def test_what_the_verifier_does_not_know_is_said(name: str, summary: str) -> None:
    """A scenario without rules is UNKNOWN."""
    draft = race(deduct(0, 5))
    draft.meta["scenario"] = "warehouse"
    assert Check(name=name, value=Value.UNKNOWN, summary=summary) == check(draft, name)


@pytest.mark.parametrize(("final", "story"), [(90, "5 missing"), (1_100, "1,005 too many")])
def test_credits_that_do_not_add_up_are_told_whole(final: int, story: str) -> None:
    """What there was, what should be, and what is."""
    draft = race(deduct(0, 5), start=1_000)
    draft.rows[0]["final"] = json.dumps({"id": 0, "credits": 990 if final == 90 else 2_000})
    held = "2,990" if final == 90 else "4,000"
    sentence = (
        "All rows held 3,000 credits at first; with every acknowledged operation they should hold 2,995 at the end,"
        f" but they hold {held}: {story}."
    )
    summary = f"credits: 3,000 at first, {held} at the end, 2,995 expected"
    expected = invalid("conserved", summary, Witness(anomaly="not-conserved", sentence=sentence))
    assert expected == check(draft, "conserved")


def test_rows_without_credits_hold_none() -> None:
    """A row that is gone, or of another shape, adds nothing to the sum."""
    draft = race(deduct(0, 5))
    draft.rows[1]["final"], draft.rows[2]["final"] = None, "[1]"
    assert "credits: 300 at first, 95 at the end, 295 expected" == check(draft, "conserved").summary


def configured() -> Draft:
    """A configuration with a field set twice, others once, and a counter."""
    return race(
        set_field(0, "model", "large"),
        set_field(0, "model", "medium"),
        set_fields(0, preset="precise", temperature=0.1),
        increment(0, 2),
        increment(0, 3),
    )


def lacking(*stories: tuple[str, str]) -> tuple[Witness, ...]:
    """The witnesses of configurations that lack changes."""
    return tuple(
        Witness(
            anomaly="change-absent",
            sentence=f"{row} lacks acknowledged changes that no later one overwrote: {story}.",
            row=row,
        )
        for row, story in stories
    )


def test_changes_that_are_present_are_counted() -> None:
    """On all rows, touched or not."""
    summary = "5 acknowledged changes on 3 rows present or overwritten by later ones"
    assert valid("conserved", summary) == check(configured(), "conserved")


def test_changes_that_are_absent_are_told_whole() -> None:
    """Every field that is not what it should be, row by row."""
    draft = configured()
    config = {**json.loads(draft.rows[0]["final"])["config"], "model": "large", "calls": 3}
    draft.rows[0]["final"] = json.dumps({"id": 0, "config": config})
    stories = [("configs/0", "model should be medium and is large; calls should be 5 and is 3")]
    expected = invalid("conserved", "5 acknowledged changes on 3 rows; 1 row lacks some", *lacking(*stories))
    assert expected == check(draft, "conserved")
    draft.rows[2]["final"] = json.dumps({"id": 2, "config": {**CONFIG, "more": 1}})
    stories.append(("configs/2", "more should be None and is 1"))
    expected = invalid("conserved", "5 acknowledged changes on 3 rows; 2 rows lack some", *lacking(*stories))
    assert expected == check(draft, "conserved")


def test_a_row_that_differs_in_no_field_is_told_as_gone() -> None:
    """There is no field to name where neither state has any."""
    draft = race(set_field(0, "model", "large"))
    draft.rows[1]["initial"] = "[]"
    draft.rows[1]["final"] = None
    assert lacking(("configs/1", "the row is gone")) == check(draft, "conserved").witnesses


def test_ten_rows_that_lack_changes_are_shown() -> None:
    """And all are counted."""
    draft = race(*(increment(key, 1) for key in range(12)), rows=12)
    for row in draft.rows:
        row["final"] = row["initial"]
    found = check(draft, "conserved")
    assert [12, 10] == [found.found, len(found.witnesses)]


def test_only_acknowledged_changes_must_be_present() -> None:
    """An effect for no operation, or on a row that was not planned, is no acknowledged change."""
    draft = configured()
    draft.effects[4]["operation"] = 77
    draft.rows[0]["final"] = draft.effects[3]["after"]
    summary = "4 acknowledged changes on 3 rows present or overwritten by later ones"
    assert valid("conserved", summary) == check(draft, "conserved")
    draft.effects[4].update(operation=4, key="9")
    assert valid("conserved", summary) == check(draft, "conserved")


def _amount(draft: Draft) -> None:
    draft.effects[0]["after"] = '{"id": 0, "credits": 94}'


def _wrong_row(draft: Draft) -> None:
    draft.effects[0]["key"] = "2"


def _torn(draft: Draft) -> None:
    draft.effects_of(2)[1]["txid"] += 1


TRANSFER = "Operation 2 (transfer 4 from users/0 to users/1)"


@pytest.mark.parametrize(
    ("break_it", "summary", "stories"),
    [
        (
            _amount,
            "3 of 4 effects fit; 1 unfit, 0 on a row not named, 0 torn applications",
            [
                (
                    "unfit-effect",
                    f"{CHANGED} from credits 100 to credits 94, which is not what its operation asks for. A is {ZERO}.",
                    FIRST,
                    0,
                    "users/0",
                )
            ],
        ),
        (
            _wrong_row,
            "3 of 4 effects fit; 0 unfit, 1 on a row not named, 0 torn applications",
            [
                (
                    "stray-effect",
                    f"A changed users/2 at seq 1, a row that its operation doesn't name. A is {ZERO}.",
                    FIRST,
                    0,
                    "users/2",
                )
            ],
        ),
        (
            _torn,
            "4 of 4 effects fit; 0 unfit, 0 on a row not named, 2 torn applications",
            [
                (
                    "torn-application",
                    f"{TRANSFER} changed users/0 at seq 2 in transaction 1002, but not every row that it names.",
                    THIRD,
                    2,
                    "users/0",
                ),
                (
                    "torn-application",
                    f"{TRANSFER} changed users/1 at seq 2 in transaction 1003, but not every row that it names.",
                    THIRD,
                    2,
                    "users/1",
                ),
            ],
        ),
    ],
)
def test_what_was_not_asked_for_is_told_whole(
    break_it: Callable[[Draft], None], summary: str, stories: list[tuple[str, str, int, int, str]]
) -> None:
    """The change, its row, and the operation that asked for something else."""
    draft = race(deduct(0, 5), grant(1, 3), transfer(0, 1, 4))
    break_it(draft)
    witnesses = [
        Witness(anomaly=anomaly, sentence=sentence, attempts=(token,), operations=(number,), row=row)
        for anomaly, sentence, token, number, row in stories
    ]
    assert invalid("intents", summary, *witnesses) == check(draft, "intents")


def test_effects_that_fit_are_counted() -> None:
    """And those of no known operation apart."""
    draft = race(deduct(0, 5), grant(1, 3), transfer(0, 1, 4))
    assert valid("intents", "4 of 4 effects fit") == check(draft, "intents")
    draft.effects[1]["operation"] = 77
    assert valid("intents", "3 of 4 effects fit; 1 effect of no known operation") == check(draft, "intents")
    draft.effects[0]["operation"] = -1
    assert valid("intents", "2 of 4 effects fit; 2 effects of no known operation") == check(draft, "intents")


def test_no_effects_fit_nothing() -> None:
    """There is nothing to hold against an intent."""
    assert valid("intents", "0 of 0 effects fit") == check(race(deduct(0, 900)), "intents")


def test_ten_misfits_are_shown_and_all_are_counted() -> None:
    """Unfit ones first, then stray ones, then torn applications."""
    draft = race(*(transfer(0, 1, 1) for _ in range(9)))
    for operation in range(3):
        draft.effects_of(operation)[0]["after"] = '{"id": 0, "credits": 1}'
        draft.effects_of(operation + 3)[0]["key"] = "2"
        draft.effects.remove(draft.effects_of(operation + 6)[1])
    draft.effects_of(0)[1]["after"] = draft.effects_of(1)[1]["after"] = '{"id": 0, "credits": 1}'
    found = check(draft, "intents")
    assert 11 == found.found
    assert ["unfit-effect"] * 5 + ["stray-effect"] * 3 + ["torn-application"] * 2 == [
        witness.anomaly for witness in found.witnesses
    ]


def test_only_an_operation_that_was_acknowledged_must_be_whole() -> None:
    """Effects of an operation that nobody knows are no half application."""
    draft = race(transfer(0, 1, 4), transfer(1, 2, 5))
    draft.effects.remove(draft.effects_of(0)[1])
    assert 1 == check(draft, "intents").found
    for effect in draft.effects_of(0):
        effect["operation"] = -1
    assert 0 == check(draft, "intents").found


def test_a_row_written_twice_is_one_of_the_rows_named() -> None:
    """Two writes of a transfer's source don't make up for the target."""
    draft = race(transfer(0, 1, 4))
    first, second = draft.effects
    second.update(key="0", seq=2, version_before=2, version_after=3, before=first["after"], after=first["after"])
    assert "torn-application" in {witness.anomaly for witness in check(draft, "intents").witnesses}


def walked(draft: Draft) -> list[int]:
    """How each effect fits, by row and seq."""
    found: list[int] = Facts(draft.history()).states.fit.tolist()
    return found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, FITS),
        ({"after": '{"id": 0, "credits": 94}'}, UNFIT),
        ({"before": "[1]"}, UNFIT),
        ({"before": '{"id": 0}'}, UNFIT),
        ({"key": "1"}, STRAY),
        ({"relation": "configs"}, STRAY),
        ({"operation": -1}, UNJUDGED),
        ({"operation": 77}, UNJUDGED),
    ],
)
def test_an_effect_is_one_of_four(change: dict[str, Any], expected: int) -> None:
    """It fits, doesn't, is on another row, or nobody can say."""
    draft = race(deduct(0, 5))
    draft.effects[0].update(change)
    assert [expected] == walked(draft)


def test_effects_of_no_operation_at_all_are_not_judged() -> None:
    """Not even where the plan is empty."""
    draft = race(deduct(0, 5))
    draft.operations.clear()
    assert [UNJUDGED] == walked(draft)


def test_the_first_of_two_writes_in_one_transaction_is_not_judged_alone() -> None:
    """It fits as a part; the last one is held to the intent, from what the first one saw."""
    draft = race(grant(0, 5), grant(1, 1))
    first = draft.effects[0]
    half = '{"id": 0, "credits": 103}'
    draft.effects.append({**first, "seq": 2, "before": half, "version_before": 2, "version_after": 3})
    first["after"] = half
    assert [FITS, FITS, FITS] == walked(draft)
    draft.effects[-1]["after"] = '{"id": 0, "credits": 108}'
    assert [FITS, UNFIT, FITS] == walked(draft)
    draft.effects[-1]["txid"] += 1
    assert [UNFIT, FITS, FITS] == walked(draft)


def test_levels_and_faults_stand_beside_each_effect_and_row() -> None:
    """A state that is not there is never too low, and breaks no rule."""
    draft = race(deduct(0, 5), grant(1, 3), grant(1, 4))
    draft.effects[0]["after"] = '{"id": 0, "credits": -7}'
    draft.effects[2]["after"] = None
    draft.rows[2]["initial"] = "[1]"
    states = Facts(draft.history()).states
    assert {np.dtype(np.bool_)} == {states.faulty.dtype, states.initial_faulty.dtype}
    assert [-7, 103, ABSENT] == states.level.tolist()
    assert [True, False, False] == states.faulty.tolist()
    assert [100, 100, ABSENT] == states.initial_level.tolist()
    assert [False, False, True] == states.initial_faulty.tolist()


def test_nothing_is_known_of_a_scenario_without_rules() -> None:
    """Levels are absent, nothing is faulty, nothing is judged."""
    draft = race(deduct(0, 5))
    draft.meta["scenario"] = "warehouse"
    states = Facts(draft.history()).states
    assert [[UNJUDGED], [ABSENT], [False]] == [states.fit.tolist(), states.level.tolist(), states.faulty.tolist()]
    assert [[ABSENT] * 3, [False] * 3] == [states.initial_level.tolist(), states.initial_faulty.tolist()]
