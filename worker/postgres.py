"""The link over psycopg 3, with a SQLAlchemy engine as its pool.

BEGIN, the session's settings and the transaction's first statement go in one round trip, as text; everything after
them is bound by the server and prepared.  (psycopg's pipeline mode was measured to cost more than it saves, and
its cursors spend more time on a text's three results than the whole round trip takes.)
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

import psycopg
import sqlalchemy as sa
from psycopg import generators
from psycopg.adapt import Transformer
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from worker.contract import DUPLICATE, WRITER_SETTING, Reason
from worker.errors import Conflict, Duplicate, LostConnection, PoolTimeout, RolledBack
from worker.link import Answer, Sending
from worker.statements import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from psycopg.pq.abc import PGresult
    from sqlalchemy.engine import Dialect, Engine
    from sqlalchemy.pool import PoolProxiedConnection
    from sqlalchemy.sql.expression import ClauseElement

    from worker.link import Begin
    from worker.statements import Compiled

_CONFLICTS: Final = {
    "40001": Reason.SERIALIZATION,
    "40P01": Reason.DEADLOCK,
    "55P03": Reason.LOCK_TIMEOUT,
}

#: What a URL may override: a cut connection is noticed within seconds, not hours.
_DEFAULTS: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

#: Tiny tables are read by sequential scan, and SERIALIZABLE then aborts transactions on different rows.
_OPTIONS: Final = "-c enable_seqscan=off"

_BACKEND: Final = """
    SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint
    FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""


def connect(url: str, name: str, options: str = _OPTIONS, *, recovery: bool = True) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode; `url` is a libpq URI, or SQLAlchemy's form of it.

    Without `recovery` libpq's own defaults hold, which notice a cut connection after hours.
    """
    given = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    arguments: dict[str, Any] = {**(_DEFAULTS if recovery else {}), "application_name": name, **given}
    arguments["options"] = f"{given.get('options') or ''} {options}".strip()
    return psycopg.connect(**arguments, autocommit=True)


def engine(url: str, name: str, *, size: int = 0, timeout: float = 30.0, recovery: bool = True) -> Engine:
    """Build the pool: `size` connections at most, 0 as many as slots ask for; none reset, none checked beforehand."""
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url, name, recovery=recovery),
        pool_size=size,
        max_overflow=0,  # without a size the pool has no bound to exceed
        pool_timeout=timeout,
        pool_reset_on_return=None,
        use_native_hstore=False,
    )


class _Session:
    """What is kept with a pooled connection: its cursors and its backend's name."""

    __slots__ = ("_loader", "_writer", "backend", "connection", "cursor")

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.backend = _backend(connection)
        self._writer = psycopg.ClientCursor(connection)
        self._loader = Transformer(connection)

    def send(self, text: str, sent: Callable[[], None] | None = None) -> PGresult:
        """Send a text of one or more statements, and give the last one's result; `sent` is called in between."""
        pgconn = self.connection.pgconn
        pgconn.send_query(text.encode())
        if sent is not None:
            self.connection.wait(generators.send(pgconn))  # nothing of it is left in libpq's buffer
            sent()
        results: list[PGresult] = self.connection.wait(generators.execute(pgconn))
        result = results[-1]
        if result.status == ExecStatus.FATAL_ERROR:  # the server skips what follows an error
            raise error_from_result(result)
        return result

    def text(self, statement: str, params: Mapping[str, Any]) -> str:
        """Write the parameters into a statement, as literals."""
        return self._writer.mogrify(statement, params)

    def rows(self, result: PGresult) -> Sequence[tuple[Any, ...]]:
        """Load a result's rows."""
        self._loader.set_pgresult(result)
        return self._loader.load_rows(0, result.ntuples, tuple)


def _backend(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    row = connection.execute(_BACKEND).fetchone()
    return (row[0], row[1] or 0) if row else (0, 0)


@lru_cache(maxsize=4096)
def _opening(sql: str, isolation: str, timeout: int, *, writer: bool) -> str:
    """Write BEGIN, the transaction's settings and its first statement as one text."""
    settings = []
    if writer:
        settings.append(f"set_config('{WRITER_SETTING}', %(rowrace_writer)s, true)")
    if timeout:
        settings.append(f"set_config('lock_timeout', '{int(timeout)}', true)")
    chosen = f"SELECT {', '.join(settings)}; " if settings else ""
    return f"BEGIN ISOLATION LEVEL {isolation.upper()}; {chosen}{sql}"


class PostgresLink:
    """One checked-out connection."""

    dialect = "postgresql"

    __slots__ = ("_begin", "_dialect", "_held", "_pooled", "_session", "_switch", "backend", "sent_ns")

    def __init__(self, pool: Engine, switch: Callable[[Sending], int] | None = None) -> None:
        """Take a pool, and what is told before anything is sent and says when that is."""
        self.sent_ns = 0
        self._switch = switch
        self._dialect: Dialect = pool.dialect
        self._pooled: PoolProxiedConnection = _check_out(pool)
        self._session: _Session = self._pooled.info["rowrace"]
        self.backend = self._session.backend
        self._begin: Begin | None = None
        #: Advisory locks that the session holds.
        self._held = 0

    def begin(self, begin: Begin) -> None:
        """Remember how the transaction starts; it is sent with its first statement."""
        self._begin = begin

    def execute(self, statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        """Run a statement, the transaction's opening with it where that is still to be sent."""
        form = compiled(statement, self._dialect)
        begin, self._begin = self._begin, None
        if self._switch is not None:
            alone = begin is None and self._status() is TransactionStatus.IDLE
            self.sent_ns = self._switch(Sending("statement", form.sql, _bind(form, params), alone))
        try:
            answer = self._send(form, params) if begin is None else self._open(begin, form, params)
        except psycopg.Error as error:
            self._raise(error, in_commit=False)
        self._held += form.holds
        return answer

    def commit(self, sent: Callable[[], None] | None = None) -> None:
        """COMMIT; nothing is sent where no statement was, and a ROLLBACK for an answer is an error."""
        if self._begin is not None:
            self._begin = None
            return
        if self._switch is not None:
            self._switch(Sending("commit", "COMMIT"))
        try:
            result = self._session.send("COMMIT", sent)
        except psycopg.Error as error:
            self._raise(error, in_commit=True)
        except Exception as error:
            # Something of the process's own (a time limit) broke in while the answer was awaited.
            raise LostConnection(in_commit=True) from error
        if result.command_status != b"COMMIT":
            # A body swallowed a statement's error: the server then ends the transaction and reports no error.
            raise RolledBack("COMMIT was answered with ROLLBACK")

    def rollback(self) -> None:
        """ROLLBACK where a transaction is open; a connection that can't is thrown away when it is closed."""
        self._begin = None
        if self._status() in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            if self._switch is not None:
                self._switch(Sending("rollback", "ROLLBACK"))
            try:
                self._session.send("ROLLBACK")
            except psycopg.Error:
                return  # `close` sees that the connection isn't idle

    def disconnect(self) -> None:
        """Shut the socket down, and leave an ended one in its place: not even an answer that has come can be read."""
        try:
            number = self._session.connection.pgconn.socket
        except psycopg.OperationalError:
            return  # it was lost before
        with socket.socket(fileno=os.dup(number)) as ours, contextlib.suppress(OSError):  # the server was quicker
            ours.shutdown(socket.SHUT_RDWR)
        near, far = socket.socketpair()
        far.close()
        os.dup2(near.fileno(), number, inheritable=False)
        near.close()

    def close(self) -> None:
        """Give the connection back, or throw it away where its session isn't clean."""
        if self._status() is TransactionStatus.IDLE and not self._held:
            self._pooled.close()
        else:
            self._pooled.invalidate()

    def _status(self) -> TransactionStatus:
        return TransactionStatus(self._session.connection.pgconn.transaction_status)

    def _open(self, begin: Begin, form: Compiled, params: Mapping[str, Any]) -> Answer:
        text = _opening(form.sql, begin.isolation, begin.lock_timeout_ms, writer=begin.writer is not None)
        session, bound = self._session, _bind(form, params)
        bound["rowrace_writer"] = begin.writer
        result = session.send(session.text(text, bound))
        return Answer(session.rows(result) if form.returns else (), result.command_tuples or 0)

    def _send(self, form: Compiled, params: Mapping[str, Any]) -> Answer:
        cursor = self._session.cursor.execute(form.sql, _bind(form, params) if form.binds else params)
        return Answer(cursor.fetchall() if form.returns else (), cursor.rowcount)

    def _raise(self, error: psycopg.Error, *, in_commit: bool) -> NoReturn:
        if error.sqlstate in _CONFLICTS:
            raise Conflict(_CONFLICTS[error.sqlstate]) from error
        if error.sqlstate == DUPLICATE:
            raise Duplicate from error
        if self._session.connection.closed:
            raise LostConnection(in_commit=in_commit) from error
        raise error


def _bind(form: Compiled, params: Mapping[str, Any]) -> dict[str, Any]:
    bound = dict(params)
    for name, convert in form.binds:
        bound[name] = convert(bound[name])
    return bound


def _check_out(pool: Engine) -> PoolProxiedConnection:
    try:
        pooled = pool.raw_connection()
    except (psycopg.Error, sa.exc.DBAPIError) as error:
        raise LostConnection(in_commit=False) from error
    except sa.exc.TimeoutError as error:
        raise PoolTimeout("no connection of the pool became free in time") from error
    try:
        if "rowrace" not in pooled.info:
            pooled.info["rowrace"] = _Session(pooled.driver_connection)  # type: ignore[arg-type]  # psycopg's, by URL
    except psycopg.Error as error:
        pooled.invalidate()
        raise LostConnection(in_commit=False) from error
    return pooled
