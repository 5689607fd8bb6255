"""Which attempts provably met another worker's attempt on a row: what a VALID verdict is earned with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.arrays import holds, pairs
from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.columns import SERIALIZATION, VERSION

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.updates import Reads


def workers(columns: Columns) -> Ints:
    """Each attempt's worker: its slot in eager mode and in pools of threads, its process otherwise."""
    attempts = columns.attempts
    threads = [process for process, about in columns.processes.items() if about[3] == "threads"]
    by_slot = np.isin(attempts.process, threads) | (columns.meta.mode == "eager")
    return pairs(attempts.process, np.where(by_slot, attempts.slot, 0)) if len(by_slot) else attempts.slot


def overlapping(columns: Columns, reads: Reads) -> Flags:
    """Attempts that touched a row while another worker's was open on it, or that prove it without a clock."""
    attempts = columns.attempts
    result = np.zeros(len(attempts.token), dtype=np.bool_)
    worker = workers(columns)
    if not len(worker) or worker.max() == 0:
        return result
    attempt, row, start, end = _windows(columns)
    everyone = _meeting(row, start, end)
    own = _meeting(pairs(row, worker[attempt]), start, end)
    result[attempt[everyone > own]] = True
    # A stale read, a failed version check and a 40001 each need another's commit within the attempt.
    stale = columns.effects.attempt[reads.stale]
    result[stale[stale >= 0]] = True
    return result | np.isin(attempts.reason, (VERSION, SERIALIZATION))


def _windows(columns: Columns) -> tuple[Ints, Ints, Ints, Ints]:
    """Attempt, row, and the time between first touching the row and COMMIT's answer that no clock error can deny."""
    accesses, attempts = columns.accesses, columns.attempts
    known = np.flatnonzero((accesses.attempt >= 0) & holds(attempts.end >= 0, accesses.attempt))
    order = known[np.lexsort((accesses.at[known], accesses.row[known], accesses.attempt[known]))]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (np.diff(accesses.attempt[order]) != 0) | (np.diff(accesses.row[order]) != 0)
    chosen = order[first]
    attempt = accesses.attempt[chosen]
    start, end = accesses.at[chosen], attempts.end[attempt]
    if not one_clock(columns):
        start, before = to_database(columns, attempts.process[attempt], start)
        end, after = to_database(columns, attempts.process[attempt], end)
        start, end = start + before, end - after
        bounded = (before < UNBOUNDED) & (after < UNBOUNDED)
        end = np.where(bounded, end, start)
    proven = start < end
    return attempt[proven], accesses.row[chosen][proven], start[proven], end[proven]


def _meeting(group: Ints, start: Ints, end: Ints) -> Ints:
    """How many windows of its group each window shares a moment with, itself included."""
    _, ranks = np.unique(np.concatenate([start, end]), return_inverse=True)
    span = np.int64(len(ranks) + 1)
    starts, ends = group * span + ranks[: len(start)], group * span + ranks[len(start) :]
    begun = np.searchsorted(np.sort(starts), ends, side="left")
    over = np.searchsorted(np.sort(ends), starts, side="right")
    return begun - over
