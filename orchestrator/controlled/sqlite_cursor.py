"""sqlite3's cursors, whose statements are steps and whose rows are read at once."""

from __future__ import annotations

from functools import cache, partial, reduce
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.sqlite_words import savepoint, setting, statements, words
from orchestrator.explorer.model import NOTHING, Point, union

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.controlled.sqlite_hook import ConnectionHook
    from orchestrator.explorer.hub import Hub

    Base = sqlite3.Cursor
else:
    Base = object

#: Rows that a step shows.
SHOWN: Final = 5
#: Parameter sets of one executemany() that are told apart; more than that are the table.
_TOLD_APART: Final = 64
_NO_ROWS: Final[Iterator[tuple[Any, ...]]] = iter(())


class CursorHook(Base):
    """Goes before a class of sqlite3 cursors; no read stays open, so that what it sees ends with its step."""

    connection: ConnectionHook
    _rows = _NO_ROWS
    #: Rows changed by an executemany() of many steps.
    _many: int | None = None

    # what sqlite3 offers

    def execute(self, sql: str, parameters: Any = (), /) -> Any:  # noqa: ANN401 - the cursor, of any class
        """Run a statement, when it is chosen."""
        self._rows, self._many = _NO_ROWS, None
        connection = self.connection
        hub = connection.control.hub
        if hub is None or hub.current is None:
            self._outside(sql, partial(self._send, super().execute, sql, parameters))
        elif (point := connection.point(hub, sql, parameters)) is not None:
            connection.step(hub, point, partial(self._run, hub, super().execute, sql, parameters))
        else:
            self._other(hub, sql, parameters, partial(self._send, super().execute, sql, parameters))
        return self

    def executemany(self, sql: str, sets: Iterable[Any], /) -> Any:  # noqa: ANN401 - the cursor, of any class
        """Run a statement with many parameters: one step in a transaction, else one each."""
        self._rows, self._many = _NO_ROWS, None
        hub = self.connection.control.working()
        if hub is None:
            super().executemany(sql, sets)
            return self
        together = list(sets)
        if self.connection.inside(sql):
            self._step_of_many(hub, sql, together)
            return self
        count = 0
        for each in together:
            self._step_of_many(hub, sql, [each])
            count += max(super().rowcount, 0)
        self._many = count
        return self

    def executescript(self, sql_script: str, /) -> Any:  # noqa: ANN401 - the cursor, of any class
        """Run a script statement by statement; in the driver's old way, it commits first and opens nothing."""
        connection = self.connection
        legacy = connection.mode == -1
        level = connection.isolation_level
        if legacy:
            if connection.in_transaction:
                connection.commit()
            connection.isolation_level = None
        try:
            for each in statements(sql_script):
                self.execute(each)
        finally:
            self._rows = _NO_ROWS
            if legacy:
                connection.isolation_level = level
        return self

    @property
    def rowcount(self) -> int:
        """Rows changed; -1 where that means nothing."""
        return super().rowcount if self._many is None else self._many

    def fetchone(self) -> Any:  # noqa: ANN401 - what the row factory makes
        """Give the next row; None after the last one."""
        row = next(self._rows, None)
        if row is None:
            return super().fetchone()
        return row if (make := self.row_factory) is None else make(self, row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Give some rows."""
        return list(islice(self, self.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        """Give the rows that are left."""
        rows = list(self._rows) or super().fetchall()
        return rows if (make := self.row_factory) is None else [make(self, row) for row in rows]

    def __iter__(self) -> Any:  # noqa: ANN401 - itself
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - what the row factory makes
        row = next(self._rows, None)
        if row is None:
            return super().__next__()
        return row if (make := self.row_factory) is None else make(self, row)

    def close(self) -> None:
        """Close it."""
        self._rows = _NO_ROWS
        super().close()

    # what a step does

    def _run(self, hub: Hub, send: Callable[..., object], sql: str, parameters: object) -> None:
        """Send a step, and tell the hub what it gave."""
        rows = self._send(send, sql, parameters)
        if rows is not None:
            hub.answered(rows[:SHOWN], len(rows))
            return
        count = super().rowcount
        hub.answered(None, count)
        if count < 0 and words(sql)[:1] == ("attach",):
            raise Uncontrolled("ATTACH can't be explored: the other file's rows are not put back.")

    def _send(self, send: Callable[..., object], sql: str, parameters: object) -> list[tuple[Any, ...]] | None:
        """Send a statement and take all its rows, as the driver reads them; None where it gives none."""
        send(sql, parameters)
        if self.description is None:
            return None
        make = self.row_factory
        if make is not None:
            self.row_factory = None
        try:
            rows = super().fetchall()
        finally:
            if make is not None:
                self.row_factory = make
        self._rows = iter(rows)
        return rows

    def _step_of_many(self, hub: Hub, sql: str, sets: list[Any]) -> None:
        """Run a statement with some sets of parameters in one step."""
        connection = self.connection
        read = connection.control.reading
        readings = [read(sql, each) for each in sets] if 0 < len(sets) <= _TOLD_APART else [read(sql, None)]
        footprint = reduce(union, (each.footprint for each in readings))
        act = partial(self._run, hub, super().executemany, sql, sets)
        connection.known_statement(hub, Point("statement", sql, sets, footprint, 0, not connection.inside(sql)), act)

    def _other(self, hub: Hub, sql: str, parameters: object, act: Callable[[], object]) -> None:
        """Send what begins or ends a transaction, or is no step."""
        connection = self.connection
        kind, footprint, *_ = connection.control.reading(sql, parameters)
        if kind == "begin" and footprint != NOTHING:  # the write lock, at once
            connection.known_statement(hub, Point("statement", sql, footprint=footprint), act)
        elif savepoint(sql):
            connection.savepoint(hub, sql, act)
        elif kind in {"commit", "rollback"}:
            connection.end(kind, sql, act)
        elif setting(sql)[0]:
            connection.pragma(sql, partial(connection.quiet, hub, act))
        else:
            connection.quiet(hub, act)

    def _outside(self, sql: str, act: Callable[[], object]) -> None:
        """Run a statement that no worker sends."""
        if setting(sql)[0]:
            self.connection.pragma(sql, act)
        else:
            act()


@cache
def hooked_cursor(factory: Any) -> type[CursorHook]:  # noqa: ANN401 - whatever a body gives
    """Put the hook before a class of cursors."""
    if not isinstance(factory, type):
        raise Uncontrolled("A cursor factory that is no class can't be explored; give cursor() a class.")
    return factory if issubclass(factory, CursorHook) else type(factory.__name__, (CursorHook, factory), {})
