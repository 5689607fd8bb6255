"""Executions written by hand, a line a step, for the tests of tokens, listings, judges and stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.explorer.model import Ending, Execution, Footprint, Place, Point, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Places

#: A table's name and a key.
Where = tuple[str, object]


class Draft:
    """An execution in the making; each method is a step, or fills one in."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self.records: list[Record] = []
        self.endings = [Ending() for _ in range(workers)]
        self.stuck: tuple[int, ...] = ()
        self.cut = False
        self.state: Any = None

    def step(self, worker: int, kind: str, **point: Any) -> Record:  # noqa: ANN401 - a point's own fields
        """Add a step."""
        record = Record(len(self.records), worker, worker, Point(kind, **point))
        self.records.append(record)
        return record

    def read(self, worker: int, where: Where, sql: str, rows: Sequence[tuple[Any, ...]], *given: Any) -> Record:  # noqa: ANN401 - parameters
        """Add a SELECT that gave rows."""
        record = self.step(worker, "statement", statement=sql, parameters=given, footprint=Footprint(_at(where)))
        record.rows, record.count = list(rows), len(rows)
        return record

    def write(self, worker: int, where: Where, sql: str, *given: Any, count: int = 1, **point: Any) -> Record:  # noqa: ANN401 - parameters, a point's own fields
        """Add an UPDATE, INSERT or DELETE that matched rows."""
        footprint = Footprint(frozenset(), _at(where), _at(where))
        record = self.step(worker, "statement", statement=sql, parameters=given, footprint=footprint, **point)
        record.count = count
        return record

    def commit(self, worker: int) -> Record:
        """Add a COMMIT."""
        return self.step(worker, "commit")

    def crash(self, worker: int, kind: str, **point: Any) -> Record:  # noqa: ANN401 - a point's own fields
        """Let a worker crash before what it was about to do."""
        record = self.step(worker, kind, **point)
        record.choice = worker + self.workers
        return record

    def waits(self, record: Record, until: int) -> None:
        """Say that a statement had to wait until a later step."""
        record.blocked, record.answered = True, until

    def done(self) -> Execution:
        """Give the execution."""
        return Execution(
            workers=self.workers,
            choices=tuple(record.choice for record in self.records),
            ready=tuple(tuple(range(self.workers)) for _ in self.records),
            events=(),
            records=tuple(self.records),
            endings=tuple(self.endings),
            state=self.state,
            stuck=self.stuck,
            cut=self.cut,
        )


def _at(where: Where) -> Places:
    return frozenset([Place(*where)])


BALANCE = "SELECT balance FROM account WHERE id = %s"
SET_BALANCE = "UPDATE account SET balance = %s WHERE id = %s"
ACCOUNT = ("account", 1)


def lost_update() -> Execution:
    """Two naive deposits of 10 on a balance of 100; A overwrites B's."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.read(1, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, SET_BALANCE, 110, 1)
    draft.commit(1)
    draft.write(0, ACCOUNT, SET_BALANCE, 110, 1)
    draft.commit(0)
    draft.state = {"account": ((1, 110),)}
    return draft.done()
