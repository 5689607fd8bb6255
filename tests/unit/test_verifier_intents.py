"""Intents: effects are what their operations asked for, on the rows that they name, and whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier import Value
from tests.unit.histories import (
    anomalies,
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

    from tests.unit.histories import (
        Draft,
    )


@pytest.fixture
def draft() -> Draft:
    """One operation of every kind of credits."""
    return race(deduct(0, 5), grant(1, 3), transfer(0, 1, 4))


def test_every_kind_of_credits_fits(draft: Draft) -> None:
    """Deductions, grants and both sides of a transfer are what was asked for."""
    assert check(draft, "intents").value is Value.VALID


def test_every_kind_of_configuration_fits() -> None:
    """Fields set, several fields set and counters incremented are what was asked for."""
    draft = race(set_field(0, "model", "large"), set_fields(0, preset="precise", temperature=0.1), increment(0, 2))
    assert check(draft, "intents").value is Value.VALID


def test_an_effect_whose_reads_are_gone_is_still_held_to_its_intent(draft: Draft) -> None:
    """A killed process leaves no reads, but a garbled write shows."""
    draft.crash(0)
    draft.effects[0]["after"] = '{"id": 0, "credits": 94}'
    assert check(draft, "intents").value is Value.INVALID


def _amount(draft: Draft) -> None:
    draft.effects[0]["after"] = '{"id": 0, "credits": 94}'


def _other_column(draft: Draft) -> None:
    draft.effects[0]["after"] = '{"id": 1, "credits": 95}'


def _garbage(draft: Draft) -> None:
    draft.effects[0]["before"] = '{"id": 0, "credits": "much"}'


def _shapeless(draft: Draft) -> None:
    draft.effects[0]["before"] = None


def _deleted(draft: Draft) -> None:
    draft.effects[0]["after"] = None


def _wrong_row(draft: Draft) -> None:
    draft.effects[0]["key"] = "2"


def _wrong_relation(draft: Draft) -> None:
    draft.effects[0]["relation"] = "configs"


def _half(draft: Draft) -> None:
    draft.effects.remove(draft.effects_of(2)[1])


def _torn(draft: Draft) -> None:
    draft.effects_of(2)[1]["txid"] += 1


@pytest.mark.parametrize(
    ("break_it", "anomaly"),
    [
        (_amount, "unfit-effect"),
        (_other_column, "unfit-effect"),
        (_garbage, "unfit-effect"),
        (_shapeless, "unfit-effect"),
        (_deleted, "unfit-effect"),
        (_wrong_row, "stray-effect"),
        (_wrong_relation, "stray-effect"),
        (_half, "torn-application"),
        (_torn, "torn-application"),
    ],
)
def test_what_was_not_asked_for_is_found_and_named(
    draft: Draft, break_it: Callable[[Draft], None], anomaly: str
) -> None:
    """Each misfit alone makes the check fail, with a witness of its name."""
    break_it(draft)
    assert check(draft, "intents").value is Value.INVALID
    assert anomaly in anomalies(draft, "intents")


def test_a_lost_field_of_a_configuration_does_not_fit() -> None:
    """A whole document written back over another's field is no increment."""
    draft = race(set_field(0, "model", "large"), increment(0, 2))
    draft.effects[1]["after"] = draft.effects[1]["after"].replace("large", "small")
    witness = check(draft, "intents").witnesses[0]
    assert witness.anomaly == "unfit-effect"
    assert "from model large, calls 0 to model small, calls 2" in witness.sentence


def again(draft: Draft, effect: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Let the transaction write the row once more, with these fields of the configuration."""
    value = json.loads(effect["after"])
    value["config"].update(fields)
    later = {"seq": effect["seq"] + 1, "version_before": effect["version_after"], "before": effect["after"]}
    second = {**effect, **later, "version_after": effect["version_after"] + 1, "after": json.dumps(value)}
    draft.effects.append(second)
    row = next(row for row in draft.rows if row["key"] == effect["key"])
    row.update(final=second["after"], final_seq=second["seq"], final_version=second["version_after"])
    return second


@pytest.mark.parametrize("name", ["intents", "conserved"])
def test_an_operation_that_counts_twice_in_one_transaction_is_found(name: str) -> None:
    """Each write alone would fit; together they are not what was asked for, and the guard can't see it."""
    draft = race(increment(0, 2), increment(0, 1))
    again(draft, draft.effects[1], calls=4)
    assert check(draft, "row chains").value is Value.VALID
    assert check(draft, "applied once").value is Value.VALID
    assert check(draft, name).value is Value.INVALID


@pytest.mark.parametrize("name", ["intents", "conserved"])
def test_a_change_in_two_statements_of_one_transaction_fits_as_a_whole(name: str) -> None:
    """One row written twice in one transaction is one application: nobody sees the first write alone."""
    draft = race(increment(0, 2), set_fields(0, preset="precise", temperature=0.1, enabled=False))
    half = json.loads(draft.effects[1]["after"])
    half["config"]["enabled"] = True
    draft.effects[1]["after"] = json.dumps(half)
    again(draft, draft.effects[1], enabled=False)
    found = check(draft, name)
    assert found.value is Value.VALID, found


@pytest.mark.parametrize("planned", [grant(0, 5), increment(0, 1)])
def test_an_operation_of_a_kind_that_nobody_knows_fits_nothing(planned: tuple[str, dict[str, Any]]) -> None:
    """Its change is not guessed from its parameters."""
    draft = race(planned)
    draft.operations[0]["kind"] = "multiply"
    assert check(draft, "intents").value is not Value.VALID


def test_two_attempts_in_a_row_are_not_one_change() -> None:
    """What another attempt left is where the next one starts."""
    draft = race(grant(0, 5), grant(0, 5), grant(0, 5))
    assert check(draft, "intents").summary == "3 of 3 effects fit"


def test_a_scenario_without_known_intents_is_unknown(draft: Draft) -> None:
    """Nothing is judged by rules that nobody told the verifier."""
    draft.meta["scenario"] = "warehouse"
    assert check(draft, "intents").value is Value.UNKNOWN
