"""Attempts, operations and changes in plain words, for witnesses."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.verifier.columns import OUTCOMES, REASONS
from orchestrator.verifier.states import rules_of
from orchestrator.verifier.verdict import Check, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.verdict import Named, Witness

#: Witnesses shown per check.
SHOWN: Final = 10

_LONGEST: Final = 160


def judged(
    name: str, found: int, summary: str, witnesses: tuple[Witness, ...] = (), named: tuple[Named, ...] = ()
) -> Check:
    """INVALID where something was found, VALID otherwise."""
    value = Value.INVALID if found else Value.VALID
    return Check(name=name, value=value, summary=summary, found=found, witnesses=witnesses, named=named)


def shown(places: Ints, witness: Callable[[int], Witness]) -> tuple[Witness, ...]:
    """Witnesses of the first few violations."""
    return tuple(witness(place) for place in places[:SHOWN].tolist())


def shown_of_each(*kinds: tuple[Ints, Callable[[int], Witness]]) -> tuple[Witness, ...]:
    """Witnesses of the first violation of each kind, then of the second of each, and so on."""
    rounds = zip_longest(*(shown(places, witness) for places, witness in kinds))
    return tuple(each for round_ in rounds for each in round_ if each is not None)[:SHOWN]


def counted(count: int, one: str, many: str | None = None) -> str:
    """The number with its noun: "1 effect", "2 effects"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def operation(columns: Columns, place: int) -> str:
    """An operation: operation 12 (deduct 5 from users/7)."""
    if place < 0:
        return "an operation that nobody planned"
    return f"operation {columns.operations.number[place]} ({_intent(columns, place)})"


def attempt(columns: Columns, place: int) -> str:
    """An attempt: operation 12 (deduct 5 from users/7) on node-1, pid 4711, slot 0."""
    if place < 0:
        return "a writer whose attempt is not in the history"
    attempts = columns.attempts
    process = int(attempts.process[place])
    node, _, pid, _ = columns.processes.get(process, ("an unknown node", "", "unknown", ""))
    who = operation(columns, int(attempts.operation[place]))
    return f"{who} on {node}, pid {pid}, slot {attempts.slot[place]}"


def ending(columns: Columns, place: int) -> str:
    """How an attempt ended: fail: insufficient."""
    if columns.attempts.end[place] < 0:
        return "no end recorded"
    reason = int(columns.attempts.reason[place])
    outcome = OUTCOMES[columns.attempts.outcome[place]]
    detail = columns.attempts.detail[place].as_py()
    return outcome if reason < 0 else f"{outcome}: {REASONS[reason]}{f' ({detail})' if detail else ''}"


def seconds(nanoseconds: float) -> str:
    """A duration: 7.312 s."""
    return f"{nanoseconds / 1e9:,.3f} s"


def values(columns: Columns, effect: int) -> tuple[str, str]:
    """The fields that an effect changed, before and after: credits 95, credits 90."""
    order = columns.effects.order[effect]
    before, after = (_document(text[order].as_py()) for text in (columns.effects.before, columns.effects.after))
    if before is None or after is None:
        return _words(before), _words(after)
    names = [name for name in {**before, **after} if before.get(name, _GONE) != after.get(name, _GONE)] or list(after)
    return _some(before, names), _some(after, names)


def row_of(columns: Columns, effect: int) -> str:
    """The row an effect changed: "users/7"."""
    return columns.rows.name(int(columns.effects.row[effect]))


_GONE: Final = object()


def _intent(columns: Columns, place: int) -> str:
    kind = columns.operations.kinds[columns.operations.kind[place]]
    params = columns.operations.params[place].as_py()
    rules = rules_of(columns)
    try:
        return rules.words(kind, msgspec.json.decode(params)) if rules else f"{kind} {params}"
    except (
        KeyError,
        TypeError,
        msgspec.DecodeError,
    ):  # parameters that the scenario doesn't know are shown as they are
        return f"{kind} {params}"


def _document(text: str | None) -> dict[str, Any] | None:
    """A row's fields in one level: a configuration's stand beside its id."""
    if text is None:
        return None
    value = msgspec.json.decode(text)
    if not isinstance(value, dict):
        return {"value": value}
    nested = value.pop("config", {})
    return {**value, **nested} if isinstance(nested, dict) else {**value, "config": nested}


def _some(document: dict[str, Any], names: list[str]) -> str:
    text = ", ".join(f"{name} {_plain(document[name])}" for name in names if name in document)
    return text[:_LONGEST] or "nothing"


def _words(document: dict[str, Any] | None) -> str:
    return "no row" if document is None else _some(document, list(document))


def _plain(value: Any) -> str:  # noqa: ANN401  # JSON
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
