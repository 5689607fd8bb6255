"""Words: attempts, operations and changes as a reader of a witness sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.verifier import Check, Value, Witness
from orchestrator.verifier.columns import prepare
from orchestrator.verifier.words import SHOWN, attempt, counted, ending, judged, operation, row_of, shown, values
from tests.unit.histories import deduct, grant, increment, race, set_field, set_fields, transfer

if TYPE_CHECKING:
    from tests.unit.histories import Draft, Planned


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 effects"), (1, "1 effect"), (2, "2 effects"), (1_234, "1,234 effects")],
)
def test_a_number_stands_with_its_noun(count: int, expected: str) -> None:
    """One thing is singular, everything else plural, and thousands are set apart."""
    assert expected == counted(count, "effect")


def test_an_irregular_plural_is_given() -> None:
    """It replaces the noun, and only where there is not exactly one."""
    assert "1 process" == counted(1, "process", "processes")
    assert "3 processes" == counted(3, "process", "processes")


def test_ten_witnesses_are_shown() -> None:
    """The first ten, in order, by the places as plain integers."""
    found = shown(np.arange(100, 111), lambda place: Witness(anomaly="a", sentence="s", attempts=(place,)))
    assert [(place,) for place in range(100, 110)] == [witness.attempts for witness in found]
    assert {int} == {type(witness.attempts[0]) for witness in found}
    assert 10 == SHOWN


def test_what_was_found_makes_a_check_invalid() -> None:
    """The number found decides, and is kept with the witnesses."""
    witness = Witness(anomaly="lost-update", sentence="A lost it.")
    assert Check(name="n", value=Value.INVALID, summary="s", found=12, witnesses=(witness,)) == judged(
        "n", 12, "s", (witness,)
    )
    assert Check(name="n", value=Value.VALID, summary="s") == judged("n", 0, "s")


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (deduct(0, 5), "deduct 5 from users/0"),
        (grant(1, 7), "grant 7 to users/1"),
        (transfer(0, 2, 3), "transfer 3 from users/0 to users/2"),
        (increment(0, 2), "add 2 to calls of configs/0"),
        (set_field(1, "model", "large"), "set model to large in configs/1"),
        (set_fields(2, preset="precise", temperature=0.1), "set preset to precise, temperature to 0.1 in configs/2"),
    ],
)
def test_operations_are_told_as_people_say_them(planned: Planned, expected: str) -> None:
    """Number and intent."""
    assert f"operation 0 ({expected})" == operation(prepare(race(planned).history()), 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "transfer"}, 'transfer {"user": 0, "amount": 5}'),
        ({"params": '{"user": 0}'}, 'deduct {"user": 0}'),
        ({"params": "[1]"}, "deduct [1]"),
        ({"params": "no JSON"}, "deduct no JSON"),
    ],
)
def test_parameters_that_nobody_understands_are_shown_as_they_are(change: dict[str, str], expected: str) -> None:
    """A witness is told all the same."""
    draft = race(deduct(0, 5))
    draft.operations[0].update(change)
    assert f"operation 0 ({expected})" == operation(prepare(draft.history()), 0)


def test_operations_of_an_unknown_scenario_are_shown_as_they_are() -> None:
    """Kind and parameters, since nobody told the verifier the words."""
    draft = race(deduct(0, 5))
    draft.meta["scenario"] = "warehouse"
    assert 'operation 0 (deduct {"user": 0, "amount": 5})' == operation(prepare(draft.history()), 0)


def test_an_operation_outside_the_plan_is_called_so() -> None:
    """It has no number to name."""
    assert "an operation that nobody planned" == operation(prepare(race(deduct(0, 5)).history()), -1)


def test_an_attempt_is_told_with_its_worker() -> None:
    """Operation, node, pid and slot."""
    draft = race(deduct(0, 5), grant(1, 2))
    draft.attempts[1]["slot"] = 3
    columns = prepare(draft.history())
    assert "operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0" == attempt(columns, 0)
    assert "operation 1 (grant 2 to users/1) on node-2, pid 102, slot 3" == attempt(columns, 1)


def test_an_attempt_of_an_unknown_process_is_told_without_it() -> None:
    """Nothing is guessed."""
    draft = race(deduct(0, 5))
    draft.processes.clear()
    expected = "operation 0 (deduct 5 from users/0) on an unknown node, pid unknown, slot 0"
    assert expected == attempt(prepare(draft.history()), 0)


def test_an_attempt_that_is_not_in_the_history_is_called_so() -> None:
    """Its journal is missing."""
    assert "a writer whose attempt is not in the history" == attempt(prepare(race(deduct(0, 5)).history()), -1)


def _ended(draft: Draft) -> str:
    return ending(prepare(draft.history()), 0)


def test_endings_are_told_with_their_reason() -> None:
    """Outcome first; a reason where there is one; none recorded where the attempt left no end."""
    draft = race(deduct(0, 5))
    assert "ok" == _ended(draft)
    draft.refuse(0, "insufficient")
    assert "fail: insufficient" == _ended(draft)
    draft.refuse(0, "serialization")
    assert "fail: serialization" == _ended(draft)
    draft.attempts[0].update(end_ns=0, outcome="info", reason="lost-connection")
    assert "info: lost-connection" == _ended(draft)
    draft.crash(0)
    assert "no end recorded" == _ended(draft)


def _values(before: object, after: object) -> tuple[str, str]:
    draft = race(deduct(0, 5))
    draft.effects[0]["before"], draft.effects[0]["after"] = (
        None if value is None else json.dumps(value) for value in (before, after)
    )
    return values(prepare(draft.history()), 0)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"id": 0, "credits": 100}, {"id": 0, "credits": 95}, ("credits 100", "credits 95")),
        ({"a": 1, "b": 2}, {"a": 3, "b": 4}, ("a 1, b 2", "a 3, b 4")),
        ({"a": 1}, {"a": 1, "b": 2}, ("nothing", "b 2")),
        ({"a": 1, "b": 2}, {"a": 1}, ("b 2", "nothing")),
        ({"a": 1, "b": None}, {"a": 1}, ("b null", "nothing")),
        ({"a": "x", "b": 2}, {"a": "x", "b": 2}, ("a x, b 2", "a x, b 2")),
        ({"a": "x"}, {"a": [1, True]}, ("a x", "a [1,true]")),
        (None, {"a": 1, "b": 2}, ("no row", "a 1, b 2")),
        ({"a": 1, "b": 2}, None, ("a 1, b 2", "no row")),
        ({}, None, ("nothing", "no row")),
        (5, 7, ("value 5", "value 7")),
        ({"id": 1, "config": {"x": 1}}, {"id": 1, "config": {"x": 2}}, ("x 1", "x 2")),
        ({"id": 1, "config": 5}, {"id": 1, "config": {"x": 2}}, ("config 5", "x 2")),
        ({"a": "x" * 200}, {"a": "y" * 200}, ("a " + "x" * 158, "a " + "y" * 158)),
    ],
)
def test_the_fields_that_changed_are_shown(before: object, after: object, expected: tuple[str, str]) -> None:
    """Before and after, a configuration's fields beside its id, and no more of them than fits into a sentence."""
    assert expected == _values(before, after)


def test_an_effects_values_and_row_are_its_own() -> None:
    """Effects stand by row and seq, their texts in the order in which they were gathered."""
    draft = race(deduct(1, 5), deduct(0, 3))
    columns = prepare(draft.history())
    assert [("credits 100", "credits 97"), ("credits 100", "credits 95")] == [values(columns, at) for at in (0, 1)]
    assert ["users/0", "users/1"] == [row_of(columns, at) for at in (0, 1)]
