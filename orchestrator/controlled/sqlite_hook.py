"""sqlite3's connections, with a switch point before each statement, COMMIT and ROLLBACK."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import cache, lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Literal

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.sqlite_control import Busy
from orchestrator.controlled.sqlite_cursor import hooked_cursor
from orchestrator.controlled.sqlite_words import Savepoints, changes, setting
from orchestrator.explorer.hub import Crash
from orchestrator.explorer.model import NOTHING, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.controlled.sqlite_control import Control
    from orchestrator.explorer.hub import Hub

    Base = sqlite3.Connection
    Act = Callable[[], object]
else:
    Base = object

#: `Connection.autocommit` where the driver opens transactions in its old way; before Python 3.12 always.
LEGACY: Final = -1
_PRIMARY: Final = 0xFF


class ConnectionHook(Base):
    """Goes before a class of sqlite3 connections."""

    control: Control
    #: The busy timeout in seconds that it was opened with; with 0 it waits for nobody, under control too.
    patience: float
    #: The worker that uses it in this schedule.
    owner: int | None = None
    _savepoints: Savepoints
    #: A statement of its owner's stands or waits.
    _standing = False
    #: The open transaction's number, -1 while none has done a step.
    _session = -1
    #: The open transaction has a snapshot, so that SQLite would not wait for the write lock.
    _snapshot = False

    def adopt(self, control: Control, patience: float) -> None:
        """Put it under control."""
        self._savepoints = Savepoints()
        self.control, self.patience = control, patience
        control.known.add(self)
        self.plainly("PRAGMA synchronous = OFF")

    # what sqlite3 offers

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:  # noqa: ANN401 - of the class that is asked for
        """Open a cursor whose rows are read at once."""
        return super().cursor(hooked_cursor(factory))

    def execute(self, sql: str, parameters: Any = (), /) -> Any:  # noqa: ANN401 - a cursor, of any class
        """Run a statement on a new cursor; the driver's own would not call these methods."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:  # noqa: ANN401 - a cursor, of any class
        """Run a statement with many parameters on a new cursor."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> Any:  # noqa: ANN401 - a cursor, of any class
        """Run a script on a new cursor."""
        return self.cursor().executescript(sql_script)

    def commit(self) -> None:
        """End the transaction, when that is chosen."""
        self.end("commit", "", super().commit)

    def rollback(self) -> None:
        """Undo the transaction, when that is chosen."""
        self.end("rollback", "", super().rollback)

    def close(self) -> None:
        """Close it; an open transaction is undone, which is a step."""
        if self._session >= 0 and self.in_transaction:
            self.rollback()
        super().close()
        self.control.known.discard(self)
        self.owner = None

    def __exit__(self, kind: object, error: object, trace: object) -> Literal[False]:
        """Commit, or undo where an exception comes out; the driver's own would not call these methods."""
        if self.mode is True:
            return False
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except sqlite3.Error:
            self.rollback()
            raise
        return False

    def blobopen(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's own
        """Open a blob outside of workers only: its reads and writes go past the explorer."""
        if self.control.working() is not None:
            raise Uncontrolled("blobopen() can't be explored; read and write the column with statements.")
        return super().blobopen(*args, **options)

    # what cursors need

    @property
    def mode(self) -> bool | int:
        """How transactions begin: LEGACY, or PEP 249's autocommit."""
        return getattr(self, "autocommit", LEGACY)

    def inside(self, text: str) -> bool:
        """Say whether a statement would run in a transaction that outlives it."""
        return self.in_transaction or (
            self.isolation_level is not None and changes(text) and self.mode == LEGACY  # the driver opens one
        )

    def point(self, hub: Hub, text: str, parameters: object) -> Point | None:
        """Give the point before a statement of the running worker's; None where it is no step."""
        worker, control = self._claim(hub), self.control
        session = self._session if self._session >= 0 else control.free(worker)
        return control.point(text, parameters, session, not (self.in_transaction or self.inside(text)))

    def known_statement(self, hub: Hub, point: Point, act: Act) -> None:
        """Send a statement, when it is chosen, of which all but its session is known."""
        worker = self._claim(hub)
        self.step(hub, point._replace(session=self._session if self._session >= 0 else self.control.free(worker)), act)

    def end(self, kind: str, text: str, act: Act) -> None:
        """End the transaction, when that is chosen; where no step was done in it, nothing stands."""
        hub = self.control.working()
        if hub is not None:
            self._claim(hub)
            if self._session >= 0:
                self.step(hub, _ending(kind, text, self._session), act)
                self._over()
                return
            if kind == "commit" and hub.crashing:
                raise Crash
        act()
        self._over()

    def quiet(self, hub: Hub, act: Act) -> None:
        """Send what is no step."""
        if hub.crashing:
            raise Crash
        self._claim(hub)
        act()

    def savepoint(self, hub: Hub, text: str, act: Act) -> None:
        """Send a SAVEPOINT, RELEASE or ROLLBACK TO, which is a step only where it is the COMMIT."""
        if self._savepoints.commits(text):
            self.end("commit", text, act)
            return
        inside = self.in_transaction
        self.quiet(hub, act)
        self._savepoints.take(text, inside=inside)

    def pragma(self, text: str, act: Act) -> None:
        """Send a PRAGMA, and take back what it changed of what the explorer needs."""
        name, value = setting(text)
        if name == "journal_mode" and value not in {"", "wal"}:
            raise Uncontrolled(f"SQLite is explored in WAL mode only; leave out PRAGMA journal_mode = {value}.")
        act()
        if name == "busy_timeout" and value.isdecimal():
            self.patience = int(value) / 1000
            self.plainly("PRAGMA busy_timeout = 0")
        elif name == "synchronous" and value and not self.in_transaction:
            self.plainly("PRAGMA synchronous = OFF")

    def plainly(self, text: str) -> None:
        """Send a statement of the explorer's own."""
        sqlite3.Cursor(self).execute(text)

    # what the explorer does

    def undo(self) -> None:
        """Roll back what is open, at once; a closed connection has nothing open."""
        with suppress(sqlite3.ProgrammingError):
            if self.in_transaction:
                super().rollback()
        self._over()

    def release(self) -> None:
        """Give it back to whoever opened it."""
        self.plainly(f"PRAGMA busy_timeout = {int(self.patience * 1000)}")

    def _claim(self, hub: Hub) -> int:
        """Note who uses it; a transaction of one worker's is no other's."""
        if get_ident() != self.control.thread:
            self.control.check_thread()
        worker: int = hub.current  # type: ignore[assignment]  # a worker runs
        if self.owner != worker:
            self._change_hands(worker)
        if self._session >= 0 and not self.in_transaction:  # an error has ended it; its number stays taken
            self._session, self._snapshot = -1, False
            self._savepoints.clear()
        return worker

    def _change_hands(self, worker: int) -> None:
        if self.owner is not None and (self._standing or self._session >= 0):
            raise Uncontrolled(
                f"Workers {self.owner} and {worker} use one SQLite connection at the same time; "
                "let each body open its own, or take one from a pool."
            )
        if self.owner is None:
            self.control.used.append(self)
        self.owner = worker

    def step(self, hub: Hub, point: Point, act: Act) -> None:
        """Stand, and send; try again for as long as SQLite would."""
        self._standing = True
        try:
            hub.stand(point)
            if self._session < 0 and not point.alone:
                self._session = point.session
                self.control.take(self.owner, point.session)
            try:
                act()
            except sqlite3.OperationalError as error:
                self._wait(hub, error, act)
        except Exception as error:
            hub.answered(error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._standing = False
        if not point.alone and not self._snapshot:
            self._snapshot = point.footprint != NOTHING

    def _wait(self, hub: Hub, error: sqlite3.OperationalError, act: Act) -> None:
        """Wait for the write lock and send again; raise the error where there is nothing to wait for."""
        busy = Busy()
        while self._waits(error):
            hub.block(busy)
            if busy.cancelled:
                break
            try:
                act()
            except sqlite3.OperationalError as another:
                error = another
            else:
                return
        raise error

    def _waits(self, error: sqlite3.OperationalError) -> bool:
        """Say whether SQLite would wait: never in a transaction that has a snapshot, where it could only fail later."""
        code = error.sqlite_errorcode
        return (
            code & _PRIMARY == sqlite3.SQLITE_BUSY
            and code != sqlite3.SQLITE_BUSY_SNAPSHOT
            and self.patience > 0
            and not self._snapshot
        )

    def _over(self) -> None:
        """Note that the transaction has ended."""
        if self._session >= 0:
            self.control.drop(self.owner, self._session)
            self._session, self._snapshot = -1, False
        if self._savepoints:
            self._savepoints.clear()


@lru_cache(256)
def _ending(kind: str, text: str, session: int) -> Point:
    """Give the point before a transaction's end."""
    return Point(kind, text, session=session)


@cache
def hooked_connection(factory: type[sqlite3.Connection]) -> type[ConnectionHook]:
    """Put the hook before a class of connections."""
    return type(factory.__name__, (ConnectionHook, factory), {})
