"""What happened in an execution, in the order in which the database did it, and in which transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.explorer.model import meet
from orchestrator.explorer.statement_text import assigned, compact, selected, value_text, verb
from orchestrator.explorer.transactions import ENDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.explorer.model import Execution, Place, Places, Record
    from orchestrator.explorer.statement_text import Assigned, Shown


@dataclass(eq=False)
class Transaction:
    """One transaction of one worker."""

    worker: int
    session: int
    acts: list[Act] = field(default_factory=list)
    #: Reads of the worker's that came before it, with no change of the worker's own between: it rests on them too.
    basis: tuple[Act, ...] = ()
    committed: bool = False
    #: When it ended; past all else where it never did.
    ended: float = float("inf")

    # what follows is asked for when the transaction is complete

    @cached_property
    def writes(self) -> list[Act]:
        """Its statements that changed something."""
        return [act for act in self.acts if act.writes]

    @cached_property
    def reads(self) -> list[Act]:
        """Its statements that read something."""
        return [act for act in self.acts if act.reads]

    @property
    def rests_on(self) -> list[Act]:
        """All that the worker had read when it decided what to write."""
        return [*self.basis, *self.reads]


@dataclass(eq=False)
class Act:
    """A statement when it was answered."""

    time: int
    record: Record
    transaction: Transaction

    @property
    def worker(self) -> int:
        """Whose it is."""
        return self.record.worker

    @cached_property
    def shown(self) -> Shown:
        """The statement for reading."""
        return compact(self.record.point.statement, self.record.point.parameters)

    @cached_property
    def verb(self) -> str:
        """What it does: SELECT, UPDATE, INSERT, DELETE."""
        return verb(self.shown)

    @cached_property
    def assigned(self) -> dict[str, Assigned]:
        """What it writes into which columns."""
        return assigned(self.shown)

    @cached_property
    def reads(self) -> Places:
        """The places whose rows the worker was given."""
        record = self.record
        return frozenset() if record.error or record.rows is None else record.point.footprint.reads

    @cached_property
    def writes(self) -> Places:
        """The places it changed; none where it failed or matched no row."""
        record = self.record
        return frozenset() if record.error or not record.count else record.point.footprint.writes

    def values(self, place: Place) -> dict[str, str]:
        """Give what was read at a place, by column, as far as the text and the rows say."""
        names, rows = selected(self.shown), self.record.rows or []
        if not names or any(len(names) != len(row) for row in rows):
            return {}
        keys = place.key if isinstance(place.key, tuple) else (place.key,)
        fitting = [row for row in rows if all(key in row for key in keys)] if len(rows) > 1 else rows
        return dict(zip(names, map(value_text, fitting[0]), strict=True)) if len(fitting) == 1 else {}


class Timeline(NamedTuple):
    """An execution's statements as they were answered."""

    acts: tuple[Act, ...]
    transactions: tuple[Transaction, ...]
    #: When which worker crashed.
    crashes: tuple[tuple[int, int], ...]

    def last_read(self, worker: int, place: Place, before: int) -> Act | None:
        """Find what a worker last read at a place before a time, since its message came."""
        since = max((time for time, each in self.crashes if each == worker and time < before), default=-1)
        acts = (act for act in reversed(self.acts) if act.worker == worker and since < act.time < before)
        return next((act for act in acts if touches(act.reads, place)), None)

    def committed(self) -> Iterator[Transaction]:
        """The transactions that count."""
        return (transaction for transaction in self.transactions if transaction.committed)


def touches(places: Places, place: Place) -> bool:
    """Say whether a place is among some, or may be."""
    return meet(places, frozenset((place,)))


def timeline(execution: Execution) -> Timeline:
    """Order an execution's statements, and put them into their transactions."""
    made = _Making()
    for time, record in enumerate(answered(execution.records)):
        made.take(time, record)
    return Timeline(tuple(made.acts), tuple(made.transactions), tuple(made.crashes))


def answered(records: Sequence[Record]) -> list[Record]:
    """Order records by when they were answered; one that waited comes after the step that let it go on."""
    return sorted(records, key=lambda record: (record.answered, record.answered != record.number, record.number))


class _Making:
    """A timeline in the making."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.transactions: list[Transaction] = []
        self.crashes: list[tuple[int, int]] = []
        self._open: dict[tuple[int, int], Transaction] = {}
        self._basis: dict[int, list[Act]] = {}

    def take(self, time: int, record: Record) -> None:
        """Take the next record."""
        kind, session = record.point.kind, (record.worker, record.point.session)
        if record.choice != record.worker:
            self._crash(time, record.worker)
        elif kind in ENDS:
            if transaction := self._open.pop(session, None):
                transaction.committed = kind == "commit" and not record.error and not _aborted(transaction)
                transaction.ended = time
                self._over(transaction)
        elif kind == "statement":
            self._statement(time, record, session)

    def _crash(self, time: int, worker: int) -> None:
        self.crashes.append((time, worker))
        self._basis.pop(worker, None)
        for session in [each for each in self._open if each[0] == worker]:
            self._open.pop(session).ended = time

    def _statement(self, time: int, record: Record, session: tuple[int, int]) -> None:
        transaction = None if record.point.alone else self._open.get(session)
        if transaction is None:
            transaction = Transaction(*session, basis=tuple(self._basis.get(record.worker, ())))
            self.transactions.append(transaction)
        act = Act(time, record, transaction)
        self.acts.append(act)
        transaction.acts.append(act)
        if record.point.alone:
            transaction.committed, transaction.ended = not record.error, time
            self._over(transaction)
        else:
            self._open[session] = transaction

    def _over(self, transaction: Transaction) -> None:
        """Let the reads of a transaction that changed nothing count for the worker's next one."""
        if transaction.committed and not transaction.writes:
            self._basis.setdefault(transaction.worker, []).extend(transaction.reads)
        else:
            self._basis.pop(transaction.worker, None)


def _aborted(transaction: Transaction) -> bool:
    """Say whether its last statement failed: on Postgres a COMMIT then is a ROLLBACK."""
    return bool(transaction.acts[-1].record.error)
