"""Merges attempts to operations: what became of each, never guessed (design: Settling)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import NONE, at, per
from orchestrator.verifier.clocks import to_database
from orchestrator.verifier.columns import NO_REQUEST

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns

#: Outcomes of an operation, by code; the first three are those of an attempt.
OUTCOMES: Final = ("ok", "fail", "info", "lost", "unpublished")
OK, FAIL, INFO, LOST, UNPUBLISHED = range(5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """What became of every operation and, with the effects known, of every attempt."""

    #: Per attempt, merged with its effects and with what is known of its backend.
    attempts: Ints
    #: Per attempt: how many effects name its token.
    effects: Ints
    #: Per operation.
    operations: Ints
    #: Per operation that failed: why its last attempt with a final end did, or that nobody asked for it; -1 otherwise.
    reason: Ints
    #: Per operation that is ok or failed: the attempt that settled it; -1 where only an effect, or no request, tells.
    by: Ints

    def count(self, outcome: int) -> int:
        """How many operations ended so."""
        return int(np.count_nonzero(self.operations == outcome))


def settle(columns: Columns) -> Settled:
    """Any ok makes an operation ok; an effect makes its attempt ok; info stays info until its backend has ended."""
    attempts, size = columns.attempts, len(columns.operations.number)
    known = columns.effects.attempt
    effects = np.bincount(known[known >= 0], minlength=len(attempts.token))
    merged = _merge(columns, effects)
    operations = _outcomes(columns, merged, size)
    by = np.full(size, NONE, dtype=np.int64)
    for outcome, settling in ((OK, merged == OK), (FAIL, attempts.final & (attempts.end >= 0))):
        last = _last_of(columns, settling, first=outcome == OK)
        by = np.where(operations == outcome, _assigned(attempts.operation, last, size), by)
    failed = operations == FAIL
    reason = np.where(failed & (by == NONE), NO_REQUEST, at(attempts.reason, np.where(failed, by, NONE)))
    return Settled(attempts=merged, effects=effects, operations=operations, reason=reason, by=by)


def _merge(columns: Columns, effects: Ints) -> Ints:
    attempts = columns.attempts
    merged = attempts.outcome.copy()
    merged[effects > 0] = OK
    merged[(merged == INFO) & attempts.backend_ended] = FAIL
    return merged


def _outcomes(columns: Columns, merged: Ints, size: int) -> Ints:
    """The table of outcomes, weakest claim first; each line overrules those above it."""
    attempts, effects = columns.attempts, columns.effects

    def some(chosen: Flags) -> Flags:
        return per(attempts.operation, chosen, size) > 0

    settled = some(attempts.final & (attempts.end >= 0))
    confirmed = columns.operations.confirmed
    orphans = per(effects.operation, effects.attempt < 0, size) > 0
    result = np.full(size, INFO, dtype=np.int64)
    result[~confirmed & ~some(attempts.token >= 0)] = UNPUBLISHED
    result[confirmed & ~settled & columns.meta.drained] = LOST
    # Where the request was rolled back nobody asked for anything: what was not published, or is lost, was not owed.
    result[(columns.operations.requested == 0) & columns.meta.drained] = FAIL
    result[settled] = FAIL
    result[some(merged == INFO)] = INFO
    result[some(merged == OK) | orphans] = OK
    return result


def _last_of(columns: Columns, chosen: Flags, *, first: bool) -> Ints:
    """The chosen attempts in the order of their ends, so that the wanted one of each operation comes last."""
    attempts = columns.attempts
    members = np.flatnonzero(chosen & (attempts.operation >= 0))
    ends, _ = to_database(columns, attempts.process[members], attempts.end[members])
    ends[attempts.end[members] < 0] = np.iinfo(np.int64).max if first else 0
    order = members[np.argsort(ends, kind="stable")]
    return order[::-1] if first else order


def _assigned(operation: Ints, attempts: Ints, size: int) -> Ints:
    result = np.full(size, NONE, dtype=np.int64)
    result[operation[attempts]] = attempts  # of several, the last stays
    return result
