"""Whether a statement waits for a lock: the server's word, asked on a connection beside the workers'."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from psycopg.errors import DeadlockDetected, LockNotAvailable, error_from_result
from psycopg.pq import DiagnosticField, ExecStatus

from orchestrator.controlled.database import Uncontrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg
    from psycopg.pq.abc import PGresult
    from psycopg.waiting import Wait as Wanted

    from orchestrator.controlled.postgres_sessions import Session, Sessions

#: How long a backend may take to end, seconds.
_ENDING_S: Final = 10.0

_STATEMENTS: Final = {
    b"blockers": b"SELECT array_to_string(pg_blocking_pids($1) || pg_safe_snapshot_blocking_pids($1), ' ')",
    b"cancel": b"SELECT pg_cancel_backend($1)",
    b"terminate": b"SELECT pg_terminate_backend($1)",
    b"alive": b"SELECT count(*) FROM pg_stat_activity WHERE pid = $1",
    b"who": b"""
        SELECT concat_ws(', ', nullif(application_name, ''), 'user ' || usename, state, left(query, 80))
        FROM pg_stat_activity WHERE pid = $1
    """,
}


class Monitor:
    """A connection of the explorer's own; what is asked is answered before anything else happens."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        #: Says what it means if what was sent last fails; None: nothing is under way.
        self._under_way: Callable[[BaseException], BaseException] | None = None
        #: A pool's threads need it settled as workers do.
        self._settling = threading.Lock()
        #: What the last failure was, until the schedule ends.
        self._failure: BaseException | None = None
        for name, text in _STATEMENTS.items():
            self.prepare(name, text)

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection, with nothing under way on it."""
        self.settle()
        return self._connection

    def prepare(self, name: bytes, text: bytes) -> None:
        """Let the server know a statement."""
        _checked(self.connection.pgconn.prepare(name, text))

    def run(self, text: bytes) -> PGresult:
        """Run a text; the last statement's result."""
        return _checked(self.connection.pgconn.exec_(text))

    def ask(self, name: bytes, *values: Any) -> PGresult:  # noqa: ANN401 - libpq's own types leave None out
        """Run a prepared statement; values are texts, or None."""
        return _checked(self.connection.pgconn.exec_prepared(name, values or None))

    def ask_all(self, names: Sequence[bytes]) -> list[PGresult]:
        """Run prepared statements without values in one round trip."""
        if len(names) == 1:
            return [self.ask(names[0])]
        if names:
            self.connection.pgconn.send_query(b";".join([b"EXECUTE %s" % name for name in names]))
        return self._results()

    def start(self, name: bytes, *values: Any, failed: Callable[[BaseException], BaseException]) -> None:  # noqa: ANN401 - see `ask`
        """Send a prepared statement, and go on meanwhile; `settle` raises what `failed` makes of its error."""
        self.connection.pgconn.send_query_prepared(name, values or None)
        self._under_way = failed

    def settle(self) -> None:
        """See to it that nothing is under way."""
        if self._under_way is None:
            return
        with self._settling:
            failed = self._under_way
            if failed is None:
                return
            try:
                self._results()
            except BaseException as error:  # noqa: BLE001 - raised again, under another name
                self._failure = failed(error)
                raise self._failure from (None if self._failure is error else error)
            finally:  # not before: others may go on then
                self._under_way = None

    def end(self) -> None:
        """Settle at a schedule's end, and raise what failed since its beginning: a body may have caught that."""
        try:
            self.settle()
        finally:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _results(self) -> list[PGresult]:
        pgconn, found = self._connection.pgconn, []
        try:
            while (result := pgconn.get_result()) is not None:
                found.append(result)
        except BaseException:  # interrupted: whoever asks next must not find what is still to come
            while pgconn.get_result() is not None:
                pass
            raise
        return [_checked(result) for result in found]

    def blockers(self, pid: int) -> tuple[int, ...]:
        """Name the backends that one waits for."""
        found = self.ask(b"blockers", b"%d" % pid).get_value(0, 0)
        return tuple(map(int, found.split())) if found else ()

    def cancel(self, pid: int) -> None:
        """Cancel what a backend is doing."""
        self.ask(b"cancel", b"%d" % pid)

    def terminate(self, pid: int) -> None:
        """End a backend; when it returns, what it had open is rolled back."""
        number, until = b"%d" % pid, time.monotonic() + _ENDING_S
        self.ask(b"terminate", number)
        while self.ask(b"alive", number).get_value(0, 0) != b"0":
            if time.monotonic() > until:
                raise Uncontrolled(f"backend {pid} did not end within {_ENDING_S:.0f} s of being terminated")

    def describe(self, pid: int) -> str:
        """Say whose backend it is."""
        if pid == 0:
            return "a prepared transaction"
        result = self.ask(b"who", b"%d" % pid)
        text = (result.get_value(0, 0) or b"").decode(errors="replace") if result.ntuples else ""
        return f"backend {pid} ({text or 'ended'})"


def _checked(result: PGresult) -> PGresult:
    if result.status == ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    return result


class BackendWait:
    """A statement that waits for another worker's lock; `by` holds since the server was asked last."""

    __slots__ = ("_ask", "_by", "_cancel", "_session", "_wanted")

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        by: tuple[int, ...],
        ask: Callable[[], tuple[int, ...]],
        cancel: Callable[[], None],
    ) -> None:
        self._session, self._wanted, self._by, self._ask, self._cancel = session, wanted, by, ask, cancel

    def over(self) -> bool:
        """Say whether the answer is there, or no worker is in the way any more."""
        if self._session.ready(self._wanted, 0):
            return True
        self._by = self._ask()
        return not self._by

    def by(self) -> Sequence[int]:
        """Name the workers in its way."""
        return self._by

    def cancel(self, why: str) -> None:
        """Let the server end the statement; its error is told as `why` has it."""
        self._session.cancelled = why
        self._cancel()


def waiting(monitor: Monitor, sessions: Sessions, session: Session, wanted: Wanted) -> BackendWait | None:
    """Give the wait of a statement that another worker holds up; None: nobody does."""
    blockers = monitor.blockers(session.pid)
    if not blockers:
        return None
    by = sessions.owners(blockers)
    return BackendWait(
        session,
        wanted,
        by,
        ask=lambda: sessions.owners(monitor.blockers(session.pid)),
        cancel=lambda: monitor.cancel(session.pid),
    )


def cancelled(why: str) -> psycopg.Error:
    """Tell a statement that was cancelled so, as the server would have."""
    kind, message = _TOLD[why]
    info = {
        DiagnosticField.SEVERITY: b"ERROR",
        DiagnosticField.SEVERITY_NONLOCALIZED: b"ERROR",
        DiagnosticField.SQLSTATE: (kind.sqlstate or "").encode(),
        DiagnosticField.MESSAGE_PRIMARY: message.encode(),
    }
    return kind(message, info=dict(info))  # type: ignore[arg-type]  # keys are plain numbers there


_TOLD: Final[dict[str, tuple[type[psycopg.Error], str]]] = {
    "deadlock": (DeadlockDetected, "deadlock detected"),
    "stuck": (LockNotAvailable, "canceling statement due to lock timeout"),
}
