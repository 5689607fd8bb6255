"""Accounting: every operation is settled once, and every effect belongs to an attempt of its operation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.arrays import at
from orchestrator.verifier.columns import DUPLICATE
from orchestrator.verifier.columns import FAIL as FAILED
from orchestrator.verifier.columns import OK as DONE
from orchestrator.verifier.settling import OK
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import attempt, counted, ending, judged, operation, row_of, shown

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts


def accounting(facts: Facts) -> Check:
    """Operations and tokens are unique, ok was applied, fail was not, and no effect is without an operation."""
    columns = facts.columns
    witnesses: list[Witness] = []
    found = 0
    for flagged, witness in (
        (_repeated(columns.operations.number), _numbered_twice),
        (_repeated(columns.attempts.token), _token_twice),
        (columns.attempts.operation < 0, _unplanned),
        (_ok_without_effect(facts), _unapplied),
        (_failed_with_effect(facts), _applied_though_failed),
        (_foreign_effects(columns), _foreign),
        (_refused_as_duplicate(facts), _never_applied),
    ):
        places = np.flatnonzero(flagged)
        found += len(places)
        witnesses += shown(places, partial(witness, columns))
    return _with_orphans(facts, found, witnesses)


def _repeated(ordered: Ints) -> Flags:
    result = np.zeros(len(ordered), dtype=np.bool_)
    result[1:] = np.diff(ordered) == 0
    return result


def _ok_without_effect(facts: Facts) -> Flags:
    unapplied: Flags = (facts.columns.attempts.outcome == DONE) & (facts.settled.effects == 0)
    return unapplied


def _failed_with_effect(facts: Facts) -> Flags:
    applied: Flags = (facts.columns.attempts.outcome == FAILED) & (facts.settled.effects > 0)
    return applied


def _foreign_effects(columns: Columns) -> Flags:
    """Effects of a known attempt whose session carried another operation than the attempt's."""
    effects = columns.effects
    owner = at(columns.attempts.operation, effects.attempt)
    foreign: Flags = (effects.attempt >= 0) & (owner != effects.operation)
    return foreign


def _refused_as_duplicate(facts: Facts) -> Flags:
    """Final attempts refused as duplicates of an application that does not exist."""
    attempts = facts.columns.attempts
    refused = attempts.final & (attempts.reason == DUPLICATE) & (attempts.operation >= 0)
    of_nothing: Flags = refused & (at(facts.settled.operations, attempts.operation) != OK) & facts.complete
    return of_nothing


def _with_orphans(facts: Facts, found: int, witnesses: list[Witness]) -> Check:
    """A change for no operation is a fault; one for an operation, by an attempt not heard of, shows a journal lost."""
    columns, effects = facts.columns, facts.columns.effects
    unheard = effects.attempt < 0
    strays = np.flatnonzero(unheard & ((effects.token == 0) | (effects.operation < 0)))
    found += len(strays)
    witnesses += shown(strays, lambda place: _orphan(columns, place))
    orphans = int(unheard.sum()) - len(strays)
    total = counted(len(columns.operations.number), "operation")
    summary = (
        f"{total}, {counted(len(columns.attempts.token), 'attempt')}, {counted(len(columns.effects.row), 'effect')}"
    )
    if orphans:
        summary += f"; {counted(orphans, 'effect')} of attempts that no gathered journal tells of"
    if orphans and not found:
        return Check(name="accounting", value=Value.UNKNOWN, summary=summary)
    summary += f"; {counted(found, 'contradiction')}" if found else "; all agree"
    return judged("accounting", found, summary, tuple(witnesses[:10]))


def _numbered_twice(columns: Columns, place: int) -> Witness:
    number = int(columns.operations.number[place])
    return Witness(
        anomaly="operation-twice", sentence=f"Operation {number} is in the plan twice.", operations=(number,)
    )


def _token_twice(columns: Columns, place: int) -> Witness:
    token = int(columns.attempts.token[place])
    sentence = f"Two attempts carry the token {token}; the second is {attempt(columns, place)}."
    return Witness(anomaly="token-twice", sentence=sentence, attempts=(token,))


def _unplanned(columns: Columns, place: int) -> Witness:
    token = int(columns.attempts.token[place])
    return Witness(
        anomaly="unplanned-attempt",
        sentence=f"Attempt {token} ran an operation that nobody planned.",
        attempts=(token,),
    )


def _unapplied(columns: Columns, place: int) -> Witness:
    sentence = f"A ran {attempt(columns, place)}, and ended ok, but changed no row: what it acknowledged is not there."
    return _of_attempt("ok-without-effect", columns, place, sentence)


def _applied_though_failed(columns: Columns, place: int) -> Witness:
    sentence = f"A ran {attempt(columns, place)}, and ended {ending(columns, place)}, but its changes are committed."
    return _of_attempt("fail-with-effect", columns, place, sentence)


def _never_applied(columns: Columns, place: int) -> Witness:
    sentence = f"A ran {attempt(columns, place)}, and was refused as a duplicate, but no application of it exists."
    return _of_attempt("duplicate-of-nothing", columns, place, sentence)


def _of_attempt(anomaly: str, columns: Columns, place: int, sentence: str) -> Witness:
    owner = int(columns.attempts.operation[place])
    operations = (int(columns.operations.number[owner]),) if owner >= 0 else ()
    tokens = (int(columns.attempts.token[place]),)
    return Witness(anomaly=anomaly, sentence=sentence, attempts=tokens, operations=operations)


def _foreign(columns: Columns, place: int) -> Witness:
    effects = columns.effects
    row = row_of(columns, place)
    sentence = (
        f"A ran {attempt(columns, int(effects.attempt[place]))}, but its change of {row} at seq {effects.seq[place]}"
        f" was made for {operation(columns, int(effects.operation[place]))}."
    )
    return Witness(anomaly="foreign-effect", sentence=sentence, attempts=(int(effects.token[place]),), row=row)


def _orphan(columns: Columns, place: int) -> Witness:
    effects, row = columns.effects, row_of(columns, place)
    token = int(effects.token[place])
    sentence = (
        f"{row} was changed at seq {effects.seq[place]} by {f'token {token}' if token else 'a session without a token'}"
        f" for {operation(columns, int(effects.operation[place]))}; no attempt of the run did that."
    )
    return Witness(anomaly="effect-without-attempt", sentence=sentence, attempts=(token,) if token else (), row=row)
