"""Versions as numbers without great gaps: what dependencies are worked out from has a slot for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from orchestrator.history.transactions import Bools, Int32s, Int64s

#: Slots that a micro-operation may cost, and those that any history may have.
_EACH: Final = 8
_ANY: Final = 1_000_000

#: Why version-gap isn't checked of versions that were numbered anew.
SPARSE: Final = "its versions are far apart, so they stand for an order alone"
ORDERED: Final = "its versions stand for an order alone, as was asked for"


@dataclass(frozen=True, kw_only=True, eq=False)
class Originals:
    """What versions were called before they were numbered anew."""

    #: Where each row's versions begin, and the versions in order: number 1 of row r was `version[begin[r]]`.
    begin: Int64s
    version: Int64s

    def of(self, row: int, rank: int) -> int:
        """What a version was called."""
        return int(self.version[self.begin[row] + rank - 1])


def dense(
    row: Int32s, version: Int64s | Int32s, write: Bools, *, ordered: bool = False
) -> tuple[Int32s, Originals | None]:
    """Keep versions that are near each other; number each row's others, and all that stand for an order alone, anew."""
    if ordered:
        return _ranked(row, version, write)
    if not _sparse(row, version):
        return version.astype(np.int32, copy=False), None
    order, another = _sorted(row, version, 1)
    return _numbered(row, version, order, another, first=np.ones(int(row.max()) + 1, dtype=np.int64))


def _ranked(row: Int32s, version: Int64s | Int32s, write: Bools) -> tuple[Int32s, Originals]:
    """Number each row's versions from 0 where nobody wrote the lowest, which is the initial state; else from 1."""
    order, another = _sorted(row, version, 0)
    first = np.ones(int(row.max(initial=0)) + 1, dtype=np.int64)
    if len(order):
        begins = np.flatnonzero(another)
        written = np.logical_or.reduceat(write[order], begins)
        rows = row[order[begins]]
        lowest = np.ones(len(begins), dtype=np.bool_)
        lowest[1:] = rows[1:] != rows[:-1]
        first[rows[lowest & ~written]] = 0
    return _numbered(row, version, order, another, first)


def _sorted(row: Int32s, version: Int64s | Int32s, least: int) -> tuple[Int64s, Bools]:
    """Give micro-operations by row and version, from a least version on, and which of them is first of its version."""
    known = np.flatnonzero(version >= least)
    order = known[np.lexsort((version[known], row[known]))]
    rows, versions = row[order], version[order]
    another = np.ones(len(order), dtype=np.bool_)
    another[1:] = (rows[1:] != rows[:-1]) | (versions[1:] != versions[:-1])
    return order, another


def _numbered(
    row: Int32s, version: Int64s | Int32s, order: Int64s, another: Bools, first: Int64s
) -> tuple[Int32s, Originals]:
    """Number the versions of each row through, from the first number that it has."""
    rows = row[order]
    place = np.cumsum(another) - 1
    begin = np.searchsorted(rows[another], np.arange(len(first)))
    numbers = version.clip(max=0).astype(np.int32)
    numbers[order] = place - begin[rows] + first[rows]
    return numbers, Originals(begin=begin - first + 1, version=version[order[another]].astype(np.int64))


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
