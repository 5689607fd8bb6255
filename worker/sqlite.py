"""A link over the standard library's sqlite3, for runs in one process whose workers take turns.

SQLite has one writer at a time and snapshots for readers (WAL).  READ COMMITTED's outcomes come from
reading outside a transaction until the first write, then BEGIN IMMEDIATE; the levels above from one
deferred transaction, whose snapshot the first statement takes.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteIdentifierPreparer
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from worker.contract import DUPLICATE, Isolation, Reason
from worker.errors import Conflict, Duplicate, RowraceError
from worker.link import Answer, Sending
from worker.statements import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sqlalchemy.sql.expression import ClauseElement
    from sqlalchemy.sql.schema import HasSchemaAttr
    from sqlalchemy.sql.selectable import GenerativeSelect

    from worker.link import Answered, Begin
    from worker.statements import Compiled


class Inexpressible(RowraceError):
    """SQLite can't say this statement, and leaving the lock out would make it mean something else."""


class Hooks(NamedTuple):
    """What a link asks of whoever interleaves it."""

    #: Called before each statement is sent.
    switch: Callable[[Sending], object]
    #: Called where another connection holds the write lock; the statement is tried again when it returns.
    blocked: Callable[[], None]
    #: Gives every transaction a number of its own.
    txid: Callable[[], int]
    #: The database clock, which is everybody's clock here, nanoseconds.
    now_ns: Callable[[], int]
    answered: Answered = lambda _rows, _count, _error: None


class _Compiler(SQLiteCompiler):
    """SQLAlchemy's own, except that a locking read is an error and never a plain read."""

    def for_update_clause(self, select: GenerativeSelect, **kw: Any) -> str:  # noqa: ANN401, ARG002 - as overridden
        """Refuse: SQLAlchemy would drop FOR UPDATE without a word."""
        raise Inexpressible("SQLite has no row locks: SELECT ... FOR UPDATE can't run there")


def _nowhere(_object: HasSchemaAttr, /) -> str:
    """Say that a table has no schema."""
    return ""


class _Preparer(SQLiteIdentifierPreparer):
    """Names tables without their schema: a group's schema is its file."""

    schema_for_object = staticmethod(_nowhere)


class _Dialect(SQLiteDialect_pysqlite):
    """Named parameters, as sqlite3 takes them from a mapping."""

    statement_compiler = _Compiler
    preparer = _Preparer
    supports_statement_cache = True


DIALECT: Final = _Dialect(paramstyle="named")


def connect(path: Path) -> sqlite3.Connection:
    """Open the database as a link needs it: no waiting in the driver, no transactions of the driver's own."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    # The file lives as long as the run: durability would cost time and prove nothing.
    connection.execute("PRAGMA synchronous = OFF")
    # Some builds of SQLite let triggers call no functions of the connection unless told so.
    connection.execute("PRAGMA trusted_schema = ON")
    return connection


class SqliteLink:
    """One connection of one logical worker."""

    dialect = "sqlite"
    backend = (0, 0)
    sent_ns = 0

    def __init__(self, connection: sqlite3.Connection, hooks: Hooks) -> None:
        self._connection = connection
        self._hooks = hooks
        self._begin: Begin | None = None
        #: What the triggers may ask for; looked up without running Python, so that no signal strikes inside SQLite.
        self._says = {"writer": 0, "operation": -1, "txid": 0, "now": 0}
        for name in self._says:
            connection.create_function(f"rowrace_{name}", 0, partial(self._says.__getitem__, name))

    def begin(self, begin: Begin) -> None:
        """Open a transaction, lazily: SQLite hears of it with the first statement that needs one."""
        self._begin = begin
        self._says["txid"] = self._hooks.txid()
        if begin.writer is not None:
            token, operation = begin.writer.split(":")
            self._says |= {"writer": int(token), "operation": int(operation)}

    def execute(self, statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        """Run a Core statement, after a switch point; waits, by the hook, while another connection writes."""
        form, writes = compiled(statement, DIALECT), not getattr(statement, "is_select", False)
        values = {**params, **{name: convert(params[name]) for name, convert in form.binds}}
        self._hooks.switch(Sending("statement", form.sql, values, alone=self._alone(writes=writes)))
        self.sent_ns = self._hooks.now_ns()
        try:
            if self._begin is None:
                self._says["txid"] = self._hooks.txid()
            elif not self._connection.in_transaction:
                self._open(self._begin.isolation, writes=writes)
            answer = _answer(self._run(form.sql, values), form)
        except Exception as error:
            self._hooks.answered(None, -1, f"{type(error).__name__}: {error}")
            raise
        self._hooks.answered(answer.rows if form.returns else None, answer.count, "")
        return answer

    def commit(self, sent: Callable[[], None] | None = None) -> None:
        """COMMIT, after a switch point; there is no moment between sending it and its answer."""
        if sent is not None:
            raise NotImplementedError("SQLite answers COMMIT at once.")
        self._hooks.switch(Sending("commit", "COMMIT"))
        if self._connection.in_transaction:
            self._run("COMMIT", {})
            self._hooks.answered(None, -1, "")
        self._forget()

    def rollback(self) -> None:
        """ROLLBACK, after a switch point; nothing is left open even where the worker is ended at that point."""
        try:
            self._hooks.switch(Sending("rollback", "ROLLBACK"))
        finally:
            self._reset()

    def disconnect(self) -> None:
        """Refuse: a file has no socket."""
        raise NotImplementedError("SQLite has no connection to lose.")

    def close(self) -> None:
        """Leave the connection clean: no transaction."""
        self._reset()

    def _reset(self) -> None:
        """End the transaction; a statement that failed may have ended it already."""
        if self._connection.in_transaction:
            self._connection.rollback()
        self._forget()

    def _forget(self) -> None:
        """Leave nothing of the transaction for statements that come after it."""
        self._begin = None
        self._says |= {"writer": 0, "operation": -1}

    def _alone(self, *, writes: bool) -> bool:
        """Say whether the next statement is a transaction of its own."""
        if self._begin is None:
            return True
        return self._begin.isolation is Isolation.READ_COMMITTED and not writes and not self._connection.in_transaction

    def _open(self, isolation: Isolation, *, writes: bool) -> None:
        """Begin as the level asks; a read at READ COMMITTED needs no transaction yet."""
        if isolation is not Isolation.READ_COMMITTED:
            self._run("BEGIN DEFERRED", {})
        elif writes:
            self._run("BEGIN IMMEDIATE", {})

    def _run(self, text: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Send until it isn't blocked; translate what can end an attempt."""
        while True:
            self._says["now"] = self._hooks.now_ns() // 1_000
            try:
                return self._connection.execute(text, values)
            except sqlite3.Error as error:
                self._judge(error)

    def _judge(self, error: sqlite3.Error) -> None:
        """Return after waiting where the write lock was taken; raise everything else."""
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_BUSY:
            self._hooks.blocked()
        elif code == sqlite3.SQLITE_BUSY_SNAPSHOT:
            raise Conflict(Reason.SERIALIZATION) from error
        elif code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error) == DUPLICATE:
            raise Duplicate from error
        else:
            raise error


def _answer(cursor: sqlite3.Cursor, form: Compiled) -> Answer:
    """Fetch everything at once, so that no read stays open past its statement."""
    if not form.returns:
        return Answer((), cursor.rowcount)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    if form.results:
        rows = [
            tuple(each(value) if each else value for value, each in zip(row, form.results, strict=True)) for row in rows
        ]
    return Answer(rows, len(rows))
