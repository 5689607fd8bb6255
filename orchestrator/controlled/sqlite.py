"""SQLite under the explorer's control: a file in WAL mode, whose connections switch at each statement."""

from __future__ import annotations

import gc
import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from orchestrator.controlled.catalog import of_sqlite
from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.footprints import Footprints
from orchestrator.controlled.pristine_sqlite import Pristine
from orchestrator.controlled.sqlite_control import Control
from orchestrator.controlled.sqlite_hook import hooked_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.controlled.database import Rows
    from orchestrator.explorer.hub import Hub

_BACKEND: Final = "sqlite"
#: What `connect` takes by position, after the database.
_POSITIONS: Final = (
    "timeout", "detect_types", "isolation_level", "check_same_thread", "factory", "cached_statements", "uri",
)  # fmt: skip
#: The driver's own busy timeout.
_PATIENCE: Final = 5.0


class SqliteDatabase:
    """One file; a connection to it counts, however it is opened, if `sqlite3.connect` is looked up when it is called.

    Connections that were open before are not known: dispose of pools first.  Other files are left alone.
    """

    backend = _BACKEND
    isolation = _BACKEND

    def __init__(self, path: Path | str) -> None:
        name = os.fspath(path)
        if name in {"", ":memory:"} or name.startswith("file:"):
            raise Uncontrolled(f"{name or 'A temporary database'} is no file that two workers can open; give a path.")
        self.path = Path(name).resolve()
        self._control = Control(Footprints(_BACKEND).read)
        self._connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        self._held = False
        #: Absolute names under which it was opened; asking the file system each time is slow.
        self._names: set[str] = set()
        self._opened: sqlite3.Connection | None = None
        self._pristine: Pristine
        self._journal = ""

    @contextmanager
    def control(self) -> Iterator[None]:
        """Hook `sqlite3.connect` for the time of an exploration."""
        if self._held:
            raise Uncontrolled(f"{self.path.name} is under control already; explore one thing at a time.")
        self._monitor()
        driver: Any = sqlite3
        before = (driver.connect, driver.dbapi2.connect)
        self._connect, self._held = before[0], True
        driver.connect = driver.dbapi2.connect = self._hooked
        try:
            yield
        finally:
            driver.connect, driver.dbapi2.connect = before
            self._held = False
            self._control.under(None)
            for each in list(self._control.known):
                each.release()

    def under(self, hub: Hub | None) -> None:
        """Make statements that this hub's workers send its steps; None: nobody's."""
        self._control.under(hub)

    def connect(self) -> sqlite3.Connection:
        """Open a connection for a body that is given one."""
        return self._adopted(self.path, {})

    def keep(self) -> None:
        """Remember the rows of every table as they stand."""
        for each in list(self._control.known):
            each.undo()
        self._control.reads_by(Footprints(_BACKEND, of_sqlite(self._monitor())).read)
        self._pristine.keep()

    def reset(self) -> None:
        """Roll back what is open, and put the rows back as they were kept."""
        self._control.roll_back()
        self._monitor()
        try:
            self._pristine.put_back()
        except sqlite3.OperationalError as error:
            raise Uncontrolled(
                f"The rows of {self.path.name} can't be put back ({error}): a connection that the explorer does not "
                "know writes to it. Open connections by sqlite3.connect, after the exploration has begun."
            ) from error

    def harden(self, *, anyway: bool = False) -> bool:  # noqa: ARG002 - as for every database
        """Say that rows lie as they were kept already: SQLite reads a table in the order of its keys."""
        return False

    def rows(self) -> Rows:
        """Give the rows of every table, in the order of their keys."""
        self._monitor()
        return self._pristine.rows()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""
        self._monitor()
        return self._pristine.columns()

    def crash(self, worker: int) -> None:
        """Undo what a worker's connections have open.

        They then are as good as new ones, so that a pool of the process's own need not notice.
        """
        for each in list(self._control.known):
            if each.owner == worker:
                each.undo()

    def close(self) -> None:
        """Leave rows as they were kept, and the journal as it was found; SQLite itself removes what WAL mode added."""
        monitor = self._opened
        if monitor is None:
            return
        try:
            with suppress(Uncontrolled):  # what can't be put back was said already
                self.reset()
        finally:
            self._opened = None
            self._pristine.close()
            self._leave_wal(monitor)
            monitor.close()

    def _leave_wal(self, monitor: sqlite3.Connection) -> None:
        """Set the journal back; where somebody else has the file open, it stays in WAL mode."""
        for _ in range(2):
            with suppress(sqlite3.OperationalError):
                monitor.execute(f"PRAGMA journal_mode = {self._journal}")
                return
            gc.collect()  # connections that a body dropped live until then, see Control.used

    def _monitor(self) -> sqlite3.Connection:
        """Give the explorer's own connection, which puts the file into WAL mode."""
        if self._opened is None:
            monitor = self._made()
            try:
                self._journal = monitor.execute("PRAGMA journal_mode").fetchone()[0]
                (mode,) = monitor.execute("PRAGMA journal_mode = wal").fetchone()
            except sqlite3.DatabaseError as error:
                mode = str(error)
            if mode != "wal":
                monitor.close()
                hint = " Does set-up leave a transaction open? Commit it." if "locked" in mode else ""
                raise Uncontrolled(
                    f"{self.path.name} can't be put into WAL mode, which exploring it needs: {mode}.{hint}"
                )
            monitor.execute("PRAGMA synchronous = OFF")
            monitor.execute("PRAGMA foreign_keys = OFF")
            self._opened, self._pristine = monitor, Pristine(monitor)
        return self._opened

    def _made(self) -> sqlite3.Connection:
        try:
            return self._connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=512)
        except sqlite3.OperationalError as error:
            raise Uncontrolled(f"{self.path} can't be explored: {error}.") from error

    def _hooked(self, database: Any, *args: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - as sqlite3.connect
        """Open a connection, under control where it is to the explored file."""
        options = dict(zip(_POSITIONS, args, strict=False)) | options
        if self._is_mine(database, uri=bool(options.get("uri"))):
            return self._adopted(database, options)
        return self._connect(database, **options)

    def _adopted(self, database: Any, options: dict[str, Any]) -> sqlite3.Connection:  # noqa: ANN401 - as sqlite3.connect
        options = dict(options)
        patience = options.pop("timeout", _PATIENCE)
        make = hooked_connection(options.pop("factory", sqlite3.Connection))
        autocommit = {name: options.pop(name) for name in ("autocommit",) if name in options}
        options["check_same_thread"] = False  # a worker's thread is not the one that rolls back
        connection = make(database, timeout=0, **options)
        connection.adopt(self._control, patience)
        for name, value in autocommit.items():  # only now: within a transaction, the explorer's own PRAGMA fails
            setattr(connection, name, value)
        return connection

    def _is_mine(self, database: Any, *, uri: bool) -> bool:  # noqa: ANN401 - as sqlite3.connect
        name = os.fsdecode(database)
        if name in self._names:
            return True
        called = name
        if uri and name.startswith("file:"):
            name = unquote(urlsplit(name).path)
        mine = name not in {"", ":memory:"} and Path(name).resolve() == self.path
        if mine and Path(name).is_absolute():
            self._names.add(called)
        return mine
