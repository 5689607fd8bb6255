"""Which operations provably needed longer than was asked for, by clocks whose errors are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.arrays import NONE, at
from orchestrator.verifier.clocks import UNBOUNDED, to_database
from orchestrator.verifier.durations import first_attempts
from orchestrator.verifier.settling import LOST

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts


@dataclass(frozen=True, kw_only=True, eq=False)
class Overdue:
    """Per operation, held to a bound."""

    #: It was settled too late, or never, although it had the time.
    late: Flags
    #: Not settled, or not surely in time: nobody can tell.
    undecided: Flags
    #: How long it took, or at least waited, nanoseconds; -1 where nobody knows.
    took: Ints


def overdue(facts: Facts, unsettled: Flags, bound_s: float | None, *, ended: bool) -> Overdue:
    """Hold the settled and the unsettled to a bound, if there is one; `ended`: the run's end left nothing to come."""
    size, settled = len(unsettled), facts.durations
    took = np.full(size, NONE, dtype=np.int64)
    known = settled.error < UNBOUNDED
    took[settled.operation[known]] = settled.length[known]
    late, undecided = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    if bound_s is None:
        return Overdue(late=late, undecided=undecided, took=took)
    bound = round(bound_s * 1e9)
    late[settled.operation] = settled.length - settled.error > bound
    undecided[settled.operation] = settled.length + settled.error > bound
    took[unsettled] = _waited(facts.columns)[unsettled]
    late |= unsettled & ended & ((facts.settled.operations == LOST) | (took > bound))
    return Overdue(late=late, undecided=(undecided | unsettled) & ~late, took=took)


def _waited(columns: Columns) -> Ints:
    """Per operation: from its first attempt to the run's end, at least; -1 where that isn't known.

    One without an attempt was published before those of higher numbers, so before the first attempt of any of them.
    """
    attempts, never = columns.attempts, np.iinfo(np.int64).max
    times, errors = to_database(columns, attempts.process, attempts.start)
    first = first_attempts(columns)
    since = at(np.where(errors < UNBOUNDED, times + errors, never), first, never)
    since = np.where(first >= 0, since, np.minimum.accumulate(since[::-1])[::-1])
    end = _end(columns)
    return np.where(since < never, np.maximum(end - np.minimum(since, end), 0), NONE)


def _end(columns: Columns) -> int:
    """A moment at which the run still went on, as late as is known; nanoseconds of the database's clock."""
    meta, attempts = columns.meta, columns.attempts
    moments = [int(columns.effects.at_us.max(initial=0)) * 1000]
    limit = meta.profile.get("timeout")
    if meta.timed_out and isinstance(limit, int | float):
        moments.append(meta.began_us * 1000 + round(limit * 1e9))
    for local in (attempts.start, attempts.end):
        times, errors = to_database(columns, attempts.process, local)
        moments.append(int((times - errors)[(errors < UNBOUNDED) & (local >= 0)].max(initial=0)))
    return max(moments)
