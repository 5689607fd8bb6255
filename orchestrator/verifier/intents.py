"""Intents: each effect is its operation's planned change, applied to the state that the trigger saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import NONE, documents, pairs
from orchestrator.verifier.settling import OK
from orchestrator.verifier.states import FITS, STRAY, UNFIT, UNJUDGED, rules_of
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import attempt, counted, judged, operation, row_of, shown, values

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "intents"


def intents(facts: Facts) -> Check:
    """Every effect fits its operation, on a row that the operation names, and every application is whole."""
    columns, states = facts.columns, facts.states
    if rules_of(columns) is None:
        summary = f"the verifier knows no intents of scenario {columns.meta.scenario}"
        return Check(name=NAME, value=Value.UNKNOWN, summary=summary)
    unfit, stray = np.flatnonzero(states.fit == UNFIT), np.flatnonzero(states.fit == STRAY)
    half = _half(facts)
    found = len(unfit) + len(stray) + len(half)
    witnesses = (
        *shown(unfit, lambda place: _unfit(columns, place)),
        *shown(stray, lambda place: _stray(columns, place)),
        *shown(half, lambda place: _torn(columns, place)),
    )
    fits, unjudged = int((states.fit == FITS).sum()), int((states.fit == UNJUDGED).sum())
    summary = f"{fits:,} of {counted(len(states.fit), 'effect')} fit"
    if found:
        summary += (
            f"; {len(unfit):,} unfit, {len(stray):,} on a row not named, {counted(len(half), 'torn application')}"
        )
    if unjudged:
        summary += f"; {counted(unjudged, 'effect')} of no known operation"
    return judged(NAME, found, summary, witnesses[:10])


def _half(facts: Facts) -> Ints:
    """First effects of applications of ok operations that changed fewer rows than the operation names."""
    columns, effects = facts.columns, facts.columns.effects
    named = _rows_named(columns)
    known = np.flatnonzero(effects.operation >= 0)
    if not len(known):
        return known
    application = pairs(effects.operation[known], effects.token[known], effects.txid[known])
    _, first, of = np.unique(application, return_index=True, return_inverse=True)
    rows = np.bincount(
        of[np.unique(pairs(application, effects.row[known]), return_index=True)[1]], minlength=len(first)
    )
    owner = effects.operation[known][first]
    ok = facts.settled.operations[owner] == OK
    torn: Ints = known[first][ok & (rows < named[owner])]
    return torn


def _rows_named(columns: Columns) -> Ints:
    """How many rows each operation names."""
    rules, operations = rules_of(columns), columns.operations
    if rules is None:
        return np.zeros(len(operations.number), dtype=np.int64)
    everyone = np.arange(len(operations.number))
    kinds = (operations.kinds[kind] for kind in operations.kind.tolist())
    touched = zip(kinds, documents(operations.params, everyone), strict=True)
    return np.fromiter((len(set(rules.touches(kind, params))) for kind, params in touched), np.int64, len(everyone))


def _unfit(columns: Columns, place: int) -> Witness:
    before, after = values(columns, place)
    sentence = (
        f"A changed {row_of(columns, place)} at seq {columns.effects.seq[place]} from {before} to {after},"
        f" which is not what its operation asks for. A is {attempt(columns, int(columns.effects.attempt[place]))}."
    )
    return _witness(columns, place, "unfit-effect", sentence)


def _stray(columns: Columns, place: int) -> Witness:
    sentence = (
        f"A changed {row_of(columns, place)} at seq {columns.effects.seq[place]}, a row that its operation doesn't"
        f" name. A is {attempt(columns, int(columns.effects.attempt[place]))}."
    )
    return _witness(columns, place, "stray-effect", sentence)


def _torn(columns: Columns, place: int) -> Witness:
    effects = columns.effects
    sentence = (
        f"{operation(columns, int(effects.operation[place])).capitalize()} changed {row_of(columns, place)} at seq"
        f" {effects.seq[place]} in transaction {effects.txid[place]}, but not every row that it names."
    )
    return _witness(columns, place, "torn-application", sentence)


def _witness(columns: Columns, place: int, anomaly: str, sentence: str) -> Witness:
    effects = columns.effects
    owner = int(effects.operation[place])
    operations = (int(columns.operations.number[owner]),) if owner != NONE else ()
    row = row_of(columns, place)
    return Witness(
        anomaly=anomaly, sentence=sentence, attempts=(int(effects.token[place]),), operations=operations, row=row
    )
