"""PostgreSQL under the explorer's control, by its own word: what blocks, what deadlocks, what can't be serialized."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from orchestrator.controlled.catalog import NO_CATALOG, of_postgres
from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.footprints import Footprints
from orchestrator.controlled.postgres_control import Control
from orchestrator.controlled.postgres_hook import installed
from orchestrator.controlled.postgres_sessions import Session, Sessions, roll_back
from orchestrator.controlled.postgres_waits import Monitor
from orchestrator.controlled.pristine_postgres import Pristine
from orchestrator.explorer.model import EVERY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.controlled.database import Rows
    from orchestrator.controlled.footprints import Reading
    from orchestrator.explorer.hub import Hub
    from orchestrator.explorer.model import Footprint, Places, Point

_APPLICATION: Final = "rowrace explore"

#: Two connections with the same answer lead to the same database.
_IDENTITY: Final = b"SELECT concat_ws(' ', pg_postmaster_start_time(), current_database())"

#: The open transaction's, else the next one's: a user's connection may have a level of its own.
_LEVEL: Final = b"SHOW transaction_isolation"

#: Those on the search path come first.
_SCHEMAS: Final = """
    SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|rowrace_kept_)' AND nspname <> 'information_schema'
    ORDER BY array_position(current_schemas(false), nspname), nspname
"""

#: Only a superuser may set it; a second is long enough nearly always, since the explorer finds deadlocks first.
_LONG: Final = b"SET deadlock_timeout = '1h'"

_MONITOR: Final = b"""
    SET session_replication_role = replica; SET synchronous_commit = off; SET lock_timeout = '10s'; SET jit = off;
    SET client_min_messages = error
"""


class PostgresDatabase:
    """A database whose connections are steps of workers."""

    backend = "postgres"

    def __init__(
        self,
        url: str,
        isolation: str | None = None,
        *,
        plan_by_index: bool = False,
        hard: bool = False,
        harmless: frozenset[str] = frozenset(),
        everywhere: bool = False,
    ) -> None:
        """Take a libpq URI or SQLAlchemy's form of it, and a level for transactions that don't name their own.

        Without `isolation` each connection keeps the level that the server or its user gave it.  `plan_by_index` keeps
        sessions from reading tiny tables by sequential scan, which SERIALIZABLE takes for a read of every row.
        `everywhere` looks for tables beyond the search path too, and refuses bodies that change those.
        """
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        connection = psycopg.connect(self._url, autocommit=True, application_name=_APPLICATION, prepare_threshold=None)
        try:
            self._monitor = Monitor(connection)
            self.isolation = isolation or _default_isolation(connection)
            self._make_monitor()
            self._identity = self._monitor.run(_IDENTITY).get_value(0, 0)
            self._settings = _settings(isolation, long_timeout=self._may(_LONG), plan_by_index=plan_by_index)
        except BaseException:
            connection.close()
            raise
        self._harmless, self._everywhere = harmless, everywhere
        self._sessions = Sessions()
        self._pristine = Pristine(self._monitor, hard=hard)
        self._footprints = Footprints("postgres", NO_CATALOG)
        #: By what a statement reads: whether rows that it does not name by key are among it.
        self._ranges: dict[Places, bool] = {}
        #: A statement read rows that it did not name, so that it may matter in which order they lie.
        self._order_matters = False
        self._control = Control(
            self._monitor,
            self._sessions,
            adopt=self._adopt,
            read=self._read,
            touched=self._touch,
            isolation=self.isolation,
        )

    @contextmanager
    def control(self) -> Iterator[None]:
        """Hook psycopg for the time of an exploration."""
        with installed(self._control):
            try:
                yield
            finally:
                try:
                    self.under(None)
                finally:
                    self._let_go()

    def under(self, hub: Hub | None) -> None:
        """Make statements that this hub's workers send its steps; None: nobody's."""
        self._control.under(hub)
        if hub is None:
            self._monitor.end()

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection for a body that is given one."""
        return psycopg.connect(self._url, application_name=_APPLICATION)

    def point(self, connection: psycopg.Connection[Any], text: str, parameters: Any = None) -> Point | None:  # noqa: ANN401 - as the driver takes them
        """Say where a worker stands before it sends a text on a connection; None: it needn't stand."""
        return self._control.point(connection, text, parameters)

    def announce(self, point: Point) -> None:
        """Stand before a statement that the caller is about to send past cursors; the driver won't stand again."""
        self._control.announce(point)

    def keep(self) -> None:
        """Remember the rows of every table, and what the catalog says of them."""
        self._pristine.keep()
        connection = self._monitor.connection
        schemas = [name for (name,) in connection.execute(_SCHEMAS)] if self._everywhere else []
        self._footprints = Footprints("postgres", of_postgres(connection, self._harmless, schemas))

    def harden(self, *, anyway: bool = False) -> bool:
        """See to it that rows lie as they were kept, where that matters or `anyway`; says whether that is new.

        SERIALIZABLE locks what plans read, and plans go by where rows lie.
        """
        matters = anyway or self._order_matters or self.isolation == "serializable"
        return matters and self._pristine.harden()

    def _touch(self, footprint: Footprint) -> None:
        """Note what a statement changes, and whether it may see in which order rows lie."""
        self._pristine.touched(footprint)
        reads = footprint.reads
        if reads and not self._order_matters:
            if reads not in self._ranges:
                self._ranges[reads] = any(place.key == EVERY for place in reads)
            self._order_matters = self._ranges[reads]

    def reset(self) -> None:
        """Roll back what is open, and put rows and sequences back as they were kept: before anybody sees them."""
        thorough = self._pristine.all_touched
        for session in self._sessions.alive():
            roll_back(session, _left_behind(session, thorough=thorough, caches=self._pristine.caches))
            session.free()
            if not session.settled and (connection := session.connection()) is not None and not connection.closed:
                self._settle(session, connection)
        self._control.forget()
        self._pristine.reset()

    def rows(self) -> Rows:
        """Give the rows of every table, in the order of their keys."""
        return self._pristine.rows()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""
        return self._pristine.columns()

    def crash(self, worker: int) -> None:
        """Undo what a worker's connections have open, as the server does when they break; pools needn't notice."""
        for session in self._sessions.of(worker):
            roll_back(session, _left_behind(session, thorough=True, caches=self._pristine.caches))
            session.free()

    def end(self, worker: int) -> None:
        """End a crashed worker's backends for good; its connections are closed."""
        for session in self._sessions.of(worker):
            connection = session.connection()
            if connection is not None and not connection.closed:
                self._monitor.terminate(session.pid)
                connection.pgconn.finish()
            session.ended()
            session.dead = True

    def close(self) -> None:
        """Put the rows back, drop what was kept of them, and leave."""
        try:
            with suppress(Uncontrolled):  # what can't be put back was said already
                self.under(None)
            with suppress(Uncontrolled):
                if self._pristine.kept:
                    self.reset()
                self._monitor.settle()
            self._pristine.close()
        finally:
            self._monitor.connection.close()

    def _read(self, text: str, parameters: Any) -> Reading:  # noqa: ANN401 - as the driver takes them
        return self._footprints.read(text, parameters)

    def _adopt(self, connection: psycopg.Connection[Any]) -> Session | None:
        """Meet a connection for the first time; None: it leads elsewhere, or can't be asked now."""
        pgconn = connection.pgconn
        if pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            return None
        found = pgconn.exec_(_IDENTITY)
        if found.ntuples != 1 or found.get_value(0, 0) != self._identity:
            self._sessions.elsewhere(connection)
            return None
        session = Session(connection)
        self._settle(session, connection)
        session.strict = pgconn.exec_(_LEVEL).get_value(0, 0) != self.isolation.encode()
        self._sessions.add(connection, session)
        return session

    def _may(self, setting: bytes) -> bool:
        try:
            self._monitor.run(setting)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def _make_monitor(self) -> None:
        try:
            self._monitor.run(_MONITOR)
        except psycopg.errors.InsufficientPrivilege as error:
            who = self._monitor.connection.info.user
            msg = (
                f"User {who} may not set session_replication_role, without which rows can't be put back past triggers "
                f"and foreign keys: use a superuser, or GRANT SET ON PARAMETER session_replication_role TO {who}."
            )
            raise Uncontrolled(msg) from error

    def _let_go(self) -> None:
        """Give connections back as they came."""
        for session in self._sessions.alive():
            roll_back(session, b"".join(b"RESET %s;" % each.split()[1] for each in self._settings.split(b"; ")))
        self._sessions.forget()

    def _settle(self, session: Session, connection: psycopg.Connection[Any]) -> None:
        """Make the settings; what is set inside of a transaction may be rolled back with it."""
        session.settled = connection.pgconn.transaction_status == TransactionStatus.IDLE
        connection.pgconn.exec_(self._settings)


def _settings(isolation: str | None, *, long_timeout: bool, plan_by_index: bool) -> bytes:
    """Write what the sessions of workers are set to; without a real flush a COMMIT costs microseconds."""
    chosen = [b"SET synchronous_commit = off"]
    if long_timeout:
        chosen.append(_LONG)
    if isolation is not None:
        chosen.append(b"SET default_transaction_isolation = '%s'" % isolation.encode())
    if plan_by_index:
        chosen.append(b"SET enable_seqscan = off")
    return b"; ".join(chosen)


def _left_behind(session: Session, *, thorough: bool, caches: bool) -> bytes:
    """Write what puts a session itself back."""
    text = b""
    if session.advisory:
        text += b"SELECT pg_advisory_unlock_all();"
    if caches:
        text += b"DISCARD SEQUENCES;"
    if thorough and session.worker is not None:
        text += b"DISCARD TEMP;"
    return text + session.set


def _default_isolation(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SHOW default_transaction_isolation").fetchone()
    return str(row[0]) if row else "read committed"
