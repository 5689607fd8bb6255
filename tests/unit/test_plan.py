"""The plan: seeded, the same everywhere, within the rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import fastjsonschema
import pytest

from orchestrator.errors import UsageError
from orchestrator.plan import SCENARIOS, digest, line, plan
from orchestrator.profile import Profile

#: Pinned, so that every interpreter and machine that runs the suite proves that it plans the same.
DIGESTS = {
    "credits": "f82299a94eba9841047e6618fa9e586573b3af737ec3e5b04c68335d80f1e856",
    "requests": "9780514d87c18c054dca43511c5209ee5b027b3251befc8ea8f63b4f2acd2f43",
    "config": "de5223d51be7e89396e6f95175331a076b5a34ffc4999e732fbb6a2d329f6208",
}


def _profile(**changes: Any) -> Profile:  # noqa: ANN401 - a profile's keys
    return Profile(**{"operations": 2_000, "rows": 20, "skew": 1.1, "seed": 7, **changes})


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_digest_is_the_same_on_every_interpreter(scenario: str) -> None:
    """A profile and seed give one plan, for ever."""
    assert DIGESTS[scenario] == digest(_profile(), scenario)


def test_strategies_race_on_the_same_operations() -> None:
    """Nothing but scenario, seed, rows, skew and number decides the plan."""
    other = _profile(strategies=("naive",), isolation=("serializable",), per_message=5, nodes=7)
    assert digest(_profile(), "credits") == digest(other, "credits")


def test_seed_decides() -> None:
    """Another seed, another plan."""
    assert digest(_profile(), "credits") != digest(_profile(seed=8), "credits")


def test_longer_plan_begins_with_the_shorter() -> None:
    """The stream does not depend on where it ends."""
    longer = plan(_profile(operations=50), "config")
    assert [line(each) for each in plan(_profile(operations=20), "config")] == [
        line(each) for each, _ in zip(longer, range(20), strict=False)
    ]


def test_unknown_scenario_is_named_before_anything_is_drawn() -> None:
    """A wrong name is told when the plan is asked for."""
    with pytest.raises(UsageError, match="Unknown scenario loans; the scenarios are credits, config, requests"):
        plan(_profile(), "loans")


def test_requests_are_numbered_as_their_operations() -> None:
    """So that each task knows which row to look for."""
    assert [*range(20)] == [each.params["request"] for each in plan(_profile(operations=20), "requests")]


def test_no_operations_is_an_empty_plan() -> None:
    """Zero operations are planned as such."""
    assert [] == list(plan(_profile(operations=0), "credits"))


def test_credits_mix() -> None:
    """Half deduct, a quarter each grant and transfer."""
    kinds = Counter(each.kind for each in plan(_profile(operations=8_000), "credits"))
    assert {"deduct": 2, "grant": 1, "transfer": 1} == {kind: round(count / 2_000) for kind, count in kinds.items()}


@pytest.mark.parametrize(("operations", "rows"), [(400, 8), (4_000, 8), (400, 1), (3_000, 100)])
def test_refusals_happen_and_stay_rare(operations: int, rows: int) -> None:
    """Played one after another, more than none and less than a fifth of the operations are refused."""
    balances, refused = [100] * rows, 0
    for operation in plan(Profile(operations=operations, rows=rows), "credits"):
        params = operation.params
        source: int = params["source" if operation.kind == "transfer" else "user"]
        if operation.kind == "grant":
            balances[source] += params["amount"]
        elif balances[source] < params["amount"]:
            refused += 1
        else:
            balances[source] -= params["amount"]
            if operation.kind == "transfer":
                balances[params["target"]] += params["amount"]
    assert 0 < refused < operations / 5


def test_one_row_has_no_transfers() -> None:
    """A transfer needs two users."""
    assert {"deduct", "grant"} == {each.kind for each in plan(_profile(rows=1), "credits")}


@pytest.mark.parametrize("skew", [0.0, 0.5, 3.0])
def test_rows_exist_and_transfers_have_two(skew: float) -> None:
    """Keys go from 0 to rows - 1, and no transfer is from a user to itself."""
    profile = _profile(skew=skew, rows=5)
    for operation in plan(profile, "credits"):
        keys = [operation.params[name] for name in ("user", "source", "target") if name in operation.params]
        assert len(keys) == len(set(keys))
        assert all(0 <= key < 5 for key in keys)


def test_skew_makes_the_first_rows_popular() -> None:
    """With a Zipf exponent of 1, row 0 is drawn about twice as often as row 1."""
    drawn = Counter(each.params["agent"] for each in plan(_profile(operations=20_000, skew=1.0), "config"))
    assert 1.8 < drawn[0] / drawn[1] < 2.2


_SCHEMA = fastjsonschema.compile(
    {
        "properties": {
            "model": {"enum": ["small", "medium", "large"]},
            "preset": {"enum": ["precise", "balanced", "creative"]},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": 8192},
            "tools": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "enabled": {"type": "boolean"},
            "calls": {"type": "integer", "minimum": 0},
        },
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"preset": {"const": "precise"}}, "required": ["preset"]},
                "then": {"properties": {"temperature": {"maximum": 0.3}}},
            },
            {
                "if": {"properties": {"preset": {"const": "balanced"}}, "required": ["preset"]},
                "then": {"properties": {"temperature": {"minimum": 0.3, "maximum": 0.7}}},
            },
            {
                "if": {"properties": {"preset": {"const": "creative"}}, "required": ["preset"]},
                "then": {"properties": {"temperature": {"minimum": 0.7}}},
            },
        ],
    }
)


def test_configurations_stay_within_their_schema() -> None:
    """Whatever is set fits, alone or together with what it depends on."""
    for operation in plan(_profile(), "config"):
        params = operation.params
        if operation.kind == "increment":
            assert params["by"] > 0
            continue
        fields = params.get("fields") or {params["field"]: params["value"]}
        assert ("preset" in fields) == ("temperature" in fields)
        _SCHEMA(fields)
