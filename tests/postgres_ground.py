"""A scratch database under the explorer's control, and schedules on it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.explorer.hub import Hub
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler, Step

    Body = Callable[[psycopg.Connection[Any]], object]

ACCOUNTS = (
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO account VALUES (1, 100), (2, 100)"
)


class Ground:
    """A database, and a connection per worker."""

    def __init__(self, url: str, database: PostgresDatabase) -> None:
        self.url, self.database = url, database
        #: The schedule that runs now.
        self.hub: Hub | None = None
        self._connections: dict[int, psycopg.Connection[Any]] = {}

    def connection(self, worker: int) -> psycopg.Connection[Any]:
        """Give a worker's own."""
        known = self._connections.get(worker)
        if known is None or known.closed:
            known = self._connections[worker] = self.database.connect()
        return known

    def run(self, scheduler: Scheduler, bodies: Sequence[Body], **options: Any) -> Execution:  # noqa: ANN401 - handed on
        """Run one schedule on the rows as kept; each body gets its worker's connection."""
        return self.go(
            scheduler,
            [partial(self._one, number, body) for number, body in enumerate(bodies)],
            **options,
        )

    def go(self, scheduler: Scheduler, bodies: Sequence[Callable[[], object]], **options: Any) -> Execution:  # noqa: ANN401 - handed on
        """Run one schedule of bodies that need nothing."""
        self.database.reset()
        hub = self.hub = Hub(scheduler, catch=True, limit=200, crash=self.database.crash, **options)
        self.database.under(hub)
        try:
            execution = hub.run(bodies)
        finally:
            self.database.under(None)
        return execution._replace(state=self.database.rows())

    def _one(self, worker: int, body: Body) -> object:
        return body(self.connection(worker))

    def close(self) -> None:
        """Close what workers had."""
        for connection in self._connections.values():
            connection.close()


@contextmanager
def ground(url: str, set_up: str = ACCOUNTS, **options: Any) -> Iterator[Ground]:  # noqa: ANN401 - handed on
    """Control a scratch database in which nothing but a set-up was made."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(set_up)
    database = PostgresDatabase(url, **options)
    try:
        database.keep()
        opened = Ground(url, database)
        try:
            with database.control():
                yield opened
        finally:
            opened.close()
    finally:
        database.close()


class Order:
    """Follows a list of workers as far as it goes, skips who can't run, and then takes whoever is first."""

    def __init__(self, *workers: int) -> None:
        self._left = list(workers)

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - the order looks at nothing else
        """Give the next worker of the list that is ready."""
        while self._left:
            wanted = self._left.pop(0)
            if wanted in ready:
                return wanted
        return ready[0]


def naive(connection: psycopg.Connection[Any]) -> None:
    """Read a balance, and write it back with 10 more."""
    row = connection.execute("SELECT balance FROM account WHERE id = %s", (1,)).fetchone()
    connection.execute("UPDATE account SET balance = %s WHERE id = %s", (row[0] + 10 if row else 0, 1))
    connection.commit()


def add(key: int, amount: int = 10) -> Body:
    """Make a body that adds to one account in the database itself."""

    def body(connection: psycopg.Connection[Any]) -> None:
        connection.execute("UPDATE account SET balance = balance + %s WHERE id = %s", (amount, key))
        connection.commit()

    return body


def transfer(source: int, target: int) -> Body:
    """Make a body that takes from one account, then gives to the other."""

    def body(connection: psycopg.Connection[Any]) -> None:
        connection.execute("UPDATE account SET balance = balance - 10 WHERE id = %s", (source,))
        connection.execute("UPDATE account SET balance = balance + 10 WHERE id = %s", (target,))
        connection.commit()

    return body


def shape(execution: Execution) -> object:
    """Give all that two runs of one schedule must have in common."""
    return (
        execution.choices,
        execution.ready,
        execution.events,
        [
            (
                each.worker,
                each.point.kind,
                each.point.statement,
                each.blocked,
                each.answered,
                each.rows,
                each.count,
                each.error,
            )
            for each in execution.records
        ],
        [each.shown for each in execution.endings],
        execution.state,
        execution.stuck,
    )


def replayed(opened: Ground, bodies: Sequence[Body], seeds: int, **options: Any) -> list[Execution]:  # noqa: ANN401 - handed on
    """Walk at random, replay each walk, and hold the second run to the first."""
    walks = []
    for seed in range(seeds):
        walk = opened.run(RandomWalk(seed), bodies, **options)
        again = opened.run(Replay(walk.choices), bodies, **options)
        assert shape(walk) == shape(again)
        walks.append(walk)
    return walks
