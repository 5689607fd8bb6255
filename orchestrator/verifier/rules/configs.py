"""Agent configurations: set one field, change several, increment a counter; always fitting their schema."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import fastjsonschema

if TYPE_CHECKING:
    from collections.abc import Callable


def _preset(name: str, temperature: dict[str, float]) -> dict[str, Any]:
    return {"if": {"properties": {"preset": {"const": name}}}, "then": {"properties": {"temperature": temperature}}}


#: JSON Schema (draft 7) of a configuration, as docs/architecture.md puts it in words.
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["model", "preset", "temperature", "max_tokens", "tools", "enabled", "calls"],
    "properties": {
        "model": {"enum": ["small", "medium", "large"]},
        "preset": {"enum": ["precise", "balanced", "creative"]},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 8192},
        "tools": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "enabled": {"type": "boolean"},
        "calls": {"type": "integer", "minimum": 0},
    },
    "allOf": [
        _preset("precise", {"maximum": 0.3}),
        _preset("balanced", {"minimum": 0.3, "maximum": 0.7}),
        _preset("creative", {"minimum": 0.7}),
    ],
}


@cache
def _validate() -> Callable[[Any], Any]:
    """Compiled on first use, which takes longer than most runs' checks."""
    return fastjsonschema.compile(SCHEMA)


def touches(_kind: str, params: dict[str, Any]) -> tuple[str, ...]:
    """The agent."""
    return (str(params["agent"]),)


def change(kind: str, params: dict[str, Any], key: str, before: dict[str, Any]) -> dict[str, Any] | None:
    """The configuration with the named fields changed; every other field as it was."""
    if key != str(params["agent"]):
        return None
    old = before["config"]
    if kind == "increment":
        return {**before, "config": {**old, params["field"]: old[params["field"]] + params["by"]}}
    return {**before, "config": {**old, **_set(kind, params)}}


def level(_state: dict[str, Any]) -> int:
    """No operation is refused for want of anything."""
    return 0


def demand(_kind: str, _params: dict[str, Any]) -> tuple[str, int] | None:
    """No operation needs a level."""
    return None


def fault(state: dict[str, Any]) -> str | None:
    """The configuration fits its schema."""
    try:
        _validate()(state.get("config"))
    except fastjsonschema.JsonSchemaException as error:
        return str(error).replace("data", "config", 1)
    return None


def flow(_kind: str, _params: dict[str, Any]) -> int:
    """There is no sum to conserve."""
    return 0


def words(kind: str, params: dict[str, Any]) -> str:
    """The operation as people say it."""
    row = f"configs/{params['agent']}"
    if kind == "increment":
        return f"add {params['by']} to {params['field']} of {row}"
    fields = _set(kind, params)
    return f"set {', '.join(f'{name} to {value}' for name, value in fields.items())} in {row}"


def _set(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """The fields that an operation sets, and their values."""
    if kind == "set_field":
        return {params["field"]: params["value"]}
    if kind == "set_fields":
        return dict(params["fields"])
    raise KeyError(kind)
