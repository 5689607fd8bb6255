"""A scenario's tables on SQLite, put back before each schedule, and its workers' links, whose statements are steps."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from orchestrator.controlled import catalog
from orchestrator.controlled.footprints import Footprints
from orchestrator.explored_slots import Slots
from orchestrator.schema import sqlite as schema
from worker.contract import Isolation
from worker.scenarios import SCENARIOS
from worker.sqlite import Hooks, SqliteLink, connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.explorer.hub import Hub
    from orchestrator.explorer.model import Footprint
    from worker.contract import Settings

_TRIGGERS: Final = "SELECT name FROM sqlite_master WHERE type = 'trigger'"

#: What the triggers ask of the connection that puts the rows back.
_NOBODY: Final = {"writer": 0, "operation": -1, "txid": 0, "now": 0}


class _Busy:
    """A statement that met another connection's write lock: it is tried again whenever that may be free."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def over(self) -> bool:
        """Say that another try is worth it: nothing else tells."""
        return True

    def by(self) -> tuple[int, ...]:
        """Name nobody: SQLite does not say who holds its one lock."""
        return ()

    def cancel(self, why: str) -> None:  # noqa: ARG002 - the error is SQLite's own, whatever the reason
        """Let there be no other try."""
        self.cancelled = True


class SqliteGround:
    """One database file, and a link of each worker's own that is kept over schedules."""

    backend = "sqlite"

    def __init__(self, path: Path, settings: Settings, rows: int, workers: int, *, idempotency: bool) -> None:
        self._path = path
        scenario = settings.scenario
        # Links read outside a transaction until they write, and then nobody else can: read committed as it is meant.
        plain = settings.isolation is Isolation.READ_COMMITTED
        self.isolation = settings.isolation.value if plain else "sqlite"
        self._words = _Words(scenario)
        self._links: dict[int, tuple[sqlite3.Connection, SqliteLink]] = {}
        self._txids = count(1)
        self._control = connect(path)
        try:
            schema.create(self._control, scenario, rows, idempotency=idempotency, recording=True)
            for name, says in _NOBODY.items():
                self._control.create_function(f"rowrace_{name}", 0, partial(int, says))
            self._control.execute(self._words.keep)
            own = frozenset(name for (name,) in self._control.execute(_TRIGGERS))
            self._footprints = Footprints("sqlite", catalog.of_sqlite(self._control, own))
        except BaseException:
            self._control.close()
            raise
        self.slots = Slots(workers, self._link, self._read)
        #: Each table's columns, as `rows` gives them.
        self.columns: dict[str, tuple[str, ...]] = {self._words.relation: self._words.columns}

    def under(self, hub: Hub | None) -> None:
        """Do nothing: links know their hub by their slots."""

    def reset(self) -> None:
        """Put the rows back, and forget what was recorded."""
        for statement in self._words.resets:
            self._control.execute(statement)

    def effects(self) -> list[tuple[Any, ...]]:
        """Give the history's table `effects`."""
        return self._control.execute(self._words.effects).fetchall()

    def rows(self) -> list[tuple[Any, ...]]:
        """Give the rows as they stand, each followed by its row of the history's table `rows`."""
        return self._control.execute(self._words.rows).fetchall()

    def crash(self, worker: int) -> None:
        """Undo what a worker has open, as the end of its process would; the file keeps nothing else of it."""
        connection, link = self._links[worker]
        connection.rollback()
        link.close()

    def close(self) -> None:
        """Close every connection."""
        while self._links:
            self._links.popitem()[1][0].close()
        self._control.close()

    def _link(self, worker: int) -> SqliteLink:
        if worker not in self._links:
            slots = self.slots
            hooks = Hooks(slots.sending, self._blocked, self._txids.__next__, slots.now, slots.answered)
            connection = connect(self._path)
            self._links[worker] = connection, SqliteLink(connection, hooks)
        return self._links[worker][1]

    def _read(self, text: str, params: Mapping[str, Any]) -> tuple[str, Footprint]:
        return text, self._footprints.read(text, params).footprint

    def _blocked(self) -> None:
        """Wait until the write lock may be free."""
        wait = _Busy()
        self.slots.block(wait)
        if wait.cancelled:
            raise sqlite3.OperationalError("database is locked")


class _Words:
    """The statements by which a scenario's rows are kept, put back and read."""

    def __init__(self, scenario: str) -> None:
        model = SCENARIOS[scenario]
        relation = self.relation = model.relation
        self.columns = ("id", model.column, "version", "seq", "writer")
        now, then = schema.value(model, "f."), schema.value(model)
        self.keep = f"CREATE TABLE initial AS SELECT *, {then} AS value FROM {relation}"  # noqa: S608 - the scenario's own names
        self.effects = "SELECT * FROM effects ORDER BY relation, key, seq"
        self.rows = (
            f"SELECT {', '.join(f'f.{name}' for name in self.columns)}, '{relation}', CAST(i.id AS TEXT), i.value,"  # noqa: S608 - as above
            f" i.version, CASE WHEN f.id IS NULL THEN NULL ELSE {now} END, f.version, f.seq, f.writer"
            f" FROM initial i LEFT JOIN {relation} f USING (id) ORDER BY i.id"
        )
        back = (  # the triggers see this; what they record and stamp goes with the rest
            f"UPDATE {relation} SET {model.column} = i.{model.column}, version = i.version FROM initial i"  # noqa: S608 - as above
            f" WHERE i.id = {relation}.id AND {relation}.seq > 0"
        )
        self.resets = (
            "BEGIN IMMEDIATE",
            back,
            f"UPDATE {relation} SET seq = 0, writer = 0 WHERE seq > 0",  # noqa: S608 - as above
            "DELETE FROM effects",
            "DELETE FROM applied",
            "COMMIT",
        )
