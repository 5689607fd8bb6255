"""The anomalies that need no graph, straight from their definitions: each function lists every instance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from orchestrator.history.transactions import ABORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.brute_model import Operation, Transaction, World


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance of an anomaly: it is shown by transactions that fill its roles."""

    row: int
    #: Who can play each part; different transactions play different parts.
    roles: tuple[frozenset[int], ...]
    #: How often it counts.
    count: int = 1

    def shown_by(self, numbers: Sequence[int]) -> bool:
        """Whether these transactions can play all parts."""
        return any(
            all(number in role for number, role in zip(chosen, self.roles, strict=True))
            for chosen in permutations(numbers, len(self.roles))
        )


def duplicate_versions(world: World) -> Iterator[Instance]:
    """A version that two or more committed transactions installed."""
    for row in world.rows():
        for version in world.written(row):
            writers = world.writers(row, version)
            if len(writers) > 1:
                yield Instance(row=row, roles=(writers, writers))


def version_gaps(world: World) -> Iterator[Instance]:
    """A version that nobody wrote, before one that a committed transaction did."""
    for row, version, later in _overtaken(world):
        if not world.vague(row) and not world.all_writers(row, version):
            yield Instance(row=row, roles=(later,))


def dirty_updates(world: World) -> Iterator[Instance]:
    """A version that only aborted transactions wrote, before one that a committed transaction did."""
    for row, version, later in _overtaken(world):
        writers = world.all_writers(row, version)
        if not world.vague(row) and writers and all(writer.status == ABORTED for writer in writers):
            yield Instance(row=row, roles=(_numbers(writers), later))


def _overtaken(world: World) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Each version below a row's last committed one, with the committed writers of later versions."""
    for row in world.rows():
        written = world.written(row)
        for version in range(1, max(written, default=0)):
            later = frozenset[int]().union(*(world.writers(row, v) for v in written if v > version))
            yield row, version, later


def lost_updates(world: World) -> Iterator[Instance]:
    """Two or more transactions that read one version first and then wrote the row."""
    for row in world.rows():
        groups: dict[int, set[int]] = {}
        for t in world.committed:
            seen = _read_then_written(t, row)
            if seen is not None:
                groups.setdefault(seen, set()).add(t.number)
        for group in groups.values():
            if len(group) > 1:
                members = frozenset(group)
                yield Instance(row=row, roles=(members, members), count=len(group) - 1)


def _read_then_written(t: Transaction, row: int) -> int | None:
    """The version of the row that the transaction read first of all, if it wrote the row after that."""
    touched = [operation for operation in t.operations if operation.row == row]
    if touched and not touched[0].write and any(operation.write for operation in touched):
        return touched[0].version
    return None


def aborted_reads(world: World) -> Iterator[Instance]:
    """A read of a version that only aborted transactions wrote."""
    for t, _, read, version in _reads(world):
        writers = world.all_writers(read.row, version)
        if not world.vague(read.row) and writers and all(writer.status == ABORTED for writer in writers):
            yield Instance(row=read.row, roles=(frozenset({t.number}), _numbers(writers)))


def garbage_reads(world: World) -> Iterator[Instance]:
    """A read of a version that nobody wrote."""
    for t, _, read, version in _reads(world):
        if version > 0 and not world.vague(read.row) and not world.all_writers(read.row, version):
            yield Instance(row=read.row, roles=(frozenset({t.number}),))


def intermediate_reads(world: World) -> Iterator[Instance]:
    """A read of a version that its one writer, another transaction, replaced itself."""
    for t, _, read, version in _reads(world):
        writers = world.writers(read.row, version)
        if len(writers) == 1 and t.number not in writers:
            (writer,) = writers
            if _writes(world.everybody[writer], read.row)[-1].version != version:
                yield Instance(row=read.row, roles=(frozenset({t.number}), writers))


def internal(world: World) -> Iterator[Instance]:
    """A read of another version than the transaction's last read or write of the row left; but no future read."""
    for t, place, read, version in _reads(world):
        if not _comes_later(world, t, place, read) and _state(t, place, read.row) not in (None, version):
            yield Instance(row=read.row, roles=(frozenset({t.number}),))


def future_reads(world: World) -> Iterator[Instance]:
    """A read of a version that its own transaction, and nobody else, installed only later."""
    for t, place, read, _ in _reads(world):
        if _comes_later(world, t, place, read):
            yield Instance(row=read.row, roles=(frozenset({t.number}),))


def _comes_later(world: World, t: Transaction, place: int, read: Operation) -> bool:
    """Whether the transaction writes what it read there only after that, as the only one."""
    before, after = t.operations[:place], t.operations[place:]
    alone = world.writers(read.row, read.version or 0) == {t.number}
    return alone and any(_installs(o, read) for o in after) and not any(_installs(o, read) for o in before)


def _installs(operation: Operation, read: Operation) -> bool:
    """Whether the operation writes the version that the other read."""
    return operation.write and operation.row == read.row and operation.version == read.version


def _state(t: Transaction, place: int, row: int) -> int | None:
    """The version of the row that the transaction's last operation on it left, if it is known."""
    touched = [operation for operation in t.operations[:place] if operation.row == row]
    return touched[-1].version if touched else None


def _reads(world: World) -> Iterator[tuple[Transaction, int, Operation, int]]:
    """Each read of a known version by a committed transaction: the reader, its place there, the read, the version."""
    for t in world.committed:
        for place, operation in enumerate(t.operations):
            if not operation.write and operation.version is not None:
                yield t, place, operation, operation.version


def _writes(t: Transaction, row: int) -> list[Operation]:
    """A transaction's writes of a row, in program order."""
    return [operation for operation in t.operations if operation.write and operation.row == row]


def _numbers(transactions: Sequence[Transaction]) -> frozenset[int]:
    """The transactions' numbers."""
    return frozenset(t.number for t in transactions)


def session_violations(world: World, *, first_writes: bool, then_writes: bool) -> Iterator[Instance]:
    """A read or write of an older version than the session had read or written before."""
    for later in world.committed:
        for operation in later.operations:
            if operation.write == then_writes and _compares(world, operation):
                earlier = _passed(world, later, operation, first_writes=first_writes)
                if earlier and (then_writes or not later.wrote(operation.row, operation.version or 0)):
                    yield Instance(row=operation.row, roles=(earlier, frozenset({later.number})))


def _passed(world: World, later: Transaction, operation: Operation, *, first_writes: bool) -> frozenset[int]:
    """The transactions before it in its session that read, or wrote, a newer version of the row."""
    return frozenset(
        t.number
        for t in world.committed
        if t.session == later.session >= 0 and t.number < later.number
        for before in t.operations
        if before.write == first_writes and before.row == operation.row and _compares(world, before)
        if (before.version or 0) > (operation.version or 0)
    )


def _compares(world: World, operation: Operation) -> bool:
    """Whether the version has a place in the row's order: the initial one, or one with one committed writer."""
    return operation.version == 0 or operation.version in world.known(operation.row)


def _guarantee(*, first_writes: bool, then_writes: bool) -> Callable[[World], Iterator[Instance]]:
    """The check of one session guarantee."""
    return lambda world: session_violations(world, first_writes=first_writes, then_writes=then_writes)


SESSIONS: dict[str, Callable[[World], Iterator[Instance]]] = {
    "monotonic-reads-violation": _guarantee(first_writes=False, then_writes=False),
    "read-your-writes-violation": _guarantee(first_writes=True, then_writes=False),
    "monotonic-writes-violation": _guarantee(first_writes=True, then_writes=True),
    "writes-follow-reads-violation": _guarantee(first_writes=False, then_writes=True),
}

CHECKS: dict[str, Callable[[World], Iterator[Instance]]] = {
    "duplicate-version": duplicate_versions,
    "version-gap": version_gaps,
    "dirty-update": dirty_updates,
    "lost-update": lost_updates,
    "G1a": aborted_reads,
    "garbage-read": garbage_reads,
    "G1b": intermediate_reads,
    "internal": internal,
    "future-read": future_reads,
    **SESSIONS,
}
