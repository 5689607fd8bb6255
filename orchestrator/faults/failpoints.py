"""Faults within the task's path: they travel in every message's settings, and the worker strikes itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.faults.durations import seconds
from orchestrator.faults.model import Kind
from worker.contract import Action, Failpoint, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.faults.model import Planned

#: Operations are numbered from 0; several are joined by "+".
_OPERATIONS: Final = re.compile(r"[0-9]{1,9}(\+[0-9]{1,9})*")
_ALWAYS: Final = {"yes": True, "no": False}
#: A worker takes no message that asks for more, seconds.
_MOST_DELAY: Final = 3_600.0


def failpoints(planned: Iterable[Planned]) -> tuple[Failpoint, ...]:
    """Give the plan's failpoints, as the workers' settings carry them."""
    return tuple(_MADE_BY[each.name](each) for each in planned if each.name in _MADE_BY)


def unstruck(planned: Iterable[Planned], struck: Mapping[str, NDArray[np.bool_]]) -> list[str]:
    """List the entries that struck none of their operations; `struck` says, by failpoint, which operations were."""
    return [each.text for each in planned if each.name in _MADE_BY and not _met(_MADE_BY[each.name](each), struck)]


def _met(failpoint: Failpoint, struck: Mapping[str, NDArray[np.bool_]]) -> bool:
    found = struck.get(f"{failpoint.where}:{failpoint.action}")
    if found is None:
        return False
    named = [operation for operation in failpoint.operations if operation < len(found)]
    return bool(found[named].any()) or failpoint.probability > 0


def _failpoint(planned: Planned) -> Failpoint:
    options = planned.options
    if len(planned.targets) != 1:
        raise UsageError(f"Fault «{planned.text}»: a failpoint lies at one point; write one of {', '.join(Where)}.")
    if "operation" not in options and "probability" not in options:
        raise UsageError(f"Fault «{planned.text}»: say what it strikes: operation=5, or probability=0.01.")
    action = Action(_one_of(planned, "action", options.get("action", ""), Action))
    if (action is Action.DELAY) != ("delay" in options):
        raise UsageError(f"Fault «{planned.text}»: delay= belongs to action=delay, and action=delay needs it.")
    delay = seconds(options["delay"], "delay", planned.text) if "delay" in options else 0.0
    if delay > _MOST_DELAY:
        raise UsageError(f"Fault «{planned.text}»: delay={options['delay']} is longer than an hour.")
    return Failpoint(
        where=Where(_one_of(planned, "point", planned.targets[0], Where)),
        action=action,
        operations=_operations(planned),
        probability=_probability(planned),
        always=_ALWAYS[_one_of(planned, "always", options.get("always", "no"), _ALWAYS)],
        delay_ms=delay * 1_000,
    )


def _poison(planned: Planned) -> Failpoint:
    """An operation that kills whoever takes it, each time."""
    if "operation" not in planned.options:
        raise UsageError(f"Fault «{planned.text}»: say which operation is poison: operation=7.")
    return Failpoint(where=Where.AFTER_READ, action=Action.KILL, operations=_operations(planned), always=True)


def _one_of(planned: Planned, name: str, given: str, known: Iterable[StrEnum] | Mapping[str, bool]) -> str:
    names = [str(each) for each in known]
    if given not in names:
        raise UsageError(
            f"Fault «{planned.text}»: {name} {given or 'is missing: it'} must be one of {', '.join(names)}."
        )
    return given


def _operations(planned: Planned) -> tuple[int, ...]:
    given = planned.options.get("operation")
    if given is None:
        return ()
    if not _OPERATIONS.fullmatch(given):
        raise UsageError(f"Fault «{planned.text}»: operation={given} names no operation; write operation=5 or 5+17.")
    return tuple(int(number) for number in given.split("+"))


def _probability(planned: Planned) -> float:
    given = planned.options.get("probability")
    if given is None:
        return 0.0
    if not re.fullmatch(r"0?\.[0-9]{1,9}|[01](\.0{1,9})?", given):
        raise UsageError(f"Fault «{planned.text}»: probability={given} is no number from 0 to 1.")
    return float(given)


_MADE_BY: Final = {"failpoint": _failpoint, "poison": _poison}

FAULTS: Final[Mapping[str, Kind]] = {
    "failpoint": Kind(
        build=None,
        options={
            "action": "(must be given)",
            "operation": "(none, then probability must be given)",
            "probability": "0",
            "always": "no",
            "delay": "(must be given with action=delay)",
        },
        targets="point",
        help=f"strikes a task at a point ({', '.join(Where)}), by action={'|'.join(Action)}",
        check=_failpoint,
    ),
    "poison": Kind(
        build=None,
        options={"operation": "(must be given)"},
        help="an operation kills the process that runs it, each time it is delivered",
        check=_poison,
    ),
}
