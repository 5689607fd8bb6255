"""Predicate reads: what they depend on, which versions alone don't show (Adya 1999, 4.3)."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, PREDICATE_RW, WR, Edges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.history.transactions import Int8s

#: Dependencies of predicate reads on rows outside their version sets multiply: so many are kept.
MOST: Final = 20_000_000

#: Nobody, or nobody knows who, wrote a version.
_NOBODY: Final = -1


class TooManyError(Exception):
    """There are more dependencies than are kept."""


@dataclass(frozen=True, kw_only=True)
class PredicateRead:
    """A member of the version set of a predicate read; one without a row stands for an empty set."""

    txn: int
    predicate: str
    row: int | None
    #: None: not known.
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Write:
    """A version that a transaction wrote, and the predicates that it satisfies."""

    txn: int
    row: int
    version: int
    matches: frozenset[str]


@dataclass
class _Row:
    """A row's versions, in order."""

    versions: list[int] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    matches: list[frozenset[str]] = field(default_factory=list)
    #: Of versions whatever became of their writers.
    all_matches: dict[int, frozenset[str]] = field(default_factory=dict)
    #: What `changer` answered: many predicate reads ask the same.
    answered: dict[tuple[str, int], int] = field(default_factory=dict)

    def matching(self, predicate: str, version: int) -> bool:
        """Whether a version satisfies a predicate."""
        return predicate in self.all_matches.get(version, ())

    def writer(self, version: int) -> int:
        """Who wrote a version."""
        place = bisect_right(self.versions, version) - 1
        return self.writers[place] if place >= 0 and self.versions[place] == version else _NOBODY

    def changer(self, predicate: str, version: int) -> int:
        """Who wrote the first later version whose matching is another one."""
        if (predicate, version) not in self.answered:
            self.answered[predicate, version] = self._changer(predicate, version)
        return self.answered[predicate, version]

    def _changer(self, predicate: str, version: int) -> int:
        now = self.matching(predicate, version)
        for place in range(bisect_right(self.versions, version), len(self.versions)):
            if self.writers[place] != _NOBODY and (predicate in self.matches[place]) != now:
                return self.writers[place]
        return _NOBODY


def edges(reads: Iterable[PredicateRead], writes: Iterable[Write], status: Int8s) -> Edges:
    """Give what predicate reads depend on; TooManyError where that is more than is kept."""
    rows = _rows(writes, status)
    concerned = defaultdict(list)
    for number, row in rows.items():
        for predicate in frozenset().union(*row.all_matches.values()):
            concerned[predicate].append(number)
    kept = [array("i") for _ in range(4)]
    for edge in _edges(_sets(reads), rows, concerned):
        if len(kept[0]) >= MOST:
            raise TooManyError
        for column, number in zip(kept, edge, strict=True):
            column.append(number)
    source, target, kind, at = (np.array(column, dtype=np.int32) for column in kept)
    return Edges(source=source, target=target, kind=kind.astype(np.int8), row=at)


def _sets(reads: Iterable[PredicateRead]) -> dict[tuple[int, str], list[PredicateRead]]:
    sets = defaultdict(list)
    for read in reads:
        sets[read.txn, read.predicate].append(read)
    return sets


def _rows(writes: Iterable[Write], status: Int8s) -> dict[int, _Row]:
    """Order each row's versions; one that aborted, or that several may have written, is nobody's."""
    by_row: dict[int, dict[int, list[Write]]] = defaultdict(lambda: defaultdict(list))
    for write in writes:
        by_row[write.row][write.version].append(write)
    rows = {}
    for number, versions in by_row.items():
        row = rows[number] = _Row()
        for version, installed in sorted(versions.items()):
            row.all_matches[version] = frozenset().union(*(write.matches for write in installed))
            row.versions.append(version)
            row.writers.append(_sole({write.txn for write in installed}, status))
            row.matches.append(row.all_matches[version])
    return rows


def _sole(writers: set[int], status: Int8s) -> int:
    """Choose a version's writer: the one that committed, or the one that may have."""
    committed = [txn for txn in writers if status[txn] == COMMITTED]
    possible = committed or [txn for txn in writers if status[txn] != ABORTED]
    return possible[0] if len(possible) == 1 else _NOBODY


def _edges(
    sets: Mapping[tuple[int, str], list[PredicateRead]],
    rows: Mapping[int, _Row],
    concerned: Mapping[str, list[int]],
) -> Iterator[tuple[int, int, int, int]]:
    for (txn, predicate), members in sets.items():
        seen = {member.row for member in members}
        for member in members:
            if member.row is None or member.version is None or member.row not in rows:
                continue
            row = rows[member.row]
            if row.matching(predicate, member.version):
                yield from _edge(row.writer(member.version), txn, WR, member.row)
            yield from _edge(txn, row.changer(predicate, member.version), PREDICATE_RW, member.row)
        for number in concerned.get(predicate, ()):
            if number not in seen:
                yield from _edge(txn, rows[number].changer(predicate, 0), PREDICATE_RW, number)


def _edge(source: int, target: int, kind: int, row: int) -> Iterator[tuple[int, int, int, int]]:
    if source not in (target, _NOBODY) and target != _NOBODY:
        yield source, target, kind, row
