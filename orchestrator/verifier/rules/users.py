"""Users with credits: deduct, grant, transfer, fulfil; never below zero, nothing is made or lost on the way."""

from __future__ import annotations

from typing import Any, Final

#: The parameters that name rows, by kind; where credits are taken, the first one gives them.
_NAMED: Final = {"deduct": ("user",), "grant": ("user",), "transfer": ("source", "target"), "fulfil": ("user",)}
#: Kinds that only give, which nothing can be wanting for.
_GIVES: Final = ("grant", "fulfil")


def touches(kind: str, params: dict[str, Any]) -> tuple[str, ...]:
    """The user; both users of a transfer."""
    return tuple(str(params[name]) for name in _NAMED[kind])


def change(kind: str, params: dict[str, Any], key: str, before: dict[str, Any]) -> dict[str, Any] | None:
    """The user with more or fewer credits; every other column as it was."""
    if key not in touches(kind, params):
        return None
    amount = params["amount"]
    takes = kind == "deduct" or (kind == "transfer" and key == str(params["source"]))
    return {**before, "credits": before["credits"] + (-amount if takes else amount)}


def level(state: dict[str, Any]) -> int:
    """Credits."""
    return int(state["credits"])


def demand(kind: str, params: dict[str, Any]) -> tuple[str, int] | None:
    """A deduction or transfer needs its amount; what only gives needs nothing."""
    if kind in _GIVES:
        return None
    return touches(kind, params)[0], params["amount"]


def fault(state: dict[str, Any]) -> str | None:
    """Credits are a whole number of 0 or more."""
    amount = state.get("credits")
    if not isinstance(amount, int) or isinstance(amount, bool):
        return "credits are no whole number"
    return "credits are below zero" if amount < 0 else None


def flow(kind: str, params: dict[str, Any]) -> int:
    """What only gives adds to the sum of all credits, a deduction takes from it, a transfer does neither."""
    signs = {"grant": 1, "fulfil": 1, "deduct": -1, "transfer": 0}
    return int(signs[kind] * params["amount"])


def words(kind: str, params: dict[str, Any]) -> str:
    """The operation as people say it."""
    amount = params["amount"]
    if kind == "transfer":
        return f"transfer {amount} from users/{params['source']} to users/{params['target']}"
    if kind == "fulfil":
        return f"grant {amount} to users/{params['user']} for request {params['request']}"
    return f"{kind} {amount} {'to' if kind == 'grant' else 'from'} users/{params['user']}"
