"""Applied once: what one token changed in one transaction is an application, and no operation has two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import pairs
from orchestrator.verifier.durations import owners
from orchestrator.verifier.verdict import Named, Witness
from orchestrator.verifier.words import attempt, counted, judged, operation, row_of, shown

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.verdict import Check

_ANOMALY: Final = "applied-twice"


def applied_once(facts: Facts) -> Check:
    """No operation has more than one application: effects of two transactions or of two attempts."""
    columns = facts.columns
    owner, first = _applications(columns)
    counts = np.bincount(owner[owner >= 0], minlength=len(columns.operations.number))
    twice = np.flatnonzero(counts > 1)
    summary = f"{counted(len(first), 'application')} of {counted(int((counts > 0).sum()), 'operation')}"
    if len(twice):
        summary += f"; {counted(len(twice), 'operation')} applied more than once"
    found = {place: first[slice(*np.searchsorted(owner, (place, place + 1)))] for place in twice.tolist()}
    return judged(
        "applied once",
        len(twice),
        summary,
        shown(twice, lambda place: _witness(columns, place, found[place])),
        tuple(_named(columns, place, effects) for place, effects in found.items()),
    )


def _applications(columns: Columns) -> tuple[Ints, Ints]:
    """Operation and first effect of each application, an operation's in the order of time."""
    owner, effects = owners(columns), columns.effects
    if not len(owner):
        return owner, owner
    _, first = np.unique(pairs(effects.token, effects.txid), return_index=True)
    first = first[np.lexsort((effects.at_us[first], owner[first]))]
    return owner[first], first


def _witness(columns: Columns, place: int, applications: Ints) -> Witness:
    effects, some = columns.effects, applications[:2].tolist()
    stories = [
        f"{name} ({attempt(columns, int(effects.attempt[at]))}) changed {row_of(columns, at)} at seq"
        f" {effects.seq[at]} in transaction {effects.txid[at]}"
        for name, at in zip("AB", some, strict=True)
    ]
    times = "twice" if len(applications) == len(some) else f"{len(applications):,} times"
    sentence = f"{operation(columns, place).capitalize()} was applied {times}: {', and '.join(stories)}."
    cause = _cause(columns, *some)
    return Witness(
        anomaly=_ANOMALY,
        sentence=f"{sentence} {cause[:1].upper()}{cause[1:]}.",
        attempts=tuple(effects.token[some].tolist()),
        operations=(int(columns.operations.number[place]),),
    )


def _named(columns: Columns, place: int, applications: Ints) -> Named:
    note = _cause(columns, *applications[:2].tolist())
    return Named(operation=int(columns.operations.number[place]), anomaly=_ANOMALY, note=note)


def _cause(columns: Columns, first: int, second: int) -> str:
    """How the second application came about, as far as its attempt tells."""
    effects, attempts = columns.effects, columns.attempts
    one, other = int(effects.attempt[first]), int(effects.attempt[second])
    if effects.token[first] == effects.token[second]:
        return "both transactions are one attempt's"
    if other < 0:
        return "the second one's attempt is not in the history"
    if attempts.redelivered[other]:
        return "the second one ran a redelivery"
    if attempts.ordinal[other] > 1 and one >= 0:
        return f"the second one was attempt {attempts.ordinal[other]} of its delivery: a retry"
    return "the second one ran a message that was not marked as redelivered"
