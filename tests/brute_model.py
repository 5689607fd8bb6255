"""A history as plain tuples, and which of its transactions count as committed: the base of the brute-force checker.

Nothing here or in its companions comes from the verifier: the definitions are written down once more, without arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.history.transactions import ABORTED, COMMITTED, NO_VERSION, UNKNOWN

if TYPE_CHECKING:
    from orchestrator.history.transactions import Transactions


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A read or write of one version of a row."""

    write: bool
    row: int
    #: None: not known.
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A transaction with its operations in program order."""

    number: int
    status: int
    session: int
    invoke: int
    complete: int
    operations: tuple[Operation, ...]

    def wrote(self, row: int, version: int) -> bool:
        """Whether it installed this version."""
        return Operation(write=True, row=row, version=version) in self.operations

    def read(self, row: int, version: int) -> bool:
        """Whether it read this version."""
        return Operation(write=False, row=row, version=version) in self.operations


@dataclass(frozen=True, kw_only=True)
class World:
    """All that the definitions speak of."""

    #: Every transaction, and those that count as committed; both by number.
    everybody: tuple[Transaction, ...]
    committed: tuple[Transaction, ...]
    #: (source, target, kind, row) of dependencies that versions don't show.
    explicit: frozenset[tuple[int, int, int, int]]

    def writers(self, row: int, version: int) -> frozenset[int]:
        """The committed transactions that installed this version."""
        return frozenset(t.number for t in self.committed if t.wrote(row, version))

    def all_writers(self, row: int, version: int) -> tuple[Transaction, ...]:
        """Everybody that wrote this version, whatever became of them."""
        return tuple(t for t in self.everybody if t.wrote(row, version))

    def vague(self, row: int) -> bool:
        """Whether somebody may have installed a version of the row that isn't known: then none is surely missing."""
        unknown = Operation(write=True, row=row, version=None)
        return any(unknown in t.operations for t in self.everybody if t.status != ABORTED)

    def rows(self) -> list[int]:
        """The rows that anybody touched."""
        return sorted({operation.row for t in self.everybody for operation in t.operations})

    def written(self, row: int) -> list[int]:
        """The versions that committed transactions installed, rising."""
        return sorted(
            {
                operation.version
                for t in self.committed
                for operation in t.operations
                if operation.write and operation.row == row and operation.version is not None
            }
        )

    def known(self, row: int) -> list[int]:
        """The versions of which the one committed writer is known, rising."""
        return [version for version in self.written(row) if len(self.writers(row, version)) == 1]


def world(history: Transactions) -> World:
    """The history in plain tuples, settled."""
    everybody = _everybody(history)
    numbers = _settled(everybody)
    edges = history.edges
    return World(
        everybody=everybody,
        committed=tuple(t for t in everybody if t.number in numbers),
        explicit=frozenset(
            (int(source), int(target), int(kind), int(row))
            for source, target, kind, row in zip(edges.source, edges.target, edges.kind, edges.row, strict=True)
        ),
    )


def _everybody(history: Transactions) -> tuple[Transaction, ...]:
    """Every transaction of the history."""
    operations: list[list[Operation]] = [[] for _ in history.status]
    columns = (history.txn.tolist(), history.row.tolist(), history.write.tolist(), history.version.tolist())
    for number, row, write, version in zip(*columns, strict=True):
        known = None if version == NO_VERSION else version
        operations[number].append(Operation(write=write, row=row, version=known))
    return tuple(
        Transaction(
            number=number,
            status=int(history.status[number]),
            session=int(history.session[number]),
            invoke=int(history.invoke[number]),
            complete=int(history.complete[number]),
            operations=tuple(operations[number]),
        )
        for number in range(len(history.status))
    )


def _settled(everybody: tuple[Transaction, ...]) -> set[int]:
    """The committed transactions, and the unknown ones of which a write was seen or overwritten."""
    counted = {t.number for t in everybody if t.status == COMMITTED}
    while True:
        seen = [operation for t in everybody if t.number in counted for operation in t.operations]
        more = {
            t.number
            for t in everybody
            if t.status == UNKNOWN and t.number not in counted and _took_effect(t, everybody, seen)
        }
        if not more:
            return counted
        counted |= more


def _took_effect(unknown: Transaction, everybody: tuple[Transaction, ...], seen: list[Operation]) -> bool:
    """Whether a version that only this unknown transaction can have installed was read, or has a successor."""
    return any(
        _read_or_passed(write, seen)
        for write in unknown.operations
        if write.write
        and write.version is not None
        and not any(t.wrote(write.row, write.version) for t in everybody if t is not unknown and t.status != ABORTED)
    )


def _read_or_passed(write: Operation, seen: list[Operation]) -> bool:
    """Whether one of the operations read the version, or read or wrote a later one of its row."""
    return write.version is not None and any(
        operation.row == write.row
        and operation.version is not None
        and (operation.version > write.version or (operation.version == write.version and not operation.write))
        for operation in seen
    )
