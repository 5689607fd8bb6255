"""Rules: what the verifier knows of users and configurations, each function against plain cases."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.verifier.rules import RULES, configs, users
from orchestrator.verifier.states import ABSENT, level_of
from tests.unit.histories import CONFIG

DEDUCT = ("deduct", {"user": 1, "amount": 5})
GRANT = ("grant", {"user": 1, "amount": 5})
FULFIL = ("fulfil", {"request": 7, "user": 1, "amount": 5})
TRANSFER = ("transfer", {"source": 1, "target": 2, "amount": 5})

SET = ("set_field", {"agent": 3, "field": "model", "value": "large"})
SEVERAL = ("set_fields", {"agent": 3, "fields": {"preset": "precise", "temperature": 0.1}})
COUNT = ("increment", {"agent": 3, "field": "calls", "by": 2})

Operation = tuple[str, dict[str, Any]]


def test_three_scenarios_are_known() -> None:
    """Credits are conserved, those asked for by requests too; configurations are not."""
    users = ("users", "credits")
    assert {"credits": users, "requests": users, "config": ("configs", None)} == {
        name: (rules.relation, rules.conserved) for name, rules in RULES.items()
    }


@pytest.mark.parametrize(
    ("scenario", "operation", "keys"),
    [
        ("credits", DEDUCT, ("1",)),
        ("credits", GRANT, ("1",)),
        ("credits", TRANSFER, ("1", "2")),
        ("requests", FULFIL, ("1",)),
        ("config", SET, ("3",)),
        ("config", SEVERAL, ("3",)),
        ("config", COUNT, ("3",)),
    ],
)
def test_an_operation_touches_the_rows_that_it_names(
    scenario: str, operation: Operation, keys: tuple[str, ...]
) -> None:
    """A transfer's source comes first."""
    assert keys == RULES[scenario].touches(*operation)


@pytest.mark.parametrize(
    ("operation", "key", "expected"),
    [
        (DEDUCT, "1", 15),
        (GRANT, "1", 25),
        (FULFIL, "1", 25),
        (FULFIL, "2", None),
        (TRANSFER, "1", 15),
        (TRANSFER, "2", 25),
        (DEDUCT, "2", None),
        (TRANSFER, "3", None),
    ],
)
def test_credits_change_by_the_amount(operation: Operation, key: str, expected: int | None) -> None:
    """Other columns stay as they were; other rows are no concern of the operation."""
    before = {"id": 9, "credits": 20}
    wanted = None if expected is None else {"id": 9, "credits": expected}
    assert wanted == RULES["requests"].change(*operation, key, before)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (SET, {**CONFIG, "model": "large"}),
        (SEVERAL, {**CONFIG, "preset": "precise", "temperature": 0.1}),
        (COUNT, {**CONFIG, "calls": 2}),
    ],
)
def test_configurations_change_in_the_fields_named(operation: Operation, expected: dict[str, Any]) -> None:
    """Every other field and column stays as it was; other rows are no concern of the operation."""
    before = {"id": 3, "config": CONFIG}
    assert {"id": 3, "config": expected} == RULES["config"].change(*operation, "3", before)
    assert RULES["config"].change(*operation, "4", before) is None
    assert {"id": 3, "config": {**CONFIG, "calls": 9}} == RULES["config"].change(
        "increment", {"agent": 3, "field": "calls", "by": 4}, "3", {"id": 3, "config": {**CONFIG, "calls": 5}}
    )


def test_a_kind_that_nobody_knows_is_no_configurations() -> None:
    """Its change can't be told, and the error names it."""
    with pytest.raises(KeyError, match="multiply"):
        configs.change("multiply", {"agent": 3}, "3", {"id": 3, "config": CONFIG})


@pytest.mark.parametrize(
    ("operation", "expected"), [(DEDUCT, ("1", 5)), (TRANSFER, ("1", 5)), (GRANT, None), (FULFIL, None)]
)
def test_who_takes_credits_needs_them(operation: Operation, expected: tuple[str, int] | None) -> None:
    """From the user, or from a transfer's source."""
    assert expected == RULES["credits"].demand(*operation)


def test_an_operation_that_was_asked_for_names_its_request() -> None:
    """Beside what it grants."""
    assert "grant 5 to users/1 for request 7" == RULES["requests"].words(*FULFIL)


def test_configurations_need_no_level() -> None:
    """Their level is 0 and nothing demands more."""
    rules = RULES["config"]
    assert [None, None, None] == [rules.demand(*operation) for operation in (SET, SEVERAL, COUNT)]
    assert [0, 0] == [rules.level({"config": CONFIG}), rules.flow(*COUNT)]


@pytest.mark.parametrize(("operation", "expected"), [(DEDUCT, -5), (GRANT, 5), (FULFIL, 5), (TRANSFER, 0)])
def test_operations_change_the_sum_of_credits(operation: Operation, expected: int) -> None:
    """A transfer doesn't."""
    assert expected == RULES["credits"].flow(*operation)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"credits": 0}, None),
        ({"credits": 7}, None),
        ({"credits": -1}, "credits are below zero"),
        ({"credits": True}, "credits are no whole number"),
        ({"credits": 1.5}, "credits are no whole number"),
        ({}, "credits are no whole number"),
    ],
)
def test_credits_are_whole_and_not_below_zero(state: dict[str, Any], expected: str | None) -> None:
    """The fault says which of the two is broken."""
    assert expected == users.fault(state)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"temperature": 0.3}, None),
        ({"temperature": 0.7}, None),
        ({"preset": "precise", "temperature": 0}, None),
        ({"preset": "creative", "temperature": 0.7}, None),
        ({"preset": "creative", "temperature": 2}, None),
        ({"preset": "creative", "temperature": 2.5}, "config.temperature must be smaller than or equal to 2"),
        ({"preset": "precise", "temperature": -1}, "config.temperature must be bigger than or equal to 0"),
        ({"preset": "precise", "temperature": "low"}, "config.temperature must be number"),
        ({"preset": "precise"}, "config.temperature must be smaller than or equal to 0.3"),
        ({"temperature": 0.2}, "config.temperature must be bigger than or equal to 0.3"),
        ({"temperature": 0.8}, "config.temperature must be smaller than or equal to 0.7"),
        ({"preset": "creative", "temperature": 0.5}, "config.temperature must be bigger than or equal to 0.7"),
        ({"model": "huge"}, "config.model must be one of ['small', 'medium', 'large']"),
        ({"preset": "wild"}, "config.preset must be one of ['precise', 'balanced', 'creative']"),
        ({"max_tokens": 1}, None),
        ({"max_tokens": 0}, "config.max_tokens must be bigger than or equal to 1"),
        ({"max_tokens": 8193}, "config.max_tokens must be smaller than or equal to 8192"),
        ({"max_tokens": "many"}, "config.max_tokens must be integer"),
        ({"tools": "search"}, "config.tools must be array"),
        ({"tools": [1]}, "config.tools[0] must be string"),
        ({"tools": ["a", "a"]}, "config.tools must contain unique items"),
        ({"enabled": 1}, "config.enabled must be boolean"),
        ({"calls": -1}, "config.calls must be bigger than or equal to 0"),
        ({"calls": "data"}, "config.calls must be integer"),
        ({"more": 1}, "config must not contain {'more'} properties"),
        ({"data": 1}, "config must not contain {'data'} properties"),
    ],
)
def test_a_configurations_fault_names_the_field(change: dict[str, Any], expected: str | None) -> None:
    """And what it must be."""
    assert expected == configs.fault({"id": 1, "config": {**CONFIG, **change}})


@pytest.mark.parametrize("name", [name for name in CONFIG if name != "preset"])
def test_a_configuration_without_a_field_says_what_it_must_contain(name: str) -> None:
    """The field that is missing."""
    config = {key: value for key, value in CONFIG.items() if key != name}
    assert f"config must contain ['{name}'] properties" == configs.fault({"config": config})


def test_a_configuration_without_several_fields_says_all_of_them() -> None:
    """Its preset and what that bounds, here."""
    config = {name: value for name, value in CONFIG.items() if name not in ("preset", "temperature")}
    assert "config must contain ['preset', 'temperature'] properties" == configs.fault({"config": config})


def test_a_state_without_a_configuration_has_a_fault() -> None:
    """Nothing is no object."""
    assert "config must be object" == configs.fault({"id": 1})


def test_a_level_is_kept_within_64_bits() -> None:
    """A state that has none gets what is asked for."""
    rules = RULES["credits"]
    states: list[Any] = [{"credits": 7}, {"credits": 2**70}, {"credits": -(2**70)}]
    assert [7, 2**63 - 1, -(2**63) + 1] == [level_of(rules, state, 3) for state in states]
    assert [3, 3, 3] == [level_of(rules, state, 3) for state in ({}, [1], {"credits": "x"})]
    assert 2**63 - 1 == ABSENT
