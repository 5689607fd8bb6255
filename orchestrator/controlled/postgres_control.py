"""What an operation of a worker's connection is to the hub: a point to stand at, or nothing."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from orchestrator.controlled.database import ELSEWHERE, Uncontrolled
from orchestrator.controlled.postgres_answers import answer, raw_answer
from orchestrator.controlled.postgres_driving import Driver
from orchestrator.controlled.postgres_hook import being_made, of_pool, original_wait
from orchestrator.controlled.postgres_operations import Operation, operation
from orchestrator.controlled.postgres_sessions import MARK, says, sets
from orchestrator.explorer.hub import Crash
from orchestrator.explorer.model import EVERYTHING, NOTHING, Point, union
from orchestrator.explorer.transactions import ENDS
from orchestrator.explorer.workers import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

    from orchestrator.controlled.footprints import Reading
    from orchestrator.controlled.postgres_hook import Driven
    from orchestrator.controlled.postgres_sessions import Session, Sessions
    from orchestrator.controlled.postgres_waits import Monitor
    from orchestrator.explorer.hub import Hub
    from orchestrator.explorer.model import Footprint

#: Levels at which each statement has a snapshot of its own.
_EACH_ITS_OWN: Final = frozenset({"read committed", "read uncommitted"})
#: What the server calls levels.
_LEVELS: Final = {level: level.name.lower().replace("_", " ") for level in IsolationLevel}

_SHARED: Final = (
    "Two workers use one connection at the same time, as threads never could: give each worker a connection of its "
    "own. Code that keeps one connection per thread (scoped_session, threading.local) needs threads=True."
)


class Control:
    """Decides what a connection's operations are to a hub; one exploration's."""

    def __init__(
        self,
        monitor: Monitor,
        sessions: Sessions,
        *,
        adopt: Callable[[Connection[Any]], Session | None],
        read: Callable[[str, Any], Reading],
        touched: Callable[[Footprint], None],
        isolation: str,
    ) -> None:
        """Take what gives a connection its session (None: of another database), reads texts, and notes writes."""
        self.hub: Hub | None = None
        self._monitor, self._sessions, self._driver = monitor, sessions, Driver(monitor, sessions)
        self._adopt, self._read, self._touched = adopt, read, touched
        self._isolation = isolation
        self._thread = 0
        #: By worker that stood before its next statement already: where.
        self._announced: dict[int, Point] = {}

    def wait(self, connection: Connection[Any], generator: Driven, interval: float, timeout: float | None) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Stand in for `Connection.wait`."""
        hub, worker = self.hub, self._worker()
        session = None if hub is None or worker is None else self._session(connection, worker)
        if hub is None or worker is None or session is None:
            if hub is not None and worker is None and hub.current is not None:
                self._check_thread(connection)
            self._monitor.settle()
            return original_wait(connection, generator, interval, timeout)
        todo = operation(connection, generator)
        if todo.kind == "raw" or worker in self._announced:
            return self._unparked(hub, worker, session, generator, todo)
        point, footprint = self._point(connection, session, todo)
        if point is None or (not session.stepped and being_made()):
            return self._on(hub, session, generator, todo, footprint)
        session.stepped = True
        hub.stand(point)
        return self._step(hub, session, generator, todo, point)

    def announce(self, point: Point) -> None:
        """Stand before a statement that the caller is about to send; `wait` doesn't stand before it again."""
        hub, worker = self.hub, self._worker()
        if hub is None or worker is None:
            return
        hub.stand(point)
        self._monitor.settle()
        self._touched(point.footprint)
        self._announced[worker] = point

    def point(self, connection: Connection[Any], text: str, parameters: Any = None) -> Point | None:  # noqa: ANN401 - as the driver takes them
        """Say where a worker stands before it sends a text on a connection; None: it needn't stand."""
        worker = self._worker()
        if worker is None:
            return None
        session = self._session(connection, worker)
        if session is None:
            return None
        return self._point(connection, session, Operation("statement", text, parameters))[0]

    def forget(self) -> None:
        """Start a schedule afresh."""
        self._announced.clear()

    def guard(self, connection: Connection[Any]) -> None:
        """Refuse a lock that another worker has, who can't let go of it while this one waits for it."""
        worker = self._worker()
        if worker is None:
            return
        session: Session | None = getattr(connection, MARK, None)
        if session and session.worker not in (None, worker):
            raise Uncontrolled(_SHARED)

    def under(self, hub: Hub | None) -> None:
        """Take the hub whose workers' operations are steps; it runs in this thread, or its workers in their own."""
        self.hub, self._thread = hub, threading.get_ident()

    # what is about to happen

    def _worker(self) -> int | None:
        """Give the worker that runs now; None to a thread that is no worker's, such as a pool's."""
        hub, thread = self.hub, threading.get_ident()
        if hub is None or (thread != self._thread and thread not in THREADS):
            return None
        return hub.current

    def _check_thread(self, connection: Connection[Any]) -> None:
        """Refuse what comes from a thread that is no worker's, unless a pool's own sets a connection up."""
        mine, other = self._monitor.connection.pgconn, connection.pgconn
        if (mine.port, mine.db) == (other.port, other.db) and not of_pool():
            raise Uncontrolled(ELSEWHERE)

    def _session(self, connection: Connection[Any], worker: int) -> Session | None:
        """Give a connection's session as the worker's; None where it leads to another database.

        Connections change hands between transactions, as with a pool.
        """
        session: Session | None = getattr(connection, MARK, None)
        if session is None:
            session = self._adopt(connection)
        if not session:
            return None
        if session.dead or (self.hub is not None and self.hub.crashing):
            raise Crash
        if session.worker != worker:
            if session.worker is not None and connection.pgconn.transaction_status != TransactionStatus.IDLE:
                raise Uncontrolled(_SHARED)
            self._sessions.take(session, worker)
        return session

    def _point(self, connection: Connection[Any], session: Session, todo: Operation) -> tuple[Point | None, Footprint]:
        """Say where to stand, None for nowhere, and what the operation touches."""
        kind, footprint, frees = todo.kind, NOTHING, todo.frees
        if kind == "quiet":
            return None, NOTHING
        if kind in ENDS:  # psycopg's own, which it sends within a transaction only
            return (Point(kind, todo.text, session=session.number) if session.stood else None), NOTHING
        if not frees:
            reading = self._reading(session, todo)
            kind, footprint, frees = reading.kind, reading.footprint, reading.frees
            if not session.set and sets(todo.text) and not being_made():
                session.remember()
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        strict = self._is_strict(connection, session, todo.text)
        if kind in ENDS:
            return (Point(kind, todo.text, session=session.number) if session.stood and not idle else None), NOTHING
        alone = connection.autocommit and idle
        matters = frees or (
            kind == "statement" and (footprint != NOTHING or (not alone and self._opens_snapshot(connection, session)))
        )
        if not matters:
            return None, footprint
        point = Point("statement", todo.text, todo.parameters, footprint, session.number, alone, frees, strict)
        return point, footprint

    def _is_strict(self, connection: Connection[Any], session: Session, text: str) -> bool:
        """Say whether a stricter level than the exploration's may be set, which then may be so from now on."""
        if not session.strict:
            level = connection.isolation_level
            session.strict = _names_level(text) or (level is not None and _LEVELS[level] != self._isolation)
        return session.strict

    def _reading(self, session: Session, todo: Operation) -> Reading:
        """Read what a text touches; reading on from a cursor touches what its opening did."""
        known = session.cursors.get(todo.name) if todo.name else None
        if known is not None:
            return self._read("", None)._replace(kind="statement", footprint=known)
        if todo.many is None:
            reading = self._read(todo.text, todo.parameters)
        else:
            reading = self._read(todo.text, None)
            if todo.many:
                each = [self._read(todo.text, parameters).footprint for parameters in todo.many]
                reading = reading._replace(footprint=union_of(each))
        if not todo.readable:
            reading = reading._replace(kind="statement", footprint=EVERYTHING)
        if todo.name:
            session.cursors[todo.name] = reading.footprint
        return reading

    def _opens_snapshot(self, connection: Connection[Any], session: Session) -> bool:
        """Say whether a statement that touches nothing matters all the same: a snapshot is taken by the first one."""
        if session.stood:
            return False
        if session.strict:
            return True
        level = connection.isolation_level
        if level is None:
            return self._isolation not in _EACH_ITS_OWN
        return level not in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)

    # what happens

    def _step(self, hub: Hub, session: Session, generator: Driven, todo: Operation, point: Point) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Do what a worker was chosen for."""
        if point.kind != "statement":
            return self._end(hub, session, generator, todo)
        self._note(session, todo.text, point)
        value = self._on(hub, session, generator, todo, point.footprint)
        if todo.goes_on:
            session.many = todo.cursor
        else:
            hub.answered(*answer(todo.cursor))
        return value

    def _end(self, hub: Hub, session: Session, generator: Driven, todo: Operation) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Commit or roll back; even where that fails, the transaction is over."""
        try:
            value = self._on(hub, session, generator, todo, NOTHING)
        finally:
            session.ended()
        hub.answered()
        return value

    def _note(self, session: Session, text: str, point: Point) -> None:
        self._touched(point.footprint)
        session.advisory = session.advisory or point.footprint is EVERYTHING or says("advisory", text)
        if not point.alone:
            session.hold(point.footprint)

    def _on(self, hub: Hub, session: Session, generator: Driven, todo: Operation, wanted: Footprint) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Drive a generator; an error is the answer of the step that it belongs to."""
        self._monitor.settle()
        try:
            value = self._driver.drive(hub, session, generator, wanted)
        except psycopg.Error as error:
            hub.answered(error=f"{type(error).__name__}: {error.diag.message_primary or _first_line(error)}")
            session.many = None
            raise
        if session.many is not None and todo.kind == "quiet":
            hub.answered(None, session.many.rowcount)
            session.many = None
        return value

    def _unparked(self, hub: Hub, worker: int, session: Session, generator: Driven, todo: Operation) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Drive what was announced."""
        if todo.kind == "quiet":
            return self._on(hub, session, generator, todo, NOTHING)
        point = self._announced.get(worker)
        if point is None:
            raise Uncontrolled(
                "A statement was sent with libpq's own functions, past psycopg's cursors, so no worker could stand "
                "before it: use cursors, or announce it."
            )
        session.stepped = True
        if todo.sends:  # the answer comes with the next one
            return self._on(hub, session, generator, todo, point.footprint)
        del self._announced[worker]
        if point.kind == "statement":
            self._note(session, point.statement, point)
        try:
            value = self._on(hub, session, generator, todo, point.footprint)
        finally:
            if point.kind != "statement":
                session.ended()
        hub.answered(*(raw_answer(session, value) if todo.kind == "raw" else answer(todo.cursor)))
        return value


def union_of(footprints: list[Footprint]) -> Footprint:
    """Put any number of footprints together."""
    whole = NOTHING
    for each in footprints:
        whole = union(whole, each)
    return whole


@lru_cache(4096)
def _names_level(text: str) -> bool:
    """Say whether a text may set a level; SQLAlchemy has it shown."""
    return says("isolation", text) and not text.lstrip().lower().startswith("show")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
