"""Agents' configurations as JSON documents: set one field, set several, count a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from worker.scenarios.model import ONE, Kind, Scenario, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.sql.expression import ClauseElement

_JSON: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

#: What every configuration starts as.
INITIAL: Final = {
    "model": "small",
    "preset": "balanced",
    "temperature": 0.5,
    "max_tokens": 1024,
    "tools": ["search"],
    "enabled": True,
    "calls": 0,
}


def _agent(params: Mapping[str, Any]) -> tuple[int, ...]:
    return (params["agent"],)


def _set_field(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    return {params["agent"]: {**values[params["agent"]], params["field"]: params["value"]}}


def _set_fields(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    return {params["agent"]: {**values[params["agent"]], **params["fields"]}}


def _increment(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    old, field = values[params["agent"]], params["field"]
    return {params["agent"]: {**old, field: old[field] + params["by"]}}


def _steps(statement: str, bind: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:  # noqa: ANN401 - as in Kind.steps
    def steps(params: Mapping[str, Any], _dialect: str) -> tuple[Step, ...]:
        agent = params["agent"]
        return (Step(statement, {"key": agent, **bind(params)}, (agent,)),)

    return steps


def _atomic(configs: sa.Table, dialect: str) -> Mapping[str, ClauseElement]:
    old = configs.c.config
    patch = sa.bindparam("patch", type_=_JSON)
    field, by = sa.bindparam("field", type_=sa.Text()), sa.bindparam("by", type_=sa.BigInteger())
    merged: sa.ColumnElement[Any]
    counted: sa.ColumnElement[Any]
    if dialect == "postgresql":
        merged = old.op("||")(patch)
        number = sa.cast(old.op("->>")(field), sa.BigInteger) + by
        counted = sa.func.jsonb_set(old, postgresql.array([field]), sa.func.to_jsonb(number))
    else:
        path: sa.ColumnElement[str] = sa.literal_column("'$.'", sa.Text()) + field
        merged = sa.func.json_patch(old, patch)
        counted = sa.func.json_set(old, path, sa.func.json_extract(old, path) + by)
    return {"merge": _write(configs, merged), "increment": _write(configs, counted)}


def _write(configs: sa.Table, value: Any) -> sa.Update:  # noqa: ANN401 - a column expression
    values = {"config": value, "version": configs.c.version + ONE}
    return sa.update(configs).where(configs.c.id == sa.bindparam("key", type_=sa.BigInteger())).values(values)


CONFIG: Final = Scenario(
    name="config",
    relation="configs",
    column="config",
    type=_JSON,
    initial=INITIAL,
    kinds={
        "set_field": Kind(
            keys=_agent,
            change=_set_field,
            steps=_steps("merge", lambda params: {"patch": {params["field"]: params["value"]}}),
        ),
        "set_fields": Kind(
            keys=_agent, change=_set_fields, steps=_steps("merge", lambda params: {"patch": params["fields"]})
        ),
        "increment": Kind(
            keys=_agent,
            change=_increment,
            steps=_steps("increment", lambda params: {"field": params["field"], "by": params["by"]}),
        ),
    },
    atomic=_atomic,
)
