"""Lost updates: writes over a state that their attempt had not seen (Berenson et al. 1995, P4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.arrays import NONE, holds, locate, search

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Reads:
    """Per effect: what its attempt had read of the row before."""

    #: The newest seq below the effect's own that the attempt read; -1: it read none.
    seq: Ints
    #: The attempt's end was never recorded, so nobody knows what it read.
    unknown: Flags
    #: The attempt overwrote another's write that it had not seen.
    stale: Flags


def reads_of(columns: Columns) -> Reads:
    """Match every effect with its attempt's reads of that row."""
    effects = columns.effects
    seq = _newest_read(columns)
    foreign = _last_foreign(columns)
    stale = (seq >= 0) & (foreign >= 0) & (effects.seq[foreign] > seq) if len(foreign) else np.zeros(0, dtype=np.bool_)
    return Reads(seq=seq, unknown=~holds(columns.attempts.end >= 0, effects.attempt), stale=stale)


def superseded(columns: Columns) -> Flags:
    """Effects that their own transaction overwrote: nobody else may see them, and only the last one counts."""
    effects = columns.effects
    result = np.zeros(len(effects.row), dtype=np.bool_)
    result[:-1] = ~np.any([np.diff(column) != 0 for column in (effects.row, effects.token, effects.txid)], axis=0)
    return result


def _newest_read(columns: Columns) -> Ints:
    effects, accesses = columns.effects, columns.accesses
    reads = np.flatnonzero(~accesses.write & (accesses.seq >= 0) & (accesses.attempt >= 0))
    span = np.int64(len(columns.rows.keys) + 1)
    held = accesses.attempt[reads] * span + accesses.row[reads]
    order = np.lexsort((accesses.seq[reads], held))
    distinct, groups = np.unique(held[order], return_inverse=True)
    wanted = locate(distinct, np.where(effects.attempt >= 0, effects.attempt * span + effects.row, NONE))
    seqs = accesses.seq[reads][order]
    before = search(groups, seqs, np.maximum(wanted, 0), effects.seq) - 1
    found = (wanted >= 0) & (before >= 0)
    found[found] = groups[before[found]] == wanted[found]
    result = np.full(len(effects.row), NONE, dtype=np.int64)
    result[found] = seqs[before[found]]
    return result


def _last_foreign(columns: Columns) -> Ints:
    """Place of the row's last earlier effect by another attempt; -1 where there is none."""
    effects = columns.effects
    if not len(effects.row):
        return np.zeros(0, dtype=np.int64)
    new = np.ones(len(effects.row), dtype=np.bool_)
    new[1:] = (np.diff(effects.row) != 0) | (np.diff(effects.token) != 0)
    before = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0)) - 1
    return np.where((before >= 0) & (effects.row[before] == effects.row), before, NONE)
