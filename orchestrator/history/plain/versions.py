"""Versions as numbers without great gaps: what dependencies are worked out from has a slot for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from orchestrator.history.transactions import Int32s, Int64s

#: Slots that a micro-operation may cost, and those that any history may have.
_EACH: Final = 8
_ANY: Final = 1_000_000

#: Why version-gap isn't checked of versions that were numbered anew.
SPARSE: Final = "its versions are far apart, so they stand for an order alone"


@dataclass(frozen=True, kw_only=True, eq=False)
class Originals:
    """What versions were called before they were numbered anew."""

    #: Where each row's versions begin, and the versions in order: number 1 of row r was `version[begin[r]]`.
    begin: Int64s
    version: Int64s

    def of(self, row: int, rank: int) -> int:
        """What a version was called."""
        return int(self.version[self.begin[row] + rank - 1])


def dense(row: Int32s, version: Int64s | Int32s) -> tuple[Int32s, Originals | None]:
    """Keep versions that are near each other; number each row's others from 1, in their order."""
    if not _sparse(row, version):
        return version.astype(np.int32, copy=False), None
    known = np.flatnonzero(version > 0)
    order = known[np.lexsort((version[known], row[known]))]
    rows, versions = row[order], version[order].astype(np.int64)
    another = np.ones(len(order), dtype=np.bool_)
    another[1:] = (rows[1:] != rows[:-1]) | (versions[1:] != versions[:-1])
    place = np.cumsum(another) - 1
    begin = np.searchsorted(rows[another], np.arange(int(row.max()) + 2))
    ranked = version.astype(np.int64).clip(max=0).astype(np.int32)
    ranked[order] = place - begin[rows] + 1
    return ranked, Originals(begin=begin, version=versions[another])


def _sparse(row: Int32s, version: Int64s | Int32s) -> bool:
    if not len(version):
        return False
    allowed = _EACH * len(version) + _ANY
    highest, rows = int(version.max()), int(row.max()) + 1
    if rows * (highest + 1) <= allowed:
        return False
    top = np.zeros(rows, dtype=np.int64)
    np.maximum.at(top, row, version)
    return bool(float(top.sum(dtype=np.float64)) + rows > allowed)
