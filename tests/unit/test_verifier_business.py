"""Business rules: no state breaks one, sums are conserved, acknowledged changes are present."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier import Value
from orchestrator.verifier.rules import configs
from tests.unit.histories import CONFIG, check, deduct, grant, increment, race, set_field, set_fields, transfer

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def test_states_within_the_rules_hold() -> None:
    """Zero credits are allowed."""
    assert check(race(deduct(0, 100), transfer(1, 0, 100)), "business rules").value is Value.VALID


@pytest.mark.parametrize("amount", [-1, "95", 9.5, True, None])
def test_credits_below_zero_or_no_number_break_a_rule(amount: object) -> None:
    """Every state in between counts, not only the last."""
    draft = race(deduct(0, 5), grant(0, 5))
    draft.effects[0]["after"] = json.dumps({"id": 0, "credits": amount})
    found = check(draft, "business rules")
    assert found.value is Value.INVALID
    assert found.witnesses[0].row == "users/0"


def test_credits_beyond_all_bounds_do_not_stop_the_checks() -> None:
    """Numbers of more than 64 bits are judged as any other."""
    draft = race(deduct(0, 5))
    draft.effects[0]["after"] = draft.rows[0]["final"] = json.dumps({"id": 0, "credits": 2**70})
    assert check(draft, "intents").value is Value.INVALID
    assert check(draft, "conserved").value is Value.INVALID


def test_a_state_without_credits_breaks_a_rule() -> None:
    """A row of another shape is no user."""
    draft = race(deduct(0, 5))
    draft.effects[0]["after"] = "[1]"
    assert check(draft, "business rules").value is Value.INVALID


def test_an_initial_state_can_break_a_rule() -> None:
    """States nobody changed are looked at too."""
    draft = race(deduct(0, 5))
    draft.rows[1]["initial"] = '{"id": 1, "credits": -1}'
    found = check(draft, "business rules")
    assert found.found == 1
    assert found.witnesses[0].sentence == (
        'users/1 broke a rule before the first operation ran: credits are below zero ({"id": 1, "credits": -1}).'
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"model": "medium"},
        {"preset": "precise", "temperature": 0.3},
        {"preset": "creative", "temperature": 2},
        {"preset": "balanced", "temperature": 0.7},
        {"tools": []},
        {"max_tokens": 8192},
    ],
)
def test_configurations_that_fit_their_schema_have_no_fault(change: dict[str, Any]) -> None:
    """The bounds themselves are allowed."""
    assert configs.fault({"config": {**CONFIG, **change}}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"model": "huge"},
        {"preset": "wild"},
        {"preset": "precise", "temperature": 0.4},
        {"preset": "creative", "temperature": 0.6},
        {"preset": "balanced", "temperature": 0.8},
        {"preset": "balanced", "temperature": 0.2},
        {"preset": "creative", "temperature": 2.1},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"tools": ["a", "a"]},
        {"tools": [1]},
        {"enabled": 1},
        {"calls": -1},
        {"more": 1},
    ],
)
def test_configurations_that_break_their_schema_have_a_fault(change: dict[str, Any]) -> None:
    """Each field is held to its type and range, and nothing else may be there."""
    assert configs.fault({"config": {**CONFIG, **change}}) is not None


@pytest.mark.parametrize("name", list(CONFIG))
def test_a_configuration_lacking_a_field_has_a_fault(name: str) -> None:
    """Every field is required."""
    assert configs.fault({"config": {key: value for key, value in CONFIG.items() if key != name}}) is not None


def test_an_effect_that_breaks_the_schema_is_found() -> None:
    """A preset written without its temperature breaks the configuration."""
    draft = race(set_field(0, "preset", "precise"))
    found = check(draft, "business rules")
    assert found.value is Value.INVALID
    assert "config.temperature must be smaller than or equal to 0.3" in found.witnesses[0].sentence


def test_credits_add_up() -> None:
    """Grants add, deductions take, transfers and refusals do neither."""
    found = check(race(deduct(0, 5), grant(1, 3), transfer(0, 2, 7), deduct(1, 900)), "conserved")
    assert found.value is Value.VALID
    assert found.summary == "credits: 300 at first, 298 at the end, 298 expected"


def test_credits_that_vanished_are_missed() -> None:
    """The witness says how many."""
    draft = race(deduct(0, 5))
    draft.rows[0]["final"] = '{"id": 0, "credits": 90}'
    found = check(draft, "conserved")
    assert found.value is Value.INVALID
    assert found.witnesses[0].sentence.endswith("but they hold 290: 5 missing.")


def test_credits_from_nowhere_are_found() -> None:
    """An acknowledged deduction that is not in the rows leaves too many credits."""
    draft = race(deduct(0, 5))
    draft.rows[0]["final"] = '{"id": 0, "credits": 100}'
    assert check(draft, "conserved").witnesses[0].sentence.endswith("5 too many.")


def settings() -> Draft:
    """A configuration with a field set twice, others once, and a counter."""
    return race(
        set_field(0, "model", "large"),
        set_field(0, "model", "medium"),
        set_fields(0, preset="precise", temperature=0.1),
        increment(0, 2),
        increment(0, 3),
    )


def test_acknowledged_changes_are_present_or_overwritten_by_later_ones() -> None:
    """The last setter of each field wins, and counters add up."""
    assert check(settings(), "conserved").value is Value.VALID


@pytest.mark.parametrize(
    ("change", "story"),
    [
        ({"model": "large"}, "model should be medium and is large"),
        ({"temperature": 0.5}, "temperature should be 0.1 and is 0.5"),
        ({"calls": 3}, "calls should be 5 and is 3"),
    ],
)
def test_an_acknowledged_change_that_is_absent_is_found(change: dict[str, Any], story: str) -> None:
    """The witness names the field, what it should be and what it is."""
    draft = settings()
    final = json.loads(draft.rows[0]["final"])
    final["config"].update(change)
    draft.rows[0]["final"] = json.dumps(final)
    found = check(draft, "conserved")
    assert found.value is Value.INVALID
    assert story in found.witnesses[0].sentence


def test_a_configuration_that_is_gone_lacks_its_changes() -> None:
    """A deleted row keeps nothing that was acknowledged."""
    draft = settings()
    draft.rows[0]["final"] = None
    assert check(draft, "conserved").value is Value.INVALID


@pytest.mark.parametrize("name", ["business rules", "conserved"])
def test_a_scenario_without_known_rules_is_unknown(name: str) -> None:
    """Nothing is judged by rules that nobody told the verifier."""
    draft = race(deduct(0, 5))
    draft.meta["scenario"] = "warehouse"
    assert check(draft, name).value is Value.UNKNOWN
