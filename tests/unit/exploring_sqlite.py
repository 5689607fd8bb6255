"""An SQLite file under control, and schedules of bodies on it."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.controlled.sqlite import SqliteDatabase
from orchestrator.explorer.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.controlled.database import Rows
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler

ACCOUNTS = """
    CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 0);
    INSERT INTO account (id, balance) VALUES (1, 100), (2, 100);
"""


class Explored:
    """Runs schedules, each on the rows as they were kept."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.path = database.path

    def run(
        self, scheduler: Scheduler, *bodies: Callable[[], object], threads: bool = False, crashes: int = 0
    ) -> Execution:
        """Run one schedule, and give it with the rows at its end."""
        self.database.reset()
        hub = Hub(scheduler, catch=True, threads=threads, crashes=crashes, crash=self.database.crash)
        self.database.under(hub)
        try:
            execution = hub.run([partial(self._delivered, hub, body) for body in bodies])
        finally:
            self.database.under(None)
        return execution._replace(state=self.database.rows())

    def _delivered(self, hub: Hub, body: Callable[[], object]) -> object:
        hub.delivered()
        return body()


@contextmanager
def explored(path: Path, script: str = ACCOUNTS) -> Iterator[Explored]:
    """Make a file by a script, and hold it under control."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    database = SqliteDatabase(path)
    try:
        with database.control():
            database.keep()
            yield Explored(database)
    finally:
        for each in list(database._control.known):  # what bodies have left open
            each.close()
        database.close()


def steps(execution: Execution) -> list[str]:
    """Say who did what, in order; "!" marks an error, "?" a statement that had to wait."""
    return [
        f"{record.worker} {record.point.statement or record.point.kind}{'?' * record.blocked}{'!' * bool(record.error)}"
        for record in execution.records
    ]


def shown(execution: Execution) -> list[object]:
    """Give all that a schedule's record says, in a form that can be compared."""
    return [
        execution.choices,
        execution.ready,
        execution.events,
        [
            (each.choice, each.point, each.blocked, each.answered, each.rows, each.count, each.error)
            for each in execution.records
        ],
        [each.shown for each in execution.endings],
        execution.stuck,
        execution.state,
    ]


def rows(path: Path) -> Rows:
    """Read the accounts by a connection of the test's own."""
    connection = sqlite3.connect(path)
    try:
        return {"account": tuple(connection.execute("SELECT * FROM account ORDER BY id").fetchall())}
    finally:
        connection.close()


def values(execution: Execution) -> Sequence[Any]:
    """Give what the bodies returned; where one raised, its error's name."""
    return [type(each.error).__name__ if each.error is not None else each.value for each in execution.endings]
