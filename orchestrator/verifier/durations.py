"""How long operations took, from the first attempt's start to the settling, and how well that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.arrays import NONE, at, per
from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.settling import FAIL, OK

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts


@dataclass(frozen=True, kw_only=True, eq=False)
class Durations:
    """Of settled operations that were attempted, nanoseconds."""

    #: Places of the operations, rising.
    operation: Ints
    length: Ints
    #: How far off the length may be; UNBOUNDED where no clock tells.
    error: Ints


def durations(facts: Facts) -> Durations:
    """Settled is an operation when its settling attempt ended, or by its last effect where no end was recorded."""
    columns, settled = facts.columns, facts.settled
    first = first_attempts(columns)
    # What failed since nobody asked for it was settled by no attempt, so at no time.
    done = ((settled.operations == OK) | ((settled.operations == FAIL) & (settled.by >= 0))) & (first >= 0)
    ended = at(columns.attempts.end, settled.by) >= 0
    within, after = np.flatnonzero(done & ended), np.flatnonzero(done & ~ended)
    lengths = [_by_attempts(columns, first[within], settled.by[within]), _by_effects(columns, first, after)]
    operation, length, error = (np.concatenate(parts) for parts in ((within, after), *zip(*lengths, strict=True)))
    error = np.where(_unordered(columns)[operation], UNBOUNDED, error)
    order = np.argsort(operation)
    return Durations(operation=operation[order], length=np.maximum(length[order], 0), error=error[order])


def first_attempts(columns: Columns) -> Ints:
    """Each operation's attempt that started first, by the database clock where several processes tried; or -1."""
    attempts = columns.attempts
    start = attempts.start if one_clock(columns) else to_database(columns, attempts.process, attempts.start)[0]
    return _chosen(columns, -start)


def last_attempts(columns: Columns) -> Ints:
    """Each operation's attempt that started last, likewise."""
    attempts = columns.attempts
    start = attempts.start if one_clock(columns) else to_database(columns, attempts.process, attempts.start)[0]
    return _chosen(columns, start)


def _chosen(columns: Columns, rank: Ints) -> Ints:
    """Each operation's attempt of the highest rank; -1 where it has none."""
    owner = columns.attempts.operation
    planned = np.flatnonzero(owner >= 0)
    order = planned[np.argsort(rank[planned], kind="stable")]
    result = np.full(len(columns.operations.number), NONE, dtype=np.int64)
    result[owner[order]] = order  # of several, the last stays
    return result


def _unordered(columns: Columns) -> Flags:
    """Operations that several processes attempted, one of them without a clock: nobody knows which one was first."""
    attempts, size = columns.attempts, len(columns.operations.number)
    if one_clock(columns):
        return np.zeros(size, dtype=np.bool_)
    _, errors = to_database(columns, attempts.process, attempts.start)
    other = attempts.process != at(attempts.process, at(first_attempts(columns), attempts.operation))
    several: Flags = per(attempts.operation, other, size) > 0
    return several & (per(attempts.operation, errors >= UNBOUNDED, size) > 0)


def _by_attempts(columns: Columns, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Length and error from one attempt's start to another's end."""
    attempts = columns.attempts
    start, end, error = attempts.start[first], attempts.end[last], np.zeros(len(first), dtype=np.int64)
    if not one_clock(columns):
        # Within one process the local clock is exact; between two, both ends go to the database clock.
        across = np.flatnonzero(attempts.process[first] != attempts.process[last])
        start[across], unsure = to_database(columns, attempts.process[first][across], start[across])
        end[across], also = to_database(columns, attempts.process[last][across], end[across])
        error[across] = np.minimum(unsure + also, UNBOUNDED)
    return end - start, error


def _by_effects(columns: Columns, first: Ints, operations: Ints) -> tuple[Ints, Ints]:
    """Length and error from the first attempt's start to the last effect: what is left of an attempt without end."""
    attempts, effects = columns.attempts, columns.effects
    owner = owners(columns)
    known = owner >= 0
    last = np.zeros(len(columns.operations.number), dtype=np.int64)
    np.maximum.at(last, owner[known], effects.at_us[known] * 1000)
    chosen = first[operations]
    start, error = to_database(columns, attempts.process[chosen], attempts.start[chosen])
    return last[operations] - start, error


def owners(columns: Columns) -> Ints:
    """Each effect's operation: that of its attempt, or else what its session carried; -1 where none is known."""
    effects = columns.effects
    owner = at(columns.attempts.operation, effects.attempt)
    return np.where(owner >= 0, owner, effects.operation)
