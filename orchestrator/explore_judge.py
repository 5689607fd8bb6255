"""Who judges the schedules of plain bodies: an invariant or the serial orders, errors, and waits without an end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator.controlled.arena import wants_argument
from orchestrator.errors import UsageError
from orchestrator.explorer.judging import (
    Anomaly,
    combine,
    errors_judge,
    invariant_judge,
    serial_judge,
    serial_outcome,
    serial_outcomes,
    stuck_judge,
)
from orchestrator.explorer.stories import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.controlled.arena import BodiesArena, Part
    from orchestrator.explorer.judging import Judge, Outcome
    from orchestrator.explorer.model import Execution

    Check = Callable[[Outcome], bool | str | None]

#: Bodies that have few enough serial orders to run them all.
_ORDERS: Final = 4
#: What a judge of outcomes says: that the outcome is wrong, not what happened.
_OUTCOMES: Final = ("invariant", "not serializable")
#: What happened, where it explains a wrong outcome.
_CAUSES: Final = (
    "lost update",
    "duplicate insert",
    "lost insert",
    "write skew",
    "done twice after a crash",
    "dirty read",
)


def judge_of(
    arena: BodiesArena | Part,
    invariant: Callable[..., bool | str | None] | None,
    allowed: tuple[type[Exception], ...],
    names: tuple[str, ...],
) -> Judge:
    """Make the judge of an arena's schedules."""
    if invariant is not None:
        outcomes = invariant_judge(_check_of(invariant), arena.columns())
    elif arena.workers <= _ORDERS:
        outcomes = serial_judge(serial_outcomes(arena))
    else:
        raise UsageError(f"{arena.workers} bodies have too many serial orders to compare with: give an invariant.")
    return _Explained(combine(stuck_judge(names), outcomes, errors_judge(allowed, names)), names)


def afresh(judge: Judge) -> Judge:
    """Give the judge that remembers nothing: it names what happened in the very schedule that it is shown."""
    return judge.afresh if isinstance(judge, _Explained) else judge


def _check_of(invariant: Callable[..., bool | str | None]) -> Check:
    if wants_argument(invariant):
        return invariant
    check = partial(_without_outcome, invariant)
    check.__name__ = getattr(invariant, "__name__", "invariant")  # type: ignore[attr-defined]  # a partial takes attributes
    return check


def _without_outcome(invariant: Callable[[], bool | str | None], _outcome: Outcome) -> bool | str | None:
    return invariant()


class _Explained:
    """Names a wrong outcome by what happened, where that is one of the known anomalies.

    Schedules of one outcome are named as the first of them is: telling costs more than running.
    """

    def __init__(self, judge: Judge, names: tuple[str, ...]) -> None:
        self._judge, self._names = judge, names
        self._causes: dict[str, Anomaly | None] = {}

    def __call__(self, execution: Execution) -> Sequence[Anomaly]:
        """Judge a schedule."""
        found = self._judge(execution)
        if not any(each.name in _OUTCOMES for each in found):
            return found
        outcome = repr(serial_outcome(execution))
        if outcome not in self._causes:
            self._causes[outcome] = self._cause(execution)
        return _named(found, self._causes[outcome])

    def afresh(self, execution: Execution) -> Sequence[Anomaly]:
        """Judge a schedule by what happened in itself."""
        found = self._judge(execution)
        return _named(found, self._cause(execution)) if any(each.name in _OUTCOMES for each in found) else found

    def _cause(self, execution: Execution) -> Anomaly | None:
        return next((each for each in tell(execution, self._names) if each.name in _CAUSES), None)


def _named(found: Sequence[Anomaly], cause: Anomaly | None) -> Sequence[Anomaly]:
    if cause is None:
        return found
    return tuple(
        Anomaly(cause.name, f"{cause.sentence} {each.sentence}", cause.witness) if each.name in _OUTCOMES else each
        for each in found
    )
